"""The Azure CLI from PyPI, unmodified, through all three ways in: `make test-az` installs it in an environment of its own."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure_contract import Contract

from drillbed.up import Served, UpOptions, served

CLI = Path(os.environ.get("DRILLBED_AZ", ""), "bin", "python")
SESSION = Path(__file__).with_name("az_session.py")
BARE = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "ARM_", "REQUESTS_", "SSL_"))}
QUIET = {"AZURE_CORE_COLLECT_TELEMETRY": "no", "AZURE_CORE_NO_COLOR": "yes", "AZURE_CORE_DISPLAY_REGION_IDENTIFIED": "no"}

pytestmark = [
    pytest.mark.skipif(not os.environ.get("DRILLBED_AZ"), reason="the Azure CLI is large: `make test-az` installs and runs it"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("up")
    with served(UpOptions(folder, vms=1, speed=20, env=folder / "lab.env", proxy=True)) as running:
        yield running


@dataclass(slots=True)
class Az:
    """A shell in which commands are typed: its environment and its folder for what the CLI keeps."""

    env: dict[str, str]

    def all(self, *commands: str | list[str]) -> list[tuple[int, Any, str]]:
        """Exit code, output and errors of each command."""
        lines = [command.split() if isinstance(command, str) else command for command in commands]
        done = subprocess.run(
            [CLI, SESSION], input=json.dumps(lines), env=self.env, capture_output=True, text=True, check=False, timeout=900
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return [(code, json.loads(out) if out.strip() else None, said) for code, out, said in json.loads(done.stdout)]

    def good(self, *commands: str | list[str]) -> list[Any]:
        """Outputs; every command must succeed."""
        found = []
        for command, (code, out, said) in zip(commands, self.all(*commands), strict=True):
            assert code == 0, (command, said[-3000:])
            found.append(out)
        return found


@pytest.fixture
def shell(up: Served, tmp_path: Path) -> Az:
    """Only the CA is told; endpoints and logins are what the tests type."""
    trust = {name: up.exports[name] for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")}
    return Az({**BARE, **QUIET, **trust, "AZURE_CONFIG_DIR": str(tmp_path / "azure"), "AZURE_CORE_INSTANCE_DISCOVERY": "false"})


def as_principal(up: Served) -> str:
    exports = up.exports
    name, secret, tenant = (exports[f"AZURE_{one}"] for one in ("CLIENT_ID", "CLIENT_SECRET", "TENANT_ID"))
    return f"login --service-principal --username {name} --password {secret} --tenant {tenant}"


def custom_cloud(up: Served) -> list[str]:
    management = up.record["endpoints"]["management"]
    return [f"cloud register --name emulated --endpoint-resource-manager {management}", "cloud set --name emulated"]


def test_a_custom_cloud_by_its_metadata(up: Served, shell: Az, tmp_path: Path) -> None:
    (tmp_path / "paper.txt").write_text("hello")
    *_, account = shell.good(*custom_cloud(up), as_principal(up))
    assert [(one["cloudName"], one["state"]) for one in account] == [("emulated", "Enabled")]
    group, network, stored, keys = shell.good(
        "group create --name mine --location westeurope",
        "network vnet create -g mine -n net --address-prefix 10.9.0.0/16 --subnet-name default --subnet-prefixes 10.9.0.0/24",
        "storage account create -g mine -n azcliaccount -l westeurope --sku Standard_LRS",
        "storage account keys list -g mine -n azcliaccount",
    )
    assert group["properties"]["provisioningState"] == "Succeeded"
    assert network["newVNet"]["subnets"][0]["addressPrefix"] == "10.9.0.0/24"
    assert stored["primaryEndpoints"]["blob"].startswith("https://localhost:")
    key = f"--account-name azcliaccount --account-key {keys[0]['value']} --blob-endpoint {stored['primaryEndpoints']['blob']}"
    _, _, blobs = shell.good(
        f"storage container create --name box {key}",
        f"storage blob upload --container-name box --name paper.txt --file {tmp_path / 'paper.txt'} --no-progress {key}",
        f"storage blob list --container-name box {key}",
    )
    assert [blob["name"] for blob in blobs] == ["paper.txt"]
    vault, listed = shell.good("backup vault create -g mine -n myvault -l westeurope", "backup vault list -g mine")
    assert vault["id"] == listed[0]["id"]
    machines_and_the_end(shell)


def machines_and_the_end(shell: Az) -> None:
    """`az vm create` is a deployment of a template; deleting the group takes all of it."""
    _, made, listed, _, off, _, view, _ = shell.good(
        "disk create -g mine -n osdisk --size-gb 4 --os-type Linux",
        ["vm", "create", "-g", "mine", "-n", "vm1", "--attach-os-disk", "osdisk", "--os-type", "linux", "--vnet-name", "net",
         "--subnet", "default", "--size", "Standard_D2s_v3", "--public-ip-address", "", "--nsg", ""],
        "vm list -g mine -d",
        "vm deallocate -g mine -n vm1",
        "vm show -g mine -n vm1 -d",
        "vm start -g mine -n vm1",
        "vm get-instance-view -g mine -n vm1",
        "vm delete -g mine -n vm1 --yes",
    )  # fmt: skip
    assert (made["powerState"], made["privateIpAddress"]) == ("VM running", "10.9.0.4")
    assert [(one["name"], one["powerState"]) for one in listed] == [("vm1", "VM running")]
    assert off["powerState"] == "VM deallocated"
    assert "PowerState/running" in [one["code"] for one in view["instanceView"]["statuses"]]
    found, _, gone = shell.all("resource list -g mine", "group delete --name mine --yes", "group show --name mine")
    kinds = {one["type"] for one in found[1]}
    assert {"Microsoft.Network/virtualNetworks", "Microsoft.RecoveryServices/vaults", "Microsoft.Compute/disks"} <= kinds
    assert gone[0] == 3
    assert "ResourceGroupNotFound" in gone[2]


def test_endpoints_by_hand_and_a_managed_identity(up: Served, shell: Az) -> None:
    endpoints = up.record["endpoints"]
    shell.env |= {
        "IDENTITY_ENDPOINT": up.exports["DRILLBED_IDENTITY_ENDPOINT"],
        "IDENTITY_HEADER": up.exports["DRILLBED_IDENTITY_HEADER"],
    }
    base = endpoints["management"]
    *_, account, groups, vaults = shell.good(
        f"cloud register --name byhand --endpoint-resource-manager {base} --endpoint-active-directory {endpoints['login']}"
        f" --endpoint-active-directory-resource-id {base} --endpoint-management {base} --endpoint-gallery {base}"
        f" --endpoint-active-directory-graph-resource-id {base} --endpoint-microsoft-graph-resource-id {base}"
        " --suffix-storage-endpoint drillbed",
        "cloud set --name byhand",
        "login --identity",
        "group list",
        "backup vault list",
    )
    assert account[0]["user"]["name"] == "systemAssignedIdentity"
    assert "drill" in {group["name"] for group in groups}
    assert up.exports["DRILLBED_VAULT"] in {vault["name"] for vault in vaults}


def test_the_public_cloud_through_the_proxy_as_a_user(up: Served, shell: Az) -> None:
    exports = up.exports
    shell.env |= {"HTTPS_PROXY": exports["HTTPS_PROXY"], "NO_PROXY": exports["NO_PROXY"]}
    del shell.env["AZURE_CORE_INSTANCE_DISCOVERY"]
    user, password = exports["DRILLBED_USER"], exports["DRILLBED_USER_PASSWORD"]
    account, groups, made = shell.good(
        f"login --username {user} --password {password} --tenant {exports['AZURE_TENANT_ID']}",
        "group list",
        f"storage container create --name public --account-name {exports['DRILLBED_STORAGE_ACCOUNT']} --auth-mode key",
    )
    assert (account[0]["user"]["name"], account[0]["cloudName"] or "AzureCloud") == (user, "AzureCloud")
    assert "drill" in {group["name"] for group in groups}
    assert made == {"created": True}
    (refused,) = shell.all(f"login --username {user} --password wrong --tenant {exports['AZURE_TENANT_ID']}")
    assert refused[0] == 1
    assert "AADSTS50126" in refused[2]


def test_az_rest_over_every_site_recovery_path(up: Served, shell: Az) -> None:
    """Every GET answers what is there, or with the service's own error; nothing is an unknown path."""
    names = real_names(up)
    commands, reads = [*custom_cloud(up), as_principal(up)], []
    for operation in Contract().operations("microsoft.recoveryservices"):
        if operation.method == "GET" and "/replication" in operation.template:
            path = operation.template.format_map(names)
            reads.append(operation.template)
            commands.append(f"rest --method get --url {path}?api-version=2024-04-01")
    answers = shell.all(*commands)[3:]
    failed = {template: said for template, (code, _, said) in zip(reads, answers, strict=True) if code != 0}
    assert not {template: said[-500:] for template, said in failed.items() if "InvalidResourceType" in said or "code" not in said}
    plain = {template for template in reads if template.count("{") == 3 and "/vaults/" in template}
    assert not plain & set(failed), {template: failed[template][-500:] for template in plain & set(failed)}


class Names(dict[str, str]):
    """Names for the parameters of a path; `unknown` for what nobody has made."""

    def __missing__(self, name: str) -> str:
        return "unknown"


def real_names(up: Served) -> Names:
    vault = up.estate.vault
    fabric, container = (one.rsplit("/", 1)[1] for one in (vault.fabric, vault.container))
    return Names(
        subscriptionId=up.exports["AZURE_SUBSCRIPTION_ID"], resourceGroupName=up.exports["DRILLBED_RESOURCE_GROUP"],
        vaultName=vault.name, resourceName=vault.name, fabricName=fabric, protectionContainerName=container,
        policyName="five-minutes", mappingName="to-azure",
    )  # fmt: skip
