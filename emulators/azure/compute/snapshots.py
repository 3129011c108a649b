"""Snapshots of managed disks: a copy of the bytes as they are when it is made."""

from emulators.azure.arm import Answer, Arm, Call, Json, Resource, operation, read, read_choice
from emulators.azure.compute.disks import Disks
from emulators.azure.compute.kinds import SNAPSHOT
from emulators.azure.provisioning import provision, withdraw
from emulators.azure.tracked import add_reads, located
from emulators.clock import iso


class Snapshots:
    """`Microsoft.Compute/snapshots`. `hidden["blob"]` is where the bytes are, as with disks."""

    namespace = "Microsoft.Compute"

    def __init__(self, arm: Arm, disks: Disks):
        self.arm, self.disks = arm, disks
        add_reads(arm, SNAPSHOT)

    @operation("PUT", SNAPSHOT.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, SNAPSHOT)
        body = call.content()
        if existing is not None:
            existing.body.update(head)
            return Answer(200, existing.json())
        read_choice(body, "properties.creationData.createOption", ("Copy",))
        source = self.disks.source_of(read(body, "properties.creationData.sourceResourceId", str, required=True))
        snapshot = Resource(call.path, SNAPSHOT.type, {**head, "sku": {"name": "Standard_LRS", "tier": "Standard"}})
        place = snapshot.hidden["blob"] = self.disks.new_place(source, snapshot.name)
        known = source.properties
        properties: Json = {
            "creationData": {"createOption": "Copy", "sourceResourceId": source.id, "sourceUniqueId": known["uniqueId"]},
            "diskSizeGB": known["diskSizeGB"],
            "diskSizeBytes": known["diskSizeBytes"],
            "diskState": "Unattached",
            "encryption": known["encryption"],
            "hyperVGeneration": known["hyperVGeneration"],
            "incremental": read(body, "properties.incremental", bool, False),
            "timeCreated": iso(self.arm.clock.now()),
            "uniqueId": self.arm.clock.uuid(),
            "networkAccessPolicy": "AllowAll",
            "publicNetworkAccess": "Enabled",
        }
        snapshot.body["properties"] = {**properties, **({"osType": known["osType"]} if "osType" in known else {})}
        then = None if place is None else lambda: self.disks.copy(source, place)
        return provision(self.arm, call, snapshot, status=202, seconds=5, then=then, location_url=True)

    @operation("DELETE", SNAPSHOT.template)
    def delete(self, call: Call) -> Answer:
        snapshot = self.arm.store.get(call.path)
        if snapshot is None:
            return Answer(204)
        return withdraw(self.arm, call, snapshot, seconds=3, remove=self.remove)

    def remove(self, snapshot: Resource) -> None:
        """Forget a snapshot; its blob stays with the account it is in."""
        with self.arm.lock:
            self.arm.store.remove(snapshot.id)
