"""The way back with real bytes: agent and process server in Azure, master target on premises, disks of an emulated vCenter."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from site_lab import PASSPHRASE, URL
from vsphere_lab import MIB, VSphereLab

from emulators.guest.devices import MemoryDevice
from emulators.guest.machine import GuestMachine
from emulators.network import AZURE_VNET, ONPREM
from reference_impl.master_target import MasterTarget
from reference_impl.mobility_agent import Agent
from reference_impl.process_server import ProcessServer

SIZE = 4 * MIB
VOLUME = {"volumeName": "R", "capacityInBytes": 1 << 30, "freeSpaceInBytes": 1 << 30, "thresholdPercentage": 25}


class Circle(VSphereLab):
    """`web` has run in Azure for a while: its disks there differ from those in the datastore in two places."""

    def __init__(self, folder: Path, *, sockets: bool = False):
        self.mt_guest: GuestMachine | None = None
        super().__init__(folder, disk_size=SIZE, sockets=sockets)
        self.add_vcenter()
        self.ids = self.disk_ids("web")
        pattern = bytes(range(256)) * 256
        for disk in self.vcenter.disks_of(self.web):
            for at in range(0, SIZE, len(pattern)):
                disk.write(at, pattern)
        self.azure = GuestMachine(self.clock, self.machine_id(self.web), "web", "WINDOWS")
        for unit, disk in enumerate(self.vcenter.disks_of(self.web)):
            self.azure.add_disk(unit, MemoryDevice(disk.read(0, SIZE)), "")
        self.azure.power_on()
        self.azure.disk(0).write(512, b"changed in Azure" * 32)
        self.azure.disk(1).write(3 * MIB, bytes(65536))
        host = self.place("web.azure", AZURE_VNET)
        self.agent = Agent(
            host,
            self.azure,
            self.clock.scope("agent"),
            folder / "agent",
            configuration_server_url=URL,
            passphrase=PASSPHRASE,
            side="azure",
            version="9.13.0.0",
            rules=self.rules,
        )
        self.azure.install("agent", lambda: self.agent)
        self.server_azure = ProcessServer(
            self.place("process-server-azure", AZURE_VNET),
            self.clock.scope("ps"),
            folder / "ps",
            configuration_server_url=URL,
            passphrase=PASSPHRASE,
            machine_id="ps",
            name="process-server-azure",
            zone="azure",
            open_store=no_store,
            rules=self.rules,
        )
        self.server_azure.start()
        self.mt_host = self.place("master-target", ONPREM)
        self.mt_guest = GuestMachine(self.clock, self.machine_id(self.mt_vm), "mt", "WINDOWS", show_serials=True)
        self.disks_changed(self.mt_vm)
        self.mt_guest.power_on()
        self.mt_folder = folder / "mt"
        self.target = self.start_target()
        self.clock.wait(70)

    def start_target(self) -> MasterTarget:
        assert self.mt_guest is not None
        target = MasterTarget(
            self.mt_host,
            self.mt_guest,
            self.clock.scope("mt"),
            self.mt_folder,
            configuration_server_url=URL,
            passphrase=PASSPHRASE,
            name="master-target",
            os_type="WINDOWS",
            retention_volumes=[VOLUME],
            rules=self.rules,
        )
        target.start()
        return target

    def disks_changed(self, vm: Any) -> None:
        super().disks_changed(vm)
        if vm is not self.mt_vm or self.mt_guest is None:
            return
        now = {disk.bus * 16 + disk.unit: disk for disk in self.vcenter.disks_of(vm)}
        for disk in self.mt_guest.disks():
            if disk.unit not in now:
                self.mt_guest.remove_disk(disk.unit)
        for unit, device in now.items():
            if unit not in {disk.unit for disk in self.mt_guest.disks()}:
                self.mt_guest.add_disk(unit, device, device.uuid)

    def protect(self) -> None:
        facts = self.server.facts()
        self.service.succeed(
            "protect-reverse",
            machineId=self.machine_id(self.web),
            infrastructureId=self.web.moid,
            name="web",
            osType="WINDOWS",
            masterTargetId=facts["masterTargets"][0]["id"],
            processServerId=facts["processServers"][0]["id"],
            retentionVolume="R",
            datastore="",
            disks=[{"diskId": disk, "unit": unit, "sizeBytes": SIZE} for unit, disk in enumerate(self.ids)],
            generation=2,
            direction="reverse",
            policy={"crashConsistentMinutes": 5, "appConsistentMinutes": 0},
            dataKey="AAAA",
        )

    def fact(self) -> dict[str, Any]:
        return self.service.machine(self.machine_id(self.web))

    def replicated(self) -> bool:
        return bool(self.fact()["stage"] == "delta" and self.fact()["lastTagReceived"])

    def equal(self) -> bool:
        """Whether the machine's disks in vCenter hold what its disks in Azure hold."""
        held = {disk.uuid: disk for vm in (self.web, self.mt_vm) for disk in self.vcenter.disks_of(vm)}
        return all(held[disk].read(0, SIZE) == self.azure.disk(unit).read(0, SIZE) for unit, disk in enumerate(self.ids))

    def go_home(self) -> dict[str, Any]:
        """What the service has the site do at a failback, after an orderly end in Azure."""
        self.azure.shut_down()
        machine_id = self.machine_id(self.web)
        settled = self.service.succeed("settle-reverse", machineId=machine_id)
        self.service.succeed("fail-back", machineId=machine_id, infrastructureId=self.web.moid, pointChoice="LatestTime")
        return settled


