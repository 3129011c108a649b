"""JSON over HTTPS as all components speak it: a small WSGI server side and a client side on `Host.request`.

Server: a table of routes, bearer tokens checked before anything is read, bodies bounded, one error envelope
`{"error": {"code", "message"}}`. A handler takes a `Request` and returns an `Answer` or a dict (which is a 200), or raises
`Refusal`.
"""

import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import parse_qs, quote

from reference_impl.outside import ClientIdentity, Host, Reply

JSON_LIMIT = 4 << 20
JSON_TYPE, BYTES_TYPE = "application/json", "application/octet-stream"


class Refusal(Exception):
    """The server says no. `extra` goes beside `error` in the envelope."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message
        self.extra, self.headers = dict(extra or {}), dict(headers or {})


class Refused(Exception):
    """A server said no to us. Not being reached at all is `OSError`."""

    def __init__(self, status: int, code: str, message: str, body: Mapping[str, Any], headers: Mapping[str, str]):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.body, self.headers = status, code, message, dict(body), headers


@dataclass(slots=True)
class Request:
    """One request as a handler sees it. `params` come from the path, `caller` is what `authorize` returned."""

    method: str
    path: str
    params: dict[str, str]
    query: dict[str, str]
    token: str
    peer: str
    body: bytes = b""
    caller: Any = None
    certificate: bytes = b""  #: of the client, DER, where the port asks for one

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; refused with 400 where it is none."""
        try:
            said = json.loads(self.body or b"{}")
        except (ValueError, RecursionError):
            raise Refusal(400, "Malformed", "the body is not JSON") from None
        if not isinstance(said, dict):
            raise Refusal(400, "Malformed", "the body is not a JSON object")
        return said

    def field(self, name: str, kind: type = str) -> Any:
        """A field of the JSON body that has to be there and of that type (400 otherwise)."""
        value = self.json().get(name)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise Refusal(400, "Malformed", f"{name} is missing or not of type {kind.__name__}")
        return value


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a JSON object, or bytes as they are."""

    status: int = 200
    body: Mapping[str, Any] | bytes = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


Handler: TypeAlias = Callable[[Request], Answer | dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """`pattern` has `{name}` for a path part. `public` routes need no token; `limit` bounds the body in bytes."""

    method: str
    pattern: str
    handler: Handler
    public: bool = False
    limit: int = JSON_LIMIT


class WireApp:
    """The WSGI application of one component's port."""

    def __init__(self, routes: Sequence[Route], authorize: Callable[[Request], Any]):
        """`authorize` returns who is calling with `request.token`, or raises `Refusal`."""
        self._routes = [(route, route.pattern.split("/")) for route in routes]
        self._authorize = authorize

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            answer = self._answer(environ)
        except Refusal as no:
            envelope = {"error": {"code": no.code, "message": no.message}, **no.extra}
            answer = Answer(no.status, envelope, no.headers)
        if not isinstance(answer, Answer):
            answer = Answer(body=answer)
        raw = isinstance(answer.body, bytes)
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        headers = {"Content-Type": BYTES_TYPE if raw else JSON_TYPE, "Content-Length": str(len(body)), **answer.headers}
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(headers.items()))
        return [body]

    def _answer(self, environ: dict[str, Any]) -> Answer | dict[str, Any]:
        path, method = environ.get("PATH_INFO", ""), environ["REQUEST_METHOD"]
        route, params = self._find(method, path)
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        query = {name: values[-1] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        peer = environ.get("drillbed.peer", "")
        request = Request(method, path, params, query, token if scheme.lower() == "bearer" else "", peer)
        request.certificate = environ.get("drillbed.certificate", b"")
        if not route.public:
            if not request.token:
                raise Refusal(401, "Unauthorized", "a bearer token is needed")
            request.caller = self._authorize(request)
        request.body = _read_body(environ, route.limit)
        return route.handler(request)

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        parts, known = path.split("/"), False
        for route, pattern in self._routes:
            params = _match(pattern, parts)
            if params is None:
                continue
            known = True
            if route.method == method:
                return route, params
        if known:
            raise Refusal(405, "MethodNotAllowed", f"{method} is not spoken here")
        raise Refusal(404, "NotFound", "there is no such path")


def _match(pattern: list[str], parts: list[str]) -> dict[str, str] | None:
    if len(pattern) != len(parts):
        return None
    params: dict[str, str] = {}
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted.startswith("{"):
            params[wanted[1:-1]] = part
        elif wanted != part:
            return None
    return params


def _read_body(environ: dict[str, Any], limit: int) -> bytes:
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise Refusal(400, "Malformed", "Content-Length is not a number") from None
    if not 0 <= length <= limit:
        raise Refusal(413, "TooLarge", f"a body of {length} bytes is more than {limit}")
    body: bytes = environ["wsgi.input"].read(length) if length else b""
    if len(body) != length:
        raise Refusal(400, "Malformed", "the body is shorter than Content-Length")
    return body


@dataclass(slots=True)
class Client:
    """Calls one server. `base` is like `https://configuration-server.drillbed`; `token` is sent when not empty."""

    host: Host
    base: str
    token: str = ""
    identity: ClientIdentity | None = None  #: shown where the server asks for a certificate

    def call(self, method: str, path: str, payload: Mapping[str, Any] | None = None, *, timeout: float = 60.0) -> dict[str, Any]:
        """A JSON exchange. Raises `Refused` for an answer of 400 and above, `OSError` when there is none."""
        body = b"" if payload is None else json.dumps(payload).encode()
        reply = self.send(method, path, body, content_type=JSON_TYPE, timeout=timeout)
        said = parse(reply)
        if reply.status >= 400:
            raise refused(reply, said)
        return said

    def send(self, method: str, path: str, body: bytes = b"", *, content_type: str = BYTES_TYPE, timeout: float = 60.0) -> Reply:
        """An exchange of bytes; every status is returned."""
        headers = {"Accept": JSON_TYPE}
        if body:
            headers["Content-Type"] = content_type
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return self.host.request(method, self.base + path, headers=headers, body=body, timeout=timeout, identity=self.identity)


def parse(reply: Reply) -> dict[str, Any]:
    """The JSON object of a reply; an empty one where there is none."""
    try:
        said = json.loads(reply.body) if reply.body else {}
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def refused(reply: Reply, said: Mapping[str, Any]) -> Refused:
    """The error of a reply of 400 and above."""
    error = said.get("error")
    error = error if isinstance(error, dict) else {}
    code, message = str(error.get("code", "Unknown")), str(error.get("message", "no message"))
    return Refused(reply.status, code, message, said, reply.headers)


def part(text: str) -> str:
    """`text` as one part of a path."""
    return quote(text, safe="")


def same(offered: str, wanted: str) -> bool:
    """Whether two secrets are equal, without telling by the time it takes. An empty secret equals nothing."""
    return bool(wanted) and hmac.compare_digest(offered.encode(), wanted.encode())
