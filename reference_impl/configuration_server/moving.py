"""A machine is moved to another process server (TOP-005), without a new copy and without a gap in its stream.

First the agent is told; what it writes waits with it, because the new process server does not know it yet. Then the old one
passes on what it holds. Then the new one is told of the machine and goes on where storage stands.
"""

from reference_impl.configuration_server.forward import SETTINGS_SECONDS, SYNC_SECONDS
from reference_impl.configuration_server.service import Service
from reference_impl.configuration_server.site import AGENT, FORWARD, PROCESS_SERVER, Site, Work, WorkRefused
from reference_impl.configuration_server.stream import drained
from reference_impl.outside import Process


def change_process_server(site: Site, service: Service, item: Work) -> Process:
    """`process-server-missing`, `process-server-unreachable`, `machine-missing`. An old process server that is gone is not
    waited for longer than a failover would; what it held and storage has not is sent again by the agent."""
    machine_id, wanted = item.machine_id, item.need("processServerId")
    protection = site.protection(machine_id)
    if protection is None or protection["direction"] != FORWARD or protection["stage"] != "replicating":
        raise WorkRefused("machine-missing", f"{machine_id} does not replicate to Azure")
    server = site.component(PROCESS_SERVER, wanted)
    if server is None:
        raise WorkRefused("process-server-missing", f"process server {wanted} is not registered")
    if not (yield from site.heard_again(server, server["zone"])):
        raise WorkRefused("process-server-unreachable", f"process server {wanted} does not speak to the configuration server")
    others = [role for role in protection["delivered"] if role != AGENT]
    site.change_protection(machine_id, movesTo=wanted, delivered=others)
    yield from site.settings_taken(machine_id, AGENT, protection["generation"], SETTINGS_SECONDS)
    service.running(item, 40)
    site.change_protection(machine_id, flush=True)
    emptied = yield from drained(site, protection, SYNC_SECONDS)
    current = site.protection(machine_id)
    if current is None:
        raise WorkRefused("machine-missing", f"{machine_id} is not protected any more")
    others = [role for role in current["delivered"] if role != PROCESS_SERVER]
    site.change_protection(machine_id, processServerId=wanted, movesTo=None, flush=False, delivered=others)
    yield from site.settings_taken(machine_id, PROCESS_SERVER, protection["generation"], SETTINGS_SECONDS)
    return {"emptied": emptied}
