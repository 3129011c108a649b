"""First class disks, asked by pyVmomi of the vCenter's manager and of a host's: the same disks, the same bytes."""

import pytest
from pyVmomi import vim, vmodl
from vcenter_lab import MIB, stub_over

from emulators.vcenter.vmdk import BLOCK

#: Operation -> its name at the manager of a host, where it is not `Host` before it.
AT_HOST = {
    "VStorageObjectCreateSnapshot_Task": "HostVStorageObjectCreateSnapshot_Task",
    "DeleteSnapshot_Task": "HostVStorageObjectDeleteSnapshot_Task",
    "RetrieveSnapshotInfo": "HostVStorageObjectRetrieveSnapshotInfo",
    "CreateDiskFromSnapshot_Task": "HostVStorageObjectCreateDiskFromSnapshot_Task",
    "RevertVStorageObject_Task": "HostVStorageObjectRevert_Task",
}


@pytest.fixture
def si(site):
    instance = vim.ServiceInstance("ServiceInstance", stub_over(site.client, version="vim.version.v9_1_1_0"))
    instance.content.sessionManager.Login("administrator@vsphere.local", "Secret1!")
    return instance


class Disks:
    """One of the managers; `call` takes the vCenter's name of an operation and waits for its task."""

    def __init__(self, site, si, host):
        self.site, self.si, self.host = site, si, host
        self.datastore = si.content.rootFolder.childEntity[0].datastore[0]
        self.vcenter = si.content.vStorageObjectManager
        at_host = vim.vslm.host.VStorageObjectManager("ha-vstorage-object-manager", si._stub)
        self.manager = at_host if host else self.vcenter

    def call(self, name, /, **arguments):
        shared = ("VStorageObject", "Revert", "Rename", "Repair", "Unregister")
        if self.host:
            name = AT_HOST.get(name) or (name if "Ex" in name and name.startswith(shared) else f"Host{name}")
            name = name if name not in ("HostRepairVStorageObjectChain_Task", "HostUnregisterDisk_Task") else name[4:]
        told = getattr(self.manager, name)(**arguments)
        return self.site.wait(told) if isinstance(told, vim.Task) else told

    def of(self, ident):
        return {"id": ident, "datastore": self.datastore}

    def create(self, name="data", size=4, **more):
        backing = vim.vslm.CreateSpec.DiskFileBackingSpec(datastore=self.datastore, **more)
        spec = vim.vslm.CreateSpec(name=name, capacityInMB=size, backingSpec=backing)
        return self.call("CreateDisk_Task", spec=spec)

    def bytes_of(self, shown):
        """The disk behind an object."""
        store = self.site.vcenter.inventory.stores[self.datastore._moId]
        return store.open(shown.config.backing.filePath.partition("] ")[2])


@pytest.fixture(params=[False, True], ids=["vcenter", "host"])
def disks(site, si, request):
    return Disks(site, si, request.param)


def test_a_disk_is_made_listed_renamed_extended_inflated_and_deleted(disks):
    free = disks.datastore.summary.freeSpace
    made = disks.create()
    ident = made.config.id
    assert (made.config.name, made.config.capacityInMB, made.config.backing.provisioningType) == ("data", 4, "thin")
    assert made.config.backing.filePath == f"[LocalDS_0] fcd/{ident.id}.vmdk"
    assert [one.id for one in disks.call("ListVStorageObject", datastore=disks.datastore)] == [ident.id]
    disks.bytes_of(made).write(70_000, b"kept")
    disks.call("RenameVStorageObject", **disks.of(ident), name="more")
    disks.call("ExtendDisk_Task", **disks.of(ident), newCapacityInMB=8)
    with pytest.raises(vmodl.fault.InvalidArgument):
        disks.call("ExtendDisk_Task", **disks.of(ident), newCapacityInMB=8)
    disks.call("InflateDisk_Task", **disks.of(ident))
    shown = disks.call("RetrieveVStorageObject", **disks.of(ident))
    assert (shown.config.name, shown.config.capacityInMB, shown.config.backing.provisioningType) == (
        "more",
        8,
        "eagerZeroedThick",
    )
    assert free - disks.datastore.summary.freeSpace == 8 * MIB
    assert disks.bytes_of(shown).read(70_000, 4) == b"kept"
    assert disks.call("RetrieveVStorageObjectState", **disks.of(ident)).tentative is False
    disks.call("DeleteVStorageObject_Task", **disks.of(ident))
    assert (disks.datastore.summary.freeSpace, list(disks.call("ListVStorageObject", datastore=disks.datastore))) == (free, [])
    for name in ("RetrieveVStorageObject", "DeleteVStorageObjectEx_Task", "InflateDisk_Task"):
        with pytest.raises(vim.fault.NotFound):
            disks.call(name, **disks.of(ident))


