"""Logs: a second reader from the document, and every kind of damage found and named."""

import json
import struct
import uuid

import pytest
import xxhash
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hrl_attempts import attempt, logs_of, sound, with_sums
from hrl_second_reader import verdict
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_impl import hrl, records
from reference_impl.hrl import DamagedLog, Frame

MACHINE = "564d9f4a-0000-4000-8000-00000000000a"
KEY = bytes(range(32))


def frames() -> list[Frame]:
    return [
        Frame(1, 4, 10.0, [records.write(0, 0, b"first" * 300, 10.0), records.zero(1, 4096, 8192, 10.0)]),
        Frame(
            5,
            7,
            11.0,
            [records.write(1, 512, b"second" * 99, 11.0), records.tag("p1", "crash", 11.0), records.sync_end(0, 9, 11.0)],
        ),
        Frame(8, 8, 12.0, [records.tag("p2", "app", 12.0, "group")]),
    ]


def log(first: int = 1, previous: bytes = hrl.GENESIS, machine: str = MACHINE, salt: int = 7) -> bytes:
    made = [Frame(f.first + first - 1, f.last + first - 1, f.when, f.records) for f in frames()]
    return hrl.write(machine, 2, made, key=KEY, salt=bytes([salt]) * 32, previous=previous, made=13.0)


def read(raw: bytes, first: int = 1, previous: bytes | None = None, key: bytes = KEY) -> hrl.Log:
    return hrl.read(raw, key, machine_id=MACHINE, generation=2, first=first, previous=previous)


def test_what_is_written_is_read() -> None:
    opened = read(log())
    assert [(frame.first, frame.last, frame.when) for frame in opened.frames] == [(1, 4, 10.0), (5, 7, 11.0), (8, 8, 12.0)]
    assert bytes(opened.frames[0].changes()[0].data) == b"first" * 300
    assert [(number, mark.kind) for number, mark in opened.frames[1].marks()] == [
        (6, records.Kind.TAG),
        (7, records.Kind.SYNC_END),
    ]
    assert opened.frames[2].records[0].tag == records.Tag("p2", "app", "group")


def test_a_second_reader_from_the_document_reads_the_same() -> None:
    """docs/hrl.md, sections 1 and 3, with nothing of ours."""
    raw = log()
    layout = struct.Struct("<8sII16sIIQQq32s32sQ")
    magic, size, flags, machine, generation, count, first, last, made, previous, salt, _ = layout.unpack_from(raw)
    assert (magic, size, flags, uuid.UUID(bytes=machine), generation) == (b"DBHRL\0\0\1", 136, 3, uuid.UUID(MACHINE), 2)
    assert (count, first, last, made, previous) == (3, 1, 8, 13_000_000, bytes(32))
    key = HKDF(SHA256(), 32, salt, b"drillbed hrl 1" + raw[16:36]).derive(KEY)
    at, kinds, tags = 136, [], []
    for number in range(count):
        head = struct.unpack_from("<4sIQQqIIIIQ", raw, at)
        stored = raw[at + 56 : at + 56 + head[5]]
        blank = raw[at : at + 48] + bytes(8)
        assert xxhash.xxh3_64_intdigest(blank + stored) == head[9]
        plain = zstandard.decompress(AESGCM(key).decrypt(number.to_bytes(12, "big"), stored, raw[:136] + blank))
        assert len(plain) == head[6]
        data_at = head[7] * 32
        for entry in range(head[7]):
            kind, _, _, length, _, _, _ = struct.unpack_from("<BBHIqQQ", plain, entry * 32)
            kinds.append(kind)
            if kind == 4:
                tags.append(json.loads(plain[data_at : data_at + length])["pointId"])
            data_at += length
        at += 56 + head[5]
    assert (kinds, tags) == ([1, 3, 1, 4, 6, 4], ["p1", "p2"])
    assert (raw[at : at + 8], len(raw) - at) == (b"DBHRLEND", 56)


def cut_places() -> list[tuple[int, str]]:
    raw = log()
    ends, at = [136], 136
    for entry in hrl.inspect(raw).frames:
        at += 56 + entry["storedBytes"]
        ends.append(at)
    torn = [(ends[0] + 30, "torn"), (ends[1] + 70, "torn"), (ends[2] + 57, "torn")]
    return [(4, "truncated"), (100, "truncated"), *((end, "truncated") for end in ends), *torn, (len(raw) - 1, "truncated")]


@pytest.mark.parametrize(("length", "fault"), cut_places())
def test_a_cut_log_is_named(length: int, fault: str) -> None:
    with pytest.raises(DamagedLog) as caught:
        read(log()[:length])
    assert caught.value.fault == fault


def test_every_changed_byte_is_found() -> None:
    raw = log()
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 0x41
        with pytest.raises(DamagedLog) as caught:
            read(bytes(changed))
        assert caught.value.fault in ("not-a-log", "altered", "torn")


def resealed(raw: bytes) -> bytes:
    """What somebody without the key can do: the outer sums are right again."""
    import hashlib

    return raw[:-32] + hashlib.sha256(raw[:-32]).digest()


