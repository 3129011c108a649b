"""Who may import whom: the table of ARCHITECTURE.md, read from the syntax trees."""

import ast
import sys

import pytest
from tree import PACKAGES, Module, below, imports, modules

#: package -> our own packages that it may import from, besides itself. `drillbed` may import everything.
OURS: dict[str, tuple[str, ...]] = {
    "harness": (),
    "emulators": (),
    "reference_impl": (),
}
#: parts of the emulators that see only the ground they stand on, never each other
PARTS = ("emulators.vcenter", "emulators.azure", "emulators.blob_storage", "emulators.guest")
GROUND = ("emulators.clock", "emulators.network", "emulators.http")
#: what may be imported from outside, besides the standard library
THIRD_PARTY: dict[str, tuple[str, ...]] = {
    "harness": ("yaml", "pytest", "_pytest", "xdist"),
}
#: the only modules of the harness that know pytest: the plugin and what starts it
PYTEST = ("harness.plugin", "harness.collection", "harness.conform")


def offences(module: Module) -> list[str]:
    package = module.name.split(".")[0]
    found = []
    for line, name in imports(module):
        reason = _ours(module, package, name) or _foreign(module, package, name)
        if reason:
            found.append(f"{module.path}:{line} imports {name}: {reason}")
    return found


def _ours(module: Module, package: str, name: str) -> str:
    other = name.split(".")[0]
    if other not in PACKAGES or package == "drillbed":
        return ""
    if other != package and other not in OURS[package]:
        return f"{package} may not import {other}"
    part = next((part for part in PARTS if below(module.name, part)), None)
    if part and other == "emulators" and name != "emulators" and not below(name, part, *GROUND):
        return f"{part} may import only {', '.join(GROUND)}"
    if below(module.name, *GROUND) and below(name, *PARTS):
        return "the ground knows no part that stands on it"
    return ""


def _foreign(module: Module, package: str, name: str) -> str:
    other = name.split(".")[0]
    if other in PACKAGES or other in sys.stdlib_module_names:
        return ""
    if package in THIRD_PARTY and other not in THIRD_PARTY[package]:
        return f"{package} may use only {', '.join(THIRD_PARTY[package])}"
    if package == "reference_impl" and other in ("flask", "uvicorn", "a2wsgi", "moto", "docker"):
        return "components get their server from outside"
    if other == "pytest" and not below(module.name, *PYTEST) and package == "harness":
        return "only the plugin knows pytest"
    return ""


def test_nobody_imports_whom_they_must_not() -> None:
    found = [offence for module in modules() for offence in offences(module)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("emulators.vcenter.disks", "from emulators.azure import arm"),
        ("emulators.azure.arm", "import emulators.guest.disk"),
        ("emulators.guest.disk", "from ..blob_storage import memory"),
        ("emulators.http.sockets", "from emulators import vcenter"),
        ("emulators.clock", "import harness.spec"),
        ("reference_impl.agent", "def late():\n    from emulators.clock import Clock"),
        ("harness.spec", "import flask"),
        ("harness.spec", "import drillbed"),
        ("harness.scenario", "import pytest"),
    ],
)
def test_the_check_sees_it(name: str, text: str) -> None:
    assert len(offences(Module(name, name.replace(".", "/") + ".py", text, (*ast.walk(ast.parse(text)),)))) == 1
