"""Access to the bytes of disks and snapshots: a signed URL of the blob, as long as it is granted."""

from emulators.azure.arm import Answer, Arm, Call, Refusal, Resource, operation, read, read_choice
from emulators.azure.compute.kinds import DISK, MACHINE, SNAPSHOT
from emulators.azure.storage.sas import blob_sas
from emulators.clock import Process


class DiskAccess:
    """`beginGetAccess` and `endGetAccess` of disks and snapshots. A disk with a granted access cannot be attached."""

    namespace = "Microsoft.Compute"

    def __init__(self, arm: Arm):
        self.arm = arm

    @operation("POST", DISK.template + "/beginGetAccess")
    @operation("POST", SNAPSHOT.template + "/beginGetAccess")
    def grant(self, call: Call) -> Answer:
        disk = self.arm.store.need(call.path.rsplit("/", 1)[0])
        access = read_choice(call.content(), "access", ("Read", "Write", "None"))
        seconds = read(call.content(), "durationInSeconds", int, required=True)
        if not 0 < seconds <= 2**31 - 1:
            raise Refusal(400, "InvalidParameter", f"The duration {seconds} is out of range.", target="durationInSeconds")
        self._check_idle(disk)
        place = disk.hidden["blob"]
        if place is None:
            raise Refusal(409, "OperationNotAllowed", f"Disk {disk.name} is empty: there is no blob to give access to.")
        url = blob_sas(self.arm, call, place, write=access == "Write", seconds=seconds)
        disk.properties["diskState"] = "ActiveSAS"
        running = self.arm.operations.begin(
            call, self._rest(), result=lambda: Answer(200, {"accessSAS": url}), location=disk.location
        )
        running.extra["properties"] = {"output": {"accessSAS": url}}
        return self.arm.operations.answer(call, running)

    @operation("POST", DISK.template + "/endGetAccess")
    @operation("POST", SNAPSHOT.template + "/endGetAccess")
    def revoke(self, call: Call) -> Answer:
        """The state goes back. A URL that was given out holds until its own end, as it is signed with the account's key."""
        disk = self.arm.store.need(call.path.rsplit("/", 1)[0])
        if disk.properties["diskState"] == "ActiveSAS":
            disk.properties["diskState"] = "Attached" if disk.body.get("managedBy") else "Unattached"
        running = self.arm.operations.begin(call, self._rest(), result=lambda: Answer(200), location=disk.location)
        return self.arm.operations.answer(call, running)

    def _check_idle(self, disk: Resource) -> None:
        owner = self.arm.store.get(str(disk.body.get("managedBy") or ""))
        if owner is not None and owner.type == MACHINE.type and owner.hidden["power"] != "deallocated":
            raise Refusal(
                409, "OperationNotAllowed", f"Cannot grant access to disk {disk.name}: it is attached to running VM {owner.id}."
            )

    def _rest(self) -> Process:
        yield self.arm.operations.rest(2)
