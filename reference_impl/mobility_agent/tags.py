"""Recovery points begin here: tags in the stream, alone or together with the other members of a replication group.

A tag is put in while writes are held, so all disks of the machine belong together at it (REP-010). For a shared tag every
member's writes are held at once: the coordinator prepares all members over 20004, then commits the same tag and time on all
(MVM-001). A member that was written to meanwhile, or does not answer, makes the shared point fail; points of single machines go
on (NET-006).

A commit may fail on one member after it was done on others. So what a commit leaves is a point of that machine alone, and only
when all have it the coordinator confirms: then a second record with the same id and the group's name says that it is shared.
Confirmations are repeated until they arrive; a point that one member shows as shared is therefore in the streams of all.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from reference_impl import records, wire
from reference_impl.mobility_agent.stream import Stream
from reference_impl.outside import Clock, Guest, Host, Process, Timer
from reference_impl.records import TagKind
from reference_impl.rules import Rules
from reference_impl.wire import Refusal, Refused, Request, Route, WireApp

#: What became of a call: also `unknown`, when the other side never heard of what it is about.
CallOutcome: TypeAlias = Literal["done", "failed", "unknown"]

HOLD_SECONDS = 1.0
#: How long a member waits for the coordinator before it makes a point of its own.
GRACE_SECONDS = 15.0
#: A confirmation that does not arrive is sent again after these times, then given up.
CONFIRM_AGAIN_SECONDS = (5.0, 10.0, 20.0, 60.0, 60.0, 120.0, 300.0)
#: Tags that may still be confirmed.
UNCONFIRMED = 16


@dataclass(frozen=True, slots=True)
class LastTag:
    """The newest tag of a stream."""

    point_id: str
    when: float
    sequence: int
    kind: TagKind


@dataclass(frozen=True, slots=True)
class Group:
    """The replication group as the settings have it."""

    group_id: str
    coordinator: str
    members: Sequence[Mapping[str, Any]]

    @staticmethod
    def of(said: Mapping[str, Any] | None) -> "Group | None":
        if not said:
            return None
        return Group(str(said["groupId"]), str(said["coordinator"]), list(said["members"]))

    def member(self, machine_id: str) -> Mapping[str, Any] | None:
        return next((entry for entry in self.members if entry["machineId"] == machine_id), None)

    def others(self, machine_id: str) -> list[Mapping[str, Any]]:
        return [entry for entry in self.members if entry["machineId"] != machine_id]


@dataclass(slots=True)
class _Barrier:
    tag_id: str
    kind: TagKind
    sequence: int
    hold: ExitStack
    timer: Timer


@dataclass(slots=True)
class Tags:
    """Makes the tags of one machine's generation."""

    host: Host
    clock: Clock
    guest: Guest
    rules: Rules
    stream: Stream
    tagged: Callable[[], None]  #: a tag is in the stream: send it
    group: Group | None = None
    last: LastTag | None = None
    made: float = 0.0  #: when, by the estate's clock: that of the machine may jump (REP-017)
    last_app: float = 0.0
    unreachable: bool = False
    quiesce_failed: bool = False  #: the applications could not be held the last time
    _barrier: _Barrier | None = field(default=None)
    _unconfirmed: dict[str, TagKind] = field(default_factory=dict)

    # alone -----------------------------------------------------------------------------------------------------------

    def make(self, kind: TagKind) -> bool:
        """A tag of this machine alone; False while the far side cannot have all disks (REP-011)."""
        with self.guest.hold_writes():
            return self._put(self.clock.uuid(), kind, self.guest.now())

    def _put(self, point_id: str, kind: TagKind, when: float) -> bool:
        with self.stream.lock:
            if not (self.stream.capturing and self.stream.coverage.complete):
                return False
            number = self.stream.append(records.tag(point_id, kind, when))
            if not number:
                return False
            self.last = LastTag(point_id, when, number, kind)
            self.made = self.clock.now()
            self.last_app = self.made if kind == "app" else self.last_app
        self.tagged()
        return True

    def regular(self, kind: TagKind) -> None:
        """The tag that is due now: shared when this machine coordinates a group and all answer, else its own."""
        try:
            with self._quiesced(kind):
                if not (self._coordinates() and self.shared(kind)):
                    self.make(kind)
        except OSError:
            self.quiesce_failed = True  # RPT-003: no application-consistent point; the crash-consistent ones go on
            return
        self.quiesce_failed = self.quiesce_failed and kind != "app"

    def crash_loop(self, interval: float) -> Process:
        """RPT-001: a tag each `interval` seconds. One that comes from elsewhere (shared, application-consistent) counts."""
        while True:
            before = self.last
            due = interval if before is None else self.made + interval + self._grace() - self.clock.now()
            yield max(1.0, due)
            if self.last is before:
                self.regular("crash")
                if self.last is before:
                    yield interval

    def app_loop(self, interval: float) -> Process:
        """RPT-002: next to the crash-consistent ones. A shared one counts."""
        while True:
            yield interval
            yield self._grace()
            if self.clock.now() - self.last_app >= interval - GRACE_SECONDS:
                self.regular("app")

    def _grace(self) -> float:
        """Members leave the coordinator a little time to come first."""
        return 0.0 if self._coordinates() or self._alone() else GRACE_SECONDS

    def _quiesced(self, kind: TagKind) -> AbstractContextManager[None]:
        """Applications have flushed and rest meanwhile. Raises `OSError` when they could not be brought to it."""
        hook = self.guest.quiesce
        return hook() if kind == "app" and hook is not None else nullcontext()

    def can_quiesce(self) -> bool:
        """RPT-003: without a way to make the applications flush there are no application-consistent points."""
        return self.guest.quiesce is not None

    def _alone(self) -> bool:
        return self.group is None or not self.group.others(self.guest.machine_id)

    def _coordinates(self) -> bool:
        group = self.group
        return self.rules.shared_points and group is not None and not self._alone() and group.coordinator == self.guest.machine_id

    # coordinator -----------------------------------------------------------------------------------------------------

    def shared(self, kind: TagKind) -> bool:
        """Try one shared tag; whether a tag was made. Prepare and commit happen in one turn of the clock, so that writes are
        held as shortly as can be."""
        group = self.group
        assert group is not None
        if not self.stream.coverage.complete:
            return False
        tag_id, prepared = self.clock.uuid(), list[Mapping[str, Any]]()
        with self.guest.hold_writes():
            for member in group.others(self.guest.machine_id):
                if self._call(group, member, "prepare", {"tagId": tag_id, "kind": kind}) != "done":
                    self._abort(group, [*prepared, member], tag_id)
                    return False
                prepared.append(member)
            when = self.guest.now()
            committed = [self._call(group, member, "commit", {"tagId": tag_id, "time": when}) == "done" for member in prepared]
            made = self._put(tag_id, kind, when)
        if made and all(committed):
            self.unreachable = False
            self._mark_shared(tag_id, kind, group.group_id)
            for member in prepared:
                self.clock.spawn(self._confirm(group, member, tag_id), name="confirm a shared point")
        else:
            self._abort(group, prepared, tag_id)
        return made

    def _confirm(self, group: Group, member: Mapping[str, Any], tag_id: str) -> Process:
        for pause in CONFIRM_AGAIN_SECONDS:
            if self._call(group, member, "confirm", {"tagId": tag_id}) in ("done", "unknown"):
                return
            yield pause

    def _mark_shared(self, tag_id: str, kind: TagKind, group_id: str) -> bool:
        """The record that says of a tag before it that all members have it."""
        marked = self.stream.append(records.tag(tag_id, kind, self.guest.now(), group_id)) > 0
        self.tagged()
        return marked

    def _abort(self, group: Group, prepared: Sequence[Mapping[str, Any]], tag_id: str) -> None:
        for member in prepared:
            self._call(group, member, "abort", {"tagId": tag_id})

    def _call(self, group: Group, member: Mapping[str, Any], verb: str, payload: Mapping[str, Any]) -> CallOutcome:
        base = f"https://{member['address']}:{self.rules.group_port}"
        try:
            wire.Client(self.host, base, str(member["token"])).call(
                "POST", f"/barrier/{wire.part(group.group_id)}/{verb}", payload, timeout=HOLD_SECONDS
            )
        except OSError:
            self.unreachable = True
            return "failed"
        except Refused as no:
            return "unknown" if no.status == 404 else "failed"
        return "done"

    # member ----------------------------------------------------------------------------------------------------------

    def application(self) -> WireApp:
        """What listens on 20004."""
        return WireApp(
            [
                Route("POST", "/barrier/{groupId}/prepare", self._prepare),
                Route("POST", "/barrier/{groupId}/commit", self._commit),
                Route("POST", "/barrier/{groupId}/confirm", self._confirmed),
                Route("POST", "/barrier/{groupId}/abort", self._release),
            ],
            self._authorize,
        )

    def _authorize(self, request: Request) -> Group:
        """Each member has a token of its own for each other one: nobody can pass for the coordinator who is not."""
        group = self.group
        others = group.others(self.guest.machine_id) if group is not None else []
        caller = next((entry for entry in others if wire.same(request.token, str(entry.get("accept", "")))), None)
        if group is None or caller is None:
            raise Refusal(401, "Unauthorized", "not a member of this group")
        if request.params["groupId"] != group.group_id:
            raise Refusal(403, "NotYours", "this machine is not in that group")
        if caller["machineId"] != group.coordinator:
            raise Refusal(403, "NotYours", "another member coordinates this group")
        return group

    def _prepare(self, request: Request) -> dict[str, Any]:
        tag_id, kind = request.field("tagId"), request.json().get("kind", "crash")
        if kind not in ("crash", "app") or (kind == "app" and not self.can_quiesce()):
            raise Refusal(409, "NotReady", "this kind of point cannot be made here")
        with self.stream.lock:
            if not (self.stream.capturing and self.stream.coverage.complete):
                raise Refusal(409, "NotReady", "the copy of the disks is not complete")
            if self._barrier is not None:
                raise Refusal(409, "Busy", "another barrier is up")
        hold = ExitStack()
        try:
            hold.enter_context(self._quiesced(kind))
        except OSError as fault:
            self.quiesce_failed = True
            raise Refusal(409, "NotReady", f"the applications cannot be held: {fault}") from None
        hold.enter_context(self.guest.hold_writes())
        timer = self.clock.call_later(HOLD_SECONDS, lambda: self._drop(tag_id), name="barrier expires")
        self._barrier = _Barrier(tag_id, kind, self.stream.last, hold, timer)
        return {"sequence": self.stream.last}

    def _commit(self, request: Request) -> dict[str, Any]:
        tag_id, when = request.field("tagId"), request.field("time", float)
        barrier = self._barrier
        if barrier is None or barrier.tag_id != tag_id or self.stream.last != barrier.sequence:
            self._drop(tag_id)
            raise Refusal(409, "BarrierBroken", "writes went on before the tag came")
        try:
            if not self._put(tag_id, barrier.kind, when):
                raise Refusal(409, "NotReady", "nothing is captured")
        finally:
            self._drop(tag_id)
        self._unconfirmed[tag_id] = barrier.kind
        while len(self._unconfirmed) > UNCONFIRMED:
            self._unconfirmed.pop(next(iter(self._unconfirmed)))
        return {"sequence": self.stream.last}

    def _confirmed(self, request: Request) -> dict[str, Any]:
        tag_id = request.field("tagId")
        kind = self._unconfirmed.get(tag_id)
        if kind is None:
            raise Refusal(404, "NotFound", "no tag of that id waits to be confirmed")
        if not self._mark_shared(tag_id, kind, request.caller.group_id):
            raise Refusal(409, "NotReady", "nothing is captured")
        del self._unconfirmed[tag_id]
        return {}

    def _release(self, request: Request) -> dict[str, Any]:
        self._drop(request.field("tagId"))
        return {}

    def _drop(self, tag_id: str) -> None:
        barrier = self._barrier
        if barrier is not None and barrier.tag_id == tag_id:
            self._barrier = None
            barrier.timer.cancel()
            barrier.hold.close()

    def close(self) -> None:
        """Let writes go on, whatever was planned."""
        if self._barrier is not None:
            self._drop(self._barrier.tag_id)
