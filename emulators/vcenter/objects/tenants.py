"""TenantTenantManager: entities that belong to the provider of the service, not to its tenants."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.inventory import Call
from emulators.vcenter.records import Ref


@dataclass(slots=True)
class Tenants:
    """The marked entities."""

    kind: str
    moid: str
    marked: dict[Ref, None] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)


def mark(_call: Call, tenants: Tenants, args: Any) -> None:
    """MarkServiceProviderEntities."""
    tenants.marked.update(dict.fromkeys(args.get("entity") or []))


def unmark(_call: Call, tenants: Tenants, args: Any) -> None:
    """UnmarkServiceProviderEntities."""
    for one in args.get("entity") or []:
        tenants.marked.pop(one, None)


def retrieve(call: Call, tenants: Tenants, _args: Any) -> list[Ref]:
    """RetrieveServiceProviderEntities: those that are still there."""
    return [one for one in tenants.marked if call.inventory.find(one.moid) is not None]


TENANT_OPERATIONS = {
    "MarkServiceProviderEntities": mark,
    "UnmarkServiceProviderEntities": unmark,
    "RetrieveServiceProviderEntities": retrieve,
}
