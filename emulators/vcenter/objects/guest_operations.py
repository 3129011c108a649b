"""Guest operations: who may act in a machine's guest, its processes, environment, and the objects that serve all this."""

import hmac
import posixpath
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter import guest_programs
from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault
from emulators.vcenter.guest_files import FileTree, tree
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects.virtual_machine import VirtualMachine, guest_family
from emulators.vcenter.objects.vm_power import require
from emulators.vcenter.records import Record, Ref

MANAGER = "guestOperationsManager"
#: How long a process that has ended is still listed, and a ticket or transfer is good, seconds.
LISTED, GOOD = 300.0, 600.0
_MOST_PROCESSES, _MOST_TICKETS = 500, 100


@dataclass(slots=True)
class Process:
    """A process. It ends at `ends` by itself; None for one that runs until the guest stops."""

    pid: int
    name: str
    owner: str
    command: str
    started: float
    ends: float | None
    code: int = 0


@dataclass(slots=True)
class Transfer:
    """A file on its way in (`size` bytes will come) or out."""

    path: str
    user: str
    incoming: bool
    size: int
    overwrite: bool
    attributes: dict[str, Any]
    until: float


@dataclass(slots=True)
class GuestSystem:
    """What the operating system of one machine has for guest operations."""

    windows: bool
    hostname: str
    files: FileTree
    accounts: dict[str, str] = field(default_factory=dict)
    processes: dict[int, Process] = field(default_factory=dict)
    tickets: dict[str, tuple[str, float]] = field(default_factory=dict)  #: ticket -> user, until when
    transfers: dict[str, Transfer] = field(default_factory=dict)  #: by the token of the address
    aliases: dict[str, dict[str, tuple[bool, list[Record]]]] = field(
        default_factory=dict
    )  #: user -> certificate -> mapped, aliases
    registry: Any = None
    booted: float | None = None
    last_pid: int = 1000

    @property
    def admin(self) -> str:
        return self.files.admin


@dataclass(slots=True)
class GuestOperations:
    """The GuestOperationsManager. Guests by the moid of their machine; files as they were in snapshots."""

    kind: str
    moid: str
    systems: dict[str, GuestSystem] = field(default_factory=dict)
    kept: dict[str, FileTree] = field(default_factory=dict)  #: by the moid of the snapshot
    cache: dict[str, Any] = field(default_factory=dict)


def systems(inventory: Inventory) -> GuestOperations:
    found: GuestOperations = inventory.find(MANAGER)
    return found


def system_of(inventory: Inventory, vm: VirtualMachine) -> GuestSystem:
    """The guest system of a machine; made when first asked for."""
    held = systems(inventory)
    for moid in [moid for moid in held.systems if inventory.find(moid) is None]:
        del held.systems[moid]
    found = held.systems.get(vm.moid)
    if found is None:
        windows = guest_family(vm.settings.guest_id) == "windowsGuest"
        admin, hostname = "Administrator" if windows else "root", vm.guest.hostname or vm.name
        files = tree(windows, admin, hostname, sorted(guest_programs.commands(windows)), inventory.clock.now())
        found = held.systems[vm.moid] = GuestSystem(windows, hostname, files)
    if found.booted != vm.boot_time:  # processes and credentials do not survive a boot
        found.booted = vm.boot_time
        found.processes.clear()
        found.tickets.clear()
        found.transfers.clear()
        if vm.guest.hostname and vm.guest.hostname != found.hostname:
            found.hostname = vm.guest.hostname
            if not found.windows:
                found.files.write(found.admin, "/etc/hostname", f"{found.hostname}\n".encode(), inventory.clock.now())
    return found


def keep(inventory: Inventory, vm: VirtualMachine, snapshot: str) -> None:
    """Remember a guest's files with a snapshot."""
    held = systems(inventory)
    if vm.moid in held.systems:
        held.kept[snapshot] = held.systems[vm.moid].files.copy()


