"""NBD over a guest's disks, with the programs that people have, and by hand for what those never send."""

import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from emulators.clock import Clock
from emulators.guest.devices import MemoryDevice
from emulators.guest.machine import GuestMachine
from emulators.guest.nbd import NbdDoor

MIB = 1 << 20


def needs(tool: str, package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed (Debian package {package})")


class Seen:
    """A filter that keeps what it sees."""

    def __init__(self) -> None:
        self.writes: list[tuple[int, int, bytes]] = []

    def wrote(self, unit: int, offset: int, data: bytes, when: float) -> None:
        self.writes.append((unit, offset, data))


@pytest.fixture
def guest() -> GuestMachine:
    clock = Clock()
    guest = GuestMachine(clock, clock.uuid(), "db", "LINUX", show_serials=True)
    guest.add_disk(0, MemoryDevice(Random(1).randbytes(2 * MIB)), "disk-0")
    guest.add_disk(3, MemoryDevice(MIB), "disk-3")
    guest.power_on()
    return guest


@pytest.fixture
def door(guest: GuestMachine) -> Iterator[NbdDoor]:
    with NbdDoor(guest, port=0) as door:
        yield door


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@needs("qemu-io", "qemu-utils")
def test_what_qemu_io_writes_is_on_the_disk_and_passes_the_filters(guest: GuestMachine, door: NbdDoor) -> None:
    seen = Seen()
    guest.attach_filter(seen)
    out = run("qemu-io", "-f", "raw", "-c", "write -P 0x5a 4096 8192", "-c", "write -z 64k 64k", "-c", "flush", door.uri(0))
    assert "wrote 8192/8192" in out
    assert guest.disk(0).read(4096, 8192) == b"\x5a" * 8192
    assert guest.disk(0).read(65536, 65536) == bytes(65536)
    assert (0, 4096, b"\x5a" * 8192) in seen.writes
    run("qemu-io", "-f", "raw", "-c", "read -P 0x5a 4096 8192", door.uri(0))
    with pytest.raises(subprocess.CalledProcessError):
        run("qemu-io", "-f", "raw", "-c", "read -P 0x5b 4096 8192", door.uri(0))


@needs("nbdcopy", "libnbd-bin")
def test_nbdcopy_takes_a_disk_out_and_puts_one_in(guest: GuestMachine, door: NbdDoor, tmp_path: Path) -> None:
    run("nbdcopy", door.uri(0), str(tmp_path / "out.raw"))
    assert (tmp_path / "out.raw").read_bytes() == guest.disk(0).read(0, 2 * MIB)
    data = Random(2).randbytes(MIB // 2) + bytes(MIB // 2)
    (tmp_path / "in.raw").write_bytes(data)
    run("nbdcopy", str(tmp_path / "in.raw"), door.uri(3))
    assert guest.disk(3).read(0, MIB) == data


@needs("nbdinfo", "libnbd-bin")
def test_the_exports_are_the_units(door: NbdDoor) -> None:
    out = run("nbdinfo", "--list", f"nbd://{door.address}:{door.port}")
    assert 'export="0"' in out
    assert 'export="3"' in out
    assert f"export-size: {2 * MIB}" in out


class Client:
    """A client by hand."""

    def __init__(self, door: NbdDoor):
        self.socket = socket.create_connection((door.address, door.port), timeout=10)
        assert self.read(18)[:8] == b"NBDMAGIC"
        self.socket.sendall(struct.pack(">I", 3))

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                return data
            data += piece
        return data

    def option(self, number: int, data: bytes = b"", magic: bytes = b"IHAVEOPT") -> None:
        self.socket.sendall(struct.pack(">8sII", magic, number, len(data)) + data)

    def kind(self) -> int:
        _, _, kind, length = struct.unpack(">QIII", self.read(20))
        self.read(length)
        return int(kind)

    def attach(self) -> "Client":
        self.option(1, b"0")
        assert len(self.read(10)) == 10
        return self

    def request(self, kind: int, offset: int, length: int, data: bytes = b"", magic: int = 0x25609513) -> int:
        self.socket.sendall(struct.pack(">IHHQQI", magic, 1, kind, 77, offset, length) + data)
        answer = self.read(16)
        return int(struct.unpack(">IIQ", answer)[1]) if answer else -1

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def test_wrong_requests_are_refused_and_the_connection_stays(guest: GuestMachine, door: NbdDoor) -> None:
    with Client(door).attach() as client:
        assert client.request(1, 0, 512, b"a" * 512) == 0
        assert client.request(0, 2 * MIB, 512) == 22
        assert client.request(1, 2 * MIB - 256, 512, b"a" * 512) == 28
        assert client.request(0, 0, 1 << 31) == 22
        assert client.request(9, 0, 512) == 22
        guest.power_off()
        assert client.request(1, 0, 512, b"b" * 512) == 5
        guest.power_on()
        assert client.request(1, 0, 512, b"c" * 512) == 0
    assert guest.disk(0).read(0, 512) == b"c" * 512


@pytest.mark.parametrize("what", ["magic", "option", "length", "name", "flags"])
def test_who_does_not_speak_the_protocol_is_dropped(door: NbdDoor, what: str) -> None:
    with Client(door) as client:
        if what == "magic":
            assert client.attach().request(0, 0, 512, magic=1) == -1
        elif what == "option":
            client.option(7, b"", magic=b"IHAVENOT")
        elif what == "length":
            client.socket.sendall(struct.pack(">8sII", b"IHAVEOPT", 3, 1 << 31))
        elif what == "name":
            client.option(1, b"7")
        else:
            client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.read(1) == b""


def test_an_unknown_disk_or_option_is_refused_with_a_reason(door: NbdDoor) -> None:
    with Client(door) as client:
        client.option(7, struct.pack(">I", 1) + b"9" + bytes(2))
        assert client.kind() == 0x80000006
        client.option(7, struct.pack(">I", 999) + b"9" + bytes(2))
        assert client.kind() == 0x80000003
        client.option(5)
        assert client.kind() == 0x80000001
        client.option(2)
        assert client.kind() == 1
        assert client.read(1) == b""


def test_the_door_stays_on_this_machine(guest: GuestMachine) -> None:
    with pytest.raises(ValueError, match="loopback"):
        NbdDoor(guest, "0.0.0.0", 0).open()


def test_a_closed_door_is_closed(guest: GuestMachine) -> None:
    door = NbdDoor(guest, port=0).open()
    client = Client(door)
    door.close()
    assert client.read(1) == b""
    client.socket.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((door.address, door.port), timeout=5)
