"""The record of a virtual machine: identity, settings, power, disks, snapshots, and what its guest tells."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from emulators.vcenter.disks import Disk
from emulators.vcenter.guests import GuestState
from emulators.vcenter.records import Record, Ref, copied

#: guestId -> name. The first word of the id decides the family (`guest_family`).
GUEST_NAMES = {
    "windows8Server64Guest": "Microsoft Windows Server 2012 (64-bit)",
    "windows9Server64Guest": "Microsoft Windows Server 2016 (64-bit)",
    "windows7Server64Guest": "Microsoft Windows Server 2008 R2 (64-bit)",
    "ubuntu64Guest": "Ubuntu Linux (64-bit)",
    "debian9_64Guest": "Debian GNU/Linux 9 (64-bit)",
    "debian10_64Guest": "Debian GNU/Linux 10 (64-bit)",
    "centos7_64Guest": "CentOS 7 (64-bit)",
    "rhel7_64Guest": "Red Hat Enterprise Linux 7 (64-bit)",
    "sles12_64Guest": "SUSE Linux Enterprise 12 (64-bit)",
    "other3xLinux64Guest": "Other 3.x or later Linux (64-bit)",
    "otherGuest64": "Other (64-bit)",
    "otherGuest": "Other (32-bit)",
}


def guest_name(guest_id: str) -> str:
    """The full name of a guest id."""
    return GUEST_NAMES.get(guest_id, guest_id)


def guest_family(guest_id: str) -> str:
    """`windowsGuest`, `linuxGuest` or `otherGuestFamily`."""
    if guest_id.lower().startswith("win"):
        return "windowsGuest"
    return "otherGuestFamily" if guest_id.lower().startswith("otherguest") else "linuxGuest"


@dataclass(slots=True)
class Settings:
    """What a snapshot keeps of a machine's configuration. `extra` is keyed by lower case; `more` are plain ConfigInfo fields."""

    guest_id: str
    cpus: int
    cores: int
    memory_mb: int
    firmware: str = "bios"
    annotation: str = ""
    tracking: bool = False
    extra: dict[str, tuple[str, str]] = field(default_factory=dict)
    devices: dict[int, Record] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def copy(self) -> "Settings":
        return replace(
            self,
            extra=dict(self.extra),
            devices={key: device.copy() for key, device in self.devices.items()},
            more={name: copied(value) for name, value in self.more.items()},
        )


@dataclass(slots=True)
class VirtualMachineSnapshot:
    """A snapshot: settings and, pinned in each disk under its moid, the bytes."""

    moid: str
    owner: Ref
    name: str
    description: str
    number: int
    created: float
    power: str
    memory: bool
    quiesced: bool
    parent: str | None
    settings: Settings
    disks: dict[int, Disk]
    change_ids: dict[int, str]
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "VirtualMachineSnapshot"


@dataclass(slots=True)
class VirtualMachine:
    """A machine. `disks` holds the disk behind each VirtualDisk device by its key; `directory` is its folder in the datastore."""

    moid: str
    name: str
    parent: Ref | None
    pool: Ref
    host: Ref
    datastore: Ref
    datastore_name: str
    directory: str
    vmx: str
    uuid: str
    instance_uuid: str
    created: float
    settings: Settings
    version: str = "vmx-13"
    disks: dict[int, Disk] = field(default_factory=dict)
    snapshots: dict[str, VirtualMachineSnapshot] = field(default_factory=dict)
    current: str | None = None
    power: str = "poweredOff"
    boot_time: float | None = None
    modified: float = 0.0
    change_version: int = 1
    guest: GuestState = field(default_factory=GuestState)
    environment_browser: Ref | None = None
    template: bool = False
    #: Where its files lay when they were written, if that is elsewhere: it may have been moved or copied.
    location: str = ""
    #: What it waits for an answer to.
    question: Record | None = None
    answer: str = ""
    #: A guest customization that is applied at the next power on.
    customization: Record | None = None
    tools_mounted: bool = False
    screen: tuple[int, int] = (720, 400)
    snapshot_count: int = 0
    importing: bool = False  #: a lease is still filling its disks
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "VirtualMachine"

    def extra_config_value(self, key: str) -> str | None:
        """A value of extraConfig; keys are compared without case, as ESXi does."""
        found = self.settings.extra.get(key.lower())
        return found[1] if found else None

    def attached_disks(self) -> "list[AttachedDisk]":
        """Its disks in the order a guest finds them: by controller, then unit."""
        found = [AttachedDisk(self, key) for key in self.disks]
        return sorted(found, key=lambda disk: (disk.bus, disk.unit))

    def datastores(self) -> set[str]:
        return {self.datastore.moid}

    def is_on(self, network: Any) -> bool:
        """Whether one of its cards is on a network: by name on a standard one, by key on a port group of a switch."""
        cards = [device["backing"] for device in self.settings.devices.values() if device["macAddress"] and device["backing"]]
        if network.kind == "OpaqueNetwork":
            return any(card["opaqueNetworkId"] == network.opaque_id for card in cards)
        if network.kind == "Network":
            return any(card["deviceName"] == network.name for card in cards)
        return any(card["port"] is not None and card["port"]["portgroupKey"] == network.moid for card in cards)


class DiskGone(OSError):
    """The disk was taken from the machine."""


@dataclass(slots=True)
class AttachedDisk:
    """A disk as its machine has it. Reads and writes go through the snapshot chain of the moment; offsets and lengths in bytes.

    Raises `DiskGone` when it is not attached any more, `disks.NoSpace` (an `OSError`) when the datastore is full.
    """

    vm: VirtualMachine
    key: int

    @property
    def disk(self) -> Disk:
        found = self.vm.disks.get(self.key)
        if found is None:
            raise DiskGone(f"disk {self.key} is not attached to {self.vm.name} any more")
        return found

    @property
    def size(self) -> int:
        return self.disk.size

    @property
    def uuid(self) -> str:
        """The UUID of the VMDK, lower case: it stays with the file wherever that is attached."""
        return self.disk.uuid.lower()

    @property
    def unit(self) -> int:
        """Unit number on its controller."""
        unit: int = self.vm.settings.devices[self.key]["unitNumber"]
        return unit

    @property
    def bus(self) -> int:
        """Bus number of its controller."""
        controller = self.vm.settings.devices.get(self.vm.settings.devices[self.key]["controllerKey"])
        number: int = controller["busNumber"] if controller else 0
        return number

    @property
    def label(self) -> str:
        label: str = self.vm.settings.devices[self.key]["deviceInfo"]["label"]
        return label

    @property
    def file_name(self) -> str:
        """Datastore path of the VMDK that takes the writes."""
        return f"[{self.vm.datastore_name}] {self.disk.file_name}"

    def read(self, offset: int, length: int) -> bytes:
        return self.disk.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        self.disk.write(offset, data)

    def flush(self) -> None:
        self.disk.flush()
