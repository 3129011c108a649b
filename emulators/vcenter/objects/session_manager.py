"""SessionManager: login, logout, who is here."""

from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter import tokens
from emulators.vcenter.authorization import ADMIN, Permission
from emulators.vcenter.entity import Property
from emulators.vcenter.faults import Fault, invalid_argument
from emulators.vcenter.inventory import Call, Inventory
from emulators.vcenter.records import Record
from emulators.vcenter.sessions import COOKIE, Session


@dataclass(slots=True)
class SessionService:
    """The session manager. With `anybody`, every name and password logs in and may do everything, as with vcsim."""

    kind: str
    moid: str
    anybody: bool = False
    message: str = ""
    #: clone tickets: whose they are, and until when they are good
    _tickets: dict[str, tuple[Session, float]] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)


def shown(session: Session) -> Record:
    """The UserSession of a session."""
    return Record(
        "UserSession",
        key=session.key,
        userName=session.user,
        fullName=session.user,
        loginTime=session.login_time,
        lastActiveTime=session.last_active,
        locale=session.locale,
        messageLocale=session.locale,
        extensionSession=False,
        ipAddress=session.address,
        userAgent=session.agent,
        callCount=session.calls,
    )


def authenticate(call: Call, user: str, password: str) -> None:
    """Raises `Fault("InvalidLogin")` unless the password is the user's. With `anybody` every one is."""
    inventory = call.inventory
    if inventory.find("SessionManager").anybody:
        _welcome(inventory, user, password)
    if not inventory.authorization.knows(user, password):
        inventory.events.post("BadUsernameSessionEvent", f"Cannot login {user}@{call.peer}", user=user, ipAddress=call.peer)
        raise _no_login()


def _no_login() -> Fault:
    return Fault("InvalidLogin", "Cannot complete login due to an incorrect user name or password.")


def login(call: Call, _manager: SessionService, args: Any) -> Record:
    """Login. Raises `Fault("InvalidLogin")`, also when the session is logged in already, as vCenter does."""
    authenticate(call, args["userName"], args.get("password") or "")
    return admit(call, args["userName"], args.get("locale"))


def login_by_token(call: Call, _manager: SessionService, args: Any) -> Record:
    """LoginByToken: with the SAML token of the request's header."""
    user = tokens.subject_of(call.inventory, tokens.assertion_in(call.header))
    return admit(call, user, args.get("locale"))


def admit(call: Call, user: str, locale: str | None) -> Record:
    """Open a session for a user who has shown to be that one. Raises `Fault("NoPermission")` for one who may nothing."""
    inventory = call.inventory
    if call.session is not None:
        raise _no_login()
    if not inventory.authorization.anywhere(user, "System.View"):
        inventory.events.post("NoAccessUserEvent", f"Cannot login user {user}: no permission", user=user, ipAddress=call.peer)
        raise Fault(
            "NoPermission", "Permission to perform this operation was denied.", object=inventory.root, privilegeId="System.View"
        )
    locale = locale or "en_US"
    session = inventory.sessions.open(user.lower(), locale=locale, address=call.peer, agent=call.agent)
    call.opened = session
    call.set_cookie = f'{COOKIE}="{session.token}"; Path=/; HttpOnly; Secure;'
    inventory.events.post(
        "UserLoginSessionEvent",
        f"User {session.user}@{call.peer} logged in as {call.agent}",
        user=session.user,
        ipAddress=call.peer,
        userAgent=call.agent,
        locale=locale,
        sessionId=session.key,
    )
    _sessions_changed(inventory)
    return shown(session)


def _welcome(inventory: Inventory, user: str, password: str) -> None:
    """Make the user known under the password it comes with."""
    if not user or not password:
        return
    rules, name = inventory.authorization, user.lower()
    rules.users[name] = password
    if not any(permission.principal == name for permission in rules.permissions):
        rules.permissions.append(Permission(inventory.root.moid, name, ADMIN, True))


def logout(call: Call, _manager: SessionService, _args: Any) -> None:
    """Logout."""
    session = call.session
    assert session is not None, "the registry asks for a session"
    _end(call, session)


def terminate(call: Call, _manager: SessionService, args: Any) -> None:
    """TerminateSession."""
    for key in args["sessionId"]:
        session = call.inventory.sessions.by_key(key)
        if session is None:
            raise Fault("NotFound", "There is no such session.")
        if session is call.session:
            raise invalid_argument("sessionId", "A session cannot terminate itself.")
        _end(call, session)


def _end(call: Call, session: Session) -> None:
    inventory = call.inventory
    inventory.sessions.close(session)
    inventory.changed.notify_all()
    inventory.events.post(
        "UserLogoutSessionEvent",
        f"User {session.user}@{session.address} logged out",
        user=session.user,
        ipAddress=session.address,
        userAgent=session.agent,
        callCount=session.calls,
        sessionId=session.key,
        loginTime=session.login_time,
    )
    _sessions_changed(inventory)


def _sessions_changed(inventory: Inventory) -> None:
    inventory.change(inventory.find("SessionManager"), "sessionList")


def session_is_active(call: Call, _manager: SessionService, args: Any) -> bool:
    """SessionIsActive."""
    session = call.inventory.sessions.by_key(args["sessionID"])
    return session is not None and session.user.lower() == args["userName"].lower()


def set_locale(call: Call, _manager: SessionService, args: Any) -> None:
    """SetLocale."""
    if call.session is not None:
        call.session.locale = args["locale"]


def current_session(call: Call) -> Record | None:
    """The property `currentSession`: the only one that depends on who asks."""
    return shown(call.session) if call.session else None


SESSION_PROPERTIES: dict[str, Property] = {
    "defaultLocale": lambda _inventory, _manager: "en",
    "messageLocaleList": lambda _inventory, _manager: ["en"],
    "supportedLocaleList": lambda _inventory, _manager: ["en"],
    "message": lambda _inventory, service: service.message,
    "sessionList": lambda inventory, _manager: [shown(session) for session in inventory.sessions.all()],
}
SESSION_OPERATIONS = {
    "Login": login,
    "LoginByToken": login_by_token,
    "Logout": logout,
    "TerminateSession": terminate,
    "SessionIsActive": session_is_active,
    "SetLocale": set_locale,
}
