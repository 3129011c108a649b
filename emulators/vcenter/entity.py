"""What all managed entities share: the properties of ManagedEntity, the tree, names and paths."""

from collections.abc import Callable, Iterator
from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.records import Record, Ref, Typed
from emulators.vcenter.tasks import Work

Property = Callable[[Inventory, Any], Any]

#: Seconds that a rename takes.
RENAME_SECONDS = 1.0


def permissions(inventory: Inventory, entity: Any) -> list[Record]:
    """The permissions that are set on the entity itself."""
    return [
        Record(
            "Permission",
            entity=ref(entity),
            principal=permission.principal,
            group=False,
            roleId=permission.role,
            propagate=permission.propagate,
        )
        for permission in inventory.authorization.permissions
        if permission.entity == entity.moid
    ]


ENTITY_PROPERTIES: dict[str, Property] = {
    "name": lambda _inventory, entity: escaped(entity.name),
    "parent": lambda _inventory, entity: entity.parent,
    "overallStatus": lambda _inventory, _entity: "green",
    "configStatus": lambda _inventory, _entity: "green",
    "alarmActionsEnabled": lambda _inventory, _entity: True,
    "permission": permissions,
    "recentTask": lambda inventory, entity: inventory.tasks.of(entity),
    "customValue": lambda _inventory, _entity: [],
    "value": lambda _inventory, _entity: [],
    "availableField": lambda _inventory, _entity: [],
    "configIssue": lambda _inventory, _entity: [],
    "declaredAlarmState": lambda _inventory, _entity: [],
    "triggeredAlarmState": lambda _inventory, _entity: [],
    "tag": lambda _inventory, _entity: [],
    "disabledMethod": lambda _inventory, _entity: [],
}


def escaped(name: str) -> str:
    """A name as vim25 shows it: `/`, `\\` and `%` are escaped."""
    return name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")


def plain(name: str) -> str:
    """The other way. Raises `Fault("InvalidName")`."""
    for code, character in (("%2f", "/"), ("%2F", "/"), ("%5c", "\\"), ("%5C", "\\"), ("%25", "%")):
        name = name.replace(code, character)
    if not name.strip() or len(name) > 80 or any(ord(character) < 32 for character in name):
        raise Fault("InvalidName", f"The name {name!r} is not valid.", name=name)
    return name


def children(inventory: Inventory, entity: Any) -> list[Any]:
    """The entities right below one, as paths and recursive views walk them."""
    refs: list[Ref] = entity.below() if hasattr(entity, "below") else []
    return [found for found in (inventory.find(one.moid) for one in refs) if found is not None]


def descendants(inventory: Inventory, entity: Any) -> Iterator[Any]:
    """All entities below one; folders before what they hold."""
    seen = set()
    rest = children(inventory, entity)
    while rest:
        found = rest.pop(0)
        if found.moid in seen:
            continue
        seen.add(found.moid)
        yield found
        rest[:0] = children(inventory, found)


def taken(inventory: Inventory, folder: Any, name: str) -> Any:
    """The child of a folder that has this name already, or None."""
    return next((child for child in children(inventory, folder) if child.name == name), None)


def must_be_free(inventory: Inventory, folder: Any, name: str) -> None:
    """Raises `Fault("DuplicateName")` when the folder has a child of this name."""
    other = taken(inventory, folder, name)
    if other is not None:
        raise Fault("DuplicateName", f"The name '{name}' already exists.", name=name, object=ref(other))


def rename(call: Call, entity: Any, args: Any) -> Work:
    """Rename_Task of any entity."""
    name = plain(args["newName"])
    yield RENAME_SECONDS
    inventory = call.inventory
    if entity.parent is None:
        raise invalid_argument("newName", "The root folder cannot be renamed.")
    if name != entity.name:
        must_be_free(inventory, inventory.find(entity.parent.moid), name)
    old, entity.name = entity.name, name
    inventory.change(entity, "name")
    if entity.kind == "Datacenter":
        argument = Record("DatacenterEventArgument", name=name, datacenter=ref(entity))
        told = {"datacenter": argument, "oldName": old, "newName": name}
        inventory.events.post("DatacenterRenamedEvent", f"Renamed datacenter from {old} to {name}", user=call.user, **told)
    if entity.kind == "VirtualMachine":
        inventory.change(entity, "config.name", "summary.config.name")
        text = "Renamed {vm} from {old} to {vm} in {datacenter}"
        names = {"oldName": old, "newName": name}
        inventory.events.about("VmRenamedEvent", text, entity, user=call.user, template=False, words={"old": old}, **names)


def reload(_call: Call, _entity: Any, _args: Any) -> None:
    """Reload: everything here is always current."""


ENTITY_OPERATIONS: dict[str, Callable[[Call, Any, Any], Any]] = {"Rename_Task": rename, "Reload": reload}


def empty(type_name: str) -> Typed:
    """An empty list of a type, for a result of any type."""
    return Typed(type_name, [])
