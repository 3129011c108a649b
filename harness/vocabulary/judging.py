"""What the harness judges in `then` and `otherwise`: the answer, the machine, its disks. Each judgement says what it saw."""

from typing import Literal

from harness.product import Accepted, Machine, Refused, Unsupported, VirtualMachine
from harness.run import Judgement, Run, Seen, UnsupportedError, show
from harness.terms import Health, Operation, Reason, State
from harness.vocabulary.surroundings import Side
from harness.vocabulary.word import THEN, Word


def accepted(run: Run) -> Judgement:
    """The last act was accepted and its job succeeded, or waits for a person."""
    _supported(run)
    return Judgement(isinstance(run.answer, Accepted), show(run.answer))


def refused(run: Run, because: Reason) -> Judgement:
    """The last act was refused, or its job failed, for this reason."""
    _supported(run)
    answer = run.answer
    return Judgement(isinstance(answer, Refused) and answer.reason == because, show(answer))


def waiting(run: Run) -> Judgement:
    """The last act was accepted and now waits for a person."""
    _supported(run)
    return Judgement(isinstance(run.answer, Accepted) and run.answer.waiting, show(run.answer))


def _supported(run: Run) -> None:
    if isinstance(run.answer, Unsupported):
        raise UnsupportedError(run.answer.what)


def state(run: Run, vm: str, is_: State) -> Judgement:
    """The machine is in this state of protection."""
    seen = run.machine(vm).state
    return Judgement(seen == is_, f"{vm} is {seen}")


def health(run: Run, vm: str, is_: Health, because: Reason | None = None) -> Judgement:
    """The machine's replication health, and that this reason is shown with it."""
    seen = run.machine(vm)
    named = because is None or because in seen.problems
    return Judgement(seen.health == is_ and named, f"{vm} is {seen.health}{_list(sorted(seen.problems), ' because of ')}")


def operations(run: Run, vm: str, exactly: list[Operation]) -> Judgement:
    """The product offers exactly these operations for the machine."""
    seen = run.machine(vm).operations
    return Judgement(seen == frozenset(exactly), f"offered: {', '.join(sorted(seen)) or 'nothing'}")


def resync(run: Run, vm: str, required: bool) -> Judgement:
    """The machine is (or is not) marked for resynchronisation."""
    seen = run.machine(vm).resync_required
    return Judgement(seen == required, f"resynchronisation of {vm} is {'' if seen else 'not '}required")


def recovery_points(
    run: Run,
    vm: str,
    count: int | None = None,
    at_least: int | None = None,
    at_most: int | None = None,
    kind: Literal["crash-consistent", "app-consistent"] | None = None,
    shared: bool | None = None,
    newer_than_minutes: float | None = None,
) -> Judgement:
    """How many recovery points the machine has; of one kind, shared with its group or not, newer than so many minutes."""
    points = [
        point
        for point in run.machine(vm).points
        if (kind is None or point.kind == kind)
        and (shared is None or point.shared == shared)
        and (newer_than_minutes is None or point.time > run.world.now() - newer_than_minutes * 60)
    ]
    number = len(points)
    holds = (count is None or number == count) and _between(number, at_least, at_most)
    return Judgement(holds, f"{vm} has {number} such recovery points")


def rpo(run: Run, vm: str, at_most_minutes: float | None = None, at_least_minutes: float | None = None) -> Judgement:
    """The recovery point objective that the product reports: age of the newest data received."""
    seen = run.machine(vm).rpo_seconds
    if seen is None:
        return Judgement(False, f"no RPO is reported for {vm}")
    return Judgement(_between(seen / 60, at_least_minutes, at_most_minutes), f"the RPO of {vm} is {seen / 60:.1f} minutes")


