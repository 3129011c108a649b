"""Looking after the files of a machine: deltas in order, chains without loose ends, owners."""

from typing import Any

from emulators.vcenter.disks import NoSpace
from emulators.vcenter.inventory import Call
from emulators.vcenter.objects import files
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_files import store
from emulators.vcenter.objects.vm_power import require
from emulators.vcenter.objects.vm_snapshots import no_space
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.tasks import Work


def defragment(_call: Call, vm: VirtualMachine, _args: Any) -> None:
    """DefragmentAllDisks: the grains of deltas come into the order of the disk."""
    require(vm, "poweredOff", "suspended", wanted="poweredOff")
    for disk in vm.disks.values():
        disk.defragment()


def repair(call: Call, vm: VirtualMachine, _args: Any) -> Work:
    """RepairVmDiskChains_Task: deltas that nothing needs are merged away."""
    yield 2.0
    try:
        for disk in vm.disks.values():
            disk.consolidate()
    except NoSpace as error:
        raise no_space(vm, error) from None
    finally:
        call.inventory.change(vm, "config.hardware.device", "layoutEx", "runtime.consolidationNeeded")


def unowned(call: Call, vm: VirtualMachine, _args: Any) -> list[str]:
    """QueryUnownedFiles: files of the machine that somebody else than the host owns."""
    datastore, disks = call.inventory.find(vm.datastore.moid), store(call.inventory, vm)
    found = [path for path in sorted(disks.path(vm.directory).iterdir()) if files.owner_of(datastore, path) != "root"]
    return [datastore_path(datastore.name, disks.relative(path)) for path in found]


CARE_OPERATIONS = {"DefragmentAllDisks": defragment, "RepairVmDiskChains_Task": repair, "QueryUnownedFiles": unowned}
