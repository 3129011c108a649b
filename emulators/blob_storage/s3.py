"""A storage service on S3: moto in process as the estate's host `storage`, blobs on objects, queues beside in memory.

S3 has no queues; an installation on it has a queue service of its own beside it. Moto's does not keep the estate's time, so
messages are with `MemoryQueues`.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from random import Random
from typing import Any

from botocore.exceptions import ClientError
from werkzeug.test import Client

from emulators.blob_storage.contract import STORAGE_PORT
from emulators.blob_storage.memory import MemoryStorage
from emulators.blob_storage.memory_blobs import TICKS
from emulators.blob_storage.s3_blobs import S3Blobs
from emulators.blob_storage.s3_client import REGION, Ask, open_client, over_network
from emulators.blob_storage.s3_door import POOL, Door
from emulators.blob_storage.s3_head import load
from emulators.blob_storage.s3_objects import Objects
from emulators.clock import Clock
from emulators.network import Host, Reply

#: How often objects that no head names are looked for, in emulated seconds. An object goes when it was not named twice in a
#: row, so whoever has read a head, or has written bytes that no head names yet, has at least this long.
COLLECT_SECONDS = 1800.0


class S3Storage:
    """All accounts of an estate. Listens on `host`, port 443, until it is closed. Thread-safe."""

    def __init__(self, clock: Clock, host: Host):
        self._clock, self._random, self._lock = clock, clock.random("storage-s3"), threading.RLock()
        self._queues = MemoryStorage(clock)
        self._keys: dict[str, tuple[str, str]] = {}
        self._clients: dict[tuple[str, str, str], tuple[Host, Any]] = {}
        self._last_snapshot = 0
        self._suspects: set[str] = set()
        self.door = Door(self._keys.get)
        self._inside = open_client(_within(self.door), "http://localhost", ("service", "inside"))  # moto wants a signature, any
        self._make(self.door.bucket("", POOL))
        self._listener = host.listen(STORAGE_PORT, self.door)
        self._scope = clock.scope("S3 storage")
        self._scope.every(COLLECT_SECONDS, self.collect, name="collect unused objects")

    def close(self) -> None:
        self._scope.cancel_all()
        self._listener.close()
        self.door.close()

    # accounts --------------------------------------------------------------------------------------------------------

    def create_account(self, name: str, key1: str, key2: str) -> None:
        """Make an account; one that exists keeps what it holds and gets the keys."""
        self._queues.create_account(name, key1, key2)
        self._keys[name] = (key1, key2)

    def set_keys(self, name: str, key1: str, key2: str) -> None:
        self._queues.set_keys(name, key1, key2)
        self._keys[name] = (key1, key2)

    def delete_account(self, name: str) -> None:
        """Its buckets go with it; what they named is collected later."""
        self._keys.pop(name, None)
        self._queues.delete_account(name)
        for bucket in self.door.forget(name):
            for key in self._list(bucket):
                self._inside.delete_object(Bucket=bucket, Key=key)
            self._inside.delete_bucket(Bucket=bucket)

    def blob_endpoint(self, name: str) -> str:
        return self._queues.blob_endpoint(name)

    def queue_endpoint(self, name: str) -> str:
        return self._queues.queue_endpoint(name)

    def open_store(self, host: Host, store: Mapping[str, str]) -> "S3Blobs":
        """A client of the account that a `{store}` of the component protocol names, as seen from `host`."""
        account, key = store["account"], store["key"]
        with self._lock:
            known, client = self._clients.get((host.name, account, key), (None, None))
            if known is not host:
                client = open_client(over_network(host), self.blob_endpoint(account).rstrip("/"), (account, key))
                self._clients[host.name, account, key] = host, client
        objects, queues = Objects(client, self._draw), self._queues.open_store(host, store)
        return S3Blobs(account, objects, queues, now=self._clock.now, stamp=self._stamp, draw=self._draw)

    # unused objects --------------------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Remove the objects that no head has named, now and at the last look."""
        with self.door.lock:
            named = self._named()
            pool = self.door.bucket("", POOL)
            unnamed = {key for key in self._list(pool) if key not in named}
            for key in sorted(unnamed & self._suspects):
                self._inside.delete_object(Bucket=pool, Key=key)
            self._suspects = unnamed - self._suspects

    def stored(self) -> int:
        """Objects that hold bytes of blobs or manifests of snapshots, named or not."""
        return len(self._list(self.door.bucket("", POOL)))

    def _named(self) -> set[str]:
        named: set[str] = set()
        for bucket in self.door.buckets():
            for key in self._list(bucket):
                head = load(self._get(bucket, key))
                manifests = [manifest for _, manifest in head.snapshots.values()]
                frozen = [load(self._get(self.door.bucket("", POOL), manifest)) for manifest in manifests]
                named.update(manifests)
                named.update(part.object for one in (head, *frozen) for part in one.extents)
        return named

    def _get(self, bucket: str, key: str) -> bytes:
        return bytes(self._inside.get_object(Bucket=bucket, Key=key)["Body"].read())

    def _list(self, bucket: str) -> list[str]:
        pages = self._inside.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        try:
            return [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
            return []

    def _make(self, bucket: str) -> None:
        self._inside.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    # chance and time -------------------------------------------------------------------------------------------------

    def _draw(self, make: Callable[[Random], str]) -> str:
        with self._lock:
            return make(self._random)

    def _stamp(self) -> str:
        """The time of the next snapshot: unique, rising, with Azure's resolution of 100 ns."""
        with self._lock:
            self._last_snapshot = max(int(self._clock.now() * TICKS), self._last_snapshot + 1)
            seconds, ticks = divmod(self._last_snapshot, TICKS)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ticks:07d}Z"


def _within(door: Door) -> Ask:
    """Requests of the service itself, past the door and the network."""
    client = Client(door.inside)

    def ask(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        answer = client.open(url, method=method, headers=dict(headers), data=body)
        try:
            return Reply(answer.status_code, {name.lower(): value for name, value in answer.headers.items()}, answer.get_data())
        finally:
            answer.close()

    return ask
