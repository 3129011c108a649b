"""Jobs: named tasks that run as one process on the clock. A job is also the long-running operation of the call that started it.

A job's work is a generator: `with job.task(0): yield from ...`. It runs under the estate's Azure lock between its rests. It
fails by raising `Failure`; whoever started it puts the object back. Cancelling is seen at the next rest (`job.rest`,
`wait_for`).
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from emulators.azure.arm import Operation, Refusal
from emulators.azure.site_recovery.reasons import REASONS
from emulators.azure.site_recovery.refusals import Failure, job_error
from emulators.azure.site_recovery.scenarios import SCENARIOS, TaskName
from emulators.azure.site_recovery.wire import NEVER_RAN, TYPE, Json, whole_seconds
from emulators.clock import Process, iso

Work = Generator[float, None, Any]


class Cancelled(Exception):
    """The job was cancelled."""


@dataclass(slots=True)
class JobTask:
    """One task of a job. `kind` and the two details change when it gets child tasks or waits for a person."""

    name: TaskName
    state: str = "NotStarted"
    description: str = "NotStarted"
    start: float | None = None
    end: float | None = None
    kind: str = "TaskDetails"
    details: Json | None = field(default_factory=lambda: {"instanceType": "TaskDetails"})
    group: Json | None = None
    children: "list[JobTask]" = field(default_factory=list)
    errors: list[Json] = field(default_factory=list)
    #: What the task of a recovery plan's action carries out; never shown.
    action: Any = None

    def json(self) -> Json:
        group = None if self.group is None else {**self.group, "childTasks": [child.json() for child in self.children]}
        return {
            "taskId": self.name.id,
            "name": self.name.name,
            "startTime": NEVER_RAN if self.start is None else iso(self.start),
            "endTime": NEVER_RAN if self.end is None else iso(self.end),
            "allowedActions": [],
            "friendlyName": self.name.friendly,
            "state": self.state,
            "stateDescription": self.description,
            "taskType": self.kind,
            "customDetails": self.details,
            "groupTaskCustomDetails": group,
            "errors": self.errors,
        }


@dataclass(slots=True)
class Job:
    """One job of a vault. `details` is customDetails beside instanceType; `again` builds its work anew for a restart."""

    vault_id: str
    id: str
    scenario: str
    activity: str
    now: Callable[[], float]
    target_id: str = ""
    target_name: str = ""
    target_type: str = ""
    details: Json = field(default_factory=dict)
    tasks: list[JobTask] = field(default_factory=list)
    state: str = "NotStarted"
    description: str = "NotStarted"
    start: float | None = None
    end: float | None = None
    errors: list[Json] = field(default_factory=list)
    failure: Failure | None = None
    cancel_asked: bool = False
    resumed: str | None = None
    operation: Operation | None = None
    work: "Callable[[Job], Work] | None" = None
    restartable: bool = True
    #: Objects (items, plans) whose `job` this is while it runs.
    occupied: list[Any] = field(default_factory=list)
    #: Raises `Refusal` when the job's operation is not allowed any more; asked before a restart.
    recheck: "Callable[[], None] | None" = None

    @property
    def done(self) -> bool:
        return self.end is not None

    @property
    def arm_id(self) -> str:
        return f"{self.vault_id}/replicationJobs/{self.id}"

    def allowed_actions(self) -> list[str]:
        if self.state == "InProgress":
            return ["Cancel"] if SCENARIOS[self.scenario].cancel else []
        if self.state == "Suspended":
            return ["Cancel", "Resume"]
        return ["Restart"] if self.state == "Failed" and self.restartable and self.work is not None else []

    # running ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def task(self, index: int) -> Iterator[JobTask]:
        """The task runs while the block does, and ends as the block does."""
        task = self.tasks[index]
        begin(task, self.now())
        try:
            yield task
        except Failure as failure:
            task.errors.append(job_error(failure, activity=self.activity, created=iso(self.now()), task=task.name.id))
            end(task, "Failed", "Failed", self.now())
            raise
        except Cancelled:
            end(task, "Cancelled", "Cancelled", self.now())
            raise
        end(task, "Succeeded", "Completed", self.now())

    def skip(self, index: int) -> None:
        """The task is not needed."""
        self.tasks[index].state, self.tasks[index].description = "Other", "Skipped"

    def rest(self, seconds: float) -> Work:
        """Let emulated time pass. Raises `Cancelled` when somebody asked for that."""
        yield seconds
        self.check()

    def check(self) -> None:
        if self.cancel_asked:
            raise Cancelled

    def suspend(self, description: str) -> None:
        self.state, self.description, self.resumed = "Suspended", description, None

    def proceed(self) -> None:
        self.state = self.description = "InProgress"

    def finish(self, state: str, description: str) -> None:
        self.state, self.description, self.end = state, description, self.now()

    # reading ---------------------------------------------------------------------------------------------------------

    def json(self, *, thin: bool = False) -> Json:
        """The job as read singly, or as an element of the list (tasks empty, details null)."""
        fresh = self.state == "NotStarted"
        scenario = SCENARIOS[self.scenario]
        properties: Json = {
            "activityId": None if thin else self.activity,
            "scenarioName": None if fresh else self.scenario,
            "friendlyName": None if fresh else scenario.friendly,
            "state": self.state,
            "stateDescription": self.description,
            "tasks": [] if thin or fresh else [task.json() for task in self.tasks],
            "errors": self.errors,
            "allowedActions": self.allowed_actions(),
            "targetObjectId": None if fresh else self.target_id,
            "targetObjectName": None if fresh else self.target_name,
            "targetInstanceType": "ProtectionEntity" if fresh else self.target_type,
            "customDetails": None if thin else self._details(scenario.details, fresh),
        }
        if self.start is not None:
            properties["startTime"] = iso(self.start)
        if self.end is not None:
            properties["endTime"] = whole_seconds(self.end)
        return {"id": self.arm_id, "name": self.id, "type": TYPE + "replicationJobs", "properties": properties}

    def _details(self, kind: str, fresh: bool) -> Json:
        """customDetails: of the plainest kind and empty, until the job has begun."""
        if fresh:
            return {"instanceType": "AsrJobDetails", "affectedObjectDetails": {}}
        return {**self.details, "instanceType": kind, "affectedObjectDetails": self.details.get("affectedObjectDetails", {})}


def begin(task: JobTask, now: float) -> None:
    task.state = task.description = "InProgress"
    task.start = now


def end(task: JobTask, state: str, description: str, now: float) -> None:
    task.state, task.description, task.end = state, description, now


def under_lock(lock: Any, work: Work) -> Process:
    """Run `work` holding `lock` while it runs, not while it rests."""
    while True:
        with lock:
            try:
                rest = next(work)
            except StopIteration as ended:
                return ended.value
        yield rest


def as_refusal(failure: Failure) -> Refusal:
    """What the long-running operation of a failed job says."""
    entry = REASONS[failure.reason]
    detail = {"code": entry.code, "message": failure.message, "possibleCauses": entry.causes, "recommendedAction": entry.action}
    return Refusal(409, entry.code, failure.message, details=[detail])


def operation_status(operation: Operation) -> Json:
    """The status document of Site Recovery (asr-wire section 4)."""
    return {
        "error": operation.error,
        "id": None,
        "name": operation.id,
        "properties": None,
        "status": operation.status,
        "startTime": iso(operation.start),
        "endTime": None if operation.end is None else whole_seconds(operation.end).replace("Z", ".0000000Z"),
        "percentComplete": None,
    }
