"""Distributed switches and their port groups."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from emulators.vcenter.entity import ENTITY_OPERATIONS, ENTITY_PROPERTIES, Property, must_be_free, plain
from emulators.vcenter.events import datacenter_of
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.objects.network import NETWORK_PROPERTIES, Network
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record, Ref
from emulators.vcenter.tasks import Work

SECONDS = 1.0


@dataclass(slots=True)
class DistributedVirtualSwitch:
    """A distributed switch with its port groups."""

    moid: str
    name: str
    parent: Ref
    uuid: str
    created: float
    hosts: list[Ref] = field(default_factory=list)
    portgroups: list[Ref] = field(default_factory=list)
    mtu: int = 1500
    description: str = ""
    version: int = 1
    #: its product version, what ports are called, health checks, network resource pools by key
    product: str = "6.5.0"
    port_names: dict[str, dict[str, str]] = field(default_factory=dict)
    health: list[Record] = field(default_factory=list)
    pools: dict[str, Record] = field(default_factory=dict)
    managed: bool = True
    cache: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "VmwareDistributedVirtualSwitch"


def _ports(inventory: Inventory, switch: DistributedVirtualSwitch) -> int:
    return sum(inventory.get(one, Network).ports for one in switch.portgroups)


def _product(switch: DistributedVirtualSwitch) -> Record:
    version = switch.product
    return Record("DistributedVirtualSwitchProductSpec", name="DVS", vendor="VMware, Inc.", version=version, build="5318154")


def _config(inventory: Inventory, switch: DistributedVirtualSwitch) -> Record:
    groups = [inventory.get(one, Network) for one in switch.portgroups]
    members = [
        Record(
            "DistributedVirtualSwitchHostMember",
            config=Record(
                "DistributedVirtualSwitchHostMemberConfigInfo",
                host=host,
                maxProxySwitchPorts=256,
                backing=Record("DistributedVirtualSwitchHostMemberPnicBacking"),
            ),
            productInfo=_product(switch),
            status="up",
        )
        for host in switch.hosts
    ]
    return Record(
        "VMwareDVSConfigInfo",
        uuid=switch.uuid,
        name=switch.name,
        numStandalonePorts=0,
        numPorts=_ports(inventory, switch),
        maxPorts=8000,
        uplinkPortPolicy=Record("DVSNameArrayUplinkPortPolicy", uplinkPortName=["Uplink 1", "Uplink 2"]),
        uplinkPortgroup=[ref(group) for group in groups if group.uplink],
        defaultPortConfig=Record("VMwareDVSPortSetting"),
        host=members,
        productInfo=_product(switch),
        description=switch.description,
        configVersion=str(switch.version),
        contact=Record("DVSContactInfo"),
        createTime=switch.created,
        networkResourceManagementEnabled=switch.managed,
        healthCheckConfig=list(switch.health),
        maxMtu=switch.mtu,
    )


def _summary(inventory: Inventory, switch: DistributedVirtualSwitch) -> Record:
    groups = [inventory.get(one, Network) for one in switch.portgroups]
    return Record(
        "DVSSummary",
        name=switch.name,
        uuid=switch.uuid,
        numPorts=_ports(inventory, switch),
        productInfo=_product(switch),
        hostMember=list(switch.hosts),
        host=list(switch.hosts),
        vm=[ref(vm) for vm in inventory.all_of(VirtualMachine) if any(vm.is_on(group) for group in groups)],
        portgroupName=[group.name for group in groups],
        description=switch.description,
        numHosts=len(switch.hosts),
    )


SWITCH_PROPERTIES: dict[str, Property] = {
    **ENTITY_PROPERTIES,
    "uuid": lambda _inventory, switch: switch.uuid,
    "portgroup": lambda _inventory, switch: list(switch.portgroups),
    "config": _config,
    "summary": _summary,
    "networkResourcePool": lambda _inventory, switch: list(switch.pools.values()),
    "capability": lambda _inventory, _switch: Record(
        "DVSCapability", dvsOperationSupported=True, dvPortGroupOperationSupported=True
    ),
}


# port groups ---------------------------------------------------------------------------------------------------------


def add_portgroup(inventory: Inventory, switch: DistributedVirtualSwitch, name: str, **more: Any) -> Network:
    """A port group on a switch, in the switch's folder, seen by all its hosts."""
    group = Network(inventory.new_moid("dvportgroup-"), name, switch.parent, list(switch.hosts), switch=ref(switch), **more)
    group.kind = "DistributedVirtualPortgroup"
    inventory.add(group)
    folder = inventory.find(switch.parent.moid)
    folder.children.append(ref(group))
    inventory.change(folder, "childEntity")
    switch.portgroups.append(ref(group))
    datacenter = datacenter_of(inventory, switch)
    datacenter.networks.append(ref(group))
    inventory.change(datacenter, "network")
    for host in [inventory.find(one.moid) for one in switch.hosts]:
        show(inventory, host, ref(group))
    inventory.change(switch, "portgroup", "summary", "config")
    return group


