"""Key providers, switch ports, storage placement, tenants, views and clones of vApps; each asked by pyVmomi."""

import pytest
from pyVmomi import vim, vmodl
from vcenter_lab import bytes_of, root_pool

from emulators.vcenter.model import Model


@pytest.fixture
def si(newest_si):
    return newest_si


def provider(name):
    return vim.encryption.KeyProviderId(id=name)


def server(name, port=5696):
    info = vim.encryption.KmipServerInfo(name=name, address="10.0.0.9", port=port)
    return vim.encryption.KmipServerSpec(clusterId=provider("corp"), info=info, password="secret")


def test_key_providers_and_their_keys(site, si, dc):
    keys = si.content.cryptoManager
    assert not keys.enabled
    keys.RegisterKmipServer(server("one"))
    with pytest.raises(vim.fault.AlreadyExists):
        keys.RegisterKmipServer(server("one"))
    with pytest.raises(vmodl.fault.InvalidArgument):
        keys.RegisterKmipServer(server("two", port=0))
    keys.UpdateKmipServer(server("one", port=5697))
    assert [(one.clusterId.id, one.useAsDefault, one.servers[0].port) for one in keys.ListKmipServers(None)] == [
        ("corp", True, 5697)
    ]
    keys.RegisterKmsCluster(provider("own"), "nativeProvider")
    with pytest.raises(vim.fault.AlreadyExists):
        keys.RegisterKmsCluster(provider("own"), "nativeProvider")
    assert [keys.IsKmsClusterActive(provider(one)) for one in ("corp", "own")] == [False, True]
    found = site.wait(keys.RetrieveKmipServersStatus_Task(None))
    assert {one.clusterId.id: one.overallStatus for one in found} == {"corp": "red", "own": "green"}
    failed, made = keys.GenerateKey(provider("corp"), None, None), keys.GenerateKey(provider("own"), None, None)
    assert (failed.success, made.success) == (False, True)
    assert [one.keyId for one in keys.ListKeys(None)] == [made.keyId.keyId]
    assert [one.keyAvailable for one in keys.QueryCryptoKeyStatus([made.keyId, failed.keyId], 1)] == [True, False]
    keys.MarkDefault(provider("own"))
    keys.SetDefaultKmsCluster(dc, provider("corp"))
    web = site.vm(si, "web")
    assert keys.GetDefaultKmsCluster(web, True).id == "corp"
    assert keys.GetDefaultKmsCluster(web, False) is None
    assert keys.GetDefaultKmsCluster(None, None).id == "own"
    assert [one.success for one in keys.RemoveKeys([made.keyId, made.keyId], False)] == [True, False]
    with pytest.raises(vmodl.fault.InvalidArgument):
        keys.RemoveKey(made.keyId, False)
    keys.RemoveKmipServer(provider("corp"), "one")
    assert [one.clusterId.id for one in keys.ListKmsClusters(False, None, None)] == ["own"]
    keys.UnregisterKmsCluster(provider("own"))
    assert not keys.enabled


@pytest.fixture
def switched(tmp_path, site_of):
    site, si = site_of(tmp_path / "dvs", model=Model(hosts=2, standalone_hosts=1, portgroups=1))
    dc = si.content.rootFolder.childEntity[0]
    return site, si, dc, next(one for one in dc.networkFolder.childEntity if isinstance(one, vim.DistributedVirtualSwitch))


