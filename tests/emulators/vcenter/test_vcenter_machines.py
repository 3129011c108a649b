"""What a machine does: power, reconfiguration, disks that move, snapshots that restore, tasks, events."""

import pytest
from pyVmomi import vim, vmodl

from emulators.vcenter import DiskGone, DiskSpec

MIB = 1024 * 1024
Disk = vim.vm.device.VirtualDisk
DeviceSpec = vim.vm.device.VirtualDeviceSpec


def disks_of(vm):
    return [device for device in vm.config.hardware.device if isinstance(device, Disk)]


def controller_of(vm):
    return next(device for device in vm.config.hardware.device if isinstance(device, vim.vm.device.VirtualSCSIController))


def reconfigure(site, vm, **fields):
    return site.wait(vm.Reconfigure(vim.vm.ConfigSpec(**fields)))


def new_disk(vm, size, unit=None, **backing):
    device = Disk(
        key=-1,
        controllerKey=controller_of(vm).key,
        unitNumber=unit,
        capacityInKB=size // 1024,
        backing=Disk.FlatVer2BackingInfo(fileName="", diskMode="persistent", **backing),
    )
    return DeviceSpec(operation="add", fileOperation="create", device=device)


def existing_disk(vm, file, unit=None):
    device = Disk(
        key=-1,
        controllerKey=controller_of(vm).key,
        unitNumber=unit,
        capacityInKB=0,
        backing=Disk.FlatVer2BackingInfo(fileName=file, diskMode="persistent"),
    )
    return DeviceSpec(operation="add", device=device)


def without(device, *, destroy=False):
    return DeviceSpec(operation="remove", fileOperation="destroy" if destroy else None, device=device)


# power ---------------------------------------------------------------------------------------------------------------


def test_power_on_and_off_take_emulated_time_and_tell_the_guest(site, si):
    vm, before = site.vm(si, "web"), site.clock.now()
    site.wait(vm.PowerOn())
    assert vm.runtime.powerState == "poweredOn"
    assert site.clock.now() - before == pytest.approx(4)
    assert (vm.guest.hostName, vm.guest.ipAddress, vm.guest.toolsRunningStatus) == ("web.corp", "10.0.0.50", "guestToolsRunning")
    with pytest.raises(vim.fault.InvalidPowerState) as refused:
        site.wait(vm.PowerOn())
    assert refused.value.existingState == "poweredOn"
    site.wait(vm.PowerOff())
    assert (vm.runtime.powerState, vm.guest.toolsRunningStatus) == ("poweredOff", "guestToolsNotRunning")
    assert site.guests.seen == [("power_on", "web"), ("power_off", "web")]


def test_shutdown_is_orderly_and_needs_tools(site, si):
    vm = site.vm(si, "web")
    with pytest.raises(vim.fault.InvalidPowerState):
        vm.ShutdownGuest()
    site.wait(vm.PowerOn())
    vm.ShutdownGuest()
    assert vm.runtime.powerState == "poweredOn"
    assert site.clock.wait_until(lambda: vm.runtime.powerState == "poweredOff", seconds=60)
    assert site.guests.seen == [("power_on", "web"), ("shut_down", "web")]
    site.wait(vm.PowerOn())
    site.vcenter.report_guest(site.web, running=False)
    with pytest.raises(vim.fault.ToolsUnavailable):
        vm.ShutdownGuest()


def test_a_machine_shut_down_hard_and_on_again_is_not_turned_off_by_the_old_shutdown(site, si):
    vm = site.vm(si, "web")
    site.wait(vm.PowerOn())
    vm.ShutdownGuest()
    site.wait(vm.PowerOff(), seconds=2)
    site.wait(vm.PowerOn(), seconds=5)
    site.clock.wait(60)
    assert vm.runtime.powerState == "poweredOn"


def test_reset_and_suspend(site, si):
    vm = site.vm(si, "web")
    site.wait(vm.PowerOn())
    site.wait(vm.Reset())
    assert vm.runtime.powerState == "poweredOn"
    site.wait(vm.Suspend())
    assert vm.runtime.powerState == "suspended"
    assert [what for what, _ in site.guests.seen] == ["power_on", "power_off", "power_on", "power_off"]


# reconfiguration -----------------------------------------------------------------------------------------------------


