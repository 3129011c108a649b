"""The plugin as its users meet it: real pytest processes on the examples, the miniature product as the product."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema_rs
import pytest
from toy_bench import EXAMPLES

from harness.conform import run

HERE = Path(__file__).parent
SCHEMA = json.loads((Path(__file__).parents[2] / "harness" / "record.schema.json").read_text())


def pytest_run(where: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a pytest process with a configuration of its own."""
    (where / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        str(where / "pytest.ini"),
        f"--rootdir={HERE}",
        f"--confcutdir={HERE}",
        *arguments,
    ]
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


def inside(where: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The same inside this process, which is quicker."""
    (where / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider -p no:faulthandler -p no:unraisableexception\n")
    code = pytest.main(["-c", str(where / "pytest.ini"), f"--rootdir={HERE}", "--capture=no", *arguments])
    captured = capsys.readouterr()
    return int(code), captured.out + captured.err


def judged(where: Path, product: str, *arguments: str) -> tuple[int, str]:
    return pytest_run(where, f"--product=python:toy:{product}", f"--conformance={where}", *arguments)


def record(where: Path) -> list[dict]:
    return [json.loads(line) for line in (where / "run.ndjson").read_text().splitlines()]


def test_ids_are_stable_and_can_be_selected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = "examples/reprotect/master-target.yaml::RPR-007::not-enabled[absent]"
    code, out = inside(tmp_path, capsys, f"{HERE}/{one}", "--product=python:toy:Toy", "-v")
    assert (code, out.count("PASSED")) == (0, 1)
    assert f"{one} PASSED" in out
    code, out = inside(tmp_path, capsys, f"{EXAMPLES}/reprotect/master-target.yaml::RPR-007", "--product=python:toy:Toy", "-v")
    assert (code, out.count("PASSED")) == (0, 6)
    assert "::not-enabled-otherwise PASSED" in out
    code, out = inside(tmp_path, capsys, str(EXAMPLES), "--product=python:toy:Toy", "-v", "-m", "should", "-k", "RPR-006")
    assert (code, out.count("PASSED")) == (0, 2)


def test_the_record_follows_its_schema_and_junit_has_properties(tmp_path: Path) -> None:
    code, out = judged(tmp_path, "planned_allowed", "examples", "--seed=7", f"--junitxml={tmp_path / 'junit.xml'}")
    assert code == 1, out
    lines = record(tmp_path)
    validator = jsonschema_rs.validator_for(SCHEMA)
    for line in lines:
        validator.validate(line)
    assert [lines[0]["kind"], lines[0]["seed"], lines[-1]["kind"]] == ["header", 7, "footer"]
    assert lines[-1]["claims"]["core"] == "not conformant"
    assert lines[-1]["claims"]["failback"] == "conformant"
    (failed,) = [line for line in lines if line.get("verdict") == "fail"]
    assert (failed["case"], failed["judgement"]) == (
        "FO-002::planned-is-refused",
        "refused: {because: failover-kind-unsupported}",
    )
    tests = ElementTree.parse(tmp_path / "junit.xml").iter("testcase")
    properties = {test.get("name"): {p.get("name"): p.get("value") for p in test.iter("property")} for test in tests}
    assert properties["planned-is-refused"] == {
        "requirement": "FO-002", "level": "must", "claim": "core", "profile": "classic", "verdict": "fail",
    }  # fmt: skip
    assert re.search(r"fail at examples/failover/kinds.yaml:23: refused: \{because: failover-kind-unsupported\}", out)


def test_over_several_processes_the_record_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    alone.mkdir()
    spread.mkdir()
    alone_product = ["--product=python:toy:planned_allowed", f"--conformance={alone}"]
    assert inside(alone, capsys, str(EXAMPLES), *alone_product)[0] == 1
    assert judged(spread, "planned_allowed", "examples", "-n", "2", "--dist", "loadscope")[0] == 1

    def cases(where: Path) -> list[dict]:
        return sorted((line for line in record(where) if line["kind"] == "case"), key=lambda line: line["case"])

    assert len(cases(alone)) == 31
    assert cases(alone) == cases(spread)
    assert record(alone)[-1] == record(spread)[-1]


@pytest.mark.parametrize(
    ("product", "arguments", "code", "text"),
    [
        ("Toy", ["--claim=core"], 0, "core: conformant"),
        ("blind", ["-k", "NET"], 5, "unobservable"),
        ("breaking", ["--claim=plans"], 3, "plans: undecided"),
        ("leaving", ["--claim=plans"], 3, "plans: undecided"),
        ("planned_allowed", ["-x", "--claim=core,failback"], 1, "only a part was asked"),
        ("under_snapshot", ["--claim=failback"], 0, "note: RPR-006::snapshot-on-machine: "),
        ("Toy", ["-k", "nothing-of-the-kind"], 5, "nothing was asked"),
        ("Toy", ["--claim=everything"], 2, "'everything' is not a claim"),
        ("Toy", ["--profile=modernized"], 2, "toy is not of the profile modernized"),
        ("Nobody", ["examples"], 2, "cannot be loaded"),
        ("single", ["-n", "2"], 2, "serves 1 estates at once"),
    ],
)
def test_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], product: str, arguments: list[str], code: int, text: str
) -> None:
    found, out = inside(tmp_path, capsys, str(EXAMPLES), f"--product=python:toy:{product}", *arguments)
    assert text in out
    assert "Traceback" not in out
    # pytest's own code for usage errors is 4; `drillbed conform` makes 2 of it.
    assert found == (4 if code == 2 else code)


def test_a_mistake_in_a_specification_stops_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    specs = tmp_path / "mistaken"
    specs.mkdir()
    (specs / "sources.yaml").write_text((EXAMPLES / "sources.yaml").read_text())
    (specs / "a.yaml").write_text("format: 1\narea: A\nrequirement: {}\n")
    code, out = inside(tmp_path, capsys, str(specs), "--product=python:toy:Toy", f"--conformance={tmp_path}")
    assert code == 2
    assert "mistaken/a.yaml:3: the file has an unknown key 'requirement'" in out
    assert record(tmp_path)[-1]["kind"] == "header", "a run that was stopped has no footer"


def test_a_file_that_cannot_be_read_never_turns_green(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    specs = tmp_path / "half"
    specs.mkdir()
    for name in ("sources.yaml", "failover/kinds.yaml"):
        (specs / Path(name).name).write_text((EXAMPLES / name).read_text())
    (specs / "broken.yaml").write_text("format: 1\n")
    code, out = inside(tmp_path, capsys, str(specs), "--product=python:toy:Toy", "--continue-on-collection-errors")
    assert code == 2, out
    assert "half/broken.yaml:1: `area` is missing" in out
    assert "4 pass" in out


def test_without_a_product_the_plugin_does_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text("import sys\n\ndef test_one():\n    assert 'harness.collection' not in sys.modules\n")
    code, out = pytest_run(tmp_path, str(tmp_path), str(EXAMPLES), "--strict-markers")
    assert code == 0, out
    assert "1 passed" in out
    assert "conformance" not in out


def test_conform_prints_its_command_and_writes_the_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    code = run(["python:toy:Toy", "--specs", str(EXAMPLES), "--claim", "core", "--seed", "3", "--out", str(out), "--capture=no"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert printed.startswith(f"pytest {EXAMPLES} -c ")
    assert {path.name for path in out.iterdir()} >= {"run.ndjson", "junit.xml", "report.html", "trace.csv", "badge.json"}
    assert record(out)[0]["seed"] == 3
    assert {line["requirement"] for line in record(out) if line["kind"] == "case"} == {"FO-002", "FO-016", "NET-001", "NET-002"}


def test_conform_says_usage_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["python:toy:Toy", "--claim", "everything", "--out", str(tmp_path / "out"), "--capture=no"]) == 2
    assert not (tmp_path / "out" / "report.html").exists()
