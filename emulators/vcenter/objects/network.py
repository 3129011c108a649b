"""Networks: standard port groups."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter.entity import ENTITY_OPERATIONS, ENTITY_PROPERTIES, Property
from emulators.vcenter.inventory import Inventory, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record, Ref


@dataclass(slots=True)
class Network:
    """A standard port group."""

    moid: str
    name: str
    parent: Ref | None
    hosts: list[Ref] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "Network"


def _network_summary(_inventory: Inventory, network: Network) -> Record:
    return Record("NetworkSummary", network=ref(network), name=network.name, accessible=True, ipPoolName="")


NETWORK_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "summary": _network_summary,
    "host": lambda _inventory, network: list(network.hosts),
    "vm": lambda inventory, network: [ref(vm) for vm in inventory.all_of(VirtualMachine) if network.name in vm.networks()],
}
NETWORK_OPERATIONS = ENTITY_OPERATIONS
