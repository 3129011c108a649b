"""Every verdict, from products that are right, wrong, odd or broken."""

from collections.abc import Callable

import pytest
import toy
from toy_bench import EXAMPLES, run_examples

from harness.run import BUDGET_SECONDS
from harness.spec import load_specs
from harness.verdict import Result

Scenario = Callable[..., list[Result]]


def failing(results: list[Result]) -> dict[str, Result]:
    return {result.case: result for result in results if result.verdict != "pass"}


def test_the_right_product_passes_all() -> None:
    results = run_examples(toy.Toy())
    assert len(results) == 31
    assert not failing(results)


@pytest.mark.parametrize("variant", ["merges-snapshots", "adds-a-disk"])
def test_another_right_product_passes_all(variant: str) -> None:
    assert not failing(run_examples(toy.wrong(variant)))


@pytest.mark.parametrize(
    ("wrong", "case", "judgement"),
    [
        ("planned-allowed", "FO-002::planned-is-refused", "refused: {because: failover-kind-unsupported}"),
        ("refusal-leaves-a-mark", "FO-002::planned-is-refused", "unchanged: {vm: web}"),
        ("data-on-443", "NET-002::data", "flows: {to: process-server, exactly: [[web, process-server, 9443]]}"),
        ("always-healthy", "NET-001::blocked", "health: {vm: web, is: critical}"),
        ("commit-keeps-latest", "FO-016::no-point-left[6]", "recovery_points: {vm: web, count: 0}"),
        ("point-changeable-after-commit", "FO-016::point-is-fixed", "refused: {because: already-committed}"),
        ("snapshot-ignored", "RPR-005::snapshot-on-master-target", "refused: {because: snapshot-present}"),
        ("writes-under-snapshot", "RPR-006::snapshot-on-machine", "any_of: "),
        ("uuid-ignored", "RPR-007::not-enabled[FALSE]", "any_of: "),
        ("one-by-one", "PLAN-005::machines-in-parallel[abcde]", "started_together: {vms: [a, b, c, d, e]}"),
        ("groups-overlap", "PLAN-005::groups-in-order", "start_order: {groups: [[db], [app1, app2], [web]]}"),
    ],
)
def test_a_wrong_product_fails_where_one_expects(wrong: str, case: str, judgement: str) -> None:
    found = failing(run_examples(toy.wrong(wrong)))
    assert found[case].verdict == "fail"
    assert found[case].judgement.startswith(judgement)
    assert found[case].place.startswith("examples/")
    assert {name.split("::")[0] for name in found} <= {case.split("::")[0], "NET-002", "NET-006"}


def test_a_product_that_refuses_everything_cannot_pass_by_that() -> None:
    found = failing(run_examples(toy.wrong("refuse-everything", "at-when")))
    with_acts = {r.id for r in load_specs(EXAMPLES) for case in r.cases if any(s.word != "wait" for s in case.when)}
    assert {name.split("::")[0] for name in found} == with_acts
    assert {result.verdict for result in found.values()} == {"fail"}


def test_a_set_up_that_is_refused_is_inconclusive_not_failed() -> None:
    found = failing(run_examples(toy.wrong("refuse-everything")))
    assert {result.verdict for result in found.values()} == {"inconclusive"}
    result = found["RPR-005::snapshot-on-master-target"]
    assert result.judgement == "failed_over: {vms: [web]}"
    assert result.seen == "protecting web was refused: operation-not-allowed (no)"


def test_a_state_that_never_comes_is_inconclusive() -> None:
    found = failing(run_examples(toy.wrong("never-copies")))
    assert {result.verdict for result in found.values()} == {"inconclusive"}
    assert found["NET-002::data"].seen == "web did not become protected: it is copying (healthy)"


