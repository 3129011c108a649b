"""Searches of the browser, owners and locks of files, and what datastores say of themselves, asked by pyVmomi."""

from pathlib import Path

import pytest
from pyVmomi import vim
from vcenter_lab import MIB, stub_over

Browser = vim.host.DatastoreBrowser


@pytest.fixture
def si(site):
    instance = vim.ServiceInstance("ServiceInstance", stub_over(site.client, version="vim.version.v8_0_3_0"))
    instance.content.sessionManager.Login("administrator@vsphere.local", "Secret1!")
    return instance


@pytest.fixture
def dc(si):
    return si.content.rootFolder.childEntity[0]


@pytest.fixture
def folder(dc):
    return Path(dc.datastore[0].info.url)


def found(site, dc, path, **spec):
    task = dc.datastore[0].browser.SearchDatastore_Task(f"[LocalDS_0] {path}", Browser.SearchSpec(**spec))
    return list(site.wait(task).file)


def test_files_are_found_by_name_kind_and_order(site, dc, folder):
    for name in ("one.iso", "TWO.ISO", "three.log", "four.txt"):
        (folder / "db" / name).write_text(name)
    (folder / "db" / "below").mkdir()

    def names(**spec):
        return [one.path for one in found(site, dc, "db", **spec)]

    assert names(matchPattern=["*.iso"]) == ["TWO.ISO", "one.iso"]
    assert names(matchPattern=["*.iso"], searchCaseInsensitive=False) == ["one.iso"]
    assert names(query=[Browser.IsoImageQuery()]) == ["TWO.ISO", "one.iso"]
    assert names(query=[Browser.VmLogQuery(), Browser.VmConfigQuery()]) == ["db.vmx", "three.log"]
    assert names(query=[Browser.FolderQuery()]) == ["below"]
    assert names(query=[Browser.VmDiskQuery()]) == ["db.vmdk", "db_1.vmdk"]
    assert names(sortFoldersFirst=True)[0] == "below"
    assert "below" in names()[1:]


def test_disks_are_told_with_their_details_and_filtered_by_them(site, si, dc):
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(diskType="eagerZeroedThick", adapterType="lsiLogic", capacityKb=1024)
    site.wait(si.content.virtualDiskManager.CreateVirtualDisk("[LocalDS_0] db/thick.vmdk", dc, spec))
    flags = Browser.VmDiskQuery.Details(
        diskType=True, capacityKb=True, hardwareVersion=True, controllerType=True, diskExtents=True, thin=True
    )
    query = Browser.VmDiskQuery(details=flags)
    thick = next(one for one in found(site, dc, "db", query=[query]) if one.path == "thick.vmdk")
    assert (thick.capacityKb, thick.thin, list(thick.diskExtents)) == (1024, False, ["thick-flat.vmdk"])
    assert (thick.fileSize, thick.diskType.__name__, thick.controllerType.__name__) == (
        MIB,
        "vim.vm.device.VirtualDisk.FlatVer2BackingInfo",
        "vim.vm.device.VirtualLsiLogicController",
    )
    for filters, names in (
        ({"thin": True}, ["db.vmdk", "db_1.vmdk"]),
        ({"thin": False}, ["thick.vmdk"]),
        ({"encrypted": True}, []),
        ({"matchHardwareVersion": [4]}, []),
        ({"diskType": [vim.vm.device.VirtualDisk.SparseVer2BackingInfo]}, []),
        ({"controllerType": [vim.vm.device.VirtualIDEController]}, []),
    ):
        query = Browser.VmDiskQuery(filter=Browser.VmDiskQuery.Filter(**filters))
        assert [one.path for one in found(site, dc, "db", query=[query])] == names, filters


def test_details_are_told_when_asked_for(site, si, dc, folder):
    (folder / "db" / "note.txt").write_text("12345")
    nothing = Browser.FileInfo.Details(fileType=False, fileSize=False, modification=False, fileOwner=False)
    everything = Browser.FileInfo.Details(fileType=True, fileSize=True, modification=True, fileOwner=True)
    bare = found(site, dc, "db", details=nothing, matchPattern=["note*"])[0]
    assert (bare.fileSize, bare.modification, bare.owner) == (None, None, None)
    full = found(site, dc, "db", details=everything, matchPattern=["note*"])[0]
    assert (full.fileSize, full.owner, full.modification is not None) == (5, "root", True)


