"""Running a recovery plan: shutdown of all, failover of all in parallel, then boot group after boot group (PLAN-005)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from emulators.azure.arm import Refusal
from emulators.azure.site_recovery import failback, failover, test_failovers
from emulators.azure.site_recovery.failover import Run
from emulators.azure.site_recovery.jobs import Cancelled, Job, JobTask, Work, begin, end, under_lock
from emulators.azure.site_recovery.plan_actions import Action, ActionRun, Taking, action_task, run_action
from emulators.azure.site_recovery.records import Item, Plan, Vault
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.scenarios import SCENARIOS, TaskName
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.views import affected_details
from emulators.azure.site_recovery.wire import Json, stable_guid
from emulators.clock import iso

PRIMARY_TO_RECOVERY, RECOVERY_TO_PRIMARY = "PrimaryToRecovery", "RecoveryToPrimary"


@dataclass(slots=True)
class Member:
    """One machine in a run: its own job, shown as a child of the plan's tasks. `gone` says why it takes no part (any more)."""

    item: Item
    job: Job
    run: Run | None = None
    gone: Failure | None = None
    skipped: bool = False
    state: str = ""


@dataclass(slots=True)
class PlanRun:
    """One run of a plan. `kind` is TestFailover or UnplannedFailover."""

    service: Service
    vault: Vault
    plan: Plan
    job: Job
    kind: str
    direction: str
    members: dict[str, Member] = field(default_factory=dict)


Phase = Callable[[Member], Work]


def tasks_of(plan: Plan, kind: str, direction: str, applies: Callable[[Json, str, str], bool]) -> list[JobTask]:
    """Every task of a run, listed from the start (JOB-003)."""
    tasks = [
        JobTask(
            TaskName(
                "RecoveryPlanPreflightChecksTask", "RecoveryPlanPreflightChecks", "Prerequisites check for the recovery plan"
            )
        ),
        group_task("RecoveryPlanShutdownTask", "All groups shutdown", "Shutdown", "RecoveryPlanShutdownGroupTaskDetails"),
        group_task("RecoveryPlanFailoverTask", "All groups failover", "Failover", "RecoveryPlanGroupTaskDetails"),
    ]
    number = 0
    everybody = [entry for group in plan.groups for entry in group["items"]]
    for group in plan.groups:
        number += group["groupType"] == "Boot"
        name = f"Group {number}" if group["groupType"] == "Boot" else group["groupType"]
        items = tuple(entry["id"].lower() for entry in (group["items"] if group["groupType"] == "Boot" else everybody))
        group_id = str(number) if group["groupType"] == "Boot" else name
        before, after = (
            [
                action_task(Action(action, group_id, late, items), f"{name}: {place}")
                for action in group[key]
                if applies(action, kind, direction)
            ]
            for late, place, key in ((False, "pre", "startGroupActions"), (True, "post", "endGroupActions"))
        )
        position = {"Shutdown": 1, "Failover": 2}.get(group["groupType"])
        if position is None:
            boot = group_task(f"RecoveryPlanBootGroup{number}Task", f"{name}: start", "Boot", "RecoveryPlanGroupTaskDetails")
            tasks += [*before, boot, *after]
        else:
            at = next(index for index, task in enumerate(tasks) if task.group and task.group["rpGroupType"] == group["groupType"])
            tasks[at : at + 1] = [*before, tasks[at], *after]
    return tasks


def group_task(task_id: str, name: str, kind: str, instance: str) -> JobTask:
    group = {"instanceType": instance, "name": name, "groupId": stable_guid("group", name), "rpGroupType": kind}
    return JobTask(TaskName(task_id, task_id, name), kind=instance, details=None, group=group)


def run_plan(run: PlanRun) -> Work:
    """The whole run. One machine's failure does not stop the others (PLAN-012)."""
    forward = run.direction == PRIMARY_TO_RECOVERY
    reached = 0
    try:
        with run.job.task(0):
            yield from together(run, run.job.tasks[0], _all(run), _preflight(run, forward))
        for task in run.job.tasks[1:]:
            reached += 1
            yield from _one(run, task, forward)
    except Cancelled:
        yield from _abandon(run)
        raise
    _report(run)
    if run.kind == "TestFailover" and any(member.gone is None for member in run.members.values()):
        run.plan.test_job = run.job
        run.job.suspend(test_failovers.WAITING)


