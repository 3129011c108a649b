"""PropertyCollector: bulk reads, and updates from the change log.

A filter remembers when each of its objects came and went, by version of the log. So an answer depends only on the version the
client has: one that was lost on the way can be asked for again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter import properties, selection
from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.selection import Selected
from emulators.vcenter.serialise import fragment, text

#: One piece of a bulk answer, when the client names no other size.
_PAGE = 1000
_MOST_FILTERS = 1000
#: A wait without an end still ends after this much emulated time, as vCenter's does.
_LONGEST_WAIT = 1800.0
_POLL = 0.5


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is XML already."""

    xml: str


@dataclass(slots=True)
class PropertyCollector:
    """A collector that a client made for itself."""

    moid: str
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "PropertyCollector"


@dataclass(slots=True)
class PropertyFilter:
    """A filter: `members` is what it sees since `seen`; `entered` and `left` say when, by version."""

    moid: str
    collector: str
    spec: Record
    partial: bool
    seen: int = -1
    members: dict[str, Selected] = field(default_factory=dict)
    entered: dict[str, int] = field(default_factory=dict)
    left: dict[str, tuple[int, int, Ref]] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "PropertyFilter"


# reading -------------------------------------------------------------------------------------------------------------


def _object(tag: str, call: Call, selected: Selected) -> str:
    managed = selected.managed
    parts = [f'<{tag}><obj type="{managed.kind}">{text(managed.moid)}</obj>']
    missing = []
    for path in selected.paths:
        try:
            value = properties.xml(call, managed, path)
        except Fault as fault:
            if fault.kind == "InvalidProperty":
                raise
            missing.append(_missing(path, fault))
            continue
        if value is not None:
            parts.append(f"<propSet><name>{text(path)}</name>{value}</propSet>")
    return "".join([*parts, *missing, f"</{tag}>"])


def _missing(path: str, fault: Fault) -> str:
    return fragment("missingSet", "MissingProperty", Record("MissingProperty", path=path, fault=fault.record()))


def _selected(call: Call, specs: list[Record]) -> Iterator[Selected]:
    for spec in specs:
        selection.check(spec)
        yield from selection.select(call, spec).values()


def retrieve(call: Call, _collector: Any, args: Any) -> Raw:
    """RetrieveProperties: everything at once."""
    return Raw("".join(_object("returnval", call, selected) for selected in _selected(call, args["specSet"])))


def retrieve_ex(call: Call, _collector: Any, args: Any) -> Raw | None:
    """RetrievePropertiesEx: in pieces of `maxObjects`."""
    limit = args["options"]["maxObjects"]
    if limit is not None and limit < 1:
        raise invalid_argument("options.maxObjects", "At least 1.")
    objects = [_object("objects", call, selected) for selected in _selected(call, args["specSet"])]
    return _page(call, objects, limit or _PAGE) if objects else None


def _page(call: Call, objects: list[str], size: int) -> Raw:
    shown, rest = objects[:size], objects[size:]
    token = ""
    if rest and call.session is not None:
        name = call.inventory.clock.uuid()
        call.session.pages[name] = (rest, size)
        while len(call.session.pages) > 20:
            call.session.pages.pop(next(iter(call.session.pages)))
        token = f"<token>{name}</token>"
    return Raw(f"<returnval>{token}{''.join(shown)}</returnval>")


def continue_retrieve(call: Call, _collector: Any, args: Any) -> Raw:
    """ContinueRetrievePropertiesEx."""
    pages = call.session.pages if call.session else {}
    if args["token"] not in pages:
        raise invalid_argument("token", "There is nothing left to continue with.")
    return _page(call, *pages.pop(args["token"]))


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
    made = PropertyFilter(moid, collector.moid, args["spec"], args["partialUpdates"])
    call.inventory.log_version += 1  # so that what it sees is newer than any version a client has
    _refresh(call, made)
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
    for made in _filters(call, collector):
        call.session.objects.pop(made.moid)
    call.session.objects.pop(collector.moid)


def _filters(call: Call, collector: Any) -> list[PropertyFilter]:
    mine = call.session.objects.values() if call.session else ()
    return [one for one in mine if isinstance(one, PropertyFilter) and one.collector == collector.moid]


def _refresh(call: Call, made: PropertyFilter) -> None:
    """Look again at what the filter sees, when the structure of the inventory has changed since."""
    inventory = call.inventory
    if made.seen >= inventory.structure:
        return
    now = inventory.log_version
    try:
        fresh = selection.select(call, made.spec)
    except Fault:  # what it started from is gone
        fresh = {}
    for moid, selected in made.members.items():
        if moid not in fresh:
            made.left[moid] = (made.entered.pop(moid), now, ref(selected.managed))
    for moid in fresh:
        if moid not in made.members:
            made.entered[moid] = now
    made.members, made.seen = fresh, inventory.structure


# updates -------------------------------------------------------------------------------------------------------------


def wait_for_updates_ex(call: Call, collector: Any, args: Any) -> Raw | None:
    """WaitForUpdatesEx. Where time stands still it answers at once: nothing can happen while the only thread waits."""
    options = args.get("options")
    longest = options["maxWaitSeconds"] if options is not None else None
    return _wait(call, collector, args.get("version") or "", _LONGEST_WAIT if longest is None else float(longest))


