"""Entra as a WSGI application: discovery documents, token endpoints and the keys (arm-clients section 3)."""

import base64
import binascii
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from emulators.azure.arm import Json, Refusal, bearer, clean_path
from emulators.azure.entra.clients import Client, Clients
from emulators.azure.entra.devices import GRANT, PAGE, DeviceCodes
from emulators.azure.entra.graph import AUDIENCES, Graph
from emulators.azure.entra.people import Denied, Identities, Users
from emulators.azure.entra.tokens import Issuer, audience_of
from emulators.clock import Clock

_FORM_LIMIT = 64 * 1024
_TOKENS = ("oauth2/v2.0/token", "oauth2/token")


class Entra:
    """One tenant: its application registrations and the endpoints that hand out tokens."""

    def __init__(self, clock: Clock, issuer: Issuer):
        self.clock, self.issuer = clock, issuer
        self.tenant = issuer.tenant
        self.registrations = Clients(clock)
        self.users = Users(clock, issuer)
        self.devices = DeviceCodes(clock, self.users)
        self.graph = Graph(clock, self.registrations, self.users)
        self.identities = Identities(clock, issuer)
        self.faults: list[BaseException] = []
        self._lock = threading.Lock()

    @property
    def clients(self) -> dict[str, Client]:
        """Registrations by lower-cased client id."""
        return self.registrations.all

    def add(self, client_id: str, secret: str) -> Client:
        """Register an application. Raises `ValueError` when the id is taken."""
        return self.registrations.add(client_id, secret)

    def principals(self) -> set[str]:
        """Object ids of everybody that a role can be assigned to."""
        return {client.object_id for client in self.clients.values()} | self.users.object_ids() | self.identities.object_ids()

    def rotate(self, client_id: str, secret: str) -> None:
        """Replace all secrets of a client."""
        client = self.clients[client_id.lower()]
        client.secrets = []
        self.registrations.add_secret(client, secret)

    # one request -------------------------------------------------------------------------------------------------------

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body: Any
        try:
            status, body = self._answer(environ)
        except Denied as denied:
            status, body = denied.status, self._error(denied)
        except Refusal as refusal:  # Graph has errors of another form
            status, body = refusal.status, {"error": refusal.error()}
        except Exception as bug:
            self.faults.append(bug)
            status, body = 500, {"error": "server_error", "error_description": "An internal error has occurred."}
        payload = b"" if body is None else body.encode() if isinstance(body, str) else orjson.dumps(body)
        headers = [
            ("Content-Type", f"{'text/html' if isinstance(body, str) else 'application/json'}; charset=utf-8"),
            ("Content-Length", str(len(payload))),
            ("Cache-Control", "no-store, no-cache"),
            ("x-ms-request-id", self.clock.uuid()),
        ]
        reasons = {
            200: "OK",
            204: "No Content",
            403: "Forbidden",
            400: "Bad Request",
            401: "Unauthorized",
            404: "Not Found",
            405: "Method Not Allowed",
        }
        start_response(f"{status} {reasons.get(status, 'Status')}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [payload]

    def _answer(self, environ: dict[str, Any]) -> tuple[int, Any]:
        path = clean_path(environ.get("PATH_INFO", "/"))
        parts = path.strip("/").split("/")
        base_url = f"{environ.get('wsgi.url_scheme', 'https')}://{environ.get('HTTP_HOST') or environ['SERVER_NAME']}"
        tail = "/".join(parts[1:]).lower()
        method = environ["REQUEST_METHOD"]
        if parts[0].lower() == "v1.0":
            return self._ask_graph(environ, path, base_url)
        if path.lower() == "/metadata/identity/oauth2/token" and method == "GET":
            return 200, self.identities.token(environ)
        found = self._read(base_url, parts[0], tail) if method == "GET" else None
        if method == "POST":
            found = self._take(environ, base_url, parts[0], tail)
        if found is not None:
            return 200, found
        if tail in _TOKENS:
            text = f"The endpoint only accepts POST requests. Received a {method} request."
            raise Denied(405, "invalid_request", 900561, text)
        raise Denied(404, "invalid_request", 90014, f"There is no endpoint {method} {path}.")

    def _read(self, base_url: str, tenant: str, tail: str) -> Any:
        """What is told to anybody; None where there is nothing."""
        if tail == "oauth2/deviceauth":
            return PAGE
        if tail == "discovery/instance":
            return self._instance(base_url, tenant)
        if tail.startswith("userrealm/"):
            names = {"domain_name": "drillbed", "cloud_instance_name": "drillbed"}
            return {"ver": "1.0", "account_type": "Managed", **names}
        if tail in (".well-known/openid-configuration", "v2.0/.well-known/openid-configuration"):
            self._known_tenant(tenant, common=True)
            return self._discovery(base_url, tenant, v2=tail.startswith("v2.0"))
        if tail in ("discovery/v2.0/keys", "discovery/keys"):
            return self.issuer.keys()
        return None

    def _take(self, environ: dict[str, Any], base_url: str, tenant: str, tail: str) -> Any:
        """Forms: for tokens, for codes, and the one that somebody types a code into. None where there is nothing."""
        if tail in _TOKENS:
            form = _form(environ)
            # Applications are of one tenant; a person is found in his.
            self._known_tenant(tenant, common=form.get("grant_type") != "client_credentials")
            return self._token(environ, form, v2=tail == "oauth2/v2.0/token")
        if tail == "oauth2/v2.0/devicecode":
            self._known_tenant(tenant, common=True)
            return self.devices.begin(_form(environ), f"{base_url}/{tenant}/oauth2/deviceauth")
        if tail == "oauth2/deviceauth":
            self.devices.approve(_form(environ))
            return "<!DOCTYPE html><title>Done</title><p>You have signed in on your device.</p>"
        return None

    def _ask_graph(self, environ: dict[str, Any], path: str, base_url: str) -> tuple[int, Any]:
        claims = self.issuer.check(bearer(environ.get("HTTP_AUTHORIZATION", "")), base_url, AUDIENCES)
        query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        with self._lock:
            return self.graph.answer(environ["REQUEST_METHOD"], path, query, _content(environ), claims)

    def _known_tenant(self, tenant: str, *, common: bool) -> None:
        known = {self.tenant.lower(), "adfs", *(("common", "organizations") if common else ())}
        if tenant.lower() not in known:
            raise Denied(
                400, "invalid_request", 90002, f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."
            )

    def _token(self, environ: dict[str, Any], form: dict[str, str], *, v2: bool) -> Json:
        if not form.get("grant_type"):
            raise Denied(400, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'.")
        if form["grant_type"] in ("password", "refresh_token"):
            return self.users.token(form, v2=v2)
        if form["grant_type"] == GRANT and v2:
            return self.devices.token(form)
        if form["grant_type"] != "client_credentials":
            raise Denied(
                400, "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{form['grant_type']}'."
            )
        client = self.registrations.authenticate(*_credentials(environ, form))
        asked = "scope" if v2 else "resource"
        if not form.get(asked, "").strip():
            raise Denied(400, "invalid_request", 900144, f"The request body must contain the following parameter: '{asked}'.")
        audience = audience_of(form["scope"]) if v2 else form["resource"]
        token = self.issuer.issue(client.id, client.object_id, audience, version="2.0" if v2 else "1.0")
        return self._granted(token, audience, v2=v2)

    def _granted(self, token: str, audience: str, *, v2: bool) -> Json:
        seconds = self.issuer.seconds
        if v2:
            return {"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token}
        now = int(self.clock.now())
        return {
            "token_type": "Bearer",
            "expires_in": str(seconds),
            "ext_expires_in": str(seconds),
            "expires_on": str(now + seconds),
            "not_before": str(now),
            "resource": audience,
            "access_token": token,
        }

    def _discovery(self, base_url: str, tenant: str, *, v2: bool) -> Json:
        root = f"{base_url}/{tenant}"
        # An authority that ends in /adfs has the short paths (arm-clients section 3).
        middle = "oauth2" if tenant.lower() == "adfs" or not v2 else "oauth2/v2.0"
        return {
            "issuer": self.issuer.issuer,
            "authorization_endpoint": f"{root}/{middle}/authorize",
            "token_endpoint": f"{root}/{middle}/token",
            "device_authorization_endpoint": f"{root}/{middle}/devicecode",
            "jwks_uri": f"{root}/discovery/{'v2.0/' if v2 else ''}keys",
            "response_types_supported": ["code", "id_token", "token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        }

    def _instance(self, base_url: str, tenant: str) -> Json:
        host = base_url.split("://", 1)[1]
        return {
            "tenant_discovery_endpoint": f"{base_url}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }

    def _error(self, denied: Denied) -> Json:
        trace, correlation = self.clock.uuid(), self.clock.uuid()
        stamp = f"{self.clock.utc():%Y-%m-%d %H:%M:%SZ}"
        text = f"AADSTS{denied.code}: {denied.text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        return {
            "error": denied.error,
            "error_description": text,
            "error_codes": [denied.code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
        }


def _content(environ: dict[str, Any]) -> bytes:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > _FORM_LIMIT:
        raise Denied(400, "invalid_request", 900144, "The request body is missing or too large.")
    data: bytes = environ["wsgi.input"].read(int(length)) if int(length) else b""
    return data


def _form(environ: dict[str, Any]) -> dict[str, str]:
    return dict(parse_qsl(_content(environ).decode("utf-8", "replace"), keep_blank_values=True))


def _credentials(environ: dict[str, Any], form: dict[str, str]) -> tuple[str, str]:
    """Client id and secret, from the form or from a Basic header."""
    scheme, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise Denied(400, "invalid_request", 900144, "The Authorization header is malformed.") from None
        return unquote(name), unquote(secret)
    if not form.get("client_id"):
        raise Denied(400, "invalid_request", 900144, "The request body must contain the following parameter: 'client_id'.")
    if not form.get("client_secret"):
        text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
        raise Denied(401, "invalid_client", 7000218, text)
    return form["client_id"], form["client_secret"]
