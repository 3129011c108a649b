"""Machines leave and come over NFC leases, driven by pyVmomi and HTTP: bytes, digests, descriptors, what lies or breaks off."""

import hashlib
import io
import shutil
import subprocess
import tarfile
from urllib.parse import urlsplit

import pytest
from pyVmomi import vim, vmodl
from vcenter_lab import MIB, Site, stub_over

from emulators.network import ONPREM

QEMU = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
Disk = vim.vm.device.VirtualDisk


@pytest.fixture
def si(site):
    """Pulling came with a later version than the others ask for."""
    instance = vim.ServiceInstance("ServiceInstance", stub_over(site.client, version="vim.version.v8_0_1_0"))
    instance.content.sessionManager.Login("administrator@vsphere.local", "Secret1!")
    return instance


def ready(site, lease):
    assert site.clock.wait_until(lambda: lease.state != "initializing", seconds=30)
    assert lease.state == "ready"
    return lease


def http(site, method, url, body=None, **headers):
    connection = site.client.connection("vcenter", 443)
    connection.request(method, urlsplit(url).path, body=body, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def filled(site):
    """web with bytes on its disk; returns them."""
    disk = site.vcenter.disks_of(site.web)[0]
    disk.write(0, b"boot" * 5000)
    disk.write(3 * MIB + 77, bytes(range(256)) * 100)
    return disk.read(0, disk.size)


def exported(site, lease):
    """Everything under a lease, by the names of the files; the lease is complete."""
    found = {one.targetId: http(site, "GET", one.url)[1] for one in ready(site, lease).info.deviceUrl}
    manifest = {entry.key: entry for entry in lease.HttpNfcLeaseGetManifest()}
    for one in lease.info.deviceUrl:
        body, told = found[one.targetId], manifest[one.key]
        assert (told.size, told.sha1) == (len(body), hashlib.sha1(body).hexdigest())
        assert told.checksum == getattr(hashlib, told.checksumType)(body).hexdigest()
    lease.HttpNfcLeaseProgress(100)
    lease.HttpNfcLeaseComplete()
    assert lease.state == "done"
    return found


def descriptor_of(si, entity, files=()):
    spec = vim.OvfManager.CreateDescriptorParams(name=entity.name, ovfFiles=list(files))
    return si.content.ovfManager.CreateDescriptor(entity, spec).ovfDescriptor


def package(site, si, vm):
    """A machine as an OVF package: descriptor and files by name."""
    lease = ready(site, vm.ExportVm())
    urls = list(lease.info.deviceUrl)
    files = exported(site, lease)
    told = [vim.OvfManager.OvfFile(deviceId=one.key, path=one.targetId, size=len(files[one.targetId])) for one in urls]
    return descriptor_of(si, vm, told), files


def import_spec(si, descriptor, name, **more):
    dc = si.content.rootFolder.childEntity[0]
    pool = si.content.searchIndex.FindByInventoryPath("DC0/host/DC0_C0/Resources")
    networks = [vim.OvfManager.NetworkMapping(name="VM Network", network=dc.network[0])]
    params = {"locale": "", "deploymentOption": "", "entityName": name, "networkMapping": networks, **more}
    spec = vim.OvfManager.CreateImportSpecParams(**params)
    return si.content.ovfManager.CreateImportSpec(descriptor, pool, dc.datastore[0], spec), pool, dc


def import_lease(site, si, descriptor, name, **more):
    result, pool, dc = import_spec(si, descriptor, name, **more)
    assert list(result.error) == []
    return result, ready(site, pool.ImportVApp(result.importSpec, dc.vmFolder))


def state_of(site, si):
    """What an import that failed must leave as it was."""
    dc = si.content.rootFolder.childEntity[0]
    folder = site.vcenter.inventory.stores[dc.datastore[0]._moId].folder
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(one.name for one in dc.vmFolder.childEntity), files, dc.datastore[0].summary.freeSpace


# export ------------------------------------------------------------------------------------------------------------------


@QEMU
def test_an_exported_disk_is_what_the_machine_has(site, si, tmp_path):
    content, vm = filled(site), site.vm(si, "web")
    files = exported(site, vm.ExportVm())
    (tmp_path / "a.vmdk").write_bytes(files["disk-0.vmdk"])
    (tmp_path / "a.raw").write_bytes(content)
    subprocess.run(["qemu-img", "check", "-q", "a.vmdk"], cwd=tmp_path, check=True)
    subprocess.run(["qemu-img", "compare", "-q", "-f", "vmdk", "-F", "raw", "a.vmdk", "a.raw"], cwd=tmp_path, check=True)


def test_an_export_needs_a_machine_that_is_off_and_keeps_it_so(site, si):
    vm = site.vm(si, "web")
    site.wait(vm.PowerOn())
    with pytest.raises(vim.fault.InvalidPowerState):
        vm.ExportVm()
    site.wait(vm.PowerOff())
    lease = ready(site, vm.ExportVm())
    with pytest.raises(vim.fault.TaskInProgress):
        site.wait(vm.PowerOn())
    for refused in (vm.ExportVm, vm.Unregister):
        with pytest.raises(vim.fault.TaskInProgress):
            refused()
    url = lease.info.deviceUrl[0].url
    assert http(site, "PUT", url, b"x")[0] == 409
    assert http(site, "PATCH", url, b"x")[0] == 405
    assert http(site, "HEAD", url) == (200, b"")
    assert http(site, "GET", url + "x")[0] == 404
    assert http(site, "GET", "/nfc/session[none]/disk-0.vmdk")[0] == 404
    lease.HttpNfcLeaseAbort()
    assert (lease.state, isinstance(lease.error, vmodl.MethodFault)) == ("error", True)
    assert http(site, "GET", url)[0] == 409
    for refused in (lease.HttpNfcLeaseComplete, lambda: lease.HttpNfcLeaseProgress(5), lease.HttpNfcLeaseGetManifest):
        with pytest.raises(vim.fault.InvalidState):
            refused()
    site.wait(vm.PowerOn())


def test_a_snapshot_of_a_running_machine_is_exported_as_it_was(site, si):
    vm, content = site.vm(si, "web"), filled(site)
    site.wait(vm.PowerOn())
    snapshot = site.wait(vm.CreateSnapshot("s", "", memory=False, quiesce=False))
    site.vcenter.disks_of(site.web)[0].write(0, b"later" * 1000)
    lease = ready(site, snapshot.ExportSnapshot())
    lease.HttpNfcLeaseSetManifestChecksumType([vim.KeyValue(key=lease.info.deviceUrl[0].key, value="sha256")])
    with pytest.raises(vmodl.fault.InvalidArgument):
        lease.HttpNfcLeaseSetManifestChecksumType([vim.KeyValue(key=lease.info.deviceUrl[0].key, value="md5")])
    files = exported(site, lease)
    _, lease = import_lease(site, si, descriptor_of(si, vm), "copy")
    assert http(site, "PUT", lease.info.deviceUrl[0].url, files["disk-0.vmdk"])[0] == 201
    lease.HttpNfcLeaseComplete()
    made = site.vcenter.disks_of(site.vcenter.find_vm("copy"))[0]
    assert made.read(0, made.size) == content


def test_a_lease_nobody_uses_ends_and_one_that_is_used_lives(site, si):
    lease = ready(site, site.vm(si, "web").ExportVm())
    for _ in range(3):
        site.clock.wait(200)
        lease.HttpNfcLeaseProgress(50)
    assert (lease.state, lease.transferProgress, lease.info.leaseTimeout) == ("ready", 50, 300)
    site.clock.wait(301)
    assert lease.state == "error"
    assert isinstance(lease.error, vim.fault.Timedout)
    site.wait(site.vm(si, "web").PowerOn())


# import ------------------------------------------------------------------------------------------------------------------


def test_a_package_that_left_comes_back_with_its_hardware_and_bytes(site, si):
    content, vm = filled(site), site.vm(si, "web")
    descriptor, files = package(site, si, vm)
    result, lease = import_lease(site, si, descriptor, "back", diskProvisioning="thin")
    item = result.fileItem[0]
    assert (item.path, item.size, item.create) == ("disk-0.vmdk", len(files["disk-0.vmdk"]), False)
    made = lease.info.entity
    with pytest.raises(vim.fault.TaskInProgress):
        site.wait(made.PowerOn())
    for one in lease.info.deviceUrl:
        path = next(item.path for item in result.fileItem if item.deviceId == one.importKey)
        assert http(site, "POST", one.url, files[path])[0] == 200
    manifest = lease.HttpNfcLeaseGetManifest()[0]
    assert manifest.sha1 == hashlib.sha1(files["disk-0.vmdk"]).hexdigest()
    assert (manifest.capacity, manifest.disk, manifest.populatedSize >= 2 * 65536) == (4 * MIB, True, True)
    lease.HttpNfcLeaseComplete()
    disk = site.vcenter.disks_of(site.vcenter.find_vm("back"))[0]
    assert disk.read(0, disk.size) == content
    assert disk.disk.used() < MIB, "zeros take no space"
    for name in ("numCPU", "memoryMB"):
        assert getattr(made.config.hardware, name) == getattr(vm.config.hardware, name)
    assert made.config.guestId == vm.config.guestId
    assert [
        one.backing.deviceName for one in made.config.hardware.device if isinstance(one, vim.vm.device.VirtualEthernetCard)
    ] == ["VM Network"]
    site.wait(made.PowerOn())
    with pytest.raises(vim.fault.DuplicateName):
        import_lease(site, si, descriptor, "back")


def test_a_vapp_leaves_and_comes_back(site, si):
    filled(site)
    dc = si.content.rootFolder.childEntity[0]
    root = si.content.searchIndex.FindByInventoryPath("DC0/host/DC0_C0/Resources")
    shares = vim.SharesInfo(level="normal", shares=4000)
    one = vim.ResourceAllocationInfo(reservation=0, expandableReservation=True, limit=-1, shares=shares)
    spec = vim.ResourceConfigSpec(cpuAllocation=one, memoryAllocation=one)
    vapp = root.CreateVApp("shop", spec, vim.vApp.VAppConfigSpec(), dc.vmFolder)
    vapp.MoveIntoResourcePool([site.vm(si, "web"), site.vm(si, "db")])
    files = exported(site, vapp.ExportVApp())
    assert sorted(files) == ["disk-0.vmdk", "disk-1.vmdk", "disk-2.vmdk"]
    descriptor = descriptor_of(si, vapp)
    parsed = si.content.ovfManager.ParseDescriptor(
        descriptor, vim.OvfManager.ParseDescriptorParams(locale="", deploymentOption="")
    )
    assert (parsed.virtualApp, parsed.defaultEntityName) == (True, "shop")
    for name in ("web", "db"):
        site.vm(si, name).Rename(f"old-{name}")
    site.clock.wait(5)
    _, lease = import_lease(site, si, descriptor, "again")
    assert {vm.name for vm in lease.info.entity.vm} == {"web", "db"}
    for url in lease.info.deviceUrl:
        number = next(index for index, other in enumerate(lease.info.deviceUrl) if other.key == url.key)
        assert http(site, "PUT", url.url, files[f"disk-{number}.vmdk"])[0] == 201
    lease.HttpNfcLeaseComplete()
    made = next(vm for vm in site.vcenter.vms() if vm.name == "web")
    assert site.vcenter.disks_of(made)[0].read(0, 4) == b"boot"
    _, lease = import_lease(
        site, si, descriptor.replace('id="web"', 'id="x"').replace(">web<", ">x<").replace(">db<", ">y<"), "third"
    )
    lease.HttpNfcLeaseAbort()
    assert not any(vm.name in ("x", "y") for vm in site.vcenter.vms())
    assert not any(pool.name == "third" for pool in root.resourcePool)


def test_what_breaks_off_is_sent_again_or_times_out_and_leaves_nothing(site, si):
    content, before = filled(site), None
    descriptor, files = package(site, si, site.vm(si, "web"))
    before, body = state_of(site, si), files["disk-0.vmdk"]
    _, lease = import_lease(site, si, descriptor, "back")
    url = lease.info.deviceUrl[0].url
    status, text = http(site, "PUT", url, body[: len(body) // 2], **{"Content-Length": str(len(body))})
    assert (status, b"broke off" in text, lease.state) == (400, True, "ready")
    assert list(lease.HttpNfcLeaseGetManifest()) == []
    assert http(site, "PUT", url, body)[0] == 201
    disk = site.vcenter.disks_of(site.vcenter.find_vm("back"))[0]
    assert disk.read(0, disk.size) == content
    assert http(site, "PUT", url, body[:100], **{"Content-Length": str(len(body))})[0] == 400
    assert disk.read(0, disk.size) == bytes(disk.size)
    site.clock.wait(301)
    assert isinstance(lease.error, vim.fault.Timedout)
    assert state_of(site, si) == before
    site.clock.wait(301)
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = lease.state


@pytest.mark.parametrize("damage", ["garbage", "other size", "cut", "changed"])
def test_a_wrong_disk_ends_the_import_and_leaves_nothing(site, si, damage):
    filled(site)
    descriptor, files = package(site, si, site.vm(si, "web"))
    before, body = state_of(site, si), files["disk-0.vmdk"]
    if damage == "other size":
        descriptor = descriptor.replace(f'capacity="{4 * MIB}"', f'capacity="{8 * MIB}"')
    wrong = {"garbage": b"hello" * 1000, "cut": body[:-1024], "changed": body[:65_550] + b"\0\1\2" + body[65_553:]}.get(
        damage, body
    )
    _, lease = import_lease(site, si, descriptor, "back")
    status, text = http(site, "PUT", lease.info.deviceUrl[0].url, wrong)
    assert (status, b"not what it should be" in text) == (500, True)
    assert (lease.state, type(lease.error)) == ("error", vim.fault.InvalidDiskFormat)
    assert state_of(site, si) == before


def test_a_full_datastore_ends_the_import_and_leaves_nothing(tmp_path):
    site = Site(tmp_path, capacity=MIB)
    si = site.login()
    disk = site.vcenter.disks_of(site.web)[0]
    disk.write(0, bytes(range(256)) * 2560)
    descriptor, files = package(site, si, site.vm(si, "web"))
    before = state_of(site, si)
    _, lease = import_lease(site, si, descriptor, "back", diskProvisioning="thin")
    assert http(site, "PUT", lease.info.deviceUrl[0].url, files["disk-0.vmdk"])[0] == 507
    assert isinstance(lease.error, vim.fault.NoDiskSpace)
    assert state_of(site, si) == before
    result, pool, dc = import_spec(si, descriptor, "thick", diskProvisioning="thick")
    with pytest.raises(vim.fault.NoDiskSpace):
        pool.ImportVApp(result.importSpec, dc.vmFolder)
    assert state_of(site, si) == before
    site.vcenter.close()


# pulling -----------------------------------------------------------------------------------------------------------------


def ova(descriptor, files, *, sha1=None, manifest_last=False):
    members = {"web.ovf": descriptor.encode(), **files}
    lines = "".join(f"SHA1({name})= {sha1 or hashlib.sha1(body).hexdigest()}\n" for name, body in files.items())
    order = [*members.items()]
    order.insert(len(order) if manifest_last else 1, ("web.mf", lines.encode()))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, body in order:
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return out.getvalue()


@pytest.fixture
def web_server(site):
    """A web server of the site: what it has, by path."""
    held = {}

    def app(environ, start_response):
        body = held.get(environ["PATH_INFO"])
        start_response("200 OK" if body is not None else "404 Not Found", [("Content-Length", str(len(body or b"")))])
        return [body or b""]

    site.network.host("files", ONPREM).listen(80, app, tls=False)
    site.vcenter.inventory.host = site.network.find("vcenter")
    return held


def source(lease, url, **more):
    return vim.HttpNfcLease.SourceFile(targetDeviceId=lease.info.deviceUrl[0].importKey, url=url, create=False, **more)


@pytest.mark.parametrize("manifest_last", [False, True])
def test_the_vcenter_fetches_a_disk_out_of_an_ova(site, si, web_server, manifest_last):
    content = filled(site)
    descriptor, files = package(site, si, site.vm(si, "web"))
    web_server["/web.ova"] = ova(descriptor, files, manifest_last=manifest_last)
    web_server["/disk"] = files["disk-0.vmdk"]
    for name, told in (("one", {"memberName": "disk-0.vmdk"}), ("two", {})):
        _, lease = import_lease(site, si, descriptor, name)
        url = f"http://files/{'web.ova' if told else 'disk'}"
        one = source(lease, url, size=len(files["disk-0.vmdk"]), **told)
        assert lease.HttpNfcLeaseProbeUrls([one, source(lease, "http://nowhere/x")], 5)[0].serverAccessible is True
        site.wait(lease.HttpNfcLeasePullFromUrls_Task([one]))
        lease.HttpNfcLeaseComplete()
        disk = site.vcenter.disks_of(site.vcenter.find_vm(name))[0]
        assert disk.read(0, disk.size) == content


@pytest.mark.parametrize(
    ("lie", "fault"),
    [
        ("digest", vim.fault.InvalidDiskFormat),
        ("digest at the end", vim.fault.InvalidDiskFormat),
        ("size", vim.fault.InvalidDiskFormat),
        ("cut", vmodl.fault.InvalidArgument),
        ("no member", vim.fault.InvalidDiskFormat),
        ("no archive", vim.fault.InvalidDiskFormat),
        ("missing", vim.fault.HttpFault),
        ("nowhere", vmodl.fault.HostCommunication),
        ("no url", vmodl.fault.InvalidArgument),
        ("header", vmodl.fault.InvalidArgument),
    ],
)
def test_a_package_that_lies_is_refused_and_leaves_nothing(site, si, web_server, lie, fault):
    filled(site)
    descriptor, files = package(site, si, site.vm(si, "web"))
    before, size = state_of(site, si), len(files["disk-0.vmdk"])
    good = ova(descriptor, files)
    web_server["/web.ova"] = {
        "digest": ova(descriptor, files, sha1="0" * 40),
        "digest at the end": ova(descriptor, files, sha1="0" * 40, manifest_last=True),
        "cut": good[: good.index(b"KDMV") + size // 2],
        "no archive": b"x" * 10_000,
    }.get(lie, good)
    _, lease = import_lease(site, si, descriptor, "back")
    told = source(
        lease,
        {"missing": "http://files/none", "nowhere": "http://other/web.ova", "no url": "file:///etc/passwd"}.get(
            lie, "http://files/web.ova"
        ),
        memberName="other" if lie == "no member" else "disk-0.vmdk",
        size=size + 1 if lie == "size" else size,
        httpHeaders=[vim.KeyValue(key="Bad", value="a\r\nb: c")] if lie == "header" else [],
    )
    with pytest.raises(fault):
        site.wait(lease.HttpNfcLeasePullFromUrls_Task([told]))
    if lease.state == "ready":
        lease.HttpNfcLeaseAbort()
    assert state_of(site, si) == before
