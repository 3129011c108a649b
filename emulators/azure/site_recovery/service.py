"""The heart of Site Recovery: finds vaults and objects, starts jobs, hands work to components, keeps the events."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Refusal, not_found
from emulators.azure.site_recovery.azure import Azure
from emulators.azure.site_recovery.jobs import (
    Cancelled,
    Job,
    JobTask,
    Work,
    as_refusal,
    end,
    operation_status,
    under_lock,
)
from emulators.azure.site_recovery.reasons import REASONS
from emulators.azure.site_recovery.records import Component, Fabric, Item, Plan, Policy, Vault, WorkItem
from emulators.azure.site_recovery.refusals import Failure, job_error, missing, refuse
from emulators.azure.site_recovery.rules import Rules
from emulators.azure.site_recovery.scenarios import SCENARIOS
from emulators.azure.site_recovery.states import decide_for
from emulators.azure.site_recovery.wire import TYPE, Json, same
from emulators.clock import iso

#: Told of every change: emulated time, what kind, about what, and the particulars.
Observer = Callable[[float, str, str, Json], None]

#: An event name counts down, so that the newest sorts first: .NET ticks subtracted from their maximum.
_MOST_TICKS, _TICKS_1970 = 9223372036854775807, 621355968000000000


class Service:
    """State of Site Recovery in one estate. Everything here is called with `lock` (Resource Manager's) held."""

    def __init__(self, arm: Arm, rules: Rules, observer: Observer | None):
        self.arm = arm
        self.lock = arm.lock
        self.clock = arm.clock
        self.scope = arm.clock.scope("site-recovery")
        self.rules = rules
        self.azure = Azure(arm)
        self.vaults: dict[str, Vault] = {}
        self.components: dict[str, Component] = {}
        self._observer = observer

    def now(self) -> float:
        return self.clock.now()

    def observe(self, kind: str, subject: str, **what: Any) -> None:
        if self._observer is not None:
            self._observer(self.now(), kind, subject, what)

    # finding ---------------------------------------------------------------------------------------------------------

    def vault_at(self, vault_id: str) -> Vault:
        """Site Recovery's view of a vault. Raises `Refusal` 404 when the vault does not exist."""
        resource = self.arm.store.get(vault_id)
        if resource is None:
            self.vaults.pop(_capital(vault_id).lower(), None)
            raise not_found(vault_id)
        vault = self.vaults.get(_capital(resource.id).lower())
        if vault is None:
            vault = Vault(_capital(resource.id), resource.location)
            self.vaults[vault.key] = vault
        return vault

    def vault(self, call: Call) -> Vault:
        return self.vault_at("/".join(call.path.split("/")[:9]))

    def fabric(self, call: Call) -> Fabric:
        fabrics = self.vault(call).fabrics
        found = fabrics.get(call["fabricName"].lower())
        if found is None:
            if not fabrics and call.method != "GET":
                raise refuse("not-registered", activity=call.correlation_id)
            raise missing(call["fabricName"])
        return found

    def container(self, call: Call) -> Fabric:
        fabric = self.fabric(call)
        if not same(call["containerName"], fabric.container):
            raise missing(call["containerName"])
        return fabric

    def item(self, call: Call) -> Item:
        found = self.container(call).items.get(call["itemName"].lower())
        if found is None:
            raise missing(call["itemName"])
        return found

    def plan(self, call: Call) -> Plan:
        found = self.vault(call).plans.get(call["planName"].lower())
        if found is None:
            raise missing(call["planName"])
        return found

    def fabric_of(self, item: Item) -> Fabric:
        return self.vaults[item.vault.lower()].fabrics[item.fabric.lower()]

    def item_at(self, item_id: str) -> Item | None:
        return next((item for vault in self.vaults.values() for item in vault.items() if same(item.id, item_id)), None)

    def policy_at(self, vault: Vault, policy_id: str | None) -> Policy | None:
        return next((policy for policy in vault.policies.values() if same(policy_path(vault, policy), policy_id)), None)

    def server(self, fabric: Fabric) -> Component:
        """The configuration server, or the first appliance, of a fabric."""
        return self.components[fabric.component]

    def servers(self, fabric: Fabric) -> list[Component]:
        """Every appliance of a fabric, the first one first; of a classic one the configuration server (TOP-016)."""
        return [self.components[one] for one in (fabric.component, *fabric.further) if one in self.components]

    def server_of(self, item: Item) -> Component:
        """The configuration server, or the appliance, that replicates an item."""
        return self.components.get(item.component) or self.server(self.fabric_of(item))

    def connected(self, component: Component) -> bool:
        return self.now() - component.seen <= self.rules.server_silence_seconds

    def replica_worker(self, vault: Vault) -> Component:
        """The replica worker that serves a vault: the one heard of last. Raises `Failure`."""
        workers = [c for c in self.components.values() if c.role == "replica-worker" and c.vault == vault.key]
        if not workers:
            raise Failure("replica-worker-missing")
        return max(workers, key=lambda worker: (worker.seen, worker.id))

    # items -----------------------------------------------------------------------------------------------------------

    def move(self, item: Item, state: str) -> None:
        """The item is in another state now."""
        before, item.state = item.state, state
        if before != state:
            self.observe("item-state", item.id, before=before, state=state, machine=item.machine_id)

    def check(self, item: Item, operation: str, *, call: Call | None = None) -> str:
        """The state an allowed operation leads to. Raises `Refusal` with the reason it is not allowed (JOB-008)."""
        decision = decide_for(item, self.rules.transitions, operation)
        activity = call.correlation_id if call is not None else ""
        if not decision.allowed:
            raise refuse(decision.reason, f"{item.friendly}: {REASONS[decision.reason].message}", activity=activity)
        if item.job is not None and not (item.job.state == "Suspended" and operation == "test-failover-cleanup"):
            raise refuse("operation-in-progress", activity=activity)
        if operation == "repair" and not item.machine.get("resyncRequired"):
            raise refuse("resync-not-required", activity=activity)
        return decision.next

    # jobs ------------------------------------------------------------------------------------------------------------

    def start(
        self,
        call: Call,
        vault: Vault,
        scenario: str,
        target: tuple[str, str],
        work: Callable[[Job], Work],
        *,
        details: Json | None = None,
        target_type: str = "",
        tasks: list[JobTask] | None = None,
        resource: str = "",
        result: Callable[[], Answer] | None = None,
        occupies: list[Any] | None = None,
        recheck: Callable[[], None] | None = None,
        dated: bool = False,
    ) -> Answer:
        """Start a job for a call: 202 with the URLs of its operation.

        `dated`: x-ms-request-id is the client's with the time, as a few operations have it (asr-wire section 2).

        `result` answers the `Location` URL at the end; `occupies` are the objects that have no other job meanwhile.
        """
        activity = f"{call.headers.get('x-ms-client-request-id', call.correlation_id)} ActivityId: {call.correlation_id}"
        job = self.new_job(vault, scenario, target, activity=activity, details=details, target_type=target_type, tasks=tasks)
        job.occupied, job.recheck = occupies or [], recheck
        path = resource or _capital(call.path)
        job.operation = self.arm.operations.begin(
            call,
            operation_id=job.id,
            status_path=f"{vault.id}/replicationOperationStatus/{job.id}",
            result_path=f"{path}/operationresults/{job.id}",
            document=operation_status,
            result=result,
            retry_after=30,
        )
        self.run(job, work)
        answer = self.arm.operations.answer(call, job.operation)
        answer.headers["x-ms-request-id"] = _dated(call, self.clock.utc()) if dated else job.arm_id
        return answer

    def new_job(
        self,
        vault: Vault,
        scenario: str,
        target: tuple[str, str],
        *,
        activity: str = "",
        details: Json | None = None,
        target_type: str = "",
        tasks: list[JobTask] | None = None,
    ) -> Job:
        job = Job(vault.id, self.clock.uuid(), scenario, activity, self.now)
        job.target_id, job.target_name = target
        job.target_type = target_type or SCENARIOS[scenario].target
        job.details = details or {}
        job.tasks = tasks if tasks is not None else [JobTask(name) for name in SCENARIOS[scenario].tasks]
        vault.jobs[job.id] = job
        return job

    def run(self, job: Job, work: Callable[[Job], Work]) -> None:
        """Run a job's work as a process on the clock."""
        job.work = work
        for thing in job.occupied:
            thing.job = job
        self.scope.spawn(under_lock(self.lock, self.drive(job, work)), name=f"job {job.scenario}")

    def drive(self, job: Job, work: Callable[[Job], Work]) -> Work:
        """A job from its start to its end. A `Failure` ends it as Failed; whoever waits for a child job reads `failure`."""
        yield 1.0
        job.start = self.now()
        job.proceed()
        self.observe("job-started", job.arm_id, scenario=job.scenario, target=job.target_name)
        try:
            yield from work(job)
        except Failure as failure:
            self._failed(job, failure)
        except Refusal as refusal:
            self._failed(job, Failure("provider-error", f"{refusal.code}: {refusal.message}"))
        except Cancelled:
            job.finish("Cancelled", "Cancelled")
        except Exception as bug:
            self.arm.faults.append(bug)
            self._failed(job, Failure("provider-error", f"An internal error occurred: {bug}"))
        else:
            if not job.done and job.state != "Suspended":
                job.finish("Succeeded", "PartiallySucceeded" if job.errors else "Completed")
        self.release(job)
        self.observe("job-ended", job.arm_id, scenario=job.scenario, target=job.target_name, state=job.state)
        self.close_operation(job)

    def end_child(self, job: Job, failure: Failure | None, *, cancelled: bool = False) -> None:
        """End a job that somebody else drives: a machine's in the run of a recovery plan."""
        if failure is not None:
            self._failed(job, failure)
        elif not job.done:
            job.finish("Cancelled", "Cancelled") if cancelled else job.finish("Succeeded", "Completed")
        self.release(job)
        self.observe("job-ended", job.arm_id, scenario=job.scenario, target=job.target_name, state=job.state)

    def release(self, job: Job) -> None:
        """The objects of a job are free for the next one."""
        for thing in job.occupied:
            if thing.job is job:
                thing.job = None

    def close_operation(self, job: Job) -> None:
        """End the long-running operation of a job that has ended (or waits for a test to be cleaned up)."""
        if job.operation is None or job.operation.done:
            return
        if job.state == "Cancelled":
            self.arm.operations.cancel(job.operation)
        elif job.failure is not None:
            self.arm.operations.finish(job.operation, "Failed", refusal=as_refusal(job.failure))
        else:
            self.arm.operations.finish(job.operation)

    def _failed(self, job: Job, failure: Failure) -> None:
        job.failure = failure
        failed = next((task for task in job.tasks if task.errors), None)
        task_id = failed.name.id if failed is not None else (job.tasks[0].name.id if job.tasks else "")
        job.errors.append(job_error(failure, activity=job.activity, created=iso(self.now()), task=task_id))
        for task in job.tasks:
            if task.state == "InProgress":
                end(task, "Failed", "Failed", self.now())
        job.finish("Failed", "Failed")
        self.observe("job-failed", job.arm_id, reason=failure.reason, message=failure.message)
        vault = self.vaults[job.vault_id.lower()]
        self.event(
            vault,
            "JobStatusMonitoringEvent",
            "JobStatus",
            f"{job.scenario}JobFailed",
            f"{job.scenario} - Failed",
            "Critical",
            job.target_name,
            job.target_id,
        )

        if job.scenario in ("UnplannedFailover", "PlannedFailover"):
            self.mail(vault, f"{SCENARIOS[job.scenario].friendly} of {job.target_name} failed.")

    def mail(self, vault: Vault, subject: str) -> None:
        """One mail, for three things only (EVT-010), to those whom the alert setting names: the event log has it as `mail`."""
        receivers = [str(one) for one in vault.alerts["customEmailAddresses"]]
        if str(vault.alerts["sendToOwners"]).lower() == "send":
            receivers.append("subscription owners")
        if receivers:
            self.observe("mail", vault.id, to=receivers, text=subject, locale=vault.alerts["locale"])

    # work of components ------------------------------------------------------------------------------------------------

    def hand(self, component: Component, kind: str, body: Json) -> WorkItem:
        """Put work into the queue of a component."""
        work = WorkItem(self.clock.uuid(), kind, body, self.now())
        component.queue.append(work)
        component.work[work.id] = work
        self.observe("work", work.id, component=component.name, work=kind, machine=body.get("machineId"))
        return work

    def ask(self, component: Component, kind: str, body: Json, *, job: Job | None = None, patience: float = 0.0) -> Work:
        """Hand work out and wait for its report: its output. Raises `Failure` with the component's reason."""
        work = self.hand(component, kind, body)
        limit = patience or self.rules.work_seconds
        while not work.done:
            yield 1.0
            if job is not None and job.cancel_asked:
                self.withdraw(component, work)
                job.check()
            if not work.done and self.now() - (work.given or work.created) > limit:
                self.withdraw(component, work)
                raise Failure("component-silent", f"{component.name} did not report on '{kind}' within {limit / 60:.0f} minutes.")
        if work.state == "failed":
            error = work.error
            code = str(error.get("code") or "")
            raise Failure(str(error.get("reason") or "provider-error"), str(error.get("message") or ""), code=code)
        return work.output

    def withdraw(self, component: Component, work: WorkItem) -> None:
        if work in component.queue:
            component.queue.remove(work)
        if not work.done:
            work.state = "failed"

    def need_server(self, fabric: Fabric) -> Component:
        """The configuration server, which must be connected. Raises `Failure`."""
        return self.need_connected(self.server(fabric))

    def need_server_of(self, item: Item) -> Component:
        """The server of an item, which must be connected. Raises `Failure`."""
        return self.need_connected(self.server_of(item))

    def need_connected(self, server: Component) -> Component:
        """Raises `Failure` for a server that is not connected, where the rules want it to be (RPR-003)."""
        if self.rules.server_must_be_connected and not self.connected(server):
            raise Failure("configuration-server-disconnected")
        return server

    # events ------------------------------------------------------------------------------------------------------------

    def event(
        self,
        vault: Vault,
        family: str,
        kind: str,
        code: str,
        text: str,
        severity: str,
        friendly: str,
        correlation: str,
        **more: Any,
    ) -> None:
        """Add to the vault's history (EVT-009). `more`: fabric id, provider, site, health errors."""
        now = self.now()
        ticks = _MOST_TICKS - (_TICKS_1970 + int(now * 10_000_000))
        name = f"{family};{ticks}_{self.clock.uuid()}"
        provider = None
        if "provider" in more:
            provider = {
                "instanceType": more["provider"],
                "eventType": None,
                "category": None,
                "component": None,
                "correctiveAction": None,
                "details": None,
                "summary": None,
                "siteName": more.get("site"),
            }
        properties = {
            "eventCode": code,
            "description": text,
            "eventType": kind,
            "affectedObjectFriendlyName": friendly,
            "affectedObjectCorrelationId": correlation,
            "severity": severity,
            "timeOfOccurrence": iso(now),
            "fabricId": more.get("fabric"),
            "providerSpecificDetails": provider,
            "eventSpecificDetails": None,
            "healthErrors": more.get("errors", []),
        }
        type_name = TYPE + "replicationEvents"
        vault.events.append(
            {"name": name, "type": type_name, "id": f"{vault.id}/replicationEvents/{name}", "properties": properties}
        )
        del vault.events[:-5000]
        self.observe("event", name, description=text, severity=severity, object=friendly)


def _dated(call: Call, now: datetime) -> str:
    client = call.headers.get("x-ms-client-request-id", call.correlation_id)
    return f"{client} {now.month}/{now.day}/{now.year} {now.hour % 12 or 12}:{now:%M:%S %p}"


def policy_path(vault: Vault, policy: Policy) -> str:
    return f"{vault.id}/replicationPolicies/{policy.name}"


def _capital(path: str) -> str:
    """Ids of Site Recovery begin with a capital S."""
    return "/Subscriptions/" + path[len("/subscriptions/") :] if path.lower().startswith("/subscriptions/") else path
