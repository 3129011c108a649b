"""Test failover and its cleanup: a machine beside production, and away again without a trace (TFO-001 to TFO-013)."""

from emulators.azure.site_recovery import failover, health, targets
from emulators.azure.site_recovery.failover import Run
from emulators.azure.site_recovery.jobs import Cancelled, Job, Work
from emulators.azure.site_recovery.records import Item
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import Json, last_segment

WAITING = "WaitingForStopTestFailover"


def details(network_id: str, comments: str = "") -> Json:
    """customDetails of a test failover job at its start."""
    return {
        "testFailoverStatus": None,
        "comments": comments,
        "networkName": last_segment(network_id) or None,
        "networkFriendlyName": last_segment(network_id) or None,
        "networkType": "VmNetworkAsInput",
        "protectedItemDetails": [],
    }


def test_failover(run: Run) -> Work:
    """Make the test machine. Afterwards job and item wait for the cleanup (TFO-003, TFO-004)."""
    try:
        yield from prepare(run)
        yield from failover.start(run, 3)
    except (Failure, Cancelled):
        yield from failover.undo(run)
        raise
    wait_for_cleanup(run)
    run.job.suspend(WAITING)


def prepare(run: Run) -> Work:
    """The steps before the machine is started (TFO-010)."""
    yield from failover.preflight(run)
    with run.job.task(1):
        if run.shutdown and run.service.rules.test_shuts_down:
            server = run.server()
            if server is not None:
                yield from run.service.ask(server, "shut-down", {"machineId": run.item.machine_id}, job=run.job)
        yield from run.job.rest(1.0)
    yield from failover.prepare(run, 2)


def wait_for_cleanup(run: Run) -> None:
    item = run.item
    item.test, item.test_job, item.last_test = run.placement, run.job, None
    item.test_state = ("WaitingForCompletion", "Waiting for user input")
    if run.point is not None:
        item.point_id = f"{item.id}/recoveryPoints/{run.point.id}"
    run.job.details.update(testFailoverStatus="Active", protectedItemDetails=[failover.item_details(run)])
    run.service.move(item, "cleanup-pending")


def clean_up(service: Service, item: Item, job: Job, comments: str, state: str) -> Work:
    """Delete what the test made, and end the test's job."""
    with job.task(0):
        yield from job.rest(1.0)
    with job.task(1):
        yield from job.rest(1.0)
    with job.task(2):
        if item.test is not None and service.rules.cleanup_deletes:
            yield from targets.remove(service, item, item.test)
    ended = item.test_job
    item.test, item.test_job = None, None
    item.test_state = ("MarkedForDeletion", "Cleaning up test environment")  # TFO-013: it stays so
    item.last_test = job.start
    item.drill_done = True  # TFO-011
    if ended is not None and not ended.done:
        ended.details.update(comments=comments, testFailoverStatus="Completed")
        ended.finish("Succeeded", "Completed")
    service.move(item, state)
    health.evaluate(service, service.vaults[item.vault.lower()], service.fabric_of(item), item)
