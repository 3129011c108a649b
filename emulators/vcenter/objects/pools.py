"""Operations on resource pools and vApps: make, change, move into, power, destroy."""

from collections.abc import Iterator
from typing import Any

from emulators.vcenter.entity import ENTITY_OPERATIONS, must_be_free, plain
from emulators.vcenter.events import above
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects import vm_destroy, vm_power
from emulators.vcenter.objects.resource_pool import POOL_PROPERTIES, ResourcePool, machines_in
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

_SHARES = {"low": 2000, "normal": 4000, "high": 8000}
_TOLD = {"cpu": "cpuAllocation", "memory": "memoryAllocation"}


def _argument(pool: Any) -> Record:
    return Record("ResourcePoolEventArgument", name=pool.name, resourcePool=ref(pool))


def _is_root(inventory: Inventory, pool: ResourcePool) -> bool:
    parent = inventory.find(pool.parent.moid) if pool.parent else None
    return not isinstance(parent, ResourcePool)


def _changed(inventory: Inventory, pool: ResourcePool) -> None:
    inventory.change(pool, "name", "config", "summary")


def _merged(old: Record, told: Record) -> Record:
    """An allocation with what a specification says over what was there."""
    fields = {**old.fields, **{name: value for name, value in told.fields.items() if value is not None}}
    if fields["reservation"] < 0 or fields["limit"] < -1:
        raise invalid_argument("config", "A reservation is at least 0, a limit at least -1.")
    if 0 <= fields["limit"] < fields["reservation"]:
        raise invalid_argument("config", "The limit is below the reservation.")
    shares = fields["shares"]
    if shares["level"] in _SHARES:
        fields["shares"] = Record("SharesInfo", shares=_SHARES[shares["level"]], level=shares["level"])
    return Record("ResourceAllocationInfo", **fields)


def _configure(pool: ResourcePool, spec: Record) -> None:
    fresh = {name: _merged(getattr(pool, name), spec[field]) for name, field in _TOLD.items() if spec[field] is not None}
    for name, value in fresh.items():
        setattr(pool, name, value)


def _new(call: Call, parent: ResourcePool, name: str, spec: Record, kind: str) -> ResourcePool:
    """A pool or vApp below another, in the inventory only when its specification holds."""
    inventory = call.inventory
    must_be_free(inventory, parent, name)
    prefix = "resgroup-v" if kind == "VirtualApp" else "resgroup-"
    pool = ResourcePool(inventory.new_moid(prefix), name, ref(parent), parent.cluster, kind=kind)
    _configure(pool, spec)
    inventory.add(pool)
    parent.pools.append(ref(pool))
    inventory.change(parent, "resourcePool")
    argument = Record("ResourcePoolEventArgument", name=name, resourcePool=ref(pool))
    above_it = Record("ResourcePoolEventArgument", name=parent.name, resourcePool=ref(parent))
    text = f"Created resource pool {name} in {parent.name}"
    inventory.events.post("ResourcePoolCreatedEvent", text, user=call.user, resourcePool=argument, parent=above_it)
    return pool


def create_pool(call: Call, parent: ResourcePool, args: Any) -> Ref:
    """CreateResourcePool."""
    return ref(_new(call, parent, plain(args["name"]), args["spec"], "ResourcePool"))


def create_vapp(call: Call, parent: ResourcePool, args: Any) -> Ref:
    """CreateVApp: it shows in a folder as well."""
    inventory = call.inventory
    told = args.get("vmFolder")
    if told is None and parent.kind != "VirtualApp":
        raise invalid_argument("vmFolder", "A vApp that is not in another needs a folder.")
    vapp = _new(call, parent, plain(args["name"]), args["resSpec"], "VirtualApp")
    vapp.folder, vapp.annotation = told, args["configSpec"]["annotation"] or ""
    if told is not None:
        folder = inventory.find(told.moid)
        folder.children.append(ref(vapp))
        inventory.change(folder, "childEntity")
    return ref(vapp)


def update(call: Call, pool: ResourcePool, args: Any) -> None:
    """UpdateConfig."""
    inventory = call.inventory
    name = plain(args["name"]) if args.get("name") else pool.name
    if name != pool.name:
        if _is_root(inventory, pool):
            raise Fault("InvalidArgument", "The root resource pool cannot be renamed.", invalidProperty="name")
        must_be_free(inventory, inventory.find(pool.parent.moid) if pool.parent else None, name)
    if args.get("config") is not None:
        _configure(pool, args["config"])
    pool.name = name
    _changed(inventory, pool)
    text = f"Updated configuration for {name}"
    inventory.events.post("ResourcePoolReconfiguredEvent", text, user=call.user, resourcePool=_argument(pool))


def update_children(call: Call, pool: ResourcePool, args: Any) -> None:
    """UpdateChildResourceConfiguration."""
    for spec in args["spec"]:
        child = call.inventory.find(spec["entity"].moid) if spec["entity"] else None
        if not isinstance(child, ResourcePool) or ref(child) not in pool.pools:
            raise invalid_argument("spec.entity", "It is not a pool right below.")
        _configure(child, spec)
        _changed(call.inventory, child)


