"""VirtualDiskManager: disks by their datastore path, attached or not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from emulators.vcenter.disks import Disk, NoSpace
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call
from emulators.vcenter.objects.files import Place, delete_files, disks_below, holder, make_room, must_be_unused, no_space, place
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.stream_vmdk import StreamReader
from emulators.vcenter.tasks import Work
from emulators.vcenter.vmdk import NotAVmdk, write_descriptor

_KB = 1024
_PIECE = 1024 * 1024
#: Bytes that an emulated array copies each second.
RATE = 200 * 1024 * 1024
_LARGEST = 62 * 1024**4
_THICK = ("thick", "preallocated", "eagerZeroedThick")


def opened(call: Call, name: str, datacenter: Ref | None) -> tuple[Place, Disk]:
    """The disk at a path. Raises `FileNotFound`, `FileFault` for what is no disk."""
    where = place(call, name, datacenter)
    try:
        return where, where.store.open(where.relative)
    except FileNotFoundError:
        raise Fault("FileNotFound", f"File {where.label} was not found", file=where.label) from None
    except (NotAVmdk, ValueError, OSError) as error:
        raise Fault("FileFault", f"{where.label} is not a disk: {error}", file=where.label) from None


def _source(call: Call, args: Any) -> tuple[Place, Disk]:
    return opened(call, args["name"], args.get("datacenter"))


def new_disk(call: Call, where: Place, size: int, *, thin: bool, uuid: str = "", eager: bool = False) -> Disk:
    """A disk at a path. Raises the faults of vim25 for what cannot be."""
    try:
        return where.store.create(where.relative, size, thin=thin, uuid=uuid, eager=eager)
    except FileExistsError:
        raise Fault("FileAlreadyExists", f"File {where.label} exists already", file=where.label) from None
    except NoSpace as error:
        raise no_space(where, error) from None
    except ValueError as error:
        raise Fault("InvalidDatastorePath", str(error), datastorePath=where.label) from None


def copy_bytes(source: Disk, target: Disk, at: Any = None) -> None:
    """Everything that `source` holds (in the pinned layer `at`, if told) into `target`; what was never written stays a hole."""
    zeros = bytes(64 * 1024)
    for start, length in source.changed_areas(1):
        for offset in range(start, start + length, _PIECE):
            data = source.read(offset, min(_PIECE, start + length - offset), at=at)
            for inner in range(0, len(data), len(zeros)):
                piece = data[inner : inner + len(zeros)]
                if piece != zeros[: len(piece)]:
                    target.write(offset + inner, piece)


def create(call: Call, _disks: Any, args: Any) -> Work:
    """CreateVirtualDisk_Task."""
    spec = args["spec"]
    size = (spec["capacityKb"] or 0) * _KB
    if not 0 < size <= _LARGEST:
        raise invalid_argument("spec.capacityKb", f"{size} bytes is no size for a disk.")
    yield 1.0
    where = place(call, args["name"], args.get("datacenter"))
    if not where.path.parent.is_dir():
        raise Fault("FileNotFound", f"The folder of {where.label} was not found", file=where.label)
    new_disk(call, where, size, thin=spec["diskType"] not in _THICK, eager=spec["diskType"] == "eagerZeroedThick")
    return where.label


def delete(call: Call, _disks: Any, args: Any) -> Work:
    """DeleteVirtualDisk_Task."""
    yield 1.0
    where, _ = _source(call, args)
    delete_files(call, where)


def _copy(call: Call, args: Any, *, keep_uuid: bool, like: Record | None = None) -> tuple[Place, Disk]:
    datacenter = args.get("sourceDatacenter")
    where, disk = opened(call, args["sourceName"], datacenter)
    target = place(call, args["destName"], args.get("destDatacenter") or datacenter)
    if target.path == where.path:
        raise Fault("FileAlreadyExists", "Source and target are the same.", file=target.label)
    layer = next(one for one in disk.layers if one.path == where.path)
    if layer is disk.top:  # what a snapshot has pinned may be read while its machine writes on
        _free_for_change(call, where, disk, running=True)
    thin = disk.thin if like is None else like["diskType"] not in _THICK
    eager = disk.eager if like is None else like["diskType"] == "eagerZeroedThick"
    _must_fit(target, disk.used() if thin else disk.size)
    make_room(call, target, bool(args.get("force")))
    made = new_disk(call, target, disk.size, thin=thin, eager=eager, uuid=disk.uuid if keep_uuid else "")
    try:
        copy_bytes(disk, made, layer)
    except NoSpace as error:
        target.store.delete(made)
        raise no_space(target, error) from None
    return where, disk


def _must_fit(target: Place, size: int) -> None:
    """Raises `Fault("NoDiskSpace")` before a target that is to be replaced goes."""
    there = sum(disk.used() for disk in disks_below(target))
    if size > target.store.free + there:
        raise no_space(target, NoSpace(f"{size} bytes are needed, {target.store.free + there} are free"))


def _is_stream(path: Path) -> bool:
    """Whether a file is a sparse VMDK as it travels, which came by upload."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"KDMV"


