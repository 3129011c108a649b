"""RegisterVM_Task and its kin: a machine from its configuration file on a datastore."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from emulators.vcenter import vmx
from emulators.vcenter.entity import must_be_free, plain
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects import vm_create
from emulators.vcenter.objects.files import Place as FilePlace
from emulators.vcenter.objects.files import place as file_place
from emulators.vcenter.objects.virtual_machine import Settings, VirtualMachine
from emulators.vcenter.objects.vm_devices import (
    disk_device,
    disk_key,
    mac_address,
    network_card,
    relabel,
    scsi_controller,
    standard_devices,
)
from emulators.vcenter.objects.vm_files import location
from emulators.vcenter.objects.vm_places import host_in, pool_of
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work
from emulators.vcenter.vmdk import NotAVmdk

SECONDS = 2.0
#: Names of settings that have a place of their own; everything else is an option of the machine.
_KNOWN = {
    ".encoding", "config.version", "virtualhw.version", "displayname", "guestos", "numvcpus", "cpuid.corespersocket", "memsize",
    "firmware", "uuid.bios", "uuid.location", "vc.uuid", "annotation", "ctkenabled",
}  # fmt: skip
_BUSES = ("scsi", "sata", "nvme", "ide", "ethernet")
_KINDS = {name: kind for kind, (_, name) in vmx.CONTROLLERS.items()}
_CARDS = {name: kind for kind, name in vmx.CARDS.items()}


@dataclass(slots=True)
class _File:
    """A configuration file: its settings by lower-case name, and as written."""

    place: FilePlace
    values: dict[str, str]
    written: dict[str, str]

    def number(self, name: str, default: int) -> int:
        told = self.values.get(name, str(default))
        if not told.isascii() or not told.isdigit() or not 0 < int(told) < 2**31:
            raise Fault("InvalidVmConfig", f"{name} is {told!r}, not a number.", property=name)
        return int(told)


def _read(call: Call, path: str, datacenter: Ref | None) -> _File:
    where = file_place(call, path, datacenter, "Datastore.Browse")
    if not where.path.is_file():
        raise Fault("NotFound", f"The configuration file {where.label} was not found.")
    with where.path.open("rb") as file:
        content = file.read(vmx.LONGEST + 1)
    try:
        written = vmx.read(content)
    except vmx.NotAVmx as error:
        raise Fault("InvalidVmConfig", f"{where.label} is no configuration of a machine: {error}.", property="") from None
    return _File(where, {key.lower(): value for key, value in written.items()}, written)


def register(call: Call, folder: Any, args: Any) -> Work:
    """RegisterVM_Task of a folder: as a machine in a pool, or as a template on a host."""
    inventory = call.inventory
    if "VirtualMachine" not in folder.child_types:
        raise Fault("NotSupported", "The folder does not hold virtual machines.")
    template = bool(args["asTemplate"])
    if not template and args.get("pool") is None:
        raise invalid_argument("pool", "A machine needs a resource pool.")
    if template and args.get("host") is None:
        raise invalid_argument("host", "A template needs a host.")
    told = args.get("pool") or inventory.find(inventory.find(args["host"].moid).parent.moid).pool
    pool = pool_of(inventory, told)
    return (yield from _register(call, folder, pool, args, template=template))


def register_child(call: Call, pool: Any, args: Any) -> Work:
    """RegisterChildVM_Task of a pool or vApp: into the folder of the vApp, or the datacenter's own."""
    folder = folder_of(call.inventory, pool)
    return (yield from _register(call, folder, pool, args, template=False))


def create_child(call: Call, pool: Any, args: Any) -> Work:
    """CreateChildVM_Task of a pool or vApp."""
    return (yield from vm_create.create(call, folder_of(call.inventory, pool), {**args, "pool": ref(pool)}))


def folder_of(inventory: Inventory, pool: Any) -> Any:
    """The folder of machines that are made in a pool: the one of the vApp it is in, else that of its datacenter."""
    one = pool
    while one is not None and one.kind in ("ResourcePool", "VirtualApp"):
        if one.kind == "VirtualApp" and one.folder is not None:
            return inventory.find(one.folder.moid)
        one = inventory.find(one.parent.moid)
    while one.kind != "Datacenter":
        one = inventory.find(one.parent.moid)
    return inventory.find(one.vm_folder.moid)


