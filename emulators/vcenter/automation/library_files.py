"""Files of library items: sessions that put files into an item or fetch them, and the transfers at `/cls/data/SESSION/FILE`.

An upload changes nothing before its session is completed; one that breaks off, has the wrong size or the wrong hash never does.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from emulators.vcenter.automation.act import Operation, one
from emulators.vcenter.automation.errors import Refusal
from emulators.vcenter.automation.library import folder_of, libraries, may
from emulators.vcenter.http_body import PIECE, Upload, pieces, plain
from emulators.vcenter.inventory import Call, Inventory

#: Seconds that a transfer session stays open without a sign of its client.
_OPEN_SECONDS = 300.0
_HASHES = {"SHA1": "sha1", "MD5": "md5", "SHA256": "sha256", "SHA512": "sha512"}
_SERVICE = "content.library.item"


# sessions ------------------------------------------------------------------------------------------------------------


def _open(call: Call, given: dict[str, Any], sessions: dict[str, dict[str, Any]]) -> str:
    kept = libraries(call.inventory)
    item = one(kept.items, "item", given["create_spec"].get("library_item_id") or "")
    identifier = call.inventory.clock.uuid()
    sessions[identifier] = {
        "id": identifier,
        "library_item_id": item["id"],
        "library_item_content_version": item["content_version"],
        "client_progress": 0,
        "state": "ACTIVE",
        "expiration_time": call.inventory.clock.now() + _OPEN_SECONDS,
        "files": {},
    }
    call.inventory.touch("library")
    return identifier


def _session(call: Call, sessions: dict[str, dict[str, Any]], identifier: str, *, active: bool = True) -> dict[str, Any]:
    found = one(sessions, "session", identifier)
    if found["state"] == "ACTIVE" and found["expiration_time"] < call.inventory.clock.now():
        found["state"] = "ERROR"
    if active and found["state"] != "ACTIVE":
        raise Refusal("not_allowed_in_current_state", f"The session is {found['state'].lower()}.")
    return found


def _shown(session: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in session.items() if name != "files"}


def _of(call: Call, given: dict[str, Any], *, active: bool = True) -> dict[str, Any]:
    """The session that an operation names, of either kind."""
    kept = libraries(call.inventory)
    if "update_session_id" in given:
        return _session(call, kept.uploads, given["update_session_id"], active=active)
    return _session(call, kept.downloads, given["download_session_id"], active=active)


def create_upload(call: Call, given: dict[str, Any]) -> str:
    """A session that puts files into an item; its id."""
    may(call, "UpdateLibraryItem")
    return _open(call, given, libraries(call.inventory).uploads)


def create_download(call: Call, given: dict[str, Any]) -> str:
    """A session that fetches the files of an item; every one of them is ready."""
    may(call, "DownloadSession")
    kept = libraries(call.inventory)
    identifier = _open(call, given, kept.downloads)
    session = kept.downloads[identifier]
    session["files"] = {
        name: {"name": name, "size": file["size"]} for name, file in kept.files[session["library_item_id"]].items()
    }
    return identifier


def keep_alive(call: Call, given: dict[str, Any]) -> None:
    """The client is still there."""
    session = _of(call, given)
    session["expiration_time"] = call.inventory.clock.now() + _OPEN_SECONDS
    session["client_progress"] = given.get("client_progress", given.get("progress", session["client_progress"]))


def _end(state: str) -> Operation:
    def end(call: Call, given: dict[str, Any]) -> None:
        session = _of(call, given)
        session["state"] = state
        if "client_error_message" in given:
            text = given["client_error_message"]
            session["error_message"] = {"id": "com.vmware.vdcs.cls-main.client_error", "default_message": text, "args": []}
        _sweep(call, session)

    return end


def delete(call: Call, given: dict[str, Any]) -> None:
    """Forget a session."""
    session = _of(call, given, active=False)
    _sweep(call, session)
    kept = libraries(call.inventory)
    kept.uploads.pop(session["id"], None)
    kept.downloads.pop(session["id"], None)


def _sweep(call: Call, session: dict[str, Any]) -> None:
    item = libraries(call.inventory).items.get(session["library_item_id"])
    if item is not None:
        shutil.rmtree(_staging(call, item, session), ignore_errors=True)


def _staging(call: Call, item: dict[str, Any], session: dict[str, Any]) -> Path:
    folder: Path = folder_of(call, item)
    return folder.with_name(f".upload-{session['id']}")


# files of an upload --------------------------------------------------------------------------------------------------


def _plain(name: str) -> str:
    if not name or "/" in name or "\\" in name or "\0" in name or name in (".", "..") or len(name.encode()) > 255:
        raise Refusal("invalid_argument", f"{name!r} is no file name.")
    return name


def add_file(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """A file to come: pushed to the address that the answer names."""
    session, spec = _of(call, given), given["file_spec"]
    name = _plain(spec["name"])
    if spec["source_type"] != "PUSH":
        raise Refusal("unsupported", "Files are pushed here: nothing is fetched from elsewhere.")
    address = f"{call.base}/cls/data/{session['id']}/{quote(name)}"
    session["files"][name] = {
        "name": name,
        "source_type": "PUSH",
        "upload_endpoint": {"uri": address},
        "bytes_transferred": 0,
        "status": "WAITING_FOR_TRANSFER",
        **{field: spec[field] for field in ("size", "checksum_info") if field in spec},
    }
    return {name: value for name, value in session["files"][name].items() if name != "hash"}


def _file(session: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = one(session["files"], "file", name)
    return found


def remove_file(call: Call, given: dict[str, Any]) -> None:
    """Take a file out of an upload."""
    session = _of(call, given)
    file = _file(session, given["file_name"])
    del session["files"][file["name"]]
    item = libraries(call.inventory).items[session["library_item_id"]]
    (_staging(call, item, session) / file["name"]).unlink(missing_ok=True)


def _missing(session: dict[str, Any]) -> list[str]:
    return [file["name"] for file in session["files"].values() if file["status"] not in ("READY", "ERROR")]


def _wrong(session: dict[str, Any]) -> list[dict[str, Any]]:
    broken = [file for file in session["files"].values() if file["status"] == "ERROR"]
    return [{"name": file["name"], "error_message": file["error_message"]} for file in broken]


def validate(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """What an upload still lacks."""
    session = _of(call, given)
    missing, wrong = _missing(session), _wrong(session)
    return {"has_errors": bool(missing or wrong), "missing_files": missing, "invalid_files": wrong}


def complete(call: Call, given: dict[str, Any]) -> None:
    """Put the files into the item, all of them."""
    session = _of(call, given)
    if _missing(session) or _wrong(session):
        names = [*_missing(session), *(file["name"] for file in _wrong(session))]
        raise Refusal("not_allowed_in_current_state", f"Files are missing or wrong: {', '.join(names)}.")
    inventory = call.inventory
    kept = libraries(inventory)
    item = kept.items[session["library_item_id"]]
    folder, staging = folder_of(call, item), _staging(call, item, session)
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in session["files"].items():
        (staging / name).replace(folder / name)
        kept.files[item["id"]][name] = {"name": name, "size": file["bytes_transferred"], "hash": file["hash"]}
    shutil.rmtree(staging, ignore_errors=True)
    item["size"] = sum(file["size"] for file in kept.files[item["id"]].values())
    item["content_version"] = str(int(item["content_version"]) + 1)
    item["last_modified_time"] = inventory.clock.now()
    session["state"] = "DONE"
    inventory.touch("library")


# files of an item ----------------------------------------------------------------------------------------------------


def _info(file: dict[str, Any]) -> dict[str, Any]:
    checksum = {"algorithm": "SHA1", "checksum": file["hash"]}
    return {"name": file["name"], "size": file["size"], "cached": True, "version": "1", "checksum_info": checksum}


def list_files(call: Call, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The files of an item."""
    kept = libraries(call.inventory)
    one(kept.items, "item", given["library_item_id"])
    return [_info(file) for file in kept.files[given["library_item_id"]].values()]


