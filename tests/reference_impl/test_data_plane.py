"""Agent, process server, logs and replica worker together, from a guest's write to the bytes of a recovery point."""

import os
import shutil
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from plane_lab import MIB, PlaneLab, bytes_of, pattern

from emulators.guest import vhd
from emulators.guest.devices import MemoryDevice
from emulators.guest.workload import read_workload
from reference_impl.identity import Identity, identity_of, new_authority, public_key
from reference_impl.process_server.throttle import Throttle, Window
from reference_impl.rules import Rules


@pytest.fixture
def lab(tmp_path: Path) -> PlaneLab:
    return PlaneLab(tmp_path)


def filled(size: int) -> bytes:
    """A disk: random data, a hole, random data."""
    third = size // 3 // 65536 * 65536
    return pattern(1, third) + bytes(third) + pattern(2, size - 2 * third)


def test_a_point_equals_the_disks_at_its_instant(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: filled(6 * MIB), 1: 2 * MIB})
    lab.add_workload(guest, [1], rate=2)
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    frozen = {}
    lab.agent(guest).replication.tags.tagged, ship = (
        lambda: (frozen.update(bytes_of(guest)), ship()),
        lab.agent(guest).replication.tags.tagged,
    )
    points = lab.wait_for_points(guest, 2)
    assert lab.promote(guest, points[-1]["pointId"]) == frozen
    assert points[0]["type"] == "CrashConsistent"


def test_promoted_blobs_are_fixed_vhds(lab: PlaneLab) -> None:
    guest = lab.add_machine("web", {0: filled(3 * MIB)})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    lab.promote(guest, None)
    blob = lab.open("target").get_blob("vhds", "web-disk-0.vhd")
    assert vhd.read_footer(blob[-512:]).size == 3 * MIB == len(blob) - 512


def test_every_point_is_an_unbroken_prefix_across_disks(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: MIB, 1: MIB})
    lab.add_workload(guest, [0, 1], rate=1.5, interval=2)
    lab.protect(guest)
    points = lab.wait_for_points(guest, 4)
    counts = []
    for point in points:
        disks = {unit: read_workload(MemoryDevice(raw)) for unit, raw in lab.promote(guest, point["pointId"]).items()}
        assert disks[0].unbroken
        assert disks[1].unbroken
        assert disks[0].count - disks[1].count in (0, 1)
        counts.append(disks[0].count)
    assert counts == sorted(set(counts))


def test_points_come_every_five_minutes_and_all_kinds_as_the_policy_says(lab: PlaneLab) -> None:
    guest = lab.add_machine("web", {0: MIB}, os_type="WINDOWS")
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    lab.clock.wait(3600)
    kinds = [point["type"] for point in lab.points(guest)]
    assert 12 <= len(kinds) <= 14
    assert kinds.count("ApplicationConsistent") == 1


def test_linux_without_scripts_has_no_application_consistent_points(lab: PlaneLab) -> None:
    guest = lab.add_machine("web", {0: MIB})
    lab.protect(guest)
    lab.clock.wait(2.5 * 3600)
    assert {point["type"] for point in lab.points(guest)} == {"CrashConsistent"}


def test_a_blocked_data_port_loses_nothing(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: MIB})
    lab.add_workload(guest, [0], rate=2)
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    block = lab.network.block(port=9443)
    lab.clock.wait(1800)
    assert "process-server-unreachable" in lab.control.beats[guest.machine_id]["symptoms"]
    before = len(lab.points(guest))
    lab.network.unblock(block)
    lab.clock.wait(120)
    assert len(lab.points(guest)) >= before + 5  # RPT: points of the time without a connection arrive too
    assert lab.control.beats[guest.machine_id]["symptoms"] == []
    assert lab.end_of(guest) == bytes_of(guest)


def test_a_replication_interval_would_be_seen(tmp_path: Path) -> None:
    """The twin of the test below with the rule broken (REP-006)."""
    lab = PlaneLab(tmp_path, rules=replace(Rules(), ship_at_once=False))
    guest = lab.add_machine("db", {0: MIB})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    start = sum(flow.bytes_out for flow in lab.network.flows() if flow.port == 9443)
    guest.disk(0).write(0, pattern(9, 4096))
    lab.clock.wait(10)
    assert sum(flow.bytes_out for flow in lab.network.flows() if flow.port == 9443) == start


