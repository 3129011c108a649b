"""What the emulated Azure needs from outside, handed in by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from emulators.clock import Process


@dataclass(frozen=True, slots=True)
class BlobPlace:
    """A page blob: where the bytes of a managed disk are (a fixed VHD)."""

    account: str
    container: str
    blob: str


@dataclass(frozen=True, slots=True)
class VmDisk:
    """A disk as the virtual machine has it.

    `unit` 0 is the OS disk, n is the data disk with LUN n-1. `blob` None: an empty disk.
    """

    id: str
    name: str
    unit: int
    size_bytes: int
    is_os_disk: bool
    blob: BlobPlace | None


@dataclass(frozen=True, slots=True)
class VmNic:
    """A network interface with its first address in the virtual network."""

    id: str
    mac_address: str
    address: str
    subnet_id: str
    network_id: str


@dataclass(frozen=True, slots=True)
class VmRecord:
    """A virtual machine of the emulated Azure, as the guest's side needs it."""

    id: str
    name: str
    vm_id: str
    location: str
    os_type: str  #: WINDOWS or LINUX
    disks: tuple[VmDisk, ...] = field(default=())
    nics: tuple[VmNic, ...] = field(default=())


class GuestHooks(Protocol):
    """Runs guests on the machines. Called from work on the clock, outside every lock."""

    def start(self, vm: VmRecord) -> None: ...

    def stop(self, vm: VmRecord, graceful: bool) -> None:
        """`graceful`: an orderly shutdown; otherwise power loss."""
        ...

    def deleted(self, vm: VmRecord) -> None: ...


class StorageService(Protocol):
    """The blob and queue service behind the storage accounts. Called from work on the clock, outside every lock."""

    def create_account(self, name: str, key1: str, key2: str) -> None: ...
    def set_keys(self, name: str, key1: str, key2: str) -> None: ...
    def delete_account(self, name: str) -> None: ...
    def blob_endpoint(self, name: str) -> str: ...
    def queue_endpoint(self, name: str) -> str: ...


#: Length in bytes of a blob, None when there is none. Called from work on the clock, outside every lock.
BlobSize = Callable[[BlobPlace], int | None]

#: Copies a page blob inside the storage service. Called from work on the clock, outside every lock.
BlobCopy = Callable[[BlobPlace, BlobPlace], None]


class LinkSwitch(Protocol):
    """Links between site and virtual network (`vpn`, `expressroute-private`). Called from work on the clock."""

    def set(self, link: str, up: bool) -> None: ...


class RunbookFailed(Exception):
    """A runbook has ended with an error, which is the message. Raised by what runs it."""


@dataclass(frozen=True, slots=True)
class RunbookCall:
    """A runbook that is to run. `kind` is its type (`Python3`), `content` the published text, empty when it has none."""

    account: str
    runbook: str
    kind: str
    content: str
    parameters: dict[str, str]


#: Takes what a runbook says: the stream (Output, Error, Warning, Verbose, Debug, Progress) and the text.
Say = Callable[[str, str], None]


class RunbookPrograms(Protocol):
    """What does the work of runbooks. Called from work on the clock, outside every lock."""

    def known(self, account: str, runbook: str) -> bool:
        """Whether there is a program for the runbook besides its published text. Must not wait."""
        ...

    def run(self, call: RunbookCall, say: Say) -> Process:
        """The run, a generator that yields the seconds it rests. Raises `RunbookFailed`; closing it ends the run."""
        ...


class NoPrograms:
    """Runs nothing: each job of a runbook fails and says so."""

    def known(self, account: str, runbook: str) -> bool:
        return False

    def run(self, call: RunbookCall, say: Say) -> Process:
        yield 0.0
        raise RunbookFailed(f"The estate has no program for runbook {call.runbook} of account {call.account}.")
