"""Several workers on one queue: they compete by visibility and lease, and one that comes too late changes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from fault_lab import Trial
from plane_lab import MIB, PlaneLab, bytes_of, pattern
from witness import Witness, epoch

from reference_impl.hrl import DamagedLog
from reference_impl.replica.tasks import promote


class Sleepy:
    """A store whose user falls asleep at its request number `at`, before or after the request is done."""

    def __init__(self, inner: Any, at: list[int], sleep: Callable[[], None], *, before: bool):
        self._inner, self._at, self._sleep, self._before = inner, at, sleep, before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self._at[0] -= 1
            if self._at[0] == 0 and self._before:
                self._sleep()
            result = found(*arguments, **named)
            if self._at[0] == 0 and not self._before:
                self._sleep()
            return result

        return call


def backlog(folder: Path) -> tuple[PlaneLab, Any, Witness, Any]:
    """Two workers that know a machine, both away, and some points that wait. The first is handed out to be driven by hand."""
    lab = PlaneLab(folder, seed=3)
    other = lab.start_worker("other")
    guest = lab.add_machine("db", {0: pattern(1, MIB // 4), 1: MIB // 4})
    witness = Witness(guest)
    guest.attach_filter(witness)
    lab.protect(guest, policy={"crashConsistentMinutes": 1})
    lab.wait_for_points(guest, 1)
    lab.clock.wait(20)
    lab.worker.kill()
    other.kill()
    for number in range(40):
        guest.disk(number % 2).write(number % 7 * 4096, pattern(number, 2048))
        lab.clock.wait(5)
    return lab, guest, witness, lab.worker


@pytest.mark.parametrize("before", [False, True], ids=["after", "before"])
@pytest.mark.parametrize("at", range(1, 46, 4))
def test_a_worker_that_slept_past_its_lease_changes_nothing(tmp_path: Path, at: int, before: bool) -> None:
    lab, guest, witness, sleeper = backlog(tmp_path)
    count, slept = [at], list[bool]()

    def sleep() -> None:
        lab.worker = lab.start_worker("other")
        lab.clock.wait(200)  # the lease runs out, the other takes over and works everything off
        guest.disk(0).write(0, pattern(99, 2048))
        lab.clock.wait(70)
        slept.append(True)

    replica = sleeper.find(guest.machine_id)
    replica.cache = Sleepy(replica.cache, count, sleep, before=before)
    replica.target = Sleepy(replica.target, count, sleep, before=before)
    try:
        with replica.held() as here:
            while replica.advance(here, 8):
                pass
    except (AzureError, DamagedLog):
        pass  # it has been found out
    if not slept:
        sleep()
    lab.clock.wait(100)
    points = lab.points(guest)
    assert len(points) >= 6
    for point in points:
        assert witness.was(lab.promote(guest, point["pointId"]), epoch(point["time"])), point
    assert lab.end_of(guest) == bytes_of(guest)
    assert lab.worker.damaged == {}


def test_no_worker_prunes_a_point_that_another_one_is_copying(tmp_path: Path) -> None:
    """The copy outlasts lease and retention; afterwards the point goes like any other."""
    lab = PlaneLab(tmp_path, seed=4)
    lab.start_worker("other")
    guest = lab.add_machine("db", {0: pattern(1, MIB // 4), 1: MIB // 4})
    witness = Witness(guest)
    guest.attach_filter(witness)
    lab.protect(guest, policy={"crashConsistentMinutes": 1, "retentionMinutes": 20})
    lab.wait_for_points(guest, 2)
    old = lab.points(guest)[0]
    replica = lab.worker.find(guest.machine_id)

    def sleep() -> None:
        for number in range(30):
            guest.disk(0).write(0, pattern(number, 4096))
            lab.clock.wait(60)

    replica.target = Sleepy(replica.target, [1], sleep, before=True)  # the first thing asked of the target is a copy
    place = {"account": lab.store_of("target"), "container": "vhds"}
    targets = [{**place, "diskId": disk.identity, "blob": f"{disk.unit}.vhd"} for disk in guest.disks()]
    with pytest.raises(StopIteration) as done:
        next(promote(lab.worker, {"machineId": guest.machine_id, "pointId": old["pointId"], "targets": targets}))
    assert done.value.value["pointId"] == old["pointId"]
    store = lab.open("target")
    copied = {disk.unit: store.get_blob("vhds", f"{disk.unit}.vhd")[: disk.size] for disk in guest.disks()}
    assert len(lab.points(guest)) >= 15, "nothing happened meanwhile"
    assert witness.was(copied, epoch(old["time"]))
    assert old["pointId"] in {point["pointId"] for point in lab.points(guest)}
    lab.clock.wait(180)
    assert old["pointId"] not in {point["pointId"] for point in lab.points(guest)}


class Repeating:
    """Notes every page write that is done, to let them arrive once more."""

    def __init__(self, inner: Any):
        self._inner, self.done = inner, list[Callable[[], None]]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in ("put_pages", "clear_pages"):
            return found

        def call(*arguments: Any, **named: Any) -> None:
            found(*arguments, **named)
            self.done.append(lambda: found(*arguments, **named))

        return call


def test_requests_that_arrive_twice_do_not_undo_later_ones(tmp_path: Path) -> None:
    """A network may deliver a page write again after the next one of the same hold."""
    lab, guest, witness, sleeper = backlog(tmp_path)
    replica = sleeper.find(guest.machine_id)
    replica.target = twice = Repeating(replica.target)
    with replica.held() as here:
        while replica.advance(here, 8):
            pass
    refused = 0
    for again in twice.done:
        try:
            again()
        except AzureError:
            refused += 1
    assert refused >= len(twice.done) // 2  # all but those of the last round
    lab.worker = lab.start_worker("other")
    lab.clock.wait(120)
    for point in lab.points(guest):
        assert witness.was(lab.promote(guest, point["pointId"]), epoch(point["time"])), point
    assert lab.end_of(guest) == bytes_of(guest)


def test_workers_share_the_machines_among_them(tmp_path: Path) -> None:
    """Three workers, four machines, one queue: every log has its effect once, and a killed worker's share is taken over."""
    lab = PlaneLab(tmp_path)
    workers = [lab.worker, lab.start_worker("second"), lab.start_worker("third")]
    guests = [lab.add_machine(f"m{number}", {0: pattern(number, MIB // 2)}) for number in range(4)]
    for guest in guests:
        lab.protect(guest, policy={"crashConsistentMinutes": 1})
    for guest in guests:
        lab.wait_for_points(guest, 2)
    workers[1].kill()
    for number in range(30):
        for guest in guests:
            guest.disk(0).write(number * 4096, pattern(number, 4096))
        lab.clock.wait(7)
    workers[2].kill()
    lab.clock.wait(180)
    for guest in guests:
        points = lab.points(guest)
        assert len({point["pointId"] for point in points}) == len(points) >= 6
        assert lab.end_of(guest) == bytes_of(guest)
    snapshots = [entry for entry in lab.open("target").list_blobs("asr-replicas", snapshots=True) if entry.snapshot]
    assert len(snapshots) == sum(len(lab.points(guest)) for guest in guests)


@pytest.mark.parametrize("seed", range(12))
def test_two_or_three_workers_and_trouble(tmp_path: Path, seed: int) -> None:
    trial = Trial(tmp_path, seed, workers=2 + seed % 2, kinds=("kill worker", "unruly", "forgetful store", "cut"))
    trial.run()
    trial.judge()
