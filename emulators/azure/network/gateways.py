"""VPN gateways, the gateways of the site, and the connections between them:

a finished connection is what makes the link carry traffic.
"""

import re
from ipaddress import IPv4Address
from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read
from emulators.azure.network.addresses import parse_prefix, pick, release, taken
from emulators.azure.network.kinds import CIRCUIT, CONNECTION, GATEWAY, LOCAL_GATEWAY, PUBLIC_ADDRESS, SUBNET_TYPE
from emulators.azure.network.links import Links
from emulators.azure.provisioning import provision, withdraw
from emulators.azure.tracked import add_reads, listing, located, need_reference
from emulators.clock import Process

_CONNECTION_TYPES = ("ipsec", "expressroute")
_SHARED_KEY = CONNECTION.template + "/sharedkey"


class LocalGateways:
    """`Microsoft.Network/localNetworkGateways`: the site's end of a VPN."""

    namespace = "Microsoft.Network"

    def __init__(self, arm: Arm):
        self.arm = arm
        add_reads(arm, LOCAL_GATEWAY)

    @operation("PUT", LOCAL_GATEWAY.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, LOCAL_GATEWAY)
        body = call.content()
        address = read(body, "properties.gatewayIpAddress", str, required=True)
        try:
            IPv4Address(address)
        except ValueError:
            raise Refusal(400, "InvalidIPAddress", f"The gateway address {address} is not a valid IPv4 address.") from None
        prefixes = read(body, "properties.localNetworkAddressSpace.addressPrefixes", list, [])
        for prefix in prefixes:
            parse_prefix(prefix, call.path)
        gateway = existing or Resource(call.path, LOCAL_GATEWAY.type, {"etag": ""})
        gateway.body.update(head)
        gateway.body["properties"] = {
            "resourceGuid": existing.properties["resourceGuid"] if existing else self.arm.clock.uuid(),
            "gatewayIpAddress": address,
            "localNetworkAddressSpace": {"addressPrefixes": prefixes},
        }
        return provision(self.arm, call, gateway, status=200 if existing else 201, seconds=5)

    @operation("DELETE", LOCAL_GATEWAY.template)
    def delete(self, call: Call) -> Answer:
        gateway = self.arm.store.get(call.path)
        if gateway is None:
            return Answer(204)
        _check_unconnected(self.arm, gateway)
        return withdraw(self.arm, call, gateway, seconds=5, remove=self.remove)

    def remove(self, gateway: Resource) -> None:
        """Forget the gateway. Raises `Refusal` 400 while a connection uses it."""
        with self.arm.lock:
            _check_unconnected(self.arm, gateway)
            self.arm.store.remove(gateway.id)


