"""First copy and delta of a real image into Azurite, beside their bounds and the peers, in one run."""

import shutil
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import limits
import peers
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas
from measure import MIB, Table, cpu_of, make_image, timed

from drillbed.estate import Estate, EstatePlan, MachinePlan
from reference_impl import records
from reference_impl.process_server.cache import open_lane
from reference_impl.process_server.crew import Crew
from reference_impl.process_server.sinks import StorageSink
from reference_impl.rules import Rules


def run(folder: Path, table: Table) -> None:
    """One run of everything in here."""
    image, changes = make_image(folder)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        source = work / "source.raw"
        copy_sparse(image, source)
        plan = EstatePlan(way="embedded", machines=[MachinePlan("db", "WINDOWS", [1], source=source, workload=False)])
        with Estate.open(plan, work / "estate") as estate:
            estate.prepare_azure()
            estate.register_site()
            estate.add_vcenter()
            estate.vault.make_policies()
            bound = _bounds(estate, image, table)
            _pass_on(estate, image, work, bound, table)
            copied = _first_copy(estate, bound, table)
            delta = _delta(estate, changes, table)
            _peers(estate, image, changes, work, (copied, delta), table)
    data = image.read_bytes()[: 512 * MIB]
    with timed() as took:
        records.block_digests(data)
    table.add("resync check of 64 KiB blocks, GiB/s", len(data) / took[0] / (1 << 30), ">= 3")


def copy_sparse(image: Path, target: Path) -> None:
    subprocess.run(["cp", "--sparse=always", str(image), str(target)], check=True)


def _azurite(estate: Estate) -> int:
    process = estate.azure.storage.process
    assert process is not None
    return process.pid


def _store(estate: Estate, host: str) -> Any:
    return estate.azure.storage.open(estate.places.host(host), "drillcache")


def _bounds(estate: Estate, image: Path, table: Table) -> limits.Limits:
    found = limits.measure(image, _store(estate, "operator"), _azurite(estate))
    table.add("codec alone, two threads, s", found.codec)
    table.add("store alone (Azurite over TLS), two connections, s", found.store)
    table.add("bound t_min, s", found.bound)
    table.add("  of which the processor time of both / 2 cores, s", (found.codec_cpu + found.store_cpu) / limits.CORES)
    return found


def _pass_on(estate: Estate, image: Path, work: Path, bound: limits.Limits, table: Table) -> None:
    """What a process server does with received data: cache to log to Azurite. Nothing else runs."""
    clock, crew = estate.clock.scope("bench"), Crew()
    lane = open_lane(work / "lane", clock.uuid(), 1)
    cache = {"account": "drillcache", "container": "passed-on", "queue": "passed-on"}
    settings = {"sink": {"cache": cache}, "dataKey": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "disks": []}
    host = estate.places.host("process-server")
    opened = estate.azure.storage.open(host, "drillcache")
    sink = StorageSink(lane, host, clock, Rules(), lambda _host, _said: opened, settings, crew)
    sink.position()
    number, offset = 1, 0
    for piece in limits.pieces_of(image):
        segment = records.Segment(lane.machine_id, 1, number, [records.copy(0, offset, piece, clock.now())])
        raw = records.encode(segment)
        lane.receive(records.read_head(raw), raw)
        number, offset = number + 1, offset + len(piece)
    cpu = cpu_of() + cpu_of(_azurite(estate))
    with timed() as took:
        while lane.pending_bytes:
            assert sink.step() == "moved"
    crew.close()
    table.add("pass on from the cache, t_min / s", bound.bound / took[0], ">= 0.9")
    table.add(
        "  its processor time / that of both alone",
        (cpu_of() + cpu_of(_azurite(estate)) - cpu) / (bound.codec_cpu + bound.store_cpu),
    )
    lane.destroy()


def _point_is_up(estate: Estate) -> bool:
    server = estate.site.process_server
    lanes = [machine.lane for machine in server.machines.values()] if server is not None else []
    return any(lane.last_tag is not None and not lane.pending_bytes for lane in lanes)


