"""YAML without surprises, with line numbers.

Only what a specification needs: mappings, lists, strings, plain decimal numbers, `true` and `false`. Everything that YAML 1.1
would silently turn into something else (`on`, `no`, `20:04`, `010`, dates) stays a string; duplicate keys, empty values, anchors,
tags and several documents in one file are refused with file and line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_BYTES_MAX = 4 * 1024 * 1024
_DEPTH_MAX = 40


class SpecError(Exception):
    """A mistake in a specification file. Its text is `file:line: what is wrong`."""

    def __init__(self, where: str, line: int, message: str):
        super().__init__(f"{where}:{line}: {message}")
        self.where = where
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the place it stands: a dict of name to `Node`, a list of `Node`, or a plain str, int, float or bool."""

    value: Any
    where: str
    line: int

    def error(self, message: str) -> SpecError:
        return SpecError(self.where, self.line, message)

    def mapping(self, what: str) -> "dict[str, Node]":
        if not isinstance(self.value, dict):
            raise self.error(f"{what} must be a mapping, not {self.kind}")
        return self.value

    def items(self, what: str) -> "list[Node]":
        if not isinstance(self.value, list):
            raise self.error(f"{what} must be a list, not {self.kind}")
        return self.value

    def text(self, what: str) -> str:
        if not isinstance(self.value, str):
            raise self.error(f"{what} must be a text, not {self.kind} (quote it?)")
        return self.value.strip()

    @property
    def kind(self) -> str:
        return {dict: "a mapping", list: "a list", str: "a text", bool: "true or false"}.get(type(self.value), "a number")

    def plain(self) -> Any:
        """The same without places."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def load(path: Path, where: str | None = None) -> Node:
    """The one document in a file. `where` is what messages call the file."""
    where = where or str(path)
    if path.stat().st_size > _BYTES_MAX:
        raise SpecError(where, 1, f"the file is larger than {_BYTES_MAX} bytes")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise SpecError(where, 1, "the file is not UTF-8") from problem
    return loads(text, where)


def loads(text: str, where: str) -> Node:
    """The one document in a text."""
    try:
        events = iter(yaml.parse(text, Loader=_LOADER))
        return _document(events, where)
    except yaml.YAMLError as problem:
        mark: Any = getattr(problem, "problem_mark", None)
        line = 1 if mark is None else int(mark.line) + 1
        raise SpecError(where, line, f"not YAML: {getattr(problem, 'problem', None) or problem}") from problem


def _document(events: Iterator[Any], where: str) -> Node:
    found: Node | None = None
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            if found is not None:
                mark: Any = event.start_mark
                raise SpecError(where, mark.line + 1, "a second document in one file")
            found = _node(next(events), events, where, 0)
    if found is None:
        raise SpecError(where, 1, "the file is empty")
    return found


def _node(event: Any, events: Iterator[Any], where: str, depth: int) -> Node:
    line = event.start_mark.line + 1
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise SpecError(where, line, "anchors and aliases are not part of the format")
    if event.tag is not None:
        raise SpecError(where, line, f"tags are not part of the format ({event.tag})")
    if depth > _DEPTH_MAX:
        raise SpecError(where, line, "nested too deeply")
    if isinstance(event, yaml.ScalarEvent):
        return Node(_scalar(event, where, line), where, line)
    if isinstance(event, yaml.SequenceStartEvent):
        return Node(_list(events, where, depth), where, line)
    return Node(_mapping(events, where, depth), where, line)


def _list(events: Iterator[Any], where: str, depth: int) -> list[Node]:
    found = []
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        found.append(_node(event, events, where, depth + 1))
    return found


def _mapping(events: Iterator[Any], where: str, depth: int) -> dict[str, Node]:
    found: dict[str, Node] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _node(event, events, where, depth + 1)
        if not isinstance(key.value, str):
            raise key.error(f"a key must be a text, not {key.kind}")
        if key.value in found:
            raise key.error(f"the key {key.value!r} stands twice (first on line {found[key.value].line})")
        value = _node(next(events), events, where, depth + 1)
        # The place of a value is the line of its key: that is where a reader looks.
        found[key.value] = Node(value.value, where, key.line)
    return found


def _scalar(event: Any, where: str, line: int) -> Any:
    text = event.value
    if event.style not in (None, ""):
        return text
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        return float(text)
    if text in ("", "~", "null"):
        raise SpecError(where, line, "a value is missing")
    return text
