"""The layers of a disk: a base extent (plain sparse file) or a delta extent (grains of 64 KiB that stand on the layer below).

Extents are opened when their bytes are first asked for, and the longest open ones are closed again when there are many: a site
of 10,000 machines does not hold 10,000 files open.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emulators.vcenter.vmdk import (
    BLOCK,
    GRAINS_PER_TABLE,
    SECTOR,
    Descriptor,
    NotAVmdk,
    delta_header,
    delta_shape,
    read_descriptor,
    write_descriptor,
)

#: Extents of one datastore that are open at the same time.
MOST_OPEN = 256


@dataclass(slots=True)
class OpenFiles:
    """The open extents of a datastore, the oldest first. Only an extent whose disk is at rest is closed to make room."""

    most: int = MOST_OPEN
    #: Called with the path of a descriptor before its extent is opened.
    ready: Callable[[Path], None] = lambda _path: None
    layers: "deque[Layer]" = field(default_factory=deque)
    lock: Any = field(default_factory=threading.Lock)

    def opened(self, layer: "Layer") -> None:
        with self.lock:
            self.layers.append(layer)
            for _ in range(len(self.layers)):
                if len(self.layers) <= self.most:
                    return
                oldest = self.layers.popleft()
                if oldest is layer or (oldest.lock is not None and not oldest.lock.acquire(blocking=False)):
                    self.layers.append(oldest)
                    continue
                oldest.close()
                if oldest.lock is not None:
                    oldest.lock.release()


@dataclass(slots=True, eq=False)
class Layer:
    """One extent and its descriptor. `grains` is None for a base extent, else the grain table: sector of each block, or 0.

    `present` tells for each block of a base extent whether it was ever written; None for never. `lock` is the lock of its disk's
    family: it is held while `file` is used.
    """

    path: Path
    descriptor: Descriptor
    handle: int = -1
    parent: "Layer | None" = None
    grains: Any = None
    present: Any = None
    end: int = 0
    lock: Any = None
    pool: OpenFiles | None = None

    @property
    def file(self) -> int:
        """The open file of the extent. Use it at once: another call may close it."""
        if self.handle < 0:
            if self.pool is not None:
                self.pool.ready(self.path)
            self.handle = os.open(self.extent, os.O_RDWR | os.O_NOFOLLOW)
            if self.pool is not None:
                self.pool.opened(self)
        return self.handle

    @property
    def extent(self) -> Path:
        return self.path.with_name(self.descriptor.extent)

    @property
    def blocks(self) -> int:
        return -(-self.descriptor.size // BLOCK)

    def allocated(self) -> int:
        """Bytes that this extent takes: the blocks it holds, or all of a thick one. A raw device lies elsewhere."""
        if self.grains is not None:
            return int(np.count_nonzero(self.grains)) * BLOCK
        if self.descriptor.kind != "vmfs":
            return 0
        if not self.descriptor.thin:
            return self.descriptor.size
        return min(int(np.count_nonzero(self.present)) * BLOCK, self.descriptor.size) if self.present is not None else 0

    def missing(self, first: int, last: int) -> int:
        """How many of these blocks a write would add to what the extent takes."""
        if self.grains is not None:
            return zeros(self.grains, first, last)
        if not self.descriptor.thin or self.descriptor.kind != "vmfs":
            return 0
        return last - first if self.present is None else zeros(self.present, first, last)

    def note_written(self, first: int, last: int) -> None:
        """Blocks of a base extent hold something now."""
        if self.present is None:
            self.present = np.zeros(self.blocks, np.bool_)
        self.present[first:last] = True

    def needs(self, other: "Layer") -> int:
        """Bytes that taking over the grains of a delta would add."""
        taken = np.nonzero(other.grains)[0]
        if self.grains is not None:
            return int(np.count_nonzero(self.grains[taken] == 0)) * BLOCK
        if not self.descriptor.thin or self.descriptor.kind != "vmfs":
            return 0
        return (len(taken) if self.present is None else int(np.count_nonzero(~self.present[taken]))) * BLOCK

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


def open_layer(path: Path) -> Layer:
    """The layer of a descriptor file. Raises `NotAVmdk`, `OSError`."""
    descriptor = read_descriptor(path)
    layer = Layer(path, descriptor)
    file = os.open(layer.extent, os.O_RDWR | os.O_NOFOLLOW)
    try:
        if descriptor.kind == "vmfsSparse":
            shape = delta_shape(descriptor.size)
            if os.pread(file, 4, 0) != b"COWD" or os.fstat(file).st_size < shape.data_offset:
                raise NotAVmdk(f"{descriptor.extent} is not a delta extent")
            table = os.pread(file, shape.tables * GRAINS_PER_TABLE * 4, shape.table_offset)
            layer.grains = np.frombuffer(table.ljust(shape.tables * GRAINS_PER_TABLE * 4, b"\0"), np.uint32).copy()
            layer.end = -(-os.fstat(file).st_size // BLOCK) * BLOCK
        elif os.fstat(file).st_size < descriptor.size:
            raise NotAVmdk(f"{descriptor.extent} is shorter than its descriptor says")
        else:
            for start, stop in data_areas(file, descriptor.size):
                layer.note_written(start // BLOCK, -(-stop // BLOCK))
    finally:
        os.close(file)
    return layer


def create_delta(path: Path, parent: Layer) -> Layer:
    """An empty delta that stands on `parent`, which may lie in another folder of the datastore."""
    size = parent.descriptor.size
    cid = f"{(int(parent.descriptor.cid, 16) + 1) & 0xFFFFFFFF:08x}"
    below = parent.descriptor
    hint = os.path.relpath(parent.path, path.parent)
    descriptor = Descriptor(
        size, f"{path.stem}-delta.vmdk", "vmfsSparse", below.uuid, below.thin, below.adapter, hint, cid, below.cid
    )
    shape = delta_shape(size)
    file = os.open(path.with_name(descriptor.extent), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.pwrite(file, delta_header(size), 0)
    os.ftruncate(file, shape.data_offset)
    write_descriptor(path, descriptor)
    os.close(file)
    grains = np.zeros(shape.tables * GRAINS_PER_TABLE, np.uint32)
    return Layer(path, descriptor, parent=parent, grains=grains, end=shape.data_offset)


def chain(layer: Layer | None) -> Iterator[Layer]:
    while layer is not None:
        yield layer
        layer = layer.parent


def read(layer: Layer | None, offset: int, length: int) -> bytes:
    assert layer is not None, "a delta always stands on something"
    if layer.grains is None:
        return os.pread(layer.file, length, offset).ljust(length, b"\0")
    parts = []
    position, end = offset, offset + length
    while position < end:
        block = position // BLOCK
        sector = int(layer.grains[block])
        stop = min(end, (block + 1) * BLOCK)
        if sector:
            within = sector * SECTOR + position - block * BLOCK
            parts.append(os.pread(layer.file, stop - position, within).ljust(stop - position, b"\0"))
        else:
            while stop < end and not layer.grains[stop // BLOCK]:
                stop = min(end, stop + BLOCK)
            parts.append(read(layer.parent, position, stop - position))
        position = stop
    return b"".join(parts)


def write_at(file: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def write_grain(layer: Layer, block: int, data: memoryview) -> None:
    """Data first, then the table entry: a torn write leaves the old content."""
    write_at(layer.file, data, layer.end)
    layer.grains[block] = layer.end // SECTOR
    shape = delta_shape(layer.descriptor.size)
    write_at(layer.file, (layer.end // SECTOR).to_bytes(4, "little"), shape.table_offset + 4 * block)
    layer.end += BLOCK


def take_over(layer: Layer, child: Layer) -> None:
    """Move the grains of a delta down into the layer below it. There is room for them."""
    size = layer.descriptor.size
    for block in np.nonzero(child.grains)[0]:
        number = int(block)
        data = read(child, number * BLOCK, min(BLOCK, size - number * BLOCK))
        if layer.grains is None:
            write_at(layer.file, data, number * BLOCK)
            layer.note_written(number, number + 1)
        elif layer.grains[number]:
            write_at(layer.file, data, int(layer.grains[number]) * SECTOR)
        else:
            write_grain(layer, number, memoryview(data.ljust(BLOCK, b"\0")))


def rewrite(layer: Layer) -> None:
    """Write a delta anew with its grains in the order of the disk and without gaps; whole or not at all."""
    fresh = create_delta(layer.path.with_name(layer.path.name + ".new"), layer.parent or layer)
    fresh.path.unlink()
    try:
        for block in np.nonzero(layer.grains)[0]:
            grain = os.pread(layer.file, BLOCK, int(layer.grains[block]) * SECTOR)
            write_grain(fresh, int(block), memoryview(grain.ljust(BLOCK, b"\0")))
        layer.close()
        fresh.close()
        fresh.extent.replace(layer.extent)
    finally:
        fresh.close()
        fresh.extent.unlink(missing_ok=True)
    layer.grains, layer.end = fresh.grains, fresh.end


def squeeze(layer: Layer) -> None:
    """Write a base extent anew without the blocks that hold only zeros; whole or not at all."""
    fresh, size, empty = layer.extent.with_name(layer.extent.name + ".new"), layer.descriptor.size, bytes(BLOCK)
    kept = layer.present.copy()
    try:
        with fresh.open("wb") as file:
            file.truncate(size)
            for block in map(int, np.flatnonzero(layer.present)):
                data = read(layer, block * BLOCK, min(BLOCK, size - block * BLOCK))
                if data == empty[: len(data)]:
                    kept[block] = False
                else:
                    file.seek(block * BLOCK)
                    file.write(data)
        layer.close()
        fresh.replace(layer.extent)
    finally:
        fresh.unlink(missing_ok=True)
    layer.present = kept


def zeros(blocks: Any, first: int, last: int) -> int:
    """How many of the blocks are 0."""
    return int(not blocks[first]) if last - first == 1 else (last - first) - int(np.count_nonzero(blocks[first:last]))


def runs(blocks: Any) -> Iterator[tuple[int, int]]:
    """Numbers in rising order as (first, after the last) of each run."""
    if not len(blocks):
        return
    for run in np.split(blocks, np.flatnonzero(np.diff(blocks) != 1) + 1):
        yield int(run[0]), int(run[-1]) + 1


def data_areas(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Areas of a sparse file that hold data."""
    position = 0
    while position < size:
        try:
            start = os.lseek(file, position, os.SEEK_DATA)
        except OSError:  # nothing but a hole to the end
            return
        stop = min(size, os.lseek(file, start, os.SEEK_HOLE))
        if start >= size:
            return
        yield start, stop
        position = stop
