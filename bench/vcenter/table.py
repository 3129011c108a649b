"""All measurements of the vCenter emulator in one table, with what is asked for and what vcsim took.

usage: table.py [--quick] [--json FILE]

Starts `vcsim` with 1,000 and with 10,000 machines (files in memory where /dev/shm is), runs the scripts beside this one against
it, and prints a table. The figures of vcsim were taken earlier with the same scripts on a machine of this size: ratios are rough.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
VCSIM = str(Path(sys.executable).with_name("vcsim"))


def run(script, *arguments):
    done = subprocess.run([sys.executable, str(HERE / script), *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{script} failed:\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


class Server:
    """A vcsim with `machines` machines."""

    def __init__(self, machines):
        command = [VCSIM, "-l", "127.0.0.1:0", "-vm", str(machines // 2)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.url = next(word for word in line.split() if word.startswith("GOVC_URL=")).removeprefix("GOVC_URL=")
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def rows(quick):
    runs = 1 if quick else 3
    for machines, goal, peer in ((1000, 1.0, "36"), (10_000, 6.0, "374 to 389")):
        command = [VCSIM, "-l", "127.0.0.1:0", "-vm", machines // 2]
        (found,) = run("startup.py", "--runs", runs, "--bulk", "--", *command)
        label, kept = f"{machines:,} machines", "95" if machines == 1000 else "622"
        yield f"start to first login, {label}, s", goal, found["login_s_median"], peer, min
        memory = found["rss_after_bulk_mib_median"]
        yield f"resident after three bulk reads, {label}, MiB", 300 if machines > 1000 else None, memory, kept, min
    with Server(10_000) as server:
        (bulk,) = run("bulk.py", server.url, "--runs", 5, "--pid", server.pid)
        yield "bulk read of 10,000, first, s", 2.0, bulk["first_s"], "", min
        yield "bulk read of 10,000, later, s", 0.5, bulk["median_s"], "7.2 to 8.6", min
        yield "... CPU of the server, s", None, bulk["server_cpu_s_per_read"], "9.2 to 9.7", min
        updates = run("updates.py", server.url, "--rounds", 10 if quick else 30)
        yield "wake-up among 10,000 after the reply, ms", 10, updates[1]["reply_p50_ms"], "2,451", min
        yield "... from sending the change, ms", None, updates[1]["sent_p50_ms"], "", min
        (power, *_) = run("power.py", server.url, "--threads", 1, "--ops", 400, "--runs", runs, "--pid", server.pid)
        yield "power operations with their tasks, 1/s", 500, power["ops_s"], "361 to 447", max
        yield "... CPU of the server, ms", None, power["server_cpu_ms_per_op"], "1.7 to 3.8", min
        if shutil.which("wrk"):
            peers = {
                "time": {1: "3.9 to 5.7 k", 8: "5.8 to 10 k", 32: "6.3 to 12.7 k"},
                "power": {1: "3.0 to 4.3 k", 8: "6.1 to 7.9 k", 32: "5.5 to 8.3 k"},
            }
            for one in run("small.py", server.url, "--seconds", 2 if quick else 4, "--runs", runs, "--pid", server.pid):
                name = {"time": "CurrentTime", "power": "one machine's power state"}[one["call"]]
                goal = {1: 6000, 8: 10_000, 32: 10_000}[one["conns"]]
                text = f"{name} over TLS, {one['conns']} connections, 1/s ({one['server_cpu_us']:.0f} µs CPU)"
                yield text, goal, one["req_s"], peers[one["call"]][one["conns"]], max
        else:
            print("The small calls are left out: wrk is not installed.", file=sys.stderr)
    (estates,) = run("estates.py", "--runs", runs, "--vms", 4)
    yield "50 estates in one process, ready, s", 2.0, estates["ready_s"], "", min
    yield "... CPU of all, clients too, s", None, estates["cpu_s"], "", min


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--quick", action="store_true")
    ap.add_argument("--json")
    a = ap.parse_args()
    if Path("/dev/shm").is_dir():
        os.environ.setdefault("TMPDIR", "/dev/shm")
    before = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {before:.1f}, Python {sys.version.split()[0]}\n")
    print("| what | asked for | here | | vcsim |\n|---|---|---|---|---|", flush=True)
    kept = []
    for text, goal, value, peer, best in rows(a.quick):
        verdict = "" if goal is None else "met" if best(goal, value) == value else "**missed**"
        print(f"| {text} | {'' if goal is None else f'{goal:,}'} | {value:,} | {verdict} | {peer} |", flush=True)
        kept.append({"what": text, "asked": goal, "here": value, "vcsim": peer, "verdict": verdict.strip("*")})
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")
    if a.json:
        Path(a.json).write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
