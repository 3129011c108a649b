"""Replication appliances: how they are read, and what enabling and reprotecting ask of one (TOP-016, RPR-025)."""

from typing import Any

from emulators.azure.arm import read
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Component, Fabric, Item, Policy, Vault
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.service import Service, policy_path
from emulators.azure.site_recovery.states import is_forward
from emulators.azure.site_recovery.wire import Json, last_segment, parse_time, same, stable_guid, whole_seconds

OFFAZURE = "/providers/Microsoft.OffAzure/VMwareSites/"

#: Role lists of a fabric that hold nothing but the appliance's id, name and health.
_PLAIN_ROLES = ("rcmProxies", "pushInstallers", "replicationAgents", "marsAgents")

#: Programs of an appliance besides the one that speaks to the service, as its heartbeat lists them.
_PROGRAMS = ("processServers", "masterTargets")

#: Memory and data disk of an appliance (TOP-016), in bytes.
_MEMORY, _SPACE = 16 << 30, 620 << 30

#: The policy a reprotect takes that names none.
_FAILBACK_POLICY = "crashconsistency-policy-failback"


def appliance_id(server: Component, fabric: Fabric) -> str:
    """The one id that all roles of an appliance carry."""
    servers = server.heartbeat.get("processServers", [])
    return str(servers[0].get("id")) if servers else fabric.internal


def find(service: Service, fabric: Fabric, wanted: str | None) -> Component | None:
    """The appliance with an id, or None."""
    return next((one for one in service.servers(fabric) if same(wanted, appliance_id(one, fabric))), None)


def chosen(service: Service, fabric: Fabric, wanted: str | None) -> Component:
    """The appliance that a call names. Raises `Failure` when there is none."""
    found = find(service, fabric, wanted)
    if found is None:
        raise Failure("appliance-missing", f"The vault has no appliance '{wanted}'.")
    return found


def speaking(service: Service, server: Component) -> list[bool]:
    """For each program of an appliance whether it is heard of: the appliance itself, its process server, its reprotect agent."""
    here = service.connected(server)
    limit = service.rules.silence_seconds
    heard = [here]
    for role in _PROGRAMS:
        entries = server.heartbeat.get(role) or []
        last = [str(entry["lastHeartbeat"]) for entry in entries if entry.get("lastHeartbeat")]
        heard.append(here and bool(entries) and (not last or service.now() - parse_time(max(last)) <= limit))
    return heard


def healthy(service: Service, server: Component) -> bool:
    """Whether the appliance and the programs on it are heard of."""
    return all(speaking(service, server))


def site_id(fabric: Fabric) -> str:
    """The Microsoft.OffAzure site whose machines are the discovered ones."""
    group = "/subscriptions/" + fabric.vault.split("/", 2)[2].split("/providers/")[0]
    return f"{group}{OFFAZURE}{last_segment(fabric.vault)}{stable_guid(fabric.vault, 'site')[:4]}vmwaresite"


def machine_name(fabric: Fabric, machine: Json) -> str:
    """`<vCenter>_<machine>`, as in `fabricDiscoveryMachineId` (DIS-013)."""
    return f"{machine.get('vCenterId')}_{machine['machineId']}"


def account_name(server: Component, account: Json) -> str:
    return stable_guid(server.vault, server.machine_id, "account", str(account.get("accountId")))


# reading --------------------------------------------------------------------------------------------------------------


def _role(server: Component, one: str, health: str) -> Json:
    return {
        "id": one,
        "name": server.name,
        "biosId": server.machine_id,
        "fabricObjectId": None,
        "fqdn": server.name,
        "version": server.version,
        "lastHeartbeatUtc": whole_seconds(server.seen),
        "health": health,
        "healthErrors": [],
    }


def details(service: Service, fabric: Fabric, *, thin: bool = False) -> Json:
    """customDetails of a fabric of appliances; `thin`: as in a list, with every agent array empty (asr-wire section 5)."""
    servers = [] if thin else service.servers(fabric)
    roles = {one.id: _own_role(service, fabric, one) for one in servers}
    identity = {"tenantId": None, "applicationId": fabric.internal, "objectId": None, "audience": fabric.id, "aadAuthority": None}
    return {
        "instanceType": MODERNIZED.fabric_type,
        "vmwareSiteId": site_id(fabric),
        "physicalSiteId": None,
        "serviceEndpoint": None,
        "serviceResourceId": None,
        "serviceContainerId": None,
        "dataPlaneUri": None,
        "controlPlaneUri": None,
        "sourceAgentIdentityDetails": None if thin else identity,
        "processServers": [
            _process_server(roles[one.id], entry) for one in servers for entry in one.heartbeat.get("processServers", [])
        ],
        **{name: list(roles.values()) for name in _PLAIN_ROLES},
        "dras": [_provider(service, fabric, one, roles[one.id]) for one in servers],
        "reprotectAgents": [
            _reprotect_agent(roles[one.id], one.heartbeat, entry)
            for one in servers
            for entry in one.heartbeat.get("masterTargets", [])
        ],
        "agentDetails": [],
    }


def _own_role(service: Service, fabric: Fabric, server: Component) -> Json:
    return _role(server, appliance_id(server, fabric), "Normal" if healthy(service, server) else "Critical")


