"""The vendor's limit of churn for a machine, kept up; then a spike, and how long it takes to catch up. Time flows as it does."""

import os
import random
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from measure import MIB, Table, memory_of

from drillbed.estate import Estate, EstatePlan, MachinePlan
from reference_impl import records

SECONDS = float(os.environ.get("CHURN_SECONDS", "300"))
RATE, SPIKE, SPIKE_SECONDS = 54 * MIB, 200 * MIB, 20.0
BLOCK = 64 << 10
DISK_MIB = 1024


def run(folder: Path, table: Table) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        plan = EstatePlan(way="embedded", machines=[MachinePlan("db", "WINDOWS", [DISK_MIB * MIB], workload=False)])
        with Estate.open(plan, Path(name) / "estate") as estate:
            estate.prepare_azure()
            estate.register_site()
            estate.add_vcenter()
            estate.vault.make_policies()
            estate.protect("db")
            estate.vault.until_state("db", "Protected")
            _keep_up(estate, table)


def _keep_up(estate: Estate, table: Table) -> None:
    before = memory_of(kind="VmRSS")
    ages: list[float] = []
    written = _write(estate, RATE, SECONDS, ages)
    table.add(f"churn of 54 MiB/s for {SECONDS:g} s: reached, MiB/s", written / SECONDS / MIB)
    ages.sort()
    table.add("  oldest write that was not uploaded, worst, s", ages[-1], "< 30")
    table.add("  the same, median, s", ages[len(ages) // 2])
    table.add("  memory that agent, process server and worker took for it together, MiB", memory_of() - before, "< 300")
    table.add("  memory of their process, with all emulators, MiB", memory_of())
    azurite = estate.azure.storage.process
    if azurite is not None:
        table.add("  memory of Azurite, MiB", memory_of(azurite.pid), "< 300")
    _write(estate, SPIKE, SPIKE_SECONDS, [])
    begun = time.perf_counter()
    while _age(estate) > 2.0 and time.perf_counter() - begun < 600:
        estate.clock.rest(1.0)
    table.add("after 200 MiB/s for 20 s: caught up after, s", time.perf_counter() - begun, "< 120")


def _write(estate: Estate, rate: float, seconds: float, ages: list[float]) -> int:
    """Write random blocks at a rate; notes each second how old the oldest write is that is not in Azurite. Gives the bytes."""
    guest, chance, stop, written = estate.machines.guest("db"), random.Random(1), threading.Event(), [0]
    assert guest is not None
    disk, pool = guest.disk(0), chance.randbytes(8 * MIB)

    def work() -> None:
        begun = time.perf_counter()
        while not stop.is_set():
            ahead = written[0] / rate - (time.perf_counter() - begun)
            if ahead > 0:
                stop.wait(ahead)
            at = chance.randrange(0, len(pool) - BLOCK)
            disk.write(chance.randrange(DISK_MIB * MIB // BLOCK) * BLOCK, pool[at : at + BLOCK])
            written[0] += BLOCK

    writer = threading.Thread(target=work, name="churn")
    writer.start()
    end = time.perf_counter() + seconds
    try:
        while time.perf_counter() < end:
            estate.clock.rest(1.0)
            ages.append(_age(estate))
    finally:
        stop.set()
        writer.join()
    return written[0]


def _age(estate: Estate) -> float:
    """Seconds since the guest wrote the oldest byte that is not uploaded; 0 when there is none."""
    guest, server = estate.machines.guest("db"), estate.site.process_server
    assert guest is not None
    assert server is not None
    agent = guest.service("mobility-agent")
    stream, lane = agent.replication.stream, next(iter(server.machines.values())).lane
    return max(stream_age(stream, estate.clock.now()), lane_age(lane, estate.clock.now()))


def stream_age(stream: Any, now: float) -> float:
    head = stream.head()
    return 0.0 if head is None else now - first_time(head.read())


def lane_age(lane: Any, now: float) -> float:
    with lane.lock:
        pending = [log for log in lane.logs if log.last > lane.uploaded]
        oldest = pending[0].path.stat().st_mtime if pending else None
        waiting = bytes(lane.segments[0].read()) if lane.segments and oldest is None else None
    if oldest is not None:
        return max(0.0, time.time() - oldest)
    return 0.0 if waiting is None else now - first_time(waiting)


def first_time(raw: bytes) -> float:
    return records.decode(raw).records[0].when
