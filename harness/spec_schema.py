"""The format of specification files as JSON Schema, made from the vocabulary, for editors: `drillbed schema spec`.

A file that an editor accepts may still be refused by the loader, which also knows sources and positive twins.
"""

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from harness.cases import SCENARIO_KEYS
from harness.spec import FORMAT, REQUIREMENT_KEYS
from harness.terms import Nested, terms
from harness.vocabulary import vocabulary
from harness.vocabulary.word import Word

PARTS = ("given", "but", "when", "then")
_PARAMETER = {"type": "string", "pattern": r"^\$\{[a-z][a-z0-9_]*\}$"}
_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0},
    float: {"type": "number"},
}


def spec_schema() -> dict[str, Any]:
    """One file of requirements."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:drillbed:spec:{FORMAT}",
        "title": f"Requirements and their scenarios, format {FORMAT}",
        "type": "object",
        "additionalProperties": False,
        "required": ["format", "area", "requirements"],
        "properties": {
            "format": {"const": FORMAT},
            "area": {"type": "string"},
            "requirements": {
                "type": "object",
                "propertyNames": {"pattern": "^[A-Z]{2,4}-[0-9]{3}$"},
                "additionalProperties": {"$ref": "#/$defs/requirement"},
            },
        },
        "$defs": {
            "requirement": _requirement(),
            "scenario": _scenario(),
            "source": _list(_object({name: {"type": "string"} for name in ("page", "says", "row")}, ["page", "says"])),
            **{part: {"type": "array", "items": {"anyOf": _steps(part)}} for part in PARTS},
        },
    }


def _requirement() -> dict[str, Any]:
    text = {"type": "string"}
    shapes: dict[str, Any] = {
        "level": _term("levels"),
        "profile": _term("profiles"),
        "claim": _term("claims"),
        "status": _term("statuses"),
        "eras": _list({"type": "integer"}),
        "needs": _list(_term("capabilities")),
        "source": {"$ref": "#/$defs/source"},
        "against": {"$ref": "#/$defs/source"},
        "scenarios": {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/scenario"}},
    }
    properties = {name: shapes.get(name, text) for name in sorted(REQUIREMENT_KEYS)}
    return _object(properties, ["level", "profile", "claim", "statement", "source", "scenarios"])


def _scenario() -> dict[str, Any]:
    shapes: dict[str, Any] = {part: {"$ref": f"#/$defs/{part}"} for part in PARTS}
    shapes["otherwise"] = shapes["then"]
    shapes["needs"] = _list(_term("capabilities"))
    shapes["matrix"] = {"type": "object", "additionalProperties": {"type": "array", "minItems": 1}}
    shapes["cases"] = _list({"type": "object"})
    return _object({name: shapes[name] for name in sorted(SCENARIO_KEYS)}, ["then"])


def _steps(part: str) -> list[dict[str, Any]]:
    """Each word of a part: bare where no argument is needed, or an object with one key."""
    words = [word for (of, _), word in vocabulary().items() if of == part]
    bare = [
        word.name for word in words if not any(argument.required for argument in word.grammar.arguments) and not word.grammar.rest
    ]
    return [{"enum": sorted(bare)}] + [_object({word.name: _value(word)}, [word.name]) for word in words if _takes(word)]


def _takes(word: Word) -> bool:
    return bool(word.grammar.arguments) or word.grammar.rest


def _value(word: Word) -> dict[str, Any]:
    shapes = {argument.name: _shape(argument.type) for argument in word.grammar.arguments}
    named: dict[str, Any] = _object(shapes, [argument.name for argument in word.grammar.arguments if argument.required])
    if word.grammar.rest:
        named["additionalProperties"] = True
    named["description"] = word.meaning
    if len(shapes) == 1 and not word.grammar.rest:
        return {"anyOf": [named, *shapes.values()]}
    return named


def _shape(kind: Any) -> dict[str, Any]:
    origin = get_origin(kind)
    if origin is Annotated:
        marker = get_args(kind)[1]
        return {"$ref": "#/$defs/then"} if isinstance(marker, Nested) else _or_parameter(_term(marker.of))
    if origin in (Union, types.UnionType):
        return {"anyOf": [_shape(option) for option in get_args(kind) if option is not type(None)]}
    if origin is Literal:
        return _or_parameter({"enum": list(get_args(kind))})
    if origin is list:
        return _or_parameter(_list(_shape(get_args(kind)[0])))
    if origin is tuple:
        items = [_shape(option) for option in get_args(kind)]
        return _or_parameter({"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)})
    return _or_parameter(_SCALARS[kind])


def _or_parameter(shape: dict[str, Any]) -> dict[str, Any]:
    return shape if shape == _SCALARS[str] else {"anyOf": [shape, _PARAMETER]}


def _term(of: str) -> dict[str, Any]:
    return {"enum": list(terms()[of])}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}
