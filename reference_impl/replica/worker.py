"""The replica worker: takes work from the Site Recovery service, messages from the queue, and applies logs.

Several may run: they meet only in storage, by the visibility of messages and the lease of each replica's state.
"""

import base64
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reference_impl import stores, wire
from reference_impl.hrl import DamagedLog
from reference_impl.outside import BlobStore, Clock, Host, OpenStore, Process, QueueMessage
from reference_impl.replica.applying import Replica
from reference_impl.replica.points import Point, superfluous
from reference_impl.replica.tasks import TASKS, WorkFailed
from reference_impl.rules import Rules
from reference_impl.times import epoch, iso

VERSION = "9.13.0.0"
REGISTER_AGAIN_SECONDS = (5.0, 15.0, 30.0)
#: Between two looks into the queues: after something came, and when it is quiet.
BUSY_SECONDS, QUIET_SECONDS = 3.0, 10.0
BACK_OFF_SECONDS = 15.0
VISIBILITY_SECONDS = 60
#: Logs that are applied under one lease, before anything else on the clock gets its turn.
BATCH = 8
BATCH_REST_SECONDS = 0.05


@dataclass(slots=True)
class ServiceTime:
    """The time of the service, as of its last answer: workers whose own clocks differ must agree on how old a point is."""

    clock: Clock
    ahead: float = 0.0  #: seconds that this worker's own clock is ahead

    def now(self) -> float:
        return self.clock.now() - self.ahead

    def uuid(self) -> str:
        return self.clock.uuid()

    def learn(self, said: object) -> None:
        """What the service says the time is; anything else is ignored."""
        with suppress(ValueError):
            self.ahead = self.clock.now() - epoch(str(said))


