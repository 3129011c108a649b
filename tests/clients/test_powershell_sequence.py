"""What PowerShell's Az.RecoveryServices cmdlets for Site Recovery ask (arm-clients section 4), and what they read of each answer.

Every request carries `Agent-Authentication`, signed with the vault's integrity key, and a cmdlet finds its job by cutting the
name out of the `Location` header: what is between `operationresults/` and `?`.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any

import pytest
from raw_client import RawClient, signed_in

from drillbed.estate import Estate
from drillbed.opening import open_estate
from emulators.azure.cloud import CLIENT, SUBSCRIPTION, TENANT
from emulators.network import Reply

AGENT = "FxVersion/4.700.22 OSName/Linux Microsoft.Azure.Management.RecoveryServices.SiteRecovery/2.0.0.0 AzurePowershell/v12.0.0"
MANAGEMENT = "https://management.drillbed"
VERSION = "2024-02-01"


@pytest.fixture
def estate() -> Iterator[Estate]:
    with open_estate("web") as opened:
        yield opened


@pytest.fixture
def powershell(estate: Estate) -> RawClient:
    """Add-AzEnvironment -ARMEndpoint, Connect-AzAccount -ServicePrincipal."""
    host = estate.operator.host
    flat = json.loads(host.request("GET", f"{MANAGEMENT}/metadata/endpoints?api-version=2015-01-01", headers={}).body)
    assert {"galleryEndpoint", "graphEndpoint", "portalEndpoint", "authentication"} <= set(flat)
    login = flat["authentication"]["loginEndpoint"].rstrip("/")
    assert flat["authentication"]["audiences"]
    return signed_in(host, login, MANAGEMENT, (TENANT, CLIENT, estate.secret), AGENT)


class Cmdlets:
    """The vault context that Set-AzRecoveryServicesAsrVaultContext makes, and what the cmdlets do with it."""

    def __init__(self, client: RawClient, group: str, vault: str):
        self.client = client
        vaults = client.read(f"{group}/providers/Microsoft.RecoveryServices/vaults", "2016-06-01")["value"]
        (self.vault,) = [one["id"] for one in vaults if one["name"] == vault]
        extended = client.read(f"{self.vault}/extendedInformation/vaultExtendedInfo", "2016-06-01")
        self.key: str = extended["properties"]["integrityKey"]
        assert self.key

    def call(self, method: str, path: str, body: Any = None) -> Reply:
        """One request with its signature, which nobody checks, in a header that nobody may stumble over."""
        signature = hmac.new(self.key.encode(), path.encode(), hashlib.sha256).digest()
        self.client.agent = AGENT
        headers = {
            "Authorization": f"Bearer {self.client.token}", "Content-Type": "application/json; charset=utf-8",
            "Agent-Authentication": json.dumps({"hmac": base64.b64encode(signature).decode(), "version": "1.2"}),
            "x-ms-client-request-id": "11111111-2222-3333-4444-555555555555-2026-01-01 00:00:00Z-P",
        }  # fmt: skip
        data = b"" if body is None else json.dumps(body).encode()
        url = f"{self.client.management}{path}?api-version={VERSION}"
        return self.client.host.request(method, url, headers=headers, body=data)

    def job(self, reply: Reply) -> dict[str, Any]:
        """The job of an operation, as it is when it has ended."""
        assert reply.status == 202, reply.body
        where = reply.headers["location"]
        name = where[where.index("operationresults/") + len("operationresults/") : where.index("?")]
        for _ in range(500):
            answer = self.call("GET", f"{self.vault}/replicationJobs/{name}")
            assert answer.status == 200, answer.body
            job = json.loads(answer.body)
            assert job["name"] == name
            if job["properties"]["state"] not in ("NotStarted", "InProgress"):
                return dict(job["properties"])
            self.client.host.clock.wait(30.0)
        raise AssertionError(f"job {name} does not end")

    def done(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        job = self.job(self.call(method, path, body))
        assert job["state"] == "Succeeded", job["errors"]
        return job

    def listed(self, path: str) -> list[dict[str, Any]]:
        answer = self.call("GET", path)
        assert answer.status == 200, answer.body
        said = json.loads(answer.body)
        assert said["nextLink"] is None
        found: list[dict[str, Any]] = said["value"]
        return found


def test_a_life_by_cmdlets(estate: Estate, powershell: RawClient) -> None:
    asr = Cmdlets(powershell, f"/subscriptions/{SUBSCRIPTION}/resourceGroups/drill", estate.vault.name)
    (fabric,) = asr.listed(f"{asr.vault}/replicationFabrics")  # Get-AzRecoveryServicesAsrFabric
    (container,) = asr.listed(f"{fabric['id']}/replicationProtectionContainers")
    policies = {one["name"]: one for one in asr.listed(f"{asr.vault}/replicationPolicies")}
    mappings = asr.listed(f"{container['id']}/replicationProtectionContainerMappings")
    assert {one["properties"]["policyId"].rsplit("/", 1)[1] for one in mappings} == set(policies)
    found = asr.listed(f"{container['id']}/replicationProtectableItems")
    (web,) = [one for one in found if one["properties"]["friendlyName"] == "web"]
    server = fabric["properties"]["customDetails"]["processServers"][0]["id"]
    details = {
        "instanceType": "InMageAzureV2", "masterTargetId": server, "processServerId": server, "runAsAccountId": "2",
        "storageAccountId": estate.targets.storage, "logStorageAccountId": estate.targets.cache,
        "targetAzureV2ResourceGroupId": estate.targets.group, "targetAzureNetworkId": estate.targets.network,
        "targetAzureSubnetId": "default", "targetAzureVmName": "web", "enableRdpOnTargetOption": "Never",
    }  # fmt: skip
    item = f"{container['id']}/replicationProtectedItems/web"
    policy = policies["five-minutes"]["id"]
    # New-AzRecoveryServicesAsrReplicationProtectedItem
    job = asr.done(
        "PUT", item, {"properties": {"policyId": policy, "protectableItemId": web["id"], "providerSpecificDetails": details}}
    )
    assert (job["scenarioName"], job["targetObjectName"]) == ("EnableDr", "web")
    estate.vault.until_state("web", "Protected")
    # Start-AzRecoveryServicesAsrTestFailoverJob, ...CleanupJob, ...UnplannedFailoverJob, ...CommitFailoverJob
    test = {
        "failoverDirection": "PrimaryToRecovery", "networkType": "VmNetworkAsInput", "networkId": estate.targets.network,
        "providerSpecificDetails": {"instanceType": "InMageAzureV2"},
    }  # fmt: skip
    job = asr.job(asr.call("POST", f"{item}/testFailover", {"properties": test}))
    assert (job["scenarioName"], job["state"]) == ("TestFailover", "Suspended")  # until somebody cleans up (TFO-003)
    assert (
        asr.done("POST", f"{item}/testFailoverCleanup", {"properties": {"comments": ""}})["scenarioName"] == "TestFailoverCleanup"
    )
    over = {
        "failoverDirection": "PrimaryToRecovery", "sourceSiteOperations": "NotRequired",
        "providerSpecificDetails": {"instanceType": "InMageAzureV2"},
    }  # fmt: skip
    assert asr.done("POST", f"{item}/unplannedFailover", {"properties": over})["scenarioName"] == "UnplannedFailover"
    assert asr.done("POST", f"{item}/failoverCommit")["scenarioName"] == "CommitFailover"
    shown = json.loads(asr.call("GET", item).body)["properties"]
    assert shown["protectionState"] == "UnplannedFailoverCommitted"
    # Remove-AzRecoveryServicesAsrReplicationProtectedItem
    disable = {"disableProtectionReason": "NotSpecified", "replicationProviderInput": {"instanceType": "InMageAzureV2"}}
    assert asr.done("POST", f"{item}/remove", {"properties": disable})["scenarioName"] == "DisableDr"
    assert asr.call("GET", item).status == 404


def test_a_refused_cmdlet_shows_the_services_own_error(estate: Estate, powershell: RawClient) -> None:
    """A cmdlet prints code, message, possible causes and what to do; a life without them would print nothing."""
    asr = Cmdlets(powershell, f"/subscriptions/{SUBSCRIPTION}/resourceGroups/drill", estate.vault.name)
    item = f"{estate.vault.container}/replicationProtectedItems/nobody"
    answer = asr.call("POST", f"{item}/failoverCommit")
    assert answer.status == 404
    (detail,) = json.loads(answer.body)["error"]["details"]
    assert {"code", "message", "possibleCauses", "recommendedAction", "activityId"} <= set(detail)
