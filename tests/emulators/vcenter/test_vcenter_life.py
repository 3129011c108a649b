"""A machine is cloned and moved, and becomes a template; each asked by pyVmomi."""

import pytest
from pyVmomi import vim, vmodl
from vcenter_lab import bytes_of, events, macs, root_pool

from emulators.vcenter import DiskSpec
from emulators.vcenter.model import Model

MIB = 1024 * 1024
Relocate = vim.vm.RelocateSpec


@pytest.fixture
def si(newest_si):
    return newest_si


@pytest.fixture
def two(tmp_path, site_of):
    """A site with two datastores."""
    return site_of(tmp_path / "two", model=Model(hosts=2, datastores=2))


# clones --------------------------------------------------------------------------------------------------------------


def test_a_clone_has_the_bytes_and_an_identity_of_its_own(site, si):
    web = site.vm(si, "web")
    site.vcenter.disks_of(site.web)[0].write(MIB, b"as it was")
    config = vim.vm.ConfigSpec(numCPUs=3, annotation="copy")
    started = site.clock.now()
    made = site.wait(web.Clone(web.parent, "web2", vim.vm.CloneSpec(location=Relocate(), config=config, powerOn=True)))
    assert site.clock.now() - started >= 4
    assert (made.name, made.config.hardware.numCPU, made.config.annotation, made.runtime.powerState) == (
        "web2",
        3,
        "copy",
        "poweredOn",
    )
    assert bytes_of(site, made) == bytes_of(site, web)
    assert made.config.uuid != web.config.uuid
    assert made.config.instanceUuid != web.config.instanceUuid
    assert macs(made) != macs(web)
    own = next(one for one in site.vcenter.vms() if one.name == "web2")
    site.vcenter.disks_of(own)[0].write(MIB, b"otherwise")
    assert bytes_of(site, made) != bytes_of(site, web)
    assert "VmBeingClonedEvent" in events(si, web)
    assert {"VmClonedEvent", "VmPoweredOnEvent"} <= set(events(si, made))
    with pytest.raises(vim.fault.DuplicateName):
        site.wait(web.Clone(web.parent, "web2", vim.vm.CloneSpec(location=Relocate(), template=False, powerOn=False)))


def test_a_running_machine_is_cloned_as_it_was_at_one_instant(site, si):
    web, disk = site.vm(si, "web"), site.vcenter.disks_of(site.web)[0]
    site.wait(web.PowerOn())
    disk.write(0, b"before")
    before = bytes_of(site, web)
    task = web.Clone(web.parent, "copy", vim.vm.CloneSpec(location=Relocate(), template=False, powerOn=False))
    site.clock.wait(3)
    disk.write(0, b"during")
    made = site.wait(task)
    assert bytes_of(site, made) == before != bytes_of(site, web)
    assert web.config.hardware.device[-1].backing is None or len(site.vcenter.disks_of(site.web)) == 1
    assert site.vcenter.disks_of(site.web)[0].file_name == "[LocalDS_0] web/web.vmdk"


def test_a_clone_of_a_snapshot_is_of_that_time(site, si):
    db, disk = site.vm(si, "db"), site.vcenter.disks_of(site.db)[1]
    disk.write(0, b"then")
    then = bytes_of(site, db)
    snapshot = site.wait(db.CreateSnapshot("s", "", False, False))
    disk.write(0, b"now.")
    spec = vim.vm.CloneSpec(location=Relocate(), template=False, powerOn=False, snapshot=snapshot)
    assert bytes_of(site, site.wait(db.Clone(db.parent, "then", spec))) == then
    assert bytes_of(site, db) != then
    other = vim.vm.CloneSpec(location=Relocate(), template=False, powerOn=False, snapshot=snapshot)
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(site.vm(si, "web").Clone(db.parent, "no", other))


def test_a_linked_clone_stands_on_the_snapshot(site, si):
    web, disk = site.vm(si, "web"), site.vcenter.disks_of(site.web)[0]
    disk.write(0, b"base")
    linked = Relocate(diskMoveType="createNewChildDiskBacking")
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(web.Clone(web.parent, "no", vim.vm.CloneSpec(location=linked, template=False, powerOn=False)))
    snapshot = site.wait(web.CreateSnapshot("s", "", False, False))
    spec = vim.vm.CloneSpec(location=linked, template=False, powerOn=False, snapshot=snapshot)
    made = site.wait(web.Clone(web.parent, "linked", spec))
    (backing,) = [one.backing for one in made.config.hardware.device if isinstance(one, vim.vm.device.VirtualDisk)]
    assert (backing.fileName, backing.parent.fileName) == ("[LocalDS_0] linked/linked.vmdk", "[LocalDS_0] web/web.vmdk")
    was = bytes_of(site, made)
    assert was == bytes_of(site, web)
    disk.write(0, b"else")
    site.wait(snapshot.Remove(True))
    site.wait(web.Destroy())
    assert bytes_of(site, made) == was
    site.wait(made.PowerOn())


