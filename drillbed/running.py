"""Estates that `drillbed up` keeps running: one a folder, found by its record, told to end by a signal.

A lock on the folder, which ends with the process, says whether its estate is up; `estate.json` says where everything listens.
"""

import fcntl
import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from drillbed.errors import UsageError

RECORD, LOCK = "estate.json", "lock"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """This process has the folder. What a killed run has left there goes. Raises `UsageError` while another has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"an estate is up in {folder} already: `drillbed down` ends it, --out takes another folder"
            ) from None
        (folder / RECORD).unlink(missing_ok=True)
        _clear(folder)
        try:
            yield
        finally:
            _clear(folder)


def _clear(folder: Path) -> None:
    shutil.rmtree(folder / "estate", ignore_errors=True)


def find_running(folder: Path) -> dict[str, Any] | None:
    """The record of the estate that is up in a folder, or None."""
    try:
        with (folder / LOCK).open() as held:
            try:
                fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                record: dict[str, Any] = json.loads((folder / RECORD).read_text())
                return record
    except (OSError, ValueError):
        return None
    return None


def bring_down(folder: Path) -> bool:
    """End the estate of a folder and wait until everything of it has ended; False when none is up there."""
    record = find_running(folder)
    if record is None:
        return False
    with (folder / LOCK).open() as held:
        with suppress(ProcessLookupError):
            os.kill(int(record["pid"]), signal.SIGTERM)
        fcntl.flock(held, fcntl.LOCK_SH)  # waits until the process has let go
    return True


def status_text(record: Mapping[str, Any]) -> str:
    """Where an estate listens, by its record."""
    lines = [f"The estate is up (process {record['pid']}, profile {record['profile']}, speed {record['speed']:g})."]
    lines += [f"  {name:<16} {url}" for name, url in record["endpoints"].items()]
    lines += [f"  {'machines':<16} {', '.join(record['machines']) or 'none'}", f"  {'CA':<16} {record['ca']}"]
    for door in record.get("nbd", ()):
        lines.append(f"  {'nbd':<16} {door['machine']} ({door['side']}): {' '.join(door['disks'].values())}")
    if "proxy" in record:
        lines.append(f"  {'proxy':<16} {record['proxy']}: ends {', '.join(record['proxied'])} here and refuses the rest")
    return "\n".join(lines)
