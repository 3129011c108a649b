"""The filter in the write path outlives the agent: no gap after a kill -9, copies that go on, resyncs that read what changed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from plane_lab import MIB, PlaneLab, bytes_of, pattern
from witness import Witness, epoch

from emulators.guest.devices import MemoryDevice
from emulators.guest.machine import GuestMachine


class Counting(MemoryDevice):
    """A disk that counts the bytes that are read from it."""

    read_bytes = 0

    def read(self, offset: int, length: int) -> bytes:
        self.read_bytes += length
        return super().read(offset, length)


@pytest.fixture
def lab(tmp_path: Path) -> PlaneLab:
    return PlaneLab(tmp_path)


def protected(lab: PlaneLab, size: int = 32 * MIB, data: bytes = b"") -> tuple[GuestMachine, Counting]:
    guest = lab.add_machine("db", {0: MIB})
    device = Counting(data + bytes(size - len(data)))
    guest.add_disk(1, device, "db-disk-1")
    lab.protect(guest, policy={"crashConsistentMinutes": 1})
    lab.wait_for_points(guest, 1)
    return guest, device


def data_bytes(lab: PlaneLab) -> int:
    return sum(flow.bytes_out for flow in lab.network.flows() if flow.port == 9443)


def resync_required(lab: PlaneLab, guest: GuestMachine) -> bool:
    return bool(lab.control.beats[guest.machine_id]["protection"]["resyncRequired"])


def test_a_killed_agent_leaves_no_gap_and_needs_no_resync(lab: PlaneLab) -> None:
    guest, device = protected(lab, data=pattern(3, 16 * MIB))
    witness = Witness(guest)
    guest.attach_filter(witness)
    device.read_bytes = 0
    before = data_bytes(lab)
    for number in range(4):
        guest.disk(1).write(number * MIB, pattern(number, 4096))  # it may be in the agent's memory only
    lab.agent(guest).kill()
    for number in range(4):
        guest.disk(number % 2).write(number * 3 * 65536, pattern(20 + number, 4096))  # nobody captures it
    guest.restart("mobility-agent")
    known = len(lab.points(guest))
    lab.wait_for_points(guest, known + 2)
    assert not resync_required(lab, guest)
    assert device.read_bytes <= 8 * MIB  # only around what may be missing
    assert data_bytes(lab) - before < 2 * MIB
    for point in lab.points(guest)[known:]:
        assert witness.was(lab.promote(guest, point["pointId"]), epoch(point["time"]))
    assert lab.end_of(guest) == bytes_of(guest)


def test_a_killed_agent_of_a_quiet_machine_just_goes_on(lab: PlaneLab) -> None:
    guest, device = protected(lab, data=pattern(3, MIB))
    lab.clock.wait(30)
    begun = lab.agent(guest).replication.stream.last
    lab.agent(guest).kill()
    device.read_bytes = 0
    guest.restart("mobility-agent")
    lab.clock.wait(20)
    assert device.read_bytes == 0
    assert lab.agent(guest).replication.stream.last <= begun + 1  # no SYNC_BEGIN: at most a tag
    assert lab.end_of(guest) == bytes_of(guest)


@pytest.mark.parametrize("kills", [1, 3])
def test_an_agent_killed_while_it_catches_up_begins_again(lab: PlaneLab, kills: int) -> None:
    guest, _ = protected(lab)
    for number in range(kills):
        lab.agent(guest).kill()
        for place in range(24):
            guest.disk(1).write(place * MIB + number * 65536, pattern(100 * number + place, 65536))
        guest.restart("mobility-agent")
        lab.clock.wait(0.6)  # in the middle of it
        assert not lab.agent(guest).replication.stream.coverage.complete
    lab.clock.wait(120)
    assert not resync_required(lab, guest)
    assert lab.end_of(guest) == bytes_of(guest)


def test_power_loss_takes_the_map_away(lab: PlaneLab) -> None:
    guest, _ = protected(lab)
    guest.power_off()
    guest.power_on()
    lab.clock.wait(60)
    assert resync_required(lab, guest)  # REP-013: the positive twin of the killed agent


def test_an_initial_copy_goes_on_where_it_stopped(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: 512})
    device = Counting(pattern(4, 32 * MIB))
    guest.add_disk(1, device, "db-disk-1")
    lab.protect(guest)

    def far_enough() -> bool:
        replication = lab.agent(guest).replication
        return replication is not None and replication.disks[1].copied >= 20 * MIB

    assert lab.clock.wait_until(far_enough, seconds=300)
    lab.clock.wait(0.2)
    lab.agent(guest).kill()
    guest.disk(1).write(MIB, pattern(5, 4096))
    device.read_bytes = 0
    guest.restart("mobility-agent")
    lab.wait_for_points(guest, 1)
    assert device.read_bytes <= 20 * MIB  # the rest, what was on its way, and the block that was written to
    assert data_bytes(lab) < 42 * MIB
    assert lab.end_of(guest) == bytes_of(guest)


def test_after_an_overflow_the_resync_reads_only_what_changed(lab: PlaneLab) -> None:
    guest, device = protected(lab, data=pattern(3, 30 * MIB))
    stream = lab.agent(guest).replication.stream
    stream.journal_bytes = MIB
    block = lab.network.block(port=9443)
    for number in range(8):
        guest.disk(1).write(number * MIB, pattern(number, MIB // 4))
    lab.clock.wait(40)
    assert resync_required(lab, guest)
    lab.network.unblock(block)
    stream.journal_bytes = 64 * MIB
    lab.clock.wait(60)
    assert len({point["pointId"] for point in lab.points(guest)}) >= 1  # older points stay
    device.read_bytes = 0
    known = len(lab.points(guest))
    lab.control.resynchronize.add(guest.machine_id)
    lab.wait_for_points(guest, known + 1)
    assert 0 < device.read_bytes <= 12 * MIB
    assert not resync_required(lab, guest) or lab.clock.wait(40) is None
    assert lab.end_of(guest) == bytes_of(guest)


def test_a_resync_that_is_asked_for_compares_everything(lab: PlaneLab) -> None:
    """REP-014: an operator who does not believe the map gets checksums of all there is."""
    guest, device = protected(lab, data=pattern(3, 30 * MIB))
    device.read_bytes, sent = 0, data_bytes(lab)
    lab.control.resynchronize.add(guest.machine_id)
    lab.wait_for_points(guest, len(lab.points(guest)) + 1)
    assert device.read_bytes >= 32 * MIB
    assert data_bytes(lab) - sent < MIB


def no_room(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_journal_disk_stops_nobody_and_is_declared(lab: PlaneLab, monkeypatch: pytest.MonkeyPatch) -> None:
    guest, _ = protected(lab, size=64 * MIB)
    block = lab.network.block(port=9443)
    with monkeypatch.context() as patch:
        patch.setattr("reference_impl.mobility_agent.stream.write_file", no_room)
        for number in range(48):
            guest.disk(1).write(number * MIB, pattern(number, MIB))
        lab.clock.wait(60)
        assert lab.agent(guest).replication.stream.queued_bytes < 40 * MIB  # what fits into memory, and no more
        assert resync_required(lab, guest)
    lab.network.unblock(block)
    lab.control.resynchronize.add(guest.machine_id)
    lab.clock.wait(200)
    assert not resync_required(lab, guest)
    assert lab.end_of(guest) == bytes_of(guest)


def test_a_little_is_kept_in_memory_when_the_journal_disk_is_full(lab: PlaneLab, monkeypatch: pytest.MonkeyPatch) -> None:
    guest, _ = protected(lab)
    block = lab.network.block(port=9443)
    with monkeypatch.context() as patch:
        patch.setattr("reference_impl.mobility_agent.stream.write_file", no_room)
        for number in range(8):
            guest.disk(1).write(number * MIB, pattern(number, MIB))
        lab.clock.wait(60)
    lab.network.unblock(block)
    lab.clock.wait(120)
    assert not resync_required(lab, guest)
    assert lab.end_of(guest) == bytes_of(guest)


def test_an_orderly_end_without_room_for_the_journal_is_no_clean_end(lab: PlaneLab, monkeypatch: pytest.MonkeyPatch) -> None:
    guest, _ = protected(lab)
    block = lab.network.block(port=9443)
    guest.disk(1).write(0, pattern(1, MIB))
    with monkeypatch.context() as patch:
        patch.setattr("reference_impl.mobility_agent.stream.write_file", no_room)
        guest.shut_down()
    lab.network.unblock(block)
    guest.power_on()
    lab.clock.wait(90)
    assert resync_required(lab, guest)


def test_of_two_agents_with_one_identity_one_sends_and_the_other_says_so(lab: PlaneLab, tmp_path: Path) -> None:
    """A cold copy of a machine is started beside it: what arrives is one machine's history, never a mixture (CFG-020)."""
    guest, _ = protected(lab)
    guest.shut_down()
    shutil.copytree(tmp_path / "db", tmp_path / "copy")
    guest.power_on()
    lab.clock.wait(70)
    copied = lab.add_machine("copy", bytes_of(guest), copy_of=guest)
    witnesses = [Witness(guest), Witness(copied)]
    for one, witness in zip((guest, copied), witnesses, strict=True):
        one.attach_filter(witness)
    known = {point["pointId"] for point in lab.points(guest)}
    for number in range(20):
        guest.disk(0).write(number * 512, pattern(number, 512))
        copied.disk(0).write(number * 512, pattern(100 + number, 512))
        lab.clock.wait(9)
    symptoms = [one.service("mobility-agent").replication.symptoms() for one in (guest, copied)]
    assert symptoms.count(["another-agent"]) == 1
    for point in lab.points(guest):
        if point["pointId"] not in known:
            content = lab.promote(guest, point["pointId"])
            assert any(witness.was(content, epoch(point["time"])) for witness in witnesses)
    copied.power_off()
    lab.clock.wait(60)
    lab.control.resynchronize.add(guest.machine_id)
    lab.clock.wait(150)
    assert lab.control.beats[guest.machine_id]["symptoms"] == []
    assert lab.end_of(guest) == bytes_of(guest)


