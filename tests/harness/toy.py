"""A miniature disaster-recovery product in a miniature world, right by default; `wrong` names what it does wrong."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.product import (
    Accepted,
    Answer,
    Content,
    Description,
    Event,
    Flow,
    Machine,
    MachineSpec,
    PartialSession,
    RecoveryPoint,
    Refused,
    Setup,
    VirtualMachine,
    Written,
)

CAPABILITIES = frozenset(
    {"observe-flows", "observe-content", "multi-vm-consistency", "recovery-plans", "physical-servers", "observe-components"}
)
OPERATIONS = {
    "protected": {"failover", "test-failover", "unprotect"},
    "failed-over": {"commit", "change-recovery-point", "unprotect"},
    "committed": {"reprotect", "unprotect"},
}


@dataclass
class Box:
    """A machine with one small disk on each side."""

    spec: MachineSpec
    power: dict[str, str] = field(default_factory=lambda: {"onprem": "powered-on"})
    data: dict[str, list[bytearray]] = field(default_factory=dict)
    snapshots: int = 0
    extra_disks: int = 0
    state: str = "unprotected"
    ready_at: float = 0.0
    group: str | None = None
    points: list[tuple[RecoveryPoint, list[bytes]]] = field(default_factory=list)


class ToyWorld:
    def __init__(self, setup: Setup):
        self.time = 1_528_099_200.0
        self.boxes: dict[str, Box] = {"master-target": Box(MachineSpec("master-target"))}
        self.settings: dict[tuple[str, str], str] = {("master-target", "disk.EnableUUID"): "TRUE"}
        self.missing: set[str] = set()
        self.blocks: list[tuple[str | None, str | None, int | None]] = []
        self.links = {"internet", "vpn"}
        self.traffic: dict[tuple[str, str, int], Flow] = {}
        self.minutes: list = []

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        end = self.time + seconds
        while self.time < end:
            self.time = min(end, (self.time // 60 + 1) * 60)
            if self.time % 60 == 0:
                for due in self.minutes:
                    due()

    def add_machine(self, spec: MachineSpec) -> None:
        if spec.name not in self.boxes:
            box = self.boxes[spec.name] = Box(spec)
            box.data["onprem"] = [bytearray(spec.name.encode().ljust(4096, b".")) for _ in range(spec.disks)]

    def delete_machine(self, vm: str) -> None:
        del self.boxes[vm].power["onprem"]

    def machine(self, vm: str, side: str) -> VirtualMachine | None:
        box = self.boxes.get(vm)
        if box is None or side not in box.power:
            return None
        disks = len(box.data.get(side, [])) + (box.extra_disks if side == "onprem" else 0)
        return VirtualMachine(vm, box.power[side], disks, box.snapshots if side == "onprem" else 0, box.spec.kind)

    def power(self, vm: str, side: str, state: str) -> None:
        self.boxes[vm].power[side] = "powered-on" if state == "unreachable" else "powered-off" if state == "crashed" else state

    def write(self, vm: str, side: str, disk: int, size: int, pattern: str) -> Written:
        data = self.boxes[vm].data[side][disk]
        data[:] = hashlib.sha256(bytes(data) + pattern.encode()).digest() * 128
        return Written(0.0)

    def content(self, vm: str, side: str) -> tuple[Content, ...]:
        return _digests(self.boxes[vm].data.get(side, []))

    def take_snapshot(self, of: str) -> None:
        self.boxes[of].snapshots += 1

    def remove_snapshot(self, of: str) -> None:
        self.boxes[of].snapshots = 0

    def set(self, of: str, key: str, value: str) -> None:
        if value == "absent":
            self.settings.pop((of, key), None)
        else:
            self.settings[of, key] = value

    def absent(self, of: str) -> None:
        self.missing.add(of)

    def block(self, source: str | None, destination: str | None, port: int | None) -> None:
        self.blocks.append((source, destination, port))

    def unblock(self, source: str | None, destination: str | None, port: int | None) -> None:
        self.blocks.remove((source, destination, port))

    def link(self, name: str, up: bool) -> None:
        (self.links.add if up else self.links.discard)(name)

    def outage(self, of: str) -> None:
        self.blocks.append((None, of, None))

    def restore(self, of: str) -> None:
        self.blocks.remove((None, of, None))

    def skew_clock(self, of: str, seconds: float) -> None:
        self.settings[of, "clock"] = str(seconds)

    def flows(self) -> list[Flow]:
        return list(self.traffic.values())

    def send(self, source: str, destination: str, port: int, size: int = 100) -> bool:
        """Whether the traffic got through."""
        wanted = (source, destination, port)
        if any(all(a in (None, b) for a, b in zip(rule, wanted, strict=True)) for rule in self.blocks):
            return False
        old = self.traffic.get(wanted, Flow(*wanted, 0, first=self.time))
        self.traffic[wanted] = Flow(*wanted, old.bytes + size, first=old.first, last=self.time)
        return True


def _digests(disks: list) -> tuple[Content, ...]:
    return tuple(Content(hashlib.sha256(bytes(disk)).hexdigest(), len(disk)) for disk in disks)


class ToySession(PartialSession):
    def __init__(self, world: ToyWorld, wrong: frozenset[str]):
        self.world = world
        self.wrong = wrong
        self.history: list[Event] = []
        self.plans: dict[str, list[list[str]]] = {}
        self.armed = True
        world.minutes.append(self.each_minute)

    def mark(self, phase: str, step: str) -> None:
        self.armed = "at-when" not in self.wrong or phase in ("when", "then")

    def bad(self, name: str) -> bool:
        return self.armed and name in self.wrong

    # replication
    def each_minute(self) -> None:
        for name, box in list(self.world.boxes.items()):
            if box.state in ("copying", "reverse-copying") and self.world.time >= box.ready_at:
                box.state = "protected" if box.state == "copying" else "reprotected"
                self.point(name, box)
            elif box.state == "protected":
                self.world.send(name, "configuration-server", 443)
                port = 443 if self.bad("data-on-443") else 9443
                through = self.world.send(name, "process-server", port) and self.group_talks(name, box)
                if through and self.world.time % 300 == 0:
                    self.point(name, box)

    def group_talks(self, name: str, box: Box) -> bool:
        others = [other for other, peer in self.world.boxes.items() if box.group and peer.group == box.group and other != name]
        reached = [self.world.send(name, other, 20004) for other in others]
        return all(reached)

    def point(self, name: str, box: Box) -> None:
        side = "azure" if box.state == "reprotected" else "onprem"
        data = [bytes(disk) for disk in box.data[side]]
        box.points.append((RecoveryPoint(f"{name}-{len(box.points)}", self.world.time, shared=bool(box.group)), data))

    # acts
    def refusal(self, vm: str, states: tuple[str, ...], reason: str = "operation-not-allowed") -> Refused | None:
        if self.bad("refuse-everything"):
            return Refused("operation-not-allowed", "no")
        if self.bad("accept-everything"):
            return None
        return None if self.world.boxes[vm].state in states else Refused(reason)

    def protect(self, vm: str, group: str | None = None) -> Answer:
        if self.bad("answers-nonsense"):
            return None
        if self.bad("breaks"):
            raise RuntimeError("the driver broke")
        if self.bad("leaves"):
            raise SystemExit(0)
        if self.bad("never-copies"):
            self.world.boxes[vm].ready_at = float("inf")
        refusal = self.refusal(vm, ("unprotected", "failback-committed"), "already-protected")
        box = self.world.boxes[vm]
        if refusal is None:
            box.state, box.group = "copying", group
            box.ready_at = max(box.ready_at, self.world.time + 300)
        return refusal or Accepted()

    def failover(self, vm: str, to: str, kind: str, point: str = "latest", shut_down: bool = False) -> Answer:
        if kind == "planned" and not self.bad("planned-allowed"):
            if self.bad("refusal-leaves-a-mark"):
                self.world.boxes[vm].power["onprem"] = "powered-off"
            return Refused("failover-kind-unsupported", "there is no planned failover")
        refusal = self.refusal(vm, ("protected",) if to == "azure" else ("reprotected",))
        if refusal is not None or self.bad("say-yes-do-nothing"):
            return refusal or Accepted()
        box = self.world.boxes[vm]
        there, here = ("azure", "onprem") if to == "azure" else ("onprem", "azure")
        self.begin(vm, there)
        self.world.wait(60)
        self.finish(vm, there)
        source = box.points[0][1] if self.bad("oldest-data") else [bytes(disk) for disk in box.data[here]]
        box.data[there] = [bytearray(disk) for disk in source]
        box.power[there] = "powered-on"
        if shut_down or to == "onprem":
            box.power[here] = "powered-off"
        box.state = "failed-over" if to == "azure" else "failed-back"
        return Accepted()

    def begin(self, vm: str, side: str) -> None:
        self.history.append(Event(self.world.time, "starting", vm, side))

    def finish(self, vm: str, side: str) -> None:
        self.history.append(Event(self.world.time, "started", vm, side))

    def change_recovery_point(self, vm: str, point: str = "oldest") -> Answer:
        if self.bad("point-changeable-after-commit"):
            return Accepted()
        return self.refusal(vm, ("failed-over",), "already-committed") or Accepted()

    def commit(self, vm: str) -> Answer:
        refusal = self.refusal(vm, ("failed-over", "failed-back"))
        if refusal is None:
            box = self.world.boxes[vm]
            box.points = box.points[-1:] if self.bad("commit-keeps-latest") else []
            box.state = "committed" if box.state == "failed-over" else "failback-committed"
            if box.state == "failback-committed":
                box.power.pop("azure")
        return refusal or Accepted()

    def reprotect(self, vm: str) -> Answer:
        refusal = self.refusal(vm, ("committed",))
        uuid = self.world.settings.get(("master-target", "disk.EnableUUID"), "")
        box = self.world.boxes[vm]
        if refusal is not None:
            return refusal
        if self.world.boxes["master-target"].snapshots and not self.bad("snapshot-ignored"):
            return Refused("snapshot-present", "the master target has a snapshot")
        if box.snapshots:
            if "merges-snapshots" not in self.wrong and not self.bad("writes-under-snapshot"):
                return Refused("snapshot-present")
            box.snapshots = box.snapshots if self.bad("writes-under-snapshot") else 0
        if uuid.lower() != "true" and not self.bad("uuid-ignored"):
            if "adds-a-disk" not in self.wrong:
                return Refused("disk-uuid-disabled")
            box.extra_disks += 1
        box.power["onprem"] = "powered-off"
        box.state, box.ready_at = "reverse-copying", self.world.time + 600
        return Accepted()

    def create_plan(self, name: str, groups: list[list[str]], manual_action_before: int | None = None) -> Answer:
        self.plans[name] = groups
        return Accepted()

    def run_plan(self, name: str, to: str, kind: str) -> Answer:
        if self.bad("refuse-everything"):
            return Refused("operation-not-allowed", "no")
        groups = self.plans[name]
        if self.bad("groups-overlap"):
            groups = [[vm for group in groups for vm in group]]
        for group in groups:
            for vm in group:
                self.begin(vm, to)
                if self.bad("one-by-one"):
                    self.world.wait(60)
                    self.finish(vm, to)
            self.world.wait(60)
            for vm in group:
                self.world.boxes[vm].state = "failed-over"
                if not self.bad("one-by-one"):
                    self.finish(vm, to)
        return Accepted()

    # observation
    def machine(self, vm: str) -> Machine:
        box = self.world.boxes.get(vm)
        if box is None:
            return Machine(vm, "unprotected")
        if self.bad("unknown-state"):
            return Machine(vm, "quite-fine")
        blocked = {rule[2] for rule in self.world.blocks}
        sick = blocked & ({443, 9443} | ({20004} if box.group else set())) and not self.bad("always-healthy")
        operations = frozenset(OPERATIONS.get(box.state, {"unprotect"}))
        points = tuple(point for point, _ in box.points)
        return Machine(vm, box.state, "critical" if sick else "healthy", points, operations)

    def content(self, vm: str, point: str) -> tuple[Content, ...]:
        points = self.world.boxes[vm].points
        return _digests(points[0 if point == "oldest" else -1][1])

    def components(self, role: str) -> list[str]:
        return [role]

    def events(self) -> list[Event]:
        return self.history


@dataclass(frozen=True)
class Toy:
    """The product. `Toy("snapshot-ignored")` is wrong in one thing."""

    wrong: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    estates: int = 0

    def describe(self) -> Description:
        return Description(
            "toy", "1", claims=("core", "failback", "plans", "multi-vm"), capabilities=CAPABILITIES - self.without,
            world="python:toy:Worlds", estates=self.estates,
        )  # fmt: skip

    @contextmanager
    def open(self, world: ToyWorld, setup: Setup) -> Iterator[ToySession]:
        yield ToySession(world, self.wrong)
        if "breaks-at-close" in self.wrong:
            raise RuntimeError("cannot close")


class Worlds:
    @contextmanager
    def open(self, setup: Setup) -> Iterator[ToyWorld]:
        yield ToyWorld(setup)


def wrong(*names: str) -> Toy:
    return Toy(frozenset(names))


def planned_allowed() -> Toy:
    return wrong("planned-allowed")


def two_faults() -> Toy:
    return wrong("planned-allowed", "snapshot-ignored")


def single() -> Toy:
    return Toy(estates=1)


def blind() -> Toy:
    return Toy(without=CAPABILITIES)


def leaving() -> Toy:
    return wrong("leaves")


def breaking() -> Toy:
    return wrong("breaks")


def under_snapshot() -> Toy:
    return wrong("writes-under-snapshot")
