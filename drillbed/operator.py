"""The operator: the person or program that drives Azure with plain HTTP calls, in either way of running an estate.

`Operator.run` starts what Resource Manager does in the background and lets the estate's time pass until it ended. A call that is
refused, at once or by its job, raises `Refused` with what the service said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson

from emulators.azure.site_recovery.refusals import reason_of
from emulators.clock import Clock
from emulators.network import Host

#: The api-version of each provider that the drill uses. The service takes any.
API_VERSION = "2025-08-01"

#: States in which a job has ended, and those in which it waits for somebody.
ENDED = frozenset({"Succeeded", "Failed", "Cancelled", "Canceled"})
WAITING = frozenset({"Suspended"})


class HostTransport(httpx.BaseTransport):
    """httpx over a host of the estate's network."""

    def __init__(self, host: Host):
        self._host = host

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {
            name: value for name, value in request.headers.items() if name not in ("host", "connection", "accept-encoding")
        }
        reply = self._host.request(request.method, str(request.url), headers=headers, body=request.read(), timeout=120)
        dropped = ("transfer-encoding", "content-length")
        kept = [(name, value) for name, value in reply.headers.items() if name not in dropped]
        return httpx.Response(reply.status, headers=kept, content=reply.body, request=request)


@dataclass(slots=True)
class Refused(Exception):
    """What Azure said no with. `code` is the inner, documented code where there is one."""

    status: int
    code: str
    message: str
    body: dict[str, Any] = field(default_factory=dict)
    job: dict[str, Any] | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @property
    def reason(self) -> str:
        """The harness's word for what the service said no with, its code where there is none."""
        return reason_of(self.code) or self.code


