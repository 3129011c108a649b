"""Reading properties by path: `config.hardware.device`, `config.hardware.device[2000].backing`."""

import re
from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call
from emulators.vcenter.records import Record, Typed
from emulators.vcenter.serialise import any_fragment

_STEP = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)(?:\[(?:"([^"]*)"|([^\]"]*))\])?(?:\.|$)')


def invalid_property(path: str) -> Fault:
    return Fault("InvalidProperty", f"The property {path} does not exist.", name=path)


def steps(path: str) -> list[tuple[str, str | None]]:
    """Names and keys of a path. Raises `Fault("InvalidProperty")`."""
    found, position = [], 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            raise invalid_property(path)
        found.append((step[1], step[2] if step[2] is not None else step[3]))
        position = step.end()
    if not found or len(found) > 20:
        raise invalid_property(path)
    return found


def read(call: Call, managed: Any, path: str) -> Typed | None:
    """The value at a path with its declared type; None where it is not set. Raises `Fault("InvalidProperty")`."""
    (name, key), *rest = steps(path)
    field = schema.property_of(managed.kind, name)
    if field is None:
        raise invalid_property(path)
    kind = call.inventory.kinds[managed.kind]
    if name in kind.personal:
        value = kind.personal[name](call)
    else:
        source = kind.properties.get(name)
        value = source(call.inventory, managed) if source else None
    declared = field.type
    while True:
        if key is not None:
            declared, value = _pick(declared, value, key, path)
        if not rest:
            return None if value is None else Typed(declared.name, value)
        (name, key), *rest = rest
        declared, value = _step(declared, value, name, path)


def _pick(declared: schema.Type, value: Any, key: str, path: str) -> tuple[schema.Type, Any]:
    if declared.category != "list":
        raise invalid_property(path)
    for item in value or []:
        if isinstance(item, Record) and str(item["key"]) == key:
            return declared.item, item
    return declared.item, None


def _step(declared: schema.Type, value: Any, name: str, path: str) -> tuple[schema.Type, Any]:
    if declared.category == "any" and isinstance(value, Typed):
        declared, value = schema.named(value.type), value.value
    kind = value.kind if isinstance(value, Record) else declared.name
    if declared.category not in ("data", "fault", "any") or not schema.exists(kind):
        raise invalid_property(path)
    field = schema.property_of(kind, name)
    if field is None:
        raise invalid_property(path)
    return field.type, value[name] if isinstance(value, Record) else None


def xml(call: Call, managed: Any, path: str) -> str | None:
    """`<val ...>` of a property, kept until the object changes. None where it is not set."""
    cache = managed.cache
    found: str | None = cache.get(path, "")
    if found != "":
        return found
    value = read(call, managed, path)
    found = any_fragment("val", value.type, value.value) if value is not None else None
    top = path.partition(".")[0].partition("[")[0]
    kind = call.inventory.kinds[managed.kind]
    if top not in kind.volatile and top not in kind.personal:
        cache[path] = found
    return found


def every(call: Call, managed: Any) -> tuple[str, ...]:
    """The names of all properties of an object that can have a value."""
    kind = call.inventory.kinds[managed.kind]
    return tuple(
        field.name for field in schema.fields(managed.kind) if field.name in kind.properties or field.name in kind.personal
    )
