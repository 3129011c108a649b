"""Virtual disks with bytes: a sparse file, delta layers on it, and a map of which 64 KiB block changed in which generation.

A `Disk` is one VMDK family: the base extent and the deltas that snapshots put on it. Its `top` takes the writes; layers that a
snapshot refers to are *pinned* and never change again. `DiskStore` is the folder of one datastore: it finds disks by file name,
counts their space and says when there is none left.
"""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emulators.vcenter.vmdk import (
    BLOCK,
    SECTOR,
    Descriptor,
    NotAVmdk,
    delta_header,
    delta_shape,
    read_descriptor,
    write_descriptor,
)

_COPY = 1024 * 1024


class NoSpace(OSError):
    """The datastore has no room for what was to be written."""


@dataclass(slots=True)
class Layer:
    """One extent and its descriptor. `grains` is None for a base extent, else the grain table: sector of each block, or 0."""

    path: Path
    descriptor: Descriptor
    file: int
    parent: "Layer | None" = None
    grains: Any = None
    end: int = 0

    @property
    def extent(self) -> Path:
        return self.path.with_name(self.descriptor.extent)

    def allocated(self) -> int:
        """Bytes of data this delta holds."""
        return int(np.count_nonzero(self.grains)) * BLOCK if self.grains is not None else 0

    def close(self) -> None:
        if self.file >= 0:
            os.close(self.file)
            self.file = -1


