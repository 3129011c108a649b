"""The contract itself: what the SDKs' code says, and that an answer outside it is found."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from azure_contract import Contract

VAULT = "/subscriptions/s/resourceGroups/g/providers/Microsoft.RecoveryServices/vaults/v"
FABRIC = f"{VAULT}/replicationFabrics/f"
CONTRACT = Contract()


@pytest.mark.parametrize(
    ("method", "path", "codes", "model", "listed"),
    [
        ("PUT", FABRIC, {200, 202}, "Fabric", False),
        ("GET", f"{VAULT}/replicationfabrics", {200}, "Fabric", True),
        ("DELETE", VAULT, {202, 204}, "", False),
        ("PUT", "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d", {200, 202}, "Disk", False),
        ("PUT", "/subscriptions/s/resourcegroups/g", {200, 201}, "ResourceGroup", False),
    ],
)
def test_operations_are_read_from_the_packages(method: str, path: str, codes: set[int], model: str, listed: bool) -> None:
    found = CONTRACT.find(method, path)
    assert found is not None
    assert (found.codes, found.model, found.listed) == (codes, model, listed)


FINE: dict[str, Any] = {
    "id": FABRIC, "name": "f", "type": "Microsoft.RecoveryServices/vaults/replicationFabrics", "location": None,
    "properties": {"friendlyName": "f", "customDetails": {"instanceType": "VMware", "processServerCount": "1"}},
}  # fmt: skip


def changed(**properties: Any) -> dict[str, Any]:
    return {**FINE, "properties": {**FINE["properties"], **properties}}


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, FINE, ""),
        (404, {"error": {"code": "ResourceNotFound", "message": "It is not there."}}, ""),
        (201, FINE, "status 201, and only [200, 202] are known"),
        (404, {"code": "ResourceNotFound"}, "404 without an error envelope"),
        (200, changed(freindlyName="f"), "Fabric.properties.freindlyName: FabricProperties has no such name"),
        (200, changed(friendlyName=7), "Fabric.properties.friendlyName: 7 is no str"),
        (200, changed(healthErrorDetails={}), "Fabric.properties.healthErrorDetails: {} is no list"),
        (200, changed(customDetails={"instanceType": "VMWare"}), "customDetails.instanceType: 'VMWare' is not one of"),
        (
            200,
            changed(customDetails={"instanceType": "Azure", "psCount": "1"}),
            "psCount: AzureFabricSpecificDetails has no such",
        ),
    ],
)
def test_what_is_outside_the_contract_is_found(status: int, body: dict[str, Any], says: str) -> None:
    operation = CONTRACT.find("PUT", FABRIC)
    assert operation is not None
    problems = CONTRACT.problems(operation, status, body)
    assert len(problems) == bool(says), problems
    assert says in "".join(problems)


#: Status codes that only the swagger has: clusters, which are Azure to Azure.
ONLY_IN_SWAGGER = {("put", "replicationprotectionclusters", 201)}


def shared(*names: str) -> Any:
    """A document of the optional folder beside the repository."""
    path = Path(__file__).parents[2].joinpath("shared", *names)
    if not path.exists():
        pytest.skip(f"{'/'.join(path.parts[-len(names) - 2 :])}, the published description, is not beside this repository")
    return orjson.loads(path.read_bytes())


def test_the_published_swagger_says_the_same() -> None:
    """Every operation of 2024-04-01 is found under its path, and its success codes are known."""
    paths = shared("openapi", "2024-04-01", "service.json")["paths"]
    compared = 0
    for path, methods in paths.items():
        for method, said in methods.items():
            found = CONTRACT.find(method.upper(), path)
            assert found is not None, f"{method} {path}"
            codes = {int(code) for code in said["responses"] if code != "default"} - found.codes
            kind = path.lower().rsplit("/", 2)[1]
            assert {(method, kind, code) for code in codes} <= ONLY_IN_SWAGGER, f"{method} {path}"
            compared += 1
    assert compared == 153


def test_the_published_examples_are_inside_the_contract() -> None:
    """Answers that the vendor has published for 2024-04-01, each held against the operation that they belong to."""
    folder = Path(__file__).parents[2] / "shared" / "openapi" / "2024-04-01"
    swagger = shared("openapi", "2024-04-01", "service.json")
    problems = []
    for path, methods in swagger["paths"].items():
        for method, said in methods.items():
            for example in said.get("x-ms-examples", {}).values():
                answers = orjson.loads((folder / example["$ref"]).read_bytes())["responses"]
                found = CONTRACT.find(method.upper(), path)
                assert found is not None
                for status, answer in answers.items():
                    problems += [f"{found.name}: {one}" for one in CONTRACT.problems(found, int(status), answer.get("body"))]
    assert [one for one in problems if "replicationProtectionClusters" not in one] == []
