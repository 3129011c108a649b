"""The managed types that this vCenter knows. One line of `KINDS` for each; a new operation is an entry in its module's table."""

from typing import Any

from emulators.vcenter import schema
from emulators.vcenter.entity import ENTITY_OPERATIONS
from emulators.vcenter.kind import Kind, of_disks
from emulators.vcenter.objects import (
    authorization_manager,
    cluster,
    datacenter,
    datastore,
    datastore_browser,
    environment,
    event_manager,
    folder,
    host_system,
    network,
    property_collector,
    resource_pool,
    search_index,
    service_instance,
    session_manager,
    task_manager,
    views,
    vm_changes,
    vm_destroy,
    vm_power,
    vm_reconfigure,
    vm_snapshots,
)
from emulators.vcenter.objects.vm_properties import MACHINE_PROPERTIES, SNAPSHOT_PROPERTIES
from emulators.vcenter.tasks import info


def _needs(privilege: str) -> Any:
    return lambda _args: {privilege}


def _entity(rename: str, destroy: str) -> dict[str, Any]:
    return {"Rename_Task": _needs(rename), "Destroy_Task": _needs(destroy)}


def _refresh(call: Any, vm: Any, _args: Any) -> None:
    """RefreshStorageInfo."""
    call.inventory.change(vm, "storage", "summary.storage", "layoutEx")


KINDS: dict[str, Kind] = {
    "AuthorizationManager": Kind(
        authorization_manager.AUTHORIZATION_PROPERTIES,
        authorization_manager.AUTHORIZATION_OPERATIONS,
        volatile=frozenset({"roleList"}),
    ),
    "ClusterComputeResource": Kind(
        cluster.CLUSTER_PROPERTIES,
        cluster.CLUSTER_OPERATIONS,
        privileges=_entity("Host.Inventory.RenameCluster", "Host.Inventory.DeleteCluster"),
    ),
    "ContainerView": Kind(views.CONTAINER_PROPERTIES, views.VIEW_OPERATIONS, volatile=frozenset({"view"})),
    "Datacenter": Kind(
        datacenter.DATACENTER_PROPERTIES,
        datacenter.DATACENTER_OPERATIONS,
        privileges=_entity("Datacenter.Rename", "Datacenter.Delete"),
    ),
    "Datastore": Kind(
        datastore.DATASTORE_PROPERTIES,
        datastore.DATASTORE_OPERATIONS,
        volatile=frozenset({"summary", "info"}),
        privileges=_entity("Datastore.Rename", "Datastore.Delete"),
    ),
    "EnvironmentBrowser": Kind(environment.ENVIRONMENT_PROPERTIES),
    "EventHistoryCollector": Kind(
        event_manager.COLLECTOR_PROPERTIES, event_manager.COLLECTOR_OPERATIONS, volatile=frozenset({"latestPage"})
    ),
    "EventManager": Kind(event_manager.EVENT_PROPERTIES, event_manager.EVENT_OPERATIONS),
    "Folder": Kind(folder.FOLDER_PROPERTIES, folder.FOLDER_OPERATIONS, privileges=_entity("Folder.Rename", "Folder.Delete")),
    "HostDatastoreBrowser": Kind(
        datastore_browser.BROWSER_PROPERTIES,
        datastore_browser.BROWSER_OPERATIONS,
        privileges=dict.fromkeys(datastore_browser.BROWSER_OPERATIONS, _needs("Datastore.Browse")),
    ),
    "HostSystem": Kind(
        host_system.HOST_PROPERTIES,
        host_system.HOST_OPERATIONS,
        volatile=frozenset({"summary"}),
        privileges=_entity("System.Read", "System.Read"),
    ),
    "InventoryView": Kind(views.INVENTORY_PROPERTIES, views.INVENTORY_OPERATIONS, volatile=frozenset({"view"})),
    "ListView": Kind(views.LIST_PROPERTIES, views.LIST_OPERATIONS, volatile=frozenset({"view"})),
    "Network": Kind(
        network.NETWORK_PROPERTIES, network.NETWORK_OPERATIONS, privileges=_entity("Network.Assign", "Network.Delete")
    ),
    "PropertyCollector": Kind(property_collector.PROPERTIES, property_collector.OPERATIONS, volatile=frozenset({"filter"})),
    "PropertyFilter": Kind(property_collector.FILTER_PROPERTIES, property_collector.FILTER_OPERATIONS),
    "ResourcePool": Kind(
        resource_pool.POOL_PROPERTIES,
        resource_pool.POOL_OPERATIONS,
        privileges=_entity("Resource.RenamePool", "Resource.DeletePool"),
    ),
    "SearchIndex": Kind(operations=search_index.SEARCH_OPERATIONS),
    "ServiceInstance": Kind(
        service_instance.INSTANCE_PROPERTIES, service_instance.INSTANCE_OPERATIONS, volatile=frozenset({"serverClock"})
    ),
    "SessionManager": Kind(
        session_manager.SESSION_PROPERTIES,
        session_manager.SESSION_OPERATIONS,
        personal={"currentSession": session_manager.current_session},
        volatile=frozenset({"sessionList"}),
    ),
    "Task": Kind({"info": info}, task_manager.TASK_OPERATIONS),
    "TaskManager": Kind(task_manager.TASK_MANAGER_PROPERTIES),
    "ViewManager": Kind(views.MANAGER_PROPERTIES, views.MANAGER_OPERATIONS),
    "VirtualMachine": Kind(
        MACHINE_PROPERTIES,
        {
            **ENTITY_OPERATIONS,
            **vm_power.POWER_OPERATIONS,
            **vm_snapshots.SNAPSHOT_TASKS_OF_MACHINE,
            **vm_destroy.DESTROY_OPERATIONS,
            **vm_changes.CHANGE_OPERATIONS,
            "ReconfigVM_Task": vm_reconfigure.reconfigure,
            "RefreshStorageInfo": _refresh,
        },
        stamps=dict.fromkeys(("summary", "config", "storage", "layoutEx"), of_disks),
        privileges={
            **_entity("VirtualMachine.Config.Rename", "VirtualMachine.Inventory.Delete"),
            "ReconfigVM_Task": vm_reconfigure.privileges,
        },
    ),
    "VirtualMachineSnapshot": Kind(SNAPSHOT_PROPERTIES, vm_snapshots.SNAPSHOT_OPERATIONS, volatile=frozenset({"config"})),
}


def coverage() -> dict[str, tuple[list[str], list[str]]]:
    """For each managed type of vim25: the operations that work here, and those of the registry that do not."""
    found = {}
    for name in schema.managed_types():
        built = KINDS[name].operations if name in KINDS else {}
        every = schema.methods(name)
        found[name] = (sorted(set(every) & set(built)), sorted(set(every) - set(built)))
    return found
