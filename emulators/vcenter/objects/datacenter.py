"""A datacenter with its four folders."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter.entity import ENTITY_PROPERTIES, Property
from emulators.vcenter.records import Record, Ref


@dataclass(slots=True)
class Datacenter:
    """A datacenter with its four folders."""

    moid: str
    name: str
    parent: Ref | None
    vm_folder: Ref
    host_folder: Ref
    datastore_folder: Ref
    network_folder: Ref
    datastores: list[Ref] = field(default_factory=list)
    networks: list[Ref] = field(default_factory=list)
    #: plain fields of the configuration
    more: dict[str, str] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "Datacenter"

    def below(self) -> list[Ref]:
        return [self.vm_folder, self.host_folder, self.datastore_folder, self.network_folder]


DATACENTER_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "vmFolder": lambda _inventory, datacenter: datacenter.vm_folder,
    "hostFolder": lambda _inventory, datacenter: datacenter.host_folder,
    "datastoreFolder": lambda _inventory, datacenter: datacenter.datastore_folder,
    "networkFolder": lambda _inventory, datacenter: datacenter.network_folder,
    "datastore": lambda _inventory, datacenter: list(datacenter.datastores),
    "network": lambda _inventory, datacenter: list(datacenter.networks),
    "configuration": lambda _inventory, datacenter: Record(
        "DatacenterConfigInfo", **{"defaultHardwareVersionKey": "vmx-13", **datacenter.more}
    ),
}
