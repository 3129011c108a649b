"""Virtual networks and their subnets."""

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read, read_texts
from emulators.azure.network.addresses import is_available, parse_prefix, prefix_of, taken, usable
from emulators.azure.network.kinds import NETWORK, ROUTE_TABLE, SECURITY_GROUP, SUBNET, SUBNET_TYPE, SUBNETS
from emulators.azure.provisioning import provision, touch, withdraw
from emulators.azure.tracked import add_reads, listing, located, need_reference


class VirtualNetworks:
    """`Microsoft.Network/virtualNetworks` and `/subnets`. A subnet is a resource of its own; the network shows it in its body."""

    namespace = "Microsoft.Network"

    def __init__(self, arm: Arm):
        self.arm = arm
        add_reads(arm, NETWORK, self.render)

    def render(self, network: Resource) -> Json:
        subnets = [self.render_subnet(subnet) for subnet in self.subnets(network)]
        body = network.json()
        return {**body, "properties": {**body["properties"], "subnets": subnets}}

    def render_subnet(self, subnet: Resource) -> Json:
        body = subnet.json()
        holders = [{"id": holder} for holder in dict.fromkeys(taken(subnet).values())]
        properties = {**body["properties"], **({"ipConfigurations": holders} if holders else {})}
        return {**body, "properties": properties}

    def subnets(self, network: Resource) -> list[Resource]:
        return self.arm.store.of_type(SUBNET_TYPE, under=network.id)

    @operation("PUT", NETWORK.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, NETWORK)
        body = call.content()
        texts = read(body, "properties.addressSpace.addressPrefixes", list, required=True)
        prefixes = [parse_prefix(text, call.path) for text in texts]
        if not prefixes:
            raise Refusal(
                400, "InvalidRequestContent", "The request content was invalid: a virtual network needs an address prefix."
            )
        network = existing or Resource(call.path, NETWORK.type, {"etag": ""})
        given = read(body, "properties.subnets", list)
        if given is None:  # a body that does not speak of subnets leaves them as they are
            given = [{**subnet.json(), "name": subnet.name} for subnet in self.subnets(network)]
        wanted = [self._subnet(network.id, _named(entry, call.path), entry, prefixes) for entry in given]
        _no_overlap(network.name, wanted)
        self._check_dropped(network, wanted)
        network.body.update(head)
        network.body["properties"] = {
            **(
                {"dhcpOptions": {"dnsServers": servers}}
                if (servers := read_texts(body, "properties.dhcpOptions.dnsServers"))
                else {}
            ),
            "addressSpace": {"addressPrefixes": texts},
            "resourceGuid": (existing.properties["resourceGuid"] if existing else self.arm.clock.uuid()),
            "virtualNetworkPeerings": [],
            "enableDdosProtection": read(body, "properties.enableDdosProtection", bool, False),
        }
        self._replace_subnets(network, wanted)
        return provision(
            self.arm,
            call,
            network,
            status=200 if existing else 201,
            seconds=5,
            render=self.render,
            then=lambda: self._settle(network),
        )

    @operation("DELETE", NETWORK.template)
    def delete(self, call: Call) -> Answer:
        network = self.arm.store.get(call.path)
        if network is None:
            return Answer(204)
        self._check_dropped(network, [])
        return withdraw(self.arm, call, network, seconds=10, remove=self.remove)

    def remove(self, network: Resource) -> None:
        """Take a network and its subnets away. Raises `Refusal` 400 `InUseSubnetCannotBeDeleted`."""
        with self.arm.lock:
            self._check_dropped(network, [])
            self.arm.store.remove(network.id)

    # subnets -----------------------------------------------------------------------------------------------------------

    @operation("GET", SUBNETS)
    def list_subnets(self, call: Call) -> Answer:
        network = self.arm.store.need(call.path.rsplit("/", 1)[0])
        return listing(self.subnets(network), self.render_subnet)

    @operation("GET", SUBNET)
    def get_subnet(self, call: Call) -> Answer:
        network = self.arm.store.need(call.path.rsplit("/", 2)[0])
        subnet = self.arm.store.get(call.path)
        if subnet is None:
            raise Refusal(
                404, "NotFound", f"Resource {call['subnetName']} not found in virtual network {network.name}.", details=[]
            )
        return Answer(200, self.render_subnet(subnet))

    @operation("PUT", SUBNET)
    def create_subnet(self, call: Call) -> Answer:
        network = self.arm.store.need(call.path.rsplit("/", 2)[0])
        NETWORK.check_name(call["subnetName"])
        prefixes = [IPv4Network(text) for text in network.properties["addressSpace"]["addressPrefixes"]]
        wanted = self._subnet(network.id, call["subnetName"], call.content(), prefixes)
        existing = self.arm.store.get(wanted.id)
        others = [subnet for subnet in self.subnets(network) if subnet is not existing]
        _no_overlap(network.name, [*others, wanted])
        if existing is not None and existing.properties["addressPrefix"] != wanted.properties["addressPrefix"]:
            _check_unused(existing)
        self._carry_over(wanted)
        answer = provision(self.arm, call, wanted, status=200 if existing else 201, seconds=4, render=self.render_subnet)
        self._mirror(network)
        return answer

    @operation("DELETE", SUBNET)
    def delete_subnet(self, call: Call) -> Answer:
        subnet = self.arm.store.get(call.path)
        if subnet is None:
            return Answer(204)
        _check_unused(subnet)
        return withdraw(self.arm, call, subnet, seconds=5, remove=self._remove_subnet)

    @operation("GET", NETWORK.template + "/CheckIPAddressAvailability")
    def check_address(self, call: Call) -> Answer:
        network = self.arm.store.need(call.path.rsplit("/", 1)[0])
        try:
            address = str(IPv4Address(call.query.get("ipaddress", "")))
        except ValueError:
            raise Refusal(400, "InvalidIPAddressFormat", f"'{call.query.get('ipaddress', '')}' is not an IP address.") from None
        subnet = next((one for one in self.subnets(network) if IPv4Address(address) in prefix_of(one)), None)
        if subnet is None:
            raise Refusal(400, "IPAddressNotInSubnet", f"IP address {address} is in no subnet of virtual network {network.name}.")
        free = [str(IPv4Address(number)) for number in usable(subnet)]
        others = [one for one in free if one not in taken(subnet)][:5]
        available = is_available(subnet, address)
        return Answer(
            200, {"available": available, "availableIPAddresses": [] if available else others, "isPlatformReserved": False}
        )

    @operation("GET", NETWORK.template + "/usages")
    def usages(self, call: Call) -> Answer:
        """How many addresses of each subnet are taken."""
        network = self.arm.store.need(call.path.rsplit("/", 1)[0])
        name = {"value": "SubnetSpace", "localizedValue": "Subnet size and usage"}
        rows = [
            {
                "id": one.id,
                "currentValue": float(len(taken(one))),
                "limit": float(len(usable(one))),
                "name": name,
                "unit": "Count",
            }
            for one in self.subnets(network)
        ]
        return Answer(200, {"value": rows, "nextLink": None})

    def _remove_subnet(self, subnet: Resource) -> None:
        with self.arm.lock:
            _check_unused(subnet)
            self.arm.store.remove(subnet.id)
            self._mirror(self.arm.store.need(subnet.id.rsplit("/", 2)[0]))

    def _subnet(self, network_id: str, name: str, body: Json, prefixes: list[IPv4Network]) -> Resource:
        """A subnet as asked for, checked against the address space. Not yet stored."""
        text = read(body, "properties.addressPrefix", str) or next(iter(read(body, "properties.addressPrefixes", list, [])), None)
        prefix = parse_prefix(text, f"{network_id}/subnets/{name}")
        if prefix.prefixlen > 29 or not any(prefix.subnet_of(space) for space in prefixes):
            network = network_id.rsplit("/", 1)[1]
            raise Refusal(400, "NetcfgInvalidSubnet", f"Subnet '{name}' is not valid in virtual network '{network}'.")
        subnet = Resource(f"{network_id}/subnets/{name}", SUBNET_TYPE, {"etag": ""})
        for field, kind in (("networkSecurityGroup", SECURITY_GROUP), ("routeTable", ROUTE_TABLE)):
            reference = read(body, f"properties.{field}.id", str)
            if reference is not None:
                need_reference(self.arm, reference, kind.type, subnet.id)
        subnet.body["properties"] = {
            **_references(body, "networkSecurityGroup", "routeTable", "natGateway"),
            **_services(body),
            "addressPrefix": str(prefix),
            "delegations": read(body, "properties.delegations", list, []),
            "privateEndpointNetworkPolicies": read(body, "properties.privateEndpointNetworkPolicies", str, "Disabled"),
            "privateLinkServiceNetworkPolicies": read(body, "properties.privateLinkServiceNetworkPolicies", str, "Enabled"),
        }
        return subnet

    def _carry_over(self, subnet: Resource) -> None:
        known = self.arm.store.get(subnet.id)
        if known is not None:
            subnet.hidden = known.hidden

    def _check_dropped(self, network: Resource, wanted: list[Resource]) -> None:
        """Subnets that would go or move must not be in use."""
        staying = {subnet.id.lower(): subnet.properties["addressPrefix"] for subnet in wanted}
        for subnet in self.subnets(network):
            if staying.get(subnet.id.lower()) != subnet.properties["addressPrefix"]:
                _check_unused(subnet)

    def _replace_subnets(self, network: Resource, wanted: list[Resource]) -> None:
        names = {subnet.id.lower() for subnet in wanted}
        for subnet in self.subnets(network):
            if subnet.id.lower() not in names:
                self.arm.store.remove(subnet.id)
        for subnet in wanted:
            self._carry_over(subnet)
            subnet.properties["provisioningState"] = "Updating"
            touch(self.arm, subnet)
            self.arm.store.put(subnet)
        self._mirror(network)

    def _mirror(self, network: Resource) -> None:
        """Names and ids of the subnets in the network's own body, for those who read the store."""
        network.properties["subnets"] = [{"id": subnet.id, "name": subnet.name} for subnet in self.subnets(network)]

    def _settle(self, network: Resource) -> None:
        with self.arm.lock:
            for subnet in self.subnets(network):
                subnet.properties["provisioningState"] = "Succeeded"


