"""The master target as one program: registers with the configuration server, takes reverse data in on 9443, writes VMDK bytes.

It receives in the reverse direction only (TOP-006), from the process server in Azure, and only for machines whose settings the
configuration server has given it.
"""

import hmac
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reference_impl import records
from reference_impl.documents import Documents
from reference_impl.master_target.machine import ReverseMachine
from reference_impl.master_target.retention import Retention, RetentionFull
from reference_impl.outside import Clock, Disk, Guest, Host, Listener, Process
from reference_impl.rules import Rules
from reference_impl.times import iso
from reference_impl.wire import Answer, Client, Refusal, Refused, Request, Route, WireApp, part

#: Rest after a heartbeat or a registration that did not arrive.
RETRY_SECONDS = 10.0

#: What a machine's settings from the configuration server have to hold.
SETTINGS = {"machineId": str, "generation": int, "psToken": str, "disks": list, "retentionVolume": str}


class MasterTarget:
    """One master target in one guest. What it has acknowledged is in `folder`; another one on the same folder goes on."""

    def __init__(
        self,
        host: Host,
        guest: Guest,
        clock: Clock,
        folder: Path,
        *,
        configuration_server_url: str,
        passphrase: str,
        name: str,
        os_type: str,
        retention_volumes: Sequence[Mapping[str, Any]],
        rules: Rules,
        port: int = 9443,
        version: str = "9.13.0.0",
    ):
        """`retention_volumes` are `{"volumeName", "capacityInBytes", "freeSpaceInBytes", "thresholdPercentage"}`, optional
        `fileSystem` and `locked`; each that fits (RPR-014) becomes a folder under `folder`. Nothing happens before `start`.
        Raises `OSError` when the state cannot be read."""
        folder.mkdir(parents=True, exist_ok=True)
        self._host, self._guest, self._clock, self._folder = host, guest, clock, folder
        self._url, self._passphrase, self._name, self._os_type = configuration_server_url.rstrip("/"), passphrase, name, os_type
        self._volumes = {str(volume["volumeName"]): dict(volume) for volume in retention_volumes if _may_retain(volume)}
        self._rules, self._port, self._version = rules, port, version
        self._documents = Documents(folder / "master-target.sqlite")
        self._lock = threading.RLock()
        self._machines: dict[str, ReverseMachine] = {}
        self._listener: Listener | None = None
        self.registered = False
        for settings in self._documents.all("machine").values():
            self._take_up(settings)

    # life ------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen on 9443 and speak to the configuration server. Raises `OSError` when the port is taken."""
        self._listener = self._host.listen(self._port, self._application())
        self._clock.spawn(self._speak(), name="heartbeat")
        for machine in self._machines.values():
            with machine.lock:
                machine.work()

    def stop(self) -> None:
        """Nothing is running or listening any more; all that was acknowledged is in the folder. The same as a kill."""
        if self._listener is not None:
            self._listener.close()
        self._clock.cancel_all()
        with self._lock:
            self._documents.close()

    kill = stop

    # configuration server --------------------------------------------------------------------------------------------

    def _speak(self) -> Process:
        """Register, then heartbeats; registers again when the configuration server no longer knows us."""
        client, identity, rest = Client(self._host, self._url), "", RETRY_SECONDS
        while True:
            try:
                if not identity:
                    answer = client.call("POST", "/register", self._introduction())
                    identity, rest = str(answer["id"]), float(answer.get("heartbeatSeconds", 30))
                    client.token, self.registered = str(answer["token"]), True
                self._settings(client.call("POST", f"/heartbeat/{part(identity)}", self._state()).get("machines"))
                yield rest
            except Refused as refusal:
                if refusal.status in (401, 403, 404):
                    identity, client.token, self.registered = "", "", False
                yield RETRY_SECONDS
            except OSError:
                yield RETRY_SECONDS

    def _introduction(self) -> dict[str, Any]:
        return {
            "passphrase": self._passphrase,
            "role": "master-target",
            "machineId": self._guest.machine_id,
            "name": self._name,
            "address": self._host.address or self._host.name,
            "version": self._version,
            "osType": self._os_type,
            "zone": "onprem",
            "port": self._port,
            "disks": [{"unit": disk.unit, "serial": disk.serial, "sizeBytes": disk.size} for disk in self._guest.disks()],
            "dataStores": [],
            "retentionVolumes": self._volume_states(),
        }

    def _state(self) -> dict[str, Any]:
        with self._lock:
            machines = list(self._machines.values())
            return {
                "time": iso(self._clock.now()),
                "diskSerials": [disk.serial for disk in self._guest.disks() if disk.serial],
                "dataStores": [],
                "retentionVolumes": self._volume_states(),
                "machines": [machine.report() for machine in machines],
                "symptoms": sorted({machine.symptom for machine in machines if machine.symptom}),
            }

    def _volume_states(self) -> list[dict[str, Any]]:
        states = []
        for name, volume in self._volumes.items():
            held = sum(m.retention.held for m in self._machines.values() if m.settings["retentionVolume"] == name)
            states.append(volume | {"freeSpaceInBytes": max(0, int(volume["freeSpaceInBytes"]) - held)})
        return states

    # settings --------------------------------------------------------------------------------------------------------

    def _settings(self, said: Any) -> None:
        """What the configuration server wants for each machine. A machine it does not name is forgotten."""
        wanted = {entry["machineId"]: entry for entry in said or [] if _complete(entry)}
        with self._lock:
            for machine_id, machine in list(self._machines.items()):
                entry = wanted.get(machine_id)
                if entry is None or entry.get("commit") or entry.get("forget") or entry["generation"] != machine.generation:
                    self._forget(machine)
            for machine_id, entry in wanted.items():
                if entry.get("commit") or entry.get("forget"):
                    continue
                known = self._machines.get(machine_id)
                if known is None:
                    self._documents.put("machine", machine_id, entry)
                    self._take_up(entry)
                elif known.settings != entry:
                    self._documents.put("machine", machine_id, entry)
                    known.settings = entry
                machine = self._machines[machine_id]
                with machine.lock:
                    machine.work()

    def _take_up(self, settings: Mapping[str, Any]) -> None:
        """Make a machine from its settings and from what is kept of it."""
        machine_id = str(settings["machineId"])
        kept = self._documents.get("position", machine_id) or {}
        if kept.get("generation") != settings["generation"]:
            kept = {}
        coverage = records.Coverage(len(settings["disks"]))
        coverage.open = set(kept.get("open", coverage.open))
        volume = self._volumes.get(str(settings["retentionVolume"]), {"freeSpaceInBytes": 0})
        self._machines[machine_id] = ReverseMachine(
            clock=self._clock,
            rules=self._rules,
            find_disk=self._find_disk,
            save=self._save,
            retention=Retention(self._place(settings), int(volume["freeSpaceInBytes"])),
            settings=settings,
            applied=int(kept.get("applied", 0)),
            last_tag=kept.get("lastTag"),
            coverage=coverage,
        )

    def _place(self, settings: Mapping[str, Any]) -> Path:
        """The folder of a machine's generation on its retention volume. Names from outside are no paths."""
        volume, machine = (re.sub(r"[^A-Za-z0-9-]", "_", str(settings[name])) for name in ("retentionVolume", "machineId"))
        return self._folder / "retention" / volume / f"{machine}-{int(settings['generation'])}"

    def _save(self, machine: ReverseMachine) -> None:
        kept = {"generation": machine.generation, "applied": machine.applied, "lastTag": machine.last_tag}
        with self._lock:
            self._documents.put("position", machine.machine_id, kept | {"open": sorted(machine.coverage.open)})

    def _forget(self, machine: ReverseMachine) -> None:
        machine.end()
        self._machines.pop(machine.machine_id, None)
        self._documents.delete("machine", machine.machine_id)
        self._documents.delete("position", machine.machine_id)
        machine.retention.delete()

    def _find_disk(self, serial: str) -> Disk | None:
        return next((disk for disk in self._guest.disks() if serial and disk.serial.lower() == serial), None)

    # data ------------------------------------------------------------------------------------------------------------

    def _application(self) -> WireApp:
        base = "/machines/{machineId}/generations/{generation}"
        return WireApp(
            [
                Route("POST", f"{base}/segments", self._segment, limit=records.MAX_SEGMENT),
                Route("GET", f"{base}/position", self._position),
                Route("GET", f"{base}/disks/{{diskId}}/checksums", self._checksums),
            ],
            self._authorize,
        )

    def _authorize(self, request: Request) -> ReverseMachine:
        """The machine whose token it is; the path has to name the same machine and its current generation."""
        with self._lock:
            owner = None
            for machine in self._machines.values():
                if hmac.compare_digest(str(machine.settings["psToken"]).encode(), request.token.encode()):
                    owner = machine
        if owner is None:
            raise Refusal(401, "Unauthorized", "the token belongs to no machine")
        if request.params["machineId"].lower() != owner.machine_id:
            raise Refusal(403, "NotYours", "the token belongs to another machine")
        if request.params["generation"] != str(owner.generation):
            raise Refusal(404, "UnknownGeneration", f"generation {owner.generation} is the current one")
        return owner

    def _segment(self, request: Request) -> Answer:
        machine: ReverseMachine = request.caller
        try:
            segment = records.decode(request.body)
            if segment.machine_id != machine.machine_id or segment.generation != machine.generation:
                raise records.DamagedSegment("the segment is of another machine or generation")
            with machine.lock:
                taken, position = machine.take(segment, request.body), machine.received
        except records.DamagedSegment as damage:
            raise Refusal(400, "DamagedSegment", str(damage)) from None
        except (RetentionFull, OSError):
            raise Refusal(507, "Full", "the retention volume is full", headers={"Retry-After": "10"}) from None
        if not taken:
            raise Refusal(409, "SequenceGap", f"sequence {position + 1} comes next", extra={"ackSequence": position})
        return Answer(body={"ackSequence": position})

    def _position(self, request: Request) -> Answer:
        return Answer(body={"ackSequence": request.caller.received})

    def _checksums(self, request: Request) -> Answer:
        machine: ReverseMachine = request.caller
        wanted = request.query.get("sequence", str(machine.received))
        if not wanted.isdecimal():
            raise Refusal(400, "Malformed", "sequence is not a number")
        try:
            with machine.lock:
                found = machine.digests(request.params["diskId"], int(wanted))
        except KeyError:
            raise Refusal(404, "UnknownDisk", "the machine has no such disk") from None
        return Answer(202) if found is None else Answer(200, found)


def _may_retain(volume: Mapping[str, Any]) -> bool:
    """RPR-014: not FAT, not of zero size, not locked."""
    fat = str(volume.get("fileSystem", "")).upper().startswith("FAT")
    return not fat and int(volume["capacityInBytes"]) > 0 and not volume.get("locked")


def _complete(entry: Any) -> bool:
    """Whether settings of a machine hold all that is needed."""
    return isinstance(entry, dict) and all(isinstance(entry.get(name), kind) for name, kind in SETTINGS.items())
