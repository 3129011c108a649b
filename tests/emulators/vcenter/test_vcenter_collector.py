"""The property collector: what is kept is what would be read anew, updates against brute force, truncated answers."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyVmomi import VmomiSupport, vim, vmodl
from vcenter_lab import Site

from emulators.vcenter import DiskSpec

PC = vmodl.query.PropertyCollector
MIB = 1024 * 1024


def machines(si, paths, types=(vim.VirtualMachine,)):
    """A FilterSpec of all machines through a ContainerView."""
    view = si.content.viewManager.CreateContainerView(si.content.rootFolder, list(types), True)
    walk = PC.TraversalSpec(name="v", path="view", skip=False, type=vim.view.ContainerView)
    start = PC.ObjectSpec(obj=view, skip=True, selectSet=[walk])
    return PC.FilterSpec(objectSet=[start], propSet=[PC.PropertySpec(type=kind, pathSet=list(paths)) for kind in types])


def read(si, spec, size=None):
    """Everything a specification gives, page by page: moid -> path -> value, as text."""
    collector = si.content.propertyCollector
    found, answer = {}, collector.RetrievePropertiesEx([spec], PC.RetrieveOptions(maxObjects=size))
    while answer is not None:
        for one in answer.objects:
            assert one.obj._moId not in found
            found[one.obj._moId] = {prop.name: str(prop.val) for prop in one.propSet}
        answer = collector.ContinueRetrievePropertiesEx(answer.token) if answer.token else None
    return found


def test_every_property_of_every_object_is_read(site, si):
    vm = site.vm(si, "db")
    site.wait(vm.PowerOn())
    site.wait(vm.CreateSnapshot("first", "", memory=False, quiesce=False))
    content, seen = si.content, 0
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.ManagedEntity], True)
    services = [getattr(content, name.name) for name in content._GetPropertyList()]
    objects = [content.rootFolder, *view.view, *vm.rootSnapshot, *vm.recentTask, view, si]
    for managed in [*objects, *(one for one in services if isinstance(one, VmomiSupport.ManagedObject))]:
        for prop in type(managed)._GetPropertyList():
            if not VmomiSupport.IsChildVersion(si._stub.version, prop.version):
                continue  # newer than what is emulated
            getattr(managed, prop.name)
            seen += 1
    assert seen > 300


def test_pages_continue_and_leave_out_what_went(site, si):
    for number in range(7):
        site.vcenter.add_vm(f"many-{number}")
    spec = machines(si, ["name"])
    whole = read(si, spec)
    assert len(whole) == 9
    assert [read(si, spec, size) for size in (1, 2, 4, 9, 50)] == [whole] * 5
    collector = si.content.propertyCollector
    first = collector.RetrievePropertiesEx([spec], PC.RetrieveOptions(maxObjects=4))
    site.wait(site.vm(si, "many-6").Destroy())
    rest = collector.ContinueRetrievePropertiesEx(first.token)
    names = [prop.val for one in [*first.objects, *rest.objects] for prop in one.propSet]
    assert sorted(names) == sorted(["web", "db", *(f"many-{number}" for number in range(6))])


def test_what_is_kept_is_what_a_guest_and_others_made_of_it(site, si):
    vm = site.vm(si, "web")
    spec = machines(si, ["summary.storage.committed", "config.hardware.device", "summary.runtime.powerState", "layoutEx.file"])
    before = read(si, spec)[vm._moId]
    assert read(si, spec)[vm._moId] == before
    site.vcenter.disks_of(site.web)[0].write(0, b"x" * MIB)
    after = read(si, spec)[vm._moId]
    assert int(after["summary.storage.committed"]) == int(before["summary.storage.committed"]) + MIB
    assert after["layoutEx.file"] != before["layoutEx.file"]
    site.wait(vm.CreateSnapshot("s", "", memory=False, quiesce=False))
    assert "000001.vmdk" in read(si, spec)[vm._moId]["config.hardware.device"]
    site.wait(vm.PowerOn())
    assert read(si, spec)[vm._moId]["summary.runtime.powerState"] == "poweredOn"


def apply(state, answer):
    """What a client does with an UpdateSet."""
    for filters in answer.filterSet:
        for one in filters.objectSet:
            if one.kind == "leave":
                state.pop(one.obj._moId, None)
                continue
            known = state.setdefault(one.obj._moId, {})
            for change in one.changeSet:
                known.pop(change.name, None)
                if change.op == "assign" and change.val is not None:
                    known[change.name] = str(change.val)


def follow(collector, version, state, most=None):
    """Fetch what is there, truncated answers to their end; the version the client then has."""
    options = PC.WaitOptions(maxWaitSeconds=0, maxObjectUpdates=most)
    while True:
        answer = collector.WaitForUpdatesEx(version, options)
        if answer is None:
            return version
        version = answer.version
        apply(state, answer)
        assert most is None or sum(len(one.objectSet) for one in answer.filterSet) <= most
        if not answer.truncated:
            return version


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "power", "rename", "snapshot", "forbid", "allow", "folder", "look"]), st.integers(0, 9)
    ),
    max_size=14,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, most=st.sampled_from([None, 1, 3]))
def test_updates_lead_to_what_a_fresh_read_shows(tmp_path_factory, steps, most):
    """Seen by a reader from whom single machines are hidden and shown again, against reading everything anew."""
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        admin, reader = site.login(), site.login("reader")
        spec = machines(
            reader, ["name", "runtime.powerState", "snapshot.currentSnapshot", "parent"], (vim.VirtualMachine, vim.Folder)
        )
        spec.propSet[1].pathSet = ["name"]
        collector, state = reader.content.propertyCollector, {}
        collector.CreateFilter(spec, partialUpdates=False)
        version = follow(collector, "", state, most)
        for count, (what, which) in enumerate(steps):
            step(site, admin, what, which, count)
            if what == "look":
                version = follow(collector, version, state, most)
        version = follow(collector, version, state, most)
        assert state == read(reader, spec)
        assert collector.WaitForUpdatesEx(version, PC.WaitOptions(maxWaitSeconds=0)) is None
    finally:
        site.vcenter.close()


def step(site, admin, what, which, count):
    view = admin.content.viewManager.CreateContainerView(admin.content.rootFolder, [vim.VirtualMachine], True)
    found, rights = list(view.view), admin.content.authorizationManager
    if what == "add" or (not found and what not in ("folder", "look")):
        site.vcenter.add_vm(f"vm-{count}", disks=[DiskSpec(64 * 1024)], folder=("", "team")[which % 2])
    elif what == "folder":
        admin.content.rootFolder.CreateFolder(f"folder-{count}")
    elif what != "look":
        vm = found[which % len(found)]
        change(site, rights, vm, what, count)


def change(site, rights, vm, what, count):
    on = vm.runtime.powerState == "poweredOn"
    if what == "power" or (what == "remove" and on):
        site.wait(vm.PowerOff() if on else vm.PowerOn())
    if what == "remove":
        site.wait(vm.Destroy())
    elif what == "rename":
        site.wait(vm.Rename(f"renamed-{count}"))
    elif what == "snapshot":
        site.wait(vm.CreateSnapshot("s", "", memory=False, quiesce=False))
    elif what == "forbid":
        role = vim.AuthorizationManager.Permission(principal="reader", group=False, roleId=-5, propagate=True)
        rights.SetEntityPermissions(vm, [role])
    elif what == "allow" and rights.RetrieveEntityPermissions(vm, False):
        rights.RemoveEntityPermission(vm, "reader", False)


def test_a_lost_answer_is_asked_for_again(site, si):
    collector, spec = si.content.propertyCollector, machines(si, ["name", "runtime.powerState"])
    collector.CreateFilter(spec, partialUpdates=True)
    start = collector.WaitForUpdatesEx("", PC.WaitOptions(maxWaitSeconds=0, maxObjectUpdates=1))
    assert start.truncated
    assert len(start.filterSet[0].objectSet) == 1

    def after(version):
        answer = collector.WaitForUpdatesEx(version, PC.WaitOptions(maxWaitSeconds=0))
        return answer.version, [
            (one.kind, one.obj._moId, [c.name for c in one.changeSet]) for one in answer.filterSet[0].objectSet
        ]

    rest = after(start.version)
    assert rest == after(start.version)
    site.wait(site.vm(si, "web").PowerOn())
    changed = after(rest[0])
    assert changed == after(rest[0])
    assert changed[1] == [("modify", site.web.moid, ["runtime.powerState"])]


def test_a_task_on_one_machine_does_not_make_a_filter_look_at_all_again(site, si, monkeypatch):
    from emulators.vcenter import selection

    collector = si.content.propertyCollector
    collector.CreateFilter(machines(si, ["runtime.powerState"]), partialUpdates=False)
    version = collector.WaitForUpdatesEx("", PC.WaitOptions(maxWaitSeconds=0)).version
    looked, select = [], selection.select
    task = site.vm(si, "web").PowerOn()
    with monkeypatch.context() as patched:
        patched.setattr(selection, "select", lambda call, spec: looked.append(1) or select(call, spec))
        assert site.clock.wait_until(lambda: site.web.power == "poweredOn", seconds=60)
        assert collector.WaitForUpdatesEx(version, PC.WaitOptions(maxWaitSeconds=0)) is not None
    assert task.info.state in ("running", "success")
    assert not looked


def test_privileges_are_asked_every_time_also_of_requests_seen_before(site):
    admin, reader = site.login(), site.login("reader")
    spec = PC.FilterSpec(
        objectSet=[PC.ObjectSpec(obj=vim.VirtualMachine(site.web.moid, reader._stub))],
        propSet=[PC.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
    )
    assert [read(reader, spec), read(reader, spec)] == [{site.web.moid: {"name": "web"}}] * 2
    rights, web = admin.content.authorizationManager, site.vm(admin, "web")
    rights.SetEntityPermissions(
        web, [vim.AuthorizationManager.Permission(principal="reader", group=False, roleId=-5, propagate=True)]
    )
    assert read(reader, spec) == {}
    assert read(admin, spec) == {site.web.moid: {"name": "web"}}
    rights.RemoveEntityPermission(web, "reader", False)
    assert read(reader, spec) == {site.web.moid: {"name": "web"}}
    reader.content.sessionManager.Logout()
    with pytest.raises(vim.fault.NotAuthenticated):
        read(reader, spec)


def test_wrong_versions_and_limits_have_their_fault(site, si):
    collector = si.content.propertyCollector
    for version in ("abc", "99999999", "1-nothing", "-1", "9" * 40):
        with pytest.raises(vmodl.query.InvalidCollectorVersion):
            collector.WaitForUpdatesEx(version, PC.WaitOptions(maxWaitSeconds=0))
    with pytest.raises(vmodl.fault.InvalidArgument) as refused:
        collector.WaitForUpdatesEx("", PC.WaitOptions(maxObjectUpdates=0))
    assert refused.value.invalidProperty == "options.maxObjectUpdates"
