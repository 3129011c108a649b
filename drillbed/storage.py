"""The storage service of an estate: accounts that Azure makes, kept in memory, by Azurite or on S3, and stores opened on them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from drillbed.errors import UsageError
from emulators.blob_storage.azurite import Azurite, AzuriteStorage
from emulators.blob_storage.memory import MemoryStorage
from emulators.blob_storage.node import find_node, find_package
from emulators.clock import Clock
from emulators.http.sockets import Sockets
from emulators.network import Host
from reference_impl import outside


class Backend(Protocol):
    """`MemoryStorage`, the Azurite service or `S3Storage`."""

    def create_account(self, name: str, key1: str, key2: str) -> None: ...
    def set_keys(self, name: str, key1: str, key2: str) -> None: ...
    def delete_account(self, name: str) -> None: ...
    def blob_endpoint(self, name: str) -> str: ...
    def queue_endpoint(self, name: str) -> str: ...
    def open_store(self, host: Host, store: Mapping[str, str]) -> Any: ...


def require_azurite() -> tuple[str, Path]:
    """Where Node and Azurite are. Raises `AzuriteError` with what to do when the embedded way lacks one of them."""
    return find_node(), find_package()


@dataclass(slots=True)
class Storage:
    """What Azure's storage provider calls, and what the platform itself opens without being told a key.

    `process` is the Azurite behind it, None where memory is.
    """

    backend: Backend
    process: Azurite | None = None
    _keys: dict[str, str] = field(default_factory=dict)

    def create_account(self, name: str, key1: str, key2: str) -> None:
        self.backend.create_account(name, key1, key2)
        self._keys[name] = key1

    def set_keys(self, name: str, key1: str, key2: str) -> None:
        self.backend.set_keys(name, key1, key2)
        self._keys[name] = key1

    def delete_account(self, name: str) -> None:
        self._keys.pop(name, None)
        self.backend.delete_account(name)

    def blob_endpoint(self, name: str) -> str:
        return self.backend.blob_endpoint(name)

    def queue_endpoint(self, name: str) -> str:
        return self.backend.queue_endpoint(name)

    def check(self) -> None:
        """Raise `AzuriteError` when Azurite has ended by itself."""
        if self.process is not None:
            self.process.check()

    def peak_memory(self) -> int:
        """The most memory that Azurite has had, bytes; 0 without it."""
        return self.process.peak_memory() if self.process is not None else 0

    def open_store(self, host: outside.Host, store: Mapping[str, str]) -> outside.BlobStore:
        """The store that a `{store}` of the component protocol names, as seen from `host`."""
        assert isinstance(host, Host), "components are given hosts of the estate's network"
        opened: outside.BlobStore = self.backend.open_store(host, store)
        return opened

    def open(self, host: Host, account: str) -> outside.BlobStore:
        """An account of the estate as the platform itself uses it. Raises `KeyError` when there is no such account."""
        endpoints = {"blobEndpoint": self.blob_endpoint(account), "queueEndpoint": self.queue_endpoint(account)}
        return self.open_store(host, {"account": account, "key": self._keys[account], **endpoints})


#: Kinds of storage of an estate in virtual time (False) and over sockets (True); the first is the default.
KINDS: dict[bool, tuple[str, ...]] = {False: ("memory", "s3"), True: ("azurite", "s3")}


def kind_of(wanted: str | None, *, sockets: bool) -> str:
    """The kind of storage of an estate. Raises `UsageError` for one that it cannot have."""
    kinds = KINDS[sockets]
    if wanted is not None and wanted not in kinds:
        way = "over sockets" if sockets else "in virtual time"
        raise UsageError(f"an estate {way} has its storage in {' or '.join(kinds)}, not {wanted!r}")
    return wanted or kinds[0]


@contextmanager
def storage_of(kind: str, folder: Path, host: Host, clock: Clock, on_death: Callable[[str], None]) -> Iterator[Storage]:
    """Storage of a kind of `KINDS` on `host`, as long as the context lasts. Raises `AzuriteError`."""
    if kind == "azurite":
        with azurite(folder, host, clock, on_death) as storage:
            yield storage
    elif kind == "s3":
        from emulators.blob_storage.s3 import S3Storage  # takes a second to import, and few need it

        backend = S3Storage(clock, host)
        try:
            yield Storage(backend)
        finally:
            backend.close()
    else:
        yield Storage(MemoryStorage(clock))


@contextmanager
def azurite(folder: Path, host: Host, clock: Clock, on_death: Callable[[str], None]) -> Iterator[Storage]:
    """Azurite as a child process behind `host`:443, with a certificate of the estate. Raises `AzuriteError`."""
    transport = host.network.transport
    assert isinstance(transport, Sockets), "Azurite needs sockets"
    certificate, key = transport.authorities.leaf(
        host.authority, host.name, [*host.network.names_of(host), "localhost", "127.0.0.1"]
    )
    node, package = require_azurite()
    process = Azurite(
        folder,
        address=host.address,
        certificate=certificate,
        key=key,
        authority=transport.authorities.bundle(),
        node=node,
        package=package,
        secret=clock.random_bytes(24).hex(),
        on_death=on_death,
    )
    try:
        process.start()
        transport.external(host, process.port, (process.address, process.actual))
        storage = AzuriteStorage(process, clock)
        try:
            yield Storage(storage, process)
        finally:
            storage.close()
    finally:
        process.stop()
