"""A workload that can prove what it wrote: numbered, checksummed records, one after the other, on one or several disks.

Record n lies at `n * record_size` and is written to every disk of the workload in their order before record n + 1 is begun. So at
any instant each disk holds an unbroken run of records from 0 on, and a later disk never more than an earlier one (REP-010).

Record, little endian: magic 8, number u64, time f64, size u32, CRC-32 u32 of the record with this field zero, then bytes that
follow from the number.
"""

import struct
import zlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MAGIC = b"DRILLREC"
HEAD = struct.Struct("<8sQdII")
SIZES = (512, 4096)
CRC_AT = 28


class Readable(Protocol):
    """A disk to look at: a guest's, a device, a file."""

    @property
    def size(self) -> int: ...
    def read(self, offset: int, length: int) -> bytes: ...


class Writable(Readable, Protocol):
    def write(self, offset: int, data: bytes) -> None: ...


class Scope(Protocol):
    """The clock, as far as a workload needs it."""

    def now(self) -> float: ...
    def spawn(self, process: Generator[float, None, Any], *, name: str) -> Any: ...


class Machine(Protocol):
    """The guest, as far as a workload needs it."""

    @property
    def held(self) -> bool: ...
    def disk(self, unit: int) -> Any: ...
    def now(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Found:
    """What a disk holds of a workload: the count of records from 0 on, whether nothing lies beyond them, the time of the last."""

    count: int
    unbroken: bool
    last_time: float = 0.0


def record(number: int, when: float, size: int) -> bytes:
    """The bytes of one record."""
    seed = struct.pack("<Q", (number + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1)
    body = seed * ((size - HEAD.size) // 8)
    blank = HEAD.pack(MAGIC, number, when, size, 0) + body
    return blank[:CRC_AT] + struct.pack("<I", zlib.crc32(blank)) + blank[HEAD.size :]


def read_workload(disk: Readable, *, record_size: int = 512, start: int = 0) -> Found:
    """Count the records on a disk and prove that they are an unbroken prefix: 0, 1, 2, ... and nothing but zeros behind."""
    count, last, chunk = 0, 0.0, 1 << 20
    for at in range(start, disk.size - record_size + 1, chunk):
        data = disk.read(at, min(chunk, disk.size - at))
        for place in range(0, len(data) - record_size + 1, record_size):
            when = _record_time(data[place : place + record_size], count, record_size)
            if when is None:
                return Found(count, _empty(disk, at + place), last)
            count, last = count + 1, when
    return Found(count, True, last)


def _record_time(raw: bytes, number: int, size: int) -> float | None:
    magic, found, when, length, crc = HEAD.unpack_from(raw)
    if magic != MAGIC or found != number or length != size:
        return None
    blank = raw[:CRC_AT] + bytes(4) + raw[HEAD.size :]
    return float(when) if zlib.crc32(blank) == crc else None


def _empty(disk: Readable, offset: int) -> bool:
    for at in range(offset, disk.size, 1 << 20):
        data = disk.read(at, min(1 << 20, disk.size - at))
        if data.count(0) != len(data):
            return False
    return True


class Workload:
    """Writes `rate` records a second in bursts `interval` seconds apart, until the disk is full. Goes on where it stopped."""

    def __init__(
        self,
        clock: Scope,
        guest: Machine,
        units: Sequence[int],
        *,
        rate: float = 1.0,
        interval: float = 1.0,
        record_size: int = 512,
        start: int = 0,
    ):
        if record_size not in SIZES:
            raise ValueError(f"records have {SIZES[0]} or {SIZES[1]} bytes")
        self._clock, self._guest, self._units = clock, guest, tuple(units)
        self._rate, self._interval, self._size, self._start = rate, interval, record_size, start
        self._task: Any = None
        self.count = 0

    def start(self) -> None:
        self._task = self._clock.spawn(self._run(), name="workload")

    def pace(self, rate: float, interval: float) -> None:
        """Write `rate` records a second in bursts `interval` seconds apart from the next burst on."""
        self._rate, self._interval = rate, interval

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    kill = stop

    def _run(self) -> Generator[float, None, None]:
        disks = [self._guest.disk(unit) for unit in self._units]
        self.count = min(read_workload(disk, record_size=self._size, start=self._start).count for disk in disks)
        owed = 0.0
        while True:
            yield self._interval
            owed += self._rate * self._interval
            while owed >= 1 and not self._guest.held:
                owed -= 1
                if not self._write(disks):
                    return

    def _write(self, disks: Sequence[Writable]) -> bool:
        offset = self._start + self.count * self._size
        if any(offset + self._size > disk.size for disk in disks):
            return False
        raw = record(self.count, self._guest.now(), self._size)
        for disk in disks:
            disk.write(offset, raw)
        self.count += 1
        return True
