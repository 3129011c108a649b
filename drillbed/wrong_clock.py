"""A clock that goes wrong: what a component is given whose own time differs from the estate's."""

from collections.abc import Callable
from dataclasses import dataclass

from emulators.clock import Process, Scope, Task, Timer


@dataclass(slots=True)
class WrongClock:
    """A component's clock that is `error()` seconds ahead of the estate's. What it schedules is not shifted."""

    right: Scope
    error: Callable[[], float]

    def now(self) -> float:
        return self.right.now() + self.error()

    def uuid(self) -> str:
        return self.right.uuid()

    def random_bytes(self, count: int) -> bytes:
        return self.right.random_bytes(count)

    def call_later(self, seconds: float, action: Callable[[], None], *, name: str) -> Timer:
        return self.right.call_later(seconds, action, name=name)

    def spawn(self, process: Process, *, name: str) -> Task:
        return self.right.spawn(process, name=name)

    def every(self, seconds: float, action: Callable[[], None], *, name: str, first_after: float | None = None) -> Task:
        return self.right.every(seconds, action, name=name, first_after=first_after)

    def cancel_all(self) -> None:
        self.right.cancel_all()
