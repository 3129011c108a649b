"""A machine as its operating system sees it: disks, services that start at boot, orderly shutdown and power loss.

All writes of all disks pass one gate in one order. Filters see each write after it reached the disk and before the next one: that
is where a mobility agent sits. The same on premises and in Azure; only the device below differs.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from emulators.guest.devices import SECTOR, BlockDevice
from emulators.guest.quiescing import Scripts, Writer, scripted, shadow_copy

#: The longest that writes may be held (MVM-001); after it the guest goes on.
HOLD_SECONDS = 1.0


class WriteFilter(Protocol):
    """Sees every write: unit, offset, bytes, time of the guest."""

    def wrote(self, unit: int, offset: int, data: bytes, when: float) -> None: ...


class Service(Protocol):
    """A program that the machine runs from boot on. `stop` is orderly, `kill` is what power loss does."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...


class Now(Protocol):
    """The clock, as far as a guest needs it."""

    def now(self) -> float: ...


Quiesce: TypeAlias = Callable[[], AbstractContextManager[None]]


@dataclass(slots=True)
class GuestDisk:
    """One disk. Reads and writes of any alignment; what reaches the device and the filters is whole sectors."""

    guest: "GuestMachine"
    unit: int
    device: BlockDevice
    identity: str  #: UUID of the disk, what `serial` shows when the hypervisor lets it

    @property
    def serial(self) -> str:
        return self.identity if self.guest.show_serials else ""

    @property
    def size(self) -> int:
        return self.device.size

    def read(self, offset: int, length: int) -> bytes:
        self._check(offset, length)
        return self.device.read(offset, length)

    def write(self, offset: int, data: bytes) -> None:
        """Complete when the local device has it (REP-001). Raises `OSError` beyond the end or when the machine is off."""
        self._check(offset, len(data))
        if data:
            self.guest.pass_write(self, offset, data)

    def write_cached(self, offset: int, data: bytes) -> None:
        """Into the page cache: on the disk only after `sync`, a quiesce or an orderly shutdown; power loss takes it (REP-002)."""
        self._check(offset, len(data))
        if data:
            self.guest.keep_dirty(self, offset, data)

    def flush(self) -> None:
        self.device.flush()

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or length < 0 or offset + length > self.device.size:
            raise OSError(f"bytes {offset} to {offset + length} are not on disk {self.unit} of {self.guest.name}")


