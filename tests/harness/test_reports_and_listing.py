import csv
import json
from pathlib import Path

import pytest
import toy
from toy_bench import EXAMPLES, SETUP, run_requirement

from harness.conform import run
from harness.listing import list_text, trace_text, words_text
from harness.loading import UsageError, load_product
from harness.record import Axes, Recorder, RecordError, read_record, requirement_record
from harness.reports import write_reports
from harness.spec import load_specs
from harness.vocabulary import words


def recorded(folder: Path, product: toy.Toy, *, specifications: str = "") -> int:
    """A record as the plugin writes it, without pytest."""
    axes = Axes(
        SETUP.seed, SETUP.profile, SETUP.era, SETUP.way, ("core", "failback", "plans", "multi-vm"), "by hand", specifications
    )
    recorder = Recorder(folder, product.describe(), axes)
    recorder.open()
    for requirement in load_specs(EXAMPLES):
        for case, result in zip(requirement.cases, run_requirement(requirement, product), strict=True):
            recorder.case(
                {"case": result.plain() | {"known": False}, "requirement": requirement_record(requirement), "name": case.name}
            )
    return recorder.close(0)


def test_reports_come_from_the_record(tmp_path: Path) -> None:
    assert recorded(tmp_path, toy.wrong("snapshot-ignored")) == 1
    write_reports(tmp_path)
    rows = list(csv.DictReader((tmp_path / "trace.csv").read_text().splitlines()))
    assert {row["requirement"] for row in rows} == {requirement.id for requirement in load_specs(EXAMPLES)}
    (failed,) = [row for row in rows if row["verdict"] == "fail"]
    assert (failed["case"], failed["commit"][:7]) == ("RPR-005::snapshot-on-master-target", "015ce18")
    badge = json.loads((tmp_path / "badge.json").read_text())
    assert badge["message"] == "core: conformant; failback: not conformant; multi-vm: conformant; plans: conformant"
    assert badge["color"] == "red"
    page = (tmp_path / "report.html").read_text()
    assert "not conformant" in page
    assert "<details open><summary><span class='v fail'>fail</span>" in page
    assert "refused: {because: snapshot-present}" in page
    assert page.count("<title>what happened when</title>") == 31
    assert ":9443  " in page, "who talked to whom, with port and bytes"
    assert "http" not in page.replace("https://", "http"), "nothing is fetched from elsewhere"


def test_text_of_a_product_cannot_become_markup(tmp_path: Path) -> None:
    class Evil(toy.Toy):
        def describe(self) -> toy.Description:
            return toy.Description("<script>alert(1)</script>", "1")

    recorded(tmp_path, Evil())
    write_reports(tmp_path)
    assert "<script>" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda lines: lines[:-1], "no footer: the run was cut off"),
        (lambda lines: [*lines[:-1], lines[-1][:20]], "not JSON"),
        (lambda lines: lines[1:], "does not begin with a header"),
        (lambda lines: [lines[0].replace('"format": 1', '"format": 9'), *lines[1:]], "has the format 9"),
        (lambda lines: [line for number, line in enumerate(lines) if number != 5], "counts other cases"),
    ],
)
def test_no_report_from_half_a_record(tmp_path: Path, spoil, message: str) -> None:
    recorded(tmp_path, toy.Toy())
    path = tmp_path / "run.ndjson"
    path.write_text("\n".join(spoil(path.read_text().splitlines())) + "\n")
    with pytest.raises(RecordError, match=message):
        read_record(path)


def test_words_are_all_explained() -> None:
    text = words_text()
    for word in words():
        assert word.meaning, word.name
        assert word.signature() in text
    assert "snapshot-present: a snapshot stands in the way" in text
    assert "refused: {because: <reasons>}    [then]" in text


def test_list_and_trace() -> None:
    assert "9 requirements, 31 cases" in list_text(folder=EXAMPLES)
    listed = list_text(claim="multi-vm", folder=EXAMPLES).splitlines()
    assert [line.split()[0] for line in listed] == ["NET-006", "1"]
    traced = trace_text("RPR-007", folder=EXAMPLES)
    assert traced is not None
    assert "RPR-007::not-enabled[absent]" in traced
    assert "Prepare VMware VMs for reprotection and failback" in traced
    assert trace_text("XXX-999", folder=EXAMPLES) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody", "there is no product 'nobody'"),
        ("python:toy", "is written python:module:Name"),
        ("python:no_such_module:Name", "cannot be loaded"),
        ("python:toy:no_such_name", "cannot be loaded"),
        ("python:toy:CAPABILITIES", "cannot be made"),
        ("python:toy:Worlds", "cannot describe itself"),
    ],
)
def test_a_product_that_cannot_be_loaded_is_one_line(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_product(name)


def test_conform_refuses_bad_usage_before_it_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(["python:toy:Toy", "--out", str(tmp_path / "file")]) == 2
    assert run(["python:toy:Toy", "--out"]) == 2
    err = capsys.readouterr().err
    assert "cannot write to" in err
    assert "expected one argument" in err
