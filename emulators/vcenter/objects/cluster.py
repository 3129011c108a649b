"""A cluster of hosts."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter.entity import ENTITY_OPERATIONS, ENTITY_PROPERTIES, Property
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.objects.host_system import MHZ, HostSystem
from emulators.vcenter.records import Record, Ref


@dataclass(slots=True)
class ClusterComputeResource:
    """A cluster of hosts with its root resource pool."""

    moid: str
    name: str
    parent: Ref | None
    hosts: list[Ref] = field(default_factory=list)
    pool: Ref | None = None
    datastores: list[Ref] = field(default_factory=list)
    networks: list[Ref] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "ClusterComputeResource"

    def below(self) -> list[Ref]:
        return [*self.hosts, *([self.pool] if self.pool else [])]


def _cluster_summary(inventory: Inventory, cluster: ClusterComputeResource) -> Record:
    hosts = [inventory.get(one, HostSystem) for one in cluster.hosts]
    cores = sum(host.cores for host in hosts)
    memory = sum(host.memory for host in hosts)
    return Record(
        "ClusterComputeResourceSummary",
        totalCpu=cores * MHZ,
        totalMemory=memory,
        numCpuCores=cores,
        numCpuThreads=cores * 2,
        effectiveCpu=cores * MHZ,
        effectiveMemory=memory // (1024 * 1024),
        numHosts=len(hosts),
        numEffectiveHosts=len(hosts),
        overallStatus="green",
        currentFailoverLevel=0,
        numVmotions=0,
    )


def _das(**_: Any) -> Record:
    return Record("ClusterDasConfigInfo", enabled=False)


def _drs(**_: Any) -> Record:
    return Record("ClusterDrsConfigInfo", enabled=False, defaultVmBehavior="manual")


CLUSTER_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "host": lambda _inventory, cluster: list(cluster.hosts),
    "resourcePool": lambda _inventory, cluster: cluster.pool,
    "datastore": lambda _inventory, cluster: list(cluster.datastores),
    "network": lambda _inventory, cluster: list(cluster.networks),
    "summary": _cluster_summary,
    "summaryEx": _cluster_summary,
    "configuration": lambda _inventory, _cluster: Record("ClusterConfigInfo", dasConfig=_das(), drsConfig=_drs()),
    "configurationEx": lambda _inventory, _cluster: Record(
        "ClusterConfigInfoEx", vmSwapPlacement="vmDirectory", dasConfig=_das(), drsConfig=_drs()
    ),
}
CLUSTER_OPERATIONS = ENTITY_OPERATIONS
