"""The disk engine against a plain model, and against qemu-img."""

import itertools
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulators.clock import Clock
from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.disks import Disk, NoSpace
from emulators.vcenter.objects.virtual_disks import copy_bytes
from emulators.vcenter.vmdk import BLOCK, NotAVmdk

SIZE = 5 * BLOCK + 512
MIB = 1024 * 1024


def a_store(folder: Path, capacity: int = 64 * MIB) -> DiskStore:
    return DiskStore(folder, capacity, Clock(seed=1).uuid)


PICK = st.integers(0, 9)
WRITES = st.tuples(st.just("write"), PICK, st.integers(0, SIZE - 1), st.binary(min_size=1, max_size=24), st.integers(1, 8000))
STEPS = st.one_of(
    WRITES,
    WRITES,
    st.tuples(st.just("pin"), PICK),
    st.tuples(st.just("pin"), PICK),
    st.tuples(st.sampled_from(["revert", "unpin", "link"]), PICK, PICK),
    st.tuples(st.sampled_from(["reopen", "copy", "grow", "shrink", "delete", "defragment"]), PICK),
)


class Machine:
    """What one disk should be: bytes, bytes at each point, and which blocks were touched when."""

    def __init__(self, disk: Disk, now: bytes):
        self.disk, self.now = disk, bytearray(now)
        self.points: dict[str, bytes] = {}
        self.ids: dict[str, tuple[str, int]] = {}  # change uuid and generation at each point, also of points that are gone
        self.before: dict[str, int] = {}  # how many touches there were at each point
        self.then: dict[str, bytes] = {}
        self.touched: list[set[int]] = []

    def touch(self, first: int, last: int) -> None:
        self.touched.append(set(range(first // BLOCK, -(-last // BLOCK))))


class Model:
    """All disks of one datastore."""

    def __init__(self, store: DiskStore):
        self.store = store
        self.machines = [Machine(store.create("vm0/vm0.vmdk", SIZE), bytes(SIZE))]
        self.count = 0

    def pick(self, choice: int) -> Machine:
        return self.machines[choice % len(self.machines)]

    def name(self) -> str:
        self.count += 1
        return f"vm{self.count}/vm{self.count}.vmdk"

    def write(self, choice: int, offset: int, piece: bytes, times: int) -> None:
        one = self.pick(choice)
        data = (piece * times)[: len(one.now) - offset]
        one.disk.write(offset, data)
        one.now[offset : offset + len(data)] = data
        one.touch(offset, offset + len(data))

    def pin(self, choice: int) -> None:
        one = self.pick(choice)
        self.count += 1
        key = f"snapshot-{self.count}"
        one.disk.pin(key)
        one.points[key] = one.then[key] = bytes(one.now)
        one.ids[key] = (one.disk.change_uuid, one.disk.generation)
        one.before[key] = len(one.touched)

    def revert(self, choice: int, which: int) -> None:
        one = self.pick(choice)
        if one.points:
            key = sorted(one.points)[which % len(one.points)]
            one.disk.revert(key)
            one.now[:] = one.points[key]
            one.touch(0, len(one.now))

    def unpin(self, choice: int, which: int) -> None:
        one = self.pick(choice)
        if one.points:
            key = sorted(one.points)[which % len(one.points)]
            one.disk.unpin(key)
            del one.points[key]

    def link(self, choice: int, which: int) -> None:
        one = self.pick(choice)
        if one.points and len(self.machines) < 5:
            key = sorted(one.points)[which % len(one.points)]
            self.machines.append(Machine(self.store.link(one.disk, key, self.name()), one.points[key]))

    def copy(self, choice: int) -> None:
        one = self.pick(choice)
        if len(self.machines) < 5:
            made = self.store.create(self.name(), len(one.now))
            copy_bytes(one.disk, made)
            self.machines.append(Machine(made, one.now))

    def grow(self, choice: int) -> None:
        one = self.pick(choice)
        size = len(one.now) + BLOCK
        if one.points or one.disk.clones or one.disk.source:
            with pytest.raises(ValueError, match="snapshots"):
                one.disk.grow(size)
        else:
            one.disk.grow(size)
            one.now.extend(bytes(BLOCK))

    def shrink(self, choice: int) -> None:
        one = self.pick(choice)
        if not one.points and not one.disk.clones and not one.disk.source:
            one.disk.shrink()

    def defragment(self, choice: int) -> None:
        self.pick(choice).disk.defragment()

    def delete(self, choice: int) -> None:
        if len(self.machines) > 1:
            one = self.pick(choice)
            self.store.delete(one.disk)
            self.machines.remove(one)

    def reopen(self, _: int) -> None:
        if len(self.machines) == 1 and not self.machines[0].points:  # who holds the points is not kept in the files
            one = self.machines[0]
            name = one.disk.file_name
            one.disk.close()
            self.store.close()
            self.store = a_store(self.store.folder)
            one.disk = self.store.open(name)

    def check(self) -> None:
        for one in self.machines:
            size = len(one.now)
            assert one.disk.size == size
            assert one.disk.read(0, size) == one.now
            for key, content in one.points.items():
                assert one.disk.read(0, size, at=one.disk.pins[key]) == content
            self.check_changes(one)
            assert self.blocks(one, 1) >= {n for n in range(-(-size // BLOCK)) if any(one.now[n * BLOCK : (n + 1) * BLOCK])}
            assert not one.disk.merges
        assert self.store.free == self.store.capacity - sum(disk.used() for disk in self.store.disks())

    def check_changes(self, one: Machine) -> None:
        """Between a point and a later one (or now): what differs is told, and nothing that was not touched in between."""
        for key, (uuid, generation) in one.ids.items():
            if uuid != one.disk.change_uuid:
                continue  # tracking was started anew since
            later = [other for other in one.points if one.before[other] >= one.before[key] and one.ids[other][0] == uuid]
            later = [other for other in later if one.ids[other][1] >= generation]
            for until, content, end in [
                *((other, one.points[other], one.before[other]) for other in later),
                (None, bytes(one.now), len(one.touched)),
            ]:
                told = self.blocks(one, generation, until)
                old = one.then[key].ljust(len(content), b"\0")
                differ = {n // BLOCK for n in range(0, len(content), BLOCK) if content[n : n + BLOCK] != old[n : n + BLOCK]}
                assert differ <= told
                assert told <= set().union(*one.touched[one.before[key] : end])

    def blocks(self, one: Machine, since: int, until: str | None = None) -> set[int]:
        areas = one.disk.changed_areas(since, at=until)
        assert all(a[0] + a[1] < b[0] for a, b in itertools.pairwise(areas)), "areas that touch are one"
        return {n for start, length in areas for n in range(start // BLOCK, -(-(start + length) // BLOCK))}


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(st.lists(STEPS, max_size=16))
def test_disks_equal_a_plain_model_whatever_happens(steps):
    with tempfile.TemporaryDirectory() as folder:
        model = Model(a_store(Path(folder)))
        for name, *arguments in steps:
            getattr(model, name)(*arguments)
        model.check()
        for one in list(model.machines):
            model.store.delete(one.disk)
        assert not list(Path(folder).rglob("*.vmdk")), "what is deleted leaves no file behind"
        assert model.store.free == model.store.capacity
        model.store.close()


def test_a_merge_without_room_waits_until_there_is_some(tmp_path):
    store = a_store(tmp_path, capacity=4 * BLOCK)
    disk = store.create("web/web.vmdk", 8 * BLOCK)
    disk.pin("a")
    disk.write(0, b"x" * 2 * BLOCK)
    other = store.create("other.vmdk", 8 * BLOCK)
    other.write(0, b"y" * BLOCK)
    with pytest.raises(NoSpace):
        disk.unpin("a")
    assert (disk.merges, disk.pins) == (True, {})
    assert disk.read(0, 2 * BLOCK) == b"x" * 2 * BLOCK
    store.delete(other)
    disk.consolidate()
    assert (disk.merges, len(disk.layers)) == (False, 1)
    assert disk.read(0, 2 * BLOCK) == b"x" * 2 * BLOCK


def test_an_eagerly_zeroed_disk_holds_all_of_itself_a_lazy_one_what_was_written(tmp_path):
    store = a_store(tmp_path)
    eager, lazy = (store.create(f"{name}.vmdk", MIB, thin=False, eager=name == "eager") for name in ("eager", "lazy"))
    assert store.free == store.capacity - 2 * MIB
    assert (eager.changed_areas(1), lazy.changed_areas(1)) == ([(0, MIB)], [])
    eager.close()
    assert a_store(tmp_path).open("eager.vmdk").changed_areas(1) == [(0, MIB)]


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
