"""Limits on what a process server sends out, by hour of the day (NET-014). The guest is never slowed: what waits is cached."""

from collections.abc import Sequence
from dataclasses import dataclass

DAY, HOUR = 86400.0, 3600.0
#: The smallest limit that the documents name, in bits a second.
LEAST = 512_000


@dataclass(frozen=True, slots=True)
class Window:
    """From hour `since` to hour `until` (UTC, of any day; past midnight when `until` is the smaller) at most `bits` a second."""

    since: float
    until: float
    bits: int

    def __post_init__(self) -> None:
        if not (0 <= self.since <= 24 and 0 <= self.until <= 24) or self.bits < LEAST:
            raise ValueError(f"a limit names hours from 0 to 24 and at least {LEAST} bits a second")

    def holds(self, when: float) -> bool:
        hour = when % DAY / HOUR
        if self.since <= self.until:
            return self.since <= hour < self.until
        return hour >= self.since or hour < self.until


@dataclass(slots=True)
class Throttle:
    """What is sent is paid for with rest: on average no window's limit is exceeded. The smallest limit that holds counts."""

    windows: Sequence[Window] = ()
    _free_at: float = 0.0

    def rest(self, now: float) -> float:
        """Seconds until something may be sent."""
        return max(0.0, self._free_at - now)

    def sent(self, now: float, count: int) -> None:
        """So many bytes have just been sent."""
        limits = [window.bits for window in self.windows if window.holds(now)]
        if limits:
            self._free_at = max(self._free_at, now) + count * 8 / min(limits)
