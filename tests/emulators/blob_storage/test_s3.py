"""What is particular to the storage on S3: its door, its objects, and what becomes of those that nothing names any more."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from botocore.exceptions import ClientError
from storage_lab import KEYS, Lab, s3_lab

from emulators.blob_storage.contract import PAGE, BlobStore
from emulators.blob_storage.s3 import COLLECT_SECONDS, S3Storage
from emulators.blob_storage.s3_client import open_client, over_network
from emulators.blob_storage.s3_door import POOL
from emulators.blob_storage.s3_head import MOST_OBJECTS, Head, load
from emulators.clock import Clock
from emulators.network import Reply

MIB = 1024 * 1024
CONTAINER = "replicas"


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = s3_lab(Clock(seed=3), ("first", "second"))
    yield made
    made.close()


@pytest.fixture
def store(lab: Lab) -> BlobStore:
    store = lab.store()
    store.create_container(CONTAINER)
    return store


def service(lab: Lab) -> S3Storage:
    assert isinstance(lab.service, S3Storage)
    return lab.service


def client(lab: Lab, account: str = "first", key: str = KEYS[0]) -> Any:
    """The vendor's client, as anybody may use it."""
    return open_client(over_network(lab.host), f"https://{account}.blob.drillbed", (account, key))


def refused(code: str) -> "pytest.RaisesExc[ClientError]":
    return pytest.raises(ClientError, check=lambda error: error.response["Error"]["Code"] == code)


def head_of(lab: Lab, name: str) -> Head:
    return load(client(lab).get_object(Bucket=CONTAINER, Key=name)["Body"].read())


def test_objects_that_nothing_names_are_removed_and_no_others(lab: Lab, store: BlobStore) -> None:
    store.create_page_blob(CONTAINER, "disk", MIB)
    store.put_pages(CONTAINER, "disk", 0, b"1" * 4096)
    snapshot = store.snapshot_blob(CONTAINER, "disk")
    for fill in (b"2", b"3", b"4"):
        store.put_pages(CONTAINER, "disk", 0, fill * 4096)
    assert service(lab).stored() == 5  # four writes and a manifest
    lab.clock.wait(2.5 * COLLECT_SECONDS)
    assert service(lab).stored() == 3
    other = lab.store(1)
    other.create_container("vhds")
    store.copy_blob(CONTAINER, "disk", snapshot, other, "vhds", "promoted")
    store.delete_blob(CONTAINER, "disk", with_snapshots=True)
    lab.clock.wait(2.5 * COLLECT_SECONDS)
    assert service(lab).stored() == 1
    assert other.get_blob("vhds", "promoted", length=4096) == b"1" * 4096
    service(lab).delete_account("second")
    lab.clock.wait(2.5 * COLLECT_SECONDS)
    assert service(lab).stored() == 0


def test_bytes_that_no_head_names_yet_are_left_for_a_whole_round(lab: Lab, store: BlobStore) -> None:
    lab.clock.wait(COLLECT_SECONDS - 1)
    client(lab).put_object(Bucket=POOL, Key="early", Body=b"x", IfNoneMatch="*")
    lab.clock.wait(COLLECT_SECONDS)
    assert service(lab).stored() == 1
    lab.clock.wait(COLLECT_SECONDS)
    assert service(lab).stored() == 0


def test_no_write_is_lost_between_clients_that_remember_an_older_head(lab: Lab, store: BlobStore) -> None:
    clients = [store, lab.store(), lab.store(key=KEYS[1])]
    store.create_page_blob(CONTAINER, "disk", MIB)
    for page in range(60):
        clients[page % 3].put_pages(CONTAINER, "disk", page * PAGE, bytes([page + 1]) * PAGE)
    expected = b"".join(bytes([page + 1]) * PAGE for page in range(60))
    assert store.get_blob(CONTAINER, "disk", length=60 * PAGE) == expected
    clients[1].raise_fence(CONTAINER, "disk", 5)
    store.put_pages(CONTAINER, "disk", 0, b"5" * PAGE, fence=5)  # what this client remembers says 0


