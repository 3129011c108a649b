"""Logs become page blobs, tags become snapshots (REP-008, REP-010)."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import xxhash
from azure.core.exceptions import ResourceExistsError

from reference_impl import hrl, stores
from reference_impl.coalesce import Extents, latest, merged
from reference_impl.hrl import DamagedLog, Frame, Log
from reference_impl.outside import BlobStore, Host, OpenStore
from reference_impl.records import BLOCK, Kind, Record
from reference_impl.replica import vhd
from reference_impl.replica.points import Point, superfluous
from reference_impl.replica.state import Held, ReplicaState, held
from reference_impl.rules import Rules

PAGE = 512
#: The most that one page write takes, and how much is gathered before it is written.
PAGES_BYTES = 4 << 20
GATHER_BYTES = 32 << 20
#: A log stays this long after it was applied: what a store acknowledged it may still forget.
KEEP_LOG_SECONDS = 60.0
#: How long a point stays whose copying nobody has ended.
PIN_SECONDS = 3600.0
#: Clocks of machines and workers may differ by this much without a word.
SKEW_SECONDS = 120.0
#: Fences of a generation are above those of all generations before it.
FENCES = 1 << 32
#: So many rounds of page writes of one hold need only one note in the state.
FENCES_IN_A_ROW = 63
TYPES = {"crash": "CrashConsistent", "shutdown": "CrashConsistent", "app": "ApplicationConsistent"}

ZERO_BLOCK_DIGEST = xxhash.xxh3_128_digest(bytes(BLOCK))


@dataclass(frozen=True, slots=True)
class ReplicaDisk:
    """A disk and the page blob that holds its replica."""

    disk_id: str
    size: int
    blob: str


class Times(Protocol):
    """The time that all workers agree on, and new ids."""

    def now(self) -> float: ...
    def uuid(self) -> str: ...


@dataclass(slots=True)
class Replica:
    """The replica of one machine's generation, as a worker was told of it."""

    machine_id: str
    generation: int
    disks: Sequence[ReplicaDisk]
    cache: BlobStore
    container: str
    target: BlobStore
    target_container: str
    key: bytes
    retention_minutes: float
    clock: Times
    rules: Rules
    _gathered: list[Record] = field(default_factory=list)
    _gathered_bytes: int = 0

    @staticmethod
    def of(said: Mapping[str, Any], key: bytes, host: Host, clock: Times, open_store: OpenStore, rules: Rules) -> "Replica":
        """From the input of `replicate`."""
        disks = [ReplicaDisk(str(disk["diskId"]), int(disk["sizeBytes"]), str(disk["blob"])) for disk in said["disks"]]
        cache, target = said["cache"], said["target"]
        return Replica(
            str(said["machineId"]),
            int(said["generation"]),
            disks,
            open_store(host, cache),
            cache.get("container", stores.LOGS),
            open_store(host, target),
            target.get("container", stores.REPLICAS),
            key,
            float(said["policy"]["retentionMinutes"]),
            clock,
            rules,
        )

    def held(self) -> AbstractContextManager[Held]:
        """The state under its lease (a context manager)."""
        return held(self.cache, self.container, self.machine_id, self.generation)

    def _fence(self, here: Held) -> None:
        """Before the first change in a hold: no request of an earlier hold reaches the pages any more, whoever's it was.

        The lease alone is not enough: a worker that slept, or a request that was under way for long, would still come through.
        """
        if not here.fence:
            self._raise_fence(here, () if here.state.preparing else self.disks)

    def _raise_fence(self, here: Held, disks: Iterable[ReplicaDisk]) -> None:
        """The next number, out of a row that was written down before any of it is used."""
        state = here.state
        fence = here.fence + 1
        if not here.fence or fence > state.fence:
            fence = max(state.fence, self.generation * FENCES) + 1
            state.fence = fence + FENCES_IN_A_ROW
            here.save()
        for disk in disks:
            self.target.raise_fence(self.target_container, disk.blob, fence)
        here.fence = fence

    def blob_of(self, disk_id: str) -> str:
        return next(disk.blob for disk in self.disks if disk.disk_id == disk_id)

    # making ----------------------------------------------------------------------------------------------------------

    def prepare(self, *, keep: bool) -> None:
        """Page blobs and state for a new generation; what is there of the same generation stays. `keep` reuses old blobs."""
        for store, container in ((self.cache, self.container), (self.target, self.target_container)):
            stores.ensure_container(store, container)
        name = stores.state_name(self.machine_id, self.generation)
        with suppress(ResourceExistsError):  # another worker was told as well, or we were told again
            state = ReplicaState(open=set(range(len(self.disks))), preparing=True)
            self.cache.put_blob(self.container, name, state.encode(), if_absent=True)
        if not self._preparing(name):
            return
        with self.held() as here:
            if here.state.preparing:
                self._fence(here)
                kept = [self._prepare_disk(here, disk, keep=keep) for disk in self.disks]
                here.state.fresh, here.state.preparing = not any(kept), False
                here.save()

    def _preparing(self, name: str) -> bool:
        said = stores.get_json(self.cache, self.container, name)
        return said is None or bool(said.get("preparing"))

    def _prepare_disk(self, here: Held, disk: ReplicaDisk, *, keep: bool) -> bool:
        here.renew()
        kept = self._lay_out(disk, keep=keep)
        self.target.raise_fence(self.target_container, disk.blob, here.fence)
        return kept

    def _lay_out(self, disk: ReplicaDisk, *, keep: bool) -> bool:
        """The page blob of a disk, with the footer of a VHD; True when an old one was kept."""
        size = vhd.blob_bytes(disk.size)
        if keep:
            found = [entry.size for entry in self.target.list_blobs(self.target_container, disk.blob) if entry.name == disk.blob]
            if found == [size]:
                return True
        stores.delete_if_there(self.target, self.target_container, disk.blob, with_snapshots=True)
        self.target.create_page_blob(self.target_container, disk.blob, size)
        end = size - vhd.FOOTER_BYTES
        self.target.put_pages(self.target_container, disk.blob, end, vhd.footer(end, self.clock.uuid(), self.clock.now()))
        return False

    def damaged(self) -> bool:
        """Whether the log in hand was found damaged, by whichever worker."""
        name = stores.state_name(self.machine_id, self.generation)
        said = stores.get_json(self.cache, self.container, name)
        return said is not None and bool(said.get("damaged"))

    # applying --------------------------------------------------------------------------------------------------------

    def advance(self, here: Held, most: int) -> bool:
        """Apply up to `most` logs that are there; whether there may be more. Raises `DamagedLog` and what the store raises."""
        self._gathered, self._gathered_bytes = [], 0
        for _ in range(most):
            state = here.state
            raw = stores.get_if_there(
                self.cache, self.container, stores.log_name(self.machine_id, self.generation, state.log_first)
            )
            if raw is None:
                self._settle(here)
                return False
            self._fence(here)
            log = self._open_log(here, raw)
            for frame in log.frames:
                if frame.last > state.processed:
                    self._take(here, frame)
            state.log_first, state.chain = log.head.last + 1, log.head.digest
            state.done.append((log.head.first, self.clock.now()))
        self._settle(here)
        return True

    def _open_log(self, here: Held, raw: bytes) -> Log:
        """The log in hand, checked. One that must not be applied is noted in the state, for the process server to see."""
        state = here.state
        try:
            log = hrl.read(
                raw,
                self.key,
                machine_id=self.machine_id,
                generation=self.generation,
                first=state.log_first,
                previous=state.chain,
            )
            self._check_bounds(log)
        except DamagedLog:
            self._write_out(here)
            state.damaged = state.log_first
            here.save()
            raise
        state.damaged = 0
        return log

    def _take(self, here: Held, frame: Frame) -> None:
        """One frame: its changes are gathered, its marks acted on with everything before them written."""
        changes = frame.changes()
        self._gathered += changes
        self._gathered_bytes += sum(len(record.data) for record in changes)
        marks = frame.marks()
        if marks or self._gathered_bytes >= GATHER_BYTES:
            self._write_out(here)
        here.state.processed_time = frame.when
        for number, mark in marks:
            if number > here.state.processed:
                here.state.processed = number
                self._mark(here, number, mark)
        here.state.processed = frame.last

    def _settle(self, here: Held) -> None:
        self._write_out(here)
        self._drop_old_logs(here.state)
        here.save()

    def _write_out(self, here: Held) -> None:
        """Large sorted writes, zeros cleared, under a lease that is surely ours."""
        gathered, self._gathered, self._gathered_bytes = self._gathered, [], 0
        if not gathered:
            return
        here.renew()
        changed = sorted(latest(gathered).items())
        if here.written:  # a request of the round before that arrives late or twice must not undo this one
            self._raise_fence(here, [self.disks[index] for index, _ in changed])
        here.written, here.state.fresh = True, False
        for index, extents in changed:
            self._write_disk(self.disks[index], extents, here.fence)

    def _write_disk(self, disk: ReplicaDisk, extents: Extents, fence: int) -> None:
        for whole in merged(extents.ranges(), PAGES_BYTES):
            if whole.data is None:
                self.target.clear_pages(self.target_container, disk.blob, whole.offset, whole.length, fence=fence)
            else:
                self.target.put_pages(self.target_container, disk.blob, whole.offset, bytes(whole.data), fence=fence)

    def _check_bounds(self, log: Log) -> None:
        """A log that is sound in itself must also fit the disks: nothing of it is applied otherwise."""
        for frame in log.frames:
            for record in frame.records:
                fits = record.disk < len(self.disks) and record.offset + record.length <= self.disks[record.disk].size
                if not fits or (record.kind is not Kind.TAG and (record.offset % PAGE or record.length % PAGE)):
                    raise DamagedLog("malformed", f"a record up to {frame.last} does not fit the disks of the machine")

    # marks -----------------------------------------------------------------------------------------------------------

    def _mark(self, here: Held, number: int, mark: Record) -> None:
        state = here.state
        if mark.kind is Kind.SYNC_BEGIN:
            state.open.add(mark.disk)
            before = state.checksums.get(self.disks[mark.disk].disk_id)
            if state.fresh:
                state.checksums[self.disks[mark.disk].disk_id] = (number, "")
            else:
                self.publish(here, mark.disk, number)
            here.save()
            if before is not None and before[1] and before[0] != number:
                stores.delete_if_there(self.cache, self.container, before[1])
        elif mark.kind is Kind.SYNC_END:
            state.open.discard(mark.disk)
        elif mark.tag is not None and mark.tag.multi_vm:
            self._share(here, mark.tag.point_id)
        elif mark.tag is not None and self._is_point(state, mark.when):
            self.snapshot(here, mark.tag.point_id, mark.when, TYPES[mark.tag.kind], number)

    def _is_point(self, state: ReplicaState, when: float) -> bool:
        """All disks are exact (REP-011), and the machine's clock has not jumped: after a jump there is no point until real time
        has passed what it claimed (REP-017)."""
        late, state.tag_time = when < state.tag_time, max(state.tag_time, when)
        skewed = late or when > self.clock.now() + SKEW_SECONDS
        return not skewed and not (state.open and self.rules.point_needs_all_disks)

    def _share(self, here: Held, point_id: str) -> None:
        """MVM-001: all members of the group have this point."""
        points = here.state.points
        here.state.points = [replace(point, multi_vm=True) if point.point_id == point_id else point for point in points]

    def snapshot(self, here: Held, point_id: str, when: float, kind: str, number: int) -> Point:
        """A recovery point of the replica as it is now. It is in the state before anything later is applied."""
        state = here.state
        here.renew()
        snapshots = {disk.disk_id: self.target.snapshot_blob(self.target_container, disk.blob) for disk in self.disks}
        known = next((point for point in state.points if point.point_id == point_id), None)
        point = Point(point_id, when, kind, known is not None and known.multi_vm, number, snapshots)
        state.points = [known for known in state.points if known.point_id != point_id] + [point]
        here.save()
        self.prune(here)
        return point

    def prune(self, here: Held) -> list[Point]:
        """Remove the points that retention does not keep (RPT-007). The state forgets them first."""
        state = here.state
        now = self.clock.now()
        found = superfluous(state.points, now, self.retention_minutes, thin=self.rules.thin_points)
        gone = [point for point in found if state.pinned.get(point.point_id, 0.0) <= now]
        if gone:
            state.points = [point for point in state.points if point not in gone]
            here.save()
            self._delete_snapshots(gone)
        return gone

    def pin(self, here: Held, point_id: str) -> Point | None:
        """A point (the newest unless named) that stays while it is copied, however long that takes; None when there is none."""
        found = (point for point in reversed(here.state.points) if point_id in ("", point.point_id))
        point = next(found, None)
        if point is not None:
            now = self.clock.now()
            here.state.pinned = {known: until for known, until in here.state.pinned.items() if until > now}
            here.state.pinned[point.point_id] = now + PIN_SECONDS
            here.save()
        return point

    def unpin(self, point_id: str) -> None:
        """The copy is done. Where the state cannot be changed now the pin ends by itself."""
        with suppress(*stores.STORE_ERRORS, ValueError), self.held() as here:
            here.state.pinned.pop(point_id, None)
            here.save()

    def remove_points(self, here: Held) -> list[str]:
        """RPT-011: a commit leaves none, nor anything that a killed worker left behind."""
        gone = [point.point_id for point in here.state.points]
        here.state.points = []
        here.save()
        for disk in self.disks:
            for entry in self.target.list_blobs(self.target_container, disk.blob, snapshots=True):
                if entry.name == disk.blob and entry.snapshot is not None:
                    stores.delete_if_there(self.target, self.target_container, disk.blob, snapshot=entry.snapshot)
        return gone

    def _delete_snapshots(self, points: Sequence[Point]) -> None:
        for point in points:
            for disk_id, snapshot in point.snapshots.items():
                stores.delete_if_there(self.target, self.target_container, self.blob_of(disk_id), snapshot=snapshot)

    def _drop_old_logs(self, state: ReplicaState) -> None:
        limit = self.clock.now() - KEEP_LOG_SECONDS
        old = [first for first, when in state.done if when <= limit]
        for first in old:
            stores.delete_if_there(self.cache, self.container, stores.log_name(self.machine_id, self.generation, first))
        state.done = [(first, when) for first, when in state.done if when > limit]

    # checksums -------------------------------------------------------------------------------------------------------

    def publish(self, here: Held, index: int, number: int) -> str:
        """Write what the replica of a disk holds now as digests of 64 KiB blocks (REP-014). Returns the blob's name."""
        self._fence(here)
        disk, state = self.disks[index], here.state
        name = stores.checksum_name(self.machine_id, disk.disk_id, state.fence, number)
        self.cache.put_blob(self.container, name, self._digests(disk))
        state.checksums[disk.disk_id] = (number, name)
        return name

    def _digests(self, disk: ReplicaDisk) -> bytes:
        count = -(-disk.size // BLOCK)
        digests = [ZERO_BLOCK_DIGEST] * count
        if disk.size % BLOCK:
            digests[-1] = xxhash.xxh3_128_digest(bytes(disk.size % BLOCK))
        for low, high in _block_runs(self.target.page_ranges(self.target_container, disk.blob), disk.size):
            data = memoryview(self.target.get_blob(self.target_container, disk.blob, offset=low, length=high - low))
            for at in range(0, len(data), BLOCK):
                digests[(low + at) // BLOCK] = xxhash.xxh3_128_digest(data[at : at + BLOCK])
        return b"".join(digests)

    # removing --------------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Delete everything that belongs to this replica."""
        for disk in self.disks:
            stores.delete_if_there(self.target, self.target_container, disk.blob, with_snapshots=True)
        for entry in self.cache.list_blobs(self.container, f"checksums/{self.machine_id}/"):
            stores.delete_if_there(self.cache, self.container, entry.name)
        self.forget_generation()

    def forget_generation(self) -> None:
        """Delete the logs and the state of this generation; the page blobs stay."""
        prefix = f"{self.machine_id}/{self.generation}/"
        for entry in self.cache.list_blobs(self.container, prefix):
            stores.delete_if_there(self.cache, self.container, entry.name)
        stores.delete_if_there(self.cache, self.container, stores.state_name(self.machine_id, self.generation))


def _block_runs(ranges: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Whole blocks that cover the ranges, joined, in pieces of at most 4 MiB."""
    pieces: list[tuple[int, int]] = []
    covered = 0
    for offset, length in sorted(ranges):
        low, high = max(offset - offset % BLOCK, covered), min(offset + length + -(offset + length) % BLOCK, size)
        pieces += [(at, min(at + PAGES_BYTES, high)) for at in range(low, high, PAGES_BYTES)]
        covered = max(covered, high)
    return pieces
