"""A guest: one order of writes, filters, holding, boot, shutdown and power loss."""

import threading

import pytest

from emulators.clock import Clock
from emulators.guest.devices import MemoryDevice
from emulators.guest.machine import GuestMachine
from emulators.guest.workload import Workload, read_workload, record


class Recorder:
    """A filter that remembers, and looks at the disk while it is told."""

    def __init__(self, guest: GuestMachine):
        self.guest, self.seen = guest, list[tuple[int, int, bytes, float]]()

    def wrote(self, unit: int, offset: int, data: bytes, when: float) -> None:
        assert self.guest.disk(unit).read(offset, len(data)) == data
        self.seen.append((unit, offset, data, when))


class Program:
    """A service that notes what happens to it."""

    def __init__(self, log: list[str], name: str):
        self.log, self.name = log, name

    def start(self) -> None:
        self.log.append(f"start {self.name}")

    def stop(self) -> None:
        self.log.append(f"stop {self.name}")

    def kill(self) -> None:
        self.log.append(f"kill {self.name}")


@pytest.fixture
def guest() -> GuestMachine:
    made = GuestMachine(Clock(), "m-1", "db", "LINUX")
    made.add_disk(0, MemoryDevice(8192), "disk-a")
    made.add_disk(3, MemoryDevice(8192), "disk-b")
    made.power_on()
    return made


def test_filters_see_every_write_in_order_after_it_reached_the_disk(guest: GuestMachine) -> None:
    recorder = Recorder(guest)
    guest.attach_filter(recorder)
    guest.disk(0).write(512, b"a" * 512)
    guest.disk(3).write(0, b"b" * 1024)
    assert [(unit, offset, len(data)) for unit, offset, data, _ in recorder.seen] == [(0, 512, 512), (3, 0, 1024)]
    guest.detach_filter(recorder)
    guest.disk(0).write(0, b"c" * 512)
    assert len(recorder.seen) == 2


def test_odd_writes_become_whole_sectors(guest: GuestMachine) -> None:
    guest.disk(0).write(0, b"x" * 2048)
    recorder = Recorder(guest)
    guest.attach_filter(recorder)
    guest.disk(0).write(700, b"hello")
    ((_, offset, data, _),) = recorder.seen
    assert (offset, len(data)) == (512, 512)
    assert guest.disk(0).read(698, 9) == b"xxhelloxx"


def test_a_write_beyond_the_end_or_on_a_machine_that_is_off_fails(guest: GuestMachine) -> None:
    with pytest.raises(OSError, match="are not on disk 0 of db"):
        guest.disk(0).write(8192, b"x")
    guest.power_off()
    with pytest.raises(OSError, match="not running"):
        guest.disk(0).write(0, b"x")


def test_serials_show_only_when_they_may(guest: GuestMachine) -> None:
    assert [disk.serial for disk in guest.disks()] == ["", ""]
    guest.show_serials = True
    assert [(disk.unit, disk.serial) for disk in guest.disks()] == [(0, "disk-a"), (3, "disk-b")]


def test_other_threads_wait_while_writes_are_held(guest: GuestMachine) -> None:
    done = threading.Event()

    def write() -> None:
        guest.disk(0).write(0, b"w" * 512)
        done.set()

    writer = threading.Thread(target=write)
    with guest.hold_writes():
        writer.start()
        assert not done.wait(0.05)
        assert guest.disk(0).read(0, 1) == b"\0"
    writer.join(5)
    assert done.is_set()
    assert guest.disk(0).read(0, 1) == b"w"


def test_a_hold_never_stops_its_own_thread(guest: GuestMachine) -> None:
    with guest.hold_writes():
        guest.disk(0).write(0, b"w" * 512)
        assert not guest.held
    assert guest.disk(0).read(0, 1) == b"w"


def test_programs_start_before_applications_and_end_after_them(guest: GuestMachine) -> None:
    log: list[str] = []
    guest.install("workload", lambda: Program(log, "workload"), application=True)
    guest.install("agent", lambda: Program(log, "agent"))
    guest.on_shutdown(lambda: log.append("last words"))
    guest.shut_down()
    assert log == ["start workload", "start agent", "stop workload", "last words", "stop agent"]
    log.clear()
    guest.power_on()
    guest.power_off()
    assert log == ["start agent", "start workload", "kill agent", "kill workload"]


def test_power_loss_takes_filters_and_last_words_away(guest: GuestMachine) -> None:
    log: list[str] = []
    recorder = Recorder(guest)
    guest.attach_filter(recorder)
    guest.on_shutdown(lambda: log.append("never"))
    guest.power_off()
    guest.power_on()
    guest.disk(0).write(0, b"x" * 512)
    guest.shut_down()
    assert (log, recorder.seen) == ([], [])


def test_disks_come_and_go_while_the_machine_runs(guest: GuestMachine) -> None:
    guest.add_disk(1, MemoryDevice(512), "disk-c")
    assert [disk.unit for disk in guest.disks()] == [0, 1, 3]
    with pytest.raises(ValueError, match="has a disk already"):
        guest.add_disk(1, MemoryDevice(512), "disk-d")
    guest.remove_disk(3)
    assert [disk.unit for disk in guest.disks()] == [0, 1]


def workload_on(clock: Clock, *, size: int = 1 << 16, **settings: float) -> tuple[GuestMachine, Workload]:
    guest = GuestMachine(clock, "m-1", "db", "LINUX")
    for unit in (0, 1):
        guest.add_disk(unit, MemoryDevice(size), f"disk-{unit}")
    workload = Workload(clock.scope("workload"), guest, [0, 1], **settings)
    guest.install("workload", lambda: workload, application=True)
    guest.power_on()
    return guest, workload


def test_a_workload_writes_records_that_prove_themselves() -> None:
    clock = Clock()
    guest, workload = workload_on(clock, rate=2.0)
    clock.wait(10)
    assert workload.count == 20
    found = [read_workload(disk) for disk in guest.disks()]
    assert [(one.count, one.unbroken, one.last_time) for one in found] == [(20, True, clock.now())] * 2


def test_a_workload_goes_on_where_it_finds_itself_and_ends_when_full() -> None:
    clock = Clock()
    guest, _ = workload_on(clock, size=8192)
    guest.disk(0).write(0, record(0, 1.0, 512) + record(1, 1.0, 512))
    guest.disk(1).write(0, record(0, 1.0, 512))
    clock.wait(100)
    assert [read_workload(disk).count for disk in guest.disks()] == [16, 16]


@pytest.mark.parametrize(("offset", "damage"), [(512 * 3 + 400, b"x"), (512 * 12, b"later"), (512 * 4, bytes(512))])
def test_every_break_in_the_row_is_seen(offset: int, damage: bytes) -> None:
    raw = bytearray(b"".join(record(number, 5.0, 512) for number in range(10)) + bytes(4096))
    assert read_workload(MemoryDevice(bytes(raw))).unbroken
    raw[offset : offset + len(damage)] = damage
    assert not read_workload(MemoryDevice(bytes(raw))).unbroken


def test_the_workload_rests_while_writes_are_held() -> None:
    clock = Clock()
    guest, workload = workload_on(clock)
    clock.wait(5)
    with guest.hold_writes():
        clock.wait(3)
        assert workload.count == 5
    clock.wait(1)
    assert workload.count == 9
