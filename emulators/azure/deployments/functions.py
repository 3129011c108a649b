"""Functions of template expressions that need nothing but their arguments. One table; a function more is a line more."""

import base64
import hashlib
import json
import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote, urljoin

from emulators.azure.deployments.expressions import LARGEST, LONGEST, ExpressionError

#: Letters of `uniqueString`, which gives 13 of them. The values are not those of the real service, whose hash is not published.
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def concat(*parts: Any) -> Any:
    if parts and all(isinstance(part, list) for part in parts):
        if sum(len(part) for part in parts) > LARGEST:
            raise ExpressionError("The array is too long.")
        return [one for part in parts for one in part]
    return _joined("", parts)


def _joined(separator: str, parts: Any) -> str:
    texts = [_text(part) for part in parts]
    if sum(len(one) + len(separator) for one in texts) > LONGEST:
        raise ExpressionError("The text is too long.")
    return separator.join(texts)


def format_text(pattern: str, *values: Any) -> str:
    """`format('{0}-{1:D3}', ...)`: numbers with D and a width are padded with zeros."""

    if len(pattern) + pattern.count("{") * max((len(_text(value)) for value in values), default=0) > LONGEST:
        raise ExpressionError("The text is too long.")

    def one(match: re.Match[str]) -> str:
        value = values[int(match[1])]
        return str(int(value)).zfill(min(int(match[2] or 0), 64)) if match[2] is not None else _text(value)

    plain = pattern.replace("{{", "\0").replace("}}", "\1")
    return re.sub(r"\{(\d+)(?::[Dd](\d+))?\}", one, plain).replace("\0", "{").replace("\1", "}")


def split(text: str, separators: Any) -> list[str]:
    wanted = [separators] if isinstance(separators, str) else separators
    return re.split("|".join(re.escape(one) for one in wanted), text)


def contains(where: Any, what: Any) -> bool:
    if isinstance(where, dict):
        return str(what).lower() in {name.lower() for name in where}
    return what in where if isinstance(where, list) else _text(what) in where


def union(*parts: Any) -> Any:
    if all(isinstance(part, dict) for part in parts):
        return {name: value for part in parts for name, value in part.items()}
    return list({json.dumps(one, sort_keys=True): one for part in parts for one in part}.values())


def intersection(first: Any, *others: Any) -> Any:
    if isinstance(first, dict):
        return {name: value for name, value in first.items() if all(name in one and one[name] == value for one in others)}
    return [one for one in first if all(one in other for other in others)]


def unique_string(*parts: Any) -> str:
    digest = int.from_bytes(hashlib.sha256("-".join(_text(part) for part in parts).encode()).digest(), "big")
    return "".join(_LETTERS[digest >> 5 * at & 31] for at in range(13))


def guid(*parts: Any) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, "-".join(_text(part) for part in parts)))


def empty(value: Any) -> bool:
    return value is None or len(value) == 0


def replace(text: str, old: str, new: str) -> str:
    if len(text) + text.count(old) * len(new) > LONGEST:
        raise ExpressionError("The text is too long.")
    return text.replace(old, new)


def pad_left(text: Any, width: int, letter: str = " ") -> str:
    return _text(text).rjust(min(width, LONGEST), letter)


def count_from(start: int, many: int) -> list[int]:
    if not 0 <= many <= 10_000:
        raise ExpressionError("The count of 'range' must be from 0 to 10000.")
    return list(range(start, start + many))


def create_object(*parts: Any) -> dict[str, Any]:
    return dict(zip(parts[::2], parts[1::2], strict=True))


def coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def boolean(value: Any) -> bool:
    return value.strip().lower() in ("true", "1") if isinstance(value, str) else bool(value)


def substring(text: str, start: int, length: int | None = None) -> str:
    if start < 0 or start > len(text) or (length is not None and (length < 0 or start + length > len(text))):
        raise ExpressionError("The 'substring' is not within the text.")
    return text[start:] if length is None else text[start : start + length]


def equals(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    return type(one) is type(other) and bool(one == other)


def items(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": value[name]} for name in sorted(value)]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _whole(value: Any) -> int:
    return int(value)


def _quotient(one: int, other: int) -> int:
    return int(one / other)


def _extreme(pick: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: pick(*(values[0] if len(values) == 1 else values))


PLAIN: dict[str, Callable[..., Any]] = {
    "add": lambda one, other: one + other,
    "and": lambda *values: all(values),
    "array": lambda value: value if isinstance(value, list) else [value],
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64tostring": lambda text: base64.b64decode(text).decode(),
    "bool": boolean,
    "coalesce": coalesce,
    "concat": concat,
    "contains": contains,
    "createarray": lambda *values: list(values),
    "createobject": create_object,
    "div": _quotient,
    "empty": empty,
    "endswith": lambda text, end: text.lower().endswith(end.lower()),
    "equals": equals,
    "false": lambda: False,
    "first": lambda value: value[0] if len(value) else ("" if isinstance(value, str) else None),
    "format": format_text,
    "greater": lambda one, other: one > other,
    "greaterorequals": lambda one, other: one >= other,
    "guid": guid,
    "indexof": lambda text, what: text.lower().find(what.lower()) if isinstance(text, str) else text.index(what),
    "int": _whole,
    "intersection": intersection,
    "items": items,
    "join": lambda values, separator: _joined(separator, values),
    "json": json.loads,
    "last": lambda value: value[-1] if len(value) else ("" if isinstance(value, str) else None),
    "lastindexof": lambda text, what: text.lower().rfind(what.lower()),
    "length": lambda value: len(value),
    "less": lambda one, other: one < other,
    "lessorequals": lambda one, other: one <= other,
    "max": _extreme(max),
    "min": _extreme(min),
    "mod": lambda one, other: one % other,
    "mul": lambda one, other: one * other,
    "not": lambda value: not value,
    "null": lambda: None,
    "or": lambda *values: any(values),
    "padleft": pad_left,
    "range": count_from,
    "replace": replace,
    "skip": lambda value, many: value[max(0, many) :],
    "split": split,
    "startswith": lambda text, start: text.lower().startswith(start.lower()),
    "string": _text,
    "sub": lambda one, other: one - other,
    "substring": substring,
    "take": lambda value, many: value[: max(0, many)],
    "tolower": lambda text: text.lower(),
    "toupper": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "true": lambda: True,
    "union": union,
    "uniquestring": unique_string,
    "uri": urljoin,
    "uricomponent": lambda text: quote(text, safe=""),
    "uricomponenttostring": unquote,
}
