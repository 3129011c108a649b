"""The files of a machine in its datastore folder: the .vmx, and the folder itself."""

from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.objects.virtual_machine import VirtualMachine


def write_vmx(inventory: Inventory, vm: VirtualMachine) -> None:
    """Write the configuration file of a machine as it is now."""
    settings = vm.settings
    lines = {
        ".encoding": "UTF-8",
        "config.version": "8",
        "virtualHW.version": vm.version.removeprefix("vmx-"),
        "displayName": vm.name,
        "guestOS": settings.guest_id,
        "numvcpus": str(settings.cpus),
        "cpuid.coresPerSocket": str(settings.cores),
        "memSize": str(settings.memory_mb),
        "firmware": settings.firmware,
        "uuid.bios": vm.uuid,
        "vc.uuid": vm.instance_uuid,
        "annotation": settings.annotation.replace("\n", "|0A"),
    }
    for key, disk in sorted(vm.disks.items()):
        device = settings.devices[key]
        controller = settings.devices.get(device["controllerKey"])
        place = f"scsi{controller['busNumber'] if controller else 0}:{device['unitNumber']}"
        lines[f"{place}.present"] = "TRUE"
        lines[f"{place}.fileName"] = disk.store.relative(disk.top.path)
    lines.update(settings.extra.values())
    content = "".join(f'{key} = "{_quoted(value)}"\n' for key, value in lines.items())
    path = store(inventory, vm).path(f"{vm.directory}/{vm.vmx}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _quoted(value: str) -> str:
    return value.replace("|", "|7C").replace('"', "|22").replace("\n", "|0A").replace("\r", "|0D")


def store(inventory: Inventory, vm: VirtualMachine) -> DiskStore:
    """Where the machine's bytes lie."""
    return inventory.stores[vm.datastore.moid]


def free_directory(disks: DiskStore, name: str) -> str:
    """A folder name for a new machine that no other uses."""
    plain = "".join("_" if character in '/\\[]"\0' else character for character in name).strip(". ") or "vm"
    candidate, number = plain, 0
    while disks.path(candidate).exists():
        number += 1
        candidate = f"{plain}_{number}"
    return candidate
