"""Work of the way back: prepare-reverse, protect-reverse, settle-reverse, fail-back, commit-reverse.

Every step finds out whether it was done already, so that work goes on after a kill where it stopped.
"""

from dataclasses import replace
from typing import Any, NoReturn

from reference_impl.configuration_server.alternate import check_alternate, make_anew, vcenter_of
from reference_impl.configuration_server.fields import number, words
from reference_impl.configuration_server.prerequisites import (
    AGENT_UNREACHABLE,
    Reverse,
    Virtual,
    check_components,
    check_target_snapshots,
    check_virtual,
    read_virtual,
)
from reference_impl.configuration_server.service import Service
from reference_impl.configuration_server.site import (
    AGENT,
    MASTER_TARGET,
    PROCESS_SERVER,
    REVERSE,
    Document,
    Site,
    Work,
    WorkRefused,
)
from reference_impl.configuration_server.stream import emptied, point_of, server_says
from reference_impl.outside import Process
from reference_impl.vsphere import (
    Attachment,
    Session,
    VSphereError,
    attach_disks,
    detach_disks,
    power_off,
    power_on,
    remove_snapshot,
    take_snapshot,
)

#: What fetches its settings in heartbeats has them within this time.
SETTINGS_SECONDS = 300.0

#: What is on its way to the master target is there within this time, and applied or released within as much again.
SETTLE_SECONDS = 420.0

#: Name of the snapshot of a machine between its failback and the commit (FB-008).
BEFORE_FAILBACK = "before failback"

#: The vendor's number for a machine that its host cannot start.
START_FAILED = "8038"


def prepare_reverse(site: Site, service: Service, item: Work) -> Process:
    """Every check and nothing else."""
    reverse = yield from check_components(site, item)
    with site.vcenter(vcenter_of(site, reverse)) as session:
        virtual = read_virtual(session, reverse)
        check_virtual(site, reverse, virtual)
        check_alternate(site, item, reverse, virtual)
    return {}


def protect_reverse(site: Site, service: Service, item: Work) -> Process:
    """Power the machine off (RPR-013), hang its disks on the master target, give everybody the settings."""
    machine_id, generation = item.machine_id, item.need("generation", int)
    known = site.protection(machine_id)
    moved = known.get("placements") or [] if known else []
    if known is not None and known.get("workId") == item.work_id:
        reverse = resumed(site, known)  # killed in the middle: the checks were passed, disks may have moved
    else:
        reverse = yield from check_components(site, item)
        known = None
    with site.vcenter(vcenter_of(site, reverse)) as session:
        virtual = read_virtual(session, reverse)
        if known is None:
            check_virtual(site, reverse, virtual)
            check_alternate(site, item, reverse, virtual)
            if not virtual.machine.moid and not moved:
                yield from make_anew(site, session, item, reverse, virtual)
                reverse = replace(reverse, machine=site.machine(item.machine_id) or reverse.machine)
                virtual = read_virtual(session, reverse)
            known = _settings(site, item, reverse) | {"placements": _placements(reverse, virtual, moved)}
            site.keep_protection(known)
        yield from move_to_target(site, session, known, virtual)
    service.running(item, 60)
    yield from seen_by_target(site, known)
    site.change_protection(machine_id, stage="replicating", since=site.clock.now())
    yield from _all_have_settings(site, machine_id, generation)
    return {}


def _settings(site: Site, item: Work, reverse: Reverse) -> Document:
    """What is kept of a reverse protection."""
    return {
        "machineId": item.machine_id,
        "workId": item.work_id,
        "generation": item.need("generation", int),
        "direction": REVERSE,
        "stage": "installing",
        "processServerId": reverse.server["id"],
        "masterTargetId": reverse.target["id"],
        "policy": item.need("policy", dict),
        "group": item.group,
        "disks": reverse.disks,
        "cache": None,
        "dataKey": item.input.get("dataKey"),
        "agentToken": site.clock.random_bytes(32).hex(),
        "groupToken": site.clock.random_bytes(32).hex(),
        "targetToken": site.clock.random_bytes(32).hex(),
        "retentionVolume": reverse.retention_volume,
        "since": site.clock.now(),
        "delivered": [],
    }


def resumed(site: Site, known: Document) -> Reverse:
    machine = site.machine(known["machineId"])
    target, server = (
        site.component(MASTER_TARGET, known["masterTargetId"]),
        site.component(PROCESS_SERVER, known["processServerId"]),
    )
    if machine is None or target is None or server is None:
        raise WorkRefused(
            "machine-missing", f"the configuration server no longer knows all that machine {known['machineId']} needs"
        )
    return Reverse(machine, target, server, known["retentionVolume"], known["disks"])


# disks ---------------------------------------------------------------------------------------------------------------


