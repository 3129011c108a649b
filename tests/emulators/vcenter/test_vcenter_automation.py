"""The Automation API, asked by the vendor's own SDK over a socket, and its two REST dialects by plain HTTP."""

import base64
import hashlib
import json
import ssl
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest
import requests
from com.vmware.cis.tagging_client import CategoryModel
from com.vmware.content.library.item.updatesession_client import File
from com.vmware.content.library.item_client import UpdateSessionModel
from com.vmware.content.library_client import ItemModel, StorageBacking
from com.vmware.content_client import LibraryModel
from com.vmware.vapi.std import errors_client as errors
from com.vmware.vapi.std_client import DynamicID
from com.vmware.vcenter.vm.hardware_client import Boot, Cpu, Disk, Ethernet, Memory
from com.vmware.vcenter.vm_client import Power
from com.vmware.vcenter_client import VM, Datacenter, Folder, Host, Network, ResourcePool
from vcenter_lab import USERS
from vmware.vapi.vsphere.client import create_vsphere_client

from emulators.clock import Clock
from emulators.http.sockets import Sockets
from emulators.network import ONPREM
from emulators.network import Network as Site
from emulators.vcenter import Model, VCenter

ADMIN = "administrator@vsphere.local"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("automation")
    clock = Clock(seed=3, flow=1.0)
    network = Site(clock, Sockets(folder / "certificates"))
    vcenter = VCenter(clock, folder / "site", users=USERS, model=Model.vcsim())
    listener = network.host("vcenter", ONPREM, address="127.0.0.1").listen(0, vcenter.wsgi, asgi=vcenter.asgi)
    bundle = str(network.transport.authorities.bundle())
    clock.start()
    yield SimpleNamespace(vcenter=vcenter, where=f"127.0.0.1:{listener.actual}", bundle=bundle)
    clock.stop()
    vcenter.close()
    network.transport.close()


@pytest.fixture
def client(served):
    made = []

    def connect(user=ADMIN, password=None):
        session = requests.Session()
        session.trust_env, session.verify = False, served.bundle
        made.append(create_vsphere_client(served.where, user, password or USERS[user][0], session=session))
        return made[-1]

    yield connect
    for one in made:
        one.session_svc.delete()
        one.session.close()
        del one.session_svc  # what is left has nothing to log out of


@pytest.fixture
def plain(served):
    """Ask with plain HTTP: status and parsed JSON."""
    context = ssl.create_default_context(cafile=served.bundle)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({}))
    held = {}

    def ask(verb, path, body=None, *, user=None, data=None, headers=()):
        asked = urllib.request.Request(f"https://{served.where}{path}", method=verb)
        asked.data = data if data is not None else None if body is None else json.dumps(body).encode()
        for name, value in {"Content-Type": "application/json", **held, **dict(headers)}.items():
            asked.add_header(name, value)
        if user:
            asked.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{USERS[user][0]}".encode()).decode())
        try:
            with opener.open(asked) as answer:
                text, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            with error:
                text, status = error.read(), error.code
        return status, json.loads(text) if text[:1] in (b"{", b"[", b'"') else text or None

    def login(user=ADMIN):
        status, token = ask("POST", "/api/session", user=user)
        assert status == 201
        held["vmware-api-session-id"] = token

    return SimpleNamespace(ask=ask, login=login, held=held)


def machine(api, name):
    (found,) = api.vcenter.VM.list(VM.FilterSpec(names={name}))
    return found.vm


def test_the_sdk_lists_the_inventory(client):
    api = client()
    assert [vm.name for vm in api.vcenter.VM.list()] == ["DC0_C0_RP0_VM0", "DC0_C0_RP0_VM1", "DC0_H0_VM0", "DC0_H0_VM1"]
    assert [one.name for one in api.vcenter.Datacenter.list()] == ["DC0"]
    assert [one.name for one in api.vcenter.Host.list()] == ["DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2", "DC0_H0"]
    assert [one.name for one in api.vcenter.Cluster.list()] == ["DC0_C0"]
    assert [one.name for one in api.vcenter.Datastore.list()] == ["LocalDS_0"]
    assert [one.name for one in api.vcenter.Folder.list(Folder.FilterSpec(type=Folder.Type.VIRTUAL_MACHINE))] == ["vm"]
    assert {"DC0_DVPG0", "VM Network"} < {one.name for one in api.vcenter.Network.list()}
    assert [one.name for one in api.vcenter.ResourcePool.list()] == ["Resources", "Resources"]


