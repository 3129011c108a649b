"""A resource pool."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.entity import ENTITY_PROPERTIES, Property
from emulators.vcenter.inventory import Inventory, ref
from emulators.vcenter.objects.cluster import ClusterComputeResource
from emulators.vcenter.objects.host_system import MHZ, HostSystem
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record, Ref


@dataclass(slots=True)
class ResourcePool:
    """A resource pool; with the kind `VirtualApp` a vApp."""

    moid: str
    name: str
    parent: Ref | None
    cluster: Ref
    pools: list[Ref] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    cpu: Record = field(default_factory=lambda: _allocation())
    memory: Record = field(default_factory=lambda: _allocation())
    #: of a vApp
    folder: Ref | None = None
    annotation: str = ""
    importing: bool = False  #: a lease is still filling its machines
    kind: str = "ResourcePool"

    def below(self) -> list[Ref]:
        return self.pools


def machines_in(inventory: Inventory, pool: Any) -> list[VirtualMachine]:
    return [vm for vm in inventory.all_of(VirtualMachine) if vm.pool.moid == pool.moid and not vm.template]


def _allocation() -> Record:
    return Record(
        "ResourceAllocationInfo",
        reservation=0,
        expandableReservation=True,
        limit=-1,
        shares=Record("SharesInfo", shares=4000, level="normal"),
    )


def _pool_config(_inventory: Inventory, pool: ResourcePool) -> Record:
    return Record("ResourceConfigSpec", entity=ref(pool), cpuAllocation=pool.cpu, memoryAllocation=pool.memory)


def _pool_usage(maximum: int) -> Record:
    return Record(
        "ResourcePoolResourceUsage",
        reservationUsed=0,
        reservationUsedForVm=0,
        unreservedForPool=maximum,
        unreservedForVm=maximum,
        overallUsage=0,
        maxUsage=maximum,
    )


def _pool_runtime(inventory: Inventory, pool: ResourcePool) -> Record:
    cluster = inventory.get(pool.cluster, ClusterComputeResource)
    hosts = [inventory.get(one, HostSystem) for one in cluster.hosts]
    return Record(
        "ResourcePoolRuntimeInfo",
        memory=_pool_usage(sum(host.memory for host in hosts)),
        cpu=_pool_usage(sum(host.cores for host in hosts) * MHZ),
        overallStatus="green",
    )


def _pool_summary(inventory: Inventory, pool: ResourcePool) -> Record:
    return Record(
        "ResourcePoolSummary", name=pool.name, config=_pool_config(inventory, pool), runtime=_pool_runtime(inventory, pool)
    )


POOL_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "owner": lambda _inventory, pool: pool.cluster,
    "resourcePool": lambda _inventory, pool: list(pool.pools),
    "vm": lambda inventory, pool: [ref(vm) for vm in machines_in(inventory, pool)],
    "config": _pool_config,
    "runtime": _pool_runtime,
    "summary": _pool_summary,
    "childConfiguration": lambda _inventory, _pool: [],
}
