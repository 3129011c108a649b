"""Carries out a drill: opens the estate, takes the steps in order, stops at the first that does not hold, writes the results."""

import resource
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drillbed.disk_input import make_disk
from drillbed.drill import back, forward
from drillbed.drill.course import MACHINES, Course, NotHeldError
from drillbed.estate import Estate, EstatePlan, MachinePlan
from drillbed.operator import NotInTime, Refused
from drillbed.report.result import DrillResult, FlowRow, HostPlace, StepResult, verdict
from drillbed.storage import kind_of, require_azurite
from emulators.network import Block

MIB = 1 << 20

Step = tuple[str, Callable[[Course], str]]

#: Going over and coming back once.
CIRCLE: tuple[Step, ...] = (
    ("Fail over by recovery plan", forward.plan_failover),
    ("Compare every disk in Azure", forward.compare_in_azure),
    ("Commit", forward.commit),
    ("Work in Azure", back.work_in_azure),
)
HOME: tuple[Step, ...] = (
    ("Reprotect, differences only", back.reprotect),
    ("Fail back", back.fail_back),
    ("Commit the failback", back.commit_failback),
)

STEPS: tuple[Step, ...] = (
    ("Register what stands on premises", forward.register),
    ("Discover the vCenter", forward.discover),
    ("Policies and mappings", forward.make_policies),
    ("Protect: agents and first copy", forward.protect),
    ("Replicate changes", forward.replicate),
    ("Test failover and clean-up", forward.test_failover),
    *CIRCLE,
    ("Failback prerequisites bite", back.prerequisites_bite),
    *HOME,
    ("Protect again", back.protect_again),
    *((f"Second circle: {name[0].lower()}{name[1:]}", act) for name, act in (*CIRCLE, *HOME)),
    ("Nothing is left over", back.nothing_left_over),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a user can choose. `blocks` are traffic rules that hold for the whole drill."""

    out: Path
    disk: Path | None = None
    seed: int = 1
    profile: str = "classic"
    way: str = "embedded"
    blocks: tuple[Block, ...] = field(default=())
    storage: str | None = None  #: as in `EstatePlan`


def run_drill(options: Options, progress: Any, folder: Path) -> DrillResult:
    """Run a whole drill in `folder` (its working files) and give what was found. Nothing is left running."""
    if kind_of(options.storage, sockets=options.way == "embedded") == "azurite":
        require_azurite()  # before the work on the disk, which takes longer
    given = make_disk(folder / "input", options.disk)
    result = DrillResult(profile=options.profile, seed=options.seed, way=options.way)
    result.facts["Real input"] = f"{given.what}, {given.size // MIB} MiB"
    machines = [
        MachinePlan("web", "WINDOWS", [32 * MIB, 8 * MIB], witness=True),
        MachinePlan("app", "WINDOWS", [32 * MIB, 8 * MIB], witness=True),
        MachinePlan("db", "WINDOWS", [given.size, 16 * MIB], source=given.path, witness=True),
    ]
    plan = EstatePlan(
        way=options.way, seed=options.seed, machines=machines, hash_at_boot=True, profile=options.profile, storage=options.storage
    )
    with Estate.open(plan, folder / "estate") as estate:
        estate.network.blocks.extend(options.blocks)
        course = Course(estate, result, progress)
        began = estate.clock.real()
        result.started = estate.clock.now()
        _take(course, STEPS)
        result.ended, result.real_s = estate.clock.now(), estate.clock.real() - began
        _conclude(course)
    return result


def _take(course: Course, steps: Iterable[Step]) -> None:
    for name, act in steps:
        if not _one(course, name, act):
            return


def _one(course: Course, name: str, act: Callable[[Course], str]) -> bool:
    clock, network = course.estate.clock, course.estate.network
    real, emulated, moved = clock.real(), clock.now(), _moved(network.flows())
    course.progress.step(name)
    step = StepResult(name, ok=False, started=emulated)
    course.result.steps.append(step)
    try:
        step.detail, step.ok = act(course), True
    except (NotHeldError, Refused, NotInTime, LookupError, OSError) as failure:
        course.estate.check(failure)
        step.detail = (str(failure) or type(failure).__name__) + _refusals(course, emulated)
    except Exception as failure:  # a bug, unless the machine is to blame
        course.estate.check(failure)
        raise
    step.real_s, step.emulated_s = clock.real() - real, clock.now() - emulated
    step.bytes = _moved(network.flows()) - moved
    course.progress.done(step.ok, step.detail)
    return step.ok


def _refusals(course: Course, since: float) -> str:
    """The last connection that the network refused during a step, as text to append."""
    recent = [denied for denied in course.estate.network.denied if denied.when >= since]
    return f"; last refused connection: {recent[-1].reason}" if recent else ""


def _moved(flows: Iterable[Any]) -> int:
    return sum(flow.bytes_out + flow.bytes_in for flow in flows)


def _conclude(course: Course) -> None:
    result, network = course.result, course.estate.network
    result.flows = [
        FlowRow(flow.source, flow.destination, flow.port, flow.bytes_out + flow.bytes_in, flow.tls) for flow in network.flows()
    ]
    result.events = [(entry.when, entry.kind, entry.subject, entry.particulars) for entry in course.estate.events]
    result.hosts = [HostPlace(host.name, host.zone, host.address) for host in network.hosts()]
    result.facts["Peak memory"] = f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB"
    if stored := course.estate.azure.storage.peak_memory():
        result.facts["Peak memory"] += f", and Azurite {stored // MIB} MiB"
    result.facts["Machines"] = ", ".join(MACHINES)
    result.ok = verdict(result) and len(result.steps) == len(STEPS)
