"""The configuration server with a real pyVmomi conversation: discovery, protection, shutdown, sync."""

from pathlib import Path
from typing import Any

import pytest
from site_lab import Speaker
from vsphere_lab import MIB, VCENTER, VSphereLab

from emulators.clock import iso
from reference_impl.times import epoch


@pytest.fixture
def lab(tmp_path: Path) -> VSphereLab:
    return VSphereLab(tmp_path)


# discovery -----------------------------------------------------------------------------------------------------------


def test_adding_a_vcenter_brings_its_inventory(lab: VSphereLab) -> None:
    assert lab.service.inventories == []
    output = lab.add_vcenter()
    assert output["version"] == "6.5.0"
    assert output["infrastructureId"] == lab.vcenter.inventory.instance_uuid
    web = lab.inventory("web")
    assert web is not None
    assert web["machineId"] == lab.machine_id(lab.web)
    assert (web["osType"], web["poweredOn"], web["hasSnapshots"], web["firmware"]) == ("WINDOWS", True, False, "BIOS")
    assert [(disk["diskId"], disk["unit"], disk["sizeBytes"], disk["isOsDisk"]) for disk in web["disks"]] == [
        (disk, unit, MIB, unit == 0) for unit, disk in enumerate(lab.disk_ids("web"))
    ]
    app = lab.inventory("app")
    assert app is not None
    assert app["osType"] == "LINUX"
    assert lab.service.heartbeats[-1]["vCenters"][0]["status"] == "Connected"


def test_a_vcenter_that_refuses_or_hides_is_not_added(lab: VSphereLab) -> None:
    lab.service.refuse("add-vcenter", "vcenter-login-failed", **VCENTER | {"runAsAccountId": "2"})
    lab.service.refuse("add-vcenter", "vcenter-login-failed", **VCENTER | {"runAsAccountId": "9"})
    lab.service.refuse("add-vcenter", "vcenter-unreachable", **VCENTER | {"address": "nowhere"})
    block = lab.network.block(destination="vcenter")
    lab.service.refuse("add-vcenter", "vcenter-unreachable", **VCENTER)
    assert lab.service.inventories == []
    lab.network.unblock(block)
    lab.add_vcenter()
    assert lab.inventory("web") is not None


def test_discovery_repeats_every_fifteen_minutes_and_on_refresh(lab: VSphereLab) -> None:
    lab.add_vcenter()
    lab.clock.wait(60 * 20)
    lab.add("db", "debian9_64Guest", 1, {})
    lab.clock.wait(60)
    assert lab.inventory("db") is None
    lab.clock.wait(60 * 15)
    assert lab.inventory("db") is not None
    lab.add("late", "debian9_64Guest", 1, {})
    lab.service.succeed("refresh")
    assert lab.inventory("late") is not None


def test_of_two_machines_with_one_instance_uuid_the_first_is_listed(lab: VSphereLab) -> None:
    twin = lab.add("twin", "debian9_64Guest", 1, {})
    twin.instance_uuid = lab.web.instance_uuid
    twin.cache.clear()
    lab.add_vcenter()
    assert lab.inventory("web") is not None
    assert lab.inventory("twin") is None


def test_a_lost_vcenter_is_shown_and_comes_back(lab: VSphereLab) -> None:
    lab.add_vcenter()
    block = lab.network.block(destination="vcenter")
    lab.clock.wait(60 * 17)
    assert lab.service.heartbeats[-1]["vCenters"][0]["status"] == "NotConnected"
    lab.network.unblock(block)
    lab.clock.wait(60 * 17)
    assert lab.service.heartbeats[-1]["vCenters"][0]["status"] == "Connected"


def test_a_removed_vcenter_is_forgotten(lab: VSphereLab) -> None:
    lab.add_vcenter()
    lab.service.succeed("remove-vcenter", vCenterId="vc-1")
    assert lab.service.heartbeats[-1]["vCenters"] == []
    server = lab.process_server()
    lab.service.refuse("protect", "machine-missing", **lab.forward("web", server))


# protect -------------------------------------------------------------------------------------------------------------


