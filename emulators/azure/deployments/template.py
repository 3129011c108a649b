"""A template read: its parameters with values, its variables, its resources with ids and order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emulators.azure.arm import Json, Refusal, read
from emulators.azure.deployments.expressions import ExpressionError, Functions, called, evaluate, measured, resolve
from emulators.azure.deployments.functions import PLAIN

NESTED = "Microsoft.Resources/deployments"

#: Resources of one template, copies counted.
_MOST_RESOURCES = 800

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str, "securestring": str, "int": int, "bool": bool, "object": dict, "secureobject": dict, "array": list,
}  # fmt: skip


@dataclass(slots=True)
class Wanted:
    """A resource of a template. `given` has its expressions still; `functions` evaluate them, also those of its copy."""

    id: str
    given: Json
    functions: Functions
    depends: set[str] = field(default_factory=set)  #: lower-cased ids

    def body(self) -> Json:
        """What is PUT. Raises `ExpressionError`."""
        left_out = {
            "type",
            "name",
            "apiVersion",
            "dependsOn",
            "copy",
            "condition",
            "resources",
            "comments",
            "scope",
            "resourceGroup",
        }
        inner = None
        if _is_nested(self.given) and _inner(self.given):
            inner = self.given["properties"].get("template")
        body = {name: value for name, value in self.given.items() if name not in left_out}
        if inner is not None:
            body["properties"] = {name: value for name, value in body["properties"].items() if name != "template"}
        resolved: Json = measured(resolve(body, self.functions))
        if inner is not None:
            resolved["properties"]["template"] = inner
        return resolved


@dataclass(slots=True)
class Template:
    """A template with everything that can be known before it runs. `parameters` are as they are shown: secrets left out."""

    resources: list[Wanted]
    functions: dict[str, Callable[..., Any]]
    parameters: Json
    outputs: Json


def invalid(message: str) -> Refusal:
    return Refusal(400, "InvalidTemplate", f"Deployment template validation failed: '{message}'.")


def read_template(properties: Json, scope: str, world: Functions) -> Template:
    """The template of a deployment's properties at a scope; `world` are the functions that look at the cloud.

    Raises `Refusal` 400 `InvalidTemplate`.
    """
    if read(properties, "templateLink", dict) or read(properties, "parametersLink", dict):
        raise Refusal(
            400, "InvalidContentLink", "Links to templates and parameters cannot be fetched here: send them in the request."
        )
    template = read(properties, "template", dict, required=True)
    if not read(template, "$schema", str, "").startswith("http"):
        raise invalid("The template has no '$schema'")
    functions: dict[str, Callable[..., Any]] = {**PLAIN, **world}
    try:
        shown = _parameters(template, properties, functions)
        _variables(template, functions)
        resources = _resources(template, scope, functions)
        _order(resources)
    except ExpressionError as error:
        raise invalid(str(error)) from None
    return Template(resources, functions, shown, read(template, "outputs", dict, {}))


def _parameters(template: Json, properties: Json, functions: dict[str, Callable[..., Any]]) -> Json:
    declared, given = read(template, "parameters", dict, {}), read(properties, "parameters", dict, {})
    unknown = [name for name in given if name.lower() not in {one.lower() for one in declared}]
    if unknown:
        raise invalid(
            f"The following parameters were supplied, but do not correspond to any parameters in the template: {unknown[0]}"
        )
    values: Json = {}
    functions["parameters"] = lambda name: _named(values, name, "parameter")
    shown: Json = {}
    for name, about in declared.items():
        if not isinstance(about, dict):
            raise invalid(f"The template parameter '{name}' is not an object")
        kind = read(about, "type", str, "").lower()
        if kind not in _TYPES:
            raise invalid(f"The template parameter '{name}' has the type '{about.get('type')}', which is not valid")
        entry = next((value for one, value in given.items() if one.lower() == name.lower()), None)
        if isinstance(entry, dict) and "value" in entry:
            value = entry["value"]
        elif "defaultValue" in about:
            value = measured(resolve(about["defaultValue"], functions))
        else:
            raise invalid(f"The value for the template parameter '{name}' is not provided")
        _check_value(name, value, kind, about)
        values[name] = value
        shown[name] = {"type": about["type"]} if kind.startswith("secure") else {"type": about["type"], "value": value}
    return shown


def _check_value(name: str, value: Any, kind: str, about: Json) -> None:
    fits = isinstance(value, _TYPES[kind])
    if not fits or (kind == "int" and isinstance(value, bool)):
        raise invalid(f"Template parameter '{name}' was provided with a value that is not of type '{about['type']}'")
    allowed = read(about, "allowedValues", list)
    if allowed is not None and value not in allowed:
        raise invalid(
            f"The provided value for the template parameter '{name}' is not valid: it is not part of the allowed values"
        )
    low, high = ("minValue", "maxValue") if kind == "int" else ("minLength", "maxLength")
    size = value if isinstance(value, int) else len(value)
    if not read(about, low, int, size) <= size <= read(about, high, int, size):
        raise invalid(f"The provided value for the template parameter '{name}' is not within its limits")


def _variables(template: Json, functions: dict[str, Callable[..., Any]]) -> None:
    """Variables are evaluated when they are asked for: one may use another."""
    declared, known, open_now = read(template, "variables", dict, {}), {}, set[str]()

    def variables(name: str) -> Any:
        spelled = _spelled(declared, name, "variable")
        if spelled not in known:
            if spelled in open_now:
                raise ExpressionError(f"The template variable '{name}' uses itself")
            open_now.add(spelled)
            known[spelled] = measured(resolve(declared[spelled], functions))
            open_now.discard(spelled)
        return known[spelled]

    functions["variables"] = variables


def _resources(template: Json, scope: str, functions: dict[str, Callable[..., Any]]) -> list[Wanted]:
    given = template.get("resources", [])
    if isinstance(given, dict):  # symbolic names
        given = list(given.values())
    found: list[Wanted] = []
    loops: dict[str, list[Wanted]] = {}
    for entry in given if isinstance(given, list) else [None]:
        _add(entry, None, scope, functions, found, loops)
    ids = [one.id.lower() for one in found]
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice is not None:
        raise invalid(f"The resource '{twice}' is defined multiple times in the template")
    for one in found:
        one.depends |= _dependencies(one, found, loops)
    return found


def _add(
    entry: Any, parent: Wanted | None, scope: str, functions: Functions, found: list[Wanted], loops: dict[str, list[Wanted]]
) -> None:
    if not isinstance(entry, dict):
        raise invalid("A resource of the template is not an object")
    copy = read(entry, "copy", dict)
    many = 1 if copy is None else resolve(copy.get("count"), functions)
    if not isinstance(many, int) or not 0 <= many <= _MOST_RESOURCES:
        raise invalid(f"The copy count of a resource must be from 0 to {_MOST_RESOURCES}")
    for index in range(many):
        own = functions if copy is None else _counting(functions, index, str(copy.get("name", "")))
        if not resolve(entry.get("condition", True), own):
            continue
        made = Wanted(resource_path(entry, parent.given if parent else None, scope, own), entry, own)
        if parent is not None:
            made.given = {**entry, **_full(entry, parent.given, own)}
            made.depends.add(parent.id.lower())
        found.append(made)
        if copy is not None:
            loops.setdefault(str(copy.get("name", "")).lower(), []).append(made)
        if len(found) > _MOST_RESOURCES:
            raise invalid(f"The template has more than {_MOST_RESOURCES} resources")
        for child in read(entry, "resources", list, []):
            _add(child, Wanted(made.id, {**made.given, "name": resolve(made.given["name"], own)}, own), scope, own, found, loops)


def _counting(functions: Functions, index: int, loop: str) -> Functions:
    def copy_index(*arguments: Any) -> int:
        offset = next((one for one in arguments if isinstance(one, int)), 0)
        return index + offset

    return {**functions, "copyindex": copy_index}


def _full(entry: Json, parent: Json, functions: Functions) -> Json:
    """Type and name of a child, which are given relative to its parent."""
    kind, name = read(entry, "type", str, required=True), str(resolve(read(entry, "name", str, required=True), functions))
    if "/providers/" in kind.lower() or kind.lower().startswith("microsoft."):
        return {"type": kind, "name": name}
    return {"type": f"{parent['type']}/{kind}", "name": f"{parent['name']}/{name}"}


def resource_path(entry: Json, parent: Json | None, scope: str, functions: Functions) -> str:
    """The id of a resource. Raises `Refusal` when type and name do not fit."""
    about = _full(entry, parent, functions) if parent is not None else entry
    kind, name = read(about, "type", str, required=True), resolve(read(about, "name", str, required=True), functions)
    if not read(entry, "apiVersion", str, ""):
        raise invalid(f"The template resource '{name}' of type '{kind}' has no 'apiVersion'")
    own_scope = resolve(entry.get("scope", ""), functions)
    where = str(own_scope) if str(own_scope).startswith("/") else scope
    group = resolve(entry.get("resourceGroup", ""), functions)
    if group:
        where = f"{'/'.join(scope.split('/')[:3])}/resourceGroups/{group}"
    if kind.lower() == "microsoft.resources/resourcegroups":
        return f"{'/'.join(scope.split('/')[:3])}/resourceGroups/{name}"
    return where + provider_path(kind, str(name))


def provider_path(kind: str, name: str) -> str:
    """`/providers/Microsoft.Network/virtualNetworks/v/subnets/s` of a type and a name with as many parts."""
    namespace, *types = kind.split("/")
    names = name.split("/")
    if not types or len(types) != len(names) or not all(names):
        raise invalid(
            f"The template resource '{name}' of type '{kind}' has an incorrect segment length: a name has one segment for each "
            "segment of the type after the namespace"
        )
    return f"/providers/{namespace}/" + "/".join(f"{one}/{other}" for one, other in zip(types, names, strict=True))


def _dependencies(one: Wanted, everybody: list[Wanted], loops: dict[str, list[Wanted]]) -> set[str]:
    depends: set[str] = set()
    for given in read(one.given, "dependsOn", list, []):
        text = str(resolve(given, one.functions)).strip("/").lower()
        if text in loops:
            depends |= {other.id.lower() for other in loops[text]}
            continue
        found = [other for other in everybody if other is not one and _is_named(other, text)]
        if not found and "/providers/" not in text:
            raise invalid(f"The resource '{text}' is not defined in the template")
        depends |= {other.id.lower() for other in found}
    for arguments in called({name: value for name, value in one.given.items() if name != "dependsOn"}, "reference"):
        if arguments:
            text = str(evaluate(arguments[0], one.functions)).strip("/").lower()
            depends |= {other.id.lower() for other in everybody if other is not one and _is_named(other, text)}
    return depends


def _is_named(other: Wanted, text: str) -> bool:
    own = other.id.strip("/").lower()
    short = own.rsplit("/providers/", 1)[-1]
    kind, name = str(other.given["type"]).lower(), own.rsplit("/", 1)[-1]
    return text in (own, short, name, f"{kind}/{name}")


def _order(resources: list[Wanted]) -> None:
    """Raises `Refusal` when resources wait for one another in a circle."""
    waiting, done = {one.id.lower(): one.depends for one in resources}, set[str]()
    while waiting:
        ready = [name for name, depends in waiting.items() if not depends & set(waiting) - done]
        if not ready:
            raise invalid(f"Circular dependency detected on resource: '{next(iter(waiting))}'")
        for name in ready:
            done.add(name)
            del waiting[name]


def _is_nested(given: Json) -> bool:
    return str(given.get("type", "")).lower() == NESTED.lower() and isinstance(given.get("properties"), dict)


def _inner(given: Json) -> bool:
    return str(read(given, "properties.expressionEvaluationOptions.scope", str, "outer")).lower() == "inner"


def _named(values: Json, name: Any, what: str) -> Any:
    return values[_spelled(values, name, what)]


def _spelled(values: Json, name: Any, what: str) -> str:
    found = next((one for one in values if one.lower() == str(name).lower()), None)
    if found is None:
        raise ExpressionError(f"The template {what} '{name}' is not found")
    return found
