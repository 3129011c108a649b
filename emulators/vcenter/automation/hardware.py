"""The hardware of a machine: processors, memory, boot, disks, cards, drives and controllers."""

from collections.abc import Callable
from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.automation.act import Act, Acting, Operation, visible
from emulators.vcenter.automation.errors import Refusal
from emulators.vcenter.events import datacenter_of
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_devices import network_backing, network_card, network_of
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.records import Record

_GIB = 1024**3
_NETWORKS = ("Network", "DistributedVirtualPortgroup", "OpaqueNetwork")
_SCSI = {
    "ParaVirtualSCSIController": "PVSCSI",
    "VirtualLsiLogicController": "LSILOGIC",
    "VirtualLsiLogicSASController": "LSILOGICSAS",
    "VirtualBusLogicController": "BUSLOGIC",
}
_SHARING = {"noSharing": "NONE", "virtualSharing": "VIRTUAL", "physicalSharing": "PHYSICAL"}
_CARDS = {
    "VirtualE1000": "E1000",
    "VirtualE1000e": "E1000E",
    "VirtualPCNet32": "PCNET32",
    "VirtualVmxnet": "VMXNET",
    "VirtualVmxnet2": "VMXNET2",
    "VirtualVmxnet3": "VMXNET3",
}
_BUSES = {
    "VirtualSCSIController": "SCSI",
    "VirtualIDEController": "IDE",
    "VirtualSATAController": "SATA",
    "VirtualNVMEController": "NVME",
}
_MAC = {"manual": "MANUAL", "generated": "GENERATED", "assigned": "ASSIGNED"}


def machine(call: Call, given: dict[str, Any]) -> VirtualMachine:
    """The machine that an operation names. Raises `Refusal("not_found")`."""
    found: VirtualMachine = visible(call, ("VirtualMachine",), given["vm"])
    return found


def _key_of(kinds: Any, names: dict[str, str], wanted: str) -> str:
    return next(kind for kind, name in names.items() if name == wanted)


def devices(vm: VirtualMachine, kind: str) -> dict[str, Record]:
    """The devices of a kind by their ids, in order."""
    found = sorted(vm.settings.devices.items())
    return {str(key): device for key, device in found if schema.is_a(device.kind, kind)}


def _device(vm: VirtualMachine, kind: str, told: str) -> Record:
    found = devices(vm, kind).get(told)
    if found is None:
        raise Refusal("not_found", f"The virtual machine has no {kind} {told!r}.")
    return found


# as the API shows them -----------------------------------------------------------------------------------------------


def _version(vm: VirtualMachine) -> str:
    return f"VMX_{int(vm.version.removeprefix('vmx-')):02d}"


def hardware_info(_inventory: Inventory, vm: VirtualMachine) -> dict[str, Any]:
    return {"version": _version(vm), "upgrade_policy": "NEVER", "upgrade_status": "NONE"}


def boot_info(_inventory: Inventory, vm: VirtualMachine) -> dict[str, Any]:
    options = vm.settings.more.get("bootOptions") or Record("VirtualMachineBootOptions")
    efi = vm.settings.firmware == "efi"
    return {
        "type": "EFI" if efi else "BIOS",
        **({"efi_legacy_boot": False, "network_protocol": "IPV4"} if efi else {}),
        "delay": options["bootDelay"] or 0,
        "retry": bool(options["bootRetryEnabled"]),
        "retry_delay": options["bootRetryDelay"] or 10_000,
        "enter_setup_mode": bool(options["enterBIOSSetup"]),
    }


def cpu_info(_inventory: Inventory, vm: VirtualMachine) -> dict[str, Any]:
    more = vm.settings.more
    hot = {"hot_add_enabled": bool(more.get("cpuHotAddEnabled")), "hot_remove_enabled": bool(more.get("cpuHotRemoveEnabled"))}
    return {"count": vm.settings.cpus, "cores_per_socket": vm.settings.cores, **hot}


