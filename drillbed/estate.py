"""An estate: one whole, isolated lab of two sides, the links between them, one clock and one seed.

    with Estate.open(EstatePlan(way="virtual", machines=[MachinePlan("web", "WINDOWS", [64 << 20])]), folder) as estate:
        estate.prepare_azure()
        estate.register_site()
        estate.add_vcenter()

This is the composition root: the only place that knows emulators, product and harness at once.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from drillbed.azure_side import AzureSide, Trust
from drillbed.dialects import DIALECTS
from drillbed.disk_input import raw_image
from drillbed.doors import Doors
from drillbed.errors import TroubleError, remedy, require_room
from drillbed.machines import AZURE_SIDE, ONPREM_SIDE, MachinePlan, Machines
from drillbed.operator import Credentials, NotInTime, Operator, Refused, azure_time
from drillbed.places import DOMAIN, Places, build
from drillbed.site import APPLIANCE, MACHINE_ACCOUNT, MASTER_TARGET, VCENTER_ACCOUNT, Site
from drillbed.storage import kind_of, storage_of
from drillbed.vault import Targets, Vault
from drillbed.vsphere_operator import VSphereOperator
from drillbed.witness import Readable, Witness, sha256
from emulators.azure.cloud import CLIENT, SUBSCRIPTION, TENANT
from emulators.azure.site_recovery import Rules as ServiceRules
from emulators.clock import DEFAULT_START, Clock
from emulators.guest.workload import read_workload
from emulators.http.sockets import PortTakenError, Sockets
from emulators.network import Network
from reference_impl.replica import ReplicaWorker
from reference_impl.rules import Rules

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/drill"
LOCATION = "westeurope"
VCENTER_NAME = "vcenter"


@dataclass(frozen=True, slots=True)
class EstatePlan:
    """What to build. `way` is `virtual` or `embedded`; `speed` is emulated seconds per real second where time flows.

    `hash_at_boot` takes SHA-256 of every disk whenever a machine starts.
    """

    way: str = "virtual"
    seed: int = 1
    speed: float = 1.0
    machines: Sequence[MachinePlan] = ()
    hash_at_boot: bool = False
    #: Where blobs are: `memory`, `azurite` or `s3`; unless given, in memory in virtual time and in Azurite over sockets.
    storage: str | None = None
    #: Where emulated time starts.
    start: datetime = DEFAULT_START
    #: Whether certificates also hold for the public cloud's names, for clients that come through the proxy.
    public_names: bool = False
    #: Whether the disks of machines are open to programs of this computer, over NBD (docs/nbd.md).
    nbd: bool = False
    rules: Rules = field(default_factory=Rules)
    service_rules: ServiceRules = field(default_factory=ServiceRules)
    profile: str = "classic"  #: or `modernized`: a replication appliance instead of a configuration server
    #: Signs Azure's tokens; unless given each estate makes its own, which takes a tenth of a second.
    signing_key: RSAPrivateKey | None = None
    #: Folder with scripts named as the runbooks whose work they do; and whether uploaded Python runbooks may run on this machine.
    runbooks: Path | None = None
    run_uploaded: bool = False


@dataclass(frozen=True, slots=True)
class Happening:
    """An entry of the estate's event log: when (emulated), what kind of thing happened to what, and the particulars."""

    when: float
    kind: str
    subject: str
    particulars: dict[str, Any]


