"""Checks before something is done: whether a machine could be cloned, moved, started; the same rules, and nothing changes."""

from collections.abc import Callable
from functools import partial
from typing import Any

from emulators.vcenter.entity import must_be_free, plain
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects import vm_clone, vm_power
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_places import datastore_of, host_in, networks_fit, pool_of, require_usable
from emulators.vcenter.objects.vm_relocate import pool_for
from emulators.vcenter.records import Record, Ref, Typed
from emulators.vcenter.tasks import Work

SECONDS = 1.0


def _result(vm: Any, host: Any, *checks: Callable[[], Any]) -> Record:
    """A CheckResult: what each check raises is one error."""
    errors = []
    for check in checks:
        try:
            check()
        except Fault as fault:
            errors.append(fault.record())
    found = {"vm": ref(vm) if vm is not None else None, "host": ref(host) if host is not None else None, "error": errors}
    return Record("CheckResult", **{name: value for name, value in found.items() if value})


def _results(found: list[Record]) -> Typed:
    return Typed("ArrayOfCheckResult", found)


def _machine(call: Call, told: Ref) -> VirtualMachine:
    return call.inventory.get(told, VirtualMachine)


def check_migrate(call: Call, _checker: Any, args: Any) -> Work:
    """CheckMigrate_Task."""
    yield SECONDS
    vm, inventory = _machine(call, args["vm"]), call.inventory
    host = inventory.find(args["host"].moid) if args.get("host") else None
    if host is None and args.get("pool") is None:
        raise invalid_argument("host", "A host or a pool is required.")

    def state() -> None:
        if args.get("state"):
            vm_power.require(vm, args["state"], wanted=args["state"])

    return _results([_result(vm, host, state, lambda: _fits(inventory, vm, args.get("pool"), args.get("host"), vm.datastore))])


def _fits(inventory: Inventory, vm: VirtualMachine, pool: Ref | None, host: Ref | None, store: Ref | None) -> None:
    """Raises the fault for a pool, host and datastore that a machine cannot move to."""
    told = pool or (vm.pool if host is None else pool_for(inventory, vm, host))
    target = host_in(inventory, pool_of(inventory, told), host, liked=vm.host)
    datastore_of(inventory, target, store, liked=vm.datastore)
    networks_fit(inventory, vm, target)


def check_relocate(call: Call, _checker: Any, args: Any) -> Work:
    """CheckRelocate_Task."""
    yield SECONDS
    vm, spec, inventory = _machine(call, args["vm"]), args["spec"], call.inventory
    host = inventory.find(spec["host"].moid) if spec["host"] else None
    return _results([_result(vm, host, lambda: _fits(inventory, vm, spec["pool"], spec["host"], spec["datastore"]))])


def check_clone(call: Call, _checker: Any, args: Any) -> Work:
    """CheckClone_Task."""
    yield SECONDS
    vm, spec, inventory = _machine(call, args["vm"]), args["spec"], call.inventory
    folder = inventory.find(args["folder"].moid)
    return _results(
        [
            _result(
                vm,
                None,
                lambda: must_be_free(inventory, folder, plain(args["name"])),
                lambda: vm_clone.target_of(inventory, vm, args["folder"], spec["location"], template=spec["template"]),
            )
        ]
    )


def check_instant_clone(call: Call, _checker: Any, args: Any) -> Work:
    """CheckInstantClone_Task."""
    yield SECONDS
    vm, spec, inventory = _machine(call, args["vm"]), args["spec"], call.inventory
    home: Any = spec["location"]["folder"] or vm.parent

    def running() -> None:
        if vm.power != "poweredOn":
            raise Fault("InvalidState", "Only a running machine can be cloned instantly.")

    free = [lambda: must_be_free(inventory, inventory.find(home.moid), plain(spec["name"]))]
    return _results(
        [_result(vm, None, running, *free, lambda: vm_clone.target_of(inventory, vm, home, spec["location"], template=False))]
    )


