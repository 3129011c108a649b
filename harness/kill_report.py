"""The kill matrix for people and for programs, and the score that every conformance report shows."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from harness.kill import Matrix
from harness.mutation import GENERIC, MUTANT, VARIANT, Fault
from harness.spec import Requirement, load_specs
from harness.verdict import FAIL, INCONCLUSIVE

#: The specifications that come with the harness.
SPECS = Path(__file__).resolve().parent.parent / "specs"
#: The last measured score, beside the specifications it was measured with.
SCORE = "score.json"
_SHOWN = 8
_TITLES = {MUTANT: "wrong products", GENERIC: "generic ones, from the first `when` on", VARIANT: "right ones that differ"}


def text_of(matrix: Matrix) -> str:
    """The matrix with its gates. A row is a product: which requirements fail for it, with the number of cases."""
    lines = []
    for kind, title in _TITLES.items():
        rows = matrix.of(kind)
        if rows:
            lines += ["", title]
            lines += [_row(matrix, fault) for fault in rows]
    return "\n".join([*lines, "", *gates(matrix), "", matrix.score]) + "\n"


def _row(matrix: Matrix, fault: Fault) -> str:
    kills = matrix.kills(fault.name)
    first = [fault.breaks] if fault.breaks in kills else []
    order = first + sorted(set(kills) - set(first), key=lambda name: (-kills[name], name))
    shown = [f"{'*' if name == fault.breaks else ''}{name} {kills[name]}" for name in order[:_SHOWN]]
    if len(order) > _SHOWN:
        shown.append(f"and {len(order) - _SHOWN} more")
    odd = sum(cell.fault == fault.name and cell.verdict == INCONCLUSIVE for cell in matrix.cells)
    broke = sum(cell.fault == fault.name and cell.verdict == "error" for cell in matrix.cells)
    nothing = f"equivalent: {fault.equivalent}" if fault.equivalent else "." if fault.kind == VARIANT else "SURVIVES"
    return (
        f"  {fault.name:<34} {', '.join(shown) or nothing}"
        + (f"   ({odd} inconclusive)" if odd else "")
        + (f"   ({broke} broke)" if broke else "")
    )


def gates(matrix: Matrix) -> Iterator[str]:
    """What must hold, each with what does not."""
    yield _gate("reference clean", [f"{cell.case}: {cell.seen}" for cell in matrix.unclean])
    yield _gate("survivors", [f"{fault.name} ({fault.breaks}: {fault.says})" for fault in matrix.survivors])
    yield _gate("kills that are not precise", [f"{fault.name} ({fault.breaks})" for fault in matrix.imprecise])
    yield _gate("right products accused", [f"{cell.fault} by {cell.case}: {cell.seen}" for cell in matrix.accused])
    if matrix.whole:
        yield _gate("idle musts", matrix.idle)
        yield f"without a mutant of their own: {', '.join(matrix.thin) or 'none'}"
    yield f"found only by a positive twin: {', '.join(matrix.by_twin_only) or 'none'}"


def _gate(name: str, wrong: list[str]) -> str:
    return f"{name}: " + ("ok" if not wrong else f"{len(wrong)}\n  - " + "\n  - ".join(wrong))


def json_of(matrix: Matrix) -> dict[str, Any]:
    """The matrix for programs."""
    return {
        "score": matrix.score,
        "ok": matrix.ok,
        "full": matrix.full,
        "whole": matrix.whole,
        "faults": [
            {
                "name": fault.name,
                "kind": fault.kind,
                "says": fault.says,
                "breaks": fault.breaks,
                "equivalent": fault.equivalent,
                "killed_by": matrix.kills(fault.name),
            }
            for fault in matrix.faults
        ],
        "survivors": [fault.name for fault in matrix.survivors],
        "imprecise": [fault.name for fault in matrix.imprecise],
        "accused": sorted({cell.fault for cell in matrix.accused}),
        "idle": matrix.idle if matrix.whole else None,
        "thin": matrix.thin if matrix.whole else None,
        "cells": [
            {"fault": cell.fault, "armed": cell.arming, "case": cell.case, "verdict": cell.verdict, "seen": cell.seen}
            for cell in sorted(matrix.cells, key=lambda cell: (cell.fault, cell.arming, cell.case))
            if cell.verdict == FAIL or not cell.fault
        ],
    }


# the score -----------------------------------------------------------------------------------------------------------------


def stamp_of(requirements: Iterable[Requirement]) -> str:
    """A hash over what is asked: a score belongs to specifications."""
    stamps = sorted(f"{one.id} {one.stamp}" for one in requirements)
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:16]


def write_score(matrix: Matrix, specs: Path) -> Path:
    """Keeps the score beside the specifications."""
    said = {"score": matrix.score, "gates": "hold" if matrix.ok else "do not hold", "specifications": stamp_of(load_specs(specs))}
    path = specs / SCORE
    path.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
    return path


def read_score(specs: Path) -> str:
    """The score as a report shows it, and whether it was measured with the specifications as they are."""
    try:
        said = json.loads((specs / SCORE).read_text(encoding="utf-8"))
        score, measured = str(said["score"]), said["specifications"]
    except (OSError, ValueError, KeyError, TypeError):
        return "was not measured"
    return score if measured == stamp_of(load_specs(specs)) else f"{score} (measured with other specifications)"
