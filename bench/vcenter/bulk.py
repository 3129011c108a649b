"""RetrievePropertiesEx of four properties of every VM through a ContainerView: wall time and bytes.

usage: bulk.py URL [--runs 5] [--max-objects N] [--props a,b,c] [--pyvmomi] [--pid PID]

Raw by default (a prepared body is replayed and the reply's bytes are counted); with --pyvmomi the
same read goes through pyVmomi, its parsing included. With --pid the server's CPU seconds a read
are reported too: on a busy machine they are steadier than wall time.
"""

import argparse
import json
import re
import time

import vc


def raw(a, props):
    c = vc.Client(a.url).login()
    n = len(c.vms())
    body = c.body_retrieve(c.spec_view(c.view(), props), a.max_objects)
    walls, size = [], 0
    for _ in range(a.runs + 1):
        t = time.perf_counter()
        if a.max_objects:
            d = c.post(body)
            size = len(d)
            m = re.search(rb"<token>([^<]+)</token>", d)
            while m:
                d = c.post(c.body_continue(m.group(1).decode()))
                size += len(d)
                m = re.search(rb"<token>([^<]+)</token>", d[-4096:]) or re.search(rb"<token>([^<]+)</token>", d[:4096])
        else:
            size = c.post(body, discard=True)
        walls.append(time.perf_counter() - t)
    return n, walls, size


def pyvmomi(a, props):
    import ssl

    from pyVim.connect import SmartConnect
    from pyVmomi import vim, vmodl

    u = vc.Client(a.url)
    ctx = ssl._create_unverified_context()
    si = SmartConnect(
        protocol="https" if u.tls else "http",
        host=u.host,
        port=u.port,
        user=u.user,
        pwd=u.password,
        sslContext=ctx if u.tls else None,
    )
    k = si.content
    view = k.viewManager.CreateContainerView(k.rootFolder, [vim.VirtualMachine], True)
    P = vmodl.query.PropertyCollector
    fs = P.FilterSpec(
        objectSet=[
            P.ObjectSpec(
                obj=view, skip=True, selectSet=[P.TraversalSpec(name="v", path="view", skip=False, type=vim.ContainerView)]
            )
        ],
        propSet=[P.PropertySpec(type=vim.VirtualMachine, pathSet=list(props))],
    )
    walls, n = [], 0
    for _ in range(a.runs + 1):
        t = time.perf_counter()
        r = k.propertyCollector.RetrievePropertiesEx([fs], P.RetrieveOptions(maxObjects=a.max_objects))
        n = len(r.objects)
        while r.token:
            r = k.propertyCollector.ContinueRetrievePropertiesEx(r.token)
            n += len(r.objects)
        walls.append(time.perf_counter() - t)
    return n, walls, None


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("url")
    ap.add_argument("--runs", type=int, default=5)
    ap.add_argument("--max-objects", type=int)
    ap.add_argument("--props", default=",".join(vc.BULK_PROPS))
    ap.add_argument("--pyvmomi", action="store_true")
    ap.add_argument("--pid", type=int)
    a = ap.parse_args()
    props = a.props.split(",")
    cpu = vc.cpu_seconds(a.pid) if a.pid else 0
    n, walls, size = (pyvmomi if a.pyvmomi else raw)(a, props)
    m = vc.median(walls[1:])
    r = {
        "client": "pyvmomi" if a.pyvmomi else "raw",
        "vms": n,
        "first_s": round(walls[0], 4),
        "median_s": round(m, 4),
        "runs_s": [round(w, 4) for w in walls[1:]],
        "vms_per_s": round(n / m),
    }
    if a.pid:
        r["server_cpu_s_per_read"] = round((vc.cpu_seconds(a.pid) - cpu) / (a.runs + 1), 4)
    if size:
        r.update(bytes=size, bytes_per_vm=round(size / n), mib_per_s=round(size / m / 2**20, 1))
    print(json.dumps(r))


if __name__ == "__main__":
    main()
