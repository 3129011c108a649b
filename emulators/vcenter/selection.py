"""Which objects and paths a property filter specification means: object sets, traversals, selection by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from emulators.vcenter import properties, schema
from emulators.vcenter.authorization import may_read
from emulators.vcenter.faults import Fault, not_found
from emulators.vcenter.inventory import Call
from emulators.vcenter.records import Record, Ref

_MOST_STEPS = 5_000_000


@dataclass(frozen=True, slots=True)
class Selected:
    """An object that a filter sees, with the paths asked of it."""

    managed: Any
    paths: tuple[str, ...]


def find(call: Call, ref: Ref) -> Any:
    """The object of a reference, also one of the session's own (views, filters). Raises `ManagedObjectNotFound`."""
    found = call.inventory.find(ref.moid)
    if found is None and call.session is not None:
        found = call.session.objects.get(ref.moid)
    if found is None:
        raise not_found(ref)
    return found


def check(spec: Record) -> None:
    """Refuse paths and types that cannot be. Raises `InvalidProperty`, `InvalidArgument`."""
    for prop in spec["propSet"] or []:
        if not schema.exists(prop["type"]) or schema.named(prop["type"]).category != "ref":
            raise Fault("InvalidArgument", f"{prop['type']} is not a managed type.", invalidProperty="specSet.propSet.type")
        for path in prop["pathSet"] or []:
            (name, _), *_rest = properties.steps(path)
            if schema.property_of(prop["type"], name) is None:
                raise properties.invalid_property(path)


def select(call: Call, spec: Record) -> dict[str, Selected]:
    """Everything a FilterSpec selects, in the order it is met."""
    found: dict[str, Selected] = {}
    for start in spec["objectSet"] or []:
        for managed in _walk(call, start, spec["reportMissingObjectsInResults"]):
            if managed.moid not in found and may_read(call.inventory, call.user, managed):
                paths = _paths(call, spec, managed)
                if paths is not None:
                    found[managed.moid] = Selected(managed, paths)
    return found


def _paths(call: Call, spec: Record, managed: Any) -> tuple[str, ...] | None:
    paths: dict[str, None] = {}
    matched = False
    for prop in spec["propSet"] or []:
        if schema.is_a(managed.kind, prop["type"]):
            matched = True
            paths.update(dict.fromkeys(properties.every(call, managed) if prop["all"] else prop["pathSet"] or ()))
    return tuple(paths) if matched else None


def _walk(call: Call, start: Record, lenient: bool) -> Iterator[Any]:
    try:
        managed = find(call, start["obj"])
    except Fault:
        if lenient:
            return
        raise
    if not start["skip"]:
        yield managed
    selections = start["selectSet"] or []
    named = dict(_named(selections))
    seen: set[tuple[str, int]] = set()
    rest: list[tuple[Any, Record]] = [(managed, selection) for selection in reversed(selections)]
    while rest:
        managed, selection = rest.pop()
        traversal = _resolve(named, selection)
        if (managed.moid, id(traversal)) in seen or not schema.is_a(managed.kind, traversal["type"]):
            continue
        seen.add((managed.moid, id(traversal)))
        if len(seen) > _MOST_STEPS:
            raise Fault("InvalidArgument", "The traversal is too large.", invalidProperty="specSet.objectSet.selectSet")
        reached = _targets(call, managed, traversal["path"])
        if not traversal["skip"]:
            yield from reached
        inner = traversal["selectSet"] or []
        rest += [(target, selection) for target in reversed(reached) for selection in reversed(inner)]


def walked(spec: Record) -> Iterator[str]:
    """The properties that the traversals of a FilterSpec walk, by their first names."""
    for start in spec["objectSet"] or []:
        rest = list(start["selectSet"] or [])
        while rest:
            one = rest.pop()
            if one.kind == "TraversalSpec":
                yield properties.top_of(one["path"])
                rest += one["selectSet"] or []


def _resolve(named: dict[str, Record], selection: Record) -> Record:
    if selection.kind == "TraversalSpec":
        return selection
    traversal = named.get(selection["name"] or "")
    if traversal is None:
        raise Fault("InvalidArgument", f"There is no traversal named {selection['name']}.", invalidProperty="selectSet.name")
    return traversal


def _named(selections: list[Record]) -> Iterator[tuple[str, Record]]:
    rest = list(selections)
    while rest:
        selection = rest.pop()
        if selection.kind == "TraversalSpec":
            if selection["name"]:
                yield selection["name"], selection
            rest += selection["selectSet"] or []


def _targets(call: Call, managed: Any, path: str) -> list[Any]:
    value = properties.read(call, managed, path)
    refs = [] if value is None else value.value if isinstance(value.value, list) else [value.value]
    found = []
    for one in refs:
        if not isinstance(one, Ref):
            raise properties.invalid_property(path)
        target = call.inventory.find(one.moid) or (call.session.objects.get(one.moid) if call.session else None)
        if target is not None:
            found.append(target)
    return found
