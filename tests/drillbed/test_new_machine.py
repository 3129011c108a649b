"""Failback to a machine that is made for it: of a physical server, and of a machine that is gone from the site."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from drillbed.estate import Estate, EstatePlan, MachinePlan
from drillbed.operator import Refused
from drillbed.vault import REVERSE, WayBack, to_site

MIB = 1 << 20


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    machines = [
        MachinePlan("box", "WINDOWS", [8 * MIB, 2 * MIB], kind="physical"),
        MachinePlan("web", "WINDOWS", [8 * MIB, 2 * MIB]),
    ]
    with Estate.open(EstatePlan(machines=machines, hash_at_boot=True), tmp_path / "estate") as opened:
        opened.prepare_azure()
        opened.connect_vpn()
        opened.register_site()
        yield opened


def address(estate: Estate, name: str) -> str:
    return str(estate.site.hosts[name].address or name)


def committed(estate: Estate, name: str) -> None:
    estate.vault.make_policies()
    estate.protect(name)
    estate.vault.until_state(name, "Protected")
    estate.add_process_server_in_azure()
    estate.vault.failover(name, shut_down=False)
    estate.vault.commit(name)
    estate.clock.wait(300)


def way_back(estate: Estate, datastore: str = "") -> WayBack:
    details = estate.vault.find_site()["properties"]["customDetails"]
    (master,) = details["masterTargetServers"]
    server = next(one["id"] for one in details["processServers"] if one["friendlyName"] == "process-server-azure")
    volume = master["retentionVolumes"][0]["volumeName"]
    store = datastore or (master["dataStores"][0]["symbolicName"] if master["dataStores"] else "none")
    return WayBack(master["id"], server, volume, store, estate.vault.policies["failback"])


def home(estate: Estate, name: str) -> None:
    estate.vault.reprotect(name, to_site(way_back(estate)))
    estate.vault.until_state(name, "Protected")
    estate.vault.failover(name, shut_down=True, direction=REVERSE)
    assert estate.boot_hashes("onprem", name) == estate.hashes(estate.azure_disks(name))
    estate.vault.commit(name)


def test_a_physical_server_comes_back_as_a_virtual_machine(estate: Estate) -> None:
    """PHY-001, PHY-002, PHY-003."""
    assert "box" not in estate.vault.protectable()
    with pytest.raises(Refused, match="cannot reach"):
        estate.vault.discover_physical("nobody", "127.0.0.9", "WINDOWS")
    job = estate.vault.discover_physical("box", address(estate, "box"), "WINDOWS")["properties"]
    assert job["scenarioName"] == "DiscoverProtectableItem"
    assert estate.vault.protectable()["box"]["properties"]["customDetails"]["discoveryType"] == "Physical"
    committed(estate, "box")
    assert estate.vault.item("box")["providerSpecificDetails"]["discoveryType"] == "Physical"
    assert estate.boot_hashes("azure", "box")
    estate.site.switch_physical("box", on=False)
    with pytest.raises(Refused, match="vCenter"):
        estate.vault.reprotect("box", to_site(way_back(estate)))
    estate.add_vcenter()
    estate.clock.wait(120)
    hardware = {unit: device.read(0, device.size) for unit, (device, _) in estate.site.physical["box"].items()}
    kept = estate.site.physical.pop("box")
    home(estate, "box")
    assert "box" in estate.vsphere.machines()
    assert {unit: device.read(0, device.size) for unit, (device, _) in kept.items()} == hardware


def test_a_machine_that_is_gone_is_made_anew_on_the_chosen_datastore(estate: Estate) -> None:
    """RPR-016, RPR-017."""
    estate.add_vcenter()
    committed(estate, "web")
    old = estate.vsphere.machines()["web"]
    estate.vsphere.destroy("web")
    estate.clock.wait(1000)
    with pytest.raises(Refused, match="8061"):
        estate.vault.reprotect("web", to_site(way_back(estate, "nowhere")))
    assert "web" not in estate.vsphere.machines()
    home(estate, "web")
    new = estate.vsphere.machines()["web"]
    assert new.moid != old.moid
    assert new.machine_id == old.machine_id
    assert {disk.datastore for disk in new.disks} == {way_back(estate).datastore}


def test_a_namesake_on_the_host_is_left_alone(estate: Estate) -> None:
    """RPR-018."""
    estate.add_vcenter()
    committed(estate, "web")
    estate.vsphere.destroy("web")
    estate.site.add_machine(MachinePlan("web2", "WINDOWS", [1 * MIB], workload=False))
    estate.vsphere.rename("web2", "web")
    with pytest.raises(Refused, match="78052"):
        estate.vault.reprotect("web", to_site(way_back(estate)))
    estate.vsphere.rename("web", "web2")
    home(estate, "web")
