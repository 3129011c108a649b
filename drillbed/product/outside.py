"""A place on the real network, with the interface of a host of an estate: HTTPS to wherever a lab has its endpoints."""

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from emulators.clock import Clock
from emulators.network import Reply


@dataclass(frozen=True, slots=True)
class OutsideHost:
    """Certificates are checked, against `ca` where one is given. Every failure to reach somebody is an `OSError`."""

    clock: Clock
    ca: Path | None = None
    name: str = "operator"
    address: str = ""

    def connection(self, destination: str, port: int, *, tls: bool = True, timeout: float = 60.0) -> http.client.HTTPConnection:
        if not tls:
            return http.client.HTTPConnection(destination, port, timeout=timeout)
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        return http.client.HTTPSConnection(destination, port, timeout=timeout, context=context)

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes = b"", timeout: float = 60.0
    ) -> Reply:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        connection = self.connection(parts.hostname or "", parts.port or (443 if tls else 80), tls=tls, timeout=timeout)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body=body or None, headers={"Host": parts.netloc, **(headers or {})})
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        except http.client.HTTPException as problem:
            raise OSError(f"{parts.netloc} answered nonsense: {problem}") from problem
        finally:
            connection.close()
