"""What every kind of resource in a group has in common: names, locations, tags, and the operations that only read."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, Resource, parse_id, read
from emulators.azure.arm.routing import Handler

SUBSCRIPTION = "/subscriptions/{subscriptionId}"
GROUP = SUBSCRIPTION + "/resourceGroups/{resourceGroupName}"

Render = Callable[[Resource], Json]


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type: `pattern` is what names must match, in full, `rule` how a refusal words that."""

    type: str
    pattern: str
    rule: str
    code: str = "InvalidResourceName"

    @property
    def collection(self) -> str:
        """Template of the list in a group."""
        namespace, _, rest = self.type.partition("/")
        return f"{GROUP}/providers/{namespace}/{rest}"

    @property
    def template(self) -> str:
        return self.collection + "/{name}"

    def check_name(self, name: str) -> None:
        """Raises `Refusal` 400 for a name the type does not allow."""
        if not re.fullmatch(self.pattern, name):
            raise Refusal(400, self.code, f"Resource name {name} is invalid. {self.rule}", target="name")


def add_reads(arm: Arm, kind: Kind, render: Render = Resource.json, *, patch: bool = True) -> None:
    """Register GET of one, lists in group and subscription, and PATCH of tags for a kind."""

    def show(call: Call) -> Answer:
        return Answer(200, render(arm.store.need(call.path)))

    def in_group(call: Call) -> Answer:
        return listing(
            arm.store.of_type(kind.type, under=f"/subscriptions/{call.subscription}/resourceGroups/{call.group}"), render
        )

    def in_subscription(call: Call) -> Answer:
        return listing(arm.store.of_type(kind.type, under=f"/subscriptions/{call.subscription}"), render)

    def tag(call: Call) -> Answer:
        resource = arm.store.need(call.path)
        tags = tags_of(call.content())
        if tags is not None:
            resource.body["tags"] = tags
        return Answer(200, render(resource))

    namespace, _, rest = kind.type.partition("/")
    operations: list[tuple[str, str, Handler]] = [
        ("GET", kind.template, show),
        ("GET", kind.collection, in_group),
        ("GET", f"{SUBSCRIPTION}/providers/{namespace}/{rest}", in_subscription),
    ]
    if patch:
        operations.append(("PATCH", kind.template, tag))
    for method, template, handler in operations:
        arm.router.add(method, template, handler)


def listing(resources: Iterable[Resource], render: Render = Resource.json) -> Answer:
    return Answer(200, {"value": [render(resource) for resource in resources], "nextLink": None})


def tags_of(body: Json) -> dict[str, str] | None:
    """The tags of a body, None when it has none. Raises `Refusal` 400."""
    tags = read(body, "tags", dict)
    if tags is None:
        return None
    if len(tags) > 50:
        raise Refusal(400, "InvalidTagCount", "A resource can have at most 50 tags.")
    for name, value in tags.items():
        if not isinstance(value, str) or len(value) > 256 or not 0 < len(name) <= 512:
            raise Refusal(
                400, "InvalidTagValue", f"The tag '{name}' is invalid: names have 1 to 512, values at most 256 characters."
            )
    return dict(tags)


def located(arm: Arm, call: Call, kind: Kind) -> tuple[Resource | None, Json]:
    """The existing resource of a PUT and the head of its new body (location, tags).

    Raises `Refusal` for a bad name or location.
    """
    body = call.content()
    kind.check_name(call.path.rsplit("/", 1)[1])
    location = canonical_location(read(body, "location", str, ""))
    if not location:
        raise Refusal(400, "LocationRequired", "The location property is required for this definition.")
    check_location(arm, location, kind.type)
    existing = arm.store.get(call.path)
    if existing is not None and existing.properties.get("provisioningState") == "Deleting":
        raise Refusal(
            409, "OperationNotAllowed", f"The resource '{existing.id}' is being deleted; it can be created again when it is gone."
        )
    if existing is not None and existing.location != location:
        raise Refusal(
            409,
            "InvalidResourceLocation",
            f"The resource '{existing.name}' already exists in location '{existing.location}' in resource group '{call.group}'. "
            f"A resource with the same name cannot be created in location '{location}'. Please select a new resource name.",
        )
    head: Json = {"location": location}
    tags = tags_of(body)
    if tags is None and existing is not None:
        tags = existing.body.get("tags")
    if tags is not None:
        head["tags"] = tags
    return existing, head


def check_location(arm: Arm, location: str, resource_type: str) -> None:
    if location not in arm.locations:
        raise Refusal(
            400,
            "LocationNotAvailableForResourceType",
            f"The provided location '{location}' is not available for resource type '{resource_type}'. "
            f"List of available regions for the resource type is '{','.join(arm.locations)}'.",
        )


def canonical_location(text: str) -> str:
    """`West Europe` and `westeurope` are the same place."""
    return text.replace(" ", "").lower()


def group_location(arm: Arm, call: Call) -> str:
    return arm.store.need(f"/subscriptions/{call.subscription}/resourceGroups/{call.group}").location


def need_reference(arm: Arm, resource_id: Any, resource_type: str, referrer: str) -> Resource:
    """The resource that another names by id.

    Raises `Refusal` 400 `InvalidResourceReference` or `LinkedInvalidPropertyId`, 403 `LinkedAuthorizationFailed` for an id of a
    subscription that is not ours.
    """
    if not isinstance(resource_id, str) or not resource_id.startswith("/"):
        raise Refusal(
            400,
            "LinkedInvalidPropertyId",
            f"Property id '{resource_id}' is invalid. Expect fully qualified resource Id that start with "
            "'/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.",
        )
    parsed = parse_id(resource_id)
    if parsed is not None and parsed.subscription.lower() not in arm.subscriptions:
        raise Refusal(
            403,
            "LinkedAuthorizationFailed",
            f"The client has permission to perform the action on scope '{referrer}', however the current tenant '{arm.tenant}' "
            f"is not authorized to access linked subscription '{parsed.subscription}'.",
        )
    resource = arm.store.get(resource_id)
    if resource is None or resource.type.lower() != resource_type.lower():
        raise Refusal(
            400,
            "InvalidResourceReference",
            f"Resource {resource_id} referenced by resource {referrer} was not found. Please make sure that the referenced "
            "resource exists, and that both resources are in the same region.",
        )
    return resource