def test_a_clone_that_finds_no_room_or_is_canceled_leaves_nothing(tmp_path, site_of):
    site, si = site_of(tmp_path / "small", capacity=18 * MIB)
    site.vcenter.disks_of(site.web)[0].write(0, bytes([7]) * 4 * MIB)
    site.vcenter.add_vm("fat", disks=[DiskSpec(8 * MIB, thin=False)])
    web = site.vm(si, "web")
    thick = vim.vm.CloneSpec(location=Relocate(transform="flat"), template=False, powerOn=False)
    fat = site.vm(si, "fat")
    with pytest.raises(vim.fault.NoDiskSpace):
        site.wait(fat.Clone(web.parent, "fat2", thick))
    task = web.Clone(web.parent, "web2", vim.vm.CloneSpec(location=Relocate(), template=False, powerOn=False))
    site.clock.wait(2.5)
    task.Cancel()
    with pytest.raises(vmodl.fault.RequestCanceled):
        site.wait(task)
    assert [one.name for one in web.parent.childEntity] == ["web", "db", "fat"]
    folder = site.vcenter.inventory.stores[web.datastore[0]._moId].folder
    assert not [path for path in folder.rglob("*") if "2" in path.name]
    site.wait(web.PowerOn())


def test_an_instant_clone_needs_a_running_machine(site, si):
    web = site.vm(si, "web")
    site.vcenter.disks_of(site.web)[0].write(0, b"hot")
    spec = vim.vm.InstantCloneSpec(
        name="twin", location=Relocate(), config=[vim.option.OptionValue(key="guestinfo.role", value="twin")]
    )
    with pytest.raises(vim.fault.InvalidState):
        site.wait(web.InstantClone(spec))
    site.wait(web.PowerOn())
    twin = site.wait(web.InstantClone(spec))
    assert twin.runtime.powerState == "poweredOn"
    assert bytes_of(site, twin) == bytes_of(site, web)
    assert ("guestinfo.role", "twin") in [(one.key, one.value) for one in twin.config.extraConfig]
    assert ("power_on", "twin") in site.guests.seen


def test_templates(site, si):
    web = site.vm(si, "web")
    pool = web.resourcePool
    site.wait(web.PowerOn())
    with pytest.raises(vim.fault.InvalidPowerState):
        web.MarkAsTemplate()
    site.wait(web.PowerOff())
    web.MarkAsTemplate()
    assert (web.config.template, web.summary.config.template, web.resourcePool) == (True, True, None)
    assert web not in pool.vm
    with pytest.raises(vmodl.fault.NotSupported):
        site.wait(web.PowerOn())
    plain = vim.vm.CloneSpec(location=Relocate(), template=False, powerOn=False)
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(web.Clone(web.parent, "made", plain))
    plain.location.pool = pool
    made = site.wait(web.Clone(web.parent, "made", plain))
    assert (made.config.template, made.resourcePool) == (False, pool)
    assert {"VmDeployedEvent"} <= set(events(si, made))
    assert "VmBeingDeployedEvent" in events(si, web)
    again = site.wait(made.Clone(web.parent, "gold", vim.vm.CloneSpec(location=Relocate(), template=True, powerOn=False)))
    assert again.config.template
    web.MarkAsVirtualMachine(pool, None)
    assert (web.config.template, web.resourcePool) == (False, pool)
    with pytest.raises(vmodl.fault.NotSupported):
        web.MarkAsVirtualMachine(pool, None)
    site.wait(web.PowerOn())


def linux(cards=1):
    name = vim.vm.customization.FixedName(name="web9")
    prep = vim.vm.customization.LinuxPrep(hostName=name, domain="corp")
    adapter = vim.vm.customization.AdapterMapping(
        adapter=vim.vm.customization.IPSettings(ip=vim.vm.customization.DhcpIpGenerator())
    )
    settings = vim.vm.customization.GlobalIPSettings()
    return vim.vm.customization.Specification(identity=prep, globalIPSettings=settings, nicSettingMap=[adapter] * cards)


def test_customization_is_checked_kept_and_told_at_the_next_power_on(site, si):
    db = site.vm(si, "db")
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.vm(si, "web").CheckCustomizationSpec(linux())
    with pytest.raises(vim.fault.NicSettingMismatch):
        db.CheckCustomizationSpec(linux(2))
    db.CheckCustomizationSpec(linux())
    site.wait(db.Customize(linux()))
    assert [one.key for one in db.config.extraConfig] == ["tools.deployPkg.fileName"]
    site.wait(db.PowerOn())
    assert {"CustomizationStartedEvent", "CustomizationSucceeded"} <= set(events(si, db))
    assert list(db.config.extraConfig) == []
    with pytest.raises(vim.fault.InvalidPowerState):
        site.wait(db.Customize(linux()))
    spec = vim.vm.CloneSpec(location=Relocate(), template=False, powerOn=True, customization=linux())
    assert "CustomizationSucceeded" in events(si, site.wait(db.Clone(db.parent, "db9", spec)))