def show(inventory: Inventory, host: Any, network: Ref) -> None:
    """Let a host and its compute resource see a network."""
    for place in (host, inventory.find(host.parent.moid)):
        if network not in place.networks:
            place.networks.append(network)
            inventory.change(place, "network")


def _setting(group: Network) -> Record:
    vlan = Record("VmwareDistributedVirtualSwitchVlanIdSpec", inherited=False, vlanId=group.vlan)
    return Record("VMwareDVSPortSetting", vlan=vlan)


def _policy() -> Record:
    names = (
        "blockOverrideAllowed",
        "shapingOverrideAllowed",
        "vendorConfigOverrideAllowed",
        "livePortMovingAllowed",
        "portConfigResetAtDisconnect",
    )
    return Record(
        "VMwareDVSPortgroupPolicy",
        **dict.fromkeys(names, False),
        vlanOverrideAllowed=False,
        uplinkTeamingOverrideAllowed=False,
        securityPolicyOverrideAllowed=False,
    )


def _group_config(_inventory: Inventory, group: Network) -> Record:
    return Record(
        "DVPortgroupConfigInfo",
        key=group.moid,
        name=group.name,
        numPorts=group.ports,
        distributedVirtualSwitch=group.switch,
        defaultPortConfig=_setting(group),
        description=group.description,
        type="earlyBinding",
        policy=_policy(),
        configVersion="1",
        autoExpand=True,
        uplink=group.uplink,
    )


PORTGROUP_PROPERTIES: dict[str, Property] = {
    **NETWORK_PROPERTIES,
    "key": lambda _inventory, group: group.moid,
    "config": _group_config,
    "portKeys": lambda _inventory, group: [str(number) for number in range(group.ports)],
}


def _told(spec: Record) -> dict[str, Any]:
    """What a DVPortgroupConfigSpec says of a port group."""
    found: dict[str, Any] = {}
    if spec["numPorts"] is not None:
        found["ports"] = spec["numPorts"]
    if spec["description"] is not None:
        found["description"] = spec["description"]
    setting = spec["defaultPortConfig"]
    vlan = setting["vlan"] if setting is not None else None
    if vlan is not None and isinstance(vlan["vlanId"], int):
        found["vlan"] = vlan["vlanId"]
    return found


def _new_group(call: Call, switch: DistributedVirtualSwitch, spec: Record) -> Ref:
    name = plain(spec["name"] or "")
    must_be_free(call.inventory, call.inventory.find(switch.parent.moid), name)
    group = add_portgroup(call.inventory, switch, name, **_told(spec))
    call.inventory.events.post(
        "DVPortgroupCreatedEvent", f"dvPort group {name} was added to switch {switch.name}.", user=call.user
    )
    return ref(group)


def create_portgroup(call: Call, switch: DistributedVirtualSwitch, args: Any) -> Work:
    """CreateDVPortgroup_Task."""
    yield SECONDS
    return _new_group(call, switch, args["spec"])


def add_portgroups(call: Call, switch: DistributedVirtualSwitch, args: Any) -> Work:
    """AddDVPortgroup_Task."""
    yield SECONDS
    for spec in args["spec"]:
        _new_group(call, switch, spec)


def reconfigure_portgroup(call: Call, group: Network, args: Any) -> Work:
    """ReconfigureDVPortgroup_Task."""
    yield SECONDS
    spec = args["spec"]
    if spec["name"] and plain(spec["name"]) != group.name:
        must_be_free(call.inventory, call.inventory.find(group.parent.moid), plain(spec["name"]))
        group.name = plain(spec["name"])
    for name, value in _told(spec).items():
        setattr(group, name, value)
    call.inventory.change(group, "name", "config", "summary")


