"""How a protected item is read: the JSON of both providers, key by key as recorded (asr-wire section 8)."""

from emulators.azure.site_recovery import appliances, health, modernized_views, target_nics
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Fabric, Item
from emulators.azure.site_recovery.scenarios import SCENARIOS
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.states import is_forward, state_of
from emulators.azure.site_recovery.wire import (
    AZURE,
    AZURE_CONTAINER,
    AZURE_FABRIC,
    AZURE_VMM,
    FORWARD,
    ITEM_TYPE,
    NEVER_EXPIRES,
    NEVER_STARTED,
    Json,
    last_segment,
    same,
    stable_guid,
)
from emulators.clock import iso

_MIB = 1024 * 1024


def item_json(service: Service, item: Item, *, thin: bool = False) -> Json:
    """A protected item as read singly, or as an element of a list (`thin`: protectedDisks empty)."""
    fabric, state = service.fabric_of(item), state_of(item)
    forward = state.provider == FORWARD
    policy = service.policy_at(service.vaults[item.vault.lower()], item.policy)
    properties: Json = {
        "friendlyName": item.friendly,
        "protectedItemType": "",
        "protectableItemId": None
        if item.profile is MODERNIZED
        else f"{fabric.container_id}/replicationProtectableItems/{item.machine_id}",
        "recoveryServicesProviderId": _provider_id(service, fabric, item),
        "primaryFabricFriendlyName": fabric.friendly,
        "primaryFabricProvider": fabric.profile.fabric_provider,
        "recoveryFabricFriendlyName": AZURE if forward else fabric.friendly,
        "recoveryFabricId": AZURE if forward else fabric.id,
        "primaryProtectionContainerFriendlyName": fabric.friendly,
        "recoveryProtectionContainerFriendlyName": AZURE if forward else fabric.friendly,
        "protectionState": state.wire,
        "protectionStateDescription": state.description,
        "activeLocation": state.active,
        "testFailoverState": item.test_state[0],
        "testFailoverStateDescription": item.test_state[1],
        "switchProviderState": "None",
        "switchProviderStateDescription": None,
        "allowedOperations": allowed_operations(item),
        "replicationHealth": health.replication_health(item),
        "failoverHealth": health.failover_health(item),
        "healthErrors": list(item.health.values()),
        "policyId": item.policy,
        "policyFriendlyName": policy.name if policy is not None else last_segment(item.policy),
    }
    if item.last_failover is not None:
        properties["lastSuccessfulFailoverTime"] = iso(item.last_failover)
    if item.last_test is not None:
        properties["lastSuccessfulTestFailoverTime"] = iso(item.last_test)
    properties["currentScenario"] = _scenario(item)
    properties["failoverRecoveryPointId"] = item.point_id if forward else ""
    modernized = item.profile is MODERNIZED
    there = modernized_views.forward if modernized else _forward
    back = modernized_views.reverse if modernized else _reverse
    details = (there if forward else back)(service, fabric, item, thin)
    properties["providerSpecificDetails"] = details
    azure = f"{item.vault}/replicationFabrics/{AZURE_FABRIC}/replicationProtectionContainers/{AZURE_CONTAINER}"
    properties["recoveryContainerId"] = azure if forward else fabric.container_id
    properties["eventCorrelationId"] = item.correlation
    return {"id": item.id, "name": item.name, "type": ITEM_TYPE, "properties": properties}


def _provider_id(service: Service, fabric: Fabric, item: Item) -> str:
    """The provider of an item. That of an appliance ends with the appliance's id, not its name (asr-wire section 3)."""
    if fabric.profile is not MODERNIZED:
        return fabric.provider_id
    return f"{fabric.id}/replicationRecoveryServicesProviders/{appliances.appliance_id(service.server_of(item), fabric)}"


def allowed_operations(item: Item) -> list[str]:
    """What may be done now: nothing while a job runs on the item (JOB-008)."""
    if item.job is not None:
        return []
    operations = list(state_of(item).operations)
    if item.machine.get("resyncRequired") and item.state in ("protected", "reverse-protected"):
        operations.insert(0, "RepairReplication")
    return operations


