"""The ordered stream of one machine: what its disks went through, as records, packed into segments.

A record has a sequence number; numbers of one machine and generation start at 1 and have no holes. Whoever applies the records up
to a number has the disks as they were at that number (REP-010), unless a disk is between `SYNC_BEGIN` and `SYNC_END`: from
`SYNC_BEGIN` on the far side may miss something that only the copy brings, at `SYNC_END` it has everything. So the first tag after
the `SYNC_END` of every disk is the first recovery point (REP-003, REP-004).

A segment is a run of records as it travels and as it is cached. Layout, little endian:

    64 bytes  head: magic "DBSEG\\0\\0\\1", machine UUID 16, generation u32, count u32, first sequence u64,
              data length u64, check u64 (xxh3-64 of the head with this field zero, the table and the data), 8 bytes zero
    32 bytes each  table: kind u8, 0 u8, disk u16, data length u32, time i64 (microseconds since 1970 UTC), offset u64, length u64
    data of the records, one after the other

`disk` is the position in the list of protected disks that agent, process server and far side were given for the generation.
"""

import json
import struct
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, TypeAlias

import xxhash

Buffer: TypeAlias = bytes | bytearray | memoryview
TagKind: TypeAlias = Literal["crash", "app", "shutdown"]

MAGIC = b"DBSEG\0\0\1"
HEAD = struct.Struct("<8s16sIIQQQQ")
ENTRY = struct.Struct("<BBHIqQQ")
CHECK_AT = 48

#: Bounds that a reader enforces before it believes anything.
MAX_RECORDS = 1 << 18
MAX_DATA = 64 << 20
MAX_SEGMENT = HEAD.size + MAX_RECORDS * ENTRY.size + MAX_DATA
MAX_TAG = 1024
MAX_OFFSET = 1 << 46

#: What the initial copy and a resync compare: one xxh3-128 for each block of this size (REP-014).
BLOCK = 64 << 10
DIGEST = 16


class Kind(IntEnum):
    """What a record says. `COPY` and `ZERO` come from a sync, `WRITE` (and `ZERO`) from the guest; all are applied alike."""

    WRITE = 1
    COPY = 2
    ZERO = 3
    TAG = 4
    SYNC_BEGIN = 5
    SYNC_END = 6


DATA_KINDS = frozenset({Kind.WRITE, Kind.COPY, Kind.ZERO})


class DamagedSegment(ValueError):
    """A segment that is not one: the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A place where all disks of the machine belong together: a recovery point when everything before it is there."""

    point_id: str
    kind: TagKind
    group_id: str = ""  #: not empty: shared by the members of this replication group (MVM-001)

    @property
    def multi_vm(self) -> bool:
        return bool(self.group_id)


@dataclass(frozen=True, slots=True)
class Record:
    """One entry of the stream. `when` is the machine's time in epoch seconds; `length` is in bytes (of the disk for `SYNC_*`)."""

    kind: Kind
    when: float
    disk: int = 0
    offset: int = 0
    length: int = 0
    data: Buffer = b""
    tag: Tag | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Records `first` to `last` of a machine's generation."""

    machine_id: str
    generation: int
    first: int
    records: Sequence[Record]

    @property
    def last(self) -> int:
        return self.first + len(self.records) - 1


@dataclass(frozen=True, slots=True)
class SegmentHead:
    """What the head of an encoded segment says. `size` is the whole encoded length."""

    machine_id: str
    generation: int
    first: int
    count: int
    data_length: int
    check: int

    @property
    def last(self) -> int:
        return self.first + self.count - 1

    @property
    def size(self) -> int:
        return HEAD.size + self.count * ENTRY.size + self.data_length


# making records ----------------------------------------------------------------------------------------------------------


def write(disk: int, offset: int, data: Buffer, when: float) -> Record:
    return Record(Kind.WRITE, when, disk, offset, len(data), data)


def copy(disk: int, offset: int, data: Buffer, when: float) -> Record:
    return Record(Kind.COPY, when, disk, offset, len(data), data)


def zero(disk: int, offset: int, length: int, when: float) -> Record:
    return Record(Kind.ZERO, when, disk, offset, length)


