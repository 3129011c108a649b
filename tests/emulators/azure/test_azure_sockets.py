"""The same Azure over TLS sockets where time flows: operations end because time passes, and the certificate is checked."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from emulators.azure import Azure
from emulators.azure.cloud import CLIENT, SUBSCRIPTION, TENANT
from emulators.clock import Clock
from emulators.http.sockets import Sockets
from emulators.network import AZURE_PUBLIC, OPERATOR, Network

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg"
ACCOUNT = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/drillcache"


class Storage:
    """Knows accounts by name."""

    def __init__(self) -> None:
        self.accounts: set[str] = set()

    def create_account(self, name: str, key1: str, key2: str) -> None:
        self.accounts.add(name)

    def blob_endpoint(self, name: str) -> str:
        return f"https://{name}.blob.drillbed/"

    def queue_endpoint(self, name: str) -> str:
        return f"https://{name}.queue.drillbed/"


def test_a_client_polls_until_the_operation_ended(tmp_path: Path, signing_key: Any) -> None:
    clock, transport = Clock(seed=1, flow=1.0), Sockets(tmp_path)
    network, storage = Network(clock, transport), Storage()
    azure = Azure(clock, storage=storage, guests=None, links=None, signing_key=signing_key)
    place = f"127.{78 + os.getpid() // 250 % 100}.{os.getpid() % 250}"  # two runs at once do not meet
    hosts = [network.host("management", AZURE_PUBLIC, address=f"{place}.11", names=["management.drillbed"])]
    hosts.append(network.host("login", AZURE_PUBLIC, address=f"{place}.12", names=["login.drillbed"]))
    operator = network.host("operator", OPERATOR, address=f"{place}.13")
    stranger = network.host("stranger", OPERATOR, address=f"{place}.14")
    stranger.authority = "somebody else's"
    _, secret = azure.add_client()
    azure.add_group("rg")
    clock.start()
    try:
        for host, app in zip(hosts, (azure.arm, azure.login), strict=True):
            host.listen(443, app)
        fields = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": secret, "scope": "x/.default"}
        fields["scope"] = "https://management.drillbed/.default"
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        url = f"https://login.drillbed/{TENANT}/oauth2/v2.0/token"
        token = orjson.loads(operator.request("POST", url, headers=kind, body=urlencode(fields).encode()).body)["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = orjson.dumps({"location": "westeurope", "sku": {"name": "Standard_LRS"}, "kind": "StorageV2"})
        started = operator.request("PUT", f"https://management.drillbed{ACCOUNT}?api-version=1", headers=headers, body=body)
        assert started.status == 202
        deadline = clock.real() + 20
        ended = operator.request("GET", started.headers["location"], headers=headers)
        while ended.status == 202 and clock.real() < deadline:
            ended = operator.request("GET", started.headers["location"], headers=headers)
        assert orjson.loads(ended.body)["properties"]["provisioningState"] == "Succeeded"
        assert storage.accounts == {"drillcache"}
        assert operator.request("HEAD", f"https://management.drillbed{GROUP}?api-version=1", headers=headers).status == 204
        huge = operator.request(
            "PUT", f"https://management.drillbed{GROUP}?api-version=1", headers=headers, body=b" " * 5_000_000
        )
        assert huge.status == 413
        with pytest.raises(OSError, match=r"(?i)certificate"):
            stranger.request("GET", url)
    finally:
        clock.stop()
        azure.close()
        for host in network.hosts():
            host.close()
        transport.close()
    assert azure.faults == []
