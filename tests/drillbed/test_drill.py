"""The main job from outside: the whole drill, in both ways, and what it says when something is wrong."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from drillbed.drill import Options, forward, run, run_drill
from drillbed.drill.course import Course
from drillbed.drill.run import STEPS
from drillbed.report import Progress, write_reports
from drillbed.report.result import DrillResult
from drillbed.vault import REVERSE, Vault
from emulators.network import Block

#: The documented ports, and from whom to whom (NET-001 to NET-010). Nothing else may flow.
DOCUMENTED = {
    ("operator", "management", 443),
    ("operator", "login", 443),
    ("operator", "vcenter", 443),
    ("configuration-server", "site-recovery", 443),
    ("configuration-server", "vcenter", 443),
    ("replica-worker", "site-recovery", 443),
    ("replica-worker", "storage", 443),
    ("compute", "storage", 443),
    ("process-server", "storage", 443),
    ("process-server", "configuration-server", 443),
    ("process-server-azure", "configuration-server", 443),
    ("process-server-azure", "master-target", 9443),
    ("master-target", "configuration-server", 443),
    *(("configuration-server", machine, 135) for machine in ("web", "app", "db")),
    *((machine, "configuration-server", 443) for machine in ("web", "app", "db", "web.azure", "app.azure", "db.azure")),
    *((machine, "process-server", 9443) for machine in ("web", "app", "db")),
    *((f"{machine}.azure", "process-server-azure", 9443) for machine in ("web", "app", "db")),
    *(
        (one, other, 20004)
        for side in ("", ".azure")
        for one, other in ((f"app{side}", f"db{side}"), (f"db{side}", f"app{side}"))
    ),
}

Drill = Callable[..., DrillResult]


@pytest.fixture
def drill(tmp_path: Path) -> Drill:
    """Run a drill with a small real input; a second one gets folders of its own."""
    image = tmp_path / "given.img"
    image.write_bytes(Random(3).randbytes(3 << 20) + bytes(2 << 20))
    runs: list[int] = []

    def run(way: str = "virtual", seed: int = 5, blocks: tuple[Block, ...] = (), profile: str = "classic") -> DrillResult:
        runs.append(seed)
        folder = tmp_path / f"run-{len(runs)}"
        options = Options(folder, image, seed, profile, way, blocks)
        result = run_drill(options, Progress(quiet=True), folder)
        write_reports(result, folder)
        return result

    return run


def failure(result: DrillResult) -> str:
    return f"{result.steps[-1].name}: {result.steps[-1].detail}"


def outcome(result: DrillResult) -> tuple[object, ...]:
    """What must not depend on the way: steps and verdicts, disks compared, who talked to whom on which port."""
    steps = [(step.name, step.ok) for step in result.steps]
    disks = sorted((disk.machine, disk.disk, disk.side.partition(" to ")[0], disk.equal) for disk in result.disks)
    # Which member of a group leads on 20004 follows from random ids; whether the five minutes of a shared point end while the
    # machines are on their way home follows from how long the copy took.
    flows = {(flow.source, flow.destination, flow.port, flow.tls) for flow in result.flows if flow.port != 20004}
    groups = {
        (frozenset((flow.source, flow.destination)), flow.tls)
        for flow in result.flows
        if flow.port == 20004 and ".azure" not in flow.source
    }
    return steps, disks, flows, groups


def test_the_drill_holds_in_virtual_time_and_over_sockets_with_the_same_outcome(drill: Drill) -> None:
    virtual, embedded = drill("virtual"), drill("embedded")
    assert virtual.ok, failure(virtual)
    assert embedded.ok, failure(embedded)
    for one, other in zip(outcome(virtual), outcome(embedded), strict=True):
        assert one == other
    assert [step.name for step in virtual.steps] == [name for name, _ in STEPS]


def test_the_modernized_drill_holds(drill: Drill) -> None:
    result = drill(profile="modernized")
    assert result.ok, failure(result)
    assert len(result.disks) >= 40
    assert all(disk.equal for disk in result.disks)


def test_one_seed_gives_one_event_log(drill: Drill) -> None:
    one, two = drill(seed=8), drill(seed=8)
    assert one.events
    assert one.events == two.events
    assert drill(seed=9).events != one.events


def test_traffic_keeps_to_the_documented_ports_and_is_encrypted(drill: Drill, tmp_path: Path) -> None:
    result = drill()
    assert result.ok, failure(result)
    assert {(flow.source, flow.destination, flow.port) for flow in result.flows} <= DOCUMENTED
    assert all(flow.tls for flow in result.flows)


def test_the_result_is_written_as_promised(drill: Drill, tmp_path: Path) -> None:
    result = drill()
    written = json.loads((tmp_path / "run-1" / "drill.json").read_text())
    assert {"ok", "profile", "seed", "steps", "disks", "flows"} <= set(written)
    assert (written["ok"], written["profile"], written["seed"]) == (True, "classic", 5)
    assert all({"name", "ok", "real_s", "emulated_s", "bytes", "detail"} <= set(step) for step in written["steps"])
    assert all({"machine", "disk", "side", "sha256", "equal"} <= set(disk) for disk in written["disks"])
    assert all({"from", "to", "port", "bytes", "tls"} <= set(flow) for flow in written["flows"])
    assert len(written["disks"]) == len(result.disks) >= 40
    page = (tmp_path / "run-1" / "report.html").read_text()
    assert "<svg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("block", "step", "says"),
    [
        (Block(port=443), "Register what stands on premises", "port 443 from .* is blocked"),
        (
            Block("configuration-server", "site-recovery", 443),
            "Register what stands on premises",
            "port 443 from configuration-server",
        ),
        (Block(destination="configuration-server", port=443), "Register what stands on premises", "port 443 .* is blocked"),
        (Block("configuration-server", "vcenter", 443), "Discover the vCenter", "vcenter"),
        (Block(port=135), "Protect: agents and first copy", "port 135"),
        (Block(port=9443), "Protect: agents and first copy", "port 9443 from .* to process-server is blocked"),
        (Block("process-server", "storage", 443), "Protect: agents and first copy", "port 443 from process-server to storage"),
        (Block(port=20004), "Replicate changes", "20004"),
        (Block(destination="process-server-azure", port=9443), "Reprotect, differences only", "port 9443"),
        (Block(destination="master-target", port=9443), "Reprotect, differences only", "port 9443"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else f"{value.source or ''}-{value.destination or ''}-{value.port}",
)
def test_a_blocked_port_fails_the_right_step_and_says_why(drill: Drill, block: Block, step: str, says: str) -> None:
    result = drill(blocks=(block,))
    assert not result.ok
    assert result.steps[-1].name == step, failure(result)
    assert re.search(says, result.steps[-1].detail), failure(result)


def flip(disk: Any) -> None:
    """Change one byte of a disk where nobody writes, behind the back of everybody."""
    offset = disk.size - 4096
    disk.write(offset, bytes(byte ^ 1 for byte in disk.read(offset, 512)))


def left_on_premises(course: Course) -> Any:
    return course.estate.onprem_disks("web")[0]


def left_in_azure(course: Course) -> Any:
    return course.estate.azure_disks("web")[0]


@pytest.mark.parametrize(
    ("after", "damaged", "step", "side"),
    [
        ("Fail over by recovery plan", left_on_premises, "Compare every disk in Azure", "onprem, shut down"),
        ("Fail back", left_in_azure, "Fail back", "azure, shut down"),
    ],
)
def test_a_byte_that_changed_on_a_disk_left_behind_is_seen(
    drill: Drill, monkeypatch: pytest.MonkeyPatch, after: str, damaged: Callable[[Course], Any], step: str, side: str
) -> None:
    """The sides are judged by the machine's own history: a disk is never compared with itself."""
    plain = Vault.run_plan

    def spoiled(vault: Vault, *arguments: Any, **named: Any) -> Any:
        job = plain(vault, *arguments, **named)
        if after == "Fail back" and named.get("direction") == REVERSE:
            flip(damaged(courses[0]))
        return job

    def resumed(vault: Vault, *arguments: Any, **named: Any) -> Any:
        job = resume(vault, *arguments, **named)
        if after != "Fail back":
            flip(damaged(courses[0]))
        return job

    courses: list[Course] = []
    register, resume = forward.register, Vault.resume

    def registered(course: Course) -> str:
        courses.append(course)
        return register(course)

    monkeypatch.setattr(Vault, "run_plan", spoiled)
    monkeypatch.setattr(Vault, "resume", resumed)
    monkeypatch.setattr(run, "STEPS", ((run.STEPS[0][0], registered), *run.STEPS[1:]))
    result = drill()
    assert not result.ok
    assert result.steps[-1].name == step, failure(result)
    assert side in result.steps[-1].detail
    assert [(disk.machine, disk.disk) for disk in result.disks if not disk.equal] == [("web", "disk 0")]
