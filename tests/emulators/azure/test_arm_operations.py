"""Long-running operations: URLs, headers, status documents, failures, and time."""

from collections.abc import Generator
from typing import Any

import orjson

from emulators.azure.arm import Answer, Call, Refusal, operation
from emulators.azure.cloud import SUBSCRIPTION
from emulators.clock import Clock

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
VNET = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/vnet"
BODY = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/drillcache"


def parsed(reply: Any) -> Any:
    return orjson.loads(reply.body)


class Jobs:
    """A provider with its own operation ids and URLs, as Site Recovery has them."""

    namespace = "Microsoft.Jobs"
    base = f"{GROUP}/providers/Microsoft.Jobs/jobs/one"

    def __init__(self, arm: Any):
        self.arm, self.running = arm, None

    @operation(
        "POST", "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers/Microsoft.Jobs/jobs/{name}/{verb}"
    )
    def act(self, call: Call) -> Answer:
        work = {"fail": self.fail, "break": self.break_down, "drive": None, "wait": self.wait}[call["verb"]]
        self.running = self.arm.operations.begin(
            call,
            None if work is None else work(),
            operation_id=call["verb"],
            status_path=f"{self.base}/operationStatus/{call['verb']}",
            result_path=f"{self.base}/operationresults/{call['verb']}",
            result=lambda: Answer(200, {"verb": call["verb"]}),
            document=lambda one: {"name": one.id, "status": one.status, "error": one.error},
            retry_after=30,
        )
        return self.arm.operations.answer(call, self.running)

    def wait(self) -> Generator[float, None, None]:
        yield self.arm.operations.rest(100)

    def fail(self) -> Generator[float, None, None]:
        yield 1.0
        raise Refusal(409, "ItDoesNotWork", "Because.")

    def break_down(self) -> Generator[float, None, None]:
        yield 1.0
        raise ZeroDivisionError


def test_a_network_is_updating_until_time_has_passed(slow_world: Any) -> None:
    world = slow_world
    reply = world.owner("PUT", VNET, BODY, version="2023-09-01")
    assert reply.status == 201
    assert parsed(reply)["properties"]["provisioningState"] == "Updating"
    url = reply.headers["azure-asyncoperation"]
    assert url.startswith(
        f"https://management.drillbed/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/locations/westeurope/"
    )
    assert url.endswith("?api-version=2023-09-01")
    assert reply.headers["retry-after"] == "10"
    running = world.owner("GET", url)
    assert (running.status, parsed(running)["status"], running.headers["retry-after"]) == (200, "InProgress", "10")
    assert "endTime" not in parsed(running)
    world.clock.wait(4.9)
    assert parsed(world.owner("GET", url))["status"] == "InProgress"
    world.clock.wait(0.2)
    ended = world.owner("GET", url)
    assert parsed(ended)["status"] == "Succeeded"
    assert parsed(ended)["endTime"] == "2018-06-04T08:00:05Z"
    assert "retry-after" not in ended.headers
    assert parsed(world.owner("GET", VNET))["properties"]["provisioningState"] == "Succeeded"


def test_fast_mode_never_says_retry_after(world: Any) -> None:
    reply = world.owner("PUT", VNET, BODY)
    for answer in (reply, world.owner("GET", reply.headers["azure-asyncoperation"])):
        assert "retry-after" not in answer.headers
        assert answer.headers["x-ms-retry-after-ms"] == "20"
        assert answer.headers["x-go-azure-sdk-skip-polling-delay"] == "true"
    world.clock.wait(0.1)
    assert parsed(world.owner("GET", reply.headers["azure-asyncoperation"]))["status"] == "Succeeded"


