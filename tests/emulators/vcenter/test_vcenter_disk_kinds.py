"""Disks of other kinds (thick, raw devices, several writers), and merges that have to wait, asked by pyVmomi."""

import pytest
from pyVmomi import vim
from vcenter_lab import MIB, Site, stub_over

from emulators.vcenter import DiskSpec
from emulators.vcenter.vmdk import BLOCK

Device = vim.vm.device
Flat, Raw = Device.VirtualDisk.FlatVer2BackingInfo, Device.VirtualDisk.RawDiskMappingVer1BackingInfo


def disks_of(vm):
    return [device for device in vm.config.hardware.device if isinstance(device, Device.VirtualDisk)]


def add(site, vm, backing, *, size=MIB, make=True):
    controller = next(one for one in vm.config.hardware.device if isinstance(one, Device.VirtualSCSIController))
    disk = Device.VirtualDisk(key=-1, controllerKey=controller.key, unitNumber=-1, capacityInKB=size // 1024, backing=backing)
    change = Device.VirtualDeviceSpec(operation="add", fileOperation="create" if make else None, device=disk)
    before = {one.key for one in disks_of(vm)}
    site.wait(vm.Reconfigure(vim.vm.ConfigSpec(deviceChange=[change])))
    return next(one for one in disks_of(vm) if one.key not in before)


@pytest.mark.parametrize(
    ("asked", "takes", "shown"),
    [
        ({"thinProvisioned": True}, 0, (True, None)),
        ({"thinProvisioned": False}, MIB, (False, None)),
        ({"eagerlyScrub": True}, MIB, (False, True)),
    ],
)
def test_a_disk_takes_what_its_kind_takes(site, si, asked, takes, shown):
    vm, store = site.vm(si, "web"), site.vm(si, "web").datastore[0]
    free = store.summary.freeSpace
    backing = add(site, vm, Flat(fileName="", diskMode="persistent", **asked)).backing
    assert free - store.summary.freeSpace == takes
    assert (backing.thinProvisioned, backing.eagerlyScrub) == shown


@pytest.mark.parametrize(("mode", "deltas"), [("virtualMode", 1), ("physicalMode", 0)])
def test_a_raw_device_takes_no_space_and_only_a_virtual_one_has_snapshots(site, si, mode, deltas):
    vm, store = site.vm(si, "web"), site.vm(si, "web").datastore[0]
    free = store.summary.freeSpace
    raw = add(site, vm, Raw(fileName="", deviceName="vml.01", lunUuid="0200", compatibilityMode=mode, diskMode="persistent"))
    assert isinstance(raw.backing, Raw)
    assert (raw.backing.compatibilityMode, raw.backing.deviceName, raw.backing.lunUuid) == (mode, "vml.01", "0200")
    site.vcenter.open_disk(site.web, raw.key).write(0, b"on the array")
    assert store.summary.freeSpace == free
    site.wait(vm.CreateSnapshot("s", "", memory=False, quiesce=False))
    site.vcenter.open_disk(site.web, raw.key).write(0, b"later......!")
    site.wait(vm.RevertToCurrentSnapshot())
    expected = b"on the array" if deltas else b"later......!"
    assert site.vcenter.open_disk(site.web, raw.key).read(0, 12) == expected


def test_a_disk_with_several_writers_is_held_by_two_running_machines(site, si):
    web, db = site.vm(si, "web"), site.vm(si, "db")
    first = add(site, web, Flat(fileName="", diskMode="persistent", sharing="sharingMultiWriter", eagerlyScrub=True))
    for vm in (web, db):
        site.wait(vm.PowerOn())
    with pytest.raises(vim.fault.GenericVmConfigFault):
        add(site, db, Flat(fileName=first.backing.fileName, diskMode="persistent"), make=False)
    shared = Flat(fileName=first.backing.fileName, diskMode="persistent", sharing="sharingMultiWriter")
    second = add(site, db, shared, make=False)
    site.vcenter.open_disk(site.web, first.key).write(0, b"from web")
    assert site.vcenter.open_disk(site.db, second.key).read(0, 8) == b"from web"
    with pytest.raises(vim.fault.SnapshotFault):
        site.wait(web.CreateSnapshot("s", "", memory=False, quiesce=False))


@pytest.mark.parametrize("mend", ["ConsolidateVMDisks_Task", "RepairVmDiskChains_Task"])
def test_a_removal_without_room_leaves_a_machine_that_needs_consolidation(tmp_path, mend):
    site = Site(tmp_path, capacity=40 * BLOCK)
    site.vcenter.add_vm("full", disks=[DiskSpec(64 * BLOCK)])
    si = vim.ServiceInstance("ServiceInstance", stub_over(site.client, version="vim.version.v9_1_1_0"))
    si.content.sessionManager.Login("administrator@vsphere.local", "Secret1!")
    vm, other = site.vm(si, "full"), site.vcenter.disks_of(site.web)[0]
    site.wait(vm.CreateSnapshot("s", "", memory=False, quiesce=False))
    disk = site.vcenter.disks_of(site.vcenter.find_vm("full"))[0]
    disk.write(0, b"x" * 20 * BLOCK)
    other.write(0, b"y" * 20 * BLOCK)
    with pytest.raises(vim.fault.NoDiskSpace):
        site.wait(vm.RemoveAllSnapshots())
    assert (vm.snapshot, vm.runtime.consolidationNeeded) == (None, True)
    assert disk.read(0, 20 * BLOCK) == b"x" * 20 * BLOCK
    with pytest.raises(vim.fault.NoDiskSpace):
        site.wait(getattr(vm, mend)())
    site.wait(site.vm(si, "web").Destroy())
    site.wait(getattr(vm, mend)())
    assert vm.runtime.consolidationNeeded is False
    assert disks_of(vm)[0].backing.parent is None
    assert disk.read(0, 20 * BLOCK) == b"x" * 20 * BLOCK
    site.vcenter.close()


def test_the_layout_names_the_chain_of_the_moment_and_all_files(site, si):
    vm, disk = site.vm(si, "web"), site.vcenter.disks_of(site.web)[0]
    disk.write(0, b"x" * 3 * BLOCK)
    first = site.wait(vm.CreateSnapshot("one", "", memory=False, quiesce=False))
    disk.write(0, b"y")
    site.wait(vm.CreateSnapshot("two", "", memory=False, quiesce=False))
    site.wait(first.Revert())
    layout = vm.layoutEx
    names = {file.key: file.name.rpartition("/")[2] for file in layout.file}
    chain = [names[unit.fileKey[0]] for unit in layout.disk[0].chain]
    assert (chain[0], len(chain), len(set(chain))) == ("web.vmdk", 2, 2)
    assert len([name for name in names.values() if name.endswith("-delta.vmdk")]) == 2
    assert [file.rpartition("/")[2] for file in vm.layout.disk[0].diskFile] == chain
    sizes = {file.name.rpartition("/")[2]: file.size for file in layout.file}
    assert sizes["web-flat.vmdk"] == 3 * BLOCK
