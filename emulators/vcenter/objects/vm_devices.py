"""Virtual devices: the ones every machine has, how disks look, keys, labels and places on controllers."""

from functools import cache
from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.disks import Disk
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.layers import Layer
from emulators.vcenter.objects.virtual_machine import Settings, VirtualMachine
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.records import Record, Ref

#: Unit that a SCSI controller itself occupies.
_SCSI_SELF = 7
#: The backing of a disk that maps a raw device.
RAW_DEVICE = "VirtualDiskRawDiskMappingVer1BackingInfo"
_KB = 1024


def _described(kind: str, key: int, label: str, summary: str, **fields: Any) -> Record:
    return Record(kind, key=key, deviceInfo=Record("Description", label=label, summary=summary), **fields)


@cache
def standard_devices() -> tuple[Record, ...]:
    """What a machine has before anybody adds something. All machines share these records: they are replaced, never changed."""
    return (
        _described("VirtualIDEController", 200, "IDE 0", "IDE 0", busNumber=0),
        _described("VirtualIDEController", 201, "IDE 1", "IDE 1", busNumber=1),
        _described("VirtualPS2Controller", 300, "PS2 controller 0", "PS2 controller 0", busNumber=0, device=[600, 700]),
        _described("VirtualPCIController", 100, "PCI controller 0", "PCI controller 0", busNumber=0, device=[500, 12000]),
        _described("VirtualSIOController", 400, "SIO controller 0", "SIO controller 0", busNumber=0),
        _described("VirtualKeyboard", 600, "Keyboard", "Keyboard", controllerKey=300, unitNumber=0),
        _described("VirtualPointingDevice", 700, "Pointing device", "Pointing device; Device", controllerKey=300, unitNumber=1),
        _described(
            "VirtualMachineVideoCard", 500, "Video card", "Video card", controllerKey=100, unitNumber=0, videoRamSizeInKB=4096
        ),
        _described("VirtualMachineVMCIDevice", 12000, "VMCI device", "Device on the virtual machine PCI bus", controllerKey=100),
    )


def scsi_controller(key: int = 1000, bus: int = 0, kind: str = "ParaVirtualSCSIController") -> Record:
    """A SCSI controller."""
    label = f"SCSI controller {bus}"
    summary = {"ParaVirtualSCSIController": "VMware paravirtual SCSI"}.get(kind, "LSI Logic")
    return _described(
        kind,
        key,
        label,
        summary,
        controllerKey=100,
        unitNumber=3 + bus,
        busNumber=bus,
        sharedBus="noSharing",
        scsiCtlrUnitNumber=_SCSI_SELF,
        hotAddRemove=True,
    )


def network_card(inventory: Inventory, key: int, network: Any, mac: str) -> Record:
    """A vmxnet3 card on a network."""
    return _described(
        "VirtualVmxnet3",
        key,
        f"Network adapter {key - 3999}",
        network.name,
        backing=network_backing(inventory, network),
        connectable=Record(
            "VirtualDeviceConnectInfo", startConnected=True, allowGuestControl=True, connected=False, status="untried"
        ),
        controllerKey=100,
        unitNumber=key - 4000 + 7,
        addressType="assigned",
        macAddress=mac,
        wakeOnLanEnabled=True,
    )


def network_of(inventory: Inventory, backing: Record | None) -> Any:
    """The network that the backing of a card means, or None."""
    if backing is None:
        return None
    if backing["port"] is not None:
        return inventory.find(backing["port"]["portgroupKey"] or "")
    if backing["opaqueNetworkId"] is not None:
        return next((one for one in inventory.objects() if getattr(one, "opaque_id", None) == backing["opaqueNetworkId"]), None)
    return inventory.find(backing["network"].moid) if backing["network"] is not None else None


def network_backing(inventory: Inventory, network: Any) -> Record:
    """The backing of a card on a network: by name on a standard one, by switch and port group on a distributed one."""
    if network.kind == "OpaqueNetwork":
        told = {"opaqueNetworkId": network.opaque_id, "opaqueNetworkType": "nsx.LogicalSwitch"}
        return Record("VirtualEthernetCardOpaqueNetworkBackingInfo", **told)
    if network.switch is None:
        return Record("VirtualEthernetCardNetworkBackingInfo", deviceName=network.name, network=Ref(network.kind, network.moid))
    switch = inventory.find(network.switch.moid)
    port = Record("DistributedVirtualSwitchPortConnection", switchUuid=switch.uuid, portgroupKey=network.moid)
    return Record("VirtualEthernetCardDistributedVirtualPortBackingInfo", port=port)


def mac_address(inventory: Inventory) -> str:
    """A fresh address in vCenter's range."""
    digits = inventory.clock.uuid().replace("-", "")
    return f"00:50:56:{0x80 | int(digits[0:2], 16) & 0x3F:02x}:{digits[2:4]}:{digits[4:6]}"


