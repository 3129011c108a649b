"""Errors a user can cause. Each is one clear line that says what to do; none is shown with a traceback."""

import errno
import shutil
import tempfile
from pathlib import Path

#: Exit codes: done, judged not right, wrong use, the machine or drillbed could not do it.
DONE, NOT_RIGHT, WRONG_USE, TROUBLE = 0, 1, 2, 3

#: With less room than this a disk is as good as full: stores and databases give up before the last byte.
LEAST_ROOM = 4 * 1024 * 1024

#: What the system refuses, and what a user can do about it.
REMEDIES: dict[int, str] = {
    errno.ENOSPC: "the disk is full: free some space, or choose another folder with --out",
    errno.EDQUOT: "the disk quota is used up: free some space, or choose another folder with --out",
    errno.EROFS: "the file system is read-only: choose another folder with --out",
    errno.EMFILE: "too many open files: raise the limit with `ulimit -n 4096`",
    errno.ENFILE: "the machine has too many open files: end some programs",
    errno.ENOMEM: "the machine has no memory left: end some programs",
    errno.EAGAIN: "the machine allows no more processes: end some, or raise the limit with `ulimit -u`",
    errno.EIO: "the disk reports an input/output error: check it (`dmesg | tail`), or choose another folder with --out",
}


class UsageError(Exception):
    """Something given to drillbed cannot be used. Exit code 2."""


class TroubleError(Exception):
    """The machine does not let drillbed work (no Node, no space, a taken port). Exit code 3."""


def remedy(error: BaseException) -> str | None:
    """What to do about an error that the machine is to blame for; None when it is not."""
    if isinstance(error, MemoryError):
        return REMEDIES[errno.ENOMEM]
    known = REMEDIES.get(error.errno or 0) if isinstance(error, OSError) else None
    if known is None or not isinstance(error, OSError):
        return None
    return f"{error.filename}: {known}" if error.filename else known


def require_room(folder: Path) -> None:
    """Raise `TroubleError` when the disk that holds `folder` has filled up."""
    if shutil.disk_usage(folder).free < LEAST_ROOM:
        raise TroubleError(f"{folder}: {REMEDIES[errno.ENOSPC]}")


def writable(folder: Path) -> None:
    """Make the folder; raise `UsageError` when it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        if remedy(error) is not None:
            raise
        raise UsageError(f"{folder} cannot be written to ({error.strerror}): choose another folder with --out") from error
