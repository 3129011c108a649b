"""The network of a host: standard switches, port groups, cards, names and routes."""

import ipaddress
from collections.abc import Callable
from typing import Any

from emulators.vcenter.events import datacenter_of
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.kind import Kind, needs
from emulators.vcenter.objects.folder import Folder, put
from emulators.vcenter.objects.host_interfaces import (
    add_interface,
    attach_groups,
    network_changed,
    network_of,
    one_of,
    remove_interface,
    update_interface,
    vnic_key,
)
from emulators.vcenter.objects.host_parts import HostPart, host_of, refresh, shows
from emulators.vcenter.objects.host_system import HostSystem, machines_on
from emulators.vcenter.objects.network import Network
from emulators.vcenter.objects.switch import remove_network, show
from emulators.vcenter.records import Record

_NICS = ("vmnic0", "vmnic1", "vmnic2", "vmnic3")


def initial(inventory: Inventory, host: HostSystem) -> dict[str, Any]:
    """What the configuration of a fresh host shows of its network."""
    seen = [inventory.get(one, Network) for one in host.networks]
    groups = ["Management Network", *(network.name for network in seen if network.switch is None)]
    interface = Record("HostVirtualNicSpec", mac="00:50:56:60:00:01", mtu=1500, ip=_ip(host.address))
    network = Record(
        "HostNetworkInfo",
        vswitch=[_vswitch("vSwitch0", Record("HostVirtualSwitchSpec", numPorts=128, mtu=1500), ["vmnic0"])],
        portgroup=[_group(_group_spec(name, "vSwitch0")) for name in groups],
        pnic=[_pnic(number, name) for number, name in enumerate(_NICS)],
        vnic=[Record("HostVirtualNic", device="vmk0", key=vnic_key("vmk0"), portgroup="Management Network", spec=interface)],
        dnsConfig=Record(
            "HostDnsConfig", dhcp=False, hostName=host.name.partition(".")[0], domainName=host.name.partition(".")[2]
        ),
        ipRouteConfig=Record("HostIpRouteConfig", defaultGateway=f"{host.address.rpartition('.')[0]}.1"),
        ipV6Enabled=False,
    )
    attach_groups(network)
    return {"network": network, "vmotion": Record("HostVMotionInfo", netConfig=Record("HostVMotionNetConfig"))}


def _ip(address: str) -> Record:
    return Record("HostIpConfig", dhcp=False, ipAddress=address, subnetMask="255.255.255.0")


def _vswitch(name: str, spec: Record, nics: list[str]) -> Record:
    ports = spec["numPorts"]
    return Record(
        "HostVirtualSwitch",
        name=name,
        key=f"key-vim.host.VirtualSwitch-{name}",
        numPorts=ports,
        numPortsAvailable=ports,
        mtu=spec["mtu"] or 1500,
        pnic=[f"key-vim.host.PhysicalNic-{nic}" for nic in nics],
        spec=spec,
    )


def _group_spec(name: str, switch: str, vlan: int = 0) -> Record:
    return Record("HostPortGroupSpec", name=name, vlanId=vlan, vswitchName=switch, policy=Record("HostNetworkPolicy"))


def _group(spec: Record) -> Record:
    return Record(
        "HostPortGroup",
        key=f"key-vim.host.PortGroup-{spec['name']}",
        vswitch=f"key-vim.host.VirtualSwitch-{spec['vswitchName']}",
        computedPolicy=spec["policy"],
        spec=spec,
    )


def _pnic(number: int, name: str) -> Record:
    link = {} if number > 1 else {"linkSpeed": Record("PhysicalNicLinkInfo", speedMb=10000, duplex=True)}
    return Record(
        "PhysicalNic",
        key=f"key-vim.host.PhysicalNic-{name}",
        device=name,
        pci=f"0000:0{number + 3}:00.0",
        driver="nmlx5_core",
        spec=Record("PhysicalNicSpec"),
        wakeOnLanSupported=True,
        mac=f"00:25:b5:00:00:{number:02x}",
        autoNegotiateSupported=True,
        **link,
    )


def _nics_of(call: Call, part: HostPart, spec: Record, name: str) -> list[str]:
    """The physical cards that a specification bridges to. Raises `NotFound`, and `ResourceInUse` for another switch's."""
    bridge = spec["bridge"]
    told = (bridge["nicDevice"] or []) if bridge is not None else []
    nics = told if isinstance(told, list) else [told]
    network = network_of(call, part)
    for nic in nics:
        one_of(network["pnic"], "device", nic)
        for other in network["vswitch"]:
            if other["name"] != name and f"key-vim.host.PhysicalNic-{nic}" in (other["pnic"] or []):
                raise Fault("ResourceInUse", f"{nic} is in use by {other['name']}.", type="PhysicalNic", name=nic)
    return nics


