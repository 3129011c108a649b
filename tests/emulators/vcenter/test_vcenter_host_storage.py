"""The objects that a host is managed through: its storage, and failover of the array behind it; asked by pyVmomi."""

import pytest
from pyVmomi import vim, vmodl

from emulators.vcenter.model import Model


@pytest.fixture
def si(newest_si):
    return newest_si


@pytest.fixture
def host(site, si):
    return site.vm(si, "web").runtime.host


@pytest.fixture
def parts(host):
    return host.configManager


# storage and array failover ------------------------------------------------------------------------------------------


def test_a_copied_unit_is_resignatured_and_its_machines_run(site, si, dc, host, parts):
    storage, stores = parts.storageSystem, parts.datastoreSystem
    site.vcenter.disks_of(site.web)[0].write(0, b"replicated by the array")
    name = site.vcenter.present_copy("LocalDS_0")
    site.vcenter.disks_of(site.web)[0].write(0, b"written after the failov")
    assert list(storage.QueryUnresolvedVmfsVolume()) == []
    storage.RescanAllHba()
    (copy,) = storage.QueryUnresolvedVmfsVolume()
    assert (copy.vmfsLabel, copy.extent[0].device.diskName) == ("LocalDS_0", name)
    assert [one.vmfsUuid for one in stores.QueryUnresolvedVmfsVolumes()] == [copy.vmfsUuid]
    spec = vim.host.UnresolvedVmfsResignatureSpec(extentDevicePath=[copy.extent[0].devicePath])
    made = site.wait(stores.ResignatureUnresolvedVmfsVolume(spec)).result
    assert made.name.startswith("snap-")
    assert made.name.endswith("-LocalDS_0")
    assert (made.info.vmfs.uuid != copy.vmfsUuid, made.info.vmfs.extent[0].diskName) == (True, name)
    assert list(storage.QueryUnresolvedVmfsVolume()) == []
    pool = site.vm(si, "web").resourcePool
    keep = vim.option.OptionValue(key="uuid.action", value="keep")
    vm = site.wait(dc.vmFolder.RegisterVm(f"[{made.name}] web/web.vmx", "web at the other side", False, pool, host))
    site.wait(vm.Reconfigure(vim.vm.ConfigSpec(extraConfig=[keep])))
    site.wait(vm.PowerOn())
    record = next(one for one in site.vcenter.vms() if one.moid == vm._moId)
    assert site.vcenter.disks_of(record)[0].read(0, 23) == b"replicated by the array"
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(stores.ResignatureUnresolvedVmfsVolume(spec))


def test_a_copy_is_force_mounted_only_where_the_original_is_gone(site, si, host, parts):
    storage = parts.storageSystem
    site.vcenter.present_copy("LocalDS_0")
    storage.RescanHba("vmhba1")
    with pytest.raises(vim.fault.NotFound):
        storage.RescanHba("vmhba9")
    path = storage.QueryUnresolvedVmfsVolume()[0].extent[0].devicePath
    force = vim.host.UnresolvedVmfsResolutionSpec(extentDevicePath=[path], uuidResolution="forceMount")
    (result,) = storage.ResolveMultipleUnresolvedVmfsVolumes([force])
    assert isinstance(result.fault, vim.fault.VmfsAlreadyMounted)
    for name in ("web", "db"):
        site.vm(si, name).Unregister()
    uuid = host.datastore[0].info.vmfs.uuid
    for other in host.parent.host:
        other.configManager.storageSystem.UnmountVmfsVolume(uuid)
    assert not host.datastore[0].summary.accessible
    (result,) = site.wait(storage.ResolveMultipleUnresolvedVmfsVolumesEx([force]))
    assert (result.vmfs.uuid, result.fault) == (uuid, None)
    storage.UnmountForceMountedVmfsVolume(uuid)


