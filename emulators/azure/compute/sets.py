"""Availability sets, machine sizes and the quota of a location."""

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read
from emulators.azure.compute.kinds import AVAILABILITY_SET, MACHINE, SIZES, Size
from emulators.azure.compute.machines import VirtualMachines
from emulators.azure.tracked import SUBSCRIPTION, add_reads, canonical_location, check_location, located

_LOCATION = SUBSCRIPTION + "/providers/Microsoft.Compute/locations/{location}"


class AvailabilitySets:
    """`Microsoft.Compute/availabilitySets`: changes are done when they are answered."""

    namespace = "Microsoft.Compute"

    def __init__(self, arm: Arm):
        self.arm = arm
        add_reads(arm, AVAILABILITY_SET, self.render)

    def render(self, group: Resource) -> Json:
        body = group.json()
        return {**body, "properties": {**body["properties"], "virtualMachines": [{"id": one.id} for one in self._members(group)]}}

    @operation("PUT", AVAILABILITY_SET.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, AVAILABILITY_SET)
        body = call.content()
        faults = read(body, "properties.platformFaultDomainCount", int, 2)
        updates = read(body, "properties.platformUpdateDomainCount", int, 5)
        if not 1 <= faults <= 3 or not 1 <= updates <= 20:
            raise Refusal(400, "InvalidParameter", "Fault domains must be from 1 to 3 and update domains from 1 to 20.")
        group = existing or Resource(call.path, AVAILABILITY_SET.type, {})
        group.body.update(head, sku={"name": read(body, "sku.name", str, "Classic")})
        group.body["properties"] = {"platformFaultDomainCount": faults, "platformUpdateDomainCount": updates}
        return Answer(200, self.render(self.arm.store.put(group)))

    @operation("DELETE", AVAILABILITY_SET.template)
    def delete(self, call: Call) -> Answer:
        group = self.arm.store.get(call.path)
        if group is None:
            return Answer(204)
        self.remove(group)
        return Answer(200)

    def remove(self, group: Resource) -> None:
        """Forget a set. Raises `Refusal` 409 while machines are in it."""
        with self.arm.lock:
            if self._members(group):
                raise Refusal(
                    409,
                    "OperationNotAllowed",
                    f"Availability Set '{group.name}' cannot be deleted. Before deleting an Availability Set please ensure that "
                    "it does not contain any VM.",
                )
            self.arm.store.remove(group.id)

    def _members(self, group: Resource) -> list[Resource]:
        wanted = group.id.lower()
        return [
            one
            for one in self.arm.store.of_type(MACHINE.type)
            if one.properties.get("availabilitySet", {}).get("id", "").lower() == wanted
        ]


class Sizes:
    """What sizes there are and how much of the quota is used."""

    namespace = "Microsoft.Compute"

    def __init__(self, arm: Arm, machines: VirtualMachines):
        self.arm, self.machines = arm, machines

    @operation("GET", _LOCATION + "/vmSizes")
    def in_location(self, call: Call) -> Answer:
        check_location(self.arm, canonical_location(call["location"]), MACHINE.type)
        return Answer(200, {"value": [_shown(size) for size in SIZES.values()]})

    @operation("GET", MACHINE.template + "/vmSizes")
    @operation("GET", AVAILABILITY_SET.template + "/vmSizes")
    def for_resource(self, call: Call) -> Answer:
        self.arm.store.need(call.path.rsplit("/", 1)[0])
        return Answer(200, {"value": [_shown(size) for size in SIZES.values()]})

    @operation("GET", _LOCATION + "/usages")
    def usages(self, call: Call) -> Answer:
        location = canonical_location(call["location"])
        check_location(self.arm, location, MACHINE.type)
        count = sum(one.location == location for one in self.arm.store.of_type(MACHINE.type))
        rows = (
            ("cores", "Total Regional vCPUs", self.machines.used_cores(location), self.machines.cores[location]),
            ("virtualMachines", "Virtual Machines", count, 25000),
            *(
                (family, family, self.machines.used_cores(location, family), self.machines.cores[location])
                for family in dict.fromkeys(size.family for size in SIZES.values())
            ),
        )
        value = [
            {"limit": limit, "unit": "Count", "currentValue": used, "name": {"value": name, "localizedValue": text}}
            for name, text, used, limit in rows
        ]
        return Answer(200, {"value": value, "nextLink": None})


def _shown(size: Size) -> Json:
    return {
        "name": size.name,
        "numberOfCores": size.cores,
        "osDiskSizeInMB": 1047552,
        "resourceDiskSizeInMB": size.cores * 8192,
        "memoryInMB": size.memory_mb,
        "maxDataDiskCount": size.data_disks,
    }
