"""What runbooks of an estate's automation accounts do: Python callables, local scripts, and, if allowed, uploaded Python.

A callable gets the job's parameters; `RecoveryPlanContext` is given as the object that it is. It may return text, which becomes
output, or be a generator that yields the emulated seconds it rests. A script gets the parameters as arguments in their order and
as JSON on its standard input; what it prints is output, what it writes to standard error the error stream, and an exit code other
than 0 fails the job.
"""

import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from emulators.azure.outside import RunbookCall, RunbookFailed, Say
from emulators.clock import Clock, Process

Runbook = Callable[[dict[str, Any]], Any]

#: Emulated seconds between looks at a script that runs while time flows.
_LOOK_SECONDS = 0.2

#: Real seconds a script may take where time stands still meanwhile.
_PATIENCE = 60.0

#: How a local script is started, by its suffix.
_INTERPRETERS: dict[str, list[str]] = {".py": [sys.executable], ".sh": ["/bin/sh"]}


@dataclass(slots=True)
class Programs:
    """Programs by name of the runbook. `folder` has scripts `<runbook>.py` and `<runbook>.sh`.

    `uploaded` lets the published text of Python runbooks run on this machine, as whoever runs the estate: whoever may write
    runbooks may then do whatever that user can. `environment` is given to scripts besides `PATH`.
    """

    clock: Clock
    folder: Path | None = None
    uploaded: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    callables: dict[str, Runbook] = field(default_factory=dict)

    def provide(self, runbook: str, program: Runbook) -> None:
        """Have `program` do the work of the runbook of that name, in whatever account."""
        self.callables[runbook.lower()] = program

    def known(self, account: str, runbook: str) -> bool:
        return runbook.lower() in self.callables or self._script(runbook) is not None

    def run(self, call: RunbookCall, say: Say) -> Process:
        """The run of one job, as a process on the clock. Raises `RunbookFailed`."""
        program = self.callables.get(call.runbook.lower())
        script = self._script(call.runbook)
        if program is not None:
            yield from _call(program, call, say)
        elif script is not None:
            yield from self._start([*_INTERPRETERS[script.suffix], str(script)], call, say)
        elif self.uploaded and call.kind in ("Python", "Python3"):
            with _written(call.content) as path:
                yield from self._start([sys.executable, str(path)], call, say)
        else:
            raise RunbookFailed(
                f"The estate has no program for runbook {call.runbook} of account {call.account}: provide a callable or a script "
                "of that name."
            )

    def _script(self, runbook: str) -> Path | None:
        if self.folder is None or not self.folder.is_dir():
            return None
        names = {f"{runbook}{suffix}".lower() for suffix in _INTERPRETERS}
        return next((path for path in sorted(self.folder.iterdir()) if path.name.lower() in names), None)

    def _start(self, command: list[str], call: RunbookCall, say: Say) -> Process:
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(json.dumps(call.parameters).encode())
            given.seek(0)
            environment = {"PATH": os.environ.get("PATH", os.defpath), **self.environment}
            process = subprocess.Popen(  # noqa: S603 - a program that the owner of the estate has provided or allowed
                [*command, *call.parameters.values()],
                stdin=given,
                stdout=out,
                stderr=err,
                env=environment,
                start_new_session=True,
            )
            try:
                yield from self._until_ended(process)
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait()
            for stream, file in (("Output", out), ("Error", err)):
                file.seek(0)
                text = file.read(1 << 20).decode("utf-8", "replace").rstrip("\n")
                if text:
                    say(stream, text)
            if process.returncode != 0:
                raise RunbookFailed(f"The script ended with exit code {process.returncode}.")

    def _until_ended(self, process: "subprocess.Popen[bytes]") -> Process:
        if self.clock.flow > 0:  # the script may ask the estate for something: its time must go on meanwhile
            while process.poll() is None:
                yield _LOOK_SECONDS
            return
        yield 0.0
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            raise RunbookFailed(f"The script has not ended in {_PATIENCE:g} s.") from None


def _call(program: Runbook, call: RunbookCall, say: Say) -> Process:
    parameters: dict[str, Any] = dict(call.parameters)
    context = parameters.get("RecoveryPlanContext")
    if context:
        parameters["RecoveryPlanContext"] = json.loads(context)
    yield 0.0
    try:
        result = program(parameters)
        if inspect.isgenerator(result):
            result = yield from result
    except Exception as error:
        raise RunbookFailed(f"{type(error).__name__}: {error}") from error
    if result is not None:
        say("Output", str(result))


@contextmanager
def _written(content: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="runbook-") as folder:
        path = Path(folder) / "runbook.py"
        path.write_text(content, encoding="utf-8")
        yield path