def _register(call: Call, folder: Any, pool: Any, args: Any, *, template: bool) -> Work:
    inventory = call.inventory
    host = host_in(inventory, pool, args.get("host"))
    file = _read(call, args["path"], None)
    name = plain(args.get("name") or file.values.get("displayname") or PurePosixPath(file.place.relative).stem)
    if ref(file.place.datastore) not in host.datastores:
        raise Fault("InvalidDatastore", f"The host {host.name} does not see {file.place.datastore.name}.", name=file.place.label)
    must_be_free(inventory, folder, name)
    _unregistered(inventory, file)
    yield SECONDS
    must_be_free(inventory, folder, name)
    _unregistered(inventory, file)
    vm = _machine(inventory, file, name, folder=folder, pool=pool, host=host)
    vm.template = template
    vm_create.settle(inventory, vm, folder)
    text = "Registered {vm} on {host} in {datacenter}"
    inventory.events.about("VmRegisteredEvent", text, vm, user=call.user, chain=call.task.chain, template=template)
    return ref(vm)


def _unregistered(inventory: Inventory, file: _File) -> None:
    for vm in inventory.all_of(VirtualMachine):
        if vm.datastore == ref(file.place.datastore) and f"{vm.directory}/{vm.vmx}" == file.place.relative.lstrip("/"):
            raise Fault("AlreadyExists", f"{file.place.label} is the machine {vm.name} already.", name=file.place.label)


def _machine(inventory: Inventory, file: _File, name: str, *, folder: Any, pool: Any, host: Any) -> VirtualMachine:
    now = inventory.clock.now()
    directory, _, vmx_name = file.place.relative.lstrip("/").rpartition("/")
    known = {vm.instance_uuid for vm in inventory.all_of(VirtualMachine)}
    told = file.values.get("vc.uuid", "").lower()
    vm = VirtualMachine(
        moid=inventory.new_moid("vm-"),
        name=name,
        parent=ref(folder),
        pool=ref(pool),
        host=ref(host),
        datastore=ref(file.place.datastore),
        datastore_name=file.place.datastore.name,
        directory=directory,
        vmx=vmx_name,
        uuid=file.values.get("uuid.bios", "").lower() or f"42{inventory.clock.uuid()[2:]}",
        instance_uuid=told if told and told not in known else f"50{inventory.clock.uuid()[2:]}",
        created=now,
        modified=now,
        settings=Settings("", 1, 1, 1),
        environment_browser=Ref("EnvironmentBrowser", "envbrowser-" + pool.cluster.moid),
    )
    _apply(inventory, file, vm)
    return vm


def _apply(inventory: Inventory, file: _File, vm: VirtualMachine) -> None:
    """What the file says becomes the machine's configuration. Raises a fault, and then nothing has changed."""
    values = file.values
    settings = Settings(
        guest_id=values.get("guestos", "otherGuest"),
        cpus=file.number("numvcpus", 1),
        cores=file.number("cpuid.corespersocket", 1),
        memory_mb=file.number("memsize", 256),
        firmware="efi" if values.get("firmware", "bios").lower() == "efi" else "bios",
        annotation=values.get("annotation", ""),
        tracking=_true(values.get("ctkenabled")),
    )
    for device in standard_devices():
        settings.devices[device["key"]] = device
    _controllers(values, settings)
    disks = _disks(inventory, file, settings, vm.directory)
    _cards(inventory, values, settings, inventory.find(vm.host.moid))
    for key, value in file.written.items():
        if key.lower() not in _KNOWN and not key.lower().startswith(_BUSES):
            settings.extra[key.lower()] = (key, value)
    relabel(settings)
    vm.settings, vm.disks = settings, disks
    vm.version = f"vmx-{file.number('virtualhw.version', 13):02d}"
    written = values.get("uuid.location", "")
    vm.location = written if written and written != location(vm) else ""


def _true(value: str | None) -> bool:
    return (value or "").upper() == "TRUE"


def _controllers(values: dict[str, str], settings: Settings) -> None:
    for bus, key, count in (("scsi", 1000, 4), ("sata", 15000, 4), ("nvme", 31000, 4)):
        for number in range(count):
            if _true(values.get(f"{bus}{number}.present")):
                default = {"scsi": "lsilogic", "sata": "ahci", "nvme": "nvme"}[bus]
                kind = _KINDS.get(values.get(f"{bus}{number}.virtualdev", default).lower(), "VirtualLsiLogicController")
                made = scsi_controller(key + number, number, kind)
                if bus != "scsi":
                    made = Record(kind, key=key + number, deviceInfo=made["deviceInfo"], controllerKey=100, busNumber=number)
                    made["deviceInfo"]["label"] = f"{bus.upper()} controller {number}"
                settings.devices[made["key"]] = made