def test_protect_pushes_the_agent_and_gives_settings(lab: VSphereLab) -> None:
    lab.add_vcenter()
    server = lab.process_server()
    lab.open_door("web")
    output = lab.service.succeed("protect", **lab.forward("web", server))
    agent = lab.agents["web"]
    assert output == {"agentId": agent.id, "agentVersion": "9.13.0.0"}
    assert lab.doors == [
        {"configurationServer": "https://configuration-server", "passphrase": "passphrase", "version": "9.13.0.0"}
    ]
    settings = agent.answer["protection"]
    [served] = server.answer["machines"]
    assert settings["generation"] == served["generation"] == 1
    assert settings["disks"] == served["disks"] == lab.forward("web", server)["disks"]
    assert settings["processServer"] == {"address": "process-server", "port": 9443, "token": served["agentToken"]}
    assert served["sink"]["kind"] == "storage"
    assert served["dataKey"] == "AAAA"
    assert "dataKey" not in settings
    flows = [(flow.destination, flow.port) for flow in lab.network.flows() if flow.source == "configuration-server"]
    assert ("web", 135) in flows
    assert all(port == 443 for host, port in flows if host != "web")


def test_the_agent_gets_its_settings_after_the_process_server(lab: VSphereLab) -> None:
    lab.add_vcenter()
    server = lab.process_server()
    lab.open_door("web")
    order: list[str] = []
    server.follow = lambda answer: order.append("server") if answer["machines"] else None
    work = lab.service.give("protect", **lab.forward("web", server))
    lab.clock.wait_until(lambda: "web" in lab.agents, seconds=600)
    lab.agents["web"].follow = lambda answer: order.append("agent") if answer["protection"] else None
    lab.clock.wait_until(lambda: lab.service.result(work) is not None, seconds=600)
    assert order[0] == "server"
    assert "agent" in order


def test_a_machine_that_has_the_agent_is_not_pushed_to(lab: VSphereLab) -> None:
    lab.add_vcenter()
    server = lab.process_server()
    host = lab.network.find("web")
    assert host is not None
    Speaker(lab, host, "agent", lab.machine_id(lab.web))
    lab.clock.wait(5)
    lab.service.succeed("protect", **lab.forward("web", server))
    assert lab.doors == []


@pytest.mark.parametrize(
    ("name", "os_type", "port", "refused", "closed"),
    [("web", "WINDOWS", 135, "95107", "95103"), ("app", "LINUX", 22, "95108", "95117")],
)
def test_push_installation_fails_with_the_vendors_numbers(
    lab: VSphereLab, name: str, os_type: str, port: int, refused: str, closed: str
) -> None:
    lab.add_vcenter()
    server = lab.process_server()
    started = lab.clock.now()
    error = lab.service.refuse("protect", "push-install-failed", **lab.forward(name, server))
    assert error["code"] == closed
    assert lab.clock.now() - started < 300, "not for ever"
    lab.open_door(name, os_type, password="another")
    error = lab.service.refuse("protect", "push-install-failed", **lab.forward(name, server))
    assert error["code"] == refused
    assert "another" not in str(error)
    assert "pw" not in error["message"]
    host = lab.network.find(name)
    assert host is not None
    host.close()
    lab.open_door(name, os_type)
    block = lab.network.block(destination=name, port=port)
    lab.service.refuse("protect", "push-install-failed", **lab.forward(name, server))
    lab.network.unblock(block)
    lab.service.succeed("protect", **lab.forward(name, server))


def test_protect_refusals(lab: VSphereLab) -> None:
    lab.add_vcenter()
    server = lab.process_server()
    lab.open_door("web")
    wish = lab.forward("web", server)
    lab.service.refuse("protect", "process-server-missing", **wish | {"processServerId": "none"})
    lab.service.refuse("protect", "machine-missing", **wish | {"machineId": "none"})
    lab.service.succeed("shut-down", machineId=wish["machineId"], infrastructureId=lab.web.moid)
    lab.service.refuse("protect", "machine-powered-off", **wish)
    assert lab.doors == []
    assert lab.server.facts()["machines"] == []
    lab.vcenter.power_on(lab.web)
    lab.service.succeed("protect", **wish)


def test_an_agent_that_never_speaks_fails_the_protection(lab: VSphereLab) -> None:
    lab.add_vcenter()
    server = lab.process_server()
    block = lab.network.block(source="web", destination="configuration-server")
    lab.open_door("web")
    lab.service.refuse("protect", "agent-silent", **lab.forward("web", server))
    lab.network.unblock(block)
    lab.clock.wait(60)
    lab.service.succeed("protect", **lab.forward("web", server))


