"""Operations of the service objects and of switches, each asked by pyVmomi."""

from datetime import UTC, datetime

import pytest
from pyVmomi import vim, vmodl
from pyVmomi.VmomiSupport import newestVersions


@pytest.fixture
def si(si):
    """The methods that came with later versions too."""
    si._stub.version = newestVersions.Get("vim")
    return si


@pytest.fixture
def content(si):
    return si.content


@pytest.fixture
def dc(si):
    return si.content.rootFolder.childEntity[0]


def test_custom_fields(site, si, content):
    fields, web = content.customFieldsManager, site.vm(si, "web")
    owner = fields.AddCustomFieldDef("owner", vim.VirtualMachine, None, None)
    with pytest.raises(vim.fault.DuplicateName):
        fields.AddCustomFieldDef("owner", None, None, None)
    fields.SetField(web, owner.key, "shop")
    assert [(one.key, one.value) for one in web.customValue] == [(owner.key, "shop")]
    web.setCustomValue("owner", "sales")
    assert [one.value for one in web.value] == ["sales"]
    assert [one.name for one in web.availableField] == ["owner"]
    with pytest.raises(vmodl.fault.InvalidArgument):
        fields.SetField(content.rootFolder, owner.key, "x")
    fields.RenameCustomFieldDef(owner.key, "keeper")
    assert [one.name for one in fields.field] == ["keeper"]
    fields.RemoveCustomFieldDef(owner.key)
    assert (list(fields.field), list(web.customValue)) == ([], [])
    with pytest.raises(vmodl.fault.InvalidArgument):
        fields.RemoveCustomFieldDef(owner.key)


def power_alarm():
    expression = vim.alarm.StateAlarmExpression(
        type=vim.VirtualMachine, statePath="runtime.powerState", operator="isEqual", red="poweredOn"
    )
    return vim.alarm.AlarmSpec(name="runs", description="", enabled=True, expression=expression)


def test_an_alarm_over_a_state_fires_and_follows_it(site, si, content, dc):
    alarms, web = content.alarmManager, site.vm(si, "web")
    alarm = alarms.CreateAlarm(dc, power_alarm())
    with pytest.raises(vim.fault.DuplicateName):
        alarms.CreateAlarm(dc, power_alarm())
    assert list(alarms.GetAlarm(dc)) == [alarm]
    assert [state.overallStatus for state in alarms.GetAlarmState(web)] == ["green"]
    with pytest.raises(vim.fault.InvalidState):
        alarms.AcknowledgeAlarm(alarm, web)
    site.wait(web.PowerOn())
    assert [state.overallStatus for state in web.triggeredAlarmState] == ["red"]
    assert [state.entity for state in dc.triggeredAlarmState] == [web]
    assert web.overallStatus == "red"
    alarms.AcknowledgeAlarm(alarm, web)
    assert [state.acknowledged for state in web.triggeredAlarmState] == [True]
    alarms.DisableAlarm(alarm, web)
    assert list(web.triggeredAlarmState) == []
    alarms.EnableAlarm(alarm, web)
    site.wait(web.PowerOff())
    assert (list(web.triggeredAlarmState), web.overallStatus) == ([], "green")
    alarms.EnableAlarmActions(web, False)
    assert (web.alarmActionsEnabled, alarms.AreAlarmActionsEnabled(web)) == (False, False)
    changed = power_alarm()
    changed.name = "is on"
    alarm.ReconfigureAlarm(changed)
    assert alarm.info.name == "is on"
    alarm.RemoveAlarm()
    assert list(alarms.GetAlarm(None)) == []


