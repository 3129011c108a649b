"""Spellings of the Site Recovery wire:

ids, times that mean "never", the constants of the Azure side (asr-wire sections 3 and 14).
"""

import uuid
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

#: Path template of a vault; every operation of Site Recovery is below it.
VAULT = (
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.RecoveryServices/vaults/{vaultName}"
)
FABRIC = VAULT + "/replicationFabrics/{fabricName}"
CONTAINER = FABRIC + "/replicationProtectionContainers/{containerName}"
ITEM = CONTAINER + "/replicationProtectedItems/{itemName}"

NEVER_RAN = "0001-01-01T00:00:00"
NEVER_STARTED = "1753-01-01T01:01:01Z"
NEVER_EXPIRES = "9999-12-31T23:59:59.9999999"

AZURE = "Microsoft Azure"
AZURE_FABRIC = "d49858f157601230a6ac5862fbbc6e63bf38d23ecd96cf953767945d457fe9d5"
AZURE_CONTAINER = "d38048d4-b460-4791-8ece-108395ee8478"
AZURE_VMM = "21a9403c-6ec1-44f2-b744-b4e50b792387"

FORWARD, REVERSE = "InMageAzureV2", "InMage"
RCM, RCM_FAILBACK = "InMageRcm", "InMageRcmFailback"

TYPE = "Microsoft.RecoveryServices/vaults/"
ITEM_TYPE = TYPE + "replicationFabrics/replicationProtectionContainers/replicationProtectedItems"


def whole_seconds(when: float) -> str:
    """`2018-06-04T08:00:00Z`: how job end times and heartbeats are written."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")[: -len("+00:00")] + "Z"


def parse_time(text: str) -> float:
    """Epoch seconds of an ISO 8601 time; UTC when it says nothing. Raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def stable_guid(*parts: str) -> str:
    """The same guid for the same names (policy and entity ids of the service are of this kind)."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(parts).lower()))


def same(one: str | None, other: str | None) -> bool:
    """Whether two ids or names are the same to Resource Manager, which ignores case."""
    return (one or "").strip("/").lower() == (other or "").strip("/").lower()


def last_segment(resource_id: str | None) -> str:
    return (resource_id or "").rstrip("/").rsplit("/", 1)[-1]


def truth(value: Any) -> bool:
    """Clients write booleans as `true`, `"true"` or `"True"`."""
    return value is True or str(value).lower() == "true"


def listing(values: list[Json]) -> Json:
    return {"value": values, "nextLink": None}
