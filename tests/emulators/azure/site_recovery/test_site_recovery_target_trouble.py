"""What goes wrong in Azure while a failover runs: the job fails and says why, nothing is left half made, the item is usable."""

from collections.abc import Callable
from typing import Any

import pytest
from scripted_site import Site, failover_body

#: What is made of a failed-over machine.
KINDS = ("Microsoft.Compute/virtualMachines", "Microsoft.Compute/disks", "Microsoft.Network/networkInterfaces")


def made(site: Site) -> list[str]:
    resources = site.get(f"{site.group}/resources")["value"]
    return sorted(one["name"] for one in resources if one["type"] in KINDS)


def begin(site: Site) -> str:
    """Start a failover and come to where the disks are being made; gives its job."""
    _, _, headers = site.request("POST", f"{site.item('web')}/unplannedFailover", failover_body())
    assert site.until(lambda: "promote" in [kind for kind, *_ in promoted(site)], seconds=3600.0)
    return str(headers["x-ms-request-id"])


def promoted(site: Site) -> list[tuple[str, Any]]:
    return [("promote", event) for _, kind, _, event in site.events if kind == "work" and event["work"] == "promote"]


def network_gone(site: Site) -> Callable[[], None]:
    site.good("DELETE", site.net("net"))
    body = {
        "addressSpace": {"addressPrefixes": ["10.1.0.0/16"]},
        "subnets": [{"name": "default", "properties": {"addressPrefix": "10.1.0.0/24"}}],
    }
    return lambda: site.good("PUT", site.net("net"), {"location": "westeurope", "properties": body}) and None


def no_quota(site: Site) -> Callable[[], None]:
    site.azure.machines.cores["westeurope"] = 0
    return lambda: site.azure.machines.cores.update(westeurope=100)


def name_taken(site: Site) -> Callable[[], None]:
    """A machine of that name, made by somebody else meanwhile."""
    names = site.get(f"{site.item('web')}")["properties"]["providerSpecificDetails"]
    disk = f"{site.group}/providers/Microsoft.Compute/virtualMachines/{names['recoveryAzureVMName']}"
    other = {"location": "westeurope", "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 4}}
    site.good("PUT", f"{site.group}/providers/Microsoft.Compute/disks/other", other)
    nic = f"{site.group}/providers/Microsoft.Network/networkInterfaces/other"
    address = {"subnet": {"id": f"{site.net('net')}/subnets/default"}}
    site.good("PUT", nic, {"location": "westeurope", "properties": {"ipConfigurations": [{"name": "ip", "properties": address}]}})
    storage = {
        "osDisk": {
            "createOption": "Attach",
            "osType": "Linux",
            "managedDisk": {"id": f"{site.group}/providers/Microsoft.Compute/disks/other"},
        }
    }
    properties = {
        "hardwareProfile": {"vmSize": "Standard_D2_v2"},
        "storageProfile": storage,
        "networkProfile": {"networkInterfaces": [{"id": nic}]},
    }
    site.good("PUT", disk, {"location": "westeurope", "properties": properties})

    def mend() -> None:
        for one in (disk, f"{site.group}/providers/Microsoft.Compute/disks/other", nic):
            site.good("DELETE", one)

    return mend


def locked(site: Site) -> Callable[[], None]:
    lock = f"{site.group}/providers/Microsoft.Authorization/locks/frozen"
    assert site.request("PUT", lock, {"properties": {"level": "ReadOnly"}})[0] == 201
    return lambda: site.request("DELETE", lock) and None


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (network_gone, "InvalidResourceReference"),
        (no_quota, "Total Regional Cores quota"),
        (name_taken, "PropertyChangeNotAllowed"),
        (locked, "ScopeLocked"),
    ],
)
def test_a_failover_into_trouble_leaves_nothing_and_can_be_repeated(
    site: Site, trouble: Callable[[Site], Callable[[], None]], words: str
) -> None:
    site.enable("web")
    job = begin(site)
    mend = trouble(site)
    there = made(site)
    assert site.until(lambda: site.get(job)["properties"]["state"] in ("Failed", "Succeeded"), seconds=7200.0)
    ended = site.get(job)["properties"]
    assert ended["state"] == "Failed", ended["tasks"]
    assert words in str(ended["errors"]), ended["errors"]
    assert made(site) == [name for name in there if name in ("other", "web-az")]
    mend()
    site.clock.wait(60)
    assert site.state("web") == "Protected"
    site.fail_over("web")
    assert site.world.running == {"web-az"}
