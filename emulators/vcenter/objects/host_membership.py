"""Hosts come, move between clusters, and stand alone."""

import ipaddress
from typing import Any

from emulators.vcenter.entity import must_be_free
from emulators.vcenter.events import datacenter_of
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.model import add_compute, add_host
from emulators.vcenter.objects.cluster import ClusterComputeResource
from emulators.vcenter.objects.folder import Folder, take
from emulators.vcenter.objects.host_system import HostSystem, machines_on
from emulators.vcenter.objects.network import Network
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

SECONDS = 5.0
_FIRST = "10.0.0.11"


# new hosts -----------------------------------------------------------------------------------------------------------


def add_standalone(call: Call, folder: Folder, args: Any) -> Work:
    """AddStandaloneHost_Task: the frame of one host. It has the standard network, and no datastore yet."""
    _check(call.inventory, folder, args["spec"])
    yield SECONDS
    _check(call.inventory, folder, args["spec"])
    return ref(_standalone(call, folder, args["spec"], connected=args["addConnected"]))


def batch_standalone(call: Call, folder: Folder, args: Any) -> Work:
    """BatchAddStandaloneHosts_Task."""
    specs = [one["hostCnxSpec"] for one in args.get("newHosts") or []]
    for spec in specs:
        _check(call.inventory, folder, spec)
    yield SECONDS
    made = []
    for spec in specs:
        _check(call.inventory, folder, spec)
        made.append(ref(_standalone(call, folder, spec, connected=args["addConnected"])))
    return Record("FolderBatchAddStandaloneHostsResult", addedHosts=made)


def add_to_cluster(call: Call, cluster: ClusterComputeResource, args: Any) -> Work:
    """AddHost_Task: the host sees what the others of the cluster see."""
    _check_name(call.inventory, args["spec"])
    yield SECONDS
    _check_name(call.inventory, args["spec"])
    return ref(_into_cluster(call, cluster, args["spec"], connected=args["asConnected"]))


def batch_to_cluster(call: Call, _folder: Folder, args: Any) -> Work:
    """BatchAddHostsToCluster_Task: new ones, in maintenance mode unless told otherwise, and existing ones."""
    inventory = call.inventory
    cluster = inventory.get(args["cluster"], ClusterComputeResource)
    specs = [one["hostCnxSpec"] for one in args.get("newHosts") or []]
    existing = [inventory.get(one, HostSystem) for one in args.get("existingHosts") or []]
    for spec in specs:
        _check_name(inventory, spec)
    for host in existing:
        _may_join(inventory, cluster, host)
    yield SECONDS
    hosts = [_into_cluster(call, cluster, spec, connected=True) for spec in specs]
    for host in existing:
        join(inventory, cluster, host)
    for host in hosts:
        if args.get("desiredState") != "non_maintenance":
            host.maintenance = True
            inventory.change(host, "runtime.inMaintenanceMode", "summary.runtime.inMaintenanceMode")
    return Record("FolderBatchAddHostsToClusterResult", hostsAddedToCluster=[ref(host) for host in (*hosts, *existing)])


def _check(inventory: Inventory, folder: Folder, spec: Record) -> None:
    if "ComputeResource" not in folder.child_types:
        raise Fault("NotSupported", f"The folder {folder.name} does not hold hosts.")
    _check_name(inventory, spec)
    must_be_free(inventory, folder, spec["hostName"])


def _check_name(inventory: Inventory, spec: Record) -> None:
    name = spec["hostName"] or ""
    if not name.strip() or len(name) > 255 or any(character.isspace() or character in '/\\"<>' for character in name):
        raise invalid_argument("spec.hostName", "The name or address of a host is required.")
    if any(name.lower() in (host.name.lower(), host.address) for host in inventory.all_of(HostSystem)):
        raise Fault("AlreadyConnected", f"The host {name} is in the inventory already.", name=name)


def _standalone(call: Call, folder: Folder, spec: Record, *, connected: bool) -> ClusterComputeResource:
    inventory = call.inventory
    compute = add_compute(inventory, folder, spec["hostName"], kind="ComputeResource")
    compute.networks = [one for one in datacenter_of(inventory, folder).networks if _standard(inventory, one)][:1]
    _arrived(call, add_host(inventory, compute, spec["hostName"], _address(inventory, spec)), connected=connected)
    return compute


def _standard(inventory: Inventory, one: Ref) -> bool:
    return inventory.get(one, Network).switch is None


def _into_cluster(call: Call, cluster: ClusterComputeResource, spec: Record, *, connected: bool) -> HostSystem:
    inventory = call.inventory
    if not cluster.hosts and not cluster.networks:
        cluster.networks = [one for one in datacenter_of(inventory, cluster).networks if _standard(inventory, one)][:1]
    host = add_host(inventory, cluster, spec["hostName"], _address(inventory, spec))
    _arrived(call, host, connected=connected)
    return host


def _arrived(call: Call, host: HostSystem, *, connected: bool) -> None:
    inventory = call.inventory
    host.connection = "connected" if connected else "disconnected"
    chain = call.task.chain
    inventory.events.about_host(
        "HostAddedEvent", "Added host {host} to datacenter {datacenter}", host, user=call.user, chain=chain
    )
    if connected:
        inventory.events.about_host(
            "HostConnectedEvent", "Connected to {host} in {datacenter}", host, user=call.user, chain=chain
        )
    inventory.change(inventory.find(host.parent.moid), "summary", "network", "datastore")


