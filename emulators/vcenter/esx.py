"""The inventory of one ESXi host that nobody manages: fixed ids, one datacenter that cannot be seen in a vCenter."""

from collections.abc import Iterator
from pathlib import Path

from emulators.vcenter.inventory import Inventory, ref
from emulators.vcenter.model import FOLDERS, Home, Model, add_datastore
from emulators.vcenter.objects.cluster import ClusterComputeResource
from emulators.vcenter.objects.datacenter import Datacenter
from emulators.vcenter.objects.datastore_browser import HostDatastoreBrowser
from emulators.vcenter.objects.environment import EnvironmentBrowser
from emulators.vcenter.objects.folder import Folder, put
from emulators.vcenter.objects.host_equipment import equip
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.objects.network import Network
from emulators.vcenter.objects.resource_pool import ResourcePool
from emulators.vcenter.records import Ref

ROOT = Ref("Folder", "ha-folder-root")
NAME = "localhost.localdomain"


def build(inventory: Inventory, folder: Path, capacity: int, model: Model) -> Iterator[Home]:
    """Make the host and what belongs to it; gives where its machines belong."""
    datacenter = _datacenter(inventory)
    compute, host = _host(inventory, datacenter)
    network = inventory.add(Network("HaNetwork-VM Network", "VM Network", datacenter.network_folder))
    put(inventory, inventory.get(datacenter.network_folder, Folder), network)
    for place in (datacenter, compute, host):
        place.networks.append(ref(network))
    network.hosts.append(ref(host))
    equip(inventory, host)
    for number in range(model.datastores):
        name = f"LocalDS_{number}"
        datastore = add_datastore(inventory, datacenter, name, folder / name, capacity)
        datastore.hosts.append(ref(host))
        for place in (compute, host):
            place.datastores.append(ref(datastore))
    inventory.get(host.browser, HostDatastoreBrowser).datastores[:] = host.datastores
    yield Home(host.moid, datacenter.name, ref(host), compute.pool, model.machines)


def _datacenter(inventory: Inventory) -> Datacenter:
    root = inventory.get(ROOT, Folder)
    home = Ref("Datacenter", "ha-datacenter")
    made = [inventory.add(Folder(f"ha-folder-{name}", name, home, list(kinds))) for name, (_, kinds) in FOLDERS.items()]
    vm, host, datastores, networks = map(ref, made)
    datacenter = inventory.add(Datacenter(home.moid, home.moid, ref(root), vm, host, datastores, networks))
    put(inventory, root, datacenter)
    found: Datacenter = datacenter
    return found


def _host(inventory: Inventory, datacenter: Datacenter) -> tuple[ClusterComputeResource, HostSystem]:
    folder = inventory.get(datacenter.host_folder, Folder)
    compute = ClusterComputeResource("ha-compute-res", NAME, ref(folder), kind="ComputeResource")
    pool = ResourcePool("ha-root-pool", "Resources", ref(compute), ref(compute))
    compute.pool = ref(pool)
    browser = HostDatastoreBrowser("ha-host-datastorebrowser", Ref("HostSystem", "ha-host"), [])
    host = HostSystem("ha-host", NAME, ref(compute), inventory.clock.uuid(), ref(browser), "127.0.0.1", inventory.clock.now())
    compute.hosts.append(ref(host))
    for managed in (compute, pool, browser, host, EnvironmentBrowser(f"envbrowser-{compute.moid}", ref(compute))):
        inventory.add(managed)
    put(inventory, folder, compute)
    return compute, host
