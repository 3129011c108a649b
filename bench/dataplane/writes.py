"""Random writes through the NBD door with capture on and off, beside nbdkit, in turn on the same machine."""

import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import MIB, Table

from drillbed.estate import Estate, EstatePlan, MachinePlan

SECONDS = 4
SIZE = 64


def run(folder: Path, table: Table) -> None:
    """Capture alone, in an estate whose time stands still (nothing is shipped), and with all that follows in the same process."""
    for way in ("virtual", "embedded"):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            machines = [MachinePlan(machine, "WINDOWS", [SIZE * MIB], workload=False) for machine in ("plain", "protected")]
            with Estate.open(EstatePlan(way=way, machines=machines, nbd=True), Path(name) / "estate") as estate:
                estate.prepare_azure()
                estate.register_site()
                estate.add_vcenter()
                estate.vault.make_policies()
                estate.protect("protected")
                estate.vault.until_state("protected", "Protected")
                for depth in (1, 16):
                    off, on = fio(estate.nbd("plain")[0], depth), fio(estate.nbd("protected")[0], depth)
                    peer = nbdkit(Path(name), depth) if way == "virtual" else None
                    estate.clock.wait(60)
                    _compare(table, depth, way, off, on, peer)


def _compare(
    table: Table, depth: int, way: str, off: dict[str, float], on: dict[str, float], peer: dict[str, float] | None
) -> None:
    at, alone = f"NBD 4 KiB random writes, depth {depth}", way == "virtual"
    if not alone:
        table.add(f"{at}: while all of it is shipped and uploaded by the same process, on / off", on["iops"] / off["iops"])
        return
    table.add(f"{at}: capture off, IOPS", off["iops"])
    table.add(f"{at}: capture on, IOPS", on["iops"])
    table.add(f"{at}: on / off", on["iops"] / off["iops"], ">= 0.7")
    table.add(f"{at}: p99 added by capture, us", on["p99"] - off["p99"])
    if peer is not None:
        table.add(f"{at}: capture on / nbdkit file", on["iops"] / peer["iops"], ">= 1")


def fio(uri: str, depth: int) -> dict[str, float]:
    command = ["fio", "--name=w", "--ioengine=nbd", f"--uri={uri}", "--rw=randwrite", "--bs=4k", f"--iodepth={depth}"]
    command += ["--time_based", f"--runtime={SECONDS}", f"--size={SIZE}m", "--output-format=json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, Any] = json.loads(out[out.index("{") :])["jobs"][0]["write"]
    return {"iops": float(found["iops"]), "p99": found["clat_ns"]["percentile"]["99.000000"] / 1000}


def nbdkit(folder: Path, depth: int) -> dict[str, float] | None:
    """The same against `nbdkit file`; None where it is not installed."""
    disk = folder / "nbdkit.raw"
    with disk.open("wb") as writing:
        writing.truncate(SIZE * MIB)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        server = subprocess.Popen(["nbdkit", "-f", "-p", str(port), "-i", "127.0.0.1", "file", str(disk)])
    except FileNotFoundError:
        print("  nbdkit is not installed: no comparison with it")
        return None
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        return fio(f"nbd://127.0.0.1:{port}", depth)
    finally:
        server.terminate()
        server.wait()
