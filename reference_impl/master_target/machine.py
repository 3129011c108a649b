"""One machine on a master target: takes its stream in, applies it to its disks at tags, answers what the disks hold.

The disks are written up to a recovery point and never beyond, as long as every disk is complete (the copy has ended). While a
disk is being copied its bytes belong to no instant anyway, and what arrives is applied at once. So checksums for a copy are those
of all that came before it began.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reference_impl import records
from reference_impl.master_target.retention import Retention
from reference_impl.outside import Clock, Disk, Process, Task
from reference_impl.records import Kind, Record
from reference_impl.rules import Rules
from reference_impl.times import iso

#: How much is read or zeroed in one piece, and hashed before others get their turn.
PIECE = 4 << 20

#: Rest before a disk that is not there, or cannot be written, is tried again.
RETRY_SECONDS = 10.0


class DiskMissing(Exception):
    """A disk of the machine is not attached to the master target, or is not visible by its UUID (RPR-007)."""


@dataclass(slots=True)
class ReverseMachine:
    """State of one machine's generation. `find_disk` gives the attached disk of a serial, or None."""

    clock: Clock
    rules: Rules
    find_disk: Callable[[str], Disk | None]
    save: Callable[["ReverseMachine"], None]
    retention: Retention
    settings: Mapping[str, Any]
    lock: threading.RLock = field(default_factory=threading.RLock)
    applied: int = 0
    last_tag: dict[str, Any] | None = None
    coverage: records.Coverage = field(default_factory=lambda: records.Coverage(0))
    received: int = 0
    symptom: str = ""
    released: bool = False
    _ahead: records.Coverage = field(default_factory=lambda: records.Coverage(0))
    _point: int = 0
    _applying: bool = False
    _digests: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    _hashing: set[str] = field(default_factory=set)
    _tasks: list[Task] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take up what the retention holds after `applied`."""
        self.received, self._point = self.applied, self.applied
        self._ahead = records.Coverage(self.coverage.disks)
        self._ahead.open = set(self.coverage.open)
        until = self.retention.last_after(self.applied)
        for segment in self.retention.segments(self.applied):
            if segment.last <= until:
                self._note(segment)

    @property
    def machine_id(self) -> str:
        return str(self.settings["machineId"])

    @property
    def generation(self) -> int:
        return int(self.settings["generation"])

    # taking in -------------------------------------------------------------------------------------------------------

    def take(self, segment: records.Segment, raw: bytes) -> bool:
        """Keep a segment that continues the stream; False for a gap. One that is here already changes nothing.

        The caller holds the lock. Raises `RetentionFull`, and `DamagedSegment` for records that fit no disk.
        """
        if segment.last <= self.received:
            return True
        if segment.first > self.received + 1:
            return False
        self._check(segment)
        self.retention.keep(segment.first, segment.last, raw)
        self._note(segment)
        self.work()
        return True

    def _check(self, segment: records.Segment) -> None:
        sizes = [int(disk["sizeBytes"]) for disk in self.settings["disks"]]
        for record in segment.records:
            if record.kind is not Kind.TAG and (record.disk >= len(sizes) or record.offset + record.length > sizes[record.disk]):
                raise records.DamagedSegment(f"a record of disk {record.disk} lies beyond the machine's disks")

    def _note(self, segment: records.Segment) -> None:
        """Find up to where the disks may be written: all of a copy, and of what follows it up to the newest tag."""
        for number, record in enumerate(segment.records, segment.first):
            if number > self.received:
                open_before = not self._ahead.complete
                self._ahead.see(record)
                if open_before or not self._ahead.complete or record.kind is Kind.TAG:
                    self._point = number
        self.received = segment.last

    def work(self) -> None:
        """See that what is here gets applied. The caller holds the lock."""
        self._tasks = [task for task in self._tasks if not task.done]
        self.released = self.released and bool(self.settings.get("release"))
        if not self._applying and not self.released and (self.applied < self._limit() or self.settings.get("release")):
            self._applying = True
            self._tasks.append(self.clock.spawn(self._apply(), name=f"apply {self.machine_id}"))

    def end(self) -> None:
        """Write nothing any more: the machine is being forgotten."""
        for task in self._tasks:
            task.cancel()

    # applying --------------------------------------------------------------------------------------------------------

    def _limit(self) -> int:
        """The last sequence that may be applied now. Settling and releasing want all there is."""
        everything = self.settings.get("settle") or self.settings.get("release")
        return self.received if everything or not self.rules.apply_up_to_tags else self._point

    def _apply(self) -> Process:
        """Apply up to the limit, a segment at a time; what is applied is on disk before it is noted."""
        while not self._finished():
            try:
                self._apply_segment(next(self.retention.segments(self.applied)), self._limit())
                self.symptom = ""
                yield 0.0
            except (DiskMissing, OSError) as error:
                self._trouble(error)
                yield RETRY_SECONDS

    def _finished(self) -> bool:
        with self.lock:
            if self.applied < self._limit():
                return False
            self._applying, self.released = False, bool(self.settings.get("release"))
            return True

    def _apply_segment(self, segment: records.Segment, limit: int) -> None:
        touched: set[int] = set()
        before = set(self.coverage.open)
        try:
            for number, record in enumerate(segment.records, segment.first):
                if self.applied < number <= limit:
                    self._apply_record(number, record, touched)
            for index in sorted(touched):
                self._disk(index).flush()
        except (DiskMissing, OSError):
            self.coverage.open = before  # all of it comes again
            raise
        self.applied = min(segment.last, limit)
        self.save(self)
        self.retention.drop(self.applied)

    def _apply_record(self, number: int, record: Record, touched: set[int]) -> None:
        if record.kind in records.DATA_KINDS:
            disk = self._disk(record.disk)
            touched.add(record.disk)
            if record.kind is Kind.ZERO:
                _zero(disk, record.offset, record.length)
            else:
                disk.write(record.offset, bytes(record.data))
        elif record.tag is not None and not record.tag.multi_vm:
            if self.coverage.complete:
                self.last_tag = {
                    "pointId": record.tag.point_id,
                    "time": iso(record.when),
                    "sequence": number,
                    "kind": record.tag.kind,
                }
        else:
            self.coverage.see(record)

    def _disk(self, index: int) -> Disk:
        disks = self.settings["disks"]
        if not 0 <= index < len(disks):
            raise DiskMissing(f"the stream names disk {index}")
        found = self.find_disk(str(disks[index]["serial"]).lower())
        if found is None:
            raise DiskMissing(f"disk {disks[index]['diskId']} is not visible")
        return found

    # checksums -------------------------------------------------------------------------------------------------------

    def digests(self, disk_id: str, sequence: int) -> bytes | None:
        """The checksums of a disk with everything up to `sequence` on it, or None while that is not so or they are computed.

        Raises `KeyError` for a disk that is not the machine's. The caller holds the lock.
        """
        index = next((number for number, disk in enumerate(self.settings["disks"]) if disk["diskId"] == disk_id), None)
        if index is None:
            raise KeyError(disk_id)
        position, digest = self._digests.get(disk_id, (-1, b""))
        if position >= sequence:
            return digest
        if disk_id not in self._hashing and self.applied >= sequence:
            self._hashing.add(disk_id)
            self._tasks.append(self.clock.spawn(self._hash(index, disk_id), name=f"checksums {self.machine_id}"))
        return None

    def _hash(self, index: int, disk_id: str) -> Process:
        """Blocks that are written meanwhile may be hashed before or after: whoever compares sends those writes too."""
        try:
            position, digest, disk = self.applied, bytearray(), self._disk(index)
            for at in range(0, disk.size, PIECE):
                digest += records.block_digests(disk.read(at, min(PIECE, disk.size - at)))
                yield 0.0
            self._digests[disk_id] = (position, bytes(digest))
        except (DiskMissing, OSError) as error:
            self._trouble(error)
        finally:
            self._hashing.discard(disk_id)

    def _trouble(self, error: Exception) -> None:
        self.symptom = "disk-missing" if isinstance(error, DiskMissing) else "disk-write-failed"

    # reporting -------------------------------------------------------------------------------------------------------

    def report(self) -> dict[str, Any]:
        """What a heartbeat says of this machine."""
        return {
            "machineId": self.machine_id,
            "generation": self.generation,
            "appliedSequence": self.applied,
            "receivedSequence": self.received,
            "lastTag": self.last_tag,
            "syncDone": self.coverage.complete,
            "released": self.released,
        }


def _zero(disk: Disk, offset: int, length: int) -> None:
    for at in range(offset, offset + length, PIECE):
        disk.write(at, bytes(min(PIECE, offset + length - at)))