def test_extra_config_is_added_changed_and_removed_without_case(site, si):
    vm = site.vm(si, "web")
    option = vim.option.OptionValue
    reconfigure(site, vm, extraConfig=[option(key="disk.EnableUUID", value="TRUE")])
    reconfigure(site, vm, extraConfig=[option(key="DISK.enableuuid", value="FALSE")])
    assert [(one.key, one.value) for one in vm.config.extraConfig] == [("disk.EnableUUID", "FALSE")]
    assert site.web.extra_config_value("disk.enableuuid") == "FALSE"
    reconfigure(site, vm, extraConfig=[option(key="disk.enableUUID", value="")])
    assert vm.config.extraConfig == []
    assert site.web.extra_config_value("disk.EnableUUID") is None


def test_name_cpu_and_memory(site, si):
    vm = site.vm(si, "web")
    reconfigure(site, vm, name="www", numCPUs=4, memoryMB=8192, annotation="front")
    assert (vm.name, vm.summary.config.numCpu, vm.summary.config.memorySizeMB, vm.config.annotation) == ("www", 4, 8192, "front")
    with pytest.raises(vim.fault.DuplicateName):
        reconfigure(site, vm, name="db")
    with pytest.raises(vmodl.fault.InvalidArgument):
        reconfigure(site, vm, numCPUs=0)
    site.wait(vm.PowerOn())
    with pytest.raises(vim.fault.InvalidPowerState):
        reconfigure(site, vm, memoryMB=1024)


def test_a_field_that_is_not_supported_is_said_to_be_not(site, si):
    with pytest.raises(vmodl.fault.NotSupported, match="npivWorldWideNameOp"):
        reconfigure(site, site.vm(si, "web"), npivWorldWideNameOp="generate")


def test_new_disk_holds_bytes_and_the_guest_is_told(site, si):
    vm = site.vm(si, "web")
    site.wait(vm.PowerOn())
    reconfigure(site, vm, deviceChange=[new_disk(vm, 2 * MIB, unit=3)])
    assert [(d.unitNumber, d.capacityInKB) for d in disks_of(vm)] == [(0, 4096), (3, 2048)]
    disk = site.vcenter.disks_of(site.web)[1]
    disk.write(MIB, b"hello")
    assert disk.read(MIB - 1, 7) == b"\0hello\0"
    assert ("disks_changed", "web") in site.guests.seen
    assert disk.uuid == disks_of(vm)[1].backing.uuid.lower()


def test_a_disk_moves_to_another_machine_with_its_uuid_and_bytes_and_back(site, si):
    db, web = site.vm(si, "db"), site.vm(si, "web")
    original = site.vcenter.disks_of(site.db)[1]
    original.write(0, b"records" * 100)
    device = disks_of(db)[1]
    file, uuid = device.backing.fileName, device.backing.uuid
    site.wait(web.PowerOn())
    reconfigure(site, db, deviceChange=[without(device)])
    with pytest.raises(DiskGone):
        original.read(0, 1)
    reconfigure(site, web, deviceChange=[existing_disk(web, file)])
    moved = next(d for d in disks_of(web) if d.backing.uuid == uuid)
    attached = site.vcenter.open_disk(site.web, moved.key)
    assert attached.read(0, 700) == b"records" * 100
    attached.write(0, b"changed")
    reconfigure(site, web, deviceChange=[without(moved)])
    reconfigure(site, db, deviceChange=[existing_disk(db, file, unit=1)])
    assert site.vcenter.disks_of(site.db)[1].read(0, 10) == b"changedrec"
    assert disks_of(db)[1].backing.uuid == uuid


def test_a_disk_of_a_running_machine_is_locked_for_others(site, si):
    db, web = site.vm(si, "db"), site.vm(si, "web")
    file = disks_of(db)[1].backing.fileName
    reconfigure(site, web, deviceChange=[existing_disk(web, file)])  # both are off: allowed
    site.wait(db.PowerOn())
    with pytest.raises(vim.fault.FileLocked):
        site.wait(web.PowerOn())
    reconfigure(site, web, deviceChange=[without(disks_of(web)[1])])
    site.wait(web.PowerOn())
    with pytest.raises(vim.fault.GenericVmConfigFault):
        reconfigure(site, web, deviceChange=[existing_disk(web, file)])


def test_removal_keeps_or_destroys_the_file(site, si):
    db = site.vm(si, "db")
    folder = site.vcenter.inventory.stores[site.db.datastore.moid].folder
    first, second = disks_of(db)
    reconfigure(site, db, deviceChange=[without(first), without(second, destroy=True)])
    assert disks_of(db) == []
    names = {path.name for path in (folder / "db").iterdir()}
    assert {"db.vmdk", "db-flat.vmdk"} <= names
    assert not {"db_1.vmdk", "db_1-flat.vmdk"} & names


