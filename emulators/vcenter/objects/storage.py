"""Datastores (real local folders), their browser, and networks."""

import fnmatch
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.entity import ENTITY_OPERATIONS, ENTITY_PROPERTIES, Property
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.paths import split_path
from emulators.vcenter.records import Record, Ref, Typed
from emulators.vcenter.tasks import Work

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


@dataclass(slots=True)
class HostDatastoreBrowser:
    """The browser of one datastore, or of all datastores of a host."""

    moid: str
    owner: Ref
    datastores: list[Ref]
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "HostDatastoreBrowser"


@dataclass(slots=True)
class Network:
    """A standard port group."""

    moid: str
    name: str
    parent: Ref | None
    hosts: list[Ref] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "Network"


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

# browser -------------------------------------------------------------------------------------------------------------


def search(call: Call, browser: HostDatastoreBrowser, args: Any) -> Work:
    """SearchDatastore_Task."""
    yield 1.0
    folder, label, store = _folder(call, args["datastorePath"])
    return _result(store, folder, label, args.get("searchSpec"))


def search_below(call: Call, browser: HostDatastoreBrowser, args: Any) -> Work:
    """SearchDatastoreSubFolders_Task."""
    yield 2.0
    folder, label, store = _folder(call, args["datastorePath"])
    found = [_result(store, folder, label, args.get("searchSpec"))]
    for below in sorted(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()):
        inner = f"{label.rstrip('/')}{'' if label.endswith('] ') else '/'}{below.relative_to(folder).as_posix()}"
        found.append(_result(store, below, inner, args.get("searchSpec")))
    return Typed("ArrayOfHostDatastoreBrowserSearchResults", found)


def _folder(call: Call, path: str) -> tuple[Path, str, Ref]:
    name, relative = split_path(path)
    datastore = by_name(call.inventory, name)
    store = store_of(call.inventory, datastore)
    try:
        folder = store.path(relative) if relative else store.folder
    except ValueError as error:
        raise Fault("InvalidDatastorePath", str(error), datastorePath=path) from None
    if not folder.is_dir():
        raise Fault("FileNotFound", f"File {path} was not found", file=path)
    return folder, path, ref(datastore)


def _result(datastore: Ref, folder: Path, label: str, spec: Record | None) -> Record:
    patterns = (spec["matchPattern"] if spec else None) or ["*"]
    files = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not any(fnmatch.fnmatch(path.name.lower(), pattern.lower()) for pattern in patterns):
            continue
        if path.name.endswith("-flat.vmdk") or path.name.endswith("-delta.vmdk"):
            continue
        status = path.stat()
        kind = "FolderFileInfo" if path.is_dir() else _FILE_KINDS.get(path.suffix, "FileInfo")
        files.append(Record(kind, path=path.name, fileSize=status.st_size))
    return Record("HostDatastoreBrowserSearchResults", datastore=datastore, folderPath=label, file=files)


_FILE_KINDS = {".vmx": "VmConfigFileInfo", ".vmdk": "VmDiskFileInfo", ".nvram": "VmNvramFileInfo", ".log": "VmLogFileInfo"}
BROWSER_PROPERTIES: dict[str, Property] = {"datastore": lambda _inventory, browser: list(browser.datastores)}
BROWSER_OPERATIONS = {"SearchDatastore_Task": search, "SearchDatastoreSubFolders_Task": search_below}

# network -------------------------------------------------------------------------------------------------------------


def _network_summary(_inventory: Inventory, network: Network) -> Record:
    return Record("NetworkSummary", network=ref(network), name=network.name, accessible=True, ipPoolName="")


NETWORK_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "summary": _network_summary,
    "host": lambda _inventory, network: list(network.hosts),
    "vm": lambda inventory, network: [ref(vm) for vm in inventory.all_of(VirtualMachine) if network.name in vm.networks()],
}
NETWORK_OPERATIONS = ENTITY_OPERATIONS
