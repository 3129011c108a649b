"""Of many writes what is left of them: for each disk sorted ranges that do not overlap, merged where they touch."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reference_impl.records import Buffer, Record


@dataclass(frozen=True, slots=True)
class Range:
    """`data` for the bytes from `offset` on; None: `length` zeros."""

    offset: int
    length: int
    data: Buffer | None

    @property
    def end(self) -> int:
        return self.offset + self.length

    def part(self, low: int, high: int) -> "Range":
        """What of it lies in `low` to `high`."""
        data = None if self.data is None else memoryview(self.data)[low - self.offset : high - self.offset]
        return Range(low, high - low, data)


@dataclass(slots=True)
class Extents:
    """The latest content of some places of one disk. Later ranges win."""

    _starts: list[int] = field(default_factory=list)
    _ranges: list[Range] = field(default_factory=list)

    def put(self, new: Range) -> None:
        starts, ranges = self._starts, self._ranges
        if not starts or new.offset >= ranges[-1].end:
            starts.append(new.offset)
            ranges.append(new)
            return
        low = bisect_right(starts, new.offset)
        if low and ranges[low - 1].end > new.offset:
            low -= 1
        high = bisect_left(starts, new.end)
        pieces = [new]
        if low < high:
            first, last = ranges[low], ranges[high - 1]
            if first.offset < new.offset:
                pieces.insert(0, first.part(first.offset, new.offset))
            if last.end > new.end:
                pieces.append(last.part(new.end, last.end))
        starts[low:high] = [piece.offset for piece in pieces]
        ranges[low:high] = pieces

    def ranges(self) -> Sequence[Range]:
        """Sorted, without overlap."""
        return self._ranges


def latest(changes: Iterable[Record]) -> dict[int, Extents]:
    """What data records leave behind, by disk."""
    disks: dict[int, Extents] = {}
    for record in changes:
        carries = len(record.data) > 0
        disks.setdefault(record.disk, Extents()).put(Range(record.offset, record.length, record.data if carries else None))
    return disks


def merged(ranges: Iterable[Range], most: int) -> list[Range]:
    """Neighbours joined and large ones cut, so that each is at most `most` bytes and few are small."""
    joined: list[Range] = []
    group: list[Range] = []
    for whole in ranges:
        if group and (whole.offset != group[-1].end or (whole.data is None) != (group[0].data is None)):
            joined += _join(group, most)
            group = []
        group.append(whole)
    return joined + (_join(group, most) if group else [])


def _join(group: Sequence[Range], most: int) -> list[Range]:
    start, end = group[0].offset, group[-1].end
    if group[0].data is None:
        return [Range(start, end - start, None)]
    whole = Range(start, end - start, group[0].data if len(group) == 1 else b"".join(part.data or b"" for part in group))
    return [whole.part(low, min(low + most, end)) for low in range(start, end, most)] if whole.length > most else [whole]
