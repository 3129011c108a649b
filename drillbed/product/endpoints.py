"""A laboratory behind endpoints given in a file: `drillbed conform arm:lab.yaml`. docs/endpoints.md describes the file.

Product and world are both there: a Recovery Services vault that speaks the Site Recovery API, a vCenter, and a way to see traffic
(a packet capture) or none. What such a lab cannot show or do raises `UnobservableError` or is `Unsupported`; nothing is guessed.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from drillbed.errors import UsageError
from drillbed.operator import Credentials, NotInTime, Operator, Refused
from drillbed.product import observing
from drillbed.product.arm import ArmSession, Missing
from drillbed.product.outside import OutsideHost
from drillbed.product.pcap import CaptureError, read_flows
from drillbed.product.world import AZURE_POWER
from drillbed.vault import Targets, Vault, WayBack
from drillbed.vsphere_operator import VSphereOperator
from emulators.clock import Clock, today
from emulators.network import Host
from harness import product as h
from harness.strict_yaml import Node, SpecError, load

CAPABILITIES = frozenset({"observe-components", "multi-vm-consistency", "recovery-plans", "migration", "target-settings"})
CLAIMS = ("core", "failback", "plans", "multi-vm")

#: Section -> the keys it must have, those it may have. `password_variable` and the like name environment variables.
SECTIONS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "arm": (("management", "login", "tenant", "client", "secret_variable"), ("ca",)),
    "vault": (("group", "name", "run_as"), ("datastore",)),
    "target": (("group", "network", "subnet", "storage", "cache"), ()),
    "vcenter": (("url", "user", "password_variable"), ("ca",)),
    "traffic": ((), ("capture", "hosts")),
    "lab": (("machines",), ("speed", "version", "name")),
}
_OPTIONAL = ("traffic",)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The file, checked. `machines`: what the lab has, and nobody else uses. `hosts`: address to name, for the capture."""

    text: Mapping[str, Mapping[str, str]]
    machines: tuple[str, ...]
    hosts: Mapping[str, str]
    speed: float

    def secret(self, section: str, key: str) -> str:
        variable = self.text[section][key]
        value = os.environ.get(variable)
        if not value:
            raise UsageError(f"the variable {variable} ({section}.{key}) is not set")
        return value

    def ca(self, section: str) -> Path | None:
        given = self.text[section].get("ca")
        return Path(given) if given else None


def load_endpoints(path: Path) -> Endpoints:
    """Reads the file. Raises `UsageError` with file and line."""
    try:
        return _endpoints(load(path, path.name))
    except SpecError as mistake:
        raise UsageError(str(mistake)) from mistake
    except OSError as problem:
        raise UsageError(f"{path} cannot be read: {problem.strerror or problem}") from problem


def _endpoints(top: Node) -> Endpoints:
    sections = top.mapping("the file")
    for name, node in sections.items():
        if name not in SECTIONS:
            raise node.error(f"there is no section {name!r} (known: {', '.join(SECTIONS)})")
    text: dict[str, dict[str, str]] = {}
    for name, (needed, allowed) in SECTIONS.items():
        if name not in sections:
            if name not in _OPTIONAL:
                raise top.error(f"the section `{name}` is missing")
            continue
        keys = sections[name].mapping(name)
        for key, node in keys.items():
            if key not in (*needed, *allowed):
                raise node.error(f"`{name}` has no {key!r} (known: {', '.join((*needed, *allowed))})")
        for key in needed:
            if key not in keys:
                raise sections[name].error(f"`{name}` needs `{key}`")
        text[name] = {key: str(node.plain()) for key, node in keys.items() if not isinstance(node.value, dict | list)}
    lab = sections["lab"].mapping("lab")
    machines = tuple(node.text("a machine") for node in lab["machines"].items("machines"))
    return Endpoints(text, machines, _hosts(sections), _speed(lab.get("speed")))


def _hosts(sections: Mapping[str, Node]) -> dict[str, str]:
    traffic = sections["traffic"].mapping("traffic") if "traffic" in sections else {}
    if "hosts" not in traffic:
        return {}
    return {node.text(f"the address of {name}"): name for name, node in traffic["hosts"].mapping("hosts").items()}


def _speed(node: Node | None) -> float:
    if node is None:
        return 1.0
    if not isinstance(node.value, int | float) or isinstance(node.value, bool) or not 0 < node.value <= 10_000:
        raise node.error("`speed` is how many seconds of the lab pass in one: above 0, at most 10000")
    return float(node.value)


