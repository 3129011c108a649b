"""Application registrations and their secrets."""

import hmac
from dataclasses import dataclass, field

from emulators.azure.entra.people import Denied
from emulators.clock import Clock

#: A secret that a client adds without an end is good for two years.
SECRET_SECONDS = 2 * 365 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of a client. `end` None: for ever. Times are epoch seconds."""

    id: str
    text: str
    name: str
    start: float
    end: float | None = None


@dataclass(slots=True)
class Client:
    """An application registration (`application_id`) with its service principal (`object_id`)."""

    id: str
    object_id: str
    application_id: str
    secrets: list[Secret] = field(default_factory=list)


@dataclass(slots=True)
class Clients:
    """All registrations of a tenant, by lower-cased client id."""

    clock: Clock
    all: dict[str, Client] = field(default_factory=dict)

    def add(self, client_id: str, secret: str) -> Client:
        """Register an application. Raises `ValueError` when the id is taken."""
        if client_id.lower() in self.all:
            raise ValueError(f"client {client_id} exists already")
        client = self.all[client_id.lower()] = Client(client_id, self.clock.uuid(), self.clock.uuid())
        self.add_secret(client, secret)
        return client

    def add_secret(self, client: Client, text: str, *, name: str = "", end: float | None = None) -> Secret:
        """A secret beside those that are there: the first half of a rotation without interruption."""
        secret = Secret(self.clock.uuid(), text, name, self.clock.now(), end)
        client.secrets.append(secret)
        return secret

    def remove_secret(self, client: Client, key_id: str) -> bool:
        """The other half. Returns whether there was such a secret."""
        kept = [secret for secret in client.secrets if secret.id.lower() != key_id.lower()]
        found = len(kept) < len(client.secrets)
        client.secrets = kept
        return found

    def find(self, wanted: str) -> Client | None:
        """A client by any of its ids."""
        known = self.all.get(wanted.lower())
        ids = (one for one in self.all.values() if wanted.lower() in (one.object_id.lower(), one.application_id.lower()))
        return known or next(ids, None)

    def authenticate(self, client_id: str, text: str) -> Client:
        """The client that a secret is of. Raises `Denied`."""
        client = self.all.get(client_id.lower())
        if client is None:
            raise Denied(
                400, "unauthorized_client", 700016, f"Application with identifier '{client_id}' was not found in the directory."
            )
        same = [one for one in client.secrets if hmac.compare_digest(one.text.encode(), text.encode())]
        if not same:
            raise Denied(
                401,
                "invalid_client",
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
                f"not the client secret ID, for a secret added to app '{client_id}'.",
            )
        if all(one.end is not None and self.clock.now() >= one.end for one in same):
            raise Denied(401, "invalid_client", 7000222, f"The provided client secret keys for app '{client_id}' are expired.")
        return client
