"""Resource providers as Resource Manager tells of them: namespaces, their types, their operations, and registration."""

from emulators.azure.arm import Answer, Arm, Call, Json, Refusal, operation
from emulators.azure.tracked import SUBSCRIPTION

_PROVIDER = SUBSCRIPTION + "/providers/{resourceProviderNamespace}"
_OPERATIONS = "/providers/{resourceProviderNamespace}/operations"

#: Versions told for each namespace, newest first; any other one is taken as well.
_VERSIONS: dict[str, tuple[str, ...]] = {
    "microsoft.authorization": ("2022-04-01", "2020-05-01", "2018-07-01"),
    "microsoft.automation": ("2024-10-23", "2023-11-01", "2022-08-08", "2015-10-31"),
    "microsoft.compute": ("2024-11-01", "2024-07-01", "2023-09-01", "2019-12-01"),
    "microsoft.network": ("2024-10-01", "2024-05-01", "2023-09-01", "2018-11-01"),
    "microsoft.offazure": ("2020-07-07", "2020-01-01"),
    "microsoft.recoveryservices": ("2025-08-01", "2024-04-01", "2023-08-01", "2022-08-01", "2018-07-10"),
    "microsoft.resources": ("2025-04-01", "2024-11-01", "2021-04-01"),
    "microsoft.storage": ("2025-06-01", "2024-01-01", "2023-05-01", "2019-06-01"),
}


class Namespaces:
    """`providers`: what is built decides what is told."""

    namespace = "Microsoft.Resources"

    def __init__(self, arm: Arm):
        self.arm = arm

    @operation("GET", "/providers")
    @operation("GET", SUBSCRIPTION + "/providers")
    def list_all(self, call: Call) -> Answer:
        return Answer(200, {"value": [self._outline(call, name) for name in self._names()], "nextLink": None})

    @operation("GET", "/providers/{resourceProviderNamespace}")
    @operation("GET", _PROVIDER)
    def get(self, call: Call) -> Answer:
        return Answer(200, self._outline(call, call["resourceProviderNamespace"]))

    @operation("GET", _PROVIDER + "/resourceTypes")
    def types(self, call: Call) -> Answer:
        return Answer(200, {"value": self._outline(call, call["resourceProviderNamespace"])["resourceTypes"], "nextLink": None})

    @operation("POST", _PROVIDER + "/register")
    def register(self, call: Call) -> Answer:
        outline = self._outline(call, call["resourceProviderNamespace"])
        self.arm.unregistered.discard(call["resourceProviderNamespace"].lower())
        return Answer(200, {**outline, "registrationState": "Registered"})

    @operation("POST", _PROVIDER + "/unregister")
    def unregister(self, call: Call) -> Answer:
        outline = self._outline(call, call["resourceProviderNamespace"])
        self.arm.unregistered.add(call["resourceProviderNamespace"].lower())
        return Answer(200, {**outline, "registrationState": "Unregistering"})

    @operation("GET", _OPERATIONS)
    def operations(self, call: Call) -> Answer:
        """What roles can allow in a namespace."""
        namespace = self._known(call["resourceProviderNamespace"])
        actions = {endpoint.action: None for endpoint in self.arm.router.endpoints}
        shown = [_operation(action) for action in actions if action.lower().startswith(namespace.lower() + "/")]
        return Answer(200, {"value": shown, "nextLink": None})

    def _names(self) -> list[str]:
        return [provider.namespace for provider in self.arm.providers.values()]

    def _known(self, name: str) -> str:
        namespace = next((known for known in self._names() if known.lower() == name.lower()), None)
        if namespace is None:
            raise Refusal(404, "InvalidResourceNamespace", f"The resource namespace '{name}' is invalid.")
        return namespace

    def _outline(self, call: Call, name: str) -> Json:
        namespace = self._known(name)
        kinds: dict[str, None] = {}
        for endpoint in self.arm.router.endpoints:
            _, _, rest = endpoint.template.rpartition("/providers/")
            parts = rest.split("/")
            if parts[0].lower() == namespace.lower() and len(parts) > 1 and parts[1] not in ("locations", "operations"):
                kinds.setdefault("/".join(part for part in parts[1::2] if not part.startswith("{")))
        versions = list(_VERSIONS.get(namespace.lower(), (call.api_version,)))
        return {
            "id": f"/subscriptions/{call.subscription}/providers/{namespace}" if call.subscription else f"/providers/{namespace}",
            "namespace": namespace,
            "registrationPolicy": "RegistrationRequired",
            "registrationState": "NotRegistered" if namespace.lower() in self.arm.unregistered else "Registered",
            "resourceTypes": [
                {"resourceType": kind, "locations": list(self.arm.locations), "apiVersions": versions, "capabilities": "None"}
                for kind in kinds
            ],
        }


def _operation(action: str) -> Json:
    namespace, *middle, verb = action.split("/")
    resource = "/".join(middle)
    return {
        "name": action,
        "isDataAction": False,
        "display": {"provider": namespace, "resource": resource, "operation": verb, "description": f"{verb} {resource}"},
    }
