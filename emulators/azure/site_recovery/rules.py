"""What the documents fix about Site Recovery's behaviour, one entry each, with its requirement id.

The service asks this table and nothing else, so a product that is wrong in one behaviour is this table with one entry replaced.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from emulators.azure.site_recovery.states import TRANSITIONS
from emulators.azure.site_recovery.wire import REVERSE, Json


def newest(points: Sequence[Any]) -> Any | None:
    """The newest of some recovery points, or None."""
    return max(points, key=lambda point: (point.time, point.id), default=None)


def test_subnet(subnets: Sequence[str], wanted: str) -> str | None:
    """The subnet of the item's name, else the first in alphabetical order."""
    found = [name for name in subnets if name.lower() == wanted.lower()]
    return found[0] if found else min(subnets, default=None)


def boot_batches(groups: Sequence[Any]) -> list[list[Any]]:
    """Groups that start together, in order: each boot group alone, after the one before it has started."""
    return [[group] for group in groups]


def policy_faults(provider: str, settings: Mapping[str, int]) -> list[str]:
    """What is wrong with the numbers of a policy (minutes)."""
    app = settings["appConsistentFrequencyInMinutes"]
    history = settings.get("recoveryPointHistory", settings.get("recoveryPointHistoryInMinutes", 21600))
    faults = []
    if not 0 <= history <= 21600:  # RPT-006
        faults.append(f"recoveryPointHistory must be from 0 to 21600 minutes, not {history}")
    if not 0 <= app <= 720:
        faults.append(f"appConsistentFrequencyInMinutes must be from 0 to 720, not {app}")
    elif app and app > history:  # RPT-002
        faults.append(f"appConsistentFrequencyInMinutes ({app}) must not be above recoveryPointHistory ({history})")
    if settings.get("recoveryPointThresholdInMinutes", 0) < 0:
        faults.append("recoveryPointThresholdInMinutes must not be negative")
    if provider != REVERSE and not 1 <= settings["crashConsistentFrequencyInMinutes"] <= 60:
        faults.append("crashConsistentFrequencyInMinutes must be from 1 to 60")
    return faults


@dataclass(frozen=True, slots=True)
class Rules:
    """The reference. `dataclasses.replace(Rules(), commit_keeps=...)` makes a mutant."""

    #: What each state of an item allows and where it leads.
    transitions: Mapping[tuple[str, str], str] = field(default_factory=lambda: TRANSITIONS)  # JOB-008, FO-001, FO-017, FB-009

    # registration and enable
    clock_skew_seconds: float = 15 * 60.0  # TOP-011
    one_vault_per_server: bool = True  # TOP-009
    same_region: Callable[[str, str], bool] = lambda vault, target: _region(vault) == _region(target)  # TOP-002
    policy_must_be_mapped: bool = True  # POL-003, 78253
    policy_faults: Callable[[str, Mapping[str, int]], list[str]] = policy_faults  # RPT-002, RPT-006
    history_limit: Callable[[str], int] = lambda sku: 1440 if sku.lower().startswith("premium") else 4320  # RPT-005
    os_disk_gib: int = 2048  # CFG-004
    os_disk_gib_uefi: int = 4095  # CFG-004
    data_disks: int = 64  # CFG-005
    data_disk_gib: int = 4095  # CFG-005: to storage accounts
    managed_disk_gib: int = 32767  # CFG-005: to managed disks
    least_disk_bytes: int = 0  # CFG-005 says 1024 MB; disks of estates are smaller (docs/limits.md)
    vcenter_versions: tuple[str, ...] = ("5.5", "6.0", "6.5", "6.7")  # CFG-015
    check_rights: bool = True  # RBAC-001
    protected_when: Callable[[Sequence[Any]], bool] = lambda points: bool(points)  # REP-003
    disable_uninstalls: bool = False  # DSB-003

    certificate_seconds: float = 3 * 365 * 86400.0  # TOP-014
    certificate_warning_seconds: float = 60 * 86400.0  # TOP-014

    # failover
    conversion_seconds: float = 9 * 60.0  # FO-019: 8 to 10 minutes for Linux and physical machines
    failover_kinds: Callable[[str], frozenset[str]] = lambda _: frozenset({"unplanned"})  # FO-002
    failover_without_site: bool = True  # FO-004
    shutdown_failure_stops: bool = False  # FO-012
    shutdown_asked: Callable[[str], bool] = lambda operations: operations.lower() == "required"  # FO-012
    latest_makes_point: bool = True  # FO-005
    choose: Callable[[Sequence[Any]], Any | None] = newest  # FO-007, FO-008, FO-009
    commit_keeps: Callable[[list[Any]], list[Any]] = lambda _: []  # FO-016, RPT-011
    test_name: Callable[[str], str] = lambda name: f"{name}-test"  # TFO-006
    test_subnet: Callable[[Sequence[str], str], str | None] = test_subnet  # TFO-007
    test_shuts_down: bool = False  # TFO-001, TFO-014
    cleanup_deletes: bool = True  # TFO-005

    # reprotect and failback
    uefi_stays: bool = True  # CFG-011: of the classic architecture
    reverse_policy_provider: str = REVERSE  # RPR-004
    group_alone: bool = False  # RPR-020
    one_master_target: bool = True  # RPR-020
    server_must_be_connected: bool = True  # RPR-003
    azure_vm_must_run: bool = True  # RPR-012
    checks_before_reverse: bool = True  # RPR-005, RPR-007, RPR-014
    reverse_ready: Callable[[Json], bool] = (  # FB-001
        lambda machine: machine.get("stage") == "delta" and machine.get("lastTagReceived") is not None
    )
    failback_stops_azure_vm: bool = True  # FB-004
    failback_commit_deletes_vm: bool = True  # FB-005
    forward_keeps_replica: bool = True  # RRP-001

    # recovery plans
    plan_groups: int = 7  # PLAN-002
    plan_items: int = 100  # PLAN-002
    boot_batches: Callable[[Sequence[Any]], list[list[Any]]] = boot_batches  # PLAN-005
    manual_action_waits: bool = True  # PLAN-008
    action_applies: Callable[[Json, str, str], bool] = (  # PLAN-007
        lambda action, kind, direction: kind in action["failoverTypes"] and direction in action["failoverDirections"]
    )
    plan_stops_at_error: bool = False  # PLAN-012

    # health
    silence_seconds: float = 15 * 60.0  # EVT-006, EVT-008
    cache_warning_percent: float = 30.0  # EVT-006
    cache_critical_percent: float = 25.0  # EVT-006
    server_silence_seconds: float = 5 * 60.0  # RPR-003
    no_crash_point_seconds: float = 60 * 60.0  # EVT-004
    app_point_periods: float = 1.7  # EVT-005: seen after 510 minutes with a policy of 300
    target_look_seconds: float = 12 * 3600.0  # AVM-011
    newer_components_fail: bool = True  # TOP-013
    rpo_exceeded: Callable[[float, float], bool] = lambda seconds, threshold: threshold > 0 and seconds > threshold  # RPT-009
    resync_by_itself: Callable[[float], bool] = lambda hour: hour >= 18.0 or hour < 8.0  # REP-015
    work_seconds: float = 30 * 60.0


def _region(location: str) -> str:
    return location.replace(" ", "").lower()
