"""`/nfc/LEASE/FILE`: disks and files of machines on their way, under a lease whose id is the client's ticket."""

from collections.abc import Iterable
from typing import Any

from emulators.vcenter.faults import Fault, not_found
from emulators.vcenter.http_body import Upload, plain, refusal
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.nfc_transfer import receive, sender, take
from emulators.vcenter.objects.nfc_lease import HttpNfcLease
from emulators.vcenter.records import Ref

VMDK = "application/x-vnd.vmware-streamVmdk"


def nfc(inventory: Inventory, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve one request below `/nfc`."""
    moid, _, name = environ["PATH_INFO"].removeprefix("/nfc/").partition("/")
    method = environ["REQUEST_METHOD"]
    try:
        with inventory.lock:
            lease = inventory.find(moid)
            if not isinstance(lease, HttpNfcLease):
                raise not_found(Ref("HttpNfcLease", moid))
            if method in ("GET", "HEAD"):
                _, body = sender(inventory, lease, name)
                start_response("200 OK", [("Content-Type", VMDK)])
                return [] if method == "HEAD" else body
            if method not in ("PUT", "POST"):
                return plain(start_response, "405 Method Not Allowed", "GET, HEAD, PUT and POST are served here.\n")
            if lease.undo is None:
                raise Fault("InvalidState", "This lease gives files, it takes none.")
            one = take(inventory, lease, name)
            one.busy = True
        upload = Upload(environ)
        receive(inventory, lease, one, upload.read, lambda: upload.whole)
    except Fault as fault:
        return refusal(start_response, fault)
    return plain(start_response, "201 Created" if method == "PUT" else "200 OK", "")
