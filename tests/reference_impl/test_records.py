"""Segments: what is written can be read, and nothing else is taken for one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference_impl import records
from reference_impl.coalesce import latest, merged
from reference_impl.records import BLOCK, Coverage, DamagedSegment, Record, Segment

MACHINE = "564d9f4a-0000-4000-8000-00000000000a"
TIMES = st.integers(0, 1 << 40).map(lambda micros: micros / 1e6)
DISKS, OFFSETS = st.integers(0, 9), st.integers(0, 1 << 40)
RECORDS = st.one_of(
    st.builds(records.write, DISKS, OFFSETS, st.binary(min_size=1, max_size=600), TIMES),
    st.builds(records.copy, DISKS, OFFSETS, st.binary(min_size=1, max_size=600), TIMES),
    st.builds(records.zero, DISKS, OFFSETS, st.integers(1, 1 << 30), TIMES),
    st.builds(records.tag, st.text(min_size=1, max_size=40), st.sampled_from(["crash", "app", "shutdown"]), TIMES, st.just("g")),
    st.builds(records.sync_begin, DISKS, st.integers(0, 1 << 40), TIMES),
    st.builds(records.sync_end, DISKS, st.integers(0, 1 << 40), TIMES),
)


def same(one: Record, other: Record) -> bool:
    fields = ("kind", "when", "disk", "offset", "length", "tag")
    return bytes(one.data) == bytes(other.data) and all(getattr(one, name) == getattr(other, name) for name in fields)


@settings(max_examples=150, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=20), st.integers(1, 1 << 60))
def test_a_segment_comes_back_as_it_was(entries: list[Record], first: int) -> None:
    read = records.decode(records.encode(Segment(MACHINE, 3, first, entries)))
    assert (read.machine_id, read.generation, read.first, read.last) == (MACHINE, 3, first, first + len(entries) - 1)
    assert all(same(one, other) for one, other in zip(entries, read.records, strict=True))


@settings(max_examples=200, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=5), st.data())
def test_any_changed_byte_or_length_is_found(entries: list[Record], data: st.DataObject) -> None:
    raw = bytearray(records.encode(Segment(MACHINE, 1, 1, entries)))
    at = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        raw[at] ^= data.draw(st.integers(1, 255))
    else:
        del raw[at:]
    with pytest.raises(DamagedSegment):
        records.decode(bytes(raw))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_rubbish_is_refused_with_a_reason(raw: bytes) -> None:
    for candidate in (raw, records.MAGIC + raw):
        with pytest.raises(DamagedSegment, match=r"\w"):
            records.decode(candidate)


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=32, max_size=320), st.binary(max_size=100))
def test_a_table_of_rubbish_never_does_more_than_refuse(table: bytes, data: bytes) -> None:
    table = table[: len(table) // 32 * 32]
    try:
        entries = records.decode_table(table, data)
    except DamagedSegment:
        return
    assert sum(len(entry.data) for entry in entries) <= len(data)


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ((9, 0, 0, 0, 0, 0, 0), "unknown kind"),
        ((1, 0, 0, 4, 0, 0, 8), "length of the data"),
        ((3, 0, 0, 0, 0, 0, 0), "empty range"),
        ((5, 0, 0, 4, 0, 0, 8), "data where none"),
        ((1, 1, 0, 4, 0, 0, 4), "reserved"),
        ((1, 0, 0, 4, -1, 0, 4), "1970"),
        ((1, 0, 0, 4, 0, 1 << 46, 4), "largest disk"),
        ((4, 0, 0, 4, 0, 0, 0), "tag cannot be read"),
        ((1, 0, 0, 3, 0, 0, 3), "belong to no record"),
        ((1, 0, 0, 9, 0, 0, 9), "data ends"),
    ],
)
def test_each_kind_of_nonsense_is_named(entry: tuple[int, ...], word: str) -> None:
    with pytest.raises(DamagedSegment, match=word):
        records.decode_table(records.ENTRY.pack(*entry), b"\0\1\2\3")


def test_coverage_is_complete_only_between_syncs() -> None:
    coverage = Coverage(2)
    steps = [
        (records.sync_begin(0, 1, 0), False),
        (records.sync_end(0, 1, 0), False),
        (records.sync_end(1, 1, 0), True),
        (records.sync_begin(1, 1, 0), False),
        (records.write(0, 0, b"x", 0), False),
        (records.sync_end(1, 1, 0), True),
    ]
    for record, complete in steps:
        coverage.see(record)
        assert coverage.complete is complete


def test_digests_are_of_64_kib_blocks() -> None:
    one = records.block_digests(b"a" * BLOCK)
    assert len(one) == 16
    assert records.block_digests(b"a" * BLOCK + b"b") == one + records.block_digests(b"b")


WRITES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.integers(1, 255), st.booleans()), max_size=40)


@settings(max_examples=300, deadline=None)
@given(WRITES, st.integers(1, 30))
def test_what_is_coalesced_equals_what_was_written(writes: list[tuple[int, int, int, bool]], most: int) -> None:
    plain, touched = bytearray(100), bytearray(100)
    entries = []
    for offset, length, value, is_zero in writes:
        plain[offset : offset + length] = bytes(length) if is_zero else bytes([value]) * length
        touched[offset : offset + length] = b"\1" * length
        entries.append(records.zero(0, offset, length, 0) if is_zero else records.write(0, offset, bytes([value]) * length, 0))
    rebuilt, covered = bytearray(100), bytearray(100)
    end = 0
    for whole in merged(latest(entries)[0].ranges() if entries else [], most):
        assert whole.offset >= end, "sorted, without overlap"
        assert whole.data is None or (len(whole.data) == whole.length <= most)
        end = whole.end
        rebuilt[whole.offset : end] = whole.data if whole.data is not None else bytes(whole.length)
        covered[whole.offset : end] = b"\1" * whole.length
    assert rebuilt == plain
    assert covered == touched
