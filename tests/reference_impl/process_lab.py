"""The data plane in real processes: a machine with its agent, a process server, replica workers, Azurite, TLS sockets between
them, and SIGKILL at seeded times. The control side is the stand-in of `plane_lab`, served from the test's own process."""

import base64
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trustme
from plane_lab import KEY, POLICY, FakeControl, FakeService, bytes_of, pattern
from witness import Witness, epoch

from emulators.blob_storage.azurite import Azurite, AzuriteStorage
from emulators.clock import DEFAULT_START, Clock
from emulators.http.sockets import Sockets
from emulators.network import AZURE_PUBLIC, ONPREM, Network

SCRIPT = Path(__file__).with_name("component_process.py")
FLOW = 12.0  #: emulated seconds in a real one
DISKS = [256 * 1024, 64 * 1024]
MACHINE_ID = "11111111-2222-4333-8444-555555555555"
ADDRESSES = {
    "configuration-server": (ONPREM, "127.78.0.2", ["configuration-server.drillbed"]),
    "site-recovery": (AZURE_PUBLIC, "127.78.0.3", ["siterecovery.drillbed"]),
    "storage": (AZURE_PUBLIC, "127.78.0.4", ["*.blob.drillbed", "*.queue.drillbed"]),
    "process-server": (ONPREM, "127.78.0.5", []),
    "db": (ONPREM, "127.78.0.6", []),
    "worker-0": (AZURE_PUBLIC, "127.78.0.7", []),
    "worker-1": (AZURE_PUBLIC, "127.78.0.8", []),
}
ROLES = {"db": "machine", "process-server": "process-server", "worker-0": "replica-worker", "worker-1": "replica-worker"}
PATIENCE = 90.0


