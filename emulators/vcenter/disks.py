"""Virtual disks with bytes: layers, the points that snapshots pin, and a map of which 64 KiB block changed in which generation.

A `Disk` is one VMDK family: the base extent and the deltas that snapshots put on it. Its `top` takes the writes; layers that a
snapshot refers to are *pinned* and never change again. A linked clone has no base of its own: it stands on a point of another
disk, and the two share one lock.
"""

import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from emulators.vcenter.layers import Layer, chain, create_delta, read, rewrite, runs, squeeze, take_over, write_at, write_grain
from emulators.vcenter.vmdk import BLOCK, SECTOR, write_descriptor

if TYPE_CHECKING:
    from emulators.vcenter.disk_store import DiskStore


class NoSpace(OSError):
    """The datastore has no room for what was to be written."""


@dataclass(slots=True, eq=False)
class Disk:
    """A disk with its layers. Thread-safe; every offset and length is in bytes and inside the disk."""

    store: "DiskStore"
    name: str  #: path of the base descriptor, relative to the datastore
    layers: list[Layer]
    top: Layer
    change_uuid: str
    map: Any = None  #: generation of each block; made when first needed
    generation: int = 1
    tracking: bool = False  #: whether change ids are given; it begins when the machine is next stunned
    revision: int = 0  #: counts what changes `used`
    unsaved: bool = False
    runners: set[str] = field(default_factory=set)  #: ids of machines that ran with it; those that do now are among them
    pins: dict[str, Layer] = field(default_factory=dict)
    frozen: dict[str, Any] = field(default_factory=dict)  #: the block map as it was when each point was pinned
    source: "Disk | None" = None  #: the disk that a linked clone stands on
    clones: "list[Disk]" = field(default_factory=list)
    gone: bool = False  #: deleted, but clones still stand on some of its layers
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
    def eager(self) -> bool:
        return self.layers[0].descriptor.eager

    @property
    def kind(self) -> str:
        """createType of its lowest extent."""
        return self.layers[0].descriptor.kind

    @property
    def generations(self) -> Any:
        """The generation in which each block was last written; 0 for never."""
        if self.map is None:
            self.map = np.full(self.layers[0].blocks, 1 if self.eager else 0, np.uint32)
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
                self.top.note_written(first, last)
            else:
                self._write_delta(offset, memoryview(data), first, last)
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
        fresh = self.top.missing(first, last)
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

    def clear(self) -> None:
        """Make every byte zero and give the space back. Raises `ValueError` when snapshots or clones need the bytes."""
        with self.lock:
            if len(self.layers) > 1 or self.pins or self.top.grains is not None:
                raise ValueError("a disk with snapshots cannot be emptied")
            os.ftruncate(self.top.file, 0)
            os.ftruncate(self.top.file, self.size)
            self.top.present = None
            self._forget_changes()

    def shrink(self) -> None:
        """Give back the blocks of a thin disk that hold only zeros. Raises `ValueError` when it has snapshots."""
        with self.lock:
            if len(self.layers) > 1 or self.pins or self.top.grains is not None:
                raise ValueError("a disk with snapshots cannot shrink")
            base = self.top
            if not self.thin or base.present is None:
                return
            squeeze(base)
            self.generations[~base.present] = 0
            self.restart_tracking(self.store.new_uuid())  # the blocks given back would be missing from a list of changes
            self.revision += 1
            self.store.recount()

    def defragment(self) -> None:
        """Write the deltas anew, their grains in the order of the disk."""
        with self.lock:
            for layer in self.layers:
                if layer.grains is not None:
                    rewrite(layer)

    def make_thick(self) -> None:
        """Take the whole size from the datastore and zero what was never written. Raises `NoSpace` before anything is changed."""
        with self.lock:
            base = self.layers[0]
            if base.grains is not None or base.descriptor.kind != "vmfs":
                raise ValueError("only a disk with a base of its own can be inflated")
            self.store.take(max(0, self.size - base.allocated()))
            base.descriptor.thin, base.descriptor.eager = False, True
            write_descriptor(base.path, base.descriptor)
            self.generations[self.generations == 0] = 1
            self.revision += 1
            self.unsaved = True
            self.store.recount()

    # snapshots -------------------------------------------------------------------------------------------------------

    def pin(self, key: str) -> None:
        """Freeze what the disk holds now under `key`; later writes go to a new delta."""
        with self.lock:
            self.pins[key] = self.top
            self.frozen[key] = self.map.copy() if self.map is not None else None
            self.top = self._add_delta(self.top)
            self.generation += 1
            self.unsaved = True

    def revert(self, key: str) -> None:
        """Make the disk what it was when `key` was pinned. What was written since is gone. Merging can wait: see `unpin`."""
        with self.lock:
            self.generation += 1
            self.unsaved = True
            target = self.pins[key]
            for layer in [*chain(self.top), *chain(target)]:  # every block that differs lies in one of these deltas
                if layer.grains is not None:
                    self.generations[np.nonzero(layer.grains[: len(self.generations)])[0]] = self.generation
            self.top = self._add_delta(target)
            self.consolidate()

    def unpin(self, key: str) -> None:
        """Forget the point `key`; its delta is merged away. What the disk and the other points hold stays.

        Raises `NoSpace` when the merge has no room: then the point is gone and the delta stays, for `consolidate` to merge later.
        """
        with self.lock:
            self.pins.pop(key, None)
            self.frozen.pop(key, None)
            self.consolidate()

    @property
    def merges(self) -> bool:
        """Whether there are deltas left that nothing refers to."""
        with self.lock:
            return self._superfluous() is not None

    def consolidate(self) -> None:
        """Drop layers nobody refers to: childless ones are deleted, those with one child are merged with it.

        Raises `NoSpace`; what was merged until then stays merged."""
        with self.lock:
            while (found := self._superfluous()) is not None:
                layer, child = found
                if child is None:
                    self._drop(layer)
                else:
                    self._merge(layer, child)

    def _superfluous(self) -> tuple[Layer, Layer | None] | None:
        kept = {id(self.top), *(id(layer) for layer in self.pins.values())}
        for layer in self.layers:
            children = [other for other in self.layers if other.parent is layer]
            if id(layer) not in kept and len(children) < 2:
                return layer, children[0] if children else None
        return None

    def grow(self, size: int, *, zeroed: bool = False) -> None:
        """Make the disk larger. Raises `ValueError` when it would shrink or has snapshots, `NoSpace` for a thick disk."""
        with self.lock:
            if size < self.size or size % SECTOR:
                raise ValueError(f"a disk of {self.size} bytes cannot become {size} bytes")
            base = self.layers[0]
            if len(self.layers) > 1 or base.grains is not None:
                raise ValueError("a disk with snapshots cannot grow")
            if not self.thin:
                self.store.take(size - self.size)
            os.ftruncate(base.file, size)
            base.descriptor.size = size
            base.descriptor.eager = base.descriptor.eager or (zeroed and not self.thin)
            write_descriptor(base.path, base.descriptor)
            if self.map is not None:
                fill = np.full(base.blocks - len(self.map), 1 if self.eager else 0, np.uint32)
                self.map = np.concatenate([self.map, fill])
            if base.present is not None:
                base.present = np.concatenate([base.present, np.zeros(base.blocks - len(base.present), np.bool_)])
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

    def _merge(self, layer: Layer, child: Layer) -> None:
        """Move the child's grains down into `layer`, which then stands for the child."""
        self.store.take(layer.needs(child))
        take_over(layer, child)
        for other in [*self.layers, *(above for clone in self.clones for above in clone.layers)]:
            if other.parent is child:
                other.parent = layer
                other.descriptor.parent = os.path.relpath(layer.path, other.path.parent)
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

    def start_tracking(self, fresh: str) -> None:
        """Give change ids from now on, unless that is so already; they carry the UUID `fresh`."""
        if not self.tracking:
            self.restart_tracking(fresh)
            self.tracking = True

    def stop_tracking(self, fresh: str) -> None:
        """Give no change ids; those given so far name nothing any more."""
        if self.tracking:
            self.restart_tracking(fresh)
            self.tracking = False

    def restart_tracking(self, fresh: str) -> None:
        """Forget the change ids given so far: later ones carry the UUID `fresh`."""
        with self.lock:
            self.change_uuid = spaced_uuid(fresh)
            self.generation += 1
            self.unsaved = True

    def _forget_changes(self) -> None:
        self.map = None
        self.restart_tracking(self.store.new_uuid())
        self.revision += 1
        self.store.recount()

    def changed_areas(self, since: int, start: int = 0, *, at: str | None = None) -> list[tuple[int, int]]:
        """(offset, length) of areas written in generation `since` or later, until the point `at` was pinned if told.

        `since=1` gives all areas that hold data."""
        with self.lock:
            blocks = self.frozen.get(at) if at in self.frozen else self.map
            if blocks is None and not self.eager:
                return []
            blocks = self.generations if blocks is None else blocks
            changed = np.flatnonzero(blocks[start // BLOCK :] >= max(1, since)) + start // BLOCK
        return [
            (max(start, first * BLOCK), min(last * BLOCK, self.size) - max(start, first * BLOCK)) for first, last in runs(changed)
        ]

    def used(self) -> int:
        """Bytes the disk takes on the datastore."""
        return sum(layer.allocated() for layer in self.layers)

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
