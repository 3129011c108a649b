"""The embedded way: every listener is a TLS socket on its host's own loopback address and, where possible, its documented port.

One thread runs the asyncio loop of all servers of an estate (uvicorn); WSGI applications run on worker threads. Clients are
`http.client` connections bound to their own host's address, which check the estate's certificate authority (NET-012).

Where a low port may not be bound, or only 127.0.0.1 exists, the port plan gives a free port instead; the flow log shows the
documented one in any case.
"""

import asyncio
import concurrent.futures
import errno
import hashlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import trustme
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from emulators.http.bridge import Bridge
from emulators.network import ClientIdentity, Host, Unreachable, WsgiApp

#: A listener on a kept connection must not close it while an estate is busy elsewhere.
KEEP_ALIVE_SECONDS = 3600
#: Bytes of an answer that are gathered before they are sent.
_MOST_HELD = 64 * 1024


class PortTakenError(OSError):
    """Another program holds the port. The message says which and what to do."""


class Authorities:
    """Certificate authorities by name, one leaf certificate per host, as PEM files in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder
        #: Certificate chain and key that somebody else made, for every host of this transport.
        self.given: tuple[Path, Path] | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._made: dict[str, Any] = {}
        self._clients: dict[tuple[str, ClientIdentity | None], ssl.SSLContext] = {}

    def bundle(self, authority: str = "estate") -> Path:
        """The PEM file of an authority: what a client has to trust."""
        self._authority(authority)
        return self.folder / f"{authority}-ca.pem"

    def leaf(self, authority: str, name: str, names: Iterable[str]) -> tuple[Path, Path]:
        """Certificate chain and key of a host, as files."""
        if self.given is not None:
            return self.given
        certificate, key = self.folder / f"{authority}-{name}.pem", self.folder / f"{authority}-{name}.key"
        issued = self._authority(authority).issue_cert(*dict.fromkeys(names), common_name=name)
        certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        key.touch(mode=0o600)
        key.write_bytes(issued.private_key_pem.bytes())
        return certificate, key

    def client(self, authority: str, identity: ClientIdentity | None = None) -> ssl.SSLContext:
        """What a client that trusts `authority` alone uses. Names are checked. `identity` is what it shows of itself."""
        key = (authority, identity)
        if key not in self._clients:
            context = ssl.create_default_context(cafile=str(self.bundle(authority)))
            if identity is not None:
                context.load_cert_chain(self.kept(identity.certificate + identity.key))
            self._clients[key] = context
        return self._clients[key]

    def kept(self, pem: bytes) -> Path:
        """A file with this, for who takes files only."""
        path = self.folder / f"{hashlib.sha256(pem).hexdigest()[:32]}.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem)
        return path

    def _authority(self, name: str) -> Any:
        if name not in self._made:
            made = trustme.CA(organization_name=f"drillbed {name}")
            made.cert_pem.write_to_path(str(self.folder / f"{name}-ca.pem"))
            self._made[name] = made
        return self._made[name]


class Sockets:
    """Transport over loopback sockets."""

    def __init__(self, folder: Path):
        self.authorities = Authorities(folder)
        self._open: dict[tuple[str, int], SocketListener] = {}
        self._external: dict[tuple[str, int], tuple[str, int]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def listen(
        self, host: Host, port: int, app: WsgiApp, *, tls: bool, asgi: Any = None, clients: bytes | None = None
    ) -> "SocketListener":
        if (host.name, port) in self._open:
            raise PortTakenError(f"port {port} of {host.name} is taken by another listener of this estate")
        bound = _bind(host.address, port)
        listener = SocketListener(self, host, port, bound, app, tls, asgi, clients)
        self._open[host.name, port] = listener
        listener.start(self._running_loop())
        return listener

    def external(self, host: Host, port: int, where: tuple[str, int]) -> None:
        """Tell where a program that is not served from here (Azurite) listens for `host:port`."""
        self._external[host.name, port] = where

    def where(self, host: Host, port: int) -> tuple[str, int] | None:
        """Address and port at which `host:port` really listens."""
        listener = self._open.get((host.name, port))
        return (listener.address, listener.actual) if listener is not None else self._external.get((host.name, port))

    def connection(
        self,
        source: Host,
        destination: str,
        port: int,
        *,
        tls: bool,
        timeout: float,
        identity: ClientIdentity | None = None,
    ) -> http.client.HTTPConnection:
        context = self.authorities.client(source.authority, identity) if tls else None
        return SocketConnection(self, source, destination, port, context, timeout)

    def forget(self, host: Host) -> None:
        """Nothing is kept for a host beside its listeners, which it closes itself."""

    def close(self) -> None:
        """Close every listener and end the loop's thread."""
        listeners = list(self._open.values())
        for listener in listeners:
            listener.end()
        for listener in listeners:
            listener.close()
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=10)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                import uvloop  # only here: the virtual way must not pay for it

                self._loop = uvloop.new_event_loop()
                self._thread = threading.Thread(target=_run_loop, args=(self._loop,), name="servers", daemon=True)
                self._thread.start()
            return self._loop


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _bind(address: str, port: int) -> socket.socket:
    """A bound socket on the documented port, or on a free one where the system does not allow it."""
    for candidate, number in ((address, port), (address, 0), ("127.0.0.1", 0)):
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((candidate, number))
            bound.listen(128)  # so that a client of the first moment is not refused while the loop takes over
        except OSError as error:
            bound.close()
            if error.errno == errno.EADDRINUSE:
                raise PortTakenError(
                    f"port {port} on {address} is taken by another program: stop it (`ss -ltnp | grep :{port}` names it)"
                ) from error
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EADDRNOTAVAIL):
                raise
        else:
            return bound
    raise OSError(f"no port can be opened on {address} or 127.0.0.1")


