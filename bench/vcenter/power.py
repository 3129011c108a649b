"""Power operations: PowerOffVM_Task / PowerOnVM_Task, each waited for, in operations a second.

usage: power.py URL [--threads 1,8] [--ops 400] [--runs 3] [--pid PID]

Each worker has its own connection and its own VMs; a task is waited for by reading info.state.
"""

import argparse
import json
import threading
import time

import vc


def worker(c, vms, ops, lat, errs):
    for i in range(ops):
        vm = vms[(i // 2) % len(vms)]
        t = time.perf_counter()
        k = c.task("PowerOffVM_Task" if i % 2 == 0 else "PowerOnVM_Task", "VirtualMachine", vm)
        if c.wait_task(k) != "success":
            errs.append(k)
        lat.append(time.perf_counter() - t)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("url")
    ap.add_argument("--threads", default="1,8")
    ap.add_argument("--ops", type=int, default=400)
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--pid", type=int)
    a = ap.parse_args()
    c = vc.Client(a.url).login()
    vms = c.vms()
    for vm in vms[:64]:
        if c.prop("VirtualMachine", vm, "runtime.powerState") != "poweredOn":
            c.wait_task(c.task("PowerOnVM_Task", "VirtualMachine", vm))
    for n in map(int, a.threads.split(",")):
        rates, lat, errs = [], [], []
        per = max(1, min(8, len(vms) // n))
        cpu = vc.cpu_seconds(a.pid) if a.pid else 0
        for _ in range(a.runs):
            ts = [
                threading.Thread(target=worker, args=(c.clone(), vms[i * per : (i + 1) * per], a.ops // n // 2 * 2, lat, errs))
                for i in range(n)
            ]
            t = time.perf_counter()
            [x.start() for x in ts]
            [x.join() for x in ts]
            rates.append(a.ops // n // 2 * 2 * n / (time.perf_counter() - t))
        print(
            json.dumps(
                {
                    "test": "power",
                    "vms": len(vms),
                    "threads": n,
                    "ops_s": round(vc.median(rates), 1),
                    "p50_ms": round(vc.pct(lat, 50) * 1e3, 2),
                    "p99_ms": round(vc.pct(lat, 99) * 1e3, 2),
                    "errors": len(errs),
                    "server_cpu_ms_per_op": round((vc.cpu_seconds(a.pid) - cpu) / len(lat) * 1e3, 3) if a.pid else None,
                    "ops_s_runs": [round(r, 1) for r in rates],
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
