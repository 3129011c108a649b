"""Fabrics: what the registration of a configuration server made. They are read and removed here, never created (TOP-008)."""

from emulators.azure.arm import Answer, Call, operation
from emulators.azure.site_recovery import appliances, health, process_servers
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Component, Fabric
from emulators.azure.site_recovery.refusals import refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import FABRIC, NEVER_EXPIRES, TYPE, VAULT, Json, listing, whole_seconds

_AGENT = {"expiryDate": NEVER_EXPIRES, "status": "Supported"}
_GREEN = "Green"


class Fabrics:
    """replicationFabrics."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", VAULT + "/replicationFabrics")
    def list(self, call: Call) -> Answer:
        return Answer(200, listing([self.json(fabric, thin=True) for fabric in self.service.vault(call).fabrics.values()]))

    @operation("GET", FABRIC)
    def get(self, call: Call) -> Answer:
        return Answer(200, self.json(self.service.fabric(call)))

    @operation("POST", FABRIC + "/remove")
    @operation("DELETE", FABRIC)
    def remove(self, call: Call) -> Answer:
        """Unregister a configuration server that protects nothing (DSB-006, TOP-009)."""
        service, fabric = self.service, self.service.fabric(call)
        if fabric.items or fabric.mappings:
            raise refuse(
                "still-in-use", "Disable its protected items and dissociate its policies first.", activity=call.correlation_id
            )

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(2.0)
                vault = service.vault_at(fabric.vault)
                vault.fabrics.pop(fabric.name.lower(), None)
                for one in (fabric.component, *fabric.further):
                    service.components.pop(one, None)
                service.observe("fabric-removed", fabric.id)

        return service.start(
            call, service.vault(call), "RemoveFabric", (fabric.component, fabric.friendly), work, resource=fabric.id
        )

    def json(self, fabric: Fabric, *, thin: bool = False) -> Json:
        server, modernized = self.service.server(fabric), fabric.profile is MODERNIZED
        details = appliances.details(self.service, fabric, thin=thin) if modernized else self._details(fabric, server)
        return {
            "name": fabric.name,
            "type": TYPE + "replicationFabrics",
            "id": fabric.id,
            "properties": {
                "friendlyName": fabric.friendly,
                "encryptionDetails": {"kekState": "None", "kekCertThumbprint": None},
                "rolloverEncryptionDetails": {"kekState": "None", "kekCertThumbprint": None},
                "internalIdentifier": fabric.internal,
                "bcdrState": "Valid",
                "customDetails": details,
                "healthErrorDetails": health.fabric_errors(self.service, fabric, certificate_ends(self.service, fabric)),
                "health": health.fabric_health(self.service, fabric, certificate_ends(self.service, fabric)),
            },
        }

    def _details(self, fabric: Fabric, server: Component) -> Json:
        process_servers = server.heartbeat.get("processServers", [])
        masters = server.heartbeat.get("masterTargets", [])
        return {
            "instanceType": "VMware",
            "processServers": [process_server_json(self.service, entry) for entry in process_servers],
            "masterTargetServers": [master_target_json(entry) for entry in masters],
            "runAsAccounts": [
                {"accountId": str(account.get("accountId")), "accountName": account.get("accountName")}
                for account in server.run_as_accounts
            ],
            "replicationPairCount": str(sum(len(item.disks) for item in fabric.items.values())),
            "processServerCount": str(len(process_servers)),
            "agentCount": str(len(server.heartbeat.get("machines", []))),
            "protectedServers": str(len(fabric.items)),
            "systemLoad": "0",
            "systemLoadStatus": _GREEN,
            "cpuLoad": "0%",
            "cpuLoadStatus": _GREEN,
            "totalMemoryInBytes": 17179869184,
            "availableMemoryInBytes": 12884901888,
            "memoryUsageStatus": _GREEN,
            "totalSpaceInBytes": 644245094400,
            "availableSpaceInBytes": 590558003200,
            "spaceUsageStatus": _GREEN,
            "webLoad": "0",
            "webLoadStatus": _GREEN,
            "databaseServerLoad": "0",
            "databaseServerLoadStatus": _GREEN,
            "csServiceStatus": "Running" if self.service.connected(server) else "Unknown",
            "ipAddress": server.address,
            "agentVersion": server.version,
            "hostName": server.name,
            "lastHeartbeat": whole_seconds(server.seen),
            "versionStatus": "Supported",
            "sslCertExpiryDate": whole_seconds(certificate_ends(self.service, fabric)),
            "sslCertExpiryRemainingDays": int((certificate_ends(self.service, fabric) - self.service.now()) // 86400),
            "psTemplateVersion": None,
            "agentExpiryDate": NEVER_EXPIRES,
            "agentVersionDetails": {"version": server.version, **_AGENT},
        }


def certificate_ends(service: Service, fabric: Fabric) -> float:
    """When the certificate of the fabric's server expires (TOP-014)."""
    return (fabric.certified or fabric.registered) + service.rules.certificate_seconds


