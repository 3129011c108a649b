"""Resource Manager as a WSGI application: everything every request goes through, around the operations of the providers."""

import base64
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl

import orjson

from emulators.azure.arm.access import Access, CheckToken, bearer
from emulators.azure.arm.faces import Faces
from emulators.azure.arm.lenient import parse_json
from emulators.azure.arm.locks import Locks
from emulators.azure.arm.messages import Answer, Call, Json, Refusal
from emulators.azure.arm.operations import Operation, Operations
from emulators.azure.arm.paging import paged
from emulators.azure.arm.routing import Endpoint, Router, clean_path
from emulators.azure.arm.store import ResourceStore
from emulators.clock import Clock

#: The largest request body, as the real Resource Manager has it.
BODY_LIMIT = 4 * 1024 * 1024

#: How deep a body may be nested.
_DEEPEST = 100

GROUP_TYPE = "Microsoft.Resources/resourceGroups"

_REASONS = {
    200: "OK", 201: "Created", 202: "Accepted", 204: "No Content", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 412: "Precondition Failed", 413: "Content Too Large",
    415: "Unsupported Media Type", 429: "Too Many Requests", 500: "Internal Server Error",
}  # fmt: skip

#: Header that counts what is left of the subscription's hourly allowance, and the allowance, by method.
_ALLOWANCES = {"GET": ("reads", 11999), "HEAD": ("reads", 11999), "DELETE": ("deletes", 14999)}
_WRITES = ("writes", 1199)


