"""Three lines from nothing to a working estate: for scripts, notebooks and tests."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drillbed.estate import Estate, EstatePlan
from drillbed.machines import MachinePlan

MIB = 1 << 20


@contextmanager
def open_estate(
    *machines: str, way: str = "virtual", seed: int = 1, disk_mib: int = 8, image: Path | None = None, nbd: bool = False
) -> Iterator[Estate]:
    """An estate whose site is registered, discovered and ready to protect `machines`; everything is gone when the context ends.

    Each machine has a system disk of `disk_mib` and a data disk of 4 MiB that a workload writes to; with `image` the first one's
    system disk has the content of that image. `nbd` opens the disks to programs of this computer (`estate.nbd("web")`).
    `seed` replays a virtual estate exactly.

        with open_estate("web") as estate:
            estate.protect("web")
            estate.vault.until_state("web", "Protected")
    """
    sizes = [disk_mib * MIB, 4 * MIB]
    plans = [MachinePlan(name, "WINDOWS", sizes, source=None if number else image) for number, name in enumerate(machines)]
    with tempfile.TemporaryDirectory(prefix="drillbed-") as folder:
        plan = EstatePlan(way=way, seed=seed, machines=plans, hash_at_boot=True, nbd=nbd)
        with Estate.open(plan, Path(folder)) as estate:
            estate.prepare_azure()
            estate.register_site()
            estate.add_vcenter()
            estate.vault.make_policies()
            yield estate
