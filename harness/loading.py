"""A product or a world from one string: the name of an entry point, or `python:module:Name`.

A product may also be another program: `exec:COMMAND`, `container:IMAGE`, `http://host/path` or `https://host/path`.
"""

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from harness.mutation import Bench
from harness.product import Description, Product, WorldFactory
from harness.remote.process import CannotStartError, child, container
from harness.remote.protocol import Channel, RemoteProduct
from harness.remote.web import Web
from harness.terms import terms

#: How long a driver in another process may be silent, in seconds.
PATIENCE = 120.0


class UsageError(Exception):
    """Something the caller asked for cannot be: exit code 2."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A product with its description and the world it is judged in."""

    product: Product
    description: Description
    worlds: WorldFactory

    def close(self) -> None:
        """Ends what was started to reach the product."""
        if isinstance(self.product, RemoteProduct):
            self.product.close()


def load_product(name: str, *, world: str | None = None, patience: float = PATIENCE) -> Loaded:
    """The product that `name` names. `world` replaces the world it asks for; `patience` is for a driver in another process."""
    product = _remote(name, patience) or _make(name, "drillbed.products", "product")
    try:
        description = product.describe()
        if not isinstance(description, Description):
            raise UsageError(f"the product {name!r} describes itself as {type(description).__name__}, not as a Description")
        _check_terms(name, description)
        worlds = _make(world or description.world, "drillbed.worlds", "world")
    except Exception as problem:
        if isinstance(product, RemoteProduct):
            product.close()
        if isinstance(problem, UsageError):
            raise
        raise UsageError(f"the product {name!r} cannot describe itself: {type(problem).__name__}: {problem}") from problem
    return Loaded(product, description, worlds)


#: How the name of a product in another process begins -> the channel to it.
_CHANNELS: dict[str, Callable[[str, float], Channel]] = {
    "exec:": lambda name, patience: child(name.removeprefix("exec:"), patience),
    "container:": lambda name, patience: container(name.removeprefix("container:"), patience),
    "http://": Web,
    "https://": Web,
}


def _remote(name: str, patience: float) -> Product | None:
    for start, channel in _CHANNELS.items():
        if name.startswith(start):
            try:
                return RemoteProduct(name, channel(name, patience))
            except CannotStartError as problem:
                raise UsageError(f"the product {name!r} cannot be started: {problem}") from problem
    return None


def _check_terms(name: str, description: Description) -> None:
    """A claim or capability that the format does not know would never be asked: better said now."""
    given = {"claims": description.claims, "profiles": description.profiles, "capabilities": sorted(description.capabilities)}
    for of, values in given.items():
        for value in values:
            if value not in terms()[of]:
                raise UsageError(f"the product {name!r} names {value!r}, which is not one of the {of} ({', '.join(terms()[of])})")
    for of in ("profiles", "eras"):
        if not getattr(description, of):
            raise UsageError(f"the product {name!r} names no {of}")


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
    """`name` may go on with `:` and a text that the entry point is called with, such as a file."""
    found = entry_points(group=group)
    name, colon, argument = name.partition(":")
    for entry in found:
        if entry.name == name:
            try:
                loaded: Callable[..., Any] = entry.load()
            except (ImportError, AttributeError) as problem:
                more = " (pip install 'drillbed[estate]')" if entry.value.startswith("drillbed.") else ""
                raise UsageError(f"the {what} {name!r} cannot be loaded: {problem}{more}") from problem
            return partial(loaded, argument) if colon else loaded
    known = ", ".join(sorted(entry.name for entry in found)) or "none is installed"
    raise UsageError(
        f"there is no {what} {name!r} ({known}); one in a module is written python:module:Name, a program exec:COMMAND"
    )