def reconfigure(call: Call, switch: DistributedVirtualSwitch, args: Any) -> Work:
    """ReconfigureDvs_Task: name, description, MTU, and hosts that come or go."""
    yield SECONDS
    spec, inventory = args["spec"], call.inventory
    if spec["configVersion"] and spec["configVersion"] != str(switch.version):
        raise Fault("ConcurrentAccess", "The switch has been changed by somebody else.")
    if spec["name"]:
        switch.name = plain(spec["name"])
    switch.description = spec["description"] if spec["description"] is not None else switch.description
    switch.mtu = spec["maxMtu"] or switch.mtu
    for member in spec["host"] or []:
        set_member(inventory, switch, member)
    switch.version += 1
    inventory.change(switch, "name", "config", "summary")


def set_member(inventory: Inventory, switch: DistributedVirtualSwitch, member: Record) -> None:
    """Let a host become a member of a switch, or leave it."""
    host = inventory.find(member["host"].moid)
    if host is None or host.kind != "HostSystem":
        raise invalid_argument("spec.host", "There is no such host.")
    groups = [inventory.get(one, Network) for one in switch.portgroups]
    if member["operation"] == "add":
        if ref(host) in switch.hosts:
            raise Fault("AlreadyExists", f"The host {host.name} is a member already.", name=host.name)
        switch.hosts.append(ref(host))
        for group in groups:
            group.hosts.append(ref(host))
            inventory.change(group, "host")
            show(inventory, host, ref(group))
    elif member["operation"] == "remove":
        if ref(host) not in switch.hosts:
            raise Fault("NotFound", f"The host {host.name} is not a member.")
        switch.hosts.remove(ref(host))
        for group in groups:
            group.hosts.remove(ref(host))
            host.networks.remove(ref(group))
            inventory.change(group, "host")
        inventory.change(host, "network")


def must_be_unused(inventory: Inventory, group: Network) -> None:
    """Raises `Fault("ResourceInUse")` while a machine is on a network."""
    if any(vm.is_on(group) and vm.host in group.hosts for vm in inventory.all_of(VirtualMachine)):
        raise Fault("ResourceInUse", f"The resource '{group.name}' is in use.", type="Network", name=group.name)


def remove_network(inventory: Inventory, group: Network) -> None:
    """Take a network out. Raises `Fault("ResourceInUse")` while a machine is on it."""
    must_be_unused(inventory, group)
    datacenter = datacenter_of(inventory, group)
    places = [inventory.find(one.moid) for one in group.hosts]
    places += [inventory.find(host.parent.moid) for host in places]
    for place in (datacenter, *places):
        if ref(group) in place.networks:
            place.networks.remove(ref(group))
            inventory.change(place, "network")
    folder = inventory.find(group.parent.moid)
    folder.children.remove(ref(group))
    inventory.change(folder, "childEntity")
    if group.switch is not None:
        switch = inventory.find(group.switch.moid)
        switch.portgroups.remove(ref(group))
        inventory.change(switch, "portgroup", "config", "summary")
    inventory.remove(group)


def destroy_portgroup(call: Call, group: Network, _args: Any) -> Work:
    """Destroy_Task of a network."""
    yield SECONDS
    if group.uplink:
        raise Fault("NotSupported", "The uplink port group belongs to its switch.")
    remove_network(call.inventory, group)
    if group.switch is not None:
        call.inventory.events.post("DVPortgroupDestroyedEvent", f"dvPort group {group.name} was deleted.", user=call.user)


def destroy_network(call: Call, group: Network, _args: Any) -> None:
    """DestroyNetwork."""
    remove_network(call.inventory, group)


def destroy(call: Call, switch: DistributedVirtualSwitch, _args: Any) -> Work:
    """Destroy_Task of a switch, with its port groups."""
    yield SECONDS
    remove_switch(call.inventory, switch)
    call.inventory.events.post("DvsDestroyedEvent", f"vSphere Distributed Switch {switch.name} was deleted.", user=call.user)


def remove_switch(inventory: Inventory, switch: DistributedVirtualSwitch) -> None:
    """Take a switch out with its port groups. Raises `Fault("ResourceInUse")` while a machine is on one of them."""
    groups = [inventory.get(one, Network) for one in switch.portgroups]
    for group in groups:
        must_be_unused(inventory, group)
    for group in groups:
        remove_network(inventory, group)
    folder = inventory.find(switch.parent.moid)
    folder.children.remove(ref(switch))
    inventory.change(folder, "childEntity")
    inventory.remove(switch)


