"""The inventory a vCenter starts with, in the shape and with the names of vcsim: DC0, DC0_C0 with its hosts, LocalDS_0, ..."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.inventory import Inventory, ref
from emulators.vcenter.objects import array
from emulators.vcenter.objects.cluster import ClusterComputeResource
from emulators.vcenter.objects.datacenter import Datacenter
from emulators.vcenter.objects.datastore import Datastore
from emulators.vcenter.objects.datastore_browser import HostDatastoreBrowser
from emulators.vcenter.objects.environment import EnvironmentBrowser
from emulators.vcenter.objects.folder import Folder, add_folder, add_pod, put
from emulators.vcenter.objects.host_equipment import equip
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.objects.network import Network
from emulators.vcenter.objects.resource_pool import ResourcePool
from emulators.vcenter.objects.switch import add_portgroup, add_switch
from emulators.vcenter.records import Ref

FOLDERS = {
    "vm": ("group-v", ["Folder", "VirtualMachine", "VirtualApp"]),
    "host": ("group-h", ["Folder", "ComputeResource"]),
    "datastore": ("group-s", ["Folder", "Datastore", "StoragePod"]),
    "network": ("group-n", ["Folder", "Network", "DistributedVirtualSwitch"]),
}


@dataclass(frozen=True, slots=True)
class Model:
    """How much of everything; the meaning of vcsim's flags. `machines` are for each pool, vApp and standalone host."""

    datacenters: int = 1
    clusters: int = 1
    hosts: int = 3
    standalone_hosts: int = 0
    pools: int = 0
    apps: int = 0
    machines: int = 0
    datastores: int = 1
    portgroups: int = 0
    folders: int = 0  #: datacenters, the last ones, that lie with all they have in folders of their own
    pods: int = 0
    opaque_networks: int = 0
    nsx_portgroups: int = 0
    autostart: bool = True
    esx: bool = False  #: one ESXi host instead of a vCenter
    luns: bool = False  #: datastores lie on units of a storage array, which has spare ones
    site: bool = False  #: machines as a site has them, instead of equal ones

    @classmethod
    def vcsim(cls) -> "Model":
        """What vcsim has without flags."""
        return cls(standalone_hosts=1, machines=2, portgroups=1)


@dataclass(frozen=True, slots=True)
class Home:
    """Where the model puts machines: name before `_VMn`, host, pool, and how many."""

    prefix: str
    datacenter: str
    host: Ref
    pool: Ref
    count: int
    folder: str = ""  #: below the datacenter's folder of machines


@dataclass(slots=True)
class _Site:
    """What is shared while one vCenter is being built."""

    inventory: Inventory
    folder: Path
    capacity: int
    addresses: str
    luns: bool
    made_hosts: int = 0


def build(inventory: Inventory, folder: Path, capacity: int, model: Model, addresses: str) -> list[Home]:
    """Make everything but the machines; returns where those belong."""
    site = _Site(inventory, folder, capacity, addresses, model.luns)
    homes: list[Home] = []
    root = inventory.get(inventory.root, Folder)
    for _ in range(array.SPARES if model.luns else 0):
        array.add(inventory, array.SPARE_BYTES)
    for number in range(model.datacenters):
        own = number - max(0, model.datacenters - model.folders)
        parent = root if own < 0 else add_folder(inventory, root, f"F{own}", list(root.child_types))
        datacenter = add_datacenter(inventory, parent, f"DC{number}")
        for pod in range(model.pods):
            add_pod(inventory, inventory.get(datacenter.datastore_folder, Folder), f"DC{number}_POD{pod}")
        homes += _fill(site, datacenter, model, f"F{own}" if own >= 0 else "")
    return homes


def _inner(inventory: Inventory, folder: Ref, name: str) -> Folder:
    """A datacenter's folder, or the one of a name in it."""
    outer = inventory.get(folder, Folder)
    return add_folder(inventory, outer, name, list(outer.child_types)) if name else outer