@pytest.mark.parametrize(
    ("wrong", "seen"),
    [
        ("breaks", "RuntimeError: the driver broke (at "),
        ("answers-nonsense", "an act must answer Accepted, Refused or Unsupported, not None"),
        ("unknown-state", "machine('web'): 'quite-fine' is not one of the states"),
        ("breaks-at-close", "RuntimeError: cannot close"),
    ],
)
def test_a_driver_that_breaks_is_an_error(wrong: str, seen: str) -> None:
    results = run_examples(toy.wrong(wrong))
    assert {result.verdict for result in results} == {"error"}
    assert results[0].seen.startswith(seen)


def test_an_unknown_reason_is_an_error(scenario: Scenario) -> None:
    class Odd(toy.ToySession):
        def commit(self, vm: str) -> toy.Answer:
            return toy.Refused("because-i-say-so", "no")

    (result,) = scenario("one: {when: [{commit: {vm: web}}], then: [accepted]}", product=_product(Odd))
    assert result.verdict == "error"
    assert "'because-i-say-so' is not one of reasons.yaml" in result.seen


def test_a_missing_capability_is_unsupported_and_a_missing_eye_unobservable(scenario: Scenario) -> None:
    text = "one: {then: [{operations: {vm: web, exactly: []}}]}"
    blind = toy.blind()
    assert [r.verdict for r in scenario(text, product=blind, needs="recovery-plans")] == ["unsupported"]
    assert [r.verdict for r in scenario(text, product=blind, needs="observe-flows")] == ["unobservable"]
    assert [r.verdict for r in scenario(text, product=blind)] == ["pass"]


def test_what_the_product_has_not_is_unsupported_unless_it_was_declared(scenario: Scenario) -> None:
    text = "one: {given: [{protected: {vms: [web]}}], when: [{move: {vm: web, to: other}}], then: [accepted]}"
    assert [r.verdict for r in scenario(text)] == ["unsupported"]
    assert [r.verdict for r in scenario(text, needs="observe-flows")] == ["unsupported"]
    (declared,) = scenario(text, needs="recovery-plans")
    assert declared.verdict == "fail"
    assert declared.seen == "recovery-plans is declared, yet the product answers unsupported: move"


def test_what_cannot_be_seen_is_unobservable(scenario: Scenario) -> None:
    (result,) = scenario("one: {then: [{protectable: {includes: [web]}}]}")
    assert (result.verdict, result.seen) == ("unobservable", "cannot be observed: protectable machines")


def test_a_scenario_has_a_budget_of_emulated_time(scenario: Scenario) -> None:
    days = BUDGET_SECONDS / 86400
    (result,) = scenario(f"one: {{when: [{{wait: {{days: {days + 1:.0f}}}}}], then: [{{state: {{vm: web, is: unprotected}}}}]}}")
    assert result.verdict == "inconclusive"
    assert result.seen.startswith("the budget ran out")


def test_a_mistake_in_judging_is_an_error_not_a_pass(scenario: Scenario) -> None:
    (result,) = scenario("one: {given: [{protected: {vms: [web]}}], then: [{data_equal: {vm: web, side: onprem, to: never}}]}")
    assert result.verdict == "error"
    assert "no instant 'never'" in result.seen


def test_steps_are_recorded_with_emulated_time(scenario: Scenario) -> None:
    (result,) = scenario(
        "one: {given: [{protected: {vms: [web]}}], when: [{wait: {minutes: 15}}], then: [{state: {vm: web, is: protected}}]}"
    )
    assert [(step.part, step.ended - step.began) for step in result.steps] == [("given", 300.0), ("when", 900.0), ("then", 0.0)]
    assert result.steps[2].seen == "web is protected"
    assert all(step.place.startswith("specs/area/file.yaml:") for step in result.steps)


def test_two_runs_with_one_seed_are_identical() -> None:
    first, second = run_examples(toy.Toy()), run_examples(toy.Toy())
    assert [result.plain() for result in first] == [result.plain() for result in second]
    assert len({result.seed for result in first}) == len(first)


def _product(session: type[toy.ToySession]) -> toy.Toy:
    class Product(toy.Toy):
        @toy.contextmanager
        def open(self, world: toy.ToyWorld, setup: toy.Setup):
            yield session(world, frozenset())

    return Product()
