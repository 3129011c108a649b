"""Jobs: a runbook that runs, with what it said. The run itself is a program of the estate's, outside of this cloud."""

from collections.abc import Callable
from dataclasses import dataclass, field

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read
from emulators.azure.automation.kinds import JOB_PATH, JOBS, RUNBOOK, account_of
from emulators.azure.outside import RunbookCall, RunbookFailed, RunbookPrograms
from emulators.clock import Process, Task, iso

_ENDED = ("Completed", "Failed", "Stopped")
_STREAMS = ("Progress", "Output", "Warning", "Error", "Debug", "Verbose")

#: Jobs of an account beyond this number are forgotten, oldest first, as the real service forgets them after 30 days.
_KEPT = 5000
#: What one job may say.
_LARGEST_OUTPUT = 1024 * 1024


@dataclass(slots=True)
class Said:
    """One record of a stream."""

    id: str
    time: float
    stream: str
    text: str


@dataclass(slots=True)
class Job:
    """A job. Times are epoch seconds."""

    path: str
    id: str
    runbook: Resource
    content: bytes
    parameters: dict[str, str]
    started_by: str
    run_on: str
    created: float
    changed: float
    status: str = "New"
    start: float | None = None
    end: float | None = None
    exception: str | None = None
    said: list[Said] = field(default_factory=list)
    task: Task | None = None

    @property
    def ended(self) -> bool:
        return self.status in _ENDED

    def output(self) -> str:
        return "\n".join(one.text for one in self.said if one.stream == "Output")


