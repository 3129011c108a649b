"""Containers, providers and protectable items of a fabric."""

from emulators.azure.arm import Answer, Call, operation, read
from emulators.azure.site_recovery import appliances
from emulators.azure.site_recovery.fabrics import Fabrics
from emulators.azure.site_recovery.filters import chosen, page
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Component, Fabric
from emulators.azure.site_recovery.refusals import missing, refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import (
    CONTAINER,
    FABRIC,
    FORWARD,
    NEVER_EXPIRES,
    REVERSE,
    TYPE,
    VAULT,
    Json,
    listing,
    same,
    whole_seconds,
)

_PROVIDERS = FABRIC + "/replicationRecoveryServicesProviders"
_PROTECTABLE = CONTAINER + "/replicationProtectableItems"
#: What `$filter` may name in the list of protectable items.
_PROTECTABLE_FIELDS = {
    "state": lambda value: value["properties"]["protectionStatus"],
    "friendlyname": lambda value: value["properties"]["friendlyName"],
}


class Containers:
    """replicationProtectionContainers: one for each configuration server."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", VAULT + "/replicationProtectionContainers")
    def list_all(self, call: Call) -> Answer:
        return Answer(200, listing([self.json(fabric) for fabric in self.service.vault(call).fabrics.values()]))

    @operation("GET", FABRIC + "/replicationProtectionContainers")
    def list(self, call: Call) -> Answer:
        return Answer(200, listing([self.json(self.service.fabric(call))]))

    @operation("GET", CONTAINER)
    def get(self, call: Call) -> Answer:
        return Answer(200, self.json(self.service.container(call)))

    @operation("POST", CONTAINER + "/remove")
    def remove(self, call: Call) -> Answer:
        """The container of a server is not removed alone: it goes with its fabric (DSB-006)."""
        self.service.container(call)
        text = "The container belongs to a registered server; remove its fabric instead."
        raise refuse("still-in-use", text, activity=call.correlation_id)

    @operation("POST", CONTAINER + "/discoverProtectableItem")
    def discover(self, call: Call) -> Answer:
        """PHY-001: a physical server by address; the configuration server has to reach it."""
        service, fabric = self.service, self.service.container(call)
        given = read(call.content(), "properties", dict, required=True)
        os_type = str(read(given, "osType", str, required=True)).upper()
        if os_type not in ("WINDOWS", "LINUX"):
            raise refuse("malformed", f"osType is Windows or Linux, not '{os_type}'.", activity=call.correlation_id)
        if fabric.profile is MODERNIZED:
            text = "An appliance discovers its physical servers itself; they show in Microsoft.OffAzure."
            raise refuse("scenario-unsupported", text, activity=call.correlation_id)
        name, address = (str(read(given, field, str, required=True)) for field in ("friendlyName", "ipAddress"))
        wish = {"name": name, "address": address, "osType": os_type}

        def work(job: Job) -> Work:
            with job.task(0):
                yield from service.ask(service.need_server(fabric), "discover-physical", wish, job=job)

        return service.start(
            call, service.vault(call), "DiscoverProtectableItem", (address, name), work,
            resource=fabric.container_id, result=lambda: Answer(200, self.json(fabric)),
        )  # fmt: skip

    def json(self, fabric: Fabric) -> Json:
        return {
            "id": fabric.container_id,
            "name": fabric.container,
            "type": TYPE + "replicationFabrics/replicationProtectionContainers",
            "properties": {
                "fabricFriendlyName": fabric.friendly,
                "friendlyName": fabric.friendly,
                "fabricType": fabric.profile.fabric_type,
                "protectedItemCount": len(fabric.items),
                "pairingStatus": "Paired" if fabric.mappings else "NotPaired",
                "role": "Primary",
                "fabricSpecificDetails": None,
            },
        }


class Providers:
    """replicationRecoveryServicesProviders: each server as a service provider. `refreshProvider` discovers at once (DIS-002)."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", VAULT + "/replicationRecoveryServicesProviders")
    def list_all(self, call: Call) -> Answer:
        fabrics = self.service.vault(call).fabrics.values()
        return Answer(200, listing([self.json(fabric, one) for fabric in fabrics for one in self.service.servers(fabric)]))

    @operation("GET", _PROVIDERS)
    def list(self, call: Call) -> Answer:
        fabric = self.service.fabric(call)
        return Answer(200, listing([self.json(fabric, one) for one in self.service.servers(fabric)]))

    @operation("GET", _PROVIDERS + "/{providerName}")
    def get(self, call: Call) -> Answer:
        return Answer(200, self.json(*self._need(call)))

    @operation("POST", _PROVIDERS + "/{providerName}/refreshProvider")
    def refresh(self, call: Call) -> Answer:
        service, (fabric, server) = self.service, self._need(call)

        def work(job: Job) -> Work:
            with job.task(0):
                service.need_connected(server)
            with job.task(1):
                yield from service.ask(server, "refresh", {}, job=job)

        return service.start(
            call, service.vault(call), "RefreshFabricLayout", (server.id, server.name), work,
            resource=self._id(fabric, server), result=lambda: Answer(200, self.json(fabric, server)),
        )  # fmt: skip

    @operation("PUT", _PROVIDERS + "/{providerName}")
    def create(self, call: Call) -> Answer:
        """Only a registration makes one (TOP-008)."""
        self.service.fabric(call)
        call.content()
        raise refuse("made-by-registration", activity=call.correlation_id)

    @operation("POST", _PROVIDERS + "/{providerName}/remove")
    @operation("DELETE", _PROVIDERS + "/{providerName}")
    def remove(self, call: Call) -> Answer:
        """Unregister a server that protects nothing; the last one takes its fabric along (DSB-006)."""
        service, (fabric, server) = self.service, self._need(call)
        if len(service.servers(fabric)) == 1:
            removed: Answer = Fabrics(service).remove(call)
            return removed
        if any(service.server_of(item) is server for item in fabric.items.values()):
            raise refuse("still-in-use", "Move or disable the items of the appliance first.", activity=call.correlation_id)

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(2.0)
                first, *fabric.further = [one.id for one in service.servers(fabric) if one is not server]
                fabric.component = first
                service.components.pop(server.id, None)
                service.observe("appliance-removed", server.id, name=server.name)

        target = (server.id, server.name)
        return service.start(call, service.vault(call), "RemoveFabric", target, work, resource=self._id(fabric, server))

    def _need(self, call: Call) -> tuple[Fabric, Component]:
        fabric = self.service.fabric(call)
        for server in self.service.servers(fabric):
            if same(call["providerName"], fabric.provider_of(server)):
                return fabric, server
        raise missing(call["providerName"])

    def _id(self, fabric: Fabric, server: Component) -> str:
        return f"{fabric.id}/replicationRecoveryServicesProviders/{fabric.provider_of(server)}"

    def json(self, fabric: Fabric, server: Component) -> Json:
        modernized = fabric.profile is MODERNIZED
        return {
            "id": self._id(fabric, server),
            "name": fabric.provider_of(server),
            "type": TYPE + "replicationFabrics/replicationRecoveryServicesProviders",
            "properties": {
                "fabricType": fabric.profile.fabric_type,
                "friendlyName": server.name if modernized else fabric.friendly,
                "providerVersion": server.version,
                "serverVersion": "0.0",
                "providerVersionState": "Latest",
                "providerVersionExpiryDate": NEVER_EXPIRES,
                "fabricFriendlyName": fabric.friendly,
                "lastHeartBeat": whole_seconds(server.seen),
                "connectionStatus": "Connected" if self.service.connected(server) else "NotConnected",
                "protectedItemCount": sum(self.service.server_of(item) is server for item in fabric.items.values()),
                "allowedScenarios": ["Refresh"],
                "healthErrorDetails": [],
                "draIdentifier": appliances.appliance_id(server, fabric) if modernized else fabric.internal,
                "machineId": server.machine_id,
                "machineName": server.name,
                "biosId": server.machine_id,
                "authenticationIdentityDetails": None,
                "resourceAccessIdentityDetails": None,
                "dataPlaneAuthenticationIdentityDetails": None,
                "providerVersionDetails": {"version": server.version, "expiryDate": NEVER_EXPIRES, "status": "Supported"},
            },
        }


