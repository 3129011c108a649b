"""Reprotect: replication from Azure to the site after a committed failover, and to Azure again after a committed failback."""

import base64
from collections.abc import Callable
from typing import Any

from emulators.azure.arm import read
from emulators.azure.site_recovery import appliances, commit, enable
from emulators.azure.site_recovery.jobs import Cancelled, Job, JobTask, Work, begin, end
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Fabric, Item, Policy, Vault
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.scenarios import TaskName
from emulators.azure.site_recovery.service import Service, policy_path
from emulators.azure.site_recovery.states import is_forward
from emulators.azure.site_recovery.views import affected_details
from emulators.azure.site_recovery.wire import FORWARD, REVERSE, Json, same


def inputs(service: Service, vault: Vault, fabric: Fabric, item: Item, given: Json | None) -> Json:
    """What a reprotect needs, checked as far as the service can. Raises `Failure`.

    `given` is providerSpecificDetails of the call; None (a plan's call has no body) leaves the choice to the service.
    """
    reverse = is_forward(item)
    details = {**(_own_choice(service, fabric, item, reverse) if given is None else {}), **(given or {})}
    instance = str(details.get("instanceType") or "")
    needed_kind = _kind(item, reverse)
    if instance != needed_kind:
        raise Failure("malformed", f"Reprotecting this machine needs instanceType '{needed_kind}'.")
    if item.profile is MODERNIZED:
        return appliances.reprotect_inputs(service, vault, fabric, item, details, reverse)
    if reverse and service.rules.uefi_stays and str(item.protectable.get("firmware")).upper() == "EFI":
        raise Failure("uefi-failback-unsupported")  # CFG-011
    policy_id = read(details, "profileId", str) or read(details, "policyId", str)
    policy = _policy(service, vault, fabric, policy_id, service.rules.reverse_policy_provider if reverse else FORWARD)
    found: Json = {
        "policyId": policy_path(vault, policy),
        "processServerId": read(details, "processServerId", str, ""),
        "masterTargetId": read(details, "masterTargetId", str, ""),
        "runAsAccountId": read(details, "runAsAccountId", str),
        "retentionVolume": read(details, "retentionDrive", str, ""),
        "datastore": read(details, "datastoreName", str, ""),
        "logStorageAccountId": read(details, "logStorageAccountId", str),
    }
    needed = ("processServerId", "masterTargetId", "retentionVolume") if reverse else ("processServerId",)
    reasons = {"processServerId": "process-server-missing", "masterTargetId": "master-target-missing",
               "retentionVolume": "retention-volume-missing"}  # fmt: skip
    for name in needed:
        if not found[name]:
            raise Failure(reasons[name])
    return found


def _kind(item: Item, reverse: bool) -> str:
    """The instanceType of a reprotect: classic names the provider it goes to, modernized the one it comes from."""
    if item.profile is MODERNIZED:
        return item.profile.forward if reverse else item.profile.reverse
    return item.profile.reverse if reverse else item.profile.forward


def _policy(service: Service, vault: Vault, fabric: Fabric, policy_id: Any, provider: str) -> Policy:
    policy = service.policy_at(vault, policy_id)
    if policy is None:
        raise Failure("policy-not-mapped", "The policy does not exist.")
    if policy.provider != provider:  # RPR-004
        raise Failure("policy-wrong-kind")
    if not any(same(mapping.policy, policy_path(vault, policy)) for mapping in fabric.mappings.values()):
        raise Failure("policy-not-mapped")
    return policy


