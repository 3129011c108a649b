"""What is refused on the way: enable, failover, reprotect, failback. A refusal leaves everything as it was."""

from typing import Any

import pytest
from scripted_components import Silence
from scripted_site import Site, failback_body, failover_body


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"targetAzureNetworkId": "/subscriptions/x/nothing"}, "TargetNetworkMissing"),  # TOP-001
        ({"targetAzureSubnetId": "other"}, "TargetNetworkMissing"),
        ({"storageAccountId": "/subscriptions/x/nothing"}, "TargetStorageAccountMissing"),
        ({"targetAzureVmName": "web_01"}, "TargetNameInvalid"),  # CFG-006
        ({"instanceType": "InMageRcm"}, "ScenarioNotSupported"),
    ],
)
def test_enable_names_what_is_missing(site: Site, change: dict[str, Any], code: str) -> None:
    assert site.code("PUT", site.item("web"), site.enable_body("web", **change)) == code
    assert site.request("GET", site.item("web"))[0] == 404
    assert "protect" not in site.server.kinds()


def test_target_has_to_be_in_the_vaults_region(site: Site) -> None:
    """TOP-002."""
    body = {
        "location": "eastus",
        "properties": {
            "addressSpace": {"addressPrefixes": ["10.9.0.0/16"]},
            "subnets": [{"name": "default", "properties": {"addressPrefix": "10.9.0.0/24"}}],
        },
    }
    site.good("PUT", site.net("far"), body)
    assert (
        site.code("PUT", site.item("web"), site.enable_body("web", targetAzureNetworkId=site.net("far")))
        == "TargetNetworkRegionMismatch"
    )


def test_policy_has_to_be_mapped(site: Site) -> None:
    """POL-003, POL-004, DIS-004."""
    given = {"instanceType": "InMageAzureV2", "multiVmSyncStatus": "Enable"}
    site.good("PUT", site.policy("loose"), {"properties": {"providerSpecificInput": given}})
    body = site.enable_body("web")
    body["properties"]["policyId"] = site.policy("loose")
    assert site.code("PUT", site.item("web"), body) == "78253"
    site.good("DELETE", site.policy("loose"))
    assert site.code("DELETE", site.policy("fwd")) == "ObjectInUse"
    site.enable("web")
    assert site.code("DELETE", f"{site.container}/replicationProtectionContainerMappings/map-fwd") == "ObjectInUse"
    assert site.code("PUT", site.item("other"), site.enable_body("web")) == "MachineAlreadyProtected"
    assert site.code("POST", f"{site.fabric}/remove") == "ObjectInUse"


@pytest.mark.parametrize(
    "wrong", [{"recoveryPointHistory": 21601}, {"appConsistentFrequencyInMinutes": 600, "recoveryPointHistory": 300},
              {"crashConsistentFrequencyInMinutes": 0}, {"multiVmSyncStatus": "Maybe"}]
)  # fmt: skip
def test_policy_limits(site: Site, wrong: dict[str, Any]) -> None:
    """RPT-002, RPT-006."""
    given = {"instanceType": "InMageAzureV2", "multiVmSyncStatus": "Enable", **wrong}
    assert site.code("PUT", site.policy("bad"), {"properties": {"providerSpecificInput": given}}) == "PolicyInvalid"
    assert site.request("GET", site.policy("bad"))[0] == 404


def test_policy_keys_by_provider(site: Site) -> None:
    """POL-006, MVM-004."""
    forward = site.get(site.policy("fwd"))["properties"]["providerSpecificDetails"]
    back = site.get(site.policy("back"))["properties"]["providerSpecificDetails"]
    assert (forward["crashConsistentFrequencyInMinutes"], forward["multiVmSyncStatus"]) == (5, "Enabled")
    assert "crashConsistentFrequencyInMinutes" not in back
    site.good(
        "PATCH",
        site.policy("fwd"),
        {"properties": {"replicationProviderSettings": {"instanceType": "InMageAzureV2", "recoveryPointThresholdInMinutes": 7}}},
    )
    assert site.get(site.policy("fwd"))["properties"]["providerSpecificDetails"]["recoveryPointThresholdInMinutes"] == 7


