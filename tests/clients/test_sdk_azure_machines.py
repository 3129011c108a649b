"""Networks, gateways, disks and virtual machines through the vendor's SDKs."""

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.storage import StorageManagementClient

WEST = {"location": "westeurope"}
STATIC = {**WEST, "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}


@pytest.fixture
def net(cloud: Any) -> Any:
    """A network client and a network `vnet` with the subnets `default` and `GatewaySubnet`."""
    cloud.azure.add_group("rg")
    client = cloud.client(NetworkManagementClient)
    subnets = [
        {"name": "default", "properties": {"addressPrefix": "10.1.0.0/29"}},
        {"name": "GatewaySubnet", "properties": {"addressPrefix": "10.1.1.0/27"}},
    ]
    body = {**WEST, "properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": subnets}}
    vnet = client.virtual_networks.begin_create_or_update("rg", "vnet", body).result()
    assert [subnet.name for subnet in vnet.subnets] == ["default", "GatewaySubnet"]
    assert {subnet.provisioning_state for subnet in vnet.subnets} == {"Succeeded"}
    return client


def nic_body(cloud: Any, address: str = "", subnet: str = "default") -> dict[str, Any]:
    subnet_id = f"{cloud.azure.group_id('rg')}/providers/Microsoft.Network/virtualNetworks/vnet/subnets/{subnet}"
    properties: dict[str, Any] = {"subnet": {"id": subnet_id}, "privateIPAllocationMethod": "Dynamic"}
    if address:
        properties |= {"privateIPAllocationMethod": "Static", "privateIPAddress": address}
    return {**WEST, "properties": {"ipConfigurations": [{"name": "ip", "properties": properties}]}}


def code_of(call: Any) -> str:
    with pytest.raises(HttpResponseError) as refused:
        call()
    return str(refused.value.error.code)


def test_addresses_come_from_the_subnet_and_go_back(cloud: Any, net: Any) -> None:
    put = net.network_interfaces.begin_create_or_update
    first = put("rg", "nic1", nic_body(cloud)).result()
    assert first.ip_configurations[0].private_ip_address == "10.1.0.4"
    assert put("rg", "nic2", nic_body(cloud, "10.1.0.6")).result().ip_configurations[0].private_ip_address == "10.1.0.6"
    assert code_of(lambda: put("rg", "nic3", nic_body(cloud, "10.1.0.6"))) == "PrivateIPAddressIsAllocated"
    assert code_of(lambda: put("rg", "nic3", nic_body(cloud, "10.1.0.2"))) == "PrivateIPAddressInReservedRange"
    assert code_of(lambda: put("rg", "nic3", nic_body(cloud, "10.9.0.2"))) == "PrivateIPAddressNotInSubnet"
    assert put("rg", "nic3", nic_body(cloud)).result().ip_configurations[0].private_ip_address == "10.1.0.5"
    assert code_of(lambda: put("rg", "nic4", nic_body(cloud))) == "SubnetIsFull"
    assert code_of(lambda: put("rg", "nic4", nic_body(cloud, subnet="nowhere"))) == "InvalidResourceReference"
    assert len(net.subnets.get("rg", "vnet", "default").ip_configurations) == 3
    assert not net.virtual_networks.check_ip_address_availability("rg", "vnet", ip_address="10.1.0.5").available
    assert put("rg", "nic1", nic_body(cloud)).result().mac_address == first.mac_address
    net.network_interfaces.begin_delete("rg", "nic3").result()
    assert net.virtual_networks.check_ip_address_availability("rg", "vnet", ip_address="10.1.0.5").available
    assert put("rg", "nic4", nic_body(cloud)).result().ip_configurations[0].private_ip_address == "10.1.0.5"


