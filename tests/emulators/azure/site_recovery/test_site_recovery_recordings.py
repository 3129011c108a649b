"""Answers have the keys and the types of values that recorded answers of the real service have."""

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_site import Site, failback_body

RECORDED = Path(__file__).parents[5] / "shared" / "recordings" / "classic-2021.jsonl"

#: Keys that came with later versions of the API, or go with an optional state.
LATER = {"switchProviderState", "switchProviderStateDescription", "lastSuccessfulTestFailoverTime", "lastRecoveryPointReceived"}


def recorded(method: str, part: str, note: str = "") -> Any:
    for line in RECORDED.read_text().splitlines():
        row = json.loads(line)
        if row["method"] == method and part in row["path"] and note in (row.get("note") or ""):
            return row
    raise LookupError(part)


def differences(real: Any, ours: Any, path: str = "") -> list[str]:
    """Missing and surplus keys, and values of another type; null and values stand for each other."""
    if isinstance(real, dict) and isinstance(ours, dict):
        missing = [f"{path}.{key} is missing" for key in real if key not in ours and key not in LATER]
        surplus = [f"{path}.{key} is not in the recording" for key in ours if key not in real and key not in LATER]
        both = [line for key in real if key in ours for line in differences(real[key], ours[key], f"{path}.{key}")]
        return missing + surplus + both
    if isinstance(real, list) and isinstance(ours, list):
        return differences(real[0], ours[0], f"{path}[]") if real and ours else []
    if real is None or ours is None or {type(real), type(ours)} <= {int, float}:
        return []
    return [] if type(real) is type(ours) else [f"{path} is {type(ours).__name__}, recorded {type(real).__name__}"]


@pytest.mark.skipif(not RECORDED.exists(), reason="the recordings are not beside this repository")
def test_keys_and_types(site: Site) -> None:
    found = {}

    def compare(name: str, real: Any, ours: Any) -> None:
        found[name] = differences(real, ours)

    _, missing, _ = site.request("GET", f"{site.vault}/replicationRecoveryPlans/none")
    compare("404", recorded("GET", "replicationRecoveryPlans/")["response"], missing)
    fabric = next(row for row in map(json.loads, RECORDED.read_text().splitlines()) if row["path"].endswith("c495ed"))
    compare("fabric", fabric["response"], site.get(site.fabric))
    listed = site.get(f"{site.container}/replicationProtectableItems")["value"]
    compare(
        "protectable", recorded("GET", "replicationProtectableItems/", "before protection")["response"], site.get(listed[0]["id"])
    )
    compare(
        "mapping",
        recorded("GET", "ContainerMappings/")["response"],
        site.get(f"{site.container}/replicationProtectionContainerMappings/map-fwd"),
    )
    site.good("PUT", site.item("web"), site.enable_body("web"))
    copying = recorded("GET", "replicationProtectedItems", "initial replication")["response"]["value"][0]
    compare("InMageAzureV2", copying, site.get(f"{site.container}/replicationProtectedItems")["value"][0])
    site.reach("web", "Protected")
    real = recorded("POST", "reProtect")
    status, _, headers = site.request("POST", f"{site.item('web')}/unplannedFailover", {"properties": {}})
    absent = set(real["headers"]) - {name.lower() for name in headers} - {"retry-after"}
    assert (status, absent) == (real["status"], set())
    site.clock.wait(15.0)
    compare("failover job", recorded("GET", "replicationJobs/", "V2A UFO")["response"], site.get(headers["x-ms-request-id"]))
    site.reach("web", "UnplannedFailoverCommitPendingStatesBegin")
    site.commit("web")
    site.to_reverse_protected("web")
    site.good("POST", f"{site.item('web')}/unplannedFailover", failback_body(recoveryPointType="LatestTime"))
    site.commit("web")
    compare("InMage", recorded("GET", "-new", "after failback commit")["response"], site.get(site.item("web")))
    (switch,) = site.jobs("SwitchReplicationGroupProtection")
    compare("reprotect job", recorded("GET", "3e53d760")["response"], switch)
    jobs = site.get(f"{site.vault}/replicationJobs")
    compare(
        "jobs", {"value": recorded("GET", "replicationJobs", "list cut to six")["response"]["value"][:1], "nextLink": None}, jobs
    )
    compare("alerts", recorded("GET", "replicationAlertSettings")["response"], site.get(f"{site.vault}/replicationAlertSettings"))
    assert {name: lines for name, lines in found.items() if lines} == {}
