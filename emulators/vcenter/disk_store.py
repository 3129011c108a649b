"""The folder of one datastore: it finds disks by file name, counts their space and says when there is none left."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emulators.vcenter.disks import Disk, NoSpace, spaced_uuid
from emulators.vcenter.layers import Layer, OpenFiles, chain, create_delta, data_areas, open_layer
from emulators.vcenter.vmdk import BLOCK, SECTOR, Descriptor, NotAVmdk, write_descriptor

_COPY = 1024 * 1024
#: Before the map in a `-ctk.vmdk`: magic, generation, whether change ids are given, their UUID.
_CTK_HEAD = 4 + 4 + 1 + 47
#: Files up to this size (descriptors, configurations) and block maps are not counted.
_SMALL = 64 * 1024


class DiskStore:
    """All disks of one datastore folder. `capacity` is in bytes."""

    def __init__(self, folder: Path, capacity: int, new_uuid: Callable[[], str]):
        self._folder = folder.resolve()
        self.capacity = capacity
        self.new_uuid = new_uuid
        self._disks: dict[str, Disk] = {}  # by the relative name of each of their descriptors
        self._lock = threading.RLock()
        self._used = 0
        self._opening: set[Path] = set()
        self._promised: dict[str, Callable[[], None]] = {}  # what writes the files of a folder below, by its name
        self._files = 0  #: bytes of files that are no part of a disk
        self._open = OpenFiles(ready=lambda path: self._keep_promise(path.parent))
        self._folder.mkdir(parents=True, exist_ok=True)

    # names -----------------------------------------------------------------------------------------------------------

    def path(self, relative: str) -> Path:
        """The file of a datastore path. Raises `ValueError` when it would leave the datastore (`..`, absolute, links)."""
        if not relative or "\0" in relative or "\\" in relative:
            raise ValueError(f"{relative!r} is not a path in the datastore")
        path = (self._folder / relative.lstrip("/")).resolve()
        if not path.is_relative_to(self._folder):
            raise ValueError(f"{relative!r} leaves the datastore")
        self._keep_promise(path)
        return path

    def relative(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    @property
    def folder(self) -> Path:
        """The folder itself. Who asks for it looks at everything: what was promised is written first."""
        with self._lock:
            for name in list(self._promised):
                self._promised.pop(name)()
        return self._folder

    def promise(self, directory: str, write: Callable[[], None]) -> None:
        """Have the files of a new folder written by `write` when somebody first looks: at a path in it, or at a disk's bytes."""
        with self._lock:
            self._promised[directory] = write

    def _keep_promise(self, path: Path) -> None:
        if self._promised and path != self._folder:
            with self._lock:  # nobody sees a folder half written
                write = self._promised.pop(path.relative_to(self._folder).parts[0], None)
                if write is not None:
                    write()

    # disks -----------------------------------------------------------------------------------------------------------

    def create(
        self,
        relative: str,
        size: int,
        *,
        thin: bool = True,
        uuid: str = "",
        source: Path | None = None,
        eager: bool = False,
        kind: str = "vmfs",
        adapter: str = "lsilogic",
        later: bool = False,
    ) -> Disk:
        """Make a disk of `size` bytes (rounded up to sectors), filled from `source` if given. With `later` its files are not
        written yet: who makes it promises them (`promise`, `write_files`).

        `eager` zeroes a thick one beforehand; `kind` is a createType of `vmdk.EXTENTS` (a raw device takes no space here).
        Raises `FileExistsError`, `NoSpace`, `ValueError` (bad path or size)."""
        size = -(-size // SECTOR) * SECTOR
        if size <= 0:
            raise ValueError("a disk has at least one sector")
        path = self.path(relative)
        if path.exists():
            raise FileExistsError(f"{relative} exists already")
        suffix = "flat" if kind == "vmfs" else "rdm" if kind == "vmfsRawDeviceMap" else "rdmp"
        uuid = uuid or disk_uuid(self.new_uuid())
        descriptor = Descriptor(size, f"{path.stem}-{suffix}.vmdk", kind, uuid, thin, adapter, eager=eager and not thin)
        descriptor.cid = self.new_uuid().replace("-", "")[:8]
        layer = Layer(path, descriptor)
        if layer.extent.exists():
            raise FileExistsError(f"{self.relative(layer.extent)} exists already")
        self.take(layer.allocated())
        if not later:
            write_files(layer)
        disk = Disk(self, self.relative(path), [layer], layer, spaced_uuid(self.new_uuid()))
        self.know(disk, layer)
        try:
            if source is not None:
                _fill(disk, source)
        except (OSError, ValueError):
            self.delete(disk)
            raise
        return disk

    def link(self, source: Disk, point: str, relative: str) -> Disk:
        """A linked clone: a disk that stands on what `source` held when `point` was pinned. It has a UUID of its own.

        Raises `FileExistsError`, `KeyError` (no such point), `ValueError` (bad path, another datastore)."""
        if source.store is not self:
            raise ValueError("a linked clone lies on the datastore of its source")
        path = self.path(relative)
        if path.exists():
            raise FileExistsError(f"{relative} exists already")
        with source.lock:
            below = source.pins[point]
            path.parent.mkdir(parents=True, exist_ok=True)
            layer = create_delta(path, below)
            layer.descriptor.uuid = disk_uuid(self.new_uuid())
            write_descriptor(path, layer.descriptor)
            return self._linked(source, [layer], source.frozen.get(point, source.map))

    def _linked(self, source: Disk, layers: list[Layer], blocks: Any) -> Disk:
        disk = Disk(self, self.relative(layers[0].path), layers, layers[-1], spaced_uuid(self.new_uuid()), lock=source.lock)
        disk.source, disk.generation = source, 2
        if blocks is not None:
            disk.map = (blocks > 0).astype(np.uint32)
        parent = layers[0].parent
        assert parent is not None, "a linked clone stands on something"
        source.pins[_link_key(disk)] = parent
        source.clones.append(disk)
        for layer in layers:
            self.know(disk, layer)
        return disk

    def open(self, relative: str) -> Disk:
        """The disk of a descriptor file. Raises `FileNotFoundError`, `NotAVmdk`, `ValueError`."""
        path = self.path(relative)
        with self._lock:
            found = self._disks.get(self.relative(path))
            if found is not None:
                return found
            if path in self._opening:
                raise NotAVmdk(f"{relative} stands on itself")
            self._opening.add(path)
            try:
                return self._open_chain(path, relative)
            finally:
                self._opening.discard(path)

    def _open_chain(self, path: Path, relative: str) -> Disk:
        """The disk of a descriptor that is not known yet, with all it stands on. The lock is held."""
        layers = [open_layer(path)]
        source: Disk | None = None
        while layers[-1].descriptor.parent and source is None:
            if len(layers) > 256:
                raise NotAVmdk(f"{relative} has too many parents")
            below = self._below(layers[-1])
            source = self._disks.get(self.relative(below))
            if source is None and below.parent != path.parent:
                source = self.open(self.relative(below))
            parent = open_layer(below) if source is None else next(one for one in source.layers if one.path == below)
            if parent.descriptor.size != layers[-1].descriptor.size:
                raise NotAVmdk(f"{layers[-1].path.name} and what it stands on differ in size")
            layers[-1].parent = parent
            if source is None:
                layers.append(parent)
        layers.reverse()
        if not layers[0].descriptor.uuid:
            layers[0].descriptor.uuid = disk_uuid(self.new_uuid())
            write_descriptor(layers[0].path, layers[0].descriptor)
        if source is not None:
            disk = self._linked(source, layers, source.map)
        else:
            disk = Disk(self, self.relative(layers[0].path), layers, layers[-1], spaced_uuid(self.new_uuid()))
            for layer in layers:
                self.know(disk, layer)
        self._load_generations(disk)
        self.files_changed()  # its extents may have come as plain files
        return disk

    def reopen(self, top: str, layers: Sequence[str], pins: Mapping[str, str], *, forget: bool) -> Disk:
        """A disk as it was, by the descriptor that takes its writes, those of all its layers in order, and those of its pinned
        points. With `forget` what was kept of its block map is out of date: change ids given before name nothing any more.

        Raises as `open` does."""
        path = self.path(top)
        if forget and self.relative(path) not in self._disks:
            for stale in path.parent.glob("*-ctk.vmdk"):
                stale.unlink()
        disk = self.open(top)
        with disk.lock:
            for key, name in pins.items():
                disk.pins[key] = self._branch(disk, self.path(name))
            order = {self.path(name): number for number, name in enumerate(layers)}
            disk.layers.sort(key=lambda layer: order.get(layer.path, len(order)))
        return disk

    def _branch(self, disk: Disk, path: Path) -> Layer:
        """The layer of a descriptor, which stands on one of the disk's, or on another of which the same holds."""
        known = next((layer for layer in disk.layers if layer.path == path), None)
        if known is not None:
            return known
        layer = open_layer(path)
        layer.parent = self._branch(disk, self._below(layer))
        disk.layers.append(layer)
        self.know(disk, layer)
        return layer

    def _below(self, layer: Layer) -> Path:
        """The file that a delta stands on. Raises `ValueError` when it would leave the datastore."""
        hint = os.path.normpath(layer.path.parent / layer.descriptor.parent)
        if not Path(hint).is_relative_to(self._folder):
            raise ValueError(f"the parent of {layer.path.name} leaves the datastore")
        return self.path(self.relative(Path(hint)))

    def delete(self, disk: Disk) -> None:
        """Remove a disk and all its files, but for the layers that linked clones stand on: those go with the last of them."""
        self._keep_promise(disk.layers[0].path)
        with disk.lock:
            kept = {id(layer) for clone in disk.clones for layer in chain(clone.layers[0].parent)}
            for layer in [layer for layer in disk.layers if id(layer) not in kept]:
                self.forget(layer)
                layer.close()
                layer.extent.unlink(missing_ok=True)
                layer.path.unlink(missing_ok=True)
            if not disk.gone:
                tracking_file(disk).unlink(missing_ok=True)
            left = [layer for layer in disk.layers if id(layer) in kept]
            disk.gone = True
            if left:
                disk.layers = left
                disk.pins = {_link_key(clone): disk.pins[_link_key(clone)] for clone in disk.clones}
                disk.frozen, disk.top = {}, next(iter(disk.pins.values()))
            if disk.source is not None and not left:
                source, disk.source = disk.source, None
                source.clones.remove(disk)
                source.unpin(_link_key(disk))
                if source.gone and not source.clones:
                    self.delete(source)
        self.recount()

    def know(self, disk: Disk, layer: Layer) -> None:
        layer.lock, layer.pool = disk.lock, self._open
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
        """Count the space of the disks again, after something was deleted."""
        with self._lock:
            self._used = self._files + sum(disk.used() for disk in self.disks())

    def count_files(self) -> None:
        """Count what other files take, too: all of the folder is looked at."""
        with self._lock:
            extents = {layer.extent for disk in self.disks() for layer in disk.layers}
            sizes = [_size_of(Path(place) / name) for place, _, names in os.walk(self._folder) for name in names]
            counted = (size for path, size in sizes if path not in extents and not path.name.endswith("-ctk.vmdk"))
            self._files = sum(size for size in counted if size > _SMALL)
            self.recount()

    def add_file(self, size: int) -> None:
        """Count a file that is no part of a disk. Raises `NoSpace`."""
        if size > _SMALL:
            with self._lock:
                self.take(size)
                self._files += size

    def files_changed(self) -> None:
        """Count again after files came or went in another way."""
        if self._files:
            self.count_files()
        else:
            self.recount()

    # change tracking on disk -----------------------------------------------------------------------------------------

    def save_generations(self, disk: Disk) -> None:
        """Keep the block map beside the disk (`-ctk.vmdk`), so that it is found again with the file."""
        if not disk.unsaved or disk.gone:
            return
        disk.unsaved = False
        head = b"CTK2" + disk.generation.to_bytes(4, "little") + bytes([disk.tracking]) + disk.change_uuid.encode()
        tracking_file(disk).write_bytes(head + disk.generations.tobytes())

    def _load_generations(self, disk: Disk) -> None:
        """Read the block map that was kept; without one, everything that holds data counts as written in generation 1."""
        blocks = disk.layers[0].blocks
        try:
            kept = tracking_file(disk).read_bytes()
        except FileNotFoundError:
            kept = b""
        if kept[:4] == b"CTK2" and len(kept) == _CTK_HEAD + 4 * blocks:
            disk.map = np.frombuffer(kept[_CTK_HEAD:], np.uint32).copy()
            disk.generation, disk.tracking = int.from_bytes(kept[4:8], "little"), bool(kept[8])
            disk.change_uuid = kept[9:_CTK_HEAD].decode("ascii", "replace")
            return
        generations, disk.generation = disk.generations, 2
        base = disk.layers[0]
        if base.present is not None:
            generations[base.present] = 1
        for layer in disk.layers:
            if layer.grains is not None:
                generations[np.nonzero(layer.grains[:blocks])[0]] = 1


def _size_of(path: Path) -> tuple[Path, int]:
    try:
        status = path.lstat()
        return path, 0 if path.is_symlink() else min(status.st_size, status.st_blocks * 512)  # holes take nothing
    except OSError:  # it went meanwhile
        return path, 0


def _link_key(clone: Disk) -> str:
    return f"clone {clone.name}"


def write_files(layer: Layer) -> None:
    """Make the two files of a new base extent: sparse, and its descriptor."""
    layer.path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(layer.extent, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.ftruncate(file, layer.descriptor.size)
    finally:
        os.close(file)
    write_descriptor(layer.path, layer.descriptor)


def disk_uuid(fresh: str) -> str:
    """A UUID as ESXi gives its disks: starts with 6000C29 (VMware's OUI)."""
    return f"6000C29{fresh[7:]}"


def tracking_file(disk: Disk) -> Path:
    base = disk.layers[0].path if disk.layers else disk.store.path(disk.name)
    return base.with_name(f"{base.stem}-ctk.vmdk")


def _fill(disk: Disk, source: Path) -> None:
    zeros = bytes(BLOCK)
    file = os.open(source, os.O_RDONLY)
    try:
        size = os.fstat(file).st_size
        if size > disk.size:
            raise ValueError(f"{source.name} has {size} bytes, the disk only {disk.size}")
        for start, stop in data_areas(file, size):
            for position in range(start // BLOCK * BLOCK, stop, _COPY):
                data = os.pread(file, min(_COPY, size - position), position)
                for offset in range(0, len(data), BLOCK):
                    block = data[offset : offset + BLOCK]
                    if block != zeros[: len(block)]:
                        disk.write(position + offset, block)
    finally:
        os.close(file)
