"""Health of a protected item: what is wrong now, as errors that go when their cause is gone (EVT-001 to EVT-009)."""

from collections.abc import Iterator
from dataclasses import dataclass

from emulators.azure.site_recovery.profiles import CLASSIC
from emulators.azure.site_recovery.records import Fabric, Item, Vault
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.states import is_forward, provider_of
from emulators.azure.site_recovery.wire import Json, parse_time
from emulators.clock import iso


@dataclass(frozen=True, slots=True)
class HealthKind:
    """One health error. `number` is the code where one is documented, else a name in PascalCase."""

    number: str
    level: str
    summary: str
    causes: str
    action: str
    category: str = "Replication"
    source: str = "6"
    kind: str = "15"


HEALTH: dict[str, HealthKind] = {
    "agent-silent": HealthKind(
        "78174",
        "Critical",
        "No heartbeat from the Mobility Service.",
        "The machine or its agent is off, or 443 is blocked.",
        "Check both.",
    ),
    "process-server-unreachable": HealthKind(
        "806", "Critical", "No heartbeat from the process server.", "It is off, or 9443 is blocked.", "Check the process server."
    ),
    "master-target-unreachable": HealthKind(
        "78022", "Critical", "No heartbeat from the master target.", "It is off, or 443 is blocked.", "Check the master target."
    ),
    "group-unreachable": HealthKind(
        "ReplicationGroupUnreachable",
        "Warning",
        "A member of the replication group does not answer.",
        "Port 20004 is blocked.",
        "Open port 20004 between the members; shared recovery points resume by themselves.",
    ),
    "quiesce-failed": HealthKind(
        "78144",
        "Warning",
        "No application-consistent recovery point could be made.",
        "A script or an application did not come to rest.",
        "Check the scripts and writers of the machine; crash-consistent points go on.",
    ),
    "journal-full": HealthKind(
        "JournalDiskFull",
        "Warning",
        "The disk of the agent's journal is full.",
        "There is no room for changes that wait to be sent.",
        "Make room on the machine.",
    ),
    "another-agent": HealthKind(
        "AnotherAgent",
        "Critical",
        "Another agent with the identity of this machine sends data.",
        "The machine was cloned, or an old copy of it was started.",
        "Turn the copy off, then resynchronize the machine.",
    ),
    # REP-016: churn above what can be uploaded shows here; the machine is never slowed down
    "cache-full": HealthKind(
        "78188",
        "Warning",
        "The cache of the process server is full.",
        "More data change than can be uploaded.",
        "Wait, or scale out.",
    ),
    "upload-blocked": HealthKind(
        "UploadBlocked",
        "Warning",
        "Data cannot be uploaded to the cache storage account.",
        "443 to the account is blocked.",
        "Check the connection to Azure.",
    ),
    "configuration-server-silent": HealthKind(
        "ConfigurationServerDisconnected",
        "Critical",
        "No heartbeat from the configuration server.",
        "It is off, or 443 is blocked.",
        "Check the configuration server.",
        category="FabricInfrastructure",
    ),
    "rpo-threshold": HealthKind(
        "78026",
        "Warning",
        "The recovery point objective is above its threshold.",
        "Data wait to be uploaded.",
        "Check the links.",
    ),
    "no-crash-point": HealthKind(
        "325091",
        "Critical",
        "No crash-consistent recovery point in the last 60 minutes.",
        "Replication or processing stands still.",
        "Check the machine and the process server.",
    ),
    "resync": HealthKind(
        "324510",
        "Critical",
        "Resynchronization is required.",
        "Changes were lost, or a disk was resized.",
        "Resynchronize the machine.",
    ),
    "log-damaged": HealthKind(
        "ReplicationLogDamaged",
        "Critical",
        "A replication log in the cache account is damaged.",
        "It was altered or lost.",
        "Resynchronize the machine.",
    ),
    "enable-failed": HealthKind(
        "310056",
        "Critical",
        "Protection couldn't be enabled.",
        "See the job.",
        "Disable replication, mend the cause, enable again.",
    ),
    "no-app-point": HealthKind(
        "325092",
        "Warning",
        "No recent application-consistent recovery point.",
        "The machine cannot make them, or processing stands still.",
        "Check the snapshot service or the scripts of the machine.",
    ),
    "no-app-point-on-site": HealthKind(
        "531006",
        "Warning",
        "No recent application-consistent recovery point on the site.",
        "The Azure virtual machine cannot make them.",
        "Fail back to a crash-consistent point.",
    ),
    "no-app-point-classic": HealthKind(
        "78144",
        "Warning",
        "No recent application-consistent recovery point.",
        "The machine cannot make them, or processing stands still.",
        "Check the snapshot service or the scripts of the machine.",
    ),
    "newer-component": HealthKind(
        "ComponentVersionNewer",
        "Critical",
        "The master target is newer than the configuration server.",
        "Components may be of the same or an older version.",
        "Update the configuration server.",
    ),
    "target-missing": HealthKind(
        "TargetResourceMissing",
        "Warning",
        "A resource that a failover needs does not exist.",
        "It was deleted after protection was enabled.",
        "Create it, or change the settings of the item.",
        category="Configuration",
    ),
    "failback-cancelled": HealthKind(
        "548004",
        "Info",
        "The planned failover was cancelled.",
        "Somebody cancelled it before the commit.",
        "Nothing has to be done: the Azure virtual machine runs and replicates to the site again.",
    ),
    "no-test-failover": HealthKind(
        "161011",
        "Warning",
        "No test failover was completed.",
        "None was run, or it was not cleaned up.",
        "Run a test failover.",
        category="TestFailover",
    ),
}

