"""Flows out of packet captures that are written here byte by byte."""

import struct
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drillbed.product.pcap import CaptureError, read_flows, segments
from harness.product import Flow

WEB, SERVER = "10.0.0.21", "10.0.0.11"
SYN, SYN_ACK, ACK = 0x02, 0x12, 0x10
NAMES = {WEB: "web", SERVER: "process-server"}


def packet(source: tuple[str, int], destination: tuple[str, int], flags: int, payload: bytes = b"", protocol: int = 6) -> bytes:
    """IPv4 and TCP."""
    tcp = struct.pack(">HHIIBBHHH", source[1], destination[1], 0, 0, 5 << 4, flags, 0, 0, 0) + payload
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, protocol, 0)
    return head + IPv4Address(source[0]).packed + IPv4Address(destination[0]).packed + tcp


def capture(packets: list[tuple[float, bytes]], *, order: str = "<", magic: int = 0xA1B2C3D4, link: int = 1) -> bytes:
    ahead = {1: b"\0" * 12 + b"\x08\x00", 113: b"\0" * 14 + b"\x08\x00", 276: b"\x08\x00" + b"\0" * 18, 101: b""}[link]
    unit = 1_000_000 if magic == 0xA1B2C3D4 else 1_000_000_000
    data = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for when, body in packets:
        frame = ahead + body
        data += struct.pack(f"{order}IIII", int(when), int(when % 1 * unit), len(frame), len(frame)) + frame
    return data


def talk(port: int = 9443, hello: bytes = b"\x16\x03\x01") -> list[tuple[float, bytes]]:
    a, b = (WEB, 40000), (SERVER, port)
    return [
        (1000.5, packet(a, b, SYN)),
        (1000.5, packet(b, a, SYN_ACK)),
        (1001.0, packet(a, b, ACK, hello)),
        (1002.0, packet(b, a, ACK, b"x" * 100)),
    ]


def flows(tmp_path: Path, data: bytes) -> list[Flow]:
    path = tmp_path / "a.pcap"
    path.write_bytes(data)
    return read_flows(path, NAMES)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, 0xA1B23C4D])
@pytest.mark.parametrize("link", [1, 113, 276, 101])
def test_a_connection_is_one_flow_of_its_client(tmp_path: Path, order: str, magic: int, link: int) -> None:
    found = flows(tmp_path, capture(talk(), order=order, magic=magic, link=link))
    assert found == [Flow("web", "process-server", 9443, 103, tls=True, first=1000.5, last=1002.0)]


def test_what_is_readable_on_the_wire_is_seen(tmp_path: Path) -> None:
    (found,) = flows(tmp_path, capture(talk(hello=b"GET / HTTP/1.1")))
    assert not found.tls


def test_connections_of_one_kind_are_counted_together_and_others_apart(tmp_path: Path) -> None:
    again = [(when + 60, body.replace(struct.pack(">H", 40000), struct.pack(">H", 40001))) for when, body in talk()]
    elsewhere = [(2000.0, packet(("10.9.9.9", 1), (WEB, 443), SYN))]
    found = flows(tmp_path, capture([*talk(), *again, *elsewhere, *talk(port=443)]))
    assert [(one.source, one.destination, one.port, one.bytes) for one in found] == [
        ("web", "process-server", 9443, 206),
        ("10.9.9.9", "web", 443, 0),
        ("web", "process-server", 443, 103),
    ]


def test_what_was_begun_before_the_capture_and_what_is_no_tcp_is_passed_over(tmp_path: Path) -> None:
    udp = packet((WEB, 53), (SERVER, 53), 0, protocol=17)
    assert flows(tmp_path, capture([(1.0, udp), *talk()[2:]])) == []


def test_a_capture_that_still_grows_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = capture(talk())
    assert flows(tmp_path, whole[:-7])[0].bytes == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no packet capture: it has 0 bytes"),
        (b"\x0a\x0d\x0d\x0a" + b"\0" * 40, "pcapng is not read"),
        (struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 147), "frames of the kind 147"),
        (
            struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + struct.pack("<IIII", 0, 0, 1 << 30, 1),
            "a packet of 1073741824",
        ),
    ],
)
def test_what_is_no_capture_is_one_clear_error(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        flows(tmp_path, data)


@settings(max_examples=200)
@given(st.data())
def test_damaged_captures_end_in_their_error_or_in_segments(data: st.DataObject) -> None:
    spoilt = bytearray(capture(talk()))
    for _ in range(data.draw(st.integers(1, 6))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    try:
        for one in segments(bytes(spoilt[: data.draw(st.integers(0, len(spoilt)))]), "a.pcap"):
            assert one.size >= 0
    except CaptureError:
        pass
