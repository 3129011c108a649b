"""From Azure back: agent in an Azure machine, process server in Azure, a stand-in for the master target on premises."""

from pathlib import Path
from typing import Any

import pytest
from plane_lab import CONTROL, KEY, MIB, PASSPHRASE, POLICY, PlaneLab, pattern

from emulators.network import AZURE_VNET
from reference_impl import records
from reference_impl.process_server import ProcessServer
from reference_impl.records import Coverage, Kind
from reference_impl.wire import Answer, Refusal, Request, Route, WireApp


class FakeMasterTarget:
    """Applies segments to bytes, and says what it holds."""

    def __init__(self, held: dict[str, bytes]):
        self.disks = {name: bytearray(content) for name, content in held.items()}
        self.order, self.position, self.coverage = list(self.disks), 0, Coverage(len(held))
        self.points: dict[str, dict[str, bytes]] = {}
        base = "/machines/{machine}/generations/{generation}"
        self.application = WireApp(
            [
                Route("POST", f"{base}/segments", self._segments, limit=records.MAX_SEGMENT),
                Route("GET", f"{base}/position", lambda request: {"ackSequence": self.position}),
                Route("GET", f"{base}/disks/{{disk}}/checksums", self._checksums),
            ],
            self._authorize,
        )

    def _authorize(self, request: Request) -> None:
        if request.token != "target token":
            raise Refusal(401, "Unauthorized", "no")

    def _segments(self, request: Request) -> dict[str, Any]:
        segment = records.decode(request.body)
        if segment.first > self.position + 1:
            raise Refusal(409, "SequenceGap", "gap", extra={"ackSequence": self.position})
        for number, record in enumerate(segment.records, segment.first):
            if number > self.position:
                self._apply(record)
                self.position = number
        return {"ackSequence": self.position}

    def _apply(self, record: records.Record) -> None:
        self.coverage.see(record)
        if record.kind in records.DATA_KINDS:
            disk = self.disks[self.order[record.disk]]
            disk[record.offset : record.offset + record.length] = bytes(record.data) or bytes(record.length)
        elif record.kind is Kind.TAG and record.tag is not None and self.coverage.complete:
            self.points[record.tag.point_id] = {name: bytes(disk) for name, disk in self.disks.items()}

    def _checksums(self, request: Request) -> Answer:
        if int(request.query["sequence"]) > self.position:
            return Answer(202)
        return Answer(200, records.block_digests(self.disks[request.params["disk"]]))


class Reverse:
    """An Azure machine whose disk came from one on premises and has changed since."""

    def __init__(self, folder: Path):
        self.lab = lab = PlaneLab(folder)
        base = pattern(3, 8 * MIB)
        self.guest = lab.add_machine("db.azure", {0: base}, zone=AZURE_VNET)
        self.guest.disk(0).write(2 * MIB, pattern(4, 100_000))
        self.guest.disk(0).write(6 * MIB, bytes(200_000))
        self.target = FakeMasterTarget({"db.azure-disk-0": base})
        lab.network.host("master-target", "onprem").listen(9443, self.target.application)
        self.server = ProcessServer(
            lab.network.host("process-server-azure", AZURE_VNET),
            lab.clock.scope("process-server-azure"),
            folder / "process-server-azure",
            configuration_server_url=CONTROL,
            passphrase=PASSPHRASE,
            machine_id="ps-azure",
            name="process-server-azure",
            zone="azure",
            open_store=lab.storage.open_store,
            rules=lab.rules,
            sync=False,
        )
        self.server.start()
        disks = [{"diskId": "db.azure-disk-0", "unit": 0, "sizeBytes": 8 * MIB}]
        shared = {"machineId": self.guest.machine_id, "generation": 2, "direction": "reverse", "disks": disks}
        sink = {"kind": "master-target", "address": "master-target", "port": 9443, "token": "target token"}
        lab.control.machines["ps-azure"] = [shared | {"agentToken": "back", "dataKey": KEY, "sink": sink, "flush": False}]
        lab.control.protections[self.guest.machine_id] = {
            "generation": 2,
            "direction": "reverse",
            "disks": disks,
            "processServer": {"address": "process-server-azure", "port": 9443, "token": "back"},
            "policy": POLICY,
            "group": None,
            "stop": False,
        }

    def bytes_to(self, name: str) -> int:
        return sum(flow.bytes_out for flow in self.lab.network.flows() if flow.destination == name and flow.port == 9443)


@pytest.fixture
def reverse(tmp_path: Path) -> Reverse:
    return Reverse(tmp_path)


def test_only_differences_come_back_and_the_bytes_are_equal(reverse: Reverse) -> None:
    assert reverse.lab.clock.wait_until(lambda: len(reverse.target.points) > 0, seconds=600)
    (point,) = reverse.target.points.values()
    assert point["db.azure-disk-0"] == reverse.guest.disk(0).read(0, 8 * MIB)
    assert 100_000 < reverse.bytes_to("master-target") < MIB  # RPR-015; zeros travel as a range


def test_writes_go_on_arriving_through_the_process_server_only(reverse: Reverse) -> None:
    reverse.lab.add_workload(reverse.guest, [0], rate=2, start=4 * MIB)
    reverse.lab.clock.wait(1500)
    assert len(reverse.target.points) >= 4
    reverse.guest.service("workload").stop()
    reverse.lab.clock.wait(30)
    assert bytes(reverse.target.disks["db.azure-disk-0"]) == reverse.guest.disk(0).read(0, 8 * MIB)
    to_target = {flow.source for flow in reverse.lab.network.flows() if flow.destination == "master-target"}
    assert to_target == {"process-server-azure"}  # NET-010
    beat = reverse.lab.control.beats["ps-azure"]["machines"][0]
    assert beat["uploadedSequence"] == beat["receivedSequence"] == reverse.target.position
    assert beat["lastTag"]["pointId"] in reverse.target.points


def test_without_a_private_path_nothing_comes_back(reverse: Reverse) -> None:
    reverse.lab.network.links.discard("vpn")
    reverse.lab.clock.wait(600)
    assert reverse.bytes_to("master-target") == 0  # NET-009
    reverse.lab.network.links.add("vpn")
    reverse.lab.clock.wait(300)
    assert reverse.target.points


def test_a_master_target_that_was_away_gets_everything(reverse: Reverse) -> None:
    reverse.lab.add_workload(reverse.guest, [0], rate=2, start=4 * MIB)
    reverse.lab.clock.wait(200)
    block = reverse.lab.network.block(destination="master-target")
    reverse.lab.clock.wait(900)
    assert "upload-blocked" in reverse.lab.control.beats["ps-azure"]["symptoms"]
    before = len(reverse.target.points)
    reverse.lab.network.unblock(block)
    reverse.lab.clock.wait(100)
    assert len(reverse.target.points) >= before + 2


def test_an_orderly_shutdown_brings_the_last_write(reverse: Reverse) -> None:
    reverse.lab.add_workload(reverse.guest, [0], rate=2, start=4 * MIB)
    reverse.lab.clock.wait(203)
    reverse.guest.shut_down()
    reverse.lab.clock.wait(10)
    last = list(reverse.target.points.values())[-1]
    assert last["db.azure-disk-0"] == reverse.guest.disk(0).device.read(0, 8 * MIB)