#: What can be wrong with a fabric (EVT-008, TOP-014).
FABRIC_HEALTH: dict[str, HealthKind] = {
    "silent": HEALTH["configuration-server-silent"],
    "certificate-expired": HealthKind(
        "CertificateExpired",
        "Critical",
        "The certificate of the configuration server has expired.",
        "It was not renewed in time.",
        "Renew it on the configuration server.",
        category="VersionExpiry",
    ),
    "certificate-expiring": HealthKind(
        "CertificateExpiring",
        "Warning",
        "The certificate of the configuration server expires within two months.",
        "It holds for three years.",
        "Renew the certificate.",
        category="VersionExpiry",
    ),
}
#: Categories that are of the failover, not of the replication (EVT-002).
_FAILOVER = ("TestFailover", "Configuration")

_WORST = {"Normal": 0, "Info": 0, "Warning": 1, "Critical": 2}


def current_rpo(item: Item, now: float) -> float | None:
    """Age of the newest recoverable state, in seconds; it grows while no report comes (RPT-010)."""
    rpo, reported = item.machine.get("rpoSeconds"), item.machine.get("reported")
    return None if rpo is None or reported is None else float(rpo) + now - float(reported)


def causes(service: Service, fabric: Fabric, item: Item) -> Iterator[str]:
    """Keys of `HEALTH` that hold for an item now."""
    if item.state == "enabling-failed":
        yield "enable-failed"
    if item.state in ("protected", "cleanup-pending"):
        if not item.drill_done:
            yield "no-test-failover"  # TFO-011
        if item.target_faults:
            yield "target-missing"  # AVM-011
    if item.state == "reverse-protected" and item.reverse.get("plannedStatus") == "Cancelled":
        yield "failback-cancelled"  # FB-008
    if item.state in (
        "replicating",
        "awaiting-point",
        "protected",
        "cleanup-pending",
        "reverse-replicating",
        "reverse-protected",
    ):
        yield from _replicating(service, item)
    if item.state in ("protected", "cleanup-pending", "reverse-protected"):
        yield from _late(service, item, service.now())


def _replicating(service: Service, item: Item) -> Iterator[str]:
    """What components report, or do not report any more."""
    now, rules, machine = service.now(), service.rules, item.machine
    if now - service.server_of(item).seen > rules.silence_seconds:
        yield "configuration-server-silent"
    elif _silent(machine.get("agentHeartbeat"), now, rules.silence_seconds) and "agent-silent" not in machine.get("symptoms", ()):
        yield "agent-silent"
    yield from (symptom for symptom in machine.get("symptoms", ()) if symptom in HEALTH)
    if has_newer_target(service, item):
        yield "newer-component"  # TOP-013
    if machine.get("resyncRequired"):
        yield "resync"
    if item.worker.get("damaged"):
        yield "log-damaged"


def _late(service: Service, item: Item, now: float) -> Iterator[str]:
    rules, machine, rpo = service.rules, item.machine, current_rpo(item, now)
    if rpo is not None and rules.rpo_exceeded(rpo, 60.0 * threshold(service, item)):
        yield "rpo-threshold"
    newest = max((point.time for point in item.points.values()), default=0.0)
    if not is_forward(item):
        newest = parse_time(machine["lastTagReceived"]) if machine.get("lastTagReceived") else 0.0
    if now - max(newest, item.protected_since or now) > rules.no_crash_point_seconds:
        yield "no-crash-point"
    apps = max((point.time for point in item.points.values() if point.kind == "ApplicationConsistent"), default=0.0)
    period = 60.0 * app_minutes(service, item)
    if period and now - max(apps, item.protected_since or now) > rules.app_point_periods * period:  # EVT-005
        yield (
            "no-app-point-classic" if item.profile is CLASSIC else "no-app-point" if is_forward(item) else "no-app-point-on-site"
        )


def app_minutes(service: Service, item: Item) -> int:
    """How often the item's policy wants application-consistent points; 0 is never."""
    policy = service.policy_at(service.vaults[item.vault.lower()], item.policy)
    return int(policy.settings.get("appConsistentFrequencyInMinutes", 0)) if policy is not None else 0


