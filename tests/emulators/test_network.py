"""Hosts talk as the network allows, in both ways, and every flow is known."""

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
import trustme

from emulators.http.inprocess import InProcess
from emulators.http.sockets import PortTakenError, Sockets
from emulators.network import AZURE_PUBLIC, AZURE_VNET, ONPREM, Host, Network, Unreachable

Place = Callable[..., Host]


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Says who called and what came."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [("Content-Type", "application/json")])
    answer = {
        "peer": environ["drillbed.peer"],
        "path": environ["PATH_INFO"],
        "query": environ["QUERY_STRING"],
        "bytes": len(body),
        "method": environ["REQUEST_METHOD"],
    }
    return [json.dumps(answer).encode()]


def test_a_request_arrives_with_the_name_of_its_sender(place: Place) -> None:
    web, server = place("web", ONPREM), place("configuration-server", ONPREM)
    server.listen(443, echo)
    reply = web.request("POST", "https://configuration-server.drillbed/a%20b?c=d", body=b"x" * 100_000)
    assert reply.status == 200
    assert json.loads(reply.body) == {"peer": "web", "path": "/a b", "query": "c=d", "bytes": 100_000, "method": "POST"}


def test_a_flow_counts_the_bytes_of_both_directions(place: Place, network: Network) -> None:
    web, server = place("web", ONPREM), place("process-server", ONPREM)
    server.listen(9443, echo)
    for _ in range(3):
        web.request("POST", "https://process-server.drillbed:9443/", body=b"x" * 1000)
    (flow,) = network.flows()
    assert (flow.source, flow.destination, flow.port, flow.tls, flow.requests) == ("web", "process-server", 9443, True, 3)
    assert 3000 < flow.bytes_out < 4500
    assert 200 < flow.bytes_in < 1500


def test_a_block_bites_also_on_a_kept_connection_and_ends_with_it(place: Place, network: Network) -> None:
    web, server = place("web", ONPREM), place("process-server", ONPREM)
    server.listen(9443, echo)
    web.request("GET", "https://process-server.drillbed:9443/")
    block = network.block(port=9443)
    with pytest.raises(Unreachable, match="port 9443 from web to process-server is blocked"):
        web.request("GET", "https://process-server.drillbed:9443/")
    network.unblock(block)
    assert web.request("GET", "https://process-server.drillbed:9443/").status == 200
    assert [denied.reason for denied in network.denied] == ["port 9443 from web to process-server is blocked"]


@pytest.mark.parametrize(
    ("source", "target", "links", "works"),
    [
        (ONPREM, AZURE_PUBLIC, {"internet"}, True),
        (ONPREM, AZURE_PUBLIC, {"expressroute-public"}, True),
        (ONPREM, AZURE_PUBLIC, {"vpn"}, False),
        (ONPREM, AZURE_PUBLIC, {"expressroute-private"}, False),
        (ONPREM, AZURE_VNET, {"internet"}, False),
        (AZURE_VNET, ONPREM, {"vpn"}, True),
        (AZURE_VNET, ONPREM, {"expressroute-private"}, True),
        (AZURE_PUBLIC, ONPREM, {"internet", "vpn", "expressroute-public"}, False),
    ],
)
def test_links_decide_which_zones_reach_each_other(
    place: Place, network: Network, source: str, target: str, links: set[str], works: bool
) -> None:
    near, far = place("near", source), place("far", target)
    far.listen(443, echo)
    network.links = links
    if works:
        assert near.request("GET", "https://far.drillbed/").status == 200
    else:
        with pytest.raises(Unreachable, match="no path"):
            near.request("GET", "https://far.drillbed/")


def test_a_certificate_of_another_authority_is_not_accepted(place: Place) -> None:
    web, impostor = place("web", ONPREM), place("configuration-server", ONPREM)
    impostor.authority = "somebody-else"
    impostor.listen(443, echo)
    with pytest.raises(ssl.SSLCertVerificationError):
        web.request("GET", "https://configuration-server.drillbed/")


