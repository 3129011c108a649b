"""A reconfiguration in the making: a copy of a machine's settings and disks that becomes true only as a whole."""

from dataclasses import dataclass, field

from emulators.vcenter.disks import Disk
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.objects.virtual_machine import Settings, VirtualMachine
from emulators.vcenter.records import Record


@dataclass(slots=True)
class Draft:
    """A reconfiguration in the making. `made` are disks to delete when it fails, `doomed` those to delete when it succeeds."""

    inventory: Inventory
    vm: VirtualMachine
    settings: Settings
    disks: dict[int, Disk]
    made: list[Disk] = field(default_factory=list)
    doomed: list[Disk] = field(default_factory=list)
    #: keys of the request (negative) to real ones
    keys: dict[int, int] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return self.vm.power == "poweredOn"


def resolve_controller(changes: Draft, index: int, device: Record) -> Record:
    """The controller a new device names, which may be a new one of the same request."""
    wanted = device["controllerKey"]
    found = changes.settings.devices.get(changes.keys.get(wanted, wanted)) if wanted is not None else None
    if found is None:
        raise Fault(
            "InvalidDeviceSpec", f"Invalid configuration for device '{index}': no controller {wanted}.", deviceIndex=index
        )
    return found
