"""What a failover makes in Azure: machines with their disks and interfaces in one step, and their end.

This is the Python side for Site Recovery. Everything here runs on the clock, outside every lock. Refusals are those of Resource
Manager; after one nothing is left half made.
"""

from dataclasses import dataclass, field

from emulators.azure.arm import Arm, Json, Refusal, Resource, parse_id
from emulators.azure.compute import Disks, VirtualMachines
from emulators.azure.compute.kinds import DISK, MACHINE
from emulators.azure.compute.machines import disk_entry
from emulators.azure.network import IpConfiguration, NetworkInterfaces
from emulators.azure.network.kinds import INTERFACE
from emulators.azure.outside import BlobPlace, VmRecord
from emulators.azure.tracked import check_location


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """A disk whose bytes are the page blob `blob`. `unit` 0 is the OS disk, n becomes LUN n-1."""

    name: str
    unit: int
    blob: BlobPlace
    size_bytes: int


@dataclass(frozen=True, slots=True)
class NicSpec:
    """An interface in a subnet. `address` empty: any free one."""

    name: str
    subnet_id: str
    address: str = ""
    public_address_id: str = ""
    security_group_id: str = ""


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """A machine to be made. `id` says subscription, group and name; disks and interfaces come into the same group."""

    id: str
    location: str
    size: str
    os_type: str  #: WINDOWS or LINUX
    disks: tuple[DiskSpec, ...]
    nics: tuple[NicSpec, ...]
    availability_set_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)


class FailoverMachines:
    """Makes, runs and removes machines for Site Recovery."""

    def __init__(self, arm: Arm, machines: VirtualMachines, disks: Disks, interfaces: NetworkInterfaces):
        self.arm, self.machines, self.disks, self.interfaces = arm, machines, disks, interfaces

    def make(self, spec: MachineSpec) -> Resource:
        """Interfaces, disks and a machine that is not running yet.

        Raises `Refusal` (taken name or address, quota, missing subnet...).
        """
        parsed = parse_id(spec.id)
        if parsed is None or parsed.type.lower() != MACHINE.type.lower():
            raise Refusal(400, "LinkedInvalidPropertyId", f"'{spec.id}' is not the id of a virtual machine.")
        if not any(disk.unit == 0 for disk in spec.disks):
            raise Refusal(400, "InvalidParameter", f"Machine {parsed.name} has no OS disk (unit 0).", target="osDisk")
        with self.arm.lock:
            self._check_place(spec, parsed.subscription, parsed.group)
            made: list[Resource] = []
            try:
                return self._make(spec, made)
            except Refusal:
                for resource in reversed(made):
                    self._undo(resource)
                raise

    def start(self, machine_id: str) -> None:
        """Run the guest. Raises `Refusal` 404 for an unknown machine; no effect on a running one."""
        self.machines.power.start(self._need(machine_id))

    def stop(self, machine_id: str, *, graceful: bool) -> None:
        self.machines.power.stop(self._need(machine_id), graceful=graceful)

    def delete(self, machine_id: str) -> VmRecord | None:
        """The machine with its disks and interfaces; blobs stay. Returns what it was, None when it is gone already."""
        with self.arm.lock:
            machine = self.arm.store.get(machine_id)
            if machine is None:
                return None
            record = self.machines.power.record(machine)
        self.machines.remove(machine)
        with self.arm.lock:
            disks = [found for disk in record.disks if (found := self.arm.store.get(disk.id)) is not None]
            nics = [found for nic in record.nics if (found := self.arm.store.get(nic.id)) is not None]
        for disk in disks:
            self.disks.remove(disk)
        for nic in nics:
            self.interfaces.remove(nic)
        return record

    def record(self, machine_id: str) -> VmRecord:
        """The machine as the guest's side sees it. Raises `Refusal` 404."""
        with self.arm.lock:
            return self.machines.power.record(self.arm.store.need(machine_id))

    def is_running(self, machine_id: str) -> bool:
        with self.arm.lock:
            machine = self.arm.store.get(machine_id)
            return machine is not None and machine.hidden["power"] == "running"

    def _make(self, spec: MachineSpec, made: list[Resource]) -> Resource:
        parent = f"{spec.id.rsplit('/providers/', 1)[0]}/providers"
        head: Json = {"location": spec.location, **({"tags": dict(spec.tags)} if spec.tags else {})}
        nics = []
        for nic in spec.nics:
            path = f"{parent}/{INTERFACE.type}/{nic.name}"
            if self.arm.store.get(path) is not None:
                raise Refusal(409, "Conflict", f"A network interface named {nic.name} exists already in this resource group.")
            address = IpConfiguration("ipconfig1", nic.subnet_id, nic.address, public_address_id=nic.public_address_id)
            nics.append(self.interfaces.make(path, dict(head), [address], security_group_id=nic.security_group_id))
            made.append(nics[-1])
        entries = {}
        for disk in sorted(spec.disks, key=lambda one: one.unit):
            os_type = spec.os_type if disk.unit == 0 else ""
            resource = self.disks.make(
                f"{parent}/{DISK.type}/{disk.name}", dict(head), place=disk.blob, size_bytes=disk.size_bytes, os_type=os_type
            )
            made.append(resource)
            lun = None if disk.unit == 0 else disk.unit - 1
            entries[disk.unit] = disk_entry(resource, lun=lun, os_type=spec.os_type)
        storage = {"osDisk": entries.pop(0), "dataDisks": list(entries.values())}
        return self.machines.assemble(
            spec.id, head, size=spec.size, storage=storage, nics=nics, availability_set_id=spec.availability_set_id
        )

    def _check_place(self, spec: MachineSpec, subscription: str, group: str) -> None:
        check_location(self.arm, spec.location, MACHINE.type)
        if self.arm.store.get(f"/subscriptions/{subscription}/resourceGroups/{group}") is None:
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        if self.arm.store.get(spec.id) is not None:
            raise Refusal(409, "Conflict", f"A virtual machine with the id {spec.id} exists already.")

    def _undo(self, resource: Resource) -> None:
        (self.interfaces if resource.type == INTERFACE.type else self.disks).remove(resource)

    def _need(self, machine_id: str) -> Resource:
        with self.arm.lock:
            return self.arm.store.need(machine_id)
