"""A driver as a child process: one JSON object a line on its standard input and output; its standard error is its log.

Whatever the driver does, the harness goes on: an answer that does not come in time, one that is no message, or an end of the
process is a `DriverError` of the case that was asked; the next case finds a new process.
"""

import contextlib
import json
import os
import queue
import shlex
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.run import DriverError

#: The longest line that is read, in bytes.
LINE_MAX = 16 << 20
#: How long a driver that was asked to end may take, in seconds.
END_SECONDS = 5.0
_LAST_WORDS = 5


class CannotStartError(Exception):
    """The command cannot be started at all; the text says why."""


@dataclass(frozen=True, slots=True)
class _End:
    why: str


class Child:
    """A channel to a command. `patience`: seconds that a message may be waited for."""

    def __init__(self, command: Sequence[str], patience: float, *, after: Sequence[str] = ()):
        self._command = command
        self._patience = patience
        self._after = after  # run when the process has ended (a container that has to go too)
        self._running: _Running | None = None
        self._spoken = False

    def exchange(self, message: Mapping[str, Any]) -> Any:
        if self._running is None:
            self._running = _Running(self._command)
        self._spoken = True
        try:
            return self._running.exchange(json.dumps(message, separators=(",", ":")), self._patience)
        except DriverError:
            self._close(patient=False)
            raise

    def fresh(self) -> bool:
        return not self._spoken

    def close(self) -> None:
        self._close(patient=True)

    def _close(self, *, patient: bool) -> None:
        running, self._running, self._spoken = self._running, None, False
        if running is not None:
            running.end(patient=patient)
            if self._after:
                subprocess.run(self._after, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)  # noqa: S603


def child(text: str, patience: float) -> Child:
    """The channel to `exec:COMMAND`, split as a shell would. Raises `CannotStartError`."""
    try:
        command = shlex.split(text)
    except ValueError as problem:
        raise CannotStartError(f"the command {text!r} cannot be read: {problem}") from problem
    if not command:
        raise CannotStartError("a driver's command is written exec:COMMAND")
    program = shutil.which(command[0])
    if program is None:
        why = "is not executable" if Path(command[0]).is_file() else "does not exist or is not on the PATH"
        raise CannotStartError(f"the driver's program {command[0]!r} {why}")
    return Child([program, *command[1:]], patience)


def container(image: str, patience: float) -> Child:
    """The channel to a driver in a container: `docker run` of the image. Raises `CannotStartError`."""
    docker = shutil.which("docker")
    if docker is None:
        raise CannotStartError("a driver in a container needs the program docker, which is not installed")
    if not image or image.startswith("-"):
        raise CannotStartError("a driver in a container is written container:IMAGE")
    name = f"drillbed-driver-{os.getpid()}"
    run = [docker, "run", "--rm", "--interactive", "--name", name, "--label", "drillbed.driver=1", image]
    return Child(run, patience, after=[docker, "rm", "--force", name])


class _Running:
    """One process with its two readers and a writer. They are threads since a driver may neither read nor write."""

    def __init__(self, command: Sequence[str]):
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user named the command
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        except OSError as problem:
            raise DriverError(f"the driver cannot be started: {problem.strerror or problem}") from problem
        self._said: queue.SimpleQueue[str | _End] = queue.SimpleQueue()
        self._to_say: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._words: deque[str] = deque(maxlen=_LAST_WORDS)
        pipes = self._process.stdout, self._process.stderr, self._process.stdin
        jobs = zip((self._read, self._read_log, self._write), pipes, strict=True)
        self._threads = [threading.Thread(target=job, args=(pipe,), daemon=True) for job, pipe in jobs]
        for thread in self._threads:
            thread.start()

    def exchange(self, line: str, patience: float) -> Any:
        self._to_say.put(line)
        try:
            said = self._said.get(timeout=patience)
        except queue.Empty:
            raise DriverError(f"the driver did not answer within {patience:g} seconds{self._last_words()}") from None
        if isinstance(said, _End):
            raise DriverError(f"{said.why}{self._ended()}")
        try:
            return json.loads(said)
        except (ValueError, RecursionError) as problem:
            shown = said if len(said) <= 200 else f"{said[:197]}..."
            raise DriverError(f"the driver wrote to its standard output what is no message: {shown.strip()!r}") from problem

    def end(self, *, patient: bool) -> None:
        """Lets the driver see the end of its input, then insists. One that misbehaved gets no time.
        The whole process group ends."""
        self._to_say.put(None)
        try:
            self._process.wait(END_SECONDS if patient else 0)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(END_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()
        for thread in self._threads:
            thread.join(END_SECONDS)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read(self, pipe: IO[bytes]) -> None:
        with pipe:
            while line := pipe.readline(LINE_MAX):
                if len(line) == LINE_MAX and not line.endswith(b"\n"):
                    self._said.put(_End(f"the driver wrote a line of more than {LINE_MAX} bytes"))
                    return
                self._said.put(line.decode("utf-8", errors="replace"))
        self._said.put(_End("the driver ended"))

    def _read_log(self, pipe: IO[bytes]) -> None:
        with pipe:
            while line := pipe.readline(4096):
                self._words.append(line.decode("utf-8", errors="replace").rstrip())

    def _write(self, pipe: IO[bytes]) -> None:
        with contextlib.suppress(OSError), pipe:
            while (line := self._to_say.get()) is not None:
                pipe.write(line.encode() + b"\n")
                pipe.flush()

    def _ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(END_SECONDS)
            self._threads[1].join(END_SECONDS)
            how = f" with exit code {code}" if code >= 0 else f" by signal {-code}"
            return f"{how}{self._last_words()}"
        return self._last_words()

    def _last_words(self) -> str:
        return f"; its last words: {' | '.join(self._words)}" if self._words else ""
