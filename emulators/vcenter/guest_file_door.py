"""`/guestFile`: the bytes of a file on its way into a guest or out of it. The address holds a token that is good once."""

import hmac
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.http_body import PIECE, Upload, plain, refusal
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.objects.guest_operations import GuestSystem, Transfer, system_of
from emulators.vcenter.objects.virtual_machine import VirtualMachine


def guest_file(inventory: Inventory, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve one request of `/guestFile`."""
    query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
    method = environ["REQUEST_METHOD"]
    try:
        with inventory.lock:
            system, transfer = _take(inventory, query.get("id", ""), query.get("token", ""), incoming=method == "PUT")
            if method == "GET":
                data = system.files.get(transfer.path, "file").data
        if method == "GET":
            start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(data)))])
            return [data]
        upload = Upload(environ)
        data = _receive(upload, transfer)
        with inventory.lock:
            now = inventory.clock.now()
            system.files.write(transfer.user, transfer.path, data, now, overwrite=transfer.overwrite)
            system.files.change(transfer.user, transfer.path, **transfer.attributes)
    except Fault as fault:
        return refusal(start_response, fault)
    return plain(start_response, "200 OK", "")


def _take(inventory: Inventory, moid: str, token: str, *, incoming: bool) -> tuple[GuestSystem, Transfer]:
    """The transfer of a token, which is used up by this. Raises `Fault("NotAuthenticated")`."""
    vm = inventory.find(moid)
    if isinstance(vm, VirtualMachine) and vm.power == "poweredOn":
        system = system_of(inventory, vm)
        known = next((one for one in system.transfers if hmac.compare_digest(one.encode(), token.encode())), None)
        found = system.transfers.get(known) if known is not None else None
        if found is not None and found.incoming == incoming and found.until >= inventory.clock.now():
            del system.transfers[known or ""]
            return system, found
    raise Fault("NotAuthenticated", "There is no such transfer, or it has been made.")


def _receive(upload: Upload, transfer: Transfer) -> bytes:
    parts = []
    while data := upload.read(PIECE):
        parts.append(data)
        if upload.count > transfer.size:
            break
    if upload.count != transfer.size or not upload.whole:
        raise invalid_argument("body", f"{transfer.size} bytes were announced, others came: nothing was kept.")
    return b"".join(parts)
