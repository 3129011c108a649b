"""`/folder` over HTTP: files of a datastore read, listed, written and deleted; what may not be is refused and changes nothing."""

import socket

import pytest
from pyVmomi import vim
from vcenter_lab import MIB, USERS, Site

from emulators.clock import Clock
from emulators.http.sockets import Sockets
from emulators.network import ONPREM, Network
from emulators.vcenter import VCenter

QUERY = "?dcPath=DC0&dsName=LocalDS_0"


@pytest.fixture
def ask(site, si):
    """Ask for a path of LocalDS_0 as administrator: (status, headers, body)."""

    def asked(method, path, body=None, *, cookie=None, query=QUERY, **headers):
        connection = site.client.connection("vcenter", 443)
        sent = {"Cookie": si._stub.cookie if cookie is None else cookie, **headers}
        connection.request(method, f"/folder/{path}{query}", body=body, headers=sent)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    return asked


def on_disk(site):
    folder = site.vcenter.inventory.stores[next(iter(site.vcenter.inventory.stores))].folder
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_file_is_written_read_listed_and_deleted(site, si, ask):
    before = on_disk(site)
    assert ask("PUT", "iso/one.iso", b"0123456789")[0] == 201
    assert ask("PUT", "iso/one.iso", b"0123456789abcdef")[0] == 200
    assert ask("POST", "iso/one.iso", b"x")[0] == 409
    status, headers, body = ask("GET", "iso/one.iso")
    assert (status, body, headers["Content-Length"]) == (200, b"0123456789abcdef", "16")
    assert ask("HEAD", "iso/one.iso")[1:] == (headers, b"")
    assert ask("GET", "iso/one.iso", Range="bytes=2-4")[::2] == (206, b"234")
    assert ask("GET", "iso/one.iso", Range="bytes=-3")[::2] == (206, b"def")
    assert ask("GET", "iso/one.iso", Range="bytes=99-")[0] == 416
    assert b">one.iso<" in ask("GET", "iso")[2]
    assert b">iso<" in ask("GET", "")[2]
    found = site.wait(si.content.rootFolder.childEntity[0].datastore[0].browser.SearchDatastore_Task("[LocalDS_0] iso", None))
    assert [one.path for one in found.file] == ["one.iso"]
    assert ask("DELETE", "iso/one.iso")[0] == 204
    assert ask("GET", "iso/one.iso")[0] == 404
    assert ask("DELETE", "iso/one.iso")[0] == 404
    assert on_disk(site) - before == {"iso"}


def test_datacenters_and_their_datastores_are_listed(ask):
    assert b"dcPath=DC0" in ask("GET", "", query="")[2]
    assert b"dsName=LocalDS_0" in ask("GET", "", query="?dcPath=DC0")[2]
    assert ask("GET", "", query="?dcPath=DC9")[0] == 404
    assert ask("GET", "x", query="?dcPath=DC0")[0] == 404
    assert ask("GET", "x", query="?dcPath=DC0&dsName=none")[0] == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("path", ["../x", "..%2f..%2fetc%2fpasswd", "a/../../x", "link/x", "link", "a%00b", "a%5cb"])