def _convert(call: Call, where: Place, args: Any) -> None:
    """A disk from an uploaded streamOptimized VMDK. All of the file is looked at before a target goes."""
    target = place(call, args["destName"], args.get("destDatacenter") or args.get("sourceDatacenter"))
    kind = args["destSpec"]["diskType"] if args.get("destSpec") is not None else "thin"
    thin, eager = kind not in _THICK, kind == "eagerZeroedThick"
    try:
        with where.path.open("rb") as file:
            reader = StreamReader(file.read)
            size = reader.open()
            held = sum(len(data) for _, data in reader.grains())
        _must_fit(target, held if thin else size)
        make_room(call, target, bool(args.get("force")))
        made = new_disk(call, target, size, thin=thin, eager=eager)
        with where.path.open("rb") as file:
            reader = StreamReader(file.read)
            reader.open()
            for offset, data in reader.grains():
                made.write(offset, data)
    except NotAVmdk as error:
        raise Fault("FileFault", f"{where.label} is not a disk: {error}", file=where.label) from None


def _duration(call: Call, args: Any) -> float:
    _, disk = opened(call, args["sourceName"], args.get("sourceDatacenter"))
    return 1.0 + disk.used() / RATE


def copy(call: Call, _disks: Any, args: Any) -> Work:
    """CopyVirtualDisk_Task: a new disk with the same bytes and a UUID of its own. The source may be a VMDK as it travels."""
    source = place(call, args["sourceName"], args.get("sourceDatacenter"))
    if _is_stream(source.path):
        yield 1.0 + source.path.stat().st_size / RATE
        _convert(call, place(call, args["sourceName"], args.get("sourceDatacenter")), args)
        return
    yield _duration(call, args)
    _copy(call, args, keep_uuid=False, like=args.get("destSpec"))


def move(call: Call, _disks: Any, args: Any) -> Work:
    """MoveVirtualDisk_Task: the same disk elsewhere, with its UUID."""
    yield _duration(call, args)
    where, _ = opened(call, args["sourceName"], args.get("sourceDatacenter"))
    must_be_unused(call, where)
    where, disk = _copy(call, args, keep_uuid=True)
    where.store.delete(disk)


def _free_for_change(call: Call, where: Place, disk: Disk, *, running: bool) -> None:
    """Raises `Fault("FileLocked")` while a machine has the disk; with `running`, only one that is on."""
    vm = holder(call, disk)
    if vm is not None and (not running or vm.power == "poweredOn"):
        raise Fault("FileLocked", f"{where.label} is in use by {vm.name}", file=where.label)


def _change(
    call: Call, args: Any, seconds: Callable[[Disk], float], act: Callable[[Disk], None], *, running: bool = True
) -> Work:
    """Do something with a disk that nobody uses, after the time that it takes."""
    yield 1.0 + seconds(_source(call, args)[1])
    where, disk = _source(call, args)
    _free_for_change(call, where, disk, running=running)
    try:
        act(disk)
    except NoSpace as error:
        raise no_space(where, error) from None
    except ValueError as error:
        raise Fault("FileFault", f"{where.label}: {error}.", file=where.label) from None


def extend(call: Call, _disks: Any, args: Any) -> Work:
    """ExtendVirtualDisk_Task."""
    _, disk = _source(call, args)
    size = args["newCapacityKb"] * _KB
    if not disk.size <= size <= _LARGEST:
        raise invalid_argument("newCapacityKb", f"a disk of {disk.size} bytes cannot become {size} bytes.")
    zeroed = bool(args.get("eagerZero"))
    yield from _change(call, args, lambda _disk: 0.0, lambda disk: disk.grow(size, zeroed=zeroed), running=False)


