"""What every request of Resource Manager goes through: paths, versions, bodies, roles, headers, faults."""

from typing import Any

import orjson
import pytest

from emulators.azure.arm import BODY_LIMIT, Answer, Call, operation
from emulators.azure.cloud import SUBSCRIPTION

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
NET = f"{GROUP}/providers/Microsoft.Network/virtualNetworks"
VNET = {"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}}


def parsed(reply: Any) -> Any:
    return orjson.loads(reply.body)


def test_paths_match_without_case_and_keep_the_first_spelling(world: Any) -> None:
    assert world.owner("PUT", f"{NET}/VNet-One", VNET).status == 201
    loud = NET.upper().replace("/SUBSCRIPTIONS", "//Subscriptions/") + "/vnet-ONE/"
    reply = world.owner("GET", loud)
    assert reply.status == 200
    assert parsed(reply)["id"] == f"{NET}/VNet-One"
    assert parsed(reply)["name"] == "VNet-One"
    again = world.owner("PUT", f"{NET}/vnet-one", VNET)
    assert (again.status, parsed(again)["id"]) == (200, f"{NET}/VNet-One")
    assert [one["name"] for one in parsed(world.owner("GET", NET))["value"]] == ["VNet-One"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nonsense", 404, "InvalidResourceType"),
        ("GET", "/", 404, "InvalidResourceType"),
        ("GET", f"{GROUP}/providers/Microsoft.Nothing/things/x", 404, "InvalidResourceType"),
        ("POST", GROUP, 405, "MethodNotAllowed"),
        ("GET", "/subscriptions/99999999-0000-0000-0000-000000000000", 404, "SubscriptionNotFound"),
        ("GET", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/other", 404, "ResourceGroupNotFound"),
        ("GET", f"{NET.replace('/rg/', '/other/')}/x", 404, "ResourceGroupNotFound"),
        ("GET", f"{NET}/x", 404, "ResourceNotFound"),
        ("GET", f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Nothing", 404, "InvalidResourceNamespace"),
        ("GET", f"/subscriptions/{SUBSCRIPTION}/resources?$filter=colour%20eq%20'red'", 400, "InvalidFilterInQueryString"),
    ],
)
def test_paths_that_lead_nowhere(world: Any, method: str, path: str, status: int, code: str) -> None:
    assert world.error(world.owner(method, path)) == (status, code)


def test_the_version_is_required_and_any_is_taken(world: Any) -> None:
    assert world.error(world.owner("GET", GROUP, version="")) == (400, "MissingApiVersionParameter")
    assert world.owner("GET", f"{GROUP}?API-version=1999-01-01", version="").status == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "InvalidRequestContent"),
        (b"[]", 400, "InvalidRequestContent"),
        (b'"text"', 400, "InvalidRequestContent"),
        (b"\xff\xfe", 400, "InvalidRequestContent"),
        (b"[" * 100_000, 400, "InvalidRequestContent"),
        (b'{"location": "westeurope", "properties": ' + b'{"a": ' * 300 + b"1" + b"}" * 301, 400, "InvalidRequestContent"),
        (b"", 400, "InvalidRequestContent"),
        (b"null", 400, "InvalidRequestContent"),
        (b"{}", 400, "LocationRequired"),
        (b'{"location": 5}', 400, "InvalidRequestContent"),
        (b'{"location": "moon"}', 400, "LocationNotAvailableForResourceType"),
        (b'{"location": "westeurope", "properties": []}', 400, "InvalidRequestContent"),
        (b'{"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": [7]}}}', 400, "InvalidCIDRNotation"),
        (b'{"location": "westeurope", "properties": {"addressSpace": {"addressPrefixes": []}}}', 400, "InvalidRequestContent"),
        (b'{"location": "westeurope", "tags": {"a": 1}, "properties": {}}', 400, "InvalidTagValue"),
        (b" " * (BODY_LIMIT + 1), 413, "RequestContentTooLarge"),
    ],
)  # fmt: skip
def test_bad_bodies_get_one_clear_error_and_leave_nothing(world: Any, body: bytes, status: int, code: str) -> None:
    assert world.error(world.owner("PUT", f"{NET}/vnet", body)) == (status, code)
    assert parsed(world.owner("GET", NET))["value"] == []


def test_a_foreign_media_type_and_a_bad_name_are_refused(world: Any) -> None:
    assert world.error(world.owner("PUT", f"{NET}/vnet", b"<a/>", Content_Type="application/xml")) == (
        415,
        "UnsupportedMediaType",
    )
    assert world.error(world.owner("PUT", f"{NET}/-vnet", VNET)) == (400, "InvalidResourceName")
    assert world.error(world.owner("PUT", f"{NET}/{'v' * 81}", VNET)) == (400, "InvalidResourceName")


