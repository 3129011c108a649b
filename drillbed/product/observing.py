"""What the reference and its estate show: only reads."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from drillbed.estate import Estate
from drillbed.operator import Refused
from drillbed.product.words import EVENTS, HEALTHS, OPERATIONS, PROBLEMS, STATES
from drillbed.product.world import content_of
from harness import product as h
from harness.terms import terms
from reference_impl import stores
from reference_impl.replica.state import ReplicaState

APP_CONSISTENT = "ApplicationConsistent"


def state_of(item: dict[str, Any]) -> str:
    """The harness's word for an item's state; a `KeyError` for one it does not know."""
    return STATES[item["providerSpecificDetails"]["instanceType"], item["protectionState"]]


def machine(estate: Estate, vm: str) -> h.Machine:
    """A protected item with its recovery points."""
    try:
        item = estate.vault.item(vm) if estate.vault.fabric else None
    except Refused as refused:
        if refused.status != 404:
            raise
        item = None
    if item is None:
        return h.Machine(vm, "unprotected", "none")
    details = item["providerSpecificDetails"]
    codes = {error["errorCode"] for error in item["healthErrors"]}
    errors = {PROBLEMS.get(code) or estate.reason_of(Refused(0, code, "")) for code in codes}
    return h.Machine(
        vm,
        state_of(item),
        HEALTHS[item["replicationHealth"]],
        tuple(_point(estate, point) for point in estate.vault.recovery_points(vm)),
        frozenset(OPERATIONS[operation] for operation in item["allowedOperations"]),
        frozenset(errors & terms()["reasons"].keys()),
        details.get("rpoInSeconds"),
        details.get("resyncRequired") == "Required",
    )


def _point(estate: Estate, shown: dict[str, Any]) -> h.RecoveryPoint:
    properties = shown["properties"]
    kind = "app-consistent" if properties["recoveryPointType"] == APP_CONSISTENT else "crash-consistent"
    shared = properties["providerSpecificDetails"].get("isMultiVmSyncPoint") == "true"
    return h.RecoveryPoint(shown["name"], estate.parse_time(properties["recoveryPointTime"]), kind, shared)


def choose(points: Sequence[dict[str, Any]], choice: str) -> dict[str, Any] | None:
    """A recovery point of a list that has the newest first: `oldest`, `latest-app-consistent`, a name, else the newest."""
    if choice == "latest-app-consistent":
        points = [point for point in points if point["properties"]["recoveryPointType"] == APP_CONSISTENT]
    named = next((point for point in points if point["name"] == choice), None)
    if named is not None or not points:
        return named
    return points[-1 if choice == "oldest" else 0]


def components(estate: Estate, role: str) -> list[str]:
    """Ids as the fabric shows them."""
    fabrics = estate.operator.list(f"{estate.vault.path}/replicationFabrics")
    if role == "configuration-server":
        return [str(fabric["id"]) for fabric in fabrics]
    kind = "processServers" if role == "process-server" else "masterTargetServers"
    return [str(one["id"]) for fabric in fabrics for one in fabric["properties"]["customDetails"][kind]]


def replica(estate: Estate, vm: str, point: str) -> tuple[h.Content, ...]:
    """The replica's page blobs as their snapshots of a recovery point have them, without the footers of the VHDs."""
    machine_id = estate.machines.software[vm].machine_id
    found = next((known for worker in estate.azure.workers if (known := worker.find(machine_id)) is not None), None)
    shown = choose(estate.vault.recovery_points(vm), point)
    if found is None or shown is None:
        raise h.UnobservableError(f"the replica of {vm}: nothing is replicated, or there is no such recovery point")
    said = stores.get_json(found.cache, found.container, stores.state_name(found.machine_id, found.generation))
    kept = ReplicaState.decode(said or {}).points
    snapshots = next((one.snapshots for one in kept if one.point_id == shown["name"]), None)
    if snapshots is None:
        raise h.UnobservableError(f"the replica of {vm}: its point {shown['name']} has no snapshots")
    return tuple(
        content_of(partial(_read, found.target, found.target_container, disk.blob, snapshots[disk.disk_id]), disk.size)
        for disk in found.disks
    )


def _read(store: Any, container: str, blob: str, snapshot: str, offset: int, length: int) -> bytes:
    found: bytes = store.get_blob(container, blob, offset=offset, length=length, snapshot=snapshot)
    return found


def events(estate: Estate) -> list[h.Event]:
    """From the estate's event log: what the service did in Azure, and what the site's guests did."""
    names = {software.machine_id: name for name, software in estate.machines.software.items()}
    found = []
    for happened in list(estate.events):
        about = happened.particulars
        for kind, side in EVENTS.get(happened.kind, ()):
            if not about.get("test"):
                found.append(h.Event(happened.when, kind, names.get(about["machine"], ""), side))
        if happened.kind in ("guest-started", "guest-ended") and about["side"] == "onprem":
            begun, done = ("starting", "started") if happened.kind == "guest-started" else ("shutting-down", "shut-down")
            found += [h.Event(happened.when, kind, happened.subject, "onprem") for kind in (begun, done)]
    return found
