"""kill -9 of real processes at seeded times: `make kill9 SEEDS=5 FIRST=1` tries more seeds."""

import os
from pathlib import Path

import pytest
from process_lab import ROLES, ProcessLab

from emulators.blob_storage.node import AzuriteError, find_node, find_package

KILLS = 5


def trial(folder: Path, seed: int, node: str, package: Path) -> None:
    """Some components are killed one after the other, and come back with what they left behind; then everything is judged."""
    lab = ProcessLab(folder, seed, node, package)
    try:
        chance = lab.clock.random("kills")
        lab.until(lambda: bool(lab.points()), "a first point")
        for _ in range(KILLS):
            lab.pass_time(chance.uniform(1, 25))
            victim = chance.choice([*sorted(ROLES), "storage"])
            if victim == "storage":
                lab.restart_storage()
                continue
            lab.kill(victim)
            lab.pass_time(chance.uniform(0, 20))
            lab.start(victim)
            if victim == "db":  # the machine went down with its agent: a resync is due, and somebody has to ask for it
                lab.until(lambda: lab.protection().get("resyncRequired", False), "the declared gap")
                lab.control.resynchronize.add("11111111-2222-4333-8444-555555555555")
        lab.judge()
    finally:
        lab.close()


FIRST, SEEDS = (int(os.environ.get(f"DRILLBED_KILL9_{name}", "1")) for name in ("FIRST", "SEEDS"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_killed_processes_lose_nothing_that_was_promised(tmp_path: Path, seed: int) -> None:
    try:
        node, package = find_node(), find_package()
    except AzuriteError as missing:
        pytest.skip(str(missing))
    trial(tmp_path, seed, node, package)
