"""What keeps a protected item in order: its agent, its health errors, its disks, the sizes it may have in Azure."""

from emulators.azure.arm import Answer, Call, operation, read
from emulators.azure.compute.kinds import SIZES, Size
from emulators.azure.site_recovery import health
from emulators.azure.site_recovery.item_jobs import start_on_item
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.profiles import CLASSIC, MODERNIZED
from emulators.azure.site_recovery.records import Item
from emulators.azure.site_recovery.refusals import refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import ITEM, ITEM_TYPE, Json, last_segment, listing

_GIB = 1024.0


class ItemUpkeep:
    """Verbs of an item that change neither its state nor its direction."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("POST", ITEM + "/addDisks")
    @operation("POST", ITEM + "/removeDisks")
    def disks(self, call: Call) -> Answer:
        """CFG-013: not for VMware and physical machines."""
        self.service.item(call)
        read(call.content(), "properties.providerSpecificDetails", dict, required=True)
        raise refuse("scenario-unsupported", activity=call.correlation_id)

    @operation("POST", ITEM + "/switchProvider")
    def switch_provider(self, call: Call) -> Answer:
        """TOP-018: a classic item is not moved to a modernized vault here (docs/limits.md)."""
        item = self.service.item(call)
        properties = read(call.content(), "properties", dict, required=True)
        details = read(properties, "providerSpecificDetails", dict, required=True)
        kind = read(details, "instanceType", str, required=True)
        if item.profile is MODERNIZED or kind != item.profile.forward:
            text = f"Only items of {CLASSIC.forward} change their provider."
            raise refuse("scenario-unsupported", text, activity=call.correlation_id)
        for name in ("targetVaultID", "targetFabricID", "targetApplianceID"):
            read(details, name, str, required=True)
        raise refuse("move-unsupported", activity=call.correlation_id)

    @operation("POST", ITEM + "/updateMobilityService")
    @operation("POST", ITEM + "/reinstallMobilityService")
    def update_agent(self, call: Call) -> Answer:
        """DIS-012: install the agent anew on a machine that replicates from the site; replication goes on meanwhile."""
        service, item = self.service, self.service.item(call)
        service.check(item, "update-agent", call=call)
        properties = read(call.content(), "properties", dict, required=True)
        account = last_segment(read(properties, "runAsAccountId", str)) or item.settings["runAsAccountId"]

        def work(job: Job) -> Work:
            with job.task(0):
                server = service.need_server_of(item)
                wish = {"machineId": item.machine_id, "runAsAccountId": account}
                output = yield from service.ask(server, "update-agent", wish, job=job)
                item.machine = {**item.machine, "agentVersion": output.get("agentVersion") or item.machine.get("agentVersion")}

        return start_on_item(service, call, item, "UpdateMobilityService", work, operation="update-agent")

    @operation("POST", ITEM + "/resolveHealthErrors")
    def resolve(self, call: Call) -> Answer:
        """Look at the causes of the named errors again: those that are gone clear, the others stand anew (EVT-003)."""
        service, item = self.service, self.service.item(call)
        given = read(call.content(), "properties.healthErrors", list, required=True)
        wanted = {str(read(one, "healthErrorId", str, required=True)) for one in given if isinstance(one, dict)}
        known = {error["errorId"]: cause for cause, error in item.health.items()}
        if not wanted or not wanted <= set(known):
            text = f"No health error {', '.join(sorted(wanted - set(known))) or 'was named'}."
            raise refuse("unknown-health-error", text, activity=call.correlation_id)
        if item.job is not None:
            raise refuse("operation-in-progress", activity=call.correlation_id)

        def work(job: Job) -> Work:
            with job.task(0):
                yield from job.rest(1.0)
                item.health = {cause: error for cause, error in item.health.items() if error["errorId"] not in wanted}
                health.evaluate(service, service.vaults[item.vault.lower()], service.fabric_of(item), item)

        return start_on_item(service, call, item, "ResolveHealthErrors", work)

    @operation("GET", ITEM + "/targetComputeSizes")
    def sizes(self, call: Call) -> Answer:
        """AVM-002: sizes of the target region; those that cannot hold the machine say why in `errors`."""
        item = self.service.item(call)
        return Answer(200, listing([_size(item, size) for size in SIZES.values()]))


def _size(item: Item, size: Size) -> Json:
    data, cores, memory = len(item.disks) - 1, *(int(item.protectable.get(name) or 0) for name in ("cpuCount", "memoryMB"))
    wanted = (
        ("data disks", data, size.data_disks),
        ("network interfaces", len(item.nics), size.interfaces),
        ("cores", cores, size.cores),
        ("MB of memory", memory, size.memory_mb),
    )
    lacks = [f"The machine has {have} {what}, the size {most}." for what, have, most in wanted if have > most]
    return {
        "id": f"{item.id}/targetComputeSizes/{size.name}",
        "name": size.name,
        "type": f"{ITEM_TYPE}/targetComputeSizes",
        "properties": {
            "name": size.name,
            "friendlyName": size.name,
            "cpuCoresCount": size.cores,
            "vCPUsAvailable": size.cores,
            "memoryInGB": size.memory_mb / _GIB,
            "maxDataDiskCount": size.data_disks,
            "maxNicsCount": size.interfaces,
            "errors": [{"message": text, "severity": "Error"} for text in lacks],
            "highIopsSupported": "NotSupported",
            "hyperVGenerations": ["V1", "V2"],
        },
    }