# switches ------------------------------------------------------------------------------------------------------------


def add_switch(call: Call, part: HostPart, args: Any) -> None:
    """AddVirtualSwitch."""
    network, name = network_of(call, part), args["vswitchName"]
    if not name or len(name) > 32 or not name.isprintable():
        raise invalid_argument("vswitchName", "A name of 1 to 32 characters is required.")
    if any(one["name"] == name for one in network["vswitch"]):
        raise Fault("AlreadyExists", f"There is a switch {name}.", name=name)
    spec = (args.get("spec") or Record("HostVirtualSwitchSpec", numPorts=128)).copy()
    network["vswitch"].append(_vswitch(name, spec, _nics_of(call, part, spec, name)))
    network_changed(call, part)


def update_switch(call: Call, part: HostPart, args: Any) -> None:
    """UpdateVirtualSwitch."""
    network, name = network_of(call, part), args["vswitchName"]
    old = one_of(network["vswitch"], "name", name)
    fresh = _vswitch(name, args["spec"].copy(), _nics_of(call, part, args["spec"], name))
    network["vswitch"][network["vswitch"].index(old)] = fresh
    network_changed(call, part)


def remove_switch(call: Call, part: HostPart, args: Any) -> None:
    """RemoveVirtualSwitch, with port groups that nothing uses."""
    network, name = network_of(call, part), args["vswitchName"]
    old = one_of(network["vswitch"], "name", name)
    groups = [one["spec"]["name"] for one in network["portgroup"] if one["spec"]["vswitchName"] == name]
    for group in groups:
        _must_be_unused(call, part, group)
    for group in groups:
        remove_group(call, part, {"pgName": group})
    network["vswitch"].remove(old)
    network_changed(call, part)


# port groups ---------------------------------------------------------------------------------------------------------


def add_group(call: Call, part: HostPart, args: Any) -> None:
    """AddPortGroup: the host then sees the network of that name."""
    network, spec = network_of(call, part), args["portgrp"]
    _check_group(network, spec)
    if any(one["spec"]["name"] == spec["name"] for one in network["portgroup"]):
        raise Fault("AlreadyExists", f"There is a port group {spec['name']}.", name=spec["name"])
    network["portgroup"].append(_group(spec.copy()))
    _see(call, host_of(call, part), spec["name"])
    network_changed(call, part)


def _check_group(network: Record, spec: Record) -> None:
    if not spec["name"].strip() or len(spec["name"]) > 80:
        raise invalid_argument("portgrp.name", "A name of 1 to 80 characters is required.")
    if not 0 <= spec["vlanId"] <= 4095:
        raise invalid_argument("portgrp.vlanId", "0 to 4095.")
    one_of(network["vswitch"], "name", spec["vswitchName"])


def _see(call: Call, host: HostSystem, name: str) -> None:
    """Let a host see the standard network of a name; hosts of one datacenter share it."""
    inventory = call.inventory
    datacenter = datacenter_of(inventory, host)
    known = [inventory.get(one, Network) for one in datacenter.networks]
    found = next((one for one in known if one.name == name and one.switch is None), None)
    if found is None:
        folder = inventory.get(datacenter.network_folder, Folder)
        found = Network(inventory.new_moid("network-"), name, ref(folder))
        inventory.add(found)
        put(inventory, folder, found)
        datacenter.networks.append(ref(found))
        inventory.change(datacenter, "network")
    found.hosts.append(ref(host))
    inventory.change(found, "host")
    show(inventory, host, ref(found))


def update_group(call: Call, part: HostPart, args: Any) -> None:
    """UpdatePortGroup."""
    network, spec = network_of(call, part), args["portgrp"]
    old = one_of(network["portgroup"], "name", args["pgName"])
    _check_group(network, spec)
    if spec["name"] != args["pgName"]:
        if any(one["spec"]["name"] == spec["name"] for one in network["portgroup"]):
            raise Fault("AlreadyExists", f"There is a port group {spec['name']}.", name=spec["name"])
        _must_be_unused(call, part, args["pgName"])
        _unsee(call, host_of(call, part), args["pgName"])
        _see(call, host_of(call, part), spec["name"])
    network["portgroup"][network["portgroup"].index(old)] = _group(spec.copy())
    network_changed(call, part)


