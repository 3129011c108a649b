"""Recovery plans: what may be in one, the order of a run, manual actions, and replication groups."""

from typing import Any

import pytest
from scripted_components import MACHINES
from scripted_site import Site

Json = dict[str, Any]


def group(site: Site, *names: str, before: tuple[Json, ...] = (), after: tuple[Json, ...] = ()) -> Json:
    items = [{"id": site.item(name), "virtualMachineId": name} for name in names]
    return {
        "groupType": "Boot",
        "replicationProtectedItems": items,
        "startGroupActions": list(before),
        "endGroupActions": list(after),
    }


def manual(name: str, *kinds: str) -> Json:
    return {
        "actionName": name,
        "failoverTypes": list(kinds or ("UnplannedFailover", "TestFailover")),
        "failoverDirections": ["PrimaryToRecovery"],
        "customDetails": {"instanceType": "ManualActionDetails", "description": "check it"},
    }


def plan_body(site: Site, *groups: Json) -> Json:
    return {
        "properties": {
            "primaryFabricId": site.fabric,
            "recoveryFabricId": "Microsoft Azure",
            "failoverDeploymentModel": "ResourceManager",
            "groups": list(groups),
        }
    }


def run_body(kind: str = "Latest", *, shutdown: bool = True, **more: Any) -> Json:
    details = [{"instanceType": "InMageAzureV2", "recoveryPointType": kind, **more}]
    operations = "Required" if shutdown else "NotRequired"
    return {
        "properties": {
            "failoverDirection": "PrimaryToRecovery",
            "sourceSiteOperations": operations,
            "providerSpecificDetails": details,
        }
    }


def back_body() -> Json:
    details = [{"instanceType": "InMage", "recoveryPointType": "LatestTime"}]
    return {
        "properties": {
            "failoverDirection": "RecoveryToPrimary",
            "sourceSiteOperations": "NotRequired",
            "providerSpecificDetails": details,
        }
    }


@pytest.fixture
def planned(site: Site) -> Site:
    """db and app share a group; the plan starts db, then app, then web, with a manual action before web."""
    site.enable("db", "app", group="shop")
    site.enable("web")
    site.plan = f"{site.vault}/replicationRecoveryPlans/shop"
    site.good(
        "PUT",
        site.plan,
        plan_body(site, group(site, "db"), group(site, "app"), group(site, "web", before=(manual("switch-dns"),))),
    )
    return site


def test_shape(planned: Site) -> None:
    """PLAN-001, PLAN-014; asr-wire section 12."""
    plan = planned.get(planned.plan)["properties"]
    assert [one["groupType"] for one in plan["groups"]] == ["Shutdown", "Failover", "Boot", "Boot", "Boot"]
    assert plan["groups"][2]["replicationProtectedItems"] == [{"id": planned.item("db"), "virtualMachineId": "db"}]
    assert (plan["allowedOperations"], plan["replicationProviders"]) == (["UnplannedFailover", "TestFailover"], ["InMageAzureV2"])
    assert (plan["currentScenario"]["scenarioName"], plan["currentScenarioStatus"]) == ("None", None)
    (thin,) = planned.get(f"{planned.vault}/replicationRecoveryPlans")["value"]
    assert thin["properties"]["groups"] == []
    found = planned.get(f"{planned.vault}/replicationProtectedItems?$filter=RecoveryPlanName%20eq%20'shop'")["value"]
    assert [item["name"] for item in found] == ["db", "app", "web"]
    planned.good("PATCH", planned.plan, {"properties": {"groups": [group(planned, "web")]}})
    assert len(planned.get(planned.plan)["properties"]["groups"]) == 3
    planned.good("DELETE", planned.plan)
    assert planned.request("GET", planned.plan)[0] == 404