def test_ports_versions_and_checks_of_a_switch(switched):
    site, _, _, switch = switched
    (port,) = switch.FetchPorts(None)
    edit = vim.dvs.DistributedVirtualPort.ConfigSpec(operation="edit", key=port.key, name="uplink to the DMZ")
    site.wait(switch.ReconfigurePort([edit]))
    assert [one.config.name for one in switch.FetchPorts(None)] == ["uplink to the DMZ"]
    edit.key = "99"
    with pytest.raises(vim.fault.NotFound):
        site.wait(switch.ReconfigurePort([edit]))
    switch.RefreshPortState([port.key])
    with pytest.raises(vim.fault.NotFound):
        switch.RefreshPortState(["99"])
    newer = vim.dvs.ProductSpec(version="7.0.0")
    site.wait(switch.PerformProductSpecOperation("upgrade", newer))
    assert switch.config.productInfo.version == "7.0.0"
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(switch.PerformProductSpecOperation("upgrade", vim.dvs.ProductSpec(version="6.5.0")))
    check = vim.dvs.VmwareDistributedVirtualSwitch.TeamingHealthCheckConfig(enable=True, interval=1)
    site.wait(switch.UpdateHealthCheckConfig([check]))
    assert [one.enable for one in switch.config.healthCheckConfig] == [True]
    site.wait(switch.RectifyHost(None))


def test_network_resource_pools(switched):
    _, _, _, switch = switched
    spec = vim.dvs.NetworkResourcePool.ConfigSpec
    switch.AddNetworkResourcePool([spec(key="", name="replication")])
    with pytest.raises(vim.fault.DuplicateName):
        switch.AddNetworkResourcePool([spec(key="", name="replication")])
    (pool,) = switch.networkResourcePool
    allocation = vim.dvs.NetworkResourcePool.AllocationInfo(limit=1000)
    switch.UpdateNetworkResourcePool([spec(key=pool.key, configVersion=pool.configVersion, allocationInfo=allocation)])
    assert switch.networkResourcePool[0].allocationInfo.limit == 1000
    with pytest.raises(vim.fault.ConcurrentAccess):
        switch.UpdateNetworkResourcePool([spec(key=pool.key, configVersion=pool.configVersion)])
    switch.RemoveNetworkResourcePool([pool.key])
    with pytest.raises(vim.fault.NotFound):
        switch.RemoveNetworkResourcePool([pool.key])
    switch.EnableNetworkResourceManagement(False)
    assert switch.config.networkResourceManagementEnabled is False


def test_what_is_known_of_switches(switched):
    site, si, dc, switch = switched
    service = si.content.dvSwitchManager
    assert service.QuerySwitchByUuid(switch.uuid) == switch
    with pytest.raises(vim.fault.NotFound):
        service.QuerySwitchByUuid("50 00")
    group = next(one for one in switch.portgroup if not one.config.uplink)
    assert service.LookupPortgroup(switch.uuid, group.key) == group
    assert "8.0.0" in [one.version for one in service.QuerySupportedSwitchSpec(None)]
    assert service.QueryCompatibleHostSpec(None)
    assert service.QueryFeatureCapability(None).networkResourceManagementSupported
    hosts = service.QueryCompatibleHostForNewDvs(dc.hostFolder, True, None)
    assert len(hosts) == 3
    assert list(service.QueryCompatibleHostForExistingDvs(dc.hostFolder, True, switch)) == []
    config = service.QueryDvsConfigTarget(hosts[0], None)
    assert [one.switchName for one in config.distributedVirtualSwitch] == ["DVS0"]
    site.wait(service.RectifyHost(list(hosts)))
    create = vim.DistributedVirtualSwitch.CreateSpec(configSpec=vim.DistributedVirtualSwitch.ConfigSpec(name="DVS1"))
    other = site.wait(dc.networkFolder.CreateDVS_Task(create))
    site.wait(other.AddPortgroup(vim.dvs.DistributedVirtualPortgroup.ConfigSpec(name="moved", numPorts=1)))
    site.wait(switch.Merge(other))
    assert "moved" in [one.name for one in switch.portgroup]
    assert other not in dc.networkFolder.childEntity


