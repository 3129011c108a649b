"""Values of the vim25 world as compact records. What a record may hold says `schema`; how it looks on the wire, `serialise`."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ref:
    """A managed object reference: `Ref("VirtualMachine", "vm-12")`."""

    kind: str
    moid: str


class Record:
    """A data object: its vim25 name and the fields that are set. `record["name"]` is None for a field that is not set.

    Times are epoch seconds; enumerations, type names, method names and property paths are strings; faults are records too.
    """

    __slots__ = ("fields", "kind")

    def __init__(self, kind: str, /, **fields: Any):
        self.kind = kind
        self.fields = fields

    def __getitem__(self, name: str) -> Any:
        return self.fields.get(name)

    def __setitem__(self, name: str, value: Any) -> None:
        self.fields[name] = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and (self.kind, self.fields) == (other.kind, other.fields)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(f'{k}={v!r}' for k, v in self.fields.items())})"

    def copy(self) -> "Record":
        """A copy that shares nothing which can change."""
        return Record(self.kind, **{name: copied(value) for name, value in self.fields.items()})


@dataclass(frozen=True, slots=True)
class Typed:
    """A value for a field of any type, with the name of its vim25 type (`xsd:int`, `ArrayOfOptionValue`, ...)."""

    type: str
    value: Any


def copied(value: Any) -> Any:
    """A deep copy of a value."""
    if isinstance(value, Record):
        return value.copy()
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value
