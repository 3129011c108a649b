"""streamOptimized VMDK: what is written is read again by us and by QEMU, what QEMU writes is read, and what lies is refused."""

import io
import shutil
import struct
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulators.vcenter.stream_vmdk import StreamReader, write_stream
from emulators.vcenter.vmdk import BLOCK, NotAVmdk

SIZE = 70 * 1024 * 1024 + 512  # three grain tables, and a last grain that is cut
QEMU = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


def packed(content: bytes, areas=None) -> bytes:
    return b"".join(
        write_stream(len(content), areas or [(0, len(content))], lambda offset, n: content[offset : offset + n], "12345678")
    )


def unpacked(raw: bytes) -> bytes:
    reader = StreamReader(io.BytesIO(raw).read)
    content = bytearray(reader.open())
    for offset, data in reader.grains():
        content[offset : offset + len(data)] = data
    return bytes(content)


def a_disk() -> bytes:
    content = bytearray(SIZE)
    for place in (0, 5 * BLOCK + 7, 600 * BLOCK, 1024 * BLOCK, SIZE - 100):
        content[place : place + 100] = bytes(range(100))
    return bytes(content)


@settings(max_examples=40, deadline=None, print_blob=True)
@given(st.integers(1, 4000), st.lists(st.tuples(st.integers(0, 4000 * 512), st.binary(min_size=1, max_size=50)), max_size=12))
def test_what_is_written_is_read_again(sectors, pieces):
    content = bytearray(sectors * 512)
    for place, data in pieces:
        if place + len(data) <= len(content):
            content[place : place + len(data)] = data
    assert unpacked(packed(bytes(content))) == content


def test_only_grains_that_hold_something_travel():
    content = a_disk()
    assert unpacked(packed(content)) == content
    assert len(packed(content)) < 100_000
    assert packed(bytes(SIZE)) == packed(bytes(SIZE), areas=[(0, BLOCK)])


@QEMU
def test_qemu_img_reads_what_is_written(tmp_path):
    content = a_disk()
    (tmp_path / "a.vmdk").write_bytes(packed(content))
    (tmp_path / "a.raw").write_bytes(content)
    subprocess.run(["qemu-img", "check", "-q", str(tmp_path / "a.vmdk")], check=True)
    subprocess.run(["qemu-img", "compare", "-q", "-f", "vmdk", "-F", "raw", "a.vmdk", "a.raw"], cwd=tmp_path, check=True)


@QEMU
def test_what_qemu_img_writes_is_read_and_missed_grains_are_noticed(tmp_path):
    content = a_disk()
    (tmp_path / "a.raw").write_bytes(content)
    command = ["qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", "a.raw", "a.vmdk"]
    subprocess.run(command, cwd=tmp_path, check=True)
    raw = (tmp_path / "a.vmdk").read_bytes()
    assert unpacked(raw) == content
    with pytest.raises(NotAVmdk, match="grains"):
        unpacked(raw[: 132 * 512])  # all but the last grain; what follows is padding


GOOD = packed(bytes(b"x" * BLOCK + bytes(3 * BLOCK)))


def changed(offset: int, data: bytes) -> bytes:
    return GOOD[:offset] + data + GOOD[offset + len(data) :]


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "too early"),
        (b"KDMV" + bytes(100), "too early"),
        (b"hello".ljust(70_000, b"\0"), "sparse VMDK"),
        (changed(8, struct.pack("<I", 1)), "not streamOptimized"),
        (changed(12, struct.pack("<Q", 1 << 60)), "not possible"),
        (changed(12, struct.pack("<Q", 0)), "not possible"),
        (changed(12, struct.pack("<Q", 999)), "another size"),
        (changed(20, struct.pack("<Q", 3)), "grains of 3"),
        (changed(20, struct.pack("<Q", 1 << 40)), "grains of"),
        (changed(64, struct.pack("<Q", 1 << 50)), "cannot be"),
        (GOOD.replace(b"streamOptimized", b"monolithicFlat!"), "descriptor"),
        (changed(128 * 512, struct.pack("<Q", 1 << 40)), "outside the disk"),
        (changed(128 * 512, struct.pack("<Q", 5)), "out of order"),
        (changed(128 * 512 + 8, struct.pack("<I", 1 << 30)), "too large"),
        (changed(128 * 512 + 14, b"garbage"), "cannot be unpacked"),
        (changed(129 * 512, struct.pack("<QII", 1 << 40, 0, 1)), "not known"),
        (changed(130 * 512, struct.pack("<I", 77)), "lists other grains"),
        (GOOD[: 129 * 512], "too early"),
        (GOOD[:-1024], "too early"),
        (GOOD[: 129 * 512] + bytes(512), "without a footer"),
    ],
)
def test_what_lies_is_refused_with_its_reason(raw, says):
    with pytest.raises(NotAVmdk, match=says):
        unpacked(raw)


def test_a_grain_that_unpacks_to_more_than_a_grain_is_refused():
    large = packed(b"x" * (4 * BLOCK))
    at = 128 * 512
    bomb = zlib.compress(bytes(BLOCK * 50), 9)
    piece = struct.pack("<QI", 0, len(bomb)) + bomb
    with pytest.raises(NotAVmdk, match="length of a grain"):
        unpacked(large[:at] + piece + bytes(-len(piece) % 512) + large[at:])


@settings(max_examples=200, deadline=None, print_blob=True)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=16), st.integers(0, len(GOOD)))
def test_damaged_bytes_never_give_anything_but_a_disk_or_a_refusal(place, data, cut):
    try:
        content = unpacked(changed(place, data)[: max(cut, place)])
    except NotAVmdk:
        return
    assert len(content) == 4 * BLOCK
