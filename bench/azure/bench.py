"""Speed of the Azure emulator: `make bench-azure`. Prints one row a figure: what was asked for, what was measured.

Lives and lists run in one process in virtual time, with scripted components around the service, so what is measured is the
emulator (and, in the life, the vendor's SDK). A GET goes over TLS: the server is a process of its own, and its CPU time counts.
"""

import http.client
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "clients"), str(ROOT / "tests" / "emulators" / "azure" / "site_recovery")]

import scripted_components  # noqa: E402
import test_sdk_site_recovery as life  # noqa: E402
from azure.identity import ClientSecretCredential  # noqa: E402
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient  # noqa: E402
from scripted_site import Site  # noqa: E402
from scripted_transport import Patient  # noqa: E402

from emulators.clock import Clock  # noqa: E402
from emulators.http.sockets import Sockets  # noqa: E402
from emulators.network import AZURE_PUBLIC, Network  # noqa: E402

ITEMS, JOBS, CALLS = int(os.environ.get("ITEMS", "1000")), int(os.environ.get("JOBS", "5000")), 2000
CLIENT = "77777777-7777-7777-7777-777777777777"


def best(work: Callable[[], object], runs: int = 5) -> tuple[float, float]:
    """Medians of wall and of CPU seconds."""
    taken = []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        taken.append((time.perf_counter() - wall, time.process_time() - cpu))
    return statistics.median(one for one, _ in taken), statistics.median(one for _, one in taken)


def whole_life() -> None:
    """Everything of `test_whole_life_by_sdk`: set up, protect, test, fail over, home, protect again."""
    site = Site(seed=17)
    site.prepare_azure()
    site.register()
    _, secret = site.azure.add_client(CLIENT)
    carriers = [Patient(site.operator), Patient(site.operator)]
    credential = ClientSecretCredential(
        site.azure.tenant, CLIENT, secret, authority=site.azure.login_url, disable_instance_discovery=True, transport=carriers[0]
    )
    client = SiteRecoveryManagementClient(
        credential, site.azure.subscription, base_url=site.azure.management_url,
        credential_scopes=["https://management.azure.com/.default"], transport=carriers[1],
    )  # fmt: skip
    sdk = life.Sdk(site, client)
    fabric, container = life.set_up(sdk)
    where = (fabric.name, container.name, "web")
    life.protect(sdk, where)
    life.drill(sdk, where)
    life.there_and_back(sdk, where)
    for carrier in carriers:
        carrier.close()
    site.close()


def crowded(machines: int) -> Site:
    """A site with that many protected machines."""
    names = [f"m{number:05}" for number in range(machines)]
    scripted_components.MACHINES.update({name: f"42000000-0000-4000-8001-{at:012x}" for at, name in enumerate(names)})
    site = Site().set_up()
    for name in names:
        status, answer, _ = site.request("PUT", site.item(name), site.enable_body(name))
        assert status == 202, answer

    def protected() -> bool:
        return all(one["properties"]["protectionState"] == "Protected" for one in everything(site, items(site)))

    assert site.until(protected, seconds=86400)
    return site


def items(site: Site) -> str:
    return f"{site.container}/replicationProtectedItems"


def everything(site: Site, path: str) -> list[Any]:
    """A list with all its pages."""
    found: list[Any] = []
    page = path
    while page:
        answer = site.get(page)
        found += answer["value"]
        page = answer.get("nextLink") or ""
    return found


def unread(site: Site, path: str) -> bytes:
    """An answer as it leaves the service, not parsed."""
    headers = {"Authorization": f"Bearer {site._token}"}
    return site.operator.request("GET", f"https://management.drillbed{path}?api-version=2024-04-01", headers=headers).body


