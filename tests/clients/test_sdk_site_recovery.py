"""The vendor's own azure-mgmt-recoveryservicessiterecovery, unmodified, drives a machine's whole life."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient
from azure.mgmt.recoveryservicessiterecovery import models as m

sys.path.insert(0, str(Path(__file__).parents[1] / "emulators" / "azure" / "site_recovery"))

from scripted_components import MACHINES
from scripted_site import Site
from scripted_transport import Patient


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site(seed=17)
    made.prepare_azure()
    made.register()
    yield made
    made.close()


class Sdk:
    """The client with group and vault filled in."""

    def __init__(self, site: Site, client: Any):
        self.site, self.client = site, client

    def __call__(self, group: str, name: str, *args: Any, **named: Any) -> Any:
        return getattr(getattr(self.client, group), name)("dr", "vault1", *args, **named)

    def done(self, group: str, name: str, *args: Any, **named: Any) -> Any:
        return self(group, "begin_" + name, *args, **named).result()


def test_whole_life_by_sdk(site: Site, connect: Any) -> None:
    sdk = Sdk(site, connect(site, SiteRecoveryManagementClient))
    fabric, container = set_up(sdk)
    where = (fabric.name, container.name, "web")
    protect(sdk, where)
    drill(sdk, where)
    there_and_back(sdk, where)


def set_up(sdk: Sdk) -> tuple[Any, Any]:
    (fabric,) = list(sdk("replication_fabrics", "list"))
    assert isinstance(fabric.properties.custom_details, m.VMwareDetails)
    assert fabric.properties.custom_details.process_servers[0].id == "CS-1"
    assert fabric.properties.custom_details.master_target_servers[0].retention_volumes[0].volume_name == "R"
    vcenter = m.AddVCenterRequest(
        properties=m.AddVCenterRequestProperties(
            friendly_name="vc", ip_address="vcenter.drillbed", process_server_id="CS-1", port="443", run_as_account_id="1"
        )
    )
    assert sdk.done("replicationv_centers", "create", fabric.name, "vc", vcenter).properties.discovery_status == "Connected"
    (container,) = list(sdk("replication_protection_containers", "list"))
    forward = m.InMageAzureV2PolicyInput(
        recovery_point_threshold_in_minutes=15,
        recovery_point_history=1440,
        crash_consistent_frequency_in_minutes=5,
        app_consistent_frequency_in_minutes=60,
        multi_vm_sync_status="Enable",
    )
    back = m.InMagePolicyInput(
        recovery_point_threshold_in_minutes=15,
        recovery_point_history=1440,
        app_consistent_frequency_in_minutes=60,
        multi_vm_sync_status="Enable",
    )
    for name, given, target in (("fwd", forward, "Microsoft Azure"), ("back", back, container.id)):
        made = m.CreatePolicyInput(properties=m.CreatePolicyInputProperties(provider_specific_input=given))
        policy = sdk.done("replication_policies", "create", name, made)
        assert policy.properties.provider_specific_details.multi_vm_sync_status == "Enabled"
        mapping = m.CreateProtectionContainerMappingInput(
            properties=m.CreateProtectionContainerMappingInputProperties(
                target_protection_container_id=target, policy_id=policy.id
            )
        )
        answer = sdk.done(
            "replication_protection_container_mappings", "create", fabric.name, container.name, f"map-{name}", mapping
        )
        assert answer.properties.state == "Paired"
    return fabric, container


def protect(sdk: Sdk, where: tuple[str, str, str]) -> None:
    site, items = sdk.site, list(sdk("replication_protectable_items", "list_by_replication_protection_containers", *where[:2]))
    web = next(item for item in items if item.properties.friendly_name == "web")
    with pytest.raises(ResourceNotFoundError):
        sdk("replication_protected_items", "get", *where)
    details = m.InMageAzureV2EnableProtectionInput(
        process_server_id="CS-1",
        master_target_id="MT-1",
        run_as_account_id="1",
        storage_account_id=site.account("drtarget"),
        log_storage_account_id=site.account("drcache"),
        target_azure_network_id=site.net("net"),
        target_azure_subnet_id="default",
        target_azure_vm_name="web-az",
        target_azure_v2_resource_group_id=site.group,
    )
    given = m.EnableProtectionInput(
        properties=m.EnableProtectionInputProperties(
            policy_id=site.policy("fwd"), protectable_item_id=web.id, provider_specific_details=details
        )
    )
    item = sdk.done("replication_protected_items", "create", *where, given)
    assert isinstance(item.properties.provider_specific_details, m.InMageAzureV2ReplicationDetails)
    assert item.properties.allowed_operations == ["DisableProtection"]
    wait_for(sdk, where, "Protected")
    assert wait_for(sdk, where, "Protected").properties.provider_specific_details.vm_id == MACHINES["web"]


def drill(sdk: Sdk, where: tuple[str, str, str]) -> None:
    (point,) = list(sdk("recovery_points", "list_by_replication_protected_items", *where))[:1]
    given = m.TestFailoverInput(
        properties=m.TestFailoverInputProperties(
            failover_direction="PrimaryToRecovery",
            network_type="VmNetworkAsInput",
            network_id=sdk.site.net("testnet"),
            provider_specific_details=m.InMageAzureV2TestFailoverInput(recovery_point_id=point.id),
        )
    )
    item = sdk.done("replication_protected_items", "test_failover", *where, given)
    assert (item.properties.test_failover_state, item.properties.allowed_operations) == (
        "WaitingForCompletion",
        ["TestFailoverCleanup"],
    )
    comments = m.TestFailoverCleanupInput(properties=m.TestFailoverCleanupInputProperties(comments="ok"))
    item = sdk.done("replication_protected_items", "test_failover_cleanup", *where, comments)
    assert item.properties.test_failover_state == "MarkedForDeletion"
    assert item.properties.last_successful_test_failover_time is not None
    planned = m.PlannedFailoverInput(properties=m.PlannedFailoverInputProperties(failover_direction="PrimaryToRecovery"))
    with pytest.raises(HttpResponseError) as refused:
        sdk.done("replication_protected_items", "planned_failover", *where, planned)
    assert "FailoverKindUnsupported" in str(refused.value.error.details[0].code)


def there_and_back(sdk: Sdk, where: tuple[str, str, str]) -> None:
    forward = m.InMageAzureV2UnplannedFailoverInput()
    item = fail_over(sdk, where, "PrimaryToRecovery", forward)
    assert (item.properties.active_location, item.properties.protection_state) == (
        "Recovery",
        "UnplannedFailoverCommitPendingStatesBegin",
    )
    item = sdk.done("replication_protected_items", "failover_commit", *where)
    assert "SwitchProtection" in item.properties.allowed_operations
    reverse = m.InMageReprotectInput(
        master_target_id="MT-1",
        process_server_id="PS-AZ",
        retention_drive="R",
        run_as_account_id="1",
        datastore_name="ds1",
        profile_id=sdk.site.policy("back"),
    )
    item = reprotect(sdk, where, reverse)
    assert isinstance(item.properties.provider_specific_details, m.InMageReplicationDetails)
    wait_for(sdk, where, "Protected")
    fail_over(sdk, where, "RecoveryToPrimary", m.InMageUnplannedFailoverInput(recovery_point_type="LatestTime"))
    sdk.done("replication_protected_items", "failover_commit", *where)
    assert sdk.site.world.running == set()
    reprotect(
        sdk,
        where,
        m.InMageAzureV2ReprotectInput(
            master_target_id="MT-1", process_server_id="CS-1", run_as_account_id="1", policy_id=sdk.site.policy("fwd")
        ),
    )
    item = wait_for(sdk, where, "Protected")
    assert isinstance(item.properties.provider_specific_details, m.InMageAzureV2ReplicationDetails)
    sdk.site.clock.wait(5.0)  # the jobs that appear by themselves
    names = {job.properties.scenario_name for job in sdk("replication_jobs", "list")}
    assert {"EnableDr", "TestFailover", "UnplannedFailover", "CommitFailover", "SwitchReplicationGroupProtection"} <= names
    assert all(job.properties.state == "Succeeded" for job in sdk("replication_jobs", "list"))
    sdk.done(
        "replication_protected_items", "delete", *where, m.DisableProtectionInput(properties=m.DisableProtectionInputProperties())
    )
    with pytest.raises(ResourceNotFoundError):
        sdk("replication_protected_items", "get", *where)


def test_plan_by_sdk(site: Site, connect: Any) -> None:
    sdk = Sdk(site, connect(site, SiteRecoveryManagementClient))
    fabric, container = set_up(sdk)
    protect(sdk, (fabric.name, container.name, "web"))
    member = m.RecoveryPlanProtectedItem(id=site.item("web"), virtual_machine_id=MACHINES["web"])
    action = m.RecoveryPlanAction(
        action_name="look",
        failover_types=["UnplannedFailover"],
        failover_directions=["PrimaryToRecovery"],
        custom_details=m.RecoveryPlanManualActionDetails(description="look at it"),
    )
    boot = m.RecoveryPlanGroup(group_type="Boot", replication_protected_items=[member], start_group_actions=[action])
    made = m.CreateRecoveryPlanInput(
        properties=m.CreateRecoveryPlanInputProperties(
            primary_fabric_id=fabric.id,
            recovery_fabric_id="Microsoft Azure",
            failover_deployment_model="ResourceManager",
            groups=[boot],
        )
    )
    plan = sdk.done("replication_recovery_plans", "create", "plan", made)
    assert [group.group_type for group in plan.properties.groups] == ["Shutdown", "Failover", "Boot"]
    given = m.RecoveryPlanUnplannedFailoverInput(
        properties=m.RecoveryPlanUnplannedFailoverInputProperties(
            failover_direction="PrimaryToRecovery",
            source_site_operations="NotRequired",
            provider_specific_details=[m.RecoveryPlanInMageAzureV2FailoverInput(recovery_point_type="Latest")],
        )
    )
    poller = sdk("replication_recovery_plans", "begin_unplanned_failover", "plan", given)

    def waiting() -> Any:
        return next((job for job in sdk("replication_jobs", "list") if job.properties.state == "Suspended"), None)

    assert site.until(lambda: waiting() is not None, seconds=3600.0)
    job = sdk("replication_jobs", "get", waiting().name)
    manual = [task.custom_details for task in job.properties.tasks if isinstance(task.custom_details, m.ManualActionTaskDetails)]
    assert manual[0].instructions == "look at it"
    resumed = m.ResumeJobParams(properties=m.ResumeJobParamsProperties(comments="seen"))
    sdk.done("replication_jobs", "resume", job.name, resumed)
    assert isinstance(poller.result(), m.RecoveryPlan)
    assert site.world.running == {"web-az"}


def fail_over(sdk: Sdk, where: tuple[str, str, str], direction: str, details: Any) -> Any:
    given = m.UnplannedFailoverInput(
        properties=m.UnplannedFailoverInputProperties(
            failover_direction=direction, source_site_operations="Required", provider_specific_details=details
        )
    )
    return sdk.done("replication_protected_items", "unplanned_failover", *where, given)


def reprotect(sdk: Sdk, where: tuple[str, str, str], details: Any) -> Any:
    given = m.ReverseReplicationInput(
        properties=m.ReverseReplicationInputProperties(failover_direction="RecoveryToPrimary", provider_specific_details=details)
    )
    return sdk.done("replication_protected_items", "reprotect", *where, given)


def wait_for(sdk: Sdk, where: tuple[str, str, str], state: str) -> Any:
    def there() -> bool:
        return str(sdk("replication_protected_items", "get", *where).properties.protection_state) == state

    assert sdk.site.until(there, seconds=3600.0)
    return sdk("replication_protected_items", "get", *where)


@pytest.fixture
def connect() -> Any:
    """Makes a client of a kind for a site."""
    opened: list[Patient] = []

    def make(site: Site, kind: Any) -> Any:
        def transport() -> Patient:
            opened.append(Patient(site.operator))
            return opened[-1]

        _, secret = site.azure.add_client("77777777-7777-7777-7777-777777777777")
        credential = ClientSecretCredential(
            site.azure.tenant,
            "77777777-7777-7777-7777-777777777777",
            secret,
            authority=site.azure.login_url,
            disable_instance_discovery=True,
            transport=transport(),
        )
        return kind(
            credential,
            site.azure.subscription,
            base_url=site.azure.management_url,
            credential_scopes=["https://management.azure.com/.default"],
            transport=transport(),
        )

    yield make
    for one in opened:
        one.close()