def test_a_result_url_is_202_until_it_gives_the_resource(slow_world: Any) -> None:
    world = slow_world
    body = {"location": "westeurope", "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
    reply = world.owner("PUT", ACCOUNT, body)
    assert (reply.status, reply.body, reply.headers["content-length"]) == (202, b"", "0")
    assert "azure-asyncoperation" not in reply.headers
    url = reply.headers["location"]
    running = world.owner("GET", url)
    assert (running.status, running.headers["location"]) == (202, url)
    world.clock.wait(20)
    ended = world.owner("GET", url)
    assert (ended.status, parsed(ended)["name"]) == (200, "drillcache")
    assert world.told.calls == [("create_account", "drillcache")]
    assert world.error(world.owner("PUT", ACCOUNT.replace("/rg/", "/rg2/"), body)) == (404, "ResourceGroupNotFound")
    world.azure.add_group("rg2")
    assert world.error(world.owner("PUT", ACCOUNT.replace("/rg/", "/rg2/"), body)) == (409, "StorageAccountAlreadyTaken")


def test_a_provider_names_its_own_urls_and_drives_its_own_operations(slow_world: Any) -> None:
    world, jobs = slow_world, Jobs(slow_world.azure.arm)
    world.azure.arm.register(jobs)
    reply = world.owner("POST", f"{jobs.base}/drive")
    assert (reply.status, reply.body, reply.headers["retry-after"]) == (202, b"", "30")
    assert reply.headers["azure-asyncoperation"].startswith(f"https://management.drillbed{jobs.base}/operationStatus/drive?")
    assert reply.headers["location"].startswith(f"https://management.drillbed{jobs.base}/operationresults/drive?")
    world.clock.wait(1000)
    loud = reply.headers["azure-asyncoperation"].replace("/subscriptions/", "/Subscriptions/")
    assert parsed(world.owner("GET", loud)) == {"name": "drive", "status": "InProgress", "error": None}
    world.azure.arm.operations.finish(jobs.running)
    assert parsed(world.owner("GET", reply.headers["location"])) == {"verb": "drive"}
    assert parsed(world.owner("GET", reply.headers["azure-asyncoperation"]))["status"] == "Succeeded"


def test_refusals_bugs_and_cancellation_end_an_operation(slow_world: Any) -> None:
    world, jobs = slow_world, Jobs(slow_world.azure.arm)
    world.azure.arm.register(jobs)
    replies = {verb: world.owner("POST", f"{jobs.base}/{verb}") for verb in ("fail", "break", "wait")}
    world.azure.arm.operations.cancel(jobs.running)
    world.clock.wait(2)
    states = {verb: parsed(world.owner("GET", reply.headers["azure-asyncoperation"])) for verb, reply in replies.items()}
    assert states["fail"] == {"name": "fail", "status": "Failed", "error": {"code": "ItDoesNotWork", "message": "Because."}}
    assert states["break"]["error"]["code"] == "InternalServerError"
    assert states["wait"]["status"] == "Canceled"
    assert world.error(world.owner("GET", replies["fail"].headers["location"])) == (409, "ItDoesNotWork")
    assert world.error(world.owner("GET", replies["break"].headers["location"])) == (500, "InternalServerError")
    assert world.error(world.owner("GET", replies["wait"].headers["location"])) == (409, "OperationCanceled")
    assert [type(fault) for fault in world.azure.faults] == [ZeroDivisionError]
    world.azure.arm.faults.clear()


def test_an_operation_is_not_shown_to_strangers(world: Any) -> None:
    url = world.owner("PUT", VNET, BODY).headers["azure-asyncoperation"]
    assert world.caller("Reader")("GET", url).status == 200
    assert world.error(world.caller()("GET", url)) == (403, "AuthorizationFailed")
    assert world.error(world.owner("GET", url, version="", Authorization="")) == (401, "AuthenticationFailed")


def test_where_time_flows_an_operation_ends_by_itself(world: Any) -> None:
    clock = Clock(flow=200.0)
    arm = type(world.azure.arm)(
        clock,
        subscriptions=[SUBSCRIPTION],
        check_token=lambda token, url: {},
        faces=world.azure.faces,
        tenant=world.azure.tenant,
        locations=["westeurope"],
        fast=False,
    )
    call = Call("PUT", VNET, {}, {}, None, {}, "1", {}, "https://m", "c")

    def work() -> Generator[float, None, None]:
        yield 2.0

    running = arm.operations.begin(call, work())
    clock.start()
    try:
        deadline = clock.real() + 10
        while not running.done and clock.real() < deadline:
            pass
    finally:
        clock.stop()
    assert running.status == "Succeeded"


def test_a_group_being_deleted_takes_nothing_new(slow_world: Any) -> None:
    world = slow_world
    world.owner("PUT", VNET, BODY)
    world.clock.wait(10)
    reply = world.owner("DELETE", GROUP)
    assert reply.status == 202
    assert parsed(world.owner("GET", GROUP))["properties"]["provisioningState"] == "Deleting"
    assert world.error(world.owner("PUT", f"{VNET}2", BODY)) == (409, "ResourceGroupBeingDeleted")
    assert world.owner("GET", reply.headers["location"]).status == 202
    world.clock.wait(60)
    assert world.owner("GET", reply.headers["location"]).status == 200
    assert world.owner("HEAD", GROUP).status == 404
    assert len(world.azure.store) == 0


def test_a_resource_being_deleted_cannot_be_made_again_yet(slow_world: Any) -> None:
    world = slow_world
    world.owner("PUT", VNET, BODY)
    world.clock.wait(10)
    assert world.owner("DELETE", VNET).status == 202
    assert world.error(world.owner("PUT", VNET, BODY)) == (409, "OperationNotAllowed")
    world.clock.wait(60)
    assert world.owner("GET", VNET).status == 404
    assert world.owner("DELETE", VNET).status == 204
