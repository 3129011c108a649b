"""What components report about replication, and what it makes of the items: copying, protected, points, inventory."""

from typing import Any

from emulators.azure.arm import Refusal, read
from emulators.azure.site_recovery import health
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Component, Fabric, Item, Point, Vault
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.states import is_forward
from emulators.azure.site_recovery.wire import Json, parse_time, same
from emulators.clock import iso

#: How many machines, disks or points one report may hold.
_MOST = 20_000


def heartbeat(service: Service, component: Component, body: Json) -> None:
    """Take a heartbeat in. That of a configuration server moves its items on."""
    component.seen = service.now()
    component.heartbeat = body
    vault = service.vaults.get(component.vault)
    if vault is None:
        return
    if component.role == "replica-worker":
        damaged = {str(entry.get("machineId", "")).lower() for entry in objects(body, "symptoms")}
        for item in vault.items():
            item.worker["damaged"] = item.machine_id in damaged
        return
    fabric = vault.fabrics[component.fabric]
    for entry in objects(body, "vCenters"):
        for vcenter in fabric.vcenters.values():
            if vcenter.internal == entry.get("id"):
                vcenter.status = str(entry.get("status") or vcenter.status)
                vcenter.last_heartbeat = service.now()
    reports = {str(entry.get("machineId", "")).lower(): entry for entry in objects(body, "machines")}
    for item in list(fabric.items.values()):
        report = reports.get(item.machine_id)
        if report is not None and service.server_of(item) is component:
            _machine(service, vault, fabric, item, report)


def _machine(service: Service, vault: Vault, fabric: Fabric, item: Item, report: Json) -> None:
    current = report.get("generation") == item.generation
    if not current:  # of an earlier direction: only the agent's own health is of use
        item.machine = {**item.machine, **{name: report.get(name) for name in ("agentHeartbeat", "agentVersion", "side")}}
        return
    item.machine = {**report, "reported": service.now()}
    if item.state == "replicating" and item.profile is MODERNIZED and _copied(item.machine):
        service.move(item, "awaiting-point")
    if item.state == "reverse-replicating" and item.job is None and _ready(service, item):
        item.protected_since = service.now()
        service.move(item, "reverse-protected")
        _finalize(service, vault, item)
    health.evaluate(service, vault, fabric, item)


def _ready(service: Service, item: Item) -> bool:
    """Whether the way back has a point; under a master target that is too new none is made (TOP-013)."""
    return service.rules.reverse_ready(item.machine) and not health.has_newer_target(service, item)


def _copied(machine: Json) -> bool:
    """Whether every disk has been copied."""
    disks = machine.get("disks") or []
    return bool(disks) and all(disk.get("state") == "Done" for disk in disks)


def recovery_points(service: Service, component: Component, body: Json) -> None:
    """Take a replica worker's report in; the first point of a machine makes it Protected (REP-003)."""
    component.seen = service.now()
    vault = service.vaults.get(component.vault)
    machine_id = str(read(body, "machineId", str, required=True)).lower()
    if vault is None:
        return
    for item in vault.items():
        if item.machine_id != machine_id or item.generation != body.get("generation") or not is_forward(item):
            continue
        _points(service, item, body)
        item.worker |= {name: body.get(name) for name in ("processedSequence", "processedTime", "pendingLogBytes")}
        protect_if_ready(service, vault, item)


def _points(service: Service, item: Item, body: Json) -> None:
    for entry in objects(body, "points") if item.state != "committed" else ():  # RPT-011: none comes back after the commit
        point_id = str(read(entry, "pointId", str, required=True))
        when = _time(read(entry, "time", str, required=True))
        point = Point(point_id, when, str(entry.get("type") or "CrashConsistent"), bool(entry.get("multiVm")))
        if point_id not in item.points:
            service.observe(
                "recovery-point", item.id, point=point_id, time=iso(when), point_kind=point.kind, shared=point.multi_vm
            )
        item.points[point_id] = point
    for gone in body.get("removed") or []:
        item.points.pop(str(gone), None)


def protect_if_ready(service: Service, vault: Vault, item: Item) -> None:
    """Move an item that is copied and has a point to Protected."""
    if item.state in ("replicating", "awaiting-point") and service.rules.protected_when(list(item.points.values())):
        item.protected_since = service.now()
        service.move(item, "protected")
        _finalize(service, vault, item)
        health.evaluate(service, vault, service.fabric_of(item), item)


def _finalize(service: Service, vault: Vault, item: Item) -> None:
    """The two jobs that appear by themselves when the first replication ends."""

    def work(job: Job) -> Work:
        yield from job.rest(1.0)

    if not item.finalized:
        for scenario in ("PrimaryIrCompletion", "SecondaryIrCompletion"):
            job = service.new_job(vault, scenario, (item.machine_id, item.friendly))
            job.restartable = False
            service.run(job, work)
    item.finalized = True


def inventory(service: Service, component: Component, body: Json) -> None:
    """Take the whole discovery of one vCenter (or of physical servers) in; what is missing from it is gone (DIS-001)."""
    vault = service.vaults[component.vault]
    fabric = vault.fabrics[component.fabric]
    source = body.get("vCenterId")
    found: dict[str, Json] = {}
    for machine in objects(body, "machines"):
        machine_id = str(read(machine, "machineId", str, required=True)).lower()
        known = fabric.machines.get(machine_id)
        if machine_id in found or (known is not None and not same(known["vCenterId"] or "", source or "")):
            continue  # DIS-003: only the first one is listed
        found[machine_id] = {**machine, "machineId": machine_id, "vCenterId": source}
    kept = {key: value for key, value in fabric.machines.items() if not same(value["vCenterId"] or "", source or "")}
    fabric.machines = {**kept, **found}
    for vcenter in fabric.vcenters.values():
        if vcenter.internal == source:
            vcenter.version = str(body.get("vCenterVersion") or "")
    service.observe("inventory", fabric.id, vcenter=source, machines=len(found))


def resynchronize(service: Service) -> None:
    """Start resynchronizations that are due by themselves, outside office hours (REP-015)."""
    hour = (service.now() % 86400.0) / 3600.0
    if not service.rules.resync_by_itself(hour):
        return
    for vault in service.vaults.values():
        for item in vault.items():
            needed = item.machine.get("resyncRequired") and item.machine.get("stage") != "resync"
            if needed and item.job is None and item.state in ("protected", "reverse-protected") and not item.machine.get("asked"):
                item.machine["asked"] = True
                service.hand(service.server_of(item), "resynchronize", {"machineId": item.machine_id})


def objects(body: Json, name: str) -> list[Json]:
    """The list of objects `name` of a report. Raises `Refusal` 400."""
    entries: list[Any] = read(body, name, list, [])
    if len(entries) > _MOST or not all(isinstance(entry, dict) for entry in entries):
        raise Refusal(400, "Malformed", f"'{name}' must be a list of at most {_MOST} objects.")
    return entries


def _time(text: str) -> float:
    try:
        return parse_time(text)
    except ValueError:
        raise Refusal(400, "Malformed", f"'{text}' is not a time.") from None
