"""The recorder itself: what an emulator answers wrongly is seen, through calls in this process and over sockets."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
import requests
from azure_contract import Contract
from azure_recorder import Recorder

from emulators.azure.arm import Answer
from emulators.azure.arm.service import Arm
from emulators.azure.cloud import SUBSCRIPTION

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
DISK = f"{GROUP}/providers/Microsoft.Compute/disks/{{name}}"
FABRICS = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/v/replicationFabrics"
FINE: dict[str, Any] = {"id": "/d", "name": "d", "properties": {"diskSizeGB": 4, "provisioningState": "Updating"}}


def fabric(**details: Any) -> dict[str, Any]:
    return {"id": "/f", "name": "f", "properties": {"friendlyName": "f", "customDetails": {"instanceType": "VMware", **details}}}


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """A recorder in place of the one that judges this run."""
    made = Recorder(Contract())
    monkeypatch.setattr(Arm, "__call__", made.application(vars(Arm.__call__)["__wrapped__"]))
    return made


@pytest.mark.parametrize(
    ("method", "template", "answer", "says"),
    [
        ("PUT", DISK, Answer(202, FINE), None),
        ("PUT", DISK, Answer(201, FINE), "status 201, and only [200, 202] are known"),
        ("PUT", DISK, Answer(202, {**FINE, "colour": "red"}), "Disk.colour: Disk has no such name"),
        ("PUT", DISK, Answer(202, {**FINE, "properties": {"diskSizeGB": "4"}}), "properties.diskSizeGB: '4' is no int"),
        ("PUT", DISK, Answer(409, {"code": "Conflict", "message": "no"}), "409 without an error envelope"),
        ("PUT", DISK, Answer(409), "409 without an error envelope"),
        ("PUT", DISK.replace("/disks/", "/discs/"), Answer(200, FINE), "no operation of the contract has this path"),
        ("GET", FABRICS, Answer(200, {"value": [fabric(processServerCount="1")], "nextLink": None}), None),
        ("GET", FABRICS, Answer(200, {"value": [fabric(instanceType="Vmware")]}), "instanceType: 'Vmware' is not one of"),
        ("GET", FABRICS, Answer(200, [fabric()]), "a list without `value`"),
    ],
)
def test_it_sees_what_is_wrong(world: Any, apart: Recorder, method: str, template: str, answer: Answer, says: str | None) -> None:
    routes = {(one.method, one.template) for one in world.azure.arm.router.endpoints}
    add: Callable[..., None] = world.azure.arm.router.replace if (method, template) in routes else world.azure.arm.router.add
    add(method, template.replace("{name}", "deliberate"), lambda call: answer)
    reply = world.owner(method, template.replace("{name}", "deliberate"), {} if method == "PUT" else None)
    assert reply.status == answer.status
    found = apart.taken()
    assert len(found) == (says is not None), found
    assert (says or "") in "".join(found)
    assert apart.taken() == []


def test_success_counts_and_a_refusal_does_not(world: Any, apart: Recorder) -> None:
    assert world.owner("GET", FABRICS).status == 404
    assert apart.seen == set()
    assert world.owner("GET", GROUP).status == 200
    assert apart.seen == {"GET /subscriptions/{subscriptionId}/resourcegroups/{resourceGroupName}"}


@pytest.mark.parametrize(("status", "ours", "found"), [(202, True, 0), (201, True, 1), (201, False, 0)])
def test_it_sees_what_another_process_answers(status: int, ours: bool, found: int) -> None:
    """Through `requests`, which every SDK here uses; what is no Resource Manager is left alone."""
    apart = Recorder(Contract())

    def send(adapter: Any, request: Any, **settings: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response._content = status, orjson.dumps(FINE)
        response.headers.update({"x-ms-routing-request-id": "EMULATED:1"} if ours else {})
        return response

    url = f"https://127.0.0.1{DISK.replace('{name}', 'd')}?api-version=1"
    request = requests.Request("PUT", url).prepare()
    assert apart.transport(send)(None, request).status_code == status
    assert len(apart.taken()) == found
