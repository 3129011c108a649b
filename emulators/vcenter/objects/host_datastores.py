"""HostDatastoreSystem: datastores over units of the array, over NFS shares, over folders; copies that get a new signature."""

from typing import Any

from emulators.vcenter.entity import must_be_free, plain
from emulators.vcenter.events import datacenter_of
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.kind import Kind
from emulators.vcenter.model import add_datastore
from emulators.vcenter.objects import array
from emulators.vcenter.objects import datastore as datastores
from emulators.vcenter.objects.array import Lun
from emulators.vcenter.objects.datastore import Datastore
from emulators.vcenter.objects.folder import Folder
from emulators.vcenter.objects.host_parts import HostPart, host_of
from emulators.vcenter.objects.host_system import HostSystem, machines_on
from emulators.vcenter.records import Record, Ref, Typed
from emulators.vcenter.tasks import Work

SECONDS = 3.0
_LOCAL_BYTES = 100 * 1024**3
_SECTOR = 512


def see(inventory: Inventory, host: HostSystem, store: Datastore) -> None:
    """Let a host, its compute resource and its browser see a datastore."""
    compute = inventory.find(host.parent.moid)
    for place in (host, compute):
        if ref(store) not in place.datastores:
            place.datastores.append(ref(store))
            inventory.change(place, "datastore")
    if ref(host) not in store.hosts:
        store.hosts.append(ref(host))
        inventory.change(store, "host", "summary")
    browser = inventory.find(host.browser.moid)
    if ref(store) not in browser.datastores:
        browser.datastores.append(ref(store))
        inventory.change(browser, "datastore")


def _new(call: Call, host: HostSystem, name: str, folder: Any, capacity: int) -> Datastore:
    inventory = call.inventory
    datacenter = datacenter_of(inventory, host)
    made = add_datastore(inventory, datacenter, name, folder, capacity)
    see(inventory, host, made)
    argument = Record("DatastoreEventArgument", name=name, datastore=ref(made))
    text = "Created datastore {name} on {host} in {datacenter}".replace("{name}", name)
    kind = "NASDatastoreCreatedEvent" if made.nas else "VMFSDatastoreCreatedEvent"
    inventory.events.about_host(kind, text, host, user=call.user, datastore=argument)
    return made


def _free_name(call: Call, host: HostSystem, told: str) -> str:
    name = plain(told)
    if len(name) > 42:
        raise Fault("InvalidName", "The name of a datastore has at most 42 characters.", name=name)
    datacenter = datacenter_of(call.inventory, host)
    must_be_free(call.inventory, call.inventory.get(datacenter.datastore_folder, Folder), name)
    if any(call.inventory.find(one.moid).name == name for one in datacenter.datastores):
        raise Fault("DuplicateName", f"The name '{name}' already exists.", name=name, object=datacenter.datastores[0])
    return name


def create_local(call: Call, part: HostPart, args: Any) -> Ref:
    """CreateLocalDatastore. `path` is kept as what it was called; the bytes lie in a folder of this vCenter."""
    host = host_of(call, part)
    name = _free_name(call, host, args["name"])
    if not args["path"].strip():
        raise invalid_argument("path", "A path is required.")
    return ref(_new(call, host, name, _folder(call, name), _LOCAL_BYTES))


def _folder(call: Call, name: str) -> Any:
    """A folder of this vCenter's for a datastore, told apart from others by a number where needed."""
    safe = "".join(one if one.isalnum() or one in "-_ " else "_" for one in name).strip() or "datastore"
    folder, number = call.inventory.folder / safe, 0
    while folder.exists():
        number += 1
        folder = call.inventory.folder / f"{safe}_{number}"
    return folder


