"""The reports of a drill: the JSON contract, the page, and what the terminal shows."""

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from sample_drill import sample

from drillbed.report import Progress, drill_document, write_reports
from drillbed.report.page import render_page
from drillbed.report.result import DiskCheck, DrillResult, FlowRow, StepResult, verdict
from drillbed.report.units import size_text, span_text


def test_drill_json_has_the_agreed_shape(tmp_path: Path) -> None:
    result = DrillResult(profile="classic", seed=9, ok=True)
    result.steps = [StepResult("Commit", ok=True, real_s=0.12345, emulated_s=60, bytes=77, detail="gone")]
    result.disks = [DiskCheck("db", "disk 0", "azure", "ab" * 32, equal=True)]
    result.flows = [FlowRow("db", "process-server", 9443, 1234, tls=True)]
    written = write_reports(result, tmp_path / "deep" / "out")
    assert written == tmp_path / "deep" / "out" / "drill.json"
    assert json.loads(written.read_text()) == {
        "ok": True,
        "profile": "classic",
        "seed": 9,
        "steps": [{"name": "Commit", "ok": True, "real_s": 0.123, "emulated_s": 60, "bytes": 77, "detail": "gone"}],
        "disks": [{"machine": "db", "disk": "disk 0", "side": "azure", "sha256": "ab" * 32, "equal": True}],
        "flows": [{"from": "db", "to": "process-server", "port": 9443, "bytes": 1234, "tls": True}],
    }
    assert "Disaster-recovery drill" in (tmp_path / "deep" / "out" / "report.html").read_text()


def test_one_thing_that_did_not_hold_decides() -> None:
    result = sample()
    assert verdict(result)
    result.disks.append(DiskCheck("db", "disk 0", "azure", "00", equal=False))
    assert not verdict(result)
    assert not verdict(DrillResult())
    assert not verdict(sample(ok=False))


class Page(HTMLParser):
    """Collects what a page loads, and checks that its elements are closed in order."""

    EMPTY = ("meta", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object", "embed"):
            self.loaded.append(tag)
        self.loaded += [f"{tag} {name}" for name, value in attrs if name in ("src", "href", "xlink:href", "style")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("ok", [True, False])
def test_the_page_is_whole_and_loads_nothing(ok: bool) -> None:
    text = render_page(sample(ok=ok))
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    assert page.loaded == []
    assert not re.search(r"url\((?!#)|@import|https?://", text)
    words = " ".join(page.words)
    assert ("✓ held" if ok else "✗ did not hold") in words
    assert ("port 443 from process-server to storage is blocked" in words) is not ok
    for check in sample(ok=ok).disks:
        assert check.sha256 in words
    for flow in sample(ok=ok).flows:
        assert f"{flow.source} to {flow.destination}, port {flow.port}" in words
    assert text.count('class="point ') == len(sample(ok=ok).points)


def test_what_came_from_outside_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    result = sample()
    result.steps[0].detail = result.steps[1].name = result.facts[evil] = evil
    result.points.append(type(result.points[0])(evil, result.started + 5))
    result.flows.append(FlowRow(evil, "storage", 443, 1, tls=False))
    result.marks.append(type(result.marks[0])(result.started, "note", evil))
    assert "<script" not in render_page(result)


def test_an_empty_result_still_makes_a_page() -> None:
    page = render_page(DrillResult())
    assert "No disk was compared." in page
    assert "Nothing crossed the network." in page


def terminal(**more: Any) -> Any:
    settings: dict[str, Any] = {"file": io.StringIO(), "width": 100, "highlight": False} | more
    return Console(**settings)


def run(progress: Progress) -> None:
    with progress:
        progress.step("Discover")
        progress.done(True, "3 machines")
        progress.step("Protect")
        progress.update(bytes=3 * 1024 * 1024, rate=1024, points=4, rpo=75)
        progress.update(bytes=5 * 1024 * 1024, rpo=None)
        progress.done(False, "job Failed: no path [vpn]")
        progress.step("interrupted")


def test_plain_lines_where_there_is_no_terminal() -> None:
    console = terminal(force_terminal=False)
    run(Progress(console=console))
    written = console.file.getvalue()
    assert "\x1b" not in written
    assert written.splitlines()[0] == " 1. Discover ..."
    assert "3 machines" in written.splitlines()[1]
    assert "job Failed: no path [vpn]; 5.0 MiB; 1.0 KiB/s; 4 recovery points; RPO 1 min 15 s" in written


def test_a_terminal_shows_a_moving_line_and_keeps_the_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")  # whatever terminal the tests themselves run in
    console = terminal(force_terminal=True)
    run(Progress(console=console))
    written = console.file.getvalue()
    assert "\x1b[" in written
    assert "Protect" in written
    assert "job Failed: no path [vpn]" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written)


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run(Progress(quiet=True))
    assert capsys.readouterr().out == ""


def test_an_old_encoding_is_no_reason_to_fail() -> None:
    raw = io.BytesIO()
    console = terminal(force_terminal=False, file=io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    progress = Progress(console=console)
    with progress:
        progress.step("Vergleich — über Kreuz")
        progress.done(True, "größer")
    result = sample()
    result.steps[0].name = "Vergleich — über Kreuz"
    progress.conclude(result, Path("out/drill"))
    assert b"ok" in raw.getvalue()


def test_the_closing_table_names_every_step() -> None:
    console = terminal(force_terminal=False)
    Progress(console=console).conclude(sample(ok=False), Path("out/drill"))
    written = console.file.getvalue()
    for step in sample(ok=False).steps:
        assert step.name in written
    assert "NOT HELD" in written
    assert "The drill did not hold." in written
    assert "out/drill/report.html" in written


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (256 * 1024**2, "256 MiB"), (5 * 1024**5, "5120 TiB")]
)
def test_sizes(count: int, words: str) -> None:
    assert size_text(count) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.421, "0.42 s"), (12.34, "12.3 s"), (75, "1 min 15 s"), (7500, "2 h 05 min"), (90000, "1 d 01 h"), (59.97, "60.0 s")],
)
def test_spans(seconds: float, words: str) -> None:
    assert span_text(seconds) == words


def test_the_document_of_a_sample_is_json() -> None:
    assert json.loads(json.dumps(drill_document(sample())))["ok"] is True
