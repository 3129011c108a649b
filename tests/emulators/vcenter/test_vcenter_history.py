"""Tasks, events, sessions and permissions over time, asked by pyVmomi."""

import pytest
from pyVmomi import vim, vmodl
from vcenter_lab import stub_over


@pytest.fixture
def si(newest_si):
    return newest_si


def names(infos):
    return [(one.entityName, one.descriptionId) for one in infos]


def test_a_collector_goes_back_and_forth_in_the_tasks(site, si, dc):
    web, db = site.vm(si, "web"), site.vm(si, "db")
    for vm in (web, db, web):
        site.wait(vm.Rename(f"{vm.name}x"))
    entity = vim.TaskFilterSpec.ByEntity(entity=dc, recursion="children")
    collector = si.content.taskManager.CreateCollectorForTasks(vim.TaskFilterSpec(entity=entity))
    one, *rest = collector.ReadNextTasks(1), *collector.ReadNextTasks(10)
    assert names(one) + names(rest) == [(name, "ManagedEntity.rename") for name in ("web", "db", "webx")]
    assert list(collector.ReadNextTasks(5)) == []
    assert [info.entityName for info in collector.ReadPreviousTasks(2)] == ["db", "webx"]
    collector.RewindCollector()
    assert len(collector.ReadNextTasks(10)) == 3
    collector.ResetCollector()
    site.wait(web.PowerOn())
    assert [info.descriptionId for info in collector.ReadNextTasks(10)] == ["VirtualMachine.powerOn"]
    collector.SetCollectorPageSize(2)
    assert [info.descriptionId for info in collector.latestPage] == ["VirtualMachine.powerOn", "ManagedEntity.rename"]
    with pytest.raises(vmodl.fault.InvalidArgument):
        collector.ReadNextTasks(0)
    collector.DestroyCollector()
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        collector.ReadNextTasks(1)
    failed = vim.TaskFilterSpec(state=["error"], entity=vim.TaskFilterSpec.ByEntity(entity=web, recursion="self"))
    with pytest.raises(vim.fault.InvalidPowerState):
        site.wait(web.PowerOn())
    assert names(si.content.taskManager.ReadNextTasksByViewSpec(vim.TaskManager.TaskViewSpec(), failed, None)) == [
        ("webxx", "VirtualMachine.powerOn")
    ]
    time = vim.TaskFilterSpec.ByTime(timeType="queuedTime", endTime=si.CurrentTime().replace(year=2000))
    none = si.content.taskManager.CreateCollectorWithInfoFilterForTasks(vim.TaskFilterSpec(time=time), None)
    assert list(none.ReadNextTasks(10)) == []


def test_a_client_drives_a_task_of_its_own(site, si):
    web = site.vm(si, "web")
    told = si.content.taskManager.CreateTask(web, "com.corp.drill", None, True, None, "drill-1")
    task = told.task
    assert (told.state, told.entity, told.descriptionId, told.activationId) == ("queued", web, "com.corp.drill", "drill-1")
    with pytest.raises(vim.fault.InvalidState):
        task.UpdateProgress(10)
    task.SetTaskState("running", None, None)
    task.UpdateProgress(40)
    task.SetTaskDescription(vmodl.LocalizableMessage(key="k", message="Drilling"))
    assert (task.info.progress, task.info.description.message) == (40, "Drilling")
    with pytest.raises(vmodl.fault.InvalidArgument):
        task.UpdateProgress(101)
    task.Cancel()
    assert task.info.cancelled
    task.SetTaskState("success", "done", None)
    assert (task.info.state, task.info.result) == ("success", "done")
    for again in (lambda: task.SetTaskState("running", None, None), lambda: task.UpdateProgress(1), task.Cancel):
        with pytest.raises(vim.fault.InvalidState):
            again()
    with pytest.raises(vim.fault.InvalidState):
        web.PowerOn().SetTaskState("success", None, None)
    si.content.customFieldsManager.AddCustomFieldDef("ticket", None, None, None)
    task.SetCustomValue("ticket", "4711")
    assert [one.value for one in task.value] == ["4711"]


def test_a_clients_own_event_keeps_its_class(site, si):
    web = site.vm(si, "web")
    about = vim.event.VmEventArgument(name="web", vm=web)
    told = vim.event.VmMessageEvent(message="drill begins", template=False, vm=about, key=0, chainId=0, userName="x")
    told.createdTime = si.CurrentTime()
    events = si.content.eventManager
    events.PostEvent(told, None)
    by = vim.event.EventFilterSpec.ByEntity(entity=web, recursion="self")
    (found,) = events.QueryEvents(vim.event.EventFilterSpec(entity=by, eventTypeId=["VmMessageEvent"]))
    assert (found.message, found.userName) == ("drill begins", "administrator@vsphere.local")
    assert [one.name for one in events.RetrieveArgumentDescription("VmRenamedEvent")] == ["template", "oldName", "newName"]
    with pytest.raises(vmodl.fault.InvalidArgument):
        events.RetrieveArgumentDescription("VirtualMachine")


