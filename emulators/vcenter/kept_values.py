"""Values of an inventory as JSON and back: records, references, dataclasses of this package, disks."""

import base64
import importlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from emulators.vcenter.disks import Disk
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.records import Record, Ref, Typed

_PACKAGE = "emulators.vcenter"


def _kept(kind: type) -> list[str]:
    """The fields of a dataclass that are kept: not what is only remembered for speed."""
    return [field.name for field in fields(kind) if field.name != "cache" and not field.name.startswith("_")]


class Writer:
    """Writes values. An object of the inventory within another is written as its id."""

    def __init__(self, inventory: Inventory, files: Path):
        self._inventory, self._files = inventory, files
        self._stores = {id(store): moid for moid, store in inventory.stores.items()}

    def managed(self, found: Any) -> Any:
        """An object of the inventory by its fields."""
        return self._fields(found)

    def value(self, value: Any) -> Any:
        """Any value. What is not plain JSON is an object with one key that says what it is."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, list):
            return [self.value(item) for item in value]
        write = _WRITERS.get(type(value))
        if write is not None:
            return write(self, value)
        if isinstance(value, Path):
            return {"path": str(value.relative_to(self._files))}
        moid = getattr(value, "moid", None)
        if moid is not None and self._inventory.find(moid) is value:
            return {"object": moid}
        return self._fields(value)

    def _fields(self, value: Any) -> Any:
        kind = type(value)
        if not is_dataclass(kind) or not kind.__module__.startswith(f"{_PACKAGE}."):
            raise TypeError(f"a {kind.__name__} cannot be kept")
        content = {name: self.value(getattr(value, name)) for name in _kept(kind)}
        return {"of": [f"{kind.__module__.removeprefix(_PACKAGE + '.')}:{kind.__qualname__}", content]}

    def _disk(self, disk: Disk) -> Any:
        store = disk.store
        pins = {key: store.relative(layer.path) for key, layer in disk.pins.items() if not key.startswith("clone ")}
        layers = [store.relative(layer.path) for layer in disk.layers]
        top = store.relative(disk.top.path)
        return {"disk": [self._stores[id(store)], top, layers, pins, disk.tracking, sorted(disk.runners)]}


_WRITERS: dict[type, Any] = {
    Record: lambda writer, value: {"record": [value.kind, {name: writer.value(item) for name, item in value.fields.items()}]},
    Ref: lambda _writer, value: {"ref": [value.kind, value.moid]},
    Typed: lambda writer, value: {"typed": [value.type, writer.value(value.value)]},
    Disk: Writer._disk,
    dict: lambda writer, value: {"map": [[writer.value(key), writer.value(item)] for key, item in value.items()]},
    tuple: lambda writer, value: {"tuple": [writer.value(item) for item in value]},
    set: lambda writer, value: {"set": [writer.value(item) for item in sorted(value, key=repr)]},
    frozenset: lambda writer, value: {"frozen": [writer.value(item) for item in sorted(value, key=repr)]},
    bytes: lambda _writer, value: {"bytes": base64.b64encode(value).decode()},
}


class Reader:
    """Reads values. `rows` are all objects as they were written; one within another is read when it is met."""

    def __init__(self, inventory: Inventory, files: Path, rows: dict[str, Any], *, clean: bool):
        self._inventory, self._files, self._rows, self._clean = inventory, files, rows, clean
        self._made: dict[str, Any] = {}
        self._disks: dict[tuple[str, str], Disk | None] = {}

    def managed(self, moid: str) -> Any:
        """The object of an id. Raises `KeyError`."""
        if moid not in self._made:
            self._made[moid] = self.value(self._rows[moid])
        return self._made[moid]

    def value(self, told: Any) -> Any:
        if isinstance(told, list):
            return [self.value(item) for item in told]
        if not isinstance(told, dict):
            return told
        ((name, content),) = told.items()
        return _READERS[name](self, content)

    def _object(self, content: Any) -> Any:
        name, told = content
        module, _, title = name.partition(":")
        if not module.replace(".", "").replace("_", "").isalnum():
            raise ValueError(f"{name} is no class")
        kind = getattr(importlib.import_module(f"{_PACKAGE}.{module}"), title, None)
        if not isinstance(kind, type) or not is_dataclass(kind) or not kind.__module__.startswith(f"{_PACKAGE}."):
            raise ValueError(f"{name} is no class of an inventory")
        values = {field: self.value(item) for field, item in told.items()}
        started = {field.name for field in fields(kind) if field.init}
        made = kind(**{field: item for field, item in values.items() if field in started})
        for field, item in values.items():
            if field not in started and field in _kept(kind):
                setattr(made, field, item)
        return made

    def _disk(self, content: Any) -> Disk | None:
        """The disk of its file; None when the file is gone: whoever was taking it away did not get further."""
        moid, top, layers, pins, tracking, runners = content
        if (moid, top) not in self._disks:
            store = self._inventory.stores[moid]
            try:
                disk = store.reopen(top, layers, pins, forget=not self._clean)
            except (OSError, ValueError):
                self._disks[moid, top] = None
                return None
            disk.tracking, disk.runners = tracking, set(runners)
            self._disks[moid, top] = disk
        return self._disks[moid, top]

    def _path(self, content: str) -> Path:
        path = (self._files / content).resolve()
        if not path.is_relative_to(self._files.resolve()):
            raise ValueError(f"{content} lies elsewhere")
        return path

    def settle(self) -> None:
        """Take away what the files of are gone: disks from their machines."""
        for managed in self._made.values():
            disks = getattr(managed, "disks", None)
            if isinstance(disks, dict):
                for key in [key for key, disk in disks.items() if disk is None]:
                    del disks[key]
                    managed.settings.devices.pop(key, None)


_READERS: dict[str, Any] = {
    "record": lambda reader, told: Record(told[0], **{name: reader.value(item) for name, item in told[1].items()}),
    "ref": lambda _reader, told: Ref(told[0], told[1]),
    "typed": lambda reader, told: Typed(told[0], reader.value(told[1])),
    "disk": Reader._disk,
    "object": Reader.managed,
    "of": Reader._object,
    "path": Reader._path,
    "map": lambda reader, told: {reader.value(key): reader.value(item) for key, item in told},
    "tuple": lambda reader, told: tuple(reader.value(item) for item in told),
    "set": lambda reader, told: {reader.value(item) for item in told},
    "frozen": lambda reader, told: frozenset(reader.value(item) for item in told),
    "bytes": lambda _reader, told: base64.b64decode(told),
}
