"""Seeded trouble for the data plane in virtual time.

`Trial(seed)` draws which components are killed when or at which of their steps, which requests fail, arrive twice or late, what
is full, what is restored from an old copy, who comes twice, and what the store forgets. Afterwards everything is well again, and
`judge` asks what must hold whatever happened. The same seed gives the same trial. The kinds of trouble are in `faults.py`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from faults import KINDS
from plane_lab import PlaneLab, bytes_of, group_of, pattern
from unruly import Killed, Unruly, UnrulyStore, unruly_files
from witness import SECTOR, Order, Stretch, Witness, epoch

from emulators.guest.machine import GuestMachine

DISKS = {0: 128 * 1024, 1: 64 * 1024}
TROUBLE_SECONDS = 240.0
#: Of every fourth seed two machines make a replication group.
GROUPS = 4


class Trial:
    """One seeded run. `log` tells what happened, for who looks into a failing seed."""

    def __init__(self, folder: Path, seed: int, *, workers: int = 2, kinds: tuple[str, ...] = (), members: int = 0):
        self.seed, self.log = seed, list[str]()
        transport = Unruly()
        transport.fates = self
        self.lab = lab = PlaneLab(folder, seed=seed, transport=transport)
        self.chance = lab.clock.random("faults")
        self.unruly: dict[tuple[str, str], tuple[float, str, float]] = {}
        self.dying: dict[str, int] = {}  #: component -> steps it still has
        self.dead: set[str] = set()
        self.full_disks: set[str] = set()
        self.kinds = kinds or tuple(KINDS)
        self.writing = True
        lab.server.kill()
        lab.worker.kill()
        self.start_process_server()
        self.workers = {f"worker-{number}": self.start_worker(f"worker-{number}") for number in range(workers)}
        self.order = Order()
        self.witnesses: dict[str, Witness] = {}
        self.guests: list[GuestMachine] = []
        for name in ("db", "app")[: members or (2 if seed % GROUPS == GROUPS - 1 else 1)]:
            self.guests.append(self.add(name, {0: pattern(seed, DISKS[0] // 2) + bytes(DISKS[0] // 2), 1: bytes(DISKS[1])}))
        self.twins: list[GuestMachine] = []

    @property
    def guest(self) -> GuestMachine:
        return self.guests[0]

    # components ------------------------------------------------------------------------------------------------------

    def add(self, name: str, contents: dict[int, bytes], *, copy_of: GuestMachine | None = None) -> GuestMachine:
        guest = self.lab.add_machine(name, contents, copy_of=copy_of)
        self.witnesses[name] = Witness(guest, self.order)
        guest.attach_filter(self.witnesses[name])
        return guest

    def store(self, owner: str) -> Callable[..., UnrulyStore]:
        return lambda host, said: UnrulyStore(self.lab.storage.open_store(host, said), self, owner, host.name)

    def start_process_server(self) -> None:
        self.dead.discard("process-server")
        self.lab.server = self.lab.start_process_server(open_store=self.store("process-server"))

    def start_worker(self, name: str) -> Any:
        self.dead.discard(name)
        ahead = self.chance.choice([0.0, 0.0, -80.0, 45.0, 100.0])
        return self.lab.start_worker(name, open_store=self.store(name), ahead=ahead)

    # what happens to requests and files ------------------------------------------------------------------------------

    def fate(self, source: str, destination: str) -> str:
        if source == "chance":
            return self.chance.choice(["", destination])
        odds, kind, _ = self.unruly.get((source, destination.removesuffix(".drillbed")), (0.0, "", 0.0))
        if not odds or self.chance.random() >= odds:
            return ""
        return kind or self.chance.choice(["lost", "unanswered", "twice", "echo", "late", "refused", "refused-done"])

    def later(self, again: Callable[[], Any]) -> None:
        def arrive() -> None:
            try:
                again()
            except OSError as error:
                self.note(f"a late request did not arrive: {error}")

        least = max((after for _, _, after in self.unruly.values()), default=0.5)
        self.lab.clock.call_later(self.chance.uniform(least or 0.5, 120.0), arrive, name="late request")

    def step(self, who: str) -> bool:
        if who in self.dead:
            raise Killed(who)
        left = self.dying.get(who)
        if left is None:
            return False
        self.dying[who] = left - 1
        if left > 1:
            return False
        del self.dying[who]
        self.note(f"{who} dies at a step")
        KINDS["die at a step"].end(self, who)
        return True

    def full(self, who: str) -> bool:
        return who in self.full_disks

    def note(self, text: str) -> None:
        self.log.append(f"{self.lab.clock.now() % 86400:.2f} {text}")

    # the run ---------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Trouble, then quiet, then a repair where one is declared to be due."""
        lab = self.lab
        with unruly_files(self):
            for guest in self.guests:
                group = group_of(guest, self.guests) if len(self.guests) > 1 else None
                lab.protect(guest, policy={"crashConsistentMinutes": 1}, group=group)
            lab.clock.spawn(self._write(), name="writer")
            for _ in range(self.chance.randint(1, 6)):
                kind = self.chance.choice(self.kinds)
                delay = self.chance.uniform(0.0, TROUBLE_SECONDS)
                lab.clock.call_later(delay, lambda kind=kind: self._begin(kind), name=f"fault {kind}")
            self.wait(TROUBLE_SECONDS + 130)
            self._quiet()
            self.wait(150)
            for _ in range(3):
                due = [guest for guest in self.guests if self._needs_resync(guest)]
                if not due:
                    break
                self.note("resync")
                lab.control.resynchronize |= {guest.machine_id for guest in due}
                self.wait(150)

    def wait(self, seconds: float) -> None:
        """Time passes, also when somebody dies in it."""
        until = self.lab.clock.now() + seconds
        while self.lab.clock.now() < until:
            try:
                self.lab.clock.wait(until - self.lab.clock.now())
            except Killed:
                continue

    def _needs_resync(self, guest: GuestMachine) -> bool:
        protection = self.lab.control.beats[guest.machine_id]["protection"]
        return protection is None or bool(protection["resyncRequired"])

    def _quiet(self) -> None:
        self.unruly.clear()
        self.dying.clear()
        self.full_disks.clear()
        self.lab.network.blocks.clear()

    def _write(self) -> Any:
        number = 0
        while self.writing:
            yield self.chance.choice([0.01, 0.3, 1.0, 4.0])
            for guest in [*self.guests, *self.twins]:
                if not self.writing or not guest.running or guest.held or self.chance.random() < 0.2:
                    continue
                for unit in self.chance.choice([(0,), (1,), (0, 1)]):
                    number += 1
                    place = self.chance.randrange(DISKS[unit] // SECTOR - 4) * SECTOR
                    data = self.chance.choice([pattern(number, SECTOR * self.chance.randint(1, 4)), bytes(SECTOR)])
                    guest.disk(unit).write(place, data)

    def _begin(self, kind: str) -> None:
        self.note(kind)
        KINDS[kind].begin(self)

    def after(self, action: Callable[[], None], least: float = 1.0, most: float = 60.0) -> None:
        self.lab.clock.call_later(self.chance.uniform(least, most), action, name="fault ends")

    # judging ---------------------------------------------------------------------------------------------------------

    def judge(self) -> None:
        """What must hold after anything. Raises `AssertionError`."""
        lab = self.lab
        told = f"seed {self.seed}: {'; '.join(self.log)}"
        shared: dict[str, list[Stretch]] = {}
        for guest in self.guests:
            points = lab.points(guest)
            assert points, f"no point of {guest.name} at all; {told}"
            newest = max(point["time"] for point in points)
            assert epoch(newest) > lab.clock.now() - 150, f"points of {guest.name} have stopped at {newest}; {told}"
            contents = lab.contents(guest)
            for point in points:
                found = self._stretches(guest, contents[point["pointId"]], epoch(point["time"]))
                assert found, f"{point} of {guest.name} is not what was; {told}"
                if point["multiVm"]:
                    others = shared.setdefault(point["pointId"], found)
                    assert any(one.meets(other) for one in found for other in others), f"{point} does not fit; {told}"
        self.writing = False
        for guest in self.guests:
            assert lab.end_of(guest) == bytes_of(guest), f"the end of the stream is not what {guest.name} holds; {told}"
        lab.clock.wait(100)
        assert all(not worker.damaged for worker in self.workers.values()), told
        for who in [*(guest.machine_id for guest in self.guests), "ps-1"]:
            assert lab.control.beats[who]["symptoms"] == [], f"{lab.control.beats[who]['symptoms']} of {who}; {told}"

    def _stretches(self, guest: GuestMachine, disks: Mapping[int, bytes], when: float) -> list[Stretch]:
        """When the disks of a machine, or of a copy that had its identity, were these."""
        names = [guest.name, *(twin.name for twin in self.twins if twin.machine_id == guest.machine_id)]
        return [one for name in names for one in self.witnesses[name].stretches(disks, when)]
