"""`drillbed coverage`: what is answered, next to what the vendor's registry or a contract knows; counted from the code."""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from drillbed.errors import UsageError
from drillbed.estate import Estate, EstatePlan
from emulators.azure.arm.routing import Endpoint
from emulators.vcenter.automation.registry import operations
from emulators.vcenter.automation.table import OPERATIONS
from emulators.vcenter.kinds import coverage

#: Operations of scenarios that are not served: each has an answer, and the answer is no.
_ELSEWHERE = "emulators.azure.site_recovery.other_scenarios"
_NAMES = re.compile(r"\{[^}]*\}")


def azure_text(contract: Path | None = None) -> str:
    """Operations of Resource Manager by resource type, and those of `contract` (a swagger file) that are not answered.

    Raises `UsageError` for a contract that cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder, Estate.open(EstatePlan(), Path(folder)) as estate:
        endpoints = list(estate.azure.azure.arm.router.endpoints)
    built, elsewhere = Counter[str](), Counter[str]()
    for endpoint in endpoints:
        (elsewhere if _module(endpoint) == _ELSEWHERE else built)[_type(endpoint)] += 1
    lines = [f"{'resource type':<105} {'built':>5} {'other':>5}\n"]
    lines += [f"{name:<105} {built[name]:>5} {elsewhere[name]:>5}\n" for name in sorted({*built, *elsewhere})]
    lines.append(
        f"{'operations; other: scenarios that are not VMware or physical':<105} {built.total():>5} {elsewhere.total():>5}\n"
    )
    if contract is not None:
        answered = {(endpoint.method, _NAMES.sub("{}", endpoint.template).lower()) for endpoint in endpoints}
        wanted = _operations(contract)
        missing = [(method, path) for method, path in wanted if (method, _NAMES.sub("{}", path).lower()) not in answered]
        lines.append(f"\nOf {len(wanted)} operations of {contract.name} {len(wanted) - len(missing)} are answered.\n")
        lines += [f"  {method} {path}\n" for method, path in missing]
    return "".join(lines)


def _module(endpoint: Endpoint) -> str:
    return str(getattr(endpoint.handler, "__module__", ""))


def _type(endpoint: Endpoint) -> str:
    """The resource type that an operation is about; a verb belongs to the type of what it acts on."""
    parts = [part for part in endpoint.template.rpartition("/providers/")[2].split("/") if part]
    if (parts and parts[0].startswith("{")) or "/providers/" not in endpoint.template:
        return "Microsoft.Resources"
    if endpoint.method == "POST" and not parts[-1].startswith("{"):
        parts = parts[:-1]
    return "/".join([parts[0], *parts[1::2]])


def _operations(contract: Path) -> list[tuple[str, str]]:
    try:
        known: Any = json.loads(contract.read_text())
        if "paths" in known:
            verbs = ("get", "put", "post", "patch", "delete", "head")
            return [(verb.upper(), path) for path, item in known["paths"].items() for verb in item if verb in verbs]
        return [(str(one["method"]).upper(), str(one["path"])) for one in _list(known["operations"])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as wrong:
        raise UsageError(f"{contract} is no contract: a swagger file with `paths` is wanted ({wrong})") from None


def _list(value: Any) -> Iterable[Any]:
    if not isinstance(value, list):
        raise TypeError("operations is not a list")
    return value


def vcenter_text() -> str:
    """A line for each managed type with its counts, the sum, and the known operations that are not built."""
    found = coverage()
    lines = [f"{'type':<40} {'built':>5} {'known':>5}\n"]
    for name, (built, missing) in found.items():
        if built:
            lines.append(f"{name:<40} {len(built):>5} {len(built) + len(missing):>5}\n")
    works, known = pairs()
    share = 100 * works / known
    lines.append(f"{'sum of (type, method) pairs':<40} {works:>5} {known:>5}  {share:.0f} %\n\nKnown, not built:\n")
    lines += [f"  {name}: {', '.join(missing)}\n" for name, (_, missing) in found.items() if missing]
    every, answered = set(operations()), set(OPERATIONS)
    lines.append(
        f"\nAutomation API: {len(every & answered)} of {len(every)} operations of its sessions, machines, tags and libraries.\n"
    )
    return "".join(lines)


def pairs() -> tuple[int, int]:
    """How many (type, method) pairs are built, and how many the registry knows."""
    found = coverage().values()
    built = sum(len(works) for works, _ in found)
    return built, built + sum(len(missing) for _, missing in found)
