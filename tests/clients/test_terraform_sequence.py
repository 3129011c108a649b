"""What Terraform's azurerm provider asks, request by request (arm-clients section 4), and what it reads of each answer.

The provider is in no package registry, so its requests are made here as it makes them: a GET that must be 404 before each create,
the operation followed by path, a GET afterwards; on the way down a DELETE, followed until the GET is 404.
"""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from raw_client import RawClient, signed_in

from drillbed.estate import Estate, EstatePlan
from drillbed.machines import MachinePlan
from emulators.azure.cloud import CLIENT, SUBSCRIPTION, TENANT

MIB = 1 << 20
AGENT = "HashiCorp Terraform/1.15.5 (+https://www.terraform.io) terraform-provider-azurerm/5.2.0"
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/tf"
MANAGEMENT = "https://management.drillbed"

RESOURCES, NETWORK, STORAGE, VAULTS, RECOVERY = "2023-07-01", "2025-01-01", "2023-05-01", "2024-04-01", "2024-04-01"


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    machines = [MachinePlan("web", "WINDOWS", [8 * MIB, 4 * MIB])]
    with Estate.open(EstatePlan(machines=machines, profile="modernized"), tmp_path / "estate") as opened:
        opened.prepare_azure()
        opened.register_site()
        opened.add_vcenter()
        yield opened


@pytest.fixture
def terraform(estate: Estate) -> RawClient:
    """The provider's start: what the cloud says of itself, then a token; its claims are read."""
    host = estate.operator.host
    answer = host.request("GET", f"{MANAGEMENT}/metadata/endpoints?api-version=2022-09-01", headers={"User-Agent": AGENT})
    said = json.loads(answer.body)
    assert said["authentication"]["identityProvider"] == "AAD"
    assert said["authentication"]["tenant"] == "common"
    assert said["name"] != "AzureStackCloud"
    assert said["resourceManager"] == MANAGEMENT
    assert said["microsoftGraphResourceId"]
    login = said["authentication"]["loginEndpoint"]
    assert not login.endswith("/")
    client = signed_in(host, login, said["resourceManager"], (TENANT, CLIENT, estate.secret), AGENT)
    part = client.token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert claims["tid"] == TENANT
    assert claims["oid"]
    return client


def create(client: RawClient, path: str, version: str, body: Any, statuses: set[int]) -> Any:
    client.absent(path, version)
    reply = client("PUT", path, version, body)
    assert reply.status in statuses, (path, reply.status, reply.body)
    client.finished(reply)
    return client.read(path, version)


def destroy(client: RawClient, path: str, version: str, statuses: set[int]) -> None:
    reply = client("DELETE", path, version)
    assert reply.status in statuses, (path, reply.status, reply.body)
    client.finished(reply)
    for _ in range(100):
        if client("GET", path, version).status == 404:
            return
        client.host.clock.wait(10.0)
    raise AssertionError(f"{path} does not go")


TAGS = {"location": "westeurope", "tags": {}}


