"""`reassociateGateway` of a fabric: machines are moved from one process server to another (TOP-005)."""

from collections.abc import Sequence

from emulators.azure.arm import Answer, Call, Refusal, operation, read
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.records import Fabric, Item
from emulators.azure.site_recovery.refusals import refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.states import is_forward
from emulators.azure.site_recovery.wire import FABRIC, Json, last_segment, parse_time, same

#: A machine that is moved has been taken over within this time, also where the old process server is gone.
PATIENCE = 1800.0

#: Cache disk of a process server (TOP-004).
CACHE_BYTES = 600 << 30

SERVER_LEVEL, SYSTEM_LEVEL = "ServerLevel", "SystemLevel"


class ProcessServers:
    """The fabric's process servers, as far as they are chosen here. They show in the fabric's customDetails."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("POST", FABRIC + "/reassociateGateway")
    def reassociate(self, call: Call) -> Answer:
        """All machines of a server (`ServerLevel`), or those of `vmsToMigrate` (`SystemLevel`), use another from now on."""
        service, fabric = self.service, self.service.fabric(call)
        properties = read(call.content(), "properties", dict, required=True)
        source = self._server(call, fabric, read(properties, "sourceProcessServerId", str, required=True))
        target = self._server(call, fabric, read(properties, "targetProcessServerId", str, required=True))
        level = read(properties, "updateType", str, required=True)
        if level.lower() not in (SERVER_LEVEL.lower(), SYSTEM_LEVEL.lower()):
            raise refuse("malformed", f"updateType is {SERVER_LEVEL} or {SYSTEM_LEVEL}, not '{level}'.")
        if same(str(source["id"]), str(target["id"])):
            raise refuse("malformed", "Source and target are the same process server.", activity=call.correlation_id)
        served = [item for item in fabric.items.values() if self._uses(item, str(source["id"]))]
        if same(level, SYSTEM_LEVEL):
            served = _named(served, read(properties, "vmsToMigrate", list, []), call)
        if any(item.job is not None for item in served):
            raise refuse("operation-in-progress", activity=call.correlation_id)

        def work(job: Job) -> Work:
            with job.task(0):
                for item in served:
                    yield from self._move(fabric, item, str(target["id"]), job)

        name = (str(source["id"]), str(source.get("name")))
        return service.start(call, service.vault(call), "ProcessServerFailover", name, work, occupies=list(served), dated=True)

    def _move(self, fabric: Fabric, item: Item, target: str, job: Job) -> Work:
        server = self.service.need_server(fabric)
        wish = {"machineId": item.machine_id, "processServerId": target}
        yield from self.service.ask(server, "change-process-server", wish, job=job, patience=PATIENCE)
        item.settings["processServerId"] = target
        if "protect" in item.settings:
            item.settings["protect"] = {**item.settings["protect"], "processServerId": target}
        self.service.observe("process-server-changed", item.id, machine=item.machine_id, server=target)

    def _server(self, call: Call, fabric: Fabric, wanted: str) -> dict[str, object]:
        known = self.service.server(fabric).heartbeat.get("processServers", [])
        found: dict[str, object] | None = next((entry for entry in known if same(str(entry.get("id")), wanted)), None)
        if found is None:
            raise refuse("process-server-missing", f"No process server '{wanted}' is registered.", activity=call.correlation_id)
        return found

    def _uses(self, item: Item, server: str) -> bool:
        """On the way back the process server is the one in Azure that was chosen for it; it is not moved."""
        return is_forward(item) and same(str(item.settings["processServerId"]), server)


def is_critical(service: Service, entry: Json) -> bool:
    """EVT-006: no heartbeat for a quarter of an hour, or hardly any room in the cache."""
    last = entry.get("lastHeartbeat")
    silent = bool(last) and service.now() - parse_time(str(last)) > service.rules.silence_seconds
    return silent or free_percent(entry) < service.rules.cache_critical_percent


def free_percent(entry: Json) -> float:
    """How much of its cache disk is free, in percent."""
    return 100.0 * max(0, CACHE_BYTES - int(entry.get("cacheBytes") or 0)) / CACHE_BYTES


def _named(served: Sequence[Item], wanted: Sequence[object], call: Call) -> list[Item]:
    """The machines by id, or by name or id of their items. Raises `Refusal` when one of them does not use the server."""
    found = []
    for name in wanted:
        item = next((one for one in served if _is(one, str(name))), None)
        if item is None:
            raise _not_there(str(name), call)
        found.append(item)
    if not found:
        raise refuse("malformed", "vmsToMigrate names no machine.", activity=call.correlation_id)
    return found


def _is(item: Item, name: str) -> bool:
    return any(same(one, name) for one in (item.machine_id, item.id, last_segment(item.id)))


def _not_there(name: str, call: Call) -> Refusal:
    return refuse("resource-missing", f"No machine '{name}' uses the process server.", activity=call.correlation_id)
