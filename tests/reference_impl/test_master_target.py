"""The master target from outside: a configuration server that gives settings, a process server that sends segments."""

import uuid
from pathlib import Path
from typing import Any

import pytest
import xxhash

from emulators.clock import Clock, iso
from emulators.guest.devices import MemoryDevice
from emulators.guest.machine import GuestMachine
from emulators.http.inprocess import InProcess
from emulators.network import AZURE_VNET, ONPREM, Network
from reference_impl import records
from reference_impl.master_target import MasterTarget
from reference_impl.records import Record, Segment
from reference_impl.rules import Rules
from reference_impl.wire import Client, Refusal, Refused, Route, WireApp, parse

MACHINE = str(uuid.UUID(int=7))
TARGET = str(uuid.UUID(int=8))
DISKS = [str(uuid.UUID(int=21)), str(uuid.UUID(int=22))]
SIZE = 1 << 20
VOLUME = {"volumeName": "R", "capacityInBytes": 8 << 20, "freeSpaceInBytes": 8 << 20, "thresholdPercentage": 25}
UNFIT = [
    VOLUME | {"volumeName": "F", "fileSystem": "FAT32"},
    VOLUME | {"volumeName": "Z", "capacityInBytes": 0},
    VOLUME | {"volumeName": "L", "locked": True},
]
TOKEN = "token-of-the-machine"


class FakeControl:
    """A configuration server that accepts one master target and says what `machines` says."""

    def __init__(self) -> None:
        self.machines: list[dict[str, Any]] = []
        self.registrations: list[dict[str, Any]] = []
        self.last: dict[str, Any] = {}
        self.known = True
        routes = [Route("POST", "/register", self._register, public=True), Route("POST", "/heartbeat/{id}", self._heartbeat)]
        self.app = WireApp(routes, lambda request: request.token)

    def _register(self, request: Any) -> dict[str, Any]:
        self.registrations.append(request.json())
        return {"id": "mt", "token": "control-token", "heartbeatSeconds": 30}

    def _heartbeat(self, request: Any) -> dict[str, Any]:
        if not self.known:
            raise Refusal(401, "Unauthorized", "never seen")
        self.last = request.json()
        return {"machines": self.machines}

    def report(self) -> dict[str, Any]:
        return self.last["machines"][0]


class Lab:
    """A master target with two attached disks, its configuration server and a process server in Azure."""

    def __init__(self, folder: Path, rules: Rules | None = None):
        self.folder, self.rules = folder, rules or Rules()
        self.clock = Clock()
        self.network = Network(self.clock, InProcess(), links=("vpn",))
        self.host = self.network.host("master-target", ONPREM)
        self.control = FakeControl()
        self.network.host("configuration-server", ONPREM).listen(443, self.control.app)
        self.sender = self.network.host("process-server-azure", AZURE_VNET)
        self.guest = GuestMachine(self.clock, TARGET, "mt", "WINDOWS", show_serials=True)
        self.devices = [MemoryDevice(SIZE), MemoryDevice(SIZE)]
        for unit, device in enumerate(self.devices, 1):
            self.guest.add_disk(unit, device, DISKS[unit - 1].upper())
        self.guest.power_on()
        self.target = self.start()

    def start(self) -> MasterTarget:
        target = MasterTarget(
            self.host,
            self.guest,
            self.clock.scope("master-target"),
            self.folder,
            configuration_server_url="https://configuration-server",
            passphrase="secret",
            name="mt",
            os_type="WINDOWS",
            retention_volumes=[VOLUME, *UNFIT],
            rules=self.rules,
        )
        target.start()
        return target

    def restart(self) -> None:
        self.target.kill()
        self.target = self.start()

    def settle(self, **more: Any) -> None:
        """Give the machine's settings and let a heartbeat bring them."""
        disks = [{"diskId": disk, "serial": disk, "sizeBytes": SIZE} for disk in DISKS]
        known = {"machineId": MACHINE, "generation": 3, "psToken": TOKEN, "disks": disks, "retentionVolume": "R", "dataKey": ""}
        self.control.machines = [known | more]
        self.clock.wait(61)

    def client(self, token: str = TOKEN) -> Client:
        return Client(self.sender, "https://master-target:9443", token)

    def send(self, first: int, *entries: Record, generation: int = 3) -> int:
        raw = records.encode(Segment(MACHINE, generation, first, entries))
        reply = self.client().send("POST", f"/machines/{MACHINE}/generations/{generation}/segments", raw)
        if reply.status != 200:
            said = parse(reply)
            raise Refused(reply.status, said["error"]["code"], "", said, reply.headers)
        return int(parse(reply)["ackSequence"])

    def copied(self) -> int:
        """Send an initial copy: one block on each disk; returns the last sequence."""
        now = self.clock.now()
        self.send(1, records.sync_begin(0, SIZE, now), records.sync_begin(1, SIZE, now))
        self.send(3, records.copy(0, 0, b"a" * 65536, now), records.copy(1, 65536, b"b" * 65536, now))
        return self.send(5, records.sync_end(0, SIZE, now), records.sync_end(1, SIZE, now))

    def tag(self, first: int, name: str) -> int:
        return self.send(first, records.tag(name, "crash", self.clock.now()))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_registers_and_says_which_disks_it_sees(lab: Lab) -> None:
    lab.clock.wait(31)
    [said] = lab.control.registrations
    assert said["role"] == "master-target"
    assert said["machineId"] == TARGET
    assert said["retentionVolumes"] == [VOLUME], "RPR-014: no FAT, no empty and no locked volume"
    assert [serial.lower() for serial in lab.control.last["diskSerials"]] == DISKS