def remove_group(call: Call, part: HostPart, args: Any) -> None:
    """RemovePortGroup."""
    network = network_of(call, part)
    old = one_of(network["portgroup"], "name", args["pgName"])
    _must_be_unused(call, part, args["pgName"])
    network["portgroup"].remove(old)
    _unsee(call, host_of(call, part), args["pgName"])
    network_changed(call, part)


def _must_be_unused(call: Call, part: HostPart, name: str) -> None:
    host = host_of(call, part)
    on_it = [one["device"] for one in network_of(call, part)["vnic"] if one["portgroup"] == name]
    for vm in machines_on(call.inventory, host):
        backings = [device["backing"] for device in vm.settings.devices.values() if device["macAddress"] and device["backing"]]
        on_it += [vm.name for backing in backings if backing["deviceName"] == name]
    if on_it:
        raise Fault("ResourceInUse", f"The port group '{name}' is in use by {on_it[0]}.", type="HostPortGroup", name=name)


def _unsee(call: Call, host: HostSystem, name: str) -> None:
    inventory = call.inventory
    seen = [inventory.get(one, Network) for one in host.networks]
    found = next((one for one in seen if one.name == name and one.switch is None), None)
    if found is None:
        return  # a port group of the kernel only
    found.hosts.remove(ref(host))
    host.networks.remove(ref(found))
    inventory.change(found, "host")
    inventory.change(host, "network")
    compute = inventory.find(host.parent.moid)
    others = [inventory.find(one.moid) for one in compute.hosts]
    if ref(found) in compute.networks and not any(ref(found) in other.networks for other in others):
        compute.networks.remove(ref(found))
        inventory.change(compute, "network")
    if not found.hosts:
        remove_network(inventory, found)


# the whole -----------------------------------------------------------------------------------------------------------


def update_plain(name: str) -> Callable[[Call, HostPart, Any], None]:
    """UpdateDnsConfig, UpdateIpRouteConfig."""

    def update(call: Call, part: HostPart, args: Any) -> None:
        told = {key: value for key, value in args["config"].copy().fields.items() if value is not None}
        for key in ("defaultGateway", "ipV6DefaultGateway"):
            if key in told:
                _address(told[key])
        for one in told.get("address") or []:
            _address(one)
        network_of(call, part)[name] = Record(args["config"].kind, **told)
        network_changed(call, part)

    return update


