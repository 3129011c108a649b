"""The pytest plugin. Without `--product` it adds its options and does nothing else."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("drillbed", "conformance of a disaster-recovery product")
    group.addoption("--product", default=None, help="what is judged: an entry point's name or python:module:Name")