class ProcessLab:
    """Everything started. `close` ends all of it, whatever happened."""

    def __init__(self, folder: Path, seed: int, node: str, package: Path):
        self.folder, self.seed = folder, seed
        self.clock = Clock(seed=seed, flow=FLOW)
        self._began = self.clock.real()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.sockets = Sockets(folder / "tls")
        authority = trustme.CA(organization_name="drillbed processes")
        authority.cert_pem.write_to_path(str(folder / "tls" / "estate-ca.pem"))
        authority.private_key_pem.write_to_path(str(folder / "ca.key"))
        self.sockets.authorities._made["estate"] = authority
        self.network = Network(self.clock, self.sockets)
        self._hosts = {
            name: self.network.host(name, zone, address=address, names=names)
            for name, (zone, address, names) in ADDRESSES.items()
        }
        self.control, self.service = FakeControl(), FakeService(self.clock)
        self._listeners = [
            self._hosts["configuration-server"].listen(443, self.control.application),
            self._hosts["site-recovery"].listen(443, self.service.application),
        ]
        certificate, key = self.sockets.authorities.leaf("estate", "storage", ADDRESSES["storage"][2])
        bundle = self.sockets.authorities.bundle()
        self._azurite = lambda port: Azurite(
            folder / "azurite",
            node=node,
            package=package,
            address="127.0.0.1",
            port=port,
            secret="of-this-lab",
            certificate=certificate,
            key=key,
            authority=bundle,
        )
        self.azurite = self._azurite(0)
        self.azurite.start()
        self._use_storage()
        self.clock.start()
        self._protect()
        for name in ROLES:
            self.start(name)

    # processes -------------------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """A component, new or with the folder that it left behind."""
        external: dict[str, dict[str, Any]] = {"storage": {"443": ["127.0.0.1", self.azurite.actual]}}
        for listener in self._listeners:
            external[listener.host.name] = {"443": [listener.address, listener.actual]}
        external["process-server"] = {} if name == "process-server" else {"9443": [ADDRESSES["process-server"][1], 9443]}
        said = {
            "role": ROLES[name],
            "name": name,
            "folder": str(self.folder / name),
            "seed": self.seed,
            "flow": FLOW,
            "epoch": DEFAULT_START.timestamp(),
            "monotonic": self._began,
            "authority": {"certificate": str(self.folder / "tls" / "estate-ca.pem"), "key": str(self.folder / "ca.key")},
            "secret": "of-this-lab",
            "machineId": MACHINE_ID,
            "disks": DISKS,
            "hosts": [
                {"name": host, "zone": zone, "address": address, "names": names, "external": external.get(host, {})}
                for host, (zone, address, names) in ADDRESSES.items()
            ],
        }
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(said))
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [sys.executable, str(SCRIPT), str(path)]
            self._processes[name] = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=SCRIPT.parents[2]
            )

    def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self._processes[name]
        assert process.poll() is None, f"{name} has ended by itself: {(self.folder / f'{name}.log').read_text()[-2000:]}"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdin is not None
        process.stdin.close()

    def restart_storage(self) -> None:
        """Azurite ends in order and comes back at the same port."""
        port = self.azurite.actual
        self.storage.close()
        self.azurite.stop()
        self.azurite = self._azurite(port)
        self.azurite.start()
        self._use_storage()

    def _use_storage(self) -> None:
        self.sockets.external(self._hosts["storage"], 443, ("127.0.0.1", self.azurite.actual))
        self.storage = AzuriteStorage(self.azurite, self.clock)
        for account in ("cache", "target"):
            self.storage.create_account(account, base64.b64encode(account.encode() * 8).decode(), "a2V5Mg==")

    def close(self) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
        self.clock.stop()
        self.storage.close()
        for host in self._hosts.values():
            host.close()
        self.sockets.close()
        self.azurite.stop()

    # settings and questions ------------------------------------------------------------------------------------------

    def _store(self, account: str) -> dict[str, str]:
        endpoints = {"blobEndpoint": self.storage.blob_endpoint(account), "queueEndpoint": self.storage.queue_endpoint(account)}
        key = base64.b64encode(account.encode() * 8).decode()
        return {"account": account, "key": key, "container": "asr-logs", "queue": "asr-work", **endpoints}

    def _protect(self) -> None:
        disks = [{"diskId": f"db-disk-{unit}", "unit": unit, "sizeBytes": size} for unit, size in enumerate(DISKS)]
        policy = POLICY | {"crashConsistentMinutes": 0.5}
        shared = {"machineId": MACHINE_ID, "generation": 1, "dataKey": KEY}
        replica = [{"diskId": d["diskId"], "sizeBytes": d["sizeBytes"], "blob": f"asrseeddisk-{d['diskId']}"} for d in disks]
        target = self._store("target") | {"container": "asr-replicas"}
        told = shared | {"disks": replica, "cache": self._store("cache"), "target": target, "policy": policy}
        self.service.waiting.append({"workId": "replicate", "kind": "replicate", "input": told})
        sink = {"kind": "storage", "cache": self._store("cache")}
        served = {"direction": "forward", "agentToken": "of-db", "disks": disks, "sink": sink, "flush": False}
        self.control.machines["ps-1"] = [shared | served]
        self.control.protections[MACHINE_ID] = {
            "generation": 1,
            "direction": "forward",
            "disks": disks,
            "processServer": {"address": "process-server", "port": 9443, "token": "of-db"},
            "policy": policy,
            "group": None,
            "stop": False,
        }

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for what the other processes do."""
        pause, end = threading.Event(), self.clock.real() + PATIENCE
        while not condition():
            assert self.clock.real() < end, f"seed {self.seed}: {what} has not come; {self._logs()}"
            pause.wait(0.05)

    def pass_time(self, seconds: float) -> None:
        """Emulated time passes."""
        end = self.clock.now() + seconds
        self.until(lambda: self.clock.now() >= end, "time")

    def _logs(self) -> dict[str, str]:
        return {path.name: path.read_text()[-800:] for path in sorted(self.folder.glob("*.log")) if path.stat().st_size}

    def points(self) -> list[dict[str, Any]]:
        known = self.service.points.get(MACHINE_ID, {}).get("points", [])
        return sorted(known, key=lambda point: point["processedSequence"])

    def protection(self) -> dict[str, Any]:
        return self.control.beats.get(MACHINE_ID, {}).get("protection") or {}

    # judging ---------------------------------------------------------------------------------------------------------

    def history(self) -> Witness:
        """What the machine wrote, from its own notes."""
        sizes = {unit: bytes(size) for unit, size in enumerate(DISKS)}
        blank: Any = SimpleNamespace(
            disks=lambda: [SimpleNamespace(unit=u, size=len(d), read=lambda o, n, d=d: d[o : o + n]) for u, d in sizes.items()]
        )
        assert bytes_of(blank) == sizes
        witness = Witness(blank)
        for line in (self.folder / "db" / "writes").read_text().splitlines():
            number, unit, offset, length, when = json.loads(line)
            witness.wrote(unit, offset, pattern(number, length), when)
        return witness

    def contents(self) -> dict[str, dict[int, bytes]]:
        """What the snapshots of each point hold."""
        cache, target = (self.storage.open_store(self._hosts["worker-0"], self._store(name)) for name in ("cache", "target"))
        state = json.loads(cache.get_blob("asr-logs", f"state/{MACHINE_ID}/1.json"))
        return {
            point["point_id"]: {
                unit: target.get_blob(
                    "asr-replicas", f"asrseeddisk-db-disk-{unit}", length=size, snapshot=point["snapshots"][f"db-disk-{unit}"]
                )
                for unit, size in enumerate(DISKS)
            }
            for point in state["points"]
        }

    def judge(self) -> None:
        """Every point is a state that was, at its time; the newest one after the last write is the disks as they are."""
        self.until(lambda: not self.protection().get("resyncRequired", True), "an end of the resync")
        (self.folder / "db" / "stop").touch()
        self.pass_time(10)
        since = len(self.points())
        ended = self.clock.now()
        self.until(
            lambda: len(self.points()) > since and epoch(self.points()[-1]["time"]) > ended, "a point after the last write"
        )
        for name in [name for name in ("worker-0", "worker-1", "process-server") if name in self._processes]:
            assert self._processes[name].poll() is None, f"{name} has ended by itself: {self._logs()}"
        points = {point["pointId"]: epoch(point["time"]) for point in self.points()}
        history, contents = self.history(), self.contents()
        for point_id, when in points.items():
            assert history.was(contents[point_id], when), f"seed {self.seed}: the point of {when} is not what was"
        newest = max(points, key=lambda point_id: points[point_id])
        disks = {unit: (self.folder / "db" / f"disk-{unit}").read_bytes() for unit in range(len(DISKS))}
        assert contents[newest] == disks, f"seed {self.seed}: the newest point is not what the disks hold"