class RunbookJobs:
    """`automationAccounts/jobs`. What a job says beyond 1 MiB is dropped with a warning, as the real service does."""

    namespace = "Microsoft.Automation"

    def __init__(self, arm: Arm, programs: RunbookPrograms):
        self.arm, self.programs = arm, programs
        self._jobs: dict[str, dict[str, Job]] = {}

    @operation("PUT", JOB_PATH)
    def create(self, call: Call) -> Answer:
        account = self.arm.store.need(account_of(call.path))
        body = call.content()
        name = read(body, "properties.runbook.name", str, required=True)
        runbook = self.arm.store.get(f"{account.id}/runbooks/{name}")
        if runbook is None or runbook.type != RUNBOOK.type:
            raise Refusal(404, "NotFound", f"The runbook {name} does not exist in automation account {account.name}.")
        if "published" not in runbook.hidden and not self.programs.known(account.name, runbook.name):
            raise Refusal(400, "BadRequest", f"The runbook {name} has not been published.")
        parameters = read(body, "properties.parameters", dict, {})
        if not all(isinstance(value, str | None) for value in parameters.values()):
            raise Refusal(400, "BadRequest", "The parameters of a job are strings; structured ones are JSON text.")
        jobs = self._jobs.setdefault(account.id.lower(), {})
        if call["jobName"].lower() in jobs:
            raise Refusal(409, "Conflict", f"A job with the id {call['jobName']} exists already.")
        job = self._new(call, account, runbook, {name: value or "" for name, value in parameters.items()})
        job.run_on = read(body, "properties.runOn", str, "")
        jobs[call["jobName"].lower()] = job
        while len(jobs) > _KEPT and next(iter(jobs.values())).ended:
            del jobs[next(iter(jobs))]
        job.task = self.arm.scope.spawn(self._drive(job, account.name), name=f"runbook {account.name}/{runbook.name}")
        return Answer(201, self._shown(job))

    @operation("GET", JOBS)
    def list_all(self, call: Call) -> Answer:
        account = self.arm.store.need(account_of(call.path))
        jobs = list(self._jobs.get(account.id.lower(), {}).values())
        shown = [self._shown(job, thin=True) for job in reversed(jobs)]
        return Answer(200, {"value": [one for one in shown if _fits(one, call.query.get("$filter", ""))]})

    @operation("GET", JOB_PATH)
    def get(self, call: Call) -> Answer:
        return Answer(200, self._shown(self._need(call)))

    @operation("GET", JOB_PATH + "/output")
    def output(self, call: Call) -> Answer:
        return Answer(200, self._need(call).output().encode(), {"Content-Type": "text/plain"})

    @operation("GET", JOB_PATH + "/runbookContent")
    def runbook_content(self, call: Call) -> Answer:
        return Answer(200, self._need(call).content, {"Content-Type": "text/powershell"})

    @operation("GET", JOB_PATH + "/streams")
    def streams(self, call: Call) -> Answer:
        job = self._need(call)
        shown = [_stream(job, one, thin=True) for one in job.said]
        return Answer(200, {"value": [one for one in shown if _fits(one, call.query.get("$filter", ""))], "nextLink": None})

    @operation("GET", JOB_PATH + "/streams/{jobStreamId}")
    def stream(self, call: Call) -> Answer:
        job = self._need(call)
        found = next((one for one in job.said if one.id == call["jobStreamId"]), None)
        if found is None:
            raise Refusal(404, "NotFound", f"The stream {call['jobStreamId']} of job {job.id} does not exist.")
        return Answer(200, _stream(job, found))

    @operation("POST", JOB_PATH + "/stop")
    def stop(self, call: Call) -> Answer:
        job = self._need(call)
        if not job.ended:
            if job.task is not None:
                job.task.cancel()
            self._set(job, "Stopped")
        return Answer(200)

    @operation("POST", JOB_PATH + "/suspend")
    @operation("POST", JOB_PATH + "/resume")
    def suspend(self, call: Call) -> Answer:
        """Only workflows have checkpoints to stop at; what runs here has none."""
        job = self._need(call)
        verb = call.path.rsplit("/", 1)[1].lower()
        raise Refusal(409, "Conflict", f"Job {job.id} cannot {verb}: the runbook is {job.status} and has no checkpoint.")

    def forget(self, account: Resource) -> None:
        """For `AutomationAccounts.after_delete`: jobs of an account end with it."""
        for job in self._jobs.pop(account.id.lower(), {}).values():
            if job.task is not None:
                job.task.cancel()

    # the run ---------------------------------------------------------------------------------------------------------

    def _new(self, call: Call, account: Resource, runbook: Resource, parameters: dict[str, str]) -> Job:
        now = self.arm.clock.now()
        runbook.properties["jobCount"] += 1
        return Job(
            path=f"{account.id}/jobs/{call['jobName']}",
            id=self.arm.clock.uuid(),
            runbook=runbook,
            content=runbook.hidden.get("published", b""),
            parameters=parameters,
            started_by=str(call.principal.get("upn") or call.principal.get("appid", "")),
            run_on="",
            created=now,
            changed=now,
        )

    def _drive(self, job: Job, account: str) -> Process:
        """Activating, Running, and what the program makes of it. Not under the lock."""
        yield self.arm.operations.rest(1)
        self._set(job, "Activating")
        yield self.arm.operations.rest(4)
        self._set(job, "Running")
        kind = job.runbook.properties["runbookType"]
        run = RunbookCall(account, job.runbook.name, kind, job.content.decode("utf-8", "replace"), dict(job.parameters))
        try:
            yield from self.programs.run(run, self._listener(job))
        except RunbookFailed as failed:
            job.exception = str(failed)
            self._set(job, "Failed")
        except Exception as bug:
            self.arm.faults.append(bug)
            job.exception = "An internal error has occurred."
            self._set(job, "Failed")
        else:
            self._set(job, "Completed")

    def _listener(self, job: Job) -> Callable[[str, str], None]:
        left = _LARGEST_OUTPUT

        def say(stream: str, text: str) -> None:
            nonlocal left
            assert stream in _STREAMS, f"{stream} is not a stream of a job"
            if left < 0:
                return
            left -= len(text)
            with self.arm.lock:
                if left < 0:
                    stream, text = "Warning", "The job has said more than 1 MiB; the rest is dropped."
                number = f"{len(job.said):020d}"
                job.said.append(Said(f"{job.id}_{number}", self.arm.clock.now(), stream, text))

        return say

    def _set(self, job: Job, status: str) -> None:
        with self.arm.lock:
            if job.ended:
                return
            job.status, job.changed = status, self.arm.clock.now()
            if status == "Running":
                job.start = job.changed
            if status in _ENDED:
                job.end = job.changed

    def _need(self, call: Call) -> Job:
        account = self.arm.store.need(account_of(call.path))
        job = self._jobs.get(account.id.lower(), {}).get(call["jobName"].lower())
        if job is None:
            raise Refusal(404, "NotFound", f"The job {call['jobName']} does not exist in automation account {account.name}.")
        return job

    def _shown(self, job: Job, *, thin: bool = False) -> Json:
        processing = "Succeeded" if job.status in ("Completed", "Stopped") else "Failed" if job.ended else "Processing"
        properties: Json = {
            "jobId": job.id,
            "runbook": {"name": job.runbook.name},
            "provisioningState": processing,
            "status": job.status,
            "creationTime": iso(job.created),
            "startTime": None if job.start is None else iso(job.start),
            "endTime": None if job.end is None else iso(job.end),
            "lastModifiedTime": iso(job.changed),
        }
        if not thin:
            properties |= {
                "startedBy": job.started_by,
                "statusDetails": "None",
                "exception": job.exception,
                "lastStatusModifiedTime": iso(job.changed),
                "parameters": dict(job.parameters),
                "runOn": job.run_on,
            }
        name = job.path.rsplit("/", 1)[1]
        return {"id": job.path, "name": name, "type": "Microsoft.Automation/automationAccounts/jobs", "properties": properties}


def _stream(job: Job, said: Said, *, thin: bool = False) -> Json:
    properties: Json = {
        "jobStreamId": said.id,
        "time": iso(said.time),
        "streamType": said.stream,
        "summary": said.text[:100],
    }
    if not thin:
        properties |= {"streamText": said.text, "value": {"value": said.text}}
    return {"id": f"{job.path}/streams/{said.id}", "properties": properties}


def _fits(shown: Json, text: str) -> bool:
    """`properties/status eq 'Running'` and the like; anything else is refused."""
    for clause in text.split(" and ") if text.strip() else []:
        name, _, value = clause.strip().partition(" eq ")
        wanted = value.strip().strip("'")
        leaf = shown["properties"]
        for part in name.strip().removeprefix("properties/").split("/"):
            if not isinstance(leaf, dict) or part not in leaf:
                raise Refusal(400, "BadRequest", f"The $filter '{text}' is not valid.")
            leaf = leaf[part]
        if str(leaf).lower() != wanted.lower():
            return False
    return True
