"""Operations on datacenters: many machines at once, configuration, hardware versions."""

from typing import Any

from emulators.vcenter.entity import ENTITY_OPERATIONS
from emulators.vcenter.events import datacenter_of
from emulators.vcenter.faults import invalid_argument, invalid_power_state
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.objects import inventory_removal
from emulators.vcenter.objects.datacenter import Datacenter
from emulators.vcenter.objects.environment import HARDWARE, descriptors
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record
from emulators.vcenter.tasks import Work

SECONDS = 1.0


def power_on_many(call: Call, datacenter: Datacenter, args: Any) -> Work:
    """PowerOnMultiVM_Task: a task for each machine that can be started; the others are named with the reason."""
    inventory = call.inventory
    machines = [inventory.get(one, VirtualMachine) for one in args["vm"]]
    if any(datacenter_of(inventory, vm) is not datacenter for vm in machines):
        raise invalid_argument("vm", "A machine is in another datacenter.")
    yield SECONDS
    attempted, left = [], []
    for vm in machines:
        if vm.power == "poweredOn":
            fault = invalid_power_state("poweredOff", vm.power).record()
            left.append(Record("ClusterNotAttemptedVmInfo", vm=ref(vm), fault=fault))
            continue
        task = inventory.tasks.begin(call, vm, "PowerOnVM_Task", {})
        attempted.append(Record("ClusterAttemptedVmInfo", vm=ref(vm), task=ref(task)))
    return Record("ClusterPowerOnVmResult", attempted=attempted, notAttempted=left)


def reconfigure(call: Call, datacenter: Datacenter, args: Any) -> Work:
    """ReconfigureDatacenter_Task: the hardware versions of new machines."""
    told = {name: value for name, value in args["spec"].fields.items() if value is not None}
    for name, key in told.items():
        if key not in HARDWARE:
            raise invalid_argument(f"spec.{name}", f"{key} is no hardware version that is known here.")
    yield SECONDS
    datacenter.more = {**(datacenter.more if args["modify"] else {}), **told}
    call.inventory.change(datacenter, "configuration")


def hardware(call: Call, datacenter: Datacenter, _args: Any) -> list[Record]:
    """queryDatacenterConfigOptionDescriptor."""
    inventory = call.inventory
    hosts = [ref(host) for host in inventory.all_of(HostSystem) if datacenter_of(inventory, host) is datacenter]
    return descriptors(hosts, datacenter.more.get("defaultHardwareVersionKey", "vmx-13"))


DATACENTER_OPERATIONS = {
    **ENTITY_OPERATIONS,
    "Destroy_Task": inventory_removal.destroy_datacenter,
    "PowerOnMultiVM_Task": power_on_many,
    "ReconfigureDatacenter_Task": reconfigure,
    "queryDatacenterConfigOptionDescriptor": hardware,
}