class VirtualNetworkGateways:
    """`Microsoft.Network/virtualNetworkGateways`: takes an address of the subnet `GatewaySubnet`."""

    namespace = "Microsoft.Network"

    def __init__(self, arm: Arm):
        self.arm = arm
        add_reads(arm, GATEWAY)

    @operation("PUT", GATEWAY.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, GATEWAY)
        body = call.content()
        kind = read(body, "properties.gatewayType", str, required=True)
        if kind not in ("Vpn", "ExpressRoute"):
            raise Refusal(400, "InvalidRequestFormat", f"'{kind}' is not a gateway type; use Vpn or ExpressRoute.")
        gateway = existing or Resource(call.path, GATEWAY.type, {"etag": ""})
        configurations = self._configure(gateway, read(body, "properties.ipConfigurations", list, []))
        name = read(body, "properties.sku.name", str, "VpnGw1")
        gateway.body.update(head)
        gateway.body["properties"] = {
            "resourceGuid": existing.properties["resourceGuid"] if existing else self.arm.clock.uuid(),
            "gatewayType": kind,
            "vpnType": read(body, "properties.vpnType", str, "RouteBased"),
            "enableBgp": read(body, "properties.enableBgp", bool, False),
            "activeActive": read(body, "properties.activeActive", bool, False),
            "sku": {"name": name, "tier": read(body, "properties.sku.tier", str, name), "capacity": 2},
            "ipConfigurations": configurations,
        }
        return provision(self.arm, call, gateway, status=200 if existing else 201, seconds=1800)

    @operation("DELETE", GATEWAY.template)
    def delete(self, call: Call) -> Answer:
        gateway = self.arm.store.get(call.path)
        if gateway is None:
            return Answer(204)
        _check_unconnected(self.arm, gateway)
        return withdraw(self.arm, call, gateway, seconds=600, remove=self.remove)

    @operation("POST", GATEWAY.template + "/reset")
    def reset(self, call: Call) -> Answer:
        gateway = self.arm.store.need(call.path.rsplit("/", 1)[0])
        running = self.arm.operations.begin(call, self._rest(60), result=lambda: Answer(200, gateway.json()), location="global")
        return self.arm.operations.answer(call, running)

    def _rest(self, seconds: float) -> Process:
        yield self.arm.operations.rest(seconds)

    @operation("GET", GATEWAY.template + "/connections")
    def connections(self, call: Call) -> Answer:
        gateway = self.arm.store.need(call.path.rsplit("/", 1)[0])
        return listing(_connections_of(self.arm, gateway))

    def remove(self, gateway: Resource) -> None:
        """Give addresses back and forget the gateway. Raises `Refusal` 400 while a connection uses it."""
        with self.arm.lock:
            _check_unconnected(self.arm, gateway)
            for one in _held(gateway):
                release(self.arm.store, one)
            self.arm.store.remove(gateway.id)

    def _configure(self, gateway: Resource, entries: list[Any]) -> list[Json]:
        if not entries:
            raise Refusal(400, "InvalidRequestFormat", f"Virtual network gateway {gateway.id} must have an IP configuration.")
        checked = [self._checked(gateway, entry) for entry in entries]
        before = [(subnet, dict(taken(subnet))) for _, subnet, _, _ in checked]
        publics = [self.arm.store.get(one["properties"].get("publicIPAddress", {}).get("id", "")) for one in _held(gateway)]
        for one in _held(gateway):
            release(self.arm.store, one)
        try:
            return [self._shown(*one) for one in checked]
        except Refusal:  # everything as it was
            for subnet, addresses in before:
                subnet.hidden["taken"] = addresses
            for one, public in zip(_held(gateway), publics, strict=True):
                if public is not None:
                    public.properties["ipConfiguration"] = {"id": one["id"]}
            raise

    def _shown(self, name: str, subnet: Resource, public: Resource | None, holder: str) -> Json:
        taken(subnet)[pick(subnet, "", holder)] = holder
        properties: Json = {"provisioningState": "Succeeded", "privateIPAllocationMethod": "Dynamic", "subnet": {"id": subnet.id}}
        if public is not None:
            public.properties["ipConfiguration"] = {"id": holder}
            properties["publicIPAddress"] = {"id": public.id}
        return {"name": name, "id": holder, "etag": f'W/"{self.arm.clock.uuid()}"', "properties": properties}

    def _checked(self, gateway: Resource, entry: Any) -> tuple[str, Resource, Resource | None, str]:
        if not isinstance(entry, dict):
            raise Refusal(400, "InvalidRequestContent", "The request content was invalid: IP configurations must be objects.")
        name = read(entry, "name", str, "default")
        subnet = need_reference(self.arm, read(entry, "properties.subnet.id", str, required=True), SUBNET_TYPE, gateway.id)
        if subnet.name.lower() != "gatewaysubnet":
            raise Refusal(
                400,
                "InvalidGatewaySubnet",
                f"Subnet {subnet.id} cannot be used by virtual network gateway {gateway.name}: its name must be GatewaySubnet.",
            )
        holder = f"{gateway.id}/ipConfigurations/{name}"
        public_id = read(entry, "properties.publicIPAddress.id", str)
        public = None if public_id is None else need_reference(self.arm, public_id, PUBLIC_ADDRESS.type, gateway.id)
        if public is not None:
            user = public.properties.get("ipConfiguration", {}).get("id", holder)
            if user.lower() != holder.lower():
                raise Refusal(
                    400, "PublicIPAddressInUse", f"Public IP address {public.id} is already allocated to resource {user}."
                )
        return name, subnet, public, holder


def _held(gateway: Resource) -> list[Json]:
    held: list[Json] = gateway.properties.get("ipConfigurations", [])
    return held


