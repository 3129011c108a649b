"""Speed of the data plane: `make bench-dataplane`. Prints medians of `RUNS` runs; needs mkfs.ext4, and fio for the NBD part.

The pipeline (agent, process server, worker) runs in one process in virtual time over the memory store, so what is measured is the
work itself; `codec` is zstd 1 and AES-256-GCM over the same non-zero blocks alone, on one thread, in the same run.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import xxhash
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "reference_impl"))

from plane_lab import PlaneLab, bytes_of, pattern  # noqa: E402

from emulators.guest.machine import GuestMachine  # noqa: E402
from emulators.guest.nbd import NbdDoor  # noqa: E402

MIB = 1 << 20
IMAGE_MIB = 256
RUNS = 3


def image(folder: Path) -> bytes:
    """A real ext4 file system with the files of the standard library."""
    source = Path(json.__file__).parents[1]
    path = folder / "image.raw"
    kept = folder / "files"
    shutil.copytree(source, kept, ignore=shutil.ignore_patterns("site-packages", "test"))
    with path.open("wb") as stream:
        stream.truncate(IMAGE_MIB * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", str(kept), str(path)], check=True)
    return path.read_bytes()


def codec(data: bytes) -> float:
    squeeze, seal, begun = zstandard.ZstdCompressor(level=1), AESGCM(bytes(32)), time.perf_counter()
    zero, kept = bytes(65536), []
    for at in range(0, len(data), 4 * MIB):
        piece = data[at : at + 4 * MIB]
        blocks = [piece[low : low + 65536] for low in range(0, len(piece), 65536)]
        whole = b"".join(block for block in blocks if block != zero[: len(block)])
        if whole:
            kept.append(len(seal.encrypt(at.to_bytes(12, "big"), squeeze.compress(whole), None)))
    return time.perf_counter() - begun


def pipeline(folder: Path, data: bytes) -> dict[str, float]:
    lab = PlaneLab(folder)
    guest = lab.add_machine("db", {0: data})
    begun = time.perf_counter()
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    first = time.perf_counter() - begun
    changed = int(len(data) * 0.05) // 65536
    for number in range(changed):
        guest.disk(0).write(number * 20 * 65536, pattern(number, 65536))
    before = sum(flow.bytes_out for flow in lab.network.flows() if flow.port == 9443)
    begun = time.perf_counter()
    lab.wait_for_points(guest, 2)
    delta = time.perf_counter() - begun
    sent = sum(flow.bytes_out for flow in lab.network.flows() if flow.port == 9443) - before
    assert lab.end_of(guest) == bytes_of(guest)
    return {"first copy, s": first, "5 % delta, s": delta, "delta sent / changed": sent / (changed * 65536)}


def check_rate(data: bytes) -> float:
    """Digests of 64 KiB blocks, GiB/s."""
    view, begun = memoryview(data), time.perf_counter()
    for at in range(0, len(data), 65536):
        xxhash.xxh3_128_digest(view[at : at + 65536])
    return len(data) / (time.perf_counter() - begun) / (1 << 30)


def nbd(guest: GuestMachine, depth: int, seconds: int = 3) -> float:
    """IOPS of 4 KiB random writes through the door."""
    with NbdDoor(guest, port=0) as door:
        command = ["fio", "--name=w", "--ioengine=nbd", f"--uri={door.uri(0)}", "--rw=randwrite", "--bs=4k", f"--iodepth={depth}"]
        command += ["--time_based", f"--runtime={seconds}", "--size=64m", "--output-format=json"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(out[out.index("{") :])["jobs"][0]["write"]["iops"])


def doors(folder: Path) -> dict[str, float]:
    """With the agent's filter and without it, in turn, on the same machine."""
    lab = PlaneLab(folder)
    guest = lab.add_machine("db", {0: 64 * MIB})
    lab.protect(guest)
    lab.wait_for_points(guest, 1)
    replication, found = lab.agent(guest).replication, {}
    for depth in (1, 16):
        guest.detach_filter(replication.driver)
        found[f"NBD 4 KiB writes at depth {depth}, capture off, IOPS"] = nbd(guest, depth)
        guest.attach_filter(replication.driver)
        found[f"NBD 4 KiB writes at depth {depth}, capture on, IOPS"] = nbd(guest, depth)
    return found


def main() -> None:
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        data = image(Path(name))
        for number in range(RUNS):
            found = {"codec alone, s": codec(data), "resync check, GiB/s": check_rate(data)}
            found |= pipeline(Path(name) / f"run{number}", data)
            found["first copy / codec"] = found["first copy, s"] / found["codec alone, s"]
            if shutil.which("fio"):
                found |= doors(Path(name) / f"doors{number}")
            runs.append(found)
    for key in runs[0]:
        print(f"| {key} | {statistics.median(run[key] for run in runs):.3g} |")


if __name__ == "__main__":
    main()
