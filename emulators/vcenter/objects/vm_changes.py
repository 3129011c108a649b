"""QueryChangedDiskAreas: which parts of a disk changed since a change id, from the disk's own block map."""

from typing import Any

from emulators.vcenter.disks import Disk
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record

_MOST_AREAS = 2000


def query(call: Call, vm: VirtualMachine, args: Any) -> Record:
    """QueryChangedDiskAreas: what changed until the snapshot, or until now. `changeId` "*" asks for all that holds data."""
    snapshot = vm.snapshots.get(args["snapshot"].moid) if args.get("snapshot") else None
    if args.get("snapshot") and snapshot is None:
        raise invalid_argument("snapshot", "It is not a snapshot of this machine.")
    key, start = args["deviceKey"], args["startOffset"]
    disk = (snapshot.disks if snapshot else vm.disks).get(key)
    if disk is None:
        raise invalid_argument("deviceKey", "There is no such disk.")
    if not (key in snapshot.change_ids if snapshot else disk.tracking):
        raise Fault("FileFault", "Change tracking is not enabled, or has not begun yet.", file=disk.file_name)
    until = snapshot.change_ids[key] if snapshot else disk.change_id
    return areas(disk, args["changeId"], start, until=until, at=snapshot.moid if snapshot else None)


def areas(disk: Disk, change_id: str, start: int, *, until: str, at: str | None) -> Record:
    """DiskChangeInfo from a change id to the id `until`, in the disk as it was at the point `at` or is now.

    An answer has at most 2000 areas: the next question starts at its end. Raises `InvalidArgument` for an id that is not of this
    disk or later than `until`, or a start outside the disk."""
    if not 0 <= start < disk.size:
        raise invalid_argument("startOffset", "It lies outside the disk.")
    since = 1
    if change_id != "*":
        name, _, generation = change_id.rpartition("/")
        last = until.rpartition("/")
        if name != last[0] or not generation.isdigit() or int(generation) > int(last[2]):
            raise invalid_argument("changeId", "It is not of this disk, or tracking has been started anew, or it is later.")
        since = int(generation)
    found = disk.changed_areas(since, start, at=at)
    shown = found[:_MOST_AREAS]
    end = disk.size if len(shown) == len(found) else shown[-1][0] + shown[-1][1]
    changed = [Record("DiskChangeExtent", start=offset, length=length) for offset, length in shown]
    return Record("DiskChangeInfo", startOffset=start, length=end - start, changedArea=changed)


CHANGE_OPERATIONS = {"QueryChangedDiskAreas": query}