def test_subnets_are_checked_and_kept_while_in_use(cloud: Any, net: Any) -> None:
    net.network_interfaces.begin_create_or_update("rg", "nic1", nic_body(cloud)).result()
    put = net.subnets.begin_create_or_update
    added = put("rg", "vnet", "more", {"properties": {"addressPrefix": "10.1.2.0/24"}}).result()
    assert added.provisioning_state == "Succeeded"
    assert (
        code_of(lambda: put("rg", "vnet", "x", {"properties": {"addressPrefix": "10.1.2.128/25"}})) == "NetcfgSubnetRangesOverlap"
    )
    assert code_of(lambda: put("rg", "vnet", "x", {"properties": {"addressPrefix": "10.2.2.0/24"}})) == "NetcfgInvalidSubnet"
    assert code_of(lambda: put("rg", "vnet", "x", {"properties": {"addressPrefix": "10.1.2.1/24"}})) == "InvalidCIDRNotation"
    assert code_of(lambda: net.subnets.begin_delete("rg", "vnet", "default")) == "InUseSubnetCannotBeDeleted"
    assert code_of(lambda: net.virtual_networks.begin_delete("rg", "vnet")) == "InUseSubnetCannotBeDeleted"
    net.subnets.begin_delete("rg", "vnet", "more").result()
    assert [subnet.name for subnet in net.subnets.list("rg", "vnet")] == ["default", "GatewaySubnet"]
    net.network_interfaces.begin_delete("rg", "nic1").result()
    net.virtual_networks.begin_delete("rg", "vnet").result()
    assert list(net.virtual_networks.list("rg")) == []


def test_a_vpn_connection_brings_the_link_up_and_down(cloud: Any, net: Any) -> None:
    public = net.public_ip_addresses.begin_create_or_update("rg", "pip", STATIC).result()
    group = f"{cloud.azure.group_id('rg')}/providers/Microsoft.Network"
    ip = {"subnet": {"id": f"{group}/virtualNetworks/vnet/subnets/GatewaySubnet"}, "publicIPAddress": {"id": public.id}}
    body = {
        **WEST,
        "properties": {"gatewayType": "Vpn", "vpnType": "RouteBased", "ipConfigurations": [{"name": "ip", "properties": ip}]},
    }
    gateway = net.virtual_network_gateways.begin_create_or_update("rg", "gw", body).result()
    assert net.public_ip_addresses.get("rg", "pip").ip_configuration.id.endswith("/gw/ipConfigurations/ip")
    far_body = {
        **WEST,
        "properties": {"gatewayIpAddress": "203.0.113.9", "localNetworkAddressSpace": {"addressPrefixes": ["192.168.0.0/16"]}},
    }
    far = net.local_network_gateways.begin_create_or_update("rg", "site", far_body).result()
    link = {
        "connectionType": "IPsec",
        "virtualNetworkGateway1": {"id": gateway.id},
        "localNetworkGateway2": {"id": far.id},
        "sharedKey": "abc",
    }
    assert ("link", "vpn", True) not in cloud.outside.calls
    connection = net.virtual_network_gateway_connections.begin_create_or_update(
        "rg", "vpn", {**WEST, "properties": link}
    ).result()
    assert connection.connection_status == "Connected"
    assert connection.shared_key is None
    assert cloud.outside.calls[-1] == ("link", "vpn", True)
    assert code_of(lambda: net.virtual_network_gateways.begin_delete("rg", "gw")) == "InUseGatewayCannotBeDeleted"
    net.virtual_network_gateway_connections.begin_delete("rg", "vpn").result()
    assert cloud.outside.calls[-1] == ("link", "vpn", False)
    net.virtual_network_gateways.begin_delete("rg", "gw").result()
    net.public_ip_addresses.begin_delete("rg", "pip").result()
    ip["subnet"] = {"id": f"{group}/virtualNetworks/vnet/subnets/default"}
    assert code_of(lambda: net.virtual_network_gateways.begin_create_or_update("rg", "gw", body)) == "InvalidGatewaySubnet"


