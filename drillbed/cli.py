"""The command line. Errors a user can cause are one line that says what to do; exit codes are those of the architecture.

0 done, 1 judged not right, 2 wrong use, 3 the machine or drillbed could not do it, 130 interrupted with Ctrl-C.
"""

import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drillbed.errors import TroubleError, UsageError

if TYPE_CHECKING:
    from emulators.network import Block

DONE, NOT_RIGHT, WRONG_USE, TROUBLE, INTERRUPTED = 0, 1, 2, 3, 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A testbed for disaster recovery of VMware machines to Azure.",
)


@app.command()
def drill(
    profile: Annotated[str, typer.Option(help="Architecture: classic (configuration server)")] = "classic",
    disk: Annotated[Path | None, typer.Option(help="Disk image for `db`: raw, or what qemu-img reads")] = None,
    out: Annotated[Path, typer.Option(help="Folder for drill.json and report.html")] = Path("out/drill"),
    seed: Annotated[int, typer.Option(help="Seed of the estate; printed, replays a virtual run exactly")] = 1,
    way: Annotated[str, typer.Option(help="embedded: TLS sockets and Azurite; virtual: one process, emulated time")] = "embedded",
    block: Annotated[list[str] | None, typer.Option(help="Block traffic all through: PORT or FROM:TO:PORT")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print drill.json instead of the table")] = False,
) -> None:
    """Run the main job: protect, fail over to Azure, come home, and compare every byte."""
    from drillbed.drill import Options, run_drill
    from drillbed.report import Progress, write_reports

    if profile != "classic":
        raise UsageError(f"profile {profile!r} cannot be drilled: this version knows classic")
    if way not in ("embedded", "virtual"):
        raise UsageError(f"--way is embedded or virtual, not {way!r}")
    options = Options(out, disk, seed, profile, way, tuple(parse_block(text) for text in block or []))
    _writable(out)
    work = Path(tempfile.mkdtemp(prefix="work-", dir=out))
    progress = Progress(quiet=json)
    try:
        with progress:
            result = run_drill(options, progress, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    written = write_reports(result, out)
    if json:
        sys.stdout.write(written.read_text())
    else:
        progress.conclude(result, out)
    raise typer.Exit(DONE if result.ok else NOT_RIGHT)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def conform(context: typer.Context) -> None:
    """Ask a product what the documents promise, and judge it: [PRODUCT] [--claim C] [--profile P] [-n N] [--out DIR]."""
    from harness.conform import run

    raise typer.Exit(run(context.args))


def parse_block(text: str) -> "Block":
    """`PORT` or `FROM:TO:PORT` (either name may be empty) as a traffic rule. Raises `UsageError`."""
    from emulators.network import Block

    parts = text.split(":")
    if len(parts) not in (1, 3) or not parts[-1].isdigit() or not 0 < int(parts[-1]) < 65536:
        raise UsageError(f"--block takes a PORT or FROM:TO:PORT, not {text!r}; for example 9443 or web:process-server:9443")
    names = parts[:-1] or ["", ""]
    return Block(names[0] or None, names[1] or None, int(parts[-1]))


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{folder} cannot be written to ({error.strerror}): choose another folder with --out") from error


def main() -> None:
    """Entry point: turns errors into one line and an exit code."""
    sys.exit(_guarded(lambda: app(standalone_mode=False)))


def _guarded(command: Callable[[], object]) -> int:
    import click

    from emulators.blob_storage.node import AzuriteError

    try:
        code = command()
    except (UsageError, click.UsageError) as error:
        _say(error.format_message() if isinstance(error, click.UsageError) else str(error))
        return WRONG_USE
    except (TroubleError, AzuriteError) as error:
        _say(str(error))
        return TROUBLE
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted: everything that was started has been stopped")
        return INTERRUPTED
    except OSError as error:
        _say(str(error))
        return TROUBLE
    except Exception as error:  # a bug of ours: the user gets a line and a file to send, not a wall of text
        log = Path(tempfile.gettempdir()) / "drillbed-trouble.log"
        log.write_text(traceback.format_exc())
        _say(f"drillbed broke: {type(error).__name__}: {error}; details are in {log}")
        return TROUBLE
    return code if isinstance(code, int) else DONE


def _say(text: str) -> None:
    sys.stderr.write(f"drillbed: {text}\n")