def test_a_group_a_network_an_account_and_a_vault_come_and_go(terraform: RawClient) -> None:
    network = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/net"
    account = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/tfaccount"
    vault = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/tfvault"
    made = create(terraform, GROUP, RESOURCES, TAGS, {200, 201})
    assert (made["name"], made["location"]) == ("tf", "westeurope")
    spaces = {"addressSpace": {"addressPrefixes": ["10.8.0.0/16"]}, "dhcpOptions": {"dnsServers": []}, "subnets": []}
    made = create(terraform, network, NETWORK, {**TAGS, "properties": spaces}, {200, 201})
    assert made["properties"]["provisioningState"] == "Succeeded"
    subnet = f"{network}/subnets/default"
    made = create(terraform, subnet, NETWORK, {"properties": {"addressPrefix": "10.8.1.0/24"}}, {200, 201})
    assert made["properties"]["addressPrefix"] == "10.8.1.0/24"

    kind = {"kind": "StorageV2", "sku": {"name": "Standard_LRS", "tier": "Standard"}, "properties": {"accessTier": "Hot"}}
    made = create(terraform, account, STORAGE, {**TAGS, **kind}, {200, 202})
    assert made["properties"]["primaryEndpoints"]["blob"]
    keys = terraform("POST", f"{account}/listKeys", STORAGE, **{"$expand": "kerb"})
    assert {key["keyName"] for key in json.loads(keys.body)["keys"]} == {"key1", "key2"}
    for service in ("blobServices", "fileServices"):
        assert terraform.read(f"{account}/{service}/default", STORAGE)["name"] == "default"

    made = create(terraform, vault, VAULTS, {**TAGS, "sku": {"name": "Standard"}, "properties": {}}, {200, 201})
    assert made["sku"]["name"] == "Standard"
    settings = terraform.read(f"{vault}/replicationVaultSettings/default", RECOVERY)
    assert settings["properties"].get("vmwareToAzureProviderType") is None

    destroy(terraform, vault, VAULTS, {200, 202, 204})
    destroy(terraform, account, STORAGE, {200, 204})  # a 202 is an error to the provider
    destroy(terraform, subnet, NETWORK, {200, 202, 204})
    destroy(terraform, network, NETWORK, {200, 202, 204})
    assert json.loads(terraform("GET", "/subscriptions/" + SUBSCRIPTION + "/resources", RESOURCES,
                                **{"$filter": "resourceGroup eq 'tf'"}).body)["value"] == []  # fmt: skip
    destroy(terraform, GROUP, RESOURCES, {200, 202})


