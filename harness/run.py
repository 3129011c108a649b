"""One scenario while it runs: what words act on and what judgements look at."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from harness.product import (
    Accepted,
    Answer,
    Content,
    Description,
    Flow,
    Machine,
    Refused,
    Session,
    Setup,
    UnobservableError,
    Unsupported,
    VirtualMachine,
    World,
    Written,
)
from harness.terms import terms

#: Emulated time that one scenario may take, and that a set-up step may wait for a state.
BUDGET_SECONDS = 21 * 24 * 3600.0
STATE_SECONDS = 24 * 3600.0
#: How often a state is looked at while waiting for it.
LOOK_EVERY_SECONDS = 60.0


class SetupFailedError(Exception):
    """A `given` or `but` was not reached: the verdict is `inconclusive`."""


class OutOfBudgetError(Exception):
    """The scenario needed more emulated time than it may take."""


class UnsupportedError(Exception):
    """The product answered `Unsupported`."""


class DriverError(Exception):
    """The driver answered something that is no answer: the verdict is `error`."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether it holds, and what was seen."""

    holds: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Step:
    """A word with its arguments, as compiled from a specification."""

    word: str
    function: Callable[..., Any]
    arguments: dict[str, Any]
    text: str
    where: str
    line: int
    compares: str = ""  #: the thing that has to be looked at before `when`

    @property
    def place(self) -> str:
        return f"{self.where}:{self.line}"


@dataclass(frozen=True, slots=True)
class Seen:
    """A machine from all sides, to compare with."""

    machine: Machine
    sides: dict[str, VirtualMachine | None]
    contents: dict[str, tuple[Content, ...]]


@dataclass(slots=True)
class Run:
    """A scenario in a world of its own."""

    session: Session
    world: World
    setup: Setup
    description: Description
    opened: float  #: when the world opened
    answer: Answer | None = None
    before: dict[str, Seen] = field(default_factory=dict)
    flows_before: dict[tuple[str, str, int], int] = field(default_factory=dict)
    instants: dict[str, dict[tuple[str, str], tuple[Content, ...]]] = field(default_factory=dict)
    written: list[Written] = field(default_factory=list)

    # time ------------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Pass emulated time, or raise `OutOfBudgetError`."""
        if self.world.now() + seconds > self.opened + BUDGET_SECONDS:
            raise OutOfBudgetError(f"more than {BUDGET_SECONDS / 3600:.0f} emulated hours")
        self.world.wait(seconds)

    def since(self, time: float) -> str:
        """A moment for people: emulated seconds since the world opened."""
        return f"{time - self.opened:.0f} s"

    def wait_until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Pass time in small steps until it holds, at most `seconds`."""
        step = max(1.0, min(LOOK_EVERY_SECONDS, seconds / 20))
        end = self.world.now() + seconds
        while not holds():
            left = end - self.world.now()
            if left <= 0:
                return False
            self.wait(min(step, left))
        return True

    # answers ---------------------------------------------------------------------------------------------------------

    def asked(self, answer: Answer) -> None:
        """Keeps what the product answered to an act."""
        self.answer = _sound(answer)

    def must(self, answer: Answer, what: str) -> Accepted:
        """A set-up act has to succeed."""
        _sound(answer)
        if isinstance(answer, Unsupported):
            raise UnsupportedError(answer.what)
        if isinstance(answer, Refused):
            raise SetupFailedError(f"{what} was refused: {answer.reason}{_message(answer)}")
        return answer

    def settle(self, vms: Iterable[str], state: str) -> None:
        """Set-up: wait until every machine is in the state."""
        for vm in vms:
            self.wait_until(partial(self._arrived, vm, state), STATE_SECONDS)
            seen = self.machine(vm)
            if seen.state != state:
                raise SetupFailedError(f"{vm} did not become {state}: it is {seen.state} ({_problems(seen)})")

    def _arrived(self, vm: str, state: str) -> bool:
        return self.machine(vm).state in (state, "enabling-failed")

    def machine(self, vm: str) -> Machine:
        """What the product says of a machine, in the words of the format, or `DriverError`."""
        seen = self.session.machine(vm)
        if not isinstance(seen, Machine):
            raise DriverError(f"machine({vm!r}) must be a Machine, not {type(seen).__name__}")
        for value, of in ((seen.state, "states"), (seen.health, "healths")):
            if value not in terms()[of]:
                raise DriverError(f"machine({vm!r}): {value!r} is not one of the {of}")
        for values, of in ((seen.operations, "operations"), (seen.problems, "reasons")):
            for value in sorted(values):
                if value not in terms()[of]:
                    raise DriverError(f"machine({vm!r}): {value!r} is not one of the {of}")
        return seen

    # observation -----------------------------------------------------------------------------------------------------

    def look(self, vm: str) -> Seen:
        """A machine from all sides, with the bytes of its disks where it is off."""
        sides = {side: self.world.machine(vm, side) for side in ("onprem", "azure")}
        contents = {}
        for side, found in sides.items():
            if found is not None and found.power == "powered-off" and "observe-content" in self.description.capabilities:
                contents[side] = self.world.content(vm, side)
        return Seen(self.machine(vm), sides, contents)

    def flows(self) -> list[Flow]:
        """What crossed the network since the set-up ended; `bytes` counts only that."""
        found = []
        for flow in self.world.flows():
            grown = flow.bytes - self.flows_before.get((flow.source, flow.destination, flow.port), 0)
            if grown > 0:
                found.append(Flow(flow.source, flow.destination, flow.port, grown, flow.tls, flow.first, flow.last))
        return found

    def remember_flows(self) -> None:
        self.flows_before = {}
        try:
            flows = self.world.flows()
        except UnobservableError:
            return
        for flow in flows:
            key = (flow.source, flow.destination, flow.port)
            self.flows_before[key] = self.flows_before.get(key, 0) + flow.bytes


def _sound(answer: Answer) -> Answer:
    """An answer as the protocol has it, with a known reason, or `DriverError`."""
    if not isinstance(answer, Accepted | Refused | Unsupported):
        raise DriverError(f"an act must answer Accepted, Refused or Unsupported, not {answer!r}")
    if isinstance(answer, Refused) and answer.reason not in terms()["reasons"]:
        raise DriverError(f"the reason {answer.reason!r} is not one of reasons.yaml{_message(answer)}")
    return answer


def _message(answer: Refused) -> str:
    return f" ({answer.message})" if answer.message else ""


def _problems(machine: Machine) -> str:
    return ", ".join([machine.health, *sorted(machine.problems)])


def show(answer: Answer | None) -> str:
    """An answer, for people."""
    match answer:
        case Accepted(waiting=True):
            return "accepted, waiting for a person"
        case Accepted():
            return "accepted"
        case Refused():
            return f"refused: {answer.reason}{_message(answer)}"
        case Unsupported():
            return f"unsupported: {answer.what}"
    return "no answer: nothing was asked"
