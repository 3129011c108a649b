"""replicationRecoveryPlans: plans, and the operations on all of their machines."""

from collections.abc import Callable, Sequence

from emulators.azure.arm import Answer, Call, operation, read
from emulators.azure.site_recovery import commit, failback, plan_runs, reprotect, test_failovers
from emulators.azure.site_recovery.failover import APP, CRASH, CUSTOM, LATEST, PROCESSED, Run
from emulators.azure.site_recovery.jobs import Job, JobTask, Work
from emulators.azure.site_recovery.plan_runs import PRIMARY_TO_RECOVERY, RECOVERY_TO_PRIMARY, Member, PlanRun, member_job
from emulators.azure.site_recovery.plans import members_of, plan_id, plan_json, read_groups
from emulators.azure.site_recovery.profiles import CLASSIC, MODERNIZED, Profile
from emulators.azure.site_recovery.records import Item, Plan, Point, Vault
from emulators.azure.site_recovery.refusals import Failure, refuse
from emulators.azure.site_recovery.scenarios import SCENARIOS
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.states import decide_for, is_forward
from emulators.azure.site_recovery.wire import AZURE, FORWARD, VAULT, Json, listing, same, truth

_PLAN = VAULT + "/replicationRecoveryPlans/{planName}"

#: Operations of a plan in the order they are listed, and what they are for its items.
Each = Callable[[Item, Job], Work]