def test_only_what_changed_travels(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: filled(24 * MIB)})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    start = sum(flow.bytes_out for flow in lab.network.flows() if flow.port == 9443)
    guest.disk(0).write(8 * MIB, pattern(9, MIB))
    lab.clock.wait(10)
    sent = sum(flow.bytes_out for flow in lab.network.flows() if flow.port == 9443) - start
    assert MIB <= sent < 2 * MIB  # REP-006, REP-007


def test_unused_space_is_copied_without_being_sent(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: pattern(1, MIB) + bytes(15 * MIB)})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    lab.clock.wait(60)
    (disk,) = lab.control.beats[guest.machine_id]["protection"]["disks"]
    assert (disk["copiedBytes"], disk["sentBytes"], disk["state"]) == (16 * MIB, MIB, "Done")


def test_three_disks_at_once(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", dict.fromkeys(range(5), 16 * MIB))
    lab.protect(guest)
    replication = None
    assert lab.clock.wait_until(lambda: lab.agent(guest).replication is not None, seconds=300)
    replication = lab.agent(guest).replication
    seen = set()

    def look() -> bool:
        states = [disk.state for disk in replication.disks]
        seen.add((states.count("InProgress"), states.count("Queued")))
        return states.count("Done") == 5

    assert lab.clock.wait_until(look, seconds=300)
    assert max(active for active, _ in seen) == 3
    assert (3, 2) in seen


def test_power_loss_needs_a_resync_and_the_resync_sends_only_differences(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: filled(16 * MIB)})
    lab.add_workload(guest, [0], rate=1, start=12 * MIB)
    lab.protect(guest)
    points = lab.wait_for_points(guest, 2)
    guest.power_off()
    lab.clock.wait(60)
    guest.power_on()
    guest.disk(0).write(5 * MIB, pattern(7, 1000))
    lab.clock.wait(120)
    assert lab.control.beats[guest.machine_id]["protection"]["resyncRequired"]  # REP-013
    known = {point["pointId"] for point in lab.points(guest)}
    assert {point["pointId"] for point in points} <= known
    start = sum(flow.bytes_out for flow in lab.network.flows() if flow.port == 9443)
    lab.control.resynchronize.add(guest.machine_id)
    assert lab.clock.wait_until(lambda: len(lab.points(guest)) > len(known), seconds=600)
    assert sum(flow.bytes_out for flow in lab.network.flows() if flow.port == 9443) - start < 2 * MIB  # REP-014
    assert not lab.control.beats[guest.machine_id]["protection"]["resyncRequired"] or lab.clock.wait(60) is None
    assert lab.end_of(guest) == bytes_of(guest)


def test_a_resync_never_trusts_checksums_from_before_the_gap(lab: PlaneLab) -> None:
    """The place changes to what it was at the first resync while nobody looks: only new checksums show the difference."""
    one, other = pattern(1, 65536), pattern(2, 65536)
    guest = lab.add_machine("db", {0: one + bytes(MIB)})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    lab.control.resynchronize.add(guest.machine_id)
    lab.wait_for_points(guest, 2)
    guest.disk(0).write(0, other)
    lab.clock.wait(60)
    lab.agent(guest).kill()
    guest.disk(0).write(0, one)
    guest.restart("mobility-agent")
    lab.clock.wait(60)
    lab.control.resynchronize.add(guest.machine_id)
    lab.clock.wait(120)
    assert lab.end_of(guest) == bytes_of(guest)


