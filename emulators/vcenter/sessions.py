"""Sessions: who is logged in, by the cookie `vmware_soap_session`. They end after idle time on the estate's clock."""

from dataclasses import dataclass, field
from typing import Any

from emulators.clock import Clock

COOKIE = "vmware_soap_session"
#: Idle time after which vCenter ends a session, seconds.
IDLE_SECONDS = 1800.0
#: Cookie of a ticket for one request, and how long it is good, seconds.
TICKET_COOKIE, TICKET_SECONDS = "vmware_cgi_ticket", 120.0
_MOST = 500


def token_of(cookies: str, wanted: str = COOKIE) -> str:
    """The session's secret in a Cookie header, or the value of another cookie; empty when there is none."""
    for cookie in cookies.split(";"):
        name, _, value = cookie.partition("=")
        if name.strip() == wanted:
            return value.strip().strip('"')
    return ""


@dataclass(slots=True)
class Session:
    """One login. `token` is the secret of the cookie, `key` the public id; `objects` are its views, filters and collectors."""

    key: str
    token: str
    user: str
    login_time: float
    last_active: float
    locale: str
    address: str
    agent: str
    calls: int = 0
    objects: dict[str, Any] = field(default_factory=dict)
    #: Bulk answers that are not fetched to the end: what is left, and the size of a piece.
    pages: dict[str, tuple[list[Any], int]] = field(default_factory=dict)
    #: Bumped by CancelWaitForUpdates and at the end: waiting calls of the session return.
    wakes: int = 0
    ended: bool = False


class Sessions:
    """The sessions of one vCenter."""

    def __init__(self, clock: Clock, idle_seconds: float = IDLE_SECONDS):
        self._clock = clock
        self._idle = idle_seconds
        self._by_token: dict[str, Session] = {}
        self._next_end = float("inf")  #: no session ends by itself before
        self._tickets: dict[str, tuple[Session, str, str, float]] = {}

    def open(self, user: str, *, locale: str, address: str, agent: str) -> Session:
        """Log a user in. The oldest idle session makes room when there are too many."""
        self._sweep()
        while len(self._by_token) >= _MOST:
            self.close(min(self._by_token.values(), key=lambda session: session.last_active))
        now = self._clock.now()
        session = Session(self._clock.uuid(), self._clock.random_bytes(20).hex(), user, now, now, locale, address, agent)
        self._by_token[session.token] = session
        self._next_end = min(self._next_end, now + self._idle)
        return session

    def find(self, token: str) -> Session | None:
        """The live session of a cookie; using it keeps it alive."""
        self._sweep()
        session = self._by_token.get(token)
        if session is not None:
            session.last_active = self._clock.now()
            session.calls += 1
        return session

    def ticket(self, session: Session, method: str, target: str) -> str:
        """The secret of a ticket for one request: its method, path (unquoted) and query."""
        while len(self._tickets) >= _MOST:
            del self._tickets[next(iter(self._tickets))]
        token = self._clock.random_bytes(20).hex()
        self._tickets[token] = (session, method, target, self._clock.now() + TICKET_SECONDS)
        return token

    def use_ticket(self, token: str, method: str, target: str) -> Session | None:
        """The live session behind a ticket, which is used up by this; None when it is not for this request."""
        session, wanted, address, until = self._tickets.pop(token, (None, "", "", 0.0))
        good = session is not None and (wanted, address) == (method, target) and self._clock.now() <= until
        return self.find(session.token) if good and session is not None else None

    def by_key(self, key: str) -> Session | None:
        self._sweep()
        return next((session for session in self._by_token.values() if session.key == key), None)

    def all(self) -> list[Session]:
        self._sweep()
        return list(self._by_token.values())

    def close(self, session: Session) -> None:
        self._by_token.pop(session.token, None)
        session.objects.clear()
        session.pages.clear()
        session.ended = True
        session.wakes += 1

    def _sweep(self) -> None:
        now = self._clock.now()
        if now <= self._next_end:
            return
        for session in [session for session in self._by_token.values() if session.last_active < now - self._idle]:
            self.close(session)
        self._next_end = min((one.last_active + self._idle for one in self._by_token.values()), default=float("inf"))
