"""Snapshots of first class disks, what changed between them, disks made of them; and the table of all operations."""

from typing import Any

from emulators.vcenter.disks import NoSpace
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call
from emulators.vcenter.objects import files, virtual_disks, vm_reconfigure, vstorage
from emulators.vcenter.objects.datastore import Datastore
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_changes import areas
from emulators.vcenter.objects.vstorage import Operation, find, point_of, require_free, vclock
from emulators.vcenter.objects.vstorage_records import FirstClassDisk, Point, catalogue, identity, label, shown
from emulators.vcenter.records import Record
from emulators.vcenter.tasks import Work


def _key(point: Point) -> str:
    return f"fcd {point.id}"


def create(call: Call, _manager: Any, args: Any) -> Work:
    """VStorageObjectCreateSnapshot_Task: the disk as it is now."""
    yield vstorage.SECONDS
    one = find(call, args)
    told = args.get("snapshotId")
    ident = told["id"] if told else call.inventory.clock.uuid()
    if ident in one.points:
        raise Fault("AlreadyExists", f"{one.name} has a snapshot {ident} already.", name=ident)
    point = Point(ident, args["description"], call.inventory.clock.now(), None, dict(one.metadata))
    one.disk.pin(_key(point))
    point.change_id = one.disk.change_id if one.disk.tracking else None
    one.points[ident] = point
    one.clock += 1
    _machines_changed(call, one)
    return identity(ident)


def _machines_changed(call: Call, one: FirstClassDisk) -> None:
    for vm, _ in vstorage.users(call.inventory, one.disk):
        call.inventory.change(vm, "config.hardware.device", "layoutEx")


def delete(call: Call, _manager: Any, args: Any) -> Work:
    """DeleteSnapshot_Task."""
    yield vstorage.SECONDS
    one = find(call, args)
    point = point_of(one, args["snapshotId"])
    del one.points[point.id]
    one.clock += 1
    try:
        one.disk.unpin(_key(point))
    except NoSpace as error:
        raise Fault("NoDiskSpace", f"Insufficient disk space: {error}", file=one.disk.name, datastore="") from None
    finally:
        _machines_changed(call, one)


def delete_telling(call: Call, manager: Any, args: Any) -> Work:
    """VStorageObjectDeleteSnapshotEx_Task, ...Ex2_Task: the same, and the disk's clock."""
    yield from delete(call, manager, args)
    return vclock(find(call, args))


def revert(call: Call, _manager: Any, args: Any) -> Work:
    """RevertVStorageObject_Task: what was written since is gone."""
    yield vstorage.SECONDS
    one = find(call, args)
    require_free(call, one)
    point = point_of(one, args["snapshotId"])
    try:
        one.disk.revert(_key(point))
    except NoSpace as error:
        raise Fault("NoDiskSpace", f"Insufficient disk space: {error}", file=one.disk.name, datastore="") from None
    one.metadata, one.clock = dict(point.metadata), one.clock + 1


def revert_telling(call: Call, manager: Any, args: Any) -> Work:
    """RevertVStorageObjectEx_Task."""
    yield from revert(call, manager, args)
    return vclock(find(call, args))


def listed(call: Call, _manager: Any, args: Any) -> Record:
    """RetrieveSnapshotInfo."""
    kind = "VStorageObjectSnapshotInfoVStorageObjectSnapshot"
    found = [
        Record(kind, id=identity(point.id), createTime=point.created, description=point.description)
        for point in find(call, args).points.values()
    ]
    return Record("VStorageObjectSnapshotInfo", snapshots=found)


def details(call: Call, _manager: Any, args: Any) -> Record:
    """RetrieveSnapshotDetails."""
    one = find(call, args)
    point = point_of(one, args["snapshotId"])
    file = one.disk.store.relative(one.disk.pins[_key(point)].path)
    found = Record("VStorageObjectSnapshotDetails", path=label(call.inventory, one, file))
    if point.change_id is not None:
        found["changedBlockTrackingId"] = point.change_id
    return found


def changed(call: Call, _manager: Any, args: Any) -> Record:
    """VstorageObjectVCenterQueryChangedDiskAreas: what changed from a change id to a snapshot."""
    one = find(call, args)
    point = point_of(one, args["snapshotId"])
    if point.change_id is None:
        raise Fault("FileFault", "Change tracking was not enabled when the snapshot was taken.", file=one.disk.file_name)
    return areas(one.disk, args["changeId"], args["startOffset"], until=point.change_id, at=_key(point))


