"""Ports of distributed switches, network resource pools, and what the service object knows of switches."""

from typing import Any

from emulators.vcenter.authorization import may_read
from emulators.vcenter.entity import descendants
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.environment import portgroup_info
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.objects.network import Network
from emulators.vcenter.objects.switch import (
    SECONDS,
    DistributedVirtualSwitch,
    add_portgroup,
    must_be_unused,
    ports,
    remove_network,
    set_member,
)
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

#: Versions of switches, oldest first.
VERSIONS = ("6.0.0", "6.5.0", "6.6.0", "7.0.0", "7.0.2", "7.0.3", "8.0.0")


# ports ---------------------------------------------------------------------------------------------------------------


def reconfigure_ports(call: Call, switch: DistributedVirtualSwitch, args: Any) -> Work:
    """ReconfigureDVPort_Task: names and descriptions of ports; all or none."""
    yield SECONDS
    known = {port["key"] for port in ports(call.inventory, switch)}
    for spec in args["port"]:
        if spec["key"] not in known:
            raise Fault("NotFound", f"There is no port {spec['key']}.")
        if spec["operation"] != "edit":
            raise Fault("NotSupported", "Ports come and go with their port group.")
    for spec in args["port"]:
        told = {name: spec[name] for name in ("name", "description") if spec[name] is not None}
        switch.port_names[spec["key"]] = {**switch.port_names.get(spec["key"], {}), **told}
    switch.version += 1
    call.inventory.change(switch, "config")


def refresh_ports(call: Call, switch: DistributedVirtualSwitch, args: Any) -> None:
    """RefreshDVPortState: it is computed whenever it is read."""
    known = {port["key"] for port in ports(call.inventory, switch)}
    unknown = sorted(set(args.get("portKeys") or []) - known)
    if unknown:
        raise Fault("NotFound", f"There is no port {unknown[0]}.")


def rectify(call: Call, switch: DistributedVirtualSwitch, args: Any) -> Work:
    """RectifyDvsHost_Task: members see every port group again."""
    hosts = args.get("hosts") or switch.hosts
    if any(one not in switch.hosts for one in hosts):
        raise invalid_argument("hosts", "It is not a member of the switch.")
    yield SECONDS
    for host in [call.inventory.get(one, HostSystem) for one in hosts]:
        missing = [one for one in switch.portgroups if one not in host.networks]
        host.networks += missing
        if missing:
            call.inventory.change(host, "network")


def rectify_everywhere(call: Call, _service: Any, args: Any) -> Work:
    """RectifyDvsOnHost_Task: all switches of these hosts."""
    for switch in list(call.inventory.all_of(DistributedVirtualSwitch)):
        mine = [one for one in args["hosts"] if one in switch.hosts]
        if mine:
            yield from rectify(call, switch, {"hosts": mine})


def merge(call: Call, switch: DistributedVirtualSwitch, args: Any) -> Work:
    """MergeDvs_Task: hosts and port groups of another switch come to this one, which must not be in use."""
    inventory = call.inventory
    other = inventory.get(args["dvs"], DistributedVirtualSwitch)
    if other is switch:
        raise invalid_argument("dvs", "It is the same switch.")
    groups = [inventory.get(one, Network) for one in other.portgroups]
    for group in groups:
        must_be_unused(inventory, group)
    yield SECONDS
    taken = {inventory.get(one, Network).name for one in switch.portgroups}
    names = [(group.name, group.vlan, group.ports) for group in groups if not group.uplink]
    hosts = [one for one in other.hosts if one not in switch.hosts]
    for group in groups:
        remove_network(inventory, group)
    folder = inventory.find(other.parent.moid)
    folder.children.remove(ref(other))
    inventory.change(folder, "childEntity")
    inventory.remove(other)
    for host in hosts:
        set_member(inventory, switch, Record("", host=host, operation="add"))
    for name, vlan, count in names:
        add_portgroup(inventory, switch, name if name not in taken else f"{name}-{other.name}", vlan=vlan, ports=count)


