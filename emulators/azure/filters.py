"""`$filter` of resource lists: `field eq 'x'`, `ne`, `startswith(field, 'x')`, `substringof('x', field)`, with `and` and `or`."""

import re
from collections.abc import Callable

from emulators.azure.arm import Refusal, Resource

Keep = Callable[[Resource], bool]

_COMPARE = re.compile(r"(\w+)\s+(eq|ne)\s+'((?:[^']|'')*)'", re.IGNORECASE)
_STARTS = re.compile(r"startswith\(\s*(\w+)\s*,\s*'((?:[^']|'')*)'\s*\)", re.IGNORECASE)
_CONTAINS = re.compile(r"substringof\(\s*'((?:[^']|'')*)'\s*,\s*(\w+)\s*\)", re.IGNORECASE)
#: Words between quotes are not split at.
_AND, _OR = (re.compile(rf"\s+{word}\s+(?=(?:[^']*'[^']*')*[^']*$)", re.IGNORECASE) for word in ("and", "or"))

#: What a resource can be asked for; each gives the values of which one must fit.
_FIELDS: dict[str, Callable[[Resource], list[str]]] = {
    "resourcetype": lambda one: [one.type],
    "resourcegroup": lambda one: [one.group],
    "name": lambda one: [one.name],
    "location": lambda one: [one.location],
    "tagname": lambda one: list(one.body.get("tags") or {}),
    "tagvalue": lambda one: list((one.body.get("tags") or {}).values()),
}


def read_filter(text: str) -> Keep:
    """What a filter keeps; everything when it is empty. Raises `Refusal` 400 `InvalidFilterInQueryString`."""
    if not text.strip():
        return _everything
    either = [_together(part, text) for part in _OR.split(text.strip())]
    return lambda resource: any(keep(resource) for keep in either)


def _everything(resource: Resource) -> bool:
    return True


def _together(text: str, whole: str) -> Keep:
    parts = [part.strip() for part in _AND.split(text)]
    clauses = [_clause(part, whole) for part in parts]
    name, value = (_equal_to(parts, field) for field in ("tagname", "tagvalue"))
    if name is not None and value is not None:  # the two belong to one tag
        clauses.append(lambda resource: _tag(resource, name) == value.lower())
    return lambda resource: all(keep(resource) for keep in clauses)


def _equal_to(parts: list[str], field: str) -> str | None:
    for part in parts:
        match = _COMPARE.fullmatch(part)
        if match is not None and (match[1].lower(), match[2].lower()) == (field, "eq"):
            return _text(match[3])
    return None


def _tag(resource: Resource, name: str) -> str | None:
    tags: dict[str, str] = resource.body.get("tags") or {}
    return next((value.lower() for tag, value in tags.items() if tag.lower() == name.lower()), None)


def _clause(part: str, whole: str) -> Keep:
    compare, starts, contains = (pattern.fullmatch(part) for pattern in (_COMPARE, _STARTS, _CONTAINS))
    if compare is not None:
        values, wanted, positive = _field(compare[1], whole), _text(compare[3]).lower(), compare[2].lower() == "eq"
        return lambda resource: any(value.lower() == wanted for value in values(resource)) == positive
    if starts is not None:
        values, wanted = _field(starts[1], whole), _text(starts[2]).lower()
        return lambda resource: any(value.lower().startswith(wanted) for value in values(resource))
    if contains is not None:
        values, wanted = _field(contains[2], whole), _text(contains[1]).lower()
        return lambda resource: any(wanted in value.lower() for value in values(resource))
    raise _invalid(whole)


def _field(name: str, whole: str) -> Callable[[Resource], list[str]]:
    if name.lower() not in _FIELDS:
        raise _invalid(whole)
    return _FIELDS[name.lower()]


def _text(quoted: str) -> str:
    return quoted.replace("''", "'")


def _invalid(text: str) -> Refusal:
    return Refusal(400, "InvalidFilterInQueryString", f"Invalid $filter '{text}' specified in the query string.")
