"""What a hostile or broken client may do to a vCenter over sockets: it gets its answer, others go on, nothing changes."""

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree
from pyVmomi import vim
from vcenter_lab import USERS, Site

from emulators.clock import Clock
from emulators.http.sockets import Sockets
from emulators.network import ONPREM, Network
from emulators.vcenter import VCenter

ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{}</soapenv:Body></soapenv:Envelope>'
)


def call(method, kind, moid, content=""):
    return ENVELOPE.format(f'<{method} xmlns="urn:vim25"><_this type="{kind}">{moid}</_this>{content}</{method}>').encode()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    clock = Clock(seed=3, flow=1.0)
    network = Network(clock, Sockets(folder / "certificates"))
    vcenter = VCenter(clock, folder / "site", users=USERS)
    listener = network.host("vcenter", ONPREM, address="127.0.0.1").listen(0, vcenter.wsgi, asgi=vcenter.asgi)
    context = ssl.create_default_context(cafile=str(network.transport.authorities.bundle()))

    def raw():
        plain = socket.create_connection((listener.address, listener.actual), timeout=30)
        return context.wrap_socket(plain, server_hostname="127.0.0.1")

    content = call("RetrieveServiceContent", "ServiceInstance", "ServiceInstance")

    def ask(body=content, headers=None):
        connection = HTTPSConnection(listener.address, listener.actual, context=context, timeout=30)
        connection.request("POST", "/sdk", body, headers or {})
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    yield SimpleNamespace(vcenter=vcenter, raw=raw, ask=ask, clock=clock)
    vcenter.close()
    network.transport.close()


def drained(connection):
    """What comes until the server closes or has nothing more to say."""
    parts = []
    while True:
        try:
            data = connection.recv(65536)
        except (TimeoutError, OSError):
            break
        if not data:
            break
        parts.append(data)
        if b"\r\n\r\n" in data and b"too large" in data:
            break
    return b"".join(parts)


@pytest.mark.parametrize("path", ["/sdk", "/api/session", "/folder/x?dsName=LocalDS_0"])
def test_slow_clients_hold_up_nobody(served, path):
    """Twenty clients that announce a body and send nothing of it; each is more than there are threads."""
    slow = [served.raw() for _ in range(20)]
    for connection in slow:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: v\r\nContent-Length: 500\r\n\r\n<half".encode())
    with ThreadPoolExecutor(4) as pool:
        assert [status for status, _ in pool.map(lambda _: served.ask(), range(8))] == [200] * 8
    with served.raw() as other:
        other.sendall(b"GET /api/session HTTP/1.1\r\nHost: v\r\nConnection: close\r\n\r\n")
        assert drained(other).startswith(b"HTTP/1.1 401")
    for connection in slow:
        connection.close()


def test_a_hundred_megabytes_are_refused_without_being_kept(served):
    with served.raw() as announced:
        announced.sendall(b"POST /sdk HTTP/1.1\r\nHost: v\r\nContent-Length: 104857600\r\n\r\n")
        assert b"413" in drained(announced).split(b"\r\n")[0]
    with served.raw() as chunked:
        chunked.sendall(b"POST /sdk HTTP/1.1\r\nHost: v\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        try:
            for _ in range(100):
                chunked.sendall(piece)
        except OSError:
            pass  # it has closed already
        else:
            chunked.sendall(b"0\r\n\r\n")
        chunked.settimeout(10)
        assert b"413" in drained(chunked).split(b"\r\n")[0] or served.ask()[0] == 200
    assert served.ask()[0] == 200


@pytest.mark.parametrize("cookie", ["", "x", "0" * 40, '"', "a; b=c", "\xff" * 10, "vmware_soap_session"])
def test_cookies_that_were_never_given_open_nothing(served, cookie):
    body = call("CreateFolder", "Folder", "group-d1", "<name>made</name>")
    status, told = served.ask(body, {"Cookie": f"vmware_soap_session={cookie}".encode("latin-1")})
    assert status == 500
    assert b"NotAuthenticatedFault" in told
    assert all(folder.name != "made" for folder in served.vcenter.inventory.objects() if folder.kind == "Folder")


def test_a_cookie_of_a_session_that_has_ended_opens_nothing(tmp_path):
    site = Site(tmp_path)
    try:
        si = site.login()
        cookie = si._stub.cookie
        assert si.content.sessionManager.currentSession is not None
        si.content.sessionManager.Logout()
        thief = site.login("reader")
        thief._stub.cookie = cookie
        with pytest.raises(vim.fault.NotAuthenticated):
            _ = thief.content.sessionManager.currentSession
        second = site.login()
        site.clock.wait(1801)  # longer than a session may be idle
        with pytest.raises(vim.fault.NotAuthenticated):
            _ = second.content.sessionManager.currentSession
        assert site.login().content.sessionManager.currentSession is not None
    finally:
        site.vcenter.close()


SEED = call(
    "CreateFilter",
    "PropertyCollector",
    "propertyCollector",
    "<spec><propSet><type>VirtualMachine</type><all>false</all><pathSet>config.hardware.device[200].key</pathSet></propSet>"
    '<objectSet><obj type="Folder">group-d1</obj><skip>false</skip><selectSet xsi:type="TraversalSpec"><name>a</name>'
    "<type>Folder</type><path>childEntity</path><skip>false</skip><selectSet><name>a</name></selectSet></selectSet></objectSet>"
    "</spec><partialUpdates>true</partialUpdates>",
)
#: What may stand in the place of a piece of a request.
TOKENS = [b"", b"<", b">", b"&", b"&x;", b"]]>", b"<!--", b"\x00", b"\xff\xfe", b"-1", b"9" * 30, b"null", b"Folder", b"xsd:int"]
PIECES = st.sampled_from(TOKENS) | st.binary(max_size=8)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(SEED)), st.integers(0, 40), PIECES)
def test_any_change_of_a_request_gets_a_fault_or_an_answer(site, si, start, length, piece):
    body = SEED[:start] + piece + SEED[start + length :]
    inventory = site.vcenter.inventory
    before = inventory.tree
    connection = site.client.connection("vcenter", 443)
    connection.request("POST", "/sdk", body=body, headers={"Cookie": si._stub.cookie})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status in (200, 500)
    root = etree.fromstring(text)
    assert root.tag.endswith("Envelope")
    assert b"Traceback" not in text
    if answer.status == 500:
        assert b"<detail>" in text
    assert inventory.tree == before
    for session in inventory.sessions.all():
        session.objects.clear()