def test_a_clone_with_an_id_of_its_own_sends_nothing(lab: PlaneLab, tmp_path: Path) -> None:
    guest, _ = protected(lab)
    lab.clock.wait(30)
    shutil.copytree(tmp_path / "db", tmp_path / "clone")
    clone = lab.add_machine("clone", bytes_of(guest))
    clone.disk(0).write(0, pattern(1, 512))
    lab.clock.wait(120)
    assert not [flow for flow in lab.network.flows() if flow.source == "clone" and flow.port == 9443]  # CFG-020
    assert lab.end_of(guest) == bytes_of(guest)


def test_a_write_into_a_block_that_is_still_to_be_copied_does_not_count_for_the_whole_block(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: 512})
    guest.add_disk(1, Counting(pattern(4, 32 * MIB)), "db-disk-1")
    lab.protect(guest)

    def begun() -> bool:
        replication = lab.agent(guest).replication
        return replication is not None and replication.disks[1].copied >= 4 * MIB

    assert lab.clock.wait_until(begun, seconds=300)
    guest.disk(1).write(30 * MIB + 512, pattern(5, 512))  # far from what has been copied
    lab.clock.wait(2)
    lab.agent(guest).kill()
    guest.restart("mobility-agent")
    lab.wait_for_points(guest, 1)
    assert lab.end_of(guest) == bytes_of(guest)


def test_the_shutdown_of_a_machine_hears_nothing_from_a_killed_agent(lab: PlaneLab) -> None:
    guest, _ = protected(lab)
    lab.agent(guest).kill()
    guest.disk(1).write(0, pattern(1, 4096))
    known = len(lab.points(guest))
    guest.shut_down()
    lab.clock.wait(60)
    assert len(lab.points(guest)) == known
    guest.power_on()
    lab.clock.wait(90)
    assert resync_required(lab, guest)


def test_writes_beyond_what_a_disk_was_stop_nothing_and_are_declared(lab: PlaneLab) -> None:
    """CFG-012: the disk has grown; the replica is of the old size until the machine is protected anew."""
    guest, device = protected(lab)
    size = device.size
    device.write(size, bytes(MIB))
    guest.disk(1).write(size - 512, pattern(1, 1024))
    guest.disk(1).write(size + 4096, pattern(2, 512))
    known = len(lab.points(guest))
    lab.wait_for_points(guest, known + 2)
    assert resync_required(lab, guest)
    assert lab.worker.damaged == {}
    lab.clock.wait(60)
    newest = lab.points(guest)[-1]
    assert lab.contents(guest)[newest["pointId"]][1][size - 512 : size] == pattern(1, 1024)[:512]