def test_a_refused_reconfiguration_changes_nothing(site, si):
    web = site.vm(si, "web")
    folder = site.vcenter.inventory.stores[site.web.datastore.moid].folder
    before = sorted(path.name for path in (folder / "web").iterdir())
    with pytest.raises(vim.fault.InvalidDeviceSpec):
        reconfigure(site, web, memoryMB=1024, deviceChange=[new_disk(web, MIB), new_disk(web, MIB, unit=0)])
    assert sorted(path.name for path in (folder / "web").iterdir()) == before
    assert (len(disks_of(web)), web.config.hardware.memoryMB) == (1, 4096)


@pytest.mark.parametrize(
    "file", ["[LocalDS_0] ../../secret.vmdk", "[LocalDS_0] /etc/passwd", "[Other] x.vmdk", "x.vmdk", "[LocalDS_0] no.vmdk"]
)
def test_paths_that_leave_the_datastore_or_do_not_exist_are_refused(site, si, file):
    web = site.vm(si, "web")
    with pytest.raises(vmodl.MethodFault):
        reconfigure(site, web, deviceChange=[existing_disk(web, file)])
    assert len(disks_of(web)) == 1


def test_a_full_datastore_says_so(tmp_path):
    from vcenter_lab import Site

    site = Site(tmp_path, capacity=16 * MIB)
    instance = site.login()
    web = site.vm(instance, "web")
    with pytest.raises(vim.fault.NoDiskSpace):
        reconfigure(site, web, deviceChange=[new_disk(web, 32 * MIB, thinProvisioned=False)])
    site.vcenter.disks_of(site.web)[0].write(0, b"x" * 4 * MIB)
    datastore = web.datastore[0]
    assert datastore.summary.freeSpace == datastore.summary.capacity - 4 * MIB
    site.vcenter.close()


def test_new_controller_and_disk_in_one_request_and_growth(site, si):
    web = site.vm(si, "web")
    controller = DeviceSpec(
        operation="add", device=vim.vm.device.ParaVirtualSCSIController(key=-7, busNumber=1, sharedBus="noSharing")
    )
    disk = new_disk(web, MIB)
    disk.device.controllerKey = -7
    reconfigure(site, web, deviceChange=[controller, disk])
    assert [(d.bus, d.unit) for d in site.vcenter.disks_of(site.web)] == [(0, 0), (1, 0)]
    device = disks_of(web)[0]
    device.capacityInKB = 8192
    reconfigure(site, web, deviceChange=[DeviceSpec(operation="edit", device=device)])
    assert site.vcenter.disks_of(site.web)[0].size == 8 * MIB


def test_create_and_destroy_by_the_api(site, si):
    content = si.content
    datacenter = content.rootFolder.childEntity[0]
    pool = datacenter.hostFolder.childEntity[0].resourcePool
    folder = datacenter.vmFolder.CreateFolder("lab")
    controller = DeviceSpec(
        operation="add", device=vim.vm.device.VirtualLsiLogicController(key=-1, busNumber=0, sharedBus="noSharing")
    )
    disk = DeviceSpec(
        operation="add",
        fileOperation="create",
        device=Disk(
            key=-2,
            controllerKey=-1,
            unitNumber=0,
            capacityInKB=1024,
            backing=Disk.FlatVer2BackingInfo(fileName="", diskMode="persistent"),
        ),
    )
    spec = vim.vm.ConfigSpec(
        name="fresh",
        guestId="otherGuest64",
        numCPUs=1,
        memoryMB=512,
        files=vim.vm.FileInfo(vmPathName="[LocalDS_0]"),
        deviceChange=[controller, disk],
    )
    vm = site.wait(folder.CreateVm(spec, pool))
    assert (vm.name, vm.parent.name, len(disks_of(vm)), vm.config.hardware.memoryMB) == ("fresh", "lab", 1, 512)
    with pytest.raises(vim.fault.DuplicateName):
        site.wait(folder.CreateVm(spec, pool))
    home = site.vcenter.inventory.stores[site.web.datastore.moid].folder / "fresh"
    assert 'displayName = "fresh"' in (home / "fresh.vmx").read_text()
    site.wait(vm.Destroy())
    assert not home.exists()
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = vm.name
    site.wait(folder.Destroy())
    site.wait(site.vm(si, "web").PowerOn())
    with pytest.raises(vim.fault.InvalidPowerState):
        site.wait(site.vm(si, "web").Destroy())


def test_unregister_leaves_the_files(site, si):
    site.vm(si, "db").Unregister()
    folder = site.vcenter.inventory.stores[site.web.datastore.moid].folder
    assert (folder / "db" / "db-flat.vmdk").exists()
    web = site.vm(si, "web")
    reconfigure(site, web, deviceChange=[existing_disk(web, "[LocalDS_0] db/db.vmdk")])
    assert len(disks_of(web)) == 2