@pytest.mark.parametrize(("kind", "takes"), [("thin", 0), ("lazyZeroedThick", MIB), ("eagerZeroedThick", MIB)])
def test_a_disk_takes_what_its_kind_takes(disks, kind, takes):
    free = disks.datastore.summary.freeSpace
    made = disks.create(size=1, provisioningType=kind, path="own/folder")
    assert (free - disks.datastore.summary.freeSpace, made.config.backing.provisioningType) == (takes, kind)
    assert made.config.backing.filePath.startswith("[LocalDS_0] own/folder/")
    disks.call("DeleteVStorageObjectEx_Task", **disks.of(made.config.id))
    assert disks.datastore.summary.freeSpace == free


def test_what_cannot_be_made_is_refused_and_leaves_nothing(site, disks):
    free = disks.datastore.summary.freeSpace
    for more, fault in (
        ({"size": 0}, vmodl.fault.InvalidArgument),
        ({"size": 1 << 40}, vmodl.fault.InvalidArgument),
        ({"provisioningType": "wet"}, vmodl.fault.InvalidArgument),
        ({"path": "../out"}, vim.fault.InvalidDatastorePath),
        ({"size": 600 * 1024, "provisioningType": "lazyZeroedThick"}, vim.fault.NoDiskSpace),
    ):
        with pytest.raises(fault):
            disks.create(**more)
    assert list(disks.call("ListVStorageObject", datastore=disks.datastore)) == []
    assert disks.datastore.summary.freeSpace == free


def test_an_existing_disk_is_registered_and_let_go(disks, site):
    path = "[LocalDS_0] web/web.vmdk"
    found = disks.call("RegisterDisk", path=path, name="of web")
    assert found.config.consumerId[0].id == site.web.instance_uuid
    with pytest.raises(vim.fault.AlreadyExists):
        disks.call("RegisterDisk", path="https://vcenter/folder/web/web.vmdk?dcPath=DC0&dsName=LocalDS_0")
    with pytest.raises(vim.fault.InvalidState):
        disks.call("DeleteVStorageObject_Task", **disks.of(found.config.id))
    if not disks.host:
        told = disks.manager.RetrieveVStorageObjectAssociations(
            [vim.vslm.vcenter.RetrieveVStorageObjSpec(**disks.of(one)) for one in (found.config.id, vim.vslm.ID(id="other"))]
        )
        assert [(one.vmId, one.diskKey) for one in told[0].vmDiskAssociations] == [(site.web.moid, 2000)]
        assert isinstance(told[1].fault, vim.fault.NotFound)
    disks.call("UnregisterDisk_Task", **disks.of(found.config.id))
    assert list(disks.call("ListVStorageObject", datastore=disks.datastore)) == []
    assert site.vcenter.disks_of(site.web)[0].size == 4 * MIB


