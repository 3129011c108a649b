"""`drillbed smoke PRODUCT`: judges a driver before it judges a product.

A driver is sound when it describes itself in words of the format, opens and closes more than once, sees what happens and does not
see what does not, and has what it declares. Nothing here says whether the product is right.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.loading import PATIENCE, Loaded, UsageError, load_product
from harness.product import MachineSpec, Session, Setup, UnobservableError, Unsupported, World
from harness.run import DriverError
from harness.scenario import run_case
from harness.spec import load_specs
from harness.verdict import FAIL, PASS

SOUND, UNSOUND = 0, 1
_MACHINE = "smoke"
_FOLDER = Path(__file__).resolve().parent

#: Requirements of smoke.yaml that a sound driver fails: what they state is untrue.
UNTRUE = frozenset({"SMK-003", "SMK-004"})

#: A capability -> what proves that the product has it. Asked of a machine that is being protected.
PROOFS: dict[str, Callable[[Session], Any]] = {
    "observe-components": lambda session: session.components("configuration-server"),
    "multi-vm-consistency": lambda session: session.protect(_MACHINE, "smoke-group"),
    "recovery-plans": lambda session: session.create_plan("smoke-plan", [[_MACHINE]]),
    "process-servers": lambda session: session.add_component("process-server", "process-server-2"),
    "migration": lambda session: session.complete_migration(_MACHINE),
    "target-settings": lambda session: session.set_target(_MACHINE, "name", "smoke-2"),
}
#: The same for what the world shows.
SIGHTS: dict[str, Callable[[World], Any]] = {
    "observe-flows": lambda world: world.flows(),
    "observe-content": lambda world: world.content(_MACHINE, "onprem"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One question to the driver. `trouble` is empty where it is sound."""

    question: str
    trouble: str = ""


def smoke(loaded: Loaded, setup: Setup, report: Callable[[str], object]) -> int:
    """Asks everything and reports a line a question. Returns 0 where the driver is sound, 1 where it is not."""
    what = loaded.description
    report(f"{what.name} {what.version}: {', '.join(what.profiles)}; claims {', '.join(what.claims)}")
    findings = []
    for finding in (*_opening(loaded, setup), *_scenarios(loaded, setup), *_capabilities(loaded, setup)):
        findings.append(finding)
        report(f"  {'NOT SOUND' if finding.trouble else 'sound':<9}  {finding.question}")
        if finding.trouble:
            report(f"             {finding.trouble}")
    wrong = [finding for finding in findings if finding.trouble]
    report(f"the driver is {'not sound: ' + str(len(wrong)) + ' of ' + str(len(findings)) if wrong else 'sound'}")
    return UNSOUND if wrong else SOUND


@contextmanager
def _session(loaded: Loaded, setup: Setup) -> Iterator[tuple[Session, World]]:
    with loaded.worlds.open(setup) as world:
        world.add_machine(MachineSpec(_MACHINE))
        with loaded.product.open(world, setup) as session:
            yield session, world


def _asked(question: str, ask: Callable[[], str]) -> Finding:
    """`ask` gives the trouble; whatever the driver raises is trouble too."""
    try:
        return Finding(question, ask())
    except Exception as problem:
        text = str(problem) if isinstance(problem, DriverError) else f"{type(problem).__name__}: {problem}"
        return Finding(question, text)


def _opening(loaded: Loaded, setup: Setup) -> Iterator[Finding]:
    def opens() -> str:
        with _session(loaded, setup) as (session, _):
            session.mark("given", "smoke")
        return ""

    def looks_twice() -> str:
        with _session(loaded, setup) as (session, _):
            first, second = session.machine(_MACHINE), session.machine(_MACHINE)
        return "" if first == second else f"looking changes what is seen: {first} and then {second}"

    yield _asked("a session opens and closes", opens)
    yield _asked("and again", opens)
    yield _asked("looking changes nothing", looks_twice)


def _scenarios(loaded: Loaded, setup: Setup) -> Iterator[Finding]:
    for requirement in load_specs(_FOLDER):
        wanted = FAIL if requirement.id in UNTRUE else PASS
        for case in requirement.cases:
            result = run_case(case, loaded.product, loaded.worlds, setup)
            question = f"{'denies' if wanted == FAIL else 'shows'}: {requirement.statement}"
            told = f"{result.verdict}, not {wanted}: {result.judgement}; seen: {result.seen or 'as it says'}"
            yield Finding(question, "" if result.verdict == wanted else told)


def _capabilities(loaded: Loaded, setup: Setup) -> Iterator[Finding]:
    for capability in sorted(loaded.description.capabilities & {*PROOFS, *SIGHTS}):
        yield _asked(f"has what it declares: {capability}", partial(_proof, loaded, setup, capability))


def _proof(loaded: Loaded, setup: Setup, capability: str) -> str:
    with _session(loaded, setup) as (session, world):
        session.prepare()
        if capability != "multi-vm-consistency":
            session.protect(_MACHINE)
        try:
            found = SIGHTS[capability](world) if capability in SIGHTS else PROOFS[capability](session)
        except UnobservableError as problem:
            return f"cannot be observed: {problem}"
    return f"answers unsupported: {found.what}" if isinstance(found, Unsupported) else ""


def command(options: Sequence[str], report: Callable[[str], object]) -> int:
    """`drillbed smoke` with its options: 0 sound, 1 not. Raises `UsageError`."""
    asked = _options(options)
    loaded = load_product(asked.product, world=asked.world, patience=asked.driver_seconds)
    try:
        profile = asked.profile or loaded.description.profiles[0]
        if profile not in loaded.description.profiles:
            raise UsageError(f"{loaded.description.name} is not of the profile {profile}")
        return smoke(loaded, Setup(asked.seed, profile, loaded.description.eras[0], asked.way), report)
    finally:
        loaded.close()


def _options(options: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="drillbed smoke", description="Is the driver itself sound?", exit_on_error=False)
    product = "an entry point's name, python:module:Name, exec:COMMAND, container:IMAGE or a URL"
    parser.add_argument("product", nargs="?", help=product)
    parser.add_argument("--world", help="what surrounds the product, instead of the world it names")
    parser.add_argument("--profile", help="classic, modernized or secondary-site (default: the product's first)")
    parser.add_argument("--way", choices=("virtual", "embedded"), default="virtual", help="how the world runs")
    parser.add_argument("--seed", type=int, default=1, help="seed of everything random")
    parser.add_argument(
        "--driver-seconds", type=float, default=PATIENCE, help="how long a driver in another process may be silent"
    )
    try:
        asked, rest = parser.parse_known_args(list(options))
    except argparse.ArgumentError as problem:
        raise UsageError(f"drillbed smoke: {problem}") from problem
    if rest or not asked.product:
        raise UsageError(f"drillbed smoke takes one product ({product}) and {parser.format_usage().split(' ', 3)[-1].strip()}")
    return asked
