"""Reading what others sent: a field of the wrong type counts as missing. Nothing a component says may break this one."""

from typing import Any

from reference_impl.times import epoch

Document = dict[str, Any]


def number(body: Document, name: str) -> int:
    """A count; 0 where there is none."""
    value = body.get(name)
    return int(value) if isinstance(value, int | float) and abs(value) < 1 << 63 else 0


def rows(body: Document, name: str) -> list[Document]:
    """The objects of a list."""
    value = body.get(name)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def words(body: Document, name: str) -> list[str]:
    """The strings of a list."""
    value = body.get(name)
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def tag(body: Document, name: str) -> Document | None:
    """A tag of a stream with its point, time and sequence."""
    value = body.get(name)
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in ("pointId", "time")):
        return None
    try:
        epoch(value["time"])
    except (ValueError, OverflowError):
        return None
    return value
