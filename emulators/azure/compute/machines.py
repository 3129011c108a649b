"""Virtual machines."""

from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, operation, read, read_choice
from emulators.azure.compute.disks import Disks
from emulators.azure.compute.kinds import AVAILABILITY_SET, DISK, GIB, MACHINE, SIZES, size_named
from emulators.azure.compute.power import Power, instance_view
from emulators.azure.network import NetworkInterfaces
from emulators.azure.network.kinds import INTERFACE
from emulators.azure.outside import GuestHooks
from emulators.azure.provisioning import provision, touch, withdraw
from emulators.azure.tracked import add_reads, located, need_reference, tags_of
from emulators.clock import Process, iso

#: Where a disk of a machine comes from.
_OPTIONS = ("Attach", "Empty", "FromImage")

#: Emulated seconds a machine's power operation takes.
_POWER_SECONDS = {"start": 30, "powerOff": 20, "deallocate": 40, "restart": 40}


class VirtualMachines:
    """`Microsoft.Compute/virtualMachines`. `cores` is the quota of each location, in vCPUs."""

    namespace = "Microsoft.Compute"

    def __init__(self, arm: Arm, disks: Disks, interfaces: NetworkInterfaces, guests: GuestHooks):
        self.arm, self.disks, self.interfaces, self.guests = arm, disks, interfaces, guests
        self.power = Power(arm, interfaces, guests)
        self.cores: dict[str, int] = dict.fromkeys(arm.locations, 100)
        add_reads(arm, MACHINE, patch=False)
        arm.router.replace("GET", MACHINE.template, self.get)

    def get(self, call: Call) -> Answer:
        machine = self.arm.store.need(call.path)
        body = machine.json()
        if "instanceview" in call.query.get("$expand", "").lower():
            body["properties"] = {**machine.properties, "instanceView": instance_view(machine)}
        return Answer(200, body)

    @operation("GET", MACHINE.template + "/instanceView")
    def instance_view(self, call: Call) -> Answer:
        return Answer(200, instance_view(self._need(call)))

    @operation("PUT", MACHINE.template)
    def create(self, call: Call) -> Answer:
        existing, head = located(self.arm, call, MACHINE)
        if existing is not None:
            return self._change(call, existing, head)
        body = call.content()
        properties = read(body, "properties", dict, required=True)
        size = read(properties, "hardwareProfile.vmSize", str, required=True)
        nics = self._interfaces(call.path, head["location"], read(properties, "networkProfile.networkInterfaces", list, []))
        made: list[Resource] = []
        try:
            machine = self.assemble(
                call.path,
                head,
                size=size,
                storage=self._storage(call.path, head, read(properties, "storageProfile", dict, required=True), made),
                nics=nics,
                availability_set_id=read(properties, "availabilitySet.id", str, ""),
                profile=read(properties, "osProfile", dict),
            )
        except Refusal:
            for disk in made:
                self.arm.store.remove(disk.id)
            raise
        return provision(
            self.arm,
            call,
            machine,
            status=201,
            seconds=40,
            state="Creating",
            then=lambda: self.power.start(machine),
            location_url=True,
        )

    @operation("PATCH", MACHINE.template)
    def update(self, call: Call) -> Answer:
        machine = self.arm.store.need(call.path)
        tags = tags_of(call.content())
        return self._change(call, machine, {} if tags is None else {"tags": tags})

    @operation("DELETE", MACHINE.template)
    def delete(self, call: Call) -> Answer:
        machine = self.arm.store.get(call.path)
        if machine is None:
            return Answer(204)
        return withdraw(self.arm, call, machine, seconds=30, remove=self.remove)

    @operation("POST", MACHINE.template + "/start")
    def start(self, call: Call) -> Answer:
        machine = self._need(call)
        if machine.hidden["power"] == "deallocated":  # it has given its cores up and needs them again
            self._check_cores(machine.location, size_named(machine.properties["hardwareProfile"]["vmSize"]).cores)
        return self._power(call, machine, "start", lambda: self.power.start(machine))

    @operation("POST", MACHINE.template + "/powerOff")
    def power_off(self, call: Call) -> Answer:
        machine = self._need(call)
        graceful = call.query.get("skipshutdown", "false").lower() != "true"
        return self._power(call, machine, "powerOff", lambda: self.power.stop(machine, graceful=graceful))

    @operation("POST", MACHINE.template + "/deallocate")
    def deallocate(self, call: Call) -> Answer:
        machine = self._need(call)
        return self._power(call, machine, "deallocate", lambda: self.power.stop(machine, graceful=True, deallocate=True))

    @operation("POST", MACHINE.template + "/restart")
    def restart(self, call: Call) -> Answer:
        machine = self._need(call)

        def again() -> None:
            self.power.stop(machine, graceful=True)
            self.power.start(machine)

        return self._power(call, machine, "restart", again)

    # used by Site Recovery -----------------------------------------------------------------------------------------------

    def assemble(
        self,
        path: str,
        head: Json,
        *,
        size: str,
        storage: Json,
        nics: list[Resource],
        availability_set_id: str = "",
        profile: Json | None = None,
    ) -> Resource:
        """Store a machine that is not running, with disks and interfaces attached. The lock is held.

        `storage` is a storage profile whose disks exist. Raises `Refusal` and then has changed nothing.
        """
        MACHINE.check_name(path.rsplit("/", 1)[1])
        kind = size_named(size)
        entries = [storage["osDisk"], *storage["dataDisks"]]
        _check_once(entries)
        self._check_capacity(head["location"], size, len(storage["dataDisks"]), len(nics))
        disks = [self._free_disk(path, entry["managedDisk"]["id"]) for entry in entries]
        for nic in nics:
            _check_free(nic, path)
        if availability_set_id:
            need_reference(self.arm, availability_set_id, AVAILABILITY_SET.type, path)
        machine = Resource(path, MACHINE.type, dict(head))
        machine.hidden.update(power="stopped", created=self.arm.clock.now())
        machine.body["properties"] = {
            "vmId": self.arm.clock.uuid(),
            "hardwareProfile": {"vmSize": kind.name},
            "storageProfile": storage,
            "networkProfile": {
                "networkInterfaces": [{"id": nic.id, "properties": {"primary": at == 0}} for at, nic in enumerate(nics)]
            },
            "timeCreated": iso(self.arm.clock.now()),
            "provisioningState": "Succeeded",
        }
        if availability_set_id:
            machine.properties["availabilitySet"] = {"id": availability_set_id}
        if profile is not None:
            machine.properties["osProfile"] = {name: value for name, value in profile.items() if name != "adminPassword"}
        for disk in disks:
            self.disks.attach(disk, machine.id)
        for nic in nics:
            nic.properties["virtualMachine"] = {"id": machine.id}
            touch(self.arm, nic)
        return self.arm.store.put(machine)

    def remove(self, machine: Resource) -> None:
        """Power a machine off (as at power loss), forget it, let its disks and interfaces go; from work on the clock."""
        with self.arm.lock:
            if self.arm.store.get(machine.id) is not machine:
                return
            record = self.power.record(machine)
        self.power.stop(machine, graceful=False)
        doomed: list[tuple[Any, Resource]] = []
        with self.arm.lock:
            profile = machine.properties["storageProfile"]
            for entry in [profile["osDisk"], *profile["dataDisks"]]:
                disk = self.arm.store.need(entry["managedDisk"]["id"])
                self.disks.detach(disk)
                if entry.get("deleteOption") == "Delete":
                    doomed.append((self.disks, disk))
            for entry in machine.properties["networkProfile"]["networkInterfaces"]:
                nic = self.arm.store.need(entry["id"])
                nic.properties.pop("virtualMachine", None)
                touch(self.arm, nic)
                if entry.get("properties", {}).get("deleteOption") == "Delete":
                    doomed.append((self.interfaces, nic))
            self.arm.store.remove(machine.id)
        for provider, resource in doomed:
            provider.remove(resource)
        self.guests.deleted(record)

    # checks --------------------------------------------------------------------------------------------------------------

    def used_cores(self, location: str, family: str = "") -> int:
        """vCPUs of the machines in a location (of a family of sizes); deallocated ones do not count."""
        sizes = [
            SIZES[one.properties["hardwareProfile"]["vmSize"].lower()]
            for one in self.arm.store.of_type(MACHINE.type)
            if one.location == location and one.hidden["power"] != "deallocated"
        ]
        return sum(size.cores for size in sizes if not family or size.family == family)

    def _check_capacity(self, location: str, size: str, data_disks: int, nics: int) -> None:
        kind = size_named(size)
        if nics == 0:
            raise Refusal(
                400, "InvalidParameter", "At least one network interface is required.", target="networkProfile.networkInterfaces"
            )
        if data_disks > kind.data_disks:
            raise Refusal(
                409,
                "OperationNotAllowed",
                f"The maximum number of data disks allowed to be attached to a VM of this size is {kind.data_disks}.",
                target="dataDisks",
            )
        if nics > kind.interfaces:
            raise Refusal(
                400,
                "NumberOfNetworkInterfacesExceedsLimit" if nics > 1 else "InvalidParameter",
                f"The number of network interfaces for VM size {kind.name} exceeds the maximum of {kind.interfaces}.",
                target="networkProfile.networkInterfaces",
            )
        self._check_cores(location, kind.cores)

    def _check_cores(self, location: str, more: int) -> None:
        used, limit = self.used_cores(location), self.cores.get(location, 0)
        if used + more > limit:
            raise Refusal(
                409,
                "OperationNotAllowed",
                "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Additional "
                f"details - Deployment Model: Resource Manager, Location: {location}, Current Limit: {limit}, Current Usage: "
                f"{used}, Additional Required: {more}, (Minimum) New Limit Required: {used + more}.",
            )

    def _free_disk(self, path: str, disk_id: str) -> Resource:
        disk = self.arm.store.need(disk_id)
        owner = disk.body.get("managedBy")
        if owner is not None and owner.lower() != path.lower():
            raise Refusal(
                409,
                "ConflictingUserInput",
                f"Disk '{disk.name}' cannot be attached as the disk is already owned by VM '{owner}'.",
            )
        return disk

    def _interfaces(self, path: str, location: str, entries: list[Any]) -> list[Resource]:
        found = []
        for entry in entries:
            nic = need_reference(self.arm, read(entry, "id", str, required=True), INTERFACE.type, path)
            if nic.location != location:
                raise Refusal(
                    400,
                    "InvalidResourceReference",
                    f"Network interface {nic.id} is in {nic.location}, the machine in {location}.",
                )
            found.append(nic)
        return found

    def _storage(self, path: str, head: Json, profile: Json, made: list[Resource]) -> Json:
        """The storage profile as it is kept. Disks that are to be made (Empty, FromImage) are added to `made`."""
        os_disk = read(profile, "osDisk", dict, required=True)
        entries = read(profile, "dataDisks", list, [])
        luns = [read(entry, "lun", int, required=True) for entry in entries]
        _check_luns(luns)
        wanted = [(path.rsplit("/", 1)[1] + "_OsDisk_1", os_disk, None)]
        wanted += [(f"{path.rsplit('/', 1)[1]}_disk{at + 2}", entry, luns[at]) for at, entry in enumerate(entries)]
        for _, entry, _ in wanted:
            if read_choice(entry, "createOption", _OPTIONS, "Attach") == "Attach":
                self._free_disk(path, read(entry, "managedDisk.id", str, required=True))
        shown = [self._disk_entry(path, head, default, entry, lun, made) for default, entry, lun in wanted]
        kept: Json = {"osDisk": shown[0], "dataDisks": shown[1:]}
        if "imageReference" in profile:
            kept["imageReference"] = profile["imageReference"]
        return kept

    def _disk_entry(self, path: str, head: Json, default: str, entry: Json, lun: int | None, made: list[Resource]) -> Json:
        option = read_choice(entry, "createOption", _OPTIONS, "Attach")
        if option == "Attach":
            disk = self.arm.store.need(entry["managedDisk"]["id"])
        else:
            size = read(entry, "diskSizeGB", int, 30) * GIB
            name = read(entry, "name", str, default)
            parent = path.rsplit("/providers/", 1)[0]
            sku = read(entry, "managedDisk.storageAccountType", str, "Standard_LRS")
            disk = self.disks.make(
                f"{parent}/providers/{DISK.type}/{name}", {"location": head["location"]}, place=None, size_bytes=size, sku=sku
            )
            made.append(disk)
        os_type = read(entry, "osType", str, disk.properties.get("osType", "Linux"))
        return disk_entry(disk, lun=lun, os_type=os_type, option=option, delete=read(entry, "deleteOption", str, "Detach"))

    # work ----------------------------------------------------------------------------------------------------------------

    def _power(self, call: Call, machine: Resource, name: str, act: Any) -> Answer:
        if machine.properties.get("provisioningState") == "Deleting":
            raise Refusal(409, "OperationNotAllowed", f"VM '{machine.name}' is being deleted.")

        def work() -> Process:
            yield self.arm.operations.rest(_POWER_SECONDS[name])
            act()

        running = self.arm.operations.begin(call, work(), result=lambda: Answer(200), location=machine.location)
        return self.arm.operations.answer(call, running)

    def _change(self, call: Call, machine: Resource, head: Json) -> Answer:
        """Tags, size and data disks of a machine that exists; a guest that runs sees other disks when it starts again."""
        asked = read(call.content(), "properties", dict, {})
        kept = machine.properties
        size = size_named(read(asked, "hardwareProfile.vmSize", str, kept["hardwareProfile"]["vmSize"]))
        _check_fixed(machine, asked)
        known = kept["storageProfile"]["dataDisks"]
        wanted = read(asked, "storageProfile.dataDisks", list)
        many = len(known if wanted is None else wanted)
        if many > size.data_disks or len(kept["networkProfile"]["networkInterfaces"]) > size.interfaces:
            raise Refusal(
                409,
                "OperationNotAllowed",
                f"The maximum number of data disks allowed to be attached to a VM of this size is {size.data_disks}.",
                target="dataDisks",
            )
        more = size.cores - size_named(kept["hardwareProfile"]["vmSize"]).cores
        if more > 0 and machine.hidden["power"] != "deallocated":
            self._check_cores(machine.location, more)
        if wanted is not None:
            kept["storageProfile"] = {**kept["storageProfile"], "dataDisks": self._attached(machine, wanted, known)}
        machine.body.update(head)
        kept["hardwareProfile"] = {"vmSize": size.name}
        return Answer(200, machine.json())

    def _attached(self, machine: Resource, wanted: list[Any], known: list[Json]) -> list[Json]:
        """The data disks as asked for: new ones are attached, those that are not named go free. Raises `Refusal`."""
        luns = [read(entry, "lun", int, required=True) for entry in wanted]
        _check_luns(luns)
        by_lun = {entry["lun"]: entry for entry in known}
        made: list[Resource] = []
        head = {"location": machine.location}
        shown = []
        try:
            for entry, lun in zip(wanted, luns, strict=True):
                old = by_lun.get(lun)
                if old is not None and _same_disk(old, entry):
                    shown.append(old)
                    continue
                if read_choice(entry, "createOption", _OPTIONS, "Attach") == "Attach":
                    self._free_disk(machine.id, read(entry, "managedDisk.id", str, required=True))
                shown.append(self._disk_entry(machine.id, head, f"{machine.name}_disk{lun + 2}", entry, lun, made))
            _check_once([machine.properties["storageProfile"]["osDisk"], *shown])
        except Refusal:
            for disk in made:
                self.arm.store.remove(disk.id)
            raise
        ids = {entry["managedDisk"]["id"].lower() for entry in shown}
        for entry in known:
            if entry["managedDisk"]["id"].lower() not in ids:
                self.disks.detach(self.arm.store.need(entry["managedDisk"]["id"]))
        for entry in shown:
            self.disks.attach(self.arm.store.need(entry["managedDisk"]["id"]), machine.id)
        return shown

    def _need(self, call: Call) -> Resource:
        return self.arm.store.need(call.path.rsplit("/", 1)[0])