def test_units_are_detached_and_attached(site, si, host, parts):
    storage = parts.storageSystem
    disk = next(
        one for one in storage.storageDeviceInfo.scsiLun if one.canonicalName == host.datastore[0].info.vmfs.extent[0].diskName
    )
    uuid = host.datastore[0].info.vmfs.uuid
    query = si.content.storageQueryManager
    assert len(query.QueryHostsWithAttachedLun(disk.uuid)) == 3
    with pytest.raises(vim.fault.ResourceInUse):
        storage.DetachScsiLun(disk.uuid)
    with pytest.raises(vim.fault.ResourceInUse):
        storage.UnmountVmfsVolume(uuid)
    for name in ("web", "db"):
        site.wait(site.vm(si, name).Migrate(None, next(one for one in host.parent.host if one != host), "defaultPriority", None))
    storage.UnmountVmfsVolume(uuid)
    storage.DetachScsiLun(disk.uuid)
    assert host not in query.QueryHostsWithAttachedLun(disk.uuid)
    states = (
        {one.uuid: list(one.operationalState) for one in host.config.storageDevice.scsiLun} if host.config.storageDevice else {}
    )
    assert states.get(disk.uuid, ["off"]) == ["off"]
    with pytest.raises(vim.fault.HostConfigFault):
        storage.MountVmfsVolume(uuid)
    with pytest.raises(vim.fault.InvalidState):
        storage.DetachScsiLun(disk.uuid)
    storage.AttachScsiLun(disk.uuid)
    storage.MountVmfsVolume(uuid)
    assert host.datastore[0].summary.accessible
    (result,) = site.wait(storage.UnmountVmfsVolumeEx([uuid]))
    assert (result.key, result.fault) == (uuid, None)
    (result,) = site.wait(storage.DetachScsiLunEx([disk.uuid]))
    (again,) = site.wait(storage.DetachScsiLunEx([disk.uuid]))
    assert (result.fault, type(again.fault)) == (None, vim.fault.InvalidState)
    storage.DeleteScsiLunState(disk.canonicalName)
    storage.DeleteVmfsVolumeState(uuid)
    assert list(host.datastore) == []
    storage.RescanAllHba()
    storage.RescanVmfs()
    assert [one.name for one in host.datastore] == ["LocalDS_0"]
    free = parts.datastoreSystem.QueryAvailableDisksForVmfs(None)[0]
    site.wait(storage.DetachScsiLunEx([free.uuid]))
    (result,) = site.wait(storage.AttachScsiLunEx([free.uuid]))
    assert result.fault is None
    site.wait(storage.UnmountVmfsVolumeEx([uuid]))
    (result,) = site.wait(storage.MountVmfsVolumeEx([uuid]))
    assert result.fault is None
    storage.Refresh()


def test_datastores_are_made_extended_and_removed(site, si, host, parts):
    stores = parts.datastoreSystem
    first, second = stores.QueryAvailableDisksForVmfs(None)
    (option,) = stores.QueryVmfsDatastoreCreateOptions(first.devicePath, 6)
    option.spec.vmfs.volumeName = "Gold"
    gold = stores.CreateVmfsDatastore(option.spec)
    size = gold.summary.capacity
    assert (gold.name, size, len(gold.host)) == ("Gold", 100 * 1024**3, 3)
    with pytest.raises(vim.fault.ResourceInUse):
        stores.CreateVmfsDatastore(option.spec)
    (more,) = stores.QueryVmfsDatastoreExtendOptions(gold, second.devicePath, False)
    stores.ExtendVmfsDatastore(gold, more.spec)
    assert (gold.summary.capacity, len(gold.info.vmfs.extent)) == (2 * size, 2)
    assert list(stores.QueryAvailableDisksForVmfs(None)) == []
    spec = vim.vm.ConfigSpec(name="on gold", files=vim.vm.FileInfo(vmPathName="[Gold]"))
    vm = site.wait(si.content.rootFolder.childEntity[0].vmFolder.CreateVm(spec, host.parent.resourcePool, host))
    with pytest.raises(vim.fault.ResourceInUse):
        stores.RemoveDatastore(gold)
    site.wait(vm.Destroy())
    stores.UpdateLocalSwapDatastore(gold)
    assert host.config.localSwapDatastore == gold
    stores.UpdateLocalSwapDatastore(None)
    stores.SetMaxQueueDepth(gold, 64)
    assert stores.QueryMaxQueueDepth(gold) == 64
    stores.RemoveDatastore(gold)
    assert len(stores.QueryAvailableDisksForVmfs(None)) == 2
    local = stores.CreateLocalDatastore("scratch", "/anywhere/../at/all")
    assert str(site.vcenter.inventory.folder) in local.info.url
    with pytest.raises(vim.fault.DuplicateName):
        stores.CreateLocalDatastore("scratch", "/x")
    (result,) = site.wait(stores.RemoveDatastoreEx([local]))
    assert result.fault is None


def test_a_share_is_one_datastore_for_all_hosts(site, host, parts):
    stores = parts.datastoreSystem
    share = vim.host.NasVolume.Specification(
        remoteHost="nas.corp", remotePath="/export/a", localPath="share", accessMode="readWrite"
    )
    made = stores.CreateNasDatastore(share)
    assert (made.summary.type, made.info.nas.remoteHost) == ("NFS", "nas.corp")
    with pytest.raises(vim.fault.AlreadyExists):
        stores.CreateNasDatastore(share)
    other = next(one for one in host.parent.host if one != host).configManager.datastoreSystem
    assert other.CreateNasDatastore(share) == made
    assert len(made.host) == 2
    volumes = parts.storageSystem.fileSystemVolumeInfo.mountInfo
    assert "nas.corp" in [one.volume.remoteHost for one in volumes if isinstance(one.volume, vim.host.NasVolume)]
    other.RemoveDatastore(made)
    assert len(made.host) == 1
    share.remotePath = "relative"
    with pytest.raises(vmodl.fault.InvalidArgument):
        stores.CreateNasDatastore(share)
    stores.RemoveDatastore(made)
    assert [one.name for one in host.datastore] == ["LocalDS_0"]


