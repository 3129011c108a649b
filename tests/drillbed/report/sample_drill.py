"""A made-up drill, large enough to fill the page. Seeded."""

from random import Random

from drillbed.report.result import DiskCheck, DrillResult, FlowRow, HostPlace, Mark, Point, RpoSample, StepResult

MIB = 1024 * 1024
START = 1528099200.0
NAMES = (
    ("Register the configuration server", 60, 0, "registered with vault shop-vault over 443"),
    ("Discover the vCenter", 120, 2, "3 machines became protectable"),
    ("Policies and mappings", 30, 0, ""),
    ("Protect: agents and first copy", 900, 120, "web, app, db are Protected; 432 MiB read, 118 MiB shipped"),
    ("Replicate changes", 3600, 30, "36 points, 12 shared by app and db"),
    ("Test failover and clean-up", 600, 4, "db at 09:20:00 equals that instant"),
    ("Fail over by recovery plan", 900, 9, "db, app, web in this order"),
    ("Compare every disk in Azure", 0, 0, "6 disks equal"),
    ("Commit", 60, 0, "recovery points gone"),
    ("Work in Azure", 600, 6, ""),
    ("Failback prerequisites bite", 300, 0, "5 refusals, each with its reason"),
    ("Reprotect, differences only", 1500, 14, "14 MiB of 432 MiB"),
    ("Fail back", 900, 3, ""),
    ("Commit the failback", 60, 0, "the Azure VMs are gone"),
    ("Protect again", 1200, 12, ""),
)
PLACES = {
    "onprem": ("vcenter", "configuration-server", "process-server", "master-target", "web", "app", "db"),
    "azure-public": ("management", "login", "site-recovery", "storage", "replica-worker"),
    "azure-vnet": ("process-server-azure", "web.azure", "app.azure", "db.azure"),
    "operator": ("operator",),
}
FLOWS = (
    ("operator", "management", 443, 2), ("operator", "login", 443, 1), ("operator", "vcenter", 443, 1),
    ("configuration-server", "site-recovery", 443, 1), ("configuration-server", "vcenter", 443, 3),
    ("configuration-server", "web", 135, 1), ("configuration-server", "app", 135, 1), ("configuration-server", "db", 22, 1),
    ("web", "configuration-server", 443, 1), ("app", "configuration-server", 443, 1), ("db", "configuration-server", 443, 1),
    ("process-server", "configuration-server", 443, 1), ("master-target", "configuration-server", 443, 1),
    ("web", "process-server", 9443, 64), ("app", "process-server", 9443, 80), ("db", "process-server", 9443, 288),
    ("app", "db", 20004, 1), ("process-server", "storage", 443, 118), ("replica-worker", "storage", 443, 432),
    ("replica-worker", "site-recovery", 443, 1), ("db.azure", "process-server-azure", 9443, 12),
    ("web.azure", "process-server-azure", 9443, 2), ("app.azure", "process-server-azure", 9443, 3),
    ("process-server-azure", "master-target", 9443, 14), ("process-server-azure", "configuration-server", 443, 1),
    ("web.azure", "configuration-server", 443, 1),
)  # fmt: skip


def sample(*, ok: bool = True) -> DrillResult:
    """The result of a drill that held, or one that ended at its seventh step."""
    random = Random(5)
    result = DrillResult(profile="classic", seed=5, ok=ok, started=START)
    when = START
    for name, emulated, moved, detail in NAMES[: len(NAMES) if ok else 7]:
        held = ok or name != NAMES[6][0]
        words = (
            detail if held else "job Failed at <Failover>: site unreachable; port 443 from process-server to storage is blocked"
        )
        result.steps.append(StepResult(name, held, random.uniform(0.1, 4), emulated, moved * MIB, words, when))
        when += emulated
    result.ended, result.real_s = when, 41.7
    for offset in range(1200, int(when - START) - 2400, 300):
        for machine in ("web", "app", "db"):
            kind = "ApplicationConsistent" if offset % 3600 == 0 else "CrashConsistent"
            result.points.append(Point(machine, START + offset, kind, machine != "web"))
            result.rpo.append(RpoSample(machine, START + offset, random.uniform(4, 70)))
    for side in ("azure", "onprem again") if ok else ():
        for machine in ("web", "app", "db"):
            for unit in (0, 1):
                result.disks.append(DiskCheck(machine, f"disk {unit}", side, f"{random.getrandbits(256):064x}", equal=True))
    marks = [(4750, "test", "Test failover of db to 09:20", "db"), (5310, "failover", "Failover of plan shop", "")]
    marks += [
        (6210, "commit", "Commit", ""),
        (6900, "refused", "Reprotect refused: snapshot", "db"),
        (7170, "reprotect", "Reprotect", ""),
    ]
    marks += [(8670, "failback", "Fail back", ""), (9570, "commit", "Commit of the failback", "")]
    result.marks = [Mark(START + at, kind, text, machine) for at, kind, text, machine in marks if START + at <= when]
    result.hosts = [
        HostPlace(name, zone, f"127.20.{row}.{column}")
        for row, (zone, names) in enumerate(PLACES.items(), 1)
        for column, name in enumerate(names, 10)
    ]
    result.flows = [FlowRow(source, target, port, moved * MIB + 900, tls=port != 135) for source, target, port, moved in FLOWS]
    result.facts = {"Real input": "ext4 made from real files, 256 MiB", "Peak memory": "412 MiB"}
    return result
