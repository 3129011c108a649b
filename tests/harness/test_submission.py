"""What is handed in is worked out again: every lie in it is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import toy
from test_reports_and_listing import recorded
from toy_bench import EXAMPLES

from harness.kill_report import stamp_of
from harness.record import read_record
from harness.spec import load_specs
from harness.submission import verify, write_submission


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    assert recorded(tmp_path, toy.Toy(), specifications=stamp_of(load_specs(EXAMPLES))) == 0
    return write_submission(tmp_path)


def test_what_the_harness_writes_is_sound(submission: Path) -> None:
    assert verify(submission, EXAMPLES) == []
    assert sorted(path.name for path in submission.iterdir()) == ["README.md", "product.yaml", "report.html", "run.ndjson"]
    assert "by hand" in (submission / "README.md").read_text()


def change(folder: Path, which: Callable[[dict], bool], new: dict) -> None:
    path = folder / "run.ndjson"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line | new if which(line) else line) + "\n" for line in lines))


def one(line: dict) -> bool:
    return line.get("case") == "FO-002::planned-is-refused"


def header(line: dict) -> bool:
    return line["kind"] == "header"


def footer(line: dict) -> bool:
    return line["kind"] == "footer"


def requirement(line: dict) -> bool:
    return line["kind"] == "requirement" and line["id"] == "FO-002"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda at: change(at, one, {"verdict": "fail", "judgement": "x"}), "the footer counts 31 pass, the record holds 30"),
        (
            lambda at: change(at, one, {"verdict": "fail", "judgement": "x"}),
            "the footer calls core 'conformant'; its cases make it",
        ),
        (lambda at: change(at, one, {"verdict": "fail"}), "is fail without saying at what"),
        (lambda at: change(at, one, {"seed": 5}), "has the seed 5, not the one that seed 1 of the run gives"),
        (lambda at: change(at, header, {"specifications": "0"}), "are not those of this harness"),
        (
            lambda at: change(at, header, {"claims": ["core", "physical"]}),
            "the claim physical is made and nothing of it was asked",
        ),
        (lambda at: change(at, footer, {"partial": True}), "only a part was asked"),
        (lambda at: change(at, requirement, {"level": "may"}), "FO-002 is another requirement in the record"),
        (lambda at: (at / "report.html").write_text("all green"), "report.html is not the page of this record"),
        (lambda at: (at / "README.md").write_text("trust us"), "README.md does not say how to run it again"),
        (
            lambda at: (at / "product.yaml").write_text("name: toy\nversion: '2'\n"),
            "product.yaml has the version '2', the record '1'",
        ),
        (lambda at: (at / "product.yaml").unlink(), "lacks product.yaml"),
        (lambda at: (at / "run.ndjson").write_text("{}\n"), "does not begin with a header"),
        (lambda at: change(at, one, {"requirement": "FO-999"}), "is no record of this format"),
        (lambda at: change(at, header, {"seed": "one"}), "has the seed"),
    ],
)
def test_every_lie_is_named(submission: Path, spoil: Callable[[Path], object], says: str) -> None:
    spoil(submission)
    assert any(says in line for line in verify(submission, EXAMPLES)), verify(submission, EXAMPLES)


def test_cases_that_were_left_out_are_named(submission: Path) -> None:
    path = submission / "run.ndjson"
    lines = [line for line in path.read_text().splitlines() if '"FO-002::planned-is-refused"' not in line]
    end = json.loads(lines[-1])
    end["counts"]["pass"] -= 1
    path.write_text("\n".join([*lines[:-1], json.dumps(end)]) + "\n")
    (submission / "report.html").write_text(write_submission_page(path))
    assert verify(submission, EXAMPLES) == ["1 of 31 cases of the claims were not asked: FO-002::planned-is-refused"]


def write_submission_page(path: Path) -> str:
    from harness.report_page import page

    return page(read_record(path))
