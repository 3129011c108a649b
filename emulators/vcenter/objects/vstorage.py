"""First class disks (VStorageObject): disks managed by themselves. The managers of vCenter and hosts share a catalogue."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from emulators.vcenter import authorization
from emulators.vcenter.disks import Disk, NoSpace
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.layers import Layer
from emulators.vcenter.objects import files, virtual_disks
from emulators.vcenter.objects.datastore import Datastore
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vstorage_records import Catalogue, FirstClassDisk, Point, catalogue, identity, shown
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

_MIB = 1024 * 1024
_LARGEST = 62 * 1024**4
SECONDS = 1.0
_FLAGS = frozenset({"keepAfterDeleteVm", "disableRelocation", "enableChangedBlockTracking"})
#: provisioningType -> thin, eagerly zeroed.
_PROVISIONING = {"thin": (True, False), "lazyZeroedThick": (False, False), "eagerZeroedThick": (False, True)}

Operation = Callable[[Call, Any, Any], Any]


# finding -----------------------------------------------------------------------------------------------------------------


def find(call: Call, args: Any) -> FirstClassDisk:
    """The disk that `id` and `datastore` name. Raises `Fault("NotFound")`."""
    wanted = args["id"]["id"]
    found = catalogue(call.inventory).of(wanted)
    if found is None or found.datastore != args["datastore"]:
        raise Fault("NotFound", f"There is no virtual storage object {wanted} on this datastore.")
    return found


def _known(call: Call, told: Record) -> FirstClassDisk:
    found = catalogue(call.inventory).of(told["id"])
    if found is None:
        raise Fault("NotFound", f"There is no virtual storage object {told['id']}.")
    return found


def users(inventory: Inventory, disk: Disk) -> list[tuple[VirtualMachine, int]]:
    """The machines that have a disk, with the key of the device."""
    return [(vm, key) for vm in inventory.all_of(VirtualMachine) for key, held in vm.disks.items() if held is disk]


def require_free(call: Call, one: FirstClassDisk, *, running: bool = False) -> None:
    """Raises `Fault("InvalidState")` while a machine has the disk; with `running` only one that is on."""
    for vm, _ in users(call.inventory, one.disk):
        if not running or vm.power == "poweredOn":
            raise Fault("InvalidState", f"{one.name} is attached to {vm.name}.")


def _target(call: Call, backing: Record) -> Datastore:
    """The datastore that a backing names; files may be made there."""
    datastore = call.inventory.get(backing["datastore"], Datastore)
    authorization.check(call.inventory, call.user, datastore, files.FILE_PRIVILEGE)
    return datastore


# making ------------------------------------------------------------------------------------------------------------------


def _new_disk(call: Call, backing: Record, ident: str, size: int, like: Disk | None) -> tuple[Datastore, Disk]:
    datastore = _target(call, backing)
    told = backing["provisioningType"]
    if told is not None and told not in _PROVISIONING:
        raise invalid_argument("spec.backingSpec.provisioningType", f"{told!r} is not one of {', '.join(_PROVISIONING)}.")
    thin, eager = _PROVISIONING[told] if told else (like.thin, like.eager) if like else (True, False)
    folder = (backing["path"] or "").strip("/")
    where = files.place_on(call, datastore, f"{folder or 'fcd'}/{ident}.vmdk")
    return datastore, virtual_disks.new_disk(call, where, size, thin=thin, eager=eager)


def create(call: Call, _manager: Any, args: Any) -> Work:
    """CreateDisk_Task."""
    spec = args["spec"]
    size = spec["capacityInMB"] * _MIB
    if not 0 < size <= _LARGEST:
        raise invalid_argument("spec.capacityInMB", f"{size} bytes is no size for a disk.")
    yield SECONDS
    ident = free_id(call, spec["id"])
    datastore, disk = _new_disk(call, spec["backingSpec"], ident, size, None)
    one = enter(call, ident, spec["name"], datastore, disk, spec["keepAfterDeleteVm"])
    one.metadata = {pair["key"]: pair["value"] for pair in spec["metadata"] or []}
    one.policy = _profiles(spec["profile"])
    return shown(call.inventory, one)


def free_id(call: Call, told: Record | None) -> str:
    """The id of a new object: the told one if nobody has it. Raises `Fault("AlreadyExists")`."""
    ident = told["id"] if told is not None else call.inventory.clock.uuid()
    if catalogue(call.inventory).of(ident) is not None:
        raise Fault("AlreadyExists", f"There is a virtual storage object {ident} already.", name=ident)
    return str(ident)


def enter(call: Call, ident: str, name: str, datastore: Datastore, disk: Disk, keep: bool | None) -> FirstClassDisk:
    """Put a disk into the catalogue."""
    flags = set() if keep is False else {"keepAfterDeleteVm"}
    one = FirstClassDisk(ident, name, ref(datastore), disk, call.inventory.clock.now(), flags)
    catalogue(call.inventory).disks[ident] = one
    return one


def _profiles(told: list[Record] | None) -> list[str]:
    return [one["profileId"] for one in told or [] if one["profileId"]]


def register(call: Call, _manager: Any, args: Any) -> Record:
    """RegisterDisk: an existing disk by its datastore path, or by its address below `/folder`."""
    path = args["path"]
    if path.startswith(("http://", "https://")):
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = datastore_path(query.get("dsName", ""), unquote(parts.path).removeprefix("/folder/"))
    where, disk = virtual_disks.opened(call, path, None)
    if any(one.disk is disk for one in catalogue(call.inventory).all()):
        raise Fault("AlreadyExists", f"{where.label} is registered already.", name=where.label)
    ident = free_id(call, args.get("id"))
    return shown(call.inventory, enter(call, ident, args.get("name") or where.path.stem, where.datastore, disk, True))


def unregister(call: Call, _manager: Any, args: Any) -> Work:
    """UnregisterDisk_Task: the disk stays, as an ordinary one."""
    yield SECONDS
    one = find(call, args)
    if one.points:
        raise Fault("InvalidState", f"{one.name} has snapshots.")
    del catalogue(call.inventory).disks[one.id]


def delete(call: Call, _manager: Any, args: Any) -> Work:
    """DeleteVStorageObject_Task."""
    yield SECONDS
    one = find(call, args)
    require_free(call, one)
    one.disk.store.delete(one.disk)
    del catalogue(call.inventory).disks[one.id]


def copied(call: Call, one: FirstClassDisk, spec: Record, name: str, ident: str, *, at: Layer | None = None) -> FirstClassDisk:
    """A copy of a disk, as it is or as it was in the layer `at`. Raises `Fault("NoDiskSpace")`."""
    datastore, made = _new_disk(call, spec, ident, one.disk.size, one.disk)
    try:
        virtual_disks.copy_bytes(one.disk, made, at)
    except NoSpace as error:
        made.store.delete(made)
        raise files.no_space(files.place_on(call, datastore, made.name), error) from None
    return enter(call, ident, name, datastore, made, None)


def clone(call: Call, _manager: Any, args: Any) -> Work:
    """CloneVStorageObject_Task."""
    yield SECONDS + find(call, args).disk.used() / virtual_disks.RATE
    one, spec = find(call, args), args["spec"]
    made = copied(call, one, spec["backingSpec"], spec["name"], free_id(call, None))
    made.flags = set() if spec["keepAfterDeleteVm"] is False else {"keepAfterDeleteVm"}
    made.metadata = {pair["key"]: pair["value"] for pair in spec["metadata"] or []}
    made.policy = _profiles(spec["profile"])
    return shown(call.inventory, made)


def relocate(call: Call, _manager: Any, args: Any) -> Work:
    """RelocateVStorageObject_Task: the same object elsewhere."""
    yield SECONDS + find(call, args).disk.used() / virtual_disks.RATE
    one = find(call, args)
    require_free(call, one)
    if "disableRelocation" in one.flags:
        raise Fault("InvalidState", f"{one.name} must not be relocated.")
    if one.points or one.disk.source is not None or one.disk.clones:
        raise Fault("InvalidState", f"{one.name} has snapshots or linked clones.")
    backing = args["spec"]["backingSpec"]
    old, uuid = one.disk, one.disk.uuid
    here = PurePosixPath(one.disk.name).parent.as_posix()
    if backing["datastore"] == one.datastore and ((backing["path"] or "").strip("/") or "fcd") == here:
        return shown(call.inventory, one)
    moved = copied(call, one, backing, one.name, f"{one.id}-moved")
    del catalogue(call.inventory).disks[moved.id]
    one.disk, one.datastore = moved.disk, moved.datastore
    virtual_disks.rename_uuid(one.disk, uuid)
    old.store.delete(old)
    one.clock += 1
    return shown(call.inventory, one)


# changing ----------------------------------------------------------------------------------------------------------------


def extend(call: Call, _manager: Any, args: Any) -> Work:
    """ExtendDisk_Task."""
    size = args["newCapacityInMB"] * _MIB
    yield SECONDS
    one = find(call, args)
    require_free(call, one, running=True)
    if not one.disk.size < size <= _LARGEST:
        raise invalid_argument("newCapacityInMB", f"a disk of {one.disk.size} bytes cannot become {size} bytes.")
    _change(one, lambda: one.disk.grow(size))
    for vm, key in users(call.inventory, one.disk):
        device = vm.settings.devices[key] = vm.settings.devices[key].copy()
        device["capacityInKB"], device["capacityInBytes"] = size // 1024, size
        call.inventory.change(vm, "config.hardware.device")


def _change(one: FirstClassDisk, act: Callable[[], None]) -> None:
    try:
        act()
    except NoSpace as error:
        name = one.disk.name
        raise Fault("NoDiskSpace", f"Insufficient disk space: {error}", file=name, datastore="") from None
    except ValueError as error:
        raise Fault("InvalidState", f"{one.name}: {error}.") from None
    one.clock += 1


def inflate(call: Call, _manager: Any, args: Any) -> Work:
    """InflateDisk_Task."""
    yield SECONDS
    one = find(call, args)
    require_free(call, one, running=True)
    _change(one, one.disk.make_thick)


def rename(call: Call, _manager: Any, args: Any) -> Record:
    """RenameVStorageObject, RenameVStorageObjectEx."""
    one = find(call, args)
    if not args["name"].strip():
        raise invalid_argument("name", "It is empty.")
    one.name = args["name"]
    one.clock += 1
    return vclock(one)


def vclock(one: FirstClassDisk) -> Record:
    return Record("vslmVClockInfo", vClockTime=one.clock)


def set_flags(call: Call, _manager: Any, args: Any) -> None:
    """SetVStorageObjectControlFlags."""
    one, told = find(call, args), _flags(args)
    one.flags |= told
    if "enableChangedBlockTracking" in told:
        one.disk.start_tracking(call.inventory.clock.uuid())


def clear_flags(call: Call, _manager: Any, args: Any) -> None:
    """ClearVStorageObjectControlFlags; without any, all of them."""
    one = find(call, args)
    told = _flags(args) or set(_FLAGS)
    one.flags -= told
    if "enableChangedBlockTracking" in told:
        one.disk.stop_tracking(call.inventory.clock.uuid())


def _flags(args: Any) -> set[str]:
    told = set(args.get("controlFlags") or [])
    if told - _FLAGS:
        raise invalid_argument("controlFlags", f"{', '.join(sorted(told - _FLAGS))} is not known.")
    return told


def update_policy(call: Call, _manager: Any, args: Any) -> Work:
    """UpdateVStorageObjectPolicy_Task."""
    yield SECONDS
    one = find(call, args)
    one.policy = _profiles(args.get("profile"))
    one.clock += 1


def update_metadata(call: Call, _manager: Any, args: Any) -> Work:
    """UpdateVStorageObjectMetadata_Task: values are set, then keys taken away."""
    yield SECONDS
    one = find(call, args)
    one.metadata.update({pair["key"]: pair["value"] for pair in args.get("metadata") or []})
    for key in args.get("deleteKeys") or []:
        one.metadata.pop(key, None)
    one.clock += 1


def metadata(call: Call, _manager: Any, args: Any) -> list[Record]:
    """RetrieveVStorageObjectMetadata of the disk or one of its snapshots, those whose key begins with `prefix`."""
    found, prefix = _metadata(call, args), args.get("prefix") or ""
    return [Record("KeyValue", key=key, value=value) for key, value in sorted(found.items()) if key.startswith(prefix)]


def _metadata(call: Call, args: Any) -> dict[str, str]:
    one = find(call, args)
    return point_of(one, args["snapshotId"]).metadata if args.get("snapshotId") else one.metadata


def metadata_value(call: Call, _manager: Any, args: Any) -> str:
    """RetrieveVStorageObjectMetadataValue."""
    value = _metadata(call, args).get(args["key"])
    if value is None:
        raise Fault("KeyNotFound", f"There is no metadata {args['key']}.", key=args["key"])
    return value


def point_of(one: FirstClassDisk, told: Record) -> Point:
    """A snapshot of a disk. Raises `Fault("NotFound")`."""
    point = one.points.get(told["id"])
    if point is None:
        raise Fault("NotFound", f"{one.name} has no snapshot {told['id']}.")
    return point


# telling -----------------------------------------------------------------------------------------------------------------


def retrieve(call: Call, _manager: Any, args: Any) -> Record:
    """RetrieveVStorageObject."""
    return shown(call.inventory, find(call, args))


def state(call: Call, _manager: Any, args: Any) -> Record:
    """RetrieveVStorageObjectState."""
    find(call, args)
    return Record("VStorageObjectStateInfo", tentative=False)


def listed(call: Call, _manager: Any, args: Any) -> list[Record]:
    """ListVStorageObject."""
    return [identity(one.id) for one in catalogue(call.inventory).all() if one.datastore == args["datastore"]]


def associations(call: Call, _manager: Any, args: Any) -> list[Record]:
    """RetrieveVStorageObjectAssociations: which machines have the disks."""
    found = []
    for told in args.get("ids") or []:
        entry = Record("VStorageObjectAssociations", id=told["id"])
        one = catalogue(call.inventory).of(told["id"]["id"])
        if one is None or one.datastore != told["datastore"]:
            entry["fault"] = Fault("NotFound", f"There is no virtual storage object {told['id']['id']}.").record()
        else:
            kind = "VStorageObjectAssociationsVmDiskAssociations"
            pairs = users(call.inventory, one.disk)
            entry["vmDiskAssociations"] = [Record(kind, vmId=vm.moid, diskKey=key) for vm, key in pairs]
        found.append(entry)
    return found


def attach_tag(call: Call, _manager: Any, args: Any) -> None:
    """AttachTagToVStorageObject."""
    one, tag = _known(call, args["id"]), (args["category"], args["tag"])
    if tag not in one.tags:
        one.tags.append(tag)


def detach_tag(call: Call, _manager: Any, args: Any) -> None:
    """DetachTagFromVStorageObject."""
    one, tag = _known(call, args["id"]), (args["category"], args["tag"])
    if tag not in one.tags:
        raise Fault("NotFound", f"{one.name} has no tag {args['tag']} of {args['category']}.")
    one.tags.remove(tag)


def tagged(call: Call, _manager: Any, args: Any) -> list[Record]:
    """ListVStorageObjectsAttachedToTag."""
    wanted = args["category"], args["tag"]
    return [identity(one.id) for one in catalogue(call.inventory).all() if wanted in one.tags]


def tags(call: Call, _manager: Any, args: Any) -> list[Record]:
    """ListTagsAttachedToVStorageObject."""
    found = _known(call, args["id"]).tags
    return [Record("VslmTagEntry", tagName=tag, parentCategoryName=category) for category, tag in found]


def _reconcile(call: Call, datastore: Ref) -> None:
    held: Catalogue = catalogue(call.inventory)
    for one in list(held.disks.values()):
        if one.datastore == datastore and not one.disk.layers[0].path.exists():
            del held.disks[one.id]


def reconcile(call: Call, _manager: Any, args: Any) -> Work:
    """ReconcileDatastoreInventory_Task: objects whose files have gone are forgotten."""
    yield SECONDS
    _reconcile(call, args["datastore"] if "datastore" in args else args["spec"]["datastore"])


def reconcile_later(call: Call, _manager: Any, args: Any) -> None:
    """ScheduleReconcileDatastoreInventory: the same, soon."""
    inventory, datastore = call.inventory, args["datastore"]

    def later() -> None:
        with inventory.lock:
            _reconcile(call, datastore)

    inventory.clock.call_later(SECONDS, later, name="vcenter reconcile")


def infrastructure_policy(call: Call, _manager: Any, args: Any) -> list[Record]:
    """RetrieveVStorageInfrastructureObjectPolicy: of the folder that holds the catalogue on a datastore."""
    found = catalogue(call.inventory).policies.get(args["datastore"].moid, [])
    kind = "vslmInfrastructureObjectPolicy"
    return [Record(kind, name="catalog", backingObjectId=args["datastore"].moid, profileId=one) for one in found]


def update_infrastructure_policy(call: Call, _manager: Any, args: Any) -> Work:
    """UpdateVStorageInfrastructureObjectPolicy_Task."""
    yield SECONDS
    spec = args["spec"]
    _target(call, spec)
    catalogue(call.inventory).policies[spec["datastore"].moid] = _profiles(spec["profile"])


@dataclass(slots=True)
class VStorageService:
    """The manager of a vCenter or host; the catalogue is the vCenter's."""

    kind: str
    moid: str
    catalogue: Catalogue = field(default_factory=Catalogue)
    cache: dict[str, Any] = field(default_factory=dict)
