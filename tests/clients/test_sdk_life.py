"""Both generations of the Site Recovery SDK, each in an interpreter of its own, over TLS sockets, in both architectures."""

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from drillbed.estate import Estate, EstatePlan
from drillbed.machines import MachinePlan
from emulators.azure.cloud import CLIENT, SUBSCRIPTION, TENANT
from emulators.http.sockets import Sockets

MIB = 1 << 20
PROGRAM = Path(__file__).with_name("sdk_life.py")

#: Where tox has installed the older generation, which shares its name with the newer one.
OLDER = os.environ.get("DRILLBED_SITERECOVERY_1", "")


def url(estate: Estate, name: str) -> str:
    transport = estate.network.transport
    assert isinstance(transport, Sockets)
    where = transport.where(estate.places.host(name), 443)
    assert where is not None
    return f"https://{where[0]}" + ("" if where[1] == 443 else f":{where[1]}")


def settings_of(estate: Estate) -> dict[str, Any]:
    transport = estate.network.transport
    assert isinstance(transport, Sockets)
    found = {
        "management": url(estate, "management"), "login": url(estate, "login"), "ca": str(transport.authorities.bundle()),
        "tenant": TENANT, "client": CLIENT, "secret": estate.secret, "subscription": SUBSCRIPTION,
        "group": "drill", "vault": estate.vault.name, "profile": estate.plan.profile, "machine": "web",
        "group_id": estate.targets.group, "storage": estate.targets.storage, "cache": estate.targets.cache,
        "network": estate.targets.network, "run_as": estate.run_as("web"),
    }  # fmt: skip
    if estate.plan.profile == "modernized":
        found["discovered"] = estate.vault.discovered()["web"]
    return found


def prepare(estate: Estate) -> None:
    """All that the way home needs too (classic: RPR-002, NET-009; modernized: an agent that has seen its datastores)."""
    estate.prepare_azure()
    estate.register_site()
    estate.add_vcenter()
    if estate.plan.profile == "classic":
        estate.connect_vpn()
        estate.add_process_server_in_azure()
    else:
        estate.operator.until("the reprotect agent's datastores", lambda: _agent(estate)["accessibleDatastores"], seconds=1800)


def _agent(estate: Estate) -> Any:
    return estate.vault.find_site()["properties"]["customDetails"]["reprotectAgents"][0]


KINDS = {"classic": ("InMageAzureV2", "InMage"), "modernized": ("InMageRcm", "InMageRcmFailback")}
HOME = {
    "classic": ("unplanned_failover", "UnplannedFailoverCommitPendingStatesBegin"),
    "modernized": ("planned_failover", "CommitPendingStatesBegin"),
}


def stations(profile: str) -> list[list[str]]:
    """After what a machine is in which state, and which provider shows it."""
    there, back = KINDS[profile]
    pending = "UnplannedFailoverCommitPendingStatesBegin"
    return [
        ["create", "InitialReplicationInProgress", there],
        ["create", "Protected", there],
        ["update", "Protected", there],
        ["test_failover", "Protected", there],
        ["test_failover_cleanup", "Protected", there],
        ["unplanned_failover", pending, there],
        ["failover_commit", "UnplannedFailoverCommitted", there],
        ["reprotect", "InitialReplicationInProgress", back],
        ["reprotect", "Protected", back],
        [*HOME[profile], back],
        ["failover_commit", "UnplannedFailoverCommitted", back],
        ["reprotect", "InitialReplicationInProgress", there],
        ["reprotect", "Protected", there],
    ]


#: What every job of a life succeeded at.
SCENARIOS = {
    "EnableDr", "UpdateVmProperties", "TestFailover", "TestFailoverCleanup", "UnplannedFailover", "CommitFailover", "DisableDr",
    "SwitchReplicationGroupProtection", "AddProtectionProfile", "AssociateProtectionProfile",
}  # fmt: skip


def lived(estate: Estate, command: list[str], env: dict[str, str]) -> Any:
    """What the program prints; when it waits, the estate's time goes on."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=env, text=True, **pipes) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = ""
        for said in process.stdout:
            if said != "wait\n":
                break
            estate.clock.wait(10)
            process.stdin.write("go on\n")
            process.stdin.flush()
        _, errors = process.communicate()
        assert process.returncode == 0, errors[-3000:]
    return json.loads(said)


@pytest.mark.parametrize(("profile", "older"), [("classic", True), ("modernized", True), ("modernized", False)])
def test_the_whole_life(profile: str, older: bool, tmp_path: Path) -> None:
    if older and not OLDER:
        pytest.skip("the older SDK shares its name with the newer: `make test` installs it beside and names it")
    source = tmp_path / "web.img"
    source.write_bytes(Random(4).randbytes(3 * MIB) + bytes(5 * MIB))
    machine = MachinePlan("web", "WINDOWS", [8 * MIB, 4 * MIB], source=source, witness=True)
    plan = EstatePlan(way="embedded", seed=4, speed=30.0, machines=[machine], hash_at_boot=True, profile=profile)
    with Estate.open(plan, tmp_path / "estate") as estate:
        prepare(estate)
        path = tmp_path / "settings.json"
        path.write_text(json.dumps(settings_of(estate)))
        env = {**os.environ, "PYTHONPATH": OLDER if older else ""}
        found = lived(estate, [sys.executable, str(PROGRAM), str(path)], env)
        for side in ("azure", "onprem"):  # every byte that the guest had written
            assert estate.boot_hashes(side, "web") == estate.history_before("web", side)
        assert estate.history_before("web", "azure") != estate.history_before("web", "onprem")
    assert found["seen"] == stations(profile)
    assert found["points"] > 0
    assert {state for _, state in found["jobs"]} == {"Succeeded"}
    assert {scenario for scenario, _ in found["jobs"]} >= SCENARIOS | {HOME[profile][0].title().replace("_", "")}
    assert found["left"] == []
