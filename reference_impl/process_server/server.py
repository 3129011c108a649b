"""The process server: takes replication data on 9443 from the agents it was told of, keeps it safe, and passes it on.

Handlers only change state and files; whatever goes out to others happens on the clock.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reference_impl import records, wire
from reference_impl.alarm import Alarm
from reference_impl.identity import name_on
from reference_impl.outside import Clock, Host, Listener, OpenStore, Process
from reference_impl.process_server.cache import Lane, Room, open_lane, write_whole
from reference_impl.process_server.crew import Crew
from reference_impl.process_server.sinks import Digests, MasterTargetSink, Sink, Step, StorageSink
from reference_impl.process_server.throttle import Throttle
from reference_impl.records import MAX_SEGMENT, DamagedSegment
from reference_impl.rules import Rules
from reference_impl.times import iso
from reference_impl.wire import Answer, Refusal, Request, Route, WireApp

CACHE_BYTES = 4 << 30
VERSION = "9.13.0.0"
REGISTER_AGAIN_SECONDS = (5.0, 15.0, 30.0)
BACK_OFF_SECONDS = (5.0, 10.0, 20.0, 30.0)
FULL_SECONDS = 30
LOOK_AGAIN_SECONDS = 2.0
#: Steps of one machine before the others get their turn.
BURST = 8
IDLE_LOOK_SECONDS = 60.0


@dataclass(slots=True)
class Machine:
    """One machine as the configuration server described it, with what is cached of it."""

    settings: dict[str, Any]
    lane: Lane
    sink: Sink
    alarm: Alarm
    asked: dict[tuple[str, int], Digests] = field(default_factory=dict)  #: checksums by disk and sequence
    failures: int = 0
    blocked: bool = False


class ProcessServer:
    """One process server. `stop` and `kill` differ in nothing: whatever was acknowledged is in the folder."""

    def __init__(
        self,
        host: Host,
        clock: Clock,
        folder: Path,
        *,
        configuration_server_url: str,
        passphrase: str,
        machine_id: str,
        name: str,
        zone: str,
        open_store: OpenStore,
        rules: Rules,
        port: int | None = None,
        version: str = VERSION,
        cache_bytes: int = CACHE_BYTES,
        sync: bool = True,
        throttle: Throttle | None = None,
    ):
        """`zone` is `onprem` or `azure`; `port` is that of the data (NET-002), the rule's unless given.

        `sync` has each segment synced to the disk before it is acknowledged; without it the cache outlives a kill of the
        process, but not a power loss of the machine it runs on. `throttle` limits what is sent by hour of the day.
        """
        self.host, self.clock, self.folder, self.rules = host, clock, folder, rules
        self.machine_id, self.name, self.zone, self.version = machine_id, name, zone, version
        self.port, self.cache_bytes, self._open_store, self._passphrase = (
            port or rules.data_port,
            cache_bytes,
            open_store,
            passphrase,
        )
        self._server = wire.Client(host, configuration_server_url.rstrip("/"))
        self.id, self._heartbeat_seconds, self._failures, self._full = "", 30.0, 0, False
        self._disk_full, self._authority = False, ""
        self.machines: dict[tuple[str, int], Machine] = {}
        self._listener: Listener | None = None
        self._saved, self._sync = "", sync
        self._crew, self._room, self.throttle = Crew(), Room(), throttle or Throttle()

    # life ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Register and listen; one that was registered before listens at once. Raises `OSError` when its folder is of no use."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._restore()
        with suppress(OSError):
            self._listen((self.folder / "authority.pem").read_text())
        self.clock.spawn(self._control(), name="control")

    def stop(self) -> None:
        self.kill()

    def kill(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for machine in self.machines.values():
            machine.alarm.close()
            machine.lane.spool.close()
        self.clock.cancel_all()
        self._crew.close()

    # configuration server --------------------------------------------------------------------------------------------

    def _control(self) -> Process:
        while True:
            if not self._server.token and not self._register():
                pause = REGISTER_AGAIN_SECONDS[min(self._failures, len(REGISTER_AGAIN_SECONDS) - 1)]
                self._failures += 1
                yield pause
                continue
            self._failures = 0
            self._beat()
            yield self._heartbeat_seconds if self._server.token else REGISTER_AGAIN_SECONDS[0]

    def _register(self) -> bool:
        said = {"passphrase": self._passphrase, "role": "process-server", "machineId": self.machine_id, "name": self.name}
        said |= {"address": self.host.address or self.host.name, "version": self.version, "osType": "WINDOWS"}
        try:
            answer = self._server.call("POST", "/register", said | {"zone": self.zone, "port": self.port})
            authority = str(answer["authority"])
        except (OSError, wire.Refused, KeyError):
            return False
        self._listen(authority)
        self.id, self._server.token = str(answer["id"]), str(answer["token"])
        self._heartbeat_seconds = float(answer.get("heartbeatSeconds", 30))
        return True

    def _listen(self, authority: str) -> None:
        """Open the port of the data for agents that this authority has signed. Raises `OSError` when the port is taken."""
        if self._listener is not None and self._authority == authority:
            return
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self._listener = self.host.listen(self.port, self._application(), clients=authority.encode())
        self._authority = authority
        try:
            write_whole(self.folder / "authority.pem", authority.encode())
        except OSError:
            self._disk_full = True  # after a kill it will not listen before it has registered

    def _beat(self) -> None:
        try:
            answer = self._server.call("POST", f"/heartbeat/{wire.part(self.id)}", self._state())
        except OSError:
            return
        except wire.Refused as no:
            if no.status in (401, 403, 404):
                self._server.token = ""
            return
        self._apply(answer.get("machines", []))

    def _state(self) -> dict[str, Any]:
        machines = list(self.machines.values())
        blocked = any(machine.blocked for machine in machines)
        return {
            "time": iso(self.clock.now()),
            "cacheBytes": self._used(),
            "cacheLimitBytes": self.cache_bytes,
            "uploadPendingBytes": sum(machine.lane.pending_bytes for machine in machines),
            "machines": [_describe(machine) for machine in machines],
            "symptoms": ["cache-full"] * self._cannot_keep() + ["upload-blocked"] * blocked,
        }

    def _cannot_keep(self) -> bool:
        """The cache is at its limit, or its disk had no room since the last heartbeat and has none now."""
        if self._disk_full:
            try:
                write_whole(self.folder / "room", bytes(4096))
                (self.folder / "room").unlink()
            except OSError:
                return True
            self._disk_full = False
        return self._full

    def _used(self) -> int:
        return sum(machine.lane.cache_bytes for machine in list(self.machines.values()))

    # settings --------------------------------------------------------------------------------------------------------

    def _apply(self, wanted: list[dict[str, Any]]) -> None:
        """Serve exactly these machines."""
        keys = {(str(settings["machineId"]), int(settings["generation"])): settings for settings in wanted}
        for key in [key for key in self.machines if key not in keys]:
            machine = self.machines.pop(key)
            machine.alarm.close()
            machine.lane.destroy()
        for key, settings in keys.items():
            if key in self.machines:
                self.machines[key].settings.update(settings)
            else:
                try:
                    self.machines[key] = self._serve(dict(settings))
                except OSError:
                    self._disk_full = True  # the next heartbeat tries again
                    continue
            if settings.get("flush"):
                self.machines[key].alarm.set()
        self._save()

    def _serve(self, settings: dict[str, Any]) -> Machine:
        machine_id, generation = str(settings["machineId"]), int(settings["generation"])
        lane = open_lane(
            self.folder / wire.part(machine_id) / str(generation), machine_id, generation, sync=self._sync, room=self._room
        )
        sink: Sink
        if settings["sink"]["kind"] == "storage":
            sink = StorageSink(lane, self.host, self.clock, self.rules, self._open_store, settings, self._crew)
        else:
            sink = MasterTargetSink(lane, self.host, settings)
        alarm = Alarm(self.clock, lambda: self._turn(machine), f"pass on {machine_id}")
        machine = Machine(settings, lane, sink, alarm)
        alarm.set()
        return machine

    def _save(self) -> None:
        """Settings outlive a kill, so that agents are served again before the configuration server is."""
        text = json.dumps([machine.settings for machine in self.machines.values()])
        if text == self._saved:
            return
        try:
            write_whole(self.folder / "machines.json", text.encode())
        except OSError:
            self._disk_full = True  # the next heartbeat tries again; until then the older settings outlive a kill
            return
        self._saved = text

    def _restore(self) -> None:
        try:
            kept = json.loads((self.folder / "machines.json").read_text())
        except (OSError, ValueError):
            return
        for settings in kept:
            self.machines[str(settings["machineId"]), int(settings["generation"])] = self._serve(settings)

    # passing on ------------------------------------------------------------------------------------------------------

    def _turn(self, machine: Machine) -> None:
        """Some steps for one machine; then the next ones are planned."""
        if not self._known(machine):
            machine.alarm.back_off(LOOK_AGAIN_SECONDS)
            return
        self._fetch(machine)
        for _ in range(BURST):
            rest = self.throttle.rest(self.clock.now())
            if rest:
                machine.alarm.set(rest)
                return
            step = self._step(machine)
            if step == "moved":
                machine.failures, machine.blocked = 0, False
                continue
            if step == "lost":
                machine.lane.known = machine.lane.remembered = False
            if step in ("blocked", "lost"):
                pause = BACK_OFF_SECONDS[min(machine.failures, len(BACK_OFF_SECONDS) - 1)]
                machine.failures, machine.blocked = machine.failures + 1, True
                machine.alarm.back_off(pause)
                return
            machine.blocked = False
            break
        if machine.lane.pending_bytes:
            machine.alarm.set(machine.sink.linger() if step == "idle" else 0.0)
        elif step != "idle":
            machine.alarm.set()
        elif machine.lane.logs:
            machine.alarm.set(IDLE_LOOK_SECONDS)

    def _known(self, machine: Machine) -> bool:
        """Whether it has been found out what the far side has."""
        try:
            return machine.lane.known or machine.sink.position()
        except OSError:
            self._disk_full = True
            return False

    def _step(self, machine: Machine) -> Step:
        before = machine.sink.sent_bytes
        try:
            return machine.sink.step()
        finally:
            self.throttle.sent(self.clock.now(), machine.sink.sent_bytes - before)

    def _fetch(self, machine: Machine) -> None:
        """Checksums that an agent asked for."""
        for (disk, sequence), answer in list(machine.asked.items()):
            if answer == "later":
                machine.asked[disk, sequence] = machine.sink.checksums(disk, sequence)

    # data (9443) -----------------------------------------------------------------------------------------------------

    def _application(self) -> WireApp:
        base = "/machines/{machineId}/generations/{generation}"
        return WireApp(
            [
                Route("POST", f"{base}/segments", self._segments, limit=MAX_SEGMENT),
                Route("GET", f"{base}/position", self._position),
                Route("GET", f"{base}/disks/{{diskId}}/checksums", self._checksums),
            ],
            self._authorize,
        )

    def _authorize(self, request: Request) -> Machine:
        """Only machines that the configuration server named, each with its own certificate and token."""
        generation = request.params["generation"]
        machine_id = request.params["machineId"]
        machine = self.machines.get((machine_id, int(generation))) if generation.isdecimal() else None
        if name_on(request.certificate) != f"agent {machine_id}":
            raise Refusal(403, "NotYours", "the certificate is for another machine")
        if machine is not None and wire.same(request.token, str(machine.settings["agentToken"])):
            return machine
        raise Refusal(401, "Unauthorized", "this machine and generation are not served with that token")

    def _segments(self, request: Request) -> Answer | dict[str, Any]:
        machine: Machine = request.caller
        lane = machine.lane
        try:
            head = records.verify(request.body)
        except DamagedSegment as fault:
            raise Refusal(400, "DamagedSegment", str(fault)) from None
        if (head.machine_id, head.generation) != (lane.machine_id, lane.generation):
            raise Refusal(403, "NotYours", "the segment belongs to another machine or generation")
        used = self._used()
        if used and used + len(request.body) > self.cache_bytes:
            self._full = True
            raise Refusal(507, "CacheFull", "the cache is full", headers={"Retry-After": str(FULL_SECONDS)})
        self._full = False
        with lane.lock:
            self._need_known(lane)
            self._need_bound(request, lane, take_over=not lane.stream_id)
            if head.first > lane.received + 1 or head.first <= lane.received < head.last:
                raise Refusal(
                    409, "SequenceGap", "the segment does not continue what is here", extra={"ackSequence": lane.received}
                )
            try:
                lane.receive(head, request.body)
            except OSError:
                raise self._no_room() from None
            position = lane.received
        machine.alarm.set(machine.sink.linger())
        return {"ackSequence": position}

    def _need_known(self, lane: Lane) -> None:
        if not lane.known:
            raise Refusal(503, "NotReady", "it is being found out what the far side has", headers={"Retry-After": "5"})

    def _position(self, request: Request) -> dict[str, Any]:
        lane: Lane = request.caller.lane
        with lane.lock:
            self._need_known(lane)
            self._need_bound(request, lane, take_over=True)
            return {"ackSequence": lane.received}

    def _need_bound(self, request: Request, lane: Lane, *, take_over: bool) -> None:
        """Segments come from one run of one agent; whoever asks for the position takes over, and the one before is told so."""
        stream_id = request.query.get("stream", "")[:64]
        if stream_id == lane.stream_id:
            return
        if not take_over:
            raise Refusal(409, "AnotherAgent", "another agent with this identity sends segments")
        try:
            lane.bind(stream_id)
        except OSError:
            raise self._no_room() from None

    def _no_room(self) -> Refusal:
        self._disk_full = True
        return Refusal(507, "CacheFull", "the cache cannot be written", headers={"Retry-After": str(FULL_SECONDS)})

    def _checksums(self, request: Request) -> Answer:
        machine: Machine = request.caller
        sequence, disk = request.query.get("sequence", ""), request.params["diskId"]
        if not sequence.isdecimal() or disk not in {entry["diskId"] for entry in machine.settings["disks"]}:
            raise Refusal(400, "Malformed", "sequence is missing or the disk is not protected")
        answer = machine.asked.setdefault((disk, int(sequence)), "later")
        if answer == "later":
            machine.alarm.set()
            return Answer(202)
        del machine.asked[disk, int(sequence)]
        if answer == "none":
            raise Refusal(404, "NoReplica", "the far side holds nothing of this disk")
        return Answer(200, answer)


def _describe(machine: Machine) -> Mapping[str, Any]:
    lane = machine.lane
    return {
        "machineId": lane.machine_id,
        "generation": lane.generation,
        "receivedSequence": lane.received,
        "uploadedSequence": lane.uploaded,
        "lastTag": lane.last_tag,
        "uncompressedBytes": lane.raw_bytes,
        "compressedBytes": lane.stored_bytes,
        "pendingBytes": lane.pending_bytes,
    }
