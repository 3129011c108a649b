"""Deployments of groups and subscriptions: create, validate, what-if, list, cancel, and the operations of a run."""

import hashlib
from typing import Any

import orjson

from emulators.azure.arm import SCOPE, Answer, Arm, Call, Json, Refusal, Resource, not_found, operation, read
from emulators.azure.deployments.expressions import ExpressionError
from emulators.azure.deployments.run import Run, Step
from emulators.azure.deployments.template import Template, Wanted, read_template
from emulators.azure.deployments.world import World
from emulators.azure.resources import DEPLOYMENT_TYPE, Resources
from emulators.azure.tracked import GROUP, SUBSCRIPTION, canonical_location, check_location, listing
from emulators.clock import Process, iso

_ALL = SCOPE + "/providers/Microsoft.Resources/deployments"
_ONE = _ALL + "/{deploymentName}"
#: The operations of a run are found without the provider too.
_OPERATIONS = (GROUP + "/deployments/{deploymentName}/operations", SUBSCRIPTION + "/deployments/{deploymentName}/operations")

_ACTIVE = ("Accepted", "Running")


class Deployments:
    """`Microsoft.Resources/deployments`. Each resource is made with the rights of who deploys.

    `hidden` of a deployment: its `template`, and the `run` while and after it was one.
    """

    namespace = "Microsoft.Resources"

    def __init__(self, arm: Arm, resources: Resources):
        self.arm, self.resources = arm, resources

    @operation("PUT", _ONE)
    def create(self, call: Call) -> Answer:
        scope, body, properties = self._asked(call)
        existing = self.arm.store.get(call.path)
        if existing is not None and existing.properties["provisioningState"] in _ACTIVE:
            raise Refusal(
                409,
                "DeploymentActive",
                f"Unable to edit or replace deployment '{existing.name}': previous deployment from "
                f"'{existing.properties['timestamp']}' is still active. Please see https://aka.ms/arm-deploy for usage details.",
            )
        world, template = self._read(call, scope, properties)
        deployment = Resource(call.path, DEPLOYMENT_TYPE, {**_place(self.arm, call, body), "properties": {}})
        deployment.hidden["template"] = properties["template"]
        deployment.body["properties"] = self._properties(call, properties, template)
        run = Run(self.arm, world, deployment, template)
        deployment.hidden["run"] = run
        self.arm.store.put(deployment)
        identifier = self.arm.clock.uuid()
        running = self.arm.operations.begin(
            call,
            self._carry_out(run, scope, complete=properties["mode"].lower() == "complete"),
            operation_id=identifier,
            status_path=f"{call.path}/operationStatuses/{identifier}",
            result_path=f"{call.path}/operationResults/{identifier}",
            result=lambda: Answer(200, deployment.json()),
        )
        deployment.hidden["operation"] = running
        return self.arm.operations.answer(call, running, 200 if existing else 201, deployment.json(), location=False)

    @operation("POST", _ONE + "/validate")
    def validate(self, call: Call) -> Answer:
        scope, _, properties = self._asked(call)
        _, template = self._read(call, scope, properties)
        shown = self._properties(call, properties, template)
        shown |= {"provisioningState": "Succeeded", "validatedResources": [{"id": one.id} for one in template.resources]}
        path = call.path.rsplit("/", 1)[0]
        return Answer(200, {"id": path, "name": call["deploymentName"], "type": DEPLOYMENT_TYPE, "properties": shown})

    @operation("POST", _ONE + "/whatIf")
    def what_if(self, call: Call) -> Answer:
        scope, _, properties = self._asked(call)
        _, template = self._read(call, scope, properties)
        changes = [self._change(one) for one in template.resources]
        result = Answer(200, {"status": "Succeeded", "properties": {"changes": changes}})
        running = self.arm.operations.begin(call, self._rest(3), result=lambda: result)
        return self.arm.operations.answer(call, running, async_url=False)

    @operation("GET", _ALL)
    def list_all(self, call: Call) -> Answer:
        scope = self._scope(call)
        found = self.arm.store.of_type(DEPLOYMENT_TYPE, under=f"{scope}/providers")
        state = call.query.get("$filter", "")
        if state:
            name, _, wanted = state.partition(" eq ")
            if name.strip().lower() != "provisioningstate":
                raise Refusal(400, "InvalidFilterInQueryString", f"Invalid $filter '{state}' specified in the query string.")
            wanted = wanted.strip().strip("'").lower()
            found = [one for one in found if one.properties["provisioningState"].lower() == wanted]
        return listing(found)

    @operation("GET", _ONE)
    def get(self, call: Call) -> Answer:
        return Answer(200, self._need(call.path).json())

    @operation("DELETE", _ONE)
    def delete(self, call: Call) -> Answer:
        deployment = self.arm.store.get(call.path)
        if deployment is None:
            return Answer(204)
        if deployment.properties["provisioningState"] in _ACTIVE:
            raise Refusal(409, "DeploymentActive", f"The deployment '{deployment.name}' is still active: cancel it first.")
        running = self.arm.operations.begin(call, self._forget(deployment))
        return self.arm.operations.answer(call, running, async_url=False)

    @operation("POST", _ONE + "/cancel")
    def cancel(self, call: Call) -> Answer:
        deployment = self._need(call.path.rsplit("/", 1)[0])
        if deployment.properties["provisioningState"] not in _ACTIVE:
            raise Refusal(
                409,
                "DeploymentCannotBeCancelled",
                f"The deployment '{deployment.name}' cannot be cancelled: it is {deployment.properties['provisioningState']}.",
            )
        self.arm.operations.cancel(deployment.hidden["operation"])
        deployment.properties["provisioningState"] = "Canceled"
        return Answer(204)

    @operation("POST", _ONE + "/exportTemplate")
    def export(self, call: Call) -> Answer:
        return Answer(200, {"template": self._need(call.path.rsplit("/", 1)[0]).hidden["template"]})

    @operation("GET", _ONE + "/operations")
    @operation("GET", _OPERATIONS[0])
    @operation("GET", _OPERATIONS[1])
    def operations(self, call: Call) -> Answer:
        deployment = self._need(_with_provider(call.path.rsplit("/", 1)[0]))
        return Answer(200, {"value": [step.json() for step in deployment.hidden["run"].steps], "nextLink": None})

    @operation("GET", _ONE + "/operations/{operationId}")
    @operation("GET", _OPERATIONS[0] + "/{operationId}")
    @operation("GET", _OPERATIONS[1] + "/{operationId}")
    def one_operation(self, call: Call) -> Answer:
        deployment = self._need(_with_provider(call.path.rsplit("/", 2)[0]))
        steps: list[Step] = deployment.hidden["run"].steps
        found = next((step for step in steps if step.id.lower() == call["operationId"].lower()), None)
        if found is None:
            raise Refusal(404, "DeploymentOperationNotFound", f"The operation '{call['operationId']}' could not be found.")
        return Answer(200, found.json())

    # reading what is asked -----------------------------------------------------------------------------------------------

    def _scope(self, call: Call) -> str:
        scope = call["scope"]
        if "/providers/" in scope:
            raise not_found(call.path)
        return scope

    def _asked(self, call: Call) -> tuple[str, Json, Json]:
        """Scope, body and properties of a request, mode filled in."""
        scope, body = self._scope(call), call.content()
        properties = dict(read(body, "properties", dict, required=True))
        mode = read(properties, "mode", str, "Incremental")
        if mode.lower() not in ("incremental", "complete"):
            raise Refusal(400, "InvalidDeploymentMode", f"'{mode}' is not a deployment mode; use Incremental or Complete.")
        if mode.lower() == "complete" and not call.group:
            raise Refusal(400, "InvalidDeploymentMode", "Complete mode is for deployments of resource groups.")
        if len(call["deploymentName"]) > 64:
            raise Refusal(400, "InvalidDeploymentName", f"The deployment name '{call['deploymentName']}' is longer than 64.")
        properties["mode"] = mode.capitalize()
        return scope, body, properties

    def _read(self, call: Call, scope: str, properties: Json) -> tuple[World, Template]:
        about = {"name": call["deploymentName"], "properties": {"mode": properties["mode"]}}
        world = World(self.arm, call, scope, about)
        template = read_template(properties, scope, world.functions())
        world.resources = template.resources
        for one in template.resources:
            self._check_known(one)
        return world, template

    def _check_known(self, wanted: Wanted) -> None:
        try:
            self.arm.router.match("PUT", wanted.id)
        except Refusal:
            raise Refusal(
                400,
                "NoRegisteredProviderFound",
                f"No registered resource provider found for type '{wanted.given['type']}' and API version "
                f"'{wanted.given['apiVersion']}'.",
            ) from None

    def _properties(self, call: Call, properties: Json, template: Template) -> Json:
        digest = hashlib.sha256(orjson.dumps(properties["template"], option=orjson.OPT_SORT_KEYS)).digest()
        providers: dict[str, dict[str, None]] = {}
        for one in template.resources:
            namespace, _, kind = str(one.given["type"]).partition("/")
            providers.setdefault(namespace, {})[kind] = None
        return {
            "templateHash": str(int.from_bytes(digest[:8], "big")),
            "parameters": template.parameters,
            "mode": properties["mode"],
            "provisioningState": "Accepted",
            "timestamp": iso(self.arm.clock.now()),
            "duration": "PT0S",
            "correlationId": call.correlation_id,
            "providers": [
                {
                    "namespace": namespace,
                    "resourceTypes": [{"resourceType": kind, "locations": list(self.arm.locations)} for kind in kinds],
                }
                for namespace, kinds in providers.items()
            ],
            "dependencies": [
                {"dependsOn": [_reference(other) for other in sorted(one.depends)], **_reference(one.id)}
                for one in template.resources
                if one.depends
            ],
        }

    def _change(self, wanted: Wanted) -> Json:
        """What a deployment would change of one resource."""
        existing = self.arm.store.get(wanted.id)
        try:
            after = wanted.body()
        except ExpressionError as error:
            if existing is not None:
                return {"resourceId": wanted.id, "changeType": "Unsupported", "unsupportedReason": str(error)}
            after = {}
        after = {"id": wanted.id, "type": wanted.given["type"], **after}
        if existing is None:
            return {"resourceId": wanted.id, "changeType": "Create", "after": after}
        before = existing.json()
        delta = list(_differences(before, {name: value for name, value in after.items() if name not in ("id", "type")}, ""))
        kind = "Modify" if delta else "NoChange"
        return {"resourceId": existing.id, "changeType": kind, "before": before, "after": after, "delta": delta}

    def _need(self, path: str) -> Resource:
        deployment = self.arm.store.get(path)
        if deployment is None:
            raise Refusal(404, "DeploymentNotFound", f"Deployment '{path.rsplit('/', 1)[1]}' could not be found.")
        return deployment

    # work ----------------------------------------------------------------------------------------------------------------

    def _carry_out(self, run: Run, scope: str, *, complete: bool) -> Process:
        yield from run.resources()
        if complete:
            yield from self._remove_others(run, scope)
        run.finish()

    def _remove_others(self, run: Run, scope: str) -> Process:
        """Complete mode: what the group has besides the template goes, users of a thing before the thing."""
        kept = {one.id.lower() for one in run.template.resources}
        for resource_type in self.resources.deleters:
            with self.arm.lock:
                doomed = [one for one in self.arm.store.of_type(resource_type, under=scope) if one.id.lower() not in kept]
            for resource in doomed:
                yield from run.remove(resource)

    def _rest(self, seconds: float) -> Process:
        yield self.arm.operations.rest(seconds)

    def _forget(self, deployment: Resource) -> Process:
        yield self.arm.operations.rest(2)
        with self.arm.lock:
            self.arm.store.remove(deployment.id)