def test_a_session_is_cloned_once(site, si):
    ticket = si.content.sessionManager.AcquireCloneTicket()
    other = vim.ServiceInstance("ServiceInstance", stub_over(site.client))
    session = other.content.sessionManager.CloneSession(ticket)
    assert session.userName == "administrator@vsphere.local"
    assert other.content.rootFolder.name == "Datacenters"
    third = vim.ServiceInstance("ServiceInstance", stub_over(site.client))
    for wrong in (ticket, "guess"):
        with pytest.raises(vim.fault.InvalidLogin):
            third.content.sessionManager.CloneSession(wrong)
    late = si.content.sessionManager.AcquireCloneTicket()
    site.clock.wait(600)
    with pytest.raises(vim.fault.InvalidLogin):
        third.content.sessionManager.CloneSession(late)


def test_acting_for_another_user_and_a_message_for_all(site, si):
    sessions = si.content.sessionManager
    sessions.UpdateServiceMessage("maintenance at noon")
    assert sessions.message == "maintenance at noon"
    with pytest.raises(vim.fault.InvalidLogin):
        sessions.ImpersonateUser("stranger", None)
    assert sessions.ImpersonateUser("reader", None).userName == "reader"
    with pytest.raises(vim.fault.NoPermission):
        site.vm(si, "web").PowerOn()
    with pytest.raises(vim.fault.NoPermission):
        sessions.UpdateServiceMessage("no")


def test_who_may_do_what_is_told_and_reset(site, si, dc):
    rules, web = si.content.authorizationManager, site.vm(si, "web")
    Permission = vim.AuthorizationManager.Permission
    key = si.content.sessionManager.currentSession.key
    assert list(rules.HasPrivilegeOnEntity(web, key, ["VirtualMachine.Interact.PowerOn"])) == [True]
    (told,) = rules.HasUserPrivilegeOnEntities([web], "reader", ["System.Read", "VirtualMachine.Interact.PowerOn"])
    assert [one.isGranted for one in told.privAvailability] == [True, False]
    (listed,) = rules.FetchUserPrivilegeOnEntities([web], "reader")
    assert "System.Read" in listed.privileges
    with pytest.raises(vim.fault.UserNotFound):
        rules.FetchUserPrivilegeOnEntities([web], "stranger")
    rules.SetEntityPermissions(dc, [Permission(principal="reader", group=False, roleId=-1, propagate=True)])
    rules.ResetEntityPermissions(dc, [Permission(principal="nobody", group=False, roleId=-2, propagate=True)])
    assert [one.principal for one in dc.permission] == ["nobody"]
    with pytest.raises(vim.fault.UserNotFound):
        rules.ResetEntityPermissions(dc, [Permission(principal="stranger", group=False, roleId=-2, propagate=True)])
    assert [one.principal for one in dc.permission] == ["nobody"]
    assert "VirtualMachine.Interact.PowerOn" in [one.privId for one in rules.privilegeList]


def test_what_changes_is_told(site, si, dc):
    """The classes of the events of things that are no machines."""
    web = site.vm(si, "web")
    alarms = si.content.alarmManager
    expression = vim.alarm.StateAlarmExpression(
        type=vim.VirtualMachine, statePath="runtime.powerState", operator="isEqual", red="poweredOn"
    )
    spec = vim.alarm.AlarmSpec(name="runs", description="", enabled=True, expression=expression)
    alarms.CreateAlarm(dc, spec)
    site.wait(web.PowerOn())
    site.wait(web.PowerOff())
    changes = si.content.eventManager.QueryEvents(vim.event.EventFilterSpec(eventTypeId=["AlarmStatusChangedEvent"]))
    assert [(getattr(one, "from"), one.to) for one in changes] == [("green", "red"), ("red", "green")]
    rules = si.content.authorizationManager
    role = rules.AddRole("drill", ["VirtualMachine.Interact.PowerOn"])
    rules.UpdateRole(role, "driller", [])
    permission = vim.AuthorizationManager.Permission(principal="nobody", group=False, roleId=role, propagate=True)
    rules.SetEntityPermissions(dc, [permission])
    rules.SetEntityPermissions(dc, [permission])
    rules.RemoveEntityPermission(dc, "nobody", False)
    rules.RemoveRole(role, True)
    pool = web.resourcePool.CreateResourcePool("gold", web.resourcePool.config)
    pool.MoveInto([web])
    pool.UpdateConfig("silver", None)
    dc.hostFolder.CreateClusterEx("C2", vim.cluster.ConfigSpecEx())
    site.wait(dc.Rename("Berlin"))
    told = {type(one).__name__.rpartition(".")[2] for one in si.content.eventManager.QueryEvents(vim.event.EventFilterSpec())}
    assert {
        "RoleAddedEvent",
        "RoleUpdatedEvent",
        "RoleRemovedEvent",
        "PermissionAddedEvent",
        "PermissionUpdatedEvent",
        "PermissionRemovedEvent",
        "VmResourcePoolMovedEvent",
        "ResourcePoolReconfiguredEvent",
        "ClusterCreatedEvent",
        "DatacenterRenamedEvent",
    } <= told
