"""A site around one configuration server: a service that gives work, components that speak, all over the in-process network."""

from pathlib import Path
from typing import Any

from emulators.clock import Clock
from emulators.http.inprocess import InProcess
from emulators.http.sockets import Sockets
from emulators.network import AZURE_PUBLIC, AZURE_VNET, ONPREM, Host, Network
from reference_impl.configuration_server import ConfigurationServer
from reference_impl.rules import Rules
from reference_impl.wire import Client, Refusal, Refused, Request, Route, WireApp

KEY, PASSPHRASE = "registration-key", "passphrase"
SERVER_ID = "00000000-0000-0000-0000-0000000000c5"
URL = "https://configuration-server"
POLICY = {"crashConsistentMinutes": 5, "appConsistentMinutes": 60, "retentionMinutes": 1440, "rpoThresholdMinutes": 15}


class FakeService:
    """Section 1 of the component protocol, as far as a configuration server sees it."""

    def __init__(self, clock: Clock):
        self.clock = clock
        self.key = KEY
        self.registrations: list[dict[str, Any]] = []
        self.heartbeats: list[dict[str, Any]] = []
        self.inventories: list[dict[str, Any]] = []
        self.reports: dict[str, list[dict[str, Any]]] = {}
        self._queue: list[dict[str, Any]] = []
        self.app = WireApp(
            [
                Route("POST", "/components/register", self._register, public=True),
                Route("POST", "/components/{id}/heartbeat", self._heartbeat),
                Route("POST", "/components/{id}/inventory", self._inventory),
                Route("POST", "/components/{id}/work", self._work),
                Route("POST", "/components/{id}/work/{workId}", self._report),
            ],
            self._authorize,
        )

    def _authorize(self, request: Request) -> str:
        if request.token != "service-token" or request.params["id"] != "cs-1":
            raise Refusal(401, "Unauthorized", "not known")
        return "cs-1"

    def _register(self, request: Request) -> dict[str, Any]:
        said = request.json()
        if said["registrationKey"] != self.key:
            raise Refusal(401, "RegistrationKeyInvalid", "that is not the key")
        self.registrations.append(said)
        return {
            "componentId": "cs-1",
            "token": "service-token",
            "vault": "v",
            "fabric": "f",
            "heartbeatSeconds": 60,
            "pollSeconds": 10,
        }

    def _heartbeat(self, request: Request) -> dict[str, Any]:
        self.heartbeats.append(request.json())
        return {}

    def _inventory(self, request: Request) -> dict[str, Any]:
        self.inventories.append(request.json() | {"at": self.clock.now()})
        return {}

    def _work(self, request: Request) -> dict[str, Any]:
        given, self._queue = self._queue, []
        return {"work": given}

    def _report(self, request: Request) -> dict[str, Any]:
        self.reports.setdefault(request.params["workId"], []).append(request.json())
        return {}

    # for tests -------------------------------------------------------------------------------------------------------

    def give(self, kind: str, **said: Any) -> str:
        """Queue an item; returns its id."""
        work_id = f"work-{len(self.reports) + len(self._queue) + 1}-{kind}"
        self._queue.append({"workId": work_id, "kind": kind, "input": said})
        return work_id

    def result(self, work_id: str) -> dict[str, Any] | None:
        last = (self.reports.get(work_id) or [{"state": "running"}])[-1]
        return None if last["state"] == "running" else last

    def do(self, kind: str, *, seconds: float = 3600, **said: Any) -> dict[str, Any]:
        """Give an item and let time pass until its end."""
        work_id = self.give(kind, **said)
        assert self.clock.wait_until(lambda: self.result(work_id) is not None, seconds=seconds), f"{kind} never ended"
        found = self.result(work_id)
        assert found is not None
        return found

    def succeed(self, kind: str, **said: Any) -> dict[str, Any]:
        found = self.do(kind, **said)
        assert found["state"] == "succeeded", found
        return dict(found["output"])

    def refuse(self, kind: str, reason: str, **said: Any) -> dict[str, Any]:
        found = self.do(kind, **said)
        assert found["state"] == "failed", found
        assert found["error"]["reason"] == reason, found
        return dict(found["error"])

    def machine(self, machine_id: str) -> dict[str, Any]:
        """What the last heartbeat said of a machine."""
        return next(entry for entry in self.heartbeats[-1]["machines"] if entry["machineId"] == machine_id)


