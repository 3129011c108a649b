"""providerSpecificDetails of items that an appliance replicates: InMageRcm and InMageRcmFailback (asr-wire section 8)."""

from emulators.azure.site_recovery import appliances, target_nics
from emulators.azure.site_recovery.records import Component, Fabric, Item
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import NEVER_EXPIRES, Json, last_segment, stable_guid
from emulators.clock import iso

_MIB = 1024 * 1024
_COPYING = ("enabling", "replicating", "reverse-replicating")


def forward(service: Service, fabric: Fabric, item: Item, thin: bool) -> Json:
    """InMageRcm. `thin`: as an element of a list, without disks and NICs."""
    settings, machine, protectable = item.settings, item.machine, item.protectable
    server = service.server_of(item)
    details: Json = {
        "instanceType": item.profile.forward,
        "internalIdentifier": internal(item),
        "fabricDiscoveryMachineId": f"{appliances.site_id(fabric)}/machines/{appliances.machine_name(fabric, protectable)}",
        "multiVmGroupName": item.group_name if item.shared else None,
        "discoveryType": "vCenter",
        "processServerId": settings["processServerId"],
        "processorCoreCount": int(protectable.get("cpuCount") or 0),
        "allocatedMemoryInMB": float(protectable.get("memoryMB") or 0),
        "processServerName": server.name,
        "runAsAccountId": _account(service.server_of(item), fabric, settings["runAsAccountId"]),
        "osType": _os(item),
        "firmwareType": protectable.get("firmware"),
        "primaryNicIpAddress": next((nic.get("ipAddress") for nic in item.nics if nic.get("ipAddress")), None),
        "targetGeneration": "V2" if protectable.get("firmware") == "EFI" else "V1",
        "licenseType": settings["licenseType"],
        "storageAccountId": None,
        "targetVmName": settings["vmName"],
        "targetVmSize": settings["vmSize"],
        "targetResourceGroupId": settings["resourceGroupId"],
        "targetLocation": service.vaults[item.vault.lower()].location,
        "targetAvailabilitySetId": settings.get("availabilitySet") or "",
        "targetAvailabilityZone": "",
        "targetProximityPlacementGroupId": "",
        "targetBootDiagnosticsStorageAccountId": settings.get("bootDiagnostics") or "",
        "targetNetworkId": settings["networkId"],
        "testNetworkId": settings.get("testNetworkId") or "",
        "failoverRecoveryPointId": item.point_id,
    }
    if machine.get("lastTagReceived"):
        details["lastRecoveryPointReceived"] = machine["lastTagReceived"]
        details["lastRpoInSeconds"] = int(machine.get("rpoSeconds") or 0)
        details["lastRpoCalculatedTime"] = iso(machine.get("reported") or service.now())
    newest = service.rules.choose(list(item.points.values()))
    details["lastRecoveryPointId"] = f"{item.id}/recoveryPoints/{newest.id}" if newest is not None else None
    details |= _progress(item) | {
        "agentUpgradeState": "None",
        "lastAgentUpgradeType": None,
        "agentUpgradeJobId": None,
        "agentUpgradeAttemptToVersion": None,
        "protectedDisks": [] if thin else [_disk(service, item, disk) for disk in item.disks],
        "isLastUpgradeSuccessful": None,
        "isAgentRegistrationSuccessfulAfterFailover": _registered(item),
        "mobilityAgentDetails": _agent(item),
        "lastAgentUpgradeErrorDetails": [],
        "agentUpgradeBlockingErrorDetails": [],
        "vmNics": [] if thin else [_nic(nic, target_nics.of(item)[at]) for at, nic in enumerate(item.nics)],
        "discoveredVmDetails": _discovered(fabric, item),
    }
    return details


