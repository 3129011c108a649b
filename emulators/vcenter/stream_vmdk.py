"""streamOptimized VMDK, the form in which disks travel (OVF, NFC): a writer, and a reader that trusts nothing it is given.

The file is a header with the descriptor, then each grain (64 KiB) that holds something, deflated behind a marker with its place
on the disk; a grain table after the grains it lists, the directory of the tables, a footer (the header again, now with the place
of the directory) and an end marker. Everything is in sectors of 512 bytes and read once, from front to back. QEMU writes the
tables at the front and neither footer nor end; the reader takes that form, too, and counts the grains against the tables.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from emulators.vcenter.vmdk import BLOCK, MOST_BYTES, SECTOR, CutShort, NotAVmdk

_HEADER = struct.Struct("<4sIIQQQQIQQQBccccH")
_MARKER = struct.Struct("<QII")
_MAGIC, _FLAGS = b"KDMV", 0x30001  # valid new line detection, compressed grains, markers
_AT_END = 0xFFFFFFFFFFFFFFFF
_GRAIN = BLOCK // SECTOR
_ENTRIES = 512  #: of one grain table
_TABLE_SECTORS = _ENTRIES * 4 // SECTOR
_OVERHEAD = 128
_END, _TABLE, _DIRECTORY, _FOOTER = 0, 1, 2, 3
_LEVEL = 1  #: of deflate: real data shrinks nearly as much as at 6, three times as fast

#: Limits of what is read: grains of at most 1 MiB, tables at the front that are looked at.
_LARGEST_GRAIN = 1024 * 1024 // SECTOR
_MOST_OVERHEAD = 64 * 1024 * 1024


# writing -----------------------------------------------------------------------------------------------------------------


def write_stream(size: int, areas: Iterable[tuple[int, int]], read: Callable[[int, int], bytes], cid: str) -> Iterator[bytes]:
    """The pieces of a streamOptimized VMDK of a disk of `size` bytes. `areas` are (offset, length) that may hold data, in rising
    order; `read(offset, length)` gives their bytes. Grains of zeros are left out. The same bytes give the same file."""
    sectors = size // SECTOR
    yield (_header(sectors, _AT_END) + _descriptor(sectors, cid)).ljust(_OVERHEAD * SECTOR, b"\0")
    at = _OVERHEAD
    directory = [0] * -(-sectors // (_GRAIN * _ENTRIES))
    table: list[int] = []
    number = -1

    def close_table() -> bytes:
        directory[number] = at + 1
        return _marker(_TABLE_SECTORS, _TABLE) + struct.pack(f"<{_ENTRIES}I", *table)

    for grain, data in _grains(size, areas, read):
        if grain // _ENTRIES != number:
            if table:
                piece = close_table()
                yield piece
                at += len(piece) // SECTOR
            number, table = grain // _ENTRIES, [0] * _ENTRIES
        packed = zlib.compress(data.ljust(BLOCK, b"\0"), _LEVEL)
        piece = struct.pack("<QI", grain * _GRAIN, len(packed)) + packed
        piece += bytes(-len(piece) % SECTOR)
        table[grain % _ENTRIES] = at
        at += len(piece) // SECTOR
        yield piece
    if table:
        piece = close_table()
        yield piece
        at += len(piece) // SECTOR
    listed = struct.pack(f"<{len(directory)}I", *directory)
    listed += bytes(-len(listed) % SECTOR)
    yield _marker(len(listed) // SECTOR, _DIRECTORY) + listed
    yield _marker(1, _FOOTER) + _header(sectors, at + 1) + bytes(SECTOR)


def _grains(size: int, areas: Iterable[tuple[int, int]], read: Callable[[int, int], bytes]) -> Iterator[tuple[int, bytes]]:
    """The grains that hold something but zeros: number and bytes, in rising order."""
    zeros, last = bytes(BLOCK), -1
    for start, length in areas:
        for grain in range(max(start // BLOCK, last + 1), -(-(start + length) // BLOCK)):
            data = read(grain * BLOCK, min(BLOCK, size - grain * BLOCK))
            last = grain
            if data != zeros[: len(data)]:
                yield grain, data


def _header(sectors: int, directory: int) -> bytes:
    head = _HEADER.pack(
        _MAGIC, 3, _FLAGS, sectors, _GRAIN, 1, 20, _ENTRIES, 0, directory, _OVERHEAD, 0, b"\n", b" ", b"\r", b"\n", 1
    )
    return head.ljust(SECTOR, b"\0")


def _marker(sectors: int, kind: int) -> bytes:
    return _MARKER.pack(sectors, 0, kind).ljust(SECTOR, b"\0")


def _descriptor(sectors: int, cid: str) -> bytes:
    lines = [
        "# Disk DescriptorFile",
        "version=1",
        f"CID={cid}",
        "parentCID=ffffffff",
        'createType="streamOptimized"',
        "",
        "# Extent description",
        f'RDONLY {sectors} SPARSE "disk.vmdk"',
        "",
        "# The Disk Data Base",
        "#DDB",
        "",
        'ddb.adapterType = "lsilogic"',
        f'ddb.geometry.cylinders = "{max(1, sectors // (63 * 255))}"',
        'ddb.geometry.heads = "255"',
        'ddb.geometry.sectors = "63"',
        'ddb.virtualHWVersion = "13"',
    ]
    return "\n".join(lines).encode()


# reading -----------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class StreamReader:
    """Reads one streamOptimized VMDK from `source`, which gives up to so many bytes and b"" at the end: `open`, then `grains`.

    Every method raises `NotAVmdk`, which says what is wrong."""

    source: Callable[[int], bytes]
    size: int = 0  #: of the disk, bytes; known after `open`
    _grain: int = 0  # sectors
    _sector: int = 0  # where in the file the reader is
    _at_end: bool = False  # the directory stands at the end
    _listed: int | None = None  # grains in the tables at the front, where those could be read
    _seen: int = 0
    _last: int = -1
    _places: dict[int, int] = field(default_factory=dict)  # of the grains since the last table: number -> sector
    _footer: bool = False

    def open(self) -> int:
        """Read the header; returns the size of the disk in bytes."""
        head = self._take(1)
        told = _HEADER.unpack_from(head)
        magic, version, flags, capacity, grain, offset, length, entries = told[:8]
        if magic != _MAGIC or not 1 <= version <= 3:
            raise NotAVmdk("it does not begin like a sparse VMDK")
        if flags & 0x30000 != 0x30000 or told[16] != 1:
            raise NotAVmdk("it is not streamOptimized: its grains are not compressed, or have no markers")
        if grain & (grain - 1) or not 8 <= grain <= _LARGEST_GRAIN or entries != _ENTRIES:
            raise NotAVmdk(f"grains of {grain} sectors in tables of {entries} are not read")
        if not 0 < capacity <= MOST_BYTES // SECTOR:
            raise NotAVmdk(f"a disk of {capacity} sectors is not possible")
        overhead = told[10]
        if not offset + length <= overhead <= _MOST_OVERHEAD // SECTOR or offset < 1:
            raise NotAVmdk("its descriptor or its tables lie where they cannot be")
        self.size, self._grain, self._at_end = capacity * SECTOR, grain, told[9] == _AT_END
        front = head + self._take(overhead - 1)
        self._check_descriptor(front[offset * SECTOR : (offset + length) * SECTOR])
        if not self._at_end:
            self._listed = self._count(front, told[9])
        return self.size

    def _check_descriptor(self, raw: bytes) -> None:
        text = raw.rstrip(b"\0").decode("utf-8", "replace")
        if 'createType="streamOptimized"' not in text:
            raise NotAVmdk("its descriptor does not say streamOptimized")
        extents = re.findall(r"^(?:RW|RDONLY) (\d+) SPARSE ", text, re.MULTILINE)
        if [int(one[:20]) for one in extents] != [self.size // SECTOR]:
            raise NotAVmdk("its descriptor names another size than its header")

    def _count(self, front: bytes, directory: int) -> int:
        """Grains in the tables at the front."""
        tables = -(-self.size // (self._grain * SECTOR * _ENTRIES))
        if (directory * SECTOR + 4 * tables) > len(front):
            raise NotAVmdk("its tables lie where they cannot be")
        listed = 0
        for place in struct.unpack_from(f"<{tables}I", front, directory * SECTOR):
            if place and (place + _TABLE_SECTORS) * SECTOR > len(front):
                raise NotAVmdk("its tables lie where they cannot be")
            if place:
                listed += sum(entry > 1 for entry in struct.unpack_from(f"<{_ENTRIES}I", front, place * SECTOR))
        return listed

    def grains(self) -> Iterator[tuple[int, bytes]]:
        """(offset on the disk, bytes) of each grain, in rising order. Ends only at the right end of the file."""
        while True:
            sector = self._take(1, may_end=not self._at_end)
            if not sector:
                break
            value, size, kind = _MARKER.unpack_from(sector)
            if size:
                yield self._read_grain(value, size, sector)
            elif kind == _END and value == 0:
                break
            else:
                self._skip(kind, value)
        if self._at_end and not self._footer:
            raise NotAVmdk("it ends without a footer")
        if self._listed is not None and self._listed != self._seen:
            raise NotAVmdk(f"it has {self._seen} grains, its tables list {self._listed}")

    def _read_grain(self, place: int, size: int, sector: bytes) -> tuple[int, bytes]:
        length = self._grain * SECTOR
        if place % self._grain or place * SECTOR >= self.size or place <= self._last:
            raise NotAVmdk(f"a grain at sector {place} is out of order or outside the disk")
        if size > 2 * length:
            raise NotAVmdk(f"a grain of {size} packed bytes is too large")
        self._places[place // self._grain] = self._sector - 1
        first = sector[12 : 12 + size]
        packed = first + self._take(-(-(size - len(first)) // SECTOR))[: size - len(first)] if size > len(first) else first
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(packed, length + 1)
        except zlib.error:
            raise NotAVmdk(f"the grain at sector {place} cannot be unpacked") from None
        left = min(length, self.size - place * SECTOR)
        if not unpacker.eof or len(data) not in (length, left) or any(data[left:]):
            raise NotAVmdk(f"the grain at sector {place} has not the length of a grain")
        self._last, self._seen = place, self._seen + 1
        return place * SECTOR, data[:left]

    def _skip(self, kind: int, sectors: int) -> None:
        """Read past what a marker announces, and compare a table with the grains that came before it."""
        tables = -(-self.size // (self._grain * SECTOR * _ENTRIES))
        expected = {_TABLE: _TABLE_SECTORS, _DIRECTORY: -(-tables * 4 // SECTOR), _FOOTER: 1}.get(kind)
        if expected is None or sectors != expected:
            raise NotAVmdk(f"a marker of kind {kind} with {sectors} sectors is not known")
        told = self._take(sectors)
        if kind == _TABLE:
            self._compare(struct.unpack(f"<{_ENTRIES}I", told))
        if kind == _FOOTER:
            self._footer = told[:4] == _MAGIC

    def _compare(self, entries: tuple[int, ...]) -> None:
        listed = {number: place for number, place in enumerate(entries) if place > 1}
        found = {number % _ENTRIES: place for number, place in self._places.items()}
        if listed != found:
            raise NotAVmdk("a grain table lists other grains than there are")
        self._places.clear()

    def _take(self, sectors: int, *, may_end: bool = False) -> bytes:
        parts, wanted = [], sectors * SECTOR
        while wanted:
            part = self.source(min(wanted, 1 << 20))
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
        self._sector += sectors
        if wanted and not (may_end and not parts):
            raise CutShort("it ends too early")
        return b"".join(parts)
