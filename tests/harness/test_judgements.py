"""Each judgement holds where it should and, more important, does not where it should not."""

from collections.abc import Callable

import pytest
import toy

from harness.product import Event, Flow, RecoveryPoint
from harness.verdict import Result

Scenario = Callable[..., list[Result]]
PROTECTED = "given: [{protected: {vms: [web, db]}}]"


@pytest.mark.parametrize(
    ("then", "verdict"),
    [
        ("state: {vm: web, is: protected}", "pass"),
        ("state: {vm: web, is: committed}", "fail"),
        ("health: {vm: web, is: healthy}", "pass"),
        ("health: {vm: web, is: healthy, because: agent-silent}", "fail"),
        ("operations: {vm: web, exactly: [unprotect, test-failover, failover]}", "pass"),
        ("operations: {vm: web, exactly: [unprotect, failover]}", "fail"),
        ("recovery_points: {vm: web, count: 1}", "pass"),
        ("recovery_points: {vm: web, at_least: 2}", "fail"),
        ("recovery_points: {vm: web, at_most: 0}", "fail"),
        ("recovery_points: {vm: web, kind: app-consistent, count: 0}", "pass"),
        ("recovery_points: {vm: web, shared: true, count: 0}", "pass"),
        ("recovery_points: {vm: web, newer_than_minutes: 1, count: 1}", "pass"),
        ("rpo: {vm: web, at_most_minutes: 5}", "fail"),
        ("resync: {vm: web, required: false}", "pass"),
        ("resync: {vm: web, required: true}", "fail"),
        ("vm: {vm: web, side: onprem, power: powered-on, kind: virtual, disks: 1}", "pass"),
        ("vm: {vm: web, side: onprem, power: powered-off}", "fail"),
        ("vm: {vm: web, side: onprem, exists: false}", "fail"),
        ("vm: {vm: web, side: azure, exists: false}", "pass"),
        ("vm: {vm: web, side: azure}", "fail"),
        ("snapshots: {of: web, count: 0}", "pass"),
        ("snapshots: {of: web, count: 1}", "fail"),
        ("disks: {of: web, added: 0}", "pass"),
        ("disks: {of: web, added: 1}", "fail"),
        ("data_equal: {vm: web, side: replica, to: onprem}", "pass"),
        ("data_equal: {vm: web, side: replica, to: onprem, holds: false}", "fail"),
        ("accepted", "fail"),
        ("refused: {because: no-vcenter}", "fail"),
        ("waiting", "fail"),
        ("written: {within_seconds: 1}", "fail"),
    ],
)
def test_a_look_at_a_protected_machine(scenario: Scenario, then: str, verdict: str) -> None:
    if then.startswith("refused"):
        twin = f"two: {{{PROTECTED}, when: [{{commit: {{vm: web}}}}], then: [accepted]}}"
        text = f"one: {{{PROTECTED}, then: [{{any_of: [[{{{then}}}]]}}]}}\n{twin}"
    else:
        text = f"one: {{{PROTECTED}, then: [{then if ':' not in then else '{' + then + '}'}]}}"
    assert scenario(text)[0].verdict == verdict


@pytest.mark.parametrize(
    ("then", "verdict"),
    [
        ("{from: web, to: process-server, exactly: [[web, process-server, 9443]]}", "pass"),
        ("{from: web, exactly: [[web, process-server, 9443]]}", "fail"),
        ("{from: web, includes: [[web, process-server, 9443]]}", "pass"),
        ("{from: web, includes: [[web, process-server, 443]]}", "fail"),
        ("{from: nobody, exactly: []}", "pass"),
        ("{from: web, exactly: []}", "fail"),
        ("{from: web, port: 9443, at_least_bytes: 1500, at_most_bytes: 1500}", "pass"),
        ("{from: web, port: 9443, at_least_bytes: 1501}", "fail"),
        ("{from: web, port: 9443, at_most_bytes: 1499}", "fail"),
        ("{from: web, tls: true}", "pass"),
        ("{from: web, tls: false}", "fail"),
    ],
)
def test_flows_count_from_the_end_of_the_set_up(scenario: Scenario, then: str, verdict: str) -> None:
    given = "[{protected: {vms: [web]}}, {wait: {hours: 3}}]"
    text = f"one: {{given: {given}, when: [{{wait: {{minutes: 15}}}}], then: [{{flows: {then}}}]}}"
    (result,) = scenario(text)
    assert result.verdict == verdict, result.seen


