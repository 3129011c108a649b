"""CryptoManagerKmip: key providers, their servers, and keys of those that vCenter keeps itself.

A provider of the kind `nativeProvider` makes keys here. Key servers outside are kept and not asked: nobody reaches them.
Nothing is encrypted with the keys.
"""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.records import Record, Ref, Typed
from emulators.vcenter.tasks import Work

SECONDS = 1.0
_NATIVE = "nativeProvider"
_KINDS = ("unknown", "vCenter", "trustAuthority", _NATIVE)


@dataclass(slots=True)
class Provider:
    """One key provider: its servers by name, and its keys by id."""

    kind: str
    servers: dict[str, Record] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class KeyProviders:
    """Providers by id, and which is the default of what (the empty moid: of all)."""

    kind: str
    moid: str
    providers: dict[str, Provider] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)


def _known(service: KeyProviders, told: Record | None) -> Provider:
    name = told["id"] if told is not None else service.defaults.get("", "")
    found = service.providers.get(name)
    if found is None:
        raise invalid_argument("clusterId", f"There is no key provider {name!r}.")
    return found


def _add(call: Call, service: KeyProviders, name: str, kind: str) -> Provider:
    if not name.strip():
        raise invalid_argument("clusterId", "An id is required.")
    made = service.providers[name] = Provider(kind)
    service.defaults.setdefault("", name)
    call.inventory.change(service, "kmipServers", "enabled")
    return made


def register_provider(call: Call, service: KeyProviders, args: Any) -> None:
    """RegisterKmsCluster."""
    name, kind = args["clusterId"]["id"], args.get("managementType") or "vCenter"
    if name in service.providers:
        raise Fault("AlreadyExists", f"There is a key provider {name}.", name=name)
    if kind not in _KINDS:
        raise invalid_argument("managementType", f"It is one of {', '.join(_KINDS)}.")
    _add(call, service, name, kind)


def unregister_provider(call: Call, service: KeyProviders, args: Any) -> None:
    """UnregisterKmsCluster."""
    _known(service, args["clusterId"])
    name = args["clusterId"]["id"]
    del service.providers[name]
    service.defaults = {moid: default for moid, default in service.defaults.items() if default != name}
    call.inventory.change(service, "kmipServers", "enabled")


def register_server(call: Call, service: KeyProviders, args: Any) -> None:
    """RegisterKmipServer: a provider that is not known yet comes with its first server."""
    spec = args["server"]
    name, info = spec["clusterId"]["id"], spec["info"]
    provider = service.providers.get(name)
    if provider is not None and (provider.kind == _NATIVE or info["name"] in provider.servers):
        raise Fault("AlreadyExists", f"The provider {name} has it already.", name=info["name"])
    _check(info)
    provider = provider or _add(call, service, name, "vCenter")
    provider.servers[info["name"]] = info.copy()
    call.inventory.change(service, "kmipServers")


def _check(info: Record) -> None:
    if not info["name"].strip() or not info["address"].strip() or not 0 < info["port"] < 65536:
        raise invalid_argument("server.info", "A name, an address and a port are required.")


def _server(service: KeyProviders, told: Record, name: str) -> Provider:
    provider = _known(service, told)
    if name not in provider.servers:
        raise invalid_argument("serverName", f"The provider has no server {name}.")
    return provider


def update_server(call: Call, service: KeyProviders, args: Any) -> None:
    """UpdateKmipServer."""
    info = args["server"]["info"]
    provider = _server(service, args["server"]["clusterId"], info["name"])
    _check(info)
    provider.servers[info["name"]] = info.copy()
    call.inventory.change(service, "kmipServers")


def remove_server(call: Call, service: KeyProviders, args: Any) -> None:
    """RemoveKmipServer: the last one takes its provider along."""
    provider = _server(service, args["clusterId"], args["serverName"])
    del provider.servers[args["serverName"]]
    if not provider.servers:
        unregister_provider(call, service, args)
    call.inventory.change(service, "kmipServers")


def _shown(service: KeyProviders, name: str, provider: Provider) -> Record:
    servers = [one.copy() for one in provider.servers.values()]
    for one in servers:
        one.fields.pop("password", None)
    return Record(
        "KmipClusterInfo",
        clusterId=Record("KeyProviderId", id=name),
        servers=servers,
        useAsDefault=service.defaults.get("") == name,
        managementType=provider.kind,
        useAsEntityDefault=[Ref(*moid.split(":", 1)) for moid, default in service.defaults.items() if moid and default == name],
        hasBackup=False,
    )


def listed(_call: Call, service: KeyProviders, args: Any) -> list[Record]:
    """ListKmipServers, ListKmsClusters."""
    found = [_shown(service, name, provider) for name, provider in service.providers.items()]
    if args.get("includeKmsServers") is False:
        for one in found:
            one.fields.pop("servers")
    return found[: args["limit"]] if args.get("limit") else found


def mark_default(call: Call, service: KeyProviders, args: Any) -> None:
    """MarkDefault."""
    _known(service, args["clusterId"])
    service.defaults[""] = args["clusterId"]["id"]
    call.inventory.change(service, "kmipServers")


