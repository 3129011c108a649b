"""The way to Azure: register, discover, protect, test, fail over."""

from typing import Any

from drillbed.drill.course import BOOT_ORDER, GROUP, GROUP_NAME, MACHINES, PLAN, Course
from drillbed.drill.profiles import ground

#: How long the first copy may take, emulated.
COPY_LIMIT = 3600.0
#: The workload's records a second and seconds between bursts: many while the first copy runs, so that some hit blocks that were
#: copied already (REP-004); few after that.
BRISK, CALM = (4.0, 0.25), (0.1, 10.0)
#: How long deltas are watched: room for three crash-consistent points.
DELTA_SECONDS = 17 * 60.0


def register(course: Course) -> str:
    """TOP-002, TOP-003, TOP-008, TOP-016: the vault, then what stands on premises with a key, outbound on 443."""
    estate = course.estate
    estate.prepare_azure()
    course.hold(
        not estate.operator.list(f"{course.vault.path}/replicationFabrics"), "a new vault has a fabric before anybody registered"
    )
    estate.register_site()
    site = course.vault.find_site()["properties"]["customDetails"]
    dialect = course.vault.dialect
    shown = {part: [entry.get("friendlyName") or entry["name"] for entry in site[part]] for part in dialect.site_details}
    course.hold(all(shown.values()), f"the {dialect.registers} does not show all its parts: {shown}")
    servers, targets = (", ".join(shown[part]) for part in dialect.site_details)
    return f"process server {servers}; writes disks: {targets}"


def discover(course: Course) -> str:
    """DIS-001: machines of the vCenter become protectable items."""
    estate = course.estate
    estate.add_vcenter()
    place = ground(course)
    found = place.found(course)
    missing = [machine for machine in MACHINES if machine not in found]
    course.hold(not missing, f"discovery did not find {', '.join(missing)}; it found {', '.join(sorted(found)) or 'nothing'}")
    disks = sum(place.disks(course, found[machine]) for machine in MACHINES)
    return f"{len(found)} machines seen, {len(MACHINES)} to protect with {disks} disks"


def make_policies(course: Course) -> str:
    """TOP-008, POL-001: policies and mappings, forward and back."""
    course.vault.make_policies()
    return "crash-consistent points every 5 minutes, kept for 24 hours"


def protect(course: Course) -> str:
    """REP-003, REP-004: agents pushed, first copy of every disk while the workload writes, first point, Protected."""
    estate = course.estate
    before = {machine: estate.records_written(machine) for machine in MACHINES}
    for machine in MACHINES:
        estate.pace_workload(machine, *BRISK)
        with course.explained(machine):
            estate.protect(machine, group=GROUP_NAME if machine in GROUP else "")
        course.hold(
            course.vault.item(machine)["protectionState"] != "Protected", f"{machine} is Protected before its first copy ended"
        )
    for machine in MACHINES:
        with course.explained(machine):
            _until_protected(course, machine)
    during = {machine: estate.records_written(machine) - before[machine] for machine in MACHINES}
    course.hold(all(during.values()), "the workload stood still during the first copy")
    for machine in MACHINES:
        estate.pace_workload(machine, *CALM)
    sent = estate.bytes_on(*ground(course).forward) / 1e6
    return f"{sent:.0f} MB to the process server, {sum(during.values())} records written meanwhile"


def _until_protected(course: Course, machine: str) -> None:
    vault = course.vault
    deadline = course.estate.clock.now() + COPY_LIMIT
    while vault.item(machine)["protectionState"] != "Protected":
        course.hold(
            course.estate.clock.now() < deadline, f"{machine} is not Protected after {COPY_LIMIT / 60:.0f} emulated minutes"
        )
        course.estate.clock.wait(15)
        course.progress.update(bytes=course.estate.bytes_on(*ground(course).forward), points=_count(course), rpo=None)


def _count(course: Course) -> int:
    return sum(len(points) for points in course.note_points().values())


def replicate(course: Course) -> str:
    """REP-006, RPT-001, MVM-001: deltas flow, points come every five minutes, the group shares points, RPO is reported."""
    estate = course.estate
    began = estate.clock.now()
    while estate.clock.now() < began + DELTA_SECONDS:
        estate.clock.wait(60)
        rpo = course.note_rpo(ground(course).rpo_field)
        course.progress.update(
            bytes=estate.bytes_on(*ground(course).forward), points=_count(course), rpo=max(rpo.values(), default=None)
        )
    points = course.note_points()
    for machine in MACHINES:
        with course.explained(machine):
            fresh = [point for point in points[machine] if estate.parse_time(point["properties"]["recoveryPointTime"]) >= began]
            course.hold(len(fresh) >= 3, f"{machine} got {len(fresh)} recovery points in 17 minutes; one every 5 was promised")
            course.hold(machine in rpo, f"the service reports no RPO for {machine}")
    shared = _shared_times(points)
    with course.explained(GROUP[0]):
        course.hold(
            len(shared) >= 2,
            f"{' and '.join(GROUP)} have {len(shared)} recovery points in common; one every 5 minutes was promised",
        )
    return (
        f"{sum(map(len, points.values()))} points, {len(shared)} shared by {' and '.join(GROUP)}, RPO {max(rpo.values()):.0f} s"
    )