def add_datacenter(inventory: Inventory, parent: Folder, name: str) -> Datacenter:
    """An empty datacenter with its four folders."""
    moid = inventory.new_moid("datacenter-")
    home = Ref("Datacenter", moid)
    made = [inventory.add(Folder(inventory.new_moid(prefix), of, home, list(types))) for of, (prefix, types) in FOLDERS.items()]
    vm, host, datastores, networks = map(ref, made)
    datacenter = Datacenter(moid, name, ref(parent), vm, host, datastores, networks)
    inventory.add(datacenter)
    put(inventory, parent, datacenter)
    return datacenter


def _fill(site: _Site, datacenter: Datacenter, model: Model, inside: str) -> Iterator[Home]:
    inventory = site.inventory
    at = _inner(inventory, datacenter.datastore_folder, inside)
    stores = [_datastore(site, datacenter, f"LocalDS_{number}", at) for number in range(model.datastores)]
    folder = _inner(inventory, datacenter.network_folder, inside)
    hosts_at = _inner(inventory, datacenter.host_folder, inside)
    _inner(inventory, datacenter.vm_folder, inside)
    network = Network(inventory.new_moid("network-"), "VM Network", ref(folder))
    inventory.add(network)
    put(inventory, folder, network)
    datacenter.networks.append(ref(network))
    computes: list[ClusterComputeResource] = []
    for number in range(model.clusters):
        cluster = add_compute(inventory, hosts_at, f"{datacenter.name}_C{number}")
        _attach(inventory, cluster, stores, network)
        for host in range(model.hosts):
            add_host(inventory, cluster, f"{cluster.name}_H{host}", _address(site))
        computes.append(cluster)
    for number in range(model.standalone_hosts):
        name = f"{datacenter.name}_H{number}"
        single = add_compute(inventory, hosts_at, name, kind="ComputeResource")
        _attach(inventory, single, stores, network)
        add_host(inventory, single, name, _address(site))
        computes.append(single)
    every = [host for compute in computes for host in compute.hosts]
    if model.portgroups or model.nsx_portgroups:
        switch = add_switch(inventory, folder, "DVS0", every)
        for label, count in (("DVPG", model.portgroups), ("NSXPG", model.nsx_portgroups)):
            for number in range(count):
                add_portgroup(inventory, switch, f"{datacenter.name}_{label}{number}", ports=1)
    for number in range(model.opaque_networks):
        _opaque(inventory, datacenter, folder, f"{datacenter.name}_NSX{number}", computes)
    for compute in computes:
        for home in _homes(inventory, datacenter, compute, model):
            yield replace(home, folder=inside)


def _opaque(
    inventory: Inventory, datacenter: Datacenter, folder: Folder, name: str, computes: list[ClusterComputeResource]
) -> None:
    """A network that something else than the vCenter manages, seen by every host."""
    network = Network(inventory.new_moid("network-o"), name, ref(folder), kind="OpaqueNetwork")
    network.opaque_id = inventory.clock.uuid()
    inventory.add(network)
    put(inventory, folder, network)
    places: list[Any] = [datacenter, *computes]
    places += [inventory.get(one, HostSystem) for compute in computes for one in compute.hosts]
    for place in places:
        place.networks.append(ref(network))
        inventory.change(place, "network")
    network.hosts = [one for compute in computes for one in compute.hosts]


def _homes(inventory: Inventory, datacenter: Datacenter, compute: ClusterComputeResource, model: Model) -> Iterator[Home]:
    if not compute.hosts:
        return
    host = compute.hosts[0]
    if compute.kind == "ComputeResource":
        yield Home(compute.name, datacenter.name, host, compute.pool, model.machines)
        return
    yield Home(f"{compute.name}_RP0", datacenter.name, host, compute.pool, model.machines)
    root = inventory.get(compute.pool, ResourcePool)
    for kind, label, count, first in (("ResourcePool", "RP", model.pools, 1), ("VirtualApp", "APP", model.apps, 0)):
        for number in range(first, first + count):
            pool = add_pool(inventory, root, f"{compute.name}_{label}{number}", kind=kind)
            pool.folder = datacenter.vm_folder if kind == "VirtualApp" else None
            yield Home(pool.name, datacenter.name, host, ref(pool), model.machines)


