"""`drillbed up` as a user has it: a process of its own, and unmodified clients told nothing but environment variables."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential, UsernamePasswordCredential
from azure.mgmt.automation import AutomationClient
from azure.mgmt.recoveryservicessiterecovery import SiteRecoveryManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.storage import StorageManagementClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient

from drillbed.cli import run
from drillbed.signals import Interruption

COMMAND = [sys.executable, "-m", "drillbed"]
BARE = {name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "ARM_", "REQUESTS_", "SSL_"))}


@dataclass(frozen=True, slots=True)
class Up:
    folder: Path
    said: str
    env: dict[str, str]


def drillbed(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *arguments], cwd=folder, env=BARE, capture_output=True, text=True, check=False)


def variables(path: Path) -> dict[str, str]:
    """What a shell has after `source`."""
    pairs = [shlex.split(line)[1].partition("=") for line in path.read_text().splitlines()]
    return {name: value for name, _, value in pairs}


#: A script as it would be in Azure: it logs in as its managed identity, and is told what to look for.
RUNBOOK = """
import os, sys
from azure.identity import ManagedIdentityCredential
from azure.mgmt.resource.resources import ResourceManagementClient
assert "AZURE_CLIENT_SECRET" not in os.environ
client = ResourceManagementClient(ManagedIdentityCredential(), os.environ["AZURE_SUBSCRIPTION_ID"])
print(sys.argv[1], [group.name for group in client.resource_groups.list()])
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    (folder / "books").mkdir()
    (folder / "books" / "List-Groups.py").write_text(RUNBOOK)
    given = ["--proxy", "--vms", "1", "--speed", "20", "--env", "lab.env", "--runbooks", "books"]
    done = drillbed("up", "--detach", *given, folder=folder)
    assert done.returncode == 0, done.stderr
    yield Up(folder, done.stdout, variables(folder / "lab.env"))
    ended = drillbed("down", folder=folder)
    assert ended.stdout == "The estate has ended.\n", ended.stderr
    assert drillbed("status", folder=folder).returncode == 1
    assert not (folder / "out/up/estate").exists()


