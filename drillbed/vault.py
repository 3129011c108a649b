"""A Recovery Services vault as its operator sees it: Site Recovery's resources and verbs as plain calls of Resource Manager.

Names of machines are used as names of protected items. A classic reprotect may give the item another name; `Vault` follows it.
"""

from dataclasses import dataclass, field
from typing import Any

from drillbed.dialects import CLASSIC, Dialect
from drillbed.operator import Operator, Refused

FORWARD, REVERSE = "PrimaryToRecovery", "RecoveryToPrimary"


@dataclass(frozen=True, slots=True)
class Targets:
    """Where machines go in Azure; all are ARM ids, `subnet` a name."""

    group: str
    network: str
    subnet: str
    storage: str
    cache: str


@dataclass(frozen=True, slots=True)
class WayBack:
    """What a classic reprotect to the site is given."""

    master_target: str
    process_server: str
    retention_volume: str
    datastore: str
    policy: str


@dataclass(slots=True)
class Vault:
    """One vault. Verbs wait until their job ended and raise `Refused` when it or the call is refused."""

    operator: Operator
    group: str
    name: str
    location: str = "westeurope"
    fabric: str = ""
    container: str = ""
    items: dict[str, str] = field(default_factory=dict)
    policies: dict[str, str] = field(default_factory=dict)
    dialect: Dialect = CLASSIC

    @property
    def path(self) -> str:
        return f"{self.group}/providers/Microsoft.RecoveryServices/vaults/{self.name}"

    # the vault and its site ------------------------------------------------------------------------------------------

    def create(self) -> dict[str, Any]:
        body = {"location": self.location, "sku": {"name": "Standard"}, "properties": {}}
        self.operator.run("PUT", self.path, body)
        return self.operator.get(self.path)

    def registration_key(self) -> str:
        """What a component presents when it registers; valid for five days."""
        body = {"properties": {"authType": "AAD", "certificate": "ZHJpbGxiZWQ="}}
        answer = self.operator.run("PUT", f"{self.path}/certificates/registration", body)
        return str(answer["properties"]["certificate"])

    def find_site(self) -> dict[str, Any]:
        """The fabric that the configuration server made, remembered for later calls. Raises `LookupError` when there is none."""
        fabrics = self.operator.list(f"{self.path}/replicationFabrics")
        if not fabrics:
            raise LookupError("the vault has no fabric: no configuration server is registered")
        self.fabric = str(fabrics[0]["id"])
        self.container = str(self.operator.list(f"{self.fabric}/replicationProtectionContainers")[0]["id"])
        return self.operator.get(self.fabric)

    def add_vcenter(self, name: str, address: str, run_as: str, process_server: str) -> dict[str, Any]:
        properties = {
            "friendlyName": name,
            "ipAddress": address,
            "port": "443",
            "runAsAccountId": run_as,
            "processServerId": process_server,
        }
        return self.operator.run("PUT", f"{self.fabric}/replicationvCenters/{name}", {"properties": properties})

    def discover_physical(self, name: str, address: str, os_type: str) -> dict[str, Any]:
        """PHY-001: tell the configuration server of a physical server."""
        properties = {"friendlyName": name, "ipAddress": address, "osType": os_type.capitalize()}
        return self.operator.run("POST", f"{self.container}/discoverProtectableItem", {"properties": properties})

    def protectable(self) -> dict[str, dict[str, Any]]:
        """Protectable items by the name of the machine."""
        found = self.operator.list(f"{self.container}/replicationProtectableItems")
        return {item["properties"]["friendlyName"]: item for item in found}

    def discovered(self) -> dict[str, str]:
        """Ids of the machines that an appliance has discovered, by the name of the machine (Microsoft.OffAzure)."""
        found = self.operator.list(f"{self._off_azure()}/machines")
        return {str(machine["properties"]["displayName"]): str(machine["id"]) for machine in found}

    def run_as_account(self, name: str) -> str:
        """Id of an appliance's run-as account. Raises `LookupError`."""
        for account in self.operator.list(f"{self._off_azure()}/runasaccounts"):
            if account["properties"]["displayName"] == name:
                return str(account["id"])
        raise LookupError(f"the appliance has no run-as account {name}")

    def _off_azure(self) -> str:
        return str(self.operator.get(self.fabric)["properties"]["customDetails"]["vmwareSiteId"])

    # policies --------------------------------------------------------------------------------------------------------

    def create_policy(self, name: str, details: dict[str, Any]) -> str:
        path = f"{self.path}/replicationPolicies/{name}"
        self.operator.run("PUT", path, {"properties": {"providerSpecificInput": details}})
        return str(self.operator.get(path)["id"])

    def map_policy(self, name: str, policy: str, target: str = "Microsoft Azure") -> dict[str, Any]:
        properties = {"targetProtectionContainerId": target, "policyId": policy, "providerSpecificInput": {}}
        path = f"{self.container}/replicationProtectionContainerMappings/{name}"
        return self.operator.run("PUT", path, {"properties": properties})

    def make_policies(self) -> None:
        """A policy for each direction, mapped to the site's container; their ids are `policies["forward"]` and `["failback"]`."""
        self.policies["forward"] = self.create_policy("five-minutes", dict(self.dialect.forward_policy))
        self.policies["failback"] = self.create_policy("five-minutes-failback", dict(self.dialect.failback_policy))
        self.map_policy("to-azure", self.policies["forward"])
        if self.dialect.map_failback:
            self.map_policy("to-site", self.policies["failback"], self.container)

    # protected items -------------------------------------------------------------------------------------------------

    def item_path(self, machine: str) -> str:
        return self.items.get(machine) or f"{self.container}/replicationProtectedItems/{machine}"

    def enable(
        self,
        machine: str,
        policy: str,
        targets: Targets,
        *,
        process_server: str,
        run_as: str,
        group: str = "",
        item: str = "",
        name: str = "",
    ) -> dict[str, Any]:
        """Start to protect a discovered machine. With `group` it joins (or makes) a replication group.

        `item` is the id of its protectable item, looked up unless given; `name` that of the protected item, the machine's
        unless given. A machine that was not discovered is left to the service to refuse.
        """
        path = self.item_path(machine) if name in ("", machine) else f"{self.container}/replicationProtectedItems/{name}"
        if self.dialect is not CLASSIC:
            found_id = item or self.discovered().get(machine, "")
            details = discovered_details(found_id, machine, targets, process_server, run_as, group)
            return self.operator.run("PUT", path, {"properties": {"policyId": policy, "providerSpecificDetails": details}})
        found = self.protectable().get(machine, {}) if not item else {}
        item = item or found.get("id") or f"{self.container}/replicationProtectableItems/{machine}"
        details = {
            "instanceType": "InMageAzureV2",
            "processServerId": process_server,
            "masterTargetId": process_server,
            "runAsAccountId": run_as,
            "storageAccountId": targets.storage,
            "logStorageAccountId": targets.cache,
            "targetAzureV2ResourceGroupId": targets.group,
            "targetAzureNetworkId": targets.network,
            "targetAzureSubnetId": targets.subnet,
            "targetAzureVmName": machine,
            "enableRdpOnTargetOption": "Never",
            **({"multiVmGroupName": group} if group else {}),
        }
        properties = {"policyId": policy, "protectableItemId": item, "providerSpecificDetails": details}
        return self.operator.run("PUT", path, {"properties": properties})

    def update(self, machine: str, properties: dict[str, Any]) -> dict[str, Any]:
        """Change settings of the machine that a failover will make."""
        details = {"providerSpecificDetails": {"instanceType": self.dialect.forward}}
        return self.operator.run("PATCH", self.item_path(machine), {"properties": {**properties, **details}})

    def reassociate(self, machine: str, process_server: str) -> dict[str, Any]:
        """Move a machine to another process server."""
        properties = {
            "containerName": self.container.rsplit("/", 1)[-1],
            "sourceProcessServerId": self.item(machine)["providerSpecificDetails"]["processServerId"],
            "targetProcessServerId": process_server,
            "vmsToMigrate": [self.item_path(machine).rsplit("/", 1)[-1]],
            "updateType": "SystemLevel",
        }
        return self.operator.run("POST", f"{self.fabric}/reassociateGateway", {"properties": properties})

    def item(self, machine: str) -> dict[str, Any]:
        """Properties of the protected item."""
        properties: dict[str, Any] = self.operator.get(self.item_path(machine))["properties"]
        return properties

    def exists(self, machine: str) -> bool:
        try:
            self.item(machine)
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return True

    def until_state(self, machine: str, state: str, *, seconds: float = 6 * 3600) -> dict[str, Any]:
        """Let time pass until the item's protection state is `state`."""
        found: dict[str, Any] = self.operator.until(
            f"{machine} becoming {state}", lambda: self._in_state(machine, state), seconds=seconds, every=10.0
        )
        return found

    def _in_state(self, machine: str, state: str) -> dict[str, Any] | None:
        item = self.item(machine)
        return item if item["protectionState"] == state else None

    def recovery_points(self, machine: str) -> list[dict[str, Any]]:
        """Newest first."""
        return self.operator.list(f"{self.item_path(machine)}/recoveryPoints")

    def verb(self, machine: str, verb: str, properties: dict[str, Any] | None = None) -> dict[str, Any]:
        """POST a verb of the item and follow a new name that its job gives."""
        body = None if properties is None else {"properties": properties}
        job = self.operator.run("POST", f"{self.item_path(machine)}/{verb}", body)
        details = job.get("properties", {}).get("customDetails") or {}
        renamed = details.get("newReplicationProtectedItemId")
        if renamed:
            self.items[machine] = str(renamed)
        return job

    def test_failover(self, machine: str, network: str, point: str = "") -> dict[str, Any]:
        details = {"instanceType": self.dialect.forward, **({"recoveryPointId": point} if point else {})}
        return self.verb(
            machine,
            "testFailover",
            {
                "failoverDirection": FORWARD,
                "networkType": "VmNetworkAsInput",
                "networkId": network,
                "providerSpecificDetails": details,
            },
        )

    def clean_up(self, machine: str) -> dict[str, Any]:
        return self.verb(machine, "testFailoverCleanup", {"comments": "drill"})

    def failover(self, machine: str, *, shut_down: bool, point: str = "", direction: str = FORWARD) -> dict[str, Any]:
        details: dict[str, Any] = {"instanceType": self.dialect.forward if direction == FORWARD else self.dialect.reverse}
        if direction == FORWARD and point:
            details["recoveryPointId"] = point
        elif direction == REVERSE:
            details["recoveryPointType"] = point or self.dialect.latest
        return self.verb(
            machine,
            "unplannedFailover" if direction == FORWARD else self.dialect.failback_verb,
            {
                "failoverDirection": direction,
                "sourceSiteOperations": "Required" if shut_down else "NotRequired",
                "providerSpecificDetails": details,
            },
        )

    def planned_failover(self, machine: str, direction: str = FORWARD) -> dict[str, Any]:
        details = {"instanceType": self.dialect.forward}
        return self.verb(machine, "plannedFailover", {"failoverDirection": direction, "providerSpecificDetails": details})

    def change_point(self, machine: str, point: str) -> dict[str, Any]:
        details = {"instanceType": self.dialect.forward}
        return self.verb(machine, "applyRecoveryPoint", {"recoveryPointId": point, "providerSpecificDetails": details})

    def commit(self, machine: str) -> dict[str, Any]:
        return self.verb(machine, "failoverCommit")

    def reprotect(self, machine: str, details: dict[str, Any]) -> dict[str, Any]:
        """Replicate the other way, with `to_site` or `to_azure`. Both are `RecoveryToPrimary`, as recorded."""
        return self.verb(machine, "reProtect", {"failoverDirection": REVERSE, "providerSpecificDetails": details})

    def disable(self, machine: str, reason: str = "NotSpecified") -> dict[str, Any]:
        details = {"instanceType": self.dialect.forward}
        return self.verb(machine, "remove", {"disableProtectionReason": reason, "replicationProviderInput": details})

    def complete_migration(self, machine: str) -> dict[str, Any]:
        """FO-020: replication ends, the machine in Azure stays."""
        return self.disable(machine, "MigrationComplete")

    # recovery plans --------------------------------------------------------------------------------------------------

    def plan_path(self, name: str) -> str:
        return f"{self.path}/replicationRecoveryPlans/{name}"

    def create_plan(self, name: str, groups: list[list[str]], *, manual_before: dict[int, str] | None = None) -> dict[str, Any]:
        """A plan whose boot group n+1 holds `groups[n]`; `manual_before` puts a manual action before the start of a group."""
        manual = manual_before or {}
        described = [
            {
                "groupType": "Boot",
                "replicationProtectedItems": [self._member(machine) for machine in machines],
                "startGroupActions": [_manual(manual[number])] if number in manual else [],
                "endGroupActions": [],
            }
            for number, machines in enumerate(groups)
        ]
        properties = {
            "primaryFabricId": self.fabric,
            "recoveryFabricId": "Microsoft Azure",
            "failoverDeploymentModel": "ResourceManager",
            "groups": described,
        }
        return self.operator.run("PUT", self.plan_path(name), {"properties": properties})

    def run_plan(self, name: str, *, shut_down: bool, direction: str = FORWARD) -> dict[str, Any]:
        """Fail a plan over. The job that comes back may be suspended at a manual action: see `resume`."""
        kind = self.dialect.forward if direction == FORWARD else self.dialect.reverse
        verb = "unplannedFailover" if direction == FORWARD else self.dialect.failback_verb
        point = {"recoveryPointType": "Latest" if direction == FORWARD else self.dialect.latest}
        properties = {
            "failoverDirection": direction,
            "sourceSiteOperations": "Required" if shut_down else "NotRequired",
            "providerSpecificDetails": [{"instanceType": kind, **point}],
        }
        return self.operator.run("POST", f"{self.plan_path(name)}/{verb}", {"properties": properties})

    def test_plan(self, name: str, network: str) -> dict[str, Any]:
        """Test a plan's failover; the job that comes back waits for the clean-up."""
        properties = {
            "failoverDirection": FORWARD,
            "networkType": "VmNetworkAsInput",
            "networkId": network,
            "providerSpecificDetails": [{"instanceType": "InMageAzureV2", "recoveryPointType": "Latest"}],
        }
        return self.operator.run("POST", f"{self.plan_path(name)}/testFailover", {"properties": properties})

    def resume(self, job: dict[str, Any], comment: str) -> dict[str, Any]:
        """Go on after a manual action; gives the plan's job as it is when it ended or stopped again."""
        self.operator.run("POST", f"{job['id']}/resume", {"properties": {"comments": comment}})
        return self.operator.finish_job(job["id"])

    def commit_plan(self, name: str) -> dict[str, Any]:
        return self.operator.run("POST", f"{self.plan_path(name)}/failoverCommit")

    def reprotect_plan(self, name: str, details: dict[str, Any]) -> dict[str, Any]:
        """Reprotect what the plan holds, with `to_site` or `to_azure`; a replication group goes as a whole (RPR-020)."""
        properties = {"failoverDirection": REVERSE, "providerSpecificDetails": details}
        return self.operator.run("POST", f"{self.plan_path(name)}/reProtect", {"properties": properties})

    def _member(self, machine: str) -> dict[str, str]:
        found = self.operator.get(self.item_path(machine))
        details = found["properties"]["providerSpecificDetails"]
        return {"id": found["id"], "virtualMachineId": str(details.get("internalIdentifier") or details.get("vmId") or "")}