def test_an_alarm_over_an_event_stays_until_it_is_cleared(site, si, content, dc):
    expression = vim.alarm.EventAlarmExpression(
        eventType=vim.event.VmPoweredOffEvent, objectType=vim.VirtualMachine, status="yellow"
    )
    spec = vim.alarm.AlarmSpec(name="went off", description="", enabled=True, expression=expression)
    content.alarmManager.CreateAlarm(dc, spec)
    web = site.vm(si, "web")
    site.wait(web.PowerOn())
    assert list(web.triggeredAlarmState) == []
    site.wait(web.PowerOff())
    assert [state.overallStatus for state in web.triggeredAlarmState] == ["yellow"]
    content.alarmManager.ClearTriggeredAlarms(vim.alarm.AlarmFilterSpec(status=["red"]))
    assert len(web.triggeredAlarmState) == 1
    content.alarmManager.ClearTriggeredAlarms(vim.alarm.AlarmFilterSpec())
    assert list(web.triggeredAlarmState) == []


def test_extensions(site, si, content):
    extensions = content.extensionManager

    def made(version):
        one = vim.Extension(key="com.example.dr", version=version, description=vim.Description(label="dr", summary="dr"))
        one.lastHeartbeatTime = datetime(2018, 6, 4, tzinfo=UTC)
        return one

    extensions.RegisterExtension(made("1.0"))
    with pytest.raises(vmodl.fault.InvalidArgument):
        extensions.RegisterExtension(made("1.0"))
    extensions.UpdateExtension(made("2.0"))
    assert extensions.FindExtension("com.example.dr").version == "2.0"
    extensions.SetExtensionCertificate("com.example.dr", "-----BEGIN CERTIFICATE-----")
    assert extensions.extensionList[0].subjectName == "CN=com.example.dr"
    extensions.SetPublicKey("com.example.dr", "-----BEGIN PUBLIC KEY-----")
    assert list(extensions.QueryManagedBy("com.example.dr")) == []
    extensions.UnregisterExtension("com.example.dr")
    assert extensions.FindExtension("com.example.dr") is None
    with pytest.raises(vim.fault.NotFound):
        extensions.UnregisterExtension("com.example.dr")


def test_options(content):
    options = content.setting
    assert [one.value for one in options.QueryOptions("event.maxAge")] == [30]
    assert len(options.QueryOptions("event.")) == 3
    options.UpdateOptions(
        [vim.option.OptionValue(key="event.maxAge", value=60), vim.option.OptionValue(key="config.own", value="x")]
    )
    assert [options.QueryOptions(name)[0].value for name in ("event.maxAge", "config.own")] == [60, "x"]
    with pytest.raises(vim.fault.InvalidName):
        options.QueryOptions("nothing.of.the.kind")
    with pytest.raises(vmodl.fault.InvalidArgument):
        options.UpdateOptions([vim.option.OptionValue(key="event.maxAge", value="soon")])


def test_licenses(site, si, content, dc):
    licenses, key = content.licenseManager, "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
    host = dc.hostFolder.childEntity[0].host[0]
    assert [one.editionKey for one in licenses.licenses] == ["eval"]
    assert licenses.DecodeLicense(key).licenseKey == key
    licenses.AddLicense(key, [vim.KeyValue(key="team", value="dr")])
    licenses.UpdateLicense(key, [vim.KeyValue(key="team", value="web")])
    licenses.UpdateLicenseLabel(key, "place", "home")
    assert {one.key: one.value for one in licenses.licenses[1].labels} == {"team": "web", "place": "home"}
    licenses.RemoveLicenseLabel(key, "team")
    assert [one.key for one in licenses.licenses[1].labels] == ["place"]
    assigned = licenses.licenseAssignmentManager
    assigned.UpdateAssignedLicense(host._moId, key, "first")
    assert [one.assignedLicense.licenseKey for one in assigned.QueryAssignedLicenses(host._moId)] == [key]
    with pytest.raises(vmodl.fault.InvalidArgument):
        licenses.RemoveLicense(key)
    assigned.RemoveAssignedLicense(host._moId)
    licenses.RemoveLicense(key)
    assert len(licenses.licenses) == 1
    assert "drs" in [one.key for one in licenses.QuerySupportedFeatures(None)]
    assert licenses.CheckLicenseFeature(None, "drs")
    with pytest.raises(vmodl.fault.InvalidArgument):
        licenses.AddLicense("short", None)