class Speaker:
    """An agent, process server or master target as the configuration server hears it. `state` is its next heartbeat."""

    def __init__(self, lab: "SiteLab", host: Host, role: str, machine_id: str, *, zone: str = "onprem", **more: Any):
        self.host, self.clock = host, lab.clock
        self.client = Client(host, URL)
        self.introduction = {
            "passphrase": PASSPHRASE,
            "role": role,
            "machineId": machine_id,
            "name": host.name,
            "address": host.name,
            "version": "9.13.0.0",
            "osType": "WINDOWS",
            "zone": zone,
            "port": 9443,
        } | more
        self.id = ""
        self.state: dict[str, Any] = {}
        self.answer: dict[str, Any] = {}
        self.answers: list[dict[str, Any]] = []
        self.follow = lambda answer: None
        self.task = lab.clock.scope(host.name).every(30, self.speak, name=f"speak {host.name}", first_after=0)

    def register(self) -> None:
        said = self.client.call("POST", "/register", self.introduction)
        self.id, self.client.token = said["id"], said["token"]

    def speak(self) -> None:
        try:
            if not self.id:
                self.register()
            self.answer = self.client.call("POST", f"/heartbeat/{self.id}", self.state)
        except OSError:
            return
        except Refused:
            self.id, self.client.token = "", ""
            return
        self.answers.append(self.answer)
        self.follow(self.answer)

    def silence(self) -> None:
        self.task.cancel()


class SiteLab:
    """Network, service and one configuration server."""

    def __init__(self, folder: Path, *, rules: Rules | None = None, start: bool = True, sockets: bool = False):
        self.folder, self.rules = folder, rules or Rules()
        self.clock = Clock()
        self.transport = Sockets(folder / "tls") if sockets else InProcess()
        self.network = Network(self.clock, self.transport, links=("internet", "backbone", "vpn"))
        self.service = FakeService(self.clock)
        self.place("site-recovery", AZURE_PUBLIC).listen(443, self.service.app)
        self.host = self.place("configuration-server", ONPREM)
        self.accounts = {"1": ("vcenter", "administrator@vsphere.local", "secret"), "2": ("windows", "Administrator", "pw")}
        self.starts = 0
        if start:
            self.server = self.start()

    def place(self, name: str, zone: str) -> Host:
        """A host on a loopback address of its own."""
        return self.network.host(name, zone, address=f"127.78.0.{len(self.network.hosts()) + 10}")

    def close(self) -> None:
        """Close what listens over sockets."""
        for host in self.network.hosts():
            host.close()
        if isinstance(self.transport, Sockets):
            self.transport.close()

    def start(self, *, key: str = KEY) -> ConfigurationServer:
        self.starts += 1
        server = ConfigurationServer(
            self.host,
            self.clock.scope(f"configuration-server-{self.starts}"),
            self.folder / "cs",
            service_url="https://site-recovery",
            registration_key=key,
            passphrase=PASSPHRASE,
            name="cs1",
            version="9.13.0.0",
            run_as_accounts=self.accounts,
            machine_id=SERVER_ID,
            rules=self.rules,
        )
        server.start()
        return server

    def restart(self) -> None:
        self.server.kill()
        self.server = self.start()

    def process_server(self, *, zone: str = "onprem") -> Speaker:
        name, where = ("process-server-azure", AZURE_VNET) if zone == "azure" else ("process-server", ONPREM)
        speaker = Speaker(self, self.place(name, where), "process-server", f"ps-{zone}", zone=zone)
        self.clock.wait(1)
        return speaker
