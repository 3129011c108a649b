"""Sessions of the Automation API: the same as those of SOAP, under another header."""

from typing import Any

from emulators.vcenter.automation.act import Operation
from emulators.vcenter.automation.errors import Refusal
from emulators.vcenter.inventory import Call
from emulators.vcenter.objects import session_manager

_BY_NAME = "com.vmware.vapi.std.security.user_pass"


def create(call: Call, given: dict[str, Any]) -> str:
    """Log in with name and password; the session's secret."""
    login = given["login"]
    if login.get("schemeId") != _BY_NAME or not all(isinstance(login.get(name), str) for name in ("userName", "password")):
        raise Refusal("unauthenticated", "Authentication is required: name and password.")
    manager = call.inventory.find("SessionManager")
    alone = Call(call.inventory, None, call.peer, call.agent)
    session_manager.login(alone, manager, {"userName": login["userName"], "password": login["password"]})
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
