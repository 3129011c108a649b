"""A store that fails at any one request, before or after doing it: points stay what the disks were, nothing is lost."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plane_lab import MIB, PlaneLab, bytes_of, pattern

from emulators.guest.machine import GuestMachine


class FailingStore:
    """Passes everything on; the request number `plan.at` of its user ends in a timeout, done or not."""

    def __init__(self, inner: Any, plan: "Plan"):
        self._inner, self._plan = inner, plan

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            inner = [value._inner if isinstance(value, FailingStore) else value for value in arguments]
            return self._plan.run(lambda: found(*inner, **named))

        return call


class Plan:
    """Which request fails: `at` counts from 1, 0 for none."""

    def __init__(self, at: int, *, done: bool):
        self.at, self.done, self.count = at, done, 0

    def run(self, action: Callable[[], Any]) -> Any:
        self.count += 1
        if self.count != self.at:
            return action()
        if self.done:
            action()
        raise TimeoutError("the store did not answer")


class Witness:
    """Keeps the bytes of a machine's disks at each of its tags."""

    def __init__(self, lab: PlaneLab, guest: GuestMachine):
        self.seen: dict[str, dict[int, bytes]] = {}
        assert lab.clock.wait_until(lambda: lab.agent(guest).replication is not None, seconds=300)
        tags = lab.agent(guest).replication.tags
        ship = tags.tagged

        def tagged() -> None:
            self.seen[tags.last.point_id] = bytes_of(guest)
            ship()

        tags.tagged = tagged


def drill(folder: Path, victim: str, plan: Plan) -> None:
    """Protect, let some points come while one request fails, and compare every point with what was."""
    lab = PlaneLab(folder, seed=plan.at)
    plain = lab.storage.open_store
    component = lab.server if victim == "process-server" else lab.worker
    component._open_store = lambda host, store: FailingStore(plain(host, store), plan)
    guest = lab.add_machine("db", {0: pattern(1, MIB) + bytes(MIB), 1: 256 * 1024})
    lab.protect(guest, policy={"crashConsistentMinutes": 1})
    lab.add_workload(guest, [0, 1], rate=1.0, interval=2.0)
    witness = Witness(lab, guest)
    lab.clock.wait(150)
    plan.at = 0
    lab.clock.wait(150)
    points = lab.points(guest)
    assert len(points) >= 3
    for point in points:
        assert lab.promote(guest, point["pointId"]) == witness.seen[point["pointId"]], f"{victim} at {plan.at}"
    assert lab.end_of(guest) == bytes_of(guest)
    assert lab.worker.damaged == {}


@pytest.mark.parametrize("done", [False, True], ids=["not-done", "done"])
@pytest.mark.parametrize("at", range(1, 60, 3))
def test_the_worker_survives_any_failed_request(tmp_path: Path, at: int, done: bool) -> None:
    drill(tmp_path, "worker", Plan(at, done=done))


@pytest.mark.parametrize("done", [False, True], ids=["not-done", "done"])
@pytest.mark.parametrize("at", range(1, 16, 2))
def test_the_process_server_survives_any_failed_request(tmp_path: Path, at: int, done: bool) -> None:
    drill(tmp_path, "process-server", Plan(at, done=done))


@pytest.mark.parametrize("done", [False, True], ids=["not-done", "done"])
@pytest.mark.parametrize("at", range(1, 60, 3))
def test_a_backlog_of_points_is_worked_off_in_order_whatever_fails(tmp_path: Path, at: int, done: bool) -> None:
    """Several tags in one batch: nothing later may be on the disks when a point is taken again."""
    lab, plan = PlaneLab(tmp_path, seed=at), Plan(0, done=done)
    plain = lab.storage.open_store
    lab.worker._open_store = lambda host, store: FailingStore(plain(host, store), plan)
    guest = lab.add_machine("db", {0: MIB})
    lab.protect(guest, policy={"crashConsistentMinutes": 1})
    lab.add_workload(guest, [0], rate=0.5, interval=2.0)
    witness = Witness(lab, guest)
    lab.wait_for_points(guest, 1)
    block = lab.network.block(source="replica-worker", destination="storage")
    lab.clock.wait(300)
    plan.count, plan.at = 0, at
    lab.network.unblock(block)
    lab.clock.wait(120)
    assert plan.count > plan.at
    for point in lab.wait_for_points(guest, 5):
        assert lab.promote(guest, point["pointId"]) == witness.seen[point["pointId"]]


def test_the_failures_really_happen(tmp_path: Path) -> None:
    plan = Plan(10_000, done=False)
    drill(tmp_path, "worker", plan)
    assert plan.count > 60
