"""Doors into the disks of an estate's machines for programs from outside: NBD, on whichever side a machine runs.

A machine that starts gets a door on its own address and loses it when it ends, so a machine that fails over is found at another
place. What is written through a door is what the guest writes.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from emulators.guest.machine import GuestMachine
from emulators.guest.nbd import PORT, NbdDoor


@dataclass(frozen=True, slots=True)
class MachineDoor:
    """Where the disks of a running machine are reached: the name, the side it runs on, a URI for each unit."""

    machine: str
    side: str
    disks: dict[int, str]


def nothing() -> None:
    """Nobody is told."""


@dataclass(slots=True)
class Doors:
    """All doors of an estate. `changed` is called after one has opened or closed."""

    changed: Callable[[], None] = nothing
    _open: dict[tuple[str, str], NbdDoor] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def started(self, name: str, side: str, guest: GuestMachine, address: str) -> None:
        """A machine runs: its disks can be had. Raises `OSError` when nothing can listen at all."""
        self.ended(name, side)
        door = _listen(guest, address)
        with self._lock:
            self._open[name, side] = door
        self.changed()

    def ended(self, name: str, side: str) -> None:
        """A machine does not run any more: whoever is connected loses the connection."""
        with self._lock:
            door = self._open.pop((name, side), None)
        if door is not None:
            door.close()
            self.changed()

    def close(self) -> None:
        """Close all of them."""
        with self._lock:
            doors, self._open = list(self._open.values()), {}
        for door in doors:
            door.close()

    def listing(self) -> list[MachineDoor]:
        """What is open now, by name and side."""
        with self._lock:
            doors = sorted(self._open.items())
        return [
            MachineDoor(name, side, {disk.unit: door.uri(disk.unit) for disk in door.guest.disks()})
            for (name, side), door in doors
        ]


def _listen(guest: GuestMachine, address: str) -> NbdDoor:
    """The documented port of the machine's own address; where that cannot be had, the next best."""
    for place, port in ((address, PORT), (address, 0)):
        try:
            return NbdDoor(guest, place, port).open()
        except OSError:
            continue
    return NbdDoor(guest, "127.0.0.1", 0).open()