def reverse(service: Service, fabric: Fabric, item: Item, thin: bool) -> Json:
    """InMageRcmFailback."""
    back, vault = item.reverse, service.vaults[item.vault.lower()]
    used = service.policy_at(vault, item.forward_policy)
    details: Json = {
        "instanceType": item.profile.reverse,
        "internalIdentifier": internal(item),
        "azureVirtualMachineId": item.azure.vm_id if item.azure is not None else None,
        "multiVmGroupName": item.group_name if item.shared else None,
        "reprotectAgentId": back.get("masterTargetId"),
        "reprotectAgentName": service.server_of(item).name,
        "osType": _os(item),
        "logStorageAccountId": back.get("logStorageAccountId") or item.settings["logAccountId"],
        "targetvCenterId": item.protectable.get("vCenterId"),
        "targetDataStoreName": back.get("datastore"),
        "targetVmName": item.friendly,
        **_progress(item),
        "protectedDisks": [] if thin else [_failback_disk(item, disk) for disk in item.disks],
        "mobilityAgentDetails": _agent_in_azure(item),
        "vmNics": [
            {
                "macAddress": nic.get("macAddress"),
                "networkName": nic.get("networkName"),
                "adapterType": None,
                "sourceIpAddress": nic.get("ipAddress"),
            }
            for nic in item.nics
            if not thin
        ],
    }
    if back.get("plannedStatus"):
        started = back.get("plannedStart")
        details["lastPlannedFailoverStartTime"] = iso(started) if started is not None else None
        details["lastPlannedFailoverStatus"] = back["plannedStatus"]
    return details | {
        "discoveredVmDetails": _discovered(fabric, item),
        "lastUsedPolicyId": item.forward_policy,
        "lastUsedPolicyFriendlyName": used.name if used is not None else last_segment(item.forward_policy),
        "isAgentRegistrationSuccessfulAfterFailover": _registered(item),
    }


def _os(item: Item) -> str:
    return "Windows" if item.os_type == "WINDOWS" else "Linux"


def _registered(item: Item) -> bool:
    """Whether the agent has spoken from Azure since the failover (RPR-012)."""
    return item.azure is not None and item.machine.get("side") == "azure"


def _account(server: Component, fabric: Fabric, account_id: str) -> str | None:
    for account in server.run_as_accounts:
        if str(account.get("accountId")) == account_id:
            return f"{appliances.site_id(fabric)}/runasaccounts/{appliances.account_name(server, account)}"
    return None


