"""Virtual disks with bytes: layers, the points that snapshots pin, and a map of which 64 KiB block changed in which generation.

A `Disk` is one VMDK family: the base extent and the deltas that snapshots put on it. Its `top` takes the writes; layers that a
snapshot refers to are *pinned* and never change again.
"""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from emulators.vcenter.layers import Layer, chain, create_delta, read, write_at, write_grain
from emulators.vcenter.vmdk import BLOCK, SECTOR, write_descriptor

if TYPE_CHECKING:
    from emulators.vcenter.disk_store import DiskStore


class NoSpace(OSError):
    """The datastore has no room for what was to be written."""


@dataclass(slots=True)
class Disk:
    """A disk with its layers. Thread-safe; every offset and length is in bytes and inside the disk."""

    store: "DiskStore"
    name: str  #: path of the base descriptor, relative to the datastore
    layers: list[Layer]
    top: Layer
    change_uuid: str
    map: Any = None  #: generation of each block; made when first needed
    generation: int = 1
    held: int = 0  #: blocks ever written
    revision: int = 0  #: counts what changes `used`
    unsaved: bool = False
    runners: set[str] = field(default_factory=set)  #: ids of machines that ran with it; those that do now are among them
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
    def generations(self) -> Any:
        """The generation in which each block was last written; 0 for never."""
        if self.map is None:
            self.map = np.zeros(-(-self.size // BLOCK), np.uint32)
        return self.map

    @property
    def file_name(self) -> str:
        """Path of the top descriptor, relative to the datastore."""
        return self.store.relative(self.top.path)

    # bytes -----------------------------------------------------------------------------------------------------------

    def read(self, offset: int, length: int, *, at: Layer | None = None) -> bytes:
        """Bytes as the guest sees them, or as they were in the pinned layer `at`."""
        self._check(offset, length)
        with self.lock:
            return read(at or self.top, offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Write through to the file. Raises `NoSpace` before anything is changed."""
        self._check(offset, len(data))
        if not data:
            return
        first, last = offset // BLOCK, (offset + len(data) - 1) // BLOCK + 1
        with self.lock:
            self._reserve(first, last)
            if self.top.grains is None:
                write_at(self.top.file, data, offset)
            else:
                self._write_delta(offset, memoryview(data), first, last)
            self.held += _zeros(self.generations, first, last)
            self.generations[first:last] = self.generation
            self.unsaved = True

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
        fresh = _zeros(held, first, last)
        if fresh:
            self.store.take(fresh * BLOCK)
            self.revision += 1

    def _write_delta(self, offset: int, data: memoryview, first: int, last: int) -> None:
        layer = self.top
        for block in range(first, last):
            start = max(offset, block * BLOCK)
            stop = min(offset + len(data), (block + 1) * BLOCK)
            piece = data[start - offset : stop - offset]
            sector = int(layer.grains[block])
            if sector:
                write_at(layer.file, piece, sector * SECTOR + start - block * BLOCK)
                continue
            if len(piece) < BLOCK:  # copy on write: the rest of the block comes from below
                below = bytearray(read(layer.parent, block * BLOCK, min(BLOCK, self.size - block * BLOCK)).ljust(BLOCK, b"\0"))
                below[start - block * BLOCK : stop - block * BLOCK] = piece
                piece = memoryview(below)
            write_grain(layer, block, piece)

    # snapshots -------------------------------------------------------------------------------------------------------

    def pin(self, key: str) -> None:
        """Freeze what the disk holds now under `key`; later writes go to a new delta."""
        with self.lock:
            self.pins[key] = self.top
            self.top = self._add_delta(self.top)
            self.generation += 1
            self.unsaved = True

    def revert(self, key: str) -> None:
        """Make the disk what it was when `key` was pinned. What was written since is gone."""
        with self.lock:
            self.generation += 1
            self.unsaved = True
            target = self.pins[key]
            for layer in [*chain(self.top), *chain(target)]:  # every block that differs lies in one of these deltas
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
            if self.map is not None:
                self.map = np.concatenate([self.map, np.zeros(blocks - len(self.map), np.uint32)])
            self.revision += 1
            self.unsaved = True

    def bytes_above(self, key: str) -> int:
        """Bytes that lie in the deltas above the point `key`: what a removal has to move."""
        with self.lock:
            pinned = self.pins.get(key)
            return sum(layer.allocated() for layer in self.layers if layer.parent is pinned and pinned is not None)

    def _add_delta(self, parent: Layer) -> Layer:
        base = self.layers[0].path
        taken = {layer.path.name for layer in self.layers}
        number = next(n for n in range(1, 1_000_000) if f"{base.stem}-{n:06d}.vmdk" not in taken)
        path = self.store.path(self.store.relative(base.with_name(f"{base.stem}-{number:06d}.vmdk")))
        layer = create_delta(path, parent)
        self.layers.append(layer)
        self.store.know(self, layer)
        self.revision += 1
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
            data = read(child, number * BLOCK, length)
            if layer.grains is None:
                write_at(layer.file, data, number * BLOCK)
            elif layer.grains[number]:
                write_at(layer.file, data, int(layer.grains[number]) * SECTOR)
            else:
                write_grain(layer, number, memoryview(data.ljust(BLOCK, b"\0")))
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
        self.revision += 1
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

    def restart_tracking(self, fresh: str) -> None:
        """Forget the change ids given so far: later ones carry the UUID `fresh`."""
        with self.lock:
            self.change_uuid = spaced_uuid(fresh)
            self.generation += 1
            self.unsaved = True

    def changed_areas(self, since: int, start: int = 0) -> list[tuple[int, int]]:
        """(offset, length) of areas written in generation `since` or later; `since=1` gives all areas ever written."""
        with self.lock:
            if self.map is None:
                return []
            changed = np.flatnonzero(self.generations[start // BLOCK :] >= max(1, since)) + start // BLOCK
        return [
            (max(start, first * BLOCK), min(last * BLOCK, self.size) - max(start, first * BLOCK))
            for first, last in _runs(changed)
        ]

    def used(self) -> int:
        """Bytes the disk takes on the datastore."""
        base = self.held * BLOCK if self.thin else self.size
        return min(base, self.size) + sum(layer.allocated() for layer in self.layers[1:])

    def close(self) -> None:
        with self.lock:
            self.store.save_generations(self)
            for layer in self.layers:
                layer.close()


def spaced_uuid(fresh: str) -> str:
    """A UUID as ESXi writes those of change tracking: `52 ab cd ...-...`."""
    digits = fresh.replace("-", "")
    pairs = ["52", *(digits[i : i + 2] for i in range(2, 32, 2))]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def _zeros(blocks: Any, first: int, last: int) -> int:
    """How many of the blocks are 0."""
    return int(not blocks[first]) if last - first == 1 else (last - first) - int(np.count_nonzero(blocks[first:last]))


def _runs(blocks: Any) -> Iterator[tuple[int, int]]:
    if not len(blocks):
        return
    for run in np.split(blocks, np.flatnonzero(np.diff(blocks) != 1) + 1):
        yield int(run[0]), int(run[-1]) + 1
