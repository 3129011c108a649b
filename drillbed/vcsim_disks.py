"""The disks of a vCenter's running machines over NBD: `vcsim -nbd ADDRESS:PORT`. What a client writes is what the API sees.

An export is named by machine and disk: `web/0` is the first disk of `web`.
"""

from dataclasses import dataclass
from typing import Any

from emulators.guest.nbd import NbdDoor
from emulators.vcenter import AttachedDisk, VCenter, VirtualMachine


@dataclass(slots=True)
class ExportedDisk:
    """One disk of a machine. Raises `OSError` while the machine is off, has lost the disk, or its datastore is full."""

    vm: VirtualMachine
    disk: AttachedDisk
    unit: str

    def _running(self) -> AttachedDisk:
        if self.vm.power != "poweredOn":
            raise OSError(f"{self.vm.name} is off")
        return self.disk

    @property
    def size(self) -> int:
        return self.disk.size

    def read(self, offset: int, length: int) -> bytes:
        return self._running().read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        self._running().write(offset, data)

    def flush(self) -> None:
        self._running().flush()


@dataclass(slots=True)
class RunningMachines:
    """The machines that run now, as a guest with all their disks."""

    vcenter: VCenter
    name: str = "vcsim"

    def disks(self) -> list[Any]:
        """The disks by machine and number."""
        return [
            ExportedDisk(vm, disk, f"{vm.name}/{number}")
            for vm in self.vcenter.vms()
            if vm.power == "poweredOn"
            for number, disk in enumerate(self.vcenter.disks_of(vm))
        ]


def open_door(vcenter: VCenter, where: str) -> NbdDoor:
    """Listen. Raises `ValueError` for what is no loopback address with a port, `OSError` when the port is taken."""
    address, _, port = where.rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"-nbd {where} is not ADDRESS:PORT")
    return NbdDoor(RunningMachines(vcenter), address or "127.0.0.1", int(port)).open()
