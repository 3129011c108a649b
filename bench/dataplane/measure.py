"""What all parts of the bench use: rows of the table, processor time and memory of processes, the test images."""

import os
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

MIB = 1 << 20
IMAGE_MIB = int(os.environ.get("IMAGE_MIB", "1536"))
RUNS = int(os.environ.get("RUNS", "3"))
TICK = os.sysconf("SC_CLK_TCK")
SOURCES = ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share", "/usr/include")


@dataclass
class Table:
    """Values by name, one for each run, and what is wanted of the median: `>= 0.9`, `< 2`; empty: nothing."""

    values: dict[str, list[float]] = field(default_factory=dict)
    wanted: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: float, wanted: str = "") -> None:
        self.values.setdefault(name, []).append(value)
        self.wanted[name] = wanted
        print(f"  {name}: {value:.4g}", flush=True)

    def text(self) -> str:
        lines = ["| what | median | wanted | |", "|---|---|---|---|"]
        for name, values in self.values.items():
            median, wanted = statistics.median(values), self.wanted[name]
            verdict = "" if not wanted else "reached" if holds(median, wanted) else "**missed**"
            lines.append(f"| {name} | {median:.4g} | {wanted} | {verdict} |")
        return "\n".join(lines)


def holds(value: float, wanted: str) -> bool:
    sign, _, limit = wanted.partition(" ")
    return {">=": value >= float(limit), "<": value < float(limit), "<=": value <= float(limit)}[sign]


def cpu_of(pid: int | str = "self") -> float:
    """Processor seconds of a process so far, and of the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(fields[at]) for at in (11, 12, 13, 14)) / TICK


def memory_of(pid: int | str = "self", kind: str = "VmHWM") -> float:
    """MiB: the most so far (`VmHWM`), or now (`VmRSS`)."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(kind))
    return int(line.split()[1]) / 1024


@contextmanager
def timed() -> Iterator[list[float]]:
    """The list holds the seconds when the block has ended."""
    took, begun = [0.0], time.perf_counter()
    yield took
    took[0] = time.perf_counter() - begun


def make_image(folder: Path) -> tuple[Path, list[tuple[int, bytes]]]:
    """An ext4 file system of `IMAGE_MIB`, 72 % full of real files, and changes of 5 % of its blocks: offset and new bytes.

    It is made once for each size and kept in `folder`.
    """
    image = folder / f"disk-{IMAGE_MIB}.raw"
    if not image.exists():
        staged, partial = folder / "files", folder / "partial.raw"
        shutil.rmtree(staged, ignore_errors=True)
        _stage(staged, int(IMAGE_MIB * MIB * 0.72))
        partial.unlink(missing_ok=True)
        tool = shutil.which("mke2fs") or "/sbin/mke2fs"
        options = ["-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=0", "-d", str(staged)]
        subprocess.run([tool, *options, str(partial), f"{IMAGE_MIB}m"], check=True)
        shutil.rmtree(staged)
        partial.rename(image)
    return image, list(_changes(image))


def _stage(folder: Path, wanted: int) -> None:
    total = 0
    for source in SOURCES:
        for parent, folders, names in os.walk(source):
            folders.sort()
            for name in sorted(names):
                path = Path(parent, name)
                if path.is_symlink() or not path.is_file() or path.stat().st_size > 96 * MIB:
                    continue
                target = folder / path.relative_to("/")
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    os.link(path, target)
                except OSError:
                    shutil.copyfile(path, target)
                total += path.stat().st_size + 512
                if total > wanted:
                    return


def _changes(image: Path) -> Iterator[tuple[int, bytes]]:
    """Writes of 4 KiB to 1 MiB at random places, with bytes from elsewhere in the image, so that they compress like real ones."""
    chance, blocks, changed = random.Random(20240501), image.stat().st_size // 4096, set[int]()
    with image.open("rb") as reading:
        while len(changed) < blocks // 20:
            count = chance.choice([1, 1, 1, 2, 2, 4, 8, 16, 64, 128, 256])
            at, source = chance.randrange(64, blocks - count), chance.randrange(0, (blocks - count) * 4 // 5)
            if changed & set(range(at, at + count)):
                continue
            reading.seek(source * 4096 + 512)  # shifted, so that no block of the image comes back as it was
            yield at * 4096, reading.read(count * 4096)
            changed |= set(range(at, at + count))
