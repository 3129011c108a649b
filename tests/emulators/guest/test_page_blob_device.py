"""A disk on a page blob, and the footer that makes the blob a fixed VHD."""

import shutil
import subprocess
from pathlib import Path

import pytest

from emulators.blob_storage.memory import MemoryBlobs, MemoryStorage
from emulators.clock import Clock
from emulators.guest import vhd
from emulators.guest.devices import PageBlobDevice
from emulators.guest.machine import GuestMachine
from emulators.http.inprocess import InProcess
from emulators.network import AZURE_PUBLIC, Network
from reference_impl.replica import vhd as replica_vhd

MIB = 1 << 20
IDENTITY = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def store() -> MemoryBlobs:
    clock = Clock()
    network = Network(clock, InProcess())
    network.host("storage", AZURE_PUBLIC, names=["*.blob.drillbed"])
    storage = MemoryStorage(clock)
    storage.create_account("vms", "a2V5", "a2V5")
    made = storage.open_store(network.host("vm", AZURE_PUBLIC), {"account": "vms", "key": "a2V5"})
    made.create_container("vhds")
    made.create_page_blob("vhds", "os.vhd", 16 * MIB + 512)
    made.put_pages("vhds", "os.vhd", 16 * MIB, vhd.footer(16 * MIB, IDENTITY, 1.6e9))
    return made


def test_a_guest_runs_on_a_page_blob(store: MemoryBlobs) -> None:
    guest = GuestMachine(Clock(), "m", "web", "LINUX")
    disk = guest.add_disk(0, PageBlobDevice(store, "vhds", "os.vhd", 16 * MIB + 512), "os")
    guest.power_on()
    assert disk.size == 16 * MIB
    disk.write(3 * MIB - 100, b"over a sector's edge" * 20)
    disk.write(9 * MIB, bytes(range(256)) * 4096 * 6)
    assert disk.read(3 * MIB - 100, 400) == b"over a sector's edge" * 20
    whole = disk.read(0, disk.size)
    assert whole == store.get_blob("vhds", "os.vhd")[: 16 * MIB]
    assert whole[9 * MIB : 15 * MIB] == bytes(range(256)) * 4096 * 6


def test_zeros_take_no_room(store: MemoryBlobs) -> None:
    device = PageBlobDevice(store, "vhds", "os.vhd", 16 * MIB + 512)
    device.write(0, b"x" * MIB)
    device.write(0, bytes(MIB))
    assert store.page_ranges("vhds", "os.vhd") == [(16 * MIB, 512)]


def test_what_is_no_vhd_is_refused(store: MemoryBlobs) -> None:
    store.put_pages("vhds", "os.vhd", 16 * MIB, bytes(512))
    with pytest.raises(vhd.NotVhd, match="wrong cookie"):
        PageBlobDevice(store, "vhds", "os.vhd", 16 * MIB + 512)
    store.put_pages("vhds", "os.vhd", 16 * MIB, vhd.footer(8 * MIB, IDENTITY, 1.6e9))
    with pytest.raises(vhd.NotVhd, match="its footer says"):
        PageBlobDevice(store, "vhds", "os.vhd", 16 * MIB + 512)


@pytest.mark.parametrize(
    ("at", "word"), [(0, "wrong cookie"), (63, "not a fixed"), (70, "checksum"), (400, "checksum"), (64, "checksum")]
)
def test_a_damaged_footer_is_named(at: int, word: str) -> None:
    raw = bytearray(vhd.footer(MIB, IDENTITY, 1.6e9))
    raw[at] ^= 1
    with pytest.raises(vhd.NotVhd, match=word):
        vhd.read_footer(bytes(raw))


def test_replicas_carry_the_same_footer() -> None:
    assert vhd.footer(MIB, IDENTITY, 1.6e9) == replica_vhd.footer(MIB, IDENTITY, 1.6e9)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed (package qemu-utils)")
def test_qemu_img_makes_and_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "disk.vhd"
    command = ["qemu-img", "create", "-q", "-f", "vpc", "-o", "subformat=fixed,force_size=on", str(path), "5M"]
    subprocess.run(command, check=True)
    raw = path.read_bytes()[-512:]
    read = vhd.read_footer(raw)
    assert (read.size, vhd.footer(read.size, read.identity, read.made)) == (5 * MIB, raw)
    ours = tmp_path / "ours.vhd"
    ours.write_bytes(b"\1" * 3 * MIB + vhd.footer(3 * MIB, IDENTITY, 1.6e9))
    plain = tmp_path / "ours.raw"
    plain.write_bytes(b"\1" * 3 * MIB)
    subprocess.run(["qemu-img", "compare", "-q", "-f", "vpc", "-F", "raw", str(ours), str(plain)], check=True)