def restore(inventory: Inventory, vm: VirtualMachine, snapshot: str) -> None:
    """Give a guest the files it had when a snapshot was taken."""
    held = systems(inventory)
    files = held.kept.get(snapshot)
    if files is not None and vm.moid in held.systems:
        held.systems[vm.moid].files = files.copy()
    else:
        held.systems.pop(vm.moid, None)


def forget(inventory: Inventory, snapshot: str) -> None:
    systems(inventory).kept.pop(snapshot, None)


# who -------------------------------------------------------------------------------------------------------------------


def enter(call: Call, args: Any) -> tuple[GuestSystem, str]:
    """The guest and the user of an operation. Raises `InvalidPowerState`, `GuestOperationsUnavailable`, `InvalidGuestLogin`."""
    vm = call.inventory.get(args["vm"], VirtualMachine)
    require(vm, "poweredOn", wanted="poweredOn")
    if not vm.guest.running:
        raise Fault(
            "GuestOperationsUnavailable", "The guest operations agent could not be contacted: VMware Tools is not running."
        )
    system = system_of(call.inventory, vm)
    return system, _user(call, system, args.get("auth") or args["requestedAuth"])


def _user(call: Call, system: GuestSystem, auth: Record) -> str:
    if auth["interactiveSession"]:
        raise Fault("OperationNotSupportedByGuest", "Nobody has logged in at the guest's console.")
    if auth.kind == "NamePasswordAuthentication":
        user, password = auth["username"], auth["password"]
        known = next((name for name in system.accounts if name.lower() == user.lower()), None)
        if known is not None and hmac.compare_digest(system.accounts[known].encode(), password.encode()):
            return known
        if not system.accounts and call.inventory.find("SessionManager").anybody and user and password:
            return str(user)
    if auth.kind == "TicketedSessionAuthentication":
        found = system.tickets.get(auth["ticket"])
        if found is not None and found[1] >= call.inventory.clock.now():
            return found[0]
    raise Fault("InvalidGuestLogin", "Failed to authenticate with the guest operating system using the supplied credentials.")


def validate(call: Call, _manager: Any, args: Any) -> None:
    """ValidateCredentialsInGuest."""
    enter(call, args)


def acquire(call: Call, _manager: Any, args: Any) -> Record:
    """AcquireCredentialsInGuest: a ticket in place of name and password, until it is released or the guest boots."""
    system, user = enter(call, args)
    while len(system.tickets) >= _MOST_TICKETS:
        del system.tickets[next(iter(system.tickets))]
    ticket = call.inventory.clock.random_bytes(16).hex()
    system.tickets[ticket] = (user, call.inventory.clock.now() + GOOD)
    return Record("TicketedSessionAuthentication", interactiveSession=False, ticket=ticket)


def release(call: Call, _manager: Any, args: Any) -> None:
    """ReleaseCredentialsInGuest."""
    system, _ = enter(call, args)
    system.tickets.pop(args["auth"]["ticket"] or "", None)


# processes -------------------------------------------------------------------------------------------------------------


def start(call: Call, _manager: Any, args: Any) -> int:
    """StartProgramInGuest: returns the process id."""
    system, user = enter(call, args)
    now, spec = call.inventory.clock.now(), args["spec"]
    _sweep(system, now)
    if len(system.processes) >= _MOST_PROCESSES:
        raise Fault("GuestOperationsFault", "The guest runs too many processes.")
    told = dict(pair.partition("=")[::2] for pair in spec["envVariables"] or [])
    home = "C:\\Windows\\System32" if system.windows else "/"
    directory = spec["workingDirectory"] or home
    system.files.get(directory if not system.windows else directory.rstrip("\\"), "directory")
    run = guest_programs.Run(system.files, user, now, system.hostname, directory, {**environment(system, user), **told})
    code = guest_programs.start(run, spec["programPath"], spec["arguments"] or "")
    system.last_pid += 1
    path, name = spec["programPath"], spec["programPath"].replace("\\", "/").rpartition("/")[2]
    command = f'"{path}" {spec["arguments"] or ""}'.rstrip()
    system.processes[system.last_pid] = Process(system.last_pid, name, user, command, now, now + run.seconds, code)
    return system.last_pid


