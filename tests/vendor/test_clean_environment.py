"""A vendor's own repository with nothing but the harness installed: no Flask, no SDK, no emulator."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

TOY = Path(__file__).parents[1] / "harness" / "toy.py"
VENDOR = """
import pytest

def test_of_the_vendor():
    pass
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The vendor's repository: a driver, a test, no configuration."""
    shutil.copy(TOY, tmp_path / "toy.py")
    (tmp_path / "test_own.py").write_text(VENDOR)
    return tmp_path


def run(where: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(where)}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=where, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("name", ["flask", "azure", "pyVmomi", "uvicorn", "moto", "lxml", "hypothesis"])
def test_the_environment_is_clean(name: str) -> None:
    assert find_spec(name) is None


def test_pytest_judges_with_the_specifications_that_were_installed(repository: Path) -> None:
    done = run(repository, "pytest", "--product", "python:toy:Toy", "--claim=core", "-k", "planned-is-refused or powered", "-v")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FO-002::planned-is-refused PASSED" in done.stdout
    assert "core: conformant" in done.stdout
    assert "test_of_the_vendor" not in done.stdout
    wrong = run(
        repository,
        "pytest",
        "--product",
        "python:toy:planned_allowed",
        "-p",
        "no:cacheprovider",
        "-k",
        "planned-is-refused or powered",
    )
    assert wrong.returncode == 1
    assert "FO-002 (must): " in wrong.stdout


def test_a_path_that_is_named_is_what_is_asked(repository: Path) -> None:
    done = run(repository, "pytest", "test_own.py", "--product", "python:toy:Toy", "-p", "no:cacheprovider")
    assert done.returncode == 5, "nothing was asked of the product"
    assert "nothing was asked" in done.stdout


def test_the_commands_of_the_harness(repository: Path) -> None:
    conform = run(
        repository,
        "drillbed",
        "conform",
        "python:toy:Toy",
        "--claim",
        "core",
        "-k",
        "planned-is-refused or powered",
        "--out",
        "out",
    )
    assert conform.returncode == 0, conform.stdout + conform.stderr
    assert json.loads((repository / "out" / "badge.json").read_text())["message"] == "core: conformant (in part)"
    for command, says in (
        (("list",), " requirements, "),
        (("words",), "refused: {because: <reasons>}"),
        (("trace", "FO-002"), "FO-002::planned-is-refused"),
        (("smoke", "python:toy:Toy"), "the driver is sound"),
        (("schema", "spec"), "urn:drillbed:spec:1"),
        (("compare", "out", "out"), "no case changed"),
    ):
        done = run(repository, "drillbed", *command)
        assert (done.returncode, done.stderr) == (0, "")
        assert says in done.stdout


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (("drill",), 3, "pip install 'drillbed[estate]'"),
        (("vcsim", "-h"), 0, ""),
        (("conform", "reference", "--out", "out"), 2, "the product 'reference' cannot be loaded"),
        (("smoke", "reference"), 2, "pip install 'drillbed[estate]'"),
    ],
)
def test_what_needs_more_says_so_in_one_line(repository: Path, command: tuple[str, ...], code: int, says: str) -> None:
    done = run(repository, "drillbed", *command)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
