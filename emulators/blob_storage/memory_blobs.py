"""The containers and blobs of one account in memory: block and page blobs, snapshots, conditions, leases."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random

from emulators.blob_storage.contract import MOST_PAGES, PAGE, BlobEntry, BlobProperties
from emulators.blob_storage.errors import storage_error
from emulators.blob_storage.pages import Pages

CONTAINER_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
LEASE_SECONDS = range(15, 61)
LEASE_WITHOUT_END = -1
MOST_PAGE_BLOB = 8 * 1024**4

#: Azure's timestamps have a resolution of 100 ns.
TICKS = 10_000_000


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a snapshot holds."""

    content: bytes | Pages
    etag: str
    metadata: dict[str, str]


@dataclass(slots=True)
class Lease:
    """`until` is emulated time; None for a lease without an end. An expired lease stays until another one is taken."""

    id: str
    seconds: int
    until: float | None


@dataclass(slots=True)
class Blob:
    """A blob with its snapshots, which are named by their time (oldest first)."""

    content: bytes | Pages
    etag: str
    metadata: dict[str, str] = field(default_factory=dict)
    lease: Lease | None = None
    sequence_number: int = 0  #: of a page blob
    snapshots: dict[str, Frozen] = field(default_factory=dict)


@dataclass(slots=True)
class MemoryContainers:
    """All containers of one account. `now` is emulated time. The caller holds the service's lock."""

    now: Callable[[], float]
    random: Random
    _containers: dict[str, dict[str, Blob]] = field(default_factory=dict)
    _changes: int = 0
    _last_snapshot: int = 0

    def create_container(self, container: str) -> None:
        if not CONTAINER_NAME.fullmatch(container):
            raise storage_error("InvalidResourceName")
        if container in self._containers:
            raise storage_error("ContainerAlreadyExists")
        self._containers[container] = {}

    # whole blobs -----------------------------------------------------------------------------------------------------

    def put(self, container: str, name: str, data: bytes, if_absent: bool, if_match: str | None, lease: str | None) -> str:
        """Write a block blob; the answer is its etag."""
        existing = self._container(container).get(name)
        if if_absent and existing is not None:
            raise storage_error("BlobAlreadyExists")
        if if_match is not None and (existing is None or existing.etag != if_match):
            raise storage_error("ConditionNotMet")
        return self._replace(container, name, bytes(data), {}, lease)

    def create_pages(self, container: str, name: str, size: int) -> None:
        if size % PAGE or not 0 <= size <= MOST_PAGE_BLOB:
            raise storage_error("InvalidHeaderValue")
        self._replace(container, name, Pages(size), {}, None)

    def read(self, container: str, name: str, offset: int, length: int | None, snapshot: str | None) -> bytes:
        content = self._version(container, name, snapshot).content
        size = _size(content)
        if offset < 0 or (offset >= size and (offset or size)):
            raise storage_error("InvalidRange")
        count = size - offset if length is None else min(length, size - offset)
        return content.read(offset, count) if isinstance(content, Pages) else content[offset : offset + count]

    def properties(self, container: str, name: str, snapshot: str | None) -> BlobProperties:
        found = self._version(container, name, snapshot)
        return BlobProperties(_size(found.content), found.etag, dict(found.metadata))

    def entries(self, container: str, prefix: str, snapshots: bool) -> list[BlobEntry]:
        found = []
        for name, blob in sorted(self._container(container).items()):
            if not name.startswith(prefix):
                continue
            if snapshots:
                found += [BlobEntry(name, _size(kept.content), time) for time, kept in blob.snapshots.items()]
            found.append(BlobEntry(name, _size(blob.content), None))
        return found

    def delete(self, container: str, name: str, snapshot: str | None, with_snapshots: bool) -> None:
        blob = self._blob(container, name)
        if snapshot is not None:
            if blob.snapshots.pop(snapshot, None) is None:
                raise storage_error("BlobNotFound")
            return
        self._check_lease(blob, None)
        if blob.snapshots and not with_snapshots:
            raise storage_error("SnapshotsPresent")
        del self._container(container)[name]

    def snapshot(self, container: str, name: str) -> str:
        """Freeze what the blob holds now; costs no copy of its bytes."""
        blob = self._blob(container, name)
        content = blob.content.copy() if isinstance(blob.content, Pages) else blob.content
        self._last_snapshot = max(int(self.now() * TICKS), self._last_snapshot + 1)
        seconds, ticks = divmod(self._last_snapshot, TICKS)
        time = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ticks:07d}Z"
        blob.snapshots[time] = Frozen(content, blob.etag, dict(blob.metadata))
        return time

    def copy_in(self, source: Frozen, container: str, name: str) -> None:
        """Make `name` a copy of what another blob or a snapshot holds."""
        content = source.content.copy() if isinstance(source.content, Pages) else source.content
        self._replace(container, name, content, dict(source.metadata), None)

    def copy_out(self, container: str, name: str, snapshot: str | None) -> Frozen:
        found = self._version(container, name, snapshot)
        return found if isinstance(found, Frozen) else Frozen(found.content, found.etag, found.metadata)

    # pages -----------------------------------------------------------------------------------------------------------

    def put_pages(self, container: str, name: str, offset: int, data: bytes, fence: int | None) -> None:
        if len(data) > MOST_PAGES:
            raise storage_error("RequestBodyTooLarge")
        self._pages(container, name, offset, len(data), fence).write(offset, data)

    def clear_pages(self, container: str, name: str, offset: int, length: int, fence: int | None) -> None:
        self._pages(container, name, offset, length, fence).clear(offset, length)

    def raise_fence(self, container: str, name: str, number: int) -> None:
        blob = self._blob(container, name)
        if not isinstance(blob.content, Pages):
            raise storage_error("InvalidBlobType")
        self._check_lease(blob, None)
        blob.sequence_number = max(blob.sequence_number, number)

    def page_ranges(self, container: str, name: str, snapshot: str | None) -> list[tuple[int, int]]:
        content = self._version(container, name, snapshot).content
        if not isinstance(content, Pages):
            raise storage_error("InvalidBlobType")
        return content.ranges()

    def _pages(self, container: str, name: str, offset: int, length: int, fence: int | None) -> Pages:
        """The pages of a blob that is about to be changed in a range."""
        blob = self._blob(container, name)
        if not isinstance(blob.content, Pages):
            raise storage_error("InvalidBlobType")
        if offset % PAGE or length % PAGE or length <= 0 or offset < 0:
            raise storage_error("InvalidHeaderValue")
        self._check_lease(blob, None)
        if fence is not None and blob.sequence_number != fence:
            raise storage_error("SequenceNumberConditionNotMet")
        if offset + length > blob.content.size:
            raise storage_error("InvalidPageRange")
        blob.etag = self._etag()
        return blob.content

    # leases ----------------------------------------------------------------------------------------------------------

    def acquire_lease(self, container: str, name: str, seconds: int) -> str:
        if seconds not in LEASE_SECONDS and seconds != LEASE_WITHOUT_END:
            raise storage_error("InvalidHeaderValue")
        blob = self._blob(container, name)
        if self._leased(blob):
            raise storage_error("LeaseAlreadyPresent")
        blob.lease = Lease(str(uuid.UUID(int=self.random.getrandbits(128), version=4)), seconds, self._until(seconds))
        return blob.lease.id

    def renew_lease(self, container: str, name: str, lease: str) -> None:
        held = self._held(container, name, lease)
        held.until = self._until(held.seconds)

    def release_lease(self, container: str, name: str, lease: str) -> None:
        self._held(container, name, lease)
        self._blob(container, name).lease = None

    def _held(self, container: str, name: str, lease: str) -> Lease:
        """The lease with this id, running or expired without a successor."""
        held = self._blob(container, name).lease
        if held is None or held.id != lease:
            raise storage_error("LeaseIdMismatchWithLeaseOperation")
        return held

    def _until(self, seconds: int) -> float | None:
        return None if seconds == LEASE_WITHOUT_END else self.now() + seconds

    def _leased(self, blob: Blob) -> bool:
        return blob.lease is not None and (blob.lease.until is None or self.now() < blob.lease.until)

    def _check_lease(self, blob: Blob, given: str | None) -> None:
        """Fencing: a leased blob is written only with its lease, and a lost lease writes nothing."""
        if self._leased(blob):
            if given is None:
                raise storage_error("LeaseIdMissing")
            if blob.lease is None or given != blob.lease.id:
                raise storage_error("LeaseIdMismatchWithBlobOperation")
        elif given is not None:
            raise storage_error("LeaseNotPresentWithBlobOperation")

    # finding ---------------------------------------------------------------------------------------------------------

    def _container(self, container: str) -> dict[str, Blob]:
        found = self._containers.get(container)
        if found is None:
            raise storage_error("ContainerNotFound")
        return found

    def _blob(self, container: str, name: str) -> Blob:
        found = self._container(container).get(name)
        if found is None:
            raise storage_error("BlobNotFound")
        return found

    def _version(self, container: str, name: str, snapshot: str | None) -> Blob | Frozen:
        blob = self._blob(container, name)
        if snapshot is None:
            return blob
        if snapshot not in blob.snapshots:
            raise storage_error("BlobNotFound")
        return blob.snapshots[snapshot]

    def _replace(self, container: str, name: str, content: bytes | Pages, metadata: dict[str, str], lease: str | None) -> str:
        """Put new content in the place of a blob; its lease and its snapshots stay."""
        blobs = self._container(container)
        existing = blobs.get(name)
        etag = self._etag()
        if existing is None:
            if lease is not None:
                raise storage_error("LeaseNotPresentWithBlobOperation")
            blobs[name] = Blob(content, etag, metadata)
        else:
            self._check_lease(existing, lease)
            existing.content, existing.etag, existing.metadata, existing.sequence_number = content, etag, metadata, 0
        return etag

    def _etag(self) -> str:
        self._changes += 1
        return f'"0x8D{self._changes:013X}"'


def _size(content: bytes | Pages) -> int:
    return content.size if isinstance(content, Pages) else len(content)
