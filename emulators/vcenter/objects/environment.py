"""The environment browser of a cluster: what machines can have there."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter import vmx
from emulators.vcenter.entity import Property
from emulators.vcenter.faults import invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.cluster import ClusterComputeResource
from emulators.vcenter.objects.datastore import DATASTORE_PROPERTIES
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.objects.network import NETWORK_PROPERTIES
from emulators.vcenter.objects.virtual_machine import GUEST_NAMES, guest_family
from emulators.vcenter.plainest import plainest
from emulators.vcenter.records import Record, Ref

#: Hardware versions, oldest first, and what they came with.
HARDWARE = {
    "vmx-08": "ESXi 5.0 virtual machine",
    "vmx-09": "ESXi 5.1 virtual machine",
    "vmx-10": "ESXi 5.5 virtual machine",
    "vmx-11": "ESXi 6.0 virtual machine",
    "vmx-13": "ESXi 6.5 virtual machine",
    "vmx-14": "ESXi 6.7 virtual machine",
    "vmx-17": "ESXi 7.0 virtual machine",
    "vmx-19": "ESXi 7.0 U2 virtual machine",
    "vmx-20": "ESXi 8.0 virtual machine",
    "vmx-21": "ESXi 8.0 U2 virtual machine",
}
DEFAULT_HARDWARE = "vmx-13"
#: Devices that machines can have.
_DEVICES = (*vmx.CONTROLLERS, *vmx.CARDS, "VirtualDisk", "VirtualCdrom")
_MOST_CPUS, _MOST_MEMORY_MB = 128, 6128 * 1024


@dataclass(slots=True)
class EnvironmentBrowser:
    """What a cluster can run."""

    moid: str
    owner: Ref
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "EnvironmentBrowser"


def _hosts(inventory: Inventory, browser: EnvironmentBrowser, told: Ref | None) -> list[HostSystem]:
    """The hosts of the compute resource, or the told one. Raises `InvalidArgument` when that is not one of them."""
    compute = inventory.get(browser.owner, ClusterComputeResource)
    if told is not None and told not in compute.hosts:
        raise invalid_argument("host", "It is not a host of this compute resource.")
    return [inventory.get(one, HostSystem) for one in ([told] if told is not None else compute.hosts)]


def descriptors(hosts: list[Ref], default: str = DEFAULT_HARDWARE) -> list[Record]:
    """The hardware versions as clients are offered them."""
    return [
        Record(
            "VirtualMachineConfigOptionDescriptor",
            key=key,
            description=text,
            host=hosts,
            createSupported=True,
            defaultConfigOption=key == default,
            runSupported=True,
            upgradeSupported=True,
        )
        for key, text in HARDWARE.items()
    ]


def query_descriptors(call: Call, browser: EnvironmentBrowser, _args: Any) -> list[Record]:
    """QueryConfigOptionDescriptor."""
    return descriptors([ref(host) for host in _hosts(call.inventory, browser, None)])


def query_option(call: Call, browser: EnvironmentBrowser, args: Any) -> Record:
    """QueryConfigOption."""
    return _option(call, browser, args.get("key"), args.get("host"), None)


def query_option_ex(call: Call, browser: EnvironmentBrowser, args: Any) -> Record:
    """QueryConfigOptionEx: with the guests that the specification names only."""
    spec = args.get("spec") or Record("EnvironmentBrowserConfigOptionQuerySpec")
    return _option(call, browser, spec["key"], spec["host"], spec["guestId"])


def _option(call: Call, browser: EnvironmentBrowser, key: str | None, host: Ref | None, guests: list[str] | None) -> Record:
    _hosts(call.inventory, browser, host)
    version = key or DEFAULT_HARDWARE
    if version not in HARDWARE:
        raise invalid_argument("key", f"{version} is not known here.")
    cpus = Record("IntOption", min=1, max=_MOST_CPUS, defaultValue=1)
    memory = Record("LongOption", min=4, max=_MOST_MEMORY_MB, defaultValue=256)
    hardware = plainest(
        "VirtualHardwareOption", hwVersion=int(version[4:]), numCPU=[1, 2, 4, 8, 16, 32, 64, 128], memoryMB=memory
    )
    hardware["numCoresPerSocket"] = cpus
    hardware["virtualDeviceOption"] = [plainest("VirtualDeviceOption", type=kind) for kind in _DEVICES]
    wanted = [one for one in GUEST_NAMES if not guests or one in guests]
    return plainest(
        "VirtualMachineConfigOption",
        version=version,
        description=HARDWARE[version],
        guestOSDescriptor=[_guest(one) for one in wanted],
        guestOSDefaultIndex=0,
        hardwareOptions=hardware,
        supportedMonitorType=["release"],
    )


def _guest(guest_id: str) -> Record:
    windows = guest_family(guest_id) == "windowsGuest"
    return plainest(
        "GuestOsDescriptor",
        id=guest_id,
        family=guest_family(guest_id),
        fullName=GUEST_NAMES[guest_id],
        supportedMaxCPUs=_MOST_CPUS,
        supportedMinMemMB=4,
        supportedMaxMemMB=_MOST_MEMORY_MB,
        recommendedMemMB=4096 if windows else 2048,
        supportedDiskControllerList=["ParaVirtualSCSIController", "VirtualLsiLogicController", "VirtualLsiLogicSASController"],
        recommendedSCSIController="VirtualLsiLogicSASController" if windows else "ParaVirtualSCSIController",
        recommendedDiskController="VirtualLsiLogicSASController" if windows else "ParaVirtualSCSIController",
        supportedEthernetCard=["VirtualVmxnet3", "VirtualE1000e", "VirtualE1000"],
        recommendedEthernetCard="VirtualVmxnet3",
        recommendedDiskSizeMB=40960 if windows else 16384,
        recommendedCdromController="VirtualIDEController",
        supportedFirmware=["bios", "efi"],
        recommendedFirmware="bios",
    )


def query_target(call: Call, browser: EnvironmentBrowser, args: Any) -> Record:
    """QueryConfigTarget: what the hosts offer to a machine: datastores, networks, processors, memory."""
    inventory = call.inventory
    hosts = _hosts(inventory, browser, args.get("host"))
    if not hosts:
        return Record("ConfigTarget", numCpus=0, numCpuCores=0, numNumaNodes=0, smcPresent=False, maxMemMBOptimalPerf=0)
    places = [inventory.find(one.moid) for one in dict.fromkeys(one for host in hosts for one in host.networks)]
    memory = max(host.memory for host in hosts) // (1024 * 1024)
    return Record(
        "ConfigTarget",
        numCpus=sum(host.cores * 2 for host in hosts),
        numCpuCores=sum(host.cores for host in hosts),
        numNumaNodes=2,
        maxCpusPerHost=max(host.cores * 2 for host in hosts),
        smcPresent=False,
        maxMemMBOptimalPerf=memory,
        supportedMaxMemMB=memory,
        autoVmotion=len(hosts) > 1,
        datastore=[_datastore(inventory, one) for one in dict.fromkeys(one for host in hosts for one in host.datastores)],
        network=[_network(inventory, one) for one in places if one.switch is None],
        distributedVirtualPortgroup=[portgroup_info(inventory, one) for one in places if one.switch is not None],
    )


def _datastore(inventory: Inventory, one: Ref) -> Record:
    found = inventory.find(one.moid)
    return Record(
        "VirtualMachineDatastoreInfo",
        name=found.name,
        datastore=DATASTORE_PROPERTIES["summary"](inventory, found),
        capability=DATASTORE_PROPERTIES["capability"](inventory, found),
        maxFileSize=DATASTORE_PROPERTIES["info"](inventory, found)["maxFileSize"],
        mode="readWrite",
    )


def _network(inventory: Inventory, network: Any) -> Record:
    return Record("VirtualMachineNetworkInfo", name=network.name, network=NETWORK_PROPERTIES["summary"](inventory, network))


def portgroup_info(inventory: Inventory, group: Any) -> Record:
    """DistributedVirtualPortgroupInfo."""
    switch = inventory.find(group.switch.moid)
    return Record(
        "DistributedVirtualPortgroupInfo",
        switchName=switch.name,
        switchUuid=switch.uuid,
        portgroupName=group.name,
        portgroupKey=group.moid,
        portgroupType="earlyBinding",
        uplinkPortgroup=group.uplink,
        portgroup=ref(group),
    )


_CAPABLE = {
    "recursiveResourcePoolsSupported", "cpuMemoryResourceConfigurationSupported", "rebootSupported", "shutdownSupported",
    "vmotionSupported", "standbySupported", "sanSupported", "nfsSupported", "vlanTaggingSupported", "maintenanceModeSupported",
    "storageVMotionSupported", "vmotionWithStorageVMotionSupported", "cloneFromSnapshotSupported", "deltaDiskBackingsSupported",
    "screenshotSupported", "vmfsDatastoreMountCapable", "backgroundSnapshotsSupported", "suspendedRelocateSupported",
}  # fmt: skip


def capability() -> Record:
    """What the emulated hosts can do."""
    return plainest("HostCapability", **dict.fromkeys(_CAPABLE, True), maxSupportedVcpus=_MOST_CPUS)


def host_capability(_inventory: Inventory, _host: HostSystem) -> Record:
    """`HostSystem.capability`."""
    return capability()


def query_capability(call: Call, browser: EnvironmentBrowser, args: Any) -> Record | None:
    """QueryTargetCapabilities."""
    return capability() if _hosts(call.inventory, browser, args.get("host")) else None


ENVIRONMENT_PROPERTIES: dict[str, Property] = {
    "datastoreBrowser": lambda inventory, browser: next(
        (inventory.find(one.moid).browser for one in inventory.find(browser.owner.moid).hosts), None
    )
}
ENVIRONMENT_OPERATIONS = {
    "QueryConfigOptionDescriptor": query_descriptors,
    "QueryConfigOption": query_option,
    "QueryConfigOptionEx": query_option_ex,
    "QueryConfigTarget": query_target,
    "QueryTargetCapabilities": query_capability,
}
