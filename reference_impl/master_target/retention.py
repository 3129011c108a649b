"""The retention volume: what has arrived for a machine and is not yet on its disks, one file for each segment (RPT-012).

A segment is safe when `keep` returns. Files are named by their first sequence number, so that a restart finds its place.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from reference_impl import records

NAME = re.compile(r"^(\d{20})\.segment$")


class RetentionFull(Exception):
    """The volume's threshold is reached: the sender has to wait."""


class Retention:
    """The segments of one machine's generation in one folder. `limit` is what the folder may hold, in bytes."""

    def __init__(self, folder: Path, limit: int):
        self._folder, self._limit = folder, limit
        folder.mkdir(parents=True, exist_ok=True)
        self._files: dict[int, tuple[int, int]] = {}  # first -> (last, size); never changed, only replaced: readers need no lock
        for entry in sorted(folder.iterdir()):
            found = NAME.match(entry.name)
            if found:
                self._take_up(int(found.group(1)), entry)
            else:
                entry.unlink()  # a file that was being written when we were killed: it was never acknowledged

    def _take_up(self, first: int, path: Path) -> None:
        try:
            head = records.verify(path.read_bytes())
        except records.DamagedSegment:
            path.unlink()
            return
        self._files[first] = (head.last, head.size)

    @property
    def held(self) -> int:
        """Bytes of segments that are kept."""
        return sum(size for _, size in self._files.values())

    def last_after(self, position: int) -> int:
        """The last sequence that is here without a gap after `position`."""
        for first, (last, _) in sorted(self._files.items()):
            if first <= position + 1 <= last:
                position = last
        return position

    def keep(self, first: int, last: int, raw: bytes) -> None:
        """Make a segment safe. Raises `RetentionFull`, or `OSError` when the disk says no."""
        if self.held + len(raw) > self._limit:
            raise RetentionFull
        path = self._path(first)
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        self._files = {**self._files, first: (last, len(raw))}

    def segments(self, position: int) -> Iterator[records.Segment]:
        """The segments that hold something after `position`, in order."""
        for first, (last, _) in sorted(self._files.items()):
            if last > position:
                yield records.decode(self._path(first).read_bytes())

    def drop(self, position: int) -> None:
        """Forget segments that end at or before `position`: they are on the disks."""
        done = [first for first, (last, _) in self._files.items() if last <= position]
        self._files = {first: entry for first, entry in self._files.items() if first not in done}
        for first in done:
            self._path(first).unlink(missing_ok=True)

    def delete(self) -> None:
        """Forget everything."""
        self._files = {}
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:020d}.segment"
