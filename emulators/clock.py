"""Time and chance of one estate.

Everything that waits, expires, repeats or draws a random number asks the estate's `Clock`. This is the only module that
reads the system clock or the system's randomness.

One clock, two ways to move:

* `flow=0` (virtual): time stands still and moves only inside `wait`. Together with a seed two runs are identical.
* `flow=1` (wall): time also passes by itself, `flow` emulated seconds each real second. `wait` still does not sleep: it runs what
  is due and moves on to the next timer, so an emulated hour costs only the work that happens in it. `rest`
  lets time pass as it does.

Work on the clock is either a plain callable (`call_later`) or a *process*: a generator that yields the number of emulated seconds
it wants to rest. Only one piece of work runs at a time, in the order (due time, time of scheduling).
"""

import contextlib
import heapq
import random
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Process = Generator[float, None, Any]


def today() -> datetime:
    """The system's own time: where emulated time starts when programs outside the estate compare it with theirs."""
    return datetime.now(UTC)


def fresh_seed() -> int:
    """A seed that nobody can guess, for estates whose secrets must be secret."""
    return random.SystemRandom().getrandbits(64)


#: How often a resting clock looks whether what is waited for has come, in seconds on the wall.
_LOOK_SECONDS = 0.1

#: Where emulated time starts unless told otherwise: a Monday morning in the month of the article this project starts from.
DEFAULT_START = datetime(2018, 6, 4, 8, 0, 0, tzinfo=UTC)


@dataclass(order=True, slots=True)
class Timer:
    """Something to be done at `when` (epoch seconds). `cancel` is safe at any time."""

    when: float
    order: int
    action: Callable[[], None] = field(compare=False)
    name: str = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.cancelled = True


@dataclass(slots=True)
class Task:
    """A running process: `done` when it ended, with its `result` or its `error`."""

    name: str
    done: bool = False
    result: Any = None
    error: BaseException | None = None
    _timer: Timer | None = None
    _process: Process | None = None

    def cancel(self) -> None:
        """Stop at the next rest. The process's own `finally` blocks run."""
        if self.done:
            return
        self.done = True
        if self._timer is not None:
            self._timer.cancel()
        if self._process is not None:
            with contextlib.suppress(ValueError):  # it is running right now: it will not be resumed after its next rest
                self._process.close()


class Scope:
    """The timers of one component. `cancel_all` is what `kill -9` does to them; after it nothing can be scheduled."""

    def __init__(self, clock: "Clock", name: str):
        self._clock = clock
        self.name = name
        self._timers: list[Timer] = []
        self._tasks: list[Task] = []
        self._closed = False

    def now(self) -> float:
        return self._clock.now()

    def uuid(self) -> str:
        return self._clock.uuid()

    def random_bytes(self, count: int) -> bytes:
        return self._clock.random_bytes(count)

    def call_later(self, seconds: float, action: Callable[[], None], *, name: str) -> Timer:
        timer = self._clock.call_later(seconds, self._guarded(action), name=f"{self.name}: {name}")
        self._timers = [kept for kept in self._timers if not kept.cancelled and kept.when >= self._clock.now()]
        self._timers.append(timer)
        return timer

    def spawn(self, process: Process, *, name: str) -> Task:
        task = self._clock.spawn(process, name=f"{self.name}: {name}")
        if self._closed:
            task.cancel()
        self._tasks = [kept for kept in self._tasks if not kept.done]
        self._tasks.append(task)
        return task

    def every(self, seconds: float, action: Callable[[], None], *, name: str, first_after: float | None = None) -> Task:
        """Run `action` each `seconds`; the first time after `first_after` (default: one interval)."""
        return self.spawn(_repeat(seconds, action, seconds if first_after is None else first_after), name=name)

    def cancel_all(self) -> None:
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._timers, self._tasks = [], []

    def _guarded(self, action: Callable[[], None]) -> Callable[[], None]:
        return lambda: None if self._closed else action()


