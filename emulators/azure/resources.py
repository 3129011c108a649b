"""Microsoft.Resources: subscriptions, resource groups, and the list of everything in one."""

import re
from typing import Any

from emulators.azure.arm import GROUP_TYPE, Answer, Arm, Call, Json, Refusal, Resource, operation, read
from emulators.azure.filters import read_filter
from emulators.azure.tracked import GROUP, SUBSCRIPTION, canonical_location, check_location, listing, tags_of
from emulators.clock import Process, iso

#: Words that no resource may be named with.
_RESERVED = ("microsoft", "windows", "xbox", "skype", "hyper-v", "bing", "cortana")

#: Deployments are kept with the resources, but are none.
DEPLOYMENT_TYPE = "Microsoft.Resources/deployments"


class Resources:
    """The provider behind Resource Manager's own paths. `deleters` take care of resources that need more than being forgotten."""

    namespace = "Microsoft.Resources"

    def __init__(self, arm: Arm, tenant: str):
        self.arm, self.tenant = arm, tenant
        #: By lower-cased type: called outside the lock for each resource that a group's deletion takes along.
        self.deleters: dict[str, Any] = {}

    # subscriptions -----------------------------------------------------------------------------------------------------

    @operation("GET", "/subscriptions")
    def subscriptions(self, call: Call) -> Answer:
        who = str(call.principal.get("oid", ""))
        seen = [one for one in self.arm.subscriptions.values() if self.arm.access.sees(who, f"/subscriptions/{one}")]
        return Answer(200, {"value": [self._subscription(one) for one in seen], "count": {"type": "Total", "value": len(seen)}})

    @operation("GET", "/tenants")
    def tenants(self, call: Call) -> Answer:
        return Answer(200, {"value": [{"id": f"/tenants/{self.tenant}", "tenantId": self.tenant, "displayName": "drillbed"}]})

    @operation("GET", SUBSCRIPTION)
    def subscription(self, call: Call) -> Answer:
        return Answer(200, self._subscription(self.arm.subscriptions[call.subscription.lower()]))

    @operation("POST", "/providers/Microsoft.Resources/checkResourceName")
    def check_resource_name(self, call: Call) -> Answer:
        body = call.content()
        name, kind = read(body, "name", str, required=True), read(body, "type", str, required=True)
        reserved = [word for word in _RESERVED if word in name.lower()]
        if reserved:
            raise Refusal(
                400,
                "ReservedResourceName",
                f"The resource name '{name}' or a part of the name is a trademarked or reserved word.",
            )
        return Answer(200, {"name": name, "type": kind, "status": "Allowed"})

    @operation("GET", SUBSCRIPTION + "/locations")
    def locations(self, call: Call) -> Answer:
        prefix = f"/subscriptions/{call.subscription}/locations/"
        return Answer(
            200,
            {
                "value": [
                    {"id": prefix + name, "name": name, "displayName": name, "type": "Region"} for name in self.arm.locations
                ]
            },
        )

    def _subscription(self, subscription: str) -> Json:
        return {
            "id": f"/subscriptions/{subscription}",
            "subscriptionId": subscription,
            "tenantId": self.tenant,
            "displayName": "drillbed",
            "state": "Enabled",
            "authorizationSource": "RoleBased",
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": "PayAsYouGo_2014-09-01",
                "spendingLimit": "Off",
            },
            "managedByTenants": [],
        }

    # groups ------------------------------------------------------------------------------------------------------------

    @operation("GET", SUBSCRIPTION + "/resourceGroups")
    def groups(self, call: Call) -> Answer:
        keep = read_filter(call.query.get("$filter", ""))
        return listing(
            group for group in self.arm.store.of_type(GROUP_TYPE, under=f"/subscriptions/{call.subscription}") if keep(group)
        )

    @operation("GET", GROUP)
    def group(self, call: Call) -> Answer:
        return Answer(200, self._need_group(call).json())

    @operation("HEAD", GROUP)
    def group_exists(self, call: Call) -> Answer:
        if self.arm.store.get(call.path) is None:
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{call.group}' could not be found.")
        return Answer(204)

    @operation("PUT", GROUP)
    def create_group(self, call: Call) -> Answer:
        if not re.fullmatch(r"[-\w._()]{0,89}[-\w_()]", call.group):
            raise Refusal(
                400,
                "InvalidResourceGroupName" if len(call.group) <= 90 else "ResourceGroupNameTooLong",
                f"The provided resource group name '{call.group}' has these invalid characters or ends in a period, or is longer "
                "than 90. The name can only be a letter, digit, '-', '.', '(', ')' or '_'.",
            )
        body = call.content()
        location = canonical_location(read(body, "location", str, ""))
        if not location:
            raise Refusal(400, "LocationRequired", "The location property is required for this definition.")
        check_location(self.arm, location, GROUP_TYPE)
        existing = self.arm.store.get(call.path)
        if existing is not None and existing.location != location:
            raise Refusal(
                409,
                "InvalidResourceGroupLocation",
                f"Invalid resource group location '{location}'. The Resource group already exists in location "
                f"'{existing.location}'.",
            )
        if existing is not None and existing.properties.get("provisioningState") == "Deleting":
            raise Refusal(409, "ResourceGroupBeingDeleted", f"The resource group '{call.group}' is in deprovisioning state.")
        tags = tags_of(body)
        content: Json = {"location": location, "properties": {"provisioningState": "Succeeded"}}
        if tags is not None:
            content["tags"] = tags
        path = f"/subscriptions/{call.subscription}/resourceGroups/{call.group}"
        resource = self.arm.store.put(Resource(path, GROUP_TYPE, content))
        return Answer(201 if existing is None else 200, resource.json())

    @operation("PATCH", GROUP)
    def tag_group(self, call: Call) -> Answer:
        group = self._need_group(call)
        tags = tags_of(call.content())
        if tags is not None:
            group.body["tags"] = tags
        return Answer(200, group.json())

    @operation("DELETE", GROUP)
    def delete_group(self, call: Call) -> Answer:
        group = self._need_group(call)
        group.properties["provisioningState"] = "Deleting"
        running = self.arm.operations.begin(call, self._empty(group), result=lambda: Answer(200), retry_after=15)
        return self.arm.operations.answer(call, running, async_url=False)

    def _empty(self, group: Resource) -> Process:
        """Delete what the group holds, the users of a thing before the thing, then the group."""
        yield self.arm.operations.rest(15)
        for resource_type, deleter in self.deleters.items():
            with self.arm.lock:
                doomed = self.arm.store.of_type(resource_type, under=group.id)
            for resource in doomed:
                try:
                    deleter(resource)
                except Refusal as refusal:
                    with self.arm.lock:
                        group.properties["provisioningState"] = "Succeeded"
                    raise Refusal(
                        409,
                        "ResourceGroupDeletionBlocked",
                        f"Deletion of resource group '{group.name}' failed as resource with identifier "
                        f"'{resource.id}' could not be deleted: {refusal.message}",
                    ) from None
        with self.arm.lock:
            self.arm.store.remove(group.id)

    def _need_group(self, call: Call) -> Resource:
        group = self.arm.store.get(f"/subscriptions/{call.subscription}/resourceGroups/{call.group}")
        if group is None:
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{call.group}' could not be found.")
        return group

    # everything --------------------------------------------------------------------------------------------------------

    @operation("GET", SUBSCRIPTION + "/resources")
    @operation("GET", GROUP + "/resources")
    def resources(self, call: Call) -> Answer:
        keep = read_filter(call.query.get("$filter", ""))
        prefix = f"/subscriptions/{call.subscription}/" + (f"resourceGroups/{call.group}/" if call.group else "")
        found = self.arm.store.where(lambda one: one.id.lower().startswith(prefix.lower()) and _listed(one) and keep(one))
        return listing(found, lambda one: _outline(one, call.query.get("$expand", "")))


def _listed(resource: Resource) -> bool:
    """Top-level resources only: subnets and the like are not in the list of a group."""
    return resource.type not in (GROUP_TYPE, DEPLOYMENT_TYPE) and resource.type.count("/") == 1 and bool(resource.location)


def _outline(resource: Resource, expand: str) -> Json:
    shown = ("location", "tags", "sku", "kind", "zones", "identity", "managedBy")
    outline = {"id": resource.id, "name": resource.name, "type": resource.type}
    outline |= {name: resource.body[name] for name in shown if resource.body.get(name) is not None}
    for name in ("created", "changed"):
        if f"{name}time" in expand.lower() and name in resource.hidden:
            outline[f"{name}Time"] = iso(resource.hidden[name])
    if "provisioningstate" in expand.lower():
        outline["provisioningState"] = resource.properties.get("provisioningState", "Succeeded")
    return outline