def get_file(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """One file of an item."""
    kept = libraries(call.inventory)
    one(kept.items, "item", given["library_item_id"])
    return _info(one(kept.files[given["library_item_id"]], "file", given["name"]))


def _stored(call: Call, given: dict[str, Any], file: dict[str, Any]) -> dict[str, Any]:
    kept = libraries(call.inventory)
    item = kept.items[given["library_item_id"]]
    backing = kept.libraries[item["library_id"]]["storage_backings"][0]
    address = f"ds://{folder_of(call, item) / file['name']}"
    return {**_info(file), "storage_backing": {"type": "DATASTORE", **backing}, "storage_uris": [address]}


def list_storage(call: Call, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Where the files of an item lie."""
    kept = libraries(call.inventory)
    one(kept.items, "item", given["library_item_id"])
    return [_stored(call, given, file) for file in kept.files[given["library_item_id"]].values()]


def _download(call: Call, session: dict[str, Any], name: str) -> dict[str, Any]:
    file = _file(session, name)
    address = f"{call.base}/cls/data/{session['id']}/{quote(name)}"
    done = {"status": "PREPARED", "bytes_transferred": 0, "download_endpoint": {"uri": address}}
    return {"name": name, "size": file["size"], **done}


def get_transfer(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """A file of a session."""
    session = _of(call, given)
    if "download_session_id" in given:
        return _download(call, session, given["file_name"])
    return {name: value for name, value in _file(session, given["file_name"]).items() if name != "hash"}


def list_transfers(call: Call, given: dict[str, Any]) -> list[dict[str, Any]]:
    """All files of a session."""
    return [get_transfer(call, {**given, "file_name": name}) for name in _of(call, given)["files"]]


# bytes ---------------------------------------------------------------------------------------------------------------


def transfers(inventory: Inventory, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The door of `/cls/data/SESSION/FILE`. The id of the session is a secret that opens this one door."""
    parts = environ.get("PATH_INFO", "").removeprefix("/cls/data/").split("/")
    call = Call(inventory, None)
    try:
        if len(parts) != 2:
            raise Refusal("not_found", "There is nothing here.")
        identifier, name = parts[0], parts[1].encode("latin-1").decode("utf-8", "replace")
        if environ["REQUEST_METHOD"] in ("PUT", "POST"):
            _put(call, identifier, name, Upload(environ))
            return plain(start_response, "200 OK", "")
        path = _path_of(call, identifier, name)
    except Refusal as refusal:
        status = "404 Not Found" if refusal.error == "not_found" else "400 Bad Request"
        return plain(start_response, status, f"{refusal.reason}\n")
    size = path.stat().st_size
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))])
    return pieces(path, 0, size)


