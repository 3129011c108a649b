"""Many seeded trials on all cores: `python tests/reference_impl/soak.py COUNT [FIRST]`. Ends with 1 when a seed fails."""

import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from fault_lab import Trial

from emulators.clock import Clock

MEMORY = Path("/dev/shm")


def attempt(seed: int) -> str:
    """What is wrong with a seed; empty when nothing is."""
    folder = Path(tempfile.mkdtemp(prefix="drillbed-soak-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        trial = Trial(folder, seed, workers=1 + seed % 3)
        trial.run()
        trial.judge()
    except Exception as error:
        return f"seed {seed}: {type(error).__name__}: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return ""


def main(count: int, first: int) -> int:
    clock, bad = Clock(), 0
    begun = clock.real()
    with ProcessPoolExecutor() as pool:
        for wrong in pool.map(attempt, range(first, first + count), chunksize=4):
            bad += bool(wrong)
            if wrong:
                sys.stdout.write(wrong + "\n")
    used, seconds = getrusage(RUSAGE_CHILDREN), clock.real() - begun
    rates = f"{count / seconds:.1f} a second, {count / (used.ru_utime + used.ru_stime):.1f} a second of one core"
    sys.stdout.write(f"{count} seeds from {first}: {bad} failed; {rates}\n")
    return 1 if bad else 0


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:]]
    raise SystemExit(main(numbers[0] if numbers else 200, numbers[1] if len(numbers) > 1 else 0))
