"""Route tables and their routes."""

from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read, read_choice
from emulators.azure.network.addresses import check_address, parse_prefix
from emulators.azure.network.children import Part, add_parts, read_parts
from emulators.azure.network.kinds import ROUTE_TABLE, SUBNET_TYPE
from emulators.azure.provisioning import provision, withdraw
from emulators.azure.tracked import add_reads, located

_HOPS = ("VirtualNetworkGateway", "VnetLocal", "Internet", "VirtualAppliance", "None")


class RouteTables:
    """`Microsoft.Network/routeTables`: kept and checked for sense; traffic follows the links, not the tables."""

    namespace = "Microsoft.Network"

    def __init__(self, arm: Arm):
        self.arm = arm
        self.routes = Part(ROUTE_TABLE, "routes", self._route)
        add_reads(arm, ROUTE_TABLE, self.render)
        add_parts(arm, self.routes)

    def render(self, table: Resource) -> Json:
        body = table.json()
        users = [{"id": one.id} for one in self._users(table)]
        return {**body, "properties": {**body["properties"], **({"subnets": users} if users else {})}}

    @operation("PUT", ROUTE_TABLE.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, ROUTE_TABLE)
        body = call.content()
        table = existing or Resource(call.path, ROUTE_TABLE.type, {"etag": ""})
        routes = read_parts(self.arm, table, self.routes, read(body, "properties.routes", list, []))
        off = read(body, "properties.disableBgpRoutePropagation", bool, False)
        guid = existing.properties["resourceGuid"] if existing else self.arm.clock.uuid()
        table.body.update(head)
        table.body["properties"] = {"resourceGuid": guid, "disableBgpRoutePropagation": off, "routes": routes}
        return provision(self.arm, call, table, status=200 if existing else 201, seconds=3, render=self.render)

    @operation("DELETE", ROUTE_TABLE.template)
    def delete(self, call: Call) -> Answer:
        table = self.arm.store.get(call.path)
        if table is None:
            return Answer(204)
        self._check_unused(table)
        return withdraw(self.arm, call, table, seconds=3, remove=self.remove)

    def remove(self, table: Resource) -> None:
        """Forget a table. Raises `Refusal` 400 while subnets use it."""
        with self.arm.lock:
            self._check_unused(table)
            self.arm.store.remove(table.id)

    def _route(self, table: Resource, name: str, body: Json) -> Json:
        prefix = read(body, "properties.addressPrefix", str, required=True)
        parse_prefix(prefix, f"{table.id}/routes/{name}")
        hop = read_choice(body, "properties.nextHopType", _HOPS, code="InvalidRequestFormat")
        route: Json = {"addressPrefix": prefix, "nextHopType": hop, "hasBgpOverride": False}
        address: Any = read(body, "properties.nextHopIpAddress", str, "")
        if (hop == "VirtualAppliance") != bool(address):
            raise Refusal(
                400,
                "InvalidNextHopIpAddress",
                f"Route {name}: a next hop address goes with the type VirtualAppliance, and only so.",
            )
        if address:
            route["nextHopIpAddress"] = check_address(address, f"route {name}")
        return route

    def _users(self, table: Resource) -> list[Resource]:
        wanted = table.id.lower()
        found = self.arm.store.of_type(SUBNET_TYPE)
        return [one for one in found if one.properties.get("routeTable", {}).get("id", "").lower() == wanted]

    def _check_unused(self, table: Resource) -> None:
        users = self._users(table)
        if users:
            raise Refusal(
                400,
                "InUseRouteTableCannotBeDeleted",
                f"Route table {table.id} is in use and cannot be deleted. It is used by {users[0].id}.",
                details=[],
            )