def test_owners_are_changed_told_and_go_with_their_files(site, si, dc, folder):
    files, vm = si.content.fileManager, site.vm(si, "db")
    everything = Browser.FileInfo.Details(fileType=True, fileSize=True, modification=True, fileOwner=True)
    assert list(vm.QueryUnownedFiles()) == []
    files.ChangeOwner("[LocalDS_0] db/db.vmx", dc, "reader")
    assert list(vm.QueryUnownedFiles()) == ["[LocalDS_0] db/db.vmx"]
    assert found(site, dc, "db", details=everything, matchPattern=["*.vmx"])[0].owner == "reader"
    (folder / "note.txt").write_text("x")
    files.ChangeOwner("[LocalDS_0] note.txt", dc, "reader")
    site.wait(files.MoveFile("[LocalDS_0] note.txt", dc, "[LocalDS_0] other.txt", dc, False))
    assert found(site, dc, "", details=everything, matchPattern=["*.txt"])[0].owner == "reader"
    with pytest.raises(vim.fault.UserNotFound):
        files.ChangeOwner("[LocalDS_0] other.txt", dc, "stranger")
    with pytest.raises(vim.fault.FileNotFound):
        files.ChangeOwner("[LocalDS_0] none.txt", dc, "reader")
    site.wait(files.DeleteFile("[LocalDS_0] other.txt", dc))
    (folder / "other.txt").write_text("new")
    assert found(site, dc, "", details=everything, matchPattern=["*.txt"])[0].owner == "root"


def test_a_file_of_a_running_machine_has_a_lock(site, si, dc):
    files, vm = si.content.fileManager, site.vm(si, "web")
    assert list(files.QueryFileLockInfo("[LocalDS_0] web/web.vmdk", None).lockInfo) == []
    site.wait(vm.PowerOn())
    info = files.QueryFileLockInfo("[LocalDS_0] web/web.vmdk", None).lockInfo[0]
    assert (info.host, info.lockMode, info.worldName) == (vm.runtime.host.name, "exclusive", "web")
    with pytest.raises(vim.fault.FileNotFound):
        files.QueryFileLockInfo("[LocalDS_0] web/none.vmdk", None)


def test_machines_name_the_present_path_of_a_datastore(site, si, dc, folder):
    (folder / "db" / "other.vmx").write_text('disk = "/vmfs/volumes/old/db/db.vmdk"\n', encoding="utf-8")
    (folder / "db" / "broken.vmx").write_bytes(b"\xff\xfe")
    pair = vim.Datastore.MountPathDatastorePair(oldMountPath="/vmfs/volumes/old", datastore=dc.datastore[0])
    result = site.wait(dc.datastore[0].UpdateVirtualMachineFiles_Task([pair]))
    assert (folder / "db" / "other.vmx").read_text() == f'disk = "{folder}/db/db.vmdk"\n'
    assert [one.vmFile for one in result.failedVmFile] == ["[LocalDS_0] db/broken.vmx"]
    assert dc.datastore[0].IsClusteredVmdkEnabled() is False
    with pytest.raises(vim.fault.InvalidDatastore):
        site.wait(dc.datastore[0].UpdateVVolVirtualMachineFiles_Task(None))


def test_folders_of_objects_are_refused_where_there_are_none(si, dc):
    manager, path = si.content.datastoreNamespaceManager, "[LocalDS_0] folder"
    for refused in (
        lambda: manager.CreateDirectory(dc.datastore[0], "folder", None, None),
        lambda: manager.DeleteDirectory(dc, path),
        lambda: manager.ConvertNamespacePathToUuidPath(dc, path),
        lambda: manager.QueryDirectoryInfo(dc, path),
        lambda: manager.IncreaseDirectorySize(dc, path, 1),
    ):
        with pytest.raises(vim.fault.InvalidDatastore):
            refused()


def test_disks_of_a_machine_are_looked_after(site, si):
    vm, disk = site.vm(si, "web"), site.vcenter.disks_of(site.web)[0]
    site.wait(vm.CreateSnapshot("s", "", memory=False, quiesce=False))
    for place in (3, 1, 2):
        disk.write(place * 65536, bytes([place]) * 65536)
    before = disk.read(0, disk.size)
    vm.DefragmentAllDisks()
    assert disk.read(0, disk.size) == before
    site.wait(vm.PowerOn())
    with pytest.raises(vim.fault.InvalidPowerState):
        vm.DefragmentAllDisks()
