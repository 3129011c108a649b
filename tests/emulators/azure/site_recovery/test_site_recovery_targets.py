"""The machine that a failover makes: interfaces, addresses, subnets, generation, set; and what an update may change."""

from typing import Any

import pytest
from scripted_appliance import ModernSite
from scripted_components import machine
from scripted_site import Site, failover_body

MACS = ("00:50:56:00:00:01", "00:50:56:00:00:02", "00:50:56:00:00:03")


def with_nics(site: Site, *, firmware: str = "BIOS") -> Site:
    """The same machines with three network interfaces each."""
    discovered = site.server.inventory

    def inventory() -> None:
        posted = site.server.post

        def post(what: str, body: Any) -> Any:
            if what == "inventory":
                nics = [
                    {"nicId": f"400{at}", "macAddress": mac, "ipAddress": f"10.0.0.{4 + at}", "networkName": "VM Network"}
                    for at, mac in enumerate(MACS)
                ]
                body["machines"] = [one | {"nics": nics, "firmware": firmware} for one in body["machines"]]
            return posted(what, body)

        site.server.post = post
        discovered()
        site.server.post = posted

    site.server.inventory = inventory
    return site.set_up()


@pytest.fixture(params=["classic", "modernized"])
def many(request: pytest.FixtureRequest) -> Any:
    site = with_nics(Site() if request.param == "classic" else ModernSite(), firmware="EFI")
    subnets = [{"name": name, "properties": {"addressPrefix": f"10.1.{at}.0/24"}} for at, name in enumerate(("default", "more"))]
    network = {"addressSpace": {"addressPrefixes": ["10.1.0.0/16"]}, "subnets": subnets}
    site.good("PUT", site.net("net"), {"location": "westeurope", "properties": network})
    site.enable("web")
    yield site
    site.close()


def update(site: Site, *nics: dict[str, Any], **more: Any) -> Any:
    """PATCH in the words of either architecture; `nics` in those of the modernized one."""
    modern = isinstance(site, ModernSite)
    if modern:
        names = {"vmName": "targetVmName", "set": "targetAvailabilitySetId", "size": "targetVmSize"}
        details = {"instanceType": "InMageRcm", "vmNics": list(nics), **{names[key]: value for key, value in more.items()}}
        return {"properties": {"providerSpecificDetails": details}}
    names = {"vmName": "recoveryAzureVMName", "set": "recoveryAvailabilitySetId", "size": "recoveryAzureVMSize"}
    classic = [
        {
            "nicId": nic["nicId"],
            "selectionType": "NotSelected" if nic.get("isSelectedForFailover") == "false" else "SelectedByUser",
            "isPrimary": nic.get("isPrimaryNic", "false"),
            "ipConfigs": [
                {
                    "isSeletedForFailover": nic.get("isSelectedForFailover", "true") == "true",
                    "recoverySubnetName": nic.get("targetSubnetName"),
                    "recoveryStaticIPAddress": nic.get("targetStaticIPAddress"),
                }
            ],
        }
        for nic in nics
    ]
    changed = {names[key]: value for key, value in more.items()}
    return {"properties": {"vmNics": classic, "providerSpecificDetails": {"instanceType": "InMageAzureV2"}, **changed}}


def interfaces(site: Site, name: str) -> list[tuple[str, str, bool]]:
    """(subnet, address, primary) of a virtual machine's interfaces."""
    vm = site.get(f"{site.group}/providers/Microsoft.Compute/virtualMachines/{name}?api-version=2024-07-01")
    found = []
    for one in vm["properties"]["networkProfile"]["networkInterfaces"]:
        nic = site.get(f"{one['id']}?api-version=2024-05-01")["properties"]
        (configuration,) = nic["ipConfigurations"]
        assert "publicIPAddress" not in configuration["properties"]  # AVM-005
        place = configuration["properties"]
        found.append((place["subnet"]["id"].rpartition("/")[2], place["privateIPAddress"], one["properties"]["primary"]))
    return found


def fail_over(site: Site) -> Any:
    return site.run("POST", f"{site.item('web')}/unplannedFailover", failover_body(instanceType=site.FORWARD))


def test_as_many_interfaces_as_the_size_takes(many: Site) -> None:
    """AVM-002, AVM-003, AVM-007."""
    many.good("PATCH", many.item("web"), update(many, size="Standard_F2s_v2"))
    assert fail_over(many)["status"] == "Succeeded", fail_over(many)
    found = interfaces(many, "web-az")
    assert [primary for _, _, primary in found] == [True, False]
    assert {subnet for subnet, _, _ in found} == {"default"}
    disks = many.get(f"{many.group}/providers/Microsoft.Compute/disks?api-version=2024-03-02")["value"]
    assert {disk["properties"]["hyperVGeneration"] for disk in disks if disk["properties"].get("osType")} == {"V2"}


