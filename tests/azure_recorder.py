"""Writes down every exchange with Resource Manager, in this process or another, and what the contract does not know of it."""

import functools
import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import orjson
from azure_contract import Contract

#: Paths that no installed package describes as an operation, and why they are right.
BESIDE_THE_CONTRACT = {
    r"/siterecovery/exports/[^/]+": "a file that an export of jobs has written, behind a signature of its own",
    r"/metadata/endpoints": "what every client reads of a cloud before it has one",
    r".*/[a-z]*operation(s|s?status(es)?|s?results?)/[^/]+": "where an operation is polled is the service's own choice",
    r".*/providers/microsoft\.authorization/.*": "the packages for roles and locks have no models of this kind",
    r".*/providers/microsoft\.jobs/.*": "a provider that a test makes",
    r".*/providers/microsoft\.offazure/.*": "no package for discovery appliances has been published",
    r".*/vaults/[^/]+/(extendedinformation|certificates|usages|backup).*": "vault settings that other packages hold",
}

_BESIDE = re.compile("|".join(BESIDE_THE_CONTRACT))
_OURS = re.compile(r"/(subscriptions|providers|tenants)\b", re.IGNORECASE)


class Recorder:
    """`seen` has the names of the contract's operations that answered with success, `problems` what was outside, once each."""

    def __init__(self, contract: Contract):
        self.contract = contract
        self.seen: set[str] = set()
        self.problems: dict[str, None] = {}
        self._right: set[int] = set()

    def note(self, method: str, path: str, status: int, payload: bytes) -> None:
        """One exchange."""
        operation = self.contract.find(method, path)
        if operation is None:
            if method == "HEAD" and status in (204, 404):
                return  # whether something is there may be asked of every id
            if status < 400 and not _BESIDE.fullmatch(path.lower().rstrip("/")):
                self.problems[f"{method} {path}: answered with {status}, and no operation of the contract has this path"] = None
            return
        if status < 400:
            self.seen.add(operation.name)
        same = hash((operation.name, status, payload))
        if same in self._right:
            return
        if status < 400 and method == "GET" and not operation.model:
            return  # a file or a text
        try:
            body = orjson.loads(payload) if payload else None
            found = self.contract.problems(operation, status, body)
        except orjson.JSONDecodeError:
            found = [f"{status} with a body that is no JSON: {payload!r:.200}"]
        self.problems.update(dict.fromkeys(f"{operation.name}: {text}" for text in found))
        if not found:
            self._right.add(same)

    def application(self, original: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
        """`Arm.__call__` that writes down what it answers."""

        @functools.wraps(original)
        def recorded(arm: Any, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            statuses: list[int] = []

            def start(status: str, headers: list[tuple[str, str]]) -> Any:
                statuses.append(int(status.split()[0]))
                return start_response(status, headers)

            payload = list(original(arm, environ, start))
            path = environ.get("PATH_INFO", "/").encode("latin-1").decode("utf-8", "replace")
            self.note(environ["REQUEST_METHOD"], re.sub("/+", "/", path), statuses[0], b"".join(payload))
            return payload

        return recorded

    def transport(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """`requests.adapters.HTTPAdapter.send` that writes down what another process answers."""

        def recorded(adapter: Any, request: Any, *args: Any, **settings: Any) -> Any:
            response = original(adapter, request, *args, **settings)
            path = urlsplit(request.url).path
            if _OURS.match(path) and "api-version=" in request.url and "x-ms-routing-request-id" in response.headers:
                self.note(request.method, path, response.status_code, response.content)
            return response

        return recorded

    def taken(self) -> list[str]:
        """The problems so far, which are then forgotten."""
        found = list(self.problems)
        self.problems.clear()
        return found