def _placements(reverse: Reverse, virtual: Virtual, moved: list[Document]) -> list[Document]:
    """Where the disks belong. RPR-015: the machine's own disks are written, so each has to be there, or (`moved`) on the
    master target since an earlier try."""
    places = []
    earlier = {place["diskId"]: place for place in moved}
    for disk in reverse.disks:
        found = virtual.machine.disk(disk["diskId"])
        if found is None and disk["diskId"] in earlier:  # on the master target already, or on its way there
            places.append(earlier[disk["diskId"]])
            continue
        if found is None:
            raise WorkRefused("disk-missing", f"{virtual.machine.name} has no disk {disk['diskId']} in vCenter")
        if virtual.target.disk(found.disk_id) is not None:
            raise WorkRefused("disk-clash", f"{virtual.target.name} has a disk with the UUID {found.disk_id} already", "78052")
        places.append({"diskId": found.disk_id, "file": found.file, "bus": found.bus, "unitNumber": found.unit_number})
    return places


def move_to_target(site: Site, session: Session, known: Document, virtual: Virtual) -> Process:
    places = known["placements"]
    if site.rules.power_off_before_reverse:
        yield from power_off(session, virtual.machine.moid)
    yield from detach_disks(session, virtual.machine.moid, [place["diskId"] for place in places])
    yield from site.alone_with(virtual.target.moid)
    try:
        wanted = [Attachment(place["diskId"], place["file"]) for place in places]
        yield from attach_disks(session, virtual.target.moid, wanted)
    finally:
        site.done_with(virtual.target.moid)


def seen_by_target(site: Site, known: Document) -> Process:
    """Rest until the master target sees every disk under its UUID (RPR-007, RPR-008)."""
    target = site.component(MASTER_TARGET, known["masterTargetId"])
    wanted = {place["diskId"] for place in known["placements"]}

    def seen() -> bool:
        heard = site.report(target, target["zone"]) if target else None
        return wanted <= {serial.lower() for serial in (words(heard.body, "diskSerials") if heard else [])}

    if not (yield from site.until(seen, SETTINGS_SECONDS)):
        raise WorkRefused("disk-uuid-disabled", "the master target does not see the machine's disks by their UUIDs")


def _all_have_settings(site: Site, machine_id: str, generation: int) -> Process:
    """Rest until master target, process server and agent, in this order, have fetched the settings."""
    missing = {
        MASTER_TARGET: ("master-target-missing", ""),
        PROCESS_SERVER: ("process-server-unreachable", ""),
        AGENT: ("agent-unreachable", AGENT_UNREACHABLE),
    }
    for role, (reason, code) in missing.items():
        if not (yield from site.settings_taken(machine_id, role, generation, SETTINGS_SECONDS)):
            raise WorkRefused(reason, f"the {role} has not fetched its settings from the configuration server", code)


# failing back --------------------------------------------------------------------------------------------------------


def settle_reverse(site: Site, service: Service, item: Work) -> Process:
    """Rest until the master target has applied all that was sent. FB-001: not before there is a point to go back to.

    What the process server in Azure cannot hand over would be lost: that fails. `partial` only says that the source did not end
    in order, so that nobody knows whether it had more.
    """
    protection = reverse_protection(site, item)
    if site.rules.need_reverse_point and not protection.get("received"):
        raise WorkRefused("no-recovery-point", "no recovery point has reached the master target yet")
    site.change_protection(item.machine_id, flush=True, settle=True)
    try:
        whole = yield from emptied(site, protection, SETTLE_SECONDS)
        settled = yield from _applied(site, protection)
    finally:
        site.change_protection(item.machine_id, flush=False, settle=False)
    if not settled:
        _blame(site, protection)
    received = (site.protection(item.machine_id) or {}).get("received")
    applied = number(_target_says(site, protection), "appliedSequence")
    result: Document = {"lastSequence": applied, "lastTag": point_of(received)}
    return result if whole else result | {"partial": True}


def _blame(site: Site, protection: Document) -> NoReturn:
    """Who keeps the stream from the master target's disks."""
    target, server = (
        site.component(MASTER_TARGET, protection["masterTargetId"]),
        site.component(PROCESS_SERVER, protection["processServerId"]),
    )
    if target is None or site.silent(target, target["zone"]):
        raise WorkRefused("master-target-missing", "the master target does not speak")
    if server is None or site.silent(server, server["zone"]):
        raise WorkRefused("process-server-unreachable", "the process server in Azure does not speak")
    message = "the process server in Azure cannot hand all that it holds over to the master target (port 9443)"
    raise WorkRefused("process-server-unreachable", message)


def reverse_protection(site: Site, item: Work) -> Document:
    protection = site.protection(item.machine_id)
    if protection is None or protection["direction"] != REVERSE:
        raise WorkRefused("no-recovery-point", f"{item.machine_id} is not protected in the reverse direction")
    return protection


def _target_says(site: Site, protection: Document) -> Document:
    target = site.component(MASTER_TARGET, protection["masterTargetId"])
    zone = target["zone"] if target else ""
    return site.machine_report(target, zone, protection["machineId"], protection["generation"]) or {}


def _applied(site: Site, protection: Document) -> Process:
    """Rest until the master target has applied what it got, and that is what the process server had."""
    asked = site.clock.now()
    target = site.component(MASTER_TARGET, protection["masterTargetId"])

    def done() -> bool:
        heard = site.report(target, target["zone"]) if target else None
        said = _target_says(site, protection)
        if heard is None or heard.at <= asked or not said:
            return False
        sent = number(server_says(site, protection), "receivedSequence")
        return sent <= number(said, "receivedSequence") <= number(said, "appliedSequence")

    return (yield from site.until(done, SETTLE_SECONDS))


