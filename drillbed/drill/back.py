"""The way home: work in Azure, prerequisites that bite, reprotect, fail back, protect again."""

from collections.abc import Callable
from dataclasses import dataclass

from drillbed.drill.course import MACHINES, PLAN, Course
from drillbed.operator import Refused
from drillbed.vault import REVERSE, to_azure, to_site

#: How long the machines work in Azure before they go home.
AZURE_SECONDS = 10 * 60.0
#: How long a copy back or forth may take, emulated.
COPY_LIMIT = 3600.0


def work_in_azure(course: Course) -> str:
    """FO-015: the machines work in Azure; nothing reaches the site."""
    estate = course.estate
    before = {machine: estate.records_written(machine) for machine in MACHINES}
    estate.clock.wait(AZURE_SECONDS)
    written = {machine: estate.records_written(machine) - before[machine] for machine in MACHINES}
    course.hold(all(written.values()), f"no work was done in Azure: {written}")
    return f"{sum(written.values())} records written in Azure"


# prerequisites of the way back ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """One thing that stops a reprotect. `spoil` makes it wrong, `mend` right again; `code` is what the service must say."""

    name: str
    reason: str
    spoil: Callable[[Course], None]
    mend: Callable[[Course], None]


def _nothing(course: Course) -> None:
    """The estate is like this already."""


#: Tried in this order: each is refused while all before it are mended (NET-009, RPR-002, RPR-005, RPR-006, RPR-007).
PREREQUISITES = (
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


def prerequisites_bite(course: Course) -> str:
    """Each missing prerequisite is tried, refused with its reason, leaves no mark, and is mended."""
    vault = course.vault
    for prerequisite in PREREQUISITES:
        prerequisite.spoil(course)
        before = vault.item("web")
        try:
            vault.reprotect("web", to_site(course.way_back()))
        except Refused as refused:
            said = course.estate.reason_of(refused)
            course.hold(
                said == prerequisite.reason,
                f"with {prerequisite.name} reprotect was refused for {said} ({refused}), not {prerequisite.reason}",
            )
            course.mark("refused", f"{prerequisite.name}: {refused.message}", "web")
        else:
            course.hold(False, f"reprotect was accepted with {prerequisite.name}")
        after = vault.item("web")
        course.hold(
            after["protectionState"] == before["protectionState"],
            f"the refusal left web {after['protectionState']}, before {before['protectionState']}",
        )
        prerequisite.mend(course)
    return "; ".join(prerequisite.name for prerequisite in PREREQUISITES) + ": all refused, then mended"


def reprotect(course: Course) -> str:
    """RPR-011, RPR-013, RPR-015: the group through its plan, differences only, sources off; then Protected in reverse."""
    estate, vault = course.estate, course.vault
    azure_bytes, site_bytes = estate.bytes_on("process-server-azure", 9443), estate.bytes_on("master-target", 9443)
    course.mark("reprotect", "reprotect towards the site")
    with course.explained(MACHINES[0]):
        vault.reprotect_plan(PLAN, to_site(course.way_back()))
    for machine in MACHINES:
        with course.explained(machine):
            vault.until_state(machine, "Protected", seconds=COPY_LIMIT)
    sent = estate.bytes_on("process-server-azure", 9443) - azure_bytes
    landed = estate.bytes_on("master-target", 9443) - site_bytes
    whole = sum(disk.size for machine in MACHINES for disk in estate.azure_disks(machine).values())
    course.hold(0 < sent < whole / 10, f"the copy back sent {sent:,} bytes of disks of {whole:,}: differences only were promised")
    course.hold(landed > 0, "nothing reached the master target")
    return f"{sent / 1e6:.1f} MB sent for disks of {whole / 1e6:.0f} MB"


def fail_back(course: Course) -> str:
    """FB-001, FB-002, FB-004: unplanned failover home; Azure VMs off, disks moved back, machines on; bytes are Azure's last."""
    estate, vault = course.estate, course.vault
    course.mark("failback", f"failback of plan {PLAN}")
    job = vault.run_plan(PLAN, shut_down=True, direction=REVERSE)
    while job["properties"]["state"] == "Suspended":
        job = vault.resume(job, "db answers")
    records = []
    for machine in MACHINES:
        course.hold(not estate.azure_running(machine), f"{machine} runs in Azure and on premises at once")
        course.hold(estate.onprem_running(machine), f"{machine} does not run on premises after the failback")
        last = estate.hashes(estate.azure_disks(machine))
        course.compare(machine, "azure, shut down", last, last)
        course.compare(machine, "onprem again, at its start", estate.boot_hashes("onprem", machine), last)
        records.append(course.unbroken(machine, estate.azure_disks(machine)[1]))
    return f"{sum(records)} records unbroken, every disk as it was in Azure"


def commit_failback(course: Course) -> str:
    """FB-005: commit removes the Azure VMs; before it they were only stopped."""
    estate, vault = course.estate, course.vault
    course.hold(all(estate.azure_vm_exists(machine) for machine in MACHINES), "an Azure VM is gone before the commit")
    vault.commit_plan(PLAN)
    course.mark("commit", "failback committed")
    left = [machine for machine in MACHINES if estate.azure_vm_exists(machine)]
    course.hold(not left, f"{', '.join(left)} still exist in Azure after the commit")
    return "the Azure VMs are gone"


def protect_again(course: Course) -> str:
    """RRP-001, RRP-002: unprotected until asked; then differences only, and new points."""
    estate, vault = course.estate, course.vault
    idle = estate.bytes_on("process-server", 9443)
    estate.clock.wait(300)
    course.hold(estate.bytes_on("process-server", 9443) == idle, "replication to Azure began again by itself")
    details = to_azure(
        vault.policies["forward"], estate.targets, process_server=estate.process_server_id(), run_as=estate.run_as(MACHINES[0])
    )
    vault.reprotect_plan(PLAN, details)
    for machine in MACHINES:
        with course.explained(machine):
            vault.until_state(machine, "Protected", seconds=COPY_LIMIT)
    sent = estate.bytes_on("process-server", 9443) - idle
    whole = sum(disk.size for machine in MACHINES for disk in estate.onprem_disks(machine).values())
    course.hold(
        0 < sent < whole / 10, f"protecting again sent {sent:,} bytes of disks of {whole:,}: differences only were promised"
    )
    points = course.note_points()
    course.hold(all(points.values()), "a machine has no recovery point although it is Protected")
    return f"{sent / 1e6:.1f} MB sent for disks of {whole / 1e6:.0f} MB"


def nothing_left_over(course: Course) -> str:
    """RRP-002: after the second circle no disk, VM, snapshot or point of it is left behind."""
    estate = course.estate
    left = estate.azure_virtual_machines()
    course.hold(not left, f"virtual machines are left in Azure: {', '.join(left)}")
    extra = estate.vsphere.disk_count("master-target") - 1
    course.hold(extra == 0, f"the master target still has {extra} disks of other machines")
    for machine in MACHINES:
        points = len(course.vault.recovery_points(machine))
        course.hold(points == 0, f"{machine} has {points} recovery points after the second failback")
        course.hold(estate.onprem_running(machine), f"{machine} does not run on premises")
    return "no virtual machine, disk or recovery point of the circles is left"
