"""Managed disks. The bytes of one are a page blob; an empty disk has none until something gives it one."""

from typing import Any
from urllib.parse import unquote

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read, read_choice
from emulators.azure.compute.kinds import DISK, DISK_SKUS, GIB, SNAPSHOT
from emulators.azure.outside import BlobCopy, BlobPlace, BlobSize
from emulators.azure.provisioning import provision, withdraw
from emulators.azure.storage.kinds import ACCOUNT
from emulators.azure.tracked import add_reads, located, tags_of
from emulators.clock import iso

_LARGEST_GB = 32767


class Disks:
    """`Microsoft.Compute/disks`. `hidden["blob"]` is the `BlobPlace` of a disk's bytes."""

    namespace = "Microsoft.Compute"

    def __init__(self, arm: Arm, blob_size: BlobSize | None, blob_copy: BlobCopy | None):
        self.arm, self.blob_size, self.blob_copy = arm, blob_size, blob_copy
        add_reads(arm, DISK, patch=False)

    @operation("PUT", DISK.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, DISK)
        body = call.content()
        if existing is not None:
            return self._change(call, existing, head)
        option = read_choice(body, "properties.creationData.createOption", ("Empty", "Import", "Copy"))
        size = read(body, "properties.diskSizeGB", int)
        if size is not None and not 1 <= size <= _LARGEST_GB:
            raise Refusal(
                400,
                "InvalidParameter",
                f"The value '{size}' of parameter 'disk.diskSizeGb' is out of range.",
                target="disk.diskSizeGb",
            )
        if option == "Copy":
            return self._copied(call, head, size)
        place = None
        if option == "Import":
            place = self._place(read(body, "properties.creationData.sourceUri", str, required=True))
        elif size is None:
            raise Refusal(
                400, "InvalidParameter", "Required parameter 'disk.diskSizeGB' is missing (null).", target="disk.diskSizeGB"
            )
        disk = self.make(
            call.path,
            head,
            place=place,
            size_bytes=(size or 0) * GIB,
            os_type=read(body, "properties.osType", str, ""),
            sku=read(body, "sku.name", str, "Standard_LRS"),
            creation=read(body, "properties.creationData", dict),
            generation=read(body, "properties.hyperVGeneration", str, "V1"),
        )
        return provision(
            self.arm,
            call,
            disk,
            status=202,
            seconds=5,
            then=None if place is None else lambda: self._measure(disk, place, size),
            location_url=True,
        )

    @operation("PATCH", DISK.template)
    def update(self, call: Call) -> Answer:
        disk = self.arm.store.need(call.path)
        tags = tags_of(call.content())
        return self._change(call, disk, {} if tags is None else {"tags": tags})

    @operation("DELETE", DISK.template)
    def delete(self, call: Call) -> Answer:
        disk = self.arm.store.get(call.path)
        if disk is None:
            return Answer(204)
        _check_unattached(disk)
        return withdraw(self.arm, call, disk, seconds=5, remove=self.remove)

    def _copied(self, call: Call, head: Json, size: int | None) -> Answer:
        body = call.content()
        source = self.source_of(read(body, "properties.creationData.sourceResourceId", str, required=True))
        if size is not None and size < source.properties["diskSizeGB"]:
            raise Refusal(400, "InvalidParameter", "A copy cannot be smaller than its source.", target="disk.diskSizeGB")
        place = self.new_place(source, call["name"])
        disk = self.make(
            call.path,
            head,
            place=place,
            size_bytes=max((size or 0) * GIB, source.properties["diskSizeBytes"]),
            os_type=read(body, "properties.osType", str, source.properties.get("osType", "")),
            sku=read(body, "sku.name", str, "Standard_LRS"),
            creation={"createOption": "Copy", "sourceResourceId": source.id, "sourceUniqueId": source.properties["uniqueId"]},
        )
        then = None if place is None else lambda: self.copy(source, place)
        return provision(self.arm, call, disk, status=202, seconds=5, then=then, location_url=True)

    def source_of(self, resource_id: str) -> Resource:
        """The disk or snapshot that is copied. Raises `Refusal` 404."""
        source = self.arm.store.need(resource_id)
        if source.type not in (DISK.type, SNAPSHOT.type):
            raise Refusal(
                400, "InvalidParameter", f"'{resource_id}' is neither a disk nor a snapshot.", target="sourceResourceId"
            )
        return source

    def new_place(self, source: Resource, name: str) -> BlobPlace | None:
        """Where a copy's bytes will be: beside the source's; None for an empty source. Raises `Refusal` 409."""
        place: BlobPlace | None = source.hidden["blob"]
        if place is None:
            return None
        if self.blob_copy is None:
            raise Refusal(409, "OperationNotAllowed", f"The bytes of {source.name} cannot be copied in this estate.")
        return BlobPlace(place.account, place.container, f"{name.lower()}-{self.arm.clock.uuid()}.vhd")

    def copy(self, source: Resource, target: BlobPlace) -> None:
        """Copy the bytes; from work on the clock."""
        assert self.blob_copy is not None, "a place was given only with it"
        self.blob_copy(source.hidden["blob"], target)

    # used by machines and by Site Recovery -------------------------------------------------------------------------------

    def make(
        self,
        path: str,
        head: Json,
        *,
        place: BlobPlace | None,
        size_bytes: int,
        os_type: str = "",
        sku: str = "Standard_LRS",
        creation: Json | None = None,
        generation: str = "V1",
    ) -> Resource:
        """Store a disk that is ready. The lock is held. Raises `Refusal` 400 or, when the name is taken, 409."""
        DISK.check_name(path.rsplit("/", 1)[1])
        if sku not in DISK_SKUS:
            raise Refusal(400, "InvalidParameter", f"The value '{sku}' of parameter 'disk.sku' is not valid.", target="sku.name")
        if self.arm.store.get(path) is not None:
            raise Refusal(409, "PropertyChangeNotAllowed", f"A disk with the id {path} exists already.", target="disk")
        disk = Resource(path, DISK.type, {**head, "sku": {"name": sku, "tier": sku.split("_")[0]}})
        disk.hidden["blob"] = place
        disk.body["properties"] = {
            "creationData": creation or {"createOption": "Empty" if place is None else "Import"},
            "diskSizeGB": -(-size_bytes // GIB),
            "diskSizeBytes": size_bytes,
            "diskState": "Unattached",
            "encryption": {"type": "EncryptionAtRestWithPlatformKey"},
            "hyperVGeneration": generation,
            "timeCreated": iso(self.arm.clock.now()),
            "uniqueId": self.arm.clock.uuid(),
            "provisioningState": "Succeeded",
            "networkAccessPolicy": "AllowAll",
            "publicNetworkAccess": "Enabled",
        }
        if os_type:
            disk.properties["osType"] = os_type.capitalize()
        return self.arm.store.put(disk)

    def attach(self, disk: Resource, machine_id: str) -> None:
        """The lock is held."""
        disk.body["managedBy"] = machine_id
        disk.properties["diskState"] = "Attached"

    def detach(self, disk: Resource) -> None:
        """The lock is held."""
        disk.body.pop("managedBy", None)
        disk.properties["diskState"] = "Unattached"

    def remove(self, disk: Resource) -> None:
        """Forget a disk; its blob belongs to whoever made it and stays. Raises `Refusal` 409 while a machine has it."""
        with self.arm.lock:
            _check_unattached(disk)
            self.arm.store.remove(disk.id)

    def _change(self, call: Call, disk: Resource, head: Json) -> Answer:
        size = read(call.content(), "properties.diskSizeGB", int, disk.properties["diskSizeGB"])
        if size < disk.properties["diskSizeGB"]:
            raise Refusal(
                409,
                "ResizeDiskError",
                f"Decrease of disk size from {disk.properties['diskSizeGB']} GB to {size} GB is not allowed.",
                target="disk.diskSizeGB",
            )
        disk.body.update(head)
        if size > disk.properties["diskSizeGB"]:
            disk.properties.update(diskSizeGB=size, diskSizeBytes=size * GIB)
        return Answer(200, disk.json())

    def _measure(self, disk: Resource, place: BlobPlace, size: int | None) -> None:
        if self.blob_size is None:  # nobody can tell: the size is what was asked for
            return
        found = self.blob_size(place)
        if found is None:
            raise Refusal(
                404, "BlobNotFound", f"The source blob {place.container}/{place.blob} in account {place.account} was not found."
            )
        with self.arm.lock:
            length = max(found, (size or 0) * GIB)
            disk.properties.update(diskSizeGB=-(-length // GIB), diskSizeBytes=length)

    def _place(self, uri: str) -> BlobPlace:
        """Which account's blob a URI names: the one whose blob endpoint it starts with."""
        for account in self.arm.store.of_type(ACCOUNT.type):
            known = [account.properties.get("primaryEndpoints", {}).get("blob", ""), *self.arm.faces.blob_endpoints(account.name)]
            for endpoint in (one.rstrip("/") + "/" for one in known if one):
                if uri.lower().startswith(endpoint.lower()):
                    container, _, blob = unquote(uri[len(endpoint) :].split("?")[0]).partition("/")
                    if container and blob:
                        return BlobPlace(account.name, container, blob)
        raise Refusal(
            400,
            "InvalidParameter",
            f"The value '{uri}' of parameter 'disk.creationData.sourceUri' is not the URI of a blob in a known storage account.",
            target="disk.creationData.sourceUri",
        )


def _check_unattached(disk: Resource) -> None:
    owner: Any = disk.body.get("managedBy")
    if owner is not None:
        raise Refusal(409, "OperationNotAllowed", f"Disk {disk.name} is attached to VM {owner}.", target="disk")
