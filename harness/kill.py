"""Asks every wrong product what the suite asks, and counts which requirement finds it. Knows nothing of pytest.

The reference goes first: what each case asks of the rules tells which faults it could notice at all. Then, for each fault and
each way of arming, only these cases are run. `quick` asks a mutant only by the requirement it breaks, until that finds it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from harness.cases import Case
from harness.loading import load_bench
from harness.mutation import ALWAYS, AT_WHEN, GENERIC, MUTANT, VARIANT, Fault
from harness.product import Setup
from harness.scenario import run_case
from harness.spec import Requirement, load_specs
from harness.verdict import FAIL, PASS

ARMINGS = {MUTANT: (ALWAYS, AT_WHEN), VARIANT: (ALWAYS,), GENERIC: (AT_WHEN,)}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a matrix comes from; small enough to be sent to another process."""

    bench: str
    specs: Path
    setup: Setup
    claims: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """Cases for one fault, run one after another; to the first that finds it where `until_killed`."""

    fault: str
    arming: str
    cases: tuple[str, ...]
    until_killed: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """One case of one product. `fault` is empty for the reference."""

    fault: str
    arming: str
    case: str
    requirement: str
    twin: bool
    verdict: str
    seen: str
    asked: frozenset[str] = frozenset()
    asked_since_when: frozenset[str] = frozenset()


Carry = Callable[[Source, Sequence[Unit]], Iterable[list[Cell]]]


def requirements_of(source: Source) -> list[Requirement]:
    """What is asked: the claims, under the setup's profile and era."""
    found = _loaded(source.specs)
    return [one for one in found if one.claim in source.claims and one.applies(source.setup.profile, source.setup.era)]


@cache
def _loaded(specs: Path) -> tuple[Requirement, ...]:
    return tuple(load_specs(specs))


@cache
def _cases(specs: Path) -> dict[str, tuple[Requirement, Case]]:
    return {case.id: (requirement, case) for requirement in _loaded(specs) for case in requirement.cases}


def run_unit(source: Source, unit: Unit) -> list[Cell]:
    """Runs the cases of a unit; may be called in another process."""
    bench = load_bench(source.bench)
    fault = next((one for one in bench.faults() if one.name == unit.fault), None)
    cells = []
    for name in unit.cases:
        requirement, case = _cases(source.specs)[name]
        subject = bench.subject(fault, unit.arming)
        result = run_case(case, subject.product, subject.worlds, source.setup)
        asked, since = subject.asked() if fault is None else (frozenset(), frozenset())
        seen = "" if result.verdict == PASS else result.summary
        cells.append(Cell(unit.fault, unit.arming, name, requirement.id, case.twin, result.verdict, seen, asked, since))
        if unit.until_killed and result.verdict == FAIL:
            break
    return cells


