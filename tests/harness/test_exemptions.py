"""What a vendor knows to be wrong: strict both ways, and only until its day."""

import datetime
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from toy_bench import EXAMPLES

from harness.exemptions import load_exemptions, read_entries, updated
from harness.record import Axes, read_record
from harness.strict_yaml import SpecError
from harness.today import today

AXES = Axes(1, "classic", "2018", "virtual", ("core",))
ENTRY = """\
- what: FO-002::planned-is-refused
  fails: "refused: {because: failover-kind-unsupported}"
  reason: Planned failover is a feature of ours
  link: ACME-1
  until: 2999-01-31
"""
Inside = Callable[..., tuple[int, str]]


@pytest.fixture
def judged(tmp_path: Path, inside: Inside) -> Callable[..., tuple[int, str, list[dict]]]:
    """Judges the miniature product with an exemptions file: exit code, output, the cases of the record."""

    def run(text: str, product: str = "planned_allowed", *more: str) -> tuple[int, str, list[dict]]:
        (tmp_path / "exempt.yaml").write_text(text)
        options = [f"--product=python:toy:{product}", f"--conformance={tmp_path}", f"--exemptions={tmp_path / 'exempt.yaml'}"]
        code, out = inside(tmp_path, str(EXAMPLES), *options, "--claim=core", *more)
        lines = [json.loads(line) for line in (tmp_path / "run.ndjson").read_text().splitlines()] if "usage" not in out else []
        return code, out, lines

    return run


def verdict(lines: list[dict], case: str) -> str:
    return next(line["verdict"] for line in lines if line.get("case") == case)


def test_what_fails_as_listed_is_exempt(judged: Callable) -> None:
    code, out, lines = judged(ENTRY)
    assert code == 0, out
    assert "core: with exemptions" in out
    assert verdict(lines, "FO-002::planned-is-refused") == "exempt"
    assert lines[0]["exemptions"] == [
        {
            "what": "FO-002::planned-is-refused",
            "reason": "Planned failover is a feature of ours",
            "link": "ACME-1",
            "until": "2999-01-31",
        }
    ]


@pytest.mark.parametrize(
    ("change", "code", "verdict_is", "says"),
    [
        (lambda text: text.replace("failover-kind-unsupported", "snapshot-present"), 1, "fail", "core: not conformant"),
        (lambda text: text.replace("2999-01-31", "2020-01-31"), 1, "fail", "ended on 2020-01-31 (exempt.yaml:1)"),
        (lambda text: text + "  when: {profile: modernized}\n", 1, "fail", "core: not conformant"),
        (lambda text: text + "  when: {profile: classic, way: virtual}\n", 0, "exempt", "core: with exemptions"),
    ],
)
def test_an_entry_holds_only_for_what_it_says(judged: Callable, change: Callable, code: int, verdict_is: str, says: str) -> None:
    found, out, lines = judged(change(ENTRY))
    assert (found, verdict(lines, "FO-002::planned-is-refused")) == (code, verdict_is)
    assert says in out


def test_an_entry_that_is_not_needed_has_to_go(judged: Callable) -> None:
    code, out, lines = judged(ENTRY, "Toy")
    assert code == 1
    assert verdict(lines, "FO-002::planned-is-refused") == "exempt-but-passes"
    assert "take the entry out of the exemptions" in out


def test_an_entry_of_a_case_that_does_not_exist_is_wrong_use(judged: Callable) -> None:
    code, out, _ = judged(ENTRY.replace("planned-is-refused", "planned-is-rejected"))
    assert code == 4
    assert "exempt.yaml:1: there is no case FO-002::planned-is-rejected" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ENTRY.replace("  reason: Planned failover is a feature of ours\n", ""),
            "1: an exemption needs `reason`: say why, by hand",
        ),
        (ENTRY.replace("Planned failover is a feature of ours", '""'), "an exemption needs `reason`"),
        (ENTRY.replace("FO-002::planned-is-refused", "FO-002"), "1: 'FO-002' is not a case"),
        (ENTRY.replace("2999-01-31", "soon"), "5: `until` is a day such as 2027-01-31, not 'soon'"),
        (ENTRY + "  resaon: typo\n", "6: an exemption has no 'resaon'"),
        (ENTRY + "  when: {moon: full}\n", "`when` knows profile, era, way, not 'moon'"),
        (ENTRY + ENTRY, "6: FO-002::planned-is-refused stands already in exempt.yaml:1"),
        ("what: FO-002\n", "the exemptions must be a list"),
    ],
)
def test_mistakes_in_the_file_have_their_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "exempt.yaml"
    path.write_text(text)
    with pytest.raises(SpecError) as mistake:
        load_exemptions(path, AXES, today())
    assert message in str(mistake.value)


def test_the_last_day_still_counts(tmp_path: Path) -> None:
    path = tmp_path / "exempt.yaml"
    path.write_text(ENTRY)
    assert load_exemptions(path, AXES, datetime.date(2999, 1, 31)).entries
    assert not load_exemptions(path, AXES, datetime.date(2999, 2, 1)).entries


def test_the_file_is_written_from_a_run_and_wants_its_reasons(tmp_path: Path, judged: Callable) -> None:
    judged("[]\n")
    record, day = read_record(tmp_path / "run.ndjson"), datetime.date(2998, 1, 1)
    path = tmp_path / "new.yaml"
    path.write_text(updated([], record, day))
    with pytest.raises(SpecError, match=r"new\.yaml:3: an exemption needs `reason`: say why, by hand"):
        read_entries(path)
    path.write_text(path.read_text().replace('reason: ""', "reason: Known"))
    (entry,) = read_entries(path)
    assert (entry.what, entry.until) == ("FO-002::planned-is-refused", datetime.date(2998, 4, 1))
    kept = updated([entry], record, datetime.date(2998, 6, 1))
    path.write_text(kept)
    assert [(one.reason, one.until) for one in read_entries(path)] == [("Known", entry.until)]
    code, out, _ = judged(kept)
    assert (code, "core: with exemptions" in out) == (0, True)
    judged("[]\n", "Toy")
    assert updated([entry], read_record(tmp_path / "run.ndjson"), day).endswith("[]\n")
