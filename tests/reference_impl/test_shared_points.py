"""Replication groups: shared points by the barrier on 20004."""

from pathlib import Path
from typing import Any

import pytest
from plane_lab import MIB, PlaneLab

from emulators.guest.devices import MemoryDevice
from emulators.guest.machine import GuestMachine
from emulators.guest.workload import read_workload, record
from reference_impl import wire


class Pair:
    """`app` and `db` in one group, `web` alone. A cross-machine writer puts record n on `db`, then on `app`."""

    def __init__(self, folder: Path):
        self.lab = PlaneLab(folder)
        self.web, self.app, self.db = (self.lab.add_machine(name, {0: MIB}, os_type="WINDOWS") for name in ("web", "app", "db"))
        members = [
            {"machineId": guest.machine_id, "name": guest.name, "address": guest.name, "token": f"group {guest.name}"}
            for guest in (self.app, self.db)
        ]
        self.group = {"groupId": "g-1", "members": members, "coordinator": self.app.machine_id}
        self.lab.protect(self.web)
        self.lab.protect(self.db, group=self.group)
        self.lab.protect(self.app, group=self.group)
        self.lab.clock.spawn(self._write(), name="cross-machine writer")

    def _write(self) -> Any:
        for number in range(2000):
            yield 1.0
            for guest in (self.db, self.app):
                guest.disk(0).write(number * 512, record(number, self.lab.clock.now(), 512))

    def shared(self, guest: GuestMachine) -> list[dict[str, Any]]:
        return [point for point in self.lab.points(guest) if point["multiVm"]]

    def count(self, guest: GuestMachine, point: dict[str, Any]) -> int:
        found = read_workload(MemoryDevice(self.lab.promote(guest, point["pointId"])[0]))
        assert found.unbroken
        return found.count

    def flows(self) -> set[tuple[str, str]]:
        return {(flow.source, flow.destination) for flow in self.lab.network.flows() if flow.port == 20004}


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def test_members_share_points_that_fit_together(pair: Pair) -> None:
    pair.lab.clock.wait(1500)
    app, db = pair.shared(pair.app), pair.shared(pair.db)
    assert len(app) >= 3
    assert [(point["pointId"], point["time"]) for point in app] == [(point["pointId"], point["time"]) for point in db]
    for one, other in zip(app, db, strict=True):
        assert pair.count(pair.db, other) == pair.count(pair.app, one)  # MVM-001: the writer was between two rounds
    assert not pair.shared(pair.web)


def test_only_members_talk_on_the_group_port(pair: Pair) -> None:
    pair.lab.clock.wait(700)
    assert pair.flows() == {("app", "db")}  # NET-006


def test_a_blocked_group_port_stops_shared_points_only(pair: Pair) -> None:
    pair.lab.clock.wait(700)
    before = [len(pair.shared(pair.app)), len(pair.lab.points(pair.app)), len(pair.lab.points(pair.db))]
    block = pair.lab.network.block(port=20004)
    pair.lab.clock.wait(1500)
    assert len(pair.shared(pair.app)) == before[0]
    assert len(pair.lab.points(pair.app)) >= before[1] + 4
    assert len(pair.lab.points(pair.db)) >= before[2] + 4
    assert "group-unreachable" in pair.lab.control.beats[pair.app.machine_id]["symptoms"]
    pair.lab.network.unblock(block)
    pair.lab.clock.wait(700)
    assert len(pair.shared(pair.db)) > before[0]
    assert pair.lab.control.beats[pair.app.machine_id]["symptoms"] == []


def test_application_consistent_points_are_shared_too(pair: Pair) -> None:
    pair.lab.clock.wait(3800)
    kinds = [
        {point["pointId"] for point in pair.shared(guest) if point["type"] == "ApplicationConsistent"}
        for guest in (pair.app, pair.db)
    ]
    assert kinds[0] == kinds[1]
    assert len(kinds[0]) == 1


def member(pair: Pair, token: str = "group db") -> wire.Client:
    return wire.Client(pair.lab.network.find("app"), "https://db:20004", token)


def ask(client: wire.Client, verb: str, body: dict[str, Any], group: str = "g-1") -> tuple[int, str]:
    try:
        client.call("POST", f"/barrier/{group}/{verb}", body)
    except wire.Refused as no:
        return no.status, no.code
    return 200, ""


def test_the_barrier_trusts_nobody_and_lasts_a_second(pair: Pair) -> None:
    pair.lab.clock.wait(700)
    wish = {"tagId": "t-1", "coordinator": pair.app.machine_id}
    assert ask(member(pair, "guess"), "prepare", wish) == (401, "Unauthorized")
    assert ask(member(pair), "prepare", wish, group="g-2") == (404, "NotFound")
    assert ask(member(pair), "prepare", wish | {"coordinator": pair.web.machine_id}) == (403, "NotYours")
    assert ask(member(pair), "prepare", wish) == (200, "")
    assert pair.db.held
    assert ask(member(pair), "prepare", wish | {"tagId": "t-2"}) == (409, "Busy")
    pair.lab.clock.wait(1.5)
    assert not pair.db.held
    assert ask(member(pair), "commit", {"tagId": "t-1", "time": 1.0}) == (409, "BarrierBroken")
    assert ask(member(pair), "prepare", wish) == (200, "")
    pair.db.disk(0).write(MIB - 512, b"x" * 512)
    assert ask(member(pair), "commit", {"tagId": "t-1", "time": 1.0}) == (409, "BarrierBroken")
    assert not pair.db.held
