"""The part of Microsoft Graph that tools ask when they look for principals and change secrets."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from emulators.azure.arm import Json, Refusal, read
from emulators.azure.entra.clients import SECRET_SECONDS, Client, Clients, Secret
from emulators.azure.entra.people import User, Users
from emulators.clock import Clock, iso

#: Who tokens for Graph may be made out to, besides the place it is asked at.
AUDIENCES = frozenset({"https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"})

_EQUALS = re.compile(r"\s*(\w+)\s+eq\s+'([^']*)'\s*", re.IGNORECASE)
_ANY = re.compile(r"\s*servicePrincipalNames/any\(\w+:\s*\w+\s+eq\s+'([^']*)'\)\s*", re.IGNORECASE)
_BY_APP = re.compile(r"(applications|serviceprincipals)\(appid='([^']*)'\)", re.IGNORECASE)


class Graph:
    """Answers `/v1.0/...`. Everybody of the tenant may read; secrets are changed by the client itself and by `may_manage`.

    `may_manage` tells of a principal's object id.
    """

    def __init__(self, clock: Clock, clients: Clients, users: Users):
        self.clock, self.clients, self.users = clock, clients, users
        self.may_manage: Callable[[str], bool] = _nobody

    def answer(self, method: str, path: str, query: dict[str, str], content: bytes, claims: Json) -> tuple[int, Json | None]:
        """Status and body of one authenticated request. Raises `Refusal`."""
        path = _BY_APP.sub(r"\1/\2", path)
        parts = path.strip("/").split("/")[1:]
        body = _parsed(content) if method == "POST" else {}
        kind, rest = parts[0].lower() if parts else "", parts[1:]
        if method == "GET" and kind == "me" and not rest:
            return 200, self._me(claims)
        if method == "GET" and kind in ("applications", "serviceprincipals", "users"):
            return 200, self._found(kind, rest, query)
        if method == "POST" and kind == "directoryobjects" and [one.lower() for one in rest] == ["getbyids"]:
            wanted = {str(one).lower() for one in read(body, "ids", list, [])}
            everybody = [*self._list("serviceprincipals"), *self._list("users")]
            return 200, {"value": [one for one in everybody if one["id"].lower() in wanted]}
        if method == "POST" and kind in ("applications", "serviceprincipals") and len(rest) == 2:
            return self._change(self._need_client(rest[0]), rest[1].lower(), body, claims)
        raise Refusal(404, "Request_ResourceNotFound", f"Resource not found for the segment '{path}'.")

    def _me(self, claims: Json) -> Json:
        user = next((one for one in self.users.all() if one.object_id == claims.get("oid")), None)
        if user is None:
            raise Refusal(400, "BadRequest", "/me request is only valid with delegated authentication flow.")
        return _user(user)

    def _found(self, kind: str, rest: list[str], query: dict[str, str]) -> Json:
        everybody = self._list(kind)
        if rest:
            wanted = rest[0].lower()
            for one in everybody:
                if wanted in (str(one.get(name, "")).lower() for name in ("id", "appId", "userPrincipalName")):
                    return one
            raise _missing(rest[0])
        text = query.get("$filter", "")
        if text:
            match, any_name = _EQUALS.fullmatch(text), _ANY.fullmatch(text)
            if match is None and any_name is None:
                raise Refusal(400, "Request_UnsupportedQuery", f"Unsupported Query: {text}.")
            name, wanted = (match[1], match[2]) if match is not None else ("appId", str(any_name and any_name[1]))
            everybody = [one for one in everybody if str(_field(one, name)).lower() == wanted.lower()]
        return {"value": everybody}

    def _list(self, kind: str) -> list[Json]:
        if kind == "users":
            return [_user(one) for one in self.users.all()]
        shown = _application if kind == "applications" else _principal
        return [shown(one) for one in self.clients.all.values()]

    def _need_client(self, wanted: str) -> Client:
        client = self.clients.find(wanted)
        if client is None:
            raise _missing(wanted)
        return client

    def _change(self, client: Client, verb: str, body: Json, claims: Json) -> tuple[int, Json | None]:
        principal = str(claims.get("oid", ""))
        if principal != client.object_id and not self.may_manage(principal):
            raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        if verb == "removepassword":
            if not self.clients.remove_secret(client, read(body, "keyId", str, required=True)):
                raise Refusal(400, "Request_BadRequest", "No password credential found with keyId.")
            return 204, None
        if verb == "addpassword":
            end = _time(read(body, "passwordCredential.endDateTime", str, "")) or self.clock.now() + SECRET_SECONDS
            name = read(body, "passwordCredential.displayName", str, "")
            made = self.clients.add_secret(client, self.clock.random_bytes(24).hex(), name=name, end=end)
            return 200, {**_credential(made), "secretText": made.text}
        raise Refusal(404, "Request_ResourceNotFound", f"Resource not found for the segment '{verb}'.")


def _nobody(principal: str) -> bool:
    return False


def _parsed(content: bytes) -> Json:
    try:
        body: Any = orjson.loads(content or b"{}")
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, "BadRequest", "Unable to read JSON request payload.")
    return body


def _time(text: str) -> float | None:
    if not text:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, "Request_BadRequest", f"Invalid value '{text}' of endDateTime.") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _missing(wanted: str) -> Refusal:
    text = f"Resource '{wanted}' does not exist or one of its queried reference-property objects are not present."
    return Refusal(404, "Request_ResourceNotFound", text)


def _field(shown: Json, name: str) -> Any:
    return next((value for known, value in shown.items() if known.lower() == name.lower()), "")


def _credential(secret: Secret) -> Json:
    end = None if secret.end is None else iso(secret.end)
    hint = secret.text[:3]
    return {
        "displayName": secret.name or None,
        "keyId": secret.id,
        "hint": hint,
        "startDateTime": iso(secret.start),
        "endDateTime": end,
    }


def _application(client: Client) -> Json:
    shown = [{**_credential(secret), "secretText": None} for secret in client.secrets]
    return {"id": client.application_id, "appId": client.id, "displayName": client.id, "passwordCredentials": shown}


def _principal(client: Client) -> Json:
    return {
        "@odata.type": "#microsoft.graph.servicePrincipal",
        "id": client.object_id,
        "appId": client.id,
        "displayName": client.id,
        "servicePrincipalType": "Application",
        "servicePrincipalNames": [client.id],
        "accountEnabled": True,
    }


def _user(user: User) -> Json:
    return {
        "@odata.type": "#microsoft.graph.user",
        "id": user.object_id,
        "userPrincipalName": user.name,
        "displayName": user.name,
        "mail": None,
    }
