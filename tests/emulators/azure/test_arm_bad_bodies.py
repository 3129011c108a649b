"""Every part of every body replaced by something else: one clear answer each time, never a fault of ours, nothing half done."""

import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from emulators.azure.cloud import SUBSCRIPTION

SUB = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{SUB}/resourceGroups/rg"
NET, COMPUTE = f"{GROUP}/providers/Microsoft.Network", f"{GROUP}/providers/Microsoft.Compute"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/account1"
AUTOMATION = f"{GROUP}/providers/Microsoft.Automation/automationAccounts/drills"
VAULT = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/vault1"
SUBNET = f"{NET}/virtualNetworks/vnet/subnets/default"
GATEWAY_SUBNET = f"{NET}/virtualNetworks/vnet/subnets/GatewaySubnet"
FOREIGN = SUBNET.replace(SUBSCRIPTION, "99999999-0000-0000-0000-000000000000")
WEST = {"location": "westeurope", "tags": {"a": "b"}}
BALANCER = f"{NET}/loadBalancers/lb"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
TEMPLATE = {
    "$schema": SCHEMA,
    "contentVersion": "1.0.0.0",
    "parameters": {"name": {"type": "string", "defaultValue": "x", "allowedValues": ["x"], "maxLength": 5}},
    "variables": {"full": "[concat(parameters('name'), 'y')]"},
    "resources": [
        {
            "type": "Microsoft.Network/routeTables",
            "apiVersion": "2024-05-01",
            "name": "[variables('full')]",
            "location": "westeurope",
            "dependsOn": [],
            "copy": {"name": "c", "count": 1},
            "condition": True,
            "properties": {"routes": []},
        }
    ],
    "outputs": {"name": {"type": "string", "value": "[parameters('name')]"}},
}
RULE = {
    "priority": 100, "direction": "Inbound", "access": "Allow", "protocol": "Tcp", "sourceAddressPrefix": "*",
    "destinationAddressPrefix": "*", "sourcePortRange": "*", "destinationPortRange": "22",
}  # fmt: skip
FRONT, POOL = {"id": f"{BALANCER}/frontendIPConfigurations/front"}, {"id": f"{BALANCER}/backendAddressPools/pool"}

