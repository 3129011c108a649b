"""Threads that only compute: they compress and seal while the clock's own thread waits for storage.

Whoever gives them work waits for its end before the clock goes on: what happens does not depend on them, only how long it takes.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

#: One puts a log together, the others work on its frames.
THREADS = 3


@dataclass(slots=True)
class Crew:
    """The threads of one process server. They start with the first work."""

    _pool: ThreadPoolExecutor | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, work: Callable[[], T]) -> "Future[T]":
        """Start to do it; `result()` waits for the end."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="sealing")
            return self._pool.submit(work)

    def all(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """Do them side by side; their results in order."""
        if len(works) == 1:
            return [works[0]()]
        return [future.result() for future in [self.begin(work) for work in works]]

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)
