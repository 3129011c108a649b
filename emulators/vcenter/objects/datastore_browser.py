"""The browser of datastores: searches by name, kind and details."""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.objects import files
from emulators.vcenter.objects.datastore import Datastore, by_name, store_of
from emulators.vcenter.paths import split_path
from emulators.vcenter.records import Record, Ref, Typed
from emulators.vcenter.tasks import Work
from emulators.vcenter.vmdk import Descriptor, NotAVmdk, read_descriptor

#: End of a name -> what the browser calls such a file, and the query that asks for it.
_KINDS = {
    ".flp": ("FloppyImageFileInfo", "FloppyImageFileQuery"),
    ".iso": ("IsoImageFileInfo", "IsoImageFileQuery"),
    ".log": ("VmLogFileInfo", "VmLogFileQuery"),
    ".nvram": ("VmNvramFileInfo", "VmNvramFileQuery"),
    ".vmdk": ("VmDiskFileInfo", "VmDiskFileQuery"),
    ".vmsn": ("VmSnapshotFileInfo", "VmSnapshotFileQuery"),
    ".vmtx": ("TemplateConfigFileInfo", "TemplateConfigFileQuery"),
    ".vmx": ("VmConfigFileInfo", "VmConfigFileQuery"),
}
_FOLDER = ("FolderFileInfo", "FolderFileQuery")
_OTHER = ("FileInfo", "FileQuery")
#: Parts of a disk that are shown as one with its descriptor.
_PARTS = ("-flat.vmdk", "-delta.vmdk", "-ctk.vmdk", "-rdm.vmdk", "-rdmp.vmdk")
_BACKING = {
    "vmfs": "VirtualDiskFlatVer2BackingInfo",
    "vmfsSparse": "VirtualDiskSparseVer2BackingInfo",
    "vmfsRawDeviceMap": "VirtualDiskRawDiskMappingVer1BackingInfo",
    "vmfsPassthroughRawDeviceMap": "VirtualDiskRawDiskMappingVer1BackingInfo",
}


@dataclass(slots=True)
class HostDatastoreBrowser:
    """The browser of one datastore, or of all datastores of a host."""

    moid: str
    owner: Ref
    datastores: list[Ref]
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "HostDatastoreBrowser"


def search(call: Call, browser: HostDatastoreBrowser, args: Any) -> Work:
    """SearchDatastore_Task."""
    yield 1.0
    folder, label, datastore = _folder(call, browser, args["datastorePath"])
    return _result(datastore, folder, label, args.get("searchSpec"), folder)


def search_below(call: Call, browser: HostDatastoreBrowser, args: Any) -> Work:
    """SearchDatastoreSubFolders_Task."""
    yield 2.0
    folder, label, datastore = _folder(call, browser, args["datastorePath"])
    found = [_result(datastore, folder, label, args.get("searchSpec"), folder)]
    for below in sorted(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()):
        inner = f"{label.rstrip('/')}{'' if label.endswith('] ') else '/'}{below.relative_to(folder).as_posix()}"
        found.append(_result(datastore, below, inner, args.get("searchSpec"), folder))
    return Typed("ArrayOfHostDatastoreBrowserSearchResults", found)


def _folder(call: Call, browser: HostDatastoreBrowser, path: str) -> tuple[Path, str, Datastore]:
    """The folder of a path, on one of the browser's datastores."""
    name, relative = split_path(path)
    mine = [call.inventory.find(one.moid) for one in browser.datastores]
    datastore = next((one for one in mine if one is not None and one.name == name), None) or by_name(call.inventory, name)
    store = store_of(call.inventory, datastore)
    try:
        folder = store.path(relative) if relative else store.folder
    except ValueError as error:
        raise Fault("InvalidDatastorePath", str(error), datastorePath=path) from None
    if not folder.is_dir():
        raise Fault("FileNotFound", f"File {path} was not found", file=path)
    return folder, path, datastore


@dataclass(slots=True)
class _Found:
    """A file that a search looks at."""

    path: Path
    info: str
    query: str
    descriptor: Descriptor | None

    @property
    def size(self) -> int:
        """Bytes it takes; of a disk, what its extent takes."""
        path = self.path.with_name(self.descriptor.extent) if self.descriptor is not None else self.path
        status = path.stat() if path.exists() else self.path.stat()
        return status.st_blocks * 512 if self.descriptor is not None and self.descriptor.thin else status.st_size