@dataclass(slots=True)
class Estate:
    """A running estate. Names of machines are those of the plan; a failed-over machine keeps its name in Azure."""

    plan: EstatePlan
    folder: Path
    clock: Clock
    places: Places
    machines: Machines
    site: Site
    azure: AzureSide
    operator: Operator
    vault: Vault
    vsphere: VSphereOperator
    targets: Targets
    events: list[Happening]
    secret: str  #: of the client id that the operator uses
    doors: Doors | None

    @classmethod
    @contextmanager
    def open(cls, plan: EstatePlan, folder: Path) -> Iterator["Estate"]:
        """Build and run it; leaving the context stops everything. Raises `AzuriteError`, `PortTakenError` if it cannot run."""
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            yield _compose(plan, folder, stack)

    @property
    def network(self) -> Network:
        return self.places.network

    def check(self, failure: BaseException | None = None) -> None:
        """Raise when the machine is to blame for `failure`, and not what is judged: Azurite has gone, the disk is full, ...

        Raises `AzuriteError`, `PortTakenError` or `TroubleError`.
        """
        self.azure.storage.check()
        if isinstance(failure, PortTakenError):
            raise failure
        if failure is not None and (advice := remedy(failure)) is not None:
            raise TroubleError(advice) from failure
        require_room(self.folder)

    # setting up ------------------------------------------------------------------------------------------------------

    def prepare_azure(self, *, worker: bool = True) -> None:
        """TOP-001, TOP-002: a group, the target and the cache account, a network, a vault; all in one region.

        `worker`: start the worker that makes replicas too.
        """
        run = self.operator.run
        run("PUT", GROUP, {"location": LOCATION})
        for account in (self.targets.storage, self.targets.cache):
            run("PUT", account, {"location": LOCATION, "sku": {"name": "Standard_LRS"}, "kind": "StorageV2", "properties": {}})
        subnets = [{"name": name, "properties": {"addressPrefix": prefix}} for name, prefix in SUBNETS]
        network = {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": subnets}
        run("PUT", self.targets.network, {"location": LOCATION, "properties": network})
        self.vault.create()
        if worker:
            self.start_worker()

    def start_worker(self) -> None:
        """The worker that makes replicas, unless it runs."""
        if not self.azure.workers:
            self.add_worker()

    def add_worker(self, *, clock_error: Callable[[], float] | None = None) -> ReplicaWorker:
        """One more worker; all share the work. `clock_error` says how many seconds its clock is ahead."""
        return self.azure.start_worker(self.vault.registration_key(), clock_error=clock_error)

    def register_site(self, key: str = "") -> None:
        """The configuration server registers with a key of the vault (a fresh one unless given); ends when its process server
        and master target show. Raises `Refused`."""
        key = key or self.vault.registration_key()
        if self.modernized:
            self.site.add_appliance(key, self.azure.add_relay())
        else:
            self.site.install_product(key)
        self.operator.until("the configuration server's registration", self._registered, seconds=1800)

    def _registered(self) -> bool:
        server = self.site.appliances.get(APPLIANCE) if self.modernized else self.site.configuration_server
        if server is not None and server.refusal is not None:
            raise Refused(server.refusal.status, server.refusal.code, str(server.refusal))
        try:
            shown = self.vault.find_site()["properties"]["customDetails"]
        except LookupError:
            return False
        return all(shown[part] for part in self.vault.dialect.site_details)

    def add_appliance(self, name: str) -> None:
        """TOP-016: a further appliance with the vault; ends when its programs show."""
        self.site.add_appliance(self.vault.registration_key(), self.azure.add_relay(), name)
        self.operator.until(f"the registration of {name}", lambda: name in self.appliance_ids(), seconds=1800)

    def appliance_ids(self) -> dict[str, str]:
        """Ids of the appliances by name."""
        shown = self.vault.find_site()["properties"]["customDetails"]["reprotectAgents"]
        return {str(agent["name"]): str(agent["id"]) for agent in shown}

    @property
    def modernized(self) -> bool:
        return self.plan.profile == "modernized"

    def add_vcenter(self) -> dict[str, Any]:
        """Tell the configuration server of the vCenter; its machines become protectable items. Gives the job.

        An appliance has been told when it was set up: ends when its discovery shows.
        """
        if self.modernized:
            self.operator.until("the discovery of the vCenter", self.vault.discovered, seconds=1800)
            return {}
        return self.vault.add_vcenter(VCENTER_NAME, f"vcenter.{DOMAIN}", VCENTER_ACCOUNT, self.process_server_id())

    def protect(self, machine: str, *, group: str = "") -> None:
        """Start to protect a discovered machine with the forward policy; with `group` in that replication group."""
        self.vault.enable(
            machine,
            self.vault.policies["forward"],
            self.targets,
            process_server=self.process_server_id(),
            run_as=self.run_as(machine),
            group=group,
        )

    def connect_vpn(self) -> None:
        """A gateway, the site's counterpart and a connection between them (NET-009)."""
        network = f"{GROUP}/providers/Microsoft.Network"
        gateway, local = f"{network}/virtualNetworkGateways/gateway", f"{network}/localNetworkGateways/site"
        public = f"{network}/publicIPAddresses/gateway"
        run = self.operator.run
        run("PUT", public, {"location": LOCATION, "properties": {"publicIPAllocationMethod": "Dynamic"}})
        run(
            "PUT",
            gateway,
            {"location": LOCATION, "properties": _gateway(f"{self.targets.network}/subnets/GatewaySubnet", public)},
        )
        address = {"gatewayIpAddress": "203.0.113.10", "localNetworkAddressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}
        run("PUT", local, {"location": LOCATION, "properties": address})
        connection = {
            "connectionType": "IPsec",
            "virtualNetworkGateway1": {"id": gateway},
            "localNetworkGateway2": {"id": local},
            "sharedKey": self.clock.random_bytes(16).hex(),
        }
        run("PUT", f"{network}/connections/site", {"location": LOCATION, "properties": connection})
        self.clock.wait(120)  # agents in Azure report within a heartbeat or two once there is a way

    def add_process_server_in_azure(self) -> None:
        """RPR-002: a temporary process server in the machines' network; ends when the service knows it."""
        self.azure.start_process_server()
        self.operator.until("the process server in Azure", lambda: len(self._process_servers()) > 1, seconds=1800)

    def add_process_server(self, name: str) -> None:
        """TOP-005: a further process server on premises; ends when the service knows it."""
        self.site.add_process_server(name)
        self.operator.until(name, lambda: name in self.process_server_ids(), seconds=1800)

    def move_to_process_server(self, machine: str, name: str) -> dict[str, Any]:
        """TOP-005: data of a protected machine goes to another process server from now on."""
        servers = self.process_server_ids()
        return self.vault.reassociate(machine, servers.get(name, name))

    def process_server_ids(self) -> dict[str, str]:
        """Ids of the process servers by name."""
        return {str(server["friendlyName"]): str(server["id"]) for server in self._process_servers()}

    def set_disk_uuid(self, machine: str, value: str | None, *, key: str = "disk.EnableUUID") -> None:
        """Set or remove disk.EnableUUID (or another `key`); the machine is off meanwhile, as the setting needs it (RPR-007)."""
        self.vsphere.reconfigure_off(machine, {key: value})
        self.clock.wait(180)  # the machine's program has started again and reported

    # asking ----------------------------------------------------------------------------------------------------------

    def _process_servers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.vault.find_site()["properties"]["customDetails"]["processServers"]
        return found

    def process_server_id(self) -> str:
        """The built-in process server's id."""
        return str(self._process_servers()[0]["id"])

    def run_as(self, machine: str) -> str:
        """The account that agents are installed with."""
        if self.modernized:
            return self.vault.run_as_account("machines")
        return MACHINE_ACCOUNT

    def reason_of(self, refused: Refused) -> str:
        """The harness's word for what the service said no with."""
        return refused.reason

    def parse_time(self, text: str) -> float:
        """Azure's way of writing a time, as epoch seconds."""
        return azure_time(text)

    def bytes_on(self, destination: str, port: int) -> int:
        """Bytes that have gone to a port of a host."""
        return sum(flow.bytes_out for flow in self.network.flows() if (flow.destination, flow.port) == (destination, port))

    # machines --------------------------------------------------------------------------------------------------------

    def witness(self, machine: str) -> Witness:
        """The history of a machine that was planned with a witness."""
        found = self.machines.software[machine].witness
        assert found is not None, f"{machine} was planned without a witness"
        return found

    def history_before(self, machine: str, side: str) -> dict[int, str]:
        """SHA-256 that each disk must have after all that the guest had written when it last started on `side`.

        It comes from the first content and the witnessed writes, not from any disk.
        """
        witness = self.witness(machine)
        count = self.machines.written_before[machine, side]
        return {unit: witness.sha256(unit, count) for unit in witness.first}

    def pace_workload(self, machine: str, rate: float, interval: float) -> None:
        """Have a running machine's workload write `rate` records a second, `interval` seconds apart, until it starts again."""
        guest = self.machines.guest(machine)
        workload = guest.service("workload") if guest else None
        if workload:
            workload.pace(rate, interval)

    def records_written(self, machine: str) -> int:
        """How many records the machine's workload has written in all, on both sides."""
        guest = self.machines.guest(machine)
        workload = guest.service("workload") if guest else None
        return workload.count if workload else 0

    def read_workload(self, disk: Any) -> tuple[int, bool]:
        """Records on a disk, and whether they are an unbroken prefix."""
        found = read_workload(disk)
        return found.count, found.unbroken

    def disk_name(self, machine: str, unit: int) -> str:
        return f"disk {unit}"

    def onprem_disks(self, machine: str) -> dict[int, Any]:
        return self.site.disks(machine)

    def nbd(self, machine: str) -> dict[int, str]:
        """NBD URIs of the disks of a running machine by unit, on whichever side it runs.

        Raises `LookupError` when it does not run, or the estate was opened without doors.
        """
        if self.doors is None:
            raise LookupError("this estate has no NBD doors: open it with EstatePlan(nbd=True)")
        found = next((door for door in self.doors.listing() if door.machine == machine), None)
        if found is None:
            raise LookupError(f"{machine} does not run")
        return found.disks

    def onprem_running(self, machine: str) -> bool:
        return (machine, ONPREM_SIDE) in self.machines.running

    def azure_disks(self, machine: str) -> dict[int, Any]:
        """The disks of a virtual machine in Azure, whether it runs or not."""
        record = self.azure.records.get(machine)
        if record is None:
            raise LookupError(f"there is no virtual machine {machine} in Azure")
        return self.azure.devices(record)

    def azure_running(self, machine: str) -> bool:
        return (machine, AZURE_SIDE) in self.machines.running

    def azure_starts(self, since: float) -> dict[str, float]:
        """When machines started in Azure, at or after `since`."""
        return {machine: when for machine, when in self.azure.starts.items() if when >= since}

    def azure_virtual_machines(self) -> list[str]:
        """Names of all virtual machines, as Resource Manager lists them."""
        found = self.operator.list(f"{GROUP}/providers/Microsoft.Compute/virtualMachines")
        return [str(machine["name"]) for machine in found]

    def azure_vm_exists(self, machine: str) -> bool:
        return machine in self.azure_virtual_machines()

    def hashes(self, disks: Mapping[int, Readable]) -> dict[int, str]:
        """SHA-256 of whole disks, by unit."""
        return {unit: sha256(disk) for unit, disk in sorted(disks.items())}

    def boot_hashes(self, side: str, machine: str) -> dict[int, str]:
        """SHA-256 of every disk as the machine found it when it last started on a side."""
        return self.machines.boots.get((machine, side), {})

    def check_with_qemu(self, machine: str) -> str:
        """`qemu-img compare` of the failed-over VHD and the source of disk 0, where it is installed. Text to append."""
        tool = shutil.which("qemu-img")
        if tool is None:
            return ""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            vhd, raw = Path(folder, "failed-over.vhd"), Path(folder, "source.raw")
            _export(self.azure.blob_of(machine, 0), vhd)
            _export(self.onprem_disks(machine)[0], raw)
            command = [tool, "compare", "-f", "vpc", "-F", "raw", str(vhd), str(raw)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own files
        if done.returncode != 0:
            raise NotInTime(
                f"qemu-img does not find the failed-over VHD of {machine} equal: {(done.stdout + done.stderr).strip()}"
            )
        return "; qemu-img agrees"


SUBNETS = (("default", "10.1.1.0/24"), ("GatewaySubnet", "10.1.255.0/27"))


def _gateway(subnet: str, public: str) -> dict[str, Any]:
    configuration = {"subnet": {"id": subnet}, "publicIPAddress": {"id": public}, "privateIPAllocationMethod": "Dynamic"}
    return {
        "gatewayType": "Vpn",
        "vpnType": "RouteBased",
        "sku": {"name": "VpnGw1", "tier": "VpnGw1"},
        "ipConfigurations": [{"name": "default", "properties": configuration}],
    }


def _export(disk: Readable, path: Path) -> None:
    """Write what can be read to a file; zeros stay holes."""
    chunk = 4 << 20
    with path.open("wb") as writing:
        for offset in range(0, disk.size, chunk):
            data = disk.read(offset, min(chunk, disk.size - offset))
            if data.count(0) == len(data):
                writing.seek(len(data), 1)
            else:
                writing.write(data)
        writing.truncate(disk.size)


def _compose(plan: EstatePlan, folder: Path, stack: ExitStack) -> Estate:
    sockets = plan.way == "embedded"
    clock = Clock(seed=plan.seed, flow=plan.speed if sockets else 0.0, start=plan.start)
    places = build(clock, sockets=sockets, folder=folder, public_names=plan.public_names)
    stack.callback(_close_network, places)

    def lost(message: str) -> None:
        clock.fail(TroubleError(message))

    kind = kind_of(plan.storage, sockets=sockets)
    storage = stack.enter_context(storage_of(kind, folder / "azurite", places.host("storage"), clock, lost))
    passphrase, secret = clock.random_bytes(12).hex(), clock.random_bytes(20).hex()
    events: list[Happening] = []

    def note(when: float, kind: str, subject: str, particulars: dict[str, Any]) -> None:
        events.append(Happening(when, kind, subject, particulars))

    doors = Doors() if plan.nbd else None
    if doors is not None:
        stack.callback(doors.close)
    machines = Machines(clock, folder / "machines", plan.rules, note, hash_at_boot=plan.hash_at_boot, doors=doors)
    trust = Trust(passphrase, secret, plan.signing_key)
    azure = AzureSide(clock, places, machines, storage, folder, plan.rules, plan.service_rules, trust, note)
    azure.programs.folder, azure.programs.uploaded = plan.runbooks, plan.run_uploaded
    site = Site(clock, places, machines, folder / "site", plan.rules, storage.open_store, passphrase)
    stack.callback(site.vcenter.close)
    host = places.host("operator")
    operator = Operator(
        host, Credentials(TENANT, CLIENT, secret), management=f"https://management.{DOMAIN}", login=f"https://login.{DOMAIN}"
    )
    stack.callback(operator.close)
    targets = Targets(
        group=GROUP,
        network=f"{GROUP}/providers/Microsoft.Network/virtualNetworks/recovery",
        subnet="default",
        storage=f"{GROUP}/providers/Microsoft.Storage/storageAccounts/drillreplica",
        cache=f"{GROUP}/providers/Microsoft.Storage/storageAccounts/drillcache",
    )
    vault = Vault(operator, GROUP, "drillvault", LOCATION, dialect=DIALECTS[plan.profile])
    for machine in plan.machines:
        site.add_machine(_with_raw_source(machine, folder / "images"))
    stack.callback(clock.stop)  # first of all when it ends: nothing works any more while what it works with is taken away
    clock.start()
    return Estate(
        plan,
        folder,
        clock,
        places,
        machines,
        site,
        azure,
        operator,
        vault,
        VSphereOperator(host, clock, site.administrator),
        targets,
        events,
        secret,
        doors,
    )


def _with_raw_source(machine: MachinePlan, folder: Path) -> MachinePlan:
    """The plan with the image of disk 0 as raw bytes. Raises `UsageError` or `TroubleError` for an image that is none."""
    if machine.source is None:
        return machine
    image = raw_image(machine.source, folder / machine.name)
    return replace(machine, source=image.path, disks=[image.size, *machine.disks[1:]])


def _close_network(places: Places) -> None:
    transport = places.network.transport
    if isinstance(transport, Sockets):
        transport.close()
    for host in places.network.hosts():
        host.close()
    if places.claim is not None:
        places.claim.close()


__all__ = ["MASTER_TARGET", "Estate", "EstatePlan", "MachinePlan"]
