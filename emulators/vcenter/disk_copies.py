"""Copies of whole disks in other folders: what is frozen is copied while a guest writes on, the rest when it is switched over."""

import os
from dataclasses import replace
from pathlib import Path

from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.disks import Disk, NoSpace
from emulators.vcenter.layers import Layer, data_areas, open_layer
from emulators.vcenter.vmdk import write_descriptor

_PIECE = 1024 * 1024


class Move:
    """A disk on its way to another folder, with all its layers, pins and its change tracking.

    `copy_frozen` needs no lock and may run while the guest writes; `finish` is quick and gives the disk at its new place. The old
    files stay until they are deleted. Raises `NoSpace`, `FileExistsError`, and `ValueError` where linked clones share layers.
    """

    __slots__ = ("_copied", "_directory", "_source", "_stem", "_store")

    def __init__(self, source: Disk, store: DiskStore, directory: str, stem: str):
        self._source, self._store, self._directory, self._stem = source, store, directory, stem
        self._copied: list[Path] = []
        if source.source is not None or source.clones:
            raise ValueError("linked clones share its layers")
        store.take(source.used())
        for layer in source.layers:
            if self._path(layer.path.name).exists():
                raise FileExistsError(f"{self._path(layer.path.name)} exists already")

    def _path(self, name: str) -> Path:
        old = self._source.layers[0].path.stem
        fresh = f"{self._stem}{name[len(old) :]}" if name.startswith(old) else f"{self._stem}-{name}"
        return self._store.path(f"{self._directory}/{fresh}")

    def copy_frozen(self) -> None:
        """Copy the layers that never change again."""
        for layer in [one for one in self._source.layers if one is not self._source.top]:
            with self._source.lock:
                self._copy(layer)

    def finish(self) -> Disk:
        """Copy the rest. Call it when nobody writes."""
        source = self._source
        with source.lock:
            for layer in source.layers:
                if self._path(layer.path.name) not in self._copied:
                    self._copy(layer)
            made = {id(layer): open_layer(self._path(layer.path.name)) for layer in source.layers}
            for layer in source.layers:
                made[id(layer)].parent = made[id(layer.parent)] if layer.parent is not None else None
                made[id(layer)].present = layer.present.copy() if layer.present is not None else None
            layers = [made[id(layer)] for layer in source.layers]
            disk = Disk(self._store, self._store.relative(layers[0].path), layers, made[id(source.top)], source.change_uuid)
            disk.map = None if source.map is None else source.map.copy()
            disk.generation, disk.tracking, disk.unsaved = source.generation, source.tracking, True
            disk.pins = {key: made[id(layer)] for key, layer in source.pins.items()}
            disk.frozen = dict(source.frozen)
            disk.runners = set(source.runners)
        for layer in layers:
            self._store.know(disk, layer)
        self._store.recount()
        return disk

    def undo(self) -> None:
        """Remove what was copied."""
        for path in self._copied:
            for file in (path, path.with_name(self._extent(path))):
                file.unlink(missing_ok=True)
        self._copied.clear()
        self._store.recount()

    def _extent(self, path: Path) -> str:
        name = next(one.descriptor.extent for one in self._source.layers if self._path(one.path.name) == path)
        return self._path(name).name

    def _copy(self, layer: Layer) -> None:
        path = self._path(layer.path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        extent = self._path(layer.descriptor.extent)
        self._copied.append(path)
        _copy_sparse(layer, extent)
        parent = self._path(layer.descriptor.parent).name if layer.descriptor.parent else ""
        write_descriptor(path, replace(layer.descriptor, extent=extent.name, parent=parent))


def _copy_sparse(layer: Layer, target: Path) -> None:
    size = os.fstat(layer.file).st_size
    file = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        os.ftruncate(file, size)
        for start, stop in data_areas(layer.file, size):
            for offset in range(start, stop, _PIECE):
                os.pwrite(file, os.pread(layer.file, min(_PIECE, stop - offset), offset), offset)
    finally:
        os.close(file)


def free_stem(taken: set[str], wanted: str) -> str:
    """A name for a disk's files that is not taken yet; from now on it is."""
    stem, number = wanted, 0
    while stem in taken:
        number += 1
        stem = f"{wanted}_{number}"
    taken.add(stem)
    return stem


def release(disk: Disk, key: str) -> None:
    """Let go of a point. Where the merge has no room its delta stays, as after a snapshot: the machine needs consolidation."""
    try:
        disk.unpin(key)
    except NoSpace:
        return