def _one(run: PlanRun, task: JobTask, forward: bool) -> Work:
    run.job.check()
    if task.group is None:
        yield from run_action(_seen_by_actions(run), task)
        return
    kind = task.group["rpGroupType"]
    if kind == "Boot":
        if task.state == "NotStarted":
            yield from _boot(run, task, forward)
        return
    begin(task, run.service.now())
    phase = {"Shutdown": _shutdown, "Failover": _failover}[kind](run, forward)
    yield from together(run, task, _all(run), phase)
    end(task, "Succeeded", "Completed", run.service.now())


def _boot(run: PlanRun, task: JobTask, forward: bool) -> Work:
    """Start the batch this group is in: by the rules one group at a time."""
    boots = [other for other in run.job.tasks if other.group is not None and other.group["rpGroupType"] == "Boot"]
    batch = next(batch for batch in run.service.rules.boot_batches(boots) if task in batch)
    groups = [group for group in run.plan.groups if group["groupType"] == "Boot"]
    members = []
    for other in batch:
        begin(other, run.service.now())
        members += [
            run.members[entry["id"].lower()]
            for entry in groups[boots.index(other)]["items"]
            if entry["id"].lower() in run.members
        ]
    yield from together(run, task, members, _start(run, forward))
    for other in batch:
        end(other, "Succeeded", "Completed", run.service.now())


def _seen_by_actions(run: PlanRun) -> ActionRun:
    """The run as its actions see it: the machines that take part, and where those that came through are in Azure."""
    taking = []
    for member in run.members.values():
        if member.skipped:
            continue
        there = None if member.gone is not None else member.item.test if run.kind == "TestFailover" else member.item.azure
        taking.append(Taking(member.item, there, member.run.point if member.run is not None else None))
    return ActionRun(run.service, run.plan, run.job, run.kind, run.direction, taking)


def together(run: PlanRun, task: JobTask, members: Sequence[Member], phase: Phase) -> Work:
    """One phase of several machines in parallel; it is over when all have ended it."""
    processes = []
    for member in members:
        if member.gone is None and not member.skipped:
            work = under_lock(run.service.lock, _guarded(run, member, phase))
            processes.append(run.service.scope.spawn(work, name=f"plan {run.plan.name} {member.item.friendly}"))
        _show(run, task, member)
    while not all(process.done for process in processes):
        yield 1.0
        if run.job.cancel_asked:
            for member in members:
                member.job.cancel_asked = True
    _refresh(run, task, members)
    run.job.check()


def _guarded(run: PlanRun, member: Member, phase: Phase) -> Work:
    try:
        yield from phase(member)
    except Failure as failure:
        yield from _drop(run, member, failure)
    except Refusal as refusal:
        yield from _drop(run, member, Failure("provider-error", f"{refusal.code}: {refusal.message}"))
    except Cancelled:
        member.gone = Failure("failover-cancelled")
    except Exception as bug:
        run.service.arm.faults.append(bug)
        yield from _drop(run, member, Failure("provider-error", f"An internal error occurred: {bug}"))


def _drop(run: PlanRun, member: Member, failure: Failure) -> Work:
    """The machine takes no further part; what it left behind is tidied up."""
    member.gone = failure
    if member.run is not None:
        yield from failover.undo(member.run)
    elif run.direction == RECOVERY_TO_PRIMARY:
        yield from failback.take_back(run.service, member.item)
    run.service.end_child(member.job, failure)


def _all(run: PlanRun) -> list[Member]:
    return list(run.members.values())


def _preflight(run: PlanRun, forward: bool) -> Phase:
    def phase(member: Member) -> Work:
        if forward:
            assert member.run is not None, "a forward member has a run"
            yield from failover.preflight(member.run)
        else:
            yield from failback.preflight(run.service, member.item, member.job, str(member.job.details.get("choice")))

    return phase


def _shutdown(run: PlanRun, forward: bool) -> Phase:
    def phase(member: Member) -> Work:
        if not forward:
            yield from failback.stop_in_azure(run.service, member.item, member.job)
        elif run.kind == "UnplannedFailover":
            assert member.run is not None, "a forward member has a run"
            yield from failover.shut_down(member.run)
        elif run.service.rules.test_shuts_down:  # TFO-014: the reference never does
            assert member.run is not None, "a forward member has a run"
            wish = {"machineId": member.item.machine_id}
            yield from run.service.ask(run.service.server_of(member.item), "shut-down", wish, job=member.job)

    return phase


