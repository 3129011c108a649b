"""OvfManager: descriptors of machines and vApps, what a descriptor asks for, and the specification for its import."""

from typing import Any

from emulators.vcenter import ovf, schema
from emulators.vcenter.entity import Property, plain
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects import pools
from emulators.vcenter.objects.ovf_import import import_spec
from emulators.vcenter.objects.virtual_machine import Settings, VirtualMachine, VirtualMachineSnapshot, guest_name
from emulators.vcenter.objects.vm_export import device_key
from emulators.vcenter.records import Record

_MIB = 1024**2
_CONTROLLERS = {
    "VirtualIDEController": (ovf.IDE, "PIIX4"),
    "ParaVirtualSCSIController": (ovf.SCSI, "VirtualSCSI"),
    "VirtualLsiLogicController": (ovf.SCSI, "lsilogic"),
    "VirtualLsiLogicSASController": (ovf.SCSI, "lsilogicsas"),
    "VirtualBusLogicController": (ovf.SCSI, "buslogic"),
    "VirtualAHCIController": (ovf.SATA, "vmware.sata.ahci"),
}
_CARDS = {"VirtualVmxnet3": "VmxNet3", "VirtualE1000": "E1000", "VirtualE1000e": "E1000e", "VirtualPCNet32": "PCNet32"}


# our own descriptors -----------------------------------------------------------------------------------------------------


def create_descriptor(call: Call, _manager: Any, args: Any) -> Record:
    """CreateDescriptor of a machine or vApp; `ovfFiles` tell what an export has written."""
    inventory, spec = call.inventory, args["cdp"]
    entity = inventory.find(args["obj"].moid)
    files = {told["deviceId"]: told for told in spec["ovfFiles"] or []}
    root = ovf.envelope()
    references = ovf.element(root, "References")
    disks = ovf.element(root, "DiskSection")
    ovf.element(disks, "Info", "Virtual disk information")
    networks = ovf.element(root, "NetworkSection")
    ovf.element(networks, "Info", "The list of logical networks")
    snapshot = inventory.get(spec["snapshot"], VirtualMachineSnapshot) if spec["snapshot"] else None
    seen: set[str] = set()
    if isinstance(entity, VirtualMachine):
        settings = snapshot.settings if snapshot is not None else entity.settings
        held = snapshot.disks if snapshot is not None else entity.disks
        machines, parent = [(entity, settings, held)], root
    elif entity.kind == "VirtualApp":
        machines = [(vm, vm.settings, vm.disks) for vm in pools.inside(inventory, entity)]
        parent = ovf.element(root, "VirtualSystemCollection", id=entity.name)
        ovf.element(parent, "Info", "A collection of virtual machines")
        ovf.element(parent, "Name", entity.name)
    else:
        raise invalid_argument("obj", f"A {entity.kind} has no descriptor.")
    for vm, settings, held in machines:
        name = spec["name"] if spec["name"] and parent is root else vm.name
        system = ovf.element(parent, "VirtualSystem", id=name)
        ovf.element(system, "Info", "A virtual machine")
        ovf.element(system, "Name", name)
        if settings.annotation or spec["description"]:
            note = ovf.element(system, "AnnotationSection")
            ovf.element(note, "Info", "A human-readable annotation")
            ovf.element(note, "Annotation", spec["description"] or settings.annotation)
        _operating_system(system, settings)
        hardware = ovf.element(system, "VirtualHardwareSection")
        ovf.element(hardware, "Info", "Virtual hardware requirements")
        head = ovf.element(hardware, "System")
        for key, value in (("ElementName", "Virtual Hardware Family"), ("InstanceID", "0"), ("VirtualSystemType", vm.version)):
            ovf.element(head, key, value, ovf.VSSD)
        _hardware(hardware, settings)
        _disks(hardware, references, disks, vm, settings, held, files)
        _cards(inventory, hardware, networks, vm, settings, seen)
    return Record("OvfCreateDescriptorResult", ovfDescriptor=ovf.text_of(root), includeImageFiles=bool(spec["includeImageFiles"]))