#: Method, path and a body that is right, in an order in which all of them succeed.
RIGHT: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", f"{SUB}/resourceGroups/other", WEST),
    ("PATCH", GROUP, {"tags": {"a": "b"}}),
    ("PUT", f"{NET}/networkSecurityGroups/nsg", {**WEST, "properties": {"securityRules": [{"name": "r", "properties": RULE}]}}),
    ("PUT", f"{NET}/networkSecurityGroups/nsg/securityRules/r2", {"properties": {**RULE, "priority": 200}}),
    (
        "PUT",
        f"{NET}/routeTables/table",
        {
            **WEST,
            "properties": {
                "routes": [
                    {
                        "name": "r",
                        "properties": {
                            "addressPrefix": "0.0.0.0/0",
                            "nextHopType": "VirtualAppliance",
                            "nextHopIpAddress": "10.0.0.9",
                        },
                    }
                ]
            },
        },
    ),
    (
        "PUT",
        f"{NET}/virtualNetworks/vnet",
        {
            **WEST,
            "properties": {
                "addressSpace": {"addressPrefixes": ["10.0.0.0/16"]},
                "subnets": [
                    {
                        "name": "default",
                        "properties": {
                            "addressPrefix": "10.0.0.0/20",
                            "networkSecurityGroup": {"id": f"{NET}/networkSecurityGroups/nsg"},
                        },
                    },
                    {"name": "GatewaySubnet", "properties": {"addressPrefix": "10.0.255.0/27"}},
                ],
            },
        },
    ),
    (
        "PUT",
        f"{NET}/virtualNetworks/vnet/subnets/more",
        {"properties": {"addressPrefix": "10.0.32.0/24", "routeTable": {"id": f"{NET}/routeTables/table"}}},
    ),
    (
        "PUT",
        f"{NET}/publicIPAddresses/pip",
        {
            **WEST,
            "sku": {"name": "Standard", "tier": "Regional"},
            "properties": {
                "publicIPAllocationMethod": "Static",
                "idleTimeoutInMinutes": 4,
                "dnsSettings": {"domainNameLabel": "x"},
            },
        },
    ),
    (
        "PUT",
        BALANCER,
        {
            **WEST,
            "sku": {"name": "Standard"},
            "properties": {
                "frontendIPConfigurations": [{"name": "front", "properties": {"subnet": {"id": SUBNET}}}],
                "backendAddressPools": [{"name": "pool", "properties": {}}],
                "probes": [{"name": "p", "properties": {"protocol": "Http", "port": 80, "requestPath": "/"}}],
                "loadBalancingRules": [
                    {
                        "name": "r",
                        "properties": {
                            "protocol": "Tcp",
                            "frontendPort": 80,
                            "backendPort": 80,
                            "frontendIPConfiguration": FRONT,
                            "backendAddressPool": POOL,
                            "probe": {"id": f"{BALANCER}/probes/p"},
                        },
                    }
                ],
                "inboundNatRules": [
                    {
                        "name": "n",
                        "properties": {
                            "protocol": "Tcp",
                            "frontendPort": 81,
                            "backendPort": 80,
                            "frontendIPConfiguration": FRONT,
                        },
                    }
                ],
                "outboundRules": [
                    {
                        "name": "o",
                        "properties": {"protocol": "All", "frontendIPConfigurations": [FRONT], "backendAddressPool": POOL},
                    }
                ],
            },
        },
    ),
    (
        "PUT",
        f"{NET}/networkInterfaces/nic",
        {
            **WEST,
            "properties": {
                "networkSecurityGroup": {"id": f"{NET}/networkSecurityGroups/nsg"},
                "dnsSettings": {"dnsServers": ["10.0.0.1"]},
                "enableIPForwarding": False,
                "ipConfigurations": [
                    {
                        "name": "ip",
                        "properties": {
                            "subnet": {"id": SUBNET},
                            "privateIPAllocationMethod": "Static",
                            "privateIPAddress": "10.0.1.9",
                            "primary": True,
                            "loadBalancerBackendAddressPools": [POOL],
                        },
                    }
                ],
            },
        },
    ),
    (
        "PUT",
        f"{NET}/localNetworkGateways/site",
        {
            **WEST,
            "properties": {
                "gatewayIpAddress": "203.0.113.9",
                "localNetworkAddressSpace": {"addressPrefixes": ["192.168.0.0/16"]},
            },
        },
    ),
    (
        "PUT",
        f"{NET}/virtualNetworkGateways/gw",
        {
            **WEST,
            "properties": {
                "gatewayType": "Vpn",
                "vpnType": "RouteBased",
                "sku": {"name": "VpnGw1"},
                "enableBgp": False,
                "ipConfigurations": [
                    {
                        "name": "ip",
                        "properties": {
                            "subnet": {"id": GATEWAY_SUBNET},
                            "publicIPAddress": {"id": f"{NET}/publicIPAddresses/pip"},
                        },
                    }
                ],
            },
        },
    ),
    (
        "PUT",
        f"{NET}/connections/vpn",
        {
            **WEST,
            "properties": {
                "connectionType": "IPsec",
                "virtualNetworkGateway1": {"id": f"{NET}/virtualNetworkGateways/gw"},
                "localNetworkGateway2": {"id": f"{NET}/localNetworkGateways/site"},
                "sharedKey": "k",
                "routingWeight": 1,
                "enableBgp": False,
            },
        },
    ),
    ("PUT", f"{NET}/connections/vpn/sharedkey", {"value": "abc"}),
    ("POST", f"{NET}/connections/vpn/sharedkey/reset", {"keyLength": 12}),
    (
        "PUT",
        f"{NET}/expressRouteCircuits/er",
        {
            **WEST,
            "sku": {"tier": "Standard", "family": "MeteredData"},
            "properties": {
                "serviceProviderProperties": {
                    "serviceProviderName": "Carrier",
                    "peeringLocation": "Amsterdam",
                    "bandwidthInMbps": 200,
                }
            },
        },
    ),
    (
        "PUT",
        f"{NET}/expressRouteCircuits/er/peerings/AzurePrivatePeering",
        {
            "properties": {
                "peeringType": "AzurePrivatePeering",
                "peerASN": 65001,
                "vlanId": 9,
                "primaryPeerAddressPrefix": "192.168.0.0/30",
                "secondaryPeerAddressPrefix": "192.168.0.4/30",
                "state": "Enabled",
            }
        },
    ),
    (
        "PUT",
        f"{COMPUTE}/disks/os",
        {
            **WEST,
            "sku": {"name": "Standard_LRS"},
            "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 4, "osType": "Linux"},
        },
    ),
    ("PUT", f"{COMPUTE}/disks/data", {**WEST, "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 4}}),
    (
        "PUT",
        f"{COMPUTE}/disks/copy",
        {
            **WEST,
            "properties": {
                "creationData": {"createOption": "Copy", "sourceResourceId": f"{COMPUTE}/disks/data"},
                "diskSizeGB": 8,
            },
        },
    ),
    (
        "PUT",
        f"{COMPUTE}/snapshots/snap",
        {
            **WEST,
            "properties": {
                "creationData": {"createOption": "Copy", "sourceResourceId": f"{COMPUTE}/disks/data"},
                "incremental": False,
            },
        },
    ),
    (
        "PUT",
        f"{COMPUTE}/availabilitySets/set",
        {**WEST, "sku": {"name": "Aligned"}, "properties": {"platformFaultDomainCount": 2, "platformUpdateDomainCount": 5}},
    ),
    (
        "PUT",
        f"{COMPUTE}/virtualMachines/vm",
        {
            **WEST,
            "properties": {
                "hardwareProfile": {"vmSize": "Standard_D2_v2"},
                "availabilitySet": {"id": f"{COMPUTE}/availabilitySets/set"},
                "storageProfile": {
                    "imageReference": {"publisher": "x"},
                    "osDisk": {
                        "createOption": "Attach",
                        "osType": "Linux",
                        "deleteOption": "Detach",
                        "managedDisk": {"id": f"{COMPUTE}/disks/os"},
                    },
                    "dataDisks": [
                        {"lun": 0, "createOption": "Attach", "managedDisk": {"id": f"{COMPUTE}/disks/data"}},
                        {"lun": 1, "createOption": "Empty", "name": "made", "diskSizeGB": 4},
                    ],
                },
                "osProfile": {"computerName": "vm"},
                "networkProfile": {
                    "networkInterfaces": [{"id": f"{NET}/networkInterfaces/nic", "properties": {"primary": True}}]
                },
            },
        },
    ),
    (
        "PUT",
        ACCOUNT,
        {
            **WEST,
            "sku": {"name": "Standard_LRS"},
            "kind": "StorageV2",
            "properties": {"supportsHttpsTrafficOnly": True, "minimumTlsVersion": "TLS1_2"},
        },
    ),
    ("PATCH", ACCOUNT, {"tags": {"a": "b"}, "properties": {"accessTier": "Hot", "allowBlobPublicAccess": False}}),
    ("POST", f"{ACCOUNT}/regenerateKey", {"keyName": "key1"}),
    (
        "POST",
        f"{ACCOUNT}/ListAccountSas",
        {"signedServices": "b", "signedResourceTypes": "c", "signedPermission": "r", "signedExpiry": "2018-06-05T00:00:00Z"},
    ),
    (
        "POST",
        f"{ACCOUNT}/ListServiceSas",
        {
            "canonicalizedResource": "/blob/account1/c",
            "signedResource": "c",
            "signedPermission": "r",
            "signedExpiry": "2018-06-05T00:00:00Z",
        },
    ),
    (
        "PUT",
        f"{ACCOUNT}/blobServices/default",
        {"properties": {"deleteRetentionPolicy": {"enabled": True, "days": 7}, "cors": {"corsRules": []}}},
    ),
    (
        "POST",
        f"{SUB}/providers/Microsoft.Storage/checkNameAvailability",
        {"name": "abc", "type": "Microsoft.Storage/storageAccounts"},
    ),
    ("PUT", VAULT, {**WEST, "sku": {"name": "RS0", "tier": "Standard"}, "properties": {}}),
    ("PATCH", VAULT, {"tags": {"a": "b"}}),
    ("PUT", f"{VAULT}/certificates/c", {"properties": {"authType": "AAD", "certificate": "eA=="}}),
    (
        "PUT",
        AUTOMATION,
        {
            **WEST,
            "properties": {"sku": {"name": "Basic"}, "publicNetworkAccess": True, "disableLocalAuth": False},
            "identity": {"type": "SystemAssigned"},
        },
    ),
    (
        "PUT",
        f"{AUTOMATION}/runbooks/Book",
        {**WEST, "properties": {"runbookType": "Python3", "logVerbose": True, "description": "x", "draft": {}}},
    ),
    ("PUT", f"{AUTOMATION}/variables/v", {"name": "v", "properties": {"value": "5", "isEncrypted": False, "description": "d"}}),
    (
        "PUT",
        f"{GROUP}/providers/Microsoft.Resources/deployments/d",
        {"properties": {"mode": "Incremental", "template": TEMPLATE, "parameters": {"name": {"value": "x"}}}},
    ),
    ("PUT", f"{GROUP}/providers/Microsoft.Authorization/locks/l", {"properties": {"level": "CanNotDelete", "notes": "n"}}),
    ("PATCH", f"{GROUP}/providers/Microsoft.Resources/tags/default", {"operation": "Merge", "properties": {"tags": {"a": "b"}}}),
]

WRONG: tuple[Any, ...] = (
    None,
    True,
    -1,
    2**63,
    1.5,
    "",
    "no/such thing\u0000",
    "x" * 300,
    [],
    ["x"],
    [None],
    {},
    {"id": 5},
    {"id": FOREIGN},
    FOREIGN,
)


def places(body: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something can be replaced: every key and every element."""
    entries = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


def replaced(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(body)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


@pytest.mark.parametrize(
    "at", range(len(RIGHT)), ids=[f"{one[0]} {one[1].split('/providers/')[-1].split('/', 1)[-1]}" for one in RIGHT]
)
def test_a_wrong_part_of_a_body_is_answered_clearly(world: Any, at: int) -> None:
    for method, path, body in RIGHT[:at]:
        assert world.owner(method, path, body).status < 300, (method, path)
        world.clock.wait(0.3)
    method, path, right = RIGHT[at]
    world.clock.wait(2)
    before = {one.id for one in world.azure.store.where(lambda one: True)}
    for place in places(right):
        for value in WRONG:
            wrong = replaced(right, place, value)
            reply = world.owner(method, path, wrong)
            about = (place, value, reply.body)
            assert reply.status < 500, about
            if reply.status >= 400:
                assert set(orjson.loads(reply.body)["error"]) >= {"code", "message"}, about
                known = {one.id for one in world.azure.store.where(lambda one: True)}
                assert not {one for one in known - before if not one.lower().startswith(path.lower())}, about
            before |= {one.id for one in world.azure.store.where(lambda one: True)}
    world.clock.wait(5)
    assert world.azure.faults == []
    reply = world.owner(method, path, right)
    assert reply.status < 300 or orjson.loads(reply.body)["error"]["code"], "it can be used afterwards"
