"""Parts of a resource that have a path of their own: rules of a security group, routes of a table, pools of a balancer.

They live in a list of the parent's properties, each with an id below the parent's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, read
from emulators.azure.provisioning import touch
from emulators.azure.tracked import Kind, Render
from emulators.clock import Process

#: Makes the kept form of an entry that was sent. Raises `Refusal`. Gets the parent, the name and the body.
Check = Callable[[Resource, str, Json], Json]

#: Looks at all entries of a parent together. Raises `Refusal`.
Together = Callable[[list[Json]], None]


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of part. `segment` is its word in paths and, unless `field` says otherwise, in the parent's properties."""

    kind: Kind
    segment: str
    check: Check | None = None  #: None: parts are only read by themselves
    together: Together | None = None
    field: str = ""

    @property
    def list_name(self) -> str:
        return self.field or self.segment

    @property
    def template(self) -> str:
        return f"{self.kind.template}/{self.segment}"


def parts_of(parent: Resource, part: Part) -> list[Json]:
    found: list[Json] = parent.properties.setdefault(part.list_name, [])
    return found


def add_parts(arm: Arm, part: Part, render: Render | None = None) -> None:
    """Register list and GET of a part and, where it has a check, PUT and DELETE. `render` is how the parent is read."""

    def shown(parent: Resource) -> list[Json]:
        if render is None:
            return parts_of(parent, part)
        entries: list[Json] = render(parent)["properties"][part.list_name]
        return entries

    def list_all(call: Call) -> Answer:
        parent = arm.store.need(call.path.rsplit("/", 1)[0])
        return Answer(200, {"value": list(shown(parent)), "nextLink": None})

    def get(call: Call) -> Answer:
        return Answer(200, _need(shown(arm.store.need(call.path.rsplit("/", 2)[0])), call.path))

    arm.router.add("GET", part.template, list_all)
    arm.router.add("GET", part.template + "/{partName}", get)
    if part.check is not None:
        arm.router.add("PUT", part.template + "/{partName}", lambda call: _put(arm, part, call))
        arm.router.add("DELETE", part.template + "/{partName}", lambda call: _delete(arm, part, call))


def read_parts(arm: Arm, parent: Resource, part: Part, entries: list[Any]) -> list[Json]:
    """The kept form of all parts in the body of the parent's PUT. Raises `Refusal`."""
    assert part.check is not None, "parts that are only read are not sent"
    made = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise Refusal(400, "InvalidRequestContent", f"The request content was invalid: {part.list_name} must be objects.")
        made.append(dressed(arm, parent, part, read(entry, "name", str, required=True), part.check(parent, entry["name"], entry)))
    if len({one["name"].lower() for one in made}) != len(made):
        raise Refusal(400, "DuplicateResourceName", f"Two of {part.list_name} of {parent.id} have the same name.")
    if part.together is not None:
        part.together(made)
    return made


def dressed(arm: Arm, parent: Resource, part: Part, name: str, properties: Json) -> Json:
    """A part as it is read."""
    return {
        "name": name,
        "id": f"{parent.id}/{part.segment}/{name}",
        "type": f"{part.kind.type}/{part.segment}",
        "etag": f'W/"{arm.clock.uuid()}"',
        "properties": {**properties, "provisioningState": "Succeeded"},
    }


def _put(arm: Arm, part: Part, call: Call) -> Answer:
    parent = arm.store.need(call.path.rsplit("/", 2)[0])
    assert part.check is not None, "registered only with a check"
    name = call["partName"]
    part.kind.check_name(name)
    entry = dressed(arm, parent, part, name, part.check(parent, name, call.content()))
    others = [one for one in parts_of(parent, part) if one["name"].lower() != name.lower()]
    known = len(others) < len(parts_of(parent, part))
    if part.together is not None:
        part.together([*others, entry])
    parent.properties[part.list_name] = [*others, entry]
    touch(arm, parent)
    running = arm.operations.begin(call, _rest(arm), result=lambda: Answer(200, entry), location=parent.location)
    return arm.operations.answer(call, running, 200 if known else 201, entry, location=False)


def _delete(arm: Arm, part: Part, call: Call) -> Answer:
    parent = arm.store.get(call.path.rsplit("/", 2)[0])
    if parent is None or not any(one["name"].lower() == call["partName"].lower() for one in parts_of(parent, part)):
        return Answer(204)
    parent.properties[part.list_name] = [one for one in parts_of(parent, part) if one["name"].lower() != call["partName"].lower()]
    touch(arm, parent)
    running = arm.operations.begin(call, _rest(arm), location=parent.location)
    return arm.operations.answer(call, running)


def _rest(arm: Arm) -> Process:
    yield arm.operations.rest(3)


def _need(entries: list[Json], path: str) -> Json:
    name = path.rsplit("/", 1)[1]
    found = next((one for one in entries if one["name"].lower() == name.lower()), None)
    if found is None:
        raise Refusal(404, "NotFound", f"Resource {path} not found.", details=[])
    return found
