"""Microsoft.Network: virtual networks with real address allocation, interfaces, security groups, public addresses, gateways."""

from emulators.azure.network.access import NetworkSecurityGroups, PublicAddresses
from emulators.azure.network.circuits import Circuits
from emulators.azure.network.gateways import Connections, LocalGateways, VirtualNetworkGateways
from emulators.azure.network.interfaces import IpConfiguration, NetworkInterfaces
from emulators.azure.network.links import Links
from emulators.azure.network.networks import VirtualNetworks

__all__ = [
    "Circuits",
    "Connections",
    "IpConfiguration",
    "Links",
    "LocalGateways",
    "NetworkInterfaces",
    "NetworkSecurityGroups",
    "PublicAddresses",
    "VirtualNetworkGateways",
    "VirtualNetworks",
]