def _address(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise invalid_argument("config", f"{text!r} is no address.") from None


def link_speed(call: Call, part: HostPart, args: Any) -> None:
    """UpdatePhysicalNicLinkSpeed: without one the card negotiates."""
    nic = one_of(network_of(call, part)["pnic"], "device", args["device"])
    told = args.get("linkSpeed")
    nic["spec"] = Record("PhysicalNicSpec", **({"linkSpeed": told.copy()} if told is not None else {}))
    network_changed(call, part)


def hints(call: Call, part: HostPart, args: Any) -> list[Record]:
    """QueryNetworkHint: what is seen on the wire of each card that has a link: the subnets of the host's own interfaces."""
    network = network_of(call, part)
    nics = [one for one in network["pnic"] if not args.get("device") or one["device"] in args["device"]]
    for name in args.get("device") or []:
        one_of(network["pnic"], "device", name)
    own = {one["spec"]["ip"]["ipAddress"] for one in network["vnic"] if one["spec"]["ip"] and one["spec"]["ip"]["ipAddress"]}
    subnets = sorted({str(ipaddress.ip_network(f"{one}/24", strict=False)) for one in own})
    found = [Record("PhysicalNicIpHint", ipSubnet=one) for one in subnets]
    return [Record("PhysicalNicHintInfo", device=nic["device"], subnet=found if nic["linkSpeed"] else []) for nic in nics]


_PLACES: dict[str, tuple[str, dict[str, Callable[[Call, HostPart, Any], Any]]]] = {
    "vswitch": ("vswitchName", {"add": add_switch, "edit": update_switch, "remove": remove_switch}),
    "portgroup": ("pgName", {"add": add_group, "edit": update_group, "remove": remove_group}),
    "vnic": ("device", {"add": add_interface, "edit": update_interface, "remove": remove_interface}),
}


def update_all(call: Call, part: HostPart, args: Any) -> Record:
    """UpdateNetworkConfig: changes of many kinds; in the mode `replace` what is not named goes first. All or none."""
    config: Record = args["config"]
    unknown = sorted(
        name for name, value in config.fields.items() if value and name not in (*_PLACES, "dnsConfig", "ipRouteConfig")
    )
    if unknown:
        raise Fault("NotSupported", f"Configuring {unknown[0]} is not supported by this emulator.")
    if args["changeMode"] not in ("modify", "replace"):
        raise invalid_argument("changeMode", "modify or replace.")
    host = host_of(call, part)
    before, devices = host.config["network"].copy(), []
    try:
        for name, told in (("dnsConfig", config["dnsConfig"]), ("ipRouteConfig", config["ipRouteConfig"])):
            if told is not None:
                update_plain(name)(call, part, {"config": told})
        for name in _PLACES:
            for change in config[name] or []:
                made = _apply(call, part, name, change)
                devices += [made] if made else []
    except Fault:
        host.config["network"] = before
        network_changed(call, part)
        raise
    return Record("HostNetworkConfigResult", vnicDevice=devices)


def _apply(call: Call, part: HostPart, name: str, change: Record) -> Any:
    argument, operations = _PLACES[name]
    spec = change["spec"]
    named = change["name"] or change["device"] or (spec["name"] if spec is not None and name == "portgroup" else "")
    known = any((one["name"] or one["device"] or one["spec"]["name"]) == named for one in network_of(call, part)[name])
    operation = change["changeOperation"] or ("edit" if known else "add")
    if operation not in operations:
        raise invalid_argument("config.changeOperation", "add, edit or remove.")
    words = {argument: named, "spec": spec, "portgrp": spec, "nic": spec, "portgroup": change["portgroup"]}
    return operations[operation](call, part, words)


def _config_of(inventory: Inventory, part: HostPart) -> Record:
    """HostNetworkConfig: the same as what there is, in the form that UpdateNetworkConfig takes."""
    network = inventory.get(part.owner, HostSystem).config["network"]
    return Record(
        "HostNetworkConfig",
        vswitch=[Record("HostVirtualSwitchConfig", name=one["name"], spec=one["spec"]) for one in network["vswitch"]],
        portgroup=[Record("HostPortGroupConfig", spec=one["spec"]) for one in network["portgroup"]],
        vnic=[
            Record("HostVirtualNicConfig", device=one["device"], portgroup=one["portgroup"], spec=one["spec"])
            for one in network["vnic"]
        ],
        dnsConfig=network["dnsConfig"],
        ipRouteConfig=network["ipRouteConfig"],
    )


def _inner(name: str) -> Any:
    return lambda inventory, part: inventory.get(part.owner, HostSystem).config["network"][name]


def _capabilities(_inventory: Inventory, _part: HostPart) -> Record:
    yes = ("canSetPhysicalNicLinkSpeed", "supportsVlan", "supportsNetworkHints", "vswitchConfigSupported", "vnicConfigSupported")
    no = ("supportsNicTeaming", "usesServiceConsoleNic", "dhcpOnVnicSupported", "ipV6Supported")
    both = {**dict.fromkeys((*yes, "ipRouteConfigSupported", "dnsConfigSupported"), True), **dict.fromkeys(no, False)}
    return Record("HostNetCapabilities", **both)


HOST_NETWORK_KINDS = {
    "HostNetworkSystem": Kind(
        {
            "networkInfo": shows("network"),
            "networkConfig": _config_of,
            "dnsConfig": _inner("dnsConfig"),
            "ipRouteConfig": _inner("ipRouteConfig"),
            "capabilities": _capabilities,
        },
        {
            "AddVirtualSwitch": add_switch,
            "UpdateVirtualSwitch": update_switch,
            "RemoveVirtualSwitch": remove_switch,
            "AddPortGroup": add_group,
            "UpdatePortGroup": update_group,
            "RemovePortGroup": remove_group,
            "AddVirtualNic": add_interface,
            "UpdateVirtualNic": update_interface,
            "RemoveVirtualNic": remove_interface,
            "UpdateDnsConfig": update_plain("dnsConfig"),
            "UpdateIpRouteConfig": update_plain("ipRouteConfig"),
            "UpdateNetworkConfig": update_all,
            "UpdatePhysicalNicLinkSpeed": link_speed,
            "QueryNetworkHint": hints,
            "RefreshNetworkSystem": refresh,
        },
        privileges=dict.fromkeys(("AddVirtualNic", "UpdateVirtualNic", "UpdateNetworkConfig"), needs("Host.Config.Network")),
    ),
}
