"""The service's side of the component protocol, and what a registration makes."""

from scripted_components import CS_ID, GIB
from scripted_site import Site

from emulators.clock import iso


def test_nothing_is_made_before_a_server_registers(bare: Site) -> None:
    """TOP-008."""
    for kind in (
        "replicationFabrics",
        "replicationProtectionContainers",
        "replicationRecoveryServicesProviders",
        "replicationvCenters",
    ):
        assert bare.get(f"{bare.vault}/{kind}")["value"] == []
    path = f"{bare.vault}/replicationFabrics/{'0' * 64}/replicationvCenters/vc"
    status, answer, _ = bare.request("PUT", path, {"properties": {}})
    assert (status, answer["error"]["details"][0]["code"]) == (400, "SubscriptionIdNotRegisteredWithSrs")
    status, answer, _ = bare.request("GET", f"{bare.vault}/replicationFabrics/none")
    assert (status, answer["error"]["code"]) == (404, "NotFound")
    assert answer["error"]["details"][0]["code"] == "ArmResourceDoesNotExist"


def test_registration(bare: Site) -> None:
    """TOP-003, TOP-008, TOP-009, TOP-011."""
    key = bare.key()
    assert bare.server.register("wrong")[1]["error"]["code"] == "RegistrationKeyInvalid"
    status, answer = bare.server.register(key, time=iso(bare.clock.now() + 20 * 60))
    assert (status, answer["error"]["message"]) == (400, "ACS50008: SAML token is invalid.")
    assert bare.server.register(key, time=iso(bare.clock.now() - 5 * 60))[0] == 200
    first = (bare.server.id, bare.server.token)
    assert bare.server.register(key)[0] == 200
    assert bare.server.id == first[0]
    assert bare.server.token != first[1]
    status, answer = bare.server.call(f"/components/{first[0]}/heartbeat", {}, token=first[1])
    assert (status, answer["error"]["code"]) == (401, "Unauthorized")
    bare.server.begin()
    bare.clock.wait(1.0)
    (fabric,) = bare.get(f"{bare.vault}/replicationFabrics")["value"]
    details = fabric["properties"]["customDetails"]
    assert (fabric["properties"]["friendlyName"], details["instanceType"]) == ("cs1", "VMware")
    assert [server["id"] for server in details["processServers"]] == ["CS-1", "PS-AZ"]
    assert details["masterTargetServers"][0]["retentionVolumes"][0]["capacityInBytes"] == GIB
    assert len(fabric["name"]) == 64
    (container,) = bare.get(f"{bare.vault}/replicationProtectionContainers")["value"]
    assert container["name"] == f"cloud_{fabric['properties']['internalIdentifier']}"
    other = bare.vault.replace("vault1", "vault2")
    bare.good("PUT", other, {"location": "westeurope", "sku": {"name": "Standard"}, "properties": {}})
    with bare.azure.arm.lock:
        second = bare.azure.vaults.mint_registration_key(bare.azure.arm.store.need(other))
    assert bare.server.register(second)[1]["error"]["code"] == "RegisteredElsewhere"
    assert bare.get(f"{other}/replicationFabrics")["value"] == []
    bare.server.alive = False
    bare.clock.wait(5 * 86400.0 + 1)
    assert bare.worker.register(key)[1]["error"]["code"] == "RegistrationKeyExpired"


def test_only_the_owner_of_a_token(bare: Site) -> None:
    key = bare.key()
    bare.server.register(key)
    bare.worker.register(key)
    for path, token, status in (
        (f"/components/{bare.server.id}/heartbeat", "", 401),
        (f"/components/{bare.server.id}/heartbeat", "f\u00e4lschung", 401),
        (f"/components/{bare.server.id}/heartbeat", bare.worker.token, 403),
        (f"/components/{bare.worker.id}/inventory", bare.worker.token, 403),
        (f"/components/{bare.server.id}/recovery-points", bare.server.token, 403),
        (f"/components/{bare.server.id}/nonsense", bare.server.token, 404),
        (f"/components/{bare.server.id}/work/{CS_ID}", bare.server.token, 404),
    ):
        assert bare.server.call(path, {}, token=token)[0] == status, path
    reply = bare.server.host.request("POST", "https://site-recovery.drillbed/components/register", body=b"[1]")
    assert reply.status == 400
    reply = bare.server.host.request("GET", "https://site-recovery.drillbed/components/register")
    assert reply.status == 405
    status, _ = bare.server.call(f"/components/{bare.server.id}/inventory", {"machines": [{"machineId": 7}]})
    assert status == 400


def test_discovery(site: Site) -> None:
    """DIS-001, DIS-002, DIS-003, DIS-005."""
    listed = site.get(f"{site.container}/replicationProtectableItems")["value"]
    assert [item["properties"]["friendlyName"] for item in listed] == ["web", "app", "db"]
    assert all(item["properties"]["customDetails"]["diskDetails"] == [] for item in listed)
    single = site.get(listed[0]["id"])["properties"]
    assert (single["protectionStatus"], single["supportedReplicationProviders"]) == ("Unprotected", ["InMage", "InMageAzureV2"])
    assert [disk["diskType"] for disk in single["customDetails"]["diskDetails"]] == ["OperatingSystem", "Data"]
    site.server.names["new"] = "42000000-0000-4000-8000-000000000009"
    del site.server.names["app"]
    assert len(site.get(f"{site.container}/replicationProtectableItems")["value"]) == 3
    (provider,) = site.get(f"{site.vault}/replicationRecoveryServicesProviders")["value"]
    site.good("POST", f"{provider['id']}/refreshProvider")
    names = [item["properties"]["friendlyName"] for item in site.get(f"{site.container}/replicationProtectableItems")["value"]]
    assert names == ["web", "db", "new"]


