"""Small calls over keep-alive connections with wrk: requests a second and latency.

usage: small.py URL [--seconds 5] [--runs 3] [--conns 1,8,32] [--calls time,power] [--spread 1] [--pid PID]

time:  CurrentTime
power: RetrievePropertiesEx of one VM's runtime.powerState; with --spread N the calls go round N VMs
With --pid the server's CPU microseconds a request are reported too (steadier on a busy machine).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import vc


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("url")
    ap.add_argument("--seconds", type=int, default=5)
    ap.add_argument("--runs", type=int, default=3)
    ap.add_argument("--conns", default="1,8,32")
    ap.add_argument("--calls", default="time,power")
    ap.add_argument("--spread", type=int, default=1)
    ap.add_argument("--pid", type=int)
    a = ap.parse_args()
    c = vc.Client(a.url).login()
    bodies = {
        "time": [vc.call("CurrentTime", "ServiceInstance", "ServiceInstance")],
        "power": [c.body_retrieve(c.spec_obj("VirtualMachine", v, ("runtime.powerState",))) for v in c.vms()[: a.spread]],
    }
    target = "%s://%s:%d%s" % ("https" if c.tls else "http", c.host, c.port, c.path)
    lua = os.path.join(os.path.dirname(os.path.abspath(__file__)), "small.lua")
    out = []
    for name in a.calls.split(","):
        c.post(bodies[name][0])
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"\0".join(bodies[name]))
            f.flush()
            env = dict(os.environ, VC_BODY=f.name, VC_COOKIE=c.cookie or "")
            for n in map(int, a.conns.split(",")):
                rows = []
                for _ in range(a.runs):
                    cpu = vc.cpu_seconds(a.pid) if a.pid else 0
                    p = subprocess.run(
                        ["wrk", "-t1", "-c%d" % n, "-d%ds" % a.seconds, "-s", lua, target],
                        env=env,
                        capture_output=True,
                        text=True,
                    )
                    line = [x for x in p.stdout.splitlines() if x.startswith("@@")]
                    if not line:
                        sys.exit(p.stdout + p.stderr)
                    q = list(map(float, line[0].split()[1:]))
                    rows.append(
                        (
                            q[0] / q[1] * 1e6,
                            q[4] / 1e3,
                            q[5] / 1e3,
                            q[6] / 1e3,
                            q[3],
                            (vc.cpu_seconds(a.pid) - cpu) / q[0] * 1e6 if a.pid and q[0] else 0,
                        )
                    )
                rows.sort()
                r = rows[len(rows) // 2]
                out.append(
                    {
                        "call": name,
                        "spread": len(bodies[name]),
                        "tls": c.tls,
                        "conns": n,
                        "req_s": round(r[0]),
                        "p50_ms": round(r[1], 3),
                        "p90_ms": round(r[2], 3),
                        "p99_ms": round(r[3], 3),
                        "errors": int(sum(x[4] for x in rows)),
                        "server_cpu_us": round(vc.median([x[5] for x in rows]), 1),
                        "req_s_runs": [round(x[0]) for x in rows],
                    }
                )
                print(json.dumps(out[-1]), flush=True)


if __name__ == "__main__":
    main()
