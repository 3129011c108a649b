"""Datacenters, clusters, hosts, datastores, folders, networks and resource pools."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from emulators.vcenter.authorization import may_read
from emulators.vcenter.automation.act import Act, Acting, Operation, visible
from emulators.vcenter.automation.errors import Refusal
from emulators.vcenter.entity import escaped
from emulators.vcenter.events import above
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.records import Record, Ref

#: What a list gives at most, as the documents say (1000; 4000 machines).
_MOST = 1000
_POOLS = ("ResourcePool", "VirtualApp")
_NETWORKS = ("Network", "DistributedVirtualPortgroup", "OpaqueNetwork")


@dataclass(frozen=True, slots=True)
class Listing:
    """How objects are listed: their kinds, the filter field of their ids, and what tells whether one passes each other field."""

    kinds: tuple[str, ...]
    ids: str
    summary: Callable[[Inventory, Any], dict[str, Any]]
    fields: dict[str, Callable[[Inventory, Any, Any], bool]]
    most: int = _MOST


def in_folders(inventory: Inventory, entity: Any, wanted: list[str]) -> bool:
    return entity.parent is not None and entity.parent.moid in wanted


def below(inventory: Inventory, entity: Any, wanted: list[str]) -> bool:
    """Whether an object lies anywhere below one of those."""
    return not set(above(inventory, entity.moid)).isdisjoint(wanted)


def listed(call: Call, listing: Listing, given: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a kind that pass a filter and that the caller sees, by name. Raises `Refusal` when they are too many."""
    inventory, told = call.inventory, given.get("filter") or {}
    found = []
    for one in _candidates(inventory, listing, told):
        if "names" in told and escaped(one.name) not in told["names"] and one.name not in told["names"]:
            continue
        passed = all(passes(inventory, one, told[name]) for name, passes in listing.fields.items() if name in told)
        if passed and may_read(inventory, call.user, one):
            found.append(one)
    if len(found) > listing.most:
        reason = f"More than {listing.most} objects match: ask with a filter."
        raise Refusal("unable_to_allocate_resource", reason)
    return [listing.summary(inventory, one) for one in sorted(found, key=lambda one: (one.name, one.moid))]


def _candidates(inventory: Inventory, listing: Listing, told: dict[str, Any]) -> Iterable[Any]:
    every = (inventory.find(moid) for moid in told[listing.ids]) if listing.ids in told else inventory.objects()
    return [one for one in every if one is not None and one.kind in listing.kinds]


# datacenters ---------------------------------------------------------------------------------------------------------

_DATACENTERS = Listing(
    ("Datacenter",), "datacenters", lambda _i, one: {"datacenter": one.moid, "name": escaped(one.name)}, {"folders": in_folders}
)


