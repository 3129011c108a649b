"""From method and path to an operation: templates are matched without case, values keep the caller's spelling.

A template that begins with `/{scope}/providers/` is an extension: it is there below every subscription, group and resource.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emulators.azure.arm.messages import Answer, Call, Refusal

Handler = Callable[[Call], Answer]

#: Words of a scope as ids have them.
_SPELLED = {"subscriptions": "subscriptions", "resourcegroups": "resourceGroups", "providers": "providers"}

#: How the template of an extension begins.
SCOPE = "/{scope}"


@dataclass(slots=True)
class Endpoint:
    """One operation:

    `action` is what roles allow (`Microsoft.Compute/virtualMachines/write`), `names` the template's parameters. `text`: the body
    is not JSON.
    """

    method: str
    template: str
    handler: Handler
    action: str
    names: tuple[str, ...]
    needs_group: bool
    text: bool = False

    def path(self, parameters: dict[str, str]) -> str:
        """The path with the template's spelling and the caller's names: what an id looks like."""
        segments = [parameters[part[1:-1]] if part.startswith("{") else part for part in self.template.split("/")[1:]]
        return "/" + "/".join(segments).lstrip("/")


@dataclass(slots=True)
class _Node:
    literals: "dict[str, _Node]" = field(default_factory=dict)
    anything: "_Node | None" = None
    methods: dict[str, Endpoint] = field(default_factory=dict)


def operation(method: str, template: str, *, action: str = "", text: bool = False) -> Callable[[Any], Any]:
    """Mark a method `(self, call: Call) -> Answer` of a resource provider as the operation `method template`.

    Several marks on one method give it several templates. `action` is needed only where it is not what method and template say.
    `text`: the body is not JSON; it is in `call.raw`.
    """

    def mark(function: Any) -> Any:
        function.operations = [*getattr(function, "operations", []), (method, template, action, text)]
        return function

    return mark


def action_of(method: str, template: str) -> str:
    """What a role must allow for an operation: `Microsoft.Compute/virtualMachines/start/action`."""
    before, _, rest = template.rpartition("/providers/")
    parts = [part for part in rest.split("/") if not part.startswith("{")]
    if not before:
        parts = ["Microsoft.Resources", *(part for part in template.split("/") if part and not part.startswith("{"))]
        if parts[1:] and parts[1] == "subscriptions" and len(parts) > 2:
            parts = [parts[0], "subscriptions", *parts[2:]]
    verb = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}.get(method, "action")
    return "/".join([*parts, verb])


class Router:
    """All operations of one Resource Manager as a tree of path segments."""

    def __init__(self) -> None:
        self._root, self._extensions = _Node(), _Node()
        self.endpoints: list[Endpoint] = []

    def register(self, provider: Any) -> None:
        """Add every method of `provider` that is marked with `operation`."""
        for name in dir(type(provider)):
            for method, template, action, text in getattr(getattr(type(provider), name, None), "operations", ()):
                self.add(method, template, getattr(provider, name), action, text=text)

    def add(self, method: str, template: str, handler: Handler, action: str = "", *, text: bool = False) -> None:
        extension = template.startswith(SCOPE + "/")
        segments = [segment for segment in template.removeprefix(SCOPE).split("/") if segment]
        node, names = (self._extensions if extension else self._root), ["scope"] if extension else []
        for segment in segments:
            if segment.startswith("{"):
                names.append(segment.strip("{}"))
                node.anything = node.anything or _Node()
                node = node.anything
            else:
                node = node.literals.setdefault(segment.lower(), _Node())
        if method in node.methods:
            raise ValueError(f"two operations for {method} {template}")
        inside_group = extension or ("resourceGroupName" in names and segments[-1] != "{resourceGroupName}")
        action = action or action_of(method, template)
        endpoint = Endpoint(method, template, handler, action, tuple(names), inside_group, text)
        node.methods[method] = endpoint
        self.endpoints.append(endpoint)

    def replace(self, method: str, template: str, handler: Handler) -> None:
        """Give an operation that is registered already another handler. Raises `KeyError` when it is not."""
        for endpoint in self.endpoints:
            if (endpoint.method, endpoint.template) == (method, template):
                endpoint.handler = handler
                return
        raise KeyError(f"{method} {template}")

    def match(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
        """The operation and its parameters. Raises `Refusal` 404 or 405."""
        segments = [segment for segment in path.split("/") if segment]
        found: list[_Node] = []
        values = _walk(self._root, segments, 0, [], method, found)
        if values is not None:
            endpoint = found[-1].methods[method]
            return endpoint, dict(zip(endpoint.names, values, strict=True))
        extended = self._extension(method, segments, found)
        if extended is not None:
            return extended
        if found:
            raise Refusal(405, "MethodNotAllowed", f"The requested resource does not support http method '{method}'.")
        raise Refusal(404, "InvalidResourceType", f"The resource type could not be found for the path '{path}'.")

    def _extension(self, method: str, segments: list[str], found: list[_Node]) -> tuple[Endpoint, dict[str, str]] | None:
        """An operation below the last `/providers/` of a path whose beginning is the scope."""
        at = max((index for index, segment in enumerate(segments) if segment.lower() == "providers"), default=-1)
        scope = segments[:at]
        if at < 2 or scope[0].lower() != "subscriptions":
            return None
        scope[0::2] = [_SPELLED.get(word.lower(), word) for word in scope[0::2]]
        nodes: list[_Node] = []
        values = _walk(self._extensions, segments[at:], 0, [], method, nodes)
        if values is None:
            found += nodes
            return None
        endpoint = nodes[-1].methods[method]
        parameters = dict(zip(endpoint.names, ["/" + "/".join(scope), *values], strict=True))
        parameters["subscriptionId"] = scope[1]
        if len(scope) > 3 and scope[2].lower() == "resourcegroups":
            parameters["resourceGroupName"] = scope[3]
        return endpoint, parameters


def _walk(node: _Node, segments: list[str], at: int, values: list[str], method: str, found: list[_Node]) -> list[str] | None:
    """Depth first, literals before parameters. `found` collects the nodes whose template fits, whatever their methods."""
    if at == len(segments):
        if node.methods:
            found.append(node)
        return values if method in node.methods else None
    segment = segments[at]
    literal = node.literals.get(segment.lower())
    if literal is not None:
        result = _walk(literal, segments, at + 1, values, method, found)
        if result is not None:
            return result
    if node.anything is not None:
        return _walk(node.anything, segments, at + 1, [*values, segment], method, found)
    return None


def clean_path(path: str) -> str:
    """`path` with one slash at the front, none at the end and none doubled."""
    return "/" + "/".join(part for part in path.split("/") if part)
