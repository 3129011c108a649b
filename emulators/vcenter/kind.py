"""What a managed type can do here: its properties and its operations, as tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.inventory import Call, Inventory


@dataclass(frozen=True, slots=True)
class Kind:
    """`personal` properties depend on who asks; `volatile` ones change without a change of the object: they are never kept.

    `privileges` tells what an operation needs where the registry leaves it open.
    """

    properties: Mapping[str, Callable[[Inventory, Any], Any]] = field(default_factory=dict)
    operations: Mapping[str, Callable[[Call, Any, Any], Any]] = field(default_factory=dict)
    personal: Mapping[str, Callable[[Call], Any]] = field(default_factory=dict)
    volatile: frozenset[str] = frozenset()
    privileges: Mapping[str, Callable[[Any], set[str]]] = field(default_factory=dict)
