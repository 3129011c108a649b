"""What a host can be in: connected or not, maintenance, standby, rebooting, lockdown; and what it is asked about."""

from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.objects import vm_power, vm_relocate
from emulators.vcenter.objects.cluster import ClusterComputeResource
from emulators.vcenter.objects.host_system import HOST_PROPERTIES, HostSystem, machines_on
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.objects.vm_console import overhead
from emulators.vcenter.objects.vm_places import usable
from emulators.vcenter.records import Record
from emulators.vcenter.tasks import Work

CONNECT_SECONDS, MAINTENANCE_SECONDS, BOOT_SECONDS, STANDBY_SECONDS = 3.0, 2.0, 120.0, 30.0
_LOOK = 5.0


def shown(inventory: Inventory, host: HostSystem) -> None:
    """Log that the state of a host changed, and with it that of its machines."""
    runtime = (
        "runtime.connectionState",
        "runtime.powerState",
        "runtime.inMaintenanceMode",
        "runtime.bootTime",
        "runtime.standbyMode",
    )
    inventory.change(host, *runtime, *(f"summary.{path}" for path in runtime))
    for vm in machines_on(inventory, host):
        inventory.change(vm, "runtime.connectionState", "summary.runtime.connectionState")
    inventory.change(inventory.find(host.parent.moid), "summary")


def _tell(call: Call, kind: str, text: str, host: HostSystem, **more: Any) -> None:
    chain = call.task.chain if call.task else 0
    call.inventory.events.about_host(kind, text, host, user=call.user, chain=chain, **more)


# connection ----------------------------------------------------------------------------------------------------------


def disconnect(call: Call, host: HostSystem, _args: Any) -> Work:
    """DisconnectHost_Task: its machines run on, and cannot be worked with."""
    _must_be_connected(host)
    yield CONNECT_SECONDS
    host.connection = "disconnected"
    shown(call.inventory, host)
    _tell(call, "HostDisconnectedEvent", "Disconnected from {host} in {datacenter}. Reason: user requested", host)


def reconnect(call: Call, host: HostSystem, _args: Any) -> Work:
    """ReconnectHost_Task."""
    if host.connection == "connected":
        raise Fault("InvalidState", f"The host {host.name} is connected.")
    yield CONNECT_SECONDS
    if host.power != "poweredOn":
        raise Fault("NoHost", f"The host {host.name} does not answer.", name=host.name)
    host.connection = "connected"
    shown(call.inventory, host)
    _tell(call, "HostConnectedEvent", "Connected to {host} in {datacenter}", host)


def _must_be_connected(host: HostSystem) -> None:
    if host.connection != "connected":
        raise Fault("InvalidState", f"The host {host.name} is not connected.")


# maintenance ---------------------------------------------------------------------------------------------------------


def enter_maintenance(call: Call, host: HostSystem, args: Any) -> Work:
    """EnterMaintenanceMode_Task: ends when nothing runs there. A fully automated cluster moves the machines away."""
    inventory = call.inventory
    _must_be_connected(host)
    if host.maintenance:
        raise Fault("InvalidState", f"The host {host.name} is in maintenance mode already.")
    _tell(call, "EnteringMaintenanceModeEvent", "Host {host} in {datacenter} has started to enter maintenance mode", host)
    yield MAINTENANCE_SECONDS
    until = inventory.clock.now() + args["timeout"] if args["timeout"] > 0 else float("inf")
    yield from _empty(call, host, until, everything=bool(args.get("evacuatePoweredOffVms")))
    host.maintenance = True
    shown(inventory, host)
    _tell(call, "EnteredMaintenanceModeEvent", "Host {host} in {datacenter} has entered maintenance mode", host)


def _empty(call: Call, host: HostSystem, until: float, *, everything: bool) -> Work:
    """Wait until no machine runs on a host. Raises `Fault("Timedout")`."""
    inventory = call.inventory
    while True:
        left = [
            vm for vm in machines_on(inventory, host) if vm.power == "poweredOn" or (everything and _automated(inventory, host))
        ]
        if not left:
            return
        if inventory.clock.now() >= until:
            raise Fault("Timedout", f"Machines still run on {host.name}: {', '.join(vm.name for vm in left)}.")
        if _automated(inventory, host):
            for vm in left:
                yield from _move_away(call, vm, host)
        yield _LOOK


