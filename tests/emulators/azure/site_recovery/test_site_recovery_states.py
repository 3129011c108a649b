"""Every operation in every state is either allowed or refused with its code, and a refusal changes nothing (JOB-008)."""

from collections.abc import Iterator
from typing import Any

import pytest
from scripted_appliance import ModernSite, planned_body
from scripted_site import Site, failback_body, failover_body

from emulators.azure.site_recovery.reasons import REASONS
from emulators.azure.site_recovery.records import Placement, Point
from emulators.azure.site_recovery.refusals import reason_of

#: Words of the two tables, and the codes they stand for; `+` is allowed.
CODES = {
    "busy": "ProtectionInProgress",
    "failed": "310056",
    "no-test": "NoTestFailover",
    "kind": "FailoverKindUnsupported",
    "here": "NotFailedOver",
    "never": "CancelFailoverUnsupported",
    "idle": "NotReplicating",
    "cleanup": "TestFailoverCleanupPending",
    "over": "AlreadyFailedOver",
    "commit": "FailoverNotCommitted",
    "done": "FailoverAlreadyCommitted",
    "off": "FailoverCancelled",
    "oneway": "TestFailoverUnsupported",
    "no-pt": "NoRecoveryPoint",
    "turned": "AlreadyReprotected",
    "fixed": "ChangePitUnsupported",
    "n/a": "ScenarioNotSupported",
}

#: State (rows) and operation (columns) of the classic architecture.
CLASSIC = """
                    test    clean   unplanned planned commit  cancel point   turn    repair  disable migrate agent   move
enabling            busy    no-test busy      kind    here    never  here    here    busy    busy    here    busy    n/a
enabling-failed     failed  no-test failed    kind    here    never  here    here    failed  +       here    failed  n/a
replicating         busy    no-test busy      kind    here    never  here    here    busy    +       here    +       n/a
protected           +       no-test +         kind    here    never  here    here    +       +       here    +       n/a
cleanup-pending     cleanup +       cleanup   kind    cleanup never  cleanup cleanup cleanup cleanup cleanup cleanup n/a
failed-over         over    no-test over      kind    +       never  +       commit  idle    +       +       idle    n/a
committed           over    no-test over      kind    done    never  done    +       idle    +       +       idle    n/a
failover-cancelled  off     no-test off       kind    off     never  off     off     off     +       here    off     n/a
reverse-replicating oneway  no-test no-pt     kind    here    never  here    turned  idle    +       here    idle    n/a
reverse-protected   oneway  no-test +         kind    here    never  here    turned  +       +       here    idle    n/a
failed-back         over    no-test over      kind    +       never  fixed   commit  idle    +       commit  idle    n/a
failback-committed  over    no-test over      kind    done    never  done    +       idle    +       +       idle    n/a
"""

#: The same of the modernized one.
MODERNIZED = """
                    test    clean   unplanned planned commit  cancel point   turn    repair  disable migrate agent   move
enabling            busy    no-test busy      kind    here    never  here    here    busy    busy    here    busy    busy
enabling-failed     failed  no-test failed    kind    here    never  here    here    failed  +       here    failed  failed
replicating         busy    no-test busy      kind    here    never  here    here    busy    +       here    +       +
protected           +       no-test +         kind    here    never  here    here    +       +       here    +       +
cleanup-pending     cleanup +       cleanup   kind    cleanup never  cleanup cleanup cleanup cleanup cleanup cleanup cleanup
failed-over         over    no-test over      kind    +       never  +       +       idle    +       +       idle    idle
committed           over    no-test over      kind    done    never  done    +       idle    +       +       idle    idle
failover-cancelled  off     no-test off       kind    off     never  off     off     off     +       here    off     idle
reverse-replicating oneway  no-test kind      no-pt   here    never  here    turned  idle    +       here    idle    idle
reverse-protected   oneway  no-test kind      +       here    never  here    turned  +       +       here    idle    idle
failed-back         over    no-test over      kind    +       +      fixed   +       idle    +       +       idle    idle
failback-committed  over    no-test over      kind    done    never  done    +       idle    +       +       idle    idle
awaiting-point      busy    no-test busy      kind    here    never  here    here    busy    +       here    +       +
"""

#: Column -> (route, body).
CALLS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "test": ("testFailover", {"properties": {"networkType": "NoNetworkAttachAsInput"}}),
    "clean": ("testFailoverCleanup", {"properties": {"comments": ""}}),
    "unplanned": ("unplannedFailover", None),
    "planned": ("plannedFailover", None),
    "commit": ("failoverCommit", None),
    "cancel": ("failoverCancel", None),
    "point": ("applyRecoveryPoint", None),
    "turn": ("reProtect", None),
    "repair": ("repairReplication", None),
    "disable": ("remove", {"properties": {}}),
    "migrate": ("remove", {"properties": {"disableProtectionReason": "MigrationComplete"}}),
    "agent": ("updateMobilityService", {"properties": {"runAsAccountId": "2"}}),
    "move": ("updateAppliance", None),
}
REVERSE = ("reverse-replicating", "reverse-protected", "failed-back", "failback-committed")