def test_performance(site, si, content):
    performance, web = content.perfManager, site.vm(si, "web")
    key = next(one.key for one in performance.perfCounter if (one.groupInfo.key, one.nameInfo.key) == ("cpu", "usage"))
    assert performance.QueryPerfCounter([key])[0].unitInfo.key == "percent"
    assert len(performance.QueryPerfCounterByLevel(1)) == len(performance.perfCounter)
    summary = performance.QueryPerfProviderSummary(web)
    assert (summary.currentSupported, summary.refreshRate) == (True, 20)
    assert list(performance.QueryAvailablePerfMetric(web, None, None, 20)) == []
    metric = vim.PerformanceManager.MetricId(counterId=key, instance="")
    spec = vim.PerformanceManager.QuerySpec(entity=web, metricId=[metric], intervalId=20, maxSample=3)
    assert list(performance.QueryPerf([spec])) == []
    site.wait(web.PowerOn())
    assert key in [one.counterId for one in performance.QueryAvailablePerfMetric(web, None, None, 20)]
    (found,) = performance.QueryPerf([spec])
    assert (len(found.sampleInfo), found.value[0].id.counterId) == (3, key)
    assert all(0 < value <= 10_000 for value in found.value[0].value)
    assert performance.QueryPerf([spec])[0].value[0].value == found.value[0].value
    spec.format = "csv"
    assert performance.QueryPerf([spec])[0].value[0].value.count(",") == 2
    with pytest.raises(vmodl.fault.InvalidArgument):
        performance.QueryPerfCounter([9999])


def test_the_user_directory(content):
    found = content.userDirectory.RetrieveUserGroups(None, "read", None, None, False, True, True)
    assert [one.principal for one in found] == ["reader"]
    assert list(content.userDirectory.RetrieveUserGroups(None, "read", None, None, True, True, True)) == []


def test_a_switch_with_its_port_groups(site, si, content, dc):
    config = vim.VmwareDistributedVirtualSwitch.ConfigSpec(name="DVS1")
    switch = site.wait(dc.networkFolder.CreateDVS_Task(vim.DistributedVirtualSwitch.CreateSpec(configSpec=config)))
    host = dc.hostFolder.childEntity[0].host[0]
    member = vim.dvs.HostMember.ConfigSpec(operation="add", host=host)
    spec = vim.VmwareDistributedVirtualSwitch.ConfigSpec(configVersion="1", host=[member], maxMtu=9000)
    site.wait(switch.ReconfigureDvs_Task(spec))
    assert (switch.config.maxMtu, list(switch.summary.hostMember)) == (9000, [host])
    with pytest.raises(vim.fault.ConcurrentAccess):
        site.wait(switch.ReconfigureDvs_Task(spec))
    vlan = vim.dvs.VmwareDistributedVirtualSwitch.VlanIdSpec(vlanId=42, inherited=False)
    setting = vim.dvs.VmwareDistributedVirtualSwitch.VmwarePortConfigPolicy(vlan=vlan)
    told = vim.dvs.DistributedVirtualPortgroup.ConfigSpec(name="front", numPorts=4, defaultPortConfig=setting)
    group = site.wait(switch.CreateDVPortgroup_Task(told))
    assert (group.config.defaultPortConfig.vlan.vlanId, len(group.portKeys)) == (42, 4)
    assert group in host.network
    assert list(switch.QueryUsedVlanIdInDvs()) == [42]
    assert switch.LookupDvPortGroup(group.key) == group
    assert len(switch.FetchDVPorts(None)) == len(switch.FetchDVPortKeys(None)) == 4
    site.wait(switch.AddDVPortgroup_Task([vim.dvs.DistributedVirtualPortgroup.ConfigSpec(name="back", numPorts=1)]))
    site.wait(group.ReconfigureDVPortgroup_Task(vim.dvs.DistributedVirtualPortgroup.ConfigSpec(name="fore")))
    assert sorted(one.name for one in switch.portgroup if not one.config.uplink) == ["back", "fore"]
    site.wait(group.Destroy())
    back = next(one for one in switch.portgroup if one.name == "back")
    back.DestroyNetwork()
    assert [one.config.uplink for one in switch.portgroup] == [True]
    site.wait(switch.Destroy())
    assert [one.name for one in dc.networkFolder.childEntity] == ["VM Network"]
    with pytest.raises(vim.fault.ResourceInUse):
        dc.network[0].DestroyNetwork()


