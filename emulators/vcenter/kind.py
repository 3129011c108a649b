"""What a managed type can do here: its properties and its operations, as tables."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.records import Ref

#: What an operation on an object with arguments needs: privileges there, or pairs of another object and a privilege on it.
Needed = Callable[[Any, Any], Iterable[str | tuple[Ref, str]]]


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
    privileges: Mapping[str, Needed] = field(default_factory=dict)


def needs(privilege: str, **arguments: str) -> Needed:
    """What an operation needs: a privilege on its object and, by the names of its arguments, on what is handed in."""

    def found(_managed: Any, args: Any) -> list[str | tuple[Ref, str]]:
        pairs: list[str | tuple[Ref, str]] = [privilege]
        for name, wanted in arguments.items():
            told = args.get(name)
            pairs += [(one, wanted) for one in (told if isinstance(told, list) else [told]) if isinstance(one, Ref)]
        return pairs

    return found


def of_disks(vm: Any) -> object:
    """A stamp: what a guest changes without a change of its machine, space that its disks take and points of change ids."""
    return vm.datastore_name, tuple((disk.revision, disk.generation) for disk in vm.disks.values())