@pytest.mark.parametrize("victim", ["agent", "process-server"])
def test_a_component_restored_from_an_old_copy_is_found_out(lab: PlaneLab, tmp_path: Path, victim: str) -> None:
    guest = lab.add_machine("db", {0: MIB})
    lab.add_workload(guest, [0], rate=1)
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    folder = tmp_path / ("db" if victim == "agent" else "process-server")
    guest.shut_down()
    shutil.copytree(folder, tmp_path / "old")
    guest.power_on()
    lab.clock.wait(200)
    guest.shut_down()
    lab.clock.wait(60)
    if victim == "process-server":
        lab.server.kill()
    shutil.rmtree(folder)
    shutil.move(tmp_path / "old", folder)
    if victim == "process-server":
        lab.server = lab.start_process_server()
    guest.power_on()
    lab.clock.wait(120)
    # What the process server forgot it finds in the store; what the agent forgot it cannot know.
    assert lab.control.beats[guest.machine_id]["protection"]["resyncRequired"] is (victim == "agent")
    if victim == "agent":
        lab.control.resynchronize.add(guest.machine_id)
    lab.clock.wait(300)
    assert lab.end_of(guest) == bytes_of(guest)


def test_an_orderly_shutdown_loses_nothing_and_needs_no_resync(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: MIB})
    lab.add_workload(guest, [0], rate=2)
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    lab.clock.wait(33)
    last = lab.agent(guest).replication.stream.last
    guest.shut_down()
    result = lab.settle(guest, last + 1)
    assert result["state"] == "succeeded"
    assert lab.promote(guest, result["output"]["pointId"]) == bytes_of(guest)
    guest.power_on()
    lab.clock.wait(400)
    assert not lab.control.beats[guest.machine_id]["protection"]["resyncRequired"]
    assert lab.end_of(guest) == bytes_of(guest)


@pytest.mark.parametrize("moment", [0.2, 3.0, 7.0, 20.0, 61.0, 200.0, 333.0])
@pytest.mark.parametrize("victim", ["agent", "process-server", "worker"])
def test_a_killed_component_comes_back_without_a_hole(tmp_path: Path, victim: str, moment: float) -> None:
    lab = PlaneLab(tmp_path, seed=int(moment * 10))
    guest = lab.add_machine("db", {0: filled(9 * MIB), 1: MIB})
    lab.add_workload(guest, [1], rate=3)
    lab.protect(guest)
    lab.clock.wait(moment)
    if victim == "agent":
        lab.agent(guest).kill()
        lab.clock.wait(20)
        guest.restart("mobility-agent")
    elif victim == "process-server":
        lab.server.kill()
        lab.clock.wait(20)
        lab.start_process_server()
    else:
        lab.worker.kill()
        lab.clock.wait(20)
        lab.worker = lab.start_worker()
    lab.clock.wait(240)
    if lab.control.beats[guest.machine_id]["protection"]["resyncRequired"]:
        lab.control.resynchronize.add(guest.machine_id)
    lab.clock.wait(400)
    for point in lab.wait_for_points(guest, 2):
        found = read_workload(MemoryDevice(lab.promote(guest, point["pointId"])[1]))
        assert found.unbroken
    assert lab.end_of(guest) == bytes_of(guest)


def test_a_full_journal_never_stops_the_guest_and_asks_for_a_resync(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: 8 * MIB})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    lab.agent(guest).replication.stream.journal_bytes = 2 * MIB
    block = lab.network.block(port=9443)
    for number in range(8):
        guest.disk(0).write(number * MIB, pattern(number, MIB))
    lab.clock.wait(60)
    assert lab.control.beats[guest.machine_id]["protection"]["resyncRequired"]
    lab.network.unblock(block)
    lab.agent(guest).replication.stream.journal_bytes = 64 * MIB
    lab.control.resynchronize.add(guest.machine_id)
    lab.clock.wait(600)
    assert lab.end_of(guest) == bytes_of(guest)