def memory_info(_inventory: Inventory, vm: VirtualMachine) -> dict[str, Any]:
    return {"size_MiB": vm.settings.memory_mb, "hot_add_enabled": bool(vm.settings.more.get("memoryHotAddEnabled"))}


def _address(vm: VirtualMachine, device: Record) -> dict[str, Any]:
    controller = vm.settings.devices.get(device["controllerKey"])
    sort = next((name for kind, name in _BUSES.items() if controller and schema.is_a(controller.kind, kind)), "SCSI")
    bus, unit = (controller["busNumber"] if controller else 0), device["unitNumber"] or 0
    place = {"primary": bus == 0, "master": unit == 0} if sort == "IDE" else {"bus": bus, "unit": unit}
    return {"type": sort, sort.lower(): place}


def disk_info(_inventory: Inventory, vm: VirtualMachine, device: Record) -> dict[str, Any]:
    disk = vm.disks[device["key"]]
    backing = {"type": "VMDK_FILE", "vmdk_file": datastore_path(vm.datastore_name, disk.file_name)}
    return {"label": device["deviceInfo"]["label"], **_address(vm, device), "backing": backing, "capacity": disk.size}


def _connection(vm: VirtualMachine, device: Record) -> dict[str, Any]:
    told = device["connectable"] or Record("VirtualDeviceConnectInfo")
    connected = vm.power == "poweredOn" and bool(told["connected"])
    return {
        "state": "CONNECTED" if connected else "NOT_CONNECTED",
        "start_connected": bool(told["startConnected"]),
        "allow_guest_control": bool(told["allowGuestControl"]),
    }


def card_info(inventory: Inventory, vm: VirtualMachine, device: Record) -> dict[str, Any]:
    network = network_of(inventory, device["backing"])
    sort = _CARDS.get(device.kind, "VMXNET3")
    port = device["backing"]["port"]
    backing = {"type": "STANDARD_PORTGROUP", "network_name": device["backing"]["deviceName"] or ""}
    if port is not None:
        backing = {"type": "DISTRIBUTED_PORTGROUP", "distributed_switch_uuid": port["switchUuid"]}
        backing |= {"distributed_port": port["portKey"] or "", "connection_cookie": port["connectionCookie"] or 0}
    if network is not None:
        backing["network"] = network.moid
    return {
        "label": device["deviceInfo"]["label"],
        "type": sort,
        **({"upt_compatibility_enabled": False, "upt_v2_compatibility_enabled": False} if sort == "VMXNET3" else {}),
        "mac_type": _MAC.get(device["addressType"] or "", "ASSIGNED"),
        "mac_address": device["macAddress"],
        "wake_on_lan_enabled": bool(device["wakeOnLanEnabled"]),
        "backing": backing,
        **_connection(vm, device),
    }


def cdrom_info(_inventory: Inventory, vm: VirtualMachine, device: Record) -> dict[str, Any]:
    file = device["backing"]["fileName"] if device["backing"] else None
    backing = {"type": "ISO_FILE", "iso_file": file} if file else {"type": "CLIENT_DEVICE"}
    return {"label": device["deviceInfo"]["label"], **_address(vm, device), "backing": backing, **_connection(vm, device)}


def scsi_info(_inventory: Inventory, _vm: VirtualMachine, device: Record) -> dict[str, Any]:
    place = {"bus": device["busNumber"], "unit": device["scsiCtlrUnitNumber"] or 7}
    label = device["deviceInfo"]["label"]
    return {"label": label, "type": _SCSI[device.kind], "scsi": place, "sharing": _SHARING[device["sharedBus"] or "noSharing"]}


def sata_info(_inventory: Inventory, _vm: VirtualMachine, device: Record) -> dict[str, Any]:
    return {"label": device["deviceInfo"]["label"], "type": "AHCI", "bus": device["busNumber"]}


def nvme_info(_inventory: Inventory, _vm: VirtualMachine, device: Record) -> dict[str, Any]:
    return {"label": device["deviceInfo"]["label"], "bus": device["busNumber"]}


