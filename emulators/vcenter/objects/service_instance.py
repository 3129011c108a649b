"""ServiceInstance, and the table of the service objects it names."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.entity import Property
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.records import Record, Ref


@dataclass(slots=True)
class Service:
    """A service object: it has no state of its own."""

    kind: str
    moid: str
    cache: dict[str, Any] = field(default_factory=dict)


#: Field of ServiceContent -> kind of the object; its moid is the kind.
SERVICES = {
    "propertyCollector": ("PropertyCollector", "propertyCollector"),
    "viewManager": ("ViewManager", "ViewManager"),
    "sessionManager": ("SessionManager", "SessionManager"),
    "authorizationManager": ("AuthorizationManager", "AuthorizationManager"),
    "datastoreNamespaceManager": ("DatastoreNamespaceManager", "DatastoreNamespaceManager"),
    "eventManager": ("EventManager", "EventManager"),
    "taskManager": ("TaskManager", "TaskManager"),
    "searchIndex": ("SearchIndex", "SearchIndex"),
    "alarmManager": ("AlarmManager", "AlarmManager"),
    "customFieldsManager": ("CustomFieldsManager", "CustomFieldsManager"),
    "extensionManager": ("ExtensionManager", "ExtensionManager"),
    "fileManager": ("FileManager", "FileManager"),
    "guestOperationsManager": ("GuestOperationsManager", "guestOperationsManager"),
    "licenseManager": ("LicenseManager", "LicenseManager"),
    "ovfManager": ("OvfManager", "OvfManager"),
    "perfManager": ("PerformanceManager", "PerfMgr"),
    "setting": ("OptionManager", "VpxSettings"),
    "userDirectory": ("UserDirectory", "UserDirectory"),
    "vStorageObjectManager": ("VcenterVStorageObjectManager", "VStorageObjectManager"),
    "cryptoManager": ("CryptoManagerKmip", "CryptoManager"),
    "dvSwitchManager": ("DistributedVirtualSwitchManager", "DVSManager"),
    "storageResourceManager": ("StorageResourceManager", "StorageResourceManager"),
    "tenantManager": ("TenantTenantManager", "TenantManager"),
    "customizationSpecManager": ("CustomizationSpecManager", "CustomizationSpecManager"),
    "ipPoolManager": ("IpPoolManager", "IpPoolManager"),
    "scheduledTaskManager": ("ScheduledTaskManager", "ScheduledTaskManager"),
    "vmCompatibilityChecker": ("VirtualMachineCompatibilityChecker", "CompatCheck"),
    "vmProvisioningChecker": ("VirtualMachineProvisioningChecker", "ProvChecker"),
    "storageQueryManager": ("StorageQueryManager", "StorageQueryManager"),
    "virtualDiskManager": ("VirtualDiskManager", "virtualDiskManager"),
}
#: Service objects that others point at.
FURTHER = {
    "GuestAliasManager": "guestOperationsAliasManager",
    "GuestAuthManager": "guestOperationsAuthManager",
    "GuestFileManager": "guestOperationsFileManager",
    "GuestProcessManager": "guestOperationsProcessManager",
    "GuestWindowsRegistryManager": "guestOperationsWindowsRegistryManager",
    "HostVStorageObjectManager": "ha-vstorage-object-manager",
    "LicenseAssignmentManager": "LicenseAssignmentManager",
}


#: What a host that stands alone does not have.
_ONLY_VCENTER = (
    "alarmManager",
    "customFieldsManager",
    "cryptoManager",
    "customizationSpecManager",
    "dvSwitchManager",
    "storageResourceManager",
    "tenantManager",
    "extensionManager",
    "ipPoolManager",
    "scheduledTaskManager",
    "storageQueryManager",
    "vmCompatibilityChecker",
    "vmProvisioningChecker",
)


def _about_host(inventory: Inventory) -> Record:
    return Record(
        "AboutInfo",
        name="VMware ESXi",
        fullName=f"VMware ESXi {inventory.version} (drillbed emulator)",
        vendor="VMware, Inc.",
        version=inventory.version,
        build="5310538",
        osType="vmnix-x86",
        productLineId="embeddedEsx",
        apiType="HostAgent",
        apiVersion=api_version(inventory.version),
        licenseProductName="VMware ESX Server",
        licenseProductVersion="6.0",
    )


def _about(inventory: Inventory) -> Record:
    return Record(
        "AboutInfo",
        name="VMware vCenter Server",
        fullName=f"VMware vCenter Server {inventory.version} (drillbed emulator)",
        vendor="VMware, Inc.",
        version=inventory.version,
        build="5318154",
        osType="linux-x64",
        productLineId="vpx",
        apiType="VirtualCenter",
        apiVersion=api_version(inventory.version),
        instanceUuid=inventory.instance_uuid,
        licenseProductName="VMware VirtualCenter Server",
        licenseProductVersion="6.0",
    )


def content(inventory: Inventory) -> Record:
    """ServiceContent."""
    about = _about_host(inventory) if inventory.esx else _about(inventory)
    left_out = _ONLY_VCENTER if inventory.esx else ()
    services = {name: Ref(kind, moid) for name, (kind, moid) in SERVICES.items() if name not in left_out}
    if inventory.esx:
        services["vStorageObjectManager"] = Ref("HostVStorageObjectManager", FURTHER["HostVStorageObjectManager"])
    return Record("ServiceContent", rootFolder=inventory.root, about=about, **services)


def api_version(version: str) -> str:
    """`6.5.0` -> `6.5`; from 7.0 on the API has four parts (`8.0.3.0`)."""
    parts = version.split(".")
    return ".".join(parts[:2]) if int(parts[0]) < 7 else ".".join([*parts, "0", "0"][:4])


INSTANCE_PROPERTIES: dict[str, Property] = {
    "serverClock": lambda inventory, _instance: inventory.clock.now(),
    "content": lambda inventory, _instance: content(inventory),
    "capability": lambda _inventory, _instance: Record(
        "Capability", provisioningSupported=True, multiHostSupported=True, userShellAccessSupported=False
    ),
}
INSTANCE_OPERATIONS = {
    "RetrieveServiceContent": lambda call, _instance, _args: content(call.inventory),
    "CurrentTime": lambda call, _instance, _args: call.inventory.clock.now(),
}
