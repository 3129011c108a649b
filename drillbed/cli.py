"""The command line. Errors a user can cause are one line that says what to do; exit codes are those of the architecture.

0 done, 1 judged not right, 2 wrong use, 3 the machine or drillbed could not do it, 130 interrupted with Ctrl-C.
"""

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drillbed.errors import DONE, NOT_RIGHT, TROUBLE, WRONG_USE, TroubleError, UsageError, remedy, writable
from drillbed.judging import add_to
from drillbed.signals import Interruption
from drillbed.workspace import workspace

if TYPE_CHECKING:
    from emulators.network import Block

#: What a drill leaves in its output folder. The log is there only when something was logged.
DOCUMENT, PAGE, LOG = "drill.json", "report.html", "drill.log"

#: Packages of this project: one that is missing is a bug, not something to install.
_OURS = ("drillbed", "emulators", "harness", "reference_impl")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A testbed for disaster recovery of VMware machines to Azure.",
)


@app.command()
def drill(
    profile: Annotated[str, typer.Option(help="classic (configuration server) or modernized (appliance)")] = "classic",
    disk: Annotated[Path | None, typer.Option(help="Disk image for `db`: raw, or what qemu-img reads")] = None,
    out: Annotated[Path, typer.Option(help="Folder for drill.json and report.html")] = Path("out/drill"),
    seed: Annotated[int, typer.Option(help="Seed of the estate; printed, replays a virtual run exactly")] = 1,
    way: Annotated[str, typer.Option(help="embedded: TLS sockets and Azurite; virtual: one process, emulated time")] = "embedded",
    block: Annotated[list[str] | None, typer.Option(help="Block traffic all through: PORT or FROM:TO:PORT")] = None,
    storage: Annotated[str | None, typer.Option(help="Where blobs are: memory (virtual), azurite (embedded) or s3")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print drill.json instead of the table")] = False,
) -> None:
    """Run the main job: protect, fail over to Azure, come home, and compare every byte."""
    from drillbed.drill import Options, run_drill
    from drillbed.report import Progress, write_reports

    if profile not in ("classic", "modernized"):
        raise UsageError(f"profile {profile!r} cannot be drilled: it is classic or modernized")
    if way not in ("embedded", "virtual"):
        raise UsageError(f"--way is embedded or virtual, not {way!r}")
    options = Options(out, disk, seed, profile, way, tuple(parse_block(text) for text in block or []), storage)
    writable(out)
    progress = Progress(quiet=json)
    with workspace(out) as work, _results(out):
        with progress:
            result = run_drill(options, progress, work)
        written = write_reports(result, work / "report")
        for name in (PAGE, DOCUMENT):  # the document last: where it is, the drill has run to its end
            os.replace(written.with_name(name), out / name)
    if json:
        sys.stdout.write((out / DOCUMENT).read_text(encoding="utf-8"))
    else:
        progress.conclude(result, out)
    raise typer.Exit(DONE if result.ok else NOT_RIGHT)


_Folder = Annotated[Path, typer.Option("--out", help="Folder of the running estate; one estate a folder")]


@app.command()
def up(
    profile: Annotated[str, typer.Option(help="classic (configuration server) or modernized (appliance)")] = "classic",
    vms: Annotated[int, typer.Option(help="Machines on premises: web, app, db, vm-4, ...")] = 3,
    speed: Annotated[float, typer.Option(help="Emulated seconds per second")] = 1.0,
    env: Annotated[Path | None, typer.Option(help="Write shell exports for real clients to this file")] = None,
    proxy: Annotated[bool, typer.Option("--proxy", help="Also a proxy that ends the public cloud's names here")] = False,
    nbd: Annotated[bool, typer.Option("--nbd", help="Open the machines' disks to NBD clients on this computer")] = False,
    disk: Annotated[list[str] | None, typer.Option(help="[MACHINE=]IMAGE: content of a system disk, `web` unless named")] = None,
    runbooks: Annotated[Path | None, typer.Option(help="Folder with scripts (NAME.py, NAME.sh) that do what runbooks do")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Come back when it is up; `drillbed down` ends it")] = False,
    out: _Folder = Path("out/up"),
) -> None:
    """Open an estate for programs from outside: prints where everything listens; Ctrl-C ends it."""
    from drillbed.detached import start_detached
    from drillbed.up import UpOptions, check, run_up

    options = UpOptions(out, profile, vms, speed, env, proxy, nbd, tuple(disk or ()), runbooks)
    check(options)
    writable(out)
    if detach:
        given = ["--profile", profile, "--vms", str(vms), "--speed", str(speed), "--out", str(out)]
        given += [*(["--env", str(env)] if env else []), *["--proxy"] * proxy, *["--nbd"] * nbd]
        given += ["--runbooks", str(runbooks)] if runbooks else []
        given += [part for image in options.disks for part in ("--disk", image)]
        typer.echo(start_detached(given, out))
    else:
        run_up(options, typer.echo)


@app.command()
def down(out: _Folder = Path("out/up")) -> None:
    """End the estate that `drillbed up` has opened in this folder."""
    from drillbed.running import bring_down

    typer.echo("The estate has ended." if bring_down(out) else f"No estate is up in {out}.")


@app.command()
def status(out: _Folder = Path("out/up")) -> None:
    """Print where the estate of this folder listens; exit code 1 when none is up."""
    from drillbed.running import find_running, status_text

    record = find_running(out)
    typer.echo(status_text(record) if record is not None else f"No estate is up in {out}.")
    raise typer.Exit(DONE if record is not None else NOT_RIGHT)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def vcsim(context: typer.Context) -> None:
    """A stand-in for VMware's vcsim, with its flags (`drillbed vcsim -h`): also installed as the command `vcsim`."""
    from drillbed.vcsim import run

    raise typer.Exit(run(context.args))


@app.command()
def coverage(
    emulator: Annotated[str, typer.Argument(help="vcenter or azure")],
    contract: Annotated[Path | None, typer.Option(help="azure: a swagger file; what it has and we have not is listed")] = None,
) -> None:
    """Count the operations that are built, by type, next to what the vendor's registry knows; list what is missing."""
    from drillbed.coverage import azure_text, vcenter_text

    if emulator not in ("vcenter", "azure"):
        raise UsageError(f"coverage is counted for vcenter and azure, not {emulator!r}")
    sys.stdout.write(azure_text(contract) if emulator == "azure" else vcenter_text())


@app.command()
def hrl(
    file: Annotated[Path, typer.Argument(help="A replication log (*.hrl)")],
    key: Annotated[str | None, typer.Option(help="The machine's data key in base64: show the records too")] = None,
) -> None:
    """Print what a replication log says, or what is wrong with it (exit code 1)."""
    from drillbed.hrl_command import hrl_text

    text, sound = hrl_text(file, key)
    sys.stdout.write(text)
    raise typer.Exit(DONE if sound else NOT_RIGHT)


def parse_block(text: str) -> "Block":
    """`PORT` or `FROM:TO:PORT` (either name may be empty) as a traffic rule. Raises `UsageError`."""
    from emulators.network import Block

    parts = text.split(":")
    if len(parts) not in (1, 3) or not parts[-1].isdigit() or not 0 < int(parts[-1]) < 65536:
        raise UsageError(f"--block takes a PORT or FROM:TO:PORT, not {text!r}; for example 9443 or web:process-server:9443")
    names = parts[:-1] or ["", ""]
    return Block(names[0] or None, names[1] or None, int(parts[-1]))


@contextmanager
def _results(out: Path) -> Iterator[None]:
    """Take away what an earlier run has left, so that nobody reads it as this one's; keep what is logged in a file."""
    for name in (DOCUMENT, PAGE, LOG):
        (out / name).unlink(missing_ok=True)
    handler = logging.FileHandler(out / LOG, delay=True)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


@cache
def command_line() -> typer.Typer:
    """All commands: those above, and those that judge."""
    add_to(app)
    return app


def run(arguments: Sequence[str], interruption: Interruption) -> int:
    """Carry out a command line; every error becomes one line on standard error. Returns the exit code."""
    wanted = list(arguments) or ["--help"]
    code = _flushed(_guarded(lambda: command_line()(wanted, standalone_mode=False), interruption))
    interruption.over()
    if interruption.number is not None and code != DONE:
        _say("interrupted: everything that was started has been stopped; there are no results")
        return interruption.code
    return code if arguments else WRONG_USE


def _guarded(command: Callable[[], object], interruption: Interruption) -> int:
    try:
        code = command()
    except KeyboardInterrupt:
        return NOT_RIGHT  # `run` knows which signal it was
    except SystemExit as ended:  # the output has gone, or a part of ours has said what was wrong
        if _output_gone(ended):
            _say("nobody reads the output any more: everything that was started has been stopped; there are no results")
            return TROUBLE
        return ended.code if isinstance(ended.code, int) else DONE if ended.code is None else TROUBLE
    except Exception as error:
        if interruption.number is not None:  # what breaks because of an interruption is no trouble of its own
            return NOT_RIGHT
        return _explained(error)
    return code if isinstance(code, int) else DONE


def _explained(error: Exception) -> int:
    usage = getattr(error, "format_message", None)  # typer's errors about options; their class moved between its versions
    if isinstance(error, UsageError) or callable(usage):
        _say(f"{usage()} (`drillbed --help` lists what there is)" if callable(usage) else str(error))
        return WRONG_USE
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] not in _OURS:
        _say(f"this command needs more than the harness ({error}): pip install 'drillbed[estate]'")
    elif isinstance(error, _troubles()):
        _say(str(error))
    elif (advice := remedy(error)) is not None:
        _say(advice)
    else:  # a bug of ours: the user gets a line and a file to send, not a wall of text
        _say(f"drillbed broke: {type(error).__name__}: {error}; {_trouble_log()}")
    return TROUBLE


def _troubles() -> tuple[type[Exception], ...]:
    """The errors whose text is what a user needs."""
    try:
        from emulators.blob_storage.node import AzuriteError
        from emulators.http.sockets import PortTakenError
    except ModuleNotFoundError:  # only the harness is installed
        return (TroubleError,)
    return TroubleError, AzuriteError, PortTakenError


def _trouble_log() -> str:
    try:
        number, name = tempfile.mkstemp(prefix="drillbed-trouble-", suffix=".log")
        with os.fdopen(number, "w") as log:
            log.write(traceback.format_exc())
    except OSError as error:
        return f"details could not be written ({error.strerror})"
    return f"details are in {name}: please report it with that file"


def _output_gone(error: BaseException | None) -> bool:
    """Whether an exit comes from output that nobody reads: rich and typer turn a broken pipe into `SystemExit`."""
    while error is not None:
        if isinstance(error, BrokenPipeError):
            return True
        error = error.__context__
    return False


def _flushed(code: int) -> int:
    """Write out what is still buffered; Python would complain at its end about output that nobody reads."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError) as error:
        with suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if code == DONE and isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
            _say(f"the output could not be written: {error.strerror}")
            return TROUBLE
    return code


def _say(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):  # the terminal may be gone
        sys.stderr.write(f"drillbed: {' '.join(text.split())}\n")
