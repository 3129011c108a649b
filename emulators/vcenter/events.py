"""Events with the classes and texts of vCenter."""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from emulators.vcenter.inventory import Inventory
from emulators.vcenter.records import Record, Ref

_KEPT = 20_000
_WORD = re.compile(r"\{(\w+)\}")


@dataclass(slots=True)
class EventLog:
    """The newest events of one vCenter, oldest first."""

    inventory: Inventory
    events: deque[Record] = field(default_factory=lambda: deque(maxlen=_KEPT))
    last_key: int = 0
    listeners: list[Callable[[Inventory, Record], None]] = field(default_factory=list)

    def post(self, kind: str, message: str, /, *, user: str = "", chain: int = 0, **fields: Any) -> Record:
        """Record an event of class `kind`."""
        self.last_key += 1
        event = Record(
            kind,
            key=self.last_key,
            chainId=chain or self.last_key,
            createdTime=self.inventory.clock.now(),
            userName=user,
            fullFormattedMessage=message,
            **fields,
        )
        self.events.append(event)
        manager = self.inventory.find("EventManager")
        if manager is not None:
            self.inventory.change(manager, "latestEvent")
        for listener in self.listeners:
            listener(self.inventory, event)
        return event

    def about(
        self, kind: str, message: str, vm: Any, /, *, user: str = "", chain: int = 0, words: Any = None, **fields: Any
    ) -> Record:
        """An event of a machine. `message` may use {vm}, {host}, {datacenter} and what `words` names."""
        places = self.places(vm)
        names = {"vm": vm.name, "host": places["host"]["name"], "datacenter": places["datacenter"]["name"], **(words or {})}
        text = _WORD.sub(lambda found: str(names.get(found[1], found[0])), message)
        return self.post(kind, text, user=user, chain=chain, **places, **fields)

    def about_host(self, kind: str, message: str, host: Any, /, *, user: str = "", chain: int = 0, **fields: Any) -> Record:
        """An event of a host. `message` may use {host} and {datacenter}."""
        compute = self.inventory.find(host.parent.moid)
        places = {"host": Record("HostEventArgument", name=host.name, host=Ref("HostSystem", host.moid))}
        names = {"host": host.name}
        if compute is not None:
            of_compute = Ref(compute.kind, compute.moid)
            places["computeResource"] = Record("ComputeResourceEventArgument", name=compute.name, computeResource=of_compute)
            datacenter = datacenter_of(self.inventory, compute)
            names["datacenter"] = datacenter.name
            home = Ref("Datacenter", datacenter.moid)
            places["datacenter"] = Record("DatacenterEventArgument", name=datacenter.name, datacenter=home)
        text = _WORD.sub(lambda found: str(names.get(found[1], found[0])), message)
        return self.post(kind, text, user=user, chain=chain, **places, **fields)

    def places(self, vm: Any) -> dict[str, Record]:
        """The arguments of an event that say where a machine is."""
        host = self.inventory.find(vm.host.moid)
        cluster = self.inventory.find(host.parent.moid)
        datacenter = datacenter_of(self.inventory, vm)
        store = self.inventory.find(vm.datastore.moid)
        return {
            "datacenter": _argument("DatacenterEventArgument", "datacenter", datacenter.kind, datacenter.moid, datacenter.name),
            "computeResource": _argument(
                "ComputeResourceEventArgument", "computeResource", cluster.kind, cluster.moid, cluster.name
            ),
            "host": _argument("HostEventArgument", "host", host.kind, host.moid, host.name),
            "vm": _argument("VmEventArgument", "vm", vm.kind, vm.moid, vm.name),
            "ds": _argument("DatastoreEventArgument", "datastore", store.kind, store.moid, store.name),
        }


@lru_cache(1024)
def _argument(kind: str, field: str, type_name: str, moid: str, name: str) -> Record:
    """An argument of an event. Events of one place share it: it is never changed."""
    return Record(kind, name=name, **{field: Ref(type_name, moid)})


def datacenter_of(inventory: Inventory, entity: Any) -> Any:
    """The datacenter an entity lies in, or None."""
    while entity is not None and entity.kind != "Datacenter":
        entity = inventory.find(entity.parent.moid) if entity.parent else None
    return entity


def involves(inventory: Inventory, event: Record, entity: Ref, recursion: str) -> bool:
    """Whether an event is about an entity (`self`), about something below it (`children`), or either (`all`)."""
    named = {
        value.fields[inner].moid
        for value in event.fields.values()
        if isinstance(value, Record)
        for inner in value.fields
        if isinstance(value.fields[inner], Ref)
    }
    if recursion in ("self", "all") and entity.moid in named:
        return True
    if recursion == "self":
        return False
    return any(entity.moid in above(inventory, moid) for moid in named)


def above(inventory: Inventory, moid: str) -> list[str]:
    """The ids of all entities above one, nearest first."""
    found = []
    entity = inventory.find(moid)
    while entity is not None and getattr(entity, "parent", None):
        found.append(entity.parent.moid)
        entity = inventory.find(entity.parent.moid)
    return found
