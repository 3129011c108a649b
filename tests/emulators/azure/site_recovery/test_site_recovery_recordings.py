"""Answers next to recorded ones of the real service: same status, header names, keys, types, and words of the same set.

The recordings lie beside this repository (`../shared/recordings`: public test recordings of 2021 to 2023) and are no part of it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_site import Site, failback_body, failover_body

RECORDED = Path(__file__).parents[5] / "shared" / "recordings"
pytestmark = pytest.mark.skipif(not RECORDED.exists(), reason="the recordings are not beside this repository")

#: Keys that came with later versions of the API, or go with an optional state.
LATER = {
    "publicNetworkAccess",
    "switchProviderState",
    "switchProviderStateDescription",
    "lastSuccessfulTestFailoverTime",
    "lastRecoveryPointReceived",
}
#: Headers of the servers of the time and of the transport, and one that only answers of the slow service have.
NOT_OURS = {"date", "server", "transfer-encoding", "vary", "x-aspnet-version", "x-powered-by", "retry-after"}
#: Keys whose values are words of the service: ours are the recorded ones.
WORDS = {
    "taskId", "taskType", "scenarioName", "state", "stateDescription", "instanceType", "targetInstanceType", "jobScenarioName",
    "jobFriendlyName", "type", "protectionState", "protectionStateDescription", "testFailoverState", "activeLocation",
    "primaryFabricProvider", "protectionStage", "eventType", "eventCode", "severity", "kekState", "bcdrState", "fabricType",
    "status", "sendToOwners", "multiVmSyncStatus", "totalProgressHealth", "useManagedDisks", "errorLevel", "allowedOperations",
    "allowedActions", "description", "primaryFabricProviderId", "recoveryFabricProviderId", "recoveryFabricId",
}  # fmt: skip


def rows(name: str = "classic-2021.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / name).read_text().splitlines()]


def recorded(method: str, part: str, note: str = "") -> Any:
    for row in rows():
        if row["method"] == method and part in row["path"] and note in (row.get("note") or ""):
            return row
    raise LookupError(part)


def differences(real: Any, ours: Any, path: str = "") -> list[str]:
    """Missing and surplus keys, values of another type, other words; null and values stand for each other."""
    if isinstance(real, dict) and isinstance(ours, dict):
        missing = [f"{path}.{key} is missing" for key in real if key not in ours and key not in LATER]
        surplus = [f"{path}.{key} is not in the recording" for key in ours if key not in real and key not in LATER]
        both = [line for key in real if key in ours for line in differences(real[key], ours[key], f"{path}.{key}")]
        return missing + surplus + both
    if isinstance(real, list) and isinstance(ours, list) and path.rpartition(".")[2] not in WORDS:
        if path.endswith(".tasks") and len(real) != len(ours):
            return [f"{path} are {len(ours)}, recorded {len(real)}"]
        pairs = zip(real, ours, strict=True) if path.endswith(".tasks") else list(zip(real, ours, strict=False))[:1]
        return [line for one, other in pairs for line in differences(one, other, f"{path}[]")]
    if real is None or ours is None or {type(real), type(ours)} <= {int, float}:
        return []
    if type(real) is not type(ours):
        return [f"{path} is {type(ours).__name__}, recorded {type(real).__name__}"]
    word = path.rpartition(".")[2] in WORDS and not str(real).startswith("/") and not _guid(real)
    return [f"{path} is {ours!r}, recorded {real!r}"] if word and real != ours else []


def _guid(text: Any) -> bool:
    return isinstance(text, str) and text.count("-") == 4 and len(text) == 36


def headers(real: dict[str, Any], ours: Any) -> set[str]:
    """Recorded header names that our answer has not."""
    return {name.lower() for name in real["headers"]} - {name.lower() for name in ours} - NOT_OURS


def nothing(found: dict[str, list[str]]) -> None:
    """No difference was found anywhere."""
    text = "\n".join(f"{name}: {line}" for name, lines in found.items() for line in dict.fromkeys(lines))
    assert not text, f"differs from the recordings:\n{text}"


class Watch:
    """Calls a site and keeps how each job looked in every state it went through."""

    def __init__(self, site: Site):
        self.site = site
        self.jobs: dict[tuple[str, str], Any] = {}
        self.answers: dict[str, tuple[int, Any]] = {}

    def __call__(self, method: str, path: str, body: Any = None, *, name: str = "") -> None:
        site = self.site
        status, answer, got = site.request(method, path, body)
        assert status in (200, 202), answer
        self.answers[name or path] = (status, got)
        job_id = got.get("azure-asyncoperation", "").partition("?")[0].rpartition("/")[2]
        scenario = ""
        for _ in range(2000):
            job = site.get(f"{site.vault}/replicationJobs/{job_id}")
            scenario = job["properties"]["scenarioName"] or scenario
            state = job["properties"]["state"]
            self.jobs.setdefault((scenario, state), job)
            if state in ("Succeeded", "Failed", "Cancelled"):
                return
            site.clock.wait(1.0)
        raise AssertionError(f"{scenario} does not end")


@pytest.fixture
def watched(site: Site) -> Watch:
    """The life of a machine, and everything around it that was recorded, with every job watched."""
    watch, item = Watch(site), site.item("web")
    watch("PUT", item, site.enable_body("web"), name="enable")
    site.reach("web", "Protected")
    site.server.machines[next(iter(site.server.machines))]["extra"] = {"resyncRequired": True}
    site.clock.wait(70.0)
    watch("POST", f"{item}/repairReplication")
    site.server.machines[next(iter(site.server.machines))]["extra"] = {}
    site.clock.wait(70.0)
    watch("POST", f"{item}/updateMobilityService", {"properties": {"runAsAccountId": "1"}})
    undo = site.server.refuse("update-agent", "provider-error", "95220")
    watch("POST", f"{item}/updateMobilityService", {"properties": {"runAsAccountId": "1"}})
    undo()
    latest = site.get(f"{item}/recoveryPoints")["value"][0]["id"]
    moved = {"containerName": site.container.rpartition("/")[2], "sourceProcessServerId": "CS-1",
             "targetProcessServerId": "PS-AZ", "vmsToMigrate": ["web"], "updateType": "SystemLevel"}  # fmt: skip
    watch("POST", f"{site.fabric}/reassociateGateway", {"properties": moved}, name="reassociate")
    watch("POST", f"{item}/unplannedFailover", failover_body(recoveryPointId=latest), name="failover")
    watch("POST", f"{item}/failoverCommit")
    site.to_reverse_protected("web")
    watch("POST", f"{item}/unplannedFailover", failback_body(recoveryPointType="LatestTime"), name="failback")
    return watch


def job_rows() -> list[Any]:
    """Recorded jobs; those of 2017 have another envelope and other capitals."""
    return [row for row in rows() if "/replicationJobs/" in row["path"] and row["query"]["api-version"] >= "2021"]


def test_jobs_in_every_recorded_state(watched: Watch) -> None:
    site = watched.site
    policy = {"properties": {"providerSpecificInput": {
        "instanceType": "InMage", "recoveryPointThresholdInMinutes": 15, "recoveryPointHistory": 1440,
        "appConsistentFrequencyInMinutes": 60, "multiVmSyncStatus": "Enable"}}}  # fmt: skip
    watched("PUT", site.policy("more"), policy)
    policy["properties"]["providerSpecificInput"]["instanceType"] = "InMageAzureV2"
    watched("PUT", site.policy("forward"), policy)
    mapping = {"targetProtectionContainerId": "Microsoft Azure", "policyId": site.policy("forward"), "providerSpecificInput": {}}
    watched("PUT", f"{site.container}/replicationProtectionContainerMappings/more", {"properties": mapping}, name="mapping")
    watched("POST", f"{site.container}/replicationProtectionContainerMappings/more/remove", {"properties": {}})
    watched("DELETE", site.policy("more"), name="policy removal")
    site.commit("web")
    watched("POST", f"{site.item('web')}/reProtect", site.forward_body(), name="reprotect")
    body = {"friendlyName": "two", "ipAddress": "two.drillbed", "processServerId": "CS-1", "port": "443", "runAsAccountId": "1"}
    watched("PUT", f"{site.fabric}/replicationvCenters/two", {"properties": body}, name="vcenter")
    watched("DELETE", f"{site.fabric}/replicationvCenters/two")
    found, seen = {}, set()
    for row in job_rows():
        real = row["response"]["properties"]
        key = (real["scenarioName"] or "", real["state"])
        ours = watched.jobs.get(key)
        seen.add(key)
        if ours is None:
            found[f"{row['i']} {key}"] = ["was never seen"]
            continue
        lines = differences(row["response"], ours)
        found[f"{row['i']} {key}"] = [line for line in lines if not known(row, line)]
    nothing(found)
    assert len(seen) > 12


def known(row: dict[str, Any], line: str) -> bool:
    """What differs because of when exactly somebody looked: how far the tasks of a running job were."""
    running = row["response"]["properties"]["state"] in ("InProgress", "Failed") or "inconsistent" in (row.get("note") or "")
    late = "still shows InProgress" in (row.get("note") or "")
    cut = "customDetails cut" in (row.get("note") or "") and ".customDetails." in line
    return cut or ((running or late) and ".tasks[].state" in line)


def test_answers_that_start_something(watched: Watch) -> None:
    site = watched.site
    for name, part in (
        ("enable", "replicationProtectedItems/V2A"), ("failover", "reProtect"), ("reassociate", "reassociateGateway")
    ):  # fmt: skip
        real = recorded("PUT" if name == "enable" else "POST", part)
        status, got = watched.answers[name]
        assert (status, headers(real, got)) == (real["status"], set()), name
    real = recorded("DELETE", "replicationPolicies")
    site.good("PUT", site.policy("x"), {"properties": {"providerSpecificInput": {"instanceType": "InMage"}}})
    status, _, got = site.request("DELETE", site.policy("x"))
    assert (status, headers(real, got)) == (202, set())
    assert site.request("GET", site.item("web"))[2].keys() >= {"cache-control", "pragma", "expires", "content-type"}


def test_resources(watched: Watch) -> None:
    site, found = watched.site, {}

    def compare(name: str, real: Any, ours: Any) -> None:
        found[name] = differences(real, ours)

    status, missing, got = site.request("GET", f"{site.vault}/replicationRecoveryPlans/none")
    real = recorded("GET", "replicationRecoveryPlans/")
    assert (status, headers(real, got)) == (404, set())
    compare("404", real["response"], missing)
    fabric = next(row for row in rows() if row["path"].endswith("c495ed"))
    compare("fabric", fabric["response"], site.get(site.fabric))
    events = recorded("GET", "replicationEvents")["response"]["value"]
    ours = [one for one in site.get(f"{site.vault}/replicationEvents")["value"] if one["name"].startswith("VmMonitoringEvent")]
    compare("event", events[0], next(one for one in ours if one["properties"]["severity"] == "OK"))
    compare("alerts", recorded("GET", "replicationAlertSettings")["response"], site.get(f"{site.vault}/replicationAlertSettings"))
    listed = recorded("GET", "replicationJobs", "list cut to six")["response"]["value"][:1]
    jobs = site.get(
        f"{site.vault}/replicationJobs?$filter=jobStatus%20eq%20'Succeeded'%20and%20jobName%20eq%20'UnplannedFailover'"
    )
    found["jobs"] = [line for line in differences({"value": listed, "nextLink": None}, jobs) if "[].properties.s" not in line]
    mapping = site.get(f"{site.container}/replicationProtectionContainerMappings/map-fwd")
    compare("mapping", recorded("GET", "ContainerMappings/")["response"], mapping)
    protectable = site.get(site.get(f"{site.container}/replicationProtectableItems")["value"][0]["id"])
    compare("protected one", recorded("GET", "replicationProtectableItems/35dd")["response"], protectable)
    other = site.get(site.get(f"{site.container}/replicationProtectableItems")["value"][1]["id"])
    compare("protectable", recorded("GET", "replicationProtectableItems/", "before protection")["response"], other)
    thin = recorded("GET", "/replicationProtectableItems", "list cut")["response"]["value"][0]
    compare("thin", thin, site.get(f"{site.container}/replicationProtectableItems")["value"][1])
    site.commit("web")
    compare("InMage", recorded("GET", "-new", "after failback commit")["response"], site.get(site.item("web")))
    site.good("PUT", site.item("app"), site.enable_body("app"))
    copying = recorded("GET", "replicationProtectedItems", "initial replication")["response"]["value"][0]
    compare("InMageAzureV2", copying, site.get(f"{site.container}/replicationProtectedItems")["value"][1])
    nothing(found)


# whole sessions of the az CLI extension -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["V2A_CS_scenarios.jsonl", "vault_scenarios.jsonl"])
def test_a_recorded_session_from_its_first_call_to_its_last(bare: Site, name: str) -> None:
    site, found = bare, {}
    session = rows(name)
    place, status_path = _placed(site, session), ""
    if "/replication" in session[0]["path"]:
        site.good("PUT", place(session[0]["path"].partition("/replication")[0]), {"location": "westeurope", "properties": {}})
    for number, row in enumerate(session):
        path = place(row["path"])
        if "perationStatus/" in path:
            _ended(site, status_path)
            path = status_path
        body = row["body"]
        if isinstance(body, dict) and "location" in body:
            body = {**body, "location": "westeurope"}
        status, ours, got = site.request(row["method"], path, body)
        status_path = got.get("azure-asyncoperation", status_path)
        lines = [f"status {status}, recorded {row['status']}"] if status != row["status"] else []
        lines += [f"header {one} is missing" for one in headers(row, got)]
        found[f"{number} {row['method']} {row['path'][-60:]}"] = lines + differences(row["response"], ours)
    nothing(found)


def _ended(site: Site, status_path: str) -> None:
    assert site.until(lambda: site.get(status_path)["status"] in ("Succeeded", "Failed"), seconds=600)


def _placed(site: Site, session: list[dict[str, Any]]) -> Callable[[str], str]:
    """Recorded paths in our subscription and group."""
    recorded_group = "/".join(session[0]["path"].split("/")[:5])
    return lambda path: site.group + path[len(recorded_group) :]
