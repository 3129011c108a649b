"""WaitForUpdatesEx and its kin: what changed in the sight of a collector's filters since the version a client has."""

from collections.abc import Iterator
from typing import Any

from emulators.vcenter import properties
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.filters import PropertyFilter, Raw, Waiting, filters_of, refresh
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.records import Ref
from emulators.vcenter.selection import Selected
from emulators.vcenter.serialise import text

#: A wait without an end still ends after this much emulated time, as vCenter's does.
_LONGEST_WAIT = 1800.0
_POLL = 0.5
#: Truncated answers of which a session may still fetch the rest.
_MOST_RESTS = 20

#: One update of one object: its filter, what happened, the object, and the paths to read; `removed` tells of unset ones too.
Update = tuple[PropertyFilter, str, Ref, Selected | None, tuple[str, ...], bool]


def wait_for_updates_ex(call: Call, collector: Any, args: Any) -> Raw | Waiting | None:
    """WaitForUpdatesEx. Where time stands still it answers at once: nothing can happen while the only thread waits."""
    options = args.get("options")
    longest = options["maxWaitSeconds"] if options is not None else None
    most = options["maxObjectUpdates"] if options is not None else None
    if most is not None and most < 1:
        raise invalid_argument("options.maxObjectUpdates", "At least 1.")
    return _wait(call, collector, args.get("version") or "", _LONGEST_WAIT if longest is None else float(longest), most)


def wait_for_updates(call: Call, collector: Any, args: Any) -> Raw | Waiting | None:
    """WaitForUpdates: as above, but its answer is never empty where time stands still."""
    unchanged = Raw([f"<returnval><version>{call.inventory.log_version}</version></returnval>".encode()])
    return _wait(call, collector, args.get("version") or "", _LONGEST_WAIT, None, unchanged) or unchanged


def check_for_updates(call: Call, collector: Any, args: Any) -> Raw | Waiting | None:
    """CheckForUpdates."""
    return _wait(call, collector, args.get("version") or "", 0.0, None)


def cancel_wait(call: Call, _collector: Any, _args: Any) -> None:
    """CancelWaitForUpdates."""
    if call.session is not None:
        call.session.wakes += 1
    call.inventory.changed.notify_all()


def _wait(
    call: Call, collector: Any, version: str, longest: float, most: int | None, otherwise: Raw | None = None
) -> Raw | Waiting | None:
    inventory, session = call.inventory, call.session
    assert session is not None, "the registry asks for a session"
    rest = session.pages.get(f"updates {version}")
    if rest is not None:
        return _answer(call, list(rest[0]), version.partition("-")[0], most)
    since = _version(call, version)
    wakes = session.wakes

    def again() -> Raw | None:
        if session.ended:
            raise Fault("NotAuthenticated", "The session has ended.", object=ref(collector), privilegeId="System.View")
        if session.wakes != wakes:
            raise Fault("RequestCanceled", "The wait was canceled.")
        session.last_active = inventory.clock.now()
        found = [update for made in filters_of(call, collector) for update in _updates(call, made, since)]
        return _answer(call, found, str(inventory.log_version), most) if found else None

    waiting = Waiting(again, inventory.clock.now() + longest, otherwise or Raw([]))
    found = again()
    if found is not None or longest <= 0 or not inventory.clock.flow or inventory.closed:
        return found
    return waiting if call.patient else _hold(call, waiting)


def _hold(call: Call, waiting: Waiting) -> Raw | None:
    """Wait in this thread; the lock is free meanwhile."""
    inventory = call.inventory
    while not inventory.closed:
        left = waiting.deadline - inventory.clock.now()
        if left <= 0:
            return None
        inventory.changed.wait(timeout=min(left / inventory.clock.flow, _POLL))
        found = waiting.again()
        if found is not None:
            return found
    return None


def _version(call: Call, version: str) -> int:
    if not version:
        return -1
    if not version.isascii() or not version.isdigit() or len(version) > 18 or int(version) > call.inventory.log_version:
        raise Fault("InvalidCollectorVersion", f"{version!r} is not a version of this property collector.")
    return int(version)


