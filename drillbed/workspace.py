"""The folder of working files that one run has inside its output folder, and what killed runs have left there."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "work-"


@contextmanager
def workspace(out: Path) -> Iterator[Path]:
    """A new folder in `out`, gone afterwards. Also removes those of runs that were killed: no process holds them any more."""
    held: int | None = None
    made: Path | None = None
    try:
        with _lock(out) as _:
            for left in sorted(out.glob(f"{PREFIX}*")):
                _remove_if_left(left)
            made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=out))
            held = _hold(made, wait=False)
        yield made
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)
        if held is not None:
            os.close(held)


@contextmanager
def _lock(folder: Path) -> Iterator[int | None]:
    """One run at a time looks around in `folder`."""
    handle = _hold(folder, wait=True)
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def _remove_if_left(folder: Path) -> None:
    handle = _hold(folder, wait=False)
    if handle is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _hold(folder: Path, *, wait: bool) -> int | None:
    """A lock on a folder that ends with this process, or None where another holds it or the file system knows no locks."""
    handle: int | None = None
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return handle
    if handle is not None:
        os.close(handle)
    return None