# snapshots -----------------------------------------------------------------------------------------------------------


def snapshot(site, vm, name, memory=False):
    return site.wait(vm.CreateSnapshot(name, f"about {name}", memory=memory, quiesce=False))


def test_revert_restores_bytes_settings_and_power(site, si):
    vm = site.vm(si, "web")
    disk = site.vcenter.disks_of(site.web)[0]
    disk.write(0, b"before")
    site.wait(vm.PowerOn())
    taken = snapshot(site, vm, "golden", memory=True)
    disk.write(0, b"after!")
    site.wait(vm.PowerOff())
    reconfigure(site, vm, numCPUs=8, extraConfig=[vim.option.OptionValue(key="a", value="b")], deviceChange=[new_disk(vm, MIB)])
    assert disks_of(vm)[0].backing.parent.fileName == "[LocalDS_0] web/web.vmdk"
    site.wait(taken.RevertToSnapshot_Task())
    assert disk.read(0, 6) == b"before"
    assert (vm.config.hardware.numCPU, vm.config.extraConfig, len(disks_of(vm))) == (2, [], 1)
    assert vm.runtime.powerState == "poweredOn"
    assert site.guests.seen[-1] == ("power_on", "web")


def test_tree_of_snapshots_and_their_removal(site, si):
    vm = site.vm(si, "db")
    disk = site.vcenter.disks_of(site.db)[0]
    assert vm.snapshot is None
    content = []
    for number in range(3):
        disk.write(number * 100_000, b"%d" % number * 1000)
        content.append(disk.read(0, disk.size))
        snapshot(site, vm, f"s{number}")
    disk.write(50, b"last")
    last = disk.read(0, disk.size)
    tree = vm.snapshot.rootSnapshotList[0]
    assert (tree.name, tree.childSnapshotList[0].name, tree.childSnapshotList[0].childSnapshotList[0].name) == ("s0", "s1", "s2")
    assert vm.snapshot.currentSnapshot == tree.childSnapshotList[0].childSnapshotList[0].snapshot
    site.wait(tree.childSnapshotList[0].snapshot.RemoveSnapshot_Task(removeChildren=False))
    assert disk.read(0, disk.size) == last
    site.wait(tree.snapshot.RevertToSnapshot_Task())
    assert disk.read(0, disk.size) == content[0]
    site.wait(tree.childSnapshotList[0].childSnapshotList[0].snapshot.RevertToSnapshot_Task())
    assert disk.read(0, disk.size) == content[2]
    site.wait(vm.RemoveAllSnapshots())
    assert vm.snapshot is None
    assert disk.read(0, disk.size) == content[2]
    assert disks_of(vm)[0].backing.fileName == "[LocalDS_0] db/db.vmdk"
    assert disks_of(vm)[0].backing.parent is None


def test_revert_to_current_and_quiesce_without_tools(site, si):
    vm = site.vm(si, "web")
    with pytest.raises(vim.fault.NotFound):
        site.wait(vm.RevertToCurrentSnapshot())
    snapshot(site, vm, "one")
    site.vcenter.disks_of(site.web)[0].write(0, b"x")
    site.wait(vm.RevertToCurrentSnapshot())
    assert site.vcenter.disks_of(site.web)[0].read(0, 1) == b"\0"
    site.wait(vm.PowerOn())
    site.vcenter.report_guest(site.web, running=False)
    with pytest.raises(vim.fault.ApplicationQuiesceFault):
        site.wait(vm.CreateSnapshot("two", "", memory=False, quiesce=True))


def test_changed_areas_are_what_was_written_since_the_snapshot(site, si):
    vm = site.vm(si, "web")
    disk = site.vcenter.disks_of(site.web)[0]
    disk.write(0, b"x")
    reconfigure(site, vm, changeTrackingEnabled=True)
    taken = snapshot(site, vm, "base")
    change_id = next(d for d in taken.config.hardware.device if isinstance(d, Disk)).backing.changeId
    disk.write(2 * MIB, b"y" * 70_000)
    changed = vm.QueryChangedDiskAreas(None, disk.key, 0, change_id)
    assert [(area.start, area.length) for area in changed.changedArea] == [(2 * MIB, 131072)]
    assert (changed.startOffset, changed.length) == (0, 4 * MIB)
    everything = vm.QueryChangedDiskAreas(None, disk.key, 0, "*")
    assert [area.start for area in everything.changedArea] == [0, 2 * MIB]
    with pytest.raises(vmodl.fault.InvalidArgument):
        vm.QueryChangedDiskAreas(None, disk.key, 0, "garbage")


