"""A product behind endpoints: the harness in one process, an estate in another, between them only HTTPS."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "drillbed"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a running estate that has only `web`."""
    folder = tmp_path_factory.mktemp("lab")
    up = [*COMMAND, "up", "--detach", "--vms", "1", "--speed", "30", "--env", str(folder / "env"), "--out", str(folder / "up")]
    done = subprocess.run(up, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    yield folder
    subprocess.run([*COMMAND, "down", "--out", str(folder / "up")], capture_output=True, timeout=120, check=True)


def conform(lab: Path, *options: str) -> tuple[int, dict[str, dict], str]:
    """Exit code, cases of the record by id, output."""
    product = f"arm:{lab / 'up' / 'lab.yaml'}"
    script = f'source {lab / "env"}; unset SSL_CERT_FILE REQUESTS_CA_BUNDLE; exec "$@"'
    command = ["bash", "-c", script, "bash", *COMMAND, "conform", product, "--out", str(lab / "out"), *options]
    done = subprocess.run(command, env=os.environ | {"NO_COLOR": "1"}, capture_output=True, text=True, timeout=600, check=False)
    lines = [json.loads(line) for line in (lab / "out" / "run.ndjson").read_text().splitlines()]
    return done.returncode, {line["case"]: line for line in lines if line["kind"] == "case"}, done.stdout + done.stderr


def test_the_same_specifications_judge_a_lab_from_outside(lab: Path) -> None:
    names = "(FO-002 and not TFO) or machines-in-parallel"
    code, cases, out = conform(lab, "-k", names)
    verdicts = {name: case["verdict"] for name, case in cases.items()}
    assert verdicts["FO-002::planned-is-refused"] == "pass", out
    assert verdicts["FO-002::unplanned-runs-in-any-power-state[powered-on]"] == "pass"
    assert verdicts["FO-002::unplanned-runs-in-any-power-state[powered-off]"] == "pass", "the lab was cleared in between"
    assert verdicts["FO-002::unplanned-runs-in-any-power-state[unreachable]"] == "unobservable"
    assert {verdict for name, verdict in verdicts.items() if name.startswith("PLAN-005")} == {"unobservable"}, "it has only web"
    assert code == 1
    assert "core: incomplete" in out
    assert "Traceback" not in out


def test_a_lab_that_does_not_answer_concludes_nothing(lab: Path, tmp_path: Path) -> None:
    text = (lab / "up" / "lab.yaml").read_text()
    port = text.split('url: "https://')[1].split("/sdk")[0]
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "lab.yaml").write_text(text.replace(f"{port}/sdk", "127.0.0.1:1/sdk"))
    (tmp_path / "env").write_text((lab / "env").read_text())
    code, cases, out = conform(tmp_path, "-k", "planned-is-refused")
    assert code == 3
    assert {case["verdict"] for case in cases.values()} == {"error"}
    assert "vcenter-unreachable" in out or "does not answer" in out
    assert "Traceback" not in out