def _operating_system(system: Any, settings: Settings) -> None:
    section = ovf.element(system, "OperatingSystemSection", id="1")
    section.set(f"{{{ovf.VMW}}}osType", settings.guest_id)
    ovf.element(section, "Info", "The kind of installed guest operating system")
    ovf.element(section, "Description", guest_name(settings.guest_id))


def _hardware(hardware: Any, settings: Settings) -> None:
    ovf.item(
        hardware,
        AllocationUnits="hertz * 10^6",
        ElementName=f"{settings.cpus} virtual CPU(s)",
        InstanceID=1,
        ResourceType=ovf.CPU,
        VirtualQuantity=settings.cpus,
    )
    ovf.item(
        hardware,
        AllocationUnits="byte * 2^20",
        ElementName=f"{settings.memory_mb}MB of memory",
        InstanceID=2,
        ResourceType=ovf.MEMORY,
        VirtualQuantity=settings.memory_mb,
    )
    for key, device in sorted(settings.devices.items()):
        if device.kind in _CONTROLLERS:
            kind, subtype = _CONTROLLERS[device.kind]
            label = device["deviceInfo"]["label"]
            ovf.item(
                hardware,
                Address=device["busNumber"],
                ElementName=label,
                InstanceID=key,
                ResourceSubType=subtype,
                ResourceType=kind,
            )


def _disks(
    hardware: Any, references: Any, section: Any, vm: VirtualMachine, settings: Settings, held: Any, files: dict[str, Record]
) -> None:
    for key, disk in sorted(held.items()):
        told = files.get(device_key(vm.moid, settings, key)) or files.get(device_key(vm.name, settings, key))
        name = f"{vm.moid}-{key}"
        extra = {}
        if told is not None:
            ovf.element(references, "File", id=f"file-{name}", href=told["path"], size=str(told["size"]))
            extra = {"fileRef": f"file-{name}", "format": ovf.FORMAT}
            if told["populatedSize"]:
                extra["populatedSize"] = str(told["populatedSize"])
        ovf.element(section, "Disk", diskId=f"vmdisk-{name}", capacity=str(disk.size), capacityAllocationUnits="byte", **extra)
        device = settings.devices[key]
        ovf.item(
            hardware,
            AddressOnParent=device["unitNumber"],
            ElementName=device["deviceInfo"]["label"],
            HostResource=f"ovf:/disk/vmdisk-{name}",
            InstanceID=key,
            Parent=device["controllerKey"],
            ResourceType=ovf.DISK,
        )


def _cards(inventory: Inventory, hardware: Any, section: Any, vm: VirtualMachine, settings: Settings, seen: set[str]) -> None:
    for key, device in sorted(settings.devices.items()):
        if not schema.is_a(device.kind, "VirtualEthernetCard"):
            continue
        network = _network_name(inventory, device)
        if network not in seen:
            seen.add(network)
            ovf.element(ovf.element(section, "Network", name=network), "Description", f"The {network} network")
        ovf.item(
            hardware,
            AddressOnParent=device["unitNumber"],
            AutomaticAllocation="true",
            Connection=network,
            ElementName=device["deviceInfo"]["label"],
            InstanceID=key,
            ResourceSubType=_CARDS.get(device.kind, "E1000"),
            ResourceType=ovf.CARD,
        )


def _network_name(inventory: Inventory, device: Record) -> str:
    backing = device["backing"]
    if backing["port"] is not None:
        found = inventory.find(backing["port"]["portgroupKey"])
        return str(found.name) if found is not None else "network"
    return str(backing["deviceName"] or "network")


# descriptors of others ---------------------------------------------------------------------------------------------------


