"""ExportVm, ExportSnapshot, ExportVApp and ImportVApp: each opens a lease under which the files travel."""

from typing import Any

from emulators.vcenter.disks import Disk
from emulators.vcenter.entity import must_be_free, plain
from emulators.vcenter.events import datacenter_of
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects import pools, vm_create, vm_destroy
from emulators.vcenter.objects.nfc_lease import LeaseFile, begin
from emulators.vcenter.objects.resource_pool import ResourcePool
from emulators.vcenter.objects.virtual_machine import Settings, VirtualMachine, VirtualMachineSnapshot
from emulators.vcenter.objects.vm_files import store
from emulators.vcenter.objects.vm_places import Place, host_in, require_usable
from emulators.vcenter.objects.vm_power import require
from emulators.vcenter.paths import datastore_path, split_path
from emulators.vcenter.records import Record, Ref


def device_key(name: str, settings: Settings, key: int) -> str:
    """A device as OVF and leases name it: `/web/VirtualLsiLogicController0:1`."""
    device = settings.devices[key]
    controller = settings.devices.get(device["controllerKey"])
    kind, bus = (controller.kind, controller["busNumber"]) if controller is not None else ("VirtualController", 0)
    return f"/{name}/{kind}{bus}:{device['unitNumber']}"


def _disks(vm: VirtualMachine, settings: Settings, disks: dict[int, Disk], first: int, point: str | None) -> list[LeaseFile]:
    return [
        LeaseFile(
            name=f"disk-{number}.vmdk",
            key=device_key(vm.moid, settings, key),
            import_key=device_key(vm.name, settings, key),
            capacity=disk.size,
            disk=disk,
            point=point,
            datastore=vm.datastore.moid,
        )
        for number, (key, disk) in enumerate(sorted(disks.items()), first)
    ]


def export_machine(call: Call, vm: VirtualMachine, _args: Any) -> Ref:
    """ExportVm: the machine is off, and stays so as long as the lease lives."""
    require(vm, "poweredOff", wanted="poweredOff")
    return begin(call, vm, [vm], _disks(vm, vm.settings, vm.disks, 0, None), None, ("VirtualMachine", "ExportVm"))


def export_snapshot(call: Call, snapshot: VirtualMachineSnapshot, _args: Any) -> Ref:
    """ExportSnapshot: the disks as they were; the machine may run."""
    vm = call.inventory.get(snapshot.owner, VirtualMachine)
    files = _disks(vm, snapshot.settings, snapshot.disks, 0, snapshot.moid)
    return begin(call, vm, [vm], files, None, ("VirtualMachineSnapshot", "ExportSnapshot"))


def export_vapp(call: Call, vapp: ResourcePool, _args: Any) -> Ref:
    """ExportVApp: the disks of all its machines, which are off."""
    machines = list(pools.inside(call.inventory, vapp))
    files: list[LeaseFile] = []
    for vm in machines:
        require(vm, "poweredOff", wanted="poweredOff")
        files += _disks(vm, vm.settings, vm.disks, len(files), None)
    return begin(call, vapp, machines, files, None, ("VirtualApp", "ExportVApp"))


# import ------------------------------------------------------------------------------------------------------------------


def import_vapp(call: Call, pool: ResourcePool, args: Any) -> Ref:
    """ImportVApp: what the specification tells is made at once and waits for its bytes."""
    inventory, spec = call.inventory, args["spec"]
    folder = inventory.find(args["folder"].moid) if args.get("folder") else _home(inventory, pool)
    machines: list[VirtualMachine] = []
    vapps: list[ResourcePool] = []
    try:
        made = _import(call, spec, Place(folder, pool, args.get("host"), None), machines, vapps)
        files: list[LeaseFile] = []
        for vm in machines:
            files += _disks(vm, vm.settings, vm.disks, len(files), None)
            files += _other_files(call, vm, len(files))
        return begin(
            call, made, machines, files, lambda: _undo(call, machines, vapps), ("ResourcePool", "ImportVApp"), [*machines, *vapps]
        )
    except Fault:
        _undo(call, machines, vapps)
        raise


