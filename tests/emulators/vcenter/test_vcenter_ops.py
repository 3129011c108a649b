"""Operations beside those of machines, each asked by pyVmomi: files, disks, datastores, pools, vApps."""

import pytest
from pyVmomi import vim, vmodl

MB = 1024


@pytest.fixture
def content(si):
    return si.content


@pytest.fixture
def dc(si):
    return si.content.rootFolder.childEntity[0]


def allocation():
    shares = vim.SharesInfo(level="normal", shares=4000)
    return vim.ResourceAllocationInfo(reservation=0, expandableReservation=True, limit=-1, shares=shares)


def pool_spec(**cpu):
    one = allocation()
    for name, value in cpu.items():
        setattr(one, name, value)
    return vim.ResourceConfigSpec(cpuAllocation=one, memoryAllocation=allocation())


def root_pool(content):
    return content.searchIndex.FindByInventoryPath("DC0/host/DC0_C0/Resources")


# files and disks -----------------------------------------------------------------------------------------------------


def test_files_are_made_moved_copied_and_deleted(site, content, dc):
    files = content.fileManager
    files.MakeDirectory("[LocalDS_0] one/two", dc, True)
    with pytest.raises(vim.fault.FileAlreadyExists):
        files.MakeDirectory("[LocalDS_0] one/two", dc, True)
    with pytest.raises(vim.fault.FileNotFound):
        files.MakeDirectory("[LocalDS_0] three/four", dc, False)
    folder = site.vcenter.inventory.stores[dc.datastore[0]._moId].folder
    (folder / "one/a.txt").write_text("text")
    site.wait(files.CopyFile("[LocalDS_0] one/a.txt", dc, "[LocalDS_0] one/two/b.txt", dc, False))
    site.wait(files.MoveFile("[LocalDS_0] one/two", dc, "[LocalDS_0] moved", dc, False))
    assert (folder / "moved/b.txt").read_text() == "text"
    assert not (folder / "one/two").exists()
    with pytest.raises(vim.fault.FileAlreadyExists):
        site.wait(files.CopyFile("[LocalDS_0] one/a.txt", dc, "[LocalDS_0] moved/b.txt", dc, False))
    site.wait(files.CopyFile("[LocalDS_0] one/a.txt", dc, "[LocalDS_0] moved/b.txt", dc, True))
    site.wait(files.DeleteFile("[LocalDS_0] moved", dc))
    assert not (folder / "moved").exists()
    dc.datastore[0].browser.DeleteFile("[LocalDS_0] one/a.txt")
    assert not (folder / "one/a.txt").exists()


@pytest.mark.parametrize("path", ["[LocalDS_0] ../x", "[LocalDS_0] ", "[nowhere] x", "x"])
def test_no_path_leaves_the_datastore(site, content, dc, path):
    with pytest.raises(vim.fault.InvalidDatastorePath):
        site.wait(content.fileManager.DeleteFile(path, dc))


def test_files_of_a_machine_stay(site, content, dc):
    for name in ("web", "web/web.vmdk", "web/web.vmx"):
        with pytest.raises(vim.fault.FileLocked):
            site.wait(content.fileManager.DeleteFile(f"[LocalDS_0] {name}", dc))


def test_disks_by_path(site, content, dc):
    disks, path = content.virtualDiskManager, "[LocalDS_0] free.vmdk"
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(diskType="thin", adapterType="lsiLogic", capacityKb=2 * MB)
    assert site.wait(disks.CreateVirtualDisk(path, dc, spec)) == path
    with pytest.raises(vim.fault.FileAlreadyExists):
        site.wait(disks.CreateVirtualDisk(path, dc, spec))
    store = site.vcenter.inventory.stores[dc.datastore[0]._moId]
    store.open("free.vmdk").write(70_000, b"what a guest wrote")
    disks.SetVirtualDiskUuid(path, dc, "60 00 C2 9e 11 22 33 44-55 66 77 88 99 aa bb cc")
    assert disks.QueryVirtualDiskUuid(path, dc) == "60 00 c2 9e 11 22 33 44-55 66 77 88 99 aa bb cc"
    site.wait(disks.ExtendVirtualDisk(path, dc, 4 * MB, False))
    shape = disks.QueryVirtualDiskGeometry(path, dc)
    assert shape.cylinder * shape.head * shape.sector == 4 * MB * 2
    assert disks.QueryVirtualDiskFragmentation(path, dc) == 0
    site.wait(disks.CopyVirtualDisk(path, dc, "[LocalDS_0] copy.vmdk", dc, None, False))
    assert store.open("copy.vmdk").read(70_000, 18) == b"what a guest wrote"
    assert disks.QueryVirtualDiskUuid("[LocalDS_0] copy.vmdk", dc) != disks.QueryVirtualDiskUuid(path, dc)
    site.wait(disks.MoveVirtualDisk(path, dc, "[LocalDS_0] moved.vmdk", dc, False))
    assert store.open("moved.vmdk").read(70_000, 18) == b"what a guest wrote"
    with pytest.raises(vim.fault.FileNotFound):
        disks.QueryVirtualDiskUuid(path, dc)
    free = dc.datastore[0].summary.freeSpace
    site.wait(disks.InflateVirtualDisk("[LocalDS_0] moved.vmdk", dc))
    assert dc.datastore[0].summary.freeSpace < free - 3 * MB * 1024
    site.wait(disks.EagerZeroVirtualDisk("[LocalDS_0] copy.vmdk", dc))
    site.wait(disks.ZeroFillVirtualDisk("[LocalDS_0] copy.vmdk", dc))
    assert store.open("copy.vmdk").read(70_000, 18) == bytes(18)
    for name in ("copy", "moved"):
        site.wait(disks.DeleteVirtualDisk(f"[LocalDS_0] {name}.vmdk", dc))
    with pytest.raises(vim.fault.FileLocked):
        site.wait(disks.DeleteVirtualDisk("[LocalDS_0] web/web.vmdk", dc))