class Clock:
    """The time of one estate. Thread-safe; work runs on whichever thread moves the clock, one piece at a time."""

    def __init__(self, *, seed: int = 0, flow: float = 0.0, start: datetime = DEFAULT_START, skips: bool = True):
        """`skips`: whether `wait` moves on to what is due. Whoever waits for what another place does has to rest."""
        self.seed = seed
        self.skips = skips
        self.flow = flow
        self._random = random.Random(seed)
        self._origin = start.timestamp()
        self._offset = 0.0
        self._started = time.monotonic()
        self._timers: list[Timer] = []
        self._order = 0
        self._heap = threading.RLock()
        self._changed = threading.Condition(self._heap)
        self._turn = threading.RLock()
        self._depth = 0
        self._waiters = 0
        self._failure: BaseException | None = None
        self._pump: threading.Thread | None = None
        self._stopping = False

    # reading ---------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Emulated time, seconds since 1970 UTC."""
        return self._origin + self._offset + self.flow * (time.monotonic() - self._started if self.flow else 0.0)

    def utc(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)

    def real(self) -> float:
        """Real seconds, for reports of how long something took. Never for behaviour."""
        return time.monotonic()

    # chance ----------------------------------------------------------------------------------------------------------

    def uuid(self) -> str:
        with self._heap:
            return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def random_bytes(self, count: int) -> bytes:
        """Bytes for secrets, salts and keys: seeded in virtual time, the system's own where time flows."""
        if self.flow:
            return secrets.token_bytes(count)
        with self._heap:
            return self._random.randbytes(count)

    def random(self, purpose: str) -> random.Random:
        """A generator of its own for `purpose`, so that one user does not shift another's sequence."""
        return random.Random(f"{self.seed}:{purpose}")

    # scheduling ------------------------------------------------------------------------------------------------------

    def scope(self, name: str) -> Scope:
        return Scope(self, name)

    def call_later(self, seconds: float, action: Callable[[], None], *, name: str) -> Timer:
        with self._changed:
            self._order += 1
            timer = Timer(self.now() + max(0.0, seconds), self._order, action, name)
            heapq.heappush(self._timers, timer)
            self._wake()
            return timer

    def spawn(self, process: Process, *, name: str) -> Task:
        """Run a generator on the clock; it starts at the next turn and rests for the seconds it yields."""
        task = Task(name, _process=process)

        def resume() -> None:
            if task.done:
                return
            try:
                rest = next(process)
            except StopIteration as end:
                task.result, task.done = end.value, True
                return
            except BaseException as error:
                task.error, task.done = error, True
                raise
            if not task.done:
                task._timer = self.call_later(rest, resume, name=name)

        task._timer = self.call_later(0.0, resume, name=name)
        return task

    # moving ----------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Let `seconds` of emulated time pass: run everything due in it, in order. Never sleeps
        (unless it is told not to skip: then it rests)."""
        if self.skips:
            self._run_until(self.now() + seconds, lambda: False)
        else:
            self.rest(seconds)

    def rest(self, seconds: float) -> None:
        """Where time flows: let `seconds` pass by themselves, without moving on to what is due later.

        For whoever only keeps an estate up. The clock's own thread does the work meanwhile; what breaks there is raised here.
        """
        assert self.flow, "where time stands still nobody can rest: wait"
        end = self.now() + seconds
        while (left := end - self.now()) > 0:
            with self._changed:
                if self._failure is None:
                    self._changed.wait(timeout=left / self.flow)
            self._raise_failure()

    def wait_until(self, condition: Callable[[], bool], *, seconds: float) -> bool:
        """Let time pass until `condition()` holds, at most `seconds`. Returns whether it held."""
        if not self.skips:
            return self._rest_until(self.now() + seconds, condition)
        return self._run_until(self.now() + seconds, condition)

    def _rest_until(self, deadline: float, condition: Callable[[], bool]) -> bool:
        while not condition():
            left = deadline - self.now()
            if left <= 0:
                return False
            self.rest(min(left, _LOOK_SECONDS * self.flow))
        return True

    def _run_until(self, deadline: float, condition: Callable[[], bool]) -> bool:
        if self._depth and threading.current_thread() is self._runner:
            raise AssertionError("work on the clock must not wait on it: yield from a process instead")
        with self._waiting():
            while True:
                self._raise_failure()
                with self._turn:
                    if condition():
                        return True
                    timer = self._pop(deadline)
                    if timer is None:
                        break
                    self._jump(timer.when)
                    self._run(timer)
            self._jump(deadline)
            return condition()

    @contextlib.contextmanager
    def _waiting(self) -> Iterator[None]:
        """While somebody waits, that thread runs what is due, and the clock's own thread rests."""
        with self._changed:
            self._waiters += 1
        try:
            yield
        finally:
            with self._changed:
                self._waiters -= 1
                self._changed.notify_all()

    def _pop(self, deadline: float) -> Timer | None:
        with self._heap:
            while self._timers and self._timers[0].cancelled:
                heapq.heappop(self._timers)
            if self._timers and self._timers[0].when <= max(deadline, self.now() if self.flow else deadline):
                return heapq.heappop(self._timers)
            return None

    def _jump(self, when: float) -> None:
        with self._changed:
            ahead = when - self.now()
            if ahead > 0:
                self._offset += ahead
                self._wake()

    def _wake(self) -> None:
        """Have the clock's own thread look again, unless somebody waits and does its work."""
        if not self._waiters:
            self._changed.notify_all()

    def _run(self, timer: Timer) -> None:
        self._depth += 1
        self._runner = threading.current_thread()
        try:
            timer.action()
        finally:
            self._depth -= 1

    _runner: threading.Thread | None = None

    # flowing ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Where time flows: run due work on a thread of its own until `stop`."""
        if not self.flow or self._pump is not None:
            return
        self._pump = threading.Thread(target=self._flow, name="clock", daemon=True)
        self._pump.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._pump is not None and self._pump is not threading.current_thread():
            self._pump.join(timeout=10)
        self._pump = None

    def _flow(self) -> None:
        while not self._stopping and self._failure is None:
            with self._changed:
                if self._waiters:
                    self._changed.wait(timeout=0.5)
                    continue
            with self._turn:
                timer = self._pop(self.now())
                if timer is not None and not self._stopping:
                    try:
                        self._run(timer)
                    except BaseException as failure:  # handed to whoever waits next: a bug must not pass in silence
                        self._failure = failure
                    continue
            with self._changed:
                due = self._timers[0].when - self.now() if self._timers else 1.0
                if due > 0 and not self._stopping:
                    self._changed.wait(timeout=min(due / self.flow, 0.5))

    def fail(self, failure: BaseException) -> None:
        """Let whoever waits on the clock next see `failure`: something the estate needs is gone. From any thread."""
        with self._changed:
            self._failure = self._failure or failure
            self._changed.notify_all()

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


def _repeat(seconds: float, action: Callable[[], None], first_after: float) -> Process:
    yield first_after
    while True:
        action()
        yield seconds


def iso(when: float) -> str:
    """Epoch seconds as Azure writes a time: `2018-06-04T08:00:00.1234567Z`, trailing zeros cut."""
    text = datetime.fromtimestamp(when, UTC).isoformat()[: -len("+00:00")]
    return (text.rstrip("0") if "." in text else text) + "Z"
