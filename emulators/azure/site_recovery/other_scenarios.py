"""Operations of the API that belong to other scenarios: Azure to Azure, Hyper-V, VMM, migration, clusters.

No vault here holds any of their objects: lists are empty, single ones are missing, and making one is refused as the service
refuses a provider that it does not serve.
"""

from collections.abc import Callable
from typing import Any

from emulators.azure.arm import Answer, Call, not_found, operation
from emulators.azure.site_recovery.refusals import missing, refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import CONTAINER, FABRIC, TYPE, VAULT, listing

_NETWORK = FABRIC + "/replicationNetworks/{networkName}"
_NETWORK_MAPPING = _NETWORK + "/replicationNetworkMappings/{networkMappingName}"
_STORAGE = FABRIC + "/replicationStorageClassifications/{storageClassificationName}"
_STORAGE_MAPPING = _STORAGE + "/replicationStorageClassificationMappings/{storageClassificationMappingName}"
_MIGRATION = CONTAINER + "/replicationMigrationItems/{migrationItemName}"
_CLUSTER = CONTAINER + "/replicationProtectionClusters/{clusterName}"
_INTENT = VAULT + "/replicationProtectionIntents/{intentName}"
_MACHINE = (
    "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Compute/virtualMachines/{vmName}"
)
_ELIGIBILITY = _MACHINE + "/providers/Microsoft.RecoveryServices/replicationEligibilityResults"

_LISTS = (
    VAULT + "/replicationNetworks",
    VAULT + "/replicationNetworkMappings",
    VAULT + "/replicationStorageClassifications",
    VAULT + "/replicationStorageClassificationMappings",
    VAULT + "/replicationMigrationItems",
    VAULT + "/replicationProtectionClusters",
    VAULT + "/replicationProtectionIntents",
    FABRIC + "/replicationLogicalNetworks",
    FABRIC + "/replicationNetworks",
    FABRIC + "/replicationStorageClassifications",
    CONTAINER + "/replicationMigrationItems",
    CONTAINER + "/replicationProtectionClusters",
)
#: (method, template): what is done with one of these objects, none of which is there.
_SINGLE = (
    ("GET", FABRIC + "/replicationLogicalNetworks/{logicalNetworkName}"),
    ("GET", _NETWORK),
    ("GET", _NETWORK + "/replicationNetworkMappings"),
    *((method, _NETWORK_MAPPING) for method in ("GET", "PATCH", "DELETE")),
    ("GET", _STORAGE),
    ("GET", _STORAGE + "/replicationStorageClassificationMappings"),
    *((method, _STORAGE_MAPPING) for method in ("GET", "DELETE")),
    *((method, _MIGRATION) for method in ("GET", "PATCH", "DELETE")),
    *(
        ("POST", f"{_MIGRATION}/{verb}")
        for verb in ("migrate", "pauseReplication", "resumeReplication", "resync", "testMigrate", "testMigrateCleanup")
    ),
    ("GET", _MIGRATION + "/migrationRecoveryPoints"),
    ("GET", _MIGRATION + "/migrationRecoveryPoints/{migrationRecoveryPointName}"),
    *((method, _CLUSTER) for method in ("GET", "DELETE")),
    *(
        ("POST", f"{_CLUSTER}/{verb}")
        for verb in (
            "applyRecoveryPoint",
            "failoverCommit",
            "repairReplication",
            "testFailover",
            "testFailoverCleanup",
            "unplannedFailover",
        )
    ),
    ("GET", _CLUSTER + "/operationResults/{jobName}"),
    ("GET", _CLUSTER + "/recoveryPoints"),
    ("GET", _CLUSTER + "/recoveryPoints/{recoveryPointName}"),
    ("GET", _INTENT),
)
#: What would make one of them, or asks of a container what only Azure to Azure can.
_MAKING = (
    ("PUT", _NETWORK_MAPPING),
    ("PUT", _STORAGE_MAPPING),
    ("PUT", _MIGRATION),
    ("PUT", _CLUSTER),
    ("PUT", _INTENT),
    ("PUT", CONTAINER),
    ("POST", CONTAINER + "/switchprotection"),
    ("POST", CONTAINER + "/switchClusterProtection"),
)


def _all(*rows: tuple[str, str]) -> Callable[[Any], Any]:
    """Mark a method as every operation of a table."""

    def mark(function: Any) -> Any:
        for method, template in rows:
            function = operation(method, template)(function)
        return function

    return mark


class OtherScenarios:
    """Answers for what is not VMware or physical machines, so that no client meets a path that is not known."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @_all(*(("GET", template) for template in _LISTS))
    def nothing(self, call: Call) -> Answer:
        self._place(call)
        return Answer(200, listing([]))

    @_all(*_SINGLE)
    def absent(self, call: Call) -> Answer:
        """404 for the first object of the path, below fabric and container, that is not there."""
        self._place(call)
        places = ("subscriptionId", "resourceGroupName", "vaultName", "fabricName", "containerName")
        raise missing(next(value for name, value in call.parameters.items() if name not in places))

    @_all(*_MAKING)
    def unsupported(self, call: Call) -> Answer:
        call.content()
        if "containerName" not in call.parameters or call.template == CONTAINER:
            self.service.fabric(call) if "fabricName" in call.parameters else self.service.vault(call)
        else:
            self.service.container(call)
        raise refuse("scenario-unsupported", activity=call.correlation_id)

    @operation("GET", _ELIGIBILITY)
    def eligibilities(self, call: Call) -> Answer:
        return Answer(200, {"value": [self._eligibility(call)]})

    @operation("GET", _ELIGIBILITY + "/default")
    def eligibility(self, call: Call) -> Answer:
        """Whether a virtual machine of Azure could be replicated to another region: not here."""
        return Answer(200, self._eligibility(call))

    def _eligibility(self, call: Call) -> dict[str, Any]:
        machine = self.service.azure.find(call.path.lower().partition("/providers/microsoft.recoveryservices/")[0])
        if machine is None:
            raise not_found(call.path.lower().partition("/providers/microsoft.recoveryservices/")[0])
        detail = refuse("scenario-unsupported").details or []
        errors = [
            {name: one[name] for name in ("code", "message", "possibleCauses", "recommendedAction")} | {"status": "Error"}
            for one in detail
        ]
        return {
            "name": "default",
            "type": TYPE.split("/", 1)[0] + "/replicationEligibilityResults",
            "id": f"{machine.id}/providers/Microsoft.RecoveryServices/replicationEligibilityResults/default",
            "properties": {"clientRequestId": call.headers.get("x-ms-client-request-id", call.correlation_id), "errors": errors},
        }

    def _place(self, call: Call) -> None:
        """The vault, fabric and container of a path have to be there."""
        if "containerName" in call.parameters:
            self.service.container(call)
        elif "fabricName" in call.parameters:
            self.service.fabric(call)
        else:
            self.service.vault(call)
