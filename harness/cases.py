"""Scenarios compiled to cases: parameters put in, twins made, every word checked against the vocabulary."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.run import Step
from harness.strict_yaml import Node
from harness.terms import terms
from harness.vocabulary import vocabulary

SCENARIO_KEYS = {"given", "but", "when", "then", "otherwise", "matrix", "cases", "needs"}
_PARAMETER = re.compile(r"\$\{([a-z][a-z0-9_]*)\}")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_CASES_MAX = 500


@dataclass(frozen=True, slots=True)
class Case:
    """One run of a scenario with one set of values. The twin of a scenario with `but` leaves that out and judges `otherwise`."""

    id: str
    scenario: str
    name: str
    twin: bool
    needs: tuple[str, ...]
    given: tuple[Step, ...]
    but: tuple[Step, ...]
    when: tuple[Step, ...]
    then: tuple[Step, ...]
    where: str
    line: int

    @property
    def judged(self) -> frozenset[str]:
        """The words that are judged, nested ones too."""
        return frozenset(step.word for step in walk(self.then))

    @property
    def compared(self) -> frozenset[str]:
        """The things that have to be looked at before `when`."""
        return frozenset(step.compares for step in walk(self.then) if step.compares)


def walk(steps: tuple[Step, ...]) -> Iterator[Step]:
    """All steps, nested ones too."""
    for step in steps:
        yield step
        for value in step.arguments.values():
            yield from walk(tuple(_steps_in(value)))


def _steps_in(value: Any) -> Iterator[Step]:
    if isinstance(value, Step):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _steps_in(item)


def compile_cases(requirement: str, scenarios: Node, needs: tuple[str, ...]) -> tuple[Case, ...]:
    """All cases of a requirement's scenarios."""
    found: list[Case] = []
    for name, node in scenarios.mapping("scenarios").items():
        _check_name(node, name)
        found += _scenario(requirement, name, node, needs)
    if not found:
        raise scenarios.error(f"{requirement} has no scenario")
    return tuple(found)


