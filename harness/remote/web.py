"""A driver as a web service: every message is a POST of JSON, the answer holds the driver's next message.

A bearer token from `DRILLBED_DRIVER_TOKEN` goes with every request. Certificates are checked; `SSL_CERT_FILE` names further
authorities.
"""

import http.client
import json
import os
import queue
import ssl
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from harness.run import DriverError

#: The longest answer that is read, in bytes.
BODY_MAX = 16 << 20
TOKEN = "DRILLBED_DRIVER_TOKEN"  # noqa: S105 - the name of a variable


class Web:
    """A channel to a URL. `patience`: seconds that an answer may be waited for."""

    def __init__(self, url: str, patience: float):
        self._url = urlsplit(url)
        self._patience = patience
        self._spoken = False

    def exchange(self, message: Mapping[str, Any]) -> Any:
        self._spoken = True
        answered: queue.SimpleQueue[Any] = queue.SimpleQueue()
        # In a thread of its own: a service that sends a byte now and then would never run into a socket's time-out.
        threading.Thread(target=self._post, args=(json.dumps(message).encode(), answered), daemon=True).start()
        try:
            found = answered.get(timeout=self._patience)
        except queue.Empty:
            raise DriverError(f"the driver at {self._url.netloc} did not answer within {self._patience:g} seconds") from None
        if isinstance(found, DriverError):
            raise found
        return found

    def fresh(self) -> bool:
        return not self._spoken

    def close(self) -> None:
        self._spoken = False

    def _post(self, body: bytes, answered: "queue.SimpleQueue[Any]") -> None:
        connection = self._connection()
        try:
            connection.request("POST", self._url.path or "/", body, self._headers())
            response = connection.getresponse()
            text = response.read(BODY_MAX + 1)
            answered.put(self._message(response.status, text))
        except (OSError, http.client.HTTPException) as problem:
            answered.put(DriverError(f"the driver at {self._url.netloc} cannot be reached: {problem}"))
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._patience, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=self._patience)

    def _headers(self) -> dict[str, str]:
        token = os.environ.get(TOKEN)
        return {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def _message(self, status: int, text: bytes) -> Any:
        if status != 200:
            return DriverError(f"the driver at {self._url.netloc} answered with HTTP status {status}: {_short(text)}")
        if len(text) > BODY_MAX:
            return DriverError(f"the driver at {self._url.netloc} answered with more than {BODY_MAX} bytes")
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return DriverError(f"the driver at {self._url.netloc} answered with what is no message: {_short(text)}")


def _short(text: bytes) -> str:
    return text[:200].decode("utf-8", errors="replace").strip()
