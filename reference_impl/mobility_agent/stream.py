"""The ordered stream of one machine on its way out: numbering, journal, what waits to be sent.

The filter appends under one lock and never waits for anybody (REP-001). Records collect in an open segment; sealed segments wait
in a queue until the process server has acknowledged them. What cannot be sent at once, or is too much for memory, lies in files
of the journal folder: a segment is the group that is committed, one write of one file for up to 4 MiB or 16,384 records. Files
are not synced: they outlive the agent's process, and after a power loss a resync is due (REP-013).

When more waits than the journal may hold, or its disk is full, the stream ends with `SYNC_BEGIN` for every disk and captures
nothing more until a resync starts: the queued part stays a true history, and nothing after the gap can pass for one. What is
written meanwhile is in the driver's map.
"""

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from reference_impl import records
from reference_impl.records import Buffer, Coverage, DamagedSegment, Kind, Record, SegmentBuffer

SEGMENT_BYTES = 4 << 20
MEMORY_BYTES = 32 << 20
#: Far below what a reader takes, so that many small writes also end a segment.
SEGMENT_RECORDS = 1 << 14
#: Journal files that are kept to be written over: pages that exist already take bytes several times as fast as new ones.
SPARE_FILES = 8


@dataclass(slots=True)
class Sealed:
    """An encoded segment that waits. `raw` is None when it is only in the journal."""

    first: int
    last: int
    size: int
    by_disk: dict[int, int]
    raw: bytes | None
    path: Path | None

    def read(self) -> bytes:
        if self.raw is not None:
            return self.raw
        assert self.path is not None
        return self.path.read_bytes()


