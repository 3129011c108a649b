"""The resource types of Microsoft.Network that are built, and how their names look."""

from emulators.azure.tracked import Kind

_RULE = (
    "The name can be up to 80 characters long. It must begin with a word character, and it must end with a word character or "
    "with '_'. The name may contain word characters or '.', '-', '_'."
)
_PATTERN = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,78}[A-Za-z0-9_])?"


def _kind(name: str) -> Kind:
    return Kind(f"Microsoft.Network/{name}", _PATTERN, _RULE)


NETWORK = _kind("virtualNetworks")
INTERFACE = _kind("networkInterfaces")
SECURITY_GROUP = _kind("networkSecurityGroups")
PUBLIC_ADDRESS = _kind("publicIPAddresses")
GATEWAY = _kind("virtualNetworkGateways")
LOCAL_GATEWAY = _kind("localNetworkGateways")
CONNECTION = _kind("connections")
BALANCER = _kind("loadBalancers")
ROUTE_TABLE = _kind("routeTables")
CIRCUIT = _kind("expressRouteCircuits")
PEERING_TYPE = "Microsoft.Network/expressRouteCircuits/peerings"

SUBNET_TYPE = "Microsoft.Network/virtualNetworks/subnets"
SUBNETS = NETWORK.template + "/subnets"
SUBNET = SUBNETS + "/{subnetName}"
