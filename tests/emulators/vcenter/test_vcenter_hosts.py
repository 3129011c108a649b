"""Hosts and clusters: they come, go, move, rest and are configured; each asked by pyVmomi."""

import pytest
from pyVmomi import vim, vmodl
from vcenter_lab import bytes_of, events, root_pool

from emulators.vcenter.model import Model

Relocate = vim.vm.RelocateSpec


@pytest.fixture
def si(newest_si):
    return newest_si


@pytest.fixture
def cluster(dc):
    return dc.hostFolder.childEntity[0]


def connect(name):
    return vim.host.ConnectSpec(hostName=name, userName="root", password="x", force=False)


def told(si, kind):
    return list(si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(eventTypeId=[kind])))


# coming and going ----------------------------------------------------------------------------------------------------


def test_hosts_are_added_alone_and_to_clusters(site, si, dc, cluster):
    frame = site.wait(dc.hostFolder.AddStandaloneHost(connect("esx9.corp"), None, True, None))
    (host,) = frame.host
    assert (frame.name, host.name, host.runtime.connectionState) == ("esx9.corp", "esx9.corp", "connected")
    assert ([one.name for one in host.network], list(host.datastore)) == (["VM Network"], [])
    with pytest.raises(vim.fault.AlreadyConnected):
        site.wait(dc.hostFolder.AddStandaloneHost(connect("esx9.corp"), None, True, None))
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(dc.hostFolder.AddStandaloneHost(connect(""), None, True, None))
    with pytest.raises(vmodl.fault.NotSupported):
        site.wait(dc.vmFolder.AddStandaloneHost(connect("other"), None, True, None))
    joined = site.wait(cluster.AddHost(connect("10.0.0.99"), False, None, None))
    assert (joined.summary.managementServerIp, joined.runtime.connectionState) == ("vcenter", "disconnected")
    assert list(joined.datastore) == list(cluster.datastore)
    assert {"HostAddedEvent"} <= set(events(si, joined))
    assert (cluster.summary.numHosts, cluster.summary.numEffectiveHosts) == (4, 3)
    spec = vim.Folder.NewHostSpec(hostCnxSpec=connect("esx10"))
    made = site.wait(dc.hostFolder.BatchAddStandaloneHosts([spec], None, True))
    assert [one.name for one in made.addedHosts] == ["esx10"]
    more = site.wait(
        dc.hostFolder.BatchAddHostsToCluster(cluster, [vim.Folder.NewHostSpec(hostCnxSpec=connect("esx11"))], [host])
    )
    assert [one.name for one in more.hostsAddedToCluster] == ["esx11", "esx9.corp"]
    assert more.hostsAddedToCluster[0].runtime.inMaintenanceMode
    assert frame not in dc.hostFolder.childEntity


def test_hosts_move_between_clusters_and_stand_alone(site, si, dc, cluster):
    other = dc.hostFolder.CreateClusterEx("C2", vim.cluster.ConfigSpecEx())
    host = next(one for one in cluster.host if one != site_host(site, si))
    with pytest.raises(vim.fault.InvalidState):
        site.wait(other.MoveInto([host]))
    site.wait(host.EnterMaintenanceMode(0, False, None))
    site.wait(other.MoveInto([host]))
    assert host.parent == other
    assert [one.name for one in other.datastore] == ["LocalDS_0"]
    with pytest.raises(vim.fault.DuplicateName):
        site.wait(other.MoveInto([host]))
    site.wait(dc.hostFolder.MoveInto([host]))
    assert (host.parent.name, type(host.parent)) == (host.name, vim.ComputeResource)
    pool = root_pool(si).CreateResourcePool("guests", root_pool(si).config)
    site.wait(cluster.MoveHostInto(host, pool))
    assert host.parent == cluster
    site.wait(host.ExitMaintenanceMode(0))
    with pytest.raises(vim.fault.InvalidState):
        site.wait(host.ExitMaintenanceMode(0))


def site_host(site, si):
    return site.vm(si, "web").runtime.host


def test_a_host_is_removed_with_what_only_it_saw(site, si, dc, cluster):
    frame = site.wait(dc.hostFolder.AddStandaloneHost(connect("esx9"), None, True, None))
    site.wait(frame.Destroy())
    assert [one.name for one in dc.hostFolder.childEntity] == ["DC0_C0"]
    host = cluster.host[0]
    with pytest.raises(vim.fault.InvalidState):
        site.wait(host.Destroy())
    site.wait(host.Disconnect())
    site.wait(host.Destroy())
    assert host not in cluster.host
    assert told(si, "HostRemovedEvent")
    site.wait(cluster.Destroy())
    assert list(dc.hostFolder.childEntity) == []
    assert list(dc.vmFolder.childEntity) == []
    assert list(dc.datastore) == []
    folder = next(iter(site.vcenter.inventory.folder.iterdir()))
    assert (folder / "web/web.vmx").is_file()


