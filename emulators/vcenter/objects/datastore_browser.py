"""The browser of datastores."""

import fnmatch
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.objects.datastore import by_name, store_of
from emulators.vcenter.paths import split_path
from emulators.vcenter.records import Record, Ref, Typed
from emulators.vcenter.tasks import Work


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
