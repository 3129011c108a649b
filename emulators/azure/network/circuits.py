"""ExpressRoute circuits and their peerings. The connectivity provider of an estate does its part at once."""

from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read
from emulators.azure.network.addresses import parse_prefix
from emulators.azure.network.children import Part, add_parts, parts_of
from emulators.azure.network.kinds import CIRCUIT, CONNECTION, PEERING_TYPE
from emulators.azure.network.links import Links
from emulators.azure.provisioning import provision, withdraw
from emulators.azure.tracked import SUBSCRIPTION, add_reads, listing, located

_PEERINGS = CIRCUIT.template + "/peerings"
_PEERING = _PEERINGS + "/{peeringName}"
_TYPES = ("AzurePrivatePeering", "AzurePublicPeering", "MicrosoftPeering")


class Circuits:
    """`Microsoft.Network/expressRouteCircuits` and `/peerings`."""

    namespace = "Microsoft.Network"

    def __init__(self, arm: Arm, links: Links):
        self.arm, self.links = arm, links
        add_reads(arm, CIRCUIT, self.render)
        add_parts(arm, Part(CIRCUIT, "authorizations", self._authorization))

    def render(self, circuit: Resource) -> Json:
        body = circuit.json()
        peerings = [one.json() for one in self.arm.store.of_type(PEERING_TYPE, under=circuit.id)]
        return {**body, "properties": {**body["properties"], "peerings": peerings}}

    @operation("PUT", CIRCUIT.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, CIRCUIT)
        body = call.content()
        tier, family = read(body, "sku.tier", str, "Standard"), read(body, "sku.family", str, "MeteredData")
        if tier not in ("Standard", "Premium", "Local") or family not in ("MeteredData", "UnlimitedData"):
            raise Refusal(400, "InvalidRequestFormat", f"The sku {tier}_{family} does not exist.")
        provider = read(body, "properties.serviceProviderProperties", dict, required=True)
        circuit = existing or Resource(call.path, CIRCUIT.type, {"etag": ""})
        circuit.body.update(head, sku={"name": f"{tier}_{family}", "tier": tier, "family": family})
        circuit.body["properties"] = {
            "circuitProvisioningState": "Enabled",
            "serviceProviderProvisioningState": "Provisioned",
            "serviceKey": existing.properties["serviceKey"] if existing else self.arm.clock.uuid(),
            "serviceProviderProperties": {
                "serviceProviderName": read(provider, "serviceProviderName", str, required=True),
                "peeringLocation": read(provider, "peeringLocation", str, required=True),
                "bandwidthInMbps": read(provider, "bandwidthInMbps", int, required=True),
            },
            "authorizations": existing.properties["authorizations"] if existing else [],
            "allowClassicOperations": False,
        }
        return provision(self.arm, call, circuit, status=200 if existing else 201, seconds=60, render=self.render)

    @operation("DELETE", CIRCUIT.template)
    def delete(self, call: Call) -> Answer:
        circuit = self.arm.store.get(call.path)
        if circuit is None:
            return Answer(204)
        self._check_unused(circuit)
        return withdraw(self.arm, call, circuit, seconds=30, remove=self.remove)

    @operation("GET", _PEERINGS)
    def list_peerings(self, call: Call) -> Answer:
        circuit = self.arm.store.need(call.path.rsplit("/", 1)[0])
        return listing(self.arm.store.of_type(PEERING_TYPE, under=circuit.id))

    @operation("GET", _PEERING)
    def get_peering(self, call: Call) -> Answer:
        return Answer(200, self.arm.store.need(call.path).json())

    @operation("PUT", _PEERING)
    def create_peering(self, call: Call) -> Answer:
        circuit = self.arm.store.need(call.path.rsplit("/", 2)[0])
        body = call.content()
        kind = read(body, "properties.peeringType", str, call["peeringName"])
        if kind not in _TYPES or call["peeringName"].lower() != kind.lower():
            raise Refusal(
                400,
                "InvalidRequestFormat",
                f"Peering {call['peeringName']} must be named as its type, one of {', '.join(_TYPES)}.",
            )
        existing = self.arm.store.get(call.path)
        peering = existing or Resource(f"{circuit.id}/peerings/{kind}", PEERING_TYPE, {"etag": ""})
        peering.body["properties"] = self._peering_properties(call.path, kind, body)
        status = 200 if existing else 201
        return provision(self.arm, call, peering, status=status, seconds=30, settled=self.links.refresh)

    @operation("DELETE", _PEERING)
    def delete_peering(self, call: Call) -> Answer:
        peering = self.arm.store.get(call.path)
        if peering is None:
            return Answer(204)
        return withdraw(self.arm, call, peering, seconds=10, remove=self._remove_peering)

    @operation("GET", CIRCUIT.template + "/stats")
    def stats(self, call: Call) -> Answer:
        """Nobody counts what passes a circuit here: the network's own log of flows does."""
        self.arm.store.need(call.path.rsplit("/", 1)[0])
        return Answer(200, dict.fromkeys(("primarybytesIn", "primarybytesOut", "secondarybytesIn", "secondarybytesOut"), 0))

    @operation("GET", SUBSCRIPTION + "/providers/Microsoft.Network/expressRouteServiceProviders")
    def providers(self, call: Call) -> Answer:
        bandwidths = [{"offerName": f"{mbps}Mbps", "valueInMbps": mbps} for mbps in (50, 100, 200, 500, 1000, 2000, 5000, 10000)]
        shown = {
            "name": "Carrier",
            "id": f"/subscriptions/{call.subscription}/providers/Microsoft.Network/expressRouteServiceProviders/Carrier",
            "type": "Microsoft.Network/expressRouteServiceProviders",
            "location": None,
            "properties": {
                "provisioningState": "Succeeded",
                "peeringLocations": ["Amsterdam", "London", "Washington DC"],
                "bandwidthsOffered": bandwidths,
            },
        }
        return Answer(200, {"value": [shown], "nextLink": None})

    def _authorization(self, circuit: Resource, name: str, body: Json) -> Json:
        known = next(
            (one for one in parts_of(circuit, Part(CIRCUIT, "authorizations")) if one["name"].lower() == name.lower()), None
        )
        key = known["properties"]["authorizationKey"] if known else self.arm.clock.uuid()
        return {"authorizationKey": key, "authorizationUseStatus": "Available"}

    def remove(self, circuit: Resource) -> None:
        """Forget a circuit and its peerings. Raises `Refusal` 400 while a connection uses it."""
        with self.arm.lock:
            self._check_unused(circuit)
            self.arm.store.remove(circuit.id)
        self.links.refresh()

    def _remove_peering(self, peering: Resource) -> None:
        with self.arm.lock:
            self.arm.store.remove(peering.id)
        self.links.refresh()

    def _peering_properties(self, path: str, kind: str, body: Json) -> Json:
        vlan = read(body, "properties.vlanId", int, required=True)
        if not 1 <= vlan <= 4094:
            raise Refusal(400, "InvalidRequestFormat", f"The VLAN id {vlan} of peering {path} is not from 1 to 4094.")
        prefixes: dict[str, Any] = {}
        for name in ("primaryPeerAddressPrefix", "secondaryPeerAddressPrefix"):
            prefixes[name] = read(body, f"properties.{name}", str, required=True)
            parse_prefix(prefixes[name], path)
        return {
            "peeringType": kind,
            "state": read(body, "properties.state", str, "Enabled"),
            "azureASN": 12076,
            "peerASN": read(body, "properties.peerASN", int, required=True),
            "vlanId": vlan,
            **prefixes,
        }

    def _check_unused(self, circuit: Resource) -> None:
        wanted = circuit.id.lower()
        for one in self.arm.store.of_type(CONNECTION.type):
            if one.properties.get("peer", {}).get("id", "").lower() == wanted:
                raise Refusal(
                    400,
                    "InUseCircuitCannotBeDeleted",
                    f"Circuit {circuit.id} is in use by connection {one.id} and cannot be deleted.",
                )
