"""The ways out of protection: disable, purge, complete migration; and the manual resynchronization."""

from emulators.azure.site_recovery import replica_workers
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.records import Item
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.service import Service


def disable(service: Service, item: Item, job: Job) -> Work:
    """Stop replicating, at both ends, and forget the item. An Azure machine stays (DSB-001, DSB-004)."""
    vault = service.vaults[item.vault.lower()]
    with job.task(0):
        yield from job.rest(1.0)
        server = service.need_server_of(item)
    with job.task(1):
        wish = {"machineId": item.machine_id, "uninstall": service.rules.disable_uninstalls}
        yield from service.ask(server, "unprotect", wish, job=job)
        worker = service.replica_worker(vault)
        yield from service.ask(worker, "forget", {"machineId": item.machine_id}, job=job)
        forget(service, item)


def complete_migration(service: Service, item: Item, job: Job) -> Work:
    """End replication for good; the Azure machine lives on (FO-020)."""
    vault = service.vaults[item.vault.lower()]
    with job.task(0):
        server = service.server_of(item)
        if service.connected(server):
            service.hand(server, "unprotect", {"machineId": item.machine_id, "uninstall": service.rules.disable_uninstalls})
        yield from service.ask(service.replica_worker(vault), "forget", {"machineId": item.machine_id}, job=job)
        forget(service, item)


def purge(service: Service, item: Item, job: Job) -> Work:
    """Forget the item in the service only; the configuration server keeps what it has (DSB-002)."""
    with job.task(0):
        yield from job.rest(1.0)
    with job.task(1):
        try:
            worker = service.replica_worker(service.vaults[item.vault.lower()])
            service.hand(worker, "forget", {"machineId": item.machine_id})
        except Failure as failure:
            service.observe("forget-skipped", item.id, reason=failure.reason)
        forget(service, item)


def resynchronize(service: Service, item: Item, job: Job) -> Work:
    with job.task(0):
        server = service.need_server_of(item)
        yield from service.ask(server, "resynchronize", {"machineId": item.machine_id}, job=job)


def forget(service: Service, item: Item) -> None:
    replica_workers.forgotten(service, service.vaults[item.vault.lower()], item)
    service.fabric_of(item).items.pop(item.name.lower(), None)
    for plan in service.vaults[item.vault.lower()].plans.values():
        for group in plan.groups:
            group["items"] = [entry for entry in group["items"] if entry["id"].lower() != item.id.lower()]
    service.observe("item-removed", item.id, machine=item.machine_id)
