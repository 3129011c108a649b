"""`drillbed kill`: how sharp the suite is. Runs wrong products in several processes and shows who is found by what."""

import json
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from drillbed.errors import UsageError
from drillbed.product import Reference
from harness.conform import SPECS
from harness.kill import Cell, Matrix, Source, Unit, measure, requirements_of, run_unit
from harness.kill_report import json_of, text_of, write_score
from harness.loading import load_bench
from harness.product import Setup

BENCH = "python:drillbed.product.mutants:ReferenceBench"


@dataclass(frozen=True, slots=True)
class Options:
    """What a user can choose. `record`: keep the score beside the specifications, for the header of reports."""

    mutants: Sequence[str] = ()
    requirements: Sequence[str] = ()
    full: bool = False
    workers: int = 2
    seed: int = 1
    out: Path = Path("build/kill")
    record: bool = False


def kill(options: Options) -> int:
    """Measures; 0 where every gate holds, 1 where one does not."""
    axes = Reference().describe()
    source = Source(BENCH, SPECS, Setup(options.seed, axes.profiles[0], axes.eras[0]), axes.claims)
    _known("mutant", options.mutants, [fault.name for fault in load_bench(BENCH).faults()])
    _known("requirement", options.requirements, [one.id for one in requirements_of(source)])
    matrix = _measured(source, options)
    text = text_of(matrix)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "kill.txt").write_text(text, encoding="utf-8")
    (options.out / "kill.json").write_text(json.dumps(json_of(matrix), indent=1), encoding="utf-8")
    sys.stdout.write(text)
    if options.record and matrix.whole:
        sys.stdout.write(f"{write_score(matrix, SPECS)}\n")
    return 0 if matrix.ok else 1


def _known(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"there is no {what} {name!r}; known are: {', '.join(sorted(known))}")


def _measured(source: Source, options: Options) -> Matrix:
    # Forked: the specifications and what they need are loaded once. Nothing runs in this process yet.
    requirements_of(source)
    with ProcessPoolExecutor(options.workers, mp_context=get_context("fork")) as pool:

        def carry(source: Source, units: Sequence[Unit]) -> Iterable[list[Cell]]:
            waiting = [pool.submit(run_unit, source, unit) for unit in units]
            for number, done in enumerate(as_completed(waiting), start=1):
                _tell(f"\r{number} of {len(waiting)}{' ' * 12}")
                yield done.result()
            _tell("\r")

        measuring = measure(source, carry, full=options.full, mutants=options.mutants, wanted=options.requirements)
        return list(measuring)[-1]


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(text)
        sys.stderr.flush()
