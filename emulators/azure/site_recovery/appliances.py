"""Replication appliances: how they are read, and what enabling and reprotecting ask of one (TOP-016, RPR-025)."""

from typing import Any

from emulators.azure.arm import read
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Component, Fabric, Item, Policy, Vault
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.service import Service, policy_path
from emulators.azure.site_recovery.wire import Json, last_segment, same, stable_guid, whole_seconds

OFFAZURE = "/providers/Microsoft.OffAzure/VMwareSites/"

#: Role lists of a fabric that hold nothing but the appliance's id, name and health.
_PLAIN_ROLES = ("rcmProxies", "pushInstallers", "replicationAgents", "marsAgents", "dras")

#: The policy a reprotect takes that names none.
_FAILBACK_POLICY = "crashconsistency-policy-failback"


def appliance_id(service: Service, fabric: Fabric) -> str:
    """The one id that all roles of an appliance carry."""
    servers = service.server(fabric).heartbeat.get("processServers", [])
    return str(servers[0].get("id")) if servers else fabric.internal


def healthy(service: Service, fabric: Fabric) -> bool:
    """Whether the appliance and the programs on it are heard of."""
    server = service.server(fabric)
    roles = ("processServers", "masterTargets")
    return service.connected(server) and all(server.heartbeat.get(role) for role in roles)


def site_id(fabric: Fabric) -> str:
    """The Microsoft.OffAzure site whose machines are the discovered ones."""
    group = "/subscriptions/" + fabric.vault.split("/", 2)[2].split("/providers/")[0]
    return f"{group}{OFFAZURE}{last_segment(fabric.vault)}{stable_guid(fabric.vault, 'site')[:4]}vmwaresite"


def machine_name(fabric: Fabric, machine: Json) -> str:
    """`<vCenter>_<machine>`, as in `fabricDiscoveryMachineId` (DIS-013)."""
    return f"{machine.get('vCenterId')}_{machine['machineId']}"


def account_name(fabric: Fabric, account: Json) -> str:
    return stable_guid(fabric.id, "account", str(account.get("accountId")))


# reading --------------------------------------------------------------------------------------------------------------


def _role(server: Component, one: str, health: str) -> Json:
    return {
        "id": one,
        "name": server.name,
        "biosId": server.machine_id,
        "fqdn": server.name,
        "version": server.version,
        "lastHeartbeatUtc": whole_seconds(server.seen),
        "health": health,
        "healthErrors": [],
    }


def details(service: Service, fabric: Fabric, *, thin: bool = False) -> Json:
    """customDetails of a fabric of appliances; `thin`: as in a list, with every agent array empty (asr-wire section 5)."""
    server, one = service.server(fabric), appliance_id(service, fabric)
    role = _role(server, one, "Normal" if healthy(service, fabric) else "Critical")
    heartbeat = server.heartbeat
    shown: Json = {
        "instanceType": MODERNIZED.fabric_type,
        "vmwareSiteId": site_id(fabric),
        "physicalSiteId": None,
        "serviceEndpoint": None,
        "serviceResourceId": None,
        "serviceContainerId": None,
        "dataPlaneUri": None,
        "controlPlaneUri": None,
        "sourceAgentIdentityDetails": None
        if thin
        else {"tenantId": None, "applicationId": fabric.internal, "objectId": None, "audience": fabric.id, "aadAuthority": None},
        "processServers": [] if thin else [_process_server(role, entry) for entry in heartbeat.get("processServers", [])],
        **{name: [] if thin else [role] for name in _PLAIN_ROLES},
        "reprotectAgents": []
        if thin
        else [_reprotect_agent(role, heartbeat, entry) for entry in heartbeat.get("masterTargets", [])],
        "agentDetails": [],
    }
    # the only one that does not say what it is called in the network
    shown["dras"] = [{name: value for name, value in dra.items() if name != "fqdn"} for dra in shown["dras"]]
    return shown


def _process_server(role: Json, entry: Json) -> Json:
    return {
        **role,
        "ipAddresses": [entry.get("address")],
        "protectedItemCount": int(entry.get("machineCount") or 0),
        "throughputUploadPendingDataInBytes": int(entry.get("uploadPendingBytes") or 0),
        "throughputInBytes": 0,
        "historicHealth": role["health"],
    }


def _reprotect_agent(role: Json, heartbeat: Json, entry: Json) -> Json:
    vcenters = heartbeat.get("vCenters", [])
    return {
        **role,
        "accessibleDatastores": [store.get("symbolicName") for store in entry.get("dataStores", [])],
        "vcenterId": vcenters[0].get("id") if vcenters else None,
        "lastDiscoveryInUtc": vcenters[0].get("lastDiscovery") if vcenters else None,
        "protectedItemCount": int(entry.get("diskCount") or 0),
    }


def appliance_json(service: Service, fabric: Fabric) -> Json:
    """An entry of replicationAppliances."""
    shown = details(service, fabric)
    first = {name: (shown[name] or [None])[0] for name in ("processServers", "rcmProxies", "pushInstallers", "replicationAgents")}
    return {
        "id": appliance_id(service, fabric),
        "name": service.server(fabric).name,
        "fabricArmId": fabric.id,
        "processServer": first["processServers"],
        "rcmProxy": first["rcmProxies"],
        "pushInstaller": first["pushInstallers"],
        "replicationAgent": first["replicationAgents"],
        "reprotectAgent": (shown["reprotectAgents"] or [None])[0],
        "marsAgent": shown["marsAgents"][0],
        "dra": shown["dras"][0],
        "switchProviderBlockingErrorDetails": [],
    }


