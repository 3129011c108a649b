"""`/folder`: files of datastores over HTTP, read, listed, written and deleted, by who may."""

import html
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from emulators.vcenter import authorization, sessions
from emulators.vcenter.disks import NoSpace
from emulators.vcenter.events import datacenter_of
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.http_body import PIECE, Upload, pieces, plain, refusal
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects import files
from emulators.vcenter.objects.datastore import Datastore

_RANGE = re.compile(r"bytes=(\d{1,18})?-(\d{1,18})?")


def folder(inventory: Inventory, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve one request below `/folder`."""
    relative = environ["PATH_INFO"].removeprefix("/folder").lstrip("/").encode("latin-1").decode("utf-8", "replace")
    query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
    try:
        with inventory.lock:
            session = _session(inventory, environ)
            if session is None:
                raise Fault("NotAuthenticated", "Log in first.")
            call = Call(inventory, session, environ.get("drillbed.peer", ""))
            action = _ACTIONS.get(environ["REQUEST_METHOD"])
            if action is None:
                return plain(start_response, "405 Method Not Allowed", "GET, HEAD, PUT, POST and DELETE are served here.\n")
            datastore = _datastore(call, query)
            if datastore is None:
                return _index(call, query, environ, start_response)
        return action(call, datastore, relative, environ, start_response)
    except Fault as fault:
        return refusal(start_response, fault)


def _session(inventory: Inventory, environ: dict[str, Any]) -> sessions.Session | None:
    """Who asks: by the session's cookie, or by a ticket for this request."""
    cookies = environ.get("HTTP_COOKIE", "")
    found = inventory.sessions.find(sessions.token_of(cookies))
    if found is not None:
        return found
    query = environ.get("QUERY_STRING", "")
    target = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace") + (f"?{query}" if query else "")
    ticket = sessions.token_of(cookies, sessions.TICKET_COOKIE)
    return inventory.sessions.use_ticket(ticket, environ["REQUEST_METHOD"], target) if ticket else None


def _datastore(call: Call, query: dict[str, str]) -> Datastore | None:
    """The datastore that is asked for; None when none is named."""
    name, datacenter = query.get("dsName", ""), query.get("dcPath", "").strip("/").rpartition("/")[2]
    for datastore in call.inventory.all_of(Datastore):
        home = datacenter_of(call.inventory, datastore)
        if datastore.name == name and (not datacenter or (home is not None and home.name == datacenter)):
            authorization.check(call.inventory, call.user, datastore, "Datastore.Browse")
            return datastore
    if name:
        raise Fault("FileNotFound", f"There is no datastore '{name}'.", file=name)
    return None


def _place(call: Call, datastore: Datastore, relative: str, privilege: str) -> files.Place:
    with call.inventory.lock:
        found = files.place_on(call, datastore, relative, privilege)
    if found.path.name.startswith(files.UNFINISHED):
        raise Fault("FileNotFound", f"File {found.label} was not found", file=found.label)
    return found


# reading -----------------------------------------------------------------------------------------------------------------


def _get(call: Call, datastore: Datastore, relative: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    if not relative.strip("/"):
        return _listing(call, call.inventory.stores[datastore.moid].folder, "", environ, start_response)
    where = _place(call, datastore, relative, "Datastore.Browse")
    if where.path.is_dir():
        return _listing(call, where.path, relative, environ, start_response)
    if not where.path.is_file():
        raise Fault("FileNotFound", f"File {where.label} was not found", file=where.label)
    size = where.path.stat().st_size
    start, length, status = 0, size, "200 OK"
    headers = [("Content-Type", "application/octet-stream"), ("Accept-Ranges", "bytes")]
    asked = _RANGE.fullmatch(environ.get("HTTP_RANGE", ""))
    if asked and (asked[1] or asked[2]):
        first = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
        last = min(int(asked[2]), size - 1) if asked[1] and asked[2] else size - 1
        if first > last:
            start_response("416 Range Not Satisfiable", [("Content-Range", f"bytes */{size}"), ("Content-Length", "0")])
            return []
        start, length, status = first, last - first + 1, "206 Partial Content"
        headers.append(("Content-Range", f"bytes {first}-{last}/{size}"))
    start_response(status, [*headers, ("Content-Length", str(length))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else pieces(where.path, start, length)


def _listing(call: Call, path: Path, relative: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    query = environ.get("QUERY_STRING", "")
    shown = [one for one in sorted(path.iterdir()) if not one.is_symlink() and not one.name.startswith(files.UNFINISHED)]
    rows = []
    for one in shown:
        target = quote("/".join(filter(None, ["/folder", relative.strip("/"), one.name])))
        rows.append((f"{target}{'/' if one.is_dir() else ''}?{query}", one.name, "" if one.is_dir() else one.stat().st_size))
    return _page(start_response, f"Index of {relative or 'the datastore'}", rows, environ)


def _index(call: Call, query: dict[str, str], environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The datacenters, or the datastores of one."""
    inventory, wanted = call.inventory, query.get("dcPath", "").strip("/").rpartition("/")[2]
    found = []
    for datastore in inventory.all_of(Datastore):
        home = datacenter_of(inventory, datastore)
        if home is not None and authorization.may_read(inventory, call.user, datastore):
            found.append((home.name, datastore.name))
    if wanted:
        rows = [(f"/folder?dcPath={quote(wanted)}&dsName={quote(name)}", name, "") for home, name in found if home == wanted]
    else:
        rows = [(f"/folder?dcPath={quote(home)}", home, "") for home in sorted({home for home, _ in found})]
    if not rows and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        raise Fault("FileNotFound", f"There is no datacenter '{wanted}' with datastores.", file=wanted)
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD") or environ["PATH_INFO"].rstrip("/") != "/folder":
        raise Fault("FileNotFound", "dsName says on which datastore.", file="")
    return _page(start_response, "Index of datastores", rows, environ)


def _page(start_response: Any, title: str, rows: list[tuple[str, str, Any]], environ: dict[str, Any]) -> Iterable[bytes]:
    lines = [
        f'<tr><td><a href="{html.escape(target)}">{html.escape(name)}</a></td><td>{size}</td></tr>' for target, name, size in rows
    ]
    text = (
        f"<html><head><title>{html.escape(title)}</title></head><body><table>\n" + "\n".join(lines) + "\n</table></body></html>\n"
    )
    body = plain(start_response, "200 OK", text, kind="text/html; charset=utf-8")
    return [] if environ["REQUEST_METHOD"] == "HEAD" else body


# writing -----------------------------------------------------------------------------------------------------------------


def _put(call: Call, datastore: Datastore, relative: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Take a file: it appears when all of it has come, or not at all."""
    where = _place(call, datastore, relative, files.FILE_PRIVILEGE)
    _check_target(call, where, fresh=environ["REQUEST_METHOD"] == "POST")
    upload, made = Upload(environ), _missing_parents(where.path)
    unfinished = where.path.with_name(f"{files.UNFINISHED}{call.inventory.clock.uuid()}")
    try:
        where.path.parent.mkdir(parents=True, exist_ok=True)
        _receive(where, upload, unfinished)
        with call.inventory.lock:
            _check_target(call, where, fresh=False)
            existed = where.path.exists()
            try:
                files.replace(where, unfinished)
            except NoSpace as error:
                raise files.no_space(where, error) from None
    except BaseException:
        unfinished.unlink(missing_ok=True)
        for parent in made:
            with suppress(OSError):  # somebody else uses it by now
                parent.rmdir()
        raise
    return plain(start_response, "200 OK" if existed else "201 Created", "")


def _missing_parents(path: Path) -> list[Path]:
    """Folders that have to be made for a file, the lowest first."""
    return [parent for parent in path.parents if not parent.exists()]


def _check_target(call: Call, where: files.Place, *, fresh: bool) -> None:
    with call.inventory.lock:
        files.must_be_unused(call, where)
        if where.path.is_dir() or (fresh and where.path.exists()):
            raise Fault("FileAlreadyExists", f"{where.label} exists already", file=where.label)


def _receive(where: files.Place, upload: Upload, unfinished: Path) -> None:
    if upload.length is not None and upload.length > where.store.free:
        raise files.no_space(where, NoSpace(f"{upload.length} bytes are needed, {where.store.free} are free"))
    with unfinished.open("xb") as file:
        while data := upload.read(PIECE):
            if upload.count > where.store.free:
                raise files.no_space(where, NoSpace(f"{where.store.free} bytes are free"))
            file.write(data)
    if not upload.whole:
        raise invalid_argument("body", f"The upload of {where.label} broke off: nothing was kept.")


def _delete(call: Call, datastore: Datastore, relative: str, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    with call.inventory.lock:
        files.delete_files(call, _place(call, datastore, relative, files.FILE_PRIVILEGE))
    start_response("204 No Content", [])
    return []


_ACTIONS = {"GET": _get, "HEAD": _get, "PUT": _put, "POST": _put, "DELETE": _delete}