@dataclass(slots=True)
class Disk:
    """A disk with its layers. Thread-safe; every offset and length is in bytes and inside the disk."""

    store: "DiskStore"
    name: str  #: path of the base descriptor, relative to the datastore
    layers: list[Layer]
    top: Layer
    change_uuid: str
    generations: Any = None
    generation: int = 1
    pins: dict[str, Layer] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)

    @property
    def size(self) -> int:
        return self.layers[0].descriptor.size

    @property
    def uuid(self) -> str:
        return self.layers[0].descriptor.uuid

    @property
    def thin(self) -> bool:
        return self.layers[0].descriptor.thin

    @property
    def file_name(self) -> str:
        """Path of the top descriptor, relative to the datastore."""
        return self.store.relative(self.top.path)

    # bytes -----------------------------------------------------------------------------------------------------------

    def read(self, offset: int, length: int, *, at: Layer | None = None) -> bytes:
        """Bytes as the guest sees them, or as they were in the pinned layer `at`."""
        self._check(offset, length)
        with self.lock:
            return _read(at or self.top, offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Write through to the file. Raises `NoSpace` before anything is changed."""
        self._check(offset, len(data))
        if not data:
            return
        with self.lock:
            first, last = offset // BLOCK, (offset + len(data) - 1) // BLOCK + 1
            self._reserve(first, last)
            if self.top.grains is None:
                _write_at(self.top.file, data, offset)
            else:
                self._write_delta(offset, memoryview(data), first, last)
            self.generations[first:last] = self.generation

    def flush(self) -> None:
        """Bytes written so far survive the end of this process; the machine's own cache is left alone."""
        with self.lock:
            self.store.save_generations(self)

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"{length} bytes at {offset} lie outside the disk of {self.size} bytes")

    def _reserve(self, first: int, last: int) -> None:
        held = self.top.grains if self.top.grains is not None else self.generations
        if self.top.grains is None and not self.thin:
            return
        fresh = (last - first) - int(np.count_nonzero(held[first:last]))
        if fresh:
            self.store.take(fresh * BLOCK)

    def _write_delta(self, offset: int, data: memoryview, first: int, last: int) -> None:
        layer = self.top
        for block in range(first, last):
            start = max(offset, block * BLOCK)
            stop = min(offset + len(data), (block + 1) * BLOCK)
            piece = data[start - offset : stop - offset]
            sector = int(layer.grains[block])
            if sector:
                _write_at(layer.file, piece, sector * SECTOR + start - block * BLOCK)
                continue
            if len(piece) < BLOCK:  # copy on write: the rest of the block comes from below
                below = bytearray(_read(layer.parent, block * BLOCK, min(BLOCK, self.size - block * BLOCK)).ljust(BLOCK, b"\0"))
                below[start - block * BLOCK : stop - block * BLOCK] = piece
                piece = memoryview(below)
            _write_grain(layer, block, piece)

    # snapshots -------------------------------------------------------------------------------------------------------

    def pin(self, key: str) -> None:
        """Freeze what the disk holds now under `key`; later writes go to a new delta."""
        with self.lock:
            self.pins[key] = self.top
            self.top = self._add_delta(self.top)
            self.generation += 1

    def revert(self, key: str) -> None:
        """Make the disk what it was when `key` was pinned. What was written since is gone."""
        with self.lock:
            self.generation += 1
            target = self.pins[key]
            for layer in [*_chain(self.top), *_chain(target)]:  # every block that differs lies in one of these deltas
                if layer.grains is not None:
                    self.generations[np.nonzero(layer.grains[: len(self.generations)])[0]] = self.generation
            self.top = self._add_delta(target)
            self._collapse()

    def unpin(self, key: str) -> None:
        """Forget the point `key`; its delta is merged away. What the disk and the other points hold stays."""
        with self.lock:
            self.pins.pop(key, None)
            self._collapse()

    def grow(self, size: int) -> None:
        """Make the disk larger. Raises `ValueError` when it would shrink or has snapshots, `NoSpace` for a thick disk."""
        with self.lock:
            if size < self.size or size % SECTOR:
                raise ValueError(f"a disk of {self.size} bytes cannot become {size} bytes")
            if len(self.layers) > 1:
                raise ValueError("a disk with snapshots cannot grow")
            if not self.thin:
                self.store.take(size - self.size)
            base = self.layers[0]
            os.ftruncate(base.file, size)
            base.descriptor.size = size
            write_descriptor(base.path, base.descriptor)
            blocks = -(-size // BLOCK)
            self.generations = np.concatenate([self.generations, np.zeros(blocks - len(self.generations), np.uint32)])

    def bytes_above(self, key: str) -> int:
        """Bytes that lie in the deltas above the point `key`: what a removal has to move."""
        with self.lock:
            pinned = self.pins.get(key)
            return sum(layer.allocated() for layer in self.layers if layer.parent is pinned and pinned is not None)

    def _add_delta(self, parent: Layer) -> Layer:
        base = self.layers[0].path
        taken = {layer.path.name for layer in self.layers}
        number = next(n for n in range(1, 1_000_000) if f"{base.stem}-{n:06d}.vmdk" not in taken)
        path = base.with_name(f"{base.stem}-{number:06d}.vmdk")
        layer = _create_delta(path, parent)
        self.layers.append(layer)
        self.store.know(self, layer)
        return layer

    def _collapse(self) -> None:
        """Drop layers nobody refers to: childless ones are deleted, those with one child are merged with it."""
        while True:
            kept = {id(self.top), *(id(layer) for layer in self.pins.values())}
            for layer in self.layers:
                children = [other for other in self.layers if other.parent is layer]
                if id(layer) in kept or len(children) > 1:
                    continue
                if children:
                    self._merge(layer, children[0])
                else:
                    self._drop(layer)
                break
            else:
                return

    def _merge(self, layer: Layer, child: Layer) -> None:
        """Move the child's grains down into `layer`, which then stands for the child."""
        for block in np.nonzero(child.grains)[0]:
            number = int(block)
            length = min(BLOCK, self.size - number * BLOCK)
            data = _read(child, number * BLOCK, length)
            if layer.grains is None:
                _write_at(layer.file, data, number * BLOCK)
            elif layer.grains[number]:
                _write_at(layer.file, data, int(layer.grains[number]) * SECTOR)
            else:
                _write_grain(layer, number, memoryview(data.ljust(BLOCK, b"\0")))
        for other in self.layers:
            if other.parent is child:
                other.parent = layer
                other.descriptor.parent = layer.path.name
                other.descriptor.parent_cid = layer.descriptor.cid
                write_descriptor(other.path, other.descriptor)
        self.pins = {key: layer if pinned is child else pinned for key, pinned in self.pins.items()}
        if self.top is child:
            self.top = layer
        self._drop(child)

    def _drop(self, layer: Layer) -> None:
        self.layers.remove(layer)
        self.store.forget(layer)
        layer.close()
        layer.extent.unlink(missing_ok=True)
        layer.path.unlink(missing_ok=True)
        self.store.recount()

    # change tracking -------------------------------------------------------------------------------------------------

    @property
    def change_id(self) -> str:
        """Names this instant for `changed_areas`: every write from now on is later than it (after the next pin)."""
        return f"{self.change_uuid}/{self.generation}"

    def changed_areas(self, since: int, start: int = 0) -> list[tuple[int, int]]:
        """(offset, length) of areas written in generation `since` or later; `since=1` gives all areas ever written."""
        with self.lock:
            changed = np.flatnonzero(self.generations[start // BLOCK :] >= max(1, since)) + start // BLOCK
        return [
            (max(start, first * BLOCK), min(last * BLOCK, self.size) - max(start, first * BLOCK))
            for first, last in _runs(changed)
        ]

    def used(self) -> int:
        """Bytes the disk takes on the datastore."""
        base = int(np.count_nonzero(self.generations)) * BLOCK if self.thin else self.size
        return min(base, self.size) + sum(layer.allocated() for layer in self.layers)

    def close(self) -> None:
        with self.lock:
            self.store.save_generations(self)
            for layer in self.layers:
                layer.close()


class DiskStore:
    """All disks of one datastore folder. `capacity` is in bytes."""

    def __init__(self, folder: Path, capacity: int, new_uuid: Callable[[], str]):
        self.folder = folder.resolve()
        self.capacity = capacity
        self._new_uuid = new_uuid
        self._disks: dict[str, Disk] = {}  # by the relative name of each of their descriptors
        self._lock = threading.RLock()
        self._used = 0
        self.folder.mkdir(parents=True, exist_ok=True)

    # names -----------------------------------------------------------------------------------------------------------

    def path(self, relative: str) -> Path:
        """The file of a datastore path. Raises `ValueError` when it would leave the datastore (`..`, absolute, links)."""
        if not relative or "\0" in relative or "\\" in relative:
            raise ValueError(f"{relative!r} is not a path in the datastore")
        path = (self.folder / relative.lstrip("/")).resolve()
        if not path.is_relative_to(self.folder):
            raise ValueError(f"{relative!r} leaves the datastore")
        return path

    def relative(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    # disks -----------------------------------------------------------------------------------------------------------

    def create(self, relative: str, size: int, *, thin: bool = True, uuid: str = "", source: Path | None = None) -> Disk:
        """Make a disk of `size` bytes (rounded up to sectors), filled from `source` if given.

        Raises `FileExistsError`, `NoSpace`, `ValueError` (bad path or size)."""
        size = -(-size // SECTOR) * SECTOR
        if size <= 0:
            raise ValueError("a disk has at least one sector")
        path = self.path(relative)
        if path.exists():
            raise FileExistsError(f"{relative} exists already")
        if not thin:
            self.take(size)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = Descriptor(size, f"{path.stem}-flat.vmdk", "vmfs", uuid or disk_uuid(self._new_uuid()), thin)
        descriptor.cid = self._new_uuid().replace("-", "")[:8]
        extent = path.with_name(descriptor.extent)
        file = os.open(extent, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(file, size)
        write_descriptor(path, descriptor)
        layer = Layer(path, descriptor, file)
        disk = Disk(self, relative, [layer], layer, _change_uuid(self._new_uuid()), np.zeros(-(-size // BLOCK), np.uint32))
        self.know(disk, layer)
        try:
            if source is not None:
                _fill(disk, source)
        except OSError:
            self.delete(disk)
            raise
        return disk

    def open(self, relative: str) -> Disk:
        """The disk of a descriptor file. Raises `FileNotFoundError`, `NotAVmdk`, `ValueError`."""
        path = self.path(relative)
        with self._lock:
            found = self._disks.get(self.relative(path))
            if found is not None:
                return found
            layers = [_open_layer(path)]
            while layers[-1].descriptor.parent:
                if len(layers) > 256:
                    raise NotAVmdk(f"{relative} has too many parents")
                parent = self.path(self.relative(layers[-1].path.with_name(layers[-1].descriptor.parent)))
                layers[-1].parent = _open_layer(parent)
                layers.append(layers[-1].parent)
            layers.reverse()
            base = layers[0]
            if not base.descriptor.uuid:
                base.descriptor.uuid = disk_uuid(self._new_uuid())
                write_descriptor(base.path, base.descriptor)
            disk = Disk(self, self.relative(base.path), layers, layers[-1], _change_uuid(self._new_uuid()))
            disk.generations, disk.generation = self._load_generations(disk)
            for layer in layers:
                self.know(disk, layer)
            self.recount()
            return disk

    def delete(self, disk: Disk) -> None:
        """Remove a disk and all its files."""
        with disk.lock:
            for layer in list(disk.layers):
                self.forget(layer)
                layer.close()
                layer.extent.unlink(missing_ok=True)
                layer.path.unlink(missing_ok=True)
            _tracking_file(disk).unlink(missing_ok=True)
        self.recount()

    def know(self, disk: Disk, layer: Layer) -> None:
        with self._lock:
            self._disks[self.relative(layer.path)] = disk

    def forget(self, layer: Layer) -> None:
        with self._lock:
            self._disks.pop(self.relative(layer.path), None)

    def disks(self) -> list[Disk]:
        with self._lock:
            return list({id(disk): disk for disk in self._disks.values()}.values())

    def close(self) -> None:
        for disk in self.disks():
            disk.close()

    # space -----------------------------------------------------------------------------------------------------------

    @property
    def free(self) -> int:
        return max(0, self.capacity - self._used)

    def take(self, count: int) -> None:
        """Count `count` more bytes as used. Raises `NoSpace`."""
        with self._lock:
            if self._used + count > self.capacity:
                raise NoSpace(f"the datastore has {self.free} bytes free, {count} are needed")
            self._used += count

    def recount(self) -> None:
        """Count the space again, after something was deleted."""
        with self._lock:
            self._used = sum(disk.used() for disk in self.disks())

    # change tracking on disk -----------------------------------------------------------------------------------------

    def save_generations(self, disk: Disk) -> None:
        """Keep the block map beside the disk (`-ctk.vmdk`), so that it is found again with the file."""
        _tracking_file(disk).write_bytes(b"CTK1" + disk.generation.to_bytes(4, "little") + disk.generations.tobytes())

    def _load_generations(self, disk: Disk) -> tuple[Any, int]:
        blocks = -(-disk.size // BLOCK)
        try:
            kept = _tracking_file(disk).read_bytes()
        except FileNotFoundError:
            kept = b""
        if kept[:4] == b"CTK1" and len(kept) == 8 + 4 * blocks:
            return np.frombuffer(kept[8:], np.uint32).copy(), int.from_bytes(kept[4:8], "little")
        generations = np.zeros(blocks, np.uint32)
        for start, stop in _data(disk.layers[0].file, disk.size):
            generations[start // BLOCK : -(-stop // BLOCK)] = 1
        for layer in disk.layers[1:]:
            generations[np.nonzero(layer.grains[:blocks])[0]] = 1
        return generations, 2


def disk_uuid(fresh: str) -> str:
    """A UUID as ESXi gives its disks: starts with 6000C29 (VMware's OUI)."""
    return f"6000C29{fresh[7:]}"


def _change_uuid(fresh: str) -> str:
    digits = fresh.replace("-", "")
    pairs = ["52", *(digits[i : i + 2] for i in range(2, 32, 2))]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def _tracking_file(disk: Disk) -> Path:
    base = disk.layers[0].path if disk.layers else disk.store.path(disk.name)
    return base.with_name(f"{base.stem}-ctk.vmdk")


def _open_layer(path: Path) -> Layer:
    descriptor = read_descriptor(path)
    file = os.open(path.with_name(descriptor.extent), os.O_RDWR | os.O_NOFOLLOW)
    layer = Layer(path, descriptor, file)
    if descriptor.kind == "vmfsSparse":
        shape = delta_shape(descriptor.size)
        if os.pread(file, 4, 0) != b"COWD":
            layer.close()
            raise NotAVmdk(f"{descriptor.extent} is not a delta extent")
        table = os.pread(file, shape.tables * 4096 * 4, shape.table_offset)
        layer.grains = np.frombuffer(table.ljust(shape.tables * 4096 * 4, b"\0"), np.uint32).copy()
        layer.end = -(-os.fstat(file).st_size // BLOCK) * BLOCK
    elif os.fstat(file).st_size < descriptor.size:
        layer.close()
        raise NotAVmdk(f"{descriptor.extent} is shorter than its descriptor says")
    return layer


def _create_delta(path: Path, parent: Layer) -> Layer:
    size = parent.descriptor.size
    cid = f"{(int(parent.descriptor.cid, 16) + 1) & 0xFFFFFFFF:08x}"
    below = parent.descriptor
    descriptor = Descriptor(
        size, f"{path.stem}-delta.vmdk", "vmfsSparse", below.uuid, below.thin, below.adapter, parent.path.name, cid, below.cid
    )
    shape = delta_shape(size)
    file = os.open(path.with_name(descriptor.extent), os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.pwrite(file, delta_header(size), 0)
    os.ftruncate(file, shape.data_offset)
    write_descriptor(path, descriptor)
    return Layer(path, descriptor, file, parent, np.zeros(shape.tables * 4096, np.uint32), shape.data_offset)


def _chain(layer: Layer | None) -> Iterator[Layer]:
    while layer is not None:
        yield layer
        layer = layer.parent


def _read(layer: Layer | None, offset: int, length: int) -> bytes:
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
            parts.append(_read(layer.parent, position, stop - position))
        position = stop
    return b"".join(parts)


def _write_at(file: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def _write_grain(layer: Layer, block: int, data: memoryview) -> None:
    """Data first, then the table entry: a torn write leaves the old content."""
    _write_at(layer.file, data, layer.end)
    layer.grains[block] = layer.end // SECTOR
    shape = delta_shape(layer.descriptor.size)
    _write_at(layer.file, (layer.end // SECTOR).to_bytes(4, "little"), shape.table_offset + 4 * block)
    layer.end += BLOCK


def _runs(blocks: Any) -> Iterator[tuple[int, int]]:
    if not len(blocks):
        return
    for run in np.split(blocks, np.flatnonzero(np.diff(blocks) != 1) + 1):
        yield int(run[0]), int(run[-1]) + 1


def _data(file: int, size: int) -> Iterator[tuple[int, int]]:
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


def _fill(disk: Disk, source: Path) -> None:
    zeros = bytes(BLOCK)
    file = os.open(source, os.O_RDONLY)
    try:
        size = os.fstat(file).st_size
        if size > disk.size:
            raise ValueError(f"{source.name} has {size} bytes, the disk only {disk.size}")
        for start, stop in _data(file, size):
            for position in range(start // BLOCK * BLOCK, stop, _COPY):
                data = os.pread(file, min(_COPY, size - position), position)
                for offset in range(0, len(data), BLOCK):
                    block = data[offset : offset + BLOCK]
                    if block != zeros[: len(block)]:
                        disk.write(position + offset, block)
    finally:
        os.close(file)
