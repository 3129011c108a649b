"""Datastores: each is a real local folder."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.entity import ENTITY_OPERATIONS, ENTITY_PROPERTIES, Property
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record, Ref

_LARGEST_FILE = 64 * 1024**4


@dataclass(slots=True)
class Datastore:
    """A datastore; its bytes lie in the `DiskStore` of the same id."""

    moid: str
    name: str
    parent: Ref | None
    browser: Ref
    folder: Path
    hosts: list[Ref] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "Datastore"


def store_of(inventory: Inventory, datastore: Datastore) -> DiskStore:
    return inventory.stores[datastore.moid]


def by_name(inventory: Inventory, name: str) -> Datastore:
    """The datastore of a name. Raises `Fault("InvalidDatastore")`."""
    for datastore in inventory.all_of(Datastore):
        if datastore.name == name:
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
        accessible=True,
        multipleHostAccess=len(datastore.hosts) > 1,
        type="VMFS",
        maintenanceMode="normal",
    )


def _info(inventory: Inventory, datastore: Datastore) -> Record:
    return Record(
        "LocalDatastoreInfo",
        name=datastore.name,
        url=_url(datastore),
        freeSpace=store_of(inventory, datastore).free,
        maxFileSize=_LARGEST_FILE,
        maxVirtualDiskCapacity=_LARGEST_FILE,
        maxMemoryFileSize=_LARGEST_FILE,
        timestamp=inventory.clock.now(),
        path=str(datastore.folder),
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
    info = Record("HostMountInfo", path=str(datastore.folder), accessMode="readWrite", mounted=True, accessible=True)
    return [Record("DatastoreHostMount", key=host, mountInfo=info) for host in datastore.hosts]


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
    """RefreshDatastore, RefreshDatastoreStorageInfo: count the space again."""
    store_of(call.inventory, datastore).recount()
    call.inventory.change(datastore, "summary.freeSpace", "info.freeSpace")


DATASTORE_OPERATIONS = {**ENTITY_OPERATIONS, "RefreshDatastore": refresh, "RefreshDatastoreStorageInfo": refresh}
