"""The kinds of trouble of a trial, a function for each; found by their names in `KINDS`."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from plane_lab import MIB, bytes_of

from emulators.guest.machine import GuestMachine


def _nothing(_trial: Any, _who: str) -> None:
    """Most trouble ends by what its beginning has planned."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a trouble begins; `end` is for what comes when a component has died at a step."""

    begin: Callable[[Any], None]
    end: Callable[[Any, str], None] = _nothing


# components die --------------------------------------------------------------------------------------------------------


def kill_agent(trial: Any, guest: GuestMachine | None = None) -> None:
    guest = guest or trial.chance.choice(trial.guests)
    agent = trial.lab.agent(guest)
    if agent is None:
        return
    agent.kill()

    def back() -> None:
        trial.dead.discard(guest.name)
        if guest.running and trial.lab.agent(guest) is agent:
            guest.restart("mobility-agent")

    trial.after(back)


def kill_process_server(trial: Any) -> None:
    server = trial.lab.server
    server.kill()

    def back() -> None:
        if trial.lab.server is server:
            trial.start_process_server()

    trial.after(back)


def kill_worker(trial: Any, name: str = "") -> None:
    name = name or trial.chance.choice(sorted(trial.workers))
    worker = trial.workers[name]
    worker.kill()

    def back() -> None:
        if trial.workers[name] is worker:
            trial.workers[name] = trial.start_worker(name)

    trial.after(back, 1, 120)


def die_at_a_step(trial: Any) -> None:
    """At one of its next requests, or in the middle of writing a file."""
    who = trial.chance.choice([*(guest.name for guest in trial.guests), "process-server", *sorted(trial.workers)])
    trial.dying[who] = trial.chance.randint(1, 60)


def died(trial: Any, who: str) -> None:
    trial.dead.add(who)
    if who == "process-server":
        kill_process_server(trial)
    elif who in trial.workers:
        kill_worker(trial, who)
    else:
        kill_agent(trial, next(guest for guest in trial.guests if guest.name == who))


def power_off(trial: Any) -> None:
    guest = trial.chance.choice(trial.guests)
    guest.power_off()

    trial.after(lambda: boot(trial, guest))


def boot(trial: Any, guest: GuestMachine) -> None:
    trial.dead.discard(guest.name)
    guest.power_on()
    witness = trial.witnesses[guest.name]
    guest.detach_filter(witness)
    guest.attach_filter(witness)


# old copies, and two with one identity -----------------------------------------------------------------------------------


def restore_agent(trial: Any) -> None:
    """An old copy of the agent's folder comes back."""
    guest = trial.chance.choice(trial.guests)
    folder, old = trial.lab.folder / guest.name, trial.lab.folder / f"old-{len(trial.log)}"
    shutil.copytree(folder, old)

    def back() -> None:
        agent = trial.lab.agent(guest)
        if agent is None:
            return
        trial.note(f"old copy of the agent of {guest.name}")
        agent.kill()
        trial.dead.discard(guest.name)
        shutil.rmtree(folder)
        shutil.copytree(old, folder)
        guest.restart("mobility-agent")

    trial.after(back, 5, 120)


def restore_process_server(trial: Any) -> None:
    folder = trial.lab.folder / "process-server"
    old = trial.lab.folder / f"old-{len(trial.log)}"
    shutil.copytree(folder, old)

    def back() -> None:
        trial.note("old copy of the process server")
        trial.lab.server.kill()
        shutil.rmtree(folder)
        shutil.copytree(old, folder)
        trial.start_process_server()

    trial.after(back, 5, 120)


def twin(trial: Any) -> None:
    """A copy of the machine with its identity and its agent's folder is started beside it."""
    guest = trial.chance.choice(trial.guests)
    if not guest.running or any(one.machine_id == guest.machine_id for one in trial.twins):
        return
    name = f"{guest.name}-copy"
    off = trial.chance.random() < 0.5 and guest.name not in trial.dead
    if off:  # both believe that they were shut down in order and go on from there
        guest.shut_down()
    shutil.copytree(trial.lab.folder / guest.name, trial.lab.folder / name)
    if off:
        boot(trial, guest)
    copied = trial.add(name, bytes_of(guest), copy_of=guest)
    trial.twins.append(copied)
    if trial.chance.random() < 0.3:
        trial.lab.control.resynchronize.add(guest.machine_id)
    trial.after(copied.power_off, 20, 120)


# links -----------------------------------------------------------------------------------------------------------------------


def pairs(trial: Any) -> list[tuple[str, str]]:
    names = [guest.name for guest in trial.guests]
    return [
        *((name, "process-server") for name in names),
        *((name, "configuration-server") for name in names),
        *((one, other) for one in names for other in names if one != other),
        ("process-server", "storage"),
        ("replica-worker", "storage"),
        ("replica-worker", "siterecovery"),
        ("process-server", "configuration-server"),
    ]


