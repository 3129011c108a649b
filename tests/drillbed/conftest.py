"""The real command in a process of its own: run it, break it, and see what it leaves behind."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from drill_command import FEW_STEPS, Command

Start = Callable[..., Command]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A small disk."""
    path = tmp_path / "given.img"
    path.write_bytes(bytes(range(256)) * 4096 * 2)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def start(image: Path, out: Path) -> Iterator[Start]:
    """Start a drill of `image` into `out`; whatever still runs at the end of the test is ended."""
    started: list[Command] = []

    def begin(*arguments: object, before: str = "", environment: dict[str, str] | None = None) -> Command:
        given = ("--disk", image, "--out", out)
        command = Command("drill", *given, *arguments, before=before, environment=environment)
        started.append(command)
        return command

    yield begin
    for command in started:
        for pid in command.family():
            os.kill(pid, signal.SIGKILL)
        command.process.communicate()


@pytest.fixture
def refused(out: Path) -> Callable[[Command, int, str], str]:
    """Wait for the end of a run that must fail with this code and one line that holds `says`, and leave nothing behind."""

    def check(command: Command, code: int, says: str) -> str:
        ended, output, errors = command.end()
        assert ended == code, (ended, output, errors)
        assert "Traceback" not in output + "\n".join(errors)
        assert len(errors) == 1, errors
        assert errors[0].startswith("drillbed: ")
        assert says in errors[0], errors[0]
        assert command.family() == []
        left = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
        assert left in ([], ["drill.log"]), left
        return errors[0]

    return check


@pytest.fixture
def works(out: Path, start: Start) -> Callable[..., None]:
    """The next run, with the same folder, does its work and leaves nothing but its results."""

    def check(way: str = "virtual") -> None:
        command = start("--json", "--way", way, before=FEW_STEPS)
        code, output, errors = command.end()
        assert (code, errors) == (0, []), (output, errors)
        assert json.loads(output)["ok"] is True
        assert sorted(path.name for path in out.iterdir()) == ["drill.json", "report.html"]
        assert command.family() == []

    return check
