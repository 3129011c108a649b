"""Real, unmodified clients against an estate's Azure in virtual time, without sockets."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pytest
import requests
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from emulators.azure import Azure
from emulators.azure.cloud import CLIENT
from emulators.azure.outside import VmRecord
from emulators.clock import Clock
from emulators.http.inprocess import InProcess
from emulators.network import AZURE_PUBLIC, OPERATOR, Host, Network


class HostAdapter(BaseAdapter):
    """Carries `requests` over a host of the estate's network."""

    def __init__(self, host: Host):
        super().__init__()
        self.host = host
        self.seen: list[tuple[str, str, int]] = []

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        body = request.body or b""
        data = body.encode() if isinstance(body, str) else b"".join(body) if not isinstance(body, bytes) else body
        assert request.url is not None
        assert request.method is not None
        reply = self.host.request(request.method, request.url, headers=dict(request.headers), body=data)
        self.seen.append((request.method, request.url, reply.status))
        response = requests.Response()
        response.status_code = reply.status
        response.headers = requests.structures.CaseInsensitiveDict(reply.headers)
        response.raw = HTTPResponse(
            BytesIO(reply.body),
            headers=dict(reply.headers),
            status=reply.status,
            preload_content=False,
            request_method=request.method,
        )
        response.request, response.url = request, request.url
        return response

    def close(self) -> None:
        """Nothing is open."""


class EstateTransport(RequestsTransport):
    """azure-core's own transport, but bytes go over the estate's network and waiting moves the estate's clock."""

    def __init__(self, host: Host):
        session = requests.Session()
        self.adapter = HostAdapter(host)
        session.mount("https://", self.adapter)
        super().__init__(session=session, session_owner=False)
        self.clock = host.clock
        self.slept = 0.0

    def sleep(self, duration: float) -> None:
        self.slept += duration
        self.clock.wait(duration)


@dataclass(slots=True)
class Outside:
    """Storage, guests and links that write down what they are told."""

    calls: list[tuple[Any, ...]] = field(default_factory=list)
    blobs: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def create_account(self, name: str, key1: str, key2: str) -> None:
        self.calls.append(("create_account", name, key1, key2))

    def set_keys(self, name: str, key1: str, key2: str) -> None:
        self.calls.append(("set_keys", name, key1, key2))

    def delete_account(self, name: str) -> None:
        self.calls.append(("delete_account", name))

    def blob_endpoint(self, name: str) -> str:
        return f"https://{name}.blob.drillbed/"

    def queue_endpoint(self, name: str) -> str:
        return f"https://{name}.queue.drillbed/"

    def start(self, vm: VmRecord) -> None:
        self.calls.append(("start", vm))

    def stop(self, vm: VmRecord, graceful: bool) -> None:
        self.calls.append(("stop", vm.name, graceful))

    def deleted(self, vm: VmRecord) -> None:
        self.calls.append(("deleted", vm.name))

    def set(self, link: str, up: bool) -> None:
        self.calls.append(("link", link, up))

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


@dataclass(slots=True)
class Cloud:
    """An estate's Azure with a client that may do everything."""

    azure: Azure
    outside: Outside
    operator: Host
    secret: str
    transports: list[EstateTransport] = field(default_factory=list)

    def transport(self) -> EstateTransport:
        made = EstateTransport(self.operator)
        self.transports.append(made)
        return made

    def credential(self, client_id: str = CLIENT, secret: str = "") -> ClientSecretCredential:
        return ClientSecretCredential(
            self.azure.tenant,
            client_id,
            secret or self.secret,
            authority=self.azure.login_url,
            disable_instance_discovery=True,
            transport=self.transport(),
        )

    def client(self, kind: Callable[..., Any], credential: Any = None, **settings: Any) -> Any:
        """A management client of a vendor's SDK."""
        return kind(
            credential or self.credential(),
            self.azure.subscription,
            base_url=self.azure.management_url,
            credential_scopes=["https://management.azure.com/.default"],
            transport=self.transport(),
            **settings,
        )

    def statuses(self, method: str, ending: str) -> list[int]:
        """Status codes of all exchanges with that method and end of path, over all clients."""
        seen = [one for transport in self.transports for one in transport.adapter.seen]
        return [status for verb, url, status in seen if verb == method and url.split("?")[0].endswith(ending)]


@pytest.fixture(scope="session")
def signing_key() -> rsa.RSAPrivateKey:
    """One key for all tests: making one takes longer than most of them."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(params=["fast", "real"])
def cloud(request: pytest.FixtureRequest, signing_key: rsa.RSAPrivateKey) -> Iterator[Cloud]:
    """Azure with the timing of tests, and with the real service's; both in virtual time."""
    clock = Clock(seed=11)
    network = Network(clock, InProcess())
    outside = Outside()
    azure = Azure(
        clock,
        storage=outside,
        guests=outside,
        links=outside,
        blob_size=lambda place: outside.blobs.get((place.account, place.container, place.blob)),
        fast=request.param == "fast",
        signing_key=signing_key,
    )
    for name, app in (("management", azure.arm), ("login", azure.login)):
        network.host(name, AZURE_PUBLIC, names=[f"{name}.drillbed"]).listen(443, app)
    _, secret = azure.add_client()
    made = Cloud(azure, outside, network.host("operator", OPERATOR), secret)
    yield made
    azure.close()
    for transport in made.transports:
        transport.close()
    assert azure.faults == []
