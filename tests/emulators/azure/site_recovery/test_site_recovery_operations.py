"""The rest of the API: filters and pages, job export, fabrics, providers, vCenters, mappings, agents, and other scenarios."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from scripted_appliance import ModernSite
from scripted_site import Site, failover_body

from emulators.azure.site_recovery import Rules

HOUR, DAY = 3600.0, 86400.0


@pytest.fixture
def modern() -> Iterator[ModernSite]:
    made = ModernSite()
    made.set_up()
    yield made
    made.close()


def names(answer: Any) -> list[str]:
    return [entry["name"] for entry in answer["value"]]


def filtered(site: Site, path: str, text: str) -> Any:
    return site.get(f"{path}?$filter={quote(text)}")


# filters and pages -----------------------------------------------------------------------------------------------------


def test_items_by_every_field(site: Site) -> None:
    """asr-wire section 5: without case, joined by `and`."""
    site.enable("web", "app")
    path = f"{site.vault}/replicationProtectedItems"
    for text, found in (
        ("InstanceType eq 'InMageAzureV2'", ["web", "app"]),
        ("instancetype eq 'inmage'", []),
        ("ProcessServerId eq 'CS-1' and friendlyName eq 'APP'", ["app"]),
        ("SourceFabricName eq 'cs1'", ["web", "app"]),
        ("RecoveryPlanName eq 'plan'", []),
        ("MultiVmGroupCreateOption eq 'AutoCreated'", ["web", "app"]),
        ("friendlyName ne 'web'", ["app"]),
    ):
        assert names(filtered(site, path, text)) == found, text
    for wrong in ("nonsense", "Colour eq 'red'", "InstanceType eq", "InstanceType eq 'a' or InstanceType eq 'b'"):
        assert site.code("GET", f"{path}?$filter={quote(wrong)}") == "InvalidInput", wrong


def test_pages_of_protectable_items(site: Site) -> None:
    path = f"{site.container}/replicationProtectableItems"
    everything = names(site.get(path))
    first = site.get(f"{path}?$take=2")
    second = site.get(first["nextLink"])
    assert (names(first) + names(second), second["nextLink"]) == (everything, None)
    site.enable("web")
    assert len(filtered(site, path, "state eq 'Protected'")["value"]) == 1
    assert len(filtered(site, path, "State eq 'Unprotected'")["value"]) == len(everything) - 1
    assert site.code("GET", f"{path}?$take=many") == "InvalidInput"


def test_jobs_and_events_by_field(site: Site) -> None:
    site.enable("web")
    since = site.clock.utc().strftime("%Y-%m-%dT%H:%M:%SZ")
    undo = site.worker.refuse("promote", "no-recovery-point")
    assert site.run("POST", f"{site.item('web')}/unplannedFailover", failover_body())["status"] == "Failed"
    undo()
    jobs = f"{site.vault}/replicationJobs"
    (failed,) = filtered(site, jobs, "jobStatus eq 'Failed'")["value"]
    assert names(filtered(site, jobs, f"startTime ge '{since}' and jobName eq 'UnplannedFailover'")) == [failed["name"]]
    assert failed["name"] not in names(filtered(site, jobs, f"startTime lt '{since}'"))
    kinds = {job["properties"]["targetInstanceType"] for job in filtered(site, jobs, "affectedObjectTypes eq 'VCenter'")["value"]}
    assert kinds == {"VCenter"}
    events = f"{site.vault}/replicationEvents"
    (event,) = filtered(site, events, "severity eq 'Critical' and eventType eq 'JobStatus'")["value"]
    assert event["properties"]["affectedObjectFriendlyName"] == "web"
    assert site.get(f"{events}/{quote(event['name'])}")["id"] == event["id"]
    assert filtered(site, events, "affectedObjectFriendlyName eq 'nobody'")["value"] == []


# jobs as a file ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Json", "Xml"])
def test_jobs_are_exported_to_a_file_with_a_signature(site: Site, kind: str) -> None:
    """JOB-010."""
    status, _, headers = site.request("POST", f"{site.vault}/replicationJobs/export", {"jobOutputType": kind})
    assert status == 202
    site.until(lambda: site.get(headers["azure-asyncoperation"])["status"] != "InProgress", seconds=600)
    job = site.get(headers["location"])
    assert job["id"] == headers["x-ms-request-id"]
    details = job["properties"]["customDetails"]
    assert details["instanceType"] == "ExportJobDetails"
    url = details["blobUri"] + details["sasToken"]
    reply = site.operator.request("GET", url)
    assert reply.status == 200
    assert b"Add vCenter server" in reply.body
    if kind == "Json":
        assert len(json.loads(reply.body)) == len(site.get(f"{site.vault}/replicationJobs")["value"]) - 1
    assert site.operator.request("GET", details["blobUri"] + "?sig=0").status == 403
    site.clock.wait(2 * DAY)
    assert site.operator.request("GET", url).status == 403


def test_an_export_names_what_it_cannot_do(site: Site) -> None:
    path = f"{site.vault}/replicationJobs/export"
    assert site.code("POST", path, {"jobOutputType": "Excel"}) == "InvalidInput"
    assert site.code("POST", path, {"startTime": "yesterday"}) == "InvalidInput"
    site.good("POST", path, {"jobStatus": "Failed", "startTime": "2018-01-01T00:00:00Z"})


# fabrics, providers, vCenters, mappings ----------------------------------------------------------------------------------


def test_fabrics_and_providers_come_from_registrations_alone(site: Site) -> None:
    """TOP-008."""
    provider = site.get(f"{site.fabric}/replicationRecoveryServicesProviders")["value"][0]["id"]
    body = {"properties": {"customDetails": {"instanceType": "VMwareV2"}}}
    assert site.code("PUT", f"{site.vault}/replicationFabrics/mine", body) == "MadeByRegistration"
    body["properties"]["customDetails"]["instanceType"] = "Azure"
    assert site.code("PUT", f"{site.vault}/replicationFabrics/mine", body) == "ScenarioNotSupported"
    assert site.code("PUT", f"{provider}x", {"properties": {}}) == "MadeByRegistration"
    assert site.code("POST", f"{site.container}/remove") == "ObjectInUse"
    assert site.code("DELETE", provider) == "ObjectInUse"
    for name in ("fwd", "back"):
        site.good("POST", f"{site.container}/replicationProtectionContainerMappings/map-{name}/remove", {"properties": {}})
    site.server.alive = False
    site.good("DELETE", provider)
    assert site.get(f"{site.vault}/replicationFabrics")["value"] == []


def test_the_certificate_of_the_server() -> None:
    """TOP-014: warned of before its end; renewed only until then. Hours here, for years."""
    site = Site(rules=Rules(certificate_seconds=3 * HOUR, certificate_warning_seconds=HOUR)).set_up()

    def health() -> tuple[str, list[str]]:
        shown = site.get(site.fabric)["properties"]
        return shown["health"], [error["errorCode"] for error in shown["healthErrorDetails"]]

    renew = {"properties": {"renewCertificateType": "Cloud"}}
    assert health() == ("Normal", [])
    site.clock.wait(2.5 * HOUR)
    assert health() == ("Warning", ["CertificateExpiring"])
    assert (
        site.code("POST", f"{site.fabric}/renewCertificate", {"properties": {"renewCertificateType": "Moon"}}) == "InvalidInput"
    )
    site.good("POST", f"{site.fabric}/renewCertificate", renew)
    assert health() == ("Normal", [])
    site.clock.wait(3 * HOUR + 1)
    assert health() == ("Critical", ["CertificateExpired"])
    assert site.code("POST", f"{site.fabric}/renewCertificate", renew) == "CertificateExpired"
    site.close()


def test_the_server_is_asked_to_tell_everything_again(site: Site) -> None:
    for verb in ("checkConsistency", "migratetoaad"):
        site.good("POST", f"{site.fabric}/{verb}")
    assert "refresh" in site.server.kinds()
    assert site.code("POST", f"{site.fabric}/removeInfra") == "ScenarioNotSupported"


def test_a_vcenter_gets_another_address(site: Site) -> None:
    """DIS-006."""
    site.enable("web")
    points = names(site.get(f"{site.item('web')}/recoveryPoints"))
    path = f"{site.fabric}/replicationvCenters/vc"
    site.good("PATCH", path, {"properties": {"ipAddress": "other.drillbed", "port": "8443", "friendlyName": "other"}})
    shown = site.get(path)["properties"]
    assert (shown["ipAddress"], shown["port"], shown["friendlyName"]) == ("other.drillbed", "8443", "other")
    assert site.server.done[-1][1]["address"] == "other.drillbed"
    assert set(points) <= set(names(site.get(f"{site.item('web')}/recoveryPoints")))
    for wrong in ({"runAsAccountId": "9"}, {"port": "none"}, {"port": "70000"}):
        assert site.code("PATCH", path, {"properties": wrong}) == "InvalidInput"
    undo = site.server.refuse("add-vcenter", "vcenter-unreachable")
    assert site.code("PATCH", path, {"properties": {"ipAddress": "gone.drillbed"}}) == "VCenterUnreachable"
    undo()
    assert site.get(path)["properties"] == shown | {"lastHeartbeat": site.get(path)["properties"]["lastHeartbeat"]}


def test_agents_of_a_mapping_are_upgraded_or_not(modern: ModernSite, site: Site) -> None:
    """DIS-012."""
    path = f"{modern.container}/replicationProtectionContainerMappings/map-fwd"
    body = {"properties": {"providerSpecificInput": {"instanceType": "InMageRcm", "enableAgentAutoUpgrade": "false"}}}
    modern.good("PATCH", path, body)
    assert modern.get(path)["properties"]["providerSpecificDetails"]["enableAgentAutoUpgrade"] == "false"
    classic = f"{site.container}/replicationProtectionContainerMappings/map-fwd"
    assert site.code("PATCH", classic, body) == "ScenarioNotSupported"


# items ---------------------------------------------------------------------------------------------------------------------


def test_sizes_say_why_they_do_not_fit(site: Site) -> None:
    """AVM-002."""
    site.enable("web")
    sizes = {size["name"]: size["properties"] for size in site.get(f"{site.item('web')}/targetComputeSizes")["value"]}
    chosen = site.get(site.item("web"))["properties"]["providerSpecificDetails"]["recoveryAzureVMSize"]
    assert sizes[chosen]["errors"] == []
    assert any(size["errors"] for size in sizes.values())


def test_the_agent_is_installed_anew(modern: ModernSite) -> None:
    """DIS-012."""
    modern.enable("web")
    for verb in ("updateMobilityService", "reinstallMobilityService"):
        modern.good("POST", f"{modern.item('web')}/{verb}", {"properties": {"runAsAccountId": "2"}})
    assert modern.server.kinds().count("update-agent") == 2
    assert modern.state("web") == "Protected"
    undo = modern.server.refuse("update-agent", "agent-silent", "78174")
    assert modern.code("POST", f"{modern.item('web')}/updateMobilityService", {"properties": {}}) == "78174"
    undo()


def test_a_health_error_clears_or_stands_anew(site: Site) -> None:
    """EVT-003."""
    site.enable("web")
    (error,) = site.get(site.item("web"))["properties"]["healthErrors"]
    body = {"properties": {"healthErrors": [{"healthErrorId": error["errorId"]}]}}
    site.good("POST", f"{site.item('web')}/resolveHealthErrors", body)
    (again,) = site.get(site.item("web"))["properties"]["healthErrors"]
    assert again["errorCode"] == error["errorCode"]
    assert again["creationTimeUtc"] > error["creationTimeUtc"]


def test_an_appliance_that_speaks_in_part_keeps_its_machines(modern: ModernSite) -> None:
    """TOP-017."""
    second = modern.appliance("appliance-2", "56400000-0000-4000-8000-00000000000d")
    assert second.register(modern.key())[0] == 200
    assert modern.appliance("appliance-3", "56400000-0000-4000-8000-00000000000e").register(modern.key()) == (
        409,
        {
            "error": {
                "code": "ApplianceRegistrationInProgress",
                "message": "The registration of the appliance 'appliance-2' has not ended yet; retry when its programs show.",
            }
        },
    )
    second.begin()
    modern.enable("web")
    modern.server.silent = ("processServers",)
    modern.clock.wait(70.0)
    body = {
        "properties": {
            "targetApplianceId": "id-appliance-2",
            "providerSpecificDetails": {"instanceType": "InMageRcm", "runAsAccountId": "2"},
        }
    }
    path = f"{modern.item('web')}/updateAppliance"
    assert modern.code("POST", path, body) == "ApplianceInMixedState"
    modern.server.silent = ()
    modern.clock.wait(70.0)
    second.silent = ("masterTargets",)
    modern.clock.wait(70.0)
    assert modern.code("POST", path, body) == "ApplianceUnhealthy"
    second.silent = ()
    modern.clock.wait(70.0)
    undo = second.refuse("protect", "push-install-failed", "95117")
    assert modern.code("POST", path, body) == "95117"
    undo()
    assert modern.reach("web", "Protected")["providerSpecificDetails"]["processServerId"] == "id-appliance-1"
    modern.good("POST", path, body)
    assert modern.reach("web", "Protected")["providerSpecificDetails"]["processServerId"] == "id-appliance-2"
    second.alive = False
    modern.clock.wait(1200.0)
    body["properties"]["targetApplianceId"] = "id-appliance-1"
    undo = modern.server.refuse("protect", "push-install-failed", "95117")
    assert modern.code("POST", path, body) == "95117"
    undo()
    modern.good("POST", path, body)  # nobody replicates it meanwhile: it can be tried again
    assert modern.reach("web", "Protected")["providerSpecificDetails"]["processServerId"] == "id-appliance-1"


# other scenarios -----------------------------------------------------------------------------------------------------------

EMPTY = (
    "replicationNetworks", "replicationNetworkMappings", "replicationStorageClassifications",
    "replicationStorageClassificationMappings", "replicationMigrationItems", "replicationProtectionClusters",
    "replicationProtectionIntents",
)  # fmt: skip


def test_other_scenarios_have_the_services_own_answers(site: Site) -> None:
    for kind in EMPTY:
        assert site.get(f"{site.vault}/{kind}") == {"value": [], "nextLink": None}
    for kind in ("replicationLogicalNetworks", "replicationNetworks", "replicationStorageClassifications"):
        assert site.get(f"{site.fabric}/{kind}")["value"] == []
        assert site.code("GET", f"{site.fabric}/{kind}/none") == "ArmResourceDoesNotExist"
        assert site.code("GET", f"{site.vault}/replicationFabrics/none/{kind}") == "ArmResourceDoesNotExist"
    item = f"{site.container}/replicationMigrationItems/none"
    for method, path in (("DELETE", item), ("POST", f"{item}/migrate"), ("GET", f"{item}/migrationRecoveryPoints")):
        assert site.code(method, path, {} if method == "POST" else None) == "ArmResourceDoesNotExist"
    for path in (
        f"{site.fabric}/replicationNetworks/n/replicationNetworkMappings/m",
        item,
        f"{site.container}/replicationProtectionClusters/c",
        f"{site.vault}/replicationProtectionIntents/i",
    ):
        assert (
            site.code("PUT", path, {"properties": {"providerSpecificDetails": {"instanceType": "A2A"}}}) == "ScenarioNotSupported"
        )
    assert site.code("POST", f"{site.container}/switchprotection", {"properties": {}}) == "ScenarioNotSupported"


def test_enabling_with_another_providers_words(site: Site) -> None:
    for kind in ("A2A", "HyperVReplicaAzure", "nonsense"):
        body = site.enable_body("web", instanceType=kind)
        assert site.code("PUT", site.item("web"), body) == "ScenarioNotSupported"
    assert site.request("GET", site.item("web"))[0] == 404


def test_eligibility_of_a_machine_in_azure(site: Site) -> None:
    site.enable("web")
    site.fail_over("web")
    machine = f"{site.group}/providers/Microsoft.Compute/virtualMachines/web-az"
    path = f"{machine}/providers/Microsoft.RecoveryServices/replicationEligibilityResults"
    (listed,) = site.get(path)["value"]
    assert [error["code"] for error in listed["properties"]["errors"]] == ["ScenarioNotSupported"]
    assert site.get(f"{path}/default")["name"] == "default"
    assert site.request("GET", path.replace("web-az", "none"))[0] == 404


def test_operations_and_systems_are_listed(site: Site) -> None:
    found = site.get(f"{site.group}/providers/Microsoft.RecoveryServices/operations")["value"]
    wanted = "Microsoft.RecoveryServices/vaults/replicationFabrics/replicationProtectionContainers/replicationProtectedItems"
    assert f"{wanted}/unplannedFailover/action" in names({"value": found})
    path = f"{site.vault}/replicationSupportedOperatingSystems"
    for kind, known in (("InMageAzureV2", True), ("inmagercm", True), ("HyperVReplicaAzure", False)):
        (system,) = site.get(f"{path}?instanceType={kind}")["properties"]["supportedOsList"]
        assert (system["instanceType"], bool(system["supportedOs"])) == (kind, known)
    assert site.get(path)["properties"]["supportedOsList"][0]["instanceType"] == "A2A"