def cut(trial: Any) -> None:
    source, destination = trial.chance.choice(pairs(trial))
    target = "site-recovery" if destination == "siterecovery" else destination
    block = trial.lab.network.block(source=source, destination=target)
    trial.after(lambda: trial.lab.network.unblock(block), 5, 150)


def unruly(trial: Any) -> None:
    """Requests are lost, done without an answer, done twice, refused, or arrive late and so in another order."""
    pair = trial.chance.choice(pairs(trial))
    fate = trial.chance.choice(["", "", "lost", "unanswered", "twice", "echo", "late", "refused", "refused-done"])
    trial.unruly[pair] = trial.chance.choice([0.05, 0.3, 0.8]), fate, 0.0
    trial.after(lambda: trial.unruly.pop(pair, None), 5, 150)


def failing_store(trial: Any) -> None:
    """500 and 503, before and after having done the work."""
    for source in ("process-server", "replica-worker"):
        trial.unruly[source, "storage"] = 0.5, trial.chance.choice(["refused", "refused-done"]), 0.0
        trial.after(lambda source=source: trial.unruly.pop((source, "storage"), None), 5, 90)


def sleepy_worker(trial: Any) -> None:
    """What a worker asked of the store arrives when its lease has long run out."""
    trial.unruly["replica-worker", "storage"] = 0.1, "late", 61.0
    trial.after(lambda: trial.unruly.pop(("replica-worker", "storage"), None), 10, 60)


# what is full, forgotten or damaged --------------------------------------------------------------------------------------------


def full_cache(trial: Any) -> None:
    server = trial.lab.server
    server.cache_bytes = 3000
    trial.after(lambda: setattr(server, "cache_bytes", 64 * MIB), 5, 120)


def full_journal(trial: Any) -> None:
    replication = getattr(trial.lab.agent(trial.guest), "replication", None)
    if replication is not None:
        stream = replication.stream
        stream.journal_bytes = 3000
        trial.after(lambda: setattr(stream, "journal_bytes", 64 * MIB), 5, 60)


def full_disk(trial: Any) -> None:
    who = trial.chance.choice(["agent", "process-server"])
    trial.full_disks.add(who)
    trial.after(lambda: trial.full_disks.discard(who), 5, 120)


def forgetful_store(trial: Any) -> None:
    """The store is killed, and when it comes back it is as it was some seconds before."""
    storage = trial.lab.storage
    kept = {
        name: copy.deepcopy((account.blobs._containers, account.queues._queues)) for name, account in storage._accounts.items()
    }
    blocks: list[Any] = []

    def die() -> None:
        trial.note("the store forgets")
        for name, (containers, queues) in kept.items():
            storage._accounts[name].blobs._containers, storage._accounts[name].queues._queues = containers, queues
        blocks.append(trial.lab.network.block(destination="storage"))
        trial.after(lambda: trial.lab.network.unblock(blocks[0]), 1, 20)

    trial.after(die, 0.5, 6)


def damaged_log(trial: Any) -> None:
    """A byte of the newest log changes in the store before a worker has seen it."""

    def damage() -> None:
        containers = trial.lab.storage._accounts["cache"].blobs._containers
        logs = sorted(name for name in containers.get("asr-logs", {}) if name.endswith(".hrl"))
        if logs:
            blob = containers["asr-logs"][logs[-1]]
            assert isinstance(blob.content, bytes)
            place = trial.chance.randrange(len(blob.content))
            blob.content = blob.content[:place] + bytes([blob.content[place] ^ 0x40]) + blob.content[place + 1 :]

    block = trial.lab.network.block(source="replica-worker", destination="storage")
    trial.after(damage, 20, 60)
    trial.after(lambda: trial.lab.network.unblock(block), 61, 80)


KINDS: dict[str, Kind] = {
    "kill agent": Kind(kill_agent),
    "kill process server": Kind(kill_process_server),
    "kill worker": Kind(kill_worker),
    "die at a step": Kind(die_at_a_step, died),
    "power off": Kind(power_off),
    "restore agent": Kind(restore_agent),
    "restore process server": Kind(restore_process_server),
    "twin": Kind(twin),
    "cut": Kind(cut),
    "unruly": Kind(unruly),
    "failing store": Kind(failing_store),
    "sleepy worker": Kind(sleepy_worker),
    "full cache": Kind(full_cache),
    "full journal": Kind(full_journal),
    "full disk": Kind(full_disk),
    "forgetful store": Kind(forgetful_store),
    "damaged log": Kind(damaged_log),
}
