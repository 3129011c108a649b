"""The disk engine against a plain model, and against qemu-img."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulators.clock import Clock
from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.disks import NoSpace
from emulators.vcenter.vmdk import BLOCK, NotAVmdk

SIZE = 5 * BLOCK + 512
MIB = 1024 * 1024


def a_store(folder: Path, capacity: int = 64 * MIB) -> DiskStore:
    return DiskStore(folder, capacity, Clock(seed=1).uuid)


WRITES = st.tuples(st.just("write"), st.integers(0, SIZE - 1), st.binary(min_size=1, max_size=24), st.integers(1, 8000))
STEPS = st.one_of(
    WRITES,
    WRITES,
    st.tuples(st.just("pin")),
    st.tuples(st.just("revert"), st.integers(0, 9)),
    st.tuples(st.just("unpin"), st.integers(0, 9)),
    st.tuples(st.just("reopen")),
)


class Model:
    """What the disk should be: bytes, and bytes per point, and what each change id promised."""

    def __init__(self, store: DiskStore):
        self.store = store
        self.disk = store.create("vm/vm.vmdk", SIZE)
        self.now = bytearray(SIZE)
        self.points: dict[str, bytes] = {}
        self.then: list[tuple[int, bytes]] = []
        self.count = 0

    def write(self, offset: int, piece: bytes, times: int) -> None:
        data = (piece * times)[: SIZE - offset]
        self.disk.write(offset, data)
        self.now[offset : offset + len(data)] = data

    def pin(self) -> None:
        self.count += 1
        key = f"snapshot-{self.count}"
        self.disk.pin(key)
        self.points[key] = bytes(self.now)
        self.then.append((self.disk.generation, bytes(self.now)))

    def revert(self, choice: int) -> None:
        if self.points:
            key = sorted(self.points)[choice % len(self.points)]
            self.disk.revert(key)
            self.now[:] = self.points[key]

    def unpin(self, choice: int) -> None:
        if self.points:
            key = sorted(self.points)[choice % len(self.points)]
            self.disk.unpin(key)
            del self.points[key]

    def reopen(self) -> None:
        if not self.points:  # who holds the points (the machine's record) is not kept in the file
            name = self.disk.file_name
            self.disk.close()
            self.store = a_store(self.store.folder)
            self.disk = self.store.open(name)

    def check(self) -> None:
        assert self.disk.read(0, SIZE) == self.now
        for key, content in self.points.items():
            assert self.disk.read(0, SIZE, at=self.disk.pins[key]) == content
        for generation, content in self.then:
            told = bytearray(SIZE)
            for start, length in self.disk.changed_areas(generation):
                told[start : start + length] = b"\1" * length
            assert all(told[i] for i in range(SIZE) if content[i] != self.now[i])
        held = {layer.path.name for layer in self.disk.layers}
        assert {p.name for p in self.disk.layers[0].path.parent.glob("vm*.vmdk") if "-flat" not in p.name} - held <= {
            *(layer.descriptor.extent for layer in self.disk.layers),
            "vm-ctk.vmdk",
        }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(st.lists(STEPS, max_size=14))
def test_disk_equals_a_plain_model_whatever_happens(steps):
    with tempfile.TemporaryDirectory() as folder:
        model = Model(a_store(Path(folder)))
        for name, *arguments in steps:
            getattr(model, name)(*arguments)
        model.check()
        model.store.close()


def test_removing_every_snapshot_leaves_one_file_with_the_latest_bytes(tmp_path):
    disk = a_store(tmp_path).create("web/web.vmdk", 4 * MIB)
    disk.write(0, b"one" * 1000)
    disk.pin("a")
    disk.write(100_000, b"two" * 1000)
    disk.pin("b")
    disk.write(200_000, b"three" * 1000)
    expected = disk.read(0, disk.size)
    disk.unpin("a")
    disk.unpin("b")
    assert disk.read(0, disk.size) == expected
    assert [layer.path.name for layer in disk.layers] == ["web.vmdk"]
    assert sorted(p.name for p in (tmp_path / "web").iterdir()) == ["web-flat.vmdk", "web.vmdk"]
    disk.close()


def test_a_disk_is_found_again_from_its_file_with_uuid_and_changes(tmp_path):
    disk = a_store(tmp_path).create("web/web.vmdk", 4 * MIB)
    uuid = disk.uuid
    disk.write(BLOCK, b"x" * 10)
    disk.close()
    again = a_store(tmp_path).open("web/web.vmdk")
    assert (again.uuid, again.uuid[:7]) == (uuid, "6000C29")
    assert again.changed_areas(1) == [(BLOCK, BLOCK)]
    assert again.read(BLOCK, 10) == b"x" * 10
    again.close()


def test_a_full_datastore_refuses_and_changes_nothing(tmp_path):
    store = a_store(tmp_path, capacity=2 * BLOCK)
    disk = store.create("web/web.vmdk", 8 * BLOCK)
    disk.write(0, b"a" * 2 * BLOCK)
    with pytest.raises(NoSpace):
        disk.write(BLOCK, b"b" * 2 * BLOCK)
    assert disk.read(0, 3 * BLOCK) == b"a" * 2 * BLOCK + bytes(BLOCK)
    with pytest.raises(NoSpace):
        store.create("thick/thick.vmdk", 4 * BLOCK, thin=False)
    assert not (tmp_path / "thick").exists()
    store.delete(disk)
    assert store.free == 2 * BLOCK


@pytest.mark.parametrize("name", ["../out.vmdk", "/../../etc/passwd", "a/../../b.vmdk", "", "a\0b"])
def test_no_path_leaves_the_datastore(tmp_path, name):
    with pytest.raises(ValueError, match="datastore"):
        a_store(tmp_path / "store").create(name, 512)


def test_a_link_out_of_the_datastore_is_not_followed(tmp_path):
    store = a_store(tmp_path / "store")
    (tmp_path / "secret.vmdk").write_text("# Disk DescriptorFile")
    (store.folder / "link.vmdk").symlink_to(tmp_path / "secret.vmdk")
    with pytest.raises(ValueError, match="leaves the datastore"):
        store.open("link.vmdk")


def test_what_is_no_vmdk_is_refused(tmp_path):
    store = a_store(tmp_path)
    (tmp_path / "x.vmdk").write_text("hello")
    with pytest.raises(NotAVmdk):
        store.open("x.vmdk")


def test_source_bytes_become_the_disk_and_holes_stay_holes(tmp_path):
    source = tmp_path / "source.img"
    with source.open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(3 * MIB + 5)
        file.write(b"data" * 5000)
    disk = a_store(tmp_path / "store").create("db/db.vmdk", 8 * MIB, source=source)
    assert disk.read(0, disk.size) == source.read_bytes()
    assert disk.used() == BLOCK
    disk.close()


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
def test_qemu_img_reads_base_and_delta_alike(tmp_path):
    disk = a_store(tmp_path).create("web/web.vmdk", 4 * MIB)
    disk.write(1000, b"base" * 10_000)
    disk.pin("s")
    disk.write(70_000, b"delta" * 20_000)
    disk.close()
    raw = tmp_path / "out.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(tmp_path / "web" / "web-000001.vmdk"), str(raw)], check=True)
    again = a_store(tmp_path).open("web/web-000001.vmdk")
    assert raw.read_bytes() == again.read(0, again.size)
    again.close()
