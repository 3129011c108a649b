"""What lies below a guest's disks: anything with a size that reads, writes and flushes bytes.

On premises that is the datastore's disk, in Azure a page blob. `PageBlobDevice` is the second.
"""

import threading
from collections.abc import Iterator
from typing import Protocol

from emulators.guest import vhd

SECTOR = vhd.SECTOR
#: The most that one Put Page request takes.
MAX_PAGES = 4 << 20
#: How much is read in one request: fewer requests are quicker, more would only cost memory.
MAX_READ = 16 << 20
#: How finely it is known which parts of a page blob were ever written.
GRANULE = 64 << 10


class BlockDevice(Protocol):
    """A lower device. Offsets and lengths are whole sectors of 512 bytes when a guest's disk lies above it."""

    @property
    def size(self) -> int: ...
    def read(self, offset: int, length: int) -> bytes: ...
    def write(self, offset: int, data: bytes) -> None: ...
    def flush(self) -> None: ...


class Pages(Protocol):
    """The part of a blob store that a page blob device needs."""

    def get_blob(
        self, container: str, name: str, *, offset: int = 0, length: int | None = None, snapshot: str | None = None
    ) -> bytes: ...
    def put_pages(self, container: str, name: str, offset: int, data: bytes) -> None: ...
    def clear_pages(self, container: str, name: str, offset: int, length: int) -> None: ...
    def page_ranges(self, container: str, name: str, *, snapshot: str | None = None) -> list[tuple[int, int]]: ...


class MemoryDevice:
    """A disk in memory."""

    def __init__(self, content: bytes | int):
        """`content` is the bytes of the disk, or its size for an empty one."""
        self._bytes = bytearray(content)

    @property
    def size(self) -> int:
        return len(self._bytes)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._bytes[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self._bytes[offset : offset + len(data)] = data

    def flush(self) -> None:
        """Memory is as safe as it gets."""


class PageBlobDevice:
    """A disk of an Azure VM: a page blob that is a fixed VHD, its bytes without the footer.

    Raises `vhd.NotVhd` when the blob does not end in the footer of a fixed VHD of that size. Which parts were ever written is
    asked once and kept: one device writes a blob, and whoever wants to see its writes later opens another.
    """

    def __init__(self, store: Pages, container: str, name: str, blob_size: int):
        self._store, self._container, self._name = store, container, name
        end = blob_size - SECTOR
        if end <= 0:
            raise vhd.NotVhd(f"{name} is too small for a VHD")
        described = vhd.read_footer(store.get_blob(container, name, offset=end, length=SECTOR))
        if described.size != end:
            raise vhd.NotVhd(f"{name} holds {end} bytes, its footer says {described.size}")
        self.size = end
        self._written: bytearray | None = None
        self._lock = threading.Lock()

    def read(self, offset: int, length: int) -> bytes:
        """Any range; what was never written is zero and not asked for."""
        parts, at, end = [], offset, offset + length
        for start, stop in self._runs(offset, end):
            parts.append(bytes(start - at))
            parts += [self._get(place, min(MAX_READ, stop - place)) for place in range(start, stop, MAX_READ)]
            at = stop
        parts.append(bytes(end - at))
        return b"".join(parts)

    def _runs(self, offset: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of a range that may hold something, as (start, stop), in order."""
        written, start = self._granules(), -1
        for granule in range(offset // GRANULE, -(-end // GRANULE)):
            if written[granule] and start < 0:
                start = max(offset, granule * GRANULE)
            elif not written[granule] and start >= 0:
                yield start, granule * GRANULE
                start = -1
        if start >= 0:
            yield start, end

    def _granules(self) -> bytearray:
        with self._lock:  # readers and the writer may come at once, and what was written must not be forgotten
            if self._written is None:
                self._written = self._look()
            return self._written

    def _look(self) -> bytearray:
        found = bytearray(self.size // GRANULE + 1)
        for start, size in self._store.page_ranges(self._container, self._name):
            first, last = start // GRANULE, min(start + size - 1, self.size) // GRANULE
            found[first : last + 1] = b"\1" * (last + 1 - first)
        return found

    def _get(self, offset: int, length: int) -> bytes:
        return self._store.get_blob(self._container, self._name, offset=offset, length=length)

    def write(self, offset: int, data: bytes) -> None:
        """Whole sectors. Pieces of at most 4 MiB; long zeros are cleared rather than written."""
        for at in range(0, len(data), MAX_PAGES):
            piece = data[at : at + MAX_PAGES]
            if len(piece) > SECTOR and not any(piece[:SECTOR]) and piece == bytes(len(piece)):
                self._store.clear_pages(self._container, self._name, offset + at, len(piece))
            else:
                self._store.put_pages(self._container, self._name, offset + at, piece)
                first, last = (offset + at) // GRANULE, (offset + at + len(piece) - 1) // GRANULE
                self._granules()[first : last + 1] = b"\1" * (last + 1 - first)

    def flush(self) -> None:
        """Every page write is complete when it returns."""