# the product ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ArmProduct:
    """Whatever answers behind the endpoints."""

    endpoints: Endpoints
    file: str

    def describe(self) -> h.Description:
        lab = self.endpoints.text["lab"]
        flows = {"observe-flows"} if "capture" in self.endpoints.text.get("traffic", {}) else set()
        name, version = lab.get("name", "arm"), lab.get("version", "unknown")
        return h.Description(
            name, version, claims=CLAIMS, capabilities=CAPABILITIES | flows, world=f"endpoints:{self.file}", estates=1
        )

    @contextmanager
    def open(self, world: "EndpointsWorld", setup: h.Setup) -> Iterator[ArmSession]:
        try:
            yield ArmSession(world.lab)
        finally:
            world.clear()


def product(file: str) -> ArmProduct:
    """`arm:FILE`."""
    return ArmProduct(load_endpoints(Path(file)), file)


@dataclass(slots=True)
class EndpointsLab:
    """The vault of a lab that is set up: its components are registered, its vCenter is added."""

    endpoints: Endpoints
    operator: Operator
    vault: Vault
    targets: Targets

    def make_ready(self, key: str) -> None:
        try:
            self.vault.find_site()
        except LookupError as nobody:
            raise Missing("a site: no component of the lab is registered with the vault") from nobody

    def register(self, key: str) -> None:
        raise h.UnobservableError("registration: the lab's components are registered already")

    def add_vcenter(self) -> dict[str, Any]:
        raise h.UnobservableError("adding the vCenter: the lab has added it already")

    def add_process_server(self, name: str) -> None:
        raise Missing("a further process server")

    def move_to_process_server(self, vm: str, name: str) -> dict[str, Any]:
        return self.vault.reassociate(vm, observing.process_servers(self.vault).get(name, name))

    def process_server_id(self) -> str:
        return next(iter(observing.process_servers(self.vault).values()))

    def run_as(self, vm: str) -> str:
        return self.endpoints.text["vault"]["run_as"]

    def way_back(self) -> WayBack:
        return observing.way_back(self.vault, "process-server-azure", self.endpoints.text["vault"].get("datastore", ""))

    def undiscovered(self) -> list[str]:
        raise h.UnobservableError("what is discovered before the lab is set up: it is set up")

    def replica(self, vm: str, point: str) -> tuple[h.Content, ...]:
        raise h.UnobservableError("the replica's bytes: Azure does not show them")

    def events(self) -> list[h.Event]:
        raise h.UnobservableError("events inside of the product")


# the world -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EndpointsWorlds:
    """The one lab, taken into use for each case and cleared after it."""

    endpoints: Endpoints

    @contextmanager
    def open(self, setup: h.Setup) -> Iterator["EndpointsWorld"]:
        clock = self._clock(setup)
        operator = self._operator(clock)
        vault, target = self.endpoints.text["vault"], self.endpoints.text["target"]
        lab = EndpointsLab(self.endpoints, operator, Vault(operator, vault["group"], vault["name"]), Targets(**target))
        clock.start()
        try:
            yield EndpointsWorld(self.endpoints, lab, self._vsphere(clock), clock)
        finally:
            clock.stop()
            operator.close()

    def _clock(self, setup: h.Setup) -> Clock:
        """The lab's time is its vCenter's."""
        first = self._vsphere(Clock(start=today()))
        return Clock(seed=setup.seed, start=first.time(), flow=self.endpoints.speed, skips=False)

    def _operator(self, clock: Clock) -> Operator:
        arm = self.endpoints.text["arm"]
        host = cast(Host, OutsideHost(clock, self.endpoints.ca("arm")))
        credentials = Credentials(arm["tenant"], arm["client"], self.endpoints.secret("arm", "secret_variable"))
        return Operator(host, credentials, management=arm["management"].rstrip("/"), login=arm["login"].rstrip("/"))

    def _vsphere(self, clock: Clock) -> VSphereOperator:
        vcenter = self.endpoints.text["vcenter"]
        place = urlsplit(vcenter["url"])
        account = vcenter["user"], self.endpoints.secret("vcenter", "password_variable")
        host = cast(Host, OutsideHost(clock, self.endpoints.ca("vcenter")))
        return VSphereOperator(host, clock, account, address=place.hostname or "", port=place.port or 443)


def worlds(file: str) -> EndpointsWorlds:
    """`endpoints:FILE`."""
    return EndpointsWorlds(load_endpoints(Path(file)))


