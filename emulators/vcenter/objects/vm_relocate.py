"""RelocateVM_Task and MigrateVM_Task: a machine moves to another host, pool, folder or datastore, running or not."""

import shutil
from typing import Any

from emulators.vcenter.disk_copies import Move, free_stem, release
from emulators.vcenter.disks import NoSpace
from emulators.vcenter.entity import must_be_free
from emulators.vcenter.faults import Fault, invalid_argument, invalid_power_state
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects import vm_clone
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_files import free_directory, store, write_vmx
from emulators.vcenter.objects.vm_places import Place, datastore_of, host_in, location_privileges, networks_fit, pool_of
from emulators.vcenter.objects.vm_snapshots import no_space
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

SECONDS = 3.0


def migrate_privileges(vm: VirtualMachine, _args: Any) -> list[str]:
    """What MigrateVM_Task needs: it depends on whether the machine runs."""
    return ["Resource.HotMigrate" if vm.power == "poweredOn" else "Resource.ColdMigrate"]


def privileges(vm: VirtualMachine, args: Any) -> list[str | tuple[Ref, str]]:
    """What RelocateVM_Task needs beside what the registry says."""
    found = location_privileges(args["spec"])
    if vm.power == "poweredOn" and args["spec"]["host"] not in (None, vm.host):
        found.append("Resource.HotMigrate")
    if args["spec"]["folder"] not in (None, vm.parent):
        found += ["VirtualMachine.Inventory.Move", (args["spec"]["folder"], "VirtualMachine.Inventory.Move")]
    return found


