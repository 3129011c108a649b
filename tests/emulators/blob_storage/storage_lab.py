"""A storage service in each kind, with two accounts and a host to use them from."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from emulators.blob_storage.azurite import Azurite, AzuriteStorage
from emulators.blob_storage.contract import BlobStore, StorageService
from emulators.blob_storage.memory import MemoryStorage
from emulators.blob_storage.node import AzuriteError, find_node, find_package
from emulators.blob_storage.s3 import S3Storage
from emulators.clock import DEFAULT_START, Clock
from emulators.http.inprocess import InProcess
from emulators.http.sockets import Sockets
from emulators.network import AZURE_PUBLIC, ONPREM, Host, Network

KEYS = ("Zmlyc3QtZmlyc3QtZmlyc3QtZmlyc3QtZmlyc3QhIQ==", "c2Vjb25kLXNlY29uZC1zZWNvbmQtc2Vjb25kISEhISE=")
STORAGE_NAMES = ("*.blob.drillbed", "*.queue.drillbed")
_NUMBERS = itertools.count()


@dataclass
class Lab:
    """One storage service, a host on premises, and two fresh accounts."""

    service: StorageService
    clock: Clock
    network: Network
    host: Host
    accounts: tuple[str, str]
    overhead: int = 2_000  #: what is sent at most besides the bytes of a blob

    def store(self, index: int = 0, key: str = KEYS[0]) -> BlobStore:
        name = self.accounts[index]
        endpoints = {"blobEndpoint": self.service.blob_endpoint(name), "queueEndpoint": self.service.queue_endpoint(name)}
        return self.service.open_store(self.host, {"account": name, "key": key, **endpoints})

    def close(self) -> None:
        """Close what clients keep open."""
        if isinstance(self.service, AzuriteStorage | S3Storage):
            self.service.close()


@dataclass
class Running:
    """An Azurite process for all tests of this run."""

    azurite: Azurite
    sockets: Sockets


@pytest.fixture(scope="session")
def azurite_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    try:
        node, package = find_node(), find_package()
    except AzuriteError as missing:
        pytest.skip(str(missing))
    folder = tmp_path_factory.mktemp("azurite")
    sockets = Sockets(folder / "tls")
    azurite = start_azurite(folder / "data", sockets, node, package)
    yield Running(azurite, sockets)
    azurite.stop()


def start_azurite(folder: Path, sockets: Sockets, node: str, package: Path, **more: Any) -> Azurite:
    certificate, key = sockets.authorities.leaf("estate", "storage", ["*.blob.drillbed", "*.queue.drillbed"])
    settings: dict[str, Any] = {"address": "127.0.0.1", "port": 0, "secret": "of-this-estate"} | more
    settings |= {"certificate": certificate, "key": key, "authority": sockets.authorities.bundle()}
    azurite = Azurite(folder, node=node, package=package, **settings)
    azurite.start()
    return azurite


@pytest.fixture(params=["memory", "azurite", "s3"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    number = next(_NUMBERS)
    accounts = (f"first{number}", f"second{number}")
    clock = Clock(seed=11, start=DEFAULT_START + timedelta(days=number))  # Azurite is shared, and its time never goes back
    if request.param == "memory":
        yield build_lab(clock, Network(clock, InProcess()), MemoryStorage(clock), accounts)
        return
    if request.param == "s3":
        made = s3_lab(clock, accounts)
        yield made
        made.close()
        return
    running: Running = request.getfixturevalue("azurite_process")
    network = Network(clock, running.sockets)
    made = build_lab(clock, network, AzuriteStorage(running.azurite, clock), accounts)
    storage = network.find("storage")
    assert storage is not None
    running.sockets.external(storage, 443, (running.azurite.address, running.azurite.actual))
    yield made
    made.close()


def s3_lab(clock: Clock, accounts: tuple[str, str]) -> Lab:
    network = Network(clock, InProcess())
    storage = network.host("storage", AZURE_PUBLIC, names=STORAGE_NAMES)
    lab = build_lab(clock, network, S3Storage(clock, storage), accounts)
    lab.overhead = 4_000  # a blob is two objects
    return lab


def build_lab(clock: Clock, network: Network, service: StorageService, accounts: tuple[str, str]) -> Lab:
    if network.find("storage") is None:
        network.host("storage", AZURE_PUBLIC, names=STORAGE_NAMES)
    host = network.host("process-server", ONPREM, address="127.77.0.2")
    for account in accounts:
        service.create_account(account, *KEYS)
    return Lab(service, clock, network, host, accounts)
