"""The filter driver: the part of the agent that stays in the machine's write path until the machine ends.

It hands each write to the agent while there is one that captures, and keeps a number for each 64 KiB block of a protected disk:
when the far side has the stream up to that number, the block there equals the block here. `UNSEEN` means that nothing in the
stream says what the block holds: it has not been copied yet, or nobody captured its last write (the agent was killed, the journal
was full). So an agent that comes back after a kill -9 leaves no gap, a copy goes on where it stopped, and a resync after an
overflow reads only what changed. Power loss takes the map away (REP-013).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy
import numpy.typing

from reference_impl.outside import Guest
from reference_impl.records import BLOCK

NAME = "drillbed-filter"
#: The number of a block whose last write is in no stream.
UNSEEN = (1 << 64) - 1
#: Blocks that are looked at in one go.
LOOK = 1 << 16

Blocks = numpy.typing.NDArray[numpy.bool_]
#: Takes a write (unit, offset, data, time) into the stream; its number, or 0 when nothing is captured.
Sink = Callable[[int, int, bytes, float], int]


class Driver:
    """One machine's filter. `generation` is the one whose stream the map speaks of; 0: it knows nothing."""

    def __init__(self) -> None:
        self.generation = 0
        self.posted = 0  #: the highest number that was ever sent, whether or not an answer came
        self.acknowledged = 0  #: the highest that the process server said it has
        self.sink: Sink | None = None
        self._numbers: dict[int, Any] = {}  #: by unit, u64 for each block

    def wrote(self, unit: int, offset: int, data: bytes, when: float) -> None:
        """One write of the guest, in order over all disks (REP-001, REP-002). Never waits, never fails."""
        number = self.sink(unit, offset, data, when) if self.sink is not None else 0
        numbers = self._numbers.get(unit)
        if numbers is None:
            return
        first, last = offset // BLOCK, (offset + len(data) - 1) // BLOCK
        if not number:
            numbers[first : last + 1] = UNSEEN
        elif first == last < len(numbers):
            if numbers[first] != UNSEEN:  # the rest of such a block is still in no stream
                numbers[first] = number
        else:
            part = numbers[first : last + 1]
            part[part != UNSEEN] = number

    def track(self, generation: int, sizes: Mapping[int, int], *, exact_at: int | None = None) -> None:
        """Begin anew: the far side equals the disks once it has the stream up to `exact_at`; None: nothing is known of it.

        `sizes` are bytes by unit.
        """
        if self.generation != generation:
            self.posted, self.acknowledged = exact_at or 0, 0
        self.generation = generation
        start = UNSEEN if exact_at is None else exact_at
        self._numbers = {unit: numpy.full(-(-size // BLOCK), start, dtype=numpy.uint64) for unit, size in sizes.items()}

    def forget(self) -> None:
        """The map is of no use any more: the far side has another history."""
        self.generation, self._numbers = 0, {}

    def knows(self, position: int) -> bool:
        """Whether a process server that has the stream up to `position` can have our history and no other."""
        return self.acknowledged <= position <= self.posted

    def lose(self, after: int) -> None:
        """What went into the stream after this number does not arrive."""
        for numbers in self._numbers.values():
            numbers[numbers > numpy.uint64(after)] = UNSEEN

    def sent(self, unit: int, first: int, count: int, number: int) -> None:
        """The stream up to `number` says what these blocks hold. Nobody writes meanwhile."""
        self._numbers[unit][first : first + count] = number

    def settle(self, unit: int, blocks: Blocks, number: int) -> None:
        """The far side is known to equal these blocks from `number` on, unless they are written to."""
        numbers = self._numbers[unit]
        numbers[blocks[: len(numbers)] & (numbers == UNSEEN)] = number

    def next_unseen(self, unit: int, block: int) -> int | None:
        """The first block from `block` on that the far side may lack; None when there is none."""
        numbers = self._numbers[unit]
        for start in range(block, len(numbers), LOOK):
            found = numpy.flatnonzero(numbers[start : start + LOOK] == UNSEEN)
            if len(found):
                return start + int(found[0])
        return None

    def unseen(self, unit: int, first: int, count: int) -> Blocks:
        """Which of these blocks the far side may lack."""
        found: Blocks = self._numbers[unit][first : first + count] == UNSEEN
        return found


def loaded(guest: Guest) -> Driver:
    """The driver of this machine, loaded now unless it is there already."""
    driver = guest.driver(NAME, Driver)
    assert isinstance(driver, Driver)
    return driver


def blocks_of(size: int, areas: Sequence[tuple[int, int]]) -> Blocks:
    """The blocks of a disk that lie in areas of (offset, length)."""
    blocks: Blocks = numpy.zeros(-(-size // BLOCK), dtype=numpy.bool_)
    for offset, length in areas:
        blocks[offset // BLOCK : -(-(offset + length) // BLOCK)] = True
    return blocks