class RecoveryPlans:
    """Every operation acts on the machines whose state allows it; it is refused when there is none (PLAN-014)."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", VAULT + "/replicationRecoveryPlans")
    def list_plans(self, call: Call) -> Answer:
        vault = self.service.vault(call)
        return Answer(200, listing([plan_json(self.service, vault, plan, thin=True) for plan in vault.plans.values()]))

    @operation("GET", _PLAN)
    def get(self, call: Call) -> Answer:
        return Answer(200, plan_json(self.service, self.service.vault(call), self.service.plan(call)))

    @operation("PUT", _PLAN)
    def create(self, call: Call) -> Answer:
        service, vault, name = self.service, self.service.vault(call), call["planName"]
        body = call.content()
        fabric_id = str(read(body, "properties.primaryFabricId", str, required=True))
        fabric = next((fabric for fabric in vault.fabrics.values() if same(fabric.id, fabric_id)), None)
        if fabric is None or not same(read(body, "properties.recoveryFabricId", str, AZURE), AZURE):  # PLAN-004
            raise refuse("plan-invalid", "A plan goes from a registered fabric to Microsoft Azure.", activity=call.correlation_id)
        old = vault.plans.get(name.lower())
        if old is not None and (old.job is not None or old.test_job is not None):
            raise refuse("operation-in-progress", activity=call.correlation_id)
        groups = read_groups(service, call, vault, fabric, read(body, "properties.groups", list, required=True))
        plan = Plan(name, name, fabric.id, groups)
        return self._save(call, vault, plan)

    @operation("PATCH", _PLAN)
    def update(self, call: Call) -> Answer:
        """Replace the groups (PLAN-015)."""
        service, vault, old = self.service, self.service.vault(call), self.service.plan(call)
        if old.job is not None or old.test_job is not None:
            raise refuse("operation-in-progress", activity=call.correlation_id)
        fabric = next(fabric for fabric in vault.fabrics.values() if same(fabric.id, old.fabric_id))
        groups = read_groups(service, call, vault, fabric, read(call.content(), "properties.groups", list, required=True))
        return self._save(call, vault, Plan(old.name, old.friendly, old.fabric_id, groups))

    def _save(self, call: Call, vault: Vault, plan: Plan) -> Answer:
        service = self.service

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(0.5)
                vault.plans[plan.name.lower()] = plan

        return service.start(
            call, vault, "SaveRecoveryPlan", (plan.name, plan.name), work, resource=plan_id(vault, plan),
            result=lambda: Answer(200, plan_json(service, vault, plan)),
        )  # fmt: skip

    @operation("DELETE", _PLAN)
    def remove(self, call: Call) -> Answer:
        service, vault, plan = self.service, self.service.vault(call), self.service.plan(call)
        if plan.job is not None or plan.test_job is not None:
            raise refuse("operation-in-progress", activity=call.correlation_id)

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(0.5)
                vault.plans.pop(plan.name.lower(), None)

        return service.start(call, vault, "DeleteRecoveryPlan", (plan.name, plan.name), work)

    # failover ------------------------------------------------------------------------------------------------------------

    @operation("POST", _PLAN + "/testFailover")
    def test_failover(self, call: Call) -> Answer:
        service, plan = self.service, self.service.plan(call)
        properties = read(call.content(), "properties", dict, required=True)
        network = str(read(properties, "networkId", str, ""))
        if service.azure.find(network) is None:
            raise refuse("network-missing", "The network of the test does not exist.", activity=call.correlation_id)
        items = self._ready(call, plan, "test-failover")
        choice, shared = self._choice(call, properties, items[0].profile, True)

        def member(item: Item, job: Job) -> Member:
            point = _shared_point(items, item) if shared else None
            run = Run(service, item, job, CUSTOM if point else choice, point.id if point else "", test=True, network_id=network)
            return Member(item, job, run)

        return self._run(call, plan, items, "TestFailover", PRIMARY_TO_RECOVERY, member, test_failovers.details(network))

    @operation("POST", _PLAN + "/unplannedFailover")
    def unplanned_failover(self, call: Call) -> Answer:
        return self._fail_over(call, "unplanned-failover")

    def _fail_over(self, call: Call, asked: str) -> Answer:
        service, plan = self.service, self.service.plan(call)
        properties = read(call.content(), "properties", dict, required=True)
        items = self._ready(call, plan, asked)
        forward = is_forward(items[0])
        items = [item for item in items if is_forward(item) == forward]
        choice, shared = self._choice(call, properties, items[0].profile, forward)
        shutdown = service.rules.shutdown_asked(str(read(properties, "sourceSiteOperations", str, "NotRequired")))
        given = [entry for entry in read(properties, "providerSpecificDetails", list, []) if isinstance(entry, dict)]
        shutdown = shutdown or any(truth(entry.get("performShutdown")) for entry in given)

        def member(item: Item, job: Job) -> Member:
            state = decide_for(item, service.rules.transitions, asked).next
            if not forward:
                job.details["choice"] = choice
                return Member(item, job, state=state)
            point = _shared_point(items, item) if shared else None
            run = Run(service, item, job, CUSTOM if point else choice, point.id if point else "", shutdown=shutdown)
            return Member(item, job, run, state=state)

        direction = PRIMARY_TO_RECOVERY if forward else RECOVERY_TO_PRIMARY
        kind = "UnplannedFailover" if forward else items[0].profile.failback_scenario
        return self._run(call, plan, items, kind, direction, member, {"protectedItemDetails": []})

    @operation("POST", _PLAN + "/plannedFailover")
    def planned_failover(self, call: Call) -> Answer:
        """Failback of the modernized architecture (FB-003); refused in the classic one (FO-002)."""
        members = members_of(self.service, self.service.plan(call))
        if any(item.profile is MODERNIZED for item in members):
            return self._fail_over(call, "planned-failover")
        if "planned" not in self.service.rules.failover_kinds(FORWARD):
            raise refuse("failover-kind-unsupported", activity=call.correlation_id)
        return self._fail_over(call, "unplanned-failover")

    @operation("POST", _PLAN + "/failoverCancel")
    def failover_cancel(self, call: Call) -> Answer:
        """Cancel the planned failover of every machine that is not committed (FB-008); refused where there is none (FO-018)."""
        service, plan = self.service, self.service.plan(call)
        items = self._ready(call, plan, "cancel-failover")

        def each(item: Item, job: Job) -> Work:
            state = decide_for(item, service.rules.transitions, "cancel-failover").next
            return failback.cancel(service, item, job, state)

        return self._each(call, plan, items, "CancelFailover", {}, each)

    # all machines at once ---------------------------------------------------------------------------------------------

    @operation("POST", _PLAN + "/testFailoverCleanup")
    def test_failover_cleanup(self, call: Call) -> Answer:
        service, plan = self.service, self.service.plan(call)
        comments = str(read(call.body, "properties.comments", str, ""))
        items = self._ready(call, plan, "test-failover-cleanup")

        def each(item: Item, job: Job) -> Work:
            state = decide_for(item, service.rules.transitions, "test-failover-cleanup").next
            return test_failovers.clean_up(service, item, job, comments, state)

        def after() -> None:
            ended, plan.test_job = plan.test_job, None
            if ended is not None and not ended.done:
                ended.details.update(comments=comments, testFailoverStatus="Completed")
                ended.finish("Succeeded", "Completed")

        details = {**test_failovers.details("", comments), "networkType": None}
        return self._each(call, plan, items, "TestFailoverCleanup", details, each, after)

    @operation("POST", _PLAN + "/failoverCommit")
    def failover_commit(self, call: Call) -> Answer:
        service, plan = self.service, self.service.plan(call)
        items = self._ready(call, plan, "commit")

        def each(item: Item, job: Job) -> Work:
            return commit.commit(service, item, job, decide_for(item, service.rules.transitions, "commit").next)

        return self._each(call, plan, items, "CommitFailover", {}, each)

    @operation("POST", _PLAN + "/reProtect")
    def reprotect(self, call: Call) -> Answer:
        """Reprotect every machine; the body is optional and holds for all. A replication group goes as a whole (RPR-020)."""
        service, plan, vault = self.service, self.service.plan(call), self.service.vault(call)
        items = self._ready(call, plan, "reprotect")
        given = read(call.body, "properties.providerSpecificDetails", dict)
        self._whole_groups(call, vault, items)
        wanted: dict[str, Json] = {}
        try:
            for item in items:
                wanted[item.id] = reprotect.inputs(service, vault, service.fabric_of(item), item, given)
        except Failure as failure:
            raise refuse(failure.reason, failure.message, activity=call.correlation_id) from None
        self._one_master(call, items, wanted)

        def each(item: Item, job: Job) -> Work:
            state = decide_for(item, service.rules.transitions, "reprotect").next
            return reprotect.reprotect(service, item, job, wanted[item.id], state)

        details = {"newReplicationProtectedItemId": None}
        return self._each(call, plan, items, "SwitchReplicationGroupProtection", details, each)

    def _whole_groups(self, call: Call, vault: Vault, items: Sequence[Item]) -> None:
        for item in items:
            members = [other for other in vault.items() if item.shared and other.group_id == item.group_id]
            if any(member not in items for member in members):
                raise refuse(
                    "group-incomplete", f"{item.friendly}: not every member is in the plan.", activity=call.correlation_id
                )

    def _one_master(self, call: Call, items: Sequence[Item], wanted: dict[str, Json]) -> None:
        by_group: dict[str, set[str]] = {}
        systems: dict[str, set[str]] = {}
        for item in items:
            if item.shared:
                by_group.setdefault(item.group_id, set()).add(wanted[item.id]["masterTargetId"])
                systems.setdefault(item.group_id, set()).add(item.os_type if item.profile is CLASSIC and is_forward(item) else "")
        if self.service.rules.one_master_target and any(len(found) > 1 for found in systems.values()):  # MVM-006
            text = "A replication group with machines of several systems has no master target that fits all."
            raise refuse("master-target-os-mismatch", text, activity=call.correlation_id)
        if self.service.rules.one_master_target and any(len(masters) > 1 for masters in by_group.values()):
            raise refuse("group-master-targets-differ", activity=call.correlation_id)

    # shared by the operations --------------------------------------------------------------------------------------------

    def _ready(self, call: Call, plan: Plan, operation_name: str) -> list[Item]:
        """The machines whose state allows an operation. Raises `Refusal` when none does, with the reason of the first."""
        service = self.service
        if plan.job is not None or (plan.test_job is not None and operation_name not in ("test-failover-cleanup",)):
            busy = plan.job is not None
            raise refuse("operation-in-progress" if busy else "clean-up-pending", activity=call.correlation_id)
        items = members_of(service, plan)
        if not items:
            raise refuse("plan-empty", activity=call.correlation_id)
        ready = [item for item in items if decide_for(item, service.rules.transitions, operation_name).allowed]
        for item in ready or items[:1]:
            service.check(item, operation_name, call=call)
        return ready

    def _choice(self, call: Call, properties: Json, profile: Profile, forward: bool) -> tuple[str, bool]:
        """The kind of recovery point for a provider, and whether group members take a shared one (PLAN-013, FO-011)."""
        provider = profile.forward if forward else profile.reverse
        given = [entry for entry in read(properties, "providerSpecificDetails", list, []) if isinstance(entry, dict)]
        mine: Json = next((entry for entry in given if entry.get("instanceType") == provider), {})
        kinds = (LATEST, PROCESSED, APP, CRASH) if forward else profile.failback_choices[:2]
        choice = str(read(mine, "recoveryPointType", str, kinds[0]))
        if choice == "Custom":
            raise refuse("custom-point-in-plan", activity=call.correlation_id)
        if choice not in kinds:
            raise refuse("malformed", f"'{choice}' is not a recovery point type of {provider}.", activity=call.correlation_id)
        return choice, truth(mine.get("useMultiVmSyncPoint")) and choice in (PROCESSED, APP)

    def _run(
        self,
        call: Call,
        plan: Plan,
        items: list[Item],
        kind: str,
        direction: str,
        member: Callable[[Item, Job], Member],
        details: Json,
    ) -> Answer:
        service, vault = self.service, self.service.vault(call)
        skipped = [item for item in members_of(service, plan) if item not in items]

        def work(job: Job) -> Work:
            run = PlanRun(service, vault, plan, job, kind, direction)
            plan.scenario, plan.status = kind, ("InProgress", "InProgress")
            for item in items:
                run.members[item.id.lower()] = member(item, member_job(service, vault, item, kind, job.activity, dict(details)))
            for item in skipped:  # PLAN-003
                run.members[item.id.lower()] = Member(item, job, skipped=True)
            try:
                yield from plan_runs.run_plan(run)
            except BaseException:
                plan.status = ("Failed", "Failed")
                raise
            word = ("Suspended", "Waiting for user input") if job.state == "Suspended" else ("Succeeded", "Completed")
            plan.status = word
            plan.times[f"last{kind}Time"] = service.now()

        tasks = plan_runs.tasks_of(plan, kind, direction, service.rules.action_applies)
        return self._start(call, vault, plan, kind, work, details, tasks)

    def _each(
        self,
        call: Call,
        plan: Plan,
        items: list[Item],
        scenario: str,
        details: Json,
        each: Each,
        after: Callable[[], None] | None = None,
    ) -> Answer:
        """Run a job for each machine in parallel below the plan's job."""
        service, vault = self.service, self.service.vault(call)

        def work(job: Job) -> Work:
            plan.scenario, plan.status = scenario, ("InProgress", "InProgress")
            run = PlanRun(service, vault, plan, job, scenario, "")
            for item in items:
                run.members[item.id.lower()] = Member(
                    item, member_job(service, vault, item, scenario, job.activity, dict(details))
                )
            with job.task(0) as task:
                yield from _all_jobs(service, run, task, each)
            failed = [member for member in run.members.values() if member.gone is not None]
            for member in failed:
                job.errors += member.job.errors
            plan.status = ("Failed", "Failed") if failed else ("Succeeded", "Completed")
            if failed and len(failed) == len(items):
                assert failed[0].gone is not None, "chosen so"
                job.errors = job.errors[1:]
                raise failed[0].gone
            if after is not None:
                after()

        name = SCENARIOS[scenario].friendly
        tasks = [plan_runs.group_task(f"RecoveryPlan{scenario}Task", name, "Failover", "RecoveryPlanGroupTaskDetails")]
        return self._start(call, vault, plan, scenario, work, details, tasks)

    def _start(
        self,
        call: Call,
        vault: Vault,
        plan: Plan,
        scenario: str,
        work: Callable[[Job], Work],
        details: Json,
        tasks: list[JobTask],
    ) -> Answer:
        service = self.service
        return service.start(
            call, vault, scenario, (plan.name, plan.name), work, details={**details, "affectedObjectDetails": {}},
            target_type="RecoveryPlan", tasks=tasks, resource=plan_id(vault, plan), occupies=[plan],
            result=lambda: Answer(200, plan_json(service, vault, plan)),
        )  # fmt: skip


def _all_jobs(service: Service, run: PlanRun, task: JobTask, each: Each) -> Work:
    def phase(member: Member) -> Work:
        yield from each(member.item, member.job)
        service.end_child(member.job, None)

    yield from plan_runs.together(run, task, list(run.members.values()), phase)


def _shared_point(items: Sequence[Item], item: Item) -> Point | None:
    """The newest point that every member of the item's replication group has in common (FO-011)."""
    if not item.shared:
        return None
    group = [other for other in items if other.group_id == item.group_id]
    common = set.intersection(*({point.time for point in other.points.values() if point.multi_vm} for other in group))
    return next((point for point in item.points.values() if common and point.multi_vm and point.time == max(common)), None)
