"""Shared access signatures, made with the account's own key: the storage service checks them as it checks any."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from emulators.azure.arm import Arm, Call, Json, Refusal, Resource, read
from emulators.azure.outside import BlobPlace
from emulators.azure.storage.kinds import ACCOUNT

_VERSION = "2022-11-02"


def blob_sas(arm: Arm, call: Call, place: BlobPlace, *, write: bool, seconds: int) -> str:
    """The URL of a blob with the right to read (and write) it for `seconds` of emulated time."""
    account = next((one for one in arm.store.of_type(ACCOUNT.type) if one.name.lower() == place.account.lower()), None)
    if account is None:
        raise Refusal(404, "ResourceNotFound", f"The storage account {place.account} of the disk does not exist any more.")
    right = generate_blob_sas(
        account.name,
        place.container,
        place.blob,
        account_key=account.hidden["keys"]["key1"],
        permission=BlobSasPermissions(read=True, write=write),
        expiry=datetime.fromtimestamp(arm.clock.now(), UTC) + timedelta(seconds=seconds),
    )
    reachable = arm.faces.of(call.base_url).endpoints(account.name)
    endpoint = {**account.properties["primaryEndpoints"], **reachable}["blob"].rstrip("/")
    return f"{endpoint}/{quote(place.container)}/{quote(place.blob)}?{right}"


def account_sas(account: Resource, body: Json) -> str:
    """The token of `ListAccountSas`. Raises `Refusal` 400 for what cannot be signed."""
    words = {
        "signedServices": "bqtf",
        "signedResourceTypes": "sco",
        "signedPermission": "rdwlacupxytfi",
    }
    for name, letters in words.items():
        text = read(body, name, str, required=True)
        if not text or not set(text.lower()) <= set(letters):
            raise _invalid(name, text)
    protocol, address = read(body, "signedProtocol", str, "https"), read(body, "signedIp", str, "")
    start, end = read(body, "signedStart", str, ""), _time("signedExpiry", read(body, "signedExpiry", str, required=True))
    start = _time("signedStart", start) if start else ""
    services, kinds, rights = (body[name].lower() for name in words)
    lines = [account.name, rights, services, kinds, start, end, address, protocol, _VERSION, ""]
    fields = {
        "sv": _VERSION, "ss": services, "srt": kinds, "sp": rights, "st": start, "se": end, "sip": address, "spr": protocol,
        "sig": _sign(account, read(body, "keyToSign", str, "key1"), "\n".join(lines) + "\n"),
    }  # fmt: skip
    return urlencode({name: value for name, value in fields.items() if value})


def service_sas(account: Resource, body: Json) -> str:
    """The token of `ListServiceSas`, for a blob or a container. Raises `Refusal` 400."""
    resource = read(body, "canonicalizedResource", str, required=True)
    kind = read(body, "signedResource", str, required=True).lower()
    parts = resource.strip("/").split("/", 2)
    if kind not in ("b", "c") or len(parts) < 2 or parts[0] != "blob" or parts[1] != account.name:
        raise _invalid("canonicalizedResource", resource)
    rights = read(body, "signedPermission", str, "")
    start = read(body, "signedStart", str, "")
    start, end = (
        _time("signedStart", start) if start else "",
        _time("signedExpiry", read(body, "signedExpiry", str, required=True)),
    )
    protocol, address = read(body, "signedProtocol", str, "https"), read(body, "signedIp", str, "")
    lines = [rights, start, end, f"/{resource.strip('/')}", "", address, protocol, _VERSION, kind, "", "", "", "", "", "", ""]
    fields = {
        "sv": _VERSION, "sr": kind, "sp": rights, "st": start, "se": end, "sip": address, "spr": protocol,
        "sig": _sign(account, read(body, "keyToSign", str, "key1"), "\n".join(lines)),
    }  # fmt: skip
    return urlencode({name: value for name, value in fields.items() if value})


def _sign(account: Resource, key: str, text: str) -> str:
    if key not in account.hidden["keys"]:
        raise _invalid("keyToSign", key)
    secret = base64.b64decode(account.hidden["keys"][key])
    return base64.b64encode(hmac.new(secret, text.encode(), hashlib.sha256).digest()).decode()


def _time(name: str, text: str) -> str:
    """A time as signatures have it, in whole seconds."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise _invalid(name, text) from None
    return f"{when.astimezone(UTC) if when.tzinfo else when:%Y-%m-%dT%H:%M:%SZ}"


def _invalid(name: str, value: str) -> Refusal:
    return Refusal(400, "InvalidValuesForRequestParameters", f"Values for request parameters are invalid: {name} '{value}'.")