def test_a_datacenter_goes_with_everything_and_the_files_stay(site, si, dc):
    site.wait(site.vm(si, "web").PowerOn())
    site.wait(dc.Destroy())
    assert list(si.content.rootFolder.childEntity) == []
    view = si.content.viewManager.CreateContainerView(si.content.rootFolder, [vim.ManagedEntity], True)
    assert list(view.view) == []
    made = si.content.rootFolder.CreateDatacenter("again")
    assert [one.name for one in si.content.rootFolder.childEntity] == [made.name]


# states --------------------------------------------------------------------------------------------------------------


def test_a_disconnected_hosts_machines_cannot_be_worked_with(site, si):
    web = site.vm(si, "web")
    host = web.runtime.host
    site.wait(host.Disconnect())
    assert (host.runtime.connectionState, web.runtime.connectionState) == ("disconnected", "disconnected")
    with pytest.raises(vmodl.fault.HostNotConnected):
        site.wait(web.PowerOn())
    with pytest.raises(vim.fault.InvalidState):
        site.wait(host.Disconnect())
    site.wait(host.Reconnect(None, None))
    site.wait(web.PowerOn())
    assert web.runtime.connectionState == "connected"
    assert {"HostDisconnectedEvent", "HostConnectedEvent"} <= set(events(si, host))
    with pytest.raises(vim.fault.InvalidState):
        site.wait(host.Reconnect(None, None))


def test_maintenance_waits_for_machines_and_can_time_out(site, si):
    web = site.vm(si, "web")
    host = web.runtime.host
    site.wait(web.PowerOn())
    with pytest.raises(vim.fault.Timedout):
        site.wait(host.EnterMaintenanceMode(30, False, None))
    task = host.EnterMaintenanceMode(0, False, None)
    site.clock.wait(60)
    assert task.info.state == "running"
    site.wait(web.PowerOff())
    site.wait(task)
    assert host.runtime.inMaintenanceMode
    with pytest.raises(vim.fault.InvalidState):
        site.wait(web.PowerOn())
    site.wait(host.ExitMaintenanceMode(0))
    site.wait(web.PowerOn())
    assert {"EnteredMaintenanceModeEvent", "ExitMaintenanceModeEvent"} <= set(events(si, host))


def test_a_fully_automated_cluster_empties_the_host(site, si, cluster):
    web = site.vm(si, "web")
    host = web.runtime.host
    site.wait(web.PowerOn())
    drs = vim.cluster.DrsConfigInfo(enabled=True, defaultVmBehavior="fullyAutomated")
    site.wait(cluster.ReconfigureEx(vim.cluster.ConfigSpecEx(drsConfig=drs), True))
    site.wait(host.EnterMaintenanceMode(0, False, None))
    assert web.runtime.host != host
    assert web.runtime.powerState == "poweredOn"


def test_reboot_and_shutdown_take_the_power_of_machines(site, si):
    web = site.vm(si, "web")
    host = web.runtime.host
    site.wait(web.PowerOn())
    with pytest.raises(vim.fault.InvalidState):
        site.wait(host.Reboot(False))
    site.clock.wait(100)
    up = host.RetrieveHardwareUptime()
    task = host.Reboot(True)
    site.clock.wait(30)
    assert (host.runtime.connectionState, web.runtime.powerState) == ("notResponding", "poweredOff")
    site.wait(task)
    assert host.runtime.connectionState == "connected"
    assert host.RetrieveHardwareUptime() < up
    site.wait(host.Shutdown(True))
    assert host.runtime.powerState == "poweredOff"
    with pytest.raises(vim.fault.NoHost):
        site.wait(host.Reconnect(None, None))


def test_standby(site, si):
    host = site_host(site, si)
    site.wait(host.EnterStandbyMode(0, False))
    assert (host.runtime.powerState, host.runtime.standbyMode) == ("standBy", "in")
    site.wait(host.ExitStandbyMode(0))
    assert (host.runtime.powerState, host.runtime.connectionState) == ("poweredOn", "connected")
    with pytest.raises(vim.fault.InvalidState):
        site.wait(host.ExitStandbyMode(0))
    assert {"EnteredStandbyModeEvent", "ExitedStandbyModeEvent"} <= set(events(si, host))


