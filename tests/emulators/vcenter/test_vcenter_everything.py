"""Everything at once: each property of each object parses, and each operation asks for its privilege."""

from collections import defaultdict
from datetime import UTC, datetime

import pytest
from pyVmomi import VmomiSupport, vim
from pyVmomi.VmomiSupport import DataObject, Enum, ManagedMethod, ManagedObject, PropertyPath

from emulators.vcenter.kinds import KINDS
from emulators.vcenter.model import Model

#: What operations need where the registry leaves it open, as VMware's documents have it.
OPEN = {
    ("ClusterComputeResource", "ApplyRecommendation"): "Resource.ApplyRecommendation",
    ("ClusterComputeResource", "Destroy_Task"): "Host.Inventory.DeleteCluster",
    ("ClusterComputeResource", "Rename_Task"): "Host.Inventory.RenameCluster",
    ("ComputeResource", "Destroy_Task"): "Host.Inventory.RemoveHostFromCluster",
    ("Datacenter", "Destroy_Task"): "Datacenter.Delete",
    ("Datacenter", "Rename_Task"): "Datacenter.Rename",
    ("Datastore", "Destroy_Task"): "Datastore.Delete",
    ("Datastore", "Rename_Task"): "Datastore.Rename",
    ("DistributedVirtualPortgroup", "Destroy_Task"): "DVPortgroup.Delete",
    ("DistributedVirtualPortgroup", "Rename_Task"): "DVPortgroup.Modify",
    ("Folder", "Destroy_Task"): "Folder.Delete",
    ("Folder", "Rename_Task"): "Folder.Rename",
    ("HostNetworkSystem", "AddVirtualNic"): "Host.Config.Network",
    ("HostNetworkSystem", "UpdateNetworkConfig"): "Host.Config.Network",
    ("HostNetworkSystem", "UpdateVirtualNic"): "Host.Config.Network",
    ("HostSystem", "Destroy_Task"): "Host.Inventory.RemoveHostFromCluster",
    ("Network", "Destroy_Task"): "Network.Delete",
    ("ResourcePool", "Destroy_Task"): "Resource.DeletePool",
    ("ResourcePool", "DestroyChildren"): "Resource.DeletePool",
    ("ResourcePool", "MoveIntoResourcePool"): "Resource.AssignVMToPool",
    ("ResourcePool", "Rename_Task"): "Resource.RenamePool",
    ("ResourcePool", "UpdateConfig"): "Resource.EditPool",
    ("VirtualMachine", "Destroy_Task"): "VirtualMachine.Inventory.Delete",
    ("VirtualMachine", "MigrateVM_Task"): "Resource.ColdMigrate",
    ("VirtualMachine", "Rename_Task"): "VirtualMachine.Config.Rename",
    ("VirtualMachine", "setCustomValue"): "Global.SetCustomField",
    ("VmwareDistributedVirtualSwitch", "Destroy_Task"): "DVSwitch.Delete",
    ("VmwareDistributedVirtualSwitch", "Rename_Task"): "DVSwitch.Modify",
}


def inner(value):
    """All references in a value."""
    if isinstance(value, ManagedObject):
        yield value
    elif isinstance(value, DataObject):
        for info in value._GetPropertyList():
            yield from inner(getattr(value, info.name))
    elif isinstance(value, list):
        for item in value:
            yield from inner(item)


def walk(si):
    """Every object that can be reached by reading properties, each property of it read by pyVmomi."""
    seen, rest = {}, [si]
    while rest:
        found = rest.pop()
        if found._moId in seen:
            continue
        seen[found._moId] = found
        for info in found._GetPropertyList():
            rest += inner(getattr(found, info.name))
    return seen


@pytest.mark.parametrize(
    ("model", "least"),
    [(Model(luns=True), 90), (Model.vcsim(), 110), (Model(esx=True, machines=1), 40)],
    ids=["site", "vcsim", "esx"],
)
def test_every_property_of_every_object_parses(tmp_path, site_of, model, least):
    site, si = site_of(tmp_path / "all", model=model)
    machines = si.content.viewManager.CreateContainerView(si.content.rootFolder, [vim.VirtualMachine], True)
    site.wait(machines.view[0].CreateSnapshot("s", "", False, False))
    seen = walk(si)
    assert len(seen) >= least
    kinds = {VmomiSupport.GetWsdlName(type(one)) for one in seen.values()}
    assert {"VirtualMachine", "HostSystem", "Datastore", "ResourcePool", "HostNetworkSystem"} <= kinds


def value_of(wanted, known):
    """Some value of a type: what is right otherwise does not matter where a privilege is missing."""
    if wanted is object:
        return "x"
    if wanted is type:
        return vim.VirtualMachine
    if wanted in (ManagedMethod, PropertyPath):
        return "x"
    if issubclass(wanted, list):
        return wanted([value_of(wanted.Item, known)])
    if issubclass(wanted, ManagedObject):
        return next((one for one in known.values() if isinstance(one, wanted)), None) or wanted("none-1")
    if issubclass(wanted, DataObject):
        required = [info for info in wanted._GetPropertyList() if not info.flags & VmomiSupport.F_OPTIONAL]
        return wanted(**{info.name: value_of(info.type, known) for info in required})
    if issubclass(wanted, Enum):
        return wanted.values[0]
    if issubclass(wanted, datetime):
        return datetime(2026, 1, 1, tzinfo=UTC)
    return wanted("1") if issubclass(wanted, str) else wanted(1)


def test_each_operation_is_refused_without_its_privilege(tmp_path, site_of):
    site, si = site_of(tmp_path / "roles", model=Model(hosts=2, portgroups=1, pools=1, apps=1, luns=True, standalone_hosts=1))
    site.wait(site.vm(si, "web").CreateSnapshot("s", "", False, False))
    rules = si.content.authorizationManager
    every = {one.privId for one in rules.privilegeList} | set(OPEN.values())
    rules.AddRole("all but one", sorted(every))
    role = next(one.roleId for one in rules.roleList if one.name == "all but one")
    Permission = vim.AuthorizationManager.Permission
    rules.SetEntityPermissions(si.content.rootFolder, [Permission(principal="reader", group=False, roleId=role, propagate=True)])
    reader = site.login("reader")
    reader._stub.version = si._stub.version
    known = walk(si)
    by_kind = {VmomiSupport.GetWsdlName(type(one)): one for one in known.values()}
    wanted = defaultdict(list)
    for kind, told in KINDS.items():
        for info in type(by_kind[kind])._GetMethodList() if kind in by_kind else ():
            needed = OPEN.get((kind, info.wsdlName), info.privId)
            if info.wsdlName in told.operations and needed and not needed.startswith("System."):
                wanted[needed].append((by_kind[kind], info))
    asked = 0
    for privilege, calls in wanted.items():
        rules.UpdateAuthorizationRole(role, "all but one", sorted(every - {privilege}))
        for target, info in calls:
            arguments = [value_of(one.type, known) for one in info.params if not one.flags & VmomiSupport.F_OPTIONAL]
            names = [one.name for one in info.params if not one.flags & VmomiSupport.F_OPTIONAL]
            mine = type(target)(target._moId, reader._stub)
            with pytest.raises(vim.fault.NoPermission) as refused:
                getattr(mine, info.name)(**dict(zip(names, arguments, strict=True)))
            assert refused.value.privilegeId == privilege, (target, info.wsdlName)
            asked += 1
    assert asked > 250
    missing = {kind for kind, _ in OPEN} - set(by_kind)
    assert not missing
