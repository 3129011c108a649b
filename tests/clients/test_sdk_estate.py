"""The vendor's SDKs, unmodified, over real TLS sockets, take a machine with real bytes to Azure and home again."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ClientSecretCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.recoveryservices import RecoveryServicesClient
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient
from azure.mgmt.recoveryservicessiterecovery import models as m
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.storage import StorageManagementClient

from drillbed.estate import SUBNETS, Estate, EstatePlan
from drillbed.machines import MachinePlan
from emulators.azure.cloud import CLIENT, SUBSCRIPTION, TENANT
from emulators.http.sockets import Sockets

MIB = 1 << 20
GROUP, VAULT, REGION = "drill", "drillvault", "westeurope"


@pytest.fixture
def estate(tmp_path: Path) -> Iterator[Estate]:
    source = tmp_path / "web.img"
    source.write_bytes(Random(4).randbytes(3 * MIB) + bytes(5 * MIB))
    machine = MachinePlan("web", "WINDOWS", [8 * MIB, 4 * MIB], source=source)
    plan = EstatePlan(way="embedded", seed=4, speed=30.0, machines=[machine], hash_at_boot=True)
    with Estate.open(plan, tmp_path / "estate") as opened:
        yield opened


@pytest.fixture
def client(estate: Estate) -> Iterator[Callable[..., Any]]:
    """Make an SDK client as a user would: endpoint, credential and the estate's CA, nothing else."""
    transport = estate.network.transport
    assert isinstance(transport, Sockets)
    trust = str(transport.authorities.bundle())

    def url(name: str) -> str:
        where = transport.where(estate.places.host(name), 443)
        assert where is not None
        return f"https://{where[0]}" + ("" if where[1] == 443 else f":{where[1]}")

    credential = ClientSecretCredential(
        TENANT, CLIENT, estate.secret, authority=url("login"), disable_instance_discovery=True, connection_verify=trust
    )
    made: list[Any] = []

    def make(kind: Any) -> Any:
        scope = f"{url('management')}/.default"
        found = kind(credential, SUBSCRIPTION, base_url=url("management"), credential_scopes=[scope], connection_verify=trust)
        made.append(found)
        return found

    yield make
    for one in made:
        one.close()
    credential.close()


