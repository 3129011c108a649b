"""Small readings of a storage account that several components need."""

import json
from typing import Any

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError

from reference_impl.outside import BlobStore

#: Everything that a call to a storage account may end in when it does not work: refused, or not reached.
STORE_ERRORS = (AzureError, OSError)

LOGS, REPLICAS = "asr-logs", "asr-replicas"


def ensure_container(store: BlobStore, container: str) -> None:
    try:
        store.create_container(container)
    except ResourceExistsError:
        return


def get_if_there(store: BlobStore, container: str, name: str) -> bytes | None:
    """A whole blob, or None when there is none of that name."""
    try:
        return store.get_blob(container, name)
    except ResourceNotFoundError:
        return None


def get_json(store: BlobStore, container: str, name: str) -> dict[str, Any] | None:
    """A JSON object; None when there is none or it is something else."""
    raw = get_if_there(store, container, name)
    try:
        said = json.loads(raw) if raw is not None else None
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def delete_if_there(
    store: BlobStore, container: str, name: str, *, snapshot: str | None = None, with_snapshots: bool = False
) -> None:
    try:
        store.delete_blob(container, name, snapshot=snapshot, with_snapshots=with_snapshots)
    except ResourceNotFoundError:
        return


def code_of(error: BaseException) -> str:
    """Azure's code of an error, or what kind of error it is."""
    code = getattr(error, "error_code", None) if isinstance(error, HttpResponseError) else None
    return str(getattr(code, "value", code) or type(error).__name__)


def log_name(machine_id: str, generation: int, first: int) -> str:
    return f"{machine_id}/{generation}/{first:020d}.hrl"


def state_name(machine_id: str, generation: int) -> str:
    return f"state/{machine_id}/{generation}.json"


def checksum_name(machine_id: str, disk_id: str, fence: int, number: int) -> str:
    """`fence` belongs to who publishes: a worker that comes late cannot write over what its successor published."""
    return f"checksums/{machine_id}/{disk_id}/{fence:020d}-{number:020d}"
