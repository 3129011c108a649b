"""What a new host comes with: the objects it is managed through, its configuration, the devices it sees."""

from emulators.vcenter.inventory import Inventory, ref
from emulators.vcenter.objects import array, host_access, host_network, host_services, options
from emulators.vcenter.objects.host_parts import PARTS, HostPart
from emulators.vcenter.objects.host_system import HostSystem


def equip(inventory: Inventory, host: HostSystem) -> None:
    """Complete a host that is in the inventory."""
    host.installed = inventory.clock.now()
    for part in (host_services, host_access, host_network):
        host.config.update(part.initial(inventory, host))
    parts: list[HostPart | options.Options] = [
        HostPart(kind, f"{prefix}-{host.moid}", ref(host)) for kind, prefix in PARTS.values()
    ]
    parts.append(options.of_host(host))
    for one in parts:
        inventory.add(one)
        host.parts.append(one.moid)
    array.scan(inventory, host)
