"""Several replica workers, on each kind of storage: they meet only there, and what is promised holds whoever does it."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError

from drillbed.estate import Estate, EstatePlan, MachinePlan
from reference_impl.hrl import DamagedLog

MIB = 1 << 20
KINDS = [("virtual", "memory", 1.0), ("virtual", "s3", 1.0), ("embedded", "azurite", 60.0)]


@contextmanager
def protected(folder: Path, way: str, storage: str, speed: float, *names: str) -> Iterator[Estate]:
    machines = [MachinePlan(name, "WINDOWS", [2 * MIB, 2 * MIB], witness=True) for name in names]
    with Estate.open(EstatePlan(way=way, storage=storage, speed=speed, seed=5, machines=machines), folder) as estate:
        estate.prepare_azure()
        estate.add_worker()
        estate.register_site()
        estate.add_vcenter()
        estate.vault.make_policies()
        for name in names:
            estate.protect(name)
        for name in names:
            estate.vault.until_state(name, "Protected")
        yield estate


def every_point_is_true(estate: Estate, name: str) -> int:
    """Every recovery point is what the machine's own history says of its moment. Gives their number."""
    machine_id, witness = estate.machines.software[name].machine_id, estate.witness(name)
    replica = next(found for worker in estate.azure.workers if (found := worker.find(machine_id)))
    with replica.held() as here:
        points = list(here.state.points)
    for point in points:
        digests = {unit: sha256_of(replica, disk, point.snapshots[disk.disk_id]) for unit, disk in enumerate(replica.disks)}
        assert witness.matching(digests, witness.prefixes_at(point.time, slack=1e-3)) is not None, (name, point)
    return len(points)


def sha256_of(replica: Any, disk: Any, snapshot: str) -> str:
    return hashlib.sha256(
        replica.target.get_blob(replica.target_container, disk.blob, length=disk.size, snapshot=snapshot)
    ).hexdigest()


@pytest.mark.parametrize(("way", "storage", "speed"), KINDS, ids=[kind for _, kind, _ in KINDS])
def test_workers_come_and_go_and_every_point_is_true(tmp_path: Path, way: str, storage: str, speed: float) -> None:
    with protected(tmp_path, way, storage, speed, "web", "db") as estate:
        third = estate.add_worker()  # it comes when all is running
        estate.clock.wait(90)
        ids = [estate.machines.software[name].machine_id for name in ("web", "db")]
        assert all(worker.find(machine_id) for worker in (*estate.azure.workers, third) for machine_id in ids)
        for worker in estate.azure.workers[:2]:
            worker.kill()
        died = estate.clock.now()
        estate.clock.wait(420)
        for name in ("web", "db"):
            assert every_point_is_true(estate, name) >= 2
            newest = max(
                estate.parse_time(point["properties"]["recoveryPointTime"]) for point in estate.vault.recovery_points(name)
            )
            assert newest > died
        estate.vault.failover("web", shut_down=True)
        assert estate.hashes(estate.onprem_disks("web")) == estate.history_before("web", "azure")
        assert estate.azure_vm_exists("web")


KINDS_OF_CALL = ("put_pages", "snapshot_blob", "put_blob")


def write(estate: Estate, kind: str, what: bytes) -> None:
    """The machine writes to one place of each kind."""
    guest = estate.machines.guest("db")
    assert guest is not None
    guest.disk(0).write(KINDS_OF_CALL.index(kind) << 16, what.ljust(4096, b"."))


class Sleepy:
    """A store whose user falls asleep once, right before a request of one kind."""

    def __init__(self, inner: Any, kind: str, sleep: Callable[[], None]):
        self._inner, self._kind, self._sleep = inner, kind, sleep

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            if name == self._kind:
                self._kind = ""
                self._sleep()
            return found(*arguments, **named)

        return call


@pytest.mark.parametrize(("way", "storage", "speed"), KINDS, ids=[kind for _, kind, _ in KINDS])
def test_a_worker_that_sleeps_past_its_lease_changes_nothing(tmp_path: Path, way: str, storage: str, speed: float) -> None:
    with protected(tmp_path, way, storage, speed, "db") as estate:
        machine_id, slept = estate.machines.software["db"].machine_id, list[str]()
        for kind in KINDS_OF_CALL:
            for worker in estate.azure.workers:
                worker.kill()
            write(estate, kind, b"before")
            estate.clock.wait(320)  # a point and writes gather that nobody processes
            sleeper = estate.azure.workers[0].find(machine_id)
            assert sleeper is not None
            before = (sleeper.cache, sleeper.target)

            def sleep(kind: str = kind) -> None:
                write(estate, kind, b"after")
                estate.add_worker()
                estate.clock.wait(150)  # the lease has run out; the other one works everything off
                slept.append(kind)

            sleeper.cache, sleeper.target = (Sleepy(store, kind, sleep) for store in before)
            try:
                with sleeper.held() as here:
                    while sleeper.advance(here, 8):
                        pass
            except (AzureError, DamagedLog):
                pass  # it has been found out
            sleeper.cache, sleeper.target = before
        assert slept == list(KINDS_OF_CALL)
        estate.clock.wait(60)
        assert every_point_is_true(estate, "db") >= 3
        estate.vault.failover("db", shut_down=True)
        assert estate.hashes(estate.onprem_disks("db")) == estate.history_before("db", "azure")


def test_a_worker_whose_clock_is_days_ahead_takes_no_point_away(tmp_path: Path) -> None:
    """Points live 24 hours by the service's time, whoever prunes."""
    error = [0.0]
    with protected(tmp_path, "virtual", "memory", 1.0, "web") as estate:
        for worker in estate.azure.workers:
            worker.kill()
        estate.add_worker(clock_error=lambda: error[0])
        estate.clock.wait(900)
        before = {point["name"] for point in estate.vault.recovery_points("web")}
        assert len(before) >= 3
        error[0] = 3 * 86400.0
        estate.clock.wait(1200)
        after = {point["name"] for point in estate.vault.recovery_points("web")}
        assert before < after
        assert every_point_is_true(estate, "web") == len(after)
