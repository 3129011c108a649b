"""What a machine, an account, a vCenter and a caller may be: each refusal, and the same with the one thing right."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from scripted_appliance import ModernSite
from scripted_components import GIB
from scripted_site import Site

DISK = {"name": "Hard disk", "isOsDisk": False, "datastore": "ds1"}


def discovered(site: Site, change: Callable[[dict[str, Any]], None]) -> Site:
    """A site whose vCenter shows every machine as `change` makes it."""
    plain, posted = site.server.inventory, site.server.post

    def post(what: str, body: Any) -> Any:
        for machine in body.get("machines", []) if what == "inventory" else []:
            change(machine)
        return posted(what, body)

    def inventory() -> None:
        site.server.post = post
        plain()
        site.server.post = posted

    site.server.inventory = inventory
    return site.set_up()


def data_disks(count: int, size: int) -> Callable[[dict[str, Any]], None]:
    def change(machine: dict[str, Any]) -> None:
        first = machine["disks"][:1]
        more = [{**DISK, "diskId": f"d{at}-{machine['name']}", "unit": at, "sizeBytes": size} for at in range(1, count + 1)]
        machine["disks"] = first + more

    return change


def first_disk(**more: Any) -> Callable[[dict[str, Any]], None]:
    return lambda machine: machine["disks"][0].update(more)


def all_of(**more: Any) -> Callable[[dict[str, Any]], None]:
    return lambda machine: machine.update(more)


@pytest.mark.parametrize(
    ("kind", "change", "good"),
    [
        (Site, all_of(osName="Microsoft Windows Server 2003 (64-bit)"), False),  # CFG-001
        (Site, all_of(osName="Microsoft Windows Server 2016 (64-bit)"), True),
        (Site, all_of(osName="CentOS 4/5 (32-bit)"), False),  # CFG-002
        (Site, all_of(osName="Ubuntu Linux 22.04 (64-bit)"), False),
        (ModernSite, all_of(osName="Ubuntu Linux 22.04 (64-bit)"), True),
        (Site, all_of(osName="Red Hat Enterprise Linux 9 (64-bit)"), False),
        (Site, all_of(osName="Red Hat Enterprise Linux 7 (64-bit)"), True),
        (Site, all_of(osName="Debian GNU/Linux 9 (64-bit)"), True),  # what the Linux machines of an estate are
        (Site, first_disk(sizeBytes=2049 * GIB), False),  # CFG-004
        (Site, first_disk(sizeBytes=2048 * GIB), True),
        (Site, first_disk(isOsDisk=False), False),
        (ModernSite, data_disks(65, 2 * GIB), False),  # CFG-005
        (ModernSite, data_disks(64, 2 * GIB), True),
        (Site, data_disks(1, 4096 * GIB), False),
        (ModernSite, data_disks(1, 4096 * GIB), True),
        (Site, first_disk(shared=True), False),  # CFG-007
    ],
)
def test_machines(kind: type[Site], change: Callable[[dict[str, Any]], None], good: bool) -> None:
    site = discovered(kind(), change)
    document = site.run("PUT", site.item("web"), site.enable_body("web"))
    if good:
        assert document["status"] == "Succeeded", document
    else:
        assert (document["status"], document["error"]["code"]) == ("Failed", "MachineConfigurationNotSupported")
        shown = site.get(site.item("web"))["properties"]
        assert (shown["protectionState"], shown["allowedOperations"]) == ("EnablingFailed", ["DisableProtection"])
        assert "protect" not in site.server.kinds()
    site.close()


def test_disks_are_left_out_when_enabling_only(site: Site) -> None:
    """CFG-014: not the system's, and only disks that are there."""
    path = f"{site.container}/replicationProtectableItems"
    machine = next(one for one in site.get(path)["value"] if one["properties"]["friendlyName"] == "web")
    system, data = (disk["diskId"] for disk in site.get(machine["id"])["properties"]["customDetails"]["diskDetails"])
    for wrong in ([{"diskId": data}], [{"diskId": system}, {"diskId": "none"}]):
        assert site.code("PUT", site.item("web"), site.enable_body("web", disksToInclude=wrong)) == "InvalidInput"
    site.good("PUT", site.item("web"), site.enable_body("web", disksToInclude=[{"diskId": system}]))
    (shown,) = site.get(site.item("web"))["properties"]["providerSpecificDetails"]["protectedDisks"]
    assert shown["diskId"] == system