class Connections:
    """`Microsoft.Network/connections`. The link is up while at least one connection of its type is."""

    namespace = "Microsoft.Network"

    def __init__(self, arm: Arm, links: Links):
        self.arm, self.links = arm, links
        add_reads(arm, CONNECTION)

    @operation("PUT", CONNECTION.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, CONNECTION)
        body = call.content()
        kind = read(body, "properties.connectionType", str, required=True)
        if kind.lower() not in _CONNECTION_TYPES:
            raise Refusal(400, "InvalidRequestFormat", f"'{kind}' is not a supported connection type; use IPsec or ExpressRoute.")
        gateway = need_reference(
            self.arm, read(body, "properties.virtualNetworkGateway1.id", str, required=True), GATEWAY.type, call.path
        )
        properties: Json = {
            "resourceGuid": existing.properties["resourceGuid"] if existing else self.arm.clock.uuid(),
            "connectionType": kind,
            "virtualNetworkGateway1": {"id": gateway.id},
            "routingWeight": read(body, "properties.routingWeight", int, 0),
            "enableBgp": read(body, "properties.enableBgp", bool, False),
            "connectionStatus": "Connecting",
            "ingressBytesTransferred": 0,
            "egressBytesTransferred": 0,
        }
        if kind.lower() == "ipsec":
            far = read(body, "properties.localNetworkGateway2.id", str, required=True)
            properties["localNetworkGateway2"] = {"id": need_reference(self.arm, far, LOCAL_GATEWAY.type, call.path).id}
        else:
            circuit = read(body, "properties.peer.id", str, required=True)
            properties["peer"] = {"id": need_reference(self.arm, circuit, CIRCUIT.type, call.path).id}
        connection = existing or Resource(call.path, CONNECTION.type, {"etag": ""})
        connection.body.update(head)
        connection.body["properties"] = properties
        # The key itself is never shown again; asking for it is an operation of its own.
        connection.hidden["key"] = read(body, "properties.sharedKey", str, connection.hidden.get("key", ""))
        return provision(
            self.arm, call, connection, status=200 if existing else 201, seconds=60, then=lambda: self._connect(connection)
        )

    @operation("DELETE", CONNECTION.template)
    def delete(self, call: Call) -> Answer:
        connection = self.arm.store.get(call.path)
        if connection is None:
            return Answer(204)
        return withdraw(self.arm, call, connection, seconds=20, remove=self.remove)

    @operation("GET", _SHARED_KEY)
    def show_key(self, call: Call) -> Answer:
        return Answer(200, {"value": self._key_of(call).hidden["key"]})

    @operation("PUT", _SHARED_KEY)
    def set_key(self, call: Call) -> Answer:
        connection = self._key_of(call)
        key = read(call.content(), "value", str, required=True)
        if not re.fullmatch(r"[ -~]{1,128}", key):
            raise Refusal(400, "InvalidSharedKey", "The shared key must have 1 to 128 printable ASCII characters.")
        connection.hidden["key"] = key
        return self._changing(call, {"value": key}, 201)

    @operation("POST", _SHARED_KEY + "/reset")
    def reset_key(self, call: Call) -> Answer:
        connection = self.arm.store.need(call.path.rsplit("/", 2)[0])
        length = read(call.content(), "keyLength", int, required=True)
        if not 1 <= length <= 128:
            raise Refusal(400, "InvalidSharedKeyLength", "The length of a shared key is from 1 to 128.")
        connection.hidden["key"] = self.arm.clock.random_bytes(64).hex()[:length]
        return self._changing(call, {"keyLength": length}, 202)

    def _key_of(self, call: Call) -> Resource:
        return self.arm.store.need(call.path.rsplit("/", 1)[0])

    def _changing(self, call: Call, shown: Json, status: int) -> Answer:
        def rest() -> Process:
            yield self.arm.operations.rest(5)

        running = self.arm.operations.begin(call, rest(), result=lambda: Answer(200, shown))
        body = shown if status == 201 else None
        return self.arm.operations.answer(call, running, status, body, location=status != 201)

    def remove(self, connection: Resource) -> None:
        """Forget a connection; the link goes down with the last one of its type."""
        with self.arm.lock:
            self.arm.store.remove(connection.id)
        self.links.refresh()

    def _connect(self, connection: Resource) -> None:
        with self.arm.lock:
            connection.properties["connectionStatus"] = "Connected"
        self.links.refresh()


def _connections_of(arm: Arm, gateway: Resource) -> list[Resource]:
    wanted = gateway.id.lower()
    names = ("virtualNetworkGateway1", "localNetworkGateway2")
    return [
        one
        for one in arm.store.of_type(CONNECTION.type)
        if any(one.properties.get(name, {}).get("id", "").lower() == wanted for name in names)
    ]


def _check_unconnected(arm: Arm, gateway: Resource) -> None:
    users = _connections_of(arm, gateway)
    if users:
        raise Refusal(
            400,
            "InUseGatewayCannotBeDeleted",
            f"Gateway {gateway.id} is in use by connection {users[0].id} and cannot be deleted.",
            details=[],
        )
