"""The vendor's S3 client (botocore, unmodified) over an estate's network instead of sockets of its own."""

import functools
import http.client
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import botocore.loaders
import botocore.session
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from emulators.network import Host, Reply

#: Where the estate's S3 says it is: clients sign for it. Not us-east-1, where making a bucket twice is no error.
REGION = "eu-central-1"

#: How long an answer may take, in seconds.
PATIENCE = 60.0

Ask = Callable[[str, str, Mapping[str, str], bytes], Reply]


def over_network(host: Host) -> Ask:
    """Requests of `host`. Whatever keeps an answer from coming is an `OSError`."""

    def ask(method: str, url: str, headers: Mapping[str, str], body: bytes) -> Reply:
        try:
            return host.request(method, url, headers=headers, body=body, timeout=PATIENCE)
        except http.client.HTTPException as error:
            raise ConnectionError(f"{urlsplit(url).netloc} broke off its answer: {error!r}") from error

    return ask


@functools.cache
def _descriptions() -> Any:
    """The library's descriptions of services, which take a tenth of a second to read."""
    return botocore.loaders.create_loader()


def open_client(ask: Ask, endpoint: str, credentials: tuple[str, str]) -> Any:
    """A client of the S3 at `endpoint`, with access key id and secret; it repeats nothing by itself."""
    session = botocore.session.Session()
    session.register_component("data_loader", _descriptions())
    settings: dict[str, Any] = {
        "s3": {"addressing_style": "path"},
        "retries": {"total_max_attempts": 1},
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)  # nobody here asks S3 for times
    session.set_credentials(*credentials)
    client = session.create_client("s3", region_name=REGION, endpoint_url=endpoint, config=Config(**settings))

    def send(request: Any, **_: Any) -> AWSResponse:
        headers = {name: _text(value) for name, value in request.headers.items() if name.lower() != "expect"}
        reply = ask(request.method, request.url, headers, _bytes(request.body))
        return AWSResponse(request.url, reply.status, reply.headers, Body(reply.body))

    client.meta.events.register("before-send.s3", send)
    return client


class Body(io.BytesIO):
    """A body in one piece, as the library wants to read it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _bytes(body: Any) -> bytes:
    if hasattr(body, "read"):
        return bytes(body.read())
    return body.encode() if isinstance(body, str) else bytes(body or b"")
