"""Facts for the Site Recovery service, put together from what agents, process servers and master targets reported.

Facts only: what they mean for health is the service's matter.
"""

from collections.abc import Iterable

from reference_impl.configuration_server.fields import number, rows, tag, words
from reference_impl.configuration_server.site import (
    AGENT,
    AZURE,
    FORWARD,
    MASTER_TARGET,
    ONPREM,
    PROCESS_SERVER,
    SIDE,
    Document,
    Report,
    Site,
)
from reference_impl.configuration_server.stream import agent_says, server_says
from reference_impl.times import epoch, iso

#: Symptoms of a process server that concern every machine it serves.
SERVER_SYMPTOMS = frozenset({"cache-full", "upload-blocked", "master-target-unreachable"})


def heartbeat(site: Site) -> Document:
    """The body of a heartbeat to the service."""
    with site.lock:
        return {
            "time": iso(site.clock.now()),
            "processServers": [_process_server(site, entry) for entry in site.components(PROCESS_SERVER)],
            "masterTargets": [_master_target(site, entry) for entry in site.components(MASTER_TARGET)],
            "vCenters": [_vcenter(site, entry) for entry in site.documents.all("vcenter").values()],
            "machines": _machines(site),
        }


def _process_server(site: Site, server: Document) -> Document:
    seat, heard = server["seats"][server["zone"]], site.report(server, server["zone"])
    body = heard.body if heard else {}
    served = sum(entry["processServerId"] == server["id"] for entry in site.protections())
    return {
        "id": server["id"],
        "name": seat["name"],
        "address": seat["address"],
        "port": seat["port"] or site.rules.data_port,
        "zone": server["zone"],
        "version": seat["version"],
        "lastHeartbeat": _last(heard, seat),
        "cacheBytes": number(body, "cacheBytes"),
        "uploadPendingBytes": number(body, "uploadPendingBytes"),
        "machineCount": served,
    }


def _master_target(site: Site, target: Document) -> Document:
    seat, heard = target["seats"][target["zone"]], site.report(target, target["zone"])
    body = heard.body if heard else {}
    found = site.machine(target["machineId"]) or {}
    return {
        "id": target["id"],
        "name": seat["name"],
        "address": seat["address"],
        "osType": seat["osType"],
        "version": seat["version"],
        "lastHeartbeat": _last(heard, seat),
        "diskCount": len(found.get("disks") or words(body, "diskSerials")),
        "dataStores": found.get("dataStores") or rows(body, "dataStores") or seat["dataStores"],
        "retentionVolumes": rows(body, "retentionVolumes") or seat["retentionVolumes"],
    }


def _vcenter(site: Site, vcenter: Document) -> Document:
    return {
        "id": vcenter["id"],
        "friendlyName": vcenter["friendlyName"],
        "address": vcenter["address"],
        "status": "Connected" if site.connected.get(vcenter["id"], True) else "NotConnected",
        "lastDiscovery": vcenter["lastDiscovery"],
    }


def _last(heard: Report | None, seat: Document) -> str:
    return iso(heard.at if heard else seat["registered"])


# machines ------------------------------------------------------------------------------------------------------------


def _machines(site: Site) -> list[Document]:
    """Every machine that is protected or has an agent."""
    known = {entry["machineId"]: entry for entry in site.protections()}
    machine_ids = dict.fromkeys([*known, *(agent["machineId"] for agent in site.components(AGENT))])
    return [_machine(site, machine_id, known.get(machine_id)) for machine_id in machine_ids]


def _machine(site: Site, machine_id: str, protection: Document | None) -> Document:
    agent = site.agent_of(machine_id)
    side = SIDE[protection["direction"]] if protection and protection["stage"] != "stopped" else _speaking(site, agent)
    heard = site.report(agent, side)
    seat = (agent["seats"].get(side) if agent else None) or {}
    said = agent_says(heard, protection)
    passed_on = server_says(site, protection) if protection else {}
    received = (protection or {}).get("received")
    return {
        "machineId": machine_id,
        "agentId": agent["id"] if agent else None,
        "agentVersion": (heard.body.get("version") if heard else None) or seat.get("version"),
        "agentHeartbeat": iso(heard.at) if heard else None,
        "side": side,
        "direction": protection["direction"] if protection else None,
        "generation": protection["generation"] if protection else 0,
        "stage": stage(protection, said),
        "resyncRequired": bool(said.get("resyncRequired")),
        "disks": _disks(protection, said, number(passed_on, "pendingBytes")),
        "lastTagReceived": received["time"] if received else None,
        "rpoSeconds": round(max(0.0, site.clock.now() - epoch(received["time"]))) if received else None,
        "churnBytes": number(said, "churnBytes"),
        "compressedBytes": number(passed_on, "compressedBytes"),
        "uncompressedBytes": number(passed_on, "uncompressedBytes"),
        "symptoms": _symptoms(site, protection, agent, side),
    }


