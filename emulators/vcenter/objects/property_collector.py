"""PropertyCollector: bulk reads, and the filters whose updates `property_updates` gives."""

from collections.abc import Iterator
from typing import Any

from emulators.vcenter import properties, selection
from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.filters import PropertyCollector, PropertyFilter, Raw, filters_of, refresh
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.objects import property_updates
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.selection import Selected
from emulators.vcenter.serialise import fragment, text

_MOST_FILTERS = 1000
#: Bulk answers and truncated updates of which a client may still fetch the rest.
_MOST_RESTS = 20


# reading -------------------------------------------------------------------------------------------------------------


def _write(parts: list[bytes], tag: str, call: Call, selected: Selected) -> None:
    managed = selected.managed
    parts.append(f'<{tag}><obj type="{managed.kind}">{text(managed.moid)}</obj>'.encode())
    missing = []
    for path in selected.paths:
        try:
            found = properties.prop_set(call, managed, path)
        except Fault as fault:
            if fault.kind == "InvalidProperty":
                raise
            missing.append(_missing(path, fault).encode())
            continue
        if found is not None:
            parts.append(found)
    parts += missing
    parts.append(f"</{tag}>".encode())


def _missing(path: str, fault: Fault) -> str:
    return fragment("missingSet", "MissingProperty", Record("MissingProperty", path=path, fault=fault.record()))


def _selected(call: Call, specs: list[Record]) -> Iterator[Selected]:
    if call.session is None:  # the registry lets anybody ask, but there is nothing to see
        collector = Ref("PropertyCollector", "propertyCollector")
        raise Fault("NotAuthenticated", "The session is not authenticated.", object=collector, privilegeId="System.View")
    for spec in specs:
        selection.check(spec)
        yield from selection.select(call, spec).values()


def retrieve(call: Call, _collector: Any, args: Any) -> Raw:
    """RetrieveProperties: everything at once."""
    parts: list[bytes] = []
    for selected in _selected(call, args["specSet"]):
        _write(parts, "returnval", call, selected)
    return Raw(parts)


def retrieve_ex(call: Call, _collector: Any, args: Any) -> Raw | None:
    """RetrievePropertiesEx: in pieces of `maxObjects`, or everything at once."""
    limit = args["options"]["maxObjects"]
    if limit is not None and limit < 1:
        raise invalid_argument("options.maxObjects", "At least 1.")
    objects = list(_selected(call, args["specSet"]))
    return _page(call, objects, limit or len(objects)) if objects else None


def _page(call: Call, objects: list[Selected], size: int) -> Raw:
    shown, rest = objects[:size], objects[size:]
    parts = [b"<returnval>"]
    if rest and call.session is not None:
        name = call.inventory.clock.uuid()
        _keep(call.session.pages, name, (rest, size))
        parts.append(f"<token>{name}</token>".encode())
    for selected in shown:
        _write(parts, "objects", call, selected)
    parts.append(b"</returnval>")
    return Raw(parts)


def _keep(rests: dict[str, Any], name: str, rest: Any) -> None:
    rests[name] = rest
    while len(rests) > _MOST_RESTS:
        rests.pop(next(iter(rests)))


def continue_retrieve(call: Call, _collector: Any, args: Any) -> Raw:
    """ContinueRetrievePropertiesEx: the next piece, of what is still there."""
    pages = call.session.pages if call.session else {}
    if args["token"] not in pages:
        raise invalid_argument("token", "There is nothing left to continue with.")
    rest, size = pages.pop(args["token"])
    return _page(call, [one for one in rest if _still(call, one)], size)


def _still(call: Call, selected: Selected) -> bool:
    moid = selected.managed.moid
    mine = call.session.objects if call.session else {}
    return (call.inventory.find(moid) or mine.get(moid)) is selected.managed


def cancel_retrieve(call: Call, _collector: Any, args: Any) -> None:
    """CancelRetrievePropertiesEx."""
    pages = call.session.pages if call.session else {}
    if pages.pop(args["token"], None) is None:
        raise invalid_argument("token", "There is nothing left to continue with.")


# filters -------------------------------------------------------------------------------------------------------------


def create_filter(call: Call, collector: Any, args: Any) -> Ref:
    """CreateFilter."""
    assert call.session is not None, "the registry asks for a session"
    if len(call.session.objects) >= _MOST_FILTERS:
        raise Fault("InvalidState", "The session has too many views and filters.")
    selection.check(args["spec"])
    moid = f"session[{call.session.key}]{call.inventory.clock.uuid()}"
    starts = frozenset(one["obj"].moid for one in args["spec"]["objectSet"] or [])
    made = PropertyFilter(
        moid, collector.moid, args["spec"], args["partialUpdates"], starts, frozenset(selection.walked(args["spec"]))
    )
    call.inventory.log_version += 1  # so that what it sees is newer than any version a client has
    refresh(call, made)
    call.session.objects[moid] = made
    return ref(made)


def destroy_filter(call: Call, made: PropertyFilter, _args: Any) -> None:
    """DestroyPropertyFilter."""
    if call.session is not None:
        call.session.objects.pop(made.moid, None)


def create_collector(call: Call, _collector: Any, _args: Any) -> Ref:
    """CreatePropertyCollector."""
    assert call.session is not None, "the registry asks for a session"
    made = PropertyCollector(f"session[{call.session.key}]{call.inventory.clock.uuid()}")
    call.session.objects[made.moid] = made
    return ref(made)


def destroy_collector(call: Call, collector: Any, _args: Any) -> None:
    """DestroyPropertyCollector, with its filters."""
    if call.session is None or collector.moid not in call.session.objects:
        raise Fault("NotSupported", "The default property collector cannot be destroyed.")
    for made in filters_of(call, collector):
        call.session.objects.pop(made.moid)
    call.session.objects.pop(collector.moid)


PROPERTIES: dict[str, Property] = {}
OPERATIONS = {
    "RetrieveProperties": retrieve,
    "RetrievePropertiesEx": retrieve_ex,
    "ContinueRetrievePropertiesEx": continue_retrieve,
    "CancelRetrievePropertiesEx": cancel_retrieve,
    "CreateFilter": create_filter,
    "CreatePropertyCollector": create_collector,
    "DestroyPropertyCollector": destroy_collector,
    **property_updates.UPDATE_OPERATIONS,
}
FILTER_PROPERTIES: dict[str, Property] = {
    "spec": lambda _inventory, made: made.spec,
    "partialUpdates": lambda _inventory, made: made.partial,
}
FILTER_OPERATIONS = {"DestroyPropertyFilter": destroy_filter}
