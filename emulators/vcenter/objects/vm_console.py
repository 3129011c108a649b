"""What one does at a machine's console and with its tools: screen, keys, tools installer, standby, upgrades."""

import struct
import zlib
from typing import Any

from emulators.clock import Process
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.guests import GuestState
from emulators.vcenter.inventory import Call
from emulators.vcenter.objects import vm_power, vm_snapshots
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_files import store, write_vmx
from emulators.vcenter.objects.vm_power import require, set_power
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.records import Record
from emulators.vcenter.tasks import Work, text_result

_WIDEST, _HIGHEST = 7680, 4320
#: Hardware versions that machines can be upgraded to.
NEWEST_HARDWARE = 21


def standby(call: Call, vm: VirtualMachine, _args: Any) -> None:
    """StandbyGuest: the guest suspends itself; the call returns at once."""
    require(vm, "poweredOn", wanted="suspended")
    _need_tools(vm)
    inventory, booted = call.inventory, vm.boot_time
    text = "Guest OS standby for {vm} on {host} in {datacenter}"
    inventory.events.about("VmGuestStandbyEvent", text, vm, user=call.user, template=False)

    def stand_by() -> Process:
        if inventory.hooks is not None:
            inventory.hooks.shut_down(vm)
        yield vm_power.SUSPEND_SECONDS
        with inventory.lock:
            if vm.power == "poweredOn" and vm.boot_time == booted and inventory.find(vm.moid) is vm:
                set_power(inventory, vm, "suspended")
                text = "{vm} on {host} in {datacenter} is suspended"
                inventory.events.about("VmSuspendedEvent", text, vm, user=call.user, template=False)

    inventory.clock.spawn(stand_by(), name=f"vcenter {vm.moid} guest standby")


def _need_tools(vm: VirtualMachine) -> None:
    if not vm.guest.running:
        text = "Cannot complete operation because VMware Tools is not running in this virtual machine."
        raise Fault("ToolsUnavailable", text)


def terminate(call: Call, vm: VirtualMachine, _args: Any) -> None:
    """TerminateVM: the hardest power off, at once."""
    require(vm, "poweredOn", "suspended", wanted="poweredOff")
    inventory = call.inventory
    set_power(inventory, vm, "poweredOff")
    text = "{vm} on {host} in {datacenter} is powered off"
    inventory.events.about("VmPoweredOffEvent", text, vm, user=call.user, template=False)
    hooks = inventory.hooks
    if hooks is not None:
        inventory.clock.call_later(0, lambda: hooks.power_off(vm), name=f"vcenter {vm.moid} power goes")


def upgrade(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """UpgradeVM_Task: to a newer virtual hardware version."""
    require(vm, "poweredOff", wanted="poweredOff")
    wanted = args.get("version") or f"vmx-{NEWEST_HARDWARE}"
    number = wanted.removeprefix("vmx-")
    if not wanted.startswith("vmx-") or not number.isdigit() or not 4 <= int(number) <= NEWEST_HARDWARE:
        raise invalid_argument("version", f"{wanted} is no hardware version that is known here.")
    now = int(vm.version.removeprefix("vmx-"))
    if int(number) <= now:
        raise Fault("AlreadyUpgraded", f"The machine has {vm.version}.")
    yield 2.0
    vm.version = f"vmx-{int(number):02d}"
    write_vmx(call.inventory, vm)
    call.inventory.change(vm, "config.version")
    text, chain = "Virtual machine compatibility upgraded to {version}", call.task.chain
    words = {"version": vm.version}
    call.inventory.events.about(
        "VmUpgradeCompleteEvent", text, vm, user=call.user, chain=chain, words=words, template=False, version=vm.version
    )


def mount_tools(call: Call, vm: VirtualMachine, _args: Any) -> None:
    """MountToolsInstaller."""
    require(vm, "poweredOn", wanted="poweredOn")
    if vm.tools_mounted:
        raise Fault("InvalidState", "The tools installer is mounted already.")
    _mounted(call, vm, mounted=True)


def unmount_tools(call: Call, vm: VirtualMachine, _args: Any) -> None:
    """UnmountToolsInstaller."""
    require(vm, "poweredOn", wanted="poweredOn")
    if not vm.tools_mounted:
        raise Fault("InvalidState", "The tools installer is not mounted.")
    _mounted(call, vm, mounted=False)


def _mounted(call: Call, vm: VirtualMachine, *, mounted: bool) -> None:
    vm.tools_mounted = mounted
    call.inventory.change(vm, "runtime.toolsInstallerMounted", "summary.runtime.toolsInstallerMounted")


def upgrade_tools(call: Call, vm: VirtualMachine, _args: Any) -> Work:
    """UpgradeTools_Task: the guest's tools report the version that comes with the host."""
    require(vm, "poweredOn", wanted="poweredOn")
    _need_tools(vm)
    yield 10.0
    vm.guest.tools_version = GuestState().tools_version
    call.inventory.change(vm, "guest.toolsVersion", "config.tools")


def reset_guest_information(call: Call, vm: VirtualMachine, _args: Any) -> None:
    """ResetGuestInformation: forget what a guest told that does not run any more."""
    require(vm, "poweredOff", wanted="poweredOff")
    vm.guest = GuestState()
    call.inventory.change(vm, "guest", "summary.guest", "guestHeartbeatStatus")


def set_resolution(call: Call, vm: VirtualMachine, args: Any) -> None:
    """SetScreenResolution of the guest: its tools do it."""
    require(vm, "poweredOn", wanted="poweredOn")
    _need_tools(vm)
    _set_screen(call, vm, args["width"], args["height"])


def set_topology(call: Call, vm: VirtualMachine, args: Any) -> None:
    """SetDisplayTopology: the screens side by side; the whole they make is the resolution."""
    require(vm, "poweredOn", wanted="poweredOn")
    _need_tools(vm)
    screens = args["displays"]
    if not screens:
        raise invalid_argument("displays", "At least one is required.")
    width = max(one["x"] + one["width"] for one in screens)
    _set_screen(call, vm, width, max(one["y"] + one["height"] for one in screens))


def _set_screen(call: Call, vm: VirtualMachine, width: int, height: int) -> None:
    if not (0 < width <= _WIDEST and 0 < height <= _HIGHEST):
        raise invalid_argument("width", f"{width} x {height} is no size of a screen.")
    vm.screen = (width, height)
    call.inventory.change(vm, "guest.screen")


def screenshot(call: Call, vm: VirtualMachine, _args: Any) -> Work:
    """CreateScreenshot_Task: a PNG beside the machine's files; the emulated guests leave their screen black."""
    require(vm, "poweredOn", wanted="poweredOn")
    yield 1.0
    folder = store(call.inventory, vm)
    number = 0
    while folder.path(f"{vm.directory}/{vm.directory}-{number}.png").exists():
        number += 1
    name = f"{vm.directory}/{vm.directory}-{number}.png"
    path = folder.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_black(*vm.screen))
    return text_result(datastore_path(vm.datastore_name, name))


