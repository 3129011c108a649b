"""Blobs of one account on S3: block and page blobs, snapshots, conditions, leases and fences on objects.

A blob is its head, an object that is only ever changed on the condition that it has not changed meanwhile (`If-Match`). So every
operation takes effect at once or not at all, and conditions, leases and fences are judged on exactly the state that they
change. Bytes are written before the head names them and are never changed.
"""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

from emulators.blob_storage.contract import MOST_PAGES, PAGE, BlobEntry, BlobProperties, BlobStore, QueueMessage
from emulators.blob_storage.errors import storage_error
from emulators.blob_storage.memory_blobs import LEASE_SECONDS, LEASE_WITHOUT_END, MOST_PAGE_BLOB
from emulators.blob_storage.s3_door import MOST_BODY
from emulators.blob_storage.s3_head import (
    BLOCK,
    PAGES,
    Extent,
    Head,
    Lease,
    cleared,
    crowded,
    dump,
    load,
    ranges,
    runs,
    within,
    written,
)
from emulators.blob_storage.s3_objects import Objects

Draw = Callable[[Callable[[Random], str]], str]


class S3Blobs:
    """A client of one account: each call is one request of its host or a few. `queues` is the store beside that has the queues.

    `now` is emulated time, `stamp` makes the next snapshot's time, `draw` is chance.
    """

    def __init__(
        self,
        account: str,
        objects: Objects,
        queues: BlobStore,
        *,
        now: Callable[[], float],
        stamp: Callable[[], str],
        draw: Draw,
    ):
        self.account = account
        self.objects, self._queues, self._now, self._stamp, self._draw = objects, queues, now, stamp, draw

    # whole blobs -----------------------------------------------------------------------------------------------------

    def create_container(self, container: str) -> None:
        self.objects.create(container)

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
        if len(data) > MOST_BODY:
            raise storage_error("RequestBodyTooLarge")
        kept = self.objects.store_once(data)

        def change(old: Head | None) -> Head:
            if if_absent and old is not None:
                raise storage_error("BlobAlreadyExists")
            if if_match is not None and (old is None or old.etag != if_match):
                raise storage_error("ConditionNotMet")
            self._check_lease(old, lease)
            extents = (Extent(0, len(data), kept(), 0),) if data else ()
            return self._in_place(old, Head(BLOCK, len(data), self._etag(), extents=extents))

        new = self.objects.change(container, name, change)
        assert new is not None
        return new.etag

    def create_page_blob(self, container: str, name: str, size: int) -> None:
        if size % PAGE or not 0 <= size <= MOST_PAGE_BLOB:
            raise storage_error("InvalidHeaderValue")
        self._put_head(container, name, Head(PAGES, size, ""))

    def get_blob(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, snapshot: str | None = None
    ) -> bytes:
        head = self._version(container, name, snapshot)
        if offset < 0 or (offset >= head.size and (offset or head.size)):
            raise storage_error("InvalidRange")
        return self._bytes(head, offset, head.size - offset if length is None else min(length, head.size - offset))

    def properties(self, container: str, name: str, *, snapshot: str | None = None) -> BlobProperties:
        head = self._version(container, name, snapshot)
        return BlobProperties(head.size, head.etag, dict(head.metadata))

    def list_blobs(self, container: str, prefix: str = "", *, snapshots: bool = False) -> list[BlobEntry]:
        """As the contract has it. S3 lists names alone: each blob costs a request for its head."""
        found: list[BlobEntry] = []
        for name in self.objects.names(container, prefix):
            head = self.objects.change(container, name, lambda old: old)  # gone meanwhile: None
            if head is None:
                continue
            if snapshots:
                found += [BlobEntry(name, size, time) for time, (size, _) in head.snapshots.items()]
            found.append(BlobEntry(name, head.size, None))
        return found

    def delete_blob(self, container: str, name: str, *, snapshot: str | None = None, with_snapshots: bool = False) -> None:
        def change(old: Head | None) -> Head | None:
            if old is None or (snapshot is not None and snapshot not in old.snapshots):
                raise storage_error("BlobNotFound")
            if snapshot is not None:
                return replace(old, snapshots={time: kept for time, kept in old.snapshots.items() if time != snapshot})
            self._check_lease(old, None)
            if old.snapshots and not with_snapshots:
                raise storage_error("SnapshotsPresent")
            return None

        self.objects.change(container, name, change)

    def snapshot_blob(self, container: str, name: str) -> str:
        """Freeze what the blob holds now: its head becomes an object of its own, no bytes are copied."""
        time = self._stamp()

        def change(old: Head | None) -> Head:
            known = _known(old)
            manifest = self.objects.store(dump(known.frozen()))
            return replace(known, snapshots={**known.snapshots, time: (known.size, manifest)})

        self.objects.change(container, name, change)
        return time

    def copy_blob(
        self, source: str, name: str, snapshot: str | None, target: BlobStore, target_container: str, target_name: str
    ) -> None:
        """Only the head is copied; both blobs share the extents."""
        if not isinstance(target, S3Blobs):
            raise storage_error("CannotVerifyCopySource")
        target._put_head(target_container, target_name, self._version(source, name, snapshot).frozen())

    # pages -----------------------------------------------------------------------------------------------------------

    def put_pages(self, container: str, name: str, offset: int, data: bytes, *, fence: int | None = None) -> None:
        if len(data) > MOST_PAGES:
            raise storage_error("RequestBodyTooLarge")
        kept = self.objects.store_once(data)

        def lay(old: Head) -> tuple[Extent, ...]:
            return tuple(written(old.extents, Extent(offset, len(data), kept(), 0)))

        self._change_pages(container, name, offset, len(data), fence, lay)

    def clear_pages(self, container: str, name: str, offset: int, length: int, *, fence: int | None = None) -> None:
        self._change_pages(container, name, offset, length, fence, lambda old: tuple(cleared(old.extents, offset, length)))

    def raise_fence(self, container: str, name: str, number: int) -> None:
        def change(old: Head | None) -> Head:
            known = _pages(_known(old))
            self._check_lease(known, None)
            return replace(known, sequence_number=number) if number > known.sequence_number else known

        self.objects.change(container, name, change)

    def page_ranges(self, container: str, name: str, *, snapshot: str | None = None) -> list[tuple[int, int]]:
        return ranges(_pages(self._version(container, name, snapshot)).extents)

    def _change_pages(
        self,
        container: str,
        name: str,
        offset: int,
        length: int,
        fence: int | None,
        make: Callable[[Head], tuple[Extent, ...]],
    ) -> None:
        def change(old: Head | None) -> Head:
            known = _pages(_known(old))
            if offset % PAGE or length % PAGE or length <= 0 or offset < 0:
                raise storage_error("InvalidHeaderValue")
            self._check_lease(known, None)
            if fence is not None and known.sequence_number != fence:
                raise storage_error("SequenceNumberConditionNotMet")
            if offset + length > known.size:
                raise storage_error("InvalidPageRange")
            return self._tidied(replace(known, etag=self._etag(), extents=make(known)), offset, length)

        self.objects.change(container, name, change)

    def _tidied(self, head: Head, offset: int, length: int) -> Head:
        """The same bytes and written pages in fewer extents, where there are too many; so heads stay small."""
        extents = list(head.extents)
        for window in crowded(extents, offset, length):
            parts = within(extents, window, MOST_PAGES)
            held = self.objects.store(b"".join(data for _, data in self._fetched(parts)))
            extents, at = cleared(extents, window, MOST_PAGES), 0
            for first, count in ranges(parts):
                extents.append(Extent(first, count, held, at))
                at += count
        return replace(head, extents=tuple(sorted(extents, key=lambda part: part.offset)))

    # leases ----------------------------------------------------------------------------------------------------------

    def acquire_lease(self, container: str, name: str, seconds: int) -> str:
        if seconds not in LEASE_SECONDS and seconds != LEASE_WITHOUT_END:
            raise storage_error("InvalidHeaderValue")
        lease = self._draw(lambda random: str(uuid.UUID(int=random.getrandbits(128), version=4)))

        def change(old: Head | None) -> Head:
            known = _known(old)
            if self._leased(known):
                raise storage_error("LeaseAlreadyPresent")
            return replace(known, lease=self._lease(lease, seconds))

        self.objects.change(container, name, change)
        return lease

    def renew_lease(self, container: str, name: str, lease: str) -> None:
        self._change_lease(container, name, lease, lambda held: self._lease(held.id, held.seconds))

    def release_lease(self, container: str, name: str, lease: str) -> None:
        self._change_lease(container, name, lease, lambda _: None)

    def _change_lease(self, container: str, name: str, lease: str, make: Callable[[Lease], Lease | None]) -> None:
        def change(old: Head | None) -> Head:
            known = _known(old)
            if known.lease is None or known.lease.id != lease:
                raise storage_error("LeaseIdMismatchWithLeaseOperation")
            return replace(known, lease=make(known.lease))

        self.objects.change(container, name, change)

    def _lease(self, lease: str, seconds: int) -> Lease:
        return Lease(lease, seconds, None if seconds == LEASE_WITHOUT_END else self._now() + seconds)

    def _leased(self, head: Head) -> bool:
        return head.lease is not None and (head.lease.until is None or self._now() < head.lease.until)

    def _check_lease(self, head: Head | None, given: str | None) -> None:
        """Fencing: a leased blob is written only with its lease, and a lost lease writes nothing."""
        if head is not None and self._leased(head):
            if given is None:
                raise storage_error("LeaseIdMissing")
            if head.lease is None or given != head.lease.id:
                raise storage_error("LeaseIdMismatchWithBlobOperation")
        elif given is not None:
            raise storage_error("LeaseNotPresentWithBlobOperation")

    # queues ----------------------------------------------------------------------------------------------------------

    def create_queue(self, queue: str) -> None:
        self._queues.create_queue(queue)

    def send(self, queue: str, text: str) -> None:
        self._queues.send(queue, text)

    def receive(self, queue: str, *, visibility: int, most: int = 32) -> list[QueueMessage]:
        return self._queues.receive(queue, visibility=visibility, most=most)

    def delete_message(self, queue: str, message: QueueMessage) -> None:
        self._queues.delete_message(queue, message)

    # heads -----------------------------------------------------------------------------------------------------------

    def _version(self, container: str, name: str, snapshot: str | None) -> Head:
        head = self.objects.head(container, name)
        if snapshot is None:
            return head
        if snapshot not in head.snapshots:
            raise storage_error("BlobNotFound")
        return load(self.objects.fetch(head.snapshots[snapshot][1]))

    def _bytes(self, head: Head, offset: int, length: int) -> bytes:
        parts, position = [], offset
        for part, data in self._fetched(within(head.extents, offset, length)):
            parts += [bytes(part.offset - position), data]
            position = part.end
        return b"".join([*parts, bytes(offset + length - position)])

    def _fetched(self, extents: list[Extent]) -> Iterator[tuple[Extent, bytes]]:
        for run in runs(extents):
            start = run[0].at
            data = self.objects.fetch(run[0].object, start, run[-1].at + run[-1].length - start)
            yield from ((part, data[part.at - start : part.at - start + part.length]) for part in run)

    def _put_head(self, container: str, name: str, head: Head) -> None:
        """Put content in the place of a blob, under a new etag."""

        def change(old: Head | None) -> Head:
            self._check_lease(old, None)
            return self._in_place(old, replace(head, etag=self._etag()))

        self.objects.change(container, name, change)

    def _in_place(self, old: Head | None, new: Head) -> Head:
        """Its lease and its snapshots stay with a blob whose content is replaced."""
        return new if old is None else replace(new, lease=old.lease, snapshots=old.snapshots)

    def _etag(self) -> str:
        return self._draw(lambda random: f'"0x8D{random.getrandbits(52):013X}"')


def _known(head: Head | None) -> Head:
    if head is None:
        raise storage_error("BlobNotFound")
    return head


def _pages(head: Head) -> Head:
    if head.type != PAGES:
        raise storage_error("InvalidBlobType")
    return head