def test_devices_paths_and_adapters(site, host, parts):
    storage = parts.storageSystem
    disk = storage.storageDeviceInfo.scsiLun[0]
    unit = next(one for one in storage.storageDeviceInfo.multipathInfo.lun if one.id == disk.uuid)
    storage.DisableMultipathPath(unit.path[0].name)
    with pytest.raises(vim.fault.HostConfigFault):
        storage.DisableMultipathPath(unit.path[1].name)
    states = [one.pathState for one in storage.storageDeviceInfo.multipathInfo.lun[0].path]
    assert states == ["disabled", "active"]
    storage.EnableMultipathPath(unit.path[0].name)
    storage.SetMultipathLunPolicy(unit.id, vim.host.MultipathInfo.LogicalUnitPolicy(policy="VMW_PSP_FIXED"))
    assert storage.storageDeviceInfo.multipathInfo.lun[0].policy.policy == "VMW_PSP_FIXED"
    with pytest.raises(vmodl.fault.InvalidArgument):
        storage.SetMultipathLunPolicy(unit.id, vim.host.MultipathInfo.LogicalUnitPolicy(policy="none"))
    assert "VMW_PSP_RR" in [one.policy.key for one in storage.QueryPathSelectionPolicyOptions()]
    assert "VMW_SATP_ALUA" in [one.policy.key for one in storage.QueryStorageArrayTypePolicyOptions()]
    storage.UpdateScsiLunDisplayName(disk.uuid, "fast one")
    site.wait(storage.MarkAsSsd(disk.uuid))
    site.wait(storage.MarkAsLocal(disk.uuid))
    storage.MarkPerenniallyReserved(disk.uuid, True)
    now = storage.storageDeviceInfo.scsiLun[0]
    assert (now.displayName, now.ssd, now.localDisk, now.perenniallyReserved) == ("fast one", True, True, True)
    site.wait(storage.MarkAsNonSsd(disk.uuid))
    site.wait(storage.MarkAsNonLocal(disk.uuid))
    assert not storage.storageDeviceInfo.scsiLun[0].ssd
    (layout,) = storage.RetrieveDiskPartitionInfo([disk.devicePath])
    assert layout.spec.totalSectors == disk.capacity.block
    storage.UpdateSoftwareInternetScsiEnabled(True)
    target = vim.host.InternetScsiHba.SendTarget(address="10.9.0.1", port=3260)
    fixed = vim.host.InternetScsiHba.StaticTarget(address="10.9.0.2", iScsiName="iqn.2020-01.corp:a")
    storage.UpdateInternetScsiName("vmhba64", "iqn.2020-01.corp:esx")
    storage.UpdateInternetScsiAlias("vmhba64", "esx")
    storage.AddInternetScsiSendTargets("vmhba64", [target])
    storage.AddInternetScsiStaticTargets("vmhba64", [fixed])
    with pytest.raises(vim.fault.HostConfigFault):
        storage.AddInternetScsiSendTargets("vmhba64", [target])
    hba = storage.storageDeviceInfo.hostBusAdapter[-1]
    assert (hba.iScsiName, hba.iScsiAlias, [one.address for one in hba.configuredSendTarget]) == (
        "iqn.2020-01.corp:esx",
        "esx",
        ["10.9.0.1"],
    )
    storage.RemoveInternetScsiSendTargets("vmhba64", [target], False)
    storage.RemoveInternetScsiStaticTargets("vmhba64", [fixed])
    with pytest.raises(vim.fault.NotFound):
        storage.RemoveInternetScsiStaticTargets("vmhba64", [fixed])
    storage.UpdateSoftwareInternetScsiEnabled(False)
    with pytest.raises(vim.fault.NotFound):
        storage.UpdateInternetScsiName("vmhba64", "iqn.2020-01.corp:esx")


def test_datastores_without_an_array_stay_local(tmp_path, site_of):
    site, si = site_of(tmp_path / "local", model=Model(hosts=1))
    host = site.vm(si, "web").runtime.host
    assert isinstance(host.datastore[0].info, vim.host.LocalDatastoreInfo)
    assert list(host.configManager.storageSystem.storageDeviceInfo.scsiLun) == []
    with pytest.raises(ValueError, match="does not lie on a unit"):
        site.vcenter.present_copy("LocalDS_0")
