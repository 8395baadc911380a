from typing import NamedTuple, Optional

from .library import ask


class Original(NamedTuple):
    string: str
    line: int


class Binding(NamedTuple):
    key: Optional[str]
    value: Optional[str]
    original: Original
    error: bool


def parse_stream(stream):
    for found in ask("parse", text=stream.read()):
        original = Original(string=found["string"], line=found["line"])
        yield Binding(key=found["key"], value=found["value"], original=original, error=found["error"])
