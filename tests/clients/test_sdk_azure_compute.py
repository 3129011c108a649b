"""Copies of disks, access to their bytes, data disks that come and go, images, skus and quota through the vendor's SDK."""

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.storage import StorageManagementClient

WEST = {"location": "westeurope"}
GIB = 1024**3


@pytest.fixture
def compute(cloud: Any) -> Any:
    """A compute client, and a disk `os` imported from a blob of 2 GiB."""
    cloud.azure.add_group("rg")
    account = {**WEST, "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
    cloud.client(StorageManagementClient).storage_accounts.begin_create("rg", "disksaccount", account).result()
    cloud.outside.blobs["disksaccount", "vhds", "web.vhd"] = 2 * GIB
    copied = cloud.outside.calls
    cloud.azure.disks.blob_copy = lambda source, target: copied.append(("copy", source, target))
    client = cloud.client(ComputeManagementClient)
    source = {"createOption": "import", "sourceUri": "https://disksaccount.blob.drillbed/vhds/web.vhd"}
    client.disks.begin_create_or_update("rg", "os", {**WEST, "properties": {"creationData": source, "osType": "Linux"}}).result()
    return client


def code_of(call: Any) -> str:
    with pytest.raises(HttpResponseError) as refused:
        call()
    return str(refused.value.error.code)


def empty(client: Any, name: str) -> Any:
    body = {**WEST, "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 4}}
    return client.disks.begin_create_or_update("rg", name, body).result()


def machine(cloud: Any, compute: Any, *, data: tuple[str, ...] = ()) -> dict[str, Any]:
    """The body of a machine on disk `os`; the network is made when it is not there."""
    net = cloud.client(NetworkManagementClient)
    subnets = [{"name": "default", "properties": {"addressPrefix": "10.1.0.0/24"}}]
    body = {**WEST, "properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": subnets}}
    subnet = net.virtual_networks.begin_create_or_update("rg", "vnet", body).result().subnets[0].id
    ip = {"name": "ip", "properties": {"subnet": {"id": subnet}}}
    nic = net.network_interfaces.begin_create_or_update("rg", "nic", {**WEST, "properties": {"ipConfigurations": [ip]}}).result()
    os_disk = {"createOption": "Attach", "osType": "Linux", "managedDisk": {"id": compute.disks.get("rg", "os").id}}
    return {
        **WEST,
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D2_v2"},
            "storageProfile": {"osDisk": os_disk, "dataDisks": [attached(compute, name, at) for at, name in enumerate(data)]},
            "networkProfile": {"networkInterfaces": [{"id": nic.id}]},
        },
    }


def attached(compute: Any, name: str, lun: int) -> dict[str, Any]:
    return {"lun": lun, "createOption": "Attach", "managedDisk": {"id": compute.disks.get("rg", name).id}}


def test_a_snapshot_and_a_disk_of_it_have_bytes_of_their_own(cloud: Any, compute: Any) -> None:
    origin = compute.disks.get("rg", "os")
    body = {**WEST, "properties": {"creationData": {"createOption": "Copy", "sourceResourceId": origin.id}, "incremental": True}}
    snapshot = compute.snapshots.begin_create_or_update("rg", "before", body).result()
    assert (snapshot.disk_size_bytes, snapshot.incremental, snapshot.os_type) == (2 * GIB, True, "Linux")
    verb, source, first = cloud.outside.calls[-1]
    assert (verb, source.blob, first.account, first.container) == ("copy", "web.vhd", "disksaccount", "vhds")
    again = {"createOption": "Copy", "sourceResourceId": snapshot.id}
    disk = compute.disks.begin_create_or_update("rg", "again", {**WEST, "properties": {"creationData": again}}).result()
    assert (disk.disk_size_bytes, disk.os_type, disk.creation_data.source_resource_id) == (2 * GIB, "Linux", snapshot.id)
    assert cloud.outside.calls[-1][1] == first
    assert cloud.outside.calls[-1][2] != first
    assert [one.name for one in compute.snapshots.list()] == ["before"]
    small = {**WEST, "properties": {"creationData": again, "diskSizeGB": 1}}
    assert code_of(lambda: compute.disks.begin_create_or_update("rg", "small", small)) == "InvalidParameter"
    nothing = {**WEST, "properties": {"creationData": {**again, "sourceResourceId": f"{snapshot.id}-no"}}}
    assert code_of(lambda: compute.disks.begin_create_or_update("rg", "none", nothing)) == "ResourceNotFound"
    compute.snapshots.begin_delete("rg", "before").result()
    with pytest.raises(ResourceNotFoundError):
        compute.snapshots.get("rg", "before")