def test_a_clone_has_the_bytes_and_a_moved_disk_its_identity(disks):
    made = disks.create()
    disks.bytes_of(made).write(3 * BLOCK, b"travels")
    uuid = disks.bytes_of(made).uuid
    backing = vim.vslm.CreateSpec.DiskFileBackingSpec(datastore=disks.datastore, path="elsewhere")
    clone = disks.call(
        "CloneVStorageObject_Task", **disks.of(made.config.id), spec=vim.vslm.CloneSpec(name="c", backingSpec=backing)
    )
    assert clone.config.id.id != made.config.id.id
    disks.call("RelocateVStorageObject_Task", **disks.of(made.config.id), spec=vim.vslm.RelocateSpec(backingSpec=backing))
    moved = disks.call("RetrieveVStorageObject", **disks.of(made.config.id))
    assert moved.config.backing.filePath.startswith("[LocalDS_0] elsewhere/")
    for one in (clone, moved):
        assert disks.bytes_of(one).read(3 * BLOCK, 7) == b"travels"
    assert (disks.bytes_of(moved).uuid, disks.bytes_of(clone).uuid != uuid) == (uuid, True)
    backing.path = ""
    disks.call("RelocateVStorageObject_Task", **disks.of(made.config.id), spec=vim.vslm.RelocateSpec(backingSpec=backing))
    back = disks.call("RetrieveVStorageObject", **disks.of(made.config.id))
    assert back.config.backing.filePath.startswith("[LocalDS_0] fcd/")
    assert disks.bytes_of(back).read(3 * BLOCK, 7) == b"travels"
    disks.call("SetVStorageObjectControlFlags", **disks.of(made.config.id), controlFlags=["disableRelocation"])
    backing.path = "third"
    with pytest.raises(vim.fault.InvalidState):
        disks.call("RelocateVStorageObject_Task", **disks.of(made.config.id), spec=vim.vslm.RelocateSpec(backingSpec=backing))
    disks.call("ClearVStorageObjectControlFlags", **disks.of(made.config.id), controlFlags=["disableRelocation"])
    disks.call("RelocateVStorageObject_Task", **disks.of(made.config.id), spec=vim.vslm.RelocateSpec(backingSpec=backing))
    with pytest.raises(vmodl.fault.InvalidArgument):
        disks.call("SetVStorageObjectControlFlags", **disks.of(made.config.id), controlFlags=["fly"])


def test_snapshots_hold_bytes_are_listed_reverted_to_copied_linked_and_removed(disks):
    made = disks.create()
    ident, disk = made.config.id, disks.bytes_of(made)
    disk.write(0, b"first")
    first = disks.call("VStorageObjectCreateSnapshot_Task", **disks.of(ident), description="one")
    disk.write(0, b"later")
    second = disks.call(
        "VStorageObjectCreateSnapshotEx_Task", **disks.of(ident), description="two", snapshotId=vim.vslm.ID(id="s2")
    )
    disk.write(0, b"last!")
    told = disks.call("RetrieveSnapshotInfo", **disks.of(ident)).snapshots
    assert [(one.id.id, one.description) for one in told] == [(first.id, "one"), ("s2", "two")]
    with pytest.raises(vim.fault.AlreadyExists):
        disks.call("VStorageObjectCreateSnapshotEx_Task", **disks.of(ident), description="two", snapshotId=vim.vslm.ID(id="s2"))
    copy = disks.call("CreateDiskFromSnapshot_Task", **disks.of(ident), snapshotId=first, name="copy")
    linked = disks.call("CreateDiskFromSnapshot_Task", **disks.of(ident), snapshotId=second, name="linked", isLinkedClone=True)
    assert disks.bytes_of(copy).read(0, 5) == b"first"
    assert disks.bytes_of(linked).read(0, 5) == b"later"
    assert linked.config.backing.parent is not None
    disks.bytes_of(linked).write(0, b"own..")
    disks.call("RevertVStorageObject_Task", **disks.of(ident), snapshotId=first)
    assert disk.read(0, 5) == b"first"
    clock = disks.call("RevertVStorageObjectEx_Task", **disks.of(ident), snapshotId=second)
    assert (disk.read(0, 5), clock.vClockTime > 1) == (b"later", True)
    with pytest.raises(vim.fault.InvalidState):
        disks.call("UnregisterDisk_Task", **disks.of(ident))
    disks.call("DeleteSnapshot_Task", **disks.of(ident), snapshotId=first)
    disks.call("VStorageObjectDeleteSnapshotEx2_Task", **disks.of(ident), snapshotId=second)
    assert list(disks.call("RetrieveSnapshotInfo", **disks.of(ident)).snapshots) == []
    assert (disk.read(0, 5), disks.bytes_of(linked).read(0, 5)) == (b"later", b"own..")
    with pytest.raises(vim.fault.NotFound):
        disks.call("VStorageObjectDeleteSnapshotEx_Task", **disks.of(ident), snapshotId=first)
    disks.call("RepairVStorageObjectChain_Task", **disks.of(ident))
    third = disks.call("VStorageObjectCreateSnapshot_Task", **disks.of(ident), description="three")
    assert disks.call("VStorageObjectDeleteSnapshotEx_Task", **disks.of(ident), snapshotId=third).vClockTime > clock.vClockTime


