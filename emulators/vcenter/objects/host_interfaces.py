"""The interfaces of a host's kernel, and what they are used for: management, vMotion, replication."""

import ipaddress
from collections.abc import Callable
from typing import Any

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.kind import Kind
from emulators.vcenter.objects.host_parts import HostPart, host_of
from emulators.vcenter.objects.host_system import HostSystem
from emulators.vcenter.records import Record

#: What an interface of the kernel can be used for, and whether several can be.
_USES = {
    "management": True,
    "vmotion": True,
    "faultToleranceLogging": True,
    "vSphereReplication": True,
    "vSphereReplicationNFC": True,
    "vSphereProvisioning": True,
    "vsan": True,
}


def vnic_key(device: str) -> str:
    """The key of an interface."""
    return f"key-vim.host.VirtualNic-{device}"


def attach_groups(network: Record) -> None:
    """Tell the switches which port groups hang on them."""
    for switch in network["vswitch"]:
        switch["portgroup"] = [one["key"] for one in network["portgroup"] if one["vswitch"] == switch["key"]]


def network_of(call: Call, part: HostPart) -> Record:
    """The HostNetworkInfo of a part's host."""
    found: Record = host_of(call, part).config["network"]
    return found


def network_changed(call: Call, part: HostPart) -> None:
    """Log that the network of a host changed."""
    host = host_of(call, part)
    attach_groups(host.config["network"])
    call.inventory.change(host, "config.network")
    for moid in (f"networkSystem-{host.moid}", f"virtualNicManager-{host.moid}", f"vmotionSystem-{host.moid}"):
        call.inventory.change(call.inventory.find(moid), "networkInfo", "networkConfig", "dnsConfig", "ipRouteConfig", "info")


def one_of(items: list[Record], name: str, value: str) -> Record:
    """The item of a name. Raises `Fault("NotFound")`."""
    found = next((one for one in items if (one[name] or one["spec"][name]) == value), None)
    if found is None:
        raise Fault("NotFound", f"There is no {value} on this host.")
    return found


# interfaces of the kernel --------------------------------------------------------------------------------------------


def add_interface(call: Call, part: HostPart, args: Any) -> str:
    """AddVirtualNic: the name of the new interface."""
    network, spec = network_of(call, part), args["nic"].copy()
    if not spec["distributedVirtualPort"]:
        one_of(network["portgroup"], "name", args["portgroup"])
    _check_address(network, spec, "")
    taken = {one["device"] for one in network["vnic"]}
    device = next(f"vmk{number}" for number in range(1000) if f"vmk{number}" not in taken)
    spec["mac"] = spec["mac"] or f"00:50:56:6{len(taken) % 16:x}:00:{len(taken) + 1:02x}"
    made = Record("HostVirtualNic", device=device, key=vnic_key(device), portgroup=args["portgroup"], spec=spec)
    network["vnic"].append(made)
    network_changed(call, part)
    return device


def _check_address(network: Record, spec: Record, device: str) -> None:
    told = spec["ip"]
    if told is None or told["dhcp"] or not told["ipAddress"]:
        return
    try:
        address = ipaddress.ip_address(told["ipAddress"])
    except ValueError:
        raise invalid_argument("nic.ip.ipAddress", f"{told['ipAddress']!r} is no address.") from None
    for other in network["vnic"]:
        same = other["spec"]["ip"] is not None and other["spec"]["ip"]["ipAddress"] == str(address)
        if same and other["device"] != device:
            raise Fault("HostConfigFault", f"{address} is the address of {other['device']}.")


def update_interface(call: Call, part: HostPart, args: Any) -> None:
    """UpdateVirtualNic."""
    network = network_of(call, part)
    found = one_of(network["vnic"], "device", args["device"])
    _check_address(network, args["nic"], args["device"])
    told = {name: value for name, value in args["nic"].copy().fields.items() if value is not None}
    if told.get("portgroup"):
        one_of(network["portgroup"], "name", told["portgroup"])
        found["portgroup"] = told.pop("portgroup")
    found["spec"].fields.update(told)
    network_changed(call, part)


