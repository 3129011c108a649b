"""Speed of the data plane: `make bench-dataplane`. One table; what is compared was measured in the same run.

    python bench/dataplane/bench.py [copies] [writes] [churn] [large]

Wants mke2fs, and fio, nbdkit, restic, rclone and borg for the comparisons (Debian packages e2fsprogs, fio, nbdkit, restic,
rclone, borgbackup); what is absent is left out. RUNS (3), IMAGE_MIB (1536), CHURN_SECONDS (300) and WORK (a folder with about
10 GiB, build/bench-dataplane) are environment variables. Needs a machine on which nothing else runs: it prints the load.
"""

import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import churn  # noqa: E402
import copies  # noqa: E402
import large  # noqa: E402
import writes  # noqa: E402
from measure import RUNS, Table  # noqa: E402

#: What is measured, how often, and the program without which it cannot be.
PARTS = {
    "copies": (copies.run, RUNS, ""),
    "writes": (writes.run, RUNS, "fio"),
    "large": (large.run, 1, ""),
    "churn": (churn.run, 1, ""),
}


def main() -> None:
    folder = Path(os.environ.get("WORK", ROOT / "build" / "bench-dataplane"))
    folder.mkdir(parents=True, exist_ok=True)
    wanted, table = sys.argv[1:] or list(PARTS), Table()
    if unknown := [name for name in wanted if name not in PARTS]:
        sys.exit(f"there is no part {unknown[0]}: it is one of {', '.join(PARTS)}")
    print(f"load at the beginning: {os.getloadavg()[0]:.1f}")
    for name in wanted:
        part, times, needs = PARTS[name]
        if needs and shutil.which(needs) is None:
            print(f"{name} is left out: {needs} is not installed")
            continue
        for number in range(times):
            print(f"{name}, run {number + 1} of {times}", flush=True)
            part(folder, table)
    print(f"load at the end: {os.getloadavg()[0]:.1f}\n\n{table.text()}")


if __name__ == "__main__":
    main()
