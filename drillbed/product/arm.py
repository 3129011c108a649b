"""The driver of whatever speaks the Site Recovery API: an act is what an operator asks Resource Manager, and ends with its job.

What differs between laboratories (an estate of ours, a real one behind endpoints) is a `Lab`.
"""

from collections.abc import Callable
from typing import Any, Protocol

from drillbed import vault as arm
from drillbed.operator import NotInTime, Operator, Refused
from drillbed.product import observing
from drillbed.product.words import REGISTRATION
from drillbed.vault import Targets, Vault, WayBack
from harness import product as h
from harness.terms import terms

#: Settings of the machine in Azure, as Resource Manager calls them.
TARGET_SETTINGS = {"size": "recoveryAzureVMSize", "name": "recoveryAzureVMName"}
#: An id under which nothing is ever stored.
NOBODY = "none"


class Lab(Protocol):
    """The surroundings of a vault. Acts raise `Refused` or `NotInTime`; what a lab does not have raises `Missing`."""

    @property
    def operator(self) -> Operator: ...
    @property
    def vault(self) -> Vault: ...
    @property
    def targets(self) -> Targets: ...
    def make_ready(self, key: str) -> None:
        """Components registered, vCenter added."""
        ...

    def register(self, key: str) -> None: ...
    def add_vcenter(self) -> dict[str, Any]: ...
    def add_process_server(self, name: str) -> None: ...
    def move_to_process_server(self, vm: str, name: str) -> dict[str, Any]: ...
    def process_server_id(self) -> str: ...
    def run_as(self, vm: str) -> str: ...
    def way_back(self) -> WayBack:
        """What a reprotect to the site is given, made ready where that is possible."""
        ...

    def undiscovered(self) -> list[str]:
        """What is protectable before anything was registered. Raises `UnobservableError`."""
        ...

    def replica(self, vm: str, point: str) -> tuple[h.Content, ...]:
        """Raises `UnobservableError`."""
        ...

    def events(self) -> list[h.Event]:
        """Raises `UnobservableError`."""
        ...


class Missing(Exception):
    """A lab has nothing of this kind; the text says of which."""


class ArmSession(h.PartialSession):
    """One vault, driven through Resource Manager."""

    def __init__(self, lab: Lab):
        self.lab, self.vault, self.operator = lab, lab.vault, lab.operator
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
        except Missing as missing:
            return h.Unsupported(str(missing))
        if not isinstance(found, dict):
            return h.Accepted()
        return h.Accepted(str(found.get("name") or ""), waiting=found.get("properties", {}).get("state") == "Suspended")

    def _reason(self, refused: Refused) -> str:
        word = REGISTRATION.get(refused.code) or refused.reason
        if refused.status == 404 and word == "resource-missing":
            return "unknown-machine"
        return word if word in terms()["reasons"] else "provider-error"

    # before a machine can be protected -------------------------------------------------------------------------------

    def prepare(self) -> h.Answer:
        return self._asked(self._prepare)

    def _prepare(self) -> None:
        if not self.vault.fabric:
            self.lab.make_ready(self._key)
            self.vault.find_site()
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
        self.lab.register(self._key)
        self.vault.find_site()

    def add_vcenter(self) -> h.Answer:
        return self._asked(self.lab.add_vcenter)

    def discover(self) -> h.Answer:
        return self._asked(self._refresh)

    def add_component(self, kind: str, name: str) -> h.Answer:
        if kind != "process-server":
            return h.Unsupported(f"a further {kind}")
        return self._asked(lambda: self.lab.add_process_server(name))

    # acts on a machine -----------------------------------------------------------------------------------------------

    def protect(self, vm: str, group: str | None = None) -> h.Answer:
        def act() -> dict[str, Any]:
            self._make_policies()
            again = self.vault.exists(vm)
            return self.vault.enable(
                vm,
                self.vault.policies["forward"],
                self.lab.targets,
                process_server=self.lab.process_server_id(),
                run_as=self.lab.run_as(vm),
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
        return self._asked(lambda: self.vault.test_failover(vm, self.lab.targets.network, self._point(vm, point)))

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
        return self._asked(lambda: self.lab.move_to_process_server(vm, to))

    def cancel(self, vm: str) -> h.Answer:
        return self._asked(lambda: self.vault.verb(vm, "failoverCancel"))

    def set_target(self, vm: str, key: str, value: str) -> h.Answer:
        return self._asked(lambda: self.vault.update(vm, {TARGET_SETTINGS[key]: value}))

    # the way back ----------------------------------------------------------------------------------------------------

    def reprotect(self, vm: str) -> h.Answer:
        return self._asked(lambda: self._reprotect(vm))

    def _reprotect(self, vm: str) -> dict[str, Any]:
        if observing.state_of(self.vault.item(vm)) == "failback-committed":
            server = self.lab.process_server_id()
            details = arm.to_azure(
                self.vault.policies["forward"], self.lab.targets, process_server=server, run_as=self.lab.run_as(vm)
            )
            return self.vault.reprotect(vm, details)
        return self.vault.reprotect(vm, arm.to_site(self.lab.way_back()))

    # recovery plans --------------------------------------------------------------------------------------------------

    def create_plan(self, name: str, groups: list[list[str]], manual_action_before: int | None = None) -> h.Answer:
        manual = {manual_action_before - 1: "Check that what started so far works"} if manual_action_before else None
        return self._asked(lambda: self.vault.create_plan(name, groups, manual_before=manual))

    def run_plan(self, name: str, to: str, kind: str) -> h.Answer:
        direction = arm.FORWARD if to == "azure" else arm.REVERSE
        if kind == "test":
            return self._asked(lambda: self._ran(name, self.vault.test_plan(name, self.lab.targets.network)))
        return self._asked(lambda: self._ran(name, self.vault.run_plan(name, shut_down=True, direction=direction)))

    def resume_plan(self, name: str) -> h.Answer:
        return self._asked(lambda: self._ran(name, self.vault.resume(self._runs[name], "done")))

    def _ran(self, name: str, job: dict[str, Any]) -> dict[str, Any]:
        self._runs[name] = job
        return job

    # observe ---------------------------------------------------------------------------------------------------------

    def machine(self, vm: str) -> h.Machine:
        return observing.machine(self.vault, vm)

    def protectable(self) -> list[str]:
        return sorted(self.vault.protectable()) if self.vault.fabric else self.lab.undiscovered()

    def components(self, role: str) -> list[str]:
        return observing.components(self.vault, role)

    def content(self, vm: str, point: str) -> tuple[h.Content, ...]:
        return self.lab.replica(vm, point)

    def events(self) -> list[h.Event]:
        return self.lab.events()