# moves ---------------------------------------------------------------------------------------------------------------


def test_a_machine_migrates_to_another_host_while_it_runs(site, si):
    web = site.vm(si, "web")
    hosts = list(web.runtime.host.parent.host)
    there = next(host for host in hosts if host != web.runtime.host)
    before = web.runtime.host
    site.wait(web.PowerOn())
    with pytest.raises(vim.fault.InvalidPowerState):
        site.wait(web.Migrate(None, there, "defaultPriority", "poweredOff"))
    site.wait(web.Migrate(None, there, "defaultPriority", "poweredOn"))
    assert web.runtime.host == there
    assert web in there.vm
    assert web not in before.vm
    assert web.runtime.powerState == "poweredOn"
    migrated = list(si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(eventTypeId=["VmMigratedEvent"])))
    assert [one.sourceHost.host for one in migrated] == [before]
    pool = root_pool(si).CreateResourcePool("gold", root_pool(si).config)
    site.wait(web.Migrate(pool, None, "defaultPriority", None))
    assert (web.resourcePool, web.runtime.host) == (pool, there)
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(web.Migrate(None, None, "defaultPriority", None))


def test_a_machine_moves_to_another_datastore_with_snapshots_while_its_guest_writes(two):
    site, si = two
    db = site.vm(si, "db")
    disk = site.vcenter.disks_of(site.db)[0]
    disk.write(0, b"one")
    old = bytes_of(site, db)
    snapshot = site.wait(db.CreateSnapshot("one", "", False, False))
    disk.write(0, b"two")
    site.wait(db.PowerOn())
    target = next(one for one in si.content.rootFolder.childEntity[0].datastore if one not in db.datastore)
    uuids = [one.backing.uuid for one in db.config.hardware.device if isinstance(one, vim.vm.device.VirtualDisk)]
    task = db.Relocate(Relocate(datastore=target), "defaultPriority")
    site.clock.wait(1.6)
    disk.write(MIB, b"while it moves")
    site.wait(task)
    assert [one.name for one in db.datastore] == [target.name]
    assert disk.read(0, 3) == b"two"
    assert disk.read(MIB, 14) == b"while it moves"
    assert disk.file_name.startswith(f"[{target.name}] db/")
    found = [one for one in db.config.hardware.device if isinstance(one, vim.vm.device.VirtualDisk)]
    assert [one.backing.uuid for one in found] == uuids
    assert all(one.backing.parent.fileName.startswith(f"[{target.name}]") for one in found)
    stores = {store.folder.name: store.folder for store in site.vcenter.inventory.stores.values()}
    assert not (stores["LocalDS_0"] / "db").exists()
    assert (stores["LocalDS_1"] / "db/db.vmx").is_file()
    site.wait(snapshot.Revert())
    assert bytes_of(site, db) == old
    assert {"VmBeingRelocatedEvent", "VmRelocatedEvent"} <= set(events(si, db))
    site.wait(db.RemoveAllSnapshots())
    assert bytes_of(site, db) == old


def test_a_full_datastore_stops_a_move_and_nothing_has_changed(tmp_path, site_of):
    site, si = site_of(tmp_path / "full", model=Model(hosts=1, datastores=2), capacity=16 * MIB)
    site.vcenter.disks_of(site.web)[0].write(0, bytes([1]) * 4 * MIB)
    web = site.vm(si, "web")
    target = next(one for one in si.content.rootFolder.childEntity[0].datastore if one not in web.datastore)
    store = site.vcenter.inventory.stores[target._moId]
    store.create("ballast.vmdk", 14 * MIB, thin=False)
    with pytest.raises(vim.fault.NoDiskSpace):
        site.wait(web.Relocate(Relocate(datastore=target), "defaultPriority"))
    assert [one.name for one in web.datastore] == ["LocalDS_0"]
    assert sorted(path.name for path in store.folder.iterdir()) == ["ballast-flat.vmdk", "ballast.vmdk"]
    site.wait(web.PowerOn())


def test_a_machine_relocates_to_pool_and_folder(site, si, dc):
    web = site.vm(si, "web")
    folder = dc.vmFolder.CreateFolder("production")
    pool = root_pool(si).CreateResourcePool("gold", root_pool(si).config)
    site.wait(web.Relocate(Relocate(pool=pool, folder=folder), "defaultPriority"))
    assert (web.resourcePool, web.parent) == (pool, folder)
    assert list(folder.childEntity) == [web]
    assert web not in dc.vmFolder.childEntity
    with pytest.raises(vim.fault.InvalidFolder):
        site.wait(web.Relocate(Relocate(folder=dc.hostFolder), "defaultPriority"))
