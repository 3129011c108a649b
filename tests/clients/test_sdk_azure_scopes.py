"""What holds for every resource: locks, tags, filters, pages, existence, etags, registration; through the vendor's SDKs."""

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.locks import ManagementLockClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.storage import StorageManagementClient

WEST = {"location": "westeurope"}
VNET = {**WEST, "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}


@pytest.fixture
def client(cloud: Any) -> Any:
    cloud.azure.add_group("rg")
    return cloud.client(ResourceManagementClient)


@pytest.fixture
def net(cloud: Any, client: Any) -> Any:
    made = cloud.client(NetworkManagementClient)
    made.virtual_networks.begin_create_or_update("rg", "vnet", VNET).result()
    return made


def vnet_id(cloud: Any, name: str = "vnet") -> str:
    return f"{cloud.azure.group_id('rg')}/providers/Microsoft.Network/virtualNetworks/{name}"


def code_of(call: Any) -> tuple[int, str]:
    with pytest.raises(HttpResponseError) as refused:
        call()
    return refused.value.status_code, str(refused.value.error.code)


def test_a_lock_stops_deletion_of_its_scope_of_what_is_below_and_above(cloud: Any, client: Any, net: Any) -> None:
    locks = cloud.client(ManagementLockClient).management_locks
    scope = vnet_id(cloud)
    made = locks.create_or_update_by_scope(scope, "keep", {"level": "CanNotDelete", "notes": "needed"})
    assert (made.level, made.notes, made.id) == (
        "CanNotDelete",
        "needed",
        f"{scope}/providers/Microsoft.Authorization/locks/keep",
    )
    assert code_of(lambda: net.virtual_networks.begin_delete("rg", "vnet")) == (409, "ScopeLocked")
    assert code_of(lambda: client.resource_groups.begin_delete("rg")) == (409, "ScopeLocked")
    subnet = {"properties": {"addressPrefix": "10.0.1.0/24"}}
    net.subnets.begin_create_or_update("rg", "vnet", "more", subnet).result()
    assert code_of(lambda: net.subnets.begin_delete("rg", "vnet", "more")) == (409, "ScopeLocked")
    assert [one.name for one in locks.list_at_resource_group_level("rg")] == ["keep"]
    assert [one.name for one in locks.list_by_scope(scope)] == ["keep"]
    assert locks.get_by_scope(scope, "KEEP").level == "CanNotDelete"
    locks.delete_by_scope(scope, "keep")
    net.subnets.begin_delete("rg", "vnet", "more").result()
    net.virtual_networks.begin_delete("rg", "vnet").result()
    assert code_of(lambda: locks.get_by_scope(scope, "keep"))[0] == 404


def test_a_read_only_group_takes_no_change(cloud: Any, client: Any, net: Any) -> None:
    locks = cloud.client(ManagementLockClient).management_locks
    locks.create_or_update_at_resource_group_level("rg", "frozen", {"level": "ReadOnly"})
    assert net.virtual_networks.get("rg", "vnet").name == "vnet"
    assert code_of(lambda: net.virtual_networks.begin_create_or_update("rg", "two", VNET)) == (409, "ScopeLocked")
    assert code_of(lambda: net.virtual_networks.update_tags("rg", "vnet", {"tags": {"a": "b"}})) == (409, "ScopeLocked")
    storage = cloud.client(StorageManagementClient)
    assert code_of(lambda: storage.storage_accounts.list_keys("rg", "any")) == (409, "ScopeLocked")
    assert code_of(lambda: client.resource_groups.begin_delete("rg")) == (409, "ScopeLocked")
    assert code_of(lambda: locks.create_or_update_at_resource_group_level("rg", "x", {"level": "Sometimes"}))[0] == 400
    locks.delete_at_resource_group_level("rg", "frozen")
    net.virtual_networks.begin_create_or_update("rg", "two", VNET).result()


def test_a_lock_goes_with_its_resource(cloud: Any, client: Any, net: Any) -> None:
    locks = cloud.client(ManagementLockClient).management_locks
    locks.create_or_update_by_scope(vnet_id(cloud), "frozen", {"level": "CanNotDelete"})
    assert code_of(lambda: locks.create_or_update_by_scope(vnet_id(cloud, "none"), "x", {"level": "ReadOnly"}))[0] == 404
    cloud.azure.networks.remove(cloud.azure.store.get(vnet_id(cloud)))  # as when the platform takes it away
    net.virtual_networks.begin_create_or_update("rg", "vnet", VNET).result()
    assert list(locks.list_at_resource_group_level("rg")) == []


def test_contributors_cannot_lift_locks(cloud: Any, client: Any) -> None:
    client_id = "44444444-4444-4444-4444-444444444444"
    _, secret = cloud.azure.add_client(client_id, "", ["Contributor"])
    locks = cloud.client(ManagementLockClient, cloud.credential(client_id, secret)).management_locks
    assert code_of(lambda: locks.create_or_update_at_resource_group_level("rg", "x", {"level": "ReadOnly"})) == (
        403,
        "AuthorizationFailed",
    )


def test_tags_are_merged_replaced_and_deleted(cloud: Any, client: Any, net: Any) -> None:
    tags, scope = client.tags, vnet_id(cloud)

    def change(verb: str, **given: str) -> Any:
        return tags.begin_update_at_scope(scope, {"operation": verb, "properties": {"tags": given}}).result().properties.tags

    assert tags.begin_create_or_update_at_scope(scope, {"properties": {"tags": {"Tier": "web"}}}).result().properties.tags == {
        "Tier": "web"
    }
    assert change("Merge", tier="db", owner="me") == {"Tier": "db", "owner": "me"}
    assert change("Delete", owner="other", Tier="db") == {"owner": "me"}
    assert net.virtual_networks.get("rg", "vnet").tags == {"owner": "me"}
    assert change("Replace", stage="test") == {"stage": "test"}
    assert code_of(lambda: change("Rename", a="b")) == (400, "InvalidTagPatchOperation")
    root = f"/subscriptions/{cloud.azure.subscription}"
    tags.begin_create_or_update_at_scope(root, {"properties": {"tags": {"paid": "by us"}}}).result()
    assert tags.get_at_scope(root).properties.tags == {"paid": "by us"}
    used = {one.tag_name: {value.tag_value: value.count.value for value in one.values_property} for one in tags.list()}
    assert used == {"stage": {"test": 1}}
    tags.begin_delete_at_scope(scope).result()
    assert not net.virtual_networks.get("rg", "vnet").tags
    with pytest.raises(ResourceNotFoundError):
        tags.get_at_scope(vnet_id(cloud, "none"))


def test_lists_are_filtered(cloud: Any, client: Any, net: Any) -> None:
    for name, tags in (("web-net", {"tier": "web", "owner": "a"}), ("db-net", {"tier": "db", "owner": "web"})):
        net.virtual_networks.begin_create_or_update("rg", name, {**VNET, "tags": tags}).result()
    client.resource_groups.create_or_update("other", {**WEST, "tags": {"tier": "web"}})

    def names(text: str) -> list[str]:
        return [one.name for one in client.resources.list(filter=text)]

    assert names("tagName eq 'tier' and tagValue eq 'web'") == ["web-net"]
    assert names("tagName eq 'owner'") == ["web-net", "db-net"]
    assert names("substringof('-net', name) and name ne 'db-net'") == ["web-net"]
    assert names("startswith(name, 'db') or name eq 'VNET'") == ["vnet", "db-net"]
    assert names("resourceType eq 'Microsoft.Compute/disks'") == []
    assert [one.name for one in client.resource_groups.list(filter="tagName eq 'tier' and tagValue eq 'web'")] == ["other"]
    for wrong in ("colour eq 'red'", "name like 'x'", "name eq 'x' and"):
        assert code_of(lambda wrong=wrong: names(wrong)) == (400, "InvalidFilterInQueryString")
    (found,) = client.resources.list(filter="name eq 'vnet'", expand="createdTime,changedTime,provisioningState")
    assert (found.provisioning_state, found.created_time <= found.changed_time) == ("Succeeded", True)


def test_lists_come_in_pages(cloud: Any, client: Any, net: Any) -> None:
    for number in range(4):
        net.virtual_networks.begin_create_or_update("rg", f"net{number}", VNET).result()
    pages = [[one.name for one in page] for page in client.resources.list(top=2).by_page()]
    assert pages == [["vnet", "net0"], ["net1", "net2"], ["net3"]]
    assert code_of(lambda: list(client.resources.list(top=-1))) == (400, "InvalidTopInQueryString")


def test_existence_is_asked_by_head(cloud: Any, client: Any, net: Any) -> None:
    assert client.resources.check_existence_by_id(vnet_id(cloud).upper(), api_version="2024-05-01")
    assert not client.resources.check_existence_by_id(vnet_id(cloud, "none"), api_version="2024-05-01")
    assert cloud.statuses("HEAD", "/none") == [404]
    got = client.resources.get_by_id(vnet_id(cloud), api_version="2024-05-01")
    assert got.properties["addressSpace"]["addressPrefixes"] == ["10.0.0.0/16"]


def test_etags_guard_against_changes_of_others(cloud: Any, client: Any, net: Any) -> None:
    site = {**WEST, "properties": {"gatewayIpAddress": "203.0.113.9"}}
    old = net.local_network_gateways.begin_create_or_update("rg", "site", site).result()
    net.local_network_gateways.begin_create_or_update("rg", "site", site).result()

    def put(**headers: str) -> Any:
        return net.local_network_gateways.begin_create_or_update("rg", "site", site, headers=headers).result()

    assert code_of(lambda: put(**{"If-Match": old.etag})) == (412, "PreconditionFailed")
    assert code_of(lambda: put(**{"If-None-Match": "*"})) == (412, "PreconditionFailed")
    current = net.local_network_gateways.get("rg", "site").etag
    assert current != old.etag
    assert put(**{"If-Match": current}).name == "site"
    assert put(**{"If-Match": "*"}).name == "site"


def test_an_unregistered_namespace_makes_nothing_new(cloud: Any, client: Any, net: Any) -> None:
    assert client.providers.unregister("Microsoft.Network").registration_state == "Unregistering"
    assert code_of(lambda: net.virtual_networks.begin_create_or_update("rg", "two", VNET)) == (
        409,
        "MissingSubscriptionRegistration",
    )
    assert net.virtual_networks.get("rg", "vnet").name == "vnet"
    assert client.providers.register("Microsoft.Network").registration_state == "Registered"
    net.virtual_networks.begin_create_or_update("rg", "two", VNET).result()
    assert {one.namespace for one in client.providers.list()} >= {
        "Microsoft.Compute",
        "Microsoft.Automation",
        "Microsoft.Storage",
    }
    kinds = {one.resource_type: one.api_versions for one in client.provider_resource_types.list("Microsoft.Compute").value}
    assert "2024-07-01" in kinds["virtualMachines"]
    with pytest.raises(ResourceNotFoundError):
        client.providers.get("Microsoft.Nothing")


def test_two_groups_of_one_name_in_two_places_are_refused(cloud: Any, client: Any) -> None:
    with pytest.raises(ResourceExistsError) as refused:
        client.resource_groups.create_or_update("rg", {"location": "northeurope"})
    assert refused.value.error.code == "InvalidResourceGroupLocation"
