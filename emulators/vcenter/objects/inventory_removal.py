"""Destroy_Task and UnregisterAndDestroy_Task of what holds other things: folders, datacenters, compute resources, hosts."""

from typing import Any

from emulators.vcenter.events import datacenter_of
from emulators.vcenter.faults import Fault
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects import datastore, pools, switch, vm_destroy
from emulators.vcenter.objects.cluster import ClusterComputeResource
from emulators.vcenter.objects.folder import Folder, put, take
from emulators.vcenter.objects.host_system import HostSystem, machines_on
from emulators.vcenter.objects.resource_pool import ResourcePool
from emulators.vcenter.objects.vm_power import require
from emulators.vcenter.records import Record
from emulators.vcenter.tasks import Work

SECONDS = 1.0


def destroy_folder(call: Call, folder: Folder, _args: Any) -> Work:
    """Destroy_Task of a folder: with everything in it, machines with their files; those must be off."""
    yield SECONDS
    _must_be_own(call.inventory, folder)
    machines = [one for one in _below(call.inventory, folder) if one.kind == "VirtualMachine"]
    for vm in machines:
        require(vm, "poweredOff", "suspended", wanted="poweredOff")
    for child in [call.inventory.find(one.moid) for one in list(folder.children)]:
        _remove(call, child, with_files=True)
    _take_folder(call.inventory, folder)


def unregister_and_destroy(call: Call, folder: Folder, _args: Any) -> Work:
    """UnregisterAndDestroy_Task: machines leave the inventory, their files stay; they must be off."""
    if "VirtualMachine" not in folder.child_types:
        raise Fault("NotSupported", "The folder does not hold virtual machines.")
    yield SECONDS
    _must_be_own(call.inventory, folder)
    for vm in [one for one in _below(call.inventory, folder) if one.kind == "VirtualMachine"]:
        require(vm, "poweredOff", "suspended", wanted="poweredOff")
    for child in [call.inventory.find(one.moid) for one in list(folder.children)]:
        _remove(call, child, with_files=False)
    _take_folder(call.inventory, folder)


def _must_be_own(inventory: Inventory, folder: Folder) -> None:
    parent = inventory.find(folder.parent.moid) if folder.parent else None
    if not isinstance(parent, Folder):
        raise Fault("NotSupported", "This folder belongs to its datacenter and cannot be destroyed.")


def _take_folder(inventory: Inventory, folder: Folder) -> None:
    parent = inventory.find(folder.parent.moid) if folder.parent else None
    if isinstance(parent, Folder):
        take(inventory, parent, folder)
    inventory.remove(folder)


def _below(inventory: Inventory, folder: Folder) -> list[Any]:
    found = []
    for child in [inventory.find(one.moid) for one in folder.children]:
        found += [child, *(_below(inventory, child) if isinstance(child, Folder) else ())]
    return found


def _remove(call: Call, child: Any, *, with_files: bool) -> None:
    """Take one child of a folder out of the inventory, whatever it is. It may have gone with another one."""
    inventory = call.inventory
    if child is None or inventory.find(child.moid) is not child:
        return
    if isinstance(child, Folder):
        for inner in [inventory.find(one.moid) for one in list(child.children)]:
            _remove(call, inner, with_files=with_files)
        _take_folder(inventory, child)
    elif child.kind == "VirtualMachine":
        vm_destroy.remove(call, child, with_files=with_files)
    elif child.kind == "VirtualApp":
        pools.dissolve_vapp(call, child, with_files=with_files)
    elif child.kind == "Datacenter":
        remove_datacenter(call, child)
    elif isinstance(child, ClusterComputeResource):
        remove_compute(call, child)
    elif child.kind == "Datastore":
        datastore.remove(call, child)
    elif child.kind == "VmwareDistributedVirtualSwitch":
        switch.remove_switch(inventory, child)
    else:
        switch.remove_network(inventory, child)


def destroy_pod(call: Call, pod: Folder, _args: Any) -> Work:
    """Destroy_Task of a StoragePod: its datastores move up."""
    yield SECONDS
    inventory = call.inventory
    assert pod.parent is not None, "a pod hangs in a folder"
    parent = inventory.get(pod.parent, Folder)
    for child in [inventory.find(one.moid) for one in list(pod.children)]:
        take(inventory, pod, child)
        child.parent = ref(parent)
        put(inventory, parent, child)
        inventory.change(child, "parent")
    _take_folder(inventory, pod)