def test_roles_decide_what_a_caller_may_do(world: Any) -> None:
    reader, contributor, nobody = world.caller("Reader"), world.caller("Contributor"), world.caller()
    inside = world.caller("Contributor", scope=GROUP)
    assert contributor("PUT", f"{NET}/vnet", VNET).status == 201
    assert reader("GET", f"{NET}/vnet").status == 200
    for method, path, body in (
        ("PUT", f"{NET}/two", VNET),
        ("DELETE", f"{NET}/vnet", None),
        ("PATCH", f"{NET}/vnet", {"tags": {}}),
    ):
        assert world.error(reader(method, path, body)) == (403, "AuthorizationFailed")
    assert world.error(nobody("GET", f"{NET}/vnet")) == (403, "AuthorizationFailed")
    assert parsed(nobody("GET", "/subscriptions"))["value"] == []
    assert len(parsed(reader("GET", "/subscriptions"))["value"]) == 1
    assert inside("GET", f"{NET}/vnet").status == 200
    assert world.error(inside("PUT", f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg2", {"location": "westeurope"}))[0] == 403
    message = parsed(reader("DELETE", f"{NET}/vnet"))["error"]["message"]
    assert "Microsoft.Network/virtualNetworks/delete" in message
    assert parsed(world.owner("GET", NET))["value"][0]["properties"]["provisioningState"] != "Deleting"


def test_site_recovery_roles_reach_what_they_are_for(world: Any) -> None:
    vault = f"{GROUP}/providers/Microsoft.RecoveryServices/vaults/vault"
    assert world.owner("PUT", vault, {"location": "westeurope", "sku": {"name": "RS0"}, "properties": {}}).status == 201
    operator = world.caller("Site Recovery Operator")
    assert operator("GET", vault).status == 200
    assert operator("GET", f"{vault}/extendedInformation/vaultExtendedInfo").status == 200
    assert world.error(operator("PUT", f"{NET}/vnet", VNET)) == (403, "AuthorizationFailed")
    assert world.error(operator("DELETE", vault)) == (403, "AuthorizationFailed")


def test_every_answer_carries_ids_and_counters(world: Any) -> None:
    reply = world.owner("GET", GROUP, x_ms_client_request_id="mine\r\nEvil: 1", x_ms_correlation_request_id="c-1")
    assert reply.headers["x-ms-correlation-request-id"] == "c-1"
    assert reply.headers["x-ms-client-request-id"] == "mineEvil: 1"
    assert "evil" not in reply.headers
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    left = int(reply.headers["x-ms-ratelimit-remaining-subscription-reads"])
    assert int(world.owner("GET", GROUP).headers["x-ms-ratelimit-remaining-subscription-reads"]) == left - 1
    assert "x-ms-ratelimit-remaining-subscription-writes" in world.owner("PUT", f"{NET}/vnet", VNET).headers
    assert world.owner("GET", "/nonsense").headers["x-ms-request-id"]


def test_endpoints_are_told_to_anybody_in_three_shapes(world: Any) -> None:
    def ask(version: str) -> Any:
        return parsed(world.owner.host.request("GET", f"https://management.drillbed/metadata/endpoints?api-version={version}"))

    new, old, first = ask("2022-09-01"), ask("2019-05-01"), ask("2015-01-01")
    assert old == [new]
    assert new["resourceManager"] == "https://management.drillbed"
    assert new["authentication"]["loginEndpoint"] == first["authentication"]["loginEndpoint"] == "https://login.drillbed"
    assert (new["authentication"]["tenant"], new["authentication"]["identityProvider"]) == ("common", "AAD")
    assert {"name", "microsoftGraphResourceId", "suffixes"} <= set(new)
    assert {"galleryEndpoint", "graphEndpoint", "portalEndpoint"} <= set(first)


def test_a_bug_of_ours_is_a_plain_500_and_is_remembered(world: Any) -> None:
    class Broken:
        namespace = "Microsoft.Broken"

        @operation("GET", "/subscriptions/{subscriptionId}/providers/Microsoft.Broken/things")
        def fail(self, call: Call) -> Answer:
            raise ZeroDivisionError("secret detail")

    world.azure.arm.register(Broken())
    reply = world.owner("GET", f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Broken/things")
    assert world.error(reply) == (500, "InternalServerError")
    assert b"secret" not in reply.body
    assert [type(fault) for fault in world.azure.faults] == [ZeroDivisionError]
    world.azure.arm.faults.clear()


def test_providers_tell_their_types(world: Any) -> None:
    path = f"/subscriptions/{SUBSCRIPTION}/providers/microsoft.compute"
    shown = parsed(world.owner("GET", path))
    assert shown["namespace"] == "Microsoft.Compute"
    assert {"virtualMachines", "disks", "availabilitySets"} <= {kind["resourceType"] for kind in shown["resourceTypes"]}
    assert parsed(world.owner("POST", f"{path}/unregister"))["registrationState"] == "Unregistering"
    assert parsed(world.owner("GET", path))["registrationState"] == "NotRegistered"
    assert parsed(world.owner("POST", f"{path}/register"))["registrationState"] == "Registered"


def test_a_body_may_be_nearly_json(world: Any) -> None:
    """As az sends templates: with comments, a name without quotes, and commas too many."""
    body = b"""{"location": "westeurope", // where
        properties: {"addressSpace": {"addressPrefixes": ["10.0.0.0/16",],} /* one */, "//": "a // b, }",},}"""
    assert world.owner("PUT", f"{NET}/vnet", body).status == 201
    assert parsed(world.owner("GET", f"{NET}/vnet"))["properties"]["addressSpace"] == {"addressPrefixes": ["10.0.0.0/16"]}
    for wrong in (
        b"{location: westeurope}",
        b'{"location": "west',
        b"/* never closed",
        b'{"a": 1 "b": 2}',
        b"/*" * 100_000,
        b'"' + b'\\"' * 100_000,
    ):
        assert world.error(world.owner("PUT", f"{NET}/vnet", wrong)) == (400, "InvalidRequestContent")
