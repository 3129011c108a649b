"""The result of one drill, as plain data. The drill fills it; `drill.json` and `report.html` are pure functions of it."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class StepResult:
    """One step of the drill. `real_s` and `emulated_s` are durations; `started` is emulated time, seconds since 1970."""

    name: str
    ok: bool
    real_s: float = 0.0
    emulated_s: float = 0.0
    bytes: int = 0
    detail: str = ""
    started: float = 0.0


@dataclass(frozen=True, slots=True)
class DiskCheck:
    """One comparison of a whole disk. `side` says where and when, e.g. `onprem`, `azure`, `test failover`, `onprem again`."""

    machine: str
    disk: str
    side: str
    sha256: str
    equal: bool


@dataclass(frozen=True, slots=True)
class FlowRow:
    """All traffic from one host to one documented port of another; `bytes` counts both ways."""

    source: str
    destination: str
    port: int
    bytes: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Point:
    """A recovery point of one machine at emulated time `when`. `shared` when its replication group has it in common."""

    machine: str
    when: float
    kind: str = "CrashConsistent"
    shared: bool = False


@dataclass(frozen=True, slots=True)
class RpoSample:
    """How far behind (seconds) the received data of a machine was at emulated time `when`."""

    machine: str
    when: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Something to show on the timeline: kind is `failover`, `test`, `commit`, `reprotect`, `failback`, `refused` or `note`."""

    when: float
    kind: str
    text: str
    machine: str = ""


@dataclass(frozen=True, slots=True)
class HostPlace:
    """A host of the topology and the zone it stands in (`onprem`, `azure-public`, `azure-vnet`, `operator`)."""

    name: str
    zone: str
    address: str = ""


@dataclass(slots=True)
class DrillResult:
    """Everything a drill found; `ok` only if all held. `started` and `ended` are emulated time, `real_s` is real seconds."""

    profile: str = "classic"
    seed: int = 0
    way: str = "embedded"
    ok: bool = False
    started: float = 0.0
    ended: float = 0.0
    real_s: float = 0.0
    steps: list[StepResult] = field(default_factory=list)
    disks: list[DiskCheck] = field(default_factory=list)
    flows: list[FlowRow] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    rpo: list[RpoSample] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    hosts: list[HostPlace] = field(default_factory=list)
    #: The estate's event log: emulated time, kind, subject, particulars. Two virtual runs of one seed have the same.
    events: list[tuple[float, str, str, dict[str, object]]] = field(default_factory=list)
    #: Further facts for the page, in the order to show them, e.g. `{"Peak memory": "412 MiB"}`.
    facts: dict[str, str] = field(default_factory=dict)


def verdict(result: DrillResult) -> bool:
    """Whether all held: at least one step, every step, and every comparison of a disk."""
    return bool(result.steps) and all(step.ok for step in result.steps) and all(disk.equal for disk in result.disks)
