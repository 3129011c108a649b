"""`drillbed conform`: builds a pytest command line, prints it, runs it, writes the reports.

run(["reference", "--claim", "core,failback", "--out", "build/conformance/reference"])   # 0, 1, 2, 3 or 5
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.record import OURS, USAGE, RecordError
from harness.reports import write_reports
from harness.submission import write_submission

#: The specifications that come with the harness.
SPECS = Path(__file__).resolve().parent.parent / "specs"
DEFAULT_PRODUCT = "reference"

#: Options that are the plugin's, with their meanings.
OPTIONS = {
    "claim": "claims to judge, with commas between (default: what the product claims)",
    "profile": "classic, modernized or secondary-site (default: the product's first)",
    "era": "year whose documents rule (default: the product's first)",
    "seed": "seed of everything random (default: 1)",
    "world": "what surrounds the product, instead of the world it names",
    "driver-seconds": "how long a driver in another process may be silent (default: 120)",
    "exemptions": "file of what the vendor knows to be wrong, and until when",
    "baseline": "an earlier run.ndjson: fail only where it got worse",
    "way": "virtual (one process, emulated time) or embedded (TLS sockets)",
}


def run(options: Sequence[str]) -> int:
    """Judges a product. Exit codes: 0 all claims conformant, 1 not, 2 usage, 3 harness or driver broke, 5 nothing was asked."""
    if {"-h", "--help"} & set(options):
        sys.stdout.write(_parser().format_help())
        return 0
    try:
        asked, rest = _parser().parse_known_args(list(options))
    except argparse.ArgumentError as problem:
        sys.stderr.write(f"drillbed conform: {problem}\n")
        return USAGE
    out = Path(asked.out or Path("build") / "conformance" / _folder_name(asked.product))
    try:
        arguments = pytest_arguments(asked, out, rest)
    except OSError as problem:
        sys.stderr.write(f"drillbed conform: cannot write to {out}: {problem.strerror or problem}\n")
        return USAGE
    sys.stdout.write(f"pytest {' '.join(arguments)}\n")
    sys.stdout.flush()
    code = int(pytest.main(arguments))
    if code == int(pytest.ExitCode.USAGE_ERROR):
        return USAGE
    with contextlib.suppress(RecordError):
        for path in (*write_reports(out), write_submission(out)):
            sys.stdout.write(f"{path}\n")
    return code if code in (0, 1, USAGE, OURS, 5) else OURS


def _folder_name(product: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in product)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="drillbed conform",
        description="Ask a product what the documents promise, and judge it.",
        epilog="Any other option is pytest's, such as -x or -m must. Exit codes: 0 every claim is conformant, 1 one is not, "
        "2 wrong use, 3 harness, driver or world broke, 5 nothing was asked.",
        exit_on_error=False,
        add_help=False,
    )
    product = "an entry point's name, python:module:Name, exec:COMMAND, container:IMAGE or a URL (default: %(default)s)"
    parser.add_argument("product", nargs="?", default=DEFAULT_PRODUCT, help=product)
    parser.add_argument("-n", dest="workers", metavar="N", help="processes (needs pytest-xdist)")
    parser.add_argument("--out", metavar="DIR", help="folder for the record and the reports (default: build/conformance/PRODUCT)")
    parser.add_argument("--specs", default=str(SPECS), metavar="DIR", help="specifications (default: those of drillbed)")
    parser.add_argument("--select", "-k", dest="keyword", metavar="TEXT", help="only cases whose id has this text")
    for name, meaning in OPTIONS.items():
        parser.add_argument(f"--{name}", help=meaning)
    return parser


def pytest_arguments(asked: argparse.Namespace, out: Path, rest: Sequence[str]) -> list[str]:
    """The command line that judges a product. An own, empty configuration keeps that of the working folder out of it."""
    specs = Path(asked.specs)
    out.mkdir(parents=True, exist_ok=True)
    (out / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    arguments = [str(specs), "-c", str(out / "pytest.ini"), f"--rootdir={specs.resolve().parent}", "-p", "no:cacheprovider"]
    # This program has imported the plugin's package before pytest finds it: nothing to warn of.
    arguments += ["-W", "ignore::pytest.PytestAssertRewriteWarning", "--strict-markers", "-q"]
    arguments += [f"--product={asked.product}", f"--conformance={out}", f"--junitxml={out / 'junit.xml'}"]
    for name in OPTIONS:
        value = getattr(asked, name.replace("-", "_"))
        if value is not None:
            arguments.append(f"--{name}={value}")
    if asked.keyword is not None:
        arguments += ["-k", asked.keyword]
    if asked.workers is not None:
        arguments += ["-n", asked.workers, "--dist", "loadscope"]
    return [*arguments, *rest]