def test_failed_enable_can_only_be_disabled(site: Site) -> None:
    """DSB-005, ERR-001."""
    mend = site.server.refuse("protect", "push-install-failed", "95107")
    assert site.code("PUT", site.item("web"), site.enable_body("web")) == "95107"
    failed = site.get(site.item("web"))["properties"]
    assert (failed["protectionState"], failed["allowedOperations"]) == ("EnablingFailed", ["DisableProtection"])
    mend()
    site.good("POST", f"{site.item('web')}/remove", {"properties": {}})
    assert site.request("GET", site.item("web"))[0] == 404
    site.enable("web")


def test_failover_needs_no_site(site: Site) -> None:
    """FO-003, FO-004."""
    site.enable("web")
    site.server.alive = False
    site.clock.wait(3600.0)
    cut = site.get(site.item("web"))["properties"]
    assert (cut["protectionState"], cut["replicationHealth"]) == ("Protected", "Critical")
    assert "ConfigurationServerDisconnected" in [error["errorCode"] for error in cut["healthErrors"]]
    site.fail_over("web", shutdown=True)
    (job,) = site.jobs("UnplannedFailover")
    assert [task["stateDescription"] for task in job["properties"]["tasks"]] == [
        "Completed",
        "Skipped",
        "Skipped",
        "Completed",
        "Completed",
    ]
    site.commit("web")
    assert site.code("POST", f"{site.item('web')}/reProtect", site.reverse_body()) == "ConfigurationServerDisconnected"  # RPR-003
    assert site.code("POST", f"{site.item('web')}/remove", {"properties": {}}) == "ConfigurationServerDisconnected"
    site.good("DELETE", site.item("web"))
    assert site.request("GET", site.item("web"))[0] == 404


def test_shutdown_is_best_effort(site: Site) -> None:
    """FO-012."""
    site.enable("web")
    site.server.refuse("shut-down", "vcenter-unreachable")
    site.fail_over("web", shutdown=True)
    assert site.state("web") == "UnplannedFailoverCommitPendingStatesBegin"


def test_silent_server_delays_only(site: Site) -> None:
    """A server that beats but never reports on `sync` holds the failover up for ten minutes, no longer."""
    site.enable("web")

    def never(given: Any) -> Any:
        raise Silence

    site.server.script["sync"] = never
    began = site.clock.now()
    site.fail_over("web")
    assert 600 <= site.clock.now() - began < 900


def test_failed_failover_leaves_the_machine_protected(site: Site) -> None:
    site.enable("web")
    mend = site.worker.refuse("promote", "no-recovery-point")
    assert site.code("POST", f"{site.item('web')}/unplannedFailover", failover_body()) == "NoRecoveryPoint"
    after = site.get(site.item("web"))["properties"]
    assert (after["protectionState"], after["allowedOperations"][0]) == ("Protected", "UnplannedFailover")
    site.clock.wait(30.0)
    assert site.server.done[-1][0] == "protect", "replication goes on after it had been stopped"
    assert site.server.done[-1][1]["install"] is False
    (failed,) = site.jobs("UnplannedFailover")
    error = failed["properties"]["errors"][0]["serviceErrorDetails"]
    assert (failed["properties"]["state"], error["code"], failed["properties"]["allowedActions"]) == (
        "Failed",
        "NoRecoveryPoint",
        ["Restart"],
    )
    events = site.get(f"{site.vault}/replicationEvents")["value"]
    assert "UnplannedFailover - Failed" in [event["properties"]["description"] for event in events]  # EVT-009
    mend()
    site.good("POST", f"{failed['id']}/restart")  # JOB-005
    assert site.state("web") == "UnplannedFailoverCommitPendingStatesBegin"
    assert {job["properties"]["state"] for job in site.jobs("UnplannedFailover")} == {"Failed", "Succeeded"}