def _automated(inventory: Inventory, host: HostSystem) -> bool:
    compute = inventory.find(host.parent.moid)
    return bool(compute.drs["enabled"]) and compute.drs["defaultVmBehavior"] == "fullyAutomated" and len(compute.hosts) > 1


def _move_away(call: Call, vm: VirtualMachine, host: HostSystem) -> Work:
    inventory = call.inventory
    compute = inventory.find(host.parent.moid)
    for one in compute.hosts:
        other = inventory.find(one.moid)
        if other is not host and usable(other) and vm.datastore in other.datastores:
            yield from vm_relocate.migrate(call, vm, {"host": one})
            return


def exit_maintenance(call: Call, host: HostSystem, _args: Any) -> Work:
    """ExitMaintenanceMode_Task."""
    _must_be_connected(host)
    if not host.maintenance:
        raise Fault("InvalidState", f"The host {host.name} is not in maintenance mode.")
    yield MAINTENANCE_SECONDS
    host.maintenance = False
    shown(call.inventory, host)
    _tell(call, "ExitMaintenanceModeEvent", "Host {host} in {datacenter} has exited maintenance mode", host)


# power ---------------------------------------------------------------------------------------------------------------


def reboot(call: Call, host: HostSystem, args: Any) -> Work:
    """RebootHost_Task: what runs there loses its power."""
    _may_stop(call.inventory, host, bool(args["force"]))
    yield CONNECT_SECONDS
    _tell(call, "HostShutdownEvent", "Shut down of {host} in {datacenter}: reboot", host, reason="reboot")
    yield from _stop(call, host)
    host.connection = "notResponding"
    shown(call.inventory, host)
    yield BOOT_SECONDS
    host.connection, host.booted = "connected", call.inventory.clock.now()
    shown(call.inventory, host)
    _tell(call, "HostConnectedEvent", "Connected to {host} in {datacenter}", host)


def shut_down(call: Call, host: HostSystem, args: Any) -> Work:
    """ShutdownHost_Task: it does not answer from then on."""
    _may_stop(call.inventory, host, bool(args["force"]))
    yield CONNECT_SECONDS
    _tell(call, "HostShutdownEvent", "Shut down of {host} in {datacenter}: shutdown", host, reason="shutdown")
    yield from _stop(call, host)
    host.connection, host.power = "notResponding", "poweredOff"
    shown(call.inventory, host)


def _may_stop(inventory: Inventory, host: HostSystem, force: bool) -> None:
    _must_be_connected(host)
    if not force and not host.maintenance:
        raise Fault("InvalidState", f"The host {host.name} is not in maintenance mode.")


def _stop(call: Call, host: HostSystem) -> Work:
    for vm in machines_on(call.inventory, host):
        if vm.power == "poweredOn":
            yield from vm_power.power_off(call, vm, {})


def power_down(call: Call, host: HostSystem, args: Any) -> Work:
    """PowerDownHostToStandBy_Task: once nothing runs there."""
    inventory = call.inventory
    _must_be_connected(host)
    _tell(call, "EnteringStandbyModeEvent", "The host {host} is entering standby mode", host)
    until = inventory.clock.now() + args["timeoutSec"] if args["timeoutSec"] > 0 else float("inf")
    yield from _empty(call, host, until, everything=bool(args.get("evacuatePoweredOffVms")))
    yield STANDBY_SECONDS
    host.power, host.connection = "standBy", "notResponding"
    shown(inventory, host)
    _tell(call, "EnteredStandbyModeEvent", "The host {host} is in standby mode", host)


def power_up(call: Call, host: HostSystem, _args: Any) -> Work:
    """PowerUpHostFromStandBy_Task."""
    if host.power != "standBy":
        raise Fault("InvalidState", f"The host {host.name} is not in standby mode.")
    yield BOOT_SECONDS
    host.power, host.connection, host.booted = "poweredOn", "connected", call.inventory.clock.now()
    shown(call.inventory, host)
    _tell(call, "ExitedStandbyModeEvent", "The host {host} is no longer in standby mode", host)


# settings and questions ----------------------------------------------------------------------------------------------


def set_lockdown(call: Call, host: HostSystem, mode: str) -> None:
    """Put a host into a lockdown mode. Raises `Fault("InvalidState")` when it is in it."""
    if host.config.get("lockdownMode", "lockdownDisabled") == mode:
        raise Fault("InvalidState", f"The host {host.name} is in that mode already.")
    host.config["lockdownMode"] = mode
    call.inventory.change(host, "config.lockdownMode", "config.adminDisabled")


