"""Filters of property collectors: which objects they see, kept up to date from the change log.

A filter remembers when each of its objects came and went, by version of the log. So an answer depends only on the version the
client has: one that was lost on the way can be asked for again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter import properties, selection
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import TREE, Call, Change, ref
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.selection import Selected

#: Departures that a filter remembers for clients that are behind.
_MOST_LEFT = 20_000


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is XML already, in pieces."""

    parts: list[bytes]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An answer that is not there yet. `again` gives it, or None; at `deadline` (emulated time) `otherwise` is the answer."""

    again: Callable[[], Raw | None]
    deadline: float
    otherwise: Raw


@dataclass(slots=True)
class PropertyCollector:
    """A collector that a client made for itself."""

    moid: str
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "PropertyCollector"


@dataclass(slots=True)
class PropertyFilter:
    """A filter: `members` is what it sees; `entered` and `left` say when, by version. `seen` is how far it has read the log."""

    moid: str
    collector: str
    spec: Record
    partial: bool
    starts: frozenset[str]
    walked: frozenset[str]  #: the properties that its traversals walk
    seen: int = -1
    newest: int = -1  #: version at which an object entered last
    members: dict[str, Selected] = field(default_factory=dict)
    entered: dict[str, int] = field(default_factory=dict)
    left: dict[str, tuple[int, int, Ref]] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "PropertyFilter"


def filters_of(call: Call, collector: Any) -> list[PropertyFilter]:
    """The filters that the session has made on a collector."""
    mine = call.session.objects.values() if call.session else ()
    return [one for one in mine if isinstance(one, PropertyFilter) and one.collector == collector.moid]


def refresh(call: Call, made: PropertyFilter) -> None:
    """Read the log on. Only a change that can matter to what the filter sees makes it look again."""
    inventory = call.inventory
    if made.seen >= inventory.log_version:
        return
    changes = inventory.changes_since(made.seen) if made.seen >= 0 else None
    made.seen = now = inventory.log_version
    if changes is not None and not any(_matters(made, change) for change in changes):
        return
    try:
        fresh = selection.select(call, made.spec)
    except Fault:  # what it started from is gone
        fresh = {}
    for moid, selected in made.members.items():
        if moid not in fresh:
            made.left[moid] = (made.entered.pop(moid), now, ref(selected.managed))
    for moid in fresh:
        if moid not in made.members:
            made.entered[moid] = made.newest = now
    made.members = fresh
    while len(made.left) > _MOST_LEFT:
        made.left.pop(next(iter(made.left)))


def _matters(made: PropertyFilter, change: Change) -> bool:
    """Whether a change can make objects come into the filter's sight or leave it."""
    shows_tree = "view" in made.walked
    if not change.path:
        return change.moid in made.members or change.moid in made.starts or (shows_tree and change.entity)
    if change.path in ("permission", "roleList"):
        return True
    return properties.top_of(change.path) in made.walked or (shows_tree and change.path in TREE)
