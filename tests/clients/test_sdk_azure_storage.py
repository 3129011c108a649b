"""Shared access signatures, service properties and quota of storage accounts through the vendor's SDK."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.storage import StorageManagementClient
from azure.storage.blob import AccountSasPermissions, ContainerSasPermissions, ResourceTypes
from azure.storage.blob._shared.models import Services
from azure.storage.blob._shared.shared_access_signature import SharedAccessSignature
from azure.storage.blob._shared_access_signature import BlobSharedAccessSignature

WEST = {"location": "westeurope"}
END = datetime(2018, 6, 5, tzinfo=UTC)


@pytest.fixture
def storage(cloud: Any) -> Any:
    """A client, and the account `drillcache`."""
    cloud.azure.add_group("rg")
    client = cloud.client(StorageManagementClient)
    body = {**WEST, "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
    client.storage_accounts.begin_create("rg", "drillcache", body).result()
    return client


def key(storage: Any, name: str) -> str:
    return next(one.value for one in storage.storage_accounts.list_keys("rg", "drillcache").keys_property if one.key_name == name)


def code_of(call: Any) -> tuple[int, str]:
    with pytest.raises(HttpResponseError) as refused:
        call()
    return refused.value.status_code, str(refused.value.error.code)


@pytest.mark.parametrize("used", ["key1", "key2"])
def test_an_account_signature_is_what_the_storage_library_makes(storage: Any, used: str) -> None:
    body = {
        "signedServices": "bq", "signedResourceTypes": "sco", "signedPermission": "rwl", "signedProtocol": "https",
        "signedStart": END - timedelta(hours=2), "signedExpiry": END, "keyToSign": used,
    }  # fmt: skip
    token = storage.storage_accounts.list_account_sas("rg", "drillcache", body).account_sas_token
    fields = {name: values[0] for name, values in parse_qs(token).items()}
    library = SharedAccessSignature("drillcache", key(storage, used), x_ms_version=fields["sv"])
    expected = library.generate_account(
        Services(blob=True, queue=True),
        ResourceTypes(service=True, container=True, object=True),
        AccountSasPermissions(read=True, write=True, list=True),
        END,
        END - timedelta(hours=2),
        protocol="https",
    )
    assert fields == {name: values[0] for name, values in parse_qs(expected).items()}


def test_a_container_signature_is_what_the_storage_library_makes(storage: Any) -> None:
    body = {
        "canonicalizedResource": "/blob/drillcache/vhds", "signedResource": "c", "signedPermission": "rl", "signedExpiry": END,
    }  # fmt: skip
    token = storage.storage_accounts.list_service_sas("rg", "drillcache", body).service_sas_token
    fields = {name: values[0] for name, values in parse_qs(token).items()}
    library = BlobSharedAccessSignature("drillcache", key(storage, "key1"))
    library.x_ms_version = fields["sv"]
    permission = ContainerSasPermissions(read=True, list=True)
    expected = library.generate_container("vhds", permission=permission, expiry=END, protocol="https")
    assert fields == {name: values[0] for name, values in parse_qs(expected).items()}


def test_what_cannot_be_signed(storage: Any) -> None:
    good = {"signedServices": "b", "signedResourceTypes": "c", "signedPermission": "r", "signedExpiry": END}
    ask = storage.storage_accounts.list_account_sas
    for wrong in ({"signedServices": "z"}, {"signedPermission": ""}, {"keyToSign": "key9"}, {"signedExpiry": "soon"}):
        refused = code_of(lambda wrong=wrong: ask("rg", "drillcache", {**good, **wrong}))
        assert refused == (400, "InvalidValuesForRequestParameters")
    other = {"canonicalizedResource": "/blob/somebody/vhds", "signedResource": "c", "signedPermission": "r", "signedExpiry": END}
    refused = code_of(lambda: storage.storage_accounts.list_service_sas("rg", "drillcache", other))
    assert refused == (400, "InvalidValuesForRequestParameters")


def test_services_keep_their_properties(storage: Any) -> None:
    blobs = storage.blob_services
    assert not blobs.get_service_properties("rg", "drillcache").delete_retention_policy.enabled
    wanted = {"properties": {"deleteRetentionPolicy": {"enabled": True, "days": 14}, "isVersioningEnabled": True}}
    blobs.set_service_properties("rg", "drillcache", wanted)
    (shown,) = blobs.list("rg", "drillcache")
    assert (shown.delete_retention_policy.days, shown.is_versioning_enabled) == (14, True)
    assert storage.file_services.get_service_properties("rg", "drillcache").share_delete_retention_policy.days == 7
    assert storage.queue_services.get_service_properties("rg", "drillcache").name == "default"
    assert code_of(lambda: storage.management_policies.get("rg", "drillcache", "default")) == (404, "ManagementPolicyNotFound")


def test_quota_and_skus_are_told(storage: Any) -> None:
    assert [one.current_value for one in storage.usages.list_by_location("westeurope")] == [1]
    assert {"Standard_LRS", "Premium_LRS"} <= {one.name for one in storage.skus.list()}
