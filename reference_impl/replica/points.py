"""Recovery points: which are kept (RPT-005 to RPT-008)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

HOUR, DAY = 3600.0, 86400.0
#: All points of this long are kept, whatever the retention.
RECENT = 2 * HOUR


@dataclass(frozen=True, slots=True)
class Point:
    """A snapshot of every disk at one number of the stream. `time` is in epoch seconds."""

    point_id: str
    time: float
    type: str  #: CrashConsistent or ApplicationConsistent
    multi_vm: bool
    sequence: int
    snapshots: Mapping[str, str] = field(default_factory=dict)  #: by disk id

    def document(self) -> dict[str, Any]:
        return asdict(self)


def spacing(age: float, retention_minutes: float) -> float:
    """Of the points of this age one is kept for each such stretch of time; 0 keeps all."""
    if age <= RECENT:
        return 0.0
    if retention_minutes <= 24 * 60:
        return HOUR
    return 4 * HOUR if retention_minutes > 7 * 24 * 60 and age > 7 * DAY else 2 * HOUR


def superfluous(points: Sequence[Point], now: float, retention_minutes: float, *, thin: bool = True) -> list[Point]:
    """The points that go now. The newest always stays: it is the latest state."""
    gone, slots = list[Point](), set[tuple[float, int]]()
    for point in sorted(points, key=lambda point: (point.time, point.sequence))[:-1]:
        age = now - point.time
        if age > retention_minutes * 60:
            gone.append(point)
            continue
        stretch = spacing(age, retention_minutes) if thin else 0.0
        if stretch:
            slot = (stretch, int(point.time // stretch))
            if slot in slots:
                gone.append(point)
            slots.add(slot)
    return gone
