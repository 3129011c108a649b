"""Sessions, properties, traversal, views and updates, as unmodified pyVmomi sees them."""

import pytest
from pyVmomi import VmomiSupport, vim, vmodl

from emulators.vcenter import DiskSpec


def everything(instance):
    view = instance.content.viewManager.CreateContainerView(instance.content.rootFolder, [], True)
    return [instance.content.rootFolder, *view.view]


def test_every_property_of_every_object_parses_and_required_ones_are_there(site, si):
    site.wait(site.vm(si, "web").PowerOn())
    site.wait(site.vm(si, "db").CreateSnapshot("s", "", memory=False, quiesce=False))
    objects = everything(si) + [getattr(si.content, name) for name in vars(si.content) if name.endswith(("Manager", "Index"))]
    objects = [one for one in objects if isinstance(one, vim.ManagedEntity) or one is not None]
    objects += [si, si.content.propertyCollector, site.vm(si, "db").snapshot.currentSnapshot]
    objects += [si.content.taskManager.recentTask[0], site.vm(si, "db").datastore[0].browser]
    kinds = set()
    for one in objects:
        kinds.add(type(one).__name__)
        for prop in type(one)._GetPropertyList():
            if VmomiSupport.IsChildVersion(si._stub.version, prop.version):
                value = getattr(one, prop.name)
                assert value is not None or prop.flags & VmomiSupport.F_OPTIONAL, f"{one}.{prop.name}"
    assert {"vim.VirtualMachine", "vim.HostSystem", "vim.Datastore", "vim.vm.Snapshot", "vim.Task"} <= kinds


def test_default_inventory_has_the_names_of_vcsim(si):
    names = {type(one).__name__.rpartition(".")[2] + ":" + one.name for one in everything(si)}
    assert {
        "Datacenter:DC0",
        "Folder:vm",
        "ClusterComputeResource:DC0_C0",
        "HostSystem:DC0_C0_H0",
        "HostSystem:DC0_C0_H2",
        "ResourcePool:Resources",
        "Datastore:LocalDS_0",
        "Network:VM Network",
        "VirtualMachine:web",
    } <= names


def test_wrong_password_is_refused_and_nothing_works_without_a_session(site):
    with pytest.raises(vim.fault.InvalidLogin):
        site.login(password="wrong")
    with pytest.raises(vim.fault.InvalidLogin):
        site.login(user="reader", password="")
    with pytest.raises(vim.fault.NoPermission):
        site.login(user="nobody")
    stub_only = vim.ServiceInstance("ServiceInstance", site.login()._stub)
    stub_only._stub.cookie = 'vmware_soap_session="0000"'
    with pytest.raises(vim.fault.NotAuthenticated):
        stub_only.CurrentTime()
    with pytest.raises(vim.fault.NotAuthenticated):
        _ = stub_only.content.rootFolder.name
    with pytest.raises(vim.fault.NotAuthenticated):
        _ = vim.VirtualMachine("vm-999", stub_only._stub).name


def test_sessions_expire_on_the_clock_and_use_keeps_them(site, si):
    manager = si.content.sessionManager
    key = manager.currentSession.key
    assert manager.currentSession.userName == "administrator@vsphere.local"
    site.clock.wait(1700)
    assert manager.SessionIsActive(key, "administrator@vsphere.local")
    site.clock.wait(1700)
    assert si.CurrentTime().timestamp() == pytest.approx(site.clock.now())
    site.clock.wait(1801)
    with pytest.raises(vim.fault.NotAuthenticated):
        si.CurrentTime()


def test_logout_ends_the_session_and_second_login_is_refused(site, si):
    with pytest.raises(vim.fault.InvalidLogin):
        si.content.sessionManager.Login("reader", "Reader1!")
    si.content.sessionManager.Logout()
    with pytest.raises(vim.fault.NotAuthenticated):
        si.CurrentTime()


def full_traversal():
    PC = vmodl.query.PropertyCollector
    names = ["folder", "datacenter-vm", "datacenter-host"]
    again = [PC.SelectionSpec(name=name) for name in names]
    return [
        PC.TraversalSpec(name="folder", type=vim.Folder, path="childEntity", skip=False, selectSet=again),
        PC.TraversalSpec(name="datacenter-vm", type=vim.Datacenter, path="vmFolder", skip=False, selectSet=again),
        PC.TraversalSpec(name="datacenter-host", type=vim.Datacenter, path="hostFolder", skip=False, selectSet=again),
    ]


