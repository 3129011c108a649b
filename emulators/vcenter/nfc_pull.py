"""HttpNfcLeasePullFromUrls_Task: the vCenter fetches the files of an import itself, alone or out of an OVA, and believes neither
the sizes nor the digests it is told."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from emulators.network import Host
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.nfc_transfer import receive, take
from emulators.vcenter.objects.nfc_lease import Digests, HttpNfcLease, LeaseFile, require
from emulators.vcenter.records import Record
from emulators.vcenter.tasks import Work
from emulators.vcenter.vmdk import CutShort, NotAVmdk

_BLOCK, _PIECE = 512, 1024 * 1024
_MOST_MANIFEST = 1024 * 1024
_LINE = re.compile(r"^(SHA1|SHA256)\s*\(([^)]+)\)\s*=\s*([0-9a-fA-F]+)\s*$", re.MULTILINE)


def pull(call: Call, lease: HttpNfcLease, args: Any) -> Work:
    """HttpNfcLeasePullFromUrls_Task."""
    require(lease, "ready")
    files = args.get("files") or []
    chosen = [(told, _target(lease, told)) for told in files]
    host = _host(call.inventory)
    for number, (told, one) in enumerate(chosen):
        found = take(call.inventory, lease, one.name)
        outcome: list[Fault] = []
        yield partial(_fetch, host, call.inventory, lease, found, told, outcome)
        if outcome:
            raise outcome[0]
        call.inventory.tasks.progress(call, 100 * (number + 1) // len(chosen))


def probe(call: Call, lease: HttpNfcLease, args: Any) -> list[Record]:
    """HttpNfcLeaseProbeUrls: whether the network lets the vCenter reach the servers."""
    require(lease, "ready")
    host, found = _host(call.inventory), []
    for told in args.get("files") or []:
        name, port, _, _ = _where(told["url"])
        reachable = host.network.refusal(host, name, port) is None
        found.append(Record("HttpNfcLeaseProbeResult", serverAccessible=reachable))
    return found


def _host(inventory: Inventory) -> Host:
    if inventory.host is None:
        raise Fault("NotSupported", "This vCenter is on no network from which it could fetch something.")
    return inventory.host


def _target(lease: HttpNfcLease, told: Record) -> LeaseFile:
    """The file that a source is for. Raises `InvalidArgument`."""
    if lease.undo is None:
        raise Fault("InvalidState", "This lease gives files, it takes none.")
    for one in lease.files.values():
        if told["targetDeviceId"] in (one.key, one.import_key, one.name):
            return one
    raise invalid_argument("files.targetDeviceId", f"The lease has no device {told['targetDeviceId']}.")


def _where(url: str) -> tuple[str, int, bool, str]:
    """Name, port, TLS and path of a URL. Raises `InvalidArgument`."""
    try:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        if parts.scheme in ("http", "https") and parts.hostname:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            return parts.hostname, parts.port or (443 if tls else 80), tls, path
    except ValueError:
        pass
    raise invalid_argument("files.url", f"{url!r} is no address of a web server.")


def _fetch(host: Host, inventory: Inventory, lease: HttpNfcLease, one: LeaseFile, told: Record, outcome: list[Fault]) -> None:
    """Fetch one file. What goes wrong is put into `outcome`: this runs on the clock."""
    try:
        name, port, tls, path = _where(told["url"])
        connection = host.connection(name, port, tls=tls)
        try:
            headers = {pair["key"]: pair["value"] for pair in told["httpHeaders"] or []}
            if not all(text.isprintable() for pair in headers.items() for text in pair):
                raise invalid_argument("files.httpHeaders", "A header is more than one line.")
            connection.request("GET", path, headers={"Host": name, **headers})
            answer = connection.getresponse()
            if answer.status != 200:
                raise Fault("HttpFault", f"{told['url']} gave {answer.status}.", statusCode=answer.status, statusMessage="")
            _take_in(inventory, lease, one, told, answer)
        finally:
            connection.close()
    except Fault as fault:
        outcome.append(fault)
    except NotAVmdk as error:
        outcome.append(Fault("InvalidDiskFormat", f"{told['url']} is not what it should be: {error}."))
    except (OSError, HTTPException, ValueError) as error:
        outcome.append(Fault("HostCommunication", f"{told['url']} cannot be fetched: {error}"))


def _take_in(inventory: Inventory, lease: HttpNfcLease, one: LeaseFile, told: Record, answer: Any) -> None:
    if told["memberName"]:
        archive = Archive(answer.read)
        size = archive.find(told["memberName"])
        part = _Part(answer.read, size)
        wrong = _judge(told, size, lambda digests: archive.wrong(told["memberName"], digests))
    else:
        length = answer.getheader("Content-Length")
        part = _Part(answer.read, int(length) if length is not None else None)
        wrong = _judge(told, None, lambda _digests: "")
    receive(inventory, lease, one, part.read, lambda: part.whole, wrong)


def _judge(told: Record, size: int | None, further: Callable[[Digests], str]) -> Callable[[Digests], str]:
    def judged(digests: Digests) -> str:
        if told["size"] is not None and told["size"] != digests.size:
            return f"it has {digests.size} bytes, {told['size']} were announced"
        if size is not None and size != digests.size:
            return f"it has {digests.size} bytes, its archive says {size}"
        return further(digests)

    return judged


@dataclass(slots=True)
class _Part:
    """The next so many bytes of a stream, or all of it."""

    source: Callable[[int], bytes]
    length: int | None
    count: int = 0

    def read(self, size: int) -> bytes:
        if self.length is not None:
            size = min(size, self.length - self.count)
        data = self.source(size) if size > 0 else b""
        self.count += len(data)
        return data

    @property
    def whole(self) -> bool:
        return self.length is None or self.count == self.length


@dataclass(slots=True)
class Archive:
    """An OVA (ustar) read from front to back: a member, and the digests of its manifest, which may stand before or after it."""

    source: Callable[[int], bytes]
    told: dict[str, tuple[str, str]] = field(default_factory=dict)  #: file -> name of the digest, digest
    _left: int = 0  # of the member at hand, with its padding

    def find(self, name: str) -> int:
        """Go to a member; returns its size. Raises `NotAVmdk` when there is none."""
        while (member := self._next()) is not None:
            if member[0] == name:
                return member[1]
            self._look(*member)
        raise NotAVmdk(f"the archive has no member {name}")

    def wrong(self, name: str, digests: Digests) -> str:
        """What the manifest has against the member that was just read; empty when nothing, or when there is no manifest."""
        if name not in self.told:
            self._left = -digests.size % _BLOCK
            while (member := self._next()) is not None:
                self._look(*member)
        kind, expected = self.told.get(name, ("", ""))
        found = digests.hexdigests().get(kind, "")
        return f"its {kind} is {found}, the manifest says {expected}" if kind and found != expected else ""

    def _look(self, name: str, size: int) -> None:
        if name.lower().endswith(".mf") and size <= _MOST_MANIFEST:
            text = self._exactly(size).decode("utf-8", "replace")
            self._left = -size % _BLOCK
            self.told.update({file.strip(): (kind.lower(), digest.lower()) for kind, file, digest in _LINE.findall(text)})
        else:
            self._left = size + -size % _BLOCK

    def _next(self) -> tuple[str, int] | None:
        """Name and size of the next member; None at the end."""
        while self._left:
            data = self.source(min(self._left, _PIECE))
            if not data:
                raise CutShort("the archive ends too early")
            self._left -= len(data)
        head = self._exactly(_BLOCK, may_end=True)
        if not head.strip(b"\0"):
            return None
        if head[257:262] != b"ustar":
            raise NotAVmdk("it is no archive")
        try:
            size = int(head[124:136].strip(b" \0") or b"0", 8)
        except ValueError:
            raise NotAVmdk("the archive has a member without a size") from None
        prefix, name = (head[part].rstrip(b"\0").decode("utf-8", "replace") for part in (slice(345, 500), slice(100)))
        return (f"{prefix}/{name}" if prefix else name), size

    def _exactly(self, size: int, *, may_end: bool = False) -> bytes:
        parts: list[bytes] = []
        while size:
            data = self.source(size)
            if not data and not (may_end and not parts):
                raise CutShort("the archive ends too early")
            if not data:
                break
            parts.append(data)
            size -= len(data)
        return b"".join(parts)


PULL_OPERATIONS = {"HttpNfcLeasePullFromUrls_Task": pull, "HttpNfcLeaseProbeUrls": probe}
