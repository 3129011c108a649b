"""Entra as a WSGI application: discovery documents, token endpoints and the keys (arm-clients section 3)."""

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from emulators.azure.arm import Json, clean_path
from emulators.azure.entra.people import Denied, Identities, Users
from emulators.azure.entra.tokens import Issuer, audience_of
from emulators.clock import Clock

_FORM_LIMIT = 64 * 1024


@dataclass(slots=True)
class Client:
    """An application registration with its service principal."""

    id: str
    object_id: str
    secrets: list[str] = field(default_factory=list)


class Entra:
    """One tenant: its application registrations and the endpoints that hand out tokens."""

    def __init__(self, clock: Clock, issuer: Issuer):
        self.clock, self.issuer = clock, issuer
        self.tenant = issuer.tenant
        self.clients: dict[str, Client] = {}
        self.users = Users(clock, issuer)
        self.identities = Identities(clock, issuer)
        self.faults: list[BaseException] = []

    def add(self, client_id: str, secret: str) -> Client:
        """Register an application. Raises `ValueError` when the id is taken."""
        if client_id.lower() in self.clients:
            raise ValueError(f"client {client_id} exists already")
        client = Client(client_id, self.clock.uuid(), [secret])
        self.clients[client_id.lower()] = client
        return client

    def principals(self) -> set[str]:
        """Object ids of everybody that a role can be assigned to."""
        return {client.object_id for client in self.clients.values()} | self.users.object_ids() | self.identities.object_ids()

    def add_secret(self, client_id: str, secret: str) -> None:
        """A second secret beside those that are valid: the first half of a rotation without interruption."""
        self.clients[client_id.lower()].secrets.append(secret)

    def rotate(self, client_id: str, secret: str) -> None:
        """Replace all secrets of a client."""
        self.clients[client_id.lower()].secrets = [secret]

    # one request -------------------------------------------------------------------------------------------------------

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            status, body = self._answer(environ)
        except Denied as denied:
            status, body = denied.status, self._error(denied)
        except Exception as bug:
            self.faults.append(bug)
            status, body = 500, {"error": "server_error", "error_description": "An internal error has occurred."}
        payload = orjson.dumps(body)
        headers = [
            ("Content-Type", "application/json; charset=utf-8"),
            ("Content-Length", str(len(payload))),
            ("Cache-Control", "no-store, no-cache"),
            ("x-ms-request-id", self.clock.uuid()),
        ]
        reasons = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}
        start_response(f"{status} {reasons.get(status, 'Status')}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [payload]

    def _answer(self, environ: dict[str, Any]) -> tuple[int, Json]:
        path = clean_path(environ.get("PATH_INFO", "/"))
        parts = path.strip("/").split("/")
        base_url = f"{environ.get('wsgi.url_scheme', 'https')}://{environ.get('HTTP_HOST') or environ['SERVER_NAME']}"
        tail = "/".join(parts[1:]).lower()
        method = environ["REQUEST_METHOD"]
        if method == "GET":
            if tail == "discovery/instance":
                return 200, self._instance(base_url, parts[0])
            if tail.startswith("userrealm/"):
                return 200, {
                    "ver": "1.0",
                    "account_type": "Managed",
                    "domain_name": "drillbed",
                    "cloud_instance_name": "drillbed",
                }
            if tail in (".well-known/openid-configuration", "v2.0/.well-known/openid-configuration"):
                self._known_tenant(parts[0], common=True)
                return 200, self._discovery(base_url, parts[0], v2=tail.startswith("v2.0"))
            if tail in ("discovery/v2.0/keys", "discovery/keys"):
                return 200, self.issuer.keys()
        if path.lower() == "/metadata/identity/oauth2/token" and method == "GET":
            return 200, self.identities.token(environ)
        if tail in ("oauth2/v2.0/token", "oauth2/token"):
            if method != "POST":
                raise Denied(
                    405, "invalid_request", 900561, f"The endpoint only accepts POST requests. Received a {method} request."
                )
            self._known_tenant(parts[0], common=False)
            return 200, self._token(environ, v2=tail == "oauth2/v2.0/token")
        raise Denied(404, "invalid_request", 90014, f"There is no endpoint {method} {path}.")

    def _known_tenant(self, tenant: str, *, common: bool) -> None:
        known = {self.tenant.lower(), "adfs", *(("common", "organizations") if common else ())}
        if tenant.lower() not in known:
            raise Denied(
                400, "invalid_request", 90002, f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."
            )

    def _token(self, environ: dict[str, Any], *, v2: bool) -> Json:
        form = _form(environ)
        if not form.get("grant_type"):
            raise Denied(400, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'.")
        if form["grant_type"] in ("password", "refresh_token"):
            return self.users.token(form, v2=v2)
        if form["grant_type"] != "client_credentials":
            raise Denied(
                400, "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{form['grant_type']}'."
            )
        client_id, secret = _credentials(environ, form)
        client = self.clients.get(client_id.lower())
        if client is None:
            raise Denied(
                400, "unauthorized_client", 700016, f"Application with identifier '{client_id}' was not found in the directory."
            )
        if not any(hmac.compare_digest(known.encode(), secret.encode()) for known in client.secrets):
            raise Denied(
                401,
                "invalid_client",
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
                f"not the client secret ID, for a secret added to app '{client_id}'.",
            )
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


def _form(environ: dict[str, Any]) -> dict[str, str]:
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > _FORM_LIMIT:
        raise Denied(400, "invalid_request", 900144, "The request body is missing or too large.")
    data = environ["wsgi.input"].read(int(length)) if int(length) else b""
    return dict(parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True))


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
