"""What a value has that a model of an azure-mgmt package does not know: names, types, discriminators."""

import functools
import importlib
import re
from collections.abc import Iterator
from datetime import datetime
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

#: What the real service sends although no model has it (arm-clients section 9, recorded sessions of it), by model.
REAL_BUT_UNDECLARED: dict[str, set[str]] = {
    "RecoveryPlanInMageAzureV2Details": {"rtoInSeconds"},
    "InMageRcmProtectedDiskDetails": {"targetBlobUri"},
    "PolicyProperties": {"status", "associatedItemsCount", "dataSourceType"},
    "OperationResource": {"percentComplete"},
}

#: Discriminator values of recorded sessions that no model has: a task without particulars.
REAL_BUT_UNDECLARED_TYPES = {"TaskDetails", "GroupTaskDetails"}


@functools.cache
def fields(model: Any) -> tuple[dict[str, Any], str]:
    """Wire name -> type of a model's fields, and the wire name of its discriminator."""
    known = importlib.import_module(model.__module__)
    hints = get_type_hints(model, vars(known), {"_models": importlib.import_module(model.__module__.rpartition(".")[0])})
    found, discriminator = {}, ""
    for owner in reversed(model.__mro__):
        for name, value in vars(owner).items():
            if type(value).__name__ == "_RestField":
                wire = value._rest_name_input or name
                found[wire] = hints.get(name, Any)
                if value._is_discriminator:
                    discriminator = wire
    return found, discriminator


@functools.cache
def subtypes_of(model: Any) -> dict[str, Any]:
    """Discriminator value -> model, for all that derive from a model, however deep."""
    found: dict[str, Any] = {}
    for value, one in vars(model).get("__mapping__", {}).items():  # not an inherited one
        found[value] = one
        if one is not model:
            found.update(subtypes_of(one))
    return found


def check(value: Any, kind: Any, where: str) -> Iterator[str]:
    """What a value has that its type does not know: names, types, discriminators. Null is fine everywhere, as with Azure."""
    if value is None or kind is Any:
        return
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        yield from _check_union(value, [one for one in get_args(kind) if one is not type(None)], where)
    elif origin in (list, dict):
        yield from _check_container(value, origin, get_args(kind), where)
    elif isinstance(kind, type) and hasattr(kind, "_deserialize") and hasattr(kind, "as_dict"):
        yield from _check_model(value, kind, where)
    elif not _is_scalar(value, kind):
        yield f"{where}: {value!r:.60} is no {getattr(kind, '__name__', kind)}"


def _check_union(value: Any, kinds: list[Any], where: str) -> Iterator[str]:
    tried = [list(check(value, kind, where)) for kind in kinds]
    if all(tried):
        yield from min(tried, key=len)


def _check_container(value: Any, origin: type, of: tuple[Any, ...], where: str) -> Iterator[str]:
    if not isinstance(value, origin):
        yield f"{where}: {value!r:.60} is no {origin.__name__}"
        return
    inner = of[-1] if of else Any
    for entry in value.values() if isinstance(value, dict) else value:
        yield from check(entry, inner, f"{where}[]")


def _check_model(value: Any, model: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where}: {value!r:.60} is no {model.__name__}"
        return
    known, discriminator = fields(model)
    chosen = value.get(discriminator) if discriminator else None
    subtypes = subtypes_of(model)
    if chosen in subtypes:
        model = subtypes[chosen]
        known, _ = fields(model)
    elif chosen is not None and subtypes and chosen not in REAL_BUT_UNDECLARED_TYPES:
        yield f"{where}.{discriminator}: {chosen!r} is not one of {sorted(subtypes)}"
    allowed = REAL_BUT_UNDECLARED.get(model.__name__, set())
    for name, entry in value.items():
        if name in known:
            yield from check(entry, known[name], f"{where}.{name}")
        elif name not in allowed:
            yield f"{where}.{name}: {model.__name__} has no such name"


def _is_scalar(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return isinstance(value, str)
    if kind is bool:
        return isinstance(value, bool)
    if kind in (int, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is datetime:
        return isinstance(value, str) and (value == "" or bool(re.match(r"\d{4}-\d\d-\d\d", value)))
    return isinstance(value, str) if isinstance(kind, type) and kind not in (object, dict, list) else True
