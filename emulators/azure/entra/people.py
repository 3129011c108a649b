"""Users who log in with a password, and the managed identities of things that run in Azure."""

import base64
import hmac
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import orjson

from emulators.azure.arm import Json
from emulators.azure.entra.tokens import Issuer, audience_of
from emulators.clock import Clock

#: Refresh tokens beyond this number are forgotten, oldest first.
_REFRESH_KEPT = 1000


class Denied(Exception):
    """Entra says no: `error` is OAuth's word, `code` the number after AADSTS."""

    def __init__(self, status: int, error: str, code: int, text: str):
        super().__init__(text)
        self.status, self.error, self.code, self.text = status, error, code, text


@dataclass(slots=True)
class User:
    """A member of the tenant. `name` is the user principal name."""

    name: str
    object_id: str
    password: str


@dataclass(slots=True)
class Users:
    """Everybody who logs in with name and password (the resource owner password grant), and the refresh tokens they have."""

    clock: Clock
    issuer: Issuer
    _users: dict[str, User] = field(default_factory=dict)
    _refresh: dict[str, User] = field(default_factory=dict)

    def add(self, name: str, password: str) -> User:
        """Make a user. Raises `ValueError` when the name is taken."""
        if name.lower() in self._users:
            raise ValueError(f"user {name} exists already")
        user = self._users[name.lower()] = User(name, self.clock.uuid(), password)
        return user

    def object_ids(self) -> set[str]:
        return {user.object_id for user in self._users.values()}

    def token(self, form: dict[str, str], *, v2: bool) -> Json:
        """Answer of the token endpoint to `password` and `refresh_token`. Raises `Denied`."""
        asked = "scope" if v2 else "resource"
        for name in ("client_id", asked):
            if not form.get(name, "").strip():
                text = f"The request body must contain the following parameter: '{name}'."
                raise Denied(400, "invalid_request", 900144, text)
        user = self._by_refresh(form) if form["grant_type"] == "refresh_token" else self.by_password(form)
        return self.granted(form["client_id"], user, form[asked], v2=v2)

    def all(self) -> list[User]:
        return list(self._users.values())

    def by_password(self, form: dict[str, str]) -> User:
        """Who has given name and password. Raises `Denied`."""
        user = self._users.get(form.get("username", "").lower())
        if user is None:
            text = f"The user account {form.get('username', '')} does not exist in the directory {self.issuer.tenant}."
            raise Denied(400, "invalid_grant", 50034, text)
        if not hmac.compare_digest(user.password.encode(), form.get("password", "").encode()):
            raise Denied(400, "invalid_grant", 50126, "Error validating credentials due to invalid username or password.")
        return user

    def _by_refresh(self, form: dict[str, str]) -> User:
        user = self._refresh.get(form.get("refresh_token", ""))
        if user is None:
            raise Denied(400, "invalid_grant", 9002313, "Invalid request. The refresh token is malformed or was revoked.")
        return user

    def granted(self, client_id: str, user: User, asked: str, *, v2: bool) -> Json:
        """The tokens of a user who has proved to be one; `asked` is the scope (v2) or the resource."""
        audience = audience_of(asked) if v2 else asked
        version, seconds = ("2.0" if v2 else "1.0"), self.issuer.seconds
        person = {"idtyp": "user", "upn": user.name, "unique_name": user.name, "name": user.name, "scp": "user_impersonation"}
        refresh = self.clock.random_bytes(32).hex()
        self._refresh[refresh] = user
        if len(self._refresh) > _REFRESH_KEPT:
            del self._refresh[next(iter(self._refresh))]
        known = orjson.dumps({"uid": user.object_id, "utid": self.issuer.tenant})
        identity = {"preferred_username": user.name, "upn": user.name, "name": user.name}
        return {
            "token_type": "Bearer",
            "scope": f"{audience}/.default",
            "expires_in": seconds,
            "ext_expires_in": seconds,
            "access_token": self.issuer.issue(client_id, user.object_id, audience, version=version, **person),
            "refresh_token": refresh,
            "id_token": self.issuer.issue(client_id, user.object_id, client_id, version=version, **identity),
            "client_info": base64.urlsafe_b64encode(known).rstrip(b"=").decode(),
            **({} if v2 else {"resource": audience}),
        }


@dataclass(slots=True)
class Identity:
    """A managed identity and the secret (`IDENTITY_HEADER`) that whatever runs as it was given."""

    client_id: str
    object_id: str
    header: str


@dataclass(slots=True)
class Identities:
    """Managed identities. A token is for who has the header, or, as with Azure's metadata service, for a machine in Azure."""

    clock: Clock
    issuer: Issuer
    known: list[Identity] = field(default_factory=list)

    def add(self) -> Identity:
        made = Identity(self.clock.uuid(), self.clock.uuid(), self.clock.random_bytes(20).hex())
        self.known.append(made)
        return made

    def object_ids(self) -> set[str]:
        return {identity.object_id for identity in self.known}

    def token(self, environ: dict[str, Any]) -> Json:
        """Answer of the identity endpoint: strings everywhere, as the real ones have it. Raises `Denied`."""
        query = {name.lower(): value for name, value in parse_qsl(environ.get("QUERY_STRING", ""))}
        resource = query.get("resource", "")
        if not resource:
            raise Denied(400, "invalid_request", 900144, "The request must contain the following parameter: 'resource'.")
        identity = self._caller(environ)
        wanted = query.get("client_id", identity.client_id)
        if wanted.lower() != identity.client_id:
            raise Denied(400, "invalid_request", 700016, f"Identity not found: no identity here has client id {wanted}.")
        token = self.issuer.issue(identity.client_id, identity.object_id, resource.rstrip("/"), version="1.0")
        now, seconds = int(self.clock.now()), self.issuer.seconds
        return {
            "access_token": token,
            "client_id": identity.client_id,
            "expires_in": str(seconds),
            "expires_on": str(now + seconds),
            "not_before": str(now),
            "resource": resource,
            "token_type": "Bearer",
        }

    def _caller(self, environ: dict[str, Any]) -> Identity:
        header = environ.get("HTTP_X_IDENTITY_HEADER", "")
        for identity in self.known:
            if header and hmac.compare_digest(identity.header.encode(), header.encode()):
                return identity
        in_azure = str(environ.get("drillbed.peer", "")).endswith(".azure")
        if in_azure and environ.get("HTTP_METADATA", "").lower() == "true" and self.known:
            return self.known[0]
        raise Denied(401, "invalid_client", 7000215, "The X-IDENTITY-HEADER is missing or is not that of an identity.")