def retrieve(si, root, kind, paths, select=None, **options):
    PC = vmodl.query.PropertyCollector
    spec = PC.FilterSpec(
        propSet=[PC.PropertySpec(type=kind, pathSet=paths, all=not paths)],
        objectSet=[PC.ObjectSpec(obj=root, skip=False, selectSet=select or [])],
    )
    return spec, si.content.propertyCollector.RetrievePropertiesEx([spec], PC.RetrieveOptions(**options))


def test_traversal_with_named_recursion_reaches_machines_in_nested_folders(site, si):
    site.vcenter.add_vm("deep", folder="production/linux")
    _, result = retrieve(si, si.content.rootFolder, vim.VirtualMachine, ["name", "config.hardware.memoryMB"], full_traversal())
    found = {one.propSet[1].val: one.propSet[0].val for one in result.objects}
    assert found == {"web": 4096, "db": 4096, "deep": 4096} or {p.val for o in result.objects for p in o.propSet} == {
        "web",
        "db",
        "deep",
        4096,
    }


def test_long_answers_come_in_pieces(site, si):
    for number in range(7):
        site.vcenter.add_vm(f"vm{number}")
    view = si.content.viewManager.CreateContainerView(si.content.rootFolder, [vim.VirtualMachine], True)
    PC = vmodl.query.PropertyCollector
    select = [PC.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)]
    _, result = retrieve(si, view, vim.VirtualMachine, ["name"], select, maxObjects=4)
    names = [one.propSet[0].val for one in result.objects]
    assert len(names) == 4
    while result.token:
        result = si.content.propertyCollector.ContinueRetrievePropertiesEx(result.token)
        names += [one.propSet[0].val for one in result.objects]
    assert sorted(names) == sorted(["web", "db", *(f"vm{n}" for n in range(7))])


def test_a_property_that_does_not_exist_is_a_fault(si):
    with pytest.raises(vmodl.query.InvalidProperty) as refused:
        retrieve(si, si.content.rootFolder, vim.VirtualMachine, ["config.hardware.color"], full_traversal())
    assert refused.value.name == "config.hardware.color"


def test_path_with_a_key_reaches_into_lists(site, si):
    vm = site.vm(si, "db")
    key = next(d.key for d in vm.config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk))
    _, result = retrieve(si, vm, vim.VirtualMachine, [f"config.hardware.device[{key}].backing.uuid"])
    assert result.objects[0].propSet[0].val.startswith("6000C29")


def waiting_filter(si, paths, partial=True):
    PC = vmodl.query.PropertyCollector
    view = si.content.viewManager.CreateContainerView(si.content.rootFolder, [vim.VirtualMachine], True)
    spec = PC.FilterSpec(
        propSet=[PC.PropertySpec(type=vim.VirtualMachine, pathSet=paths)],
        objectSet=[
            PC.ObjectSpec(obj=view, skip=True, selectSet=[PC.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)])
        ],
    )
    return si.content.propertyCollector.CreateFilter(spec, partial)


def wait_for(si, version):
    options = vmodl.query.PropertyCollector.WaitOptions(maxWaitSeconds=30)
    return si.content.propertyCollector.WaitForUpdatesEx(version, options)


def told(update):
    return {
        (one.kind, one.obj._moId): {change.name: change.val for change in one.changeSet}
        for part in update.filterSet
        for one in part.objectSet
    }


