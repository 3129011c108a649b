"""What runs on a host: firewall, services, the order of machines at its start, power policy, SNMP, modules, image."""

from collections.abc import Callable, Iterator
from typing import Any

from emulators.clock import Process
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory, ref
from emulators.vcenter.kind import Kind
from emulators.vcenter.objects.host_parts import HostPart, changed, host_of, refresh, shows
from emulators.vcenter.objects.host_system import HostSystem, machines_on
from emulators.vcenter.plainest import plainest
from emulators.vcenter.records import Record

#: Rule set -> label, ports inbound, ports outbound, service that needs it, enabled, required.
_RULESETS: dict[str, tuple[str, tuple[int, ...], tuple[int, ...], str, bool, bool]] = {
    "sshServer": ("SSH Server", (22,), (), "TSM-SSH", False, False),
    "sshClient": ("SSH Client", (), (22,), "", False, False),
    "nfsClient": ("NFS Client", (), (111, 2049), "", False, False),
    "dns": ("DNS Client", (53,), (53,), "", True, False),
    "ntpClient": ("NTP Client", (), (123,), "ntpd", False, False),
    "vMotion": ("vMotion", (8000,), (8000,), "", True, False),
    "faultTolerance": ("Fault Tolerance", (8300,), (80, 8300), "", True, False),
    "iSCSI": ("Software iSCSI Client", (), (3260,), "", False, False),
    "snmp": ("SNMP Server", (161,), (), "snmpd", True, False),
    "syslog": ("syslog", (), (514, 1514), "", False, False),
    "vpxHeartbeats": ("VMware vCenter Agent", (), (902,), "vpxa", True, True),
    "NFC": ("NFC", (902,), (902,), "", True, False),
    "HBR": ("HBR", (), (31031, 44046), "", True, False),
    "webAccess": ("vSphere Web Access", (80,), (), "", True, True),
}
#: Service -> label, running, policy, required, rule sets.
_SERVICES = {
    "DCUI": ("Direct Console UI", True, "on", False, ()),
    "TSM": ("ESXi Shell", False, "off", False, ()),
    "TSM-SSH": ("SSH", False, "off", False, ("sshServer",)),
    "ntpd": ("NTP Daemon", False, "off", False, ("ntpClient",)),
    "snmpd": ("SNMP Server", False, "on", False, ("snmp",)),
    "vpxa": ("VMware vCenter Agent", True, "on", True, ("vpxHeartbeats",)),
    "vmsyslogd": ("Syslog Server", True, "on", True, ()),
}
_POLICIES = {1: ("static", "High performance"), 2: ("dynamic", "Balanced"), 3: ("low", "Low power"), 4: ("custom", "Custom")}
_MODULES = ("vmkernel", "tcpip4", "vmfs3", "nfsclient", "iscsi_vmk", "nmlx5_core", "vmw_ahci", "nvme_pcie")
_LEVELS = ("vmware_certified", "vmware_accepted", "partner", "community")


def initial(_inventory: Inventory, _host: HostSystem) -> dict[str, Any]:
    """What the configuration of a fresh host shows of these."""
    return {
        "firewall": Record(
            "HostFirewallInfo",
            defaultPolicy=Record("HostFirewallDefaultPolicy", incomingBlocked=True, outgoingBlocked=True),
            ruleset=[_ruleset(key, *row) for key, row in _RULESETS.items()],
        ),
        "service": Record("HostServiceInfo", service=[_service(key, *row) for key, row in _SERVICES.items()]),
        "autoStart": Record(
            "HostAutoStartManagerConfig",
            defaults=Record(
                "AutoStartDefaults", enabled=False, startDelay=120, stopDelay=120, waitForHeartbeat=False, stopAction="PowerOff"
            ),
        ),
        "powerSystemInfo": Record("PowerSystemInfo", currentPolicy=_policy(2)),
        "powerSystemCapability": Record("PowerSystemCapability", availablePolicy=[_policy(key) for key in _POLICIES]),
        "hyperThread": Record("HostHyperThreadScheduleInfo", available=True, active=True, config=True),
    }


def _ruleset(
    key: str, label: str, inbound: tuple[int, ...], outbound: tuple[int, ...], service: str, enabled: bool, required: bool
) -> Record:
    rules = [_rule(port, "inbound", "dst") for port in inbound] + [_rule(port, "outbound", "dst") for port in outbound]
    everybody = Record("HostFirewallRulesetIpList", allIp=True)
    more = {"service": service} if service else {}
    return Record(
        "HostFirewallRuleset",
        key=key,
        label=label,
        required=required,
        rule=rules,
        enabled=enabled,
        allowedHosts=everybody,
        **more,
    )


