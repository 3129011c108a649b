"""A transport for the vendor's client libraries that travels over an estate's network instead of sockets of its own."""

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from azure.core.utils import case_insensitive_dict

from emulators.network import Host

#: How long an answer may take, in seconds.
PATIENCE = 60.0

Headers = Callable[[], Mapping[str, str]]


def no_headers() -> Mapping[str, str]:
    """Adds nothing to a request."""
    return {}


class HostTransport:
    """What `azure.core.pipeline.transport.HttpTransport` is: sends a request, keeps connections. Thread-safe.

    `extra` gives headers to add to each request after it was signed. Whatever keeps an answer from coming is an `OSError`.
    """

    def __init__(self, host: Host, extra: Headers = no_headers):
        self._host, self._extra = host, extra
        self._kept: dict[tuple[str, int, bool], list[Any]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Connections are made when they are needed."""

    def close(self) -> None:
        with self._lock:
            kept, self._kept = self._kept, {}
        for connections in kept.values():
            for connection in connections:
                connection.close()

    def sleep(self, duration: float) -> None:
        """Retries of the library come without a pause: it is told to make none."""

    def send(self, request: Any, **_: Any) -> "Answer":
        parts = urlsplit(request.url)
        tls = parts.scheme == "https"
        place = (parts.hostname or "", parts.port or (443 if tls else 80), tls)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {**request.headers, **self._extra()}
        while True:
            connection, kept = self._take(place)
            try:
                connection.request(request.method, target, body=request.data or None, headers=headers)
                response = connection.getresponse()
                answer = Answer(request, response, response.read())
            except (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected):
                connection.close()
                if not kept:  # the other side may have closed a kept connection long ago: ask again on a new one
                    raise
            except http.client.HTTPException as error:
                connection.close()
                raise ConnectionError(f"{place[0]}:{place[1]} broke off its answer: {error!r}") from error
            except BaseException:
                connection.close()
                raise
            else:
                with self._lock:
                    self._kept.setdefault(place, []).append(connection)
                return answer

    def _take(self, place: tuple[str, int, bool]) -> tuple[Any, bool]:
        with self._lock:
            kept = self._kept.get(place)
            if kept:
                return kept.pop(), True
        return self._host.connection(place[0], place[1], tls=place[2], timeout=PATIENCE), False


class Answer:
    """What `azure.core.pipeline.transport.HttpResponse` is, with its body already here."""

    def __init__(self, request: Any, response: Any, body: bytes):
        self.request, self.internal_response = request, response
        self.status_code: int = response.status
        self.reason: str = response.reason
        self.headers = case_insensitive_dict(response.getheaders())
        self.content_type: str | None = self.headers.get("content-type")
        self.block_size = 4096
        self._body = body

    @property
    def content(self) -> bytes:
        return self._body

    def body(self) -> bytes:
        return self._body

    def read(self) -> bytes:
        return self._body

    def text(self, encoding: str | None = None) -> str:
        return self._body.decode("utf-8-sig" if encoding in (None, "utf-8") else encoding)

    def stream_download(self, pipeline: Any, **_: Any) -> "Stream":
        return Stream(self, self._body)

    def close(self) -> None:
        """Nothing is open."""


class Stream:
    """A body in one piece, as the libraries want to download it: an iterator that knows its answer and takes attributes."""

    def __init__(self, answer: Answer, body: bytes):
        self.response, self.content_length = answer, len(body)
        self._parts = iter((body,) if body else ())

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._parts)
