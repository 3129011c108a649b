"""Destroy_Task and UnregisterVM."""

import shutil
from typing import Any

from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_files import store
from emulators.vcenter.objects.vm_power import require
from emulators.vcenter.objects.vm_snapshots import drop_all
from emulators.vcenter.objects.vstorage_records import kept_after_machine
from emulators.vcenter.tasks import Work

SECONDS = 2.0


def destroy(call: Call, vm: VirtualMachine, _args: Any) -> Work:
    """Destroy_Task: the machine and its files."""
    require(vm, "poweredOff", "suspended", wanted="poweredOff")
    yield SECONDS
    require(vm, "poweredOff", "suspended", wanted="poweredOff")
    remove(call, vm, with_files=True)


def unregister(call: Call, vm: VirtualMachine, _args: Any) -> None:
    """UnregisterVM: it leaves the inventory, its files stay."""
    call.inventory.tasks.must_be_idle(ref(vm))
    require(vm, "poweredOff", "suspended", wanted="poweredOff")
    remove(call, vm, with_files=False)


def remove(call: Call, vm: VirtualMachine, *, with_files: bool) -> None:
    """Take a machine out of the inventory. Disks that another machine holds as well stay."""
    require(vm, "poweredOff", "suspended", wanted="poweredOff")
    take_out(call, vm, with_files=with_files)


def take_out(call: Call, vm: VirtualMachine, *, with_files: bool) -> None:
    """As `remove`, whatever power the machine has: its host is leaving, and runs it on elsewhere."""
    inventory = call.inventory
    inventory.events.about("VmRemovedEvent", "Removed {vm} on {host} from {datacenter}", vm, user=call.user, template=False)
    if with_files:
        drop_all(inventory, vm)
        held = {id(disk) for other in inventory.all_of(VirtualMachine) if other is not vm for disk in other.disks.values()}
        for disk in vm.disks.values():
            if id(disk) not in held and not kept_after_machine(inventory, disk):
                disk.store.delete(disk)
        folder = store(inventory, vm).path(vm.directory)
        if not any(str(held_disk.layers[0].path).startswith(f"{folder}/") for held_disk in store(inventory, vm).disks()):
            shutil.rmtree(folder, ignore_errors=True)
    for snapshot in list(vm.snapshots.values()):
        inventory.remove(snapshot)
    parent = inventory.find(vm.parent.moid) if vm.parent else None
    if parent is not None and ref(vm) in parent.children:
        parent.children.remove(ref(vm))
        inventory.change(parent, "childEntity")
    networks = [one for one in map(inventory.find, (one.moid for one in inventory.find(vm.host.moid).networks)) if vm.is_on(one)]
    inventory.remove(vm)
    vm.disks = {}
    for network in networks:
        inventory.change(network, "vm")
    for place in (vm.pool, vm.host, vm.datastore):
        inventory.change(inventory.find(place.moid), "vm")


DESTROY_OPERATIONS = {"Destroy_Task": destroy, "UnregisterVM": unregister}
