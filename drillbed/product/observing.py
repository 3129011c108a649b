"""What a vault shows, in the harness's words: only reads."""

from collections.abc import Sequence
from typing import Any

from drillbed.operator import Refused, azure_time
from drillbed.product.words import HEALTHS, OPERATIONS, PROBLEMS, STATES
from drillbed.vault import Vault, WayBack
from emulators.azure.site_recovery.refusals import reason_of
from harness import product as h
from harness.terms import terms

APP_CONSISTENT = "ApplicationConsistent"


def state_of(item: dict[str, Any]) -> str:
    """The harness's word for an item's state; a `KeyError` for one it does not know."""
    return STATES[item["providerSpecificDetails"]["instanceType"], item["protectionState"]]


def machine(vault: Vault, vm: str) -> h.Machine:
    """A protected item with its recovery points."""
    try:
        item = vault.item(vm) if vault.fabric else None
    except Refused as refused:
        if refused.status != 404:
            raise
        item = None
    if item is None:
        return h.Machine(vm, "unprotected", "none")
    details = item["providerSpecificDetails"]
    codes = {error["errorCode"] for error in item["healthErrors"]}
    errors = {PROBLEMS.get(code) or reason_of(code) or code for code in codes}
    return h.Machine(
        vm,
        state_of(item),
        HEALTHS[item["replicationHealth"]],
        tuple(_point(point) for point in vault.recovery_points(vm)),
        frozenset(OPERATIONS[operation] for operation in item["allowedOperations"]),
        frozenset(errors & terms()["reasons"].keys()),
        details.get("rpoInSeconds"),
        details.get("resyncRequired") == "Required",
    )


def _point(shown: dict[str, Any]) -> h.RecoveryPoint:
    properties = shown["properties"]
    kind = "app-consistent" if properties["recoveryPointType"] == APP_CONSISTENT else "crash-consistent"
    shared = properties["providerSpecificDetails"].get("isMultiVmSyncPoint") == "true"
    return h.RecoveryPoint(shown["name"], azure_time(properties["recoveryPointTime"]), kind, shared)


def choose(points: Sequence[dict[str, Any]], choice: str) -> dict[str, Any] | None:
    """A recovery point of a list that has the newest first: `oldest`, `latest-app-consistent`, a name, else the newest."""
    if choice == "latest-app-consistent":
        points = [point for point in points if point["properties"]["recoveryPointType"] == APP_CONSISTENT]
    named = next((point for point in points if point["name"] == choice), None)
    if named is not None or not points:
        return named
    return points[-1 if choice == "oldest" else 0]


def components(vault: Vault, role: str) -> list[str]:
    """Ids as the fabric shows them."""
    fabrics = vault.operator.list(f"{vault.path}/replicationFabrics")
    if role == "configuration-server":
        return [str(fabric["id"]) for fabric in fabrics]
    kind = "processServers" if role == "process-server" else "masterTargetServers"
    return [str(one["id"]) for fabric in fabrics for one in fabric["properties"]["customDetails"][kind]]


def process_servers(vault: Vault) -> dict[str, str]:
    """Ids of the process servers by name, the built-in one first."""
    shown = vault.find_site()["properties"]["customDetails"]["processServers"]
    return {str(server["friendlyName"]): str(server["id"]) for server in shown}


def way_back(vault: Vault, in_azure: str, datastore: str) -> WayBack:
    """What a reprotect to the site is given, with the process server of that name where there is one."""
    shown = vault.find_site()["properties"]["customDetails"]
    servers = {server["friendlyName"]: server["id"] for server in shown["processServers"]}
    server = servers.get(in_azure) or shown["processServers"][0]["id"]
    return WayBack(shown["masterTargetServers"][0]["id"], server, "R:", datastore, vault.policies["failback"])
