"""replicationProtectedItems: the operations of a protected item. What each does is in the module of its name."""

from emulators.azure.arm import Answer, Call, operation, read
from emulators.azure.site_recovery import commit, disable, enable, failback, failover, item_settings, reprotect, test_failovers
from emulators.azure.site_recovery.failover import CUSTOM, LATEST, Run
from emulators.azure.site_recovery.filters import chosen, item_fields, page
from emulators.azure.site_recovery.item_jobs import start_on_item
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Item
from emulators.azure.site_recovery.refusals import Failure, refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.states import is_forward, provider_of
from emulators.azure.site_recovery.views import item_json
from emulators.azure.site_recovery.wire import CONTAINER, ITEM, VAULT, Json, last_segment, same, truth


class ProtectedItems:
    """Every operation asks the state table first and changes nothing when it refuses (JOB-008)."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    # reading ---------------------------------------------------------------------------------------------------------

    @operation("GET", VAULT + "/replicationProtectedItems")
    def list_all(self, call: Call) -> Answer:
        found = chosen(call, self.service.vault(call).items(), item_fields(self.service, call))
        return Answer(200, page(call, [item_json(self.service, item, thin=True) for item in found]))

    @operation("GET", CONTAINER + "/replicationProtectedItems")
    def list_container(self, call: Call) -> Answer:
        found = chosen(call, list(self.service.container(call).items.values()), item_fields(self.service, call))
        return Answer(200, page(call, [item_json(self.service, item, thin=True) for item in found]))

    @operation("GET", ITEM)
    def get(self, call: Call) -> Answer:
        return Answer(200, item_json(self.service, self.service.item(call)))

    # life ------------------------------------------------------------------------------------------------------------

    @operation("PUT", ITEM)
    def create(self, call: Call) -> Answer:
        fabric = self.service.container(call)
        return enable.enable(self.service, call, fabric, lambda item: item_json(self.service, item))

    @operation("PATCH", ITEM)
    def update(self, call: Call) -> Answer:
        """Change the target of an item: name, size, network. The replication group is fixed (MVM-003)."""
        service, item = self.service, self.service.item(call)
        body = read(call.content(), "properties", dict, {})
        details = read(body, "providerSpecificDetails", dict, {})
        if details.get("multiVmGroupName") or details.get("multiVmGroupId"):
            raise refuse("group-fixed", activity=call.correlation_id)
        _check_kind(call, item, body)
        if item.job is not None:
            raise refuse("operation-in-progress", activity=call.correlation_id)
        try:
            new = item_settings.wanted(service, item, body, details)
        except Failure as failure:
            raise refuse(failure.reason, failure.message, activity=call.correlation_id) from None

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(1.0)
                item.settings.update(new)

        return start_on_item(self.service, call, item, "UpdateVmProperties", work)

    @operation("POST", ITEM + "/remove")
    def remove(self, call: Call) -> Answer:
        """Disable replication, or complete the migration where the reason says so."""
        service, item = self.service, self.service.item(call)
        done = read(call.body, "properties.disableProtectionReason", str, "NotSpecified") == "MigrationComplete"
        name = "complete-migration" if done else "disable"
        service.check(item, name, call=call)
        if done:
            return start_on_item(
                service, call, item, "CompleteMigration", lambda job: disable.complete_migration(service, item, job), gone=True
            )
        return start_on_item(
            self.service, call, item, "DisableDr", lambda job: disable.disable(service, item, job), operation="disable", gone=True
        )

    @operation("DELETE", ITEM)
    def purge(self, call: Call) -> Answer:
        service, item = self.service, self.service.item(call)
        if item.job is not None:
            raise refuse("operation-in-progress", activity=call.correlation_id)
        return start_on_item(self.service, call, item, "DisableDr", lambda job: disable.purge(service, item, job), gone=True)

    @operation("POST", ITEM + "/repairReplication")
    def repair(self, call: Call) -> Answer:
        service, item = self.service, self.service.item(call)
        service.check(item, "repair", call=call)
        return start_on_item(
            self.service,
            call,
            item,
            "RepairVMReplication",
            lambda job: disable.resynchronize(service, item, job),
            operation="repair",
        )

    # test failover -----------------------------------------------------------------------------------------------------

    @operation("POST", ITEM + "/testFailover")
    def test_failover(self, call: Call) -> Answer:
        service, item = self.service, self.service.item(call)
        service.check(item, "test-failover", call=call)
        properties = read(call.body, "properties", dict, {})
        _check_kind(call, item, properties)
        network = (
            read(properties, "networkId", str)
            or read(properties, "providerSpecificDetails.networkId", str)
            or item.settings.get("testNetworkId")
            or ""
        )
        if read(properties, "networkType", str, "VmNetworkAsInput") == "VmNetworkAsInput" and service.azure.find(network) is None:
            raise refuse("network-missing", "The network of the test does not exist.", activity=call.correlation_id)
        choice, point = self._point(call, item, read(properties, "providerSpecificDetails.recoveryPointId", str))

        def work(job: Job) -> Work:
            return test_failovers.test_failover(Run(service, item, job, choice, point, test=True, network_id=network))

        details = test_failovers.details(network)
        return start_on_item(self.service, call, item, "TestFailover", work, operation="test-failover", details=details)

    @operation("POST", ITEM + "/testFailoverCleanup")
    def test_failover_cleanup(self, call: Call) -> Answer:
        service, item = self.service, self.service.item(call)
        state = service.check(item, "test-failover-cleanup", call=call)
        comments = str(read(call.body, "properties.comments", str, ""))

        def work(job: Job) -> Work:
            return test_failovers.clean_up(service, item, job, comments, state)

        details = {**test_failovers.details("", comments), "networkType": None}
        return start_on_item(
            self.service, call, item, "TestFailoverCleanup", work, operation="test-failover-cleanup", details=details
        )

    # failover ----------------------------------------------------------------------------------------------------------

    @operation("POST", ITEM + "/unplannedFailover")
    def unplanned_failover(self, call: Call) -> Answer:
        return self._fail_over(call)

    def _fail_over(self, call: Call) -> Answer:
        service, item = self.service, self.service.item(call)
        state = service.check(item, "unplanned-failover", call=call)
        properties = read(call.body, "properties", dict, {})
        _check_kind(call, item, properties)
        forward = is_forward(item)
        direction = read(properties, "failoverDirection", str, "PrimaryToRecovery" if forward else "RecoveryToPrimary")
        if forward and direction != "PrimaryToRecovery":
            raise refuse("malformed", "This machine fails over from Primary to Recovery.", activity=call.correlation_id)
        if not forward:
            return self._failback(call, item, properties, state)
        choice, point = self._point(call, item, read(properties, "providerSpecificDetails.recoveryPointId", str))
        shutdown = _shutdown(service, item, properties)

        def work(job: Job) -> Work:
            return failover.fail_over(Run(service, item, job, choice, point, shutdown=shutdown), state)

        details: Json = {"protectedItemDetails": []}
        return start_on_item(self.service, call, item, "UnplannedFailover", work, operation="unplanned-failover", details=details)

    def _failback(self, call: Call, item: Item, properties: Json, state: str) -> Answer:
        choices = item.profile.failback_choices
        choice = str(read(properties, "providerSpecificDetails.recoveryPointType", str, choices[0]))
        if choice not in choices:  # FB-002, FB-003
            raise refuse("malformed", f"'{choice}' is not a recovery point type of a failback.", activity=call.correlation_id)
        point = (
            last_segment(read(properties, "providerSpecificDetails.recoveryPointId", str)) if choice == failback.CUSTOM else ""
        )

        def work(job: Job) -> Work:
            return failback.fail_back(self.service, item, job, choice, point, state)

        details: Json = {"protectedItemDetails": []}
        profile = item.profile
        return start_on_item(
            self.service, call, item, profile.failback_scenario, work, operation=profile.failback, details=details
        )

    @operation("POST", ITEM + "/plannedFailover")
    def planned_failover(self, call: Call) -> Answer:
        """Failback of the modernized architecture (FB-003); refused in the classic one, in both directions (FO-002)."""
        service, item = self.service, self.service.item(call)
        if item.profile is MODERNIZED:
            state = service.check(item, "planned-failover", call=call)
            properties = read(call.content(), "properties", dict, required=True)
            given = read(properties, "providerSpecificDetails.instanceType", str, required=True)
            if given != MODERNIZED.reverse:
                text = f"A planned failover is of {MODERNIZED.reverse}, not {given}."
                raise refuse("malformed", text, activity=call.correlation_id)
            return self._failback(call, item, properties, state)
        if "planned" not in service.rules.failover_kinds(provider_of(item)):
            service.check(item, "planned-failover", call=call)
        return self._fail_over(call)

    @operation("POST", ITEM + "/failoverCommit")
    def failover_commit(self, call: Call) -> Answer:
        service, item = self.service, self.service.item(call)
        state = service.check(item, "commit", call=call)
        return start_on_item(
            self.service, call, item, "CommitFailover", lambda job: commit.commit(service, item, job, state), operation="commit"
        )

    @operation("POST", ITEM + "/failoverCancel")
    def failover_cancel(self, call: Call) -> Answer:
        """Take a planned failover back that is not committed (FB-008); everything else is refused (FO-018, FB-009)."""
        service, item = self.service, self.service.item(call)
        state = service.check(item, "cancel-failover", call=call)

        def work(job: Job) -> Work:
            return failback.cancel(service, item, job, state)

        return start_on_item(service, call, item, "CancelFailover", work, operation="cancel-failover")

    @operation("POST", ITEM + "/applyRecoveryPoint")
    def apply_recovery_point(self, call: Call) -> Answer:
        service, item = self.service, self.service.item(call)
        state = service.check(item, "change-point", call=call)
        _check_kind(call, item, read(call.content(), "properties", dict, {}))
        choice, point = self._point(call, item, read(call.content(), "properties.recoveryPointId", str, required=True))

        def work(job: Job) -> Work:
            return commit.change_point(Run(service, item, job, choice, point), state)

        details: Json = {"protectedItemDetails": []}
        return start_on_item(self.service, call, item, "ChangePit", work, operation="change-point", details=details)

    @operation("POST", ITEM + "/reProtect")
    def reprotect(self, call: Call) -> Answer:
        service, item = self.service, self.service.item(call)
        state = service.check(item, "reprotect", call=call)
        if item.shared and item.profile is not MODERNIZED and not service.rules.group_alone:
            raise refuse("group-only-by-plan", activity=call.correlation_id)  # RPR-020
        given = read(call.content(), "properties.providerSpecificDetails", dict, required=True)
        try:
            wanted = reprotect.inputs(service, service.vault(call), service.fabric_of(item), item, given)
        except Failure as failure:
            raise refuse(failure.reason, failure.message, activity=call.correlation_id) from None

        def work(job: Job) -> Work:
            return reprotect.reprotect(service, item, job, wanted, state)

        details = {"newReplicationProtectedItemId": None}
        return start_on_item(
            self.service, call, item, "SwitchReplicationGroupProtection", work, operation="reprotect", details=details
        )

    # shared by the operations -------------------------------------------------------------------------------------------

    def _point(self, call: Call, item: Item, point_id: str | None) -> tuple[str, str]:
        """The choice a recovery point id means: none is Latest; one must be a point of this item (FO-010)."""
        if not point_id:
            return LATEST, ""
        name = last_segment(point_id)
        if not same(point_id, f"{item.id}/recoveryPoints/{name}") or name not in item.points:
            raise refuse("recovery-point-unknown", activity=call.correlation_id)
        return CUSTOM, name


def _check_kind(call: Call, item: Item, properties: Json) -> None:
    """What is said for one provider is not meant for another; the base type, which names none, fits all. Raises `Refusal` 400."""
    kind = read(properties, "providerSpecificDetails.instanceType", str)
    if kind is not None and kind not in (provider_of(item), item.profile.forward):
        text = f"'{kind}' is not the provider of this machine, {provider_of(item)}."
        raise refuse("malformed", text, activity=call.correlation_id)


def _shutdown(service: Service, item: Item, properties: Json) -> bool:
    """Whether the source is shut down first (FO-012): modernized calls say it in `performShutdown`."""
    asked = read(properties, "providerSpecificDetails", dict, {}).get("performShutdown") if item.profile is MODERNIZED else None
    if asked is not None:
        return truth(asked)
    return service.rules.shutdown_asked(str(read(properties, "sourceSiteOperations", str, "NotRequired")))
