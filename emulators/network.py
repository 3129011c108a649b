"""The network of one estate: hosts in zones, the links between zones, blocked ports, and a record of every flow.

Components never open sockets. A component is given its `Host` and asks it for connections and listeners. So each flow has a
source, a destination, a port, byte counts and whether it was TLS, and the same scenario can judge ports in virtual time and over
real sockets (NET-011, NET-013). How bytes travel is the `Transport`'s matter: `emulators.http.inprocess` calls WSGI applications,
`emulators.http.sockets` uses TLS on loopback addresses.

Direction is always client to server. Bytes are those of HTTP messages (start line, headers, body), before TLS.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol
from urllib.parse import urlsplit

from emulators.clock import Clock

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

#: Zones of an estate. `operator` is the person or tool outside; it reaches every zone.
ONPREM, AZURE_PUBLIC, AZURE_VNET, OPERATOR = "onprem", "azure-public", "azure-vnet", "operator"

#: Which links carry traffic from one zone to another (NET-003, NET-007, NET-008, NET-009). A missing pair has no path at all.
PATHS: dict[tuple[str, str], frozenset[str]] = {
    (ONPREM, AZURE_PUBLIC): frozenset({"internet", "expressroute-public"}),
    (ONPREM, AZURE_VNET): frozenset({"vpn", "expressroute-private"}),
    (AZURE_VNET, ONPREM): frozenset({"vpn", "expressroute-private"}),
    (AZURE_VNET, AZURE_PUBLIC): frozenset({"backbone"}),
}


class Unreachable(ConnectionError):
    """No connection could be made: no path, a blocked port, an unknown name, or nobody listening."""


@dataclass(slots=True)
class Flow:
    """All traffic from one host to one port of another."""

    source: str
    destination: str
    port: int
    tls: bool
    bytes_out: int = 0
    bytes_in: int = 0
    requests: int = 0
    first: float = 0.0
    last: float = 0.0


@dataclass(frozen=True, slots=True)
class Denied:
    """A connection that the network refused, with the reason."""

    when: float
    source: str
    destination: str
    port: int
    reason: str


@dataclass(frozen=True, slots=True)
class Block:
    """A firewall rule: traffic that matches all given fields is dropped. `None` matches everything."""

    source: str | None = None
    destination: str | None = None
    port: int | None = None

    def matches(self, source: str, destination: str, port: int) -> bool:
        return self.source in (None, source) and self.destination in (None, destination) and self.port in (None, port)


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Listener(Protocol):
    """An open port. `port` is the documented one, `actual` where it really listens."""

    port: int
    actual: int

    def close(self) -> None: ...


class ClientIdentity(Protocol):
    """What a client shows of itself: a certificate and its key, PEM. Hashable."""

    @property
    def certificate(self) -> bytes: ...
    @property
    def key(self) -> bytes: ...


class Transport(Protocol):
    """How bytes travel: in process or over sockets."""

    def listen(
        self, host: "Host", port: int, app: WsgiApp, *, tls: bool, asgi: Any = None, clients: bytes | None = None
    ) -> Listener: ...

    def connection(
        self,
        source: "Host",
        destination: str,
        port: int,
        *,
        tls: bool,
        timeout: float,
        identity: ClientIdentity | None = None,
    ) -> Any:
        """An object with the interface of `http.client.HTTPConnection`. Its `request` raises `OSError` when unreachable."""
        ...

    def forget(self, host: "Host") -> None:
        """Close the kept connections of a host that is gone."""
        ...


@dataclass(slots=True)
class Tunnels:
    """Connections that hosts keep open to a relay, outbound on 443: who reaches the relay reaches them through it.

    The relay is part of the network: it hands on what comes to the host that keeps the tunnel and does not look into it.
    """

    PORT: ClassVar[int] = 443
    relays: dict[str, str] = field(default_factory=dict)  #: name of the host -> name of its relay

    def keep(self, host: "Host", relay: str) -> None:
        """Open a tunnel of `host` through `relay`. It carries something only while both of its ends reach the relay."""
        self.relays[host.name] = relay

    def end(self, host: "Host") -> None:
        self.relays.pop(host.name, None)


class Network:
    """Hosts, links, firewall rules and flows of one estate."""

    def __init__(self, clock: Clock, transport: Transport, *, links: Iterable[str] = ("internet", "backbone")):
        self.clock = clock
        self.transport = transport
        self.links: set[str] = set(links)
        self.blocks: list[Block] = []
        self.denied: list[Denied] = []
        self.tunnels = Tunnels()
        self._hosts: dict[str, Host] = {}
        self._names: dict[str, str] = {}
        self._flows: dict[tuple[str, str, int, bool], Flow] = {}
        self._lock = threading.Lock()

    # hosts -----------------------------------------------------------------------------------------------------------

    def host(self, name: str, zone: str, *, address: str = "", names: Iterable[str] = ()) -> "Host":
        """Add a host. `names` are the DNS names (besides its own) it answers to; `*.suffix` stands for every name below it."""
        if name in self._hosts:
            raise ValueError(f"a host named {name!r} exists already")
        host = Host(self, name, zone, address)
        self._hosts[name] = host
        for alias in (name, address, *names):
            if alias:
                self._names[alias.lower()] = name
        return host

    def remove(self, host: "Host") -> None:
        """Take a host off the network: its listeners close, its connections end."""
        host.close()
        self._hosts.pop(host.name, None)
        self._names = {alias: name for alias, name in self._names.items() if name != host.name}

    def find(self, name: str) -> "Host | None":
        """The host of a DNS name or address."""
        wanted = name.lower()
        known = self._names.get(wanted) or self._names.get(f"*.{wanted.partition('.')[2]}", "")
        return self._hosts.get(known)

    def hosts(self) -> "list[Host]":
        return list(self._hosts.values())

    def names_of(self, host: "Host") -> list[str]:
        return [alias for alias, name in self._names.items() if name == host.name]

    # rules -----------------------------------------------------------------------------------------------------------

    def block(self, *, source: str | None = None, destination: str | None = None, port: int | None = None) -> Block:
        block = Block(source, destination, port)
        self.blocks.append(block)
        return block

    def unblock(self, block: Block) -> None:
        if block in self.blocks:
            self.blocks.remove(block)

    def refusal(self, source: "Host", destination: str, port: int) -> str | None:
        """Why `source` cannot reach `destination:port`, or None when it can."""
        target = self.find(destination)
        if target is None:
            return f"no host is named {destination}"
        if any(block.matches(source.name, target.name, port) for block in self.blocks):
            return f"port {port} from {source.name} to {target.name} is blocked"
        if source.zone in (target.zone, OPERATOR) or target.zone == OPERATOR:
            return None
        needed = PATHS.get((source.zone, target.zone), frozenset())
        if needed & self.links or self._relay(source, target) is not None:
            return None
        ways = " or ".join(sorted(needed)) or "nothing"
        return f"no path from {source.zone} to {target.zone} ({ways} would carry it)"

    def _relay(self, source: "Host", target: "Host") -> "Host | None":
        """The relay whose tunnel carries traffic from `source` to `target` now, where there is no path between their zones."""
        relay = self.find(self.tunnels.relays.get(target.name, ""))
        if relay is None or source.zone in (target.zone, OPERATOR) or target.zone == OPERATOR:
            return None
        if PATHS.get((source.zone, target.zone), frozenset()) & self.links:
            return None
        ends = (self.refusal(end, relay.name, Tunnels.PORT) for end in (source, target))
        return relay if not any(ends) else None

    def check(self, source: "Host", destination: str, port: int) -> "Host":
        """The destination host; raises `Unreachable` (and records the denial) when it cannot be reached."""
        reason = self.refusal(source, destination, port)
        if reason is not None:
            target = self.find(destination)
            denied = Denied(self.clock.now(), source.name, target.name if target else destination, port, reason)
            with self._lock:
                self.denied.append(denied)
            raise Unreachable(f"cannot connect from {source.name} to {destination}:{port}: {reason}")
        found = self.find(destination)
        assert found is not None
        return found

    # flows -----------------------------------------------------------------------------------------------------------

    def record(self, source: str, destination: str, port: int, *, tls: bool, sent: int, received: int) -> None:
        """Note one exchange of `source` with `destination:port`. Through a tunnel it is one of each end with the relay."""
        ends = self._hosts.get(source), self._hosts.get(destination)
        relay = self._relay(ends[0], ends[1]) if ends[0] is not None and ends[1] is not None else None
        if relay is not None:
            self._note(source, relay.name, Tunnels.PORT, tls=True, sent=sent, received=received)
            self._note(destination, relay.name, Tunnels.PORT, tls=True, sent=received, received=sent)
        else:
            self._note(source, destination, port, tls=tls, sent=sent, received=received)

    def _note(self, source: str, destination: str, port: int, *, tls: bool, sent: int, received: int) -> None:
        now = self.clock.now()
        with self._lock:
            flow = self._flows.get((source, destination, port, tls))
            if flow is None:
                flow = self._flows[source, destination, port, tls] = Flow(source, destination, port, tls, first=now)
            flow.bytes_out += sent
            flow.bytes_in += received
            flow.requests += 1
            flow.last = now

    def flows(self, *, since: float = 0.0) -> list[Flow]:
        """Flows that were active at or after `since`, in the order of their first appearance."""
        with self._lock:
            return [flow for flow in self._flows.values() if flow.last >= since]


@dataclass(slots=True)
class Host:
    """One machine's place on the network: what a component is given to talk and to listen."""

    network: Network
    name: str
    zone: str
    address: str = ""
    #: Who signed this host's certificate and whom it trusts. Two hosts with different authorities cannot talk TLS.
    authority: str = "estate"
    _listeners: list[Listener] = field(default_factory=list)
    _kept: dict[tuple[str, int, bool, ClientIdentity | None], list[Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def clock(self) -> Clock:
        return self.network.clock

    def listen(self, port: int, app: WsgiApp, *, tls: bool = True, asgi: Any = None, clients: bytes | None = None) -> Listener:
        """Open `port` with a WSGI application. `environ["drillbed.peer"]` names the calling host.

        `clients` is the PEM of an authority: only who shows a certificate of its own that was signed by it gets through the TLS
        handshake, and the application finds it (DER) as `environ["drillbed.certificate"]`.
        `asgi` may give a faster ASGI face of the same thing for transports that have sockets.
        Raises `OSError` with what to do when the port is taken.
        """
        listener = self.network.transport.listen(self, port, app, tls=tls, asgi=asgi, clients=clients)
        self._listeners.append(listener)
        return listener

    def connection(
        self,
        destination: str,
        port: int,
        *,
        tls: bool = True,
        timeout: float = 60.0,
        identity: ClientIdentity | None = None,
    ) -> Any:
        """A connection with the interface of `http.client.HTTPConnection`, for client libraries that take one."""
        return self.network.transport.connection(self, destination, port, tls=tls, timeout=timeout, identity=identity)

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout: float = 60.0,
        identity: ClientIdentity | None = None,
    ) -> Reply:
        """One HTTP exchange. Raises `OSError` (`Unreachable`, TLS errors, timeouts) when no answer came."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        key = (parts.hostname or "", parts.port or (443 if tls else 80), tls, identity)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {"Host": parts.netloc, **(headers or {})}
        while True:
            connection, kept = self._take(key, timeout)
            try:
                connection.request(method, target, body=body or None, headers=sent)
                answer = connection.getresponse()
                reply = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
            except (ConnectionResetError, BrokenPipeError):
                connection.close()
                if not kept:  # a kept connection may have been closed by the other side long ago: ask again on a new one
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                self._keep(key, connection)
                return reply

    def close(self) -> None:
        """Close every listener and kept connection."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        with self._lock:
            kept, self._kept = self._kept, {}
        for connections in kept.values():
            for connection in connections:
                connection.close()
        self.network.transport.forget(self)

    def _take(self, key: tuple[str, int, bool, ClientIdentity | None], timeout: float) -> tuple[Any, bool]:
        with self._lock:
            kept = self._kept.get(key)
            if kept:
                return kept.pop(), True
        return self.connection(key[0], key[1], tls=key[2], timeout=timeout, identity=key[3]), False

    def _keep(self, key: tuple[str, int, bool, ClientIdentity | None], connection: Any) -> None:
        with self._lock:
            self._kept.setdefault(key, []).append(connection)
