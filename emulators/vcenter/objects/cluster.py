"""A cluster of hosts, and the compute resource that stands for one standalone host."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.entity import ENTITY_PROPERTIES, Property
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.objects.host_system import MHZ, HostSystem
from emulators.vcenter.records import Record, Ref


@dataclass(slots=True)
class ClusterComputeResource:
    """A cluster of hosts with its root resource pool; with the kind `ComputeResource` the frame of one standalone host."""

    moid: str
    name: str
    parent: Ref | None
    hosts: list[Ref] = field(default_factory=list)
    pool: Ref = field(init=False)
    datastores: list[Ref] = field(default_factory=list)
    networks: list[Ref] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    das: Record = field(default_factory=lambda: Record("ClusterDasConfigInfo", enabled=False))
    drs: Record = field(default_factory=lambda: Record("ClusterDrsConfigInfo", enabled=False, defaultVmBehavior="manual"))
    rules: list[Record] = field(default_factory=list)
    groups: list[Record] = field(default_factory=list)
    #: overrides of single machines, by their moid
    das_vms: dict[str, Record] = field(default_factory=dict)
    drs_vms: dict[str, Record] = field(default_factory=dict)
    #: plain fields of the configuration
    more: dict[str, Any] = field(default_factory=dict)
    recommendations: list[Record] = field(default_factory=list)
    kind: str = "ClusterComputeResource"

    def below(self) -> list[Ref]:
        return [*self.hosts, self.pool]


def _summary(inventory: Inventory, cluster: ClusterComputeResource) -> Record:
    hosts = [inventory.get(one, HostSystem) for one in cluster.hosts]
    usable = [host for host in hosts if host.connection == "connected" and not host.maintenance]
    is_cluster = cluster.kind == "ClusterComputeResource"
    more = {"currentFailoverLevel": 0, "numVmotions": 0} if is_cluster else {}
    return Record(
        f"{cluster.kind}Summary",
        totalCpu=sum(host.cores for host in hosts) * MHZ,
        totalMemory=sum(host.memory for host in hosts),
        numCpuCores=sum(host.cores for host in hosts),
        numCpuThreads=sum(host.cores for host in hosts) * 2,
        effectiveCpu=sum(host.cores for host in usable) * MHZ,
        effectiveMemory=sum(host.memory for host in usable) // (1024 * 1024),
        numHosts=len(hosts),
        numEffectiveHosts=len(usable),
        overallStatus="green",
        **more,
    )


def _configuration_ex(_inventory: Inventory, cluster: ClusterComputeResource) -> Record:
    if cluster.kind == "ComputeResource":
        return Record("ComputeResourceConfigInfo", **{"vmSwapPlacement": "vmDirectory", **cluster.more})
    return Record(
        "ClusterConfigInfoEx",
        **{"vmSwapPlacement": "vmDirectory", **cluster.more},
        dasConfig=cluster.das,
        drsConfig=cluster.drs,
        rule=list(cluster.rules),
        group=list(cluster.groups),
        dasVmConfig=list(cluster.das_vms.values()),
        drsVmConfig=list(cluster.drs_vms.values()),
    )


def _configuration(_inventory: Inventory, cluster: ClusterComputeResource) -> Record:
    return Record(
        "ClusterConfigInfo",
        dasConfig=cluster.das,
        drsConfig=cluster.drs,
        rule=list(cluster.rules),
        dasVmConfig=list(cluster.das_vms.values()),
        drsVmConfig=list(cluster.drs_vms.values()),
    )


COMPUTE_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "host": lambda _inventory, cluster: list(cluster.hosts),
    "resourcePool": lambda _inventory, cluster: cluster.pool,
    "datastore": lambda _inventory, cluster: list(cluster.datastores),
    "network": lambda _inventory, cluster: list(cluster.networks),
    "environmentBrowser": lambda _inventory, cluster: Ref("EnvironmentBrowser", f"envbrowser-{cluster.moid}"),
    "summary": _summary,
    "configurationEx": _configuration_ex,
}
CLUSTER_PROPERTIES: dict[str, Property] = {
    **COMPUTE_PROPERTIES,
    "summaryEx": _summary,
    "configuration": _configuration,
    "recommendation": lambda _inventory, cluster: list(cluster.recommendations),
}