@pytest.fixture
def proxied(up: Up, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The shell of somebody who has sourced the file: names of the public cloud, through the proxy."""
    for name, value in up.env.items():
        monkeypatch.setenv(name, value)
    return up.env


@pytest.fixture
def direct(up: Up, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Only the CA; endpoints by hand."""
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", up.env["REQUESTS_CA_BUNDLE"])
    found: dict[str, Any] = json.loads((up.folder / "out/up/estate.json").read_text())["endpoints"]
    return found


def test_it_says_where_everything_listens(up: Up) -> None:
    shown = drillbed("status", folder=up.folder)
    assert shown.returncode == 0
    assert up.said.startswith(shown.stdout)
    for word in ("management", "login", "vcenter", "blob", "proxy", "web", "source lab.env"):
        assert word in up.said
    assert (up.folder / "lab.env").stat().st_mode & 0o077 == 0


def test_a_second_one_in_the_same_folder_is_refused(up: Up) -> None:
    done = drillbed("up", "--detach", folder=up.folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "drillbed: an estate is up in out/up already: `drillbed down` ends it, --out takes another folder\n"


def test_default_clients_work_with_nothing_but_the_proxy(proxied: dict[str, str]) -> None:
    with DefaultAzureCredential() as credential:
        subscription = proxied["AZURE_SUBSCRIPTION_ID"]
        with ResourceManagementClient(credential, subscription) as resources:
            resources.resource_groups.create_or_update("mine", {"location": "westeurope"})
            assert {group.name for group in resources.resource_groups.list()} == {"drill", "mine"}
        with SiteRecoveryManagementClient(credential, subscription) as site:
            where = proxied["DRILLBED_RESOURCE_GROUP"], proxied["DRILLBED_VAULT"]
            (container,) = list(site.replication_protection_containers.list(*where))
            fabric = container.id.split("/")[-3]
            items = site.replication_protectable_items.list_by_replication_protection_containers(*where, fabric, container.name)
            assert {item.properties.friendly_name for item in items} == {"web", "master-target"}


def test_an_account_made_by_sdk_holds_blobs_and_queues_under_its_public_name(proxied: dict[str, str]) -> None:
    with DefaultAzureCredential() as credential, StorageManagementClient(credential, proxied["AZURE_SUBSCRIPTION_ID"]) as storage:
        parameters = {"location": "westeurope", "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"}
        account = storage.storage_accounts.begin_create("drill", "madebysdk", parameters).result()
        assert account.primary_endpoints.blob == "https://madebysdk.blob.core.windows.net/"
        key = storage.storage_accounts.list_keys("drill", "madebysdk").keys_property[0].value
    with BlobServiceClient(account.primary_endpoints.blob, credential=key) as blobs:
        blobs.create_container("papers").upload_blob("one", b"first")
        assert blobs.get_blob_client("papers", "one").download_blob().readall() == b"first"
    with QueueClient(account.primary_endpoints.queue, "work", credential=key) as queue:
        queue.create_queue()
        queue.send_message("go")
        assert queue.receive_message().content == "go"
    with (
        BlobServiceClient(account.primary_endpoints.blob, credential="d3Jvbmc=") as blobs,
        pytest.raises(HttpResponseError) as no,
    ):
        blobs.get_blob_client("papers", "one").download_blob()
    assert no.value.status_code == 403


def test_the_connection_string_works_without_the_proxy(up: Up, direct: dict[str, Any]) -> None:
    with BlobServiceClient.from_connection_string(up.env["AZURE_STORAGE_CONNECTION_STRING"]) as blobs:
        blobs.create_container("direct").upload_blob("one", b"second")
        assert [blob.name for blob in blobs.get_container_client("direct").list_blobs()] == ["one"]
    with QueueClient.from_connection_string(up.env["AZURE_STORAGE_CONNECTION_STRING"], "direct") as queue:
        queue.create_queue()
        queue.send_message("there")
        assert queue.receive_message().content == "there"
    assert direct["queue"].replace("<account>/", "drillreplica") in up.env["AZURE_STORAGE_CONNECTION_STRING"]


def test_the_proxy_refuses_the_rest_of_the_world(proxied: dict[str, str]) -> None:
    for url in ("https://example.com/", "https://graph.windows.net/me", "https://management.azure.com:22/"):
        with pytest.raises(requests.exceptions.ProxyError, match="403"):
            requests.get(url, timeout=20)
    refused = requests.get(proxied["HTTPS_PROXY"], timeout=20)
    assert refused.status_code == 400
    assert "CONNECT host:port only" in refused.text


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")  # a user's login by password is what is tested
def test_explicit_endpoints_and_a_custom_cloud(up: Up, direct: dict[str, Any]) -> None:
    base = direct["management"]
    metadata = requests.get(f"{base}/metadata/endpoints?api-version=2022-09-01", timeout=20).json()
    assert metadata["authentication"]["loginEndpoint"] == direct["login"]
    assert metadata["resourceManager"] == base
    user, password = up.env["DRILLBED_USER"], up.env["DRILLBED_USER_PASSWORD"]
    credential = UsernamePasswordCredential(
        "04b07795-8ddb-461a-bbee-02f9e1bf7b46", user, password, tenant_id=up.env["AZURE_TENANT_ID"],
        authority=direct["login"], disable_instance_discovery=True,
    )  # fmt: skip
    scopes = [f"{base}/.default"]
    with StorageManagementClient(credential, up.env["AZURE_SUBSCRIPTION_ID"], base_url=base, credential_scopes=scopes) as storage:
        account = storage.storage_accounts.get_properties("drill", "drillreplica")
        key = storage.storage_accounts.list_keys("drill", "drillreplica").keys_property[0].value
    assert account.primary_endpoints.blob == direct["blob"].replace("<account>", "drillreplica")
    with QueueClient(account.primary_endpoints.queue, "nobodys", credential=key) as queue, pytest.raises(HttpResponseError) as no:
        queue.receive_message()
    assert no.value.error_code == "QueueNotFound"
    with BlobServiceClient(account.primary_endpoints.blob, credential=key) as blobs:
        assert blobs.account_name == "drillreplica"
        assert list(blobs.list_containers(name_starts_with="nothing")) == []
    unknown = requests.get(f"{base}/subscriptions?api-version=2022-12-01", timeout=20)
    assert (unknown.status_code, direct["login"] in unknown.headers["WWW-Authenticate"]) == (401, True)


def test_a_managed_identity_gets_tokens_from_its_endpoint(
    up: Up, direct: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = direct["management"]
    monkeypatch.setenv("IDENTITY_ENDPOINT", up.env["DRILLBED_IDENTITY_ENDPOINT"])
    monkeypatch.setenv("IDENTITY_HEADER", up.env["DRILLBED_IDENTITY_HEADER"])
    with (
        ManagedIdentityCredential() as credential,
        ResourceManagementClient(
            credential, up.env["AZURE_SUBSCRIPTION_ID"], base_url=base, credential_scopes=[f"{base}/.default"]
        ) as resources,
    ):
        assert resources.resource_groups.check_existence("drill")
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")
    with ManagedIdentityCredential() as credential, pytest.raises(ClientAuthenticationError):
        credential.get_token("https://management.azure.com/.default")


def test_a_runbook_is_a_local_script_with_an_identity(up: Up, proxied: dict[str, str]) -> None:
    client = AutomationClient(DefaultAzureCredential(), proxied["AZURE_SUBSCRIPTION_ID"], polling_interval=0.05)
    group, west = proxied["DRILLBED_RESOURCE_GROUP"], {"location": "westeurope"}
    client.automation_account.create_or_update(group, "drills", {**west, "properties": {"sku": {"name": "Basic"}}})
    client.runbook.create_or_update(group, "drills", "List-Groups", {**west, "properties": {"runbookType": "Python3"}})
    body = {"properties": {"runbook": {"name": "List-Groups"}, "parameters": {"Word": "groups:"}}}
    client.job.create(group, "drills", "one", body)
    job = client.job.get(group, "drills", "one")
    while job.status not in ("Completed", "Failed"):
        job = client.job.get(group, "drills", "one")
    assert (job.status, job.exception) == ("Completed", None)
    assert client.job.get_output(group, "drills", "one").startswith(f"groups: ['{group}'")
    client.close()


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "up", "--profile", "modernized", "--vms", "0", "--env", "lab.env"],
        cwd=tmp_path, env=BARE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ctrl-C"):
                process.send_signal(signal.SIGINT)
        assert (process.wait(timeout=60), process.stderr.read()) == (0, "")
    assert not (tmp_path / "out/up/estate.json").exists()
    assert "HTTPS_PROXY" not in (tmp_path / "lab.env").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--profile", "moon"], "profile 'moon' cannot be brought up: it is classic or modernized"),
        (["--vms", "101"], "--vms is 0 to 100, not 101"),
        (["--speed", "0"], "--speed is 0.01 to 10000"),
        (["--vms", "-1"], "--vms is 0 to 100, not -1"),
        (["--speed", "nan"], "--speed is 0.01 to 10000"),
        (["--vms", "1", "--env", "no/such/folder/lab.env"], "no/such/folder/lab.env cannot be written to"),
        (["--runbooks", "none"], "none is not a folder"),
        (["--env", "."], ". cannot be written to: choose another file with --env"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["up", *arguments], Interruption()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