def migrate(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """MigrateVM_Task: to another pool or host. `state` is what the machine's power must be."""
    inventory = call.inventory
    if args.get("state") and args["state"] != vm.power:
        raise invalid_power_state(args["state"], vm.power)
    if args.get("pool") is None and args.get("host") is None:
        raise invalid_argument("host", "A host or a pool is required.")
    told = args.get("pool") or (vm.pool if args.get("host") is None else pool_for(inventory, vm, args["host"]))
    pool = pool_of(inventory, told)
    host = host_in(inventory, pool, args.get("host"), liked=vm.host)
    if vm.datastore not in host.datastores:
        raise Fault("InvalidDatastore", f"The host {host.name} does not see the machine's files.", datastore=vm.datastore)
    yield from _go(call, vm, Place(_home(inventory, vm, None), pool, host, inventory.find(vm.datastore.moid)))


def relocate(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """RelocateVM_Task: what the specification leaves out stays."""
    inventory, spec = call.inventory, args["spec"]
    unknown = next((name for name in ("service", "deviceChange", "cryptoSpec", "tagSpecs") if spec[name]), None)
    if unknown:
        raise Fault("NotSupported", f"Relocating with {unknown} is not supported by this emulator.")
    told = spec["pool"] or (vm.pool if spec["host"] is None else pool_for(inventory, vm, spec["host"]))
    pool = pool_of(inventory, told, "spec.pool")
    host = host_in(inventory, pool, spec["host"], liked=vm.host, name="spec.host")
    datastore = datastore_of(inventory, host, _one_store(spec), liked=vm.datastore)
    home = _home(inventory, vm, spec["folder"])
    if home.kind != "Folder" or "VirtualMachine" not in home.child_types:
        raise Fault("InvalidFolder", "The folder does not hold virtual machines.", target=ref(home))
    if ref(home) != vm.parent:
        must_be_free(inventory, home, vm.name)
    yield from _go(call, vm, Place(home, pool, host, datastore))


def _home(inventory: Inventory, vm: VirtualMachine, told: Ref | None) -> Any:
    folder = told or vm.parent
    return inventory.find(folder.moid) if folder is not None else None


def _one_store(spec: Record) -> Ref | None:
    """Where all goes. Disks that lie elsewhere than their machine are not supported."""
    places = {disk["datastore"] for disk in spec["disk"] or []} | ({spec["datastore"]} if spec["datastore"] else set())
    if len(places) > 1:
        raise Fault("NotSupported", "Disks on another datastore than their machine are not supported by this emulator.")
    return next(iter(places), None)


def pool_for(inventory: Inventory, vm: VirtualMachine, host: Ref) -> Ref:
    """The pool of a machine that moves to a host: its own in the same cluster, else the root of the other."""
    compute = inventory.find(inventory.find(host.moid).parent.moid)
    pool: Ref = vm.pool if ref(compute) == inventory.find(vm.pool.moid).cluster else compute.pool
    return pool


def _go(call: Call, vm: VirtualMachine, target: Place) -> Work:
    inventory = call.inventory
    moves_host, moves_files = ref(target.host) != vm.host, ref(target.datastore) != vm.datastore
    if moves_host:
        networks_fit(inventory, vm, target.host)
    old = inventory.events.places(vm)
    if moves_host or moves_files:
        _tell(call, vm, target, "VmBeingMigratedEvent" if not moves_files else "VmBeingRelocatedEvent", {})
    yield SECONDS / 2
    if moves_files:
        yield from _move_files(call, vm, target)
    yield SECONDS / 2
    _settle(inventory, vm, target)
    if moves_host or moves_files:
        words = {"sourceHost": old["host"], "sourceDatacenter": old["datacenter"], "sourceDatastore": old["ds"]}
        _tell(call, vm, target, "VmMigratedEvent" if not moves_files else "VmRelocatedEvent", words)


def _tell(call: Call, vm: VirtualMachine, target: Place, kind: str, source: dict[str, Record]) -> None:
    words = {"target": target.host.name, "store": target.datastore.name}
    texts = {
        "VmBeingMigratedEvent": "Relocating {vm} from {host} to {target} in {datacenter}",
        "VmBeingRelocatedEvent": "Relocating {vm} in {datacenter} to {target}, {store}",
        "VmMigratedEvent": "Migration of virtual machine {vm} to {host} completed",
        "VmRelocatedEvent": "Completed the relocation of the virtual machine {vm} to {host}, {store}",
    }
    more = source or {
        "destHost": Record("HostEventArgument", name=target.host.name, host=ref(target.host)),
        "destDatastore": Record("DatastoreEventArgument", name=target.datastore.name, datastore=ref(target.datastore)),
    }
    chain = call.task.chain
    call.inventory.events.about(kind, texts[kind], vm, user=call.user, chain=chain, words=words, template=vm.template, **more)


def _settle(inventory: Inventory, vm: VirtualMachine, target: Place) -> None:
    """Let the machine be where it now is, and everything that shows it."""
    old = [vm.pool, vm.host]
    vm.pool, vm.host = ref(target.pool), ref(target.host)
    networks = [*inventory.find(old[1].moid).networks, *target.host.networks]
    for place in {one.moid for one in (*old, vm.pool, vm.host, *networks)}:
        inventory.change(inventory.find(place), "vm")
    if vm.environment_browser is not None:
        vm.environment_browser = Ref("EnvironmentBrowser", "envbrowser-" + target.pool.cluster.moid)
    inventory.change(vm, "resourcePool", "runtime.host", "summary.runtime.host", "environmentBrowser")
    if vm.parent is not None and ref(target.folder) != vm.parent:
        move_to_folder(inventory, vm, target.folder)


def move_to_folder(inventory: Inventory, entity: Any, folder: Any) -> None:
    """Hang an entity into another folder."""
    before = inventory.find(entity.parent.moid)
    before.children.remove(ref(entity))
    entity.parent = ref(folder)
    folder.children.append(ref(entity))
    inventory.change(before, "childEntity")
    inventory.change(folder, "childEntity")
    inventory.change(entity, "parent")


def _move_files(call: Call, vm: VirtualMachine, target: Place) -> Work:
    """Copy the disks with all their layers, switch over, remove the old files."""
    inventory = call.inventory
    disks = {id(disk): disk for disk in _all_disks(vm)}
    _must_be_its_own(inventory, vm, disks)
    there = inventory.stores[target.datastore.moid]
    directory = free_directory(there, vm.directory)
    there.path(directory).mkdir(parents=True)
    moves: dict[int, Move] = {}
    stems: set[str] = set()
    key = f"move of {vm.moid}"
    try:
        for one, disk in disks.items():
            moves[one] = _move(disk, there, f"{directory}/{free_stem(stems, disk.layers[0].path.stem)}", target)
        made = yield from _copied(call, vm, disks, moves, key)
    except BaseException:  # also when the task is canceled
        for move in moves.values():
            move.undo()
        for disk in disks.values():
            release(disk, key)
        shutil.rmtree(there.path(directory), ignore_errors=True)
        raise
    _switch(inventory, vm, target, directory, made)
    for disk in made.values():
        release(disk, key)


def _must_be_its_own(inventory: Inventory, vm: VirtualMachine, disks: dict[int, Any]) -> None:
    for other in inventory.all_of(VirtualMachine):
        if other is not vm and any(id(disk) in disks for disk in _all_disks(other)):
            raise Fault("NotSupported", f"A disk of {vm.name} is attached to {other.name} as well.")


def _copied(call: Call, vm: VirtualMachine, disks: dict[int, Any], moves: dict[int, Move], key: str) -> Work:
    """The disks at their new place. What a running guest writes meanwhile goes to a delta, which is copied last."""
    if vm.power == "poweredOn":
        for disk in disks.values():
            disk.pin(key)
    rest = sum(disk.used() for disk in disks.values()) / vm_clone.RATE
    for quarter in (25, 50, 75, 99):
        yield rest / 4
        call.inventory.tasks.progress(call, quarter)
    yield from vm_clone.run_apart([move.copy_frozen for move in moves.values()], vm)
    try:
        return {one: move.finish() for one, move in moves.items()}
    except NoSpace as error:
        raise no_space(vm, error) from None


def _move(disk: Any, there: Any, name: str, target: Place) -> Move:
    directory, _, stem = name.rpartition("/")
    try:
        return Move(disk, there, directory, stem)
    except ValueError as error:
        raise Fault("NotSupported", f"{disk.file_name} cannot move to another datastore: {error}.") from None
    except NoSpace as error:
        text = f"Insufficient disk space on datastore '{target.datastore.name}': {error}"
        raise Fault("NoDiskSpace", text, file=disk.file_name, datastore=target.datastore.name) from None


def _all_disks(vm: VirtualMachine) -> list[Any]:
    return [*vm.disks.values(), *(disk for snapshot in vm.snapshots.values() for disk in snapshot.disks.values())]


def _switch(inventory: Inventory, vm: VirtualMachine, target: Place, directory: str, made: dict[int, Any]) -> None:
    old_store, old_folder = store(inventory, vm), store(inventory, vm).path(vm.directory)
    old_disks = list({id(disk): disk for disk in _all_disks(vm)}.values())
    vm.disks = {device: made[id(disk)] for device, disk in vm.disks.items()}
    for snapshot in vm.snapshots.values():
        snapshot.disks = {device: made[id(disk)] for device, disk in snapshot.disks.items()}
    before = vm.datastore
    vm.datastore, vm.datastore_name, vm.directory, vm.location = ref(target.datastore), target.datastore.name, directory, ""
    write_vmx(inventory, vm)
    for disk in old_disks:
        old_store.delete(disk)
    if not any(str(disk.layers[0].path).startswith(f"{old_folder}/") for disk in old_store.disks()):
        shutil.rmtree(old_folder, ignore_errors=True)
    for place in (before, vm.datastore):
        inventory.change(inventory.find(place.moid), "vm", "summary.freeSpace", "info.freeSpace")
    inventory.change(vm, "datastore", "config", "layout", "layoutEx", "storage", "summary.storage", "summary.config.vmPathName")


RELOCATE_OPERATIONS = {"MigrateVM_Task": migrate, "RelocateVM_Task": relocate}
