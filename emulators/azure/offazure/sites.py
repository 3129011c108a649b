"""VMware sites of appliances: GET only, pages of 100 machines (asr-wire section 10)."""

from emulators.azure.arm import Answer, Call, not_found, operation
from emulators.azure.site_recovery import appliances
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Component, Fabric
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import Json, same
from emulators.clock import iso

_GROUP = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.OffAzure/VMwareSites"
_SITE = _GROUP + "/{siteName}"
_TYPE = "Microsoft.OffAzure/VMwareSites"

#: Machines on one page.
PAGE = 100


class VMwareSites:
    """Sites, machines, run-as accounts and vCenters of every registered appliance."""

    namespace = "Microsoft.OffAzure"

    def __init__(self, service: Service):
        self.service = service

    @operation("GET", _GROUP)
    def list_sites(self, call: Call) -> Answer:
        prefix = call.path.lower().rstrip("/") + "/"
        found = [fabric for fabric in self._fabrics() if appliances.site_id(fabric).lower().startswith(prefix)]
        return Answer(200, {"value": [self._site(fabric) for fabric in found], "nextLink": None})

    @operation("GET", _SITE)
    def get_site(self, call: Call) -> Answer:
        return Answer(200, self._site(self._need(call)))

    @operation("GET", _SITE + "/machines")
    def list_machines(self, call: Call) -> Answer:
        fabric = self._need(call)
        machines = list(fabric.machines.values())
        start = _start(call, len(machines))
        shown = [self._machine(fabric, machine) for machine in machines[start : start + PAGE]]
        link, follows = None, start + PAGE
        if follows < len(machines):
            page = f"continuationToken={follows}&totalRecordCount={len(machines)}"
            link = f"{call.base_url}{call.path}?api-version={call.api_version}&{page}"
        return Answer(200, {"value": shown, "nextLink": link})

    @operation("GET", _SITE + "/machines/{machineName}")
    def get_machine(self, call: Call) -> Answer:
        fabric = self._need(call)
        for machine in fabric.machines.values():
            if same(call["machineName"], appliances.machine_name(fabric, machine)):
                return Answer(200, self._machine(fabric, machine))
        raise not_found(call.path)

    @operation("GET", _SITE + "/runasaccounts")
    def list_accounts(self, call: Call) -> Answer:
        fabric = self._need(call)
        return Answer(200, {"value": [self._account(fabric, *one) for one in self._accounts(fabric)], "nextLink": None})

    @operation("GET", _SITE + "/runasaccounts/{accountName}")
    def get_account(self, call: Call) -> Answer:
        fabric = self._need(call)
        for server, account in self._accounts(fabric):
            if same(call["accountName"], appliances.account_name(server, account)):
                return Answer(200, self._account(fabric, server, account))
        raise not_found(call.path)

    # shapes --------------------------------------------------------------------------------------------------------------

    def _fabrics(self) -> list[Fabric]:
        return [one for vault in self.service.vaults.values() for one in vault.fabrics.values() if one.profile is MODERNIZED]

    def _need(self, call: Call) -> Fabric:
        path = "/".join(call.path.split("/")[:9])
        found = next((fabric for fabric in self._fabrics() if same(appliances.site_id(fabric), path)), None)
        if found is None:
            raise not_found(path)
        return found

    def _site(self, fabric: Fabric) -> Json:
        return {
            "id": appliances.site_id(fabric),
            "name": appliances.site_id(fabric).rsplit("/", 1)[-1],
            "type": _TYPE,
            "location": self.service.vaults[fabric.vault.lower()].location,
            "properties": {
                "agentDetails": {"id": fabric.internal, "version": self.service.server(fabric).version},
                "applianceName": self.service.server(fabric).name,
                "servicePrincipalIdentityDetails": None,
            },
        }

    def _accounts(self, fabric: Fabric) -> list[tuple[Component, Json]]:
        """Run-as accounts with the appliance that has them."""
        return [(server, account) for server in self.service.servers(fabric) for account in server.run_as_accounts]

    def _account(self, fabric: Fabric, server: Component, account: Json) -> Json:
        name, when = appliances.account_name(server, account), iso(fabric.registered)
        fabric_account = str(account.get("accountName")).lower().startswith("vcenter")
        return {
            "id": f"{appliances.site_id(fabric)}/runasaccounts/{name}",
            "name": name,
            "type": f"{_TYPE}/runasaccounts",
            "properties": {
                "displayName": account.get("accountName"),
                "credentialType": "VMwareFabric" if fabric_account else "WindowsGuest",
                "createdTimestamp": when,
                "updatedTimestamp": when,
                "applianceName": server.name,
            },
        }

    def _machine(self, fabric: Fabric, machine: Json) -> Json:
        name = appliances.machine_name(fabric, machine)
        protected = any(item.machine_id == machine["machineId"] for item in fabric.items.values())
        disks = [
            {
                "uuid": disk.get("diskId"),
                "label": disk.get("name"),
                "name": disk.get("name"),
                "diskType": "Flat",
                "maxSizeInBytes": int(disk.get("sizeBytes") or 0),
                "lun": int(disk.get("unit") or 0),
                "path": f"[{disk.get('datastore')}]",
            }
            for disk in machine.get("disks", [])
        ]
        nics = [
            {
                "nicId": nic.get("nicId"),
                "macAddress": nic.get("macAddress"),
                "networkName": nic.get("networkName"),
                "ipAddressList": [nic["ipAddress"]] if nic.get("ipAddress") else [],
            }
            for nic in machine.get("nics") or []
        ]
        return {
            "id": f"{appliances.site_id(fabric)}/machines/{name}",
            "name": name,
            "type": f"{_TYPE}/machines",
            "tags": {"asrprotectedmachine": str(protected)},
            "properties": {
                "displayName": machine.get("name"),
                "biosGuid": machine["machineId"],
                "biosSerialNumber": machine["machineId"],
                "firmware": machine.get("firmware"),
                "hostName": machine.get("hostName"),
                "isDeleted": False,
                "isGuestDetailsDiscoveryInProgress": False,
                "numberOfProcessorCore": int(machine.get("cpuCount") or 0),
                "allocatedMemoryInMB": float(machine.get("memoryMB") or 0),
                "operatingSystemDetails": {"osType": machine.get("osType"), "osName": machine.get("osName"), "osVersion": None},
                "powerStatus": "ON" if machine.get("poweredOn") else "OFF",
                "instanceUuid": machine["machineId"],
                "vCenterId": f"{appliances.site_id(fabric)}/vcenters/{machine.get('vCenterId')}",
                "vCenterFQDN": machine.get("vCenterId"),
                "vmwareToolsStatus": None,
                "vmFqdn": machine.get("hostName"),
                "applianceNames": [server.name for server in self.service.servers(fabric)],
                "disks": disks,
                "networkAdapters": nics,
                "errors": [],
                "createdTimestamp": iso(fabric.registered),
                "updatedTimestamp": iso(fabric.registered),
            },
        }


def _start(call: Call, many: int) -> int:
    """The number a continuation token stands for; 0 without one or beyond the end."""
    token = call.query.get("continuationtoken", "")
    return int(token) if token.isdigit() and int(token) < many else 0