def test_cancelled_failover_ends_replication(site: Site) -> None:
    """FO-018, JOB-006."""
    site.enable("web")
    _, _, headers = site.request("POST", f"{site.item('web')}/unplannedFailover", failover_body())
    job = headers["x-ms-request-id"]
    site.clock.wait(8.0)
    site.good("POST", f"{job}/cancel")
    site.clock.wait(120.0)
    assert site.get(job)["properties"]["state"] == "Cancelled"
    cancelled = site.get(site.item("web"))["properties"]
    assert cancelled["allowedOperations"] == ["DisableProtection"]
    assert site.world.running == set()
    assert site.server.kinds()[-1] == "stop"
    assert site.code("POST", f"{job}/cancel") == "JobActionNotAllowed"


def test_points_by_id(site: Site) -> None:
    """FO-010, FO-017."""
    site.enable("web", "app")
    site.clock.wait(900.0)
    points = site.get(f"{site.item('web')}/recoveryPoints")["value"]
    assert [point["properties"]["recoveryPointTime"] for point in points] == sorted(
        (point["properties"]["recoveryPointTime"] for point in points), reverse=True
    )
    foreign = site.get(f"{site.item('app')}/recoveryPoints")["value"][0]["id"]
    assert (
        site.code("POST", f"{site.item('web')}/unplannedFailover", failover_body(recoveryPointId=foreign))
        == "RecoveryPointUnknown"
    )
    site.fail_over("web", recoveryPointId=points[0]["id"])
    assert not {"sync", "settle"} & set(site.server.kinds() + site.worker.kinds())
    site.good(
        "POST",
        f"{site.item('web')}/applyRecoveryPoint",
        {"properties": {"recoveryPointId": points[-1]["id"], "providerSpecificDetails": {"instanceType": "InMageAzureV2"}}},
    )
    changed = site.get(site.item("web"))["properties"]
    assert changed["failoverRecoveryPointId"] == points[-1]["id"]
    assert changed["protectionState"] == "UnplannedFailoverCommitPendingStatesBegin"
    assert [what for _, what, _ in site.world.log] == ["start", "kill", "deleted", "start"]
    assert len(site.worker.blobs) == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"processServerId": ""}, "ProcessServerMissing"),
        ({"masterTargetId": ""}, "78022"),
        ({"retentionDrive": ""}, "RetentionVolumeMissing"),
        ({"profileId": "fwd"}, "PolicyKindMismatch"),  # RPR-004
        ({"instanceType": "InMageAzureV2"}, "InvalidInput"),
    ],
)
def test_reprotect_needs(site: Site, change: dict[str, Any], code: str) -> None:
    site.enable("web")
    site.fail_over("web")
    assert site.code("POST", f"{site.item('web')}/reProtect", site.reverse_body()) == "FailoverNotCommitted"
    site.commit("web")
    if "profileId" in change:
        change = {"profileId": site.policy(change["profileId"])}
    assert site.code("POST", f"{site.item('web')}/reProtect", site.reverse_body(**change)) == code
    assert site.state("web") == "UnplannedFailoverCommitted"


def lasting(site: Site, item: str) -> dict[str, Any]:
    """The item without what each heartbeat brings anew."""
    properties = site.get(item)["properties"]
    return {name: value for name, value in properties.items() if name != "providerSpecificDetails"}


