"""Machines of a vCenter as plain records, and what is done to them: power and disks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim

from reference_impl.outside import Process
from reference_impl.vsphere.session import Session, VSphereError

PATHS = [
    "name", "config.uuid", "config.instanceUuid", "config.guestId", "config.guestFullName", "config.template",
    "config.firmware", "config.hardware", "config.extraConfig", "runtime.powerState", "guest.ipAddress", "guest.hostName",
    "guest.net", "guest.toolsRunningStatus", "runtime.host", "snapshot",
]  # fmt: skip

#: Units of one SCSI controller; 7 is the controller's own.
UNITS = [unit for unit in range(16) if unit != 7]

#: A machine has at most four SCSI controllers.
CONTROLLERS = 4

#: A shutdown that the guest has not finished after this many seconds is followed by a power off.
SHUTDOWN_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class MachineDisk:
    """A virtual disk of a machine. `disk_id` is the UUID of the VMDK; `unit` counts over controllers (16 each)."""

    disk_id: str
    name: str
    unit: int
    size: int
    datastore: str
    file: str
    bus: int
    unit_number: int
    key: int
    shared: bool = False


@dataclass(frozen=True, slots=True)
class MachineNic:
    nic_id: str
    mac: str
    ip: str
    network: str


@dataclass(frozen=True, slots=True)
class Machine:
    """A virtual machine. `machine_id` is its BIOS UUID in lower case; `extra_config` has keys in lower case."""

    moid: str
    machine_id: str
    instance_id: str
    name: str
    powered_on: bool
    os_type: str
    os_name: str
    host_name: str
    ip_addresses: tuple[str, ...]
    cpu_count: int
    memory_mb: int
    firmware: str
    has_snapshots: bool
    template: bool
    nics: tuple[MachineNic, ...]
    disks: tuple[MachineDisk, ...]
    controllers: tuple[str, ...]
    host: str
    tools_running: bool
    extra_config: dict[str, str] = field(default_factory=dict)

    def disk(self, disk_id: str) -> MachineDisk | None:
        return next((disk for disk in self.disks if disk.disk_id == disk_id), None)


@dataclass(frozen=True, slots=True)
class DataStore:
    """A datastore. `kind` is VMFS, vsan, NFS, ...; sizes in bytes."""

    store_id: str
    name: str
    kind: str
    capacity: int
    free: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """An existing VMDK to be attached, at a wanted place or (bus -1) at any free one."""

    disk_id: str
    file: str
    bus: int = -1
    unit_number: int = -1


# reading -------------------------------------------------------------------------------------------------------------


def all_machines(session: Session) -> list[Machine]:
    """Every machine the account sees, in the order of their ids, without templates."""
    found = [_machine(moid, values) for moid, values in session.read_all("VirtualMachine", PATHS)]
    return sorted((m for m in found if m is not None and not m.template), key=lambda m: _natural(m.moid))


def machine(session: Session, moid: str) -> Machine:
    """One machine as it is now. `VSphereError` `machine-missing` when it is gone."""
    found = _machine(moid, session.read("VirtualMachine", moid, PATHS))
    if found is None:
        raise VSphereError("machine-missing", f"vCenter {session.address} shows no configuration of {moid}")
    return found


def _natural(moid: str) -> tuple[str, int]:
    prefix, _, number = moid.rpartition("-")
    return (prefix, int(number)) if number.isdigit() else (moid, 0)


def _machine(moid: str, values: dict[str, Any]) -> Machine | None:
    if not values.get("config.uuid"):
        return None  # registered but not readable: there is no configuration to protect
    hardware = values["config.hardware"]
    guest_id = str(values.get("config.guestId") or "")
    nics = tuple(_nics(hardware.device, values.get("guest.net") or []))
    addresses = [values.get("guest.ipAddress"), *(nic.ip for nic in nics)]
    return Machine(
        moid=moid,
        machine_id=str(values["config.uuid"]).lower(),
        instance_id=str(values.get("config.instanceUuid") or "").lower(),
        name=str(values.get("name", "")),
        powered_on=values.get("runtime.powerState") == "poweredOn",
        os_type="WINDOWS" if guest_id.lower().startswith("win") else "LINUX",
        os_name=str(values.get("config.guestFullName") or guest_id),
        host_name=str(values.get("guest.hostName") or ""),
        ip_addresses=tuple(dict.fromkeys(address for address in addresses if address)),
        cpu_count=int(hardware.numCPU),
        memory_mb=int(hardware.memoryMB),
        firmware=str(values.get("config.firmware") or "bios").upper(),
        has_snapshots=values.get("snapshot") is not None,
        template=bool(values.get("config.template")),
        nics=nics,
        disks=tuple(_disks(hardware.device)),
        controllers=tuple(
            type(device).__name__.rsplit(".", 1)[-1] for device in _only(vim.vm.device.VirtualSCSIController, hardware.device)
        ),
        host=str(values["runtime.host"]._GetMoId()) if values.get("runtime.host") is not None else "",
        tools_running=values.get("guest.toolsRunningStatus") == "guestToolsRunning",
        extra_config={str(row.key).lower(): str(row.value) for row in values.get("config.extraConfig") or []},
    )


def _nics(devices: Iterable[Any], reported: Iterable[Any]) -> Iterable[MachineNic]:
    seen = {str(net.macAddress).lower(): net for net in reported if net.macAddress}
    for device in devices:
        if isinstance(device, vim.vm.device.VirtualEthernetCard):
            net = seen.get(str(device.macAddress or "").lower())
            ips = list(net.ipAddress or []) if net is not None else []
            network = str(net.network or "") if net is not None else str(getattr(device.backing, "deviceName", "") or "")
            yield MachineNic(str(device.key), str(device.macAddress or ""), str(ips[0]) if ips else "", network)


def _only(kind: Any, devices: Iterable[Any]) -> list[Any]:
    return [device for device in devices if isinstance(device, kind)]


def _disks(devices: Iterable[Any]) -> Iterable[MachineDisk]:
    devices = list(devices)
    buses = {device.key: int(device.busNumber) for device in _only(vim.vm.device.VirtualController, devices)}
    disks = []
    for device in _only(vim.vm.device.VirtualDisk, devices):
        bus, unit = buses.get(device.controllerKey, 0), int(device.unitNumber or 0)
        file = str(device.backing.fileName)
        label = str(device.deviceInfo.label) if device.deviceInfo else f"disk {device.key}"
        size = int(device.capacityInBytes or device.capacityInKB * 1024)
        disk_id = str(device.backing.uuid or "").lower()
        datastore = file.partition("]")[0].lstrip("[")
        shared = getattr(device.backing, "sharing", None) == "sharingMultiWriter"
        disks.append(MachineDisk(disk_id, label, bus * 16 + unit, size, datastore, file, bus, unit, int(device.key), shared))
    return sorted(disks, key=lambda disk: disk.unit)


def data_stores(session: Session) -> dict[str, list[DataStore]]:
    """The datastores that each host can use, by the host's moid."""
    known = {}
    for moid, values in session.read_all("Datastore", ["summary"]):
        summary = values["summary"]
        store_id = str(summary.url or "").rstrip("/").rsplit("/", 1)[-1]
        known[moid] = DataStore(store_id, str(summary.name), str(summary.type), int(summary.capacity), int(summary.freeSpace))
    found = {}
    for moid, values in session.read_all("HostSystem", ["datastore"]):
        mounted = [known[store._GetMoId()] for store in values.get("datastore") or [] if store._GetMoId() in known]
        found[moid] = sorted(mounted, key=lambda store: store.name)
    return found


