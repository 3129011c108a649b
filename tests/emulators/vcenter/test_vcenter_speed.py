"""The bare ASGI face over real sockets: waiting without a thread, refusals, and what it leaves to the WSGI face."""

import http.client
import re
import socket
import ssl
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest
from vcenter_lab import USERS

from emulators.clock import Clock
from emulators.http.sockets import Sockets
from emulators.network import ONPREM, Network
from emulators.vcenter import VCenter

ENVELOPE = (
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>{}</soapenv:Body></soapenv:Envelope>'
)
PER_VM = (
    '<specSet><propSet><type>VirtualMachine</type><pathSet>name</pathSet></propSet><objectSet><obj type="VirtualMachine">{}</obj>'
    "</objectSet></specSet><options/>"
)


class Client:
    """A raw client with one kept connection."""

    def __init__(self, where, context):
        self.connection = http.client.HTTPSConnection(*where, context=context, timeout=30)
        self.cookie = ""

    def post(self, method, kind, moid, content=""):
        call = f'<{method} xmlns="urn:vim25"><_this type="{kind}">{moid}</_this>{content}</{method}>'
        self.connection.request("POST", "/sdk", ENVELOPE.format(call).encode(), {"Cookie": self.cookie})
        answer = self.connection.getresponse()
        self.cookie = (answer.headers["Set-Cookie"] or self.cookie).partition(";")[0]
        return answer.status, answer.read().decode()

    def login(self):
        name, (password, _) = next(iter(USERS.items()))
        status, text = self.post(
            "Login", "SessionManager", "SessionManager", f"<userName>{name}</userName><password>{password}</password>"
        )
        assert status == 200, text
        return self


@pytest.fixture
def served(tmp_path):
    clock = Clock(seed=3, flow=1.0)
    network = Network(clock, Sockets(tmp_path / "certificates"))
    vcenter = VCenter(clock, tmp_path / "site", users=USERS)
    vcenter.add_vm("web")
    listener = network.host("vcenter", ONPREM, address="127.0.0.1").listen(0, vcenter.wsgi, asgi=vcenter.asgi)
    context = ssl.create_default_context(cafile=str(network.transport.authorities.bundle()))
    made = []

    def client():
        made.append(Client((listener.address, listener.actual), context))
        return made[-1]

    yield vcenter, client
    for one in made:
        one.connection.close()
    vcenter.close()
    network.transport.close()


def waits(client, moid):
    """A collector with a filter on one machine: its version."""
    made = client.post("CreatePropertyCollector", "PropertyCollector", "propertyCollector")[1]
    collector = re.search(r"<returnval[^>]*>([^<]+)<", made)[1]
    spec = PER_VM.format(moid).replace("specSet>", "spec>").replace("<options/>", "<partialUpdates>false</partialUpdates>")
    assert client.post("CreateFilter", "PropertyCollector", collector, spec)[0] == 200
    first = client.post("WaitForUpdatesEx", "PropertyCollector", collector, "<version></version>")[1]
    return collector, re.search(r"<version>([^<]+)<", first)[1]


def test_waiting_clients_hear_of_a_change_and_cost_no_thread(served):
    vcenter, client = served
    clients = [client().login() for _ in range(20)]
    web = vcenter.find_vm("web")
    places = [waits(one, web.moid) for one in clients]
    before = threading.active_count()
    with ThreadPoolExecutor(20) as pool:
        answers = [
            pool.submit(one.post, "WaitForUpdatesEx", "PropertyCollector", collector, f"<version>{version}</version>")
            for one, (collector, version) in zip(clients, places, strict=True)
        ]
        while len(vcenter.asgi._waiters.events if vcenter.asgi._waiters else ()) < 20:
            assert not wait(answers, timeout=0.02, return_when=FIRST_COMPLETED).done
        assert threading.active_count() - before - 20 <= 8  # the clients' own threads, and the pool's
        with vcenter.inventory.lock:
            web.name = "renamed"
            vcenter.inventory.change(web, "name")
        for answer in answers:
            status, text = answer.result(timeout=20)
            assert status == 200
            assert ">renamed</val>" in text
            assert text.count("<objectSet>") == 1


def test_a_wait_ends_with_its_session_and_at_its_end(served):
    vcenter, client = served
    one = client().login()
    collector, version = waits(one, vcenter.find_vm("web").moid)
    short = f"<version>{version}</version><options><maxWaitSeconds>1</maxWaitSeconds></options>"
    status, text = one.post("WaitForUpdatesEx", "PropertyCollector", collector, short)
    assert (status, "returnval" in text) == (200, False)
    other = client()
    other.cookie = one.cookie
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(one.post, "WaitForUpdatesEx", "PropertyCollector", collector, f"<version>{version}</version>")
        while not vcenter.asgi._waiters.events:
            assert not wait([answer], timeout=0.02).done
        assert other.post("Logout", "SessionManager", "SessionManager")[0] == 200
        status, text = answer.result(timeout=20)
    assert status == 500
    assert "NotAuthenticatedFault" in text


def test_a_request_seen_before_needs_its_session_every_time(served):
    vcenter, client = served
    one, moid = client().login(), vcenter.find_vm("web").moid
    read = ("RetrievePropertiesEx", "PropertyCollector", "propertyCollector", PER_VM.format(moid))
    assert [">web</val>" in one.post(*read)[1] for _ in range(3)] == [True] * 3
    for cookie in ("", "vmware_soap_session=stolen", f"vmware_soap_session={'0' * 40}", "nonsense"):
        thief = client()
        thief.cookie = cookie
        status, text = thief.post(*read)
        assert (status, "NotAuthenticatedFault" in text, "web" in text) == (500, True, False)


def test_large_bodies_are_refused_before_they_are_read_and_other_paths_are_served(served):
    _, client = served
    one = client()
    one.connection.putrequest("POST", "/sdk")
    one.connection.putheader("Content-Length", str(100 * 1024 * 1024))
    one.connection.endheaders()
    assert one.connection.getresponse().status == 413
    two = client()
    two.connection.request("POST", "/sdk", iter([b" " * 1024 * 1024] * 5), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    assert two.connection.getresponse().status == 413
    three = client()
    three.connection.request("GET", "/sdk/vimServiceVersions.xml")
    answer = three.connection.getresponse()
    assert (answer.status, b"urn:vim25" in answer.read()) == (200, True)
    assert isinstance(three.connection.sock, socket.socket)