def _shared_times(points: dict[str, list[dict[str, Any]]]) -> set[str]:
    """Times of the points that all members of the group have in common."""
    times = [
        {
            point["properties"]["recoveryPointTime"]
            for point in points[machine]
            if str(point["properties"]["providerSpecificDetails"].get("isMultiVmSyncPoint")).lower() == "true"
        }
        for machine in GROUP
    ]
    return set.intersection(*times)


def test_failover(course: Course) -> str:
    """TFO rows: an older point comes up beside the running machine; its bytes are those of that instant; clean-up removes all."""
    estate, vault, machine = course.estate, course.vault, "db"
    points = course.note_points()[machine]
    chosen = points[len(points) // 2]
    when = estate.parse_time(chosen["properties"]["recoveryPointTime"])
    course.mark("test", f"test failover of {machine} to {course.time(when)}", machine)
    vault.test_failover(machine, estate.targets.network, str(chosen["id"]))
    found = estate.boot_hashes("azure", f"{machine}-test")
    witness = estate.witness(machine)
    count = witness.matching(found, witness.prefixes_at(when, slack=0.001))
    course.hold(count is not None, f"{machine}-test does not hold what {machine} held at {course.time(when)}")
    expected = {unit: witness.sha256(unit, count or 0) for unit in witness.first}
    course.compare(machine, f"test failover to {course.time(when)}", found, expected)
    later = len(witness.writes) - (count or 0)
    course.hold(later > 0, f"nothing was written after {course.time(when)}: the point is not an older one")
    vault.clean_up(machine)
    course.hold(not estate.azure_vm_exists(f"{machine}-test"), f"{machine}-test still exists after the clean-up")
    course.hold(vault.item(machine)["protectionState"] == "Protected", f"{machine} is not Protected after the test")
    return f"{machine} as of {course.time(when)}: {len(found)} disks equal, {later} later writes not in it"


def plan_failover(course: Course) -> str:
    """FO-001, FO-013, FO-015, PLAN-001, PLAN-005: one plan, groups in order, a manual action, sources shut down first."""
    estate, vault = course.estate, course.vault
    if not course.left_behind:
        vault.create_plan(PLAN, BOOT_ORDER, manual_before={1: "Check that db answers"})
    began = estate.clock.now()
    course.mark("failover", f"failover of plan {PLAN}")
    job = vault.run_plan(PLAN, shut_down=True)
    stops = 0
    while job["properties"]["state"] == "Suspended":
        stops += 1
        course.hold(estate.azure_running("db") and not estate.azure_running("app"), "the plan stopped at the wrong place")
        job = vault.resume(job, "db answers")
    course.hold(stops == 1, f"the plan stopped at {stops} manual actions; it has one")
    starts = estate.azure_starts(began)
    order = [starts[machine] for group in BOOT_ORDER for machine in group]
    course.hold(order == sorted(order), f"machines started out of order: {starts}")
    return f"started {', then '.join(machine for group in BOOT_ORDER for machine in group)}; manual action confirmed"


def compare_in_azure(course: Course) -> str:
    """DISK evidence of FO-013: with the sources shut down every disk in Azure equals its source."""
    estate, first = course.estate, not course.left_behind
    records = []
    for machine in MACHINES:
        course.hold(not estate.onprem_running(machine), f"{machine} still runs on premises")
        source = estate.hashes(estate.onprem_disks(machine))
        course.left_behind[machine] = source
        course.compare(machine, "onprem, shut down", source, estate.history_before(machine, "azure"))
        course.compare(machine, "azure, at its start", estate.boot_hashes("azure", machine), source)
        records.append(course.unbroken(machine, estate.onprem_disks(machine)[1]))
    detail = estate.check_with_qemu("db") if first else ""  # one foreign opinion is enough
    return f"{sum(len(found) for found in course.left_behind.values())} disks equal, {sum(records)} records unbroken{detail}"


def commit(course: Course) -> str:
    """FO-016: commit fixes the point and deletes every recovery point."""
    course.note_points()
    course.vault.commit_plan(PLAN)
    course.mark("commit", "failover committed")
    for machine in MACHINES:
        left = len(course.vault.recovery_points(machine))
        course.hold(left == 0, f"{machine} has {left} recovery points after commit")
    return "no recovery point is left"
