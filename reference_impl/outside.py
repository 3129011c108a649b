"""What the components need from outside, as protocols. They import nothing of the world they run in; it is handed to them."""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

Process = Generator[float, None, Any]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Timer(Protocol):
    def cancel(self) -> None: ...


class Task(Protocol):
    done: bool
    result: Any
    error: BaseException | None

    def cancel(self) -> None: ...


class Clock(Protocol):
    """The timers of one component (`emulators.clock.Scope`). Processes are generators that yield seconds of rest."""

    def now(self) -> float: ...
    def uuid(self) -> str: ...
    def random_bytes(self, count: int) -> bytes: ...
    def call_later(self, seconds: float, action: Callable[[], None], *, name: str) -> Timer: ...
    def spawn(self, process: Process, *, name: str) -> Task: ...
    def every(self, seconds: float, action: Callable[[], None], *, name: str, first_after: float | None = None) -> Task: ...
    def cancel_all(self) -> None: ...


class Reply(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


class Listener(Protocol):
    port: int

    def close(self) -> None: ...


class ClientIdentity(Protocol):
    """A client certificate and its key, PEM."""

    @property
    def certificate(self) -> bytes: ...
    @property
    def key(self) -> bytes: ...


class Host(Protocol):
    """The component's place on the network. Every failure to reach somebody is an `OSError`."""

    name: str
    address: str

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 60.0,
        identity: ClientIdentity | None = None,
    ) -> Reply: ...
    def listen(self, port: int, app: WsgiApp, *, tls: bool = True, clients: bytes | None = None) -> Listener:
        """`clients`: the PEM of who has signed the certificates of those that are let in; the application finds theirs (DER) as
        `environ["drillbed.certificate"]`."""
        ...

    def connection(self, destination: str, port: int, *, tls: bool = True, timeout: float = 60.0) -> Any: ...


class Tunnels(Protocol):
    """Connections kept open from inside to a relay, through which hosts that reach the relay reach the one that keeps it."""

    def keep(self, host: Any, relay: str) -> None: ...
    def end(self, host: Any) -> None: ...


class Disk(Protocol):
    """A disk as the guest sees it. `serial` is empty when the hypervisor hides it (disk.EnableUUID not set)."""

    unit: int
    serial: str
    size: int

    def read(self, offset: int, length: int) -> bytes: ...
    def write(self, offset: int, data: bytes) -> None: ...
    def flush(self) -> None: ...


class WriteFilter(Protocol):
    """Sees each write of the guest in order, across all disks, after it reached the disk and before the next one."""

    def wrote(self, unit: int, offset: int, data: bytes, when: float) -> None: ...


class Guest(Protocol):
    """The machine an agent or a master target runs in."""

    machine_id: str
    name: str
    os_type: str  #: WINDOWS or LINUX

    @property
    def quiesce(self) -> Callable[[], AbstractContextManager[None]] | None:
        """Applications flush and rest within it; entering raises `OSError` when one does not. None: no way to do it (RPT-003)."""
        ...

    def disks(self) -> list[Disk]: ...
    def attach_filter(self, write_filter: WriteFilter) -> None: ...
    def detach_filter(self, write_filter: WriteFilter) -> None: ...

    def driver(self, name: str, load: Callable[[], WriteFilter]) -> WriteFilter:
        """The driver of that name; loaded now unless it is there. It sees writes until the machine ends, whoever loaded it."""
        ...

    def now(self) -> float:
        """The time as the machine's own clock has it (REP-017)."""
        ...

    def hold_writes(self) -> AbstractContextManager[None]:
        """Writes of the guest wait while it is held; used for tags and for reading a block as of one sequence number."""
        ...

    def on_shutdown(self, action: Callable[[], None]) -> None:
        """`action` runs in an orderly shutdown, after the last write. Not at power loss."""
        ...


@dataclass(frozen=True, slots=True)
class BlobProperties:
    size: int
    etag: str
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class BlobEntry:
    name: str
    size: int
    snapshot: str | None


@dataclass(frozen=True, slots=True)
class QueueMessage:
    id: str
    receipt: str
    text: str
    dequeue_count: int


class BlobStore(Protocol):
    """Blobs and queues of one storage account. Errors are those of `azure.core.exceptions` with `error_code` as Azure has it
    (ResourceExistsError, ResourceNotFoundError, ResourceModifiedError, HttpResponseError); unreachable is `OSError`.
    Offsets and lengths of pages are multiples of 512 bytes; one `put_pages` takes at most 4 MiB."""

    account: str

    def create_container(self, container: str) -> None: ...
    def put_blob(
        self,
        container: str,
        name: str,
        data: bytes,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        lease: str | None = None,
    ) -> str: ...
    def get_blob(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, snapshot: str | None = None
    ) -> bytes: ...
    def properties(self, container: str, name: str, *, snapshot: str | None = None) -> BlobProperties: ...
    def list_blobs(self, container: str, prefix: str = "", *, snapshots: bool = False) -> list[BlobEntry]: ...
    def delete_blob(self, container: str, name: str, *, snapshot: str | None = None, with_snapshots: bool = False) -> None: ...
    def create_page_blob(self, container: str, name: str, size: int) -> None: ...
    def put_pages(self, container: str, name: str, offset: int, data: bytes, *, fence: int | None = None) -> None:
        """`fence`: only while the blob's sequence number is this one (412 `SequenceNumberConditionNotMet` otherwise)."""
        ...

    def clear_pages(self, container: str, name: str, offset: int, length: int, *, fence: int | None = None) -> None: ...
    def raise_fence(self, container: str, name: str, number: int) -> None:
        """The page blob's sequence number becomes `number`, unless it is higher already."""
        ...

    def page_ranges(self, container: str, name: str, *, snapshot: str | None = None) -> list[tuple[int, int]]: ...
    def snapshot_blob(self, container: str, name: str) -> str: ...
    def copy_blob(
        self, source: str, name: str, snapshot: str | None, target: "BlobStore", target_container: str, target_name: str
    ) -> None:
        """Server-side copy, also into another account of the same service. Returns when the copy is complete."""
        ...

    def acquire_lease(self, container: str, name: str, seconds: int) -> str: ...
    def renew_lease(self, container: str, name: str, lease: str) -> None: ...
    def release_lease(self, container: str, name: str, lease: str) -> None: ...
    def create_queue(self, queue: str) -> None: ...
    def send(self, queue: str, text: str) -> None: ...
    def receive(self, queue: str, *, visibility: int, most: int = 32) -> list[QueueMessage]: ...
    def delete_message(self, queue: str, message: QueueMessage) -> None: ...


#: Opens the account that a `{store}` of the component protocol names, as seen from one host.
OpenStore = Callable[[Host, Mapping[str, str]], BlobStore]
