"""CreateVM_Task, and the making of machines that the estate's composer and the API share."""

from typing import Any

from emulators.vcenter.entity import must_be_free, plain
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects import vm_reconfigure
from emulators.vcenter.objects.virtual_machine import Settings, VirtualMachine
from emulators.vcenter.objects.vm_devices import standard_devices
from emulators.vcenter.objects.vm_files import free_directory
from emulators.vcenter.objects.vm_places import Place, host_in, pool_of
from emulators.vcenter.paths import split_path
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

SECONDS = 3.0


def new_machine(
    inventory: Inventory, name: str, *, folder: Any, pool: Any, host: Any, datastore: Any, settings: Settings, uuid: str = ""
) -> VirtualMachine:
    """A machine without disks and cards, not yet in the inventory."""
    directory = free_directory(inventory.stores[datastore.moid], name)
    now = inventory.clock.now()
    for device in standard_devices():
        settings.devices[device["key"]] = device
    return VirtualMachine(
        moid=inventory.new_moid("vm-"),
        name=name,
        parent=ref(folder),
        pool=ref(pool),
        host=ref(host),
        datastore=ref(datastore),
        datastore_name=datastore.name,
        directory=directory,
        vmx=f"{directory}.vmx",
        uuid=uuid or f"42{inventory.clock.uuid()[2:]}",
        instance_uuid=f"50{inventory.clock.uuid()[2:]}",
        created=now,
        modified=now,
        settings=settings,
        environment_browser=Ref("EnvironmentBrowser", "envbrowser-" + pool.cluster.moid),
    )


def settle(inventory: Inventory, vm: VirtualMachine, folder: Any) -> None:
    """Put a made machine into the inventory and tell everything that shows it."""
    inventory.add(vm)
    folder.children.append(ref(vm))
    inventory.change(folder, "childEntity")
    for place in (vm.pool, vm.host, vm.datastore):
        inventory.change(inventory.find(place.moid), "vm")
    networks = inventory.find(vm.host.moid).networks
    for network in [inventory.find(one.moid) for one in networks]:
        if vm.is_on(network):
            inventory.change(network, "vm")


def create(call: Call, folder: Any, args: Any) -> Work:
    """CreateVM_Task."""
    inventory, spec = call.inventory, args["config"]
    name = plain(spec["name"] or "")
    pool = pool_of(inventory, args["pool"])
    host = host_in(inventory, pool, args.get("host"))
    datastore = datastore_of(inventory, spec, host)
    must_be_free(inventory, folder, name)
    yield SECONDS
    return ref(made(call, spec, Place(folder, pool, host, datastore)))


def made(call: Call, spec: Record, place: Place) -> VirtualMachine:
    """A machine as a ConfigSpec says, in the inventory. Raises the faults of vim25, and then there is nothing."""
    inventory, folder = call.inventory, place.folder
    name = plain(spec["name"] or "")
    must_be_free(inventory, folder, name)
    settings = Settings(guest_id=spec["guestId"] or "otherGuest", cpus=1, cores=1, memory_mb=256)
    vm = new_machine(
        inventory,
        name,
        folder=folder,
        pool=place.pool,
        host=place.host,
        datastore=place.datastore,
        settings=settings,
        uuid=(spec["uuid"] or "").lower(),
    )
    if spec["instanceUuid"]:
        vm.instance_uuid = spec["instanceUuid"].lower()
    vm.version = spec["version"] or vm.version
    vm_reconfigure.commit(vm_reconfigure.draft(inventory, vm, spec))
    settle(inventory, vm, folder)
    text = "Created virtual machine {vm} on {host} in {datacenter}"
    inventory.events.about("VmCreatedEvent", text, vm, user=call.user, chain=call.task.chain if call.task else 0, template=False)
    return vm


def datastore_of(inventory: Inventory, spec: Record, host: Any) -> Any:
    """The datastore that a ConfigSpec names, on a host. Raises `InvalidArgument`, `InvalidDatastore`."""
    files = spec["files"]
    if files is None or not files["vmPathName"]:
        raise invalid_argument("config.files.vmPathName", "It names the datastore and is required.")
    name, _ = split_path(files["vmPathName"])
    for one in host.datastores:
        datastore = inventory.find(one.moid)
        if datastore.name == name and host.moid not in datastore.unmounted:
            return datastore
    raise Fault("InvalidDatastore", f"There is no datastore '{name}' on the host.", name=name)
