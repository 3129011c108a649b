"""The way home: work in Azure, prerequisites that bite, reprotect, fail back, protect again."""

from drillbed.drill.course import MACHINES, PLAN, Course
from drillbed.drill.profiles import ground
from drillbed.operator import Refused
from drillbed.vault import REVERSE

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


def prerequisites_bite(course: Course) -> str:
    """Each missing prerequisite is tried, refused with its reason, leaves no mark, and is mended."""
    vault, place = course.vault, ground(course)
    course.hold(not place.links & course.estate.network.links, "there is a private path, which this architecture does without")
    for prerequisite in place.prerequisites:
        prerequisite.spoil(course)
        before = vault.item("web")
        try:
            vault.reprotect("web", ground(course).to_site(course))
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
    return "; ".join(prerequisite.name for prerequisite in place.prerequisites) + ": all refused, then mended"


def reprotect(course: Course) -> str:
    """RPR-011, RPR-013, RPR-015: the group through its plan, differences only, sources off; then Protected in reverse."""
    estate, vault = course.estate, course.vault
    place = ground(course)
    azure_bytes, site_bytes = estate.bytes_on(*place.back), estate.bytes_on(*place.landing)
    course.mark("reprotect", "reprotect towards the site")
    with course.explained(MACHINES[0]):
        vault.reprotect_plan(PLAN, ground(course).to_site(course))
    for machine in MACHINES:
        with course.explained(machine):
            vault.until_state(machine, "Protected", seconds=COPY_LIMIT)
    sent = estate.bytes_on(*place.back) - azure_bytes
    landed = estate.bytes_on(*place.landing) - site_bytes
    whole = sum(disk.size for machine in MACHINES for disk in estate.azure_disks(machine).values())
    course.hold(0 < sent < whole / 10, f"the copy back sent {sent:,} bytes of disks of {whole:,}: differences only were promised")
    course.hold(landed > 0, "nothing reached the disks on premises")
    return f"{sent / 1e6:.1f} MB sent for disks of {whole / 1e6:.0f} MB"


def fail_back(course: Course) -> str:
    """FB-001, FB-002, FB-003, FB-004: the failover home; Azure VMs off, disks moved back, machines on; bytes are Azure's last."""
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
        course.compare(machine, "azure, shut down", last, estate.history_before(machine, "onprem"))
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
    idle = estate.bytes_on(*ground(course).forward)
    estate.clock.wait(300)
    course.hold(estate.bytes_on(*ground(course).forward) == idle, "replication to Azure began again by itself")
    vault.reprotect_plan(PLAN, ground(course).to_azure(course, MACHINES[0]))
    for machine in MACHINES:
        with course.explained(machine):
            vault.until_state(machine, "Protected", seconds=COPY_LIMIT)
    sent = estate.bytes_on(*ground(course).forward) - idle
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
    extra = estate.vsphere.disk_count(ground(course).keeper) - 1
    course.hold(extra == 0, f"the {ground(course).keeper} still has {extra} disks of other machines")
    for machine in MACHINES:
        points = len(course.vault.recovery_points(machine))
        course.hold(points == 0, f"{machine} has {points} recovery points after the second failback")
        course.hold(estate.onprem_running(machine), f"{machine} does not run on premises")
    return "no virtual machine, disk or recovery point of the circles is left"
