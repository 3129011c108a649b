"""The wire: same bytes as pyVmomi writes, hostile requests, files over HTTP, and pyVmomi over a real HTTP server."""

import http.client
import re
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from pyVim.connect import Disconnect, SmartConnect
from pyVmomi import SoapAdapter, VmomiSupport, vim, vmodl
from pyVmomi.VmomiSupport import newestVersions
from vcenter_lab import USERS

from emulators.clock import Clock
from emulators.vcenter import DiskSpec, VCenter
from emulators.vcenter.inventory import Call
from emulators.vcenter.kinds import coverage
from emulators.vcenter.properties import every, read
from emulators.vcenter.serialise import any_fragment, fragment

MIB = 1024 * 1024
NAMESPACES = {**SoapAdapter.SOAP_NSMAP, "urn:vim25": ""}
DECLARED = ' xmlns="urn:vim25" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


def again_by_pyvmomi(xml, python):
    """What pyVmomi writes after having read `xml`. As a client it names the type of a lone reference unlike servers do."""
    version = VmomiSupport.GetServiceVersions("vim25")[0]
    declared = re.sub(r"^<(\w+)", rf"<\1{DECLARED}", xml, count=1)
    value = SoapAdapter.Deserialize(declared, python)
    info = VmomiSupport.Object(name=re.match(r"<(\w+)", xml)[1], type=python, version=version, flags=0)
    return (
        SoapAdapter.SerializeToStr(value, info, version, NAMESPACES)
        .replace(f' versionId="{VmomiSupport.versionIdMap[version]}"', "", 1)
        .replace('xsi:type="ManagedObject"', 'xsi:type="ManagedObjectReference"')
    )


def test_what_is_written_is_what_pyvmomi_writes(site, si):
    vm = site.vm(si, "db")
    site.wait(vm.CreateSnapshot("s <&> é", "", memory=False, quiesce=False))
    with pytest.raises(vim.fault.InvalidPowerState):
        site.wait(vm.PowerOff())
    inventory, seen = site.vcenter.inventory, 0
    for managed in inventory.objects():
        call = Call(inventory, inventory.sessions.all()[0])
        for name in every(call, managed):
            value = read(call, managed, name)
            if value is None or value.type.startswith("ArrayOf"):
                continue
            python = VmomiSupport.GuessWsdlType(value.type) if not value.type.startswith("xsd:") else None
            if python is None or issubclass(python, VmomiSupport.ManagedObject):
                continue
            assert again_by_pyvmomi(fragment("val", value.type, value.value), python) == fragment("val", value.type, value.value)
            seen += 1
    assert seen > 80
    for event in inventory.events.events:
        xml = any_fragment("val", event.kind, event)
        assert again_by_pyvmomi(xml, object) == xml


# hostile -------------------------------------------------------------------------------------------------------------


def envelope(content):
    return (
        '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>'
        f"{content}</soapenv:Body></soapenv:Envelope>"
    ).encode()