def _keep(name: str, argument: str) -> Any:
    def update(call: Call, host: HostSystem, args: Any) -> None:
        """UpdateFlags, UpdateIpmi, UpdateSystemSwapConfiguration: what `config` shows from then on."""
        told = args[argument].copy()
        told.fields.pop("password", None)  # nobody reads it again
        host.config[name] = told
        call.inventory.change(host, f"config.{name}")

    return update


def update_resources(call: Call, host: HostSystem, args: Any) -> None:
    """UpdateSystemResources: what the host's own software may take."""
    if args["resourceInfo"]["key"] not in ("host/system", "host/vim", "host/user", "host"):
        raise invalid_argument("resourceInfo.key", "It is no resource group of the host.")
    host.resources[args["resourceInfo"]["key"]] = args["resourceInfo"].copy()
    call.inventory.change(host, "systemResources")


def connection_info(call: Call, host: HostSystem, _args: Any) -> Record:
    """QueryHostConnectionInfo: what vCenter learns of a host when it connects."""
    inventory = call.inventory
    summaries = [inventory.kinds["VirtualMachine"].properties["summary"](inventory, vm) for vm in machines_on(inventory, host)]
    compute = inventory.get(host.parent, ClusterComputeResource)
    return Record(
        "HostConnectInfo",
        serverIp=inventory.name,
        inDasCluster=bool(compute.das["enabled"]),
        host=HOST_PROPERTIES["summary"](inventory, host),
        vm=summaries,
        vimAccountNameRequired=False,
        clusterSupported=True,
    )


def memory_overhead(_call: Call, _host: HostSystem, args: Any) -> int:
    """QueryMemoryOverhead: bytes beside the memory of a machine of that size."""
    return overhead(args["memorySize"] // (1024 * 1024), args["numVcpus"], (args.get("videoRamSize") or 4 * 1024 * 1024) // 1024)


def memory_overhead_of(_call: Call, _host: HostSystem, args: Any) -> int:
    """QueryMemoryOverheadEx."""
    hardware = args["vmConfigInfo"]["hardware"]
    return overhead(hardware["memoryMB"], hardware["numCPU"])


def uptime(call: Call, host: HostSystem, _args: Any) -> int:
    """RetrieveHardwareUptime, seconds."""
    _must_be_connected(host)
    return int(call.inventory.clock.now() - host.booted)


def for_das(call: Call, host: HostSystem, _args: Any) -> Work:
    """ReconfigureHostForDAS_Task."""
    compute = call.inventory.get(host.parent, ClusterComputeResource)
    if not compute.das["enabled"]:
        raise Fault("DasConfigFault", "vSphere HA is not enabled in the cluster.")
    yield 5.0
    _tell(call, "HostDasEnabledEvent", "vSphere HA agent is enabled on {host} in {datacenter}", host)
    call.inventory.change(host, "runtime.dasHostState")


STATE_OPERATIONS = {
    "DisconnectHost_Task": disconnect,
    "ReconnectHost_Task": reconnect,
    "EnterMaintenanceMode_Task": enter_maintenance,
    "ExitMaintenanceMode_Task": exit_maintenance,
    "RebootHost_Task": reboot,
    "ShutdownHost_Task": shut_down,
    "PowerDownHostToStandBy_Task": power_down,
    "PowerUpHostFromStandBy_Task": power_up,
    "EnterLockdownMode": lambda call, host, _args: set_lockdown(call, host, "lockdownNormal"),
    "ExitLockdownMode": lambda call, host, _args: set_lockdown(call, host, "lockdownDisabled"),
    "UpdateFlags": _keep("flags", "flagInfo"),
    "UpdateIpmi": _keep("ipmi", "ipmiInfo"),
    "UpdateSystemSwapConfiguration": _keep("systemSwapConfiguration", "sysSwapConfig"),
    "UpdateSystemResources": update_resources,
    "QueryHostConnectionInfo": connection_info,
    "QueryMemoryOverhead": memory_overhead,
    "QueryMemoryOverheadEx": memory_overhead_of,
    "RetrieveHardwareUptime": uptime,
    "ReconfigureHostForDAS_Task": for_das,
}
