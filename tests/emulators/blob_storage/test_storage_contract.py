"""One contract over every storage: the same calls, the same answers, the same errors."""

from random import Random

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from storage_lab import KEYS, Lab

from emulators.blob_storage.contract import BlobEntry, BlobStore

MIB = 1024 * 1024


def refused(kind: type[HttpResponseError], *codes: str) -> "pytest.RaisesExc[HttpResponseError]":
    return pytest.raises(kind, check=lambda error: getattr(error, "error_code", None) in codes)


@pytest.fixture
def store(lab: Lab) -> BlobStore:
    store = lab.store()
    store.create_container("asr-logs")
    return store


def test_a_block_blob_comes_back_whole_and_in_parts(store: BlobStore) -> None:
    data = Random(3).randbytes(300_000)
    etag = store.put_blob("asr-logs", "m/1.hrl", data)
    assert store.get_blob("asr-logs", "m/1.hrl") == data
    assert store.get_blob("asr-logs", "m/1.hrl", offset=1000, length=77) == data[1000:1077]
    assert store.get_blob("asr-logs", "m/1.hrl", offset=299_990, length=500) == data[299_990:]
    found = store.properties("asr-logs", "m/1.hrl")
    assert (found.size, found.etag, found.metadata) == (300_000, etag, {})
    with refused(HttpResponseError, "InvalidRange"):
        store.get_blob("asr-logs", "m/1.hrl", offset=400_000, length=1)


def test_an_empty_blob_is_a_blob(store: BlobStore) -> None:
    store.put_blob("asr-logs", "empty", b"")
    assert store.get_blob("asr-logs", "empty") == b""


def test_a_blob_is_written_only_on_its_condition(store: BlobStore) -> None:
    first = store.put_blob("asr-logs", "state", b"one", if_absent=True)
    with refused(ResourceExistsError, "BlobAlreadyExists"):
        store.put_blob("asr-logs", "state", b"two", if_absent=True)
    second = store.put_blob("asr-logs", "state", b"three", if_match=first)
    assert second != first
    with refused(ResourceModifiedError, "ConditionNotMet"):
        store.put_blob("asr-logs", "state", b"four", if_match=first)
    with refused(ResourceModifiedError, "ConditionNotMet"):
        store.put_blob("asr-logs", "other", b"four", if_match=first)
    assert store.get_blob("asr-logs", "state") == b"three"


def test_what_is_not_there_is_not_found(store: BlobStore) -> None:
    with refused(ResourceNotFoundError, "BlobNotFound"):
        store.get_blob("asr-logs", "none")
    with refused(ResourceNotFoundError, "BlobNotFound"):
        store.properties("asr-logs", "none")
    with refused(ResourceNotFoundError, "BlobNotFound"):
        store.delete_blob("asr-logs", "none")
    with refused(ResourceNotFoundError, "ContainerNotFound"):
        store.put_blob("nowhere", "none", b"")
    with refused(ResourceNotFoundError, "QueueNotFound"):
        store.send("nowhere", "text")


def test_a_container_is_made_once_a_queue_may_be_made_again(store: BlobStore) -> None:
    with refused(ResourceExistsError, "ContainerAlreadyExists"):
        store.create_container("asr-logs")
    store.create_queue("asr-work")
    store.create_queue("asr-work")


def test_names_are_listed_in_order(store: BlobStore) -> None:
    for name in ("b/2", "a/1", "b/10", "b/1"):
        store.put_blob("asr-logs", name, name.encode())
    snapshot = store.snapshot_blob("asr-logs", "b/1")
    assert [entry.name for entry in store.list_blobs("asr-logs")] == ["a/1", "b/1", "b/10", "b/2"]
    assert store.list_blobs("asr-logs", "b/1", snapshots=True) == [
        BlobEntry("b/1", 3, snapshot),
        BlobEntry("b/1", 3, None),
        BlobEntry("b/10", 4, None),
    ]


def test_pages_are_written_cleared_and_reported(store: BlobStore) -> None:
    store.create_page_blob("asr-logs", "disk", 2 * MIB)
    assert store.get_blob("asr-logs", "disk") == bytes(2 * MIB)
    assert store.page_ranges("asr-logs", "disk") == []
    store.put_pages("asr-logs", "disk", 1024, b"a" * 1024)
    store.put_pages("asr-logs", "disk", 2048, b"b" * 512)
    store.put_pages("asr-logs", "disk", MIB, b"c" * 4096)
    assert store.page_ranges("asr-logs", "disk") == [(1024, 1536), (MIB, 4096)]
    store.clear_pages("asr-logs", "disk", 1536, 512)
    assert store.page_ranges("asr-logs", "disk") == [(1024, 512), (2048, 512), (MIB, 4096)]
    assert store.get_blob("asr-logs", "disk", offset=512, length=2560) == bytes(512) + b"a" * 512 + bytes(
        512
    ) + b"b" * 512 + bytes(512)