@dataclass(slots=True)
class EndpointsWorld:
    """What surrounds the product in a lab behind endpoints, as far as its vCenter and Azure show it."""

    endpoints: Endpoints
    lab: EndpointsLab
    vsphere: VSphereOperator
    clock: Clock
    _touched: set[str] = field(default_factory=set)

    def now(self) -> float:
        return self.clock.now()

    def wait(self, seconds: float) -> None:
        self.clock.wait(seconds)

    # machines --------------------------------------------------------------------------------------------------------

    def add_machine(self, spec: h.MachineSpec) -> None:
        """The lab's machines are there already: the ones that the file names may be used."""
        if spec.name not in self.endpoints.machines or spec.kind != "virtual":
            raise h.UnobservableError(f"the lab has no {spec.kind} machine {spec.name} ({', '.join(self.endpoints.machines)})")
        self._touched.add(spec.name)

    def delete_machine(self, vm: str) -> None:
        raise h.UnobservableError("deleting a machine of the lab")

    def machine(self, vm: str, side: str) -> h.VirtualMachine | None:
        if side == "azure":
            return self._azure_machine(vm)
        found = self.vsphere.machines().get(vm)
        if found is None:
            return None
        power = "powered-on" if found.powered_on else "powered-off"
        return h.VirtualMachine(vm, power, len(found.disks), self.vsphere.snapshot_count(vm))

    def _azure_machine(self, vm: str) -> h.VirtualMachine | None:
        try:
            found = self.lab.operator.get(f"{self._azure_path(vm)}?$expand=instanceView")["properties"]
        except Refused as refused:
            if refused.status == 404:
                return None
            raise
        codes = {str(status["code"]) for status in found.get("instanceView", {}).get("statuses", ())}
        storage = found["storageProfile"]
        power = "powered-on" if "PowerState/running" in codes else "powered-off"
        size = found["hardwareProfile"]["vmSize"]
        return h.VirtualMachine(vm, power, 1 + len(storage.get("dataDisks") or ()), size=size)

    def _azure_path(self, vm: str) -> str:
        return f"{self.lab.targets.group}/providers/Microsoft.Compute/virtualMachines/{vm}"

    def power(self, vm: str, side: str, state: str) -> None:
        if state == "unreachable":
            raise h.UnobservableError("cutting a machine off from the network")
        if side == "azure":
            self.lab.operator.run("POST", f"{self._azure_path(vm)}/{AZURE_POWER[state]}")
        else:
            self.vsphere.power(vm, on=state == "powered-on", orderly=state == "powered-off")

    def write(self, vm: str, side: str, disk: int, size: int, pattern: str) -> h.Written:
        raise h.UnobservableError("writing inside of a guest")

    def content(self, vm: str, side: str) -> tuple[h.Content, ...]:
        raise h.UnobservableError("the bytes of disks")

    # settings --------------------------------------------------------------------------------------------------------

    def take_snapshot(self, of: str) -> None:
        self._touched.add(of)
        self.vsphere.snapshot(of)

    def remove_snapshot(self, of: str) -> None:
        self.vsphere.remove_snapshots(of)

    def set(self, of: str, key: str, value: str) -> None:
        if key in ("region", "account"):
            raise h.UnobservableError(f"the {key} of {of}")
        self.vsphere.reconfigure_off(of, {key: None if value == "absent" else value})

    def absent(self, of: str) -> None:
        raise h.UnobservableError(f"a lab without {of}")

    # network and failures --------------------------------------------------------------------------------------------

    def block(self, source: str | None, destination: str | None, port: int | None) -> None:
        raise h.UnobservableError("blocking traffic")

    def unblock(self, source: str | None, destination: str | None, port: int | None) -> None:
        raise h.UnobservableError("blocking traffic")

    def link(self, name: str, up: bool) -> None:
        raise h.UnobservableError(f"the link {name}")

    def outage(self, of: str) -> None:
        raise h.UnobservableError(f"an outage of {of}")

    def restore(self, of: str) -> None:
        raise h.UnobservableError(f"an outage of {of}")

    def skew_clock(self, of: str, seconds: float) -> None:
        raise h.UnobservableError(f"a wrong clock of {of}")

    def flows(self) -> list[h.Flow]:
        capture = self.endpoints.text.get("traffic", {}).get("capture")
        if capture is None:
            raise h.UnobservableError("traffic: the file names no capture")
        try:
            return read_flows(Path(capture), self.endpoints.hosts)
        except (CaptureError, OSError) as problem:
            raise h.UnobservableError(f"traffic: {problem}") from problem

    # afterwards ------------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Leaves the lab as it was: what was protected is not, what was made in Azure is gone, the machines run."""
        for vm in sorted(self._touched):
            self._unprotect(vm)
            if vm in self.endpoints.machines:
                with suppress(Refused, NotInTime):
                    self.lab.operator.run("DELETE", self._azure_path(vm))
            if self.vsphere.snapshot_count(vm):
                self.vsphere.remove_snapshots(vm)
            self.vsphere.power(vm, on=True)

    def _unprotect(self, vm: str) -> None:
        vault = self.lab.vault
        if not vault.fabric or not vault.exists(vm):
            return
        details = vault.item(vm)["providerSpecificDetails"]
        path = vault.item_path(vm)
        if details["instanceType"] != vault.dialect.forward:  # on its way back: only removing it at once ends that
            self.lab.operator.run("DELETE", path)
            return
        with suppress(Refused):
            vault.verb(vm, "testFailoverCleanup", {"comments": "clearing the lab"})
        vault.disable(vm)
