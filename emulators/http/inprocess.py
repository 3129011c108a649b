"""The virtual way: a request is a call of the WSGI application that listens, on the caller's thread."""

import io
import ssl
from collections.abc import Mapping
from http.client import HTTPMessage
from typing import Any
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from emulators.network import ClientIdentity, Host, Unreachable, WsgiApp


class InProcess:
    """Transport without sockets. Everything is deterministic and as fast as the applications are."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, int], InProcessListener] = {}

    def listen(
        self, host: Host, port: int, app: WsgiApp, *, tls: bool, asgi: Any = None, clients: bytes | None = None
    ) -> "InProcessListener":
        if (host.name, port) in self._open:
            raise OSError(f"port {port} of {host.name} is taken by another listener of this estate")
        listener = InProcessListener(self, host, port, app, tls, clients)
        self._open[host.name, port] = listener
        return listener

    def connection(
        self,
        source: Host,
        destination: str,
        port: int,
        *,
        tls: bool,
        timeout: float,
        identity: ClientIdentity | None = None,
    ) -> "InProcessConnection":
        return InProcessConnection(self, source, destination, port, tls, identity)

    def forget(self, host: Host) -> None:
        for key in [key for key in self._open if key[0] == host.name]:
            del self._open[key]

    def listener(self, host: str, port: int) -> "InProcessListener | None":
        return self._open.get((host, port))


class InProcessListener:
    """An open port of the virtual way."""

    def __init__(self, transport: InProcess, host: Host, port: int, app: WsgiApp, tls: bool, clients: bytes | None = None):
        self.transport, self.host, self.port, self.actual, self.app, self.tls = transport, host, port, port, app, tls
        self._clients = clients
        self._known: dict[ClientIdentity, bytes] = {}

    def certificate_of(self, identity: ClientIdentity | None) -> bytes:
        """The client's certificate (DER) as a handshake lets it through; empty where none is asked for. Raises `ssl.SSLError`."""
        if self._clients is None:
            return b""
        if identity is None:
            raise ssl.SSLError(f"{self.host.name}:{self.port} wants a certificate of the client")
        if identity not in self._known:
            self._known[identity] = _verified(identity, self._clients)
        return self._known[identity]

    def close(self) -> None:
        if self.transport._open.get((self.host.name, self.port)) is self:
            del self.transport._open[self.host.name, self.port]


class InProcessConnection:
    """What `http.client.HTTPConnection` is, as far as client libraries use it."""

    def __init__(
        self,
        transport: InProcess,
        source: Host,
        destination: str,
        port: int,
        tls: bool,
        identity: ClientIdentity | None = None,
    ):
        self._transport, self._source, self._identity = transport, source, identity
        self.host, self.port, self._tls = destination, port, tls
        self.sock: Any = None
        self._response: InProcessResponse | None = None

    def connect(self) -> None:
        self.sock = self

    def close(self) -> None:
        self.sock = None

    def settimeout(self, timeout: float | None) -> None:
        """Calls return at once here: nothing can time out."""

    def request(self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None, **_: Any) -> None:
        network = self._source.network
        target = network.check(self._source, self.host, self.port)
        listener = self._transport.listener(target.name, self.port)
        if listener is None:
            raise Unreachable(f"cannot connect from {self._source.name} to {self.host}:{self.port}: nobody listens there")
        if listener.tls != self._tls:
            raise ssl.SSLError(f"{self.host}:{self.port} {'wants' if listener.tls else 'does not speak'} TLS")
        if self._tls and target.authority != self._source.authority:
            raise ssl.SSLCertVerificationError(f"certificate of {self.host}:{self.port} is signed by an unknown authority")
        data = _as_bytes(body)
        sent = dict(headers or {})
        environ = _environ(method, url, data, sent, self._source, target, self.port, self._tls)
        environ["drillbed.certificate"] = listener.certificate_of(self._identity)
        self._response = _call(listener.app, environ)
        self.sock = self
        request_bytes = len(method) + len(url) + 12 + sum(len(k) + len(v) + 4 for k, v in sent.items()) + len(data)
        network.record(self._source.name, target.name, self.port, tls=self._tls, sent=request_bytes, received=self._response.size)

    def getresponse(self) -> "InProcessResponse":
        assert self._response is not None, "request comes before getresponse"
        response, self._response = self._response, None
        return response


class InProcessResponse:
    """What `http.client.HTTPResponse` is, as far as client libraries use it."""

    def __init__(self, status: int, reason: str, headers: list[tuple[str, str]], body: bytes):
        self.status, self.reason, self.version = status, reason, 11
        self._headers = headers
        self._body = io.BytesIO(body)
        self.size = 17 + len(reason) + sum(len(k) + len(v) + 4 for k, v in headers) + len(body)
        self.msg = self.headers = HTTPMessage()
        for name, value in headers:
            self.headers[name] = value

    def read(self, amount: int | None = -1) -> bytes:
        return self._body.read(-1 if amount is None else amount)

    def readinto(self, buffer: Any) -> int:
        return self._body.readinto(buffer)

    def getheader(self, name: str, default: str | None = None) -> str | None:
        return self.headers.get(name, default)

    def getheaders(self) -> list[tuple[str, str]]:
        return list(self._headers)

    def isclosed(self) -> bool:
        return False

    def close(self) -> None:
        self._body.close()


def _verified(identity: ClientIdentity, authority: bytes) -> bytes:
    """What a handshake would check: the key is that of the certificate, and the authority has signed it."""
    try:
        shown = load_pem_x509_certificate(identity.certificate)
        shown.verify_directly_issued_by(load_pem_x509_certificate(authority))
        private = load_pem_private_key(identity.key, None)
    except (ValueError, TypeError, InvalidSignature) as fault:
        raise ssl.SSLError(f"the certificate of the client is refused: {fault}") from None
    if private.public_key() != shown.public_key():
        raise ssl.SSLError("the client does not hold the key of its certificate")
    return shown.public_bytes(Encoding.DER)


def _as_bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if hasattr(body, "read"):
        return bytes(body.read())
    return bytes(body)


def _environ(
    method: str, url: str, body: bytes, headers: dict[str, str], source: Host, target: Host, port: int, tls: bool
) -> dict[str, Any]:
    path, _, query = url.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": url,
        "REQUEST_URI": url,
        "SERVER_NAME": target.name,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": source.address or source.name,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https" if tls else "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "drillbed.peer": source.name,
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    environ.setdefault("HTTP_HOST", f"{target.name}:{port}")
    return environ


def _call(app: WsgiApp, environ: dict[str, Any]) -> InProcessResponse:
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started[:] = [status, headers]
        return None

    chunks = app(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    status, _, reason = started[0].partition(" ")
    return InProcessResponse(int(status), reason, started[1], b"" if environ["REQUEST_METHOD"] == "HEAD" else body)
