"""The command line: exit codes, and one line for everything that is used wrongly."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from drillbed import cli
from drillbed.cli import parse_block, run
from drillbed.errors import UsageError
from drillbed.signals import Interruption
from emulators.network import Block


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["drill", "--profile", "modern"], "profile 'modern' cannot be drilled"),
        (["drill", "--way", "sideways"], "--way is embedded or virtual, not 'sideways'"),
        (["drill", "--block", "http"], "--block takes a PORT or FROM:TO:PORT, not 'http'"),
        (["drill", "--block", "web:9443"], "for example 9443 or web:process-server:9443"),
        (["drill", "--block", "0"], "--block takes"),
        (["drill", "--seed", "many"], "'--seed'"),
        (["drill", "--sede", "1"], "--sede"),
        (["drill", "--disk"], "--disk"),
        (["drill", "--disk", "nothing.img", "--way", "virtual"], "there is no disk image nothing.img: give the path"),
        (["dril"], "dril"),
    ],
)
def test_wrong_use_gets_one_line_and_code_2(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments, Interruption()) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    (line,) = errors.splitlines()
    assert line.startswith("drillbed: ")
    assert says in line


@pytest.mark.parametrize("make", [lambda path: path.write_text("not a folder"), lambda path: path.symlink_to("/proc/nothing")])
def test_a_folder_that_cannot_be_written_to(
    make: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    make(out)
    assert run(["drill", "--out", str(out)], Interruption()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written to" in line
    assert "choose another folder with --out" in line


def test_help_is_no_error_and_no_command_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"], Interruption()) == 0
    told = capsys.readouterr()
    assert run([], Interruption()) == 2
    assert "Usage" in told.out
    assert capsys.readouterr().out.split() == told.out.split()


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "disk.vmdk"), "disk.vmdk: the disk is full: free some space"),
        (OSError(errno.EMFILE, "Too many open files"), "raise the limit with `ulimit -n"),
        (MemoryError(), "no memory left"),
        (ZeroDivisionError("division\nby zero"), "drillbed broke: ZeroDivisionError: division by zero; details are in "),
    ],
)
def test_trouble_gets_one_line_and_code_3(
    trouble: Exception, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise trouble

    monkeypatch.setattr("drillbed.drill.run_drill", fail)
    monkeypatch.setattr(cli.tempfile, "tempdir", str(tmp_path))
    assert run(["drill", "--out", str(tmp_path / "out")], Interruption()) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert list((tmp_path / "out").iterdir()) == []
    logs = [path.read_text() for path in tmp_path.glob("drillbed-trouble-*")]
    assert len(logs) == ("broke" in says)
    assert all("Traceback" in log for log in logs)


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("443", Block(None, None, 443)),
        ("web:process-server:9443", Block("web", "process-server", 9443)),
        ("app::20004", Block("app", None, 20004)),
    ],
)
def test_blocks_are_read(text: str, block: Block) -> None:
    assert parse_block(text) == block


@pytest.mark.parametrize("text", ["", ":", "a:b", "a:b:c", "70000", "-1", "a:b:1:2"])
def test_what_is_no_block_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_block(text)


def test_results_go_to_standard_output_on_request_and_nothing_else_does(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drillbed", "drill", "--way", "virtual", "--disk", "x", "--out", str(tmp_path), "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
