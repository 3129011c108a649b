"""The server behind `vcsim`: one vCenter on one address until a signal comes."""

import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from drillbed.vcsim import model_fields
from drillbed.vcsim_disks import open_door
from drillbed.vcsim_trace import Trace
from emulators.clock import Clock
from emulators.http.sockets import PortTakenError, Sockets
from emulators.network import ONPREM, Network
from emulators.vcenter import Model, VCenter
from emulators.vcenter.delays import Delays
from emulators.vcenter.keeping import Keeper
from emulators.vcenter.pages import Pages

_GIB = 1024**3
_TROUBLE = 3


def serve(options: dict[str, Any]) -> int:
    """Build, listen, say where, and serve until SIGTERM, SIGINT, SIGQUIT or SIGHUP; the folders go at the end."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda _number, _frame: over.set())
    try:
        with ExitStack() as stack:
            line = _open(options, stack)
            _announce(line, options["-E"], over)
            if options["-stdinexit"]:
                threading.Thread(target=_until_input, args=(over,), name="standard input", daemon=True).start()
            over.wait()
    except (PortTakenError, OSError, ValueError) as error:
        sys.stderr.write(f"vcsim: {error}\n")
        return _TROUBLE
    return 0


def _until_input(over: threading.Event) -> None:
    sys.stdin.buffer.read(1)
    over.set()


def _open(options: dict[str, Any], stack: ExitStack) -> str:
    """Start everything; returns the line that says where. What was started ends with the stack."""
    host, _, port = str(options["-l"]).rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"-l {options['-l']} is not ADDRESS:PORT")
    _more_files()
    gc.set_threshold(100_000, 50, 100)  # an inventory is large and lives long: looking through it often finds nothing
    folder = Path(tempfile.mkdtemp(prefix="vcsim-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    keeper = Keeper(Path(options["-state"])) if options["-state"] else None
    clock = _clock(keeper)
    clock.start()
    stack.callback(clock.stop)
    user, password = _told(options["-username"]), _told(options["-password"])
    vcenter = VCenter(
        clock,
        keeper.files if keeper is not None else folder,
        keeper=keeper,
        users={user or "user": (password or "pass", "Admin")},
        anybody=not (options["-username"] or options["-password"]),
        version=options["-api-version"],
        capacity=options["-capacity-gb"] * _GIB,
        model=replace(Model.vcsim(), **model_fields(options)),
        task_pace=0.0,
    )
    gc.freeze()
    stack.callback(vcenter.close)
    vcenter.asgi.delays = _delays(clock, options)
    if options["-nbd"]:
        stack.callback(open_door(vcenter, options["-nbd"]).close)
    transport = Sockets(folder / ".certificates")
    if options["-tlscert"]:
        transport.authorities.given = (_file(options["-tlscert"]), _file(options["-tlskey"]))
    network = Network(clock, transport)
    stack.callback(transport.close)
    server = network.host("vcenter", ONPREM, address=host or "127.0.0.1")
    vcenter.inventory.host, vcenter.inventory.tls = server, bool(options["-tls"])
    server.listen(int(port), Pages(vcenter), tls=options["-tls"], asgi=_traced(vcenter.asgi, options, stack))
    address, actual = transport.where(server, int(port)) or (host, int(port))
    scheme = "https" if options["-tls"] else "http"
    return f"export GOVC_URL={scheme}://{user or 'user'}:{password or 'pass'}@{address}:{actual}/sdk GOVC_SIM_PID={os.getpid()}\n"


def _clock(keeper: Keeper | None) -> Clock:
    """One seed: the same flags give the same ids and UUIDs each time. What is taken up goes on in its time, with another seed."""
    known = keeper.known if keeper is not None else None
    if known is None:
        return Clock(flow=1.0)
    return Clock(flow=1.0, seed=known["starts"], start=datetime.fromtimestamp(known["time"], UTC))


def _delays(clock: Clock, options: dict[str, Any]) -> Delays | None:
    methods = {name: milliseconds / 1000 for name, milliseconds in options["-method-delay"].items()}
    if not options["-delay"] and not methods:
        return None
    return Delays(clock, options["-delay"] / 1000, methods, options["-delay-jitter"])


def _traced(asgi: Any, options: dict[str, Any], stack: ExitStack) -> Any:
    """The application, written down where the flags say so."""
    if options["-trace-file"]:
        descriptor = os.open(options["-trace-file"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        return Trace(asgi, stack.enter_context(open(descriptor, "w", encoding="utf-8")))
    return Trace(asgi, sys.stderr) if options["-trace"] else asgi


def _file(name: str) -> Path:
    """Raises `ValueError` when there is no such file."""
    if not Path(name).is_file():
        raise ValueError(f"there is no file {name}")
    return Path(name)


def _told(text: str) -> str:
    """A value, or what the file of that name holds."""
    return Path(text).read_text(encoding="utf-8").strip() if text and Path(text).is_file() else text


def _announce(line: str, where: str, over: threading.Event) -> None:
    """Say where: on standard output, or in a file. A FIFO is opened without getting stuck when nobody ever reads it."""
    if where in ("", "-"):
        sys.stdout.write(line)
        sys.stdout.flush()
        return
    if not Path(where).is_fifo():
        Path(where).write_text(line, encoding="utf-8")
        return
    while not over.is_set():
        try:
            file = os.open(where, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody has opened it for reading yet
            over.wait(0.01)
            continue
        with os.fdopen(file, "w", encoding="utf-8") as pipe:
            pipe.write(line)
        return


def _more_files() -> None:
    """Each disk is an open file: allow as many as the system does."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
