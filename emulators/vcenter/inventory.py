"""The state of one vCenter: its objects, and the one function that changes them and keeps the log of changes.

Objects are plain records of their kind (see `objects/`). `kinds` says which properties and operations a kind has.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from emulators.clock import Clock
from emulators.vcenter import schema
from emulators.vcenter.faults import invalid_argument, not_found
from emulators.vcenter.records import Ref

if TYPE_CHECKING:
    from emulators.network import Host
    from emulators.vcenter.authorization import Authorization
    from emulators.vcenter.disk_store import DiskStore
    from emulators.vcenter.events import EventLog
    from emulators.vcenter.guests import GuestHooks
    from emulators.vcenter.kind import Kind
    from emulators.vcenter.sessions import Session, Sessions
    from emulators.vcenter.tasks import Tasks

_LOG_LIMIT = 200_000
ROOT = Ref("Folder", "group-d1")
T = TypeVar("T")


class Managed(Protocol):
    """What every managed object has. `cache` holds XML of properties until the object changes."""

    moid: str
    cache: dict[str, Any]

    @property
    def kind(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the change log: `path` of `moid` changed; an empty path means that the object came or went."""

    version: int
    moid: str
    path: str
    entity: bool  #: whether the object is one of the tree


class Signal:
    """Tells those who wait that something changed: threads, and faces that wait without one (`subscribe`)."""

    def __init__(self, lock: Any):
        self._condition = threading.Condition(lock)
        self._listeners: list[Callable[[], None]] = []

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Have `listener` called at each change, with the lock held: it must be quick and ask for nothing."""
        self._listeners.append(listener)

    def wait(self, timeout: float) -> None:
        self._condition.wait(timeout)

    def notify_all(self) -> None:
        self._condition.notify_all()
        for listener in self._listeners:
            listener()


@dataclass(slots=True)
class Call:
    """Who calls, with what: given to each operation."""

    inventory: "Inventory"
    session: "Session | None"
    peer: str = ""
    agent: str = ""
    task: Any = None
    #: The caller can wait by itself: an operation that would wait answers `Waiting` instead of holding a thread.
    patient: bool = False
    header: Any = None  #: the SOAP header of the request, as XML
    #: Set by a login: the cookie that the answer carries, and the session it opened.
    set_cookie: str | None = None
    opened: "Session | None" = None
    #: `https://host:port` as the caller reached this vCenter, where the face knows it.
    base: str = ""

    @property
    def user(self) -> str:
        return self.session.user if self.session else ""


@dataclass(slots=True)
class Inventory:
    """Everything one vCenter knows. Every access holds `lock`."""

    clock: Clock
    name: str
    version: str
    instance_uuid: str
    folder: Path
    authorization: "Authorization" = field(init=False)
    sessions: "Sessions" = field(init=False)
    events: "EventLog" = field(init=False)
    tasks: "Tasks" = field(init=False)
    hooks: "GuestHooks | None" = None
    stores: "dict[str, DiskStore]" = field(default_factory=dict)  # by the moid of the datastore
    lock: Any = field(default_factory=threading.RLock)
    changed: Signal = field(init=False)
    log_version: int = 1
    structure: int = 1  #: version of the last object that came, went or moved
    tree: int = 1  #: version of the last change of the tree of entities or of who may see it
    log: deque[Change] = field(default_factory=deque)
    _objects: dict[str, Any] = field(default_factory=dict)
    _by_type: dict[type, dict[str, Any]] = field(default_factory=dict)
    _counter: int = 0
    root: Ref = ROOT
    esx: bool = False  #: one ESXi host answers, not a vCenter
    kinds: "Mapping[str, Kind]" = field(default_factory=dict)
    closed: bool = False
    signing: Any = None  #: the key of its token service, once that is used
    #: What other APIs of this vCenter keep (tags, libraries), by the name of the API.
    beside: dict[str, Any] = field(default_factory=dict)
    #: Ids of objects that changed, came or went since somebody last emptied this: for who keeps the inventory on disk.
    touched: set[str] | None = None
    tls: bool = True  #: whether clients reach this vCenter over TLS
    host: "Host | None" = None  #: its place on the network, for what it fetches itself

    def __post_init__(self) -> None:
        self.changed = Signal(self.lock)

    # objects ---------------------------------------------------------------------------------------------------------

    def new_moid(self, prefix: str) -> str:
        """The next id: vCenter counts all kinds together (`vm-12`, `host-13`)."""
        self._counter += 1
        return f"{prefix}{self._counter}"

    def add(self, managed: Any) -> Any:
        """Put an object into the inventory."""
        self._objects[managed.moid] = managed
        self._by_type.setdefault(type(managed), {})[managed.moid] = managed
        self.note(managed, "")
        return managed

    def remove(self, managed: Any) -> None:
        """Take an object out of the inventory."""
        if self._objects.pop(managed.moid, None) is not None:
            self._by_type[type(managed)].pop(managed.moid, None)
            self.note(managed, "")

    def find(self, moid: str) -> Any:
        return self._objects.get(moid)

    def get(self, ref: Ref, kind: type[T]) -> T:
        """The object of a reference. Raises `Fault("ManagedObjectNotFound")`, or `InvalidArgument` when it is of another kind."""
        found = self._objects.get(ref.moid)
        if found is None:
            raise not_found(ref)
        if not isinstance(found, kind):
            raise invalid_argument(ref.moid, f"It is a {found.kind}.")
        return found

    def all_of(self, kind: type[T]) -> Iterator[T]:
        """All objects of one kind, oldest first."""
        return iter(list(self._by_type.get(kind, {}).values()))

    def count_of(self, kind: type) -> int:
        return len(self._by_type.get(kind, {}))

    def objects(self) -> list[Any]:
        return list(self._objects.values())

    # changes ---------------------------------------------------------------------------------------------------------

    def change(self, managed: Managed, *paths: str) -> None:
        """Log that these properties changed, drop what was kept of them, wake who waits. Call it after the change."""
        for path in paths:
            self.note(managed, path)

    def note(self, managed: Managed, path: str) -> None:
        self.log_version += 1
        managed.cache.clear()
        if self.touched is not None:
            self.touched.add(managed.moid)
        entity = is_entity(managed)
        self.log.append(Change(self.log_version, managed.moid, path, entity))
        if not path or path in _STRUCTURE:
            self.structure = self.log_version
        if (entity and not path) or path in TREE:
            self.tree = self.log_version
        while len(self.log) > _LOG_LIMIT:
            self.log.popleft()
        self.changed.notify_all()

    def touch(self, name: str) -> None:
        """Tell that what is kept beside the objects under `name` changes."""
        if self.touched is not None:
            self.touched.add(f"beside {name}")

    def changes_since(self, version: int) -> list[Change] | None:
        """The log after `version`; None when it no longer reaches back that far."""
        if self.log and version < self.log[0].version - 1:
            return None
        found = []
        for entry in reversed(self.log):
            if entry.version <= version:
                break
            found.append(entry)
        found.reverse()
        return found


#: Properties that decide what a view shows and what a permission covers.
TREE = frozenset(
    {
        "childEntity",
        "datastore",
        "host",
        "network",
        "parent",
        "permission",
        "resourcePool",
        "roleList",
        "runtime",
        "runtime.host",
        "vm",
    }
)

#: Properties that traversals walk: a change of one may change which objects a filter sees.
_STRUCTURE = frozenset(
    {
        "childEntity",
        "parent",
        "host",
        "vm",
        "datastore",
        "network",
        "resourcePool",
        "recentTask",
        "view",
        "snapshot",
        "snapshot.currentSnapshot",
        "runtime.host",
        "rootSnapshot",
        "permission",
    }
)


def ref(managed: Managed) -> Ref:
    """The reference of an object."""
    return Ref(managed.kind, managed.moid)


def is_entity(managed: Managed) -> bool:
    return schema.is_a(managed.kind, "ManagedEntity")
