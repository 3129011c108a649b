"""Commit of a failover in both directions, and changing the recovery point before it."""

from emulators.azure.site_recovery import failover, targets
from emulators.azure.site_recovery.failover import Run
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.records import Item
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.states import is_forward


def commit(service: Service, item: Item, job: Job, state: str) -> Work:
    """Finalise a failover: forward all recovery points go (FO-016), backward the Azure machine (FB-005)."""
    with job.task(0):
        yield from job.rest(1.0)
    with job.task(1):
        yield from settle(service, item, job)
    service.move(item, state)


def settle(service: Service, item: Item, job: Job) -> Work:
    """What a commit does in the direction of the item."""
    if is_forward(item):
        yield from _drop_points(service, item, job)
    else:
        yield from _drop_machine(service, item, job)


def _drop_points(service: Service, item: Item, job: Job) -> Work:
    kept = service.rules.commit_keeps(list(item.points.values()))
    if not kept:
        worker = service.replica_worker(service.vaults[item.vault.lower()])
        yield from service.ask(worker, "commit", {"machineId": item.machine_id}, job=job)
    item.points = {point.id: point for point in kept}
    service.observe("points-dropped", item.id, kept=len(kept))


def _drop_machine(service: Service, item: Item, job: Job) -> Work:
    server = service.need_server_of(item)
    yield from service.ask(server, "commit-reverse", {"machineId": item.machine_id}, job=job)
    if item.azure is not None and service.rules.failback_commit_deletes_vm:
        yield from targets.remove(service, item, item.azure)
    item.azure = None


def change_point(run: Run, state: str) -> Work:
    """Replace the failed-over machine by one made from another point (FO-017)."""
    service, item, job = run.service, run.item, run.job
    with job.task(0):
        yield from job.rest(1.0)
        run.point = failover.choose(service, item, failover.CUSTOM, run.point_id)
    with job.task(1):
        run.placement = yield from targets.promote(service, item, run.wanted, run.point.id, job=job)
        if item.azure is not None:
            old, item.azure = item.azure, None
            yield from targets.remove(service, item, old)
    yield from failover.start(run, 2)
    failover.complete(run, state)