def _address(inventory: Inventory, spec: Record) -> str:
    """The told address, or the one after the highest that a host has."""
    try:
        return str(ipaddress.ip_address(spec["hostName"]))
    except ValueError:
        known = [ipaddress.ip_address(host.address) for host in inventory.all_of(HostSystem)]
        return str(max((one for one in known if one.version == 4), default=ipaddress.ip_address(_FIRST)) + 1)


# between clusters ----------------------------------------------------------------------------------------------------


def _may_join(inventory: Inventory, cluster: ClusterComputeResource, host: HostSystem) -> None:
    old = inventory.find(host.parent.moid)
    if datacenter_of(inventory, cluster) is not datacenter_of(inventory, host):
        raise invalid_argument("host", f"{host.name} is in another datacenter.")
    if old is cluster:
        raise Fault("DuplicateName", f"{host.name} is in {cluster.name} already.", name=host.name, object=ref(host))
    if old.kind == "ClusterComputeResource" and not host.maintenance:
        raise Fault("InvalidState", f"The host {host.name} is not in maintenance mode.")


def join(inventory: Inventory, cluster: ClusterComputeResource, host: HostSystem, pool: Any = None) -> None:
    """Move a host with its machines into a cluster; the machines go to `pool`, or to the root pool."""
    old = inventory.find(host.parent.moid)
    old.hosts.remove(ref(host))
    pools = {cluster.pool.moid}
    for vm in machines_on(inventory, host):
        pools.add(vm.pool.moid)
        vm.pool = ref(pool) if pool is not None else cluster.pool
        vm.environment_browser = Ref("EnvironmentBrowser", f"envbrowser-{cluster.moid}")
        pools.add(vm.pool.moid)
        inventory.change(vm, "resourcePool", "environmentBrowser")
    host.parent = ref(cluster)
    cluster.hosts.append(ref(host))
    for name in ("datastores", "networks"):
        mine, theirs = getattr(host, name), getattr(cluster, name)
        theirs += [one for one in mine if one not in theirs]
    for compute in (old, cluster):
        inventory.change(compute, "host", "summary", "datastore", "network")
    for moid in sorted(pools):
        inventory.change(inventory.find(moid), "vm")
    inventory.change(host, "parent")
    if old.kind == "ComputeResource":
        _remove_frame(inventory, old)


def _remove_frame(inventory: Inventory, frame: ClusterComputeResource) -> None:
    """Take the compute resource of a standalone host away after it has left."""
    assert frame.parent is not None, "a compute resource hangs in a folder"
    take(inventory, inventory.get(frame.parent, Folder), frame)
    for moid in (frame.pool.moid, f"envbrowser-{frame.moid}"):
        inventory.remove(inventory.find(moid))
    inventory.remove(frame)


def move_into(call: Call, cluster: ClusterComputeResource, args: Any) -> Work:
    """MoveInto_Task: hosts of other clusters in maintenance mode, or standalone ones; all or none."""
    hosts = [call.inventory.get(one, HostSystem) for one in args["host"]]
    for host in hosts:
        _may_join(call.inventory, cluster, host)
    yield SECONDS
    for host in hosts:
        _may_join(call.inventory, cluster, host)
    for host in hosts:
        join(call.inventory, cluster, host)


def move_host_into(call: Call, cluster: ClusterComputeResource, args: Any) -> Work:
    """MoveHostInto_Task: one host; its machines go to the told pool."""
    inventory = call.inventory
    host = inventory.get(args["host"], HostSystem)
    pool = inventory.find(args["resourcePool"].moid) if args.get("resourcePool") else None
    if pool is not None and pool.cluster != ref(cluster):
        raise invalid_argument("resourcePool", "It is of another cluster.")
    _may_join(inventory, cluster, host)
    yield SECONDS
    _may_join(inventory, cluster, host)
    join(inventory, cluster, host, pool)


def may_stand_alone(inventory: Inventory, host: Any, folder: Folder) -> None:
    """Raises the fault for a host that cannot leave its cluster into a folder."""
    if host is None or "ComputeResource" not in folder.child_types:
        raise Fault("NotSupported", f"The folder {folder.name} does not hold hosts.")
    if inventory.find(host.parent.moid).kind != "ClusterComputeResource":
        raise Fault("NotSupported", "Move the compute resource of a standalone host instead.")
    if datacenter_of(inventory, host) is not datacenter_of(inventory, folder):
        raise Fault("InvalidFolder", f"{folder.name} is in another datacenter.", target=ref(folder))
    if not host.maintenance:
        raise Fault("InvalidState", f"The host {host.name} is not in maintenance mode.")
    must_be_free(inventory, folder, host.name)


def stand_alone(call: Call, host: HostSystem, folder: Folder) -> None:
    """Let a host of a cluster become a standalone one in a folder."""
    frame = add_compute(call.inventory, folder, host.name, kind="ComputeResource")
    join(call.inventory, frame, host)


MEMBER_OPERATIONS = {
    "AddHost_Task": add_to_cluster,
    "MoveInto_Task": move_into,
    "MoveHostInto_Task": move_host_into,
}
HOST_FOLDER_OPERATIONS = {
    "AddStandaloneHost_Task": add_standalone,
    "BatchAddStandaloneHosts_Task": batch_standalone,
    "BatchAddHostsToCluster_Task": batch_to_cluster,
}