def _place(arm: Arm, call: Call, body: Json) -> Json:
    """The location of a subscription's deployment, which must have one; a group's has none."""
    if call.group:
        return {}
    location = canonical_location(read(body, "location", str, ""))
    if not location:
        raise Refusal(400, "LocationRequired", "The location property is required for this definition.")
    check_location(arm, location, DEPLOYMENT_TYPE)
    return {"location": location}


def _with_provider(path: str) -> str:
    owner, _, name = path.rpartition("/deployments/")
    if owner.lower().endswith("/providers/microsoft.resources"):
        return path
    return f"{owner}/providers/Microsoft.Resources/deployments/{name}"


def _reference(resource_id: str) -> Json:
    """A resource as the list of dependencies names it."""
    _, _, rest = resource_id.rpartition("/providers/")
    parts = rest.split("/")
    return {"id": resource_id, "resourceType": "/".join([parts[0], *parts[1::2]]), "resourceName": "/".join(parts[2::2])}


def _differences(before: Any, after: Any, path: str) -> list[Json]:
    """What is asked for and not so already; what is not asked for does not count."""
    if isinstance(before, dict) and isinstance(after, dict):
        known = {name.lower(): value for name, value in before.items()}
        found: list[Json] = []
        for name, value in after.items():
            found += _differences(known.get(name.lower()), value, f"{path}.{name}".lstrip("."))
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            one
            for at, (old, new) in enumerate(zip(before, after, strict=True))
            for one in _differences(old, new, f"{path}[{at}]")
        ]
    if before == after or (isinstance(before, str) and isinstance(after, str) and before.lower() == after.lower()):
        return []
    return [{"path": path, "propertyChangeType": "Create" if before is None else "Modify", "before": before, "after": after}]