class ProtectableItems:
    """replicationProtectableItems: what discovery found (DIS-001 to DIS-005). Their name is the machine's BIOS id."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", _PROTECTABLE)
    def list(self, call: Call) -> Answer:
        fabric = self.service.container(call)
        machines = fabric.machines.values() if fabric.profile is not MODERNIZED else ()  # they are in Microsoft.OffAzure
        values = [self.json(fabric, machine, thin=True) for machine in machines]
        return Answer(200, page(call, chosen(call, values, _PROTECTABLE_FIELDS)))

    @operation("GET", _PROTECTABLE + "/{protectableItemName}")
    def get(self, call: Call) -> Answer:
        fabric = self.service.container(call)
        machine = fabric.machines.get(call["protectableItemName"].lower())
        if machine is None:
            raise missing(call["protectableItemName"])
        return Answer(200, self.json(fabric, machine))

    def json(self, fabric: Fabric, machine: Json, *, thin: bool = False) -> Json:
        item = next((item for item in fabric.items.values() if item.machine_id == machine["machineId"]), None)
        addresses = machine.get("ipAddresses") or []
        disks = [] if thin else [disk_json(disk) for disk in machine.get("disks", [])]
        return {
            "id": protectable_id(fabric, machine["machineId"]),
            "name": machine["machineId"],
            "type": TYPE + "replicationFabrics/replicationProtectionContainers/replicationProtectableItems",
            "properties": {
                "friendlyName": machine.get("name"),
                "protectionStatus": "Unprotected" if item is None else "Protected",
                "replicationProtectedItemId": None if item is None else item.id,
                "recoveryServicesProviderId": fabric.provider_id,
                "protectionReadinessErrors": readiness(machine),
                "supportedReplicationProviders": [REVERSE, FORWARD],
                "customDetails": {
                    "instanceType": "VMwareVirtualMachine",
                    "agentGeneratedId": machine["machineId"] if machine.get("agentInstalled") else None,
                    "agentInstalled": "Installed" if machine.get("agentInstalled") else "NotInstalled",
                    "osType": machine.get("osType"),
                    "agentVersion": machine.get("agentVersion"),
                    "ipAddress": addresses[0] if addresses else None,
                    "poweredOn": "On" if machine.get("poweredOn") else "Off",
                    "vCenterInfrastructureId": _vcenter(fabric, machine["vCenterId"]),
                    "discoveryType": "Physical" if machine["vCenterId"] is None else "vCenter",
                    "diskDetails": disks,
                    "validationErrors": [],
                },
            },
        }


def protectable_id(fabric: Fabric, machine_id: str) -> str:
    return f"{fabric.container_id}/replicationProtectableItems/{machine_id}"


def readiness(machine: Json) -> list[str]:
    """Why a machine cannot be selected (DIS-005): ids of errors as the wire has them."""
    errors = []
    nics = machine.get("nics") or []
    if not (machine.get("ipAddresses") or any(nic.get("ipAddress") for nic in nics)) or any(
        not nic.get("ipAddress") for nic in nics
    ):
        errors.append("NoIpAddress")
    if not machine.get("disks"):
        errors.append("NoDisks")
    return errors


def disk_json(disk: Json) -> Json:
    return {
        "diskId": disk.get("diskId"),
        "diskName": disk.get("name"),
        "diskSizeInMB": str(int(disk.get("sizeBytes") or 0) // (1024 * 1024)),
        "diskType": "OperatingSystem" if disk.get("isOsDisk") else "Data",
        "diskConfiguration": "Basic",
        "volumeList": [],
    }


def _vcenter(fabric: Fabric, internal: str | None) -> str | None:
    return next((v.infrastructure or v.internal for v in fabric.vcenters.values() if v.internal == internal), internal)
