"""A drill under way: the estate, what has been found so far, and the questions that several steps ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from drillbed.estate import Estate
from drillbed.operator import NotInTime, Refused
from drillbed.report.result import DiskCheck, DrillResult, Mark, Point, RpoSample
from drillbed.vault import Vault
from emulators.clock import iso

#: The machines of the drill, and those that share recovery points.
MACHINES = ("web", "app", "db")
GROUP = ("app", "db")
GROUP_NAME = "shop-data"
PLAN = "shop"
BOOT_ORDER = [["db"], ["app"], ["web"]]


#: Health errors that say nothing about why a step failed: no test failover yet.
EXPECTED = frozenset({"161011"})


class NotHeldError(Exception):
    """Something the drill asks for was not so. The message says what was seen."""


@dataclass(slots=True)
class Course:
    """Everything the steps share."""

    estate: Estate
    result: DrillResult
    progress: Any
    #: Hashes of the sources at the last change of side, machine -> unit -> SHA-256.
    left_behind: dict[str, dict[int, str]] = field(default_factory=dict)

    @property
    def vault(self) -> Vault:
        return self.estate.vault

    # judging ---------------------------------------------------------------------------------------------------------

    def hold(self, condition: object, otherwise: str) -> None:
        """The drill goes on only if `condition` is true."""
        if not condition:
            raise NotHeldError(otherwise)

    @contextmanager
    def explained(self, machine: str) -> Iterator[None]:
        """Add to a failure what the service says about the machine's health."""
        try:
            yield
        except (NotHeldError, NotInTime, Refused) as failure:
            raise NotHeldError(f"{failure}{self.symptoms(machine)}") from failure

    def symptoms(self, machine: str) -> str:
        """Health errors of a protected item, as text to append; empty when all is well."""
        try:
            errors = self.vault.item(machine)["healthErrors"]
        except (Refused, OSError):
            errors = []
        ours = [error for error in errors if error.get("errorLevel") != "Information" and error["errorCode"] not in EXPECTED]
        return "".join(f"; {error['errorCode']} {error['errorMessage']}" for error in ours)

    def mark(self, kind: str, text: str, machine: str = "") -> None:
        self.result.marks.append(Mark(self.estate.clock.now(), kind, text, machine))

    # disks -----------------------------------------------------------------------------------------------------------

    def compare(self, machine: str, side: str, found: dict[int, str], expected: dict[int, str]) -> None:
        """Note the comparison of all disks of a machine; the drill ends where one differs or is missing, or there is none."""
        self.hold(expected, f"{machine}: there is no disk to compare ({side})")
        for unit in sorted(expected | found):
            equal = found.get(unit) is not None and found.get(unit) == expected.get(unit)
            digest = found.get(unit, "missing")
            self.result.disks.append(DiskCheck(machine, self.estate.disk_name(machine, unit), side, digest, equal))
        wrong = [unit for unit in expected | found if found.get(unit) != expected.get(unit)]
        self.hold(not wrong, f"{machine}: the bytes of disk {', '.join(map(str, wrong))} are not those they must be ({side})")

    def unbroken(self, machine: str, disk: Any) -> int:
        """The number of workload records on a disk; they must form an unbroken prefix."""
        count, unbroken = self.estate.read_workload(disk)
        self.hold(
            unbroken, f"{machine}: the workload's records are not an unbroken prefix (record {count} is missing or damaged)"
        )
        return count

    # recovery points -------------------------------------------------------------------------------------------------

    def note_points(self) -> dict[str, list[dict[str, Any]]]:
        """Recovery points of all machines as the service lists them, also kept for the report's timeline."""
        listed = {machine: self.vault.recovery_points(machine) for machine in MACHINES}
        known = {(point.machine, point.when) for point in self.result.points}
        for machine, points in listed.items():
            for point in points:
                when = self.estate.parse_time(point["properties"]["recoveryPointTime"])
                if (machine, when) not in known:
                    details = point["properties"]["providerSpecificDetails"]
                    shared = str(details.get("isMultiVmSyncPoint")).lower() == "true"
                    self.result.points.append(Point(machine, when, point["properties"]["recoveryPointType"], shared))
        return listed

    def note_rpo(self, field: str) -> dict[str, float]:
        """RPO of each machine as the service reports it in `field`, seconds."""
        found: dict[str, float] = {}
        for machine in MACHINES:
            value = self.vault.item(machine)["providerSpecificDetails"].get(field)
            if value is not None:
                found[machine] = float(value)
                self.result.rpo.append(RpoSample(machine, self.estate.clock.now(), float(value)))
        return found

    def time(self, when: float) -> str:
        """Emulated time of day, for people."""
        return iso(when)[11:19]
