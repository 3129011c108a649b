"""What a word is: a name, the parts of a scenario it may stand in, and a function whose signature is the word's grammar.

The first parameter of the function is the `Run`; the others are the word's arguments, by name (a trailing underscore is dropped:
`from_` is written `from`). A parameter without a default is required. `**judgements` takes further judgement words. A word in
which the first argument is all there is may be written with that value directly.
"""

import inspect
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from harness.strict_yaml import Node
from harness.terms import Nested, Term, terms

#: Where a word may stand. `then` covers `otherwise`.
SETUP = frozenset({"given", "but"})
ANYWHERE_BUT_THEN = frozenset({"given", "but", "when"})
WHEN = frozenset({"when"})
THEN = frozenset({"then"})

CompileSteps = Callable[[Node], tuple[Any, ...]]


@dataclass(frozen=True)
class Word:
    """One entry of the vocabulary."""

    name: str
    parts: frozenset[str]
    function: Callable[..., Any]
    example: str = ""
    compares: str = ""  #: the argument that names a thing to be looked at before `when`

    @cached_property
    def grammar(self) -> "Grammar":
        return grammar_of(self.function)

    @property
    def meaning(self) -> str:
        return inspect.getdoc(self.function) or ""

    def signature(self) -> str:
        """How it is written, for people."""
        if not self.grammar.arguments:
            return self.name
        parts = [f"{a.name}{'' if a.required else '?'}: {describe(a.type)}" for a in self.grammar.arguments]
        if self.grammar.rest:
            parts.append("<judgements>")
        return f"{self.name}: {{{', '.join(parts)}}}"

    def compile(self, node: Node | None, place: Node, steps: CompileSteps) -> dict[str, Any]:
        """The arguments as Python values, or a `SpecError` with the place of the mistake."""
        if node is None:
            given: Mapping[str, Node] = {}
        elif isinstance(node.value, dict):
            given = node.value
        elif len(self.grammar.arguments) == 1:
            given = {self.grammar.arguments[0].name: node}
        else:
            raise node.error(f"`{self.name}` takes named arguments: {self.signature()}")
        return self._arguments(given, place, steps)

    def _arguments(self, given: Mapping[str, Node], place: Node, steps: CompileSteps) -> dict[str, Any]:
        known = {argument.name: argument for argument in self.grammar.arguments}
        values: dict[str, Any] = {}
        rest: dict[str, Node] = {}
        for name, node in given.items():
            if name in known:
                what = f"`{name}` of `{self.name}`"
                values[known[name].parameter] = compile_value(node, known[name].type, what, steps)
            elif self.grammar.rest:
                rest[name] = node
            else:
                raise node.error(f"`{self.name}` has no argument `{name}`: {self.signature()}")
        for argument in self.grammar.arguments:
            if argument.required and argument.parameter not in values:
                raise place.error(f"`{self.name}` needs `{argument.name}`: {self.signature()}")
        if self.grammar.rest:
            if not rest:
                raise place.error(f"`{self.name}` needs at least one judgement")
            inner = [Node({name: node}, node.where, node.line) for name, node in rest.items()]
            values["judgements"] = steps(Node(inner, place.where, place.line))
        return values


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    parameter: str
    type: Any
    required: bool


@dataclass(frozen=True, slots=True)
class Grammar:
    arguments: tuple[Argument, ...] = field(default=())
    rest: bool = False


def grammar_of(function: Callable[..., Any]) -> Grammar:
    """A word's arguments, from its function's signature."""
    hints = get_type_hints(function, include_extras=True)
    arguments = []
    rest = False
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.name == "judgements" and parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            rest = True
            continue
        required = parameter.default is inspect.Parameter.empty
        arguments.append(Argument(parameter.name.rstrip("_"), parameter.name, hints[parameter.name], required))
    return Grammar(tuple(arguments), rest)


def compile_value(node: Node, kind: Any, what: str, steps: CompileSteps) -> Any:
    """`node` as a value of the type `kind`, or a `SpecError` that says what was expected."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _marked(node, kind, what, steps)
    if origin in (Union, types.UnionType):
        return _one_of_types(node, [option for option in get_args(kind) if option is not type(None)], what, steps)
    if origin is Literal:
        if node.value not in get_args(kind) or isinstance(node.value, bool):
            raise node.error(f"{what} must be one of {', '.join(map(str, get_args(kind)))}, not {node.plain()!r}")
        return node.value
    if origin is list:
        return [compile_value(item, get_args(kind)[0], what, steps) for item in node.items(what)]
    if origin is tuple:
        items = node.items(what)
        if len(items) != len(get_args(kind)):
            raise node.error(f"{what} must be a list of {describe(kind)}")
        return tuple(compile_value(item, option, what, steps) for item, option in zip(items, get_args(kind), strict=True))
    return _scalar(node, kind, what)


def _marked(node: Node, kind: Any, what: str, steps: CompileSteps) -> Any:
    marker = get_args(kind)[1]
    if isinstance(marker, Nested):
        return steps(node)
    if isinstance(marker, Term):
        known = terms()[marker.of]
        value = node.value
        if not isinstance(value, str) or value not in known:
            raise node.error(f"{what}: {node.plain()!r} is not one of the {marker.of} ({', '.join(known)})")
        return value
    raise AssertionError(f"unknown mark {marker!r}")


def _one_of_types(node: Node, options: list[Any], what: str, steps: CompileSteps) -> Any:
    for option in options[:-1]:
        if isinstance(node.value, list) == (get_origin(option) is list):
            return compile_value(node, option, what, steps)
    return compile_value(node, options[-1], what, steps)


def _scalar(node: Node, kind: Any, what: str) -> Any:
    value = node.value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise node.error(f"{what} must not be negative")
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is str and isinstance(value, str) and value.strip():
        return value
    raise node.error(f"{what} must be {describe(kind)}, not {node.plain()!r}")


def describe(kind: Any) -> str:
    """A type, for people."""
    origin = get_origin(kind)
    if origin is Annotated:
        marker = get_args(kind)[1]
        return "judgements" if isinstance(marker, Nested) else f"<{marker.of}>"
    if origin in (Union, types.UnionType):
        return " or ".join(describe(option) for option in get_args(kind) if option is not type(None))
    if origin is Literal:
        return "|".join(map(str, get_args(kind)))
    if origin is list:
        return f"[{describe(get_args(kind)[0])}, ...]"
    if origin is tuple:
        return "[" + ", ".join(describe(option) for option in get_args(kind)) + "]"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(kind, str(kind))