class SocketListener:
    """One listening port, served by uvicorn on the estate's loop."""

    def __init__(
        self,
        transport: Sockets,
        host: Host,
        port: int,
        bound: socket.socket,
        app: WsgiApp,
        tls: bool,
        asgi: Any,
        clients: bytes | None = None,
    ):
        self.transport, self.host, self.port, self.tls = transport, host, port, tls
        self.address, self.actual = bound.getsockname()[:2]
        self._socket = bound
        self._bridge = Bridge(_named(host, port, app, tls), workers=8)
        files = _certificate(transport.authorities, host) if tls else {}
        if clients is not None:
            files |= {"ssl_ca_certs": str(transport.authorities.kept(clients)), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        config = uvicorn.Config(
            _bare(host, port, asgi, _watched(self._bridge), tls) if asgi is not None else _watched(self._bridge),
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=1,
            **files,
        )
        config.load()
        self._server = uvicorn.Server(config)
        self._done: Any = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve. The socket listens already, so a client that comes before the server runs waits in its backlog."""
        self._done = asyncio.run_coroutine_threadsafe(self._server.serve(sockets=[self._socket]), loop)

    def close(self) -> None:
        """Stop listening. Connections end at once, as they do when a process dies."""
        self.end()
        if self._done is not None:  # it is None when starting was interrupted
            with suppress(TimeoutError, concurrent.futures.CancelledError):  # the others must be closed in any case
                self._done.result(timeout=10)
        self._socket.close()
        self._bridge.executor.shutdown(wait=False)

    def end(self) -> None:
        """Begin to close, without waiting for it."""
        key, loop = (self.host.name, self.port), self.transport._loop
        if self.transport._open.get(key) is self:
            del self.transport._open[key]
            if loop is not None:
                loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        for connection in list(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()


class _Protocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, whose writes of one turn of the loop leave as one: head and body are one TLS record."""

    def connection_made(self, transport: Any) -> None:
        handshake = transport.get_extra_info("ssl_object")
        self._shown = (handshake.getpeercert(binary_form=True) if handshake is not None else None) or b""
        super().connection_made(cast(Any, Gathered(transport, self.loop)))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(dict[str, Any], self.scope)["drillbed.certificate"] = self._shown


class Gathered:
    """A transport that gathers what is written to it until the loop's next turn, or until it is much."""

    __slots__ = ("_held", "_loop", "_size", "_transport")

    def __init__(self, transport: Any, loop: asyncio.AbstractEventLoop):
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._size += len(data)
        if self._size >= _MOST_HELD:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held, self._size = self._held, [], 0
        if held and not self._transport.is_closing():
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _certificate(authorities: Authorities, host: Host) -> dict[str, Any]:
    names = [*host.network.names_of(host), host.address, "127.0.0.1", "localhost"]
    certificate, key = authorities.leaf(host.authority, host.name, [name for name in names if name])
    return {"ssl_certfile": str(certificate), "ssl_keyfile": str(key)}


def _bare(host: Host, port: int, app: Any, bridge: Any, tls: bool) -> Any:
    """An ASGI application beside its WSGI twin, which it finds as `scope["drillbed.wsgi"]` for what it leaves to that."""
    network = host.network

    async def named(scope: Any, receive: Any, send: Any) -> None:
        client = scope.get("client")
        peer = network.find(client[0]) if client else None
        scope["drillbed.peer"] = peer.name if peer else "operator"
        scope["drillbed.wsgi"] = bridge
        if peer is None:
            network.record("operator", host.name, port, tls=tls, sent=_length(scope), received=0)
        await app(scope, receive, send)

    return named


def _watched(bridge: Any) -> Any:
    """Note in the scope (`drillbed.cut`) when a client leaves before its request's body has come: a chunked one tells it by
    nothing else."""

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        async def noted() -> Any:
            message = await receive()
            if message["type"] == "http.disconnect":
                scope["drillbed.cut"] = True
            return message

        await bridge(scope, noted, send)

    return watched


def _length(scope: Any) -> int:
    told = next((value for name, value in scope.get("headers", ()) if name == b"content-length"), b"")
    return int(told) if told.isdigit() else 0


def _named(host: Host, port: int, app: WsgiApp, tls: bool) -> WsgiApp:
    """Put the calling host's name into the environment; note the traffic of callers that are not hosts of the estate."""

    def named(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        network = host.network
        peer = network.find(environ.get("REMOTE_ADDR", ""))
        environ["drillbed.peer"] = peer.name if peer else "operator"
        environ["drillbed.certificate"] = environ.get("asgi.scope", {}).get("drillbed.certificate", b"")
        if peer is None:
            sent = int(environ.get("CONTENT_LENGTH") or 0)
            network.record("operator", host.name, port, tls=tls, sent=sent, received=0)
        return app(environ, start_response)

    return named


class SocketConnection(http.client.HTTPConnection):
    """An `http.client` connection inside the estate: names resolve to hosts, each request is checked, bytes are counted."""

    def __init__(
        self, transport: Sockets, source: Host, destination: str, port: int, context: ssl.SSLContext | None, timeout: float
    ):
        super().__init__(destination, port, timeout=timeout)
        self.default_port = 443 if context else 80
        self._transport, self._source, self._documented, self._context = transport, source, port, context
        self._sent = 0
        self._target = ""

    def connect(self) -> None:
        target = self._source.network.check(self._source, self.host, self._documented)
        where = self._transport.where(target, self._documented)
        if where is None:
            raise Unreachable(f"cannot connect from {self._source.name} to {self.host}:{self._documented}: nobody listens there")
        raw = socket.create_connection(where, timeout=self.timeout, source_address=(self._source.address or "", 0))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock = self._context.wrap_socket(raw, server_hostname=self.host) if self._context else raw
        except OSError:
            raw.close()
            raise

    def request(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, Any] | None = None, *, encode_chunked: bool = False
    ) -> None:
        self._target = self._source.network.check(self._source, self.host, self._documented).name
        self._sent = 0
        super().request(method, url, body=body, headers=dict(headers or {}), encode_chunked=encode_chunked)

    def send(self, data: Any) -> None:
        self._sent += len(data) if hasattr(data, "__len__") else 0
        super().send(data)

    def getresponse(self) -> http.client.HTTPResponse:
        try:
            response = super().getresponse()
        except http.client.HTTPException as error:
            if isinstance(error, OSError):
                raise
            raise ConnectionError(f"{self.host}:{self._documented} did not answer with HTTP: {error!r}") from error
        received = 17 + sum(len(name) + len(value) + 4 for name, value in response.getheaders()) + int(response.length or 0)
        self._source.network.record(
            self._source.name, self._target, self._documented, tls=self._context is not None, sent=self._sent, received=received
        )
        return response
