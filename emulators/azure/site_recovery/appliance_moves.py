"""`updateAppliance`: another appliance replicates a machine from now on (TOP-017)."""

from emulators.azure.arm import Answer, Call, operation, read
from emulators.azure.site_recovery import appliances, enable
from emulators.azure.site_recovery.item_jobs import start_on_item
from emulators.azure.site_recovery.jobs import Cancelled, Job, Work
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Component, Item
from emulators.azure.site_recovery.refusals import Failure, refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import ITEM


class ApplianceMoves:
    """Allowed when every program of the old appliance is silent, or every one is heard of; a mixture blocks it."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("POST", ITEM + "/updateAppliance")
    def update_appliance(self, call: Call) -> Answer:
        service, item = self.service, self.service.item(call)
        properties = read(call.content(), "properties", dict, required=True)
        details = read(properties, "providerSpecificDetails", dict, required=True)
        if item.profile is not MODERNIZED:
            raise refuse("scenario-unsupported", "A configuration server is not changed this way.", activity=call.correlation_id)
        service.check(item, "update-appliance", call=call)
        kind = read(details, "instanceType", str, required=True)
        if kind != MODERNIZED.forward:
            raise refuse("malformed", f"instanceType is {MODERNIZED.forward}, not '{kind}'.", activity=call.correlation_id)
        old = service.server_of(item)
        try:
            wanted = read(properties, "targetApplianceId", str, required=True)
            new = appliances.chosen(service, service.fabric_of(item), wanted)
            self._allowed(old, new)
            account = self._account(old, new, item, read(details, "runAsAccountId", str))
        except Failure as failure:
            raise refuse(failure.reason, failure.message, activity=call.correlation_id) from None

        def work(job: Job) -> Work:
            return self._move(item, job, old, new, account)

        return start_on_item(service, call, item, "UpdateApplianceForRPI", work, operation="update-appliance")

    def _allowed(self, old: Component, new: Component) -> None:
        """Raises `Failure`."""
        if new is old:
            raise Failure("malformed", "The machine uses this appliance already.")
        if not appliances.healthy(self.service, new):
            raise Failure("appliance-unhealthy")
        heard = appliances.speaking(self.service, old)
        if any(heard) and not all(heard):
            raise Failure("appliance-mixed")

    def _account(self, old: Component, new: Component, item: Item, given: str | None) -> str:
        """Credentials are asked again where the old appliance is dead."""
        if not given and not self.service.connected(old):
            raise Failure("malformed", "The appliance of the machine is silent: name a runAsAccountId of the new one.")
        return appliances.account_of(new, given or item.settings["runAsAccountId"])

    def _move(self, item: Item, job: Job, old: Component, new: Component, account: str) -> Work:
        """The new appliance installs its agent; what differs from the replica is sent again (a resynchronization)."""
        service, fabric = self.service, self.service.fabric_of(item)
        vault = service.vaults[item.vault.lower()]
        with job.task(0):
            yield from job.rest(1.0)
            self._allowed(old, new)
        before = (item.component, dict(item.settings), item.generation)
        with job.task(1):
            item.component, item.generation = new.id, item.generation + 1
            item.settings["processServerId"], item.settings["runAsAccountId"] = appliances.appliance_id(new, fabric), account
            item.machine = {}
            try:
                yield from enable.replicate(service, vault, fabric, item, job, keep=True, install=True, anew=True)
            except (Failure, Cancelled):
                item.component, item.settings = before[0], before[1]
                item.generation += 1
                if service.connected(old):
                    yield from enable.replicate(service, vault, fabric, item, job, keep=True, install=False)
                raise
            finally:
                item.points, item.worker, item.protected_since, item.finalized = {}, {}, None, False
                service.move(item, "replicating")
        if service.connected(old):
            service.hand(old, "unprotect", {"machineId": item.machine_id, "uninstall": False})