def test_what_may_be_in_a_plan(planned: Site) -> None:
    """PLAN-002, PLAN-003, PLAN-004, PLAN-016."""
    other = f"{planned.vault}/replicationRecoveryPlans/other"
    assert (
        planned.code("PUT", other, plan_body(planned, group(planned, "web"), group(planned, "web")))
        == "RecoveryPlanGroupConflict"
    )
    assert planned.code("PUT", other, plan_body(planned, *[group(planned) for _ in range(8)])) == "RecoveryPlanTooLarge"
    assert planned.code("PUT", other, plan_body(planned, group(planned, "nobody"))) == "RecoveryPlanInvalid"
    body = plan_body(planned, group(planned, "web"))
    body["properties"]["primaryFabricId"] = "elsewhere"
    assert planned.code("PUT", other, body) == "RecoveryPlanInvalid"
    bad = {**manual("x"), "customDetails": {"instanceType": "Nothing"}}
    assert planned.code("PUT", other, plan_body(planned, group(planned, "web", before=(bad,)))) == "RecoveryPlanInvalid"
    assert planned.code("POST", f"{planned.plan}/plannedFailover", run_body()) == "FailoverKindUnsupported"
    assert planned.code("POST", f"{planned.plan}/unplannedFailover", run_body("Custom")) == "CustomPointInPlan"  # PLAN-013
    assert planned.code("POST", f"{planned.plan}/failoverCommit") == "NotFailedOver"


def test_run_in_order(planned: Site) -> None:
    """PLAN-005, PLAN-006, PLAN-008."""
    _, _, headers = planned.request("POST", f"{planned.plan}/unplannedFailover", run_body())
    job = headers["x-ms-request-id"]
    assert planned.until(lambda: planned.get(job)["properties"]["state"] == "Suspended", seconds=3600.0)
    assert planned.world.running == {"db-az", "app-az"}
    planned.clock.wait(1800.0)
    waiting = planned.get(job)["properties"]
    assert (waiting["state"], waiting["allowedActions"]) == ("Suspended", ["Cancel", "Resume"])
    action = next(task for task in waiting["tasks"] if task["taskType"] == "ManualActionTaskDetails")
    assert (action["state"], action["customDetails"]["instructions"]) == ("InProgress", "check it")
    assert planned.world.running == {"db-az", "app-az"}, "nobody has confirmed"
    assert planned.get(planned.plan)["properties"]["currentScenarioStatus"] == "Suspended"
    assert planned.code("POST", f"{planned.item('web')}/unplannedFailover", {"properties": {}}) == "OperationInProgress"
    planned.good("POST", f"{job}/resume", {"properties": {"comments": "dns switched"}})
    assert planned.until(lambda: planned.get(headers["azure-asyncoperation"])["status"] == "Succeeded", seconds=600.0)
    ended = planned.get(job)["properties"]
    assert ended["state"] == "Succeeded"
    assert [task["friendlyName"] for task in ended["tasks"]] == [
        "Prerequisites check for the recovery plan",
        "All groups shutdown",
        "All groups failover",
        "Group 1: start",
        "Group 2: start",
        "Group 3: pre: switch-dns",
        "Group 3: start",
    ]
    observation = next(task for task in ended["tasks"] if task["taskType"] == "ManualActionTaskDetails")["customDetails"][
        "observation"
    ]
    assert observation == "dns switched"
    children = ended["tasks"][2]["groupTaskCustomDetails"]["childTasks"]
    assert [child["name"] for child in children] == ["db", "app", "web"]
    assert planned.get(children[0]["customDetails"]["jobTask"]["jobId"])["properties"]["state"] == "Succeeded"
    order = [(kind, event["work"]) for _, kind, _, event in planned.events if kind == "work"]
    first_promote = order.index(("work", "promote"))
    assert [kind for _, kind in order[:first_promote]].count("shut-down") == 3, "all sources go down before anything fails over"
    starts = [(when, name) for when, what, name in planned.world.log if what == "start"]
    assert [name for _, name in starts] == ["db-az", "app-az", "web-az"]
    assert [
        item["properties"]["protectionState"] for item in planned.get(f"{planned.vault}/replicationProtectedItems")["value"]
    ] == ["UnplannedFailoverCommitPendingStatesBegin"] * 3


