"""The folder of one datastore: it finds disks by file name, counts their space and says when there is none left."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from emulators.vcenter.disks import Disk, NoSpace, spaced_uuid
from emulators.vcenter.layers import Layer, OpenFiles, data_areas, open_layer
from emulators.vcenter.vmdk import BLOCK, SECTOR, Descriptor, NotAVmdk, write_descriptor

_COPY = 1024 * 1024


class DiskStore:
    """All disks of one datastore folder. `capacity` is in bytes."""

    def __init__(self, folder: Path, capacity: int, new_uuid: Callable[[], str]):
        self._folder = folder.resolve()
        self.capacity = capacity
        self._new_uuid = new_uuid
        self._disks: dict[str, Disk] = {}  # by the relative name of each of their descriptors
        self._lock = threading.RLock()
        self._used = 0
        self._promised: dict[str, Callable[[], None]] = {}  # what writes the files of a folder below, by its name
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
        self, relative: str, size: int, *, thin: bool = True, uuid: str = "", source: Path | None = None, later: bool = False
    ) -> Disk:
        """Make a disk of `size` bytes (rounded up to sectors), filled from `source` if given. With `later` its files are not
        written yet: who makes it promises them (`promise`, `write_files`).

        Raises `FileExistsError`, `NoSpace`, `ValueError` (bad path or size)."""
        size = -(-size // SECTOR) * SECTOR
        if size <= 0:
            raise ValueError("a disk has at least one sector")
        path = self.path(relative)
        if path.exists():
            raise FileExistsError(f"{relative} exists already")
        if not thin:
            self.take(size)
        descriptor = Descriptor(size, f"{path.stem}-flat.vmdk", "vmfs", uuid or disk_uuid(self._new_uuid()), thin)
        descriptor.cid = self._new_uuid().replace("-", "")[:8]
        layer = Layer(path, descriptor)
        if not later:
            write_files(layer)
        disk = Disk(self, relative, [layer], layer, spaced_uuid(self._new_uuid()))
        self.know(disk, layer)
        try:
            if source is not None:
                _fill(disk, source)
        except (OSError, ValueError):
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
            layers = [open_layer(path)]
            while layers[-1].descriptor.parent:
                if len(layers) > 256:
                    raise NotAVmdk(f"{relative} has too many parents")
                parent = self.path(self.relative(layers[-1].path.with_name(layers[-1].descriptor.parent)))
                layers[-1].parent = open_layer(parent)
                layers.append(layers[-1].parent)
            layers.reverse()
            base = layers[0]
            if not base.descriptor.uuid:
                base.descriptor.uuid = disk_uuid(self._new_uuid())
                write_descriptor(base.path, base.descriptor)
            disk = Disk(self, self.relative(base.path), layers, layers[-1], spaced_uuid(self._new_uuid()))
            for layer in layers:
                self.know(disk, layer)
            disk.map, disk.generation = self._load_generations(disk)
            disk.held = int(np.count_nonzero(disk.map))
            self.recount()
            return disk

    def delete(self, disk: Disk) -> None:
        """Remove a disk and all its files."""
        self._keep_promise(disk.layers[0].path)
        with disk.lock:
            for layer in list(disk.layers):
                self.forget(layer)
                layer.close()
                layer.extent.unlink(missing_ok=True)
                layer.path.unlink(missing_ok=True)
            tracking_file(disk).unlink(missing_ok=True)
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
        """Count the space again, after something was deleted."""
        with self._lock:
            self._used = sum(disk.used() for disk in self.disks())

    # change tracking on disk -----------------------------------------------------------------------------------------

    def save_generations(self, disk: Disk) -> None:
        """Keep the block map beside the disk (`-ctk.vmdk`), so that it is found again with the file."""
        if not disk.unsaved:
            return
        disk.unsaved = False
        tracking_file(disk).write_bytes(b"CTK1" + disk.generation.to_bytes(4, "little") + disk.generations.tobytes())

    def _load_generations(self, disk: Disk) -> tuple[Any, int]:
        blocks = -(-disk.size // BLOCK)
        try:
            kept = tracking_file(disk).read_bytes()
        except FileNotFoundError:
            kept = b""
        if kept[:4] == b"CTK1" and len(kept) == 8 + 4 * blocks:
            return np.frombuffer(kept[8:], np.uint32).copy(), int.from_bytes(kept[4:8], "little")
        generations = np.zeros(blocks, np.uint32)
        for start, stop in data_areas(disk.layers[0].file, disk.size):
            generations[start // BLOCK : -(-stop // BLOCK)] = 1
        for layer in disk.layers[1:]:
            generations[np.nonzero(layer.grains[:blocks])[0]] = 1
        return generations, 2


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