def _rule(port: int, direction: str, side: str) -> Record:
    return Record("HostFirewallRule", port=port, direction=direction, portType=side, protocol="tcp")


def _service(key: str, label: str, running: bool, policy: str, required: bool, rulesets: tuple[str, ...]) -> Record:
    return Record(
        "HostService",
        key=key,
        label=label,
        required=required,
        uninstallable=False,
        running=running,
        policy=policy,
        ruleset=list(rulesets),
    )


def _policy(key: int) -> Record:
    short, name = _POLICIES[key]
    return Record("HostPowerPolicy", key=key, name=name, shortName=short, description=name)


def _named(call: Call, part: HostPart, name: str, items: str, key: str) -> Record:
    """One item of a list in the host's configuration. Raises `Fault("NotFound")`."""
    found = next((one for one in host_of(call, part).config[name][items] if one["key"] == key), None)
    if found is None:
        raise Fault("NotFound", f"There is no {key} on this host.")
    assert isinstance(found, Record)
    return found


# firewall and services -----------------------------------------------------------------------------------------------


def _enable_ruleset(enabled: bool) -> Callable[[Call, HostPart, Any], None]:
    def set_enabled(call: Call, part: HostPart, args: Any) -> None:
        """EnableRuleset, DisableRuleset."""
        ruleset = _named(call, part, "firewall", "ruleset", args["id"])
        if ruleset["required"] and not enabled:
            raise Fault("HostConfigFault", f"The rule set {args['id']} is required.")
        ruleset["enabled"] = enabled
        changed(call, part, "firewall", "firewallInfo")

    return set_enabled


def update_ruleset(call: Call, part: HostPart, args: Any) -> None:
    """UpdateRuleset: who may use it."""
    ruleset, allowed = _named(call, part, "firewall", "ruleset", args["id"]), args["spec"]["allowedHosts"]
    if not allowed["allIp"] and not allowed["ipAddress"] and not allowed["ipNetwork"]:
        raise invalid_argument("spec.allowedHosts", "Somebody has to be allowed: an address, a network, or all.")
    ruleset["allowedHosts"] = allowed.copy()
    changed(call, part, "firewall", "firewallInfo")


def update_policy(call: Call, part: HostPart, args: Any) -> None:
    """UpdateDefaultPolicy."""
    told = {name: value for name, value in args["defaultPolicy"].fields.items() if value is not None}
    host_of(call, part).config["firewall"]["defaultPolicy"].fields.update(told)
    changed(call, part, "firewall", "firewallInfo")


def _run_service(*, running: bool, restart: bool = False) -> Callable[[Call, HostPart, Any], None]:
    def run(call: Call, part: HostPart, args: Any) -> None:
        """StartService, StopService, RestartService."""
        service = _named(call, part, "service", "service", args["id"])
        if service["running"] is running and not restart:
            raise Fault("InvalidState", f"The service {args['id']} is {'running' if running else 'stopped'} already.")
        if not running and service["required"]:
            raise Fault("HostConfigFault", f"The service {args['id']} is required.")
        service["running"] = running
        changed(call, part, "service", "serviceInfo")

    return run


def service_policy(call: Call, part: HostPart, args: Any) -> None:
    """UpdateServicePolicy."""
    if args["policy"] not in ("on", "off", "automatic"):
        raise invalid_argument("policy", f"{args['policy']} is not on, off or automatic.")
    _named(call, part, "service", "service", args["id"])["policy"] = args["policy"]
    changed(call, part, "service", "serviceInfo")


# machines at the host's start ----------------------------------------------------------------------------------------


def reconfigure_autostart(call: Call, part: HostPart, args: Any) -> None:
    """ReconfigureAutostart: what is told of machines replaces what was told of them; a `none` action takes one out."""
    host = host_of(call, part)
    mine = {ref(vm) for vm in machines_on(call.inventory, host)}
    told = args["spec"]["powerInfo"] or []
    if any(one["key"] not in mine for one in told):
        raise invalid_argument("spec.powerInfo.key", "It is not a machine of this host.")
    config = host.config["autoStart"]
    kept = {one["key"]: one for one in config["powerInfo"] or []}
    kept.update({one["key"]: one.copy() for one in told})
    config["powerInfo"] = [one for one in kept.values() if one["startAction"] != "none" or one["startOrder"] > 0]
    if args["spec"]["defaults"] is not None:
        changes = {name: value for name, value in args["spec"]["defaults"].fields.items() if value is not None}
        config["defaults"].fields.update(changes)
    changed(call, part, "autoStart", "config")