def test_group_machines_start_together(site: Site) -> None:
    site.enable("web", "app")
    plan = f"{site.vault}/replicationRecoveryPlans/both"
    site.good("PUT", plan, plan_body(site, group(site, "web", "app")))
    site.good("POST", f"{plan}/unplannedFailover", run_body(shutdown=False))
    (first, _, _), (second, _, _) = [entry for entry in site.world.log if entry[1] == "start"]
    assert abs(first - second) <= 2.0
    assert "shut-down" not in site.server.kinds()


def test_whole_circle_of_a_replication_group(planned: Site) -> None:
    """RPR-020, FB-001, RRP-002: commit, reprotect, fail back, commit, protect again; each for all machines of the plan."""
    run(planned, "unplannedFailover", run_body())
    planned.good("POST", f"{planned.plan}/failoverCommit")
    assert states(planned) == {"UnplannedFailoverCommitted"}
    assert planned.code("POST", f"{planned.plan}/failoverCommit") == "FailoverAlreadyCommitted"
    assert planned.get(planned.plan)["properties"]["allowedOperations"] == ["SwitchProtection"]
    assert planned.code("POST", f"{planned.item('db')}/reProtect", planned.reverse_body()) == "ReplicationGroupNeedsPlan"
    part = f"{planned.vault}/replicationRecoveryPlans/part"
    planned.good("PUT", part, plan_body(planned, group(planned, "db")))
    assert planned.code("POST", f"{part}/reProtect") == "ReplicationGroupIncomplete"
    planned.good("POST", f"{planned.plan}/reProtect")
    reverse = [given for kind, given in planned.server.done if kind == "protect-reverse"]
    assert {(given["processServerId"], given["masterTargetId"], given["retentionVolume"]) for given in reverse} == {
        ("PS-AZ", "MT-1", "R")
    }
    assert reverse[0]["group"]["members"] == reverse[1]["group"]["members"]
    for name in ("db", "app", "web"):
        planned.reach(name, "Protected")
    planned.good("POST", f"{planned.plan}/unplannedFailover", back_body())
    assert planned.world.running == set()
    planned.good("POST", f"{planned.plan}/failoverCommit")
    assert not planned.worker.blobs
    planned.good("POST", f"{planned.plan}/reProtect", planned.forward_body())
    for name in ("db", "app", "web"):
        planned.reach(name, "Protected")
    run(planned, "unplannedFailover", run_body())
    assert planned.world.running == {"db-az", "app-az", "web-az"}


def test_test_failover_of_a_plan(planned: Site) -> None:
    """TFO-014, PLAN-007: sources stay on; the action applies to tests as well here."""
    body = {
        "properties": {
            "failoverDirection": "PrimaryToRecovery",
            "networkType": "VmNetworkAsInput",
            "networkId": planned.net("testnet"),
            "providerSpecificDetails": [{"instanceType": "InMageAzureV2", "recoveryPointType": "LatestProcessed"}],
        }
    }
    job = run(planned, "testFailover", body)
    assert planned.world.running == {"db-az-test", "app-az-test", "web-az-test"}
    assert not {"shut-down", "stop", "sync"} & set(planned.server.kinds())
    assert planned.get(job)["properties"]["stateDescription"] == "WaitingForStopTestFailover"
    assert planned.code("POST", f"{planned.plan}/unplannedFailover", run_body()) == "TestFailoverCleanupPending"
    planned.good("POST", f"{planned.plan}/testFailoverCleanup", {"properties": {"comments": "good"}})
    assert planned.world.running == set()
    assert planned.get(job)["properties"]["state"] == "Succeeded"
    assert states(planned) == {"Protected"}
    assert planned.get(planned.plan)["properties"]["allowedOperations"] == ["UnplannedFailover", "TestFailover"]