def _between(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def unchanged(run: Run, vm: str) -> Judgement:
    """The machine is as it was before `when`: state, operations, recovery points, and on either side its power, disks, snapshots,
    and bytes where it is off. New recovery points do not count as a change."""
    changes = _changes(run.before[vm], run.look(vm))
    return Judgement(not changes, f"{vm}: {'; '.join(changes) or 'as before'}")


def _changes(before: Seen, after: Seen) -> list[str]:
    changes = _machine_changes(before.machine, after.machine)
    for side in before.sides:
        if before.sides[side] != after.sides[side]:
            changes.append(f"{side} was {_shown(before.sides[side])} and is {_shown(after.sides[side])}")
    for side in before.contents.keys() & after.contents.keys():
        if before.contents[side] != after.contents[side]:
            changes.append(f"bytes of its disks {side} changed")
    return changes


def _machine_changes(before: Machine, after: Machine) -> list[str]:
    changes = []
    for what in ("state", "operations"):
        if getattr(before, what) != getattr(after, what):
            changes.append(f"{what} was {_plain(getattr(before, what))} and is {_plain(getattr(after, what))}")
    lost = {point.id for point in before.points} - {point.id for point in after.points}
    if lost:
        changes.append(f"{len(lost)} recovery points are gone")
    return changes


def _plain(value: object) -> str:
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else str(value)


def _shown(machine: VirtualMachine | None) -> str:
    if machine is None:
        return "not there"
    return f"{machine.power}, {machine.disks} disks, {machine.snapshots} snapshots"


def vm(
    run: Run,
    vm: str,
    side: Side,
    exists: bool = True,
    power: Literal["powered-on", "powered-off"] | None = None,
    kind: Literal["virtual", "physical"] | None = None,
    size: str | None = None,
    disks: int | None = None,
) -> Judgement:
    """The machine as vCenter or Azure shows it: whether it exists, its power, its kind, size and number of disks."""
    found = run.world.machine(vm, side)
    if found is None:
        return Judgement(not exists, f"{vm} does not exist {side}")
    wanted = {"power": power, "kind": kind, "size": size, "disks": disks}
    wrong = {name: getattr(found, name) for name, value in wanted.items() if value is not None and getattr(found, name) != value}
    detail = ", ".join(f"{name} is {value}" for name, value in wrong.items()) or found.power
    return Judgement(exists and not wrong, f"{vm} exists {side}: {detail}")


def snapshots(run: Run, of: str, count: int) -> Judgement:
    """How many snapshots the machine has in the vCenter."""
    found = run.world.machine(of, "onprem")
    seen = found.snapshots if found is not None else 0
    return Judgement(seen == count, f"{of} has {seen} snapshots")


def disks(run: Run, of: str, added: int) -> Judgement:
    """How many disks the machine has more than before `when`, in the vCenter."""
    before, after = run.before[of].sides["onprem"], run.world.machine(of, "onprem")
    grown = (after.disks if after is not None else 0) - (before.disks if before is not None else 0)
    return Judgement(grown == added, f"{of} has {grown:+d} disks")


def data_equal(
    run: Run,
    vm: str,
    side: Literal["onprem", "azure", "replica"],
    to: str,
    point: str = "latest",
    holds: bool = True,
    of: str = "",
) -> Judgement:
    """The bytes of every disk of the machine on one side, or of its replica at a recovery point, equal those of an `instant`, or
    of the other side now (`to: onprem`, `to: azure`). `of`: an instant of another machine. `holds: false`: they differ."""
    if to in ("onprem", "azure"):
        expected = run.world.content(vm, to)
    else:
        remembered = run.instants.get(to, {})
        expected = next((content for (name, _), content in remembered.items() if name == (of or vm)), ())
        if not expected:
            raise AssertionError(f"no instant {to!r} of {of or vm} was remembered")
    seen = run.session.content(vm, point) if side == "replica" else run.world.content(vm, side)
    count = sum(a == b for a, b in zip(expected, seen, strict=False))
    equal = count == len(expected) == len(seen)
    return Judgement(equal == holds, f"{count} of {len(expected)} disks of {vm} ({side}, {len(seen)} found) equal {to}")


def written(run: Run, within_seconds: float) -> Judgement:
    """Every write that the guest made succeeded, and the guest waited at most so long for each."""
    errors = [one.error for one in run.written if one.error]
    slowest = max((one.seconds for one in run.written), default=0.0)
    holds = bool(run.written) and not errors and slowest <= within_seconds
    return Judgement(
        holds, f"{len(run.written)} writes, {len(errors)} failed{_list(errors[:1], ': ')}, the slowest took {slowest:.3f} s"
    )


def protectable(
    run: Run, includes: list[str] | None = None, excludes: list[str] | None = None, count: int | None = None
) -> Judgement:
    """Which machines were discovered and can be chosen for protection. `count` counts those of `includes` that are listed."""
    seen = run.session.protectable()
    listed = [name for name in seen if includes is None or name in includes]
    enough = count is None or len(listed) == count
    complete = count is not None or includes is None or set(includes) <= set(seen)
    clean = excludes is None or not set(excludes) & set(seen)
    return Judgement(enough and complete and clean, f"listed: {', '.join(sorted(seen)) or 'nothing'}")


def components(
    run: Run,
    role: Literal["configuration-server", "process-server", "master-target"],
    count: int | None = None,
    same_as: Literal["configuration-server", "process-server", "master-target"] | None = None,
) -> Judgement:
    """How many components of a role the product lists, and that one of them has the id of a component of another role."""
    seen = run.session.components(role)
    counted = count is None or len(seen) == count
    shared = same_as is None or bool(set(seen) & set(run.session.components(same_as)))
    also = "" if same_as is None else f", {'one' if shared else 'none'} of them is a {same_as}"
    return Judgement(counted and shared, f"{len(seen)} {role}s{also}")


def _list(items: list[str], lead: str) -> str:
    return lead + ", ".join(items) if items else ""


WORDS = (
    Word("accepted", THEN, accepted),
    Word("refused", THEN, refused, "{because: snapshot-present}"),
    Word("waiting", THEN, waiting),
    Word("unchanged", THEN, unchanged, "{vm: web}", compares="vm"),
    Word("state", THEN, state, "{vm: web, is: failed-over}"),
    Word("health", THEN, health, "{vm: web, is: critical}"),
    Word("operations", THEN, operations, "{vm: web, exactly: [failover, test-failover, unprotect]}"),
    Word("resync", THEN, resync, "{vm: web, required: true}"),
    Word("recovery_points", THEN, recovery_points, "{vm: web, count: 0}"),
    Word("rpo", THEN, rpo, "{vm: web, at_most_minutes: 10}"),
    Word("vm", THEN, vm, "{vm: web, side: azure, power: powered-on}"),
    Word("snapshots", THEN, snapshots, "{of: web, count: 0}"),
    Word("disks", THEN, disks, "{of: web, added: 1}", compares="of"),
    Word("data_equal", THEN, data_equal, "{vm: web, side: azure, to: before}"),
    Word("written", THEN, written, "{within_seconds: 1}"),
    Word("protectable", THEN, protectable, "{includes: [web]}"),
    Word("components", THEN, components, "{role: process-server, count: 1}"),
)