def test_access_to_a_disk_is_a_signed_url(cloud: Any, compute: Any) -> None:
    given = compute.disks.begin_grant_access("rg", "os", {"access": "Read", "durationInSeconds": 300}).result()
    url, _, query = given.access_sas.partition("?")
    assert url == "https://disksaccount.blob.drillbed/vhds/web.vhd"
    assert {"sig", "se", "sp"} <= {part.split("=")[0] for part in query.split("&")}
    assert compute.disks.get("rg", "os").disk_state == "ActiveSAS"
    compute.disks.begin_revoke_access("rg", "os").result()
    assert compute.disks.get("rg", "os").disk_state == "Unattached"
    compute.virtual_machines.begin_create_or_update("rg", "web", machine(cloud, compute)).result()
    grant = {"access": "Read", "durationInSeconds": 300}
    assert code_of(lambda: compute.disks.begin_grant_access("rg", "os", grant)) == "OperationNotAllowed"
    compute.virtual_machines.begin_deallocate("rg", "web").result()
    compute.disks.begin_grant_access("rg", "os", grant).result()
    empty(compute, "data")
    assert code_of(lambda: compute.disks.begin_grant_access("rg", "data", grant)) == "OperationNotAllowed"


def test_data_disks_are_attached_and_detached(cloud: Any, compute: Any) -> None:
    for name in ("one", "two", "three"):
        empty(compute, name)
    put = compute.virtual_machines.begin_create_or_update
    body = machine(cloud, compute, data=("one",))
    put("rg", "web", body).result()
    disks = body["properties"]["storageProfile"]["dataDisks"]
    disks.append(attached(compute, "two", 1))
    disks.append({"lun": 2, "createOption": "Empty", "diskSizeGB": 8, "name": "made"})
    made = put("rg", "web", body).result()
    assert [(one.lun, one.name) for one in made.storage_profile.data_disks] == [(0, "one"), (1, "two"), (2, "made")]
    assert compute.disks.get("rg", "made").managed_by == made.id
    del disks[0]
    disks[1] = {"lun": 2, "createOption": "Empty", "name": "made"}
    put("rg", "web", body).result()
    assert (compute.disks.get("rg", "one").disk_state, compute.disks.get("rg", "made").disk_state) == ("Unattached", "Attached")
    disks.append(attached(compute, "three", 1))
    assert code_of(lambda: put("rg", "web", body)) == "InvalidParameter", "the LUN is taken"
    disks[-1] = {**disks[-1], "lun": 5, "managedDisk": {"id": compute.disks.get("rg", "os").id}}
    assert code_of(lambda: put("rg", "web", body)) == "ConflictingUserInput"
    body["properties"]["storageProfile"]["dataDisks"] = [attached(compute, "two", 1)] + [
        {"lun": 10 + at, "createOption": "Empty", "name": f"more{at}"} for at in range(8)
    ]
    assert code_of(lambda: put("rg", "web", body)) == "OperationNotAllowed", "the size takes 8"
    assert [one.name for one in compute.virtual_machines.get("rg", "web").storage_profile.data_disks] == ["two", "made"]
    assert "more0" not in [one.name for one in compute.disks.list()]