def _failover(run: PlanRun, forward: bool) -> Phase:
    def phase(member: Member) -> Work:
        if not forward:
            yield from failback.settle(run.service, member.item, member.job)
            return
        assert member.run is not None, "a forward member has a run"
        if run.kind == "TestFailover":
            with member.job.task(1):
                yield from member.job.rest(1.0)
            yield from failover.prepare(member.run, 2)
        else:
            yield from failover.synchronize(member.run)
            yield from failover.prepare(member.run, 3)

    return phase


def _start(run: PlanRun, forward: bool) -> Phase:
    def phase(member: Member) -> Work:
        item, job = member.item, member.job
        if not forward:
            yield from failback.bring_home(run.service, item, job, str(job.details.pop("choice")), "")
            failback.complete(run.service, item, job, member.state)
        elif run.kind == "TestFailover":
            assert member.run is not None, "a forward member has a run"
            yield from failover.start(member.run, 3)
            test_failovers.wait_for_cleanup(member.run)
        else:
            assert member.run is not None, "a forward member has a run"
            yield from failover.start(member.run, 4)
            failover.complete(member.run, member.state)
        run.service.observe("plan-started", item.id, plan=run.plan.name, machine=item.machine_id)
        if run.kind == "TestFailover":
            job.suspend(test_failovers.WAITING)
            run.service.release(job)
        else:
            run.service.end_child(job, None)

    return phase


def _abandon(run: PlanRun) -> Work:
    for member in run.members.values():
        if member.job.done or member.job.state == "Suspended":
            continue
        if member.run is not None and run.kind == "UnplannedFailover":
            yield from failover.abandon(member.run)
        elif member.run is not None:
            yield from failover.undo(member.run)
        else:
            yield from failback.take_back(run.service, member.item)
        run.service.end_child(member.job, None, cancelled=True)


def _report(run: PlanRun) -> None:
    """Errors of machines stand on the plan's job; it fails only when no machine came through."""
    failed = [member for member in run.members.values() if member.gone is not None]
    for member in failed:
        run.job.errors += member.job.errors
    took_part = [member for member in run.members.values() if not member.skipped]
    if failed and (len(failed) == len(took_part) or run.service.rules.plan_stops_at_error):
        assert failed[0].gone is not None, "chosen so"
        run.job.errors = run.job.errors[1:]
        raise failed[0].gone


def _show(run: PlanRun, task: JobTask, member: Member) -> None:
    """The machine as a child of a group task."""
    if task.group is None:
        return
    details = {
        "instanceType": "VirtualMachineTaskDetails",
        "skippedReason": "AlreadyFailedOver" if member.skipped else None,
        "skippedReasonString": "The machine is already failed over." if member.skipped else None,
        "jobTask": {
            "jobId": member.job.arm_id,
            "jobFriendlyName": SCENARIOS[member.job.scenario].friendly,
            "targetObjectId": member.item.machine_id,
            "targetObjectName": member.item.friendly,
            "targetInstanceType": "ProtectionEntity",
            "jobScenarioName": member.job.scenario,
        },
    }
    name = TaskName(member.job.scenario, member.item.friendly, member.item.friendly)
    child = JobTask(name, kind="VirtualMachineTaskDetails", details=details)
    if member.skipped:
        child.state, child.description = "Other", "Skipped"
    else:
        begin(child, run.service.now())
    task.children.append(child)


def _refresh(run: PlanRun, task: JobTask, members: Sequence[Member]) -> None:
    by_name = {member.item.friendly: member for member in members}
    for child in task.children:
        member = by_name.get(child.name.name)
        if member is None or child.state != "InProgress":
            continue
        if member.gone is not None:
            child.errors = member.job.errors
            end(child, "Failed", "Failed", run.service.now())
        else:
            end(child, "Succeeded", "Completed", run.service.now())


def member_job(service: Service, vault: Vault, item: Item, kind: str, activity: str, details: Json) -> Job:
    """The job of one machine in a plan's run; it is driven by the run."""
    job = service.new_job(
        vault,
        kind,
        (item.machine_id, item.friendly),
        activity=activity,
        details={**details, "affectedObjectDetails": affected_details(service, item)},
    )
    job.restartable = False
    job.start = service.now()
    job.proceed()
    job.occupied = [item]
    item.job = job
    service.observe("job-started", job.arm_id, scenario=kind, target=item.friendly, at=iso(service.now()))
    return job
