"""Resource groups, vaults and storage accounts through the vendor's SDKs."""

import base64
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.mgmt.recoveryservices import RecoveryServicesClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.storage import StorageManagementClient


def test_groups_are_created_found_tagged_and_deleted(cloud: Any) -> None:
    client = cloud.client(ResourceManagementClient)
    made = client.resource_groups.create_or_update("rg-Drill", {"location": "West Europe", "tags": {"for": "test"}})
    assert (made.name, made.location, made.properties.provisioning_state) == ("rg-Drill", "westeurope", "Succeeded")
    assert client.resource_groups.check_existence("RG-drill")
    assert client.resource_groups.get("RG-DRILL").id == made.id
    assert [group.name for group in client.resource_groups.list()] == ["rg-Drill"]
    assert client.resource_groups.update("rg-drill", {"tags": {"for": "nothing"}}).tags == {"for": "nothing"}
    client.resource_groups.begin_delete("rg-drill").result()
    assert not client.resource_groups.check_existence("rg-drill")
    with pytest.raises(ResourceNotFoundError) as missing:
        client.resource_groups.get("rg-drill")
    assert missing.value.error.code == "ResourceGroupNotFound"


def test_a_vault_lives_and_its_key_opens_it(cloud: Any) -> None:
    cloud.azure.add_group("rg")
    client = cloud.client(RecoveryServicesClient)
    body = {"location": "westeurope", "sku": {"name": "Standard"}, "properties": {}}
    vault = client.vaults.begin_create_or_update("rg", "vault1", body).result()
    assert vault.properties.provisioning_state == "Succeeded"
    assert vault.etag
    assert [one.name for one in client.vaults.list_by_resource_group("rg")] == ["vault1"]
    assert [one.name for one in client.vaults.list_by_subscription_id()] == ["vault1"]
    info = client.vault_extended_info.get("rg", "vault1")
    assert base64.b64decode(info.properties.integrity_key)
    answer = client.vault_certificates.create(
        "rg", "vault1", "drill", {"properties": {"authType": "AAD", "certificate": base64.b64encode(b"x509").decode()}}
    )
    key = bytes(answer.properties.certificate).decode()
    with cloud.azure.arm.lock:
        assert cloud.azure.vaults.check_registration_key(key).id == vault.id
    client.vaults.begin_delete("rg", "vault1").result()
    with pytest.raises(ResourceNotFoundError):
        client.vaults.get("rg", "vault1")
    assert cloud.statuses("DELETE", "/vaults/vault1") == [202]


def test_storage_accounts_have_keys_that_the_service_knows(cloud: Any) -> None:
    cloud.azure.add_group("rg")
    client = cloud.client(StorageManagementClient)
    assert client.storage_accounts.check_name_availability(
        {"name": "drillcache", "type": "Microsoft.Storage/storageAccounts"}
    ).name_available
    body = {"location": "westeurope", "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
    account = client.storage_accounts.begin_create("rg", "drillcache", body).result()
    assert account.primary_endpoints.blob == "https://drillcache.blob.drillbed/"
    assert cloud.statuses("PUT", "/drillcache") == [202]
    before = {key.key_name: key.value for key in client.storage_accounts.list_keys("rg", "drillcache").keys_property}
    assert ("create_account", "drillcache", before["key1"], before["key2"]) in cloud.outside.calls
    after = {
        key.key_name: key.value
        for key in client.storage_accounts.regenerate_key("rg", "drillcache", {"keyName": "key2"}).keys_property
    }
    assert after["key1"] == before["key1"]
    assert after["key2"] != before["key2"]
    assert cloud.outside.calls[-1] == ("set_keys", "drillcache", after["key1"], after["key2"]), "known when it is answered"
    assert not client.storage_accounts.check_name_availability({"name": "drillcache", "type": "x"}).name_available
    client.storage_accounts.delete("rg", "drillcache")
    cloud.azure.clock.wait(1)
    assert cloud.outside.calls[-1] == ("delete_account", "drillcache")
    assert list(client.storage_accounts.list()) == []


def test_a_token_outlived_by_the_estate_is_renewed_by_itself(cloud: Any) -> None:
    client = cloud.client(ResourceManagementClient)
    client.resource_groups.create_or_update("rg", {"location": "westeurope"})
    cloud.azure.clock.wait(3 * 24 * 3600)
    assert client.resource_groups.get("rg").name == "rg"
    assert 401 in cloud.statuses("GET", "/rg")


def test_wrong_secret_and_missing_rights_are_told_apart(cloud: Any) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        cloud.client(ResourceManagementClient, cloud.credential(secret="wrong")).resource_groups.get("rg")
    _, secret = cloud.azure.add_client("44444444-4444-4444-4444-444444444444", "", ["Reader"])
    reader = cloud.client(ResourceManagementClient, cloud.credential("44444444-4444-4444-4444-444444444444", secret))
    assert list(reader.resource_groups.list()) == []
    with pytest.raises(HttpResponseError) as refused:
        reader.resource_groups.create_or_update("rg", {"location": "westeurope"})
    assert (refused.value.status_code, refused.value.error.code) == (403, "AuthorizationFailed")
