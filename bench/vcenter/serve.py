"""A vCenter with many machines on a loopback port, for the load scripts.

usage: serve.py [--vms 1000] [--disk-gib 40] [--flow 1]

Prints `export GOVC_URL=... PID` once it listens; ends at SIGTERM. Each machine has one thin disk and one card and is on.
"""

import argparse
import os
import signal
import tempfile
import threading
from pathlib import Path

from emulators.clock import Clock
from emulators.http.sockets import Sockets
from emulators.network import ONPREM, Network
from emulators.vcenter import DiskSpec, VCenter


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--vms", type=int, default=1000)
    parser.add_argument("--disk-gib", type=int, default=40)
    parser.add_argument("--flow", type=float, default=1.0)
    told = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with tempfile.TemporaryDirectory(prefix="drillbed-bench-") as folder:
        clock = Clock(seed=1, flow=told.flow)
        network = Network(clock, Sockets(Path(folder) / "certificates"))
        vcenter = VCenter(clock, Path(folder) / "site", users={"user": ("pass", "Admin")}, capacity=1 << 60)
        vcenter.inventory.tasks.pace = 0.0  # tasks take no time, as vcsim's do
        for number in range(told.vms):
            vcenter.add_vm(f"DC0_C0_RP0_VM{number}", disks=[DiskSpec(told.disk_gib << 30)], powered_on=True)
        listener = network.host("vcenter", ONPREM, address="127.91.0.1").listen(443, vcenter.wsgi, asgi=vcenter.asgi)
        clock.start()
        where = f"{listener.address}:{listener.actual}"
        print(f"export GOVC_URL=https://user:pass@{where}/sdk GOVC_SIM_PID={os.getpid()}", flush=True)
        ended.wait()
        vcenter.close()
        clock.stop()
        network.transport.close()


if __name__ == "__main__":
    main()