def test_a_full_cache_pushes_back_to_the_journal(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: 8 * MIB})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    lab.server.cache_bytes = 6 * MIB
    block = lab.network.block(source="process-server", destination="storage")
    for number in range(16):
        guest.disk(0).write(number * MIB // 2, pattern(number, MIB // 2))
        lab.clock.wait(10)
    lab.clock.wait(120)
    assert {"cache-full", "upload-blocked"} <= set(lab.control.beats["ps-1"]["symptoms"])  # NET-004
    lab.network.unblock(block)
    lab.clock.wait(300)
    assert lab.end_of(guest) == bytes_of(guest)
    lab.clock.wait(60)
    assert lab.control.beats["ps-1"]["symptoms"] == []


def test_a_full_cache_disk_loses_nothing_and_is_told(lab: PlaneLab, monkeypatch: pytest.MonkeyPatch) -> None:
    guest = lab.add_machine("db", {0: 8 * MIB})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)

    def half(descriptor: int, raw: bytes) -> None:
        os.write(descriptor, bytes(raw)[: len(raw) // 2])
        no_room()

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("reference_impl.process_server.spool.write_all", half)
        patch.setattr("reference_impl.process_server.cache.write_whole", no_room)
        patch.setattr("reference_impl.process_server.server.write_whole", no_room)
        for number in range(6):
            guest.disk(0).write(number * MIB, pattern(number, MIB // 8))
            lab.clock.wait(20)
        assert lab.control.beats["ps-1"]["symptoms"][0] == "cache-full"
    lab.clock.wait(90)
    assert lab.control.beats["ps-1"]["symptoms"] == []
    assert not lab.control.beats[guest.machine_id]["protection"]["resyncRequired"]
    assert lab.end_of(guest) == bytes_of(guest)


def sent_to_storage(lab: PlaneLab) -> int:
    flows = lab.network.flows()
    return sum(flow.bytes_out for flow in flows if (flow.source, flow.destination) == ("process-server", "storage"))


def test_the_counters_agree_with_the_flow_log(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: filled(12 * MIB)})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    for number in range(20):
        guest.disk(0).write(number * 65536, pattern(number, 65536))
        lab.clock.wait(13)
    lab.clock.wait(120)
    said = lab.control.beats["ps-1"]["machines"][0]
    (out,) = (flow for flow in lab.network.flows() if (flow.source, flow.destination) == ("process-server", "storage"))
    (came,) = (flow for flow in lab.network.flows() if (flow.source, flow.port) == ("db", 9443))
    assert 0 <= out.bytes_out - said["compressedBytes"] < 700 * out.requests  # REP-012: what is beside are the requests' heads
    assert 0 <= came.bytes_out - said["uncompressedBytes"] < 400 * came.requests
    assert said["pendingBytes"] == 0 == lab.control.beats["ps-1"]["uploadPendingBytes"]
    block = lab.network.block(source="process-server", destination="storage")
    guest.disk(0).write(0, pattern(99, MIB))
    lab.clock.wait(61)
    assert MIB <= lab.control.beats["ps-1"]["machines"][0]["pendingBytes"] < MIB + 20_000
    lab.network.unblock(block)


def test_uploads_are_throttled_by_the_hour_and_the_guest_is_not(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: 32 * MIB})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    lab.server.throttle = Throttle([Window(8, 9, 1_000_000), Window(0, 24, 8_000_000)])
    lab.clock.wait(60)
    begun, before = lab.clock.now(), sent_to_storage(lab)
    for number in range(24):
        guest.disk(0).write(number * MIB, pattern(number, MIB))  # complete at once, whatever waits
    lab.clock.wait(100)
    rate = (sent_to_storage(lab) - before) * 8 / (lab.clock.now() - begun)
    assert rate <= 1_000_000 + 9 * MIB * 8 / 100  # NET-014: one log beyond the limit at most
    assert sent_to_storage(lab) - before < 20 * MIB
    assert lab.control.beats["ps-1"]["uploadPendingBytes"] > 4 * MIB
    lab.clock.wait(300)
    assert lab.end_of(guest) == bytes_of(guest)
    for since, until, bits in ((25, 3, 10**6), (1, 2, 1000)):
        with pytest.raises(ValueError, match="at least 512000 bits"):
            Window(since, until, bits)


def test_nobody_else_is_let_in_on_9443(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: MIB})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    path = f"/machines/{guest.machine_id}/generations/1/position"
    stranger = new_authority(bytes(32), bytes(16), "components of the lab")  # the same name, another key
    foreign = identity_of(bytes(32), stranger.sign(public_key(bytes(32)), f"agent {guest.machine_id}", bytes(16)))
    stolen = Identity(lab.identity(guest.machine_id).certificate, foreign.key)  # a certificate without its key
    for shown in (None, foreign, stolen):
        with pytest.raises(ssl.SSLError):
            lab.client("configuration-server", shown).send("GET", path)
    other = lab.client("configuration-server", lab.identity("00000000-0000-4000-8000-000000000000"))
    other.token = f"agent {guest.machine_id}"
    assert other.send("GET", path).status == 403  # another machine's, although it knows the token
    client = lab.client("configuration-server", lab.identity(guest.machine_id))
    assert client.send("GET", path).status == 401
    client.token = "guess"
    assert client.send("GET", path).status == 401
    client.token = f"agent {guest.machine_id}"
    assert client.send("GET", path).status == 200
    assert client.send("POST", path.replace("position", "segments"), b"no segment").status == 400


def test_nothing_readable_leaves_for_azure_and_zeros_cost_nothing(lab: PlaneLab) -> None:
    text = b"the quick brown fox jumps over the lazy dog " * 30000
    guest = lab.add_machine("db", {0: text[:MIB] + bytes(3 * MIB)})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    store = lab.open("cache")
    logs = [store.get_blob("asr-logs", entry.name) for entry in store.list_blobs("asr-logs") if entry.name.endswith(".hrl")]
    assert logs
    assert not any(b"quick brown" in log for log in logs)
    assert sum(map(len, logs)) < 100_000  # REP-012


def test_a_second_generation_sends_differences_only(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: filled(16 * MIB)})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    assert lab.do("commit", {"machineId": guest.machine_id})["state"] == "succeeded"
    assert lab.points(guest) == []  # RPT-011
    guest.disk(0).write(3 * MIB, pattern(5, 200_000))
    start = sum(flow.bytes_out for flow in lab.network.flows() if flow.port == 9443)
    lab.protect(guest, generation=2, keepReplica=True)
    lab.wait_for_points(guest, 1)
    assert sum(flow.bytes_out for flow in lab.network.flows() if flow.port == 9443) - start < MIB
    assert lab.promote(guest, None) == bytes_of(guest)