def affected_details(service: Service, item: Item) -> Json:
    """affectedObjectDetails of a job on an item, in the direction it replicates now."""
    fabric = service.fabric_of(item)
    forward = is_forward(item)
    policy = service.policy_at(service.vaults[item.vault.lower()], item.policy)
    return {
        "primaryVmId": item.machine_id,
        "primaryVmName": item.friendly,
        "recoveryVmId": "",
        "recoveryVmName": item.friendly,
        "protectionProfileId": policy.guid if policy is not None else "",
        "primaryCloudId": fabric.container,
        "primaryCloudName": fabric.friendly,
        "recoveryCloudId": AZURE_CONTAINER if forward else fabric.container,
        "recoveryCloudName": AZURE if forward else fabric.friendly,
        "primaryVmmId": fabric.internal,
        "primaryVmmName": fabric.friendly,
        "recoveryVmmId": AZURE_VMM if forward else fabric.internal,
        "recoveryVmmName": AZURE if forward else fabric.friendly,
        "primaryFabricProviderId": fabric.profile.fabric_type,
        "recoveryFabricProviderId": "Azure" if forward else fabric.profile.fabric_type,
    }


def _scenario(item: Item) -> Json:
    """currentScenario: the running job, the waiting test failover, or fixed empty values (JOB-007, TFO-003)."""
    job = item.job or item.test_job
    if job is None:
        return {"scenarioName": "None", "jobId": f"{item.vault}/replicationJobs/None", "startTime": NEVER_STARTED}
    name = {"EnableDr": "EnableProtection"}.get(job.scenario, job.scenario if job.scenario in SCENARIOS else "None")
    started = NEVER_STARTED if job.start is None else iso(job.start)
    return {"scenarioName": name, "jobId": job.arm_id, "startTime": started}


def _stage(item: Item) -> str:
    return "ResyncStepI" if item.state in ("enabling", "replicating", "reverse-replicating") else "DifferentialSync"


