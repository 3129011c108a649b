"""Work on vCenters: add, remove, refresh."""

from collections.abc import Sequence

from reference_impl.configuration_server.discovery import discover, discover_all
from reference_impl.configuration_server.service import Service
from reference_impl.configuration_server.site import LOOK_SECONDS, Document, Site, Work, WorkRefused
from reference_impl.outside import Process
from reference_impl.vsphere import VSphereError

#: Rest before a vCenter that could not be read is tried again.
RETRY_SECONDS = 30.0


def keep(site: Site, service: Service, known: Sequence[Document]) -> Process:
    """Discover the vCenters that were given at set-up, each again and again until it was read and the service has heard of it."""
    for vcenter in known:
        while not _try(site, service, {"instanceUuid": "", "version": "", "lastDiscovery": None, **vcenter}):
            yield RETRY_SECONDS
    yield 0.0


def _try(site: Site, service: Service, vcenter: Document) -> bool:
    try:
        return discover(site, service, vcenter)
    except (VSphereError, WorkRefused):
        return False


def add_vcenter(site: Site, service: Service, item: Work) -> Process:
    """Log in, discover, send the first inventory; only then the vCenter is added (DIS-001)."""
    vcenter = {
        "id": item.need("vCenterId"),
        "friendlyName": item.need("friendlyName"),
        "address": item.need("address"),
        "port": item.need("port", int) if item.input.get("port") else 443,
        "runAsAccountId": item.need("runAsAccountId"),
        "instanceUuid": "",
        "version": "",
        "lastDiscovery": None,
    }
    while not discover(site, service, vcenter):
        yield LOOK_SECONDS
    with site.lock:
        added = site.documents.get("vcenter", vcenter["id"]) or vcenter
    return {"infrastructureId": added["instanceUuid"], "version": added["version"]}


def remove_vcenter(site: Site, service: Service, item: Work) -> Process:
    """Forget a vCenter and what was discovered in it."""
    yield 0.0
    name = item.need("vCenterId")
    with site.lock:
        site.documents.delete("vcenter", name)
        site.connected.pop(name, None)
        for machine_id, machine in site.documents.all("inventory").items():
            if machine["vCenterId"] == name:
                site.documents.delete("inventory", machine_id)
    return {}


def refresh(site: Site, service: Service, item: Work) -> Process:
    """Discover at once and tell the service all there is (DIS-002)."""
    yield 0.0
    discover_all(site, service)
    service.heartbeat()
    return {}
