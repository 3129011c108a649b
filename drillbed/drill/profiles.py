"""What differs between the drills of the two architectures: hosts, fields, prerequisites, details of a reprotect."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drillbed.drill.course import Course
from drillbed.vault import WayBack, from_appliance, to_appliance, to_azure, to_site
from emulators.network import Block


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """One thing that stops a reprotect. `spoil` makes it wrong, `mend` right again; `reason` is what the service must say."""

    name: str
    reason: str
    spoil: Callable[[Course], None]
    mend: Callable[[Course], None]


@dataclass(frozen=True, slots=True)
class Ground:
    """One architecture. `back` and `landing` are (host, port) that the way home goes to: out of Azure, and at its end."""

    forward: tuple[str, int]
    back: tuple[str, int]
    landing: tuple[str, int]
    keeper: str  #: the machine that holds the disks of others on the way home
    rpo_field: str
    prerequisites: tuple[Prerequisite, ...]
    found: Callable[[Course], Mapping[str, Any]]  #: what discovery found, by name of the machine
    disks: Callable[[Course, Any], int]  #: how many disks a found machine has
    to_site: Callable[[Course], dict[str, Any]]
    to_azure: Callable[[Course, str], dict[str, Any]]
    links: frozenset[str] = field(default=frozenset())  #: private paths that must not be there


def ground(course: Course) -> Ground:
    """That of the drill under way."""
    return GROUNDS[course.vault.dialect.name]


def _nothing(course: Course) -> None:
    """The estate is like this already."""


# classic ----------------------------------------------------------------------------------------------------------------

#: Tried in this order: each is refused while all before it are mended (NET-009, RPR-002, RPR-005, RPR-006, RPR-007).
_CLASSIC = (
    Prerequisite("no VPN between Azure and the site", "agent-unreachable", _nothing, lambda course: course.estate.connect_vpn()),
    Prerequisite(
        "no process server in Azure",
        "process-server-missing",
        _nothing,
        lambda course: course.estate.add_process_server_in_azure(),
    ),
    Prerequisite(
        "a snapshot on the master target",
        "snapshot-present",
        lambda course: course.estate.vsphere.snapshot("master-target"),
        lambda course: course.estate.vsphere.remove_snapshots("master-target"),
    ),
    Prerequisite(
        "a snapshot on web",
        "snapshot-present",
        lambda course: course.estate.vsphere.snapshot("web"),
        lambda course: course.estate.vsphere.remove_snapshots("web"),
    ),
    Prerequisite(
        "disk.EnableUUID missing on the master target",
        "disk-uuid-disabled",
        lambda course: course.estate.set_disk_uuid("master-target", None),
        lambda course: course.estate.set_disk_uuid("master-target", "TRUE"),
    ),
)


def _classic_disks(course: Course, found: Any) -> int:
    return len(course.estate.operator.get(found["id"])["properties"]["customDetails"]["diskDetails"])


def _classic_back(course: Course) -> dict[str, Any]:
    site = course.vault.find_site()["properties"]["customDetails"]
    target = site["masterTargetServers"][0]
    azure = [server for server in site["processServers"] if server["friendlyName"] == "process-server-azure"]
    return to_site(
        WayBack(
            master_target=target["id"],
            process_server=(azure or site["processServers"])[0]["id"],
            retention_volume=target["retentionVolumes"][0]["volumeName"],
            datastore=target["dataStores"][0]["symbolicName"],
            policy=course.vault.policies["failback"],
        )
    )


def _classic_again(course: Course, machine: str) -> dict[str, Any]:
    estate = course.estate
    return to_azure(
        course.vault.policies["forward"], estate.targets, process_server=estate.process_server_id(), run_as=estate.run_as(machine)
    )


# modernized -------------------------------------------------------------------------------------------------------------

#: Longer than the service waits for an appliance before it counts as lost, and than the appliance needs to be heard again.
_SILENCE_SECONDS = 400.0


#: A firewall rule by which nobody hears of the appliance.
_CUT = Block("appliance", "site-recovery", 443)


def _silence(course: Course) -> None:
    course.estate.network.blocks.append(_CUT)
    course.estate.clock.wait(_SILENCE_SECONDS)


def _hear(course: Course) -> None:
    course.estate.network.unblock(_CUT)
    course.estate.clock.wait(_SILENCE_SECONDS)


#: RPR-025: a healthy appliance and nothing else. There is no VPN, and no process server or master target in Azure.
_MODERNIZED = (Prerequisite("an appliance that nobody hears of", "configuration-server-disconnected", _silence, _hear),)


def _modernized_disks(course: Course, found: Any) -> int:
    return len(course.estate.operator.get(str(found))["properties"]["disks"])


def _modernized_back(course: Course) -> dict[str, Any]:
    agent = course.vault.find_site()["properties"]["customDetails"]["reprotectAgents"][0]
    back = WayBack(agent["id"], agent["id"], "", agent["accessibleDatastores"][0], course.vault.policies["failback"])
    return to_appliance(back, course.estate.targets.cache)


def _modernized_again(course: Course, machine: str) -> dict[str, Any]:
    estate = course.estate
    return from_appliance(
        course.vault.policies["forward"], process_server=estate.process_server_id(), run_as=estate.run_as(machine)
    )


GROUNDS: Mapping[str, Ground] = {
    "classic": Ground(
        forward=("process-server", 9443),
        back=("process-server-azure", 9443),
        landing=("master-target", 9443),
        keeper="master-target",
        rpo_field="rpoInSeconds",
        prerequisites=_CLASSIC,
        found=lambda course: course.vault.protectable(),
        disks=_classic_disks,
        to_site=_classic_back,
        to_azure=_classic_again,
    ),
    "modernized": Ground(
        forward=("appliance", 9443),
        back=("relay", 443),
        landing=("appliance", 9444),
        keeper="appliance",
        rpo_field="lastRpoInSeconds",
        prerequisites=_MODERNIZED,
        found=lambda course: course.vault.discovered(),
        disks=_modernized_disks,
        to_site=_modernized_back,
        to_azure=_modernized_again,
        links=frozenset({"vpn", "expressroute-private"}),
    ),
}
