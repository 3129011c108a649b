"""Long-running operations: an answer of 201 or 202, URLs to ask for progress, and the final result.

The work is a process on the estate's clock. Nothing waits for it: a client polls, and where time flows the operation ends
because time passes. Timing headers follow what real clients do with them (arm-clients section 5): never `Retry-After: 0`, which
Python reads as 30 seconds.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emulators.azure.arm.messages import Answer, Call, Json, Refusal
from emulators.clock import Process, Scope, Task, iso

RUNNING, SUCCEEDED, FAILED, CANCELED = "InProgress", "Succeeded", "Failed", "Canceled"

#: Finished operations beyond this number are forgotten, oldest first.
KEPT = 20_000


@dataclass(slots=True)
class Operation:
    """One long-running operation. Times are epoch seconds; `end` None while it runs."""

    id: str
    status_path: str
    result_path: str
    result: Callable[[], Answer]
    document: Callable[["Operation"], Json]
    retry_after: int
    start: float
    api_version: str
    status: str = RUNNING
    end: float | None = None
    error: Json | None = None
    error_status: int = 409
    percent: float | None = None
    extra: Json = field(default_factory=dict)
    task: Task | None = None

    @property
    def done(self) -> bool:
        return self.end is not None


class Operations:
    """All long-running operations of one Resource Manager.

    `fast` shortens the emulated time of the work (`rest`) and tells clients to poll at once; otherwise both are as the real
    service's.
    """

    def __init__(self, scope: Scope, lock: Any, faults: list[BaseException], *, fast: bool):
        self.fast = fast
        self._scope, self._lock, self._faults = scope, lock, faults
        self._by_path: dict[str, tuple[Operation, str]] = {}
        self._kept: OrderedDict[str, Operation] = OrderedDict()

    def rest(self, seconds: float) -> float:
        """How long work rests that takes `seconds` in the real service: `yield operations.rest(40)`."""
        return min(seconds, 0.05) if self.fast else seconds

    def begin(
        self,
        call: Call,
        work: Process | None = None,
        *,
        result: Callable[[], Answer] | None = None,
        operation_id: str = "",
        status_path: str = "",
        result_path: str = "",
        document: Callable[[Operation], Json] | None = None,
        retry_after: int = 10,
        location: str = "",
    ) -> Operation:
        """Start an operation; call it inside the handler, then return `answer(call, operation, ...)`.

        `work` runs on the clock (not under the lock): it takes the lock for each change of state, never while it yields or
        calls out. When it returns the operation has Succeeded; a `Refusal` makes it Failed with that error. Without `work` the
        provider ends it with `finish`. `result` gives the answer of the `Location` URL once it has succeeded (default: 204).
        `operation_id`, `status_path` and `result_path` replace the default names and URLs; `document` the default status
        document.
        """
        operation_id = operation_id or self._scope.uuid()
        place = _place(call, location)
        operation = Operation(
            id=operation_id,
            status_path=status_path or f"{place}/operations/{operation_id}",
            result_path=result_path or f"{place}/operationResults/{operation_id}",
            result=result or (lambda: Answer(204)),
            document=document or status_document,
            retry_after=retry_after,
            start=self._scope.now(),
            api_version=call.api_version,
        )
        self._remember(operation)
        if work is not None:
            operation.task = self._scope.spawn(self._drive(operation, work), name=f"operation {call.method} {call.path}")
        return operation

    def answer(
        self,
        call: Call,
        operation: Operation,
        status: int = 202,
        body: Any = None,
        *,
        async_url: bool = True,
        location: bool = True,
    ) -> Answer:
        """The first answer of a long-running operation, with the URLs to follow."""
        headers = self._pace(operation)
        query = f"?api-version={call.api_version}"
        if async_url:
            headers["Azure-AsyncOperation"] = call.base_url + operation.status_path + query
        if location:
            headers["Location"] = call.base_url + operation.result_path + query
        return Answer(status, body, headers)

    def finish(self, operation: Operation, status: str = SUCCEEDED, *, refusal: Refusal | None = None) -> None:
        """End an operation (again has no effect). Call with the lock held or from the operation's own work."""
        with self._lock:
            if operation.done:
                return
            operation.status, operation.end = status, self._scope.now()
            if refusal is not None:
                operation.error, operation.error_status = refusal.error(), refusal.status

    def cancel(self, operation: Operation, refusal: Refusal | None = None) -> None:
        """Stop the work at its next rest; the operation is Canceled."""
        self.finish(operation, CANCELED, refusal=refusal)
        if operation.task is not None:
            operation.task.cancel()

    def find(self, path: str) -> tuple[Operation, str] | None:
        """The operation polled at `path`, and whether that is its `status` or its `result` URL."""
        return self._by_path.get(path.lower())

    def poll(self, call: Call, operation: Operation, kind: str) -> Answer:
        """Answer a GET of one of the operation's URLs."""
        if kind == "status":
            return Answer(200, operation.document(operation), {} if operation.done else self._pace(operation))
        if not operation.done:
            return self.answer(call, operation)
        if operation.status != SUCCEEDED:
            error = operation.error or {"code": "OperationCanceled", "message": "The operation was canceled."}
            return Answer(operation.error_status, {"error": error})
        answer = operation.result()
        if answer.status == 204:  # Go's SDK follows an operation by JSON alone, and looks at this before it looks at the body
            answer.headers.setdefault("Content-Type", "application/json; charset=utf-8")
        return answer

    def running(self) -> list[Operation]:
        return [operation for operation in self._kept.values() if not operation.done]

    def _pace(self, operation: Operation) -> dict[str, str]:
        if self.fast:
            return {"x-ms-retry-after-ms": "20", "X-Go-Azure-Sdk-Skip-Polling-Delay": "true"}
        return {"Retry-After": str(operation.retry_after)}

    def _drive(self, operation: Operation, work: Process) -> Process:
        try:
            yield from work
        except Refusal as refusal:
            self.finish(operation, FAILED, refusal=refusal)
        except Exception as bug:
            self._faults.append(bug)
            self.finish(operation, FAILED, refusal=Refusal(500, "InternalServerError", "An internal error has occurred."))
        else:
            self.finish(operation)

    def _remember(self, operation: Operation) -> None:
        self._kept[operation.id] = operation
        self._by_path[operation.status_path.lower()] = (operation, "status")
        self._by_path[operation.result_path.lower()] = (operation, "result")
        while len(self._kept) > KEPT and next(iter(self._kept.values())).done:
            _, old = self._kept.popitem(last=False)
            for path in (old.status_path.lower(), old.result_path.lower()):
                if self._by_path.get(path, (None, ""))[0] is old:
                    del self._by_path[path]


def status_document(operation: Operation) -> Json:
    """The status document of most providers."""
    document: Json = {
        "id": operation.status_path,
        "name": operation.id,
        "status": operation.status,
        "startTime": iso(operation.start),
    }
    if operation.end is not None:
        document["endTime"] = iso(operation.end)
    if operation.percent is not None:
        document["percentComplete"] = operation.percent
    if operation.error is not None:
        document["error"] = operation.error
    return {**document, **operation.extra}


def _place(call: Call, location: str) -> str:
    """Where the operations of a call's provider are asked for."""
    _, found, after = call.path.partition("/providers/")
    if not found:
        return f"/subscriptions/{call.subscription}"
    namespace = after.split("/", 1)[0]
    return f"/subscriptions/{call.subscription}/providers/{namespace}/locations/{location or 'global'}"
