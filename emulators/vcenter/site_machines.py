"""Machines as a site has them: what each does decides its name, size, disks, cards and guest."""

from collections.abc import Iterator
from dataclasses import dataclass

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Purpose:
    """What machines of a site are for. `share` is how many of 20 machines; `disks` are in GiB, `cards` a number."""

    name: str
    guest_id: str
    cpus: int
    memory_mb: int
    disks: tuple[int, ...]
    cards: int
    share: int
    firmware: str = "bios"


@dataclass(frozen=True, slots=True)
class Planned:
    """One machine to be: its name, its purpose, and what its guest tells of itself."""

    name: str
    purpose: Purpose
    hostname: str
    addresses: tuple[str, ...]

    @property
    def sizes(self) -> list[int]:
        """Sizes of its disks in bytes."""
        return [size * _GIB for size in self.purpose.disks]


PURPOSES = (
    Purpose("web", "ubuntu64Guest", 2, 4096, (40,), 1, 6),
    Purpose("app", "rhel7_64Guest", 4, 16_384, (40, 100), 1, 5),
    Purpose("db", "windows9Server64Guest", 8, 65_536, (80, 200, 500), 2, 3, "efi"),
    Purpose("file", "windows9Server64Guest", 4, 8192, (60, 1024), 1, 2),
    Purpose("dc", "windows9Server64Guest", 2, 8192, (60,), 1, 1, "efi"),
    Purpose("desk", "windows9Server64Guest", 2, 8192, (80,), 1, 3),
)


def planned() -> Iterator[Planned]:
    """Machines without end: of each 20 every purpose has its share, spread out; names and addresses are told once."""
    turns = sorted((turn / one.share, one.name, one) for one in PURPOSES for turn in range(one.share))
    counts = dict.fromkeys((one.name for one in PURPOSES), 0)
    number = 0
    while True:
        for _, name, purpose in turns:
            counts[name] += 1
            title = f"{name}-{counts[name]:04d}"
            addresses = tuple(f"10.{card}.{number // 250 % 250}.{number % 250 + 1}" for card in range(20, 20 + purpose.cards))
            number += 1
            yield Planned(title, purpose, f"{title}.corp.example", addresses)
