"""What a machine's disks held at any instant, known without asking the product: the first content plus every write since.

The witness sits in the guest's write path beside the mobility agent and keeps what was written, where and when. A recovery
point is right when every disk equals the same prefix of that history (REP-010), and the prefix ends where the point's time says.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

#: Large reads let a page blob skip what was never written.
CHUNK = 32 * 1024 * 1024


class Readable(Protocol):
    """A disk that can be read: `size` bytes."""

    @property
    def size(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Write:
    unit: int
    offset: int
    data: bytes
    when: float


@dataclass(slots=True)
class Witness:
    """The history of one machine. `first` gives the content each unit had when the history began."""

    first: dict[int, Callable[[], Readable]]
    writes: list[Write] = field(default_factory=list)

    def wrote(self, unit: int, offset: int, data: bytes, when: float) -> None:
        """The write filter's call: in order, after the write reached the disk."""
        self.writes.append(Write(unit, offset, bytes(data), when))

    def prefixes_at(self, when: float, *, slack: float = 0.0) -> range:
        """How many writes the disks may hold at `when`: one number, or several when writes share that very moment."""
        fewest = sum(1 for write in self.writes if write.when < when - slack)
        most = sum(1 for write in self.writes if write.when <= when + slack)
        return range(fewest, most + 1)

    def sha256(self, unit: int, count: int) -> str:
        """SHA-256 of a whole disk after the first `count` writes of the machine."""
        return sha256(_Overlaid(self.first[unit](), [write for write in self.writes[:count] if write.unit == unit]))

    def matching(self, digests: Mapping[int, str], counts: Iterable[int]) -> int | None:
        """The number of writes after which *all* disks had these SHA-256 (by unit), or None when there is none."""
        for count in counts:
            if all(self.sha256(unit, count) == digest for unit, digest in digests.items()):
                return count
        return None


@dataclass(slots=True)
class _Overlaid:
    """A disk with writes laid over it, without copying it."""

    below: Readable
    writes: list[Write]

    @property
    def size(self) -> int:
        return self.below.size

    def read(self, offset: int, length: int) -> bytes:
        below = self.below.read(offset, length)
        over = [write for write in self.writes if write.offset < offset + length and offset < write.offset + len(write.data)]
        if not over:
            return below
        data = bytearray(below)
        for write in over:
            start, end = max(offset, write.offset), min(offset + length, write.offset + len(write.data))
            data[start - offset : end - offset] = write.data[start - write.offset : end - write.offset]
        return bytes(data)


def sha256(disk: Readable) -> str:
    """SHA-256 of a whole disk, hexadecimal."""
    digest = hashlib.sha256()
    for offset in range(0, disk.size, CHUNK):
        digest.update(disk.read(offset, min(CHUNK, disk.size - offset)))
    return digest.hexdigest()


@dataclass(slots=True)
class FileDisk:
    """A raw file read as a disk; what lies beyond its end, up to `size`, is zero."""

    path: str
    size: int

    def read(self, offset: int, length: int) -> bytes:
        with open(self.path, "rb") as opened:
            opened.seek(offset)
            return opened.read(length).ljust(length, b"\0")


@dataclass(slots=True)
class ZeroDisk:
    """A new disk."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        return bytes(length)
