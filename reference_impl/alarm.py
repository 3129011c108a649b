"""Work that is due soon, asked for by many: of all that was asked the earliest time wins."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from reference_impl.outside import Clock, Timer


@dataclass(slots=True)
class Alarm:
    """Runs `action` on the clock. `not_before` keeps it quiet for a while: back-off. Safe from any thread."""

    clock: Clock
    action: Callable[[], None]
    name: str
    not_before: float = 0.0
    closed: bool = False
    _timer: Timer | None = None
    _due: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, delay: float = 0.0) -> None:
        """Run at the latest `delay` seconds from now (later only because of `not_before`)."""
        with self._lock:
            now = self.clock.now()
            due = max(now + delay, self.not_before)
            if self.closed or (self._timer is not None and self._due <= due):
                return
            if self._timer is not None:
                self._timer.cancel()
            self._due = due
            self._timer = self.clock.call_later(due - now, self._ring, name=self.name)

    def back_off(self, seconds: float) -> None:
        """Nothing before `seconds` from now, then again."""
        with self._lock:
            self.not_before = max(self.not_before, self.clock.now() + seconds)
        self.set(seconds)

    def _ring(self) -> None:
        with self._lock:
            self._timer = None
        self.action()

    def close(self) -> None:
        with self._lock:
            self.closed = True
            if self._timer is not None:
                self._timer.cancel()
