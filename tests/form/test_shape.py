"""How large things may be, what they may be called, and what may not stand in the text."""

import ast
import re
from collections.abc import Iterator

import pytest
from tree import PACKAGES, Module, modules, text_files

MODULE_LINES = 500
FUNCTION_LINES = 60
WIDTH = 130
FORBIDDEN_NAMES = re.compile(r"(^|_)(managers?|helpers?|utils?|utilities|core|common|misc|base)($|_)", re.IGNORECASE)
#: Names that the domain has: vSphere's own types end in Manager, and pages and roads have bases.
VSPHERE_WORD = re.compile(r"^[A-Za-z]+(Manager|Base)$")
MARKERS = re.compile(r"\b(TODO|FIXME|HACK)\b")
ABSOLUTE = re.compile(r"(?:^|[\s\"'`(=])/(?:work|farm|home|Users|root)/")
SILENCED = re.compile(r"#\s*(?:type:\s*ignore|pragma:\s*no cover)|\bNotImplementedError\b")


def test_modules_stay_small() -> None:
    found = [(module.path, len(module.text.splitlines())) for module in modules(*PACKAGES, "tests")]
    long = [f"{path}: {lines} lines" for path, lines in found if lines > MODULE_LINES]
    assert not long, "\n".join(long)


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in module.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_functions_stay_small() -> None:
    found = [(module.path, function) for module in modules() for function in functions(module)]
    long = [f"{path}:{f.lineno} {f.name}: {lines_of(f)} lines" for path, f in found if lines_of(f) > FUNCTION_LINES]
    assert not long, "\n".join(long)


def test_names_say_what_a_thing_is() -> None:
    bad = []
    for module in modules():
        # a module of `objects` is named after the vSphere type that it holds
        bad += [module.path for part in module.name.split(".") if FORBIDDEN_NAMES.search(part) and ".objects." not in module.name]
        for node in module.nodes:
            named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if named and _bad_name(node):
                bad.append(f"{module.path}:{node.lineno} {node.name}")
    assert not bad, "\n".join(bad)


def _bad_name(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    if isinstance(node, ast.ClassDef):
        words = "_".join(re.findall(r"[A-Z][a-z0-9]*", node.name))
        return bool(FORBIDDEN_NAMES.search(words)) and not VSPHERE_WORD.match(node.name)
    return bool(FORBIDDEN_NAMES.search(node.name)) and not node.name.startswith("_")


@pytest.mark.parametrize(
    ("pattern", "what"),
    [(MARKERS, "unfinished work"), (ABSOLUTE, "a path of one machine")],
)
def test_the_text_is_clean(pattern: re.Pattern[str], what: str) -> None:
    found = [
        f"{path}:{number} {what}: {line.strip()[:80]}"
        for path, text in text_files()
        if not path.startswith("tests/form/")
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_nothing_is_silenced_or_left_out() -> None:
    found = [
        f"{module.path}:{number} {line.strip()[:80]}"
        for module in modules()
        for number, line in enumerate(module.text.splitlines(), 1)
        if SILENCED.search(line)
    ]
    assert not found, "\n".join(found)


def _top(module: Module) -> list[ast.stmt]:
    root = module.nodes[0]
    return root.body if isinstance(root, ast.Module) else []


def test_modules_do_no_work_when_imported() -> None:
    """At the top of a module stand definitions and constants, no statements that act."""
    acting = ast.For | ast.While | ast.With | ast.Try | ast.Delete
    found = [f"{module.path}:{node.lineno}" for module in modules() for node in _top(module) if isinstance(node, acting)]
    found += [
        f"{module.path}:{node.lineno}"
        for module in modules()
        for node in _top(module)
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant)
    ]
    assert not found, "\n".join(found)


def test_the_patterns_find_what_they_must() -> None:
    assert MARKERS.search("# TODO" + ": later")
    assert ABSOLUTE.search('open("/' + 'work/x")')
    assert not ABSOLUTE.search("https://host/home/x")
    assert SILENCED.search("x = 1  # type: " + "ignore[misc]")
    assert FORBIDDEN_NAMES.search("string_utils")
    assert not FORBIDDEN_NAMES.search("scores")