def test_updates_name_what_changed_and_can_be_asked_for_again(site, si):
    made = waiting_filter(si, ["name", "runtime.powerState"])
    first = wait_for(si, "")
    assert {kind for kind, _ in told(first)} == {"enter"}
    assert len(told(first)) == 2
    assert wait_for(si, first.version) is None
    site.wait(site.vm(si, "web").PowerOn())
    second = wait_for(si, first.version)
    expected = {("modify", site.web.moid): {"runtime.powerState": "poweredOn"}}
    assert told(second) == expected
    fresh = site.vcenter.add_vm("fresh")
    site.wait(site.vm(si, "db").Destroy())
    third = wait_for(si, second.version)
    assert {(kind, moid) for kind, moid in told(third)} == {("enter", fresh.moid), ("leave", site.db.moid)}
    lost = told(wait_for(si, first.version))
    assert lost[("modify", site.web.moid)] == {"runtime.powerState": "poweredOn"}
    assert {("enter", fresh.moid), ("leave", site.db.moid)} <= set(lost)
    assert told(wait_for(si, ""))[("enter", fresh.moid)]["name"] == "fresh"
    made.Destroy()
    assert wait_for(si, "") is None


def test_partial_updates_name_the_inner_path(site, si):
    waiting_filter(si, ["config"])
    first = wait_for(si, "")
    site.wait(site.vm(si, "web").Reconfigure(vim.vm.ConfigSpec(memoryMB=2048)))
    changes = told(wait_for(si, first.version))[("modify", site.web.moid)]
    assert changes["config.hardware.memoryMB"] == 2048
    assert "config" not in changes


def test_a_version_that_was_never_given_is_refused(si):
    with pytest.raises(vmodl.query.InvalidCollectorVersion):
        wait_for(si, "999999")


def test_inventory_and_list_views(site, si):
    manager = si.content.viewManager
    listed = manager.CreateListView([site.vm(si, "web")])
    assert [one.name for one in listed.view] == ["web"]
    listed.Destroy()
    with pytest.raises(vmodl.fault.ManagedObjectNotFound):
        _ = listed.view
    assert [one.name for one in manager.CreateInventoryView().view] == ["Datacenters", "DC0"]


def test_search_finds_by_uuid_name_address_and_path(site, si):
    site.wait(site.vm(si, "web").PowerOn())
    index, web = si.content.searchIndex, site.vm(si, "web")
    assert index.FindByUuid(None, web.config.uuid, True) == web
    assert index.FindByUuid(None, web.config.instanceUuid.upper(), True, True) == web
    assert index.FindByDnsName(None, "web.corp", True) == web
    assert index.FindByIp(None, "10.0.0.50", True) == web
    assert index.FindByDnsName(None, "DC0_C0_H1", False).name == "DC0_C0_H1"
    assert index.FindByInventoryPath("DC0/vm/nothing") is None
    assert index.FindChild(web.parent, "web") == web
    assert index.FindByUuid(None, "0" * 8, True) is None


def test_two_runs_with_one_seed_are_the_same(tmp_path):
    from vcenter_lab import Site

    def run(folder, seed):
        site = Site(folder, seed)
        instance = site.login()
        site.wait(site.vm(instance, "web").PowerOn())
        events = [
            (e.key, type(e).__name__, e.fullFormattedMessage, e.createdTime)
            for e in instance.content.eventManager.QueryEvents(vim.event.EventFilterSpec())
        ]
        disks = [
            d.backing.uuid for d in site.vm(instance, "db").config.hardware.device if isinstance(d, vim.vm.device.VirtualDisk)
        ]
        site.vcenter.close()
        return events, disks, [one._moId for one in everything(instance)], instance.content.sessionManager.currentSession.key

    first, second, other = run(tmp_path / "a", 3), run(tmp_path / "b", 3), run(tmp_path / "c", 4)
    assert first == second
    assert first[1] != other[1]


def test_a_new_machine_has_what_it_was_given(tmp_path):
    from vcenter_lab import Site

    site = Site(tmp_path)
    source = tmp_path / "image"
    source.write_bytes(b"content" * 10_000)
    vm = site.vcenter.add_vm("app", disks=[DiskSpec(1024 * 1024, source)], extra_config={"disk.EnableUUID": "TRUE"})
    disk = site.vcenter.disks_of(vm)[0]
    assert disk.read(0, 70_000) == source.read_bytes()
    assert (vm.extra_config_value("DISK.enableuuid"), disk.unit, disk.size) == ("TRUE", 0, 1024 * 1024)
    assert site.vcenter.find_vm("app") is vm
    assert site.vcenter.open_disk(vm, disk.key).uuid == disk.uuid
    site.vcenter.close()
