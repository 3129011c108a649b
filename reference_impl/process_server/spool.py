"""Segments on disk, one behind the other in a few files: one sync for each segment, nothing else that waits for the disk.

A file is given up when everything in it has been taken away. After a kill or a power loss the longest sound run is what is there.
"""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reference_impl import records
from reference_impl.records import Buffer, DamagedSegment, SegmentHead

#: A new file is begun when one has grown to this, or when all of it is taken and it has grown to the second.
FILE_BYTES, WORN_BYTES = 32 << 20, 4 << 20


def write_all(descriptor: int, raw: Buffer) -> None:
    """Raises `OSError` when the disk is full; a part may have been written then."""
    view = memoryview(raw)
    while view:
        view = view[os.write(descriptor, view) :]


@dataclass(slots=True)
class SpoolFile:
    """One file; `held` counts the segments in it that are still needed."""

    path: Path
    size: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a segment lies."""

    file: SpoolFile
    offset: int
    size: int

    def read(self) -> bytes:
        with self.file.path.open("rb") as stream:
            stream.seek(self.offset)
            raw = stream.read(self.size)
        if len(raw) != self.size:
            raise OSError(f"{self.file.path} is shorter than it was")
        return raw


@dataclass(slots=True)
class Spool:
    """The files of one lane. Not thread-safe: the lane's lock guards it."""

    folder: Path
    sync: bool = True  #: False: outlives a kill of the process, but not a power loss
    _files: deque[SpoolFile] = field(default_factory=deque)
    _descriptor: int = -1

    def append(self, first: int, raw: Buffer) -> Place:
        """Safe on the disk when this returns. Raises `OSError`."""
        if self._descriptor < 0 or self._worn(self._files[-1]):
            self._begin(first)
        file = self._files[-1]
        try:
            write_all(self._descriptor, raw)
            if self.sync:
                os.fdatasync(self._descriptor)
        except OSError:
            self.close()  # half of a segment may be there: go on in another file
            if not file.size:  # its name will be that of the next try: it must not be given up twice
                self._files.pop()
                file.path.unlink(missing_ok=True)
            raise
        place = Place(file, file.size, len(raw))
        file.size += len(raw)
        file.held += 1
        return place

    def release(self, place: Place) -> None:
        """A segment is not needed any more."""
        place.file.held -= 1
        while self._files and not self._files[0].held and (len(self._files) > 1 or self._descriptor < 0):
            self._files.popleft().path.unlink(missing_ok=True)

    def recover(self) -> Iterator[tuple[SegmentHead, bytes, Place]]:
        """The sound segments that are there, in order of the files. Each counts as held; what is not wanted is released."""
        for path in sorted(self.folder.glob("*.spool")):
            file = SpoolFile(path, path.stat().st_size)
            self._files.append(file)
            raw, at = path.read_bytes(), 0
            while at < len(raw):
                try:
                    head = records.read_head(memoryview(raw)[at:])
                    piece = raw[at : at + head.size]
                    records.verify(piece)
                except DamagedSegment:
                    break
                file.held += 1
                yield head, piece, Place(file, at, head.size)
                at += head.size

    def clear(self) -> None:
        self.close()
        for file in self._files:
            file.path.unlink(missing_ok=True)
        self._files.clear()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _worn(self, file: SpoolFile) -> bool:
        return file.size >= FILE_BYTES or (not file.held and file.size >= WORN_BYTES)

    def _begin(self, first: int) -> None:
        self.close()
        path = self.folder / f"{first:020d}.spool"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        if self.sync:
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._files.append(SpoolFile(path))
