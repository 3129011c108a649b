"""Values between the wire and plain Python, driven by the SDK's types, in the API's three dialects.

`rpc` marks structures, optionals and secrets; `api` is plain JSON; `rest` writes maps as lists of key and value.
In Python a structure is a dict by the wire's field names, a set or list a list, a time epoch seconds, what is unset absent.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from emulators.vcenter.automation.errors import Refusal
from emulators.vcenter.serialise import timestamp

_MOST_DEPTH = 40


def category(kind: Any) -> str:
    """`struct`, `optional`, `list`, `map`, `enum`, ... of an SDK type; a reference is what it refers to."""
    return type(kind).__name__.removesuffix("Type").lower()


def resolved(kind: Any) -> Any:
    return kind.resolved_type if category(kind) == "reference" else kind


# reading -------------------------------------------------------------------------------------------------------------


def read(kind: Any, given: Any, dialect: str, where: str = "input", depth: int = 0) -> Any:
    """The value of `given` (parsed JSON) as a value of the SDK type `kind`. Raises `Refusal("invalid_argument")`."""
    if depth > _MOST_DEPTH:
        raise Refusal("invalid_argument", f"{where} is nested too deeply.")
    kind = resolved(kind)
    sort = category(kind)
    if sort == "optional":
        if dialect == "rpc" and isinstance(given, dict) and set(given) == {"OPTIONAL"}:
            given = given["OPTIONAL"]
        return None if given is None else read(kind.element_type, given, dialect, where, depth + 1)
    if sort in ("list", "set"):
        if not isinstance(given, list):
            raise _wrong(where, "a list")
        return [read(kind.element_type, item, dialect, f"{where}[{n}]", depth + 1) for n, item in enumerate(given)]
    if sort == "map":
        return _read_map(kind, given, dialect, where, depth)
    if sort in ("struct", "error"):
        return read_struct(kind, given, dialect, where, depth)
    return _read_plain(kind, sort, given, dialect, where)


def _read_map(kind: Any, given: Any, dialect: str, where: str, depth: int) -> dict[Any, Any]:
    if isinstance(given, dict) and dialect != "rpc":
        pairs = list(given.items())
    elif isinstance(given, list):
        entries = [_unwrapped(item, "map-entry") if dialect == "rpc" else item for item in given]
        if not all(isinstance(entry, dict) and {"key", "value"} <= set(entry) for entry in entries):
            raise _wrong(where, "a map")
        pairs = [(entry["key"], entry["value"]) for entry in entries]
    else:
        raise _wrong(where, "a map")
    return {
        read(kind.key_type, key, dialect, where, depth + 1): read(kind.value_type, value, dialect, f"{where}.{key}", depth + 1)
        for key, value in pairs
    }


def _unwrapped(given: Any, name: str) -> Any:
    """The fields of a marked structure."""
    if isinstance(given, dict) and len(given) == 1:
        marked = next(iter(given.values()))
        if isinstance(marked, dict) and len(marked) == 1 and next(iter(given)) in ("STRUCTURE", "ERROR"):
            return next(iter(marked.values()))
    raise _wrong(name, "a structure")


def read_struct(kind: Any, given: Any, dialect: str, where: str = "input", depth: int = 0) -> dict[str, Any]:
    """The fields of a structure. Unknown ones are refused, missing ones unless they are optional."""
    if dialect == "rpc":
        given = _unwrapped(given, where)
    if not isinstance(given, dict):
        raise _wrong(where, "an object")
    unknown = sorted(set(given) - set(kind.get_field_names()))
    if unknown:
        raise Refusal("invalid_argument", f"{where} has no field {unknown[0]}.")
    found = {}
    for name in kind.get_field_names():
        field = kind.get_field(name)
        if name in given:
            value = read(field, given[name], dialect, f"{where}.{name}", depth + 1)
            if value is not None:
                found[name] = value
        elif category(field) != "optional":
            raise Refusal("invalid_argument", f"{where}.{name} is required.")
    return found


def _read_plain(kind: Any, sort: str, given: Any, dialect: str, where: str) -> Any:
    if sort in ("secret", "blob") and isinstance(given, dict) and len(given) == 1:
        given = next(iter(given.values()))
    wanted, check = _PLAIN.get(sort, ("a value", lambda _value: False))
    if dialect != "rpc" and isinstance(given, str):  # as in a query
        given = {"true": True, "false": False}.get(given, given) if sort == "boolean" else _number(given, sort)
    if not check(given):
        raise _wrong(where, wanted)
    if sort == "enum" and given not in kind.binding_class.get_values():
        raise Refusal("invalid_argument", f"{given!r} is not one of the values of {where}.")
    if sort == "datetime":
        return _moment(given, where)
    if sort == "blob":
        try:
            return base64.b64decode(given, validate=True)
        except binascii.Error:
            raise _wrong(where, wanted) from None
    return given


def _number(given: str, sort: str) -> Any:
    if sort == "integer" and given.lstrip("-").isascii() and given.lstrip("-").isdigit() and len(given) < 20:
        return int(given)
    return given


def _moment(given: str, where: str) -> float:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise _wrong(where, "a time") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_PLAIN: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "integer": ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    "double": ("a number", lambda value: isinstance(value, int | float) and not isinstance(value, bool)),
    "datetime": ("a time", _is_text),
    "blob": ("bytes in base64", _is_text),
    **dict.fromkeys(("string", "id", "enum", "secret", "uri"), ("a string", _is_text)),
}


def _wrong(where: str, wanted: str) -> Refusal:
    return Refusal("invalid_argument", f"{where} must be {wanted}.")


# writing -------------------------------------------------------------------------------------------------------------


def write(kind: Any, value: Any, dialect: str) -> Any:
    """`value` of the SDK type `kind` as JSON of a dialect."""
    kind = resolved(kind)
    sort = category(kind)
    if sort == "optional":
        inner = None if value is None else write(kind.element_type, value, dialect)
        return {"OPTIONAL": inner} if dialect == "rpc" else inner
    if sort in ("list", "set"):
        return [write(kind.element_type, item, dialect) for item in value]
    if sort == "map":
        return _write_map(kind, value, dialect)
    if sort in ("struct", "error"):
        return _write_struct(kind, value, dialect, "ERROR" if sort == "error" else "STRUCTURE")
    if sort == "void":
        return None
    if sort == "datetime":
        return timestamp(value)
    if sort == "secret" and dialect == "rpc":
        return {"SECRET": value}
    return value


def _write_map(kind: Any, value: dict[Any, Any], dialect: str) -> Any:
    pairs = [(write(kind.key_type, key, dialect), write(kind.value_type, item, dialect)) for key, item in value.items()]
    if dialect == "api":
        return dict(pairs)
    entries = [{"key": key, "value": item} for key, item in pairs]
    return [{"STRUCTURE": {"map-entry": entry}} for entry in entries] if dialect == "rpc" else entries


def _write_struct(kind: Any, value: dict[str, Any], dialect: str, mark: str) -> Any:
    unknown = set(value) - set(kind.get_field_names())
    assert not unknown, f"{kind.name} has no field {sorted(unknown)}"
    fields = {}
    for name in kind.get_field_names():
        field = kind.get_field(name)
        optional = category(field) == "optional"
        assert optional or value.get(name) is not None, f"{kind.name}.{name} is not optional"
        if dialect == "rpc" or value.get(name) is not None:
            fields[name] = write(field, value.get(name), dialect)
    return {mark: {kind.name: fields}} if dialect == "rpc" else fields
