"""An estate as the harness's world: machines, their bytes, their settings, the network, failures, time.

What a person or chance does happens the way it does in a datacentre: through the vCenter's own interface, through Resource
Manager, in the guest, at a firewall. Looking reads the emulators' state and changes nothing.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from drillbed.estate import GROUP, MASTER_TARGET, SUBNETS, Estate, EstatePlan, MachinePlan
from drillbed.machines import AZURE_SIDE, ONPREM_SIDE
from emulators.azure.site_recovery import Rules as ServiceRules
from emulators.clock import Process
from emulators.network import Block
from harness import product as h
from reference_impl.rules import Rules

MIB = 1 << 20

#: Size of every disk. The specifications write up to 2 MiB to one.
DISK_BYTES = 8 * MIB
#: A guest writes in pieces of this size.
WRITE_BYTES = 64 << 10
#: State folders in memory, where the system has such a place with room for some estates.
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - a folder of its own, of a random name, is made in it
MEMORY_BYTES = 2 << 30

#: Verbs of a virtual machine in Azure by the power it is to have.
AZURE_POWER = {"powered-on": "start", "powered-off": "powerOff", "crashed": "powerOff?skipShutdown=true"}

ELSEWHERE = "northeurope"

#: An account that exists on no machine: whoever the configuration server knows is not the machine's administrator then.
SOMEBODY_ELSE = ("administrator", "not-known-to-the-configuration-server")


@cache
def _signing_key() -> rsa.RSAPrivateKey:
    """One key for the tokens of all estates of this process: they need not distrust each other."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True, slots=True)
class EstateWorlds:
    """Opens an estate for each case. The rules make a product that is wrong in one behaviour, for tests of the suite."""

    rules: Rules = field(default_factory=Rules)
    service_rules: ServiceRules = field(default_factory=ServiceRules)

    @contextmanager
    def open(self, setup: h.Setup) -> Iterator["EstateWorld"]:
        plan = EstatePlan(
            way=setup.way,
            seed=setup.seed,
            rules=self.rules,
            service_rules=self.service_rules,
            signing_key=_signing_key(),
        )
        with _state_folder() as folder, Estate.open(plan, folder) as estate:
            world = EstateWorld(estate)
            world.furnish()
            yield world


