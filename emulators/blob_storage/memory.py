"""A storage service in memory, for virtual time: deterministic, with leases and visibility on the estate's clock."""

import hmac
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from emulators.blob_storage.contract import (
    BLOB_SUFFIX,
    QUEUE_SUFFIX,
    STORAGE_PORT,
    BlobEntry,
    BlobProperties,
    BlobStore,
    QueueMessage,
)
from emulators.blob_storage.errors import storage_error
from emulators.blob_storage.memory_blobs import MemoryContainers
from emulators.blob_storage.memory_queues import MemoryQueues
from emulators.clock import Clock
from emulators.network import Host

T = TypeVar("T")

#: About what the vendor's client library and the service spend on start line and headers of one exchange.
REQUEST_HEADERS = 560
RESPONSE_HEADERS = 330


@dataclass(slots=True)
class MemoryAccount:
    """One storage account: its keys and what it holds."""

    name: str
    keys: tuple[str, str]
    blobs: MemoryContainers
    queues: MemoryQueues


class MemoryStorage:
    """All accounts of an estate. Thread-safe."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._random = clock.random("storage")
        self._accounts: dict[str, MemoryAccount] = {}
        self.lock = threading.RLock()

    def create_account(self, name: str, key1: str, key2: str) -> None:
        """Make an account; one that exists keeps what it holds and gets the keys."""
        with self.lock:
            if name in self._accounts:
                self._accounts[name].keys = (key1, key2)
                return
            blobs = MemoryContainers(self._clock.now, self._random)
            self._accounts[name] = MemoryAccount(name, (key1, key2), blobs, MemoryQueues(self._clock.now, self._random))

    def set_keys(self, name: str, key1: str, key2: str) -> None:
        with self.lock:
            self._find(name).keys = (key1, key2)

    def delete_account(self, name: str) -> None:
        with self.lock:
            self._accounts.pop(name, None)

    def blob_endpoint(self, name: str) -> str:
        return f"https://{name}.{BLOB_SUFFIX}/"

    def queue_endpoint(self, name: str) -> str:
        return f"https://{name}.{QUEUE_SUFFIX}/"

    def open_store(self, host: Host, store: Mapping[str, str]) -> "MemoryBlobs":
        """A client of the account that a `{store}` of the component protocol names, as seen from `host`."""
        return MemoryBlobs(self, host, store["account"], store["key"])

    def account(self, name: str, key: str) -> MemoryAccount:
        """The account, for who holds one of its keys."""
        found = self._find(name)
        if not any(hmac.compare_digest(key.encode(), known.encode()) for known in found.keys):
            raise storage_error("AuthenticationFailed")
        return found

    def _find(self, name: str) -> MemoryAccount:
        if name not in self._accounts:
            raise storage_error("ResourceNotFound")
        return self._accounts[name]


class MemoryBlobs:
    """A client of one account. Each call is one exchange on the network, from its host to the account's endpoint on 443."""

    def __init__(self, service: MemoryStorage, host: Host, account: str, key: str):
        self.service, self.host, self.account = service, host, account
        self._key = key

    # blobs -----------------------------------------------------------------------------------------------------------

    def create_container(self, container: str) -> None:
        self._ask(lambda at: at.blobs.create_container(container))

    def put_blob(
        self,
        container: str,
        name: str,
        data: bytes,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        lease: str | None = None,
    ) -> str:
        return self._ask(lambda at: at.blobs.put(container, name, data, if_absent, if_match, lease), sent=len(data))

    def get_blob(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, snapshot: str | None = None
    ) -> bytes:
        return self._ask(lambda at: at.blobs.read(container, name, offset, length, snapshot), received=len)

    def properties(self, container: str, name: str, *, snapshot: str | None = None) -> BlobProperties:
        return self._ask(lambda at: at.blobs.properties(container, name, snapshot))

    def list_blobs(self, container: str, prefix: str = "", *, snapshots: bool = False) -> list[BlobEntry]:
        return self._ask(lambda at: at.blobs.entries(container, prefix, snapshots), received=_listing)

    def delete_blob(self, container: str, name: str, *, snapshot: str | None = None, with_snapshots: bool = False) -> None:
        self._ask(lambda at: at.blobs.delete(container, name, snapshot, with_snapshots))

    def create_page_blob(self, container: str, name: str, size: int) -> None:
        self._ask(lambda at: at.blobs.create_pages(container, name, size))

    def put_pages(self, container: str, name: str, offset: int, data: bytes, *, fence: int | None = None) -> None:
        self._ask(lambda at: at.blobs.put_pages(container, name, offset, data, fence), sent=len(data))

    def clear_pages(self, container: str, name: str, offset: int, length: int, *, fence: int | None = None) -> None:
        self._ask(lambda at: at.blobs.clear_pages(container, name, offset, length, fence))

    def raise_fence(self, container: str, name: str, number: int) -> None:
        self._ask(lambda at: at.blobs.raise_fence(container, name, number))

    def page_ranges(self, container: str, name: str, *, snapshot: str | None = None) -> list[tuple[int, int]]:
        return self._ask(lambda at: at.blobs.page_ranges(container, name, snapshot), received=lambda found: 70 * len(found))

    def snapshot_blob(self, container: str, name: str) -> str:
        return self._ask(lambda at: at.blobs.snapshot(container, name))

    def copy_blob(
        self, source: str, name: str, snapshot: str | None, target: BlobStore, target_container: str, target_name: str
    ) -> None:
        """Server-side copy: asked of the target's endpoint, with the right to read the source; no bytes cross the network."""
        if not isinstance(target, MemoryBlobs) or target.service is not self.service:
            raise storage_error("CannotVerifyCopySource")

        def copy(at: MemoryAccount) -> None:
            found = self.service.account(self.account, self._key).blobs.copy_out(source, name, snapshot)
            at.blobs.copy_in(found, target_container, target_name)

        target._ask(copy)

    # leases ----------------------------------------------------------------------------------------------------------

    def acquire_lease(self, container: str, name: str, seconds: int) -> str:
        return self._ask(lambda at: at.blobs.acquire_lease(container, name, seconds))

    def renew_lease(self, container: str, name: str, lease: str) -> None:
        self._ask(lambda at: at.blobs.renew_lease(container, name, lease))

    def release_lease(self, container: str, name: str, lease: str) -> None:
        self._ask(lambda at: at.blobs.release_lease(container, name, lease))

    # queues ----------------------------------------------------------------------------------------------------------

    def create_queue(self, queue: str) -> None:
        self._ask(lambda at: at.queues.create(queue), suffix=QUEUE_SUFFIX)

    def send(self, queue: str, text: str) -> None:
        self._ask(lambda at: at.queues.send(queue, text), suffix=QUEUE_SUFFIX, sent=len(text))

    def receive(self, queue: str, *, visibility: int, most: int = 32) -> list[QueueMessage]:
        return self._ask(lambda at: at.queues.receive(queue, visibility, most), suffix=QUEUE_SUFFIX, received=_messages)

    def delete_message(self, queue: str, message: QueueMessage) -> None:
        self._ask(lambda at: at.queues.delete(queue, message), suffix=QUEUE_SUFFIX)

    # the exchange ----------------------------------------------------------------------------------------------------

    def _ask(
        self,
        operation: Callable[[MemoryAccount], T],
        *,
        suffix: str = BLOB_SUFFIX,
        sent: int = 0,
        received: Callable[[T], int] | None = None,
    ) -> T:
        """One request and its answer. Refused requests cross the network too."""
        name = f"{self.account}.{suffix}"
        there = self.host.network.check(self.host, name, STORAGE_PORT)
        if there.authority != self.host.authority:
            raise ssl.SSLCertVerificationError(f"certificate of {name}:{STORAGE_PORT} is signed by an unknown authority")
        size = 0
        try:
            with self.service.lock:
                answer = operation(self.service.account(self.account, self._key))
            size = received(answer) if received else 0
        finally:
            self.host.network.record(
                self.host.name,
                there.name,
                STORAGE_PORT,
                tls=True,
                sent=REQUEST_HEADERS + sent,
                received=RESPONSE_HEADERS + size,
            )
        return answer


def _listing(entries: list[BlobEntry]) -> int:
    return sum(600 + len(entry.name) for entry in entries)


def _messages(messages: list[QueueMessage]) -> int:
    return sum(400 + len(message.text) for message in messages)
