"""SearchIndex: entities by UUID, name, address, path."""

from typing import Any

from emulators.vcenter.authorization import may_read
from emulators.vcenter.entity import children, escaped
from emulators.vcenter.events import datacenter_of
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.objects.service_instance import Service
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.paths import split_path
from emulators.vcenter.records import Ref


def _candidates(call: Call, args: Any) -> list[Any]:
    kind = VirtualMachine if args["vmSearch"] else HostSystem
    found: list[Any] = list(call.inventory.all_of(kind))
    if args.get("datacenter"):
        found = [one for one in found if (datacenter_of(call.inventory, one) or one).moid == args["datacenter"].moid]
    return [one for one in found if may_read(call.inventory, call.user, one)]


def _by_uuid(call: Call, args: Any) -> list[Ref]:
    wanted = args["uuid"].lower()
    instance = args["vmSearch"] and args.get("instanceUuid")
    return [ref(one) for one in _candidates(call, args) if (one.instance_uuid if instance else one.uuid) == wanted]


def _by_name(call: Call, args: Any) -> list[Ref]:
    wanted = args["dnsName"].lower()
    return [
        ref(one) for one in _candidates(call, args) if (one.guest.hostname if args["vmSearch"] else one.name).lower() == wanted
    ]


def _by_ip(call: Call, args: Any) -> list[Ref]:
    wanted = args["ip"]
    return [ref(one) for one in _candidates(call, args) if wanted in (one.guest.addresses if args["vmSearch"] else [one.address])]


def _first(found: list[Ref]) -> Ref | None:
    return found[0] if found else None


def find_by_path(call: Call, _index: Service, args: Any) -> Ref | None:
    """FindByInventoryPath: names from the root folder's children down, `DC0/vm/web`."""
    entity = call.inventory.find(call.inventory.root.moid)
    for name in args["inventoryPath"].strip("/").split("/"):
        entity = next((child for child in children(call.inventory, entity) if escaped(child.name) == name), None)
        if entity is None:
            return None
    return ref(entity) if may_read(call.inventory, call.user, entity) else None


def find_child(call: Call, _index: Service, args: Any) -> Ref | None:
    """FindChild: right below a folder, datacenter, compute resource or pool; pools show their machines too."""
    parent = call.inventory.find(args["entity"].moid)
    if parent is None:
        raise Fault("ManagedObjectNotFound", "The object has already been deleted.", obj=args["entity"])
    below = children(call.inventory, parent)
    if parent.kind == "ResourcePool":
        below += [vm for vm in call.inventory.all_of(VirtualMachine) if vm.pool.moid == parent.moid]
    found = next((child for child in below if escaped(child.name) == args["name"]), None)
    return ref(found) if found is not None and may_read(call.inventory, call.user, found) else None


def find_by_datastore_path(call: Call, _index: Service, args: Any) -> Ref | None:
    """FindByDatastorePath: the machine of a .vmx file."""
    datastore, relative = split_path(args["path"])
    for vm in call.inventory.all_of(VirtualMachine):
        if (vm.datastore_name, f"{vm.directory}/{vm.vmx}") == (datastore, relative) and may_read(call.inventory, call.user, vm):
            return ref(vm)
    return None


SEARCH_OPERATIONS = {
    "FindByUuid": lambda call, _index, args: _first(_by_uuid(call, args)),
    "FindAllByUuid": lambda call, _index, args: _by_uuid(call, args),
    "FindByDnsName": lambda call, _index, args: _first(_by_name(call, args)),
    "FindAllByDnsName": lambda call, _index, args: _by_name(call, args),
    "FindByIp": lambda call, _index, args: _first(_by_ip(call, args)),
    "FindAllByIp": lambda call, _index, args: _by_ip(call, args),
    "FindByInventoryPath": find_by_path,
    "FindByDatastorePath": find_by_datastore_path,
    "FindChild": find_child,
}
