"""The whole life of a protected machine through azure-mgmt-recoveryservicessiterecovery, of either generation.

A program of its own, so that each generation has its own interpreter: `python sdk_life.py settings.json` prints what it saw as
JSON, and `wait` before it when replication has to catch up: it goes on when it is sent a line. 1.x is told the vault when its
client is made, 2.x with each call; all the rest is the same for both.
"""

import inspect
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.identity import ClientSecretCredential
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient
from azure.mgmt.recoveryservicessiterecovery import models as m

#: How often replication may be waited for.
PATIENCE = 100

COMMON = {"app_consistent_frequency_in_minutes": 60, "crash_consistent_frequency_in_minutes": 5}


@dataclass(slots=True)
class Life:
    """A client, where the machine is, and what was seen: (after what, protection state, provider)."""

    settings: dict[str, Any]
    client: Any
    bound: bool  #: the vault was told when the client was made
    where: tuple[str, str, str] = ("", "", "")
    seen: list[tuple[str, str, str]] = field(default_factory=list)

    def call(self, group: str, name: str, *args: Any) -> Any:
        vault = () if self.bound else (self.settings["group"], self.settings["vault"])
        return getattr(getattr(self.client, group), name)(*vault, *args)

    def done(self, group: str, name: str, *args: Any) -> Any:
        return self.call(group, f"begin_{name}", *args).result()

    def item(self, name: str, body: Any = None) -> Any:
        """An operation on the item, until it has ended."""
        result = self.done("replication_protected_items", name, *self.where, *(() if body is None else (body,)))
        return self.note(name, result)

    def note(self, after: str, result: Any = None) -> Any:
        item = self.call("replication_protected_items", "get", *self.where)
        kind = item.properties.provider_specific_details.instance_type
        self.seen.append((after, item.properties.protection_state, kind))
        return result

    def until_protected(self, after: str) -> None:
        for _ in range(PATIENCE):
            if self.call("replication_protected_items", "get", *self.where).properties.protection_state == "Protected":
                break
            sys.stdout.write("wait\n")
            sys.stdout.flush()
            sys.stdin.readline()
        self.note(after)


def opened(settings: dict[str, Any]) -> Life:
    credential = ClientSecretCredential(
        settings["tenant"], settings["client"], settings["secret"], authority=settings["login"], disable_instance_discovery=True,
        connection_verify=settings["ca"],
    )  # fmt: skip
    bound = "resource_name" in inspect.signature(SiteRecoveryManagementClient.__init__).parameters
    vault = (settings["group"], settings["vault"]) if bound else ()
    base = settings["management"]
    client: Any = SiteRecoveryManagementClient
    made = client(
        credential, settings["subscription"], *vault, base_url=base, credential_scopes=[f"{base}/.default"],
        connection_verify=settings["ca"],
    )  # fmt: skip
    return Life(settings, made, bound)


def policy(life: Life, name: str, details: Any, target: str) -> str:
    given = m.CreatePolicyInput(properties=m.CreatePolicyInputProperties(provider_specific_input=details))
    made = life.done("replication_policies", "create", name, given).id
    if target:
        mapping = m.CreateProtectionContainerMappingInputProperties(
            target_protection_container_id=target, policy_id=made,
            provider_specific_input=m.ReplicationProviderSpecificContainerMappingInput(),
        )  # fmt: skip
        body = m.CreateProtectionContainerMappingInput(properties=mapping)
        answer = life.done("replication_protection_container_mappings", "create", *life.where[:2], name, body)
        assert answer.properties.state == "Paired"
    return str(made)


def classic(life: Life) -> dict[str, Any]:
    """Policies; gives what enables a machine, brings it home and protects it again."""
    s, details = life.settings, life.call("replication_fabrics", "get", life.where[0]).properties.custom_details
    (target,) = details.master_target_servers
    servers = {one.friendly_name: one.id for one in details.process_servers}
    server = next(one for name, one in servers.items() if name != "process-server-azure")
    points = {"recovery_point_threshold_in_minutes": 15, "recovery_point_history": 1440}
    back = {"recovery_point_threshold_in_minutes": 15, "recovery_point_history": 1440, "app_consistent_frequency_in_minutes": 60}
    container = life.call("replication_protection_containers", "get", *life.where[:2]).id
    forward = policy(
        life, "sdk-forward", m.InMageAzureV2PolicyInput(multi_vm_sync_status="Enable", **COMMON, **points), "Microsoft Azure"
    )
    reverse = policy(life, "sdk-back", m.InMagePolicyInput(multi_vm_sync_status="Enable", **back), container)
    items = life.call("replication_protectable_items", "list_by_replication_protection_containers", *life.where[:2])
    found = next(item.id for item in items if item.properties.friendly_name == s["machine"])
    common = {
        "process_server_id": server, "master_target_id": server, "run_as_account_id": s["run_as"],
        "storage_account_id": s["storage"], "log_storage_account_id": s["cache"],
    }  # fmt: skip
    enable = m.InMageAzureV2EnableProtectionInput(
        **common, target_azure_v2_resource_group_id=s["group_id"], target_azure_network_id=s["network"],
        target_azure_subnet_id="default", target_azure_vm_name=s["machine"], enable_rdp_on_target_option="Never",
    )  # fmt: skip
    home = m.InMageReprotectInput(
        master_target_id=target.id, process_server_id=servers["process-server-azure"], profile_id=reverse,
        retention_drive=target.retention_volumes[0].volume_name, datastore_name=target.data_stores[0].symbolic_name,
    )  # fmt: skip
    over = m.UnplannedFailoverInputProperties(
        failover_direction="RecoveryToPrimary", source_site_operations="Required",
        provider_specific_details=m.InMageUnplannedFailoverInput(recovery_point_type="LatestTime"),
    )  # fmt: skip
    return {
        "enable": m.EnableProtectionInputProperties(
            policy_id=forward, protectable_item_id=found, provider_specific_details=enable
        ),
        "test": m.InMageAzureV2TestFailoverInput(),
        "failover": m.InMageAzureV2UnplannedFailoverInput(),
        "update": m.InMageAzureV2UpdateReplicationProtectedItemInput(),
        "home": home,
        "failback": ("unplanned_failover", m.UnplannedFailoverInput(properties=over)),
        "again": m.InMageAzureV2ReprotectInput(**common, policy_id=forward),
    }