def sync_begin(disk: int, size: int, when: float) -> Record:
    return Record(Kind.SYNC_BEGIN, when, disk, 0, size)


def sync_end(disk: int, size: int, when: float) -> Record:
    return Record(Kind.SYNC_END, when, disk, 0, size)


def tag(point_id: str, kind: TagKind, when: float, group_id: str = "") -> Record:
    return Record(Kind.TAG, when, tag=Tag(point_id, kind, group_id))


# the table: shared by segments, journals and log frames ------------------------------------------------------------------


def encode_table(records: Iterable[Record]) -> tuple[bytes, list[Buffer]]:
    """The table of the records and their data in order."""
    table = bytearray()
    data: list[Buffer] = []
    for record in records:
        body = record.data if record.tag is None else _tag_bytes(record.tag)
        table += ENTRY.pack(record.kind, 0, record.disk, len(body), round(record.when * 1e6), record.offset, record.length)
        if len(body):
            data.append(body)
    return bytes(table), data


def decode_table(table: Buffer, data: Buffer) -> list[Record]:
    """The records of a table and its data area. Raises `DamagedSegment` naming the first entry that is wrong."""
    view, at, records = memoryview(data), 0, list[Record]()
    for number, entry in enumerate(ENTRY.iter_unpack(table)):
        kind, reserved, disk, size, when, offset, length = entry
        reason = _entry_fault(kind, reserved, size, when, offset, length)
        if reason is None and at + size > len(view):
            reason = "data ends before it"
        if reason is not None:
            raise DamagedSegment(f"record {number}: {reason}")
        body = view[at : at + size]
        at += size
        marked = _read_tag(body, number) if kind == Kind.TAG else None
        records.append(Record(Kind(kind), when / 1e6, disk, offset, length, b"" if marked else body, marked))
    if at != len(view):
        raise DamagedSegment(f"{len(view) - at} bytes of data belong to no record")
    return records


def _entry_fault(kind: int, reserved: int, size: int, when: int, offset: int, length: int) -> str | None:
    carries = kind in (Kind.WRITE, Kind.COPY)
    checks = (
        (Kind.WRITE <= kind <= Kind.SYNC_END, f"unknown kind {kind}"),
        (reserved == 0, "reserved byte is not zero"),
        (when >= 0, "time before 1970"),
        (offset + length <= MAX_OFFSET, "range beyond the largest disk"),
        (not carries or size == length > 0, "length of the data is not that of the range"),
        (kind != Kind.ZERO or length > 0, "empty range"),
        (carries or kind == Kind.TAG or size == 0, "data where none belongs"),
        (kind != Kind.TAG or 0 < size <= MAX_TAG, "tag of impossible size"),
    )
    return next((reason for held, reason in checks if not held), None)


def _tag_bytes(marked: Tag) -> bytes:
    return json.dumps({"pointId": marked.point_id, "kind": marked.kind, "groupId": marked.group_id}, sort_keys=True).encode()


