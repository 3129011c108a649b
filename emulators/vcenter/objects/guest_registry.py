"""GuestWindowsRegistryManager and GuestAliasManager: the registry of Windows guests, and certificates that stand for users."""

import base64
import binascii
import fnmatch
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509

from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call
from emulators.vcenter.objects.guest_operations import GuestSystem, enter
from emulators.vcenter.records import Record

_HIVES = ("HKEY_CLASSES_ROOT", "HKEY_CURRENT_USER", "HKEY_LOCAL_MACHINE", "HKEY_USERS", "HKEY_CURRENT_CONFIG")
_FIRST = ("HKEY_LOCAL_MACHINE\\SOFTWARE", "HKEY_LOCAL_MACHINE\\SYSTEM", "HKEY_CURRENT_USER\\Software")
_MOST_KEYS, _MOST_VALUES, _MOST_ALIASES = 5000, 1000, 100


@dataclass(slots=True)
class Key:
    """A key with its values by their names in small letters."""

    path: str
    class_type: str
    written: float
    volatile: bool
    values: dict[str, Record] = field(default_factory=dict)


Registry = dict[str, Key]


def _registry(call: Call, args: Any) -> Registry:
    """Raises `Fault("OperationNotSupportedByGuest")` where the guest is not Windows."""
    system, _ = enter(call, args)
    if not system.windows:
        raise Fault("OperationNotSupportedByGuest", "The guest has no registry.")
    if system.registry is None:
        now = call.inventory.clock.now()
        system.registry = {path.lower(): Key(path, "", now, False) for path in (*_HIVES, *_FIRST)}
    found: Registry = system.registry
    return found


def _path(name: Record) -> str:
    path = str(name["registryPath"]).strip("\\")
    if path.partition("\\")[0].upper() not in _HIVES or len(path) > 1024 or "\\\\" in path:
        raise _invalid("GuestRegistryKeyInvalid", path, "It is no path of the registry.")
    return path


def _invalid(kind: str, path: str, text: str, **more: Any) -> Fault:
    return Fault(kind, f"{path}: {text}", keyName=path, windowsSystemErrorCode=2, **more)


def _key(registry: Registry, name: Record) -> Key:
    path = _path(name)
    found = registry.get(path.lower())
    if found is None:
        raise _invalid("GuestRegistryKeyInvalid", path, "There is no such key.")
    return found


def create_key(call: Call, _manager: Any, args: Any) -> None:
    """CreateRegistryKeyInGuest."""
    registry, path = _registry(call, args), _path(args["keyName"])
    if path.lower() in registry:
        raise _invalid("GuestRegistryKeyAlreadyExists", path, "It exists already.")
    above = registry.get(path.lower().rpartition("\\")[0])
    if above is None:
        raise _invalid("GuestRegistryKeyInvalid", path, "There is no key above it.")
    if above.volatile and not args["isVolatile"]:
        raise _invalid("GuestRegistryKeyParentVolatile", path, "The key above it is volatile.")
    if len(registry) >= _MOST_KEYS:
        raise _invalid("GuestRegistryKeyFault", path, "The registry is full.")
    registry[path.lower()] = Key(path, args.get("classType") or "", call.inventory.clock.now(), bool(args["isVolatile"]))


def list_keys(call: Call, _manager: Any, args: Any) -> list[Record]:
    """ListRegistryKeysInGuest: the keys in one, or all below it. `matchPattern` has `*` and `?`."""
    registry = _registry(call, args)
    start, pattern = _key(registry, args["keyName"]), (args.get("matchPattern") or "*").lower()
    found = []
    for path, key in sorted(registry.items()):
        rest = path[len(start.path) + 1 :]
        if not path.startswith(f"{start.path.lower()}\\") or ("\\" in rest and not args["recursive"]):
            continue
        if fnmatch.fnmatchcase(rest.rpartition("\\")[2], pattern):
            name = Record("GuestRegKeyNameSpec", registryPath=key.path, wowBitness=args["keyName"]["wowBitness"])
            spec = Record("GuestRegKeySpec", keyName=name, classType=key.class_type, lastWritten=key.written)
            found.append(Record("GuestRegKeyRecordSpec", key=spec))
    return found


def delete_key(call: Call, _manager: Any, args: Any) -> None:
    """DeleteRegistryKeyInGuest."""
    registry = _registry(call, args)
    key = _key(registry, args["keyName"])
    below = [path for path in registry if path.startswith(f"{key.path.lower()}\\")]
    if key.path.upper() in _HIVES:
        raise _invalid("GuestRegistryKeyInvalid", key.path, "A hive stays.")
    if below and not args["recursive"]:
        raise _invalid("GuestRegistryKeyHasSubkeys", key.path, "It has keys below it.")
    for path in [*below, key.path.lower()]:
        del registry[path]