def test_what_components_find_fails_the_job(site: Site) -> None:
    """RPR-005, RPR-007, RPR-012, ERR-005: the job fails with the code, the item stays committed, the repaired retry works."""
    site.enable("web")
    site.fail_over("web")
    site.commit("web")
    item = site.item("web")
    for reason, code, said in (("snapshot-present", "SnapshotPresent", ""), ("disk-uuid-disabled", "DiskUuidDisabled", ""),
                               ("agent-unreachable", "95226", "95226"), ("who-knows", "559", "")):  # fmt: skip
        before = lasting(site, item)
        mend = site.server.refuse("prepare-reverse", reason, said)
        assert site.code("POST", f"{item}/reProtect", site.reverse_body()) == code
        assert lasting(site, item) == before
        mend()
    vm = f"{site.group}/providers/Microsoft.Compute/virtualMachines/web-az"
    site.good("POST", f"{vm}/powerOff?api-version=2024-07-01")
    assert site.code("POST", f"{item}/reProtect", site.reverse_body()) == "78093"
    site.good("POST", f"{vm}/start?api-version=2024-07-01")
    mend = site.server.refuse("protect-reverse", "master-target-missing")
    assert site.code("POST", f"{item}/reProtect", site.reverse_body()) == "78022"
    assert site.get(item)["properties"]["policyId"].endswith("fwd")
    mend()
    site.to_reverse_protected("web")
    assert site.code("POST", f"{item}/unplannedFailover", failback_body(recoveryPointType="LatestTag")) == "NoRecoveryPoint"
    mend = site.server.refuse("fail-back", "disk-detach-failed")
    assert site.code("POST", f"{item}/unplannedFailover", failback_body(recoveryPointType="LatestTime")) == "DiskDetachFailed"
    assert site.world.running == {"web-az"}, "it goes on in Azure"
    assert site.state("web") == "Protected"
    mend()
    site.good("POST", f"{item}/unplannedFailover", failback_body(recoveryPointType="LatestTime"))


def test_complete_migration(site: Site) -> None:
    """FO-020, DSB-004."""
    site.enable("web")
    site.fail_over("web")
    site.good("POST", f"{site.item('web')}/remove", {"properties": {"disableProtectionReason": "MigrationComplete"}})
    assert site.request("GET", site.item("web"))[0] == 404
    assert site.world.running == {"web-az"}


def test_manual_resynchronization(site: Site) -> None:
    """REP-013, REP-015, EVT-003."""
    site.enable("web")
    assert site.code("POST", f"{site.item('web')}/repairReplication") == "ResyncNotRequired"
    (state,) = site.server.machines.values()
    state["extra"] = {"resyncRequired": True, "symptoms": ["cache-full"]}
    site.clock.wait(60.0)
    needed = site.get(site.item("web"))["properties"]
    assert needed["allowedOperations"][0] == "RepairReplication"
    assert {"324510", "78188"} <= {error["errorCode"] for error in needed["healthErrors"]}
    assert needed["replicationHealth"] == "Critical"
    site.good("POST", f"{site.item('web')}/repairReplication")
    assert site.server.kinds()[-1] == "resynchronize"
    state["extra"] = {}
    site.clock.wait(60.0)
    assert site.get(site.item("web"))["properties"]["replicationHealth"] == "Normal"
    events = [event["properties"]["description"] for event in site.get(f"{site.vault}/replicationEvents")["value"]]
    assert events[:2] == ["Replication health changed to OK.", "Replication health changed to Critical."]


def test_rpo_threshold_raises_only_an_event(site: Site) -> None:
    """RPT-009, RPT-010, EVT-004."""
    site.enable("web")
    (state,) = site.server.machines.values()
    state["extra"] = {"rpoSeconds": 901}
    site.clock.wait(60.0)
    late = site.get(site.item("web"))["properties"]
    assert late["providerSpecificDetails"]["rpoInSeconds"] >= 901
    assert (late["replicationHealth"], late["protectionState"]) == ("Warning", "Protected")
    site.worker.alive = False
    state["extra"] = {}
    site.clock.wait(3700.0)
    still = site.get(site.item("web"))["properties"]
    assert [error["errorCode"] for error in still["healthErrors"] if error["errorCategory"] == "Replication"] == ["325091"]