def modernized(life: Life) -> dict[str, Any]:
    """The same with an appliance."""
    s, details = life.settings, life.call("replication_fabrics", "get", life.where[0]).properties.custom_details
    assert details.instance_type == "InMageRcm"
    (server,), (agent,) = details.process_servers, details.reprotect_agents
    forward = policy(
        life, "sdk-forward",
        m.InMageRcmPolicyCreationInput(recovery_point_history_in_minutes=1440, enable_multi_vm_sync="true", **COMMON),
        "Microsoft Azure",
    )  # fmt: skip
    reverse = policy(life, "sdk-back", m.InMageRcmFailbackPolicyCreationInput(**COMMON), "")
    disks = m.InMageRcmDisksDefaultInput(disk_type="Standard_LRS", log_storage_account_id=s["cache"])
    enable = m.InMageRcmEnableProtectionInput(
        fabric_discovery_machine_id=s["discovered"], target_resource_group_id=s["group_id"], process_server_id=server.id,
        run_as_account_id=s["run_as"], disks_default=disks, target_network_id=s["network"], target_subnet_name="default",
        target_vm_name=s["machine"],
    )  # fmt: skip
    home = m.InMageRcmReprotectInput(
        reprotect_agent_id=agent.id, datastore_name=agent.accessible_datastores[0], log_storage_account_id=s["cache"],
        policy_id=reverse,
    )  # fmt: skip
    over = m.PlannedFailoverInputProperties(
        failover_direction="RecoveryToPrimary",
        provider_specific_details=m.InMageRcmFailbackPlannedFailoverProviderInput(recovery_point_type="CrashConsistent"),
    )
    return {
        "enable": m.EnableProtectionInputProperties(policy_id=forward, provider_specific_details=enable),
        "test": m.InMageRcmTestFailoverInput(),
        "failover": m.InMageRcmUnplannedFailoverInput(perform_shutdown="true"),
        "update": m.InMageRcmUpdateReplicationProtectedItemInput(),
        "home": home,
        "failback": ("planned_failover", m.PlannedFailoverInput(properties=over)),
        "again": m.InMageRcmFailbackReprotectInput(process_server_id=server.id, run_as_account_id=s["run_as"], policy_id=forward),
    }


PROFILES = {"classic": classic, "modernized": modernized}


def reprotect(life: Life, details: Any) -> None:
    body = m.ReverseReplicationInputProperties(failover_direction="RecoveryToPrimary", provider_specific_details=details)
    life.item("reprotect", m.ReverseReplicationInput(properties=body))
    life.until_protected("reprotect")


def live(life: Life) -> dict[str, Any]:
    """From nothing to protected, over to Azure, home, protected again, forgotten."""
    (fabric,) = life.call("replication_fabrics", "list")
    (container,) = life.call("replication_protection_containers", "list")
    life.where = fabric.name, container.name, life.settings["machine"]
    bodies = PROFILES[life.settings["profile"]](life)
    life.item("create", m.EnableProtectionInput(properties=bodies["enable"]))
    life.until_protected("create")
    points = list(life.call("recovery_points", "list_by_replication_protected_items", *life.where))
    change = m.UpdateReplicationProtectedItemInputProperties(
        recovery_azure_vm_size="Standard_D2s_v3", provider_specific_details=bodies["update"]
    )
    life.item("update", m.UpdateReplicationProtectedItemInput(properties=change))
    test = m.TestFailoverInputProperties(
        failover_direction="PrimaryToRecovery", network_type="VmNetworkAsInput", network_id=life.settings["network"],
        provider_specific_details=bodies["test"],
    )  # fmt: skip
    life.item("test_failover", m.TestFailoverInput(properties=test))
    clean = m.TestFailoverCleanupInputProperties(comments="seen")
    life.item("test_failover_cleanup", m.TestFailoverCleanupInput(properties=clean))
    over = m.UnplannedFailoverInputProperties(
        failover_direction="PrimaryToRecovery", source_site_operations="Required", provider_specific_details=bodies["failover"]
    )
    life.item("unplanned_failover", m.UnplannedFailoverInput(properties=over))
    life.item("failover_commit")
    reprotect(life, bodies["home"])
    life.item(*bodies["failback"])
    life.item("failover_commit")
    reprotect(life, bodies["again"])
    disable = m.DisableProtectionInputProperties(
        disable_protection_reason="NotSpecified", replication_provider_input=m.DisableProtectionProviderSpecificInput()
    )
    life.done("replication_protected_items", "delete", *life.where, m.DisableProtectionInput(properties=disable))
    jobs = list(life.call("replication_jobs", "list"))
    return {
        "seen": life.seen,
        "points": len(points),
        "jobs": sorted({(job.properties.scenario_name, job.properties.state) for job in jobs}),
        "left": [item.name for item in life.call("replication_protected_items", "list")],
    }


def main(path: str) -> None:
    life = opened(json.loads(Path(path).read_text()))
    try:
        sys.stdout.write(json.dumps(live(life)))
    finally:
        life.client.close()


if __name__ == "__main__":
    main(sys.argv[1])
