"""What a machine may be to be replicated, and what the account and the caller need (CFG rows, RBAC-001): tables of small checks.

Checks of the machine are asked by the enable job and fail it; those of the target and of the caller refuse the call.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emulators.azure.arm import Call, Resource
from emulators.azure.site_recovery.profiles import CLASSIC, Profile
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.rules import Rules
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import Json

_GIB = 1 << 30

#: Systems that agents never ran on; and those that came after the classic architecture.
_OLD = re.compile(r"32-bit|Server 2003|Server 2000|Windows (2000|NT|XP|Vista|9[58])|2008(?! R2)", re.IGNORECASE)
_LATER = re.compile(
    r"Ubuntu.*(1[89]|2\d)\.|(Enterprise|Oracle) Linux (8|9)\b|CentOS (8|9)\b|GNU/Linux 1\d|Server 20(19|22|25)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A machine to be enabled: what was discovered of it, the disks that are to be replicated, and where."""

    machine: Json
    disks: Sequence[Json]
    profile: Profile
    rules: Rules


def _system(one: Candidate) -> str | None:  # CFG-001, CFG-002
    name = str(one.machine.get("osName") or "")
    if _OLD.search(name) or (one.profile is CLASSIC and _LATER.search(name)):
        return f"The operating system '{name}' is not supported."
    return None


def _os_disks(one: Candidate) -> str | None:  # CFG-004
    found = [disk for disk in one.machine.get("disks", []) if disk.get("isOsDisk")]
    if len(found) != 1:
        return f"Exactly one disk has to hold the operating system, not {len(found)}."
    uefi = str(one.machine.get("firmware")).upper() == "EFI"
    most = one.rules.os_disk_gib_uefi if uefi else one.rules.os_disk_gib
    size = int(found[0].get("sizeBytes") or 0)
    return f"The disk of the operating system has more than {most} GB." if size > most * _GIB else None


def _data_disks(one: Candidate) -> str | None:  # CFG-005
    data = [disk for disk in one.disks if not disk.get("isOsDisk")]
    if len(data) > one.rules.data_disks:
        return f"The machine has {len(data)} data disks; at most {one.rules.data_disks} are supported."
    most = one.rules.data_disk_gib if one.profile is CLASSIC else one.rules.managed_disk_gib
    large = [disk for disk in data if int(disk.get("sizeBytes") or 0) > most * _GIB]
    small = [disk for disk in data if int(disk.get("sizeBytes") or 0) <= one.rules.least_disk_bytes]
    if large or small:
        return f"The disk '{(large or small)[0].get('name')}' is too {'large' if large else 'small'}."
    return None


def _shared(one: Candidate) -> str | None:  # CFG-007
    found = next((disk for disk in one.disks if disk.get("shared")), None)
    return None if found is None else f"The disk '{found.get('name')}' is shared with other machines."


#: In the order they are asked.
MACHINE_CHECKS: tuple[Callable[[Candidate], str | None], ...] = (_system, _os_disks, _data_disks, _shared)


def check_machine(one: Candidate) -> None:
    """Raises `Failure` for the first thing that is not supported."""
    for check in MACHINE_CHECKS:
        fault = check(one)
        if fault is not None:
            raise Failure("machine-unsupported", f"{one.machine.get('name')}: {fault}")


def included(machine: Json, wanted: Sequence[str]) -> list[Json]:
    """CFG-014: all disks, or those that are named; the operating system's cannot be left out. Raises `Failure`."""
    disks: list[Json] = list(machine.get("disks", []))
    if not wanted:
        return disks
    known = {str(disk.get("diskId")).lower(): disk for disk in disks}
    strange = [one for one in wanted if one not in known]
    if strange:
        raise Failure("malformed", f"{machine.get('name')} has no disk '{strange[0]}'.")
    if any(disk.get("isOsDisk") and name not in wanted for name, disk in known.items()):
        raise Failure("malformed", "The disk of the operating system cannot be excluded.")
    return [disk for name, disk in known.items() if name in wanted]


def check_accounts(target: Resource, log: Resource) -> None:
    """CFG-017: kinds and tiers of accounts that can hold replicas and logs. Raises `Failure`."""
    for account in (target, log):
        kind, tier = str(account.body.get("kind")), str(account.properties.get("accessTier") or "Hot")
        if kind not in ("Storage", "StorageV2") or tier != "Hot":
            raise Failure("storage-account-unsupported", f"'{account.name}' is of kind {kind}, tier {tier}.")
    if _premium(log):
        raise Failure("storage-account-unsupported", f"Logs need a standard account; '{log.name}' is premium.")


def _premium(account: Resource) -> bool:
    return str((account.body.get("sku") or {}).get("name", "")).lower().startswith("premium")


#: What the caller himself needs where a machine is to come up (RBAC-001): action, and which of the target's ids it is asked of.
_RIGHTS = (
    ("Microsoft.Compute/virtualMachines/write", "resourceGroupId"),
    ("Microsoft.Network/networkInterfaces/write", "resourceGroupId"),
    ("Microsoft.Resources/deployments/write", "resourceGroupId"),
    ("Microsoft.Network/virtualNetworks/read", "networkId"),
    ("Microsoft.Network/virtualNetworks/subnets/join/action", "networkId"),
    ("Microsoft.Storage/storageAccounts/read", "logAccountId"),
    ("Microsoft.Storage/storageAccounts/listKeys/action", "logAccountId"),
)


def check_rights(service: Service, call: Call, settings: Json) -> None:
    """Raises `Refusal` 403 `AuthorizationFailed` for the first right on the target that the caller lacks."""
    for action, place in _RIGHTS:
        service.arm.access.check(call.principal, action, settings[place])