_BOOTABLE = (
    ("VirtualMachineBootOptionsBootableDiskDevice", "DISK"),
    ("VirtualMachineBootOptionsBootableEthernetDevice", "ETHERNET"),
    ("VirtualMachineBootOptionsBootableCdromDevice", "CDROM"),
    ("VirtualMachineBootOptionsBootableFloppyDevice", "FLOPPY"),
)


def boot_devices(_inventory: Inventory, vm: VirtualMachine) -> list[dict[str, Any]]:
    """The order of boot devices; disks that follow each other are one entry."""
    options = vm.settings.more.get("bootOptions")
    found: list[dict[str, Any]] = []
    for device in (options["bootOrder"] if options else None) or []:
        sort = dict(_BOOTABLE)[device.kind]
        if sort == "DISK" and found and found[-1]["type"] == "DISK":
            found[-1]["disks"].append(str(device["deviceKey"]))
        elif sort == "DISK":
            found.append({"type": sort, "disks": [str(device["deviceKey"])]})
        else:
            found.append({"type": sort} | ({"nic": str(device["deviceKey"])} if sort == "ETHERNET" else {}))
    return found


#: Field of a machine's description, service, kind of device, how one is shown, and the name of its id.
_SHOWN: tuple[tuple[str, str, str, Callable[[Inventory, VirtualMachine, Record], dict[str, Any]], str], ...] = (
    ("disks", "disk", "VirtualDisk", disk_info, "disk"),
    ("nics", "ethernet", "VirtualEthernetCard", card_info, "nic"),
    ("cdroms", "cdrom", "VirtualCdrom", cdrom_info, "cdrom"),
    ("scsi_adapters", "adapter.scsi", "VirtualSCSIController", scsi_info, "adapter"),
    ("sata_adapters", "adapter.sata", "VirtualAHCIController", sata_info, "adapter"),
    ("nvme_adapters", "adapter.nvme", "VirtualNVMEController", nvme_info, "adapter"),
)
_INFOS: dict[str, Callable[[Inventory, VirtualMachine], Any]] = {
    "hardware": hardware_info,
    "boot": boot_info,
    "boot_devices": boot_devices,
    "cpu": cpu_info,
    "memory": memory_info,
}


def parts(inventory: Inventory, vm: VirtualMachine) -> dict[str, Any]:
    """All of the hardware, by the fields of a machine's description."""
    shown = {
        field: {key: info(inventory, vm, device) for key, device in devices(vm, kind).items()}
        for field, _, kind, info, _ in _SHOWN
    }
    empty: dict[str, Any] = {"floppies": {}, "parallel_ports": {}, "serial_ports": {}}
    return {name: info(inventory, vm) for name, info in _INFOS.items()} | shown | empty


# changes -------------------------------------------------------------------------------------------------------------


def _reconfigure(vm: VirtualMachine, **fields: Any) -> Act:
    told = {name: value for name, value in fields.items() if value is not None}
    return Act(vm, "ReconfigVM_Task", {"spec": Record("VirtualMachineConfigSpec", **told)})


def _change(vm: VirtualMachine, operation: str, device: Record, file: str | None = None) -> Act:
    change = Record("VirtualDeviceConfigSpec", operation=operation, device=device)
    if file:
        change["fileOperation"] = file
    return _reconfigure(vm, deviceChange=[change])


def update_cpu(call: Call, given: dict[str, Any]) -> Acting:
    """Change the processors."""
    spec = given["spec"]
    hot = {"cpuHotAddEnabled": spec.get("hot_add_enabled"), "cpuHotRemoveEnabled": spec.get("hot_remove_enabled")}
    yield _reconfigure(machine(call, given), numCPUs=spec.get("count"), numCoresPerSocket=spec.get("cores_per_socket"), **hot)