def test_pages_outside_or_of_odd_size_are_refused(store: BlobStore) -> None:
    store.create_page_blob("asr-logs", "disk", MIB)
    with refused(HttpResponseError, "InvalidPageRange"):
        store.put_pages("asr-logs", "disk", MIB, b"x" * 512)
    with pytest.raises((HttpResponseError, ValueError)):
        store.put_pages("asr-logs", "disk", 100, b"x" * 512)
    with pytest.raises((HttpResponseError, ValueError)):
        store.create_page_blob("asr-logs", "odd", 1000)
    store.put_blob("asr-logs", "text", b"x" * 512)
    with refused(ResourceExistsError, "InvalidBlobType"):
        store.put_pages("asr-logs", "text", 0, b"x" * 512)


def test_a_fence_keeps_out_who_came_before(store: BlobStore) -> None:
    store.create_page_blob("asr-logs", "disk", MIB)
    store.put_pages("asr-logs", "disk", 0, b"0" * 512, fence=0)
    store.raise_fence("asr-logs", "disk", 7)
    for late in (0, 6, 8):
        with refused(HttpResponseError, "SequenceNumberConditionNotMet"):
            store.put_pages("asr-logs", "disk", 0, b"x" * 512, fence=late)
        with refused(HttpResponseError, "SequenceNumberConditionNotMet"):
            store.clear_pages("asr-logs", "disk", 0, 512, fence=late)
    store.raise_fence("asr-logs", "disk", 3)  # it never falls
    store.put_pages("asr-logs", "disk", 512, b"7" * 512, fence=7)
    store.clear_pages("asr-logs", "disk", 0, 512, fence=7)
    assert store.get_blob("asr-logs", "disk", length=1024) == bytes(512) + b"7" * 512


def test_a_snapshot_keeps_what_was(store: BlobStore) -> None:
    store.create_page_blob("asr-logs", "disk", MIB)
    store.put_pages("asr-logs", "disk", 0, b"1" * 4096)
    first = store.snapshot_blob("asr-logs", "disk")
    store.put_pages("asr-logs", "disk", 512, b"2" * 512)
    second = store.snapshot_blob("asr-logs", "disk")
    store.clear_pages("asr-logs", "disk", 0, 4096)
    assert first < second
    assert store.get_blob("asr-logs", "disk", length=1024, snapshot=first) == b"1" * 1024
    assert store.get_blob("asr-logs", "disk", length=1024, snapshot=second) == b"1" * 512 + b"2" * 512
    assert store.get_blob("asr-logs", "disk", length=1024) == bytes(1024)
    assert store.page_ranges("asr-logs", "disk", snapshot=first) == [(0, 4096)]
    assert store.page_ranges("asr-logs", "disk") == []
    with refused(ResourceExistsError, "SnapshotsPresent"):
        store.delete_blob("asr-logs", "disk")
    store.delete_blob("asr-logs", "disk", snapshot=first)
    with refused(ResourceNotFoundError, "BlobNotFound"):
        store.get_blob("asr-logs", "disk", snapshot=first)
    store.delete_blob("asr-logs", "disk", with_snapshots=True)
    assert store.list_blobs("asr-logs", snapshots=True) == []


def test_a_snapshot_is_copied_into_another_account(lab: Lab, store: BlobStore) -> None:
    target = lab.store(1)
    target.create_container("vhds")
    store.create_page_blob("asr-logs", "disk", MIB)
    store.put_pages("asr-logs", "disk", 4096, b"x" * 512)
    snapshot = store.snapshot_blob("asr-logs", "disk")
    store.put_pages("asr-logs", "disk", 4096, b"y" * 512)
    store.copy_blob("asr-logs", "disk", snapshot, target, "vhds", "promoted.vhd")
    assert target.get_blob("vhds", "promoted.vhd") == bytes(4096) + b"x" * 512 + bytes(MIB - 4608)
    target.put_pages("vhds", "promoted.vhd", 0, b"z" * 512)
    assert store.get_blob("asr-logs", "disk", length=512, snapshot=snapshot) == bytes(512)
    store.copy_blob("asr-logs", "disk", None, store, "asr-logs", "twin")
    assert store.get_blob("asr-logs", "twin", offset=4096, length=512) == b"y" * 512


def test_a_copy_needs_the_right_to_read_its_source(lab: Lab, store: BlobStore) -> None:
    store.put_blob("asr-logs", "secret", b"x")
    target = lab.store(1)
    target.create_container("vhds")
    with pytest.raises(HttpResponseError):
        lab.store(0, key=KEYS[1].replace("c", "d")).copy_blob("asr-logs", "secret", None, target, "vhds", "stolen")
    with pytest.raises(ResourceNotFoundError):
        store.copy_blob("asr-logs", "missing", None, target, "vhds", "nothing")
    assert target.list_blobs("vhds") == []


