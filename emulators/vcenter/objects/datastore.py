"""Datastores: each is a real local folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.entity import ENTITY_OPERATIONS, ENTITY_PROPERTIES, RENAME_SECONDS, Property, must_be_free, plain
from emulators.vcenter.events import datacenter_of
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

_LARGEST_FILE = 64 * 1024**4
_RDM = ("maxPhysicalRDMFileSize", "maxVirtualRDMFileSize")


@dataclass(slots=True)
class Datastore:
    """A datastore; its bytes lie in the `DiskStore` of the same id."""

    moid: str
    name: str
    parent: Ref
    browser: Ref
    folder: Path
    hosts: list[Ref] = field(default_factory=list)
    maintenance: str = "normal"
    owners: dict[str, str] = field(default_factory=dict)  #: of files that were given to somebody, by their path
    #: the unit of the array under a VMFS, those it was extended by, its signature
    lun: str = ""
    extents: list[str] = field(default_factory=list)
    vmfs_uuid: str = ""
    #: of a share: its HostNasVolume
    nas: Record | None = None
    #: StorageIORMInfo, once it was configured
    io_control: Record | None = None
    #: moids of hosts that have unmounted it
    unmounted: set[str] = field(default_factory=set)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "Datastore"


def store_of(inventory: Inventory, datastore: Datastore) -> DiskStore:
    return inventory.stores[datastore.moid]


def by_name(inventory: Inventory, name: str, datacenter: Ref | None = None) -> Datastore:
    """The datastore of a name, in one datacenter if told. Raises `Fault("InvalidDatastorePath")`."""
    for datastore in inventory.all_of(Datastore):
        if datastore.name != name:
            continue
        if datacenter is None or ref(datacenter_of(inventory, datastore)) == datacenter:
            return datastore
    raise Fault("InvalidDatastorePath", f"Invalid datastore path: there is no datastore '{name}'.", datastorePath=f"[{name}]")


def _url(datastore: Datastore) -> str:
    return str(datastore.folder)


def _summary(inventory: Inventory, datastore: Datastore) -> Record:
    store = store_of(inventory, datastore)
    return Record(
        "DatastoreSummary",
        datastore=ref(datastore),
        name=datastore.name,
        url=_url(datastore),
        capacity=store.capacity,
        freeSpace=store.free,
        uncommitted=max(0, sum(disk.size for disk in store.disks()) - (store.capacity - store.free)),
        accessible=any(host.moid not in datastore.unmounted for host in datastore.hosts),
        multipleHostAccess=len(datastore.hosts) > 1,
        type=datastore.nas["type"] if datastore.nas is not None else "VMFS",
        maintenanceMode=datastore.maintenance,
    )


def vmfs_volume(inventory: Inventory, datastore: Datastore) -> Record | None:
    """HostVmfsVolume; None where the datastore does not lie on a unit of the array."""
    if not datastore.lun:
        return None
    names = [datastore.lun, *datastore.extents]
    return Record(
        "HostVmfsVolume",
        type="VMFS",
        name=datastore.name,
        capacity=store_of(inventory, datastore).capacity,
        blockSizeMb=1,
        maxBlocks=63963136,
        majorVersion=6,
        version="6.81",
        uuid=datastore.vmfs_uuid,
        extent=[Record("HostScsiDiskPartition", diskName=name, partition=1) for name in names],
        vmfsUpgradable=False,
        local=False,
    )


def _info(inventory: Inventory, datastore: Datastore) -> Record:
    vmfs = vmfs_volume(inventory, datastore)
    kind = "LocalDatastoreInfo"
    more: dict[str, Any] = {"path": str(datastore.folder)}
    if vmfs is not None:
        kind, more = "VmfsDatastoreInfo", {"vmfs": vmfs, **dict.fromkeys(_RDM, _LARGEST_FILE)}
    elif datastore.nas is not None:
        kind, more = "NasDatastoreInfo", {"nas": datastore.nas}
    return Record(
        kind,
        name=datastore.name,
        url=_url(datastore),
        freeSpace=store_of(inventory, datastore).free,
        maxFileSize=_LARGEST_FILE,
        maxVirtualDiskCapacity=_LARGEST_FILE,
        maxMemoryFileSize=_LARGEST_FILE,
        timestamp=inventory.clock.now(),
        **more,
    )


def _capability(_inventory: Inventory, _datastore: Datastore) -> Record:
    return Record(
        "DatastoreCapability",
        directoryHierarchySupported=True,
        rawDiskMappingsSupported=False,
        perFileThinProvisioningSupported=True,
        storageIORMSupported=False,
        nativeSnapshotSupported=False,
    )


def _mounts(_inventory: Inventory, datastore: Datastore) -> list[Record]:
    found = []
    for host in datastore.hosts:
        mounted = host.moid not in datastore.unmounted
        told = {"path": str(datastore.folder), "accessMode": "readWrite", "mounted": mounted, "accessible": mounted}
        found.append(Record("DatastoreHostMount", key=host, mountInfo=Record("HostMountInfo", **told)))
    return found


def _machines(inventory: Inventory, datastore: Datastore) -> list[Ref]:
    return [ref(vm) for vm in inventory.all_of(VirtualMachine) if datastore.moid in vm.datastores()]


DATASTORE_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "summary": _summary,
    "info": _info,
    "capability": _capability,
    "browser": lambda _inventory, datastore: datastore.browser,
    "host": _mounts,
    "vm": _machines,
}


def refresh(call: Call, datastore: Datastore, _args: Any) -> None:
    """RefreshDatastore, RefreshDatastoreStorageInfo: count the space again, also of files that came past the API."""
    store_of(call.inventory, datastore).count_files()
    call.inventory.change(datastore, "summary.freeSpace", "info.freeSpace")


def _name_it(call: Call, datastore: Datastore, name: str) -> None:
    parent = call.inventory.find(datastore.parent.moid)
    if name != datastore.name:
        must_be_free(call.inventory, parent, name)
    old, datastore.name = datastore.name, name
    for vm in call.inventory.all_of(VirtualMachine):
        if vm.datastore == ref(datastore):
            vm.datastore_name = name
            call.inventory.change(vm, "config.files", "config.hardware.device", "layoutEx", "summary.config.vmPathName")
    call.inventory.change(datastore, "name", "summary", "info")
    call.inventory.events.post(
        "DatastoreRenamedEvent",
        f"Renamed datastore from {old} to {name}",
        user=call.user,
        oldName=old,
        newName=name,
        datastore=Record("DatastoreEventArgument", name=name, datastore=ref(datastore)),
    )


def rename(call: Call, datastore: Datastore, args: Any) -> None:
    """RenameDatastore."""
    _name_it(call, datastore, plain(args["newName"]))


def rename_task(call: Call, datastore: Datastore, args: Any) -> Work:
    """Rename_Task: the paths of the machines' files follow."""
    yield RENAME_SECONDS
    _name_it(call, datastore, plain(args["newName"]))


