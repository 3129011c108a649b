"""One emulated vCenter, as the estate composes it."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from emulators.clock import Clock
from emulators.vcenter.asgi import Asgi
from emulators.vcenter.authorization import ROLE_NAMES, Authorization, Permission
from emulators.vcenter.disk_store import DiskStore
from emulators.vcenter.events import EventLog
from emulators.vcenter.guests import GuestHooks, GuestState
from emulators.vcenter.inventory import Inventory, ref
from emulators.vcenter.kinds import KINDS
from emulators.vcenter.objects import vm_create, vm_power
from emulators.vcenter.objects.cluster import ClusterComputeResource
from emulators.vcenter.objects.datacenter import Datacenter
from emulators.vcenter.objects.datastore import Datastore
from emulators.vcenter.objects.datastore_browser import HostDatastoreBrowser
from emulators.vcenter.objects.environment import EnvironmentBrowser
from emulators.vcenter.objects.folder import Folder, add_folder, put
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.objects.network import Network
from emulators.vcenter.objects.resource_pool import ResourcePool
from emulators.vcenter.objects.service_instance import SERVICES, Service
from emulators.vcenter.objects.virtual_machine import AttachedDisk, Settings, VirtualMachine
from emulators.vcenter.objects.vm_devices import disk_device, disk_key, mac_address, network_card, relabel, scsi_controller
from emulators.vcenter.objects.vm_files import write_vmx
from emulators.vcenter.records import Ref
from emulators.vcenter.sessions import Sessions
from emulators.vcenter.tasks import Tasks
from emulators.vcenter.web import Web

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """A disk of a new machine: `size` in bytes, filled from the file `source` if given (holes stay holes)."""

    size: int
    source: Path | None = None
    thin: bool = True


class VCenter:
    """A vCenter with the inventory vcsim starts with: DC0, cluster DC0_C0, three hosts, LocalDS_0, `VM Network`; no machines yet.

    `users` maps a name (without case) to password and role (Admin, ReadOnly, NoAccess) on everything. `folder` is where the
    datastore keeps its files; `capacity` its size in bytes. `.wsgi` serves `POST /sdk` and the rest.
    """

    def __init__(
        self,
        clock: Clock,
        folder: Path,
        *,
        users: Mapping[str, tuple[str, str]],
        name: str = "vcenter",
        version: str = "6.5.0",
        hooks: GuestHooks | None = None,
        capacity: int = 512 * _GIB,
        hosts: int = 3,
        addresses: str = "10.0.0.",
    ):
        self.inventory = inventory = Inventory(clock, name, version, clock.uuid(), folder, kinds=KINDS, hooks=hooks)
        inventory.authorization = Authorization({user.lower(): password for user, (password, _) in users.items()})
        inventory.sessions = Sessions(clock)
        inventory.events = EventLog(inventory)
        inventory.tasks = Tasks(inventory)
        with inventory.lock:
            inventory.add(Folder(inventory.root.moid, "Datacenters", None, ["Folder", "Datacenter"]))
            inventory._counter = 1
            inventory.add(Service("ServiceInstance", "ServiceInstance"))
            for kind, moid in SERVICES.values():
                inventory.add(Service(kind, moid))
            for user, (_, role) in users.items():
                permission = Permission(inventory.root.moid, user.lower(), ROLE_NAMES[role], True)
                inventory.authorization.permissions.append(permission)
            _build(inventory, folder, capacity, hosts, addresses)
        self.wsgi = Web(inventory)
        self.asgi = Asgi(inventory)

    # machines --------------------------------------------------------------------------------------------------------

    def add_vm(
        self,
        name: str,
        *,
        guest_id: str = "otherGuest64",
        cpus: int = 2,
        memory_mb: int = 4096,
        disks: Sequence[DiskSpec] = (),
        nics: Sequence[str] = ("VM Network",),
        extra_config: Mapping[str, str] | None = None,
        folder: str = "",
        host: str = "",
        firmware: str = "bios",
        uuid: str = "",
        powered_on: bool = False,
        controller: str = "ParaVirtualSCSIController",
    ) -> VirtualMachine:
        """Add a machine with disks on one SCSI controller of type `controller` and a card on each network of `nics`.

        `folder` is a path below the datacenter's vm folder; missing ones are made. Raises `OSError` or `ValueError` for a disk
        that cannot be made. `powered_on` starts it at once, with its guest.
        """
        inventory = self.inventory
        with inventory.lock:
            cluster = next(inventory.all_of(ClusterComputeResource))
            places = [one for one in inventory.all_of(HostSystem) if not host or one.name == host]
            if not places:
                raise ValueError(f"there is no host {host!r}")
            where = places[inventory.count_of(VirtualMachine) % len(places)]
            home = self._folder(folder)
            extra = {key.lower(): (key, value) for key, value in (extra_config or {}).items()}
            settings = Settings(guest_id, cpus, 1, memory_mb, firmware, extra=extra)
            vm = vm_create.new_machine(
                inventory,
                name,
                folder=home,
                pool=inventory.find(cluster.pool.moid) if cluster.pool else None,
                host=where,
                datastore=inventory.find(where.datastores[0].moid),
                settings=settings,
                uuid=uuid,
            )
            self._add_cards(vm, nics)
            self._add_disks(vm, disks, controller)
            relabel(settings)
            write_vmx(inventory, vm)
            vm_create.settle(inventory, vm, home)
            inventory.events.about("VmCreatedEvent", "Created virtual machine {vm} on {host} in {datacenter}", vm, template=False)
        if powered_on:
            self.power_on(vm)
        return vm

    def _add_cards(self, vm: VirtualMachine, networks: Sequence[str]) -> None:
        for key, name in enumerate(networks, 4000):
            found = next((one for one in self.inventory.all_of(Network) if one.name == name), None)
            if found is None:
                raise ValueError(f"there is no network {name!r}")
            vm.settings.devices[key] = network_card(self.inventory, key, found, mac_address(self.inventory))

    def _add_disks(self, vm: VirtualMachine, disks: Sequence[DiskSpec], kind: str) -> None:
        controller = scsi_controller(kind=kind)
        vm.settings.devices[controller["key"]] = controller
        store = self.inventory.stores[vm.datastore.moid]
        for number, spec in enumerate(disks):
            unit = number if number < 7 else number + 1
            suffix = f"_{number}" if number else ""
            name = f"{vm.directory}/{vm.directory}{suffix}.vmdk"
            try:
                disk = store.create(name, spec.size, thin=spec.thin, source=spec.source)
            except (OSError, ValueError):
                for made in vm.disks.values():
                    store.delete(made)
                shutil.rmtree(store.path(vm.directory), ignore_errors=True)
                raise
            key = disk_key(vm.settings, controller, unit)
            vm.disks[key] = disk
            vm.settings.devices[key] = disk_device(key, controller["key"], unit, disk)

    def _folder(self, path: str) -> Folder:
        inventory = self.inventory
        datacenter = next(inventory.all_of(Datacenter))
        folder = inventory.get(datacenter.vm_folder, Folder)
        for name in filter(None, path.split("/")):
            below = [inventory.find(one.moid) for one in folder.children]
            known = next((one for one in below if isinstance(one, Folder) and one.name == name), None)
            folder = known or add_folder(inventory, folder, name, ["Folder", "VirtualMachine"])
        return folder

    def find_vm(self, name: str) -> VirtualMachine:
        """The machine of a name. Raises `KeyError`."""
        with self.inventory.lock:
            for vm in self.inventory.all_of(VirtualMachine):
                if vm.name == name:
                    return vm
        raise KeyError(name)

    def vms(self) -> list[VirtualMachine]:
        """All machines, oldest first."""
        with self.inventory.lock:
            return list(self.inventory.all_of(VirtualMachine))

    def power_on(self, vm: VirtualMachine) -> None:
        """Power on at once, as when the site was started before the estate's time: no task, but the event and the guest."""
        with self.inventory.lock:
            if vm.power == "poweredOn":
                return
            vm_power.check_locks(self.inventory, vm)
            vm_power.set_power(self.inventory, vm, "poweredOn")
            self.inventory.events.about("VmPoweredOnEvent", "{vm} on {host} in {datacenter} is powered on", vm, template=False)
        if self.inventory.hooks is not None:
            self.inventory.hooks.power_on(vm)

    # guests ----------------------------------------------------------------------------------------------------------

    @property
    def hooks(self) -> GuestHooks | None:
        """What runs in the machines. May be set once the estate has it."""
        return self.inventory.hooks

    @hooks.setter
    def hooks(self, hooks: GuestHooks | None) -> None:
        self.inventory.hooks = hooks

    def open_disk(self, vm: VirtualMachine, key: int) -> AttachedDisk:
        """The disk of device `key` as the guest has it; it follows the snapshot chain. Raises `KeyError`."""
        with self.inventory.lock:
            if key not in vm.disks:
                raise KeyError(key)
            return AttachedDisk(vm, key)

    def disks_of(self, vm: VirtualMachine) -> list[AttachedDisk]:
        """All disks of a machine in the order its guest finds them."""
        with self.inventory.lock:
            return vm.attached_disks()

    def report_guest(
        self, vm: VirtualMachine, *, hostname: str = "", addresses: Sequence[str] = (), running: bool = True
    ) -> None:
        """What the tools in the guest tell: they run, under this name, with these addresses."""
        with self.inventory.lock:
            if vm.power != "poweredOn":
                return
            vm.guest = GuestState(running, hostname, list(addresses))
            self.inventory.change(vm, "guest", "guestHeartbeatStatus", "summary.guest", "summary.quickStats.guestHeartbeatStatus")

    def close(self) -> None:
        """Close every file; waiting calls return."""
        with self.inventory.lock:
            self.inventory.closed = True
            self.inventory.changed.notify_all()
            self.asgi.close()
            for store in self.inventory.stores.values():
                store.close()


