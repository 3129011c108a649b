"""The data plane in virtual time: real agents, process servers and replica workers around a stand-in for the control side.

Everything travels over the emulated network; storage is the memory store. The stand-in answers heartbeats with the settings that
a test put into it and gives the worker its work, as the configuration server and the Site Recovery service would.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emulators.blob_storage.memory import MemoryStorage
from emulators.clock import Clock, Scope, iso
from emulators.guest.devices import MemoryDevice
from emulators.guest.machine import GuestMachine
from emulators.guest.workload import Workload
from emulators.http.inprocess import InProcess
from emulators.network import AZURE_PUBLIC, AZURE_VNET, ONPREM, Network
from reference_impl import wire
from reference_impl.identity import Identity, identity_of, new_authority, public_key
from reference_impl.mobility_agent import Agent
from reference_impl.process_server import ProcessServer
from reference_impl.replica import ReplicaWorker
from reference_impl.rules import Rules
from reference_impl.wire import Refusal, Request, Route, WireApp

MIB = 1 << 20
KEY = base64.b64encode(bytes(range(32))).decode()
POLICY = {"crashConsistentMinutes": 5, "appConsistentMinutes": 60, "retentionMinutes": 1440, "rpoThresholdMinutes": 15}
PASSPHRASE = "tell-nobody"
CONTROL = "https://configuration-server.drillbed"


class AheadScope:
    """A component's clock that is wrong by some seconds."""

    def __init__(self, scope: Scope, ahead: float):
        self._scope, self._ahead = scope, ahead

    def now(self) -> float:
        return self._scope.now() + self._ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scope, name)


class FakeControl:
    """Stands in for the configuration server towards agents and process servers."""

    def __init__(self) -> None:
        self.authority = new_authority(bytes(range(32)), bytes(16), "components of the lab")
        self.names: dict[str, tuple[str, str]] = {}
        self.beats: dict[str, dict[str, Any]] = {}
        self.protections: dict[str, dict[str, Any]] = {}
        self.machines: dict[str, list[dict[str, Any]]] = {}
        self.resynchronize: set[str] = set()
        self.application = WireApp(
            [Route("POST", "/register", self._register, public=True), Route("POST", "/heartbeat/{id}", self._beat)], self._who
        )

    def _register(self, request: Request) -> dict[str, Any]:
        said = request.json()
        if said["passphrase"] != PASSPHRASE:
            raise Refusal(401, "WrongPassphrase", "no")
        name = f"{said['role']}-{said['machineId']}"
        token = f"token of {name}"
        self.names[token] = (said["role"], said["machineId"])
        answer = {"id": name, "token": token, "heartbeatSeconds": 30, "authority": self.authority.certificate}
        if said["role"] == "agent":
            answer["certificate"] = self.authority.sign(said["publicKey"], f"agent {said['machineId']}", bytes(16))
        return answer

    def _who(self, request: Request) -> tuple[str, str]:
        if request.token not in self.names:
            raise Refusal(401, "Unauthorized", "register first")
        return self.names[request.token]

    def _beat(self, request: Request) -> dict[str, Any]:
        role, machine_id = request.caller
        self.beats[machine_id] = request.json()
        if role == "process-server":
            return {"machines": self.machines.get(machine_id, [])}
        again = machine_id in self.resynchronize
        self.resynchronize.discard(machine_id)
        return {"protection": self.protections.get(machine_id), "resynchronize": again}


