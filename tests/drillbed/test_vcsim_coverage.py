"""`drillbed coverage vcenter` and `drillbed vcsim` from the command line."""

import re

import pytest

from drillbed.cli import run
from drillbed.signals import Interruption


def test_coverage_counts_from_the_code_and_lists_what_is_missing(capsys):
    assert run(["coverage", "vcenter"], Interruption()) == 0
    text = capsys.readouterr().out
    built, known = map(int, re.search(r"^sum of \(type, method\) pairs +(\d+) +(\d+)", text, re.MULTILINE).groups())
    lines = re.findall(r"^\S+ +(\d+) +\d+$", text, re.MULTILINE)
    assert built == sum(map(int, lines))
    assert 200 <= built < known
    assert re.search(r"^PropertyCollector +11 +11$", text, re.MULTILINE)
    assert "  VsanUpgradeSystem: PerformVsanUpgradePreflightCheck, " in text
    automation = re.search(r"^Automation API: (\d+) of (\d+) operations", text, re.MULTILINE)
    assert 100 < int(automation[1]) < int(automation[2])


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [(["coverage", "gcp"], 2, "not 'gcp'"), (["vcsim", "-nonsense"], 2, "-nonsense is not known")],
)
def test_wrong_use(capsys, arguments, code, said):
    assert run(arguments, Interruption()) == code
    assert said in capsys.readouterr().err


def test_help_of_vcsim(capsys):
    assert run(["vcsim", "-h"], Interruption()) == 0
    assert "-standalone-host" in capsys.readouterr().out
