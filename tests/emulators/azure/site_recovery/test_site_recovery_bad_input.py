"""Every operation with bodies that are wrong in kind, too large, or of another provider: refused, and never a fault."""

import json
from typing import Any

import pytest
from scripted_appliance import ModernSite
from scripted_components import MACHINES
from scripted_site import Site, failover_body

#: Values that stand where something else is wanted.
STRANGE: tuple[Any, ...] = (None, 7, "text", [], [1, "two", None], {"instanceType": 5}, {"instanceType": "A2A"}, True)
#: Fields that operations read, each to be replaced by every strange value.
FIELDS = (
    "customDetails", "customEmailAddresses", "disableProtectionReason", "friendlyName", "groups", "healthErrors", "ipAddress",
    "networkId", "osType", "policyId", "port", "primaryFabricId", "protectableItemId", "providerSpecificDetails",
    "providerSpecificInput", "recoveryPointId", "replicationProviderSettings", "renewCertificateType", "runAsAccountId",
    "sendToOwners", "sourceProcessServerId", "sourceSiteOperations", "targetApplianceId", "targetProcessServerId",
    "targetProtectionContainerId", "updateType", "vmNics", "vmsToMigrate", "vmwareToAzureProviderType", "comments",
)  # fmt: skip


def routes(site: Site) -> list[tuple[str, str]]:
    """Every operation that takes a body, with names of things that are there."""
    names = {
        "fabricName": site.fabric.rpartition("/")[2],
        "containerName": site.container.rpartition("/")[2],
        "itemName": "web",
        "policyName": "fwd",
        "mappingName": "map-fwd",
        "planName": "plan",
        "vCenterName": "vc",
        "providerName": site.get(f"{site.fabric}/replicationRecoveryServicesProviders")["value"][0]["name"],
        "jobName": site.get(f"{site.vault}/replicationJobs")["value"][0]["name"],
        "alertSettingName": "defaultAlertSetting",
        "vaultSettingName": "default",
    }
    found = []
    for endpoint in site.azure.arm.router.endpoints:
        _, below, rest = endpoint.template.partition("/vaults/{vaultName}/replication")
        if not below or endpoint.method not in ("PUT", "POST", "PATCH"):
            continue
        for name in endpoint.names:
            rest = rest.replace("{" + name + "}", names.get(name, "none"))
        found.append((endpoint.method, f"{site.vault}/replication{rest}"))
    return sorted(found)


def bodies() -> list[Any]:
    return [*STRANGE, *({"properties": value} for value in STRANGE), *({"properties": {}},)] + [
        {"properties": {field: value}} for field in FIELDS for value in STRANGE[1:]
    ]


@pytest.mark.parametrize("kind", [Site, ModernSite])
def test_no_body_makes_a_fault(kind: type[Site]) -> None:
    site = kind()
    site.set_up()
    site.enable("web")
    plan = {"primaryFabricId": site.fabric, "recoveryFabricId": "Microsoft Azure", "groups": [
        {"groupType": "Boot", "replicationProtectedItems": [{"id": site.item("web")}]}]}  # fmt: skip
    site.good("PUT", site.plan, {"properties": plan})
    item = site.recovery.service.item_at(site.item("web"))
    assert item is not None
    keepers = ("remove", "cancel", "restart", "resume")  # they need no body and would end what is tried on
    for method, path in routes(site):
        if path.rpartition("/")[2] in keepers:
            continue
        for body in bodies():
            status, answer, _ = site.request(method, path, body)
            assert status < 500, (method, path, body, answer)
            if status >= 400:
                assert answer["error"]["code"], (method, path, body)
                assert answer["error"]["message"], (method, path, body)
            else:
                _quiet(site, item)
    assert site.azure.faults == []
    site.close()


def _quiet(site: Site, item: Any) -> None:
    """Let go what a call started: the next one is to be judged by its body alone."""
    for vault in site.recovery.service.vaults.values():
        for job in vault.jobs.values():
            job.cancel_asked = True
    site.clock.wait(40.0)
    item.state, item.job, item.test_job = "protected", None, None


@pytest.mark.parametrize("size", [5 << 20, 50 << 20])
def test_bodies_of_many_megabytes(site: Site, size: int) -> None:
    headers = {"Authorization": f"Bearer {site._token}", "Content-Type": "application/json"}
    url = f"https://management.drillbed{site.item('web')}?api-version=2024-04-01"
    reply = site.operator.request("PUT", url, headers=headers, body=b'{"a":"' + b"x" * size + b'"}')
    assert (reply.status, json.loads(reply.body)["error"]["code"]) == (413, "RequestContentTooLarge")
    site.enable("web")


def test_two_at_once_on_one_machine(site: Site) -> None:
    """JOB-008: of two calls at the same instant one starts, the other is refused; the machine is usable afterwards."""
    first = site.request("PUT", site.item("web"), site.enable_body("web"))
    second = site.request("PUT", site.item("web"), site.enable_body("web"))
    third = site.request("PUT", site.item("other"), {"properties": {**site.enable_body("web")["properties"]}})
    assert [first[0], second[0], third[0]] == [202, 409, 400]
    assert third[1]["error"]["details"][0]["code"] == "MachineAlreadyProtected"
    site.reach("web", "Protected")
    calls = (("unplannedFailover", failover_body()), ("remove", {"properties": {}}), ("repairReplication", None))
    found = [site.request("POST", f"{site.item('web')}/{verb}", body)[0] for verb, body in calls]
    assert found[0] == 202
    assert set(found[1:]) == {409}
    assert site.request("PATCH", site.item("web"), {"properties": {"recoveryAzureVMName": "x"}})[0] == 409
    assert site.request("DELETE", site.item("web"))[0] == 409
    site.reach("web", "UnplannedFailoverCommitPendingStatesBegin")
    site.commit("web")


def test_ids_of_others(site: Site) -> None:
    """An id of another subscription, vault or machine never does."""
    site.enable("web", "app")
    foreign = site.account("drcache").replace(site.azure.subscription, "99999999-9999-9999-9999-999999999999")
    assert site.code("PUT", site.item("db"), site.enable_body("db", logStorageAccountId=foreign)) == "TargetStorageAccountMissing"
    point = site.get(f"{site.item('app')}/recoveryPoints")["value"][0]["id"]
    body = failover_body(recoveryPointId=point)
    assert site.code("POST", f"{site.item('web')}/unplannedFailover", body) == "RecoveryPointUnknown"
    plan = {"primaryFabricId": site.fabric.replace("vault1", "vault2"), "groups": []}
    assert site.code("PUT", site.plan, {"properties": plan}) == "RecoveryPlanInvalid"
    assert MACHINES["web"] in site.get(site.item("web"))["properties"]["protectableItemId"]
