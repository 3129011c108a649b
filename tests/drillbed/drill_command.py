"""`python -m drillbed` in a process of its own, with trouble prepared in it, and a look at what it leaves behind."""

import os
import select
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

TAG = "DRILLBED_TEST_TAG"
NUMBERS = count()
#: Real seconds after which a command that hangs fails its test.
PATIENCE = 120

#: Put before the command in its process: cut the drill down to its first steps, or to what a failover needs.
FEW_STEPS = "import drillbed.drill.run as steps; steps.STEPS = steps.STEPS[:2]"
SOON_OVER = "import drillbed.drill.run as steps; steps.STEPS = steps.STEPS[:4] + steps.STEPS[6:]"

#: A tool for what is put before the command: the process sends itself a signal when it comes to a function.
TOOL = """
import os, signal
from importlib import import_module
def at(owner, name, number=signal.SIGINT):
    kept = getattr(owner, name)
    def act(*given, **named):
        os.kill(os.getpid(), number)
        return kept(*given, **named)
    setattr(owner, name, act)
"""


def at(place: str, name: str, number: int = signal.SIGINT) -> str:
    """Python that raises a signal whenever the function `name` of `place` (`module` or `module:class`) is called."""
    module, _, kind = place.partition(":")
    return f"at(import_module({module!r}){'.' + kind if kind else ''}, {name!r}, {int(number)})"


class Command:
    """One run of `python -m drillbed`. `before` is Python that the process executes first, to prepare its trouble."""

    def __init__(self, *arguments: object, before: str = "", environment: dict[str, str] | None = None):
        self.tag = f"{os.getpid()}-{next(NUMBERS)}"
        start = f"{TOOL}\n{before}\nfrom drillbed.__main__ import main\nmain()" if before else ""
        self.process = subprocess.Popen(
            [sys.executable, *(["-c", start] if start else ["-m", "drillbed"]), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {TAG: self.tag} | (environment or {}),
            start_new_session=True,
        )
        self.said = ""

    def until(self, text: str) -> None:
        """Read the output up to the line that holds `text`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if text in line:
                return
        raise AssertionError(f"the command ended before it said {text!r}:\n{self.said}\n{self.end()}")

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def end(self) -> tuple[int, str, list[str]]:
        """Exit code, all of standard output, lines of standard error."""
        try:
            output, errors = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return self.process.returncode, self.said + output, errors.splitlines()

    def family(self) -> list[int]:
        """Processes that this run has started, itself included, which still live."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _tagged(pid, self.tag)]

    def azurite(self) -> int:
        """The process id of its Azurite."""
        return next(pid for pid in self.family() if b"azurite.js" in Path(f"/proc/{pid}/cmdline").read_bytes())


def _tagged(pid: int, tag: str) -> bool:
    try:
        return f"{TAG}={tag}".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def gone(pid: int) -> bool:
    """Whether a process that is not our child ends within our patience."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], PATIENCE)[0])
    finally:
        os.close(handle)