def test_protection_survives_a_kill(lab: VSphereLab) -> None:
    lab.add_vcenter()
    server = lab.process_server()
    lab.open_door("web")
    lab.service.succeed("protect", **lab.forward("web", server))
    before, served = lab.agents["web"].answer["protection"], server.answer["machines"]
    lab.restart()
    lab.agents["web"].answers.clear()
    server.answers.clear()
    lab.clock.wait(61)
    assert all(answer["protection"] == before for answer in lab.agents["web"].answers)
    assert all(answer["machines"] == served for answer in server.answers)
    assert lab.agents["web"].answers
    assert server.answers


def test_work_goes_on_after_a_kill(lab: VSphereLab) -> None:
    lab.add_vcenter()
    server = lab.process_server()
    block = lab.network.block(source="web", destination="configuration-server")
    lab.open_door("web")
    work = lab.service.give("protect", **lab.forward("web", server))
    lab.clock.wait(60)
    assert lab.service.result(work) is None
    lab.restart()
    lab.network.unblock(block)
    assert lab.clock.wait_until(lambda: lab.service.result(work) is not None, seconds=300)
    result = lab.service.result(work)
    assert result is not None
    assert result["state"] == "succeeded"


# facts ---------------------------------------------------------------------------------------------------------------


class Protected:
    """`web` protected, with an agent and a process server whose reports a test writes."""

    def __init__(self, lab: VSphereLab):
        self.lab = lab
        lab.add_vcenter()
        self.server = lab.process_server()
        lab.open_door("web")
        self.wish = lab.forward("web", self.server)
        self.machine_id = self.wish["machineId"]
        lab.service.succeed("protect", **self.wish)
        self.agent = lab.agents["web"]

    def agent_says(self, stage: str, **more: Any) -> None:
        disks = [
            {"diskId": disk["diskId"], "copiedBytes": MIB // 2, "sentBytes": 7, "state": "InProgress", "pendingAtSourceBytes": 5}
            for disk in self.wish["disks"]
        ]
        self.agent.state = {"protection": {"generation": 1, "stage": stage, "disks": disks} | more, "symptoms": []}

    def server_says(self, received: int, uploaded: int, tag: dict[str, Any] | None = None, **more: Any) -> None:
        row = {"machineId": self.machine_id, "generation": 1, "receivedSequence": received, "uploadedSequence": uploaded}
        self.server.state = {"machines": [row | {"lastTag": tag} | more], "symptoms": []}

    def fact(self) -> dict[str, Any]:
        """What the service hears of the machine once agent, process server and then the configuration server have spoken."""
        self.lab.clock.wait(95)
        return self.lab.service.machine(self.machine_id)


@pytest.fixture
def protected(lab: VSphereLab) -> Protected:
    return Protected(lab)


def test_stages_follow_the_reports(protected: Protected) -> None:
    lab = protected.lab
    assert protected.fact()["stage"] == "initial-copy"
    protected.agent_says("initial-copy")
    fact = protected.fact()
    assert (fact["stage"], fact["direction"], fact["side"], fact["generation"]) == ("initial-copy", "forward", "onprem", 1)
    assert [(disk["copiedBytes"], disk["state"], disk["pendingAtSourceBytes"]) for disk in fact["disks"]] == [
        (MIB // 2, "InProgress", 5)
    ] * 2
    protected.agent_says("delta")
    protected.server_says(10, 5, pendingBytes=99, compressedBytes=3, uncompressedBytes=4)
    fact = protected.fact()
    assert fact["stage"] == "waiting-first-point"
    assert fact["rpoSeconds"] is None
    assert [disk["pendingInProcessServerBytes"] for disk in fact["disks"]] == [99, 0]
    assert (fact["compressedBytes"], fact["uncompressedBytes"]) == (3, 4)
    when = lab.clock.now()
    protected.server_says(10, 9, {"pointId": "p", "time": iso(when), "sequence": 10, "kind": "crash"})
    assert protected.fact()["stage"] == "waiting-first-point", "the tag is not uploaded yet"
    protected.server_says(10, 10, {"pointId": "p", "time": iso(when), "sequence": 10, "kind": "crash"})
    fact = protected.fact()
    assert fact["stage"] == "delta"
    assert fact["lastTagReceived"] == iso(when)
    assert fact["rpoSeconds"] == round(epoch(lab.service.heartbeats[-1]["time"]) - when)
    assert protected.fact()["rpoSeconds"] > fact["rpoSeconds"]


def test_symptoms_come_and_go(protected: Protected) -> None:
    lab = protected.lab
    protected.agent_says("delta")
    assert protected.fact()["symptoms"] == []
    protected.agent.state["symptoms"] = ["process-server-unreachable", "group-unreachable"]
    protected.server.state = {"machines": [], "symptoms": ["cache-full", "upload-blocked"]}
    assert protected.fact()["symptoms"] == ["cache-full", "group-unreachable", "process-server-unreachable", "upload-blocked"]
    protected.agent.state["symptoms"], protected.server.state["symptoms"] = [], []
    assert protected.fact()["symptoms"] == []
    block = lab.network.block(source="web")
    lab.clock.wait(150)
    assert protected.fact()["symptoms"] == []
    lab.clock.wait(120)
    assert protected.fact()["symptoms"] == ["agent-silent"]
    lab.network.unblock(block)
    assert protected.fact()["symptoms"] == []


def test_reports_of_an_older_generation_count_for_nothing(protected: Protected) -> None:
    protected.agent_says("delta", generation=0)
    assert protected.fact()["stage"] == "initial-copy"


def test_reports_that_make_no_sense_break_nothing(protected: Protected) -> None:
    lab = protected.lab
    row = {"machineId": protected.machine_id, "generation": 1}
    odd = [None, "x", [], {}, 1e300, {"time": "yesterday", "pointId": "p"}, {"time": 5}]
    for value in odd:
        protected.agent.state = {
            "protection": {"generation": 1, "stage": value, "sequence": value, "disks": value, "resyncRequired": value},
            "symptoms": [value],
        }
        protected.server.state = {
            "cacheBytes": value,
            "machines": [row | {"receivedSequence": value, "uploadedSequence": value, "lastTag": value, "pendingBytes": value}],
            "symptoms": [value],
        }
        assert protected.fact()["lastTagReceived"] is None
        assert lab.service.do("sync", machineId=protected.machine_id)["state"] == "succeeded"
    protected.agent_says("delta")
    assert protected.fact()["stage"] == "waiting-first-point"


def test_work_that_makes_no_sense_is_malformed(lab: VSphereLab) -> None:
    lab.add_vcenter()
    server = lab.process_server()
    lab.open_door("web")
    wish = lab.forward("web", server)
    for change in ({"disks": [{}]}, {"disks": []}, {"disks": [5]}, {"group": {"members": 3}}, {"policy": 1}, {"dataKey": None}):
        lab.service.refuse("protect", "malformed", **wish | change)
    assert lab.doors == []
    lab.service.succeed("protect", **wish)


def test_resynchronize_is_said_once(protected: Protected) -> None:
    protected.agent.answers.clear()
    protected.lab.service.succeed("resynchronize", machineId=protected.machine_id)
    protected.lab.clock.wait(120)
    assert [answer["resynchronize"] for answer in protected.agent.answers].count(True) == 1
    protected.agent.silence()
    protected.lab.clock.wait(400)
    protected.lab.service.refuse("resynchronize", "agent-silent", machineId=protected.machine_id)


def test_members_of_a_group_learn_of_each_other(lab: VSphereLab) -> None:
    lab.add_vcenter()
    server = lab.process_server()
    ids = sorted([lab.machine_id(lab.web), lab.machine_id(lab.app)])
    group = {"groupId": "g", "members": ids}
    for name, os_type in (("web", "WINDOWS"), ("app", "LINUX")):
        lab.open_door(name, os_type)
        lab.service.succeed("protect", **lab.forward(name, server, group=group))
    lab.clock.wait(31)
    seen = [lab.agents[name].answer["protection"]["group"] for name in ("web", "app")]
    assert [[member["machineId"] for member in group["members"]] for group in seen] == [ids, ids]
    assert {group["coordinator"] for group in seen} == {ids[0]}
    own = {lab.machine_id(lab.web): seen[0]["members"], lab.machine_id(lab.app): seen[1]["members"]}
    to, back = ({entry["machineId"]: entry for entry in own[one]}[other] for one, other in (ids, ids[::-1]))
    assert to["token"] == back["accept"] != to["accept"] == back["token"]  # a token for each direction
    lab.service.succeed("stop", machineId=lab.machine_id(lab.app))
    lab.clock.wait(31)
    left = lab.agents["web"].answer["protection"]["group"]["members"]
    assert [member["name"] for member in left] == ["web"]


# the way out ---------------------------------------------------------------------------------------------------------


def test_shut_down_asks_the_guest_first(lab: VSphereLab) -> None:
    lab.add_vcenter()
    lab.events.clear()
    machine_id = lab.machine_id(lab.web)
    block = lab.network.block(destination="vcenter")
    lab.service.refuse("shut-down", "vcenter-unreachable", machineId=machine_id, infrastructureId=lab.web.moid)
    lab.network.unblock(block)
    output = lab.service.succeed("shut-down", machineId=machine_id, infrastructureId=lab.web.moid)
    assert output == {"poweredOff": True, "graceful": True}
    assert lab.events == ["web shut down"]
    assert lab.web.power == "poweredOff"


def test_a_guest_without_tools_loses_power(lab: VSphereLab) -> None:
    lab.add_vcenter()
    lab.events.clear()
    lab.vcenter.report_guest(lab.web, running=False)
    output = lab.service.succeed("shut-down", machineId=lab.machine_id(lab.web), infrastructureId=lab.web.moid)
    assert output == {"poweredOff": True, "graceful": False}
    assert lab.events == ["web off"]


def test_sync_waits_for_what_the_agent_had_written(protected: Protected) -> None:
    lab = protected.lab
    when = lab.clock.now()
    tag = {"pointId": "p", "time": iso(when), "sequence": 12, "kind": "crash"}
    protected.agent_says("delta", sequence=20)
    protected.server_says(15, 15, tag)
    lab.clock.wait(31)
    work = lab.service.give("sync", machineId=protected.machine_id)
    lab.clock.wait(300)
    assert lab.service.result(work) is None, "20 is not uploaded"
    assert protected.server.answer["machines"][0]["flush"] is True
    protected.server_says(25, 19, tag)
    lab.clock.wait(120)
    assert lab.service.result(work) is None
    protected.server_says(25, 20, tag)
    lab.clock.wait(60)
    result = lab.service.result(work)
    assert result is not None
    assert result["output"] == {"lastSequence": 20, "lastTag": {"pointId": "p", "time": iso(when)}}
    lab.clock.wait(31)
    assert protected.server.answer["machines"][0]["flush"] is False


@pytest.mark.parametrize(("kind", "partial"), [("shutdown", False), ("crash", True)])
def test_sync_of_a_dead_source_is_whole_only_after_an_orderly_end(protected: Protected, kind: str, partial: bool) -> None:
    lab = protected.lab
    protected.agent_says("delta", sequence=20)
    protected.server_says(20, 20, {"pointId": "p", "time": iso(lab.clock.now()), "sequence": 20, "kind": kind})
    lab.clock.wait(31)
    protected.agent.silence()
    output = lab.service.succeed("sync", machineId=protected.machine_id)
    assert output["lastSequence"] == 20
    assert output.get("partial", False) is partial


def test_stop_and_unprotect(protected: Protected) -> None:
    lab = protected.lab
    lab.service.succeed("stop", machineId=protected.machine_id)
    assert protected.agent.answer["protection"]["stop"] is True
    lab.clock.wait(31)
    assert protected.server.answer["machines"] == []
    assert protected.fact()["stage"] == "stopped"
    assert protected.fact()["symptoms"] == []
    lab.service.succeed("unprotect", machineId=protected.machine_id)
    lab.clock.wait(31)
    assert protected.agent.answer["protection"] is None
    assert protected.fact()["stage"] == "none"
    lab.service.succeed("protect", **protected.wish | {"generation": 2})
    assert protected.agent.answer["protection"]["generation"] == 2


def test_an_agent_in_azure_gets_no_forward_settings(protected: Protected) -> None:
    lab = protected.lab
    cloud = Speaker(lab, lab.place("web.azure", "azure-vnet"), "agent", protected.machine_id, zone="azure")
    lab.clock.wait(31)
    assert cloud.answer == {"protection": None, "resynchronize": False}
    assert protected.agent.answer["protection"]["generation"] == 1


def test_a_reader_of_the_vcenter_may_protect_but_not_shut_down(tmp_path: Path) -> None:
    lab = VSphereLab(tmp_path)
    lab.accounts_of_reader()
    lab.add_vcenter()
    lab.open_door("web")
    server = lab.process_server()
    lab.service.succeed("protect", **lab.forward("web", server))
    lab.service.refuse("shut-down", "no-permission", machineId=lab.machine_id(lab.web), infrastructureId=lab.web.moid)
    assert lab.web.power == "poweredOn"
