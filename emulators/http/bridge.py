"""WSGI applications on an ASGI server's worker threads.

As a2wsgi does it, whose request side this uses, but an answer that is there as a whole (a list) crosses from the worker thread to
the server's loop once, not three times with a wait each: that was half of the CPU time of a small call over TLS.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from a2wsgi.wsgi import Body, build_environ

from emulators.network import WsgiApp

Message = dict[str, Any]


class Bridge:
    """`app` as an ASGI application; `executor` has its threads."""

    def __init__(self, app: WsgiApp, workers: int):
        self.app = app
        self.executor = ThreadPoolExecutor(workers, thread_name_prefix="wsgi")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        loop = asyncio.get_running_loop()
        environ = build_environ(scope, Body(loop, receive))

        def tell(message: Message) -> None:
            asyncio.run_coroutine_threadsafe(send(message), loop).result()

        for message in await loop.run_in_executor(self.executor, _answer, self.app, environ, tell):
            await send(message)


def _answer(app: WsgiApp, environ: dict[str, Any], tell: Callable[[Message], None]) -> list[Message]:
    """Run the application. What comes piece by piece is told at once; gives what is left to be sent."""
    unsent: list[Message] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        lines = [(name.strip().encode("latin1").lower(), value.strip().encode("latin1")) for name, value in headers]
        unsent[:] = [{"type": "http.response.start", "status": int(status.split(" ", 1)[0]), "headers": lines}]
        return write

    def write(piece: bytes) -> None:
        while unsent:
            tell(unsent.pop())
        tell({"type": "http.response.body", "body": piece, "more_body": True})

    pieces: Iterable[bytes] = app(environ, start_response)
    try:
        if isinstance(pieces, list):
            return [*unsent, {"type": "http.response.body", "body": b"".join(pieces)}]
        for piece in pieces:
            write(piece)
        return [*unsent, {"type": "http.response.body", "body": b""}]
    finally:
        getattr(pieces, "close", lambda: None)()
