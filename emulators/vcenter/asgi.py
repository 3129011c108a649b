"""The fast face of a vCenter: `POST /sdk` as a bare ASGI application. What else there is, the WSGI face serves.

Requests seen before about one object are answered in the server's loop when the vCenter is not busy, all others on a thread of
a pool: a large read does not hold up the estate's other servers. A waiting WaitForUpdatesEx is a coroutine and costs no thread.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from emulators.vcenter import parse, soap
from emulators.vcenter.delays import Delays
from emulators.vcenter.inventory import Inventory
from emulators.vcenter.sessions import token_of
from emulators.vcenter.web import XML, slices

_WORKERS = 8
#: Real seconds after which a waiter looks at the clock in any case: emulated time may be moved by hand.
_POLL = 5.0
#: A body up to this size is waited for in the loop.
_SOON_HERE = 64 * 1024
#: Real seconds without a byte after which an upload is given up.
_STALLED = 60.0
#: Answers up to this size are sent in one piece.
_SMALL = 1024 * 1024
_TYPE = (b"content-type", XML.encode())


@dataclass(slots=True)
class _Waiters:
    """The coroutines that wait for a change, on one loop."""

    loop: asyncio.AbstractEventLoop
    events: set[asyncio.Event] = field(default_factory=set)
    told: bool = False

    def tell(self) -> None:
        """Called at each change, with the lock held, from any thread."""
        if self.events and not self.told:
            self.told = True
            with suppress(RuntimeError):  # the loop has ended
                self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self.told = False
        for event in self.events:
            event.set()


class Asgi:
    """An ASGI application. It leaves all but `POST /sdk` to the WSGI application in `scope["drillbed.wsgi"]`."""

    def __init__(self, inventory: Inventory):
        self._inventory = inventory
        self._plans = soap.Plans()
        self._pool: ThreadPoolExecutor | None = None
        self._waiters: _Waiters | None = None
        self.delays: Delays | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] != "POST" or scope["path"].rstrip("/") != "/sdk":
            await scope["drillbed.wsgi"](scope, await _gathered(dict(scope["headers"]), receive), send)
            return
        headers = dict(scope["headers"])
        body = await _body(headers, receive)
        if body is None:
            await _send(send, 413, [b"The request is too large.\n"], (b"content-type", b"text/plain"))
            return
        answer = await self._answer(scope, headers, body)
        if answer.waiting is not None:
            answer = await self._wait(answer, receive)
        if self.delays is not None:
            await self.delays.hold(answer.method)
        extra = ((b"set-cookie", answer.set_cookie.encode()),) if answer.set_cookie else ()
        await _send(send, answer.status, answer.parts, _TYPE, *extra)

    async def _answer(self, scope: Any, headers: dict[bytes, bytes], body: bytes) -> soap.Answer:
        token = token_of(headers.get(b"cookie", b"").decode("latin-1"))
        agent = headers.get(b"user-agent", b"")[:256].decode("latin-1")

        def ask() -> soap.Answer:
            return soap.answer(
                self._inventory, body, token, peer=scope["drillbed.peer"], agent=agent, plans=self._plans, patient=True
            )

        answer: soap.Answer = await self._run(ask, here=self._plans.quick(body))
        return answer

    async def _run(self, ask: Callable[[], Any], *, here: bool) -> Any:
        """Run in the loop when it is quick and nobody holds the vCenter, else on a thread."""
        lock = self._inventory.lock
        if here and lock.acquire(blocking=False):
            try:
                return ask()
            finally:
                lock.release()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="vcenter")
        return await asyncio.get_running_loop().run_in_executor(self._pool, ask)

    async def _wait(self, first: soap.Answer, receive: Any) -> soap.Answer:
        waiting, inventory = first.waiting, self._inventory
        assert waiting is not None
        waiters = self._on_loop()
        changed = asyncio.Event()
        waiters.events.add(changed)
        gone = asyncio.ensure_future(receive())
        try:
            while True:
                found: soap.Answer | None = await self._run(waiting, here=True)
                left = (first.deadline - inventory.clock.now()) / (inventory.clock.flow or 1.0)
                if found is not None:
                    return found
                if left <= 0 or gone.done() or inventory.closed:
                    return soap.Answer(200, first.otherwise, method=first.method)
                await _either(changed, gone, min(left, _POLL))
                changed.clear()
        finally:
            waiters.events.discard(changed)
            gone.cancel()

    def _on_loop(self) -> _Waiters:
        loop = asyncio.get_running_loop()
        if self._waiters is None or self._waiters.loop is not loop:
            self._waiters = _Waiters(loop)
            self._inventory.changed.subscribe(self._waiters.tell)
        return self._waiters

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)


async def _either(changed: asyncio.Event, gone: "asyncio.Future[Any]", seconds: float) -> None:
    waiting = asyncio.ensure_future(changed.wait())
    try:
        await asyncio.wait((waiting, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


async def _gathered(headers: dict[bytes, bytes], receive: Any) -> Any:
    """A source of the request's body for the WSGI face, whose threads are few. A small body is read before one of them is taken;
    a large one is given up when nothing of it has come for a while."""
    told = headers.get(b"content-length", b"0" if b"transfer-encoding" not in headers else b"")
    if told.isdigit() and int(told) <= _SOON_HERE:
        body = await _body(headers, receive) or b""
        first = [{"type": "http.request", "body": body, "more_body": False}]

        async def given() -> Any:
            return first.pop() if first else await receive()

        return given

    async def impatient() -> Any:
        try:
            return await asyncio.wait_for(receive(), _STALLED)
        except TimeoutError:
            return {"type": "http.disconnect"}

    return impatient


async def _body(headers: dict[bytes, bytes], receive: Any) -> bytes | None:
    """The request's body; None when it is larger than allowed."""
    told = headers.get(b"content-length", b"")
    if told.isdigit() and int(told) > parse.MAX_BODY:
        return None
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body if len(body) <= parse.MAX_BODY else None
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > parse.MAX_BODY:
            return None
    return b"".join(parts)


async def _send(send: Any, status: int, parts: list[bytes], *headers: tuple[bytes, bytes]) -> None:
    length = sum(map(len, parts))
    told = [*headers, (b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": status, "headers": told})
    if length <= _SMALL:
        await send({"type": "http.response.body", "body": b"".join(parts)})
        return
    for piece in slices(parts):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
