"""The work a replica worker is given by the service, a function for each kind (docs/component-protocol.md, section 1)."""

import base64
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from reference_impl import hrl, stores
from reference_impl.outside import BlobStore, Process
from reference_impl.replica.applying import Replica
from reference_impl.replica.points import Point
from reference_impl.times import iso

#: How long a settling waits for logs that were announced, and between two looks.
SETTLE_SECONDS = 20 * 60.0
LOOK_SECONDS = 3.0


class WorkFailed(Exception):
    """Work that cannot be done. `reason` is one word for the service."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


class Worker(Protocol):
    """What the tasks need of the worker."""

    def assign(self, said: Mapping[str, Any], *, key: bytes) -> Replica: ...
    def replica(self, machine_id: str) -> Replica:
        """Raises `WorkFailed` `unknown-machine`."""
        ...

    def find(self, machine_id: str) -> Replica | None: ...
    def unassign(self, machine_id: str) -> None: ...
    def advance(self, replica: Replica) -> Process:
        """Apply what is there; returns the number that has been processed. Raises `WorkFailed` for a damaged log."""
        ...

    def store(self, said: Mapping[str, str]) -> BlobStore: ...
    def report(self, replica: Replica, points: list[Point], removed: list[str], processed: int, when: float) -> None: ...


def replicate(worker: Worker, said: Mapping[str, Any]) -> Process:
    """Take a machine's generation over; the one before ends."""
    key = base64.b64decode(str(said["dataKey"]), validate=True)
    if len(key) != hrl.KEY_BYTES:
        raise WorkFailed("malformed", f"a data key has {hrl.KEY_BYTES} bytes")
    before = worker.find(str(said["machineId"]))
    replica = worker.assign(said, key=key)
    if said.get("prepared"):  # by another worker, which also ended the generation before
        return {}
    if before is not None and before.generation != replica.generation:
        before.forget_generation()
    replica.prepare(keep=bool(said.get("keepReplica")))
    return {}
    yield 0.0  # a process like the others


def settle(worker: Worker, said: Mapping[str, Any]) -> Process:
    """Process what has been received; `makePoint` makes a point of the end when there is none."""
    replica, wanted = worker.replica(str(said["machineId"])), int(said.get("upToSequence") or 0)
    waited = 0.0
    while True:
        processed = yield from worker.advance(replica)
        if processed >= wanted:
            break
        if waited >= SETTLE_SECONDS:
            raise WorkFailed("logs-missing", f"records up to {wanted} were announced, {processed} is as far as the logs go")
        waited += LOOK_SECONDS
        yield LOOK_SECONDS
    with replica.held() as here:
        state = here.state
        newest = max(state.points, key=lambda point: point.sequence, default=None)
        if said.get("makePoint") and not state.open and (newest is None or newest.sequence < state.processed):
            newest = replica.snapshot(here, replica.clock.uuid(), state.processed_time, "CrashConsistent", state.processed)
        worker.report(replica, state.points, [], state.processed, state.processed_time)
        if newest is None:
            raise WorkFailed("no-recovery-point", "there is no recovery point: the copy of the disks is not complete")
        return {"pointId": newest.point_id, "time": iso(newest.time), "processedSequence": state.processed}


def promote(worker: Worker, said: Mapping[str, Any]) -> Process:
    """Copy the snapshots of a point to blobs of their own, inside the storage service."""
    replica, wanted = worker.replica(str(said["machineId"])), str(said.get("pointId") or "")
    with replica.held() as here:
        point = replica.pin(here, wanted)
    if point is None:
        raise WorkFailed("no-recovery-point", f"there is no recovery point {wanted}")
    try:
        copied = [_promote_disk(worker, replica, point, target) for target in said["targets"]]
    finally:
        replica.unpin(point.point_id)
    return {"pointId": point.point_id, "time": iso(point.time), "disks": copied}
    yield 0.0


def _promote_disk(worker: Worker, replica: Replica, point: Point, target: Mapping[str, Any]) -> dict[str, Any]:
    disk_id, container, name = str(target["diskId"]), str(target["container"]), str(target["blob"])
    snapshot = point.snapshots.get(disk_id)
    if snapshot is None:
        raise WorkFailed("unknown-disk", f"the point has no disk {disk_id}")
    account = worker.store(target["account"])
    stores.ensure_container(account, container)
    replica.target.copy_blob(replica.target_container, replica.blob_of(disk_id), snapshot, account, container, name)
    return {"diskId": disk_id, "blob": name, "bytes": account.properties(container, name).size}


def discard(worker: Worker, said: Mapping[str, Any]) -> Process:
    """Delete promoted blobs."""
    account = worker.store(said["account"])
    for name in said["blobs"]:
        stores.delete_if_there(account, str(said["container"]), str(name), with_snapshots=True)
    return {"deleted": len(said["blobs"])}
    yield 0.0


def commit(worker: Worker, said: Mapping[str, Any]) -> Process:
    """RPT-011: no recovery point survives a commit."""
    replica = worker.replica(str(said["machineId"]))
    if not replica.rules.remove_points_at_commit:
        return {"removed": 0}
    with replica.held() as here:
        gone = replica.remove_points(here)
        worker.report(replica, [], gone, here.state.processed, here.state.processed_time)
    return {"removed": len(gone)}
    yield 0.0


def forget(worker: Worker, said: Mapping[str, Any]) -> Process:
    """Delete replica, logs and state; a machine that is not known is forgotten already."""
    replica = worker.find(str(said["machineId"]))
    if replica is not None:
        if not said.get("dataDeleted"):  # by another worker
            replica.forget()
        worker.unassign(replica.machine_id)
    return {}
    yield 0.0


def checksums(worker: Worker, said: Mapping[str, Any]) -> Process:
    """Publish what the replica holds."""
    replica = worker.replica(str(said["machineId"]))
    yield from worker.advance(replica)
    with replica.held() as here:
        named = {disk.disk_id: replica.publish(here, index, here.state.processed) for index, disk in enumerate(replica.disks)}
        here.save()
    return {"processedSequence": here.state.processed, "checksums": named}


Task = Callable[[Worker, Mapping[str, Any]], Process]

TASKS: dict[str, Task] = {
    "replicate": replicate,
    "settle": settle,
    "promote": promote,
    "discard": discard,
    "commit": commit,
    "forget": forget,
    "checksums": checksums,
}
