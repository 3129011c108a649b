"""One emulated vCenter, as the estate composes it."""

import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulators.clock import Clock
from emulators.vcenter import esx
from emulators.vcenter.asgi import Asgi
from emulators.vcenter.authorization import ROLE_NAMES, Authorization, Permission
from emulators.vcenter.disk_store import DiskStore, write_files
from emulators.vcenter.events import EventLog, datacenter_of
from emulators.vcenter.guests import GuestHooks, GuestState
from emulators.vcenter.inventory import ROOT, Inventory
from emulators.vcenter.keeping import Keeper
from emulators.vcenter.kinds import KINDS
from emulators.vcenter.model import Home, Model, build
from emulators.vcenter.objects import alarms, array, guest_operations, scheduled_tasks, vm_create, vm_export, vm_power
from emulators.vcenter.objects.cluster import ClusterComputeResource
from emulators.vcenter.objects.datacenter import Datacenter
from emulators.vcenter.objects.datastore import Datastore
from emulators.vcenter.objects.folder import Folder, add_folder
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.objects.network import Network
from emulators.vcenter.objects.resource_pool import ResourcePool
from emulators.vcenter.objects.service_instance import FURTHER, SERVICES, Service
from emulators.vcenter.objects.services import STATEFUL
from emulators.vcenter.objects.virtual_machine import AttachedDisk, Settings, VirtualMachine
from emulators.vcenter.objects.vm_devices import disk_device, disk_key, mac_address, network_card, relabel, scsi_controller
from emulators.vcenter.objects.vm_files import write_vmx
from emulators.vcenter.records import Ref
from emulators.vcenter.sessions import Sessions
from emulators.vcenter.site_machines import Planned, planned
from emulators.vcenter.tasks import Tasks
from emulators.vcenter.web import Web

_GIB = 1024**3
#: Size of the disk of each machine that the model makes.
_MODEL_DISK = 10 * _GIB
#: Machines of a model whose files are there from the start. Of a larger one they are written when somebody looks at them.
_WRITTEN_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """A disk of a new machine: `size` in bytes, filled from the file `source` if given (holes stay holes)."""

    size: int
    source: Path | None = None
    thin: bool = True


