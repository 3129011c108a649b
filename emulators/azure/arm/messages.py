"""What goes in and out of an operation of Resource Manager: `Call`, `Answer` and `Refusal`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


class Refusal(Exception):
    """The service says no: becomes `{"error": {"code", "message", "details"}}` with `status`.

    Raised by an operation it is the answer; raised by the work of a long-running operation it becomes that operation's error.
    """

    def __init__(self, status: int, code: str, message: str, *, details: list[Json] | None = None, target: str | None = None):
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message
        self.details, self.target = details, target

    def error(self) -> Json:
        """The object under `error`."""
        error: Json = {"code": self.code, "message": self.message}
        if self.target is not None:
            error["target"] = self.target
        if self.details is not None:
            error["details"] = self.details
        return error


@dataclass(slots=True)
class Answer:
    """An HTTP answer. `body` None is an empty one, bytes are sent as they are, anything else is written as JSON.

    `first` is done before the answer goes out, when the lock is free again: for what must hold as soon as the caller knows.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    first: Callable[[], None] | None = None


@dataclass(slots=True)
class Call:
    """One request, authenticated and routed.

    `path` is as the caller spelled it (doubled slashes removed). `parameters` has the values of the template's names in the
    caller's spelling. `body` is the parsed JSON object or None when there was no content, `raw` the bytes as they came;
    `principal` the claims of the token.
    `base_url` is what the caller used (`https://management.drillbed`), so that every URL handed back can be followed.
    """

    method: str
    path: str
    parameters: dict[str, str]
    query: Mapping[str, str]
    body: Json | None
    principal: Json
    api_version: str
    headers: Mapping[str, str]
    base_url: str
    correlation_id: str
    template: str = ""
    raw: bytes = b""

    def __getitem__(self, name: str) -> str:
        return self.parameters[name]

    @property
    def subscription(self) -> str:
        return self.parameters.get("subscriptionId", "")

    @property
    def group(self) -> str:
        return self.parameters.get("resourceGroupName", "")

    def content(self) -> Json:
        """The body, which this operation cannot do without."""
        if self.body is None:
            raise Refusal(400, "InvalidRequestContent", "The request content was invalid: a JSON object is required.")
        return self.body


#: What JSON's own numbers can hold exactly.
_LARGEST = 2**53

_KINDS = {dict: "an object", list: "an array", str: "a string", int: "an integer", bool: "a boolean"}


def read(body: Mapping[str, Any] | None, path: str, kind: type, default: Any = None, *, required: bool = False) -> Any:
    """The value at the dotted `path` of a JSON object; null counts as absent.

    Raises `Refusal` 400 `InvalidRequestContent` when it has another type, or is absent and `required`.
    """
    value: Any = body
    names = path.split(".")
    for at, name in enumerate(names):
        if value is not None and not isinstance(value, Mapping):
            raise _wrong(".".join(names[:at]), dict)
        value = None if value is None else value.get(name)
    if value is None:
        if required:
            raise Refusal(400, "InvalidRequestContent", f"The request content was invalid: '{path}' is required.")
        return default
    fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    if not fits or (kind is int and not -_LARGEST <= value <= _LARGEST):
        raise _wrong(path, kind)
    return value


def read_texts(body: Mapping[str, Any] | None, path: str) -> list[str]:
    """The list of strings at `path`; empty when there is none. Raises `Refusal` 400 `InvalidRequestContent`."""
    values: list[Any] = read(body, path, list, [])
    if not all(isinstance(one, str) for one in values):
        raise Refusal(400, "InvalidRequestContent", f"The request content was invalid: '{path}' must be an array of strings.")
    return list(values)


def _wrong(path: str, kind: type) -> Refusal:
    where = f"'{path}'" if path else "the body"
    return Refusal(400, "InvalidRequestContent", f"The request content was invalid: {where} must be {_KINDS[kind]}.")


def read_choice(
    body: Mapping[str, Any] | None, path: str, choices: Iterable[str], default: str = "", *, code: str = "InvalidParameter"
) -> str:
    """The value at `path` as `choices` spell it; callers may write it in any case. `default` "" makes it required.

    Raises `Refusal` 400 with `code` for another word.
    """
    known = tuple(choices)
    text: str = read(body, path, str, default, required=not default)
    found = next((one for one in known if one.lower() == text.lower()), None)
    if found is None:
        raise Refusal(
            400, code, f"The value '{text}' of parameter '{path}' is not valid; it is one of {', '.join(known)}.", target=path
        )
    return found
