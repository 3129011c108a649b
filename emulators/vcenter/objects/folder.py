"""Folders: the tree everything hangs in."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.entity import ENTITY_OPERATIONS, ENTITY_PROPERTIES, Property, must_be_free, plain
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects import vm_create
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

_FOLDER_PREFIX = {"VirtualMachine": "group-v", "Datacenter": "group-d"}


@dataclass(slots=True)
class Folder:
    """A folder; `child_types` are the kinds it may hold. With the kind `StoragePod` a datastore cluster."""

    moid: str
    name: str
    parent: Ref | None
    child_types: list[str]
    children: list[Ref] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: str = "Folder"
    #: of a StoragePod: what storage DRS is told
    storage_drs: Record | None = None

    def below(self) -> list[Ref]:
        return self.children


FOLDER_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "childType": lambda _inventory, folder: folder.child_types,
    "childEntity": lambda _inventory, folder: list(folder.children),
}


def put(inventory: Inventory, folder: Folder, child: Any) -> None:
    """Hang a child into a folder."""
    folder.children.append(ref(child))
    inventory.change(folder, "childEntity")


def take(inventory: Inventory, folder: Folder, child: Any) -> None:
    """Take a child out of a folder."""
    folder.children.remove(ref(child))
    inventory.change(folder, "childEntity")


def add_folder(inventory: Inventory, parent: Folder, name: str, child_types: list[str]) -> Folder:
    """A new folder below another."""
    prefix = next((_FOLDER_PREFIX[kind] for kind in child_types if kind in _FOLDER_PREFIX), "group-p")
    folder = Folder(inventory.new_moid(prefix), name, ref(parent), child_types)
    inventory.add(folder)
    put(inventory, parent, folder)
    return folder


def add_pod(inventory: Inventory, parent: Folder, name: str) -> Folder:
    """A new datastore cluster in a folder of datastores."""
    pod = Folder(inventory.new_moid("group-p"), name, ref(parent), ["Datastore"], kind="StoragePod")
    pod.storage_drs = Record(
        "StorageDrsPodConfigInfo",
        enabled=False,
        ioLoadBalanceEnabled=False,
        defaultVmBehavior="manual",
        defaultIntraVmAffinity=True,
    )
    inventory.add(pod)
    put(inventory, parent, pod)
    return pod


def create_folder(call: Call, folder: Folder, args: Any) -> Ref:
    """CreateFolder."""
    name = plain(args["name"])
    must_be_free(call.inventory, folder, name)
    return ref(add_folder(call.inventory, folder, name, list(folder.child_types)))


def create_vm(call: Call, folder: Folder, args: Any) -> Work:
    """CreateVM_Task."""
    if "VirtualMachine" not in folder.child_types:
        raise Fault("NotSupported", "The folder does not hold virtual machines.")
    return vm_create.create(call, folder, args)


FOLDER_OPERATIONS = {
    **ENTITY_OPERATIONS,
    "CreateFolder": create_folder,
    "CreateVM_Task": create_vm,
}
