"""What the reader of `.hrl` is fed with: bytes that get past its sums, because whoever alters a log can make them right again.

`attempt` turns any bytes into one log and asks both readers. They must agree on every log: the same records or the same word.
"""

import hashlib
import json
import struct
import uuid
from typing import Any

import xxhash
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hrl_second_reader import KINDS, verdict

from reference_impl import hrl, records

MACHINE = "564d9f4a-0000-4000-8000-00000000000a"
KEY = bytes(range(32))
HEADER, FRAME = "<8sII16sIIQQq32s32sQ", "<4sIQQqIIIIQ"


def sound(count: int = 3, salt: int = 7) -> bytes:
    """A log of some frames with every kind of record."""
    frames, number = [], 1
    for place in range(count):
        entries = [records.write(0, 512 * place, b"data" * (100 + place), 10.0), records.zero(1, 4096, 8192, 10.0)]
        entries += [records.tag(f"p{place}", "crash", 11.0, "g" * (place % 2)), records.sync_end(0, 1 << 20, 11.0)]
        frames.append(hrl.Frame(number, number + 5, 11.0, entries))
        number += 6
    return hrl.write(MACHINE, 2, frames, key=KEY, salt=bytes([salt]) * 32, previous=hrl.GENESIS, made=13.0)


def with_sums(raw: bytes) -> bytes:
    """The log with all outer sums made right, as far as its parts can be found."""
    whole = bytearray(raw)
    if len(whole) < 136:
        return raw
    whole[128:136] = xxhash.xxh3_64_intdigest(bytes(whole[:128]) + bytes(8)).to_bytes(8, "little")
    at, count = 136, struct.unpack_from("<I", whole, 36)[0]
    for _ in range(min(count, 64)):
        size = struct.unpack_from("<I", whole, at + 32)[0] if at + 56 <= len(whole) else len(whole)
        if at + 56 + size > len(whole) - 56:
            break
        blank = bytes(whole[at : at + 48]) + bytes(8)
        whole[at + 48 : at + 56] = xxhash.xxh3_64_intdigest(blank + bytes(whole[at + 56 : at + 56 + size])).to_bytes(8, "little")
        at += 56 + size
    whole[-32:] = hashlib.sha256(whole[:-32]).digest()
    return bytes(whole)


def around(content: bytes, entries: int, *, expanded: int | None = None, flags: int = 3) -> bytes:
    """A log with one frame of this content, sealed with the right key."""
    salt, identity = bytes(32), uuid.UUID(MACHINE).bytes
    head = struct.pack(HEADER, hrl.MAGIC, 136, flags, identity, 2, 1, 1, 6, 0, bytes(32), salt, 0)
    head = head[:128] + xxhash.xxh3_64_intdigest(head).to_bytes(8, "little")
    stored = zstandard.ZstdCompressor().compress(content) if flags & 1 else content
    size = len(stored) + (16 if flags & 2 else 0)
    raw_size = len(content) if expanded is None else expanded
    frame = struct.pack(FRAME, b"FRAM", 0, 1, 6, 0, size, raw_size & 0xFFFFFFFF, entries & 0xFFFFFFFF, 0, 0)
    if flags & 2:
        key = HKDF(SHA256(), 32, salt, b"drillbed hrl 1" + head[16:36]).derive(KEY)
        stored = AESGCM(key).encrypt(bytes(12), stored, head + frame)
    footer = b"DBHRLEND" + struct.pack("<IIQ", 1, 0, 136 + 56 + len(stored) + 56) + bytes(32)
    return with_sums(head + frame + stored + footer)


def logs_of(data: bytes) -> list[bytes]:
    """The logs that some bytes stand for: themselves, a sound one altered by them, a content of them."""
    if len(data) < 4:
        return [data]
    base, place = sound(1 + data[0] % 3), int.from_bytes(data[1:3], "little")
    altered = bytearray(base)
    altered[place % len(base) : place % len(base) + len(data) - 3] = data[3:]
    table = data[3 : 3 + 32 * (data[0] % 8)]
    return [
        data,
        hrl.MAGIC + data,
        bytes(altered),
        with_sums(bytes(altered)),
        with_sums(base[: place % len(base)]),
        around(data[3:], len(table) // 32, flags=data[1] % 4),
        around(data[3:], data[0] % 8, expanded=len(data) - 3 + (data[2] % 3 - 1)),
    ]


def attempt(raw: bytes) -> str:
    """Ask both readers. Raises `AssertionError` when they differ, or whatever ours raises that is no `DamagedLog`."""
    theirs = verdict(raw, KEY, MACHINE, 2, 1, None)
    try:
        log = hrl.read(raw, KEY, machine_id=MACHINE, generation=2, first=1)
    except hrl.DamagedLog as damaged:
        fault = damaged.fault
    else:
        fault = ""
    if fault:
        assert fault == theirs, f"ours says {fault}, the second reader {str(theirs)[:80]}: {raw[:300].hex()}"
        return fault
    assert [(frame.last, [_parts(record) for record in frame.records]) for frame in log.frames] == [
        (last, [_comparable(entry) for entry in entries]) for last, entries in theirs
    ], raw.hex()
    return "sound"


def _parts(record: records.Record) -> Any:
    tag = record.tag
    said = bytes(record.data) if tag is None else (tag.point_id, tag.kind, tag.group_id)
    return KINDS[record.kind], record.disk, record.offset, record.length, said


def _comparable(entry: Any) -> Any:
    kind, disk, offset, length, body, _ = entry
    said = json.loads(body) if kind == "TAG" else None
    return kind, disk, offset, length, body if said is None else (said["pointId"], said["kind"], said["groupId"])
