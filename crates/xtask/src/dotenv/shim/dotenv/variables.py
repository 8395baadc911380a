from typing import NamedTuple, Optional

from .library import ask


class Literal(NamedTuple):
    value: str


class Variable(NamedTuple):
    name: str
    default: Optional[str]


def parse_variables(value):
    for atom in ask("atoms", text=value):
        yield Literal(atom["literal"]) if "literal" in atom else Variable(atom["name"], atom["default"])
