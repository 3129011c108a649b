"""Where machines go in a cluster: recommendations that follow rules and load, and what becomes of them."""

from collections.abc import Iterator
from typing import Any

from emulators.vcenter.faults import invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.cluster import ClusterComputeResource
from emulators.vcenter.objects.host_system import MHZ, HostSystem, machines_on
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_places import usable
from emulators.vcenter.records import Record, Ref

_MIB = 1024 * 1024


def _hosts(inventory: Inventory, cluster: ClusterComputeResource) -> list[HostSystem]:
    return [host for host in (inventory.get(one, HostSystem) for one in cluster.hosts) if usable(host)]


def _load(inventory: Inventory, host: HostSystem) -> float:
    """The memory that running machines take, as a share of the host's."""
    return sum(vm.settings.memory_mb for vm in machines_on(inventory, host) if vm.power == "poweredOn") * _MIB / host.memory


def forbidden(inventory: Inventory, cluster: ClusterComputeResource, vm: Any, host: HostSystem) -> bool:
    """Whether an enabled rule keeps a machine from a host."""
    there = {ref(other) for other in machines_on(inventory, host) if other.power == "poweredOn"} - {ref(vm)}
    for rule in cluster.rules:
        if not rule["enabled"]:
            continue
        if rule.kind == "ClusterAntiAffinityRuleSpec" and ref(vm) in rule["vm"] and there & set(rule["vm"]):
            return True
        if rule.kind == "ClusterVmHostRuleInfo" and ref(vm) in _members(cluster, rule["vmGroupName"], "vm"):
            if rule["affineHostGroupName"] and ref(host) not in _members(cluster, rule["affineHostGroupName"], "host"):
                return True
            if ref(host) in _members(cluster, rule["antiAffineHostGroupName"], "host"):
                return True
    return False


def _members(cluster: ClusterComputeResource, name: str | None, field: str) -> list[Ref]:
    found = next((group for group in cluster.groups if group["name"] == name), None)
    return list(found[field] or []) if found is not None else []


def ranked(inventory: Inventory, cluster: ClusterComputeResource, vm: Any) -> list[tuple[HostSystem, int]]:
    """The hosts that may take a machine with a rating of 1 to 5, the best first: those with least load."""
    found = []
    for host in _hosts(inventory, cluster):
        if vm.datastore in host.datastores and not forbidden(inventory, cluster, vm, host):
            found.append((host, max(1, 5 - int(_load(inventory, host) * 5))))
    return sorted(found, key=lambda pair: (-pair[1], _load(inventory, pair[0]), pair[0].moid))


def recommend_hosts(call: Call, cluster: ClusterComputeResource, args: Any) -> list[Record]:
    """RecommendHostsForVm."""
    vm = call.inventory.get(args["vm"], VirtualMachine)
    rated = ranked(call.inventory, cluster, vm)
    return [Record("ClusterHostRecommendation", host=ref(host), rating=rating) for host, rating in rated]


def place(call: Call, cluster: ClusterComputeResource, args: Any) -> Record:
    """PlaceVm: hosts and datastores for a machine that is moved, or for a new one of a configuration."""
    inventory, spec = call.inventory, args["placementSpec"]
    wanted = set(spec["hosts"] or cluster.hosts)
    if spec["vm"] is not None:
        vm = inventory.get(spec["vm"], VirtualMachine)
        hosts = [host for host, _ in ranked(inventory, cluster, vm)]
    elif spec["configSpec"] is not None:
        hosts = sorted(_hosts(inventory, cluster), key=lambda host: (_load(inventory, host), host.moid))
    else:
        raise invalid_argument("placementSpec.vm", "A machine or the configuration of one is required.")
    stores = spec["datastores"] or cluster.datastores
    found: list[Record] = []
    for host in [host for host in hosts if ref(host) in wanted]:
        seen = [inventory.find(one.moid) for one in stores if one in host.datastores]
        seen = [one for one in seen if one.maintenance == "normal"]
        if not seen:
            continue
        store = max(seen, key=lambda one: inventory.stores[one.moid].free)
        location = Record("VirtualMachineRelocateSpec", datastore=ref(store), host=ref(host), pool=cluster.pool)
        action = Record("PlacementAction", type="PlacementV1", vm=spec["vm"], targetHost=ref(host), relocateSpec=location)
        action.fields = {name: value for name, value in action.fields.items() if value is not None}
        found.append(_recommendation(inventory, str(len(found) + 1), "xvmotionPlacement", 5, [action]))
    return Record("PlacementResult", recommendations=found)


