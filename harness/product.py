"""What a product driver and a world must be able to do: the only things the harness knows about them.

A *product* is what is judged. Its driver acts and observes, it never judges. A *world* is what surrounds the product: the
vCenter with its machines, the network, Azure, time. The harness arranges the world, lets the product act, looks at both
and judges.

An act returns when the product's job has ended; the driver passes time with `world.wait`, never by sleeping. A job that
failed is a refusal with its reason. Observing changes nothing.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

# answers ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The product did it. `waiting` is true where the job now waits for a person (a manual action, the clean-up of a test)."""

    job: str = ""
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The product said no, at once or by a job that failed. `reason` is one of `harness/vocabulary/reasons.yaml`."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The product has nothing of this kind."""

    what: str


Answer = Accepted | Refused | Unsupported


class UnobservableError(Exception):
    """Raised by an observation that the driver or the world cannot make."""


# what is seen ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecoveryPoint:
    """`time` is the instant whose data the point holds, in seconds since 1970, emulated. `shared` means common to a group."""

    id: str
    time: float
    kind: str = "crash-consistent"
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """What the product says of a machine. `state`, `health`, `operations` and `problems` use the words of `terms.yaml`."""

    name: str
    state: str
    health: str = "healthy"
    points: tuple[RecoveryPoint, ...] = ()
    operations: frozenset[str] = frozenset()
    problems: frozenset[str] = frozenset()  #: reasons (reasons.yaml) shown as health errors
    rpo_seconds: float | None = None
    resync_required: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """The beginning or end of something the product did: `starting` and `started` of a machine, `shutting-down`, `shut-down`,
    `creating`, `created`, `deleting`, `deleted`; `side` is `onprem` or `azure`."""

    time: float
    kind: str
    vm: str
    side: str


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one disk: hexadecimal SHA-256 of all of them."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """A machine as vCenter (`onprem`) or Azure (`azure`) shows it. `power` is `powered-on` or `powered-off`."""

    name: str
    power: str
    disks: int
    snapshots: int = 0
    kind: str = "virtual"  #: or `physical`
    size: str = ""  #: Azure only
    network: str = ""


@dataclass(frozen=True, slots=True)
class Flow:
    """All traffic from a client to one port of a server since the world opened. `first` is when it began."""

    source: str
    destination: str
    port: int
    bytes: int
    tls: bool = True
    first: float = 0.0
    last: float = 0.0


@dataclass(frozen=True, slots=True)
class Written:
    """How one guest write went: how long the guest waited, and the error it got, if any."""

    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """A machine that the world is to have. `disks` of a few MiB each. `same_as` names one whose instance UUID it repeats."""

    name: str
    os: str = "windows"
    disks: int = 1
    kind: str = "virtual"
    same_as: str = ""


# the product -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Description:
    """What a vendor says of a product. `world` names the surroundings it is judged in (an entry point of `drillbed.worlds`, or
    `python:module:Name`). `estates` is how many it can serve at once, 0 for any number."""

    name: str
    version: str
    profiles: tuple[str, ...] = ("classic",)
    eras: tuple[str, ...] = ("2018",)
    claims: tuple[str, ...] = ("core",)
    capabilities: frozenset[str] = frozenset()
    world: str = "estate"
    estates: int = 0


@dataclass(frozen=True, slots=True)
class Setup:
    """The axes of a run, for one scenario. All that is random comes from `seed`. `way` is how the world runs."""

    seed: int
    profile: str
    era: str
    way: str = "virtual"  #: or `embedded`
    case: str = ""


class World(Protocol):
    """What surrounds the product. Names: a machine, or one of the fixed hosts (`terms.yaml`, `hosts`)."""

    # time
    def now(self) -> float: ...
    def wait(self, seconds: float) -> None: ...

    # machines on premises
    def add_machine(self, spec: MachineSpec) -> None:
        """Make the machine, running, or do nothing where one of that name exists."""
        ...

    def delete_machine(self, vm: str) -> None: ...
    def machine(self, vm: str, side: str) -> VirtualMachine | None: ...
    def power(self, vm: str, side: str, state: str) -> None:
        """`powered-on`, `powered-off`, `unreachable` (runs, but nothing can talk to it), `crashed` (power lost)."""
        ...

    def write(self, vm: str, side: str, disk: int, size: int, pattern: str) -> Written:
        """The guest writes `size` bytes to a place of its disk: `random`, `zeros`, or a text repeated."""
        ...

    def content(self, vm: str, side: str) -> tuple[Content, ...]:
        """The machine's disks in order, as they are now."""
        ...

    # its settings
    def take_snapshot(self, of: str) -> None: ...
    def remove_snapshot(self, of: str) -> None: ...
    def set(self, of: str, key: str, value: str) -> None:
        """A setting of a thing: a machine's configuration parameter, `account` of a machine, `region` of a target. `absent`
        takes the setting away."""
        ...

    def absent(self, of: str) -> None:
        """The thing does not exist: `target-network`, `target-storage`, `process-server-azure`, `master-target`."""
        ...

    # network and failures
    def block(self, source: str | None, destination: str | None, port: int | None) -> None: ...
    def unblock(self, source: str | None, destination: str | None, port: int | None) -> None: ...
    def link(self, name: str, up: bool) -> None: ...
    def outage(self, of: str) -> None: ...
    def restore(self, of: str) -> None: ...
    def skew_clock(self, of: str, seconds: float) -> None: ...
    def flows(self) -> Sequence[Flow]: ...


