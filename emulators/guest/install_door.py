"""The way into a machine for a push installation: RPC on Windows (135), SSH on Linux (22), here as HTTPS on those ports.

`POST /install` `{"user", "password", "settings": {...}}`: 200 what the installer answers; 401 for wrong credentials; 409
`InstallFailed` when the installer raises `InstallFailed`. `POST /uninstall` the same way; `POST /describe` answers what the
machine is: its hardware and disks.
"""

import hmac
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

#: The door's port by family of operating systems (NET-001 and the push installation rows).
DOOR_PORTS = {"WINDOWS": 135, "LINUX": 22}
MAX_BODY = 64 << 10

Installer: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class InstallFailed(Exception):
    """The installer could not do it; the message says why."""


class InstallDoor:
    """The WSGI application. `installer`, `uninstaller` and `describe` come from whoever puts the estate together."""

    def __init__(self, user: str, password: str, installer: Installer, uninstaller: Installer, describe: Installer):
        self._credentials = f"{user}\0{password}".encode()
        self._actions = {"/install": installer, "/uninstall": uninstaller, "/describe": describe}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        request.max_content_length = MAX_BODY
        action = self._actions.get(request.path)
        if action is None or request.method != "POST":
            return _error(404, "NotFound", "there is no such path")
        try:
            said = json.loads(request.get_data())
        except HTTPException:
            return _error(413, "TooLarge", f"a body has at most {MAX_BODY} bytes")
        except (ValueError, RecursionError):
            return _error(400, "Malformed", "the body is not JSON")
        if not isinstance(said, dict) or not isinstance(said.get("settings", {}), dict):
            return _error(400, "Malformed", "user, password and settings are needed")
        offered = f"{said.get('user')}\0{said.get('password')}".encode()
        if not hmac.compare_digest(offered, self._credentials):
            return _error(401, "AccessDenied", "the credentials are not those of this machine")
        try:
            return _json(200, action(said.get("settings", {})))
        except InstallFailed as reason:
            return _error(409, "InstallFailed", str(reason))


def _json(status: int, body: Mapping[str, Any]) -> Response:
    return Response(json.dumps(dict(body)), status=status, content_type="application/json")


def _error(status: int, code: str, message: str) -> Response:
    return _json(status, {"error": {"code": code, "message": message}})
