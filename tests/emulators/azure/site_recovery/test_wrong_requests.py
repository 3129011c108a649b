"""What is wrong with a request, over TLS sockets and by hand: one clear answer, nothing half-done, and the next request works."""

import http.client
import json
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from scripted_site import Site

from emulators.clock import Clock
from emulators.http.sockets import Sockets
from emulators.network import AZURE_PUBLIC, Network

VERSION = "api-version=2024-04-01"
MIB = 1 << 20


@dataclass(slots=True)
class Door:
    """A site with one protected machine behind TLS."""

    site: Site
    place: str
    trust: ssl.SSLContext

    def __call__(self, method: str, path: str, body: Any = None, **headers: str | None) -> tuple[int, dict[str, Any]]:
        """Status and error (or body) of one request on a connection of its own. A header of None is left out."""
        sent: dict[str, str | None] = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPSConnection(self.place, 443, context=self.trust, timeout=60)
        try:
            given = {name: value for name, value in sent.items() if value is not None}
            connection.request(method, path, body=body, headers=given, encode_chunked=not isinstance(body, bytes | None))
            answer = connection.getresponse()
            text = answer.read()
            said = json.loads(text) if text else {}
            return answer.status, said.get("error", said)
        finally:
            connection.close()

    @property
    def token(self) -> str:
        return self.site._token

    def claims(self, **changes: Any) -> dict[str, Any]:
        return jwt.decode(self.token, options={"verify_signature": False}) | changes


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    site = Site().set_up()
    site.enable("web")
    clock, transport = Clock(seed=1, flow=1.0), Sockets(tmp_path_factory.mktemp("tls"))
    place = f"127.{178 + os.getpid() // 250 % 70}.{os.getpid() % 250}.11"
    host = Network(clock, transport).host("management", AZURE_PUBLIC, address=place, names=["management.drillbed"])
    host.listen(443, site.azure.arm)
    where = transport.where(host, 443)
    if where != (place, 443):
        transport.close()
        pytest.skip("the system does not let this user open port 443")
    trust = ssl.create_default_context(cafile=str(transport.authorities.bundle()))
    yield Door(site, place, trust)
    transport.close()
    site.close()  # and nothing of it was a fault of ours


@pytest.fixture(autouse=True)
def unharmed(door: Door) -> Iterator[None]:
    """The machine is as it was before, and the next request is answered."""
    before = door("GET", f"{door.site.item('web')}?{VERSION}")[1]["properties"]
    yield
    after = door("GET", f"{door.site.item('web')}?{VERSION}")[1]["properties"]
    assert (after["protectionState"], after["currentScenario"], after["allowedOperations"]) == (
        before["protectionState"], before["currentScenario"], before["allowedOperations"],
    )  # fmt: skip
    assert door.site.azure.faults == []


def signed(door: Door, key: Any = None, **changes: Any) -> str:
    """A token with other claims; by the estate's own key unless another is given."""
    own = door.site.azure.login.issuer._key if key is None else key
    return jwt.encode(door.claims(**changes), own, algorithm="RS256")


TENANT = "99999999-9999-9999-9999-999999999999"


@pytest.mark.parametrize(
    ("forge", "code"),
    [
        (lambda door: None, "AuthenticationFailed"),
        (lambda door: "Basic b3BlcmF0b3I6c2VjcmV0", "AuthenticationFailed"),
        (lambda door: "Bearer", "AuthenticationFailed"),
        (lambda door: "Bearer nonsense", "InvalidAuthenticationToken"),
        (lambda door: f"Bearer {door.token[:-8]}AAAAAAAA", "InvalidAuthenticationToken"),
        (lambda door: f"Bearer {jwt.encode(door.claims(), '', algorithm='none')}", "InvalidAuthenticationToken"),
        (lambda door: f"Bearer {jwt.encode(door.claims(), 'k' * 32, algorithm='HS256')}", "InvalidAuthenticationToken"),
        (lambda door: f"Bearer {signed(door, rsa.generate_private_key(65537, 2048))}", "InvalidAuthenticationToken"),
        (lambda door: f"Bearer {signed(door, exp=1_000_000_000)}", "ExpiredAuthenticationToken"),
        (lambda door: f"Bearer {signed(door, aud='https://storage.azure.com')}", "InvalidAuthenticationTokenAudience"),
        (lambda door: f"Bearer {signed(door, tid=TENANT)}", "InvalidAuthenticationTokenTenant"),
        (
            lambda door: f"Bearer {signed(door, iss=f'https://sts.windows.net/{TENANT}/')}",
            "InvalidAuthenticationTokenTenant",
        ),
    ],
)
def test_wrong_tokens(door: Door, forge: Any, code: str) -> None:
    path = f"{door.site.item('web')}/failoverCommit?{VERSION}"
    status, error = door("POST", path, b"{}", Authorization=forge(door))
    assert (status, error["code"]) == (401, code)


