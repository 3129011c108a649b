"""Security rules, route tables, load balancers, keys of connections and quotas through the vendor's SDK."""

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.network import NetworkManagementClient

WEST = {"location": "westeurope"}
STATIC = {**WEST, "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}}
RULE = {
    "priority": 100, "direction": "inbound", "access": "Allow", "protocol": "tcp", "sourceAddressPrefix": "*",
    "destinationAddressPrefix": "*", "sourcePortRange": "*", "destinationPortRange": "22",
}  # fmt: skip


@pytest.fixture
def net(cloud: Any) -> Any:
    """A network client and a network `vnet` with the subnet `default`."""
    cloud.azure.add_group("rg")
    client = cloud.client(NetworkManagementClient)
    subnets = [
        {"name": "default", "properties": {"addressPrefix": "10.1.0.0/24"}},
        {"name": "GatewaySubnet", "properties": {"addressPrefix": "10.1.1.0/29"}},
    ]
    body = {**WEST, "properties": {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": subnets}}
    client.virtual_networks.begin_create_or_update("rg", "vnet", body).result()
    return client


def path(cloud: Any, rest: str) -> str:
    return f"{cloud.azure.group_id('rg')}/providers/Microsoft.Network/{rest}"


def code_of(call: Any) -> str:
    with pytest.raises(HttpResponseError) as refused:
        call()
    return str(refused.value.error.code)


def test_rules_of_a_group_come_and_go_by_themselves(net: Any) -> None:
    net.network_security_groups.begin_create_or_update("rg", "nsg", {**WEST, "properties": {}}).result()
    rules = net.security_rules
    made = rules.begin_create_or_update("rg", "nsg", "ssh", {"properties": RULE}).result()
    assert (made.direction, made.protocol, made.provisioning_state) == ("Inbound", "Tcp", "Succeeded")
    assert code_of(lambda: rules.begin_create_or_update("rg", "nsg", "other", {"properties": RULE})) == "SecurityRuleConflict"
    rules.begin_create_or_update("rg", "nsg", "other", {"properties": {**RULE, "priority": 200}}).result()
    again = rules.begin_create_or_update(
        "rg", "nsg", "ssh", {"properties": {**RULE, "destinationPortRange": "2200-2300"}}
    ).result()
    assert again.destination_port_range == "2200-2300"
    assert [one.name for one in rules.list("rg", "nsg")] == ["other", "ssh"]
    assert len(list(net.default_security_rules.list("rg", "nsg"))) == 6
    assert net.default_security_rules.get("rg", "nsg", "DenyAllInBound").access == "Deny"
    for wrong, code in (
        ({"priority": 99}, "SecurityRuleInvalidPriority"),
        ({"access": "Perhaps"}, "InvalidRequestFormat"),
        ({"destinationPortRange": "70000"}, "SecurityRuleInvalidPortRange"),
        ({"destinationPortRange": "9-3"}, "SecurityRuleInvalidPortRange"),
    ):
        body = {"properties": {**RULE, "priority": 300, **wrong}}
        assert code_of(lambda body=body: rules.begin_create_or_update("rg", "nsg", "bad", body)) == code
    rules.begin_delete("rg", "nsg", "other").result()
    assert [one.name for one in net.network_security_groups.get("rg", "nsg").security_rules] == ["ssh"]
    with pytest.raises(ResourceNotFoundError):
        rules.get("rg", "nsg", "other")


def test_a_route_table_is_kept_while_a_subnet_uses_it(cloud: Any, net: Any) -> None:
    route = {"addressPrefix": "192.168.0.0/16", "nextHopType": "VirtualAppliance", "nextHopIpAddress": "10.1.0.9"}
    body = {**WEST, "properties": {"routes": [{"name": "home", "properties": route}]}}
    table = net.route_tables.begin_create_or_update("rg", "table", body).result()
    assert table.routes[0].next_hop_ip_address == "10.1.0.9"
    net.routes.begin_create_or_update(
        "rg", "table", "out", {"properties": {"addressPrefix": "0.0.0.0/0", "nextHopType": "Internet"}}
    ).result()
    assert [one.name for one in net.routes.list("rg", "table")] == ["home", "out"]
    wrong = {"properties": {"addressPrefix": "10.0.0.0/8", "nextHopType": "VirtualAppliance"}}
    assert code_of(lambda: net.routes.begin_create_or_update("rg", "table", "x", wrong)) == "InvalidNextHopIpAddress"
    subnet = {"properties": {"addressPrefix": "10.1.0.0/24", "routeTable": {"id": table.id}}}
    net.subnets.begin_create_or_update("rg", "vnet", "default", subnet).result()
    assert code_of(lambda: net.route_tables.begin_delete("rg", "table")) == "InUseRouteTableCannotBeDeleted"
    missing = {"properties": {"addressPrefix": "10.1.9.0/24", "routeTable": {"id": f"{table.id}-no"}}}
    assert code_of(lambda: net.subnets.begin_create_or_update("rg", "vnet", "x", missing)) == "InvalidResourceReference"
    net.subnets.begin_create_or_update("rg", "vnet", "default", {"properties": {"addressPrefix": "10.1.0.0/24"}}).result()
    net.route_tables.begin_delete("rg", "table").result()


def balancer_body(cloud: Any, *, front: Any = None, **change: Any) -> Any:
    own = path(cloud, "loadBalancers/lb")
    front = front or {"subnet": {"id": path(cloud, "virtualNetworks/vnet/subnets/default")}}
    rule = {
        "protocol": "Tcp", "frontendPort": 80, "backendPort": 8080,
        "frontendIPConfiguration": {"id": f"{own}/frontendIPConfigurations/front"},
        "backendAddressPool": {"id": f"{own}/backendAddressPools/pool"}, "probe": {"id": f"{own}/probes/alive"}, **change,
    }  # fmt: skip
    properties = {
        "frontendIPConfigurations": [{"name": "front", "properties": front}],
        "backendAddressPools": [{"name": "pool"}],
        "probes": [{"name": "alive", "properties": {"protocol": "Tcp", "port": 8080}}],
        "loadBalancingRules": [{"name": "web", "properties": rule}],
    }
    return {**WEST, "sku": {"name": "Standard"}, "properties": properties}


def test_a_balancer_takes_an_address_and_interfaces_join_its_pool(cloud: Any, net: Any) -> None:
    put = net.load_balancers.begin_create_or_update
    made = put("rg", "lb", balancer_body(cloud)).result()
    assert made.frontend_ip_configurations[0].private_ip_address == "10.1.0.4"
    pool = made.backend_address_pools[0].id
    ip = {
        "subnet": {"id": path(cloud, "virtualNetworks/vnet/subnets/default")},
        "loadBalancerBackendAddressPools": [{"id": pool}],
    }
    nic = {**WEST, "properties": {"ipConfigurations": [{"name": "ip", "properties": ip}]}}
    made = net.network_interfaces.begin_create_or_update("rg", "nic", nic).result()
    assert made.ip_configurations[0].private_ip_address == "10.1.0.5"
    shown = net.load_balancers.get("rg", "lb").backend_address_pools[0]
    assert [one.id for one in shown.backend_ip_configurations] == [made.ip_configurations[0].id]
    assert [one.name for one in net.load_balancer_network_interfaces.list("rg", "lb")] == ["nic"]
    assert [one.name for one in net.load_balancer_load_balancing_rules.list("rg", "lb")] == ["web"]
    assert net.load_balancer_probes.get("rg", "lb", "alive").port == 8080
    ip["loadBalancerBackendAddressPools"] = [{"id": f"{pool}-no"}]
    assert code_of(lambda: net.network_interfaces.begin_create_or_update("rg", "nic", nic)) == "InvalidResourceReference"
    net.load_balancers.begin_delete("rg", "lb").result()
    assert not net.network_interfaces.get("rg", "nic").ip_configurations[0].load_balancer_backend_address_pools
    assert net.virtual_networks.check_ip_address_availability("rg", "vnet", ip_address="10.1.0.4").available


def test_what_a_balancer_refuses_leaves_nothing_taken(cloud: Any, net: Any) -> None:
    put = net.load_balancers.begin_create_or_update
    own = path(cloud, "loadBalancers/lb")
    public = net.public_ip_addresses.begin_create_or_update("rg", "pip", STATIC).result()
    both = {"publicIPAddress": {"id": public.id}, "subnet": {"id": path(cloud, "virtualNetworks/vnet/subnets/default")}}
    for body, code in (
        (balancer_body(cloud, front=both), "LoadBalancerFrontendIPConfigurationInvalid"),
        (balancer_body(cloud, probe={"id": f"{own}/probes/none"}), "InvalidResourceReference"),
        (balancer_body(cloud, frontendPort=70000), "InvalidRequestFormat"),
        (balancer_body(cloud, protocol="Pigeon"), "InvalidRequestFormat"),
    ):
        assert code_of(lambda body=body: put("rg", "lb", body)) == code
    assert list(net.load_balancers.list("rg")) == []
    put("rg", "lb", balancer_body(cloud, front={"publicIPAddress": {"id": public.id}})).result()
    assert net.public_ip_addresses.get("rg", "pip").ip_configuration.id == f"{own}/frontendIPConfigurations/front"
    assert code_of(lambda: net.public_ip_addresses.begin_delete("rg", "pip")) == "PublicIPAddressCannotBeDeleted"
    put("rg", "lb", balancer_body(cloud)).result()
    net.public_ip_addresses.begin_delete("rg", "pip").result()


def test_a_pool_is_added_to_a_balancer(cloud: Any, net: Any) -> None:
    net.load_balancers.begin_create_or_update("rg", "lb", balancer_body(cloud)).result()
    net.load_balancer_backend_address_pools.begin_create_or_update("rg", "lb", "more", {}).result()
    assert [one.name for one in net.load_balancer_backend_address_pools.list("rg", "lb")] == ["pool", "more"]
    net.load_balancer_backend_address_pools.begin_delete("rg", "lb", "more").result()
    assert [one.name for one in net.load_balancer_backend_address_pools.list("rg", "lb")] == ["pool"]


def test_the_key_of_a_connection_is_shown_only_when_asked_for(cloud: Any, net: Any) -> None:
    public = net.public_ip_addresses.begin_create_or_update("rg", "pip", STATIC).result()
    ip = {"subnet": {"id": path(cloud, "virtualNetworks/vnet/subnets/GatewaySubnet")}, "publicIPAddress": {"id": public.id}}
    properties = {"gatewayType": "Vpn", "ipConfigurations": [{"name": "ip", "properties": ip}]}
    gateway = net.virtual_network_gateways.begin_create_or_update("rg", "gw", {**WEST, "properties": properties}).result()
    net.virtual_network_gateways.begin_reset("rg", "gw").result()
    site = {**WEST, "properties": {"gatewayIpAddress": "203.0.113.9"}}
    far = net.local_network_gateways.begin_create_or_update("rg", "site", site).result()
    link = {"connectionType": "IPsec", "virtualNetworkGateway1": {"id": gateway.id}, "localNetworkGateway2": {"id": far.id}}
    connections = net.virtual_network_gateway_connections
    connections.begin_create_or_update("rg", "vpn", {**WEST, "properties": {**link, "sharedKey": "abc"}}).result()
    assert connections.get_shared_key("rg", "vpn").value == "abc"
    assert connections.begin_set_shared_key("rg", "vpn", {"value": "xyz"}).result().value == "xyz"
    connections.begin_reset_shared_key("rg", "vpn", {"keyLength": 12}).result()
    assert len(connections.get_shared_key("rg", "vpn").value) == 12
    assert code_of(lambda: connections.begin_set_shared_key("rg", "vpn", {"value": ""})) == "InvalidSharedKey"


def test_a_gateway_that_finds_no_address_leaves_none_taken(cloud: Any, net: Any) -> None:
    subnet = {"id": path(cloud, "virtualNetworks/vnet/subnets/GatewaySubnet")}  # three addresses can be given out
    entries = [{"name": f"ip{at}", "properties": {"subnet": subnet}} for at in range(4)]
    body = {**WEST, "properties": {"gatewayType": "Vpn", "ipConfigurations": entries}}
    assert code_of(lambda: net.virtual_network_gateways.begin_create_or_update("rg", "gw", body)) == "SubnetIsFull"
    body["properties"]["ipConfigurations"] = entries[:3]
    net.virtual_network_gateways.begin_create_or_update("rg", "gw", body).result()
    body["properties"]["ipConfigurations"] = entries
    assert code_of(lambda: net.virtual_network_gateways.begin_create_or_update("rg", "gw", body)) == "SubnetIsFull"
    assert [one.current_value for one in net.virtual_networks.list_usage("rg", "vnet")] == [0, 3]


def test_a_circuit_gives_authorizations(net: Any) -> None:
    provider = {"serviceProviderName": "Carrier", "peeringLocation": "Amsterdam", "bandwidthInMbps": 200}
    body = {**WEST, "properties": {"serviceProviderProperties": provider}}
    net.express_route_circuits.begin_create_or_update("rg", "er", body).result()
    put = net.express_route_circuit_authorizations.begin_create_or_update
    key = put("rg", "er", "for-them", {}).result().authorization_key
    assert put("rg", "er", "for-them", {}).result().authorization_key == key
    net.express_route_circuits.begin_create_or_update("rg", "er", body).result()
    assert [one.authorization_key for one in net.express_route_circuit_authorizations.list("rg", "er")] == [key]
    assert net.express_route_circuits.get_stats("rg", "er").primarybytes_in == 0
    assert [one.name for one in net.express_route_service_providers.list()] == ["Carrier"]


def test_usages_and_names_are_counted(net: Any) -> None:
    assert {one.name.value: one.current_value for one in net.usages.list("westeurope")}["VirtualNetworks"] == 1
    assert net.check_dns_name_availability("westeurope", domain_name_label="web").available
    body = {**STATIC, "properties": {"publicIPAllocationMethod": "Static", "dnsSettings": {"domainNameLabel": "Web"}}}
    made = net.public_ip_addresses.begin_create_or_update("rg", "pip", body).result()
    assert made.dns_settings.fqdn == "web.westeurope.cloudapp.azure.com"
    assert not net.check_dns_name_availability("westeurope", domain_name_label="web").available
    assert code_of(lambda: net.public_ip_addresses.begin_create_or_update("rg", "two", body)) == "DnsRecordInUse"