def azure_time(text: str) -> float:
    """Azure's way of writing a time, as epoch seconds."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class NotInTime(Exception):
    """Something had not happened when its time was up. The message says what and what was seen last."""


@dataclass(frozen=True, slots=True)
class Credentials:
    tenant: str
    client_id: str
    secret: str


class Operator:
    """Calls Resource Manager as one client id. Paths begin at `/subscriptions/...`."""

    def __init__(self, host: Host, credentials: Credentials, *, management: str, login: str):
        self.host = host
        self.clock: Clock = host.clock
        self._credentials, self._management, self._login = credentials, management, login
        self._http = httpx.Client(transport=HostTransport(host), trust_env=False)
        self._token, self._expires = "", 0.0

    def close(self) -> None:
        self._http.close()

    # one exchange ----------------------------------------------------------------------------------------------------

    def send(self, method: str, path: str, body: Any = None, *, query: Mapping[str, str] | None = None) -> httpx.Response:
        """One call. `path` may be a whole URL, as in a `Location` header. Raises `Refused` for any 4xx or 5xx."""
        url = path if path.startswith("https://") else self._management + path
        parameters = {} if "api-version=" in url else {"api-version": API_VERSION}
        content = b"" if body is None else orjson.dumps(body)
        headers = {"Authorization": f"Bearer {self._bearer()}", "Content-Type": "application/json"}
        response = self._http.request(
            method, url, params={**_query_of(url), **parameters, **(query or {})}, content=content, headers=headers
        )
        if response.status_code >= 400:
            raise _refused(response)
        return response

    def get(self, path: str, *, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        return _body(self.send("GET", path, query=query))

    def list(self, path: str, *, query: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
        """Every element of a list, over all its pages."""
        found: list[dict[str, Any]] = []
        page = self.get(path, query=query)
        while True:
            found += page["value"]
            if not page.get("nextLink"):
                return found
            page = self.get(page["nextLink"])

    # things that take time -------------------------------------------------------------------------------------------

    def run(self, method: str, path: str, body: Any = None, *, seconds: float = 4 * 3600) -> dict[str, Any]:
        """Start, let time pass until it ended, and give the job (or the resource) as it is then."""
        response = self.send(method, path, body)
        if response.status_code == 202 or "azure-asyncoperation" in response.headers:
            return self.finish(response, seconds=seconds)
        return _body(response)

    def finish(self, response: httpx.Response, *, seconds: float = 4 * 3600) -> dict[str, Any]:
        """Wait for what a 202 (or 201) promised. A Site Recovery job that is suspended counts as ended."""
        job = job_path(response)
        if job is not None:
            return self.finish_job(job, seconds=seconds)
        status_url = response.headers.get("azure-asyncoperation")
        if status_url is None:
            location = response.headers["location"]
            return self._until(location, lambda: self._settled(location), seconds)
        ended = self._until(status_url, lambda: self._status(status_url), seconds)
        if ended["status"] != "Succeeded":
            error = ended.get("error") or {}
            raise Refused(200, error.get("code", ended["status"]), error.get("message", "the operation failed"), ended)
        return ended

    def finish_job(self, path: str, *, seconds: float = 4 * 3600) -> dict[str, Any]:
        job = self._until(path, lambda: self._job(path), seconds)
        if job["properties"]["state"] in ("Failed", "Cancelled", "Canceled"):
            raise _job_refused(job)
        return job

    def until(self, what: str, condition: Callable[[], Any], *, seconds: float, every: float | None = 5.0) -> Any:
        """Let time pass until `condition()` gives something true, and give that. Raises `NotInTime`.

        `every` is the rest between two looks; None looks often at first and then less.
        """
        began = self.clock.now()
        deadline = began + seconds
        while True:
            found = condition()
            if found:
                return found
            if self.clock.now() >= deadline:
                raise NotInTime(f"{what} did not happen within {seconds / 60:.0f} emulated minutes")
            self.clock.wait(_pace(self.clock.now() - began) if every is None else every)

    def _until(self, what: str, condition: Callable[[], dict[str, Any] | None], seconds: float) -> dict[str, Any]:
        found: dict[str, Any] = self.until(urlsplit(what).path, condition, seconds=seconds, every=None)
        return found

    def _job(self, path: str) -> dict[str, Any] | None:
        job = self.get(path)
        return job if job["properties"]["state"] in ENDED | WAITING else None

    def _status(self, url: str) -> dict[str, Any] | None:
        status = self.get(url)
        return status if status["status"] in ENDED else None

    def _settled(self, url: str) -> dict[str, Any] | None:
        response = self.send("GET", url)
        return None if response.status_code == 202 else (_body(response) or {"status": "Succeeded"})

    # the token -------------------------------------------------------------------------------------------------------

    def _bearer(self) -> str:
        if self.clock.now() > self._expires - 300:
            form = {
                "grant_type": "client_credentials",
                "client_id": self._credentials.client_id,
                "client_secret": self._credentials.secret,
                "scope": f"{self._management}/.default",
            }
            response = self._http.post(f"{self._login}/{self._credentials.tenant}/oauth2/v2.0/token", data=form)
            if response.status_code != 200:
                answer = response.json()
                raise Refused(response.status_code, answer["error"], answer.get("error_description", ""), answer)
            answer = response.json()
            self._token, self._expires = answer["access_token"], self.clock.now() + int(answer["expires_in"])
        return self._token


def _pace(waited: float) -> float:
    """Seconds until the next look at something that was asked for `waited` seconds ago: most end soon, some take long."""
    return next((rest for end, rest in ((10.0, 2.0), (60.0, 5.0)) if waited < end), 15.0)


def job_path(response: httpx.Response) -> str | None:
    """The Site Recovery job that a 202 started: its id is the last part of the operation's URL."""
    path = urlsplit(response.headers.get("azure-asyncoperation") or response.headers.get("location") or "").path
    vault, found, _ = path.lower().partition("/replication")
    if not found or "microsoft.recoveryservices" not in vault:
        return None
    return f"{path[: len(vault)]}/replicationJobs/{path.rsplit('/', 1)[-1]}"


def _query_of(url: str) -> dict[str, str]:
    return dict(httpx.QueryParams(urlsplit(url).query))


def _body(response: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(response.content) if response.content else {}
    return found


def _refused(response: httpx.Response) -> Refused:
    try:
        body = orjson.loads(response.content)
        error = body["error"]
        inner = (error.get("details") or [error])[0]
        return Refused(
            response.status_code, str(inner.get("code") or error["code"]), inner.get("message") or error["message"], body
        )
    except (ValueError, KeyError, TypeError):
        return Refused(response.status_code, str(response.status_code), response.text[:200] or "no explanation")


def _job_refused(job: dict[str, Any]) -> Refused:
    errors = job["properties"].get("errors") or [{}]
    details = errors[0].get("serviceErrorDetails") or {}
    provider = errors[0].get("providerErrorDetails") or {}
    code = details.get("code") or provider.get("errorCode") or job["properties"]["state"]
    message = details.get("message") or provider.get("errorMessage") or "the job gave no reason"
    return Refused(200, str(code), message, job, job)
