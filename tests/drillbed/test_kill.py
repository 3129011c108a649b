"""`drillbed kill`: wrong products are found, by the requirement they break; wrong use is one line."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from conformance import REQUIREMENTS

from drillbed.product.mutants import HALVES, ReferenceBench
from harness.mutation import MUTANT


def kill(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "drillbed", "kill", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_a_row_of_the_matrix(tmp_path: Path) -> None:
    done = kill("--requirement", "TOP-011", "--out", str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads((tmp_path / "kill.json").read_text())
    killed = {fault["name"]: fault["killed_by"] for fault in said["faults"]}
    assert killed["any-clock"]["TOP-011"] == 2, "found in both armings"
    assert killed["clock-to-the-second"]["TOP-011"] == 2
    assert killed["refuse-everything"] == {"TOP-011": 1}
    assert killed["always-healthy"] == {}, "clocks have nothing to do with health"
    assert "finds 2 of 2 wrong products, 2 by the requirement that is broken" in done.stdout


def test_a_survivor_fails_the_gate(tmp_path: Path) -> None:
    """A wrong product that is asked only what has nothing to do with it survives."""
    done = kill("--requirement", "TOP-011", "--mutant", "any-region", "--mutant", "any-clock", "--out", str(tmp_path))
    assert done.returncode == 0, "one that breaks another requirement is left out"
    assert "any-region" not in done.stdout


@pytest.mark.parametrize("wrong", [("--mutant", "nobody"), ("--requirement", "XYZ-001"), ("-n", "0")])
def test_wrong_use_is_one_line(wrong: tuple[str, str], tmp_path: Path) -> None:
    done = kill(*wrong, "--out", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_every_mutant_breaks_a_requirement_that_is_asked() -> None:
    asked = {requirement.id for requirement in REQUIREMENTS}
    known = {f"{half}.{rule.name}" for half, (make, _, _) in HALVES.items() for rule in fields(make())}
    for fault in ReferenceBench().faults():
        assert fault.rules <= known, fault.name
        if fault.kind == MUTANT:
            assert fault.breaks in asked, fault.name
