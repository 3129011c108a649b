"""Estates small enough for one test: a clock, a network, in process and over sockets."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from emulators.clock import Clock
from emulators.http.inprocess import InProcess
from emulators.http.sockets import Sockets
from emulators.network import Host, Network


@pytest.fixture(params=["in-process", "sockets"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    """A network of either way, with one clock; everything it opened is closed."""
    transport = InProcess() if request.param == "in-process" else Sockets(tmp_path / "tls")
    made = Network(Clock(seed=7), transport)
    yield made
    for host in made.hosts():
        host.close()
    if isinstance(transport, Sockets):
        transport.close()


@pytest.fixture
def place(network: Network) -> Callable[..., Host]:
    """Add a host on a loopback address of its own."""

    def add(name: str, zone: str) -> Host:
        return network.host(name, zone, address=f"127.77.0.{len(network.hosts()) + 10}", names=[f"{name}.drillbed"])

    return add