def _check_name(node: Node, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise node.error(f"{name!r} is not the name of a scenario (lower case, digits, dashes)")
    if name.endswith("-otherwise"):
        raise node.error("a scenario's name may not end in -otherwise, which its twin uses")


def _scenario(requirement: str, name: str, node: Node, needs: tuple[str, ...]) -> list[Case]:
    keys = node.mapping(f"the scenario {name}")
    for key, value in keys.items():
        if key not in SCENARIO_KEYS:
            raise value.error(f"{name} has an unknown key {key!r} (known: {', '.join(sorted(SCENARIO_KEYS))})")
    if "then" not in keys:
        raise node.error(f"{name} judges nothing: `then` is missing")
    if ("but" in keys) != ("otherwise" in keys):
        raise node.error(f"{name}: `but` and `otherwise` go together, one is missing")
    if "needs" in keys:
        needs = (*needs, *_capabilities(keys["needs"]))
    rows = _rows(name, node, keys)
    _all_used(name, node, keys, rows[0])
    parts = ("given", "but", "when", "then")
    cases = _expand(requirement, name, node, rows, {part: keys[part] for part in parts if part in keys}, needs, twin=False)
    if "otherwise" in keys:
        sides = {"given": keys.get("given"), "when": keys.get("when"), "then": keys["otherwise"]}
        cases += _expand(requirement, name, node, rows, {part: n for part, n in sides.items() if n is not None}, needs, twin=True)
    return cases


def _capabilities(node: Node) -> tuple[str, ...]:
    for item in node.items("needs"):
        if item.value not in terms()["capabilities"]:
            raise item.error(f"{item.plain()!r} is not one of the capabilities ({', '.join(terms()['capabilities'])})")
    return tuple(item.value for item in node.value)


# parameters ----------------------------------------------------------------------------------------------------------------


def _rows(name: str, node: Node, keys: dict[str, Node]) -> list[dict[str, Node]]:
    """The sets of values. One empty set where there are no parameters."""
    if "matrix" in keys and "cases" in keys:
        raise node.error(f"{name} has both `matrix` and `cases`")
    if "matrix" in keys:
        lists = {key: values.items(f"`{key}` of matrix") for key, values in keys["matrix"].mapping("matrix").items()}
        for key, values in lists.items():
            if not values:
                raise keys["matrix"].error(f"`{key}` of matrix has no values")
        rows = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    elif "cases" in keys:
        rows = [row.mapping("a row of cases") for row in keys["cases"].items("cases")]
    else:
        return [{}]
    if not rows or not rows[0]:
        raise node.error(f"{name} has parameters without values")
    if any(row.keys() != rows[0].keys() for row in rows):
        raise keys["cases"].error("every row of cases names the same parameters")
    if len(rows) > _CASES_MAX:
        raise node.error(f"{name} has {len(rows)} cases, more than {_CASES_MAX}")
    return rows


def _all_used(name: str, node: Node, keys: dict[str, Node], row: dict[str, Node]) -> None:
    used = {
        parameter for part in ("given", "but", "when", "then", "otherwise") if part in keys for parameter in _used(keys[part])
    }
    for parameter in row:
        if parameter not in used:
            raise node.error(f"{name}: the parameter {parameter!r} is never used")


def _used(node: Node) -> Iterator[str]:
    if isinstance(node.value, dict):
        for item in node.value.values():
            yield from _used(item)
    elif isinstance(node.value, list):
        for item in node.value:
            yield from _used(item)
    elif isinstance(node.value, str) and (match := _PARAMETER.fullmatch(node.value)):
        yield match[1]


def _put_in(node: Node, row: dict[str, Node]) -> Node:
    """`${name}` stands for a whole value, types are kept."""
    if isinstance(node.value, dict):
        return Node({key: _put_in(item, row) for key, item in node.value.items()}, node.where, node.line)
    if isinstance(node.value, list):
        return Node([_put_in(item, row) for item in node.value], node.where, node.line)
    if not isinstance(node.value, str) or "${" not in node.value:
        return node
    match = _PARAMETER.fullmatch(node.value)
    if match is None:
        raise node.error(f"{node.value!r}: a parameter stands for a whole value, texts are not put together")
    if match[1] not in row:
        raise node.error(f"there is no parameter {match[1]!r}")
    return Node(row[match[1]].value, node.where, node.line)


def _label(row: dict[str, Node], used: set[str]) -> str:
    """The values as they stand in an id."""
    texts = [_flat(node.plain()) for name, node in row.items() if name in used]
    return f"[{'-'.join(texts)}]" if texts else ""


def _flat(value: Any) -> str:
    if isinstance(value, list):
        return "".join(_flat(item) for item in value)
    if isinstance(value, dict):
        return "-".join(f"{key}-{_flat(item)}" for key, item in value.items())
    return str(value).lower() if isinstance(value, bool) else str(value)


# compiling -----------------------------------------------------------------------------------------------------------------


def _expand(
    requirement: str,
    name: str,
    node: Node,
    rows: list[dict[str, Node]],
    parts: dict[str, Node],
    needs: tuple[str, ...],
    *,
    twin: bool,
) -> list[Case]:
    used = {parameter for part in parts.values() for parameter in _used(part)}
    shown = f"{name}-otherwise" if twin else name
    cases: dict[str, Case] = {}
    for row in rows:
        label = shown + _label(row, used)
        if label in cases:
            # The twin of a scenario whose parameters only say what is wrong is one case, not many equal ones.
            if twin:
                continue
            raise node.error(f"two cases of {name} have the same id {label!r}")
        steps = {part: _steps(_put_in(value, row), part) for part, value in parts.items()}
        if not steps["then"]:
            raise node.error(f"{name} judges nothing: `{'otherwise' if twin else 'then'}` is empty")
        given, but, when = (steps.get(part, ()) for part in ("given", "but", "when"))
        case_id = f"{requirement}::{label}"
        cases[label] = Case(case_id, name, label, twin, needs, given, but, when, steps["then"], node.where, node.line)
    return list(cases.values())


def _steps(node: Node, part: str) -> tuple[Step, ...]:
    return tuple(_step(item, part) for item in node.items(f"`{part}`"))


def _step(node: Node, part: str) -> Step:
    if isinstance(node.value, str):
        name, argument = node.value, None
    elif isinstance(node.value, dict) and len(node.value) == 1:
        name, argument = next(iter(node.value.items()))
    else:
        raise node.error(f"a step is one word with its arguments, not {node.kind} (of {_size(node)})")
    word = vocabulary().get((part, name))
    if word is None:
        raise node.error(_unknown(name, part))
    arguments = word.compile(argument, node, lambda nested: _steps(nested, "then"))
    text = name if argument is None else f"{name}: {_inline(argument.plain())}"
    compares = str(arguments[word.compares]) if word.compares else ""
    return Step(name, word.function, arguments, text, node.where, node.line, compares)


def _size(node: Node) -> str:
    return f"{len(node.value)} keys" if isinstance(node.value, dict) else "another kind"


def _unknown(name: str, part: str) -> str:
    elsewhere = sorted({other for other, word in vocabulary() if word == name})
    if elsewhere:
        return f"the word `{name}` may stand in {', '.join(elsewhere)}, not in {part}"
    known = ", ".join(sorted(word for other, word in vocabulary() if other == part))
    return f"there is no word `{name}` (in {part}: {known})"


def _inline(value: Any) -> str:
    """A value on one line, as it would be written."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_inline(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