def test_forget_leaves_nothing(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: MIB})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    del lab.control.protections[guest.machine_id]
    lab.control.machines["ps-1"] = []
    lab.clock.wait(60)
    assert lab.do("forget", {"machineId": guest.machine_id})["state"] == "succeeded"
    assert lab.open("cache").list_blobs("asr-logs") == []
    assert lab.open("target").list_blobs("asr-replicas", snapshots=True) == []


def test_points_thin_out_with_age(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: MIB})
    lab.protect(guest)
    lab.clock.wait(26 * 3600)
    points = lab.points(guest)
    assert 44 <= len(points) <= 50  # RPT-007: about 24 of two hours, 22 of the rest of the day
    snapshots = [entry for entry in lab.open("target").list_blobs("asr-replicas", snapshots=True) if entry.snapshot]
    assert len(snapshots) == len(points)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    def run(folder: Path) -> list[tuple[str, bytes]]:
        lab = PlaneLab(folder, seed=5)
        guest = lab.add_machine("db", {0: filled(3 * MIB)})
        lab.add_workload(guest, [0], rate=1, start=2 * MIB)
        lab.protect(guest)
        lab.clock.wait(700)
        store = lab.open("cache")
        return [(entry.name, store.get_blob("asr-logs", entry.name)) for entry in store.list_blobs("asr-logs")]

    assert run(tmp_path / "a") == run(tmp_path / "b")


def test_a_copy_that_does_not_track_writes_is_found_out(tmp_path: Path) -> None:
    """The rule that matters most can be broken, and then the bytes are wrong (REP-004)."""
    lab = PlaneLab(tmp_path, rules=replace(Rules(), track_during_copy=False))
    guest = lab.add_machine("db", {0: 48 * MIB, 1: MIB})
    lab.add_workload(guest, [0, 1], rate=20, interval=0.1)
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    lab.clock.wait(20)
    assert not read_workload(MemoryDevice(lab.end_of(guest)[1])).unbroken
