"""Actions of a recovery plan: manual ones wait for somebody, runbooks run in Azure Automation (PLAN-006 to PLAN-012)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from emulators.azure.arm import Refusal, ResourceId, parse_id
from emulators.azure.automation.kinds import RUNBOOK
from emulators.azure.site_recovery.jobs import Cancelled, Job, JobTask, Work, begin, end
from emulators.azure.site_recovery.records import Item, Placement, Plan, Point
from emulators.azure.site_recovery.refusals import Failure, job_error
from emulators.azure.site_recovery.scenarios import TaskName
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import Json
from emulators.clock import iso

#: How long a runbook may take unless its action says otherwise.
PATIENCE = 60 * 60.0

_FAILOVER_TYPES = {"TestFailover": "Test", "PlannedFailover": "Planned"}
#: In a runbook's context directions have other words than in the API (PLAN-009).
_DIRECTIONS = {"PrimaryToRecovery": "PrimaryToSecondary", "RecoveryToPrimary": "SecondaryToPrimary"}
_DURATION = re.compile(r"P?(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?", re.IGNORECASE)
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class Action:
    """An action in its place: before or after the group numbered `group`, whose machines are `items` (lower-cased ids)."""

    given: Json
    group: str
    after: bool
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Taking:
    """A machine that takes part in the run: `placement` is its machine in Azure, None while there is none."""

    item: Item
    placement: Placement | None
    point: Point | None


@dataclass(slots=True)
class ActionRun:
    """What an action needs to know of the run it is in."""

    service: Service
    plan: Plan
    job: Job
    kind: str
    direction: str
    taking: list[Taking] = field(default_factory=list)


def action_task(action: Action, place: str) -> JobTask:
    """The task of an action: listed from the start of the run."""
    given = action.given
    details, name = given["customDetails"], given["actionName"]
    kind = str(details.get("instanceType"))
    if kind == "ManualActionDetails":
        shown: Json = {"name": name, "instructions": details.get("description"), "observation": None}
        instance = "ManualActionTaskDetails"
    elif kind == "AutomationRunbookActionDetails":
        parsed = runbook_id(details.get("runbookId"))
        shown = {
            "name": name,
            "cloudServiceName": None,
            "subscriptionId": parsed.subscription if parsed else None,
            "accountName": parsed.names[0] if parsed else None,
            "runbookId": details.get("runbookId"),
            "runbookName": parsed.name if parsed else None,
            "jobId": None,
            "jobOutput": None,
            "isPrimarySideScript": details.get("fabricLocation") == "Primary",
        }
        instance = "AutomationRunbookTaskDetails"
    else:
        shown = {"name": name, "path": details.get("path"), "output": None, "isPrimarySideScript": False}
        instance = "ScriptActionTaskDetails"
    task_name = TaskName("RecoveryPlanActionTask", name, f"{place}: {name}")
    return JobTask(task_name, kind=instance, details={"instanceType": instance, **shown}, action=action)


def runbook_id(text: object) -> ResourceId | None:
    """The parts of a runbook's id; None for anything else."""
    parsed = parse_id(text) if isinstance(text, str) else None
    return parsed if parsed is not None and parsed.type.lower() == RUNBOOK.type.lower() else None


def run_action(run: ActionRun, task: JobTask) -> Work:
    """Carry out an action. Scripts of a management server have nothing to run on in this scenario and are skipped.

    An action that fails is an error of the run, which goes on (PLAN-012).
    """
    if task.kind == "ManualActionTaskDetails" and run.service.rules.manual_action_waits:
        yield from _manual(run, task)
    elif task.kind == "AutomationRunbookTaskDetails":
        begin(task, run.service.now())
        try:
            yield from _runbook(run, task)
        except Failure as failure:
            now = run.service.now()
            task.errors.append(job_error(failure, activity=run.job.activity, created=iso(now), task=task.name.id))
            run.job.errors += task.errors
            end(task, "Failed", "Failed", now)
        else:
            end(task, "Succeeded", "Completed", run.service.now())
    else:
        task.state, task.description = "Other", "Skipped"


