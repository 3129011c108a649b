"""Small specifications written on the spot."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
import toy
from toy_bench import HEAD, PAGES, run_requirement

from harness.spec import load_specs
from harness.verdict import Result


@pytest.fixture
def write_specs(tmp_path: Path) -> Callable[..., Path]:
    """Writes `specs/area/file.yaml` (and sources.yaml) and returns the folder."""

    def write(text: str, *, pages: str = PAGES, name: str = "area/file.yaml") -> Path:
        folder = tmp_path / "specs"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "sources.yaml").write_text(pages)
        (folder / name).write_text(text)
        return folder

    return write


@pytest.fixture
def scenario(write_specs: Callable[..., Path]) -> Callable[..., list[Result]]:
    """Runs one scenario, written as YAML, against the miniature product; the results of its cases."""

    def run(text: str, *, product: toy.Toy | None = None, needs: str = "") -> list[Result]:
        head = HEAD + (f"    needs: [{needs}]\n" if needs else "")
        folder = write_specs(head + "    scenarios:\n" + textwrap.indent(textwrap.dedent(text), "      "))
        (requirement,) = load_specs(folder)
        return run_requirement(requirement, product or toy.Toy())

    return run


@pytest.fixture
def judging_process() -> Callable[..., tuple[int, str]]:
    """Runs a pytest process with a configuration of its own: exit code and output."""
    from test_pytest_plugin import pytest_run

    return pytest_run


@pytest.fixture
def inside(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs pytest inside this process, which is quicker: exit code and output."""
    from test_pytest_plugin import inside as run

    return lambda where, *arguments: run(where, capsys, *arguments)
