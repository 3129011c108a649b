"""What a vCenter holds, made into the inventory message: on adding, on refresh, and every 15 minutes (DIS-001, DIS-002)."""

from reference_impl.configuration_server.service import Service
from reference_impl.configuration_server.site import AGENT, Document, Site, WorkRefused
from reference_impl.outside import Process
from reference_impl.times import iso
from reference_impl.vsphere import DataStore, Machine, VSphereError, all_machines, data_stores


def discover(site: Site, service: Service, vcenter: Document) -> bool:
    """Read one vCenter, keep it, and send all it holds to the service; whether that arrived. Raises `VSphereError`."""
    with site.vcenter(vcenter) as session:
        found = _first_of_twins(site, all_machines(session))
        seen = {"instanceUuid": session.instance_uuid, "version": session.version, "lastDiscovery": iso(site.clock.now())}
        stores = data_stores(session)
    vcenter = vcenter | seen
    documents = [_document(site, vcenter["id"], machine, stores) for machine in found]
    with site.lock:
        site.documents.put("vcenter", vcenter["id"], vcenter)
        # RPR-016: a machine that failed over may be gone from the site, and comes back as a new one
        present = {document["machineId"] for document in documents} | {one["machineId"] for one in site.protections()}
        for machine_id, known in site.documents.all("inventory").items():
            if known["vCenterId"] == vcenter["id"] and machine_id not in present:
                site.documents.delete("inventory", machine_id)
        for document in documents:
            site.documents.put("inventory", document["machineId"], document)
    own = ("vCenterId", "dataStores")
    return service.inventory(vcenter, [{k: v for k, v in document.items() if k not in own} for document in documents])


def rounds(site: Site, service: Service) -> Process:
    """Never ends: discover every vCenter again and again. One that cannot be read is shown as not connected."""
    while True:
        yield site.rules.discovery_minutes * 60
        discover_all(site, service)


def discover_all(site: Site, service: Service) -> None:
    """Discover every vCenter that can be read."""
    with site.lock:
        vcenters = list(site.documents.all("vcenter").values())
    for vcenter in vcenters:
        try:
            discover(site, service, vcenter)
        except (VSphereError, WorkRefused):
            site.connected[vcenter["id"]] = False


def _first_of_twins(site: Site, machines: list[Machine]) -> list[Machine]:
    """DIS-003: of machines with one instance UUID only the first found is listed; one BIOS UUID is one machine to us."""
    kept: list[Machine] = []
    seen: set[str] = set()
    for machine in machines:
        names = {machine.machine_id} | ({machine.instance_id} if site.rules.first_of_twins_only else set())
        if not names & seen:
            kept.append(machine)
        seen |= names
    return kept


def _stores(machine: Machine, stores: dict[str, list[DataStore]]) -> list[Document]:
    """The datastores that a master target in this machine could write: none without tools (RPR-009), no NFS (RPR-017)."""
    usable = [store for store in stores.get(machine.host, []) if machine.tools_running and store.kind.lower() in ("vmfs", "vsan")]
    return [
        {
            "symbolicName": store.name,
            "uuid": store.store_id,
            "capacity": store.capacity,
            "freeSpace": store.free,
            "type": store.kind,
        }
        for store in usable
    ]


def _document(site: Site, vcenter_id: str, machine: Machine, stores: dict[str, list[DataStore]]) -> Document:
    agents = {agent["machineId"] for agent in site.components(AGENT)}
    return {
        "vCenterId": vcenter_id,
        "machineId": machine.machine_id,
        "infrastructureId": machine.moid,
        "name": machine.name,
        "poweredOn": machine.powered_on,
        "osType": machine.os_type,
        "osName": machine.os_name,
        "ipAddresses": list(machine.ip_addresses),
        "hostName": machine.host_name,
        "cpuCount": machine.cpu_count,
        "memoryMB": machine.memory_mb,
        "firmware": machine.firmware,
        "nics": [
            {"nicId": nic.nic_id, "macAddress": nic.mac, "ipAddress": nic.ip, "networkName": nic.network} for nic in machine.nics
        ],
        "hasSnapshots": machine.has_snapshots,
        "agentInstalled": machine.machine_id in agents,
        "disks": [
            {
                "diskId": disk.disk_id,
                "name": disk.name,
                "unit": disk.unit,
                "sizeBytes": disk.size,
                "isOsDisk": number == 0,
                "datastore": disk.datastore,
                "shared": disk.shared,
            }
            for number, disk in enumerate(machine.disks)
        ],
        "dataStores": _stores(machine, stores),
    }