def test_changes_are_counted_in_the_clock(disks):
    ident = disks.create().config.id
    renamed = disks.call("RenameVStorageObjectEx", **disks.of(ident), name="n")
    grown = disks.call("VStorageObjectExtendDiskEx_Task", **disks.of(ident), newCapacityInMB=9)
    assert grown.vClockTime > renamed.vClockTime
    assert disks.call("RetrieveVStorageObject", **disks.of(ident)).config.capacityInMB == 9


def test_changed_areas_of_a_snapshot_since_another(site, si):
    disks = Disks(site, si, False)
    made = disks.create()
    ident, disk = made.config.id, disks.bytes_of(made)
    untracked = disks.call("VStorageObjectCreateSnapshot_Task", **disks.of(ident), description="")
    with pytest.raises(vim.fault.FileFault):
        disks.manager.VstorageObjectVCenterQueryChangedDiskAreas(ident, disks.datastore, untracked, 0, "*")
    disks.call("SetVStorageObjectControlFlags", **disks.of(ident), controlFlags=["enableChangedBlockTracking"])
    first = disks.call("VStorageObjectCreateSnapshot_Task", **disks.of(ident), description="")
    since = disks.manager.RetrieveSnapshotDetails(ident, disks.datastore, first).changedBlockTrackingId
    disk.write(5 * BLOCK, b"between")
    second = disks.call("VStorageObjectCreateSnapshot_Task", **disks.of(ident), description="")
    disk.write(9 * BLOCK, b"after")
    found = disks.manager.VstorageObjectVCenterQueryChangedDiskAreas(ident, disks.datastore, second, 0, since)
    assert [(one.start, one.length) for one in found.changedArea] == [(5 * BLOCK, BLOCK)]
    with pytest.raises(vmodl.fault.InvalidArgument):
        disks.manager.VstorageObjectVCenterQueryChangedDiskAreas(ident, disks.datastore, second, 0, "52 00/1")
    disks.call("ClearVStorageObjectControlFlags", **disks.of(ident))
    assert disks.call("RetrieveVStorageObject", **disks.of(ident)).config.changedBlockTrackingEnabled is False


def test_a_disk_is_attached_used_and_taken_off(site, si):
    disks, vm = Disks(site, si, False), site.vm(si, "web")
    kept, goes = disks.create("kept"), disks.create("goes")
    for one in (kept, goes):
        site.wait(vm.AttachDisk_Task(one.config.id, disks.datastore, None, None))
    devices = [one for one in vm.config.hardware.device if isinstance(one, vim.vm.device.VirtualDisk)]
    assert [one.vDiskId.id for one in devices[1:]] == [kept.config.id.id, goes.config.id.id]
    site.vcenter.open_disk(site.web, devices[1].key).write(0, b"by the guest")
    assert disks.bytes_of(kept).read(0, 12) == b"by the guest"
    with pytest.raises(vim.fault.InvalidState):
        site.wait(site.vm(si, "db").AttachDisk_Task(kept.config.id, disks.datastore, None, None))
    site.wait(vm.DetachDisk_Task(kept.config.id))
    with pytest.raises(vim.fault.NotFound):
        site.wait(vm.DetachDisk_Task(kept.config.id))
    site.wait(vm.AttachDisk_Task(kept.config.id, disks.datastore, 1000, 9))
    disks.call("ClearVStorageObjectControlFlags", **disks.of(goes.config.id), controlFlags=["keepAfterDeleteVm"])
    site.wait(vm.Destroy())
    assert [one.id for one in disks.call("ListVStorageObject", datastore=disks.datastore)] == [kept.config.id.id]
    assert disks.bytes_of(kept).read(0, 12) == b"by the guest"