def set_value(call: Call, _manager: Any, args: Any) -> None:
    """SetRegistryValueInGuest."""
    name, registry = args["value"]["name"], _registry(call, args)
    key = _key(registry, name["keyName"])
    if len(key.values) >= _MOST_VALUES and name["name"].lower() not in key.values:
        raise _invalid("GuestRegistryKeyFault", key.path, "It has too many values.")
    key.values[name["name"].lower()] = args["value"]
    key.written = call.inventory.clock.now()


def list_values(call: Call, _manager: Any, args: Any) -> list[Record]:
    """ListRegistryValuesInGuest."""
    key, pattern = _key(_registry(call, args), args["keyName"]), (args.get("matchPattern") or "*").lower()
    return [value for name, value in sorted(key.values.items()) if fnmatch.fnmatchcase(name, pattern)]


def delete_value(call: Call, _manager: Any, args: Any) -> None:
    """DeleteRegistryValueInGuest."""
    name = args["valueName"]
    key = _key(_registry(call, args), name["keyName"])
    if key.values.pop(name["name"].lower(), None) is None:
        raise _invalid("GuestRegistryValueNotFound", key.path, f"There is no value {name['name']}.", valueName=name["name"])


# aliases -----------------------------------------------------------------------------------------------------------------


def _certificate(text: str) -> str:
    """A certificate in the one spelling of its base64 text. Raises `InvalidArgument`."""
    plain = "".join(line for line in text.split() if line)
    plain = plain.replace("-----BEGINCERTIFICATE-----", "").replace("-----ENDCERTIFICATE-----", "")
    try:
        raw = base64.b64decode(plain, validate=True)
        x509.load_der_x509_certificate(raw)
    except (binascii.Error, ValueError):
        raise invalid_argument("base64Cert", "It is no certificate.") from None
    return base64.b64encode(raw).decode()


def _aliases(call: Call, args: Any) -> tuple[GuestSystem, dict[str, tuple[bool, list[Record]]]]:
    """The aliases of a user. Only the administrator may see and change those of others."""
    system, user = enter(call, args)
    wanted = args["username"]
    if user.lower() not in (system.admin.lower(), wanted.lower()):
        raise Fault("GuestPermissionDenied", f"{user} may not see the aliases of {wanted}.")
    return system, system.aliases.setdefault(wanted.lower(), {})


def add_alias(call: Call, _manager: Any, args: Any) -> None:
    """AddGuestAlias."""
    system, held = _aliases(call, args)
    certificate, info = _certificate(args["base64Cert"]), args["aliasInfo"]
    for user, others in system.aliases.items():
        if args["mapCert"] and user != args["username"].lower() and others.get(certificate, (False, []))[0]:
            raise Fault("GuestMultipleMappings", "The certificate is mapped to another user already.")
    mapped, found = held.get(certificate, (False, []))
    if len(found) >= _MOST_ALIASES or len(held) >= _MOST_ALIASES:
        raise Fault("GuestOperationsFault", "The user has too many aliases.")
    held[certificate] = (mapped or bool(args["mapCert"]), [one for one in found if one["subject"] != info["subject"]] + [info])


def remove_alias(call: Call, _manager: Any, args: Any) -> None:
    """RemoveGuestAlias."""
    _, held = _aliases(call, args)
    certificate = _certificate(args["base64Cert"])
    mapped, found = held.get(certificate, (False, []))
    left = [one for one in found if one["subject"] != args["subject"]]
    if left:
        held[certificate] = (mapped, left)
    else:
        held.pop(certificate, None)


def remove_by_certificate(call: Call, _manager: Any, args: Any) -> None:
    """RemoveGuestAliasByCert."""
    _, held = _aliases(call, args)
    held.pop(_certificate(args["base64Cert"]), None)


def list_aliases(call: Call, _manager: Any, args: Any) -> list[Record]:
    """ListGuestAliases."""
    _, held = _aliases(call, args)
    return [Record("GuestAliases", base64Cert=certificate, aliases=found) for certificate, (_, found) in held.items()]


def list_mapped(call: Call, _manager: Any, args: Any) -> list[Record]:
    """ListGuestMappedAliases."""
    system, _ = enter(call, args)
    return [
        Record("GuestMappedAliases", base64Cert=certificate, username=user, subjects=[one["subject"] for one in found])
        for user, held in system.aliases.items()
        for certificate, (mapped, found) in held.items()
        if mapped
    ]


REGISTRY_OPERATIONS = {
    "CreateRegistryKeyInGuest": create_key,
    "ListRegistryKeysInGuest": list_keys,
    "DeleteRegistryKeyInGuest": delete_key,
    "SetRegistryValueInGuest": set_value,
    "ListRegistryValuesInGuest": list_values,
    "DeleteRegistryValueInGuest": delete_value,
}
ALIAS_OPERATIONS = {
    "AddGuestAlias": add_alias,
    "RemoveGuestAlias": remove_alias,
    "RemoveGuestAliasByCert": remove_by_certificate,
    "ListGuestAliases": list_aliases,
    "ListGuestMappedAliases": list_mapped,
}
