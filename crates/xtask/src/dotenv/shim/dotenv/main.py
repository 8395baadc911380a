"""What is Python's own stays Python here (environment, stack frames, logging); files and values are the library's."""

import codecs
import logging
import os
import stat
import sys

from .library import ask
from .parser import parse_stream

logger = logging.getLogger(__name__)


def _read(path, stream, verbose, encoding):
    if path and _is_file_or_fifo(path):
        with open(path, encoding=encoding) as file:
            return file.read()
    if stream is not None:
        return stream.read()
    if verbose:
        logger.info("python-dotenv could not find configuration file %s.", path or ".env")
    return ""


def _values(path=None, stream=None, verbose=False, interpolate=True, override=True, encoding="utf-8"):
    text = _read(path, stream, verbose, encoding)
    environment = dict(os.environ)
    pairs = ask("values", text=text, interpolate=interpolate, override=override, environment=environment)
    return dict(map(tuple, pairs))


def dotenv_values(dotenv_path=None, stream=None, verbose=False, interpolate=True, encoding="utf-8"):
    if dotenv_path is None and stream is None:
        dotenv_path = find_dotenv()
    return _values(dotenv_path, stream, verbose, interpolate, True, encoding)


def load_dotenv(dotenv_path=None, stream=None, verbose=False, override=False, interpolate=True, encoding="utf-8"):
    if os.environ.get("PYTHON_DOTENV_DISABLED", "").casefold() in {"1", "true", "t", "yes", "y"}:
        logger.debug("python-dotenv: .env loading disabled by PYTHON_DOTENV_DISABLED environment variable")
        return False
    if dotenv_path is None and stream is None:
        dotenv_path = find_dotenv()
    values = _values(dotenv_path, stream, verbose, interpolate, override, encoding)
    for key, value in values.items():
        if value is not None and (override or key not in os.environ):
            os.environ[key] = value
    return bool(values)


def get_key(dotenv_path, key_to_get, encoding="utf-8"):
    values = _values(dotenv_path, None, True, True, True, encoding)
    if key_to_get not in values:
        logger.warning("Key %s not found in %s.", key_to_get, dotenv_path)
    return values.get(key_to_get)


def set_key(
    dotenv_path, key_to_set, value_to_set, quote_mode="always", export=False, encoding="utf-8", follow_symlinks=False
):
    request = {"key": key_to_set, "value": value_to_set, "quote": quote_mode, "export": export}
    if codecs.lookup(encoding).name == "utf-8":
        ask("set", path=os.fspath(dotenv_path), follow_symlinks=follow_symlinks, **request)
    else:
        _recode(dotenv_path, encoding, lambda text: ask("set text", text=text, **request))
    return True, key_to_set, value_to_set


def unset_key(dotenv_path, key_to_unset, quote_mode="always", encoding="utf-8", follow_symlinks=False):
    if not os.path.exists(dotenv_path):
        logger.warning("Can't delete from %s - it doesn't exist.", dotenv_path)
        return None, key_to_unset
    if codecs.lookup(encoding).name == "utf-8":
        path = os.fspath(dotenv_path)
        removed = ask("unset", path=path, key=key_to_unset, follow_symlinks=follow_symlinks)
    else:
        removed = _recode(dotenv_path, encoding, lambda text: ask("unset text", text=text, key=key_to_unset))
    if not removed:
        logger.warning("Key %s not removed from %s - key doesn't exist.", key_to_unset, dotenv_path)
        return None, key_to_unset
    return True, key_to_unset


def _recode(path, encoding, change):
    """The library reads UTF-8 alone."""
    text = _read(path, None, False, encoding)
    changed = change(text)
    if changed is not None:
        with open(path, "w", encoding=encoding, newline="") as file:
            file.write(changed)
    return changed is not None


def find_dotenv(filename=".env", raise_error_if_not_found=False, usecwd=False):
    folder = os.getcwd() if usecwd or _is_interactive() or sys.gettrace() else _folder_of_caller()
    while True:
        path = os.path.join(folder, filename)
        if _is_file_or_fifo(path):
            return path
        above = os.path.dirname(folder)
        if above == folder:
            break
        folder = above
    if raise_error_if_not_found:
        raise IOError("File not found")
    return ""


def _is_interactive():
    if hasattr(sys, "ps1") or hasattr(sys, "ps2"):
        return True
    try:
        return not hasattr(__import__("__main__", None, None, fromlist=["__file__"]), "__file__")
    except ModuleNotFoundError:
        return False


def _folder_of_caller():
    frame = sys._getframe()
    while frame.f_code.co_filename == __file__ or not os.path.exists(frame.f_code.co_filename):
        frame = frame.f_back
    return os.path.dirname(os.path.abspath(frame.f_code.co_filename))


def _is_file_or_fifo(path):
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode)
