"""The pytest plugin. Without `--product` it adds its options and does nothing else.

pytest specs --product reference --claim core,failback
"""

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("drillbed", "conformance of a disaster-recovery product")
    group.addoption(
        "--product",
        default=None,
        help="what is judged: an entry point's name, python:module:Name, exec:COMMAND, container:IMAGE or a URL",
    )
    group.addoption("--world", default=None, help="what surrounds it, instead of the world the product names")
    group.addoption("--claim", default=None, help="claims to judge, with commas between (default: what the product claims)")
    group.addoption("--profile", default=None, help="classic, modernized or secondary-site (default: the product's first)")
    group.addoption("--era", default=None, help="year whose documents rule (default: the product's first)")
    group.addoption("--seed", default=1, type=int, help="seed of everything random")
    group.addoption("--way", default="virtual", choices=("virtual", "embedded"), help="how the world runs")
    group.addoption("--driver-seconds", default=120.0, type=float, help="how long a driver in another process may be silent")
    group.addoption("--exemptions", default=None, metavar="FILE", help="what the vendor knows to be wrong, and until when")
    group.addoption("--baseline", default=None, metavar="RECORD", help="an earlier run.ndjson: fail only where it got worse")
    group.addoption("--conformance", default=None, metavar="DIR", help="write run.ndjson and the reports there")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("product") is None:
        return
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        # Nobody has said what to ask: what the harness brings, not the tests of the working folder.
        config.args = [str(Path(__file__).resolve().parent.parent / "specs")]
    # Imported only here: an ordinary test run pays nothing for the plugin.
    from harness.collection import Conformance
    from harness.loading import UsageError

    try:
        config.pluginmanager.register(Conformance(config), "drillbed-conformance")
    except UsageError as problem:
        raise pytest.UsageError(str(problem)) from problem