# power ---------------------------------------------------------------------------------------------------------------


def power_on(session: Session, moid: str) -> Process:
    """Power on unless it is on already."""
    if not machine(session, moid).powered_on:
        yield from session.run(moid, "PowerOnVM_Task")


def power_off(session: Session, moid: str) -> Process:
    """Pull the plug unless it is off already."""
    if machine(session, moid).powered_on:
        yield from session.run(moid, "PowerOffVM_Task")


def shut_down(session: Session, moid: str) -> Process:
    """Ask the guest to shut down, power off when it does not. Returns whether the guest did it itself."""
    if not machine(session, moid).powered_on:
        return False
    try:
        session.call(moid, "ShutdownGuest")
    except VSphereError as error:
        if error.reason != "vcenter-fault":
            raise
        yield from power_off(session, moid)  # no tools in the guest, or it is not running them
        return False
    waited = 0.0
    while machine(session, moid).powered_on:
        if waited >= SHUTDOWN_SECONDS:
            yield from power_off(session, moid)
            return False
        yield 2.0
        waited += 2.0
    return True


# disks ---------------------------------------------------------------------------------------------------------------


def detach_disks(session: Session, moid: str, disk_ids: Iterable[str]) -> Process:
    """Take disks off a machine and keep their files. Those that are not attached are left out."""
    wanted = set(disk_ids)
    hardware = session.read("VirtualMachine", moid, ["config.hardware"])["config.hardware"]
    changes = [
        vim.vm.device.VirtualDeviceSpec(operation="remove", device=device)
        for device in _only(vim.vm.device.VirtualDisk, hardware.device)
        if str(device.backing.uuid or "").lower() in wanted
    ]
    if changes:
        yield from session.run(moid, "ReconfigVM_Task", vim.vm.ConfigSpec(deviceChange=changes))


