"""What the emulated vCenter asks of the guests that run in its machines, and what they tell it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from emulators.vcenter.objects.virtual_machine import VirtualMachine


class GuestHooks(Protocol):
    """Handed in by whoever composes the estate. Called on the clock, never while the vCenter's lock is held."""

    def power_on(self, vm: "VirtualMachine") -> None:
        """The machine has power: boot the guest."""
        ...

    def shut_down(self, vm: "VirtualMachine") -> None:
        """Orderly: the guest runs its shutdown actions and writes no more when this returns."""
        ...

    def power_off(self, vm: "VirtualMachine") -> None:
        """Hard: power is gone (also at reset, suspend and revert)."""
        ...

    def disks_changed(self, vm: "VirtualMachine") -> None:
        """A disk came or went while the machine runs."""
        ...


@dataclass(slots=True)
class GuestState:
    """What VMware Tools in a guest report."""

    running: bool = False
    hostname: str = ""
    addresses: list[str] = field(default_factory=list)
    tools_version: str = "10304"
