"""Enabling protection: what must be there, the item, and the job that has the components start replicating."""

import base64
import re
from collections.abc import Callable

from emulators.azure.arm import Answer, Call, read
from emulators.azure.compute.kinds import SIZES
from emulators.azure.site_recovery import appliances, eligibility, process_servers, replica_workers, target_nics, targets
from emulators.azure.site_recovery.containers import readiness
from emulators.azure.site_recovery.jobs import Cancelled, Job, Work
from emulators.azure.site_recovery.profiles import BY_PROVIDER, CLASSIC, MODERNIZED
from emulators.azure.site_recovery.records import Component, Fabric, Item, Policy, Vault
from emulators.azure.site_recovery.refusals import Failure, refuse
from emulators.azure.site_recovery.replication import protect_if_ready
from emulators.azure.site_recovery.service import Service, policy_path
from emulators.azure.site_recovery.views import affected_details
from emulators.azure.site_recovery.wire import RCM, Json, last_segment, same, stable_guid

#: Azure's rule for the name of a virtual machine (CFG-006).
_NAME = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$")

#: What the service picks where no size is named, the first that holds the machine.
_SIZES = ("Standard_F2s_v2", "Standard_F4s_v2", "Standard_D8s_v3")


#: Minutes of retention of a policy that has no such field: those for failback of appliances.
_FAILBACK_HISTORY = 1440


def valid_name(name: str) -> bool:
    """Whether a virtual machine in Azure may be called so (CFG-006)."""
    return _NAME.match(name) is not None


def enable(service: Service, call: Call, fabric: Fabric, result: Callable[[Item], Json]) -> Answer:
    """PUT of a protected item. Raises `Refusal` when something it needs is missing; then nothing has changed (TOP-001)."""
    vault = service.vault(call)
    name, body = call["itemName"], call.content()
    given = read(body, "properties.providerSpecificDetails", dict, required=True)
    if read(given, "instanceType", str, required=True) != fabric.profile.forward:
        text = f"Protection is enabled with {fabric.profile.forward} here."
        raise refuse("scenario-unsupported", text, activity=call.correlation_id)
    existing = fabric.items.get(name.lower())
    if existing is not None:
        raise refuse("item-exists", f"The protected item '{name}' exists already.", activity=call.correlation_id)
    policy = _policy(service, call, vault, fabric, body)
    machine = _machine(service, call, fabric, body)
    appliance: Component | None = None
    try:
        if fabric.profile is MODERNIZED:
            appliance = appliances.chosen(service, fabric, read(given, "processServerId", str, ""))
            given = appliances.target(appliance, fabric, given)
        settings = _settings(service, vault, machine, given, policy)
        if service.rules.check_rights:
            eligibility.check_rights(service, call, settings)
    except Failure as failure:
        raise refuse(failure.reason, failure.message, activity=call.correlation_id) from None
    item = _item(service, vault, fabric, name, machine, settings, given, policy)
    item.component = appliance.id if appliance is not None else ""
    fabric.items[name.lower()] = item
    service.observe("item-state", item.id, before="", state=item.state, machine=item.machine_id)
    return service.start(
        call,
        vault,
        "EnableDr",
        (item.machine_id, item.friendly),
        lambda job: _work(service, vault, fabric, item, job),
        details={"affectedObjectDetails": affected_details(service, item)},
        resource=item.id,
        occupies=[item],
        result=lambda: Answer(200, result(item)),
    )


def _policy(service: Service, call: Call, vault: Vault, fabric: Fabric, body: Json) -> Policy:
    policy = service.policy_at(vault, read(body, "properties.policyId", str, required=True))
    if policy is None:
        raise refuse("policy-not-mapped", "The policy does not exist.", activity=call.correlation_id)
    if policy.provider != fabric.profile.forward:
        raise refuse("policy-wrong-kind", activity=call.correlation_id)
    mapped = any(same(mapping.policy, policy_path(vault, policy)) for mapping in fabric.mappings.values())
    if service.rules.policy_must_be_mapped and not mapped:
        raise refuse("policy-not-mapped", activity=call.correlation_id)
    return policy