def fail_back(site: Site, service: Service, item: Work) -> Process:
    """FB-004: disks off the master target, back on the machine at their old places, then power on."""
    protection = reverse_protection(site, item)
    if site.rules.need_reverse_point and not protection.get("received"):
        raise WorkRefused("no-recovery-point", "no recovery point has reached the master target yet")
    reverse = resumed(site, protection)
    with site.vcenter(site.vcenter_of(reverse.machine)) as session:
        virtual = read_virtual(session, reverse)
        check_target_snapshots(site, reverse, virtual)
        _still_there(protection, virtual)
        yield from _released(site, protection)
        if site.rules.detach_before_power_on:
            yield from _bring_home(site, session, protection, virtual)
            service.running(item, 70)
            if site.rules.snapshot_before_start:  # FB-008
                yield from take_snapshot(session, virtual.machine.moid, BEFORE_FAILBACK)
            yield from _start(session, virtual.machine.moid)
        else:
            yield from _start(session, virtual.machine.moid)
            yield from _bring_home(site, session, protection, virtual)
    site.change_protection(item.machine_id, stage="stopped")
    return {}


def _still_there(protection: Document, virtual: Virtual) -> None:
    """RPR-019: a disk that was moved while it hung on the master target cannot be brought back."""
    for place in protection["placements"]:
        found = virtual.target.disk(place["diskId"]) or virtual.machine.disk(place["diskId"])
        if found is None:
            raise WorkRefused("disk-detach-failed", f"{virtual.target.name} has no longer the disk {place['diskId']}")
        if found.file != place["file"]:
            raise WorkRefused("disk-detach-failed", f"disk {place['diskId']} was moved from {place['file']} to {found.file}")


def _released(site: Site, protection: Document) -> Process:
    """Rest until the master target has applied what it has and will not write any more."""
    site.change_protection(protection["machineId"], settle=True, release=True)
    if not (yield from site.until(lambda: bool(_target_says(site, protection).get("released")), SETTLE_SECONDS)):
        site.change_protection(protection["machineId"], release=False)
        raise WorkRefused("disk-detach-failed", "the master target does not release the machine's disks")


def _bring_home(site: Site, session: Session, protection: Document, virtual: Virtual) -> Process:
    places = protection["placements"]
    yield from site.alone_with(virtual.target.moid)
    try:
        yield from detach_disks(session, virtual.target.moid, [place["diskId"] for place in places])
    except VSphereError as error:
        if error.reason != "vcenter-fault":
            raise
        raise WorkRefused("disk-detach-failed", str(error)) from error
    finally:
        site.done_with(virtual.target.moid)
    wanted = [Attachment(place["diskId"], place["file"], place["bus"], place["unitNumber"]) for place in places]
    yield from attach_disks(session, virtual.machine.moid, wanted)


def _start(session: Session, moid: str) -> Process:
    """FB-010: a host that cannot start the machine fails the failback."""
    try:
        yield from power_on(session, moid)
    except VSphereError as error:
        if error.reason != "vcenter-fault":
            raise
        raise WorkRefused("power-on-failed", str(error), START_FAILED) from error


def commit_reverse(site: Site, service: Service, item: Work) -> Process:
    """The master target's retention of the machine is deleted and the machine is unprotected (RRP-001)."""
    protection = reverse_protection(site, item)
    if site.rules.snapshot_before_start:
        machine = resumed(site, protection).machine
        with site.vcenter(site.vcenter_of(machine)) as session:
            yield from remove_snapshot(session, machine["infrastructureId"], BEFORE_FAILBACK)
    site.change_protection(item.machine_id, stage="committing")
    yield from forgotten_by_target(site, protection)
    site.drop_protection(item.machine_id)
    return {}


def forgotten_by_target(site: Site, protection: Document) -> Process:
    """Rest until the master target no longer reports the machine; one that is silent is told when it comes back."""
    target = site.component(MASTER_TARGET, protection["masterTargetId"])
    if target is None or site.silent(target, target["zone"]):
        return
    asked = site.clock.now()

    def gone() -> bool:
        heard = site.report(target, target["zone"])
        return heard is not None and heard.at > asked and not _target_says(site, protection)

    yield from site.until(gone, SETTINGS_SECONDS)


def give_back(site: Site, protection: Document) -> Process:
    """Hang disks that are still on the master target back on their machine; it stays off. For an end without failback."""
    places: list[Any] = protection.get("placements") or []
    if places and protection["stage"] != "stopped":
        reverse = resumed(site, protection)
        with site.vcenter(site.vcenter_of(reverse.machine)) as session:
            virtual = read_virtual(session, reverse)
            yield from _released(site, protection)
            yield from _bring_home(site, session, protection, virtual)
    site.change_protection(protection["machineId"], stage="committing")
    yield from forgotten_by_target(site, protection)
