"""Flows from a packet capture: who opened a connection to which port, and how many bytes crossed it.

Reads the classic pcap format (both byte orders, micro- and nanoseconds) with Ethernet, Linux cooked or raw IP frames, IPv4, TCP.
Nothing in the file is believed: a length that goes beyond it ends the reading with `CaptureError`.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from harness.product import Flow

_MAGIC = {0xA1B2C3D4: 1e-6, 0xA1B23C4D: 1e-9}
#: Link type -> (bytes before the IP header, where the protocol stands in them; None: there is only IP).
_FRAMES: dict[int, tuple[int, int | None]] = {1: (14, 12), 113: (16, 14), 276: (20, 0), 101: (0, None), 228: (0, None)}
_IPV4, _TCP = 0x0800, 6
_SYN, _ACK = 0x02, 0x10
#: The first byte of a TLS record that holds a handshake.
_HANDSHAKE = 0x16
_PACKET_MAX = 1 << 20


class CaptureError(Exception):
    """A file that is no capture, or is broken off; the text says where."""


@dataclass(slots=True)
class _Connection:
    first: float
    last: float
    bytes: int = 0
    tls: bool | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """One TCP segment: when, from, to, flags, payload bytes and their first one (-1: none)."""

    time: float
    source: tuple[str, int]
    destination: tuple[str, int]
    flags: int
    size: int
    head: int


@dataclass(slots=True)
class Flows:
    """Connections put together from segments. `names`: address to the name of a host; others keep their address."""

    names: Mapping[str, str]
    _open: dict[tuple[tuple[str, int], tuple[str, int]], _Connection] = field(default_factory=dict)
    _seen: dict[tuple[str, str, int], _Connection] = field(default_factory=dict)

    def add(self, one: Segment) -> None:
        if one.flags & _SYN and not one.flags & _ACK:
            self._open[one.source, one.destination] = self._flow(one)
        for key in ((one.source, one.destination), (one.destination, one.source)):
            found = self._open.get(key)
            if found is not None:
                found.bytes += one.size
                found.last = max(found.last, one.time)
                if one.size and found.tls is None:
                    found.tls = one.head == _HANDSHAKE

    def _flow(self, one: Segment) -> _Connection:
        key = (self._name(one.source[0]), self._name(one.destination[0]), one.destination[1])
        return self._seen.setdefault(key, _Connection(one.time, one.time))

    def _name(self, address: str) -> str:
        return self.names.get(address, address)

    def flows(self) -> list[Flow]:
        return [Flow(*key, one.bytes, bool(one.tls), one.first, one.last) for key, one in self._seen.items()]


def read_flows(path: Path, names: Mapping[str, str]) -> list[Flow]:
    """All flows of a capture. Raises `CaptureError`, `OSError`."""
    found = Flows(names)
    for segment in segments(path.read_bytes(), str(path)):
        found.add(segment)
    return found.flows()


def segments(data: bytes, where: str) -> Iterator[Segment]:
    """The TCP segments of a capture; other packets are passed over. A packet that was not written whole ends it."""
    if len(data) < 24:
        raise CaptureError(f"{where} is no packet capture: it has {len(data)} bytes")
    order = next((order for order in "<>" if struct.unpack_from(f"{order}I", data)[0] in _MAGIC), None)
    if order is None:
        raise CaptureError(f"{where} is no packet capture (pcapng is not read: convert it with editcap -F pcap)")
    unit = _MAGIC[struct.unpack_from(f"{order}I", data)[0]]
    link = struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF
    if link not in _FRAMES:
        raise CaptureError(f"{where} has frames of the kind {link}, which is not known ({', '.join(map(str, _FRAMES))})")
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, size, _ = struct.unpack_from(f"{order}IIII", data, at)
        at += 16
        if size > _PACKET_MAX:
            raise CaptureError(f"{where}: a packet of {size} bytes at {at}")
        if at + size > len(data):
            return  # the capture still goes on: the last packet is not there yet
        segment = _segment(data[at : at + size], seconds + fraction * unit, *_FRAMES[link])
        at += size
        if segment is not None:
            yield segment


def _segment(frame: bytes, time: float, ahead: int, protocol_at: int | None) -> Segment | None:
    packet = frame[ahead:]
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[9] != _TCP:
        return None
    if protocol_at is not None and struct.unpack_from(">H", frame, protocol_at)[0] != _IPV4:
        return None
    header, total = (packet[0] & 15) * 4, struct.unpack_from(">H", packet, 2)[0]
    if header < 20 or len(packet) < header + 20:
        return None
    source_port, port = struct.unpack_from(">HH", packet, header)
    offset, flags = (packet[header + 12] >> 4) * 4, packet[header + 13]
    start = header + offset
    size = max(0, total - start)
    head = packet[start] if size and start < len(packet) else -1
    source, destination = str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20]))
    return Segment(time, (source, source_port), (destination, port), flags, size, head)