def test_shared_points(planned: Site) -> None:
    """FO-011: members go to their newest common point, the others to their own newest."""
    planned.clock.wait(600.0)
    common = max(point["properties"]["recoveryPointTime"] for point in points(planned, "db"))
    planned.clock.wait(60.0)
    planned.worker.point(MACHINES["db"])
    planned.clock.wait(30.0)
    own = planned.worker.point(MACHINES["web"])["time"]
    run(planned, "unplannedFailover", run_body("LatestProcessed", useMultiVmSyncPoint="true"))
    used = {}
    for name in ("db", "app", "web"):
        wanted = planned.get(planned.item(name))["properties"]["failoverRecoveryPointId"]
        used[name] = planned.get(wanted)["properties"]["recoveryPointTime"]
    assert used == {"db": common, "app": common, "web": own}


def test_one_machines_failure_does_not_stop_the_others(planned: Site) -> None:
    """PLAN-012, PLAN-003."""
    promote = planned.worker.script["promote"]

    def picky(given: Json) -> Json:
        if given["machineId"] == MACHINES["app"]:
            return failing(given)
        return promote(given)

    mend = planned.worker.refuse("promote", "no-recovery-point")
    failing = planned.worker.script["promote"]
    planned.worker.script["promote"] = picky
    job = run(planned, "unplannedFailover", run_body())
    ended = planned.get(job)["properties"]
    assert (ended["state"], ended["stateDescription"], len(ended["errors"])) == ("Succeeded", "PartiallySucceeded", 1)
    assert planned.world.running == {"db-az", "web-az"}
    assert planned.state("app") == "Protected"
    mend()
    again = run(planned, "unplannedFailover", run_body())
    tasks = planned.get(again)["properties"]["tasks"]
    skipped = [
        child["name"] for child in tasks[2]["groupTaskCustomDetails"]["childTasks"] if child["stateDescription"] == "Skipped"
    ]
    assert skipped == ["db", "web"]
    assert planned.world.running == {"db-az", "app-az", "web-az"}


def test_cancelled_at_the_manual_action(planned: Site) -> None:
    _, _, headers = planned.request("POST", f"{planned.plan}/unplannedFailover", run_body())
    job = headers["x-ms-request-id"]
    assert planned.until(lambda: planned.get(job)["properties"]["state"] == "Suspended", seconds=3600.0)
    planned.good("POST", f"{job}/cancel")
    planned.clock.wait(60.0)
    assert planned.get(job)["properties"]["state"] == "Cancelled"
    assert planned.state("db") == "UnplannedFailoverCommitPendingStatesBegin", "what had started stays"
    assert planned.get(planned.item("web"))["properties"]["allowedOperations"] == ["DisableProtection"]


def run(site: Site, operation: str, body: Json) -> str:
    """Run the plan and confirm its manual action. Returns the job's id."""
    _, answer, headers = site.request("POST", f"{site.plan}/{operation}", body)
    assert "x-ms-request-id" in headers, answer
    job = headers["x-ms-request-id"]

    def at_action() -> bool:
        return site.get(job)["properties"]["stateDescription"] == "ManualActionPending"

    assert site.until(at_action, seconds=3600.0), site.get(job)
    site.good("POST", f"{job}/resume", {"properties": {"comments": ""}})
    assert site.until(lambda: site.get(headers["azure-asyncoperation"])["status"] != "InProgress", seconds=3600.0)
    assert site.get(headers["azure-asyncoperation"])["status"] == "Succeeded", site.get(job)
    return str(job)


def states(site: Site) -> set[str]:
    return {item["properties"]["protectionState"] for item in site.get(f"{site.vault}/replicationProtectedItems")["value"]}


def points(site: Site, name: str) -> list[Json]:
    found: list[Json] = site.get(f"{site.item(name)}/recoveryPoints")["value"]
    return found