def _read_tag(body: memoryview, number: int) -> Tag:
    try:
        said: Any = json.loads(bytes(body))
        point, kind, group = said["pointId"], said["kind"], said["groupId"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise DamagedSegment(f"record {number}: tag cannot be read") from None
    if kind not in ("crash", "app", "shutdown") or not isinstance(point, str) or not point or not isinstance(group, str):
        raise DamagedSegment(f"record {number}: tag makes no sense")
    return Tag(point, kind, group)


# segments ----------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SegmentBuffer:
    """A segment that grows. The bytes of a record are copied in at once, so that who brought them can use theirs again."""

    count: int = 0
    by_disk: dict[int, int] = field(default_factory=dict)  #: bytes of data for each disk
    _table: bytearray = field(default_factory=bytearray)
    _data: bytearray = field(default_factory=bytearray)

    @property
    def size(self) -> int:
        """Bytes of table and data."""
        return len(self._table) + len(self._data)

    @property
    def last_when(self) -> float:
        """The time of the newest record. Raises `struct.error` where there is none."""
        microseconds: int = ENTRY.unpack_from(self._table, len(self._table) - ENTRY.size)[4]
        return microseconds / 1e6

    def add(self, kind: Kind, disk: int, offset: int, length: int, data: Buffer, when: float) -> None:
        """One more record, by its parts."""
        self._table += ENTRY.pack(kind, 0, disk, len(data), round(when * 1e6), offset, length)
        self._data += data
        self.count += 1
        if len(data) and kind != Kind.TAG:
            self.by_disk[disk] = self.by_disk.get(disk, 0) + len(data)

    def put(self, record: Record) -> None:
        body = record.data if record.tag is None else _tag_bytes(record.tag)
        self.add(record.kind, record.disk, record.offset, record.length, body, record.when)

    def encode(self, machine_id: str, generation: int, first: int) -> bytes:
        """The segment as it travels. Raises `ValueError` for one that no reader would take."""
        if not 0 < self.count <= MAX_RECORDS or len(self._data) > MAX_DATA or first < 1:
            raise ValueError(f"a segment of {self.count} records with {len(self._data)} bytes from {first} cannot be sent")
        fields = (MAGIC, uuid.UUID(machine_id).bytes, generation, self.count, first, len(self._data))
        check = xxhash.xxh3_64(HEAD.pack(*fields, 0, 0))
        check.update(self._table)
        check.update(self._data)
        return b"".join((HEAD.pack(*fields, check.intdigest(), 0), self._table, self._data))


def encode(segment: Segment) -> bytes:
    """A segment as it travels. Raises `ValueError` for one that no reader would take."""
    buffer = SegmentBuffer()
    for record in segment.records:
        buffer.put(record)
    return buffer.encode(segment.machine_id, segment.generation, segment.first)


def read_head(raw: Buffer) -> SegmentHead:
    """The head of an encoded segment, bounds checked; the rest has not been looked at."""
    if len(raw) < HEAD.size:
        raise DamagedSegment(f"{len(raw)} bytes are too few for a segment")
    magic, identity, generation, count, first, length, check, reserved = HEAD.unpack_from(raw)
    if magic != MAGIC:
        raise DamagedSegment("not a segment: wrong magic")
    if reserved:
        raise DamagedSegment("reserved bytes of the head are not zero")
    if not 0 < count <= MAX_RECORDS or length > MAX_DATA or not 0 < first < 1 << 62:
        raise DamagedSegment("head names impossible sizes")
    return SegmentHead(str(uuid.UUID(bytes=identity)), generation, first, count, length, check)


def verify(raw: Buffer) -> SegmentHead:
    """The head of a segment whose length and check are right. Raises `DamagedSegment`."""
    head = read_head(raw)
    if len(raw) != head.size:
        kind = "truncated" if len(raw) < head.size else "too long"
        raise DamagedSegment(f"{kind}: {len(raw)} bytes instead of {head.size}")
    view = memoryview(raw)
    check = xxhash.xxh3_64(bytes(view[:CHECK_AT]) + bytes(8) + bytes(view[CHECK_AT + 8 : HEAD.size]))
    check.update(view[HEAD.size :])
    if check.intdigest() != head.check:
        raise DamagedSegment("altered: the check does not match")
    return head


def decode(raw: Buffer) -> Segment:
    """The segment in `raw`. Data of the records are views into `raw`. Trusts nothing; raises `DamagedSegment`."""
    head = verify(raw)
    view = memoryview(raw)
    split = HEAD.size + head.count * ENTRY.size
    return Segment(head.machine_id, head.generation, head.first, decode_table(view[HEAD.size : split], view[split:]))


# checksums ---------------------------------------------------------------------------------------------------------------


def block_digests(data: Buffer) -> bytes:
    """xxh3-128 (big endian) of each 64 KiB block of `data`; the last block may be short."""
    view = memoryview(data)
    return b"".join(xxhash.xxh3_128_digest(view[at : at + BLOCK]) for at in range(0, len(view), BLOCK))


@dataclass(slots=True)
class Coverage:
    """Which disks of a generation the far side has completely. Feed it every record in order."""

    disks: int
    open: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.open = self.open or set(range(self.disks))

    def see(self, record: Record) -> None:
        if record.kind is Kind.SYNC_BEGIN:
            self.open.add(record.disk)
        elif record.kind is Kind.SYNC_END:
            self.open.discard(record.disk)

    @property
    def complete(self) -> bool:
        """Every disk is exact: a tag now is a recovery point."""
        return not self.open