def table(text: str) -> dict[tuple[str, str], str]:
    head, *rows = (line.split() for line in text.strip("\n").splitlines())
    return {(row[0], column): cell for row in rows for column, cell in zip(head, row[1:], strict=True)}


TABLES = {"classic": table(CLASSIC), "modernized": table(MODERNIZED)}
CELLS = [(profile, state) for profile, cells in TABLES.items() for state in dict.fromkeys(state for state, _ in cells)]


@pytest.fixture(scope="module")
def sites() -> Iterator[dict[str, Site]]:
    made = {"classic": Site().set_up(), "modernized": ModernSite().set_up()}
    second = made["modernized"].appliance("appliance-2", "56400000-0000-4000-8000-00000000000d")
    assert second.register(made["modernized"].key())[0] == 200
    second.begin()
    for site in made.values():
        site.enable("web")
    yield made
    for site in made.values():
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


def body_of(site: Site, profile: str, state: str, column: str) -> Any:
    forward = state not in REVERSE
    bodies = {
        "planned": {"properties": {"failoverDirection": "PrimaryToRecovery"}} if profile == "classic" else planned_body(),
        "point": {"properties": {"recoveryPointId": f"{site.item('web')}/recoveryPoints/p1"}},
        "turn": site.reverse_body() if forward else site.forward_body(),
        "unplanned": failover_body(instanceType=site.FORWARD) if forward else failback_body(recoveryPointType="LatestTime"),
        "move": {
            "properties": {
                "targetApplianceId": "id-appliance-2",
                "providerSpecificDetails": {"instanceType": "InMageRcm", "runAsAccountId": "2"},
            }
        },
    }
    return bodies.get(column, CALLS[column][1])


@pytest.mark.parametrize("column", CALLS)
@pytest.mark.parametrize(("profile", "state"), CELLS)
def test_allowed_or_refused(sites: dict[str, Site], profile: str, state: str, column: str) -> None:
    site, expected = sites[profile], TABLES[profile][state, column]
    item = put_into(site, state)
    before, jobs, told = site.get(site.item("web")), len(site.get(f"{site.vault}/replicationJobs")["value"]), len(site.events)
    status, answer, _ = site.request("POST", f"{site.item('web')}/{CALLS[column][0]}", body_of(site, profile, state, column))
    if expected == "+":
        assert status == 202, answer
        assert item.job is not None
        assert site.get(site.item("web"))["properties"]["allowedOperations"] == []
        item.job.cancel_asked = True
        return
    refused = answer["error"]["details"][0]
    assert (status, refused["code"]) == (400, CODES[expected])
    assert refused["recommendedAction"]
    assert site.get(site.item("web")) == before
    assert len(site.get(f"{site.vault}/replicationJobs")["value"]) == jobs
    assert len(site.events) == told


@pytest.mark.parametrize("profile", TABLES)
@pytest.mark.parametrize(
    ("route", "body", "code"),
    [
        ("addDisks", {"providerSpecificDetails": {"instanceType": "A2A"}}, "ScenarioNotSupported"),
        ("removeDisks", {"providerSpecificDetails": {"instanceType": "A2A"}}, "ScenarioNotSupported"),
        ("switchProvider", {"providerSpecificDetails": {"instanceType": "A2A"}}, "ScenarioNotSupported"),
        ("resolveHealthErrors", {"healthErrors": [{"healthErrorId": "none"}]}, "HealthErrorUnknown"),
    ],
)
def test_verbs_that_ask_for_no_state(sites: dict[str, Site], profile: str, route: str, body: Any, code: str) -> None:
    """CFG-013: disks are added and removed in another scenario only."""
    site = sites[profile]
    put_into(site, "protected")
    assert site.code("POST", f"{site.item('web')}/{route}", {"properties": body}) == code


def test_wire_operations_are_those_of_the_table(sites: dict[str, Site]) -> None:
    """What a state lists on the wire is what its row allows, but for what no list names."""
    names = {
        "TestFailover": "test",
        "TestFailoverCleanup": "clean",
        "UnplannedFailover": "unplanned",
        "PlannedFailover": "planned",
        "CancelFailover": "cancel",
        "Commit": "commit",
        "ChangePit": "point",
        "SwitchProtection": "turn",
        "DisableProtection": "disable",
        "CompleteMigration": "migrate",
        "RepairReplication": "repair",
    }
    for profile, state in CELLS:
        put_into(sites[profile], state)
        listed = {names[name] for name in sites[profile].get(sites[profile].item("web"))["properties"]["allowedOperations"]}
        allowed = {column for column in CALLS if TABLES[profile][state, column] == "+"}
        assert listed == allowed - {"agent", "move"}, (profile, state)


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
