"""`drillbed list`, `words`, `trace` and the help of `conform`, as a user calls them."""

import subprocess
import sys

import pytest


def drillbed(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "drillbed", *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "code", "out"),
    [
        (("list",), 0, "RPR-007   must   failback"),
        (("list", "--claim", "plans"), 0, "PLAN-005  must   plans"),
        (("list", "--profile", "secondary-site"), 0, "SEC-001"),
        (("words",), 0, "disk_write: {vm: text"),
        (("trace", "rpr-005"), 0, "RPR-005::snapshot-on-master-target-otherwise"),
        (("trace", "REP-009"), 0, "REP-009 is not asked: "),
        (("schema", "driver"), 0, "urn:drillbed:driver:1"),
        (("conform", "--help"), 0, "Exit codes: 0 every claim"),
    ],
)
def test_it_prints(arguments: tuple[str, ...], code: int, out: str) -> None:
    done = drillbed(*arguments)
    assert (done.returncode, done.stderr) == (code, "")
    assert out in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("trace", "XYZ-1"), "nothing is known of 'XYZ-1'"),
        (("list", "--claim", "plans,nonsense"), "'nonsense' is not one of the claims: core, failback"),
        (("schema", "moon"), "there is no schema of 'moon': spec, driver, record"),
        (("smoke",), "takes one product"),
        (("smoke", "nobody"), "there is no product 'nobody'"),
        (("compare", "/no/such/record", "/no/such/record"), "/no/such/record cannot be read"),
        (("exempt", "/no/such/record", "--update", "/tmp/no/such/file"), "/no/such/record cannot be read"),
        (("list", "--profile", "old"), "'old' is not one of the profiles: classic"),
    ],
)
def test_a_wrong_name_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = drillbed(*arguments)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert not done.stdout