class Arm:
    """One estate's Resource Manager. See the package's docstring for how a provider is written.

    `check_token` gives the claims of a bearer token or raises `Refusal` 401; `faces` are the ways in, `tenant` whose
    tokens count. `faults` collects exceptions that are bugs of ours: clients get a 500, tests look here.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        subscriptions: Iterable[str],
        check_token: CheckToken,
        faces: Faces,
        tenant: str,
        locations: Iterable[str],
        fast: bool = True,
    ):
        self.clock = clock
        self.scope = clock.scope("azure")
        self.lock = threading.RLock()
        self.faults: list[BaseException] = []
        self.store = ResourceStore()
        self.router = Router()
        self.access = Access(clock.uuid)
        self.locks = Locks()
        self.store.after_remove.append(self.locks.forget)
        #: Lower-cased namespaces that the subscription is not registered for.
        self.unregistered: set[str] = set()
        self.operations = Operations(self.scope, self.lock, self.faults, fast=fast)
        self.subscriptions = {subscription.lower(): subscription for subscription in subscriptions}
        self.locations = tuple(locations)
        self.faces, self.tenant = faces, tenant
        self.providers: dict[str, Any] = {}
        self.public: dict[str, Callable[[str, dict[str, str]], Answer]] = {}
        self._check_token = check_token
        self._spent: dict[str, int] = {}

    def register(self, provider: Any) -> None:
        """Add a resource provider: an object whose methods are marked with `operation` and that has a `namespace`."""
        self.providers.setdefault(provider.namespace.lower(), provider)
        self.router.register(provider)

    # one request -------------------------------------------------------------------------------------------------------

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        correlation = environ.get("HTTP_X_MS_CORRELATION_REQUEST_ID") or self.clock.uuid()
        try:
            payload, answer = self._guarded(environ, method, correlation)
        except Refusal as refusal:
            answer = self._refused(refusal, _base_url(environ))
            payload = orjson.dumps(answer.body)
        except Exception as bug:
            self.faults.append(bug)
            answer = Answer(500, {"error": {"code": "InternalServerError", "message": "An internal error has occurred."}})
            payload = orjson.dumps(answer.body)
        headers = self._headers(environ, method, correlation, answer, payload)
        start_response(f"{answer.status} {_REASONS.get(answer.status, 'Status')}", headers)
        return [] if method == "HEAD" else [payload]

    def _guarded(self, environ: dict[str, Any], method: str, correlation: str) -> tuple[bytes, Answer]:
        path = clean_path(environ.get("PATH_INFO", "/").encode("latin-1").decode("utf-8", "replace"))
        query = {name.lower(): value for name, value in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)}
        base_url = _base_url(environ)
        content = _content(environ)
        if path.lower() in self.public and method == "GET":
            answer = self.public[path.lower()](base_url, query)
            return _written(answer), answer
        claims = self._check_token(bearer(environ.get("HTTP_AUTHORIZATION", "")), base_url)
        if not query.get("api-version"):
            raise Refusal(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        call = Call(
            method=method,
            path=path,
            parameters={},
            query=query,
            body=None,
            principal=claims,
            api_version=query["api-version"],
            headers={
                "content-type": environ.get("CONTENT_TYPE", ""),
                **{k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")},
            },
            base_url=base_url,
            correlation_id=correlation,
            raw=content,
        )
        with self.lock:
            answer = self.dispatch(call)
            # Written out under the lock: answers share objects with the store.
            written = _written(answer)
        if answer.first is not None:
            answer.first()
        return written, answer

    def dispatch(self, call: Call) -> Answer:
        """Authorise and carry out one call; the lock is held. Raises `Refusal`."""
        polled = self.operations.find(call.path) if call.method == "GET" else None
        if polled is not None:
            return self._poll(call, *polled)
        endpoint = self._route(call)
        self._check_subscription(call)
        if call.subscription:  # what is above shows each caller only what is his
            self.access.check(call.principal, endpoint.action, call.path)
        self._check_group(call, endpoint)
        self.locks.check(call.method, call.path)
        self._check_registered(call)
        if not endpoint.text and call.raw:
            call.body = _json_object(call)
        self._check_conditions(call)
        answer = paged(call, endpoint.handler(call))
        self._note_time(call)
        if call.method == "HEAD" and endpoint.method == "GET":  # whether a resource is there, asked of any of them
            return Answer(204)
        return _with_etag(call, answer)

    def _route(self, call: Call) -> Endpoint:
        """The operation; HEAD is answered by GET where it has none of its own. Raises `Refusal` 404 or 405."""
        try:
            endpoint, call.parameters = self.router.match(call.method, call.path)
        except Refusal:
            if call.method != "HEAD":
                raise
            endpoint, call.parameters = self.router.match("GET", call.path)
        call.template = endpoint.template
        if call.method == "PUT":  # what it makes has an id as Azure spells it
            call.path = endpoint.path(call.parameters)
        return endpoint

    def _check_registered(self, call: Call) -> None:
        namespace = call.path.lower().rpartition("/providers/")[2].split("/", 1)[0]
        if call.method == "PUT" and namespace in self.unregistered:
            raise Refusal(
                409,
                "MissingSubscriptionRegistration",
                f"The subscription is not registered to use namespace '{namespace}'. See https://aka.ms/rps-not-found for how to "
                "register subscriptions.",
            )

    def _check_conditions(self, call: Call) -> None:
        """If-Match and If-None-Match of resources that have an etag. Raises `Refusal` 412."""
        if call.method not in ("PUT", "PATCH", "DELETE"):
            return
        wanted, unwanted = call.headers.get("if-match"), call.headers.get("if-none-match")
        if not wanted and not unwanted:
            return
        resource = self.store.get(call.path)
        etag = resource.body.get("etag") if resource is not None else None
        if wanted and ((resource is None and call.method != "DELETE") or (etag and wanted not in ("*", etag))):
            raise Refusal(
                412,
                "PreconditionFailed",
                f"Precondition failed. Etag provided in if-match header {wanted} does not match etag {etag} of resource "
                f"{call.path}.",
            )
        if unwanted == "*" and resource is not None:
            raise Refusal(412, "PreconditionFailed", f"Precondition failed. Resource {resource.id} already exists.")

    def _note_time(self, call: Call) -> None:
        """When a resource was made and changed, for those who ask with `$expand`."""
        changed = self.store.get(call.path) if call.method in ("PUT", "PATCH") else None
        if changed is not None:
            changed.hidden["changed"] = self.clock.now()
            changed.hidden.setdefault("created", changed.hidden["changed"])

    def _poll(self, call: Call, operation: Operation, kind: str) -> Answer:
        if not self.access.sees(str(call.principal.get("oid", "")), "/".join(call.path.split("/")[:3])):
            self.access.check(call.principal, "Microsoft.Resources/subscriptions/operationresults/read", call.path)
        return self.operations.poll(call, operation, kind)

    def _check_subscription(self, call: Call) -> None:
        if call.subscription and call.subscription.lower() not in self.subscriptions:
            raise Refusal(404, "SubscriptionNotFound", f"The subscription '{call.subscription}' could not be found.")

    def _check_group(self, call: Call, endpoint: Endpoint) -> None:
        if not endpoint.needs_group or not call.group:
            return
        group = self.store.get(f"/subscriptions/{call.subscription}/resourceGroups/{call.group}")
        if group is None:
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{call.group}' could not be found.")
        deleting = group.properties.get("provisioningState") == "Deleting"
        if deleting and call.method in ("PUT", "PATCH"):
            raise Refusal(
                409,
                "ResourceGroupBeingDeleted",
                f"The resource group '{call.group}' is in deprovisioning state and cannot perform this operation.",
            )

    # what every answer carries -------------------------------------------------------------------------------------------

    def _refused(self, refusal: Refusal, base_url: str) -> Answer:
        answer = Answer(refusal.status, {"error": refusal.error()})
        if refusal.status == 401:
            authority = f"{self.faces.of(base_url).login}/{self.tenant}"
            value = f'Bearer authorization_uri="{authority}", error="invalid_token", error_description="{refusal.message}"'
            if refusal.code == "ExpiredAuthenticationToken":
                # As continuous access evaluation asks for a new token: clients whose own clock runs behind the estate's then
                # get one.
                claims = orjson.dumps({"access_token": {"nbf": {"essential": True, "value": str(int(self.clock.now()))}}})
                value = (
                    f'Bearer realm="", authorization_uri="{authority}", client_id="00000003-0000-0000-c000-000000000000", '
                    f'error="insufficient_claims", claims="{base64.b64encode(claims).decode()}"'
                )
            answer.headers["WWW-Authenticate"] = value
        return answer

    def _headers(self, environ: Json, method: str, correlation: str, answer: Answer, payload: bytes) -> list[tuple[str, str]]:
        headers = {
            "Cache-Control": "no-cache",
            "Pragma": "no-cache",
            "Expires": "-1",
            "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
            "X-Content-Type-Options": "nosniff",
            "x-ms-request-id": correlation,
            "x-ms-correlation-request-id": correlation,
            "x-ms-routing-request-id": f"EMULATED:{self.clock.utc():%Y%m%dT%H%M%SZ}:{correlation}",
        }
        if "HTTP_X_MS_CLIENT_REQUEST_ID" in environ:
            headers["x-ms-client-request-id"] = environ["HTTP_X_MS_CLIENT_REQUEST_ID"]
        if answer.status < 400:
            kind, allowance = _ALLOWANCES.get(method, _WRITES)
            with self.lock:
                spent = self._spent[kind] = self._spent.get(kind, -1) + 1
            headers[f"x-ms-ratelimit-remaining-subscription-{kind}"] = str(max(0, allowance - spent % (allowance + 1)))
        if payload:
            headers["Content-Type"] = "application/json; charset=utf-8"
        if answer.status != 204:
            headers["Content-Length"] = str(len(payload))
        # A client's header is echoed: a line break in it must not become a header of ours.
        return [(name, value.replace("\r", "").replace("\n", "")) for name, value in {**headers, **answer.headers}.items()]


def _with_etag(call: Call, answer: Answer) -> Answer:
    """The network's resources carry their etag in a header too."""
    if "/providers/microsoft.network/" in call.path.lower() and isinstance(answer.body, dict):
        etag = answer.body.get("etag")
        if isinstance(etag, str) and etag:
            answer.headers.setdefault("ETag", etag)
    return answer


