"""The service objects that keep state: which class stands for which kind."""

from typing import Any

from emulators.vcenter.objects.alarms import Alarms
from emulators.vcenter.objects.array import Array
from emulators.vcenter.objects.custom_fields import CustomFields
from emulators.vcenter.objects.customization_specs import CustomizationSpecs
from emulators.vcenter.objects.extensions import Extensions
from emulators.vcenter.objects.guest_operations import GuestOperations
from emulators.vcenter.objects.ip_pools import IpPools
from emulators.vcenter.objects.key_providers import KeyProviders
from emulators.vcenter.objects.licenses import Licenses
from emulators.vcenter.objects.options import Options
from emulators.vcenter.objects.session_manager import SessionService
from emulators.vcenter.objects.tenants import Tenants
from emulators.vcenter.objects.vstorage import VStorageService

STATEFUL: dict[str, Any] = {
    "AlarmManager": Alarms,
    "CustomFieldsManager": CustomFields,
    "CryptoManagerKmip": KeyProviders,
    "CustomizationSpecManager": CustomizationSpecs,
    "ExtensionManager": Extensions,
    "IpPoolManager": IpPools,
    "LicenseManager": Licenses,
    "OptionManager": Options,
    "GuestOperationsManager": GuestOperations,
    "HostVStorageObjectManager": VStorageService,
    "SessionManager": SessionService,
    "VcenterVStorageObjectManager": VStorageService,
    "StorageQueryManager": Array,
    "TenantTenantManager": Tenants,
}
