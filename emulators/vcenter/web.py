"""The WSGI face of a vCenter: `/sdk`, the list of versions, and the doors through which bytes come and go (`DOORS`)."""

from collections.abc import Iterable, Iterator
from typing import Any

from emulators.vcenter import parse, schema, soap
from emulators.vcenter.automation.face import automation
from emulators.vcenter.automation.library_files import transfers
from emulators.vcenter.folder_door import folder
from emulators.vcenter.guest_file_door import guest_file
from emulators.vcenter.http_body import Door, bounded
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.lookup_door import lookup
from emulators.vcenter.nfc_door import nfc
from emulators.vcenter.objects.service_instance import api_version
from emulators.vcenter.pbm_door import pbm
from emulators.vcenter.sessions import token_of
from emulators.vcenter.sts_door import sts

_CHUNK = 1024 * 1024
XML = "text/xml; charset=utf-8"
#: First part of a path -> what serves everything below it.
DOORS: dict[str, Door] = {
    "api": automation,
    "cls": transfers,
    "folder": folder,
    "guestFile": guest_file,
    "lookupservice": lookup,
    "nfc": nfc,
    "pbm": pbm,
    "rest": automation,
    "sts": sts,
}


class Web:
    """A WSGI application."""

    def __init__(self, inventory: Inventory):
        self._inventory = inventory
        self._plans = soap.Plans()
        self._versions = _service_versions(api_version(inventory.version))

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path, method = environ.get("PATH_INFO", "/"), environ["REQUEST_METHOD"]
        if path.rstrip("/") == "/sdk" and method == "POST":
            return self._sdk(environ, start_response)
        if path == "/sdk/vimServiceVersions.xml" and method in ("GET", "HEAD"):
            return _send(start_response, "200 OK", self._versions, XML)
        door = DOORS.get(path.split("/", 2)[1] if path.startswith("/") else "")
        if door is not None:
            return door(self._inventory, environ, start_response)
        return _send(start_response, "404 Not Found", b"There is nothing here.\n")

    def _sdk(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = bounded(environ, parse.MAX_BODY)
        if body is None:
            return _send(start_response, "413 Content Too Large", b"The request is too large.\n")
        peer = environ.get("drillbed.peer") or environ.get("REMOTE_ADDR", "")
        agent = environ.get("HTTP_USER_AGENT", "")[:256]
        answer = soap.answer(
            self._inventory, body, token_of(environ.get("HTTP_COOKIE", "")), peer=peer, agent=agent, plans=self._plans
        )
        status = "200 OK" if answer.status == 200 else "500 Internal Server Error"
        extra = [("Set-Cookie", answer.set_cookie)] if answer.set_cookie else []
        length = str(sum(map(len, answer.parts)))
        start_response(status, [("Content-Type", XML), ("Content-Length", length), *extra])
        return slices(answer.parts)


def slices(parts: list[bytes]) -> Iterator[bytes]:
    """The pieces of an answer in slices of a good size, without joining all of them."""
    some: list[bytes] = []
    size = 0
    for part in parts:
        some.append(part)
        size += len(part)
        if size >= _CHUNK:
            yield b"".join(some)
            some, size = [], 0
    if some:
        yield b"".join(some)


def _send(
    start_response: Any, status: str, body: bytes, kind: str = "text/plain", extra: Iterable[tuple[str, str]] = ()
) -> list[bytes]:
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *extra])
    return [body]


def _service_versions(newest: str) -> bytes:
    first, *prior = schema.versions(newest)
    older = "".join(f"<version>{version}</version>" for version in prior)
    return (
        '<?xml version="1.0" encoding="UTF-8" ?>\n<namespaces version="1.0"><namespace><name>urn:vim25</name>'
        f"<version>{first}</version><priorVersions>{older}</priorVersions></namespace></namespaces>\n"
    ).encode()
