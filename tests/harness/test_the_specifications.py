"""The specifications that come with the harness."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.conform import SPECS
from harness.listing import trace_text
from harness.not_asked import load_not_asked
from harness.product import PartialSession, Session
from harness.spec import Requirement, load_specs
from harness.vocabulary import words

CATALOGUE = SPECS.parent.parent / "shared" / "facts" / "behaviours.md"
#: The rows of the seed article's trace.
TRACE_NUMBERS = {
    "AVM": [1],
    "CFG": [1, 2, 17],
    "DIS": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    "FB": [1],
    "FO": [1, 2, 13, 15, 16, 20],
    "LIM": [2],
    "MVM": [2],
    "NET": [1, 2, 3, 4, 5, 6, 7, 8, 9],
    "PHY": [3],
    "PLAN": [1],
    "REP": [1, 2, 3, 6, 7, 9, 12],
    "RPR": [1, 2, 5, 6, 7, 8, 11],
    "RPT": [10],
    "RRP": [1],
    "SEC": [1, 2, 3, 4, 5, 6],
    "TOP": [1, 2, 3, 4, 5, 6, 8],
}
TRACE = {f"{area}-{number:03}" for area, numbers in TRACE_NUMBERS.items() for number in numbers}


@pytest.fixture(scope="module")
def requirements() -> list[Requirement]:
    return load_specs(SPECS)


def test_each_row_of_the_trace_is_asked_or_has_a_reason(requirements: list[Requirement]) -> None:
    asked = {requirement.id for requirement in requirements}
    reasons = load_not_asked(SPECS)
    assert not TRACE - asked - reasons.keys()
    assert not asked & reasons.keys(), "asked, and not asked with a reason"
    assert "REP-009" in reasons, "the name of the log file is never asserted"
    assert len(asked) >= 45
    assert sum(len(requirement.cases) for requirement in requirements) >= 130


def test_every_source_names_its_row(requirements: list[Requirement]) -> None:
    for requirement in requirements:
        rows = {source.row for source in (*requirement.source, *requirement.against)}
        assert all(re.fullmatch(r"[A-Z]{2,4}-[0-9]{3}", row) for row in rows), requirement.id
        assert requirement.id in rows, requirement.id


@pytest.mark.skipif(not CATALOGUE.is_file(), reason="the catalogue of behaviours is not part of the product")
def test_levels_and_profiles_are_those_of_the_catalogue(requirements: list[Requirement]) -> None:
    rows = re.findall(r"^\| ([A-Z]+-\d+) \| (MUST|SHOULD|MAY) \| ([a-z-]+) \|", CATALOGUE.read_text(encoding="utf-8"), re.M)
    catalogue = {row: (level.lower(), profile) for row, level, profile in rows}
    for requirement in requirements:
        level, profile = catalogue[requirement.id]
        assert requirement.level == level, requirement.id
        assert requirement.profile in (profile, "classic"), requirement.id


def test_every_refusal_has_a_positive_twin_and_leaves_no_mark(requirements: list[Requirement]) -> None:
    for requirement in requirements:
        refusing = [case for case in requirement.cases if "refused" in case.judged]
        if refusing:
            assert any("accepted" in case.judged and "refused" not in case.judged for case in requirement.cases), requirement.id
        for case in refusing:
            also = case.judged & {"unchanged", "vm", "recovery_points", "state", "data_equal"}
            on_a_machine = any("vm" in step.arguments for step in case.when)
            assert also or not on_a_machine, f"{case.id} does not look whether the refusal left a mark"


def test_every_word_of_a_session_is_used(requirements: list[Requirement]) -> None:
    used = {
        step.word for requirement in requirements for case in requirement.cases for step in (*case.given, *case.but, *case.when)
    }
    assert {"protect", "failover", "commit", "reprotect", "run", "resume", "move", "target", "register", "add_vcenter"} <= used
    assert used <= {word.name for word in words()}


def test_a_row_that_is_not_asked_tells_why() -> None:
    assert trace_text("REP-009") == f"REP-009 is not asked: {load_not_asked(SPECS)['REP-009']}\n"


def test_a_partial_session_answers_to_every_act() -> None:
    wanted = {name: inspect.signature(act) for name, act in vars(Session).items() if inspect.isfunction(act) and name[0] != "_"}
    assert "reprotect" in wanted
    assert {name: inspect.signature(getattr(PartialSession, name)) for name in wanted} == wanted


def test_the_harness_needs_nothing_but_yaml_and_pytest() -> None:
    code = (
        "import sys\n"
        "for name in ('flask', 'httpx', 'lxml', 'numpy', 'emulators', 'reference_impl', 'drillbed', 'jinja2', 'typer', 'rich'):\n"
        "    sys.modules[name] = None\n"
        "import pkgutil, importlib, harness\n"
        "for found in pkgutil.walk_packages(harness.__path__, 'harness.'):\n"
        "    importlib.import_module(found.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
