"""The names of python-dotenv over our library and binary, for running python-dotenv's tests. Not a product."""

from .main import dotenv_values, find_dotenv, get_key, load_dotenv, set_key, unset_key


def get_cli_string(path=None, action=None, key=None, value=None, quote=None):
    words = ["dotenv"]
    words += [f"-q {quote}"] if quote else []
    words += [f"-f {path}"] if path else []
    if action:
        words.append(action)
        if key:
            words.append(key)
            if value:
                words.append(f'"{value}"' if " " in value else value)
    return " ".join(words)


__all__ = ["get_cli_string", "load_dotenv", "dotenv_values", "get_key", "set_key", "unset_key", "find_dotenv"]