def get_datacenter(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """A datacenter with its four folders."""
    found = visible(call, ("Datacenter",), given["datacenter"])
    folders = {"vm": found.vm_folder, "host": found.host_folder, "datastore": found.datastore_folder}
    folders["network"] = found.network_folder
    return {"name": escaped(found.name), **{f"{name}_folder": one.moid for name, one in folders.items()}}


def create_datacenter(call: Call, given: dict[str, Any]) -> Acting:
    """A new datacenter in a folder, the root unless told."""
    spec = given["spec"]
    folder = visible(call, ("Folder",), spec.get("folder") or call.inventory.root.moid)
    made = yield Act(folder, "CreateDatacenter", {"name": spec["name"]})
    return made.moid


def delete_datacenter(call: Call, given: dict[str, Any]) -> Acting:
    """Remove a datacenter; one that is not empty only by `force`."""
    found = visible(call, ("Datacenter",), given["datacenter"])
    inventory = call.inventory
    holds = [one for one in found.below() if inventory.find(one.moid).children]
    if holds and not given.get("force"):
        raise Refusal("resource_in_use", "The datacenter is not empty.")
    yield Act(found, "Destroy_Task", {})


# clusters and hosts --------------------------------------------------------------------------------------------------


def _cluster(_inventory: Inventory, one: Any) -> dict[str, Any]:
    enabled = {"ha_enabled": bool(one.das["enabled"]), "drs_enabled": bool(one.drs["enabled"])}
    return {"cluster": one.moid, "name": escaped(one.name), **enabled}


_CLUSTERS = Listing(("ClusterComputeResource",), "clusters", _cluster, {"folders": in_folders, "datacenters": below})


def get_cluster(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """A cluster and its root pool."""
    found = visible(call, ("ClusterComputeResource",), given["cluster"])
    return {"name": escaped(found.name), "resource_pool": found.pool.moid}


_CONNECTIONS = {"connected": "CONNECTED", "disconnected": "DISCONNECTED", "notResponding": "NOT_RESPONDING"}
_HOST_POWER = {"poweredOn": "POWERED_ON", "poweredOff": "POWERED_OFF", "standBy": "STANDBY"}


def _host(_inventory: Inventory, one: Any) -> dict[str, Any]:
    found = {"host": one.moid, "name": one.name, "connection_state": _CONNECTIONS[one.connection], "host_uuid": one.uuid}
    if one.connection == "connected" and one.power in _HOST_POWER:
        found["power_state"] = _HOST_POWER[one.power]
    return found


def _standalone(inventory: Inventory, one: Any, wanted: Any) -> bool:
    return bool(inventory.find(one.parent.moid).kind == "ComputeResource") is wanted


_HOSTS = Listing(
    ("HostSystem",),
    "hosts",
    _host,
    {
        "folders": lambda inventory, one, wanted: in_folders(inventory, inventory.find(one.parent.moid), wanted),
        "datacenters": below,
        "standalone": _standalone,
        "clusters": in_folders,
        "connection_states": lambda _inventory, one, wanted: _CONNECTIONS[one.connection] in wanted,
        "host_uuids": lambda _inventory, one, wanted: one.uuid in wanted,
    },
)


def disconnect_host(call: Call, given: dict[str, Any]) -> Acting:
    """Disconnect a host."""
    found = visible(call, ("HostSystem",), given["host"])
    if found.connection == "disconnected":
        raise Refusal("already_in_desired_state", "The host is disconnected already.")
    yield Act(found, "DisconnectHost_Task", {})


def connect_host(call: Call, given: dict[str, Any]) -> Acting:
    """Connect a host again."""
    found = visible(call, ("HostSystem",), given["host"])
    if found.connection == "connected":
        raise Refusal("already_in_desired_state", "The host is connected already.")
    yield Act(found, "ReconnectHost_Task", {})


# datastores, networks, folders ---------------------------------------------------------------------------------------


def _datastore(inventory: Inventory, one: Any) -> dict[str, Any]:
    store = inventory.stores[one.moid]
    sizes = {"free_space": store.free, "capacity": store.capacity}
    return {"datastore": one.moid, "name": escaped(one.name), "type": "VMFS", **sizes}


_DATASTORES = Listing(
    ("Datastore",),
    "datastores",
    _datastore,
    {"types": lambda _inventory, _one, wanted: "VMFS" in wanted, "folders": in_folders, "datacenters": below},
)


def get_datastore(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """A datastore."""
    found = visible(call, ("Datastore",), given["datastore"])
    return {
        "name": escaped(found.name),
        "type": "VMFS",
        "accessible": True,
        "free_space": call.inventory.stores[found.moid].free,
        "multiple_host_access": len(found.hosts) > 1,
        "thin_provisioning_supported": True,
    }


_NETWORK_TYPES = {
    "Network": "STANDARD_PORTGROUP",
    "DistributedVirtualPortgroup": "DISTRIBUTED_PORTGROUP",
    "OpaqueNetwork": "OPAQUE_NETWORK",
}
_LISTED_NETWORKS = Listing(
    _NETWORKS,
    "networks",
    lambda _inventory, one: {"network": one.moid, "name": escaped(one.name), "type": _NETWORK_TYPES[one.kind]},
    {
        "types": lambda _inventory, one, wanted: _NETWORK_TYPES[one.kind] in wanted,
        "folders": in_folders,
        "datacenters": below,
    },
)
#: The first kind a folder may hold, beside folders -> its type.
_FOLDER_TYPES = {
    "Datacenter": "DATACENTER",
    "Datastore": "DATASTORE",
    "ComputeResource": "HOST",
    "Network": "NETWORK",
    "VirtualMachine": "VIRTUAL_MACHINE",
}


def _folder_type(folder: Any) -> str:
    return next((_FOLDER_TYPES[kind] for kind in folder.child_types if kind in _FOLDER_TYPES), "VIRTUAL_MACHINE")


def _is_of_type(_inventory: Inventory, folder: Any, wanted: str) -> bool:
    return _folder_type(folder) == wanted


_FOLDERS = Listing(
    ("Folder",),
    "folders",
    lambda _inventory, one: {"folder": one.moid, "name": escaped(one.name), "type": _folder_type(one)},
    {
        "type": _is_of_type,
        "parent_folders": in_folders,
        "datacenters": below,
    },
)

# resource pools ------------------------------------------------------------------------------------------------------


def _by_cluster(_inventory: Inventory, pool: Any, wanted: list[str]) -> bool:
    return pool.cluster.moid in wanted


def _by_host(inventory: Inventory, pool: Any, wanted: list[str]) -> bool:
    return any(one.moid in wanted for one in inventory.find(pool.cluster.moid).hosts)


_LISTED_POOLS = Listing(
    ("ResourcePool",),
    "resource_pools",
    lambda _inventory, one: {"resource_pool": one.moid, "name": escaped(one.name)},
    {"parent_resource_pools": in_folders, "datacenters": below, "clusters": _by_cluster, "hosts": _by_host},
)


def _allocation(record: Record) -> dict[str, Any]:
    shares = {"level": record["shares"]["level"].upper()}
    if shares["level"] == "CUSTOM":
        shares["shares"] = record["shares"]["shares"]
    told = {"reservation": record["reservation"], "expandable_reservation": bool(record["expandableReservation"])}
    return {**told, "limit": record["limit"], "shares": shares}


def get_pool(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """A resource pool with what is right below it."""
    found = visible(call, _POOLS, given["resource_pool"])
    allocations = {"cpu_allocation": _allocation(found.cpu), "memory_allocation": _allocation(found.memory)}
    return {"name": escaped(found.name), "resource_pools": [one.moid for one in found.pools], **allocations}


def _wanted(told: dict[str, Any] | None, now: Record) -> Record:
    """The allocation that a specification asks for, over what there is."""
    told = told or {}
    shares = told.get("shares")
    level = shares["level"].lower() if shares else now["shares"]["level"]
    number = (shares or {}).get("shares", now["shares"]["shares"])
    return Record(
        "ResourceAllocationInfo",
        reservation=told.get("reservation", now["reservation"]),
        expandableReservation=told.get("expandable_reservation", now["expandableReservation"]),
        limit=told.get("limit", now["limit"]),
        shares=Record("SharesInfo", shares=number, level=level),
    )


def _config(told: dict[str, Any], now: Any) -> Record:
    cpu, memory = _wanted(told.get("cpu_allocation"), now.cpu), _wanted(told.get("memory_allocation"), now.memory)
    return Record("ResourceConfigSpec", entity=Ref(now.kind, now.moid), cpuAllocation=cpu, memoryAllocation=memory)


def create_pool(call: Call, given: dict[str, Any]) -> Acting:
    """A pool below another; what is not told is as for pools without limits."""
    spec = given["spec"]
    parent = visible(call, _POOLS, spec["parent"])
    normal = type(parent)("", "", None, parent.cluster)
    config = _config(spec, normal)
    config.fields.pop("entity")
    made = yield Act(parent, "CreateResourcePool", {"name": spec["name"], "spec": config})
    return made.moid


def update_pool(call: Call, given: dict[str, Any]) -> Acting:
    """Change name and allocations of a pool."""
    found, spec = visible(call, _POOLS, given["resource_pool"]), given["spec"]
    yield Act(found, "UpdateConfig", {"name": spec.get("name"), "config": _config(spec, found)})


def delete_pool(call: Call, given: dict[str, Any]) -> Acting:
    """Remove a pool; what is in it moves up."""
    yield Act(visible(call, _POOLS, given["resource_pool"]), "Destroy_Task", {})


def _list(listing: Listing) -> Operation:
    return lambda call, given: listed(call, listing, given)


OPERATIONS: dict[str, Operation] = {
    "vcenter.cluster.get": get_cluster,
    "vcenter.cluster.list": _list(_CLUSTERS),
    "vcenter.datacenter.create": create_datacenter,
    "vcenter.datacenter.delete": delete_datacenter,
    "vcenter.datacenter.get": get_datacenter,
    "vcenter.datacenter.list": _list(_DATACENTERS),
    "vcenter.datastore.get": get_datastore,
    "vcenter.datastore.list": _list(_DATASTORES),
    "vcenter.folder.list": _list(_FOLDERS),
    "vcenter.host.connect": connect_host,
    "vcenter.host.disconnect": disconnect_host,
    "vcenter.host.list": _list(_HOSTS),
    "vcenter.network.list": _list(_LISTED_NETWORKS),
    "vcenter.resource_pool.create": create_pool,
    "vcenter.resource_pool.delete": delete_pool,
    "vcenter.resource_pool.get": get_pool,
    "vcenter.resource_pool.list": _list(_LISTED_POOLS),
    "vcenter.resource_pool.update": update_pool,
}
