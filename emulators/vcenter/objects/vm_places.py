"""Where a machine goes: folder, pool, host and datastore of a new or moving machine, checked to fit together."""

from dataclasses import dataclass
from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Inventory, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record, Ref


@dataclass(slots=True)
class Place:
    """Where a machine is to live."""

    folder: Any
    pool: Any
    host: Any
    datastore: Any


def usable(host: Any) -> bool:
    """Whether a host takes machines."""
    return host.connection == "connected" and not host.maintenance and host.power == "poweredOn"


def require_usable(host: Any) -> None:
    """Raises `Fault("HostNotConnected")`, or `InvalidState` for one in maintenance mode."""
    if host.connection != "connected" or host.power != "poweredOn":
        raise Fault("HostNotConnected", f"The host {host.name} is not connected.")
    if host.maintenance:
        raise Fault("InvalidState", f"The host {host.name} is in maintenance mode.")


def pool_of(inventory: Inventory, told: Ref | None, name: str = "pool") -> Any:
    """The pool of a reference. Raises `InvalidArgument`."""
    pool = inventory.find(told.moid) if told else None
    if pool is None or pool.kind not in ("ResourcePool", "VirtualApp"):
        raise invalid_argument(name, "A resource pool is required.")
    return pool


def host_in(inventory: Inventory, pool: Any, told: Ref | None, *, liked: Ref | None = None, name: str = "host") -> Any:
    """The host of a machine in `pool`: the told one, else `liked` if it fits, else the usable one with the fewest machines."""
    cluster = inventory.find(pool.cluster.moid)
    if told is not None:
        if told not in cluster.hosts:
            raise invalid_argument(name, "It is not a host of the resource pool's cluster.")
        host = inventory.find(told.moid)
        require_usable(host)
        return host
    hosts = [host for host in (inventory.find(one.moid) for one in cluster.hosts) if usable(host)]
    if liked is not None and any(ref(host) == liked for host in hosts):
        return inventory.find(liked.moid)
    if not hosts:
        raise Fault("NoCompatibleHost", "There is no host that could take the machine.")
    counts = dict.fromkeys((host.moid for host in hosts), 0)
    for vm in inventory.all_of(VirtualMachine):
        if vm.host.moid in counts:
            counts[vm.host.moid] += 1
    return min(hosts, key=lambda host: counts[host.moid])


def datastore_of(inventory: Inventory, host: Any, told: Ref | None, *, liked: Ref | None = None) -> Any:
    """The datastore of a machine on `host`: the told one, else `liked` if the host sees it, else its first."""
    if told is not None:
        if told not in host.datastores:
            name = inventory.find(told.moid).name if inventory.find(told.moid) else told.moid
            raise Fault("InvalidDatastore", f"The host {host.name} does not see the datastore.", datastore=told, name=name)
        found = inventory.find(told.moid)
        if host.moid in found.unmounted:
            raise Fault("InvalidDatastore", f"{found.name} is not mounted on {host.name}.", datastore=told, name=found.name)
        if found.maintenance != "normal":
            raise Fault("InvalidState", f"The datastore {found.name} is in maintenance mode.")
        return found
    for one in (liked, *host.datastores):
        found = inventory.find(one.moid) if one is not None and one in host.datastores else None
        if found is not None and found.maintenance == "normal" and host.moid not in found.unmounted:
            return found
    raise Fault("InvalidDatastore", f"The host {host.name} has no datastore.")


def networks_fit(inventory: Inventory, vm: VirtualMachine, host: Any) -> None:
    """Raises `Fault("CannotAccessNetwork")` when a card of the machine is on a network that the host does not see."""
    if ref(host) == vm.host:
        return
    names = {network.name: network for network in (inventory.find(one.moid) for one in host.networks)}
    moids = {one.moid for one in host.networks}
    for device in vm.settings.devices.values():
        backing = device["backing"]
        if not device["macAddress"] or backing is None:
            continue
        port, name = backing["port"], backing["deviceName"]
        if (port is not None and port["portgroupKey"] not in moids) or (port is None and name and name not in names):
            label = device["deviceInfo"]["label"]
            text = f"The network of {label} is not accessible on {host.name}."
            raise Fault("CannotAccessNetwork", text, device=label, backing=name or "", connected=False)


def location_privileges(spec: Record) -> list[str | tuple[Ref, str]]:
    """What a RelocateSpec needs on the pool and the datastores that it names."""
    found: list[str | tuple[Ref, str]] = []
    if spec["pool"] is not None:
        found.append((spec["pool"], "Resource.AssignVMToPool"))
    places = [spec["datastore"], *(disk["datastore"] for disk in spec["disk"] or [])]
    found += [(one, "Datastore.AllocateSpace") for one in dict.fromkeys(places) if one is not None]
    return found