def test_traffic_that_was_not_tls_is_named(scenario: Scenario) -> None:
    class Plain(toy.ToyWorld):
        def flows(self) -> list[Flow]:
            begun = 1_528_099_260.0
            return [Flow("web", "process-server", 9443, 10, tls=False, first=begun, last=begun)] if self.time > begun else []

    (result,) = scenario("one: {when: [{wait: {minutes: 5}}], then: [{flows: {tls: true}}]}", product=_in(Plain))
    seen = "first web to process-server:9443 at 60 s; in all: web to process-server:9443 10 bytes not TLS"
    assert (result.verdict, result.seen) == ("fail", seen)
    assert result.flows == [
        {"source": "web", "destination": "process-server", "port": 9443, "bytes": 10, "tls": False, "first": 60.0, "last": 60.0}
    ]


def test_the_first_offending_event_is_shown_with_its_time(scenario: Scenario) -> None:
    (plan,) = scenario(
        """
        one:
          given: [{plan: {name: shop, groups: [[db], [web]]}}]
          when: [{wait: {minutes: 10}}, {run: {plan: shop, to: azure}}]
          then: [{start_order: {groups: [[db], [web]]}}]
        """,
        product=toy.wrong("groups-overlap"),
        needs="recovery-plans",
    )
    assert plan.seen == "web began to start at 900 s, the group before was up at 960 s"
    assert [(event["time"], event["kind"], event["vm"]) for event in plan.events] == [
        (900.0, "starting", "db"), (900.0, "starting", "web"), (960.0, "started", "db"), (960.0, "started", "web"),
    ]  # fmt: skip
    (never,) = scenario(
        "one: {given: [{protected: {vms: [web]}}], then: [{never: {for_minutes: 30, recovery_points: {vm: web, at_least: 4}}}]}"
    )
    assert never.seen == "recovery_points: {vm: web, at_least: 4} held at 1200 s"
    (still,) = scenario(
        "one: {given: [{protected: {vms: [web]}}], then: [{still: {for_minutes: 30, recovery_points: {vm: web, at_most: 2}}}]}"
    )
    assert still.seen.startswith("at 900 s: recovery_points: ")


@pytest.mark.parametrize(
    ("then", "verdict", "minutes"),
    [
        ("eventually: {within_minutes: 30, recovery_points: {vm: web, at_least: 4}}", "pass", 15),
        ("eventually: {within_minutes: 10, recovery_points: {vm: web, at_least: 4}}", "fail", 10),
        (
            "eventually: {within_minutes: 30, recovery_points: {vm: web, at_least: 4}, state: {vm: web, is: committed}}",
            "fail",
            30,
        ),
        ("never: {for_minutes: 10, recovery_points: {vm: web, at_least: 4}}", "pass", 10),
        ("never: {for_minutes: 30, recovery_points: {vm: web, at_least: 4}}", "fail", 15),
        ("still: {for_minutes: 30, state: {vm: web, is: protected}}", "pass", 30),
        ("still: {for_minutes: 30, recovery_points: {vm: web, at_most: 2}}", "fail", 10),
    ],
)
def test_judgements_over_time_move_the_clock(scenario: Scenario, then: str, verdict: str, minutes: int) -> None:
    (result,) = scenario(f"one: {{{PROTECTED}, then: [{{{then}}}]}}")
    assert result.verdict == verdict, result.seen
    assert result.steps[-1].ended - result.steps[-1].began == pytest.approx(minutes * 60, abs=61)


def test_any_of_wants_one_reading_whole(scenario: Scenario) -> None:
    both = "[{state: {vm: web, is: protected}}, {state: {vm: web, is: committed}}]"
    one = "[{state: {vm: web, is: protected}}]"
    assert scenario(f"one: {{{PROTECTED}, then: [{{any_of: [{both}]}}]}}")[0].verdict == "fail"
    assert scenario(f"one: {{{PROTECTED}, then: [{{any_of: [{both}, {one}]}}]}}")[0].verdict == "pass"


@pytest.mark.parametrize(
    ("events", "order", "together"),
    [
        ([("a", 0, 10), ("b", 0, 10), ("c", 10, 20)], "pass", "pass"),
        ([("a", 0, 10), ("b", 9, 30), ("c", 30, 40)], "pass", "pass"),
        ([("a", 0, 10), ("b", 10, 20), ("c", 20, 30)], "pass", "fail"),
        ([("a", 0, 10), ("b", 0, 20), ("c", 19, 30)], "fail", "pass"),
        ([("a", 0, 10), ("c", 10, 20)], "fail", "fail"),
        ([("a", 5, 5), ("b", 5, 5), ("c", 5, 5)], "pass", "pass"),
    ],
)
def test_starts_are_a_partial_order(scenario: Scenario, events: list, order: str, together: str) -> None:
    class Session(toy.ToySession):
        def events(self) -> list[Event]:
            return [Event(t, kind, vm, "azure") for vm, a, b in events for kind, t in (("starting", a), ("started", b))]

    results = scenario(
        "one: {then: [{start_order: {groups: [[a, b], [c]]}}]}\ntwo: {then: [{started_together: {vms: [a, b]}}]}",
        product=_with(Session),
    )
    assert [result.verdict for result in results] == [order, together]