def to_site(back: WayBack) -> dict[str, Any]:
    """Details of a reprotect towards the site."""
    return {
        "instanceType": "InMage",
        "masterTargetId": back.master_target,
        "processServerId": back.process_server,
        "retentionDrive": back.retention_volume,
        "datastoreName": back.datastore,
        "profileId": back.policy,
    }


def to_appliance(back: WayBack, cache: str) -> dict[str, Any]:
    """Details of a reprotect towards the site through an appliance (RPR-025)."""
    return {
        "instanceType": "InMageRcm",
        "reprotectAgentId": back.master_target,
        "datastoreName": back.datastore,
        "logStorageAccountId": cache,
        "policyId": back.policy,
    }


def from_appliance(policy: str, *, process_server: str, run_as: str) -> dict[str, Any]:
    """Details of a reprotect towards Azure through an appliance."""
    return {"instanceType": "InMageRcmFailback", "processServerId": process_server, "runAsAccountId": run_as, "policyId": policy}


def discovered_details(
    machine_id: str, name: str, targets: Targets, process_server: str, run_as: str, group: str
) -> dict[str, Any]:
    """Details of enabling a machine that an appliance has discovered (DIS-013)."""
    return {
        "instanceType": "InMageRcm",
        "fabricDiscoveryMachineId": machine_id or name,
        "disksDefault": {"logStorageAccountId": targets.cache, "diskType": "Standard_LRS"},
        "targetResourceGroupId": targets.group,
        "targetNetworkId": targets.network,
        "targetSubnetName": targets.subnet,
        "targetVmName": name,
        "processServerId": process_server,
        "runAsAccountId": run_as,
        **({"multiVmGroupName": group} if group else {}),
    }


def to_azure(policy: str, targets: Targets, *, process_server: str, run_as: str) -> dict[str, Any]:
    """Details of a reprotect towards Azure."""
    return {
        "instanceType": "InMageAzureV2",
        "masterTargetId": process_server,
        "processServerId": process_server,
        "runAsAccountId": run_as,
        "policyId": policy,
        "storageAccountId": targets.storage,
        "logStorageAccountId": targets.cache,
    }


def _manual(text: str) -> dict[str, Any]:
    return {
        "actionName": "Manual action",
        "failoverTypes": ["UnplannedFailover", "TestFailover"],
        "failoverDirections": [FORWARD, REVERSE],
        "customDetails": {"instanceType": "ManualActionDetails", "description": text},
    }
