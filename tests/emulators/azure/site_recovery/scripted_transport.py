"""azure-core's transport over a host of the estate's network; waiting moves the estate's clock."""

from io import BytesIO
from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import BaseAdapter
from urllib3 import HTTPResponse

from emulators.network import Host


class HostAdapter(BaseAdapter):
    """Carries `requests` over a host of the estate's network."""

    def __init__(self, host: Host):
        super().__init__()
        self.host = host

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        body = request.body or b""
        assert request.url is not None
        assert request.method is not None
        data = body.encode() if isinstance(body, str) else bytes(body)
        reply = self.host.request(request.method, request.url, headers=dict(request.headers), body=data)
        response = requests.Response()
        response.status_code, response.request, response.url = reply.status, request, request.url
        response.headers = requests.structures.CaseInsensitiveDict(reply.headers)
        response.raw = HTTPResponse(
            BytesIO(reply.body),
            headers=dict(reply.headers),
            status=reply.status,
            preload_content=False,
            request_method=request.method,
        )
        return response

    def close(self) -> None:
        """Nothing is open."""


class Patient(RequestsTransport):
    """Asks every five emulated seconds at most: a job of minutes would be asked thousands of times otherwise."""

    def __init__(self, host: Host):
        session = requests.Session()
        session.mount("https://", HostAdapter(host))
        super().__init__(session=session, session_owner=False)
        self.clock = host.clock

    def sleep(self, duration: float) -> None:
        self.clock.wait(max(duration, 5.0))