def disk_from(call: Call, _manager: Any, args: Any) -> Work:
    """CreateDiskFromSnapshot_Task: a copy, or a linked clone."""
    yield vstorage.SECONDS + find(call, args).disk.used() / virtual_disks.RATE
    one = find(call, args)
    point = point_of(one, args["snapshotId"])
    ident = vstorage.free_id(call, args.get("targetId"))
    target = args.get("targetDatastore") or args["datastore"]
    backing = Record("VslmCreateSpecDiskFileBackingSpec", datastore=target, path=args.get("path"))
    if args.get("provisioningType"):
        backing["provisioningType"] = args["provisioningType"]
    if not args.get("isLinkedClone"):
        made = vstorage.copied(call, one, backing, args["name"], ident, at=one.disk.pins[_key(point)])
        return shown(call.inventory, made)
    if target != one.datastore:
        raise Fault("InvalidDatastore", "A linked clone lies on the datastore of its source.", datastore=target)
    folder = (args.get("path") or "fcd").strip("/")
    where = files.place_on(call, call.inventory.get(target, Datastore), f"{folder}/{ident}.vmdk")
    try:
        disk = where.store.link(one.disk, _key(point), where.relative)
    except FileExistsError:
        raise Fault("FileAlreadyExists", f"File {where.label} exists already", file=where.label) from None
    return shown(call.inventory, vstorage.enter(call, ident, args["name"], where.datastore, disk, None))


def repair(call: Call, _manager: Any, args: Any) -> Work:
    """RepairVStorageObjectChain_Task: deltas that no snapshot needs are merged away."""
    yield vstorage.SECONDS
    one = find(call, args)
    try:
        one.disk.consolidate()
    except NoSpace as error:
        raise Fault("NoDiskSpace", f"Insufficient disk space: {error}", file=one.disk.name, datastore="") from None


def extend_telling(call: Call, manager: Any, args: Any) -> Work:
    """VStorageObjectExtendDiskEx_Task."""
    yield from vstorage.extend(call, manager, args)
    return vclock(find(call, args))


def update_metadata_telling(call: Call, manager: Any, args: Any) -> Work:
    """VCenterUpdateVStorageObjectMetadataEx_Task."""
    yield from vstorage.update_metadata(call, manager, args)
    return vclock(find(call, args))


def set_uuid(call: Call, manager: Any, args: Any) -> Work:
    """SetVirtualDiskUuidEx_Task: a fresh one unless told."""
    yield vstorage.SECONDS
    told = args.get("uuid") or call.inventory.clock.uuid()
    virtual_disks.set_uuid(call, manager, {"name": args["name"], "datacenter": args.get("datacenter"), "uuid": told})


# at a machine ------------------------------------------------------------------------------------------------------------


