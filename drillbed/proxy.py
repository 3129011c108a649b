"""A CONNECT proxy that ends the public cloud's names at the estate, so that clients need no setting but proxy and CA.

It carries TLS as it is and cannot read it. Every name that is not the estate's is refused: nothing leaves the machine.
"""

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

from drillbed.errors import TroubleError

#: Real seconds for a client to say what it wants, for the estate to take a connection, and for all to end.
PATIENCE = 10.0
_HEAD_LIMIT = 8192
_CHUNK = 64 * 1024

_REQUEST = re.compile(rb"CONNECT ([A-Za-z0-9.-]{1,253}):(\d{1,5}) HTTP/1\.[01]\r\n")

#: Address and port that serve `name:port`, None when nobody of the estate does.
Lookup = Callable[[str, int], tuple[str, int] | None]

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Relay:
    """Loopback doors on a thread of their own: the proxy, and ports that lead to one fixed place."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._running: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()

    def proxy(self, lookup: Lookup, places: Iterable[tuple[str, int]]) -> tuple[str, int]:
        """Open the CONNECT proxy at the first of `places` that is free; gives where. Raises `TroubleError`."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            where = await _wanted(reader, writer, lookup)
            if where is not None:
                await _carry(reader, writer, where, b"HTTP/1.1 200 Connection established\r\n\r\n")

        return self._open(serve, places)

    def door(self, where: tuple[str, int], places: Iterable[tuple[str, int]]) -> tuple[str, int]:
        """Open a port that leads to `where`, at the first of `places` that is free; gives the port's place."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _carry(reader, writer, where, b"")

        return self._open(serve, places)

    def close(self) -> None:
        """Close every door and connection and end the thread."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _open(self, serve: Serve, places: Iterable[tuple[str, int]]) -> tuple[str, int]:
        bound = _bind(places)

        async def start() -> None:
            self._servers.append(await asyncio.start_server(self._guarded(serve), sock=bound, limit=_HEAD_LIMIT))

        asyncio.run_coroutine_threadsafe(start(), self._loop).result(PATIENCE)
        address, port = bound.getsockname()[:2]
        return str(address), int(port)

    def _guarded(self, serve: Serve) -> Serve:
        async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._running.add(task)
            try:
                with suppress(OSError, TimeoutError):
                    await serve(reader, writer)
                writer.close()  # once everything has gone out
            except asyncio.CancelledError:
                writer.transport.abort()
            finally:
                self._running.discard(task)

        return one

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _bind(places: Iterable[tuple[str, int]]) -> socket.socket:
    tried = []
    for place in places:
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(place)
            bound.listen(128)
        except OSError as error:
            bound.close()
            tried.append(f"{place[0]}:{place[1]} ({error.strerror})")
        else:
            return bound
    raise TroubleError(f"no port can be opened: {', '.join(tried)}")


async def _wanted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lookup: Lookup) -> tuple[str, int] | None:
    """Where a client wants to go. Answers by itself when it may not, or does not say."""
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        head = b""
    match = _REQUEST.match(head)
    if match is None:
        await _say(writer, "400 Bad Request", "This proxy takes CONNECT host:port only: use https URLs.")
        return None
    name, port = match[1].decode().lower(), int(match[2])
    where = lookup(name, port)
    if where is None:
        await _say(writer, "403 Forbidden", f"{name}:{port} is not part of this estate; nothing leaves this machine.")
    return where


async def _say(writer: asyncio.StreamWriter, status: str, text: str) -> None:
    body = f"drillbed: {text}\n".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    writer.write_eof()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: tuple[str, int], greeting: bytes) -> None:
    """Carry bytes both ways until one side has nothing more to say."""
    try:
        far_reader, far_writer = await asyncio.wait_for(asyncio.open_connection(*where), PATIENCE)
    except (OSError, TimeoutError):
        if greeting:
            await _say(writer, "502 Bad Gateway", "the estate does not take the connection: it may be ending")
        return
    try:
        writer.write(greeting)
        one, other = (asyncio.ensure_future(_pour(*pair)) for pair in ((reader, far_writer), (far_reader, writer)))
        try:
            await asyncio.wait({one, other}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (one, other):
                task.cancel()
            await asyncio.gather(one, other, return_exceptions=True)
    finally:
        far_writer.transport.abort()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