def update_memory(call: Call, given: dict[str, Any]) -> Acting:
    """Change the memory."""
    spec = given["spec"]
    yield _reconfigure(machine(call, given), memoryMB=spec.get("size_MiB"), memoryHotAddEnabled=spec.get("hot_add_enabled"))


_BOOT_FIELDS = {
    "delay": "bootDelay",
    "retry": "bootRetryEnabled",
    "retry_delay": "bootRetryDelay",
    "enter_setup_mode": "enterBIOSSetup",
}


def _boot_options(vm: VirtualMachine | None, spec: dict[str, Any]) -> Record | None:
    told = {field: spec[name] for name, field in _BOOT_FIELDS.items() if name in spec}
    now = vm.settings.more.get("bootOptions") if vm is not None else None
    return Record("VirtualMachineBootOptions", **{**(now.fields if now else {}), **told}) if told else None


def _firmware(spec: dict[str, Any]) -> str | None:
    told: str | None = spec.get("type")
    return told.lower() if told else None


def update_boot(call: Call, given: dict[str, Any]) -> Acting:
    """Change firmware and boot options."""
    vm, spec = machine(call, given), given["spec"]
    yield _reconfigure(vm, firmware=_firmware(spec), bootOptions=_boot_options(vm, spec))


def set_boot_devices(call: Call, given: dict[str, Any]) -> Acting:
    """Set the order of boot devices."""
    vm = machine(call, given)
    kinds = {sort: kind for kind, sort in _BOOTABLE}
    order = []
    for entry in given["devices"]:
        kind = kinds[entry["type"]]
        if entry["type"] == "DISK":
            order += [Record(kind, deviceKey=_device(vm, "VirtualDisk", told)["key"]) for told in entry.get("disks") or []]
        elif entry["type"] == "ETHERNET":
            if "nic" not in entry:
                raise Refusal("invalid_argument", "devices: an ETHERNET entry names its nic.")
            order.append(Record(kind, deviceKey=_device(vm, "VirtualEthernetCard", entry["nic"])["key"]))
        else:
            order.append(Record(kind))
    now = vm.settings.more.get("bootOptions")
    options = Record("VirtualMachineBootOptions", **{**(now.fields if now else {}), "bootOrder": order})
    yield _reconfigure(vm, bootOptions=options)


def _added(vm: VirtualMachine, before: set[int], kind: str) -> str:
    return next(str(key) for key, device in vm.settings.devices.items() if key not in before and schema.is_a(device.kind, kind))


def _new_disk(spec: dict[str, Any], key: int, controller: int, datastore: str) -> tuple[Record, str | None]:
    """The device of a disk specification, and what happens to its file."""
    sort = (spec.get("type") or "SCSI").lower()
    unit = (spec.get(sort) or {}).get("unit")
    backing = Record("VirtualDiskFlatVer2BackingInfo", fileName=f"[{datastore}]", diskMode="persistent", thinProvisioned=True)
    device = Record("VirtualDisk", key=key, controllerKey=controller, unitNumber=unit, backing=backing)
    if "backing" in spec:
        if not spec["backing"].get("vmdk_file"):
            raise Refusal("invalid_argument", "spec.backing.vmdk_file is required.")
        backing["fileName"] = spec["backing"]["vmdk_file"]
        device["capacityInKB"] = 0
        return device, None
    size = (spec.get("new_vmdk") or {}).get("capacity") or 16 * _GIB
    device["capacityInKB"], device["capacityInBytes"] = size // 1024, size
    return device, "create"


def create_disk(call: Call, given: dict[str, Any]) -> Acting:
    """Add a disk: a new one or that of a file."""
    vm, spec = machine(call, given), given["spec"]
    sort = spec.get("type") or "SCSI"
    bus = (spec.get(sort.lower()) or {}).get("bus", 0)
    kind = next(kind for kind, name in _BUSES.items() if name == sort)
    controller = next((device for device in devices(vm, kind).values() if device["busNumber"] == bus), None)
    if controller is None:
        raise Refusal("invalid_argument", f"The virtual machine has no {sort} controller with bus {bus}.")
    before = set(vm.settings.devices)
    device, file = _new_disk(spec, -1, controller["key"], vm.datastore_name)
    yield _change(vm, "add", device, file)
    return _added(vm, before, "VirtualDisk")