def test_without_serials_it_sees_no_disk_and_writes_nothing(lab: Lab) -> None:
    lab.guest.show_serials = False
    lab.settle()
    lab.copied()
    lab.clock.wait(60)
    assert lab.control.last["diskSerials"] == []
    assert lab.control.last["symptoms"] == ["disk-missing"]
    assert lab.devices[0].read(0, SIZE) == bytes(SIZE)
    lab.guest.show_serials = True
    lab.clock.wait(60)
    assert lab.control.last["symptoms"] == []
    assert lab.devices[0].read(0, 65536) == b"a" * 65536


def test_a_copy_is_applied_at_once_and_what_follows_at_tags(lab: Lab) -> None:
    lab.settle()
    assert lab.copied() == 6
    lab.clock.wait(31)
    assert lab.devices[0].read(0, 65536) == b"a" * 65536
    assert lab.devices[1].read(65536, 65536) == b"b" * 65536
    assert lab.control.report()["syncDone"] is True
    assert lab.control.report()["lastTag"] is None
    lab.send(7, records.write(0, 512, b"w" * 512, lab.clock.now()))
    lab.clock.wait(31)
    assert lab.devices[0].read(512, 512) == b"a" * 512, "written beyond the last recovery point"
    when = lab.clock.now()
    lab.tag(8, "point-1")
    lab.clock.wait(31)
    assert lab.devices[0].read(512, 512) == b"w" * 512
    assert lab.control.report()["lastTag"] == {"pointId": "point-1", "time": iso(when), "sequence": 8, "kind": "crash"}
    assert lab.control.report()["appliedSequence"] == 8


def test_disks_are_written_up_to_the_tag_and_not_beyond(lab: Lab) -> None:
    lab.settle()
    lab.copied()
    now = lab.clock.now()
    lab.send(7, records.zero(0, 0, 512, now), records.tag("p", "crash", now), records.write(0, 0, b"x" * 512, now))
    lab.clock.wait(31)
    assert lab.devices[0].read(0, 512) == bytes(512)
    report = lab.control.report()
    assert (report["appliedSequence"], report["receivedSequence"]) == (8, 9)


@pytest.mark.parametrize("word", ["settle", "release"])
def test_settling_applies_the_rest(lab: Lab, word: str) -> None:
    lab.settle()
    lab.copied()
    lab.send(7, records.write(1, 0, b"y" * 512, lab.clock.now()))
    lab.clock.wait(31)
    assert lab.devices[1].read(0, 512) == bytes(512)
    assert lab.control.report()["released"] is False
    lab.settle(**{word: True})
    assert lab.devices[1].read(0, 512) == b"y" * 512
    assert lab.control.report()["appliedSequence"] == 7
    assert lab.control.report()["released"] is (word == "release")


def test_sequence_rules(lab: Lab) -> None:
    lab.settle()
    assert lab.copied() == 6
    assert lab.copied() == 6, "what came before is acknowledged again"
    with pytest.raises(Refused) as gap:
        lab.tag(8, "too-early")
    assert (gap.value.status, gap.value.code, gap.value.body["ackSequence"]) == (409, "SequenceGap", 6)
    assert lab.client().call("GET", f"/machines/{MACHINE}/generations/3/position") == {"ackSequence": 6}


def test_only_the_owner_of_the_token_gets_in(lab: Lab) -> None:
    lab.settle()
    path = f"/machines/{MACHINE}/generations/3/position"
    for token, machine, generation, status in (
        ("", MACHINE, 3, 401),
        ("other", MACHINE, 3, 401),
        (TOKEN, TARGET, 3, 403),
        (TOKEN, MACHINE, 2, 404),
    ):
        with pytest.raises(Refused) as refusal:
            lab.client(token).call("GET", f"/machines/{machine}/generations/{generation}/position")
        assert refusal.value.status == status
    assert lab.client().call("GET", path) == {"ackSequence": 0}


def test_damaged_segments_are_refused(lab: Lab) -> None:
    lab.settle()
    now = lab.clock.now()
    good = records.encode(Segment(MACHINE, 3, 1, [records.write(0, 0, b"z" * 512, now)]))
    for raw in (
        good[:-1],
        good[:-1] + b"!",
        b"rubbish" * 20,
        records.encode(Segment(TARGET, 3, 1, [records.write(0, 0, b"z", now)])),
        records.encode(Segment(MACHINE, 3, 1, [records.write(2, 0, b"z", now)])),
        records.encode(Segment(MACHINE, 3, 1, [records.write(0, SIZE, b"z", now)])),
    ):
        reply = lab.client().send("POST", f"/machines/{MACHINE}/generations/3/segments", raw)
        assert reply.status == 400
        assert parse(reply)["error"]["code"] == "DamagedSegment"
    assert lab.client().send("POST", f"/machines/{MACHINE}/generations/3/segments", good).status == 200