def test_a_right_token_of_somebody_without_a_role(door: Door) -> None:
    status, error = door(
        "POST", f"{door.site.item('web')}/failoverCommit?{VERSION}", b"{}", Authorization=f"Bearer {signed(door, oid=TENANT)}"
    )
    assert (status, error["code"]) == (403, "AuthorizationFailed")


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "InvalidRequestContent"),
        (b"not json", {}, 400, "InvalidRequestContent"),
        (b"[]", {}, 400, "InvalidRequestContent"),
        (b'"text"', {}, 400, "InvalidRequestContent"),
        (b"7", {}, 400, "InvalidRequestContent"),
        (b"\xff\xfe{\x00}\x00", {}, 400, "InvalidRequestContent"),
        (b'{"properties": NaN}', {}, 400, "InvalidRequestContent"),
        (b"[" * 100_000, {}, 400, "InvalidRequestContent"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, {}, 400, "InvalidRequestContent"),
        (b"<xml/>", {"Content_Type": "application/xml"}, 415, "UnsupportedMediaType"),
        (b"a=b", {"Content_Type": "application/x-www-form-urlencoded"}, 415, "UnsupportedMediaType"),
        (b"{}" + b" " * 50 * MIB, {}, 413, "RequestContentTooLarge"),
    ],
)
def test_wrong_bodies(door: Door, body: bytes, headers: dict[str, str], status: int, code: str) -> None:
    found, error = door("POST", f"{door.site.item('web')}/unplannedFailover?{VERSION}", body, **headers)
    assert (found, error["code"]) == (status, code)


def test_fifty_megabytes_in_pieces(door: Door) -> None:
    """A body whose length nobody told is read to its bound and no further."""
    pieces = iter([b'{"properties": {"comments": "'] + [b"x" * MIB] * 50 + [b'"}}'])
    try:
        status, error = door(
            "POST", f"{door.site.item('web')}/testFailoverCleanup?{VERSION}", pieces, Transfer_Encoding="chunked"
        )
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        return  # the service has hung up while we still sent: it has not taken it
    assert (status, error["code"]) == (413, "RequestContentTooLarge")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("{item}", 400, "MissingApiVersionParameter"),
        ("{item}?api-version=", 400, "MissingApiVersionParameter"),
        ("/subscriptions/{tenant}/resourceGroups?" + VERSION, 404, "SubscriptionNotFound"),
        ("{vault}/replicationMoons?" + VERSION, 404, "InvalidResourceType"),
        ("{vault}/%2e%2e/%2e%2e/etc/passwd?" + VERSION, 404, "InvalidResourceType"),
        ("{vault}/replicationFabrics/%00?" + VERSION, 404, "NotFound"),
        ("{vault}/replicationFabrics/" + "f" * 5000 + "?" + VERSION, 404, "NotFound"),
        ("/subscriptions/{subscription}/resourceGroups/nowhere/providers/Microsoft.RecoveryServices/vaults/v?" + VERSION, 404,
         "ResourceGroupNotFound"),
    ],
)  # fmt: skip
def test_wrong_paths(door: Door, path: str, status: int, code: str) -> None:
    names = {
        "item": door.site.item("web"), "vault": door.site.vault, "tenant": TENANT, "subscription": door.site.azure.subscription,
    }  # fmt: skip
    found, error = door("GET", path.format(**names))
    assert (found, error["code"]) == (status, code), error


def test_a_wrong_method(door: Door) -> None:
    status, error = door("PUT", f"{door.site.item('web')}/recoveryPoints?{VERSION}", b"{}")
    assert (status, error["code"]) == (405, "MethodNotAllowed")


FORWARD = "PrimaryToRecovery"


@pytest.mark.parametrize("kind", ["Moon", "", 7, {"instanceType": "InMageAzureV2"}, "inmageazurev2 "])
@pytest.mark.parametrize(
    ("method", "path", "properties", "field"),
    [
        ("PUT", "{vault}/replicationPolicies/odd", {}, "providerSpecificInput"),
        ("PUT", "{container}/replicationProtectedItems/odd", {"policyId": "{policy}"}, "providerSpecificDetails"),
        ("POST", "{item}/testFailover", {"failoverDirection": FORWARD, "networkType": "x"}, "providerSpecificDetails"),
        ("POST", "{item}/unplannedFailover", {"failoverDirection": FORWARD}, "providerSpecificDetails"),
        ("POST", "{item}/reProtect", {"failoverDirection": FORWARD}, "providerSpecificDetails"),
        ("PATCH", "{item}", {}, "providerSpecificDetails"),
    ],
)
def test_unknown_discriminators(door: Door, method: str, path: str, properties: dict[str, Any], field: str, kind: Any) -> None:
    site = door.site
    names = {"vault": site.vault, "container": site.container, "item": site.item("web"), "policy": site.policy("fwd")}
    given = {name: value.format(**names) for name, value in properties.items()}
    body = json.dumps({"properties": {**given, field: {"instanceType": kind}}}).encode()
    status, error = door(method, f"{path.format(**names)}?{VERSION}", body)
    assert (status, bool(error["code"]), bool(error["message"])) == (400, True, True), (status, error)
    for made in ("{vault}/replicationPolicies/odd", "{container}/replicationProtectedItems/odd"):
        assert door("GET", f"{made.format(**names)}?{VERSION}")[0] == 404  # nothing half-made