def _first_copy(estate: Estate, bound: limits.Limits, table: Table) -> float:
    """From the moment the process server knows the machine until its first point is in Azurite; nobody applies meanwhile."""
    server, machine_id = estate.site.process_server, estate.machines.software["db"].machine_id
    assert server is not None
    estate.protect("db")
    estate.clock.wait_until(lambda: bool(server.machines) and all(w.find(machine_id) for w in estate.azure.workers), seconds=3600)
    for worker in estate.azure.workers:
        worker.kill()
    cpu = cpu_of() + cpu_of(_azurite(estate))
    with timed() as took:
        estate.clock.wait_until(lambda: _point_is_up(estate), seconds=36000)
    table.add("first copy, agent to Azurite over TLS on 9443 and 443, s", took[0])
    table.add("first copy, t_min / s", bound.bound / took[0], ">= 0.9")
    table.add("  its processor time, s (one process but Azurite)", cpu_of() + cpu_of(_azurite(estate)) - cpu)
    return took[0]


def _delta(estate: Estate, changes: list[tuple[int, bytes]], table: Table) -> float:
    server, guest = estate.site.process_server, estate.machines.guest("db")
    assert server is not None
    assert guest is not None
    disk, reads = guest.disk(0), [0]
    lane = next(iter(server.machines.values())).lane
    stored = lane.stored_bytes
    counted = Counted(disk.device, reads)
    disk.device = counted
    with timed() as took:
        for offset, data in changes:
            disk.write(offset, data)
        last = guest.service("mobility-agent").replication.stream.last
        estate.clock.wait_until(lambda: lane.uploaded >= last, seconds=3600)
    disk.device = counted.inner
    table.add("delta of 5 %, s", took[0])
    table.add("  bytes uploaded / compressed changes", (lane.stored_bytes - stored) / limits.compressed(changes), "< 1.1")
    table.add("  bytes read from the disk for it", reads[0], "<= 0")
    return took[0]


class Counted:
    """A device that counts what is read from it."""

    def __init__(self, inner: Any, reads: list[int]):
        self.inner, self._reads = inner, reads

    def read(self, offset: int, length: int) -> bytes:
        self._reads[0] += length
        return bytes(self.inner.read(offset, length))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _peers(
    estate: Estate, image: Path, changes: list[tuple[int, bytes]], work: Path, ours: tuple[float, float], table: Table
) -> None:
    if peers.absent():
        print(f"  no peers: not installed: {', '.join(peers.absent())}")
        return
    changed = work / "changed.raw"
    copy_sparse(image, changed)
    with changed.open("r+b") as writing:
        for offset, data in changes:
            writing.seek(offset)
            writing.write(data)
    transport: Any = estate.network.transport
    address, port = transport.where(estate.places.host("storage"), 443)
    key = estate.operator.run("POST", f"{estate.targets.cache}/listKeys", {})["keys"][0]["value"]
    everything = AccountSasPermissions(read=True, write=True, delete=True, list=True, add=True, create=True, update=True)
    kinds = ResourceTypes(service=True, container=True, object=True)
    sas = generate_account_sas("drillcache", key, kinds, everything, datetime(2199, 1, 1))
    seconds = peers.restic(work, image, changed, f"https://{address}:{port}/drillcache?{sas}")
    table.add("restic into the same Azurite: first, s", seconds[0])
    table.add("restic into the same Azurite: second, s", seconds[1])
    table.add("first copy: times as fast as restic", seconds[0] / ours[0], ">= 2.5")
    table.add("delta: times as fast as restic's second", seconds[1] / ours[1], ">= 5")
    second = peers.borg(work, image, changed)[1]
    table.add("borg into a folder: second, s", second)
    table.add("delta: times as fast as borg's second", second / ours[1], ">= 5")
    shutil.rmtree(work / "borg", ignore_errors=True)
