"""Views: what a client wants to look at. They belong to a session and always show the inventory of the moment."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter import schema
from emulators.vcenter.authorization import may_read
from emulators.vcenter.entity import Property, children, descendants
from emulators.vcenter.faults import Fault, invalid_argument, not_found
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Ref

_MOST = 1000


@dataclass(slots=True)
class ContainerView:
    """All entities of some kinds below a container."""

    moid: str
    container: Ref
    types: list[str]
    recursive: bool
    user: str
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "ContainerView"


@dataclass(slots=True)
class ListView:
    """A list of objects kept by the client."""

    moid: str
    members: list[Ref]
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "ListView"


@dataclass(slots=True)
class InventoryView:
    """The root and what the client has opened."""

    moid: str
    opened: list[Ref]
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "InventoryView"


def contained(inventory: Inventory, view: ContainerView) -> list[Ref]:
    """What a container view shows now."""
    container = inventory.find(view.container.moid)
    if container is None:
        return []
    if view.recursive:
        found = [*descendants(inventory, container)]
        if container.kind in ("ResourcePool", "ClusterComputeResource", "HostSystem"):
            found += _machines_of(inventory, container, found)
    else:
        found = children(inventory, container)
        found += _machines_of(inventory, container, [])
    wanted = [one for one in found if not view.types or any(schema.is_a(one.kind, kind) for kind in view.types)]
    return [ref(one) for one in wanted if may_read(inventory, view.user, one)]


def _machines_of(inventory: Inventory, container: Any, below: list[Any]) -> list[Any]:
    """Machines that run on a host or in a pool of the container: their folder is elsewhere in the tree."""
    places = {container.moid, *(one.moid for one in below)}
    if container.kind not in ("ResourcePool", "ClusterComputeResource", "HostSystem"):
        return []
    return [vm for vm in inventory.all_of(VirtualMachine) if vm.host.moid in places or vm.pool.moid in places]


def _keep(call: Call, view: Any) -> Ref:
    assert call.session is not None, "the registry asks for a session"
    if len(call.session.objects) >= _MOST:
        raise Fault("InvalidState", "The session has too many views and filters.")
    call.session.objects[view.moid] = view
    return ref(view)


def _moid(call: Call) -> str:
    assert call.session is not None, "the registry asks for a session"
    return f"session[{call.session.key}]{call.inventory.clock.uuid()}"


def create_container_view(call: Call, _manager: Any, args: Any) -> Ref:
    """CreateContainerView."""
    container = args["container"]
    if call.inventory.find(container.moid) is None:
        raise not_found(container)
    types = args.get("type") or []
    for kind in types:
        if not (schema.exists(kind) and schema.is_a(kind, "ManagedEntity")):
            raise invalid_argument("type", f"{kind} is not a managed entity.")
    return _keep(call, ContainerView(_moid(call), container, types, args["recursive"], call.user))


def create_list_view(call: Call, _manager: Any, args: Any) -> Ref:
    """CreateListView."""
    return _keep(call, ListView(_moid(call), _present(call, args.get("obj") or [])))


def create_inventory_view(call: Call, _manager: Any, _args: Any) -> Ref:
    """CreateInventoryView."""
    return _keep(call, InventoryView(_moid(call), [call.inventory.root]))


def _present(call: Call, refs: list[Ref]) -> list[Ref]:
    return [one for one in refs if call.inventory.find(one.moid) is not None]


def modify_list(call: Call, view: ListView, args: Any) -> list[Ref]:
    """ModifyListView; answers the references that do not exist."""
    gone = set(args.get("remove") or [])
    fresh = [one for one in args.get("add") or [] if one not in view.members]
    view.members = [one for one in view.members if one not in gone] + _present(call, fresh)
    call.inventory.note(view, "view")
    return [one for one in fresh if call.inventory.find(one.moid) is None]


def reset_list(call: Call, view: ListView, args: Any) -> list[Ref]:
    """ResetListView."""
    view.members = []
    return modify_list(call, view, {"add": args.get("obj") or []})


def shown_by(call: Call, one: Ref) -> list[Ref]:
    """What a view of the session shows now."""
    view = call.session.objects.get(one.moid) if call.session is not None else None
    if view is None or view.kind not in _SHOWS:
        raise not_found(one)
    return _SHOWS[view.kind](call.inventory, view)


def create_list_view_from(call: Call, _manager: Any, args: Any) -> Ref:
    """CreateListViewFromView."""
    return _keep(call, ListView(_moid(call), shown_by(call, args["view"])))


def reset_list_from(call: Call, view: ListView, args: Any) -> None:
    """ResetListViewFromView."""
    view.members = shown_by(call, args["view"])
    call.inventory.note(view, "view")


def open_folder(call: Call, view: InventoryView, args: Any) -> list[Ref]:
    """OpenInventoryViewFolder."""
    return _toggle(call, view, args, opening=True)


def close_folder(call: Call, view: InventoryView, args: Any) -> list[Ref]:
    """CloseInventoryViewFolder."""
    return _toggle(call, view, args, opening=False)


def _toggle(call: Call, view: InventoryView, args: Any, *, opening: bool) -> list[Ref]:
    unknown = []
    for one in args["entity"]:
        if call.inventory.find(one.moid) is None:
            unknown.append(one)
        elif opening and one not in view.opened:
            view.opened.append(one)
        elif not opening and one in view.opened:
            view.opened.remove(one)
    call.inventory.note(view, "view")
    return unknown


def destroy(call: Call, view: Any, _args: Any) -> None:
    """DestroyView."""
    if call.session is not None:
        call.session.objects.pop(view.moid, None)


def _opened(inventory: Inventory, view: InventoryView) -> list[Ref]:
    found = []
    for one in view.opened:
        entity = inventory.find(one.moid)
        if entity is not None:
            found += [one, *(ref(child) for child in children(inventory, entity))]
    return list(dict.fromkeys(found))


_SHOWS: dict[str, Callable[[Inventory, Any], list[Ref]]] = {
    "ContainerView": contained,
    "InventoryView": _opened,
    "ListView": lambda inventory, view: [one for one in view.members if inventory.find(one.moid) is not None],
}
MANAGER_OPERATIONS = {
    "CreateListViewFromView": create_list_view_from,
    "CreateContainerView": create_container_view,
    "CreateListView": create_list_view,
    "CreateInventoryView": create_inventory_view,
}
MANAGER_PROPERTIES: dict[str, Property] = {}
CONTAINER_PROPERTIES: dict[str, Property] = {
    "container": lambda _inventory, view: view.container,
    "type": lambda _inventory, view: view.types,
    "recursive": lambda _inventory, view: view.recursive,
    "view": contained,
}
LIST_PROPERTIES: dict[str, Property] = {"view": lambda inventory, view: [m for m in view.members if inventory.find(m.moid)]}
INVENTORY_PROPERTIES: dict[str, Property] = {"view": _opened}
VIEW_OPERATIONS = {"DestroyView": destroy}
LIST_OPERATIONS = {
    **VIEW_OPERATIONS,
    "ModifyListView": modify_list,
    "ResetListView": reset_list,
    "ResetListViewFromView": reset_list_from,
}
INVENTORY_OPERATIONS = {**VIEW_OPERATIONS, "OpenInventoryViewFolder": open_folder, "CloseInventoryViewFolder": close_folder}