def set_default(call: Call, service: KeyProviders, args: Any) -> None:
    """SetDefaultKmsCluster: of an entity or of all; none takes the default away."""
    entity, told = args.get("entity"), args.get("clusterId")
    place = f"{entity.kind}:{entity.moid}" if entity is not None else ""
    if told is None:
        service.defaults.pop(place, None)
    else:
        _known(service, told)
        service.defaults[place] = told["id"]
    call.inventory.change(service, "kmipServers")


def get_default(call: Call, service: KeyProviders, args: Any) -> Record | None:
    """GetDefaultKmsCluster: of an entity, or what it takes from above."""
    one = args.get("entity")
    while one is not None:
        found = service.defaults.get(f"{one.kind}:{one.moid}")
        if found is not None:
            return Record("KeyProviderId", id=found)
        entity = call.inventory.find(one.moid)
        one = entity.parent if args.get("defaultsToParent") and entity is not None else None
        if one is None and not args.get("defaultsToParent"):
            return None
    name = service.defaults.get("")
    return Record("KeyProviderId", id=name) if name else None


def active(_call: Call, service: KeyProviders, args: Any) -> bool:
    """IsKmsClusterActive: whether keys can be had of it."""
    return _known(service, args.get("cluster")).kind == _NATIVE


def status(call: Call, service: KeyProviders, args: Any) -> Work:
    """RetrieveKmipServersStatus_Task: key servers outside do not answer."""
    yield SECONDS
    told = args.get("clusters") or [_shown(service, name, one) for name, one in service.providers.items()]
    found = []
    for one in told:
        provider = _known(service, one["clusterId"])
        native = provider.kind == _NATIVE
        overall, words = ("green", "connected") if native else ("red", "not reachable")
        names = [one["clusterId"]["id"]] if native else list(provider.servers)
        servers = [Record("CryptoManagerKmipServerStatus", name=name, status=overall, connectionStatus=words) for name in names]
        cluster = Record("CryptoManagerKmipClusterStatus", clusterId=one["clusterId"], overallStatus=overall, servers=servers)
        cluster["managementType"] = provider.kind
        found.append(cluster)
    return Typed("ArrayOfCryptoManagerKmipClusterStatus", found)


def generate(call: Call, service: KeyProviders, args: Any) -> Record:
    """GenerateKey: of a provider that vCenter keeps itself."""
    told = args.get("keyProvider")
    provider = _known(service, told)
    name = told["id"] if told is not None else service.defaults[""]
    key = Record("CryptoKeyId", keyId=call.inventory.clock.uuid(), providerId=Record("KeyProviderId", id=name))
    if provider.kind != _NATIVE:
        return Record("CryptoKeyResult", keyId=key, success=False, reason="No key server of the provider can be reached.")
    provider.keys[key["keyId"]] = call.inventory.clock.random_bytes(32)
    return Record("CryptoKeyResult", keyId=key, success=True)


def keys(_call: Call, service: KeyProviders, args: Any) -> list[Record]:
    """ListKeys."""
    found = [
        Record("CryptoKeyId", keyId=key, providerId=Record("KeyProviderId", id=name))
        for name, provider in service.providers.items()
        for key in provider.keys
    ]
    return found[: args["limit"]] if args.get("limit") else found


def _has(service: KeyProviders, key: Record) -> bool:
    told = key["providerId"]
    provider = service.providers.get(told["id"]) if told is not None else None
    return provider is not None and key["keyId"] in provider.keys


def remove_key(_call: Call, service: KeyProviders, args: Any) -> None:
    """RemoveKey."""
    if not _has(service, args["key"]):
        raise invalid_argument("key", "There is no such key.")
    del service.providers[args["key"]["providerId"]["id"]].keys[args["key"]["keyId"]]


def remove_keys(call: Call, service: KeyProviders, args: Any) -> list[Record]:
    """RemoveKeys: each with its own result."""
    found = []
    for key in args.get("keys") or []:
        known = _has(service, key)
        if known:
            remove_key(call, service, {"key": key})
        reason = {} if known else {"reason": "There is no such key."}
        found.append(Record("CryptoKeyResult", keyId=key, success=known, **reason))
    return found


def key_status(_call: Call, service: KeyProviders, args: Any) -> list[Record]:
    """QueryCryptoKeyStatus."""
    return [
        Record("CryptoManagerKmipCryptoKeyStatus", keyId=key, keyAvailable=_has(service, key)) for key in args.get("keyIds") or []
    ]


def _servers(_inventory: Inventory, service: KeyProviders) -> list[Record]:
    return [_shown(service, name, provider) for name, provider in service.providers.items()]


PROVIDER_PROPERTIES: dict[str, Property] = {
    "enabled": lambda _inventory, service: bool(service.providers),
    "kmipServers": _servers,
}
PROVIDER_OPERATIONS = {
    "RegisterKmsCluster": register_provider,
    "UnregisterKmsCluster": unregister_provider,
    "RegisterKmipServer": register_server,
    "UpdateKmipServer": update_server,
    "RemoveKmipServer": remove_server,
    "ListKmipServers": listed,
    "ListKmsClusters": listed,
    "MarkDefault": mark_default,
    "SetDefaultKmsCluster": set_default,
    "GetDefaultKmsCluster": get_default,
    "IsKmsClusterActive": active,
    "RetrieveKmipServersStatus_Task": status,
    "GenerateKey": generate,
    "ListKeys": keys,
    "RemoveKey": remove_key,
    "RemoveKeys": remove_keys,
    "QueryCryptoKeyStatus": key_status,
}
