"""Load balancers: front ends take addresses, pools are joined by interfaces, rules lead from one to the other."""

from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read, read_choice
from emulators.azure.network.addresses import pick, release, taken
from emulators.azure.network.children import Part, add_parts, read_parts
from emulators.azure.network.kinds import BALANCER, INTERFACE, PUBLIC_ADDRESS, SUBNET_TYPE
from emulators.azure.provisioning import provision, withdraw
from emulators.azure.tracked import add_reads, located, need_reference

_PROTOCOLS = ("Tcp", "Udp", "All", "Icmp")
_PROBES = ("Tcp", "Http", "Https")


class LoadBalancers:
    """`Microsoft.Network/loadBalancers`: kept and checked for sense, no traffic goes through them."""

    namespace = "Microsoft.Network"

    def __init__(self, arm: Arm):
        self.arm = arm
        self.fronts = Part(BALANCER, "frontendIPConfigurations", self._front)
        self.pools = Part(BALANCER, "backendAddressPools", self._pool)
        self.probes = Part(BALANCER, "probes", self._probe)
        self.rules = Part(BALANCER, "loadBalancingRules", self._rule)
        self.inbound = Part(BALANCER, "inboundNatRules", self._inbound)
        self.outbound = Part(BALANCER, "outboundRules", self._outbound)
        add_reads(arm, BALANCER, self.render)
        for part in self._parts():
            alone = part in (self.pools, self.inbound)  # the others change only with the whole
            add_parts(arm, part if alone else Part(BALANCER, part.segment), self.render)

    def _parts(self) -> tuple[Part, ...]:
        return self.fronts, self.pools, self.probes, self.rules, self.inbound, self.outbound

    def render(self, balancer: Resource) -> Json:
        """The balancer; a pool shows the configurations that are in it."""
        body = balancer.json()
        pools = []
        for pool in balancer.properties["backendAddressPools"]:
            members = [{"id": one["id"]} for _, one in self._members(pool["id"])]
            pools.append(
                {**pool, "properties": {**pool["properties"], **({"backendIPConfigurations": members} if members else {})}}
            )
        return {**body, "properties": {**body["properties"], "backendAddressPools": pools}}

    @operation("PUT", BALANCER.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, BALANCER)
        body = call.content()
        sku = read_choice(body, "sku.name", ("Basic", "Standard", "Gateway"), "Basic")
        balancer = existing or Resource(call.path, BALANCER.type, {"etag": ""})
        if existing is not None and existing.body["sku"]["name"] != sku:
            raise Refusal(400, "LoadBalancerSkuCannotBeChanged", f"The sku of load balancer {balancer.id} cannot be changed.")
        draft = Resource(balancer.id, BALANCER.type, {})  # rules are checked against the parts they come with
        for part in self._parts():
            draft.properties[part.list_name] = read_parts(
                self.arm, draft, part, read(body, f"properties.{part.list_name}", list, [])
            )
        self._claim(balancer, draft.properties["frontendIPConfigurations"])
        guid = balancer.properties.get("resourceGuid") or self.arm.clock.uuid()
        balancer.body.update(head, sku={"name": sku, "tier": read(body, "sku.tier", str, "Regional")})
        balancer.body["properties"] = {"resourceGuid": guid, "inboundNatPools": [], **draft.properties}
        return provision(self.arm, call, balancer, status=200 if existing else 201, seconds=5, render=self.render)

    @operation("DELETE", BALANCER.template)
    def delete(self, call: Call) -> Answer:
        balancer = self.arm.store.get(call.path)
        if balancer is None:
            return Answer(204)
        return withdraw(self.arm, call, balancer, seconds=5, remove=self.remove)

    @operation("GET", BALANCER.template + "/networkInterfaces")
    def interfaces(self, call: Call) -> Answer:
        balancer = self.arm.store.need(call.path.rsplit("/", 1)[0])
        users = {nic.id: nic for pool in balancer.properties["backendAddressPools"] for nic, _ in self._members(pool["id"])}
        return Answer(200, {"value": [nic.json() for nic in users.values()], "nextLink": None})

    def remove(self, balancer: Resource) -> None:
        """Give the addresses back, let the interfaces go, forget the balancer."""
        with self.arm.lock:
            for pool in balancer.properties["backendAddressPools"]:
                for _, one in self._members(pool["id"]):
                    kept = [other for other in one["properties"]["loadBalancerBackendAddressPools"] if other["id"] != pool["id"]]
                    one["properties"]["loadBalancerBackendAddressPools"] = kept
            for front in balancer.properties["frontendIPConfigurations"]:
                release(self.arm.store, front)
            self.arm.store.remove(balancer.id)

    def _members(self, pool_id: str) -> list[tuple[Resource, Json]]:
        """Interfaces in a pool, with the IP configuration that is."""
        wanted = pool_id.lower()
        return [
            (nic, one)
            for nic in self.arm.store.of_type(INTERFACE.type)
            for one in nic.properties["ipConfigurations"]
            if any(pool["id"].lower() == wanted for pool in one["properties"].get("loadBalancerBackendAddressPools", []))
        ]

    # parts ---------------------------------------------------------------------------------------------------------------

    def _front(self, balancer: Resource, name: str, body: Json) -> Json:
        subnet, public = (read(body, f"properties.{field}.id", str, "") for field in ("subnet", "publicIPAddress"))
        if bool(subnet) == bool(public):
            raise Refusal(
                400, "LoadBalancerFrontendIPConfigurationInvalid", f"Front end {name} needs either a subnet or a public address."
            )
        if public:
            need_reference(self.arm, public, PUBLIC_ADDRESS.type, balancer.id)
            return {"privateIPAllocationMethod": "Dynamic", "publicIPAddress": {"id": public}}
        need_reference(self.arm, subnet, SUBNET_TYPE, balancer.id)
        method = read_choice(body, "properties.privateIPAllocationMethod", ("Dynamic", "Static"), "Dynamic")
        address = read(body, "properties.privateIPAddress", str, "") if method == "Static" else ""
        return {"privateIPAllocationMethod": method, "subnet": {"id": subnet}, "privateIPAddress": address}

    def _claim(self, balancer: Resource, fronts: list[Json]) -> None:
        """Take the addresses of the front ends; when one cannot be had, everything is as before."""
        before = balancer.properties.get("frontendIPConfigurations", [])
        for front in before:
            release(self.arm.store, front)
        done: list[Json] = []
        try:
            for front in fronts:
                self._take(front)
                done.append(front)
        except Refusal:
            for front in done:
                release(self.arm.store, front)
            for front in before:
                self._take(front)
            raise

    def _take(self, front: Json) -> None:
        properties = front["properties"]
        if "subnet" in properties:
            subnet = self.arm.store.need(properties["subnet"]["id"])
            properties["privateIPAddress"] = pick(subnet, properties["privateIPAddress"], front["id"])
            taken(subnet)[properties["privateIPAddress"]] = front["id"]
            return
        public = self.arm.store.need(properties["publicIPAddress"]["id"])
        user = public.properties.get("ipConfiguration", {}).get("id", front["id"])
        if user.lower() != front["id"].lower():
            raise Refusal(400, "PublicIPAddressInUse", f"Public IP address {public.id} is already allocated to resource {user}.")
        public.properties["ipConfiguration"] = {"id": front["id"]}

    def _pool(self, balancer: Resource, name: str, body: Json) -> Json:
        read(body, "properties", dict)
        return {}

    def _probe(self, balancer: Resource, name: str, body: Json) -> Json:
        protocol = read_choice(body, "properties.protocol", _PROBES, code="InvalidRequestFormat")
        probe: Json = {
            "protocol": protocol,
            "port": _port(body, "port"),
            "intervalInSeconds": read(body, "properties.intervalInSeconds", int, 15),
            "numberOfProbes": read(body, "properties.numberOfProbes", int, 2),
        }
        if protocol != "Tcp":
            probe["requestPath"] = read(body, "properties.requestPath", str, required=True)
        return probe

    def _rule(self, balancer: Resource, name: str, body: Json) -> Json:
        rule: Json = {
            **self._points(balancer, body, "frontendIPConfiguration"),
            "protocol": read_choice(body, "properties.protocol", _PROTOCOLS, code="InvalidRequestFormat"),
            "frontendPort": _port(body, "frontendPort"),
            "backendPort": _port(body, "backendPort"),
            "idleTimeoutInMinutes": read(body, "properties.idleTimeoutInMinutes", int, 4),
            "enableFloatingIP": read(body, "properties.enableFloatingIP", bool, False),
            "loadDistribution": read(body, "properties.loadDistribution", str, "Default"),
        }
        for field in ("backendAddressPool", "probe"):
            if read(body, f"properties.{field}.id", str):
                rule |= self._points(balancer, body, field)
        return rule

    def _inbound(self, balancer: Resource, name: str, body: Json) -> Json:
        return {
            **self._points(balancer, body, "frontendIPConfiguration"),
            "protocol": read_choice(body, "properties.protocol", _PROTOCOLS, code="InvalidRequestFormat"),
            "frontendPort": _port(body, "frontendPort"),
            "backendPort": _port(body, "backendPort"),
            "idleTimeoutInMinutes": read(body, "properties.idleTimeoutInMinutes", int, 4),
            "enableFloatingIP": read(body, "properties.enableFloatingIP", bool, False),
        }

    def _outbound(self, balancer: Resource, name: str, body: Json) -> Json:
        fronts: list[Any] = read(body, "properties.frontendIPConfigurations", list, [])
        return {
            "protocol": read_choice(body, "properties.protocol", _PROTOCOLS, code="InvalidRequestFormat"),
            "frontendIPConfigurations": [self._pointed(balancer, read(one, "id", str, required=True)) for one in fronts],
            **self._points(balancer, body, "backendAddressPool"),
        }

    def _points(self, balancer: Resource, body: Json, field: str) -> Json:
        return {field: self._pointed(balancer, read(body, f"properties.{field}.id", str, required=True))}

    def _pointed(self, balancer: Resource, wanted: str) -> Json:
        """A reference to another part of the same balancer."""
        known = [one["id"] for part in self._parts() for one in balancer.properties.get(part.list_name, [])]
        if wanted.lower() not in {one.lower() for one in known}:
            raise Refusal(
                400, "InvalidResourceReference", f"Resource {wanted} referenced by resource {balancer.id} was not found."
            )
        return {"id": wanted}


def _port(body: Json, field: str) -> int:
    port: int = read(body, f"properties.{field}", int, required=True)
    if not 0 <= port <= 65535:
        raise Refusal(400, "InvalidRequestFormat", f"The value {port} of {field} is not a port.")
    return port
