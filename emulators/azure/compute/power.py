"""Power of virtual machines: states, and the calls that run and stop the guest."""

from emulators.azure.arm import Arm, Json, Resource
from emulators.azure.network import NetworkInterfaces
from emulators.azure.outside import GuestHooks, VmDisk, VmRecord
from emulators.clock import iso

#: Display status by power state.
DISPLAY = {
    "starting": "VM starting",
    "running": "VM running",
    "stopping": "VM stopping",
    "stopped": "VM stopped",
    "deallocating": "VM deallocating",
    "deallocated": "VM deallocated",
}


class Power:
    """Starts and stops machines. Every method runs on the clock, outside the lock: the guest's side may take its time."""

    def __init__(self, arm: Arm, interfaces: NetworkInterfaces, guests: GuestHooks):
        self.arm, self.interfaces, self.guests = arm, interfaces, guests

    def start(self, machine: Resource) -> None:
        """Run the guest; no effect on a running machine."""
        with self.arm.lock:
            if self._gone(machine) or machine.hidden["power"] == "running":
                return
            machine.hidden["power"] = "starting"
            record = self.record(machine)
        self.guests.start(record)
        self._set(machine, "running")

    def stop(self, machine: Resource, *, graceful: bool, deallocate: bool = False) -> None:
        """Stop the guest; `deallocate` also gives the hardware up. A stopped machine can still be deallocated."""
        with self.arm.lock:
            if self._gone(machine):
                return
            was = machine.hidden["power"]
            record = self.record(machine)
            if was == "running":
                machine.hidden["power"] = "deallocating" if deallocate else "stopping"
        if was == "running":
            self.guests.stop(record, graceful)
        if was != "deallocated":
            self._set(machine, "deallocated" if deallocate else "stopped")

    def record(self, machine: Resource) -> VmRecord:
        """The machine as the guest's side sees it. The lock is held."""
        profile = machine.properties["storageProfile"]
        entries = [(0, profile["osDisk"]), *((entry["lun"] + 1, entry) for entry in profile.get("dataDisks", []))]
        disks = []
        for unit, entry in entries:
            disk = self.arm.store.need(entry["managedDisk"]["id"])
            disks.append(VmDisk(disk.id, disk.name, unit, disk.properties["diskSizeBytes"], unit == 0, disk.hidden["blob"]))
        nics = [
            self.interfaces.seen_by_guest(self.arm.store.need(entry["id"]))
            for entry in machine.properties["networkProfile"]["networkInterfaces"]
        ]
        return VmRecord(
            id=machine.id,
            name=machine.name,
            vm_id=machine.properties["vmId"],
            location=machine.location,
            os_type=profile["osDisk"].get("osType", "Linux").upper(),
            disks=tuple(sorted(disks, key=lambda disk: disk.unit)),
            nics=tuple(nics),
        )

    def _set(self, machine: Resource, state: str) -> None:
        with self.arm.lock:
            machine.hidden["power"] = state
            machine.hidden["power_since"] = self.arm.clock.now()

    def _gone(self, machine: Resource) -> bool:
        return self.arm.store.get(machine.id) is not machine


def instance_view(machine: Resource) -> Json:
    """Provisioning and power status of a machine."""
    state = machine.properties.get("provisioningState", "Succeeded")
    power = machine.hidden["power"]
    statuses = [
        {
            "code": f"ProvisioningState/{state.lower()}",
            "level": "Info",
            "displayStatus": f"Provisioning {state.lower()}",
            "time": iso(machine.hidden.get("power_since", machine.hidden["created"])),
        }
    ]
    if power in DISPLAY:
        statuses.append({"code": f"PowerState/{power}", "level": "Info", "displayStatus": DISPLAY[power]})
    disks = [machine.properties["storageProfile"]["osDisk"], *machine.properties["storageProfile"].get("dataDisks", [])]
    shown = {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"}
    return {"disks": [{"name": disk["name"], "statuses": [shown]} for disk in disks], "statuses": statuses}