def test_event_order_may_have_gaps_but_not_swaps(scenario: Scenario) -> None:
    class Session(toy.ToySession):
        def events(self) -> list[Event]:
            return [Event(t, kind, "web", "azure") for t, kind in enumerate(("creating", "created", "starting", "started"))]

    results = scenario(
        "one: {then: [{event_order: {vm: web, events: [[creating, azure], [started, azure]]}}]}\n"
        "two: {then: [{event_order: {vm: web, events: [[started, azure], [creating, azure]]}}]}",
        product=_with(Session),
    )
    assert [result.verdict for result in results] == ["pass", "fail"]


def test_flow_order_counts_from_the_opening(scenario: Scenario) -> None:
    first = "[[web, configuration-server, 443], [web, process-server, 9443]]"
    results = scenario(
        f"one: {{{PROTECTED}, when: [{{wait: {{minutes: 9}}}}], then: [{{flow_order: {{flows: {first}}}}}]}}\n"
        f"two: {{{PROTECTED}, then: [{{flow_order: {{flows: [[web, nobody, 1]]}}}}]}}"
    )
    assert [result.verdict for result in results] == ["pass", "fail"]
    assert results[1].seen == "never seen: web to nobody:1"


@pytest.mark.parametrize(
    "spoil",
    ["state", "operations", "point", "power", "snapshot", "bytes", "azure"],
)
def test_unchanged_sees_every_mark(scenario: Scenario, spoil: str) -> None:
    class Session(toy.ToySession):
        def commit(self, vm: str) -> toy.Answer:
            box = self.world.boxes[vm]
            if spoil == "state":
                box.state = "copying"
            elif spoil == "operations":
                box.state = "waiting-first-point"
            elif spoil == "point":
                box.points.pop()
            elif spoil == "power":
                box.power["onprem"] = "powered-on"
            elif spoil == "snapshot":
                box.snapshots = 1
            elif spoil == "bytes":
                box.data["onprem"][0][7] ^= 1
            else:
                box.power["azure"] = "powered-on"
            return toy.Refused("operation-not-allowed")

    given = "[{protected: {vms: [web]}}, {power: {vm: web, is: powered-off}}]"
    text = f"one: {{given: {given}, when: [{{commit: {{vm: web}}}}], then: [{{unchanged: {{vm: web}}}}]}}"
    assert scenario(text, product=_with(Session))[0].verdict == "fail"
    assert scenario(text)[0].verdict == "pass"


def test_new_recovery_points_are_no_change(scenario: Scenario) -> None:
    (result,) = scenario(f"one: {{{PROTECTED}, when: [{{wait: {{hours: 1}}}}], then: [{{unchanged: {{vm: web}}}}]}}")
    assert result.verdict == "pass"


def test_data_is_compared_with_an_instant(scenario: Scenario) -> None:
    text = """
        one:
          given:
            - protected: {vms: [web]}
            - instant: {name: before, vm: web}
          when:
            - disk_write: {vm: web}
            - failover: {vm: web, to: azure, shut_down: true}
          then:
            - accepted
            - written: {within_seconds: 0}
            - data_equal: {vm: web, side: azure, to: onprem}
            - data_equal: {vm: web, side: azure, to: before, holds: false}
    """
    assert scenario(text)[0].verdict == "pass"
    stale = scenario(text, product=toy.wrong("oldest-data"))[0]
    assert (stale.verdict, stale.seen) == ("fail", "0 of 1 disks of web (azure, 1 found) equal onprem")


def test_shared_points_are_told_apart(scenario: Scenario) -> None:
    class Session(toy.ToySession):
        def machine(self, vm: str) -> toy.Machine:
            now = self.world.now()
            points = (RecoveryPoint("1", now - 7200, shared=True), RecoveryPoint("2", now, "app-consistent"))
            return toy.Machine(vm, "protected", points=points)

    text = "\n".join(
        f"case-{number}: {{then: [{{recovery_points: {{vm: web, {which}, count: 1}}}}]}}"
        for number, which in enumerate(("shared: true", "shared: false", "kind: app-consistent", "newer_than_minutes: 60"))
    )
    assert [result.verdict for result in scenario(text, product=_with(Session))] == ["pass"] * 4


def _with(session: type[toy.ToySession]) -> toy.Toy:
    class Product(toy.Toy):
        @toy.contextmanager
        def open(self, world: toy.ToyWorld, setup: toy.Setup):
            yield session(world, frozenset())

    return Product()


def _in(world: type[toy.ToyWorld]) -> toy.Toy:
    class Session(toy.ToySession):
        def __init__(self, inner: toy.ToyWorld, wrong: frozenset[str]):
            super().__init__(inner, wrong)
            inner.__class__ = world

    return _with(Session)
