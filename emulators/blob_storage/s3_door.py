"""The door of an estate's S3: moto behind signatures, with the buckets of each account to itself.

Every account is a host name (`https://<account>.blob.drillbed`); its access key id is its name and its secrets are its two keys.
A bucket is one container. All accounts share the bucket `POOL`, whose objects are written once, read by whoever knows their
name of 128 random bits, and neither listed nor removed from outside.
"""

import hashlib
import hmac
import io
import re
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import create_backend_app
from moto.s3.models import s3_backends

from emulators.blob_storage.s3_client import REGION

#: The bucket of the extents. No container is named so.
POOL = "_extents"

#: Larger bodies are refused unread.
MOST_BODY = 256 * 1024 * 1024

#: What may be asked of the buckets of an account, and how. The rest of S3 (policies, copies from elsewhere, ...) stays closed.
QUERIES = frozenset({"", "x-id", "list-type", "prefix", "continuation-token", "encoding-type", "max-keys"})
#: How clients sign a body that TLS protects, if not by its hash.
PAYLOADS = frozenset({"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})

SCOPE = re.compile(
    rf"AWS4-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<day>\d{{8}})/{REGION}/s3/aws4_request, "
    r"SignedHeaders=(?P<signed>[a-z0-9;-]+), Signature=(?P<signature>[0-9a-f]{64})"
)

Keys = Callable[[str], tuple[str, str] | None]


class Refusal(Exception):
    """What the door itself answers."""

    def __init__(self, status: HTTPStatus, code: str, message: str):
        super().__init__(message)
        self.status, self.code = status, code


class Door:
    """A WSGI application. `keys` gives the two keys of an account, None for an unknown one. Thread-safe."""

    def __init__(self, keys: Keys):
        self._keys = keys
        self.lock = threading.RLock()
        # moto keeps what it holds by the number of an Amazon account; each estate of this process takes a free one
        self.number = next(number for number in map("{:012}".format, range(1, 10**12)) if number not in s3_backends)
        self.backend: Any = s3_backends[self.number]["aws"]
        self._owners: dict[str, str] = {}  # of each bucket
        self._moto: Any = create_backend_app("s3")

    def close(self) -> None:
        """Let go of everything that is stored."""
        with self.lock:
            for name, bucket in self.backend.buckets.items():  # moto's own `reset` would empty those of other estates too
                for key in bucket.keys.values():
                    key.dispose()
                s3_backends.bucket_accounts.pop(name, None)
            s3_backends.pop(self.number, None)

    def bucket(self, account: str, container: str) -> str:
        """Moto's name of a bucket: of this estate and account alone."""
        owner = "" if container == POOL else account
        return f"{self.number}-{hashlib.sha256(f'{owner}/{container}'.encode()).hexdigest()[:40]}"

    def buckets(self) -> list[str]:
        """Moto's names of all containers."""
        with self.lock:
            return list(self._owners)

    def forget(self, account: str) -> list[str]:
        """The buckets of an account that is gone, which are its no longer."""
        with self.lock:
            gone = [bucket for bucket, owner in self._owners.items() if owner == account]
            for bucket in gone:
                del self._owners[bucket]
        return gone

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            account = self._verified(environ)
            container, _, key = environ["PATH_INFO"].removeprefix("/").partition("/")
            _check_request(environ, container, key)
            _check_body(environ)
        except Refusal as refusal:
            text = f"<Error><Code>{refusal.code}</Code><Message>{escape(str(refusal))}</Message></Error>".encode()
            headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))]
            start_response(f"{refusal.status.value} {refusal.status.phrase}", headers)
            return [text]
        bucket = self.bucket(account, container)
        if environ["REQUEST_METHOD"] == "PUT" and container != POOL:
            with self.lock:
                self._owners[bucket] = account
        return self.inside(environ | {"PATH_INFO": f"/{bucket}/{key}".rstrip("/")}, start_response)

    def inside(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Moto as this estate's account, for paths with its own names of buckets."""
        for name in ("RAW_URI", "REQUEST_URI"):
            environ.pop(name, None)
        environ |= {"HTTP_HOST": "localhost", "HTTP_X_MOTO_ACCOUNT_ID": self.number}
        with self.lock:
            answer = self._moto(environ, start_response)
            try:
                return [b"".join(answer)]
            finally:
                answer.close()

    def _verified(self, environ: dict[str, Any]) -> str:
        """The account whose endpoint is asked, when the request is signed with one of its keys."""
        account = str(environ.get("HTTP_HOST", "")).partition(".")[0].lower()
        keys = self._keys(account)
        if keys is None:
            raise Refusal(HTTPStatus.FORBIDDEN, "InvalidAccessKeyId", "No such account is known here.")
        found = SCOPE.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
        if found is None or found["id"] != account or "host" not in found["signed"].split(";"):
            raise Refusal(HTTPStatus.FORBIDDEN, "AccessDenied", "The request is not signed for this account and region.")
        if not any(hmac.compare_digest(found["signature"], signature(key, environ, found)) for key in keys):
            raise Refusal(HTTPStatus.FORBIDDEN, "SignatureDoesNotMatch", "The signature does not match.")
        return account


def signature(key: str, environ: dict[str, Any], scope: "re.Match[str]") -> str:
    """Signature version 4 of a request by a secret key."""
    names = scope["signed"].split(";")
    headers = "".join(f"{name}:{' '.join(_header(environ, name).split())}\n" for name in names)
    query = "&".join(sorted(pair if "=" in pair else f"{pair}=" for pair in environ["QUERY_STRING"].split("&") if pair))
    path = quote(environ["PATH_INFO"].encode("latin-1"), safe="/~")
    payload = _header(environ, "x-amz-content-sha256")
    request = "\n".join((environ["REQUEST_METHOD"], path, query, headers, scope["signed"], payload))
    day = f"{scope['day']}/{REGION}/s3/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    secret = f"AWS4{key}".encode()
    for step in day.split("/"):
        secret = hmac.digest(secret, step.encode(), "sha256")
    text = "\n".join(("AWS4-HMAC-SHA256", _header(environ, "x-amz-date"), day, digest))
    return hmac.digest(secret, text.encode(), "sha256").hex()


def _header(environ: dict[str, Any], name: str) -> str:
    key = name.upper().replace("-", "_")
    return str(environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", ""))


def _check_request(environ: dict[str, Any], container: str, key: str) -> None:
    """Raise `Refusal` for what no account may ask."""
    method = environ["REQUEST_METHOD"]
    asked = {pair.partition("=")[0] for pair in environ["QUERY_STRING"].split("&")}
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if not length.isdigit() or int(length) > MOST_BODY:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "EntityTooLarge", f"A body has at most {MOST_BODY} bytes.")
    allowed: tuple[str, ...] = ("GET", "PUT", "DELETE") if key else ("GET", "PUT")
    if container == POOL:
        once = method == "PUT" and _header(environ, "if-none-match") == "*"
        allowed = ("GET", "PUT" if once else "GET") if key else ()
    if not container or method not in allowed or not asked <= QUERIES or _header(environ, "x-amz-copy-source"):
        raise Refusal(HTTPStatus.FORBIDDEN, "AccessDenied", "This is not open to accounts.")


def _check_body(environ: dict[str, Any]) -> None:
    """Raise `Refusal` for a body that is not the one that was signed."""
    payload = _header(environ, "x-amz-content-sha256")
    if payload in PAYLOADS:
        return
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or "0"))
    if hashlib.sha256(body).hexdigest() != payload:
        raise Refusal(HTTPStatus.BAD_REQUEST, "XAmzContentSHA256Mismatch", "The body is not the one that was signed.")
    environ["wsgi.input"] = io.BytesIO(body)
