"""The way back: each prerequisite is tried both ways (RPR-001 to RPR-014), then the disks go to the master target and home."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyVmomi import vim
from vsphere_lab import ReverseLab

from emulators.clock import iso
from emulators.network import ONPREM
from reference_impl.rules import Rules
from reference_impl.vsphere import Session


@pytest.fixture
def lab(tmp_path: Path) -> ReverseLab:
    return ReverseLab(tmp_path)


def operate(lab: ReverseLab, vm: Any, method: str, *arguments: Any) -> None:
    """What a person does in vCenter meanwhile."""
    host = lab.network.find("operator") or lab.place("operator", ONPREM)

    def act() -> Any:
        with Session(host, "vcenter", 443, "administrator@vsphere.local", "secret") as session:
            yield from session.run(vm.moid, method, *arguments)

    task = lab.clock.spawn(act(), name="operator")
    assert lab.clock.wait_until(lambda: task.done, seconds=300)


def extra(value: str | None, key: str = "disk.EnableUUID") -> Any:
    return vim.vm.ConfigSpec(extraConfig=[vim.option.OptionValue(key=key, value=value or "")])


# prerequisites -------------------------------------------------------------------------------------------------------


def test_all_is_well_and_nothing_changes(lab: ReverseLab) -> None:
    lab.events.clear()
    assert lab.service.succeed("prepare-reverse", **lab.wish()) == {}
    assert lab.events == []
    assert lab.web.power == "poweredOn"
    assert lab.server.facts()["machines"][0]["stage"] == "none"


@pytest.mark.parametrize("name", ["web", "master-target"])
def test_snapshots_bite(lab: ReverseLab, name: str) -> None:
    """RPR-005, RPR-006."""
    vm = lab.vcenter.find_vm(name)
    operate(lab, vm, "CreateSnapshot_Task", "s", "", False, False)
    for kind in ("prepare-reverse", "protect-reverse"):
        error = lab.service.refuse(kind, "snapshot-present", **lab.wish())
        assert name in error["message"]
    assert lab.web.power == "poweredOn"
    operate(lab, vm, "RemoveAllSnapshots_Task", True)
    lab.service.succeed("prepare-reverse", **lab.wish())


def test_disk_uuid_has_to_be_enabled(lab: ReverseLab) -> None:
    """RPR-007: neither key nor value is case-sensitive."""
    for value in (None, "FALSE", "yes"):
        operate(lab, lab.mt_vm, "ReconfigVM_Task", extra(value))
        lab.service.refuse("prepare-reverse", "disk-uuid-disabled", **lab.wish())
    for value in ("TRUE", "true", "True"):
        operate(lab, lab.mt_vm, "ReconfigVM_Task", extra(value))
        lab.service.succeed("prepare-reverse", **lab.wish())
    operate(lab, lab.mt_vm, "ReconfigVM_Task", extra(None))
    operate(lab, lab.mt_vm, "ReconfigVM_Task", extra("true", "DISK.enableuuid"))
    lab.service.succeed("prepare-reverse", **lab.wish())


def test_a_process_server_in_azure_is_needed(lab: ReverseLab) -> None:
    """RPR-002."""
    home = lab.process_server()
    for wrong in ("none", home.id):
        lab.service.refuse("prepare-reverse", "process-server-missing", **lab.wish(processServerId=wrong))
    lab.service.succeed("prepare-reverse", **lab.wish())
    block = lab.network.block(source="process-server-azure")
    lab.service.refuse("prepare-reverse", "process-server-unreachable", **lab.wish())
    lab.network.unblock(block)
    lab.clock.wait(60)
    lab.service.succeed("prepare-reverse", **lab.wish())


def test_without_a_way_home_the_agent_is_missed(lab: ReverseLab) -> None:
    """NET-009, RPR-012."""
    lab.network.links.discard("vpn")
    error = lab.service.refuse("prepare-reverse", "agent-unreachable", **lab.wish())
    assert error["code"] == "95226"
    lab.clock.wait(3600)
    lab.service.refuse("protect-reverse", "agent-unreachable", **lab.wish())
    assert lab.web.power == "poweredOn"
    lab.network.links.add("vpn")
    lab.clock.wait(60)
    lab.service.succeed("prepare-reverse", **lab.wish())


def test_the_agent_has_to_speak_from_azure(lab: ReverseLab) -> None:
    """RPR-012: that it spoke from the site once is not enough."""
    lab.agent.silence()
    lab.clock.wait(301)
    lab.open_door("web")
    lab.agents["web"] = type(lab.agent)(lab, lab.network.find("web") or lab.host, "agent", lab.machine_id(lab.web))
    lab.clock.wait(31)
    lab.service.refuse("prepare-reverse", "agent-unreachable", **lab.wish())


def test_the_master_target_has_to_fit(lab: ReverseLab) -> None:
    """RPR-001, RPR-014."""
    lab.service.refuse("prepare-reverse", "master-target-missing", **lab.wish(masterTargetId="none"))
    lab.service.refuse("prepare-reverse", "master-target-os-mismatch", **lab.wish(osType="LINUX"))
    lab.service.refuse("prepare-reverse", "retention-volume-missing", **lab.wish(retentionVolume="S"))
    block = lab.network.block(source="master-target")
    lab.service.refuse("prepare-reverse", "master-target-missing", **lab.wish())
    lab.network.unblock(block)
    lab.clock.wait(60)
    lab.service.succeed("prepare-reverse", **lab.wish(osType="windows"))


def test_the_vcenter_has_to_answer(lab: ReverseLab) -> None:
    block = lab.network.block(destination="vcenter")
    lab.service.refuse("prepare-reverse", "vcenter-unreachable", **lab.wish())
    lab.network.unblock(block)
    lab.service.succeed("prepare-reverse", **lab.wish())


def test_a_paravirtual_controller_is_refused(tmp_path: Path) -> None:
    """RPR-009."""
    lab = ReverseLab(tmp_path)
    controller = vim.vm.device.ParaVirtualSCSIController(key=-1, busNumber=1, sharedBus="noSharing")
    change = vim.vm.device.VirtualDeviceSpec(operation="add", device=controller)
    operate(lab, lab.mt_vm, "ReconfigVM_Task", vim.vm.ConfigSpec(deviceChange=[change]))
    lab.service.refuse("prepare-reverse", "controller-unsupported", **lab.wish())


@pytest.mark.parametrize(("limit", "fits"), [(2, False), (3, True)])
def test_a_master_target_is_full_at_its_limit(tmp_path: Path, limit: int, fits: bool) -> None:
    """RPR-010, with a smaller limit: its own disk and the two of the machine."""
    lab = ReverseLab(tmp_path, rules=Rules(target_disk_limit=limit))
    if fits:
        lab.service.succeed("protect-reverse", **lab.wish())
    else:
        lab.service.refuse("protect-reverse", "too-many-disks", **lab.wish())
        assert lab.web.power == "poweredOn"


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"refuse_target_snapshots": False}, lambda lab: operate(lab, lab.mt_vm, "CreateSnapshot_Task", "s", "", False, False)),
        ({"refuse_machine_snapshots": False}, lambda lab: operate(lab, lab.web, "CreateSnapshot_Task", "s", "", False, False)),
        ({"need_disk_uuid": False}, lambda lab: operate(lab, lab.mt_vm, "ReconfigVM_Task", extra("FALSE"))),
        ({"need_agent_in_azure": False}, lambda lab: lab.agent.silence()),
        ({"match_os_family": False}, lambda lab: None),
        ({"need_retention_volume": False}, lambda lab: None),
    ],
)
def test_each_rule_is_what_refuses(tmp_path: Path, change: dict[str, Any], broken: Callable[[ReverseLab], None]) -> None:
    name = next(iter(change))
    wrong = {"match_os_family": {"osType": "LINUX"}, "need_retention_volume": {"retentionVolume": "S"}}.get(name, {})
    right = ReverseLab(tmp_path / "right")
    broken(right)
    right.clock.wait(60)
    assert right.service.do("prepare-reverse", **right.wish(**wrong))["state"] == "failed"
    mutant = ReverseLab(tmp_path / "mutant", rules=Rules(**change))
    broken(mutant)
    mutant.clock.wait(60)
    mutant.service.succeed("prepare-reverse", **mutant.wish(**wrong))


def test_a_reader_cannot_reprotect_until_the_role_is_mended(tmp_path: Path) -> None:
    """RPR-026, VCP-001."""
    lab = ReverseLab(tmp_path)
    good = dict(lab.accounts)
    lab.accounts_of_reader()
    lab.clock.wait(60)
    lab.service.succeed("prepare-reverse", **lab.wish())
    lab.service.refuse("protect-reverse", "no-permission", **lab.wish())
    lab.server.kill()
    lab.accounts = good
    lab.server = lab.start()
    lab.clock.wait(60)
    lab.service.succeed("protect-reverse", **lab.wish())


def test_a_master_target_shows_the_datastores_it_can_write(lab: ReverseLab) -> None:
    """RPR-009: none while no tools run in it."""
    lab.clock.wait(61)
    [store] = lab.service.heartbeats[-1]["masterTargets"][0]["dataStores"]
    assert (store["symbolicName"], store["type"]) == ("LocalDS_0", "VMFS")
    assert 0 < store["freeSpace"] <= store["capacity"]
    lab.vcenter.report_guest(lab.mt_vm, running=False)
    lab.service.succeed("refresh")
    assert lab.service.heartbeats[-1]["masterTargets"][0]["dataStores"] == []


# protect-reverse -----------------------------------------------------------------------------------------------------


def test_protect_reverse_moves_the_disks_and_tells_everybody(lab: ReverseLab) -> None:
    lab.events.clear()
    own, disks = lab.disk_ids("master-target"), lab.disk_ids("web")
    files = [disk.file_name for disk in lab.vcenter.disks_of(lab.web)]
    lab.service.succeed("protect-reverse", **lab.wish())
    assert lab.events == ["web off", "master-target disks 3"]
    assert lab.web.power == "poweredOff"
    assert lab.disk_ids("web") == []
    assert lab.disk_ids("master-target") == own + disks
    assert [disk.file_name for disk in lab.vcenter.disks_of(lab.mt_vm)][1:] == files
    [machine] = lab.target.answer["machines"]
    assert (machine["generation"], machine["retentionVolume"]) == (2, "R")
    assert [disk["serial"] for disk in machine["disks"]] == disks
    [served] = lab.server_answer()
    assert served["sink"] == {"kind": "master-target", "address": "master-target", "port": 9443, "token": machine["psToken"]}
    settings = lab.agent.answer["protection"]
    assert (settings["direction"], settings["generation"]) == ("reverse", 2)
    assert settings["processServer"] == {"address": "process-server-azure", "port": 9443, "token": served["agentToken"]}
    lab.clock.wait(61)
    fact = lab.service.machine(lab.machine_id(lab.web))
    assert (fact["direction"], fact["side"], fact["stage"]) == ("reverse", "azure", "initial-copy")


def test_disks_that_the_master_target_does_not_see_fail_the_work(lab: ReverseLab) -> None:
    """RPR-008: it is never written to a disk that cannot be told from others."""
    see = lab.target.follow
    lab.target.follow = lambda answer: None
    lab.target.state = {"diskSerials": [], "machines": []}
    lab.service.refuse("protect-reverse", "disk-uuid-disabled", **lab.wish())
    assert lab.agent.answer["protection"] is None
    lab.target.follow = see
    lab.clock.wait(60)
    lab.service.succeed("protect-reverse", **lab.wish(generation=3))
    assert lab.disk_ids("web") == []
    assert len(lab.disk_ids("master-target")) == 3


def test_a_disk_with_the_same_uuid_on_the_master_target_is_a_clash(lab: ReverseLab) -> None:
    """RPR-018."""
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent", uuid=lab.disk_ids("web")[0])
    twin = vim.vm.device.VirtualDisk(key=-1, controllerKey=1000, unitNumber=9, capacityInKB=1024, backing=backing)
    change = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create", device=twin)
    operate(lab, lab.mt_vm, "ReconfigVM_Task", vim.vm.ConfigSpec(deviceChange=[change]))
    error = lab.service.refuse("protect-reverse", "disk-clash", **lab.wish())
    assert error["code"] == "78052"
    assert lab.web.power == "poweredOn"


def test_more_disks_than_a_controller_holds(lab: ReverseLab) -> None:
    """The master target gets a further LSI controller, and the machine its disks at their old places."""
    big = lab.add("big", "windows9Server64Guest", 15, {})
    lab.service.succeed("refresh")
    lab.speak_from_azure("big")
    disks = [{"diskId": disk, "unit": unit, "sizeBytes": 1} for unit, disk in enumerate(lab.disk_ids("big"))]
    before = [(disk.bus, disk.unit, disk.uuid) for disk in lab.vcenter.disks_of(big)]
    wish = lab.wish(machineId=lab.machine_id(big), infrastructureId=big.moid, name="big", disks=disks)
    lab.service.succeed("protect-reverse", **wish)
    assert len(lab.disk_ids("master-target")) == 16
    kinds = [device.kind for device in lab.mt_vm.settings.devices.values() if device.kind.endswith("LogicController")]
    assert kinds == ["VirtualLsiLogicController"] * 2
    lab.service.succeed("unprotect", machineId=lab.machine_id(big))
    assert [(disk.bus, disk.unit, disk.uuid) for disk in lab.vcenter.disks_of(big)] == before


# failing back --------------------------------------------------------------------------------------------------------


class Reversed:
    """`web` protected in reverse, with a point at the master target."""

    def __init__(self, lab: ReverseLab):
        self.lab, self.machine_id = lab, lab.machine_id(lab.web)
        self.places = [(disk.bus, disk.unit, disk.uuid) for disk in lab.vcenter.disks_of(lab.web)]
        self.call = {"machineId": self.machine_id, "infrastructureId": lab.web.moid, "pointChoice": "LatestTime"}
        lab.service.succeed("protect-reverse", **lab.wish())

    def reach_a_point(self) -> None:
        lab = self.lab
        lab.received, lab.applied = 12, 10
        lab.tag = {"pointId": "p", "time": iso(lab.clock.now()), "sequence": 10, "kind": "crash"}
        said = {"machineId": self.machine_id, "generation": 2, "receivedSequence": 12, "uploadedSequence": 12}
        end = {"pointId": "e", "time": iso(lab.clock.now()), "sequence": 12, "kind": "shutdown"}
        lab.server_says({"machines": [said | {"lastTag": end}], "symptoms": []})
        lab.clock.wait(95)

    def settled(self) -> dict[str, Any]:
        return self.lab.service.succeed("settle-reverse", machineId=self.machine_id)


@pytest.fixture
def back(lab: ReverseLab) -> Reversed:
    return Reversed(lab)


def test_there_has_to_be_a_point(back: Reversed) -> None:
    """FB-001."""
    back.lab.service.refuse("settle-reverse", "no-recovery-point", machineId=back.machine_id)
    back.lab.service.refuse("fail-back", "no-recovery-point", **back.call)
    back.reach_a_point()
    fact = back.lab.service.machine(back.machine_id)
    assert fact["lastTagReceived"] is not None
    assert back.settled()["lastSequence"] == 12


def test_settling_waits_for_the_master_target(back: Reversed) -> None:
    lab = back.lab
    back.reach_a_point()
    lab.agent.silence()
    lab.received = 11
    lab.clock.wait(61)
    lab.service.refuse("settle-reverse", "process-server-unreachable", machineId=back.machine_id)
    work = lab.service.give("settle-reverse", machineId=back.machine_id)
    lab.clock.wait(300)
    assert lab.service.result(work) is None, "one record has not reached the master target"
    lab.received = 12
    lab.clock.wait(95)
    result = lab.service.result(work)
    assert result is not None
    assert result["output"]["lastSequence"] == 12
    assert "partial" not in result["output"]


def test_failing_back_brings_the_disks_home_in_order(back: Reversed) -> None:
    """FB-004."""
    lab = back.lab
    back.reach_a_point()
    back.settled()
    lab.agent.silence()
    lab.events.clear()
    lab.service.succeed("fail-back", **back.call)
    assert lab.events == ["master-target disks 1", "web on"]
    assert lab.web.power == "poweredOn"
    assert [(disk.bus, disk.unit, disk.uuid) for disk in lab.vcenter.disks_of(lab.web)] == back.places
    assert len(lab.disk_ids("master-target")) == 1
    lab.service.succeed("commit-reverse", machineId=back.machine_id)
    lab.clock.wait(61)
    assert lab.target.answer["machines"] == []
    assert lab.server_answer() == []
    assert lab.service.machine(back.machine_id)["stage"] == "none"


def test_nobody_powers_on_before_the_disks_are_home(tmp_path: Path) -> None:
    """The mutant that does is seen."""
    lab = ReverseLab(tmp_path, rules=Rules(detach_before_power_on=False))
    back = Reversed(lab)
    back.reach_a_point()
    lab.events.clear()
    lab.service.do("fail-back", **back.call)
    assert lab.events[0] == "web on"


def test_a_target_that_does_not_release_keeps_the_disks(back: Reversed) -> None:
    lab = back.lab
    back.reach_a_point()
    block = lab.network.block(source="master-target")
    lab.service.refuse("fail-back", "disk-detach-failed", **back.call)
    assert len(lab.disk_ids("master-target")) == 3
    assert lab.web.power == "poweredOff"
    lab.network.unblock(block)
    lab.clock.wait(60)
    lab.service.succeed("fail-back", **back.call)
    assert lab.web.power == "poweredOn"


def test_fail_back_needs_vcenter_and_no_snapshot(back: Reversed) -> None:
    """FB-010, RPR-005."""
    lab = back.lab
    back.reach_a_point()
    block = lab.network.block(destination="vcenter")
    lab.service.refuse("fail-back", "vcenter-unreachable", **back.call)
    lab.network.unblock(block)
    operate(lab, lab.mt_vm, "CreateSnapshot_Task", "s", "", False, False)
    lab.service.refuse("fail-back", "snapshot-present", **back.call)
    operate(lab, lab.mt_vm, "RemoveAllSnapshots_Task", True)
    lab.service.succeed("fail-back", **back.call)


def test_a_disk_that_is_gone_fails_the_failback(back: Reversed) -> None:
    """RPR-019."""
    lab = back.lab
    back.reach_a_point()
    device = vim.vm.device.VirtualDisk(key=lab.vcenter.disks_of(lab.mt_vm)[-1].key)
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=device)
    operate(lab, lab.mt_vm, "ReconfigVM_Task", vim.vm.ConfigSpec(deviceChange=[change]))
    lab.service.refuse("fail-back", "disk-detach-failed", **back.call)
    assert lab.web.power == "poweredOff"


@pytest.mark.parametrize("seconds", [12, 40, 61])
def test_a_kill_in_the_middle_of_protect_reverse(lab: ReverseLab, seconds: float) -> None:
    work = lab.service.give("protect-reverse", **lab.wish())
    lab.clock.wait(seconds)
    assert lab.service.result(work) is None
    lab.restart()
    assert lab.clock.wait_until(lambda: lab.service.result(work) is not None, seconds=900)
    result = lab.service.result(work)
    assert result is not None
    assert result["state"] == "succeeded"
    assert (lab.disk_ids("web"), len(lab.disk_ids("master-target"))) == ([], 3)


@pytest.mark.parametrize("seconds", [11, 20, 33, 36, 40])
def test_a_kill_in_the_middle_of_fail_back(back: Reversed, seconds: float) -> None:
    lab = back.lab
    back.reach_a_point()
    work = lab.service.give("fail-back", **back.call)
    lab.clock.wait(seconds)
    lab.restart()
    assert lab.clock.wait_until(lambda: lab.service.result(work) is not None, seconds=900)
    result = lab.service.result(work)
    assert result is not None
    assert result["state"] == "succeeded"
    assert [(disk.bus, disk.unit, disk.uuid) for disk in lab.vcenter.disks_of(lab.web)] == back.places
    assert lab.web.power == "poweredOn"


def test_an_end_without_failback_gives_the_disks_back(back: Reversed) -> None:
    lab = back.lab
    lab.service.succeed("unprotect", machineId=back.machine_id)
    assert [(disk.bus, disk.unit, disk.uuid) for disk in lab.vcenter.disks_of(lab.web)] == back.places
    assert lab.web.power == "poweredOff"
    lab.clock.wait(61)
    assert lab.target.answer["machines"] == []
