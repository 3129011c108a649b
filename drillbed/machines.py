"""The machines of an estate: what they are, and the programs that are installed on them, on whichever side they run.

A machine's software is part of its disks: what was installed on premises is there in Azure too, and comes home again. The bytes
of programs are not emulated, so this keeps for each machine what is installed and the folder of its agent's state.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from drillbed.doors import Doors
from drillbed.witness import FileDisk, Readable, Witness, ZeroDisk, sha256
from emulators.clock import Clock
from emulators.guest.install_door import DOOR_PORTS, InstallDoor
from emulators.guest.machine import GuestMachine
from emulators.guest.quiescing import Scripts, script_file
from emulators.guest.workload import Workload
from emulators.network import Host
from reference_impl.mobility_agent import Agent
from reference_impl.rules import Rules

#: The user that a configuration server installs agents as; the password is drawn anew for each estate.
INSTALLER = "installer"
AGENT_VERSION = "9.13.4860.1"

#: Takes an entry for the estate's event log: emulated time, kind, subject, particulars.
Note = Callable[[float, str, str, dict[str, Any]], None]

ONPREM_SIDE, AZURE_SIDE = "onprem", "azure"


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """A machine to make: sizes of its disks in bytes (disk 0 is the system disk), and what writes to disk 1, if there is one.

    `source` is an image whose content disk 0 has: raw, or what qemu-img reads; the disk is then as large as the image. `rate` is
    workload records per emulated second. `witness` keeps the history of all its disks from the first write on.
    `scripts`: a program that a Linux machine runs with `pre` before and with `post` after an application-consistent point.
    """

    name: str
    os_type: str
    disks: Sequence[int]
    source: Path | None = None
    rate: float = 0.1
    workload: bool = True
    witness: bool = False
    scripts: Path | None = None
    kind: str = "virtual"  #: or `physical`: no vCenter knows it


@dataclass(slots=True)
class Software:
    """What is installed on one machine: the agent with its settings once it was pushed, and its runs on either side."""

    plan: MachinePlan
    machine_id: str
    folder: Path
    administrator: tuple[str, str]  #: whom the machine lets install (DIS-008)
    agent_settings: dict[str, Any] | None = None
    witness: Witness | None = None
    #: The agent's state folder lives on the disks: it changes when the machine comes up on those of the other side.
    seat: tuple[int, str] = (0, "")


class Machines:
    """Boots guests and puts their software on them. Both sides of an estate use it."""

    def __init__(self, clock: Clock, folder: Path, rules: Rules, note: Note, *, hash_at_boot: bool, doors: Doors | None = None):
        """`doors` opens the disks of each machine that runs to programs from outside."""
        self.clock, self.rules, self._note = clock, rules, note
        self._folder, self._hash_at_boot, self._doors = folder, hash_at_boot, doors
        self.software: dict[str, Software] = {}
        #: The account and its password, the same on all machines of an estate and known in no other.
        self.installer = (INSTALLER, clock.random_bytes(12).hex())
        self.running: dict[tuple[str, str], GuestMachine] = {}
        #: SHA-256 of every disk (by unit) as each machine found it at its last start on a side, where that was asked for.
        self.boots: dict[tuple[str, str], dict[int, str]] = {}
        #: How many writes of each machine its witness had seen when it last started on a side.
        self.written_before: dict[tuple[str, str], int] = {}

    def add(self, plan: MachinePlan, machine_id: str) -> None:
        witness = Witness(_first_contents(plan)) if plan.witness else None
        self.software[plan.name] = Software(plan, machine_id, self._folder / plan.name, self.installer, witness=witness)

    def boot(self, name: str, side: str, host: Host, disks: Mapping[int, tuple[Any, str]], *, owner: str = "") -> GuestMachine:
        """Start a machine on its disks (unit -> device and serial). `owner`: whose copy it is, for a test."""
        found = self.software[owner or name]
        if self._hash_at_boot:
            self.boots[name, side] = {unit: sha256(device) for unit, (device, _) in disks.items()}
        if found.witness is not None and not owner:
            self.written_before[name, side] = len(found.witness.writes)
        guest = GuestMachine(self.clock, found.machine_id, name, found.plan.os_type)
        for unit, (device, serial) in sorted(disks.items()):
            guest.add_disk(unit, device, serial)
        if not owner:
            self._put_software_on(found, guest, side, host)
        if found.plan.workload and len(disks) > 1:
            scope = self.clock.scope(f"workload on {name} ({side})")
            guest.install("workload", lambda: Workload(scope, guest, [1], rate=found.plan.rate, interval=10.0), application=True)
        if found.plan.scripts is not None:
            before, after = (script_file(found.plan.scripts, word, machine=name) for word in ("pre", "post"))
            guest.scripts = Scripts(before, after)
        self.running[name, side] = guest
        self._note(self.clock.now(), "guest-started", name, {"side": side})
        guest.power_on()
        if self._doors is not None:
            self._doors.started(name, side, guest, host.address)
        return guest

    def ended(self, name: str, side: str) -> None:
        """The machine does not run any more."""
        if self.running.pop((name, side), None) is not None:
            self._note(self.clock.now(), "guest-ended", name, {"side": side})
        if self._doors is not None:
            self._doors.ended(name, side)

    def guest(self, name: str) -> GuestMachine | None:
        """The machine, wherever it runs now."""
        return self.running.get((name, ONPREM_SIDE)) or self.running.get((name, AZURE_SIDE))

    def _put_software_on(self, found: Software, guest: GuestMachine, side: str, host: Host) -> None:
        if found.witness is not None:
            guest.install("witness", lambda: _Watching(guest, found.witness))
        if side == ONPREM_SIDE:
            installer, uninstaller = self._installer(found, guest, host), _uninstaller(found, guest)
            describe = partial(_describe, found, guest, host)

            def door(environ: Any, start_response: Any) -> Any:
                return InstallDoor(*found.administrator, installer, uninstaller, describe)(environ, start_response)

            host.listen(DOOR_PORTS[found.plan.os_type], door)
        if found.agent_settings is not None:
            guest.install("mobility-agent", self._agent(found, guest, side, host))

    def _installer(self, found: Software, guest: GuestMachine, host: Host) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
        def install(settings: Mapping[str, Any]) -> Mapping[str, Any]:
            with guest.hold_writes():  # an agent that is there already misses nothing (DIS-012)
                present = guest.service("mobility-agent")
                if present is not None:
                    present.hand_over()
                found.agent_settings = dict(settings)
                guest.install("mobility-agent", self._agent(found, guest, ONPREM_SIDE, host))
            return {"version": AGENT_VERSION}

        return install

    def _agent(self, found: Software, guest: GuestMachine, side: str, host: Host) -> Callable[[], Agent]:
        settings = found.agent_settings or {}
        if found.seat[1] != side:
            found.seat = (found.seat[0] + 1, side)
        folder = found.folder / f"agent-{found.seat[0]}-{side}"

        def make() -> Agent:
            return Agent(
                host,
                guest,
                self.clock.scope(f"agent on {found.plan.name} ({side})"),
                folder,
                configuration_server_url=settings["configurationServer"],
                passphrase=settings["passphrase"],
                side=side,
                version=AGENT_VERSION,
                rules=self.rules,
            )

        return make


def _first_contents(plan: MachinePlan) -> dict[int, Callable[[], Readable]]:
    """What the disks of a machine hold when it is made."""
    first: dict[int, Callable[[], Readable]] = {}
    for unit, size in enumerate(plan.disks):
        if unit == 0 and plan.source is not None:
            first[unit] = partial(FileDisk, str(plan.source), size)
        else:
            first[unit] = partial(ZeroDisk, size)
    return first


def _uninstaller(found: Software, guest: GuestMachine) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    def uninstall(_settings: Mapping[str, Any]) -> Mapping[str, Any]:
        found.agent_settings = None
        guest.uninstall("mobility-agent")
        return {}

    return uninstall


def _describe(found: Software, guest: GuestMachine, host: Host, _settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the machine says of itself: for who cannot ask a vCenter (PHY-001)."""
    return {
        "machineId": found.machine_id,
        "hostName": found.plan.name,
        "osType": found.plan.os_type,
        "cpuCount": 2,
        "memoryMB": 2048,
        "firmware": "BIOS",
        "addresses": [host.address or host.name],
        "disks": [{"diskId": disk.identity.lower(), "unit": disk.unit, "sizeBytes": disk.size} for disk in guest.disks()],
    }


@dataclass(slots=True)
class _Watching:
    """The witness as a program of the guest: in the write path from boot to the end."""

    guest: GuestMachine
    witness: Any

    def start(self) -> None:
        self.guest.attach_filter(self.witness)

    def stop(self) -> None:
        """Writes end before it does."""

    kill = stop