def test_filters_narrow_a_list(client):
    api = client()
    (cluster,) = api.vcenter.Cluster.list()
    hosts = api.vcenter.Host.list(Host.FilterSpec(clusters={cluster.cluster}))
    assert len(hosts) == 3
    assert [one.name for one in api.vcenter.Host.list(Host.FilterSpec(standalone=True))] == ["DC0_H0"]
    assert len(api.vcenter.VM.list(VM.FilterSpec(clusters={cluster.cluster}))) == 2
    assert len(api.vcenter.VM.list(VM.FilterSpec(power_states={Power.State.POWERED_OFF}))) == 0
    assert len(api.vcenter.VM.list(VM.FilterSpec(hosts={hosts[0].host}, names={"DC0_C0_RP0_VM1"}))) == 1
    (pool,) = api.vcenter.ResourcePool.list(ResourcePool.FilterSpec(clusters={cluster.cluster}))
    assert api.vcenter.ResourcePool.get(pool.resource_pool).name == "Resources"
    (network,) = api.vcenter.Network.list(Network.FilterSpec(types={Network.Type.STANDARD_PORTGROUP}))
    assert network.name == "VM Network"
    assert api.vcenter.Datacenter.list(Datacenter.FilterSpec(names={"DC1"})) == []


def test_a_machine_is_made_changed_and_deleted(client):
    api = client()
    (cluster,) = api.vcenter.Cluster.list()
    (folder,) = api.vcenter.Folder.list(Folder.FilterSpec(names={"vm"}))
    (store,) = api.vcenter.Datastore.list()
    place = VM.PlacementSpec(folder=folder.folder, cluster=cluster.cluster, datastore=store.datastore)
    network = api.vcenter.Network.list(Network.FilterSpec(names={"DC0_DVPG0"}))[0].network
    card = Ethernet.CreateSpec(
        backing=Ethernet.BackingSpec(type=Ethernet.BackingType.DISTRIBUTED_PORTGROUP, network=network), start_connected=True
    )
    disk = Disk.CreateSpec(new_vmdk=Disk.VmdkCreateSpec(capacity=8 * MIB))
    spec = VM.CreateSpec(
        guest_os="UBUNTU_64",
        name="made",
        placement=place,
        cpu=Cpu.UpdateSpec(count=2),
        memory=Memory.UpdateSpec(size_mib=512),
        boot=Boot.CreateSpec(type=Boot.Type.EFI),
        disks=[disk],
        nics=[card],
    )
    vm = api.vcenter.VM.create(spec)
    found = api.vcenter.VM.get(vm)
    assert (found.name, found.guest_os, found.cpu.count, found.memory.size_mib) == ("made", "UBUNTU_64", 2, 512)
    assert [one.capacity for one in found.disks.values()] == [8 * MIB]
    assert [one.backing.network for one in found.nics.values()] == [network]
    assert found.boot.type == Boot.Type.EFI
    with pytest.raises(errors.AlreadyExists):
        api.vcenter.VM.create(spec)
    hardware = api.vcenter.vm.hardware
    hardware.Cpu.update(vm, Cpu.UpdateSpec(count=4))
    hardware.Memory.update(vm, Memory.UpdateSpec(size_mib=1024))
    added = hardware.Disk.create(vm, Disk.CreateSpec(new_vmdk=Disk.VmdkCreateSpec(capacity=2 * MIB)))
    assert hardware.Disk.get(vm, added).capacity == 2 * MIB
    hardware.Disk.delete(vm, added)
    assert len(hardware.Disk.list(vm)) == 1
    nic = hardware.Ethernet.create(vm, Ethernet.CreateSpec())
    hardware.Ethernet.update(vm, nic, Ethernet.UpdateSpec(start_connected=False))
    assert hardware.Ethernet.get(vm, nic).start_connected is False
    hardware.Ethernet.delete(vm, nic)
    order = hardware.boot.Device
    order.set(vm, [order.Entry(type=order.Type.DISK, disks=[hardware.Disk.list(vm)[0].disk]), order.Entry(type=order.Type.CDROM)])
    assert [one.type for one in order.get(vm)] == [order.Type.DISK, order.Type.CDROM]
    assert (hardware.Cpu.get(vm).count, hardware.Memory.get(vm).size_mib) == (4, 1024)
    assert len(hardware.adapter.Scsi.list(vm)) == 1
    api.vcenter.VM.delete(vm)
    with pytest.raises(errors.NotFound):
        api.vcenter.VM.get(vm)


