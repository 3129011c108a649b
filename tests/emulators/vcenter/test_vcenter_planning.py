"""What is planned before it is done: customization, schedules, addresses, checks; each asked by pyVmomi."""

from datetime import timedelta

import pytest
from pyVmomi import vim, vmodl
from pyVmomi.VmomiSupport import newestVersions
from vcenter_lab import USERS, Site, events, root_pool, stub_over

from emulators.clock import Clock
from emulators.http.inprocess import InProcess
from emulators.network import ONPREM, Network
from emulators.vcenter import VCenter
from emulators.vcenter.keeping import Keeper

Relocate = vim.vm.RelocateSpec


@pytest.fixture
def si(newest_si):
    return newest_si


def newest(si):
    si._stub.version = newestVersions.Get("vim")
    return si


def specification(name, kind="Linux"):
    fixed = vim.vm.customization.FixedName(name="web9")
    prep = vim.vm.customization.LinuxPrep(hostName=fixed, domain="corp")
    spec = vim.vm.customization.Specification(
        identity=prep,
        globalIPSettings=vim.vm.customization.GlobalIPSettings(dnsServerList=["10.0.0.2"]),
    )
    info = vim.CustomizationSpecInfo(name=name, description="d & <d>", type=kind)
    return vim.CustomizationSpecItem(info=info, spec=spec)


def test_customization_specifications(si):
    specs = si.content.customizationSpecManager
    specs.Create(specification("linux"))
    with pytest.raises(vim.fault.AlreadyExists):
        specs.Create(specification("linux"))
    with pytest.raises(vmodl.fault.InvalidArgument):
        specs.Create(specification("wrong", "Windows"))
    item = specs.Get("linux")
    assert (specs.Exists("linux"), specs.Exists("none"), item.spec.identity.domain) == (True, False, "corp")
    item.info.description = "changed"
    specs.Overwrite(item)
    with pytest.raises(vim.fault.ConcurrentAccess):
        specs.Overwrite(item)
    specs.Duplicate("linux", "second")
    specs.Rename("second", "third")
    assert sorted((one.name, one.description) for one in specs.info) == [("linux", "changed"), ("third", "changed")]
    again = specs.XmlToSpecItem(specs.SpecItemToXml(specification("by xml")))
    assert (again.info.description, list(again.spec.globalIPSettings.dnsServerList)) == ("d & <d>", ["10.0.0.2"])
    for text in ("<ConfigRoot", "<!DOCTYPE a [<!ENTITY b 'c'>]><ConfigRoot>&b;</ConfigRoot>", "<ConfigRoot><x/></ConfigRoot>"):
        with pytest.raises(vim.fault.CustomizationFault):
            specs.XmlToSpecItem(text)
    specs.Delete("third")
    with pytest.raises(vim.fault.NotFound):
        specs.Get("third")
    assert (specs.IsGuestOsCustomizable("ubuntu64Guest"), specs.IsGuestOsCustomizable("otherGuest")) == (True, False)
    specs.CheckResources("ubuntu64Guest")
    with pytest.raises(vim.fault.UncustomizableGuest):
        specs.CheckResources("otherGuest")


def wait_long(site, si, seconds):
    """Longer than a session lives without being used."""
    site.clock.wait(seconds)
    si.content.sessionManager.Login("administrator@vsphere.local", "Secret1!")


def schedule(name, scheduler, method=vim.VirtualMachine.PowerOn, **more):
    action = vim.action.MethodAction(
        name=method, argument=[vim.action.MethodActionArgument(value=one) for one in more.pop("values", [])]
    )
    return vim.scheduler.ScheduledTaskSpec(name=name, description="", enabled=True, scheduler=scheduler, action=action, **more)


def test_a_task_runs_when_it_is_due_and_is_followed(site, si):
    plans, web = si.content.scheduledTaskManager, site.vm(si, "web")
    due = si.CurrentTime() + timedelta(hours=2)
    made = plans.Create(web, schedule("start web", vim.scheduler.OnceTaskScheduler(runAt=due)))
    assert (made.info.nextRunTime, made.info.state, list(plans.scheduledTask)) == (due, "queued", [made])
    with pytest.raises(vim.fault.DuplicateName):
        plans.Create(web, schedule("start web", vim.scheduler.OnceTaskScheduler(runAt=due)))
    wait_long(site, si, 7000)
    assert web.runtime.powerState == "poweredOff"
    site.clock.wait(300)
    assert (web.runtime.powerState, made.info.state, made.info.nextRunTime) == ("poweredOn", "success", None)
    assert {"ScheduledTaskCreatedEvent", "ScheduledTaskStartedEvent", "ScheduledTaskCompletedEvent"} <= set(events(si, web))
    made.Run()
    site.clock.wait(60)
    assert isinstance(made.info.error, vim.fault.InvalidPowerState)
    assert "ScheduledTaskFailedEvent" in events(si, web)
    made.Remove()
    assert list(plans.RetrieveEntityScheduledTask(web)) == []


