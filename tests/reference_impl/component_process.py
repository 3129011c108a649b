"""One component as a process of its own: `python component_process.py SPEC.json`. It lives until it is killed or its parent ends.

All processes of a lab share one emulated time (it flows from one instant of the machine's monotonic clock), one certificate
authority and one table of hosts; each of them serves the ports of its own component.
"""

import json
import os
import select
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trustme
from plane_lab import CONTROL, PASSPHRASE, pattern

from emulators.blob_storage.azurite import AzuriteStorage
from emulators.clock import Clock
from emulators.guest.machine import GuestMachine
from emulators.http.sockets import Sockets
from emulators.network import Network
from reference_impl.mobility_agent import Agent
from reference_impl.process_server import ProcessServer
from reference_impl.replica import ReplicaWorker
from reference_impl.rules import Rules

SECTOR = 512


def common_clock(said: dict[str, Any]) -> Clock:
    """A clock that shows what those of the other processes show."""
    probe = Clock(flow=1.0, start=datetime.fromtimestamp(0, UTC))
    passed = (probe.real() - said["monotonic"]) * said["flow"]
    return Clock(seed=said["seed"], flow=said["flow"], start=datetime.fromtimestamp(said["epoch"] + passed, UTC))


def build_network(said: dict[str, Any], clock: Clock, folder: Path) -> tuple[Network, Sockets]:
    sockets = Sockets(folder)
    authority = trustme.CA.from_pem(
        Path(said["authority"]["certificate"]).read_bytes(), Path(said["authority"]["key"]).read_bytes()
    )
    authority.cert_pem.write_to_path(str(folder / "estate-ca.pem"))
    sockets.authorities._made["estate"] = authority
    network = Network(clock, sockets, links=("internet", "backbone", "vpn"))
    for host in said["hosts"]:
        made = network.host(host["name"], host["zone"], address=host["address"], names=host["names"])
        for port, where in host["external"].items():
            sockets.external(made, int(port), (where[0], where[1]))
    return network, sockets


class FileDevice:
    """A disk in a file: what was written is there after a kill -9."""

    def __init__(self, path: Path, size: int):
        path.touch()
        self.size, self._descriptor = size, os.open(path, os.O_RDWR)
        os.ftruncate(self._descriptor, size)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def write(self, offset: int, data: bytes) -> None:
        os.pwrite(self._descriptor, data, offset)

    def flush(self) -> None:
        """Files outlive the process."""


class Writer:
    """Writes at random places, each write noted in a file before it is done."""

    def __init__(self, guest: GuestMachine, path: Path, clock: Clock, seed: int):
        self._guest, self._clock = guest, clock
        lines = path.read_text().splitlines() if path.exists() else []
        self._number = len(lines)
        if (
            lines
        ):  # the last one may not have reached the disk: now it has, as it does when a journal of a file system is replayed
            number, unit, offset, length, _ = json.loads(lines[-1])
            guest.disk(unit).device.write(offset, pattern(number, length))
        self._chance = clock.random(f"writer {seed} {self._number}")
        self._log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.stop = path.with_name("stop")

    def run(self) -> Any:
        while True:
            yield self._chance.uniform(0.2, 4.0)
            if self.stop.exists():
                return
            for unit in self._chance.choice([(0,), (1,), (0, 1)]):
                disk = self._guest.disk(unit)
                offset = self._chance.randrange(disk.size // SECTOR - 4) * SECTOR
                length = SECTOR * self._chance.randint(1, 4)
                entry = [self._number, unit, offset, length, self._guest.now()]
                os.write(self._log, json.dumps(entry).encode() + b"\n")
                disk.write(offset, pattern(self._number, length))
                self._number += 1


def machine(said: dict[str, Any], network: Network, clock: Clock, folder: Path) -> None:
    host = network.find(said["name"])
    assert host is not None
    guest = GuestMachine(clock, said["machineId"], said["name"], "LINUX", show_serials=True)
    for unit, size in enumerate(said["disks"]):
        guest.add_disk(unit, FileDevice(folder / f"disk-{unit}", size), f"{said['name']}-disk-{unit}")
    writer = Writer(guest, folder / "writes", clock, said["seed"])
    shared: dict[str, Any] = {"configuration_server_url": CONTROL, "passphrase": PASSPHRASE, "rules": Rules()}
    scope = clock.scope("agent")
    guest.install(
        "mobility-agent", lambda: Agent(host, guest, scope, folder / "agent", side="onprem", version="9.13.0.0", **shared)
    )
    guest.power_on()
    clock.spawn(writer.run(), name="writer")


def process_server(said: dict[str, Any], network: Network, clock: Clock, folder: Path) -> None:
    host = network.find(said["name"])
    assert host is not None
    azurite: Any = SimpleNamespace(secret=said["secret"])
    storage = AzuriteStorage(azurite, clock)
    ProcessServer(
        host,
        clock.scope("process-server"),
        folder / "state",
        configuration_server_url=CONTROL,
        passphrase=PASSPHRASE,
        machine_id="ps-1",
        name=said["name"],
        zone="onprem",
        open_store=storage.open_store,
        rules=Rules(),
    ).start()


def replica_worker(said: dict[str, Any], network: Network, clock: Clock, folder: Path) -> None:
    host = network.find(said["name"])
    assert host is not None
    azurite: Any = SimpleNamespace(secret=said["secret"])
    storage = AzuriteStorage(azurite, clock)
    ReplicaWorker(
        host,
        clock.scope(said["name"]),
        folder / "state",
        service_url="https://siterecovery.drillbed",
        registration_key="key",
        open_store=storage.open_store,
        name=said["name"],
        rules=Rules(),
    ).start()


ROLES = {"machine": machine, "process-server": process_server, "replica-worker": replica_worker}


def main(path: Path) -> None:
    said = json.loads(path.read_text())
    folder = Path(said["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    tls = folder / "tls"
    tls.mkdir(exist_ok=True)
    clock = common_clock(said)
    network, _ = build_network(said, clock, tls)
    ROLES[said["role"]](said, network, clock, folder)
    clock.start()
    while not select.select([sys.stdin], [], [], 0.2)[0]:  # readable only when the parent is gone
        clock.wait(0.0)  # raises what went wrong on the clock


if __name__ == "__main__":
    main(Path(sys.argv[1]))