def test_a_lease_fences_writers(lab: Lab, store: BlobStore) -> None:
    store.put_blob("asr-logs", "turn", b"0")
    lease = store.acquire_lease("asr-logs", "turn", 30)
    with refused(ResourceExistsError, "LeaseAlreadyPresent"):
        store.acquire_lease("asr-logs", "turn", 30)
    with refused(HttpResponseError, "LeaseIdMissing"):
        store.put_blob("asr-logs", "turn", b"1")
    with refused(HttpResponseError, "LeaseIdMissing"):
        store.delete_blob("asr-logs", "turn")
    store.put_blob("asr-logs", "turn", b"2", lease=lease)
    lab.clock.wait(20)
    store.renew_lease("asr-logs", "turn", lease)
    lab.clock.wait(20)
    store.put_blob("asr-logs", "turn", b"3", lease=lease)
    lab.clock.wait(31)  # it expires
    with refused(HttpResponseError, "LeaseNotPresentWithBlobOperation"):
        store.put_blob("asr-logs", "turn", b"4", lease=lease)
    other = store.acquire_lease("asr-logs", "turn", -1)
    with refused(ResourceExistsError, "LeaseIdMismatchWithLeaseOperation"):
        store.renew_lease("asr-logs", "turn", lease)
    with refused(HttpResponseError, "LeaseIdMismatchWithBlobOperation"):
        store.put_blob("asr-logs", "turn", b"5", lease=lease)
    store.release_lease("asr-logs", "turn", other)
    store.put_blob("asr-logs", "turn", b"6")
    assert store.get_blob("asr-logs", "turn") == b"6"


def test_a_message_is_taken_once_until_its_time_is_over(lab: Lab, store: BlobStore) -> None:
    store.create_queue("asr-work")
    for text in ("one <1>", "two & 2", "three"):
        store.send("asr-work", text)
    taken = store.receive("asr-work", visibility=60, most=2)
    assert [message.text for message in taken] == ["one <1>", "two & 2"]
    assert [message.text for message in store.receive("asr-work", visibility=60)] == ["three"]
    assert store.receive("asr-work", visibility=60) == []
    store.delete_message("asr-work", taken[0])
    lab.clock.wait(61)
    again = store.receive("asr-work", visibility=60)
    assert [(message.text, message.dequeue_count) for message in again] == [("two & 2", 2), ("three", 2)]
    with refused(HttpResponseError, "PopReceiptMismatch"):
        store.delete_message("asr-work", taken[1])
    for message in again:
        store.delete_message("asr-work", message)
    with refused(ResourceNotFoundError, "MessageNotFound"):
        store.delete_message("asr-work", again[0])


def test_only_a_key_of_the_account_opens_it(lab: Lab, store: BlobStore) -> None:
    assert lab.store(key=KEYS[1]).list_blobs("asr-logs") == []
    wrong = lab.store(key=KEYS[0].replace("Z", "Y"))
    with refused(ClientAuthenticationError, "AuthenticationFailed"):
        wrong.list_blobs("asr-logs")
    with refused(ClientAuthenticationError, "AuthenticationFailed"):
        wrong.create_queue("asr-work")
    lab.service.set_keys(lab.accounts[0], KEYS[1], KEYS[1])
    with refused(ClientAuthenticationError, "AuthenticationFailed"):
        store.list_blobs("asr-logs")
    lab.service.delete_account(lab.accounts[0])
    with pytest.raises(HttpResponseError):
        lab.store(key=KEYS[1]).list_blobs("asr-logs")


def test_traffic_is_recorded_and_can_be_blocked(lab: Lab, store: BlobStore) -> None:
    before = {(flow.source, flow.destination, flow.port, flow.tls): flow.bytes_out for flow in lab.network.flows()}
    store.put_blob("asr-logs", "big", bytes(100_000))
    flows = {(flow.source, flow.destination, flow.port, flow.tls): flow for flow in lab.network.flows()}
    assert list(flows) == [("process-server", "storage", 443, True)]
    way = ("process-server", "storage", 443, True)
    assert 100_000 < flows[way].bytes_out - before[way] < 100_000 + lab.overhead
    received = flows[way].bytes_in
    store.get_blob("asr-logs", "big")
    assert (
        100_000 < {flow.destination: flow for flow in lab.network.flows()}["storage"].bytes_in - received < 100_000 + lab.overhead
    )
    block = lab.network.block(source="process-server", destination="storage", port=443)
    with pytest.raises(OSError, match="blocked"):
        store.get_blob("asr-logs", "big")
    with pytest.raises(OSError, match="blocked"):
        store.receive("asr-work", visibility=10)
    lab.network.unblock(block)
    assert len(store.get_blob("asr-logs", "big")) == 100_000