def _machine(service: Service, call: Call, fabric: Fabric, body: Json) -> Json:
    modernized = fabric.profile is MODERNIZED
    field = "providerSpecificDetails.fabricDiscoveryMachineId" if modernized else "protectableItemId"
    wanted = str(read(body, f"properties.{field}", str, required=True))
    machine = appliances.discovered(fabric, wanted) if modernized else _protectable(fabric, wanted)
    if machine is None:
        reason = "unknown-machine" if fabric.vcenters or fabric.machines else "no-vcenter"
        text = f"There is no {'discovered machine' if modernized else 'protectable item'} '{last_segment(wanted)}'."
        raise refuse(reason, text, activity=call.correlation_id)
    taken = [item for vault in service.vaults.values() for item in vault.items() if item.machine_id == machine["machineId"]]
    if taken:  # DIS-004, CFG-019
        raise refuse(
            "already-protected", f"{machine.get('name')} is already protected as '{taken[0].name}'.", activity=call.correlation_id
        )
    errors = readiness(machine)
    if errors:
        raise refuse("not-protectable", f"{machine.get('name')}: {', '.join(errors)}.", activity=call.correlation_id)
    return machine


def _protectable(fabric: Fabric, wanted: str) -> Json | None:
    machine = fabric.machines.get(last_segment(wanted).lower())
    if machine is None or not same(wanted, f"{fabric.container_id}/replicationProtectableItems/{machine['machineId']}"):
        return None
    return machine


def _settings(service: Service, vault: Vault, machine: Json, given: Json, policy: Policy) -> Json:
    """The target and the servers, checked. Raises `Failure`."""
    group = read(given, "targetAzureV2ResourceGroupId", str, "/".join(vault.id.split("/")[:5]))
    group = "/subscriptions/" + group.strip("/").split("/", 1)[1]
    if service.azure.find(group) is None:
        raise Failure("target-missing", f"The resource group '{last_segment(group)}' does not exist.")
    log = read(given, "logStorageAccountId", str) or read(given, "storageAccountId", str)
    target = read(given, "storageAccountId", str) or log
    for wanted in (log, target):
        _near(service, vault, wanted, "storage account", "storage-account")
    account, cache = service.azure.find(target), service.azure.find(log)
    assert account is not None, "it was found just now"
    assert cache is not None, "it was found just now"
    eligibility.check_accounts(account, cache)
    limit = service.rules.history_limit(str(account.body.get("sku", {}).get("name", "")))
    if BY_PROVIDER[policy.provider] is CLASSIC and _history(policy) > limit:  # RPT-005
        raise Failure("policy-invalid", f"The storage account holds recovery points for at most {limit} minutes.")
    network = read(given, "targetAzureNetworkId", str)
    _near(service, vault, network, "virtual network", "network")
    subnet = last_segment(read(given, "targetAzureSubnetId", str))
    names = targets.subnets(service, network)
    if not subnet and names and policy.provider == RCM:
        subnet = names[0]  # some tools name subnets only afterwards, with the cards
    if subnet.lower() not in [name.lower() for name in names]:
        raise Failure("network-missing", f"The virtual network has no subnet '{subnet}'.")
    vm_name = str(read(given, "targetAzureVmName", str) or machine.get("name"))
    if not valid_name(vm_name):
        raise Failure("name-invalid", f"'{vm_name}' is not a valid name of an Azure virtual machine.")
    named = [str(disk.get("diskId", "")).lower() for disk in read(given, "disksToInclude", list, []) if isinstance(disk, dict)]
    eligibility.included(machine, named)
    return {
        "processServerId": read(given, "processServerId", str, ""),
        "masterTargetId": read(given, "masterTargetId", str),
        "runAsAccountId": read(given, "runAsAccountId", str),
        "networkId": network,
        "subnet": subnet,
        "nics": target_nics.initial(machine.get("nics") or [], subnet),
        "vmName": vm_name,
        "vmSize": read(given, "targetVmSize", str) or _size(machine),
        "resourceGroupId": group,
        "logAccountId": log,
        "targetAccountId": target,
        "rdp": read(given, "enableRdpOnTargetOption", str, "Never"),
        "licenseType": read(given, "licenseType", str, "NotSpecified"),
        "include": named,
    }


