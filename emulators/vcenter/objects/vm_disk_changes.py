"""Disks in a reconfiguration: new ones, existing VMDKs, removal with or without the file, growth."""

from emulators.vcenter import schema
from emulators.vcenter.disks import Disk, NoSpace
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.objects.vm_devices import RAW_DEVICE, disk_device, disk_key, place
from emulators.vcenter.objects.vm_draft import Draft, resolve_controller
from emulators.vcenter.objects.vm_files import store
from emulators.vcenter.objects.vm_power import has_shared, locked_by
from emulators.vcenter.paths import datastore_path, split_path
from emulators.vcenter.records import Record
from emulators.vcenter.vmdk import NotAVmdk

_KB = 1024
#: createType of a raw device mapping -> its compatibilityMode.
_RAW = {"vmfsRawDeviceMap": "virtualMode", "vmfsPassthroughRawDeviceMap": "physicalMode"}


def add(changes: Draft, index: int, change: Record) -> None:
    """A new disk (`fileOperation` create) or an existing VMDK."""
    device: Record = change["device"]
    backing: Record | None = device["backing"]
    if backing is None or not schema.is_a(backing.kind, "VirtualDeviceFileBackingInfo"):
        raise Fault("InvalidDeviceBacking", f"Incompatible device backing specified for device '{index}'.", deviceIndex=index)
    controller = resolve_controller(changes, index, device)
    unit = place(changes.settings, index, controller, device["unitNumber"])
    if change["fileOperation"] in ("create", "replace"):
        disk = _create(changes, index, device, backing)
    else:
        disk = _attach(changes, index, backing["fileName"], shared=backing["sharing"] == "sharingMultiWriter")
    key = disk_key(changes.settings, controller, unit)
    changes.keys[device["key"]] = key
    changes.settings.devices[key] = disk_device(key, controller["key"], unit, disk, backing["diskMode"] or "persistent")
    kept = changes.settings.devices[key]["backing"]
    if backing["sharing"]:
        kept["sharing"] = backing["sharing"]
    if disk.kind in _RAW:
        kept.kind = RAW_DEVICE
        kept.fields.update(
            compatibilityMode=_RAW[disk.kind],
            deviceName=backing["deviceName"] or disk.uuid,
            lunUuid=backing["lunUuid"] or disk.uuid,
        )
    changes.disks[key] = disk


def _create(changes: Draft, index: int, device: Record, backing: Record) -> Disk:
    vm = changes.vm
    size = device["capacityInBytes"] or (device["capacityInKB"] or 0) * _KB
    if size <= 0 or size > 62 * 1024**4:
        raise invalid_argument("deviceChange.device.capacityInKB", f"{size} bytes is no size for a disk.")
    disks = store(changes.inventory, vm)
    name = _new_name(changes, backing["fileName"])
    eager = bool(backing["eagerlyScrub"])
    thin = not eager and backing["thinProvisioned"] is not False
    kind = _raw_kind(backing) if backing.kind == RAW_DEVICE else "vmfs"
    try:
        disk = disks.create(name, size, thin=thin, eager=eager, kind=kind, uuid=backing["uuid"] or "")
    except FileExistsError:
        raise Fault("FileAlreadyExists", f"File {name} exists already", file=datastore_path(vm.datastore_name, name)) from None
    except NoSpace as error:
        raise _no_space(vm.datastore_name, str(error)) from None
    except ValueError as error:
        raise invalid_argument("deviceChange.device.backing.fileName", str(error)) from None
    changes.made.append(disk)
    return disk


def _raw_kind(backing: Record) -> str:
    mode = backing["compatibilityMode"] or "virtualMode"
    kind = next((kind for kind, told in _RAW.items() if told == mode), None)
    if kind is None:
        raise invalid_argument("deviceChange.device.backing.compatibilityMode", f"{mode!r} is no mode of a raw device.")
    return kind


def _no_space(datastore: str, text: str) -> Fault:
    return Fault("NoDiskSpace", f"Insufficient disk space on datastore '{datastore}': {text}", file="", datastore=datastore)


