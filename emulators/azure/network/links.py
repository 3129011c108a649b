"""Which links of the estate's network the resources of Azure keep up: VPN and ExpressRoute (NET-007, NET-009)."""

from emulators.azure.arm import Arm, Resource
from emulators.azure.network.kinds import CIRCUIT, CONNECTION, PEERING_TYPE
from emulators.azure.outside import LinkSwitch

#: Peerings that carry Azure's public services; the private one needs a connection to a gateway besides.
PUBLIC_PEERINGS = frozenset({"azurepublicpeering", "microsoftpeering"})


class Links:
    """Tells the network of changes. Only links that resources of Azure changed are touched: others may be set by hand."""

    def __init__(self, arm: Arm, switch: LinkSwitch):
        self.arm, self._switch = arm, switch
        self._told: dict[str, bool] = {}

    def refresh(self) -> None:
        """Look again and tell what changed; from work on the clock, outside the lock."""
        with self.arm.lock:
            connections = [
                one for one in self.arm.store.of_type(CONNECTION.type) if one.properties["connectionStatus"] == "Connected"
            ]
            now = {
                "vpn": any(one.properties["connectionType"].lower() == "ipsec" for one in connections),
                "expressroute-private": any(self._private(one) for one in connections),
                "expressroute-public": any(
                    PUBLIC_PEERINGS & self._peerings(circuit) for circuit in self.arm.store.of_type(CIRCUIT.type)
                ),
            }
            changed = {link: up for link, up in now.items() if up != self._told.get(link, False)}
            self._told.update(changed)
        for link, up in changed.items():
            self._switch.set(link, up)

    def _private(self, connection: Resource) -> bool:
        circuit = self.arm.store.get(connection.properties.get("peer", {}).get("id", ""))
        return circuit is not None and "azureprivatepeering" in self._peerings(circuit)

    def _peerings(self, circuit: Resource) -> set[str]:
        """Types of the peerings of a circuit that carry traffic."""
        return {
            one.properties["peeringType"].lower()
            for one in self.arm.store.of_type(PEERING_TYPE, under=circuit.id)
            if one.properties["provisioningState"] == "Succeeded" and one.properties["state"] == "Enabled"
        }