def has_newer_target(service: Service, item: Item) -> bool:
    """Whether a classic item replicates to a master target that is newer than its configuration server (TOP-013)."""
    if is_forward(item) or item.profile is not CLASSIC or not service.rules.newer_components_fail:
        return False
    server = service.server_of(item)
    masters = [one for one in server.heartbeat.get("masterTargets", []) if one.get("id") == item.reverse.get("masterTargetId")]
    return any(_version(str(one.get("version") or "")) > _version(server.version) for one in masters)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def look_at_targets(service: Service, vault: Vault) -> None:
    """AVM-011: see whether what a failover of each item needs is still there."""
    needed = (("networkId", "virtual network"), ("resourceGroupId", "resource group"), ("targetAccountId", "storage account"))
    for item in vault.items():
        item.target_faults = [what for name, what in needed if service.azure.find(item.settings.get(name)) is None]


def threshold(service: Service, item: Item) -> int:
    """The RPO threshold of the item's policy in minutes, as it is now (POL-005)."""
    policy = service.policy_at(service.vaults[item.vault.lower()], item.policy)
    return int(policy.settings.get("recoveryPointThresholdInMinutes", 0)) if policy is not None else 0


def evaluate(service: Service, vault: Vault, fabric: Fabric, item: Item) -> None:
    """Bring the health errors of an item up to date; a change of its health is an event."""
    found = list(dict.fromkeys(causes(service, fabric, item)))
    item.health = {cause: item.health.get(cause) or _error(HEALTH[cause], item.correlation, service.now()) for cause in found}
    level = replication_health(item)
    if level != item.health_name:
        item.health_name = level
        if level == "Critical":
            service.mail(vault, f"Replication health of {item.friendly} is critical.")
        word = "OK" if level == "Normal" else level
        service.event(
            vault,
            "VmMonitoringEvent",
            "VmHealth",
            "SRSVMHealthChanged",
            f"Replication health changed to {word}.",
            word,
            item.friendly,
            item.correlation,
            fabric=fabric.id,
            provider=provider_of(item),
            site=fabric.friendly,
            errors=[error for error in item.health.values() if error["errorCategory"] not in _FAILOVER],
        )
        service.observe("health", item.id, level=level, causes=found)


def evaluate_all(service: Service) -> None:
    for vault in service.vaults.values():
        _watch_servers(service, vault)
        for fabric in vault.fabrics.values():
            for item in fabric.items.values():
                evaluate(service, vault, fabric, item)


def _watch_servers(service: Service, vault: Vault) -> None:
    """Mail once when a server of the vault is not heard of any more (EVT-010)."""
    for fabric in vault.fabrics.values():
        for server in service.servers(fabric):
            lost = not service.connected(server)
            if lost and not server.lost:
                service.mail(vault, f"The connection to {server.name} is lost.")
            server.lost = lost


def replication_health(item: Item) -> str:
    """The worst level of everything but the missing test failover (EVT-002)."""
    levels = [error["errorLevel"] for error in item.health.values() if error["errorCategory"] not in _FAILOVER]
    worst: str = max(["Normal", *levels], key=_WORST.__getitem__)  # what is only information leaves it Normal
    return worst


def fabric_causes(service: Service, fabric: Fabric, certificate_ends: float) -> Iterator[tuple[str, float]]:
    """Keys of `FABRIC_HEALTH` that hold for a fabric now, and since when."""
    for server in service.servers(fabric):
        if not service.connected(server):
            yield "silent", server.seen
    left = certificate_ends - service.now()
    if fabric.profile is CLASSIC and left <= service.rules.certificate_warning_seconds:
        expired = left <= 0
        since = certificate_ends - (0 if expired else service.rules.certificate_warning_seconds)
        yield "certificate-expired" if expired else "certificate-expiring", since


def fabric_health(service: Service, fabric: Fabric, certificate_ends: float) -> str:
    levels = [FABRIC_HEALTH[cause].level for cause, _ in fabric_causes(service, fabric, certificate_ends)]
    return max(levels, key=_WORST.__getitem__, default="Normal")


def fabric_errors(service: Service, fabric: Fabric, certificate_ends: float) -> list[Json]:
    """`healthErrorDetails` of a fabric."""
    return [
        _error(FABRIC_HEALTH[cause], fabric.internal, since) for cause, since in fabric_causes(service, fabric, certificate_ends)
    ]


def failover_health(item: Item) -> str:
    levels = [error["errorLevel"] for error in item.health.values() if error["errorCategory"] in _FAILOVER]
    return max(levels, key=_WORST.__getitem__, default="Normal")


def _silent(heartbeat: str | None, now: float, limit: float) -> bool:
    return heartbeat is not None and now - parse_time(heartbeat) > limit


def _error(kind: HealthKind, entity: str, now: float) -> Json:
    return {
        "innerHealthErrors": [],
        "errorSource": kind.source,
        "errorType": kind.kind,
        "errorLevel": kind.level,
        "errorCategory": kind.category,
        "errorCode": kind.number,
        "summaryMessage": kind.summary,
        "errorMessage": kind.summary,
        "possibleCauses": kind.causes,
        "recommendedAction": kind.action,
        "creationTimeUtc": iso(now),
        "recoveryProviderErrorMessage": None,
        "entityId": entity,
        "errorId": f"{kind.source}:{kind.kind}",
        "customerResolvability": "Allowed",
    }
