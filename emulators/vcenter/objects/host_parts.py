"""The objects that a host is managed through. Their state is the host's: `config` and `hidden`."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.records import Record, Ref


@dataclass(slots=True)
class HostPart:
    """One of the objects that `HostSystem.configManager` names."""

    kind: str
    moid: str
    owner: Ref
    cache: dict[str, Any] = field(default_factory=dict)


#: Field of HostConfigManager -> kind of the object and how its id begins.
PARTS = {
    "accountManager": ("HostLocalAccountManager", "localAccountManager"),
    "autoStartManager": ("HostAutoStartManager", "autoStartManager"),
    "bootDeviceSystem": ("HostBootDeviceSystem", "bootDeviceSystem"),
    "certificateManager": ("HostCertificateManager", "certificateManager"),
    "cpuScheduler": ("HostCpuSchedulerSystem", "cpuSchedulerSystem"),
    "datastoreSystem": ("HostDatastoreSystem", "datastoreSystem"),
    "dateTimeSystem": ("HostDateTimeSystem", "dateTimeSystem"),
    "firewallSystem": ("HostFirewallSystem", "firewallSystem"),
    "hostAccessManager": ("HostAccessManager", "hostAccessManager"),
    "imageConfigManager": ("HostImageConfigManager", "imageConfigManager"),
    "kernelModuleSystem": ("HostKernelModuleSystem", "kernelModuleSystem"),
    "networkSystem": ("HostNetworkSystem", "networkSystem"),
    "powerSystem": ("HostPowerSystem", "powerSystem"),
    "serviceSystem": ("HostServiceSystem", "serviceSystem"),
    "snmpSystem": ("HostSnmpSystem", "snmpSystem"),
    "storageSystem": ("HostStorageSystem", "storageSystem"),
    "virtualNicManager": ("HostVirtualNicManager", "virtualNicManager"),
    "vmotionSystem": ("HostVMotionSystem", "vmotionSystem"),
}


def system_objects(_inventory: Inventory, host: HostSystem) -> Record:
    """`HostSystem.configManager`."""
    found = {name: Ref(kind, f"{prefix}-{host.moid}") for name, (kind, prefix) in PARTS.items()}
    return Record("HostConfigManager", **found, advancedOption=Ref("OptionManager", f"EsxHostAdvSettings-{host.moid}"))


def host_of(call: Call, part: HostPart) -> HostSystem:
    """The host of a part."""
    return call.inventory.get(part.owner, HostSystem)


def shows(name: str) -> Any:
    """A property of a part: a field of the host's configuration."""
    return lambda inventory, part: inventory.get(part.owner, HostSystem).config.get(name)


def changed(call: Call, part: HostPart, name: str, shown_as: str) -> None:
    """Log that a field of the host's configuration changed, which the part shows as `shown_as`."""
    call.inventory.change(host_of(call, part), f"config.{name}")
    call.inventory.change(part, shown_as)


def refresh(_call: Call, _part: HostPart, _args: Any) -> None:
    """RefreshFirewall, RefreshServices, ...: what is shown is always current."""