def test_tags_policies_and_metadata(site, si):
    disks = Disks(site, si, False)
    one = disks.create().config.id
    disks.manager.AttachTagToVStorageObject(one, "tier", "gold")
    assert [tag.tagName for tag in disks.manager.ListTagsAttachedToVStorageObject(one)] == ["gold"]
    assert [found.id for found in disks.manager.ListVStorageObjectsAttachedToTag("tier", "gold")] == [one.id]
    disks.manager.DetachTagFromVStorageObject(one, "tier", "gold")
    assert list(disks.manager.ListVStorageObjectsAttachedToTag("tier", "gold")) == []
    with pytest.raises(vim.fault.NotFound):
        disks.manager.DetachTagFromVStorageObject(one, "tier", "gold")
    profile = [vim.vm.DefinedProfileSpec(profileId="p-1")]
    disks.call("UpdateVStorageObjectPolicy_Task", **disks.of(one), profile=profile)
    spec = vim.vslm.InfrastructureObjectPolicySpec(datastore=disks.datastore, profile=profile)
    site.wait(disks.manager.UpdateVStorageInfrastructureObjectPolicy_Task(spec))
    for manager in (disks.manager, Disks(site, si, True).manager):
        name = "RetrieveVStorageInfrastructureObjectPolicy"
        asked = getattr(manager, name if manager is disks.manager else f"Host{name}")
        assert [found.profileId for found in asked(disks.datastore)] == ["p-1"]
    pairs = [vim.KeyValue(key=key, value=key.upper()) for key in ("a.one", "a.two", "b")]
    site.wait(disks.manager.VCenterUpdateVStorageObjectMetadataEx_Task(one, disks.datastore, pairs, None))
    host = Disks(site, si, True).manager
    site.wait(host.HostUpdateVStorageObjectMetadata_Task(one, disks.datastore, [vim.KeyValue(key="c", value="C")], ["a.two"]))
    snapshot = disks.call("VStorageObjectCreateSnapshot_Task", **disks.of(one), description="")
    site.wait(host.HostUpdateVStorageObjectMetadataEx_Task(one, disks.datastore, None, ["c"]))
    read = host.HostRetrieveVStorageObjectMetadata
    assert [(pair.key, pair.value) for pair in read(one, disks.datastore, None, "a.")] == [("a.one", "A.ONE")]
    assert [pair.key for pair in read(one, disks.datastore, snapshot, None)] == ["a.one", "b", "c"]
    assert host.HostRetrieveVStorageObjectMetadataValue(one, disks.datastore, None, "b") == "B"
    with pytest.raises(vim.fault.KeyNotFound):
        host.HostRetrieveVStorageObjectMetadataValue(one, disks.datastore, None, "c")


def test_the_catalogue_follows_the_files(site, si, disks):
    made, other = disks.create("a"), disks.create("b")
    folder = site.vcenter.inventory.stores[disks.datastore._moId].folder
    (folder / "fcd" / f"{made.config.id.id}.vmdk").unlink()
    disks.call("ReconcileDatastoreInventory_Task", datastore=disks.datastore)
    assert [one.id for one in disks.call("ListVStorageObject", datastore=disks.datastore)] == [other.config.id.id]
    (folder / "fcd" / f"{other.config.id.id}.vmdk").unlink()
    disks.call("ScheduleReconcileDatastoreInventory", datastore=disks.datastore)
    site.clock.wait(5)
    assert list(disks.call("ListVStorageObject", datastore=disks.datastore)) == []
    if not disks.host:
        spec = vim.vslm.ReconcileSpec(datastore=disks.datastore)
        site.wait(disks.manager.ReconcileDatastoreInventoryEx_Task(spec))


def test_uuids_by_path(site, si):
    disks, path, uuid = Disks(site, si, False), "[LocalDS_0] web/web.vmdk", "60 00 C2 9e 11 22 33 44-55 66 77 88 99 aa bb cc"
    site.wait(disks.manager.SetVirtualDiskUuidEx_Task(path, disks.si.content.rootFolder.childEntity[0], uuid))
    assert disks.manager.QueryVirtualDiskUuidEx(path, None) == uuid.lower()
    host = Disks(site, si, True).manager
    site.wait(host.HostSetVirtualDiskUuid_Task(path, None))
    assert host.HostQueryVirtualDiskUuid(path) != uuid.lower()


def test_who_may_not_touch_files_makes_no_disk(site, si):
    reader = vim.ServiceInstance("ServiceInstance", stub_over(site.client, version="vim.version.v9_1_1_0"))
    reader.content.sessionManager.Login("reader", "Reader1!")
    disks, theirs = Disks(site, si, False), Disks(site, reader, False)
    ident = disks.create().config.id
    with pytest.raises(vim.fault.NoPermission):
        theirs.create()
    with pytest.raises(vim.fault.NoPermission):
        theirs.call("DeleteVStorageObject_Task", **theirs.of(ident))
    assert len(disks.call("ListVStorageObject", datastore=disks.datastore)) == 1