@pytest.mark.parametrize(
    ("sku", "kind", "tier", "good"),
    [
        ("Standard_LRS", "StorageV2", "Hot", True),
        ("Standard_LRS", "StorageV2", "Cool", False),
        ("Standard_LRS", "BlobStorage", "Hot", False),
        ("Premium_LRS", "StorageV2", "Hot", False),
    ],
)
def test_accounts_for_logs(site: Site, sku: str, kind: str, tier: str, good: bool) -> None:
    """CFG-017."""
    body = {"location": "westeurope", "kind": kind, "sku": {"name": sku}, "properties": {"accessTier": tier}}
    site.good("PUT", site.account("other"), body)
    wish = site.enable_body("web", logStorageAccountId=site.account("other"))
    if good:
        site.good("PUT", site.item("web"), wish)
    else:
        assert site.code("PUT", site.item("web"), wish) == "StorageAccountNotSupported"
        assert site.request("GET", site.item("web"))[0] == 404


@pytest.mark.parametrize(("version", "good"), [("6.7.0", True), ("5.1.0", False), ("8.0.1", False)])
def test_versions_of_the_vcenter(bare: Site, version: str, good: bool) -> None:
    """CFG-015."""
    bare.register()
    known = bare.server.script["add-vcenter"]
    bare.server.script["add-vcenter"] = lambda given: {**known(given), "version": version}
    body = {"friendlyName": "vc", "ipAddress": "vc", "processServerId": "CS-1", "port": "443", "runAsAccountId": "1"}
    path = f"{bare.fabric}/replicationvCenters/vc"
    if good:
        bare.good("PUT", path, {"properties": body})
        return
    assert bare.code("PUT", path, {"properties": body}) == "VCenterVersionNotSupported"
    assert bare.request("GET", path)[0] == 404
    bare.clock.wait(60.0)
    assert "remove-vcenter" in bare.server.kinds()


@pytest.mark.parametrize(("kind", "good"), [(Site, False), (ModernSite, True)])
def test_machines_that_boot_by_uefi_come_home_with_an_appliance_only(kind: type[Site], good: bool) -> None:
    """CFG-011."""
    site = discovered(kind(), all_of(firmware="EFI"))
    site.enable("web")
    site.fail_over("web")
    site.commit("web")
    if good:
        site.to_reverse_protected("web")
    else:
        assert site.code("POST", f"{site.item('web')}/reProtect", site.reverse_body()) == "UefiFailbackNotSupported"
        assert site.state("web") == "UnplannedFailoverCommitted"
    site.close()


def test_a_silent_process_server_takes_no_new_machines(site: Site) -> None:
    """EVT-007."""
    beat, before = site.server.heartbeat, site.clock.utc().strftime("%Y-%m-%dT%H:%M:%SZ")
    site.clock.wait(1200.0)

    def silent() -> Any:
        said = beat()
        said["processServers"][0]["lastHeartbeat"] = before
        return said

    site.server.heartbeat = silent
    site.clock.wait(70.0)
    shown = site.get(site.fabric)["properties"]["customDetails"]["processServers"][0]
    assert shown["health"] == "Critical"
    assert site.code("PUT", site.item("web"), site.enable_body("web")) == "806"
    site.server.heartbeat = beat
    site.clock.wait(70.0)
    site.good("POST", f"{site.item('web')}/remove", {"properties": {}})
    site.enable("web")


def test_the_callers_own_rights_on_the_target(site: Site) -> None:
    """RBAC-001: rights on the vault are not enough."""
    client, secret = site.azure.add_client(site.clock.uuid(), "", ("Site Recovery Contributor",), scope=site.vault)
    owner, site._token = site._token, token(site, client.id, secret)
    status, answer, _ = site.request("PUT", site.item("web"), site.enable_body("web"))
    assert (status, answer["error"]["code"]) == (403, "AuthorizationFailed")
    assert "virtualMachines/write" in answer["error"]["message"]
    site.azure.arm.access.grant(client.object_id, "Contributor", site.group)
    site.good("PUT", site.item("web"), site.enable_body("web"))
    site._token = owner


def token(site: Site, client: str, secret: str) -> str:
    form = f"grant_type=client_credentials&client_id={client}&client_secret={secret}"
    form += "&scope=https%3A%2F%2Fmanagement.azure.com%2F.default"
    reply = site.operator.request(
        "POST",
        f"https://login.drillbed/{site.azure.tenant}/oauth2/v2.0/token",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=form.encode(),
    )
    assert reply.status == 200, reply.body
    return str(json.loads(reply.body)["access_token"])
