"""From an OVF package to the specification of what ImportVApp makes of it."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter import ovf
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.objects.network import Network
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.records import Record, Ref

_SCSI = {
    "virtualscsi": "ParaVirtualSCSIController",
    "lsilogic": "VirtualLsiLogicController",
    "lsilogicsas": "VirtualLsiLogicSASController",
    "buslogic": "VirtualBusLogicController",
}
_CARDS = {"vmxnet3": "VirtualVmxnet3", "e1000": "VirtualE1000", "e1000e": "VirtualE1000e", "pcnet32": "VirtualPCNet32"}
#: diskProvisioning -> thinProvisioned, eagerlyScrub.
_PROVISIONING = {
    "": (None, None),
    "thin": (True, None),
    "sparse": (True, None),
    "monolithicSparse": (True, None),
    "thick": (False, None),
    "flat": (False, None),
    "monolithicFlat": (False, None),
    "eagerZeroedThick": (False, True),
}
#: Devices that are a number of the ConfigSpec.
_NUMBERS = {ovf.CPU: "numCPUs", ovf.MEMORY: "memoryMB"}
_KNOWN = (ovf.CPU, ovf.MEMORY, ovf.IDE, ovf.SCSI, ovf.CARD, ovf.FLOPPY, ovf.CD, ovf.DVD, ovf.DISK, ovf.SATA)


@dataclass(slots=True)
class _Plan:
    """The specification of one machine in the making."""

    package: ovf.Package
    datastore: Any
    networks: dict[str, Any]
    provisioning: tuple[bool | None, bool | None]
    changes: list[Record] = field(default_factory=list)
    controllers: dict[str, tuple[int, str, int]] = field(default_factory=dict)  # InstanceID -> key, kind, bus
    files: list[Record] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)

    def add(self, device: Record, *, file: bool = False) -> None:
        change = Record("VirtualDeviceConfigSpec", operation="add", device=device)
        if file:
            change["fileOperation"] = "create"
        self.changes.append(change)

    def key(self) -> int:
        return -100 - len(self.changes)


def import_spec(
    inventory: Inventory, package: ovf.Package, name: str, datastore: Any, told: Record
) -> tuple[Record, list[Record], list[Fault]]:
    """The ImportSpec, the files to send (OvfFileItem) and warnings. Raises a `Fault` of the Ovf family."""
    provisioning = _PROVISIONING.get(told["diskProvisioning"] or "")
    if provisioning is None:
        raise Fault("OvfUnsupportedPackage", f"Disks cannot be provisioned as {told['diskProvisioning']}.")
    options = [key for key, _, _ in package.options]
    if told["deploymentOption"] and told["deploymentOption"] not in options:
        raise ovf.invalid_value("Configuration", told["deploymentOption"], "id")
    networks = {one["name"]: inventory.find(one["network"].moid) for one in told["networkMapping"] or []}
    files: list[Record] = []
    warnings: list[Fault] = []

    def machine(system: ovf.System, shown: str) -> Record:
        plan = _Plan(package, datastore, networks, provisioning)
        spec = Record("VirtualMachineImportSpec", configSpec=_config(inventory, plan, system, shown))
        files.extend(plan.files)
        warnings.extend(plan.warnings)
        return spec

    def content(one: "ovf.System | ovf.Collection", shown: str) -> Record:
        if isinstance(one, ovf.System):
            return machine(one, shown)
        return Record(
            "VirtualAppImportSpec",
            name=shown,
            vAppConfigSpec=Record("VAppConfigSpec", annotation=one.annotation),
            resourcePoolSpec=_resources(),
            child=[content(inner, inner.name) for inner in one.content],
        )

    return content(package.content, name), files, warnings


def _resources() -> Record:
    def allocation() -> Record:
        shares = Record("SharesInfo", shares=4000, level="normal")
        return Record("ResourceAllocationInfo", reservation=0, expandableReservation=True, limit=-1, shares=shares)

    return Record("ResourceConfigSpec", cpuAllocation=allocation(), memoryAllocation=allocation())


def _config(inventory: Inventory, plan: _Plan, system: ovf.System, name: str) -> Record:
    spec = Record(
        "VirtualMachineConfigSpec",
        name=name,
        guestId=system.os_type or "otherGuest",
        files=Record("VirtualMachineFileInfo", vmPathName=datastore_path(plan.datastore.name, "").strip()),
    )
    if system.annotation:
        spec["annotation"] = system.annotation
    if system.version.startswith("vmx-"):
        spec["version"] = system.version.split()[0]
    for item in system.items:
        if item.kind in _NUMBERS:
            spec[_NUMBERS[item.kind]] = item.quantity
        elif item.kind not in _KNOWN:
            text = f"{item.name or item.kind} (resource type {item.kind}) is left out."
            plan.warnings.append(Fault("OvfUnsupportedElement", text, name=item.name or str(item.kind)))
    for item in sorted(system.items, key=lambda one: one.kind not in (ovf.IDE, ovf.SCSI, ovf.SATA)):
        add = _DEVICES.get(item.kind)
        if add is not None:
            add(inventory, plan, item, name)
    spec["deviceChange"] = plan.changes
    return spec


def _controller(_inventory: Inventory, plan: _Plan, item: ovf.Item, _name: str) -> None:
    """A controller; the two of IDE are there already."""
    same = sum(kind == item.kind for kind in (_kind_of(one) for one in plan.controllers.values()))
    bus = item.address if item.address is not None and item.address < 4 else same
    if item.kind == ovf.IDE:
        plan.controllers[item.instance] = (200 + bus % 2, "VirtualIDEController", bus % 2)
        return
    kind = _SCSI.get(item.subtype, "VirtualLsiLogicController") if item.kind == ovf.SCSI else "VirtualAHCIController"
    key = plan.key()
    plan.controllers[item.instance] = (key, kind, bus)
    more = {"sharedBus": "noSharing"} if item.kind == ovf.SCSI else {}
    plan.add(Record(kind, key=key, busNumber=bus, **more))


def _kind_of(controller: tuple[int, str, int]) -> int:
    kind = controller[1]
    return ovf.IDE if kind == "VirtualIDEController" else ovf.SATA if kind == "VirtualAHCIController" else ovf.SCSI


def _parent(plan: _Plan, item: ovf.Item) -> tuple[int, str, int]:
    found = plan.controllers.get(item.parent)
    if found is None:
        raise ovf.invalid_value("Parent", item.parent)
    return found


def _disk(_inventory: Inventory, plan: _Plan, item: ovf.Item, name: str) -> None:
    entry = plan.package.disk_of(item)
    key, kind, bus = _parent(plan, item)
    thin, eager = plan.provisioning
    backing = Record("VirtualDiskFlatVer2BackingInfo", fileName="", diskMode="persistent")
    backing.fields.update(
        {field: value for field, value in (("thinProvisioned", thin), ("eagerlyScrub", eager)) if value is not None}
    )
    unit = item.address if item.address is not None else -1
    plan.add(
        Record(
            "VirtualDisk",
            key=plan.key(),
            backing=backing,
            controllerKey=key,
            unitNumber=unit,
            capacityInKB=-(-entry.capacity // 1024),
            capacityInBytes=entry.capacity,
        ),
        file=True,
    )
    if entry.file:
        file = plan.package.files[entry.file]
        _file(plan, f"/{name}/{kind}{bus}:{unit}", file, item.kind, create=False)


def _drive(_inventory: Inventory, plan: _Plan, item: ovf.Item, name: str) -> None:
    """A CD drive, with its image where the package has one."""
    key, kind, bus = plan.controllers.get(item.parent, (200, "VirtualIDEController", 0))
    unit = item.address if item.address is not None else -1
    kind_of, _, file = item.host_resource.removeprefix("ovf:").strip("/").partition("/")
    backing = Record("VirtualCdromRemotePassthroughBackingInfo", deviceName="", exclusive=False)
    if kind_of == "file":
        if file not in plan.package.files:
            raise ovf.invalid_value("HostResource", item.host_resource)
        found = plan.package.files[file]
        backing = Record("VirtualCdromIsoBackingInfo", fileName=datastore_path(plan.datastore.name, found.href))
        _file(plan, f"/{name}/{kind}{bus}:{unit}", found, item.kind, create=True)
    plan.add(Record("VirtualCdrom", key=plan.key(), backing=backing, controllerKey=key, unitNumber=unit))


def _file(plan: _Plan, device: str, file: ovf.File, kind: int, *, create: bool) -> None:
    told = Record("OvfFileItem", deviceId=device, path=file.href, cimType=kind, create=create)
    if file.size:
        told["size"] = file.size
    plan.files.append(told)


def _card(inventory: Inventory, plan: _Plan, item: ovf.Item, _name: str) -> None:
    network = plan.networks.get(item.connection) or _first_network(inventory, plan.datastore)
    if network is None:
        raise Fault("OvfNetworkMappingNotSupported", f"There is no network for {item.connection}.")
    if item.connection not in plan.networks:
        plan.warnings.append(
            Fault("OvfUnsupportedElement", f"{item.connection} is taken to {network.name}.", name=item.connection)
        )
    if network.switch is None:
        reference = Ref(network.kind, network.moid)
        backing = Record("VirtualEthernetCardNetworkBackingInfo", deviceName=network.name, network=reference)
    else:
        switch = inventory.find(network.switch.moid)
        port = Record("DistributedVirtualSwitchPortConnection", switchUuid=switch.uuid, portgroupKey=network.moid)
        backing = Record("VirtualEthernetCardDistributedVirtualPortBackingInfo", port=port)
    connect = Record("VirtualDeviceConnectInfo", startConnected=True, allowGuestControl=True, connected=False)
    kind = _CARDS.get(item.subtype, "VirtualE1000")
    plan.add(Record(kind, key=plan.key(), backing=backing, connectable=connect, addressType="generated"))


def _first_network(inventory: Inventory, datastore: Any) -> Any:
    hosts = [inventory.find(one.moid) for one in datastore.hosts]
    found = [inventory.find(one.moid) for host in hosts for one in host.networks]
    return next((one for one in found if isinstance(one, Network)), None)


_DEVICES = {
    ovf.IDE: _controller,
    ovf.SCSI: _controller,
    ovf.SATA: _controller,
    ovf.DISK: _disk,
    ovf.CD: _drive,
    ovf.DVD: _drive,
    ovf.CARD: _card,
}
