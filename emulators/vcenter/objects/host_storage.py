"""HostStorageSystem: adapters, devices and their paths, file systems that are mounted, and copies that are to be resolved."""

from collections.abc import Callable
from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.kind import Kind
from emulators.vcenter.objects import array
from emulators.vcenter.objects.array import Lun
from emulators.vcenter.objects.datastore import Datastore, vmfs_volume
from emulators.vcenter.objects.host_datastores import resignature, see, unresolved
from emulators.vcenter.objects.host_parts import HostPart, host_of
from emulators.vcenter.objects.host_system import HostSystem, machines_on
from emulators.vcenter.plainest import plainest
from emulators.vcenter.records import Record, Typed
from emulators.vcenter.tasks import Work

SECONDS = 2.0
_ADAPTERS = {"vmhba0": ("HostBlockHba", "PIIX4 for 430TX/440BX/MX IDE Controller"), "vmhba1": ("HostFibreChannelHba", "LPe32000")}
_SOFTWARE = "vmhba64"
_PSP = ("VMW_PSP_RR", "VMW_PSP_FIXED", "VMW_PSP_MRU")
_SATP = ("VMW_SATP_ALUA", "VMW_SATP_DEFAULT_AA", "VMW_SATP_LOCAL")


# what is shown -------------------------------------------------------------------------------------------------------


def _adapters(host: HostSystem) -> list[Record]:
    found = []
    for number, (device, (kind, model)) in enumerate(_ADAPTERS.items()):
        key = f"key-vim.host.{kind.removeprefix('Host')}-{device}"
        found.append(plainest(kind, key=key, device=device, bus=number, status="online", model=model))
    if "iscsi" in host.hidden:
        found.append(host.hidden["iscsi"])
    return found


