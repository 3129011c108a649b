"""What `vcsim -trace` and `-trace-file` write: each request with its body and the answer to it, without passwords."""

import re
import threading
from typing import Any, TextIO

_SECRET = re.compile(rb"<((?:\w+:)?password)(\s[^>]*)?>[^<]*</")
#: Of a body so much is written.
_MOST = 64 * 1024


class Trace:
    """An ASGI application around another that writes what passes."""

    def __init__(self, inner: Any, out: TextIO):
        self._inner, self._out = inner, out
        self._lock = threading.Lock()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        asked: list[bytes] = []
        told: list[bytes] = []
        status = 0

        async def receive_noted() -> Any:
            message = await receive()
            _note(asked, message.get("body", b""))
            return message

        async def send_noted(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            _note(told, message.get("body", b""))
            await send(message)

        try:
            await self._inner(scope, receive_noted, send_noted)
        finally:
            self._write(f"# {scope['method']} {scope['path']}", asked)
            self._write(f"# {status}", told)

    def _write(self, title: str, parts: list[bytes]) -> None:
        text = _SECRET.sub(rb"<\1>...</", b"".join(parts)).decode("utf-8", "replace")
        with self._lock:
            self._out.write(f"{title}\n{text}\n")
            self._out.flush()


def _note(parts: list[bytes], body: bytes) -> None:
    room = _MOST - sum(map(len, parts))
    if body and room > 0:
        parts.append(body[:room])