def test_a_datastore_is_renamed_and_goes_only_when_it_is_empty(site, si, dc):
    datastore = dc.datastore[0]
    datastore.RenameDatastore("Gold")
    assert site.vm(si, "web").summary.config.vmPathName == "[Gold] web/web.vmx"
    site.wait(datastore.Rename("Silver"))
    assert (datastore.name, datastore.summary.name) == ("Silver", "Silver")
    for refused in (lambda: datastore.DestroyDatastore(), lambda: site.wait(datastore.Destroy())):
        with pytest.raises(vim.fault.ResourceInUse):
            refused()
    with pytest.raises(vim.fault.InvalidState):
        datastore.DatastoreEnterMaintenanceMode()
    for name in ("web", "db"):
        site.wait(site.vm(si, name).Destroy())
    datastore.DatastoreEnterMaintenanceMode()
    assert datastore.summary.maintenanceMode == "inMaintenance"
    site.wait(datastore.DatastoreExitMaintenanceMode_Task())
    assert datastore.summary.maintenanceMode == "normal"
    datastore.DestroyDatastore()
    assert list(dc.datastore) == []


# pools and switches --------------------------------------------------------------------------------------------------


def test_pools_are_made_changed_moved_into_and_destroyed(site, si, content):
    root = root_pool(content)
    one = root.CreateResourcePool("one", pool_spec(reservation=500, limit=1000))
    two = one.CreateResourcePool("two", pool_spec())
    assert (one.config.cpuAllocation.reservation, [child.name for child in one.resourcePool]) == (500, ["two"])
    with pytest.raises(vim.fault.DuplicateName):
        root.CreateResourcePool("one", pool_spec())
    with pytest.raises(vmodl.fault.InvalidArgument):
        one.UpdateConfig("one", pool_spec(reservation=5, limit=1))
    one.UpdateConfig("first", pool_spec(reservation=7))
    assert (one.name, one.config.cpuAllocation.reservation) == ("first", 7)
    change = pool_spec(reservation=9)
    change.entity = one
    root.UpdateChildResourceConfiguration([change])
    assert one.config.cpuAllocation.reservation == 9
    web = site.vm(si, "web")
    two.MoveIntoResourcePool([web])
    assert web.resourcePool == two
    root.MoveIntoResourcePool([two])
    assert sorted(child.name for child in root.resourcePool) == ["first", "two"]
    root.RefreshRuntime()
    site.wait(two.Destroy())
    assert web.resourcePool == root
    root.DestroyChildren()
    assert list(root.resourcePool) == []
    with pytest.raises(vmodl.fault.NotSupported):
        site.wait(root.Destroy())


def test_a_vapp_has_power_and_goes_with_its_machines(site, si, content, dc):
    vapp = root_pool(content).CreateVApp("shop", pool_spec(), vim.vApp.VAppConfigSpec(annotation="all of it"), dc.vmFolder)
    assert isinstance(vapp, vim.VirtualApp)
    assert vapp in dc.vmFolder.childEntity
    machines = [site.vm(si, name) for name in ("web", "db")]
    vapp.MoveIntoResourcePool(machines)
    for task, state, shown in (("PowerOn", "poweredOn", "started"), ("Suspend", "suspended", "stopped")):
        site.wait(getattr(vapp, task)())
        assert {vm.runtime.powerState for vm in machines} == {state}
        assert vapp.summary.vAppState == shown
    site.wait(vapp.PowerOn())
    site.wait(vapp.PowerOff(True))
    assert {vm.runtime.powerState for vm in machines} == {"poweredOff"}
    vapp.UpdateVAppConfig(vim.vApp.VAppConfigSpec(annotation="some"))
    assert vapp.vAppConfig.annotation == "some"
    site.wait(vapp.Destroy())
    assert list(dc.vmFolder.childEntity) == []
