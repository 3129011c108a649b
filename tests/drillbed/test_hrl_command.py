"""`drillbed hrl`: a log in words, and the word for what is wrong with it."""

import base64
from pathlib import Path

import pytest

from drillbed import cli
from drillbed.signals import Interruption
from reference_impl import hrl, records

KEY = bytes(range(32))
MACHINE = "6af774ad-81fb-47ee-b8d7-e79f103b9c5f"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    entries = [records.write(0, 4096, b"x" * 512, 1.0), records.tag("p-1", "crash", 2.0, "")]
    frame = hrl.Frame(1, 2, 2.0, entries)
    raw = hrl.write(MACHINE, 3, [frame], key=KEY, salt=bytes(32), previous=hrl.GENESIS, made=2.0)
    path = tmp_path / "one.hrl"
    path.write_bytes(raw)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run(["hrl", *arguments], Interruption())
    said = capsys.readouterr()
    return code, said.out, said.err


def test_a_sound_log_is_described(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, str(log))
    assert code == 0
    assert f"machine     {MACHINE}, generation 3" in out
    assert "records     1 to 2" in out
    assert "compressed, sealed" in out
    assert "WRITE" not in out
    code, out, _ = run(capsys, str(log), "--key", base64.b64encode(KEY).decode())
    assert code == 0
    assert "WRITE       disk 0 at 4096, 512 bytes" in out
    assert "crash point p-1" in out


@pytest.mark.parametrize(
    ("cut", "word"), [(slice(100), "truncated"), (slice(200), "torn"), (slice(1, None), "not-a-log"), (slice(0), "not-a-log")]
)
def test_what_is_wrong_is_named(log: Path, capsys: pytest.CaptureFixture[str], cut: slice, word: str) -> None:
    log.write_bytes(log.read_bytes()[cut])
    code, out, _ = run(capsys, str(log))
    assert (code, word in out) == (1, True)


def test_an_altered_log_and_a_wrong_key_are_named(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "sealed" in run(capsys, str(log), "--key", base64.b64encode(bytes(32)).decode())[1]
    raw = bytearray(log.read_bytes())
    raw[150] ^= 1
    log.write_bytes(raw)
    code, out, _ = run(capsys, str(log))
    assert (code, "altered" in out) == (1, True)


@pytest.mark.parametrize("key", ["", "no base64!", base64.b64encode(b"short").decode()])
def test_wrong_use_is_one_line(log: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    code, out, err = run(capsys, str(log), "--key", key)
    assert (code, out, err.count("\n")) == (2, "", 1)
    code, out, err = run(capsys, str(log.with_name("none.hrl")))
    assert (code, out, err.count("\n")) == (2, "", 1)
