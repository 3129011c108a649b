"""Azure Resource Manager: router, resource store, long-running operations, errors and access.

A resource provider is a class with a `namespace` and a method per operation. The method gets a `Call` and returns an `Answer`,
or raises a `Refusal` (status, code, message), which becomes the error envelope. Register an instance with
`arm.register(provider)`::

    from emulators.azure.arm import Answer, Arm, Call, Refusal, Resource, operation, read

    DISK = "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Compute/disks/{diskName}"

    class Disks:
        namespace = "Microsoft.Compute"

        def __init__(self, arm: Arm):
            self.arm = arm

        @operation("GET", DISK)
        def get(self, call: Call) -> Answer:
            return Answer(200, self.arm.store.need(call.path).json())      # 404 ResourceNotFound by itself

        @operation("PUT", DISK)
        def create(self, call: Call) -> Answer:
            size = read(call.content(), "properties.diskSizeGB", int, required=True)      # 400 InvalidRequestContent by itself
            disk = self.arm.store.put(Resource(call.path, "Microsoft.Compute/disks", {"location": ..., "properties": {...}}))
            operation = self.arm.operations.begin(call, self._make(disk), result=lambda: Answer(200, disk.json()))
            return self.arm.operations.answer(call, operation, 202, disk.json())

        def _make(self, disk: Resource) -> Process:
            yield self.arm.operations.rest(5)              # emulated seconds; next to nothing in fast mode
            with self.arm.lock:                            # never held over a yield or an outbound call
                disk.properties["provisioningState"] = "Succeeded"

Rules of the engine:

* Handlers run under `arm.lock`, change state and return; they never call out and never wait. The work of an operation is a
  process on the clock: it is not under the lock, takes it for each change, and may call out between. When it returns, the
  operation has Succeeded; `raise Refusal(...)` makes it Failed with that error; any other exception is a bug: recorded in
  `arm.faults`, Failed with `InternalServerError`.
* Before a handler runs, the token, `api-version`, subscription, role and resource group have been checked. Templates match
  without case, and `call["diskName"]` and `call.path` keep the caller's spelling; a stored resource keeps the spelling of its
  first PUT.
* A provider with its own operation ids and URLs passes them. Site Recovery, whose operation id is the job's name::

    operation = arm.operations.begin(call, work, operation_id=job, retry_after=30, document=own_status_document,
        status_path=f"{vault}/replicationOperationStatus/{job}", result_path=f"{item}/operationresults/{job}",
        result=lambda: Answer(200, item_json()))
    return arm.operations.answer(call, operation)      # 202, no body, Azure-AsyncOperation and Location under call.base_url

  Without `work` the provider drives it: `arm.operations.finish(operation)`, `finish(operation, "Failed", refusal=...)`,
  `cancel(operation)`. The engine answers GETs of both URLs; no templates are needed for them. `operation.extra` and `.percent`
  go into the status document.
* A template that begins with `SCOPE` is an extension: it is there below every subscription, group and resource, and
  `call["scope"]` says where.
* `action` of the role check comes from method and template (`Microsoft.Compute/disks/write`, `.../start/action`).
* Stored `body` dictionaries are written to the wire under the lock; outside it copy what you keep. `Resource.hidden` never
  reaches the wire.
"""

from emulators.azure.arm.access import ROLES, Access, bearer
from emulators.azure.arm.faces import Face, Faces
from emulators.azure.arm.locks import Lock, Locks
from emulators.azure.arm.messages import Answer, Call, Json, Refusal, read, read_choice, read_texts
from emulators.azure.arm.operations import Operation, Operations, status_document
from emulators.azure.arm.routing import SCOPE, Router, clean_path, operation
from emulators.azure.arm.service import BODY_LIMIT, GROUP_TYPE, Arm
from emulators.azure.arm.store import Resource, ResourceId, ResourceStore, not_found, parse_id

__all__ = [
    "BODY_LIMIT", "GROUP_TYPE", "ROLES", "SCOPE", "Access", "Answer", "Arm", "Call", "Face", "Faces", "Json", "Lock", "Locks",
    "Operation", "Operations", "Refusal", "Resource", "ResourceId", "ResourceStore", "Router", "bearer", "clean_path",
    "not_found", "operation", "parse_id", "read", "read_choice", "read_texts", "status_document",
]  # fmt: skip
