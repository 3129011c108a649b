"""Ctrl-C and its like: one interruption, once, so that closing down is never itself interrupted."""

import os
import signal
import sys
from typing import Any

#: Ctrl-C, `kill`, and the terminal going away. Each ends a command in order.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: Whoever asks so often wants out at once, whatever that leaves in the output folder. Azurite ends with its parent in any case.
ENOUGH = 10

#: Real seconds after which an interruption that got lost comes again.
AGAIN_SECONDS = 0.01


class Interrupted(KeyboardInterrupt):
    """A signal asked to stop."""


class Interruption:
    """Turns the first signal into `Interrupted` and ignores those that come while everything is being closed.

    `number` is the signal that came, or None.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._seen = 0
        self._watched: set[int] = set()

    def watch(self) -> None:
        """Take over the process's signals. `nohup` keeps its meaning; `kill -INT` works behind a script's `&`, too."""
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._take(number, self._came)
        self._take(signal.SIGALRM, self._came)
        sys.unraisablehook = self._lost

    def over(self) -> None:
        """The command has ended: nothing is left to interrupt, and Python's own end must not be."""
        self._seen = max(self._seen, 1)
        for number in self._watched:
            signal.signal(number, signal.SIG_IGN)

    def _take(self, number: int, handler: Any) -> None:
        signal.signal(number, handler)
        self._watched.add(number)

    @property
    def code(self) -> int:
        """Exit code as shells have it: 130 after Ctrl-C."""
        return 128 + (self.number or signal.SIGINT)

    def _came(self, number: int, frame: Any) -> None:
        self._seen += 1
        if self._seen == 1:
            self.number = self.number or number
            raise Interrupted
        if self._seen >= ENOUGH:
            os._exit(128 + number)

    def _lost(self, lost: Any) -> None:
        """Python drops what is raised inside a destructor. An interruption must not get lost there."""
        if isinstance(lost.exc_value, Interrupted) and self.number is not None:
            self._seen = 0
            signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
        else:
            sys.__unraisablehook__(lost)
