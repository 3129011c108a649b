"""Addresses of interfaces: kept when a change is refused, never given twice, also to many at once."""

import threading
from typing import Any

import orjson
import pytest

from emulators.azure.cloud import SUBSCRIPTION

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
NET = f"{GROUP}/providers/Microsoft.Network"
SUBNET = f"{NET}/virtualNetworks/vnet/subnets/default"
STATIC = {"location": "westeurope", "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}


def parsed(reply: Any) -> Any:
    return orjson.loads(reply.body)


@pytest.fixture
def vnet(world: Any) -> None:
    subnets = [{"name": "default", "properties": {"addressPrefix": "10.1.0.0/26"}}]
    body = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": subnets}}
    assert world.owner("PUT", f"{NET}/virtualNetworks/vnet", body).status == 201


def nic(*addresses: str, subnet: str = SUBNET, public: str = "") -> dict[str, Any]:
    entries = []
    for at, address in enumerate(addresses):
        properties: dict[str, Any] = {"subnet": {"id": subnet}, "primary": at == 0}
        if address:
            properties |= {"privateIPAllocationMethod": "Static", "privateIPAddress": address}
        if public and at == 0:
            properties["publicIPAddress"] = {"id": public}
        entries.append({"name": f"ip{at}", "properties": properties})
    return {"location": "westeurope", "properties": {"ipConfigurations": entries}}


def holders(world: Any) -> set[str]:
    shown = parsed(world.owner("GET", SUBNET))["properties"].get("ipConfigurations", [])
    return {one["id"].split("/networkInterfaces/")[1] for one in shown}


def available(world: Any, address: str) -> bool:
    reply = world.owner("GET", f"{NET}/virtualNetworks/vnet/CheckIPAddressAvailability?ipAddress={address}")
    return bool(parsed(reply)["available"])


def test_a_refused_interface_takes_no_address(world: Any, vnet: None) -> None:
    assert world.owner("PUT", f"{NET}/networkInterfaces/one", nic("10.1.0.9")).status == 201
    reply = world.owner("PUT", f"{NET}/networkInterfaces/two", nic("10.1.0.10", "10.1.0.9"))
    assert world.error(reply) == (400, "PrivateIPAddressIsAllocated")
    assert holders(world) == {"one/ipConfigurations/ip0"}
    assert available(world, "10.1.0.10")


def test_a_refused_change_keeps_the_addresses_an_interface_had(world: Any, vnet: None) -> None:
    assert world.owner("PUT", f"{NET}/networkInterfaces/one", nic("10.1.0.9", "10.1.0.10")).status == 201
    reply = world.owner("PUT", f"{NET}/networkInterfaces/one", nic("10.1.0.11", "10.1.0.1"))
    assert world.error(reply) == (400, "PrivateIPAddressInReservedRange")
    assert holders(world) == {"one/ipConfigurations/ip0", "one/ipConfigurations/ip1"}
    assert not available(world, "10.1.0.9")
    assert available(world, "10.1.0.11")
    changed = world.owner("PUT", f"{NET}/networkInterfaces/one", nic("10.1.0.10"))
    assert changed.status == 200
    assert available(world, "10.1.0.9")


def test_a_public_address_belongs_to_one_and_is_let_go(world: Any, vnet: None) -> None:
    public = f"{NET}/publicIPAddresses/pip"
    assert world.owner("PUT", public, STATIC).status == 201
    assert world.owner("PUT", f"{NET}/networkInterfaces/one", nic("", public=public)).status == 201
    assert world.error(world.owner("PUT", f"{NET}/networkInterfaces/two", nic("", public=public))) == (
        400,
        "PublicIPAddressInUse",
    )
    assert world.error(world.owner("DELETE", public)) == (400, "PublicIPAddressCannotBeDeleted")
    assert world.owner("PUT", f"{NET}/networkInterfaces/one", nic("")).status == 200
    assert world.owner("PUT", f"{NET}/networkInterfaces/two", nic("", public=public)).status == 201
    world.clock.wait(1)
    assert world.owner("DELETE", f"{NET}/networkInterfaces/two").status == 202
    world.clock.wait(1)
    assert world.owner("DELETE", public).status == 202


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (nic(), "InvalidRequestFormat"),
        (nic("10.1.0.300"), "InvalidIPAddress"),
        (nic("", subnet="default"), "LinkedInvalidPropertyId"),
        (nic("", subnet=f"{NET}/virtualNetworks/vnet"), "InvalidResourceReference"),
        (nic("", public=f"{NET}/publicIPAddresses/none"), "InvalidResourceReference"),
        ({"location": "westeurope", "properties": {"ipConfigurations": [5]}}, "InvalidRequestContent"),
        ({"location": "westeurope", "properties": {"ipConfigurations": [{"name": "x", "properties": {}}]}}, "SubnetIsRequired"),
    ],
)
def test_what_an_interface_is_refused_for(world: Any, vnet: None, body: dict[str, Any], code: str) -> None:
    assert world.error(world.owner("PUT", f"{NET}/networkInterfaces/bad", body)) == (400, code)
    assert holders(world) == set()


def test_many_callers_at_once_never_share_an_address(world: Any, vnet: None) -> None:
    world.owner("GET", GROUP)
    statuses: list[int] = []

    def ask(at: int) -> None:
        for turn in range(8):
            statuses.append(world.owner("PUT", f"{NET}/networkInterfaces/nic-{at}-{turn}", nic("")).status)

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A /26 has 64 addresses, five of them are Azure's.
    assert (statuses.count(201), statuses.count(400)) == (59, 5)
    shown = parsed(world.owner("GET", f"{NET}/networkInterfaces"))["value"]
    addresses = {one["properties"]["ipConfigurations"][0]["properties"]["privateIPAddress"] for one in shown}
    assert len(addresses) == 59


def test_what_is_in_another_subscription_is_out_of_reach(world: Any, vnet: None) -> None:
    foreign = SUBNET.replace(SUBSCRIPTION, "99999999-0000-0000-0000-000000000000")
    reply = world.owner("PUT", f"{NET}/networkInterfaces/one", nic("", subnet=foreign))
    assert world.error(reply) == (403, "LinkedAuthorizationFailed")
    assert world.owner("GET", f"{NET}/networkInterfaces/one").status == 404
    assert world.owner("PUT", f"{NET}/networkInterfaces/one", nic("")).status == 201
