"""Many vCenters in one process: seconds until a client has logged in to each of them, over TLS on an address of its own.

usage: estates.py [--count 50] [--vms 20] [--runs 3]
"""

import argparse
import gc
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import vc

from emulators.clock import Clock
from emulators.http.sockets import Sockets
from emulators.network import ONPREM, Network
from emulators.vcenter import Model, VCenter


def opened(count, vms, folder):
    transport = Sockets(folder / "certificates")
    model = replace(Model.vcsim(), machines=max(1, vms // 2))
    made = []
    for number in range(count):
        clock = Clock(seed=number, flow=1.0)
        vcenter = VCenter(clock, folder / f"site-{number}", users={"user": ("pass", "Admin")}, model=model, task_pace=0.0)
        host = Network(clock, transport).host(f"vcenter-{number}", ONPREM, address=f"127.92.0.{number + 1}")
        listener = host.listen(443, vcenter.wsgi, asgi=vcenter.asgi)
        clock.start()
        made.append((clock, vcenter, f"https://user:pass@{listener.address}:{listener.actual}/sdk"))
    for _, _, url in made:
        client = vc.Client(url).login()
        client.close()
    return transport, made


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--count", type=int, default=50)
    ap.add_argument("--vms", type=int, default=20)
    ap.add_argument("--runs", type=int, default=3)
    a = ap.parse_args()
    walls, cpus = [], []
    for _ in range(a.runs):
        with tempfile.TemporaryDirectory(prefix="drillbed-bench-") as folder:
            gc.collect()
            t, cpu = time.perf_counter(), time.process_time()
            transport, made = opened(a.count, a.vms, Path(folder))
            walls.append(time.perf_counter() - t)
            cpus.append(time.process_time() - cpu)
            for clock, vcenter, _ in made:
                clock.stop()
                vcenter.close()
            transport.close()
    print(
        json.dumps(
            {
                "test": "estates",
                "count": a.count,
                "vms_each": a.vms,
                "ready_s": round(vc.median(walls), 3),
                "cpu_s": round(vc.median(cpus), 3),
                "runs_s": [round(w, 3) for w in walls],
            }
        )
    )


if __name__ == "__main__":
    main()