def _put(call: Call, identifier: str, name: str, upload: Upload) -> None:
    inventory = call.inventory
    with inventory.lock:
        kept = libraries(inventory)
        session = _session(call, kept.uploads, identifier)
        file = _file(session, name)
        item = kept.items[session["library_item_id"]]
        folder = _staging(call, item, session)  # before the store, of which it knows whether it is there
        room = inventory.stores[kept.libraries[item["library_id"]]["storage_backings"][0]["datastore_id"]].free
        file["status"] = "TRANSFERRING"
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f".{inventory.clock.uuid()}"
    try:
        hashes = _receive(upload, fresh, room)
        reason = _fault(file, upload, hashes)
        with inventory.lock:
            if reason:
                raise Refusal("invalid_argument", reason)
            fresh.replace(folder / name)
            file |= {"status": "READY", "bytes_transferred": upload.count, "hash": hashes["SHA1"]}
            session["expiration_time"] = inventory.clock.now() + _OPEN_SECONDS
            inventory.touch("library")
    except Refusal as refusal:
        message = {"id": "com.vmware.vdcs.cls-main.transfer", "default_message": refusal.reason, "args": []}
        file |= {"status": "ERROR", "error_message": message}
        raise
    finally:
        fresh.unlink(missing_ok=True)


def _path_of(call: Call, identifier: str, name: str) -> Path:
    with call.inventory.lock:
        kept = libraries(call.inventory)
        session = _session(call, kept.downloads, identifier)
        file = _file(session, name)
        path: Path = folder_of(call, kept.items[session["library_item_id"]]) / file["name"]
    if not path.is_file():
        raise Refusal("not_found", "The file is gone.")
    return path


