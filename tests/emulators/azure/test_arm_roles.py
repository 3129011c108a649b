"""Role assignments made over Resource Manager take effect at once."""

from typing import Any

import orjson

from emulators.azure.arm import ROLES
from emulators.azure.cloud import SUBSCRIPTION

ROOT = f"/subscriptions/{SUBSCRIPTION}"
GROUP = f"{ROOT}/resourceGroups/rg"
ASSIGNMENTS = "/providers/Microsoft.Authorization/roleAssignments"
VNET = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/vnet"
BODY = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}
NAME = "aaaaaaaa-0000-4000-8000-000000000001"


def parsed(reply: Any) -> Any:
    return orjson.loads(reply.body)


def role(principal: str, name: str) -> dict[str, Any]:
    definition = f"{ROOT}/providers/Microsoft.Authorization/roleDefinitions/{ROLES[name].id}"
    return {"properties": {"roleDefinitionId": definition, "principalId": principal}}


def test_an_assignment_gives_and_its_deletion_takes(world: Any) -> None:
    somebody = world.caller()
    principal = world.azure.login.clients[somebody.client_id].object_id
    assert somebody("PUT", VNET, BODY).status == 403
    made = world.owner("PUT", f"{GROUP}{ASSIGNMENTS}/{NAME}", role(principal, "Contributor"))
    assert (made.status, parsed(made)["properties"]["scope"]) == (201, GROUP)
    assert somebody("PUT", VNET, BODY).status == 201
    # A contributor may do everything but give rights away.
    assert world.error(somebody("PUT", f"{GROUP}{ASSIGNMENTS}/{NAME[:-1]}2", role(principal, "Owner"))) == (
        403,
        "AuthorizationFailed",
    )
    listed = parsed(world.owner("GET", f"{GROUP}{ASSIGNMENTS}?$filter=principalId%20eq%20'{principal}'"))["value"]
    assert [one["name"] for one in listed] == [NAME]
    assert parsed(world.owner("GET", f"{GROUP}{ASSIGNMENTS}/{NAME}")) == listed[0]
    assert len(parsed(world.owner("GET", f"{ROOT}{ASSIGNMENTS}"))["value"]) == 2
    assert world.owner("DELETE", f"{GROUP}{ASSIGNMENTS}/{NAME}").status == 200
    assert world.owner("DELETE", f"{GROUP}{ASSIGNMENTS}/{NAME}").status == 204
    assert somebody("GET", VNET).status == 403


def test_assignments_on_one_resource_reach_no_further(world: Any) -> None:
    somebody = world.caller()
    principal = world.azure.login.clients[somebody.client_id].object_id
    world.owner("PUT", VNET, BODY)
    world.owner("PUT", f"{VNET}-other", BODY)
    assert world.owner("PUT", f"{VNET}{ASSIGNMENTS}/{NAME}", role(principal, "Reader")).status == 201
    assert somebody("GET", VNET).status == 200
    assert somebody("GET", f"{VNET}-other").status == 403
    assert somebody("GET", GROUP).status == 403


def test_what_an_assignment_is_refused_for(world: Any) -> None:
    principal = world.azure.login.clients[world.caller().client_id].object_id
    url = f"{GROUP}{ASSIGNMENTS}"
    cases = (
        (f"{url}/word", role(principal, "Reader"), 400, "InvalidRoleAssignmentId"),
        (f"{url}/{NAME}", role("nobody", "Reader"), 400, "PrincipalNotFound"),
        (
            f"{url}/{NAME}",
            {"properties": {"roleDefinitionId": "/x/y", "principalId": principal}},
            400,
            "RoleDefinitionDoesNotExist",
        ),
        (f"{VNET}{ASSIGNMENTS}/{NAME}", role(principal, "Reader"), 404, "ResourceNotFound"),
    )
    for path, body, status, code in cases:
        assert world.error(world.owner("PUT", path, body)) == (status, code)
    assert world.owner("PUT", f"{url}/{NAME}", role(principal, "Reader")).status == 201
    again = role(principal, "Reader")
    assert world.error(world.owner("PUT", f"{url}/{NAME[:-1]}2", again)) == (409, "RoleAssignmentExists")
    assert world.error(world.owner("PUT", f"{url}/{NAME}", role(principal, "Owner"))) == (409, "RoleAssignmentUpdateNotPermitted")
    assert world.error(world.owner("GET", f"{url}/{NAME[:-1]}9")) == (404, "RoleAssignmentNotFound")


def test_built_in_roles_are_listed_with_their_real_ids(world: Any) -> None:
    url = f"{ROOT}/providers/Microsoft.Authorization/roleDefinitions"
    names = {one["properties"]["roleName"] for one in parsed(world.owner("GET", url))["value"]}
    assert {
        "Owner",
        "Contributor",
        "Reader",
        "Site Recovery Contributor",
        "Site Recovery Operator",
        "Site Recovery Reader",
    } == names
    found = parsed(world.owner("GET", f"{url}?$filter=roleName%20eq%20'reader'"))["value"]
    assert [one["name"] for one in found] == ["acdd72a7-3385-48ef-bd42-f606fba81ae7"]
    assert parsed(world.owner("GET", f"{url}/{found[0]['name']}"))["properties"]["permissions"][0]["actions"] == ["*/read"]
    assert world.owner("GET", f"{url}/none").status == 404
