"""The log objects between process server and replica worker: `*.hrl`. Described to the byte in `docs/hrl.md`.

A log covers the records `first` to `last` of a machine's generation, coalesced: of several writes to a place within a frame only
what was left at its end. Logs of a generation form a chain. The reader trusts nothing and names what is wrong; it hands out
nothing of a log before the whole log has been found sound.
"""

import hashlib
import struct
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeAlias

import xxhash
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from reference_impl import records
from reference_impl.records import Buffer, DamagedSegment, Record

MAGIC, FRAME_MAGIC, END_MAGIC = b"DBHRL\0\0\1", b"FRAM", b"DBHRLEND"
HEADER = struct.Struct("<8sII16sIIQQq32s32sQ")
FRAME = struct.Struct("<4sIQQqIIIIQ")
FOOTER = struct.Struct("<8sIIQ32s")
COMPRESSED, ENCRYPTED = 1, 2
GENESIS = bytes(32)  #: the hash before the first log

FRAME_BYTES = 4 << 20  #: data that a writer puts into one frame at most, beyond the record that fills it
MAX_FRAMES = 4096
MAX_FRAME_RAW = 80 << 20
MAX_LOG = 256 << 20
KEY_BYTES = 32

Fault: TypeAlias = Literal[
    "not-a-log", "truncated", "torn", "altered", "reordered", "sealed", "malformed", "foreign", "gap", "replaced"
]


#: Does works at once, if it can, and gives their results in order.
SideBySide: TypeAlias = Callable[[Sequence[Callable[[], list[bytes]]]], list[list[bytes]]]


class DamagedLog(ValueError):
    """A log that must not be applied. `fault` is one word for what is wrong, the message says where."""

    def __init__(self, fault: Fault, message: str):
        super().__init__(f"{fault}: {message}")
        self.fault = fault


@dataclass(frozen=True, slots=True)
class Frame:
    """Records `first` to `last`: data in no need of order, then marks (tags, begin and end of a sync), the last one at `last`."""

    first: int
    last: int
    when: float
    records: Sequence[Record]

    def marks(self) -> list[tuple[int, Record]]:
        """The marks with their sequence numbers."""
        found = [record for record in self.records if record.kind not in records.DATA_KINDS]
        return [(self.last - len(found) + 1 + place, record) for place, record in enumerate(found)]

    def changes(self) -> list[Record]:
        return [record for record in self.records if record.kind in records.DATA_KINDS]


@dataclass(frozen=True, slots=True)
class LogHead:
    """What a log says without the key. `digest` names it in the chain, `previous` is the digest of the one before."""

    machine_id: str
    generation: int
    first: int
    last: int
    made: float
    flags: int
    salt: bytes
    previous: bytes
    digest: bytes = b""
    frames: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Log:
    """A sound log, opened."""

    head: LogHead
    frames: Sequence[Frame]


# writing -----------------------------------------------------------------------------------------------------------------


def write(
    machine_id: str,
    generation: int,
    frames: Sequence[Frame],
    *,
    key: bytes,
    salt: bytes,
    previous: bytes,
    made: float,
    compress: bool = True,
    encrypt: bool = True,
    side_by_side: SideBySide | None = None,
) -> bytes:
    """The bytes of a log. `salt` is 32 random bytes, new for every log: the file's key follows from it, so no nonce repeats.

    `side_by_side` does several things at once and gives their results in order: the frames are compressed and sealed by it.
    """
    if not frames or len(salt) != 32 or len(previous) != 32:
        raise ValueError("a log has frames, a salt of 32 bytes and the digest of its predecessor")
    flags = COMPRESSED * compress | ENCRYPTED * encrypt
    identity = uuid.UUID(machine_id).bytes
    fields = (MAGIC, HEADER.size, flags, identity, generation, len(frames), frames[0].first, frames[-1].last)
    header = _checked(HEADER, *fields, round(made * 1e6), previous, salt)
    seal = AESGCM(_file_key(key, salt, header)) if encrypt else None
    works = [partial(_write_frame, number, frame, header, compress, seal) for number, frame in enumerate(frames)]
    written = side_by_side(works) if side_by_side is not None else [work() for work in works]
    pieces = [header, *(piece for frame in written for piece in frame)]
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    length = sum(map(len, pieces)) + FOOTER.size
    tail = FOOTER.pack(END_MAGIC, len(frames), 0, length, bytes(32))[:-32]
    digest.update(tail)
    return b"".join((*pieces, tail, digest.digest()))