def _base_url(environ: dict[str, Any]) -> str:
    """How the caller knows this service: scheme, host and port."""
    return f"{environ.get('wsgi.url_scheme', 'https')}://{environ.get('HTTP_HOST') or environ['SERVER_NAME']}"


def _content(environ: dict[str, Any]) -> bytes:
    """The body, at most `BODY_LIMIT` bytes of it."""
    stream = environ.get("wsgi.input")
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdigit():
        if int(length) > BODY_LIMIT:
            raise _too_large()
        return stream.read(int(length)) if stream is not None and int(length) else b""
    if stream is None or environ.get("HTTP_TRANSFER_ENCODING", "").lower() != "chunked":
        return b""
    data: bytes = stream.read(BODY_LIMIT + 1)
    if len(data) > BODY_LIMIT:
        raise _too_large()
    return data


def _too_large() -> Refusal:
    return Refusal(413, "RequestContentTooLarge", f"The request content is larger than the allowed {BODY_LIMIT} bytes.")


def _written(answer: Answer) -> bytes:
    if answer.body is None:
        return b""
    return answer.body if isinstance(answer.body, bytes) else orjson.dumps(answer.body)


def _json_object(call: Call) -> Json | None:
    content = call.raw
    if not content.strip():
        return None
    kind = call.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind not in ("application/json", "text/json", ""):
        raise Refusal(
            415,
            "UnsupportedMediaType",
            f"The content media type '{kind}' is not supported. Only 'application/json' is supported.",
        )
    try:
        body = parse_json(content)
    except orjson.JSONDecodeError as error:
        raise Refusal(
            400, "InvalidRequestContent", f"The request content was invalid and could not be deserialized: '{error}'."
        ) from None
    if body is not None and not isinstance(body, dict):
        raise Refusal(400, "InvalidRequestContent", "The request content was invalid: a JSON object is required.")
    if content.count(b"{") + content.count(b"[") > _DEEPEST and _is_deep(body):
        raise Refusal(
            400, "InvalidRequestContent", f"The request content was invalid: it is nested deeper than {_DEEPEST} levels."
        )
    return body


def _is_deep(body: Any) -> bool:
    """Whether something is nested deeper than we go down, or write out again."""
    level: list[Any] = [body]
    for _ in range(_DEEPEST):
        level = [
            inner for one in level for inner in (one.values() if isinstance(one, dict) else one) if isinstance(inner, dict | list)
        ]
    return bool(level)
