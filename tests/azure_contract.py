"""The contract of Azure, read from the installed azure-mgmt packages: paths, accepted status codes, models, discriminators.

The packages' generated code is the source: each `build_..._request` has a method and a path, each method of an operations class
accepts certain status codes and reads its answer as a model. Every exchange of Resource Manager in the tests is held against it.
"""

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure_shapes import check

#: Packages by the namespace that a path names; "" has the paths without one.
PACKAGES = {
    "microsoft.recoveryservices": ("azure.mgmt.recoveryservicessiterecovery", "azure.mgmt.recoveryservices"),
    "microsoft.compute": ("azure.mgmt.compute",),
    "microsoft.network": ("azure.mgmt.network",),
    "microsoft.storage": ("azure.mgmt.storage",),
    "microsoft.automation": ("azure.mgmt.automation",),
    "microsoft.resources": ("azure.mgmt.resource.deployments", "azure.mgmt.resource.resources"),
    "": ("azure.mgmt.resource.resources", "azure.mgmt.resource.subscriptions", "azure.mgmt.resource.deployments"),
}

_TOKENS = re.compile(
    r"^def (?P<build>build_\w+_request)"
    r'|_url = \(?\s*"(?P<url>/[^"]*)"'
    r'|HttpRequest\(method="(?P<verb>\w+)"'
    r"|^    def (?P<method>\w+)\("
    r"|^class (?P<group>\w+)"
    r"|(?P<calls>build_\w+_request)\("
    r"|status_code not in \[(?P<codes>[\d, ]+)\]"
    r"|(?<!failsafe)_deserialize\(\s*(?P<list>[Ll]ist\[)?_models\.(?P<model>\w+)(?P<bare>\],\s*response\.json)?"
    r"|self\.(?P<initial>_\w+_initial)\(",
    re.MULTILINE,
)


@dataclass(slots=True)
class Operation:
    """One operation that the SDK knows.

    `model` is what an answer is read as; `listed`: there are many, under `value` or (`bare`) as an array.
    """

    package: str
    method: str
    template: str
    codes: set[int] = field(default_factory=set)
    model: str = ""
    listed: bool = False
    bare: bool = False

    @property
    def name(self) -> str:
        return f"{self.method} {self.template}"


@dataclass(slots=True)
class _Part:
    """What one method of an operations class says."""

    calls: str = ""
    initial: str = ""
    codes: set[int] = field(default_factory=set)
    model: str = ""
    listed: bool = False
    bare: bool = False


def _read(package: str) -> list[Operation]:
    """All operations of an installed package."""
    module = importlib.import_module(package)
    assert module.__file__ is not None
    text = Path(module.__file__).with_name("operations").joinpath("_operations.py").read_text()
    builders: dict[str, list[str]] = {}
    parts: dict[tuple[str, str], _Part] = {}
    build = group = method = ""
    for match in _TOKENS.finditer(text):
        kind = match.lastgroup or ""
        value = match[kind or 0]
        if kind == "build":
            build, builders[value] = value, ["", ""]
        elif kind in ("url", "verb") and not group:
            builders[build][kind == "url"] = value
        elif kind == "group":
            group, method = value, ""
        elif kind == "method":
            method = value
        elif group and method:
            _note(parts.setdefault((group, method), _Part()), match)
    return _joined(package, builders, parts)


def _note(part: _Part, match: re.Match[str]) -> None:
    if match["calls"]:
        part.calls = part.calls or match["calls"]
    elif match["initial"]:
        part.initial = match["initial"]
    elif match["codes"]:
        part.codes |= {int(code) for code in match["codes"].split(",")}
    elif match["model"]:
        part.model, part.listed, part.bare = match["model"], bool(match["list"]), bool(match["bare"])


def _joined(package: str, builders: dict[str, list[str]], parts: dict[tuple[str, str], _Part]) -> list[Operation]:
    found: dict[str, Operation] = {}
    for (group, _), part in parts.items():
        first = parts.get((group, part.initial), part) if part.initial else part
        if first.calls not in builders:
            continue
        verb, url = builders[first.calls]
        made = found.setdefault(first.calls, Operation(package, verb, url))
        made.codes |= first.codes
        if part.model:
            made.model, made.listed, made.bare = part.model, part.listed, part.bare
    return list(found.values())


class Contract:
    """Operations found by path, each package read when first needed."""

    def __init__(self) -> None:
        self._tables: dict[str, list[tuple[re.Pattern[str], int, Operation]]] = {}
        self._found: dict[tuple[str, str], Operation | None] = {}

    def find(self, method: str, path: str) -> Operation | None:
        """The operation of a request; literals before parameters."""
        key = method, path.lower().rstrip("/")
        if key not in self._found:
            rows = [*self._table(namespace_of(path)), *self._table("")]
            fits = [one for one in rows if one[2].method == method and one[0].fullmatch(key[1])]
            self._found[key] = max(fits, key=lambda one: one[1])[2] if fits else None
        return self._found[key]

    def operations(self, namespace: str) -> Iterator[Operation]:
        for _, _, operation in self._table(namespace):
            yield operation

    def _table(self, namespace: str) -> list[tuple[re.Pattern[str], int, Operation]]:
        if namespace not in self._tables:
            read = [one for package in PACKAGES.get(namespace, ()) for one in _read(package)]
            self._tables[namespace] = [row for row in map(_row, read) if row[1]]
        return self._tables[namespace]

    def problems(self, operation: Operation, status: int, body: Any) -> list[str]:
        """What an answer has that the contract does not know. `body` None is an empty one."""
        if status >= 400:
            return [] if _is_error(body, operation.method) else [f"{status} without an error envelope: {body!r:.200}"]
        if operation.codes and status not in operation.codes:
            return [f"status {status}, and only {sorted(operation.codes)} are known"]
        if not operation.model or body is None:
            return []
        model = getattr(importlib.import_module(f"{operation.package}.models"), operation.model)
        if not operation.listed:
            return list(check(body, model, operation.model))
        if isinstance(body, list) and operation.bare:
            return [problem for entry in body for problem in check(entry, model, operation.model)]
        if not isinstance(body, dict) or not isinstance(body.get("value"), list):
            return ["a list without `value`"]
        return [problem for entry in body["value"] for problem in check(entry, model, operation.model)]


def _row(operation: Operation) -> tuple[re.Pattern[str], int, Operation]:
    """How a path is matched, how many segments of it are literal (0: any resource by its id), the operation."""
    parts = [part for part in operation.template.split("/") if part]
    # a first parameter is a scope or an id of any length
    pattern = "".join(
        f"/{re.escape(part.lower())}" if not part.startswith("{") else "(/[^/]+)+" if at == 0 else "/[^/]+"
        for at, part in enumerate(parts)
    )
    literal = 0 if "{resourceType}" in operation.template else sum(not part.startswith("{") for part in parts)
    return re.compile(pattern), literal, operation


def _is_error(body: Any, method: str) -> bool:
    """Whether a body is `{"error": {"code", "message"}}`; HEAD has none."""
    if body is None:
        return method == "HEAD"
    error = body.get("error") if isinstance(body, dict) else None
    return isinstance(error, dict) and isinstance(error.get("code"), str) and isinstance(error.get("message"), str)


def namespace_of(path: str) -> str:
    """The provider that answers a path, in lower case; "" when it is Resource Manager itself."""
    _, found, after = path.lower().rpartition("/providers/")
    return after.split("/", 1)[0] if found and "/" in after.strip("/") else ""
