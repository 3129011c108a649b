"""VirtualDiskManager beyond the everyday, asked by pyVmomi."""

from pathlib import Path

import pytest
from pyVmomi import vim
from vcenter_lab import Site

from emulators.vcenter.stream_vmdk import write_stream

MB = 1024


@pytest.fixture
def content(si):
    return si.content


@pytest.fixture
def dc(si):
    return si.content.rootFolder.childEntity[0]


def test_disks_shrink_and_come_into_order(site, content, dc):
    disks, path = content.virtualDiskManager, "[LocalDS_0] free.vmdk"
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(diskType="thin", adapterType="lsiLogic", capacityKb=2 * MB)
    site.wait(disks.CreateVirtualDisk(path, dc, spec))
    disk = site.vcenter.inventory.stores[dc.datastore[0]._moId].open("free.vmdk")
    disk.write(0, bytes(512 * MB))
    disk.write(1024 * MB, b"kept" * 1000)
    free = dc.datastore[0].summary.freeSpace
    site.wait(disks.ShrinkVirtualDisk_Task(path, dc, True))
    assert dc.datastore[0].summary.freeSpace == free + 512 * MB
    site.wait(disks.DefragmentVirtualDisk_Task(path, dc))
    assert disk.read(0, 2 * MB * MB) == bytes(1024 * MB) + b"kept" * 1000 + bytes(1024 * MB - 4000)
    with pytest.raises(vim.fault.FileNotFound):
        site.wait(disks.ShrinkVirtualDisk_Task("[LocalDS_0] other.vmdk", dc, True))


def uploaded(content: bytes) -> bytes:
    return b"".join(write_stream(len(content), [(0, len(content))], lambda offset, n: content[offset : offset + n], "12345678"))


def test_a_disk_is_made_of_an_uploaded_vmdk(site, content, dc):
    folder = Path(dc.datastore[0].info.url)
    wanted = bytes(100_000) + b"travelled" * 5000 + bytes(MB * MB - 145_000)
    (folder / "up.vmdk").write_bytes(uploaded(wanted))
    (folder / "bad.vmdk").write_bytes(uploaded(wanted)[:-2048])
    disks, store = content.virtualDiskManager, site.vcenter.inventory.stores[dc.datastore[0]._moId]
    site.wait(disks.CopyVirtualDisk("[LocalDS_0] up.vmdk", dc, "[LocalDS_0] made.vmdk", dc, None, False))
    assert store.open("made.vmdk").read(0, MB * MB) == wanted
    with pytest.raises(vim.fault.FileAlreadyExists):
        site.wait(disks.CopyVirtualDisk("[LocalDS_0] up.vmdk", dc, "[LocalDS_0] made.vmdk", dc, None, False))
    with pytest.raises(vim.fault.FileFault):
        site.wait(disks.CopyVirtualDisk("[LocalDS_0] bad.vmdk", dc, "[LocalDS_0] made.vmdk", dc, None, True))
    assert store.open("made.vmdk").read(0, MB * MB) == wanted, "a bad source replaces nothing"


def test_a_disk_that_is_written_is_locked_and_what_a_snapshot_holds_is_copied(site, si, content, dc):
    disks, vm, disk = content.virtualDiskManager, site.vm(si, "web"), site.vcenter.disks_of(site.web)[0]
    disk.write(0, b"before")
    site.wait(vm.PowerOn())

    def copied(name):
        site.wait(disks.CopyVirtualDisk(f"[LocalDS_0] web/{name}.vmdk", dc, "[LocalDS_0] copy.vmdk", dc, None, True))
        return site.vcenter.inventory.stores[dc.datastore[0]._moId].open("copy.vmdk").read(0, 6)

    with pytest.raises(vim.fault.FileLocked):
        copied("web")
    site.wait(vm.CreateSnapshot("s", "", memory=False, quiesce=False))
    disk.write(0, b"after!")
    assert copied("web") == b"before"
    with pytest.raises(vim.fault.FileLocked):
        copied("web-000001")
    site.wait(vm.PowerOff())
    assert copied("web-000001") == b"after!"


