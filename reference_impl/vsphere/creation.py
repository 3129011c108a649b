"""A new virtual machine beside another one: on its host, in its folder and resource pool."""

from collections.abc import Sequence
from dataclasses import dataclass

from pyVmomi import vim

from reference_impl.outside import Process
from reference_impl.vsphere.machines import CONTROLLERS, UNITS
from reference_impl.vsphere.session import Session


@dataclass(frozen=True, slots=True)
class NewMachine:
    """What to make: `disks` are (UUID, bytes, place of 16 to a controller)."""

    name: str
    machine_id: str
    os_type: str
    cpu_count: int
    memory_mb: int
    firmware: str
    datastore: str
    disks: Sequence[tuple[str, int, int]]


def create_machine(session: Session, beside: str, new: NewMachine) -> Process:
    """Make it, switched off, with empty disks; returns its moid. `VSphereError` when vCenter refuses."""
    found = session.read("VirtualMachine", beside, ["parent", "resourcePool", "runtime.host"])
    place = f"[{new.datastore}]"
    spec = vim.vm.ConfigSpec(
        name=new.name,
        uuid=new.machine_id,
        guestId="windows9Server64Guest" if new.os_type == "WINDOWS" else "debian9_64Guest",
        numCPUs=max(1, new.cpu_count),
        memoryMB=max(4, new.memory_mb),
        firmware="efi" if new.firmware.upper() == "EFI" else "bios",
        files=vim.vm.FileInfo(vmPathName=place),
        deviceChange=[*_controllers(new), *(_disk(place, *disk) for disk in new.disks)],
    )
    pool, host = found["resourcePool"], found["runtime.host"]
    made = yield from session.run_on(vim.Folder, found["parent"]._GetMoId(), "CreateVM_Task", spec, pool, host)
    return made._GetMoId()


def _controllers(new: NewMachine) -> list[vim.vm.device.VirtualDeviceSpec]:
    buses = sorted({place // 16 for _, _, place in new.disks if place // 16 < CONTROLLERS})
    return [
        vim.vm.device.VirtualDeviceSpec(
            operation="add",
            device=vim.vm.device.VirtualLsiLogicController(key=-100 - bus, busNumber=bus, sharedBus="noSharing"),
        )
        for bus in buses
    ]


def _disk(place: str, uuid: str, size: int, slot: int) -> vim.vm.device.VirtualDeviceSpec:
    unit = slot % 16
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
        fileName=place, diskMode=vim.vm.device.VirtualDiskOption.DiskMode.persistent, thinProvisioned=True, uuid=uuid
    )
    disk = vim.vm.device.VirtualDisk(
        key=-200 - slot,
        controllerKey=-100 - slot // 16,
        unitNumber=unit if unit in UNITS else UNITS[-1],
        capacityInBytes=size,
        capacityInKB=size // 1024,
        backing=backing,
    )
    return vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
