"""Failover to Azure in phases, each a task of the job: one item runs them in a row, a plan all machines in step (PLAN-005)."""

from dataclasses import dataclass

from emulators.azure.site_recovery import targets
from emulators.azure.site_recovery.jobs import Cancelled, Job, Work
from emulators.azure.site_recovery.records import Component, Item, Placement, Point
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import Json
from emulators.clock import iso

#: How long a failover waits for the site to shut down or to send what it still has. It goes on without (FO-004, FO-012).
SITE_PATIENCE = 10 * 60.0

LATEST, PROCESSED, APP, CRASH, CUSTOM = (
    "Latest",
    "LatestProcessed",
    "LatestApplicationConsistent",
    "LatestCrashConsistent",
    "Custom",
)


@dataclass(slots=True)
class Run:
    """One failover of one item. `first` is the index of the job's first task; a test run has no shutdown and no synchronizing."""

    service: Service
    item: Item
    job: Job
    choice: str
    point_id: str = ""
    shutdown: bool = False
    test: bool = False
    network_id: str = ""
    subnet: str = ""
    up_to: int | None = None
    point: Point | None = None
    placement: Placement | None = None
    stopped: bool = False

    @property
    def wanted(self) -> targets.Wanted:
        settings = self.item.settings
        name = self.service.rules.test_name(settings["vmName"]) if self.test else settings["vmName"]  # TFO-006
        return targets.Wanted(name, self.network_id or settings["networkId"], self.subnet or settings["subnet"], self.test)

    def server(self) -> Component | None:
        """The configuration server while it is connected."""
        server = self.service.server_of(self.item)
        return server if self.service.connected(server) else None


def preflight(run: Run) -> Work:
    """Check what can be known before anything is touched."""
    service, item = run.service, run.item
    with run.job.task(0):
        yield from run.job.rest(1.0)
        service.replica_worker(service.vaults[item.vault.lower()])
        if not service.rules.failover_without_site:
            service.need_server_of(item)
        names = targets.subnets(service, run.wanted.network_id)
        if run.test:
            run.subnet = service.rules.test_subnet(names, item.settings["subnet"]) or ""  # TFO-007
        if run.wanted.subnet.lower() not in [name.lower() for name in names]:
            raise Failure("network-missing", f"The virtual network has no subnet '{run.wanted.subnet}'.")
        if service.azure.find(
            f"{item.settings['resourceGroupId']}/providers/Microsoft.Compute/virtualMachines/{run.wanted.vm_name}"
        ):
            raise Failure("azure-vm-not-created", f"A virtual machine named '{run.wanted.vm_name}' exists already.")
        if run.choice != LATEST:
            run.point = choose(service, item, run.choice, run.point_id)


def choose(service: Service, item: Item, choice: str, point_id: str = "") -> Point:
    """The recovery point of a choice that exists already. Raises `Failure`."""
    if choice == CUSTOM:
        point = item.points.get(point_id)
        if point is None:
            raise Failure("recovery-point-unknown")  # FO-010
        return point
    kind = {APP: "ApplicationConsistent", CRASH: "CrashConsistent"}.get(choice)
    points = [point for point in item.points.values() if kind is None or point.kind == kind]
    newest = service.rules.choose(points)
    if newest is None:
        raise Failure("no-recovery-point", f"{item.friendly} has no recovery point of the kind {choice}.")  # FO-008
    chosen: Point = newest
    return chosen


def shut_down(run: Run) -> Work:
    """Shut the source down where asked. Best effort: the failover goes on when it fails (FO-012)."""
    server = run.server()
    if not run.shutdown or server is None:
        run.job.skip(1)
        return
    wish = {"machineId": run.item.machine_id, "infrastructureId": run.item.protectable.get("infrastructureId")}
    with run.job.task(1) as task:
        try:
            yield from run.service.ask(server, "shut-down", wish, job=run.job, patience=SITE_PATIENCE)
        except Failure as failure:
            if run.service.rules.shutdown_failure_stops:
                raise
            run.service.observe("shutdown-failed", run.item.id, reason=failure.reason)
            task.details = {"instanceType": "TaskDetails"}


def synchronize(run: Run) -> Work:
    """For Latest: have everything uploaded that agent and process server still hold, if the site can be reached (FO-005)."""
    server = run.server()
    if run.choice != LATEST or server is None:
        run.job.skip(2)
        return
    with run.job.task(2):
        try:
            output = yield from run.service.ask(
                server, "sync", {"machineId": run.item.machine_id}, job=run.job, patience=SITE_PATIENCE
            )
            run.up_to = output.get("lastSequence")
        except Failure as failure:
            run.service.observe("sync-failed", run.item.id, reason=failure.reason)


