"""Network interfaces of the machine that a failover makes: chosen before it, per interface of the source (AVM-001 to AVM-005).

An entry of `settings["nics"]` is `{"nicId", "selected", "primary", "subnet", "address", "testSubnet", "testAddress"}`; names of
subnets, and addresses that are empty where the next free one is taken.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from emulators.azure.arm import Refusal, read
from emulators.azure.site_recovery.profiles import MODERNIZED
from emulators.azure.site_recovery.records import Item
from emulators.azure.site_recovery.refusals import refuse
from emulators.azure.site_recovery.wire import Json, same, truth

#: What an update of one interface is called, by field: classic (within an IP configuration), modernized.
_CLASSIC = {
    "subnet": "recoverySubnetName",
    "address": "recoveryStaticIPAddress",
    "testSubnet": "tfoSubnetName",
    "testAddress": "tfoStaticIPAddress",
}
_MODERNIZED = {
    "subnet": "targetSubnetName",
    "address": "targetStaticIPAddress",
    "testSubnet": "testSubnetName",
    "testAddress": "testStaticIPAddress",
}
#: What a call of before 2018 says instead.
_OLD = {"subnet": "recoveryVMSubnetName", "address": "replicaNicStaticIPAddress"}


@dataclass(frozen=True, slots=True)
class NicWish:
    """One interface to make. `address` empty takes the next free one."""

    subnet: str
    address: str
    primary: bool


def name_of(nic: Json) -> str:
    """How calls name an interface of the source."""
    return str(nic.get("macAddress") or nic.get("nicId") or "")


def initial(nics: Sequence[Json], subnet: str) -> list[Json]:
    """Every interface, the first one primary, with free addresses of the target subnet."""
    return [
        {
            "nicId": name_of(nic),
            "selected": True,
            "primary": at == 0,
            "subnet": subnet,
            "address": "",
            "testSubnet": None,
            "testAddress": "",
        }
        for at, nic in enumerate(nics)
    ]


def of(item: Item) -> list[Json]:
    found: list[Json] = item.settings["nics"]
    return found


def changed(item: Item, properties: Json, details: Json) -> list[Json]:
    """The interfaces as an update wants them. Raises `Refusal` for one that the machine has not, or a wrong address."""
    modernized = item.profile is MODERNIZED
    given = read(details if modernized else properties, "vmNics", list, [])
    entries = [dict(one) for one in of(item)]
    for wish in given:
        if not isinstance(wish, dict):
            raise _wrong("vmNics holds objects.")
        wanted = str(read(wish, "nicId", str, required=True))
        entry = next((one for at, one in enumerate(entries) if wanted.lower() in _names(item, at, one)), None)
        if entry is None:
            raise _wrong(f"The machine has no network interface '{wanted}'.")
        (_modernized_wish if modernized else _classic_wish)(entries, entry, wish)
    if given and not any(one["selected"] for one in entries):
        raise _wrong("One network interface at least has to be selected.")
    if given and not any(one["selected"] and one["primary"] for one in entries):
        first = next(one for one in entries if one["selected"])
        _make_primary(entries, first)
    return entries


def _names(item: Item, at: int, entry: Json) -> set[str]:
    nic = item.nics[at] if at < len(item.nics) else {}
    return {str(one).lower() for one in (entry["nicId"], nic.get("nicId"), nic.get("macAddress")) if one}


def _modernized_wish(entries: list[Json], entry: Json, wish: Json) -> None:
    _fields(entry, wish, _MODERNIZED)
    if wish.get("isSelectedForFailover") is not None:
        entry["selected"] = truth(wish["isSelectedForFailover"])
    if wish.get("isPrimaryNic") is not None and truth(wish["isPrimaryNic"]):
        _make_primary(entries, entry)


def _classic_wish(entries: list[Json], entry: Json, wish: Json) -> None:
    _fields(entry, wish, _OLD)
    selection = read(wish, "selectionType", str, "")
    if selection:
        entry["selected"] = selection != "NotSelected"
    configurations = [one for one in read(wish, "ipConfigs", list, []) if isinstance(one, dict)]
    for one in configurations[:1]:
        _fields(entry, one, _CLASSIC)
        chosen = one.get("isSeletedForFailover", one.get("isSelectedForFailover"))
        if chosen is not None:
            entry["selected"] = truth(chosen)
    if selection == "SelectedByUser" and truth(wish.get("isPrimary", False)):
        _make_primary(entries, entry)


def _fields(entry: Json, wish: Json, names: dict[str, str]) -> None:
    for field, name in names.items():
        value = read(wish, name, str)
        if value is None:
            continue
        if field in ("address", "testAddress") and value:
            try:
                ipaddress.IPv4Address(value)
            except ValueError:
                raise _wrong(f"'{value}' is no IPv4 address.") from None
        entry[field] = value or ("" if field in ("address", "testAddress") else None if field == "testSubnet" else entry[field])


def _make_primary(entries: list[Json], chosen: Json) -> None:
    for one in entries:
        one["primary"] = one is chosen


def wished(item: Item, *, limit: int, subnet: str, test: bool) -> list[NicWish]:
    """What to make: selected ones, the primary first, as many as the size takes (AVM-003). `subnet` is that of a test
    where an interface names none of its own (TFO-007)."""
    chosen = sorted((one for one in of(item) if one["selected"]), key=lambda one: not one["primary"])[:limit]
    wishes = []
    for at, one in enumerate(chosen):
        place = (one["testSubnet"] or subnet) if test else one["subnet"]
        own = one["testAddress"] or (one["address"] if same(place, one["subnet"]) else "")
        wishes.append(NicWish(place, own if test else one["address"], at == 0))
    return wishes or [NicWish(subnet, "", True)]


def _wrong(message: str) -> Refusal:
    return refuse("malformed", message)
