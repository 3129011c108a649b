"""The managed types that this vCenter knows. One line of `KINDS` for each; a new operation is an entry in its module's table."""

from dataclasses import replace
from typing import Any

from emulators.vcenter import nfc_pull, schema
from emulators.vcenter.entity import ENTITY_OPERATIONS
from emulators.vcenter.kind import Kind, needs, of_disks
from emulators.vcenter.objects import (
    alarms,
    array,
    authorization_manager,
    cluster,
    cluster_placement,
    cluster_settings,
    custom_fields,
    customization_specs,
    datacenter,
    datacenter_operations,
    datastore,
    datastore_browser,
    datastore_namespaces,
    environment,
    event_manager,
    extensions,
    files,
    folder,
    folder_moves,
    folder_places,
    guest_file_operations,
    guest_operations,
    guest_registry,
    host_access,
    host_datastores,
    host_interfaces,
    host_membership,
    host_network,
    host_parts,
    host_services,
    host_states,
    host_storage,
    host_system,
    inventory_removal,
    ip_pools,
    key_providers,
    licenses,
    nfc_lease,
    options,
    ovf_manager,
    performance,
    pools,
    property_collector,
    provisioning_checks,
    resource_pool,
    scheduled_tasks,
    search_index,
    service_instance,
    service_tickets,
    session_manager,
    session_tickets,
    storage_placement,
    switch,
    switch_ports,
    task_history,
    task_manager,
    tenants,
    user_directory,
    vapp_clone,
    views,
    virtual_disks,
    vm_changes,
    vm_clone,
    vm_console,
    vm_customize,
    vm_destroy,
    vm_disk_care,
    vm_export,
    vm_power,
    vm_question,
    vm_reconfigure,
    vm_register,
    vm_relocate,
    vm_snapshots,
    vm_template,
    vstorage_snapshots,
)
from emulators.vcenter.objects.network import NETWORK_PROPERTIES
from emulators.vcenter.objects.vm_properties import MACHINE_PROPERTIES, SNAPSHOT_PROPERTIES
from emulators.vcenter.tasks import info


def _entity(rename: str, destroy: str) -> dict[str, Any]:
    return {"Rename_Task": needs(rename), "Destroy_Task": needs(destroy)}


def _refresh(call: Any, vm: Any, _args: Any) -> None:
    """RefreshStorageInfo."""
    call.inventory.change(vm, "storage", "summary.storage", "layoutEx")


_POOL_PRIVILEGES = {
    "UpdateConfig": needs("Resource.EditPool"),
    "UpdateChildResourceConfiguration": needs("Resource.EditPool"),
    "MoveIntoResourcePool": needs("Resource.AssignVMToPool"),
    "DestroyChildren": needs("Resource.DeletePool"),
}

