"""The service's side of the component protocol: a WSGI application that configuration servers and replica workers call on 443."""

import hmac
import re
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from emulators.azure.arm import Refusal, Resource, read
from emulators.azure.site_recovery import replica_workers, replication
from emulators.azure.site_recovery.fabric_making import check_kind, check_turn, make_fabric
from emulators.azure.site_recovery.profiles import PROFILES
from emulators.azure.site_recovery.records import Component
from emulators.azure.site_recovery.service import Service
from emulators.azure.site_recovery.wire import Json, parse_time
from emulators.clock import iso

#: The largest report, in bytes: an inventory of some thousand machines.
BODY_LIMIT = 16 * 1024 * 1024

HEARTBEAT_SECONDS, POLL_SECONDS = 60, 10

_PATH = re.compile(
    r"^/components/(?P<id>[0-9a-f-]{36})/(?P<what>heartbeat|inventory|work|recovery-points)(?:/(?P<work>[0-9a-f-]{36}))?$"
)
_ROLES = (*PROFILES, replica_workers.ROLE)
_STATES = ("running", "succeeded", "failed")
_PHRASES = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    413: "Content Too Large",
    500: "Internal Server Error",
}


class Components:
    """`POST /components/...` of docs/component-protocol.md, section 1."""

    def __init__(self, service: Service, check_key: Callable[[str], Resource]):
        self._service, self._check_key = service, check_key

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            body = self._answer(environ)
            status = 200
        except Refusal as refusal:
            status, body = refusal.status, {"error": {"code": refusal.code, "message": refusal.message}}
        except Exception as bug:
            self._service.arm.faults.append(bug)
            status, body = 500, {"error": {"code": "InternalError", "message": "An internal error has occurred."}}
        payload = orjson.dumps(body)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(payload)))]
        start_response(f"{status} {_PHRASES.get(status, 'Status')}", headers)
        return [payload]

    def _answer(self, environ: dict[str, Any]) -> Json:
        if environ["REQUEST_METHOD"] != "POST":
            raise Refusal(405, "MethodNotAllowed", "Every call of this protocol is a POST.")
        body, path = _body(environ), environ.get("PATH_INFO", "/")
        with self._service.lock:
            if path == "/components/register":
                return self._register(body)
            match = _PATH.match(path)
            if match is None or (match["work"] and match["what"] != "work"):
                raise Refusal(404, "NotFound", f"There is nothing at {path}.")
            component = self._caller(environ, match["id"])
            if match["work"]:
                return self._report(component, match["work"], body)
            if match["what"] == "work":
                return self._take(component)
            if match["what"] in ("inventory", "recovery-points"):
                self._only(component, {"inventory": tuple(PROFILES), "recovery-points": ("replica-worker",)}[match["what"]])
            reports = {
                "heartbeat": replication.heartbeat,
                "inventory": replication.inventory,
                "recovery-points": replication.recovery_points,
            }
            reports[match["what"]](self._service, component, body)
            return {"time": iso(self._service.now())} if match["what"] == "heartbeat" else {}

    # registration ------------------------------------------------------------------------------------------------------

    def _register(self, body: Json) -> Json:
        service, rules = self._service, self._service.rules
        role = read(body, "role", str, required=True)
        if role not in _ROLES:
            raise Refusal(400, "Malformed", f"'role' must be one of {', '.join(_ROLES)}.")
        vault = service.vault_at(self._check_key(read(body, "registrationKey", str, required=True)).id)  # TOP-008
        if abs(_when(read(body, "time", str, required=True)) - service.now()) > rules.clock_skew_seconds:
            raise Refusal(400, "ClockSkew", "ACS50008: SAML token is invalid.")  # TOP-011
        machine_id = str(read(body, "machineId", str, required=True)).lower()
        known = next((c for c in service.components.values() if (c.machine_id, c.role) == (machine_id, role)), None)
        if known is not None and known.vault != vault.key:
            if rules.one_vault_per_server:  # TOP-009
                raise Refusal(409, "RegisteredElsewhere", "This server is registered with another vault.")
            known = None
        check_kind(vault, role, known)
        if role == "appliance":
            check_turn([one for fabric in vault.fabrics.values() for one in service.servers(fabric)], known)
        component = known or Component(service.clock.uuid(), role, "", machine_id, vault.key, "", "", "", [], service.now())
        component.name = str(read(body, "name", str, required=True))
        component.address = str(read(body, "address", str, ""))
        component.version = str(read(body, "version", str, "9.0.0.0"))
        component.run_as_accounts = replication.objects(body, "runAsAccounts")
        component.token = service.clock.random_bytes(32).hex()
        component.seen = service.now()
        service.components[component.id] = component
        if role in PROFILES and component.fabric not in vault.fabrics:
            make_fabric(vault, component, PROFILES[role], service.now())
        if role == replica_workers.ROLE:
            replica_workers.brief(service, vault, component)
        service.observe("registered", component.id, role=role, name=component.name, vault=vault.id)
        return {
            "componentId": component.id,
            "token": component.token,
            "vault": vault.id,
            "fabric": component.fabric or None,
            "heartbeatSeconds": HEARTBEAT_SECONDS,
            "pollSeconds": POLL_SECONDS,
        }

    # the rest ------------------------------------------------------------------------------------------------------------

    def _caller(self, environ: dict[str, Any], component_id: str) -> Component:
        scheme, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refusal(401, "Unauthorized", "A bearer token from the registration is required.")
        component = self._service.components.get(component_id)
        owner = next(
            (c for c in self._service.components.values() if hmac.compare_digest(c.token.encode(), token.encode())), None
        )
        if owner is None:
            raise Refusal(401, "Unauthorized", "The token is not valid.")
        if component is None or component is not owner:
            raise Refusal(403, "Forbidden", "The token belongs to another component.")
        return component

    def _only(self, component: Component, roles: tuple[str, ...]) -> None:
        if component.role not in roles:
            raise Refusal(403, "Forbidden", f"Only a {' or '.join(roles)} may send this.")

    def _take(self, component: Component) -> Json:
        """Every queued piece of work, once."""
        component.seen = self._service.now()
        if component.role == replica_workers.ROLE:
            replica_workers.take_over(self._service, component)
        taken, component.queue = component.queue, []
        for work in taken:
            work.state, work.given = "given", self._service.now()
        return {"work": [{"workId": work.id, "kind": work.kind, "input": work.input} for work in taken]}

    def _report(self, component: Component, work_id: str, body: Json) -> Json:
        work = component.work.get(work_id)
        if work is None:
            raise Refusal(404, "NotFound", "There is no such work.")
        state = read(body, "state", str, required=True)
        if state not in _STATES:
            raise Refusal(400, "Malformed", f"'state' must be one of {', '.join(_STATES)}.")
        if work.done:
            raise Refusal(409, "WorkEnded", "This work has ended already.")
        work.given = self._service.now()
        work.progress = int(read(body, "progress", int, work.progress))
        work.output = read(body, "output", dict, {})
        work.error = read(body, "error", dict, {})
        work.state = state
        if work.done:
            component.work = {key: value for key, value in component.work.items() if not value.done or value is work}
            self._service.observe("work-done", work.id, component=component.name, work=work.kind, state=state)
        return {}


def _body(environ: dict[str, Any]) -> Json:
    length = environ.get("CONTENT_LENGTH") or "0"
    size = int(length) if length.isdigit() else 0
    if size > BODY_LIMIT:
        raise Refusal(413, "TooLarge", f"A body may have at most {BODY_LIMIT} bytes.")
    data = environ["wsgi.input"].read(size) if size else b""
    try:
        body = orjson.loads(data) if data else {}
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, "Malformed", "The body must be a JSON object.")
    return body


def _when(text: str) -> float:
    try:
        return parse_time(text)
    except ValueError:
        raise Refusal(400, "Malformed", f"'{text}' is not a time.") from None
