"""replicationvCenters: a vCenter server that a configuration server discovers."""

from emulators.azure.arm import Answer, Call, operation, read
from emulators.azure.site_recovery.jobs import Job, Work
from emulators.azure.site_recovery.records import Component, Fabric, VCenter
from emulators.azure.site_recovery.refusals import Failure, missing, refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import FABRIC, TYPE, VAULT, Json, listing, stable_guid, whole_seconds

_VCENTERS = FABRIC + "/replicationvCenters"
_VCENTER = _VCENTERS + "/{vCenterName}"


class VCenters:
    """Adding one is a job; afterwards its machines are protectable items (DIS-001, TOP-012)."""

    namespace = "Microsoft.RecoveryServices"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", VAULT + "/replicationvCenters")
    def list_all(self, call: Call) -> Answer:
        fabrics = self.service.vault(call).fabrics.values()
        return Answer(200, listing([self.json(fabric, one) for fabric in fabrics for one in fabric.vcenters.values()]))

    @operation("GET", _VCENTERS)
    def list(self, call: Call) -> Answer:
        fabric = self.service.fabric(call)
        return Answer(200, listing([self.json(fabric, vcenter) for vcenter in fabric.vcenters.values()]))

    @operation("GET", _VCENTER)
    def get(self, call: Call) -> Answer:
        fabric, vcenter = self._need(call)
        return Answer(200, self.json(fabric, vcenter))

    @operation("PUT", _VCENTER)
    def create(self, call: Call) -> Answer:
        service, fabric = self.service, self.service.fabric(call)
        body = call.content()
        name = call["vCenterName"]
        account = str(read(body, "properties.runAsAccountId", str, required=True))
        self._check_account(call, fabric, account)
        vcenter = VCenter(
            name=name,
            friendly=str(read(body, "properties.friendlyName", str, name)),
            address=str(read(body, "properties.ipAddress", str, required=True)),
            port=_port(call, str(read(body, "properties.port", str, "443"))),
            account=account,
            process_server=str(read(body, "properties.processServerId", str, "")),
            internal=stable_guid(fabric.id, name),
        )

        def work(job: Job) -> Work:
            with job.task(0):
                server = service.need_server(fabric)
                wanted = {
                    "vCenterId": vcenter.internal, "friendlyName": vcenter.friendly, "address": vcenter.address,
                    "port": int(vcenter.port), "runAsAccountId": vcenter.account,
                }  # fmt: skip
                fabric.vcenters[name.lower()] = vcenter
                try:
                    output = yield from service.ask(server, "add-vcenter", wanted, job=job)
                    self._check_version(server, vcenter, str(output.get("version") or ""))
                except BaseException:
                    fabric.vcenters.pop(name.lower(), None)
                    raise
                vcenter.infrastructure, vcenter.version = output.get("infrastructureId"), str(output.get("version") or "")
                vcenter.status, vcenter.last_heartbeat = "Connected", service.now()

        details = _affected(fabric)
        return service.start(
            call, service.vault(call), "DiscoverVCenter", (vcenter.address, vcenter.friendly), work, details=details,
            resource=f"{fabric.id}/replicationvCenters/{name}", dated=True,
            result=lambda: Answer(200, self.json(fabric, vcenter)),
        )  # fmt: skip

    @operation("PATCH", _VCENTER)
    def update(self, call: Call) -> Answer:
        """DIS-006: another address, account or name. Discovery moves; running replication is not touched."""
        service = self.service
        fabric, vcenter = self._need(call)
        given = read(call.content(), "properties", dict, required=True)
        new = {
            "friendly": str(read(given, "friendlyName", str, vcenter.friendly)),
            "address": str(read(given, "ipAddress", str, vcenter.address)),
            "port": _port(call, str(read(given, "port", str, vcenter.port))),
            "account": str(read(given, "runAsAccountId", str, vcenter.account)),
            "process_server": str(read(given, "processServerId", str, vcenter.process_server)),
        }
        self._check_account(call, fabric, new["account"])

        def work(job: Job) -> Work:
            with job.task(0):
                wish = {
                    "vCenterId": vcenter.internal, "friendlyName": new["friendly"], "address": new["address"],
                    "port": int(new["port"]), "runAsAccountId": new["account"],
                }  # fmt: skip
                output = yield from service.ask(service.need_server(fabric), "add-vcenter", wish, job=job)
                for name, value in new.items():
                    setattr(vcenter, name, value)
                vcenter.infrastructure, vcenter.version = output.get("infrastructureId"), str(output.get("version") or "")
                vcenter.status, vcenter.last_heartbeat = "Connected", service.now()

        return service.start(
            call, service.vault(call), "UpdateVCenter", (vcenter.infrastructure or vcenter.address, vcenter.friendly), work,
            details=_affected(fabric),
            resource=f"{fabric.id}/replicationvCenters/{vcenter.name}", result=lambda: Answer(200, self.json(fabric, vcenter)),
        )  # fmt: skip

    @operation("DELETE", _VCENTER)
    def remove(self, call: Call) -> Answer:
        service = self.service
        fabric, vcenter = self._need(call)
        used = {m for m, machine in fabric.machines.items() if machine["vCenterId"] == vcenter.internal}
        if any(item.machine_id in used for item in fabric.items.values()):
            raise refuse("still-in-use", "Machines of the vCenter server are protected.", activity=call.correlation_id)

        def work(job: Job) -> Work:
            with job.task(0):
                yield from service.ask(service.need_server(fabric), "remove-vcenter", {"vCenterId": vcenter.internal}, job=job)
                fabric.vcenters.pop(vcenter.name.lower(), None)
                fabric.machines = {k: m for k, m in fabric.machines.items() if m["vCenterId"] != vcenter.internal}

        target = (vcenter.infrastructure or vcenter.address, vcenter.friendly)
        return service.start(call, service.vault(call), "RemoveVCenter", target, work, details=_affected(fabric))

    def _check_version(self, server: Component, vcenter: VCenter, version: str) -> None:
        """CFG-015. Raises `Failure`; the server forgets the vCenter again."""
        if version.startswith(self.service.rules.vcenter_versions):
            return
        self.service.hand(server, "remove-vcenter", {"vCenterId": vcenter.internal})
        raise Failure("vcenter-version", f"vCenter servers of version {version} are not supported.")

    def _check_account(self, call: Call, fabric: Fabric, account: str) -> None:
        known = {str(known.get("accountId")) for known in self.service.server(fabric).run_as_accounts}
        if account not in known:
            text = f"The configuration server has no run-as account '{account}'."
            raise refuse("malformed", text, activity=call.correlation_id)

    def _need(self, call: Call) -> tuple[Fabric, VCenter]:
        fabric = self.service.fabric(call)
        vcenter = fabric.vcenters.get(call["vCenterName"].lower())
        if vcenter is None:
            raise missing(call["vCenterName"])
        return fabric, vcenter

    def json(self, fabric: Fabric, vcenter: VCenter) -> Json:
        properties: Json = {
            "friendlyName": vcenter.friendly,
            "internalId": vcenter.internal,
            "discoveryStatus": vcenter.status,
            "processServerId": vcenter.process_server,
            "ipAddress": vcenter.address,
            "infrastructureId": vcenter.infrastructure,
            "port": vcenter.port,
            "runAsAccountId": vcenter.account,
            "fabricArmResourceName": fabric.name,
            "healthErrors": [],
        }
        if vcenter.last_heartbeat is not None:
            properties["lastHeartbeat"] = whole_seconds(vcenter.last_heartbeat)
        return {
            "name": vcenter.name,
            "type": TYPE + "replicationFabrics/replicationvCenters",
            "id": f"{fabric.id}/replicationvCenters/{vcenter.name}",
            "properties": properties,
        }


def _affected(fabric: Fabric) -> Json:
    kind = fabric.profile.fabric_type
    server = {"primaryVmmId": fabric.internal, "primaryVmmName": fabric.friendly, "primaryFabricProviderId": kind}
    return {"affectedObjectDetails": server}


def _port(call: Call, text: str) -> str:
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise refuse("malformed", f"'{text}' is not a port.", activity=call.correlation_id)
    return text
