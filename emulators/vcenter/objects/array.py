"""The storage array behind the hosts: its logical units, which host sees which, and copies of them as array replication makes.

It is the object `StorageQueryManager`, which tells who has a unit attached.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.datastore import Datastore
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.records import Ref

#: Size of the units that nothing uses yet, bytes, and how many an array begins with.
SPARE_BYTES, SPARES = 100 * 1024**3, 2


@dataclass(slots=True)
class Lun:
    """A logical unit. `vmfs_uuid` and `label` are of the file system on it; `copied` says that it holds a copy of another's."""

    name: str
    uuid: str
    capacity: int
    folder: Path
    vmfs_uuid: str = ""
    label: str = ""
    copied: bool = False
    display: str = ""
    ssd: bool = False
    local: bool = False
    reserved: bool = False
    policy: str = "VMW_PSP_RR"
    #: moids of hosts that see it, and of those that have detached it
    seen: set[str] = field(default_factory=set)
    detached: set[str] = field(default_factory=set)
    #: names of paths that are switched off
    dead_paths: set[str] = field(default_factory=set)

    @property
    def device(self) -> str:
        """The path of the device on a host."""
        return f"/vmfs/devices/disks/{self.name}"


@dataclass(slots=True)
class Array:
    """All units by their canonical names."""

    kind: str
    moid: str
    luns: dict[str, Lun] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)


def of(inventory: Inventory) -> Array:
    found: Array = inventory.find("StorageQueryManager")
    return found


def add(inventory: Inventory, capacity: int, folder: Path | None = None) -> Lun:
    """A new unit. Hosts see it after they have scanned for it."""
    digits = inventory.clock.uuid().replace("-", "")
    name = f"naa.6000d310{digits[:24]}"
    lun = Lun(name, f"0200{digits}", capacity, folder or inventory.folder / ".array" / name)
    of(inventory).luns[name] = lun
    return lun


def with_vmfs(inventory: Inventory, datastore: Datastore, lun: Lun, vmfs_uuid: str = "") -> None:
    """Let a datastore lie on a unit."""
    digits = inventory.clock.uuid().replace("-", "")
    lun.vmfs_uuid, lun.label, lun.copied = (
        vmfs_uuid or f"{digits[:8]}-{digits[8:16]}-{digits[16:20]}-{digits[20:]}",
        datastore.name,
        False,
    )
    datastore.lun, datastore.vmfs_uuid = lun.name, lun.vmfs_uuid


def scan(inventory: Inventory, host: HostSystem) -> bool:
    """Let a host see what the array offers. Answers whether it sees something new."""
    fresh = [lun for lun in of(inventory).luns.values() if host.moid not in lun.seen]
    for lun in fresh:
        lun.seen.add(host.moid)
    return bool(fresh)


def seen_by(inventory: Inventory, host: HostSystem) -> list[Lun]:
    """The units that a host sees, attached or not."""
    return [lun for lun in of(inventory).luns.values() if host.moid in lun.seen]


def by_device(inventory: Inventory, host: HostSystem, told: str) -> Lun:
    """The unit of a canonical name, UUID or device path that a host sees. Raises `Fault("NotFound")`."""
    name = told.rpartition("/")[2].partition(":")[0]
    found = next((lun for lun in seen_by(inventory, host) if told == lun.uuid or name == lun.name), None)
    if found is None:
        raise Fault("NotFound", f"The host {host.name} sees no device {told}.")
    return found


def datastore_on(inventory: Inventory, lun: Lun) -> Datastore | None:
    return next((one for one in inventory.all_of(Datastore) if one.lun == lun.name), None)


def copy(inventory: Inventory, datastore: Datastore) -> Lun:
    """Present a copy of the unit under a datastore, as array replication does at failover: same label, same signature."""
    source = of(inventory).luns.get(datastore.lun)
    if source is None:
        raise ValueError(f"the datastore {datastore.name} does not lie on a unit of the array")
    for disk in inventory.stores[datastore.moid].disks():
        disk.flush()
    made = add(inventory, source.capacity)
    shutil.copytree(inventory.stores[datastore.moid].folder, made.folder, symlinks=True, copy_function=_copy_sparse)
    made.vmfs_uuid, made.label, made.copied = source.vmfs_uuid, source.label, True
    return made


def _copy_sparse(source: str, target: str) -> str:
    """Copy a file; what holds only zeros stays a hole."""
    piece = 1024 * 1024
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while block := reader.read(piece):
            if block.count(0) == len(block):
                writer.seek(len(block), 1)
            else:
                writer.write(block)
        writer.truncate()
    return target


def hosts_with(call: Call, array: Array, args: Any) -> list[Ref]:
    """QueryHostsWithAttachedLun."""
    lun = next((one for one in array.luns.values() if args["lunUuid"] in (one.uuid, one.name)), None)
    if lun is None:
        raise invalid_argument("lunUuid", "The array has no such unit.")
    hosts = call.inventory.all_of(HostSystem)
    return [ref(host) for host in hosts if host.moid in lun.seen and host.moid not in lun.detached]


ARRAY_OPERATIONS = {"QueryHostsWithAttachedLun": hosts_with}