def _size(machine: Json) -> str:
    """AVM-002: the first usual size, else the smallest there is, that holds the machine's disks, interfaces, cores and memory."""
    cores, data = int(machine.get("cpuCount") or 1), len(machine["disks"]) - 1
    nics, memory = len(machine.get("nics") or []), int(machine.get("memoryMB") or 0)
    usual = [SIZES[name.lower()] for name in _SIZES]
    for size in (*usual, *sorted(SIZES.values(), key=lambda size: (size.cores, size.memory_mb, size.name))):
        if all(
            have <= most
            for have, most in zip(
                (cores, data, nics, memory), (size.cores, size.data_disks, size.interfaces, size.memory_mb), strict=True
            )
        ):
            return size.name
    return _SIZES[-1]


def _history(policy: Policy) -> int:
    """Minutes that recovery points of a forward policy are kept."""
    return int(policy.settings[BY_PROVIDER[policy.provider].history])


def _near(service: Service, vault: Vault, resource_id: str | None, what: str, word: str) -> None:
    """The resource exists and is in the vault's region (TOP-001, TOP-002)."""
    resource = service.azure.find(resource_id)
    if resource is None:
        raise Failure(f"{word}-missing", f"The {what} '{last_segment(resource_id)}' does not exist.")
    if not service.rules.same_region(vault.location, resource.location):
        text = f"The {what} '{resource.name}' is in {resource.location}, the vault in {vault.location}."
        raise Failure(f"{word}-in-other-region", text)


def _item(
    service: Service, vault: Vault, fabric: Fabric, name: str, machine: Json, settings: Json, given: Json, policy: Policy
) -> Item:
    friendly = str(machine.get("name") or name)
    included = eligibility.included(machine, settings["include"])
    disks = [
        {
            **disk,
            "isOsDisk": bool(disk.get("isOsDisk")),
            "blob": f"asrseeddisk-{_letters(friendly, 10)}-{_letters(str(disk.get('name', 'disk')), 8)}-{service.clock.uuid()}",
        }
        for disk in sorted(included, key=lambda disk: (not disk.get("isOsDisk"), int(disk.get("unit") or 0)))
    ]
    wanted = str(read(given, "multiVmGroupName", str, "") or "")
    group = stable_guid(fabric.id, "group", wanted) if wanted else service.clock.uuid()  # MVM-001, MVM-005
    return Item(
        vault=vault.id,
        fabric=fabric.name,
        container_id=fabric.container_id,
        name=name,
        machine_id=machine["machineId"],
        friendly=friendly,
        state="enabling",
        policy=policy_path(vault, policy),
        generation=1,
        disks=disks,
        nics=list(machine.get("nics") or []),
        os_type=str(machine.get("osType") or "WINDOWS").upper(),
        settings=settings,
        group_id=group,
        group_name=wanted or group,
        correlation=service.clock.uuid(),
        protectable=machine,
        forward_policy=policy_path(vault, policy),
        enabled=service.now(),
        profile=fabric.profile,
    )