def _copied(item: Item) -> tuple[int, int]:
    """Percent of the first copy, and bytes sent."""
    disks = item.machine.get("disks") or []
    size = sum(int(disk.get("sizeBytes") or 0) for disk in disks)
    copied = sum(int(disk.get("copiedBytes") or 0) for disk in disks)
    return (100 * copied // size if size else 0), sum(int(disk.get("sentBytes") or 0) for disk in disks)


def _rpo(service: Service, item: Item) -> int:
    return int(health.current_rpo(item, service.now()) or 0)


def _disks(service: Service, item: Item, *, megabytes: str) -> list[Json]:
    """protectedDisks; `megabytes` is the ending of the data fields (InMB for InMage, InMegaBytes for InMageAzureV2)."""
    reports = {str(disk.get("diskId", "")).lower(): disk for disk in item.machine.get("disks") or []}
    done = _stage(item) == "DifferentialSync"
    values = []
    for disk in item.disks:
        report = reports.get(str(disk["diskId"]).lower(), {})
        size, copied = int(disk["sizeBytes"]), int(report.get("copiedBytes") or 0)
        values.append(
            {
                "diskId": disk["diskId"],
                "diskName": disk.get("name"),
                "protectionStage": _stage(item),
                "healthErrorCode": None,
                "rpoInSeconds": _rpo(service, item),
                "resyncRequired": "Required" if item.machine.get("resyncRequired") else "NotRequired",
                "resyncProgressPercentage": 100 * copied // size if size and not done else 0,
                "resyncDurationInSeconds": 0,
                "diskCapacityInBytes": size,
                "fileSystemCapacityInBytes": size,
                f"sourceData{megabytes}": int(report.get("pendingAtSourceBytes") or 0) / _MIB,
                f"psData{megabytes}": int(report.get("pendingInProcessServerBytes") or 0) / _MIB,
                f"targetData{megabytes}": 0.0,
                "diskResized": "NotResized",
                "lastRpoCalculatedTime": _reported(item),
                "resyncProcessedBytes": copied,
                "resyncTotalTransferredBytes": int(report.get("sentBytes") or 0),
                "resyncLast15MinutesTransferredBytes": 0,
                "resyncLastDataTransferTimeUTC": None,
                "resyncStartTime": None,
                "progressHealth": "Completed" if done else str(report.get("state") or "InProgress").replace("Done", "Completed"),
                "progressStatus": "Grey" if done else "Green",
            }
        )
    return values


def _reported(item: Item) -> str | None:
    return iso(item.machine["reported"]) if item.machine.get("reported") is not None else None


def _server_name(service: Service, fabric: Fabric, server_id: str) -> str | None:
    known = service.server(fabric).heartbeat.get("processServers", [])
    return next((entry.get("name") for entry in known if same(str(entry.get("id")), server_id)), None)


def _nics(item: Item) -> list[Json]:
    """vmNics; `isSeletedForFailover` and `vMNetworkName` are spelled as the wire spells them."""
    chosen = target_nics.of(item)
    return [_nic(item, nic, chosen[at]) for at, nic in enumerate(item.nics)]


def _nic(item: Item, nic: Json, chosen: Json) -> Json:
    address = {
        "name": None,
        "isPrimary": True,
        "subnetName": None,
        "staticIPAddress": nic.get("ipAddress"),
        "ipAddressType": "Dynamic",
        "isSeletedForFailover": chosen["selected"],
        "recoverySubnetName": chosen["subnet"],
        "recoveryStaticIPAddress": chosen["address"],
        "recoveryIPAddressType": "Static" if chosen["address"] else "Dynamic",
        "recoveryPublicIPAddressId": None,
        "recoveryLBBackendAddressPoolIds": None,
        "tfoSubnetName": chosen["testSubnet"],
        "tfoStaticIPAddress": chosen["testAddress"] or None,
        "tfoPublicIPAddressId": None,
        "tfoLBBackendAddressPoolIds": None,
    }
    return {
        "nicId": nic.get("nicId") or nic.get("macAddress"),
        "replicaNicId": None,
        "sourceNicArmId": None,
        "vMNetworkName": nic.get("networkName"),
        "recoveryVMNetworkId": item.settings["networkId"],
        "ipConfigs": [address],
        "selectionType": "SelectedByDefault" if chosen["selected"] else "NotSelected",
        "recoveryNetworkSecurityGroupId": None,
        "enableAcceleratedNetworkingOnRecovery": None,
        "tfoVMNetworkId": None,
        "tfoNetworkSecurityGroupId": None,
        "enableAcceleratedNetworkingOnTfo": None,
        "recoveryNicName": None,
        "recoveryNicResourceGroupName": None,
        "reuseExistingNic": False,
        "tfoRecoveryNicName": None,
        "tfoRecoveryNicResourceGroupName": None,
        "tfoReuseExistingNic": False,
    }


def _address(item: Item) -> str | None:
    return next((nic.get("ipAddress") for nic in item.nics if nic.get("ipAddress")), None)


def _datastores(item: Item) -> list[str]:
    return sorted({str(disk["datastore"]) for disk in item.disks if disk.get("datastore")})


def _forward(service: Service, fabric: Fabric, item: Item, thin: bool) -> Json:
    details = {**_source(service, fabric, item, thin), **_target(fabric, item)}
    if item.machine.get("lastTagReceived"):
        details["lastRecoveryPointReceived"] = item.machine["lastTagReceived"]
    return details


def _source(service: Service, fabric: Fabric, item: Item, thin: bool) -> Json:
    """The machine and how far its replication is."""
    settings, machine, state = item.settings, item.machine, state_of(item)
    first = _stage(item) == "ResyncStepI"
    return {
        "instanceType": item.profile.forward,
        "infrastructureVmId": item.machine_id,
        "vCenterInfrastructureId": item.protectable.get("vCenterId"),
        "protectionStage": _stage(item),
        "vmId": item.machine_id,
        "vmProtectionState": "UnprotectedStatesBegin" if first else state.wire,
        "vmProtectionStateDescription": "Enabling protection" if first else state.description,
        "resyncProgressPercentage": _copied(item)[0] if first else 0,
        "rpoInSeconds": _rpo(service, item),
        "compressedDataRateInMB": int(machine.get("compressedBytes") or 0) / _MIB,
        "uncompressedDataRateInMB": int(machine.get("uncompressedBytes") or 0) / _MIB,
        "ipAddress": _address(item),
        "agentVersion": machine.get("agentVersion"),
        "agentExpiryDate": NEVER_EXPIRES,
        "isAgentUpdateRequired": "NotRequired",
        "isRebootAfterUpdateRequired": "NotRequired",
        "lastHeartbeat": machine.get("agentHeartbeat"),
        "processServerId": settings["processServerId"],
        "processServerName": _server_name(service, fabric, settings["processServerId"]),
        "multiVmGroupId": item.group_id,
        "multiVmGroupName": item.group_name,
        "multiVmSyncStatus": "Enabled",
        "protectedDisks": [] if thin else _disks(service, item, megabytes="InMegaBytes"),
        "diskResized": None,
        "masterTargetId": settings["masterTargetId"],
        "sourceVmCpuCount": int(item.protectable.get("cpuCount") or 0),
        "sourceVmRamSizeInMB": int(item.protectable.get("memoryMB") or 0),
        "osType": "Windows" if item.os_type == "WINDOWS" else "Linux",
        "vhdName": None,
        "osDiskId": next((disk["diskId"] for disk in item.disks if disk["isOsDisk"]), None),
        "azureVMDiskDetails": _azure_disks(item),
    }


def _target(fabric: Fabric, item: Item) -> Json:
    """What it will be, or is, in Azure."""
    settings, sent, first = item.settings, _copied(item)[1], _stage(item) == "ResyncStepI"
    vm_id = f"{settings['resourceGroupId']}/providers/Microsoft.Compute/virtualMachines/"
    return {
        "recoveryAzureVMName": settings["vmName"],
        "recoveryAzureVMSize": settings["vmSize"],
        "recoveryAzureStorageAccount": settings["targetAccountId"],
        "recoveryAzureLogStorageAccountId": settings["logAccountId"],
        "vmNics": _nics(item),
        "selectedRecoveryAzureNetworkId": settings["networkId"],
        "selectedTfoAzureNetworkId": settings.get("testNetworkId"),
        "selectedSourceNicId": None,
        "discoveryType": "Physical" if item.protectable.get("vCenterId") is None else "vCenter",
        "enableRdpOnTargetOption": settings["rdp"],
        "datastores": _datastores(item),
        "targetVmId": item.azure.vm_id if item.azure is not None else vm_id,
        "recoveryAzureResourceGroupId": settings["resourceGroupId"],
        "recoveryAvailabilitySetId": settings.get("availabilitySet"),
        "targetAvailabilityZone": None,
        "targetProximityPlacementGroupId": None,
        "useManagedDisks": "true",
        "licenseType": settings["licenseType"],
        "sqlServerLicenseType": "NotSpecified",
        "validationErrors": [],
        "lastRpoCalculatedTime": _reported(item),
        "lastUpdateReceivedTime": _reported(item),
        "replicaId": f"{item.machine_id}_replica_{fabric.container}",
        "osVersion": item.protectable.get("osName"),
        "protectedManagedDisks": [],
        "firmwareType": item.protectable.get("firmware"),
        "azureVmGeneration": "V2" if item.protectable.get("firmware") == "EFI" else "V1",
        "isAdditionalStatsAvailable": True,
        "totalDataTransferred": sent if sent else (-1 if first else 0),
        "totalProgressHealth": "In Progress" if first else "Completed",
        "targetVmTags": {},
        "seedManagedDiskTags": None,
        "targetManagedDiskTags": None,
        "targetNicTags": None,
    }


def _azure_disks(item: Item) -> list[Json] | None:
    if item.azure is None:
        return None
    sizes = {disk["diskId"]: int(disk["sizeBytes"]) for disk in item.disks}
    return [
        {
            "vhdType": "OperatingSystem" if disk["lun"] is None else "DataDisk",
            "vhdId": disk["diskId"],
            "diskId": disk["diskId"],
            "vhdName": disk["blob"],
            "maxSizeMB": str(sizes[disk["diskId"]] // _MIB),
            "targetDiskLocation": disk["uri"],
            "targetDiskName": disk["name"],
            "lunId": "0" if disk["lun"] is None else str(disk["lun"]),
            "diskEncryptionSetId": None,
        }
        for disk in item.azure.disks
    ]


def _reverse(service: Service, fabric: Fabric, item: Item, thin: bool) -> Json:
    settings, machine, state = item.settings, item.machine, state_of(item)
    percent, sent = _copied(item)
    first = _stage(item) == "ResyncStepI"
    tag = machine.get("lastTagReceived")
    return {
        "instanceType": "InMage",
        "activeSiteType": "OnPrem" if item.state in ("failed-back", "failback-committed") else "Azure",
        "sourceVmCpuCount": int(item.protectable.get("cpuCount") or 0),
        "sourceVmRamSizeInMB": int(item.protectable.get("memoryMB") or 0),
        "osDetails": {"osVhdId": None, "osType": "Windows" if item.os_type == "WINDOWS" else "Linux", "vhdName": None},
        "protectionStage": _stage(item),
        "vmId": item.machine_id,
        "vmProtectionState": state.wire,
        "vmProtectionStateDescription": state.description,
        "resyncDetails": {
            "initialReplicationType": "InitialReplication",
            "initialReplicationProgressPercentage": str(percent if first else 0),
        },
        "retentionWindowStart": iso(item.protected_since) if item.protected_since is not None else None,
        "retentionWindowEnd": tag,
        "compressedDataRateInMB": int(machine.get("compressedBytes") or 0) / _MIB,
        "uncompressedDataRateInMB": int(machine.get("uncompressedBytes") or 0) / _MIB,
        "rpoInSeconds": _rpo(service, item),
        "protectedDisks": [] if thin else _disks(service, item, megabytes="InMB"),
        "ipAddress": _address(item),
        "lastHeartbeat": machine.get("agentHeartbeat"),
        "processServerId": item.reverse.get("processServerId"),
        "masterTargetId": item.reverse.get("masterTargetId"),
        "consistencyPoints": {},
        "diskResized": "NotResized",
        "rebootAfterUpdateStatus": None,
        "multiVmGroupId": item.group_id,
        "multiVmGroupName": item.group_name,
        "multiVmSyncStatus": "Enabled",
        "agentDetails": {
            "agentVersion": machine.get("agentVersion"),
            "agentUpdateStatus": "NotRequired",
            "postUpdateRebootStatus": "NotRequired",
            "agentExpiryDate": NEVER_EXPIRES,
        },
        "vCenterInfrastructureId": item.protectable.get("vCenterId"),
        "infrastructureVmId": item.machine_id,
        "vmNics": _nics(item),
        "discoveryType": "Physical" if item.protectable.get("vCenterId") is None else "vCenter",
        "azureStorageAccountId": settings["targetAccountId"],
        "datastores": [item.reverse["datastore"]] if item.reverse.get("datastore") else _datastores(item),
        "validationErrors": [],
        "lastRpoCalculatedTime": _reported(item),
        "lastUpdateReceivedTime": _reported(item),
        "replicaId": stable_guid(item.id, "replica"),
        "osVersion": None,
        "isAdditionalStatsAvailable": False,
        "totalDataTransferred": sent,
        "totalProgressHealth": "In Progress" if first else "Completed",
    }