def test_vcenter_that_cannot_be_added(bare: Site) -> None:
    bare.register()
    body = {"properties": {"friendlyName": "vc", "ipAddress": "nowhere", "port": "443", "runAsAccountId": "1"}}
    mend = bare.server.refuse("add-vcenter", "vcenter-login-failed")
    assert bare.code("PUT", f"{bare.fabric}/replicationvCenters/vc", body) == "VCenterLoginFailed"
    assert bare.request("GET", f"{bare.fabric}/replicationvCenters/vc")[0] == 404
    mend()
    bare.good("PUT", f"{bare.fabric}/replicationvCenters/vc", body)
    vcenter = bare.get(f"{bare.fabric}/replicationvCenters/vc")["properties"]
    assert (vcenter["discoveryStatus"], vcenter["infrastructureId"]) == ("Connected", "vc-instance")
    (job, _) = bare.jobs("DiscoverVCenter")
    assert (job["properties"]["targetInstanceType"], job["properties"]["allowedActions"]) == ("VCenter", [])
    bare.good("DELETE", f"{bare.fabric}/replicationvCenters/vc")
    assert bare.get(f"{bare.container}/replicationProtectableItems")["value"] == []


def test_vault_with_a_server_is_not_deleted(site: Site) -> None:
    assert site.request("DELETE", site.vault)[0] >= 400
    for name in ("fwd", "back"):
        site.good("POST", f"{site.container}/replicationProtectionContainerMappings/map-{name}/remove", {"properties": {}})
        site.good("DELETE", site.policy(name))
    site.server.alive = False
    site.good("DELETE", site.fabric)
    assert site.get(f"{site.vault}/replicationFabrics")["value"] == []
    site.good("DELETE", site.vault)


def test_vault_information(site: Site) -> None:
    alert = f"{site.vault}/replicationAlertSettings/defaultAlertSetting"
    status, body, headers = site.request(
        "PUT", alert, {"properties": {"sendToOwners": "Send", "customEmailAddresses": ["a@b"], "locale": "en-US"}}
    )
    assert (status, body["properties"]["sendToOwners"], "location" in headers) == (200, "Send", False)
    assert site.get(alert)["properties"]["customEmailAddresses"] == ["a@b"]
    assert site.get(f"{site.vault}/replicationVaultSettings/default")["properties"]["vmwareToAzureProviderType"] is None
    site.enable("web")
    site.good("POST", f"{site.vault}/replicationVaultHealth/default/refresh")
    health = site.get(f"{site.vault}/replicationVaultHealth")["properties"]
    assert health["protectedItemsHealth"]["resourceCount"] == 1
    assert site.get(f"{site.vault}/replicationAppliances") == {"value": []}
    assert site.get(f"{site.vault}/replicationSupportedOperatingSystems")["properties"]["supportedOsList"]


def test_job_on_the_wire(site: Site) -> None:
    """JOB-001, JOB-003: headers of the call, the fresh job, tasks listed from the start; lists are thin and newest first."""
    site.enable("web")
    item = site.item("web")
    status, body, headers = site.request(
        "POST", f"{item}/testFailover", {"properties": {"networkType": "VmNetworkAsInput", "networkId": site.net("testnet")}}
    )
    assert (status, body, headers["content-length"]) == (202, None, "0")
    job = headers["x-ms-request-id"]
    name = job.rsplit("/", 1)[1]
    assert f"{item}/operationresults/{name}?api-version={Site.VERSION}" in headers["location"]
    assert f"/replicationOperationStatus/{name}?api-version={Site.VERSION}" in headers["azure-asyncoperation"]
    fresh = site.get(job)["properties"]
    assert (fresh["state"], fresh["scenarioName"], fresh["tasks"], "startTime" in fresh) == ("NotStarted", None, [], False)
    document = site.get(headers["azure-asyncoperation"])
    assert (document["status"], document["error"], document["endTime"], document["percentComplete"]) == (
        "InProgress",
        None,
        None,
        None,
    )
    site.clock.wait(1.5)
    running = site.get(job)["properties"]
    assert [task["state"] for task in running["tasks"]] == ["InProgress", "NotStarted", "NotStarted", "NotStarted"]
    assert running["tasks"][1]["startTime"] == "0001-01-01T00:00:00"
    assert running["allowedActions"] == ["Cancel"]
    listed = site.get(f"{site.vault}/replicationJobs")["value"][0]
    assert (listed["id"], listed["properties"]["tasks"], listed["properties"]["customDetails"]) == (job, [], None)
    site.clock.wait(300.0)
    site.good("POST", f"{job}/resume", {"properties": {"comments": "looked at it"}})
    ended = site.get(job)["properties"]
    assert (ended["state"], ended["customDetails"]["comments"], ended["endTime"][-1]) == ("Succeeded", "looked at it", "Z")
    assert site.get(item)["properties"]["testFailoverState"] == "MarkedForDeletion"
