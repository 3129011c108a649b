"""`docs/rows.md`: where each row of the catalogue is. Paths are there and name the row; what is left out stands in the limits."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT.parent / "shared" / "facts" / "behaviours.md"
ROW = re.compile(r"^\| ([A-Z]{2,4}-\d{3}) \| (MUST|SHOULD|MAY) \| ([a-z-]+) \| (.+) \|$", re.MULTILINE)


def rows() -> dict[str, list[str]]:
    return {row[0]: re.findall(r"`([^`]+)`", row[3]) for row in ROW.findall((ROOT / "docs" / "rows.md").read_text())}


def test_every_place_is_there_and_names_its_row() -> None:
    wrong = []
    for row, places in rows().items():
        assert places, row
        for place in places:
            path = ROOT / place
            if not path.is_file() or row not in path.read_text():
                wrong.append(f"{row}: {place}")
    assert not wrong, "\n".join(wrong)


def test_there_are_as_many_rows_as_in_the_catalogue() -> None:
    found = rows()
    assert len(found) == 268
    if not CATALOGUE.exists():
        pytest.skip("the catalogue is not beside this repository")
    known = re.findall(r"^\| ([A-Z]{2,4}-\d{3}) \| (?:MUST|SHOULD|MAY) \|", CATALOGUE.read_text(), re.MULTILINE)
    assert sorted(found) == sorted(known)