def _speaking(site: Site, agent: Document | None) -> str:
    """The side the agent spoke from last."""
    heard = {zone: site.report(agent, zone) for zone in (ONPREM, AZURE)}
    spoken = [(report.at, zone) for zone, report in heard.items() if report is not None]
    return max(spoken)[1] if spoken else ONPREM


def stage(protection: Document | None, said: Document) -> str:
    """Where a machine's replication is. A finished copy without a received point waits for the first one (REP-003)."""
    if protection is None:
        return "none"
    if protection["stage"] in ("installing", "stopped"):
        return str(protection["stage"])
    reported = said.get("stage") or "initial-copy"
    if reported in ("delta", "waiting-first-point"):
        return "delta" if protection.get("received") else "waiting-first-point"
    return str(reported)


def _disks(protection: Document | None, said: Document, pending: int) -> list[Document]:
    """Progress by disk. What waits in the process server is known for the machine only: it is shown at its first disk."""
    by_disk = {str(row.get("diskId")): row for row in rows(said, "disks")}
    shown = []
    for place, disk in enumerate(protection["disks"] if protection else []):
        row = by_disk.get(disk["diskId"], {})
        shown.append(
            {
                "diskId": disk["diskId"],
                "sizeBytes": disk["sizeBytes"],
                "copiedBytes": number(row, "copiedBytes"),
                "sentBytes": number(row, "sentBytes"),
                "state": str(row.get("state") or "Queued"),
                "pendingAtSourceBytes": number(row, "pendingAtSourceBytes"),
                "pendingInProcessServerBytes": 0 if place else pending,
            }
        )
    return shown


def _symptoms(site: Site, protection: Document | None, agent: Document | None, side: str) -> list[str]:
    if protection is None or protection["stage"] in ("installing", "stopped"):
        return []
    found = set()
    heard = site.report(agent, side)
    if site.silent(agent, side):
        if site.clock.now() - protection["since"] > site.rules.silent_minutes * 60:
            found.add("agent-silent")
    elif heard is not None:
        found.update(words(heard.body, "symptoms"))
    server = site.component(PROCESS_SERVER, protection["processServerId"])
    heard = site.report(server, server["zone"]) if server else None
    if heard is not None and server is not None and not site.silent(server, server["zone"]):
        found.update(SERVER_SYMPTOMS.intersection(words(heard.body, "symptoms")))
    return sorted(found)


# recovery points -----------------------------------------------------------------------------------------------------


def note_points(site: Site, machine_ids: Iterable[str]) -> None:
    """Keep the newest tag that is safe at the far side: uploaded by the process server, or applied by the master target.

    The caller holds the lock. RPO counts from here: received, not processed.
    """
    for machine_id in machine_ids:
        protection = site.protection(machine_id)
        found = _safe_tag(site, protection) if protection is not None else None
        if found is not None and protection is not None and found != protection.get("received"):
            site.documents.change("protection", machine_id, received=found)


def _safe_tag(site: Site, protection: Document) -> Document | None:
    machine_id, generation = protection["machineId"], protection["generation"]
    if protection["direction"] == FORWARD:
        said, done = server_says(site, protection), "uploadedSequence"
    else:
        target = site.component(MASTER_TARGET, protection["masterTargetId"])
        zone = target["zone"] if target else ONPREM
        said, done = site.machine_report(target, zone, machine_id, generation) or {}, "appliedSequence"
        if not said.get("syncDone"):
            return None
    found = tag(said, "lastTag")
    if found is None:
        return None
    return found if number(found, "sequence") <= number(said, done) else None
