"""Calls as tools make them that are not written in Python: HTTP over a host of the estate, polling by the rules of each tool."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from emulators.network import Host, Reply


@dataclass(slots=True)
class RawClient:
    """`management` is a base URL. `asked` is what was requested: method, path, status."""

    host: Host
    management: str
    token: str
    agent: str
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def __call__(self, method: str, path: str, version: str, body: Any = None, **query: str) -> Reply:
        """One request. A path may bring a query of its own (a polling URL's)."""
        parts = urlsplit(path)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()} | {"api-version": version} | query
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "User-Agent": self.agent}
        data = b"" if body is None else json.dumps(body).encode()
        reply = self.host.request(method, f"{self.management}{parts.path}?{urlencode(given)}", headers=headers, body=data)
        self.asked.append((method, parts.path, reply.status))
        return reply

    def read(self, path: str, version: str, **query: str) -> Any:
        """GET of what is there."""
        reply = self("GET", path, version, **query)
        assert reply.status == 200, (path, reply.status, reply.body)
        return json.loads(reply.body)

    def absent(self, path: str, version: str) -> None:
        """GET of what must not be there yet."""
        reply = self("GET", path, version)
        assert reply.status == 404, (path, reply.status)
        assert json.loads(reply.body)["error"]["code"]

    def finished(self, reply: Reply, *, looks: int = 2000) -> None:
        """Follow an operation to its end as Go's SDK does: `Azure-AsyncOperation`, else `Location`, 202 until it has ended.

        What says nothing with a length of 0 is a success; all else must be JSON, even with 204, and name a state.
        """
        status = reply.headers.get("azure-asyncoperation")
        where = status or reply.headers.get("location")
        while where is not None:  # it ends with a return
            looks -= 1
            assert looks, f"{where} does not end"
            self.host.clock.wait(5.0)
            answer = self(
                "GET", urlsplit(where)._replace(scheme="", netloc="").geturl(), parse_qs(urlsplit(where).query)["api-version"][0]
            )
            assert answer.status in (200, 202, 204), (answer.status, answer.body)
            if answer.status == 202:
                continue
            if answer.status == 200 and answer.headers.get("content-length") == "0":
                return
            assert answer.headers.get("content-type", "").startswith("application/json"), (where, answer.status)
            if answer.status == 204:
                return
            said = json.loads(answer.body)
            state = said.get("status") or said["properties"]["provisioningState"]
            assert state not in ("Failed", "Canceled", "Cancelled"), answer.body
            if state == "Succeeded":
                return


def signed_in(host: Host, login: str, management: str, credentials: tuple[str, str, str], agent: str) -> RawClient:
    """A client with a token of the v2 endpoint, as Go's SDK asks for it."""
    tenant, client, secret = credentials
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret, "scope": f"{management}/.default"}
    reply = host.request(
        "POST", f"{login}/{tenant}/oauth2/v2.0/token", headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=urlencode(form).encode(),
    )  # fmt: skip
    assert reply.status == 200, reply.body
    said = json.loads(reply.body)
    assert isinstance(said["expires_in"], int)
    return RawClient(host, management, said["access_token"], agent)
