"""How much of a location's network quota is used, and whether a name of a public address is free."""

from emulators.azure.arm import Answer, Arm, Call, operation
from emulators.azure.network.kinds import BALANCER, CIRCUIT, INTERFACE, NETWORK, PUBLIC_ADDRESS, ROUTE_TABLE, SECURITY_GROUP
from emulators.azure.tracked import SUBSCRIPTION, canonical_location, check_location

_LOCATION = SUBSCRIPTION + "/providers/Microsoft.Network/locations/{location}"

#: Name, words, type and limit of what is counted.
_ROWS = (
    ("VirtualNetworks", "Virtual Networks", NETWORK.type, 1000),
    ("StaticPublicIPAddresses", "Static Public IP Addresses", PUBLIC_ADDRESS.type, 1000),
    ("NetworkSecurityGroups", "Network Security Groups", SECURITY_GROUP.type, 5000),
    ("PublicIPAddresses", "Public IP Addresses", PUBLIC_ADDRESS.type, 1000),
    ("NetworkInterfaces", "Network Interfaces", INTERFACE.type, 65536),
    ("LoadBalancers", "Load Balancers", BALANCER.type, 1000),
    ("RouteTables", "Route Tables", ROUTE_TABLE.type, 200),
    ("ExpressRouteCircuits", "ExpressRoute Circuits", CIRCUIT.type, 10),
)


class NetworkUsage:
    """`locations/{location}/usages` and `CheckDnsNameAvailability`."""

    namespace = "Microsoft.Network"

    def __init__(self, arm: Arm):
        self.arm = arm

    @operation("GET", _LOCATION + "/usages")
    def usages(self, call: Call) -> Answer:
        location = canonical_location(call["location"])
        check_location(self.arm, location, NETWORK.type)
        rows = [
            {
                "id": f"/subscriptions/{call.subscription}/providers/Microsoft.Network/locations/{location}/usages/{name}",
                "name": {"value": name, "localizedValue": words},
                "currentValue": sum(one.location == location for one in self.arm.store.of_type(kind)),
                "limit": limit,
                "unit": "Count",
            }
            for name, words, kind, limit in _ROWS
        ]
        return Answer(200, {"value": rows, "nextLink": None})

    @operation("GET", _LOCATION + "/CheckDnsNameAvailability")
    def check_name(self, call: Call) -> Answer:
        wanted = call.query.get("domainnamelabel", "").lower()
        location = canonical_location(call["location"])
        used = {
            one.properties.get("dnsSettings", {}).get("domainNameLabel", "").lower()
            for one in self.arm.store.of_type(PUBLIC_ADDRESS.type)
            if one.location == location
        }
        return Answer(200, {"available": bool(wanted) and wanted not in used})
