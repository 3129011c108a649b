"""CustomFieldsManager: fields that users define, and their values on entities."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, is_entity, ref
from emulators.vcenter.records import Record


@dataclass(slots=True)
class CustomFields:
    """Definitions by key; the values of an entity lie under its moid."""

    kind: str
    moid: str
    definitions: dict[int, Record] = field(default_factory=dict)
    values: dict[str, dict[int, str]] = field(default_factory=dict)
    last_key: int = 0
    cache: dict[str, Any] = field(default_factory=dict)


def of(inventory: Inventory) -> CustomFields:
    found: CustomFields = inventory.find("CustomFieldsManager")
    return found


def values(inventory: Inventory, entity: Any) -> list[Record]:
    """The property `customValue` (and `value`) of an entity."""
    mine = of(inventory).values.get(entity.moid, {})
    return [Record("CustomFieldStringValue", key=key, value=value) for key, value in sorted(mine.items())]


def available(inventory: Inventory, entity: Any) -> list[Record]:
    """The fields that an entity may have."""
    return [
        one
        for one in of(inventory).definitions.values()
        if one["managedObjectType"] is None or schema.is_a(entity.kind, one["managedObjectType"])
    ]


def _named(fields: CustomFields, name: str) -> Record | None:
    return next((one for one in fields.definitions.values() if one["name"] == name), None)


def _free(fields: CustomFields, name: str) -> None:
    if not name.strip():
        raise Fault("InvalidName", "A field needs a name.", name=name)
    if _named(fields, name) is not None:
        raise Fault("DuplicateName", f"The name '{name}' already exists.", name=name, object=ref(fields))


def _definition(fields: CustomFields, key: int) -> Record:
    found = fields.definitions.get(key)
    if found is None:
        raise invalid_argument("key", f"There is no custom field {key}.")
    return found


def add(call: Call, fields: CustomFields, args: Any) -> Record:
    """AddCustomFieldDef."""
    _free(fields, args["name"])
    kind = args.get("moType")
    if kind is not None and not schema.exists(kind):
        raise invalid_argument("moType", f"{kind} is not a managed type.")
    fields.last_key += 1
    made = Record("CustomFieldDef", key=fields.last_key, name=args["name"], type="string")
    more = {
        "managedObjectType": kind,
        "fieldDefPrivileges": args.get("fieldDefPolicy"),
        "fieldInstancePrivileges": args.get("fieldPolicy"),
    }
    made.fields.update({name: value for name, value in more.items() if value is not None})
    fields.definitions[fields.last_key] = made
    call.inventory.events.post(
        "CustomFieldDefAddedEvent", f"Created new custom field definition {args['name']}", user=call.user, **_about(made)
    )
    _changed(call, fields)
    return made


def remove(call: Call, fields: CustomFields, args: Any) -> None:
    """RemoveCustomFieldDef: the values go too."""
    gone = _definition(fields, args["key"])
    del fields.definitions[args["key"]]
    for moid, mine in fields.values.items():
        if mine.pop(args["key"], None) is not None and call.inventory.find(moid) is not None:
            call.inventory.change(call.inventory.find(moid), "customValue", "value")
    text = f"Removed field definition {gone['name']}"
    call.inventory.events.post("CustomFieldDefRemovedEvent", text, user=call.user, **_about(gone))
    _changed(call, fields)


def rename(call: Call, fields: CustomFields, args: Any) -> None:
    """RenameCustomFieldDef."""
    found = _definition(fields, args["key"])
    if args["name"] != found["name"]:
        _free(fields, args["name"])
    old, found["name"] = found["name"], args["name"]
    text = f"Renamed field definition from {old} to {args['name']}"
    call.inventory.events.post("CustomFieldDefRenamedEvent", text, user=call.user, **_about(found), newName=args["name"])
    _changed(call, fields)


def _about(definition: Record) -> dict[str, Any]:
    return {"fieldKey": definition["key"], "name": definition["name"]}


def _changed(call: Call, fields: CustomFields) -> None:
    call.inventory.change(fields, "field")
    for entity in call.inventory.objects():
        entity.cache.pop("availableField", None)


def set_field(call: Call, fields: CustomFields, args: Any) -> None:
    """SetField. An empty value removes it."""
    _set(call, fields, call.inventory.find(args["entity"].moid), _definition(fields, args["key"]), args["value"])


def set_by_name(call: Call, entity: Any, args: Any) -> None:
    """setCustomValue of an entity, a snapshot, a task, ...: by the name of the field."""
    fields = of(call.inventory)
    found = _named(fields, args["key"])
    if found is None:
        raise invalid_argument("key", f"There is no custom field '{args['key']}'.")
    _set(call, fields, entity, found, args["value"])


def _set(call: Call, fields: CustomFields, entity: Any, definition: Record, value: str) -> None:
    kind = definition["managedObjectType"]
    if kind is not None and not schema.is_a(entity.kind, kind):
        raise invalid_argument("key", f"The field {definition['name']} is for {kind} only.")
    mine = fields.values.setdefault(entity.moid, {})
    if value:
        mine[definition["key"]] = value
    else:
        mine.pop(definition["key"], None)
    call.inventory.change(entity, "customValue", "value", "summary.customValue")
    if not is_entity(entity):
        return
    text = f"Changed custom field {definition['name']} on {entity.name} in {entity.kind} to {value}"
    argument = Record("ManagedEntityEventArgument", name=entity.name, entity=ref(entity))
    call.inventory.events.post(
        "CustomFieldValueChangedEvent", text, user=call.user, entity=argument, **_about(definition), value=value
    )


FIELDS_PROPERTIES: dict[str, Property] = {"field": lambda _inventory, fields: list(fields.definitions.values())}
FIELDS_OPERATIONS = {
    "AddCustomFieldDef": add,
    "RemoveCustomFieldDef": remove,
    "RenameCustomFieldDef": rename,
    "SetField": set_field,
}
