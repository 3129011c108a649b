"""QueryChangedDiskAreas: which parts of a disk changed since a change id, from the disk's own block map."""

from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record

_MOST_AREAS = 2000


def query(call: Call, vm: VirtualMachine, args: Any) -> Record:
    """QueryChangedDiskAreas. `changeId` "*" asks for everything that holds data."""
    snapshot = vm.snapshots.get(args["snapshot"].moid) if args.get("snapshot") else None
    if args.get("snapshot") and snapshot is None:
        raise invalid_argument("snapshot", "It is not a snapshot of this machine.")
    disks = snapshot.disks if snapshot else vm.disks
    tracking = snapshot.settings.tracking if snapshot else vm.settings.tracking
    disk = disks.get(args["deviceKey"])
    start = args["startOffset"]
    if disk is None:
        raise invalid_argument("deviceKey", "There is no such disk.")
    if not 0 <= start < disk.size:
        raise invalid_argument("startOffset", "It lies outside the disk.")
    since = 1
    if args["changeId"] != "*":
        if not tracking:
            raise Fault("FileFault", "Change tracking is not enabled.", file=disk.file_name)
        name, _, generation = args["changeId"].rpartition("/")
        if name != disk.change_uuid or not generation.isdigit():
            raise invalid_argument("changeId", "It is not of this disk, or tracking has been started anew.")
        since = int(generation)
    areas = disk.changed_areas(since, start)
    shown = areas[:_MOST_AREAS]
    end = disk.size if len(shown) == len(areas) else shown[-1][0] + shown[-1][1]
    changed = [Record("DiskChangeExtent", start=offset, length=length) for offset, length in shown]
    return Record("DiskChangeInfo", startOffset=start, length=end - start, changedArea=changed)


CHANGE_OPERATIONS = {"QueryChangedDiskAreas": query}
