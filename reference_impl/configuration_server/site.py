"""What the parts of one configuration server share: its place, its clock, what it knows and must not forget.

Kinds of documents (`Site.documents`):

* `service` / `registration`: component id, token and intervals from the Site Recovery service.
* `component` / role and id: an agent, process server or master target; its machine and a *seat* for each zone it spoke from.
* `vcenter` / id: address, account, identity and the time of the last discovery.
* `inventory` / machine id: the machine as last discovered, with its vCenter's id.
* `protection` / machine id: generation, direction, stage, settings of all who take part, what has been received.
* `work` / work id: work that was taken and not yet reported on.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from reference_impl.configuration_server.fields import Document as Document
from reference_impl.configuration_server.fields import rows
from reference_impl.documents import Documents
from reference_impl.outside import Clock, Host, Process
from reference_impl.rules import Rules
from reference_impl.vsphere import Session

#: Seconds between two looks at something that is waited for.
LOOK_SECONDS = 2.0

#: A component that is reachable speaks within this time: its heartbeat is every 30 s.
FRESH_SECONDS = 90.0

AGENT, PROCESS_SERVER, MASTER_TARGET = "agent", "process-server", "master-target"
FORWARD, REVERSE = "forward", "reverse"
ONPREM, AZURE = "onprem", "azure"

#: The zone an agent has to speak from to take part in a direction.
SIDE = {FORWARD: ONPREM, REVERSE: AZURE}


class WorkRefused(Exception):
    """Work that cannot be done. `reason` is a word of the component protocol, `code` the vendor's number or empty."""

    def __init__(self, reason: str, message: str, code: str = ""):
        super().__init__(message)
        self.reason, self.message, self.code = reason, message, code


@dataclass(frozen=True, slots=True)
class RunAs:
    """An account of the configuration server, for a vCenter or for pushing agents."""

    name: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Report:
    """The last heartbeat of a component from one zone."""

    at: float
    body: Document


@dataclass(frozen=True, slots=True)
class Work:
    """An item of work taken from the service."""

    work_id: str
    kind: str
    input: Document

    def need(self, name: str, kind: type = str) -> Any:
        """A field of the input; `WorkRefused` `malformed` when it is missing or of another type."""
        value = self.input.get(name)
        if not isinstance(value, kind) or value == "":
            raise WorkRefused("malformed", f"work {self.kind}: {name} is missing or not of type {kind.__name__}")
        return value

    @property
    def machine_id(self) -> str:
        return str(self.need("machineId")).lower()

    @property
    def disks(self) -> list[Document]:
        """The machine's disks: `{"diskId", "unit", "sizeBytes"}`."""
        wanted = {"diskId": str, "unit": int, "sizeBytes": int}
        found = rows(self.input, "disks")
        if not found or not all(isinstance(disk.get(name), kind) for disk in found for name, kind in wanted.items()):
            raise WorkRefused("malformed", f"work {self.kind}: disks is missing or incomplete")
        return [{name: disk[name] for name in wanted} for disk in found]

    @property
    def group(self) -> Document | None:
        """The machine's replication group, or None."""
        group = self.input.get("group")
        if group is not None and not (isinstance(group, dict) and isinstance(group.get("groupId"), str)):
            raise WorkRefused("malformed", f"work {self.kind}: group has no groupId")
        return group


def component_key(role: str, name: str) -> str:
    """Name of a component's document. The roles of one machine may share an id (TOP-003)."""
    return f"{role} {name}"


