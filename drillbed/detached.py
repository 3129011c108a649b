"""`drillbed up --detach`: the estate runs in a process of its own, and the command ends when it is up."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from drillbed.errors import TroubleError, UsageError
from drillbed.up import READY

LOG = "up.log"


def start_detached(arguments: Sequence[str], folder: Path) -> str:
    """Run `drillbed up` with `arguments` behind the scenes until it is up; gives what it said.

    Raises `UsageError` or `TroubleError` with its own words when it does not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hear, tell = os.pipe()
    command = [sys.executable, "-m", "drillbed", "up", *arguments]
    try:
        with (folder / LOG).open("w") as log:
            process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[tell],
                env={**os.environ, READY: str(tell), "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
    finally:
        os.close(tell)
    with os.fdopen(hear, "rb") as listening:
        up = listening.read().startswith(b"ready")  # ends with its line, or with the process
    text = (folder / LOG).read_text(encoding="utf-8").strip()
    if up:
        process.returncode = 0  # it goes on without us: nothing is to be waited for
        return text
    code = process.wait()
    words = text.splitlines()[-1].removeprefix("drillbed: ") if text else f"it ended with exit code {code}"
    raise (UsageError if code == 2 else TroubleError)(words)
