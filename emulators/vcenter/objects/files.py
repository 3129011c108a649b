"""FileManager and the deleting of files through a browser: files and folders of datastores."""

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from emulators.vcenter import authorization
from emulators.vcenter.disk_store import DiskStore, tracking_file
from emulators.vcenter.disks import Disk, NoSpace
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call
from emulators.vcenter.layers import Layer
from emulators.vcenter.objects.datastore import Datastore, by_name, store_of
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.paths import datastore_path, split_path
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

SECONDS = 1.0
FILE_PRIVILEGE = "Datastore.FileManagement"
#: How the name of a file begins that is still being received: nobody sees it.
UNFINISHED = ".upload-"


@dataclass(frozen=True, slots=True)
class Place:
    """A path of a datastore."""

    datastore: Datastore
    store: DiskStore
    relative: str
    path: Path

    @property
    def label(self) -> str:
        return datastore_path(self.datastore.name, self.relative)


def place(call: Call, name: str, datacenter: Ref | None, privilege: str = FILE_PRIVILEGE) -> Place:
    """Where a datastore path leads. Raises `InvalidDatastorePath`, or `NoPermission` without `privilege` there."""
    store_name, relative = split_path(name)
    return place_on(call, by_name(call.inventory, store_name, datacenter), relative, privilege)


def place_on(call: Call, datastore: Datastore, relative: str, privilege: str = FILE_PRIVILEGE) -> Place:
    """The same, of a path within a datastore."""
    authorization.check(call.inventory, call.user, datastore, privilege)
    store, name = store_of(call.inventory, datastore), datastore_path(datastore.name, relative)
    try:
        path = store.path(relative)
    except ValueError as error:
        raise Fault("InvalidDatastorePath", str(error), datastorePath=name) from None
    if path == store.path("."):
        raise Fault("InvalidDatastorePath", "It names the datastore itself.", datastorePath=name)
    return Place(datastore, store, relative, path)


def no_space(where: Place, error: Exception) -> Fault:
    """The fault for what has no room on a datastore."""
    text = f"Insufficient disk space on datastore '{where.datastore.name}': {error}"
    return Fault("NoDiskSpace", text, file=where.label, datastore=where.datastore.name)


def disks_below(where: Place) -> list[Disk]:
    """The known disks whose files lie at or below a path."""

    def lies_there(layer: Layer) -> bool:
        return layer.path.is_relative_to(where.path) or layer.extent == where.path

    return [disk for disk in where.store.disks() if any(map(lies_there, disk.layers)) or tracking_file(disk) == where.path]


def holder(call: Call, disk: Disk) -> VirtualMachine | None:
    """The machine that has a disk, now or in a snapshot."""
    for vm in call.inventory.all_of(VirtualMachine):
        held = [*vm.disks.values(), *(one for snapshot in vm.snapshots.values() for one in snapshot.disks.values())]
        if any(one is disk for one in held):
            return vm
    return None


def must_be_unused(call: Call, where: Place) -> None:
    """Raises `Fault("FileLocked")` when a machine of the inventory needs what lies there."""
    for disk in disks_below(where):
        vm = holder(call, disk)
        if vm is not None:
            raise Fault("FileLocked", f"Unable to access file {where.label} since {vm.name} uses it", file=where.label)
    wanted = PurePosixPath(where.store.relative(where.path))
    for vm in call.inventory.all_of(VirtualMachine):
        if vm.datastore.moid == where.datastore.moid and PurePosixPath(vm.directory, vm.vmx).is_relative_to(wanted):
            raise Fault("FileLocked", f"Unable to access file {where.label} since {vm.name} uses it", file=where.label)


def must_exist(where: Place) -> None:
    if not where.path.exists():
        raise Fault("FileNotFound", f"File {where.label} was not found", file=where.label)


def make_room(call: Call, where: Place, force: bool) -> None:
    """Let a target be free: what is there goes with `force`. Raises `FileAlreadyExists`, `FileNotFound` for its folder."""
    if where.path.exists():
        if not force:
            raise Fault("FileAlreadyExists", f"File {where.label} exists already", file=where.label)
        delete_files(call, where)
    if not where.path.parent.is_dir():
        raise Fault("FileNotFound", f"The folder of {where.label} was not found", file=where.label)


def delete_files(call: Call, where: Place) -> None:
    """Delete a file, a whole disk, or a folder with everything in it."""
    must_exist(where)
    must_be_unused(call, where)
    for disk in disks_below(where):
        where.store.delete(disk)
    if where.path.is_dir():
        shutil.rmtree(where.path)
    else:
        where.path.unlink(missing_ok=True)
    where.store.files_changed()
    _moved_owners(where, None)


def _moved_owners(source: Place, target: Place | None) -> None:
    """Owners go with their files, or are forgotten."""
    for name in [name for name in source.datastore.owners if Path(name).is_relative_to(source.path)]:
        owner = source.datastore.owners.pop(name)
        if target is not None:
            target.datastore.owners[(target.path / Path(name).relative_to(source.path)).as_posix()] = owner


