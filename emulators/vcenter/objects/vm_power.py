"""Power of a virtual machine: on, off, orderly shutdown, reset, suspend."""

from typing import Any

from emulators.clock import Process
from emulators.vcenter.faults import Fault, invalid_power_state
from emulators.vcenter.guests import GuestState
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects import vm_customize, vm_question
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_places import require_usable
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.records import Record
from emulators.vcenter.tasks import Work

#: How long each takes, seconds of emulated time.
ON_SECONDS, OFF_SECONDS, SUSPEND_SECONDS, RESET_SECONDS = 4.0, 1.0, 5.0, 2.0
#: From the end of the guest's own shutdown until the machine is off.
GUEST_SHUTDOWN_SECONDS = 12.0


def set_power(inventory: Inventory, vm: VirtualMachine, state: str) -> None:
    """Put a machine into a power state."""
    vm.power = state
    note_running(vm)
    stun(inventory, vm)
    vm.boot_time = inventory.clock.now() if state == "poweredOn" else None
    if state != "poweredOn":
        vm.guest = GuestState()
    for device in vm.settings.devices.values():
        if device["connectable"]:
            device["connectable"]["connected"] = state == "poweredOn" and device["connectable"]["startConnected"]
            device["connectable"]["status"] = "ok" if state == "poweredOn" else "untried"
    inventory.change(vm, "runtime.powerState", "runtime.bootTime", "summary.runtime.powerState", "summary.runtime.bootTime")
    inventory.change(vm, "guest", "guestHeartbeatStatus", "summary.guest", "summary.quickStats.guestHeartbeatStatus")
    host = inventory.find(vm.host.moid)
    inventory.change(host, "summary.quickStats")


def stun(inventory: Inventory, vm: VirtualMachine) -> None:
    """The machine stands still for a moment: change tracking that was asked for begins, as on ESXi."""
    if not vm.settings.tracking:
        return
    for key, disk in vm.disks.items():
        if can_be_tracked(vm.settings.devices[key]["backing"]) and not disk.tracking:
            disk.start_tracking(inventory.clock.uuid())
            inventory.change(vm, "config.hardware.device")


def can_be_tracked(backing: Record) -> bool:
    """Not those whose writes the host does not see alone: raw devices in physical mode, disks with several writers."""
    return bool(backing["compatibilityMode"] != "physicalMode" and backing["sharing"] != "sharingMultiWriter")


def locked_by(inventory: Inventory, vm: VirtualMachine, disk: Any) -> VirtualMachine | None:
    """Another running machine that holds the disk, unless both have it for several writers."""
    shared = has_shared(vm, disk)
    for moid in sorted(disk.runners):
        other = inventory.find(moid)
        holds = other is not None and other.power == "poweredOn" and any(held is disk for held in other.disks.values())
        if holds and other is not vm and not (shared and has_shared(other, disk)):
            assert isinstance(other, VirtualMachine)
            return other
    return None


def has_shared(vm: VirtualMachine, disk: Any) -> bool:
    """Whether the machine has the disk for several writers."""
    keys = [key for key, held in vm.disks.items() if held is disk]
    return any(vm.settings.devices[key]["backing"]["sharing"] == "sharingMultiWriter" for key in keys)


def note_running(vm: VirtualMachine) -> None:
    """Have the disks of a running machine know it."""
    if vm.power == "poweredOn":
        for disk in vm.disks.values():
            disk.runners.add(vm.moid)


def check_locks(inventory: Inventory, vm: VirtualMachine) -> None:
    """Raises `Fault("FileLocked")` when a running machine holds one of the disks."""
    for disk in vm.disks.values():
        holder = locked_by(inventory, vm, disk)
        if holder is not None:
            file = datastore_path(vm.datastore_name, disk.file_name)
            raise Fault("FileLocked", f"Unable to access file {file} since it is locked by {holder.name}", file=file)


def require(vm: VirtualMachine, *states: str, wanted: str) -> None:
    """Raises `Fault("InvalidPowerState")` unless the machine is in one of the states."""
    if vm.power not in states:
        raise invalid_power_state(wanted, vm.power)