class FakeService:
    """Stands in for the Site Recovery service towards the replica worker."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.waiting: list[dict[str, Any]] = []
        self.workers: dict[str, list[dict[str, Any]]] = {}  #: component id to what only this one is still to be given
        self.replicated: dict[str, dict[str, Any]] = {}
        self.results: dict[str, dict[str, Any]] = {}
        self.points: dict[str, dict[str, Any]] = {}
        self.beats: list[dict[str, Any]] = []
        self.application = WireApp(
            [
                Route("POST", "/components/register", self._register, public=True),
                Route("POST", "/components/{id}/heartbeat", self._beat),
                Route("POST", "/components/{id}/work", self._work),
                Route("POST", "/components/{id}/work/{work}", self._result),
                Route("POST", "/components/{id}/recovery-points", self._points),
            ],
            lambda request: request.token,
        )

    def _register(self, request: Request) -> dict[str, Any]:
        name = request.json()["name"]
        self.workers.setdefault(name, list(self.replicated.values()))
        return {"componentId": name, "token": "worker", "vault": "v", "fabric": "f", "heartbeatSeconds": 60, "pollSeconds": 10}

    def _beat(self, request: Request) -> dict[str, Any]:
        self.beats.append(request.json())
        return {"time": iso(self.clock.now())}

    def _work(self, request: Request) -> dict[str, Any]:
        name = request.params["id"]
        given = [*self.waiting, *self.workers.get(name, [])]
        self.waiting, self.workers[name] = [], []
        for item in given:  # every worker is told of every machine
            if item["kind"] == "replicate" and self.replicated.get(item["input"]["machineId"]) != item:
                self.replicated[item["input"]["machineId"]] = item
                for other in self.workers:
                    if other != name:
                        self.workers[other].append(item)
        return {"work": given}

    def _result(self, request: Request) -> dict[str, Any]:
        self.results[request.params["work"]] = request.json()
        return {}

    def _points(self, request: Request) -> dict[str, Any]:
        said = request.json()
        self.points[said["machineId"]] = said
        return {}


class PlaneLab:
    """One site, one worker; machines are added by tests."""

    def __init__(self, folder: Path, *, seed: int = 0, rules: Rules | None = None, transport: InProcess | None = None):
        self.folder, self.rules = folder, rules or Rules()
        self.clock = Clock(seed=seed)
        self.network = Network(self.clock, transport or InProcess(), links=("internet", "backbone", "vpn"))
        self.storage = MemoryStorage(self.clock)
        for account in ("cache", "target"):
            self.storage.create_account(account, base64.b64encode(account.encode() * 8).decode(), "a2V5Mg==")
        self.hosts = {
            name: self.network.host(name, zone, names=names)
            for name, zone, names in (
                ("configuration-server", ONPREM, ("configuration-server.drillbed",)),
                ("process-server", ONPREM, ()),
                ("replica-worker", AZURE_PUBLIC, ()),
                ("site-recovery", AZURE_PUBLIC, ("siterecovery.drillbed",)),
                ("storage", AZURE_PUBLIC, ("*.blob.drillbed", "*.queue.drillbed")),
            )
        }
        self.control, self.service = FakeControl(), FakeService(self.clock)
        self.hosts["configuration-server"].listen(443, self.control.application)
        self.hosts["site-recovery"].listen(443, self.service.application)
        self.guests: dict[str, GuestMachine] = {}
        self.server = self.start_process_server()
        self.worker = self.start_worker()

    # components ------------------------------------------------------------------------------------------------------

    def start_process_server(self, *, open_store: Any = None) -> ProcessServer:
        server = ProcessServer(
            self.hosts["process-server"],
            self.clock.scope("process-server"),
            self.folder / "process-server",
            configuration_server_url=CONTROL,
            passphrase=PASSPHRASE,
            machine_id="ps-1",
            name="process-server",
            zone="onprem",
            open_store=open_store or self.storage.open_store,
            rules=self.rules,
            sync=False,
        )
        server.start()
        return server

    def start_worker(self, name: str = "worker", *, open_store: Any = None, ahead: float = 0.0) -> ReplicaWorker:
        """`ahead`: how wrong the worker's own clock is, seconds."""
        scope = self.clock.scope(name)
        worker = ReplicaWorker(
            self.hosts["replica-worker"],
            AheadScope(scope, ahead) if ahead else scope,
            self.folder / name,
            service_url="https://siterecovery.drillbed",
            registration_key="key",
            open_store=open_store or self.storage.open_store,
            name=name,
            rules=self.rules,
        )
        worker.start()
        return worker

    # machines --------------------------------------------------------------------------------------------------------

    def add_machine(
        self,
        name: str,
        contents: Mapping[int, bytes | int],
        *,
        os_type: str = "LINUX",
        zone: str = ONPREM,
        copy_of: GuestMachine | None = None,
    ) -> GuestMachine:
        """A running machine with an agent that waits for settings. `copy_of`: with the identity of another one."""
        host = self.network.host(name, zone)
        machine_id = copy_of.machine_id if copy_of else self.clock.uuid()
        guest = GuestMachine(self.clock, machine_id, name, os_type, show_serials=True)
        for unit, content in contents.items():
            guest.add_disk(unit, MemoryDevice(content), f"{copy_of.name if copy_of else name}-disk-{unit}")

        def agent() -> Agent:
            return Agent(
                host,
                guest,
                self.clock.scope(f"agent of {name}"),
                self.folder / name,
                configuration_server_url=CONTROL,
                passphrase=PASSPHRASE,
                side="azure" if zone == AZURE_VNET else "onprem",
                version="9.13.0.0",
                rules=self.rules,
            )

        guest.install("mobility-agent", agent)
        guest.power_on()
        self.guests[name] = guest
        return guest

    def add_workload(self, guest: GuestMachine, units: list[int], **settings: Any) -> Any:
        scope = self.clock.scope(f"workload of {guest.name}")
        guest.install("workload", lambda: Workload(scope, guest, units, **settings), application=True)
        return guest.service("workload")

    def agent(self, guest: GuestMachine) -> Any:
        return guest.service("mobility-agent")

    # protection ------------------------------------------------------------------------------------------------------

    def store_of(self, account: str) -> dict[str, str]:
        endpoints = {"blobEndpoint": self.storage.blob_endpoint(account), "queueEndpoint": self.storage.queue_endpoint(account)}
        key = base64.b64encode(account.encode() * 8).decode()
        return {"account": account, "key": key, "container": "asr-logs", "queue": "asr-work", **endpoints}

    def protect(self, guest: GuestMachine, *, generation: int = 1, group: dict[str, Any] | None = None, **changes: Any) -> None:
        """Give agent, process server and worker the settings of a forward replication."""
        policy = POLICY | changes.pop("policy", {})
        disks = [{"diskId": disk.identity, "unit": disk.unit, "sizeBytes": disk.size} for disk in guest.disks()]
        machine_id = guest.machine_id
        replica = [{"diskId": d["diskId"], "sizeBytes": d["sizeBytes"], "blob": f"asrseeddisk-{d['diskId']}"} for d in disks]
        target = self.store_of("target") | {"container": "asr-replicas"}
        shared = {"machineId": machine_id, "generation": generation, "dataKey": KEY}
        self.do(
            "replicate",
            shared | {"disks": replica, "cache": self.store_of("cache"), "target": target, "policy": policy} | changes,
        )
        sink = {"kind": "storage", "cache": self.store_of("cache")}
        served = shared | {
            "direction": "forward",
            "agentToken": f"agent {machine_id}",
            "disks": disks,
            "sink": sink,
            "flush": False,
        }
        others = [entry for entry in self.control.machines.get("ps-1", []) if entry["machineId"] != machine_id]
        self.control.machines["ps-1"] = [*others, served]
        self.control.protections[machine_id] = {
            "generation": generation,
            "direction": "forward",
            "disks": disks,
            "processServer": {"address": "process-server", "port": 9443, "token": f"agent {machine_id}"},
            "policy": policy,
            "group": group,
            "stop": False,
        }

    def do(self, kind: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Work for the worker; its result."""
        work_id = self.clock.uuid()
        self.service.waiting.append({"workId": work_id, "kind": kind, "input": dict(said)})

        def ended() -> bool:
            return self.service.results.get(work_id, {}).get("state") in ("succeeded", "failed")

        assert self.clock.wait_until(ended, seconds=3600), f"{kind} never ended"
        return self.service.results[work_id]

    def points(self, guest: GuestMachine) -> list[dict[str, Any]]:
        """The recovery points that the service knows, oldest first."""
        known = self.service.points.get(guest.machine_id, {}).get("points", [])
        return sorted(known, key=lambda point: point["processedSequence"])

    def wait_for_points(self, guest: GuestMachine, count: int, *, seconds: float = 3600) -> list[dict[str, Any]]:
        assert self.clock.wait_until(lambda: len(self.points(guest)) >= count, seconds=seconds), f"no {count} points"
        return self.points(guest)

    def promote(self, guest: GuestMachine, point_id: str | None) -> dict[int, bytes]:
        """The disks of a point by unit, as a failover would get them (without footer)."""
        targets = [
            {"diskId": disk.identity, "account": self.store_of("target"), "container": "vhds", "blob": f"{disk.identity}.vhd"}
            for disk in guest.disks()
        ]
        result = self.do("promote", {"machineId": guest.machine_id, "pointId": point_id, "targets": targets})
        assert result["state"] == "succeeded", result
        store = self.open("target")
        return {disk.unit: store.get_blob("vhds", f"{disk.identity}.vhd")[: disk.size] for disk in guest.disks()}

    def contents(self, guest: GuestMachine) -> dict[str, dict[int, bytes]]:
        """What the snapshots of each recovery point hold, by point and unit, without a worker between."""
        generation = self.control.protections[guest.machine_id]["generation"]
        cache, target = self.storage._accounts["cache"].blobs, self.storage._accounts["target"].blobs
        state = json.loads(cache.read("asr-logs", f"state/{guest.machine_id}/{generation}.json", 0, None, None))
        return {
            point["point_id"]: {
                disk.unit: target.read(
                    "asr-replicas", f"asrseeddisk-{disk.identity}", 0, disk.size, point["snapshots"][disk.identity]
                )
                for disk in guest.disks()
            }
            for point in state["points"]
        }

    def open(self, account: str) -> Any:
        return self.storage.open_store(self.hosts["replica-worker"], self.store_of(account))

    def settle(self, guest: GuestMachine, up_to: int | None = None, *, make_point: bool = True) -> dict[str, Any]:
        up_to = self.agent(guest).replication.stream.last if up_to is None else up_to
        return self.do("settle", {"machineId": guest.machine_id, "upToSequence": up_to, "makePoint": make_point})

    def end_of(self, guest: GuestMachine) -> dict[int, bytes]:
        """The disks at the end of the stream, when nothing is written any more."""
        if guest.service("workload") is not None:
            guest.service("workload").stop()
        result = self.settle(guest)
        assert result["state"] == "succeeded", result
        return self.promote(guest, result["output"]["pointId"])

    def identity(self, machine_id: str) -> Identity:
        """A certificate for a machine, as a registration brings it."""
        seed = bytes(reversed(range(32)))
        return identity_of(seed, self.control.authority.sign(public_key(seed), f"agent {machine_id}", bytes(16)))

    def client(self, host: str, identity: Identity | None = None) -> wire.Client:
        return wire.Client(self.hosts[host], "https://process-server:9443", identity=identity)


def group_of(guest: GuestMachine, members: Sequence[GuestMachine], group_id: str = "g-1") -> dict[str, Any]:
    """The group as the settings of one member have it; the first coordinates."""
    described = [
        {"machineId": member.machine_id, "name": member.name, "address": member.name}
        | {"token": f"{guest.name} to {member.name}", "accept": f"{member.name} to {guest.name}"}
        for member in members
    ]
    return {"groupId": group_id, "members": described, "coordinator": members[0].machine_id}


def bytes_of(guest: GuestMachine) -> dict[int, bytes]:
    return {disk.unit: disk.read(0, disk.size) for disk in guest.disks()}


def pattern(seed: int, size: int) -> bytes:
    """Bytes that are not zero and do not repeat."""
    import random

    return random.Random(seed).randbytes(size)