def disk_entry(
    disk: Resource, *, lun: int | None, os_type: str = "Linux", option: str = "Attach", delete: str = "Detach"
) -> Json:
    """A disk in a storage profile: the OS disk when `lun` is None."""
    entry: Json = {
        "name": disk.name,
        "createOption": option,
        "caching": "ReadWrite" if lun is None else "None",
        "managedDisk": {"id": disk.id, "storageAccountType": disk.body["sku"]["name"]},
        "deleteOption": delete,
        "diskSizeGB": disk.properties["diskSizeGB"],
    }
    return {"osType": os_type.capitalize(), **entry} if lun is None else {"lun": lun, **entry, "toBeDetached": False}


def _check_free(nic: Resource, path: str) -> None:
    owner = nic.properties.get("virtualMachine", {}).get("id", path)
    if owner.lower() != path.lower():
        raise Refusal(400, "NicInUse", f"Network Interface {nic.id} is used by existing resource {owner}.", details=[])


def _check_luns(luns: list[int]) -> None:
    if len(set(luns)) != len(luns) or any(not 0 <= lun <= 63 for lun in luns):
        raise Refusal(
            400, "InvalidParameter", "The LUNs of the data disks must be different and from 0 to 63.", target="dataDisks"
        )


def _check_once(entries: list[Json]) -> None:
    """A disk is in a machine once. Raises `Refusal` 409."""
    ids = [entry["managedDisk"]["id"].lower() for entry in entries]
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice is not None:
        raise Refusal(409, "ConflictingUserInput", f"Disk '{twice}' cannot be attached twice to one VM.", target="dataDisks")