@dataclass(slots=True)
class Site:
    """State of one configuration server. `lock` guards everything below it; it is never held during an outbound call."""

    host: Host
    clock: Clock
    rules: Rules
    name: str
    url: str
    version: str
    passphrase: str
    machine_id: str
    accounts: Mapping[str, RunAs]
    documents: Documents
    started: float = 0.0
    lock: threading.RLock = field(default_factory=threading.RLock)
    reports: dict[tuple[str, str], Report] = field(default_factory=dict)
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    connected: dict[str, bool] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)

    # documents -------------------------------------------------------------------------------------------------------

    def protection(self, machine_id: str) -> Document | None:
        with self.lock:
            return self.documents.get("protection", machine_id)

    def protections(self) -> list[Document]:
        with self.lock:
            return list(self.documents.all("protection").values())

    def change_protection(self, machine_id: str, **fields: Any) -> None:
        with self.lock:
            self.documents.change("protection", machine_id, **fields)

    def keep_protection(self, protection: Document) -> None:
        with self.lock:
            self.documents.put("protection", protection["machineId"], protection)

    def delivered(self, protection: Document, role: str) -> None:
        """A component has fetched the settings of the generation. The caller holds the lock."""
        if role not in protection["delivered"]:
            self.change_protection(protection["machineId"], delivered=[*protection["delivered"], role])

    def drop_protection(self, machine_id: str) -> None:
        with self.lock:
            self.documents.delete("protection", machine_id)

    def machine(self, machine_id: str) -> Document | None:
        """The machine as last discovered."""
        with self.lock:
            return self.documents.get("inventory", machine_id)

    def components(self, role: str) -> list[Document]:
        with self.lock:
            return [entry for entry in self.documents.all("component").values() if entry["role"] == role]

    def component(self, role: str, name: str) -> Document | None:
        """The component of a role by its id."""
        with self.lock:
            return self.documents.get("component", component_key(role, name))

    def agent_of(self, machine_id: str) -> Document | None:
        return next((agent for agent in self.components(AGENT) if agent["machineId"] == machine_id), None)

    # reports ---------------------------------------------------------------------------------------------------------

    def report(self, component: Document | None, zone: str) -> Report | None:
        with self.lock:
            return None if component is None else self.reports.get((component_key(component["role"], component["id"]), zone))

    def silent(self, component: Document | None, zone: str) -> bool:
        """Whether it has not spoken from that zone for longer than the rules allow, since our own start at the earliest."""
        if component is None or zone not in component["seats"]:
            return True
        heard = self.report(component, zone)
        return self.clock.now() - (heard.at if heard else self.started) > self.rules.silent_minutes * 60

    def machine_report(self, component: Document | None, zone: str, machine_id: str, generation: int) -> Document | None:
        """What a process server or master target last said of a machine's generation."""
        heard = self.report(component, zone)
        for entry in rows(heard.body, "machines") if heard is not None else []:
            if entry.get("machineId") == machine_id and entry.get("generation") == generation:
                return dict(entry)
        return None

    # waiting ---------------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], bool], seconds: float) -> Process:
        """Rest until `condition()` holds, at most `seconds`; returns whether it held."""
        end = self.clock.now() + seconds
        while not condition():
            if self.clock.now() >= end:
                return False
            yield LOOK_SECONDS
        return True

    def heard_again(self, component: Document | None, zone: str, *, seconds: float = FRESH_SECONDS) -> Process:
        """Rest until a component speaks from a zone once more; False when it was silent before or stays so."""
        if component is None or self.silent(component, zone):
            return False
        asked = self.clock.now()

        def spoke() -> bool:
            heard = self.report(component, zone)
            return heard is not None and heard.at > asked

        return (yield from self.until(spoke, seconds))

    def settings_taken(self, machine_id: str, role: str, generation: int, seconds: float) -> Process:
        """Rest until a component has fetched the settings of a generation; returns whether it has."""

        def taken() -> bool:
            known = self.protection(machine_id)
            return known is not None and known["generation"] == generation and role in known["delivered"]

        return (yield from self.until(taken, seconds))

    def alone_with(self, thing: str) -> Process:
        """Rest until nobody else works on `thing`, then keep it busy. Give it back with `done_with`."""
        while thing in self.busy:
            yield LOOK_SECONDS
        self.busy.add(thing)

    def done_with(self, thing: str) -> None:
        self.busy.discard(thing)

    # vCenter ---------------------------------------------------------------------------------------------------------

    def account(self, account_id: str) -> RunAs:
        found = self.accounts.get(account_id)
        if found is None:
            raise WorkRefused("vcenter-login-failed", f"the configuration server has no account {account_id!r}")
        return found

    @contextmanager
    def vcenter(self, vcenter: Document) -> Iterator[Session]:
        """A session with a vCenter of ours. `VSphereError` when there is none; the state shown to the service follows."""
        account = self.account(vcenter["runAsAccountId"])
        name = vcenter["id"]
        self.connected[name] = False
        with Session(self.host, vcenter["address"], int(vcenter["port"]), account.user, account.password) as session:
            self.connected[name] = True
            yield session

    def vcenter_of(self, machine: Document) -> Document:
        with self.lock:
            found = self.documents.get("vcenter", machine.get("vCenterId") or "")
        if found is None:
            raise WorkRefused("vcenter-unreachable", f"no vCenter is known for {machine['name']}")
        return found
