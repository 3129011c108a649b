"""Reading properties by path: `config.hardware.device`, `config.hardware.device[2000].backing`."""

import re
from functools import lru_cache
from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call
from emulators.vcenter.records import Record, Typed
from emulators.vcenter.serialise import any_fragment, text

_STEP = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)(?:\[(?:"([^"]*)"|([^\]"]*))\])?(?:\.|$)')


def invalid_property(path: str) -> Fault:
    return Fault("InvalidProperty", f"The property {path} does not exist.", name=path)


@lru_cache(4096)
def steps(path: str) -> tuple[tuple[str, str | None], ...]:
    """Names and keys of a path. Raises `Fault("InvalidProperty")`."""
    found: list[tuple[str, str | None]] = []
    position = 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            raise invalid_property(path)
        found.append((step[1], step[2] if step[2] is not None else step[3]))
        position = step.end()
    if not found or len(found) > 20:
        raise invalid_property(path)
    return tuple(found)


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


def top_of(path: str) -> str:
    """The property of the object that a path begins with."""
    return path.partition(".")[0].partition("[")[0]


def prop_set(call: Call, managed: Any, path: str) -> bytes | None:
    """`<propSet>` of a property, kept until the object changes. None where it is not set. Raises `Fault("InvalidProperty")`."""
    cache = managed.cache
    kept = cache.get(path)
    kind = call.inventory.kinds[managed.kind]
    if kept is not None:
        stamp: object = kept[0]
        found: bytes | None = kept[1]
        if stamp is None or stamp == kind.stamps[top_of(path)](managed):
            return found
    value = read(call, managed, path)
    found = None
    if value is not None:
        found = f"<propSet><name>{text(path)}</name>{any_fragment('val', value.type, value.value)}</propSet>".encode()
    top = top_of(path)
    if top in kind.stamps:
        cache[path] = (kind.stamps[top](managed), found)
    elif top not in kind.volatile and top not in kind.personal:
        cache[path] = (None, found)
    return found


def val(call: Call, managed: Any, path: str) -> bytes | None:
    """`<val>` of a property; None where it is not set. Raises `Fault("InvalidProperty")`."""
    found = prop_set(call, managed, path)
    return found if found is None else found[found.index(b"</name>") + 7 : -len("</propSet>")]


def every(call: Call, managed: Any) -> tuple[str, ...]:
    """The names of all properties of an object that can have a value."""
    kind = call.inventory.kinds[managed.kind]
    return tuple(
        field.name for field in schema.fields(managed.kind) if field.name in kind.properties or field.name in kind.personal
    )
