"""An inventory kept on disk: what changed is written in one transaction each time the vCenter's lock is given back.

So a process that is killed loses no operation that was answered, and keeps none by half. Tasks, sessions and
leases are not kept. Objects are written as JSON by the fields of their dataclasses; only classes of this package are made again.
"""

import json
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from emulators.vcenter.inventory import Inventory
from emulators.vcenter.kept_values import Reader, Writer
from emulators.vcenter.objects.services import STATEFUL

FORMAT = 1
_EVENTS = 2_000
_TABLES = """
CREATE TABLE IF NOT EXISTS object (moid TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event (number INTEGER PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS whole (name TEXT PRIMARY KEY, content TEXT NOT NULL) WITHOUT ROWID;
"""
_TRANSIENT = frozenset({"Task", "HttpNfcLease"})
#: Plain fields of an inventory that are kept.
_NUMBERS = ("instance_uuid", "version", "log_version", "structure", "tree", "_counter", "esx")


def is_kept(managed: Any) -> bool:
    """Whether an object comes back: not what belongs to a call or a transfer that ends with the process."""
    return managed.kind not in _TRANSIENT


class NotKept(ValueError):
    """The folder holds no inventory that can be read; the message says why."""


class Guard:
    """The lock of an inventory that is kept: like `threading.RLock`, and `leaving` is called before it is given back."""

    def __init__(self) -> None:
        self._lock: Any = threading.RLock()
        self._depth = 0
        self.leaving: Callable[[], None] | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        got: bool = self._lock.acquire(blocking, timeout)
        self._depth += got
        return got

    def release(self) -> None:
        try:
            if self._depth == 1:
                self._leave()
        finally:
            self._depth -= 1
            self._lock.release()

    def _leave(self) -> None:
        if self.leaving is not None:
            self.leaving()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_error: object) -> None:
        self.release()

    # what `threading.Condition` asks of a lock that can be held several times

    def _is_owned(self) -> bool:
        return bool(self._lock._is_owned())

    def _release_save(self) -> Any:
        try:
            self._leave()
        finally:
            depth, self._depth = self._depth, 0
            state = depth, self._lock._release_save()
        return state

    def _acquire_restore(self, state: Any) -> None:
        self._lock._acquire_restore(state[1])
        self._depth = state[0]