def _named(entry: Any, owner: str) -> str:
    if not isinstance(entry, dict):
        raise Refusal(400, "InvalidRequestContent", f"The request content was invalid: the subnets of {owner} must be objects.")
    name: str = read(entry, "name", str, required=True)
    NETWORK.check_name(name)
    return name


def _references(body: Json, *names: str) -> Json:
    """Properties that are the id of something."""
    found = {name: read(body, f"properties.{name}.id", str) for name in names}
    return {name: {"id": value} for name, value in found.items() if value is not None}


def _services(body: Json) -> Json:
    """Endpoints of services in a subnet."""
    given = read(body, "properties.serviceEndpoints", list)
    if given is None:
        return {}
    shown = [{"service": read(one, "service", str, required=True), "locations": read_texts(one, "locations")} for one in given]
    return {"serviceEndpoints": [{**one, "provisioningState": "Succeeded"} for one in shown]}


def _no_overlap(network: str, subnets: list[Resource]) -> None:
    for at, subnet in enumerate(subnets):
        for other in subnets[:at]:
            if prefix_of(subnet).overlaps(prefix_of(other)):
                raise Refusal(
                    400,
                    "NetcfgSubnetRangesOverlap",
                    f"Subnet '{subnet.name}' is not valid because its IP address range overlaps with that of an existing subnet "
                    f"in virtual network '{network}'.",
                )


def _check_unused(subnet: Resource) -> None:
    users = list(taken(subnet).values())
    if users:
        raise Refusal(
            400,
            "InUseSubnetCannotBeDeleted",
            f"Subnet {subnet.name} is in use by {users[0]} and cannot be deleted. In order to delete the subnet, delete all the "
            "resources within the subnet. See aka.ms/deletesubnet.",
            details=[],
        )