def _ordered(call: Call, host: HostSystem, *, last_first: bool) -> Iterator[tuple[Any, Record]]:
    told = [one for one in host.config["autoStart"]["powerInfo"] or [] if one["startOrder"] != 0]
    for one in sorted(told, key=lambda one: one["startOrder"] if one["startOrder"] > 0 else 10**6, reverse=last_first):
        vm = call.inventory.find(one["key"].moid)
        if vm is not None and vm.host == ref(host):
            yield vm, one


def auto_power(operation: str, states: tuple[str, ...], delay: str) -> Callable[[Call, HostPart, Any], None]:
    """AutoStartPowerOn, AutoStartPowerOff: one machine after another, with the delays of the configuration."""

    def run(call: Call, part: HostPart, _args: Any) -> None:
        inventory, host = call.inventory, host_of(call, part)
        order = list(_ordered(call, host, last_first=operation == "PowerOffVM_Task"))
        default = host.config["autoStart"]["defaults"][delay]

        def one_by_one() -> Process:
            for vm, told in order:
                with inventory.lock:
                    if vm.power in states and inventory.find(vm.moid) is vm:
                        inventory.tasks.begin(call, vm, operation, {})
                yield float(told[delay] if told[delay] >= 0 else default)

        inventory.clock.spawn(one_by_one(), name=f"vcenter {host.moid} {operation}")

    return run


# the rest ------------------------------------------------------------------------------------------------------------


def power_policy(call: Call, part: HostPart, args: Any) -> None:
    """ConfigurePowerPolicy."""
    if args["key"] not in _POLICIES:
        raise invalid_argument("key", f"There is no power policy {args['key']}.")
    host_of(call, part).config["powerSystemInfo"] = Record("PowerSystemInfo", currentPolicy=_policy(args["key"]))
    changed(call, part, "powerSystemInfo", "info")


def snmp(call: Call, part: HostPart, args: Any) -> None:
    """ReconfigureSnmpAgent."""
    spec = args["spec"]
    if spec["port"] is not None and not 0 < spec["port"] < 65536:
        raise invalid_argument("spec.port", f"{spec['port']} is no port.")
    if len(spec["readOnlyCommunities"] or []) > _SNMP_MOST or len(spec["trapTargets"] or []) > _SNMP_MOST:
        raise Fault("InsufficientResourcesFault", f"At most {_SNMP_MOST} of each.")
    kept = host_of(call, part).hidden.setdefault("snmp", Record("HostSnmpConfigSpec", enabled=False, port=161))
    kept.fields.update({name: value for name, value in spec.copy().fields.items() if value is not None})
    call.inventory.change(part, "configuration")


_SNMP_MOST = 10


def _snmp_configuration(inventory: Inventory, part: HostPart) -> Record:
    host = inventory.get(part.owner, HostSystem)
    found: Record = host.hidden.get("snmp", Record("HostSnmpConfigSpec", enabled=False, port=161))
    return found


def _snmp_limits(_inventory: Inventory, _part: HostPart) -> Record:
    return Record(
        "HostSnmpSystemAgentLimits",
        maxReadOnlyCommunities=_SNMP_MOST,
        maxTrapDestinations=_SNMP_MOST,
        maxCommunityLength=64,
        maxBufferSize=4096,
        capability="COMPLETE",
    )


def _module_options(call: Call, part: HostPart, name: str) -> dict[str, str]:
    if name not in _MODULES:
        raise Fault("NotFound", f"There is no module {name}.")
    found: dict[str, str] = host_of(call, part).hidden.setdefault("modules", {})
    return found


def modules(call: Call, part: HostPart, _args: Any) -> list[Record]:
    """QueryModules."""
    told = host_of(call, part).hidden.get("modules", {})
    return [
        plainest(
            "KernelModuleInfo",
            id=number,
            name=name,
            version="1.0.0",
            filename=f"/usr/lib/vmware/vmkmod/{name}",
            optionString=told.get(name, ""),
            loaded=True,
            enabled=True,
            useCount=1,
        )
        for number, name in enumerate(_MODULES, 1)
    ]


def set_module(call: Call, part: HostPart, args: Any) -> None:
    """UpdateModuleOptionString."""
    _module_options(call, part, args["name"])[args["name"]] = args["options"]