def test_a_task_that_comes_back_every_day_with_arguments(site, si):
    plans, web = si.content.scheduledTaskManager, site.vm(si, "web")
    now = si.CurrentTime()
    daily = vim.scheduler.DailyTaskScheduler(interval=1, hour=3, minute=30)
    values = ["nightly", "", False, False]
    made = plans.CreateObjectScheduledTask(web, schedule("snapshot", daily, vim.VirtualMachine.CreateSnapshot, values=values))
    first = made.info.nextRunTime
    assert (first.hour, first.minute, first - now <= timedelta(days=1)) == (3, 30, True)
    wait_long(site, si, 2 * 86400)
    assert [one.name for one in web.snapshot.rootSnapshotList] == ["nightly"]
    assert len(web.snapshot.rootSnapshotList[0].childSnapshotList) == 1
    weekly = vim.scheduler.WeeklyTaskScheduler(
        interval=1,
        hour=1,
        minute=0,
        **dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday"), False),
        sunday=True,
    )
    made.Reconfigure(schedule("snapshot", weekly, vim.VirtualMachine.CreateSnapshot, values=values))
    assert made.info.nextRunTime.weekday() == 6
    hourly = vim.scheduler.HourlyTaskScheduler(interval=1, minute=5)
    made.Reconfigure(schedule("snapshot", hourly, vim.VirtualMachine.CreateSnapshot, values=values))
    assert made.info.nextRunTime.minute == 5
    assert list(plans.RetrieveObjectScheduledTask(None)) == [made]


def test_a_schedule_that_cannot_be_is_refused_and_rights_are_those_of_its_maker(site, si):
    plans, web = si.content.scheduledTaskManager, site.vm(si, "web")
    once = vim.scheduler.OnceTaskScheduler
    for method in (vim.VirtualMachine.ShutdownGuest, vim.HostSystem.Reboot):
        with pytest.raises(vmodl.fault.InvalidArgument):
            plans.Create(web, schedule("x", once(), method))
    with pytest.raises(vmodl.fault.InvalidArgument):
        plans.Create(web, schedule("x", vim.scheduler.DailyTaskScheduler(interval=1, hour=25, minute=0)))
    with pytest.raises(vmodl.fault.InvalidArgument):
        plans.Create(web, schedule("x", once(), vim.VirtualMachine.CreateSnapshot))
    rules, Permission = si.content.authorizationManager, vim.AuthorizationManager.Permission
    role = rules.AddRole("planner", ["ScheduledTask.Create", "ScheduledTask.Run"])
    rules.SetEntityPermissions(web, [Permission(principal="reader", group=False, roleId=role, propagate=True)])
    reader = site.login("reader")
    theirs = vim.ServiceInstance("ServiceInstance", reader._stub).content.scheduledTaskManager
    made = theirs.Create(
        vim.VirtualMachine(web._moId, reader._stub), schedule("no rights", once(runAt=si.CurrentTime() + timedelta(hours=1)))
    )
    wait_long(site, si, 4000)
    mine = vim.scheduler.ScheduledTask(made._moId, si._stub)
    assert isinstance(mine.info.error, vim.fault.NoPermission)
    assert web.runtime.powerState == "poweredOff"


def test_what_a_schedule_hands_in_must_be_there_when_it_runs(site, si):
    web, plans = site.vm(si, "web"), si.content.scheduledTaskManager
    pool = web.resourcePool.CreateResourcePool("gone soon", web.resourcePool.config)
    once = vim.scheduler.OnceTaskScheduler(runAt=si.CurrentTime() + timedelta(days=1))
    made = plans.Create(web, schedule("move", once, vim.VirtualMachine.Migrate, values=[pool, None, "defaultPriority"]))
    made.Run()
    site.clock.wait(30)
    assert (made.info.state, web.resourcePool) == ("success", pool)
    site.wait(pool.Destroy())
    made.Run()
    assert isinstance(made.info.error, vmodl.fault.ManagedObjectNotFound)


def test_a_schedule_goes_on_after_a_restart(tmp_path):
    keeper = Keeper(tmp_path / "state")
    site = Site(keeper.files, keeper=keeper)
    si = newest(site.login())
    due = si.CurrentTime() + timedelta(hours=2)
    made = si.content.scheduledTaskManager.Create(
        site.vm(si, "web"), schedule("later", vim.scheduler.OnceTaskScheduler(runAt=due))
    )
    site.vcenter.close()
    keeper = Keeper(tmp_path / "state")
    clock = Clock(seed=9)
    network = Network(clock, InProcess())
    vcenter = VCenter(clock, keeper.files, users=USERS, keeper=keeper)
    network.host("vcenter", ONPREM).listen(443, vcenter.wsgi)
    try:
        clock.wait(7300)
        again = newest(vim.ServiceInstance("ServiceInstance", stub_over(network.host("client", ONPREM))))
        again.content.sessionManager.Login("administrator@vsphere.local", "Secret1!")
        assert vim.scheduler.ScheduledTask(made._moId, again._stub).info.state == "success"
        assert again.content.searchIndex.FindByInventoryPath("DC0/vm/web").runtime.powerState == "poweredOn"
    finally:
        vcenter.close()