def test_power_follows_and_refuses_what_is_already_so(client):
    api = client()
    vm, power = machine(api, "DC0_H0_VM1"), api.vcenter.vm.Power
    with pytest.raises(errors.AlreadyInDesiredState):
        power.start(vm)
    power.stop(vm)
    assert power.get(vm).state == Power.State.POWERED_OFF
    with pytest.raises(errors.NotAllowedInCurrentState):
        power.reset(vm)
    power.start(vm)
    power.suspend(vm)
    assert power.get(vm).state == Power.State.SUSPENDED
    power.start(vm)


def test_the_guest_tells_who_it_is(served, client):
    api = client()
    vm = machine(api, "DC0_C0_RP0_VM0")
    with pytest.raises(errors.ServiceUnavailable):
        api.vcenter.vm.guest.Identity.get(vm)
    served.vcenter.report_guest(served.vcenter.find_vm("DC0_C0_RP0_VM0"), hostname="one.corp", addresses=["10.1.2.3"])
    found = api.vcenter.vm.guest.Identity.get(vm)
    assert (found.host_name, found.ip_address, found.name) == ("one.corp", "10.1.2.3", "OTHER")


def test_who_may_not_is_refused_in_all_dialects(client, plain):
    reader, vm = client("reader"), machine(client(), "DC0_C0_RP0_VM1")
    assert len(reader.vcenter.VM.list()) == 4
    with pytest.raises(errors.Unauthorized):
        reader.vcenter.VM.delete(vm)
    with pytest.raises(errors.Unauthenticated):
        client(password="wrong")
    assert plain.ask("GET", "/api/vcenter/vm")[0] == 401
    assert plain.ask("GET", "/api/vcenter/vm", headers={"vmware-api-session-id": "made-up"}.items())[0] == 401
    plain.login("reader")
    status, told = plain.ask("POST", f"/api/vcenter/vm/{vm}/power?action=stop")
    assert (status, told["error_type"]) == (403, "UNAUTHORIZED")
    assert plain.ask("GET", f"/rest/vcenter/vm/{vm}/power") == (200, {"value": {"state": "POWERED_ON"}})


def test_the_two_rest_dialects_write_as_the_real_ones(client, plain):
    plain.login()
    api = client()
    vm = machine(api, "DC0_C0_RP0_VM1")
    status, listed = plain.ask("GET", "/api/vcenter/vm?names=DC0_C0_RP0_VM1&names=DC0_H0_VM0")
    assert status == 200
    assert {one["name"] for one in listed} == {"DC0_C0_RP0_VM1", "DC0_H0_VM0"}
    assert listed[0] == {"vm": vm, "name": "DC0_C0_RP0_VM1", "power_state": "POWERED_ON", "cpu_count": 1, "memory_size_MiB": 32}
    _, older = plain.ask("GET", "/rest/vcenter/vm?filter.names.1=DC0_C0_RP0_VM1")
    assert older == {"value": [listed[0]]}
    _, new = plain.ask("GET", f"/api/vcenter/vm/{vm}")
    _, old = plain.ask("GET", f"/rest/vcenter/vm/{vm}")
    assert list(new["disks"]) == [one["key"] for one in old["value"]["disks"]]
    assert plain.ask("PATCH", f"/api/vcenter/vm/{vm}/hardware/boot", {"delay": 500}) == (204, None)
    assert plain.ask("PATCH", f"/rest/vcenter/vm/{vm}/hardware/boot", {"spec": {"retry": True}}) == (200, {})
    _, boot = plain.ask("GET", f"/api/vcenter/vm/{vm}/hardware/boot")
    assert (boot["delay"], boot["retry"]) == (500, True)
    assert plain.ask("POST", f"/rest/vcenter/vm/{vm}/power/stop") == (200, {})
    status, told = plain.ask("POST", f"/rest/vcenter/vm/{vm}/power/stop")
    assert (status, told["type"]) == (400, "com.vmware.vapi.std.errors.already_in_desired_state")
    assert plain.ask("POST", f"/api/vcenter/vm/{vm}/power?action=start") == (204, None)
    assert plain.ask("GET", "/rest/com/vmware/cis/session")[1]["value"]["user"] == ADMIN
    assert plain.ask("POST", "/rest/com/vmware/cis/session?~action=get")[1]["value"]["user"] == ADMIN
    assert plain.ask("DELETE", "/api/session") == (204, None)
    assert plain.ask("GET", "/api/session")[0] == 401