def test_a_copy_without_room_replaces_nothing(tmp_path):
    site = Site(tmp_path, capacity=MB * MB)
    content = site.login().content
    dc, store = content.rootFolder.childEntity[0], next(iter(site.vcenter.inventory.stores.values()))
    for name, size in (("a", 640), ("b", 128)):
        store.create(f"{name}.vmdk", MB * MB).write(0, name.encode() * size * MB)
    with pytest.raises(vim.fault.NoDiskSpace):
        site.wait(content.virtualDiskManager.CopyVirtualDisk("[LocalDS_0] a.vmdk", dc, "[LocalDS_0] b.vmdk", dc, None, True))
    assert store.open("b.vmdk").read(0, 128 * MB) == b"b" * 128 * MB
    site.vcenter.close()


@pytest.mark.parametrize("method", ["RefreshDatastore", "RefreshDatastoreStorageInfo"])
def test_files_that_came_past_the_api_are_counted_when_asked(dc, method):
    datastore = dc.datastore[0]
    free = datastore.summary.freeSpace
    (Path(datastore.info.url) / "large.bin").write_bytes(b"x" * MB * MB)
    getattr(datastore, method)()
    assert free - datastore.summary.freeSpace == MB * MB
    datastore.Reload()
    assert free - datastore.summary.freeSpace == MB * MB


@pytest.mark.parametrize("method", ["ImportUnmanagedSnapshot", "ReleaseManagedSnapshot"])
def test_snapshots_of_virtual_volumes_are_refused_where_there_are_none(content, dc, method):
    more = ["vvol-1"] if method == "ImportUnmanagedSnapshot" else []
    with pytest.raises(vim.fault.InvalidDatastore):
        getattr(content.virtualDiskManager, method)("[LocalDS_0] web/web.vmdk", dc, *more)


FLAT = """# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="vmfs"
RW 2048 VMFS "x-flat.vmdk"
ddb.thinProvisioned = "1"
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# Disk", "Disk"),
        ("RW 2048", "RW 0"),
        ("RW 2048", "RW 99999999999999999999999999"),
        ("RW 2048", "RW 4096"),
        ("RW 2048 VMFS", "RW 2048 VMFSSPARSE"),
        ("RW 2048 VMFS", "RW 133143986176 VMFSSPARSE"),
        ('"x-flat.vmdk"', '"../x-flat.vmdk"'),
        ('"x-flat.vmdk"', '"none.vmdk"'),
        ("createType", 'parentFileNameHint="/etc/passwd"\ncreateType'),
        ("createType", 'parentFileNameHint="../../out.vmdk"\ncreateType'),
        ("createType", 'parentFileNameHint="x.vmdk"\ncreateType'),
        ("createType", 'parentFileNameHint="../other/y.vmdk"\ncreateType'),
        ("createType", 'parentFileNameHint="small.vmdk"\ncreateType'),
        (FLAT, ""),
        (FLAT, "\0" * 100),
    ],
)
def test_a_descriptor_that_lies_is_a_fault_and_nothing_else(site, si, content, dc, old, new):
    folder = Path(dc.datastore[0].info.url)
    (folder / "bad").mkdir()
    (folder / "other").mkdir()
    (folder / "bad/x-flat.vmdk").write_bytes(bytes(MB * MB))
    (folder / "bad/x.vmdk").write_text(FLAT.replace(old, new))
    (folder / "bad/small-flat.vmdk").write_bytes(bytes(512))
    (folder / "bad/small.vmdk").write_text(FLAT.replace("2048", "1").replace("x-flat", "small-flat"))
    (folder / "other/y-flat.vmdk").write_bytes(bytes(MB * MB))
    back = 'parentFileNameHint="../bad/x.vmdk"\ncreateType'
    (folder / "other/y.vmdk").write_text(FLAT.replace("createType", back).replace("x-flat", "y-flat"))
    with pytest.raises((vim.fault.FileFault, vim.fault.FileNotFound)):
        content.virtualDiskManager.QueryVirtualDiskUuid("[LocalDS_0] bad/x.vmdk", dc)
    (folder / "bad/x.vmdk").write_text(FLAT.replace("CID=12345678", "CID=what"))
    assert content.virtualDiskManager.QueryVirtualDiskUuid("[LocalDS_0] bad/x.vmdk", dc)
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="[LocalDS_0] bad/x.vmdk", diskMode="persistent")
    disk = vim.vm.device.VirtualDisk(key=-1, controllerKey=1000, unitNumber=-1, capacityInKB=MB, backing=backing)
    change = vim.vm.device.VirtualDeviceSpec(operation="add", device=disk)
    vm = site.vm(si, "web")
    site.wait(vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[change])))
    site.wait(vm.CreateSnapshot("s", "", memory=False, quiesce=False))