def move_into(call: Call, pool: ResourcePool, args: Any) -> None:
    """MoveIntoResourcePool: machines and pools of the same compute resource; all or none."""
    inventory = call.inventory
    moving = [inventory.find(one.moid) for one in args["list"]]
    for one in moving:
        if isinstance(one, ResourcePool):
            _may_move(inventory, pool, one)
        elif not isinstance(one, VirtualMachine) or inventory.find(one.pool.moid).cluster != pool.cluster:
            raise invalid_argument("list", "It cannot be moved into this pool.")
    for one in moving:
        above_it: Ref | Any = one.parent if isinstance(one, ResourcePool) else one.pool
        parents: dict[str, Any] = {"oldParent": _argument(inventory.find(above_it.moid)), "newParent": _argument(pool)}
        if isinstance(one, ResourcePool):
            _move_pool(inventory, pool, one)
            text = f"Moved resource pool {one.name} to {pool.name}"
            inventory.events.post("ResourcePoolMovedEvent", text, user=call.user, resourcePool=_argument(one), **parents)
        else:
            text, words = "Moved {vm} to resource pool {pool}", {"pool": pool.name}
            inventory.events.about("VmResourcePoolMovedEvent", text, one, user=call.user, words=words, template=False, **parents)
            old, one.pool = inventory.find(one.pool.moid), ref(pool)
            inventory.change(one, "resourcePool")
            inventory.change(old, "vm")
            inventory.change(pool, "vm")


def _may_move(inventory: Inventory, pool: ResourcePool, one: ResourcePool) -> None:
    if _is_root(inventory, one) or one.cluster != pool.cluster or one.moid in (pool.moid, *above(inventory, pool.moid)):
        raise invalid_argument("list", f"{one.name} cannot be moved into {pool.name}.")
    if ref(one) not in pool.pools:
        must_be_free(inventory, pool, one.name)


def _move_pool(inventory: Inventory, pool: ResourcePool, one: ResourcePool) -> None:
    assert one.parent is not None, "only the root pool of nothing has no parent"
    old = inventory.find(one.parent.moid)
    old.pools.remove(ref(one))
    one.parent = ref(pool)
    pool.pools.append(ref(one))
    for changed in (old, pool):
        inventory.change(changed, "resourcePool")
    inventory.change(one, "parent")


def dissolve(inventory: Inventory, pool: ResourcePool) -> None:
    """Take a pool out; its machines and pools go to the one above."""
    parent: ResourcePool = inventory.find(pool.parent.moid) if pool.parent else pool
    for vm in machines_in(inventory, pool):
        vm.pool = ref(parent)
        inventory.change(vm, "resourcePool")
    for child in [inventory.get(one, ResourcePool) for one in list(pool.pools)]:
        _move_pool(inventory, parent, child)
    parent.pools.remove(ref(pool))
    inventory.change(parent, "resourcePool", "vm")
    leave_folder(inventory, pool)
    inventory.remove(pool)


def leave_folder(inventory: Inventory, pool: ResourcePool) -> None:
    """Take a vApp out of the folder that shows it."""
    folder = inventory.find(pool.folder.moid) if pool.folder else None
    if folder is not None and ref(pool) in folder.children:
        folder.children.remove(ref(pool))
        inventory.change(folder, "childEntity")


def destroy_pool(call: Call, pool: ResourcePool, _args: Any) -> Work:
    """Destroy_Task of a pool."""
    yield 1.0
    if _is_root(call.inventory, pool):
        raise Fault("NotSupported", "The root resource pool belongs to its compute resource.")
    dissolve(call.inventory, pool)
    argument = Record("ResourcePoolEventArgument", name=pool.name, resourcePool=ref(pool))
    text = f"Removed resource pool {pool.name}"
    call.inventory.events.post("ResourcePoolDestroyedEvent", text, user=call.user, resourcePool=argument)


def destroy_children(call: Call, pool: ResourcePool, _args: Any) -> None:
    """DestroyChildren: all pools below go, their machines come here."""
    for child in [call.inventory.get(one, ResourcePool) for one in list(pool.pools)]:
        destroy_children(call, child, None)
        dissolve(call.inventory, child)


def resource_option(_call: Call, _pool: ResourcePool, _args: Any) -> Record:
    """QueryResourceConfigOption: which shares can be told."""
    shares = Record("IntOption", min=0, max=1_000_000, defaultValue=_SHARES["normal"])
    option = Record("ResourceAllocationOption", sharesOption=Record("SharesOption", sharesOption=shares, defaultLevel="normal"))
    return Record("ResourceConfigOption", cpuAllocationOption=option, memoryAllocationOption=option)


def refresh(_call: Call, _pool: ResourcePool, _args: Any) -> None:
    """RefreshRuntime: it is computed whenever it is read."""


