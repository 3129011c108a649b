"""Sessions of the Automation API: the same as those of SOAP, under another header."""

from typing import Any

from emulators.vcenter import tokens
from emulators.vcenter.automation.act import Operation
from emulators.vcenter.automation.errors import Refusal
from emulators.vcenter.inventory import Call
from emulators.vcenter.objects import session_manager

_BY_NAME = "com.vmware.vapi.std.security.user_pass"
_BY_ASSERTION = "com.vmware.vapi.std.security.saml_bearer_token"


def create(call: Call, given: dict[str, Any]) -> str:
    """Log in with name and password, or with a bearer token; the session's secret."""
    login = {name: value for name, value in given["login"].items() if isinstance(value, str)}
    alone = Call(call.inventory, None, call.peer, call.agent)
    if login.get("schemeId") == _BY_NAME and {"userName", "password"} <= set(login):
        session_manager.authenticate(alone, login["userName"], login["password"])
        user = login["userName"]
    elif login.get("schemeId") == _BY_ASSERTION and "samlToken" in login:
        user = tokens.subject_of(call.inventory, login["samlToken"].encode())
    else:
        raise Refusal("unauthenticated", "Authentication is required: name and password, or a bearer token.")
    session_manager.admit(alone, user, None)
    assert alone.opened is not None, "a login opens a session"
    token: str = alone.opened.token
    return token


def get(call: Call, _given: dict[str, Any]) -> dict[str, Any]:
    """Who is logged in, since when."""
    session = call.session
    assert session is not None, "the face asks for a session"
    return {"user": session.user, "created_time": session.login_time, "last_accessed_time": session.last_active}


def delete(call: Call, _given: dict[str, Any]) -> None:
    """Log out."""
    session_manager.logout(call, call.inventory.find("SessionManager"), {})


OPERATIONS: dict[str, Operation] = {"cis.session.create": create, "cis.session.get": get, "cis.session.delete": delete}
