"""Sending the stream to the process server on 9443 as soon as there is something (REP-006); asking what the far side holds.

One timer: what is due first wins. Small traffic leaves about a second after the first write and then every few seconds; full
segments, tags and copies leave at once. What cannot be delivered waits in the stream.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from reference_impl import wire
from reference_impl.alarm import Alarm
from reference_impl.identity import Identity
from reference_impl.mobility_agent.driver import Driver
from reference_impl.mobility_agent.stream import SEGMENT_BYTES, Sealed, Stream
from reference_impl.outside import Clock, Host
from reference_impl.records import DIGEST

FIRST_SECONDS = 1.0
TRICKLE_SECONDS = 10.0
#: What a product with a replication interval would wait.
BATCH_SECONDS = 300.0
BACK_OFF_SECONDS = (5.0, 10.0, 20.0, 30.0)
#: Segments that are sent before other work on the clock gets its turn.
BURST = 8

Outcome = Literal["sent", "lost", "retry"]


@dataclass(slots=True)
class Door:
    """Where the process server listens and the token it knows this machine by."""

    address: str
    port: int
    token: str


@dataclass(slots=True)
class Shipping:
    """The way out of one machine's generation."""

    host: Host
    clock: Clock
    stream: Stream
    driver: Driver
    door: Door
    lost: Callable[[int], None]  #: the far side has only this much, and what follows is gone here
    superseded: Callable[[], None]  #: another agent with our identity has taken over
    at_once: bool = True  #: the rule `ship_at_once`
    unreachable: bool = False
    acknowledged: int = 0
    identity: Identity | None = None  #: what the process server is shown
    another: bool = False  #: another agent sends for this machine; only a new copy takes over again
    stream_id: str = field(init=False)  #: of this run of the agent: the process server takes segments of one only
    _bound: bool = False
    _alarm: Alarm = field(init=False)
    _sent_at: float = 0.0
    _posted: int = 0
    _failures: int = 0

    def __post_init__(self) -> None:
        self._alarm = Alarm(self.clock, self._turn, "ship")
        self.stream_id = self.clock.uuid()

    # when ------------------------------------------------------------------------------------------------------------

    def wrote(self) -> None:
        """The guest wrote something: make sure that it leaves soon."""
        if not self.at_once:
            self.kick(BATCH_SECONDS)
        elif self.stream.open_bytes >= SEGMENT_BYTES or self.stream.queue:
            self.kick(0.0)
        else:
            self.kick(max(FIRST_SECONDS, self._sent_at + TRICKLE_SECONDS - self.clock.now()))

    def kick(self, delay: float = 0.0) -> None:
        """Send what waits, at the latest `delay` seconds from now (later while the far side is not there)."""
        self._alarm.set(delay)

    def _turn(self) -> None:
        if self.send(BURST) and self.stream.waiting:
            self.kick()

    # sending ---------------------------------------------------------------------------------------------------------

    def send(self, most: int) -> bool:
        """Send up to `most` segments; False when the far side would not take one."""
        self.stream.seal()
        if not self._bound and not self._bind():
            return self._retry()
        for _ in range(most):
            sealed = self.stream.head()
            if sealed is None:
                break
            outcome = self._post(sealed)
            if outcome == "retry":
                return self._retry()
            self._failures, self._sent_at = 0, self.clock.now()
        return True

    def _retry(self) -> bool:
        self.stream.stick()
        pause = BACK_OFF_SECONDS[min(self._failures, len(BACK_OFF_SECONDS) - 1)]
        self._failures += 1
        self._alarm.back_off(pause)
        return False

    def _bind(self) -> bool:
        """Before the first segment of this run: what the process server has must be what ours continues."""
        position = None if self.another else self.position()
        if position is None:
            return False
        if self.driver.knows(position):
            self.stream.acknowledged(position)
            head = self.stream.head()
            if (head.first if head is not None else self.stream.next) == position + 1:
                return True
        self.lost(position)  # what it has came from somebody else, or what it lacks is gone here
        return True

    def _post(self, sealed: Sealed) -> Outcome:
        path = f"{self._base()}/segments?stream={self.stream_id}"
        self._posted = max(self._posted, sealed.last)  # a shutdown may send beside the clock: both are right
        self.driver.posted = max(self.driver.posted, sealed.last)
        try:
            reply = self._client().send("POST", path, sealed.read())
        except OSError:
            self.unreachable = True
            return "retry"
        self.unreachable = False
        said = wire.parse(reply)
        position = said.get("ackSequence")
        if reply.status == 409 and wire.refused(reply, said).code == "AnotherAgent":
            self.another, self._bound = True, False
            self.superseded()
            return "retry"
        if reply.status == 200 and isinstance(position, int) and sealed.last <= position <= self._posted:
            self.acknowledged = self.driver.acknowledged = position
            self.stream.acknowledged(position)
            return "sent"
        if reply.status in (200, 409) and isinstance(position, int):
            # It has less than we threw away or more than we ever sent: somebody was restored from an old copy.
            self.lost(position)
            return "lost"
        if reply.status == 507:
            self._alarm.back_off(_seconds(reply.headers.get("retry-after")))
        return "retry"

    def flush(self) -> bool:
        """Send everything now; True when nothing waits any more."""
        while self.stream.waiting:
            if not self.send(BURST):
                return False
        return True

    def close(self) -> None:
        self._alarm.close()

    # asking ----------------------------------------------------------------------------------------------------------

    def position(self) -> int | None:
        """The last number the process server has; None when it cannot be asked now. From here on it takes from us only."""
        try:
            said = self._client().call("GET", f"{self._base()}/position?stream={self.stream_id}")
        except OSError:
            self.unreachable = True
            return None
        except wire.Refused:
            return None
        self.unreachable = False
        position = said.get("ackSequence")
        if not isinstance(position, int) or position < 0:
            return None
        self.acknowledged = position
        self._bound, self.another = True, False
        return position

    def checksums(self, disk_id: str, sequence: int) -> bytes | Literal["none", "later"]:
        """What the far side holds of a disk: digests, `none`, or `later` when it does not know yet."""
        path = f"{self._base()}/disks/{wire.part(disk_id)}/checksums?sequence={sequence}"
        try:
            reply = self._client().send("GET", path)
        except OSError:
            self.unreachable = True
            return "later"
        self.unreachable = False
        if reply.status == 404 and wire.refused(reply, wire.parse(reply)).code == "NoReplica":
            return "none"
        return reply.body if reply.status == 200 and len(reply.body) % DIGEST == 0 else "later"

    def _client(self) -> wire.Client:
        return wire.Client(self.host, f"https://{self.door.address}:{self.door.port}", self.door.token, self.identity)

    def _base(self) -> str:
        return f"/machines/{wire.part(self.stream.machine_id)}/generations/{self.stream.generation}"


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdecimal() else BACK_OFF_SECONDS[0]
