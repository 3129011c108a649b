"""The WSGI face of the Automation API: from a request in one of its dialects to the answer in the same."""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from inspect import isgenerator
from typing import Any
from urllib.parse import parse_qsl

from emulators.vcenter import soap, tokens
from emulators.vcenter.automation import registry, wire
from emulators.vcenter.automation.act import Act
from emulators.vcenter.automation.errors import STATUS, Refusal, refusal_of
from emulators.vcenter.automation.table import OPERATIONS
from emulators.vcenter.faults import Fault
from emulators.vcenter.http_body import bounded
from emulators.vcenter.inventory import Call, Inventory

HEADER = "vmware-api-session-id"
_LARGEST = 4 * 1024 * 1024
_SCHEMES = "com.vmware.vapi.std.security."
#: Who may ask without a session.
_OPEN = frozenset({"com.vmware.cis.session.create"})
_REASONS = {200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}
_REASONS |= {
    404: "Not Found",
    409: "Conflict",
    413: "Content Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON of an answer; `content` None is no body."""

    status: int
    content: Any = None


class Automation:
    """A WSGI application for `/api` and `/rest`."""

    def __init__(self, inventory: Inventory):
        self._inventory = inventory

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = bounded(environ, _LARGEST)
        path = environ.get("PATH_INFO", "")
        if body is None:
            reply = Reply(413, {"error": "The request is too large."})
        elif environ["REQUEST_METHOD"] == "POST" and path.rstrip("/") == "/api":
            reply = self._rpc(environ, body)
        else:
            reply = self._rest(environ, path, body)
        content = b"" if reply.content is None and reply.status == 204 else json.dumps(reply.content).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
        if reply.status == 401:
            headers.append(("WWW-Authenticate", 'Basic realm="VAPI endpoint"'))
        start_response(f"{reply.status} {_REASONS[reply.status]}", headers)
        return [content]

    # JSON-RPC --------------------------------------------------------------------------------------------------------

    def _rpc(self, environ: dict[str, Any], body: bytes) -> Reply:
        try:
            asked = json.loads(body)
            number, params = asked["id"], asked["params"]
            name = f"{params['serviceId']}.{params['operationId']}"
            context = params.get("ctx") or {}
            security = context.get("securityCtx") or {}
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return Reply(200, {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Invalid Request."}})
        answer = {"jsonrpc": "2.0", "id": number}
        if asked.get("method") != "invoke":
            return Reply(200, answer | {"error": {"code": -32601, "message": "Method not found."}})
        try:
            operation = registry.operations().get(name)
            if operation is None:
                raise Refusal("operation_not_found", f"There is no operation {name}.")
            call, login = self._call(environ, security if isinstance(security, dict) else {})
            given = wire.read_struct(operation.takes, params.get("input"), "rpc")
            output = wire.write(operation.gives, self._serve(call, operation, given, login), "rpc")
            return Reply(200, answer | {"result": {"output": output}})
        except Refusal as refusal:
            error = wire.write(registry.error_type(refusal.error), refusal.value(), "rpc")
            return Reply(200, answer | {"result": {"error": error}})

    # addresses -------------------------------------------------------------------------------------------------------

    def _rest(self, environ: dict[str, Any], path: str, body: bytes) -> Reply:
        _, dialect, *segments = path.rstrip("/").encode("latin-1").decode("utf-8", "replace").split("/")
        verb = environ["REQUEST_METHOD"]
        query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        action = next((value for name, value in query if name in ("action", "~action")), "")
        if dialect == "rest" and segments[:2] == ["com", "vmware"]:
            segments = segments[3:] if segments[2:] == ["cis", "session"] else segments[2:]
            verb, action = ("GET", "") if action == "get" else (verb, action)
        found = registry.match(verb, segments, action, frozenset(name for name, _ in query))
        try:
            if found is None:
                raise Refusal("operation_not_found", f"There is nothing at {environ['REQUEST_METHOD']} {path}.")
            call, login = self._call(environ, _basic(environ))
            given = _given(found, [(n, v) for n, v in query if n not in ("action", "~action")], body, dialect)
            output = self._serve(call, found.operation, given, login)
        except Refusal as refusal:
            value = wire.write(registry.error_type(refusal.error), refusal.value(), dialect)
            told = value if dialect == "api" else {"type": f"com.vmware.vapi.std.errors.{refusal.error}", "value": value}
            return Reply(STATUS[refusal.error], told)
        void = wire.category(found.operation.gives) == "void"
        if void:
            return Reply(204 if dialect == "api" else 200, None if dialect == "api" else {})
        written = wire.write(found.operation.gives, output, dialect)
        created = dialect == "api" and found.operation.verb == "POST" and found.operation.name == "create"
        return Reply(201 if created else 200, written if dialect == "api" else {"value": written})

    # both ------------------------------------------------------------------------------------------------------------

    def _call(self, environ: dict[str, Any], security: dict[str, Any]) -> tuple[Call, dict[str, Any]]:
        """Who calls, and what they log in with."""
        token = environ.get("HTTP_" + HEADER.upper().replace("-", "_")) or _cookie(environ)
        if security.get("schemeId") == f"{_SCHEMES}session_id":
            token = security.get("sessionId")
        with self._inventory.lock:
            session = self._inventory.sessions.find(token) if isinstance(token, str) and token else None
        peer = environ.get("drillbed.peer") or environ.get("REMOTE_ADDR", "")
        call = Call(self._inventory, session, peer, environ.get("HTTP_USER_AGENT", "")[:256])
        call.base = f"{environ.get('wsgi.url_scheme', 'https')}://{environ.get('HTTP_HOST', self._inventory.name)}"
        return call, security

    def _serve(self, call: Call, operation: registry.Operation, given: dict[str, Any], login: dict[str, Any]) -> Any:
        """Carry an operation out. Raises `Refusal`."""
        known = OPERATIONS.get(operation.id)
        if call.session is None and operation.id not in _OPEN:
            raise Refusal("unauthenticated", "Authentication is required: log in first.")
        if known is None:
            raise Refusal("unsupported", f"{operation.id} is not supported by this emulator.")
        try:
            if operation.id in _OPEN:
                given = given | {"login": login}
            with call.inventory.lock:
                found = known(call, given)
            return _driven(call, found) if isgenerator(found) else found
        except Fault as fault:
            raise refusal_of(fault) from None


def automation(inventory: Inventory, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The door of `/api` and `/rest`."""
    return Automation(inventory)(environ, start_response)


def _driven(call: Call, steps: Any) -> Any:
    """Run an operation that acts: each act outside the lock, what is between with it held."""
    outcome: Any = None
    error: Fault | None = None
    while True:
        try:
            with call.inventory.lock:
                act: Act = steps.throw(error) if error is not None else steps.send(outcome)
        except StopIteration as end:
            return end.value
        outcome, error = None, None
        try:
            outcome = soap.carry_out(call, act.managed, act.method, act.args)
        except Fault as fault:
            error = fault


def _given(found: registry.Match, query: list[tuple[str, str]], body: bytes, dialect: str) -> dict[str, Any]:
    """The input of an operation, from its address, its query and its body."""
    takes, content = found.operation.takes, _json(body)
    raw: dict[str, Any] = dict(found.variables)
    names = takes.get_field_names()
    if content is not None:
        whole = found.operation.body
        wrapped = isinstance(content, dict) and set(content) <= set(names) and (content or not whole)
        raw |= content if wrapped and isinstance(content, dict) else {whole or names[-1]: content}
    for name, value in query:
        _ask(takes, raw, name, value)
    return wire.read_struct(takes, raw, dialect)


def _ask(takes: Any, raw: dict[str, Any], name: str, value: str) -> None:
    """Put one item of a query where it belongs: `names=a`, `filter.names=a`, `filter.names.1=a`."""
    parts = [part for part in name.split(".") if not part.isdigit()]
    kind, place = takes, raw
    if parts[0] not in takes.get_field_names() and "filter" in takes.get_field_names():
        parts.insert(0, "filter")
    for number, part in enumerate(parts):
        field = wire.resolved(kind).get_field(part) if wire.category(wire.resolved(kind)) == "struct" else None
        if field is None:
            raise Refusal("invalid_argument", f"There is no parameter {name}.")
        kind = wire.resolved(field.element_type if wire.category(field) == "optional" else field)
        if number < len(parts) - 1:
            place = place.setdefault(part, {})
        elif wire.category(kind) in ("list", "set"):
            place.setdefault(part, []).append(value)
        else:
            place[part] = value


def _json(body: bytes) -> Any:
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal("unexpected_input", "The body is not JSON.") from None


def _basic(environ: dict[str, Any]) -> dict[str, Any]:
    """Name and password of an Authorization header, or the token of one."""
    scheme, _, rest = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "sign":
        try:
            return {"schemeId": f"{_SCHEMES}saml_bearer_token", "samlToken": tokens.unpacked(rest).decode("utf-8", "replace")}
        except Fault:
            return {}
    if scheme.lower() != "basic":
        return {}
    try:
        name, colon, password = base64.b64decode(rest, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {"schemeId": f"{_SCHEMES}user_pass", "userName": name, "password": password} if colon else {}


def _cookie(environ: dict[str, Any]) -> str:
    for cookie in environ.get("HTTP_COOKIE", "").split(";"):
        name, _, value = cookie.partition("=")
        if name.strip() == HEADER:
            return str(value.strip())
    return ""