def _own_choice(service: Service, fabric: Fabric, item: Item, reverse: bool) -> Json:
    """Values for a recovery plan's reprotect, which carries none: what is registered, or what was used before."""
    if item.profile is MODERNIZED:
        return {"instanceType": _kind(item, reverse), **appliances.own_choice(service, fabric, item, reverse)}
    heartbeat = service.server(fabric).heartbeat
    if not reverse:
        return {
            "instanceType": FORWARD, "policyId": item.forward_policy, "processServerId": item.settings["processServerId"],
            "runAsAccountId": item.settings["runAsAccountId"],
        }  # fmt: skip
    vault = service.vaults[item.vault.lower()]
    mapped = [service.policy_at(vault, mapping.policy) for mapping in fabric.mappings.values()]
    policy = next((policy for policy in mapped if policy is not None and policy.provider == REVERSE), None)
    servers = sorted(heartbeat.get("processServers", []), key=lambda entry: entry.get("zone") != "azure")
    masters = heartbeat.get("masterTargets", [])
    fitting = [entry for entry in masters if str(entry.get("osType", "")).upper() == item.os_type] or masters
    volumes = fitting[0].get("retentionVolumes", []) if fitting else []
    stores = [str(disk["datastore"]) for disk in item.disks if disk.get("datastore")]
    in_azure = servers and servers[0].get("zone") == "azure"
    return {
        "instanceType": REVERSE,
        "profileId": policy_path(vault, policy) if policy is not None else "",
        "processServerId": str(servers[0].get("id")) if in_azure else "",
        "masterTargetId": str(fitting[0].get("id")) if fitting else "",
        "retentionDrive": str(volumes[0].get("volumeName")) if volumes else "",
        "datastoreName": stores[0] if stores else "",
    }


def reprotect(service: Service, item: Item, job: Job, wanted: Json, state: str) -> Work:
    """The tasks of a reprotect in either direction; after a failure the item is as before (ERR-005)."""
    vault, fabric = service.vaults[item.vault.lower()], service.fabric_of(item)
    reverse = is_forward(item)
    before, item.component = item.component, str(wanted.get("component") or item.component)
    try:
        yield from _reprotect(service, vault, fabric, item, job, wanted, reverse)
    except (Failure, Cancelled):
        item.component = before  # another appliance may be tried (RPR-025)
        raise
    # The first letter is small here, unlike in every other id (asr-wire section 3).
    job.details["newReplicationProtectedItemId"] = "/subscriptions/" + item.id.split("/", 2)[2]
    service.move(item, state)


def _reprotect(service: Service, vault: Vault, fabric: Fabric, item: Item, job: Job, wanted: Json, reverse: bool) -> Work:
    with job.task(0):
        yield from job.rest(1.0)
        server = service.need_server_of(item)
        if reverse:
            power = service.azure.power_state(item.azure.vm_id) if item.azure is not None else None
            if service.rules.azure_vm_must_run and power != "running":
                raise Failure("azure-vm-not-running")  # RPR-012
            if service.rules.checks_before_reverse:
                yield from service.ask(server, "prepare-reverse", _reverse_input(fabric, item, wanted), job=job)
    if item.state in ("failed-over", "failed-back"):  # modernized: what is not committed is committed first
        with job.task(1):
            yield from commit.settle(service, item, job)
    else:
        job.skip(1)
    with job.task(2):
        yield from job.rest(1.0)
    with job.task(3):
        yield from job.rest(1.0)
    with job.task(4) as task:
        work = _to_site if reverse else _to_azure
        yield from _as_child(service, vault, item, job, task, lambda child: work(service, vault, fabric, item, child, wanted))


