"""What travels under a lease: disks as streamOptimized VMDKs, other files as they are. Nothing here holds the vCenter's lock
while bytes move, and what breaks off leaves the disk empty."""

from collections.abc import Callable, Iterator
from typing import Any

from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.disks import Disk, NoSpace
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.objects.nfc_lease import Digests, HttpNfcLease, LeaseFile, fail, require, touch
from emulators.vcenter.stream_vmdk import StreamReader, write_stream
from emulators.vcenter.vmdk import BLOCK, CutShort, NotAVmdk

_PIECE = 1024 * 1024
#: Grains after which a transfer shows that it lives.
_ALIVE = 256


def take(inventory: Inventory, lease: HttpNfcLease, name: str) -> LeaseFile:
    """A file of a lease, to move it now. Raises a `Fault` when there is none, the lease is not ready, or it is on its way."""
    require(lease, "ready")
    found = lease.files.get(name)
    if found is None:
        raise Fault("FileNotFound", f"The lease has no file {name}.", file=name)
    if found.busy and lease.undo is not None:
        raise Fault("InvalidState", f"{name} is on its way already.")
    touch(inventory, lease)
    return found


# out ---------------------------------------------------------------------------------------------------------------------


def send(inventory: Inventory, lease: HttpNfcLease, one: LeaseFile) -> Iterator[bytes]:
    """The bytes of a disk as a streamOptimized VMDK; at the end they are in the manifest."""
    disk = one.disk
    assert disk is not None, "only disks are exported"
    digests, grains = Digests(), 0

    def read(offset: int, length: int) -> bytes:
        nonlocal grains
        grains += 1
        if grains % _ALIVE == 0:
            touch(inventory, lease)
        return disk.read(offset, length, at=disk.pins[one.point] if one.point else None)

    areas = disk.changed_areas(1, at=one.point)
    cid = (disk.pins[one.point] if one.point else disk.top).descriptor.cid
    for piece in write_stream(disk.size, areas, read, cid):
        yield digests.feed(piece)
    with inventory.lock:
        one.manifest = digests.manifest(min(disk.size, sum(length for _, length in areas)))
        touch(inventory, lease)


# in ----------------------------------------------------------------------------------------------------------------------


def receive(
    inventory: Inventory,
    lease: HttpNfcLease,
    one: LeaseFile,
    source: Callable[[int], bytes],
    whole: Callable[[], bool],
    expected: Callable[[Digests], str] = lambda _digests: "",
) -> None:
    """Take the bytes of a file from `source`. `whole` tells afterwards whether all came, `expected` what is wrong with them.

    What breaks off leaves the file empty, and it may be sent again; what is wrong ends the lease. Raises the fault of either."""
    digests = Digests()
    with inventory.lock:
        one.busy, one.manifest = True, None

    def read(size: int) -> bytes:
        data = digests.feed(source(size))
        if digests.size % (16 * _PIECE) < len(data):
            touch(inventory, lease)
        return data

    try:
        populated = (
            _fill(one.disk, read) if one.disk is not None else _write(inventory.stores[one.datastore], one.path, read, whole)
        )
        while read(_PIECE):  # padding after the end of a VMDK
            pass
        wrong = expected(digests)
        if wrong:
            raise NotAVmdk(wrong)
        if not whole():
            raise invalid_argument("body", f"The upload of {one.name} broke off: nothing was kept.")
        with inventory.lock:
            require(lease, "ready")
            one.manifest = digests.manifest(populated)
    except BaseException as error:
        _empty(one)
        raise _refusal(inventory, lease, one, error, whole()) from error
    finally:
        with inventory.lock:
            one.busy = False


def _refusal(inventory: Inventory, lease: HttpNfcLease, one: LeaseFile, error: BaseException, whole: bool) -> BaseException:
    """What the client is told. What was wrong, rather than broken off, ends the lease."""
    fault: Fault | None = None
    if isinstance(error, NoSpace):
        fault = Fault("NoDiskSpace", f"Insufficient disk space: {error}", file=one.name, datastore="")
    elif isinstance(error, NotAVmdk) and (whole or not isinstance(error, CutShort)):
        fault = Fault("InvalidDiskFormat", f"{one.name} is not what it should be: {error}.")
    if fault is not None:
        with inventory.lock:
            one.busy = False
            fail(inventory, lease, fault)
        return fault
    if isinstance(error, NotAVmdk):
        return invalid_argument("body", f"The upload of {one.name} broke off: nothing was kept.")
    if isinstance(error, OSError) and not lease.open:  # the files have gone with the lease
        return Fault("InvalidState", f"The lease is {lease.state}.")
    return error


def _fill(disk: Disk, read: Callable[[int], bytes]) -> int:
    """Write a streamOptimized VMDK into a new disk; returns the bytes that it held."""
    reader = StreamReader(read)
    size = reader.open()
    if size != disk.size:
        raise NotAVmdk(f"it holds a disk of {size} bytes, {disk.size} were announced")
    populated = 0
    for offset, data in reader.grains():
        for start in range(0, len(data), BLOCK):
            disk.write(offset + start, data[start : start + BLOCK])
        populated += len(data)
    return populated


def _write(store: DiskStore, path: str, read: Callable[[int], bytes], whole: Callable[[], bool]) -> int:
    """Write another file of the machine, whole or not at all."""
    target = store.path(path)
    fresh = target.with_name(f".upload-{target.name}")
    size = 0
    try:
        with fresh.open("wb") as file:
            while data := read(_PIECE):
                size += len(data)
                if size > store.free:
                    raise NoSpace(f"{store.free} bytes are free")
                file.write(data)
        if whole():
            store.add_file(size)
            fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
    return size


def _empty(one: LeaseFile) -> None:
    if one.disk is not None and not one.disk.gone:
        one.disk.clear()


def sender(inventory: Inventory, lease: HttpNfcLease, name: str) -> tuple[LeaseFile, Any]:
    """A file to download and its bytes. Raises a `Fault`."""
    found = take(inventory, lease, name)
    if lease.undo is not None or found.disk is None:
        raise Fault("InvalidState", "This lease takes files, it gives none.")
    return found, send(inventory, lease, found)