class Keeper:
    """Keeps one inventory in the folder `folder`: `inventory.sqlite`, and the datastores' files below `files`."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.files = folder.resolve() / "files"
        self.guard = Guard()
        self._path = folder / "inventory.sqlite"
        fresh = not self._path.exists()
        self._path.touch(mode=0o600)
        try:
            self._database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=0.2)
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.executescript(_TABLES)
        except sqlite3.Error as error:
            raise NotKept(f"{self._path} cannot be used: {error}; another vcsim may have it, or it is no inventory") from None
        if not fresh and self.known is None:  # a first start that was cut off
            shutil.rmtree(self.files, ignore_errors=True)
        self._inventory: Inventory | None = None
        self._starts = 0
        self._last_event = 0
        self._told: dict[str, str] = {}
        self._services: set[str] = set()  #: objects that keep what is told of others

    def _read(self, name: str) -> Any:
        found = self._database.execute("SELECT content FROM whole WHERE name = ?", (name,)).fetchone()
        return json.loads(found[0]) if found else None

    @property
    def known(self) -> dict[str, Any] | None:
        """What is kept of the inventory as a whole, or None when nothing is kept yet. Raises `NotKept`."""
        try:
            found: dict[str, Any] | None = self._read("inventory")
        except (sqlite3.Error, ValueError) as error:
            raise NotKept(f"{self._path} is damaged: {error}") from None
        if found is not None and found.get("format") != FORMAT:
            raise NotKept(f"{self._path} is of another version of this program")
        return found

    # writing ---------------------------------------------------------------------------------------------------------

    def watch(self, inventory: Inventory) -> None:
        """Write all of it now, and from now on what changes."""
        with inventory.lock:
            self._starts = self.known["starts"] + 1 if self.known else 1
            self._inventory = inventory
            self._services = {one.moid for one in inventory.objects() if type(one) in STATEFUL.values()}
            inventory.touched = {one.moid for one in inventory.objects()} | {f"beside {name}" for name in inventory.beside}
            self.guard.leaving = self._write

    def _write(self) -> None:
        inventory = self._inventory
        if inventory is None or not inventory.touched:
            return
        touched, inventory.touched = inventory.touched | self._services, set()
        writer = Writer(inventory, self.files)
        self._database.execute("BEGIN")
        try:
            for moid in touched:
                self._write_object(inventory, writer, moid)
            self._write_events(inventory, writer)
            for name, content in self._wholes(inventory, writer, clean=False):
                self._write_whole(name, content)
            self._database.execute("COMMIT")
        except BaseException:
            inventory.touched |= touched  # the next one tries again
            self._told.clear()
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise

    def _write_object(self, inventory: Inventory, writer: Writer, moid: str) -> None:
        if moid.startswith("beside "):
            name = moid.removeprefix("beside ")
            self._write_whole(moid, json.dumps(writer.value(inventory.beside[name])))
            return
        found = inventory.find(moid)
        if found is not None and not is_kept(found):
            return
        if found is None:
            self._database.execute("DELETE FROM object WHERE moid = ?", (moid,))
            return
        content = json.dumps(writer.managed(found))
        if moid in self._services:
            if self._told.get(moid) == content:
                return
            self._told[moid] = content
        self._database.execute("INSERT OR REPLACE INTO object VALUES (?, ?)", (moid, content))

    def _write_events(self, inventory: Inventory, writer: Writer) -> None:
        fresh = [event for event in inventory.events.events if event["key"] > self._last_event][-_EVENTS:]
        for event in fresh:
            content = json.dumps(writer.value(event))
            self._database.execute("INSERT OR REPLACE INTO event VALUES (?, ?)", (event["key"], content))
        if fresh:
            self._last_event = inventory.events.last_key
            self._database.execute("DELETE FROM event WHERE number <= ?", (self._last_event - _EVENTS,))

    def _wholes(self, inventory: Inventory, writer: Writer, *, clean: bool) -> Iterator[tuple[str, str]]:
        numbers = {name: getattr(inventory, name) for name in _NUMBERS}
        places = {moid: (store.folder.relative_to(self.files), store.capacity) for moid, store in inventory.stores.items()}
        stores = {moid: [str(place), capacity] for moid, (place, capacity) in places.items()}
        about: dict[str, Any] = {"format": FORMAT, "clean": clean, "starts": self._starts, "time": inventory.clock.now()}
        about |= {"numbers": numbers, "stores": stores, "last_event": inventory.events.last_key}
        yield "inventory", json.dumps(about)
        yield "authorization", json.dumps(writer.value(inventory.authorization))

    def _write_whole(self, name: str, content: str) -> None:
        if self._told.get(name) != content:
            self._told[name] = content
            self._database.execute("INSERT OR REPLACE INTO whole VALUES (?, ?)", (name, content))

    def close(self) -> None:
        """Write what is left, note that the end was orderly, and let go of the file. The disks must be closed already."""
        with self.guard, suppress(sqlite3.Error):
            self._write()
            inventory, self._inventory, self.guard.leaving = self._inventory, None, None
            if inventory is not None:
                for name, content in self._wholes(inventory, Writer(inventory, self.files), clean=True):
                    self._write_whole(name, content)
        self._database.close()

    # reading ---------------------------------------------------------------------------------------------------------

    def restore(self, inventory: Inventory) -> None:
        """Put everything that is kept into an empty inventory with its stores. Raises `NotKept`."""
        about = self.known
        assert about is not None, "who restores has asked what is known"
        rows = dict(self._database.execute("SELECT moid, content FROM object"))
        try:
            reader = Reader(inventory, self.files, {moid: json.loads(text) for moid, text in rows.items()}, clean=about["clean"])
            for name in _NUMBERS:
                setattr(inventory, name, about["numbers"][name])
            for moid in sorted(rows, key=_number):
                inventory.add(reader.managed(moid))
            kept = self._read("authorization")
            inventory.authorization = reader.value(kept)
            for name, content in self._database.execute("SELECT name, content FROM whole WHERE name LIKE 'beside %'"):
                inventory.beside[name.removeprefix("beside ")] = reader.value(json.loads(content))
            for (content,) in self._database.execute("SELECT content FROM event ORDER BY number"):
                inventory.events.events.append(reader.value(json.loads(content)))
        except (KeyError, TypeError, ValueError, AttributeError, ImportError, sqlite3.Error) as error:
            raise NotKept(f"{self._path} is damaged: {error!r}") from error
        inventory.events.last_key = self._last_event = about["last_event"]
        reader.settle()


def _number(moid: str) -> tuple[int, str]:
    """Objects in the order in which they were made."""
    digits = moid.rpartition("-")[2].lstrip("abcdefghijklmnopqrstuvwxyz")
    return (int(digits) if digits.isdigit() else 0, moid)