def _as_child(service: Service, vault: Vault, item: Item, job: Job, task: JobTask, work: Callable[[Job], Work]) -> Work:
    """Run `work` as a job of its own that the task shows as its child."""
    child = service.new_job(
        vault, "EnableDr", (item.machine_id, item.friendly), activity=job.activity,
        details={"affectedObjectDetails": affected_details(service, item)},
    )  # fmt: skip
    child.restartable = False
    details = {
        "jobTask": {
            "jobId": child.arm_id, "jobFriendlyName": "Enable replication", "targetObjectId": item.machine_id,
            "targetObjectName": item.friendly, "targetInstanceType": "Vm", "jobScenarioName": "EnableDr",
        },
        "instanceType": "JobTaskDetails",
    }  # fmt: skip
    shown = JobTask(TaskName("EnableDr", item.friendly, item.friendly), kind="JobTaskDetails", details=details)
    task.kind, task.details, task.group, task.children = "GroupTaskDetails", None, {"instanceType": "GroupTaskDetails"}, [shown]
    task.name = TaskName(task.name.id, task.name.name, f"{task.name.friendly} (1)")
    begin(shown, service.now())
    service.run(child, work)
    while not child.done:
        yield 1.0
        child.cancel_asked = child.cancel_asked or job.cancel_asked
    good = child.failure is None and child.state == "Succeeded"
    end(shown, child.state, "Completed" if good else child.state, service.now())
    if child.failure is not None:
        raise child.failure
    if not good:
        raise Cancelled


def _reverse_input(fabric: Fabric, item: Item, wanted: Json) -> Json:
    """What `prepare-reverse` and `protect-reverse` have in common."""
    return {
        "machineId": item.machine_id,
        "infrastructureId": item.protectable.get("infrastructureId"),
        "name": item.friendly,
        "osType": item.os_type,
        "masterTargetId": wanted["masterTargetId"],
        "processServerId": wanted["processServerId"],
        "retentionVolume": wanted["retentionVolume"],
        "datastore": wanted["datastore"],
        "group": enable.group_of(fabric, item),
        "disks": [{"diskId": disk["diskId"], "unit": disk.get("unit", 0), "sizeBytes": disk["sizeBytes"]} for disk in item.disks],
    }


def _to_site(service: Service, vault: Vault, fabric: Fabric, item: Item, job: Job, wanted: Json) -> Work:
    with job.task(0):
        yield from job.rest(1.0)
    with job.task(1):
        before = item.policy
        item.policy = wanted["policyId"]
        try:
            policy = enable.protocol_policy(service, vault, item)
            wish = {
                **_reverse_input(fabric, item, wanted),
                "generation": item.generation + 1,
                "direction": "reverse",
                "policy": policy,
                "dataKey": base64.b64encode(service.clock.random_bytes(32)).decode(),
            }
            yield from service.ask(service.need_server_of(item), "protect-reverse", wish, job=job)
        except (Failure, Cancelled):
            item.policy = before
            raise
    _turn(item)
    item.forward_policy, item.reverse = before, wanted
    for index in (2, 3, 4):
        with job.task(index):
            yield from job.rest(0.5)


def _to_azure(service: Service, vault: Vault, fabric: Fabric, item: Item, job: Job, wanted: Json) -> Work:
    with job.task(0):
        yield from job.rest(1.0)
        service.replica_worker(vault)
    settings, before = dict(item.settings), (item.policy, item.generation)
    with job.task(1):
        item.policy, item.generation = wanted["policyId"], item.generation + 1
        item.settings["processServerId"] = wanted["processServerId"]
        item.settings["runAsAccountId"] = wanted["runAsAccountId"] or item.settings["runAsAccountId"]
        item.settings["logAccountId"] = wanted["logStorageAccountId"] or item.settings["logAccountId"]
        item.machine = {}
        keep = service.rules.forward_keeps_replica
        try:
            yield from enable.replicate(service, vault, fabric, item, job, keep=keep, install=True)
        except (Failure, Cancelled):
            item.settings, (item.policy, item.generation) = settings, before
            raise
    item.generation -= 1
    _turn(item)
    item.forward_policy = item.policy
    for index in (2, 3, 4):
        with job.task(index):
            yield from job.rest(0.5)


def _turn(item: Item) -> None:
    """The item replicates in the other direction from now on: nothing of the last one counts any more."""
    item.generation += 1
    item.machine, item.points, item.worker, item.reverse = {}, {}, {}, {}
    item.protected_since, item.finalized, item.point_id = None, False, None
