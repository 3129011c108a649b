"""Template expressions: `[concat(parameters('prefix'), '-nic')]`, parsed and evaluated.

A text is an expression when it begins with `[` and ends with `]`; `[[` stands for a literal `[`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: What an expression can call: arguments in, value out. Names are lower case.
Functions = Mapping[str, Callable[..., Any]]

#: Calls inside calls that are still taken.
_DEEPEST = 60

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_][\w.]*?(?=\s*\()|[A-Za-z_]\w*)|(?P<sign>[(),.\[\]]))"
)


#: Letters of a text, and values of a structure counted at every depth, that an expression may make.
LONGEST, LARGEST = 1 << 20, 100_000


class ExpressionError(Exception):
    """The expression cannot be read or evaluated; the message says why."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Invocation:
    """A function with its arguments."""

    name: str
    arguments: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Access:
    """`of.name` or `of[index]`."""

    of: "Node"
    key: "Node"


Node = Literal | Invocation | Access


def measured(value: Any) -> Any:
    """`value`, unless it has grown out of bounds: variables that use each other twice double at every step."""
    seen, letters, waiting = 0, 0, [value]
    while waiting:
        one = waiting.pop()
        seen += 1
        letters += len(one) if isinstance(one, str) else 0
        if seen > LARGEST or letters > LONGEST:
            raise ExpressionError("The value of a template expression is too large")
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return value


def is_expression(text: str) -> bool:
    return text.startswith("[") and text.endswith("]") and not text.startswith("[[")


def resolve(value: Any, functions: Functions) -> Any:
    """`value` with every expression in it evaluated, at whatever depth, keys too. Raises `ExpressionError`."""
    if isinstance(value, str):
        if is_expression(value):
            return evaluate(parse(value[1:-1]), functions)
        return value[1:] if value.startswith("[[") else value
    if isinstance(value, list):
        return [resolve(one, functions) for one in value]
    if isinstance(value, dict):
        return {str(resolve(name, functions)): resolve(one, functions) for name, one in value.items()}
    return value


def called(value: Any, name: str) -> list[tuple[Node, ...]]:
    """The arguments of every call of a function in `value`, wherever it is."""
    found: list[tuple[Node, ...]] = []
    if isinstance(value, str) and is_expression(value):
        _collect(parse(value[1:-1]), name.lower(), found)
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            found += called(one, name)
    return found


def _collect(node: Node, name: str, found: list[tuple[Node, ...]]) -> None:
    if isinstance(node, Invocation):
        if node.name == name:
            found.append(node.arguments)
        for argument in node.arguments:
            _collect(argument, name, found)
    elif isinstance(node, Access):
        _collect(node.of, name, found)
        _collect(node.key, name, found)


def parse(text: str) -> Node:
    """The expression of a text, which is without its brackets. Raises `ExpressionError`."""
    reading = _Reading(text)
    node = reading.expression(0)
    if reading.kind:
        raise ExpressionError(f"The expression '{text}' has something behind its end: '{reading.word}'.")
    return node


class _Reading:
    """A text read from left to right, one token ahead."""

    def __init__(self, text: str):
        self.text, self.at = text, 0
        self.kind, self.word = "", ""
        self.advance()

    def advance(self) -> None:
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            if self.text[self.at :].strip():
                raise ExpressionError(f"The expression '{self.text}' cannot be read at '{self.text[self.at :][:20]}'.")
            self.kind = self.word = ""
            return
        self.kind, self.at = str(match.lastgroup), match.end()
        self.word = match[self.kind]

    def need(self, sign: str) -> None:
        if self.kind != "sign" or self.word != sign:
            raise ExpressionError(f"The expression '{self.text}' lacks '{sign}'.")
        self.advance()

    def expression(self, depth: int) -> Node:
        if depth > _DEEPEST:
            raise ExpressionError(f"The expression '{self.text[:50]}...' is nested too deeply.")
        node = self._first(depth)
        while self.kind == "sign" and self.word in ".[":
            if self.word == ".":
                self.advance()
                if self.kind != "name":
                    raise ExpressionError(f"The expression '{self.text}' has no name behind a dot.")
                node = Access(node, Literal(self.word))
                self.advance()
            else:
                self.advance()
                node = Access(node, self.expression(depth + 1))
                self.need("]")
        return node

    def _first(self, depth: int) -> Node:
        kind, word = self.kind, self.word
        if kind not in ("text", "number", "name"):
            raise ExpressionError(f"The expression '{self.text}' has no value where one is needed.")
        self.advance()
        if kind == "text":
            return Literal(word[1:-1].replace("''", "'"))
        if kind == "number":
            return Literal(int(word))
        self.need("(")
        arguments: list[Node] = []
        while not (self.kind == "sign" and self.word == ")"):
            if arguments:
                self.need(",")
            arguments.append(self.expression(depth + 1))
        self.advance()
        return Invocation(word.lower(), tuple(arguments))


def evaluate(node: Node, functions: Functions) -> Any:
    """The value of an expression. Raises `ExpressionError`."""
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Access):
        return _part(evaluate(node.of, functions), evaluate(node.key, functions))
    if node.name == "if":
        if len(node.arguments) != 3:
            raise ExpressionError("The template function 'if' takes three arguments.")
        return evaluate(node.arguments[1 if evaluate(node.arguments[0], functions) else 2], functions)
    function = functions.get(node.name)
    if function is None:
        raise ExpressionError(f"The template function '{node.name}' is not valid.")
    arguments = [evaluate(one, functions) for one in node.arguments]
    try:
        return function(*arguments)
    except ExpressionError:
        raise
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError) as error:
        raise ExpressionError(f"The template function '{node.name}' cannot take these arguments: {error}.") from None


def _part(whole: Any, key: Any) -> Any:
    if isinstance(whole, dict) and isinstance(key, str):
        found = next((name for name in whole if name.lower() == key.lower()), None)
        if found is None:
            raise ExpressionError(f"The language expression property '{key}' doesn't exist.")
        return whole[found]
    if isinstance(whole, list) and isinstance(key, int) and 0 <= key < len(whole):
        return whole[key]
    raise ExpressionError(f"The language expression property '{key}' can't be evaluated.")