def test_security_groups_check_their_rules_and_their_users(cloud: Any, net: Any) -> None:
    rule = {"priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "Tcp"}
    rule |= {"sourceAddressPrefix": "*", "destinationAddressPrefix": "*", "sourcePortRange": "*", "destinationPortRange": "22"}
    put = net.network_security_groups.begin_create_or_update
    made = put("rg", "nsg", {**WEST, "properties": {"securityRules": [{"name": "ssh", "properties": rule}]}}).result()
    assert [one.name for one in made.security_rules] == ["ssh"]
    assert len(made.default_security_rules) == 6
    twice = [{"name": name, "properties": rule} for name in ("a", "b")]
    assert code_of(lambda: put("rg", "bad", {**WEST, "properties": {"securityRules": twice}})) == "SecurityRuleConflict"
    body = nic_body(cloud)
    body["properties"]["networkSecurityGroup"] = {"id": made.id}
    net.network_interfaces.begin_create_or_update("rg", "nic1", body).result()
    assert code_of(lambda: net.network_security_groups.begin_delete("rg", "nsg")) == "InUseNetworkSecurityGroupCannotBeDeleted"
    net.network_interfaces.begin_delete("rg", "nic1").result()
    net.network_security_groups.begin_delete("rg", "nsg").result()


def make_machine(cloud: Any, net: Any, compute: Any) -> Any:
    """A machine of an imported OS disk and an empty data disk; its parts stay when it goes."""
    storage = cloud.client(StorageManagementClient)
    storage.storage_accounts.begin_create(
        "rg", "disksaccount", {**WEST, "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
    ).result()
    cloud.outside.blobs["disksaccount", "vhds", "web.vhd"] = 2 * 1024**3 + 512
    source = {"createOption": "Import", "sourceUri": "https://disksaccount.blob.drillbed/vhds/web.vhd"}
    disk = compute.disks.begin_create_or_update(
        "rg", "web-os", {**WEST, "properties": {"creationData": source, "osType": "Linux"}}
    ).result()
    assert (disk.disk_size_gb, disk.disk_size_bytes, disk.disk_state) == (3, 2 * 1024**3 + 512, "Unattached")
    empty = {**WEST, "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 4}}
    data = compute.disks.begin_create_or_update("rg", "web-data", empty).result()
    nic = net.network_interfaces.begin_create_or_update("rg", "web-nic", nic_body(cloud, "10.1.0.6")).result()
    profile = {
        "osDisk": {"createOption": "Attach", "osType": "Linux", "managedDisk": {"id": disk.id}},
        "dataDisks": [{"lun": 0, "createOption": "Attach", "managedDisk": {"id": data.id}}],
    }
    properties = {
        "hardwareProfile": {"vmSize": "Standard_D2_v2"},
        "storageProfile": profile,
        "networkProfile": {"networkInterfaces": [{"id": nic.id}]},
    }
    return compute.virtual_machines.begin_create_or_update("rg", "web", {**WEST, "properties": properties}).result()


def power_of(compute: Any) -> str:
    view = compute.virtual_machines.instance_view("rg", "web")
    return str(view.statuses[1].code)


def test_a_machine_runs_stops_and_goes_and_its_parts_stay(cloud: Any, net: Any) -> None:
    compute = cloud.client(ComputeManagementClient)
    machine = make_machine(cloud, net, compute)
    assert (machine.provisioning_state, machine.hardware_profile.vm_size) == ("Succeeded", "Standard_D2_v2")
    started = cloud.outside.calls[-1]
    assert started[0] == "start"
    record = started[1]
    assert [(disk.unit, disk.is_os_disk, disk.blob and disk.blob.blob) for disk in record.disks] == [
        (0, True, "web.vhd"),
        (1, False, None),
    ]
    assert [nic.address for nic in record.nics] == ["10.1.0.6"]
    assert (record.os_type, record.name, record.vm_id) == ("LINUX", "web", machine.vm_id)
    assert power_of(compute) == "PowerState/running"
    expanded = compute.virtual_machines.get("rg", "WEB", expand="instanceView")
    assert expanded.instance_view.statuses[1].display_status == "VM running"
    assert compute.disks.get("rg", "web-os").managed_by == machine.id
    assert code_of(lambda: compute.disks.begin_delete("rg", "web-os")) == "OperationNotAllowed"
    assert code_of(lambda: net.network_interfaces.begin_delete("rg", "web-nic")) == "NicInUse"
    compute.virtual_machines.begin_power_off("rg", "web", skip_shutdown=True).result()
    assert (cloud.outside.calls[-1], power_of(compute)) == (("stop", "web", False), "PowerState/stopped")
    compute.virtual_machines.begin_start("rg", "web").result()
    assert power_of(compute) == "PowerState/running"
    compute.virtual_machines.begin_restart("rg", "web").result()
    assert cloud.outside.names()[-2:] == ["stop", "start"]
    compute.virtual_machines.begin_deallocate("rg", "web").result()
    assert (cloud.outside.calls[-1], power_of(compute)) == (("stop", "web", True), "PowerState/deallocated")
    compute.virtual_machines.begin_delete("rg", "web").result()
    assert cloud.outside.calls[-1] == ("deleted", "web")
    with pytest.raises(ResourceNotFoundError):
        compute.virtual_machines.get("rg", "web")
    assert compute.disks.get("rg", "web-os").disk_state == "Unattached"
    compute.disks.begin_delete("rg", "web-os").result()
    net.network_interfaces.begin_delete("rg", "web-nic").result()


def test_deleting_the_group_takes_everything_in_the_right_order(cloud: Any, net: Any) -> None:
    compute = cloud.client(ComputeManagementClient)
    make_machine(cloud, net, compute)
    client = cloud.client(ResourceManagementClient)
    listed = {one.type for one in client.resources.list_by_resource_group("rg")}
    assert {"Microsoft.Compute/virtualMachines", "Microsoft.Compute/disks", "Microsoft.Network/networkInterfaces"} <= listed
    assert [one.name for one in client.resources.list(filter="resourceType eq 'Microsoft.Compute/virtualMachines'")] == ["web"]
    client.resource_groups.begin_delete("rg").result()
    assert len(cloud.azure.store) == 0
    assert cloud.outside.names()[-3:] == ["stop", "deleted", "delete_account"]


def test_what_compute_refuses(cloud: Any, net: Any) -> None:
    compute = cloud.client(ComputeManagementClient)
    machine = make_machine(cloud, net, compute)
    empty = {**WEST, "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 4}}
    disk = compute.disks.begin_create_or_update("rg", "other-os", empty).result()
    nic = net.network_interfaces.begin_create_or_update("rg", "other-nic", nic_body(cloud)).result()

    def put(size: str = "Standard_D2_v2", os_disk: str = disk.id, nics: tuple[str, ...] = (nic.id,)) -> Any:
        properties = {
            "hardwareProfile": {"vmSize": size},
            "storageProfile": {"osDisk": {"createOption": "Attach", "osType": "Linux", "managedDisk": {"id": os_disk}}},
            "networkProfile": {"networkInterfaces": [{"id": one} for one in nics]},
        }
        return compute.virtual_machines.begin_create_or_update("rg", "other", {**WEST, "properties": properties})

    taken_disk = machine.storage_profile.os_disk.managed_disk.id
    taken_nic = machine.network_profile.network_interfaces[0].id
    assert code_of(lambda: put(size="Standard_None")) == "InvalidParameter"
    assert code_of(lambda: put(os_disk=disk.id + "-no")) == "ResourceNotFound"
    assert code_of(lambda: put(os_disk=taken_disk)) == "ConflictingUserInput"
    assert code_of(lambda: put(nics=(taken_nic,))) == "NicInUse"
    assert code_of(lambda: put(nics=())) == "InvalidParameter"
    assert code_of(lambda: put(nics=(nic.id + "-no",))) == "InvalidResourceReference"
    cloud.azure.machines.cores["westeurope"] = 3
    assert code_of(put) == "OperationNotAllowed"
    assert [one.name for one in compute.virtual_machines.list("rg")] == ["web"]
    assert compute.disks.get("rg", "other-os").managed_by is None
    cloud.azure.machines.cores["westeurope"] = 4
    put().result()
    missing = {"createOption": "Import", "sourceUri": "https://disksaccount.blob.drillbed/vhds/none.vhd"}
    poller = compute.disks.begin_create_or_update("rg", "ghost", {**WEST, "properties": {"creationData": missing}})
    assert code_of(poller.result) == "BlobNotFound"
    assert compute.disks.get("rg", "ghost").provisioning_state == "Failed"


def test_availability_sets_and_sizes(cloud: Any, net: Any) -> None:
    compute = cloud.client(ComputeManagementClient)
    made = compute.availability_sets.create_or_update("rg", "avset", {**WEST, "sku": {"name": "Aligned"}, "properties": {}})
    assert (made.platform_fault_domain_count, made.virtual_machines) == (2, [])
    assert cloud.statuses("PUT", "/avset") == [200]
    assert "Standard_D2_v2" in [size.name for size in compute.virtual_machine_sizes.list("westeurope")]
    assert {usage.name.value: usage.limit for usage in compute.usage.list("westeurope")}["cores"] == 100
    compute.availability_sets.delete("rg", "avset")
    with pytest.raises(ResourceNotFoundError):
        compute.availability_sets.get("rg", "avset")


def test_peerings_of_a_circuit_decide_which_links_there_are(cloud: Any, net: Any) -> None:
    provider = {"serviceProviderName": "Carrier", "peeringLocation": "Amsterdam", "bandwidthInMbps": 200}
    sku = {"name": "Standard_MeteredData", "tier": "Standard", "family": "MeteredData"}
    body = {**WEST, "sku": sku, "properties": {"serviceProviderProperties": provider}}
    circuit = net.express_route_circuits.begin_create_or_update("rg", "er", body).result()
    assert circuit.service_provider_provisioning_state == "Provisioned"
    put = net.express_route_circuit_peerings.begin_create_or_update
    peering = {
        "peerASN": 65001,
        "vlanId": 100,
        "primaryPeerAddressPrefix": "192.168.0.0/30",
        "secondaryPeerAddressPrefix": "192.168.0.4/30",
    }
    assert (
        code_of(lambda: put("rg", "er", "Other", {"properties": {**peering, "peeringType": "Other"}})) == "InvalidRequestFormat"
    )
    for kind in ("MicrosoftPeering", "AzurePrivatePeering"):
        put("rg", "er", kind, {"properties": {**peering, "peeringType": kind}}).result()
    assert cloud.outside.calls == [("link", "expressroute-public", True)]
    ip = {
        "subnet": {"id": f"{cloud.azure.group_id('rg')}/providers/Microsoft.Network/virtualNetworks/vnet/subnets/GatewaySubnet"}
    }
    gateway_body = {**WEST, "properties": {"gatewayType": "ExpressRoute", "ipConfigurations": [{"name": "ip", "properties": ip}]}}
    gateway = net.virtual_network_gateways.begin_create_or_update("rg", "gw", gateway_body).result()
    link = {"connectionType": "ExpressRoute", "virtualNetworkGateway1": {"id": gateway.id}, "peer": {"id": circuit.id}}
    net.virtual_network_gateway_connections.begin_create_or_update("rg", "er", {**WEST, "properties": link}).result()
    assert cloud.outside.calls[-1] == ("link", "expressroute-private", True)
    assert code_of(lambda: net.express_route_circuits.begin_delete("rg", "er")) == "InUseCircuitCannotBeDeleted"
    net.express_route_circuit_peerings.begin_delete("rg", "er", "AzurePrivatePeering").result()
    assert cloud.outside.calls[-1] == ("link", "expressroute-private", False)
    net.virtual_network_gateway_connections.begin_delete("rg", "er").result()
    net.express_route_circuits.begin_delete("rg", "er").result()
    assert cloud.outside.calls[3:] == [("link", "expressroute-public", False)]
