"""The files of a machine in its datastore folder: the .vmx, and the folder itself."""

import hashlib

from emulators.vcenter import vmx
from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.disks import Disk
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.objects.virtual_machine import VirtualMachine


def location(vm: VirtualMachine) -> str:
    """What `uuid.location` says of the place where a machine's files lie; another place has another one."""
    digest = hashlib.sha1(f"{vm.datastore.moid}/{vm.directory}/{vm.vmx}".encode(), usedforsecurity=False).hexdigest()
    pairs = ["56", *(digest[index : index + 2] for index in range(2, 32, 2))]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def lines(vm: VirtualMachine) -> dict[str, str]:
    """What stands in the configuration file of a machine."""
    settings = vm.settings
    files = {key: _file_of(vm, disk) for key, disk in vm.disks.items()}
    return {
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
        "uuid.location": vm.location or location(vm),
        "vc.uuid": vm.instance_uuid,
        "annotation": settings.annotation,
        "ctkEnabled": "TRUE" if settings.tracking else "FALSE",
        **dict(vmx.device_lines(settings.devices, files)),
        **dict(settings.extra.values()),
    }


def _file_of(vm: VirtualMachine, disk: Disk) -> str:
    """The name of a disk's file as the configuration has it: without its folder when that is the machine's own."""
    name = disk.store.relative(disk.top.path)
    folder, _, file = name.rpartition("/")
    return file if folder == vm.directory else f"/{name}"


def write_vmx(inventory: Inventory, vm: VirtualMachine) -> None:
    """Write the configuration file of a machine as it is now."""
    path = store(inventory, vm).path(f"{vm.directory}/{vm.vmx}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(vmx.text(lines(vm)), encoding="utf-8")


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