def _recommendation(inventory: Inventory, key: str, reason: str, rating: int, actions: list[Record]) -> Record:
    return Record(
        "ClusterRecommendation",
        key=key,
        type="V1",
        time=inventory.clock.now(),
        rating=rating,
        reason=reason,
        reasonText=_REASONS[reason],
        action=actions,
    )


_REASONS = {
    "xvmotionPlacement": "Place the virtual machine",
    "jointAffin": "Satisfy an affinity rule",
    "antiAffin": "Satisfy an anti-affinity rule",
    "vmHostHardAffinity": "Satisfy a rule of machines and hosts",
    "hostMaint": "Host is entering maintenance mode",
}


# recommendations that stand ------------------------------------------------------------------------------------------


def refresh(call: Call, cluster: ClusterComputeResource, _args: Any) -> None:
    """RefreshRecommendation: moves that would satisfy the rules that do not hold now."""
    inventory = call.inventory
    cluster.recommendations = []
    moved: set[str] = set()
    for reason, vm, host in _moves(inventory, cluster) if cluster.drs["enabled"] else ():
        if vm.moid not in moved:
            moved.add(vm.moid)
            cluster.recommendations.append(_migration(inventory, cluster, reason, vm, host))
    inventory.change(cluster, "recommendation", "drsRecommendation")


def _migration(inventory: Inventory, cluster: ClusterComputeResource, reason: str, vm: Any, host: HostSystem) -> Record:
    key = str(max((int(one["key"]) for one in cluster.recommendations), default=0) + 1)
    move = Record("ClusterDrsMigration", key=key, time=inventory.clock.now(), vm=ref(vm), source=vm.host, destination=ref(host))
    action = Record("ClusterMigrationAction", type="MigrationV1", target=ref(vm), drsMigration=move)
    return _recommendation(inventory, key, reason, 5, [action])


def _moves(inventory: Inventory, cluster: ClusterComputeResource) -> Iterator[tuple[str, VirtualMachine, HostSystem]]:
    running = {vm.moid: vm for vm in inventory.all_of(VirtualMachine) if vm.power == "poweredOn" and vm.host in cluster.hosts}
    for rule in cluster.rules:
        vms = [running[one.moid] for one in rule["vm"] or [] if one.moid in running]
        if rule["enabled"] and rule.kind == "ClusterAffinityRuleSpec" and len({vm.host for vm in vms}) > 1:
            for vm in vms[1:]:
                if vm.host != vms[0].host:
                    yield "jointAffin", vm, inventory.get(vms[0].host, HostSystem)
    for vm in running.values():
        if forbidden(inventory, cluster, vm, inventory.get(vm.host, HostSystem)):
            better = ranked(inventory, cluster, vm)
            if better:
                together = any(rule.kind == "ClusterAntiAffinityRuleSpec" and ref(vm) in rule["vm"] for rule in cluster.rules)
                yield "antiAffin" if together else "vmHostHardAffinity", vm, better[0][0]


def _standing(cluster: ClusterComputeResource, key: str) -> Record:
    found = next((one for one in cluster.recommendations if one["key"] == key), None)
    if found is None:
        raise invalid_argument("key", f"There is no recommendation {key}.")
    return found