def add_switch(inventory: Inventory, folder: Any, name: str, hosts: list[Ref]) -> DistributedVirtualSwitch:
    """A switch with its uplink port group."""
    moid = inventory.new_moid("dvs-")
    switch = DistributedVirtualSwitch(moid, name, ref(folder), inventory.clock.uuid(), inventory.clock.now(), list(hosts))
    inventory.add(switch)
    folder.children.append(ref(switch))
    inventory.change(folder, "childEntity")
    add_portgroup(inventory, switch, f"{name}-DVUplinks-{moid.removeprefix('dvs-')}", uplink=True)
    return switch


def create(call: Call, folder: Any, args: Any) -> Work:
    """CreateDVS_Task of a network folder."""
    yield SECONDS
    config = args["spec"]["configSpec"]
    name = plain(config["name"] or "")
    must_be_free(call.inventory, folder, name)
    switch = add_switch(call.inventory, folder, name, [])
    for member in config["host"] or []:
        set_member(call.inventory, switch, member)
    if config["maxMtu"]:
        switch.mtu = config["maxMtu"]
    text, parent = (
        f"A vSphere Distributed Switch {name} was created.",
        Record("FolderEventArgument", name=folder.name, folder=ref(folder)),
    )
    call.inventory.events.post("DvsCreatedEvent", text, user=call.user, parent=parent)
    return ref(switch)


def _find_group(call: Call, switch: DistributedVirtualSwitch, args: Any) -> Ref:
    """LookupDvPortGroup."""
    found = next((one for one in switch.portgroups if one.moid == args["portgroupKey"]), None)
    if found is None:
        raise Fault("NotFound", "There is no such port group.")
    return found


def _port_keys(call: Call, switch: DistributedVirtualSwitch, args: Any) -> list[str]:
    """FetchDVPortKeys."""
    return [port["key"] for port in _fetch_ports(call, switch, args)]


def _fetch_ports(call: Call, switch: DistributedVirtualSwitch, args: Any) -> list[Record]:
    """FetchDVPorts: all ports of the port groups that the criteria name."""
    criteria = args.get("criteria")
    wanted = criteria["portgroupKey"] if criteria is not None else None
    inside = criteria["inside"] is not False if criteria is not None else True
    keys = criteria["portKey"] if criteria is not None else None
    found = [one for one in ports(call.inventory, switch) if not wanted or (one["portgroupKey"] in wanted) is inside]
    return [one for one in found if not keys or one["key"] in keys]


def ports(inventory: Inventory, switch: DistributedVirtualSwitch) -> list[Record]:
    """All ports of a switch, numbered through its port groups."""
    found: list[Record] = []
    for group in [inventory.get(one, Network) for one in switch.portgroups]:
        for _ in range(group.ports):
            key = str(len(found))
            config = Record("DVPortConfigInfo", configVersion="1", setting=_setting(group), **switch.port_names.get(key, {}))
            found.append(
                Record(
                    "DistributedVirtualPort",
                    key=key,
                    config=config,
                    dvsUuid=switch.uuid,
                    portgroupKey=group.moid,
                    conflict=False,
                    lastStatusChange=switch.created,
                )
            )
    return found


def _vlans(call: Call, switch: DistributedVirtualSwitch, _args: Any) -> list[int]:
    """QueryUsedVlanIdInDvs."""
    return sorted({group.vlan for group in (call.inventory.get(one, Network) for one in switch.portgroups) if group.vlan})


NETWORK_OPERATIONS = {**ENTITY_OPERATIONS, "Destroy_Task": destroy_portgroup, "DestroyNetwork": destroy_network}
PORTGROUP_OPERATIONS = {**NETWORK_OPERATIONS, "ReconfigureDVPortgroup_Task": reconfigure_portgroup}
SWITCH_OPERATIONS = {
    **ENTITY_OPERATIONS,
    "Destroy_Task": destroy,
    "CreateDVPortgroup_Task": create_portgroup,
    "AddDVPortgroup_Task": add_portgroups,
    "ReconfigureDvs_Task": reconfigure,
    "LookupDvPortGroup": _find_group,
    "FetchDVPortKeys": _port_keys,
    "FetchDVPorts": _fetch_ports,
    "QueryUsedVlanIdInDvs": _vlans,
}
