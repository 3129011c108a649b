"""Bodies that are nearly JSON. The real Resource Manager takes comments, bare names and commas too many, and az relies on that:
it sends a template as its author wrote it, under a name without quotes.
"""

import re
from typing import Any

import orjson

#: Each alternative also matches what is never closed, so that reading is linear.
_PARTS = re.compile(
    r'(?P<text>"(?:[^"\\]|\\.)*(?:"|\Z))|(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z))|(?<=[{,\s])(?P<name>[A-Za-z_$][\w$]*)(?=\s*:)',
    re.DOTALL,
)
_COMMAS = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*(?:"|\Z))|,(?=\s*[}\]])', re.DOTALL)


def parse_json(content: bytes) -> Any:
    """The value of a body. Raises `orjson.JSONDecodeError` for what is not even nearly JSON."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        text = _PARTS.sub(_plain, content.decode("utf-8", "replace"))
        return orjson.loads(_COMMAS.sub(lambda match: match["text"] or "", text))


def _plain(match: re.Match[str]) -> str:
    if match["text"] is not None:
        return match["text"]
    return " " if match["comment"] is not None else f'"{match["name"]}"'