@contextmanager
def _state_folder() -> Iterator[Path]:
    usable = os.access(MEMORY_FOLDER, os.W_OK) and shutil.disk_usage(MEMORY_FOLDER).free >= MEMORY_BYTES
    folder = Path(tempfile.mkdtemp(prefix="drillbed-", dir=MEMORY_FOLDER if usable else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(slots=True)
class EstateWorld:
    """One estate. `gone`: things that the scenario wants not to exist, for the driver that would make them."""

    estate: Estate
    gone: set[str] = field(default_factory=set)
    _cursors: dict[tuple[str, int], int] = field(default_factory=dict)
    _blocks: dict[tuple[str | None, str | None, int | None], list[Block]] = field(default_factory=dict)

    def furnish(self) -> None:
        """Azure and the private path, as the specifications assume them."""
        self.estate.prepare_azure(worker=False)
        self.estate.connect_vpn()

    # time ------------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return self.estate.clock.now()

    def wait(self, seconds: float) -> None:
        self.estate.clock.wait(seconds)

    # machines --------------------------------------------------------------------------------------------------------

    def add_machine(self, spec: h.MachineSpec) -> None:
        site = self.estate.site
        if spec.name in site.hosts:
            return
        if spec.kind != "virtual":
            raise h.UnobservableError("physical servers: an estate has machines of a vCenter only")
        source = self.estate.folder / f"{spec.name}.raw"
        source.write_bytes(self.estate.clock.random_bytes(DISK_BYTES))
        site.add_machine(MachinePlan(spec.name, spec.os.upper(), [DISK_BYTES] * spec.disks, source=source, workload=False))
        if spec.same_as:
            twin = site.vcenter.find_vm(spec.same_as)
            self.estate.vsphere.set_instance_uuid(spec.name, twin.instance_uuid)

    def delete_machine(self, vm: str) -> None:
        self.estate.vsphere.destroy(vm)
        self.estate.network.remove(self.estate.site.hosts.pop(vm))

    def machine(self, vm: str, side: str) -> h.VirtualMachine | None:
        return self._azure_machine(vm) if side == AZURE_SIDE else self._onprem_machine(vm)

    def _onprem_machine(self, vm: str) -> h.VirtualMachine | None:
        try:
            found = self.estate.site.vcenter.find_vm(vm)
        except KeyError:
            return None
        power = "powered-on" if found.power == "poweredOn" else "powered-off"
        return h.VirtualMachine(vm, power, len(found.attached_disks()), len(found.snapshots))

    def _azure_machine(self, vm: str) -> h.VirtualMachine | None:
        record = self.estate.azure.records.get(vm)
        if record is None:
            return None
        power = "powered-on" if self.estate.azure_running(vm) else "powered-off"
        size = self.estate.azure.size_of(record)
        network = record.nics[0].network_id.rsplit("/", 1)[-1] if record.nics else ""
        return h.VirtualMachine(vm, power, len(record.disks), size=size, network=network)

    def power(self, vm: str, side: str, state: str) -> None:
        if state == "unreachable":
            self.outage(vm if side == ONPREM_SIDE else f"{vm}.azure")
        elif side == ONPREM_SIDE:
            self.estate.vsphere.power(vm, on=state == "powered-on", orderly=state == "powered-off")
        else:
            self.estate.operator.run("POST", f"{self.estate.azure.records[vm].id}/{AZURE_POWER[state]}")

    def write(self, vm: str, side: str, disk: int, size: int, pattern: str) -> h.Written:
        guest = self.estate.machines.running[vm, side]
        at = self._cursors.get((vm, disk), 0)
        data = self._pattern(pattern, size)
        errors: list[str] = []

        def writing() -> Process:
            try:
                for offset in range(0, size, WRITE_BYTES):
                    guest.disk(disk).write((at + offset) % DISK_BYTES, data[offset : offset + WRITE_BYTES])
            except OSError as error:
                errors.append(str(error))
            return
            yield

        self._cursors[vm, disk] = (at + -(-size // WRITE_BYTES) * WRITE_BYTES) % DISK_BYTES
        began = self.now()
        self._on_the_clock(writing(), f"{vm} writes")
        return h.Written(self.now() - began, errors[0] if errors else "")

    def _pattern(self, pattern: str, size: int) -> bytes:
        if pattern == "random":
            return self.estate.clock.random_bytes(size)
        text = b"\0" if pattern == "zeros" else pattern.encode()
        return (text * (size // len(text) + 1))[:size]

    def _on_the_clock(self, process: Process, name: str) -> None:
        """Guests run on the clock, where only one thing happens at a time."""
        task = self.estate.clock.spawn(process, name=name)
        self.estate.clock.wait_until(lambda: task.done, seconds=3600)

    def content(self, vm: str, side: str) -> tuple[h.Content, ...]:
        return contents(self.estate.onprem_disks(vm) if side == ONPREM_SIDE else self.estate.azure_disks(vm))

    # settings --------------------------------------------------------------------------------------------------------

    def take_snapshot(self, of: str) -> None:
        self.estate.vsphere.snapshot(of)

    def remove_snapshot(self, of: str) -> None:
        self.estate.vsphere.remove_snapshots(of)

    def set(self, of: str, key: str, value: str) -> None:
        if key == "region":
            self._replace(of, ELSEWHERE)
        elif key == "account":
            administrator = SOMEBODY_ELSE if value in ("user", "absent") else self.estate.machines.installer
            self.estate.machines.software[of].administrator = administrator
        else:
            self.estate.set_disk_uuid(of, None if value == "absent" else value, key=key)

    def absent(self, of: str) -> None:
        self.gone.add(of)
        if of in REPLACED:
            self._replace(of, "")
        elif of == MASTER_TARGET:
            self.estate.vsphere.power(MASTER_TARGET, on=False)
            self.wait(600)

    def _replace(self, of: str, region: str) -> None:
        """The same thing in another region, or in none."""
        run, targets = self.estate.operator.run, self.estate.targets
        network = f"{GROUP}/providers/Microsoft.Network"
        in_the_way = [f"{network}/connections/site", f"{network}/virtualNetworkGateways/gateway"]
        path = targets.network if of == "target-network" else targets.storage
        for obstacle in in_the_way if of == "target-network" else []:
            run("DELETE", obstacle)
        run("DELETE", path)
        if region:
            run("PUT", path, {"location": region, **REPLACED[of]})

    # network and failures --------------------------------------------------------------------------------------------

    def block(self, source: str | None, destination: str | None, port: int | None) -> None:
        made = self.estate.network.block(source=source, destination=destination, port=port)
        self._blocks.setdefault((source, destination, port), []).append(made)

    def unblock(self, source: str | None, destination: str | None, port: int | None) -> None:
        self.estate.network.unblock(self._blocks[source, destination, port].pop())

    def link(self, name: str, up: bool) -> None:
        links = self.estate.network.links
        (links.add if up else links.discard)(name)

    def outage(self, of: str) -> None:
        self.block(of, None, None)
        self.block(None, of, None)

    def restore(self, of: str) -> None:
        self.unblock(of, None, None)
        self.unblock(None, of, None)

    def skew_clock(self, of: str, seconds: float) -> None:
        if of != "configuration-server":
            raise h.UnobservableError(f"a wrong clock of {of}: only the configuration server's can be set")
        self.estate.site.clock_error += seconds

    def flows(self) -> list[h.Flow]:
        return [
            h.Flow(one.source, one.destination, one.port, one.bytes_out + one.bytes_in, one.tls, one.first, one.last)
            for one in self.estate.network.flows()
        ]


_SUBNETS = [{"name": name, "properties": {"addressPrefix": prefix}} for name, prefix in SUBNETS]

#: Bodies of what can be put into another region.
REPLACED: Mapping[str, dict[str, Any]] = {
    "target-network": {"properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": _SUBNETS}},
    "target-storage": {"sku": {"name": "Standard_LRS"}, "kind": "StorageV2", "properties": {}},
}


def contents(disks: Mapping[int, Any]) -> tuple[h.Content, ...]:
    """SHA-256 of whole disks, in the order of their units."""
    return tuple(content_of(disk.read, disk.size) for _, disk in sorted(disks.items()))


def content_of(read: Callable[[int, int], bytes], size: int) -> h.Content:
    digest = hashlib.sha256()
    for offset in range(0, size, 4 * MIB):
        digest.update(read(offset, min(4 * MIB, size - offset)))
    return h.Content(digest.hexdigest(), size)