@dataclass(slots=True)
class Matrix:
    """All cells of a measurement, and what they say."""

    requirements: list[Requirement]
    faults: list[Fault]
    full: bool
    whole: bool  #: every requirement and every fault was asked
    cells: list[Cell] = field(default_factory=list)

    def kills(self, fault: str) -> dict[str, int]:
        """Requirement to how many of its cases (in either arming) fail for the fault."""
        found: dict[str, int] = {}
        for cell in self.cells:
            if cell.fault == fault and cell.verdict == FAIL:
                found[cell.requirement] = found.get(cell.requirement, 0) + 1
        return found

    def of(self, kind: str) -> list[Fault]:
        return [fault for fault in self.faults if fault.kind == kind]

    @property
    def unclean(self) -> list[Cell]:
        """Cases that the reference itself does not pass."""
        return [cell for cell in self.cells if not cell.fault and cell.verdict != PASS]

    @property
    def survivors(self) -> list[Fault]:
        """Mutants that nothing finds and for which no reason is written down."""
        return [fault for fault in self.of(MUTANT) if not fault.equivalent and not self.kills(fault.name)]

    @property
    def imprecise(self) -> list[Fault]:
        """Mutants that are found, but not by the requirement they break."""
        return [fault for fault in self.of(MUTANT) if (found := self.kills(fault.name)) and fault.breaks not in found]

    @property
    def accused(self) -> list[Cell]:
        """Right products that a requirement does not pass."""
        variants = {fault.name for fault in self.of(VARIANT)}
        return [cell for cell in self.cells if cell.fault in variants and cell.verdict != PASS]

    @property
    def idle(self) -> list[str]:
        """Requirements that must hold and find no wrong product, not even a generic one."""
        found = {cell.requirement for cell in self.cells if cell.verdict == FAIL}
        return [one.id for one in self.requirements if one.level == "must" and one.counted and one.id not in found]

    @property
    def thin(self) -> list[str]:
        """Requirements that only generic faults show to be asked: a mutant of their own is missing."""
        named = {fault.name for fault in self.of(MUTANT)}
        found = {cell.requirement for cell in self.cells if cell.verdict == FAIL and cell.fault in named}
        return [one.id for one in self.requirements if one.id not in found and one.id not in self.idle]

    @property
    def by_twin_only(self) -> list[str]:
        """Faults that only a positive twin finds."""
        found = []
        for fault in self.of(MUTANT):
            killers = [cell.twin for cell in self.cells if cell.fault == fault.name and cell.verdict == FAIL]
            if killers and all(killers):
                found.append(fault.name)
        return found

    @property
    def ok(self) -> bool:
        """Every gate holds. Requirements can be called idle only where all faults were tried."""
        return not (self.unclean or self.survivors or self.imprecise or self.accused or (self.whole and self.idle))

    @property
    def score(self) -> str:
        """One line, for the header of conformance reports."""
        mutants = [fault for fault in self.of(MUTANT) if not fault.equivalent]
        found = len(mutants) - len(self.survivors)
        precise = found - len(self.imprecise)
        variants = len(self.of(VARIANT))
        accused = len({cell.fault for cell in self.accused})
        return (
            f"finds {found} of {len(mutants)} wrong products, {precise} by the requirement that is broken; "
            f"accuses {accused} of {variants} right ones that differ"
        )


def measure(
    source: Source, carry: Carry, *, full: bool, mutants: Sequence[str] = (), wanted: Sequence[str] = ()
) -> Iterator[Matrix]:
    """Fills a matrix, and gives it after every piece of it, complete at last. `mutants` and `wanted` (requirements) limit it.

    `carry` runs units and gives their cells as they come, in any order.
    """
    every = load_bench(source.bench).faults()
    faults = [fault for fault in every if not mutants or fault.name in mutants]
    if wanted:
        faults = [fault for fault in faults if fault.kind != MUTANT or fault.breaks in wanted]
    requirements = [one for one in requirements_of(source) if not wanted or one.id in wanted]
    matrix = Matrix(requirements, faults, full or bool(mutants), not mutants and not wanted)
    reference = [Unit("", ALWAYS, tuple(case.id for case in one.cases)) for one in requirements]
    for cells in carry(source, reference):
        matrix.cells += cells
        yield matrix
    for cells in carry(source, list(_units(matrix))):
        matrix.cells += cells
        yield matrix


def _units(matrix: Matrix) -> Iterator[Unit]:
    """What has to be run for the faults, the longest first: those that are asked of everything."""
    passed = [cell for cell in matrix.cells if cell.verdict == PASS]
    for fault in sorted(matrix.faults, key=lambda one: (one.kind != VARIANT, one.name)):
        for arming in ARMINGS[fault.kind]:
            by_requirement: dict[str, list[str]] = {}
            for cell in passed:
                wanted = matrix.full or fault.kind != MUTANT or cell.requirement == fault.breaks
                if wanted and _could_notice(fault, arming, cell):
                    by_requirement.setdefault(cell.requirement, []).append(cell.case)
            until = not matrix.full and fault.kind != VARIANT
            for cases in by_requirement.values():
                yield Unit(fault.name, arming, tuple(cases), until)


def _could_notice(fault: Fault, arming: str, cell: Cell) -> bool:
    if fault.kind == GENERIC:
        return True
    return bool(fault.rules & (cell.asked if arming == ALWAYS else cell.asked_since_when))