def remove(call: Call, datastore: Datastore) -> None:
    """Take a datastore out of the inventory; its files stay. Raises `Fault("ResourceInUse")` while machines lie on it."""
    inventory = call.inventory
    if _machines(inventory, datastore):
        raise Fault("ResourceInUse", f"The resource '{datastore.name}' is in use.", type="Datastore", name=datastore.name)
    hosts = [inventory.find(one.moid) for one in datastore.hosts]
    for place in (datacenter_of(inventory, datastore), *hosts, *(inventory.find(host.parent.moid) for host in hosts)):
        if ref(datastore) in place.datastores:
            place.datastores.remove(ref(datastore))
            inventory.change(place, "datastore")
    parent = inventory.find(datastore.parent.moid)
    parent.children.remove(ref(datastore))
    inventory.change(parent, "childEntity")
    inventory.stores.pop(datastore.moid).close()
    inventory.remove(inventory.find(datastore.browser.moid))
    inventory.remove(datastore)
    inventory.events.post(
        "DatastoreDestroyedEvent",
        f"Removed unconfigured datastore {datastore.name}",
        user=call.user,
        datastore=Record("DatastoreEventArgument", name=datastore.name, datastore=ref(datastore)),
    )


def destroy(call: Call, datastore: Datastore, _args: Any) -> None:
    """DestroyDatastore."""
    remove(call, datastore)