@pytest.mark.parametrize(
    ("verb", "path", "data", "status", "error"),
    [
        ("GET", "/api/vcenter/vm/vm-99999", None, 404, "NOT_FOUND"),
        ("GET", "/api/vcenter/vm/datastore-7", None, 404, "NOT_FOUND"),
        ("GET", "/api/vcenter/nothing", None, 404, "OPERATION_NOT_FOUND"),
        ("GET", "/api/vcenter/vm?colour=red", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/api/vcenter/host?standalone=perhaps", None, 400, "INVALID_ARGUMENT"),
        ("POST", "/api/vcenter/vm", b"{", 400, "UNEXPECTED_INPUT"),
        ("POST", "/api/vcenter/vm", b"[" * 5000, 400, "UNEXPECTED_INPUT"),
        ("POST", "/api/vcenter/vm", b"[]", 400, "INVALID_ARGUMENT"),
        ("POST", "/api/vcenter/vm", b'{"guest_OS": "NO_SUCH"}', 400, "INVALID_ARGUMENT"),
        ("POST", "/api/vcenter/vm", b'{"guest_OS": "OTHER", "memory": {"size_MiB": "much"}}', 400, "INVALID_ARGUMENT"),
        ("POST", "/api/vcenter/vm", b'{"guest_OS": "OTHER", "wheels": 4}', 400, "INVALID_ARGUMENT"),
        ("POST", "/api/vcenter/vm", b'{"guest_OS": "OTHER"}', 400, "INVALID_ARGUMENT"),
        ("POST", "/api/vcenter/vm?action=instant-clone", b'{"source": "vm-1", "name": "x"}', 400, "UNSUPPORTED"),
        ("POST", "/api/cis/tagging/tag", b'{"name": "a", "description": "", "category_id": "none"}', 404, "NOT_FOUND"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(plain, verb, path, data, status, error):
    plain.login()
    before = plain.ask("GET", "/api/vcenter/vm")
    told = plain.ask(verb, path, data=data)
    assert (told[0], told[1]["error_type"]) == (status, error)
    assert told[1]["messages"][0]["default_message"]
    assert plain.ask("GET", "/api/vcenter/vm") == before


def test_bodies_that_are_too_large_or_no_calls(plain):
    plain.login()
    assert plain.ask("POST", "/api/vcenter/vm", data=b" " * (5 * MIB))[0] == 413
    assert plain.ask("POST", "/api", data=b"{}")[1]["error"]["code"] == -32600
    other = {"jsonrpc": "2.0", "id": "1", "method": "other", "params": {"serviceId": "a", "operationId": "b"}}
    assert plain.ask("POST", "/api", other)[1]["error"]["code"] == -32601


def test_pools_and_datacenters_come_and_go(client):
    api = client()
    pools = api.vcenter.ResourcePool
    (cluster,) = api.vcenter.Cluster.list()
    root = api.vcenter.Cluster.get(cluster.cluster).resource_pool
    limited = ResourcePool.ResourceAllocationCreateSpec(limit=4000)
    made = pools.create(ResourcePool.CreateSpec(name="gold", parent=root, cpu_allocation=limited))
    assert pools.get(made).cpu_allocation.limit == 4000
    assert made in pools.get(root).resource_pools
    pools.update(made, ResourcePool.UpdateSpec(name="silver"))
    assert pools.get(made).name == "silver"
    pools.delete(made)
    with pytest.raises(errors.NotFound):
        pools.get(made)
    there = api.vcenter.Datacenter.create(Datacenter.CreateSpec(name="DC9"))
    assert api.vcenter.Datacenter.get(there).name == "DC9"


def test_tags_are_attached_and_the_rules_of_their_category_hold(client):
    api = client()
    vm, host = machine(api, "DC0_H0_VM0"), api.vcenter.Host.list()[0].host
    category = api.tagging.Category.create(
        api.tagging.Category.CreateSpec(
            name="tier", description="", cardinality=CategoryModel.Cardinality.SINGLE, associable_types={"VirtualMachine"}
        )
    )
    one, two = (
        api.tagging.Tag.create(api.tagging.Tag.CreateSpec(name=name, description="", category_id=category)) for name in "ab"
    )
    target, other = DynamicID(type="VirtualMachine", id=vm), DynamicID(type="HostSystem", id=host)
    links = api.tagging.TagAssociation
    assert set(links.list_attachable_tags(target)) == {one, two}
    links.attach(one, target)
    assert [found.id for found in links.list_attached_objects(one)] == [vm]
    with pytest.raises(errors.InvalidArgument, match="already"):
        links.attach(two, target)
    with pytest.raises(errors.InvalidArgument, match="not for a HostSystem"):
        links.attach(one, other)
    assert links.list_attached_tags(target) == [one]
    tried = links.attach_multiple_tags_to_object(target, [one, two])
    assert (tried.success, len(tried.error_messages)) == (False, 1)
    with pytest.raises(errors.AlreadyExists):
        api.tagging.Tag.create(api.tagging.Tag.CreateSpec(name="a", description="", category_id=category))
    with pytest.raises(errors.Unauthorized):
        client("reader").tagging.Tag.delete(one)
    links.detach(one, target)
    links.attach(two, target)
    api.tagging.Category.delete(category)
    assert links.list_attached_tags(target) == []
    assert api.tagging.Tag.list() == []


def test_a_library_takes_files_only_whole_and_right(client, plain):
    api, data = client(), b"an image" * 1000
    content, library = api.content, api.content.library
    (store,) = api.vcenter.Datastore.list()
    backing = StorageBacking(type=StorageBacking.Type.DATASTORE, datastore_id=store.datastore)
    local = LibraryModel(name="images", type=LibraryModel.LibraryType.LOCAL, storage_backings=[backing])
    made = content.LocalLibrary.create(local)
    item = library.Item.create(ItemModel(name="disk", library_id=made, type="iso"))
    assert library.Item.list(made) == [item]
    session = library.item.UpdateSession.create(UpdateSessionModel(library_item_id=item))
    right = hashlib.sha256(data).hexdigest()
    files = library.item.updatesession.File
    checksum = files.ChecksumInfo(algorithm="SHA256", checksum=right) if hasattr(files, "ChecksumInfo") else None
    spec = File.AddSpec(name="disk.iso", source_type=File.SourceType.PUSH, size=len(data), checksum_info=checksum)
    address = files.add(session, spec).upload_endpoint.uri.partition(plainly(api))[2]
    with pytest.raises(errors.NotAllowedInCurrentState):
        library.item.UpdateSession.complete(session)
    assert plain.ask("PUT", address, data=data[:-1])[0] == 400
    assert files.validate(session).has_errors
    assert plain.ask("PUT", address, data=data)[0] == 200
    assert library.item.File.list(item) == []  # nothing before the session is complete
    library.item.UpdateSession.complete(session)
    (file,) = library.item.File.list(item)
    assert (file.name, file.size, file.checksum_info.checksum) == ("disk.iso", len(data), hashlib.sha1(data).hexdigest())
    for name in ("../up", "a/b", ""):
        fresh = library.item.UpdateSession.create(UpdateSessionModel(library_item_id=item))
        with pytest.raises(errors.InvalidArgument):
            files.add(fresh, File.AddSpec(name=name, source_type=File.SourceType.PUSH))
    assert plain.ask("PUT", "/cls/data/no-such-session/disk.iso", data=data)[0] == 404
    content.LocalLibrary.delete(made)
    assert content.Library.list() == []


def plainly(api):
    """What an address of the vCenter begins with."""
    return api.session_svc._api_interface._api_provider.next_provider.http_provider._base_url.removesuffix("/api")