def prepare(run: Run, task: int) -> Work:
    """Stop the replication (FO-014), settle on the recovery point, and copy it to disks of its own."""
    service, item = run.service, run.item
    with run.job.task(task):
        server = run.server()
        if not run.test and server is not None:
            run.stopped = True
            try:
                wish = {"machineId": item.machine_id, "uninstall": False}
                yield from service.ask(server, "stop", wish, job=run.job, patience=SITE_PATIENCE)
            except Failure as failure:
                service.observe("stop-failed", item.id, reason=failure.reason)
        if run.choice == LATEST:
            run.point = yield from _settle(run)
        assert run.point is not None, "every other choice was made before"
        run.placement = yield from targets.promote(service, item, run.wanted, run.point.id, job=run.job)
        service.observe("promoted", item.id, point=run.point.id, time=iso(run.point.time), test=run.test)


def _settle(run: Run) -> Work:
    """Process what has been received into a point (FO-005)."""
    service, item = run.service, run.item
    worker = service.replica_worker(service.vaults[item.vault.lower()])
    wish = {"machineId": item.machine_id, "upToSequence": run.up_to, "makePoint": service.rules.latest_makes_point}
    output = yield from service.ask(worker, "settle", wish, job=run.job)
    point_id = str(output.get("pointId") or "")
    if not point_id:
        raise Failure("no-recovery-point")
    known = item.points.get(point_id)
    return known or Point(point_id, service.now(), "CrashConsistent")


def start(run: Run, task: int) -> Work:
    """Create and start the Azure virtual machine (FO-013)."""
    assert run.placement is not None, "prepare comes first"
    with run.job.task(task):
        if run.item.os_type == "LINUX" or run.item.protectable.get("vCenterId") is None:  # FO-019
            yield from run.job.rest(run.service.rules.conversion_seconds)
        yield from targets.create(run.service, run.item, run.wanted, run.placement)
        run.job.check()


def undo(run: Run) -> Work:
    """After a failure: take away what was made, and let replication go on where it was stopped."""
    service, item = run.service, run.item
    if run.placement is not None:
        try:
            yield from targets.remove(service, item, run.placement)
        except Failure as failure:
            service.observe("cleanup-failed", item.id, reason=failure.reason)
    server = run.server()
    if run.stopped and server is not None and "protect" in item.settings:
        service.hand(server, "protect", {**item.settings["protect"], "install": False})


def complete(run: Run, state: str) -> None:
    """The item is failed over."""
    assert run.point is not None, "start comes after prepare"
    item = run.item
    item.azure, item.point_id = run.placement, f"{item.id}/recoveryPoints/{run.point.id}"
    item.last_failover = run.job.start
    item.test_job = None
    item.health, item.health_name = {}, "Normal"
    run.job.details["protectedItemDetails"] = [item_details(run)]
    run.service.move(item, state)


def item_details(run: Run) -> Json:
    """protectedItemDetails of failover and test failover jobs."""
    point, name = run.point, run.wanted.vm_name
    return {
        "name": run.item.machine_id,
        "friendlyName": run.item.friendly,
        "testVmName": name if run.test else None,
        "testVmFriendlyName": name if run.test else None,
        "networkConnectionStatus": "Connected",
        "networkFriendlyName": run.wanted.network_id.rsplit("/", 1)[-1],
        "subnet": run.wanted.subnet,
        "recoveryPointId": f"{run.item.id}/recoveryPoints/{point.id}" if point is not None else None,
        "recoveryPointTime": iso(point.time) if point is not None else None,
    }


def fail_over(run: Run, state: str) -> Work:
    """A whole unplanned failover of one item."""
    try:
        yield from preflight(run)
        yield from shut_down(run)
        yield from synchronize(run)
        yield from prepare(run, 3)
        yield from start(run, 4)
    except Failure:
        yield from undo(run)
        raise
    except Cancelled:
        yield from abandon(run)
        raise
    complete(run, state)


def abandon(run: Run) -> Work:
    """A forward failover that is cancelled leaves the machine without replication (FO-018)."""
    server = run.server()
    if server is not None:
        run.service.hand(server, "stop", {"machineId": run.item.machine_id, "uninstall": False})
    run.stopped = False
    yield from undo(run)
    run.service.move(run.item, "failover-cancelled")
