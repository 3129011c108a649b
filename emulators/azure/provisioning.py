"""The two long-running changes nearly every resource has: becoming `Succeeded` after a PUT, and going away."""

from collections.abc import Callable

from emulators.azure.arm import Answer, Arm, Call, Refusal, Resource
from emulators.azure.tracked import Render
from emulators.clock import Process

Step = Callable[[], None]


def provision(
    arm: Arm,
    call: Call,
    resource: Resource,
    *,
    status: int,
    seconds: float,
    render: Render = Resource.json,
    state: str = "Updating",
    then: Step | None = None,
    settled: Step | None = None,
    with_body: bool = True,
    async_url: bool = True,
    location_url: bool = False,
) -> Answer:
    """Store a resource and answer its PUT; it has `state` for `seconds` of real service's time and is `Succeeded` after that.

    `then` runs on the clock outside the lock before that; its `Refusal` makes operation and resource `Failed`; `settled` right
    after.
    """
    resource.properties["provisioningState"] = state
    resource.hidden.setdefault("created", arm.clock.now())
    touch(arm, resource)
    arm.store.put(resource)

    def work() -> Process:
        yield arm.operations.rest(seconds)
        try:
            if then is not None:
                then()
        except Refusal:
            with arm.lock:
                resource.properties["provisioningState"] = "Failed"
            raise
        with arm.lock:
            resource.properties["provisioningState"] = "Succeeded"
            touch(arm, resource)
        if settled is not None:
            settled()

    running = arm.operations.begin(call, work(), result=lambda: Answer(200, render(resource)), location=resource.location)
    body = render(resource) if with_body else None
    return arm.operations.answer(call, running, status, body, async_url=async_url, location=location_url)


def withdraw(arm: Arm, call: Call, resource: Resource, *, seconds: float, remove: Callable[[Resource], None]) -> Answer:
    """Answer a DELETE with 202. `remove` runs on the clock outside the lock and takes the resource out of the store."""
    resource.properties["provisioningState"] = "Deleting"

    def work() -> Process:
        yield arm.operations.rest(seconds)
        try:
            remove(resource)
        except Refusal:
            with arm.lock:
                resource.properties["provisioningState"] = "Succeeded"
            raise

    running = arm.operations.begin(call, work(), location=resource.location)
    return arm.operations.answer(call, running)


def touch(arm: Arm, resource: Resource) -> None:
    """A new etag, for the kinds that have one."""
    if "etag" in resource.body:
        resource.body["etag"] = f'W/"{arm.clock.uuid()}"'
