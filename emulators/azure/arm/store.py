"""The resources of one estate's Azure, found by id without case."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from emulators.azure.arm.messages import Json, Refusal


@dataclass(frozen=True, slots=True)
class ResourceId:
    """The parts of a resource id. `type` is the full chain (`Microsoft.Network/virtualNetworks/subnets`), spelled as given."""

    subscription: str
    group: str
    type: str
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.names[-1] if self.names else ""


def parse_id(text: str) -> ResourceId | None:
    """The parts of `/subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{type}/{name}[/{type}/{name}...]`, else None."""
    parts = text.strip("/").split("/")
    words = [part.lower() for part in parts]
    if len(parts) < 8 or len(parts) % 2 or not all(parts):
        return None
    if (words[0], words[2], words[4]) != ("subscriptions", "resourcegroups", "providers"):
        return None
    types, names = parts[6::2], tuple(parts[7::2])
    return ResourceId(parts[1], parts[3], "/".join([parts[5], *types]), names)


@dataclass(slots=True)
class Resource:
    """One resource.

    `body` is its JSON beside `id`, `name` and `type`; `hidden` what the wire never shows (keys, addresses taken).
    """

    id: str
    type: str
    body: Json
    hidden: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.id.rsplit("/", 1)[-1]

    @property
    def properties(self) -> Json:
        properties: Json = self.body.setdefault("properties", {})
        return properties

    @property
    def location(self) -> str:
        return str(self.body.get("location", ""))

    @property
    def group(self) -> str:
        parts = self.id.split("/")
        return parts[4] if len(parts) > 4 else ""

    def json(self) -> Json:
        """The resource as it is read. It shares nested objects with the store: write it out or copy it, never change it."""
        return {"id": self.id, "name": self.name, "type": self.type, **self.body}


class ResourceStore:
    """Resources by lower-cased id. Callers hold the lock of their `Arm`. `after_remove` are told the id of what has gone."""

    def __init__(self) -> None:
        self.after_remove: list[Callable[[str], None]] = []
        self._resources: dict[str, Resource] = {}
        self._by_type: dict[str, dict[str, Resource]] = {}

    def get(self, resource_id: str) -> Resource | None:
        return self._resources.get(resource_id.rstrip("/").lower())

    def need(self, resource_id: str) -> Resource:
        """The resource, or `Refusal` 404 `ResourceNotFound` worded as Resource Manager does."""
        resource = self.get(resource_id)
        if resource is None:
            raise not_found(resource_id)
        return resource

    def put(self, resource: Resource) -> Resource:
        """Add or replace. A resource that exists keeps the spelling of its id."""
        key = resource.id.lower()
        known = self._resources.get(key)
        if known is not None:
            resource.id = known.id
        self._resources[key] = resource
        self._by_type.setdefault(resource.type.lower(), {})[key] = resource
        return resource

    def remove(self, resource_id: str) -> list[Resource]:
        """Take out a resource and everything below it; returns what was there, children first."""
        key = resource_id.rstrip("/").lower()
        gone = [found for found in self._resources if found == key or found.startswith(key + "/")]
        removed = [self._resources.pop(found) for found in sorted(gone, key=len, reverse=True)]
        for resource in removed:
            self._by_type[resource.type.lower()].pop(resource.id.lower(), None)
            for told in self.after_remove:
                told(resource.id)
        return removed

    def of_type(self, resource_type: str, *, under: str = "") -> list[Resource]:
        """Resources of one type in order of creation; `under` is a subscription, group or parent id."""
        prefix = under.rstrip("/").lower() + "/" if under else ""
        found = self._by_type.get(resource_type.lower(), {})
        return [resource for key, resource in found.items() if key.startswith(prefix)]

    def where(self, keep: Callable[[Resource], bool]) -> Iterator[Resource]:
        return (resource for resource in list(self._resources.values()) if keep(resource))

    def __len__(self) -> int:
        return len(self._resources)


def not_found(resource_id: str) -> Refusal:
    """404 for a resource inside a group, worded as Resource Manager does (asr-wire section 6)."""
    parsed = parse_id(resource_id)
    if parsed is None:
        return Refusal(404, "ResourceNotFound", f"The resource '{resource_id}' was not found.")
    namespace, *types = parsed.type.split("/")
    pairs = "/".join(f"{kind}/{name}" for kind, name in zip(types, parsed.names, strict=True))
    return Refusal(
        404,
        "ResourceNotFound",
        f"The Resource '{namespace}/{pairs}' under resource group '{parsed.group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )
