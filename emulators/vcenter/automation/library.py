"""Content libraries and their items. The files of an item lie on the library's datastore."""

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter import authorization
from emulators.vcenter.automation.act import Operation, one, visible
from emulators.vcenter.automation.errors import Refusal
from emulators.vcenter.inventory import Call, Inventory

_PRIVILEGE = "ContentLibrary."
#: Fields that the service sets itself.
_OWN = ("id", "creation_time", "last_modified_time", "version", "type", "server_guid", "last_sync_time")


@dataclass(slots=True)
class Libraries:
    """Libraries, items and open transfer sessions by id; `files` are those of each item by name."""

    libraries: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    uploads: dict[str, dict[str, Any]] = field(default_factory=dict)
    downloads: dict[str, dict[str, Any]] = field(default_factory=dict)


def libraries(inventory: Inventory) -> Libraries:
    """The content libraries of a vCenter."""
    found: Libraries = inventory.beside.setdefault("library", Libraries())
    return found


def may(call: Call, privilege: str) -> None:
    """Raises `Fault("NoPermission")`; else what follows changes the libraries."""
    root = call.inventory.find(call.inventory.root.moid)
    authorization.check(call.inventory, call.user, root, _PRIVILEGE + privilege)
    call.inventory.touch("library")


def _named(found: dict[str, dict[str, Any]], spec: dict[str, Any], what: str, **same: str) -> str:
    name: str = spec.get("name") or ""
    if not name or len(name) > 80:
        raise Refusal("invalid_argument", f"A {what} needs a name of at most 80 characters.")
    for other in found.values():
        if other["name"] == name and all(other[key] == value for key, value in same.items()):
            raise Refusal("already_exists", f"There is a {what} {name!r} already.")
    return name


# libraries -----------------------------------------------------------------------------------------------------------


def create_library(call: Call, given: dict[str, Any]) -> str:
    """A new local library on a datastore; its id."""
    spec, kept, inventory = given["create_spec"], libraries(call.inventory), call.inventory
    may(call, "CreateLocalLibrary")
    if spec.get("type", "LOCAL") != "LOCAL":
        raise Refusal("invalid_argument", "A local library is of the type LOCAL.")
    _named(kept.libraries, spec, "library")
    backings = spec.get("storage_backings") or []
    if len(backings) != 1 or not backings[0].get("datastore_id"):
        raise Refusal("invalid_argument", "A library has one storage backing: a datastore.")
    visible(call, ("Datastore",), backings[0]["datastore_id"])
    now, identifier = inventory.clock.now(), inventory.clock.uuid()
    kept.libraries[identifier] = {
        "id": identifier,
        **{name: value for name, value in spec.items() if name not in _OWN},
        "type": "LOCAL",
        "version": "2",
        "creation_time": now,
        "last_modified_time": now,
        "server_guid": inventory.instance_uuid,
    }
    return identifier


def get_library(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """A library."""
    return one(libraries(call.inventory).libraries, "library", given["library_id"])


def update_library(call: Call, given: dict[str, Any]) -> None:
    """Change name and description."""
    may(call, "UpdateLibrary")
    kept, spec = libraries(call.inventory), given["update_spec"]
    found = one(kept.libraries, "library", given["library_id"])
    if spec.get("name", found["name"]) != found["name"]:
        _named(kept.libraries, spec, "library")
    found.update({name: value for name, value in spec.items() if name in ("name", "description")})
    _touched(call, found)


def delete_library(call: Call, given: dict[str, Any]) -> None:
    """Delete a library with its items and files."""
    may(call, "DeleteLocalLibrary")
    kept = libraries(call.inventory)
    one(kept.libraries, "library", given["library_id"])
    for item in [item for item in kept.items.values() if item["library_id"] == given["library_id"]]:
        _forget_item(call, item)
    del kept.libraries[given["library_id"]]


def _find(found: dict[str, dict[str, Any]], spec: dict[str, Any]) -> list[str]:
    def equal(have: Any, want: Any) -> bool:
        return have.lower() == want.lower() if isinstance(have, str) else bool(have == want)

    if not spec:
        raise Refusal("invalid_argument", "spec has to name something to find.")
    return [entry["id"] for entry in found.values() if all(equal(entry.get(name), value) for name, value in spec.items())]


def _touched(call: Call, found: dict[str, Any]) -> None:
    found["last_modified_time"] = call.inventory.clock.now()
    found["version"] = str(int(found.get("version") or 1) + 1)


# items ---------------------------------------------------------------------------------------------------------------


def create_item(call: Call, given: dict[str, Any]) -> str:
    """A new item without files; its id."""
    identifier: str = _add_item(call, given["create_spec"])["id"]
    return identifier


def _add_item(call: Call, spec: dict[str, Any]) -> dict[str, Any]:
    kept, inventory = libraries(call.inventory), call.inventory
    may(call, "AddLibraryItem")
    if "library_id" not in spec:
        raise Refusal("invalid_argument", "create_spec.library_id is required.")
    one(kept.libraries, "library", spec["library_id"])
    _named(kept.items, spec, "item", library_id=spec["library_id"])
    now, identifier = inventory.clock.now(), inventory.clock.uuid()
    kept.items[identifier] = item = {
        "id": identifier,
        **{name: value for name, value in spec.items() if name not in _OWN},
        "type": spec.get("type") or "",
        "version": "1",
        "content_version": "1",
        "metadata_version": "1",
        "creation_time": now,
        "last_modified_time": now,
        "cached": True,
        "size": 0,
    }
    kept.files[identifier] = {}
    return item


def get_item(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """An item."""
    return one(libraries(call.inventory).items, "item", given["library_item_id"])


def list_items(call: Call, given: dict[str, Any]) -> list[str]:
    """The ids of a library's items."""
    kept = libraries(call.inventory)
    one(kept.libraries, "library", given["library_id"])
    return [item["id"] for item in kept.items.values() if item["library_id"] == given["library_id"]]


def update_item(call: Call, given: dict[str, Any]) -> None:
    """Change name, description and type."""
    may(call, "UpdateLibraryItem")
    kept, spec = libraries(call.inventory), given["update_spec"]
    item = one(kept.items, "item", given["library_item_id"])
    if spec.get("name", item["name"]) != item["name"]:
        _named(kept.items, spec, "item", library_id=item["library_id"])
    item.update({name: value for name, value in spec.items() if name in ("name", "description", "type")})
    _touched(call, item)


def delete_item(call: Call, given: dict[str, Any]) -> None:
    """Delete an item with its files."""
    may(call, "DeleteLibraryItem")
    _forget_item(call, one(libraries(call.inventory).items, "item", given["library_item_id"]))


def copy_item(call: Call, given: dict[str, Any]) -> str:
    """A copy of an item with its files."""
    kept = libraries(call.inventory)
    source = one(kept.items, "item", given["source_library_item_id"])
    spec = {"name": source["name"], "type": source["type"], **given["destination_create_spec"]}
    item = _add_item(call, {"library_id": source["library_id"], **spec})
    if kept.files[source["id"]]:
        shutil.copytree(folder_of(call, source), folder_of(call, item), dirs_exist_ok=True)
    kept.files[item["id"]] = {name: dict(file) for name, file in kept.files[source["id"]].items()}
    item["size"] = source["size"]
    identifier: str = item["id"]
    return identifier


def folder_of(call: Call, item: dict[str, Any]) -> Any:
    """Where the files of an item lie: a folder below that of its library on the datastore."""
    library = libraries(call.inventory).libraries[item["library_id"]]
    store = call.inventory.stores.get(library["storage_backings"][0]["datastore_id"])
    if store is None:
        raise Refusal("resource_inaccessible", f"The datastore of the library {library['name']} is gone.")
    return store.path(f"contentlib-{library['id']}/{item['id']}")


def _forget_item(call: Call, item: dict[str, Any]) -> None:
    kept = libraries(call.inventory)
    with suppress(Refusal):  # the datastore went before
        shutil.rmtree(folder_of(call, item), ignore_errors=True)
    del kept.items[item["id"]]
    del kept.files[item["id"]]


_TYPES = [
    {"type": "ovf", "name": "OVF Template", "description": "OVF Template", "vendor": "VMware", "version": "1.0"},
    {"type": "iso", "name": "ISO image", "description": "ISO image", "vendor": "VMware", "version": "1.0"},
]
_OF_ALL = "content.library"
_OF_LOCAL = "content.local_library"

OPERATIONS: dict[str, Operation] = {
    f"{_OF_LOCAL}.create": create_library,
    **{f"{service}.get": get_library for service in (_OF_ALL, _OF_LOCAL)},
    **{f"{service}.update": update_library for service in (_OF_ALL, _OF_LOCAL)},
    **{f"{service}.delete": delete_library for service in (_OF_ALL, _OF_LOCAL)},
    **{f"{service}.list": (lambda call, _given: list(libraries(call.inventory).libraries)) for service in (_OF_ALL, _OF_LOCAL)},
    f"{_OF_ALL}.find": lambda call, given: _find(libraries(call.inventory).libraries, given["spec"]),
    f"{_OF_ALL}.item.copy": copy_item,
    f"{_OF_ALL}.item.create": create_item,
    f"{_OF_ALL}.item.delete": delete_item,
    f"{_OF_ALL}.item.find": lambda call, given: _find(libraries(call.inventory).items, given["spec"]),
    f"{_OF_ALL}.item.get": get_item,
    f"{_OF_ALL}.item.list": list_items,
    f"{_OF_ALL}.item.update": update_item,
    "content.type.list": lambda _call, _given: _TYPES,
}
