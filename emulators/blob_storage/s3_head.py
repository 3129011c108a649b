"""What an S3 object says about a blob: its head. The bytes are extents of immutable objects, which several heads may share."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import orjson

from emulators.blob_storage.contract import MOST_PAGES

BLOCK, PAGES = "block", "page"

#: Above this number of objects behind one window of `MOST_PAGES` bytes the window is written anew as one.
MOST_OBJECTS = 32


@dataclass(frozen=True, slots=True)
class Extent:
    """`length` bytes of a blob at `offset`: those of an object from `at` on."""

    offset: int
    length: int
    object: str
    at: int

    @property
    def end(self) -> int:
        return self.offset + self.length

    def cut(self, start: int, end: int) -> "Extent":
        """The part between two offsets of the blob."""
        first, last = max(start, self.offset), min(end, self.end)
        return Extent(first, last - first, self.object, self.at + first - self.offset)


@dataclass(frozen=True, slots=True)
class Lease:
    """`until` is emulated time; None for a lease without an end. An expired lease stays until another one is taken."""

    id: str
    seconds: int
    until: float | None


@dataclass(frozen=True, slots=True)
class Head:
    """One state of a blob. `extents` are in order and do not overlap; a page that none holds was never written.

    `snapshots` gives size and manifest (an object that holds another head) by time, oldest first.
    """

    type: str
    size: int
    etag: str
    metadata: dict[str, str] = field(default_factory=dict)
    extents: tuple[Extent, ...] = ()
    lease: Lease | None = None
    sequence_number: int = 0
    snapshots: dict[str, tuple[int, str]] = field(default_factory=dict)

    def frozen(self) -> "Head":
        """What a snapshot or a copy takes along."""
        return replace(self, lease=None, sequence_number=0, snapshots={})


def dump(head: Head) -> bytes:
    """A head as the JSON that is its object."""
    return orjson.dumps(
        {
            "type": head.type,
            "size": head.size,
            "etag": head.etag,
            "metadata": head.metadata,
            "extents": [(part.offset, part.length, part.object, part.at) for part in head.extents],
            "lease": head.lease,
            "sequenceNumber": head.sequence_number,
            "snapshots": head.snapshots,
        }
    )


def load(data: bytes) -> Head:
    """The head in an object. Raises `ValueError` when it is none."""
    try:
        said = orjson.loads(data)
        return Head(
            said["type"],
            said["size"],
            said["etag"],
            said["metadata"],
            tuple(Extent(*part) for part in said["extents"]),
            Lease(**said["lease"]) if said["lease"] else None,
            said["sequenceNumber"],
            {time: (size, manifest) for time, (size, manifest) in said["snapshots"].items()},
        )
    except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError) as error:
        raise ValueError(f"an object of {len(data)} bytes is not the head of a blob: {error}") from error


def cleared(extents: Iterable[Extent], offset: int, length: int) -> list[Extent]:
    """The extents without what lies in a range."""
    end = offset + length
    kept = []
    for part in extents:
        if part.end <= offset or part.offset >= end:
            kept.append(part)
            continue
        if part.offset < offset:
            kept.append(part.cut(part.offset, offset))
        if part.end > end:
            kept.append(part.cut(end, part.end))
    return kept


def written(extents: Iterable[Extent], new: Extent) -> list[Extent]:
    """The extents with one laid over them."""
    return sorted([*cleared(extents, new.offset, new.length), new], key=lambda part: part.offset)


def within(extents: Iterable[Extent], offset: int, length: int) -> list[Extent]:
    """What the extents hold of a range."""
    end = offset + length
    return [part.cut(offset, end) for part in extents if part.end > offset and part.offset < end]


def ranges(extents: Iterable[Extent]) -> list[tuple[int, int]]:
    """What was written as `(offset, length)`, in order, neighbours joined."""
    found: list[tuple[int, int]] = []
    for part in extents:
        if found and sum(found[-1]) == part.offset:
            found[-1] = (found[-1][0], found[-1][1] + part.length)
        else:
            found.append((part.offset, part.length))
    return found


def runs(extents: Iterable[Extent]) -> list[list[Extent]]:
    """Neighbours that can be read from their object in one piece."""
    found: list[list[Extent]] = []
    for part in extents:
        last = found[-1][-1] if found else None
        if last is not None and (last.object, last.at + last.length) == (part.object, part.at):
            found[-1].append(part)
        else:
            found.append([part])
    return found


def crowded(extents: Iterable[Extent], offset: int, length: int) -> list[int]:
    """The windows around a range, by their offset, whose bytes are in more than `MOST_OBJECTS`."""
    first = offset // MOST_PAGES
    last = (offset + max(length, 1) - 1) // MOST_PAGES
    known = list(extents)
    windows = [number * MOST_PAGES for number in range(first, last + 1)]
    return [window for window in windows if len({part.object for part in within(known, window, MOST_PAGES)}) > MOST_OBJECTS]