def _updates(call: Call, made: PropertyFilter, since: int) -> Iterator[Update]:
    refresh(call, made)
    for entered, gone, one in made.left.values():
        if entered <= since < gone and one.moid not in made.members:
            yield made, "leave", one, None, (), False
    if made.newest > since:
        for moid, selected in made.members.items():
            if made.entered[moid] > since:
                yield made, "enter", ref(selected.managed), selected, selected.paths, False
    yield from _modified(call, made, since)


def _modified(call: Call, made: PropertyFilter, since: int) -> Iterator[Update]:
    changes = call.inventory.changes_since(since) if since >= 0 else []
    if changes is None:  # the log does not reach back: everything is told again
        for moid, selected in made.members.items():
            if made.entered[moid] <= since:
                yield made, "modify", ref(selected.managed), selected, selected.paths, True
        return
    changed: dict[str, dict[str, None]] = {}
    for change in changes:
        if change.path and change.moid in made.members and made.entered[change.moid] <= since:
            changed.setdefault(change.moid, {})[change.path] = None
    for moid, paths in changed.items():
        selected = made.members[moid]
        touched = _touched(made, selected.paths, paths)
        if touched:
            yield made, "modify", ref(selected.managed), selected, touched, True


def _touched(made: PropertyFilter, wanted: tuple[str, ...], changed: dict[str, None]) -> tuple[str, ...]:
    """The paths to report: what changed inside a wanted path, or the wanted path inside what changed."""
    found: dict[str, None] = {}
    for path in wanted:
        for change in changed:
            if change == path or path.startswith((f"{change}.", f"{change}[")):
                found[path] = None
            elif change.startswith((f"{path}.", f"{path}[")):
                found[change if made.partial else path] = None
    return tuple(found)


def _answer(call: Call, updates: list[Update], version: str, most: int | None) -> Raw:
    """The answer with the first `most` updates. The version of a truncated one names the rest, so it can be asked for again."""
    shown, rest = (updates, []) if most is None else (updates[:most], updates[most:])
    told = version
    if rest and call.session is not None:
        told = f"{version}-{call.inventory.clock.uuid()}"
        pages = call.session.pages
        pages[f"updates {told}"] = (rest, most or 0)
        while len(pages) > _MOST_RESTS:
            pages.pop(next(iter(pages)))
    parts = [f"<returnval><version>{told}</version>".encode()]
    current: PropertyFilter | None = None
    for update in shown:
        if update[0] is not current:
            parts.append(b"</filterSet>" if current is not None else b"")
            current = update[0]
            parts.append(f'<filterSet><filter type="PropertyFilter">{text(current.moid)}</filter>'.encode())
        _write(parts, call, update)
    parts.append(b"</filterSet>" if current is not None else b"")
    parts.append(b"<truncated>true</truncated></returnval>" if rest else b"</returnval>")
    return Raw(parts)


def _write(parts: list[bytes], call: Call, update: Update) -> None:
    _, kind, one, selected, paths, removed = update
    parts.append(f'<objectSet><kind>{kind}</kind><obj type="{one.kind}">{text(one.moid)}</obj>'.encode())
    for path in paths if selected is not None else ():
        assert selected is not None
        try:
            found = properties.val(call, selected.managed, path)
        except Fault:  # the path does not exist on this object
            continue
        if found is not None:
            parts += (f"<changeSet><name>{text(path)}</name><op>assign</op>".encode(), found, b"</changeSet>")
        elif removed:
            parts.append(f"<changeSet><name>{text(path)}</name><op>remove</op></changeSet>".encode())
    parts.append(b"</objectSet>")


UPDATE_OPERATIONS = {
    "WaitForUpdatesEx": wait_for_updates_ex,
    "WaitForUpdates": wait_for_updates,
    "CheckForUpdates": check_for_updates,
    "CancelWaitForUpdates": cancel_wait,
}
