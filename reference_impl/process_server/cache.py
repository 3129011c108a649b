"""What a process server has promised: the cached segments and logs of one machine's generation, on disk.

A segment is acknowledged when it lies in the spool, synced. Segments become logs; a log stays until the replica worker has gone
past it, because a store can lose what it acknowledged. After a kill the folder says where things stand; only segments need a sync
for that, because a log that a power loss takes is in the store or can be made again.
"""

import json
import os
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reference_impl import hrl, records
from reference_impl.process_server.spool import Place, Spool
from reference_impl.records import Buffer, Kind, SegmentHead

#: Received bytes that a process server keeps in memory at most, beside the cache on disk.
FRESH_BYTES = 24 << 20


@dataclass(frozen=True, slots=True)
class Cached:
    """A segment in the cache. `marked`: it has a tag or the begin or end of a sync."""

    first: int
    last: int
    size: int
    marked: bool
    place: Place
    raw: Buffer | None = None  #: while there is room for it in memory

    def read(self) -> Buffer:
        """Its bytes. Raises `OSError` when the cache has lost them."""
        return self.raw if self.raw is not None else self.place.read()


@dataclass(slots=True)
class Room:
    """Memory of one server for segments that have just come: most are passed on before they have to be read again."""

    left: int = FRESH_BYTES
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, size: int) -> bool:
        with self.lock:
            fits = size <= self.left
            self.left -= size if fits else 0
            return fits

    def give_back(self, cached: Iterable[Cached]) -> None:
        with self.lock:
            self.left += sum(one.size for one in cached if one.raw is not None)


@dataclass(frozen=True, slots=True)
class LogFile:
    """A finished log in the cache."""

    first: int
    last: int
    size: int
    path: Path


@dataclass(slots=True)
class Lane:
    """One machine's generation. `lock` guards everything; it is held for file work only, never for the network."""

    folder: Path
    machine_id: str
    generation: int
    sync: bool = True
    room: Room = field(default_factory=Room)
    sealed: int = 0  #: records up to here are in logs, or were taken by the master target
    uploaded: int = 0
    chain: bytes = hrl.GENESIS
    last_tag: dict[str, Any] | None = None  #: the newest tag that is complete at the far side
    raw_bytes: int = 0
    stored_bytes: int = 0
    stream_id: str = ""  #: the run of the agent that segments are taken from
    remembered: bool = False  #: the folder was there before
    known: bool = False  #: it has been compared with the far side: neither of the two is an old copy
    segments: deque[Cached] = field(default_factory=deque)
    logs: deque[LogFile] = field(default_factory=deque)
    lock: threading.RLock = field(default_factory=threading.RLock)
    spool: Spool = field(init=False)

    def __post_init__(self) -> None:
        self.spool = Spool(self.folder, self.sync)

    @property
    def received(self) -> int:
        with self.lock:
            return self.segments[-1].last if self.segments else self.sealed

    @property
    def waiting_bytes(self) -> int:
        """Received and not yet sealed."""
        with self.lock:
            return sum(cached.size for cached in self.segments)

    @property
    def waits_for_mark(self) -> bool:
        """Something that should not wait for more data is among what was received."""
        with self.lock:
            return any(cached.marked for cached in self.segments)

    @property
    def cache_bytes(self) -> int:
        with self.lock:
            return self.waiting_bytes + sum(log.size for log in self.logs)

    @property
    def pending_bytes(self) -> int:
        """Received and not yet at the far side."""
        with self.lock:
            return self.waiting_bytes + sum(log.size for log in self.logs if log.last > self.uploaded)

    # receiving -------------------------------------------------------------------------------------------------------

    def receive(self, head: SegmentHead, raw: Buffer) -> bool:
        """Keep a segment that continues what is there; False for one that was received already. Raises `OSError`."""
        with self.lock:
            if head.last <= self.received:
                return False
            assert head.first == self.received + 1
            place = self.spool.append(head.first, raw)
            fresh = raw if self.room.take(len(raw)) else None
            self.segments.append(Cached(head.first, head.last, len(raw), has_marks(raw, head), place, fresh))
            return True

    # moving on -------------------------------------------------------------------------------------------------------

    def take(self, most: int) -> list[Cached]:
        """The oldest segments: `most` bytes, and what is left of the segment that fills them."""
        with self.lock:
            taken, size = list[Cached](), 0
            for cached in self.segments:
                if size >= most:
                    break
                taken.append(cached)
                size += cached.size
            return taken

    def sealed_as(self, taken: list[Cached], log: bytes, digest: bytes) -> None:
        """The segments are in this log now. Raises `OSError` when the disk is full; then nothing has changed."""
        with self.lock:
            first, last = taken[0].first, taken[-1].last
            path = self.folder / f"{first:020d}.hrl"
            write_whole(path, log)
            self.save(
                sealed=last,
                chain=digest.hex(),
                rawBytes=self.raw_bytes + sum(cached.size for cached in taken),
                storedBytes=self.stored_bytes + len(log),
            )
            self.logs.append(LogFile(first, last, len(log), path))
            self.sealed, self.chain = last, digest
            self.raw_bytes += sum(cached.size for cached in taken)
            self.stored_bytes += len(log)
            self._done_with(taken)

    def passed_on(self, taken: list[Cached]) -> None:
        """The segments are safe at the master target. Raises `OSError` when that cannot be noted."""
        with self.lock:
            last, sizes = taken[-1].last, sum(cached.size for cached in taken)
            raw, stored = self.raw_bytes + sizes, self.stored_bytes + sizes
            self.save(sealed=last, uploaded=last, rawBytes=raw, storedBytes=stored)
            self.sealed = self.uploaded = last
            self.raw_bytes, self.stored_bytes = raw, stored
            self._done_with(taken)

    def bind(self, stream_id: str) -> None:
        """From here on segments come from this run of the agent. Raises `OSError` when that cannot be noted."""
        with self.lock:
            if stream_id != self.stream_id:
                self.save(streamId=stream_id)
                self.stream_id = stream_id

    def _done_with(self, taken: list[Cached]) -> None:
        self.room.give_back(taken)
        for cached in taken:
            self.segments.popleft()
            self.spool.release(cached.place)

    def note_uploaded(self, log: LogFile, tag: dict[str, Any] | None) -> None:
        with self.lock:
            self.uploaded = log.last
            self.last_tag = tag or self.last_tag

    def forgotten(self, first: int) -> None:
        """The store does not hold the log that begins with `first` any more: it and what follows go up again."""
        with self.lock:
            self.uploaded = min(self.uploaded, first - 1)

    def drop_logs(self, processed: int) -> None:
        """Logs that the worker has gone past are not needed any more."""
        with self.lock:
            while self.logs and self.logs[0].last <= min(processed, self.uploaded):
                self.logs.popleft().path.unlink(missing_ok=True)

    def meet(self, position: int, chain: bytes, *, most: int) -> None:
        """The far side has everything up to `position`. More than `most` cannot come from here: then this folder is old."""
        with self.lock:
            if not self.remembered or position > most:
                self.restart_at(position, chain)
            self.uploaded = min(self.uploaded, position)  # what the store forgot goes up again
            self.known = True

    def restart_at(self, position: int, chain: bytes) -> None:
        """Take what the far side has as the truth; what is cached does not continue it."""
        with self.lock:
            self.spool.clear()
            for log in self.logs:
                log.path.unlink(missing_ok=True)
            self.room.give_back(self.segments)
            self.segments.clear()
            self.logs.clear()
            self.sealed = self.uploaded = position
            self.chain, self.remembered = chain, True
            self.save()

    # folder ----------------------------------------------------------------------------------------------------------

    def save(self, **changed: Any) -> None:
        """Note where things stand, or will stand when `changed` holds. Raises `OSError`."""
        kept = {"sealed": self.sealed, "uploaded": self.uploaded, "chain": self.chain.hex(), "lastTag": self.last_tag}
        kept |= {"rawBytes": self.raw_bytes, "storedBytes": self.stored_bytes, "streamId": self.stream_id} | changed
        write_whole(self.folder / "position.json", json.dumps(kept).encode())

    def destroy(self) -> None:
        with self.lock:
            self.room.give_back(self.segments)
            self.segments.clear()
            self.logs.clear()
            self.spool.clear()
            for path in self.folder.glob("*"):
                path.unlink()
            self.folder.rmdir()


