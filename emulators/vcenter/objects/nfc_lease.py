"""HttpNfcLease: the time in which a client moves the files of machines, and what is known of each file.

While a lease lives its machines are held by a task. An import that is aborted, fails or times out takes its machines along.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.clock import Process
from emulators.vcenter import schema
from emulators.vcenter.disks import Disk
from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Task

#: Seconds until a lease nobody uses ends, that it takes to begin, and that it is still known when it is over.
TIMEOUT, BEGIN, KNOWN = 300.0, 1.0, 300.0


@dataclass(slots=True)
class Manifest:
    """What is known of a file that has travelled: size and digests of the bytes on the wire."""

    size: int
    digests: dict[str, str]
    populated: int


@dataclass(slots=True, eq=False)
class LeaseFile:
    """One file of a lease: a disk (as it is, or as it was at `point`), or with `path` another file of the machine."""

    name: str  #: last part of its URL
    key: str
    import_key: str
    capacity: int
    disk: Disk | None = None
    point: str | None = None
    path: str = ""
    datastore: str = ""
    checksum: str = "sha1"
    busy: bool = False
    manifest: Manifest | None = None


@dataclass(slots=True)
class HttpNfcLease:
    """A lease on `entity`. `undo` takes back what an import has made (`made`, machines and vApps); None for an export."""

    moid: str
    entity: Ref
    files: dict[str, LeaseFile]
    undo: Callable[[], None] | None
    tasks: list[Task]
    deadline: float
    state: str = "initializing"
    progress: int = 0
    error: Fault | None = None
    made: list[Any] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "HttpNfcLease"

    @property
    def owner(self) -> Ref:
        return self.entity

    @property
    def open(self) -> bool:
        return self.state in ("initializing", "ready")


def begin(
    call: Call,
    entity: Any,
    machines: list[Any],
    files: list[LeaseFile],
    undo: Callable[[], None] | None,
    operation: tuple[str, str],
    made: Sequence[Any] = (),
) -> Ref:
    """Open a lease for an operation (type and method); it is ready soon. Raises `TaskInProgress` when a machine is busy."""
    inventory = call.inventory
    method = schema.methods(operation[0])[operation[1]]
    tasks: list[Task] = []
    try:
        for vm in machines:
            tasks.append(inventory.tasks.hold(call, vm, method))
    except Fault as fault:
        for task in tasks:
            inventory.tasks.release(task, fault)
        raise
    moid = f"session[{inventory.clock.uuid()}]{inventory.clock.random_bytes(12).hex()}"
    lease = HttpNfcLease(moid, ref(entity), {one.name: one for one in files}, undo, tasks, inventory.clock.now() + TIMEOUT)
    lease.made = list(made)
    inventory.add(lease)
    inventory.clock.spawn(_live(inventory, lease), name=f"vcenter lease of {entity.moid}")
    return ref(lease)


def _live(inventory: Inventory, lease: HttpNfcLease) -> Process:
    """A lease becomes ready, ends when nobody uses it, and is forgotten some time after its end."""
    yield BEGIN * inventory.tasks.pace
    with inventory.lock:
        if lease.open:
            lease.state = "ready"
            inventory.change(lease, "state", "initializeProgress", "info")
    while True:
        with inventory.lock:
            left = lease.deadline - inventory.clock.now()
            if not lease.open:
                break
            if left <= 0:
                fail(inventory, lease, Fault("Timedout", "The lease has timed out."))
                break
        yield left
    yield KNOWN
    with inventory.lock:
        inventory.remove(lease)


def touch(inventory: Inventory, lease: HttpNfcLease) -> None:
    """Somebody uses the lease: it lives on."""
    lease.deadline = inventory.clock.now() + TIMEOUT


def _end(inventory: Inventory, lease: HttpNfcLease, error: Fault | None) -> None:
    lease.state, lease.error = ("error", error) if error is not None else ("done", None)
    for task in lease.tasks:
        inventory.tasks.release(task, error)
    lease.tasks = []
    inventory.change(lease, "state", "error")


def fail(inventory: Inventory, lease: HttpNfcLease, error: Fault) -> None:
    """End a lease in error; what an import has made goes."""
    if lease.open:
        _end(inventory, lease, error)
        if lease.undo is not None:
            lease.undo()


def require(lease: HttpNfcLease, *states: str) -> None:
    """Raises `Fault("InvalidState")` unless the lease is in one of the states."""
    if lease.state not in states:
        raise Fault("InvalidState", f"The lease is {lease.state}.")


# operations --------------------------------------------------------------------------------------------------------------


def complete(call: Call, lease: HttpNfcLease, _args: Any) -> None:
    """HttpNfcLeaseComplete."""
    require(lease, "ready")
    if any(one.busy for one in lease.files.values()):
        raise Fault("InvalidState", "A file is still on its way.")
    for one in lease.made:
        one.importing = False
        call.inventory.change(one, "config")
    _end(call.inventory, lease, None)


def abort(call: Call, lease: HttpNfcLease, args: Any) -> None:
    """HttpNfcLeaseAbort."""
    require(lease, "initializing", "ready")
    told = args.get("fault")
    kind = told.kind if told is not None and told.kind != "LocalizedMethodFault" else "RequestCanceled"
    fail(call.inventory, lease, Fault(kind, "The lease was aborted by its client.", **(told.fields if told is not None else {})))


def progress(call: Call, lease: HttpNfcLease, args: Any) -> None:
    """HttpNfcLeaseProgress: also a sign of life."""
    require(lease, "ready")
    if not 0 <= args["percent"] <= 100:
        raise invalid_argument("percent", f"{args['percent']} is no percentage.")
    lease.progress = args["percent"]
    for task in lease.tasks:
        task.progress = lease.progress
        call.inventory.change(task, "info.progress")
    touch(call.inventory, lease)
    call.inventory.change(lease, "transferProgress")


def manifest(_call: Call, lease: HttpNfcLease, _args: Any) -> list[Record]:
    """HttpNfcLeaseGetManifest: the files that have travelled whole."""
    require(lease, "ready")
    found = []
    for one in lease.files.values():
        if one.manifest is None:
            continue
        entry = Record(
            "HttpNfcLeaseManifestEntry",
            key=one.key,
            sha1=one.manifest.digests["sha1"],
            checksum=one.manifest.digests[one.checksum],
            checksumType=one.checksum,
            size=one.manifest.size,
            disk=one.disk is not None,
        )
        if one.disk is not None:
            entry.fields.update(capacity=one.capacity, populatedSize=one.manifest.populated)
        found.append(entry)
    return found


def set_checksum_type(call: Call, lease: HttpNfcLease, args: Any) -> None:
    """HttpNfcLeaseSetManifestChecksumType, before the file travels."""
    require(lease, "ready")
    chosen = []
    for pair in args.get("deviceUrlsToChecksumTypes") or []:
        found = next(
            (one for one in lease.files.values() if pair["key"] in (one.key, _url(lease, one, call.inventory.tls))), None
        )
        if found is None or pair["value"] not in ("sha1", "sha256"):
            raise invalid_argument("deviceUrlsToChecksumTypes", f"{pair['key']} = {pair['value']} names no file, or no digest.")
        chosen.append((found, pair["value"]))
    for one, kind in chosen:
        one.checksum = kind


class Digests:
    """Digests of what passes, and its length."""

    def __init__(self) -> None:
        self.size = 0
        self._hashes = {"sha1": hashlib.sha1(usedforsecurity=False), "sha256": hashlib.sha256()}

    def feed(self, data: bytes) -> bytes:
        self.size += len(data)
        for one in self._hashes.values():
            one.update(data)
        return data

    def manifest(self, populated: int) -> Manifest:
        return Manifest(self.size, self.hexdigests(), populated)

    def hexdigests(self) -> dict[str, str]:
        return {name: one.hexdigest() for name, one in self._hashes.items()}


# properties --------------------------------------------------------------------------------------------------------------


def _url(lease: HttpNfcLease, one: LeaseFile, tls: bool) -> str:
    """`*` stands for the address by which the client knows the vCenter."""
    return f"http{'s' if tls else ''}://*/nfc/{lease.moid.replace('[', '%5B').replace(']', '%5D')}/{one.name}"


def _info(inventory: Inventory, lease: HttpNfcLease) -> Record | None:
    if lease.state == "initializing":
        return None
    urls = [
        Record(
            "HttpNfcLeaseDeviceUrl",
            key=one.key,
            importKey=one.import_key,
            url=_url(lease, one, inventory.tls),
            sslThumbprint="",
            disk=one.disk is not None,
            targetId=one.name,
            datastoreKey=one.datastore,
            fileSize=one.disk.used() if one.disk is not None else one.capacity,
        )
        for one in lease.files.values()
    ]
    return Record(
        "HttpNfcLeaseInfo",
        lease=ref(lease),
        entity=lease.entity,
        deviceUrl=urls,
        totalDiskCapacityInKB=sum(one.capacity for one in lease.files.values() if one.disk is not None) // 1024,
        leaseTimeout=int(TIMEOUT),
    )


LEASE_PROPERTIES: dict[str, Property] = {
    "initializeProgress": lambda _inventory, lease: 0 if lease.state == "initializing" else 100,
    "transferProgress": lambda _inventory, lease: lease.progress,
    "mode": lambda _inventory, _lease: "pushOrGet",
    "capabilities": lambda _inventory, _lease: Record("HttpNfcLeaseCapabilities", pullModeSupported=True, corsSupported=False),
    "info": _info,
    "state": lambda _inventory, lease: lease.state,
    "error": lambda _inventory, lease: lease.error.record() if lease.error is not None else None,
}
LEASE_OPERATIONS = {
    "HttpNfcLeaseComplete": complete,
    "HttpNfcLeaseAbort": abort,
    "HttpNfcLeaseProgress": progress,
    "HttpNfcLeaseGetManifest": manifest,
    "HttpNfcLeaseSetManifestChecksumType": set_checksum_type,
}