def _sweep(system: GuestSystem, now: float) -> None:
    for pid, process in list(system.processes.items()):
        if process.ends is not None and process.ends + LISTED < now:
            del system.processes[pid]


def _resident(system: GuestSystem) -> list[Process]:
    """The processes that every guest has."""
    booted = system.booted or 0.0
    names = ((4, "System"), (612, "services.exe"), (1404, "vmtoolsd.exe")) if system.windows else ((1, "init"), (402, "vmtoolsd"))
    return [Process(pid, name, system.admin, name, booted, None) for pid, name in names]


def processes(call: Call, _manager: Any, args: Any) -> list[Record]:
    """ListProcessesInGuest: those that run, and for five minutes those that have ended."""
    system, _ = enter(call, args)
    now = call.inventory.clock.now()
    _sweep(system, now)
    wanted = set(args.get("pids") or [])
    shown = []
    for process in [*_resident(system), *system.processes.values()]:
        if wanted and process.pid not in wanted:
            continue
        record = Record(
            "GuestProcessInfo",
            name=process.name,
            pid=process.pid,
            owner=process.owner,
            cmdLine=process.command,
            startTime=process.started,
        )
        if process.ends is not None and process.ends <= now:
            record.fields.update(endTime=process.ends, exitCode=process.code)
        shown.append(record)
    return shown


def terminate(call: Call, _manager: Any, args: Any) -> None:
    """TerminateProcessInGuest."""
    system, user = enter(call, args)
    now, process = call.inventory.clock.now(), system.processes.get(args["pid"])
    if process is None or process.ends is None or process.ends <= now:
        if any(one.pid == args["pid"] for one in _resident(system)):
            raise Fault("GuestPermissionDenied", "The guest needs that process.")
        raise Fault("GuestProcessNotFound", f"There is no process {args['pid']}.", pid=args["pid"])
    if user.lower() not in (system.admin.lower(), process.owner.lower()):
        raise Fault("GuestPermissionDenied", f"{user} may not end process {process.pid}.")
    process.ends, process.code = now, 1 if system.windows else 143


def environment(system: GuestSystem, user: str) -> dict[str, str]:
    """The environment of a user's processes."""
    if system.windows:
        return {"COMPUTERNAME": system.hostname, "PATH": "C:\\Windows\\System32", "TEMP": "C:\\Windows\\Temp", "USERNAME": user}
    home = posixpath.join("/", "root") if user == system.admin else posixpath.join("/", "home", user)
    return {"HOME": home, "HOSTNAME": system.hostname, "PATH": "/bin", "USER": user}


def read_environment(call: Call, _manager: Any, args: Any) -> list[str]:
    """ReadEnvironmentVariableInGuest: `NAME=value` of those that exist."""
    found = environment(*enter(call, args))
    names = args.get("names") or list(found)
    return [f"{name}={found[name]}" for name in names if name in found]


GUEST_PROPERTIES: dict[str, Property] = {
    "authManager": lambda _inventory, _manager: Ref("GuestAuthManager", "guestOperationsAuthManager"),
    "fileManager": lambda _inventory, _manager: Ref("GuestFileManager", "guestOperationsFileManager"),
    "processManager": lambda _inventory, _manager: Ref("GuestProcessManager", "guestOperationsProcessManager"),
    "guestWindowsRegistryManager": lambda _inventory, _manager: Ref(
        "GuestWindowsRegistryManager", "guestOperationsWindowsRegistryManager"
    ),
    "aliasManager": lambda _inventory, _manager: Ref("GuestAliasManager", "guestOperationsAliasManager"),
}
AUTH_OPERATIONS = {
    "ValidateCredentialsInGuest": validate,
    "AcquireCredentialsInGuest": acquire,
    "ReleaseCredentialsInGuest": release,
}
PROCESS_OPERATIONS = {
    "StartProgramInGuest": start,
    "ListProcessesInGuest": processes,
    "TerminateProcessInGuest": terminate,
    "ReadEnvironmentVariableInGuest": read_environment,
}