def test_many_small_writes_do_not_make_heads_grow(lab: Lab, store: BlobStore) -> None:
    random, plain = Random(7), bytearray(6 * MIB)
    store.create_page_blob(CONTAINER, "disk", len(plain))
    for _ in range(150):
        at = random.randrange(len(plain) // PAGE) * PAGE
        plain[at : at + PAGE] = data = random.randbytes(PAGE)
        store.put_pages(CONTAINER, "disk", at, data)
    ranges = store.page_ranges(CONTAINER, "disk")
    assert store.get_blob(CONTAINER, "disk") == plain
    assert sum(length for _, length in ranges) == PAGE * sum(any(plain[at : at + PAGE]) for at in range(0, len(plain), PAGE))
    parts = head_of(lab, "disk").extents
    assert len({part.object for part in parts}) <= 2 * MOST_OBJECTS + 2


def test_a_copy_costs_the_same_whatever_it_holds(lab: Lab, store: BlobStore) -> None:
    costs = []
    for size in (4096, 3 * MIB):
        store.create_page_blob(CONTAINER, f"disk-{size}", 4 * MIB)
        store.put_pages(CONTAINER, f"disk-{size}", 0, b"x" * size)
        before = sum(flow.bytes_out + flow.bytes_in for flow in lab.network.flows())
        store.copy_blob(CONTAINER, f"disk-{size}", None, store, CONTAINER, f"copy-{size}")
        costs.append(sum(flow.bytes_out + flow.bytes_in for flow in lab.network.flows()) - before)
    assert abs(costs[0] - costs[1]) < 100
    assert max(costs) < 8192


@pytest.mark.parametrize("name", ["a b", "m/1//2/", "..", ".hidden", "ü=%2F", "x" * 300, "?#&+"])
def test_any_name_is_a_name(store: BlobStore, name: str) -> None:
    store.put_blob(CONTAINER, name, b"here")
    assert store.get_blob(CONTAINER, name) == b"here"
    assert [entry.name for entry in store.list_blobs(CONTAINER, name[:2])] == [name]


def test_a_container_of_an_impossible_name_is_not_there(store: BlobStore) -> None:
    for container in (POOL, "../other", "", "UPPER"):
        with pytest.raises(ResourceNotFoundError, match="ContainerNotFound"):
            store.get_blob(container, "x")


def test_the_door_opens_for_signed_requests_of_the_account_alone(lab: Lab, store: BlobStore) -> None:
    store.put_blob(CONTAINER, "secret", b"x")
    assert client(lab).get_object(Bucket=CONTAINER, Key="secret")["ETag"]
    with refused("NoSuchBucket"):
        client(lab, "second").get_object(Bucket=CONTAINER, Key="secret")
    with refused("SignatureDoesNotMatch"):
        client(lab, key=KEYS[0].replace("Z", "Y")).get_object(Bucket=CONTAINER, Key="secret")
    with refused("InvalidAccessKeyId"):
        client(lab, "stranger").get_object(Bucket=CONTAINER, Key="secret")
    unsigned = lab.host.request("GET", f"https://first.blob.drillbed/{CONTAINER}/secret")
    assert (unsigned.status, b"AccessDenied" in unsigned.body) == (403, True)


def test_a_signed_request_cannot_be_altered(lab: Lab, store: BlobStore) -> None:
    seen: list[tuple[str, str, Mapping[str, str], bytes]] = []

    def listen(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        seen.append((method, url, headers, body))
        return over_network(lab.host)(method, url, headers, body)

    store.put_blob(CONTAINER, "a", b"x")
    open_client(listen, "https://first.blob.drillbed", ("first", KEYS[0])).get_object(Bucket=CONTAINER, Key="a")
    method, url, headers, _ = seen[0]
    assert lab.host.request(method, url, headers=headers).status == 200
    assert lab.host.request("DELETE", url, headers=headers).status == 403
    assert lab.host.request(method, url.replace("/a", "/b"), headers=headers).status == 403
    open_client(listen, "https://first.blob.drillbed", ("first", KEYS[0])).create_bucket(
        Bucket="made", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
    )
    method, url, headers, body = seen[-1]
    assert (
        b"XAmzContentSHA256Mismatch"
        in lab.host.request(method, url, headers=headers, body=body.replace(b"central-1", b"central-2")).body
    )


def test_the_bucket_of_all_bytes_is_write_once_and_neither_listed_nor_emptied(lab: Lab, store: BlobStore) -> None:
    store.put_blob(CONTAINER, "one", b"x")
    name = head_of(lab, "one").extents[0].object
    for ask in (
        lambda: client(lab).list_objects_v2(Bucket=POOL),
        lambda: client(lab).delete_object(Bucket=POOL, Key=name),
        lambda: client(lab).put_object(Bucket=POOL, Key=name, Body=b"y"),
        lambda: client(lab).delete_bucket(Bucket=CONTAINER),
        lambda: client(lab).get_bucket_acl(Bucket=CONTAINER),
        lambda: client(lab).copy_object(Bucket=CONTAINER, Key="two", CopySource=f"{CONTAINER}/one"),
    ):
        with refused("AccessDenied"):
            ask()
    with refused("PreconditionFailed"):
        client(lab).put_object(Bucket=POOL, Key=name, Body=b"y", IfNoneMatch="*")
    assert store.get_blob(CONTAINER, "one") == b"x"


def test_two_estates_of_one_process_have_nothing_in_common(lab: Lab, store: BlobStore) -> None:
    store.put_blob(CONTAINER, "mine", b"x")
    other = s3_lab(Clock(seed=3), ("first", "second"))
    try:
        other.store().create_container(CONTAINER)
        assert other.store().list_blobs(CONTAINER) == []
    finally:
        other.close()
    assert store.get_blob(CONTAINER, "mine") == b"x"
