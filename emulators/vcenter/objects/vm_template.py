"""MarkAsTemplate and MarkAsVirtualMachine."""

from typing import Any

from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_places import host_in, pool_of
from emulators.vcenter.objects.vm_power import require


def mark_as_template(call: Call, vm: VirtualMachine, _args: Any) -> None:
    """MarkAsTemplate: it leaves its pool and cannot be powered on."""
    if vm.template:
        raise Fault("NotSupported", "It is a template already.")
    require(vm, "poweredOff", wanted="poweredOff")
    vm.template = True
    _changed(call.inventory, vm)


def mark_as_machine(call: Call, vm: VirtualMachine, args: Any) -> None:
    """MarkAsVirtualMachine: a template becomes a machine in a pool."""
    inventory = call.inventory
    if not vm.template:
        raise Fault("NotSupported", "It is no template.")
    pool = pool_of(inventory, args["pool"])
    host = host_in(inventory, pool, args.get("host"), liked=vm.host)
    if vm.datastore not in host.datastores:
        raise Fault("InvalidDatastore", f"The host {host.name} does not see the files of the template.", datastore=vm.datastore)
    before = inventory.find(vm.host.moid)
    vm.template, vm.pool, vm.host = False, ref(pool), ref(host)
    inventory.change(before, "vm")
    inventory.change(host, "vm")
    inventory.change(vm, "runtime.host", "summary.runtime.host")
    _changed(inventory, vm)


def _changed(inventory: Inventory, vm: VirtualMachine) -> None:
    inventory.change(vm, "config.template", "summary.config.template", "resourcePool")
    inventory.change(inventory.find(vm.pool.moid), "vm")


TEMPLATE_OPERATIONS = {"MarkAsTemplate": mark_as_template, "MarkAsVirtualMachine": mark_as_machine}