def test_settings_and_questions_of_a_host(site, si, cluster):
    web = site.vm(si, "web")
    host = web.runtime.host
    host.EnterLockdownMode()
    assert host.config.lockdownMode == "lockdownNormal"
    with pytest.raises(vim.fault.InvalidState):
        host.EnterLockdownMode()
    host.ExitLockdownMode()
    host.UpdateFlags(vim.host.FlagInfo(backgroundSnapshotsEnabled=True))
    host.UpdateIpmi(vim.host.IpmiInfo(bmcIpAddress="10.9.9.9", bmcMacAddress="00:00:00:00:00:01", login="a", password="b"))
    assert (host.config.flags.backgroundSnapshotsEnabled, host.config.ipmi.bmcIpAddress) == (True, "10.9.9.9")
    assert host.config.ipmi.password is None
    swap = vim.host.SystemSwapConfiguration(option=[vim.host.SystemSwapConfiguration.HostCacheOption(key=0)])
    host.UpdateSystemSwapConfiguration(swap)
    assert [one.key for one in host.config.systemSwapConfiguration.option] == [0]
    host.UpdateSystemResources(vim.host.SystemResourceInfo(key="host/vim"))
    assert [one.key for one in host.systemResources.child] == ["host/vim"]
    with pytest.raises(vmodl.fault.InvalidArgument):
        host.UpdateSystemResources(vim.host.SystemResourceInfo(key="guest"))
    info = host.QueryConnectionInfo()
    assert (info.host.config.name, "web" in [one.config.name for one in info.vm]) == (host.name, True)
    assert host.QueryOverhead(1024**3, None, 2) > host.QueryOverhead(1024**3, None, 1) > 0
    assert host.QueryOverheadEx(web.config) == host.QueryOverhead(4096 * 1024**2, None, 2)
    with pytest.raises(vim.fault.DasConfigFault):
        site.wait(host.ReconfigureDAS())
    site.wait(cluster.ReconfigureEx(vim.cluster.ConfigSpecEx(dasConfig=vim.cluster.DasConfigInfo(enabled=True)), True))
    site.wait(host.ReconfigureDAS())
    assert "HostDasEnabledEvent" in events(si, host)
    runtime = cluster.RetrieveDasAdvancedRuntimeInfo()
    assert [one.datastore.name for one in runtime.heartbeatDatastoreInfo] == ["LocalDS_0"]


# clusters ------------------------------------------------------------------------------------------------------------

Rule, Group = vim.cluster.RuleSpec, vim.cluster.GroupSpec


def test_rules_and_groups_are_kept_checked_and_found(site, si, cluster):
    web, db = site.vm(si, "web"), site.vm(si, "db")
    apart = vim.cluster.AntiAffinityRuleSpec(name="apart", vm=[web, db], enabled=True)
    site.wait(cluster.ReconfigureEx(vim.cluster.ConfigSpecEx(rulesSpec=[Rule(operation="add", info=apart)]), True))
    (rule,) = cluster.FindRulesForVm(web)
    assert (rule.name, rule.key, list(rule.vm), bool(rule.ruleUuid)) == ("apart", 1, [web, db], True)
    with pytest.raises(vim.fault.DuplicateName):
        site.wait(cluster.ReconfigureEx(vim.cluster.ConfigSpecEx(rulesSpec=[Rule(operation="add", info=apart)]), True))
    few = vim.cluster.AffinityRuleSpec(name="few", vm=[web])
    with pytest.raises(vmodl.fault.InvalidArgument):
        site.wait(cluster.ReconfigureEx(vim.cluster.ConfigSpecEx(rulesSpec=[Rule(operation="add", info=few)]), True))
    groups = [
        Group(operation="add", info=vim.cluster.VmGroup(name="shop", vm=[web])),
        Group(operation="add", info=vim.cluster.HostGroup(name="rack", host=[cluster.host[1]])),
    ]
    tied = vim.cluster.VmHostRuleInfo(name="tied", enabled=True, vmGroupName="shop", affineHostGroupName="rack")
    spec = vim.cluster.ConfigSpecEx(groupSpec=groups, rulesSpec=[Rule(operation="add", info=tied)])
    site.wait(cluster.ReconfigureEx(spec, True))
    assert sorted(one.name for one in cluster.FindRulesForVm(web)) == ["apart", "tied"]
    assert [one.name for one in cluster.FindRulesForVm(db)] == ["apart"]
    assert [one.host for one in cluster.RecommendHostsForVm(web, None)] == [cluster.host[1]]
    with pytest.raises(vim.fault.ResourceInUse):
        site.wait(cluster.ReconfigureEx(vim.cluster.ConfigSpecEx(groupSpec=[Group(operation="remove", removeKey="shop")]), True))
    gone = [Rule(operation="remove", removeKey=rule.key) for rule in cluster.configurationEx.rule]
    site.wait(cluster.Reconfigure(vim.cluster.ConfigSpec(rulesSpec=gone), True))
    assert list(cluster.configuration.rule) == []
    first = vim.cluster.DasVmConfigSpec(operation="add", info=vim.cluster.DasVmConfigInfo(key=web, restartPriority="high"))
    site.wait(cluster.ReconfigureEx(vim.cluster.ConfigSpecEx(dasVmConfigSpec=[first]), True))
    assert [one.restartPriority for one in cluster.configurationEx.dasVmConfig] == ["high"]
    site.wait(cluster.StampAllRulesWithUuid())
    assert told(si, "ClusterReconfiguredEvent")


