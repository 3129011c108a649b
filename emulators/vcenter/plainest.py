"""Records whose types ask for far more fields than anybody here fills: what is not told is the plainest value."""

from functools import cache
from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.records import Record

_SCALARS: dict[str, Any] = {"xsd:boolean": False, "xsd:string": "", "xsd:dateTime": 0.0}


def plainest(kind: str, **known: Any) -> Record:
    """A record of `kind` with every required field: those not told are false, 0, empty, or the first of an enumeration."""
    return Record(kind, **{**_plain(kind), **known})


@cache
def _plain(kind: str) -> dict[str, Any]:
    return {field.name: _value(field.type) for field in schema.fields(kind) if not field.optional}


def _value(wanted: schema.Type) -> Any:
    if wanted.category == "data":
        return Record(wanted.name, **_plain(wanted.name))
    if wanted.category == "enum":
        return wanted.python.values[0]
    if wanted.category == "list":
        return [_value(wanted.item)]  # a list that is required has at least one item
    return _SCALARS.get(wanted.name, 0)