def _disk(host: HostSystem, lun: Lun) -> Record:
    return Record(
        "HostScsiDisk",
        key=f"key-vim.host.ScsiDisk-{lun.uuid}",
        deviceName=lun.device,
        deviceType="disk",
        uuid=lun.uuid,
        canonicalName=lun.name,
        displayName=lun.display or f"drillbed Fibre Channel Disk ({lun.name})",
        lunType="disk",
        vendor="drillbed",
        model="Emulated LUN",
        operationalState=["off" if host.moid in lun.detached else "ok"],
        capacity=Record("HostDiskDimensionsLba", blockSize=512, block=lun.capacity // 512),
        devicePath=lun.device,
        ssd=lun.ssd,
        localDisk=lun.local,
        perenniallyReserved=lun.reserved,
    )


def _paths(host: HostSystem, lun: Lun) -> Record:
    key = f"key-vim.host.ScsiDisk-{lun.uuid}"
    off = host.moid in lun.detached
    paths = []
    for number in range(2):
        name = f"vmhba1:C0:T{number}:{lun.name}"
        state = "disabled" if name in lun.dead_paths else "dead" if off else "active"
        paths.append(
            Record(
                "HostMultipathInfoPath",
                key=f"key-vim.host.MultipathInfo.Path-{name}",
                name=name,
                pathState=state,
                state=state,
                isWorkingPath=state == "active",
                adapter="key-vim.host.FibreChannelHba-vmhba1",
                lun=key,
            )
        )
    return Record(
        "HostMultipathInfoLogicalUnit",
        key=f"key-vim.host.MultipathInfo.LogicalUnit-{lun.uuid}",
        id=lun.uuid,
        lun=key,
        path=paths,
        policy=Record("HostMultipathInfoLogicalUnitPolicy", policy=lun.policy),
    )


def devices(inventory: Inventory, host: HostSystem) -> Record:
    """HostStorageDeviceInfo."""
    luns = array.seen_by(inventory, host)
    return Record(
        "HostStorageDeviceInfo",
        hostBusAdapter=_adapters(host),
        scsiLun=[_disk(host, lun) for lun in luns],
        multipathInfo=Record("HostMultipathInfo", lun=[_paths(host, lun) for lun in luns]),
        softwareInternetScsiEnabled="iscsi" in host.hidden,
    )


def volumes(inventory: Inventory, host: HostSystem) -> Record:
    """HostFileSystemVolumeInfo."""
    found = []
    for store in [inventory.get(one, Datastore) for one in host.datastores]:
        mounted = host.moid not in store.unmounted
        info = Record("HostMountInfo", path=f"/vmfs/volumes/{store.vmfs_uuid or store.name}", accessMode="readWrite")
        info.fields.update(mounted=mounted, accessible=mounted)
        volume = vmfs_volume(inventory, store) or store.nas
        if volume is not None:
            found.append(Record("HostFileSystemMountInfo", mountInfo=info, volume=volume))
    return Record("HostFileSystemVolumeInfo", volumeTypeList=["VMFS", "NFS"], mountInfo=found)


def _shown(show: Callable[[Inventory, HostSystem], Record]) -> Callable[[Inventory, HostPart], Record]:
    return lambda inventory, part: show(inventory, inventory.get(part.owner, HostSystem))


def _changed(call: Call, part: HostPart) -> None:
    inventory, host = call.inventory, host_of(call, part)
    inventory.change(host, "config.storageDevice", "config.fileSystemVolume")
    inventory.change(part, "storageDeviceInfo", "fileSystemVolumeInfo", "multipathStateInfo")


# scanning, attaching -------------------------------------------------------------------------------------------------


def rescan(call: Call, part: HostPart, args: Any) -> None:
    """RescanHba, RescanAllHba: new units come into sight."""
    host = host_of(call, part)
    told = args.get("hbaDevice")
    if told is not None and not any(one["device"] == told for one in _adapters(host)):
        raise Fault("NotFound", f"There is no adapter {told}.")
    array.scan(call.inventory, host)
    _changed(call, part)


def rescan_vmfs(call: Call, part: HostPart, _args: Any) -> None:
    """RescanVmfs: file systems on units in sight are mounted; copies are left to be resolved."""
    host = host_of(call, part)
    for lun in array.seen_by(call.inventory, host):
        store = array.datastore_on(call.inventory, lun)
        if store is not None and ref(store) not in host.datastores and host.moid not in lun.detached:
            see(call.inventory, host, store)
    _changed(call, part)


def refresh(call: Call, part: HostPart, _args: Any) -> None:
    """RefreshStorageSystem: count the space again."""
    for one in host_of(call, part).datastores:
        call.inventory.stores[one.moid].recount()
    _changed(call, part)


def _detach(call: Call, part: HostPart, told: str) -> None:
    inventory, host = call.inventory, host_of(call, part)
    lun = array.by_device(inventory, host, told)
    if host.moid in lun.detached:
        raise Fault("InvalidState", f"The device {lun.name} is detached already.")
    store = array.datastore_on(inventory, lun)
    if store is not None and ref(store) in host.datastores and host.moid not in store.unmounted:
        raise Fault("ResourceInUse", f"The datastore {store.name} is mounted: unmount it first.", type="ScsiLun", name=lun.name)
    lun.detached.add(host.moid)


def _attach(call: Call, part: HostPart, told: str) -> None:
    host = host_of(call, part)
    lun = array.by_device(call.inventory, host, told)
    if host.moid not in lun.detached:
        raise Fault("InvalidState", f"The device {lun.name} is attached already.")
    lun.detached.discard(host.moid)


def delete_state(call: Call, part: HostPart, args: Any) -> None:
    """DeleteScsiLunState: forget a unit that was detached; a scan finds it again, attached."""
    host = host_of(call, part)
    lun = array.by_device(call.inventory, host, args["lunCanonicalName"])
    if host.moid not in lun.detached:
        raise Fault("InvalidState", f"The device {lun.name} is attached.")
    lun.seen.discard(host.moid)
    lun.detached.discard(host.moid)
    _changed(call, part)


# mounting ------------------------------------------------------------------------------------------------------------


def _volume(call: Call, host: HostSystem, uuid: str, *, mounted: bool) -> Datastore:
    """The file system of a signature, of several (a copy that was mounted by force) rather the one that is in the state."""
    stores = [call.inventory.get(one, Datastore) for one in host.datastores]
    found = [store for store in stores if store.vmfs_uuid == uuid and uuid]
    if not found:
        raise Fault("NotFound", f"The host {host.name} has no file system {uuid}.")
    return next((store for store in found if (host.moid not in store.unmounted) is mounted), found[0])


def _mounted_changed(call: Call, store: Datastore) -> None:
    call.inventory.change(store, "host", "summary.accessible", "summary")


def _unmount(call: Call, part: HostPart, uuid: str) -> None:
    host = host_of(call, part)
    store = _volume(call, host, uuid, mounted=True)
    if host.moid in store.unmounted:
        raise Fault("InvalidState", f"The datastore {store.name} is unmounted already.")
    users = [vm.name for vm in machines_on(call.inventory, host) if vm.datastore == ref(store)]
    if users:
        raise Fault("ResourceInUse", f"{users[0]} lies on the datastore {store.name}.", type="Datastore", name=store.name)
    store.unmounted.add(host.moid)
    _mounted_changed(call, store)


def _mount(call: Call, part: HostPart, uuid: str) -> None:
    host = host_of(call, part)
    store = _volume(call, host, uuid, mounted=False)
    if host.moid not in store.unmounted:
        raise Fault("InvalidState", f"The datastore {store.name} is mounted already.")
    lun = array.of(call.inventory).luns.get(store.lun)
    if lun is not None and host.moid in lun.detached:
        raise Fault("HostConfigFault", f"The device {lun.name} is detached.")
    store.unmounted.discard(host.moid)
    _mounted_changed(call, store)


def delete_volume_state(call: Call, part: HostPart, args: Any) -> None:
    """DeleteVmfsVolumeState: forget a file system that was unmounted; a scan finds it again."""
    host = host_of(call, part)
    store = _volume(call, host, args["vmfsUuid"], mounted=False)
    if host.moid not in store.unmounted:
        raise Fault("InvalidState", f"The datastore {store.name} is mounted.")
    store.unmounted.discard(host.moid)
    store.hosts.remove(ref(host))
    host.datastores.remove(ref(store))
    call.inventory.change(host, "datastore")
    _mounted_changed(call, store)
    _changed(call, part)


def _now(act: Callable[[Call, HostPart, str], None], argument: str) -> Callable[[Call, HostPart, Any], None]:
    def run(call: Call, part: HostPart, args: Any) -> None:
        """AttachScsiLun, DetachScsiLun, MountVmfsVolume, UnmountVmfsVolume."""
        act(call, part, args[argument])
        _changed(call, part)

    return run


def _each(act: Callable[[Call, HostPart, str], None], argument: str, result: str) -> Callable[[Call, HostPart, Any], Work]:
    def run(call: Call, part: HostPart, args: Any) -> Work:
        """The same for several at once: each has its own result, and a fault where it failed."""
        yield SECONDS
        found = []
        for told in args[argument]:
            record = Record(result, key=told)
            try:
                act(call, part, told)
            except Fault as fault:
                record["fault"] = fault.record()
            found.append(record)
        _changed(call, part)
        return Typed(f"ArrayOf{result}", found)

    return run


# copies --------------------------------------------------------------------------------------------------------------


def resolve(call: Call, part: HostPart, args: Any) -> list[Record]:
    """ResolveMultipleUnresolvedVmfsVolumes: each copy gets a new signature or is mounted as it is; each has its own result."""
    host = host_of(call, part)
    results = []
    for spec in args["resolutionSpec"]:
        result = Record("HostUnresolvedVmfsResolutionResult", spec=spec)
        try:
            if spec["uuidResolution"] not in ("resignature", "forceMount"):
                raise invalid_argument("resolutionSpec.uuidResolution", "resignature or forceMount.")
            store = resignature(call, host, spec["extentDevicePath"], force=spec["uuidResolution"] == "forceMount")
            result["vmfs"] = vmfs_volume(call.inventory, store)
        except Fault as fault:
            result["fault"] = fault.record()
        results.append(result)
    _changed(call, part)
    return results


def resolve_task(call: Call, part: HostPart, args: Any) -> Work:
    """ResolveMultipleUnresolvedVmfsVolumesEx_Task."""
    yield SECONDS
    return Typed("ArrayOfHostUnresolvedVmfsResolutionResult", resolve(call, part, args))


# devices and paths ---------------------------------------------------------------------------------------------------


def _path(call: Call, part: HostPart, name: str) -> Lun:
    for lun in array.seen_by(call.inventory, host_of(call, part)):
        if name in (f"vmhba1:C0:T{number}:{lun.name}" for number in range(2)):
            return lun
    raise Fault("NotFound", f"There is no path {name}.")


def _switch_path(call: Call, part: HostPart, name: str, *, off: bool) -> None:
    lun = _path(call, part, name)
    if off and len(lun.dead_paths | {name}) > 1:
        raise Fault("HostConfigFault", "The last path of a device cannot be switched off.")
    (lun.dead_paths.add if off else lun.dead_paths.discard)(name)


def set_policy(call: Call, part: HostPart, args: Any) -> None:
    """SetMultipathLunPolicy."""
    lun = array.by_device(call.inventory, host_of(call, part), args["lunId"].removeprefix("key-vim.host.ScsiDisk-"))
    if args["policy"]["policy"] not in _PSP:
        raise invalid_argument("policy.policy", f"It is one of {', '.join(_PSP)}.")
    lun.policy = args["policy"]["policy"]
    _changed(call, part)


def rename_device(call: Call, part: HostPart, args: Any) -> None:
    """UpdateScsiLunDisplayName."""
    lun = array.by_device(call.inventory, host_of(call, part), args["lunUuid"])
    name = args["displayName"]
    if not name.strip() or len(name) > 255:
        raise Fault("InvalidName", "A name of 1 to 255 characters is required.", name=name)
    if any(other.display == name for other in array.of(call.inventory).luns.values() if other is not lun):
        raise Fault("DuplicateName", f"The name '{name}' already exists.", name=name, object=ref(part))
    lun.display = name
    _changed(call, part)


def _mark(attribute: str, value: bool) -> Callable[[Call, HostPart, Any], Work]:
    def mark(call: Call, part: HostPart, args: Any) -> Work:
        """MarkAsSsd_Task, MarkAsNonSsd_Task, MarkAsLocal_Task, MarkAsNonLocal_Task."""
        lun = array.by_device(call.inventory, host_of(call, part), args["scsiDiskUuid"])
        yield SECONDS
        setattr(lun, attribute, value)
        _changed(call, part)

    return mark


def reserve(call: Call, part: HostPart, args: Any) -> None:
    """MarkPerenniallyReserved."""
    array.by_device(call.inventory, host_of(call, part), args["lunUuid"]).reserved = args["state"]
    _changed(call, part)


def partitions(call: Call, part: HostPart, args: Any) -> list[Record]:
    """RetrieveDiskPartitionInfo."""
    found = []
    for path in args["devicePath"]:
        lun = array.by_device(call.inventory, host_of(call, part), path)
        ends = {"start": 2048, "end": lun.capacity // 512 - 1}
        sides = {name: Record("HostDiskDimensionsLba", blockSize=512, block=block) for name, block in ends.items()}
        ranges = [Record("HostDiskPartitionBlockRange", partition=1, type="vmfs", **sides)] if lun.vmfs_uuid else []
        if not ranges:
            ranges = [Record("HostDiskPartitionBlockRange", type="none", **sides)]
        attributes = Record("HostDiskPartitionAttributes", partition=1, startSector=2048, endSector=ends["end"], type="vmfs")
        attributes.fields.update(logical=False, attributes=0)
        spec = Record("HostDiskPartitionSpec", partitionFormat="gpt", totalSectors=lun.capacity // 512)
        if lun.vmfs_uuid:
            spec["partition"] = [attributes]
        layout = Record("HostDiskPartitionLayout", partition=ranges)
        found.append(Record("HostDiskPartitionInfo", deviceName=path, spec=spec, layout=layout))
    return found


def _options(kind: str, names: tuple[str, ...]) -> Callable[[Call, HostPart, Any], list[Record]]:
    described = [Record("ElementDescription", key=name, label=name, summary=name) for name in names]
    return lambda _call, _part, _args: [Record(kind, policy=one) for one in described]


# iSCSI ---------------------------------------------------------------------------------------------------------------


def software_iscsi(call: Call, part: HostPart, args: Any) -> None:
    """UpdateSoftwareInternetScsiEnabled."""
    host = host_of(call, part)
    if args["enabled"] and "iscsi" not in host.hidden:
        host.hidden["iscsi"] = plainest(
            "HostInternetScsiHba",
            key=f"key-vim.host.InternetScsiHba-{_SOFTWARE}",
            device=_SOFTWARE,
            bus=2,
            status="online",
            model="iSCSI Software Adapter",
            isSoftwareBased=True,
            iScsiName=f"iqn.1998-01.com.vmware:{host.name.partition('.')[0].lower()}",
            iScsiAlias="",
        )
    elif not args["enabled"]:
        host.hidden.pop("iscsi", None)
    _changed(call, part)


def _iscsi(call: Call, part: HostPart, args: Any) -> Record:
    found: Record | None = host_of(call, part).hidden.get("iscsi")
    if found is None or args["iScsiHbaDevice"] != _SOFTWARE:
        raise Fault("NotFound", f"There is no iSCSI adapter {args['iScsiHbaDevice']}.")
    return found


def _iscsi_text(name: str) -> Callable[[Call, HostPart, Any], None]:
    def update(call: Call, part: HostPart, args: Any) -> None:
        """UpdateInternetScsiName, UpdateInternetScsiAlias."""
        value = args[name]
        if name == "iScsiName" and not value.startswith(("iqn.", "eui.")):
            raise invalid_argument(name, "An iSCSI name begins with iqn. or eui.")
        _iscsi(call, part, args)[name] = value
        _changed(call, part)

    return update


def _targets(name: str, *, add: bool) -> Callable[[Call, HostPart, Any], None]:
    def change(call: Call, part: HostPart, args: Any) -> None:
        """AddInternetScsiSendTargets, RemoveInternetScsiSendTargets, and the same for static ones; all or none."""
        hba = _iscsi(call, part, args)
        known = {_target_key(one): one for one in hba[name] or []}
        for one in args["targets"]:
            if add and _target_key(one) in known:
                raise Fault("HostConfigFault", f"The target {one['address']} is configured already.")
            if not add and _target_key(one) not in known:
                raise Fault("NotFound", f"The target {one['address']} is not configured.")
        for one in args["targets"]:
            if add:
                known[_target_key(one)] = one.copy()
            else:
                known.pop(_target_key(one))
        hba[name] = list(known.values())
        _changed(call, part)

    return change


def _target_key(one: Record) -> tuple[Any, ...]:
    return one["address"], one["port"] or 3260, one["iScsiName"]


_SEND, _STATIC = "configuredSendTarget", "configuredStaticTarget"
_LUN_RESULT, _VOLUME_RESULT = "HostStorageSystemScsiLunResult", "HostStorageSystemVmfsVolumeResult"

STORAGE_OPERATIONS: dict[str, Callable[[Call, Any, Any], Any]] = {
    "RescanHba": rescan,
    "RescanAllHba": rescan,
    "RescanVmfs": rescan_vmfs,
    "RefreshStorageSystem": refresh,
    "AttachScsiLun": _now(_attach, "lunUuid"),
    "DetachScsiLun": _now(_detach, "lunUuid"),
    "AttachScsiLunEx_Task": _each(_attach, "lunUuid", _LUN_RESULT),
    "DetachScsiLunEx_Task": _each(_detach, "lunUuid", _LUN_RESULT),
    "DeleteScsiLunState": delete_state,
    "MountVmfsVolume": _now(_mount, "vmfsUuid"),
    "UnmountVmfsVolume": _now(_unmount, "vmfsUuid"),
    "UnmountForceMountedVmfsVolume": _now(_unmount, "vmfsUuid"),
    "MountVmfsVolumeEx_Task": _each(_mount, "vmfsUuid", _VOLUME_RESULT),
    "UnmountVmfsVolumeEx_Task": _each(_unmount, "vmfsUuid", _VOLUME_RESULT),
    "DeleteVmfsVolumeState": delete_volume_state,
    "QueryUnresolvedVmfsVolume": lambda call, part, _args: unresolved(call, host_of(call, part)),
    "ResolveMultipleUnresolvedVmfsVolumes": resolve,
    "ResolveMultipleUnresolvedVmfsVolumesEx_Task": resolve_task,
    "EnableMultipathPath": lambda call, part, args: _switch_path(call, part, args["pathName"], off=False),
    "DisableMultipathPath": lambda call, part, args: _switch_path(call, part, args["pathName"], off=True),
    "SetMultipathLunPolicy": set_policy,
    "QueryPathSelectionPolicyOptions": _options("HostPathSelectionPolicyOption", _PSP),
    "QueryStorageArrayTypePolicyOptions": _options("HostStorageArrayTypePolicyOption", _SATP),
    "UpdateScsiLunDisplayName": rename_device,
    "MarkAsSsd_Task": _mark("ssd", True),
    "MarkAsNonSsd_Task": _mark("ssd", False),
    "MarkAsLocal_Task": _mark("local", True),
    "MarkAsNonLocal_Task": _mark("local", False),
    "MarkPerenniallyReserved": reserve,
    "RetrieveDiskPartitionInfo": partitions,
    "UpdateSoftwareInternetScsiEnabled": software_iscsi,
    "UpdateInternetScsiName": _iscsi_text("iScsiName"),
    "UpdateInternetScsiAlias": _iscsi_text("iScsiAlias"),
    "AddInternetScsiSendTargets": _targets(_SEND, add=True),
    "RemoveInternetScsiSendTargets": _targets(_SEND, add=False),
    "AddInternetScsiStaticTargets": _targets(_STATIC, add=True),
    "RemoveInternetScsiStaticTargets": _targets(_STATIC, add=False),
}
HOST_STORAGE_KINDS = {
    "HostStorageSystem": Kind(
        {"storageDeviceInfo": _shown(devices), "fileSystemVolumeInfo": _shown(volumes)},
        STORAGE_OPERATIONS,
        volatile=frozenset({"storageDeviceInfo", "fileSystemVolumeInfo"}),
    ),
}