def module_options(call: Call, part: HostPart, args: Any) -> str:
    """QueryConfiguredModuleOptionString."""
    return _module_options(call, part, args["name"]).get(args["name"], "")


def hyper_threading(enabled: bool) -> Callable[[Call, HostPart, Any], None]:
    """EnableHyperThreading, DisableHyperThreading: from the next start of the host on."""

    def configure(call: Call, part: HostPart, _args: Any) -> None:
        host_of(call, part).config["hyperThread"]["config"] = enabled
        changed(call, part, "hyperThread", "hyperthreadInfo")

    return configure


_BOOT = {"disk": "Hard disk", "network": "Network adapter"}


def boot_devices(call: Call, part: HostPart, _args: Any) -> Record:
    """QueryBootDevices."""
    devices = [Record("HostBootDevice", key=key, description=text) for key, text in _BOOT.items()]
    current = host_of(call, part).hidden.get("boot", "disk")
    return Record("HostBootDeviceInfo", bootDevices=devices, currentBootDeviceKey=current)


def set_boot_device(call: Call, part: HostPart, args: Any) -> None:
    """UpdateBootDevice."""
    if args["key"] not in _BOOT:
        raise invalid_argument("key", f"There is no boot device {args['key']}.")
    host_of(call, part).hidden["boot"] = args["key"]


def acceptance(call: Call, part: HostPart, args: Any) -> None:
    """UpdateHostImageAcceptanceLevel."""
    if args["newAcceptanceLevel"] not in _LEVELS:
        raise invalid_argument("newAcceptanceLevel", f"It is one of {', '.join(_LEVELS)}.")
    host_of(call, part).hidden["acceptance"] = args["newAcceptanceLevel"]


def _image(call: Call, _part: HostPart, _args: Any) -> Record:
    """HostImageConfigGetProfile."""
    return Record("HostImageProfileSummary", name=f"ESXi-{call.inventory.version}-standard", vendor="VMware, Inc.")


HOST_SERVICE_KINDS = {
    "HostFirewallSystem": Kind(
        {"firewallInfo": shows("firewall")},
        {
            "EnableRuleset": _enable_ruleset(True),
            "DisableRuleset": _enable_ruleset(False),
            "UpdateRuleset": update_ruleset,
            "UpdateDefaultPolicy": update_policy,
            "RefreshFirewall": refresh,
        },
    ),
    "HostServiceSystem": Kind(
        {"serviceInfo": shows("service")},
        {
            "StartService": _run_service(running=True),
            "StopService": _run_service(running=False),
            "RestartService": _run_service(running=True, restart=True),
            "UpdateServicePolicy": service_policy,
            "RefreshServices": refresh,
        },
    ),
    "HostAutoStartManager": Kind(
        {"config": shows("autoStart")},
        {
            "ReconfigureAutostart": reconfigure_autostart,
            "AutoStartPowerOn": auto_power("PowerOnVM_Task", ("poweredOff", "suspended"), "startDelay"),
            "AutoStartPowerOff": auto_power("PowerOffVM_Task", ("poweredOn",), "stopDelay"),
        },
    ),
    "HostPowerSystem": Kind(
        {"info": shows("powerSystemInfo"), "capability": shows("powerSystemCapability")}, {"ConfigurePowerPolicy": power_policy}
    ),
    "HostSnmpSystem": Kind({"configuration": _snmp_configuration, "limits": _snmp_limits}, {"ReconfigureSnmpAgent": snmp}),
    "HostKernelModuleSystem": Kind(
        {},
        {"QueryModules": modules, "UpdateModuleOptionString": set_module, "QueryConfiguredModuleOptionString": module_options},
    ),
    "HostCpuSchedulerSystem": Kind(
        {"hyperthreadInfo": shows("hyperThread")},
        {"EnableHyperThreading": hyper_threading(True), "DisableHyperThreading": hyper_threading(False)},
    ),
    "HostBootDeviceSystem": Kind({}, {"QueryBootDevices": boot_devices, "UpdateBootDevice": set_boot_device}),
    "HostImageConfigManager": Kind(
        {},
        {
            "HostImageConfigGetAcceptance": lambda call, part, _args: host_of(call, part).hidden.get("acceptance", "partner"),
            "HostImageConfigGetProfile": _image,
            "UpdateHostImageAcceptanceLevel": acceptance,
            "installDate": lambda call, part, _args: host_of(call, part).installed,
        },
    ),
}