def power_on(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """PowerOnVM_Task."""
    require(vm, "poweredOff", "suspended", wanted="poweredOn")
    if vm.template:
        raise Fault("NotSupported", "A template cannot be powered on.")
    require_usable(call.inventory.find(vm.host.moid))
    check_locks(call.inventory, vm)
    yield from vm_question.moved_or_copied(call, vm)
    _event(call, "VmStartingEvent", "{vm} on host {host} in {datacenter} is starting", vm)
    yield ON_SECONDS / 2
    call.inventory.tasks.progress(call, 50)
    yield ON_SECONDS / 2
    check_locks(call.inventory, vm)
    set_power(call.inventory, vm, "poweredOn")
    _event(call, "VmPoweredOnEvent", "{vm} on {host} in {datacenter} is powered on", vm)
    vm_customize.begin(call.inventory, vm, call.user, call.task.chain if call.task else 0)
    yield from hook(call.inventory, vm, "power_on")


def power_off(call: Call, vm: VirtualMachine, _args: Any) -> Work:
    """PowerOffVM_Task: hard."""
    require(vm, "poweredOn", "suspended", wanted="poweredOff")
    _event(call, "VmStoppingEvent", "{vm} on host {host} in {datacenter} is stopping", vm)
    yield from hook(call.inventory, vm, "power_off")
    yield OFF_SECONDS
    if vm.power != "poweredOff":
        set_power(call.inventory, vm, "poweredOff")
        _event(call, "VmPoweredOffEvent", "{vm} on {host} in {datacenter} is powered off", vm)


def reset(call: Call, vm: VirtualMachine, _args: Any) -> Work:
    """ResetVM_Task: power goes and comes."""
    require(vm, "poweredOn", wanted="poweredOn")
    _event(call, "VmResettingEvent", "{vm} on {host} in {datacenter} is reset", vm)
    yield from hook(call.inventory, vm, "power_off")
    vm.guest = GuestState()
    call.inventory.change(vm, "guest", "summary.guest")
    yield RESET_SECONDS
    set_power(call.inventory, vm, "poweredOn")
    yield from hook(call.inventory, vm, "power_on")


def suspend(call: Call, vm: VirtualMachine, _args: Any) -> Work:
    """SuspendVM_Task. The guest stops; memory contents are not emulated, it boots again at power on."""
    require(vm, "poweredOn", wanted="suspended")
    _event(call, "VmSuspendingEvent", "{vm} on {host} in {datacenter} is being suspended", vm)
    yield from hook(call.inventory, vm, "power_off")
    yield SUSPEND_SECONDS
    set_power(call.inventory, vm, "suspended")
    _event(call, "VmSuspendedEvent", "{vm} on {host} in {datacenter} is suspended", vm)


def shutdown_guest(call: Call, vm: VirtualMachine, _args: Any) -> None:
    """ShutdownGuest: ask the guest; the call returns at once."""
    require(vm, "poweredOn", wanted="poweredOff")
    _tools(vm)
    _event(call, "VmGuestShutdownEvent", "Guest OS shut down for {vm} on {host} in {datacenter}", vm)
    call.inventory.clock.spawn(_shut_down(call, vm), name=f"vcenter {vm.moid} guest shutdown")


def _shut_down(call: Call, vm: VirtualMachine) -> Process:
    inventory = call.inventory
    booted = vm.boot_time
    if inventory.hooks is not None:
        inventory.hooks.shut_down(vm)
    yield GUEST_SHUTDOWN_SECONDS
    with inventory.lock:
        if vm.power == "poweredOn" and vm.boot_time == booted and inventory.find(vm.moid) is vm:
            set_power(inventory, vm, "poweredOff")
            _event(call, "VmPoweredOffEvent", "{vm} on {host} in {datacenter} is powered off", vm)


def reboot_guest(call: Call, vm: VirtualMachine, _args: Any) -> None:
    """RebootGuest: orderly shutdown, then boot, without losing power."""
    require(vm, "poweredOn", wanted="poweredOn")
    _tools(vm)
    _event(call, "VmGuestRebootEvent", "Guest OS reboot for {vm} on {host} in {datacenter}", vm)
    call.inventory.clock.spawn(_reboot(call, vm), name=f"vcenter {vm.moid} guest reboot")


def _reboot(call: Call, vm: VirtualMachine) -> Process:
    inventory = call.inventory
    if inventory.hooks is not None:
        inventory.hooks.shut_down(vm)
    yield GUEST_SHUTDOWN_SECONDS
    with inventory.lock:
        on = vm.power == "poweredOn" and inventory.find(vm.moid) is vm
        if on:
            set_power(inventory, vm, "poweredOn")
    if on and inventory.hooks is not None:
        inventory.hooks.power_on(vm)


def hook(inventory: Inventory, vm: VirtualMachine, name: str) -> Work:
    """Have a hook of the guests run without the lock."""
    hooks = inventory.hooks
    if hooks is not None:
        yield lambda: getattr(hooks, name)(vm)


def _tools(vm: VirtualMachine) -> None:
    if not vm.guest.running:
        text = "Cannot complete operation because VMware Tools is not running in this virtual machine."
        raise Fault("ToolsUnavailable", text)


def _event(call: Call, kind: str, text: str, vm: VirtualMachine) -> None:
    chain = call.task.chain if call.task else 0
    call.inventory.events.about(kind, text, vm, user=call.user, chain=chain, template=False)


POWER_OPERATIONS = {
    "PowerOnVM_Task": power_on,
    "PowerOffVM_Task": power_off,
    "ResetVM_Task": reset,
    "SuspendVM_Task": suspend,
    "ShutdownGuest": shutdown_guest,
    "RebootGuest": reboot_guest,
}
