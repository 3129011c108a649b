"""An ESXi host."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter.entity import ENTITY_PROPERTIES, Property
from emulators.vcenter.inventory import Inventory, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record, Ref, Typed

#: Clock rate of every emulated core.
MHZ = 2294
_GIB = 1024**3


@dataclass(slots=True)
class HostSystem:
    """An ESXi host."""

    moid: str
    name: str
    parent: Ref
    uuid: str
    browser: Ref
    address: str
    booted: float
    cores: int = 16
    memory: int = 128 * _GIB
    datastores: list[Ref] = field(default_factory=list)
    networks: list[Ref] = field(default_factory=list)
    connection: str = "connected"
    maintenance: bool = False
    power: str = "poweredOn"
    #: fields of its HostConfigInfo
    config: dict[str, Any] = field(default_factory=dict)
    #: what it keeps and `config` does not show, by the part that it is of
    hidden: dict[str, Any] = field(default_factory=dict)
    installed: float = 0.0
    #: ids of the objects that it is managed through
    parts: list[str] = field(default_factory=list)
    #: what its own software may take, by group
    resources: dict[str, Record] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "HostSystem"


def machines_on(inventory: Inventory, host: Any) -> list[VirtualMachine]:
    return [vm for vm in inventory.all_of(VirtualMachine) if vm.host.moid == host.moid]


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
        cpuMhz=MHZ,
        numCpuPkgs=2,
        numCpuCores=host.cores,
        numCpuThreads=host.cores * 2,
        numNics=2,
        numHBAs=1,
    )


def _host_runtime(_inventory: Inventory, host: HostSystem) -> Record:
    return Record(
        "HostRuntimeInfo",
        connectionState=host.connection,
        powerState=host.power,
        standbyMode="in" if host.power == "standBy" else "none",
        inMaintenanceMode=host.maintenance,
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
        hz=MHZ * 1_000_000,
        busHz=100_000_000,
        description="Intel(R) Xeon(R) CPU E5-2673 v4 @ 2.30GHz",
        threadId=list(range(host.cores * 2)),
    )
    return Record(
        "HostHardwareInfo",
        systemInfo=Record("HostSystemInfo", vendor="drillbed", model="Emulated Host", uuid=host.uuid),
        cpuInfo=Record("HostCpuInfo", numCpuPackages=2, numCpuCores=host.cores, numCpuThreads=host.cores * 2, hz=MHZ * 1_000_000),
        cpuPkg=[package],
        memorySize=host.memory,
        smcPresent=False,
    )


def _config(inventory: Inventory, host: HostSystem) -> Record:
    return Record("HostConfigInfo", host=ref(host), product=_product(inventory), **host.config)


def _system_resources(_inventory: Inventory, host: HostSystem) -> Record | None:
    if not host.resources:
        return None
    inner = [one for key, one in sorted(host.resources.items()) if key != "host"]
    return Record("HostSystemResourceInfo", key="host", child=inner)


HOST_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "runtime": _host_runtime,
    "summary": _host_summary,
    "hardware": _host_hardware_info,
    "config": _config,
    "systemResources": _system_resources,
    "vm": lambda inventory, host: [ref(vm) for vm in machines_on(inventory, host)],
    "datastore": lambda _inventory, host: list(host.datastores),
    "network": lambda _inventory, host: list(host.networks),
    "datastoreBrowser": lambda _inventory, host: host.browser,
    "configManager": lambda _inventory, _host: Record("HostConfigManager"),
    "licensableResource": lambda _inventory, _host: Record(
        "HostLicensableResourceInfo", resource=[Record("KeyAnyValue", key="numCpuPackages", value=Typed("xsd:int", 2))]
    ),
}
