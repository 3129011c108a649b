"""Categories, tags, and what they are attached to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter import authorization
from emulators.vcenter.automation.act import Operation, one
from emulators.vcenter.automation.errors import Refusal
from emulators.vcenter.inventory import Call, Inventory

_PRIVILEGE = "InventoryService.Tagging."
#: What can be tagged beside objects of the inventory.
_OTHERS = ("com.vmware.content.Library", "com.vmware.content.library.Item")


@dataclass(slots=True)
class Tagging:
    """The categories and tags by id, and for each tag the objects (type, id) it is attached to."""

    categories: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, dict[str, Any]] = field(default_factory=dict)
    attached: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def tagging(inventory: Inventory) -> Tagging:
    """The tagging of a vCenter."""
    found: Tagging = inventory.beside.setdefault("tagging", Tagging())
    return found


def _may(call: Call, privilege: str) -> None:
    root = call.inventory.find(call.inventory.root.moid)
    authorization.check(call.inventory, call.user, root, _PRIVILEGE + privilege)
    call.inventory.touch("tagging")


def _free(found: dict[str, dict[str, Any]], name: str, what: str, **same: str) -> None:
    if not name:
        raise Refusal("invalid_argument", f"A {what} needs a name.")
    for other in found.values():
        if other["name"] == name and all(other[key] == value for key, value in same.items()):
            raise Refusal("already_exists", f"There is a {what} {name!r} already.")


def _identifier(call: Call, kind: str, told: str | None, taken: dict[str, Any]) -> str:
    prefix = f"urn:vmomi:InventoryService{kind}:"
    if told is None:
        return f"{prefix}{call.inventory.clock.uuid()}:GLOBAL"
    if not told.startswith(prefix) or not told.endswith(":GLOBAL"):
        raise Refusal("invalid_argument", f"An id of a {kind.lower()} has the form {prefix}UUID:GLOBAL.")
    if told in taken:
        raise Refusal("already_exists", f"There is a {kind.lower()} {told} already.")
    return told


# categories ----------------------------------------------------------------------------------------------------------


def create_category(call: Call, given: dict[str, Any]) -> str:
    """A new category; its id."""
    spec, kept = given["create_spec"], tagging(call.inventory)
    _may(call, "CreateCategory")
    _free(kept.categories, spec["name"], "category")
    identifier = _identifier(call, "Category", spec.pop("category_id", None), kept.categories)
    kept.categories[identifier] = {"id": identifier, **spec, "used_by": []}
    return identifier


def update_category(call: Call, given: dict[str, Any]) -> None:
    """Change a category. It can become wider, not narrower."""
    spec, kept = given["update_spec"], tagging(call.inventory)
    _may(call, "EditCategory")
    category = one(kept.categories, "category", given["category_id"])
    if spec.get("name", category["name"]) != category["name"]:
        _free(kept.categories, spec["name"], "category")
    if category["cardinality"] == "MULTIPLE" and spec.get("cardinality") == "SINGLE":
        raise Refusal("invalid_argument", "A category cannot become SINGLE again.")
    types = spec.get("associable_types")
    if types is not None and types and not set(category["associable_types"]) <= set(types):
        raise Refusal("invalid_argument", "Types cannot be taken from a category.")
    category.update(spec)


def delete_category(call: Call, given: dict[str, Any]) -> None:
    """Delete a category with its tags."""
    kept = tagging(call.inventory)
    _may(call, "DeleteCategory")
    one(kept.categories, "category", given["category_id"])
    del kept.categories[given["category_id"]]
    for tag in [tag for tag in kept.tags.values() if tag["category_id"] == given["category_id"]]:
        del kept.tags[tag["id"]]
        kept.attached.pop(tag["id"], None)


# tags ----------------------------------------------------------------------------------------------------------------


def create_tag(call: Call, given: dict[str, Any]) -> str:
    """A new tag; its id."""
    spec, kept = given["create_spec"], tagging(call.inventory)
    _may(call, "CreateTag")
    one(kept.categories, "category", spec["category_id"])
    _free(kept.tags, spec["name"], "tag", category_id=spec["category_id"])
    identifier = _identifier(call, "Tag", spec.pop("tag_id", None), kept.tags)
    kept.tags[identifier] = {"id": identifier, **spec, "used_by": []}
    return identifier


def update_tag(call: Call, given: dict[str, Any]) -> None:
    """Change name and description of a tag."""
    spec, kept = given["update_spec"], tagging(call.inventory)
    _may(call, "EditTag")
    tag = one(kept.tags, "tag", given["tag_id"])
    if spec.get("name", tag["name"]) != tag["name"]:
        _free(kept.tags, spec["name"], "tag", category_id=tag["category_id"])
    tag.update(spec)


def delete_tag(call: Call, given: dict[str, Any]) -> None:
    """Delete a tag; it is detached from everything."""
    kept = tagging(call.inventory)
    _may(call, "DeleteTag")
    one(kept.tags, "tag", given["tag_id"])
    del kept.tags[given["tag_id"]]
    kept.attached.pop(given["tag_id"], None)


def _of_category(call: Call, given: dict[str, Any]) -> list[str]:
    kept = tagging(call.inventory)
    one(kept.categories, "category", given["category_id"])
    return [tag["id"] for tag in kept.tags.values() if tag["category_id"] == given["category_id"]]


# who uses them -------------------------------------------------------------------------------------------------------


def _used(what: str, *, add: bool) -> Operation:
    def change(call: Call, given: dict[str, Any]) -> None:
        kept = tagging(call.inventory)
        _may(call, f"ModifyUsedByFor{what.capitalize()}")
        found = one(kept.tags if what == "tag" else kept.categories, what, given[f"{what}_id"])
        others = [name for name in found["used_by"] if name != given["used_by_entity"]]
        found["used_by"] = [*others, given["used_by_entity"]] if add else others

    return change


def _using(what: str) -> Operation:
    def find(call: Call, given: dict[str, Any]) -> list[str]:
        kept = tagging(call.inventory)
        every = kept.tags if what == "tag" else kept.categories
        return [one["id"] for one in every.values() if given["used_by_entity"] in one["used_by"]]

    return find


# attaching -----------------------------------------------------------------------------------------------------------


def _object(call: Call, told: dict[str, str]) -> tuple[str, str]:
    found = call.inventory.find(told["id"])
    if told["type"] not in _OTHERS:
        if found is None or found.kind != told["type"]:
            raise Refusal("not_found", f"There is no {told['type']} {told['id']}.")
        authorization.check(call.inventory, call.user, found, _PRIVILEGE + "AttachTag")
    return told["type"], told["id"]


def _attach(call: Call, tag_id: str, told: dict[str, str]) -> None:
    kept = tagging(call.inventory)
    tag = one(kept.tags, "tag", tag_id)
    category = kept.categories[tag["category_id"]]
    target = _object(call, told)
    if category["associable_types"] and target[0] not in category["associable_types"]:
        raise Refusal("invalid_argument", f"Tags of {category['name']} are not for a {target[0]}.")
    others = [other for other in kept.tags.values() if other["category_id"] == category["id"] and other is not tag]
    if category["cardinality"] == "SINGLE" and any(target in kept.attached.get(other["id"], ()) for other in others):
        raise Refusal("invalid_argument", f"The object has a tag of {category['name']} already.")
    if target not in kept.attached.setdefault(tag_id, []):
        kept.attached[tag_id].append(target)
    call.inventory.touch("tagging")


def _detach(call: Call, tag_id: str, told: dict[str, str]) -> None:
    kept = tagging(call.inventory)
    one(kept.tags, "tag", tag_id)
    target = _object(call, told)
    kept.attached[tag_id] = [one for one in kept.attached.get(tag_id, []) if one != target]
    call.inventory.touch("tagging")


_Change = Callable[[Call, str, dict[str, str]], None]


def _single(change: _Change) -> Operation:
    return lambda call, given: change(call, given["tag_id"], given["object_id"])


def _batch(change: _Change) -> Operation:
    """Several tags or several objects: each is tried, the reasons of those that failed are listed."""

    def do(call: Call, given: dict[str, Any]) -> dict[str, Any]:
        pairs = [(tag, given["object_id"]) for tag in given.get("tag_ids", ())]
        pairs += [(given["tag_id"], told) for told in given.get("object_ids", ())]
        errors = []
        for tag, told in pairs:
            try:
                change(call, tag, told)
            except Refusal as refusal:
                errors.append({"id": "com.vmware.cis.tagging.error", "default_message": refusal.reason, "args": []})
        return {"success": not errors, "error_messages": errors}

    return do


def _objects(call: Call, tag_id: str) -> list[dict[str, str]]:
    """What a tag is attached to and is still there."""
    kept = tagging(call.inventory)
    one(kept.tags, "tag", tag_id)
    found = kept.attached.get(tag_id, [])
    there = [(kind, moid) for kind, moid in found if kind in _OTHERS or call.inventory.find(moid) is not None]
    return [{"type": kind, "id": moid} for kind, moid in there]


def _tags(call: Call, told: dict[str, str]) -> list[str]:
    target = told["type"], told["id"]
    return [tag for tag, objects in tagging(call.inventory).attached.items() if target in objects]


def _attachable(call: Call, given: dict[str, Any]) -> list[str]:
    kept, told, mine = tagging(call.inventory), given["object_id"], set(_tags(call, given["object_id"]))
    found = []
    for tag in kept.tags.values():
        category = kept.categories[tag["category_id"]]
        fits = not category["associable_types"] or told["type"] in category["associable_types"]
        full = category["cardinality"] == "SINGLE" and any(kept.tags[one]["category_id"] == category["id"] for one in mine)
        if fits and not full and tag["id"] not in mine:
            found.append(tag["id"])
    return found


def _on_tags(call: Call, given: dict[str, Any]) -> list[dict[str, Any]]:
    kept = tagging(call.inventory)
    return [{"tag_id": one, "object_ids": _objects(call, one)} for one in given["tag_ids"] if one in kept.tags]


def _on_objects(call: Call, given: dict[str, Any]) -> list[dict[str, Any]]:
    found = [{"object_id": told, "tag_ids": _tags(call, told)} for told in given["object_ids"]]
    return [one for one in found if one["tag_ids"]]


OPERATIONS: dict[str, Operation] = {
    "cis.tagging.category.create": create_category,
    "cis.tagging.category.get": lambda call, given: one(tagging(call.inventory).categories, "category", given["category_id"]),
    "cis.tagging.category.list": lambda call, _given: list(tagging(call.inventory).categories),
    "cis.tagging.category.update": update_category,
    "cis.tagging.category.delete": delete_category,
    "cis.tagging.category.add_to_used_by": _used("category", add=True),
    "cis.tagging.category.remove_from_used_by": _used("category", add=False),
    "cis.tagging.category.list_used_categories": _using("category"),
    "cis.tagging.tag.create": create_tag,
    "cis.tagging.tag.get": lambda call, given: one(tagging(call.inventory).tags, "tag", given["tag_id"]),
    "cis.tagging.tag.list": lambda call, _given: list(tagging(call.inventory).tags),
    "cis.tagging.tag.list_tags_for_category": _of_category,
    "cis.tagging.tag.update": update_tag,
    "cis.tagging.tag.delete": delete_tag,
    "cis.tagging.tag.add_to_used_by": _used("tag", add=True),
    "cis.tagging.tag.remove_from_used_by": _used("tag", add=False),
    "cis.tagging.tag.list_used_tags": _using("tag"),
    "cis.tagging.tag_association.attach": _single(_attach),
    "cis.tagging.tag_association.detach": _single(_detach),
    "cis.tagging.tag_association.attach_multiple_tags_to_object": _batch(_attach),
    "cis.tagging.tag_association.attach_tag_to_multiple_objects": _batch(_attach),
    "cis.tagging.tag_association.detach_multiple_tags_from_object": _batch(_detach),
    "cis.tagging.tag_association.detach_tag_from_multiple_objects": _batch(_detach),
    "cis.tagging.tag_association.list_attachable_tags": _attachable,
    "cis.tagging.tag_association.list_attached_objects": lambda call, given: _objects(call, given["tag_id"]),
    "cis.tagging.tag_association.list_attached_objects_on_tags": _on_tags,
    "cis.tagging.tag_association.list_attached_tags": lambda call, given: _tags(call, given["object_id"]),
    "cis.tagging.tag_association.list_attached_tags_on_objects": _on_objects,
}
