"""Replication groups: shared points by the barrier on 20004."""

from pathlib import Path
from typing import Any

import pytest
from plane_lab import MIB, PlaneLab, group_of

from emulators.guest.devices import MemoryDevice
from emulators.guest.machine import GuestMachine
from emulators.guest.workload import read_workload, record
from reference_impl import wire


class Pair:
    """`app` and `db` in one group, `web` alone. A cross-machine writer puts record n on `db`, then on `app`."""

    def __init__(self, folder: Path):
        self.lab = PlaneLab(folder)
        self.web, self.app, self.db = (self.lab.add_machine(name, {0: MIB}, os_type="WINDOWS") for name in ("web", "app", "db"))
        self.lab.protect(self.web)
        for guest in (self.db, self.app):
            self.lab.protect(guest, group=group_of(guest, [self.app, self.db]))
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


def member(pair: Pair, token: str = "app to db", *, host: str = "app", called: str = "db") -> wire.Client:
    return wire.Client(pair.lab.network.find(host), f"https://{called}:20004", token)


def ask(client: wire.Client, verb: str, body: dict[str, Any], group: str = "g-1") -> tuple[int, str]:
    try:
        client.call("POST", f"/barrier/{group}/{verb}", body)
    except wire.Refused as no:
        return no.status, no.code
    return 200, ""


def test_the_barrier_trusts_nobody_and_lasts_a_second(pair: Pair) -> None:
    pair.lab.clock.wait(700)
    wish = {"tagId": "t-1"}
    for token in ("guess", "db to db", "db to app"):
        assert ask(member(pair, token), "prepare", wish) == (401, "Unauthorized")
    assert ask(member(pair), "prepare", wish, group="g-2") == (403, "NotYours")
    # db has a token for app, but it does not coordinate: it cannot pass for who does
    assert ask(member(pair, "db to app", host="db", called="app"), "prepare", wish) == (403, "NotYours")
    assert ask(member(pair), "confirm", wish) == (404, "NotFound")
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


class Failing:
    """What listens on 20004 of a member, with one verb that fails: before or after it has done its work."""

    def __init__(self, pair: Pair, verb: str, *, done: bool):
        self.verb, self.done, self.on, self.count = verb, done, True, 0
        listener = pair.lab.network.transport.listener("db", 20004)
        self._inner, listener.app = listener.app, self

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if not self.on or not environ["PATH_INFO"].endswith(self.verb):
            return self._inner(environ, start_response)
        self.count += 1
        if self.done:
            list(self._inner(environ, lambda *_: None))
        raise TimeoutError("no answer")


@pytest.mark.parametrize("done", [False, True], ids=["not-done", "done"])
@pytest.mark.parametrize("verb", ["prepare", "commit"])
def test_a_point_is_shared_only_when_all_members_have_it(pair: Pair, verb: str, done: bool) -> None:
    pair.lab.clock.wait(700)
    failing = Failing(pair, verb, done=done)
    before = {guest.name: (len(pair.shared(guest)), len(pair.lab.points(guest))) for guest in (pair.app, pair.db)}
    pair.lab.clock.wait(1500)
    assert failing.count >= 3
    for guest in (pair.app, pair.db):
        shared, points = before[guest.name]
        assert len(pair.shared(guest)) == shared  # none is called shared that the other might lack
        assert len(pair.lab.points(guest)) >= points + 4
        assert not guest.held
    failing.on = False
    pair.lab.clock.wait(700)
    app, db = ([point["pointId"] for point in pair.shared(guest)] for guest in (pair.app, pair.db))
    assert app == db
    assert len(app) > before["app"][0]


def test_a_confirmation_that_does_not_arrive_is_repeated(pair: Pair) -> None:
    pair.lab.clock.wait(100)
    failing, before = Failing(pair, "confirm", done=False), len(pair.shared(pair.db))
    pair.lab.clock.wait(700)
    assert len(pair.shared(pair.app)) > before
    assert len(pair.shared(pair.db)) == before
    failing.on = False
    pair.lab.clock.wait(400)
    app, db = ({point["pointId"] for point in pair.shared(guest)} for guest in (pair.app, pair.db))
    assert app & db
    for point in pair.shared(pair.db):
        assert pair.count(pair.db, point) == pair.count(pair.app, {"pointId": point["pointId"]})


def test_a_killed_coordinator_lets_the_members_go_on(pair: Pair) -> None:
    pair.lab.clock.wait(700)
    pair.lab.agent(pair.app).kill()
    before = len(pair.lab.points(pair.db))
    pair.lab.clock.wait(700)
    assert len(pair.lab.points(pair.db)) >= before + 2
    pair.app.restart("mobility-agent")
    shared = len(pair.shared(pair.db))
    pair.lab.clock.wait(700)
    assert len(pair.shared(pair.db)) > shared