def open_lane(folder: Path, machine_id: str, generation: int, *, sync: bool = True, room: Room | None = None) -> Lane:
    """The lane in a folder, as it was left."""
    folder.mkdir(parents=True, exist_ok=True)
    lane = Lane(folder, machine_id, generation, sync, room or Room())
    try:
        kept = json.loads((folder / "position.json").read_bytes())
        lane.sealed, lane.uploaded, lane.chain = int(kept["sealed"]), int(kept["uploaded"]), bytes.fromhex(kept["chain"])
        lane.last_tag, lane.remembered = kept["lastTag"], True
        lane.raw_bytes, lane.stored_bytes = int(kept["rawBytes"]), int(kept["storedBytes"])
        lane.stream_id = str(kept["streamId"])
    except (OSError, ValueError, KeyError):
        lane.remembered = False
    for path in sorted(folder.glob("*.hrl")):
        _take_up_log(lane, path)
    for head, raw, place in list(lane.spool.recover()):  # all are counted before any is released
        if head.first == lane.received + 1:
            lane.segments.append(Cached(head.first, head.last, len(raw), has_marks(raw, head), place))
        else:
            lane.spool.release(place)
    return lane


def _take_up_log(lane: Lane, path: Path) -> None:
    raw = path.read_bytes()
    try:
        head = hrl.inspect(raw)
    except hrl.DamagedLog:
        path.unlink()
        return
    if head.last <= lane.sealed:
        lane.logs.append(LogFile(head.first, head.last, len(raw), path))
    else:
        path.unlink()  # it was written, but the position that counts it was not: it is made again


def has_marks(raw: Buffer, head: SegmentHead) -> bool:
    """Whether a segment has more than data, from its table alone."""
    kinds = bytes(memoryview(raw)[records.HEAD.size : records.HEAD.size + head.count * records.ENTRY.size : records.ENTRY.size])
    return max(kinds) >= Kind.TAG


def write_whole(path: Path, raw: Buffer) -> None:
    """A file that is there whole or not at all, whenever this process is killed."""
    partial = path.with_suffix(".tmp")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(raw)
    os.replace(partial, path)
