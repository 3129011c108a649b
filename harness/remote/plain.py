"""Values of `harness.product` as JSON and back. Nothing that comes from outside is believed: a wrong type is a `PlainError`."""

import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from harness.product import Accepted, Answer, Refused, Unsupported

#: What the `answer` of an act may be.
ANSWERS: dict[str, type] = {"accepted": Accepted, "refused": Refused, "unsupported": Unsupported}


class PlainError(Exception):
    """A value that is not of its type; the text says where and what was expected."""


def to_plain(value: Any) -> Any:
    """A value of the protocols as JSON has it."""
    if isinstance(value, Accepted | Refused | Unsupported):
        name = next(name for name, kind in ANSWERS.items() if isinstance(value, kind))
        return {"answer": name} | _fields_of(value)
    if is_dataclass(value):
        return _fields_of(value)
    if isinstance(value, AbstractSet):
        return sorted(value)
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def _fields_of(value: Any) -> dict[str, Any]:
    return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}


def from_plain(value: Any, kind: Any, what: str) -> Any:
    """JSON as a value of the type `kind`; `what` names it in the error."""
    if kind == Answer:
        return _answer(value, what)
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _optional(value, kind, what)
    if origin in (list, tuple, frozenset, Sequence):
        return _many(value, kind, origin, what)
    if is_dataclass(kind):
        return _record(value, kind, what)
    return _scalar(value, kind, what)


def _answer(value: Any, what: str) -> Answer:
    if not isinstance(value, dict) or value.get("answer") not in ANSWERS:
        raise PlainError(f"{what} must be an object whose `answer` is {', '.join(ANSWERS)}, not {_short(value)}")
    rest = {name: item for name, item in value.items() if name != "answer"}
    found: Answer = _record(rest, ANSWERS[value["answer"]], what)
    return found


def _optional(value: Any, kind: Any, what: str) -> Any:
    if value is None and type(None) in get_args(kind):
        return None
    (inner,) = [option for option in get_args(kind) if option is not type(None)]
    return from_plain(value, inner, what)


def _many(value: Any, kind: Any, origin: Any, what: str) -> Any:
    if not isinstance(value, list):
        raise PlainError(f"{what} must be a list, not {_short(value)}")
    inner = get_args(kind)[0]
    items = [from_plain(item, inner, f"{what}[{number}]") for number, item in enumerate(value)]
    return items if origin in (list, Sequence) else origin(items)


def _record(value: Any, kind: Any, what: str) -> Any:
    if not isinstance(value, Mapping):
        raise PlainError(f"{what} must be an object, not {_short(value)}")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    for name in value:
        if name not in known:
            raise PlainError(f"{what} has no {name!r} (known: {', '.join(known)})")
    for name, field in known.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise PlainError(f"{what} lacks {name!r}")
    return kind(**{name: from_plain(item, hints[name], f"{what}.{name}") for name, item in value.items()})


#: Python type to the JSON types that stand for it, and the word for people. `true` is no number.
_SCALARS: dict[Any, tuple[tuple[type, ...], str]] = {
    str: ((str,), "a text"),
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((float, int), "a number"),
}


def _scalar(value: Any, kind: Any, what: str) -> Any:
    if kind is type(None):
        return None
    allowed, name = _SCALARS[kind]
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise PlainError(f"{what} must be {name}, not {_short(value)}")
    return value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