def destroy_task(call: Call, datastore: Datastore, _args: Any) -> Work:
    """Destroy_Task."""
    yield 1.0
    remove(call, datastore)


def enter_maintenance(call: Call, datastore: Datastore, _args: Any) -> Record:
    """DatastoreEnterMaintenanceMode: only one without machines, as without storage DRS nothing is moved away."""
    if _machines(call.inventory, datastore):
        raise Fault("InvalidState", "Virtual machines are still on the datastore.")
    datastore.maintenance = "inMaintenance"
    call.inventory.change(datastore, "summary.maintenanceMode")
    return Record("StoragePlacementResult")


def exit_maintenance(call: Call, datastore: Datastore, _args: Any) -> Work:
    """DatastoreExitMaintenanceMode_Task."""
    if datastore.maintenance == "normal":
        raise Fault("InvalidState", "The datastore is not in maintenance mode.")
    yield 1.0
    datastore.maintenance = "normal"
    call.inventory.change(datastore, "summary.maintenanceMode")


def update_files(call: Call, datastore: Datastore, args: Any) -> Work:
    """UpdateVirtualMachineFiles_Task: after a datastore came under another path, its machines' files name the present one."""
    yield 2.0
    inventory, failed = call.inventory, []
    pairs = [
        (one["oldMountPath"].rstrip("/"), inventory.find(one["datastore"].moid)) for one in args["mountPathDatastoreMapping"]
    ]
    if not pairs or any(not old for old, _ in pairs):
        raise Fault("InvalidArgument", "A mount path is empty.", invalidProperty="mountPathDatastoreMapping")
    for path in sorted(store_of(inventory, datastore).folder.rglob("*.vmx")):
        try:
            text = path.read_text(encoding="utf-8")
            fresh = text
            for old, target in pairs:
                fresh = fresh.replace(f'"{old}/', f'"{target.folder}/')
            if fresh != text and not path.is_symlink():
                path.write_text(fresh, encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            name = datastore_path(datastore.name, store_of(inventory, datastore).relative(path))
            fault = Fault("FileFault", f"{name}: {error}", file=name)
            failed.append(Record("UpdateVirtualMachineFilesResultFailedVmFileInfo", vmFile=name, fault=fault.record()))
    return Record("UpdateVirtualMachineFilesResult", failedVmFile=failed)


def update_virtual_volumes(_call: Call, datastore: Datastore, _args: Any) -> Work:
    """UpdateVVolVirtualMachineFiles_Task: of virtual volumes only, and no datastore here has those."""
    yield 1.0
    raise Fault("InvalidDatastore", f"{datastore.name} holds no virtual volumes.", datastore=ref(datastore), name=datastore.name)


DATASTORE_OPERATIONS = {
    **ENTITY_OPERATIONS,
    "RefreshDatastore": refresh,
    "RefreshDatastoreStorageInfo": refresh,
    "RenameDatastore": rename,
    "Rename_Task": rename_task,
    "DestroyDatastore": destroy,
    "Destroy_Task": destroy_task,
    "DatastoreEnterMaintenanceMode": enter_maintenance,
    "DatastoreExitMaintenanceMode_Task": exit_maintenance,
    "IsClusteredVmdkEnabled": lambda _call, _datastore, _args: False,
    "UpdateVirtualMachineFiles_Task": update_files,
    "UpdateVVolVirtualMachineFiles_Task": update_virtual_volumes,
}
