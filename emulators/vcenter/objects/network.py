"""Networks: standard port groups and those of a distributed switch."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.entity import ENTITY_PROPERTIES, Property
from emulators.vcenter.inventory import Inventory, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record, Ref


@dataclass(slots=True)
class Network:
    """A port group; `switch` is the distributed switch that it is of, and then its kind is `DistributedVirtualPortgroup`."""

    moid: str
    name: str
    parent: Ref
    hosts: list[Ref] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    switch: Ref | None = None
    ports: int = 0
    uplink: bool = False
    vlan: int = 0
    description: str = ""
    opaque_id: str = ""  #: of an opaque network, what its manager calls it
    kind: str = "Network"


def _network_summary(_inventory: Inventory, network: Network) -> Record:
    if network.kind == "OpaqueNetwork":
        more = {"opaqueNetworkId": network.opaque_id, "opaqueNetworkType": "nsx.LogicalSwitch"}
        return Record("OpaqueNetworkSummary", network=ref(network), name=network.name, accessible=True, ipPoolName="", **more)
    return Record("NetworkSummary", network=ref(network), name=network.name, accessible=True, ipPoolName="")


NETWORK_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "summary": _network_summary,
    "host": lambda _inventory, network: list(network.hosts),
    "vm": lambda inventory, network: [
        ref(vm) for vm in inventory.all_of(VirtualMachine) if vm.is_on(network) and vm.host in network.hosts
    ],
}
