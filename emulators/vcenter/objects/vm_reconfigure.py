"""ReconfigVM_Task: a specification is applied to a copy of the settings; only when all of it holds does it become true."""

from collections.abc import Iterator
from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.entity import must_be_free, plain
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects import vm_disk_changes
from emulators.vcenter.objects.virtual_machine import Settings, VirtualMachine
from emulators.vcenter.objects.vm_devices import fresh_key, mac_address, place, relabel
from emulators.vcenter.objects.vm_draft import Draft, resolve_controller
from emulators.vcenter.objects.vm_files import write_vmx
from emulators.vcenter.objects.vm_power import hook, note_running
from emulators.vcenter.records import Record, Typed
from emulators.vcenter.tasks import Work

SECONDS = 2.0


def draft(inventory: Inventory, vm: VirtualMachine, spec: Record) -> Draft:
    """Apply a ConfigSpec to a copy. Raises a `Fault`, and then nothing has happened."""
    result = Draft(inventory, vm, vm.settings.copy(), dict(vm.disks))
    try:
        _plain_fields(result, spec)
        _extra_config(result.settings, spec["extraConfig"] or [])
        for index, change in enumerate(spec["deviceChange"] or []):
            _device(result, index, change)
        relabel(result.settings)
    except BaseException:
        for disk in result.made:
            disk.store.delete(disk)
        raise
    return result


def commit(changes: Draft) -> None:
    """Make a draft true."""
    vm = changes.vm
    if not changes.settings.tracking:  # what is turned on begins at the next stun, what is turned off ends here
        for disk in changes.disks.values():
            disk.stop_tracking(changes.inventory.clock.uuid())
    for key, disk in vm.disks.items():
        if key not in changes.disks:
            disk.flush()  # what leaves the machine keeps its block map beside it
    vm.settings, vm.disks = changes.settings, changes.disks
    note_running(vm)
    for disk in changes.doomed:
        if not disk.pins:
            disk.store.delete(disk)
    vm.modified = changes.inventory.clock.now()
    vm.change_version += 1
    write_vmx(changes.inventory, vm)


def reconfigure(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """ReconfigVM_Task."""
    spec: Record = args["spec"]
    inventory = call.inventory
    if spec["changeVersion"] and spec["changeVersion"].rpartition(".")[2] != str(vm.change_version):
        raise Fault("ConcurrentAccess", "The object has been changed by somebody else.")
    yield SECONDS
    if spec["name"] and plain(spec["name"]) != vm.name and vm.parent is not None:
        must_be_free(inventory, inventory.find(vm.parent.moid), plain(spec["name"]))
    changes = draft(inventory, vm, spec)
    before = set(map(id, vm.disks.values()))
    if spec["name"]:
        vm.name = plain(spec["name"])
        inventory.change(vm, "name")
    for attribute, key in (("uuid", "uuid"), ("instance_uuid", "instanceUuid")):
        if spec[key]:
            setattr(vm, attribute, spec[key].lower())
    commit(changes)
    inventory.change(vm, *_paths(spec))
    for network in inventory.find(vm.host.moid).networks if spec["deviceChange"] else ():
        inventory.change(inventory.find(network.moid), "vm")
    inventory.events.about(
        "VmReconfiguredEvent",
        "Reconfigured {vm} on {host} in {datacenter}",
        vm,
        user=call.user,
        chain=call.task.chain,
        template=False,
        configSpec=_without_secrets(spec),
    )
    if vm.power == "poweredOn" and before != set(map(id, vm.disks.values())):
        yield from hook(inventory, vm, "disks_changed")


def _paths(spec: Record) -> Iterator[str]:
    yield "config.changeVersion"
    yield "config.modified"
    if spec["deviceChange"]:
        yield from ("config.hardware.device", "layoutEx", "layout", "storage", "summary.storage", "network")
        yield from ("summary.config.numVirtualDisks", "summary.config.numEthernetCards")
    if spec["extraConfig"]:
        yield "config.extraConfig"
    for name, (_, paths) in _SETTINGS.items():
        if spec[name] is not None:
            yield from paths
    if spec["name"]:
        yield from ("config.name", "summary.config.name")
    for name in spec.fields:
        if name not in _SETTINGS and name not in _ELSEWHERE:
            yield f"config.{name}"


def _without_secrets(spec: Record) -> Record:
    return spec.copy()


# plain fields --------------------------------------------------------------------------------------------------------

#: Field of ConfigSpec -> attribute of `Settings`, and the properties that show it.
_SETTINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "numCPUs": ("cpus", ("config.hardware.numCPU", "summary.config.numCpu", "runtime.maxCpuUsage")),
    "numCoresPerSocket": ("cores", ("config.hardware.numCoresPerSocket",)),
    "memoryMB": ("memory_mb", ("config.hardware.memoryMB", "summary.config.memorySizeMB", "runtime.maxMemoryUsage")),
    "guestId": (
        "guest_id",
        ("config.guestId", "config.guestFullName", "summary.config.guestId", "summary.config.guestFullName", "summary.guest"),
    ),
    "annotation": ("annotation", ("config.annotation", "summary.config.annotation")),
    "firmware": ("firmware", ("config.firmware",)),
    "changeTrackingEnabled": ("tracking", ("config.changeTrackingEnabled", "config.hardware.device")),
}
_ELSEWHERE = {"name", "uuid", "instanceUuid", "deviceChange", "extraConfig", "changeVersion", "files", "version", "vmProfile"}
_COLD = {"numCPUs": "cpuHotAddEnabled", "numCoresPerSocket": "cpuHotAddEnabled", "memoryMB": "memoryHotAddEnabled"}


