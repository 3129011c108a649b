"""Bodies of requests read piece by piece, and small answers: what the doors beside `/sdk` share."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from emulators.vcenter.faults import Fault

PIECE = 1024 * 1024
#: Fault of a refused request -> its HTTP status; others are 500.
STATUS = {
    "FileAlreadyExists": "409 Conflict",
    "FileLocked": "423 Locked",
    "FileNotFound": "404 Not Found",
    "InvalidArgument": "400 Bad Request",
    "InvalidDatastorePath": "404 Not Found",
    "InvalidState": "409 Conflict",
    "ManagedObjectNotFound": "404 Not Found",
    "NoDiskSpace": "507 Insufficient Storage",
    "NoPermission": "403 Forbidden",
    "NotAuthenticated": "401 Unauthorized",
}


class Upload:
    """The body of a request. `read` never goes beyond what the request announced; `whole` tells whether all of it came."""

    def __init__(self, environ: dict[str, Any]):
        told = environ.get("CONTENT_LENGTH") or ""
        chunked = environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked"
        self.length: int | None = None if chunked else int(told) if told.isdigit() else 0
        self.count = 0
        self._input, self._scope = environ["wsgi.input"], environ.get("asgi.scope") or {}

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; b"" at the end."""
        if self.length is not None:
            size = min(size, self.length - self.count)
        data = bytes(self._input.read(size)) if size > 0 else b""
        self.count += len(data)
        return data

    @property
    def whole(self) -> bool:
        """Whether nothing is missing. Ask after reading to the end."""
        return self.count == self.length if self.length is not None else not self._scope.get("drillbed.cut")


def bounded(environ: dict[str, Any], most: int) -> bytes | None:
    """The whole body; None when it is larger than `most` bytes."""
    told = environ.get("CONTENT_LENGTH") or ""
    if told.isdigit():
        length = int(told)
        return None if length > most else bytes(environ["wsgi.input"].read(length))
    if not environ.get("wsgi.input_terminated"):
        return b""
    body = bytes(environ["wsgi.input"].read(most + 1))
    return None if len(body) > most else body


def plain(start_response: Any, status: str, text: str, *, kind: str = "text/plain; charset=utf-8") -> list[bytes]:
    """A short answer."""
    body = text.encode()
    start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


def refusal(start_response: Any, fault: Fault) -> list[bytes]:
    """A fault as an HTTP answer."""
    return plain(start_response, STATUS.get(fault.kind, "500 Internal Server Error"), fault.message + "\n")


def pieces(path: Path, start: int, length: int) -> Iterator[bytes]:
    """A part of a file, in pieces."""
    with path.open("rb") as file:
        file.seek(start)
        while length > 0 and (data := file.read(min(PIECE, length))):
            length -= len(data)
            yield data


Door = Callable[[Any, dict[str, Any], Any], Iterable[bytes]]