def _address(site: _Site) -> str:
    number = site.made_hosts + 11
    site.made_hosts += 1
    first, second, third = (int(part) for part in site.addresses.rstrip(".").split("."))
    return f"{first}.{second}.{third + number // 250}.{number % 250}"


def add_pool(inventory: Inventory, parent: ResourcePool, name: str, *, kind: str = "ResourcePool") -> ResourcePool:
    """A pool or vApp below another."""
    prefix = "resgroup-v" if kind == "VirtualApp" else "resgroup-"
    pool = ResourcePool(inventory.new_moid(prefix), name, ref(parent), parent.cluster, kind=kind)
    inventory.add(pool)
    parent.pools.append(ref(pool))
    inventory.change(parent, "resourcePool")
    return pool


def add_compute(
    inventory: Inventory, folder: Folder, name: str, *, kind: str = "ClusterComputeResource"
) -> ClusterComputeResource:
    """A cluster, or the compute resource of a standalone host, with its root pool; no hosts yet."""
    prefix = "domain-c" if kind == "ClusterComputeResource" else "domain-s"
    cluster = ClusterComputeResource(inventory.new_moid(prefix), name, ref(folder), kind=kind)
    pool = ResourcePool(inventory.new_moid("resgroup-"), "Resources", ref(cluster), ref(cluster))
    cluster.pool = ref(pool)
    inventory.add(cluster)
    inventory.add(pool)
    inventory.add(EnvironmentBrowser(f"envbrowser-{cluster.moid}", ref(cluster)))
    put(inventory, folder, cluster)
    return cluster


def _attach(inventory: Inventory, cluster: ClusterComputeResource, stores: list[Datastore], network: Network) -> None:
    cluster.datastores, cluster.networks = [ref(store) for store in stores], [ref(network)]


def add_host(inventory: Inventory, cluster: ClusterComputeResource, name: str, address: str) -> HostSystem:
    """A host in a compute resource; it sees what the others there see."""
    moid = inventory.new_moid("host-")
    browser = HostDatastoreBrowser(f"datastoreBrowser-{moid}", Ref("HostSystem", moid), list(cluster.datastores))
    host = HostSystem(moid, name, ref(cluster), inventory.clock.uuid(), ref(browser), address, inventory.clock.now())
    host.datastores, host.networks = list(cluster.datastores), list(cluster.networks)
    inventory.add(browser)
    inventory.add(host)
    cluster.hosts.append(ref(host))
    inventory.change(cluster, "host")
    for place in [inventory.find(one.moid) for one in (*host.datastores, *host.networks)]:
        place.hosts.append(ref(host))
        inventory.change(place, "host")
    equip(inventory, host)
    return host


def _datastore(site: _Site, datacenter: Datacenter, name: str, at: Folder) -> Datastore:
    inventory = site.inventory
    place = site.folder / name if inventory.count_of(Datacenter) == 1 else site.folder / datacenter.name / name
    made = add_datastore(inventory, datacenter, name, place, site.capacity, at)
    if site.luns:
        array.with_vmfs(inventory, made, array.add(inventory, site.capacity, made.folder))
    return made


def add_datastore(
    inventory: Inventory, datacenter: Datacenter, name: str, place: Path, capacity: int, at: Folder | None = None
) -> Datastore:
    """A datastore over a local folder, seen by nobody yet; in the datacenter's own folder unless told."""
    folder = at or inventory.get(datacenter.datastore_folder, Folder)
    moid = inventory.new_moid("datastore-")
    browser = HostDatastoreBrowser(f"datastoreBrowser-{moid}", Ref("Datastore", moid), [Ref("Datastore", moid)])
    store = DiskStore(place, capacity, inventory.clock.uuid)
    inventory.stores[moid] = store
    datastore = Datastore(moid, name, ref(folder), ref(browser), store.folder)
    inventory.add(browser)
    inventory.add(datastore)
    put(inventory, folder, datastore)
    datacenter.datastores.append(ref(datastore))
    inventory.change(datacenter, "datastore")
    return datastore