def prepare(estate: Estate, client: Callable[..., Any]) -> None:
    """Group, accounts, network, vault and registration, all by SDK."""
    client(ResourceManagementClient).resource_groups.create_or_update(GROUP, {"location": REGION})
    accounts = client(StorageManagementClient).storage_accounts
    for name in ("drillreplica", "drillcache"):
        accounts.begin_create(GROUP, name, {"location": REGION, "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}).result()
    subnets = [{"name": name, "properties": {"addressPrefix": prefix}} for name, prefix in SUBNETS]
    network = {"location": REGION, "properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": subnets}}
    client(NetworkManagementClient).virtual_networks.begin_create_or_update(GROUP, "recovery", network).result()
    services = client(RecoveryServicesClient)
    vault = {"location": REGION, "sku": {"name": "Standard"}, "properties": {}}
    services.vaults.begin_create_or_update(GROUP, VAULT, vault).result()
    request = {"properties": {"authType": "AAD", "certificate": "ZHJpbGxiZWQ="}}
    made = services.vault_certificates.create(GROUP, VAULT, "registration", request)
    key = made.properties.certificate
    estate.azure.start_worker(key if isinstance(key, str) else key.decode())
    estate.register_site()


def policies(site: Any, fabric: str, container: str) -> tuple[str, str]:
    common = {
        "recovery_point_threshold_in_minutes": 15,
        "recovery_point_history": 1440,
        "app_consistent_frequency_in_minutes": 60,
    }
    inputs = {
        "forward": m.InMageAzureV2PolicyInput(crash_consistent_frequency_in_minutes=5, multi_vm_sync_status="Enable", **common),
        "back": m.InMagePolicyInput(multi_vm_sync_status="Enable", **common),
    }
    made = {}
    for name, details in inputs.items():
        body = m.CreatePolicyInput(properties=m.CreatePolicyInputProperties(provider_specific_input=details))
        made[name] = site.replication_policies.begin_create(GROUP, VAULT, name, body).result().id
    for name, target in (("forward", "Microsoft Azure"), ("back", f"{container}")):
        details = m.CreateProtectionContainerMappingInputProperties(
            target_protection_container_id=target,
            policy_id=made[name],
            provider_specific_input=m.ReplicationProviderSpecificContainerMappingInput(),
        )
        site.replication_protection_container_mappings.begin_create(
            GROUP, VAULT, fabric, container.rsplit("/", 1)[1], name, m.CreateProtectionContainerMappingInput(properties=details)
        ).result()
    return made["forward"], made["back"]


def until(estate: Estate, condition: Callable[[], bool]) -> None:
    """Let emulated time pass until the SDK sees it."""
    limit = estate.clock.now() + 7200
    while not condition():
        assert estate.clock.now() < limit
        estate.clock.wait(15)


def test_sdks_take_a_machine_to_azure_and_home(estate: Estate, client: Callable[..., Any]) -> None:
    prepare(estate, client)
    site = client(SiteRecoveryManagementClient)
    (fabric,) = list(site.replication_fabrics.list(GROUP, VAULT))
    (container,) = list(site.replication_protection_containers.list(GROUP, VAULT))
    server = fabric.properties.custom_details.process_servers[0].id
    vcenter = m.AddVCenterRequestProperties(
        friendly_name="vcenter", ip_address="vcenter.drillbed", process_server_id=server, port="443", run_as_account_id="1"
    )
    site.replicationv_centers.begin_create(GROUP, VAULT, fabric.name, "vcenter", m.AddVCenterRequest(properties=vcenter)).result()
    forward, back = policies(site, fabric.name, container.id)
    where = (GROUP, VAULT, fabric.name, container.name)
    found = {
        item.properties.friendly_name: item
        for item in site.replication_protectable_items.list_by_replication_protection_containers(*where)
    }
    items = site.replication_protected_items
    enable = m.InMageAzureV2EnableProtectionInput(
        process_server_id=server,
        master_target_id=server,
        run_as_account_id="2",
        storage_account_id=estate.targets.storage,
        log_storage_account_id=estate.targets.cache,
        target_azure_v2_resource_group_id=estate.targets.group,
        target_azure_network_id=estate.targets.network,
        target_azure_subnet_id="default",
        target_azure_vm_name="web",
        enable_rdp_on_target_option="Never",
    )
    body = m.EnableProtectionInputProperties(
        policy_id=forward, protectable_item_id=found["web"].id, provider_specific_details=enable
    )
    items.begin_create(*where, "web", m.EnableProtectionInput(properties=body)).result()
    until(estate, lambda: items.get(*where, "web").properties.protection_state == "Protected")
    (usage,) = list(client(RecoveryServicesClient).replication_usages.list(GROUP, VAULT))
    assert (usage.protected_item_count, usage.registered_servers_count, usage.recovery_plan_count) == (1, 1, 0)
    assert (usage.jobs_summary.failed_jobs, usage.monitoring_summary.un_healthy_provider_count) == (0, 0)

    planned = m.PlannedFailoverInputProperties(
        failover_direction="PrimaryToRecovery",
        provider_specific_details=m.PlannedFailoverProviderSpecificFailoverInput(),
    )
    with pytest.raises(HttpResponseError) as refused:
        items.begin_planned_failover(*where, "web", m.PlannedFailoverInput(properties=planned)).result()
    assert refused.value.status_code == 400

    over = m.UnplannedFailoverInputProperties(
        failover_direction="PrimaryToRecovery",
        source_site_operations="Required",
        provider_specific_details=m.InMageAzureV2UnplannedFailoverInput(),
    )
    items.begin_unplanned_failover(*where, "web", m.UnplannedFailoverInput(properties=over)).result()
    source = estate.hashes(estate.onprem_disks("web"))
    assert estate.boot_hashes("azure", "web") == source
    machine = client(ComputeManagementClient).virtual_machines.instance_view(GROUP, "web")
    assert "PowerState/running" in [status.code for status in machine.statuses]
    items.begin_failover_commit(*where, "web").result()
    assert list(site.recovery_points.list_by_replication_protected_items(*where, "web")) == []

    estate.connect_vpn()
    estate.add_process_server_in_azure()
    estate.clock.wait(120)
    details = site.replication_fabrics.get(GROUP, VAULT, fabric.name).properties.custom_details
    home = m.InMageReprotectInput(
        master_target_id=details.master_target_servers[0].id,
        process_server_id=next(one.id for one in details.process_servers if one.friendly_name == "process-server-azure"),
        retention_drive=details.master_target_servers[0].retention_volumes[0].volume_name,
        profile_id=back,
    )
    reverse = m.ReverseReplicationInputProperties(failover_direction="RecoveryToPrimary", provider_specific_details=home)
    items.begin_reprotect(*where, "web", m.ReverseReplicationInput(properties=reverse)).result()
    until(estate, lambda: items.get(*where, "web").properties.protection_state == "Protected")
    over = m.UnplannedFailoverInputProperties(
        failover_direction="RecoveryToPrimary",
        source_site_operations="Required",
        provider_specific_details=m.InMageUnplannedFailoverInput(recovery_point_type="LatestTime"),
    )
    items.begin_unplanned_failover(*where, "web", m.UnplannedFailoverInput(properties=over)).result()
    last = estate.hashes(estate.azure_disks("web"))
    assert estate.boot_hashes("onprem", "web") == last
    items.begin_failover_commit(*where, "web").result()
    assert list(client(ComputeManagementClient).virtual_machines.list(GROUP)) == []