def _work(service: Service, vault: Vault, fabric: Fabric, item: Item, job: Job) -> Work:
    try:
        with job.task(0):
            yield from job.rest(1.0)
            service.need_server_of(item)
            service.replica_worker(vault)
            _process_server(service, item)
            eligibility.check_machine(eligibility.Candidate(item.protectable, item.disks, item.profile, service.rules))
        with job.task(1):
            yield from replicate(service, vault, fabric, item, job, keep=False, install=True)
        with job.task(2):
            yield from job.rest(1.0)
        with job.task(3):
            service.move(item, "replicating")
            yield from job.rest(1.0)
        with job.task(4):
            yield from job.rest(1.0)
            protect_if_ready(service, vault, item)
    except (Failure, Cancelled):
        service.move(item, "enabling-failed")  # DSB-005
        raise


def _process_server(service: Service, item: Item) -> None:
    wanted = item.settings["processServerId"]
    known = service.server_of(item).heartbeat.get("processServers", [])
    found = next((entry for entry in known if same(str(entry.get("id")), wanted)), None)
    if found is None:
        raise Failure("process-server-missing", f"No process server '{wanted}' is registered.")
    if process_servers.is_critical(service, found):  # EVT-007
        raise Failure("process-server-unreachable", f"The process server '{found.get('name')}' is not healthy.")


def replicate(
    service: Service, vault: Vault, fabric: Fabric, item: Item, job: Job, *, keep: bool, install: bool, anew: bool = False
) -> Work:
    """Have replica worker and configuration server start the forward replication of an item's current generation.

    `anew`: the agent is installed even where the server knows one: it reports to another server now.
    """
    settings, policy = item.settings, protocol_policy(service, vault, item)
    key = base64.b64encode(service.clock.random_bytes(32)).decode()
    cache = service.azure.store(settings["logAccountId"])
    target = {**service.azure.store(settings["targetAccountId"]), "container": "asr-replicas"}
    disks = [{"diskId": disk["diskId"], "sizeBytes": disk["sizeBytes"], "blob": disk["blob"]} for disk in item.disks]
    wish = {
        "machineId": item.machine_id,
        "generation": item.generation,
        "disks": disks,
        "cache": cache,
        "target": target,
        "dataKey": key,
        "policy": policy,
        "keepReplica": keep,
    }
    worker = service.replica_worker(vault)
    yield from service.ask(worker, "replicate", wish, job=job)
    replica_workers.replicated(service, vault, item, worker, wish)
    settings["protect"] = {
        "machineId": item.machine_id,
        "generation": item.generation,
        "direction": "forward",
        "processServerId": settings["processServerId"],
        "runAsAccountId": settings["runAsAccountId"],
        "policy": policy,
        "group": group_of(fabric, item),
        "disks": [{"diskId": disk["diskId"], "unit": disk.get("unit", 0), "sizeBytes": disk["sizeBytes"]} for disk in item.disks],
        "cache": cache,
        "dataKey": key,
        "install": install,
        "anew": anew,
    }
    output = yield from service.ask(service.server_of(item), "protect", settings["protect"], job=job)
    settings["protect"] = {**settings["protect"], "anew": False}
    item.machine = {**item.machine, "agentVersion": output.get("agentVersion"), "agentId": output.get("agentId")}


def group_of(fabric: Fabric, item: Item) -> Json | None:
    """`group` of the component protocol: every member enabled so far."""
    if not item.shared:
        return None
    members = [other.machine_id for other in fabric.items.values() if other.group_id == item.group_id]
    return {"groupId": item.group_id, "members": members}


def protocol_policy(service: Service, vault: Vault, item: Item) -> Json:
    policy = service.policy_at(vault, item.policy)
    if policy is None:
        raise Failure("policy-not-mapped", "The policy of the item does not exist any more.")
    return {
        "crashConsistentMinutes": policy.settings.get("crashConsistentFrequencyInMinutes", 5),
        "appConsistentMinutes": policy.settings["appConsistentFrequencyInMinutes"],
        "retentionMinutes": policy.settings.get(BY_PROVIDER[policy.provider].history, _FAILBACK_HISTORY),
        "rpoThresholdMinutes": policy.settings.get("recoveryPointThresholdInMinutes", 0),
    }


def _letters(text: str, most: int) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", text)[:most] or "disk"