class GuestMachine:
    """The operating system of one machine and what runs in it."""

    def __init__(
        self,
        clock: Now,
        machine_id: str,
        name: str,
        os_type: str,
        *,
        show_serials: bool = False,
    ):
        """`os_type` is WINDOWS or LINUX. `show_serials` is what `disk.EnableUUID` decides."""
        self.clock, self.machine_id, self.name, self.os_type = clock, machine_id, name, os_type
        self.show_serials = show_serials
        self.scripts: Scripts | None = None  #: what is installed on a Linux machine to bring applications to rest (RPT-003)
        self._dirty: list[tuple[GuestDisk, int, bytes]] = []
        self.clock_offset = 0.0  #: how wrong the machine's own clock is, seconds (REP-017)
        self.running = False
        self._disks: dict[int, GuestDisk] = {}
        self._filters: list[WriteFilter] = []
        self._drivers: dict[str, WriteFilter] = {}
        self._shutdown: list[Callable[[], None]] = []
        self._services: dict[str, Callable[[], Service]] = {}
        self._started: dict[str, Service] = {}
        self._applications: dict[str, None] = {}
        self._gate = threading.Condition(threading.RLock())
        self._holds: dict[object, threading.Thread] = {}

    # disks -----------------------------------------------------------------------------------------------------------

    def add_disk(self, unit: int, device: BlockDevice, identity: str) -> GuestDisk:
        """Attach a disk, also while the machine runs. Raises `ValueError` when the unit is taken."""
        with self._gate:
            if unit in self._disks:
                raise ValueError(f"unit {unit} of {self.name} has a disk already")
            disk = self._disks[unit] = GuestDisk(self, unit, device, identity)
            return disk

    def remove_disk(self, unit: int) -> None:
        with self._gate:
            del self._disks[unit]

    def disks(self) -> list[Any]:
        """The disks in the order of their units (`GuestDisk`)."""
        return [self._disks[unit] for unit in sorted(self._disks)]

    def disk(self, unit: int) -> GuestDisk:
        return self._disks[unit]

    # writes ----------------------------------------------------------------------------------------------------------

    def pass_write(self, disk: GuestDisk, offset: int, data: bytes) -> None:
        """One write through the gate: to the device, then to the filters."""
        with self._gate:
            if self._holds:
                self._wait_for_release()
            if not self.running:
                raise OSError(f"{self.name} is not running")
            start, whole = _sectors(disk.device, offset, data)
            disk.device.write(start, whole)
            when = self.now()
            for write_filter in self._filters:
                write_filter.wrote(disk.unit, start, whole, when)

    def now(self) -> float:
        """The time as this machine believes it."""
        return self.clock.now() + self.clock_offset

    @contextmanager
    def hold_writes(self) -> Iterator[None]:
        """Let no write begin. Ends by itself when a writer has waited for a second: a guest is never stopped for good."""
        key = object()
        with self._gate:
            self._holds[key] = threading.current_thread()
        try:
            yield
        finally:
            with self._gate:
                self._holds.pop(key, None)
                self._gate.notify_all()

    @property
    def held(self) -> bool:
        return bool(self._holds)

    def _wait_for_release(self) -> None:
        # A writer on the holder's own thread would wait for itself: it goes on at once, and the holder's filter sees the write.
        if threading.current_thread() not in self._holds.values():
            self._gate.wait_for(lambda: not self._holds, timeout=HOLD_SECONDS)
        self._holds.clear()

    def attach_filter(self, write_filter: WriteFilter) -> None:
        with self._gate:
            if write_filter not in self._filters:
                self._filters.append(write_filter)

    def detach_filter(self, write_filter: WriteFilter) -> None:
        with self._gate:
            if write_filter in self._filters:
                self._filters.remove(write_filter)

    def driver(self, name: str, load: Callable[[], WriteFilter]) -> WriteFilter:
        """A filter that belongs to the operating system: loaded once, in the write path until the machine ends (REP-002)."""
        with self._gate:
            if name not in self._drivers:
                self._drivers[name] = load()
                self.attach_filter(self._drivers[name])
            return self._drivers[name]

    # page cache and quiescing ----------------------------------------------------------------------------------------

    def keep_dirty(self, disk: GuestDisk, offset: int, data: bytes) -> None:
        with self._gate:
            if not self.running:
                raise OSError(f"{self.name} is not running")
            self._dirty.append((disk, offset, bytes(data)))

    def sync(self) -> None:
        """Write what the page cache holds to the disks, in the order it came."""
        with self._gate:
            dirty, self._dirty = self._dirty, []
            for disk, offset, data in dirty:
                self.pass_write(disk, offset, data)

    @property
    def quiesce(self) -> Quiesce | None:
        """What brings the applications to rest with everything on disk; None where nothing does (RPT-003)."""
        scripts = self.scripts
        if self.os_type == "WINDOWS":
            return lambda: shadow_copy(self._writers, self.sync)
        return None if scripts is None else lambda: scripted(scripts, self.sync)

    def _writers(self) -> list[Writer]:
        running: list[Any] = [self._started[name] for name in self._applications if name in self._started]
        return [application for application in running if hasattr(application, "freeze")]

    # services and power ----------------------------------------------------------------------------------------------

    def install(self, name: str, make: Callable[[], Service], *, application: bool = False) -> None:
        """Install a program: `make` builds it now (when the machine runs) and at every boot.

        An application starts after the other programs and is stopped before them: it is what writes.
        """
        self.uninstall(name)
        self._services[name] = make
        if application:
            self._applications[name] = None
        if self.running:
            self._launch(name)

    def uninstall(self, name: str) -> None:
        self._services.pop(name, None)
        self._applications.pop(name, None)
        started = self._started.pop(name, None)
        if started is not None:
            started.stop()

    def service(self, name: str) -> Any:
        """The running program of that name, or None."""
        return self._started.get(name)

    def restart(self, name: str) -> None:
        """Start a program again after it was killed."""
        self._launch(name)

    def on_shutdown(self, action: Callable[[], None]) -> None:
        """`action` runs once, in the next orderly shutdown, after the last write. Not at power loss."""
        self._shutdown.append(action)

    def power_on(self) -> None:
        """Boot: services start before anything else can write."""
        if self.running:
            return
        self.running = True
        for name in sorted(self._services, key=lambda name: name in self._applications):
            self._launch(name)

    def shut_down(self) -> None:
        """An orderly shutdown: applications stop, shutdown actions run, services stop, disks are flushed."""
        if not self.running:
            return
        for name in [name for name in self._applications if name in self._started]:
            self._started.pop(name).stop()
        self.sync()
        actions, self._shutdown = self._shutdown, []
        for action in actions:
            action()
        for service in list(self._started.values()):
            service.stop()
        for disk in self.disks():
            disk.flush()
        self._end()

    def power_off(self) -> None:
        """Power loss: nothing gets a chance to say anything (REP-013)."""
        if not self.running:
            return
        with self._gate:
            self.running = False
        for service in list(self._started.values()):
            service.kill()
        self._end()

    def _launch(self, name: str) -> None:
        service = self._services[name]()
        self._started[name] = service
        service.start()

    def _end(self) -> None:
        with self._gate:
            self.running = False
            self._started, self._shutdown = {}, []
            self._filters.clear()
            self._drivers.clear()
            self._dirty.clear()
            self._holds.clear()
            self._gate.notify_all()


def _sectors(device: BlockDevice, offset: int, data: bytes) -> tuple[int, bytes]:
    """The write as whole sectors: what the operating system's cache makes of an odd one."""
    end = offset + len(data)
    start, stop = offset - offset % SECTOR, min(end + -end % SECTOR, device.size)
    if start == offset and stop == end:
        return offset, bytes(data)
    return start, device.read(start, offset - start) + data + device.read(end, stop - end)


def describe(guest: GuestMachine) -> list[Mapping[str, Any]]:
    """The disks as a program in the guest would list them."""
    return [{"unit": disk.unit, "serial": disk.serial, "sizeBytes": disk.size} for disk in guest.disks()]
