"""A witness who knows every state that the disks of a machine ever had, and when, also relative to other machines."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import xxhash
from plane_lab import bytes_of

from emulators.guest.machine import GuestMachine

SECTOR = 512


@dataclass(slots=True)
class Order:
    """One order over the writes of several machines."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch in which the disks did not change: by time, and by the writes of all machines."""

    since: float
    until: float
    first: int
    last: float

    def meets(self, other: "Stretch") -> bool:
        """Whether there was an instant that lies in both."""
        return self.first < other.last and other.first < self.last


@dataclass(slots=True)
class Witness:
    """Sees each write beside the agent. One number stands for all bytes of all disks; a write changes only its sectors' part."""

    guest: GuestMachine
    order: Order = field(default_factory=Order)
    history: dict[int, list[int]] = field(default_factory=dict)  #: state -> the places in time at which it began
    times: list[tuple[float, int]] = field(default_factory=list)  #: time of each write and its place in the order
    _parts: dict[tuple[int, int], int] = field(default_factory=dict)
    _now: int = 0

    def __post_init__(self) -> None:
        for unit, data in bytes_of(self.guest).items():
            self._note(unit, 0, data)
        self.history[self._now] = [0]
        self.times.append((0.0, 0))

    def wrote(self, unit: int, offset: int, data: bytes, when: float) -> None:
        self._note(unit, offset, data)
        self.order.count += 1
        self.history.setdefault(self._now, []).append(len(self.times))
        self.times.append((when, self.order.count))

    def _note(self, unit: int, offset: int, data: bytes) -> None:
        for at in range(0, len(data), SECTOR):
            place = unit, (offset + at) // SECTOR
            part = _part(place, data[at : at + SECTOR])
            self._now = (self._now - self._parts.get(place, 0) + part) % (1 << 64)
            self._parts[place] = part

    def stretches(self, disks: Mapping[int, bytes], when: float) -> list[Stretch]:
        """When the disks were exactly this, of the times that `when` lies in."""
        total = 0
        for unit, data in disks.items():
            for at in range(0, len(data), SECTOR):
                total += _part((unit, at // SECTOR), data[at : at + SECTOR])
        found = [self._stretch(place) for place in self.history.get(total % (1 << 64), [])]
        return [one for one in found if one.since <= when + 1e-5 and when <= one.until + 1e-5]

    def _stretch(self, place: int) -> Stretch:
        since, first = self.times[place]
        until, last = self.times[place + 1] if place + 1 < len(self.times) else (float("inf"), float("inf"))
        return Stretch(since, until, first, last)

    def was(self, disks: Mapping[int, bytes], when: float) -> bool:
        """Whether the disks were exactly this at that time."""
        return bool(self.stretches(disks, when))


def _part(place: tuple[int, int], data: bytes) -> int:
    return xxhash.xxh3_64_intdigest(data, seed=place[0] << 40 | place[1])


def epoch(text: str) -> float:
    """A time of the protocol in seconds since 1970."""
    head, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{head}+00:00").timestamp() + float(f"0.{fraction or 0}")
