"""The messages of `protocol` as JSON Schema, made from the signatures of `harness.product`: `drillbed schema driver`."""

import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from harness.product import Answer, Description, Setup
from harness.remote.plain import ANSWERS
from harness.remote.protocol import BROKEN, PROTOCOL, UNOBSERVABLE, Method, session_methods, world_methods

_TYPES: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
}
_OWN = (
    Method("describe", {"protocol": (int, inspect.Parameter.empty)}, Description),
    Method("open", {"setup": (Setup, inspect.Parameter.empty)}, type(None)),
    Method("close", {}, type(None)),
)


def driver_schema() -> dict[str, Any]:
    """Every message: `asked` and `returned` are the harness's, `result`, `failed` and `call` the driver's."""
    methods = {method.name: method for method in (*_OWN, *session_methods().values())}
    kinds = {kind.__name__: kind for method in (*methods.values(), *world_methods().values()) for kind in _kinds(method)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:drillbed:driver:{PROTOCOL}",
        "title": f"A message between the harness and a driver, protocol {PROTOCOL}",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in ("asked", "returned", "result", "call", "failed")],
        "$defs": {
            "asked": {"oneOf": [_asked(method) for method in methods.values()]},
            "returned": _object({"return": True}, ["return"]),
            "result": _object({"id": {"type": "integer"}, "result": {"anyOf": _results(methods)}}, ["id", "result"]),
            "call": {"oneOf": [_call(method) for method in world_methods().values()]},
            "failed": _object(
                {"id": {"type": "integer"}, "failed": {"enum": [UNOBSERVABLE, BROKEN]}, "message": {"type": "string"}}, ["failed"]
            ),
            "answer": {"oneOf": [_answer(name, kind) for name, kind in ANSWERS.items()]},
            **{name: _record(kind) for name, kind in sorted(kinds.items())},
        },
    }


def _results(methods: Mapping[str, Method]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for method in methods.values():
        shape = _shape(method.result)
        if shape not in found:
            found.append(shape)
    return found


def _asked(method: Method) -> dict[str, Any]:
    head: dict[str, Any] = {"id": {"type": "integer"}, "method": {"const": method.name}}
    if method.name != "describe":
        head["session"] = {"type": "integer"}
    return _object(head | {"arguments": _arguments(method)}, [*head, "arguments"])


def _call(method: Method) -> dict[str, Any]:
    return _object({"call": {"const": method.name}, "arguments": _arguments(method)}, ["call"])


def _arguments(method: Method) -> dict[str, Any]:
    shapes = {name: _shape(kind) for name, (kind, _) in method.arguments.items()}
    return _object(shapes, [name for name, (_, default) in method.arguments.items() if default is inspect.Parameter.empty])


def _answer(name: str, kind: type) -> dict[str, Any]:
    shape = _record(kind)
    return _object({"answer": {"const": name}} | shape["properties"], ["answer", *shape["required"]])


def _record(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    return _object({one.name: _shape(hints[one.name]) for one in fields(kind)}, needed)


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _shape(kind: Any) -> dict[str, Any]:
    if kind == Answer:
        return {"$ref": "#/$defs/answer"}
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_shape(option) for option in get_args(kind)]}
    if origin in (list, tuple, frozenset, Sequence):
        return {"type": "array", "items": _shape(get_args(kind)[0])}
    return _TYPES.get(kind) or {"$ref": f"#/$defs/{kind.__name__}"}


def _kinds(method: Method) -> list[Any]:
    """The records that a method's arguments and result hold, and those inside them."""
    found: list[Any] = []
    waiting = [method.result, *(kind for kind, _ in method.arguments.values())]
    while waiting:
        kind = waiting.pop()
        if kind == Answer:
            continue
        if is_dataclass(kind) and kind not in found:
            found.append(kind)
            waiting += get_type_hints(kind).values()
        waiting += get_args(kind)
    return found