def _plain_fields(changes: Draft, spec: Record) -> None:
    settings = changes.settings
    for name, value in spec.fields.items():
        if name in _ELSEWHERE:
            continue
        if name in _SETTINGS:
            _check_number(changes, name, value)
            setattr(settings, _SETTINGS[name][0], value)
            continue
        shown_as = schema.property_of("VirtualMachineConfigInfo", name)
        wanted = schema.property_of("VirtualMachineConfigSpec", name)
        if shown_as is None or wanted is None or shown_as.type != wanted.type:
            raise Fault("NotSupported", f"Reconfiguring {name} is not supported by this emulator.")
        settings.more[name] = value


def _check_number(changes: Draft, name: str, value: Any) -> None:
    limits = {"numCPUs": (1, 128), "numCoresPerSocket": (1, 128), "memoryMB": (4, 6 * 1024 * 1024)}
    if name in limits and not limits[name][0] <= value <= limits[name][1]:
        raise invalid_argument(f"configSpec.{name}", f"{value} is out of range.")
    current = getattr(changes.settings, _SETTINGS[name][0])
    if name in _COLD and changes.running and value != current and not changes.settings.more.get(_COLD[name]):
        raise Fault(
            "InvalidPowerState",
            "The attempted operation cannot be performed in the current state (Powered on).",
            requestedState="poweredOff",
            existingState="poweredOn",
        )


def _extra_config(settings: Settings, options: list[Record]) -> None:
    """Add, change, and (with an empty value) remove; keys are compared without case and keep the case they were given first."""
    for option in options:
        key, value = option["key"], option["value"]
        if isinstance(value, Typed):
            value = value.value
        known = settings.extra.get(key.lower())
        if value in (None, ""):
            settings.extra.pop(key.lower(), None)
        else:
            settings.extra[key.lower()] = (known[0] if known else key, str(value))


# devices -------------------------------------------------------------------------------------------------------------


def _device(changes: Draft, index: int, change: Record) -> None:
    device: Record = change["device"]
    operation = change["operation"]
    is_disk = device.kind == "VirtualDisk"
    if operation == "add":
        vm_disk_changes.add(changes, index, change) if is_disk else _add(changes, index, device)
        return
    existing = changes.settings.devices.get(device["key"])
    if existing is None:
        text = f"Invalid configuration for device '{index}': there is no device {device['key']}."
        raise Fault("InvalidDeviceSpec", text, deviceIndex=index)
    if operation == "remove":
        vm_disk_changes.remove(changes, index, change) if is_disk else _remove(changes, index, existing)
    elif operation == "edit":
        vm_disk_changes.edit(changes, index, change) if is_disk else _edit(changes, existing, device)
    else:
        raise invalid_argument("deviceChange.operation", "add, remove or edit is required.")