def _build(inventory: Inventory, folder: Path, capacity: int, hosts: int, addresses: str) -> None:
    root = inventory.get(inventory.root, Folder)
    moid = inventory.new_moid("datacenter-")
    home = Ref("Datacenter", moid)
    prefixes = {"vm": "group-v", "host": "group-h", "datastore": "group-s", "network": "group-n"}
    types = {
        "vm": ["Folder", "VirtualMachine", "VirtualApp"],
        "host": ["Folder", "ComputeResource"],
        "datastore": ["Folder", "Datastore", "StoragePod"],
        "network": ["Folder", "Network", "DistributedVirtualSwitch"],
    }
    made = {name: inventory.add(Folder(inventory.new_moid(prefix), name, home, types[name])) for name, prefix in prefixes.items()}
    vm, host, datastores, networks = (ref(made[name]) for name in prefixes)
    datacenter = Datacenter(moid, "DC0", inventory.root, vm, host, datastores, networks)
    inventory.add(datacenter)
    put(inventory, root, datacenter)
    datastore, network = _storage(inventory, folder, capacity, made)
    datacenter.datastores, datacenter.networks = [ref(datastore)], [ref(network)]
    cluster = ClusterComputeResource(inventory.new_moid("domain-c"), "DC0_C0", ref(made["host"]))
    pool = ResourcePool(inventory.new_moid("resgroup-"), "Resources", ref(cluster), ref(cluster))
    cluster.pool, cluster.datastores, cluster.networks = ref(pool), [ref(datastore)], [ref(network)]
    inventory.add(cluster)
    inventory.add(pool)
    inventory.add(EnvironmentBrowser(f"envbrowser-{cluster.moid}", ref(cluster)))
    put(inventory, made["host"], cluster)
    for number in range(hosts):
        esx = ref(_host(inventory, cluster, f"{cluster.name}_H{number}", f"{addresses}{number + 11}"))
        for listed in (cluster.hosts, datastore.hosts, network.hosts):
            listed.append(esx)
    inventory.change(cluster, "host")


