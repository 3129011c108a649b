"""A scripted configuration server and replica worker that speak the component protocol."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emulators.clock import iso
from emulators.network import Host

GIB = 1024**3
MACHINES = {
    "web": "42000000-0000-4000-8000-000000000001",
    "app": "42000000-0000-4000-8000-000000000002",
    "db": "42000000-0000-4000-8000-000000000003",
}
CS_ID = "56400000-0000-4000-8000-00000000000c"

Answer = dict[str, Any]


class Silence(Exception):
    """The component never reports on this work."""


@dataclass
class Failing(Exception):
    """The component refuses the work."""

    reason: str
    message: str = ""
    code: str = ""


@dataclass
class Component:
    """What both have in common: register, beat, take work, report."""

    host: Host
    role: str
    name: str
    machine_id: str
    script: dict[str, Callable[[Answer], Answer]] = field(default_factory=dict)
    done: list[tuple[str, Answer]] = field(default_factory=list)
    id: str = ""
    token: str = ""
    alive: bool = True
    seconds: float = 5.0

    def call(self, path: str, body: Answer, *, token: str | None = None) -> tuple[int, Answer]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token if token is None else token}"}
        reply = self.host.request(
            "POST", f"https://site-recovery.drillbed{path}", headers=headers, body=json.dumps(body).encode()
        )
        return reply.status, json.loads(reply.body)

    def register(self, key: str, **changes: Any) -> tuple[int, Answer]:
        body = {
            "registrationKey": key,
            "role": self.role,
            "name": self.name,
            "machineId": self.machine_id,
            "address": "127.20.1.20",
            "version": "9.13.0.0",
            "time": iso(self.host.clock.now()),
            "runAsAccounts": [{"accountId": "1", "accountName": "vcenter"}],
            **changes,
        }
        status, answer = self.call("/components/register", body)
        if status == 200:
            self.id, self.token = answer["componentId"], answer["token"]
        return status, answer

    def post(self, what: str, body: Answer) -> Answer:
        status, answer = self.call(f"/components/{self.id}/{what}", body)
        assert status == 200, answer
        return answer

    def begin(self) -> None:
        scope = self.host.clock.scope(self.name)
        scope.every(60.0, self.beat, name="heartbeat", first_after=0.0)
        scope.every(10.0, self.poll, name="work")

    def beat(self) -> None:
        if self.alive:
            self.post("heartbeat", self.heartbeat())

    def heartbeat(self) -> Answer:
        return {"time": iso(self.host.clock.now())}

    def poll(self) -> None:
        if not self.alive:
            return
        for work in self.post("work", {"waitSeconds": 0})["work"]:
            self.host.clock.call_later(self.seconds, lambda work=work: self.perform(work), name=work["kind"])

    def perform(self, work: Answer) -> None:
        if not self.alive:
            return
        try:
            output = self.script[work["kind"]](work["input"])
        except Silence:
            return
        except Failing as failing:
            error = {"reason": failing.reason, "message": failing.message, "code": failing.code}
            self.post(f"work/{work['workId']}", {"state": "failed", "error": error})
            return
        self.done.append((work["kind"], work["input"]))
        status, answer = self.call(f"/components/{self.id}/work/{work['workId']}", {"state": "succeeded", "output": output})
        assert status in (200, 409), answer  # 409: nobody waits for it any more

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.done]

    def refuse(self, kind: str, reason: str, code: str = "") -> Callable[[], None]:
        """Refuse work of a kind until the returned function is called."""
        before = self.script[kind]

        def failing(_: Answer) -> Answer:
            raise Failing(reason, f"scripted {reason}", code)

        self.script[kind] = failing
        return lambda: self.script.__setitem__(kind, before)


@dataclass
class ConfigurationServer(Component):
    machines: dict[str, Answer] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=lambda: dict(MACHINES))
    azure_process_server: bool = True
    copy_seconds: float = 120.0

    def __post_init__(self) -> None:
        nothing: Callable[[Answer], Answer] = lambda _: {}  # noqa: E731
        self.script = {
            "add-vcenter": self.add_vcenter,
            "protect": self.protect,
            "protect-reverse": self.protect,
            "stop": self.stop,
            "sync": lambda given: {"lastSequence": 700, "lastTag": None},
            "unprotect": self.forget,
            "fail-back": self.stop,
            "settle-reverse": lambda given: {"lastSequence": 900, "lastTag": None},
            "refresh": self.refresh,
            "update-agent": lambda given: {"agentVersion": "9.14.0.0"},
            **dict.fromkeys(
                ("remove-vcenter", "resynchronize", "change-process-server", "shut-down", "prepare-reverse", "commit-reverse"),
                nothing,
            ),
        }

    def add_vcenter(self, given: Answer) -> Answer:
        self.vcenter = given["vCenterId"]
        self.inventory()
        return {"infrastructureId": "vc-instance", "version": "6.5.0"}

    def inventory(self) -> None:
        self.post(
            "inventory",
            {
                "vCenterId": self.vcenter,
                "vCenterVersion": "6.5.0",
                "machines": [machine(name, key) for name, key in self.names.items()],
            },
        )

    def refresh(self, given: Answer) -> Answer:
        self.inventory()
        self.beat()
        return {}

    def protect(self, given: Answer) -> Answer:
        now = self.host.clock.now()
        self.machines[given["machineId"]] = {"input": given, "since": now, "stopped": False}
        return {"agentId": "agent-" + given["machineId"], "agentVersion": "9.13.0.0"}

    def stop(self, given: Answer) -> Answer:
        if given["machineId"] in self.machines:
            self.machines[given["machineId"]]["stopped"] = True
        return {}

    def forget(self, given: Answer) -> Answer:
        self.machines.pop(given["machineId"], None)
        return {}

    def heartbeat(self) -> Answer:
        now = iso(self.host.clock.now())
        server = {
            "id": "CS-1",
            "name": self.name,
            "address": "127.20.1.20",
            "port": 9443,
            "zone": "onprem",
            "version": "9.13.0.0",
            "lastHeartbeat": now,
            "cacheBytes": 0,
            "uploadPendingBytes": 0,
            "machineCount": len(self.machines),
        }
        remote = {**server, "id": "PS-AZ", "name": "process-server-azure", "zone": "azure"}
        master = {
            "id": "MT-1",
            "name": self.name,
            "address": "127.20.1.21",
            "osType": "WINDOWS",
            "version": "9.13.0.0",
            "lastHeartbeat": now,
            "diskCount": 0,
            "dataStores": [{"symbolicName": "ds1", "uuid": "u", "capacity": "100", "freeSpace": "50", "type": "VMFS"}],
            "retentionVolumes": [
                {"volumeName": "R", "capacityInBytes": GIB, "freeSpaceInBytes": GIB, "thresholdPercentage": None}
            ],
        }
        return {
            "time": now,
            "processServers": [server, *([remote] if self.azure_process_server else [])],
            "masterTargets": [master],
            "vCenters": [],
            "machines": [self.report(key, value) for key, value in self.machines.items()],
        }

    def report(self, key: str, state: Answer) -> Answer:
        now, given = self.host.clock.now(), state["input"]
        copied = now - state["since"] >= self.copy_seconds
        stage = "stopped" if state["stopped"] else "delta" if copied else "initial-copy"
        disks = [
            {
                "diskId": disk["diskId"],
                "sizeBytes": disk["sizeBytes"],
                "copiedBytes": disk["sizeBytes"] if copied else disk["sizeBytes"] // 2,
                "sentBytes": 4096,
                "state": "Done" if copied else "InProgress",
                "pendingAtSourceBytes": 0,
                "pendingInProcessServerBytes": 0,
            }
            for disk in given["disks"]
        ]
        return {
            "machineId": key,
            "agentId": "agent-" + key,
            "agentVersion": "9.13.0.0",
            "agentHeartbeat": iso(now),
            "side": "onprem",
            "direction": given["direction"],
            "generation": given["generation"],
            "stage": stage,
            "resyncRequired": False,
            "disks": disks,
            "lastTagReceived": iso(now) if copied else None,
            "rpoSeconds": 12,
            "symptoms": [],
            **state.get("extra", {}),
        }


@dataclass
class ReplicaWorker(Component):
    replicas: dict[str, Answer] = field(default_factory=dict)
    blobs: set[str] = field(default_factory=set)
    made: int = 0

    def __post_init__(self) -> None:
        self.script = {
            "replicate": self.replicate,
            "settle": self.settle,
            "promote": self.promote,
            "discard": self.discard,
            "commit": self.commit,
            "forget": self.forget,
        }

    def begin(self) -> None:
        super().begin()
        self.host.clock.scope(self.name).every(300.0, self.tag, name="points")

    def replicate(self, given: Answer) -> Answer:
        self.replicas[given["machineId"]] = {"generation": given["generation"], "points": [], "stopped": False, "input": given}
        return {}

    def tag(self) -> None:
        """One point for each machine that replicates; all of one turn are shared."""
        if self.alive:
            for key, replica in self.replicas.items():
                if not replica["stopped"]:
                    self.point(key, multi_vm=True)

    def point(self, key: str, *, multi_vm: bool = False, kind: str = "CrashConsistent") -> Answer:
        self.made += 1
        replica = self.replicas[key]
        point = {
            "pointId": f"point-{self.made:04d}",
            "time": iso(self.host.clock.now()),
            "type": kind,
            "multiVm": multi_vm,
            "processedSequence": self.made,
        }
        replica["points"].append(point)
        self.post(
            "recovery-points",
            {
                "machineId": key,
                "generation": replica["generation"],
                "points": [point],
                "removed": [],
                "processedSequence": self.made,
                "processedTime": point["time"],
                "pendingLogBytes": 0,
            },
        )
        return point

    def settle(self, given: Answer) -> Answer:
        point = self.point(given["machineId"])
        return {"pointId": point["pointId"], "time": point["time"]}

    def promote(self, given: Answer) -> Answer:
        known = [point["pointId"] for point in self.replicas[given["machineId"]]["points"]]
        assert given["pointId"] in known
        self.blobs |= {target["blob"] for target in given["targets"]}
        return {"disks": [{"blob": target["blob"], "bytes": GIB} for target in given["targets"]]}

    def discard(self, given: Answer) -> Answer:
        self.blobs -= set(given["blobs"])
        return {}

    def commit(self, given: Answer) -> Answer:
        self.replicas[given["machineId"]].update(points=[], stopped=True)
        return {}

    def forget(self, given: Answer) -> Answer:
        self.replicas.pop(given["machineId"], None)
        return {}


def machine(name: str, key: str) -> Answer:
    disks = [
        {
            "diskId": f"6000c29{unit}-{name:x<4}-0000-0000-{key[-12:]}",
            "name": f"Hard disk {unit + 1}",
            "unit": unit,
            "sizeBytes": GIB * (unit + 1),
            "isOsDisk": unit == 0,
            "datastore": "ds1",
        }
        for unit in range(2)
    ]
    return {
        "machineId": key.upper(),
        "infrastructureId": f"vm-{name}",
        "name": name,
        "poweredOn": True,
        "osType": "WINDOWS",
        "osName": "Windows",
        "ipAddresses": ["10.0.0.4"],
        "hostName": name,
        "cpuCount": 2,
        "memoryMB": 4096,
        "firmware": "BIOS",
        "nics": [{"nicId": "4000", "macAddress": "00:50:56:00:00:01", "ipAddress": "10.0.0.4", "networkName": "VM Network"}],
        "hasSnapshots": False,
        "agentInstalled": False,
        "disks": disks,
    }
