"""The configuration server's two faces, without a vCenter."""

from pathlib import Path

import pytest
from site_lab import KEY, PASSPHRASE, SERVER_ID, URL, SiteLab, Speaker

from emulators.network import ONPREM
from reference_impl.wire import Client, Refused


@pytest.fixture
def lab(tmp_path: Path) -> SiteLab:
    return SiteLab(tmp_path)


# the service ---------------------------------------------------------------------------------------------------------


def test_registers_and_reports_every_minute(lab: SiteLab) -> None:
    lab.clock.wait(185)
    [said] = lab.service.registrations
    assert said["role"] == "configuration-server"
    assert said["machineId"] == SERVER_ID
    assert {"accountId": "1", "accountName": "vcenter"} in said["runAsAccounts"]
    assert "secret" not in str(said)
    assert len(lab.service.heartbeats) == 4
    assert lab.server.registration is not None
    assert lab.server.refusal is None


def test_a_refused_key_is_told_and_tried_again(tmp_path: Path) -> None:
    lab = SiteLab(tmp_path, start=False)
    lab.service.key = "another"
    lab.server = lab.start()
    lab.clock.wait(60)
    assert lab.server.registration is None
    assert lab.server.refusal is not None
    assert lab.server.refusal.code == "RegistrationKeyInvalid"
    lab.service.key = KEY
    lab.clock.wait(31)
    assert lab.server.registration is not None
    assert lab.server.refusal is None


def test_waits_for_a_service_that_is_not_there(tmp_path: Path) -> None:
    lab = SiteLab(tmp_path, start=False)
    block = lab.network.block(destination="site-recovery", port=443)
    lab.server = lab.start()
    lab.clock.wait(300)
    assert lab.server.registration is None
    lab.network.unblock(block)
    lab.clock.wait(31)
    assert lab.server.registration is not None


def test_registration_survives_a_kill(lab: SiteLab) -> None:
    lab.clock.wait(10)
    lab.restart()
    lab.clock.wait(60)
    assert len(lab.service.registrations) == 1
    assert lab.service.heartbeats


def test_unknown_and_malformed_work_fails_with_its_reason(lab: SiteLab) -> None:
    lab.service.refuse("dance", "unknown-kind")
    lab.service.refuse("add-vcenter", "malformed", vCenterId="vc")
    lab.service.refuse("protect", "malformed", machineId="m", generation="one", processServerId="x")


# components ----------------------------------------------------------------------------------------------------------


def test_only_the_passphrase_opens_the_door(lab: SiteLab) -> None:
    lab.clock.wait(1)
    client = Client(lab.place("web", ONPREM), URL)
    good = {"passphrase": PASSPHRASE, "role": "agent", "machineId": "M-1", "name": "web", "address": "web", "zone": "onprem"}
    for change, status in (
        ({"passphrase": "wrong"}, 401),
        ({"passphrase": 5}, 400),
        ({"role": "king"}, 400),
        ({"machineId": ""}, 400),
        ({"zone": "moon"}, 400),
        ({"disks": "none"}, 400),
    ):
        with pytest.raises(Refused) as refusal:
            client.call("POST", "/register", good | change)
        assert refusal.value.status == status, change
    first = client.call("POST", "/register", good)
    again = client.call("POST", "/register", good)
    assert first["id"] == again["id"]
    assert first["token"] != again["token"]
    with pytest.raises(Refused) as old:
        Client(client.host, URL, first["token"]).call("POST", f"/heartbeat/{first['id']}", {})
    assert old.value.status == 401
    other = client.call("POST", "/register", good | {"machineId": "m-2"})
    with pytest.raises(Refused) as theft:
        Client(client.host, URL, other["token"]).call("POST", f"/heartbeat/{first['id']}", {})
    assert theft.value.status == 403
    own = Client(client.host, URL, again["token"])
    with pytest.raises(Refused) as odd:
        own.call("POST", f"/heartbeat/{first['id']}", {"symptoms": "many"})
    assert odd.value.status == 400
    assert own.call("POST", f"/heartbeat/{first['id']}", {"symptoms": []}) == {"protection": None, "resynchronize": False}


def test_components_are_shown_to_the_service(lab: SiteLab) -> None:
    server = lab.process_server()
    server.state = {"cacheBytes": 7, "uploadPendingBytes": 3, "machines": []}
    target = Speaker(
        lab,
        lab.place("master-target", ONPREM),
        "master-target",
        "mt",
        retentionVolumes=[{"volumeName": "R"}],
        osType="LINUX",
    )
    lab.clock.wait(130)
    [shown] = lab.service.heartbeats[-1]["processServers"]
    assert (shown["id"], shown["zone"], shown["cacheBytes"], shown["uploadPendingBytes"]) == (server.id, "onprem", 7, 3)
    [seen] = lab.service.heartbeats[-1]["masterTargets"]
    assert (seen["id"], seen["osType"], seen["retentionVolumes"]) == (target.id, "LINUX", [{"volumeName": "R"}])
    stamp = shown["lastHeartbeat"]
    server.silence()
    lab.clock.wait(600)
    later = lab.service.heartbeats[-1]["processServers"][0]["lastHeartbeat"]
    assert later <= lab.service.heartbeats[-1]["time"]
    assert stamp <= later < lab.service.heartbeats[-8]["time"]


def test_tokens_survive_a_kill(lab: SiteLab) -> None:
    server = lab.process_server()
    lab.clock.wait(60)
    name, spoken = server.id, len(server.answers)
    lab.restart()
    lab.clock.wait(61)
    assert server.id == name
    assert len(server.answers) == spoken + 2
    assert lab.server.facts()["processServers"][0]["id"] == name


def test_an_agent_in_azure_does_not_take_the_seat_of_the_one_on_premises(lab: SiteLab) -> None:
    site = Speaker(lab, lab.place("web", ONPREM), "agent", "m-1")
    lab.clock.wait(1)
    cloud = Speaker(lab, lab.place("web.azure", "azure-vnet"), "agent", "m-1", zone="azure")
    lab.clock.wait(61)
    assert site.id == cloud.id
    assert len(site.answers) >= 3
    assert len(cloud.answers) >= 3