_KINDS: dict[str, Kind] = {
    **host_access.HOST_ACCESS_KINDS,
    **host_datastores.HOST_DATASTORE_KINDS,
    **host_interfaces.HOST_INTERFACE_KINDS,
    **host_network.HOST_NETWORK_KINDS,
    **host_services.HOST_SERVICE_KINDS,
    **host_storage.HOST_STORAGE_KINDS,
    "Alarm": Kind(alarms.ALARM_PROPERTIES, alarms.ALARM_OPERATIONS),
    "AlarmManager": Kind(alarms.ALARMS_PROPERTIES, alarms.ALARMS_OPERATIONS),
    "AuthorizationManager": Kind(
        authorization_manager.AUTHORIZATION_PROPERTIES,
        authorization_manager.AUTHORIZATION_OPERATIONS,
        volatile=frozenset({"roleList"}),
    ),
    "ClusterComputeResource": Kind(
        cluster.CLUSTER_PROPERTIES,
        {
            **ENTITY_OPERATIONS,
            **cluster_settings.RULE_OPERATIONS,
            **cluster_placement.PLACEMENT_OPERATIONS,
            **host_membership.MEMBER_OPERATIONS,
            "Destroy_Task": inventory_removal.destroy_compute,
        },
        volatile=frozenset({"summary", "summaryEx"}),
        privileges={
            **_entity("Host.Inventory.RenameCluster", "Host.Inventory.DeleteCluster"),
            "ApplyRecommendation": needs("Resource.ApplyRecommendation"),
        },
    ),
    "ComputeResource": Kind(
        cluster.COMPUTE_PROPERTIES,
        {**ENTITY_OPERATIONS, **cluster_settings.SETTING_OPERATIONS, "Destroy_Task": inventory_removal.destroy_compute},
        volatile=frozenset({"summary"}),
        privileges=_entity("Host.Inventory.RenameCluster", "Host.Inventory.RemoveHostFromCluster"),
    ),
    "CryptoManagerKmip": Kind(key_providers.PROVIDER_PROPERTIES, key_providers.PROVIDER_OPERATIONS),
    "DistributedVirtualSwitchManager": Kind(operations=switch_ports.SERVICE_OPERATIONS),
    "StorageResourceManager": Kind(
        operations=storage_placement.PLACEMENT_OPERATIONS,
        privileges={"ConfigureDatastoreIORM_Task": needs("System.View", datastore="Datastore.Config")},
    ),
    "TenantTenantManager": Kind(operations=tenants.TENANT_OPERATIONS),
    "CustomizationSpecManager": Kind(customization_specs.SPECS_PROPERTIES, customization_specs.SPECS_OPERATIONS),
    "IpPoolManager": Kind(
        operations=ip_pools.IP_POOL_OPERATIONS,
        privileges={
            "AllocateIpv4Address": needs("System.View", dc="Datacenter.IpPoolConfig"),
            "AllocateIpv6Address": needs("System.View", dc="Datacenter.IpPoolConfig"),
        },
    ),
    "ScheduledTask": Kind(scheduled_tasks.SCHEDULED_PROPERTIES, scheduled_tasks.SCHEDULED_OPERATIONS),
    "ScheduledTaskManager": Kind(scheduled_tasks.SCHEDULER_PROPERTIES, scheduled_tasks.SCHEDULER_OPERATIONS),
    "VirtualMachineCompatibilityChecker": Kind(operations=provisioning_checks.COMPATIBILITY_OPERATIONS),
    "VirtualMachineProvisioningChecker": Kind(operations=provisioning_checks.PROVISIONING_OPERATIONS),
    "CustomFieldsManager": Kind(custom_fields.FIELDS_PROPERTIES, custom_fields.FIELDS_OPERATIONS),
    "ContainerView": Kind(views.CONTAINER_PROPERTIES, views.VIEW_OPERATIONS, volatile=frozenset({"view"})),
    "Datacenter": Kind(
        datacenter.DATACENTER_PROPERTIES,
        datacenter_operations.DATACENTER_OPERATIONS,
        privileges=_entity("Datacenter.Rename", "Datacenter.Delete"),
    ),
    "Datastore": Kind(
        {**datastore.DATASTORE_PROPERTIES, "iormConfiguration": storage_placement.io_control},
        datastore.DATASTORE_OPERATIONS,
        volatile=frozenset({"summary", "info"}),
        privileges=_entity("Datastore.Rename", "Datastore.Delete"),
    ),
    "DatastoreNamespaceManager": Kind(operations=datastore_namespaces.NAMESPACE_OPERATIONS),
    "DistributedVirtualPortgroup": Kind(
        switch.PORTGROUP_PROPERTIES,
        switch.PORTGROUP_OPERATIONS,
        volatile=frozenset({"vm"}),
        privileges={
            **_entity("DVPortgroup.Modify", "DVPortgroup.Delete"),
            "ReconfigureDVPortgroup_Task": needs("DVPortgroup.Modify"),
        },
    ),
    "EnvironmentBrowser": Kind(
        environment.ENVIRONMENT_PROPERTIES, environment.ENVIRONMENT_OPERATIONS, volatile=frozenset({"datastoreBrowser"})
    ),
    "EventHistoryCollector": Kind(
        event_manager.COLLECTOR_PROPERTIES, event_manager.COLLECTOR_OPERATIONS, volatile=frozenset({"latestPage"})
    ),
    "EventManager": Kind(event_manager.EVENT_PROPERTIES, event_manager.EVENT_OPERATIONS),
    "ExtensionManager": Kind(extensions.EXTENSIONS_PROPERTIES, extensions.EXTENSIONS_OPERATIONS),
    "FileManager": Kind(operations=files.FILES_OPERATIONS),
    "Folder": Kind(
        folder.FOLDER_PROPERTIES,
        {
            **folder.FOLDER_OPERATIONS,
            **folder_places.PLACE_OPERATIONS,
            **folder_moves.MOVE_OPERATIONS,
            **host_membership.HOST_FOLDER_OPERATIONS,
            **inventory_removal.FOLDER_REMOVALS,
            **vm_register.REGISTER_OPERATIONS,
            "CreateStoragePod": folder_moves.create_pod,
        },
        privileges={
            **_entity("Folder.Rename", "Folder.Delete"),
            "MoveIntoFolder_Task": folder_moves.privileges,
            "BatchAddHostsToCluster_Task": needs("System.Read", cluster="Host.Inventory.AddHostToCluster"),
        },
    ),
    "GuestAliasManager": Kind(operations=guest_registry.ALIAS_OPERATIONS),
    "GuestAuthManager": Kind(operations=guest_operations.AUTH_OPERATIONS),
    "GuestFileManager": Kind(operations=guest_file_operations.FILE_OPERATIONS),
    "GuestOperationsManager": Kind(guest_operations.GUEST_PROPERTIES),
    "GuestProcessManager": Kind(operations=guest_operations.PROCESS_OPERATIONS),
    "GuestWindowsRegistryManager": Kind(operations=guest_registry.REGISTRY_OPERATIONS),
    "HostDatastoreBrowser": Kind(
        datastore_browser.BROWSER_PROPERTIES,
        {**datastore_browser.BROWSER_OPERATIONS, "DeleteFile": files.delete_now},
        privileges=dict.fromkeys(datastore_browser.BROWSER_OPERATIONS, needs("Datastore.Browse")),
    ),
    "HostSystem": Kind(
        {**host_system.HOST_PROPERTIES, "configManager": host_parts.system_objects, "capability": environment.host_capability},
        {"Reload": ENTITY_OPERATIONS["Reload"], **host_states.STATE_OPERATIONS, "Destroy_Task": inventory_removal.destroy_host},
        volatile=frozenset({"summary"}),
        privileges={"Destroy_Task": needs("Host.Inventory.RemoveHostFromCluster")},
    ),
    "HttpNfcLease": Kind(nfc_lease.LEASE_PROPERTIES, {**nfc_lease.LEASE_OPERATIONS, **nfc_pull.PULL_OPERATIONS}),
    "InventoryView": Kind(views.INVENTORY_PROPERTIES, views.INVENTORY_OPERATIONS, volatile=frozenset({"view"})),
    "LicenseAssignmentManager": Kind(operations=licenses.ASSIGNMENT_OPERATIONS),
    "LicenseManager": Kind(licenses.LICENSES_PROPERTIES, licenses.LICENSES_OPERATIONS),
    "ListView": Kind(views.LIST_PROPERTIES, views.LIST_OPERATIONS, volatile=frozenset({"view"})),
    "Network": Kind(
        NETWORK_PROPERTIES,
        switch.NETWORK_OPERATIONS,
        volatile=frozenset({"vm"}),
        privileges=_entity("Network.Assign", "Network.Delete"),
    ),
    "OpaqueNetwork": Kind(
        NETWORK_PROPERTIES,
        switch.NETWORK_OPERATIONS,
        volatile=frozenset({"vm"}),
        privileges=_entity("Network.Assign", "Network.Delete"),
    ),
    "OptionManager": Kind(
        options.OPTIONS_PROPERTIES, options.OPTIONS_OPERATIONS, privileges={"UpdateOptions": needs("Global.Settings")}
    ),
    "OvfManager": Kind(ovf_manager.OVF_PROPERTIES, ovf_manager.OVF_OPERATIONS),
    "PerformanceManager": Kind(performance.PERFORMANCE_PROPERTIES, performance.PERFORMANCE_OPERATIONS),
    "PropertyCollector": Kind(property_collector.PROPERTIES, property_collector.OPERATIONS, volatile=frozenset({"filter"})),
    "PropertyFilter": Kind(property_collector.FILTER_PROPERTIES, property_collector.FILTER_OPERATIONS),
    "ResourcePool": Kind(
        resource_pool.POOL_PROPERTIES,
        {**pools.POOL_OPERATIONS, **vm_register.REGISTER_CHILD_OPERATIONS, **vm_export.IMPORT_OPERATIONS},
        volatile=frozenset({"runtime", "summary"}),
        privileges={**_entity("Resource.RenamePool", "Resource.DeletePool"), **_POOL_PRIVILEGES},
    ),
    "SearchIndex": Kind(operations=search_index.SEARCH_OPERATIONS),
    "ServiceInstance": Kind(
        service_instance.INSTANCE_PROPERTIES,
        {**service_instance.INSTANCE_OPERATIONS, **provisioning_checks.INSTANCE_CHECKS},
        volatile=frozenset({"serverClock"}),
    ),
    "SessionManager": Kind(
        session_manager.SESSION_PROPERTIES,
        {**session_manager.SESSION_OPERATIONS, **service_tickets.TICKET_OPERATIONS, **session_tickets.TICKET_OPERATIONS},
        personal={"currentSession": session_manager.current_session},
        volatile=frozenset({"sessionList"}),
    ),
    "Task": Kind({"info": info}, task_manager.TASK_OPERATIONS),
    "TaskHistoryCollector": Kind(
        task_history.HISTORY_PROPERTIES, task_history.HISTORY_OPERATIONS, volatile=frozenset({"latestPage"})
    ),
    "TaskManager": Kind(task_manager.TASK_MANAGER_PROPERTIES, task_history.SERVICE_OPERATIONS),
    "StorageQueryManager": Kind(operations=array.ARRAY_OPERATIONS),
    "StoragePod": Kind(
        {**folder.FOLDER_PROPERTIES, **folder_moves.POD_PROPERTIES},
        {**ENTITY_OPERATIONS, **folder_moves.MOVE_OPERATIONS, "Destroy_Task": inventory_removal.destroy_pod},
        volatile=frozenset({"summary"}),
        privileges={**_entity("Folder.Rename", "Folder.Delete"), "MoveIntoFolder_Task": folder_moves.privileges},
    ),
    "UserDirectory": Kind({"domainList": lambda _inventory, _directory: ["vsphere.local"]}, user_directory.DIRECTORY_OPERATIONS),
    "ViewManager": Kind(views.MANAGER_PROPERTIES, views.MANAGER_OPERATIONS),
    "VirtualApp": Kind(
        pools.VAPP_PROPERTIES,
        {
            **pools.VAPP_OPERATIONS,
            **vapp_clone.CLONE_OPERATIONS,
            **vm_register.REGISTER_CHILD_OPERATIONS,
            **vm_export.VAPP_OPERATIONS,
        },
        volatile=frozenset({"summary", "datastore", "network"}),
        privileges={
            **_entity("VApp.Rename", "VApp.Delete"),
            **_POOL_PRIVILEGES,
            "UpdateVAppConfig": needs("VApp.ApplicationConfig"),
        },
    ),
    "HostVStorageObjectManager": Kind(operations=vstorage_snapshots.HOST_OPERATIONS),
    "VcenterVStorageObjectManager": Kind(operations=vstorage_snapshots.VCENTER_OPERATIONS),
    "VirtualDiskManager": Kind(operations=virtual_disks.DISKS_OPERATIONS),
    "VirtualMachine": Kind(
        MACHINE_PROPERTIES,
        {
            **ENTITY_OPERATIONS,
            **vm_power.POWER_OPERATIONS,
            **vm_snapshots.SNAPSHOT_TASKS_OF_MACHINE,
            **vm_destroy.DESTROY_OPERATIONS,
            **vm_disk_care.CARE_OPERATIONS,
            **vm_export.EXPORT_OF_MACHINE,
            **vstorage_snapshots.MACHINE_OPERATIONS,
            **vm_changes.CHANGE_OPERATIONS,
            **vm_clone.CLONE_OPERATIONS,
            **vm_console.CONSOLE_OPERATIONS,
            **vm_customize.CUSTOMIZE_OPERATIONS,
            **vm_question.QUESTION_OPERATIONS,
            **vm_register.RELOAD_OPERATIONS,
            **vm_relocate.RELOCATE_OPERATIONS,
            **vm_template.TEMPLATE_OPERATIONS,
            "ReconfigVM_Task": vm_reconfigure.reconfigure,
            "RefreshStorageInfo": _refresh,
        },
        stamps=dict.fromkeys(("summary", "config", "storage", "layoutEx"), of_disks),
        privileges={
            **_entity("VirtualMachine.Config.Rename", "VirtualMachine.Inventory.Delete"),
            "ReconfigVM_Task": vm_reconfigure.privileges,
            "CloneVM_Task": vm_clone.privileges,
            "InstantClone_Task": vm_clone.instant_privileges,
            "MigrateVM_Task": vm_relocate.migrate_privileges,
            "RelocateVM_Task": vm_relocate.privileges,
        },
    ),
    "VmwareDistributedVirtualSwitch": Kind(
        switch.SWITCH_PROPERTIES,
        {**switch.SWITCH_OPERATIONS, **switch_ports.PORT_OPERATIONS},
        volatile=frozenset({"summary"}),
        privileges={**_entity("DVSwitch.Modify", "DVSwitch.Delete"), "ReconfigureDvs_Task": needs("DVSwitch.Modify")},
    ),
    "VirtualMachineSnapshot": Kind(
        SNAPSHOT_PROPERTIES,
        {**vm_snapshots.SNAPSHOT_OPERATIONS, **vm_export.EXPORT_OF_SNAPSHOT},
        volatile=frozenset({"config", "childSnapshot"}),
    ),
}

