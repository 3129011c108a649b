"""The modernized architecture through the operator: an appliance, a machine's whole circle without a VPN, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from drillbed.estate import Estate, EstatePlan, MachinePlan
from drillbed.operator import Refused
from drillbed.vault import REVERSE, WayBack, from_appliance, to_appliance

MIB = 1 << 20


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    plan = EstatePlan(machines=[MachinePlan("web", "LINUX", [8 * MIB, 2 * MIB])], hash_at_boot=True, profile="modernized")
    with Estate.open(plan, tmp_path / "estate") as opened:
        opened.prepare_azure()
        opened.register_site()
        opened.add_vcenter()
        opened.vault.make_policies()
        yield opened


def protected(estate: Estate) -> None:
    estate.protect("web")
    estate.vault.until_state("web", "Protected")


def back(estate: Estate) -> WayBack:
    agent = estate.vault.find_site()["properties"]["customDetails"]["reprotectAgents"][0]
    return WayBack(agent["id"], agent["id"], "", agent["accessibleDatastores"][0], estate.vault.policies["failback"])


def test_a_registration_makes_one_fabric_whose_roles_carry_one_id(estate: Estate) -> None:
    fabric = estate.vault.find_site()
    details = fabric["properties"]["customDetails"]
    assert (fabric["name"], details["instanceType"]) == ("drillvault-vmwarefabric", "InMageRcm")
    roles = ("processServers", "rcmProxies", "pushInstallers", "replicationAgents", "reprotectAgents", "marsAgents", "dras")
    assert len({details[role][0]["id"] for role in roles}) == 1  # TOP-016
    ready = {policy["name"] for policy in estate.operator.list(f"{estate.vault.path}/replicationPolicies")}
    assert {"24-hour-replication-policy", "appconsistency-policy-failback", "crashconsistency-policy-failback"} <= ready
    assert estate.operator.get(f"{estate.vault.path}/replicationAppliances")["value"]


def test_the_whole_circle_without_a_vpn(estate: Estate) -> None:
    vault = estate.vault
    protected(estate)
    vault.failover("web", shut_down=True)
    assert estate.boot_hashes("azure", "web") == estate.hashes(estate.onprem_disks("web"))
    assert "SwitchProtection" in vault.item("web")["allowedOperations"]
    vault.commit("web")
    estate.clock.wait(300)
    vault.reprotect("web", to_appliance(back(estate), estate.targets.cache))
    item = vault.until_state("web", "Protected")
    assert item["providerSpecificDetails"]["instanceType"] == "InMageRcmFailback"
    assert item["allowedOperations"] == ["PlannedFailover", "DisableProtection"]
    with pytest.raises(Refused, match="FailoverKindUnsupported"):
        vault.verb("web", "unplannedFailover", {"failoverDirection": REVERSE, "providerSpecificDetails": {}})
    vault.failover("web", shut_down=True, direction=REVERSE)  # FB-003
    assert vault.item("web")["protectionState"] == "CommitPendingStatesBegin"
    assert estate.boot_hashes("onprem", "web") == estate.hashes(estate.azure_disks("web"))
    vault.commit("web")
    assert not estate.azure_virtual_machines()
    again = from_appliance(vault.policies["forward"], process_server=estate.process_server_id(), run_as=estate.run_as("web"))
    vault.reprotect("web", again)
    assert vault.until_state("web", "Protected")["providerSpecificDetails"]["instanceType"] == "InMageRcm"
    flows = {(flow.source, flow.destination, flow.port) for flow in estate.network.flows()}
    assert ("appliance", "relay", 443) in flows
    assert not any(source.endswith(".azure") and destination == "appliance" for source, destination, _ in flows)


def test_a_planned_failover_is_cancelled_and_drops_what_was_written_on_premises(estate: Estate) -> None:
    """FB-008."""
    vault = estate.vault
    protected(estate)
    vault.failover("web", shut_down=True)
    with pytest.raises(Refused, match="CancelFailoverUnsupported"):
        vault.verb("web", "failoverCancel")  # FO-018
    vault.commit("web")
    estate.clock.wait(300)
    vault.reprotect("web", to_appliance(back(estate), estate.targets.cache))
    vault.until_state("web", "Protected")
    vault.failover("web", shut_down=True, direction=REVERSE)
    left = estate.hashes(estate.azure_disks("web"))
    estate.clock.wait(600)  # the machine on premises writes
    assert estate.hashes(estate.onprem_disks("web")) != left
    assert "CancelFailover" in vault.item("web")["allowedOperations"]
    job = vault.verb("web", "failoverCancel")["properties"]
    assert (job["scenarioName"], job["friendlyName"]) == ("CancelFailover", "Cancel failover and resume replication")
    item = vault.item("web")
    assert (item["protectionState"], item["allowedOperations"]) == ("Protected", ["PlannedFailover", "DisableProtection"])
    assert "548004" in [error["errorCode"] for error in item["healthErrors"]]
    assert (estate.onprem_running("web"), estate.azure_running("web")) == (False, True)
    assert estate.boot_hashes("azure", "web") == left
    estate.clock.wait(900)
    vault.failover("web", shut_down=True, direction=REVERSE)
    assert estate.boot_hashes("onprem", "web") == estate.hashes(estate.azure_disks("web"))
    vault.commit("web")
    assert estate.vsphere.snapshot_count("web") == 0


def test_an_appliance_that_nobody_hears_of_refuses_the_reprotect(estate: Estate) -> None:
    """RPR-025."""
    vault = estate.vault
    protected(estate)
    vault.failover("web", shut_down=True)
    vault.commit("web")
    wanted = to_appliance(back(estate), estate.targets.cache)
    cut = estate.network.block(source="appliance", destination="site-recovery", port=443)
    estate.clock.wait(400)
    with pytest.raises(Refused, match="ApplianceUnhealthy"):
        vault.reprotect("web", wanted)
    estate.network.unblock(cut)
    estate.clock.wait(400)
    vault.reprotect("web", wanted)


def test_the_credential_of_one_machine_registers_no_other(estate: Estate) -> None:
    """DIS-011: what the appliance issued for a machine is of that machine alone."""
    protected(estate)
    settings = estate.machines.software["web"].agent_settings
    assert settings is not None
    said = {"passphrase": settings["passphrase"], "role": "agent", "name": "x", "address": "x", "version": "9", "osType": "LINUX"}
    host = estate.places.host("web")
    found = {}
    for machine in (estate.machines.software["web"].machine_id, "00000000-0000-4000-8000-000000000001"):
        body = json.dumps({**said, "machineId": machine, "zone": "onprem", "port": 20004, "disks": []}).encode()
        headers = {"Content-Type": "application/json"}
        found[machine] = host.request("POST", f"{settings['configurationServer']}/register", headers=headers, body=body).status
    assert list(found.values()) == [200, 401]


def test_a_machine_that_was_not_discovered_is_refused(estate: Estate) -> None:
    """DIS-013."""
    with pytest.raises(Refused, match="nobody"):
        estate.protect("nobody")
    estate.protect("web")


@pytest.mark.parametrize(("value", "answer"), [("Vmware", 400), ("nonsense", 400), ("InMageRcm", 200)])
def test_a_vault_with_an_appliance_stays_modernized(estate: Estate, value: str, answer: int) -> None:
    """TOP-015."""
    path, body = f"{estate.vault.path}/replicationVaultSettings/default", {"properties": {"vmwareToAzureProviderType": value}}
    if answer == 200:
        assert estate.operator.send("PUT", path, body).status_code == 200
        return
    with pytest.raises(Refused) as refused:
        estate.operator.send("PUT", path, body)
    assert refused.value.status == answer


def test_a_classic_vault_takes_no_appliance_and_stays_classic(tmp_path: Path) -> None:
    """TOP-015."""
    with Estate.open(EstatePlan(profile="modernized"), tmp_path / "estate") as estate:
        estate.prepare_azure()
        path = f"{estate.vault.path}/replicationVaultSettings/default"
        estate.operator.send("PUT", path, {"properties": {"vmwareToAzureProviderType": "Vmware"}})
        with pytest.raises(Refused, match="VaultArchitectureFixed"):
            estate.operator.send("PUT", path, {"properties": {"vmwareToAzureProviderType": None}})
        with pytest.raises(Refused, match="VaultIsClassic"):
            estate.register_site()
