"""CloneVApp_Task: a vApp with copies of all its machines and of the pools in it."""

from typing import Any

from emulators.vcenter.entity import must_be_free, plain
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.objects import pools, vm_clone
from emulators.vcenter.objects.resource_pool import ResourcePool, machines_in
from emulators.vcenter.objects.vm_register import folder_of
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work


def clone(call: Call, vapp: ResourcePool, args: Any) -> Work:
    """CloneVApp_Task: into a pool; its machines are copied one after another. What fails takes all of it away again."""
    inventory, spec = call.inventory, args["spec"]
    unknown = next((name for name in ("networkMapping", "property", "resourceMapping") if spec[name]), None)
    if unknown:
        raise Fault("NotSupported", f"Cloning a vApp with {unknown} is not supported by this emulator.")
    parent = inventory.get(args["target"], ResourcePool)
    name, folder = plain(args["name"]), spec["vmFolder"]
    if folder is None and parent.kind != "VirtualApp":
        raise invalid_argument("spec.vmFolder", "A vApp that is not in another needs a folder.")
    must_be_free(inventory, parent, name)
    resources = spec["resourceSpec"] or Record("ResourceConfigSpec", cpuAllocation=vapp.cpu, memoryAllocation=vapp.memory)
    config = Record("VAppConfigSpec", annotation=vapp.annotation)
    told = {"name": name, "resSpec": resources, "configSpec": config, "vmFolder": folder}
    made = inventory.get(pools.create_vapp(call, parent, told), ResourcePool)
    try:
        yield from _copy(call, vapp, made, spec["location"])
    except BaseException:  # also when the task is canceled
        pools.dissolve_vapp(call, made, with_files=True)
        raise
    return ref(made)


def _copy(call: Call, source: ResourcePool, target: ResourcePool, store: Ref) -> Work:
    inventory = call.inventory
    folder = folder_of(inventory, target)
    for vm in machines_in(inventory, source):
        location = Record("VirtualMachineRelocateSpec", pool=ref(target), datastore=store)
        spec = Record("VirtualMachineCloneSpec", location=location, powerOn=False, template=False)
        name = (
            vm.name
            if not any(inventory.find(one.moid).name == vm.name for one in folder.children)
            else f"{vm.name} ({target.name})"
        )
        yield from vm_clone.clone(call, vm, {"folder": ref(folder), "name": name, "spec": spec})
    for child in [inventory.get(one, ResourcePool) for one in source.pools]:
        told = {"name": child.name, "spec": Record("", cpuAllocation=child.cpu, memoryAllocation=child.memory)}
        made = inventory.get(pools.create_pool(call, target, told), ResourcePool)
        yield from _copy(call, child, made, store)


CLONE_OPERATIONS = {"CloneVApp_Task": clone}
