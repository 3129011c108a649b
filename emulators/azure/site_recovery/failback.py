"""Failback: the unplanned failover of a machine that replicates from Azure to the site (FB-001 to FB-005, FB-010)."""

from emulators.azure.site_recovery import health, targets
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.profiles import CLASSIC, MODERNIZED
from emulators.azure.site_recovery.records import Item
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.service import Service

LATEST_TIME, LATEST_TAG, CUSTOM = "LatestTime", "LatestTag", "Custom"


#: What a planned failover may be asked for (FB-003). Either is made after the trigger.
CRASH_CONSISTENT, APP_CONSISTENT = "CrashConsistent", "ApplicationConsistent"


def preflight(service: Service, item: Item, job: Job, choice: str) -> Work:
    with job.task(0):
        yield from job.rest(1.0)
        service.need_server_of(item)
        if not service.rules.reverse_ready(item.machine):
            raise Failure("no-recovery-point", "The machine has no recovery point on the site yet.")  # FB-001
        if choice == LATEST_TAG:  # FB-002: the reverse direction reports crash-consistent tags only
            raise Failure("no-recovery-point", "The machine has no application-consistent recovery point on the site.")


def stop_in_azure(service: Service, item: Item, job: Job) -> Work:
    """The Azure machine is shut down before anything is detached: never do both run (FB-004)."""
    if item.profile is MODERNIZED:
        with job.task(1):
            yield from job.rest(1.0)
    with job.task(2 if item.profile is MODERNIZED else 1):
        if item.azure is not None and service.rules.failback_stops_azure_vm:
            yield from targets.stop(service, item.azure.vm_id)
        yield from job.rest(1.0)


def settle(service: Service, item: Item, job: Job) -> Work:
    with job.task(3 if item.profile is MODERNIZED else 2):
        server = service.need_server_of(item)
        yield from service.ask(server, "settle-reverse", {"machineId": item.machine_id}, job=job)


def bring_home(service: Service, item: Item, job: Job, choice: str, point_id: str) -> Work:
    """Detach the disks from the master target, attach them to the machine, power it on."""
    server = service.need_server_of(item)
    if item.profile is not MODERNIZED:
        with job.task(3):
            yield from job.rest(1.0)
    with job.task(4):
        wish = {
            "machineId": item.machine_id,
            "infrastructureId": item.protectable.get("infrastructureId"),
            "pointChoice": f"{CUSTOM}:{point_id}" if choice == CUSTOM else (choice if item.profile is CLASSIC else LATEST_TIME),
        }
        yield from service.ask(server, "fail-back", wish, job=job)


def complete(service: Service, item: Item, job: Job, state: str) -> None:
    item.last_failover = job.start
    item.reverse |= {"plannedStart": job.start, "plannedStatus": "Succeeded"}
    item.health, item.health_name = {}, "Normal"
    service.move(item, state)


def cancel(service: Service, item: Item, job: Job, state: str) -> Work:
    """FB-008: the machine on premises goes off and loses what it wrote, its disks go to the appliance, Azure goes on."""
    server = service.server_of(item)
    with job.task(0):
        yield from job.rest(1.0)
        service.need_server_of(item)
        if item.azure is None or service.azure.find(item.azure.vm_id) is None:
            raise Failure("azure-vm-not-running", "The Azure virtual machine does not exist any more.")
    with job.task(1):
        yield from service.ask(server, "cancel-failback", {"machineId": item.machine_id}, job=job)
    with job.task(2):
        yield from job.rest(1.0)
    with job.task(3):
        yield from service.azure.run("POST", f"{item.azure.vm_id}/start", None, "azure-vm-not-running")
    item.reverse |= {"plannedStatus": "Cancelled"}
    item.protected_since = service.now()
    service.move(item, state)
    health.evaluate(service, service.vaults[item.vault.lower()], service.fabric_of(item), item)


def take_back(service: Service, item: Item) -> Work:
    """After a failed failback the machine goes on in Azure; an appliance gets its disks again by itself (FB-008)."""
    server = service.server_of(item)
    if item.profile is MODERNIZED and service.connected(server):
        try:
            yield from service.ask(server, "cancel-failback", {"machineId": item.machine_id})
        except Failure as failure:
            service.observe("cancel-failed", item.id, reason=failure.reason)
    yield from restart_in_azure(service, item)


def restart_in_azure(service: Service, item: Item) -> Work:
    """After a failed failback the machine goes on in Azure."""
    if item.azure is not None and service.azure.power_state(item.azure.vm_id) not in ("running", None):
        try:
            yield from service.azure.run("POST", f"{item.azure.vm_id}/start", None, "azure-vm-not-running")
        except Failure as failure:
            service.observe("restart-failed", item.id, reason=failure.reason)


def fail_back(service: Service, item: Item, job: Job, choice: str, point_id: str, state: str) -> Work:
    """A whole failback of one item."""
    yield from preflight(service, item, job, choice)
    try:
        yield from stop_in_azure(service, item, job)
        yield from settle(service, item, job)
        yield from bring_home(service, item, job, choice, point_id)
    except Failure:
        yield from take_back(service, item)
        item.reverse |= {"plannedStart": job.start, "plannedStatus": "Failed"}
        raise
    complete(service, item, job, state)