def delete_disk(call: Call, given: dict[str, Any]) -> Acting:
    """Take a disk away; its file stays."""
    vm = machine(call, given)
    yield _change(vm, "remove", _device(vm, "VirtualDisk", given["disk"]))


def _card(call: Call, spec: dict[str, Any], key: int, datacenter: Any) -> Record:
    """The device of a card specification."""
    told = (spec.get("backing") or {}).get("network")
    if told is None:
        seen = [call.inventory.find(one.moid) for one in datacenter.networks]
        network = next((one for one in seen if one.kind == "Network"), None)
        if network is None:
            raise Refusal("invalid_argument", "spec.backing.network is required.")
    else:
        network = visible(call, _NETWORKS, told)
    device = network_card(call.inventory, key, network, spec.get("mac_address") or "")
    kind = next(kind for kind, name in _CARDS.items() if name == (spec.get("type") or "VMXNET3"))
    device = Record(kind, **{name: value for name, value in device.fields.items() if name != "unitNumber"})
    device["addressType"] = "manual" if spec.get("mac_address") else (spec.get("mac_type") or "GENERATED").lower()
    return _tuned(device, spec)


def _tuned(device: Record, spec: dict[str, Any]) -> Record:
    for name, field in (("start_connected", "startConnected"), ("allow_guest_control", "allowGuestControl")):
        if name in spec:
            device["connectable"][field] = spec[name]
    if "wake_on_lan_enabled" in spec:
        device["wakeOnLanEnabled"] = spec["wake_on_lan_enabled"]
    return device


def create_card(call: Call, given: dict[str, Any]) -> Acting:
    """Add a card."""
    vm = machine(call, given)
    before = set(vm.settings.devices)
    yield _change(vm, "add", _card(call, given["spec"], -1, datacenter_of(call.inventory, vm)))
    return _added(vm, before, "VirtualEthernetCard")


def update_card(call: Call, given: dict[str, Any]) -> Acting:
    """Change network, address and connection of a card."""
    vm, spec = machine(call, given), given["spec"]
    device = _tuned(_device(vm, "VirtualEthernetCard", given["nic"]).copy(), spec)
    told = (spec.get("backing") or {}).get("network")
    if told is not None:
        device["backing"] = network_backing(call.inventory, visible(call, _NETWORKS, told))
    if spec.get("mac_address"):
        device["macAddress"], device["addressType"] = spec["mac_address"], "manual"
    yield _change(vm, "edit", device)


def delete_card(call: Call, given: dict[str, Any]) -> Acting:
    """Take a card away."""
    vm = machine(call, given)
    yield _change(vm, "remove", _device(vm, "VirtualEthernetCard", given["nic"]))


def _connected(wanted: bool) -> Operation:
    def change(call: Call, given: dict[str, Any]) -> Acting:
        vm = machine(call, given)
        device = _device(vm, "VirtualEthernetCard", given["nic"]).copy()
        if vm.power != "poweredOn":
            raise Refusal("not_allowed_in_current_state", "The virtual machine is not powered on.")
        if bool(device["connectable"]["connected"]) is wanted:
            raise Refusal("already_in_desired_state", "The card is in that state already.")
        device["connectable"]["connected"] = wanted
        yield _change(vm, "edit", device)

    return change