def parse_descriptor(_call: Call, _manager: Any, args: Any) -> Record:
    """ParseDescriptor: what a descriptor says of itself. What is wrong with it comes in `error`."""
    try:
        package = ovf.parse(args["ovfDescriptor"])
    except Fault as fault:
        empty = {"annotation": "", "defaultEntityName": "", "virtualApp": False, "defaultDeploymentOption": ""}
        return Record("OvfParseDescriptorResult", **empty, error=[fault.record()])
    content = package.content
    sizes = _sizes(package)
    result = Record(
        "OvfParseDescriptorResult",
        eula=package.eula,
        network=[Record("OvfNetworkInfo", name=name, description=text) for name, text in package.networks.items()],
        annotation=content.annotation,
        approximateDownloadSize=sizes["downloadSize"],
        approximateFlatDeploymentSize=sizes["flatDeploymentSize"],
        approximateSparseDeploymentSize=sizes["sparseDeploymentSize"],
        defaultEntityName=content.name,
        virtualApp=isinstance(content, ovf.Collection),
        deploymentOption=[
            Record("OvfDeploymentOption", key=key, label=label, description=text) for key, label, text in package.options
        ],
        defaultDeploymentOption=package.options[0][0] if package.options else "",
        entityName=[Record("KeyValue", key=system.id, value=system.name) for system in package.systems()],
    )
    if package.product:
        names = {"name": "Product", "vendor": "Vendor", "version": "Version", "fullVersion": "FullVersion"}
        result["productInfo"] = Record("VAppProductInfo", key=0, **{name: package.product[told] for name, told in names.items()})
    return result


def _sizes(package: ovf.Package) -> dict[str, int]:
    disks = [disk for system in package.systems() for _, disk in package.content_of(system)]
    return {
        "downloadSize": sum(one.size for one in package.files.values()),
        "flatDeploymentSize": sum(disk.capacity for disk in disks),
        "sparseDeploymentSize": sum(disk.populated or (package.files[disk.file].size if disk.file else 0) for disk in disks),
    }


def validate_host(call: Call, _manager: Any, args: Any) -> Record:
    """ValidateHost: whether a host could run what a descriptor asks for, and how it could keep the disks."""
    host = call.inventory.find(args["host"].moid)
    result = Record("OvfValidateHostResult", supportedDiskProvisioning=["thin", "thick", "eagerZeroedThick"])
    try:
        package = ovf.parse(args["ovfDescriptor"])
        result.fields.update(_sizes(package))
        problems = [problem for system in package.systems() for problem in _too_large(system, host)]
    except Fault as fault:
        problems = [fault]
    result["error"] = [problem.record() for problem in problems]
    return result


def _too_large(system: ovf.System, host: Any) -> list[Fault]:
    found = []
    for item in system.items:
        if item.kind == ovf.CPU and item.quantity > host.cores:
            text = f"{system.name} wants {item.quantity} processors, {host.name} has {host.cores}."
            found.append(Fault("OvfHostValueNotParsed", text, property="VirtualQuantity", value=str(item.quantity)))
        if item.kind == ovf.MEMORY and item.quantity * _MIB > host.memory:
            text = f"{system.name} wants {item.quantity} MB, {host.name} has {host.memory // _MIB}."
            found.append(Fault("OvfHostValueNotParsed", text, property="VirtualQuantity", value=str(item.quantity)))
    return found


def create_import_spec(call: Call, _manager: Any, args: Any) -> Record:
    """CreateImportSpec: the specification for ImportVApp, and the files to send. What is wrong comes in `error`."""
    spec = args["cisp"]
    try:
        package = ovf.parse(args["ovfDescriptor"])
        name = plain(spec["entityName"] or package.content.name)
        datastore = call.inventory.find(args["datastore"].moid)
        made, files, warnings = import_spec(call.inventory, package, name, datastore, spec)
    except Fault as fault:
        return Record("OvfCreateImportSpecResult", error=[fault.record()])
    return Record("OvfCreateImportSpecResult", importSpec=made, fileItem=files, warning=[one.record() for one in warnings])


OVF_PROPERTIES: dict[str, Property] = {
    "ovfImportOption": lambda _inventory, _manager: [],
    "ovfExportOption": lambda _inventory, _manager: [],
}
OVF_OPERATIONS = {
    "CreateDescriptor": create_descriptor,
    "ParseDescriptor": parse_descriptor,
    "ValidateHost": validate_host,
    "CreateImportSpec": create_import_spec,
}