def create_nas(call: Call, part: HostPart, args: Any) -> Ref:
    """CreateNasDatastore: a share that another host has mounted already is the same datastore."""
    inventory, host, spec = call.inventory, host_of(call, part), args["spec"]
    if not spec["remoteHost"].strip() or not spec["remotePath"].startswith("/"):
        raise invalid_argument("spec.remotePath", "A server and an absolute path there are required.")
    if spec["accessMode"] not in ("readWrite", "readOnly"):
        raise invalid_argument("spec.accessMode", "readWrite or readOnly.")
    share = (spec["remoteHost"], spec["remotePath"])
    datacenter = datacenter_of(inventory, host)
    for store in [inventory.get(one, Datastore) for one in datacenter.datastores]:
        if store.nas is None or (store.nas["remoteHost"], store.nas["remotePath"]) != share:
            continue
        if ref(store) in host.datastores:
            raise Fault("AlreadyExists", f"The share is mounted as {store.name}.", name=store.name)
        if store.name != plain(spec["localPath"]):
            raise Fault("DuplicateName", f"Other hosts call the share {store.name}.", name=store.name, object=ref(store))
        see(inventory, host, store)
        return ref(store)
    name = _free_name(call, host, spec["localPath"])
    made = _new(call, host, name, _folder(call, name), _LOCAL_BYTES)
    made.nas = Record(
        "HostNasVolume",
        type=spec["type"] or "NFS",
        name=name,
        capacity=_LOCAL_BYTES,
        remoteHost=share[0],
        remotePath=share[1],
        userName=spec["userName"] or "",
    )
    inventory.change(made, "info", "summary")
    return ref(made)


# VMFS ----------------------------------------------------------------------------------------------------------------


def _free_luns(call: Call, host: HostSystem) -> list[Lun]:
    found = array.seen_by(call.inventory, host)
    return [lun for lun in found if not lun.vmfs_uuid and host.moid not in lun.detached]


def available(call: Call, part: HostPart, _args: Any) -> list[Record]:
    """QueryAvailableDisksForVmfs."""
    host = host_of(call, part)
    info = call.inventory.kinds["HostStorageSystem"].properties["storageDeviceInfo"](call.inventory, part)
    free = {lun.name for lun in _free_luns(call, host)}
    return [disk for disk in info["scsiLun"] or [] if disk["canonicalName"] in free]


def _lun(call: Call, host: HostSystem, told: str) -> Lun:
    lun = array.by_device(call.inventory, host, told)
    if lun not in _free_luns(call, host):
        raise Fault("ResourceInUse", f"The device {lun.name} is in use.", type="ScsiLun", name=lun.name)
    return lun