def _manual(run: ActionRun, task: JobTask) -> Work:
    """Suspend the run until somebody resumes it (PLAN-008)."""
    begin(task, run.service.now())
    run.job.suspend("ManualActionPending")
    run.plan.status = ("Suspended", "Waiting for user input")
    run.service.observe("manual-action", run.job.arm_id, action=task.name.name)
    while run.job.resumed is None:
        yield 1.0
        run.job.check()
    run.job.proceed()
    run.plan.status = ("InProgress", "InProgress")
    assert task.details is not None, "a manual action has details"
    task.details["observation"] = run.job.resumed
    end(task, "Succeeded", "Completed", run.service.now())


def _runbook(run: ActionRun, task: JobTask) -> Work:
    """Start a job of the automation account and wait for its end. Raises `Failure`."""
    service, details = run.service, task.details
    assert details is not None, "a runbook action has details"
    action: Action = task.action
    account = "/".join(str(details["runbookId"]).split("/")[:9])
    path = f"{account}/jobs/{service.clock.uuid()}"
    parameters = {"RecoveryPlanContext": orjson.dumps(context(run, action)).decode()}
    body = {"properties": {"runbook": {"name": details["runbookName"]}, "parameters": parameters}}
    try:
        service.azure.call("PUT", path, body)
    except Refusal as refusal:
        raise Failure("runbook-failed", f"The runbook cannot be started: {refusal.message}") from None
    details["jobId"] = path
    service.observe("runbook-started", run.job.arm_id, action=task.name.name, context=context(run, action))
    deadline = service.now() + _patience(action.given["customDetails"].get("timeout"))
    try:
        while (state := service.azure.call("GET", path).body["properties"])["status"] not in ("Completed", "Failed", "Stopped"):
            if service.now() >= deadline:
                service.azure.call("POST", f"{path}/stop")
                raise Failure("runbook-failed", f"The runbook {details['runbookName']} has not ended in its time.")
            yield 1.0
            run.job.check()
    except Cancelled:
        service.azure.call("POST", f"{path}/stop")
        end(task, "Cancelled", "Cancelled", service.now())
        raise
    details["jobOutput"] = service.azure.call("GET", f"{path}/output").body.decode()
    if state["status"] != "Completed":
        why = state["exception"] or f"it was {str(state['status']).lower()}"
        raise Failure("runbook-failed", f"The runbook {details['runbookName']} has failed: {why}")


def context(run: ActionRun, action: Action) -> Json:
    """`RecoveryPlanContext` of a runbook (PLAN-009).

    Before a group starts its machines have neither a resource group nor a role name.
    """
    machines: Json = {}
    for one in run.taking:
        if one.item.id.lower() in action.items:
            parsed = parse_id(one.placement.vm_id) if one.placement is not None and action.after else None
            machines[one.item.machine_id] = {
                "SubscriptionId": one.item.vault.split("/")[2],
                "ResourceGroupName": parsed.group if parsed else "",
                "CloudServiceName": "",
                "RoleName": parsed.name if parsed else "",
                "RecoveryPointId": one.point.id if one.point is not None else "",
            }
    return {
        "RecoveryPlanName": run.plan.name,
        "FailoverType": _FAILOVER_TYPES.get(run.kind, "Unplanned"),
        "FailoverDirection": _DIRECTIONS[run.direction],
        "GroupId": action.group,
        "VmMap": machines,
    }


def _patience(text: object) -> float:
    """Seconds of a timeout as `PT30M` or `00:30:00`."""
    if not isinstance(text, str):
        return PATIENCE
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        return _seconds((0, *clock.groups()))
    duration = _DURATION.fullmatch(text)
    return (_seconds(duration.groups()) if duration is not None else 0.0) or PATIENCE


def _seconds(parts: Iterable[object]) -> float:
    return float(sum(int(str(part or 0)) * unit for part, unit in zip(parts, (86400, 3600, 60, 1), strict=True)))
