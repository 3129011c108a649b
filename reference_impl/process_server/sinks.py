"""Where the records of a machine go from the cache: forward as logs into the cache account (NET-004), reverse as they are to the
master target (NET-010). Both also fetch what the far side holds, for the agent's comparison (REP-014)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from azure.core.exceptions import ResourceExistsError

from reference_impl import hrl, records, stores, wire
from reference_impl.outside import BlobStore, Clock, Host, OpenStore
from reference_impl.process_server.cache import Lane, LogFile
from reference_impl.process_server.crew import Crew
from reference_impl.process_server.sealing import SEAL_BYTES, SealedLog, Sealing, data_key, newest_tag
from reference_impl.records import DIGEST
from reference_impl.rules import Rules

#: What became of one step: nothing (more) to do, progress was made, the far side is not there, it has another history.
Step: TypeAlias = Literal["idle", "moved", "blocked", "lost"]
Digests: TypeAlias = bytes | Literal["none", "later"]

#: Small changes wait this long to become one log; marks (a tag, a sync) hardly.
LINGER_SECONDS = 15.0
MARK_SECONDS = 0.5
#: A worker is told of logs without marks when this much or this long has gathered.
NOTIFY_BYTES = 16 << 20
NOTIFY_SECONDS = 120.0
#: Sealed logs that are kept in memory until they are up; what is more is read again.
MOST_FRESH = 2
#: How often the worker's progress is looked up to make room in the cache.
LOOK_SECONDS = 60.0


class Sink(Protocol):
    """The far side of one lane. `sent_bytes` have left for it."""

    sent_bytes: int

    def step(self) -> Step: ...
    def linger(self) -> float: ...
    def position(self) -> bool:
        """Compare what the far side has with the folder, after a start; False when that cannot be told now."""
        ...

    def checksums(self, disk: str, sequence: int) -> Digests: ...


@dataclass(slots=True)
class StorageSink:
    """Logs as block blobs in the cache account, and messages for the workers."""

    lane: Lane
    host: Host
    clock: Clock
    rules: Rules
    open_store: OpenStore
    settings: Mapping[str, Any]
    crew: Crew
    sent_bytes: int = 0
    _store: BlobStore | None = None
    _untold_bytes: int = 0
    _untold_marked: bool = False
    _told_at: float = 0.0
    _looked_at: float = 0.0
    _processed: int = 0  #: as of the last look
    _given_up: int = 0  #: the log that could not be sent again
    _tags: dict[int, dict[str, Any] | None] = field(default_factory=dict)  #: of logs that are not up yet
    _fresh: dict[int, bytes] = field(default_factory=dict)  #: logs that were sealed just now

    @property
    def _cache(self) -> Mapping[str, str]:
        cache: Mapping[str, str] = self.settings["sink"]["cache"]
        return cache

    @property
    def _container(self) -> str:
        return self._cache.get("container", stores.LOGS)

    def linger(self) -> float:
        if self.lane.waits_for_mark:
            return MARK_SECONDS
        return 0.0 if self.lane.waiting_bytes >= SEAL_BYTES else LINGER_SECONDS

    def step(self) -> Step:
        """Seal what waits into one log, or upload the oldest log that is not up yet; both where there is much to do."""
        try:
            log = next((log for log in self.lane.logs if log.last > self.lane.uploaded), None)
            if log is not None:
                return self._upload_beside_sealing(log) if self.lane.waiting_bytes >= SEAL_BYTES else self._upload(log)
            sealing = self._sealing()
            if sealing is None:
                self._tell()
                return "moved" if self._look() else "idle"
            self._keep(sealing, sealing.seal())
            return "moved"
        except stores.STORE_ERRORS:
            self._store = None
            return "blocked"

    def _sealing(self) -> Sealing | None:
        """The next log to be made, if anything waits."""
        taken, clock, chain = self.lane.take(SEAL_BYTES), self.clock, self.lane.chain
        if not taken:
            return None
        salt = clock.random_bytes(32)
        return Sealing(self.lane, taken, chain, salt, clock.now(), self.rules, data_key(self.settings), self.crew)

    def _keep(self, sealing: Sealing, sealed: SealedLog) -> None:
        first = sealing.taken[0].first
        self.lane.sealed_as(sealing.taken, sealed.raw, sealed.digest)
        self._tags[first] = sealed.tag
        self._fresh.pop(first, None)
        if len(self._fresh) < MOST_FRESH:
            self._fresh[first] = sealed.raw
        self._untold_marked = self._untold_marked or sealed.marked

    def _upload_beside_sealing(self, log: LogFile) -> Step:
        """While the store takes a log, others make the next one of it: one waits for the wire, the other for the processor."""
        sealing = self._sealing()
        assert sealing is not None
        sealed = self.crew.begin(sealing.seal)
        try:
            return self._upload(log)
        finally:
            self._keep(sealing, sealed.result())

    def _upload(self, log: LogFile) -> Step:
        """One Put Blob with `If-None-Match: *`: a log is written once and never changed."""
        raw = self._fresh.get(log.first) or log.path.read_bytes()
        name = self._name(log.first)
        self.sent_bytes += len(raw)
        try:
            self._open().put_blob(self._container, name, raw, if_absent=True)
        except ResourceExistsError:
            there = self._open().get_blob(self._container, name)
            if there != raw and _sound(there) is not None:
                return "lost"  # somebody else writes logs for this machine: one of the two has an old memory
            if there != raw:
                self._open().put_blob(self._container, name, raw)  # nobody can have applied what is damaged
        self.lane.note_uploaded(log, self._tag_of(log, raw))
        self._tags.pop(log.first, None)
        self._fresh.pop(log.first, None)
        self._untold_bytes += log.size
        return "moved"

    def _tag_of(self, log: LogFile, raw: bytes) -> dict[str, Any] | None:
        """The newest tag in a log; after a restart it has to be opened for that."""
        if log.first not in self._tags:
            lane = self.lane
            opened = hrl.read(
                raw, data_key(self.settings), machine_id=lane.machine_id, generation=lane.generation, first=log.first
            )
            tags = [newest_tag(number, [mark]) for frame in opened.frames for number, mark in frame.marks()]
            self._tags[log.first] = next((tag for tag in reversed(tags) if tag is not None), None)
        return self._tags[log.first]

    def _tell(self) -> None:
        """A message when there is something worth to start for: a mark, much data, or some time."""
        lane, now = self.lane, self.clock.now()
        late = self._untold_bytes and now - self._told_at >= NOTIFY_SECONDS
        if not (self._untold_marked or late or self._untold_bytes >= NOTIFY_BYTES):
            return
        text = json.dumps({"machineId": lane.machine_id, "generation": lane.generation, "uploadedSequence": lane.uploaded})
        self._open().send(self._cache["queue"], text)
        self._untold_bytes, self._untold_marked, self._told_at = 0, False, now

    def _look(self) -> bool:
        """Make room where the worker has gone past; send again what the store lost or damaged (then True).

        What was processed at two looks is kept no longer: by the second a store has not forgotten the first any more.
        """
        if not self.lane.logs or self.clock.now() - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = self.clock.now()
        state = self._state()
        if state is None:
            return False
        processed = int(state.get("processedSequence", 0))
        self.lane.drop_logs(min(processed, self._processed))
        self._processed = processed
        return self._resend_forgotten(processed) or self._resend_damaged(state, processed)

    def _resend_forgotten(self, processed: int) -> bool:
        there = {entry.name for entry in self._open().list_blobs(self._container, self._prefix())}
        lost = (log for log in list(self.lane.logs) if processed < log.last <= self.lane.uploaded)
        first = next((log.first for log in lost if self._name(log.first) not in there), None)
        if first is None:
            return False
        self.lane.forgotten(first)
        self._untold_marked = True
        return True

    def _resend_damaged(self, state: Mapping[str, Any], processed: int) -> bool:
        """A worker cannot apply a log: put our copy in its place. Without one, give up all from there on, and say so."""
        first = int(state.get("damaged") or 0)
        if not first or first == self._given_up:
            return False
        chain = bytes.fromhex(state["chain"])
        copied = next((log for log in list(self.lane.logs) if log.first == first), None)
        raw = copied.path.read_bytes() if copied is not None else b""
        ours = _sound(raw)
        if ours is not None and ours.previous == chain:
            self._open().put_blob(self._container, self._name(first), raw)
            self._untold_marked = True
            return True
        self._given_up = first
        for entry in self._open().list_blobs(self._container, self._prefix()):
            if entry.name >= self._name(first):
                stores.delete_if_there(self._open(), self._container, entry.name)
        self.lane.restart_at(processed, chain)  # the agent finds that we have less than it sent: a resync is due (REP-013)
        return True

    def _prefix(self) -> str:
        return self._name(0).rpartition("/")[0] + "/"

    def _name(self, first: int) -> str:
        return stores.log_name(self.lane.machine_id, self.lane.generation, first)

    def position(self) -> bool:
        self._fresh.clear()
        self._tags.clear()
        try:
            names = [entry.name for entry in self._open().list_blobs(self._container, self._prefix())]
            state = self._state() or {}
            position, chain = int(state.get("processedSequence", 0)), bytes.fromhex(state.get("chain", hrl.GENESIS.hex()))
            due = int(state.get("logFirst", 1))  # the worker may be in the middle of it
            waiting = [name for name in names if name >= self._name(due)]
            whole = self._without_hole(waiting, due)
            for name in reversed(whole):
                newest = _sound(self._open().get_blob(self._container, name))
                if newest is not None:
                    position, chain = newest.last, newest.digest
                    break
            self.lane.meet(position, chain, most=self.lane.sealed)
            if self.lane.received <= position:  # what comes after a hole that nobody can fill would be in the way of new logs
                for name in waiting[len(whole) :]:
                    stores.delete_if_there(self._open(), self._container, name)
        except (*stores.STORE_ERRORS, ValueError):
            self._store = None
            self.lane.known = False
            return False
        return True

    def _without_hole(self, names: list[str], due: int) -> list[str]:
        """The logs from the one that the worker waits for up to the first that is missing: beyond it nothing can be applied."""
        for place, name in enumerate(names):
            head = self._open().get_blob(self._container, name, length=hrl.HEADER.size)
            first, last = hrl.span(head) if len(head) == hrl.HEADER.size else (0, 0)
            if first != due:
                return names[:place]
            due = last + 1
        return names

    def checksums(self, disk: str, sequence: int) -> Digests:
        """What a worker published for the `SYNC_BEGIN` at `sequence`; `none` when its replica was new and nothing came before."""
        try:
            state = self._state()
            if state is None:
                return "later"
            if state.get("fresh") and sequence <= len(self.settings["disks"]):
                return "none"
            number, name = state.get("checksums", {}).get(disk) or (0, "")
            if number < sequence:
                return "later"
            return self._open().get_blob(self._container, name) if name else "none"
        except stores.STORE_ERRORS:
            return "later"

    def _state(self) -> dict[str, Any] | None:
        return stores.get_json(self._open(), self._container, stores.state_name(self.lane.machine_id, self.lane.generation))

    def _open(self) -> BlobStore:
        if self._store is None:
            self._store = self.open_store(self.host, self._cache)
            stores.ensure_container(self._store, self._container)
            self._store.create_queue(self._cache["queue"])
        return self._store


def _sound(raw: bytes) -> hrl.LogHead | None:
    """What a log says; None when it is damaged."""
    try:
        return hrl.inspect(raw)
    except hrl.DamagedLog:
        return None


@dataclass(slots=True)
class MasterTargetSink:
    """The master target on premises: segments as they came."""

    lane: Lane
    host: Host
    settings: Mapping[str, Any]
    sent_bytes: int = 0

    def linger(self) -> float:
        return MARK_SECONDS

    def step(self) -> Step:
        taken = self.lane.take(1)
        if not taken:
            return "idle"
        raw = bytes(taken[0].read())
        try:
            reply = self._client().send("POST", f"{self._base()}/segments", raw)
        except OSError:
            return "blocked"
        position = wire.parse(reply).get("ackSequence")
        if isinstance(position, int) and reply.status in (200, 409):
            if position < taken[0].last:
                return "lost"
            segment = records.decode(raw)
            self.lane.passed_on(taken)
            self.lane.last_tag = newest_tag(segment.first, segment.records) or self.lane.last_tag
            return "moved"
        return "blocked"

    def position(self) -> bool:
        try:
            said = self._client().call("GET", f"{self._base()}/position")
        except (OSError, wire.Refused):
            return False
        position = said.get("ackSequence")
        if not isinstance(position, int) or position < 0:
            return False
        lost = position < self.lane.sealed  # it had more once
        self.lane.meet(position, hrl.GENESIS, most=-1 if lost else self.lane.received)
        return True

    def checksums(self, disk: str, sequence: int) -> Digests:
        path = f"{self._base()}/disks/{wire.part(disk)}/checksums?sequence={sequence}"
        try:
            reply = self._client().send("GET", path)
        except OSError:
            return "later"
        if reply.status == 404 and wire.refused(reply, wire.parse(reply)).code == "NoReplica":
            return "none"
        return reply.body if reply.status == 200 and len(reply.body) % DIGEST == 0 else "later"

    def _client(self) -> wire.Client:
        sink = self.settings["sink"]
        return wire.Client(self.host, f"https://{sink['address']}:{sink['port']}", str(sink["token"]))

    def _base(self) -> str:
        return f"/machines/{wire.part(self.lane.machine_id)}/generations/{self.lane.generation}"
