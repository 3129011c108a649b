"""What of a protected item can be changed before a failover: name, size, networks, interfaces, group, set (AVM-001, CFG-021)."""

from emulators.azure.arm import read
from emulators.azure.site_recovery import enable, target_nics, targets
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Item
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import Json, same

#: Field of the settings -> what a call names it: in its properties (classic), in its provider's details.
_CLASSIC = {
    "vmName": "recoveryAzureVMName",
    "vmSize": "recoveryAzureVMSize",
    "networkId": "selectedRecoveryAzureNetworkId",
    "testNetworkId": "selectedTfoAzureNetworkId",
    "licenseType": "licenseType",
    "availabilitySet": "recoveryAvailabilitySetId",
}
_CLASSIC_DETAILS = {"resourceGroupId": "recoveryAzureV2ResourceGroupId"}
_MODERNIZED_DETAILS = {
    "vmName": "targetVmName",
    "vmSize": "targetVmSize",
    "networkId": "targetNetworkId",
    "testNetworkId": "testNetworkId",
    "licenseType": "licenseType",
    "availabilitySet": "targetAvailabilitySetId",
    "resourceGroupId": "targetResourceGroupId",
    "bootDiagnostics": "targetBootDiagnosticsStorageAccountId",
}


def wanted(service: Service, item: Item, body: Json, details: Json) -> Json:
    """The settings that a PATCH changes, checked. An empty value leaves what there is. Raises `Failure`, `Refusal`."""
    plain, own = ({}, _MODERNIZED_DETAILS) if item.profile is MODERNIZED else (_CLASSIC, _CLASSIC_DETAILS)
    given = {field: read(body, name, str) for field, name in plain.items()}
    given |= {field: read(details, name, str) for field, name in own.items()}
    new: Json = {field: value for field, value in given.items() if value}
    for field, word in (("networkId", "network"), ("testNetworkId", "network"), ("resourceGroupId", "target")):
        if new.get(field) and service.azure.find(new[field]) is None:
            raise Failure(f"{word}-missing")
    if new.get("vmName") and not enable.valid_name(new["vmName"]):  # CFG-006
        raise Failure("name-invalid")
    if new.get("availabilitySet"):
        _check_set(service, new["availabilitySet"], str(new.get("resourceGroupId") or item.settings["resourceGroupId"]))
    nics = target_nics.changed(item, body, details)
    network = str(new.get("networkId") or item.settings["networkId"])
    known = [name.lower() for name in targets.subnets(service, network)]
    if nics != target_nics.of(item):
        for nic in nics:
            if nic["selected"] and str(nic["subnet"]).lower() not in known:
                raise Failure("network-missing", f"The virtual network has no subnet '{nic['subnet']}'.")
        primary = next(nic for nic in nics if nic["selected"] and nic["primary"])
        new |= {"nics": nics, "subnet": primary["subnet"]}
    return new


def _check_set(service: Service, wanted_set: str, group: str) -> None:
    """CFG-021: an availability set has to be there, in the target's resource group."""
    found = service.azure.find(wanted_set)
    if found is None:
        raise Failure("target-missing", "The availability set does not exist.")
    if not same("/".join(found.id.split("/")[:5]), group):
        raise Failure("target-missing", "The availability set is not in the target's resource group.")
