"""Machines made by a failover, in one step and in code; registration keys of a vault."""

import base64
from typing import Any

import orjson
import pytest

from emulators.azure.arm import Refusal
from emulators.azure.cloud import SUBSCRIPTION
from emulators.azure.failover import DiskSpec, MachineSpec, NicSpec
from emulators.azure.outside import BlobPlace
from emulators.azure.vaults import KEY_SECONDS

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
VNET = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/vnet"
VM = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/db"
VAULT = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/vault"


def parsed(reply: Any) -> Any:
    return orjson.loads(reply.body)


@pytest.fixture
def vnet(world: Any) -> str:
    subnets = [{"name": "default", "properties": {"addressPrefix": "10.1.0.0/24"}}]
    body = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": subnets}}
    assert world.owner("PUT", VNET, body).status == 201
    world.clock.wait(1)
    return f"{VNET}/subnets/default"


def spec(subnet: str, **change: Any) -> MachineSpec:
    fields: dict[str, Any] = {
        "id": VM,
        "location": "westeurope",
        "size": "Standard_D2_v2",
        "os_type": "LINUX",
        "disks": (
            DiskSpec("db-data", 2, BlobPlace("account", "vhds", "db-2.vhd"), 1024**3),
            DiskSpec("db-os", 0, BlobPlace("account", "vhds", "db-0.vhd"), 512 * 1024**2 + 512),
        ),
        "nics": (NicSpec("db-nic", subnet, "10.1.0.9"),),
    }
    return MachineSpec(**{**fields, **change})


def test_a_machine_is_made_run_and_removed(world: Any, vnet: str) -> None:
    failover = world.azure.failover
    failover.make(spec(vnet, tags={"made": "by test"}))
    assert world.told.calls == []
    record = failover.record(VM)
    assert [(disk.unit, disk.size_bytes, disk.is_os_disk) for disk in record.disks] == [
        (0, 512 * 1024**2 + 512, True),
        (2, 1024**3, False),
    ]
    assert record.disks[1].blob == BlobPlace("account", "vhds", "db-2.vhd")
    assert (record.nics[0].address, record.nics[0].network_id, record.os_type) == ("10.1.0.9", VNET, "LINUX")
    shown = parsed(world.owner("GET", f"{VM}?$expand=instanceView"))
    assert shown["properties"]["storageProfile"]["dataDisks"][0]["lun"] == 1
    assert shown["properties"]["instanceView"]["statuses"][1]["code"] == "PowerState/stopped"
    assert shown["tags"] == {"made": "by test"}
    failover.start(VM)
    failover.start(VM)
    assert world.told.calls == [("start", record)]
    assert failover.is_running(VM)
    failover.stop(VM, graceful=True)
    assert world.told.calls[1:] == [("stop", "db", True)]
    failover.start(VM)
    assert failover.delete(VM) == record
    assert world.told.calls[3:] == [("stop", "db", False), ("deleted", "db")]
    assert failover.delete(VM) is None
    assert not failover.is_running(VM)
    left = {one["type"] for one in parsed(world.owner("GET", f"{GROUP}/resources"))["value"]}
    assert left == {"Microsoft.Network/virtualNetworks"}
    failover.make(spec(vnet))
    assert failover.record(VM).nics[0].address == "10.1.0.9"


def left_over(world: Any) -> list[str]:
    return [
        one["name"] for one in parsed(world.owner("GET", f"{GROUP}/resources"))["value"] if "/virtualNetworks" not in one["type"]
    ]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"size": "Standard_None"}, "InvalidParameter"),
        ({"location": "moon"}, "LocationNotAvailableForResourceType"),
        ({"id": VM.replace("/rg/", "/none/")}, "ResourceGroupNotFound"),
        ({"id": "/nonsense"}, "LinkedInvalidPropertyId"),
        ({"id": VM + "-"}, "InvalidParameter"),
        ({"disks": ()}, "InvalidParameter"),
        ({"nics": ()}, "InvalidParameter"),
        ({"nics": (NicSpec("a", f"{VNET}/subnets/default"), NicSpec("b", f"{VNET}/subnets/none"))}, "InvalidResourceReference"),
        ({"nics": (NicSpec("a", f"{VNET}/subnets/default", "10.1.0.1"),)}, "PrivateIPAddressInReservedRange"),
        ({"nics": tuple(NicSpec(f"n{at}", f"{VNET}/subnets/default") for at in range(3))},
         "NumberOfNetworkInterfacesExceedsLimit"),
        ({"availability_set_id": f"{GROUP}/providers/Microsoft.Compute/availabilitySets/none"}, "InvalidResourceReference"),
        ({"disks": tuple(DiskSpec(f"d{at}", at, BlobPlace("a", "c", "b"), 512) for at in range(10))}, "OperationNotAllowed"),
    ],
)  # fmt: skip
def test_a_refused_machine_leaves_nothing_behind(world: Any, vnet: str, change: dict[str, Any], code: str) -> None:
    with pytest.raises(Refusal) as refused:
        world.azure.failover.make(spec(vnet, **change))
    assert refused.value.code == code
    assert left_over(world) == []
    subnet = parsed(world.owner("GET", vnet))
    assert "ipConfigurations" not in subnet["properties"]
    world.azure.failover.make(spec(vnet))


