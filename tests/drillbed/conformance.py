"""The specifications that the reference is asked, and how one case is run."""

from drillbed.product import EstateWorlds, Reference
from harness.cases import Case
from harness.conform import SPECS
from harness.product import Setup
from harness.scenario import run_case
from harness.spec import Requirement, load_specs
from harness.verdict import Result

SEED = 1
_AXES = Reference().describe()

#: What `drillbed conform` asks by default.
REQUIREMENTS: tuple[Requirement, ...] = tuple(
    requirement
    for requirement in load_specs(SPECS)
    if requirement.claim in _AXES.claims and requirement.applies(_AXES.profiles[0], _AXES.eras[0])
)
CASES: dict[str, Case] = {case.id: case for requirement in REQUIREMENTS for case in requirement.cases}


#: Folders of `specs` that the reference is asked.
AREAS = {"discovery", "failover", "health", "network", "operations", "recovery-plans", "replication", "reprotect", "topology"}


def area_of(requirement: Requirement) -> str:
    """The folder of `specs` it stands in."""
    return requirement.where.split("/")[1]


def run(case: Case, worlds: EstateWorlds | None = None, *, way: str = "virtual") -> Result:
    """One case of the reference, as `drillbed conform` runs it with this seed."""
    setup = Setup(SEED, _AXES.profiles[0], _AXES.eras[0], way)
    return run_case(case, Reference(), worlds or EstateWorlds(), setup)