def _new_name(changes: Draft, told: str | None) -> str:
    vm = changes.vm
    if told:
        datastore, relative = split_path(told)
        if datastore != vm.datastore_name:
            raise Fault("InvalidDatastorePath", f"The machine's files are on {vm.datastore_name}.", datastorePath=told)
        if relative and not relative.endswith("/"):
            return relative
    disks = store(changes.inventory, vm)
    number = 0
    while True:
        name = f"{vm.directory}/{vm.directory}{f'_{number}' if number else ''}.vmdk"
        if not disks.path(name).exists():
            return name
        number += 1


def _attach(changes: Draft, index: int, file: str, *, shared: bool) -> Disk:
    vm = changes.vm
    datastore, relative = split_path(file)
    if datastore != vm.datastore_name:
        raise Fault("InvalidDatastorePath", f"There is no datastore '{datastore}' on the host.", datastorePath=file)
    try:
        disk = store(changes.inventory, vm).open(relative)
    except (FileNotFoundError, ValueError, OSError) as error:
        if isinstance(error, NotAVmdk):
            raise Fault("InvalidDeviceBacking", f"{error}", deviceIndex=index) from None
        raise Fault("FileNotFound", f"File {file} was not found", file=file) from None
    if disk.file_name != disk.store.relative(disk.store.path(relative)):
        text = f"The disk {file} has been changed by a snapshot: attach {datastore_path(datastore, disk.file_name)}."
        raise Fault("InvalidDeviceBacking", text, deviceIndex=index)
    if disk in changes.disks.values():
        raise Fault("InvalidDeviceBacking", f"The disk {file} is attached already.", deviceIndex=index)
    holder = locked_by(changes.inventory, vm, disk)
    if holder is not None and changes.running and not (shared and has_shared(holder, disk)):
        text = f"Failed to lock the file: {file} is in use by {holder.name}"
        raise Fault("GenericVmConfigFault", text, reason=text)
    return disk


def remove(changes: Draft, index: int, change: Record) -> None:
    """Take a disk off; `fileOperation` destroy deletes its file, otherwise it stays on the datastore."""
    key = change["device"]["key"]
    disk = changes.disks.pop(key)
    del changes.settings.devices[key]
    if change["fileOperation"] == "destroy":
        if disk.pins:
            text = f"Invalid operation for device '{index}': a snapshot needs the file."
            raise Fault("InvalidDeviceOperation", text, deviceIndex=index, badOp="remove", badFileOp="destroy")
        holder = locked_by(changes.inventory, changes.vm, disk)
        if holder is not None:
            file = datastore_path(changes.vm.datastore_name, disk.file_name)
            raise Fault("FileLocked", f"File {file} is locked by {holder.name}", file=file)
        changes.doomed.append(disk)


def edit(changes: Draft, index: int, change: Record) -> None:
    """Grow a disk, change its mode or its unit."""
    device: Record = change["device"]
    existing = changes.settings.devices[device["key"]]
    disk = changes.disks[device["key"]]
    size = device["capacityInBytes"] or (device["capacityInKB"] or 0) * _KB or disk.size
    if device["capacityInKB"] != existing["capacityInKB"]:
        size = device["capacityInKB"] * _KB
    if size != disk.size:
        _grow(existing, disk, size)
    for name in ("diskMode", "sharing"):
        if device["backing"] is not None and device["backing"][name]:
            existing["backing"][name] = device["backing"][name]
    if device["unitNumber"] not in (None, existing["unitNumber"]):
        del changes.settings.devices[device["key"]]
        controller = resolve_controller(changes, index, device)
        existing["unitNumber"] = place(changes.settings, index, controller, device["unitNumber"])
        existing["controllerKey"] = controller["key"]
        changes.settings.devices[device["key"]] = existing


def _grow(existing: Record, disk: Disk, size: int) -> None:
    try:
        disk.grow(size)
    except NoSpace as error:
        raise _no_space("", str(error)) from None
    except ValueError as error:
        raise invalid_argument("deviceChange.device.capacityInKB", str(error)) from None
    existing["capacityInKB"], existing["capacityInBytes"] = disk.size // _KB, disk.size
    existing["deviceInfo"]["summary"] = f"{disk.size // _KB:,} KB"