def apply(call: Call, cluster: ClusterComputeResource, args: Any) -> None:
    """ApplyRecommendation: starts the migrations; they are tasks of their machines."""
    inventory = call.inventory
    found = _standing(cluster, args["key"])
    cluster.recommendations.remove(found)
    inventory.change(cluster, "recommendation", "drsRecommendation")
    for action in found["action"]:
        vm = inventory.get(action["target"], VirtualMachine)
        inventory.tasks.begin(call, vm, "MigrateVM_Task", {"host": action["drsMigration"]["destination"]})


def cancel(call: Call, cluster: ClusterComputeResource, args: Any) -> None:
    """CancelRecommendation."""
    cluster.recommendations.remove(_standing(cluster, args["key"]))
    call.inventory.change(cluster, "recommendation", "drsRecommendation")


def enter_maintenance(call: Call, cluster: ClusterComputeResource, args: Any) -> Record:
    """ClusterEnterMaintenanceMode: recommends the moves that would empty the hosts; nothing is moved yet."""
    inventory = call.inventory
    going = [inventory.get(one, HostSystem) for one in args["host"]]
    if any(ref(host) not in cluster.hosts for host in going):
        raise invalid_argument("host", "It is not in the cluster.")
    made = []
    for vm in [vm for host in going for vm in machines_on(inventory, host) if vm.power == "poweredOn"]:
        better = [host for host, _ in ranked(inventory, cluster, vm) if host not in going]
        if better:
            made.append(_migration(inventory, cluster, "hostMaint", vm, better[0]))
            cluster.recommendations.append(made[-1])
    inventory.change(cluster, "recommendation", "drsRecommendation")
    return Record("ClusterEnterMaintenanceResult", recommendations=made)


def usage(call: Call, cluster: ClusterComputeResource, _args: Any) -> Record:
    """GetResourceUsage."""
    inventory = call.inventory
    hosts = [inventory.get(one, HostSystem) for one in cluster.hosts]
    running = [vm for host in hosts for vm in machines_on(inventory, host) if vm.power == "poweredOn"]
    stores = [inventory.stores[one.moid] for one in cluster.datastores]
    return Record(
        "ClusterResourceUsageSummary",
        cpuUsedMHz=100 * sum(vm.settings.cpus for vm in running),
        cpuCapacityMHz=sum(host.cores for host in hosts) * MHZ,
        memUsedMB=sum(vm.settings.memory_mb for vm in running),
        memCapacityMB=sum(host.memory for host in hosts) // _MIB,
        storageUsedMB=sum(store.capacity - store.free for store in stores) // _MIB,
        storageCapacityMB=sum(store.capacity for store in stores) // _MIB,
    )


def das_runtime(call: Call, cluster: ClusterComputeResource, _args: Any) -> Record | None:
    """RetrieveDasAdvancedRuntimeInfo: which datastores HA would beat its heart on; nothing where it is off."""
    if not cluster.das["enabled"]:
        return None
    inventory = call.inventory
    beats = [
        Record(
            "DasHeartbeatDatastoreInfo",
            datastore=one,
            hosts=[host for host in inventory.find(one.moid).hosts if host in cluster.hosts],
        )
        for one in cluster.datastores[:2]
    ]
    vmcp = Record("ClusterDasAdvancedRuntimeInfoVmcpCapabilityInfo", storageAPDSupported=True, storagePDLSupported=True)
    return Record(
        "ClusterDasAdvancedRuntimeInfo", vmcpSupported=vmcp, heartbeatDatastoreInfo=[one for one in beats if one["hosts"]]
    )


PLACEMENT_OPERATIONS = {
    "RecommendHostsForVm": recommend_hosts,
    "PlaceVm": place,
    "RefreshRecommendation": refresh,
    "ApplyRecommendation": apply,
    "CancelRecommendation": cancel,
    "ClusterEnterMaintenanceMode": enter_maintenance,
    "GetResourceUsage": usage,
    "RetrieveDasAdvancedRuntimeInfo": das_runtime,
}
