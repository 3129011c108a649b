"""The modernized circle over plain calls: states, policies, points, jobs and their tasks as recorded."""

from collections.abc import Iterator
from typing import Any

import pytest
from scripted_appliance import ModernSite, planned_body
from scripted_components import MACHINES
from scripted_site import Site, failover_body

#: Job scenarios that were seen in recordings (JOB-009).
SEEN = {
    "EnableDr", "PrimaryIrCompletion", "SecondaryIrCompletion", "AddProtectionProfile", "AssociateProtectionProfile",
    "UnplannedFailover", "CommitFailover", "SwitchReplicationGroupProtection", "PlannedFailover", "CancelFailover", "DisableDr",
}  # fmt: skip
#: Words of jobs and tasks, and their descriptions (JOB-002).
STATES = {
    "NotStarted": {"NotStarted"},
    "InProgress": {"InProgress"},
    "Succeeded": {"Completed", "PartiallySucceeded", "CompletedWithInformation"},
    "Failed": {"Failed"},
    "Cancelled": {"Cancelled"},
    "Other": {"Skipped"},
}


@pytest.fixture
def modern() -> Iterator[ModernSite]:
    made = ModernSite()
    made.set_up()
    made.enable("web")
    yield made
    made.close()


def item(site: Site) -> Any:
    return site.get(site.item("web"))["properties"]


def test_the_item_keeps_its_name_and_remembers_its_policy(modern: ModernSite) -> None:
    """RPR-024, POL-008."""
    forward = item(modern)
    modern.fail_over("web")
    modern.commit("web")
    modern.to_reverse_protected("web")
    back = item(modern)
    assert back["policyFriendlyName"] == "crashconsistency-policy-failback"
    details = back["providerSpecificDetails"]
    assert (details["instanceType"], details["lastUsedPolicyFriendlyName"]) == ("InMageRcmFailback", "fwd")
    assert details["lastUsedPolicyId"] == forward["policyId"]
    assert (details["targetDataStoreName"], details["reprotectAgentId"]) == ("ds1", "id-appliance-1")
    assert details["azureVirtualMachineId"].endswith("/virtualMachines/web-az")
    assert (back["activeLocation"], back["primaryFabricProvider"]) == ("Primary", "InMageRcmFabric")
    assert back["recoveryFabricId"] == modern.fabric
    assert details["internalIdentifier"] == forward["providerSpecificDetails"]["internalIdentifier"]


def test_a_planned_failover_is_cancelled(modern: ModernSite) -> None:
    """FB-008: tasks as recorded; before, another failure takes itself back."""
    modern.fail_over("web")
    modern.commit("web")
    modern.to_reverse_protected("web")
    undo = modern.server.refuse("fail-back", "power-on-failed", "8038")
    assert modern.code("POST", f"{modern.item('web')}/plannedFailover", planned_body()) == "8038"
    undo()
    assert "cancel-failback" in modern.server.kinds()
    assert item(modern)["allowedOperations"] == ["PlannedFailover", "DisableProtection"]
    assert item(modern)["providerSpecificDetails"]["lastPlannedFailoverStatus"] == "Failed"
    modern.good("POST", f"{modern.item('web')}/plannedFailover", planned_body(recoveryPointType="CrashConsistent"))
    assert item(modern)["allowedOperations"][-1] == "CancelFailover"
    modern.good("POST", f"{modern.item('web')}/failoverCancel")
    (job,) = modern.jobs("CancelFailover")
    assert [(task["taskId"], task["name"]) for task in job["properties"]["tasks"]] == [
        ("CancelFailoverPreflightChecksTask", "CancelFailoverPreflightChecksTask"),
        ("CancelFailoverRecovery", "CancelFailoverRecovery"),
        ("CancelFailoverPrimary", "CancelFailoverPrimaryTask"),
        ("StartVmOnPrimary", "StartVmOnPrimary"),
    ]
    shown = item(modern)
    assert (shown["protectionState"], shown["replicationHealth"]) == ("Protected", "Normal")
    assert [(error["errorCode"], error["errorLevel"]) for error in shown["healthErrors"]] == [("548004", "Info")]


def test_a_plan_cancels_the_failback_of_all_its_machines(modern: ModernSite) -> None:
    """FB-008, PLAN-014."""
    boot = {"groupType": "Boot", "replicationProtectedItems": [{"id": modern.item("web")}]}
    plan = {"primaryFabricId": modern.fabric, "recoveryFabricId": "Microsoft Azure", "groups": [boot]}
    modern.good("PUT", modern.plan, {"properties": plan})
    assert modern.code("POST", f"{modern.plan}/failoverCancel") == "CancelFailoverUnsupported"  # FO-018
    modern.good("POST", f"{modern.plan}/unplannedFailover", {"properties": {"failoverDirection": "PrimaryToRecovery"}})
    modern.good("POST", f"{modern.plan}/failoverCommit")
    modern.good("POST", f"{modern.plan}/reProtect")
    modern.reach("web", "Protected")
    modern.good("POST", f"{modern.plan}/plannedFailover", {"properties": {"failoverDirection": "RecoveryToPrimary"}})
    assert "CancelFailover" in modern.get(modern.plan)["properties"]["allowedOperations"]
    modern.good("POST", f"{modern.plan}/failoverCancel")
    assert item(modern)["protectionState"] == "Protected"


def test_words_of_jobs_and_tasks(modern: ModernSite) -> None:
    """JOB-002, JOB-009."""
    modern.request("POST", f"{modern.item('web')}/unplannedFailover", failover_body(instanceType=modern.FORWARD))
    seen: set[str] = set()
    for _ in range(60):
        modern.clock.wait(2.0)
        for listed in modern.get(f"{modern.vault}/replicationJobs")["value"]:
            job = modern.get(listed["id"])["properties"]
            seen.add(job["scenarioName"] or "EnableDr")
            for one in (job, *job["tasks"]):
                assert one["stateDescription"] in STATES[one["state"]]
    assert seen <= SEEN
    assert "UnplannedFailover" in seen


def test_latest_with_nothing_waiting_makes_no_new_point(modern: ModernSite) -> None:
    """FO-006: the worker says which point it is; it is one that was there."""
    newest = modern.get(f"{modern.item('web')}/recoveryPoints")["value"][0]
    replica = modern.worker.replicas[MACHINES["web"]]
    modern.worker.script["settle"] = lambda given: {
        "pointId": replica["points"][-1]["pointId"],
        "time": newest["properties"]["recoveryPointTime"],
    }
    modern.fail_over("web")
    assert item(modern)["failoverRecoveryPointId"] == newest["id"]
    assert len(modern.get(f"{modern.item('web')}/recoveryPoints")["value"]) == len(replica["points"])