def test_recommendations_follow_the_rules_and_are_applied(site, si, cluster):
    web, db = site.vm(si, "web"), site.vm(si, "db")
    site.wait(db.Migrate(None, web.runtime.host, "defaultPriority", None))
    for vm in (web, db):
        site.wait(vm.PowerOn())
    apart = vim.cluster.AntiAffinityRuleSpec(name="apart", vm=[web, db], enabled=True)
    drs = vim.cluster.DrsConfigInfo(enabled=True, defaultVmBehavior="manual")
    spec = vim.cluster.ConfigSpecEx(drsConfig=drs, rulesSpec=[Rule(operation="add", info=apart)])
    site.wait(cluster.ReconfigureEx(spec, True))
    cluster.RefreshRecommendation()
    found = list(cluster.recommendation)
    assert {one.reason for one in found} == {"antiAffin"}
    for other in found[1:]:
        cluster.CancelRecommendation(other.key)
    cluster.ApplyRecommendation(found[0].key)
    site.clock.wait(30)
    assert web.runtime.host != db.runtime.host
    with pytest.raises(vmodl.fault.InvalidArgument):
        cluster.ApplyRecommendation(found[0].key)
    result = cluster.EnterMaintenanceMode([web.runtime.host], None, None)
    assert [one.action[0].target for one in result.recommendations] == [web]
    used = cluster.GetResourceUsage()
    assert (used.memUsedMB, used.memCapacityMB) == (8192, 3 * 128 * 1024)


def test_place_vm_names_host_and_datastore(site, si, cluster):
    web = site.vm(si, "web")
    found = cluster.PlaceVm(vim.cluster.PlacementSpec(vm=web)).recommendations
    assert {one.action[0].targetHost for one in found} == set(cluster.host)
    assert found[0].action[0].relocateSpec.datastore.name == "LocalDS_0"
    only = [cluster.host[2]]
    fresh = vim.cluster.PlacementSpec(configSpec=vim.vm.ConfigSpec(name="x"), hosts=only)
    assert [one.action[0].targetHost for one in cluster.PlaceVm(fresh).recommendations] == only
    with pytest.raises(vmodl.fault.InvalidArgument):
        cluster.PlaceVm(vim.cluster.PlacementSpec())


def test_what_machines_can_have_in_a_cluster(site, si, dc, cluster):
    browser = cluster.environmentBrowser
    keys = [one.key for one in browser.QueryConfigOptionDescriptor() if one.defaultConfigOption]
    assert keys == ["vmx-13"]
    option = browser.QueryConfigOption("vmx-14", None)
    assert option.hardwareOptions.hwVersion == 14
    assert "ubuntu64Guest" in [one.id for one in option.guestOSDescriptor]
    spec = vim.EnvironmentBrowser.ConfigOptionQuerySpec(guestId=["ubuntu64Guest"])
    assert [one.family for one in browser.QueryConfigOptionEx(spec).guestOSDescriptor] == ["linuxGuest"]
    with pytest.raises(vmodl.fault.InvalidArgument):
        browser.QueryConfigOption("vmx-99", None)
    target = browser.QueryConfigTarget(None)
    assert ([one.name for one in target.datastore], [one.name for one in target.network]) == (["LocalDS_0"], ["VM Network"])
    assert browser.QueryTargetCapabilities(None).vmotionSupported
    site.wait(dc.Reconfigure(vim.Datacenter.ConfigSpec(defaultHardwareVersionKey="vmx-19"), True))
    assert dc.configuration.defaultHardwareVersionKey == "vmx-19"
    assert [one.key for one in dc.QueryConfigOptionDescriptor() if one.defaultConfigOption] == ["vmx-19"]


