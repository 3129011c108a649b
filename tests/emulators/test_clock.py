"""Emulated time: what is due runs, in order, and nothing else moves it."""

import threading
from collections.abc import Iterator

import pytest

from emulators.clock import Clock, iso


@pytest.fixture(params=[0.0, 1.0], ids=["virtual", "wall"])
def clock(request: pytest.FixtureRequest) -> Iterator[Clock]:
    made = Clock(seed=3, flow=request.param)
    yield made
    made.stop()


def test_wait_runs_what_is_due_in_order_of_time_then_of_scheduling(clock: Clock) -> None:
    seen: list[str] = []
    clock.call_later(20, lambda: seen.append("later"), name="later")
    clock.call_later(10, lambda: seen.append("first"), name="first")
    clock.call_later(10, lambda: seen.append("second"), name="second")
    clock.wait(15)
    assert seen == ["first", "second"]
    clock.wait(10)
    assert seen == ["first", "second", "later"]


def test_a_process_rests_for_what_it_yields_and_gives_its_result(clock: Clock) -> None:
    times: list[float] = []
    begin = clock.now()

    def process() -> Iterator[float]:
        for rest in (5.0, 60.0):
            times.append(round(clock.now() - begin))
            yield rest
        return "done"

    task = clock.spawn(process(), name="p")  # type: ignore[arg-type]
    assert clock.wait_until(lambda: task.done, seconds=600)
    assert (times, task.result) == ([0, 5], "done")
    assert round(clock.now() - begin) == 65


def test_an_emulated_day_takes_no_real_time(clock: Clock) -> None:
    begin, real = clock.now(), clock.real()
    clock.wait(86_400)
    assert clock.now() - begin >= 86_400
    assert clock.real() - real < 5


def test_cancelled_work_does_not_run(clock: Clock) -> None:
    seen: list[str] = []
    clock.call_later(1, lambda: seen.append("timer"), name="t").cancel()
    scope = clock.scope("component")
    scope.call_later(1, lambda: seen.append("scoped"), name="s")
    scope.every(1, lambda: seen.append("tick"), name="e")
    clock.wait(0.5)
    scope.cancel_all()
    scope.call_later(1, lambda: seen.append("too late"), name="l")
    clock.wait(10)
    assert seen == []


def test_a_process_that_is_cancelled_runs_its_finally(clock: Clock) -> None:
    seen: list[str] = []

    def process() -> Iterator[float]:
        try:
            yield 100.0
        finally:
            seen.append("cleaned up")

    task = clock.spawn(process(), name="p")  # type: ignore[arg-type]
    clock.wait(1)
    task.cancel()
    clock.wait(200)
    assert seen == ["cleaned up"]


def test_an_error_in_clock_work_reaches_whoever_waits(clock: Clock) -> None:
    def fail() -> None:
        raise KeyError("a bug")

    clock.call_later(1, fail, name="bug")
    with pytest.raises(KeyError, match="a bug"):
        clock.wait(2)


def test_work_may_not_wait_on_the_clock_that_runs_it(clock: Clock) -> None:
    clock.call_later(1, lambda: clock.wait(1), name="bad")
    with pytest.raises(AssertionError, match="yield from a process"):
        clock.wait(2)


def test_virtual_time_stands_still_outside_wait_and_one_seed_gives_one_sequence() -> None:
    one, two = Clock(seed=5), Clock(seed=5)
    assert one.now() == two.now() == one.now()
    assert [one.uuid(), one.random_bytes(4)] == [two.uuid(), two.random_bytes(4)]
    assert Clock(seed=6).uuid() != Clock(seed=5).uuid()


def test_a_flowing_clock_runs_due_work_by_itself() -> None:
    clock = Clock(flow=1000.0)
    ran = threading.Event()
    clock.start()
    try:
        clock.call_later(20, ran.set, name="t")
        assert ran.wait(timeout=10)
    finally:
        clock.stop()


def test_who_rests_does_not_move_on_to_what_is_due_later() -> None:
    clock = Clock(flow=1000.0)
    clock.start()
    try:
        later: list[float] = []
        soon: list[float] = []
        clock.call_later(1_000_000.0, lambda: later.append(clock.now()), name="in a quarter of an hour on the wall")
        clock.call_later(5.0, lambda: soon.append(clock.now()), name="soon")
        began = clock.now()
        clock.rest(20.0)
        assert clock.now() >= began + 20
        assert len(soon) == 1, "the clock's own thread did what was due"
        assert not later
        clock.fail(RuntimeError("the store is gone"))
        with pytest.raises(RuntimeError, match="the store is gone"):
            clock.rest(1_000_000.0)
    finally:
        clock.stop()


def test_secrets_are_not_seeded_where_time_flows() -> None:
    assert Clock(seed=5, flow=1).random_bytes(16) != Clock(seed=5, flow=1).random_bytes(16)


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (1528099200.0, "2018-06-04T08:00:00Z"),
        (1528099200.5, "2018-06-04T08:00:00.5Z"),
        (1528099200.25, "2018-06-04T08:00:00.25Z"),
    ],
)
def test_times_are_written_as_azure_writes_them(when: float, text: str) -> None:
    assert iso(when) == text