def destroy_datacenter(call: Call, datacenter: Any, _args: Any) -> Work:
    """Destroy_Task of a datacenter: all in it leaves the inventory, the files stay."""
    yield SECONDS
    remove_datacenter(call, datacenter)


def remove_datacenter(call: Call, datacenter: Any) -> None:
    """Take a datacenter and everything in it out of the inventory."""
    inventory = call.inventory
    for compute in list(inventory.all_of(ClusterComputeResource)):
        if datacenter_of(inventory, compute) is datacenter:
            remove_compute(call, compute)
    for home in (datacenter.network_folder, datacenter.datastore_folder, datacenter.host_folder, datacenter.vm_folder):
        folder = inventory.find(home.moid)
        for child in [inventory.find(one.moid) for one in list(folder.children)]:
            _remove(call, child, with_files=False)
        inventory.remove(folder)
    take(inventory, inventory.find(datacenter.parent.moid), datacenter)
    inventory.remove(datacenter)


def destroy_compute(call: Call, compute: ClusterComputeResource, _args: Any) -> Work:
    """Destroy_Task of a cluster or standalone host: its machines leave the inventory, running or not; their files stay."""
    yield SECONDS
    remove_compute(call, compute)


def remove_compute(call: Call, compute: ClusterComputeResource) -> None:
    """Take a compute resource with hosts, pools and machines out of the inventory."""
    inventory = call.inventory
    for host in [inventory.get(one, HostSystem) for one in list(compute.hosts)]:
        remove_host(call, host)
    datacenter = datacenter_of(inventory, compute)
    for pool in list(inventory.all_of(ResourcePool)):
        if pool.cluster == ref(compute):
            pools.leave_folder(inventory, pool)
            inventory.remove(pool)
    browser = inventory.find(f"envbrowser-{compute.moid}")
    if browser is not None:
        inventory.remove(browser)
    assert compute.parent is not None, "a compute resource hangs in a folder"
    take(inventory, inventory.get(compute.parent, Folder), compute)
    inventory.remove(compute)
    if compute.kind == "ClusterComputeResource":
        argument = Record("ComputeResourceEventArgument", name=compute.name, computeResource=ref(compute))
        home = Record("DatacenterEventArgument", name=datacenter.name, datacenter=ref(datacenter))
        text = f"Removed cluster {compute.name} in datacenter {datacenter.name}"
        inventory.events.post("ClusterDestroyedEvent", text, user=call.user, computeResource=argument, datacenter=home)


def destroy_host(call: Call, host: HostSystem, _args: Any) -> Work:
    """Destroy_Task of a host: one of a cluster must be in maintenance mode or disconnected; a standalone one goes whole."""
    inventory = call.inventory
    compute = inventory.find(host.parent.moid)
    if compute.kind == "ClusterComputeResource" and not host.maintenance and host.connection == "connected":
        raise Fault("InvalidState", f"The host {host.name} is not in maintenance mode.")
    yield SECONDS
    if compute.kind == "ClusterComputeResource":
        remove_host(call, host)
    else:
        remove_compute(call, compute)


def remove_host(call: Call, host: HostSystem) -> None:
    """Take a host with its machines out of the inventory, and what only it has seen."""
    inventory = call.inventory
    for vm in machines_on(inventory, host):
        vm_destroy.take_out(call, vm, with_files=False)
    inventory.events.about_host("HostRemovedEvent", "Removed host {host} in {datacenter}", host, user=call.user)
    compute = inventory.find(host.parent.moid)
    compute.hosts.remove(ref(host))
    inventory.change(compute, "host", "summary")
    for one in [*host.datastores, *host.networks]:
        place = inventory.find(one.moid)
        if place is not None and ref(host) in place.hosts:
            place.hosts.remove(ref(host))
            inventory.change(place, "host")
    for dvs in inventory.all_of(switch.DistributedVirtualSwitch):
        if ref(host) in dvs.hosts:
            dvs.hosts.remove(ref(host))
            inventory.change(dvs, "config", "summary")
    for one in list(host.datastores):
        store = inventory.find(one.moid)
        if store is not None and not store.hosts:
            datastore.remove(call, store)
    inventory.remove(inventory.find(host.browser.moid))
    for moid in host.parts:
        inventory.remove(inventory.find(moid))
    inventory.remove(host)


FOLDER_REMOVALS = {"Destroy_Task": destroy_folder, "UnregisterAndDestroy_Task": unregister_and_destroy}