def no_store(*_: Any) -> Any:
    raise AssertionError("nothing goes to storage on the way back")


@pytest.fixture(params=["in-process", "sockets"])
def circle(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Circle]:
    made = Circle(tmp_path, sockets=request.param == "sockets")
    yield made
    made.close()


def test_the_bytes_come_home_and_only_differences_travel(circle: Circle) -> None:
    circle.protect()
    assert circle.clock.wait_until(circle.replicated, seconds=1800), circle.fact()
    assert circle.equal()
    flows = {(flow.source, flow.destination, flow.port): flow for flow in circle.network.flows()}
    assert flows["process-server-azure", "master-target", 9443].bytes_out < SIZE // 16
    assert ("web.azure", "master-target", 9443) not in flows
    circle.azure.disk(1).write(MIB, b"after the copy" * 100)
    circle.clock.wait(700)
    assert circle.equal()
    assert circle.fact()["rpoSeconds"] < 400
    circle.azure.disk(0).write(2 * MIB, b"the last write")
    settled = circle.go_home()
    assert "partial" not in settled
    assert settled["lastTag"] is not None
    assert circle.equal()
    assert len(circle.disk_ids("web")) == 2
    assert circle.events[-1] == "web on"
    circle.service.succeed("commit-reverse", machineId=circle.machine_id(circle.web))
    assert not list(circle.mt_folder.rglob("*.segment"))


def test_everybody_is_killed_once_and_the_bytes_are_right(circle: Circle) -> None:
    circle.protect()
    circle.target.kill()
    circle.clock.wait(60)
    circle.target = circle.start_target()
    circle.restart()
    assert circle.clock.wait_until(circle.replicated, seconds=1800), circle.fact()
    circle.azure.disk(1).write(MIB, b"before the kill" * 100)
    circle.clock.wait(20)
    circle.target.kill()
    circle.azure.disk(1).write(2 * MIB, b"during" * 100)
    circle.clock.wait(60)
    circle.restart()
    circle.target = circle.start_target()
    circle.clock.wait(700)
    assert circle.equal()
    circle.go_home()
    assert circle.equal()


def test_an_unplugged_master_target_stops_the_points_and_is_seen(circle: Circle) -> None:
    circle.protect()
    assert circle.clock.wait_until(circle.replicated, seconds=1800)
    last = circle.fact()["lastTagReceived"]
    block = circle.network.block(destination="master-target", port=9443)
    circle.azure.disk(1).write(MIB, b"unseen" * 100)
    circle.clock.wait(1200)
    assert circle.fact()["lastTagReceived"] == last
    assert circle.fact()["rpoSeconds"] > 900
    assert "upload-blocked" in circle.fact()["symptoms"]
    assert not circle.equal()
    circle.service.refuse("settle-reverse", "process-server-unreachable", machineId=circle.machine_id(circle.web))
    circle.network.unblock(block)
    circle.clock.wait(700)
    assert circle.equal()
    assert circle.fact()["symptoms"] == []


def test_a_resync_in_reverse_ends_exact(circle: Circle) -> None:
    circle.protect()
    assert circle.clock.wait_until(circle.replicated, seconds=1800)
    filters = list(circle.azure._filters)
    for write_filter in filters:
        circle.azure.detach_filter(write_filter)
    circle.azure.disk(1).write(MIB, b"not captured" * 100)
    for write_filter in filters:
        circle.azure.attach_filter(write_filter)
    circle.clock.wait(700)
    assert not circle.equal()
    circle.service.succeed("resynchronize", machineId=circle.machine_id(circle.web))
    circle.clock.wait(700)
    assert circle.equal()
