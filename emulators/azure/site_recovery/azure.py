"""The rest of Azure as Site Recovery uses it: through Resource Manager's own operations, in the service's own name.

Used with the lock of Resource Manager held; nothing here waits but the generators, which rest on the clock.
"""

from typing import Any
from urllib.parse import urlsplit

from emulators.azure.arm import Answer, Arm, Call, Refusal, Resource
from emulators.azure.site_recovery.jobs import Work
from emulators.azure.site_recovery.refusals import Failure
from emulators.azure.site_recovery.wire import Json

#: Versions of the other providers this service speaks.
_VERSIONS = {"microsoft.compute": "2024-07-01", "microsoft.network": "2024-05-01", "microsoft.storage": "2023-05-01"}


class Azure:
    """Calls to other resource providers of the same estate."""

    def __init__(self, arm: Arm):
        self._arm = arm

    def find(self, resource_id: str | None) -> Resource | None:
        return self._arm.store.get(resource_id) if resource_id else None

    def call(self, method: str, path: str, body: Json | None = None) -> Answer:
        """Carry out one operation. Raises `Refusal`."""
        namespace = path.lower().partition("/providers/")[2].split("/", 1)[0]
        endpoint, parameters = self._arm.router.match(method, path)
        call = Call(
            method=method,
            path=path,
            parameters=parameters,
            query={},
            body=body,
            principal={"appid": "site-recovery", "oid": "site-recovery"},
            api_version=_VERSIONS.get(namespace, "2024-04-01"),
            headers={},
            base_url="https://management",
            correlation_id=self._arm.clock.uuid(),
            template=endpoint.template,
        )
        return endpoint.handler(call)

    def run(self, method: str, path: str, body: Json | None, reason: str) -> Work:
        """Carry out one operation to its end; locks hold for the service too.

        Raises `Failure` with `reason` when Azure refuses it.
        """
        try:
            self._arm.locks.check(method, path)
            answer = self.call(method, path, body)
        except Refusal as refusal:
            raise Failure(reason, f"{refusal.code}: {refusal.message}") from None
        operation = self._operation(answer)
        while operation is not None and not operation.done:
            yield 1.0
        if operation is not None and operation.error is not None:
            raise Failure(reason, f"{operation.error.get('code')}: {operation.error.get('message')}")
        return answer.body

    def delete(self, resource_id: str, reason: str) -> Work:
        """Delete a resource if it is there."""
        if self.find(resource_id) is not None:
            yield from self.run("DELETE", resource_id, None, reason)

    def power_state(self, vm_id: str) -> str | None:
        """`running`, `stopped`, `deallocated`, ...; None when there is no such machine."""
        if self.find(vm_id) is None:
            return None
        view = self.call("GET", f"{vm_id}/instanceView").body or {}
        states = [
            status["code"].partition("/")[2] for status in view.get("statuses", ()) if status["code"].startswith("PowerState/")
        ]
        return states[0] if states else "unknown"

    def store(self, account_id: str) -> Json:
        """`{store}` of the component protocol for an account: where it is and its key."""
        account = self.find(account_id)
        if account is None:
            raise Failure("storage-account-missing", f"The storage account '{account_id}' does not exist.")
        endpoints: Json = account.properties.get("primaryEndpoints") or {}
        keys: Any = self.call("POST", f"{account_id}/listKeys").body
        return {
            "account": account.name,
            "blobEndpoint": str(endpoints.get("blob", "")).rstrip("/"),
            "queueEndpoint": str(endpoints.get("queue", "")).rstrip("/"),
            "key": keys["keys"][0]["value"],
            "container": "asr-logs",
            "queue": "asr-work",
        }

    def _operation(self, answer: Answer) -> Any:
        for header in ("Azure-AsyncOperation", "Location"):
            if header in answer.headers:
                found = self._arm.operations.find(urlsplit(answer.headers[header]).path)
                if found is not None:
                    return found[0]
        return None
