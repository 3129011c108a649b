"""What happens to the world: in `given`, in `but`, and while the product acts, in `when`."""

from typing import Literal

from harness.product import MachineSpec
from harness.run import Run
from harness.terms import Link
from harness.vocabulary.word import ANYWHERE_BUT_THEN, SETUP, Word

Side = Literal["onprem", "azure"]


def machine(
    run: Run,
    vm: str,
    os: Literal["windows", "linux"] = "windows",
    disks: int = 1,
    kind: Literal["virtual", "physical"] = "virtual",
    same_as: str = "",
) -> None:
    """A machine runs on premises, with small disks. `same_as` names one whose instance UUID it repeats. Words that need a
    machine make it by themselves; this one is for machines that are special or not protected."""
    run.world.add_machine(MachineSpec(vm, os, disks, kind, same_as))


def deleted(run: Run, vm: str) -> None:
    """The machine is deleted from the vCenter."""
    run.world.delete_machine(vm)


def snapshot(run: Run, of: str) -> None:
    """A snapshot is taken of a machine or of the master target."""
    run.world.take_snapshot(of)


def remove_snapshot(run: Run, of: str) -> None:
    """All snapshots of the machine are removed."""
    run.world.remove_snapshot(of)


def setting(run: Run, of: str, key: str, value: str) -> None:
    """A setting of a thing: a configuration parameter of a machine (`disk.EnableUUID`), `account` of a machine (`root`, `user`,
    `administrator`), `region` of `target-network` or `target-storage` (`elsewhere`). The value `absent` takes it away."""
    run.world.set(of, key, value)


def absent(run: Run, of: str) -> None:
    """The thing does not exist: `target-network`, `target-storage`, `process-server-azure`, `master-target`."""
    run.world.absent(of)


def power(run: Run, vm: str, is_: Literal["powered-on", "powered-off", "crashed", "unreachable"], side: Side = "onprem") -> None:
    """The machine's power. `crashed`: cut off without a shutdown. `unreachable`: it runs, nothing can talk to it."""
    run.world.power(vm, side, is_)


def disk_write(
    run: Run,
    vm: str,
    bytes_: int = 4096,
    disk: int = 0,
    side: Side = "onprem",
    pattern: str = "random",
) -> None:
    """The guest writes: `random` bytes, `zeros`, or a text repeated, each time to another place of the disk."""
    run.written.append(run.world.write(vm, side, disk, bytes_, pattern))


def instant(run: Run, name: str, vm: str, side: Side = "onprem") -> None:
    """Remembers the bytes of the machine's disks as they are now, for `data_equal`."""
    run.instants.setdefault(name, {})[(vm, side)] = run.world.content(vm, side)


def blocked(run: Run, port: int | None = None, from_: str | None = None, to: str | None = None) -> None:
    """A firewall drops the traffic that matches all that is given."""
    run.world.block(from_, to, port)


def unblocked(run: Run, port: int | None = None, from_: str | None = None, to: str | None = None) -> None:
    """The firewall rule with exactly these values is taken away."""
    run.world.unblock(from_, to, port)


def link(run: Run, name: Link, is_: Literal["up", "down"]) -> None:
    """A link between the site and Azure."""
    run.world.link(name, is_ == "up")


def outage(run: Run, of: str) -> None:
    """The machine or component does not answer, until `restored`."""
    run.world.outage(of)


def restored(run: Run, of: str) -> None:
    """Ends an outage."""
    run.world.restore(of)


def clock_skew(run: Run, of: str, minutes: float) -> None:
    """The clock of a host goes that much ahead."""
    run.world.skew_clock(of, minutes * 60)


def wait(run: Run, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
    """Time passes."""
    run.wait(seconds + 60 * minutes + 3600 * hours + 86400 * days)


WORDS = (
    Word("machine", ANYWHERE_BUT_THEN, machine, "{vm: web, os: linux}"),
    Word("deleted", ANYWHERE_BUT_THEN, deleted, "{vm: web}"),
    Word("snapshot", ANYWHERE_BUT_THEN, snapshot, "{of: master-target}"),
    Word("remove_snapshot", ANYWHERE_BUT_THEN, remove_snapshot, "{of: master-target}"),
    Word("setting", ANYWHERE_BUT_THEN, setting, "{of: master-target, key: disk.EnableUUID, value: absent}"),
    Word("absent", SETUP, absent, "{of: target-network}"),
    Word("power", ANYWHERE_BUT_THEN, power, "{vm: web, is: powered-off}"),
    Word("disk_write", ANYWHERE_BUT_THEN, disk_write, "{vm: web, bytes: 65536}"),
    Word("instant", ANYWHERE_BUT_THEN, instant, "{name: before, vm: web}"),
    Word("blocked", ANYWHERE_BUT_THEN, blocked, "{port: 9443}"),
    Word("unblocked", ANYWHERE_BUT_THEN, unblocked, "{port: 9443}"),
    Word("link", ANYWHERE_BUT_THEN, link, "{name: vpn, is: down}"),
    Word("outage", ANYWHERE_BUT_THEN, outage, "{of: vcenter}"),
    Word("restored", ANYWHERE_BUT_THEN, restored, "{of: vcenter}"),
    Word("clock_skew", ANYWHERE_BUT_THEN, clock_skew, "{of: configuration-server, minutes: 20}"),
    Word("wait", ANYWHERE_BUT_THEN, wait, "{minutes: 15}"),
)