def into_config(call: Call, config: Record, spec: dict[str, Any], folder: Any) -> None:
    """Put the hardware of a new machine's specification into its ConfigSpec. Raises `Refusal`."""
    cpu, memory, boot = spec.get("cpu") or {}, spec.get("memory") or {}, spec.get("boot") or {}
    told = {
        "numCPUs": cpu.get("count"),
        "numCoresPerSocket": cpu.get("cores_per_socket"),
        "memoryMB": memory.get("size_MiB"),
        "cpuHotAddEnabled": cpu.get("hot_add_enabled"),
        "memoryHotAddEnabled": memory.get("hot_add_enabled"),
        "firmware": _firmware(boot),
        "bootOptions": _boot_options(None, boot),
        "version": spec["hardware_version"].lower().replace("_", "-") if "hardware_version" in spec else None,
    }
    config.fields.update({name: value for name, value in told.items() if value is not None})
    adapters = spec.get("scsi_adapters") or [{}]
    kinds = {name: kind for kind, name in _SCSI.items()}
    shared = {name: kind for kind, name in _SHARING.items()}
    added: list[tuple[Record, str | None]] = []
    for bus, adapter in enumerate(adapters):
        kind = kinds[adapter.get("type") or "PVSCSI"]
        sharing = shared[adapter.get("sharing") or "NONE"]
        added.append((Record(kind, key=-100 - bus, busNumber=adapter.get("bus", bus), sharedBus=sharing), None))
    datastore = config["files"]["vmPathName"].strip("[]")
    for number, disk in enumerate(spec.get("disks", [{}])):
        if (disk.get("type") or "SCSI") != "SCSI":
            raise Refusal("unsupported", "Disks of a new virtual machine are put on SCSI controllers only.")
        added.append(_new_disk(disk, -1 - number, -100 - (disk.get("scsi") or {}).get("bus", 0), datastore))
    datacenter = datacenter_of(call.inventory, folder)
    for number, card in enumerate(spec.get("nics", [{}])):
        added.append((_card(call, card, -50 - number, datacenter), None))
    config["deviceChange"] = [
        Record("VirtualDeviceConfigSpec", operation="add", device=device, **({"fileOperation": file} if file else {}))
        for device, file in added
    ]


def _get(info: Callable[[Inventory, VirtualMachine], Any]) -> Operation:
    return lambda call, given: info(call.inventory, machine(call, given))


def _list_of(kind: str, name: str) -> Operation:
    return lambda call, given: [{name: key} for key in devices(machine(call, given), kind)]


def _one_of(kind: str, name: str, info: Callable[[Inventory, VirtualMachine, Record], dict[str, Any]]) -> Operation:
    def get(call: Call, given: dict[str, Any]) -> dict[str, Any]:
        vm = machine(call, given)
        return info(call.inventory, vm, _device(vm, kind, given[name]))

    return get


OPERATIONS: dict[str, Operation] = {
    "vcenter.vm.hardware.get": _get(hardware_info),
    "vcenter.vm.hardware.boot.get": _get(boot_info),
    "vcenter.vm.hardware.boot.update": update_boot,
    "vcenter.vm.hardware.boot.device.get": _get(boot_devices),
    "vcenter.vm.hardware.boot.device.set": set_boot_devices,
    "vcenter.vm.hardware.cpu.get": _get(cpu_info),
    "vcenter.vm.hardware.cpu.update": update_cpu,
    "vcenter.vm.hardware.memory.get": _get(memory_info),
    "vcenter.vm.hardware.memory.update": update_memory,
    "vcenter.vm.hardware.disk.create": create_disk,
    "vcenter.vm.hardware.disk.delete": delete_disk,
    "vcenter.vm.hardware.ethernet.connect": _connected(True),
    "vcenter.vm.hardware.ethernet.create": create_card,
    "vcenter.vm.hardware.ethernet.delete": delete_card,
    "vcenter.vm.hardware.ethernet.disconnect": _connected(False),
    "vcenter.vm.hardware.ethernet.update": update_card,
    **{f"vcenter.vm.hardware.{service}.list": _list_of(kind, name) for _, service, kind, _, name in _SHOWN},
    **{f"vcenter.vm.hardware.{service}.get": _one_of(kind, name, info) for _, service, kind, info, name in _SHOWN},
}
