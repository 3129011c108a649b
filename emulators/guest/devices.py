"""What lies below a guest's disks: anything with a size that reads, writes and flushes bytes.

On premises that is the datastore's disk, in Azure a page blob. `PageBlobDevice` is the second.
"""

from typing import Protocol

from emulators.guest import vhd

SECTOR = vhd.SECTOR
#: The most that one Put Page request takes.
MAX_PAGES = 4 << 20
#: How much is read in one request: fewer requests are quicker, more would only cost memory.
MAX_READ = 16 << 20


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

    Raises `vhd.NotVhd` when the blob does not end in the footer of a fixed VHD of that size.
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

    def read(self, offset: int, length: int) -> bytes:
        """Any range; what was never written is zero. Long reads ask for the written ranges first and skip the rest."""
        if length <= MAX_PAGES:
            return self._get(offset, length)
        parts, at, end = [], offset, offset + length
        for start, size in self._store.page_ranges(self._container, self._name):
            low, high = max(start, at), min(start + size, end)
            if low < high:
                parts.append(bytes(low - at))
                parts += [self._get(place, min(MAX_READ, high - place)) for place in range(low, high, MAX_READ)]
                at = high
        parts.append(bytes(end - at))
        return b"".join(parts)

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

    def flush(self) -> None:
        """Every page write is complete when it returns."""