def _result(datastore: Datastore, folder: Path, label: str, spec: Record | None, top: Path) -> Record:
    found = [one for one in map(_look, sorted(folder.iterdir())) if one is not None and _wanted(one, spec)]
    if spec is not None and spec["sortFoldersFirst"]:
        found.sort(key=lambda one: one.info != "FolderFileInfo")
    shown = [_shown(one, spec, datastore) for one in found]
    return Record("HostDatastoreBrowserSearchResults", datastore=ref(datastore), folderPath=label, file=shown)


def _look(path: Path) -> _Found | None:
    """What a file is; None for what a browser does not show."""
    if path.is_symlink() or path.name.endswith(_PARTS) or path.name.startswith(files.UNFINISHED):
        return None
    info, query = _FOLDER if path.is_dir() else _KINDS.get(path.suffix.lower(), _OTHER)
    descriptor = None
    if info == "VmDiskFileInfo":
        try:
            descriptor = read_descriptor(path)
        except (NotAVmdk, OSError):  # a disk of another kind, or none
            info, query = _OTHER
    return _Found(path, info, query, descriptor)


def _wanted(one: _Found, spec: Record | None) -> bool:
    if spec is None:
        return True
    patterns, name = spec["matchPattern"] or ["*"], one.path.name
    if spec["searchCaseInsensitive"] is not False:
        patterns, name = [pattern.lower() for pattern in patterns], name.lower()
    if not any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
        return False
    queries = spec["query"] or []
    return not queries or any(_answers(one, query) for query in queries)


def _answers(one: _Found, query: Record) -> bool:
    """Whether a file is what one query asks for."""
    if query.kind not in (one.query, "FileQuery"):
        return False
    wanted, descriptor = query["filter"] if query.kind == "VmDiskFileQuery" else None, one.descriptor
    if wanted is None or descriptor is None:
        return True
    tests: tuple[tuple[str, Callable[[Any], bool]], ...] = (
        ("thin", lambda told: told == descriptor.thin),
        ("encrypted", lambda told: not told),
        ("diskType", lambda told: not told or _BACKING[descriptor.kind] in told),
        ("matchHardwareVersion", lambda told: not told or _HARDWARE in told),
        ("controllerType", lambda told: not told or _controller(descriptor) in told),
    )
    return all(wanted[name] is None or test(wanted[name]) for name, test in tests)


_HARDWARE = 13


def _controller(descriptor: Descriptor) -> str:
    known = {"ide": "VirtualIDEController", "buslogic": "VirtualBusLogicController"}
    return known.get(descriptor.adapter.lower(), "VirtualLsiLogicController")


def _shown(one: _Found, spec: Record | None, datastore: Datastore) -> Record:
    record = Record(one.info, path=one.path.name)
    details = spec["details"] if spec is not None else None
    if details is None or details["fileSize"]:
        record["fileSize"] = one.size if one.info != "FolderFileInfo" else 0
    if details is not None and details["modification"]:
        record["modification"] = one.path.stat().st_mtime
    if details is not None and details["fileOwner"]:
        record["owner"] = files.owner_of(datastore, one.path)
    if details is not None and not details["fileType"] and not _details(spec, one):
        record = Record("FileInfo", **record.fields)
    if one.descriptor is not None and record.kind == "VmDiskFileInfo":
        record.fields.update(_of_disk(one.descriptor, _details(spec, one)))
    return record


def _details(spec: Record | None, one: _Found) -> Record | None:
    """The details that a query asks for of files of this kind."""
    queries = (spec["query"] or []) if spec is not None else []
    return next((query["details"] for query in queries if query.kind == one.query and query["details"] is not None), None)


def _of_disk(descriptor: Descriptor, details: Record | None) -> dict[str, Any]:
    if details is None:
        return {}
    values = {
        "diskType": _BACKING[descriptor.kind],
        "capacityKb": descriptor.size // 1024,
        "hardwareVersion": _HARDWARE,
        "controllerType": _controller(descriptor),
        "diskExtents": [descriptor.extent],
        "thin": descriptor.thin,
    }
    return {name: value for name, value in values.items() if details[name]}


BROWSER_PROPERTIES: dict[str, Property] = {"datastore": lambda _inventory, browser: list(browser.datastores)}
BROWSER_OPERATIONS = {"SearchDatastore_Task": search, "SearchDatastoreSubFolders_Task": search_below}