def inflate(call: Call, _disks: Any, args: Any) -> Work:
    """InflateVirtualDisk_Task, EagerZeroVirtualDisk_Task: from now on the whole size counts as used, and all of it is zeroed."""
    yield from _change(call, args, lambda disk: max(0, disk.size - disk.used()) / RATE, Disk.make_thick)


def shrink(call: Call, _disks: Any, args: Any) -> Work:
    """ShrinkVirtualDisk_Task: blocks of zeros give back their space."""
    yield from _change(call, args, lambda disk: disk.used() / RATE, Disk.shrink)


def defragment(call: Call, _disks: Any, args: Any) -> Work:
    """DefragmentVirtualDisk_Task: the grains of deltas come into the order of the disk."""
    yield from _change(call, args, lambda disk: disk.used() / RATE, Disk.defragment)


def zero_fill(call: Call, _disks: Any, args: Any) -> Work:
    """ZeroFillVirtualDisk_Task: every byte becomes zero."""

    def fill(disk: Disk) -> None:
        for start, length in disk.changed_areas(1):
            for offset in range(start, start + length, _PIECE):
                disk.write(offset, bytes(min(_PIECE, start + length - offset)))

    yield from _change(call, args, lambda disk: disk.used() / RATE, fill)


def of_virtual_volume(call: Call, _disks: Any, args: Any) -> None:
    """ImportUnmanagedSnapshot, ReleaseManagedSnapshot: of virtual volumes only, and no datastore here has those."""
    where, _ = opened(call, args["vdisk"], args.get("datacenter"))
    raise Fault("InvalidDatastore", f"{where.datastore.name} holds no virtual volumes.", name=where.datastore.name)


def set_uuid(call: Call, _disks: Any, args: Any) -> None:
    """SetVirtualDiskUuid: `60 00 C2 9e ...` or with dashes, as clients write it."""
    digits = "".join(character for character in args["uuid"] if character in "0123456789abcdefABCDEF")
    if len(digits) != 32:
        raise invalid_argument("uuid", f"{args['uuid']!r} is not a UUID.")
    _, disk = _source(call, args)
    rename_uuid(disk, f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")


def rename_uuid(disk: Disk, uuid: str) -> None:
    """Give a disk another UUID."""
    base = disk.layers[0]
    base.descriptor.uuid = uuid
    disk.revision += 1  # so that machines that have it are read anew
    write_descriptor(base.path, base.descriptor)


def query_uuid(call: Call, _disks: Any, args: Any) -> str:
    """QueryVirtualDiskUuid."""
    _, disk = _source(call, args)
    digits = disk.uuid.replace("-", "").lower()
    pairs = [digits[index : index + 2] for index in range(0, 32, 2)]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def geometry(call: Call, _disks: Any, args: Any) -> Record:
    """QueryVirtualDiskGeometry: as a BIOS sees it."""
    _, disk = _source(call, args)
    sectors = disk.size // 512
    heads, per_track = (255, 63) if disk.size >= 1024**3 else (64, 32)
    return Record("HostDiskDimensionsChs", cylinder=sectors // (heads * per_track), head=heads, sector=per_track)


def fragmentation(call: Call, _disks: Any, args: Any) -> int:
    """QueryVirtualDiskFragmentation: what part of the disk's extents does not follow the one before, in percent."""
    _, disk = _source(call, args)
    areas = disk.changed_areas(1)
    return 0 if len(areas) < 2 else 100 * (len(areas) - 1) // (len(areas))


DISKS_OPERATIONS = {
    "CreateVirtualDisk_Task": create,
    "DeleteVirtualDisk_Task": delete,
    "CopyVirtualDisk_Task": copy,
    "MoveVirtualDisk_Task": move,
    "ExtendVirtualDisk_Task": extend,
    "InflateVirtualDisk_Task": inflate,
    "EagerZeroVirtualDisk_Task": inflate,
    "ZeroFillVirtualDisk_Task": zero_fill,
    "ShrinkVirtualDisk_Task": shrink,
    "DefragmentVirtualDisk_Task": defragment,
    "ImportUnmanagedSnapshot": of_virtual_volume,
    "ReleaseManagedSnapshot": of_virtual_volume,
    "SetVirtualDiskUuid": set_uuid,
    "QueryVirtualDiskUuid": query_uuid,
    "QueryVirtualDiskGeometry": geometry,
    "QueryVirtualDiskFragmentation": fragmentation,
}