def _disks(inventory: Inventory, file: _File, settings: Settings, directory: str) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for controller in [one for one in settings.devices.values() if one["busNumber"] is not None]:
        bus = vmx.CONTROLLERS.get(controller.kind)
        for unit in range(64) if bus else ():
            place = f"{bus[0] if bus else ''}{controller['busNumber']}:{unit}"
            name = file.values.get(f"{place}.filename", "")
            if not _true(file.values.get(f"{place}.present")) or not name.lower().endswith(".vmdk"):
                continue
            disk = _open(file, name if name.startswith("/") else f"{directory}/{name}")
            key = disk_key(settings, controller, unit)
            mode = file.values.get(f"{place}.mode", "persistent").replace("-", "_")
            settings.devices[key] = disk_device(key, controller["key"], unit, disk, mode)
            if file.values.get(f"{place}.sharing") == "multi-writer":
                settings.devices[key]["backing"]["sharing"] = "sharingMultiWriter"
            found[key] = disk
    return found


def _open(file: _File, name: str) -> Any:
    try:
        return file.place.store.open(name.lstrip("/"))
    except (FileNotFoundError, NotAVmdk, ValueError, OSError) as error:
        text = f"The disk {name} of {file.place.label} cannot be opened: {error}"
        raise Fault("InvalidVmConfig", text, property="fileName") from None


def _cards(inventory: Inventory, values: dict[str, str], settings: Settings, host: Any) -> None:
    """Network cards; one whose network the host does not see keeps its name and is not on it."""
    seen = [inventory.find(one.moid) for one in host.networks]
    for number in range(10):
        name = f"ethernet{number}"
        if not _true(values.get(f"{name}.present")):
            continue
        group, label = values.get(f"{name}.dvs.portgroupid"), values.get(f"{name}.networkname", "")
        network = next((one for one in seen if one.moid == group or (not group and one.name == label)), None)
        static = values.get(f"{name}.addresstype") == "static"
        mac = values.get(f"{name}.address" if static else f"{name}.generatedaddress") or mac_address(inventory)
        key = 4000 + number
        if network is not None:
            card = network_card(inventory, key, network, mac.lower())
        else:
            like = Record("VirtualEthernetCardNetworkBackingInfo", deviceName=label)
            card = network_card(inventory, key, _Unseen(label), mac.lower())
            card["backing"] = like
        card.kind = _CARDS.get(values.get(f"{name}.virtualdev", "vmxnet3"), "VirtualVmxnet3")
        card["addressType"] = "manual" if static else "assigned"
        settings.devices[key] = card


@dataclass(slots=True)
class _Unseen:
    """A network that is not there: only its name is known."""

    name: str
    kind: str = "Network"
    moid: str = ""
    switch: Any = None


def reload_from_path(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """reloadVirtualMachineFromPath_Task: the machine keeps its identity in the inventory and takes the file's configuration."""
    inventory = call.inventory
    if vm.power != "poweredOff":
        raise Fault("InvalidPowerState", "It must be off.", requestedState="poweredOff", existingState=vm.power)
    if vm.snapshots:
        raise Fault("InvalidState", "A machine with snapshots cannot be reloaded from another file.")
    yield SECONDS
    file = _read(call, args["configurationPath"], None)
    host = inventory.find(vm.host.moid)
    if ref(file.place.datastore) not in host.datastores:
        raise Fault("InvalidDatastore", f"The host {host.name} does not see {file.place.datastore.name}.", name=file.place.label)
    others = [one for one in inventory.all_of(VirtualMachine) if one is not vm]
    path = file.place.relative.lstrip("/")
    if any(one.datastore == ref(file.place.datastore) and f"{one.directory}/{one.vmx}" == path for one in others):
        raise Fault("AlreadyExists", f"{file.place.label} is another machine.", name=file.place.label)
    before = (vm.datastore, vm.datastore_name, vm.directory, vm.vmx)
    vm.datastore, vm.datastore_name = ref(file.place.datastore), file.place.datastore.name
    vm.directory, _, vm.vmx = path.rpartition("/")
    try:
        _apply(inventory, file, vm)
    except Fault:
        vm.datastore, vm.datastore_name, vm.directory, vm.vmx = before
        raise
    vm.modified, vm.change_version = inventory.clock.now(), vm.change_version + 1
    for place in {before[0].moid, vm.datastore.moid}:
        inventory.change(inventory.find(place), "vm")
    inventory.change(vm, "config", "summary.config", "datastore", "network", "layout", "layoutEx", "storage", "summary.storage")
    text, words = "Reloaded {vm} on {host} in {datacenter} from {path}", {"path": file.place.label}
    more = {"template": False, "configPath": file.place.label}
    inventory.events.about("VmReloadFromPathEvent", text, vm, user=call.user, chain=call.task.chain, words=words, **more)


REGISTER_OPERATIONS = {"RegisterVM_Task": register}
REGISTER_CHILD_OPERATIONS = {"RegisterChildVM_Task": register_child, "CreateChildVM_Task": create_child}
RELOAD_OPERATIONS = {"reloadVirtualMachineFromPath_Task": reload_from_path}