# tasks and events ----------------------------------------------------------------------------------------------------


def test_task_shows_progress_and_can_be_cancelled(site, si):
    vm = site.vm(si, "web")
    task = vm.PowerOn()
    assert (task.info.state, task.info.descriptionId, task.info.entityName) == ("queued", "VirtualMachine.powerOn", "web")
    site.clock.wait(3)
    assert (task.info.state, task.info.progress) == ("running", 50)
    assert task in si.content.taskManager.recentTask
    assert task in vm.recentTask
    task.Cancel()
    site.clock.wait(10)
    assert (task.info.state, task.info.cancelled, vm.runtime.powerState) == ("error", True, "poweredOff")
    assert isinstance(task.info.error, vmodl.fault.RequestCanceled)


def test_a_machine_does_one_thing_at_a_time(site, si):
    vm = site.vm(si, "web")
    first, second = vm.PowerOn(), vm.Reconfigure(vim.vm.ConfigSpec(annotation="x"))
    site.wait(first)
    with pytest.raises(vim.fault.TaskInProgress) as refused:
        site.wait(second)
    assert refused.value.task == first


def events(si, **spec):
    return [type(e).__name__.rpartition(".")[2] for e in si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(**spec))]


def test_events_have_their_real_classes_and_can_be_filtered(site, si):
    vm = site.vm(si, "web")
    site.wait(vm.PowerOn())
    reconfigure(site, vm, annotation="x")
    snapshot(site, vm, "s")
    kinds = events(si)
    for kind in (
        "UserLoginSessionEvent",
        "VmCreatedEvent",
        "VmStartingEvent",
        "VmPoweredOnEvent",
        "VmReconfiguredEvent",
        "TaskEvent",
    ):
        assert kind in kinds
    only = vim.event.EventFilterSpec.ByEntity(entity=vm, recursion="self")
    assert events(si, entity=only, eventTypeId=["VmPoweredOnEvent", "vim.event.VmReconfiguredEvent"]) == [
        "VmPoweredOnEvent",
        "VmReconfiguredEvent",
    ]
    assert (
        events(
            si,
            entity=vim.event.EventFilterSpec.ByEntity(entity=site.vm(si, "db"), recursion="self"),
            type=[vim.event.VmPoweredOnEvent],
        )
        == []
    )
    below = vim.event.EventFilterSpec.ByEntity(entity=si.content.rootFolder, recursion="all")
    assert events(si, entity=below, eventTypeId=["VmPoweredOnEvent"]) == ["VmPoweredOnEvent"]
    latest = si.content.eventManager.latestEvent
    assert isinstance(latest, vim.event.TaskEvent)
    powered = si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(eventTypeId=["VmPoweredOnEvent"]))[0]
    assert powered.fullFormattedMessage == "web on DC0_C0_H0 in DC0 is powered on"
    assert powered.vm.vm == vm


def test_event_collector_reads_on(site, si):
    collector = si.content.eventManager.CreateCollector(vim.event.EventFilterSpec(type=[vim.event.VmCreatedEvent]))
    assert [event.vm.name for event in collector.ReadNext(1)] == ["web"]
    assert [event.vm.name for event in collector.ReadNext(5)] == ["db"]
    assert collector.ReadNext(5) == []
    collector.Remove()


# permissions ---------------------------------------------------------------------------------------------------------


def test_browser_lists_the_files_of_a_machine(site, si):
    vm = site.vm(si, "db")
    result = site.wait(vm.datastore[0].browser.Search("[LocalDS_0] db", None))
    assert {file.path for file in result.file} == {"db.vmx", "db.vmdk", "db_1.vmdk"}
    assert vm.datastore[0].summary.url == str(site.vcenter.inventory.stores[site.web.datastore.moid].folder)
    with pytest.raises(vim.fault.FileNotFound):
        site.wait(vm.datastore[0].browser.Search("[LocalDS_0] nothing", None))


def test_a_machine_that_cannot_be_made_leaves_nothing(site, tmp_path):
    source = tmp_path / "image"
    source.write_bytes(b"x" * 2048)
    before = site.vcenter.inventory.structure
    with pytest.raises(ValueError, match="has 2048 bytes"):
        site.vcenter.add_vm("small", disks=[DiskSpec(MIB), DiskSpec(1024, source)])
    assert not (site.vcenter.inventory.stores[site.web.datastore.moid].folder / "small").exists()
    assert site.vcenter.inventory.structure == before
    with pytest.raises(ValueError, match="no network"):
        site.vcenter.add_vm("small", nics=["Nowhere"])