def _partition(lun: Lun) -> Record:
    last = lun.capacity // _SECTOR - 1
    one = Record("HostDiskPartitionAttributes", partition=1, startSector=2048, endSector=last, type="vmfs", logical=False)
    one["attributes"] = 0
    return Record("HostDiskPartitionSpec", partitionFormat="gpt", totalSectors=lun.capacity // _SECTOR, partition=[one])


def _all_of(lun: Lun) -> Record:
    sides = {"start": 2048, "end": lun.capacity // _SECTOR - 1}
    ends = {name: Record("HostDiskDimensionsLba", blockSize=_SECTOR, block=block) for name, block in sides.items()}
    whole = Record("HostDiskPartitionBlockRange", partition=1, type="vmfs", **ends)
    return Record("VmfsDatastoreAllExtentOption", layout=Record("HostDiskPartitionLayout", partition=[whole]), vmfsExtent=whole)


def create_options(call: Call, part: HostPart, args: Any) -> list[Record]:
    """QueryVmfsDatastoreCreateOptions: the whole device."""
    lun = _lun(call, host_of(call, part), args["devicePath"])
    extent = Record("HostScsiDiskPartition", diskName=lun.name, partition=1)
    vmfs = Record("HostVmfsSpec", extent=extent, majorVersion=args.get("vmfsMajorVersion") or 6, volumeName="")
    spec = Record("VmfsDatastoreCreateSpec", diskUuid=lun.uuid, partition=_partition(lun), vmfs=vmfs)
    return [Record("VmfsDatastoreOption", info=_all_of(lun), spec=spec)]


def create_vmfs(call: Call, part: HostPart, args: Any) -> Ref:
    """CreateVmfsDatastore: other hosts that see the device mount it as well."""
    inventory, host, spec = call.inventory, host_of(call, part), args["spec"]
    lun = _lun(call, host, spec["vmfs"]["extent"]["diskName"])
    name = _free_name(call, host, spec["vmfs"]["volumeName"])
    made = _new(call, host, name, lun.folder, lun.capacity)
    array.with_vmfs(inventory, made, lun)
    _everywhere(inventory, made, lun, host)
    inventory.change(made, "info", "summary")
    return ref(made)


def _everywhere(inventory: Inventory, store: Datastore, lun: Lun, first: HostSystem) -> None:
    home = datacenter_of(inventory, first)
    for host in inventory.all_of(HostSystem):
        if host.moid in lun.seen and host.moid not in lun.detached and datacenter_of(inventory, host) is home:
            see(inventory, host, store)


def extend_options(call: Call, part: HostPart, args: Any) -> list[Record]:
    """QueryVmfsDatastoreExtendOptions."""
    lun = _lun(call, host_of(call, part), args["devicePath"])
    extent = Record("HostScsiDiskPartition", diskName=lun.name, partition=1)
    spec = Record("VmfsDatastoreExtendSpec", diskUuid=lun.uuid, partition=_partition(lun), extent=[extent])
    return [Record("VmfsDatastoreOption", info=_all_of(lun), spec=spec)]


def extend(call: Call, part: HostPart, args: Any) -> Ref:
    """ExtendVmfsDatastore: by further devices."""
    inventory, host = call.inventory, host_of(call, part)
    store = inventory.get(args["datastore"], Datastore)
    if not store.vmfs_uuid:
        raise Fault("NotSupported", f"{store.name} is not a VMFS datastore.")
    luns = [_lun(call, host, one["diskName"]) for one in args["spec"]["extent"]]
    for lun in luns:
        lun.vmfs_uuid, lun.label = store.vmfs_uuid, store.name
        store.extents.append(lun.name)
        inventory.stores[store.moid].capacity += lun.capacity
    inventory.change(store, "info", "summary", "summary.capacity")
    return ref(store)


# copies --------------------------------------------------------------------------------------------------------------


def unresolved(call: Call, host: HostSystem) -> list[Record]:
    """QueryUnresolvedVmfsVolumes: copies of file systems on devices that the host sees."""
    return [_copy(lun) for lun in array.seen_by(call.inventory, host) if lun.copied and host.moid not in lun.detached]


def _copy(lun: Lun) -> Record:
    blocks = lun.capacity // (1024 * 1024)
    extent = Record(
        "HostUnresolvedVmfsExtent",
        device=Record("HostScsiDiskPartition", diskName=lun.name, partition=1),
        devicePath=f"{lun.device}:1",
        vmfsUuid=lun.vmfs_uuid,
        isHeadExtent=True,
        ordinal=0,
        startBlock=0,
        endBlock=blocks - 1,
        reason="diskIdMismatch",
    )
    status = Record("HostUnresolvedVmfsVolumeResolveStatus", resolvable=True, incompleteExtents=False, multipleCopies=False)
    return Record(
        "HostUnresolvedVmfsVolume",
        extent=[extent],
        vmfsLabel=lun.label,
        vmfsUuid=lun.vmfs_uuid,
        totalBlocks=blocks,
        resolveStatus=status,
    )


def resignature(call: Call, host: HostSystem, paths: list[str], *, force: bool) -> Datastore:
    """Make a datastore of a copy: with a new signature and name, or (`force`) with its own, if the original is not there."""
    inventory = call.inventory
    lun = array.by_device(inventory, host, paths[0]) if paths else None
    if lun is None or not lun.copied:
        raise invalid_argument("extentDevicePath", "It is not a copy of a file system.")
    original = next((one for one in inventory.all_of(Datastore) if one.vmfs_uuid == lun.vmfs_uuid), None)
    if force and original is not None and len(original.unmounted) < len(original.hosts):
        raise Fault("VmfsAlreadyMounted", f"The original, {original.name}, is mounted.", uuid=lun.vmfs_uuid)
    digits = inventory.clock.uuid().replace("-", "")
    name = lun.label if force else f"snap-{digits[:8]}-{lun.label}"
    made = _new(call, host, _other_name(call, host, name), lun.folder, lun.capacity)
    array.with_vmfs(inventory, made, lun, lun.vmfs_uuid if force else "")
    _everywhere(inventory, made, lun, host)
    inventory.change(made, "info", "summary")
    return made


def _other_name(call: Call, host: HostSystem, wanted: str) -> str:
    datacenter = datacenter_of(call.inventory, host)
    taken = {call.inventory.find(one.moid).name for one in datacenter.datastores}
    name, number = wanted[:42], 0
    while name in taken:
        number += 1
        name = f"{wanted[:36]} ({number})"
    return name


def resignature_task(call: Call, part: HostPart, args: Any) -> Work:
    """ResignatureUnresolvedVmfsVolume_Task."""
    yield SECONDS
    made = resignature(call, host_of(call, part), args["resolutionSpec"]["extentDevicePath"], force=False)
    return Record("HostResignatureRescanResult", result=ref(made))


# removal and the rest ------------------------------------------------------------------------------------------------


def _must_see(call: Call, part: HostPart, told: Ref) -> Datastore:
    store = call.inventory.get(told, Datastore)
    if told not in host_of(call, part).datastores:
        raise Fault("NotFound", f"The host does not see {store.name}.")
    return store


def remove(call: Call, part: HostPart, args: Any) -> None:
    """RemoveDatastore: a share leaves this host only, another datastore goes whole with what it holds."""
    _remove(call, part, args["datastore"])


def _remove(call: Call, part: HostPart, told: Ref) -> None:
    inventory, host = call.inventory, host_of(call, part)
    store = _must_see(call, part, told)
    if store.nas is not None and len(store.hosts) > 1:
        if any(vm.datastore == told for vm in machines_on(inventory, host)):
            raise Fault("ResourceInUse", f"The resource '{store.name}' is in use.", type="Datastore", name=store.name)
        store.hosts.remove(ref(host))
        host.datastores.remove(told)
        inventory.change(host, "datastore")
        inventory.change(store, "host", "summary")
        return
    datastores.remove(call, store)
    for lun in array.of(inventory).luns.values():
        if lun.name in (store.lun, *store.extents):
            lun.vmfs_uuid, lun.label = "", ""
            lun.folder = lun.folder.with_name(f"{lun.folder.name}-{inventory.clock.uuid()[:8]}")


def remove_many(call: Call, part: HostPart, args: Any) -> Work:
    """RemoveDatastoreEx_Task: each by itself, with the fault where it failed."""
    yield SECONDS
    results = []
    for told in args["datastore"]:
        result = Record("HostDatastoreSystemDatastoreResult", key=told)
        try:
            _remove(call, part, told)
        except Fault as fault:
            result["fault"] = fault.record()
        results.append(result)
    return Typed("ArrayOfHostDatastoreSystemDatastoreResult", results)


def local_swap(call: Call, part: HostPart, args: Any) -> None:
    """UpdateLocalSwapDatastore: where machines of this host swap; none is their own folder."""
    host, told = host_of(call, part), args.get("datastore")
    if told is None:
        host.config.pop("localSwapDatastore", None)
    else:
        host.config["localSwapDatastore"] = ref(_must_see(call, part, told))
    call.inventory.change(host, "config.localSwapDatastore")


def queue_depth(call: Call, part: HostPart, args: Any) -> int:
    """QueryMaxQueueDepth."""
    return int(host_of(call, part).hidden.get("queues", {}).get(_must_see(call, part, args["datastore"]).moid, 256))


def set_queue_depth(call: Call, part: HostPart, args: Any) -> None:
    """SetMaxQueueDepth."""
    store = _must_see(call, part, args["datastore"])
    if not 0 < args["maxQdepth"] <= 2**31:
        raise invalid_argument("maxQdepth", "It is at least 1.")
    host_of(call, part).hidden.setdefault("queues", {})[store.moid] = args["maxQdepth"]


HOST_DATASTORE_KINDS = {
    "HostDatastoreSystem": Kind(
        {
            "datastore": lambda inventory, part: list(inventory.get(part.owner, HostSystem).datastores),
            "capabilities": lambda _inventory, _part: Record(
                "HostDatastoreSystemCapabilities",
                nfsMountCreationRequired=True,
                nfsMountCreationSupported=True,
                localDatastoreSupported=True,
                vmfsExtentExpansionSupported=True,
            ),
        },
        {
            "CreateLocalDatastore": create_local,
            "CreateNasDatastore": create_nas,
            "CreateVmfsDatastore": create_vmfs,
            "ExtendVmfsDatastore": extend,
            "QueryAvailableDisksForVmfs": available,
            "QueryVmfsDatastoreCreateOptions": create_options,
            "QueryVmfsDatastoreExtendOptions": extend_options,
            "QueryUnresolvedVmfsVolumes": lambda call, part, _args: unresolved(call, host_of(call, part)),
            "ResignatureUnresolvedVmfsVolume_Task": resignature_task,
            "RemoveDatastore": remove,
            "RemoveDatastoreEx_Task": remove_many,
            "UpdateLocalSwapDatastore": local_swap,
            "QueryMaxQueueDepth": queue_depth,
            "SetMaxQueueDepth": set_queue_depth,
        },
        volatile=frozenset({"datastore"}),
    ),
}
