"""ExtensionManager: products that registered themselves."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, ref
from emulators.vcenter.objects.virtual_machine import VirtualMachine
from emulators.vcenter.records import Record, Ref


@dataclass(slots=True)
class Extensions:
    """Registered extensions by key."""

    kind: str
    moid: str
    known: dict[str, Record] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)  #: public keys
    cache: dict[str, Any] = field(default_factory=dict)


def _known(extensions: Extensions, key: str) -> Record:
    found = extensions.known.get(key)
    if found is None:
        raise Fault("NotFound", f"There is no extension '{key}'.")
    return found


def register(call: Call, extensions: Extensions, args: Any) -> None:
    """RegisterExtension."""
    told: Record = args["extension"]
    if not told["key"]:
        raise invalid_argument("extension.key", "An extension needs a key.")
    if told["key"] in extensions.known:
        raise invalid_argument("extension.key", f"The extension '{told['key']}' is registered already.")
    _keep(call, extensions, told)


def update(call: Call, extensions: Extensions, args: Any) -> None:
    """UpdateExtension."""
    _known(extensions, args["extension"]["key"])
    _keep(call, extensions, args["extension"])


def _keep(call: Call, extensions: Extensions, told: Record) -> None:
    kept = told.copy()
    kept["lastHeartbeatTime"] = call.inventory.clock.now()
    extensions.known[kept["key"]] = kept
    call.inventory.change(extensions, "extensionList")


def unregister(call: Call, extensions: Extensions, args: Any) -> None:
    """UnregisterExtension."""
    _known(extensions, args["extensionKey"])
    del extensions.known[args["extensionKey"]]
    extensions.keys.pop(args["extensionKey"], None)
    call.inventory.change(extensions, "extensionList")


def set_public_key(call: Call, extensions: Extensions, args: Any) -> None:
    """SetPublicKey."""
    _known(extensions, args["extensionKey"])
    if "BEGIN PUBLIC KEY" not in args["publicKey"]:
        raise invalid_argument("publicKey", "A PEM public key is required.")
    extensions.keys[args["extensionKey"]] = args["publicKey"]


def set_certificate(call: Call, extensions: Extensions, args: Any) -> None:
    """SetExtensionCertificate: the subject of later logins; kept as the extension's `subjectName`."""
    found = _known(extensions, args["extensionKey"])
    pem = args.get("certificatePem")
    if pem is not None and "BEGIN CERTIFICATE" not in pem:
        raise invalid_argument("certificatePem", "A PEM certificate is required.")
    found["subjectName"] = f"CN={args['extensionKey']}" if pem else None
    call.inventory.change(extensions, "extensionList")


def managed_by(call: Call, extensions: Extensions, args: Any) -> list[Ref]:
    """QueryManagedBy: machines whose `config.managedBy` names the extension."""
    found = []
    for vm in call.inventory.all_of(VirtualMachine):
        by = vm.settings.more.get("managedBy")
        if by is not None and by["extensionKey"] == args["extensionKey"]:
            found.append(ref(vm))
    return found


EXTENSIONS_PROPERTIES: dict[str, Property] = {"extensionList": lambda _inventory, extensions: list(extensions.known.values())}
EXTENSIONS_OPERATIONS = {
    "RegisterExtension": register,
    "UpdateExtension": update,
    "UnregisterExtension": unregister,
    "FindExtension": lambda _call, extensions, args: extensions.known.get(args["extensionKey"]),
    "SetPublicKey": set_public_key,
    "SetExtensionCertificate": set_certificate,
    "QueryManagedBy": managed_by,
}