def _provider(service: Service, fabric: Fabric, server: Component, role: Json) -> Json:
    """The service provider of an appliance, with how many machines it serves in each direction."""
    served = [is_forward(item) for item in fabric.items.values() if service.server_of(item) is server]
    counts = {"forwardProtectedItemCount": sum(served), "reverseProtectedItemCount": len(served) - sum(served)}
    return {name: value for name, value in role.items() if name not in ("fqdn", "fabricObjectId")} | counts


def _process_server(role: Json, entry: Json) -> Json:
    cached = int(entry.get("cacheBytes") or 0)
    return {
        **role,
        "totalMemoryInBytes": _MEMORY,
        "availableMemoryInBytes": _MEMORY // 2,
        "usedMemoryInBytes": _MEMORY // 2,
        "memoryUsagePercentage": 50.0,
        "totalSpaceInBytes": _SPACE,
        "availableSpaceInBytes": max(0, _SPACE - cached),
        "usedSpaceInBytes": min(cached, _SPACE),
        "freeSpacePercentage": round(100.0 * max(0, _SPACE - cached) / _SPACE, 2),
        "processorUsagePercentage": 0.0,
        "throughputStatus": "Healthy",
        "systemLoad": 0,
        "systemLoadStatus": "Healthy",
        "diskUsageStatus": "Healthy",
        "memoryUsageStatus": "Healthy",
        "processorUsageStatus": "Healthy",
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


def appliance_json(service: Service, fabric: Fabric, server: Component) -> Json:
    """An entry of replicationAppliances."""
    role, heartbeat = _own_role(service, fabric, server), server.heartbeat
    processes = [_process_server(role, entry) for entry in heartbeat.get("processServers", [])]
    agents = [_reprotect_agent(role, heartbeat, entry) for entry in heartbeat.get("masterTargets", [])]
    return {
        "id": appliance_id(server, fabric),
        "name": server.name,
        "fabricArmId": fabric.id,
        "processServer": next(iter(processes), None),
        "rcmProxy": role,
        "pushInstaller": role,
        "replicationAgent": role,
        "reprotectAgent": next(iter(agents), None),
        "marsAgent": role,
        "dra": _provider(service, fabric, server, role),
        "switchProviderBlockingErrorDetails": [],
    }


# enabling -------------------------------------------------------------------------------------------------------------


def discovered(fabric: Fabric, wanted: Any) -> Json | None:
    """The machine of a `fabricDiscoveryMachineId`, or None (DIS-013)."""
    for machine in fabric.machines.values():
        if same(str(wanted), f"{site_id(fabric)}/machines/{machine_name(fabric, machine)}"):
            return machine
    return None


def account_of(server: Component, wanted: str | None) -> str:
    """The appliance's own id of a run-as account; empty when none is wanted. Raises `Failure`."""
    if not wanted:
        return ""
    for account in server.run_as_accounts:
        if last_segment(wanted).lower() in (account_name(server, account), str(account.get("accountId")).lower()):
            return str(account.get("accountId"))
    raise Failure("malformed", f"The appliance has no run-as account '{last_segment(wanted)}'.")


def target(server: Component, fabric: Fabric, given: Json) -> Json:
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
        "runAsAccountId": account_of(server, read(given, "runAsAccountId", str)),
        "disksToInclude": included,
    }


# reprotecting ---------------------------------------------------------------------------------------------------------


def own_choice(service: Service, fabric: Fabric, item: Item, reverse: bool) -> Json:
    """Values for a recovery plan's reprotect, which carries none."""
    own = appliance_id(service.server_of(item), fabric)
    if not reverse:
        return {"processServerId": own, "policyId": item.forward_policy}
    stores = [str(disk["datastore"]) for disk in item.disks if disk.get("datastore")]
    return {
        "reprotectAgentId": own,
        "datastoreName": stores[0] if stores else "",
        "logStorageAccountId": item.settings["logAccountId"],
    }


def reprotect_inputs(service: Service, vault: Vault, fabric: Fabric, item: Item, given: Json, reverse: bool) -> Json:
    """What a reprotect needs: a healthy appliance and nothing else (RPR-025). Raises `Failure`."""
    wanted = read(given, "reprotectAgentId" if reverse else "processServerId", str, "")
    server = chosen(service, fabric, wanted)
    if not healthy(service, server):
        raise Failure("appliance-unhealthy")
    policy = _policy(vault, service, fabric, read(given, "policyId", str, ""), reverse)
    masters = server.heartbeat["masterTargets"]
    volumes = masters[0].get("retentionVolumes") or [{}]
    log = read(given, "logStorageAccountId", str)
    if log and service.azure.find(log) is None:
        raise Failure("storage-account-missing", f"The storage account '{last_segment(log)}' does not exist.")
    datastore = read(given, "datastoreName", str, "")
    if reverse and not datastore:
        raise Failure("malformed", "datastoreName is required.")
    return {
        "policyId": policy_path(vault, policy),
        "component": server.id,
        "processServerId": wanted,
        "masterTargetId": wanted,
        "runAsAccountId": account_of(server, read(given, "runAsAccountId", str)),
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