def remove_interface(call: Call, part: HostPart, args: Any) -> None:
    """RemoveVirtualNic. The last one for management stays."""
    network, host = network_of(call, part), host_of(call, part)
    found = one_of(network["vnic"], "device", args["device"])
    if _selected(host, "management") == [args["device"]]:
        raise Fault("HostConfigFault", f"{args['device']} is the only interface for management.")
    network["vnic"].remove(found)
    for uses in host.hidden.get("interfaces", {}).values():
        if args["device"] in uses:
            uses.remove(args["device"])
    network_changed(call, part)


def _selected(host: HostSystem, use: str) -> list[str]:
    """The interfaces that are used for something."""
    chosen: dict[str, list[str]] = host.hidden.setdefault("interfaces", {"management": ["vmk0"]})
    return chosen.setdefault(use, [])


# uses of interfaces --------------------------------------------------------------------------------------------------


def _use(use: str) -> str:
    if use not in _USES:
        raise invalid_argument("nicType", f"{use} is no use of an interface.")
    return use


def net_config(inventory: Inventory, host: HostSystem, use: str) -> Record:
    """VirtualNicManagerNetConfig of one use."""
    candidates = list(host.config["network"]["vnic"])
    selected = [vnic_key(device) for device in _selected(host, use)]
    return Record(
        "VirtualNicManagerNetConfig",
        nicType=use,
        multiSelectAllowed=_USES[use],
        candidateVnic=candidates,
        selectedVnic=selected,
    )


def query_net_config(call: Call, part: HostPart, args: Any) -> Record:
    """QueryNetConfig."""
    return net_config(call.inventory, host_of(call, part), _use(args["nicType"]))


def _select(use: str, part: HostPart, call: Call, device: str, *, chosen: bool) -> None:
    host = host_of(call, part)
    one_of(host.config["network"]["vnic"], "device", device)
    mine = _selected(host, use)
    if chosen and device not in mine:
        mine.append(device)
    if not chosen:
        if device not in mine:
            raise invalid_argument("device", f"{device} is not used for {use}.")
        if use == "management" and len(mine) == 1:
            raise Fault("HostConfigFault", f"{device} is the only interface for management.")
        mine.remove(device)
    network_changed(call, part)


def select_use(chosen: bool) -> Callable[[Call, HostPart, Any], None]:
    """SelectVnicForNicType, DeselectVnicForNicType."""
    return lambda call, part, args: _select(_use(args["nicType"]), part, call, args["device"], chosen=chosen)


def select_vmotion(call: Call, part: HostPart, args: Any) -> None:
    """SelectVnic: the one interface for vMotion."""
    one_of(network_of(call, part)["vnic"], "device", args["device"])
    _selected(host_of(call, part), "vmotion")[:] = [args["device"]]
    network_changed(call, part)


def deselect_vmotion(call: Call, part: HostPart, _args: Any) -> None:
    """DeselectVnic."""
    _selected(host_of(call, part), "vmotion").clear()
    network_changed(call, part)


def _vmotion_config(inventory: Inventory, part: HostPart) -> Record:
    host = inventory.get(part.owner, HostSystem)
    chosen = _selected(host, "vmotion")
    selected = {"selectedVnic": vnic_key(chosen[0])} if chosen else {}
    return Record("HostVMotionNetConfig", candidateVnic=list(host.config["network"]["vnic"]), **selected)


def _uses(inventory: Inventory, part: HostPart) -> Record:
    host = inventory.get(part.owner, HostSystem)
    return Record("HostVirtualNicManagerInfo", netConfig=[net_config(inventory, host, use) for use in _USES])


HOST_INTERFACE_KINDS = {
    "HostVirtualNicManager": Kind(
        {"info": _uses},
        {
            "QueryNetConfig": query_net_config,
            "SelectVnicForNicType": select_use(True),
            "DeselectVnicForNicType": select_use(False),
        },
    ),
    "HostVMotionSystem": Kind({"netConfig": _vmotion_config}, {"SelectVnic": select_vmotion, "DeselectVnic": deselect_vmotion}),
}
