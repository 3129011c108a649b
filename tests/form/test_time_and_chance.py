"""Only the clock reads the system's time or its randomness; nobody sleeps."""

import ast
from collections.abc import Iterator

import pytest
from tree import Module, imports, modules

CLOCK = "emulators.clock"
#: The one day of the calendar: an exemption of a vendor ends on it, which no emulated clock can know.
CALENDAR = "harness.today"
#: names that read time or chance, or wait
BANNED = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns", "time.sleep",
    "time.process_time", "time.gmtime", "time.localtime", "time.strftime",
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
    "asyncio.sleep", "uuid.uuid1", "uuid.uuid4", "os.urandom", "os.getrandom", "random.SystemRandom", "threading.Timer",
}  # fmt: skip
#: modules of which nothing may be used
BANNED_MODULES = ("secrets", "sched")
#: of `random` only the class, which is seeded by who makes it
RANDOM_ALLOWED = "random.Random"


def aliases(module: Module) -> dict[str, str]:
    """Local name -> what it stands for."""
    known = {}
    for node in module.nodes:
        if isinstance(node, ast.Import):
            known |= {
                alias.asname or alias.name.split(".")[0]: alias.name if alias.asname else alias.name.split(".")[0]
                for alias in node.names
            }
        elif isinstance(node, ast.ImportFrom) and not node.level:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return known


def _first(name: str) -> str:
    return name.split(".")[0]


def used(module: Module, known: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Line and full name of each dotted name that the module uses of what it imports."""
    for node in module.nodes:
        name = dotted(node)
        head, _, rest = name.partition(".")
        if head in known:
            yield node.lineno, f"{known[head]}.{rest}".rstrip(".")


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        front = dotted(node.value)
        return f"{front}.{node.attr}" if front else ""
    return ""


def offences(module: Module) -> list[str]:
    known = aliases(module)
    names = {*used(module, known), *imports(module)}
    found = {f"{module.path}:{line} {name}" for line, name in names if _banned(name, known)}
    found |= {f"{module.path}:{node.lineno} Random() without a seed" for node in module.nodes if _unseeded(node, known)}
    return sorted(found)


def _banned(name: str, known: dict[str, str]) -> bool:
    if name in BANNED or name.split(".")[0] in BANNED_MODULES:
        return True
    return name.startswith("random.") and "random" in known.values() and not name.startswith(RANDOM_ALLOWED)


def _unseeded(node: ast.AST, known: dict[str, str]) -> bool:
    if not isinstance(node, ast.Call) or node.args or node.keywords:
        return False
    head, _, rest = dotted(node.func).partition(".")
    return f"{known.get(head, head)}.{rest}".rstrip(".") == RANDOM_ALLOWED


def test_only_the_clock_knows_time_and_chance() -> None:
    found = [offence for module in modules() if module.name not in (CLOCK, CALENDAR) for offence in offences(module)]
    assert not found, "\n".join(found)


def test_no_test_sleeps_or_reads_the_clock_on_the_wall() -> None:
    found = [offence for module in modules("tests") for offence in offences(module)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.sleep(1)",
        "from time import sleep as rest\nrest(1)",
        "import datetime as d\nd.datetime.now()",
        "from datetime import datetime, UTC\ndatetime.now(UTC)",
        "import uuid\nuuid.uuid4()",
        "import secrets",
        "import random\nrandom.random()",
        "from random import Random\nRandom()",
        "import os\nos.urandom(4)",
    ],
)
def test_the_check_sees_it(text: str) -> None:
    assert offences(Module("emulators.some", "emulators/some.py", text, (*ast.walk(ast.parse(text)),)))


def test_a_seeded_generator_is_allowed() -> None:
    text = "from random import Random\nRandom(3).random()\nimport time\ntime.struct_time\n"
    assert offences(Module("emulators.some", "emulators/some.py", text, (*ast.walk(ast.parse(text)),))) == []