def attach(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """AttachDisk_Task."""
    one = find(call, {"id": args["diskId"], "datastore": args["datastore"]})
    require_free(call, one)
    controllers = [device for device in vm.settings.devices.values() if device["scsiCtlrUnitNumber"] is not None]
    key = args.get("controllerKey") or (controllers[0]["key"] if controllers else None)
    backing = Record(
        "VirtualDiskFlatVer2BackingInfo", fileName=label(call.inventory, one, one.disk.file_name), diskMode="persistent"
    )
    device = Record("VirtualDisk", key=-1, backing=backing, controllerKey=key, capacityInKB=one.disk.size // 1024)
    device["unitNumber"] = args["unitNumber"] if args.get("unitNumber") is not None else -1
    yield from _reconfigure(call, vm, Record("VirtualDeviceConfigSpec", operation="add", device=device))
    found = next(key for key, held in vm.disks.items() if held is one.disk)
    vm.settings.devices[found]["vDiskId"] = identity(one.id)
    call.inventory.change(vm, "config.hardware.device")


def detach(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """DetachDisk_Task."""
    one = catalogue(call.inventory).of(args["diskId"]["id"])
    key = next((key for key, held in vm.disks.items() if one is not None and held is one.disk), None)
    if key is None:
        raise Fault("NotFound", f"{vm.name} has no virtual storage object {args['diskId']['id']}.")
    device = Record("VirtualDisk", key=key, capacityInKB=vm.disks[key].size // 1024)
    yield from _reconfigure(call, vm, Record("VirtualDeviceConfigSpec", operation="remove", device=device))


def _reconfigure(call: Call, vm: VirtualMachine, change: Record) -> Work:
    spec = Record("VirtualMachineConfigSpec", deviceChange=[change])
    yield from vm_reconfigure.reconfigure(call, vm, {"spec": spec})


#: Name at the vCenter's manager, name at a host's, what it does. An empty name: it is not there.
_OPERATIONS: tuple[tuple[str, str, Operation], ...] = (
    ("CreateDisk_Task", "HostCreateDisk_Task", vstorage.create),
    ("RegisterDisk", "HostRegisterDisk", vstorage.register),
    ("UnregisterDisk_Task", "UnregisterDisk_Task", vstorage.unregister),
    ("DeleteVStorageObject_Task", "HostDeleteVStorageObject_Task", vstorage.delete),
    ("DeleteVStorageObjectEx_Task", "HostDeleteVStorageObjectEx_Task", vstorage.delete),
    ("CloneVStorageObject_Task", "HostCloneVStorageObject_Task", vstorage.clone),
    ("RelocateVStorageObject_Task", "HostRelocateVStorageObject_Task", vstorage.relocate),
    ("ExtendDisk_Task", "HostExtendDisk_Task", vstorage.extend),
    ("VStorageObjectExtendDiskEx_Task", "VStorageObjectExtendDiskEx_Task", extend_telling),
    ("InflateDisk_Task", "HostInflateDisk_Task", vstorage.inflate),
    ("RenameVStorageObject", "HostRenameVStorageObject", vstorage.rename),
    ("RenameVStorageObjectEx", "RenameVStorageObjectEx", vstorage.rename),
    ("SetVStorageObjectControlFlags", "HostSetVStorageObjectControlFlags", vstorage.set_flags),
    ("ClearVStorageObjectControlFlags", "HostClearVStorageObjectControlFlags", vstorage.clear_flags),
    ("UpdateVStorageObjectPolicy_Task", "", vstorage.update_policy),
    ("", "HostUpdateVStorageObjectMetadata_Task", vstorage.update_metadata),
    ("VCenterUpdateVStorageObjectMetadataEx_Task", "HostUpdateVStorageObjectMetadataEx_Task", update_metadata_telling),
    ("", "HostRetrieveVStorageObjectMetadata", vstorage.metadata),
    ("", "HostRetrieveVStorageObjectMetadataValue", vstorage.metadata_value),
    ("RetrieveVStorageObject", "HostRetrieveVStorageObject", vstorage.retrieve),
    ("RetrieveVStorageObjectState", "HostRetrieveVStorageObjectState", vstorage.state),
    ("ListVStorageObject", "HostListVStorageObject", vstorage.listed),
    ("RetrieveVStorageObjectAssociations", "", vstorage.associations),
    ("AttachTagToVStorageObject", "", vstorage.attach_tag),
    ("DetachTagFromVStorageObject", "", vstorage.detach_tag),
    ("ListVStorageObjectsAttachedToTag", "", vstorage.tagged),
    ("ListTagsAttachedToVStorageObject", "", vstorage.tags),
    ("ReconcileDatastoreInventory_Task", "HostReconcileDatastoreInventory_Task", vstorage.reconcile),
    ("ReconcileDatastoreInventoryEx_Task", "", vstorage.reconcile),
    ("ScheduleReconcileDatastoreInventory", "HostScheduleReconcileDatastoreInventory", vstorage.reconcile_later),
    (
        "RetrieveVStorageInfrastructureObjectPolicy",
        "HostRetrieveVStorageInfrastructureObjectPolicy",
        vstorage.infrastructure_policy,
    ),
    ("UpdateVStorageInfrastructureObjectPolicy_Task", "", vstorage.update_infrastructure_policy),
    ("VStorageObjectCreateSnapshot_Task", "HostVStorageObjectCreateSnapshot_Task", create),
    ("VStorageObjectCreateSnapshotEx_Task", "VStorageObjectCreateSnapshotEx_Task", create),
    ("DeleteSnapshot_Task", "HostVStorageObjectDeleteSnapshot_Task", delete),
    ("VStorageObjectDeleteSnapshotEx_Task", "VStorageObjectDeleteSnapshotEx_Task", delete_telling),
    ("VStorageObjectDeleteSnapshotEx2_Task", "VStorageObjectDeleteSnapshotEx2_Task", delete_telling),
    ("RetrieveSnapshotInfo", "HostVStorageObjectRetrieveSnapshotInfo", listed),
    ("RetrieveSnapshotDetails", "", details),
    ("CreateDiskFromSnapshot_Task", "HostVStorageObjectCreateDiskFromSnapshot_Task", disk_from),
    ("RevertVStorageObject_Task", "HostVStorageObjectRevert_Task", revert),
    ("RevertVStorageObjectEx_Task", "RevertVStorageObjectEx_Task", revert_telling),
    ("VstorageObjectVCenterQueryChangedDiskAreas", "", changed),
    ("RepairVStorageObjectChain_Task", "RepairVStorageObjectChain_Task", repair),
    ("SetVirtualDiskUuidEx_Task", "HostSetVirtualDiskUuid_Task", set_uuid),
    ("QueryVirtualDiskUuidEx", "HostQueryVirtualDiskUuid", virtual_disks.query_uuid),
)
VCENTER_OPERATIONS = {name: operation for name, _, operation in _OPERATIONS if name}
HOST_OPERATIONS = {name: operation for _, name, operation in _OPERATIONS if name}
MACHINE_OPERATIONS = {"AttachDisk_Task": attach, "DetachDisk_Task": detach}
