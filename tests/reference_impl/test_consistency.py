"""Points that applications agree with, and clocks that are wrong: REP-002, REP-017, RPT-002, RPT-003."""

import stat
from pathlib import Path
from typing import Any

import pytest
from plane_lab import MIB, PlaneLab, bytes_of
from witness import epoch

from emulators.guest.machine import GuestMachine
from emulators.guest.quiescing import Scripts, script_file

MARKER = b"in memory only".ljust(512, b".")


@pytest.fixture
def lab(tmp_path: Path) -> PlaneLab:
    return PlaneLab(tmp_path)


def app_points(lab: PlaneLab, guest: GuestMachine) -> list[dict[str, Any]]:
    return [point for point in lab.points(guest) if point["type"] == "ApplicationConsistent"]


class Log:
    """Scripts that write down what they were called for and what the machine was doing."""

    def __init__(self, guest: GuestMachine, *, status: int = 0):
        self.calls: list[str] = []
        self._guest, self._status = guest, status
        guest.scripts = Scripts(self._before, self._after)

    def _before(self) -> int:
        self.calls.append("pre")
        return self._status

    def _after(self) -> int:
        self.calls.append("post")
        return 0


def test_what_is_in_memory_is_in_an_application_consistent_point_only(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: MIB})
    log = Log(guest)
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    guest.disk(0).write_cached(0, MARKER)
    crash = lab.wait_for_points(guest, 3)[-1]
    assert lab.promote(guest, crash["pointId"])[0][:512] == bytes(512)  # REP-002
    assert lab.clock.wait_until(lambda: bool(app_points(lab, guest)), seconds=4000)
    assert lab.promote(guest, app_points(lab, guest)[0]["pointId"])[0][:512] == MARKER
    assert log.calls == ["pre", "post"]


def test_power_loss_takes_what_is_in_memory_and_a_shutdown_writes_it(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: MIB})
    guest.disk(0).write_cached(0, MARKER)
    guest.power_off()
    assert guest.disk(0).read(0, 512) == bytes(512)
    guest.power_on()
    guest.disk(0).write_cached(0, MARKER)
    guest.shut_down()
    assert guest.disk(0).read(0, 512) == MARKER


def test_a_pre_script_that_fails_means_no_such_point_and_is_told(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: MIB})
    log = Log(guest, status=3)
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    lab.clock.wait(3700)
    assert log.calls == ["pre", "post"]  # the post script runs all the same
    assert not app_points(lab, guest)
    assert len(lab.points(guest)) >= 12  # the crash-consistent ones go on
    assert lab.control.beats[guest.machine_id]["symptoms"] == ["quiesce-failed"]
    Log(guest)
    lab.clock.wait(3700)
    assert len(app_points(lab, guest)) == 1
    assert lab.control.beats[guest.machine_id]["symptoms"] == []


def test_script_files_really_run(lab: PlaneLab, tmp_path: Path) -> None:
    guest = lab.add_machine("db", {0: MIB})
    script = tmp_path / "customscript.sh"
    script.write_text('#!/bin/sh\necho "$1 of $DRILLBED_MACHINE" >> ran\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    guest.scripts = Scripts(script_file(script, "pre", machine="db"), script_file(script, "post", machine="db"))
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    lab.clock.wait(3700)
    assert (tmp_path / "ran").read_text() == "pre of db\npost of db\n"
    assert len(app_points(lab, guest)) == 1
    script.unlink()
    lab.clock.wait(3700)
    assert len(app_points(lab, guest)) == 1
    assert lab.control.beats[guest.machine_id]["symptoms"] == ["quiesce-failed"]


class Database:
    """An application of Windows that is a writer of the shadow copy service: its last transaction lies in memory."""

    def __init__(self, guest: GuestMachine):
        self._guest, self.resting = guest, False

    def start(self) -> None:
        self._guest.disk(0).write_cached(0, MARKER)

    def stop(self) -> None:
        """It has nothing that runs."""

    kill = stop

    def freeze(self) -> None:
        self._guest.disk(0).write_cached(512, MARKER)
        self.resting = True

    def thaw(self) -> None:
        self.resting = False


def test_writers_of_the_shadow_copy_service_flush_and_rest(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: MIB}, os_type="WINDOWS")
    guest.install("database", lambda: Database(guest), application=True)
    lab.protect(guest)
    assert lab.clock.wait_until(lambda: bool(app_points(lab, guest)), seconds=4000)
    assert lab.promote(guest, app_points(lab, guest)[0]["pointId"])[0][:1024] == 2 * MARKER
    assert not guest.service("database").resting


@pytest.mark.parametrize("offset", [7200.0, 600.0])
def test_a_clock_that_jumps_holds_up_points_until_real_time_has_passed(lab: PlaneLab, offset: float) -> None:
    guest = lab.add_machine("db", {0: MIB})
    lab.add_workload(guest, [0], rate=0.1, interval=10.0)
    lab.protect(guest)
    lab.wait_for_points(guest, 2)
    guest.clock_offset = offset
    lab.clock.wait(330)
    claimed = lab.clock.now() + offset
    guest.clock_offset = 0.0
    known = len(lab.points(guest))
    lab.clock.wait(offset - 330)
    assert len(lab.points(guest)) == known  # REP-017
    assert all(epoch(point["time"]) <= lab.clock.now() for point in lab.points(guest))
    lab.clock.wait(claimed - lab.clock.now() + 700)
    assert len(lab.points(guest)) >= known + 2
    assert lab.end_of(guest) == bytes_of(guest)


def test_a_clock_that_is_a_little_wrong_stops_nothing(lab: PlaneLab) -> None:
    guest = lab.add_machine("db", {0: MIB})
    guest.clock_offset = 20.0
    lab.protect(guest)
    lab.wait_for_points(guest, 4, seconds=1300)