def upgrade(call: Call, switch: DistributedVirtualSwitch, args: Any) -> Work:
    """PerformDvsProductSpecOperation_Task: to a newer version of switches; others are refused."""
    if args["operation"] not in ("upgrade", "preInstall", "notifyAvailableUpgrade", "proceedWithUpgrade", "updateBundleInfo"):
        raise invalid_argument("operation", f"{args['operation']} is not known.")
    if args["operation"] != "upgrade":
        raise Fault("NotSupported", f"{args['operation']} is for switches of other vendors.")
    wanted = args["productSpec"]["version"] if args.get("productSpec") else None
    if wanted not in VERSIONS or VERSIONS.index(wanted) <= VERSIONS.index(switch.product):
        raise invalid_argument("productSpec.version", f"A version after {switch.product} is required.")
    yield SECONDS
    switch.product = wanted
    call.inventory.change(switch, "config", "summary")


def health(call: Call, switch: DistributedVirtualSwitch, args: Any) -> Work:
    """UpdateDVSHealthCheckConfig_Task."""
    yield SECONDS
    kept = {one.kind: one for one in switch.health}
    kept.update({one.kind: one.copy() for one in args["healthCheckConfig"]})
    switch.health = list(kept.values())
    call.inventory.change(switch, "config")


# resource pools ------------------------------------------------------------------------------------------------------


def _pool(switch: DistributedVirtualSwitch, key: str) -> Record:
    if key not in switch.pools:
        raise Fault("NotFound", f"There is no network resource pool {key}.")
    return switch.pools[key]


def add_pools(call: Call, switch: DistributedVirtualSwitch, args: Any) -> None:
    """AddNetworkResourcePool."""
    for spec in args["configSpec"]:
        if not spec["name"]:
            raise invalid_argument("configSpec.name", "A name is required.")
        if any(one["name"] == spec["name"] for one in switch.pools.values()):
            raise Fault("DuplicateName", f"The name '{spec['name']}' already exists.", name=spec["name"], object=ref(switch))
        key = f"NETRP-{len(switch.pools) + 1}"
        allocation = spec["allocationInfo"] or Record("DVSNetworkResourcePoolAllocationInfo", limit=-1)
        made = Record("DVSNetworkResourcePool", key=key, name=spec["name"], configVersion="1", allocationInfo=allocation.copy())
        made["description"] = spec["description"] or ""
        switch.pools[key] = made
    call.inventory.change(switch, "networkResourcePool")


def update_pools(call: Call, switch: DistributedVirtualSwitch, args: Any) -> None:
    """UpdateNetworkResourcePool."""
    for spec in args["configSpec"]:
        found = _pool(switch, spec["key"])
        if spec["configVersion"] and spec["configVersion"] != found["configVersion"]:
            raise Fault("ConcurrentAccess", "The pool has been changed by somebody else.")
    for spec in args["configSpec"]:
        found = _pool(switch, spec["key"])
        told = {
            name: value
            for name, value in spec.copy().fields.items()
            if value is not None and name not in ("key", "configVersion")
        }
        found.fields.update(**told, configVersion=str(int(found["configVersion"]) + 1))
    call.inventory.change(switch, "networkResourcePool")


def remove_pools(call: Call, switch: DistributedVirtualSwitch, args: Any) -> None:
    """RemoveNetworkResourcePool."""
    for key in args["key"]:
        _pool(switch, key)
    for key in args["key"]:
        del switch.pools[key]
    call.inventory.change(switch, "networkResourcePool")


def enable_pools(call: Call, switch: DistributedVirtualSwitch, args: Any) -> None:
    """EnableNetworkResourceManagement."""
    switch.managed = args["enable"]
    call.inventory.change(switch, "config")


# the service object --------------------------------------------------------------------------------------------------


def product(version: str) -> Record:
    """DistributedVirtualSwitchProductSpec of a version."""
    return Record("DistributedVirtualSwitchProductSpec", name="DVS", vendor="VMware, Inc.", version=version, build="5318154")


def by_uuid(call: Call, _service: Any, args: Any) -> Ref:
    """QueryDvsByUuid."""
    return ref(_switch(call, args["uuid"]))