def _storage(inventory: Inventory, folder: Path, capacity: int, folders: dict[str, Folder]) -> tuple[Datastore, Network]:
    moid = inventory.new_moid("datastore-")
    browser = HostDatastoreBrowser(f"datastoreBrowser-{moid}", Ref("Datastore", moid), [Ref("Datastore", moid)])
    store = DiskStore(folder / "LocalDS_0", capacity, inventory.clock.uuid)
    inventory.stores[moid] = store
    datastore = Datastore(moid, "LocalDS_0", ref(folders["datastore"]), ref(browser), store.folder)
    inventory.add(browser)
    inventory.add(datastore)
    put(inventory, folders["datastore"], datastore)
    network = Network(inventory.new_moid("network-"), "VM Network", ref(folders["network"]))
    inventory.add(network)
    put(inventory, folders["network"], network)
    return datastore, network


def _host(inventory: Inventory, cluster: ClusterComputeResource, name: str, address: str) -> HostSystem:
    moid = inventory.new_moid("host-")
    browser = HostDatastoreBrowser(f"datastoreBrowser-{moid}", Ref("HostSystem", moid), list(cluster.datastores))
    host = HostSystem(moid, name, ref(cluster), inventory.clock.uuid(), ref(browser), address, inventory.clock.now())
    host.datastores, host.networks = list(cluster.datastores), list(cluster.networks)
    inventory.add(browser)
    inventory.add(host)
    return host