#: What every entity has besides: it comes from service objects, and so cannot stand in `entity`.
_SHARED_PROPERTIES = {
    "customValue": custom_fields.values,
    "value": custom_fields.values,
    "availableField": custom_fields.available,
    "declaredAlarmState": alarms.declared,
    "triggeredAlarmState": alarms.triggered,
    "overallStatus": alarms.overall,
    "alarmActionsEnabled": alarms.actions_enabled,
}
_OF_ALL = ("value", "availableField")
_FROM_BELOW = frozenset({"triggeredAlarmState"})


def _shared(name: str, kind: Kind) -> Kind:
    entity = schema.is_a(name, "ManagedEntity")
    if not entity and not schema.is_a(name, "ExtensibleManagedObject"):
        return kind
    shared = {key: value for key, value in _SHARED_PROPERTIES.items() if entity or key in _OF_ALL}
    return replace(
        kind,
        properties={**kind.properties, **shared},
        operations={**kind.operations, "setCustomValue": custom_fields.set_by_name},
        volatile=kind.volatile | _FROM_BELOW,
        privileges={**kind.privileges, "setCustomValue": needs("Global.SetCustomField")},
    )


KINDS: dict[str, Kind] = {name: _shared(name, kind) for name, kind in sorted(_KINDS.items())}


def coverage() -> dict[str, tuple[list[str], list[str]]]:
    """For each managed type of vim25: the operations that work here, and those of the registry that do not."""
    found = {}
    for name in schema.managed_types():
        built = KINDS[name].operations if name in KINDS else {}
        every = schema.methods(name)
        found[name] = (sorted(set(every) & set(built)), sorted(set(every) - set(built)))
    return found