def test_a_full_retention_volume_makes_the_sender_wait(lab: Lab) -> None:
    lab.settle()
    last = lab.copied()
    now, block = lab.clock.now(), bytes(range(256)) * 4096
    for number in range(7):
        last = lab.send(last + 1, records.write(0, 0, block, now + number))
    with pytest.raises(Refused) as full:
        lab.send(last + 1, records.write(0, 0, block, now))
    assert (full.value.status, full.value.headers["retry-after"]) == (507, "10")
    lab.tag(last + 1, "makes room")
    lab.clock.wait(5)
    assert lab.send(last + 2, records.write(0, 0, block, now)) == last + 2


def test_what_was_acknowledged_survives_a_kill(lab: Lab) -> None:
    lab.settle()
    lab.copied()
    lab.clock.wait(31)
    lab.send(7, records.write(0, 0, b"k" * 512, lab.clock.now()))
    lab.restart()
    assert lab.client().call("GET", f"/machines/{MACHINE}/generations/3/position") == {"ackSequence": 7}
    lab.tag(8, "after")
    lab.clock.wait(31)
    assert lab.devices[0].read(0, 512) == b"k" * 512
    assert lab.control.report()["lastTag"]["pointId"] == "after"
    assert lab.control.report()["syncDone"] is True


def test_a_half_written_segment_is_forgotten(lab: Lab) -> None:
    lab.settle()
    lab.copied()
    lab.send(7, records.write(0, 0, b"k" * 512, lab.clock.now()))
    [kept] = [path for path in lab.folder.rglob("*.segment") if path.name.startswith(f"{7:020d}")]
    lab.target.kill()
    kept.write_bytes(kept.read_bytes()[:-3])
    lab.target = lab.start()
    assert lab.client().call("GET", f"/machines/{MACHINE}/generations/3/position") == {"ackSequence": 6}


def test_checksums_are_those_of_the_disk_once_all_is_applied(lab: Lab) -> None:
    lab.settle()
    last = lab.copied()
    path = f"/machines/{MACHINE}/generations/3/disks/{DISKS[0]}/checksums?sequence={last}"
    assert lab.client().send("GET", path).status == 202
    lab.clock.wait(5)
    assert lab.client().send("GET", path).status == 202, "computed from when everything is applied"
    lab.clock.wait(5)
    reply = lab.client().send("GET", path)
    disk = lab.devices[0].read(0, SIZE)
    assert reply.status == 200
    assert reply.body == b"".join(xxhash.xxh3_128_digest(disk[at : at + 65536]) for at in range(0, SIZE, 65536))
    later = lab.client().send("GET", path.replace(f"={last}", f"={last + 1}"))
    assert later.status == 202, "checksums older than what is asked for"
    other = f"/machines/{MACHINE}/generations/3/disks/{MACHINE}/checksums"
    assert lab.client().send("GET", other).status == 404


@pytest.mark.parametrize("word", ["commit", "forget", None])
def test_retention_is_deleted_at_the_end(lab: Lab, word: str | None) -> None:
    lab.settle()
    lab.copied()
    lab.send(7, records.write(0, 0, b"k" * 512, lab.clock.now()))
    assert list(lab.folder.rglob("*.segment"))
    if word is None:
        lab.control.machines = []
        lab.clock.wait(61)
    else:
        lab.settle(**{word: True})
    assert lab.control.last["machines"] == []
    assert not list(lab.folder.rglob("*.segment"))
    assert lab.client().send("GET", f"/machines/{MACHINE}/generations/3/position").status == 401


def test_a_new_generation_starts_from_nothing(lab: Lab) -> None:
    lab.settle()
    lab.copied()
    lab.clock.wait(31)
    lab.settle(generation=4, psToken="next")
    client = lab.client("next")
    assert client.call("GET", f"/machines/{MACHINE}/generations/4/position") == {"ackSequence": 0}
    assert lab.control.report()["syncDone"] is False


def test_a_mutant_that_writes_beyond_tags_is_seen(tmp_path: Path) -> None:
    lab = Lab(tmp_path, Rules(apply_up_to_tags=False))
    lab.settle()
    lab.copied()
    lab.send(7, records.write(0, 0, b"k" * 512, lab.clock.now()))
    lab.clock.wait(1)
    assert lab.devices[0].read(0, 512) == b"k" * 512


def test_registers_again_when_it_is_no_longer_known(lab: Lab) -> None:
    lab.clock.wait(31)
    assert len(lab.control.registrations) == 1
    lab.control.known = False
    lab.clock.wait(50)
    assert len(lab.control.registrations) >= 2
