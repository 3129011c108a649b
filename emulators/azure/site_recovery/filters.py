"""`$filter`, `skipToken` and `takeToken` of lists: conditions joined by `and`, without case (asr-wire section 5)."""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from emulators.azure.arm import Call, Refusal
from emulators.azure.site_recovery.records import Item
from emulators.azure.site_recovery.refusals import refuse
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.states import provider_of
from emulators.azure.site_recovery.wire import Json, listing, parse_time, same

_CONDITION = re.compile(
    r"\s*(?P<name>[A-Za-z/.]+)\s+(?P<how>eq|ne|ge|gt|le|lt)\s+(?P<value>'(?:[^']|'')*'|[^\s']+)\s*", re.IGNORECASE
)
_AND = re.compile(r"and\s", re.IGNORECASE)
#: Elements on a page where a client asks for fewer than all.
_MOST = 1000

_Thing = TypeVar("_Thing")
#: Values of one thing for a field's name; a string compares without case, None is no value.
Reader = Callable[[Any], Any]


def chosen(call: Call, things: list[_Thing], fields: Mapping[str, Reader]) -> list[_Thing]:
    """The things that every condition of `$filter` holds for. `fields` are readers by lower-cased name.

    Raises `Refusal` 400 for a filter that cannot be read or names a field that this list has not.
    """
    for name, how, value in conditions(call):
        reader = fields.get(name)
        if reader is None:
            raise _invalid(f"The filter field '{name}' is not known here. Known are: {', '.join(sorted(fields))}.")
        things = [thing for thing in things if _holds(reader(thing), how, value)]
    return things


def conditions(call: Call) -> list[tuple[str, str, str]]:
    """(field in lower case, operator, value) of the call's `$filter`. Raises `Refusal` 400."""
    text, found = call.query.get("$filter", "").strip(), []
    at = 0
    while at < len(text):
        match = _CONDITION.match(text, at)
        if match is None:
            raise _invalid(f"The filter '{text}' cannot be read: Name eq 'value', joined by 'and', is what this list takes.")
        value = match["value"]
        value = value[1:-1].replace("''", "'") if value.startswith("'") else value
        found.append((match["name"].lower(), match["how"].lower(), value))
        at = match.end()
        if at < len(text):
            more = _AND.match(text, at)
            if more is None:
                raise _invalid(f"The filter '{text}' cannot be read at '{text[at : at + 20]}'.")
            at = more.end()
    return found


def item_fields(service: Service, call: Call) -> Mapping[str, Reader]:
    """What `$filter` may name in a list of protected items (ProtectedItemsQueryParameter)."""
    plans = service.vault(call).plans.values()

    def in_plans(item: Item) -> list[str]:
        return [plan.name for plan in plans if any(same(e["id"], item.id) for group in plan.groups for e in group["items"])]

    def fabric(item: Item) -> list[str]:
        found = service.fabric_of(item)
        return [found.name, found.friendly, found.id]

    return {
        "recoveryplanname": in_plans,
        "sourcefabricname": fabric,
        "sourcefabriclocation": lambda item: service.vaults[item.vault.lower()].location,
        "fabricobjectid": lambda item: [item.machine_id, item.protectable.get("infrastructureId")],
        "vcentername": lambda item: item.protectable.get("vCenterId"),
        "instancetype": provider_of,
        "multivmgroupcreateoption": lambda item: "UserSpecified" if item.shared else "AutoCreated",
        "processserverid": lambda item: item.settings.get("processServerId"),
        "friendlyname": lambda item: item.friendly,
    }


def page(call: Call, values: list[Json]) -> Json:
    """A list, or the page of it that `skipToken` and `takeToken` (or `$take`) ask for, with the link to the next one."""
    skip, take = (_number(call, name, default) for name, default in (("skiptoken", 0), ("taketoken", 0)))
    if take == 0:
        return listing(values[skip:])
    rest = values[skip + take :]
    answer = listing(values[skip : skip + take])
    if rest:
        kept = {"api-version": call.api_version, **({"$filter": call.query["$filter"]} if "$filter" in call.query else {})}
        query = "&".join(f"{name}={value}" for name, value in kept.items()).replace(" ", "%20")
        answer["nextLink"] = f"{call.base_url}{call.path}?{query}&skipToken={skip + take}&takeToken={take}"
    return answer


def _number(call: Call, name: str, default: int) -> int:
    given = call.query.get(name) or call.query.get("$" + name) or call.query.get("$" + name.removesuffix("token"))
    if given is None:
        return default
    if not given.isdigit() or len(given) > 9:
        raise _invalid(f"'{given}' is not a {name} of this service.")
    return min(int(given), _MOST) if name == "taketoken" else int(given)


def _holds(found: Any, how: str, value: str) -> bool:
    if isinstance(found, list | tuple | set | frozenset):
        return any(_holds(one, how, value) for one in found)
    if isinstance(found, float):  # a time
        try:
            other = parse_time(value)
        except ValueError:
            raise _invalid(f"'{value}' is not a time.") from None
        return {
            "eq": found == other,
            "ne": found != other,
            "ge": found >= other,
            "gt": found > other,
            "le": found <= other,
            "lt": found < other,
        }[how]
    if how not in ("eq", "ne"):
        return False
    equal = found is not None and str(found).strip("/").lower() == value.strip("/").lower()
    return equal == (how == "eq")


def _invalid(message: str) -> Refusal:
    return refuse("malformed", message)
