"""What the harness and a driver in another process say to each other, and a product that is such a driver.

    harness   {"id": 7, "method": "failover", "session": 1, "arguments": {"vm": "web", "to": "azure", "kind": "unplanned", ...}}
    driver    {"call": "wait", "arguments": {"seconds": 5}}            any number of calls to the world while 7 is open
    harness   {"return": null}                                         or {"failed": "unobservable", "message": "..."}
    driver    {"id": 7, "result": {"answer": "accepted"}}              or {"id": 7, "failed": "unobservable", "message": "..."}

Methods are those of `harness.product.Session`, and `describe`, `open`, `close`. Calls are the methods of `harness.product.World`.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any, Protocol, cast, get_type_hints

from harness.product import Description, Session, Setup, UnobservableError, World
from harness.remote.plain import PlainError, from_plain, to_plain
from harness.run import DriverError

PROTOCOL = 1
UNOBSERVABLE, BROKEN = "unobservable", "broken"
#: Calls to the world that one method may make: a driver that waits for what never comes has to end.
CALLS_MAX = 500_000


class Channel(Protocol):
    """Carries messages to one driver, in turn. After an error it is closed; the next message starts anew where that can be."""

    def exchange(self, message: Mapping[str, Any]) -> Any:
        """Sends a message and waits for the next one of the driver. Raises `DriverError`."""
        ...

    def fresh(self) -> bool:
        """Whether the driver has not been spoken to since it was (or will be) started."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Method:
    """One method: its arguments with types (a default of `inspect.Parameter.empty` means required) and what it gives back."""

    name: str
    arguments: Mapping[str, tuple[Any, Any]]
    result: Any


def methods_of(protocol: type) -> dict[str, Method]:
    """Every method of a protocol class, from its signature."""
    found = {}
    for name, function in vars(protocol).items():
        if name.startswith("_") or not inspect.isfunction(function):
            continue
        hints = get_type_hints(function)
        parameters = list(inspect.signature(function).parameters.values())[1:]
        arguments = {one.name: (hints[one.name], one.default) for one in parameters}
        found[name] = Method(name, arguments, hints["return"])
    return found


@cache
def session_methods() -> dict[str, Method]:
    return methods_of(Session)


@cache
def world_methods() -> dict[str, Method]:
    return methods_of(World)


class RemoteProduct:
    """A product behind a channel."""

    def __init__(self, name: str, channel: Channel):
        self.name = name
        self._channel = channel
        self._numbers = count(1)
        self._sessions = count(1)
        self._description: Description | None = None

    def describe(self) -> Description:
        """Asked once."""
        if self._description is None:
            found = self.ask("describe", {"protocol": PROTOCOL}, Description, None, None)
            self._description = cast(Description, found)
        return self._description

    @contextmanager
    def open(self, world: World, setup: Setup) -> Iterator[Session]:
        number = next(self._sessions)
        ask = _Asking(self, number, world)
        ask("open", {"setup": to_plain(setup)}, type(None))
        try:
            yield cast(Session, RemoteSession(ask))
        finally:
            # A driver that died in between has no session to close.
            if not self._channel.fresh():
                ask("close", {}, type(None))

    def close(self) -> None:
        self._channel.close()

    def ask(self, method: str, arguments: Mapping[str, Any], kind: Any, session: int | None, world: World | None) -> Any:
        """Asks one method of the driver, does its calls to the world meanwhile. Raises `DriverError`, `UnobservableError`."""
        try:
            return self._asked(method, arguments, kind, session, world)
        except UnobservableError:
            raise
        except Exception:
            # Nobody knows what the driver takes the next message for.
            self._channel.close()
            raise

    def _asked(self, method: str, arguments: Mapping[str, Any], kind: Any, session: int | None, world: World | None) -> Any:
        number = next(self._numbers)
        head = {"id": number, "method": method} | ({} if session is None else {"session": session})
        message = self._channel.exchange({**head, "arguments": arguments})
        calls = 0
        while isinstance(message, dict) and "call" in message:
            calls += 1
            if calls > CALLS_MAX:
                raise DriverError(f"{method}: the driver has called the world {CALLS_MAX} times and has not answered")
            message = self._channel.exchange(_called(message, world))
        return _result(message, number, kind, method)


@dataclass(frozen=True, slots=True)
class _Asking:
    product: RemoteProduct
    session: int
    world: World

    def __call__(self, method: str, arguments: Mapping[str, Any], kind: Any) -> Any:
        return self.product.ask(method, arguments, kind, self.session, self.world)


@dataclass(frozen=True, slots=True)
class RemoteSession:
    """Every method of `Session`, asked of the driver."""

    ask: _Asking
    _asked: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = session_methods().get(name)
        if method is None:
            raise AttributeError(name)

        def asked(*given: Any, **named: Any) -> Any:
            values = {**dict(zip(method.arguments, given, strict=False)), **named}
            for argument, (_, default) in method.arguments.items():
                values.setdefault(argument, default)
            return self.ask(name, {argument: to_plain(value) for argument, value in values.items()}, method.result)

        return asked


def _result(message: Any, number: int, kind: Any, method: str) -> Any:
    if not isinstance(message, dict) or message.get("id") != number:
        raise DriverError(f"{method}: the driver's message must have the id {number} or a call, not {_short(message)}")
    if message.get("failed") == UNOBSERVABLE:
        raise UnobservableError(str(message.get("message") or method))
    if "failed" in message:
        raise DriverError(f"{method}: the driver says it broke: {_short(message.get('message'))}")
    if "result" not in message:
        raise DriverError(f"{method}: the driver's message has neither `result` nor `failed`: {_short(message)}")
    try:
        return from_plain(message["result"], kind, f"{method}: the result")
    except PlainError as problem:
        raise DriverError(str(problem)) from problem


def _called(message: Mapping[str, Any], world: World | None) -> dict[str, Any]:
    """A call to the world, done; its mistakes are answered, since they are the driver's to mend."""
    name, given = message["call"], message.get("arguments") or {}
    method = world_methods().get(name) if isinstance(name, str) else None
    if method is None:
        return {"failed": BROKEN, "message": f"the world has no {name!r} ({', '.join(world_methods())})"}
    if world is None:
        return {"failed": BROKEN, "message": "there is no world before a session is open"}
    try:
        values = _arguments(method, given)
    except PlainError as problem:
        return {"failed": BROKEN, "message": str(problem)}
    try:
        return {"return": to_plain(getattr(world, name)(**values))}
    except UnobservableError as problem:
        return {"failed": UNOBSERVABLE, "message": str(problem)}
    except (KeyError, ValueError) as problem:
        return {"failed": BROKEN, "message": f"{name}: {problem}"}


def _arguments(method: Method, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not given.keys() <= method.arguments.keys():
        raise PlainError(f"{method.name} takes {', '.join(method.arguments) or 'no arguments'}, not {_short(given)}")
    values = {}
    for name, (kind, default) in method.arguments.items():
        if name in given:
            values[name] = from_plain(given[name], kind, f"{method.name}.{name}")
        elif default is inspect.Parameter.empty:
            raise PlainError(f"{method.name} lacks {name!r}")
    return values


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."
