"""Login on another device: a client shows a code, somebody types it in with name and password, the client gets a token."""

from dataclasses import dataclass, field

from emulators.azure.arm import Json
from emulators.azure.entra.people import Denied, User, Users
from emulators.clock import Clock

GRANT = "urn:ietf:params:oauth:grant-type:device_code"

#: A code is good for a quarter of an hour of emulated time.
_SECONDS = 15 * 60

#: Codes beyond this number are forgotten, oldest first.
_KEPT = 100

#: Letters and digits that cannot be mistaken for one another.
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ23456789"

PAGE = """<!DOCTYPE html><title>Enter code</title><form method="post">
<p><label>Code <input name="user_code"></label></p><p><label>User <input name="username"></label></p>
<p><label>Password <input name="password" type="password"></label></p><p><button>Next</button></p></form>"""


@dataclass(slots=True)
class Pending:
    """A login that waits for somebody."""

    client_id: str
    scope: str
    user_code: str
    end: float
    user: User | None = None


@dataclass(slots=True)
class DeviceCodes:
    """Logins that were begun, by the code that only the client knows."""

    clock: Clock
    users: Users
    _pending: dict[str, Pending] = field(default_factory=dict)

    def begin(self, form: dict[str, str], page_url: str) -> Json:
        """Answer to `devicecode`. Raises `Denied`."""
        for name in ("client_id", "scope"):
            if not form.get(name, "").strip():
                raise Denied(400, "invalid_request", 900144, f"The request body must contain the following parameter: '{name}'.")
        device = self.clock.random_bytes(32).hex()
        shown = "".join(_LETTERS[one % len(_LETTERS)] for one in self.clock.random_bytes(9))
        self._pending[device] = Pending(form["client_id"], form["scope"], shown, self.clock.now() + _SECONDS)
        if len(self._pending) > _KEPT:
            del self._pending[next(iter(self._pending))]
        return {
            "user_code": shown,
            "device_code": device,
            "verification_uri": page_url,
            "expires_in": _SECONDS,
            "interval": 5,
            "message": f"To sign in, use a web browser to open the page {page_url} and enter the code {shown} to authenticate.",
        }

    def approve(self, form: dict[str, str]) -> None:
        """Somebody has typed in code, name and password. Raises `Denied`."""
        user = self.users.by_password(form)
        wanted = form.get("user_code", "").strip().upper()
        found = next((one for one in self._pending.values() if one.user_code == wanted and self.clock.now() < one.end), None)
        if found is None or found.user is not None:
            raise Denied(400, "invalid_grant", 70019, "Verification code expired, used or unknown.")
        found.user = user

    def token(self, form: dict[str, str]) -> Json:
        """Answer of the token endpoint to the client that waits. Raises `Denied`."""
        device = form.get("device_code", "")
        found = self._pending.get(device)
        if found is None or found.client_id.lower() != form.get("client_id", "").lower():
            raise Denied(400, "bad_verification_code", 70000, "Provided grant is invalid or malformed.")
        if self.clock.now() >= found.end:
            raise Denied(400, "expired_token", 70020, "The provided value for the device code has expired.")
        if found.user is None:
            text = "OAuth 2.0 device flow error. Authorization is pending. Continue polling."
            raise Denied(400, "authorization_pending", 70016, text)
        del self._pending[device]
        return self.users.granted(found.client_id, found.user, found.scope, v2=True)