class VCenter:
    """A vCenter with the inventory vcsim starts with: DC0, cluster DC0_C0, three hosts, LocalDS_0, `VM Network`; no machines yet.

    `users` maps a name (without case) to password and role (Admin, ReadOnly, NoAccess) on everything. `folder` is where the
    datastore keeps its files; `capacity` its size in bytes; `model` another inventory to start with. Tasks take their usual
    emulated time times `task_pace`. With `anybody` every name and password logs in as administrator. `keeper` keeps the inventory
    on disk: what it has is taken up instead of a new one; `folder` is then its `files`.

    `.wsgi` serves `POST /sdk` and the rest.
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
        model: Model | None = None,
        task_pace: float = 1.0,
        anybody: bool = False,
        keeper: Keeper | None = None,
    ):
        plan = model or Model(hosts=hosts, luns=True)
        root = esx.ROOT if plan.esx else ROOT
        lock = keeper.guard if keeper is not None else threading.RLock()
        self.inventory = inventory = Inventory(
            clock, name, version, clock.uuid(), folder, kinds=KINDS, hooks=hooks, root=root, esx=plan.esx, lock=lock
        )
        self._keeper = keeper
        inventory.authorization = Authorization({user.lower(): password for user, (password, _) in users.items()})
        inventory.sessions = Sessions(clock)
        inventory.events = EventLog(inventory)
        inventory.events.listeners.append(alarms.on_event)
        inventory.tasks = Tasks(inventory, task_pace)
        if keeper is not None and keeper.known:
            self._restore(keeper)
        else:
            self._build(plan, users, anybody=anybody, capacity=capacity, addresses=addresses)
        inventory.log.clear()  # nobody has a version of before
        if keeper is not None:
            keeper.watch(inventory)
        self.wsgi = Web(inventory)
        self.asgi = Asgi(inventory)

    def _restore(self, keeper: Keeper) -> None:
        """What is kept instead of a new inventory."""
        inventory = self.inventory
        with inventory.lock:
            for moid, (place, capacity) in (keeper.known or {})["stores"].items():
                inventory.stores[moid] = DiskStore(keeper.files / place, capacity, inventory.clock.uuid)
            keeper.restore(inventory)
            inventory.root = esx.ROOT if inventory.esx else ROOT
            self._serve()
            for store in inventory.stores.values():
                store.count_files()
            vm_export.discard_unfinished(inventory)
            scheduled_tasks.resume(inventory)

    def _serve(self) -> None:
        """Add the service objects that are not there yet."""
        inventory = self.inventory
        for kind, moid in (("ServiceInstance", "ServiceInstance"), *SERVICES.values(), *FURTHER.items()):
            if inventory.find(moid) is None:
                inventory.add(STATEFUL.get(kind, Service)(kind, moid))

    def _build(self, plan: Model, users: Mapping[str, tuple[str, str]], *, anybody: bool, capacity: int, addresses: str) -> None:
        """A new inventory."""
        inventory, root, folder = self.inventory, self.inventory.root, self.inventory.folder
        with inventory.lock:
            inventory.add(Folder(root.moid, "ha-folder-root" if plan.esx else "Datacenters", None, ["Folder", "Datacenter"]))
            inventory._counter = 1
            self._serve()
            inventory.find("SessionManager").anybody = anybody
            for user, (_, role) in users.items():
                permission = Permission(inventory.root.moid, user.lower(), ROLE_NAMES[role], True)
                inventory.authorization.permissions.append(permission)
            if plan.esx:
                homes = list(esx.build(inventory, folder, capacity, plan))
            else:
                homes = build(inventory, folder, capacity, plan, addresses)
        later = sum(home.count for home in homes) > _WRITTEN_AT_ONCE and self._keeper is None
        site = planned() if plan.site else None
        for home in homes:
            self._settle(home, site, autostart=plan.autostart, files_later=later)

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
        pool: Ref | None = None,
        firmware: str = "bios",
        uuid: str = "",
        powered_on: bool = False,
        controller: str = "ParaVirtualSCSIController",
        files_later: bool = False,
    ) -> VirtualMachine:
        """Add a machine with disks on one SCSI controller of type `controller` and a card on each network of `nics`.

        `folder` is a path below the datacenter's vm folder; missing ones are made. Raises `OSError` or `ValueError` for a disk
        that cannot be made. `powered_on` starts it at once, with its guest. `files_later` has its files written when somebody
        first looks at them.
        """
        inventory = self.inventory
        with inventory.lock:
            places = [one for one in inventory.all_of(HostSystem) if not host or one.name == host]
            if not places:
                raise ValueError(f"there is no host {host!r}")
            where = places[inventory.count_of(VirtualMachine) % len(places)]
            cluster = inventory.get(where.parent, ClusterComputeResource)
            home = self._folder(folder, datacenter_of(inventory, where))
            extra = {key.lower(): (key, value) for key, value in (extra_config or {}).items()}
            settings = Settings(guest_id, cpus, 1, memory_mb, firmware, extra=extra)
            vm = vm_create.new_machine(
                inventory,
                name,
                folder=home,
                pool=inventory.get(pool or cluster.pool, ResourcePool),
                host=where,
                datastore=inventory.find(where.datastores[0].moid),
                settings=settings,
                uuid=uuid,
            )
            self._add_cards(vm, nics, where)
            self._add_disks(vm, disks, controller, later=files_later)
            relabel(settings)
            if files_later:
                inventory.stores[vm.datastore.moid].promise(vm.directory, lambda: _write_files(inventory, vm))
            else:
                write_vmx(inventory, vm)
            vm_create.settle(inventory, vm, home)
            inventory.events.about("VmCreatedEvent", "Created virtual machine {vm} on {host} in {datacenter}", vm, template=False)
        if powered_on:
            self.power_on(vm)
        return vm

    def _settle(self, home: Home, site: Iterator[Planned] | None, *, autostart: bool, files_later: bool) -> None:
        """The machines of the model in one pool."""
        inventory = self.inventory
        host = inventory.get(home.host, HostSystem)
        seen = [inventory.get(one, Network) for one in host.networks]
        usable = [one for one in seen if not one.uplink and one.kind != "OpaqueNetwork"]
        networks = [one.name for one in sorted(usable, key=lambda one: one.kind == "Network")]  # distributed ones first
        where: dict[str, Any] = {"host": host.name, "pool": home.pool, "folder": home.folder, "files_later": files_later}
        for number in range(home.count):
            if site is None:
                name, disks = f"{home.prefix}_VM{number}", [DiskSpec(_MODEL_DISK)]
                vm = self.add_vm(name, guest_id="otherGuest", cpus=1, memory_mb=32, disks=disks, nics=networks[:1], **where)
            else:
                plan = next(site)
                vm = self._add_planned(plan, networks, where)
            if autostart:
                with inventory.lock:
                    vm_power.set_power(inventory, vm, "poweredOn")
                if site is not None:
                    self.report_guest(vm, hostname=plan.hostname, addresses=plan.addresses)

    def _add_planned(self, plan: Planned, networks: Sequence[str], where: dict[str, Any]) -> VirtualMachine:
        purpose = plan.purpose
        return self.add_vm(
            plan.name,
            guest_id=purpose.guest_id,
            cpus=purpose.cpus,
            memory_mb=purpose.memory_mb,
            disks=[DiskSpec(size) for size in plan.sizes],
            nics=[networks[number % len(networks)] for number in range(purpose.cards)] if networks else [],
            firmware=purpose.firmware,
            **where,
        )

    def _add_cards(self, vm: VirtualMachine, networks: Sequence[str], host: HostSystem) -> None:
        seen = [self.inventory.get(one, Network) for one in host.networks]
        for key, name in enumerate(networks, 4000):
            found = next((one for one in seen if one.name == name), None)
            if found is None:
                raise ValueError(f"there is no network {name!r}")
            vm.settings.devices[key] = network_card(self.inventory, key, found, mac_address(self.inventory))

    def _add_disks(self, vm: VirtualMachine, disks: Sequence[DiskSpec], kind: str, *, later: bool = False) -> None:
        controller = scsi_controller(kind=kind)
        vm.settings.devices[controller["key"]] = controller
        store = self.inventory.stores[vm.datastore.moid]
        for number, spec in enumerate(disks):
            unit = number if number < 7 else number + 1
            suffix = f"_{number}" if number else ""
            name = f"{vm.directory}/{vm.directory}{suffix}.vmdk"
            try:
                disk = store.create(name, spec.size, thin=spec.thin, source=spec.source, later=later)
            except (OSError, ValueError):
                for made in vm.disks.values():
                    store.delete(made)
                shutil.rmtree(store.path(vm.directory), ignore_errors=True)
                raise
            key = disk_key(vm.settings, controller, unit)
            vm.disks[key] = disk
            vm.settings.devices[key] = disk_device(key, controller["key"], unit, disk)

    def _folder(self, path: str, datacenter: Datacenter) -> Folder:
        inventory = self.inventory
        folder = inventory.get(datacenter.vm_folder, Folder)
        for name in filter(None, path.split("/")):
            below = [inventory.find(one.moid) for one in folder.children]
            known = next((one for one in below if isinstance(one, Folder) and one.name == name), None)
            folder = known or add_folder(inventory, folder, name, ["Folder", "VirtualMachine"])
        return folder

    def present_copy(self, datastore: str) -> str:
        """Have the array present a copy of the unit under a datastore, as its replication does at failover; returns its name.

        Hosts find it when they rescan, as an unresolved copy. Raises `KeyError`, `ValueError` for one that lies on no unit.
        """
        with self.inventory.lock:
            found = next((one for one in self.inventory.all_of(Datastore) if one.name == datastore), None)
            if found is None:
                raise KeyError(datastore)
            return array.copy(self.inventory, found).name

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

    def set_guest_account(self, vm: VirtualMachine, user: str, password: str) -> None:
        """Let a user into a machine's guest by guest operations. Without any, nobody may but where everybody may log in."""
        with self.inventory.lock:
            guest_operations.system_of(self.inventory, vm).accounts[user] = password

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
        if self._keeper is not None:
            self._keeper.close()


def _write_files(inventory: Inventory, vm: VirtualMachine) -> None:
    """Keep the promise of a machine's files."""
    for disk in vm.disks.values():
        write_files(disk.layers[0])
    write_vmx(inventory, vm)