def replace(where: Place, fresh: Path) -> None:
    """Put a file in the place of what is there; it is on the same datastore already. Raises `NoSpace`."""
    size, larger = fresh.stat().st_size, where.path.exists()
    where.store.add_file(size)
    _let_go(where)
    if where.path.name.endswith("-flat.vmdk"):  # a block map of the old bytes would be wrong
        where.path.with_name(where.path.name.replace("-flat.vmdk", "-ctk.vmdk")).unlink(missing_ok=True)
    fresh.replace(where.path)
    if larger:
        where.store.files_changed()


def _let_go(where: Place) -> None:
    """Close the disks there; they are found again by their files."""
    for disk in disks_below(where):
        disk.close()
        for layer in disk.layers:
            where.store.forget(layer)


def delete(call: Call, _files: Any, args: Any) -> Work:
    """DeleteDatastoreFile_Task."""
    yield SECONDS
    delete_files(call, place(call, args["name"], args.get("datacenter")))


def delete_now(call: Call, _browser: Any, args: Any) -> None:
    """DeleteFile of a browser."""
    delete_files(call, place(call, args["datastorePath"], None, "Datastore.DeleteFile"))


def _both(call: Call, args: Any) -> tuple[Place, Place]:
    datacenter = args.get("sourceDatacenter")
    source = place(call, args["sourceName"], datacenter)
    target = place(call, args["destinationName"], args.get("destinationDatacenter") or datacenter)
    must_exist(source)
    if target.path.is_relative_to(source.path):
        raise Fault("InvalidDatastorePath", "The target lies in the source.", datastorePath=args["destinationName"])
    return source, target


def move(call: Call, _files: Any, args: Any) -> Work:
    """MoveDatastoreFile_Task."""
    yield SECONDS
    source, target = _both(call, args)
    must_be_unused(call, source)
    make_room(call, target, bool(args.get("force")))
    _let_go(source)
    shutil.move(source.path, target.path)
    _moved_owners(source, target)


def copy(call: Call, _files: Any, args: Any) -> Work:
    """CopyDatastoreFile_Task."""
    yield SECONDS
    source, target = _both(call, args)
    make_room(call, target, bool(args.get("force")))
    try:
        target.store.add_file(_size(source.path))
    except NoSpace as error:
        raise no_space(target, error) from None
    if source.path.is_dir():
        shutil.copytree(source.path, target.path, symlinks=True)
    else:
        shutil.copyfile(source.path, target.path)


def _size(path: Path) -> int:
    """Bytes that a file, or all files of a folder, really take."""
    found = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file() and not one.is_symlink()]
    return sum(one.stat().st_blocks * 512 for one in found)


def make_directory(call: Call, _files: Any, args: Any) -> None:
    """MakeDirectory."""
    where = place(call, args["name"], args.get("datacenter"))
    if where.path.exists():
        raise Fault("FileAlreadyExists", f"{where.label} exists already", file=where.label)
    if not args.get("createParentDirectories") and not where.path.parent.is_dir():
        raise Fault("FileNotFound", f"The folder of {where.label} was not found", file=where.label)
    where.path.mkdir(parents=True)


def owner_of(datastore: Datastore, path: Path) -> str:
    """Who owns a file, as ESXi calls it."""
    return datastore.owners.get(path.as_posix(), "root")


def change_owner(call: Call, _files: Any, args: Any) -> None:
    """ChangeOwner. Raises `Fault("UserNotFound")` for whom the vCenter does not know."""
    where, owner = place(call, args["name"], args.get("datacenter")), args["owner"]
    must_exist(where)
    if owner != "root" and owner.lower() not in call.inventory.authorization.users:
        raise Fault("UserNotFound", f"There is no user {owner}.", principal=owner, unresolved=True)
    where.datastore.owners[where.path.as_posix()] = owner


def lock_info(call: Call, _files: Any, args: Any) -> Record:
    """QueryFileLockInfo: which host holds a file of a running machine."""
    where = place(call, args["path"], None, "Datastore.Browse")
    must_exist(where)
    found = []
    for disk in disks_below(where):
        vm = holder(call, disk)
        if vm is None or vm.power != "poweredOn":
            continue
        host = call.inventory.find(vm.host.moid)
        card = host.uuid.replace("-", "")[-12:]
        mac = ":".join(card[index : index + 2] for index in range(0, 12, 2))
        info = {"filePath": where.label, "host": host.name, "mac": mac, "id": vm.moid, "worldName": vm.name}
        found.append(Record("FileLockInfo", **info, ownerId=host.uuid, lockMode="exclusive", refCount=1))
    return Record("FileLockInfoResult", lockInfo=found)


FILES_OPERATIONS = {
    "ChangeOwner": change_owner,
    "QueryFileLockInfo": lock_info,
    "DeleteDatastoreFile_Task": delete,
    "MoveDatastoreFile_Task": move,
    "CopyDatastoreFile_Task": copy,
    "MakeDirectory": make_directory,
}
