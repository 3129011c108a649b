"""Every operation in every state is either allowed or refused with its reason, and a refusal changes nothing (JOB-008)."""

from typing import Any

import pytest
from scripted_site import Site, failback_body, failover_body

from emulators.azure.site_recovery.reasons import REASONS
from emulators.azure.site_recovery.records import Placement, Point
from emulators.azure.site_recovery.refusals import reason_of
from emulators.azure.site_recovery.states import NEVER, OPERATIONS, REFUSED, STATES, TRANSITIONS, decide

#: Operation -> (route, body).
CALLS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "test-failover": ("testFailover", {"properties": {"networkType": "NoNetworkAttachAsInput"}}),
    "test-failover-cleanup": ("testFailoverCleanup", {"properties": {"comments": ""}}),
    "unplanned-failover": ("unplannedFailover", None),
    "planned-failover": ("plannedFailover", {"properties": {"failoverDirection": "PrimaryToRecovery"}}),
    "commit": ("failoverCommit", None),
    "cancel-failover": ("failoverCancel", None),
    "change-point": ("applyRecoveryPoint", None),
    "reprotect": ("reProtect", None),
    "repair": ("repairReplication", None),
    "disable": ("remove", {"properties": {}}),
    "complete-migration": ("remove", {"properties": {"disableProtectionReason": "MigrationComplete"}}),
}


@pytest.fixture(scope="module")
def protected() -> Any:
    site = Site().set_up()
    site.enable("web")
    yield site
    assert site.azure.faults == []


def put_into(site: Site, state: str) -> Any:
    """Set the item's state as if it had got there."""
    item = site.recovery.service.item_at(site.item("web"))
    assert item is not None
    item.state, item.job, item.test_job = state, None, None
    item.points = {"p1": Point("p1", 1.0, "CrashConsistent")}
    item.azure = Placement(f"{site.group}/providers/Microsoft.Compute/virtualMachines/none", "none")
    item.machine = {"resyncRequired": True, "stage": "delta", "lastTagReceived": "2018-06-04T08:00:00Z"}
    return item


def body_of(site: Site, state: str, operation: str) -> Any:
    forward = STATES[state].provider == "InMageAzureV2"
    if operation == "unplanned-failover":
        return failover_body() if forward else failback_body(recoveryPointType="LatestTime")
    if operation == "change-point":
        return {"properties": {"recoveryPointId": f"{site.item('web')}/recoveryPoints/p1"}}
    if operation == "reprotect":
        return site.reverse_body() if forward else site.forward_body()
    return CALLS[operation][1]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("state", STATES)
def test_allowed_or_refused(protected: Site, state: str, operation: str) -> None:
    site, item = protected, put_into(protected, state)
    before, jobs, handed = site.get(site.item("web")), len(site.get(f"{site.vault}/replicationJobs")["value"]), len(site.events)
    status, answer, _ = site.request("POST", f"{site.item('web')}/{CALLS[operation][0]}", body_of(site, state, operation))
    if (state, operation) in TRANSITIONS:
        assert status == 202, answer
        assert item.job is not None
        assert site.get(site.item("web"))["properties"]["allowedOperations"] == []
        item.job.cancel_asked = True
        return
    expected = NEVER.get(operation) or REFUSED[state, operation]
    assert (status, answer["error"]["details"][0]["code"]) == (REASONS[expected].status, REASONS[expected].code)
    assert answer["error"]["details"][0]["recommendedAction"]
    assert site.get(site.item("web")) == before
    assert len(site.get(f"{site.vault}/replicationJobs")["value"]) == jobs
    assert len(site.events) == handed


def test_wire_operations_are_those_of_the_table() -> None:
    """What a state lists on the wire is what its row allows, but for the resynchronization that shows only when needed."""
    names = {
        "TestFailover": "test-failover",
        "TestFailoverCleanup": "test-failover-cleanup",
        "UnplannedFailover": "unplanned-failover",
        "Commit": "commit",
        "ChangePit": "change-point",
        "SwitchProtection": "reprotect",
        "DisableProtection": "disable",
        "CompleteMigration": "complete-migration",
    }
    for state, row in STATES.items():
        listed = {names[name] for name in row.operations}
        allowed = {operation for operation in OPERATIONS if decide(TRANSITIONS, state, operation).allowed}
        assert listed == allowed - {"repair"}, state


def test_codes_lead_back_to_reasons() -> None:
    codes = [entry.code for entry in REASONS.values()]
    assert len(set(codes)) == len(codes)
    assert reason_of("95226") == "agent-unreachable"
    assert reason_of(REASONS["not-committed"].code) == "operation-not-allowed"
    assert reason_of("FailoverAlreadyCommitted") == "already-committed"
    assert reason_of("nothing") is None


def test_one_operation_at_a_time(site: Site) -> None:
    site.enable("web")
    status, _, _ = site.request("POST", f"{site.item('web')}/unplannedFailover", failover_body())
    assert status == 202
    assert site.code("POST", f"{site.item('web')}/unplannedFailover", failover_body()) == "OperationInProgress"
    assert site.get(site.item("web"))["properties"]["currentScenario"]["scenarioName"] == "UnplannedFailover"
    site.reach("web", "UnplannedFailoverCommitPendingStatesBegin")
    idle = site.get(site.item("web"))["properties"]["currentScenario"]
    assert (idle["scenarioName"], idle["startTime"]) == ("None", "1753-01-01T01:01:01Z")
    assert idle["jobId"].endswith("/replicationJobs/None")
