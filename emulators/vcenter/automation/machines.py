"""Virtual machines: list, read, create, clone, delete, power, and what their guests tell."""

from functools import cache
from typing import Any

from pyVmomi import vim

from emulators.vcenter.automation import hardware, registry
from emulators.vcenter.automation.act import Act, Acting, Operation, visible
from emulators.vcenter.automation.errors import Refusal
from emulators.vcenter.automation.hardware import machine
from emulators.vcenter.automation.places import Listing, below, in_folders, listed
from emulators.vcenter.entity import escaped
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine, guest_family, guest_name
from emulators.vcenter.paths import datastore_path
from emulators.vcenter.records import Record, Ref

_POWER = {"poweredOn": "POWERED_ON", "poweredOff": "POWERED_OFF", "suspended": "SUSPENDED"}
_MOST = 4000

# guests' operating systems -------------------------------------------------------------------------------------------


def _plain(name: str) -> str:
    return name.lower().replace("guest", "").replace("_", "")


@cache
def _guest_ids() -> dict[str, str]:
    return {_plain(name): name for name in vim.vm.GuestOsDescriptor.GuestOsIdentifier.values}


def guest_id(name: str) -> str:
    """The vim25 id of a guest (`OTHER_64` -> `otherGuest64`). Raises `Refusal`."""
    found = _guest_ids().get(_plain(name))
    if found is None:
        raise Refusal("invalid_argument", f"The guest operating system {name} is not known here.")
    return found


def guest_os(identifier: str) -> str:
    """The other way; what has no name of its own is `OTHER`."""
    return _names().get(_plain(identifier), "OTHER")


@cache
def _names() -> dict[str, str]:
    return {_plain(name): name for name in registry.guest_names()}


# lists and reading ---------------------------------------------------------------------------------------------------


def _summary(_inventory: Inventory, vm: VirtualMachine) -> dict[str, Any]:
    settings = vm.settings
    sizes = {"cpu_count": settings.cpus, "memory_size_MiB": settings.memory_mb}
    return {"vm": vm.moid, "name": escaped(vm.name), "power_state": _POWER[vm.power], **sizes}


_MACHINES = Listing(
    ("VirtualMachine",),
    "vms",
    _summary,
    {
        "folders": in_folders,
        "datacenters": below,
        "hosts": lambda _inventory, vm, wanted: vm.host.moid in wanted,
        "clusters": lambda inventory, vm, wanted: inventory.find(vm.host.moid).parent.moid in wanted,
        "resource_pools": lambda _inventory, vm, wanted: vm.pool.moid in wanted,
        "power_states": lambda _inventory, vm, wanted: _POWER[vm.power] in wanted,
    },
    _MOST,
)


