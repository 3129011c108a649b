"""What blob and queue storage offers, as protocols and plain records. The implementations are beside this module."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

#: Documented port of both endpoints of every account.
STORAGE_PORT = 443

#: The unit of page blobs, and the most that one page write may carry.
PAGE = 512
MOST_PAGES = 4 * 1024 * 1024

#: Where the endpoints of an account are in an estate's DNS.
BLOB_SUFFIX = "blob.drillbed"
QUEUE_SUFFIX = "queue.drillbed"


@dataclass(frozen=True, slots=True)
class BlobProperties:
    """Size in bytes, etag with its quotes, metadata as given."""

    size: int
    etag: str
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class BlobEntry:
    """One line of a listing; `snapshot` is None for the blob itself."""

    name: str
    size: int
    snapshot: str | None


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """A received message; `receipt` is what deletes it, until it becomes visible again."""

    id: str
    receipt: str
    text: str
    dequeue_count: int


class BlobStore(Protocol):
    """Blobs and queues of one storage account, as seen from one host.

    Errors are those of `azure.core.exceptions` with `error_code` as Azure has it; unreachable is `OSError`.
    Offsets and lengths of pages are multiples of 512 bytes; one `put_pages` takes at most 4 MiB. Ranges are `(offset, length)`.
    """

    account: str

    def create_container(self, container: str) -> None: ...
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
        """Write a whole block blob. The answer is its new etag."""
        ...

    def get_blob(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, snapshot: str | None = None
    ) -> bytes: ...
    def properties(self, container: str, name: str, *, snapshot: str | None = None) -> BlobProperties: ...
    def list_blobs(self, container: str, prefix: str = "", *, snapshots: bool = False) -> list[BlobEntry]:
        """In the order of names; the snapshots of a blob, oldest first, come before the blob itself."""
        ...

    def delete_blob(self, container: str, name: str, *, snapshot: str | None = None, with_snapshots: bool = False) -> None: ...
    def create_page_blob(self, container: str, name: str, size: int) -> None: ...
    def put_pages(self, container: str, name: str, offset: int, data: bytes, *, fence: int | None = None) -> None:
        """`fence`: only while the blob's sequence number is this one (412 `SequenceNumberConditionNotMet` otherwise)."""
        ...

    def clear_pages(self, container: str, name: str, offset: int, length: int, *, fence: int | None = None) -> None: ...
    def raise_fence(self, container: str, name: str, number: int) -> None:
        """The page blob's sequence number becomes `number`, unless it is higher already."""
        ...

    def page_ranges(self, container: str, name: str, *, snapshot: str | None = None) -> list[tuple[int, int]]: ...
    def snapshot_blob(self, container: str, name: str) -> str: ...
    def copy_blob(
        self, source: str, name: str, snapshot: str | None, target: "BlobStore", target_container: str, target_name: str
    ) -> None:
        """Server-side copy, also into another account of the same service. Returns when the copy is complete."""
        ...

    def acquire_lease(self, container: str, name: str, seconds: int) -> str:
        """`seconds` is 15 to 60, or -1 for a lease without an end. The answer is the lease id."""
        ...

    def renew_lease(self, container: str, name: str, lease: str) -> None: ...
    def release_lease(self, container: str, name: str, lease: str) -> None: ...
    def create_queue(self, queue: str) -> None: ...
    def send(self, queue: str, text: str) -> None: ...
    def receive(self, queue: str, *, visibility: int, most: int = 32) -> list[QueueMessage]:
        """Take up to `most` (at most 32) messages; they are invisible to others for `visibility` seconds."""
        ...

    def delete_message(self, queue: str, message: QueueMessage) -> None: ...


class StorageService(Protocol):
    """All accounts of one storage service: what the Azure emulator creates accounts with. Keys are base64."""

    def create_account(self, name: str, key1: str, key2: str) -> None: ...
    def set_keys(self, name: str, key1: str, key2: str) -> None: ...
    def delete_account(self, name: str) -> None: ...
    def blob_endpoint(self, name: str) -> str:
        """As Azure writes `primaryEndpoints.blob`, with its slash: `https://drcache.blob.drillbed/`."""
        ...

    def queue_endpoint(self, name: str) -> str: ...

    def open_store(self, host: Any, store: Mapping[str, str]) -> BlobStore:
        """A client of the account that a `{store}` of the component protocol names, as seen from `host`
        (an `emulators.network.Host`)."""
        ...
