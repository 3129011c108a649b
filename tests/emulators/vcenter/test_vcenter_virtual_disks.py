"""VirtualDiskManager beyond the everyday, asked by pyVmomi."""

import pytest
from pyVmomi import vim

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


@pytest.mark.parametrize("method", ["ImportUnmanagedSnapshot", "ReleaseManagedSnapshot"])
def test_snapshots_of_virtual_volumes_are_refused_where_there_are_none(content, dc, method):
    more = ["vvol-1"] if method == "ImportUnmanagedSnapshot" else []
    with pytest.raises(vim.fault.InvalidDatastore):
        getattr(content.virtualDiskManager, method)("[LocalDS_0] web/web.vmdk", dc, *more)