def test_names_and_addresses_that_are_taken_and_the_quota(world: Any, vnet: str) -> None:
    world.azure.failover.make(spec(vnet))
    other = {"id": VM + "2", "disks": (DiskSpec("other-os", 0, BlobPlace("a", "c", "b"), 512),)}
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "Conflict"),
        ({**other}, "Conflict"),
        ({**other, "nics": (NicSpec("other-nic", vnet, "10.1.0.9"),)}, "PrivateIPAddressIsAllocated"),
        ({"id": VM + "2", "nics": (NicSpec("other-nic", vnet),)}, "PropertyChangeNotAllowed"),
    ]
    before = left_over(world)
    for change, code in cases:
        with pytest.raises(Refusal) as refused:
            world.azure.failover.make(spec(vnet, **change))
        assert refused.value.code == code
    world.azure.machines.cores["westeurope"] = 3
    with pytest.raises(Refusal, match="Total Regional Cores quota"):
        world.azure.failover.make(spec(vnet, **other, nics=(NicSpec("other-nic", vnet),)))
    assert left_over(world) == before
    with pytest.raises(Refusal, match="was not found"):
        world.azure.failover.start(VM + "9")


def test_a_machine_with_a_new_disk_that_is_refused_leaves_no_disk(world: Any, vnet: str) -> None:
    storage = {
        "osDisk": {"createOption": "FromImage", "name": "fresh"},
        "dataDisks": [{"lun": 0, "createOption": "Empty", "diskSizeGB": 1}],
    }
    properties = {
        "hardwareProfile": {"vmSize": "Standard_D2_v2"},
        "storageProfile": storage,
        "networkProfile": {"networkInterfaces": []},
    }
    reply = world.owner("PUT", VM, {"location": "westeurope", "properties": properties})
    assert world.error(reply) == (400, "InvalidParameter")
    assert left_over(world) == []


def test_system_disk_and_interfaces_of_a_machine_do_not_change(world: Any, vnet: str) -> None:
    world.azure.failover.make(spec(vnet))
    for change in (
        {"storageProfile": {"osDisk": {"managedDisk": {"id": "/other"}}}},
        {"networkProfile": {"networkInterfaces": [{"id": "/other"}]}},
    ):
        reply = world.owner("PATCH", VM, {"properties": change})
        assert world.error(reply) == (409, "PropertyChangeNotAllowed")
    resized = world.owner("PATCH", VM, {"properties": {"hardwareProfile": {"vmSize": "Standard_D3_v2"}}})
    assert parsed(resized)["properties"]["hardwareProfile"]["vmSize"] == "Standard_D3_v2"


# registration keys -------------------------------------------------------------------------------------------------------


@pytest.fixture
def key(world: Any) -> str:
    assert world.owner("PUT", VAULT, {"location": "westeurope", "sku": {"name": "RS0"}, "properties": {}}).status == 201
    body = {"properties": {"authType": "AAD", "certificate": base64.b64encode(b"x").decode()}}
    answer = parsed(world.owner("PUT", f"{VAULT}/certificates/one", body))
    return str(answer["properties"]["certificate"])


def code_of_key(world: Any, key: str) -> str:
    with pytest.raises(Refusal) as refused:
        world.azure.vaults.check_registration_key(key)
    return str(refused.value.code)


def test_a_registration_key_is_good_for_five_days(world: Any, key: str) -> None:
    assert world.azure.vaults.check_registration_key(key).id == VAULT
    assert world.azure.vaults.check_registration_key(base64.b64decode(key).decode()).id == VAULT
    world.clock.wait(KEY_SECONDS - 1)
    assert world.azure.vaults.check_registration_key(key).id == VAULT
    world.clock.wait(1)
    assert code_of_key(world, key) == "RegistrationKeyExpired"


def test_altered_foreign_and_outlived_keys_are_invalid(world: Any, key: str) -> None:
    plain = base64.b64decode(key).decode()
    payload, _, signature = plain.partition(".")
    longer = base64.urlsafe_b64encode(base64.urlsafe_b64decode(payload).replace(b'"exp":1', b'"exp":9')).decode()
    for wrong in ("", "x", "é", "a.b", payload, f"{longer}.{signature}", plain[:-1], key[:-8]):
        assert code_of_key(world, wrong) == "RegistrationKeyInvalid", wrong
    assert world.owner("DELETE", VAULT).status == 202
    world.clock.wait(1)
    assert code_of_key(world, key) == "RegistrationKeyInvalid"
    assert world.owner("PUT", VAULT, {"location": "westeurope", "sku": {"name": "RS0"}, "properties": {}}).status == 201
    assert code_of_key(world, key) == "RegistrationKeyInvalid"


def test_what_is_in_a_vault_keeps_it_from_being_deleted(world: Any, key: str) -> None:
    gone = []

    def check(vault: Any) -> None:
        raise Refusal(409, "ServiceResourceNotEmptyWithContainerDetails", "Vault cannot be deleted.")

    world.azure.vaults.before_delete.append(check)
    world.azure.vaults.after_delete.append(lambda vault: gone.append(vault.name))
    assert world.error(world.owner("DELETE", VAULT)) == (409, "ServiceResourceNotEmptyWithContainerDetails")
    deletion = world.owner("DELETE", GROUP).headers["location"]
    world.clock.wait(60)
    assert world.error(world.owner("GET", deletion)) == (409, "ResourceGroupDeletionBlocked")
    assert parsed(world.owner("GET", GROUP))["properties"]["provisioningState"] == "Succeeded"
    world.azure.vaults.before_delete.clear()
    world.owner("DELETE", VAULT)
    world.clock.wait(1)
    assert gone == ["vault"]