# vApps ---------------------------------------------------------------------------------------------------------------


def inside(inventory: Inventory, vapp: ResourcePool) -> Iterator[VirtualMachine]:
    """All machines of a vApp and of the pools in it."""
    yield from machines_in(inventory, vapp)
    for child in [inventory.get(one, ResourcePool) for one in vapp.pools]:
        yield from inside(inventory, child)


def _power(operation: Any, states: tuple[str, ...]) -> Any:
    def run(call: Call, vapp: ResourcePool, args: Any) -> Work:
        """PowerOnVApp_Task, PowerOffVApp_Task, SuspendVApp_Task: its machines one after another."""
        for vm in list(inside(call.inventory, vapp)):
            if vm.power in states:
                yield from operation(call, vm, args)
        call.inventory.change(vapp, "summary")

    return run


def destroy_vapp(call: Call, vapp: ResourcePool, _args: Any) -> Work:
    """Destroy_Task of a vApp: its machines go with their files."""
    machines = list(inside(call.inventory, vapp))
    for vm in machines:
        vm_power.require(vm, "poweredOff", "suspended", wanted="poweredOff")
    yield 2.0
    dissolve_vapp(call, vapp, with_files=True)


def unregister_vapp(call: Call, vapp: ResourcePool, _args: Any) -> Work:
    """unregisterVApp_Task: the vApp and its machines leave the inventory, the files stay."""
    for vm in inside(call.inventory, vapp):
        vm_power.require(vm, "poweredOff", "suspended", wanted="poweredOff")
    yield 2.0
    dissolve_vapp(call, vapp, with_files=False)


def dissolve_vapp(call: Call, vapp: ResourcePool, *, with_files: bool) -> None:
    """Take a vApp with its machines out of the inventory."""
    for vm in list(inside(call.inventory, vapp)):
        vm_destroy.remove(call, vm, with_files=with_files)
    destroy_children(call, vapp, None)
    dissolve(call.inventory, vapp)


def update_vapp(call: Call, vapp: ResourcePool, args: Any) -> None:
    """UpdateVAppConfig: the annotation; other parts are refused by name."""
    spec = args["spec"]
    unknown = sorted(name for name, value in spec.fields.items() if value and name != "annotation")
    if unknown:
        raise Fault("NotSupported", f"Configuring {unknown[0]} of a vApp is not supported by this emulator.")
    vapp.annotation = spec["annotation"] or ""
    call.inventory.change(vapp, "vAppConfig")


def _config(_inventory: Inventory, vapp: ResourcePool) -> Record:
    assignment = Record("VAppIPAssignmentInfo", ipAllocationPolicy="fixedPolicy")
    return Record(
        "VAppConfigInfo", ipAssignment=assignment, installBootRequired=False, installBootStopDelay=0, annotation=vapp.annotation
    )


def _summary(inventory: Inventory, vapp: ResourcePool) -> Record:
    plain_summary = POOL_PROPERTIES["summary"](inventory, vapp)
    powers = {vm.power for vm in inside(inventory, vapp)}
    state = "started" if "poweredOn" in powers else "stopped"
    return Record("VirtualAppSummary", **plain_summary.fields, vAppState=state, suspended=powers == {"suspended"})


def _places(name: str) -> Any:
    def listed(inventory: Inventory, vapp: ResourcePool) -> list[Ref]:
        compute = inventory.find(vapp.cluster.moid)
        refs: list[Ref] = getattr(compute, name)
        machines = list(inside(inventory, vapp))
        if name == "datastores":
            return [one for one in refs if any(vm.datastore == one for vm in machines)]
        return [one for one in refs if any(vm.is_on(inventory.find(one.moid)) for vm in machines)]

    return listed


VAPP_PROPERTIES = {
    **POOL_PROPERTIES,
    "summary": _summary,
    "vAppConfig": _config,
    "parentFolder": lambda _inventory, vapp: vapp.folder,
    "datastore": _places("datastores"),
    "network": _places("networks"),
}
POOL_OPERATIONS = {
    **ENTITY_OPERATIONS,
    "CreateResourcePool": create_pool,
    "CreateVApp": create_vapp,
    "UpdateConfig": update,
    "UpdateChildResourceConfiguration": update_children,
    "MoveIntoResourcePool": move_into,
    "DestroyChildren": destroy_children,
    "Destroy_Task": destroy_pool,
    "RefreshRuntime": refresh,
    "QueryResourceConfigOption": resource_option,
}
VAPP_OPERATIONS = {
    **POOL_OPERATIONS,
    "Destroy_Task": destroy_vapp,
    "unregisterVApp_Task": unregister_vapp,
    "UpdateVAppConfig": update_vapp,
    "PowerOnVApp_Task": _power(vm_power.power_on, ("poweredOff", "suspended")),
    "PowerOffVApp_Task": _power(vm_power.power_off, ("poweredOn", "suspended")),
    "SuspendVApp_Task": _power(vm_power.suspend, ("poweredOn",)),
}
