"""OptionManager: the advanced settings of vCenter and of each host."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.records import Record, Ref, Typed

_VCENTER: dict[str, Any] = {
    "VirtualCenter.InstanceName": "vcenter",
    "VirtualCenter.VimApiUrl": "https://vcenter/sdk",
    "config.log.level": "info",
    "config.vpxd.sso.solutionUser.name": "vpxd",
    "event.batchsize": 50,
    "event.maxAge": 30,
    "event.maxAgeEnabled": True,
    "task.maxAge": 30,
    "task.maxAgeEnabled": True,
    "mail.sender": "",
    "mail.smtp.port": 25,
    "mail.smtp.server": "",
}
_HOST: dict[str, Any] = {
    "Config.HostAgent.log.level": "info",
    "Config.HostAgent.plugins.hostsvc.esxAdminsGroup": "ESX Admins",
    "DataMover.HardwareAcceleratedInit": 1,
    "DataMover.HardwareAcceleratedMove": 1,
    "LVM.EnableResignature": 0,
    "LVM.DisallowSnapshotLun": 1,
    "NFS.MaxVolumes": 8,
    "Syslog.global.logHost": "",
    "UserVars.SuppressShellWarning": 0,
    "VMFS3.HardwareAcceleratedLocking": 1,
}


@dataclass(slots=True)
class Options:
    """Settings by name; `owner` is the host they are of."""

    kind: str
    moid: str
    owner: Ref | None = None
    values: dict[str, Any] = field(default_factory=lambda: dict(_VCENTER))
    cache: dict[str, Any] = field(default_factory=dict)


def of_host(host: Any) -> Options:
    """The advanced settings of a host."""
    return Options("OptionManager", f"EsxHostAdvSettings-{host.moid}", ref(host), dict(_HOST))


_XSD: list[tuple[type, str]] = [(bool, "xsd:boolean"), (int, "xsd:long"), (str, "xsd:string")]


def _option(name: str, value: Any) -> Record:
    kind = next(xsd for python, xsd in _XSD if isinstance(value, python))
    return Record("OptionValue", key=name, value=Typed(kind, value))


def query(_call: Call, options: Options, args: Any) -> list[Record]:
    """QueryOptions: one setting, all of a branch (`event.`), or all."""
    name = args.get("name") or ""
    found = [_option(key, value) for key, value in sorted(options.values.items()) if key == name or not name or _below(key, name)]
    if not found:
        raise Fault("InvalidName", f"There is no option '{name}'.", name=name)
    return found


def _below(key: str, name: str) -> bool:
    return name.endswith(".") and key.startswith(name)


def update(call: Call, options: Options, args: Any) -> None:
    """UpdateOptions: all of them or none. Settings of a host must exist; vCenter takes new ones below `config.`."""
    told = {}
    for one in args["changedValue"]:
        value = one["value"].value if isinstance(one["value"], Typed) else one["value"]
        known = options.values.get(one["key"])
        if known is None and (options.owner is not None or not one["key"].startswith("config.")):
            raise Fault("InvalidName", f"There is no option '{one['key']}'.", name=one["key"])
        told[one["key"]] = _like(one["key"], known, value)
    options.values.update(told)
    call.inventory.change(options, "setting")


def _like(name: str, known: Any, value: Any) -> Any:
    readers: dict[type, Callable[[str], Any]] = {
        bool: lambda text: {"true": True, "false": False}[text.lower()],
        int: int,
        str: str,
    }
    kind = type(known) if known is not None else type(value)
    try:
        return readers[kind](str(value))
    except (KeyError, ValueError):
        raise invalid_argument("changedValue", f"{value!r} is no value for {name}.") from None


OPTIONS_PROPERTIES: dict[str, Property] = {
    "setting": lambda _inventory, options: [_option(key, value) for key, value in sorted(options.values.items())]
}
OPTIONS_OPERATIONS = {"QueryOptions": query, "UpdateOptions": update}