def _add(changes: Draft, index: int, device: Record) -> None:
    settings = changes.settings
    added = device.copy()
    added["key"] = fresh_key(settings, device, set(changes.keys.values()))
    changes.keys[device["key"]] = added["key"]
    label = device.kind.removeprefix("Virtual")
    if schema.is_a(device.kind, "VirtualController"):
        same = [d for d in settings.devices.values() if schema.is_a(d.kind, _family(device.kind))]
        if any(other["busNumber"] == device["busNumber"] for other in same):
            raise Fault("InvalidDeviceSpec", f"Invalid configuration for device '{index}': the bus is taken.", deviceIndex=index)
        added["controllerKey"] = 100
        label = f"SCSI controller {device['busNumber']}" if schema.is_a(device.kind, "VirtualSCSIController") else label
    elif schema.is_a(device.kind, "VirtualEthernetCard"):
        added["controllerKey"] = 100
        added["macAddress"] = (device["macAddress"] or mac_address(changes.inventory)).lower()
        added["addressType"] = device["addressType"] or "assigned"
        label = f"Network adapter {added['key'] - 3999}"
    elif device["controllerKey"] is not None:
        controller = resolve_controller(changes, index, device)
        added["controllerKey"] = controller["key"]
        added["unitNumber"] = place(settings, index, controller, device["unitNumber"])
    added["deviceInfo"] = Record("Description", label=label, summary=label)
    settings.devices[added["key"]] = added


def _family(kind: str) -> str:
    families = ("VirtualSCSIController", "VirtualIDEController", "VirtualSATAController", "VirtualNVMEController")
    return next((family for family in families if schema.is_a(kind, family)), kind)


def _remove(changes: Draft, index: int, device: Record) -> None:
    below = [other for other in changes.settings.devices.values() if other["controllerKey"] == device["key"]]
    if below or device["key"] in (100, 200, 201, 300, 400, 500, 600, 700, 12000):
        text = f"Invalid configuration for device '{index}': {device['deviceInfo']['label']} is in use."
        raise Fault("InvalidDeviceSpec", text, deviceIndex=index)
    del changes.settings.devices[device["key"]]


def _edit(changes: Draft, existing: Record, device: Record) -> None:
    if existing.kind != device.kind:
        raise invalid_argument("deviceChange.device", f"Device {device['key']} is a {existing.kind}.")
    kept = {"key", "controllerKey", "unitNumber", "deviceInfo", "device"}
    existing.fields.update({name: value for name, value in device.copy().fields.items() if name not in kept})


# privileges ----------------------------------------------------------------------------------------------------------

_PRIVILEGES = {
    "name": "VirtualMachine.Config.Rename",
    "numCPUs": "VirtualMachine.Config.CPUCount",
    "numCoresPerSocket": "VirtualMachine.Config.CPUCount",
    "memoryMB": "VirtualMachine.Config.Memory",
    "annotation": "VirtualMachine.Config.Annotation",
    "extraConfig": "VirtualMachine.Config.AdvancedConfig",
    "changeTrackingEnabled": "VirtualMachine.Config.ChangeTracking",
}


def privileges(_vm: VirtualMachine, args: Any) -> list[str]:
    """What a ReconfigVM_Task needs: it depends on what it changes, so the registry cannot tell."""
    return privileges_of(args["spec"])


def privileges_of(spec: Record) -> list[str]:
    """What the parts of a ConfigSpec need, in a fixed order."""
    needed = {
        _PRIVILEGES.get(name, "VirtualMachine.Config.Settings")
        for name in spec.fields
        if name not in ("deviceChange", "changeVersion")
    }
    for change in spec["deviceChange"] or []:
        needed.add(_device_privilege(change))
    return sorted(needed) or ["VirtualMachine.Config.Settings"]


def _device_privilege(change: Record) -> str:
    if change["operation"] == "edit":
        return "VirtualMachine.Config.EditDevice"
    if change["device"].kind != "VirtualDisk":
        return "VirtualMachine.Config.AddRemoveDevice"
    if change["operation"] == "remove":
        return "VirtualMachine.Config.RemoveDisk"
    return "VirtualMachine.Config.AddNewDisk" if change["fileOperation"] else "VirtualMachine.Config.AddExistingDisk"
