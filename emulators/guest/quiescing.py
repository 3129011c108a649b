"""Bringing the applications of a machine to rest, so that what they hold in memory is on the disks (RPT-002, RPT-003).

Windows has a shadow copy service: applications are its writers. Linux has it only where a pre and a post script are installed:
the pre script runs before writes are held for a point, the post script after it, also when the pre script failed. A script is a
program of the guest, or a real file that is run as a process of its own.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

#: A script that has not ended after this many real seconds is killed and counts as failed.
SCRIPT_SECONDS = 60.0

#: Returns the exit status: 0 is success.
Script: TypeAlias = Callable[[], int]


class QuiesceFailed(OSError):
    """An application or a script did not do it; the message says which."""


class Writer(Protocol):
    """An application that can be told to put everything on its disks and rest, and to go on."""

    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Scripts:
    """What an administrator has installed on a Linux machine."""

    before: Script
    after: Script


def script_file(path: Path, argument: str, *, machine: str) -> Script:
    """A real script as a process of its own, with `pre` or `post` as its argument and nothing but the machine's name told.

    Running it raises `QuiesceFailed` when it cannot be run or does not end in time.
    """

    def run() -> int:
        known = {"PATH": os.defpath, "DRILLBED_MACHINE": machine}
        try:
            done = subprocess.run(  # noqa: S603 - the administrator of the machine has installed it
                [str(path), argument],
                env=known,
                cwd=path.parent,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SCRIPT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise QuiesceFailed(f"{path.name} {argument} has not ended after {SCRIPT_SECONDS:.0f} s") from None
        except OSError as fault:
            raise QuiesceFailed(f"{path.name} {argument} cannot be run: {fault.strerror}") from None
        return done.returncode

    return run


@contextmanager
def scripted(scripts: Scripts, sync: Callable[[], None]) -> Iterator[None]:
    """The way of Linux: pre script, what the page cache still holds, then the point, then the post script in any case."""
    try:
        status = scripts.before()
        if status != 0:
            raise QuiesceFailed(f"the pre script ended with {status}")
        sync()
        yield
    finally:
        scripts.after()


@contextmanager
def shadow_copy(writers: Callable[[], list[Writer]], sync: Callable[[], None]) -> Iterator[None]:
    """The way of Windows: every writer freezes, the page cache is written, then the point; thawed in any case."""
    frozen: list[Writer] = []
    try:
        for writer in writers():
            frozen.append(writer)
            writer.freeze()
        sync()
        yield
    finally:
        for writer in reversed(frozen):
            writer.thaw()