@dataclass(slots=True)
class Stream:
    """The stream of a machine's generation. `next` is the number that the next sealed segment starts with."""

    folder: Path
    machine_id: str
    generation: int
    sizes: Sequence[int]  #: of the protected disks, in their order
    journal_bytes: int
    next: int = 1
    capturing: bool = False
    overflowed: bool = False
    stuck: bool = False  #: nothing can be sent now: keep what waits on disk
    disk_full: bool = False  #: the journal could not be written
    lock: threading.RLock = field(default_factory=threading.RLock)
    queue: deque[Sealed] = field(default_factory=deque)
    queued_bytes: int = 0
    coverage: Coverage = field(init=False)
    _open: SegmentBuffer = field(default_factory=SegmentBuffer)
    _memory: int = 0
    _spare: list[Path] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.coverage = Coverage(len(self.sizes))
        self.folder.mkdir(parents=True, exist_ok=True)

    # adding ----------------------------------------------------------------------------------------------------------

    def append(self, record: Record) -> int:
        """Put a record at the end; its number, 0 when the stream captures nothing."""
        with self.lock:
            if not self._takes(len(record.data), record.when):
                return 0
            number = self.next + self._open.count
            self._put(record)
            return number

    def wrote(self, disk: int, offset: int, data: Buffer, when: float) -> int:
        """`append` of a write of the guest: it is the guest that waits for this, so there is as little of it as can be."""
        with self.lock:
            if not self._takes(len(data), when):
                return 0
            number = self.next + self._open.count
            self._open.add(Kind.WRITE, disk, offset, len(data), data, when)
            if self._open.size >= SEGMENT_BYTES or self._open.count >= SEGMENT_RECORDS:
                self.seal()
            return number

    def _takes(self, more: int, when: float) -> bool:
        if not self.capturing:
            return False
        if self.queued_bytes + self._open.size + more > self.journal_bytes:
            self.overflowed = True
            self.break_off(when)
            return False
        return True

    def extend(self, entries: Iterable[Record]) -> None:
        for record in entries:
            self.append(record)

    def _put(self, record: Record) -> None:
        self._open.put(record)
        self.coverage.see(record)
        if self._open.size >= SEGMENT_BYTES or self._open.count >= SEGMENT_RECORDS:
            self.seal()

    def begin(self, disks: Iterable[int], when: float) -> dict[int, int]:
        """Start to capture and declare that these disks are not exact until their `SYNC_END`. Returns the number of each mark."""
        with self.lock:
            self.capturing, self.overflowed = True, False
            numbers: dict[int, int] = {}
            for disk in disks:
                self._put(records.sync_begin(disk, self.sizes[disk], when))
                numbers[disk] = self.last
            self.seal()
            return numbers

    def go_on(self, open_disks: Iterable[int]) -> None:
        """Capture again after a restart: nothing was missed, and all disks but these are exact."""
        with self.lock:
            self.capturing, self.overflowed = True, False
            self.coverage.open = set(open_disks)

    def break_off(self, when: float) -> None:
        """Say that from here on something is missing, and capture nothing more."""
        with self.lock:
            if self.capturing:
                self.capturing = False
                for disk, size in enumerate(self.sizes):
                    self._put(records.sync_begin(disk, size, when))
                self.seal()

    @property
    def last(self) -> int:
        """The number of the newest record."""
        with self.lock:
            return self.next - 1 + self._open.count

    @property
    def open_bytes(self) -> int:
        return self._open.size

    @property
    def waiting(self) -> bool:
        return bool(self._open.count or self.queue)

    def waiting_by_disk(self) -> dict[int, int]:
        """Bytes that wait, for each disk."""
        with self.lock:
            total: dict[int, int] = {}
            for sealed in self.queue:
                _add(total, sealed.by_disk)
            _add(total, self._open.by_disk)
            return total

    # sealing and sending ---------------------------------------------------------------------------------------------

    def seal(self) -> None:
        """Close the open segment, so that it can be sent."""
        with self.lock:
            done = self._open
            if not done.count:
                return
            raw = done.encode(self.machine_id, self.generation, self.next)
            sealed = Sealed(self.next, self.next + done.count - 1, len(raw), done.by_disk, raw, None)
            crowded = self._memory + len(raw) > MEMORY_BYTES
            if (self.stuck or crowded) and self._journal(sealed) and crowded:
                sealed.raw = None
            else:
                self._memory += len(raw)
            self.queue.append(sealed)
            self.queued_bytes += sealed.size
            self.next = sealed.last + 1
            self._open = SegmentBuffer()
            if crowded and sealed.raw is not None and self.capturing:
                self.overflowed = True  # no room on the disk and none in memory: this much is kept, and no more
                self.break_off(done.last_when)

    def head(self) -> Sealed | None:
        """The oldest segment that waits."""
        with self.lock:
            return self.queue[0] if self.queue else None

    def acknowledged(self, number: int) -> None:
        """Everything up to `number` is safe at the process server."""
        with self.lock:
            self.stuck = False
            while self.queue and self.queue[0].last <= number:
                sealed = self.queue.popleft()
                self.queued_bytes -= sealed.size
                if sealed.raw is not None:
                    self._memory -= sealed.size
                if sealed.path is not None:
                    self._give_up(sealed.path)

    def _give_up(self, path: Path) -> None:
        if len(self._spare) >= SPARE_FILES:
            path.unlink(missing_ok=True)
        else:
            self._spare.append(path.rename(path.with_suffix(".spare")))

    def _journal(self, sealed: Sealed) -> bool:
        """One segment into the journal; False when the disk has no room, and then it stays in memory."""
        assert sealed.raw is not None
        path = self.folder / f"{sealed.first:020d}.seg"
        partial = path.with_suffix(".tmp")
        try:
            if self._spare:
                self._spare.pop().rename(partial)
            write_file(partial, sealed.raw)
            partial.replace(path)
        except OSError:
            self.disk_full = True
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            return False
        self.disk_full = False
        sealed.path = path
        return True

    def cramped(self) -> bool:
        """Whether the journal's disk had no room, and has none now."""
        with self.lock, suppress(OSError):
            if self.disk_full:
                probe = self.folder / "room.tmp"
                write_file(probe, bytes(4096))
                probe.unlink()
                self.disk_full = False
            return False
        return True

    # restarting ------------------------------------------------------------------------------------------------------

    def stick(self) -> None:
        """The process server is away: what waits goes to the journal, and what is sealed from now on too."""
        with self.lock:
            self.stuck = True
            for sealed in self.queue:
                if sealed.path is None:
                    self._journal(sealed)

    def save(self) -> bool:
        """Everything that waits goes to the journal: the agent is about to stop. False when there is no room for it."""
        with self.lock:
            self.seal()
            self.stick()
            return all(sealed.path is not None for sealed in self.queue)

    def load(self) -> None:
        """Take up what the journal holds: the longest run of whole segments."""
        with self.lock:
            for path in sorted(self.folder.glob("*")):
                sealed = _read_journal(path, self.machine_id, self.generation)
                expected = self.queue[-1].last + 1 if self.queue else None
                if sealed is None or expected not in (None, sealed.first):
                    path.unlink()
                    continue
                self.queue.append(sealed)
                self.queued_bytes += sealed.size
                self.next = sealed.last + 1

    def meet(self, acknowledged: int) -> bool:
        """Compare with what the process server has. False when something between is lost: then what waits is dropped."""
        with self.lock:
            self.seal()
            self.acknowledged(acknowledged)
            first = self.queue[0].first if self.queue else self.next
            whole = first == acknowledged + 1  # a segment that it has a part of came from somebody else
            if not whole:
                self.clear()
                self.next = acknowledged + 1
            return whole

    def clear(self) -> None:
        """Forget everything that waits."""
        with self.lock:
            self._open, self._memory = SegmentBuffer(), 0
            self._spare.clear()
            self.queue.clear()
            self.queued_bytes = 0
            for path in self.folder.glob("*"):
                path.unlink()


def write_file(path: Path, raw: bytes) -> None:
    """A whole file, over one that may be there. Raises `OSError` when the disk is full."""
    with path.open("r+b" if path.exists() else "wb", buffering=0) as stream:
        view = memoryview(raw)
        while view:
            view = view[stream.write(view) :]
        stream.truncate(len(raw))


def _add(total: dict[int, int], more: dict[int, int]) -> None:
    for disk, count in more.items():
        total[disk] = total.get(disk, 0) + count


def _read_journal(path: Path, machine_id: str, generation: int) -> Sealed | None:
    if path.suffix != ".seg":
        return None
    raw = path.read_bytes()
    try:
        segment = records.decode(raw)
    except DamagedSegment:
        return None
    if (segment.machine_id, segment.generation) != (machine_id, generation):
        return None
    by_disk: dict[int, int] = {}
    for record in segment.records:
        if record.kind in records.DATA_KINDS:
            by_disk[record.disk] = by_disk.get(record.disk, 0) + len(record.data)
    return Sealed(segment.first, segment.last, len(raw), by_disk, None, path)