def _same_disk(old: Json, entry: Json) -> bool:
    """Whether an entry means the disk that has its LUN: by id, by name, or by saying neither."""
    wanted, name = read(entry, "managedDisk.id", str, ""), read(entry, "name", str, "")
    if wanted:
        return bool(wanted.lower() == old["managedDisk"]["id"].lower())
    return not name or bool(name.lower() == old["name"].lower())


def _check_fixed(machine: Resource, asked: Json) -> None:
    """System disk and interfaces of a machine that exists do not change. Raises `Refusal` 409 `PropertyChangeNotAllowed`."""
    disk = machine.properties["storageProfile"]["osDisk"]["managedDisk"]["id"]
    if read(asked, "storageProfile.osDisk.managedDisk.id", str, disk).lower() != disk.lower():
        path = "osDisk.managedDisk.id"
        raise Refusal(409, "PropertyChangeNotAllowed", f"Changing property '{path}' is not allowed.", target=path)
    wanted = read(asked, "networkProfile.networkInterfaces", list)
    if wanted is None:
        return
    known = machine.properties["networkProfile"]["networkInterfaces"]
    ids = [[str(read(entry, "id", str, "")).lower() for entry in entries] for entries in (wanted, known)]
    if sorted(ids[0]) != sorted(ids[1]):
        path = "networkProfile.networkInterfaces"
        raise Refusal(409, "PropertyChangeNotAllowed", f"Changing property '{path}' is not allowed.", target=path)
