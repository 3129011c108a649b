"""Physical servers: found by address, asked what they are (PHY-001). No vCenter knows them."""

import json

from reference_impl.configuration_server.fields import number, rows
from reference_impl.configuration_server.installation import DOORS, installed
from reference_impl.configuration_server.service import Service
from reference_impl.configuration_server.site import Document, RunAs, Site, Work, WorkRefused
from reference_impl.outside import Process
from reference_impl.wire import JSON_TYPE, parse


def discover_physical(site: Site, service: Service, item: Work) -> Process:
    """Ask the server at an address, with every account there is, and add it to the inventory.

    `WorkRefused`: `push-install-failed` when it cannot be reached, `credentials-refused` when it knows none of the accounts.
    """
    yield 0.0
    os_type = str(item.need("osType")).upper()
    said = _ask(site, item.need("address"), os_type)
    machine = _machine(site, item.need("name"), os_type, said)
    with site.lock:
        site.documents.put("inventory", machine["machineId"], machine)
        known = [one for one in site.documents.all("inventory").values() if one["vCenterId"] is None]
    shown = [{name: value for name, value in one.items() if name not in ("vCenterId", "dataStores")} for one in known]
    while not service.inventory({"id": None, "version": ""}, shown):
        yield 10.0
    return {"machineId": machine["machineId"]}


def _ask(site: Site, address: str, os_type: str) -> Document:
    port, refused, unreachable = DOORS.get(os_type, DOORS["LINUX"])
    for account in site.accounts.values():
        try:
            reply = _describe(site, address, port, account)
        except OSError as error:
            raise WorkRefused("push-install-failed", f"cannot reach {address} on port {port}: {error}", unreachable) from error
        if reply is not None:
            return reply
    raise WorkRefused("credentials-refused", f"{address} takes none of the configuration server's accounts", refused)


def _describe(site: Site, address: str, port: int, account: RunAs) -> Document | None:
    body = json.dumps({"user": account.user, "password": account.password}).encode()
    url = f"https://{address}:{port}/describe"
    reply = site.host.request("POST", url, headers={"Content-Type": JSON_TYPE}, body=body)
    return parse(reply) if reply.status == 200 else None


def _machine(site: Site, name: str, os_type: str, said: Document) -> Document:
    """The server as an entry of the inventory. `WorkRefused` when what it says of itself is not whole."""
    machine_id, disks = str(said.get("machineId") or "").lower(), rows(said, "disks")
    if not machine_id or not all(disk.get("diskId") and number(disk, "sizeBytes") for disk in disks):
        raise WorkRefused("malformed", f"{name} does not say what it is")
    addresses = [str(address) for address in said.get("addresses") or []]
    return {
        "vCenterId": None,
        "machineId": machine_id,
        "infrastructureId": None,
        "name": name,
        "poweredOn": True,
        "osType": os_type,
        "osName": os_type.capitalize(),
        "ipAddresses": addresses,
        "hostName": str(said.get("hostName") or name),
        "cpuCount": number(said, "cpuCount"),
        "memoryMB": number(said, "memoryMB"),
        "firmware": str(said.get("firmware") or "BIOS"),
        "nics": [{"nicId": "0", "macAddress": "", "ipAddress": address, "networkName": None} for address in addresses[:1]],
        "hasSnapshots": False,
        "agentInstalled": installed(site, machine_id),
        "disks": [
            {
                "diskId": str(disk["diskId"]).lower(),
                "name": f"\\\\.\\PHYSICALDRIVE{at}" if os_type == "WINDOWS" else f"/dev/sd{chr(97 + at)}",
                "unit": number(disk, "unit"),
                "sizeBytes": number(disk, "sizeBytes"),
                "isOsDisk": at == 0,
                "datastore": None,
            }
            for at, disk in enumerate(sorted(disks, key=lambda disk: number(disk, "unit")))
        ],
        "dataStores": [],
    }
