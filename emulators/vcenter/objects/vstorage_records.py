"""What is known of first class disks: the catalogue, and how a disk is shown."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.disks import Disk
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.records import Record, Ref

_MIB = 1024 * 1024
#: The object that holds the catalogue.
MANAGER = "VStorageObjectManager"


@dataclass(slots=True)
class Point:
    """A snapshot of a first class disk; its bytes are pinned in the disk under its id."""

    id: str
    description: str
    created: float
    change_id: str | None
    metadata: dict[str, str]


@dataclass(slots=True)
class FirstClassDisk:
    """One disk with its name, flags, metadata, tags (category, tag), policies and snapshots. `clock` counts its changes."""

    id: str
    name: str
    datastore: Ref
    disk: Disk
    created: float
    flags: set[str]
    metadata: dict[str, str] = field(default_factory=dict)
    tags: list[tuple[str, str]] = field(default_factory=list)
    policy: list[str] = field(default_factory=list)
    points: dict[str, Point] = field(default_factory=dict)
    clock: int = 1


@dataclass(slots=True)
class Catalogue:
    """All first class disks of a vCenter by their ids."""

    disks: dict[str, FirstClassDisk] = field(default_factory=dict)
    policies: dict[str, list[str]] = field(default_factory=dict)  #: of the infrastructure, by datastore

    def of(self, ident: str) -> FirstClassDisk | None:
        """The disk of an id; one whose files were deleted otherwise is forgotten."""
        found = self.disks.get(ident)
        if found is not None and found.disk.gone:
            del self.disks[ident]
            return None
        return found

    def all(self) -> list[FirstClassDisk]:
        return [one for one in (self.of(ident) for ident in list(self.disks)) if one is not None]


def catalogue(inventory: Inventory) -> Catalogue:
    found: Catalogue = inventory.find(MANAGER).catalogue
    return found


def kept_after_machine(inventory: Inventory, disk: Disk) -> bool:
    """Whether a disk stays when its machine is deleted."""
    return any(one.disk is disk and "keepAfterDeleteVm" in one.flags for one in catalogue(inventory).all())


def identity(ident: str) -> Record:
    return Record("ID", id=ident)


def label(inventory: Inventory, one: FirstClassDisk, file: str) -> str:
    return datastore_path(inventory.find(one.datastore.moid).name, file)


def shown(inventory: Inventory, one: FirstClassDisk) -> Record:
    """VStorageObject."""
    disk = one.disk
    backing = Record(
        "BaseConfigInfoDiskFileBackingInfo",
        datastore=one.datastore,
        filePath=label(inventory, one, disk.file_name),
        backingObjectId=disk.uuid,
        provisioningType="thin" if disk.thin else "eagerZeroedThick" if disk.eager else "lazyZeroedThick",
    )
    if disk.top.parent is not None:
        parent = label(inventory, one, disk.store.relative(disk.top.parent.path))
        backing["parent"] = Record("BaseConfigInfoFileBackingInfo", datastore=one.datastore, filePath=parent)
    config: dict[str, Any] = {
        "id": identity(one.id),
        "name": one.name,
        "createTime": one.created,
        "keepAfterDeleteVm": "keepAfterDeleteVm" in one.flags,
        "relocationDisabled": "disableRelocation" in one.flags,
        "nativeSnapshotSupported": False,
        "changedBlockTrackingEnabled": disk.tracking,
        "backing": backing,
        "metadata": [Record("KeyValue", key=key, value=value) for key, value in sorted(one.metadata.items())],
        "vclock": Record("vslmVClockInfo", vClockTime=one.clock),
        "capacityInMB": disk.size // _MIB,
        "consumptionType": ["disk"],
        "consumerId": [
            identity(vm.instance_uuid)
            for vm in inventory.all_of(VirtualMachine)
            if any(held is disk for held in vm.disks.values())
        ],
    }
    return Record("VStorageObject", config=Record("VStorageObjectConfigInfo", **config))
