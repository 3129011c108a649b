"""The replication of one machine in one generation, at the source: filter, stream, copy of the disks, points."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reference_impl.mobility_agent.copying import Copying, Progress
from reference_impl.mobility_agent.driver import loaded
from reference_impl.mobility_agent.shipping import Door, Shipping
from reference_impl.mobility_agent.stream import Stream
from reference_impl.mobility_agent.tags import Group, Tags
from reference_impl.outside import Clock, Guest, Host, Listener, Process, Task
from reference_impl.rules import Rules
from reference_impl.times import iso

COPY_AGAIN_SECONDS = 5.0


class Replication:
    """What an agent does for the settings it was given. `changed` is called when there is something new to keep."""

    def __init__(
        self,
        host: Host,
        guest: Guest,
        clock: Clock,
        folder: Path,
        rules: Rules,
        settings: dict[str, Any],
        *,
        journal_bytes: int,
        changed: Callable[[], None],
    ):
        self.guest, self.clock, self.rules, self.settings = guest, clock, rules, settings
        self._host, self._changed = host, changed
        self.disks = [
            Progress(index, str(disk["diskId"]), int(disk["unit"]), int(disk["sizeBytes"]))
            for index, disk in enumerate(settings["disks"])
        ]
        self._indexes = {disk.unit: disk.index for disk in self.disks}
        sizes = [disk.size for disk in self.disks]
        self.driver = loaded(guest)
        self.stream = Stream(folder, guest.machine_id, int(settings["generation"]), sizes, journal_bytes)
        self.shipping = Shipping(
            host, clock, self.stream, self.driver, _door(settings), self._lost, self._superseded, rules.ship_at_once
        )
        self.tags = Tags(host, clock, guest, rules, self.stream, self._tagged)
        self.resync_required = False
        self.resyncing = False
        self.catching_up = False  #: after a kill: to everybody else the disks are as complete as before
        self.tagged = False  #: there has been a point
        self._copying: Task | None = None
        self._timers: list[Task] = []
        self._listener: Listener | None = None

    # settings --------------------------------------------------------------------------------------------------------

    def attach(self) -> None:
        """Take what the filter in the machine's block devices sees."""
        self.adopt(self.settings)
        self.driver.sink = self.wrote

    def adopt(self, settings: dict[str, Any]) -> None:
        """Newer settings of the same generation: another process server, policy or group."""
        changed = self.settings["policy"] != settings["policy"]
        self.settings, self.shipping.door = settings, _door(settings)
        self.tags.group = Group.of(settings.get("group"))
        if self.tags.group is not None and self._listener is None:
            self._listener = self._host.listen(self.rules.group_port, self.tags.application())
        if self.tags.group is None and self._listener is not None:
            self._listener.close()
            self._listener = None
        if changed and self._timers:
            self._restart_timers()

    def detach(self) -> None:
        """Stop everything; what waits stays where it is."""
        if self.driver.sink == self.wrote:
            self.driver.sink = None
        self._cancel_copying()
        for timer in self._timers:
            timer.cancel()
        self.shipping.close()
        self.tags.close()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    # capture ---------------------------------------------------------------------------------------------------------

    def wrote(self, unit: int, offset: int, data: bytes, when: float) -> int:
        """One write of the guest, in order over all disks (REP-001, REP-002); its number, 0 when nothing is captured."""
        index = self._indexes.get(unit)
        if index is None or not (self.rules.track_during_copy or self.stream.coverage.complete):
            return 0
        if offset + len(data) > self.disks[index].size:  # CFG-012: the disk has grown, and the replica ends where it ended
            self.resync_required = True
            data = data[: max(0, self.disks[index].size - offset)]
            if not data:
                return 0
        number = self.stream.wrote(index, offset, data, when)
        if number:
            self.shipping.wrote()
        if self.stream.overflowed:
            self.resync_required = True
        return number

    def check_sizes(self) -> None:
        """REP-013, CFG-012: a disk that was resized has to be copied again."""
        sizes = {disk.unit: disk.size for disk in self.guest.disks()}
        if any(sizes.get(disk.unit) != disk.size for disk in self.disks):
            self.resync_required = True

    def _lost(self, position: int) -> None:
        """The process server has another history than we think: go on from what it has, with a declared gap."""
        self.driver.forget()
        self.stream.meet(position)
        self.stream.break_off(self.clock.now())
        self._declare()

    def _superseded(self) -> None:
        """Another agent with this machine's identity sends (CFG-020): what we send now would be a mixture of two histories."""
        self.driver.forget()
        self.stream.break_off(self.clock.now())
        self.stream.clear()
        self._declare()

    def _declare(self) -> None:
        """A resync is due, and no disk counts as exact until it has been."""
        self.resync_required = True
        for disk in self.disks:
            disk.exact_from = 0
        self._changed()

    # copying ---------------------------------------------------------------------------------------------------------

    def copy(self, *, resync: bool) -> None:
        """Initial copy, or REP-014: compare with the far side and send what differs.

        After a gap that the driver's map knows about, what it names is all that has to be read. One that is asked for without a
        gap compares everything.
        """
        self._cancel_copying()
        mapped = self.rules.send_only_differences and not self.stream.capturing
        self.resyncing, self.resync_required = resync, False
        self._copying = self.clock.spawn(self._run_copy(mapped), name="copy")
        self._changed()

    def _run_copy(self, mapped: bool) -> Process:
        while True:
            for disk in self.disks:
                disk.copied, disk.sent, disk.state, disk.digests, disk.exact_from = 0, 0, "Queued", None, 0
            if (yield from self._copy_of(self.disks, mapped=mapped).run()):
                break
            if self.resyncing:
                self.resync_required = True
                return
            self.resync_required, mapped = False, True
            yield COPY_AGAIN_SECONDS
        self._copying = None
        self.tags.regular("crash")
        self._restart_timers()
        self._changed()

    def _catch_up(self) -> Process:
        """After a kill of the agent: send what the driver saw and nobody captured (REP-013). No gap, so no resync."""
        if self.driver.generation != self.stream.generation:
            self._declare()  # the machine itself went down, or the filter was not there: anything may have been written
            return
        self.catching_up = True
        for disk in self.disks:
            disk.copied, disk.state, disk.digests = 0, "Queued", None
        whole = yield from self._copy_of(self.disks, mapped=True).run()
        for disk in self.disks:
            disk.copied, disk.state = disk.size, "Done"
        self.catching_up, self._copying = False, None
        if not whole:
            self._declare()
            return
        self.shipping.kick()
        self._restart_timers()
        self._changed()

    def _copy_of(self, disks: list[Progress], *, mapped: bool) -> Copying:
        return Copying(
            self.guest,
            self.stream,
            self.driver,
            self.shipping,
            self.rules,
            disks,
            self.shipping.kick,
            self._changed,
            self.clock.now,
            mapped,
        )

    def _cancel_copying(self) -> None:
        if self._copying is not None:
            self._copying.cancel()
            self._copying = None

    # points ----------------------------------------------------------------------------------------------------------

    def _tagged(self) -> None:
        self.tagged = True
        self.shipping.kick()

    def _restart_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        policy = self.settings["policy"]
        crash = float(policy.get("crashConsistentMinutes") or self.rules.crash_minutes) * 60
        self._timers = [self.clock.spawn(self.tags.crash_loop(crash), name="crash-consistent points")]
        app = float(policy.get("appConsistentMinutes") or 0) * 60
        if app > 0 and self.rules.app_points and self.tags.can_quiesce():
            self._timers.append(self.clock.spawn(self.tags.app_loop(app), name="application-consistent points"))

    def finish(self) -> bool:
        """The machine is shutting down and has written its last: a final tag, and everything out if there is a way.

        True when nothing is missing, so that capturing can go on after the next boot.
        """
        self._cancel_copying()
        self.tags.make("shutdown")
        self.shipping.flush()
        return not self.resync_required

    # restarting ------------------------------------------------------------------------------------------------------

    def kept(self) -> dict[str, Any]:
        """What has to be known after a restart."""
        return {
            "settings": self.settings,
            "copied": self._copied,
            "resyncRequired": self.resync_required,
            "resyncing": self.resyncing,
            "tagged": self.tagged,
            "exact": [disk.exact_from for disk in self.disks],
            "next": self.stream.next,
        }

    def take_up(self, kept: Mapping[str, Any], *, clean: bool) -> None:
        """Go on with what was kept. After an orderly shutdown nothing is missing; else the driver knows, or nobody (REP-013)."""
        self.tagged = bool(kept.get("tagged"))
        self.stream.next = int(kept.get("next", 1))
        self.stream.load()
        if not kept.get("copied"):
            self.copy(resync=bool(kept.get("resyncing")))
            return
        for disk, exact in zip(self.disks, kept["exact"], strict=True):
            disk.copied, disk.state, disk.exact_from = disk.size, "Done", int(exact)
        self.resync_required = bool(kept.get("resyncRequired"))
        if self.resync_required:
            self.shipping.kick()
        elif clean or not self.rules.resync_after_power_loss:
            sizes = {disk.unit: disk.size for disk in self.disks}
            self.driver.track(self.stream.generation, sizes, exact_at=self.stream.last)
            self.stream.go_on(())
            self._restart_timers()
            self.shipping.kick()
        else:
            self._copying = self.clock.spawn(self._catch_up(), name="catch up")

    # reporting -------------------------------------------------------------------------------------------------------

    @property
    def _copied(self) -> bool:
        return self.catching_up or (bool(self.disks) and all(disk.state == "Done" for disk in self.disks))

    def stage(self) -> str:
        """The word of the component protocol."""
        if not self._copied:
            return "resync" if self.resyncing else "initial-copy"
        last = self.tags.last
        arrived = last is not None and self.shipping.acknowledged >= last.sequence
        return "delta" if arrived or (self.tagged and last is None) else "waiting-first-point"

    def progress(self) -> dict[str, Any]:
        """The `protection` of a heartbeat."""
        waiting, last = self.stream.waiting_by_disk(), self.tags.last
        disks = [
            {
                "diskId": disk.disk_id,
                "copiedBytes": disk.size if self.catching_up else disk.copied,
                "sentBytes": disk.sent,
                "state": "Done" if self.catching_up else disk.state,
                "pendingAtSourceBytes": waiting.get(disk.index, 0) + disk.size - disk.copied,
            }
            for disk in self.disks
        ]
        return {
            "generation": self.stream.generation,
            "stage": self.stage(),
            "disks": disks,
            "ackSequence": self.shipping.acknowledged,
            "sequence": self.stream.last,
            "resyncRequired": self.resync_required,
            "lastTag": None if last is None else {"pointId": last.point_id, "time": iso(last.when), "sequence": last.sequence},
        }

    def symptoms(self) -> list[str]:
        """Facts for the service to judge."""
        seen = {
            "process-server-unreachable": self.shipping.unreachable,
            "group-unreachable": self.tags.unreachable,
            "quiesce-failed": self.tags.quiesce_failed,
            "journal-full": self.stream.cramped(),
            "another-agent": self.shipping.another,
        }
        return [name for name, holds in seen.items() if holds]


def _door(settings: Mapping[str, Any]) -> Door:
    server = settings["processServer"]
    return Door(str(server["address"]), int(server["port"]), str(server["token"]))