def _progress(item: Item) -> Json:
    """initialReplication*, resync*: numbers and words of the whole machine."""
    disks = item.machine.get("disks") or []
    size = sum(int(disk.get("sizeBytes") or 0) for disk in disks)
    copied, sent = (sum(int(disk.get(name) or 0) for disk in disks) for name in ("copiedBytes", "sentBytes"))
    copying, resync = item.state in _COPYING, item.machine.get("stage") == "resync"
    done = {"ProgressPercentage": 100 * copied // size if size else 0, "ProcessedBytes": copied, "TransferredBytes": sent}
    first = {f"initialReplication{name}": value for name, value in done.items()}
    again = {f"resync{name}": value if resync else 0 for name, value in done.items()}
    required = bool(item.machine.get("resyncRequired"))
    return {
        **first,
        "initialReplicationProgressHealth": "InProgress" if copying else "None",
        **again,
        "resyncProgressHealth": "InProgress" if resync else "None",
        "resyncRequired": str(required).lower(),
        "resyncState": "StartedResynchronization" if resync else "PreparedForResynchronization" if required else "None",
    }


def _copy_of(item: Item, disk: Json) -> Json:
    """What disks of both directions have in common; irDetails only while the disk is copied."""
    reports = {str(one.get("diskId", "")).lower(): one for one in item.machine.get("disks") or []}
    report = reports.get(str(disk["diskId"]).lower(), {})
    copying = item.state in _COPYING
    size, copied = int(disk["sizeBytes"]), int(report.get("copiedBytes") or 0)
    shown: Json = {
        "dataPendingInLogDataStoreInMB": int(report.get("pendingInProcessServerBytes") or 0) / _MIB,
        "dataPendingAtSourceAgentInMB": int(report.get("pendingAtSourceBytes") or 0) / _MIB,
        "isInitialReplicationComplete": str(not copying).lower(),
    }
    if copying:
        state = str(report.get("state") or "Queued")
        shown["irDetails"] = {
            "progressHealth": "None" if state == "Done" else state,
            "transferredBytes": int(report.get("sentBytes") or 0),
            "last15MinutesTransferredBytes": int(report.get("sentBytes") or 0),
            "lastDataTransferTimeUtc": None,
            "processedBytes": copied,
            "startTime": None,
            "lastRefreshTime": None,
            "progressPercentage": 100 * copied // size if size else 0,
        }
    return shown


def _disk(service: Service, item: Item, disk: Json) -> Json:
    settings = item.settings
    placed = next((one for one in item.azure.disks if one["diskId"] == disk["diskId"]), None) if item.azure is not None else None
    return {
        "diskId": disk["diskId"],
        "diskName": disk.get("name"),
        "isOSDisk": str(bool(disk["isOsDisk"])).lower(),
        "capacityInBytes": int(disk["sizeBytes"]),
        "logStorageAccountId": settings["logAccountId"],
        "diskEncryptionSetId": None,
        "seedManagedDiskId": f"{settings['resourceGroupId']}/providers/Microsoft.Compute/disks/{disk['blob']}",
        "seedBlobUri": None,
        "targetManagedDiskId": placed["id"] if placed is not None else None,
        "targetBlobUri": None,
        "diskType": settings.get("diskType") or "Standard_LRS",
        **_copy_of(item, disk),
    }


def _failback_disk(item: Item, disk: Json) -> Json:
    return {
        "diskId": disk["diskId"],
        "diskName": disk.get("name"),
        "isOSDisk": str(bool(disk["isOsDisk"])).lower(),
        "capacityInBytes": int(disk["sizeBytes"]),
        "diskUuid": disk["diskId"],
        **_copy_of(item, disk),
        **({"lastSyncTime": item.machine["lastTagReceived"]} if item.machine.get("lastTagReceived") else {}),
    }


def _agent(item: Item) -> Json:
    version = item.machine.get("agentVersion")
    return {
        "version": version,
        "latestVersion": version,
        "latestAgentReleaseDate": None,
        "driverVersion": version,
        "latestUpgradableVersionWithoutReboot": version,
        "agentVersionExpiryDate": NEVER_EXPIRES,
        "driverVersionExpiryDate": NEVER_EXPIRES,
        "lastHeartbeatUtc": item.machine.get("agentHeartbeat"),
        "reasonsBlockingUpgrade": [],
        "isUpgradeable": "false",
    }


def _agent_in_azure(item: Item) -> Json:
    shown = _agent(item) | {"reasonsBlockingUpgrade": ["UnsupportedProtectionScenario"]}
    return {name: value for name, value in shown.items() if name != "latestAgentReleaseDate"}


def _nic(nic: Json, chosen: Json) -> Json:
    return {
        "nicId": nic.get("macAddress") or nic.get("nicId"),
        "isPrimaryNic": str(chosen["primary"]).lower(),
        "isSelectedForFailover": str(chosen["selected"]).lower(),
        "sourceIPAddress": nic.get("ipAddress"),
        "sourceIPAddressType": "Dynamic",
        "sourceNetworkId": nic.get("networkName"),
        "sourceSubnetName": None,
        "targetIPAddress": chosen["address"],
        "targetIPAddressType": "Static" if chosen["address"] else "Dynamic",
        "targetSubnetName": chosen["subnet"],
        "testSubnetName": chosen["testSubnet"],
        "testIPAddress": chosen["testAddress"],
        "testIPAddressType": "Static" if chosen["testAddress"] else "Dynamic",
        "targetNicName": None,
    }


def _discovered(fabric: Fabric, item: Item) -> Json:
    machine = item.protectable
    return {
        "vCenterId": machine.get("vCenterId"),
        "vCenterFqdn": machine.get("vCenterId"),
        "datastores": sorted({str(disk["datastore"]) for disk in item.disks if disk.get("datastore")}),
        "ipAddresses": list(machine.get("ipAddresses") or []),
        "vmwareToolsStatus": None,
        "powerStatus": "ON" if machine.get("poweredOn") else "OFF",
        "vmFqdn": machine.get("hostName"),
        "osName": machine.get("osName"),
        "createdTimestamp": iso(fabric.registered),
        "updatedTimestamp": iso(fabric.registered),
        "isDeleted": item.machine_id not in fabric.machines,
        "lastDiscoveryTimeInUtc": iso(fabric.registered),
    }


def internal(item: Item) -> str:
    """The stable id that plans call `virtualMachineId` (asr-wire section 12)."""
    return stable_guid(item.vault, "item", item.machine_id)
