"""What the suite itself is measured with: products that are wrong in one behaviour, and right ones that differ.

A `Bench` offers them. Those that are built from a product's own rules stand beside these rules; the generic ones here wrap any
product. A fault is on from the start (`always`), or from the first `when` (`at-when`), so that it cannot spoil a set-up.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from harness.product import Accepted, Answer, Description, Product, Refused, Session, Setup, World, WorldFactory

MUTANT, GENERIC, VARIANT = "mutant", "generic", "variant"
ALWAYS, AT_WHEN = "always", "at-when"

#: What an operator can ask: every method of a session that answers.
ACTS = frozenset(
    {
        "prepare", "registration_key", "register", "add_vcenter", "discover", "add_component", "protect", "unprotect", "failover",
        "test_failover", "clean_up", "change_recovery_point", "commit", "reprotect", "resynchronize", "cancel",
        "complete_migration", "move", "set_target", "create_plan", "run_plan", "resume_plan",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One product that differs from the reference. `breaks` is the requirement that must find it, empty for a variant; `rules`
    are the entries of the rules that were replaced; `equivalent` says why nothing can find it, where that is so."""

    name: str
    kind: str
    says: str
    breaks: str = ""
    rules: frozenset[str] = frozenset()
    equivalent: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """A product in its world, ready to be asked one case. `asked` tells afterwards which rules were asked: in all, and since the
    first `when`."""

    product: Product
    worlds: WorldFactory
    asked: Callable[[], tuple[frozenset[str], frozenset[str]]]


class Bench(Protocol):
    """Where the faults of one product come from."""

    def faults(self) -> Sequence[Fault]: ...
    def subject(self, fault: Fault | None, arming: str) -> Subject:
        """The product with a fault, or without one."""
        ...


# wrapping ------------------------------------------------------------------------------------------------------------------


class Marking:
    """A session that tells when the first `when` (or, without one, the first judgement) comes."""

    def __init__(self, session: Session, arm: Callable[[], None]):
        self._session, self._arm = session, arm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def mark(self, phase: str, step: str) -> None:
        if phase in ("when", "then"):
            self._arm()
        self._session.mark(phase, step)


@dataclass(frozen=True, slots=True)
class Marked:
    """A product whose sessions call `arm` at the first `when`."""

    product: Product
    arm: Callable[[], None]

    def describe(self) -> Description:
        return self.product.describe()

    @contextmanager
    def open(self, world: World, setup: Setup) -> Iterator[Any]:
        with self.product.open(world, setup) as session:
            yield Marking(session, self.arm)


class Distorted:
    """A session that answers otherwise than its product, from the first `when` on."""

    def __init__(self, session: Session, distort: "Distort"):
        self._session, self._distort, self._armed = session, distort, False

    def mark(self, phase: str, step: str) -> None:
        self._armed = self._armed or phase in ("when", "then")
        self._session.mark(phase, step)

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._session, name)
        return self._distort(name, real) if self._armed else real


Distort = Callable[[str, Callable[..., Any]], Callable[..., Any]]


def _answers(answer: Answer) -> Distort:
    """Every act is answered so and does nothing."""

    def distort(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def act(*args: Any, **named: Any) -> Answer:
            return answer

        return act if name in ACTS else real

    return distort


def _accepts(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """Every act is done as the product does it; a refusal is told as a success."""
    if name not in ACTS:
        return real

    def act(*args: Any, **named: Any) -> Answer:
        answer: Answer = real(*args, **named)
        return Accepted() if isinstance(answer, Refused) else answer

    return act


def _wrong_reason(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """Refusals carry a reason that is none."""
    if name not in ACTS:
        return real

    def act(*args: Any, **named: Any) -> Answer:
        answer: Answer = real(*args, **named)
        return Refused("provider-error", "it did not work") if isinstance(answer, Refused) else answer

    return act


def _healthy(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """Nothing is ever wrong with a machine."""
    if name != "machine":
        return real
    return lambda vm: replace(real(vm), health="healthy", problems=frozenset(), resync_required=False)


#: Name to (what is wrong, how).
GENERIC_FAULTS: dict[str, tuple[str, Distort]] = {
    "refuse-everything": ("every act is refused", _answers(Refused("provider-error", "not today"))),
    "say-yes-do-nothing": ("every act is accepted and nothing is done", _answers(Accepted())),
    "accept-everything": ("refusals are told as successes", _accepts),
    "no-reasons": ("refusals do not say why", _wrong_reason),
    "always-healthy": ("machines always look healthy", _healthy),
}


@dataclass(frozen=True, slots=True)
class DistortedProduct:
    """Any product with a generic fault, armed at the first `when`."""

    product: Product
    distort: Distort

    def describe(self) -> Description:
        return self.product.describe()

    @contextmanager
    def open(self, world: World, setup: Setup) -> Iterator[Any]:
        with self.product.open(world, setup) as session:
            yield Distorted(session, self.distort)


def generic_faults() -> list[Fault]:
    """The faults that any product can be given."""
    return [Fault(name, GENERIC, says) for name, (says, _) in GENERIC_FAULTS.items()]
