"""CloneVM_Task and InstantClone_Task: a machine of its own with the bytes of another, as they were at one instant."""

import shutil
from collections.abc import Callable
from typing import Any

from emulators.vcenter.disk_copies import release
from emulators.vcenter.disks import Disk, NoSpace
from emulators.vcenter.entity import must_be_free, plain
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects import vm_create, vm_customize, vm_power, vm_reconfigure
from emulators.vcenter.objects.virtual_disks import copy_bytes
from emulators.vcenter.objects.virtual_machine import Settings, VirtualMachine, VirtualMachineSnapshot
from emulators.vcenter.objects.vm_devices import mac_address
from emulators.vcenter.objects.vm_files import store, write_vmx
from emulators.vcenter.objects.vm_places import Place, datastore_of, host_in, location_privileges, networks_fit, pool_of
from emulators.vcenter.objects.vm_snapshots import no_space
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

SECONDS = 4.0
#: Bytes that are copied each emulated second.
RATE = 200 * 1024 * 1024
_MOVES = {
    None,
    "moveAllDiskBackingsAndAllowSharing",
    "moveAllDiskBackingsAndDisallowSharing",
    "moveAllDiskBackingsAndConsolidate",
    "moveChildMostDiskBacking",
    "createNewChildDiskBacking",
}


def privileges(vm: VirtualMachine, args: Any) -> list[str | tuple[Ref, str]]:
    """What CloneVM_Task needs: it depends on what is made of what."""
    spec: Record = args["spec"]
    kinds = {
        (False, False): "VirtualMachine.Provisioning.Clone",
        (False, True): "VirtualMachine.Provisioning.CreateTemplateFromVM",
        (True, False): "VirtualMachine.Provisioning.DeployTemplate",
        (True, True): "VirtualMachine.Provisioning.CloneTemplate",
    }
    found: list[str | tuple[Ref, str]] = [kinds[vm.template, spec["template"]]]
    found.append((args["folder"], "VirtualMachine.Inventory.CreateFromExisting"))
    if spec["customization"] is not None:
        found.append("VirtualMachine.Provisioning.Customize")
    return found + location_privileges(spec["location"])


def instant_privileges(_vm: VirtualMachine, args: Any) -> list[str | tuple[Ref, str]]:
    """What InstantClone_Task needs beside what the registry says."""
    return location_privileges(args["spec"]["location"])