def test_pools_of_addresses(si, dc):
    pools = si.content.ipPoolManager
    config = vim.vApp.IpPool.IpPoolConfigInfo
    four = config(subnetAddress="10.9.0.0", netmask="255.255.255.0", range="10.9.0.10#2", ipPoolEnabled=True)
    six = config(subnetAddress="fd00::", netmask="64", range="fd00::10#1")
    number = pools.CreateIpPool(dc, vim.vApp.IpPool(name="front", ipv4Config=four, ipv6Config=six))
    assert [(one.name, one.availableIpv4Addresses) for one in pools.QueryIpPools(dc)] == [("front", 2)]
    with pytest.raises(vim.fault.AlreadyExists):
        pools.CreateIpPool(dc, vim.vApp.IpPool(name="front"))
    outside = config(subnetAddress="10.9.0.0", netmask="255.255.255.0", range="10.8.0.1#1")
    for wrong in (outside, config(range="nonsense#1")):
        with pytest.raises(vmodl.fault.InvalidArgument):
            pools.CreateIpPool(dc, vim.vApp.IpPool(name="other", ipv4Config=wrong))
    assert pools.AllocateIpv4Address(dc, number, "ext.a") == "10.9.0.10"
    assert pools.AllocateIpv4Address(dc, number, "ext.a") == "10.9.0.10"
    assert pools.AllocateIpv4Address(dc, number, "ext.b") == "10.9.0.11"
    assert pools.AllocateIpv6Address(dc, number, "ext.c") == "fd00::10"
    with pytest.raises(vim.fault.InvalidState):
        pools.AllocateIpv4Address(dc, number, "ext.d")
    assert [(one.allocationId, one.ipAddress) for one in pools.QueryIPAllocations(dc, number, "ext.a")] == [
        ("ext.a", "10.9.0.10")
    ]
    pools.ReleaseIpAllocation(dc, number, "ext.a")
    with pytest.raises(vmodl.fault.InvalidArgument):
        pools.ReleaseIpAllocation(dc, number, "ext.a")
    pools.UpdateIpPool(dc, vim.vApp.IpPool(id=number, name="back"))
    assert [one.name for one in pools.QueryIpPools(dc)] == ["back"]
    with pytest.raises(vim.fault.InvalidState):
        pools.DestroyIpPool(dc, number, False)
    pools.DestroyIpPool(dc, number, True)
    assert list(pools.QueryIpPools(dc)) == []


def faults(results):
    return [[type(fault).__name__.rpartition(".")[2] for fault in one.error] for one in results]


def test_checks_say_what_would_happen_and_change_nothing(site, si, dc):
    checks, fits = si.content.vmProvisioningChecker, si.content.vmCompatibilityChecker
    web, db = site.vm(si, "web"), site.vm(si, "db")
    host = web.runtime.host
    there = next(one for one in host.parent.host if one != host)
    spec = vim.vm.CloneSpec(location=Relocate(), template=False, powerOn=False)
    assert faults(site.wait(checks.CheckClone_Task(web, dc.vmFolder, "new", spec, None))) == [[]]
    assert faults(site.wait(checks.CheckClone_Task(web, dc.vmFolder, "db", spec, None))) == [["DuplicateName"]]
    assert faults(site.wait(checks.CheckMigrate_Task(web, there, None, "poweredOff", None))) == [[]]
    assert faults(site.wait(checks.CheckMigrate_Task(web, there, None, "poweredOn", None))) == [["InvalidPowerState"]]
    assert faults(site.wait(checks.CheckRelocate_Task(web, Relocate(host=there), None))) == [[]]
    instant = vim.vm.InstantCloneSpec(name="twin", location=Relocate())
    assert faults(site.wait(checks.CheckInstantClone_Task(web, instant, None))) == [["InvalidState"]]
    site.wait(web.PowerOn())
    both = site.wait(checks.QueryVMotionCompatibilityEx_Task([web, db], [there]))
    assert faults(both) == [[], ["InvalidPowerState"]]
    assert faults(site.wait(fits.CheckPowerOn_Task(web, None, None, None))) == [["InvalidPowerState"]]
    site.wait(there.EnterMaintenanceMode(0, False, None))
    assert faults(site.wait(fits.CheckCompatibility_Task(web, there, None, None))) == [["InvalidState"]]
    huge = vim.vm.ConfigSpec(numCPUs=999, memoryMB=10**9)
    assert faults(site.wait(fits.CheckVmConfig_Task(huge, web, None, None, None))) == [
        ["NotEnoughCpus", "InsufficientMemoryResourcesFault"]
    ]
    known = si.QueryVMotionCompatibility(web, [host, there], None)
    assert [bool(one.compatibility) for one in known] == [True, False]
    assert web.runtime.host == host
    assert root_pool(si) == web.resourcePool
