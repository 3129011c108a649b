"""Clusters, hosts and resource pools."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter.entity import ENTITY_OPERATIONS, ENTITY_PROPERTIES, Property
from emulators.vcenter.inventory import Inventory, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record, Ref, Typed

_MHZ = 2294
_GIB = 1024**3


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


@dataclass(slots=True)
class HostSystem:
    """An ESXi host."""

    moid: str
    name: str
    parent: Ref | None
    uuid: str
    browser: Ref
    address: str
    booted: float
    cores: int = 16
    memory: int = 128 * _GIB
    datastores: list[Ref] = field(default_factory=list)
    networks: list[Ref] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "HostSystem"


@dataclass(slots=True)
class ResourcePool:
    """A resource pool."""

    moid: str
    name: str
    parent: Ref | None
    cluster: Ref
    pools: list[Ref] = field(default_factory=list)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "ResourcePool"

    def below(self) -> list[Ref]:
        return self.pools


def machines_on(inventory: Inventory, host: Any) -> list[VirtualMachine]:
    return [vm for vm in inventory.all_of(VirtualMachine) if vm.host.moid == host.moid]


def machines_in(inventory: Inventory, pool: Any) -> list[VirtualMachine]:
    return [vm for vm in inventory.all_of(VirtualMachine) if vm.pool.moid == pool.moid]


# host ----------------------------------------------------------------------------------------------------------------


def _host_config(inventory: Inventory, host: HostSystem) -> Record:
    return Record(
        "HostConfigSummary",
        name=host.name,
        port=902,
        product=_product(inventory),
        vmotionEnabled=True,
        faultToleranceEnabled=False,
    )


def _product(inventory: Inventory) -> Record:
    return Record(
        "AboutInfo",
        name="VMware ESXi",
        fullName=f"VMware ESXi {inventory.version} (drillbed emulator)",
        vendor="VMware, Inc.",
        version=inventory.version,
        build="5310538",
        osType="vmnix-x86",
        productLineId="embeddedEsx",
        apiType="HostAgent",
        apiVersion=".".join(inventory.version.split(".")[:2]),
        licenseProductName="VMware ESX Server",
        licenseProductVersion="6.0",
    )


def _host_hardware(_inventory: Inventory, host: HostSystem) -> Record:
    return Record(
        "HostHardwareSummary",
        vendor="drillbed",
        model="Emulated Host",
        uuid=host.uuid,
        memorySize=host.memory,
        cpuModel="Intel(R) Xeon(R) CPU E5-2673 v4 @ 2.30GHz",
        cpuMhz=_MHZ,
        numCpuPkgs=2,
        numCpuCores=host.cores,
        numCpuThreads=host.cores * 2,
        numNics=2,
        numHBAs=1,
    )


def _host_runtime(_inventory: Inventory, host: HostSystem) -> Record:
    return Record(
        "HostRuntimeInfo",
        connectionState="connected",
        powerState="poweredOn",
        standbyMode="none",
        inMaintenanceMode=False,
        bootTime=host.booted,
    )


def _host_summary(inventory: Inventory, host: HostSystem) -> Record:
    running = [vm for vm in machines_on(inventory, host) if vm.power == "poweredOn"]
    return Record(
        "HostListSummary",
        host=ref(host),
        hardware=_host_hardware(inventory, host),
        runtime=_host_runtime(inventory, host),
        config=_host_config(inventory, host),
        quickStats=Record(
            "HostListSummaryQuickStats",
            overallCpuUsage=sum(vm.settings.cpus for vm in running) * 100,
            overallMemoryUsage=sum(vm.settings.memory_mb for vm in running),
        ),
        overallStatus="green",
        rebootRequired=False,
        managementServerIp=inventory.name,
    )


def _host_hardware_info(_inventory: Inventory, host: HostSystem) -> Record:
    package = Record(
        "HostCpuPackage",
        index=0,
        vendor="intel",
        hz=_MHZ * 1_000_000,
        busHz=100_000_000,
        description="Intel(R) Xeon(R) CPU E5-2673 v4 @ 2.30GHz",
        threadId=list(range(host.cores * 2)),
    )
    return Record(
        "HostHardwareInfo",
        systemInfo=Record("HostSystemInfo", vendor="drillbed", model="Emulated Host", uuid=host.uuid),
        cpuInfo=Record(
            "HostCpuInfo", numCpuPackages=2, numCpuCores=host.cores, numCpuThreads=host.cores * 2, hz=_MHZ * 1_000_000
        ),
        cpuPkg=[package],
        memorySize=host.memory,
        smcPresent=False,
    )


def _host_network(_inventory: Inventory, host: HostSystem) -> Record:
    return Record(
        "HostConfigInfo",
        host=ref(host),
        product=_product(_inventory),
        network=Record(
            "HostNetworkInfo",
            vnic=[
                Record(
                    "HostVirtualNic",
                    device="vmk0",
                    key="key-vim.host.VirtualNic-vmk0",
                    portgroup="Management Network",
                    spec=Record("HostVirtualNicSpec", ip=Record("HostIpConfig", dhcp=False, ipAddress=host.address)),
                )
            ],
        ),
    )


HOST_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "runtime": _host_runtime,
    "summary": _host_summary,
    "hardware": _host_hardware_info,
    "config": _host_network,
    "vm": lambda inventory, host: [ref(vm) for vm in machines_on(inventory, host)],
    "datastore": lambda _inventory, host: list(host.datastores),
    "network": lambda _inventory, host: list(host.networks),
    "datastoreBrowser": lambda _inventory, host: host.browser,
    "configManager": lambda _inventory, _host: Record("HostConfigManager"),
    "licensableResource": lambda _inventory, _host: Record(
        "HostLicensableResourceInfo", resource=[Record("KeyAnyValue", key="numCpuPackages", value=Typed("xsd:int", 2))]
    ),
}

# cluster -------------------------------------------------------------------------------------------------------------


def _cluster_summary(inventory: Inventory, cluster: ClusterComputeResource) -> Record:
    hosts = [inventory.get(one, HostSystem) for one in cluster.hosts]
    cores = sum(host.cores for host in hosts)
    memory = sum(host.memory for host in hosts)
    return Record(
        "ClusterComputeResourceSummary",
        totalCpu=cores * _MHZ,
        totalMemory=memory,
        numCpuCores=cores,
        numCpuThreads=cores * 2,
        effectiveCpu=cores * _MHZ,
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

# resource pool -------------------------------------------------------------------------------------------------------


def _allocation() -> Record:
    return Record(
        "ResourceAllocationInfo",
        reservation=0,
        expandableReservation=True,
        limit=-1,
        shares=Record("SharesInfo", shares=4000, level="normal"),
    )


def _pool_config(_inventory: Inventory, pool: ResourcePool) -> Record:
    return Record("ResourceConfigSpec", entity=ref(pool), cpuAllocation=_allocation(), memoryAllocation=_allocation())


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
        cpu=_pool_usage(sum(host.cores for host in hosts) * _MHZ),
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

OPERATIONS = ENTITY_OPERATIONS
