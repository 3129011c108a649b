"""The on-premises site: a vCenter whose machines are guests with software, and the product's components beside it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drillbed.machines import AGENT_VERSION, ONPREM_SIDE, MachinePlan, Machines
from drillbed.places import DOMAIN, Places
from drillbed.wrong_clock import WrongClock
from emulators.clock import Clock
from emulators.guest.devices import MemoryDevice
from emulators.guest.machine import GuestMachine
from emulators.network import ONPREM, Host
from emulators.vcenter import DiskSpec, VCenter, VirtualMachine
from reference_impl.appliance import ReplicationAppliance, VCenterLogin
from reference_impl.configuration_server import ConfigurationServer
from reference_impl.master_target import MasterTarget
from reference_impl.outside import OpenStore
from reference_impl.process_server import ProcessServer
from reference_impl.rules import Rules

MIB = 1 << 20

UNITS_PER_BUS = 16

#: Users of the vCenter: a person, and the product. Their passwords are drawn anew for each estate.
ADMINISTRATOR, REPLICATION = "administrator@vsphere.local", "replication@vsphere.local"

MASTER_TARGET, APPLIANCE = "master-target", "appliance"

#: Disk space on the master target that keeps what came until a recovery point is complete (RPR-014).
RETENTION_VOLUMES = ({"volumeName": "R:", "capacityInBytes": 64 << 30, "freeSpaceInBytes": 64 << 30, "thresholdPercentage": 5},)

#: Ids of the accounts in the configuration server: for the vCenter, and for push installations.
VCENTER_ACCOUNT, MACHINE_ACCOUNT = "1", "2"


@dataclass(slots=True)
class Site:
    """One datacentre. The vCenter's guest hooks are this object's `power_on`, `shut_down`, `power_off` and `disks_changed`."""

    clock: Clock
    places: Places
    machines: Machines
    folder: Path
    rules: Rules
    open_store: OpenStore
    passphrase: str
    vcenter: VCenter = field(init=False)
    administrator: tuple[str, str] = field(init=False)  #: user and password of the vCenter
    replication: tuple[str, str] = field(init=False)
    hosts: dict[str, Host] = field(default_factory=dict)
    configuration_server: ConfigurationServer | None = None
    process_server: ProcessServer | None = None
    further: list[ProcessServer] = field(default_factory=list)
    clock_error: float = 0.0  #: seconds that the configuration server's clock is ahead (TOP-011)
    master_target: MasterTarget | None = None
    appliances: dict[str, ReplicationAppliance] = field(default_factory=dict)  #: by name of their machine
    registration: str = ""  #: the key that an appliance registers with
    relay: str = ""
    physical: dict[str, dict[int, tuple[Any, str]]] = field(default_factory=dict)  #: disks of physical machines by unit
    _appliance_names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.administrator = (ADMINISTRATOR, self.clock.random_bytes(12).hex())
        self.replication = (REPLICATION, self.clock.random_bytes(12).hex())
        users = {name: (password, "Admin") for name, password in (self.administrator, self.replication)}
        self.vcenter = VCenter(self.clock, self.folder / "vcenter", users=users, hooks=self)
        self.vcenter.inventory.host = self.places.host("vcenter")
        self.vcenter.inventory.host.listen(443, self.vcenter.wsgi, asgi=self.vcenter.asgi)

    # machines --------------------------------------------------------------------------------------------------------

    def add_machine(self, plan: MachinePlan) -> None:
        """Put a machine into the vCenter, or a physical one beside it, and switch it on."""
        if plan.kind == "physical":
            self._add_physical(plan)
            return
        self.hosts[plan.name] = self.places.machine(plan.name, ONPREM)
        disks = [DiskSpec(size, plan.source if unit == 0 else None) for unit, size in enumerate(plan.disks)]
        vm = self._create(plan.name, plan.os_type, disks)
        self.machines.add(plan, vm.uuid)
        self.vcenter.power_on(vm)

    def _add_physical(self, plan: MachinePlan) -> None:
        """A machine of its own, with disks in no datastore (PHY-001)."""
        self.hosts[plan.name] = self.places.machine(plan.name, ONPREM)
        devices: dict[int, tuple[Any, str]] = {}
        for unit, size in enumerate(plan.disks):
            content = plan.source.read_bytes().ljust(size, b"\0") if unit == 0 and plan.source is not None else size
            devices[unit] = (MemoryDevice(content), self.clock.uuid())
        self.physical[plan.name] = devices
        self.machines.add(plan, self.clock.uuid())
        self.switch_physical(plan.name, on=True)

    def switch_physical(self, name: str, *, on: bool) -> None:
        """Somebody presses the power button of a physical machine; switching off is orderly."""
        guest = self.machines.running.get((name, ONPREM_SIDE))
        if on and guest is None:
            self.machines.boot(name, ONPREM_SIDE, self.hosts[name], self.physical[name])
        elif not on and guest is not None:
            guest.shut_down()
            self.machines.ended(name, ONPREM_SIDE)
            self.hosts[name].close()

    def add_appliance(self, registration_key: str, relay: str, name: str = APPLIANCE) -> None:
        """The machine of a replication appliance, from a template that has disk.EnableUUID set (TOP-016); it starts by itself.

        Where there is one already it registers anew with this key.
        """
        self.registration, self.relay = registration_key, relay
        if name in self.hosts:
            machine = self.vcenter.find_vm(name)
            self.power_off(machine)
            self.power_on(machine)
            return
        address = f"{self.places.prefix}.1.{30 + len(self.appliances)}"
        self.hosts[name] = self.places.network.host(name, ONPREM, address=address, names=[f"{name}.{DOMAIN}"])
        self._appliance_names.add(name)
        self._machine_of_ours(name)

    def add_master_target(self) -> str:
        """The machine of the three built-in roles (TOP-003), Windows (TOP-006). Its master target writes disks of others.

        Returns its BIOS UUID.
        """
        self.hosts[MASTER_TARGET] = self.places.host(MASTER_TARGET)
        return self._machine_of_ours(MASTER_TARGET)

    def _machine_of_ours(self, name: str) -> str:
        """A machine that takes disks of others (RPR-009)."""
        vm = self._create(
            name,
            "WINDOWS",
            [DiskSpec(64 * MIB)],
            controller="VirtualLsiLogicSASController",  # RPR-009
            extra_config={"disk.EnableUUID": "TRUE"},
        )
        self.machines.add(MachinePlan(name, "WINDOWS", [64 * MIB], workload=False), vm.uuid)
        self.vcenter.power_on(vm)
        return str(vm.uuid)

    def _create(self, name: str, os_type: str, disks: list[DiskSpec], **more: Any) -> VirtualMachine:
        guest_id = "windows9Server64Guest" if os_type == "WINDOWS" else "debian9_64Guest"
        vm = self.vcenter.add_vm(name, guest_id=guest_id, cpus=2, memory_mb=2048, disks=disks, **more)
        self.vcenter.set_guest_account(vm, *self.machines.installer)
        return vm

    def disks(self, name: str) -> dict[int, Any]:
        """The disks of a machine as the datastore has them, by the number its guest gives them."""
        if name in self.physical:
            return {unit: device for unit, (device, _) in self.physical[name].items()}
        found = self.vcenter.disks_of(self.vcenter.find_vm(name))
        return {disk.bus * UNITS_PER_BUS + disk.unit: disk for disk in found}

    # what the vCenter calls ------------------------------------------------------------------------------------------

    def power_on(self, vm: VirtualMachine) -> None:
        name = vm.name
        host = self.hosts.get(name)
        if host is None or name not in self.machines.software:
            return
        disks = {unit: (disk, disk.uuid) for unit, disk in self.disks(name).items()}
        guest = self.machines.boot(name, ONPREM_SIDE, host, disks)
        guest.show_serials = str(vm.extra_config_value("disk.EnableUUID") or "").upper() == "TRUE"
        if name == MASTER_TARGET:
            guest.install("master-target", lambda: self._master_target(guest, host))
        if name in self._appliance_names:
            guest.install("appliance", lambda: self._appliance(guest, host))
        self.vcenter.report_guest(vm, running=True, hostname=name, addresses=[host.address])

    def shut_down(self, vm: VirtualMachine) -> None:
        guest = self.machines.running.get((vm.name, ONPREM_SIDE))
        if guest is not None:
            guest.shut_down()
        self._went_off(vm)

    def power_off(self, vm: VirtualMachine) -> None:
        guest = self.machines.running.get((vm.name, ONPREM_SIDE))
        if guest is not None:
            guest.power_off()
        self._went_off(vm)

    def disks_changed(self, vm: VirtualMachine) -> None:
        name = vm.name
        guest = self.machines.running.get((name, ONPREM_SIDE))
        if guest is None:
            return
        now = self.disks(name)
        for disk in guest.disks():
            if disk.unit not in now or now[disk.unit].uuid != disk.identity:
                guest.remove_disk(disk.unit)
        present = {disk.unit for disk in guest.disks()}
        for unit, disk in now.items():
            if unit not in present:
                guest.add_disk(unit, disk, disk.uuid)

    def _went_off(self, vm: VirtualMachine) -> None:
        name = vm.name
        self.machines.ended(name, ONPREM_SIDE)
        host = self.hosts.get(name)
        if host is not None:
            host.close()
        self.vcenter.report_guest(vm, running=False)

    # the product's components ----------------------------------------------------------------------------------------

    def install_product(self, registration_key: str) -> None:
        """Configuration server, process server and master target start; the first registers with the vault.

        Where they are installed already the configuration server starts anew with this key.
        """
        again = self.configuration_server
        if again is not None:
            again.stop()
        machine_id = str(self.vcenter.find_vm(MASTER_TARGET).uuid) if again else self.add_master_target()
        self.configuration_server = self._configuration_server(registration_key, machine_id)
        self.configuration_server.start()
        if again is None:
            self.process_server = self._process_server(self.places.host("process-server"), machine_id)

    def _appliance(self, guest: GuestMachine, host: Host) -> ReplicationAppliance:
        name = host.name
        self.appliances[name] = ReplicationAppliance(
            host,
            guest,
            self.clock.scope(name),
            self.folder / name,
            service_url=f"https://site-recovery.{DOMAIN}",
            registration_key=self.registration,
            passphrase=self.passphrase,
            name=name,
            version=AGENT_VERSION,
            run_as_accounts=self._accounts(),
            vcenters=[VCenterLogin("vcenter", f"vcenter.{DOMAIN}", VCENTER_ACCOUNT)],
            open_store=self.open_store,
            rules=self.rules,
            url=f"https://{name}.{DOMAIN}",
            tunnels=self.places.network.tunnels,
            relay=self.relay,
            sync=self.clock.flow > 0,  # in virtual time there is no power to lose
        )
        return self.appliances[name]

    def _accounts(self) -> dict[str, tuple[str, str, str]]:
        """What the product is given to log in with: id -> name, user, password."""
        return {VCENTER_ACCOUNT: ("vcenter", *self.replication), MACHINE_ACCOUNT: ("machines", *self.machines.installer)}

    def _configuration_server(self, registration_key: str, machine_id: str) -> ConfigurationServer:
        return ConfigurationServer(
            self.places.host("configuration-server"),
            WrongClock(self.clock.scope("configuration-server"), lambda: self.clock_error),
            self.folder / "configuration-server",
            service_url=f"https://site-recovery.{DOMAIN}",
            registration_key=registration_key,
            passphrase=self.passphrase,
            name="configuration-server",
            version=AGENT_VERSION,
            run_as_accounts=self._accounts(),
            machine_id=machine_id,
            rules=self.rules,
            url=f"https://configuration-server.{DOMAIN}",
        )

    def add_process_server(self, name: str) -> None:
        """TOP-005: a further process server on a machine of its own."""
        self.further.append(self._process_server(self.places.machine(name, ONPREM), self.clock.uuid()))

    def _process_server(self, host: Host, machine_id: str) -> ProcessServer:
        server = ProcessServer(
            host,
            self.clock.scope(host.name),
            self.folder / host.name,
            configuration_server_url=f"https://configuration-server.{DOMAIN}",
            passphrase=self.passphrase,
            machine_id=machine_id,
            name=host.name,
            zone="onprem",
            open_store=self.open_store,
            rules=self.rules,
            sync=self.clock.flow > 0,  # in virtual time there is no power to lose
        )
        server.start()
        return server

    def _master_target(self, guest: GuestMachine, host: Host) -> MasterTarget:
        return MasterTarget(
            host,
            guest,
            self.clock.scope(MASTER_TARGET),
            self.folder / MASTER_TARGET,
            configuration_server_url=f"https://configuration-server.{DOMAIN}",
            passphrase=self.passphrase,
            name=MASTER_TARGET,
            os_type=guest.os_type,
            retention_volumes=RETENTION_VOLUMES,
            rules=self.rules,
        )