def test_many_machines_are_powered_on_at_once(site, si, dc):
    machines = [site.vm(si, name) for name in ("web", "db")]
    site.wait(machines[0].PowerOn())
    result = site.wait(dc.PowerOnVm(machines, None))
    assert ([one.vm for one in result.attempted], [one.vm for one in result.notAttempted]) == ([machines[1]], [machines[0]])
    site.wait(result.attempted[0].task)
    assert machines[1].runtime.powerState == "poweredOn"


# folders -------------------------------------------------------------------------------------------------------------


def test_entities_move_between_folders_or_are_refused(site, si, dc):
    web = site.vm(si, "web")
    outer = dc.vmFolder.CreateFolder("outer")
    inner = outer.CreateFolder("inner")
    site.wait(inner.MoveInto([web]))
    assert (web.parent, list(inner.childEntity)) == (inner, [web])
    with pytest.raises(vim.fault.InvalidFolder):
        site.wait(inner.MoveInto([outer]))
    for wrong in (dc.vmFolder, dc):
        with pytest.raises(vmodl.fault.NotSupported):
            site.wait(outer.MoveInto([wrong]))
    with pytest.raises(vmodl.fault.NotSupported):
        site.wait(dc.hostFolder.MoveInto([web]))
    site.vcenter.add_vm("web", folder="other")
    with pytest.raises(vim.fault.DuplicateName):
        site.wait(next(one for one in dc.vmFolder.childEntity if one.name == "other").MoveInto([web]))
    second = si.content.rootFolder.CreateDatacenter("DC1")
    with pytest.raises(vim.fault.InvalidFolder):
        site.wait(second.vmFolder.MoveInto([web]))
    group = si.content.rootFolder.CreateFolder("sites")
    site.wait(group.MoveInto([second]))
    assert second.parent == group


def test_a_storage_pod_holds_datastores(tmp_path, site_of):
    site, si = site_of(tmp_path / "pods", model=Model(hosts=1, datastores=2))
    dc = si.content.rootFolder.childEntity[0]
    pod = dc.datastoreFolder.CreateStoragePod("gold")
    with pytest.raises(vmodl.fault.NotSupported):
        dc.vmFolder.CreateStoragePod("no")
    site.wait(pod.MoveInto(list(dc.datastore)))
    assert sorted(one.name for one in pod.childEntity) == ["LocalDS_0", "LocalDS_1"]
    assert pod.summary.capacity == 2 * dc.datastore[0].summary.capacity
    assert pod.podStorageDrsEntry.storageDrsConfig.podConfig.enabled is False
    with pytest.raises(vmodl.fault.NotSupported):
        site.wait(pod.MoveInto([dc.vmFolder.childEntity[0]]))
    site.wait(pod.Rename("silver"))
    site.wait(pod.Destroy())
    assert sorted(one.name for one in dc.datastoreFolder.childEntity) == ["LocalDS_0", "LocalDS_1"]


def test_folders_go_with_or_without_the_files(site, si, dc):
    folder = dc.vmFolder.CreateFolder("old")
    inner = folder.CreateFolder("inner")
    web, db = site.vm(si, "web"), site.vm(si, "db")
    was = bytes_of(site, web)
    site.wait(inner.MoveInto([web]))
    site.wait(web.PowerOn())
    for destroy in (folder.Destroy, folder.UnregisterAndDestroy):
        with pytest.raises(vim.fault.InvalidPowerState):
            site.wait(destroy())
    site.wait(web.PowerOff())
    path = web.config.files.vmPathName
    site.wait(folder.UnregisterAndDestroy())
    assert list(dc.vmFolder.childEntity) == [db]
    again = site.wait(dc.vmFolder.RegisterVm(path, None, False, root_pool(si), None))
    assert bytes_of(site, again) == was
    with pytest.raises(vmodl.fault.NotSupported):
        site.wait(dc.vmFolder.UnregisterAndDestroy())
    with pytest.raises(vmodl.fault.NotSupported):
        site.wait(dc.hostFolder.UnregisterAndDestroy())


def test_a_vapp_is_unregistered_with_its_machines(site, si, dc):
    vapp = root_pool(si).CreateVApp("shop", root_pool(si).config, vim.vApp.VAppConfigSpec(), dc.vmFolder)
    vapp.MoveIntoResourcePool([site.vm(si, "web")])
    path = site.vm(si, "web").config.files.vmPathName
    site.wait(vapp.Unregister())
    assert [one.name for one in dc.vmFolder.childEntity] == ["db"]
    site.wait(dc.vmFolder.RegisterVm(path, None, False, root_pool(si), None))
