"""One disk through four doors: copied by the API, read under `/folder`, over NBD and as an export, it is the same disk."""

import io
import shutil
import subprocess

import pytest
from pyVmomi import vim
from vcenter_lab import MIB

from drillbed.vcsim_disks import open_door
from emulators.vcenter.stream_vmdk import StreamReader

QUERY = "?dcPath=DC0&dsName=LocalDS_0"


@pytest.fixture
def door(site, si):
    site.wait(site.vm(si, "web").PowerOn())
    with open_door(site.vcenter, "127.0.0.1:0") as opened:
        yield opened


def run(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, timeout=60).stdout


def needs(tool, package):
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed (Debian package {package})")


def uri(door, name="web/0"):
    return f"nbd://127.0.0.1:{door.port}/{name}"


@needs("qemu-io", "qemu-utils")
@needs("nbdcopy", "libnbd-bin")
def test_one_disk_through_four_doors_is_the_same(site, si, door, tmp_path):
    vm, dc = site.vm(si, "web"), si.content.rootFolder.childEntity[0]
    run("qemu-io", "-f", "raw", "-c", "write -P 0x5a 65536 200k", "-c", "write -P 0x11 3M 4k", "-c", "flush", uri(door))
    run("nbdcopy", uri(door), tmp_path / "nbd.raw")
    snapshot = site.wait(vm.CreateSnapshot("s", "", memory=False, quiesce=False))
    lease = snapshot.ExportSnapshot()
    site.clock.wait(2)
    exported = get(site, si, lease.info.deviceUrl[0].url.partition("*")[2])
    lease.HttpNfcLeaseComplete()
    site.wait(snapshot.Remove(True))
    site.wait(vm.PowerOff())
    site.wait(
        si.content.virtualDiskManager.CopyVirtualDisk("[LocalDS_0] web/web.vmdk", dc, "[LocalDS_0] copy.vmdk", dc, None, False)
    )
    by_nbd = (tmp_path / "nbd.raw").read_bytes()
    by_folder = get(site, si, f"/folder/web/web-flat.vmdk{QUERY}")
    by_copy = get(site, si, f"/folder/copy-flat.vmdk{QUERY}")
    assert by_nbd[65536 : 65536 + 200 * 1024] == b"\x5a" * 200 * 1024
    assert by_nbd[3 * MIB : 3 * MIB + 4096] == b"\x11" * 4096
    assert by_nbd == by_folder == by_copy == unpacked(exported)
    (tmp_path / "export.vmdk").write_bytes(exported)
    run("qemu-img", "compare", "-q", "-f", "vmdk", "-F", "raw", tmp_path / "export.vmdk", tmp_path / "nbd.raw")


def get(site, si, path):
    connection = site.client.connection("vcenter", 443)
    connection.request("GET", path, headers={"Cookie": si._stub.cookie})
    answer = connection.getresponse()
    assert answer.status == 200
    return answer.read()


def unpacked(raw):
    reader = StreamReader(io.BytesIO(raw).read)
    content = bytearray(reader.open())
    for offset, data in reader.grains():
        content[offset : offset + len(data)] = data
    return bytes(content)


@needs("fio", "fio")
def test_fio_writes_what_change_tracking_tells(site, si, door):
    vm = site.vm(si, "web")
    site.wait(vm.Reconfigure(vim.vm.ConfigSpec(changeTrackingEnabled=True)))
    snapshot = site.wait(vm.CreateSnapshot("s", "", memory=False, quiesce=False))
    since = next(one for one in snapshot.config.hardware.device if one.key == 2000).backing.changeId
    job = ["--name=w", "--ioengine=nbd", f"--uri={uri(door)}", "--rw=write", "--bs=64k", "--offset=1m", "--size=1m"]
    run("fio", *job, "--verify=crc32c", "--do_verify=1")
    found = vm.QueryChangedDiskAreas(None, 2000, 0, since)
    assert [(one.start, one.length) for one in found.changedArea] == [(MIB, MIB)]


@needs("qemu-io", "qemu-utils")
def test_a_machine_that_is_off_has_no_disk_there(site, si, door):
    run("qemu-io", "-f", "raw", "-c", "read 0 4k", uri(door))
    for name in ("db/0", "web/1", "other/0"):
        with pytest.raises(subprocess.CalledProcessError):
            run("qemu-io", "-f", "raw", "-c", "read 0 4k", uri(door, name))
    site.wait(site.vm(si, "web").PowerOff())
    with pytest.raises(subprocess.CalledProcessError):
        run("qemu-io", "-f", "raw", "-c", "read 0 4k", uri(door))


@pytest.mark.parametrize("where", ["127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", "192.0.2.1:0"])
def test_only_loopback_addresses_with_a_port_are_taken(site, where):
    with pytest.raises(ValueError, match=r"ADDRESS:PORT|loopback"):
        open_door(site.vcenter, where)
