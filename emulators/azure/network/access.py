"""Network security groups and public addresses."""

from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read, read_choice, read_texts
from emulators.azure.network.children import Part, add_parts, read_parts
from emulators.azure.network.kinds import INTERFACE, PUBLIC_ADDRESS, SECURITY_GROUP, SUBNET_TYPE
from emulators.azure.provisioning import provision, withdraw
from emulators.azure.tracked import add_reads, located

#: Name, priority, direction, source, destination, access of the rules every group has.
_DEFAULT_RULES = (
    ("AllowVnetInBound", 65000, "Inbound", "VirtualNetwork", "VirtualNetwork", "Allow"),
    ("AllowAzureLoadBalancerInBound", 65001, "Inbound", "AzureLoadBalancer", "*", "Allow"),
    ("DenyAllInBound", 65500, "Inbound", "*", "*", "Deny"),
    ("AllowVnetOutBound", 65000, "Outbound", "VirtualNetwork", "VirtualNetwork", "Allow"),
    ("AllowInternetOutBound", 65001, "Outbound", "*", "Internet", "Allow"),
    ("DenyAllOutBound", 65500, "Outbound", "*", "*", "Deny"),
)


#: Fields of a rule that take one of a few words, and those that are kept as they are sent.
_WORDS = (
    ("direction", ("Inbound", "Outbound")),
    ("access", ("Allow", "Deny")),
    ("protocol", ("Tcp", "Udp", "Icmp", "Esp", "Ah", "*")),
)
_RULE_TEXTS = (
    "description", "sourcePortRange", "destinationPortRange", "sourceAddressPrefix", "destinationAddressPrefix",
)  # fmt: skip
_RULE_LISTS = ("sourcePortRanges", "destinationPortRanges", "sourceAddressPrefixes", "destinationAddressPrefixes")


class NetworkSecurityGroups:
    """`Microsoft.Network/networkSecurityGroups`: rules are kept and checked for sense, not applied to traffic."""

    namespace = "Microsoft.Network"

    def __init__(self, arm: Arm):
        self.arm = arm
        self.rules = Part(SECURITY_GROUP, "securityRules", self._rule, _check_priorities)
        add_reads(arm, SECURITY_GROUP, self.render)
        add_parts(arm, self.rules)
        add_parts(arm, Part(SECURITY_GROUP, "defaultSecurityRules"))

    def render(self, group: Resource) -> Json:
        users: Json = {}
        for key, kind in (("networkInterfaces", INTERFACE.type), ("subnets", SUBNET_TYPE)):
            found = [{"id": one.id} for one in self._users(group, kind)]
            if found:
                users[key] = found
        body = group.json()
        return {**body, "properties": {**body["properties"], **users}}

    @operation("PUT", SECURITY_GROUP.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, SECURITY_GROUP)
        group = existing or Resource(call.path, SECURITY_GROUP.type, {"etag": ""})
        rules = read_parts(self.arm, group, self.rules, read(call.content(), "properties.securityRules", list, []))
        group.body.update(head)
        group.body["properties"] = {
            "resourceGuid": existing.properties["resourceGuid"] if existing else self.arm.clock.uuid(),
            "securityRules": rules,
            "defaultSecurityRules": [_default_rule(group.id, *row) for row in _DEFAULT_RULES],
        }
        return provision(self.arm, call, group, status=200 if existing else 201, seconds=3, render=self.render)

    @operation("DELETE", SECURITY_GROUP.template)
    def delete(self, call: Call) -> Answer:
        group = self.arm.store.get(call.path)
        if group is None:
            return Answer(204)
        self._check_unused(group)
        return withdraw(self.arm, call, group, seconds=3, remove=self.remove)

    def remove(self, group: Resource) -> None:
        """Forget a group. Raises `Refusal` 400 while interfaces or subnets use it."""
        with self.arm.lock:
            self._check_unused(group)
            self.arm.store.remove(group.id)

    def _users(self, group: Resource, resource_type: str) -> list[Resource]:
        wanted = group.id.lower()
        return [
            one
            for one in self.arm.store.of_type(resource_type)
            if one.properties.get("networkSecurityGroup", {}).get("id", "").lower() == wanted
        ]

    def _check_unused(self, group: Resource) -> None:
        users = [*self._users(group, INTERFACE.type), *self._users(group, SUBNET_TYPE)]
        if users:
            raise Refusal(
                400,
                "InUseNetworkSecurityGroupCannotBeDeleted",
                f"Network security group {group.id} cannot be deleted because it is in use by the following resources: "
                f"{', '.join(one.id for one in users)}. In order to delete the Network security group, remove the "
                "association with the resource(s).",
                details=[],
            )

    def _rule(self, group: Resource, name: str, body: Json) -> Json:
        priority = read(body, "properties.priority", int, required=True)
        if not 100 <= priority <= 4096:
            raise Refusal(
                400,
                "SecurityRuleInvalidPriority",
                f"Security rule has invalid Priority. Value provided: {priority} Allowed range 100-4096.",
            )
        for ports in ("sourcePortRange", "destinationPortRange"):
            for text in [read(body, f"properties.{ports}", str, ""), *read_texts(body, f"properties.{ports}s")]:
                _check_ports(name, text)
        texts = {field: read(body, f"properties.{field}", str) for field in _RULE_TEXTS}
        return {
            "priority": priority,
            **{field: value for field, value in texts.items() if value is not None},
            **{field: read_texts(body, f"properties.{field}") for field in _RULE_LISTS},
            **{field: read_choice(body, f"properties.{field}", words, code="InvalidRequestFormat") for field, words in _WORDS},
        }


