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
from reference_impl.process_server.sealing import SEAL_BYTES, data_key, newest_tag, seal
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
#: How often the worker's progress is looked up to make room in the cache.
LOOK_SECONDS = 60.0


class Sink(Protocol):
    """The far side of one lane."""

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
    _store: BlobStore | None = None
    _untold_bytes: int = 0
    _untold_marked: bool = False
    _told_at: float = 0.0
    _looked_at: float = 0.0
    _tags: dict[int, dict[str, Any] | None] = field(default_factory=dict)

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
        """Seal what waits into one log, or upload the oldest log that is not up yet."""
        try:
            log = next((log for log in self.lane.logs if log.last > self.lane.uploaded), None)
            if log is not None:
                return self._upload(log)
            taken = self.lane.take(SEAL_BYTES)
            if not taken:
                self._tell()
                self._look()
                return "idle"
            sealed = seal(self.lane, taken, self.clock, self.rules, data_key(self.settings))
            self.lane.sealed_as(taken, sealed.raw, sealed.digest)
            self._tags = {taken[0].first: sealed.tag}
            self._untold_marked = self._untold_marked or sealed.marked
            return "moved"
        except stores.STORE_ERRORS:
            self._store = None
            return "blocked"

    def _upload(self, log: LogFile) -> Step:
        """One Put Blob with `If-None-Match: *`: a log is written once and never changed."""
        raw = log.path.read_bytes()
        name = stores.log_name(self.lane.machine_id, self.lane.generation, log.first)
        try:
            self._open().put_blob(self._container, name, raw, if_absent=True)
        except ResourceExistsError:
            if self._open().get_blob(self._container, name)[-32:] != raw[-32:]:
                return "lost"  # somebody else writes logs for this machine: one of the two has an old memory
        self.lane.note_uploaded(log, self._tag_of(log, raw))
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
            self._tags = {log.first: next((tag for tag in reversed(tags) if tag is not None), None)}
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

    def _look(self) -> None:
        if self.lane.logs and self.clock.now() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = self.clock.now()
            state = self._state()
            if state is not None:
                self.lane.drop_logs(int(state.get("processedSequence", 0)))

    def position(self) -> bool:
        prefix = stores.log_name(self.lane.machine_id, self.lane.generation, 0).rpartition("/")[0] + "/"
        try:
            names = [entry.name for entry in self._open().list_blobs(self._container, prefix)]
            state = self._state() or {}
            position, chain = int(state.get("processedSequence", 0)), bytes.fromhex(state.get("chain", hrl.GENESIS.hex()))
            if names:
                newest = hrl.inspect(self._open().get_blob(self._container, names[-1]))
                if newest.last > position:
                    position, chain = newest.last, newest.digest
        except (*stores.STORE_ERRORS, ValueError):
            self._store = None
            return False
        self.lane.meet(position, chain, most=self.lane.sealed)
        return True

    def checksums(self, disk: str, sequence: int) -> Digests:
        """What a worker published for the `SYNC_BEGIN` at `sequence`; `none` when its replica was new and nothing came before."""
        try:
            state = self._state()
            if state is None:
                return "later"
            if state.get("fresh") and sequence <= len(self.settings["disks"]):
                return "none"
            published = state.get("checksums", {}).get(disk)
            if not isinstance(published, int) or published < sequence:
                return "later"
            return self._open().get_blob(self._container, stores.checksum_name(self.lane.machine_id, disk))
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


@dataclass(slots=True)
class MasterTargetSink:
    """The master target on premises: segments as they came."""

    lane: Lane
    host: Host
    settings: Mapping[str, Any]

    def linger(self) -> float:
        return MARK_SECONDS

    def step(self) -> Step:
        taken = self.lane.take(1)
        if not taken:
            return "idle"
        raw = taken[0].place.read()
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