def test_a_closed_listener_is_not_reached(place: Place) -> None:
    web, server = place("web", ONPREM), place("server", ONPREM)
    listener = server.listen(443, echo)
    assert web.request("GET", "https://server.drillbed/").status == 200
    listener.close()
    with pytest.raises(OSError, match=r"nobody listens|refused|reset"):
        web.request("GET", "https://server.drillbed/")


def test_two_listeners_on_one_port_are_refused(place: Place) -> None:
    server = place("server", ONPREM)
    server.listen(443, echo)
    with pytest.raises(OSError, match="port 443 of server is taken"):
        server.listen(443, echo)


def test_a_kept_connection_that_the_server_closed_is_replaced(place: Place) -> None:
    web, server = place("web", ONPREM), place("server", ONPREM)
    first = server.listen(443, echo)
    web.request("GET", "https://server.drillbed/")
    first.close()
    server.listen(443, echo)
    assert web.request("GET", "https://server.drillbed/").status == 200


def test_a_port_that_another_program_holds_gets_one_clear_line(place: Place, network: Network) -> None:
    if isinstance(network.transport, InProcess):
        return
    server = place("server", ONPREM)
    with socket.socket() as other:
        other.bind((server.address, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"port {port} on {server.address} is taken by another program.*ss -ltnp"):
            server.listen(port, echo)


def test_a_stranger_over_sockets_is_seen_as_the_operator(place: Place, network: Network) -> None:
    if not isinstance(network.transport, Sockets):
        return
    server = place("management", AZURE_PUBLIC)
    listener = server.listen(443, echo)
    context = ssl.create_default_context(cafile=str(network.transport.authorities.bundle()))
    connection = http.client.HTTPSConnection(server.address, listener.actual, context=context)
    connection.request("GET", "/")
    assert json.loads(connection.getresponse().read())["peer"] == "operator"
    connection.close()
    assert [(flow.source, flow.destination) for flow in network.flows()] == [("operator", "management")]


def test_a_name_below_a_wildcard_finds_its_host(place: Place, network: Network) -> None:
    web = place("web", ONPREM)
    storage = network.host("storage", AZURE_PUBLIC, address="127.77.0.99", names=["*.blob.drillbed"])
    storage.listen(443, echo)
    assert web.request("GET", "https://cache1.blob.drillbed/").status == 200
    assert network.flows()[0].destination == "storage"
    with pytest.raises(Unreachable, match="no host is named"):
        web.request("GET", "https://cache1.other.drillbed/")


@dataclass(frozen=True)
class Shown:
    certificate: bytes
    key: bytes


def signed_by(authority: trustme.CA) -> Shown:
    issued = authority.issue_cert(common_name="agent 7")
    return Shown(b"".join(part.bytes() for part in issued.cert_chain_pems), issued.private_key_pem.bytes())


def test_a_port_may_ask_for_the_certificate_of_the_client(network: Network, place: Callable[..., Host]) -> None:
    ours, others = trustme.CA(), trustme.CA()
    server, client = place("server", AZURE_PUBLIC), place("client", AZURE_PUBLIC)
    seen: list[bytes] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        seen.append(environ["drillbed.certificate"])
        start_response("200 OK", [("Content-Length", "2")])
        return [b"in"]

    server.listen(9443, app, clients=ours.cert_pem.bytes())
    good, foreign = signed_by(ours), signed_by(others)
    assert client.request("GET", "https://server:9443/", identity=good).body == b"in"
    for shown in (None, foreign):
        with pytest.raises((ssl.SSLError, ConnectionError)):  # how a handshake ends differs with the way
            client.request("GET", "https://server:9443/", identity=shown)
    assert client.request("GET", "https://server:9443/", identity=good).body == b"in"
    assert len(seen) == 2
    assert b"agent 7" in seen[0]
