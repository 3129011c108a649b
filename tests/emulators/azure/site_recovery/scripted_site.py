"""An estate's Azure with Site Recovery and scripted components around it, and short ways to use it as an operator does."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scripted_components import CS_ID, GIB, MACHINES, Answer, ConfigurationServer, ReplicaWorker

from emulators.azure import Azure
from emulators.azure.outside import VmRecord
from emulators.azure.site_recovery import Rules, SiteRecovery
from emulators.clock import Clock
from emulators.http.inprocess import InProcess
from emulators.network import AZURE_PUBLIC, ONPREM, OPERATOR, Host, Network


@dataclass
class World:
    """Storage, guests and links as far as Azure needs them."""

    running: set[str] = field(default_factory=set)
    log: list[tuple[float, str, str]] = field(default_factory=list)
    clock: Clock | None = None

    def note(self, what: str, name: str) -> None:
        assert self.clock is not None
        self.log.append((self.clock.now(), what, name))

    def start(self, vm: VmRecord) -> None:
        self.running.add(vm.name)
        self.note("start", vm.name)

    def stop(self, vm: VmRecord, graceful: bool) -> None:
        self.running.discard(vm.name)
        self.note("stop" if graceful else "kill", vm.name)

    def deleted(self, vm: VmRecord) -> None:
        self.running.discard(vm.name)
        self.note("deleted", vm.name)

    def create_account(self, name: str, key1: str, key2: str) -> None: ...
    def set_keys(self, name: str, key1: str, key2: str) -> None: ...
    def delete_account(self, name: str) -> None: ...
    def set(self, link: str, up: bool) -> None: ...

    def blob_endpoint(self, name: str) -> str:
        return f"https://{name}.blob.drillbed"

    def queue_endpoint(self, name: str) -> str:
        return f"https://{name}.queue.drillbed"


class Site:
    """Everything of one estate around Site Recovery, and short ways to use it as an operator does."""

    VERSION = "2018-07-10"
    FORWARD = "InMageAzureV2"  #: the provider towards Azure

    def __init__(self, *, rules: Rules | None = None, seed: int = 3, azure: Azure | None = None, operator: Host | None = None):
        self.events: list[tuple[float, str, str, Answer]] = []
        if azure is None:
            self.clock = Clock(seed=seed)
            self.world = World(clock=self.clock)
            self.network = Network(self.clock, InProcess())
            self.azure = Azure(
                self.clock, storage=self.world, guests=self.world, links=self.world, blob_size=lambda place: GIB + 512
            )
            for name, app in (("management", self.azure.arm), ("login", self.azure.login)):
                self.network.host(name, AZURE_PUBLIC, names=[f"{name}.drillbed"]).listen(443, app)
            self.operator = self.network.host("operator", OPERATOR)
        else:
            assert operator is not None
            self.azure, self.clock, self.operator, self.network = azure, azure.clock, operator, operator.network
        self.recovery = SiteRecovery(
            self.azure.arm,
            check_key=self.azure.vaults.check_registration_key,
            rules=rules,
            observer=lambda *event: self.events.append(event),
        )
        self.azure.vaults.before_delete.append(self.recovery.refuse_deletion)
        self.azure.vaults.after_delete.append(self.recovery.forget)
        host = self.network.host("site-recovery", AZURE_PUBLIC, names=["site-recovery.drillbed"])
        host.listen(443, self.recovery.components)
        self._token = self._get_token()
        self.server = ConfigurationServer(self.network.host("configuration-server", ONPREM), "configuration-server", "cs1", CS_ID)
        self.worker = ReplicaWorker(
            self.network.host("replica-worker", AZURE_PUBLIC), "replica-worker", "worker-1", CS_ID[:-1] + "f"
        )
        self.group = f"/subscriptions/{self.azure.subscription}/resourceGroups/dr"
        self.vault = f"{self.group}/providers/Microsoft.RecoveryServices/vaults/vault1"
        self.plan = f"{self.vault}/replicationRecoveryPlans/plan"

    def _get_token(self) -> str:
        client, secret = self.azure.add_client("88888888-8888-8888-8888-888888888888")
        scope = "https%3A%2F%2Fmanagement.azure.com%2F.default"
        form = f"grant_type=client_credentials&client_id={client.id}&client_secret={secret}&scope={scope}"
        reply = self.operator.request(
            "POST",
            f"https://login.drillbed/{self.azure.tenant}/oauth2/v2.0/token",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=form.encode(),
        )
        assert reply.status == 200, reply.body
        return str(json.loads(reply.body)["access_token"])

    # wire ------------------------------------------------------------------------------------------------------------

    def request(self, method: str, path: str, body: Answer | None = None) -> tuple[int, Any, Any]:
        url = path if path.startswith("https:") else f"https://management.drillbed{path}"
        if "api-version" not in url:
            url += ("&" if "?" in url else "?") + f"api-version={self.VERSION}"
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        reply = self.operator.request(method, url, headers=headers, body=data)
        return reply.status, (json.loads(reply.body) if reply.body else None), reply.headers

    def get(self, path: str) -> Any:
        status, body, _ = self.request("GET", path)
        assert status == 200, (status, body)
        return body

    def run(self, method: str, path: str, body: Answer | None = None, *, seconds: float = 7200.0) -> Answer:
        """Carry out an operation to its end and return its status document."""
        status, answer, headers = self.request(method, path, body)
        assert status in (200, 201, 202, 204), (status, answer)
        where = headers.get("azure-asyncoperation")
        if where is None:
            return {"status": "Succeeded"}
        self.until(lambda: self.get(where)["status"] != "InProgress", seconds=seconds)
        found: Answer = self.get(where)
        return found

    def good(self, method: str, path: str, body: Answer | None = None) -> Answer:
        document = self.run(method, path, body)
        assert document["status"] == "Succeeded", document
        return document

    def code(self, method: str, path: str, body: Answer | None = None) -> str:
        """The Site Recovery code of a refusal, at once or by the operation."""
        status, answer, headers = self.request(method, path, body)
        if status >= 400:
            return str(answer["error"]["details"][0]["code"])
        where = headers["azure-asyncoperation"]
        self.until(lambda: self.get(where)["status"] != "InProgress", seconds=7200.0)
        document = self.get(where)
        assert document["status"] == "Failed", document
        return str(document["error"]["code"])

    def until(self, condition: Callable[[], bool], *, seconds: float) -> bool:
        """Ask every few emulated seconds, as a client does."""
        end = self.clock.now() + seconds
        while not condition():
            if self.clock.now() >= end:
                return False
            self.clock.wait(5.0)
        return True

    # set-up ----------------------------------------------------------------------------------------------------------

    def prepare_azure(self) -> None:
        self.azure.add_group("dr")
        self.good("PUT", self.vault, {"location": "westeurope", "sku": {"name": "Standard"}, "properties": {}})
        for name in ("drcache", "drtarget"):
            body = {"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "properties": {}}
            self.good("PUT", self.account(name), body)
        for name, subnets in (("net", ["default"]), ("testnet", ["b", "a"])):
            self.good(
                "PUT",
                self.net(name),
                {
                    "location": "westeurope",
                    "properties": {
                        "addressSpace": {"addressPrefixes": ["10.1.0.0/16"]},
                        "subnets": [
                            {"name": one, "properties": {"addressPrefix": f"10.1.{at}.0/24"}} for at, one in enumerate(subnets)
                        ],
                    },
                },
            )

    def register(self) -> None:
        key = self.key()
        for component in (self.server, self.worker):
            status, answer = component.register(key)
            assert status == 200, answer
            component.begin()
        self.clock.wait(1.0)
        (self.fabric,) = [fabric["id"] for fabric in self.get(f"{self.vault}/replicationFabrics")["value"]]
        (self.container,) = [one["id"] for one in self.get(f"{self.vault}/replicationProtectionContainers")["value"]]

    def key(self) -> str:
        with self.azure.arm.lock:
            return self.azure.vaults.mint_registration_key(self.azure.arm.store.need(self.vault))

    def configure(self) -> None:
        """Add the vCenter, make and map both policies."""
        self.good(
            "PUT",
            f"{self.fabric}/replicationvCenters/vc",
            {
                "properties": {
                    "friendlyName": "vc",
                    "ipAddress": "vcenter.drillbed",
                    "processServerId": "CS-1",
                    "port": "443",
                    "runAsAccountId": "1",
                }
            },
        )
        forward = {
            "instanceType": "InMageAzureV2",
            "recoveryPointThresholdInMinutes": 15,
            "recoveryPointHistory": 1440,
            "crashConsistentFrequencyInMinutes": 5,
            "appConsistentFrequencyInMinutes": 60,
            "multiVmSyncStatus": "Enable",
        }
        back = {
            "instanceType": "InMage",
            "recoveryPointThresholdInMinutes": 15,
            "recoveryPointHistory": 1440,
            "appConsistentFrequencyInMinutes": 60,
            "multiVmSyncStatus": "Enable",
        }
        for name, given, target in (("fwd", forward, "Microsoft Azure"), ("back", back, self.container)):
            self.good("PUT", self.policy(name), {"properties": {"providerSpecificInput": given}})
            mapping = {"targetProtectionContainerId": target, "policyId": self.policy(name), "providerSpecificInput": {}}
            self.good("PUT", f"{self.container}/replicationProtectionContainerMappings/map-{name}", {"properties": mapping})

    def set_up(self) -> "Site":
        self.prepare_azure()
        self.register()
        self.configure()
        return self

    def policy(self, name: str) -> str:
        return f"{self.vault}/replicationPolicies/{name}"

    def account(self, name: str) -> str:
        return f"{self.group}/providers/Microsoft.Storage/storageAccounts/{name}"

    def net(self, name: str) -> str:
        return f"{self.group}/providers/Microsoft.Network/virtualNetworks/{name}"

    def item(self, name: str) -> str:
        return f"{self.container}/replicationProtectedItems/{name}"

    # what an operator does ---------------------------------------------------------------------------------------------

    def enable_body(self, name: str, *, group: str = "", **changes: Any) -> Answer:
        details = {
            "instanceType": "InMageAzureV2",
            "masterTargetId": "MT-1",
            "processServerId": "CS-1",
            "runAsAccountId": "1",
            "storageAccountId": self.account("drtarget"),
            "logStorageAccountId": self.account("drcache"),
            "targetAzureNetworkId": self.net("net"),
            "targetAzureSubnetId": "default",
            "targetAzureVmName": f"{name}-az",
            "targetAzureV2ResourceGroupId": self.group,
            "enableRdpOnTargetOption": "Never",
            **changes,
        }
        if group:
            details["multiVmGroupName"] = group
        protectable = f"{self.container}/replicationProtectableItems/{MACHINES[name]}"
        properties = {"policyId": self.policy("fwd"), "protectableItemId": protectable, "providerSpecificDetails": details}
        return {"properties": properties}

    def enable(self, *names: str, group: str = "") -> None:
        for name in names:
            self.good("PUT", self.item(name), self.enable_body(name, group=group))
        for name in names:
            self.reach(name, "Protected")

    def state(self, name: str) -> str:
        return str(self.get(self.item(name))["properties"]["protectionState"])

    def reach(self, name: str, state: str, *, seconds: float = 3600.0) -> Answer:
        assert self.until(lambda: self.state(name) == state, seconds=seconds), self.state(name)
        properties: Answer = self.get(self.item(name))["properties"]
        return properties

    def fail_over(self, name: str, **details: Any) -> Answer:
        return self.good(
            "POST", f"{self.item(name)}/unplannedFailover", failover_body(**{"instanceType": self.FORWARD, **details})
        )

    def commit(self, name: str) -> Answer:
        return self.good("POST", f"{self.item(name)}/failoverCommit")

    def reverse_body(self, **changes: Any) -> Answer:
        return {
            "properties": {
                "failoverDirection": "RecoveryToPrimary",
                "providerSpecificDetails": {
                    "instanceType": "InMage",
                    "masterTargetId": "MT-1",
                    "processServerId": "PS-AZ",
                    "retentionDrive": "R",
                    "datastoreName": "ds1",
                    "runAsAccountId": "1",
                    "profileId": self.policy("back"),
                    **changes,
                },
            }
        }

    def forward_body(self) -> Answer:
        return {
            "properties": {
                "failoverDirection": "RecoveryToPrimary",
                "providerSpecificDetails": {
                    "instanceType": "InMageAzureV2",
                    "masterTargetId": "MT-1",
                    "processServerId": "CS-1",
                    "runAsAccountId": "1",
                    "policyId": self.policy("fwd"),
                },
            }
        }

    def to_reverse_protected(self, name: str) -> None:
        self.good("POST", f"{self.item(name)}/reProtect", self.reverse_body())
        self.reach(name, "Protected")

    def jobs(self, scenario: str) -> list[Answer]:
        """Jobs of one scenario as read singly, newest first."""
        listed = self.get(f"{self.vault}/replicationJobs")["value"]
        return [self.get(job["id"]) for job in listed if job["properties"]["scenarioName"] == scenario]

    def close(self) -> None:
        assert self.azure.faults == []
        self.azure.close()


def failover_body(*, shutdown: bool = False, **details: Any) -> Answer:
    return {
        "properties": {
            "failoverDirection": "PrimaryToRecovery",
            "sourceSiteOperations": "Required" if shutdown else "NotRequired",
            "providerSpecificDetails": {"instanceType": "InMageAzureV2", **details},
        }
    }


def failback_body(**details: Any) -> Answer:
    return {
        "properties": {"failoverDirection": "RecoveryToPrimary", "providerSpecificDetails": {"instanceType": "InMage", **details}}
    }
