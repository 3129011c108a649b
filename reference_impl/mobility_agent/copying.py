"""The one way a disk is brought to the far side: initial copy, resync, reverse copy and protecting again are the same.

The far side says what it holds (a checksum for each 64 KiB); blocks that differ go into the ordered stream as `COPY` or
`ZERO`, each read and numbered while no write can come between (REP-004). So nothing has to be stopped, and at `SYNC_END` the far
side is exact. Where the driver's map knows which blocks the far side may lack, only those are read and nobody is asked: that is
how a copy goes on where it stopped, and how an agent that was killed or had to stop capturing catches up.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy
import xxhash

from reference_impl import records
from reference_impl.mobility_agent.driver import Driver
from reference_impl.mobility_agent.stream import Stream
from reference_impl.outside import Disk, Guest, Process
from reference_impl.records import BLOCK, DIGEST, Record
from reference_impl.rules import Rules

#: What is read and compared in one turn for each disk; between two turns the guest writes.
TURN_BYTES = 4 << 20
TURN_SECONDS = 0.25
#: No more copied blocks while this much waits to be sent.
BACKLOG_BYTES = 16 << 20
ASK_AGAIN_SECONDS = 3.0

ZERO_BLOCK = bytes(BLOCK)
ZERO_DIGEST = xxhash.xxh3_128_digest(ZERO_BLOCK)

State = Literal["Queued", "InProgress", "Done"]


@dataclass(slots=True)
class Progress:
    """How far one disk is. `copied` bytes have been dealt with, `sent` of them travelled (REP-005)."""

    index: int
    disk_id: str
    unit: int
    size: int
    copied: int = 0
    sent: int = 0
    state: State = "Queued"
    digests: bytes | None = None  #: of the far side; None: it holds nothing
    exact_from: int = 0  #: the number of its `SYNC_END`; 0 while it is open


class FarSide(Protocol):
    """What the copy asks the process server."""

    def position(self) -> int | None:
        """The last number it has; None when it cannot be asked now."""
        ...

    def checksums(self, disk_id: str, sequence: int) -> "bytes | Literal['none', 'later']": ...


@dataclass(slots=True)
class Copying:
    """One sync of some disks of a machine."""

    guest: Guest
    stream: Stream
    driver: Driver
    far_side: FarSide
    rules: Rules
    disks: list[Progress]
    kick: Callable[[], None]  #: something waits to be sent
    disk_done: Callable[[], None]  #: there is something new to keep
    now: Callable[[], float]
    mapped: bool = False  #: only the blocks that the driver's map names

    def run(self) -> Process:
        """The whole sync; True when every disk has its `SYNC_END` in the stream, False when the stream broke off meanwhile."""
        yield from self._meet()
        with self.guest.hold_writes():
            self.mapped = self.mapped and self.driver.generation == self.stream.generation
            if self.mapped and self._nothing_missing():
                self.stream.go_on(())
                return True
            if not self.mapped:
                sizes = {disk.unit: disk.size for disk in self.disks}
                self.driver.track(self.stream.generation, sizes)
            begun = self.stream.begin([disk.index for disk in self.disks], self.now())
            for disk in self.disks:
                disk.exact_from = 0
        self.disk_done()  # after a kill it must not be forgotten that they are open
        self.kick()
        waiting, active = list(self.disks), list[Progress]()
        while waiting or active:
            while waiting and len(active) < self.rules.disks_copying_at_once:
                active.append(waiting.pop(0))
                active[-1].state = "InProgress"
                if not self.mapped:
                    active[-1].digests = yield from self._ask(active[-1], begun[active[-1].index])
            for disk in active:
                yield from self._room()
                if not self.stream.capturing:
                    return False
                self._turn(disk)
            active = [disk for disk in active if disk.state != "Done"]
            yield TURN_SECONDS
        return self.stream.capturing

    def _meet(self) -> Process:
        while not self.stream.capturing:
            position = self.far_side.position()
            if position is not None:
                if not self.driver.knows(position):
                    self.driver.forget()
                self.stream.meet(position)
                self.driver.lose(self.stream.last)
                return
            yield ASK_AGAIN_SECONDS

    def _nothing_missing(self) -> bool:
        """The far side is exact as soon as it has what waits: no block is unseen, every `SYNC_END` is on its way or there."""
        last = self.stream.last
        return not self.stream.capturing and all(
            0 < disk.exact_from <= last and self.driver.next_unseen(disk.unit, 0) is None for disk in self.disks
        )

    def _ask(self, disk: Progress, begun: int) -> Process:
        while True:
            answer = self.far_side.checksums(disk.disk_id, begun)
            if answer == "none":
                return None
            if answer != "later":
                assert isinstance(answer, bytes)
                return answer
            yield ASK_AGAIN_SECONDS

    def _room(self) -> Process:
        while self.stream.queued_bytes > BACKLOG_BYTES:
            self.kick()
            yield 2 * TURN_SECONDS

    def _turn(self, progress: Progress) -> None:
        disk = find_disk(self.guest, progress.unit)
        with self.guest.hold_writes():
            if self.mapped:
                self._skip(progress)
            length = min(TURN_BYTES, progress.size - progress.copied)
            if length > 0:
                self._compare(progress, disk.read(progress.copied, length))
            if progress.copied >= progress.size:
                progress.exact_from = self.stream.append(records.sync_end(progress.index, progress.size, self.now()))
                progress.state = "Done" if progress.exact_from else progress.state
        if progress.state == "Done":
            self.disk_done()
        self.kick()

    def _skip(self, progress: Progress) -> None:
        """On to the next block that the far side may lack."""
        block = self.driver.next_unseen(progress.unit, progress.copied // BLOCK)
        progress.copied = progress.size if block is None else max(progress.copied, block * BLOCK)

    def _compare(self, progress: Progress, data: bytes) -> None:
        first, count = progress.copied // BLOCK, -(-len(data) // BLOCK)
        empty = _empty_blocks(data, count)
        everything = not self.rules.send_only_differences
        if self.mapped and not everything:
            differs = self.driver.unseen(progress.unit, first, count).tolist()
        else:
            differs = _differs(progress, memoryview(data), empty, everything=everything)
        entries = differences(progress, data, self.now(), differs, empty, zeros=not everything)
        self.stream.extend(entries)
        if self.stream.capturing:  # else the stream broke off here, and this much may be missing
            self.driver.sent(progress.unit, first, count, self.stream.last)
        progress.sent += sum(len(entry.data) for entry in entries)
        progress.copied += len(data)


def find_disk(guest: Guest, unit: int) -> Disk:
    """The disk at a unit. Raises `OSError` when it is gone."""
    for disk in guest.disks():
        if disk.unit == unit:
            return disk
    raise OSError(f"{guest.name} has no disk at unit {unit}")


def differences(
    progress: Progress, data: bytes, when: float, differs: Sequence[bool], empty: Sequence[bool], *, zeros: bool
) -> Sequence[Record]:
    """Records for the blocks of `data` (which lies at `progress.copied`) that `differs`; `zeros`: empty ones travel as such."""
    view, base = memoryview(data), progress.copied
    count = len(differs)
    entries: list[Record] = []
    start = 0
    while start < count:
        if not differs[start]:
            start += 1
            continue
        stop = start + 1
        while stop < count and differs[stop] and empty[stop] == empty[start]:
            stop += 1
        low, high = start * BLOCK, min(stop * BLOCK, len(data))
        if empty[start] and zeros:
            entries.append(records.zero(progress.index, base + low, high - low, when))
        else:
            entries.append(records.copy(progress.index, base + low, view[low:high], when))
        start = stop
    return entries


def _empty_blocks(data: bytes, count: int) -> list[bool]:
    whole = len(data) // BLOCK
    words = numpy.frombuffer(data, dtype=numpy.uint64, count=whole * (BLOCK // 8)).reshape(whole, BLOCK // 8)
    empty: list[bool] = [not row[:8].any() and not row.any() for row in words]
    if whole < count:
        tail = data[whole * BLOCK :]
        empty.append(tail == bytes(len(tail)))
    return empty


def _differs(progress: Progress, view: memoryview, empty: Sequence[bool], *, everything: bool) -> list[bool]:
    if everything:
        return [True] * len(empty)
    if progress.digests is None:
        return [not is_empty for is_empty in empty]
    first = progress.copied // BLOCK
    differs = []
    for number, is_empty in enumerate(empty):
        block = view[number * BLOCK : (number + 1) * BLOCK]
        ours = ZERO_DIGEST if is_empty and len(block) == BLOCK else xxhash.xxh3_128_digest(block)
        at = (first + number) * DIGEST
        differs.append(progress.digests[at : at + DIGEST] != ours)
    return differs