def _write_frame(number: int, frame: Frame, header: bytes, compress: bool, seal: AESGCM | None) -> list[bytes]:
    table, data = records.encode_table(frame.records)
    raw = b"".join((table, *data))
    stored = zstandard.ZstdCompressor(level=1).compress(raw) if compress else raw
    size = len(stored) + (16 if seal is not None else 0)
    fields = (FRAME_MAGIC, number, frame.first, frame.last, round(frame.when * 1e6), size, len(raw), len(frame.records), 0)
    if seal is not None:
        stored = seal.encrypt(_nonce(number), stored, header + FRAME.pack(*fields, 0))
    check = xxhash.xxh3_64(FRAME.pack(*fields, 0))
    check.update(stored)
    return [FRAME.pack(*fields, check.intdigest()), stored]


def _checked(layout: struct.Struct, *fields: Any) -> bytes:
    return layout.pack(*fields, xxhash.xxh3_64_intdigest(layout.pack(*fields, 0)))


def _file_key(key: bytes, salt: bytes, header: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise ValueError(f"the data key has {len(key)} bytes instead of {KEY_BYTES}")
    return HKDF(SHA256(), KEY_BYTES, salt, b"drillbed hrl 1" + header[16:36]).derive(key)


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


# reading -----------------------------------------------------------------------------------------------------------------


def span(header: Buffer) -> tuple[int, int]:
    """First and last number as a header has them, nothing checked. Raises `ValueError` where there is no whole header."""
    if len(header) < HEADER.size:
        raise ValueError("a header is missing")
    first, last = HEADER.unpack_from(header)[6:8]
    return first, last


def inspect(raw: Buffer) -> LogHead:
    """Check all that can be checked without the key: structure, order, sums, the digest of the whole. Raises `DamagedLog`."""
    return _walk(memoryview(raw))[0]


def read(raw: Buffer, key: bytes, *, machine_id: str, generation: int, first: int, previous: bytes | None = None) -> Log:
    """Open the log that continues a machine's generation at `first`. Raises `DamagedLog`; nothing is handed out of a bad log."""
    view = memoryview(raw)
    head, stored, header = _walk(view)
    if (head.machine_id, head.generation) != (machine_id, generation):
        raise DamagedLog("foreign", f"it belongs to generation {head.generation} of machine {head.machine_id}")
    if head.first != first:
        raise DamagedLog("gap", f"it starts with {head.first}, expected was {first}")
    if previous is not None and head.previous != previous:
        raise DamagedLog("replaced", f"the log before {first} was another one")
    seal = AESGCM(_file_key(key, head.salt, header)) if head.flags & ENCRYPTED else None
    return Log(head, [_open_frame(number, entry, head, header, seal) for number, entry in enumerate(stored)])


def _walk(view: memoryview) -> tuple[LogHead, list[tuple[tuple[Any, ...], memoryview]], bytes]:
    head, count = _read_header(view)
    at, stored, expected = HEADER.size, list[tuple[tuple[Any, ...], memoryview]](), head.first
    for number in range(count):
        fields, body = _read_frame(view, at, number, expected)
        stored.append((fields, body))
        at += FRAME.size + len(body)
        expected = fields[3] + 1
    if expected != head.last + 1:
        raise DamagedLog("altered", f"frames end at {expected - 1}, the header says {head.last}")
    digest = _read_footer(view, at, count)
    described = [{"first": f[2], "last": f[3], "storedBytes": f[5], "rawBytes": f[6], "records": f[7]} for f, _ in stored]
    known = LogHead(
        head.machine_id,
        head.generation,
        head.first,
        head.last,
        head.made,
        head.flags,
        head.salt,
        head.previous,
        digest,
        described,
    )
    return known, stored, bytes(view[: HEADER.size])


def _read_header(view: memoryview) -> tuple[LogHead, int]:
    if len(view) > MAX_LOG:
        raise DamagedLog("not-a-log", f"{len(view)} bytes are more than a log may have")
    if bytes(view[:8]) != MAGIC[: len(view)] or not len(view):
        raise DamagedLog("not-a-log", "wrong magic")
    if len(view) < HEADER.size:
        raise DamagedLog("truncated", "it ends within the header")
    magic, size, flags, identity, generation, count, first, last, made, previous, salt, check = HEADER.unpack_from(view)
    if (
        _checked(HEADER, magic, size, flags, identity, generation, count, first, last, made, previous, salt)
        != view[: HEADER.size]
    ):
        raise DamagedLog("altered", f"the check {check:#x} of the header does not match")
    if size != HEADER.size or flags & ~(COMPRESSED | ENCRYPTED) or not 0 < count <= MAX_FRAMES or not 0 < first <= last < 1 << 62:
        raise DamagedLog("malformed", "the header makes no sense")
    return LogHead(str(uuid.UUID(bytes=identity)), generation, first, last, made / 1e6, flags, salt, previous), count


def _read_frame(view: memoryview, at: int, number: int, expected: int) -> tuple[tuple[Any, ...], memoryview]:
    if at == len(view):
        raise DamagedLog("truncated", f"it ends before frame {number}")
    if at + FRAME.size > len(view):
        raise DamagedLog("torn", f"it ends within the head of frame {number}")
    fields = FRAME.unpack_from(view, at)
    magic, found, first, last, _, size, raw_size, count, reserved, check = fields
    if magic != FRAME_MAGIC:
        raise DamagedLog("altered", f"there is no frame {number} where it should be")
    if size > MAX_LOG or at + FRAME.size + size > len(view):
        raise DamagedLog("torn", f"it ends within frame {number}")
    body = view[at + FRAME.size : at + FRAME.size + size]
    summed = xxhash.xxh3_64(FRAME.pack(*fields[:-1], 0))
    summed.update(body)
    if summed.intdigest() != check:
        raise DamagedLog("altered", f"the check of frame {number} does not match")
    if found != number or first != expected or last < first:
        raise DamagedLog("reordered", f"frame {found} with {first} to {last} stands where frame {number} from {expected} belongs")
    if reserved or raw_size > MAX_FRAME_RAW or count * records.ENTRY.size > raw_size:
        raise DamagedLog("malformed", f"the head of frame {number} makes no sense")
    return fields, body


def _read_footer(view: memoryview, at: int, count: int) -> bytes:
    rest = len(view) - at
    if rest < FOOTER.size:
        raise DamagedLog("truncated", "the footer is missing or incomplete")
    if rest > FOOTER.size:
        raise DamagedLog("altered", f"{rest - FOOTER.size} bytes follow the footer")
    magic, frames, reserved, length, digest = FOOTER.unpack_from(view, at)
    if (magic, frames, reserved, length) != (END_MAGIC, count, 0, len(view)):
        raise DamagedLog("altered", "the footer does not belong to this log")
    if hashlib.sha256(view[:-32]).digest() != digest:
        raise DamagedLog("altered", "the digest of the whole log does not match")
    return bytes(digest)


def _open_frame(
    number: int, stored: tuple[tuple[Any, ...], memoryview], head: LogHead, header: bytes, seal: AESGCM | None
) -> Frame:
    fields, body = stored
    first, last, when, raw_size, count = fields[2], fields[3], fields[4], fields[6], fields[7]
    content: Buffer = body
    if seal is not None:
        try:
            content = seal.decrypt(_nonce(number), body, header + FRAME.pack(*fields[:-1], 0))
        except InvalidTag:
            raise DamagedLog("sealed", f"frame {number} does not open with this key") from None
    if head.flags & COMPRESSED:
        content = _expand(content, raw_size, number)
    if len(content) != raw_size:
        raise DamagedLog("malformed", f"frame {number} has {len(content)} bytes instead of {raw_size}")
    split, view = count * records.ENTRY.size, memoryview(content)
    try:
        frame = Frame(first, last, when / 1e6, records.decode_table(view[:split], view[split:]))
    except DamagedSegment as fault:
        raise DamagedLog("malformed", f"frame {number}: {fault}") from None
    _check_order(frame, number)
    return frame


def _expand(content: Buffer, size: int, number: int) -> bytes:
    try:
        if zstandard.frame_content_size(content) != size:
            raise DamagedLog("malformed", f"frame {number} expands to another size than its head says")
        return bytes(zstandard.ZstdDecompressor().decompress(content, max_output_size=size))
    except zstandard.ZstdError:
        raise DamagedLog("malformed", f"frame {number} cannot be expanded") from None


def _check_order(frame: Frame, number: int) -> None:
    kinds = [record.kind in records.DATA_KINDS for record in frame.records]
    marks = kinds.count(False)
    if any(kinds[len(kinds) - marks :]) or marks > frame.last - frame.first + 1:
        raise DamagedLog("malformed", f"frame {number}: marks are not at the end")
