"""Containers, providers and protectable items of a fabric."""

from emulators.azure.arm import Answer, Call, operation
from emulators.azure.site_recovery import appliances
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Fabric
from emulators.azure.site_recovery.refusals import missing
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
    """replicationRecoveryServicesProviders:

    the configuration server as a service provider. `refreshProvider` discovers at once (DIS-002).
    """

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", VAULT + "/replicationRecoveryServicesProviders")
    def list_all(self, call: Call) -> Answer:
        return Answer(200, listing([self.json(fabric) for fabric in self.service.vault(call).fabrics.values()]))

    @operation("GET", _PROVIDERS)
    def list(self, call: Call) -> Answer:
        return Answer(200, listing([self.json(self.service.fabric(call))]))

    @operation("GET", _PROVIDERS + "/{providerName}")
    def get(self, call: Call) -> Answer:
        return Answer(200, self.json(self._need(call)))

    @operation("POST", _PROVIDERS + "/{providerName}/refreshProvider")
    def refresh(self, call: Call) -> Answer:
        service, fabric = self.service, self._need(call)

        def work(job: Job) -> Work:
            with job.task(0):
                server = service.need_server(fabric)
            with job.task(1):
                yield from service.ask(server, "refresh", {}, job=job)

        return service.start(
            call, service.vault(call), "RefreshFabricLayout", (fabric.component, fabric.friendly), work,
            resource=fabric.provider_id, result=lambda: Answer(200, self.json(fabric)),
        )  # fmt: skip

    def _need(self, call: Call) -> Fabric:
        fabric = self.service.fabric(call)
        if not same(call["providerName"], fabric.provider):
            raise missing(call["providerName"])
        return fabric

    def json(self, fabric: Fabric) -> Json:
        server = self.service.server(fabric)
        return {
            "id": fabric.provider_id,
            "name": fabric.provider,
            "type": TYPE + "replicationFabrics/replicationRecoveryServicesProviders",
            "properties": {
                "fabricType": fabric.profile.fabric_type,
                "friendlyName": fabric.friendly,
                "providerVersion": server.version,
                "serverVersion": "0.0",
                "providerVersionState": "Latest",
                "providerVersionExpiryDate": NEVER_EXPIRES,
                "fabricFriendlyName": fabric.friendly,
                "lastHeartBeat": whole_seconds(server.seen),
                "connectionStatus": "Connected" if self.service.connected(server) else "NotConnected",
                "protectedItemCount": len(fabric.items),
                "allowedScenarios": ["Refresh"],
                "healthErrorDetails": [],
                "draIdentifier": appliances.appliance_id(self.service, fabric)
                if fabric.profile is MODERNIZED
                else fabric.internal,
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
        wanted = call.query.get("$filter", "").lower()
        for state in ("unprotected", "protected"):
            if f"'{state}'" in wanted:
                values = [value for value in values if value["properties"]["protectionStatus"].lower() == state]
        return Answer(200, listing(values))

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
