"""A client of one storage account through the vendor's own libraries, over an estate's network."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobLeaseClient, BlobSasPermissions, BlobServiceClient, SequenceNumberAction, generate_blob_sas
from azure.storage.queue import QueueServiceClient

from emulators.blob_storage.contract import BlobEntry, BlobProperties, BlobStore, QueueMessage
from emulators.blob_storage.errors import storage_error
from emulators.blob_storage.transport import HostTransport
from emulators.network import Host

#: Up to this size a blob is written with one Put Blob: much faster with Azurite than blocks, and it can be conditional.
MOST_PUT = 256 * 1024 * 1024

#: A copy between accounts carries the right to read its source. It is used at once, over TLS, by the service itself; the date is
#: only far enough for any estate's time.
COPY_EXPIRY = "2199-12-31T00:00:00Z"

#: Copies inside one service are complete at once or after few looks.
MOST_LOOKS = 10_000

#: What Azurite calls otherwise than Azure: a wrong key, pages outside of the blob.
SAME_ERRORS = {"AuthorizationFailure": "AuthenticationFailed", "Requested Range Not Satisfiable": "InvalidPageRange"}


class AzureBlobs:
    """Blobs and queues of one account, as seen from `host`. Endpoints as Azure writes them: `https://cache.blob.drillbed/`.

    `transport` may be shared by several clients of one host. The libraries make no retries of their own: what cannot be reached
    is an `OSError` at once, and the caller's own repetition on the estate's clock decides.
    """

    def __init__(
        self,
        host: Host,
        account: str,
        key: str,
        blob_endpoint: str,
        queue_endpoint: str,
        *,
        transport: HostTransport | None = None,
    ):
        self.account = account
        self._key = key
        transport = transport or HostTransport(host)
        credential = {"account_name": account, "account_key": key}
        self._blobs: Any = BlobServiceClient(
            blob_endpoint.rstrip("/"), credential=credential, transport=transport, retry_total=0, max_single_put_size=MOST_PUT
        )
        self._queues: Any = QueueServiceClient(
            queue_endpoint.rstrip("/"), credential=credential, transport=transport, retry_total=0
        )

    # blobs -----------------------------------------------------------------------------------------------------------

    def create_container(self, container: str) -> None:
        with _errors():
            self._blobs.create_container(container)

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
        conditions: dict[str, Any] = {"lease": lease} if lease else {}
        if if_match is not None:
            conditions |= {"etag": if_match, "match_condition": MatchConditions.IfNotModified}
        with _errors():
            return str(self._blob(container, name).upload_blob(data, overwrite=not if_absent, **conditions)["etag"])

    def get_blob(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, snapshot: str | None = None
    ) -> bytes:
        where = {"offset": offset, "length": length} if offset or length is not None else {}
        with _errors():
            return bytes(self._blob(container, name, snapshot).download_blob(**where).readall())

    def properties(self, container: str, name: str, *, snapshot: str | None = None) -> BlobProperties:
        with _errors():
            found = self._blob(container, name, snapshot).get_blob_properties()
        return BlobProperties(int(found.size), str(found.etag), dict(found.metadata or {}))

    def list_blobs(self, container: str, prefix: str = "", *, snapshots: bool = False) -> list[BlobEntry]:
        include = ["snapshots"] if snapshots else []
        with _errors():
            found = list(self._blobs.get_container_client(container).list_blobs(name_starts_with=prefix or None, include=include))
        entries = [BlobEntry(blob.name, int(blob.size), blob.snapshot or None) for blob in found]
        return sorted(entries, key=lambda entry: (entry.name, entry.snapshot is None, entry.snapshot or ""))

    def delete_blob(self, container: str, name: str, *, snapshot: str | None = None, with_snapshots: bool = False) -> None:
        with _errors():
            self._blob(container, name, snapshot).delete_blob(delete_snapshots="include" if with_snapshots else None)

    def snapshot_blob(self, container: str, name: str) -> str:
        with _errors():
            return str(self._blob(container, name).create_snapshot()["snapshot"])

    def copy_blob(
        self, source: str, name: str, snapshot: str | None, target: BlobStore, target_container: str, target_name: str
    ) -> None:
        if not isinstance(target, AzureBlobs):
            raise storage_error("CannotVerifyCopySource")
        url = self._blob(source, name, snapshot).url
        permission = BlobSasPermissions(read=True)
        right = generate_blob_sas(
            self.account, source, name, snapshot=snapshot, account_key=self._key, permission=permission, expiry=COPY_EXPIRY
        )
        with _errors():
            copy = target._blob(target_container, target_name)
            status = copy.start_copy_from_url(f"{url}{'&' if '?' in url else '?'}{right}")["copy_status"]
            for _ in range(MOST_LOOKS):
                if status != "pending":
                    break
                status = copy.get_blob_properties().copy.status
        if status != "success":
            raise HttpResponseError(message=f"the copy to {target_container}/{target_name} ended as {status}")

    # pages -----------------------------------------------------------------------------------------------------------

    def create_page_blob(self, container: str, name: str, size: int) -> None:
        with _errors():
            self._blob(container, name).create_page_blob(size)

    def put_pages(self, container: str, name: str, offset: int, data: bytes, *, fence: int | None = None) -> None:
        with _errors():
            self._blob(container, name).upload_page(data, offset, len(data), if_sequence_number_eq=fence)

    def clear_pages(self, container: str, name: str, offset: int, length: int, *, fence: int | None = None) -> None:
        with _errors():
            self._blob(container, name).clear_page(offset, length, if_sequence_number_eq=fence)

    def raise_fence(self, container: str, name: str, number: int) -> None:
        with _errors():
            self._blob(container, name).set_sequence_number(SequenceNumberAction.MAX, str(number))

    def page_ranges(self, container: str, name: str, *, snapshot: str | None = None) -> list[tuple[int, int]]:
        with _errors():
            found = list(self._blob(container, name, snapshot).list_page_ranges())
        return _joined([(int(part.start), int(part.end) + 1 - int(part.start)) for part in found if not part.cleared])

    # leases ----------------------------------------------------------------------------------------------------------

    def acquire_lease(self, container: str, name: str, seconds: int) -> str:
        lease: Any = BlobLeaseClient(self._blob(container, name))
        with _errors():
            lease.acquire(lease_duration=seconds)
        return str(lease.id)

    def renew_lease(self, container: str, name: str, lease: str) -> None:
        with _errors():
            BlobLeaseClient(self._blob(container, name), lease_id=lease).renew()

    def release_lease(self, container: str, name: str, lease: str) -> None:
        with _errors():
            BlobLeaseClient(self._blob(container, name), lease_id=lease).release()

    # queues ----------------------------------------------------------------------------------------------------------

    def create_queue(self, queue: str) -> None:
        with _errors(), suppress(ResourceExistsError):  # the service calls it a success, the library an error
            self._queues.create_queue(queue)

    def send(self, queue: str, text: str) -> None:
        with _errors():
            self._queues.get_queue_client(queue).send_message(text)

    def receive(self, queue: str, *, visibility: int, most: int = 32) -> list[QueueMessage]:
        with _errors():
            pages = self._queues.get_queue_client(queue).receive_messages(messages_per_page=most, visibility_timeout=visibility)
            messages = list(next(pages.by_page(), ()))
        return [QueueMessage(found.id, found.pop_receipt, found.content, int(found.dequeue_count)) for found in messages]

    def delete_message(self, queue: str, message: QueueMessage) -> None:
        with _errors():
            self._queues.get_queue_client(queue).delete_message(message.id, message.receipt)

    def _blob(self, container: str, name: str, snapshot: str | None = None) -> Any:
        return self._blobs.get_blob_client(container, name, snapshot=snapshot)


@contextmanager
def _errors() -> Iterator[None]:
    """Errors as the contract has them: `error_code` is a plain string, and no answer is an `OSError`."""
    try:
        yield
    except HttpResponseError as error:
        code = getattr(error, "error_code", None)
        plain = str(getattr(code, "value", code or ""))
        if plain in SAME_ERRORS:
            raise storage_error(SAME_ERRORS[plain]) from None
        error.error_code = plain
        raise
    except AzureError as error:
        raise ConnectionError(f"the storage service gave no answer: {error.message}") from error


def _joined(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges in order, neighbours as one."""
    found: list[tuple[int, int]] = []
    for offset, length in sorted(ranges):
        if found and found[-1][0] + found[-1][1] == offset:
            found[-1] = (found[-1][0], found[-1][1] + length)
        else:
            found.append((offset, length))
    return found