class PublicAddresses:
    """`Microsoft.Network/publicIPAddresses`."""

    namespace = "Microsoft.Network"

    def __init__(self, arm: Arm):
        self.arm = arm
        self._given = 0
        add_reads(arm, PUBLIC_ADDRESS)

    @operation("PUT", PUBLIC_ADDRESS.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, PUBLIC_ADDRESS)
        body = call.content()
        method = read(body, "properties.publicIPAllocationMethod", str, "Dynamic")
        sku = read(body, "sku.name", str, "Standard" if method == "Static" else "Basic")
        if method not in ("Static", "Dynamic"):
            raise Refusal(400, "InvalidRequestFormat", f"'{method}' is not an allocation method; use Static or Dynamic.")
        if sku == "Standard" and method == "Dynamic":
            raise Refusal(
                400,
                "PublicIPAddressWithStandardSkuMustHaveStaticAllocation",
                f"Standard sku publicIp {call.path} must have AllocationMethod set to Static.",
            )
        public = existing or Resource(call.path, PUBLIC_ADDRESS.type, {"etag": ""})
        known = existing.properties if existing else {}
        public.body.update(head, sku={"name": sku, "tier": read(body, "sku.tier", str, "Regional")})
        properties: Json = {
            "resourceGuid": known.get("resourceGuid") or self.arm.clock.uuid(),
            "publicIPAddressVersion": "IPv4",
            "publicIPAllocationMethod": method,
            "idleTimeoutInMinutes": read(body, "properties.idleTimeoutInMinutes", int, 4),
            "ipTags": [],
            "ipAddress": known.get("ipAddress") or self._next(),
        }
        label = read(body, "properties.dnsSettings.domainNameLabel", str, "")
        if label:
            properties["dnsSettings"] = self._named(public, head["location"], label)
        if "ipConfiguration" in known:
            properties["ipConfiguration"] = known["ipConfiguration"]
        public.body["properties"] = properties
        return provision(self.arm, call, public, status=200 if existing else 201, seconds=3)

    @operation("DELETE", PUBLIC_ADDRESS.template)
    def delete(self, call: Call) -> Answer:
        public = self.arm.store.get(call.path)
        if public is None:
            return Answer(204)
        _check_free(public)
        return withdraw(self.arm, call, public, seconds=5, remove=self.remove)

    def remove(self, public: Resource) -> None:
        """Forget a public address. Raises `Refusal` 400 while something uses it."""
        with self.arm.lock:
            _check_free(public)
            self.arm.store.remove(public.id)

    def _named(self, public: Resource, location: str, label: str) -> Json:
        """The name of a public address, which only one in a location can have."""
        for other in self.arm.store.of_type(PUBLIC_ADDRESS.type):
            known = other.properties.get("dnsSettings", {}).get("domainNameLabel", "").lower()
            if other is not public and other.location == location and known == label.lower():
                raise Refusal(
                    400,
                    "DnsRecordInUse",
                    f"DNS record {label}.{location}.cloudapp.azure.com is already used by another public IP.",
                )
        return {"domainNameLabel": label, "fqdn": f"{label.lower()}.{location}.cloudapp.azure.com"}

    def _next(self) -> str:
        """Addresses of the benchmarking range (RFC 2544): public in form, nobody's in fact."""
        self._given += 1
        return f"198.18.{self._given >> 8 & 0xFF}.{self._given & 0xFF}"


def _check_ports(name: str, text: Any) -> None:
    """`*`, a port, or two with a hyphen. Raises `Refusal` 400."""
    if text in ("", "*"):
        return
    ends = str(text).split("-")
    if len(ends) > 2 or not all(one.isdigit() and int(one) <= 65535 for one in ends) or int(ends[0]) > int(ends[-1]):
        raise Refusal(
            400, "SecurityRuleInvalidPortRange", f"Security rule {name} has invalid Port range. Value provided: {text}."
        )


def _check_priorities(rules: list[Json]) -> None:
    seen: dict[tuple[int, str], str] = {}
    for rule in rules:
        key = (rule["properties"]["priority"], rule["properties"]["direction"])
        if key in seen:
            raise Refusal(
                400,
                "SecurityRuleConflict",
                f"Security rule {rule['name']} conflicts with rule {seen[key]}. Rules cannot have the same Priority and "
                "Direction.",
            )
        seen[key] = rule["name"]


def _default_rule(group_id: str, name: str, priority: int, direction: str, source: str, destination: str, access: str) -> Json:
    return {
        "id": f"{group_id}/defaultSecurityRules/{name}",
        "name": name,
        "type": f"{SECURITY_GROUP.type}/defaultSecurityRules",
        "properties": {
            "provisioningState": "Succeeded",
            "protocol": "*",
            "sourcePortRange": "*",
            "destinationPortRange": "*",
            "sourceAddressPrefix": source,
            "destinationAddressPrefix": destination,
            "access": access,
            "priority": priority,
            "direction": direction,
            "sourcePortRanges": [],
            "destinationPortRanges": [],
            "sourceAddressPrefixes": [],
            "destinationAddressPrefixes": [],
        },
    }


def _check_free(public: Resource) -> None:
    user = public.properties.get("ipConfiguration", {}).get("id")
    if user is not None:
        raise Refusal(
            400,
            "PublicIPAddressCannotBeDeleted",
            f"Public IP address {public.id} can not be deleted since it is still allocated to resource {user}.",
            details=[],
        )