def vmotion(call: Call, _checker: Any, args: Any) -> Work:
    """QueryVMotionCompatibilityEx_Task: each machine with each host."""
    yield SECONDS
    inventory = call.inventory
    hosts = [inventory.get(one, HostSystem) for one in args["host"]]
    found = []
    for vm in [_machine(call, one) for one in args["vm"]]:
        found += [_result(vm, host, _moves(inventory, vm, host)) for host in hosts]
    return _results(found)


def _moves(inventory: Inventory, vm: VirtualMachine, host: HostSystem) -> Callable[[], None]:
    def check() -> None:
        vm_power.require(vm, "poweredOn", wanted="poweredOn")
        _fits(inventory, vm, None, ref(host), vm.datastore)

    return check


def compatibility(call: Call, _checker: Any, args: Any) -> Work:
    """CheckCompatibility_Task: whether a machine could live on a host or in a pool."""
    yield SECONDS
    vm, inventory = _machine(call, args["vm"]), call.inventory
    host = inventory.find(args["host"].moid) if args.get("host") else inventory.find(vm.host.moid)
    return _results([_result(vm, host, lambda: _fits(inventory, vm, args.get("pool"), ref(host), vm.datastore))])


def check_power_on(call: Call, _checker: Any, args: Any) -> Work:
    """CheckPowerOn_Task."""
    yield SECONDS
    vm, inventory = _machine(call, args["vm"]), call.inventory
    host = inventory.find(args["host"].moid) if args.get("host") else inventory.find(vm.host.moid)
    return _results(
        [
            _result(
                vm,
                host,
                lambda: vm_power.require(vm, "poweredOff", "suspended", wanted="poweredOn"),
                lambda: require_usable(host),
                lambda: vm_power.check_locks(inventory, vm),
            )
        ]
    )


def check_config(call: Call, _checker: Any, args: Any) -> Work:
    """CheckVmConfig_Task: sizes of a configuration against what a host has."""
    yield SECONDS
    spec, inventory = args["spec"], call.inventory
    vm = _machine(call, args["vm"]) if args.get("vm") else None
    told = args.get("host") or (vm.host if vm is not None else None)
    pool = inventory.find(args["pool"].moid) if args.get("pool") else None
    host = inventory.find(told.moid) if told else host_in(inventory, pool, None) if pool is not None else None
    if host is None:
        raise invalid_argument("host", "A host, a pool or a machine is required.")

    def processors() -> None:
        if (spec["numCPUs"] or 1) > host.cores * 2:
            text = f"{host.name} has {host.cores * 2} logical processors."
            raise Fault("NotEnoughCpus", text, numCpuDest=host.cores * 2, numCpuVm=spec["numCPUs"])

    def memory() -> None:
        if (spec["memoryMB"] or 1) * 1024 * 1024 > host.memory:
            raise Fault(
                "InsufficientMemoryResourcesFault",
                "The host has less memory.",
                unreserved=host.memory,
                requested=spec["memoryMB"],
            )

    return _results([_result(vm, host, processors, memory)])


def vmotion_hosts(call: Call, _instance: Any, args: Any) -> list[Record]:
    """QueryVMotionCompatibility of the service instance."""
    inventory, vm = call.inventory, _machine(call, args["vm"])
    found = []
    for host in [inventory.get(one, HostSystem) for one in args["host"]]:
        problems = _result(vm, host, partial(_fits, inventory, vm, None, ref(host), vm.datastore))
        fits = [] if problems["error"] else ["cpu", "software"]
        found.append(Record("HostVMotionCompatibility", host=ref(host), compatibility=fits))
    return found


COMPATIBILITY_OPERATIONS = {
    "CheckCompatibility_Task": compatibility,
    "CheckPowerOn_Task": check_power_on,
    "CheckVmConfig_Task": check_config,
}
PROVISIONING_OPERATIONS = {
    "CheckMigrate_Task": check_migrate,
    "CheckRelocate_Task": check_relocate,
    "CheckClone_Task": check_clone,
    "CheckInstantClone_Task": check_instant_clone,
    "QueryVMotionCompatibilityEx_Task": vmotion,
}
INSTANCE_CHECKS = {"QueryVMotionCompatibility": vmotion_hosts}
