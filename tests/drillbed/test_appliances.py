"""Several appliances in one vault: their registration, moving machines between them, failing back through another one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from drillbed.estate import Estate, EstatePlan, MachinePlan
from drillbed.operator import Refused

MIB = 1 << 20
SECOND = "appliance-2"


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    plan = EstatePlan(machines=[MachinePlan("web", "LINUX", [8 * MIB, 2 * MIB])], hash_at_boot=True, profile="modernized")
    with Estate.open(plan, tmp_path / "estate") as opened:
        opened.prepare_azure()
        opened.register_site()
        opened.add_vcenter()
        opened.vault.make_policies()
        opened.protect("web")
        opened.vault.until_state("web", "Protected")
        opened.add_appliance(SECOND)
        yield opened


def move(estate: Estate, name: str, **more: str) -> None:
    details = {"instanceType": "InMageRcm", **more}
    target = estate.appliance_ids().get(name, name)
    estate.vault.verb("web", "updateAppliance", {"targetApplianceId": target, "providerSpecificDetails": details})


def shown(estate: Estate) -> tuple[str, str]:
    details = estate.vault.item("web")["providerSpecificDetails"]
    return details["processServerName"], details["processServerId"]


def test_each_appliance_has_its_own_id_in_every_role_list(estate: Estate) -> None:
    """TOP-016."""
    details = estate.vault.find_site()["properties"]["customDetails"]
    for role in ("processServers", "rcmProxies", "pushInstallers", "replicationAgents", "reprotectAgents", "marsAgents", "dras"):
        assert len({entry["id"] for entry in details[role]}) == 2, role
    (listed,) = estate.operator.get(f"{estate.vault.path}/replicationAppliances")["value"]
    assert [one["name"] for one in listed["properties"]["providerSpecificDetails"]["appliances"]] == ["appliance", SECOND]
    assert len(estate.operator.list(f"{estate.vault.fabric}/replicationRecoveryServicesProviders")) == 2


def test_they_register_one_after_the_other(tmp_path: Path) -> None:
    """TOP-016."""
    with Estate.open(EstatePlan(profile="modernized"), tmp_path / "estate") as estate:
        estate.prepare_azure()
        key, relay = estate.vault.registration_key(), estate.azure.add_relay()
        for name in ("appliance", SECOND):
            estate.site.add_appliance(key, relay, name)
        estate.clock.wait(5)
        refused = [one.refusal.code for one in estate.site.appliances.values() if one.refusal is not None]
        assert refused == ["ApplianceRegistrationInProgress"]
        estate.clock.wait(300)
        assert set(estate.appliance_ids()) == {"appliance", SECOND}


def test_a_machine_moves_to_another_appliance_and_back(estate: Estate) -> None:
    """TOP-017."""
    first = shown(estate)
    move(estate, SECOND)
    assert shown(estate) == (SECOND, estate.appliance_ids()[SECOND]) != first
    estate.vault.until_state("web", "Protected")
    before = estate.bytes_on(SECOND, 9443)
    assert before
    estate.clock.wait(600)
    assert estate.bytes_on(SECOND, 9443) > before
    move(estate, "appliance")
    estate.vault.until_state("web", "Protected")
    assert shown(estate) == first
    estate.vault.failover("web", shut_down=True)
    assert estate.boot_hashes("azure", "web") == estate.hashes(estate.onprem_disks("web"))


def test_from_a_dead_appliance_only_with_new_credentials(estate: Estate) -> None:
    """TOP-017."""
    estate.vsphere.power("appliance", on=False)
    estate.clock.wait(1200)
    with pytest.raises(Refused, match="runAsAccountId"):
        move(estate, SECOND)
    accounts = estate.operator.list(f"{estate.vault.find_site()['properties']['customDetails']['vmwareSiteId']}/runasaccounts")
    (account,) = [
        one["id"]
        for one in accounts
        if (one["properties"]["displayName"], one["properties"]["applianceName"]) == ("machines", SECOND)
    ]
    move(estate, SECOND, runAsAccountId=account)
    estate.vault.until_state("web", "Protected")
    assert shown(estate)[0] == SECOND


@pytest.mark.parametrize(("target", "code"), [("nobody", "ApplianceNotFound"), ("appliance", "InvalidInput")])
def test_only_another_appliance_that_is_there(estate: Estate, target: str, code: str) -> None:
    before = estate.vault.item("web")
    with pytest.raises(Refused, match=code):
        move(estate, target)
    assert estate.vault.item("web")["protectionState"] == before["protectionState"]


def test_an_appliance_is_removed_when_it_serves_no_machine(estate: Estate) -> None:
    """DSB-006."""
    providers = {
        one["properties"]["machineName"]: one["id"]
        for one in estate.operator.list(f"{estate.vault.fabric}/replicationRecoveryServicesProviders")
    }
    with pytest.raises(Refused, match="ObjectInUse"):
        estate.operator.run("POST", f"{providers['appliance']}/remove")
    estate.operator.run("POST", f"{providers[SECOND]}/remove")
    assert set(estate.appliance_ids()) == {"appliance"}
