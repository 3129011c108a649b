"""Time from process start to the first successful Login, and resident memory.

usage: startup.py [--runs 5] [--bulk] [--url URL] -- COMMAND ARG...

COMMAND must either print a line holding GOVC_URL=<url> on its standard output once it listens
(the start-up contract of vcsim), or listen at --url, which is then polled.
"""

import argparse
import json
import re
import signal
import subprocess
import sys
import time

import vc


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--runs", type=int, default=5)
    ap.add_argument("--bulk", action="store_true", help="also read everything once, and look at memory again")
    ap.add_argument("--url")
    ap.add_argument("cmd", nargs=argparse.REMAINDER)
    a = ap.parse_args()
    cmd = a.cmd[1:] if a.cmd and a.cmd[0] == "--" else a.cmd
    out = {"announce_s": [], "login_s": [], "rss_mib": [], "rss_after_bulk_mib": [], "vms": None}
    for _ in range(a.runs):
        t0 = time.perf_counter()
        p = subprocess.Popen(cmd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            url = a.url
            if not url:
                for line in p.stdout:
                    m = re.search(r"GOVC_URL=(\S+)", line)
                    if m:
                        url = m.group(1)
                        break
                else:
                    sys.exit("no GOVC_URL line from the command")
            out["announce_s"].append(round(time.perf_counter() - t0, 4))
            while True:
                c = vc.Client(url)
                try:
                    c.login()
                    break
                except (OSError, vc.Fault):
                    time.sleep(0.005)
            out["login_s"].append(round(time.perf_counter() - t0, 4))
            time.sleep(0.5)
            out["rss_mib"].append(round(vc.tree_rss_kib(p.pid) / 1024, 1))
            if a.bulk:
                body = c.body_retrieve(c.spec_view(c.view(), vc.BULK_PROPS))
                for _ in range(3):
                    c.post(body, discard=True)
                time.sleep(0.5)
                out["rss_after_bulk_mib"].append(round(vc.tree_rss_kib(p.pid) / 1024, 1))
            out["vms"] = len(c.vms())
            c.close()
        finally:
            p.send_signal(signal.SIGTERM)
            try:
                p.wait(60)
            except subprocess.TimeoutExpired:
                p.kill()
    for k in ("announce_s", "login_s", "rss_mib", "rss_after_bulk_mib"):
        if out[k]:
            out[k + "_median"] = vc.median(out[k])
    print(json.dumps(out))


if __name__ == "__main__":
    main()
