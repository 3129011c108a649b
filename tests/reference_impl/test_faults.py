"""Seeded trouble; `make soak SEEDS=2000` runs more. A failing seed is printed and gives the same trial again."""

from pathlib import Path

import pytest
from fault_lab import Trial
from faults import KINDS


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_of_trouble_alone(tmp_path: Path, kind: str) -> None:
    trial = Trial(tmp_path, seed=7, kinds=(kind,))
    trial.run()
    assert any(kind in line for line in trial.log)
    trial.judge()


@pytest.mark.parametrize("seed", range(1060, 1084))
def test_all_kinds_of_trouble_together(tmp_path: Path, seed: int) -> None:
    trial = Trial(tmp_path, seed)
    trial.run()
    trial.judge()


@pytest.mark.parametrize("seed", [800, 10126, 10427, 10906])
def test_what_once_failed(tmp_path: Path, seed: int) -> None:
    """800: an old folder while a worker is in the middle of a log. 10126: a hole in the store that nobody can fill. 10427: a
    write into a block that waits to be copied. 10906: a shutdown after a kill."""
    trial = Trial(tmp_path, seed, workers=1 + seed % 3)
    trial.run()
    trial.judge()


def test_a_seed_gives_the_same_trial_again(tmp_path: Path) -> None:
    def run(folder: Path) -> tuple[list[str], list[dict[str, object]]]:
        trial = Trial(folder, 1070)
        trial.run()
        return trial.log, trial.lab.points(trial.guest)

    assert run(tmp_path / "a") == run(tmp_path / "b")
