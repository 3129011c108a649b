"""Answers that are held back, as over a slow line or from a busy vCenter: by method, with jitter."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from random import Random

from emulators.clock import Clock


class Delays:
    """`every` and `methods` are seconds of emulated time; `jitter` is the standard deviation divided by the delay."""

    def __init__(self, clock: Clock, every: float, methods: Mapping[str, float], jitter: float = 0.0):
        self._clock = clock
        self._every, self._methods, self._jitter = every, methods, jitter
        self._chance: Random = clock.random("delays")

    async def hold(self, method: str) -> None:
        """Wait as long as an answer to `method` is held back."""
        seconds = self._every + self._methods.get(method, 0.0)
        if self._jitter:
            seconds *= max(0.0, self._chance.gauss(1.0, self._jitter))
        if seconds <= 0:
            return
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(over.set)

        self._clock.call_later(seconds, tell, name=f"vcenter holds back {method}")
        await over.wait()
