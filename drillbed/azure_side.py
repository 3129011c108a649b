"""The Azure side of an estate: the emulated cloud, guests on page blobs, the replica worker, a process server in the network."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from drillbed.machines import AZURE_SIDE, Machines
from drillbed.places import DOMAIN, Places
from drillbed.runbooks import Programs
from drillbed.storage import Storage
from drillbed.wrong_clock import WrongClock
from emulators.azure.cloud import Azure
from emulators.azure.outside import BlobPlace, VmRecord
from emulators.azure.site_recovery import Observer, SiteRecovery
from emulators.azure.site_recovery import Rules as ServiceRules
from emulators.clock import Clock
from emulators.guest.devices import PageBlobDevice
from emulators.network import AZURE_PUBLIC, AZURE_VNET, Host
from reference_impl.outside import BlobStore
from reference_impl.process_server import ProcessServer
from reference_impl.replica import ReplicaWorker
from reference_impl.rules import Rules

TEST_SUFFIX = "-test"


@dataclass(frozen=True, slots=True)
class WholeBlob:
    """A blob read as a disk."""

    store: BlobStore
    container: str
    name: str
    size: int

    def read(self, offset: int, length: int) -> bytes:
        return self.store.get_blob(self.container, self.name, offset=offset, length=length)


@dataclass(frozen=True, slots=True)
class Trust:
    """What makes others believe: the site's passphrase, the operator's secret, and Azure's key for tokens (None: make one)."""

    passphrase: str
    client_secret: str
    signing_key: RSAPrivateKey | None = None


