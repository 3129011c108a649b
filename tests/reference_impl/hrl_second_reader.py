"""A second reader of `.hrl`, from docs/hrl.md and nothing else: a cursor that complains in the words of its section 4."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from typing import Any, NoReturn

import xxhash
import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KINDS = {1: "WRITE", 2: "COPY", 3: "ZERO", 4: "TAG", 5: "SYNC_BEGIN", 6: "SYNC_END"}
MIB = 1 << 20


class Complaint(Exception):
    pass


def complain(word: str) -> NoReturn:
    raise Complaint(word)


class Cursor:
    def __init__(self, raw: bytes, at: int = 0):
        self.raw, self.at = raw, at

    @property
    def left(self) -> int:
        return len(self.raw) - self.at

    def take(self, count: int) -> bytes:
        self.at += count
        return self.raw[self.at - count : self.at]

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)


def sum64(*parts: bytes) -> int:
    return int(xxhash.xxh3_64_intdigest(b"".join(parts)))


def verdict(raw: bytes, key: bytes, machine: str, generation: int, first: int, before: bytes | None) -> "str | list[Any]":
    """The word for what is wrong; or, for each frame, its last number and its records.

    A record is (kind, disk, offset, length, data, microseconds).
    """
    try:
        return list(records(raw, key, machine, generation, first, before))
    except Complaint as complaint:
        return str(complaint)


def records(raw: bytes, key: bytes, machine: str, generation: int, first: int, before: bytes | None) -> Iterator[Any]:
    cursor = Cursor(raw)
    header = _header(cursor)
    frames = [_frame(cursor, number, header) for number in range(header["count"])]
    if header["due"] != header["last"] + 1:
        complain("altered")
    _footer(cursor, header["count"])
    if (header["machine"], header["generation"]) != (machine, generation):
        complain("foreign")
    if header["first"] != first:
        complain("gap")
    if before is not None and header["before"] != before:
        complain("replaced")
    info = b"drillbed hrl 1" + raw[16:36]
    seal = AESGCM(HKDF(SHA256(), 32, header["salt"], info).derive(key)) if header["flags"] & 2 else None
    opened = []
    for number, frame in enumerate(frames):
        content = frame["stored"]
        if seal is not None:
            try:
                content = seal.decrypt(number.to_bytes(12, "big"), content, raw[:136] + frame["blank"])
            except InvalidTag:
                complain("sealed")
        if header["flags"] & 1:
            content = _expanded(content, frame["expanded"])
        if len(content) != frame["expanded"]:
            complain("malformed")
        opened.append((frame["last"], list(_entries(content, frame))))
    yield from opened


def _header(cursor: Cursor) -> dict[str, Any]:
    raw, magic = cursor.raw, bytes.fromhex("444248524c000001")
    if len(raw) > 256 * MIB or not raw or not magic.startswith(raw[:8]):
        complain("not-a-log")
    if len(raw) < 136:
        complain("truncated")
    if sum64(raw[:128], bytes(8)) != int.from_bytes(raw[128:136], "little"):
        complain("altered")
    cursor.take(8)
    size, flags, machine = cursor.number(4), cursor.number(4), str(uuid.UUID(bytes=cursor.take(16)))
    generation, count, first, last = cursor.number(4), cursor.number(4), cursor.number(8), cursor.number(8)
    cursor.take(8)
    before, salt = cursor.take(32), cursor.take(32)
    cursor.take(8)
    if size != 136 or flags not in range(4) or count not in range(1, 4097) or not 1 <= first <= last < 2**62:
        complain("malformed")
    known = {"flags": flags, "machine": machine, "generation": generation, "count": count, "first": first, "last": last}
    return known | {"before": before, "salt": salt, "due": first}


def _frame(cursor: Cursor, number: int, header: dict[str, Any]) -> dict[str, Any]:
    if cursor.left == 0:
        complain("truncated")
    if cursor.left < 56:
        complain("torn")
    blank = cursor.raw[cursor.at : cursor.at + 48] + bytes(8)
    if cursor.take(4) != b"FRAM":
        complain("altered")
    found, first, last = cursor.number(4), cursor.number(8), cursor.number(8)
    cursor.take(8)
    size, expanded, count, zero, check = (cursor.number(width) for width in (4, 4, 4, 4, 8))
    if size > 256 * MIB or size > cursor.left:
        complain("torn")
    stored = cursor.take(size)
    if sum64(blank, stored) != check:
        complain("altered")
    if found != number or first != header["due"] or last < first:
        complain("reordered")
    if zero or expanded > 80 * MIB or count * 32 > expanded:
        complain("malformed")
    header["due"] = last + 1
    return {"first": first, "last": last, "stored": stored, "expanded": expanded, "count": count, "blank": blank}


def _footer(cursor: Cursor, count: int) -> None:
    if cursor.left != 56:
        complain("truncated" if cursor.left < 56 else "altered")
    expected = b"DBHRLEND" + count.to_bytes(4, "little") + bytes(4) + len(cursor.raw).to_bytes(8, "little")
    if cursor.take(24) != expected or cursor.take(32) != hashlib.sha256(cursor.raw[:-32]).digest():
        complain("altered")


def _expanded(content: bytes, size: int) -> bytes:
    try:
        if zstandard.get_frame_parameters(content).content_size == size:
            return zstandard.ZstdDecompressor().decompress(content, max_output_size=size)
    except zstandard.ZstdError:
        pass
    complain("malformed")


def _entries(content: bytes, frame: dict[str, Any]) -> Iterator[Any]:
    table, data = Cursor(content), Cursor(content, frame["count"] * 32)
    marks = 0
    for _ in range(frame["count"]):
        kind, zero, disk, size = table.number(1), table.number(1), table.number(2), table.number(4)
        when, offset, length = table.number(8, signed=True), table.number(8), table.number(8)
        name = KINDS.get(kind) or complain("malformed")
        if zero or when < 0 or offset + length > 2**46 or size > data.left:
            complain("malformed")
        allowed = {"WRITE": size == length > 0, "COPY": size == length > 0, "ZERO": size == 0 < length, "TAG": 0 < size <= 1024}
        if not allowed.get(name, size == 0):
            complain("malformed")
        body = data.take(size)
        if name == "TAG":
            _tag(body)
        if name in ("WRITE", "COPY", "ZERO"):
            if marks:
                complain("malformed")
        else:
            marks += 1
        yield name, disk, offset, length, body, when
    if data.left or marks > frame["last"] - frame["first"] + 1:
        complain("malformed")


def _tag(body: bytes) -> None:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        complain("malformed")
    if not isinstance(said, dict) or said.get("kind") not in ("crash", "app", "shutdown"):
        complain("malformed")
    if not isinstance(said.get("pointId"), str) or not said["pointId"] or not isinstance(said.get("groupId"), str):
        complain("malformed")
