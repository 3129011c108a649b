"""Addresses of a subnet: which are taken, by whom, and which comes next.

A subnet's `hidden["taken"]` maps each address in use to the id of the IP configuration that has it.
"""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from emulators.azure.arm import Json, Refusal, Resource, ResourceStore

#: Azure keeps the first four addresses of a subnet and its last one.
_RESERVED_FIRST = 4


def parse_prefix(text: Any, owner: str) -> IPv4Network:
    """A network in CIDR notation. Raises `Refusal` 400 `InvalidCIDRNotation`."""
    try:
        if not isinstance(text, str) or "/" not in text:
            raise ValueError
        return IPv4Network(text)
    except ValueError:
        raise Refusal(
            400,
            "InvalidCIDRNotation",
            f"The address prefix {text} in resource {owner} has an invalid CIDR notation. "
            "For more information see https://aka.ms/cidrnotation.",
        ) from None


def prefix_of(subnet: Resource) -> IPv4Network:
    return IPv4Network(subnet.properties["addressPrefix"])


def taken(subnet: Resource) -> dict[str, str]:
    """Addresses in use: address to id of the IP configuration."""
    found: dict[str, str] = subnet.hidden.setdefault("taken", {})
    return found


def usable(subnet: Resource) -> range:
    """The addresses that can be given out, as integers."""
    network = prefix_of(subnet)
    return range(int(network.network_address) + _RESERVED_FIRST, int(network.broadcast_address))


def pick(subnet: Resource, wanted: str, holder: str) -> str:
    """An address for `holder`: `wanted` when given, else the lowest free one. Changes nothing. Raises `Refusal` 400."""
    in_use = taken(subnet)
    if not wanted:
        for number in usable(subnet):
            address = str(IPv4Address(number))
            if address not in in_use:
                return address
        raise Refusal(
            400,
            "SubnetIsFull",
            f"Subnet {subnet.name} with address prefix {subnet.properties['addressPrefix']} does not have enough capacity "
            "for 1 IP addresses.",
        )
    try:
        number = int(IPv4Address(wanted))
    except ValueError:
        raise Refusal(400, "InvalidIPAddress", f"IP address {wanted} in {holder} is not a valid IPv4 address.") from None
    network = prefix_of(subnet)
    if IPv4Address(number) not in network:
        raise Refusal(
            400,
            "PrivateIPAddressNotInSubnet",
            f"Private static IP address {wanted} does not belong to the range of subnet prefix {network}.",
        )
    if number not in usable(subnet):
        raise Refusal(
            400,
            "PrivateIPAddressInReservedRange",
            f"Private static IP address {wanted} falls within reserved IP range of subnet prefix {network}.",
        )
    owner = in_use.get(wanted)
    if owner is not None and owner.lower() != holder.lower():
        raise Refusal(
            400, "PrivateIPAddressIsAllocated", f"Private IP address {wanted} is already allocated to resource {owner}."
        )
    return wanted


def is_available(subnet: Resource, address: str) -> bool:
    return int(IPv4Address(address)) in usable(subnet) and address not in taken(subnet)


def check_address(text: str, owner: str) -> str:
    """An IPv4 address. Raises `Refusal` 400 `InvalidIPAddress`."""
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise Refusal(400, "InvalidIPAddress", f"IP address {text} in {owner} is not a valid IPv4 address.") from None


def release(store: ResourceStore, configuration: Json) -> None:
    """Give back what an IP configuration holds: its address of a subnet, its public address."""
    properties, holder = configuration["properties"], configuration["id"].lower()
    subnet = store.get(properties.get("subnet", {}).get("id", ""))
    if subnet is not None:
        for address in [one for one, other in taken(subnet).items() if other.lower() == holder]:
            del taken(subnet)[address]
    public = store.get(properties.get("publicIPAddress", {}).get("id", ""))
    if public is not None and public.properties.get("ipConfiguration", {}).get("id", "").lower() == holder:
        del public.properties["ipConfiguration"]