class WorldFactory(Protocol):
    """Opens a world of its own for each scenario."""

    def open(self, setup: Setup) -> AbstractContextManager[World]: ...


class Session(Protocol):
    """A product in one world."""

    # before a machine can be protected
    def prepare(self) -> Answer:
        """Everything that protection needs: components registered, vCenter added, policies, and a fresh look at the vCenter, so
        that every machine which exists now is discovered. Again is harmless."""
        ...

    def registration_key(self) -> Answer: ...
    def register(self) -> Answer: ...
    def add_vcenter(self) -> Answer: ...
    def discover(self) -> Answer:
        """Look at the vCenter now, not at the next round."""
        ...

    def add_component(self, kind: str, name: str) -> Answer: ...

    # acts on a machine
    def protect(self, vm: str, group: str | None = None) -> Answer: ...
    def unprotect(self, vm: str) -> Answer: ...
    def failover(self, vm: str, to: str, kind: str, point: str = "latest", shut_down: bool = False) -> Answer: ...
    def test_failover(self, vm: str, point: str = "latest") -> Answer: ...
    def clean_up(self, vm: str) -> Answer: ...
    def change_recovery_point(self, vm: str, point: str = "oldest") -> Answer: ...
    def commit(self, vm: str) -> Answer: ...
    def reprotect(self, vm: str) -> Answer: ...
    def resynchronize(self, vm: str) -> Answer: ...
    def cancel(self, vm: str) -> Answer: ...
    def complete_migration(self, vm: str) -> Answer: ...
    def move(self, vm: str, to: str) -> Answer: ...
    def set_target(self, vm: str, key: str, value: str) -> Answer: ...

    # recovery plans
    def create_plan(self, name: str, groups: list[list[str]], manual_action_before: int | None = None) -> Answer: ...
    def run_plan(self, name: str, to: str, kind: str) -> Answer: ...
    def resume_plan(self, name: str) -> Answer: ...

    # observe
    def machine(self, vm: str) -> Machine:
        """What the product says of the machine. One it knows nothing of is `unprotected`."""
        ...

    def protectable(self) -> list[str]:
        """The machines that were discovered and can be chosen, by name."""
        ...

    def components(self, role: str) -> list[str]:
        """Ids of the process servers, master targets or configuration servers that the product lists."""
        ...

    def content(self, vm: str, point: str) -> tuple[Content, ...]:
        """The replica's disks at a recovery point (`latest`, `oldest`, or an id)."""
        ...

    def events(self) -> list[Event]: ...

    def mark(self, phase: str, step: str) -> None:
        """The harness is in `phase` (given, but, when, then) at this step. For the vendor's log; may do nothing."""
        ...


class Product(Protocol):
    """What is judged."""

    def describe(self) -> Description: ...
    def open(self, world: World, setup: Setup) -> AbstractContextManager[Session]: ...


class PartialSession:
    """A session that has nothing. A driver may start from it and replace what its product has; it answers `Unsupported`
    to the acts that are left and cannot show what is not replaced."""

    def prepare(self) -> Answer:
        return Accepted()

    def registration_key(self) -> Answer:
        return Unsupported("registration_key")

    def register(self) -> Answer:
        return Unsupported("register")

    def add_vcenter(self) -> Answer:
        return Unsupported("add_vcenter")

    def discover(self) -> Answer:
        return Unsupported("discover")

    def add_component(self, kind: str, name: str) -> Answer:
        return Unsupported("add_component")

    def protect(self, vm: str, group: str | None = None) -> Answer:
        return Unsupported("protect")

    def unprotect(self, vm: str) -> Answer:
        return Unsupported("unprotect")

    def failover(self, vm: str, to: str, kind: str, point: str = "latest", shut_down: bool = False) -> Answer:
        return Unsupported("failover")

    def test_failover(self, vm: str, point: str = "latest") -> Answer:
        return Unsupported("test_failover")

    def clean_up(self, vm: str) -> Answer:
        return Unsupported("clean_up")

    def change_recovery_point(self, vm: str, point: str = "oldest") -> Answer:
        return Unsupported("change_recovery_point")

    def commit(self, vm: str) -> Answer:
        return Unsupported("commit")

    def reprotect(self, vm: str) -> Answer:
        return Unsupported("reprotect")

    def resynchronize(self, vm: str) -> Answer:
        return Unsupported("resynchronize")

    def cancel(self, vm: str) -> Answer:
        return Unsupported("cancel")

    def complete_migration(self, vm: str) -> Answer:
        return Unsupported("complete_migration")

    def move(self, vm: str, to: str) -> Answer:
        return Unsupported("move")

    def set_target(self, vm: str, key: str, value: str) -> Answer:
        return Unsupported("set_target")

    def create_plan(self, name: str, groups: list[list[str]], manual_action_before: int | None = None) -> Answer:
        return Unsupported("create_plan")

    def run_plan(self, name: str, to: str, kind: str) -> Answer:
        return Unsupported("run_plan")

    def resume_plan(self, name: str) -> Answer:
        return Unsupported("resume_plan")

    def machine(self, vm: str) -> Machine:
        raise UnobservableError("machine")

    def protectable(self) -> list[str]:
        raise UnobservableError("protectable machines")

    def components(self, role: str) -> list[str]:
        raise UnobservableError("components")

    def content(self, vm: str, point: str) -> tuple[Content, ...]:
        raise UnobservableError("the replica's content")

    def events(self) -> list[Event]:
        raise UnobservableError("events")

    def mark(self, phase: str, step: str) -> None:
        """Nothing."""