def _black(width: int, height: int) -> bytes:
    """A black PNG: grey of one bit."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + -(-width // 8)) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def nmi(call: Call, vm: VirtualMachine, _args: Any) -> None:
    """SendNMI: the kernel of the guest stops dead, and nothing tells of it any more."""
    require(vm, "poweredOn", wanted="poweredOn")
    hooks = call.inventory.hooks
    vm.guest = GuestState()
    call.inventory.change(vm, "guest", "summary.guest", "guestHeartbeatStatus")
    if hooks is not None:
        call.inventory.clock.call_later(0, lambda: hooks.power_off(vm), name=f"vcenter {vm.moid} guest stops")


def estimate(call: Call, vm: VirtualMachine, _args: Any) -> Work:
    """EstimateStorageForConsolidateSnapshots_Task: the bytes of the layers that would be merged, as the largest it can take."""
    yield 1.0
    bytes_ = sum(layer.allocated() for disk in vm.disks.values() for layer in disk.layers)
    return Record("StorageRequirement", datastore=vm.datastore, freeSpaceRequiredInKb=bytes_ // 1024)


def promote(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """PromoteDisks_Task: every disk here has its own bytes already, so only its arguments are checked."""
    known = set(vm.disks)
    if any(device["key"] not in known for device in args.get("disks") or []):
        raise invalid_argument("disks", "It is not a disk of this machine.")
    yield 1.0


def fault_tolerance(_call: Call, vm: VirtualMachine, _args: Any) -> list[Record]:
    """QueryFaultToleranceCompatibility, -Ex: why the machine cannot be made fault tolerant."""
    if vm.settings.cpus <= 1:
        return []
    text = f"The machine has {vm.settings.cpus} virtual processors, 1 is supported."
    return [Fault("NumVirtualCpusExceedsLimit", text, maxSupportedVcpus=1).record()]


def overhead(memory_mb: int, cpus: int, video_kb: int = 4096) -> int:
    """Bytes of host memory that a machine takes beside its own: grows with its memory, processors and video memory."""
    return 1024 * (20_000 + 9 * memory_mb + 6_000 * cpus + video_kb)


def snapshot(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """CreateSnapshotEx_Task: a quiesce specification asks for what `quiesce` asks for."""
    return vm_snapshots.create(call, vm, {**args, "quiesce": args.get("quiesceSpec") is not None})


CONSOLE_OPERATIONS = {
    "CreateSnapshotEx_Task": snapshot,
    "StandbyGuest": standby,
    "TerminateVM": terminate,
    "UpgradeVM_Task": upgrade,
    "MountToolsInstaller": mount_tools,
    "UnmountToolsInstaller": unmount_tools,
    "UpgradeTools_Task": upgrade_tools,
    "ResetGuestInformation": reset_guest_information,
    "SetScreenResolution": set_resolution,
    "SetDisplayTopology": set_topology,
    "CreateScreenshot_Task": screenshot,
    "SendNMI": nmi,
    "EstimateStorageForConsolidateSnapshots_Task": estimate,
    "PromoteDisks_Task": promote,
    "QueryFaultToleranceCompatibility": fault_tolerance,
    "QueryFaultToleranceCompatibilityEx": fault_tolerance,
}
