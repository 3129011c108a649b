"""The reference with one rule replaced: the bench of `drillbed kill`. The tables stand beside the rules they change."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from drillbed.product import EstateWorld, EstateWorlds, Reference
from emulators.azure.site_recovery import Rules as ServiceRules
from emulators.azure.site_recovery import mutants as service
from harness.mutation import (
    ALWAYS,
    GENERIC,
    GENERIC_FAULTS,
    MUTANT,
    VARIANT,
    DistortedProduct,
    Fault,
    Marked,
    Subject,
    generic_faults,
)
from harness.product import Setup
from reference_impl import mutants as components
from reference_impl.rules import Rules

#: The two halves of the product: a name, its rules, the tables of its mutants and variants.
HALVES: Mapping[str, tuple[Callable[[], Any], Mapping[str, Any], Mapping[str, Any]]] = {
    "components": (Rules, components.MUTANTS, components.VARIANTS),
    "service": (ServiceRules, service.MUTANTS, service.VARIANTS),
}


class Asked:
    """Rules of an estate that runs: they can be exchanged, and it is known which of them were asked."""

    def __init__(self, half: str, rules: Any):
        self._half, self._rules = half, rules
        self.all: set[str] = set()
        self.since_when: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        rule = f"{self._half}.{name}"
        self.all.add(rule)
        self.since_when.add(rule)
        return getattr(self._rules, name)

    def exchange(self, rules: Any) -> None:
        self._rules = rules


@dataclass(slots=True)
class _Halves:
    """The rules of one estate, and what replaces some of them."""

    changes: Mapping[str, Mapping[str, Any]]
    asked: dict[str, Asked] = field(default_factory=lambda: {half: Asked(half, make()) for half, (make, _, _) in HALVES.items()})
    when_came: bool = False

    def arm(self) -> None:
        for half, changed in self.changes.items():
            self.asked[half].exchange(replace(HALVES[half][0](), **changed))

    def when(self) -> None:
        """The first `when` has come."""
        if not self.when_came:
            self.when_came = True
            for asked in self.asked.values():
                asked.since_when.clear()

    def seen(self) -> tuple[frozenset[str], frozenset[str]]:
        every = list(self.asked.values())
        return frozenset().union(*(one.all for one in every)), frozenset().union(*(one.since_when for one in every))


@dataclass(frozen=True, slots=True)
class _Worlds:
    """Estates with these rules."""

    halves: _Halves

    def open(self, setup: Setup) -> AbstractContextManager[EstateWorld]:
        asked = self.halves.asked
        return EstateWorlds(cast(Rules, asked["components"]), cast(ServiceRules, asked["service"])).open(setup)


class ReferenceBench:
    """The reference, its mutants, its legal variants, and the generic faults."""

    def faults(self) -> Sequence[Fault]:
        found = [
            Fault(
                name, MUTANT, says, breaks, self._rules(name), components.EQUIVALENT.get(name, service.EQUIVALENT.get(name, ""))
            )
            for name, (breaks, says, _) in {**components.MUTANTS, **service.MUTANTS}.items()
        ]
        found += generic_faults()
        found += [Fault(name, VARIANT, says, "", self._rules(name)) for name, (says, _) in _variants().items()]
        return found

    def subject(self, fault: Fault | None, arming: str) -> Subject:
        """The reference in an estate; with a fault from the start, or from the first `when` on."""
        rules = fault is not None and fault.kind != GENERIC
        halves = _Halves(_changes(fault.name) if fault is not None and rules else {})
        if arming == ALWAYS:
            halves.arm()

        def when() -> None:
            first = not halves.when_came
            halves.when()
            if first:
                halves.arm()

        product: Any = Reference()
        if fault is not None and not rules:
            product = DistortedProduct(product, GENERIC_FAULTS[fault.name][1])
        return Subject(Marked(product, when), _Worlds(halves), halves.seen)

    def _rules(self, name: str) -> frozenset[str]:
        return frozenset(f"{half}.{rule}" for half, changed in _changes(name).items() for rule in changed)


def _variants() -> dict[str, Any]:
    return {**components.VARIANTS, **service.VARIANTS}


def _changes(name: str) -> dict[str, Mapping[str, Any]]:
    """Half to the rules that a mutant or variant replaces in it."""
    found = {}
    for half, (_, mutants, variants) in HALVES.items():
        row = mutants.get(name) or variants.get(name)
        if row is not None:
            found[half] = row[-1]
    return found
