"""The reference conforms: all requirements that it claims, in virtual time. A class for each area: areas run in parallel."""

import pytest
from conformance import AREAS, REQUIREMENTS, area_of, run

from harness.spec import Requirement
from harness.verdict import PASS


def _check(requirement: Requirement) -> None:
    results = [run(case) for case in requirement.cases]
    wrong = [f"{result.case} (seed {result.seed}): {result.summary}" for result in results if result.verdict != PASS]
    assert not wrong, "\n".join(wrong)


def _of(area: str) -> pytest.MarkDecorator:
    found = [requirement for requirement in REQUIREMENTS if area_of(requirement) == area]
    return pytest.mark.parametrize("requirement", found, ids=[requirement.id for requirement in found])


class TestDiscovery:
    @_of("discovery")
    def test_holds(self, requirement: Requirement) -> None:
        _check(requirement)


class TestFailover:
    @_of("failover")
    def test_holds(self, requirement: Requirement) -> None:
        _check(requirement)


class TestNetwork:
    @_of("network")
    def test_holds(self, requirement: Requirement) -> None:
        _check(requirement)


class TestRecoveryPlans:
    @_of("recovery-plans")
    def test_holds(self, requirement: Requirement) -> None:
        _check(requirement)


class TestReplication:
    @_of("replication")
    def test_holds(self, requirement: Requirement) -> None:
        _check(requirement)


class TestReprotect:
    @_of("reprotect")
    def test_holds(self, requirement: Requirement) -> None:
        _check(requirement)


class TestTopology:
    @_of("topology")
    def test_holds(self, requirement: Requirement) -> None:
        _check(requirement)


class TestHealth:
    @_of("health")
    def test_holds(self, requirement: Requirement) -> None:
        _check(requirement)


class TestOperations:
    @_of("operations")
    def test_holds(self, requirement: Requirement) -> None:
        _check(requirement)


def test_no_area_is_forgotten() -> None:
    assert {area_of(requirement) for requirement in REQUIREMENTS} == AREAS