def one_named(listed: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    """As the provider looks for a thing: by properties, whatever their case."""
    return next(
        one for one in listed if all(str(one["properties"].get(name)).lower() == value.lower() for name, value in wanted.items())
    )


def test_a_vmware_machine_is_protected_read_changed_and_given_up(estate: Estate, terraform: RawClient) -> None:
    vault = estate.vault.path
    policy = f"{vault}/replicationPolicies/tf-policy"
    details = {
        "instanceType": "InMageRcm", "recoveryPointHistoryInMinutes": 1440, "crashConsistentFrequencyInMinutes": 10,
        "appConsistentFrequencyInMinutes": 240, "enableMultiVmSync": "true",
    }  # fmt: skip
    made = create(terraform, policy, RECOVERY, {"properties": {"providerSpecificInput": details}}, {200, 202})
    read = made["properties"]["providerSpecificDetails"]
    assert {name: read[name] for name in details} == details

    # the association: exactly one container, and a vault whose setting says nothing of a provider
    (container,) = terraform.read(f"{vault}/replicationProtectionContainers", RECOVERY)["value"]
    assert (
        terraform.read(f"{vault}/replicationVaultSettings/default", RECOVERY)["properties"].get("vmwareToAzureProviderType")
        is None
    )
    mapping = f"{container['id']}/replicationProtectionContainerMappings/tf-association"
    body = {
        "targetProtectionContainerId": "Microsoft Azure", "policyId": policy,
        "providerSpecificInput": {"instanceType": "InMageRcm", "enableAgentAutoUpgrade": "false"},
    }  # fmt: skip
    made = create(terraform, mapping, RECOVERY, {"properties": body}, {200, 202})
    assert made["properties"]["policyId"].lower() == policy.lower()

    # the machine: process server by the appliance's name, machine and account by display names
    fabric = terraform.read(container["id"].rsplit("/replicationProtectionContainers/", 1)[0], RECOVERY)["properties"][
        "customDetails"
    ]
    assert fabric["instanceType"] == "InMageRcm"
    server = fabric["processServers"][0]
    site = fabric["vmwareSiteId"]
    assert re.fullmatch(r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.OffAzure/VMwareSites/[^/]+", site, re.I)
    machine = one_named(terraform.read(f"{site}/machines", "2020-01-01")["value"], displayName="WEB")
    account = one_named(
        terraform.read(f"{site}/runAsAccounts", "2020-01-01")["value"], displayName="machines", applianceName=server["name"]
    )
    item = f"{container['id']}/replicationProtectedItems/tf-web"
    enable = {
        "instanceType": "InMageRcm", "fabricDiscoveryMachineId": machine["id"], "runAsAccountId": account["id"],
        "processServerId": server["id"], "licenseType": "NotSpecified", "targetVmName": "tf-web",
        "targetVmSize": "Standard_D2s_v3",
        "targetResourceGroupId": estate.targets.group, "targetNetworkId": estate.targets.network,
        "disksDefault": {"diskType": "Standard_LRS", "logStorageAccountId": estate.targets.cache},
    }  # fmt: skip
    terraform.absent(item, RECOVERY)
    reply = terraform("PUT", item, RECOVERY, {"properties": {"policyId": policy, "providerSpecificDetails": enable}})
    assert reply.status in (200, 202), reply.body
    terraform.finished(reply)
    shown = until_protected(terraform, item)
    found = shown["providerSpecificDetails"]
    (nic,) = found["vmNics"]
    change = {
        "instanceType": "InMageRcm", "licenseType": found["licenseType"], "targetVmName": found["targetVmName"],
        "targetResourceGroupId": found["targetResourceGroupId"], "targetNetworkId": found["targetNetworkId"],
        "vmNics": [{
            "nicId": nic["nicId"], "isPrimaryNic": "true", "isSelectedForFailover": "true", "targetSubnetName": "default",
        }],
    }  # fmt: skip
    head = {
        "recoveryAzureVMName": found["targetVmName"], "recoveryAzureVMSize": found["targetVmSize"],
        "selectedRecoveryAzureNetworkId": found["targetNetworkId"],
    }  # fmt: skip
    reply = terraform("PATCH", item, RECOVERY, {"properties": {**head, "providerSpecificDetails": change}})
    assert reply.status in (200, 202), reply.body
    terraform.finished(reply)
    second_plan_is_empty(terraform.read(item, RECOVERY)["properties"], enable, policy, server["name"])

    give_up(terraform, item, {"disableProtectionReason": "NotSpecified", "replicationProviderInput": {"instanceType": "None"}})
    give_up(terraform, mapping, {"providerSpecificInput": {"instanceType": "InMageRcm"}})
    destroy(terraform, policy, RECOVERY, {202, 204})


def until_protected(terraform: RawClient, item: str) -> Any:
    """The provider asks once a minute; a state that ends in Failed or begins with Cancel would end its patience."""
    for _ in range(200):
        shown = terraform.read(item, RECOVERY)["properties"]
        state = shown["protectionState"]
        assert not state.endswith("Failed"), state
        assert not state.startswith("Cancel"), state
        if state == "Protected":
            return shown
        terraform.host.clock.wait(60.0)
    raise AssertionError("the machine does not become Protected")


def second_plan_is_empty(shown: dict[str, Any], enable: dict[str, Any], policy: str, appliance: str) -> None:
    """What the provider reads back is what its configuration said."""
    found = shown["providerSpecificDetails"]
    same = ("licenseType", "targetVmName", "targetVmSize", "targetResourceGroupId", "targetNetworkId")
    assert {name: found[name] for name in same} == {name: enable[name] for name in same}
    assert (shown["friendlyName"], shown["policyId"].lower(), found["processServerName"]) == ("web", policy.lower(), appliance)
    (nic,) = found["vmNics"]
    assert (nic["targetSubnetName"], nic["isPrimaryNic"]) == ("default", "true")
    assert len(found["protectedDisks"]) == 2
    assert all(disk["diskId"] and disk["diskType"] == "Standard_LRS" for disk in found["protectedDisks"])


def give_up(terraform: RawClient, path: str, properties: dict[str, Any]) -> None:
    """Go's SDK deletes items and mappings by POST .../remove."""
    reply = terraform("POST", f"{path}/remove", RECOVERY, {"properties": properties})
    assert reply.status in (202, 204), (reply.status, reply.body)
    terraform.finished(reply)
    terraform.absent(path, RECOVERY)
