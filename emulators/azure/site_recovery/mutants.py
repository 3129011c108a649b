"""Wrong products and legal variants: the service's rules with one entry replaced. Data and small functions only.

A name that stands in the components' table too (`reference_impl/mutants.py`) is one product with both changes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from emulators.azure.site_recovery.states import TRANSITIONS


def _all_at_once(groups: Sequence[Any]) -> list[list[Any]]:
    return [list(groups)]


def _oldest(points: Sequence[Any]) -> Any | None:
    return min(points, key=lambda point: (point.time, point.id), default=None)


def _also_planned(direction: str) -> frozenset[str]:
    return frozenset({"unplanned", "planned"})


def _with(**ways: str) -> dict[str, Any]:
    """The table of transitions with further ways: state and operation, with two underscores between, to the next state."""
    more = {tuple(way.replace("_", "-").split("--")): to for way, to in ways.items()}
    return {"transitions": {**TRANSITIONS, **more}}


def _without(*left_out: tuple[str, str]) -> dict[str, Any]:
    return {"transitions": {key: to for key, to in TRANSITIONS.items() if key not in left_out}}


#: Name to (requirement that is broken, what is wrong, rules replaced).
MUTANTS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "any-clock": ("TOP-011", "any clock may register", {"clock_skew_seconds": 1e9}),
    "clock-to-the-second": ("TOP-011", "a clock that is a minute off may not register", {"clock_skew_seconds": 30.0}),
    "any-region": ("TOP-002", "targets may be in any region", {"same_region": lambda _vault, _target: True}),
    "protected-without-a-point": ("REP-003", "protected before there is a point", {"protected_when": lambda _: True}),
    "planned-failover-to-azure": ("FO-002", "planned failover to Azure is done", {"failover_kinds": _also_planned}),
    "commit-keeps-points": ("FO-016", "commit keeps the recovery points", {"commit_keeps": lambda points: points}),
    "commit-keeps-the-newest": ("FO-016", "commit keeps one recovery point", {"commit_keeps": lambda points: points[-1:]}),
    "test-machine-left-over": ("TFO-005", "the clean-up leaves the test's machine", {"cleanup_deletes": False}),
    "test-shuts-down": ("TFO-014", "the test of a plan shuts the source down", {"test_shuts_down": True}),
    "test-under-the-same-name": ("TFO-006", "a test's machine has the name of the real one", {"test_name": lambda name: name}),
    "latest-is-the-newest-point": ("FO-005", "latest means the newest point there is", {"latest_makes_point": False}),
    "latest-is-the-oldest-point": ("FO-005", "the oldest point is taken", {"choose": _oldest, "latest_makes_point": False}),
    "failover-needs-the-site": ("FO-004", "a failover needs the site", {"failover_without_site": False}),
    "shutdown-has-to-succeed": ("FO-012", "a failed shutdown stops the failover", {"shutdown_failure_stops": True}),
    "always-shuts-down": ("FO-012", "the source is shut down unasked", {"shutdown_asked": lambda _: True}),
    "never-shuts-down": ("FO-012", "the source is not shut down though asked", {"shutdown_asked": lambda _: False}),
    "groups-start-together": ("PLAN-005", "all groups of a plan start together", {"boot_batches": _all_at_once}),
    "plan-waits-for-nobody": ("PLAN-005", "a manual action does not wait", {"manual_action_waits": False}),
    "plan-of-any-size": ("PLAN-002", "plans have no limit", {"plan_groups": 10**6}),
    "failback-of-a-half-copy": ("FB-001", "a failback uses a copy that has not ended", {"reverse_ready": lambda _: True}),
    "group-member-alone": ("RPR-020", "a member of a group goes back alone", {"group_alone": True}),
    "azure-machine-runs-on": ("FB-001", "after failback both machines run", {"failback_stops_azure_vm": False}),
    "azure-machine-left-over": ("FB-001", "commit leaves the Azure machine", {"failback_commit_deletes_vm": False}),
    "silence-unnoticed": ("EVT-008", "a silent component stays healthy", {"silence_seconds": 1e9}),
    "missing-points-unnoticed": ("EVT-004", "no point for hours stays healthy", {"no_crash_point_seconds": 1e9}),
    "rpo-unnoticed": ("RPT-009", "an exceeded RPO is not shown", {"rpo_exceeded": lambda _seconds, _threshold: False}),
    # states and operations
    "test-during-the-copy": ("TFO-002", "a test is started during the copy", _with(replicating__test_failover="cleanup-pending")),
    "failover-while-a-test-waits": (
        "TFO-003",
        "a failover is done while a test waits",
        _with(cleanup_pending__unplanned_failover="failed-over"),
    ),
    "failover-twice": ("JOB-008", "a failed-over machine fails over", _with(failed_over__unplanned_failover="failed-over")),
    "commit-twice": ("FO-016", "a second commit succeeds", _with(committed__commit="committed")),
    "point-changed-after-commit": ("FO-016", "the point is changed after commit", _with(committed__change_point="committed")),
    "point-never-changed": ("FO-017", "the point cannot be changed", _without(("failed-over", "change-point"))),
    "reprotect-before-commit": (
        "JOB-008",
        "reprotection starts before commit",
        _with(failed_over__reprotect="reverse-replicating"),
    ),
    "committed-cannot-be-disabled": ("DSB-004", "after commit nothing is disabled", _without(("committed", "disable"))),
    "no-migration": ("FO-020", "a migration cannot be completed", _without(("committed", "complete-migration"))),
    "no-second-circle": ("RRP-001", "a failed-back machine stays unprotected", _without(("failback-committed", "reprotect"))),
}  # fmt: skip

#: Mutant to why no requirement can find it.
EQUIVALENT: Mapping[str, str] = {}

#: Name to (what it does in another way, rules replaced): right too.
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "silence-noticed-early": ("calls a component silent after twelve minutes", {"silence_seconds": 720.0}),
    "patient-with-work": ("waits longer for a component's report", {"work_seconds": 3600.0}),
}