def get(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Everything about a machine."""
    vm = machine(call, given)
    identity = {"name": escaped(vm.name), "bios_uuid": vm.uuid, "instance_uuid": vm.instance_uuid}
    return {
        "guest_OS": guest_os(vm.settings.guest_id),
        "name": escaped(vm.name),
        "identity": identity,
        "power_state": _POWER[vm.power],
        "instant_clone_frozen": False,
        **hardware.parts(call.inventory, vm),
    }


# making and removing -------------------------------------------------------------------------------------------------


def _home(call: Call, placement: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Folder, pool and host of a placement. Raises `Refusal`."""
    if "folder" not in placement:
        raise Refusal("invalid_argument", "placement.folder is required.")
    folder = visible(call, ("Folder",), placement["folder"])
    host = visible(call, ("HostSystem",), placement["host"]) if "host" in placement else None
    if "resource_pool" in placement:
        pool = visible(call, ("ResourcePool", "VirtualApp"), placement["resource_pool"])
    elif "cluster" in placement:
        cluster = visible(call, ("ClusterComputeResource",), placement["cluster"])
        pool = call.inventory.find(cluster.pool.moid)
    elif host is not None:
        pool = call.inventory.find(call.inventory.find(host.parent.moid).pool.moid)
    else:
        raise Refusal("invalid_argument", "placement names neither host, cluster nor resource pool.")
    return folder, pool, host


def create(call: Call, given: dict[str, Any]) -> Acting:
    """A new machine; a disk of 16 GiB and a card unless the specification lists some."""
    spec = given["spec"]
    placement = spec.get("placement") or {}
    folder, pool, host = _home(call, placement)
    if "datastore" not in placement:
        raise Refusal("invalid_argument", "placement.datastore is required.")
    datastore = visible(call, ("Datastore",), placement["datastore"])
    config = Record(
        "VirtualMachineConfigSpec",
        name=spec.get("name") or f"vm-{call.inventory.clock.uuid()[:8]}",
        guestId=guest_id(spec["guest_OS"]),
        files=Record("VirtualMachineFileInfo", vmPathName=f"[{datastore.name}]"),
    )
    hardware.into_config(call, config, spec, folder)
    args = {"config": config, "pool": ref(pool)} | ({"host": ref(host)} if host is not None else {})
    made = yield Act(folder, "CreateVM_Task", args)
    return made.moid


def delete(call: Call, given: dict[str, Any]) -> Acting:
    """Delete a machine with its files."""
    yield Act(machine(call, given), "Destroy_Task", {})


def unregister(call: Call, given: dict[str, Any]) -> Acting:
    """Take a machine out of the inventory; its files stay."""
    yield Act(machine(call, given), "UnregisterVM", {})


def register(call: Call, given: dict[str, Any]) -> Acting:
    """Put a machine into the inventory from its file on a datastore."""
    spec = given["spec"]
    folder, pool, host = _home(call, spec.get("placement") or {})
    path = spec.get("datastore_path")
    if path is None and {"datastore", "path"} <= set(spec):
        path = datastore_path(visible(call, ("Datastore",), spec["datastore"]).name, spec["path"])
    if path is None:
        raise Refusal("invalid_argument", "spec names no file: give datastore_path, or datastore and path.")
    args: dict[str, Any] = {"path": path, "name": spec.get("name"), "asTemplate": False, "pool": ref(pool)}
    made = yield Act(folder, "RegisterVM_Task", args | ({"host": ref(host)} if host is not None else {}))
    return made.moid


def _location(call: Call, placement: dict[str, Any]) -> Record:
    kinds = {"resource_pool": ("ResourcePool", "VirtualApp"), "host": ("HostSystem",), "datastore": ("Datastore",)}
    names = {"resource_pool": "pool", "host": "host", "datastore": "datastore"}
    found = {names[name]: ref(visible(call, kinds[name], placement[name])) for name in kinds if name in placement}
    if "cluster" in placement and "pool" not in found:
        found["pool"] = visible(call, ("ClusterComputeResource",), placement["cluster"]).pool
    return Record("VirtualMachineRelocateSpec", **found)


def clone(call: Call, given: dict[str, Any]) -> Acting:
    """A copy of a machine, beside it unless told."""
    spec = given["spec"]
    source = visible(call, ("VirtualMachine",), spec["source"])
    placement = spec.get("placement") or {}
    folder = visible(call, ("Folder",), placement.get("folder") or source.parent.moid)
    wanted = Record(
        "VirtualMachineCloneSpec",
        location=_location(call, placement),
        template=False,
        powerOn=bool(spec.get("power_on")),
    )
    made = yield Act(source, "CloneVM_Task", {"folder": ref(folder), "name": spec["name"], "spec": wanted})
    return made.moid


def relocate(call: Call, given: dict[str, Any]) -> Acting:
    """Move a machine to another host, pool or datastore."""
    vm = machine(call, given)
    placement = (given["spec"]).get("placement") or {}
    location = _location(call, placement)
    if "folder" in placement:
        location["folder"] = Ref("Folder", visible(call, ("Folder",), placement["folder"]).moid)
    yield Act(vm, "RelocateVM_Task", {"spec": location})


# power and guests ----------------------------------------------------------------------------------------------------


def get_power(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """The power state."""
    vm = machine(call, given)
    return {"state": _POWER[vm.power]} | ({"clean_power_off": True} if vm.power == "poweredOff" else {})


def _power(method: str, already: str) -> Operation:
    def change(call: Call, given: dict[str, Any]) -> Acting:
        vm = machine(call, given)
        if vm.power == already:
            raise Refusal("already_in_desired_state", f"The virtual machine is {_POWER[already].lower().replace('_', ' ')}.")
        yield Act(vm, method, {})

    return change


def get_guest_power(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Whether the guest runs."""
    running = machine(call, given).guest.running
    return {"state": "RUNNING" if running else "NOT_RUNNING", "operations_ready": running}


def _guest(method: str) -> Operation:
    def change(call: Call, given: dict[str, Any]) -> Acting:
        yield Act(machine(call, given), method, {})

    return change


def _running(call: Call, given: dict[str, Any]) -> VirtualMachine:
    vm = machine(call, given)
    if not vm.guest.running:
        raise Refusal("service_unavailable", "VMware Tools is not running.")
    return vm


_FAMILIES = {"windowsGuest": "WINDOWS", "linuxGuest": "LINUX"}


def get_identity(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """What the tools tell of the guest."""
    vm = _running(call, given)
    full = guest_name(vm.settings.guest_id)
    found = {
        "name": guest_os(vm.settings.guest_id),
        "family": _FAMILIES.get(guest_family(vm.settings.guest_id), "OTHER"),
        "full_name": {"id": "vmsg.guestos", "default_message": full, "args": []},
        "host_name": vm.guest.hostname,
    }
    return found | ({"ip_address": vm.guest.addresses[0]} if vm.guest.addresses else {})


def get_networking(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """The guest's names on the network."""
    name, _, domain = _running(call, given).guest.hostname.partition(".")
    return {"dns_values": {"host_name": name, "domain_name": domain}, "dns": {"ip_addresses": [], "search_domains": []}}


def get_tools(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """The state of VMware Tools."""
    vm = machine(call, given)
    return {
        "auto_update_supported": False,
        "version_number": int(vm.guest.tools_version),
        "version": vm.guest.tools_version,
        "upgrade_policy": "MANUAL",
        "version_status": "CURRENT",
        "run_state": "RUNNING" if vm.guest.running else "NOT_RUNNING",
    }


OPERATIONS: dict[str, Operation] = {
    "vcenter.VM.clone": clone,
    "vcenter.VM.create": create,
    "vcenter.VM.delete": delete,
    "vcenter.VM.get": get,
    "vcenter.VM.list": lambda call, given: listed(call, _MACHINES, given),
    "vcenter.VM.register": register,
    "vcenter.VM.relocate": relocate,
    "vcenter.VM.unregister": unregister,
    "vcenter.vm.guest.identity.get": get_identity,
    "vcenter.vm.guest.networking.get": get_networking,
    "vcenter.vm.guest.power.get": get_guest_power,
    "vcenter.vm.guest.power.reboot": _guest("RebootGuest"),
    "vcenter.vm.guest.power.shutdown": _guest("ShutdownGuest"),
    "vcenter.vm.guest.power.standby": _guest("StandbyGuest"),
    "vcenter.vm.power.get": get_power,
    "vcenter.vm.power.reset": _power("ResetVM_Task", ""),
    "vcenter.vm.power.start": _power("PowerOnVM_Task", "poweredOn"),
    "vcenter.vm.power.stop": _power("PowerOffVM_Task", "poweredOff"),
    "vcenter.vm.power.suspend": _power("SuspendVM_Task", "suspended"),
    "vcenter.vm.tools.get": get_tools,
}
