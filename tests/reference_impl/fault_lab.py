"""Seeded trouble for the data plane in virtual time, and a witness who knows every state the disks ever had.

`Trial(seed)` draws which components are killed when, which requests fail, arrive twice or late, what is full, what is restored
from an old copy, and what the store forgets. Afterwards everything is well again, and `judge` asks what must hold whatever
happened. The same seed gives the same trial.
"""

import copy
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xxhash
from plane_lab import MIB, PlaneLab, bytes_of, pattern

from emulators.guest.machine import GuestMachine
from emulators.http.inprocess import InProcess, InProcessConnection
from emulators.network import Host

SECTOR = 512
DISKS = {0: 192 * 1024, 1: 64 * 1024}
TROUBLE_SECONDS = 600.0
CHANGING = ("put_", "clear_", "snapshot", "delete", "send", "raise")


class Witness:
    """Sees each write beside the agent. One number stands for all bytes of all disks; a write changes only its sectors' part."""

    def __init__(self, guest: GuestMachine):
        self.guest = guest
        self._parts: dict[tuple[int, int], int] = {}
        self._now = 0
        for unit, data in bytes_of(guest).items():
            self._note(unit, 0, data)
        self.history: dict[int, list[tuple[int, float]]] = {self._now: [(0, 0.0)]}
        self.times: list[float] = [0.0]

    def wrote(self, unit: int, offset: int, data: bytes, when: float) -> None:
        self._note(unit, offset, data)
        self.history.setdefault(self._now, []).append((len(self.times), when))
        self.times.append(when)

    def _note(self, unit: int, offset: int, data: bytes) -> None:
        for at in range(0, len(data), SECTOR):
            place = unit, (offset + at) // SECTOR
            part = _part(place, data[at : at + SECTOR])
            self._now = (self._now - self._parts.get(place, 0) + part) % (1 << 64)
            self._parts[place] = part

    def was(self, disks: Mapping[int, bytes], when: float) -> bool:
        """Whether the disks were exactly this at that time."""
        total = 0
        for unit, data in disks.items():
            for at in range(0, len(data), SECTOR):
                total += _part((unit, at // SECTOR), data[at : at + SECTOR])
        for place, since in self.history.get(total % (1 << 64), []):
            until = self.times[place + 1] if place + 1 < len(self.times) else float("inf")
            if since <= when + 1e-5 and when <= until + 1e-5:
                return True
        return False


def _part(place: tuple[int, int], data: bytes) -> int:
    return xxhash.xxh3_64_intdigest(data, seed=place[0] << 40 | place[1])


class Unruly(InProcess):
    """Requests over it ask `fate` what becomes of them."""

    fate: Callable[[str, str], str] = staticmethod(lambda source, destination: "")
    later: Callable[[Callable[[], Any]], None]

    def connection(self, source: Host, destination: str, port: int, *, tls: bool, timeout: float) -> InProcessConnection:
        return UnrulyConnection(self, source, destination, port, tls)


class UnrulyConnection(InProcessConnection):
    def request(self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None, **named: Any) -> None:
        transport: Any = self._transport
        send = super().request

        def again() -> None:
            InProcessConnection(transport, self._source, self.host, self.port, self._tls).request(method, url, body, headers)

        suffer(transport.fate(self._source.name, self.host), lambda: send(method, url, body, headers), again, transport.later)


def suffer(fate: str, action: Callable[[], Any], again: Callable[[], Any], later: Callable[[Callable[[], Any]], None]) -> Any:
    """Carry out a request as fate wants it: lost, done without an answer, done twice, or arriving once more much later."""
    if fate == "lost":
        raise TimeoutError("no answer: the request was lost")
    result = action()
    if fate == "unanswered":
        raise TimeoutError("no answer: the answer was lost")
    if fate == "twice":
        again()
    if fate == "echo":
        later(again)
    return result


class UnrulyStore:
    """A store whose requests suffer."""

    def __init__(self, inner: Any, trial: "Trial", source: str):
        self._inner, self._trial, self._source = inner, trial, source

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            inner = [value._inner if isinstance(value, UnrulyStore) else value for value in arguments]
            fate = self._trial.fate(self._source, "storage")
            if fate in ("twice", "echo") and not name.startswith(CHANGING):
                fate = ""

            def again() -> None:
                try:
                    found(*inner, **named)
                except Exception as error:  # whoever asked has his answer already
                    self._trial.note(f"a late {name} was refused: {type(error).__name__}")

            return suffer(fate, lambda: found(*inner, **named), again, self._trial.later)

        return call


class Trial:
    """One seeded run. `log` tells what happened, for who looks into a failing seed."""

    def __init__(self, folder: Path, seed: int, *, workers: int = 2, kinds: tuple[str, ...] = ()):
        self.seed, self.log = seed, list[str]()
        transport = Unruly()
        self.lab = lab = PlaneLab(folder, seed=seed, transport=transport)
        self.chance = lab.clock.random("faults")
        self.unruly: dict[tuple[str, str], tuple[float, str]] = {}
        transport.fate, transport.later = self.fate, self.later
        plain = lab.storage.open_store
        lab.storage.open_store = lambda host, said: UnrulyStore(plain(host, said), self, host.name)
        self.plain = plain
        lab.server._open_store = lab.storage.open_store
        lab.worker.kill()
        self.workers = {name: lab.start_worker(name) for name in [f"worker-{number}" for number in range(workers)]}
        self.guest = lab.add_machine("db", {0: pattern(seed, DISKS[0] // 2) + bytes(DISKS[0] // 2), 1: DISKS[1]})
        self.witness = Witness(self.guest)
        self.guest.attach_filter(self.witness)
        self.kinds = kinds or tuple(KINDS)
        self.writing = True

    # what happens to requests ----------------------------------------------------------------------------------------

    def fate(self, source: str, destination: str) -> str:
        odds, kind = self.unruly.get((source, destination.removesuffix(".drillbed")), (0.0, ""))
        if not odds or self.chance.random() >= odds:
            return ""
        return kind or self.chance.choice(["lost", "unanswered", "twice", "echo"])

    def later(self, again: Callable[[], Any]) -> None:
        def arrive() -> None:
            try:
                again()
            except OSError as error:
                self.note(f"a late request did not arrive: {error}")

        self.lab.clock.call_later(self.chance.uniform(0.5, 120.0), arrive, name="late request")

    def note(self, text: str) -> None:
        self.log.append(f"{self.lab.clock.now() % 86400:.2f} {text}")

    # the run ---------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Trouble, then quiet, then a repair where one is declared to be due."""
        lab = self.lab
        lab.protect(self.guest, policy={"crashConsistentMinutes": 1})
        lab.clock.spawn(self._write(), name="writer")
        for _ in range(self.chance.randint(1, 6)):
            kind = self.chance.choice(self.kinds)
            delay = self.chance.uniform(0.0, TROUBLE_SECONDS)
            lab.clock.call_later(delay, lambda kind=kind: self._begin(kind), name=f"fault {kind}")
        lab.clock.wait(TROUBLE_SECONDS + 130)
        self.unruly.clear()
        lab.network.blocks.clear()
        lab.clock.wait(240)
        for _ in range(3):
            if not lab.control.beats[self.guest.machine_id]["protection"]["resyncRequired"]:
                break
            self.note("resync")
            lab.control.resynchronize.add(self.guest.machine_id)
            lab.clock.wait(200)

    def _write(self) -> Any:
        number = 0
        while self.writing:
            yield self.chance.choice([0.01, 0.3, 1.0, 4.0])
            if not self.writing or not self.guest.running or self.guest.held or self.chance.random() < 0.1:
                continue
            for unit in self.chance.choice([(0,), (1,), (0, 1)]):
                number += 1
                place = self.chance.randrange(DISKS[unit] // SECTOR - 4) * SECTOR
                self.guest.disk(unit).write(place, pattern(number, SECTOR * self.chance.randint(1, 4)))

    def _begin(self, kind: str) -> None:
        self.note(kind)
        KINDS[kind](self)

    def after(self, action: Callable[[], None], least: float = 1.0, most: float = 60.0) -> None:
        self.lab.clock.call_later(self.chance.uniform(least, most), action, name="fault ends")

    def judge(self) -> None:
        """What must hold after anything. Raises `AssertionError`."""
        lab, guest = self.lab, self.guest
        told = f"seed {self.seed}: {'; '.join(self.log)}"
        points = lab.points(guest)
        assert points, f"no point at all; {told}"
        newest = max(point["time"] for point in points)
        for point in points[-6:]:
            when = _epoch(point["time"])
            assert self.witness.was(lab.promote(guest, point["pointId"]), when), f"{point} is not what was; {told}"
        assert _epoch(newest) > lab.clock.now() - 150, f"points have stopped at {newest}; {told}"
        self.writing = False
        assert lab.end_of(guest) == bytes_of(guest), f"the end of the stream is not what the disks hold; {told}"
        lab.clock.wait(150)
        assert all(not worker.damaged for worker in self.workers.values()), told
        for who in (guest.machine_id, "ps-1"):
            assert lab.control.beats[who]["symptoms"] == [], f"{lab.control.beats[who]['symptoms']} of {who}; {told}"


def _epoch(text: str) -> float:
    from datetime import datetime

    head, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{head}+00:00").timestamp() + float(f"0.{fraction or 0}")


# faults ------------------------------------------------------------------------------------------------------------------


def kill_agent(trial: Trial) -> None:
    agent = trial.lab.agent(trial.guest)
    if agent is None:
        return
    agent.kill()
    trial.after(lambda: trial.guest.restart("mobility-agent") if trial.lab.agent(trial.guest) is agent else None)


def restore_agent(trial: Trial) -> None:
    """An old copy of the agent's folder comes back."""
    folder = trial.lab.folder / "db"
    old = trial.lab.folder / f"old-{len(trial.log)}"
    shutil.copytree(folder, old)

    def back() -> None:
        if trial.lab.agent(trial.guest) is None:
            return
        trial.note("old copy of the agent")
        trial.lab.agent(trial.guest).kill()
        shutil.rmtree(folder)
        shutil.copytree(old, folder)
        trial.guest.restart("mobility-agent")

    trial.after(back, 5, 120)


def restore_process_server(trial: Trial) -> None:
    folder = trial.lab.folder / "process-server"
    old = trial.lab.folder / f"old-{len(trial.log)}"
    shutil.copytree(folder, old)

    def back() -> None:
        trial.note("old copy of the process server")
        trial.lab.server.kill()
        shutil.rmtree(folder)
        shutil.copytree(old, folder)
        trial.lab.server = trial.lab.start_process_server()

    trial.after(back, 5, 120)


def kill_process_server(trial: Trial) -> None:
    server = trial.lab.server
    server.kill()

    def back() -> None:
        if trial.lab.server is server:
            trial.lab.server = trial.lab.start_process_server()

    trial.after(back)


def kill_worker(trial: Trial) -> None:
    name = trial.chance.choice(sorted(trial.workers))
    worker = trial.workers[name]
    worker.kill()

    def back() -> None:
        if trial.workers[name] is worker:
            trial.workers[name] = trial.lab.start_worker(name)

    trial.after(back, 1, 150)


def power_off(trial: Trial) -> None:
    trial.guest.power_off()

    def back() -> None:
        trial.guest.power_on()
        trial.guest.detach_filter(trial.witness)
        trial.guest.attach_filter(trial.witness)

    trial.after(back)


PAIRS = (
    ("db", "process-server"),
    ("db", "configuration-server"),
    ("process-server", "storage"),
    ("replica-worker", "storage"),
    ("replica-worker", "siterecovery"),
    ("process-server", "configuration-server"),
)


def cut(trial: Trial) -> None:
    source, destination = trial.chance.choice(PAIRS)
    target = "site-recovery" if destination == "siterecovery" else destination
    block = trial.lab.network.block(source=source, destination=target)
    trial.after(lambda: trial.lab.network.unblock(block), 5, 200)


def unruly(trial: Trial) -> None:
    pair = trial.chance.choice(PAIRS)
    trial.unruly[pair] = (
        trial.chance.choice([0.05, 0.3, 0.8]),
        trial.chance.choice(["", "", "lost", "unanswered", "twice", "echo"]),
    )
    trial.after(lambda: trial.unruly.pop(pair, None), 5, 200)


def full_cache(trial: Trial) -> None:
    server = trial.lab.server
    server.cache_bytes = 3000
    trial.after(lambda: setattr(server, "cache_bytes", 64 * MIB), 5, 120)


def full_journal(trial: Trial) -> None:
    replication = getattr(trial.lab.agent(trial.guest), "replication", None)
    if replication is not None:
        stream = replication.stream
        stream.journal_bytes = 3000
        trial.after(lambda: setattr(stream, "journal_bytes", 64 * MIB), 5, 60)


def forgetful_store(trial: Trial) -> None:
    """The store is killed and comes back as it was some seconds ago."""
    storage = trial.lab.storage
    kept = {
        name: copy.deepcopy((account.blobs._containers, account.queues._queues)) for name, account in storage._accounts.items()
    }

    def back() -> None:
        trial.note("the store forgets")
        for name, (containers, queues) in kept.items():
            storage._accounts[name].blobs._containers, storage._accounts[name].queues._queues = containers, queues

    trial.after(back, 0.5, 6)


def damaged_log(trial: Trial) -> None:
    """A byte of the next logs that are uploaded changes in the store."""

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


KINDS: dict[str, Callable[[Trial], None]] = {
    "kill agent": kill_agent,
    "restore agent": restore_agent,
    "restore process server": restore_process_server,
    "kill process server": kill_process_server,
    "kill worker": kill_worker,
    "power off": power_off,
    "cut": cut,
    "unruly": unruly,
    "full cache": full_cache,
    "full journal": full_journal,
    "forgetful store": forgetful_store,
    "damaged log": damaged_log,
}
