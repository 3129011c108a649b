"""The same specifications over TLS sockets and Azurite: a scenario of each area, with the same verdicts as in virtual time."""

import pytest
from conformance import AREAS, CASES, REQUIREMENTS, area_of, run

from harness.verdict import PASS

#: Chosen for what they send through sockets: a push, data, points, a plan, the way back, another server, silence, a refusal.
CHOSEN = (
    "DIS-007::pushed-first[windows-135]",
    "FO-013::made-from-the-data",
    "NET-004::upload",
    "PLAN-001::named-machines",
    "REP-012::zeros-shrink",
    "FB-001::with-the-data-of-azure",
    "TOP-005::moved",
    "EVT-008::agent-silent",
    "JOB-008::failover-twice",
)


@pytest.mark.parametrize("name", CHOSEN)
def test_it_holds_over_sockets(name: str) -> None:
    result = run(CASES[name], way="embedded")
    assert result.verdict == PASS, result.summary


def test_every_area_is_there() -> None:
    chosen = {name.partition("::")[0] for name in CHOSEN}
    assert {area_of(requirement) for requirement in REQUIREMENTS if requirement.id in chosen} == AREAS
