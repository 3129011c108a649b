"""From cached segments to one log: decode, coalesce, compress, seal (REP-012)."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reference_impl import hrl, records
from reference_impl.coalesce import latest, merged
from reference_impl.process_server.cache import Cached, Lane
from reference_impl.process_server.crew import Crew
from reference_impl.records import Kind, Record
from reference_impl.rules import Rules
from reference_impl.times import iso

#: What one log holds at most of received data, beyond the segment that fills it.
SEAL_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class SealedLog:
    """A log, and what has to be known of it without opening it again."""

    raw: bytes
    digest: bytes
    tag: dict[str, Any] | None
    marked: bool


@dataclass(frozen=True, slots=True)
class Sealing:
    """One log to be made of cached segments: all that it needs is in here, so any thread can make it."""

    lane: Lane
    taken: list[Cached]
    previous: bytes
    salt: bytes
    made: float
    rules: Rules
    data_key: bytes
    crew: Crew

    def seal(self) -> SealedLog:
        """Raises `OSError` or `DamagedSegment` when the cache itself is damaged."""
        entries: list[Record] = []
        for cached in self.taken:
            entries += records.decode(cached.read()).records
        first = self.taken[0].first
        raw = hrl.write(
            self.lane.machine_id,
            self.lane.generation,
            build_frames(first, entries),
            key=self.data_key,
            salt=self.salt,
            previous=self.previous,
            made=self.made,
            compress=self.rules.compress,
            encrypt=self.rules.encrypt,
            side_by_side=self.crew.all,
        )
        return SealedLog(raw, raw[-32:], newest_tag(first, entries), any(cached.marked for cached in self.taken))


def build_frames(first: int, entries: Sequence[Record]) -> list[hrl.Frame]:
    """Records in order to frames: a frame ends when it is full, and before data that follows a mark."""
    frames: list[hrl.Frame] = []
    start, size, marked = 0, 0, False
    for place, record in enumerate(entries):
        is_data = record.kind in records.DATA_KINDS
        if place > start and (size >= hrl.FRAME_BYTES or (is_data and marked)):
            frames.append(_frame(first + start, entries[start:place]))
            start, size, marked = place, 0, False
        size += len(record.data)
        marked = marked or not is_data
    return [*frames, _frame(first + start, entries[start:])]


def _frame(first: int, entries: Sequence[Record]) -> hrl.Frame:
    """Of several writes to a place only the last is kept."""
    when = entries[-1].when
    changes = [record for record in entries if record.kind in records.DATA_KINDS]
    kept: list[Record] = []
    for disk, extents in sorted(latest(changes).items()):
        for whole in merged(extents.ranges(), hrl.FRAME_BYTES):
            if whole.data is None:
                kept.append(records.zero(disk, whole.offset, whole.length, when))
            else:
                kept.append(records.write(disk, whole.offset, whole.data, when))
    marks = [record for record in entries if record.kind not in records.DATA_KINDS]
    return hrl.Frame(first, first + len(entries) - 1, when, kept + marks)


def newest_tag(first: int, entries: Sequence[Record]) -> dict[str, Any] | None:
    """The last tag of a run of records as the component protocol writes it. That one is shared is said later: no new tag."""
    for place in range(len(entries) - 1, -1, -1):
        record = entries[place]
        if record.kind is Kind.TAG and record.tag is not None and not record.tag.multi_vm:
            return {"pointId": record.tag.point_id, "time": iso(record.when), "sequence": first + place, "kind": record.tag.kind}
    return None


def data_key(settings: Mapping[str, Any]) -> bytes:
    """The machine's key out of its settings. Raises `ValueError`."""
    key = base64.b64decode(str(settings["dataKey"]), validate=True)
    if len(key) != hrl.KEY_BYTES:
        raise ValueError(f"a data key has {hrl.KEY_BYTES} bytes")
    return key