def _home(inventory: Inventory, pool: ResourcePool) -> Any:
    datacenter = datacenter_of(inventory, inventory.find(pool.cluster.moid))
    return inventory.find(datacenter.vm_folder.moid)


def _import(call: Call, spec: Record, place: Place, machines: list[VirtualMachine], vapps: list[ResourcePool]) -> Any:
    if spec.kind == "VirtualMachineImportSpec":
        machines.append(_machine(call, spec["configSpec"], place))
        machines[-1].importing = True
        return machines[-1]
    if spec.kind != "VirtualAppImportSpec":
        raise invalid_argument("spec", f"A {spec.kind} cannot be imported.")
    must_be_free(call.inventory, place.folder, plain(spec["name"]))
    told = {"name": spec["name"], "resSpec": spec["resourcePoolSpec"], "configSpec": spec["vAppConfigSpec"]}
    outer = place.pool.kind == "VirtualApp"
    found = pools.create_vapp(call, place.pool, told if outer else {**told, "vmFolder": ref(place.folder)})
    vapp = call.inventory.get(found, ResourcePool)
    vapps.append(vapp)
    vapp.importing = True
    for child in spec["child"] or []:
        _import(call, child, Place(place.folder, vapp, place.host, None), machines, vapps)
    return vapp


def _machine(call: Call, spec: Record, place: Place) -> VirtualMachine:
    host = host_in(call.inventory, place.pool, place.host)
    require_usable(host)
    datastore = vm_create.datastore_of(call.inventory, spec, host)
    return vm_create.made(call, spec, Place(place.folder, place.pool, host, datastore))


def _other_files(call: Call, vm: VirtualMachine, first: int) -> list[LeaseFile]:
    """Images of CD and floppy drives that come with the machine: they are named without a folder and not there yet."""
    found: list[LeaseFile] = []
    for key, device in sorted(vm.settings.devices.items()):
        backing = device["backing"]
        if backing is None or backing.kind not in ("VirtualCdromIsoBackingInfo", "VirtualFloppyImageBackingInfo"):
            continue
        datastore, relative = split_path(backing["fileName"])
        if datastore != vm.datastore_name or not relative or "/" in relative or store(call.inventory, vm).path(relative).exists():
            continue
        path = f"{vm.directory}/{relative}"
        backing["fileName"] = datastore_path(vm.datastore_name, path)
        names = device_key(vm.moid, vm.settings, key), device_key(vm.name, vm.settings, key)
        found.append(LeaseFile(f"file-{first + len(found)}.iso", *names, 0, path=path, datastore=vm.datastore.moid))
    return found


def _undo(call: Call, machines: list[VirtualMachine], vapps: list[ResourcePool]) -> None:
    """Take back everything that an import has made, where it is still there."""
    inventory = call.inventory
    for vm in machines:
        if inventory.find(vm.moid) is vm and vm.power != "poweredOn":
            vm_destroy.remove(call, vm, with_files=True)
    for vapp in reversed(vapps):
        if inventory.find(vapp.moid) is vapp:
            pools.dissolve(inventory, vapp)
    machines.clear()
    vapps.clear()


def discard_unfinished(inventory: Inventory) -> None:
    """Take back the imports whose leases ended with the process that served them."""
    machines = [vm for vm in inventory.all_of(VirtualMachine) if vm.importing]
    vapps = [pool for pool in inventory.all_of(ResourcePool) if pool.importing]
    _undo(Call(inventory, None), machines, vapps)


EXPORT_OF_MACHINE = {"ExportVm": export_machine}
EXPORT_OF_SNAPSHOT = {"ExportSnapshot": export_snapshot}
IMPORT_OPERATIONS = {"ImportVApp": import_vapp}
VAPP_OPERATIONS = {**IMPORT_OPERATIONS, "ExportVApp": export_vapp}