def _switch(call: Call, uuid: str) -> DistributedVirtualSwitch:
    digits = uuid.replace(" ", "").replace("-", "").lower()
    for switch in call.inventory.all_of(DistributedVirtualSwitch):
        if switch.uuid.replace("-", "") == digits and may_read(call.inventory, call.user, switch):
            return switch
    raise Fault("NotFound", "There is no such switch.")


def portgroup(call: Call, _service: Any, args: Any) -> Ref:
    """DVSManagerLookupDvPortGroup."""
    for one in _switch(call, args["switchUuid"]).portgroups:
        if one.moid == args["portgroupKey"]:
            return one
    raise Fault("NotFound", "There is no such port group.")


def _below(call: Call, container: Ref, recursive: bool) -> list[HostSystem]:
    entity = call.inventory.find(container.moid)
    below = [entity, *descendants(call.inventory, entity)] if recursive else [entity]
    return [one for one in below if isinstance(one, HostSystem)]


def hosts_for_new(call: Call, _service: Any, args: Any) -> list[Ref]:
    """QueryCompatibleHostForNewDvs."""
    return [ref(host) for host in _below(call, args["container"], args["recursive"]) if host.connection == "connected"]


def hosts_for_existing(call: Call, _service: Any, args: Any) -> list[Ref]:
    """QueryCompatibleHostForExistingDvs: those that are no members yet."""
    switch = call.inventory.get(args["dvs"], DistributedVirtualSwitch)
    return [one for one in hosts_for_new(call, _service, args) if one not in switch.hosts]


def target(call: Call, _service: Any, args: Any) -> Record:
    """QueryDvsConfigTarget: switches and port groups of a host, or of a switch."""
    inventory: Inventory = call.inventory
    switches = (
        [inventory.get(args["dvs"], DistributedVirtualSwitch)]
        if args.get("dvs")
        else list(inventory.all_of(DistributedVirtualSwitch))
    )
    if args.get("host"):
        switches = [one for one in switches if args["host"] in one.hosts]
    groups = [inventory.get(group, Network) for one in switches for group in one.portgroups]
    shown = [
        Record("DistributedVirtualSwitchInfo", switchName=one.name, switchUuid=one.uuid, distributedVirtualSwitch=ref(one))
        for one in switches
    ]
    return Record(
        "DVSManagerDvsConfigTarget",
        distributedVirtualPortgroup=[portgroup_info(inventory, group) for group in groups],
        distributedVirtualSwitch=shown,
    )


def _features(_call: Call, _service: Any, _args: Any) -> Record:
    """QueryDvsFeatureCapability."""
    return Record("DVSFeatureCapability", networkResourceManagementSupported=True, vmDirectPathGen2Supported=False)


def _host_specs(_call: Call, _service: Any, _args: Any) -> list[Record]:
    """QueryDvsCompatibleHostSpec."""
    return [
        Record("DistributedVirtualSwitchHostProductSpec", productLineId="embeddedEsx", version=f"{one[:3]}.0+")
        for one in VERSIONS
    ]


PORT_OPERATIONS = {
    "ReconfigureDVPort_Task": reconfigure_ports,
    "RefreshDVPortState": refresh_ports,
    "RectifyDvsHost_Task": rectify,
    "MergeDvs_Task": merge,
    "PerformDvsProductSpecOperation_Task": upgrade,
    "UpdateDVSHealthCheckConfig_Task": health,
    "AddNetworkResourcePool": add_pools,
    "UpdateNetworkResourcePool": update_pools,
    "RemoveNetworkResourcePool": remove_pools,
    "EnableNetworkResourceManagement": enable_pools,
}
SERVICE_OPERATIONS = {
    "QueryAvailableDvsSpec": lambda _call, _service, _args: [product(version) for version in VERSIONS],
    "QueryDvsByUuid": by_uuid,
    "QueryDvsConfigTarget": target,
    "QueryDvsFeatureCapability": _features,
    "QueryDvsCompatibleHostSpec": _host_specs,
    "QueryCompatibleHostForNewDvs": hosts_for_new,
    "QueryCompatibleHostForExistingDvs": hosts_for_existing,
    "DVSManagerLookupDvPortGroup": portgroup,
    "RectifyDvsOnHost_Task": rectify_everywhere,
}