def process_server_json(service: Service, entry: Json) -> Json:
    """A process server as the configuration server reports it."""
    cached, pending = int(entry.get("cacheBytes") or 0), int(entry.get("uploadPendingBytes") or 0)
    version = entry.get("version") or "9.0.0.0"
    return {
        "friendlyName": entry.get("name"),
        "id": entry.get("id"),
        "ipAddress": entry.get("address"),
        "osType": "Windows",
        "agentVersion": version,
        "lastHeartbeat": entry.get("lastHeartbeat"),
        "versionStatus": "Supported",
        "mobilityServiceUpdates": [],
        "hostId": entry.get("id"),
        "machineCount": str(entry.get("machineCount") or 0),
        "replicationPairCount": "0",
        "systemLoad": "0",
        "systemLoadStatus": _GREEN,
        "cpuLoad": "0%",
        "cpuLoadStatus": _GREEN,
        "totalMemoryInBytes": 17179869184,
        "availableMemoryInBytes": 12884901888,
        "memoryUsageStatus": _GREEN,
        "totalSpaceInBytes": 644245094400,
        "availableSpaceInBytes": max(0, 644245094400 - cached),
        "spaceUsageStatus": _GREEN,
        "psServiceStatus": "Running",
        "sslCertExpiryDate": None,
        "sslCertExpiryRemainingDays": None,
        "osVersion": None,
        "healthErrors": [],
        "agentExpiryDate": NEVER_EXPIRES,
        "agentVersionDetails": {"version": version, **_AGENT},
        "health": _process_server_health(service, entry),
        "psStatsRefreshTime": entry.get("lastHeartbeat"),
        "throughputUploadPendingDataInBytes": pending,
        "throughputInMBps": 0,
        "throughputInBytes": 0,
        "throughputStatus": _GREEN,
        "marsCommunicationStatus": "1",
        "marsRegistrationStatus": "1",
    }


def _process_server_health(service: Service, entry: Json) -> str:
    """The worst of heartbeat and cache (EVT-006)."""
    if process_servers.is_critical(service, entry):
        return "Critical"
    return "Warning" if process_servers.free_percent(entry) < service.rules.cache_warning_percent else "Normal"


def master_target_json(entry: Json) -> Json:
    """A master target as the configuration server reports it."""
    version = entry.get("version") or "9.0.0.0"
    return {
        "id": entry.get("id"),
        "ipAddress": entry.get("address"),
        "name": entry.get("name"),
        "osType": "Windows" if str(entry.get("osType", "")).upper() == "WINDOWS" else "Linux",
        "agentVersion": version,
        "lastHeartbeat": entry.get("lastHeartbeat"),
        "versionStatus": "Supported",
        "retentionVolumes": [
            {
                "volumeName": volume.get("volumeName"),
                "capacityInBytes": volume.get("capacityInBytes"),
                "freeSpaceInBytes": volume.get("freeSpaceInBytes"),
                "thresholdPercentage": volume.get("thresholdPercentage"),
            }
            for volume in entry.get("retentionVolumes", [])
        ],
        "dataStores": [
            {
                "symbolicName": store.get("symbolicName"),
                "uuid": store.get("uuid"),
                "capacity": str(store.get("capacity")),
                "freeSpace": str(store.get("freeSpace")),
                "type": store.get("type", "VMFS"),
            }
            for store in entry.get("dataStores", [])
        ],
        "validationErrors": [],
        "healthErrors": [],
        "diskCount": int(entry.get("diskCount") or 0),
        "osVersion": None,
        "agentExpiryDate": NEVER_EXPIRES,
        "marsAgentVersion": None,
        "marsAgentExpiryDate": NEVER_EXPIRES,
        "agentVersionDetails": {"version": version, **_AGENT},
        "marsAgentVersionDetails": None,
    }
