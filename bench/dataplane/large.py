"""Failover of a large disk that is mostly empty, and many small machines at once."""

import tempfile
from pathlib import Path

from measure import MIB, Table, cpu_of, timed

from drillbed.estate import Estate, EstatePlan, MachinePlan

GIB = 1 << 30
LARGE = 32 * GIB
FEW, MANY = 50, 200


def run(folder: Path, table: Table) -> None:
    _large(folder, table)
    cost = {count: _many(folder, count) for count in (FEW, MANY)}
    for what, at in (("to protect it", 0), ("of an hour of protection", 1)):
        few, many = cost[FEW][at] / FEW, cost[MANY][at] / MANY
        table.add(f"{MANY} machines: processor time a machine {what}, ms", many * 1000)
        table.add(f"{MANY} machines: the same / that among {FEW}", many / few, "< 1.3")


def _ready(estate: Estate) -> None:
    estate.prepare_azure()
    estate.register_site()
    estate.add_vcenter()
    estate.vault.make_policies()


def _large(folder: Path, table: Table) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        plan = EstatePlan(way="embedded", machines=[MachinePlan("db", "WINDOWS", [LARGE], workload=False)])
        with Estate.open(plan, Path(name) / "estate") as estate:
            _ready(estate)
            estate.protect("db")
            guest = estate.machines.guest("db")
            assert guest is not None
            with timed() as copied:
                estate.vault.until_state("db", "Protected")
            table.add("first copy of an empty disk of 32 GiB, s", copied[0])
            for number in range(64):
                guest.disk(0).write(number * (LARGE // 64), bytes([number + 1]) * MIB)
            estate.clock.wait(900)
            flows = sum(flow.bytes_out for flow in estate.network.flows() if flow.port == 443)
            with timed() as took:
                estate.vault.failover("db", shut_down=False)
            table.add("failover of 32 GiB to a virtual machine that runs, s", took[0], "< 2")
            moved = sum(flow.bytes_out for flow in estate.network.flows() if flow.port == 443) - flows
            table.add("  bytes that travelled for it, MiB", moved / MIB)
            disk = estate.azure_disks("db")[0]
            assert disk.size == LARGE
            assert disk.read(63 * (LARGE // 64), MIB) == bytes([64]) * MIB


def _many(folder: Path, count: int) -> tuple[float, float]:
    """Processor seconds to protect `count` machines at once, and of one emulated hour after that."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        machines = [MachinePlan(f"vm-{number}", "WINDOWS", [MIB], workload=False) for number in range(count)]
        with Estate.open(EstatePlan(machines=machines), Path(name) / "estate") as estate:
            _ready(estate)
            waiting, estate.operator.finish = estate.operator.finish, lambda _answer, **_: {}  # all jobs run at once
            begun = cpu_of()
            for machine in machines:
                estate.protect(machine.name)
            estate.operator.finish = waiting
            last = [machine.name for machine in machines]
            while last:
                last = [name for name in last if estate.vault.item(name)["protectionState"] != "Protected"]
                estate.clock.wait(60)
            protected = cpu_of() - begun
            estate.clock.wait(3600)
            return protected, cpu_of() - begun - protected
