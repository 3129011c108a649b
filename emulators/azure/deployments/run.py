"""The run of a deployment: each resource is PUT when what it depends on is there; a failure stops only what depends on it."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from emulators.azure.arm import Arm, Json, Operation, Refusal, Resource
from emulators.azure.deployments.expressions import ExpressionError, measured, resolve
from emulators.azure.deployments.template import Template, Wanted
from emulators.azure.deployments.world import World
from emulators.clock import Process, iso


@dataclass(slots=True)
class Step:
    """One operation of a run. Times are epoch seconds; `operation` while the provider works on it."""

    path: str  #: of the deployment
    id: str
    verb: str
    target: str
    start: float
    end: float | None = None
    status: str = "OK"
    error: Json | None = None
    operation: Operation | None = None

    def json(self) -> Json:
        state = "Running" if self.end is None else "Failed" if self.error is not None else "Succeeded"
        _, _, rest = self.target.rpartition("/providers/")
        parts = rest.split("/")
        properties: Json = {
            "provisioningOperation": self.verb,
            "provisioningState": state,
            "timestamp": iso(self.end if self.end is not None else self.start),
            "duration": _duration((self.end if self.end is not None else self.start) - self.start),
            "statusCode": self.status,
            "targetResource": {
                "id": self.target,
                "resourceType": "/".join([parts[0], *parts[1::2]]),
                "resourceName": "/".join(parts[2::2]),
            },
        }
        if self.error is not None:
            properties["statusMessage"] = {"status": "Failed", "error": self.error}
        return {"id": f"{self.path}/operations/{self.id}", "operationId": self.id, "properties": properties}


@dataclass(slots=True)
class Run:
    """A deployment under way. The lock is taken for each change, never over a rest."""

    arm: Arm
    world: World
    deployment: Resource
    template: Template
    steps: list[Step] = field(default_factory=list)
    started: float = 0.0

    def resources(self) -> Process:
        """Make everything that the template wants."""
        self.started = self.arm.clock.now()
        yield self.arm.operations.rest(1)
        self.deployment.properties["provisioningState"] = "Running"
        waiting = list(self.template.resources)
        running: dict[str, Step] = {}
        missing: set[str] = set()  # ids that are not there, or not any more going to be
        while waiting or running:
            with self.arm.lock:
                self._settle(running, missing)
                pending = {one.id.lower() for one in waiting} | set(running)
                for one in list(waiting):
                    if one.depends & missing:
                        waiting.remove(one)
                        missing.add(one.id.lower())
                    elif not one.depends & (pending - {one.id.lower()}):
                        waiting.remove(one)
                        running[one.id.lower()] = self._begin(one)
                self._settle(running, missing)
            if waiting or running:
                yield self.arm.operations.rest(1)

    def remove(self, resource: Resource) -> Process:
        """Delete one resource and wait until it has gone."""
        with self.arm.lock:
            step = self._step("Delete", resource.id)
            self._send(step, "DELETE", None, "2024-01-01")
        while step.end is None:
            with self.arm.lock:
                self._look(step)
            if step.end is None:
                yield self.arm.operations.rest(1)

    def finish(self) -> None:
        """Outputs, or the error of the whole. Raises `Refusal` `DeploymentFailed`."""
        with self.arm.lock:
            properties = self.deployment.properties
            failed = [step.error for step in self.steps if step.error is not None]
            if not failed:
                try:
                    properties["outputs"] = self._outputs()
                except ExpressionError as error:
                    failed = [{"code": "DeploymentOutputEvaluationFailed", "message": str(error)}]
            properties["timestamp"] = iso(self.arm.clock.now())
            properties["duration"] = _duration(self.arm.clock.now() - self.started)
            if not failed:
                properties["provisioningState"] = "Succeeded"
                properties["outputResources"] = [{"id": one.id} for one in self.template.resources]
                return
            refusal = Refusal(
                409,
                "DeploymentFailed",
                "At least one resource deployment operation failed. Please list deployment operations for details. Please see "
                "https://aka.ms/arm-deployment-operations for usage details.",
                target=self.deployment.id,
                details=failed,
            )
            properties.update(provisioningState="Failed", error=refusal.error())
        raise refusal

    def _outputs(self) -> Json:
        outputs = {}
        for name, about in self.template.outputs.items():
            if not isinstance(about, dict) or not resolve(about.get("condition", True), self.template.functions):
                continue
            kind = str(about.get("type", "String"))
            if not kind.lower().startswith("secure"):
                outputs[name] = {"type": kind, "value": measured(resolve(about.get("value"), self.template.functions))}
        return outputs

    def _begin(self, wanted: Wanted) -> Step:
        step = self._step("Create", wanted.id)
        try:
            body = wanted.body()
        except ExpressionError as error:
            self._end(step, "BadRequest", {"code": "InvalidTemplate", "message": f"Unable to process template: '{error}'."})
            return step
        self._send(step, "PUT", body, str(wanted.given["apiVersion"]))
        return step

    def _step(self, verb: str, target: str) -> Step:
        clock = self.arm.clock
        step = Step(self.deployment.id, clock.uuid().replace("-", "")[:16].upper(), verb, target, clock.now())
        self.steps.append(step)
        return step

    def _send(self, step: Step, method: str, body: Any, version: str) -> None:
        try:
            answer = self.world.send(method, step.target, body, version)
        except Refusal as refusal:
            self._end(step, _word(refusal.status), refusal.error())
            return
        step.status = {201: "Created", 202: "Accepted"}.get(answer.status, "OK")
        for header in ("Azure-AsyncOperation", "Location"):
            found = self.arm.operations.find(urlsplit(answer.headers.get(header, "")).path)
            if found is not None:
                step.operation = found[0]
        self._look(step)

    def _settle(self, running: dict[str, Step], missing: set[str]) -> None:
        """Take out what has ended."""
        for key, step in list(running.items()):
            self._look(step)
            if step.end is not None:
                del running[key]
                if step.error is not None:
                    missing.add(key)

    def _look(self, step: Step) -> None:
        if step.end is not None:
            return
        if step.operation is None:
            self._end(step, step.status, None)
        elif step.operation.done:
            error = step.operation.error
            self._end(step, _word(step.operation.error_status) if error else step.status, error)

    def _end(self, step: Step, status: str, error: Json | None) -> None:
        step.status, step.error, step.end = status, error, self.arm.clock.now()


def _word(status: int) -> str:
    words = {
        400: "BadRequest",
        401: "Unauthorized",
        403: "Forbidden",
        404: "NotFound",
        409: "Conflict",
        412: "PreconditionFailed",
    }
    return words.get(status, "InternalServerError")


def _duration(seconds: float) -> str:
    return f"PT{seconds:g}S"