def attach_disks(session: Session, moid: str, attachments: Iterable[Attachment]) -> Process:
    """Attach existing VMDKs; those that are attached already are left out."""
    present = {disk.disk_id for disk in machine(session, moid).disks}
    missing = [attachment for attachment in attachments if attachment.disk_id not in present]
    if not missing:
        return
    hardware = session.read("VirtualMachine", moid, ["config.hardware"])["config.hardware"]
    slots = _Slots(hardware.device)
    changes = []
    for number, attachment in enumerate(missing):
        controller_key, unit, added = slots.take(attachment.bus, attachment.unit_number)
        changes.extend(added)
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName=attachment.file, diskMode=vim.vm.device.VirtualDiskOption.DiskMode.persistent
        )
        disk = vim.vm.device.VirtualDisk(key=-200 - number, controllerKey=controller_key, unitNumber=unit, backing=backing)
        changes.append(vim.vm.device.VirtualDeviceSpec(operation="add", device=disk))
    yield from session.run(moid, "ReconfigVM_Task", vim.vm.ConfigSpec(deviceChange=changes))


class _Slots:
    """Free places on the SCSI controllers of one machine. A controller is added when all are full."""

    def __init__(self, devices: Iterable[Any]):
        devices = list(devices)
        scsi = _only(vim.vm.device.VirtualSCSIController, devices)
        self._keys: dict[int, int] = {int(device.busNumber): int(device.key) for device in scsi}
        bus_of = {key: bus for bus, key in self._keys.items()}
        self._used = {
            (bus_of[device.controllerKey], int(device.unitNumber))
            for device in devices
            if device.controllerKey in bus_of and device.unitNumber is not None
        }

    def take(self, bus: int, unit: int) -> tuple[int, int, list[Any]]:
        """(controller key, unit, device changes that come first) of the wanted place, or of a free one for bus -1."""
        added: list[Any] = []
        if bus < 0:
            bus, unit = self._free()
        if bus not in self._keys:
            self._keys[bus] = -100 - bus
            controller = vim.vm.device.VirtualLsiLogicController(key=self._keys[bus], busNumber=bus, sharedBus="noSharing")
            added.append(vim.vm.device.VirtualDeviceSpec(operation="add", device=controller))
        self._used.add((bus, unit))
        return self._keys[bus], unit, added

    def _free(self) -> tuple[int, int]:
        for bus in sorted(set(range(CONTROLLERS)), key=lambda bus: (bus not in self._keys, bus)):
            for unit in UNITS:
                if (bus, unit) not in self._used:
                    return bus, unit
        raise VSphereError("vcenter-fault", "every SCSI controller of the machine is full", "TooManyDevices")