def test_frames_in_another_order_are_named() -> None:
    raw = log()
    sizes = [56 + entry["storedBytes"] for entry in hrl.inspect(raw).frames]
    one, two = raw[136 : 136 + sizes[0]], raw[136 + sizes[0] : 136 + sizes[0] + sizes[1]]
    swapped = raw[:136] + two + one + raw[136 + sizes[0] + sizes[1] :]
    with pytest.raises(DamagedLog) as caught:
        read(resealed(swapped))
    assert caught.value.fault == "reordered"


def test_a_frame_of_another_log_does_not_open() -> None:
    ours, theirs = log(salt=1), log(salt=2)
    size = 136 + 56 + hrl.inspect(ours).frames[0]["storedBytes"]
    with pytest.raises(DamagedLog) as caught:
        read(resealed(ours[:136] + theirs[136:size] + ours[size:]))
    assert caught.value.fault == "sealed"


def test_wrong_key_machine_place_and_predecessor_are_named() -> None:
    raw = log()
    digest = hrl.inspect(raw).digest
    following = log(first=9, previous=digest)
    assert read(following, first=9, previous=digest).head.first == 9
    cases = [
        (lambda: read(raw, key=bytes(32)), "sealed"),
        (lambda: read(log(machine="564d9f4a-0000-4000-8000-00000000000b")), "foreign"),
        (lambda: read(raw, first=9), "gap"),
        (lambda: read(following, first=1), "gap"),
        (lambda: read(following, first=9, previous=bytes(32)), "replaced"),
        (lambda: read(raw + b"x"), "altered"),
        (lambda: read(raw + raw), "altered"),
        (lambda: read(b""), "not-a-log"),
        (lambda: read(b"PK\3\4" + bytes(500)), "not-a-log"),
    ]
    for reading, fault in cases:
        with pytest.raises(DamagedLog) as caught:
            reading()
        assert caught.value.fault == fault


def test_content_without_sense_is_refused_although_it_is_sealed_well() -> None:
    wrong = [Frame(1, 2, 1.0, [records.tag("p", "crash", 1.0), records.write(0, 0, b"x", 1.0)])]
    with pytest.raises(DamagedLog) as caught:
        read(hrl.write(MACHINE, 2, wrong, key=KEY, salt=bytes(32), previous=bytes(32), made=1.0))
    assert caught.value.fault == "malformed"


def test_the_same_content_never_gives_the_same_bytes_twice() -> None:
    one, two = log(salt=1), log(salt=2)
    stored = [raw[136 + 56 : 136 + 56 + hrl.inspect(raw).frames[0]["storedBytes"]] for raw in (one, two)]
    assert stored[0] != stored[1]
    assert b"first" not in one


@settings(max_examples=250, deadline=None)
@given(st.binary(max_size=400))
def test_two_readers_agree_on_every_log(data: bytes) -> None:
    """The second one comes from docs/hrl.md alone; logs are altered and their sums made right, or are rubbish sealed well."""
    for raw in logs_of(data):
        attempt(raw)


def test_two_readers_agree_on_what_is_sound_and_name_the_same_damage() -> None:
    raw = sound(3)
    sizes = [56 + entry["storedBytes"] for entry in hrl.inspect(raw).frames]
    one, two = raw[136 : 136 + sizes[0]], raw[136 + sizes[0] : 136 + sizes[0] + sizes[1]]
    rest = raw[136 + sizes[0] + sizes[1] :]
    other = sound(3, salt=8)
    cases = {
        "sound": raw,
        "truncated": raw[:-1],
        "torn": raw[: 136 + sizes[0] + 60],
        "altered": raw[:200] + bytes([raw[200] ^ 1]) + raw[201:],
        "reordered": with_sums(raw[:136] + two + one + rest),
        "sealed": with_sums(raw[:136] + other[136 : 136 + sizes[0]] + two + rest),
    }
    assert {word: attempt(case) for word, case in cases.items()} == {word: word for word in cases}
    duplicated = with_sums(raw[:136] + one + one + rest)
    assert attempt(duplicated) == "reordered"
    with pytest.raises(DamagedLog) as replayed:
        hrl.read(raw, KEY, machine_id=MACHINE, generation=2, first=19)
    assert replayed.value.fault == verdict(raw, KEY, MACHINE, 2, 19, None) == "gap"
    with pytest.raises(DamagedLog) as replaced:
        hrl.read(raw, KEY, machine_id=MACHINE, generation=2, first=1, previous=bytes(31) + b"1")
    assert replaced.value.fault == verdict(raw, KEY, MACHINE, 2, 1, bytes(31) + b"1") == "replaced"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600), st.booleans())
def test_rubbish_is_refused(raw: bytes, dressed: bool) -> None:
    with pytest.raises(DamagedLog):
        read(hrl.MAGIC + raw if dressed else raw)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_of_any_size_is_found(data: st.DataObject) -> None:
    raw = log()
    low = data.draw(st.integers(0, len(raw) - 1))
    high = data.draw(st.integers(low + 1, len(raw)))
    piece = data.draw(st.binary(max_size=40))
    damaged = raw[:low] + piece + raw[high:]
    if damaged != raw:
        with pytest.raises(DamagedLog):
            read(damaged)