def _receive(upload: Upload, fresh: Path, room: int) -> dict[str, str]:
    """Write what comes to a new file; its hashes. Raises `Refusal` when there is no room."""
    hashes = {name: hashlib.new(algorithm, usedforsecurity=False) for name, algorithm in _HASHES.items()}
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        while piece := upload.read(PIECE):
            if upload.count > room:
                raise Refusal("unable_to_allocate_resource", "The datastore is full.")
            file.write(piece)
            for one_hash in hashes.values():
                one_hash.update(piece)
    return {name: one_hash.hexdigest() for name, one_hash in hashes.items()}


def _fault(file: dict[str, Any], upload: Upload, hashes: dict[str, str]) -> str:
    """What is wrong with a file that came; empty when nothing is."""
    if not upload.whole:
        return f"The upload broke off after {upload.count} bytes."
    if file.get("size", upload.count) != upload.count:
        return f"The file has {upload.count} bytes, {file['size']} were announced."
    told = file.get("checksum_info")
    if told and hashes[told.get("algorithm") or "SHA1"] != told["checksum"].lower():
        return f"The {told.get('algorithm') or 'SHA1'} of the file is not the one that was announced."
    return ""


def _all(sessions: str) -> Operation:
    def find(call: Call, given: dict[str, Any]) -> list[str]:
        wanted = given.get("library_item_id")
        every: dict[str, dict[str, Any]] = getattr(libraries(call.inventory), sessions)
        return [one["id"] for one in every.values() if wanted in (None, one["library_item_id"])]

    return find


def _get_session(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    return _shown(_of(call, given, active=False))


OPERATIONS: dict[str, Operation] = {
    f"{_SERVICE}.update_session.create": create_upload,
    f"{_SERVICE}.update_session.complete": complete,
    f"{_SERVICE}.update_session.list": _all("uploads"),
    f"{_SERVICE}.download_session.create": create_download,
    f"{_SERVICE}.download_session.list": _all("downloads"),
    **{
        f"{_SERVICE}.{kind}_session.{name}": operation
        for kind in ("update", "download")
        for name, operation in {
            "get": _get_session,
            "keep_alive": keep_alive,
            "cancel": _end("CANCELED"),
            "fail": _end("ERROR"),
            "delete": delete,
        }.items()
    },
    f"{_SERVICE}.updatesession.file.add": add_file,
    f"{_SERVICE}.updatesession.file.get": get_transfer,
    f"{_SERVICE}.updatesession.file.list": list_transfers,
    f"{_SERVICE}.updatesession.file.remove": remove_file,
    f"{_SERVICE}.updatesession.file.validate": validate,
    f"{_SERVICE}.downloadsession.file.get": get_transfer,
    f"{_SERVICE}.downloadsession.file.list": list_transfers,
    f"{_SERVICE}.downloadsession.file.prepare": get_transfer,
    f"{_SERVICE}.file.get": get_file,
    f"{_SERVICE}.file.list": list_files,
    f"{_SERVICE}.storage.list": list_storage,
}
