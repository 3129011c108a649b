"""The driver: each act is what an operator asks of Resource Manager, and ends with its job."""

from collections.abc import Callable
from typing import Any

from drillbed import vault as arm
from drillbed.estate import VCENTER_NAME
from drillbed.operator import NotInTime, Refused
from drillbed.product import observing
from drillbed.product.words import REGISTRATION
from drillbed.product.world import EstateWorld
from drillbed.site import VCENTER_ACCOUNT
from harness import product as h
from harness.terms import terms

PROCESS_SERVER_IN_AZURE = "process-server-azure"
PRIVATE_PATHS = frozenset({"vpn", "expressroute-private"})
#: Settings of the machine in Azure, as Resource Manager calls them.
TARGET_SETTINGS = {"size": "recoveryAzureVMSize", "name": "recoveryAzureVMName"}
#: An id under which nothing is ever stored.
NOBODY = "none"


class ReferenceSession(h.PartialSession):
    """The reference in one estate."""

    def __init__(self, world: EstateWorld):
        self.world, self.estate = world, world.estate
        self.vault, self.operator = self.estate.vault, self.estate.operator
        self._key = ""
        self._runs: dict[str, dict[str, Any]] = {}

    def _asked(self, act: Callable[[], Any]) -> h.Answer:
        """The answer of the service: its job's end, its refusal, or a component that kept silent."""
        try:
            found = act()
        except Refused as refused:
            return h.Refused(self._reason(refused), str(refused))
        except NotInTime as late:
            return h.Refused("component-silent", str(late))
        if not isinstance(found, dict):
            return h.Accepted()
        return h.Accepted(str(found.get("name") or ""), waiting=found.get("properties", {}).get("state") == "Suspended")

    def _reason(self, refused: Refused) -> str:
        word = REGISTRATION.get(refused.code) or self.estate.reason_of(refused)
        if refused.status == 404 and word == "resource-missing":
            return "unknown-machine"
        return word if word in terms()["reasons"] else "provider-error"

    # before a machine can be protected -------------------------------------------------------------------------------

    def prepare(self) -> h.Answer:
        return self._asked(self._prepare)

    def _prepare(self) -> None:
        if not self.vault.fabric:
            self._register()
            self.estate.add_vcenter()
            self._make_policies()
        self._refresh()

    def _make_policies(self) -> None:
        if not self.vault.policies:
            self.vault.make_policies()

    def _refresh(self) -> dict[str, Any]:
        provider = self.operator.list(f"{self.vault.fabric}/replicationRecoveryServicesProviders")[0]["id"]
        return self.operator.run("POST", f"{provider}/refreshProvider")

    def registration_key(self) -> h.Answer:
        self._key = self.vault.registration_key()
        return h.Accepted()

    def register(self) -> h.Answer:
        return self._asked(self._register)

    def _register(self) -> None:
        self.estate.register_site(self._key)
        self.estate.start_worker()
        self.vault.find_site()

    def add_vcenter(self) -> h.Answer:
        return self._asked(self._add_vcenter)

    def _add_vcenter(self) -> dict[str, Any]:
        if self.vault.fabric:
            return self.estate.add_vcenter()
        body = {"friendlyName": VCENTER_NAME, "ipAddress": "vcenter.drillbed", "port": "443", "runAsAccountId": VCENTER_ACCOUNT}
        path = f"{self.vault.path}/replicationFabrics/{NOBODY}/replicationvCenters/{VCENTER_NAME}"
        return self.operator.run("PUT", path, {"properties": body | {"processServerId": NOBODY}})

    def discover(self) -> h.Answer:
        return self._asked(self._refresh)

    def add_component(self, kind: str, name: str) -> h.Answer:
        if kind != "process-server":
            return h.Unsupported(f"a further {kind}")
        return self._asked(lambda: self.estate.add_process_server(name))

    # acts on a machine -----------------------------------------------------------------------------------------------

    def protect(self, vm: str, group: str | None = None) -> h.Answer:
        def act() -> dict[str, Any]:
            self._make_policies()
            again = self.vault.exists(vm)
            return self.vault.enable(
                vm,
                self.vault.policies["forward"],
                self.estate.targets,
                process_server=self.estate.process_server_id(),
                run_as=self.estate.run_as(vm),
                group=group or "",
                item=self.vault.item(vm)["protectableItemId"] if again else "",
                name=f"{vm}-again" if again else vm,
            )

        return self._asked(act)

    def unprotect(self, vm: str) -> h.Answer:
        return self._asked(lambda: self.vault.disable(vm))

    def failover(self, vm: str, to: str, kind: str, point: str = "latest", shut_down: bool = False) -> h.Answer:
        direction = arm.FORWARD if to == "azure" else arm.REVERSE
        if kind == "planned":
            return self._asked(lambda: self.vault.planned_failover(vm, direction))

        def act() -> dict[str, Any]:
            chosen = self._point(vm, point) if to == "azure" else ""
            return self.vault.failover(vm, shut_down=shut_down, point=chosen, direction=direction)

        return self._asked(act)

    def test_failover(self, vm: str, point: str = "latest") -> h.Answer:
        return self._asked(lambda: self.vault.test_failover(vm, self.estate.targets.network, self._point(vm, point)))

    def clean_up(self, vm: str) -> h.Answer:
        return self._asked(lambda: self.vault.clean_up(vm))

    def change_recovery_point(self, vm: str, point: str = "oldest") -> h.Answer:
        return self._asked(lambda: self.vault.change_point(vm, self._point(vm, point) or self._no_point(vm)))

    def _point(self, vm: str, choice: str) -> str:
        """Id of a recovery point, empty for `latest`. A choice that has none gives an id of none."""
        if choice == "latest":
            return ""
        found = observing.choose(self.vault.recovery_points(vm), choice)
        return str(found["id"]) if found is not None else self._no_point(vm)

    def _no_point(self, vm: str) -> str:
        return f"{self.vault.item_path(vm)}/recoveryPoints/{NOBODY}"

    def commit(self, vm: str) -> h.Answer:
        return self._asked(lambda: self.vault.commit(vm))

    def complete_migration(self, vm: str) -> h.Answer:
        return self._asked(lambda: self.vault.complete_migration(vm))

    def resynchronize(self, vm: str) -> h.Answer:
        return self._asked(lambda: self.vault.verb(vm, "repairReplication"))

    def move(self, vm: str, to: str) -> h.Answer:
        return self._asked(lambda: self.estate.move_to_process_server(vm, to))

    def cancel(self, vm: str) -> h.Answer:
        return self._asked(lambda: self.vault.verb(vm, "failoverCancel"))

    def set_target(self, vm: str, key: str, value: str) -> h.Answer:
        return self._asked(lambda: self.vault.update(vm, {TARGET_SETTINGS[key]: value}))

    # the way back ----------------------------------------------------------------------------------------------------

    def reprotect(self, vm: str) -> h.Answer:
        return self._asked(lambda: self._reprotect(vm))

    def _reprotect(self, vm: str) -> dict[str, Any]:
        if observing.state_of(self.vault.item(vm)) == "failback-committed":
            server = self.estate.process_server_id()
            details = arm.to_azure(
                self.vault.policies["forward"], self.estate.targets, process_server=server, run_as=self.estate.run_as(vm)
            )
            return self.vault.reprotect(vm, details)
        return self.vault.reprotect(vm, arm.to_site(self._way_back()))

    def _way_back(self) -> arm.WayBack:
        """RPR-002: with a process server in Azure, set up now where there is a path and none yet; else with what there is."""
        wanted = PROCESS_SERVER_IN_AZURE not in self.world.gone and PRIVATE_PATHS & self.estate.network.links
        if wanted and self.estate.azure.process_server is None:
            self.estate.add_process_server_in_azure()
        shown = self.vault.find_site()["properties"]["customDetails"]
        servers = {server["friendlyName"]: server["id"] for server in shown["processServers"]}
        server = servers.get(PROCESS_SERVER_IN_AZURE) or shown["processServers"][0]["id"]
        target = shown["masterTargetServers"][0]["id"]
        return arm.WayBack(target, server, "R:", "LocalDS_0", self.vault.policies["failback"])

    # recovery plans --------------------------------------------------------------------------------------------------

    def create_plan(self, name: str, groups: list[list[str]], manual_action_before: int | None = None) -> h.Answer:
        manual = {manual_action_before - 1: "Check that what started so far works"} if manual_action_before else None
        return self._asked(lambda: self.vault.create_plan(name, groups, manual_before=manual))

    def run_plan(self, name: str, to: str, kind: str) -> h.Answer:
        direction = arm.FORWARD if to == "azure" else arm.REVERSE
        if kind == "test":
            return self._asked(lambda: self._ran(name, self.vault.test_plan(name, self.estate.targets.network)))
        return self._asked(lambda: self._ran(name, self.vault.run_plan(name, shut_down=True, direction=direction)))

    def resume_plan(self, name: str) -> h.Answer:
        return self._asked(lambda: self._ran(name, self.vault.resume(self._runs[name], "done")))

    def _ran(self, name: str, job: dict[str, Any]) -> dict[str, Any]:
        self._runs[name] = job
        return job

    # observe ---------------------------------------------------------------------------------------------------------

    def machine(self, vm: str) -> h.Machine:
        return observing.machine(self.estate, vm)

    def protectable(self) -> list[str]:
        return sorted(self.vault.protectable()) if self.vault.fabric else []

    def components(self, role: str) -> list[str]:
        return observing.components(self.estate, role)

    def content(self, vm: str, point: str) -> tuple[h.Content, ...]:
        return observing.replica(self.estate, vm, point)

    def events(self) -> list[h.Event]:
        return observing.events(self.estate)