# enabling -------------------------------------------------------------------------------------------------------------


def discovered(fabric: Fabric, wanted: Any) -> Json | None:
    """The machine of a `fabricDiscoveryMachineId`, or None (DIS-013)."""
    for machine in fabric.machines.values():
        if same(str(wanted), f"{site_id(fabric)}/machines/{machine_name(fabric, machine)}"):
            return machine
    return None


def account_of(service: Service, fabric: Fabric, wanted: str | None) -> str:
    """The appliance's own id of a run-as account; empty when none is wanted. Raises `Failure`."""
    if not wanted:
        return ""
    for account in service.server(fabric).run_as_accounts:
        if last_segment(wanted).lower() in (account_name(fabric, account), str(account.get("accountId")).lower()):
            return str(account.get("accountId"))
    raise Failure("malformed", f"The appliance has no run-as account '{last_segment(wanted)}'.")


def target(service: Service, fabric: Fabric, given: Json) -> Json:
    """The fields of an InMageRcm enable in the words of the classic one. Raises `Failure`."""
    defaults = read(given, "disksDefault", dict, {})
    log = read(defaults, "logStorageAccountId", str)
    included = read(given, "disksToInclude", list, [])
    if not log:
        log = next((str(disk.get("logStorageAccountId")) for disk in included if isinstance(disk, dict)), None)
    if not log:
        raise Failure("storage-account-missing", "Name a log storage account in disksDefault or for each disk.")
    return {
        "logStorageAccountId": log,
        "storageAccountId": log,  # the replicas are managed disks' seeds; their blobs are beside the logs
        "targetAzureV2ResourceGroupId": read(given, "targetResourceGroupId", str, required=True),
        "targetAzureNetworkId": read(given, "targetNetworkId", str),
        "targetAzureSubnetId": read(given, "targetSubnetName", str),
        "targetAzureVmName": read(given, "targetVmName", str),
        "targetVmSize": read(given, "targetVmSize", str),
        "licenseType": read(given, "licenseType", str, "NotSpecified"),
        "multiVmGroupName": read(given, "multiVmGroupName", str, ""),
        "processServerId": read(given, "processServerId", str, ""),
        "runAsAccountId": account_of(service, fabric, read(given, "runAsAccountId", str)),
        "disksToInclude": included,
    }


# reprotecting ---------------------------------------------------------------------------------------------------------


def own_choice(service: Service, fabric: Fabric, item: Item, reverse: bool) -> Json:
    """Values for a recovery plan's reprotect, which carries none."""
    if not reverse:
        return {"processServerId": appliance_id(service, fabric), "policyId": item.forward_policy}
    stores = [str(disk["datastore"]) for disk in item.disks if disk.get("datastore")]
    return {
        "reprotectAgentId": appliance_id(service, fabric),
        "datastoreName": stores[0] if stores else "",
        "logStorageAccountId": item.settings["logAccountId"],
    }


def reprotect_inputs(service: Service, vault: Vault, fabric: Fabric, item: Item, given: Json, reverse: bool) -> Json:
    """What a reprotect needs: a healthy appliance and nothing else (RPR-025). Raises `Failure`."""
    wanted = read(given, "reprotectAgentId" if reverse else "processServerId", str, "")
    if not same(wanted, appliance_id(service, fabric)):
        raise Failure("appliance-missing", f"The vault has no appliance '{wanted}'.")
    if not healthy(service, fabric):
        raise Failure("appliance-unhealthy")
    policy = _policy(vault, service, fabric, read(given, "policyId", str, ""), reverse)
    masters = service.server(fabric).heartbeat["masterTargets"]
    volumes = masters[0].get("retentionVolumes") or [{}]
    log = read(given, "logStorageAccountId", str)
    if log and service.azure.find(log) is None:
        raise Failure("storage-account-missing", f"The storage account '{last_segment(log)}' does not exist.")
    datastore = read(given, "datastoreName", str, "")
    if reverse and not datastore:
        raise Failure("malformed", "datastoreName is required.")
    return {
        "policyId": policy_path(vault, policy),
        "processServerId": wanted,
        "masterTargetId": wanted,
        "runAsAccountId": account_of(service, fabric, read(given, "runAsAccountId", str)),
        "retentionVolume": str(volumes[0].get("volumeName") or ""),
        "datastore": datastore,
        "logStorageAccountId": log,
    }


def _policy(vault: Vault, service: Service, fabric: Fabric, policy_id: str | None, reverse: bool) -> Policy:
    """The policy of a reprotect. The way back needs no mapping, and has a ready-made policy where none is named."""
    provider = MODERNIZED.reverse if reverse else MODERNIZED.forward
    policy = service.policy_at(vault, policy_id) if policy_id else None
    if not policy_id and reverse:
        policy = vault.policies.get(_FAILBACK_POLICY) or _any_policy(vault, provider)
    if policy is None:
        raise Failure("policy-not-mapped", "The policy does not exist.")
    if policy.provider != provider:
        raise Failure("policy-wrong-kind")
    mapped = any(same(mapping.policy, policy_path(vault, policy)) for mapping in fabric.mappings.values())
    if not reverse and not mapped:
        raise Failure("policy-not-mapped")
    return policy


def _any_policy(vault: Vault, provider: str) -> Policy | None:
    """Any policy of a provider."""
    return next((policy for policy in vault.policies.values() if policy.provider == provider), None)