def wait_for_updates(call: Call, collector: Any, args: Any) -> Raw:
    """WaitForUpdates: as above, but its answer is never empty."""
    found = _wait(call, collector, args.get("version") or "", _LONGEST_WAIT)
    return found or Raw(f"<returnval><version>{call.inventory.log_version}</version></returnval>")


def check_for_updates(call: Call, collector: Any, args: Any) -> Raw | None:
    """CheckForUpdates."""
    return _wait(call, collector, args.get("version") or "", 0.0)


def cancel_wait(call: Call, _collector: Any, _args: Any) -> None:
    """CancelWaitForUpdates."""
    if call.session is not None:
        call.session.wakes += 1
    call.inventory.changed.notify_all()


def _wait(call: Call, collector: Any, version: str, longest: float) -> Raw | None:
    inventory, session = call.inventory, call.session
    assert session is not None, "the registry asks for a session"
    since = _version(call, version)
    wakes, deadline = session.wakes, inventory.clock.now() + longest
    while True:
        found = _updates(call, collector, since)
        left = deadline - inventory.clock.now()
        if found is not None or not inventory.clock.flow or left <= 0 or inventory.closed:
            return found
        inventory.changed.wait(timeout=min(left / inventory.clock.flow, _POLL))
        if session.ended:
            raise Fault("NotAuthenticated", "The session has ended.", object=ref(collector), privilegeId="System.View")
        if session.wakes != wakes:
            raise Fault("RequestCanceled", "The wait was canceled.")
        session.last_active = inventory.clock.now()


def _version(call: Call, version: str) -> int:
    if not version:
        return -1
    if not version.isdigit() or int(version) > call.inventory.log_version:
        raise Fault("InvalidCollectorVersion", f"{version!r} is not a version of this property collector.")
    return int(version)


def _updates(call: Call, collector: Any, since: int) -> Raw | None:
    sets = []
    for made in _filters(call, collector):
        _refresh(call, made)
        objects = "".join(_filter_updates(call, made, since))
        if objects:
            sets.append(f'<filterSet><filter type="PropertyFilter">{text(made.moid)}</filter>{objects}</filterSet>')
    if not sets:
        return None
    return Raw(f"<returnval><version>{call.inventory.log_version}</version>{''.join(sets)}</returnval>")


def _filter_updates(call: Call, made: PropertyFilter, since: int) -> Iterator[str]:
    for entered, gone, one in made.left.values():
        if entered <= since < gone and one.moid not in made.members:
            yield _update("leave", one, "")
    changes = call.inventory.changes_since(since) if since >= 0 else []
    changed: dict[str, dict[str, None]] = {}
    for change in changes or []:
        if change.path and change.moid in made.members:
            changed.setdefault(change.moid, {})[change.path] = None
    for moid, selected in made.members.items():
        if made.entered[moid] > since:
            yield _update("enter", ref(selected.managed), _changes(call, selected, selected.paths))
        elif changes is None:
            yield _update("modify", ref(selected.managed), _changes(call, selected, selected.paths))
        elif moid in changed:
            content = _changes(call, selected, _touched(made, selected.paths, changed[moid]), removed=True)
            if content:
                yield _update("modify", ref(selected.managed), content)


def _touched(made: PropertyFilter, wanted: tuple[str, ...], changed: dict[str, None]) -> list[str]:
    """The paths to report: what changed inside a wanted path, or the wanted path inside what changed."""
    found: dict[str, None] = {}
    for path in wanted:
        for change in changed:
            if change == path or path.startswith(f"{change}."):
                found[path] = None
            elif change.startswith(f"{path}."):
                found[change if made.partial else path] = None
    return list(found)


def _changes(call: Call, selected: Selected, paths: Any, *, removed: bool = False) -> str:
    parts = []
    for path in paths:
        try:
            value = properties.xml(call, selected.managed, path)
        except Fault:  # the path does not exist on this object
            continue
        if value is not None:
            parts.append(f"<changeSet><name>{text(path)}</name><op>assign</op>{value}</changeSet>")
        elif removed:
            parts.append(f"<changeSet><name>{text(path)}</name><op>remove</op></changeSet>")
    return "".join(parts)


def _update(kind: str, one: Ref, content: str) -> str:
    return f'<objectSet><kind>{kind}</kind><obj type="{one.kind}">{text(one.moid)}</obj>{content}</objectSet>'


PROPERTIES: dict[str, Property] = {}
OPERATIONS = {
    "RetrieveProperties": retrieve,
    "RetrievePropertiesEx": retrieve_ex,
    "ContinueRetrievePropertiesEx": continue_retrieve,
    "CancelRetrievePropertiesEx": cancel_retrieve,
    "CreateFilter": create_filter,
    "CreatePropertyCollector": create_collector,
    "DestroyPropertyCollector": destroy_collector,
    "WaitForUpdatesEx": wait_for_updates_ex,
    "WaitForUpdates": wait_for_updates,
    "CheckForUpdates": check_for_updates,
    "CancelWaitForUpdates": cancel_wait,
}
FILTER_PROPERTIES: dict[str, Property] = {
    "spec": lambda _inventory, made: made.spec,
    "partialUpdates": lambda _inventory, made: made.partial,
}
FILTER_OPERATIONS = {"DestroyPropertyFilter": destroy_filter}