def post(site, body, cookie=""):
    connection = site.client.connection("vcenter", 443)
    headers = {"Content-Type": "text/xml", "Cookie": f"vmware_soap_session={cookie}"}
    connection.request("POST", "/sdk", body=body, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def token(site):
    return site.vcenter.inventory.sessions.all()[0].token


def call(method, kind, moid, content="", namespace="urn:vim25"):
    return envelope(f'<{method} xmlns="{namespace}"><_this type="{kind}">{moid}</_this>{content}</{method}>')


INSTANCE = ("ServiceInstance", "ServiceInstance")
ENTITY = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
LAUGHS = b'<!DOCTYPE a [<!ENTITY x "lol"><!ENTITY y "&x;&x;">]>'
OTHER_KIND = '<container type="Folder">ViewManager</container><recursive>true</recursive>'
OTHER_TYPE = '<spec xsi:type="VirtualMachineConfigSpec"/><partialUpdates>true</partialUpdates>'
HOSTILE = {
    "not xml": (b"<a", "InvalidRequest"),
    "empty": (b"", "InvalidRequest"),
    "nothing in it": (envelope(""), "InvalidRequest"),
    "entities": (ENTITY + envelope("<CurrentTime>&x;</CurrentTime>"), "InvalidRequest"),
    "laughs": (LAUGHS + envelope("<a>&y;</a>"), "InvalidRequest"),
    "deep": (envelope("<a>" * 5000 + "</a>" * 5000), "InvalidRequest"),
    "no this": (envelope('<CurrentTime xmlns="urn:vim25"/>'), "InvalidRequest"),
    "other namespace": (call("CurrentTime", *INSTANCE, namespace="urn:x"), "InvalidRequest"),
    "unknown method": (call("Explode", *INSTANCE), "MethodNotFound"),
    "unknown object": (call("PowerOnVM_Task", "VirtualMachine", "vm-4711"), "ManagedObjectNotFound"),
    "unknown type": (call("PowerOnVM_Task", "Spaceship", "vm-4711"), "InvalidRequest"),
    "known but not built": (call("PrepareCrypto", "HostSystem", "{host}"), "NotSupported"),
    "wrong argument type": (call("RebootHost_Task", "HostSystem", "{host}", "<force>maybe</force>"), "InvalidArgument"),
    "unknown argument": (call("CurrentTime", *INSTANCE, "<x/>"), "InvalidRequest"),
    "missing argument": (call("CreateFolder", "Folder", "group-d1"), "InvalidArgument"),
    "wrong kind of object": (call("CreateContainerView", "ViewManager", "ViewManager", OTHER_KIND), "InvalidArgument"),
    "type that does not fit": (call("CreateFilter", "PropertyCollector", "propertyCollector", OTHER_TYPE), "InvalidRequest"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_get_their_fault(site, si, name):
    body, fault = HOSTILE[name]
    host = si.content.rootFolder.childEntity[0].hostFolder.childEntity[0].host[0]._moId
    before = site.vcenter.inventory.structure
    status, text = post(site, body.replace(b"{host}", host.encode()), token(site))
    assert (status, f"<{fault}Fault " in text) == (500, True), text
    assert "Traceback" not in text
    assert "root:" not in text
    assert site.vcenter.inventory.structure == before


def test_unsupported_method_is_named(si):
    si._stub.version = newestVersions.Get("vim")
    host = si.content.rootFolder.childEntity[0].hostFolder.childEntity[0].host[0]
    with pytest.raises(vmodl.fault.NotSupported, match=r"HostSystem.PrepareCrypto"):
        host.PrepareCrypto()


def test_large_bodies_and_other_paths_are_refused(site):
    assert post(site, b" " * (4 * MIB + 1))[0] == 413
    connection = site.client.connection("vcenter", 443)
    connection.request("GET", "/sdk/../secret")
    assert connection.getresponse().status == 404


def test_files_of_the_datastore_over_http(site, si):
    site.vcenter.disks_of(site.web)[0].write(0, b"bytes of web")

    def get(path, cookie):
        connection = site.client.connection("vcenter", 443)
        connection.request("GET", f"/folder/{path}?dcPath=DC0&dsName=LocalDS_0", headers={"Cookie": cookie})
        answer = connection.getresponse()
        return answer.status, answer.read()

    status, body = get("web/web-flat.vmdk", si._stub.cookie)
    assert (status, body[:12], len(body)) == (200, b"bytes of web", 4 * MIB)
    assert get("web/web-flat.vmdk", "")[0] == 401
    assert get("..%2f..%2fetc/passwd", si._stub.cookie)[0] == 404
    assert get("webb", si._stub.cookie)[0] == 404
    assert get("web/web-flat.vmdk", site.login("reader")._stub.cookie)[0] == 403


def test_coverage_is_counted_from_the_tables():
    built, missing = coverage()["VirtualMachine"]
    assert "PowerOnVM_Task" in built
    assert "StartRecording_Task" in missing
    assert sum(len(have) for have, _ in coverage().values()) > 230


# over a real HTTP server ---------------------------------------------------------------------------------------------


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def served(tmp_path):
    clock = Clock(seed=1, flow=20.0)
    vcenter = VCenter(clock, tmp_path, users=USERS)
    vcenter.add_vm("web", disks=[DiskSpec(MIB)])
    server = make_server("127.0.0.1", 0, vcenter.wsgi, Server, Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    clock.start()
    yield clock, vcenter, server.server_port
    vcenter.close()
    server.shutdown()
    thread.join()
    server.server_close()
    clock.stop()


def connect(port):
    return SmartConnect(protocol="http", host="127.0.0.1", port=port, user="Administrator@vsphere.local", pwd="Secret1!")


def test_smart_connect_works_and_a_waiter_is_woken(served):
    _, _, port = served
    instance = connect(port)
    assert instance.content.about.apiVersion == "6.5"
    vm = instance.content.searchIndex.FindByInventoryPath("DC0/vm/web")
    PC = vmodl.query.PropertyCollector
    spec = PC.FilterSpec(
        propSet=[PC.PropertySpec(type=vim.VirtualMachine, pathSet=["runtime.powerState"])], objectSet=[PC.ObjectSpec(obj=vm)]
    )
    collector = instance.content.propertyCollector
    collector.CreateFilter(spec, True)
    version = collector.WaitForUpdatesEx("").version
    vm.PowerOn()
    update = collector.WaitForUpdatesEx(version, PC.WaitOptions(maxWaitSeconds=600))
    assert update.filterSet[0].objectSet[0].changeSet[0].val == "poweredOn"
    assert collector.WaitForUpdatesEx(update.version, PC.WaitOptions(maxWaitSeconds=1)) is None
    Disconnect(instance)
    instance._stub.DropConnections()


def test_a_wait_can_be_cancelled_from_another_connection(served):
    _, vcenter, port = served
    instance = connect(port)
    collector = instance.content.propertyCollector
    caught = []

    def wait():
        try:
            collector.WaitForUpdatesEx("")
        except vmodl.fault.RequestCanceled as fault:
            caught.append(fault)

    session = vcenter.inventory.sessions.all()[0]
    calls = session.calls
    waiter = threading.Thread(target=wait)
    waiter.start()
    while session.calls == calls:  # until the wait has arrived
        with vcenter.inventory.lock:
            vcenter.inventory.changed.wait(0.01)
    collector.CancelWaitForUpdates()
    waiter.join(timeout=10)
    assert len(caught) == 1
    instance._stub.DropConnections()


def test_versions_document(served):
    connection = http.client.HTTPConnection("127.0.0.1", served[2])
    connection.request("GET", "/sdk/vimServiceVersions.xml")
    text = connection.getresponse().read().decode()
    connection.close()
    assert "<name>urn:vim25</name><version>6.5</version><priorVersions><version>6.0</version>" in text
