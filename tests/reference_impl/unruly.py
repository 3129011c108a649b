"""Requests, files and processes that suffer: lost, late, twice, refused, killed in the middle of a step."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

from azure.core.exceptions import HttpResponseError

from emulators.http.inprocess import InProcess, InProcessConnection, InProcessResponse
from emulators.network import Host
from reference_impl.mobility_agent import agent as agent_module
from reference_impl.mobility_agent import stream
from reference_impl.process_server import cache, spool
from reference_impl.process_server import server as server_module

CHANGING = ("put_", "clear_", "snapshot", "delete", "send", "raise")


class Killed(BaseException):
    """A component died here. No `except Exception` of its own may survive it."""

    def __init__(self, who: str):
        super().__init__(who)
        self.who = who


class Fates(Protocol):
    """Who decides what happens."""

    def fate(self, source: str, destination: str) -> str:
        """What becomes of a request: empty, lost, unanswered, twice, echo, late, refused, or refused-done."""
        ...

    def later(self, again: Callable[[], Any]) -> None: ...
    def step(self, who: str) -> bool:
        """One step of a component; True when it dies at it. Raises `Killed` when it is dead already."""
        ...

    def full(self, who: str) -> bool: ...
    def note(self, text: str) -> None: ...


def suffer(
    fate: str,
    action: Callable[[], Any],
    again: Callable[[], Any],
    later: Callable[[Callable[[], Any]], None],
    refuse: Callable[[], Any],
) -> Any:
    """Carry out a request as fate wants it."""
    if fate == "lost":
        raise TimeoutError("no answer: the request was lost")
    if fate == "late":
        later(again)
        raise TimeoutError("no answer in time: the request is still under way")
    if fate == "refused":
        return refuse()
    result = action()
    if fate == "unanswered":
        raise TimeoutError("no answer: the answer was lost")
    if fate == "refused-done":
        return refuse()
    if fate == "twice":
        again()
    if fate == "echo":
        later(again)
    return result


class Unruly(InProcess):
    """A transport whose requests suffer."""

    fates: Fates

    def connection(self, source: Host, destination: str, port: int, *, tls: bool, timeout: float, **named: Any) -> Any:
        return UnrulyConnection(self, source, destination, port, tls, **named)


class UnrulyConnection(InProcessConnection):
    def request(self, method: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None, **named: Any) -> None:
        transport: Any = self._transport
        fates: Fates = transport.fates
        source, send = self._source.name, super().request

        def once() -> None:
            try:
                send(method, url, body, headers)
            except Killed as dead:
                if dead.who == source:
                    raise
                raise ConnectionResetError("the other side died") from None

        def again() -> None:
            copy: Any = InProcessConnection(transport, self._source, self.host, self.port, self._tls)
            for name in ("_identity",):
                if hasattr(self, name):
                    setattr(copy, name, getattr(self, name))
            try:
                copy.request(method, url, body, headers)
            except Killed:
                fates.note("a late request killed who got it")

        dies = fates.step(source)
        if dies and fates.fate("chance", "before"):
            raise Killed(source)
        suffer(fates.fate(source, self.host), once, again, fates.later, self._refuse)
        if dies:
            raise Killed(source)

    def _refuse(self) -> None:
        self._response = InProcessResponse(503, "Service Unavailable", [("Content-Length", "0")], b"")
        self.sock = self


class UnrulyStore:
    """A store whose requests suffer, as one component sees it."""

    def __init__(self, inner: Any, fates: Fates, owner: str, source: str):
        self._inner, self._fates, self._owner, self._source = inner, fates, owner, source

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            inner = [value._inner if isinstance(value, UnrulyStore) else value for value in arguments]
            fates = self._fates
            dies = fates.step(self._owner)
            if dies and fates.fate("chance", "before"):
                raise Killed(self._owner)
            fate = fates.fate(self._source, "storage")
            if fate in ("twice", "echo", "late") and not name.startswith(CHANGING):
                fate = "" if fate != "late" else "lost"

            def again() -> None:
                try:
                    found(*inner, **named)
                except Exception as error:  # whoever asked has his answer already
                    fates.note(f"a late {name} was refused: {type(error).__name__}")

            result = suffer(fate, lambda: found(*inner, **named), again, fates.later, lambda: _unavailable(fates))
            if dies:
                raise Killed(self._owner)
            return result

        return call


def _unavailable(fates: Fates) -> None:
    status = 500 if fates.fate("chance", "before") else 503
    error = HttpResponseError(message="The server is busy." if status == 503 else "The server encountered an internal error.")
    error.status_code = status
    raise error


@contextmanager
def unruly_files(fates: Fates) -> Iterator[None]:
    """Disks of agents and process servers that are full or whose owner dies while it writes."""
    write_file, write_all, write_whole = stream.write_file, spool.write_all, cache.write_whole

    def journal(path: Path, raw: bytes) -> None:
        if fates.full("agent"):
            raise OSError(28, "No space left on device")
        write_file(path, raw)

    def spooled(descriptor: int, raw: Any) -> None:
        if fates.full("process-server"):
            write_all(descriptor, memoryview(raw)[: len(raw) // 2])
            raise OSError(28, "No space left on device")
        if fates.step("process-server"):
            write_all(descriptor, memoryview(raw)[: len(raw) // 3])
            raise Killed("process-server")
        write_all(descriptor, raw)

    def whole(path: Path, raw: Any) -> None:
        if fates.full("process-server"):
            raise OSError(28, "No space left on device")
        dies = fates.step("process-server")
        if dies and fates.fate("chance", "before"):
            raise Killed("process-server")
        write_whole(path, raw)
        if dies:
            raise Killed("process-server")

    with (
        mock.patch.object(stream, "write_file", journal),
        mock.patch.object(agent_module, "write_file", journal),
        mock.patch.object(spool, "write_all", spooled),
        mock.patch.object(cache, "write_whole", whole),
        mock.patch.object(server_module, "write_whole", whole),
    ):
        yield
