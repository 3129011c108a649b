"""The way a mobility agent is pushed into a machine."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from emulators.clock import Clock
from emulators.guest.install_door import DOOR_PORTS, MAX_BODY, InstallDoor, InstallFailed
from emulators.http.inprocess import InProcess
from emulators.network import ONPREM, Host, Network

GOOD = {"user": "root", "password": "secret", "settings": {"configurationServer": "https://cs", "passphrase": "p"}}


@pytest.fixture
def caller() -> tuple[Host, list[Mapping[str, Any]]]:
    network = Network(Clock(), InProcess())
    machine, installed = network.host("web", ONPREM), list[Mapping[str, Any]]()

    def install(settings: Mapping[str, Any]) -> Mapping[str, Any]:
        if "full" in settings:
            raise InstallFailed("no space left")
        installed.append(settings)
        return {}

    def uninstall(settings: Mapping[str, Any]) -> Mapping[str, Any]:
        installed.clear()
        return {}

    machine.listen(DOOR_PORTS["LINUX"], InstallDoor("root", "secret", install, uninstall, install))
    return network.host("configuration-server", ONPREM), installed


def ask(host: Host, body: Any, path: str = "/install", method: str = "POST") -> tuple[int, str]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = host.request(method, f"https://web:22{path}", body=raw)
    return reply.status, json.loads(reply.body).get("error", {}).get("code", "")


def test_the_installer_gets_the_settings(caller: tuple[Host, list[Mapping[str, Any]]]) -> None:
    host, installed = caller
    assert ask(host, GOOD) == (200, "")
    assert installed == [GOOD["settings"]]
    assert ask(host, GOOD, "/uninstall") == (200, "")
    assert installed == []


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (GOOD | {"password": "guess"}, (401, "AccessDenied")),
        (GOOD | {"user": "admin"}, (401, "AccessDenied")),
        ({"settings": {}}, (401, "AccessDenied")),
        (GOOD | {"settings": {"full": True}}, (409, "InstallFailed")),
        (GOOD | {"settings": 7}, (400, "Malformed")),
        ([], (400, "Malformed")),
        (b"{", (400, "Malformed")),
        (b" " * (MAX_BODY + 1), (413, "TooLarge")),
    ],
)
def test_everything_else_is_refused(caller: tuple[Host, list[Mapping[str, Any]]], body: Any, answer: tuple[int, str]) -> None:
    host, installed = caller
    assert ask(host, body) == answer
    assert installed == []


def test_there_is_nothing_else_behind_the_door(caller: tuple[Host, list[Mapping[str, Any]]]) -> None:
    host, _ = caller
    assert ask(host, GOOD, "/shell") == (404, "NotFound")
    assert ask(host, b"", "/install", "GET") == (404, "NotFound")
