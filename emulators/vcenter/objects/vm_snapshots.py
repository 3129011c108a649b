"""Snapshots: they hold settings and bytes, restore both, and are merged away when removed."""

from typing import Any

from emulators.vcenter.disks import NoSpace
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects import guest_operations
from emulators.vcenter.objects.virtual_machine import VirtualMachine, VirtualMachineSnapshot
from emulators.vcenter.objects.vm_files import write_vmx
from emulators.vcenter.objects.vm_power import check_locks, hook, set_power, stun
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.records import Ref
from emulators.vcenter.tasks import Work

CREATE_SECONDS, REVERT_SECONDS, REMOVE_SECONDS = 3.0, 3.0, 2.0
#: Consolidation moves this many bytes each emulated second.
_MERGE_RATE = 100 * 1024 * 1024
_DEEPEST = 32


def create(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """CreateSnapshot_Task. `quiesce` needs running tools, as real machines do."""
    inventory = call.inventory
    quiesce = bool(args.get("quiesce")) and vm.power == "poweredOn"
    if quiesce and not vm.guest.running:
        raise Fault("ApplicationQuiesceFault", "The guest cannot be quiesced: VMware Tools is not running.")
    if _depth(vm, vm.current) >= _DEEPEST:
        raise Fault("TooManySnapshotLevels", f"A machine has at most {_DEEPEST} snapshot levels.")
    if any(device["backing"]["sharing"] == "sharingMultiWriter" for device in map(vm.settings.devices.__getitem__, vm.disks)):
        raise Fault("SnapshotFault", "A disk with several writers has no snapshots.")
    yield CREATE_SECONDS
    vm.snapshot_count += 1
    stun(inventory, vm)
    kept = {key: disk for key, disk in vm.disks.items() if not _independent(vm, key)}
    snapshot = VirtualMachineSnapshot(
        moid=inventory.new_moid("snapshot-"),
        owner=Ref("VirtualMachine", vm.moid),
        name=args["name"],
        description=args.get("description") or "",
        number=vm.snapshot_count,
        created=inventory.clock.now(),
        power=vm.power if args["memory"] else "poweredOff",
        memory=bool(args["memory"]),
        quiesced=quiesce,
        parent=vm.current,
        settings=vm.settings.copy(),
        disks=kept,
        change_ids={},
    )
    for key, disk in kept.items():
        disk.pin(snapshot.moid)
        if disk.tracking:
            snapshot.change_ids[key] = disk.change_id
    guest_operations.keep(inventory, vm, snapshot.moid)
    inventory.add(snapshot)
    vm.snapshots[snapshot.moid] = snapshot
    vm.current = snapshot.moid
    _changed(inventory, vm)
    return Ref("VirtualMachineSnapshot", snapshot.moid)


def revert_to(call: Call, snapshot: VirtualMachineSnapshot, args: Any) -> Work:
    """RevertToSnapshot_Task."""
    return _revert(call, call.inventory.get(snapshot.owner, VirtualMachine), snapshot, bool(args.get("suppressPowerOn")))


def revert_to_current(call: Call, vm: VirtualMachine, args: Any) -> Work:
    """RevertToCurrentSnapshot_Task."""
    if vm.current is None:
        raise Fault("NotFound", "The virtual machine has no current snapshot.")
    yield from _revert(call, vm, vm.snapshots[vm.current], bool(args.get("suppressPowerOn")))


def _revert(call: Call, vm: VirtualMachine, snapshot: VirtualMachineSnapshot, suppress: bool) -> Work:
    inventory = call.inventory
    if vm.power != "poweredOff":
        yield from hook(inventory, vm, "power_off")
    yield REVERT_SECONDS
    if snapshot.moid not in vm.snapshots:
        raise Fault("NotFound", "The snapshot has been removed.")
    if vm.power != "poweredOff":
        set_power(inventory, vm, "poweredOff")
    for disk in snapshot.disks.values():
        disk.revert(snapshot.moid)
    guest_operations.restore(inventory, vm, snapshot.moid)
    kept = {key: disk for key, disk in vm.disks.items() if _independent(vm, key)}
    vm.settings = snapshot.settings.copy()
    vm.disks = {**{key: disk for key, disk in kept.items() if key in vm.settings.devices}, **snapshot.disks}
    vm.current = snapshot.moid
    vm.modified = inventory.clock.now()
    _changed(inventory, vm)
    inventory.change(vm, "config", "summary.config")
    write_vmx(inventory, vm)
    text, told = "{vm} on {host} in {datacenter} has been reverted to the state of snapshot {name}", {"name": snapshot.name}
    inventory.events.about(
        "VmMessageEvent", text, vm, user=call.user, chain=call.task.chain, words=told, template=False, message=snapshot.name
    )
    if snapshot.power == "poweredOn" and not suppress:
        check_locks(inventory, vm)
        set_power(inventory, vm, "poweredOn")
        yield from hook(inventory, vm, "power_on")


def remove_all(call: Call, vm: VirtualMachine, _args: Any) -> Work:
    """RemoveAllSnapshots_Task."""
    doomed = list(vm.snapshots.values())
    yield from _merge_time(call, vm, doomed)
    _remove(call, vm, doomed)


def remove(call: Call, snapshot: VirtualMachineSnapshot, args: Any) -> Work:
    """RemoveSnapshot_Task, with its children if asked."""
    vm = call.inventory.get(snapshot.owner, VirtualMachine)
    doomed = [snapshot, *(_below(vm, snapshot) if args["removeChildren"] else [])]
    yield from _merge_time(call, vm, doomed)
    _remove(call, vm, doomed)


def rename(call: Call, snapshot: VirtualMachineSnapshot, args: Any) -> None:
    """RenameSnapshot."""
    snapshot.name = args.get("name") or snapshot.name
    if args.get("description") is not None:
        snapshot.description = args["description"]
    _changed(call.inventory, call.inventory.get(snapshot.owner, VirtualMachine))


def consolidate(call: Call, vm: VirtualMachine, _args: Any) -> Work:
    """ConsolidateVMDisks_Task: merge the deltas that no snapshot needs and that a removal had to leave for want of space."""
    yield REMOVE_SECONDS
    try:
        for disk in vm.disks.values():
            disk.consolidate()
    except NoSpace as error:
        raise no_space(vm, error) from None
    finally:
        _changed(call.inventory, vm)
        write_vmx(call.inventory, vm)


def no_space(vm: VirtualMachine, error: NoSpace) -> Fault:
    """The fault for a merge that had no room."""
    text = f"Insufficient disk space on datastore '{vm.datastore_name}': {error}"
    return Fault("NoDiskSpace", text, file=datastore_path(vm.datastore_name, vm.directory), datastore=vm.datastore_name)


def _merge_time(call: Call, vm: VirtualMachine, doomed: list[VirtualMachineSnapshot]) -> Work:
    moved = sum(disk.bytes_above(snapshot.moid) for snapshot in doomed for disk in snapshot.disks.values())
    rest = REMOVE_SECONDS + moved / _MERGE_RATE
    for quarter in (25, 50, 75, 99):
        yield rest / 4
        call.inventory.tasks.progress(call, quarter)


def _remove(call: Call, vm: VirtualMachine, doomed: list[VirtualMachineSnapshot]) -> None:
    """Remove snapshots. Raises `NoDiskSpace` when merging had no room: they are gone, and the machine needs consolidation."""
    full = _forget(call.inventory, vm, doomed)
    stun(call.inventory, vm)
    if full is not None:
        text = "Virtual machine {vm} disks consolidation is needed on {host} in {datacenter}"
        told = {"eventTypeId": "com.vmware.vc.VmDiskConsolidationNeeded", "severity": "warning"}
        call.inventory.events.about("EventEx", text, vm, user=call.user, chain=call.task.chain, **told)
        raise no_space(vm, full)


def _forget(inventory: Inventory, vm: VirtualMachine, doomed: list[VirtualMachineSnapshot]) -> NoSpace | None:
    """Take snapshots away. Returns what kept a disk from being merged, if anything did."""
    full: NoSpace | None = None
    for snapshot in doomed:
        if vm.snapshots.pop(snapshot.moid, None) is None:
            continue
        for other in vm.snapshots.values():
            if other.parent == snapshot.moid:
                other.parent = snapshot.parent
        if vm.current == snapshot.moid:
            vm.current = snapshot.parent
        for disk in snapshot.disks.values():
            try:
                disk.unpin(snapshot.moid)
            except NoSpace as error:
                full = error
        guest_operations.forget(inventory, snapshot.moid)
        inventory.remove(snapshot)
    _changed(inventory, vm)
    write_vmx(inventory, vm)
    return full


def drop_all(inventory: Inventory, vm: VirtualMachine) -> None:
    """Forget every snapshot at once: the machine is about to go."""
    _forget(inventory, vm, list(vm.snapshots.values()))


def _below(vm: VirtualMachine, snapshot: VirtualMachineSnapshot) -> list[VirtualMachineSnapshot]:
    found = []
    for other in vm.snapshots.values():
        if other.parent == snapshot.moid:
            found += [other, *_below(vm, other)]
    return found


def _depth(vm: VirtualMachine, moid: str | None) -> int:
    depth = 0
    while moid is not None:
        moid, depth = vm.snapshots[moid].parent, depth + 1
    return depth


def _independent(vm: VirtualMachine, key: int) -> bool:
    """Whether snapshots leave a disk alone: by its mode, or as a raw device whose bytes the host cannot redirect."""
    backing = vm.settings.devices[key]["backing"]
    mode: str = backing["diskMode"]
    return mode.startswith("independent") or backing["compatibilityMode"] == "physicalMode"


def _changed(inventory: Inventory, vm: VirtualMachine) -> None:
    inventory.change(vm, "snapshot", "rootSnapshot", "layoutEx", "layout", "storage", "summary.storage", "config.hardware.device")
    inventory.change(vm, "runtime.consolidationNeeded", "summary.runtime.consolidationNeeded")


SNAPSHOT_TASKS_OF_MACHINE = {
    "CreateSnapshot_Task": create,
    "RevertToCurrentSnapshot_Task": revert_to_current,
    "RemoveAllSnapshots_Task": remove_all,
    "ConsolidateVMDisks_Task": consolidate,
}
SNAPSHOT_OPERATIONS = {"RevertToSnapshot_Task": revert_to, "RemoveSnapshot_Task": remove, "RenameSnapshot": rename}
