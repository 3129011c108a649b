"""A product or a world from one string: the name of an entry point, or `python:module:Name`."""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from harness.mutation import Bench
from harness.product import Description, Product, WorldFactory


class UsageError(Exception):
    """Something the caller asked for cannot be: exit code 2."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A product with its description and the world it is judged in."""

    product: Product
    description: Description
    worlds: WorldFactory


def load_product(name: str, *, world: str | None = None) -> Loaded:
    """The product that `name` names. `world` replaces the world it asks for."""
    product = _make(name, "drillbed.products", "product")
    try:
        description = product.describe()
    except Exception as problem:
        raise UsageError(f"the product {name!r} cannot describe itself: {type(problem).__name__}: {problem}") from problem
    if not isinstance(description, Description):
        raise UsageError(f"the product {name!r} describes itself as {type(description).__name__}, not as a Description")
    worlds = _make(world or description.world, "drillbed.worlds", "world")
    return Loaded(product, description, worlds)


@cache
def load_bench(name: str) -> Bench:
    """The bench that `name` names (an entry point of `drillbed.benches`, or `python:module:Name`)."""
    found: Bench = _make(name, "drillbed.benches", "bench")
    return found


def _make(name: str, group: str, what: str) -> Any:
    factory = (
        _from_module(name.removeprefix("python:"), what) if name.startswith("python:") else _from_entry_point(name, group, what)
    )
    try:
        return factory()
    except Exception as problem:
        raise UsageError(f"the {what} {name!r} cannot be made: {type(problem).__name__}: {problem}") from problem


def _from_module(path: str, what: str) -> Callable[[], Any]:
    module, _, attribute = path.partition(":")
    if not module or not attribute:
        raise UsageError(f"a {what} in a module is written python:module:Name, not python:{path}")
    # A driver in the working folder is found as `python -m` would find it.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Callable[[], Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as problem:
        raise UsageError(f"the {what} python:{path} cannot be loaded: {problem}") from problem
    return found


def _from_entry_point(name: str, group: str, what: str) -> Callable[[], Any]:
    found = entry_points(group=group)
    for entry in found:
        if entry.name == name:
            try:
                loaded: Callable[[], Any] = entry.load()
            except (ImportError, AttributeError) as problem:
                raise UsageError(f"the {what} {name!r} cannot be loaded: {problem}") from problem
            return loaded
    known = ", ".join(sorted(entry.name for entry in found)) or "none is installed"
    raise UsageError(f"there is no {what} {name!r} ({known}); one in a module is written python:module:Name")