def disk_device(key: int, controller: int, unit: int, disk: Disk, mode: str = "persistent") -> Record:
    """The device record of a disk; its backing is filled in when it is shown (`shown`)."""
    kilobytes = disk.size // _KB
    return _described(
        "VirtualDisk",
        key,
        "Hard disk",
        f"{kilobytes:,} KB",
        backing=Record("VirtualDiskFlatVer2BackingInfo", fileName="", diskMode=mode),
        controllerKey=controller,
        unitNumber=unit,
        capacityInKB=kilobytes,
        capacityInBytes=disk.size,
        shares=Record("SharesInfo", shares=1000, level="normal"),
    )


def relabel(settings: Settings) -> None:
    """Number the disks by their place and tell controllers what hangs on them."""
    disks = [device for device in settings.devices.values() if device.kind == "VirtualDisk"]
    for number, disk in enumerate(sorted(disks, key=lambda device: device["key"]), 1):
        disk["deviceInfo"]["label"] = f"Hard disk {number}"
    below: dict[int, list[int]] = {}
    for key, device in settings.devices.items():
        below.setdefault(device["controllerKey"], []).append(key)
    for key, device in settings.devices.items():
        if schema.is_a(device.kind, "VirtualController"):
            hangs = sorted(below.get(key, ()))
            if hangs != (device["device"] or []):  # the record may be one that machines share
                settings.devices[key] = Record(device.kind, **{**device.fields, "device": hangs})


def shown(vm: VirtualMachine, settings: Settings, disks: dict[int, Disk], pin: str | None) -> list[Record]:
    """The devices as vim25 shows them: disks with the backing of the moment, or of the snapshot `pin`."""
    found = []
    for key, device in sorted(settings.devices.items()):
        disk = disks.get(key)
        found.append(_shown_disk(vm, settings, device, disk, pin) if disk is not None else device)
    return found


def _shown_disk(vm: VirtualMachine, settings: Settings, device: Record, disk: Disk, pin: str | None) -> Record:
    layer = disk.pins.get(pin, disk.top) if pin else disk.top
    backing = _backing(vm, device["backing"], disk, layer)
    if settings.tracking:
        told = vm.snapshots[pin].change_ids.get(device["key"]) if pin else disk.change_id if disk.tracking else None
        if told is not None:
            backing["changeId"] = told
    place = f"{vm.moid.removeprefix('vm-')}-{device['key']}"
    return Record(device.kind, **{**device.fields, "backing": backing, "diskObjectId": place})


def _backing(vm: VirtualMachine, told: Record, disk: Disk, layer: Layer) -> Record:
    backing = Record(
        told.kind,
        fileName=datastore_path(vm.datastore_name, disk.store.relative(layer.path)),
        datastore=vm.datastore,
        diskMode=told["diskMode"],
        uuid=disk.uuid,
        contentId=layer.descriptor.cid.rjust(32, "0"),
        sharing=told["sharing"] or "sharingNone",
    )
    if told.kind == RAW_DEVICE:
        names = ("lunUuid", "deviceName", "compatibilityMode")
        backing.fields.update({name: told[name] for name in names if told[name] is not None})
    else:
        backing.fields.update(split=False, writeThrough=False, thinProvisioned=disk.thin, digestEnabled=False)
        if disk.eager:
            backing["eagerlyScrub"] = True
    if layer.parent is not None:
        backing["parent"] = _backing(vm, told, disk, layer.parent)
    return backing


# places --------------------------------------------------------------------------------------------------------------


def fresh_key(settings: Settings, device: Record, taken: set[int]) -> int:
    """The key of a new device, in the range of its kind."""
    start = next((first for kind, first in _RANGES if schema.is_a(device.kind, kind)), 13000)
    key = start
    while key in settings.devices or key in taken:
        key += 1
    return key


_RANGES = (
    ("VirtualDisk", 2000),
    ("VirtualEthernetCard", 4000),
    ("VirtualSCSIController", 1000),
    ("VirtualAHCIController", 15000),
    ("VirtualNVMEController", 31000),
    ("VirtualCdrom", 3000),
    ("VirtualFloppy", 8000),
    ("VirtualSerialPort", 9000),
)


def disk_key(settings: Settings, controller: Record, unit: int) -> int:
    """The key of a disk: vCenter derives it from bus and unit."""
    key = 2000 + 16 * int(controller["busNumber"] or 0) + unit
    while key in settings.devices:
        key += 1
    return key


def place(settings: Settings, index: int, controller: Record | None, unit: int | None) -> int:
    """A free unit number on a controller. Raises `Fault("InvalidDeviceSpec")` when the wanted one is taken or none is left."""
    if controller is None:
        raise Fault("InvalidDeviceSpec", f"Invalid configuration for device '{index}': no such controller.", deviceIndex=index)
    scsi = schema.is_a(controller.kind, "VirtualSCSIController")
    limit = 16 if scsi else 2 if controller.kind == "VirtualIDEController" else 30
    used = {device["unitNumber"] for device in settings.devices.values() if device["controllerKey"] == controller["key"]}
    used |= {_SCSI_SELF} if scsi else set()
    if unit is None or unit < 0:
        unit = next((number for number in range(limit) if number not in used), limit)
    if unit in used or unit >= limit:
        raise Fault("InvalidDeviceSpec", f"Invalid configuration for device '{index}': unit {unit} is taken.", deviceIndex=index)
    return unit
