"""Who may do what, asked with unmodified pyVmomi."""

import pytest
from pyVmomi import vim, vmodl


def test_a_reader_may_look_but_change_nothing(site):
    reader = site.login("reader")
    vm = site.vm(reader, "web")
    assert vm.summary.config.name == "web"
    folder = vm.parent
    spec = vim.vm.ConfigSpec(memoryMB=1024)
    calls = {
        "VirtualMachine.Interact.PowerOn": vm.PowerOn,
        "VirtualMachine.Config.Memory": lambda: vm.Reconfigure(spec),
        "VirtualMachine.State.CreateSnapshot": lambda: vm.CreateSnapshot("s", "", False, False),
        "VirtualMachine.Inventory.Delete": vm.Destroy,
        "VirtualMachine.Config.Rename": lambda: vm.Rename("x"),
        "Folder.Create": lambda: folder.CreateFolder("x"),
    }
    for privilege, call in calls.items():
        with pytest.raises(vim.fault.NoPermission) as refused:
            call()
        assert refused.value.privilegeId == privilege
    assert site.web.settings.memory_mb == 4096
    assert not site.guests.seen


def test_permissions_on_an_entity_override_those_above(site, si):
    admin = si.content.authorizationManager
    vm, other = site.vm(si, "web"), site.vm(si, "db")
    Permission = vim.AuthorizationManager.Permission
    admin.SetEntityPermissions(vm, [Permission(principal="reader", group=False, roleId=-1, propagate=False)])
    admin.SetEntityPermissions(other, [Permission(principal="reader", group=False, roleId=-5, propagate=True)])
    reader = site.login("reader")
    site.wait(vim.VirtualMachine(vm._moId, reader._stub).PowerOn())
    with pytest.raises(vim.fault.NoPermission):
        _ = vim.VirtualMachine(other._moId, reader._stub).name
    view = reader.content.viewManager.CreateContainerView(reader.content.rootFolder, [vim.VirtualMachine], True)
    assert [one.name for one in view.view] == ["web"]
    key = reader.content.sessionManager.currentSession.key
    told = admin.HasPrivilegeOnEntities([vm, other], key, ["VirtualMachine.Interact.PowerOff"])
    assert [one.privAvailability[0].isGranted for one in told] == [True, False]


def test_a_role_of_ones_own_needs_the_privilege_on_the_pool_as_well(site, si):
    admin, Permission = si.content.authorizationManager, vim.AuthorizationManager.Permission
    role = admin.AddRole("creator", ["VirtualMachine.Inventory.Create"])
    admin.SetEntityPermissions(si.content.rootFolder, [Permission(principal="reader", group=False, roleId=role, propagate=True)])
    reader = site.login("reader")
    datacenter = reader.content.rootFolder.childEntity[0]
    pool = datacenter.hostFolder.childEntity[0].resourcePool
    spec = vim.vm.ConfigSpec(name="fresh", files=vim.vm.FileInfo(vmPathName="[LocalDS_0]"))
    with pytest.raises(vim.fault.NoPermission) as refused:
        datacenter.vmFolder.CreateVm(spec, pool)
    assert (refused.value.privilegeId, refused.value.object) == ("Resource.AssignVMToPool", pool)


def test_what_may_not_be_read_is_not_selected(site, si):
    admin, Permission = si.content.authorizationManager, vim.AuthorizationManager.Permission
    hidden = site.vm(si, "db")
    admin.SetEntityPermissions(hidden, [Permission(principal="reader", group=False, roleId=-5, propagate=True)])
    reader, PC = site.login("reader"), vmodl.query.PropertyCollector
    walk = PC.TraversalSpec(type=vim.Folder, path="childEntity", skip=False)
    spec = PC.FilterSpec(
        propSet=[PC.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
        objectSet=[PC.ObjectSpec(obj=hidden.parent, selectSet=[walk])],
    )
    found = reader.content.propertyCollector.RetrieveContents([spec])
    assert [one.propSet[0].val for one in found] == ["web"]