def test_where_disks_go_in_a_pod(tmp_path, site_of):
    site, si = site_of(tmp_path / "pod", model=Model(hosts=1, datastores=2))
    dc = si.content.rootFolder.childEntity[0]
    pod = dc.datastoreFolder.CreateStoragePod("gold")
    storage = si.content.storageResourceManager
    spec = vim.storageDrs.StoragePlacementSpec(type="create", podSelectionSpec=vim.storageDrs.PodSelectionSpec(storagePod=pod))
    with pytest.raises(vim.fault.InvalidState):
        storage.RecommendDatastores(spec)
    site.wait(pod.MoveInto(list(dc.datastore)))
    full = site.vcenter.inventory.stores[dc.datastore[0]._moId]
    full.create("ballast.vmdk", 1024**3, thin=False)
    best = storage.RecommendDatastores(spec).recommendations[0]
    assert best.action[0].destination == dc.datastore[1]
    config = vim.storageDrs.ConfigSpec(podConfigSpec=vim.storageDrs.PodConfigSpec(enabled=True, defaultVmBehavior="automated"))
    site.wait(storage.ConfigureStorageDrsForPod_Task(pod, config, True))
    assert pod.podStorageDrsEntry.storageDrsConfig.podConfig.enabled
    config.podConfigSpec.defaultVmBehavior = "wild"
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(storage.ConfigureStorageDrsForPod_Task(pod, config, True))
    io = vim.StorageResourceManager.IORMConfigSpec
    site.wait(storage.ConfigureDatastoreIORM_Task(dc.datastore[0], io(enabled=True, congestionThreshold=20)))
    assert (dc.datastore[0].iormConfiguration.enabled, dc.datastore[0].iormConfiguration.congestionThreshold) == (True, 20)
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(storage.ConfigureDatastoreIORM_Task(dc.datastore[0], io(congestionThreshold=1)))
    assert storage.QueryIORMConfigOption(dc.hostFolder.childEntity[0].host[0]).congestionThresholdOption.max == 100


def test_entities_of_the_provider(site, si):
    tenants, web = si.content.tenantManager, site.vm(si, "web")
    tenants.MarkServiceProviderEntities([web])
    assert list(tenants.RetrieveServiceProviderEntities()) == [web]
    tenants.UnmarkServiceProviderEntities([web])
    assert list(tenants.RetrieveServiceProviderEntities()) == []


def test_a_list_from_another_view(site, si):
    views = si.content.viewManager
    machines = views.CreateContainerView(si.content.rootFolder, [vim.VirtualMachine], True)
    mine = views.CreateListViewFromView(machines)
    assert list(mine.view) == list(machines.view)
    hosts = views.CreateContainerView(si.content.rootFolder, [vim.HostSystem], True)
    mine.ResetFromView(hosts)
    assert list(mine.view) == list(hosts.view)
    hosts.Destroy()
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        mine.ResetFromView(hosts)


def test_a_vapp_is_cloned_with_its_machines_and_pools(site, si, dc):
    root = root_pool(si)
    assert root.QueryResourceConfigOption().cpuAllocationOption.sharesOption.defaultLevel == "normal"
    vapp = root.CreateVApp("shop", root.config, vim.vApp.VAppConfigSpec(annotation="all of it"), dc.vmFolder)
    inner = vapp.CreateResourcePool("back", root.config)
    web, db = site.vm(si, "web"), site.vm(si, "db")
    vapp.MoveIntoResourcePool([web])
    inner.MoveIntoResourcePool([db])
    site.vcenter.disks_of(site.web)[0].write(0, b"goods")
    spec = vim.vApp.CloneSpec(location=dc.datastore[0], vmFolder=dc.vmFolder.CreateFolder("copies"))
    made = site.wait(vapp.Clone("shop2", root, spec))
    (copy,) = made.vm
    assert (copy.name, made.vAppConfig.annotation, [one.name for one in made.resourcePool]) == ("web", "all of it", ["back"])
    assert bytes_of(site, copy) == bytes_of(site, web)
    assert [one.name for one in made.resourcePool[0].vm] == ["db"]
    with pytest.raises(vim.fault.DuplicateName):
        site.wait(vapp.Clone("shop2", root, spec))
