"""What got worse: against a baseline, and between two records."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_bench import EXAMPLES

from harness.baseline import compare
from harness.record import read_record


@pytest.fixture
def judged(tmp_path: Path, inside: Callable) -> Callable[..., tuple[int, str]]:
    def run(product: str, folder: str, *more: str) -> tuple[int, str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        options = [f"--product=python:toy:{product}", f"--conformance={tmp_path / folder}", "--claim=core,failback"]
        return inside(tmp_path, str(EXAMPLES), *options, *more)

    return run


def test_a_baseline_excuses_what_was_wrong_before_and_nothing_else(tmp_path: Path, judged: Callable) -> None:
    assert judged("planned_allowed", "old")[0] == 1
    baseline = f"--baseline={tmp_path / 'old' / 'run.ndjson'}"
    code, out = judged("planned_allowed", "same", baseline)
    assert code == 0, out
    assert "core: not conformant" in out, "the words do not change"
    assert "nothing got worse than in the baseline" in out
    code, out = judged("two_faults", "worse", baseline)
    assert code == 1
    assert "worse than the baseline: RPR-005::snapshot-on-master-target: fail" in out
    code, out = judged("Toy", "better", baseline)
    assert code == 0, out
    new = judged("planned_allowed", "new", f"--baseline={tmp_path / 'better' / 'run.ndjson'}")
    assert new[0] == 1
    assert "worse than the baseline: FO-002::planned-is-refused: fail" in new[1]


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("{}"), lambda path: path.unlink()])
def test_a_baseline_that_is_no_record_is_wrong_use(tmp_path: Path, judged: Callable, spoil: Callable) -> None:
    judged("Toy", "old")
    path = tmp_path / "old" / "run.ndjson"
    spoil(path)
    code, out = judged("Toy", "new", f"--baseline={path}")
    assert code == 4
    assert "--baseline: " in out
    assert "Traceback" not in out


def test_two_runs_beside_each_other(tmp_path: Path, judged: Callable) -> None:
    for product, folder in (("Toy", "right"), ("planned_allowed", "wrong")):
        judged(product, folder)
    right, wrong = (read_record(tmp_path / folder / "run.ndjson") for folder in ("right", "wrong"))
    worse, better, same = compare(right, wrong), compare(wrong, right), compare(right, right)
    assert (worse.worse, better.worse, same.worse) == (True, False, False)
    assert (
        "worse   FO-002::planned-is-refused: pass -> fail (refused: {because: failover-kind-unsupported}; seen: accepted)"
        in worse.text
    )
    assert "claim core: conformant -> not conformant" in worse.text
    assert "better  FO-002::planned-is-refused: fail -> pass" in better.text
    assert "no case changed" in same.text


def test_a_case_that_is_asked_no_more_is_shown(tmp_path: Path, judged: Callable) -> None:
    judged("Toy", "all")
    judged("Toy", "part", "-k", "FO-002")
    whole, part = (read_record(tmp_path / folder / "run.ndjson") for folder in ("all", "part"))
    found = compare(whole, part)
    assert "gone    NET-002::data: was pass" in found.text
    assert not found.worse, "only a part was asked"
    path = tmp_path / "part" / "run.ndjson"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], json.dumps(json.loads(lines[-1]) | {"partial": False})]) + "\n")
    assert compare(whole, read_record(path)).worse
