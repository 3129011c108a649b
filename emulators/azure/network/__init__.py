"""Microsoft.Network: virtual networks with real address allocation, interfaces, security groups, public addresses, gateways."""

from emulators.azure.network.access import NetworkSecurityGroups, PublicAddresses
from emulators.azure.network.balancers import LoadBalancers
from emulators.azure.network.circuits import Circuits
from emulators.azure.network.gateways import Connections, LocalGateways, VirtualNetworkGateways
from emulators.azure.network.interfaces import IpConfiguration, NetworkInterfaces
from emulators.azure.network.links import Links
from emulators.azure.network.networks import VirtualNetworks
from emulators.azure.network.routes import RouteTables
from emulators.azure.network.usage import NetworkUsage

__all__ = [
    "Circuits",
    "Connections",
    "IpConfiguration",
    "Links",
    "LoadBalancers",
    "LocalGateways",
    "NetworkInterfaces",
    "NetworkSecurityGroups",
    "NetworkUsage",
    "PublicAddresses",
    "RouteTables",
    "VirtualNetworkGateways",
    "VirtualNetworks",
]
