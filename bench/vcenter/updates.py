"""WaitForUpdatesEx: how long after a change does a waiting client hear of it?

usage: updates.py URL [--scope one,all] [--rounds 40] [--idle 0] [--pid PID]

One connection waits on its own PropertyCollector, whose filter holds runtime.powerState of one VM
(one) or name and runtime.powerState of every VM through a ContainerView (all). Another connection
changes that VM's power state. Reported: from sending the change to the update's arrival (sent), and
from the reply to the change to the update's arrival (reply; negative where the update came first).
--idle N adds N further waiters that nothing wakes; with --pid their cost in server CPU is reported.
"""

import argparse
import json
import re
import threading
import time

import vc


def collector(c, spec):
    d = c.do("CreatePropertyCollector", *c.sc["propertyCollector"])
    pc = re.search(rb"<returnval[^>]*>([^<]+)<", d).group(1).decode()
    c.do("CreateFilter", "PropertyCollector", pc, "<spec>%s</spec><partialUpdates>false</partialUpdates>" % spec)
    return pc


def wait(c, pc, version, secs=30):
    o = "<options><maxWaitSeconds>%d</maxWaitSeconds></options>" % secs
    return c.do("WaitForUpdatesEx", "PropertyCollector", pc, "<version>%s</version>%s" % (version, o))


def version_of(d):
    m = re.search(rb"<version>([^<]*)</version>", d)
    return m.group(1).decode() if m else None


def start(c, pc):
    v, n = "", 0
    while True:
        d = wait(c, pc, v)
        n += len(d)
        v = version_of(d)
        if b"<truncated>true" not in d:
            return v, n


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("url")
    ap.add_argument("--scope", default="one,all")
    ap.add_argument("--rounds", type=int, default=40)
    ap.add_argument("--idle", type=int, default=0)
    ap.add_argument("--pid", type=int)
    a = ap.parse_args()
    main_c = vc.Client(a.url).login()
    vms = main_c.vms()
    vm = vms[0]
    if main_c.prop("VirtualMachine", vm, "runtime.powerState") != "poweredOn":
        main_c.wait_task(main_c.task("PowerOnVM_Task", "VirtualMachine", vm))
    idle_cpu = None
    if a.idle:
        other = vms[-1]

        def idle():
            c = main_c.clone()
            pc = collector(c, c.spec_obj("VirtualMachine", other, ("runtime.powerState",)))
            v, _ = start(c, pc)
            try:
                wait(c, pc, v, 3600)
            except Exception:
                pass

        for _ in range(a.idle):
            threading.Thread(target=idle, daemon=True).start()
        time.sleep(3)
        if a.pid:
            t = vc.cpu_seconds(a.pid)
            time.sleep(5)
            idle_cpu = round((vc.cpu_seconds(a.pid) - t) / 5 * 100, 1)
    for scope in a.scope.split(","):
        w, ch = main_c.clone(), main_c.clone()
        spec = (
            w.spec_obj("VirtualMachine", vm, ("runtime.powerState",))
            if scope == "one"
            else w.spec_view(w.view(), ("name", "runtime.powerState"))
        )
        pc = collector(w, spec)
        t = time.perf_counter()
        ver, size = start(w, pc)
        first = time.perf_counter() - t
        sent, reply = [], []
        for i in range(a.rounds):
            got = {}

            def waiter(v):
                want = b"poweredOff" if i % 2 == 0 else b"poweredOn"
                while True:
                    d = wait(w, pc, v)
                    v = version_of(d) or v
                    if want in d:
                        break
                got["t"], got["v"] = time.perf_counter(), v

            th = threading.Thread(target=waiter, args=(ver,))
            th.start()
            time.sleep(0.05)
            t0 = time.perf_counter()
            k = ch.task("PowerOffVM_Task" if i % 2 == 0 else "PowerOnVM_Task", "VirtualMachine", vm)
            t1 = time.perf_counter()
            th.join()
            sent.append(got["t"] - t0)
            reply.append(got["t"] - t1)
            ver = got["v"]
            ch.wait_task(k)
        print(
            json.dumps(
                {
                    "test": "updates",
                    "scope": scope,
                    "vms": len(vms),
                    "idle": a.idle,
                    "idle_cpu_percent": idle_cpu,
                    "initial_s": round(first, 4),
                    "initial_bytes": size,
                    "sent_p50_ms": round(vc.pct(sent, 50) * 1e3, 2),
                    "sent_p95_ms": round(vc.pct(sent, 95) * 1e3, 2),
                    "reply_p50_ms": round(vc.pct(reply, 50) * 1e3, 2),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
