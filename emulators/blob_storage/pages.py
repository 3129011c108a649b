"""The content of a page blob in memory: sparse, with snapshots that share what has not changed."""

from emulators.blob_storage.contract import PAGE

#: How much is kept, shared and copied as one piece.
CHUNK = 64 * 1024

_PAGES = CHUNK // PAGE
_FULL = (1 << _PAGES) - 1
_ZEROS = bytes(CHUNK)


class Pages:
    """`size` bytes, of which only written chunks take room. Each page knows whether it was written; cleared ones are not."""

    __slots__ = ("_chunks", "size")

    def __init__(self, size: int):
        self.size = size
        #: chunk number -> (64 KiB, a bit for each written page). Entries are replaced, never changed: snapshots share them.
        self._chunks: dict[int, tuple[bytes, int]] = {}

    def copy(self) -> "Pages":
        """The same content; costs one dictionary, no bytes."""
        other = Pages(self.size)
        other._chunks = dict(self._chunks)
        return other

    def write(self, offset: int, data: bytes) -> None:
        """Write whole pages inside the blob."""
        view = memoryview(data)
        done = 0
        while done < len(data):
            number, start = divmod(offset + done, CHUNK)
            count = min(CHUNK - start, len(data) - done)
            piece = view[done : done + count]
            if count == CHUNK:
                self._chunks[number] = bytes(piece), _FULL
            else:
                old, mask = self._chunks.get(number, (_ZEROS, 0))
                self._chunks[number] = b"".join((old[:start], piece, old[start + count :])), mask | _bits(start, count)
            done += count

    def clear(self, offset: int, length: int) -> None:
        """Make whole pages unwritten; they read as zeros."""
        end = offset + length
        if length > len(self._chunks) * CHUNK:  # a wide clear over few chunks
            numbers = [number for number in self._chunks if number * CHUNK < end and (number + 1) * CHUNK > offset]
        else:
            numbers = [number for number in range(offset // CHUNK, -(-end // CHUNK)) if number in self._chunks]
        for number in numbers:
            first = max(offset, number * CHUNK) - number * CHUNK
            last = min(end, (number + 1) * CHUNK) - number * CHUNK
            old, mask = self._chunks[number]
            kept = mask & ~_bits(first, last - first)
            if kept:
                self._chunks[number] = b"".join((old[:first], _ZEROS[: last - first], old[last:])), kept
            else:
                del self._chunks[number]

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from `offset`, cut at the end of the blob."""
        end = min(offset + length, self.size)
        parts = []
        while offset < end:
            number, start = divmod(offset, CHUNK)
            count = min(CHUNK - start, end - offset)
            chunk = self._chunks.get(number, (_ZEROS, 0))[0]
            parts.append(chunk if count == CHUNK else chunk[start : start + count])
            offset += count
        return b"".join(parts)

    def ranges(self) -> list[tuple[int, int]]:
        """Written pages as `(offset, length)`, in order, neighbours joined."""
        found: list[tuple[int, int]] = []
        for number in sorted(self._chunks):
            for start, count in _runs(self._chunks[number][1]):
                offset, length = number * CHUNK + start * PAGE, count * PAGE
                if found and found[-1][0] + found[-1][1] == offset:
                    offset, length = found[-1][0], found[-1][1] + length
                    found.pop()
                found.append((offset, length))
        return found


def _bits(start: int, length: int) -> int:
    """The mask of the pages from byte `start` of a chunk on."""
    return ((1 << (length // PAGE)) - 1) << (start // PAGE)


def _runs(mask: int) -> list[tuple[int, int]]:
    """Runs of set bits as (first, count)."""
    if mask == _FULL:
        return [(0, _PAGES)]
    runs, position = [], 0
    while mask:
        gap = (mask & -mask).bit_length() - 1
        mask >>= gap
        ones = (~mask & (mask + 1)).bit_length() - 1
        runs.append((position + gap, ones))
        mask >>= ones
        position += gap + ones
    return runs
