"""Work of the forward direction: protect, resynchronize, sync, stop, unprotect, shut down."""

from reference_impl.configuration_server.fields import number
from reference_impl.configuration_server.installation import ensure_agent
from reference_impl.configuration_server.reverse import give_back
from reference_impl.configuration_server.service import Service
from reference_impl.configuration_server.site import (
    AGENT,
    FORWARD,
    FRESH_SECONDS,
    ONPREM,
    PROCESS_SERVER,
    REVERSE,
    SIDE,
    Document,
    Site,
    Work,
    WorkRefused,
)
from reference_impl.configuration_server.stream import emptied, point_of, server_says
from reference_impl.outside import Process
from reference_impl.vsphere import VSphereError
from reference_impl.vsphere import machine as read_machine
from reference_impl.vsphere import shut_down as shut_down_guest

#: Agents have their settings after the next heartbeat, theirs and the process server's; a few may get lost.
SETTINGS_SECONDS = 300.0

#: What agent and process server hold is uploaded within this time, or the answer is partial: a failover does not wait for ever.
SYNC_SECONDS = 420.0


def protect(site: Site, service: Service, item: Work) -> Process:
    """Install the agent where it is missing and hand everybody the settings. The copy goes on by itself."""
    machine_id, generation = item.machine_id, item.need("generation", int)
    server = site.component(PROCESS_SERVER, item.need("processServerId"))
    if server is None:
        raise WorkRefused("process-server-missing", f"process server {item.input['processServerId']} is not registered")
    machine = _powered_on(site, machine_id)
    site.keep_protection(_settings(site, item) | {"stage": "installing"})
    try:
        agent = yield from ensure_agent(
            site,
            machine,
            str(item.input.get("runAsAccountId") or ""),
            install=bool(item.input.get("install", True)),
            anew=bool(item.input.get("anew", False)),
        )
    except WorkRefused:
        site.drop_protection(machine_id)
        raise
    site.change_protection(machine_id, stage="replicating", since=site.clock.now())
    service.running(item, 80)
    if not (yield from site.settings_taken(machine_id, AGENT, generation, SETTINGS_SECONDS)):
        raise WorkRefused("agent-silent", f"the mobility agent of {machine['name']} has not fetched its settings")
    return {"agentId": agent["id"], "agentVersion": agent["seats"][ONPREM]["version"]}


def _settings(site: Site, item: Work) -> Document:
    """What is kept of a forward protection."""
    return {
        "machineId": item.machine_id,
        "generation": item.need("generation", int),
        "direction": FORWARD,
        "processServerId": item.need("processServerId"),
        "masterTargetId": None,
        "policy": item.need("policy", dict),
        "group": item.group,
        "disks": item.disks,
        "cache": item.need("cache", dict),
        "dataKey": item.need("dataKey"),
        "agentToken": site.clock.random_bytes(32).hex(),
        "groupToken": site.clock.random_bytes(32).hex(),
        "targetToken": "",
        "retentionVolume": None,
        "since": site.clock.now(),
        "delivered": [],
    }


def _powered_on(site: Site, machine_id: str) -> Document:
    """The machine as it is now; `machine-powered-off` when it does not run. Without vCenter the last discovery counts."""
    machine = site.machine(machine_id)
    if machine is None:
        raise WorkRefused("machine-missing", f"no machine {machine_id} has been discovered")
    if machine["vCenterId"] is None:  # a physical server: who asks it finds out
        return machine
    running = machine["poweredOn"]
    try:
        with site.vcenter(site.vcenter_of(machine)) as session:
            seen = read_machine(session, machine["infrastructureId"])
        running = seen.powered_on
        machine |= {"ipAddresses": list(seen.ip_addresses), "hostName": seen.host_name}
    except VSphereError as error:
        if error.reason == "machine-missing":
            raise
    if not running:
        raise WorkRefused("machine-powered-off", f"{machine['name']} is powered off")
    return machine


def resynchronize(site: Site, service: Service, item: Work) -> Process:
    """Have the agent compare and send again what differs."""
    protection = site.protection(item.machine_id)
    agent = site.agent_of(item.machine_id)
    if protection is None or site.silent(agent, SIDE[protection["direction"]]):
        raise WorkRefused("agent-silent", f"the mobility agent of {item.machine_id} is silent")
    site.change_protection(item.machine_id, resynchronize=True)

    def told() -> bool:
        now = site.protection(item.machine_id)
        return now is None or not now.get("resynchronize")

    if not (yield from site.until(told, SETTINGS_SECONDS)):
        raise WorkRefused("agent-silent", f"the mobility agent of {item.machine_id} has not fetched its settings")
    return {}


def shut_down(site: Site, service: Service, item: Work) -> Process:
    """Shut the machine down through its tools; pull the plug when the guest does not follow."""
    machine = site.machine(item.machine_id)
    if machine is None:
        raise WorkRefused("machine-missing", f"no machine {item.machine_id} has been discovered")
    if machine["vCenterId"] is None:
        raise WorkRefused("vcenter-unreachable", f"{machine['name']} is a physical server: nobody can switch it off from here")
    with site.vcenter(site.vcenter_of(machine)) as session:
        graceful = yield from shut_down_guest(session, str(item.input.get("infrastructureId") or machine["infrastructureId"]))
    return {"poweredOff": True, "graceful": graceful}


# sync ----------------------------------------------------------------------------------------------------------------


def sync(site: Site, service: Service, item: Work) -> Process:
    """Rest until everything that was written up to now is uploaded. `partial` where the source could not be asked."""
    protection = site.protection(item.machine_id)
    if protection is None:
        raise WorkRefused("machine-missing", f"{item.machine_id} is not protected")
    site.change_protection(item.machine_id, flush=True)
    try:
        whole = yield from emptied(site, protection, SYNC_SECONDS)
    finally:
        site.change_protection(item.machine_id, flush=False)
    said = server_says(site, protection)
    received = (site.protection(item.machine_id) or {}).get("received")
    result: Document = {"lastSequence": number(said, "uploadedSequence"), "lastTag": point_of(received)}
    return result if whole else result | {"partial": True}


# the end -------------------------------------------------------------------------------------------------------------


def stop(site: Site, service: Service, item: Work) -> Process:
    """End replication; the settings stay known. A silent agent is told when it speaks again."""
    protection = site.protection(item.machine_id)
    if protection is None:
        return {}
    site.change_protection(item.machine_id, stage="stopped", delivered=[])
    agent, side = site.agent_of(item.machine_id), SIDE[protection["direction"]]
    if not site.silent(agent, side):
        yield from site.settings_taken(item.machine_id, AGENT, protection["generation"], FRESH_SECONDS)
    return {}


def unprotect(site: Site, service: Service, item: Work) -> Process:
    """Forget the machine's replication everywhere. Disks that a master target holds go back to the machine first.

    DSB-001: an agent that speaks has stopped sending when this ends.
    """
    protection = site.protection(item.machine_id)
    if protection is None:
        return {}
    if protection["direction"] == FORWARD and protection["stage"] != "stopped":
        yield from stop(site, service, item)
    if protection["direction"] == REVERSE:
        yield from give_back(site, protection)
    site.drop_protection(item.machine_id)
    return {}