def test_quota_counts_cores_of_machines_that_are_not_deallocated(cloud: Any, compute: Any) -> None:
    body = machine(cloud, compute)
    cloud.azure.machines.cores["westeurope"] = 0
    assert code_of(lambda: compute.virtual_machines.begin_create_or_update("rg", "web", body)) == "OperationNotAllowed"
    assert compute.disks.get("rg", "os").managed_by is None
    cloud.azure.machines.cores["westeurope"] = 2
    compute.virtual_machines.begin_create_or_update("rg", "web", body).result()
    used = {one.name.value: one.current_value for one in compute.usage.list("westeurope")}
    assert (used["cores"], used["standardDv2Family"], used["standardDSv3Family"]) == (2, 2, 0)
    body["properties"]["hardwareProfile"]["vmSize"] = "Standard_D3_v2"
    assert code_of(lambda: compute.virtual_machines.begin_create_or_update("rg", "web", body)) == "OperationNotAllowed"
    compute.virtual_machines.begin_deallocate("rg", "web").result()
    cloud.azure.machines.cores["westeurope"] = 1
    assert code_of(lambda: compute.virtual_machines.begin_start("rg", "web")) == "OperationNotAllowed"
    cloud.azure.machines.cores["westeurope"] = 4
    compute.virtual_machines.begin_create_or_update("rg", "web", body).result()
    compute.virtual_machines.begin_start("rg", "web").result()
    assert {one.name.value: one.current_value for one in compute.usage.list("westeurope")}["cores"] == 4


def test_a_machine_has_no_agent_for_extensions(cloud: Any, compute: Any) -> None:
    compute.virtual_machines.begin_create_or_update("rg", "web", machine(cloud, compute)).result()
    assert compute.virtual_machine_extensions.list("rg", "web").value == []
    body = {**WEST, "properties": {"publisher": "p", "type": "t", "typeHandlerVersion": "1.0"}}
    put = compute.virtual_machine_extensions.begin_create_or_update
    assert code_of(lambda: put("rg", "web", "x", body)) == "OperationNotAllowed"
    script = {"commandId": "RunShellScript", "script": ["true"]}
    assert code_of(lambda: compute.virtual_machines.begin_run_command("rg", "web", script)) == "OperationNotAllowed"


def test_images_are_found_level_by_level(compute: Any) -> None:
    images = compute.virtual_machine_images
    assert "Canonical" in [one.name for one in images.list_publishers("westeurope")]
    assert [one.name for one in images.list_offers("westeurope", "debian")] == ["debian-12"]
    (sku,) = images.list_skus("westeurope", "Debian", "debian-12")
    (version,) = images.list("westeurope", "Debian", "debian-12", sku.name)
    assert version.id.endswith(
        f"/publishers/Debian/artifacttypes/vmimage/offers/debian-12/skus/{sku.name}/versions/{version.name}"
    )
    got = images.get("westeurope", "Debian", "debian-12", sku.name, "latest")
    assert (got.name, got.os_disk_image.operating_system) == (version.name, "Linux")
    assert code_of(lambda: images.list_offers("westeurope", "Nobody")) == "NotFound"
    assert code_of(lambda: images.list_publishers("moon")) == "LocationNotAvailableForResourceType"


def test_skus_tell_what_a_size_can(compute: Any) -> None:
    rows = [one for one in compute.resource_skus.list(filter="location eq 'West Europe'") if one.name == "Standard_D2s_v3"]
    assert len(rows) == 1
    abilities = {one.name: one.value for one in rows[0].capabilities}
    assert (rows[0].family, abilities["vCPUs"], abilities["MemoryGB"], abilities["PremiumIO"]) == (
        "standardDSv3Family",
        "2",
        "8",
        "True",
    )
    assert len({tuple(one.locations) for one in compute.resource_skus.list()}) > 1
    assert code_of(lambda: list(compute.resource_skus.list(filter="size eq 'x'"))) == "InvalidParameter"
