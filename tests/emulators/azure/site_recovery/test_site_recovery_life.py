"""The whole life of a protected machine over plain JSON calls, in virtual time."""

from typing import Any

from scripted_site import Site, failback_body


def test_whole_circle(site: Site) -> None:
    item = site.item("web")
    assert site.request("GET", item)[0] == 404
    site.good("PUT", item, site.enable_body("web"))
    first = site.get(item)["properties"]
    assert (first["protectionState"], first["allowedOperations"]) == ("InitialReplicationInProgress", ["DisableProtection"])
    site.enable("app")
    protected = site.reach("web", "Protected")
    assert protected["allowedOperations"] == ["UnplannedFailover", "DisableProtection", "TestFailover"]
    assert protected["failoverHealth"] == "Warning"
    assert [error["errorCode"] for error in protected["healthErrors"]] == ["161011"]
    points = site.get(f"{item}/recoveryPoints")["value"]
    assert points

    drill_then_clean_up(site, item)
    fail_over_and_commit(site, item)
    back_and_home(site, item)
    circle = [kind for kind, given in site.worker.done if given.get("machineId") == protected["providerSpecificDetails"]["vmId"]]
    assert circle == ["replicate", "promote", "settle", "promote", "commit", "replicate"]
    assert not site.worker.blobs, "every promoted disk is gone again"
    assert not site.azure.arm.store.of_type("Microsoft.Compute/virtualMachines")


def drill_then_clean_up(site: Site, item: str) -> None:
    points = site.get(f"{item}/recoveryPoints")["value"]
    body = {
        "properties": {
            "failoverDirection": "PrimaryToRecovery",
            "networkType": "VmNetworkAsInput",
            "networkId": site.net("testnet"),
            "providerSpecificDetails": {"instanceType": "InMageAzureV2", "recoveryPointId": points[-1]["id"]},
        }
    }
    site.good("POST", f"{item}/testFailover", body)
    waiting = site.get(item)["properties"]
    assert (waiting["protectionState"], waiting["protectionStateDescription"]) == ("Protected", "Cleanup test failover pending")
    assert (waiting["testFailoverState"], waiting["allowedOperations"]) == ("WaitingForCompletion", ["TestFailoverCleanup"])
    assert waiting["currentScenario"]["scenarioName"] == "TestFailover"
    assert site.world.running == {"web-az-test"}
    (job,) = site.jobs("TestFailover")
    assert (job["properties"]["state"], job["properties"]["allowedActions"]) == ("Suspended", ["Cancel", "Resume"])
    details = job["properties"]["customDetails"]["protectedItemDetails"][0]
    assert (details["recoveryPointId"], details["subnet"]) == (points[-1]["id"], "a")
    site.good("POST", f"{item}/testFailoverCleanup", {"properties": {"comments": "fine"}})
    after = site.get(item)["properties"]
    assert after["testFailoverState"] == "MarkedForDeletion"
    assert after["failoverHealth"] == "Normal"
    assert "lastSuccessfulTestFailoverTime" in after
    (job,) = site.jobs("TestFailover")
    assert (job["properties"]["state"], job["properties"]["customDetails"]["comments"]) == ("Succeeded", "fine")
    assert site.world.running == set()


def fail_over_and_commit(site: Site, item: str) -> None:
    site.fail_over("web", shutdown=True)
    assert [kind for kind in site.server.kinds() if kind in ("shut-down", "sync", "stop")] == ["shut-down", "sync", "stop"]
    over = site.get(item)["properties"]
    assert over["protectionState"] == "UnplannedFailoverCommitPendingStatesBegin"
    assert (over["activeLocation"], over["allowedOperations"]) == (
        "Recovery",
        ["CompleteMigration", "Commit", "DisableProtection", "ChangePit"],
    )
    assert site.world.running == {"web-az"}
    settled = next(given for kind, given in reversed(site.worker.done) if kind == "settle")
    assert (settled["upToSequence"], settled["makePoint"]) == (700, True), (
        "Latest: all that was received, as a new point"
    )  # FO-005
    newest = site.get(f"{item}/recoveryPoints")["value"][0]["id"]
    assert over["failoverRecoveryPointId"] == newest
    site.commit("web")
    assert site.state("web") == "UnplannedFailoverCommitted"
    assert site.get(f"{item}/recoveryPoints")["value"] == []
    assert site.code("POST", f"{item}/failoverCommit") == "FailoverAlreadyCommitted"


def back_and_home(site: Site, item: str) -> None:
    site.good("POST", f"{item}/reProtect", site.reverse_body())
    copying = site.get(item)["properties"]
    assert (copying["protectionState"], copying["activeLocation"]) == ("InitialReplicationInProgress", "Primary")
    assert copying["providerSpecificDetails"]["instanceType"] == "InMage"
    assert copying["recoveryFabricId"] == site.fabric
    assert site.code("POST", f"{item}/unplannedFailover", failback_body(recoveryPointType="LatestTime")) == "NoRecoveryPoint"
    (job,) = site.jobs("SwitchReplicationGroupProtection")
    assert job["properties"]["customDetails"]["newReplicationProtectedItemId"] == item.replace(
        "/Subscriptions/", "/subscriptions/"
    )
    tasks = job["properties"]["tasks"]
    assert [(task["taskId"], task["state"]) for task in tasks][:2] == [
        ("SwitchReplicationGroupProtectionPreflightTask", "Succeeded"),
        ("CommitFailoverTask", "Other"),
    ]
    child = tasks[4]["groupTaskCustomDetails"]["childTasks"][0]
    assert site.get(child["customDetails"]["jobTask"]["jobId"])["properties"]["scenarioName"] == "EnableDr"
    site.clock.wait(65.0)
    assert site.state("web") == "InitialReplicationInProgress", "a heartbeat came, the copy has not ended"
    ready = site.reach("web", "Protected")
    assert ready["allowedOperations"] == ["UnplannedFailover", "DisableProtection"]
    site.good("POST", f"{item}/unplannedFailover", failback_body(recoveryPointType="LatestTime"))
    assert site.world.running == set()
    assert [what for _, what, name in site.world.log if name == "web-az"] == ["start", "stop"]
    home = site.get(item)["properties"]
    assert (home["activeLocation"], home["allowedOperations"]) == ("Recovery", ["Commit", "DisableProtection"])
    assert site.get(f"{site.group}/providers/Microsoft.Compute/virtualMachines/web-az?api-version=2024-07-01")
    site.commit("web")
    assert site.server.kinds()[-1] == "commit-reverse"
    done = site.get(item)["properties"]
    assert done["allowedOperations"] == ["CompleteMigration", "DisableProtection", "SwitchProtection"]
    assert done["providerSpecificDetails"]["activeSiteType"] == "OnPrem"
    site.good("POST", f"{item}/reProtect", site.forward_body())
    assert site.worker.done[-1][1]["keepReplica"] is True
    assert site.server.done[-1][1]["generation"] == 3
    assert site.get(f"{item}/recoveryPoints")["value"] == []
    again = site.reach("web", "Protected")
    assert again["providerSpecificDetails"]["instanceType"] == "InMageAzureV2"


def test_same_seed_same_events() -> None:
    def events() -> list[Any]:
        made = Site(seed=5).set_up()
        made.enable("web")
        made.fail_over("web")
        made.close()
        return list(made.events)

    assert events() == events()
