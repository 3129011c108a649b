"""Values to XML, driven by the schema. One writer is built for each type when it is first needed; writers are pure."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.records import Record, Ref, Typed

Write = Callable[[list[str], str, str, Any], None]
_INT_LIMIT = 2**31


class Unserialisable(AssertionError):
    """A bug of the emulator: a record does not fit its type."""


def text(value: str) -> str:
    return value.replace("&", "&amp;").replace(">", "&gt;").replace("<", "&lt;")


def timestamp(value: Any) -> str:
    """Epoch seconds (or an aware datetime) as vim25 writes times."""
    moment = value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromtimestamp(value, UTC)
    written = moment.isoformat()[: -len("+00:00")]
    return (written.rstrip("0") if moment.microsecond else written) + "Z"


def fragment(tag: str, type_name: str, value: Any) -> str:
    """`value` of the declared type `type_name` in an element `tag`; a list becomes one element for each item."""
    out: list[str] = []
    kind = schema.named(type_name)
    if kind.category == "list":
        write = writer(kind.item.name, kind.item.category)
        for item in value:
            write(out, tag, "", item)
    else:
        writer(kind.name, kind.category)(out, tag, "", value)
    return "".join(out)


def any_fragment(tag: str, type_name: str, value: Any) -> str:
    """`value` in an element of any type: with its `xsi:type`."""
    out: list[str] = []
    write_any(out, tag, "", Typed(type_name, value))
    return "".join(out)


@cache
def writer(name: str, category: str) -> Write:
    """The writer of one element of a type."""
    if category == "list":
        raise Unserialisable(f"lists are written by their field, not as {name}")
    by_category: dict[str, Write] = {"any": write_any, "ref": write_ref, "fault": write_fault, "enum": _write_text}
    if category in by_category:
        return by_category[category]
    if category == "scalar":
        return _SCALARS.get(name, _write_text)
    return _data_writer(name)


def _data_writer(declared: str) -> Write:
    def write(out: list[str], tag: str, attributes: str, record: Any) -> None:
        if record.kind != declared:
            attributes += f' xsi:type="{record.kind}"'
        out.append(f"<{tag}{attributes}>")
        write_fields(out, record)
        out.append(f"</{tag}>")

    return write


@cache
def _plan(kind: str) -> tuple[tuple[str, bool, bool, Write], ...]:
    plan = []
    for field in schema.fields(kind):
        is_list = field.type.category == "list"
        item = field.type.item if is_list else field.type
        plan.append((field.name, field.optional, is_list, writer(item.name, item.category)))
    return tuple(plan)


def write_fields(out: list[str], record: Record) -> None:
    """The content of a data object. Raises `Unserialisable` when it does not fit its type."""
    values = record.fields
    left = len(values)
    for name, optional, is_list, write in _plan(record.kind):
        value = values.get(name)
        if value is None or (is_list and not value):
            if not optional:
                raise Unserialisable(f"{record.kind}.{name} is not optional")
            left -= name in values
        else:
            left -= 1
            if is_list:
                for item in value:
                    write(out, name, "", item)
            else:
                write(out, name, "", value)
    if left:
        unknown = sorted(set(values) - schema.field_names(record.kind))
        raise Unserialisable(f"{record.kind} has no field {unknown}")


def write_ref(out: list[str], tag: str, attributes: str, value: Ref) -> None:
    out.append(f'<{tag}{attributes} type="{value.kind}">{text(value.moid)}</{tag}>')


def write_fault(out: list[str], tag: str, attributes: str, value: Record) -> None:
    """A fault as a field: wrapped in its `LocalizedMethodFault`, but for the `fault` field of that wrapper itself."""
    if value.kind == "LocalizedMethodFault":
        out.append(f"<{tag}{attributes}>")
        write_fault(out, "fault", "", value["fault"])
        if value["localizedMessage"] is not None:
            _write_text(out, "localizedMessage", "", value["localizedMessage"])
        out.append(f"</{tag}>")
        return
    declared = "" if value.kind == "MethodFault" else f' xsi:type="{value.kind}"'
    out.append(f"<{tag}{attributes}{declared}>")
    write_fields(out, value)
    out.append(f"</{tag}>")


def write_any(out: list[str], tag: str, attributes: str, value: Any) -> None:
    """An element of any type."""
    type_name, value = (value.type, value.value) if isinstance(value, Typed) else (_guess(value), value)
    kind = schema.named(type_name)
    if kind.category == "list":
        out.append(f'<{tag}{attributes} xsi:type="{kind.name}">')
        item = kind.item
        item_tag = {"ref": "ManagedObjectReference"}.get(item.category, item.name.removeprefix("xsd:"))
        write = writer(item.name, item.category)
        for entry in value:
            write(out, item_tag, "", entry)
        out.append(f"</{tag}>")
    elif kind.category == "data":
        out.append(f'<{tag}{attributes} xsi:type="{value.kind}">')
        write_fields(out, value)
        out.append(f"</{tag}>")
    elif kind.category == "fault":
        write_fault(out, tag, f'{attributes} xsi:type="LocalizedMethodFault"', value)
    elif kind.category == "any":
        write_any(out, tag, attributes, value)
    else:
        name = "ManagedObjectReference" if kind.category == "ref" else kind.name
        writer(kind.name, kind.category)(out, tag, f'{attributes} xsi:type="{name}"', value)


def _guess(value: Any) -> str:
    if isinstance(value, Record):
        return "MethodFault" if value.kind == "LocalizedMethodFault" else value.kind
    if isinstance(value, Ref):
        return value.kind
    if isinstance(value, bool):
        return "xsd:boolean"
    if isinstance(value, int):
        return "xsd:int" if -_INT_LIMIT <= value < _INT_LIMIT else "xsd:long"
    if isinstance(value, str):
        return "xsd:string"
    if isinstance(value, float):
        return "xsd:double"
    if isinstance(value, bytes):
        return "xsd:base64Binary"
    raise Unserialisable(f"the type of {value!r} must be given")


def _write_text(out: list[str], tag: str, attributes: str, value: str) -> None:
    out.append(f"<{tag}{attributes}>{text(value)}</{tag}>")


def _write_bool(out: list[str], tag: str, attributes: str, value: bool) -> None:
    out.append(f"<{tag}{attributes}>{'true' if value else 'false'}</{tag}>")


def _write_number(out: list[str], tag: str, attributes: str, value: float) -> None:
    out.append(f"<{tag}{attributes}>{value}</{tag}>")


def _write_time(out: list[str], tag: str, attributes: str, value: float) -> None:
    out.append(f"<{tag}{attributes}>{timestamp(value)}</{tag}>")


def _write_binary(out: list[str], tag: str, attributes: str, value: bytes) -> None:
    out.append(f"<{tag}{attributes}>{base64.b64encode(value).decode()}</{tag}>")


_SCALARS: dict[str, Write] = {
    "xsd:boolean": _write_bool,
    **dict.fromkeys(("xsd:byte", "xsd:short", "xsd:int", "xsd:long", "xsd:float", "xsd:double"), _write_number),
    "xsd:dateTime": _write_time,
    "xsd:base64Binary": _write_binary,
}