def test_no_path_leaves_the_datastore(site, ask, tmp_path, method, path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x").write_text("secret")
    (tmp_path / "LocalDS_0/link").symlink_to(tmp_path / "outside")
    assert ask(method, path, b"data" if method == "PUT" else None)[0] == 404
    assert (tmp_path / "outside/x").read_text() == "secret"
    assert [one.name for one in (tmp_path / "outside").iterdir()] == ["x"]


def test_who_may_not_write_may_read(site, ask):
    reader = site.login("reader")._stub.cookie
    nobody = site.vcenter.inventory.sessions.open("nobody", locale="en", address="", agent="").token
    assert ask("PUT", "a.txt", b"text")[0] == 201
    assert ask("GET", "a.txt", cookie=f"vmware_soap_session={nobody}")[0] == 403
    for method in ("PUT", "DELETE"):
        assert ask(method, "a.txt", b"other", cookie=reader)[0] == 403
        assert ask(method, "a.txt", b"other", cookie="")[0] == 401
        assert ask(method, "a.txt", b"other", cookie="vmware_soap_session=stolen")[0] == 401
    assert ask("GET", "a.txt")[2] == b"text"
    assert ask("PATCH", "a.txt", b"other")[0] == 405


@pytest.mark.parametrize("path", ["web", "web/web.vmx", "web/web.vmdk", "web/web-flat.vmdk", "web/web-ctk.vmdk"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_files_of_a_machine_are_locked(site, ask, method, path):
    site.vcenter.disks_of(site.web)[0].write(0, b"x")
    site.vcenter.disks_of(site.web)[0].flush()
    before = on_disk(site)
    assert ask(method, path, b"x" * 5000)[0] == 423
    assert on_disk(site) == before


def test_an_upload_that_breaks_off_leaves_nothing(site, si, ask):
    before, free = on_disk(site), si.content.rootFolder.childEntity[0].datastore[0].summary.freeSpace
    status, _, text = ask("PUT", "new/deep/file.bin", b"x" * 100_000, **{"Content-Length": "200000"})
    assert (status, b"broke off" in text) == (400, True)
    assert on_disk(site) == before
    assert si.content.rootFolder.childEntity[0].datastore[0].summary.freeSpace == free


def test_a_full_datastore_refuses_and_a_file_takes_its_space(tmp_path):
    site = Site(tmp_path, capacity=MIB)
    cookie, store = site.login()._stub.cookie, site.login().content.rootFolder.childEntity[0].datastore[0]

    def put(name, size):
        connection = site.client.connection("vcenter", 443)
        connection.request("PUT", f"/folder/{name}{QUERY}", body=b"x" * size, headers={"Cookie": cookie})
        return connection.getresponse().status

    assert put("large", MIB + 1) == 507
    assert put("half", MIB // 2) == 201
    assert store.summary.freeSpace == MIB // 2
    assert put("more", MIB // 2 + 1) == 507
    assert put("half", MIB // 4) == 200
    assert store.summary.freeSpace == MIB * 3 // 4
    site.wait(site.login().content.fileManager.DeleteFile("[LocalDS_0] half", site.login().content.rootFolder.childEntity[0]))
    assert store.summary.freeSpace == MIB
    site.vcenter.close()


def test_a_disk_whose_files_were_uploaded_can_be_attached(site, si, ask):
    vm = site.vm(si, "web")
    site.vcenter.disks_of(site.web)[0].write(70_000, b"travelled")
    for end in (".vmdk", "-flat.vmdk"):
        body = ask("GET", f"web/web{end}")[2]
        assert ask("PUT", f"copy/web{end}", body)[0] == 201
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="[LocalDS_0] copy/web.vmdk", diskMode="persistent")
    disk = vim.vm.device.VirtualDisk(key=-1, controllerKey=1000, unitNumber=5, capacityInKB=4096, backing=backing)
    change = vim.vm.device.VirtualDeviceSpec(operation="add", device=disk)
    site.wait(vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[change])))
    assert site.vcenter.disks_of(site.web)[1].read(70_000, 9) == b"travelled"


def until(done, where):
    """Ask a server on and on until something holds: each round is a connection that it takes and closes."""
    for _ in range(3000):
        if done():
            return True
        with socket.create_connection(where) as client:
            client.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            client.recv(100)
    return False


@pytest.mark.parametrize("chunked", [True, False])
def test_a_client_that_dies_in_the_middle_leaves_nothing(tmp_path, chunked):
    clock = Clock(seed=3)
    transport = Sockets(tmp_path / "certificates")
    network = Network(clock, transport)
    vcenter = VCenter(clock, tmp_path / "vcenter", users=USERS)
    host = network.host("vcenter", ONPREM, address="127.0.0.1")
    host.listen(0, vcenter.wsgi, tls=False, asgi=vcenter.asgi)
    with vcenter.inventory.lock:
        opened = vcenter.inventory.sessions.open("administrator@vsphere.local", locale="en", address="", agent="")
    store = tmp_path / "vcenter" / "LocalDS_0"
    head = f"PUT /folder/dead/file{QUERY} HTTP/1.1\r\nHost: x\r\nCookie: vmware_soap_session={opened.token}\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n" if chunked else f"Content-Length: {1 << 30}\r\n\r\n"
    body = b"10\r\n0123456789abcdef\r\n" if chunked else b"0123456789abcdef"
    try:
        with socket.create_connection(transport.where(host, 0)) as client:
            client.sendall(head.encode() + body)
            assert until(lambda: list(store.glob("dead/.upload-*")), transport.where(host, 0)), "it is being received"
            client.shutdown(socket.SHUT_RDWR)
        assert until(lambda: list(store.iterdir()) == [], transport.where(host, 0))
    finally:
        transport.close()
        vcenter.close()


def test_a_ticket_is_good_for_one_request_of_its_kind(site, si, ask):
    assert ask("PUT", "a%20b.txt", b"text")[0] == 201
    address = f"https://vcenter/folder/a%20b.txt{QUERY}"

    def ticket(method="httpGet", url=address):
        spec = vim.SessionManager.HttpServiceRequestSpec(method=method, url=url)
        return f"vmware_cgi_ticket={si.content.sessionManager.AcquireGenericServiceTicket(spec).id}"

    cookie = ticket()
    assert ask("GET", "a%20b.txt", cookie=cookie)[::2] == (200, b"text")
    assert ask("GET", "a%20b.txt", cookie=cookie)[0] == 401, "it is used up"
    assert ask("PUT", "a%20b.txt", b"other", cookie=ticket())[0] == 401
    assert ask("GET", "web/web.vmx", cookie=ticket())[0] == 401
    assert ask("PUT", "a%20b.txt", b"other", cookie=ticket("httpPut"))[0] == 200
    late = ticket()
    site.clock.wait(121)
    assert ask("GET", "a%20b.txt", cookie=late)[0] == 401
    ended = ticket()
    si.content.sessionManager.Logout()
    assert ask("GET", "a%20b.txt", cookie=ended)[0] == 401
    with pytest.raises(vim.fault.NotAuthenticated):
        ticket()