def serve(folder: str) -> None:
    """A child: one protected machine behind TLS until standard input ends."""
    site = Site().set_up()
    site.enable("web")
    clock = Clock(seed=1, flow=1.0)
    transport = Sockets(Path(folder))
    place = f"127.{80 + os.getpid() // 250 % 100}.{os.getpid() % 250}.11"
    host = Network(clock, transport).host("management", AZURE_PUBLIC, address=place, names=["management.drillbed"])
    host.listen(443, site.azure.arm)
    url = f"https://{place}{site.item('web')}?api-version=2024-04-01"
    print(json.dumps({"url": url, "token": site._token, "ca": str(transport.authorities.bundle())}), flush=True)
    sys.stdin.read()
    transport.close()


def over_tls() -> tuple[float, float]:
    """Server CPU seconds of a GET of an item, and calls a second of one client on one connection."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "serve", folder]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        said = json.loads(child.stdout.readline())
        url = urlsplit(said["url"])
        context = ssl.create_default_context(cafile=said["ca"])
        connection = http.client.HTTPSConnection(url.hostname or "", url.port or 443, context=context)
        headers = {"Authorization": f"Bearer {said['token']}", "Host": "management.drillbed"}

        def get() -> None:
            connection.request("GET", f"{url.path}?{url.query}", headers=headers)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, body

        for _ in range(100):
            get()
        cpu, wall = cpu_of(child.pid), time.perf_counter()
        for _ in range(CALLS):
            get()
        cpu, wall = cpu_of(child.pid) - cpu, time.perf_counter() - wall
        connection.close()
        child.communicate()
    return cpu / CALLS, CALLS / wall


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def many_jobs(site: Site) -> dict[str, float]:
    """CPU seconds with few jobs and with `JOBS`: a read of one, a page of all, and a new one from start to end."""

    def start_one() -> None:
        change = {"providerSpecificDetails": {"instanceType": "InMageAzureV2"}, "recoveryAzureVMName": "renamed"}
        site.good("PATCH", site.item("m00000"), {"properties": change})

    jobs = f"{site.vault}/replicationJobs"
    found: dict[str, float] = {}
    for when in ("few", "many"):
        count = len(everything(site, jobs))
        while when == "many" and count < JOBS:
            start_one()
            count += 1
        newest = site.get(jobs)["value"][0]["id"]
        found[f"{when}: jobs"] = count
        found[f"{when}: one job, s CPU"] = best(lambda one=newest: [site.get(one) for _ in range(50)])[1] / 50
        found[f"{when}: each job of a list, s CPU"] = best(lambda: unread(site, jobs))[1] / count
        found[f"{when}: a change of an item, s CPU"] = best(lambda: [start_one() for _ in range(20)])[1] / 20
    return found


def main() -> None:
    def row(what: str, asked: str, here: str) -> None:
        print(f"| {what} | {asked} | {here} |", flush=True)

    print(f"load {os.getloadavg()[0]:.1f}\n\n| | asked for | here |\n|---|---|---|")
    whole_life()
    wall, cpu = best(whole_life, 3)
    row("whole life through the SDK, fast mode", "3 s", f"{wall:.2f} s; {cpu:.2f} s CPU with the client's")
    cpu, rate = over_tls()
    row("GET of a protected item over TLS: server CPU", "1 ms", f"{cpu * 1000:.2f} ms; {rate:.0f}/s on one connection")
    site = crowded(ITEMS)
    for where, path in (("container", items(site)), ("vault", f"{site.vault}/replicationProtectedItems")):
        count, (wall, cpu) = len(everything(site, path)), best(lambda path=path: unread(site, path))
        row(f"list of a {where}'s {count} protected items", "50 ms", f"{wall * 1000:.0f} ms; {cpu * 1000:.0f} ms CPU")
    site.close()
    site = crowded(20)
    found = many_jobs(site)
    for what in ("one job", "each job of a list", "a change of an item"):
        few, many = found[f"few: {what}, s CPU"], found[f"many: {what}, s CPU"]
        counts = f"{found['few: jobs']:.0f} and {found['many: jobs']:.0f} jobs"
        row(f"{what}, CPU with {counts}", "alike", f"{few * 1000:.3f} and {many * 1000:.3f} ms ({many / few:.2f})")
    site.close()


if __name__ == "__main__":
    serve(sys.argv[2]) if sys.argv[1:2] == ["serve"] else main()