def test_datacenters_and_clusters(content, dc):
    made = content.rootFolder.CreateDatacenter("DR")
    assert [one.name for one in (made.vmFolder, made.hostFolder, made.datastoreFolder, made.networkFolder)] == [
        "vm",
        "host",
        "datastore",
        "network",
    ]
    with pytest.raises(vim.fault.DuplicateName):
        content.rootFolder.CreateDatacenter("DR")
    drs = vim.cluster.DrsConfigInfo(enabled=True)
    cluster = made.hostFolder.CreateClusterEx("C", vim.cluster.ConfigSpecEx(drsConfig=drs))
    assert (cluster.configurationEx.drsConfig.enabled, cluster.resourcePool.name, cluster.summary.numHosts) == (
        True,
        "Resources",
        0,
    )
    assert made.hostFolder.CreateCluster("D", vim.cluster.ConfigSpec()).name == "D"
    with pytest.raises(vmodl.fault.NotSupported):
        dc.vmFolder.CreateClusterEx("C", vim.cluster.ConfigSpecEx())


def test_roles_change_merge_and_go(content, dc):
    rules = content.authorizationManager
    first, second = (rules.AddAuthorizationRole(name, ["VirtualMachine.Interact.PowerOn"]) for name in ("first", "second"))
    rules.UpdateAuthorizationRole(first, "starter", ["VirtualMachine.Interact.PowerOff"])
    role = next(one for one in rules.roleList if one.roleId == first)
    assert (role.name, "VirtualMachine.Interact.PowerOff" in role.privilege) == ("starter", True)
    with pytest.raises(vim.fault.AlreadyExists):
        rules.UpdateAuthorizationRole(first, "second", [])
    with pytest.raises(vmodl.fault.InvalidArgument):
        rules.RemoveAuthorizationRole(-1, False)
    permission = vim.AuthorizationManager.Permission(principal="nobody", group=False, roleId=first, propagate=True)
    rules.SetEntityPermissions(dc, [permission])
    assert [one.entity for one in rules.RetrieveRolePermissions(first)] == [dc]
    with pytest.raises(vim.fault.RemoveFailed):
        rules.RemoveAuthorizationRole(first, True)
    rules.MergePermissions(first, second)
    assert [one.roleId for one in dc.permission] == [second]
    rules.RemoveAuthorizationRole(first, True)
    rules.RemoveAuthorizationRole(second, False)
    assert list(dc.permission) == []
    with pytest.raises(vim.fault.NotFound):
        rules.RetrieveRolePermissions(first)


def test_a_users_own_event_is_found_on_its_entity(site, si, content):
    web = site.vm(si, "web")
    content.eventManager.LogUserEvent(web, "drill begins")
    about = vim.event.EventFilterSpec.ByEntity(entity=web, recursion="self")
    spec = vim.event.EventFilterSpec(entity=about, type=[vim.event.GeneralUserEvent])
    (found,) = content.eventManager.QueryEvents(spec)
    assert (found.fullFormattedMessage, found.userName) == ("drill begins", "administrator@vsphere.local")
