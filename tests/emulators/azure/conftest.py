"""An estate's Azure and a caller that speaks plain HTTP to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from emulators.azure import Azure
from emulators.azure.cloud import CLIENT, SUBSCRIPTION, TENANT
from emulators.azure.outside import VmRecord
from emulators.clock import Clock
from emulators.http.inprocess import InProcess
from emulators.network import AZURE_PUBLIC, OPERATOR, Host, Network, Reply

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"


@dataclass(slots=True)
class Told:
    """Storage, guests and links that write down what they are told."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    locked: Callable[[], bool] = lambda: False

    def _note(self, *call: Any) -> None:
        assert not self.locked(), f"{call[0]} was called with the lock held"
        self.calls.append(call)

    def create_account(self, name: str, key1: str, key2: str) -> None:
        self._note("create_account", name)

    def set_keys(self, name: str, key1: str, key2: str) -> None:
        self._note("set_keys", name)

    def delete_account(self, name: str) -> None:
        self._note("delete_account", name)

    def blob_endpoint(self, name: str) -> str:
        return f"https://localhost:10000/{name}"

    def queue_endpoint(self, name: str) -> str:
        return f"https://localhost:10001/{name}"

    def start(self, vm: VmRecord) -> None:
        self._note("start", vm)

    def stop(self, vm: VmRecord, graceful: bool) -> None:
        self._note("stop", vm.name, graceful)

    def deleted(self, vm: VmRecord) -> None:
        self._note("deleted", vm.name)

    def set(self, link: str, up: bool) -> None:
        self._note("link", link, up)


@dataclass(slots=True)
class Caller:
    """Calls Resource Manager as one client."""

    host: Host
    client_id: str
    secret: str
    _token: str = ""

    def token(self, scope: str = "https://management.azure.com/.default") -> str:
        reply = self.form(f"/{TENANT}/oauth2/v2.0/token", grant_type="client_credentials", client_id=self.client_id,
                          client_secret=self.secret, scope=scope)  # fmt: skip
        assert reply.status == 200, reply.body
        return str(orjson.loads(reply.body)["access_token"])

    def form(self, path: str, **fields: str) -> Reply:
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.host.request("POST", f"https://login.drillbed{path}", headers=kind, body=urlencode(fields).encode())

    def __call__(self, method: str, path: str, body: Any = None, *, version: str = "2024-01-01", **headers: str) -> Reply:
        self._token = self._token or self.token()
        url = path if path.startswith("https://") else f"https://management.drillbed{path}"
        if version and "api-version=" not in url:
            url += f"{'&' if '?' in url else '?'}api-version={version}"
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        sent = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.host.request(method, url, headers=sent, body=data)


def parsed(reply: Reply) -> Any:
    return orjson.loads(reply.body)


@dataclass(slots=True)
class World:
    """Azure in virtual time, what it told the outside, and its owner."""

    azure: Azure
    told: Told
    owner: Caller

    @property
    def clock(self) -> Clock:
        return self.azure.clock

    def caller(self, *roles: str, scope: str = "") -> Caller:
        client_id = self.clock.uuid()
        _, secret = self.azure.add_client(client_id, "", roles, scope=scope)
        return Caller(self.owner.host, client_id, secret)

    def error(self, reply: Reply) -> tuple[int, str]:
        """Status and code; the envelope must be right."""
        error = parsed(reply)["error"]
        assert set(error) <= {"code", "message", "details", "target"}
        assert error["message"]
        return reply.status, error["code"]


def make_world(*, fast: bool = True, **settings: Any) -> World:
    clock = Clock(seed=3)
    network = Network(clock, InProcess())
    told = Told()
    azure = Azure(clock, storage=told, guests=told, links=told, fast=fast, **settings)
    told.locked = azure.arm.lock._is_owned
    for name, app in (("management", azure.arm), ("login", azure.login)):
        network.host(name, AZURE_PUBLIC, names=[f"{name}.drillbed"]).listen(443, app)
    _, secret = azure.add_client()
    return World(azure, told, Caller(network.host("operator", OPERATOR), CLIENT, secret))


@pytest.fixture(scope="session")
def signing_key() -> rsa.RSAPrivateKey:
    """One key for all tests: making one takes longer than most of them."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def world(signing_key: rsa.RSAPrivateKey) -> Iterator[World]:
    made = make_world(signing_key=signing_key)
    made.azure.add_group("rg")
    yield made
    assert made.azure.faults == []


@pytest.fixture
def slow_world(signing_key: rsa.RSAPrivateKey) -> Iterator[World]:
    """The same with the real service's times."""
    made = make_world(fast=False, signing_key=signing_key)
    made.azure.add_group("rg")
    yield made
    assert made.azure.faults == []