def clone(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """CloneVM_Task."""
    inventory, spec = call.inventory, args["spec"]
    name = plain(args["name"])
    target = target_of(inventory, vm, args["folder"], spec["location"], template=spec["template"])
    snapshot = _snapshot(vm, spec["snapshot"])
    if spec["template"] and spec["powerOn"]:
        raise invalid_argument("spec.powerOn", "A template cannot be powered on.")
    if spec["location"]["diskMoveType"] == "createNewChildDiskBacking" and snapshot is None and not vm.template:
        raise invalid_argument("spec.snapshot", "A linked clone stands on a snapshot.")
    if spec["customization"] is not None:
        vm_customize.check(vm, spec["customization"])
    _announce(call, vm, target, name)
    linked = spec["location"]["diskMoveType"] == "createNewChildDiskBacking"
    made = yield from _make(call, vm, target, name, snapshot, spec["location"]["transform"], linked=linked)
    made.template = spec["template"]
    try:
        _configure(inventory, made, spec)
    except Fault:
        _discard(inventory, made)
        raise
    if spec["customization"] is not None:
        vm_customize.record(made, spec["customization"])
    _settle(call, vm, made, target)
    if spec["powerOn"]:
        yield from vm_power.power_on(call, made, {})
    return ref(made)


def instant_clone(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """InstantClone_Task: of a running machine, and it runs at once. Its memory is not emulated: its guest boots."""
    inventory, spec = call.inventory, args["spec"]
    if vm.power != "poweredOn":
        raise Fault("InvalidState", "Only a running machine can be cloned instantly.")
    name = plain(spec["name"])
    target = target_of(inventory, vm, spec["location"]["folder"] or vm.parent, spec["location"], template=False)
    _announce(call, vm, target, name)
    made = yield from _make(call, vm, target, name, None, None, linked=True)
    if spec["biosUuid"]:
        made.uuid = spec["biosUuid"].lower()
    try:
        _configure(inventory, made, Record("", config=_options(spec["config"]), location=spec["location"]))
    except Fault:
        _discard(inventory, made)
        raise
    _settle(call, vm, made, target)
    vm_power.set_power(inventory, made, "poweredOn")
    yield from vm_power.hook(inventory, made, "power_on")
    return ref(made)


def _options(told: list[Record] | None) -> Record | None:
    return Record("VirtualMachineConfigSpec", extraConfig=told) if told else None


def target_of(inventory: Inventory, vm: VirtualMachine, folder: Ref | None, spec: Record, *, template: bool) -> Place:
    """Where a clone goes. Raises the fault for what cannot be."""
    home = inventory.find(folder.moid) if folder is not None else None
    if home is None or home.kind != "Folder" or "VirtualMachine" not in home.child_types:
        raise Fault("InvalidFolder", "The folder does not hold virtual machines.", target=folder)
    if spec["diskMoveType"] not in _MOVES:
        raise invalid_argument("spec.location.diskMoveType", f"{spec['diskMoveType']} is not known.")
    if spec["service"] is not None:
        raise Fault("NotSupported", "Cloning into another vCenter is not supported by this emulator.")
    if spec["pool"] is None and vm.template and not template:
        raise invalid_argument("spec.location.pool", "A machine made of a template needs a resource pool.")
    pool = pool_of(inventory, spec["pool"] or vm.pool, "spec.location.pool")
    host = host_in(inventory, pool, spec["host"], liked=vm.host, name="spec.location.host")
    datastore = datastore_of(inventory, host, spec["datastore"], liked=vm.datastore)
    if any(disk["datastore"] != ref(datastore) for disk in spec["disk"] or []):
        raise Fault("NotSupported", "Disks on another datastore than their machine are not supported by this emulator.")
    if not spec["deviceChange"]:
        networks_fit(inventory, vm, host)
    return Place(home, pool, host, datastore)


def _snapshot(vm: VirtualMachine, told: Ref | None) -> VirtualMachineSnapshot | None:
    if told is None:
        return None
    if told.moid not in vm.snapshots:
        raise invalid_argument("spec.snapshot", "It is not a snapshot of this machine.")
    return vm.snapshots[told.moid]


def _announce(call: Call, vm: VirtualMachine, target: Place, name: str) -> None:
    must_be_free(call.inventory, target.folder, name)
    words = {"name": name, "target": target.host.name}
    about = call.inventory.events.about
    if vm.template:
        source = Record("VmEventArgument", name=vm.name, vm=ref(vm))
        text = "Deploying {name} on {target} in {datacenter} from template {vm}"
        about(
            "VmBeingDeployedEvent",
            text,
            vm,
            user=call.user,
            chain=call.task.chain,
            words=words,
            template=True,
            srcTemplate=source,
        )
        return
    more = {
        "destFolder": Record("FolderEventArgument", name=target.folder.name, folder=ref(target.folder)),
        "destName": name,
        "destHost": Record("HostEventArgument", name=target.host.name, host=ref(target.host)),
    }
    text = "Cloning {vm} on {host} in {datacenter} to {name} on {target}"
    about("VmBeingClonedEvent", text, vm, user=call.user, chain=call.task.chain, words=words, template=False, **more)


def _make(
    call: Call,
    vm: VirtualMachine,
    target: Place,
    name: str,
    snapshot: VirtualMachineSnapshot | None,
    transform: str | None,
    *,
    linked: bool = False,
) -> Work:
    """The machine with copies of the disks, not yet in the inventory."""
    inventory = call.inventory
    sources = snapshot.disks if snapshot else vm.disks
    yield SECONDS / 2
    must_be_free(inventory, target.folder, name)
    made = _draft(inventory, vm, target, name, (snapshot.settings if snapshot else vm.settings).copy())
    key = snapshot.moid if snapshot else f"clone of {made.moid}"
    if snapshot is None:
        for disk in sources.values():
            disk.pin(key)
    gone = [one for one, device in made.settings.devices.items() if device.kind == "VirtualDisk" and one not in sources]
    for device in gone:
        del made.settings.devices[device]
    try:
        linked = linked and target.datastore.moid == vm.datastore.moid
        jobs = _linked_disks(made, sources, key) if linked else _new_disks(inventory, made, sources, key, transform)
        copied = 0 if linked else sum(disk.used() for disk in sources.values())
        for quarter in (25, 50, 75, 99) if copied else ():
            yield copied / RATE / 4
            inventory.tasks.progress(call, quarter)
        yield from run_apart(jobs, made)
        yield SECONDS / 2
        must_be_free(inventory, target.folder, name)
    except BaseException:  # also when the task is canceled
        _discard(inventory, made)
        raise
    finally:
        if snapshot is None:
            for disk in sources.values():
                release(disk, key)
    return made


def run_apart(jobs: list[Callable[[], None]], vm: VirtualMachine) -> Work:
    """Have jobs run without the vCenter's lock. A full datastore is the task's error."""
    failures: list[NoSpace] = []

    def run() -> None:
        try:
            for job in jobs:
                job()
        except NoSpace as error:
            failures.append(error)

    yield run
    if failures:
        raise no_space(vm, failures[0])


def _draft(inventory: Inventory, vm: VirtualMachine, target: Place, name: str, settings: Settings) -> VirtualMachine:
    for device in settings.devices.values():
        if device["macAddress"] and device["addressType"] != "manual":
            device["macAddress"] = mac_address(inventory)
        if device["connectable"] is not None:
            device["connectable"]["connected"], device["connectable"]["status"] = False, "untried"
    made = vm_create.new_machine(
        inventory,
        name,
        folder=target.folder,
        pool=target.pool,
        host=target.host,
        datastore=target.datastore,
        settings=settings,
    )
    made.version = vm.version
    store(inventory, made).path(made.directory).mkdir(parents=True)
    return made


def _new_disks(
    inventory: Inventory, made: VirtualMachine, sources: dict[int, Disk], key: str, transform: str | None
) -> list[Callable[[], None]]:
    """Empty disks of the right sizes; the jobs that are answered fill them from the pinned layers `key`."""
    jobs: list[Callable[[], None]] = []
    disks = store(inventory, made)
    for number, (device, source) in enumerate(sorted(sources.items())):
        thin = source.thin if transform is None else transform == "sparse"
        try:
            disk = disks.create(_disk_name(made, number), source.size, thin=thin)
        except NoSpace as error:
            raise no_space(made, error) from None
        made.disks[device] = disk
        jobs.append(_copy_job(source, disk, key))
    return jobs


def _linked_disks(made: VirtualMachine, sources: dict[int, Disk], key: str) -> list[Callable[[], None]]:
    """Disks that stand on the pinned layers `key`: there is nothing left to copy."""
    for number, (device, source) in enumerate(sorted(sources.items())):
        made.disks[device] = source.store.link(source, key, _disk_name(made, number))
    return []


def _disk_name(made: VirtualMachine, number: int) -> str:
    return f"{made.directory}/{made.directory}{f'_{number}' if number else ''}.vmdk"


def _copy_job(source: Disk, target: Disk, key: str) -> Callable[[], None]:
    return lambda: copy_bytes(source, target, source.pins[key])


def _discard(inventory: Inventory, made: VirtualMachine) -> None:
    for disk in made.disks.values():
        disk.store.delete(disk)
    shutil.rmtree(store(inventory, made).path(made.directory), ignore_errors=True)
    made.disks = {}


def _configure(inventory: Inventory, made: VirtualMachine, spec: Record) -> None:
    changes = [spec["config"]] if spec["config"] is not None else []
    if spec["location"]["deviceChange"]:
        changes.append(Record("VirtualMachineConfigSpec", deviceChange=spec["location"]["deviceChange"]))
    for change in changes:
        vm_reconfigure.commit(vm_reconfigure.draft(inventory, made, change))
        if change["uuid"]:
            made.uuid = change["uuid"].lower()
        if change["instanceUuid"]:
            made.instance_uuid = change["instanceUuid"].lower()


def _settle(call: Call, vm: VirtualMachine, made: VirtualMachine, target: Place) -> None:
    inventory = call.inventory
    write_vmx(inventory, made)
    vm_create.settle(inventory, made, target.folder)
    source = Record("VmEventArgument", name=vm.name, vm=ref(vm))
    kind, text, field = "VmClonedEvent", "{source} cloned to {vm} on {host} in {datacenter}", "sourceVm"
    if vm.template:
        kind, text, field = "VmDeployedEvent", "Template {source} deployed on host {host} as {vm}", "srcTemplate"
    words, chain = {"source": vm.name}, call.task.chain
    inventory.events.about(kind, text, made, user=call.user, chain=chain, words=words, template=made.template, **{field: source})


CLONE_OPERATIONS = {"CloneVM_Task": clone, "InstantClone_Task": instant_clone}
