"""MoveIntoFolder_Task: entities move to another folder, all of them or none."""

from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.entity import must_be_free, plain
from emulators.vcenter.events import above, datacenter_of
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects import host_membership
from emulators.vcenter.objects.folder import Folder, add_pod, put, take
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

SECONDS = 1.0
#: Base type of an entity -> the privilege that moving it needs, on it and on the folder.
_MOVE = {
    "VirtualMachine": "VirtualMachine.Inventory.Move",
    "VirtualApp": "VApp.Move",
    "ComputeResource": "Host.Inventory.MoveCluster",
    "HostSystem": "Host.Inventory.MoveHost",
    "Datacenter": "Datacenter.Move",
    "Datastore": "Datastore.Move",
    "Network": "Network.Move",
    "DistributedVirtualSwitch": "DVSwitch.Move",
    "Folder": "Folder.Move",
}


def privileges(folder: Folder, args: Any) -> list[str | tuple[Ref, str]]:
    """What MoveIntoFolder_Task needs."""
    found: list[str | tuple[Ref, str]] = []
    for one in args["list"]:
        wanted = next((privilege for kind, privilege in _MOVE.items() if schema.is_a(one.kind, kind)), "Folder.Move")
        found += [(one, wanted), wanted]
    return list(dict.fromkeys(found))


def move_into(call: Call, folder: Folder, args: Any) -> Work:
    """MoveIntoFolder_Task. A host of a cluster that moves into a folder of hosts stands alone from then on."""
    inventory = call.inventory
    moving = [inventory.find(one.moid) for one in args["list"]]
    for one in moving:
        _may_move(inventory, folder, one)
    yield SECONDS
    for one in moving:
        _may_move(inventory, folder, one)
    for one in moving:
        if one.kind == "HostSystem":
            host_membership.stand_alone(call, one, folder)
        elif one.parent != ref(folder):
            move(inventory, one, folder)


def move(inventory: Inventory, one: Any, folder: Folder) -> None:
    """Hang an entity into another folder."""
    before = inventory.find(one.parent.moid)
    take(inventory, before, one)
    one.parent = ref(folder)
    put(inventory, folder, one)
    inventory.change(one, "parent")
    if one.kind == "VirtualApp":
        one.folder = ref(folder)


def _may_move(inventory: Inventory, folder: Folder, one: Any) -> None:
    """Raises the fault for what cannot go there."""
    if one is None or one.kind == "HostSystem":
        host_membership.may_stand_alone(inventory, one, folder)
        return
    if not any(schema.is_a(one.kind, kind) for kind in folder.child_types) or one.parent is None:
        raise Fault("NotSupported", f"The folder {folder.name} does not hold a {one.kind}.")
    if one.kind == "Folder" and not set(one.child_types) <= set(folder.child_types):
        raise Fault("NotSupported", f"The folder {folder.name} does not hold what {one.name} holds.")
    if inventory.find(one.parent.moid).kind not in ("Folder", "StoragePod"):
        raise Fault("NotSupported", f"{one.name} belongs where it is.")
    if one is folder or one.moid in above(inventory, folder.moid):
        raise Fault("InvalidFolder", f"{one.name} cannot move into itself.", target=ref(folder))
    if datacenter_of(inventory, one) is not datacenter_of(inventory, folder) and one.kind != "Datacenter":
        raise Fault("InvalidFolder", f"{folder.name} is in another datacenter.", target=ref(folder))
    if one.parent != ref(folder):
        must_be_free(inventory, folder, one.name)


def create_pod(call: Call, folder: Folder, args: Any) -> Ref:
    """CreateStoragePod."""
    if "StoragePod" not in folder.child_types:
        raise Fault("NotSupported", f"The folder {folder.name} does not hold a StoragePod.")
    name = plain(args["name"])
    must_be_free(call.inventory, folder, name)
    return ref(add_pod(call.inventory, folder, name))


def pod_summary(inventory: Inventory, pod: Folder) -> Record:
    """Room of all datastores of a pod."""
    stores = [inventory.stores[one.moid] for one in pod.children if one.moid in inventory.stores]
    capacity, free = sum(one.capacity for one in stores), sum(one.free for one in stores)
    return Record("StoragePodSummary", name=pod.name, capacity=capacity, freeSpace=free)


def pod_entry(_inventory: Inventory, pod: Folder) -> Record:
    """What storage DRS knows of a pod."""
    if pod.storage_drs is None:
        raise invalid_argument("pod", "It is no storage pod.")
    return Record("PodStorageDrsEntry", storageDrsConfig=Record("StorageDrsConfigInfo", podConfig=pod.storage_drs))


MOVE_OPERATIONS = {"MoveIntoFolder_Task": move_into}
POD_PROPERTIES = {"summary": pod_summary, "podStorageDrsEntry": pod_entry}