@dataclass(slots=True)
class AzureSide:
    """Hooks of Azure's compute are this object's `start`, `stop` and `deleted`; those of its network `set`."""

    clock: Clock
    places: Places
    machines: Machines
    storage: Storage
    folder: Path
    rules: Rules
    service_rules: ServiceRules
    trust: Trust
    observer: Observer
    programs: Programs = field(init=False)  #: what runbooks do
    azure: Azure = field(init=False)
    site_recovery: SiteRecovery = field(init=False)
    records: dict[str, VmRecord] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)
    workers: list[ReplicaWorker] = field(default_factory=list)
    process_server: ProcessServer | None = None

    def __post_init__(self) -> None:
        self.programs = Programs(self.clock)
        self.azure = Azure(
            self.clock,
            storage=self.storage,
            guests=self,
            links=self,
            blob_copy=self.copy,
            programs=self.programs,
            signing_key=self.trust.signing_key,
        )
        self.azure.add_client(secret=self.trust.client_secret)
        vaults = self.azure.vaults
        self.site_recovery = SiteRecovery(
            self.azure.arm, check_key=vaults.check_registration_key, rules=self.service_rules, observer=self.observer
        )
        vaults.before_delete.append(self.site_recovery.refuse_deletion)
        vaults.after_delete.append(self.site_recovery.forget)
        self.places.host("management").listen(443, self.azure.arm)
        self.places.host("login").listen(443, self.azure.login)
        self.places.host("site-recovery").listen(443, self.site_recovery.components)

    # what Azure calls ------------------------------------------------------------------------------------------------

    def set(self, link: str, up: bool) -> None:
        """A gateway connection between site and virtual network came or went."""
        links = self.places.network.links
        (links.add if up else links.discard)(link)

    def start(self, vm: VmRecord) -> None:
        host = self.hosts.get(vm.name) or self.places.machine(f"{vm.name}.azure", AZURE_VNET)
        self.hosts[vm.name], self.records[vm.name] = host, vm
        owner = vm.name.removesuffix(TEST_SUFFIX)
        self.starts[vm.name] = self.clock.now()
        if owner not in self.machines.software:
            return  # a machine that somebody made in Azure by hand: nothing is known to run in it
        disks = {unit: (device, "") for unit, device in self.devices(vm).items()}
        self.machines.boot(vm.name, AZURE_SIDE, host, disks, owner=owner if owner != vm.name else "")

    def stop(self, vm: VmRecord, graceful: bool) -> None:
        guest = self.machines.running.get((vm.name, AZURE_SIDE))
        if guest is not None:
            (guest.shut_down if graceful else guest.power_off)()
            self.machines.ended(vm.name, AZURE_SIDE)
        if vm.name in self.hosts:
            self.hosts[vm.name].close()

    def deleted(self, vm: VmRecord) -> None:
        self.stop(vm, False)
        self.records.pop(vm.name, None)
        host = self.hosts.pop(vm.name, None)
        if host is not None:
            self.places.network.remove(host)

    def copy(self, source: BlobPlace, target: BlobPlace) -> None:
        """A managed disk or a snapshot is copied."""
        host = self.places.host("compute")
        store = self.storage.open(host, source.account)
        store.copy_blob(
            source.container, source.blob, None, self.storage.open(host, target.account), target.container, target.blob
        )

    # disks -----------------------------------------------------------------------------------------------------------

    def devices(self, vm: VmRecord) -> dict[int, Any]:
        """The disks of a virtual machine by unit: page blobs read and written through the account's own endpoint."""
        found: dict[int, Any] = {}
        for disk in vm.disks:
            if disk.blob is not None:
                store = self.storage.open(self.places.host("compute"), disk.blob.account)
                size = store.properties(disk.blob.container, disk.blob.blob).size
                found[disk.unit] = PageBlobDevice(store, disk.blob.container, disk.blob.blob, size)
        return found

    def size_of(self, vm: VmRecord) -> str:
        """Size of a virtual machine, as `Standard_D2s_v3`; empty when it is gone."""
        with self.azure.arm.lock:
            found = self.azure.store.get(vm.id)
            return str(found.properties["hardwareProfile"]["vmSize"]) if found is not None else ""

    def blob_of(self, machine: str, unit: int) -> "WholeBlob":
        """The page blob behind a disk, with the footer that makes it a VHD."""
        place = next(disk.blob for disk in self.records[machine].disks if disk.unit == unit)
        assert place is not None, f"disk {unit} of {machine} has no blob"
        store = self.storage.open(self.places.host("compute"), place.account)
        return WholeBlob(store, place.container, place.blob, store.properties(place.container, place.blob).size)

    # components that run in Azure ------------------------------------------------------------------------------------

    def start_worker(self, registration_key: str, *, clock_error: Callable[[], float] | None = None) -> ReplicaWorker:
        """A worker that turns logs into replica disks; each further one has a host and a folder of its own."""
        number = len(self.workers) + 1
        name = "replica-worker" if number == 1 else f"replica-worker-{number}"
        if self.places.network.find(name) is None:
            self.places.network.host(
                name, AZURE_PUBLIC, address=f"{self.places.prefix}.2.{29 + number}", names=[f"{name}.{DOMAIN}"]
            )
        scope = self.clock.scope(name)
        worker = ReplicaWorker(
            self.places.host(name),
            scope if clock_error is None else WrongClock(scope, clock_error),
            self.folder / name,
            service_url=f"https://site-recovery.{DOMAIN}",
            registration_key=registration_key,
            open_store=self.storage.open_store,
            name=name,
            rules=self.rules,
        )
        self.workers.append(worker)
        worker.start()
        return worker

    def add_relay(self) -> str:
        """Where appliances keep their tunnels, through which machines in Azure reach them. Gives its name."""
        if self.places.network.find("relay") is None:
            address = f"{self.places.prefix}.2.14"
            self.places.network.host("relay", AZURE_PUBLIC, address=address, names=[f"relay.{DOMAIN}"])
        return "relay"

    def start_process_server(self) -> None:
        """A temporary process server in the virtual network, registered with the configuration server (RPR-002)."""
        host = self.places.machine("process-server-azure", AZURE_VNET)
        self.process_server = ProcessServer(
            host,
            self.clock.scope(host.name),
            self.folder / host.name,
            configuration_server_url=f"https://configuration-server.{DOMAIN}",
            passphrase=self.trust.passphrase,
            machine_id=self.clock.uuid(),
            name=host.name,
            zone="azure",
            open_store=self.storage.open_store,
            rules=self.rules,
            sync=self.clock.flow > 0,  # in virtual time there is no power to lose
        )
        self.process_server.start()