class ReplicaWorker:
    """One worker. Everything it must not forget is in storage; `folder` keeps what it was told to replicate."""

    def __init__(
        self,
        host: Host,
        clock: Clock,
        folder: Path,
        *,
        service_url: str,
        registration_key: str,
        open_store: OpenStore,
        name: str,
        rules: Rules,
        machine_id: str = "",
        version: str = VERSION,
    ):
        """`service_url` is like `https://siterecovery.drillbed`."""
        self.host, self.clock, self.folder, self.rules = host, clock, folder, rules
        self.name, self.version, self._key, self._open_store = name, version, registration_key, open_store
        self._service = wire.Client(host, service_url.rstrip("/"))
        self._time = ServiceTime(clock)
        self.id, self._machine_id = "", machine_id or clock.uuid()
        self._heartbeat_seconds, self._poll_seconds, self._failures = 60.0, 10.0, 0
        self._told: dict[str, dict[str, Any]] = {}
        self._replicas: dict[str, Replica] = {}
        self._points: dict[str, list[Point]] = {}
        self._reported: dict[str, tuple[str, ...]] = {}
        self.damaged: dict[str, str] = {}  #: machine id to what is wrong with its next log

    # life ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._restore()
        self.clock.spawn(self._control(), name="control")
        self.clock.spawn(self._poll(), name="queues")

    def stop(self) -> None:
        self.kill()

    def kill(self) -> None:
        self.clock.cancel_all()

    # service ---------------------------------------------------------------------------------------------------------

    def _control(self) -> Process:
        beat_at = 0.0
        while True:
            if not self._service.token and not self._register():
                pause = REGISTER_AGAIN_SECONDS[min(self._failures, len(REGISTER_AGAIN_SECONDS) - 1)]
                self._failures += 1
                yield pause
                continue
            self._failures = 0
            if self.clock.now() >= beat_at:
                beat_at = self.clock.now() + self._heartbeat_seconds
                self._beat()
                self._prune_all()
            self._take_work()
            yield self._poll_seconds

    def _register(self) -> bool:
        said = {"registrationKey": self._key, "role": "replica-worker", "name": self.name, "machineId": self._machine_id}
        said |= {"address": self.host.address or self.host.name, "version": self.version, "time": iso(self.clock.now())}
        try:
            answer = self._service.call("POST", "/components/register", said)
        except (OSError, wire.Refused):
            return False
        self.id, self._service.token = str(answer["componentId"]), str(answer["token"])
        self._heartbeat_seconds = float(answer.get("heartbeatSeconds", 60))
        self._poll_seconds = float(answer.get("pollSeconds", 10))
        self._save()
        return True

    def _call(self, path: str, payload: Mapping[str, Any]) -> dict[str, Any] | None:
        """A call to the service: None when it has to be tried again, empty when it was refused."""
        try:
            return self._service.call("POST", f"/components/{wire.part(self.id)}/{path}", payload)
        except OSError:
            return None
        except wire.Refused as no:
            if no.status != 401:
                return {}
            self._service.token = ""
            return None

    def _beat(self) -> None:
        self._forget_repaired()
        damaged = [{"machineId": machine, "symptom": "log-damaged", "detail": text} for machine, text in self.damaged.items()]
        answer = self._call("heartbeat", {"time": iso(self.clock.now()), "symptoms": damaged})
        self._time.learn((answer or {}).get("time"))

    def _forget_repaired(self) -> None:
        """What one worker found damaged another may have applied since, after it was sent again."""
        for machine_id in list(self.damaged):
            replica = self.find(machine_id)
            try:
                if replica is None or not replica.damaged():
                    self.damaged.pop(machine_id, None)
            except stores.STORE_ERRORS:
                continue

    def _take_work(self) -> None:
        answer = self._call("work", {"waitSeconds": 0})
        for item in (answer or {}).get("work", []):
            self.clock.spawn(self._do(str(item["workId"]), str(item["kind"]), item.get("input", {})), name=f"work {item['kind']}")

    def _do(self, work_id: str, kind: str, said: Mapping[str, Any]) -> Process:
        """One item of work; storage that is away is waited for, the service is told in any case."""
        result: dict[str, Any] = {"state": "failed", "error": {"reason": "unknown-work", "message": f"{kind} is not known here"}}
        while kind in TASKS:
            try:
                output = yield from TASKS[kind](self, said)
                result = {"state": "succeeded", "progress": 100, "output": output}
                break
            except WorkFailed as fault:
                result = {"state": "failed", "error": {"reason": fault.reason, "message": str(fault)}}
                break
            except (KeyError, TypeError, ValueError) as fault:
                result = {"state": "failed", "error": {"reason": "malformed", "message": f"{kind}: {fault}"}}
                break
            except stores.STORE_ERRORS as fault:
                self._call(
                    f"work/{work_id}", {"state": "running", "progress": 0, "output": {"waitingFor": stores.code_of(fault)}}
                )
                yield BACK_OFF_SECONDS
        while self._call(f"work/{work_id}", result) is None:
            yield BACK_OFF_SECONDS

    # assignments -----------------------------------------------------------------------------------------------------

    def assign(self, said: Mapping[str, Any], *, key: bytes) -> Replica:
        machine_id = str(said["machineId"])
        replica = Replica.of(said, key, self.host, self._time, self._open_store, self.rules)
        self._told[machine_id], self._replicas[machine_id] = dict(said), replica
        self._points.pop(machine_id, None)
        self.damaged.pop(machine_id, None)
        self._save()
        return replica

    def unassign(self, machine_id: str) -> None:
        for table in (self._told, self._replicas, self._points, self._reported, self.damaged):
            table.pop(machine_id, None)
        self._save()

    def find(self, machine_id: str) -> Replica | None:
        return self._replicas.get(machine_id)

    def replica(self, machine_id: str) -> Replica:
        found = self._replicas.get(machine_id)
        if found is None:
            raise WorkFailed("unknown-machine", f"machine {machine_id} is not replicated by this worker")
        return found

    def store(self, said: Mapping[str, str]) -> BlobStore:
        return self._open_store(self.host, said)

    def _save(self) -> None:
        partial = self.folder / "worker.tmp"
        partial.touch(mode=0o600)
        partial.write_text(json.dumps({"id": self.id, "token": self._service.token, "replicate": list(self._told.values())}))
        partial.replace(self.folder / "worker.json")

    def _restore(self) -> None:
        try:
            kept = json.loads((self.folder / "worker.json").read_text())
        except (OSError, ValueError):
            return
        self.id, self._service.token = str(kept["id"]), str(kept["token"])
        for said in kept["replicate"]:
            key = base64.b64decode(said["dataKey"])
            self._told[said["machineId"]] = said
            self._replicas[said["machineId"]] = Replica.of(said, key, self.host, self._time, self._open_store, self.rules)

    # processing ------------------------------------------------------------------------------------------------------

    def _poll(self) -> Process:
        """Look into the queues of all caches that this worker serves."""
        quiet = 0
        while True:
            found = False
            for store, queue in self._queues():
                try:
                    messages = store.receive(queue, visibility=VISIBILITY_SECONDS)
                except stores.STORE_ERRORS:
                    continue
                found = found or bool(messages)
                yield from self._serve(store, queue, messages)
            quiet = 0 if found else quiet + 1
            yield BUSY_SECONDS if quiet < 5 else QUIET_SECONDS

    def _queues(self) -> list[tuple[BlobStore, str]]:
        known: dict[tuple[str, str], tuple[BlobStore, str]] = {}
        for machine_id, said in self._told.items():
            cache = said["cache"]
            known.setdefault((cache["account"], cache["queue"]), (self._replicas[machine_id].cache, cache["queue"]))
        return list(known.values())

    def _serve(self, store: BlobStore, queue: str, messages: list[QueueMessage]) -> Process:
        named: dict[str, list[QueueMessage]] = {}
        for message in messages:
            named.setdefault(self._addressee(message), []).append(message)
        for machine_id, received in named.items():
            replica = self.find(machine_id)
            try:
                if replica is not None:
                    yield from self.advance(replica)
                for message in received if replica is not None or not machine_id else ():
                    store.delete_message(queue, message)
            except WorkFailed:
                continue  # it is in `damaged`; the message comes again
            except stores.STORE_ERRORS:
                yield BATCH_REST_SECONDS

    def _addressee(self, message: QueueMessage) -> str:
        """The machine a message is about; empty for one that nobody can use any more."""
        try:
            said = json.loads(message.text)
            machine_id, generation = str(said["machineId"]), int(said["generation"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return ""
        replica = self.find(machine_id)
        return "" if replica is not None and generation < replica.generation else machine_id

    def advance(self, replica: Replica) -> Process:
        """Apply all logs that are there, some at a time, and report."""
        more = True
        while more:
            try:
                with replica.held() as here:
                    more = replica.advance(here, BATCH)
            except (DamagedLog, ValueError) as fault:
                self.damaged[replica.machine_id] = str(fault)
                raise WorkFailed("log-damaged", f"a log of machine {replica.machine_id} must not be applied: {fault}") from None
            self.damaged.pop(replica.machine_id, None)
            self._note(replica, here.state.points, here.state.processed, here.state.processed_time)
            if more:
                yield BATCH_REST_SECONDS
        return here.state.processed

    def _note(self, replica: Replica, points: list[Point], processed: int, when: float) -> None:
        known = self._points.get(replica.machine_id, [])
        removed = [point.point_id for point in known if point not in points]
        names = (str(replica.generation), str(processed), *(point.point_id for point in points))
        if self._reported.get(replica.machine_id) != names:
            self.report(replica, points, removed, processed, when)

    def report(self, replica: Replica, points: list[Point], removed: list[str], processed: int, when: float) -> None:
        """Tell the service which points there are (all of them) and how far processing is (RPT-010)."""
        self._points[replica.machine_id] = list(points)
        prefix = f"{replica.machine_id}/{replica.generation}/"
        try:
            entries = replica.cache.list_blobs(replica.container, prefix)
        except stores.STORE_ERRORS:
            entries = []
        pending = [entry.size for entry in entries if int(entry.name[len(prefix) :].partition(".")[0]) > processed]
        answer = self._call(
            "recovery-points",
            {
                "machineId": replica.machine_id,
                "generation": replica.generation,
                "points": [
                    {
                        "pointId": point.point_id,
                        "time": iso(point.time),
                        "type": point.type,
                        "multiVm": point.multi_vm,
                        "processedSequence": point.sequence,
                    }
                    for point in points
                ],
                "removed": removed,
                "processedSequence": processed,
                "processedTime": iso(when),
                "pendingLogBytes": sum(pending),
            },
        )
        if answer is not None:
            names = (str(replica.generation), str(processed), *(point.point_id for point in points))
            self._reported[replica.machine_id] = names

    def _prune_all(self) -> None:
        """Points age also where nothing new comes."""
        for machine_id, points in list(self._points.items()):
            replica = self.find(machine_id)
            if replica is None or not superfluous(
                points, self._time.now(), replica.retention_minutes, thin=self.rules.thin_points
            ):
                continue
            try:
                with replica.held() as here:
                    gone = replica.prune(here)
                self.report(
                    replica,
                    here.state.points,
                    [point.point_id for point in gone],
                    here.state.processed,
                    here.state.processed_time,
                )
            except (*stores.STORE_ERRORS, ValueError):
                continue