def test_interfaces_are_chosen_before_the_failover(many: Site) -> None:
    """AVM-001, AVM-004."""
    body = update(
        many,
        {"nicId": MACS[0], "isSelectedForFailover": "false"},
        {"nicId": MACS[1], "isPrimaryNic": "true", "targetSubnetName": "more", "targetStaticIPAddress": "10.1.1.77"},
        {"nicId": MACS[2], "isSelectedForFailover": "false"},
        vmName="web-new",
    )
    many.good("PATCH", many.item("web"), body)
    fail_over(many)
    assert interfaces(many, "web-new") == [("more", "10.1.1.77", True)]


def test_a_taken_address_fails_the_failover_and_nothing_stays(many: Site) -> None:
    """AVM-004, AVM-009: the retry works once it is free."""
    nic = f"{many.group}/providers/Microsoft.Network/networkInterfaces/squatter"
    where = {"subnet": {"id": f"{many.net('net')}/subnets/default"}, "privateIPAllocationMethod": "Static"}
    configuration = {"name": "one", "properties": {**where, "privateIPAddress": "10.1.0.50"}}
    many.good("PUT", nic, {"location": "westeurope", "properties": {"ipConfigurations": [configuration]}})
    many.good("PATCH", many.item("web"), update(many, {"nicId": MACS[0], "targetStaticIPAddress": "10.1.0.50"}))
    failed = fail_over(many)
    assert (failed["status"], failed["error"]["code"]) == ("Failed", "28092")
    assert many.state("web") == "Protected"
    assert not many.azure.arm.store.of_type("Microsoft.Compute/virtualMachines")
    assert [one.name for one in many.azure.arm.store.of_type("Microsoft.Network/networkInterfaces")] == ["squatter"]
    many.good("DELETE", nic)
    assert fail_over(many)["status"] == "Succeeded"
    assert ("default", "10.1.0.50", True) in interfaces(many, "web-az")


def test_a_test_takes_another_address(many: Site) -> None:
    """TFO-008: unlike a failover."""
    nic = f"{many.group}/providers/Microsoft.Network/networkInterfaces/squatter"
    where = {"subnet": {"id": f"{many.net('net')}/subnets/default"}, "privateIPAllocationMethod": "Static"}
    configuration = {"name": "one", "properties": {**where, "privateIPAddress": "10.1.0.50"}}
    many.good("PUT", nic, {"location": "westeurope", "properties": {"ipConfigurations": [configuration]}})
    many.good("PATCH", many.item("web"), update(many, {"nicId": MACS[0], "targetStaticIPAddress": "10.1.0.50"}))
    body = {"networkType": "VmNetworkAsInput", "networkId": many.net("net"), "providerSpecificDetails": {}}
    many.good("POST", f"{many.item('web')}/testFailover", {"properties": body})
    (first, *_) = interfaces(many, "web-az-test")
    assert first[0] == "default"
    assert first[1] != "10.1.0.50"
    many.good("DELETE", nic)
    many.good("POST", f"{many.item('web')}/testFailoverCleanup", {"properties": {"comments": ""}})
    many.good("POST", f"{many.item('web')}/testFailover", {"properties": body})
    assert interfaces(many, "web-az-test")[0][1] == "10.1.0.50"
    # TFO-012: the test machine holds the address that the failover needs
    many.good("POST", f"{many.item('web')}/testFailoverCleanup", {"properties": {"comments": ""}})
    assert fail_over(many)["status"] == "Succeeded"


@pytest.mark.parametrize(
    ("nic", "code"),
    [
        ({"nicId": "none"}, "InvalidInput"),
        ({"nicId": MACS[0], "targetStaticIPAddress": "10.1.0"}, "InvalidInput"),
        ({"nicId": MACS[0], "targetSubnetName": "nowhere"}, "TargetNetworkMissing"),
    ],
)
def test_a_wrong_update_changes_nothing(many: Site, nic: dict[str, Any], code: str) -> None:
    before = many.get(many.item("web"))
    assert many.code("PATCH", many.item("web"), update(many, nic)) == code
    assert many.get(many.item("web")) == before


def test_an_availability_set_of_the_targets_group(many: Site) -> None:
    """CFG-021."""
    for group, good in (("dr", True), ("other", False)):
        many.azure.add_group(group) if group != "dr" else None
        path = many.group.replace("/dr", f"/{group}") + "/providers/Microsoft.Compute/availabilitySets/set"
        body = {"location": "westeurope", "sku": {"name": "Aligned"}, "properties": {}}
        status, answer, _ = many.request("PUT", f"{path}?api-version=2024-07-01", body)
        assert status in (200, 201), answer
        if good:
            many.good("PATCH", many.item("web"), update(many, set=path))
        else:
            assert many.code("PATCH", many.item("web"), update(many, set=path)) == "TargetResourceMissing"
    fail_over(many)
    vm = many.get(f"{many.group}/providers/Microsoft.Compute/virtualMachines/web-az?api-version=2024-07-01")
    assert vm["properties"]["availabilitySet"]["id"].endswith(
        "/resourceGroups/dr/providers/Microsoft.Compute/availabilitySets/set"
    )


def test_machines_are_made_with_one_interface_by_default() -> None:
    assert len(machine("web", "0" * 36)["nics"]) == 1
