"""The commands that judge: they know the harness and the command line, and pass one to the other."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drillbed.errors import DONE, NOT_RIGHT, UsageError, writable

if TYPE_CHECKING:
    from harness.record import Record


def conform(context: typer.Context) -> None:
    """Ask a product what the documents promise, and judge it: [PRODUCT] [--claim C] [--profile P] [-n N] [--out DIR]."""
    from harness.conform import run

    raise typer.Exit(run(context.args))


def kill(
    mutant: Annotated[list[str] | None, typer.Option(help="Only this wrong product, by everything that could find it")] = None,
    requirement: Annotated[list[str] | None, typer.Option(help="Only this requirement, and the products that break it")] = None,
    full: Annotated[bool, typer.Option("--full", help="Every product by everything that could find it")] = False,
    workers: Annotated[int, typer.Option("-n", help="Processes", min=1, max=64)] = 2,
    seed: Annotated[int, typer.Option(help="Seed of everything random")] = 1,
    out: Annotated[Path, typer.Option(help="Folder for kill.txt and kill.json")] = Path("build/kill"),
    record: Annotated[bool, typer.Option("--record", help="Keep the score for the header of reports")] = False,
) -> None:
    """Measure the suite: which wrong products it finds, and that it accuses no right one."""
    from drillbed.kill import Options
    from drillbed.kill import kill as measured

    writable(out)
    raise typer.Exit(measured(Options(mutant or (), requirement or (), full, workers, seed, out, record)))


def smoke(context: typer.Context) -> None:
    """Judge a driver before it judges a product: PRODUCT, as for `conform`."""
    from harness.loading import UsageError as WrongProduct
    from harness.smoke import command

    try:
        raise typer.Exit(command(context.args, typer.echo))
    except WrongProduct as wrong:
        raise UsageError(str(wrong)) from wrong


def compare(
    before: Annotated[Path, typer.Argument(help="An earlier run.ndjson, or the folder that holds it")],
    after: Annotated[Path, typer.Argument(help="A later one")],
) -> None:
    """Print what changed between two conformance runs; exit code 1 where something got worse."""
    from harness.baseline import compare as compared

    found = compared(_record(before), _record(after))
    sys.stdout.write(found.text)
    raise typer.Exit(NOT_RIGHT if found.worse else DONE)


def verify(folder: Annotated[Path, typer.Argument(help="A submission folder, as `conform` writes it")]) -> None:
    """Check a submission before anybody reads it; exit code 1 where something is wrong with it."""
    from harness.submission import verify as verified

    found = verified(folder)
    sys.stdout.write("".join(f"{line}\n" for line in found) or f"{folder}: sound\n")
    raise typer.Exit(NOT_RIGHT if found else DONE)


def exempt(
    record: Annotated[Path, typer.Argument(help="A run.ndjson, or the folder that holds it")],
    file: Annotated[Path, typer.Option("--update", help="The exemptions file to write; entries that it has are kept")],
) -> None:
    """Write the exemptions of a run: each case that fails, for its reason to be filled in by hand."""
    from harness.exemptions import read_entries, updated
    from harness.strict_yaml import SpecError
    from harness.today import today

    try:
        old = read_entries(file) if file.is_file() else []
    except SpecError as mistake:
        raise UsageError(str(mistake)) from mistake
    file.write_text(updated(old, _record(record), today()), encoding="utf-8")
    typer.echo(f"{file}: fill in the reasons")


def _record(path: Path) -> "Record":
    from harness.record import RecordError, read_record

    try:
        return read_record(path / "run.ndjson" if path.is_dir() else path)
    except RecordError as problem:
        raise UsageError(str(problem)) from problem


def schema(of: Annotated[str, typer.Argument(help="spec, driver or record")]) -> None:
    """Print a JSON Schema: of specification files (for editors), of a driver's messages, of the record of a run."""
    from harness.schemas import SCHEMAS, schema_text

    if of not in SCHEMAS:
        raise UsageError(f"there is no schema of {of!r}: {', '.join(SCHEMAS)}")
    sys.stdout.write(schema_text(of))


def list_requirements(
    claim: Annotated[str | None, typer.Option(help="Only these claims, with commas between")] = None,
    profile: Annotated[str | None, typer.Option(help="Only those for classic, modernized or secondary-site")] = None,
) -> None:
    """Print the requirements that a product can be asked."""
    from harness.listing import list_text

    sys.stdout.write(list_text(claim=_terms("claims", claim), profile=_terms("profiles", profile)))


def words() -> None:
    """Print the vocabulary of the specifications: words with their arguments, states, reasons."""
    from harness.listing import words_text

    sys.stdout.write(words_text())


def trace(requirement: Annotated[str, typer.Argument(help="Id of a requirement or of a row, such as RPR-007")]) -> None:
    """Print a requirement from its sources to its cases, or why a row is not asked."""
    from harness.listing import trace_text

    text = trace_text(requirement.upper())
    if text is None:
        raise UsageError(f"nothing is known of {requirement!r}: drillbed list shows all requirements")
    sys.stdout.write(text)


def _terms(of: str, given: str | None) -> str | None:
    """What was given, when every part of it is one of the harness's terms. Raises `UsageError`."""
    from harness.terms import terms

    for name in (given or "").split(",") if given is not None else []:
        if name not in terms()[of]:
            raise UsageError(f"{name!r} is not one of the {of}: {', '.join(terms()[of])}")
    return given


#: Whatever stands behind such a command is the harness's or pytest's to read.
_PASSED_ON: dict[str, Any] = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
    "add_help_option": False,
}
_COMMANDS: tuple[tuple[str, Callable[..., None], dict[str, Any]], ...] = (
    ("conform", conform, _PASSED_ON),
    ("kill", kill, {}),
    ("smoke", smoke, _PASSED_ON),
    ("compare", compare, {}),
    ("verify", verify, {}),
    ("exempt", exempt, {}),
    ("schema", schema, {}),
    ("list", list_requirements, {}),
    ("words", words, {}),
    ("trace", trace, {}),
)


def add_to(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    for name, function, settings in _COMMANDS:
        app.command(name=name, **settings)(function)
