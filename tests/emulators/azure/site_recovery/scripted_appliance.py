"""A modernized vault with scripted appliances around it."""

from typing import Any

from scripted_components import MACHINES, Answer, ConfigurationServer
from scripted_site import Site

from emulators.azure.site_recovery import Rules
from emulators.clock import iso
from emulators.network import ONPREM

VCENTER = "vcenter"


class Appliance(ConfigurationServer):
    """Speaks like a configuration server; all its programs have one id. `silent` programs have stopped speaking to it."""

    silent: tuple[str, ...] = ()
    discovers = True

    def begin(self) -> None:
        super().begin()
        self.script["cancel-failback"] = lambda given: self.machines[given["machineId"]].update(stopped=False) or {}
        self.vcenter = VCENTER
        if self.discovers:
            self.host.clock.call_later(2.0, self.inventory, name="discovery")

    def heartbeat(self) -> Answer:
        said = super().heartbeat()
        said["processServers"] = said["processServers"][:1]
        for role in ("processServers", "masterTargets"):
            for entry in said[role]:
                entry |= {"id": f"id-{self.name}", "name": self.name}
                if role in self.silent:
                    entry["lastHeartbeat"] = iso(self.host.clock.now() - 3600)
        said["vCenters"] = [{"id": VCENTER, "status": "Connected", "lastDiscovery": said["time"]}]
        return said

    def report(self, key: str, state: Answer) -> Answer:
        said = super().report(key, state)
        return said | {"side": "azure" if state["input"]["direction"] == "reverse" else "onprem"}


class ModernSite(Site):
    """The same world with an appliance in place of the configuration server."""

    FORWARD = "InMageRcm"

    def __init__(self, rules: Rules | None = None, **more: Any):
        super().__init__(rules=rules, **more)
        self.server = self.appliance("appliance-1", "56400000-0000-4000-8000-00000000000c")

    def appliance(self, name: str, machine_id: str) -> Appliance:
        accounts = [{"accountId": "1", "accountName": "vcenter"}, {"accountId": "2", "accountName": "machines"}]
        made = Appliance(self.network.host(name, ONPREM), "appliance", name, machine_id)
        register = made.register
        made.register = lambda key, **changes: register(key, runAsAccounts=accounts, **changes)
        return made

    def configure(self) -> None:
        self.clock.wait(70.0)
        given = {
            "instanceType": "InMageRcm",
            "recoveryPointHistoryInMinutes": 1440,
            "crashConsistentFrequencyInMinutes": 5,
            "appConsistentFrequencyInMinutes": 0,
        }
        self.good("PUT", self.policy("fwd"), {"properties": {"providerSpecificInput": given}})
        mapping = {"targetProtectionContainerId": "Microsoft Azure", "policyId": self.policy("fwd")}
        mapping["providerSpecificInput"] = {"instanceType": "InMageRcm", "enableAgentAutoUpgrade": "true"}
        self.good("PUT", f"{self.container}/replicationProtectionContainerMappings/map-fwd", {"properties": mapping})

    def enable_body(self, name: str, *, group: str = "", **changes: Any) -> Answer:
        site = self.get(self.fabric)["properties"]["customDetails"]["vmwareSiteId"]
        details = {
            "instanceType": "InMageRcm",
            "fabricDiscoveryMachineId": f"{site}/machines/{VCENTER}_{MACHINES[name]}",
            "disksDefault": {"logStorageAccountId": self.account("drcache"), "diskType": "Standard_LRS"},
            "targetResourceGroupId": self.group,
            "targetNetworkId": self.net("net"),
            "targetSubnetName": "default",
            "targetVmName": f"{name}-az",
            "processServerId": f"id-{self.server.name}",
            "runAsAccountId": "2",
            **({"multiVmGroupName": group} if group else {}),
            **changes,
        }
        return {"properties": {"policyId": self.policy("fwd"), "providerSpecificDetails": details}}

    def reverse_body(self, **changes: Any) -> Answer:
        details = {
            "instanceType": "InMageRcm",
            "reprotectAgentId": f"id-{self.server.name}",
            "datastoreName": "ds1",
            "logStorageAccountId": self.account("drcache"),
            **changes,
        }
        return {"properties": {"failoverDirection": "RecoveryToPrimary", "providerSpecificDetails": details}}

    def forward_body(self) -> Answer:
        details = {
            "instanceType": "InMageRcmFailback",
            "processServerId": f"id-{self.server.name}",
            "runAsAccountId": "2",
            "policyId": self.policy("fwd"),
        }
        return {"properties": {"failoverDirection": "RecoveryToPrimary", "providerSpecificDetails": details}}


def planned_body(**details: Any) -> Answer:
    return {"properties": {"providerSpecificDetails": {"instanceType": "InMageRcmFailback", **details}}}
