"""Functions of template expressions that look at the cloud: ids, groups, and what resources are like."""

from collections.abc import Callable
from typing import Any

from emulators.azure.arm import Answer, Arm, Call, Refusal, parse_id
from emulators.azure.deployments.expressions import ExpressionError
from emulators.azure.deployments.template import Wanted, provider_path

#: Functions that are an action of a resource.
_LISTS = ("listKeys", "listAccountSas", "listServiceSas")


class World:
    """What one deployment can ask. `resources` are those of its template, for `reference` by a mere name."""

    def __init__(self, arm: Arm, call: Call, scope: str, deployment: dict[str, Any]):
        self.arm, self.call, self.scope, self.deployment = arm, call, scope, deployment
        self.resources: list[Wanted] = []

    def functions(self) -> dict[str, Callable[..., Any]]:
        """By lower-cased name."""
        subscription = "/".join(self.scope.split("/")[:3])
        return {
            "resourceid": self._resource_id,
            "subscriptionresourceid": lambda *parts: subscription + _typed(_without_ids(parts)),
            "tenantresourceid": lambda *parts: _typed(parts),
            "extensionresourceid": lambda owner, *parts: owner + _typed(parts),
            "resourcegroup": self._group,
            "subscription": lambda: self.ask("GET", subscription),
            "tenant": lambda: {"tenantId": self.arm.tenant},
            "deployment": lambda: self.deployment,
            "environment": lambda: {
                "name": self.arm.faces.of(self.call.base_url).name,
                "resourceManager": self.call.base_url,
                "suffixes": {"storage": self.arm.faces.of(self.call.base_url).suffix},
            },
            "utcnow": lambda: f"{self.arm.clock.utc():%Y%m%dT%H%M%SZ}",
            "reference": self._reference,
            **{name.lower(): self._lister(name) for name in _LISTS},
        }

    def ask(self, method: str, path: str, body: Any = None, version: str = "2024-01-01") -> Any:
        """One request in the name of who deploys. Raises `Refusal`. The lock is held."""
        return self.send(method, path, body, version).body

    def send(self, method: str, path: str, body: Any, version: str) -> Answer:
        call = self.call
        inner = Call(
            method=method,
            path=path,
            parameters={},
            query={"api-version": version},
            body=body,
            principal=call.principal,
            api_version=version,
            headers={},
            base_url=call.base_url,
            correlation_id=call.correlation_id,
        )
        return self.arm.dispatch(inner)

    def _resource_id(self, *parts: Any) -> str:
        """`resourceId([subscription], [group], type, names...)`."""
        kind_at = next((at for at, part in enumerate(parts) if "/" in str(part)), None)
        if kind_at is None or kind_at > 2:
            raise ExpressionError("The template function 'resourceId' needs a resource type")
        before, rest = parts[:kind_at], parts[kind_at:]
        words = self.scope.split("/")
        subscription = before[0] if len(before) == 2 else words[2]
        group = before[-1] if before else words[4] if len(words) > 4 else ""
        owner = f"/subscriptions/{subscription}" + (f"/resourceGroups/{group}" if group else "")
        return owner + _typed(rest)

    def _group(self) -> Any:
        if len(self.scope.split("/")) < 5:
            raise ExpressionError("The template function 'resourceGroup' is not expected at this location")
        return self.ask("GET", self.scope)

    def _reference(self, name: str, version: str = "2024-01-01", full: str = "") -> Any:
        path = name if name.startswith("/") else self._named(name)
        try:
            found = self.ask("GET", path, version=version)
        except Refusal as refusal:
            raise ExpressionError(f"{refusal.code}: {refusal.message}") from None
        return found if full.lower() == "full" else found.get("properties", {})

    def _named(self, name: str) -> str:
        for one in self.resources:
            parsed = parse_id(one.id)
            if one.id.lower().endswith(f"/{name.lower()}") or (parsed and "/".join(parsed.names).lower() == name.lower()):
                return one.id
        raise ExpressionError(f"The template reference '{name}' is not valid: no resource of the template has this name")

    def _lister(self, name: str) -> Callable[..., Any]:
        def act(resource: str, version: str = "2024-01-01", body: Any = None) -> Any:
            path = resource if resource.startswith("/") else self._named(resource)
            try:
                return self.ask("POST", f"{path}/{name}", body, version)
            except Refusal as refusal:
                raise ExpressionError(f"{refusal.code}: {refusal.message}") from None

        return act


def _typed(parts: Any) -> str:
    kind, *names = (str(part) for part in parts)
    return provider_path(kind, "/".join(names))


def _without_ids(parts: Any) -> Any:
    return parts if "/" in str(parts[0]) else parts[1:]
