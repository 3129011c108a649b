"""The source tree as the form tests see it: files of ours, with their syntax trees."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("drillbed", "emulators", "harness", "reference_impl")
#: Folders with text of ours, besides the files at the root.
FOLDERS = (*PACKAGES, "specs", "tests", "bench", "docs", "deploy", ".ci", ".github")
#: What was installed or made, not written.
NOT_OURS = {"node_modules", "__pycache__", ".tox", ".venv"}
TEXT = {".py", ".yaml", ".yml", ".md", ".toml", ".ini", ".js", ".j2", ".sh", ".json", ".txt", ".cfg", ""}


@dataclass(frozen=True)
class Module:
    """A Python module: its dotted name, its path below the root, its text and all nodes of its syntax tree, the root first."""

    name: str
    path: str
    text: str
    nodes: tuple[ast.AST, ...]


def modules(*folders: str) -> list[Module]:
    """All modules below the folders (default: the packages), in order."""
    return [module for folder in folders or PACKAGES for module in _below(folder)]


@cache
def _below(folder: str) -> tuple[Module, ...]:
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        if NOT_OURS.isdisjoint(path.parts):
            text = path.read_text(encoding="utf-8")
            relative = path.relative_to(ROOT)
            name = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
            found.append(Module(name, str(relative), text, (*ast.walk(ast.parse(text, filename=str(relative))),)))
    return tuple(found)


def text_files() -> Iterator[tuple[str, str]]:
    """Path and text of everything written by hand, without generated lock files."""
    roots = [path for path in ROOT.iterdir() if path.is_file()]
    below = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in sorted({*roots, *below}):
        relative = path.relative_to(ROOT)
        if (
            path.suffix in TEXT
            and NOT_OURS.isdisjoint(relative.parts)
            and path.name not in ("package-lock.json", "LICENSE", ".git")
        ):
            yield str(relative), path.read_text(encoding="utf-8")


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of each import; `from a import b` gives `a.b`."""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = _from(module, node)
            yield from ((node.lineno, f"{start}.{alias.name}") for alias in node.names)


def _from(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    kept = package[: len(package) - node.level + module.path.endswith("__init__.py")]
    return ".".join([*kept, node.module or ""]).rstrip(".")


def below(name: str, *packages: str) -> bool:
    """Whether a dotted name is one of the packages or inside one."""
    return any(name == package or name.startswith(package + ".") for package in packages)
