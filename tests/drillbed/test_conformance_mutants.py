"""The specifications bite: a product that is wrong in one behaviour fails the requirement one expects, and no set-up hides it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from conformance import CASES, run

from drillbed.product import EstateWorlds
from emulators.azure.site_recovery import Rules as ServiceRules
from harness.verdict import FAIL
from reference_impl.rules import Rules


@dataclass(frozen=True)
class Mutant:
    """What is wrong, in the components' or in the service's rules, and the cases that must find it."""

    name: str
    killers: Sequence[str]
    rules: dict[str, Any] = field(default_factory=dict)
    service: dict[str, Any] = field(default_factory=dict)

    def worlds(self) -> EstateWorlds:
        return EstateWorlds(replace(Rules(), **self.rules), replace(ServiceRules(), **self.service))


def _all_at_once(groups: Sequence[Any]) -> list[list[Any]]:
    return [list(groups)]


MUTANTS = (
    Mutant("twins are both listed", ["DIS-003::same-instance-uuid"], {"first_of_twins_only": False}),
    Mutant("discovery once an hour", ["DIS-002::by-the-timer"], {"discovery_minutes": 60.0}),
    Mutant("data on another port", ["NET-002::"], {"data_port": 9444}),
    Mutant("group members on another port", ["NET-006::members-only"], {"group_port": 20005}),
    Mutant("no shared points", ["NET-006::blocked-otherwise", "MVM-002::parted-and-joined"], {"shared_points": False}),
    Mutant("changes leave every five minutes", ["REP-006::within-seconds"], {"ship_at_once": False}),
    Mutant("no compression", ["REP-012::zeros-shrink"], {"compress": False}),
    Mutant("any master target", ["RPR-001::other-family"], {"match_os_family": False}),
    Mutant("no process server in Azure needed", ["RPR-002::none-in-azure"], {"process_server_in_azure": False}),
    Mutant("snapshots of the master target ignored", ["RPR-005::snapshot-on-master-target"], {"refuse_target_snapshots": False}),
    Mutant("snapshots of the machine ignored", ["RPR-006::snapshot-on-machine"], {"refuse_machine_snapshots": False}),
    Mutant("disk.EnableUUID ignored", ["RPR-008::old-disk-keeps-its-bytes"], {"need_disk_uuid": False}),
    Mutant("any clock", ["TOP-011::clock-ahead"], service={"clock_skew_seconds": 1e9}),
    Mutant("any region", ["TOP-002::another-region["], service={"same_region": lambda vault, target: True}),
    Mutant("protected without a point", ["REP-003::not-before-its-first-point"], service={"protected_when": lambda points: True}),
    Mutant(
        "planned failover to Azure",
        ["FO-002::planned-is-refused"],
        service={"failover_kinds": lambda state: frozenset({"unplanned", "planned"})},
    ),
    Mutant(
        "commit keeps recovery points",
        ["FO-016::no-point-left[6]"],
        {"remove_points_at_commit": False},
        {"commit_keeps": lambda points: points},
    ),
    Mutant("the test machine is left over", ["TFO-005::nothing-left"], service={"cleanup_deletes": False}),
    Mutant("latest is the newest point there is", ["FO-005::newer-than-any-point"], service={"latest_makes_point": False}),
    Mutant("failover needs the site", ["FO-004::site-is-gone[false]"], service={"failover_without_site": False}),
    Mutant("a shutdown has to succeed", ["FO-012::shutdown-fails"], service={"shutdown_failure_stops": True}),
    Mutant("always shut down", ["FO-012::not-asked"], service={"shutdown_asked": lambda operations: True}),
    Mutant("groups of a plan start together", ["PLAN-005::groups-in-order"], service={"boot_batches": _all_at_once}),
    Mutant("a plan waits for nobody", ["PLAN-005::waits-for-the-person"], service={"manual_action_waits": False}),
    Mutant("failback from a copy that has not ended", ["FB-001::not-with-partial-data"], {"need_reverse_point": False}, {
        "reverse_ready": lambda machine: True,
    }),
    Mutant("the machine runs on while its disks are written", ["RPR-013::runs-again"], {"power_off_before_reverse": False}),
    Mutant("a member of a group goes back alone", ["RPR-020::alone"], service={"group_alone": True}),
    Mutant("an agent in Azure is not needed", ["RPR-012::unreachable"], {"need_agent_in_azure": False}),
    Mutant("the Azure machine runs on", ["FB-001::with-the-data-of-azure"], service={"failback_stops_azure_vm": False}),
    Mutant(
        "the Azure machine is left over",
        ["FB-001::commit-removes-the-azure-machine"],
        service={"failback_commit_deletes_vm": False},
    ),
)  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name.replace(" ", "-") for mutant in MUTANTS])
def test_a_mutant_is_killed(mutant: Mutant) -> None:
    for killer in mutant.killers:
        case = next(case for name, case in CASES.items() if name.startswith(killer) and (killer[-1] in ":[" or name == killer))
        result = run(case, mutant.worlds())
        assert result.verdict == FAIL, f"{case.id} (seed {result.seed}): {result.verdict}: {result.summary}"
