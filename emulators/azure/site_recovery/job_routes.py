"""replicationJobs: reading, cancelling, restarting and resuming jobs."""

from collections.abc import Callable

from emulators.azure.arm import Answer, Call, operation, read
from emulators.azure.site_recovery import test_failovers
from emulators.azure.site_recovery.filters import chosen
from emulators.azure.site_recovery.job_export import JOB_FIELDS
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.records import Item
from emulators.azure.site_recovery.refusals import missing, refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import VAULT, listing

_JOB = VAULT + "/replicationJobs/{jobName}"


class Jobs:
    """An action that allowedActions does not offer is refused (JOB-004 to JOB-006)."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", VAULT + "/replicationJobs")
    def list_jobs(self, call: Call) -> Answer:
        jobs = list(reversed(self.service.vault(call).jobs.values()))
        return Answer(200, listing([job.json(thin=True) for job in chosen(call, jobs, JOB_FIELDS)]))

    @operation("GET", _JOB)
    def get(self, call: Call) -> Answer:
        job = self._need(call)
        return Answer(200, job.json(), {"x-ms-request-id": job.arm_id})

    @operation("POST", _JOB + "/cancel")
    def cancel(self, call: Call) -> Answer:
        """Ask a running job to stop; a test failover that waits cannot be taken back but by its cleanup."""
        job = self._offered(call, "Cancel")
        if job.scenario == "TestFailover" and job.state == "Suspended" and job.description == test_failovers.WAITING:
            return self._end_test(call, job, "")
        job.cancel_asked = True
        return self._answer(call, job, lambda: job.done)

    @operation("POST", _JOB + "/resume")
    def resume(self, call: Call) -> Answer:
        """Let a suspended job go on: past a manual action (PLAN-008), or into the cleanup of a test (TFO-004)."""
        job = self._offered(call, "Resume")
        comments = str(read(call.body, "properties.comments", str, ""))
        if job.description == test_failovers.WAITING:
            return self._end_test(call, job, comments)
        job.resumed = comments
        return self._answer(call, job, lambda: job.state != "Suspended")

    @operation("POST", _JOB + "/restart")
    def restart(self, call: Call) -> Answer:
        """Run a failed job's work again, as a job of its own that RestartJob waits for (JOB-005)."""
        service, old = self.service, self._offered(call, "Restart")
        vault, again = service.vault(call), old.work
        if old.recheck is not None:
            old.recheck()
        assert again is not None, "only jobs with work offer Restart"

        def work(job: Job) -> Work:
            with job.task(0):
                details = {name: value for name, value in old.details.items() if name != "protectedItemDetails"}
                new = service.new_job(
                    vault, old.scenario, (old.target_id, old.target_name), activity=old.activity, details=details
                )
                new.target_type, new.occupied, new.recheck = old.target_type, old.occupied, old.recheck
                old.restartable = False
                service.run(new, again)
                while not new.done and new.state != "Suspended":
                    yield 1.0
                if new.failure is not None:
                    raise new.failure

        target = (old.target_id, old.target_name)
        return service.start(call, vault, "RestartJob", target, work, target_type=old.target_type, resource=old.arm_id)

    def _need(self, call: Call) -> Job:
        job = self.service.vault(call).jobs.get(call["jobName"].lower())
        if job is None:
            raise missing(call["jobName"])
        return job

    def _offered(self, call: Call, action: str) -> Job:
        job = self._need(call)
        if action not in job.allowed_actions():
            text = f"The job {job.id} ({job.state}) does not allow {action}."
            raise refuse("job-action-unsupported", text, activity=call.correlation_id)
        return job

    def _answer(self, call: Call, job: Job, reached: Callable[[], bool]) -> Answer:
        """The long-running operation of an action on a job: it ends when the job has taken it in."""

        def work() -> Work:
            while not reached():
                yield 1.0

        service = self.service
        running = service.arm.operations.begin(call, work(), result=lambda: Answer(200, job.json()), retry_after=30)
        return service.arm.operations.answer(call, running)

    def _end_test(self, call: Call, job: Job, comments: str) -> Answer:
        """Clean up every machine of a waiting test failover."""
        service, vault = self.service, self.service.vault(call)
        items = [item for item in vault.items() if item.test_job is job]
        plan = next((plan for plan in vault.plans.values() if plan.test_job is job), None)
        if plan is not None:
            wanted = {entry["id"].lower() for group in plan.groups for entry in group["items"]}
            items = [item for item in vault.items() if item.id.lower() in wanted and item.state == "cleanup-pending"]

        def work(own: Job) -> Work:
            for item in items:
                yield from self._clean(item, own, comments)
            if plan is not None:
                plan.test_job = None
            if not job.done:
                job.finish("Succeeded", "Completed")

        target = (job.target_id, job.target_name)
        details = test_failovers.details("", comments)
        return service.start(
            call, vault, "TestFailoverCleanup", target, work, details=details, target_type=job.target_type, resource=job.arm_id,
            occupies=[*items, *([plan] if plan is not None else [])], result=lambda: Answer(200, job.json()),
        )  # fmt: skip

    def _clean(self, item: Item, own: Job, comments: str) -> Work:
        state = self.service.rules.transitions["cleanup-pending", "test-failover-cleanup"]
        yield from test_failovers.clean_up(self.service, item, own, comments, state)
