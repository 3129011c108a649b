"""What a managed type can do here: its properties and its operations, as tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.inventory import Call, Inventory


@dataclass(frozen=True, slots=True)
class Kind:
    """`personal` properties depend on who asks; `volatile` ones change without a change of the object: they are never kept.

    `stamps` gives for a property something that is equal as long as what was kept of it is right, beside changes of the object.
    `privileges` tells what an operation needs where the registry leaves it open.
    """

    properties: Mapping[str, Callable[[Inventory, Any], Any]] = field(default_factory=dict)
    operations: Mapping[str, Callable[[Call, Any, Any], Any]] = field(default_factory=dict)
    personal: Mapping[str, Callable[[Call], Any]] = field(default_factory=dict)
    volatile: frozenset[str] = frozenset()
    stamps: Mapping[str, Callable[[Any], object]] = field(default_factory=dict)
    privileges: Mapping[str, Callable[[Any], set[str]]] = field(default_factory=dict)


def of_disks(vm: Any) -> object:
    """A stamp: what a guest changes without a change of its machine, space that its disks take and points of change ids."""
    return vm.datastore_name, tuple((disk.revision, disk.generation) for disk in vm.disks.values())
